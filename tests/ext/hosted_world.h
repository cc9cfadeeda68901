/* SPDX-License-Identifier: MIT */
/*
 * Scenarios on a hosted table, each run in every journal mode and in two forms: where commits leave
 * rows in the outbox, and where every commit folds them into pages.
 *
 *     static void test_hosted__x(hosted_world *world) {
 *         run(world->db, "INSERT INTO kv VALUES (2, 'two')");
 *         hosted_settle(world, "1|one\n2|two");
 *     }
 *     int main(void) {
 *         static const hosted_scenario scenarios[] = {hosted_case(test_hosted__x)};
 *         return hosted_run(scenarios, sizeof scenarios / sizeof scenarios[0]);
 *     }
 */
#ifndef HTT_TESTS_EXT_HOSTED_WORLD_H
#define HTT_TESTS_EXT_HOSTED_WORLD_H

#include "fixture.h"

/* Of one run. */
typedef struct hosted_kind {
    const char *mode;    /* journal_mode */
    const char *options; /* of tables, with a comma before each */
} hosted_kind;

typedef struct hosted_world {
    void *fixture;           /* for fixture_*: &world->fixture */
    const hosted_kind *kind; /* mode and form */
    sqlite3 *db;             /* of the fixture; has kv(key, value) in kv.htt with the row 1|one */
} hosted_world;

typedef struct hosted_scenario {
    const char *name;           /* of the function */
    void (*f)(hosted_world *w); /* the test */
} hosted_scenario;

#define hosted_case(f)                                                                             \
    { #f, f }

extern const char hosted_all[]; /* SELECT of all rows of kv, in order */

/* What main returns. */
int hosted_run(const hosted_scenario *scenarios, size_t count);

bool hosted_is_wal(const hosted_world *world);
bool hosted_folds(const hosted_world *world);

/* CREATE VIRTUAL TABLE with the options of the world's form. */
void hosted_make(const hosted_world *world, sqlite3 *db, const char *table, const char *file);
/* Another connection to the world's database. */
sqlite3 *hosted_open(hosted_world *world);
void hosted_close(sqlite3 *db);
/* Steps a statement to its first row. */
sqlite3_stmt *hosted_step(sqlite3 *db, const char *sql);
/* A second connection's unfinished read: COMMIT gives SQLITE_BUSY in rollback modes. */
sqlite3_stmt *hosted_reader(sqlite3 *other);

/* All rows of kv are `rows`: here, for another connection, after opening anew; htt_check is ok. */
void hosted_settle_at(hosted_world *world, const char *rows, const char *file, int line);
#define hosted_settle(world, rows) hosted_settle_at(world, rows, __FILE__, __LINE__)

/*
 * The module "refuser": a table that takes every row and forgets it. Its xSync returns
 * `*code`, which must live as long as the connection.
 */
void hosted_add_refuser(sqlite3 *db, int *code);

#endif
