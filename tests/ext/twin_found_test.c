/* SPDX-License-Identifier: MIT */
/*
 * What the twin found, each in the shortest form.
 */
#include "fixture.h"

#include <stdio.h>

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

int main(void) {
    const struct CMUnitTest tests[] = {
        fixture_test(test_twin_found__rows_of_a_large_transaction_have_no_hole_after_rollback_to),
        fixture_test(test_twin_found__rows_of_a_large_transaction_have_no_hole_after_a_failure),
        fixture_test(test_twin_found__a_function_sees_that_another_connection_changed_the_schema),
        fixture_test(test_twin_found__a_snapshot_from_before_the_first_write_stays_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
