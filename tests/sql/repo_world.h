/* SPDX-License-Identifier: MIT */
/*
 * What the tests of repositories and units share: a db of each kind, with the same two tables.
 *
 *   things   key, value                        of any type
 *   orders   id, customer, total, photo, version
 */
#ifndef HTT_TESTS_SQL_REPO_WORLD_H
#define HTT_TESTS_SQL_REPO_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "sql/htt_repo.h"

typedef enum world_kind {
    WORLD_FAKE,         /* htt_db_open_fake */
    WORLD_TABLE,        /* ordinary tables: INTEGER PRIMARY KEY, PRIMARY KEY */
    WORLD_UNIQUE,       /* ordinary tables whose key is UNIQUE */
    WORLD_WITHOUT,      /* WITHOUT ROWID */
    WORLD_HTT,          /* htt tables of a database with a file */
    WORLD_HTT_MEMORY,   /* htt tables of ':memory:' */
    WORLD_ATTACHED_HTT, /* htt tables of an attached database */
    WORLD_KINDS
} world_kind;

extern const char *const world_names[WORLD_KINDS];

typedef struct repo_world {
    world_kind kind;     /* of db */
    char folder[64];     /* of its own; removed at the end */
    sqlite3 *connection; /* NULL: the fake */
    htt_db *db;          /* with the tables */
} repo_world;

void repo_world_open(repo_world *world, world_kind kind);
void repo_world_close(repo_world *world);
/* Another connection to the same database, with the module. */
sqlite3 *world_connect(const repo_world *world);
void world_exec(sqlite3 *connection, const char *sql);

/* Fails the test with the db's message. */
void world_expect(const htt_db *db, htt_rc rc, htt_rc expected, const char *file, int line);
#define expect_rc(db, call, expected) world_expect(db, call, expected, __FILE__, __LINE__)
#define expect_ok(db, call) world_expect(db, call, HTT_OK, __FILE__, __LINE__)
/* A part of the db's message. */
void world_expect_text(const htt_db *db, const char *part, const char *file, int line);
#define expect_text(db, part) world_expect_text(db, part, __FILE__, __LINE__)

/* An object of several columns. */
typedef struct test_order {
    int64_t id;        /* of its key */
    char customer[32]; /* text */
    double total;      /* real */
    uint8_t photo[16]; /* blob */
    size_t photo_size; /* of photo; 0 = NULL */
} test_order;

extern int64_t order_alive; /* objects that the codec made and did not free */
extern htt_rc order_fails;  /* what the codec's decode gives instead; HTT_OK: it works */

const htt_codec *order_codec(void);
/* Of the table orders, with or without its version column. */
htt_repo_spec order_spec(bool versioned);
htt_repo_spec thing_spec(const htt_codec *codec);

#endif
