/* SPDX-License-Identifier: MIT */
/*
 * Values come back as an ordinary WITHOUT ROWID table gives them back, and keys are equal when
 * SQLite says so.
 */
#include "fixture.h"

#include <string.h>

static const char *const values[] = {
    "NULL",
    "0",
    "-1",
    "127",
    "-128",
    "32768",
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775808",
    "-9223372036854775809",
    "9007199254740993",
    "1.0",
    "-0.0",
    "0.1",
    "1e300",
    "9e999",
    "-9e999",
    "5e-324",
    "''",
    "'a'",
    "char(0)",
    "char(97,0,98)",
    "char(8364)",
    "char(128512)",
    "CAST(x'ff' AS TEXT)",
    "CAST(x'61ff00c3' AS TEXT)",
    "' 12 '",
    "'1e2'",
    "'0x10'",
    "'1_0'",
    "'9007199254740993.0'",
    "'9223372036854775808'",
    "'1e400'",
    "'-0.0'",
    "'+5'",
    "'5.'",
    "'.5'",
    "'5 x'",
    "'.'",
    "'.e5'",
    "'- 5'",
    "'+-5'",
    "'-.5e-3 '",
    "'5.e3'",
    "'1e'",
    "'1e+'",
    "'1e5x'",
    "'1,5'",
    "'inf'",
    "char(9,53,10,11,12,13,32)",
    "'000000000000000000000000012'",
    "'-9223372036854775808'",
    "'-9223372036854775809'",
    "'5' || char(0)",
    "'5' || char(0) || 'x'",
    "'9007199254740993' || char(0)",
    "'9223372036854775807' || char(0, 32)",
    "char(0) || '5'",
    "'5' || char(160)",
    "x''",
    "x'00'",
    "x'3132'",
    "zeroblob(100000)",
    "hex(zeroblob(50000))",
    "1e2",
    "4503599627370496.5",
    "140737488355328",
    "-140737488355329",
    "9007199254740992.0",
    "'٣'",
};
enum { VALUE_COUNT = sizeof values / sizeof values[0] };

static const char *const types[] = {"", "INTEGER", "TEXT", "REAL", "NUMERIC", "BLOB"};
enum { TYPE_COUNT = sizeof types / sizeof types[0] };

/* The same SQL, with %s for the table, gives the same text for t and p. */
static void twin_expect(sqlite3 *db, const char *format) {
    char *const on_t = sqlite3_mprintf(format, "t", "t", "t", "t");
    char *const on_p = sqlite3_mprintf(format, "p", "p", "p", "p");
    char *const t = fixture_query(db, on_t);
    char *const p = fixture_query(db, on_p);
    for (char *at = p; (at = strstr(at, "failed: p.")) != NULL;) {
        at[8] = 't'; /* messages name the table */
    }
    if (strcmp(t, p) != 0) {
        size_t same = 0;
        while (t[same] == p[same]) {
            same++;
        }
        while (same > 0 && t[same - 1] != '\n') {
            same--;
        }
        print_error("%s\n  htt:      %.300s\n  ordinary: %.300s\n", on_t, t + same, p + same);
        fail();
    }
    sqlite3_free(on_t);
    sqlite3_free(on_p);
    sqlite3_free(t);
    sqlite3_free(p);
}

static void values_make(sqlite3 *db, const char *columns, const char *file) {
    char *const sql = sqlite3_mprintf("DROP TABLE IF EXISTS t; DROP TABLE IF EXISTS p;"
                                      "CREATE VIRTUAL TABLE t USING htt('%s', sync=off, %s);"
                                      "CREATE TABLE p(%s) WITHOUT ROWID",
                                      file, columns, columns);
    run(db, sql);
    sqlite3_free(sql);
}

static void values_check_columns(sqlite3 *db, const char *file) {
    run(db, "BEGIN");
    values_make(db, "k INTEGER PRIMARY KEY, a, b INTEGER, c TEXT, d REAL, e NUMERIC, f BLOB", file);
    for (int i = 0; i < VALUE_COUNT; i++) {
        char sql[512];
        const char *const v = values[i];
        sqlite3_snprintf(sizeof sql, sql, "INSERT INTO %%s VALUES (%d, %s, %s, %s, %s, %s, %s)", i,
                         v, v, v, v, v, v);
        twin_expect(db, sql);
    }
    twin_expect(db, "SELECT * FROM %s ORDER BY k");
    twin_expect(db, "SELECT k, typeof(a), typeof(b), typeof(c), typeof(d), typeof(e), typeof(f) "
                    "FROM %s ORDER BY k");
    twin_expect(db, "SELECT k, hex(c), hex(a), length(a), length(c) FROM %s ORDER BY k");
    twin_expect(db, "SELECT k FROM %s WHERE a = c ORDER BY k");
    twin_expect(db, "SELECT k FROM %s WHERE b = 12 OR d > 1e100 OR c = 'a' ORDER BY k");
    twin_expect(db, "UPDATE %s SET a = b, b = c, c = d, d = e; SELECT * FROM %s ORDER BY k");
    run(db, "COMMIT");
    twin_expect(db, "SELECT * FROM %s ORDER BY k");
}

static void test_values__of_every_type_in_every_column(void **state) {
    values_check_columns(fixture_db(state), "values.htt");
}

static void test_values__survive_in_utf16_databases(void **state) {
    static const char *const encodings[] = {"UTF-16le", "UTF-16be"};
    for (int i = 0; i < 2; i++) {
        char sql[64];
        sqlite3 *const db = fixture_open(state, i == 0 ? "le.db" : "be.db");
        sqlite3_snprintf(sizeof sql, sql, "PRAGMA encoding = '%s'", encodings[i]);
        run(db, sql);
        values_check_columns(db, i == 0 ? "le-values.htt" : "be-values.htt");
        values_make(db, "k TEXT PRIMARY KEY, v", i == 0 ? "le.htt" : "be.htt");
        twin_expect(db, "INSERT INTO %s VALUES ('ä€😀', 'ü'), (5, '5'), (char(97,0), 1) "
                        "RETURNING k, v, hex(v)");
        twin_expect(db, "SELECT * FROM %s WHERE k = 'ä€😀'");
        twin_expect(db, "SELECT * FROM %s WHERE k IN ('5', char(97,0)) ORDER BY k");
        assert_int_equal(sqlite3_close(db), SQLITE_OK);
    }
}

/* Every value as a key of every type, looked up by every value. */
static void test_values__keys_are_equal_when_sqlite_says_so(void **state) {
    sqlite3 *const db = fixture_db(state);
    for (int type = 0; type < TYPE_COUNT; type++) {
        char sql[512];
        char file[32];
        run(db, "BEGIN");
        sqlite3_snprintf(sizeof sql, sql, "k %s PRIMARY KEY, v", types[type]);
        sqlite3_snprintf(sizeof file, file, "keys%d.htt", type);
        values_make(db, sql, file);
        for (int i = 0; i < VALUE_COUNT; i++) {
            sqlite3_snprintf(sizeof sql, sql, "INSERT INTO %%s VALUES (%s, %d)", values[i], i);
            twin_expect(db, sql);
        }
        twin_expect(db, "SELECT k, typeof(k), v FROM %s ORDER BY v");
        for (int i = 0; i < VALUE_COUNT; i++) {
            sqlite3_snprintf(sizeof sql, sql, "SELECT k, typeof(k), v FROM %%s WHERE k = %s",
                             values[i]);
            twin_expect(db, sql);
            sqlite3_snprintf(sizeof sql, sql, "SELECT k, v FROM %%s WHERE k IS %s", values[i]);
            twin_expect(db, sql);
            sqlite3_snprintf(sizeof sql, sql,
                             "SELECT k, v FROM %%s WHERE k IN (%s, 77, '5') ORDER BY v", values[i]);
            twin_expect(db, sql);
        }
        for (int i = 0; i < VALUE_COUNT; i++) {
            sqlite3_snprintf(sizeof sql, sql, "INSERT OR REPLACE INTO %%s VALUES (%s, 100 + %d)",
                             values[VALUE_COUNT - 1 - i], i);
            twin_expect(db, sql);
        }
        twin_expect(db, "SELECT k, typeof(k), v FROM %s ORDER BY v");
        run(db, "COMMIT");
        twin_expect(db, "SELECT k, typeof(k), v FROM %s ORDER BY v");
    }
}

static void values_expect_bound(sqlite3 *db, const char *table_sql, sqlite3_value *value,
                                char **text_out) {
    sqlite3_stmt *statement;
    sqlite3_str *const out = sqlite3_str_new(NULL);
    assert_int_equal(sqlite3_prepare_v2(db, table_sql, -1, &statement, NULL), SQLITE_OK);
    sqlite3_bind_value(statement, 1, value);
    while (sqlite3_step(statement) == SQLITE_ROW) {
        sqlite3_str_appendf(out, "%s ", sqlite3_column_text(statement, 0));
    }
    sqlite3_finalize(statement);
    *text_out = sqlite3_str_finish(out);
}

/* A parameter has no affinity, as a literal. */
static void test_values__parameters_find_what_they_find_in_an_ordinary_table(void **state) {
    sqlite3 *const db = fixture_db(state);
    for (int type = 0; type < TYPE_COUNT; type++) {
        char sql[512];
        char file[32];
        sqlite3_snprintf(sizeof sql, sql, "k %s PRIMARY KEY, v", types[type]);
        sqlite3_snprintf(sizeof file, file, "bound%d.htt", type);
        values_make(db, sql, file);
        for (int i = 0; i < VALUE_COUNT; i++) {
            sqlite3_snprintf(sizeof sql, sql, "INSERT OR IGNORE INTO %%s VALUES (%s, %d)",
                             values[i], i);
            twin_expect(db, sql);
        }
        for (int i = 0; i < VALUE_COUNT; i++) {
            sqlite3_stmt *statement;
            char *t;
            char *p;
            sqlite3_snprintf(sizeof sql, sql, "SELECT %s", values[i]);
            assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
            assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
            sqlite3_value *const value = sqlite3_column_value(statement, 0);
            values_expect_bound(db, "SELECT v FROM t WHERE k = ?", value, &t);
            values_expect_bound(db, "SELECT v FROM p WHERE k = ?", value, &p);
            assert_string_equal(t == NULL ? "" : t, p == NULL ? "" : p);
            sqlite3_finalize(statement);
            sqlite3_free(t);
            sqlite3_free(p);
        }
    }
}

/* Columns of every affinity on the other side, but numeric ones for TEXT and untyped keys. */
static void test_values__joins_find_what_they_find_in_an_ordinary_table(void **state) {
    sqlite3 *const db = fixture_db(state);
    run(db, "CREATE TABLE s(id INTEGER PRIMARY KEY, c0, c1 INTEGER, c2 TEXT, c3 REAL, c4 NUMERIC, "
            "c5 BLOB)");
    for (int i = 0; i < VALUE_COUNT; i++) {
        char sql[512];
        const char *const v = values[i];
        sqlite3_snprintf(sizeof sql, sql, "INSERT INTO s VALUES (%d, %s, %s, %s, %s, %s, %s)", i, v,
                         v, v, v, v, v);
        run(db, sql);
    }
    for (int type = 0; type < TYPE_COUNT; type++) {
        char sql[512];
        char file[32];
        const bool only_text = types[type][0] == '\0' || strcmp(types[type], "TEXT") == 0 ||
                               strcmp(types[type], "BLOB") == 0;
        sqlite3_snprintf(sizeof sql, sql, "k %s PRIMARY KEY, v", types[type]);
        sqlite3_snprintf(sizeof file, file, "join%d.htt", type);
        values_make(db, sql, file);
        twin_expect(db, "INSERT OR IGNORE INTO %s SELECT c0, id FROM s WHERE c0 IS NOT NULL");
        for (int column = 0; column < TYPE_COUNT; column++) {
            const bool numeric = column == 1 || column == 3 || column == 4;
            if (only_text && numeric) {
                continue;
            }
            sqlite3_snprintf(sizeof sql, sql,
                             "SELECT s.id, x.v FROM s CROSS JOIN %%s AS x ON x.k = s.c%d "
                             "ORDER BY 1, 2",
                             column);
            twin_expect(db, sql);
            sqlite3_snprintf(sizeof sql, sql,
                             "SELECT v FROM %%s WHERE k IN (SELECT c%d FROM s) ORDER BY 1", column);
            twin_expect(db, sql);
        }
    }
}

/* The one exception, which SQLite's interface forces: see the README. */
static void test_values__numeric_column_against_a_text_key_is_looked_up_as_it_is(void **state) {
    sqlite3 *const db = fixture_db(state);
    values_make(db, "k TEXT PRIMARY KEY, v", "text.htt");
    run(db, "CREATE TABLE s(n INTEGER); INSERT INTO s VALUES (5)");
    run(db, "INSERT INTO t VALUES ('5', 'plain'), ('05', 'padded');"
            "INSERT INTO p SELECT * FROM t");
    expect(db, "SELECT v FROM s CROSS JOIN p ON p.k = s.n ORDER BY v", "padded\nplain");
    expect(db, "SELECT v FROM s CROSS JOIN t ON t.k = s.n ORDER BY v", "plain");
    expect(db, "SELECT v FROM t WHERE k = CAST('5' AS INTEGER)", "plain");
    run(db, "DROP TABLE t; CREATE VIRTUAL TABLE t USING htt('untyped.htt')");
    run(db, "INSERT INTO t VALUES ('5', 'text'), (5, 'number')");
    expect(db, "SELECT value FROM s CROSS JOIN t ON t.key = s.n ORDER BY 1", "number");
}

static void test_values__not_null_and_unique_have_sqlites_messages(void **state) {
    sqlite3 *const db = fixture_db(state);
    values_make(db, "a TEXT, k INT PRIMARY KEY, b NOT NULL, c REAL NOT NULL", "null.htt");
    run(db, "INSERT INTO t VALUES ('x', 1, 2, 3), ('x', 2, 2, 3); INSERT INTO p SELECT * FROM t");
    twin_expect(db, "INSERT INTO %s VALUES ('x', NULL, 2, 3)");
    twin_expect(db, "INSERT INTO %s VALUES ('x', NULL, NULL, 3)");
    twin_expect(db, "INSERT INTO %s VALUES ('x', 1, NULL, NULL)");
    twin_expect(db, "INSERT INTO %s VALUES ('x', 1, 1, NULL)");
    twin_expect(db, "INSERT INTO %s VALUES ('x', '1', 1, 1)");
    twin_expect(db, "INSERT INTO %s(a, k) VALUES ('x', 9)");
    twin_expect(db, "INSERT OR REPLACE INTO %s VALUES ('x', 1, NULL, 1)");
    twin_expect(db, "INSERT OR IGNORE INTO %s VALUES ('x', 1, NULL, 1), ('y', 3, 1, 1)");
    twin_expect(db, "UPDATE %s SET b = NULL WHERE k = 1");
    twin_expect(db, "UPDATE %s SET k = NULL WHERE k = 1");
    twin_expect(db, "UPDATE %s SET k = 2 WHERE k = 1");
    twin_expect(db, "UPDATE OR IGNORE %s SET k = 2, a = 'z' WHERE k = 1");
    twin_expect(db, "UPDATE OR REPLACE %s SET k = 2, a = 'z' WHERE k = 1");
    twin_expect(db, "SELECT * FROM %s ORDER BY k");
    expect_error(db, "INSERT INTO t VALUES ('x', 2, 2, 2)", SQLITE_CONSTRAINT_PRIMARYKEY,
                 "UNIQUE constraint failed: t.k");
    expect_error(db, "INSERT INTO t VALUES ('x', 5, 2, NULL)", SQLITE_CONSTRAINT_NOTNULL,
                 "NOT NULL constraint failed: t.c");
}

static void test_values__key_comes_back_in_the_form_it_was_written(void **state) {
    sqlite3 *const db = fixture_db(state);
    run(db, "CREATE VIRTUAL TABLE t USING htt('t.htt')");
    run(db, "INSERT INTO t VALUES (1.0, 'a'), (2, 'b'), (-0.0, 'c'), (9007199254740993, 'd')");
    expect(db, "SELECT key, value FROM t WHERE key = 1", "1.0|a");
    expect(db, "SELECT key, value FROM t WHERE key = 2.0", "2|b");
    expect(db, "SELECT key, value FROM t WHERE key IN (0, 1, 7) ORDER BY value", "1.0|a\n-0.0|c");
    expect(db, "SELECT count(*) FROM t WHERE key = 9007199254740993.0", "0");
    run(db, "INSERT OR REPLACE INTO t VALUES (1, 'e')");
    expect(db, "SELECT key, value FROM t WHERE key = 1.0", "1|e");
    run(db, "UPDATE t SET key = 1.0 WHERE key = 1");
    expect(db, "SELECT key, value FROM t WHERE key = 1", "1.0|e");
}

static void test_values__nan_arrives_as_null(void **state) {
    sqlite3 *const db = fixture_db(state);
    sqlite3_stmt *statement;
    run(db, "CREATE VIRTUAL TABLE t USING htt('t.htt')");
    assert_int_equal(sqlite3_prepare_v2(db, "INSERT INTO t VALUES (1, ?1)", -1, &statement, NULL),
                     SQLITE_OK);
    sqlite3_bind_double(statement, 1, __builtin_nan(""));
    assert_int_equal(sqlite3_step(statement), SQLITE_DONE);
    sqlite3_finalize(statement);
    expect(db, "SELECT typeof(value) FROM t", "null");
}

static void test_values__key_of_a_mebibyte_works_and_a_longer_one_is_refused(void **state) {
    sqlite3 *const db = fixture_db(state);
    run(db, "CREATE VIRTUAL TABLE t USING htt('t.htt', sync=off)");
    run(db, "INSERT INTO t VALUES (zeroblob(1048576), 1)");
    expect(db, "SELECT value, length(key) FROM t WHERE key = zeroblob(1048576)", "1|1048576");
    expect_error(db, "INSERT INTO t VALUES (zeroblob(1048577), 1)", SQLITE_TOOBIG, "1048577");
    expect(db, "SELECT count(*) FROM t WHERE key = zeroblob(1048577)", "0");
    expect(db, "SELECT count(*) FROM t", "1");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        fixture_test(test_values__of_every_type_in_every_column),
        fixture_test(test_values__survive_in_utf16_databases),
        fixture_test(test_values__keys_are_equal_when_sqlite_says_so),
        fixture_test(test_values__parameters_find_what_they_find_in_an_ordinary_table),
        fixture_test(test_values__joins_find_what_they_find_in_an_ordinary_table),
        fixture_test(test_values__numeric_column_against_a_text_key_is_looked_up_as_it_is),
        fixture_test(test_values__not_null_and_unique_have_sqlites_messages),
        fixture_test(test_values__key_comes_back_in_the_form_it_was_written),
        fixture_test(test_values__nan_arrives_as_null),
        fixture_test(test_values__key_of_a_mebibyte_works_and_a_longer_one_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
