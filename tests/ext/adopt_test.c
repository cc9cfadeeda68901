/* SPDX-License-Identifier: MIT */
/*
 * htt_adopt beyond the mix-ups of restore_test.c: when it is refused, what it leaves when it fails,
 * other connections of the same database, and rows of htt_store that were damaged or lost.
 */
#include "world.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void adopt_works(world *w, sqlite3 *db) {
    agree(db);
    world_write(w, db);
    agree(db);
}

static bool adopt_there(world *w, const char *name) {
    return access(world_path(w, name), F_OK) == 0;
}

static void adopt_refused(world *w) {
    sqlite3_stmt *rows;
    sqlite3 *const db = world_make(w);
    run(db, "BEGIN");
    expect_error(db, "SELECT htt_adopt('kv')", SQLITE_ERROR, "commit first");
    run(db, "INSERT INTO kv VALUES ('x', 1)");
    expect_error(db, "SELECT htt_adopt('kv', 'new.htt')", SQLITE_ERROR, "commit first");
    run(db, "ROLLBACK");
    expect_error(db, "SELECT htt_adopt('kv', 'new.htt') FROM kv", SQLITE_ERROR, "being read");
    assert_int_equal(sqlite3_prepare_v2(db, "SELECT key FROM kv", -1, &rows, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(rows), SQLITE_ROW);
    expect_error(db, "SELECT htt_adopt('kv')", SQLITE_ERROR, "being read");
    assert_int_equal(sqlite3_finalize(rows), SQLITE_OK);
    expect_error(db, "SELECT htt_adopt('kv', '')", SQLITE_ERROR, "name is empty");
    expect_error(db, "SELECT htt_adopt('kv', NULL)", SQLITE_ERROR, "name is empty");
    expect_error(db, "SELECT htt_adopt('kv', 'kv.htt')", SQLITE_ERROR, "kv.htt");
    expect_error(db, "SELECT htt_adopt('kv', 'app.db')", SQLITE_ERROR, "app.db");
    expect_error(db, "SELECT htt_adopt('kv', 'nowhere/x.htt')", SQLITE_CANTOPEN, "nowhere");
    expect_error(db, "SELECT htt_adopt('twin')", SQLITE_ERROR, "is not an htt table");
    sqlite3 *const other = world_open(w, "app.db");
    run(other, "BEGIN IMMEDIATE");
    expect_error(db, "SELECT htt_adopt('kv')", SQLITE_BUSY, "locked");
    expect_error(db, "SELECT htt_adopt('kv', 'new.htt')", SQLITE_BUSY, "locked");
    run(other, "ROLLBACK");
    world_close(other);
    assert_false(adopt_there(w, "new.htt"));
    adopt_works(w, db);
    world_close(db);
}

static void test_adopt__refused_with_a_reason(void **state) {
    (void)state;
    world_each(adopt_refused);
}

static void test_adopt__database_without_a_file(void **state) {
    sqlite3 *const db = fixture_open(state, ":memory:");
    char sql[400];
    (void)snprintf(sql, sizeof sql, "CREATE VIRTUAL TABLE kv USING htt('%s')",
                   fixture_path(state, "kv.htt"));
    run(db, sql);
    expect_error(db, "SELECT htt_adopt('kv')", SQLITE_ERROR, "has no file");
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

/* The row cannot be written: nothing has changed, and no file is left behind. */
static void adopt_undone(world *w) {
    sqlite3 *const db = world_make(w);
    run(db, "CREATE TRIGGER no BEFORE UPDATE ON htt_store WHEN new.uuid IS NOT old.uuid "
            "BEGIN SELECT raise(ABORT, 'not today'); END");
    expect_error(db, "SELECT htt_adopt('kv', 'new.htt')", SQLITE_CONSTRAINT_TRIGGER, "not today");
    assert_false(adopt_there(w, "new.htt"));
    assert_false(adopt_there(w, "new.htt-lock"));
    run(db, "DROP TRIGGER no");
    adopt_works(w, db);
    world_close(db);
}

static void test_adopt__that_fails_leaves_nothing(void **state) {
    (void)state;
    world_each(adopt_undone);
}

/* Each of two connections reads and writes what the other does, whichever file it is in. */
static void adopt_beside(world *w) {
    sqlite3_stmt *rows;
    sqlite3 *const db = world_make(w);
    sqlite3 *const other = world_open(w, "app.db");
    adopt_works(w, other);
    assert_int_equal(sqlite3_prepare_v2(other, "SELECT count(*) FROM kv", -1, &rows, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_step(rows), SQLITE_ROW);
    assert_int_equal(sqlite3_reset(rows), SQLITE_OK);
    expect(db, "SELECT htt_adopt('kv', 'new.htt')", "100");
    run(db, "INSERT INTO kv VALUES ('new', 1); INSERT INTO twin VALUES (1000, 1);"
            "UPDATE kv SET key = 1000 WHERE key = 'new'");
    agree(db);
    int rc = sqlite3_step(rows); /* prepared before */
    if (rc == SQLITE_ROW) {
        assert_int_equal(sqlite3_column_int(rows, 0), 101);
    } else {
        assert_non_null(strstr(sqlite3_errmsg(other), "try again"));
        assert_int_not_equal(sqlite3_reset(rows), SQLITE_OK);
        assert_int_equal(sqlite3_step(rows), SQLITE_ROW);
        assert_int_equal(sqlite3_column_int(rows, 0), 101);
    }
    assert_int_equal(sqlite3_finalize(rows), SQLITE_OK);
    adopt_works(w, other);
    adopt_works(w, db);
    expect(db, "SELECT htt_adopt('kv', 'third.htt')", "101");
    adopt_works(w, other); /* writes first, with statements that it has to prepare anew */
    adopt_works(w, db);
    world_close(other);
    world_close(db);
    assert_int_equal(unlink(world_path(w, "kv.htt")), 0);
    assert_int_equal(unlink(world_path(w, "new.htt")), 0);
    sqlite3 *const again = world_open(w, "app.db");
    adopt_works(w, again);
    run(again, "VACUUM");
    adopt_works(w, again);
    world_close(again);
}

static void test_adopt__other_connections_follow(void **state) {
    (void)state;
    world_each(adopt_beside);
}

/* A writer that was open before does not write into the file that was left. */
static void adopt_beside_a_writer(world *w) {
    sqlite3_stmt *insert;
    sqlite3 *const db = world_make(w);
    sqlite3 *const other = world_open(w, "app.db");
    assert_int_equal(sqlite3_prepare_v2(other, "INSERT OR REPLACE INTO kv VALUES (1, 'late')", -1,
                                        &insert, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_step(insert), SQLITE_DONE);
    assert_int_equal(sqlite3_reset(insert), SQLITE_OK);
    expect(db, "SELECT htt_adopt('kv', 'new.htt')", "100");
    run(db, "UPDATE kv SET value = 'early' WHERE key = 1");
    if (sqlite3_step(insert) != SQLITE_DONE) {
        assert_non_null(strstr(sqlite3_errmsg(other), "try again"));
        assert_int_not_equal(sqlite3_reset(insert), SQLITE_OK);
        assert_int_equal(sqlite3_step(insert), SQLITE_DONE);
    }
    assert_int_equal(sqlite3_finalize(insert), SQLITE_OK);
    expect(db, "SELECT value FROM kv WHERE key = 1", "late");
    run(other, "UPDATE twin SET value = 'late' WHERE key = 1");
    agree(db);
    agree(other);
    world_close(other);
    world_close(db);
}

static void test_adopt__other_writers_follow(void **state) {
    (void)state;
    world_each(adopt_beside_a_writer);
}

/* Of a root record that was damaged, or a row that was deleted, the file knows a newer one. */
static void adopt_row(world *w) {
    sqlite3 *db = world_make(w);
    run(db, "SELECT htt_fold('kv')");
    world_close(db);
    db = world_open(w, "app.db");
    run(db, "UPDATE htt_store SET root = zeroblob(128)");
    world_close(db);
    db = world_open(w, "app.db");
    expect_error(db, "SELECT * FROM kv", SQLITE_CORRUPT_VTAB, "root record is damaged");
    run(db, "SELECT htt_adopt('kv')");
    run(db, "DELETE FROM twin; INSERT INTO twin SELECT key, value FROM kv");
    adopt_works(w, db);
    run(db, "SELECT htt_fold('kv'); DELETE FROM htt_store; DELETE FROM htt_outbox");
    world_close(db);
    db = world_open(w, "app.db");
    expect_error(db, "SELECT * FROM kv", SQLITE_ERROR, "no row for 'kv.htt'");
    run(db, "SELECT htt_adopt('kv')");
    run(db, "DELETE FROM twin; INSERT INTO twin SELECT key, value FROM kv");
    adopt_works(w, db);
    world_close(db);
}

static void test_adopt__row_that_was_damaged_or_lost(void **state) {
    (void)state;
    world_each(adopt_row);
}

static void adopt_wrong_file(world *w) {
    sqlite3 *db = world_make(w);
    run(db, "CREATE VIRTUAL TABLE o USING htt('o.htt', a PRIMARY KEY, b, c);"
            "INSERT INTO o VALUES (1, 2, 3); SELECT htt_backup('o', 'oo.htt');"
            "SELECT htt_backup('kv', 'safe.htt');"
            "CREATE VIRTUAL TABLE safe USING htt('safe.htt')");
    world_close(db);
    world_copy(w, "kv.htt", "kept.htt");
    world_copy(w, "oo.htt", "kv.htt");
    db = world_open(w, "app.db");
    expect_error(db, "SELECT htt_adopt('kv')", SQLITE_ERROR, "has the columns");
    world_close(db);
    world_copy(w, "safe.htt", "kv.htt");
    db = world_open(w, "app.db");
    expect_error(db, "SELECT htt_adopt('kv')", SQLITE_ERROR, "already belongs to another table");
    world_close(db);
    world_copy(w, "kept.htt", "kv.htt");
    db = world_open(w, "app.db");
    adopt_works(w, db);
    world_close(db);
}

static void test_adopt__file_that_does_not_fit(void **state) {
    (void)state;
    world_each(adopt_wrong_file);
}

static void adopt_attached(world *w) {
    sqlite3 *const made = world_make(w);
    world_close(made);
    world_copy(w, "app.db", "copy.db");
    sqlite3 *const db = world_open(w, "main.db");
    char sql[700];
    (void)snprintf(sql, sizeof sql, "ATTACH '%s' AS aux; CREATE TABLE t(x)",
                   world_path(w, "copy.db"));
    run(db, sql);
    expect_error(db, "UPDATE aux.kv SET value = value WHERE key = 1", SQLITE_ERROR, "app.db");
    expect(db, "SELECT htt_adopt('aux.kv', 'aux.htt')", "100");
    expect(db, "SELECT file FROM aux.htt_store", "aux.htt");
    run(db, "BEGIN; INSERT INTO t VALUES (1); INSERT INTO aux.kv VALUES ('more', 1); COMMIT;"
            "INSERT INTO htt_consumer SELECT 'r', id, 1 << 41 FROM htt_store; DETACH aux");
    sqlite3 *const copy = world_open(w, "copy.db");
    expect(copy, "SELECT acknowledged - (store << 40) FROM htt_consumer", "1099511627776");
    run(copy, "SELECT htt_adopt('kv')");
    expect(copy, "SELECT count(*) FROM htt_consumer", "0");
    run(copy, "DELETE FROM kv WHERE key = 'more'; DROP TABLE kv;"
              "CREATE VIRTUAL TABLE kv USING htt('aux.htt')");
    expect(copy, "SELECT file FROM htt_store", "NULL");
    world_write(w, copy);
    agree(copy);
    world_close(copy);
    world_close(db);
}

static void test_adopt__tables_of_attached_databases(void **state) {
    (void)state;
    world_each(adopt_attached);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_adopt__refused_with_a_reason),
        fixture_test(test_adopt__database_without_a_file),
        cmocka_unit_test(test_adopt__that_fails_leaves_nothing),
        cmocka_unit_test(test_adopt__other_connections_follow),
        cmocka_unit_test(test_adopt__other_writers_follow),
        cmocka_unit_test(test_adopt__row_that_was_damaged_or_lost),
        cmocka_unit_test(test_adopt__file_that_does_not_fit),
        cmocka_unit_test(test_adopt__tables_of_attached_databases),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
