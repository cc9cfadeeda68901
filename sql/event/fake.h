/* SPDX-License-Identifier: MIT */
/*
 * The fake's tables: rows of columns (htt_row_encode) under byte keys.
 *
 *   htt_event        seq                      the columns of htt_event.sql behind seq
 *   htt_event_type   type                     none
 *   htt_consumer     name                     acknowledged, rules, fence
 *   htt_delivery     consumer, 0, id          the columns of htt_delivery.sql
 *   htt_inbox        consumer, 0, message id  received_at
 *   htt_idempotency  scope, 0, key            the columns of htt_idempotency.sql
 *
 * Rules are those of the triggers and statements, found by looking through the rows: a fake is for
 * tests, where there are few.
 */
#ifndef HTT_SQL_EVENT_FAKE_H
#define HTT_SQL_EVENT_FAKE_H

#include "sql/base/fake.h"
#include "sql/event/event.h"

enum { FAKE_COLUMNS_MAX = 16 };

/* A row that is being made or was read. */
typedef struct htt_fake_columns {
    htt_datum columns[FAKE_COLUMNS_MAX];                /* borrowed, but numbers */
    uint8_t scratch[FAKE_COLUMNS_MAX][HTT_NUMBER_SIZE]; /* the numbers' bytes */
    uint32_t count;                                     /* of columns */
} htt_fake_columns;

void htt_fake_add_integer(htt_fake_columns *row, int64_t number);
/* NULL: null. */
void htt_fake_add_text(htt_fake_columns *row, const char *text);
void htt_fake_add_datum(htt_fake_columns *row, htt_datum datum);
/* Texts have a zero byte behind them, as they were written by htt_fake_add_text. */
void htt_fake_read(const htt_fake_row *row, htt_fake_columns *columns_out);
int64_t htt_fake_integer(const htt_fake_columns *row, uint32_t index);
const char *htt_fake_text(const htt_fake_columns *row, uint32_t index);

/* Writes the row under a key of one or two parts, with a zero byte between (second NULL: one). */
htt_rc htt_fake_write(htt_db *db, const char *table, const char *first, htt_fake_bytes second,
                      const htt_fake_columns *row);
/* *found_out NULL: there is none. */
htt_rc htt_fake_read_key(htt_db *db, const char *table, const char *first, htt_fake_bytes second,
                         const htt_fake_row **found_out);
htt_rc htt_fake_delete_key(htt_db *db, const char *table, const char *first, htt_fake_bytes second);

/* The event of a row of htt_event, borrowed from it; the payload may be in `columns`. */
void htt_fake_event(const htt_fake_row *row, htt_fake_columns *columns, htt_event *event_out);

#endif
