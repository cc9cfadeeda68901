/* SPDX-License-Identifier: MIT */
/*
 * What a query of a hosted table sees while its own connection, or another one, changes the table.
 */
#include "hosted_world.h"

#include <string.h>

static void expect_next(sqlite3_stmt *cursor, int outcome) {
    assert_int_equal(sqlite3_step(cursor), outcome);
}

/* Steps to the end and gives the number of rows; -1: an error. */
static int count_rest(sqlite3_stmt *cursor) {
    int rows = 0;
    int rc;
    while ((rc = sqlite3_step(cursor)) == SQLITE_ROW) {
        rows++;
    }
    return rc == SQLITE_DONE ? rows : -1;
}

static const char fill[] =
    "WITH RECURSIVE c(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM c WHERE i < 300) "
    "INSERT INTO kv SELECT i, zeroblob(50) FROM c";

/* Cursors of a virtual table are not reset by COMMIT: they go on with what they saw. */
static void test_cursors__commit_leaves_them_alone(hosted_world *world) {
    sqlite3 *const db = world->db;
    run(db, fill);
    run(db, "BEGIN; INSERT INTO kv VALUES (301, 'new')");
    sqlite3_stmt *const cursor = hosted_step(db, "SELECT key, value FROM kv");
    run(db, "COMMIT");
    assert_int_equal(count_rest(cursor), 300);
    sqlite3_finalize(cursor);
    sqlite3_stmt *const again = hosted_step(db, "SELECT key, value FROM kv");
    run(db, "DELETE FROM kv WHERE key > 200"); /* a transaction of its own */
    assert_int_equal(count_rest(again), 300);
    sqlite3_finalize(again);
    expect(db, "SELECT count(*) FROM kv", "200");
    run(db, "DELETE FROM kv WHERE key > 1");
    hosted_settle(world, "1|one");
}

/* After ROLLBACK: the rows that were there before, or an error; never rows that are undone. */
static void test_cursors__rollback_shows_no_undone_rows(hosted_world *world) {
    sqlite3 *const db = world->db;
    run(db, fill);
    sqlite3_stmt *const before = hosted_step(db, "SELECT key, value FROM kv");
    run(db, "BEGIN; INSERT INTO kv SELECT key + 1000, 'undone' FROM kv");
    sqlite3_stmt *const within = hosted_step(db, "SELECT key FROM kv");
    run(db, "ROLLBACK");
    int rc;
    int seen = 0;
    while ((rc = sqlite3_step(within)) == SQLITE_ROW) {
        seen++;
        assert_true(sqlite3_column_int(within, 0) <= 300);
    }
    assert_true(rc == SQLITE_DONE || seen == 0 || rc == SQLITE_ABORT_ROLLBACK);
    sqlite3_finalize(within);
    while ((rc = sqlite3_step(before)) == SQLITE_ROW) {
        assert_true(sqlite3_column_int(before, 0) <= 300);
    }
    sqlite3_finalize(before);
    run(db, "DELETE FROM kv WHERE key > 1");
    hosted_settle(world, "1|one");
}

/* After ROLLBACK TO: the state that it began with, to its end, or an error; no mixture of both. */
static void test_cursors__rollback_to_leaves_them_their_state(hosted_world *world) {
    sqlite3 *const db = world->db;
    run(db, "BEGIN; INSERT INTO kv VALUES (2, 'two'); SAVEPOINT a;"
            "INSERT INTO kv VALUES (3, 'undone'), (4, 'undone'), (5, 'undone')");
    sqlite3_stmt *const cursor = hosted_step(db, "SELECT key, value FROM kv");
    run(db, "ROLLBACK TO a; INSERT INTO kv VALUES (6, 'six')");
    int rc;
    int rows = 1;
    while ((rc = sqlite3_step(cursor)) == SQLITE_ROW) {
        assert_true(sqlite3_column_int(cursor, 0) <= 5);
        rows++;
    }
    assert_true(rc != SQLITE_DONE || rows == 5);
    sqlite3_finalize(cursor);
    run(db, "COMMIT");
    hosted_settle(world, "1|one\n2|two\n6|six");
}

/* A statement sees the table as it was when it began, whatever it writes itself. */
static void test_cursors__statement_does_not_see_what_it_writes(hosted_world *world) {
    sqlite3 *const db = world->db;
    run(db, fill);
    run(db, "INSERT INTO kv SELECT key + 1000, value FROM kv;"
            "UPDATE kv SET key = key + 10000 WHERE key > 0");
    expect(db, "SELECT count(*), min(key), max(key) FROM kv", "600|10001|11300");
    run(db, "BEGIN; INSERT INTO kv SELECT -key, value FROM kv; DELETE FROM kv WHERE key > 0;"
            "UPDATE kv SET key = -key; COMMIT");
    expect(db, "SELECT count(*), min(key), max(key) FROM kv", "600|10001|11300");
    run(db, "DELETE FROM kv; INSERT INTO kv VALUES (1, 'one')");
    hosted_settle(world, "1|one");
}

/* A read transaction sees one state, while another connection writes and folds. */
static void test_cursors__reads_repeat_in_a_read_transaction(hosted_world *world) {
    sqlite3 *const db = world->db;
    sqlite3 *const other = hosted_open(world);
    if (!hosted_is_wal(world)) { /* a reader keeps every writer from committing */
        run(other, "BEGIN");
        expect(other, hosted_all, "1|one");
        expect_error(db, "INSERT INTO kv VALUES (2, 'two')", SQLITE_BUSY, "database is locked");
        expect(other, hosted_all, "1|one");
        run(other, "COMMIT");
        hosted_close(other);
        hosted_settle(world, "1|one");
        return;
    }
    run(other, "BEGIN");
    expect(other, hosted_all, "1|one");
    run(db, "INSERT INTO kv VALUES (2, 'two')");
    expect(other, hosted_all, "1|one");
    sqlite3_stmt *const cursor = hosted_step(other, "SELECT key FROM kv");
    run(db, "UPDATE kv SET value = 'changed'; DELETE FROM kv WHERE key = 2");
    run(db, "SELECT htt_fold('kv')");
    expect(other, hosted_all, "1|one");
    expect_next(cursor, SQLITE_DONE);
    sqlite3_finalize(cursor);
    expect(other, "SELECT value FROM kv WHERE key = 1", "one");
    run(other, "COMMIT");
    expect(other, hosted_all, "1|changed");
    hosted_close(other);
    hosted_settle(world, "1|changed");
}

static const char sum[] = "SELECT count(*), sum(length(value)) FROM kv";

/* Each time most of the file's pages are written anew, and the old ones may be used again. */
static void rewrite(hosted_world *world) {
    for (int i = 0; i < 40; i++) {
        run(world->db, "UPDATE kv SET value = zeroblob(length(value) % 60 + 20) WHERE key > 1");
        run(world->db, "SELECT htt_fold('kv')");
    }
}

static void test_cursors__open_one_keeps_its_pages(hosted_world *world) {
    if (!hosted_is_wal(world)) {
        return; /* it keeps everybody from writing */
    }
    run(world->db, fill);
    sqlite3 *const other = hosted_open(world);
    run(other, "BEGIN");
    char *const before = fixture_query(other, sum);
    sqlite3_stmt *const cursor = hosted_step(other, "SELECT key, length(value) FROM kv");
    rewrite(world);
    assert_int_equal(count_rest(cursor), 299);
    expect(other, sum, before);
    sqlite3_free(before);
    sqlite3_finalize(cursor);
    run(other, "COMMIT");
    char *const now = fixture_query(world->db, sum);
    expect(other, sum, now);
    sqlite3_free(now);
    hosted_close(other);
    run(world->db, "DELETE FROM kv WHERE key > 1");
    hosted_settle(world, "1|one");
}

/*
 * A read transaction without an open cursor loses its pages to a writer when the file has grown
 * much: then it is told so, and never reads others.
 */
static void test_cursors__pages_that_are_gone_are_told(hosted_world *world) {
    if (!hosted_is_wal(world)) {
        return;
    }
    run(world->db, fill);
    run(world->db, "SELECT htt_fold('kv')");
    sqlite3 *const other = hosted_open(world);
    run(other, "BEGIN");
    char *const before = fixture_query(other, sum);
    expect(other, sum, before);
    sqlite3_free(before);
    rewrite(world);
    expect_error(other, sum, SQLITE_BUSY_SNAPSHOT, "");
    expect_error(other, "SELECT value FROM kv WHERE key = 1", SQLITE_BUSY_SNAPSHOT, "");
    assert_int_equal(sqlite3_get_autocommit(other), 0); /* other tables go on */
    expect(other, "SELECT count(*) > 0 FROM sqlite_schema", "1");
    run(other, "COMMIT");
    char *const now = fixture_query(world->db, sum);
    expect(other, sum, now);
    sqlite3_free(now);
    hosted_close(other);
    run(world->db, "DELETE FROM kv WHERE key > 1");
    hosted_settle(world, "1|one");
}

/* A state that another connection made is followed, also after a rollback of one's own. */
static void test_cursors__two_connections_take_turns(hosted_world *world) {
    sqlite3 *const db = world->db;
    sqlite3 *const other = hosted_open(world);
    for (int i = 0; i < 6; i++) {
        run(db, "BEGIN; INSERT INTO kv VALUES (2, 'x'), (3, 'x'); ROLLBACK");
        run(other, "BEGIN; INSERT INTO kv VALUES (2, 'y'), (3, 'z'); SAVEPOINT a;"
                   "INSERT INTO kv VALUES (4, 'x'); ROLLBACK TO a; COMMIT");
        expect(db, hosted_all, "1|one\n2|y\n3|z");
        run(db, "DELETE FROM kv WHERE key > 1");
        expect(other, hosted_all, "1|one");
    }
    hosted_close(other);
    hosted_settle(world, "1|one");
}

int main(void) {
    static const hosted_scenario scenarios[] = {
        hosted_case(test_cursors__commit_leaves_them_alone),
        hosted_case(test_cursors__rollback_shows_no_undone_rows),
        hosted_case(test_cursors__rollback_to_leaves_them_their_state),
        hosted_case(test_cursors__statement_does_not_see_what_it_writes),
        hosted_case(test_cursors__reads_repeat_in_a_read_transaction),
        hosted_case(test_cursors__open_one_keeps_its_pages),
        hosted_case(test_cursors__pages_that_are_gone_are_told),
        hosted_case(test_cursors__two_connections_take_turns),
    };
    return hosted_run(scenarios, sizeof scenarios / sizeof scenarios[0]);
}
