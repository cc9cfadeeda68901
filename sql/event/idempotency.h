/* SPDX-License-Identifier: MIT */
/* Idempotency keys: what the database and the fake have of one. */
#ifndef HTT_SQL_EVENT_IDEMPOTENCY_H
#define HTT_SQL_EVENT_IDEMPOTENCY_H

#include "sql/base/db.h"
#include "sql/event/sha256.h"
#include "sql/htt_idempotency.h"

/* A row of htt_idempotency; borrowed where it says so. */
typedef struct htt_idempotency_row {
    uint8_t request[HTT_SHA256_SIZE]; /* SHA-256 of the input */
    bool is_finished;                 /* else running */
    htt_datum result;                 /* borrowed from the visit */
    int64_t created_at;               /* ms */
    int64_t expires_at;               /* ms */
    int64_t token;                    /* of the begin */
    uint8_t scratch[HTT_NUMBER_SIZE]; /* of a result that is a number */
} htt_idempotency_row;

/* Called with the row of a key. */
typedef htt_rc (*htt_idempotency_visit)(void *arg, const htt_idempotency_row *row);

/* *found_out false: there is none, nothing was called. */
htt_rc htt_fake_idempotency_read(htt_db *db, const char *scope, const char *key, bool *found_out,
                                 htt_idempotency_visit visit, void *arg);
htt_rc htt_fake_idempotency_write(htt_db *db, const char *scope, const char *key,
                                  const htt_idempotency_row *row);
htt_rc htt_fake_idempotency_remove(htt_db *db, const char *scope, const char *key);
htt_rc htt_fake_idempotency_purge(htt_db *db, int64_t now, uint32_t most, uint32_t *deleted_out);

#endif
