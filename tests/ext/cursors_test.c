/* SPDX-License-Identifier: MIT */
/*
 * Cursors: what they see while rows change under them, and across COMMIT and ROLLBACK.
 */
#include "fixture.h"

#include <stdio.h>
#include <string.h>

static const char *const modes[] = {"", ", mmap=off"};

/* kv with keys 1 to `rows`; some values are long. */
static void cursors_make(sqlite3 *db, const char *mode, int rows) {
    char sql[512];
    snprintf(sql, sizeof sql,
             "DROP TABLE IF EXISTS kv; CREATE VIRTUAL TABLE kv USING htt('kv%d.htt', sync=off%s);"
             "DELETE FROM kv; WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE "
             "i < %d) INSERT INTO kv SELECT i, CASE WHEN i %% 7 = 0 THEN zeroblob(9000 + i) ELSE "
             "'value ' || i END FROM c",
             (int)strlen(mode), mode, rows);
    run(db, sql);
}

static sqlite3_stmt *cursors_prepare(sqlite3 *db, const char *sql) {
    sqlite3_stmt *statement = NULL;
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
    return statement;
}

/* The row is as cursors_make wrote it. */
static void cursors_check_row(sqlite3_stmt *statement) {
    char expected[32];
    const int key = sqlite3_column_int(statement, 0);
    if (key % 7 == 0) {
        assert_int_equal(sqlite3_column_bytes(statement, 1), 9000 + key);
        return;
    }
    snprintf(expected, sizeof expected, "value %d", key);
    assert_string_equal(sqlite3_column_text(statement, 1), expected);
}

/* Steps to the end; how many rows. */
static int cursors_drain(sqlite3_stmt *statement) {
    int rows = 0;
    int rc;
    while ((rc = sqlite3_step(statement)) == SQLITE_ROW) {
        cursors_check_row(statement);
        rows++;
    }
    assert_int_equal(rc, SQLITE_DONE);
    return rows;
}

static void test_cursor__scan_is_stable_while_all_rows_change(void **state) {
    sqlite3 *const db = fixture_db(state);
    for (int i = 0; i < 2; i++) {
        cursors_make(db, modes[i], 500);
        sqlite3_stmt *const scan = cursors_prepare(db, "SELECT key, value FROM kv");
        assert_int_equal(sqlite3_step(scan), SQLITE_ROW);
        run(db, "UPDATE kv SET value = 'changed'; DELETE FROM kv WHERE key % 2;"
                "INSERT INTO kv SELECT key + 1000, value FROM kv");
        assert_int_equal(cursors_drain(scan), 499);
        sqlite3_reset(scan);
        expect(db, "SELECT count(*), count(DISTINCT value) FROM kv", "500|1");
        sqlite3_finalize(scan);
    }
}

static void test_cursor__scan_in_a_write_transaction_is_stable(void **state) {
    sqlite3 *const db = fixture_db(state);
    for (int i = 0; i < 2; i++) {
        cursors_make(db, modes[i], 300);
        run(db, "BEGIN; UPDATE kv SET value = value WHERE key = 1");
        sqlite3_stmt *const scan = cursors_prepare(db, "SELECT key, value FROM kv");
        assert_int_equal(sqlite3_step(scan), SQLITE_ROW);
        run(db, "DELETE FROM kv");
        for (int row = 0; row < 100; row++) {
            assert_int_equal(sqlite3_step(scan), SQLITE_ROW);
            cursors_check_row(scan);
        }
        run(db, "COMMIT; INSERT INTO kv VALUES (1, 'new')");
        assert_int_equal(cursors_drain(scan), 199);
        sqlite3_finalize(scan);
        expect(db, "SELECT * FROM kv", "1|new");
    }
}

static void test_cursor__goes_on_after_rollback_if_its_rows_were_committed(void **state) {
    sqlite3 *const db = fixture_db(state);
    cursors_make(db, "", 300);
    sqlite3_stmt *const scan = cursors_prepare(db, "SELECT key, value FROM kv");
    assert_int_equal(sqlite3_step(scan), SQLITE_ROW);
    run(db, "BEGIN; DELETE FROM kv; INSERT INTO kv VALUES (1, 'x'); ROLLBACK");
    assert_int_equal(cursors_drain(scan), 299);
    sqlite3_finalize(scan);
    expect(db, "SELECT count(*) FROM kv", "300");
}

static void test_cursor__on_rows_that_were_rolled_back_says_so(void **state) {
    sqlite3 *const db = fixture_db(state);
    cursors_make(db, "", 300);
    run(db, "BEGIN; INSERT INTO kv VALUES (1000, 'x')");
    sqlite3_stmt *const scan = cursors_prepare(db, "SELECT key, value FROM kv");
    assert_int_equal(sqlite3_step(scan), SQLITE_ROW);
    run(db, "ROLLBACK");
    int rc;
    while ((rc = sqlite3_step(scan)) == SQLITE_ROW) {
    }
    assert_int_equal(rc & 0xff, SQLITE_ABORT);
    sqlite3_finalize(scan);
    expect(db, "SELECT count(*) FROM kv", "300");
}

static void test_cursor__survives_rollback_to_a_savepoint(void **state) {
    sqlite3 *const db = fixture_db(state);
    cursors_make(db, "", 300);
    run(db, "BEGIN; UPDATE kv SET value = value WHERE key < 10; SAVEPOINT a; DELETE FROM kv WHERE "
            "key > 200");
    sqlite3_stmt *const scan = cursors_prepare(db, "SELECT key, value FROM kv");
    assert_int_equal(sqlite3_step(scan), SQLITE_ROW);
    run(db, "ROLLBACK TO a; UPDATE kv SET value = 'x' WHERE key > 100");
    assert_int_equal(cursors_drain(scan), 199);
    sqlite3_finalize(scan);
    run(db, "ROLLBACK");
    expect(db, "SELECT count(*) FROM kv", "300");
}

static void test_cursor__lists_go_on_after_commit_and_rollback(void **state) {
    sqlite3 *const db = fixture_db(state);
    for (int i = 0; i < 2; i++) {
        cursors_make(db, modes[i], 300);
        for (int commit = 0; commit < 2; commit++) {
            run(db, "BEGIN; UPDATE kv SET value = value WHERE key = 5");
            sqlite3_stmt *const list = cursors_prepare(
                db, "SELECT key, value FROM kv WHERE key IN (SELECT key FROM kv WHERE key > 50)");
            assert_int_equal(sqlite3_step(list), SQLITE_ROW);
            cursors_check_row(list);
            run(db, commit ? "COMMIT" : "ROLLBACK");
            assert_int_equal(cursors_drain(list), 249);
            sqlite3_finalize(list);
        }
    }
}

/* Several cursors share one read transaction; what one has borrowed stays when another reads. */
static void test_cursor__point_lookups_do_not_disturb_each_other(void **state) {
    sqlite3 *const db = fixture_db(state);
    static const char *const queries[] = {
        "SELECT count(*), sum(length(a.value) = length(b.value) + length(c.value) * 0) "
        "FROM %s AS a JOIN %s AS b ON b.key = a.key + 7 JOIN %s AS c ON c.key = b.key + 7 "
        "WHERE a.key %% 7 <> 0 AND length(a.key) = length(b.key)",
        "SELECT count(*) FROM %s AS a, %s AS b, %s AS c WHERE a.key IN (7, 14, 21) AND "
        "b.key IN (14, 28) AND c.key IN (7, 5) AND length(a.value) < length(b.value)"};
    for (int i = 0; i < 2; i++) {
        cursors_make(db, modes[i], 1000);
        run(db, "DROP TABLE IF EXISTS p; CREATE TABLE p(key PRIMARY KEY, value) WITHOUT ROWID;"
                "INSERT INTO p SELECT * FROM kv");
        for (size_t j = 0; j < sizeof queries / sizeof queries[0]; j++) {
            char *const on_kv = sqlite3_mprintf(queries[j], "kv", "kv", "kv");
            char *const on_p = sqlite3_mprintf(queries[j], "p", "p", "p");
            char *const expected = fixture_query(db, on_p);
            expect(db, on_kv, expected);
            sqlite3_free(on_kv);
            sqlite3_free(on_p);
            sqlite3_free(expected);
        }
    }
}

static void test_cursor__sees_own_commit_while_an_older_one_is_open(void **state) {
    sqlite3 *const db = fixture_db(state);
    cursors_make(db, "", 100);
    sqlite3_stmt *const old = cursors_prepare(db, "SELECT key, value FROM kv");
    assert_int_equal(sqlite3_step(old), SQLITE_ROW);
    run(db, "INSERT INTO kv VALUES (101, 'value 101')");
    expect(db, "SELECT value FROM kv WHERE key = 101", "value 101");
    expect(db, "SELECT count(*) FROM kv", "101");
    assert_int_equal(cursors_drain(old), 99);
    sqlite3_finalize(old);
}

static void test_cursor__update_and_delete_while_scanning(void **state) {
    sqlite3 *const db = fixture_db(state);
    cursors_make(db, "", 1000);
    run(db, "UPDATE kv SET key = key + 10000 WHERE key % 2 = 0");
    run(db, "DELETE FROM kv WHERE value LIKE 'value %3'");
    run(db, "INSERT INTO kv SELECT key + 100000, value FROM kv");
    expect(db, "SELECT count(*), count(DISTINCT key), sum(key > 100000) FROM kv", "1828|1828|914");
    sqlite3_stmt *const scan = cursors_prepare(db, "SELECT key FROM kv");
    sqlite3_stmt *const delete = cursors_prepare(db, "DELETE FROM kv WHERE key = ?");
    while (sqlite3_step(scan) == SQLITE_ROW) {
        sqlite3_bind_int(delete, 1, sqlite3_column_int(scan, 0));
        assert_int_equal(sqlite3_step(delete), SQLITE_DONE);
        sqlite3_reset(delete);
    }
    sqlite3_finalize(scan);
    sqlite3_finalize(delete);
    expect(db, "SELECT count(*) FROM kv", "0");
}

static void test_cursor__open_one_keeps_the_file_open(void **state) {
    sqlite3 *const db = fixture_db(state);
    cursors_make(db, "", 10);
    sqlite3_stmt *const scan = cursors_prepare(db, "SELECT key, value FROM kv");
    assert_int_equal(sqlite3_step(scan), SQLITE_ROW);
    expect_error(db, "DROP TABLE kv", SQLITE_LOCKED, "locked");
    run(db, "CREATE TABLE other(x)"); /* a schema change while it is open */
    assert_int_equal(cursors_drain(scan), 9);
    sqlite3_finalize(scan);
    run(db, "DROP TABLE kv");
}

static void test_cursor__writers_and_readers_of_two_connections(void **state) {
    sqlite3 *const db = fixture_db(state);
    run(db, "PRAGMA journal_mode = wal");
    cursors_make(db, "", 300);
    sqlite3 *const other = fixture_open(state, NULL);
    sqlite3_stmt *const scan = cursors_prepare(other, "SELECT key, value FROM kv");
    assert_int_equal(sqlite3_step(scan), SQLITE_ROW);
    run(db, "DELETE FROM kv WHERE key > 10; UPDATE kv SET value = 'x'");
    assert_int_equal(cursors_drain(scan), 299);
    sqlite3_finalize(scan);
    expect(other, "SELECT count(*), min(value) FROM kv", "10|x");
    assert_int_equal(sqlite3_close(other), SQLITE_OK);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        fixture_test(test_cursor__scan_is_stable_while_all_rows_change),
        fixture_test(test_cursor__scan_in_a_write_transaction_is_stable),
        fixture_test(test_cursor__goes_on_after_rollback_if_its_rows_were_committed),
        fixture_test(test_cursor__on_rows_that_were_rolled_back_says_so),
        fixture_test(test_cursor__survives_rollback_to_a_savepoint),
        fixture_test(test_cursor__lists_go_on_after_commit_and_rollback),
        fixture_test(test_cursor__point_lookups_do_not_disturb_each_other),
        fixture_test(test_cursor__sees_own_commit_while_an_older_one_is_open),
        fixture_test(test_cursor__update_and_delete_while_scanning),
        fixture_test(test_cursor__open_one_keeps_the_file_open),
        fixture_test(test_cursor__writers_and_readers_of_two_connections),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
