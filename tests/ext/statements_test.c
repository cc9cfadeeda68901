/* SPDX-License-Identifier: MIT */
/*
 * SQL statements around an htt table: what SQLite makes of them, and what it refuses.
 */
#include "fixture.h"

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static sqlite3 *statements_make(void **state) {
    sqlite3 *const db = fixture_db(state);
    run(db, "CREATE VIRTUAL TABLE kv USING htt('kv.htt', sync=off);"
            "INSERT INTO kv VALUES (1, 'one'), (2, 'two'), (3, 'three')");
    return db;
}

static void test_statements__vacuum_keeps_the_table(void **state) {
    sqlite3 *db = statements_make(state);
    run(db, "VACUUM; INSERT INTO kv VALUES (4, 'four'); VACUUM");
    expect(db, "SELECT count(*) FROM kv", "4");
    db = fixture_reopen(state);
    expect(db, "SELECT count(*) FROM kv", "4");
}

static void test_statements__create_if_not_exists_and_drop_if_exists(void **state) {
    sqlite3 *const db = statements_make(state);
    run(db, "CREATE VIRTUAL TABLE IF NOT EXISTS kv USING htt('other.htt')");
    expect(db, "SELECT count(*) FROM kv", "3");
    expect(db, "SELECT name FROM htt_store", "kv.htt");
    run(db, "DROP TABLE IF EXISTS kv; DROP TABLE IF EXISTS kv");
}

static void test_statements__copying_into_and_out_of_ordinary_tables(void **state) {
    sqlite3 *const db = statements_make(state);
    run(db,
        "CREATE TABLE plain AS SELECT * FROM kv; INSERT INTO plain SELECT key + 10, value FROM kv;"
        "INSERT OR IGNORE INTO kv SELECT * FROM plain; CREATE VIEW v AS SELECT * FROM kv;"
        "CREATE TABLE list(x); INSERT INTO list SELECT value FROM v WHERE key > 10");
    expect(db, "SELECT count(*) FROM kv", "6");
    expect(db, "SELECT x FROM list ORDER BY 1", "one\nthree\ntwo");
    expect(db, "SELECT kv.value FROM plain JOIN kv USING (key) WHERE plain.key = 12", "two");
    expect(db, "SELECT (SELECT value FROM kv WHERE kv.key = plain.key) FROM plain WHERE key = 3",
           "three");
    expect(db, "SELECT max(key), min(value), group_concat(key) FROM kv WHERE key IN (1, 11)",
           "11|one|1,11");
    expect(db,
           "UPDATE plain SET value = (SELECT value FROM kv WHERE key = 1) WHERE key = 2;"
           "SELECT value FROM plain WHERE key = 2",
           "one");
    expect(db,
           "WITH w AS (SELECT key FROM kv WHERE key < 3) UPDATE kv SET value = 'small' WHERE "
           "key IN w; SELECT group_concat(DISTINCT value) FROM kv WHERE key < 3",
           "small");
    expect(db,
           "UPDATE kv SET value = plain.value FROM plain WHERE plain.key = kv.key + 10;"
           "SELECT value FROM kv WHERE key = 1",
           "one");
}

static void test_statements__what_sqlite_refuses_on_virtual_tables(void **state) {
    sqlite3 *const db = statements_make(state);
    expect_error(db, "CREATE INDEX i ON kv(value)", SQLITE_ERROR,
                 "virtual tables may not be indexed");
    expect_error(db, "CREATE TRIGGER t AFTER INSERT ON kv BEGIN SELECT 1; END", SQLITE_ERROR,
                 "cannot create triggers on virtual tables");
    expect_error(db, "ALTER TABLE kv ADD COLUMN more", SQLITE_ERROR,
                 "virtual tables may not be altered");
    expect_error(db, "INSERT INTO kv VALUES (1, 2) ON CONFLICT(key) DO UPDATE SET value = 2",
                 SQLITE_ERROR, "UPSERT not implemented for virtual table");
    expect_error(db, "UPDATE kv SET value = 1 RETURNING key", SQLITE_ERROR, "UPDATE RETURNING");
    expect_error(db, "SELECT rowid FROM kv", SQLITE_ERROR, "no such column: rowid");
}

static void test_statements__count_changes(void **state) {
    sqlite3 *const db = statements_make(state);
    expect(db, "UPDATE kv SET value = 1; SELECT changes()", "3");
    expect(db, "INSERT OR IGNORE INTO kv VALUES (1, 1), (9, 9); SELECT changes()", "1");
    expect(db, "INSERT OR REPLACE INTO kv VALUES (1, 1), (9, 9); SELECT changes()", "2");
    expect(db, "DELETE FROM kv WHERE key > 100; SELECT changes()", "0");
    expect(db, "DELETE FROM kv; SELECT changes()", "4");
}

static void test_statements__old_handle_is_refused_after_fork(void **state) {
    sqlite3 *const db = statements_make(state);
    expect(db, "SELECT count(*) FROM kv", "3");
    fflush(NULL);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        char *const got = fixture_query(db, "SELECT count(*) FROM kv");
        _exit(strncmp(got, "error", 5) == 0 && strstr(got, "fork") != NULL ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    run(db, "INSERT INTO kv VALUES (4, 'four')");
    expect(db, "SELECT count(*) FROM kv", "4");
}

/* Processes that write and read at the same time: no row is lost, no sum is ever torn. */
static void statements_transfer(const char *path, const char *mode, int rounds, unsigned seed) {
    sqlite3 *const db = fixture_open_path(path);
    sqlite3_busy_timeout(db, 20000);
    char *sql = sqlite3_mprintf("PRAGMA synchronous = OFF; PRAGMA journal_mode = %s", mode);
    sqlite3_free(fixture_query(db, sql));
    sqlite3_free(sql);
    for (int i = 0; i < rounds; i++) {
        seed = seed * 1103515245u + 12345u;
        const int from = (int)(seed >> 16) % 20;
        const int to = (int)(seed >> 8) % 20;
        sql = sqlite3_mprintf("BEGIN IMMEDIATE; UPDATE kv SET value = value - 1 WHERE key = %d;"
                              "UPDATE kv SET value = value + 1 WHERE key = %d; COMMIT",
                              from, to);
        run(db, sql);
        sqlite3_free(sql);
        expect(db, "SELECT count(*), sum(value) FROM kv", "20|2000");
    }
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void statements_race(void **state, const char *mode) {
    enum { PROCESSES = 3, ROUNDS = 60 };
    sqlite3 *db = fixture_db(state);
    char path[512];
    char *const sql = sqlite3_mprintf("PRAGMA journal_mode = %s", mode);
    snprintf(path, sizeof path, "%s", fixture_path(state, "test.db"));
    sqlite3_free(fixture_query(db, sql));
    sqlite3_free(sql);
    run(db, "CREATE VIRTUAL TABLE kv USING htt('kv.htt', sync=off, key INTEGER PRIMARY KEY, "
            "value INT); WITH RECURSIVE c(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM c WHERE "
            "i < 19) INSERT INTO kv SELECT i, 100 FROM c");
    db = fixture_reopen(state);
    fflush(NULL);
    pid_t children[PROCESSES];
    for (int i = 0; i < PROCESSES; i++) {
        children[i] = fork();
        assert_true(children[i] >= 0);
        if (children[i] == 0) {
            statements_transfer(path, mode, ROUNDS, (unsigned)i + 1);
            _exit(0);
        }
    }
    for (int i = 0; i < PROCESSES; i++) {
        int status;
        assert_int_equal(waitpid(children[i], &status, 0), children[i]);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
    }
    expect(db, "SELECT sum(value) FROM kv", "2000");
    expect(db, "SELECT * FROM htt_check('kv')", "ok");
}

static void test_statements__processes_write_at_the_same_time_in_wal_mode(void **state) {
    statements_race(state, "wal");
}

static void test_statements__processes_write_at_the_same_time_in_rollback_mode(void **state) {
    statements_race(state, "delete");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        fixture_test(test_statements__vacuum_keeps_the_table),
        fixture_test(test_statements__create_if_not_exists_and_drop_if_exists),
        fixture_test(test_statements__copying_into_and_out_of_ordinary_tables),
        fixture_test(test_statements__what_sqlite_refuses_on_virtual_tables),
        fixture_test(test_statements__count_changes),
        fixture_test(test_statements__old_handle_is_refused_after_fork),
        fixture_test(test_statements__processes_write_at_the_same_time_in_wal_mode),
        fixture_test(test_statements__processes_write_at_the_same_time_in_rollback_mode),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
