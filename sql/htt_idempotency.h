/* SPDX-License-Identifier: MIT */
/*
 * Idempotency keys: a request that comes twice is done once, and gives the same answer.
 *
 *     htt_idempotency_request request = {
 *         .scope = "payments", .key = key_of_the_caller, .input = body, .input_size = size};
 *     htt_idempotency_entry entry;
 *     rc = htt_idempotency_begin(db, &request, &entry);
 *     HTT_OK         new: do it, then htt_idempotency_finish(db, &entry, result)
 *     HTT_EXISTS     done before: entry.result is what it gave
 *     HTT_BUSY       another is at it; entry.expires_at says until when it has time
 *     HTT_CONFLICT   the key was used for another input
 *
 * When begin, the work and finish are one transaction, HTT_BUSY does not come up and a crash leaves
 * nothing. When they are not, work that takes longer than running_ms may be begun by another, and
 * finish then gives HTT_EXPIRED. A key is kept for keep_ms, and free from then on.
 *
 * Tables: htt_db_install(db, "event"). A fake (htt_db_open_fake) has all of this too.
 */
#ifndef HTT_IDEMPOTENCY_H
#define HTT_IDEMPOTENCY_H

#include "htt_db.h"

#ifdef __cplusplus
extern "C" {
#endif

#define HTT_IDEMPOTENCY_KEY_MAX 255      /* characters; of a scope too */
#define HTT_IDEMPOTENCY_RUNNING_MS 60000 /* where a request says 0 */
#define HTT_IDEMPOTENCY_KEEP_MS 86400000 /* where a request says 0: 24 hours */

/* What is asked for. Zero what is not set. Borrowed during the call. */
typedef struct htt_idempotency_request {
    const char *scope;  /* whose keys: "payments"; 1 to 255 characters */
    const char *key;    /* the caller's choice; 1 to 255 characters */
    const void *input;  /* all that the result depends on; NULL when input_size is 0 */
    size_t input_size;  /* bytes; only their SHA-256 is kept */
    int64_t running_ms; /* time for the work; 0 = HTT_IDEMPOTENCY_RUNNING_MS */
    int64_t keep_ms;    /* the result is kept so long; 0 = HTT_IDEMPOTENCY_KEEP_MS */
} htt_idempotency_request;

/* What is known of a key. */
typedef struct htt_idempotency_entry {
    char *scope;        /* owned by the entry, with all that follows */
    char *key;          /* as in the request */
    bool is_finished;   /* result is there */
    htt_datum result;   /* of any type but HTT_ROW; HTT_NULL before it is finished */
    int64_t created_at; /* ms since 1970 */
    int64_t expires_at; /* ms since 1970; running: another may begin then */
    int64_t keep_ms;    /* of the request; 0 after a lookup = HTT_IDEMPOTENCY_KEEP_MS */
    int64_t token;      /* of this begin: a later one has another */
} htt_idempotency_entry;

/*
 * Begins, or says what is known; see above. In the running transaction, or in one of its own.
 * *entry_out is filled in all four cases, zeroed in others, and freed with htt_idempotency_clear.
 * HTT_BUSY with a zeroed entry: the database is busy.
 * Also: HTT_MISUSE (no scope or key, a negative time), HTT_TOOBIG (more than 255 characters).
 */
HTT_API HTT_MUST_CHECK htt_rc htt_idempotency_begin(htt_db *db,
                                                    const htt_idempotency_request *request,
                                                    htt_idempotency_entry *entry_out);

/*
 * Stores the result of what htt_idempotency_begin gave HTT_OK for. HTT_EXPIRED: the time was over
 * and another began it, or finished it; HTT_TYPE: a result of type HTT_ROW.
 */
HTT_API HTT_MUST_CHECK htt_rc htt_idempotency_finish(htt_db *db, const htt_idempotency_entry *entry,
                                                     htt_datum result);

/* Gives a key back whose work was not done. HTT_EXPIRED as htt_idempotency_finish. */
HTT_API HTT_MUST_CHECK htt_rc htt_idempotency_abandon(htt_db *db,
                                                      const htt_idempotency_entry *entry);

/* What is known of a key, without beginning anything. HTT_NOTFOUND: nothing, or it has expired. */
HTT_API HTT_MUST_CHECK htt_rc htt_idempotency_lookup(htt_db *db, const char *scope, const char *key,
                                                     htt_idempotency_entry *entry_out);

/* Frees what is in it. A zeroed entry is allowed. */
HTT_API void htt_idempotency_clear(htt_idempotency_entry *entry);

/* Deletes at most `most` expired keys; *deleted_out (NULL: not asked): how many. */
HTT_API HTT_MUST_CHECK htt_rc htt_idempotency_purge(htt_db *db, uint32_t most,
                                                    uint32_t *deleted_out);

#ifdef __cplusplus
}
#endif

#endif
