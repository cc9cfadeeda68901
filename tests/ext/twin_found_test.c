/* SPDX-License-Identifier: MIT */
/*
 * What the twin found, each in the shortest form.
 */
#include "fixture.h"

#include <string.h>

/* The numbers of rows that a savepoint took back were not given out again. */
static void test_twin_found__rows_of_a_large_transaction_have_no_hole_after_rollback_to(
    void **state) {
    sqlite3 *const db = fixture_db(state);
    run(db, "CREATE VIRTUAL TABLE t USING htt('t.htt', fold_bytes=200, changes=on)");
    run(db, "BEGIN; INSERT INTO t VALUES (1, zeroblob(300)); SAVEPOINT s");
    run(db, "INSERT INTO t VALUES (2, 2); ROLLBACK TO s; INSERT INTO t VALUES (3, 3); COMMIT");
    expect(db, "SELECT key FROM htt_outbox ORDER BY id", "1\n3");
    expect(db, "SELECT problem FROM htt_check('t')", "ok");
}

/* The same where a statement fails in its midst. */
static void test_twin_found__rows_of_a_large_transaction_have_no_hole_after_a_failure(
    void **state) {
    sqlite3 *const db = fixture_db(state);
    run(db, "CREATE VIRTUAL TABLE t USING htt('t.htt', fold_bytes=200, changes=on)");
    run(db, "BEGIN; INSERT INTO t VALUES (1, zeroblob(300))");
    expect_error(db, "INSERT INTO t VALUES (2, 2), (1, 1)", SQLITE_CONSTRAINT_PRIMARYKEY, "UNIQUE");
    run(db, "INSERT INTO t VALUES (3, 3); COMMIT");
    expect(db, "SELECT key FROM htt_outbox ORDER BY id", "1\n3");
    expect(db, "SELECT problem FROM htt_check('t')", "ok");
}

/* The table was looked for in the schema as it had been; what was found was freed then. */
static void test_twin_found__a_function_sees_that_another_connection_changed_the_schema(
    void **state) {
    sqlite3 *const db = fixture_db(state);
    run(db, "PRAGMA journal_mode = wal; CREATE VIRTUAL TABLE t USING htt('t.htt')");
    run(db, "INSERT INTO t VALUES (1, 1)");
    sqlite3 *const other = fixture_open(state, NULL);
    run(other, "DROP TABLE t; CREATE VIRTUAL TABLE t USING htt('t.htt')");
    expect(db, "SELECT htt_fold('t')", "0");
    run(other, "DROP TABLE t");
    expect_error(db, "SELECT htt_fold('t')", SQLITE_ERROR, "no such table: t");
    run(other, "CREATE VIRTUAL TABLE t USING htt('t.htt'); BEGIN IMMEDIATE");
    expect_error(db, "SELECT htt_fold('t')", SQLITE_BUSY, "locked");
    assert_int_equal(sqlite3_close(other), SQLITE_OK);
}

/* Before the first write the database had no root: what was read was the newest of the file. */
static void test_twin_found__a_snapshot_from_before_the_first_write_stays_empty(void **state) {
    sqlite3 *const db = fixture_db(state);
    run(db, "PRAGMA journal_mode = wal; CREATE VIRTUAL TABLE t USING htt('t.htt', fold_rows=5)");
    sqlite3 *const other = fixture_open(state, NULL);
    run(other, "BEGIN");
    expect(other, "SELECT count(*) FROM t", "0");
    run(db, "WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i + 1 FROM n WHERE i < 60) "
            "INSERT INTO t SELECT i, i FROM n");
    expect(other, "SELECT count(*) FROM t", "0");
    run(db, "DROP TABLE t");
    expect(other, "SELECT count(*) FROM t", "0");
    assert_int_equal(sqlite3_close(other), SQLITE_OK);
}

/* The same of a file that was there before: the database had no root until the first write. */
static void test_twin_found__a_snapshot_from_before_a_taken_file_was_written(void **state) {
    sqlite3 *const db = fixture_db(state);
    run(db, "PRAGMA journal_mode = wal; CREATE VIRTUAL TABLE t USING htt('t.htt', fold_rows=5);"
            "INSERT INTO t VALUES (1, 1), (2, 2); DROP TABLE t; DELETE FROM htt_store;"
            "CREATE VIRTUAL TABLE t USING htt('t.htt', fold_rows=5)");
    sqlite3 *const other = fixture_open(state, NULL);
    run(other, "BEGIN; SELECT count(*) FROM sqlite_schema");
    for (int i = 3; i < 20; i++) {
        char *const sql = sqlite3_mprintf("INSERT INTO t VALUES (%d, 1)", i);
        run(db, sql);
        sqlite3_free(sql);
        char *const found = fixture_query(other, "SELECT count(*) FROM t");
        assert_true(strcmp(found, "2") == 0 || strncmp(found, "error 517", 9) == 0);
        sqlite3_free(found);
    }
    assert_int_equal(sqlite3_close(other), SQLITE_OK);
}

/*
 * A rolled back change of the schema closes the tables. The fold of the last one to leave was a
 * commit of somebody else for the SELECT that was open, and the connection could write no more.
 */
static void test_twin_found__an_open_select_is_not_outdated_by_the_fold_of_a_closed_table(
    void **state) {
    sqlite3 *const db = fixture_db(state);
    sqlite3_stmt *open;
    run(db, "PRAGMA journal_mode = wal; CREATE VIRTUAL TABLE t USING htt('t.htt')");
    run(db, "CREATE TABLE source(x); INSERT INTO source VALUES (1), (2)");
    run(db, "INSERT INTO t VALUES (1, 1); BEGIN; INSERT INTO t VALUES (2, 2)");
    run(db, "ALTER TABLE t RENAME TO u; ALTER TABLE u RENAME TO t");
    assert_int_equal(sqlite3_prepare_v2(db, "SELECT x FROM source", -1, &open, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(open), SQLITE_ROW);
    expect_error(db, "INSERT OR ROLLBACK INTO t VALUES (2, 2)", SQLITE_CONSTRAINT_PRIMARYKEY,
                 "UNIQUE");
    run(db, "DELETE FROM source WHERE x = 2");
    (void)sqlite3_finalize(open);
    expect(db, "SELECT count(*) FROM t", "1");
    expect(db, "SELECT problem FROM htt_check('t')", "ok");
}

/* It was measured by the file as others had left it meanwhile. */
static void test_twin_found__an_old_snapshot_of_a_table_that_others_dropped_is_sound(
    void **state) {
    sqlite3 *const db = fixture_db(state);
    run(db, "PRAGMA journal_mode = wal; CREATE VIRTUAL TABLE t USING htt('t.htt')");
    run(db, "INSERT INTO t VALUES (1, 1), (2, 2)");
    sqlite3 *const other = fixture_open(state, NULL);
    sqlite3 *const stranger = fixture_open(state, "stranger.db");
    run(other, "BEGIN");
    expect(other, "SELECT count(*) FROM t", "2");
    run(db, "DROP TABLE t");
    expect(other, "SELECT problem FROM htt_check('t')", "ok"); /* the file is nobody's */
    run(stranger, "CREATE VIRTUAL TABLE t USING htt('t.htt'); INSERT INTO t VALUES (3, 3)");
    expect(other, "SELECT problem FROM htt_check('t')", "ok"); /* the stranger's */
    expect(other, "SELECT count(*) FROM t", "2");
    expect(other, "SELECT htt_backup('t', 'copy.htt')", "2");
    run(other, "COMMIT");
    expect_error(other, "SELECT * FROM htt_check('t')", SQLITE_ERROR, "no such table: t");
    assert_int_equal(sqlite3_close(stranger), SQLITE_OK);
    assert_int_equal(sqlite3_close(other), SQLITE_OK);
}

/* And the table that is there again, with folds behind the snapshot. */
static void test_twin_found__a_check_of_an_old_snapshot_is_ok_or_says_that_it_is_gone(
    void **state) {
    sqlite3 *const db = fixture_db(state);
    run(db, "PRAGMA journal_mode = wal; CREATE VIRTUAL TABLE t USING htt('t.htt')");
    run(db, "INSERT INTO t VALUES (1, 1), (2, 2)");
    sqlite3 *const other = fixture_open(state, NULL);
    run(other, "BEGIN; SELECT count(*) FROM sqlite_schema"); /* t is not looked at: no pin */
    run(db, "DROP TABLE t; CREATE VIRTUAL TABLE t USING htt('t.htt')");
    char *const checked = fixture_query(other, "SELECT problem FROM htt_check('t')");
    assert_true(strcmp(checked, "ok") == 0 || strncmp(checked, "error 517", 9) == 0);
    sqlite3_free(checked);
    for (int i = 0; i < 10; i++) {
        run(db, "UPDATE t SET value = value + 1; SELECT htt_fold('t')");
    }
    expect_error(other, "SELECT problem FROM htt_check('t')", SQLITE_BUSY_SNAPSHOT,
                 "begin a new transaction");
    run(other, "COMMIT");
    expect(other, "SELECT problem FROM htt_check('t')", "ok");
    assert_int_equal(sqlite3_close(other), SQLITE_OK);
}

/*
 * SQLite's own: a trigger that names a table which is not in the schema as last read is an error,
 * although another connection has made the table meanwhile. The twin reads the schema before.
 */
static void test_twin_found__a_trigger_goes_by_the_schema_as_last_read_with_ordinary_tables_too(
    void **state) {
    sqlite3 *const db = fixture_db(state);
    run(db, "CREATE TABLE t(x); CREATE TABLE pulled(x); CREATE TRIGGER pull AFTER INSERT ON pulled "
            "BEGIN DELETE FROM t WHERE x = new.x; END; DROP TABLE t");
    sqlite3 *const other = fixture_open(state, NULL);
    run(other, "SELECT count(*) FROM pulled");
    run(db, "CREATE TABLE t(x)");
    expect_error(other, "INSERT INTO pulled VALUES (1)", SQLITE_ERROR, "no such table: main.t");
    run(other, "SELECT x FROM pulled LIMIT 0; INSERT INTO pulled VALUES (1)");
    assert_int_equal(sqlite3_close(other), SQLITE_OK);
}

/* SQLite's own: with the schema of before the table is there, and the lock is what is missed. */
static void test_twin_found__busy_comes_before_a_missing_table_with_ordinary_tables_too(
    void **state) {
    sqlite3 *const db = fixture_db(state);
    run(db, "CREATE TABLE t(x)");
    sqlite3 *const old = fixture_open(state, NULL);
    sqlite3 *const late = fixture_open(state, NULL);
    run(old, "SELECT count(*) FROM t");
    run(db, "DROP TABLE t");
    run(late, "SELECT count(*) FROM sqlite_schema");
    run(db, "BEGIN IMMEDIATE");
    expect_error(old, "DELETE FROM t", SQLITE_BUSY, "locked");
    expect_error(late, "DELETE FROM t", SQLITE_ERROR, "no such table: t");
    assert_int_equal(sqlite3_close(late), SQLITE_OK);
    assert_int_equal(sqlite3_close(old), SQLITE_OK);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        fixture_test(test_twin_found__rows_of_a_large_transaction_have_no_hole_after_rollback_to),
        fixture_test(test_twin_found__rows_of_a_large_transaction_have_no_hole_after_a_failure),
        fixture_test(test_twin_found__a_function_sees_that_another_connection_changed_the_schema),
        fixture_test(test_twin_found__a_snapshot_from_before_the_first_write_stays_empty),
        fixture_test(test_twin_found__a_snapshot_from_before_a_taken_file_was_written),
        fixture_test(test_twin_found__an_open_select_is_not_outdated_by_the_fold_of_a_closed_table),
        fixture_test(test_twin_found__an_old_snapshot_of_a_table_that_others_dropped_is_sound),
        fixture_test(test_twin_found__a_check_of_an_old_snapshot_is_ok_or_says_that_it_is_gone),
        fixture_test(
            test_twin_found__a_trigger_goes_by_the_schema_as_last_read_with_ordinary_tables_too),
        fixture_test(
            test_twin_found__busy_comes_before_a_missing_table_with_ordinary_tables_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
