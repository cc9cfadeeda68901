/* SPDX-License-Identifier: MIT */
/*
 * Keys and values between the engine and the columns of htt_outbox, without loss.
 */
#ifndef HTT_EXT_OUTBOX_VALUE_H
#define HTT_EXT_OUTBOX_VALUE_H

#include <stdbool.h>

#include "api.h"
#include "engine/htt.h"
#include "overlay.h"

/* The column op: what is done, and how it is stored. */
enum {
    HTT_OUTBOX_OP_MASK = 15,       /* htt_op */
    HTT_OUTBOX_KEY_IS_TEXT = 16,   /* the key is text, stored as a blob */
    HTT_OUTBOX_VALUE_IS_TEXT = 32, /* the value is */
    HTT_OUTBOX_FLAGS = HTT_OUTBOX_KEY_IS_TEXT | HTT_OUTBOX_VALUE_IS_TEXT
};

/* The column op of a change. */
int htt_outbox_value_op(htt_op op, htt_datum key, htt_datum value);

/*
 * Binds key and value to `first` and the parameter after it. `op` is the column. The bytes must
 * stay until the bindings are cleared. An SQLite code.
 */
int htt_outbox_value_bind(sqlite3_stmt *statement, int first, int op, htt_datum key,
                          htt_datum value);

/* Reads a column; borrowed until the next step, or from scratch. */
typedef struct htt_outbox_cell {
    htt_datum datum;                  /* what was read */
    uint8_t scratch[HTT_NUMBER_SIZE]; /* bytes of a number */
} htt_outbox_cell;

/* SQLITE_OK, SQLITE_NOMEM, or SQLITE_CORRUPT_VTAB: libhtt does not write such a thing. */
int htt_outbox_value_read_key(sqlite3_stmt *statement, int column, int op,
                              htt_outbox_cell *cell_out);
int htt_outbox_value_read(sqlite3_stmt *statement, int column, int op, htt_outbox_cell *cell_out);

#endif
