/* SPDX-License-Identifier: MIT */
/*
 * htt_check of hosted files: every kind of damage that somebody can do by hand is a problem whose
 * text says what is wrong, and one damage does not hide another.
 */
#include "world.h"

#include <stdio.h>
#include <unistd.h>

#include "engine/htt_host.h"

/* Rows 1 to 3 are in pages, 4 to 9 in the outbox (seq 4 to 9 of store 1). */
static sqlite3 *check_make(void **state) {
    sqlite3 *const db = fixture_db(state);
    run(db, "CREATE VIRTUAL TABLE kv USING htt('kv.htt', changes=on);"
            "INSERT INTO kv VALUES (1, 'a'), (2, 'b'), (3, 'c'); SELECT htt_fold('kv');"
            "INSERT INTO kv VALUES (4, 'd'), (5, 'e'), (6, 'f'), (7, 'g'), (8, 'h'), (9, 'i')");
    expect(db, "SELECT problem FROM htt_check('kv')", "ok");
    expect(db, "SELECT min(id & 1099511627775), max(id & 1099511627775) FROM htt_outbox", "1|9");
    return db;
}

#define PROBLEMS "SELECT problem FROM htt_check('kv')"
#define ROW(seq) "((SELECT id FROM htt_store) << 40) + " #seq

static void test_check__row_that_is_missing(void **state) {
    sqlite3 *const db = check_make(state);
    run(db, "DELETE FROM htt_outbox WHERE id = " ROW(5));
    expect(db, PROBLEMS, "main.htt_outbox: row 1099511627781 is missing");
    run(db, "DELETE FROM htt_outbox WHERE id IN (" ROW(7) ", " ROW(8) ")");
    expect(db, PROBLEMS, "main.htt_outbox: row 1099511627781 is missing\n"
                         "main.htt_outbox: rows 1099511627783 to 1099511627784 are missing");
    sqlite3 *const other = fixture_open(state, NULL);
    expect_error(other, "SELECT * FROM kv", SQLITE_CORRUPT_VTAB, "row 1099511627781 is missing");
    assert_int_equal(sqlite3_close(other), SQLITE_OK);
    run(db, "DELETE FROM htt_outbox WHERE id = " ROW(4));
    expect(db, PROBLEMS " LIMIT 1",
           "main.htt_outbox: rows 1099511627780 to 1099511627781 are missing");
}

static void test_check__older_row_that_a_consumer_would_miss(void **state) {
    sqlite3 *const db = check_make(state);
    run(db, "DELETE FROM htt_outbox WHERE id = " ROW(1));
    expect(db, PROBLEMS, "ok"); /* trimmed, as far as anybody can tell */
    run(db, "DELETE FROM htt_outbox WHERE id = " ROW(3));
    expect(db, PROBLEMS, "main.htt_outbox: row 1099511627779 is missing");
    expect(db, "SELECT count(*) FROM kv", "9");
}

static void test_check__row_that_was_changed(void **state) {
    sqlite3 *const db = check_make(state);
    run(db, "UPDATE htt_outbox SET value = 'other' WHERE id = " ROW(6));
    expect(db, PROBLEMS,
           "main.htt_outbox: row 1099511627782 was changed: its token does not fit");
    run(db, "UPDATE htt_outbox SET key = 44 WHERE id = " ROW(8));
    expect(db, PROBLEMS,
           "main.htt_outbox: row 1099511627782 was changed: its token does not fit\n"
           "main.htt_outbox: row 1099511627784 was changed: its token does not fit");
    run(db, "UPDATE htt_outbox SET value = 'f' WHERE id = " ROW(6)
            "; UPDATE htt_outbox SET key = 8 WHERE id = " ROW(8));
    expect(db, PROBLEMS, "ok");
    run(db, "UPDATE htt_outbox SET token = token + 1 WHERE id = " ROW(9));
    expect(db, PROBLEMS,
           "main.htt_outbox: row 1099511627785 was changed: its token does not fit");
}

static void test_check__row_that_makes_no_sense(void **state) {
    sqlite3 *const db = check_make(state);
    run(db, "UPDATE htt_outbox SET op = 77 WHERE id = " ROW(4) ";"
            "UPDATE htt_outbox SET key = NULL WHERE id = " ROW(6) ";"
            "UPDATE htt_outbox SET token = 'x' WHERE id = " ROW(8));
    expect(db, PROBLEMS, "main.htt_outbox: the op of row 1099511627780 makes no sense\n"
                         "main.htt_outbox: the key of row 1099511627782 makes no sense\n"
                         "main.htt_outbox: the token of row 1099511627784 makes no sense");
}

static void test_check__row_of_somebody_else(void **state) {
    sqlite3 *const db = check_make(state);
    run(db, "INSERT INTO htt_outbox VALUES (" ROW(10) ", 1, 10, 'j', 0)");
    expect(db, PROBLEMS,
           "main.htt_outbox: row 1099511627786 was changed: its token does not fit");
    run(db, "INSERT INTO htt_outbox VALUES (" ROW(20) ", 1, 10, 'j', 0)");
    expect(db, PROBLEMS,
           "main.htt_outbox: row 1099511627786 was changed: its token does not fit\n"
           "main.htt_outbox: rows 1099511627787 to 1099511627795 are missing");
}

static void test_check__root_record(void **state) {
    sqlite3 *const db = check_make(state);
    run(db, "CREATE TABLE kept AS SELECT * FROM htt_store");
    run(db, "UPDATE htt_store SET root = CAST(substr(root, 1, 50) || x'ff' || substr(root, 52) "
            "AS BLOB)");
    expect(db, "SELECT count(*) FROM htt_check('kv') WHERE problem LIKE '%root record is damaged%'",
           "1");
    run(db, "UPDATE htt_store SET root = x'00'");
    expect(db, "SELECT count(*) FROM htt_check('kv') WHERE problem LIKE '%1 bytes, not 128%'",
           "1");
    run(db, "UPDATE htt_store SET root = 'text'");
    expect(db, "SELECT count(*) FROM htt_check('kv') WHERE problem LIKE '%of a wrong type%'", "1");
    run(db, "UPDATE htt_store SET root = NULL");
    expect(db, "SELECT count(*) FROM htt_check('kv') WHERE problem LIKE '%without a root%'", "9");
    run(db, "UPDATE htt_store SET root = (SELECT root FROM kept)");
    expect(db, PROBLEMS, "ok");
}

static void test_check__older_root_by_hand(void **state) {
    sqlite3 *const db = check_make(state);
    run(db, "CREATE TABLE kept AS SELECT * FROM htt_store; SELECT htt_fold('kv');"
            "INSERT INTO kv VALUES (10, 'j'); SELECT htt_fold('kv')");
    expect(db, PROBLEMS, "ok");
    run(db, "UPDATE htt_store SET root = (SELECT root FROM kept)");
    expect(db, "SELECT count(*) FROM htt_check('kv') WHERE problem LIKE '%older than its file%'",
           "1");
}

static void test_check__consumer(void **state) {
    sqlite3 *const db = check_make(state);
    run(db, "INSERT INTO htt_consumer SELECT 'reader', id, 'much' FROM htt_store");
    expect(db, "SELECT count(*) FROM htt_check('kv') WHERE problem LIKE '%htt_consumer%'", "1");
}

static void test_check__row_of_the_store(void **state) {
    sqlite3 *const db = check_make(state);
    sqlite3 *const other = fixture_open(state, NULL);
    expect(db, "SELECT count(*) FROM kv", "9");
    run(other, "CREATE TEMP TABLE kept AS SELECT * FROM htt_store; UPDATE htt_store SET state = "
               "'dropped'");
    expect(db, PROBLEMS, "the row in htt_store is of a dropped table");
    run(other, "UPDATE htt_store SET state = 'live', uuid = zeroblob(16)");
    expect(db, PROBLEMS, "the row in htt_store is of another file");
    run(other, "DELETE FROM htt_store");
    expect(db, PROBLEMS, "htt_store has no row for this file");
    run(other, "INSERT INTO htt_store SELECT * FROM kept");
    expect(db, PROBLEMS, "ok");
    assert_int_equal(sqlite3_close(other), SQLITE_OK);
}

/* Changes a byte in the middle of the file's pages, but for the meta pages. */
static void check_damage_pages(const char *path) {
    FILE *const file = fopen(path, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    const long end = ftell(file);
    for (long at = 2 * 4096 + 2048; at < end; at += 4096) {
        assert_int_equal(fseek(file, at, SEEK_SET), 0);
        const int byte = fgetc(file);
        assert_int_equal(fseek(file, at, SEEK_SET), 0);
        assert_int_not_equal(fputc(byte ^ 0x5a, file), EOF);
    }
    assert_int_equal(fclose(file), 0);
}

static void test_check__pages_and_rows_together(void **state) {
    sqlite3 *db = check_make(state);
    run(db, "DELETE FROM htt_outbox WHERE id = " ROW(5));
    check_damage_pages(fixture_path(state, "kv.htt"));
    db = fixture_reopen(state);
    expect(db, "SELECT count(*) FROM htt_check('kv') WHERE problem LIKE '%is missing'", "1");
    expect(db, "SELECT count(*) > 0 FROM htt_check('kv') WHERE page IS NOT NULL", "1");
}

static void test_check__in_the_midst_of_transactions(void **state) {
    sqlite3 *const db = check_make(state);
    run(db, "BEGIN; INSERT INTO kv VALUES (10, 'j')");
    expect(db, PROBLEMS, "ok");
    run(db, "INSERT INTO kv SELECT 'k' || key, zeroblob(2000000) FROM kv"); /* into pages */
    expect(db, PROBLEMS, "ok");
    run(db, "ROLLBACK");
    expect(db, PROBLEMS, "ok");
    run(db, "BEGIN; SELECT count(*) FROM kv");
    expect(db, PROBLEMS, "ok");
    run(db, "COMMIT");
}

/* What is newer than the snapshot is no problem of it. */
static void test_check__older_snapshot_beside_folds(void **state) {
    sqlite3 *const db = fixture_db(state);
    run(db, "PRAGMA journal_mode = wal");
    (void)check_make(state);
    sqlite3 *const other = fixture_open(state, NULL);
    run(db, "BEGIN; SELECT count(*) FROM kv");
    for (int i = 0; i < 3; i++) {
        run(other, "UPDATE kv SET value = value || 'x'; SELECT htt_fold('kv')");
    }
    expect(db, PROBLEMS, "ok");
    run(db, "COMMIT");
    expect(db, PROBLEMS, "ok");
    assert_int_equal(sqlite3_close(other), SQLITE_OK);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        fixture_test(test_check__row_that_is_missing),
        fixture_test(test_check__older_row_that_a_consumer_would_miss),
        fixture_test(test_check__row_that_was_changed),
        fixture_test(test_check__row_that_makes_no_sense),
        fixture_test(test_check__row_of_somebody_else),
        fixture_test(test_check__root_record),
        fixture_test(test_check__older_root_by_hand),
        fixture_test(test_check__consumer),
        fixture_test(test_check__row_of_the_store),
        fixture_test(test_check__pages_and_rows_together),
        fixture_test(test_check__in_the_midst_of_transactions),
        fixture_test(test_check__older_snapshot_beside_folds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
