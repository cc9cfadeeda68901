/* SPDX-License-Identifier: MIT */
/*
 * The fake: named tables in memory, ordered by key, with an undo log.
 *
 *     htt_fake_table *orders;
 *     rc = htt_fake_table_get(db->fake, "orders", &orders);
 *     rc = htt_fake_put(orders, key, value);
 *     for (const htt_fake_row *row = htt_fake_first(orders, prefix); row != NULL;
 *          row = htt_fake_next(orders, row)) ...
 *
 * Keys and values are bytes; keys compare by memcmp, so a part that wants numbers in order writes
 * them big-endian (htt_fake_number). Every change is in the undo log while a scope is entered;
 * outside of one it is committed at once. A row is borrowed until its key is written or removed and
 * no scope is entered any more, or until a rollback that undoes it.
 */
#ifndef HTT_SQL_BASE_FAKE_H
#define HTT_SQL_BASE_FAKE_H

#include "sql/base/db.h"

typedef struct htt_fake_table htt_fake_table;

/* Bytes, borrowed. */
typedef struct htt_fake_bytes {
    const void *data; /* may be NULL when size is 0 */
    size_t size;      /* bytes */
} htt_fake_bytes;

typedef struct htt_fake_row {
    htt_fake_bytes key;   /* behind the struct */
    htt_fake_bytes value; /* behind the key */
} htt_fake_row;

/* NULL: no memory. The db is borrowed, for errors and its depth. */
htt_fake *htt_fake_new(htt_db *db);
void htt_fake_free(htt_fake *fake);

/* The table of that name, made empty when it is not there. Borrowed until the fake is freed. */
htt_rc htt_fake_table_get(htt_fake *fake, const char *name, htt_fake_table **table_out);

size_t htt_fake_count(const htt_fake_table *table);
/* NULL: there is none. */
const htt_fake_row *htt_fake_find(const htt_fake_table *table, htt_fake_bytes key);
/* Replaces or inserts; both are copied. HTT_NOMEM: nothing changed. */
htt_rc htt_fake_put(htt_fake_table *table, htt_fake_bytes key, htt_fake_bytes value);
/* HTT_NOTFOUND, without a text: there is none. HTT_NOMEM: nothing changed. */
htt_rc htt_fake_remove(htt_fake_table *table, htt_fake_bytes key);

/*
 * In the order of keys: the first row whose key is not less than `from`; the first behind `row`'s
 * key, whether that is still there or not; the last. NULL: none.
 */
const htt_fake_row *htt_fake_first(const htt_fake_table *table, htt_fake_bytes from);
const htt_fake_row *htt_fake_next(const htt_fake_table *table, const htt_fake_row *row);
const htt_fake_row *htt_fake_last(const htt_fake_table *table);

/* 8 bytes that order as the number does. */
void htt_fake_number(int64_t number, uint8_t bytes_out[8]);
int64_t htt_fake_number_back(const uint8_t bytes[8]);

/* For scopes: the log's length; undo all behind a mark; forget the log. */
size_t htt_fake_mark(const htt_fake *fake);
void htt_fake_undo(htt_fake *fake, size_t mark);
void htt_fake_commit(htt_fake *fake);

#endif
