/* SPDX-License-Identifier: MIT */
/*
 * The columns of an htt table: what was declared, in one canonical text that is stored in the
 * file, and how two declarations compare.
 *
 *     id INTEGER PRIMARY KEY, name TEXT NOT NULL, note COLLATE NOCASE
 *
 * No columns declared, or exactly `key PRIMARY KEY, value`, is the plain form: its text is "", and
 * a row's value is stored as it is. In every other table a row's value is an HTT_ROW of the
 * columns but the key, in the order of their declaration.
 */
#ifndef HTT_EXT_DECLARATION_H
#define HTT_EXT_DECLARATION_H

#include <stdbool.h>

#include "affinity.h"

typedef struct htt_column {
    char *name;            /* as declared, without quotes; owned */
    char *type;            /* "" = none; words with one space between; owned */
    char *collation;       /* NULL = BINARY; owned */
    htt_affinity affinity; /* of the type, by SQLite's rules */
    bool not_null;         /* NULL is refused; always true for the key */
    bool primary;          /* PRIMARY KEY stood in the column's declaration */
} htt_column;

typedef struct htt_declaration {
    htt_column *columns; /* owned */
    int count;           /* columns */
    int capacity;        /* columns that `columns` has room for */
    int key;             /* index of the key column */
    bool plain;          /* the form whose rows are single values */
    char *key_name;      /* from PRIMARY KEY(name), NULL = none; owned */
    char *text;          /* canonical text, "" for the plain form; owned */
} htt_declaration;

typedef enum htt_declaration_match {
    HTT_DECLARATION_EQUAL,    /* the same columns */
    HTT_DECLARATION_EXTENDED, /* further columns at the end, that may be NULL */
    HTT_DECLARATION_DIFFERENT /* anything else */
} htt_declaration_match;

/*
 * Building one: begin, add each argument, finish. `argument` is a column declaration or a table
 * constraint. They return an SQLite code; *message_out is set on failure (sqlite3_free).
 */
void htt_declaration_init(htt_declaration *declaration);
int htt_declaration_add(htt_declaration *declaration, const char *argument, char **message_out);
int htt_declaration_finish(htt_declaration *declaration, char **message_out);
void htt_declaration_clear(htt_declaration *declaration);

/* Columns but the key. */
int htt_declaration_value_count(const htt_declaration *declaration);

/* The text for a reader: as stored, the plain form spelt out. */
const char *htt_declaration_words(const char *text);

/* What sqlite3_declare_vtab is given. Caller frees with sqlite3_free. NULL: out of memory. */
char *htt_declaration_sql(const htt_declaration *declaration);

/* How `declaration` relates to the text that a file holds. A text of others is DIFFERENT. */
int htt_declaration_compare(const htt_declaration *declaration, const char *stored,
                            htt_declaration_match *match_out);

#endif
