/* SPDX-License-Identifier: MIT */
/*
 * Any 16-bit units as text of a UTF-16 database: an htt table gives back what an ordinary table
 * gives back, lone surrogates and byte order marks too, from the outbox and from the file.
 */
#include "fixture.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/htt.h"

enum { UNITS_MAX = 12, ROUNDS = 400 };

typedef struct text16 {
    uint16_t units[UNITS_MAX]; /* as the machine has them */
    int size;                  /* bytes */
} text16;

static uint64_t utf16_state; /* of the random numbers */

static unsigned utf16_random(unsigned below) {
    utf16_state = utf16_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)(utf16_state >> 33) % below;
}

static void utf16_begin(void) {
    const char *const given = getenv("HTT_TEST_SEED");
    utf16_state = given != NULL ? strtoull(given, NULL, 0) : (uint64_t)time(NULL);
    print_message("HTT_TEST_SEED=%llu\n", (unsigned long long)utf16_state);
}

static uint16_t utf16_unit(void) {
    static const uint16_t edges[] = {0,      0x41,   0x7f,   0x80,   0x7ff,  0x800,
                                     0xd7ff, 0xd800, 0xdbff, 0xdc00, 0xdfff, 0xe000,
                                     0xfeff, 0xfffd, 0xfffe, 0xffff};
    switch (utf16_random(4)) {
    case 0: return (uint16_t)utf16_random(0x10000);
    case 1: return edges[utf16_random(sizeof edges / sizeof edges[0])];
    case 2: return (uint16_t)(0xd800 + utf16_random(0x400));
    default: return (uint16_t)(0xdc00 + utf16_random(0x400));
    }
}

static text16 utf16_text(void) {
    const int count = (int)utf16_random(UNITS_MAX + 1);
    text16 text = {.size = 2 * count};
    for (int i = 0; i < count; i++) {
        text.units[i] = utf16_unit();
    }
    return text;
}

static sqlite3_stmt *utf16_prepare(sqlite3 *db, const char *format, const char *table) {
    sqlite3_stmt *statement;
    char *const sql = sqlite3_mprintf(format, table);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
    sqlite3_free(sql);
    return statement;
}

static void utf16_bind(sqlite3_stmt *statement, int index, const text16 *text) {
    assert_int_equal(
        sqlite3_bind_text16(statement, index, text->units, text->size, SQLITE_TRANSIENT),
        SQLITE_OK);
}

/* Runs a statement of both tables with the same texts, in one row or none. */
static void utf16_run(sqlite3 *db, const char *format, const text16 *first, const text16 *second) {
    static const char *const tables[] = {"t", "p"};
    for (int i = 0; i < 2; i++) {
        sqlite3_stmt *const statement = utf16_prepare(db, format, tables[i]);
        utf16_bind(statement, 1, first);
        if (second != NULL) {
            utf16_bind(statement, 2, second);
        }
        assert_int_equal(sqlite3_step(statement), SQLITE_DONE);
        sqlite3_finalize(statement);
    }
}

/* The columns of the current row are equal, byte for byte. */
static void utf16_expect_same_row(sqlite3_stmt *t, sqlite3_stmt *p) {
    for (int i = 0; i < sqlite3_column_count(p); i++) {
        assert_int_equal(sqlite3_column_type(t, i), sqlite3_column_type(p, i));
        const void *const expected = sqlite3_column_text16(p, i);
        const int size = sqlite3_column_bytes16(p, i);
        const void *const got = sqlite3_column_text16(t, i);
        assert_int_equal(sqlite3_column_bytes16(t, i), size);
        if (size > 0) {
            assert_memory_equal(got, expected, (size_t)size);
        }
    }
}

/* Binds a text as it is: SQLite takes a byte order mark off what is bound. */
static void utf16_bind_exactly(sqlite3_stmt *statement, int index, sqlite3_stmt *row, int column) {
    uint16_t units[4 * UNITS_MAX] = {0xfeff};
    const void *const text = sqlite3_column_text16(row, column);
    const int size = sqlite3_column_bytes16(row, column);
    assert_in_range(size, 0, sizeof units - 2);
    if (size > 0) {
        memcpy(units + 1, text, (size_t)size);
    }
    assert_int_equal(sqlite3_bind_text16(statement, index, units, size + 2, SQLITE_TRANSIENT),
                     SQLITE_OK);
}

/* All rows of p are found in t by their keys, one by one and by IN; t has no others. */
static void utf16_expect_same(sqlite3 *db) {
    sqlite3_stmt *const rows = utf16_prepare(db, "SELECT k, v, w, n FROM %s", "p");
    sqlite3_stmt *const one = utf16_prepare(db, "SELECT k, v, w, n FROM %s WHERE k = ?1", "t");
    sqlite3_stmt *const many =
        utf16_prepare(db, "SELECT k, v, w, n FROM %s WHERE k IN (?1, 'no', x'00')", "t");
    int count = 0;
    int walked = 0;
    while (sqlite3_step(rows) == SQLITE_ROW) {
        sqlite3_stmt *const lookups[] = {one, many};
        for (int i = 0; i < 2; i++) {
            utf16_bind_exactly(lookups[i], 1, rows, 0);
            assert_int_equal(sqlite3_step(lookups[i]), SQLITE_ROW);
            utf16_expect_same_row(lookups[i], rows);
            assert_int_equal(sqlite3_step(lookups[i]), SQLITE_DONE);
            sqlite3_reset(lookups[i]);
        }
        count++;
    }
    sqlite3_finalize(rows);
    sqlite3_finalize(one);
    sqlite3_finalize(many);
    sqlite3_stmt *const walk = utf16_prepare(db, "SELECT k, v, w, n FROM %s", "t");
    sqlite3_stmt *const in_p = utf16_prepare(db, "SELECT k, v, w, n FROM %s WHERE k = ?1", "p");
    while (sqlite3_step(walk) == SQLITE_ROW) {
        utf16_bind_exactly(in_p, 1, walk, 0);
        assert_int_equal(sqlite3_step(in_p), SQLITE_ROW);
        utf16_expect_same_row(walk, in_p);
        sqlite3_reset(in_p);
        walked++;
    }
    sqlite3_finalize(walk);
    sqlite3_finalize(in_p);
    assert_int_equal(walked, count);
}

static void utf16_make(sqlite3 *db, const char *encoding, const char *options) {
    char *const sql = sqlite3_mprintf(
        "PRAGMA encoding = '%s'; PRAGMA journal_mode = wal; PRAGMA synchronous = off;"
        "CREATE VIRTUAL TABLE t USING htt('t-%s.htt', k PRIMARY KEY, v, w TEXT, n NUMERIC%s);"
        "CREATE TABLE p(k PRIMARY KEY, v, w TEXT, n NUMERIC, CHECK(k IS NOT NULL)) WITHOUT ROWID",
        encoding, encoding, options);
    run(db, sql);
    sqlite3_free(sql);
}

static void utf16_change(sqlite3 *db) {
    for (int i = 0; i < ROUNDS; i++) {
        const text16 key = utf16_text();
        const text16 value = utf16_text();
        utf16_run(db, "INSERT OR REPLACE INTO %s VALUES (?1, ?2, ?2, ?2)", &key, &value);
        if (utf16_random(4) == 0) {
            const text16 other = utf16_text();
            utf16_run(db, "UPDATE %s SET v = ?2 WHERE k = ?1", &key, &other);
            utf16_run(db, "UPDATE OR REPLACE %s SET k = ?2 WHERE k = ?1", &key, &other);
        } else if (utf16_random(4) == 0) {
            utf16_run(db, "DELETE FROM %s WHERE k = ?1", &key, NULL);
        }
    }
    run(db, "UPDATE t SET w = v || w WHERE length(v) < 4;"
            "UPDATE p SET w = v || w WHERE length(v) < 4");
}

static void utf16_check(void **state, const char *encoding, const char *options) {
    char name[32];
    sqlite3_snprintf(sizeof name, name, "%s.db", encoding);
    sqlite3 *db = fixture_open(state, name);
    utf16_make(db, encoding, options);
    run(db, "BEGIN");
    utf16_change(db);
    utf16_expect_same(db);
    run(db, "COMMIT");
    utf16_expect_same(db);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    db = fixture_open(state, name); /* nothing was written by this connection */
    utf16_expect_same(db);
    run(db, "SELECT htt_fold('t')");
    utf16_expect_same(db);
    utf16_change(db); /* each statement its own commit */
    utf16_expect_same(db);
    expect(db, "SELECT problem FROM htt_check('t')", "ok");
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void test_utf16__any_units_come_back_from_the_outbox(void **state) {
    utf16_begin();
    utf16_check(state, "UTF-16le", "");
    utf16_check(state, "UTF-16be", "");
}

static void test_utf16__any_units_come_back_where_every_commit_folds(void **state) {
    utf16_begin();
    utf16_check(state, "UTF-16le", ", fold_rows=1");
    utf16_check(state, "UTF-16be", ", fold_rows=1");
}

/* Bytes of the text in the first column of `sql`, in the machine's order. */
static void utf16_expect_units(sqlite3 *db, const char *sql, const uint16_t *units, int count) {
    sqlite3_stmt *const statement = utf16_prepare(db, "%s", sql);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    const void *const got = sqlite3_column_text16(statement, 0);
    assert_int_equal(sqlite3_column_bytes16(statement, 0), 2 * count);
    assert_memory_equal(got, units, 2 * (size_t)count);
    sqlite3_finalize(statement);
}

static void test_utf16__lone_surrogates_are_wtf8_in_the_file(void **state) {
    static const text16 key = {{0xde00, 0xd83d, 0xde00, 0xd83d}, 8};
    static const text16 value = {{0xfeff, 0xfeff, 0xd83d, 0x41, 0}, 10}; /* SQLite takes one mark */
    sqlite3 *db = fixture_open(state, "file.db");
    utf16_make(db, "UTF-16le", ", fold_rows=1");
    utf16_run(db, "INSERT INTO %s(k, v) VALUES (?1, ?2)", &key, &value);
    utf16_expect_same(db);
    utf16_expect_units(db, "SELECT v FROM t", value.units + 1, 4);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);

    char *const path = sqlite3_mprintf("%s", fixture_path(state, "t-UTF-16le.htt"));
    htt_store *store = NULL;
    htt_txn *txn = NULL;
    htt_datum row_bytes;
    htt_datum column;
    htt_row row;
    assert_int_equal(htt_open(path, NULL, &store, NULL), HTT_OK);
    assert_int_equal(htt_begin(store, HTT_READ, &txn), HTT_OK);
    assert_int_equal(htt_get(txn,
                             htt_bytes("\xed\xb8\x80\xf0\x9f\x98\x80\xed\xa0\xbd", 10, HTT_TEXT),
                             &row_bytes),
                     HTT_OK);
    assert_int_equal(htt_row_open(row_bytes, &row), HTT_OK);
    assert_int_equal(htt_row_column(&row, 0, &column), HTT_OK);
    assert_int_equal(column.size, 8);
    assert_memory_equal(column.data, "\xef\xbb\xbf\xed\xa0\xbd\x41\0", 8);
    htt_abort(txn);
    htt_close(store);
    sqlite3_free(path);
}

/* There text is its bytes, whatever they are. */
static void test_utf16__utf8_databases_keep_the_bytes(void **state) {
    sqlite3 *const db = fixture_db(state);
    run(db, "CREATE VIRTUAL TABLE t USING htt('t.htt', k PRIMARY KEY, v)");
    run(db, "INSERT INTO t VALUES (CAST(x'eda080' AS TEXT), CAST(x'efbfbeedb080' AS TEXT))");
    expect(db, "SELECT hex(k), hex(v), typeof(v) FROM t", "EDA080|EFBFBEEDB080|text");
}

static void test_utf16__feed_gives_lone_surrogates(void **state) {
    static const text16 key = {{0xd800}, 2};
    static const text16 value = {{0x41, 0xdc00, 0xd800}, 6};
    sqlite3 *const db = fixture_open(state, "feed.db");
    run(db, "PRAGMA encoding = 'UTF-16be'; PRAGMA journal_mode = wal;"
            "CREATE VIRTUAL TABLE t USING htt('feed.htt', changes=on); CREATE TABLE p(k, v)");
    utf16_run(db, "INSERT INTO %s VALUES (?1, ?2)", &key, &value);
    utf16_expect_units(db, "SELECT key FROM htt_changes('t', 0)", key.units, 1);
    utf16_expect_units(db, "SELECT value FROM htt_changes('t', 0)", value.units, 3);
    utf16_expect_units(db, "SELECT raw FROM htt_changes('t', 0)", value.units, 3);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        fixture_test(test_utf16__any_units_come_back_from_the_outbox),
        fixture_test(test_utf16__any_units_come_back_where_every_commit_folds),
        fixture_test(test_utf16__lone_surrogates_are_wtf8_in_the_file),
        fixture_test(test_utf16__utf8_databases_keep_the_bytes),
        fixture_test(test_utf16__feed_gives_lone_surrogates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
