/* SPDX-License-Identifier: MIT */
/*
 * What stands in USING htt(...): the file, options, columns, and what is refused with which words.
 */
#include "fixture.h"

#include <string.h>
#include <sys/stat.h>

static void test_arguments__file_is_bare_quoted_or_named(void **state) {
    sqlite3 *const db = fixture_db(state);
    run(db, "CREATE VIRTUAL TABLE a USING htt(a.htt)");
    run(db, "CREATE VIRTUAL TABLE b USING htt('b.htt')");
    run(db, "CREATE VIRTUAL TABLE c USING htt(\"c.htt\")");
    run(db, "CREATE VIRTUAL TABLE d USING htt(filename=d.htt)");
    run(db, "CREATE VIRTUAL TABLE e USING htt(filename = 'it''s e.htt')");
    run(db, "CREATE VIRTUAL TABLE f USING htt([f.htt], /* a comment, */ page_size = 8192)");
    expect(db, "SELECT name FROM htt_store ORDER BY id",
           "a.htt\nb.htt\nc.htt\nd.htt\nit's e.htt\nf.htt");
    struct stat found;
    assert_int_equal(stat(fixture_path(state, "it's e.htt"), &found), 0);
}

static void test_arguments__file_must_come_first(void **state) {
    sqlite3 *const db = fixture_db(state);
    expect_error(db, "CREATE VIRTUAL TABLE t USING htt", SQLITE_ERROR, "the file is missing");
    expect_error(db, "CREATE VIRTUAL TABLE t USING htt('')", SQLITE_ERROR, "name is empty");
    expect_error(db, "CREATE VIRTUAL TABLE t USING htt(mmap=off, 'a.htt')", SQLITE_ERROR,
                 "the first argument is the file");
    expect_error(db, "CREATE VIRTUAL TABLE t USING htt('a.htt' key)", SQLITE_ERROR,
                 "a comma is missing");
    expect_error(db, "CREATE VIRTUAL TABLE t USING htt('a.htt', filename='b.htt')", SQLITE_ERROR,
                 "the file is named twice");
}

static void test_arguments__options_and_columns_come_in_any_order(void **state) {
    sqlite3 *const db = fixture_db(state);
    run(db, "CREATE VIRTUAL TABLE t USING htt('t.htt', a INT, page_size=8192, k TEXT PRIMARY KEY, "
            "mmap=OFF, cache_bytes=1000000, sync='normal', write_budget=10000000, "
            "busy_timeout=0, b)");
    expect(db, "SELECT name, type, \"notnull\", pk FROM pragma_table_info('t')",
           "a|INT|0|0\nk|TEXT|1|1\nb||0|0");
    expect(db, "SELECT value FROM htt_stat('t') WHERE name = 'page_size'", "8192");
}

static void test_arguments__unknown_option_lists_the_known(void **state) {
    sqlite3 *const db = fixture_db(state);
    expect_error(db, "CREATE VIRTUAL TABLE t USING htt('t.htt', pagesize=8192)", SQLITE_ERROR,
                 "unknown option \"pagesize\"; there are: filename, page_size, mmap, cache_bytes, "
                 "sync, write_budget, busy_timeout");
}

static void test_arguments__option_values_are_checked(void **state) {
    sqlite3 *const db = fixture_db(state);
    static const struct {
        const char *argument; /* behind the file */
        const char *message;  /* what is said */
    } cases[] = {
        {"page_size=0", "page_size=0: a number from 4096 to 65536"},
        {"page_size=4095", "page_size=4095: a number"},
        {"page_size=5000", "page_size=5000: a power of two"},
        {"page_size=131072", "page_size=131072: a number"},
        {"page_size=-4096", "page_size=-4096: a number"},
        {"page_size=k4", "page_size=k4: a number"},
        {"page_size=", "page_size=: a number"},
        {"page_size=4096, page_size=4096", "page_size is given twice"},
        {"mmap=maybe", "mmap=maybe: on or off"},
        {"sync=2", "sync=2: full, normal or off"},
        {"cache_bytes=0", "cache_bytes=0: a number"},
        {"cache_bytes=99999999999999999999", "a number from 1 to"},
        {"busy_timeout=1.5", "busy_timeout=1.5: a number"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char sql[256];
        sqlite3_snprintf(sizeof sql, sql, "CREATE VIRTUAL TABLE t USING htt('t.htt', %s)",
                         cases[i].argument);
        expect_error(db, sql, SQLITE_ERROR, cases[i].message);
    }
    struct stat found; /* nothing of that made a file */
    assert_int_not_equal(stat(fixture_path(state, "t.htt"), &found), 0);
}

static void test_arguments__constraints_that_cannot_be_kept_are_refused(void **state) {
    sqlite3 *const db = fixture_db(state);
    static const struct {
        const char *columns; /* behind the file */
        const char *message; /* what is said */
    } cases[] = {
        {"a, b DEFAULT 1", "column \"b\": DEFAULT is not possible: SQLite does not tell"},
        {"a, b CHECK(b > 0)", "column \"b\": CHECK is not possible"},
        {"a, b UNIQUE", "column \"b\": UNIQUE is not possible: only the key is unique"},
        {"a, b REFERENCES t(a)", "REFERENCES is not possible: SQLite keeps no foreign keys"},
        {"a, b INT GENERATED ALWAYS AS (a)", "GENERATED is not possible"},
        {"a, b INT AS (a)", "AS is not possible"},
        {"a INTEGER PRIMARY KEY AUTOINCREMENT", "AUTOINCREMENT is not possible: an htt table "
                                                "does not number its rows"},
        {"a, b TEXT HIDDEN", "HIDDEN is not possible"},
        {"a PRIMARY KEY ON CONFLICT REPLACE", "ON is not possible: say it in the statement"},
        {"a TEXT COLLATE NOCASE, b", "column \"a\": COLLATE NOCASE is not possible: keys compare"},
        {"a, b, PRIMARY KEY(a, b)", "PRIMARY KEY of several columns"},
        {"a PRIMARY KEY, b PRIMARY KEY", "PRIMARY KEY is declared twice"},
        {"a PRIMARY KEY, b, PRIMARY KEY(b)", "PRIMARY KEY is declared twice"},
        {"a, PRIMARY KEY(c)", "there is no column \"c\""},
        {"a, UNIQUE(a)", "table constraint UNIQUE is not possible"},
        {"a, CHECK(a > 0)", "table constraint CHECK is not possible"},
        {"a, FOREIGN KEY(a) REFERENCES t(a)", "table constraint FOREIGN is not possible"},
        {"a, CONSTRAINT c CHECK(a)", "table constraint CHECK is not possible"},
        {"a NOT b", "column \"a\": NULL expected near \"b\""},
        {"a PRIMARY", "column \"a\": KEY is missing"},
        {"a INT(b)", "the end of the type's size, \")\", expected near \"b\""},
        {"a, 1", "\"1\" is neither an option (name=value) nor a column"},
        {"a, A", "duplicate column name: A"},
        {"a, b COLLATE nowhere", "no such collation sequence: nowhere"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char sql[256];
        sqlite3_snprintf(sizeof sql, sql, "CREATE VIRTUAL TABLE t USING htt('t.htt', %s)",
                         cases[i].columns);
        expect_error(db, sql, SQLITE_ERROR, cases[i].message);
    }
    struct stat found;
    assert_int_not_equal(stat(fixture_path(state, "t.htt"), &found), 0);
}

static void test_arguments__types_give_sqlites_affinity(void **state) {
    sqlite3 *const db = fixture_db(state);
    static const char *const types[] = {"INT",
                                        "INTEGER",
                                        "TINYINT",
                                        "UNSIGNED BIG INT",
                                        "CHARACTER(20)",
                                        "VARCHAR(255)",
                                        "NATIVE CHARACTER(70)",
                                        "TEXT",
                                        "CLOB",
                                        "BLOB",
                                        "REAL",
                                        "DOUBLE",
                                        "DOUBLE PRECISION",
                                        "FLOAT",
                                        "NUMERIC",
                                        "DECIMAL(10,5)",
                                        "BOOLEAN",
                                        "DATE",
                                        "ANY",
                                        "STRING",
                                        "POINT",
                                        "CHARINT",
                                        "BLOBREAL",
                                        "REALBLOB",
                                        "FLOATING BLOB",
                                        "\"my int\"",
                                        ""};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        char sql[512];
        char *expected;
        char *got;
        sqlite3_snprintf(sizeof sql, sql,
                         "DROP TABLE IF EXISTS t; DROP TABLE IF EXISTS p;"
                         "CREATE VIRTUAL TABLE t USING htt('t%d.htt', k, v %s);"
                         "CREATE TABLE p(k PRIMARY KEY, v %s) WITHOUT ROWID",
                         (int)i, types[i], types[i]);
        run(db, sql);
        for (const char *table = "t"; table != NULL; table = *table == 't' ? "p" : NULL) {
            sqlite3_snprintf(sizeof sql, sql,
                             "INSERT INTO %s VALUES (1, '12'), (2, 1), (3, 1.0), (4, 1.5), "
                             "(5, x'31'), (6, '1e2'), (7, 'x'), (8, NULL)",
                             table);
            run(db, sql);
        }
        expected = fixture_query(db, "SELECT k, v, typeof(v) FROM p ORDER BY k");
        got = fixture_query(db, "SELECT k, v, typeof(v) FROM t ORDER BY k");
        assert_string_equal(got, expected);
        sqlite3_free(expected);
        sqlite3_free(got);
    }
}

static void test_arguments__key_is_primary_key_or_the_first_column(void **state) {
    sqlite3 *const db = fixture_db(state);
    const char *const pk = "SELECT name FROM pragma_table_info('t') WHERE pk";
    run(db, "CREATE VIRTUAL TABLE t USING htt('a.htt', a, b)");
    expect(db, pk, "a");
    run(db, "DROP TABLE t; CREATE VIRTUAL TABLE t USING htt('b.htt', a, b PRIMARY KEY)");
    expect(db, pk, "b");
    run(db, "DROP TABLE t; CREATE VIRTUAL TABLE t USING htt('c.htt', PRIMARY KEY(B), a, b)");
    expect(db, pk, "b");
    run(db, "DROP TABLE t; CREATE VIRTUAL TABLE t USING htt('d.htt', "
            "'id INTEGER', \"primary\" CONSTRAINT x NOT NULL NULL)");
    expect(db, "SELECT name, pk FROM pragma_table_info('t')", "id INTEGER|1\nprimary|0");
}

static void test_arguments__many_columns_and_later_many_more(void **state) {
    sqlite3 *const db = fixture_db(state);
    sqlite3_str *const sql = sqlite3_str_new(db);
    sqlite3_str_appendall(sql, "CREATE VIRTUAL TABLE t USING htt('t.htt', c0");
    for (int i = 1; i < 300; i++) {
        sqlite3_str_appendf(sql, ", c%d", i);
    }
    char *const few = sqlite3_mprintf("%s)", sqlite3_str_value(sql));
    run(db, few);
    run(db, "INSERT INTO t(c0, c64, c299) VALUES (1, 64, 299); UPDATE t SET c100 = 100");
    expect(db, "SELECT c0, c63, c64, c100, c299 FROM t WHERE c0 = 1", "1|NULL|64|100|299");
    for (int i = 300; i < 600; i++) {
        sqlite3_str_appendf(sql, ", c%d", i);
    }
    char *const text = sqlite3_str_finish(sql);
    char *const many = sqlite3_mprintf("%s)", text);
    run(db, "DROP TABLE t");
    run(db, many);
    expect(db, "SELECT c0, c63, c64, c299, c300, c599 FROM t WHERE c0 = 1",
           "1|NULL|64|299|NULL|NULL");
    run(db, "UPDATE t SET c599 = 599");
    expect(db, "SELECT c64, c100, c599 FROM t", "64|100|599");
    sqlite3_free(few);
    sqlite3_free(text);
    sqlite3_free(many);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        fixture_test(test_arguments__file_is_bare_quoted_or_named),
        fixture_test(test_arguments__file_must_come_first),
        fixture_test(test_arguments__options_and_columns_come_in_any_order),
        fixture_test(test_arguments__unknown_option_lists_the_known),
        fixture_test(test_arguments__option_values_are_checked),
        fixture_test(test_arguments__constraints_that_cannot_be_kept_are_refused),
        fixture_test(test_arguments__types_give_sqlites_affinity),
        fixture_test(test_arguments__key_is_primary_key_or_the_first_column),
        fixture_test(test_arguments__many_columns_and_later_many_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
