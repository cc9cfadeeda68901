/* SPDX-License-Identifier: MIT */
/*
 * What SQLite's transaction callbacks do to a table, each order of them that SQLite is known to
 * make. The twin test tries them at random; here each has its name.
 */
#include "fixture.h"

#include <string.h>
#include <sys/stat.h>

static const char all[] = "SELECT key, value FROM kv ORDER BY key";

static sqlite3 *transactions_make(void **state) {
    sqlite3 *const db = fixture_db(state);
    run(db, "CREATE VIRTUAL TABLE kv USING htt('kv.htt'); INSERT INTO kv VALUES (1, 'one')");
    return db;
}

static void test_transaction__commits_and_rolls_back(void **state) {
    sqlite3 *db = transactions_make(state);
    run(db, "BEGIN; INSERT INTO kv VALUES (2, 'two'); COMMIT");
    run(db, "BEGIN; INSERT INTO kv VALUES (3, 'three'); DELETE FROM kv WHERE key = 1; ROLLBACK");
    expect(db, all, "1|one\n2|two");
    db = fixture_reopen(state);
    expect(db, all, "1|one\n2|two");
}

static void test_transaction__others_see_it_when_it_is_committed(void **state) {
    sqlite3 *const db = transactions_make(state);
    sqlite3 *const other = fixture_open(state, NULL);
    run(db, "BEGIN; INSERT INTO kv VALUES (2, 'two')");
    expect(db, all, "1|one\n2|two");
    expect(other, all, "1|one");
    run(db, "COMMIT");
    expect(other, all, "1|one\n2|two");
    assert_int_equal(sqlite3_close(other), SQLITE_OK);
}

static void test_transaction__savepoints_nest(void **state) {
    sqlite3 *const db = transactions_make(state);
    run(db, "BEGIN; SAVEPOINT a; INSERT INTO kv VALUES (2, 'a'); SAVEPOINT b;"
            "INSERT INTO kv VALUES (3, 'b'); SAVEPOINT c; UPDATE kv SET value = 'c'");
    expect(db, all, "1|c\n2|c\n3|c");
    run(db, "ROLLBACK TO c");
    expect(db, all, "1|one\n2|a\n3|b");
    run(db, "ROLLBACK TO b; ROLLBACK TO b");
    expect(db, all, "1|one\n2|a");
    run(db, "INSERT INTO kv VALUES (4, 'd'); RELEASE b; ROLLBACK TO a");
    expect(db, all, "1|one");
    run(db, "INSERT INTO kv VALUES (5, 'e'); RELEASE a; COMMIT");
    expect(db, all, "1|one\n5|e");
}

/* The savepoint stands before the table joins: its callback comes without a first one. */
static void test_transaction__savepoint_older_than_the_first_write(void **state) {
    sqlite3 *const db = transactions_make(state);
    run(db, "CREATE TABLE t(x); SAVEPOINT a; SAVEPOINT b; INSERT INTO t VALUES (1); SAVEPOINT c;"
            "INSERT INTO kv VALUES (2, 'two'); SAVEPOINT d; INSERT INTO kv VALUES (3, 'three');"
            "ROLLBACK TO b");
    expect(db, all, "1|one");
    run(db, "INSERT INTO kv VALUES (4, 'four'); ROLLBACK TO a; INSERT INTO kv VALUES (5, 'five');"
            "RELEASE a");
    expect(db, all, "1|one\n5|five");
}

static void test_transaction__outermost_savepoint_is_a_transaction(void **state) {
    sqlite3 *const db = transactions_make(state);
    run(db, "SAVEPOINT a; INSERT INTO kv VALUES (2, 'two'); ROLLBACK TO a");
    expect(db, all, "1|one");
    run(db, "INSERT INTO kv VALUES (3, 'three'); RELEASE a");
    expect(db, all, "1|one\n3|three");
}

static void test_transaction__failing_statement_is_undone_alone(void **state) {
    sqlite3 *const db = transactions_make(state);
    run(db, "BEGIN; INSERT INTO kv VALUES (2, 'two')");
    expect_error(db, "INSERT INTO kv VALUES (3, 'x'), (4, 'x'), (1, 'x'), (5, 'x')",
                 SQLITE_CONSTRAINT_PRIMARYKEY, "UNIQUE constraint failed: kv.key");
    expect(db, all, "1|one\n2|two");
    expect_error(db, "INSERT OR FAIL INTO kv VALUES (3, 'x'), (1, 'x'), (5, 'x')",
                 SQLITE_CONSTRAINT_PRIMARYKEY, "UNIQUE");
    expect(db, all, "1|one\n2|two\n3|x");
    run(db, "INSERT OR IGNORE INTO kv VALUES (4, 'y'), (1, 'y'), (NULL, 'y'), (5, 'y')");
    run(db, "INSERT OR REPLACE INTO kv VALUES (1, 'z'), (6, 'z')");
    expect(db, all, "1|z\n2|two\n3|x\n4|y\n5|y\n6|z");
    expect_error(db, "INSERT OR ROLLBACK INTO kv VALUES (7, 'x'), (1, 'x')",
                 SQLITE_CONSTRAINT_PRIMARYKEY, "UNIQUE");
    assert_true(sqlite3_get_autocommit(db) != 0);
    expect(db, all, "1|one");
}

/* No savepoint of SQLite's covers a single row: xUpdate itself changes all or nothing. */
static void test_transaction__failing_row_changes_nothing(void **state) {
    sqlite3 *const db = transactions_make(state);
    run(db, "INSERT INTO kv VALUES (2, 'two'); BEGIN");
    expect_error(db, "UPDATE kv SET key = 2, value = 'x' WHERE key = 1",
                 SQLITE_CONSTRAINT_PRIMARYKEY, "UNIQUE");
    expect_error(db, "UPDATE kv SET key = zeroblob(2000000) WHERE key = 1", SQLITE_TOOBIG, "");
    run(db, "COMMIT");
    expect(db, all, "1|one\n2|two");
    run(db, "BEGIN; UPDATE OR REPLACE kv SET key = 2, value = 'x' WHERE key = 1; COMMIT");
    expect(db, all, "2|x");
}

static void test_transaction__create_rolled_back_leaves_a_file_that_create_takes(void **state) {
    sqlite3 *const db = fixture_db(state);
    struct stat found;
    run(db, "BEGIN; CREATE VIRTUAL TABLE kv USING htt('kv.htt'); INSERT INTO kv VALUES (1, 'one');"
            "ROLLBACK");
    expect_error(db, all, SQLITE_ERROR, "no such table: kv");
    assert_int_equal(stat(fixture_path(state, "kv.htt"), &found), 0);
    run(db, "CREATE VIRTUAL TABLE kv USING htt('kv.htt', id INTEGER PRIMARY KEY, name TEXT)");
    expect(db, "SELECT count(*) FROM kv", "0");
}

/* SQLite does not tell a table that was created since about the rollback to a savepoint. */
static void test_transaction__create_rolled_back_to_a_savepoint_keeps_no_rows(void **state) {
    sqlite3 *const db = fixture_db(state);
    run(db, "BEGIN; SAVEPOINT a; CREATE VIRTUAL TABLE kv USING htt('kv.htt');"
            "INSERT INTO kv VALUES (1, 'ghost'); ROLLBACK TO a; COMMIT");
    expect_error(db, all, SQLITE_ERROR, "no such table: kv");
    run(db, "CREATE VIRTUAL TABLE kv USING htt('kv.htt')");
    expect(db, all, "");
    run(db,
        "DROP TABLE kv; BEGIN; SAVEPOINT a; CREATE VIRTUAL TABLE kv USING htt('kv.htt');"
        "INSERT INTO kv VALUES (1, 'ghost'); ROLLBACK TO a;"
        "CREATE VIRTUAL TABLE kv USING htt('kv.htt'); INSERT INTO kv VALUES (2, 'two'); COMMIT");
    expect(db, all, "2|two");
}

static void test_transaction__create_has_savepoints_of_its_own(void **state) {
    sqlite3 *const db = fixture_db(state);
    run(db, "BEGIN; CREATE VIRTUAL TABLE kv USING htt('kv.htt'); INSERT INTO kv VALUES (1, 'one');"
            "SAVEPOINT a; INSERT INTO kv VALUES (2, 'two'); ROLLBACK TO a;"
            "INSERT INTO kv VALUES (3, 'three'); COMMIT");
    expect(db, all, "1|one\n3|three");
}

static void test_transaction__drop_leaves_the_file_with_what_was_written(void **state) {
    sqlite3 *const db = transactions_make(state);
    run(db, "BEGIN; INSERT INTO kv VALUES (2, 'two'); DROP TABLE kv; COMMIT");
    expect(db, "SELECT name, state FROM htt_store", "kv.htt|dropped");
    expect(db, "SELECT count(*) FROM htt_outbox", "0");
    run(db, "CREATE VIRTUAL TABLE again USING htt('kv.htt')");
    expect(db, "SELECT * FROM again ORDER BY key", "1|one\n2|two");
    expect(db, "SELECT name, state FROM htt_store", "kv.htt|live");
}

static void test_transaction__drop_rolled_back_brings_the_table_back(void **state) {
    sqlite3 *const db = transactions_make(state);
    run(db, "BEGIN; INSERT INTO kv VALUES (2, 'two'); DROP TABLE kv; ROLLBACK");
    expect(db, all, "1|one");
    run(db, "BEGIN; INSERT INTO kv VALUES (2, 'two'); SAVEPOINT a; INSERT INTO kv VALUES (3, 'x');"
            "DROP TABLE kv; ROLLBACK TO a");
    expect(db, all, "1|one\n2|two");
    run(db, "INSERT INTO kv VALUES (4, 'four'); SAVEPOINT b; INSERT INTO kv VALUES (5, 'x');"
            "ROLLBACK TO b; COMMIT");
    expect(db, all, "1|one\n2|two\n4|four");
    expect(db, "SELECT name FROM htt_store", "kv.htt");
}

static void test_transaction__drop_and_create_in_one(void **state) {
    sqlite3 *const db = transactions_make(state);
    run(db, "BEGIN; INSERT INTO kv VALUES (2, 'two'); DROP TABLE kv;"
            "CREATE VIRTUAL TABLE kv USING htt('kv.htt', mmap=off);"
            "INSERT INTO kv VALUES (3, 'three'); SAVEPOINT a; DROP TABLE kv; ROLLBACK TO a");
    expect(db, all, "1|one\n2|two\n3|three");
    run(db, "COMMIT");
    expect(db, all, "1|one\n2|two\n3|three");
}

/* A schema change that is rolled back to a savepoint leaves two live vtabs of one table. */
static void test_transaction__renamed_table_has_one_state(void **state) {
    sqlite3 *const db = transactions_make(state);
    run(db, "BEGIN; SAVEPOINT a; INSERT INTO kv VALUES (2, 'two'); ALTER TABLE kv RENAME TO kw;"
            "INSERT INTO kw VALUES (3, 'three'); SAVEPOINT b; INSERT INTO kw VALUES (4, 'x');"
            "ROLLBACK TO b");
    expect(db, "SELECT key FROM kw ORDER BY key", "1\n2\n3");
    run(db, "ROLLBACK TO a");
    expect(db, all, "1|one");
    run(db, "INSERT INTO kv VALUES (5, 'five'); COMMIT");
    expect(db, all, "1|one\n5|five");
    run(db, "ALTER TABLE kv RENAME TO kw; INSERT INTO kw VALUES (6, 'six')");
    expect_error(db, "INSERT INTO kw VALUES (6, 'six')", SQLITE_CONSTRAINT_PRIMARYKEY,
                 "UNIQUE constraint failed: kw.key");
}

/* In rollback mode COMMIT syncs first and then finds the reader; it may be tried again. */
static void test_transaction__busy_commit_is_tried_again(void **state) {
    sqlite3 *const db = transactions_make(state);
    sqlite3 *const other = fixture_open(state, NULL);
    sqlite3_stmt *reader;
    run(db, "CREATE TABLE t(x); INSERT INTO t VALUES (1), (2)");
    assert_int_equal(sqlite3_prepare_v2(other, "SELECT x FROM t", -1, &reader, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(reader), SQLITE_ROW);
    run(db, "BEGIN; INSERT INTO t VALUES (3); SAVEPOINT a; INSERT INTO kv VALUES (2, 'two')");
    expect_error(db, "COMMIT", SQLITE_BUSY, "database is locked");
    run(db, "INSERT INTO kv VALUES (3, 'three')");
    expect_error(db, "COMMIT", SQLITE_BUSY, "database is locked");
    run(db, "ROLLBACK TO a; INSERT INTO kv VALUES (4, 'four')");
    sqlite3_finalize(reader);
    run(db, "COMMIT");
    expect(db, all, "1|one\n4|four");
    expect(other, all, "1|one\n4|four");
    assert_int_equal(sqlite3_close(other), SQLITE_OK);
}

static int veto(void *arg) {
    (void)arg;
    return 1;
}

static void test_transaction__vetoed_commit_is_rolled_back(void **state) {
    sqlite3 *const db = transactions_make(state);
    run(db, "CREATE TABLE t(x)");
    sqlite3_commit_hook(db, veto, NULL);
    expect_error(db, "INSERT INTO kv VALUES (2, 'two')", SQLITE_CONSTRAINT_COMMITHOOK, "");
    expect_error(db, "BEGIN; INSERT INTO kv VALUES (2, 'two'); INSERT INTO t VALUES (1); COMMIT",
                 SQLITE_CONSTRAINT_COMMITHOOK, "");
    sqlite3_commit_hook(db, NULL, NULL);
    expect(db, all, "1|one");
    expect(db, "SELECT count(*) FROM t", "0");
}

static void test_transaction__statement_that_changes_nothing_is_free(void **state) {
    sqlite3 *const db = transactions_make(state);
    const char *const epoch = "SELECT value FROM htt_stat('kv') WHERE name = 'epoch'";
    char *const before = fixture_query(db, epoch);
    run(db, "DELETE FROM kv WHERE key = 99; UPDATE kv SET value = 'x' WHERE key = 99;"
            "INSERT INTO kv SELECT 1, 2 WHERE 0; BEGIN; DELETE FROM kv WHERE 0; COMMIT");
    expect(db, epoch, before);
    sqlite3_free(before);
}

static void test_transaction__last_insert_rowid_stays(void **state) {
    sqlite3 *const db = fixture_db(state);
    run(db, "CREATE TABLE t(x); INSERT INTO t(rowid, x) VALUES (42, 1)");
    run(db, "CREATE VIRTUAL TABLE kv USING htt('kv.htt'); INSERT INTO kv VALUES (1, 2), (3, 4);"
            "UPDATE kv SET key = 9 WHERE key = 1; INSERT OR REPLACE INTO kv VALUES (3, 5)");
    assert_int_equal(sqlite3_last_insert_rowid(db), 42);
    run(db, "BEGIN; DROP TABLE kv; CREATE VIRTUAL TABLE kv USING htt('kv.htt'); COMMIT");
    assert_int_equal(sqlite3_last_insert_rowid(db), 42);
}

static void test_transaction__attached_database_has_its_own(void **state) {
    sqlite3 *const db = fixture_db(state);
    char *const attach = sqlite3_mprintf("ATTACH '%q' AS aux", fixture_path(state, "aux.db"));
    run(db, attach);
    run(db, "CREATE VIRTUAL TABLE aux.kv USING htt('aux.htt');"
            "CREATE VIRTUAL TABLE main.kv USING htt('main.htt')");
    run(db, "BEGIN; INSERT INTO aux.kv VALUES (1, 'aux'); INSERT INTO main.kv VALUES (1, 'main');"
            "SAVEPOINT a; UPDATE aux.kv SET value = 'x'; UPDATE main.kv SET value = 'x';"
            "ROLLBACK TO a; COMMIT");
    expect(db, "SELECT value FROM aux.kv UNION ALL SELECT value FROM main.kv", "aux\nmain");
    expect(db, "SELECT (SELECT name FROM main.htt_store), (SELECT name FROM aux.htt_store)",
           "main.htt|aux.htt");
    run(db, "BEGIN; INSERT INTO aux.kv VALUES (2, 'aux'); SAVEPOINT a; DROP TABLE aux.kv;"
            "ROLLBACK TO a; COMMIT");
    expect(db, "SELECT count(*) FROM aux.kv", "2");
    run(db, "DETACH aux");
    run(db, attach);
    expect(db, "SELECT value FROM aux.kv WHERE key = 1", "aux");
    run(db, "DETACH aux");
    sqlite3_free(attach);
}

static void test_transaction__closing_rolls_back(void **state) {
    sqlite3 *db = transactions_make(state);
    run(db, "BEGIN; INSERT INTO kv VALUES (2, 'two')");
    db = fixture_reopen(state);
    expect(db, all, "1|one");
}

static void test_transaction__triggers_write_to_it(void **state) {
    sqlite3 *const db = transactions_make(state);
    run(db, "CREATE TABLE t(x); CREATE TRIGGER tr AFTER INSERT ON t BEGIN "
            "INSERT OR REPLACE INTO kv VALUES (new.x, 'by trigger'); END");
    run(db, "INSERT INTO t VALUES (1), (2)");
    expect(db, all, "1|by trigger\n2|by trigger");
    expect_error(db, "INSERT INTO t VALUES (3), (NULL)", SQLITE_CONSTRAINT_NOTNULL, "kv.key");
    expect(db, all, "1|by trigger\n2|by trigger");
}

/* Files that keep their own root: those of databases without a file. */
static void test_transaction__second_writer_of_the_file_waits_and_then_is_busy(void **state) {
    sqlite3 *const db = fixture_open(state, ":memory:");
    sqlite3 *const other = fixture_open(state, ":memory:");
    char *const sql = sqlite3_mprintf("CREATE VIRTUAL TABLE kv USING htt('%q', busy_timeout=0)",
                                      fixture_path(state, "kv.htt"));
    run(db, sql);
    run(other, sql);
    sqlite3_free(sql);
    run(other, "INSERT INTO kv VALUES (0, 'zero')");
    run(db, "BEGIN; INSERT INTO kv VALUES (1, 'one')");
    run(other, "BEGIN; CREATE TABLE t(x)");
    expect_error(other, "INSERT INTO kv VALUES (2, 'two')", SQLITE_BUSY, "");
    expect_error(other, "UPDATE kv SET value = 'x'", SQLITE_BUSY, "");
    expect(other, all, "0|zero"); /* readers do not wait */
    run(db, "COMMIT");
    /* It has read a state that is no longer the newest: told once, then it reads what it writes. */
    expect_error(other, "INSERT INTO kv VALUES (2, 'two')", SQLITE_BUSY_SNAPSHOT,
                 "another writer has changed what this transaction read");
    expect(other, all, "0|zero\n1|one");
    run(other, "INSERT INTO kv VALUES (2, 'two'); COMMIT");
    expect(db, all, "0|zero\n1|one\n2|two");
    assert_int_equal(sqlite3_close(other), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

/* Files whose root a database keeps: its write lock is theirs, and other databases stay out. */
static void test_transaction__hosted_file_is_written_through_one_database(void **state) {
    sqlite3 *const db = transactions_make(state);
    sqlite3 *const same = fixture_open(state, NULL);
    sqlite3 *const other = fixture_open(state, "other.db");
    run(db, "BEGIN; INSERT INTO kv VALUES (2, 'two')");
    expect_error(same, "INSERT INTO kv VALUES (3, 'three')", SQLITE_BUSY, "database is locked");
    expect(same, all, "1|one");
    run(db, "COMMIT");
    run(same, "INSERT INTO kv VALUES (3, 'three')");
    expect(db, all, "1|one\n2|two\n3|three");
    const char *const message = "belongs to the database 'test.db'";
    expect_error(other,
                 "CREATE VIRTUAL TABLE kv USING htt('kv.htt'); INSERT INTO kv VALUES (4, 'x')",
                 SQLITE_READONLY, message);
    expect(db, all, "1|one\n2|two\n3|three");
    assert_int_equal(sqlite3_close(other), SQLITE_OK);
    assert_int_equal(sqlite3_close(same), SQLITE_OK);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        fixture_test(test_transaction__commits_and_rolls_back),
        fixture_test(test_transaction__others_see_it_when_it_is_committed),
        fixture_test(test_transaction__savepoints_nest),
        fixture_test(test_transaction__savepoint_older_than_the_first_write),
        fixture_test(test_transaction__outermost_savepoint_is_a_transaction),
        fixture_test(test_transaction__failing_statement_is_undone_alone),
        fixture_test(test_transaction__failing_row_changes_nothing),
        fixture_test(test_transaction__create_rolled_back_leaves_a_file_that_create_takes),
        fixture_test(test_transaction__create_rolled_back_to_a_savepoint_keeps_no_rows),
        fixture_test(test_transaction__create_has_savepoints_of_its_own),
        fixture_test(test_transaction__drop_leaves_the_file_with_what_was_written),
        fixture_test(test_transaction__drop_rolled_back_brings_the_table_back),
        fixture_test(test_transaction__drop_and_create_in_one),
        fixture_test(test_transaction__renamed_table_has_one_state),
        fixture_test(test_transaction__busy_commit_is_tried_again),
        fixture_test(test_transaction__vetoed_commit_is_rolled_back),
        fixture_test(test_transaction__statement_that_changes_nothing_is_free),
        fixture_test(test_transaction__last_insert_rowid_stays),
        fixture_test(test_transaction__attached_database_has_its_own),
        fixture_test(test_transaction__closing_rolls_back),
        fixture_test(test_transaction__triggers_write_to_it),
        fixture_test(test_transaction__second_writer_of_the_file_waits_and_then_is_busy),
        fixture_test(test_transaction__hosted_file_is_written_through_one_database),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
