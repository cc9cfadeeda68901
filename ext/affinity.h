/* SPDX-License-Identifier: MIT */
/*
 * Values between SQLite and the engine, with a column's affinity applied as an ordinary table
 * applies it. SQLite hands raw values to a virtual table.
 */
#ifndef HTT_EXT_AFFINITY_H
#define HTT_EXT_AFFINITY_H

#include <stdbool.h>

#include "api.h"
#include "engine/htt.h"
#include "lender.h"
#include "surrogate.h"

typedef enum htt_affinity {
    HTT_AFFINITY_BLOB, /* none: a value stays what it is */
    HTT_AFFINITY_TEXT,
    HTT_AFFINITY_NUMERIC,
    HTT_AFFINITY_INTEGER, /* as NUMERIC; they differ in CAST only */
    HTT_AFFINITY_REAL
} htt_affinity;

/* A value on its way into the engine. */
typedef struct htt_cell {
    htt_datum datum;                  /* borrowed: the sqlite3_value, `scratch` or `texts` */
    uint8_t scratch[HTT_NUMBER_SIZE]; /* bytes of a number */
} htt_cell;

/* The affinity of a declared type, "" = none, by SQLite's rules. */
htt_affinity htt_affinity_of_type(const char *type);

/*
 * `value` as it is stored in a column, or as a key. The datum is valid until the value changes,
 * the cell moves or `texts` is freed. SQLITE_OK or SQLITE_NOMEM.
 */
int htt_affinity_value(sqlite3_value *value, htt_affinity affinity, htt_surrogate_texts *texts,
                       htt_cell *cell_out);
int htt_affinity_key(sqlite3_value *value, htt_affinity affinity, htt_surrogate_texts *texts,
                     htt_cell *cell_out);

/* How values go to SQLite. */
typedef struct htt_results {
    htt_lender *lender; /* owned */
    bool utf16;         /* the databases are, as of the last table that was connected */
} htt_results;

/* Gives a stored value, or a stored key, to SQLite. HTT_CORRUPT: bytes that nobody writes. */
htt_rc htt_affinity_result_value(sqlite3_context *context, htt_datum value,
                                 const htt_results *results);
htt_rc htt_affinity_result_key(sqlite3_context *context, htt_datum key,
                               const htt_results *results);

#endif
