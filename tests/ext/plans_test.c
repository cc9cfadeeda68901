/* SPDX-License-Identifier: MIT */
/*
 * Which plan a query gets, in the words of EXPLAIN QUERY PLAN. What it reads and what not is seen
 * in files_test.c, with values that are damaged.
 */
#include "fixture.h"

#include <stdlib.h>
#include <string.h>

static void plans_make(sqlite3 *db) {
    run(db, "CREATE VIRTUAL TABLE kv USING htt('kv.htt', sync=off);"
            "CREATE VIRTUAL TABLE users USING htt('users.htt', id INTEGER PRIMARY KEY, name TEXT);"
            "CREATE VIRTUAL TABLE words USING htt('words.htt', word TEXT PRIMARY KEY, n INT);"
            "CREATE TABLE wanted(id INTEGER, word TEXT)");
    run(db, "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 1000) "
            "INSERT INTO users SELECT i, 'name ' || i FROM c");
    run(db, "INSERT INTO kv SELECT id, name FROM users;"
            "INSERT INTO words SELECT name, id FROM users;"
            "INSERT INTO wanted SELECT id * 7, 'name ' || id FROM users WHERE id < 200");
}

/* The plan has this in it. */
static void expect_plan(sqlite3 *db, const char *sql, const char *words) {
    char *const explain = sqlite3_mprintf("EXPLAIN QUERY PLAN %s", sql);
    char *const plan = fixture_query(db, explain);
    if (strstr(plan, words) == NULL) {
        print_error("%s\n  expected: %s\n  got: %s\n", sql, words, plan);
        fail();
    }
    sqlite3_free(explain);
    sqlite3_free(plan);
}

static void test_plans__words_of_each_plan(void **state) {
    sqlite3 *const db = fixture_db(state);
    plans_make(db);
    expect_plan(db, "SELECT value FROM kv WHERE key = ?", "VIRTUAL TABLE INDEX 18:one key");
    expect_plan(db, "SELECT key FROM kv WHERE key = 5", "VIRTUAL TABLE INDEX 2:one key");
    expect_plan(db, "SELECT key FROM kv WHERE key IS 5", "VIRTUAL TABLE INDEX 2:one key");
    expect_plan(db, "SELECT * FROM kv WHERE key IN (1, 2, 3)", "INDEX 19:each key of a list");
    expect_plan(db, "SELECT * FROM kv WHERE key IN (SELECT id FROM wanted)",
                "INDEX 19:each key of a list");
    expect_plan(db, "SELECT count(*) FROM kv", "VIRTUAL TABLE INDEX 4:all rows, unread");
    expect_plan(db, "SELECT * FROM kv WHERE value = 5", "VIRTUAL TABLE INDEX 17:all rows");
    expect_plan(db, "SELECT * FROM kv WHERE key > 5", "VIRTUAL TABLE INDEX 17:all rows");
    expect_plan(db, "SELECT * FROM words WHERE word LIKE 'a%'", "INDEX 17:all rows");
    expect_plan(db, "UPDATE kv SET value = 1 WHERE key = 2", "one key");
    expect_plan(db, "DELETE FROM kv WHERE key = 2", "one key");
}

static void test_plans__other_collations_scan(void **state) {
    sqlite3 *const db = fixture_db(state);
    plans_make(db);
    run(db, "INSERT INTO words VALUES ('Abc', 1), ('abc', 2), ('abc  ', 3)");
    expect_plan(db, "SELECT n FROM words WHERE word = 'ABC' COLLATE NOCASE", "all rows");
    expect(db, "SELECT n FROM words WHERE word = 'ABC' COLLATE NOCASE ORDER BY n", "1\n2");
    expect_plan(db, "SELECT n FROM words WHERE word IN ('ABC' COLLATE NOCASE, 'x')", "list");
    expect_plan(db, "SELECT n FROM words WHERE word COLLATE RTRIM IN ('abc', 'x')", "all rows");
    expect(db, "SELECT n FROM words WHERE word COLLATE RTRIM IN ('abc', 'x') ORDER BY n", "2\n3");
    expect_plan(db, "SELECT n FROM words WHERE word = 'abc' COLLATE BINARY", "one key");
}

static void test_plans__joins_look_each_key_up(void **state) {
    sqlite3 *const db = fixture_db(state);
    plans_make(db);
    expect_plan(db, "SELECT name FROM wanted JOIN users USING (id)", "SCAN wanted");
    expect_plan(db, "SELECT name FROM wanted JOIN users USING (id)", "INDEX 18:one key");
    expect_plan(db, "SELECT n FROM words JOIN wanted ON words.word = wanted.word", "one key");
    expect(db, "SELECT count(*), sum(length(name)) FROM wanted JOIN users USING (id)", "142|1121");
    /* IN as the inner loop of a join: the list is taken whole, once for each outer row. */
    expect_plan(db, "SELECT 1 FROM wanted CROSS JOIN users WHERE users.id IN (1, 2, wanted.id)",
                "each key of a list");
    expect(db, "SELECT count(*) FROM wanted CROSS JOIN users WHERE users.id IN (1, 2, wanted.id)",
           "540");
}

static void test_plans__lists_give_each_row_once(void **state) {
    sqlite3 *const db = fixture_db(state);
    plans_make(db);
    expect(db, "SELECT id FROM users WHERE id IN (3, 1, 3, '1', 2.0, NULL, 'x', 5000) ORDER BY id",
           "1\n2\n3");
    expect(db, "SELECT id FROM users WHERE id IN () ORDER BY id", "");
    expect(db, "SELECT id FROM users WHERE id IN (NULL, NULL)", "");
    run(db, "INSERT INTO words VALUES (5, 'five'); CREATE TABLE untyped(x);"
            "INSERT INTO untyped VALUES (5), ('5'), (5.0), (NULL)");
    expect(db, "SELECT word, n FROM words WHERE word IN (5, '5', 5.0)", "5|five");
    expect(db, "SELECT word, n FROM words WHERE word IN (SELECT x FROM untyped)", "5|five");
    expect(db,
           "SELECT count(*), sum(n) FROM words "
           "WHERE word IN (SELECT 'name ' || id FROM wanted WHERE id < 1000)",
           "142|71071");
    expect(db, "SELECT count(*) FROM users WHERE id IN (SELECT id + 900 FROM users)", "100");
    expect(db, "SELECT count(*) FROM users WHERE id IN (SELECT id FROM users) AND name > 'name 5'",
           "554");
}

static void test_plans__number_of_no_type_does_not_find_its_text(void **state) {
    sqlite3 *const db = fixture_db(state);
    plans_make(db);
    run(db, "INSERT INTO words VALUES ('5', 'five'); CREATE TABLE untyped(x);"
            "INSERT INTO untyped VALUES (5)");
    /* As in an ordinary table: no affinity is applied between two columns that are not numeric. */
    expect(db, "SELECT n FROM untyped CROSS JOIN words ON word = x", "");
    expect(db, "SELECT n FROM words WHERE word IN (SELECT x FROM untyped)", "");
    expect(db, "SELECT n FROM words WHERE word = 5", "five");
}

static void test_plans__rows_are_estimated(void **state) {
    sqlite3 *const db = fixture_db(state);
    plans_make(db);
    run(db, "CREATE TABLE big(id INTEGER PRIMARY KEY, x);"
            "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 20000) "
            "INSERT INTO big SELECT i, i FROM c; ANALYZE big");
    /* The smaller table is the outer one. */
    expect_plan(db, "SELECT 1 FROM big JOIN users USING (id)", "all rows");
    run(db, "DELETE FROM big WHERE id > 3; ANALYZE");
    expect_plan(db, "SELECT 1 FROM big JOIN users USING (id)", "one key");
}

/* The same statements on an htt table and an ordinary one. */
static void check_alike(sqlite3 *db, const char *sql) {
    char *const ours = sqlite3_mprintf(sql, "kv");
    char *const theirs = sqlite3_mprintf(sql, "ordinary");
    char *const expected = fixture_query(db, theirs);
    char *const got = fixture_query(db, ours);
    if (strcmp(got, expected) != 0) {
        print_error("%s\n  ordinary table: %s\n  got: %s\n", ours, expected, got);
        fail();
    }
    sqlite3_free(ours);
    sqlite3_free(theirs);
    sqlite3_free(expected);
    sqlite3_free(got);
}

static void check_counts(sqlite3 *db) {
    static const char *const queries[] = {
        "SELECT count(*) FROM %s",
        "SELECT count(*) FROM (SELECT 1 FROM %s LIMIT 7)",
        "SELECT count(*) FROM (SELECT 1 FROM %s LIMIT 5 OFFSET 12)",
        "SELECT EXISTS(SELECT 1 FROM %s)",
        "SELECT count(*) FROM wanted, %s",
        "SELECT count(*), count(id) FROM wanted LEFT JOIN %s",
        "SELECT count(*), count(id) FROM wanted RIGHT JOIN %s ON id = 2",
        "SELECT count(*), sum(id) FROM wanted FULL JOIN %s ON 0",
        "SELECT DISTINCT 'x' FROM %s",
        "SELECT sum(1) OVER () FROM %s LIMIT 1",
    };
    for (size_t i = 0; i < sizeof queries / sizeof queries[0]; i++) {
        check_alike(db, queries[i]);
    }
}

/* In pages, in the outbox, in an open transaction, after each kind of going back. */
static void test_plans__rows_that_nobody_looks_at_are_counted_right(void **state) {
    static const char *const steps[] = {
        "SELECT 1", /* both are empty */
        "INSERT INTO %s SELECT value, 'a' FROM numbers WHERE value <= 300",
        "DELETE FROM %s WHERE key %% 3 = 0",
        "BEGIN",
        "INSERT OR REPLACE INTO %s SELECT value, 'b' FROM numbers WHERE value BETWEEN 250 AND 450",
        "SAVEPOINT s",
        "DELETE FROM %s WHERE key > 100 AND key %% 2 = 0",
        "ROLLBACK TO s",
        "DELETE FROM %s WHERE key < 20",
        "COMMIT",
        "BEGIN",
        "DELETE FROM %s WHERE (SELECT 1)", /* asks for keys although it uses no column */
        "ROLLBACK",
        "DELETE FROM %s",
    };
    static const char *const folds[] = {"", ", fold_rows=1"};
    sqlite3 *const db = fixture_db(state);
    run(db, "CREATE TABLE wanted(id); INSERT INTO wanted VALUES (1), (2), (3);"
            "CREATE TABLE numbers AS WITH n(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM n "
            "WHERE value < 500) SELECT value FROM n");
    for (size_t i = 0; i < sizeof folds / sizeof folds[0]; i++) {
        char *const create = sqlite3_mprintf(
            "CREATE VIRTUAL TABLE kv USING htt('kv%d.htt'%s, key INTEGER PRIMARY KEY, value);"
            "CREATE TABLE ordinary(key INTEGER PRIMARY KEY, value) WITHOUT ROWID",
            (int)i, folds[i]);
        run(db, create);
        sqlite3_free(create);
        for (size_t j = 0; j < sizeof steps / sizeof steps[0]; j++) {
            char *const ours = sqlite3_mprintf(steps[j], "kv");
            char *const theirs = sqlite3_mprintf(steps[j], "ordinary");
            run(db, ours);
            if (strcmp(ours, theirs) != 0) {
                run(db, theirs);
            }
            sqlite3_free(ours);
            sqlite3_free(theirs);
            check_counts(db);
        }
        run(db, "DROP TABLE kv; DROP TABLE ordinary");
    }
}

static void test_plans__a_count_under_way_keeps_to_its_state(void **state) {
    sqlite3 *const db = fixture_db(state);
    sqlite3_stmt *statement = NULL;
    plans_make(db);
    run(db, "WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100) "
            "INSERT OR REPLACE INTO kv SELECT i, i FROM n WHERE i > 3; BEGIN");
    char *const before = fixture_query(db, "SELECT count(*) FROM kv");
    assert_int_equal(sqlite3_prepare_v2(db, "SELECT 1 FROM kv", -1, &statement, NULL), SQLITE_OK);
    int rows = 0;
    while (sqlite3_step(statement) == SQLITE_ROW) {
        if (rows++ == 5) {
            run(db, "DELETE FROM kv WHERE key % 2 = 0; INSERT INTO kv VALUES (1000, 1)");
        }
    }
    assert_int_equal(sqlite3_finalize(statement), SQLITE_OK);
    assert_int_equal(rows, atoi(before));
    sqlite3_free(before);
    run(db, "COMMIT");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        fixture_test(test_plans__words_of_each_plan),
        fixture_test(test_plans__other_collations_scan),
        fixture_test(test_plans__joins_look_each_key_up),
        fixture_test(test_plans__lists_give_each_row_once),
        fixture_test(test_plans__number_of_no_type_does_not_find_its_text),
        fixture_test(test_plans__rows_are_estimated),
        fixture_test(test_plans__rows_that_nobody_looks_at_are_counted_right),
        fixture_test(test_plans__a_count_under_way_keeps_to_its_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
