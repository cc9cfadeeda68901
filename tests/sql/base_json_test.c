/* SPDX-License-Identifier: MIT */
/* Tests of sql/base/json.c: what JSON is, and that SQLite takes all that is taken here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "sql/base/json.h"
#include "test_seed.h"

static const char *const good[] = {
    "{}", "[]", "0", "-0", "-1.5e+10", "1E5", "2e-3", "0.25", "\"\"", "true", "false", "null",
    " [ 1 , { \"a\" : [ ] , \"b\" : { } } ] \n\t\r", "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00fF\"",
    "\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\"", "[[[[[[[[[[]]]]]]]]]]", "{\"a\":{\"b\":[1,2]}}",
};

static const struct {
    const char *text; /* no JSON */
    size_t at;        /* where it ends to be */
} bad[] = {
    {"", 0},         {" ", 1},          {"{", 1},         {"[", 1},          {"]", 0},
    {"[1,]", 3},     {"{\"a\":1,}", 7}, {"{\"a\"}", 4},   {"{a:1}", 1},      {"[1 2]", 3},
    {"01", 1},       {"1.", 2},         {"-", 1},         {".5", 0},         {"1e", 2},
    {"+1", 0},       {"tru", 0},        {"nul", 0},       {"falsy", 0},      {"NaN", 0},
    {"\"", 1},       {"\"\\x\"", 2},    {"\"\\", 2},      {"\"\\u12\"", 5},  {"\"\\u123", 6},
    {"\"\n\"", 1},   {"\"\x80\"", 1},   {"\"\xc0\x80\"", 1}, {"\"\xe0\x80\x80\"", 1},
    {"\"\xed\xa0\x80\"", 1}, {"\"\xf5\x80\x80\x80\"", 1}, {"\"\xf4\x90\x80\x80\"", 1},
    {"\"\xc3", 1},   {"\"\xc3x\"", 1},  {"1 1", 2},       {"{\"a\":1]", 6},  {"[1}", 2},
    {"{\"a\":}", 5}, {"[,1]", 1},       {"'a'", 0},       {"{\"a\" 1}", 5},
};

static void test_json__what_is_valid_is_taken(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        if (!htt_json_is_valid(good[i], strlen(good[i]), NULL)) {
            fail_msg("%s", good[i]);
        }
    }
    assert_false(htt_json_is_valid("1\0", 2, NULL));
    assert_false(htt_json_is_valid("\"\\\0\"", 4, NULL));
    assert_false(htt_json_is_valid("\"\\u123\0\"", 8, NULL));
}

static void test_json__what_is_not_is_refused_at_its_place(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        size_t at = 99;
        if (htt_json_is_valid(bad[i].text, strlen(bad[i].text), &at) || at != bad[i].at) {
            fail_msg("%s: %zu", bad[i].text, at);
        }
    }
}

static void test_json__depth_has_a_limit(void **state) {
    (void)state;
    char text[2 * HTT_JSON_DEPTH_MAX + 3];
    memset(text, '[', HTT_JSON_DEPTH_MAX);
    memset(text + HTT_JSON_DEPTH_MAX, ']', HTT_JSON_DEPTH_MAX);
    assert_true(htt_json_is_valid(text, 2 * HTT_JSON_DEPTH_MAX, NULL));
    memset(text, '[', HTT_JSON_DEPTH_MAX + 1);
    memset(text + HTT_JSON_DEPTH_MAX + 1, ']', HTT_JSON_DEPTH_MAX + 1);
    size_t at;
    assert_false(htt_json_is_valid(text, 2 * HTT_JSON_DEPTH_MAX + 2, &at));
    assert_int_equal(at, HTT_JSON_DEPTH_MAX);
}

/* Texts near to valid ones: what we take, SQLite takes; and both take some and refuse some. */
static void test_json__sqlite_takes_what_is_taken_here(void **state) {
    static const char pieces[] = "[]{}:,\"\"\"0123456789-+.eE truefalsn\\u/ab\n";
    (void)state;
    uint64_t seed = test_seed();
    sqlite3 *db;
    sqlite3_stmt *statement;
    unsigned taken = 0;
    assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, "SELECT json_valid(?1)", -1, &statement, NULL),
                     SQLITE_OK);
    for (int i = 0; i < 60000; i++) {
        char text[80];
        const char *const start = good[test_random_below(&seed, sizeof good / sizeof good[0])];
        size_t size = strlen(start);
        memcpy(text, start, size);
        for (uint64_t changes = test_random_below(&seed, 4); changes > 0; changes--) {
            text[test_random_below(&seed, size)] =
                pieces[test_random_below(&seed, sizeof pieces - 1)];
        }
        if (htt_json_is_valid(text, size, NULL)) {
            taken++;
            sqlite3_reset(statement);
            sqlite3_bind_text(statement, 1, text, (int)size, SQLITE_STATIC);
            assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
            if (sqlite3_column_int(statement, 0) != 1) {
                fail_msg("SQLite refuses %.*s", (int)size, text);
            }
        }
    }
    assert_in_range(taken, 10000, 50000);
    sqlite3_finalize(statement);
    sqlite3_close(db);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json__what_is_valid_is_taken),
        cmocka_unit_test(test_json__what_is_not_is_refused_at_its_place),
        cmocka_unit_test(test_json__depth_has_a_limit),
        cmocka_unit_test(test_json__sqlite_takes_what_is_taken_here),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
