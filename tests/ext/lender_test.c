/* SPDX-License-Identifier: MIT */
/*
 * Tests of ext/lender.c: what SQLite was given stays what it was for as long as it keeps it, and
 * the memory comes back.
 */
#define SQLITE_CORE 1 /* SQLite is called directly, as in libhtt.a */

#include "fixture.h"

#include <stdio.h>
#include <string.h>

#include "ext/lender.h"

/* lent(x, n): the text or blob x, n times over. */
static void lend(sqlite3_context *context, int argc, sqlite3_value **argv) {
    static char bytes[20000];
    const bool text = sqlite3_value_type(argv[0]) == SQLITE_TEXT;
    const size_t size = (size_t)sqlite3_value_bytes(argv[0]);
    const void *const part = sqlite3_value_blob(argv[0]);
    const size_t times = (size_t)sqlite3_value_int(argv[1]);
    assert_int_equal(argc, 2);
    assert_true(size * times <= sizeof bytes);
    for (size_t i = 0; i < times && size > 0; i++) {
        memcpy(bytes + i * size, part, size);
    }
    htt_lender_result(sqlite3_user_data(context), context,
                      htt_bytes(bytes, size * times, text ? HTT_TEXT : HTT_BLOB));
    memset(bytes, '#', sizeof bytes); /* the caller's bytes need not stay */
}

static htt_lender *register_lend(sqlite3 *db) {
    htt_lender *const lender = htt_lender_new();
    assert_non_null(lender);
    assert_int_equal(sqlite3_create_function(db, "lent", 2, SQLITE_UTF8, lender, lend, NULL, NULL),
                     SQLITE_OK);
    return lender;
}

static sqlite3_stmt *prepare(sqlite3 *db, const char *sql) {
    sqlite3_stmt *statement = NULL;
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
    return statement;
}

static void test_lender__values_of_every_size_come_out_as_they_went_in(void **state) {
    static const int sizes[] = {0, 1, 239, 240, 241, 4078, 4079, 4080, 4081, 20000};
    sqlite3 *db = fixture_db(state);
    htt_lender *const lender = register_lend(db);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        char sql[256];
        char expected[64];
        const int n = sizes[i];
        (void)snprintf(sql, sizeof sql,
                       "SELECT typeof(x), length(x), x = replace(hex(zeroblob(%d)), '00', 'a'), "
                       "typeof(y), length(y), y = CAST(x AS BLOB) "
                       "FROM (SELECT lent('a', %d) AS x, lent(x'61', %d) AS y)", n, n, n);
        (void)snprintf(expected, sizeof expected, "text|%d|1|blob|%d|1", n, n);
        expect(db, sql, expected);
    }
    htt_lender_free(lender);
}

static void test_lender__a_text_with_a_nul_in_it_keeps_what_is_behind(void **state) {
    sqlite3 *db = fixture_db(state);
    htt_lender *const lender = register_lend(db);
    expect(db, "SELECT typeof(x), hex(x), length(CAST(x AS BLOB)) "
               "FROM (SELECT lent('a' || char(0) || 'b', 2) AS x)", "text|610062610062|6");
    htt_lender_free(lender);
}

static void test_lender__a_text_has_its_nul_behind_it_without_a_copy(void **state) {
    sqlite3 *db = fixture_db(state);
    htt_lender *const lender = register_lend(db);
    sqlite3_stmt *const statement = prepare(db, "SELECT lent('abc', 5)");
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    const void *const blob = sqlite3_column_blob(statement, 0);
    const unsigned char *const text = sqlite3_column_text(statement, 0);
    assert_ptr_equal(text, blob);
    assert_string_equal((const char *)text, "abcabcabcabcabc");
    assert_int_equal(sqlite3_finalize(statement), SQLITE_OK);
    htt_lender_free(lender);
}

/* More at once than wait for the next one. */
static void test_lender__hundreds_of_values_at_once_do_not_touch_each_other(void **state) {
    sqlite3 *db = fixture_db(state);
    htt_lender *const lender = register_lend(db);
    char sql[8000] = "SELECT 0";
    size_t size = strlen(sql);
    for (int i = 1; i < 300; i++) {
        size += (size_t)snprintf(sql + size, sizeof sql - size, ",lent('%03d', %d)", i,
                                 i % 2 == 0 ? 10 : 500);
    }
    sqlite3_stmt *const statement = prepare(db, sql);
    for (int round = 0; round < 3; round++) {
        assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
        for (int i = 1; i < 300; i++) {
            const char *const text = (const char *)sqlite3_column_text(statement, i);
            char expected[4];
            (void)snprintf(expected, sizeof expected, "%03d", i);
            assert_int_equal(strlen(text), i % 2 == 0 ? 30 : 1500);
            for (size_t at = 0; text[at] != '\0'; at += 3) {
                assert_memory_equal(text + at, expected, 3);
            }
        }
        assert_int_equal(sqlite3_reset(statement), SQLITE_OK);
    }
    assert_int_equal(sqlite3_finalize(statement), SQLITE_OK);
    htt_lender_free(lender);
}

static void test_lender__what_sqlite_has_outlives_the_lender(void **state) {
    sqlite3 *db = fixture_db(state);
    htt_lender *const lender = register_lend(db);
    sqlite3_stmt *const statement = prepare(db, "SELECT lent('abc', 2), lent('xyz', 1000)");
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    htt_lender_free(lender);
    assert_string_equal((const char *)sqlite3_column_text(statement, 0), "abcabc");
    assert_memory_equal(sqlite3_column_text(statement, 1), "xyzxyz", 6);
    assert_int_equal(sqlite3_finalize(statement), SQLITE_OK);
}

/* A subquery's cursor is closed and opened for each outer row, max() keeps what it saw. */
static void test_lender__values_of_cursors_that_were_closed_meanwhile_stay(void **state) {
    sqlite3 *db = fixture_db(state);
    run(db, "CREATE VIRTUAL TABLE kv USING htt('kv.htt')");
    run(db, "WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500) "
            "INSERT INTO kv SELECT 'k' || i, printf('%07d', (i * 7919) % 1000) FROM n");
    run(db, "SELECT htt_fold('kv')");
    run(db, "CREATE TABLE o AS SELECT key AS k FROM kv");
    expect(db, "SELECT max((SELECT value FROM kv WHERE key = k)) = '0000999', "
               "min((SELECT value FROM kv WHERE key = k)) = '0000002' FROM o", "1|1");
    expect(db, "SELECT value, max(length(k)) FROM o JOIN kv ON key = k WHERE k = 'k77'",
           "0000763|3");
    expect(db, "SELECT count(*) FROM (SELECT DISTINCT (SELECT value FROM kv WHERE key = k) FROM o)",
           "500");
    expect(db, "SELECT group_concat(v) FROM (SELECT (SELECT value FROM kv WHERE key = k) AS v "
               "FROM o ORDER BY v LIMIT 3)", "0000002,0000003,0000005");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        fixture_test(test_lender__values_of_every_size_come_out_as_they_went_in),
        fixture_test(test_lender__a_text_with_a_nul_in_it_keeps_what_is_behind),
        fixture_test(test_lender__a_text_has_its_nul_behind_it_without_a_copy),
        fixture_test(test_lender__hundreds_of_values_at_once_do_not_touch_each_other),
        fixture_test(test_lender__what_sqlite_has_outlives_the_lender),
        fixture_test(test_lender__values_of_cursors_that_were_closed_meanwhile_stay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
