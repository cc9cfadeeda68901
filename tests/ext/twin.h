/* SPDX-License-Identifier: MIT */
/*
 * The twin: two worlds that get the same statements. One has htt tables, the other ordinary
 * WITHOUT ROWID tables of the same declaration; whatever a statement does must be the same in both.
 *
 *     world    database    attached as other    connections
 *     htt      htt.db      htt2.db              up to 3, in pairs with those of the other world:
 *     plain    plain.db    plain2.db            what one does, its partner does
 *
 *     tables   t, other.t2                      of twin_kind
 *              source, log, pulled              ordinary ones
 *
 * What is done is a list of lines, so that a run can be written down and done again in part:
 *
 *     VERB PAIR <tab> SQL FOR HTT <tab> SQL FOR PLAIN
 */
#ifndef HTT_TESTS_EXT_TWIN_H
#define HTT_TESTS_EXT_TWIN_H

#include "fixture.h"

#include <stdio.h>

#define TWIN_SQL_SIZE 4096
#define TWIN_PAIRS_MAX 3
#define TWIN_TRACE_LINES 80
#define TWIN_TRACE_SIZE 400

/* A declaration to try. */
typedef struct twin_kind {
    const char *name;      /* of the run */
    const char *arguments; /* behind the file's name in USING htt(...), "" = none */
    const char *columns;   /* of the ordinary table */
    const char *key;       /* name of the key column */
    const char *others[4]; /* names of the others, NULL = no more */
    bool text_key;         /* the key is TEXT or untyped: numbers from columns are left out */
} twin_kind;

extern const twin_kind twin_kinds[];
extern const unsigned twin_kind_count;

/* What a run is made of. */
typedef struct twin_setup {
    unsigned kind;       /* index into twin_kinds */
    unsigned pairs;      /* connections in each world */
    bool other;          /* there is an attached database */
    char mode[16];       /* journal_mode */
    char encoding[16];   /* of the databases */
    char options[160];   /* of the htt tables: ", name=value" ... */
    unsigned checkpoint; /* wal_autocheckpoint */
} twin_setup;

/* A line begins with one of these. */
typedef enum twin_verb {
    TWIN_RUN = 'R',     /* a statement; the outcomes are compared */
    TWIN_READ = 'S',    /* a step of the open SELECT; opens it where SQL is given */
    TWIN_SHUT = 'U',    /* closes the open SELECT */
    TWIN_COMPARE = 'C', /* what the tables hold */
    TWIN_CHECK = 'K',   /* the htt file is sound */
    TWIN_REOPEN = 'O'   /* closes the connection, opens it again */
} twin_verb;

/* A connection of each world. [0] is that of htt. */
typedef struct twin_pair {
    sqlite3 *db[2];          /* the connections */
    sqlite3_stmt *reader[2]; /* an open SELECT, NULL = none */
    uint64_t sum[2];         /* of the rows that it gave */
    bool changed;            /* something was written behind the open SELECT's back */
    bool counted;            /* changes() must be the same */
    bool pinned;             /* the htt tables were read in this transaction */
} twin_pair;

typedef struct twin {
    twin_setup setup;                /* as it was asked for */
    const twin_kind *kind;           /* what is declared */
    char folder[256];                /* of its own */
    twin_pair pairs[TWIN_PAIRS_MAX]; /* connections */
    sqlite3 *watch[2];               /* WAL: sees whether something was committed */
    sqlite3_stmt *version[2][2];     /* of it: PRAGMA data_version of main, other */
    int seen[2][2];                  /* what they gave last */
    bool missing;                    /* the last statement found no t */
    bool has_fold;                   /* there is htt_fold */
    unsigned step;                   /* lines so far */
    unsigned lost;                   /* snapshots that were gone */
    unsigned busy;                   /* outcomes of SQLITE_BUSY */
    FILE *log;                       /* where the lines are written down, NULL = nowhere */
    char trace[TWIN_TRACE_LINES][TWIN_TRACE_SIZE]; /* the last lines */

    /* Making statements: */
    uint64_t random;         /* state of the generator */
    unsigned pair;           /* who makes the statement */
    const char *table;       /* that it is about */
    char sql[TWIN_SQL_SIZE]; /* the statement being made */
    size_t size;             /* bytes in it */
    bool mixed;              /* it reads the table of the other schema */
} twin;

/* The two worlds, with their tables. Freed by twin_close, which compares once more. */
twin *twin_open(const twin_setup *setup, FILE *log);
void twin_close(twin *t);

/* Does one line in both worlds. Fails the test where they differ. */
void twin_act(twin *t, twin_verb verb, unsigned pair, const char *htt, const char *plain);

/* Fails the test, with the last lines. */
void twin_report(const twin *t, const char *what, const char *htt, const char *plain);

/* The setup of a run by its number, and a random line (twin_make.c). */
void twin_choose(twin_setup *setup, unsigned run, uint64_t seed);
void twin_make(twin *t);

/* Random numbers (twin_make.c); for the statements (twin_statement.c). */
unsigned twin_below(twin *t, unsigned limit);
/* Puts a statement about t->table into t->sql. */
void twin_statement(twin *t);

#endif
