/* SPDX-License-Identifier: MIT */
/*
 * Runs scenarios in every journal mode and form.
 */
#include "hosted_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char hosted_all[] = "SELECT key, value FROM kv ORDER BY key";

static const hosted_kind hosted_kinds[] = {
    {"wal", ""},
    {"delete", ""},
    {"truncate", ""},
    {"persist", ""},
    {"wal", ", fold_rows=1"},
    {"delete", ", fold_rows=1"},
    {"truncate", ", fold_rows=1, mmap=off"},
    {"persist", ", fold_rows=1"},
};
enum { HOSTED_KINDS = sizeof hosted_kinds / sizeof hosted_kinds[0] };

/* What a test of cmocka is given. */
typedef struct hosted_test {
    const hosted_scenario *scenario; /* what it runs */
    const hosted_kind *kind;         /* in which world */
    hosted_world *world;             /* while it runs; owned */
    char name[160];                  /* with the kind */
} hosted_test;

bool hosted_is_wal(const hosted_world *world) {
    return strcmp(world->kind->mode, "wal") == 0;
}

bool hosted_folds(const hosted_world *world) {
    return world->kind->options[0] != '\0';
}

void hosted_make(const hosted_world *world, sqlite3 *db, const char *table, const char *file) {
    char sql[256];
    snprintf(sql, sizeof sql, "CREATE VIRTUAL TABLE %s USING htt('%s'%s)", table, file,
             world->kind->options);
    run(db, sql);
}

sqlite3 *hosted_open(hosted_world *world) {
    return fixture_open(&world->fixture, NULL);
}

void hosted_close(sqlite3 *db) {
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

sqlite3_stmt *hosted_step(sqlite3 *db, const char *sql) {
    sqlite3_stmt *statement = NULL;
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    return statement;
}

sqlite3_stmt *hosted_reader(sqlite3 *other) {
    return hosted_step(other, "SELECT 1 FROM sqlite_schema");
}

void hosted_settle_at(hosted_world *world, const char *rows, const char *file, int line) {
    fixture_expect(world->db, hosted_all, rows, file, line);
    sqlite3 *const other = hosted_open(world);
    fixture_expect(other, hosted_all, rows, file, line);
    hosted_close(other);
    fixture_expect(world->db, "SELECT * FROM htt_check('kv')", "ok", file, line);
    world->db = fixture_reopen(&world->fixture);
    fixture_expect(world->db, hosted_all, rows, file, line);
    fixture_expect(world->db, "SELECT * FROM htt_check('kv')", "ok", file, line);
}

/* ----------------------------------------------------------------- the runs */

static int hosted_setup(void **state) {
    hosted_test *const test = *state;
    char sql[64];
    hosted_world *const world = calloc(1, sizeof *world);
    assert_non_null(world);
    test->world = world;
    world->kind = test->kind;
    if (fixture_setup(&world->fixture) != 0) {
        return -1;
    }
    world->db = fixture_db(&world->fixture);
    snprintf(sql, sizeof sql, "PRAGMA journal_mode = %s", test->kind->mode);
    expect(world->db, sql, test->kind->mode);
    hosted_make(world, world->db, "kv", "kv.htt");
    run(world->db, "INSERT INTO kv VALUES (1, 'one')");
    return 0;
}

static int hosted_teardown(void **state) {
    hosted_test *const test = *state;
    const int rc = fixture_teardown(&test->world->fixture);
    free(test->world);
    test->world = NULL;
    return rc;
}

static void hosted_call(void **state) {
    const hosted_test *const test = *state;
    test->scenario->f(test->world);
}

int hosted_run(const hosted_scenario *scenarios, size_t count) {
    const size_t runs = count * HOSTED_KINDS;
    struct CMUnitTest *const units = calloc(runs, sizeof *units);
    hosted_test *const tests = calloc(runs, sizeof *tests);
    if (units == NULL || tests == NULL) {
        abort();
    }
    for (size_t i = 0; i < runs; i++) {
        hosted_test *const test = &tests[i];
        test->scenario = &scenarios[i / HOSTED_KINDS];
        test->kind = &hosted_kinds[i % HOSTED_KINDS];
        snprintf(test->name, sizeof test->name, "%s [%s%s]", test->scenario->name, test->kind->mode,
                 test->kind->options);
        units[i] = (struct CMUnitTest){.name = test->name,
                                       .test_func = hosted_call,
                                       .setup_func = hosted_setup,
                                       .teardown_func = hosted_teardown,
                                       .initial_state = test};
    }
    const int failed = _cmocka_run_group_tests("hosted", units, runs, NULL, NULL);
    free(tests);
    free(units);
    return failed;
}

/* -------------------------------------------------------------- the refuser */

typedef struct refuser {
    sqlite3_vtab base; /* must be first */
    int *code;         /* what xSync returns; borrowed */
} refuser;

static int refuser_connect(sqlite3 *db, void *aux, int argc, const char *const *argv,
                           sqlite3_vtab **vtab_out, char **message_out) {
    (void)argc;
    (void)argv;
    (void)message_out;
    refuser *const made = sqlite3_malloc64(sizeof *made);
    if (made == NULL) {
        return SQLITE_NOMEM;
    }
    *made = (refuser){.code = aux};
    *vtab_out = &made->base;
    return sqlite3_declare_vtab(db, "CREATE TABLE refuser(x)");
}

static int refuser_disconnect(sqlite3_vtab *vtab) {
    sqlite3_free(vtab);
    return SQLITE_OK;
}

static int refuser_plan(sqlite3_vtab *vtab, sqlite3_index_info *info) {
    (void)vtab;
    (void)info;
    return SQLITE_OK;
}

static int refuser_open(sqlite3_vtab *vtab, sqlite3_vtab_cursor **cursor_out) {
    (void)vtab;
    (void)cursor_out;
    return SQLITE_ERROR;
}

static int refuser_update(sqlite3_vtab *vtab, int argc, sqlite3_value **argv,
                          sqlite3_int64 *rowid_out) {
    (void)vtab;
    (void)argc;
    (void)argv;
    *rowid_out = 1;
    return SQLITE_OK;
}

static int refuser_sync(sqlite3_vtab *vtab) {
    return *((const refuser *)vtab)->code;
}

static int refuser_nothing(sqlite3_vtab *vtab) {
    (void)vtab;
    return SQLITE_OK;
}

void hosted_add_refuser(sqlite3 *db, int *code) {
    static const sqlite3_module module = {.iVersion = 1,
                                          .xCreate = refuser_connect,
                                          .xConnect = refuser_connect,
                                          .xBestIndex = refuser_plan,
                                          .xDisconnect = refuser_disconnect,
                                          .xDestroy = refuser_disconnect,
                                          .xOpen = refuser_open,
                                          .xUpdate = refuser_update,
                                          .xBegin = refuser_nothing,
                                          .xSync = refuser_sync,
                                          .xCommit = refuser_nothing,
                                          .xRollback = refuser_nothing};
    assert_int_equal(sqlite3_create_module(db, "refuser", &module, code), SQLITE_OK);
    run(db, "CREATE VIRTUAL TABLE refuser USING refuser");
}
