/* SPDX-License-Identifier: MIT */
/*
 * The tables and the view that libhtt keeps in a database: those of sql/schema, their versions,
 * and htt_row_json.
 */
#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/htt.h"

/* Lines of comments and white space are left out. */
static void schema_strip(char *text) {
    char *out = text;
    for (const char *at = text; *at != '\0'; at++) {
        if (at[0] == '-' && at[1] == '-') {
            at += strcspn(at, "\n");
        }
        if (strchr(" \n", *at) == NULL) {
            *out++ = *at;
        }
    }
    *out = '\0';
}

/* Everything of ours in a schema. Caller frees with sqlite3_free. */
static char *schema_text(sqlite3 *db) {
    char *const text = fixture_query(db, "SELECT type, name, tbl_name, sql FROM sqlite_schema "
                                         "WHERE rootpage > 0 OR type = 'view' ORDER BY name");
    schema_strip(text);
    return text;
}

/* Runs a file of sql/schema as the sqlite3 shell would. False: there are no sources here. */
static bool schema_run_file(sqlite3 *db, const char *name) {
    const char *const source = getenv("HTT_SOURCE_DIR");
    char path[1024];
    char text[8192];
    snprintf(path, sizeof path, "%s/sql/schema/%s.sql", source == NULL ? "." : source, name);
    FILE *const file = fopen(path, "rb");
    if (file == NULL) {
        return false; /* run by hand, away from the sources */
    }
    const size_t size = fread(text, 1, sizeof text - 1, file);
    assert_int_equal(fclose(file), 0);
    text[size] = '\0';
    run(db, text);
    return true;
}

static void test_schema__tables_are_as_the_files_say(void **state) {
    static const char *const names[] = {"htt_schema", "htt_store", "htt_outbox", "htt_consumer",
                                        "htt_change"};
    sqlite3 *const db = fixture_db(state);
    sqlite3 *const by_hand = fixture_open(state, ":memory:");
    run(db, "CREATE VIRTUAL TABLE kv USING htt('kv.htt')");
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (!schema_run_file(by_hand, names[i])) {
            assert_int_equal(sqlite3_close(by_hand), SQLITE_OK);
            skip();
        }
    }
    char *const made = schema_text(db);
    char *const expected = schema_text(by_hand);
    assert_string_equal(made, expected);
    sqlite3_free(made);
    sqlite3_free(expected);
    expect(by_hand, "SELECT * FROM htt_schema", "htt|1");
    expect(db, "SELECT * FROM htt_schema", "htt|1");
    expect(db, "SELECT count(*) FROM sqlite_schema WHERE sql LIKE '%--%'", "0");
    assert_int_equal(sqlite3_close(by_hand), SQLITE_OK);
}

static void test_schema__a_second_table_makes_nothing_anew(void **state) {
    sqlite3 *const db = fixture_db(state);
    run(db, "CREATE VIRTUAL TABLE kv USING htt('kv.htt')");
    char *const before = schema_text(db);
    run(db, "UPDATE htt_schema SET name = 'htt'"); /* stays as it is */
    run(db, "CREATE VIRTUAL TABLE two USING htt('two.htt')");
    char *const after = schema_text(db);
    assert_string_equal(before, after);
    sqlite3_free(before);
    sqlite3_free(after);
    expect(db, "SELECT name FROM htt_store ORDER BY id", "kv.htt\ntwo.htt");
}

static void test_schema__what_is_missing_is_made(void **state) {
    sqlite3 *const db = fixture_db(state);
    run(db, "CREATE VIRTUAL TABLE kv USING htt('kv.htt'); INSERT INTO kv VALUES (1, 2)");
    run(db, "SELECT htt_fold('kv')");
    char *const before = schema_text(db);
    /* As a database of a version that had htt_store alone. */
    run(db, "DROP VIEW htt_change; DROP TABLE htt_outbox; DROP TABLE htt_consumer; "
            "DROP TABLE htt_schema; CREATE VIRTUAL TABLE two USING htt('two.htt')");
    char *const after = schema_text(db);
    assert_string_equal(before, after);
    sqlite3_free(before);
    sqlite3_free(after);
    run(db, "DROP VIEW htt_change; CREATE VIRTUAL TABLE three USING htt('three.htt')");
    expect(db, "SELECT count(*) FROM htt_change WHERE seq > 1000000", "0");
    expect(db, "SELECT * FROM kv", "1|2");
}

static void test_schema__newer_tables_are_refused(void **state) {
    sqlite3 *const db = fixture_db(state);
    run(db, "CREATE VIRTUAL TABLE kv USING htt('kv.htt'); UPDATE htt_schema SET version = 3");
    expect_error(db, "CREATE VIRTUAL TABLE two USING htt('two.htt')", SQLITE_ERROR,
                 "the htt tables of \"main\" have version 3, this libhtt (" HTT_VERSION
                 ") knows version 1: use a newer libhtt");
    expect(db, "SELECT count(*) FROM sqlite_schema WHERE name = 'two'", "0");
    run(db, "UPDATE htt_schema SET version = 'x'");
    expect_error(db, "CREATE VIRTUAL TABLE two USING htt('two.htt')", SQLITE_CORRUPT_VTAB,
                 "main.htt_schema");
    run(db, "UPDATE htt_schema SET version = 1; CREATE VIRTUAL TABLE two USING htt('two.htt')");
}

static void test_schema__a_schema_with_an_odd_name_is_served(void **state) {
    sqlite3 *const db = fixture_db(state);
    char sql[700];
    snprintf(sql, sizeof sql, "ATTACH '%s' AS \"a\"\"b%%w'\"", fixture_path(state, "other.db"));
    run(db, sql);
    run(db, "CREATE TABLE plain(x); INSERT INTO plain(rowid, x) VALUES (77, 1)");
    run(db, "CREATE VIRTUAL TABLE \"a\"\"b%w'\".kv USING htt('kv.htt')");
    expect(db, "SELECT last_insert_rowid()", "77");
    expect(db, "SELECT name FROM \"a\"\"b%w'\".sqlite_schema WHERE name LIKE 'htt%' ORDER BY 1",
           "htt_change\nhtt_consumer\nhtt_outbox\nhtt_schema\nhtt_store");
    expect(db, "SELECT name FROM main.sqlite_schema", "plain");
    run(db, "BEGIN; CREATE VIRTUAL TABLE main.kv USING htt('kv2.htt'); ROLLBACK");
    expect(db, "SELECT name FROM main.sqlite_schema", "plain");
}

/* ------------------------------------------------------------- htt_change */

static void test_schema__changes_are_shown_decoded(void **state) {
    sqlite3 *const db = fixture_db(state);
    run(db, "PRAGMA trusted_schema = 0; CREATE VIRTUAL TABLE kv USING htt('kv.htt');"
            "CREATE VIRTUAL TABLE two USING htt('two.htt'); DELETE FROM htt_outbox;"
            "INSERT INTO htt_outbox VALUES ((1 << 40) + 8, 1, 'a', 1.0, 0), "
            "((1 << 40) + 9, 3, -0.0, NULL, 0), ((2 << 40) + 1, 2, 1, x'020913076162', 0), "
            "((2 << 40) + 2, 1 + 16, x'ff', NULL, 0), ((3 << 40) + 1, 1, 'nobody''s', 1, 0)");
    expect(db, "SELECT * FROM htt_change ORDER BY id",
           "1099511627784|kv.htt|8|put|a|1.0\n1099511627785|kv.htt|9|delete|-0.0|NULL\n"
           "2199023255553|two.htt|1|put|1|[7,\"ab\"]\n2199023255554|two.htt|2|put|x'ff'|NULL");
}

static void test_schema__a_consumer_reads_on_by_id(void **state) {
    sqlite3 *const db = fixture_db(state);
    run(db, "CREATE VIRTUAL TABLE kv USING htt('kv.htt'); CREATE VIRTUAL TABLE two USING "
            "htt('two.htt'); DELETE FROM htt_outbox");
    run(db, "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 20) "
            "INSERT INTO htt_outbox SELECT (s << 40) + i, 1, i, s, 0 FROM c, "
            "(SELECT 1 AS s UNION SELECT 2)");
    run(db, "INSERT INTO htt_consumer SELECT 'me', id, (id << 40) + 17 FROM htt_store");
    expect(db,
           "SELECT store, group_concat(seq) FROM htt_change WHERE store = 'two.htt' AND id > "
           "(SELECT acknowledged FROM htt_consumer JOIN htt_store AS s ON s.id = store "
           "WHERE htt_consumer.name = 'me' AND s.name = 'two.htt')",
           "two.htt|18,19,20");
    char *const plan = fixture_query(
        db, "EXPLAIN QUERY PLAN SELECT * FROM htt_change WHERE store = 'two.htt' AND id > 5");
    assert_non_null(strstr(plan, "SEARCH o USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"));
    sqlite3_free(plan);
}

/* ------------------------------------------------------------ htt_row_json */

/* SELECT htt_row_json(?1) of a row with these columns. */
static void json_expect(sqlite3 *db, const htt_datum *columns, uint32_t count, const char *text) {
    uint8_t bytes[256];
    sqlite3_stmt *statement;
    assert_true(htt_row_size(columns, count) <= sizeof bytes);
    htt_row_encode(columns, count, bytes);
    assert_int_equal(sqlite3_prepare_v2(db, "SELECT htt_row_json(?1)", -1, &statement, NULL),
                     SQLITE_OK);
    sqlite3_bind_blob64(statement, 1, bytes, htt_row_size(columns, count), SQLITE_STATIC);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    assert_int_equal(sqlite3_column_type(statement, 0), SQLITE_TEXT);
    assert_string_equal((const char *)sqlite3_column_text(statement, 0), text);
    assert_int_equal(sqlite3_finalize(statement), SQLITE_OK);
}

static void test_row_json__every_type_has_its_form(void **state) {
    sqlite3 *const db = fixture_db(state);
    uint8_t s[10][HTT_NUMBER_SIZE];
    const htt_datum numbers[] = {htt_integer(0, s[0]),
                                 htt_integer(INT64_MIN, s[1]),
                                 htt_real(1.0, s[2]),
                                 htt_real(0.1, s[3]),
                                 htt_real(-0.0, s[4]),
                                 htt_real(1e300, s[5]),
                                 htt_real(1.0 / 3.0, s[6]),
                                 htt_real(__builtin_inf(), s[7]),
                                 htt_real(-__builtin_inf(), s[8])};
    json_expect(db, numbers, 9,
                "[0,-9223372036854775808,1.0,0.1,-0.0,1.0e+300,0.33333333333333331,9e999,-9e999]");
    const htt_datum others[] = {htt_text(""),
                                htt_text("a\"b\\c\n\x01\xc3\xa4/"),
                                htt_bytes("a\0b", 3, HTT_TEXT),
                                htt_blob("", 0),
                                htt_blob("\x00\xff", 2),
                                htt_null()};
    json_expect(db, others, 6,
                "[\"\",\"a\\\"b\\\\c\\u000a\\u0001\xc3\xa4/\",\"a\\u0000b\",{\"blob\":\"\"},"
                "{\"blob\":\"00ff\"},null]");
    json_expect(db, others, 0, "[]");
    const htt_datum back[] = {htt_real(__builtin_inf(), s[7]), htt_text("a\"\n\\")};
    json_expect(db, back, 2, "[9e999,\"a\\\"\\u000a\\\\\"]");
    expect(db, "SELECT json_valid('[9e999,\"a\\\"\\u000a\\\\\"]')", "1");
}

static void test_row_json__a_large_blob_is_whole(void **state) {
    sqlite3 *const db = fixture_db(state);
    static uint8_t blob[5000];
    static uint8_t bytes[5100];
    const htt_datum column = htt_blob(blob, sizeof blob);
    sqlite3_stmt *statement;
    memset(blob, 0xa5, sizeof blob);
    htt_row_encode(&column, 1, bytes);
    assert_int_equal(sqlite3_prepare_v2(db,
                                        "SELECT htt_row_json(?1) = '[{\"blob\":\"' || "
                                        "replace(hex(zeroblob(5000)), '00', 'a5') || '\"}]'",
                                        -1, &statement, NULL),
                     SQLITE_OK);
    sqlite3_bind_blob64(statement, 1, bytes, htt_row_size(&column, 1), SQLITE_STATIC);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    assert_int_equal(sqlite3_column_int(statement, 0), 1);
    assert_int_equal(sqlite3_finalize(statement), SQLITE_OK);
}

static void test_row_json__bytes_that_are_no_row_are_refused(void **state) {
    static const char *const bad[] = {"x''",     "x'01'",     "x'0109'", "x'010900'", "x'010907ff'",
                                      "x'0106'", "x'ffff03'", "'text'",  "1",         "1.5"};
    sqlite3 *const db = fixture_db(state);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char sql[100];
        snprintf(sql, sizeof sql, "SELECT htt_row_json(%s)", bad[i]);
        expect_error(db, sql, SQLITE_ERROR, "htt_row_json: a row of htt_outbox expected");
    }
    expect(db, "SELECT htt_row_json(NULL), htt_row_json(x'00'), htt_row_json(x'010907')",
           "NULL|[]|[7]");
    sqlite3_limit(db, SQLITE_LIMIT_LENGTH, 1000);
    expect_error(db, "SELECT htt_row_json(CAST(x'01a41f' || CAST(zeroblob(500) AS TEXT) AS BLOB))",
                 SQLITE_TOOBIG, "too big");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        fixture_test(test_schema__tables_are_as_the_files_say),
        fixture_test(test_schema__a_second_table_makes_nothing_anew),
        fixture_test(test_schema__what_is_missing_is_made),
        fixture_test(test_schema__newer_tables_are_refused),
        fixture_test(test_schema__a_schema_with_an_odd_name_is_served),
        fixture_test(test_schema__changes_are_shown_decoded),
        fixture_test(test_schema__a_consumer_reads_on_by_id),
        fixture_test(test_row_json__every_type_has_its_form),
        fixture_test(test_row_json__a_large_blob_is_whole),
        fixture_test(test_row_json__bytes_that_are_no_row_are_refused),
    };
    return cmocka_run_group_tests_name("schema", tests, NULL, NULL);
}
