/* SPDX-License-Identifier: MIT */
/*
 * What the files of the SQL subjects share: bench_sql.c runs the statements, the same for all;
 * bench_sql_open.c makes the connection and the table, which is where they differ.
 */
#ifndef BENCH_SQL_H
#define BENCH_SQL_H

#include <sqlite3.h>

#include "bench.h"
#include "bench_floor.h"

typedef enum sql_kind {
    SQL_ORDINARY,  /* a WITHOUT ROWID table */
    SQL_ROWID,     /* a rowid table with an index on its key */
    SQL_HTT,       /* a virtual table of the module htt */
    SQL_FLOOR,     /* a virtual table over a hash table in memory; host ":memory:" */
    SQL_FLOOR_FILE /* the same; the host is a file */
} sql_kind;

typedef enum sql_statement {
    SQL_BEGIN_READ,
    SQL_BEGIN_WRITE,
    SQL_COMMIT,
    SQL_GET,
    SQL_GET_MANY, /* made up, too long to write */
    SQL_INSERT,
    SQL_PUT,
    SQL_UPDATE,
    SQL_DELETE,
    SQL_SCAN,
    SQL_COUNT,
    SQL_STATEMENTS /* how many */
} sql_statement;

typedef struct sql_state {
    const bench_config *config;               /* borrowed */
    sql_kind kind;                            /* of the table */
    bench_floor *floor;                       /* rows of SQL_FLOOR and SQL_FLOOR_FILE; owned */
    sqlite3 *db;                              /* open */
    sqlite3_stmt *statements[SQL_STATEMENTS]; /* prepared */
    size_t many;                              /* parameters of SQL_GET_MANY */
} sql_state;

/* Ends the program unless `good`. */
void bench_sql_must(const sql_state *state, bool good, const char *what);

/* Runs statements without results; a statement that gives one number. */
void bench_sql_run(const sql_state *state, const char *text);
uint64_t bench_sql_number(const sql_state *state, const char *text);

/* Prepares all statements, and finalizes them. */
void bench_sql_prepare(sql_state *state);
void bench_sql_finalize(sql_state *state);

/* Functions of bench_subject. A single statement is its own transaction, so get is get_alone. */
void bench_sql_begin(void *subject, bool write);
void bench_sql_commit(void *subject);
bool bench_sql_get(void *subject, const uint8_t *key, uint8_t version);
bool bench_sql_get_many(void *subject, const uint8_t *keys, size_t count);
void bench_sql_insert(void *subject, const uint8_t *key, const uint8_t *value);
void bench_sql_put(void *subject, const uint8_t *key, const uint8_t *value);
void bench_sql_update(void *subject, const uint8_t *key, const uint8_t *value);
void bench_sql_delete(void *subject, const uint8_t *key);
bool bench_sql_scan(void *subject, bench_scan *scan_out);
uint64_t bench_sql_count(void *subject);

#endif
