/* SPDX-License-Identifier: MIT */
/*
 * SQLite's allocator fails: the n-th allocation, once and from then on, for ever larger n. Every
 * statement works or says SQLITE_NOMEM; nothing is leaked and the table stays sound.
 *
 * ctest: timeout=240
 */
#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int sqlite3_htt_init(sqlite3 *db, char **message_out, const void *api);

static sqlite3_mem_methods memory_system; /* the allocator behind */
static unsigned memory_calls;             /* allocations since the last arming */
static unsigned memory_fail_at;           /* the one that fails, 0 = none */
static bool memory_fail_on;               /* and all that follow */

static bool memory_fails(void) {
    memory_calls++;
    return memory_fail_at > 0 &&
           (memory_calls == memory_fail_at || (memory_fail_on && memory_calls > memory_fail_at));
}

static void *memory_malloc(int size) {
    return memory_fails() ? NULL : memory_system.xMalloc(size);
}

static void *memory_realloc(void *memory, int size) {
    return memory_fails() ? NULL : memory_system.xRealloc(memory, size);
}

/* The rows go into the outbox, or every commit folds. */
static const char *const memory_creates[] = {
    "CREATE VIRTUAL TABLE kv USING htt('kv.htt', sync=off, k TEXT PRIMARY KEY, a INT, b NOT NULL)",
    "CREATE VIRTUAL TABLE kv USING htt('kv.htt', sync=off, fold_rows=1, k TEXT PRIMARY KEY, a INT, "
    "b NOT NULL)",
};

static const char *const memory_work[] = {
    "INSERT INTO kv VALUES ('one', '1', x'01'), ('two', 2.0, zeroblob(3000)), (3, NULL, 'three')",
    "SELECT * FROM kv WHERE k = 'two'",
    "SELECT count(*), sum(length(b)) FROM kv WHERE k IN ('one', 'two', 3, 'four')",
    "SELECT * FROM kv ORDER BY k",
    "BEGIN",
    "UPDATE kv SET a = a + 1",
    "SAVEPOINT s",
    "UPDATE kv SET k = k || 'x'",
    "ROLLBACK TO s",
    "INSERT OR REPLACE INTO kv SELECT k || ' copy', a, b FROM kv",
    "INSERT OR IGNORE INTO kv VALUES ('one', 1, 1)",
    "DELETE FROM kv WHERE k = 'two'",
    "COMMIT",
    "SELECT * FROM htt_stat('kv')",
    "SELECT * FROM htt_check('kv')",
    "SELECT htt_backup('kv', 'copy.htt')",
    "ALTER TABLE kv RENAME TO kw",
    "BEGIN",
    "DELETE FROM kw WHERE k = 'one'",
    "DROP TABLE kw",
    "ROLLBACK",
    "SELECT count(*) FROM kw",
};
enum { MEMORY_STATEMENTS = sizeof memory_work / sizeof memory_work[0] };

/* Opens and runs all statements, whatever fails. False: so many allocations there are not. */
static bool memory_run(const char *path, const char *create, unsigned fail_at, bool fail_on) {
    sqlite3 *db = NULL;
    char *message = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    sqlite3_db_config(db, SQLITE_DBCONFIG_LOOKASIDE, NULL, 0, 0);
    memory_calls = 0;
    memory_fail_at = fail_at;
    memory_fail_on = fail_on;
    const int rc = sqlite3_htt_init(db, &message, NULL);
    sqlite3_free(message);
    if (rc == SQLITE_OK) {
        (void)sqlite3_exec(db, "PRAGMA synchronous = OFF", NULL, NULL, NULL);
        (void)sqlite3_exec(db, create, NULL, NULL, NULL);
    }
    for (int i = 0; i < MEMORY_STATEMENTS && rc == SQLITE_OK; i++) {
        (void)sqlite3_exec(db, memory_work[i], NULL, NULL, NULL);
    }
    const bool reached = memory_fail_at > 0 && memory_calls >= memory_fail_at;
    memory_fail_at = 0;
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    return reached;
}

/* What was left by a round is a database, and its table, if it is there, is sound. */
static void memory_check(const char *path) {
    sqlite3 *const db = fixture_open_path(path);
    char *const table =
        fixture_query(db, "SELECT name FROM sqlite_schema WHERE rootpage = 0 AND type = 'table'");
    if (table[0] != '\0') {
        char *const sql = sqlite3_mprintf("SELECT * FROM htt_check('%q')", table);
        expect(db, sql, "ok");
        sqlite3_free(sql);
    }
    sqlite3_free(table);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void memory_sweep(const char *create, bool fail_on) {
    const bool every = getenv("HTT_TEST_LONG") != NULL;
    bool reached = true;
    unsigned rounds = 0;
    for (unsigned at = 1; reached; at += every ? 1 : 1 + at / 40) {
        char folder[256];
        char path[512];
        fixture_make_folder(folder, sizeof folder);
        snprintf(path, sizeof path, "%s/test.db", folder);
        reached = memory_run(path, create, at, fail_on);
        memory_check(path);
        fixture_remove_folder(folder);
        rounds++;
    }
    print_message("%u rounds\n", rounds);
}

static void test_memory__each_allocation_fails_once(void **state) {
    (void)state;
    memory_sweep(memory_creates[0], false);
}

static void test_memory__all_allocations_fail_from_one_on(void **state) {
    (void)state;
    memory_sweep(memory_creates[0], true);
}

static void test_memory__each_allocation_fails_once_where_every_commit_folds(void **state) {
    (void)state;
    memory_sweep(memory_creates[1], false);
}

static void test_memory__all_allocations_fail_where_every_commit_folds(void **state) {
    (void)state;
    memory_sweep(memory_creates[1], true);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memory__each_allocation_fails_once),
        cmocka_unit_test(test_memory__all_allocations_fail_from_one_on),
        cmocka_unit_test(test_memory__each_allocation_fails_once_where_every_commit_folds),
        cmocka_unit_test(test_memory__all_allocations_fail_where_every_commit_folds),
    };
    sqlite3_mem_methods methods;
    if (sqlite3_config(SQLITE_CONFIG_GETMALLOC, &memory_system) != SQLITE_OK) {
        return 1;
    }
    methods = memory_system;
    methods.xMalloc = memory_malloc;
    methods.xRealloc = memory_realloc;
    if (sqlite3_config(SQLITE_CONFIG_MALLOC, &methods) != SQLITE_OK) {
        return 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
