/* SPDX-License-Identifier: MIT */
/*
 * A table-valued function of one htt table, as htt_stat('kv') or htt_stat('kv', 'main'): all rows
 * are made at once when the query begins.
 */
#ifndef HTT_EXT_REPORT_H
#define HTT_EXT_REPORT_H

#include "vtab.h"

enum { HTT_REPORT_COLUMNS_MAX = 3 };

/* A value of a row; type is SQLITE_INTEGER, SQLITE_FLOAT, SQLITE_TEXT or SQLITE_NULL. */
typedef struct htt_report_value {
    int type;              /* which of the others counts */
    sqlite3_int64 integer; /* SQLITE_INTEGER */
    double real;           /* SQLITE_FLOAT */
    char *text;            /* SQLITE_TEXT; owned */
} htt_report_value;

typedef struct htt_report_row {
    htt_report_value values[HTT_REPORT_COLUMNS_MAX]; /* of the columns but table and schema */
} htt_report_row;

typedef struct htt_report {
    htt_report_row *rows; /* owned */
    size_t count;         /* rows */
    size_t capacity;      /* rows that there is room for */
} htt_report;

/*
 * What a function is. Its columns: `visible` ones, then `table` and `schema`, which are hidden and
 * take the arguments, then further hidden ones.
 */
typedef struct htt_report_kind {
    const char *name;    /* of the function */
    const char *declare; /* CREATE TABLE x(...) */
    int visible;         /* columns before table and schema */
    /* Fills the rows. An SQLite code, *message_out on failure. */
    int (*fill)(htt_table *table, htt_report *report, char **message_out);
} htt_report_kind;

/* Registers it. `kind` must stay. Takes a reference to the registry. */
int htt_report_register(htt_registry *registry, const htt_report_kind *kind);

/* A new row of NULLs, NULL: out of memory. */
htt_report_row *htt_report_add(htt_report *report);
/* Forgets the rows from `count` on. */
void htt_report_cut(htt_report *report, size_t count);
void htt_report_clear(htt_report *report);

#endif
