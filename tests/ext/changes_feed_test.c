/* SPDX-License-Identifier: MIT */
/*
 * htt_changes and htt_seq, one by one: what they give, and that somebody who has missed something
 * is told so. changes_random_test.c has followers at random.
 */
#include "fixture.h"

#include <stdio.h>

#include "engine/htt.h"

#define GAP SQLITE_RANGE


static void test_changes__come_in_order_with_key_and_value(void **state) {
    sqlite3 *const db = fixture_db(state);
    run(db, "CREATE VIRTUAL TABLE kv USING htt('kv.htt', changes=on)");
    expect(db, "SELECT htt_seq('kv')", "0");
    expect(db, "SELECT * FROM htt_changes('kv', 0)", "");
    run(db, "INSERT INTO kv VALUES ('a', 1), (2, x'00'), (1.5, NULL)");
    run(db, "DELETE FROM kv WHERE key = 2; UPDATE kv SET key = 'b', value = 'c' WHERE key = 'a'");
    expect(db, "SELECT seq, op, key, value FROM htt_changes('kv', 0)",
           "1|put|a|1\n2|put|2|x'00'\n3|put|1.5|NULL\n4|delete|2|NULL\n5|delete|a|NULL\n6|put|b|c");
    expect(db, "SELECT seq FROM htt_changes('kv', 4, 'main') ORDER BY seq", "5\n6");
    expect(db, "SELECT seq FROM htt_changes('kv', 4) ORDER BY seq DESC", "6\n5");
    expect(db, "SELECT id - (SELECT id << 40 FROM htt_store) FROM htt_changes('kv', 5)", "6");
    expect(db, "SELECT \"table\", since, \"schema\" FROM htt_changes('kv', 5)", "kv|5|NULL");
    expect(db, "SELECT htt_seq('main.kv'), count(*) FROM htt_changes('kv', 6)", "6|0");
}

static void test_changes__of_several_columns_are_json(void **state) {
    sqlite3 *const db = fixture_db(state);
    run(db, "CREATE VIRTUAL TABLE m USING htt('m.htt', a, id INTEGER PRIMARY KEY, b, changes=on)");
    run(db, "INSERT INTO m VALUES ('x', 7, 1.5), (x'01', 8, NULL); DELETE FROM m WHERE id = 7");
    expect(db, "SELECT op, key, value FROM htt_changes('m', 0)",
           "put|7|[\"x\",1.5]\nput|8|[{\"blob\":\"01\"},null]\ndelete|7|NULL");
    expect(db, "SELECT htt_row_json(raw) = value FROM htt_changes('m', 0)", "1\n1\nNULL");
    expect(db, "SELECT raw = o.value FROM htt_changes('m', 0) AS c, htt_outbox AS o "
               "WHERE o.id = c.id AND c.op = 'put'",
           "1\n1");
}

/* The outbox keeps it as a blob, so that it survives UTF-16. */
static void test_changes__text_that_is_no_utf8_stays_text(void **state) {
    sqlite3 *const db = fixture_db(state);
    run(db, "CREATE VIRTUAL TABLE kv USING htt('kv.htt', changes=on)");
    run(db, "INSERT INTO kv VALUES (CAST(x'61ff' AS TEXT), CAST(x'fe62' AS TEXT))");
    expect(db, "SELECT typeof(key), hex(key), typeof(value), hex(value), typeof(raw) "
               "FROM htt_changes('kv', 0)",
           "text|61FF|text|FE62|text");
}

static void test_changes__wrong_arguments_are_told(void **state) {
    sqlite3 *const db = fixture_db(state);
    run(db, "CREATE VIRTUAL TABLE kv USING htt('kv.htt', changes=on)");
    run(db, "CREATE VIRTUAL TABLE off USING htt('off.htt')");
    expect_error(db, "SELECT * FROM htt_changes", SQLITE_ERROR, "the table is missing");
    expect_error(db, "SELECT * FROM htt_changes('kv')", SQLITE_ERROR, "htt_changes('kv', 0)");
    expect_error(db, "SELECT * FROM htt_changes(NULL, 0)", SQLITE_ERROR, "is NULL");
    expect_error(db, "SELECT * FROM htt_changes('kv', NULL)", SQLITE_ERROR, "no integer");
    expect_error(db, "SELECT * FROM htt_changes('kv', 'x')", SQLITE_ERROR, "no integer");
    expect_error(db, "SELECT * FROM htt_changes('no', 0)", SQLITE_ERROR, "no such table");
    expect_error(db, "SELECT * FROM htt_changes('htt_store', 0)", SQLITE_ERROR, "htt table");
    expect_error(db, "SELECT * FROM htt_changes('off', 0)", SQLITE_ERROR, "changes=on");
    expect_error(db, "SELECT htt_seq('off')", SQLITE_ERROR, "changes=on");
    expect(db, "SELECT * FROM htt_changes('kv', '0')", "");
}

static void test_changes__memory_database_has_none(void **state) {
    sqlite3 *const db = fixture_open(state, ":memory:");
    char sql[512];
    snprintf(sql, sizeof sql, "CREATE VIRTUAL TABLE kv USING htt('%s', changes=on)",
             fixture_path(state, "memory.htt"));
    run(db, sql);
    expect_error(db, "SELECT * FROM htt_changes('kv', 0)", SQLITE_ERROR, "no file");
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

#define TEN "WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10) "

static void test_changes__what_was_trimmed_is_a_gap(void **state) {
    sqlite3 *const db = fixture_db(state);
    run(db, "CREATE VIRTUAL TABLE kv USING htt('kv.htt', changes=on, changes_keep=3, "
            "fold_rows=5)");
    run(db, TEN "INSERT INTO kv SELECT i, i FROM n");
    run(db, "INSERT INTO kv VALUES (11, 11)"); /* trims what the fold before has left */
    expect(db, "SELECT min(seq), max(seq) FROM htt_changes('kv', 7)", "8|11");
    expect_error(db, "SELECT * FROM htt_changes('kv', 6)", GAP, "change 7 is not kept");
    expect_error(db, "SELECT * FROM htt_changes('kv', 0)", GAP, "start anew");
    expect_error(db, "SELECT * FROM htt_changes('kv', 12)", GAP, "the newest is 11");
    expect_error(db, "SELECT * FROM htt_changes('kv', -1)", GAP, "no change -1");
    expect_error(db, "SELECT * FROM htt_changes('kv', 9223372036854775807)", GAP, "no change");
}

static void test_changes__missing_row_is_damage(void **state) {
    sqlite3 *const db = fixture_db(state);
    run(db, "CREATE VIRTUAL TABLE kv USING htt('kv.htt', changes=on)");
    run(db, TEN "INSERT INTO kv SELECT i, i FROM n; SELECT htt_fold('kv')");
    run(db, "DELETE FROM htt_outbox WHERE id & 15 = 5");
    expect_error(db, "SELECT count(*) FROM htt_changes('kv', 0)", SQLITE_CORRUPT_VTAB, "missing");
    expect(db, "SELECT count(*) FROM htt_changes('kv', 5)", "5");
    run(db, "DELETE FROM htt_outbox WHERE id & 15 = 10");
    expect_error(db, "SELECT count(*) FROM htt_changes('kv', 5)", SQLITE_CORRUPT_VTAB, "missing");
    expect_error(db, "SELECT count(*) FROM htt_changes('kv', 9)", SQLITE_CORRUPT_VTAB, "missing");
}

static void test_changes__registered_consumer_keeps_them(void **state) {
    sqlite3 *const db = fixture_db(state);
    run(db, "CREATE VIRTUAL TABLE kv USING htt('kv.htt', changes=on, changes_keep=0, "
            "fold_rows=1)");
    run(db, TEN "INSERT INTO kv SELECT i, i FROM n");
    run(db, "INSERT INTO htt_consumer SELECT 'me', id, (id << 40) + htt_seq('kv') FROM htt_store");
    run(db, TEN "INSERT INTO kv SELECT i + 10, i FROM n; DELETE FROM kv WHERE key = 11");
    expect(db, "SELECT count(*), min(seq), max(seq) FROM htt_changes('kv', 10)", "11|11|21");
    run(db, "UPDATE htt_consumer SET acknowledged = acknowledged + 6");
    run(db, "INSERT INTO kv VALUES (100, 0); INSERT INTO kv VALUES (101, 0)");
    expect(db, "SELECT count(*) FROM htt_changes('kv', 16)", "7");
    expect_error(db, "SELECT * FROM htt_changes('kv', 15)", GAP, "change 16");
    run(db, "DELETE FROM htt_consumer; INSERT INTO kv VALUES (102, 0)");
    run(db, "INSERT INTO kv VALUES (103, 0)");
    expect_error(db, "SELECT * FROM htt_changes('kv', 16)", GAP, "change 17");
}

/* Rows are read one by one; those that come meanwhile are not part of it. */
static void test_changes__are_those_of_the_beginning_of_the_query(void **state) {
    sqlite3 *const db = fixture_db(state);
    sqlite3_stmt *statement;
    int count = 1;
    run(db, "CREATE VIRTUAL TABLE kv USING htt('kv.htt', changes=on)");
    run(db, TEN "INSERT INTO kv SELECT i, i FROM n");
    assert_int_equal(sqlite3_prepare_v2(db, "SELECT seq FROM htt_changes('kv', 0)", -1, &statement,
                                        NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    run(db, TEN "INSERT INTO kv SELECT i + 10, i FROM n");
    while (sqlite3_step(statement) == SQLITE_ROW) {
        count++;
    }
    assert_int_equal(sqlite3_finalize(statement), SQLITE_OK);
    assert_int_equal(count, 10);
    expect(db, "SELECT count(*) FROM htt_changes('kv', 0)", "20");
}

/* The feed ends at a DROP: what happens until it is switched on again stands in no row. */
static void test_changes__drop_and_create_are_a_gap(void **state) {
    sqlite3 *const db = fixture_db(state);
    htt_store *store;
    htt_options options;
    run(db, "CREATE VIRTUAL TABLE kv USING htt('kv.htt', changes=on)");
    run(db, "INSERT INTO kv VALUES ('a', 1); DROP TABLE kv");
    htt_options_init(&options);
    assert_int_equal(htt_open(fixture_path(state, "kv.htt"), &options, &store, NULL), HTT_OK);
    assert_int_equal(htt_put_int(store, "b", 1), HTT_OK);
    htt_close(store);
    run(db, "CREATE VIRTUAL TABLE kv USING htt('kv.htt', changes=on)");
    expect_error(db, "SELECT * FROM htt_changes('kv', 1)", GAP, "start anew");
    expect(db, "SELECT count(*) FROM kv", "2");
    expect(db, "SELECT count(*) FROM htt_changes('kv', htt_seq('kv'))", "0");
    run(db, "INSERT INTO kv VALUES ('c', 1)");
    expect(db, "SELECT key FROM htt_changes('kv', htt_seq('kv') - 1)", "c");
    expect(db, "SELECT * FROM htt_check('kv')", "ok");
}

static void test_changes__large_ones_while_switched_off_are_a_gap(void **state) {
    sqlite3 *const db = fixture_db(state);
    run(db, "CREATE VIRTUAL TABLE kv USING htt('kv.htt', changes=on)");
    run(db, "INSERT INTO kv VALUES ('a', 1); CREATE TEMP TABLE mark AS SELECT htt_seq('kv') AS s");
    run(db, "DROP TABLE kv; CREATE VIRTUAL TABLE kv USING htt('kv.htt')");
    run(db, "INSERT INTO kv VALUES ('large', zeroblob(2000000))"); /* into pages, no number */
    run(db, "DROP TABLE kv; CREATE VIRTUAL TABLE kv USING htt('kv.htt', changes=on)");
    expect_error(db, "SELECT * FROM htt_changes('kv', (SELECT s FROM mark))", GAP, "start anew");
    expect(db, "SELECT count(*) FROM kv", "2");
}

static void test_changes__switched_on_in_a_transaction(void **state) {
    sqlite3 *const db = fixture_db(state);
    run(db, "CREATE VIRTUAL TABLE kv USING htt('kv.htt'); INSERT INTO kv VALUES ('a', 1)");
    run(db, "BEGIN; DROP TABLE kv; CREATE VIRTUAL TABLE kv USING htt('kv.htt', changes=on)");
    run(db, "CREATE TEMP TABLE mark AS SELECT htt_seq('kv') AS seq");
    run(db, "INSERT INTO kv VALUES ('b', 1); COMMIT; INSERT INTO kv VALUES ('c', 1)");
    expect(db, "SELECT key FROM htt_changes('kv', (SELECT seq FROM mark))", "b\nc");
    expect(db, "SELECT count(*) FROM kv", "3");
    run(db, "BEGIN; DROP TABLE kv; CREATE VIRTUAL TABLE kv USING htt('kv.htt', fold_rows=1); "
            "INSERT INTO kv VALUES ('d', 1); ROLLBACK; INSERT INTO kv VALUES ('e', 1)");
    expect(db, "SELECT key FROM htt_changes('kv', (SELECT seq FROM mark))", "b\nc\ne");
    expect(db, "SELECT count(*) FROM kv", "4");
}

/* Another file, or another state of it: what a consumer has is not what it goes on from. */
static void test_changes__adopt_ends_registrations(void **state) {
    sqlite3 *const db = fixture_db(state);
    run(db, "CREATE VIRTUAL TABLE kv USING htt('kv.htt', changes=on)");
    run(db, TEN "INSERT INTO kv SELECT i, i FROM n; SELECT htt_fold('kv')");
    run(db, "INSERT INTO htt_consumer SELECT 'me', id, (id << 40) + 4 FROM htt_store");
    run(db, "SELECT htt_adopt('kv')");
    expect(db, "SELECT count(*) FROM htt_consumer", "0");
    expect_error(db, "SELECT * FROM htt_changes('kv', 4)", GAP, "start anew");
}

static void test_changes__last_close_folds_and_keeps_them(void **state) {
    sqlite3 *db = fixture_db(state);
    run(db, "CREATE VIRTUAL TABLE kv USING htt('kv.htt', changes=on)");
    run(db, TEN "INSERT INTO kv SELECT i, i FROM n");
    db = fixture_reopen(state);
    expect(db, "SELECT count(*) FROM htt_changes('kv', 0)", "10");
    expect(db, "SELECT htt_fold('kv')", "0");
    expect(db, "SELECT count(*) FROM kv", "10");
}

/* A connection that reads and writes at once may trim what it is about to read. */
static void test_changes__trimmed_under_the_reader_are_a_gap(void **state) {
    sqlite3 *const db = fixture_db(state);
    sqlite3_stmt *statement;
    run(db, "CREATE VIRTUAL TABLE kv USING htt('kv.htt', changes=on, changes_keep=0, "
            "fold_rows=5)");
    run(db, TEN "INSERT INTO kv SELECT i, i FROM n");
    assert_int_equal(sqlite3_prepare_v2(db, "SELECT seq FROM htt_changes('kv', 0)", -1, &statement,
                                        NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    run(db, "INSERT INTO kv VALUES (11, 11)");
    assert_int_equal(sqlite3_step(statement), GAP);
    assert_int_equal(sqlite3_finalize(statement), GAP);
    expect(db, "SELECT count(*) FROM kv", "11");
}

static void test_changes__of_an_attached_database(void **state) {
    sqlite3 *const db = fixture_db(state);
    char sql[512];
    snprintf(sql, sizeof sql, "ATTACH '%s' AS other", fixture_path(state, "other.db"));
    run(db, sql);
    run(db, "CREATE VIRTUAL TABLE kv USING htt('kv.htt')");
    run(db, "CREATE VIRTUAL TABLE other.kv USING htt('kv2.htt', changes=on)");
    run(db, "INSERT INTO other.kv VALUES ('x', 'y')");
    expect_error(db, "SELECT * FROM htt_changes('kv', 0)", SQLITE_ERROR, "changes=on");
    expect(db, "SELECT seq, key, value, \"schema\" FROM htt_changes('kv', 0, 'other')",
           "1|x|y|other");
    expect(db, "SELECT htt_seq('other.kv')", "1");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        fixture_test(test_changes__come_in_order_with_key_and_value),
        fixture_test(test_changes__of_several_columns_are_json),
        fixture_test(test_changes__text_that_is_no_utf8_stays_text),
        fixture_test(test_changes__wrong_arguments_are_told),
        fixture_test(test_changes__memory_database_has_none),
        fixture_test(test_changes__what_was_trimmed_is_a_gap),
        fixture_test(test_changes__missing_row_is_damage),
        fixture_test(test_changes__registered_consumer_keeps_them),
        fixture_test(test_changes__are_those_of_the_beginning_of_the_query),
        fixture_test(test_changes__drop_and_create_are_a_gap),
        fixture_test(test_changes__large_ones_while_switched_off_are_a_gap),
        fixture_test(test_changes__switched_on_in_a_transaction),
        fixture_test(test_changes__adopt_ends_registrations),
        fixture_test(test_changes__last_close_folds_and_keeps_them),
        fixture_test(test_changes__trimmed_under_the_reader_are_a_gap),
        fixture_test(test_changes__of_an_attached_database),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
