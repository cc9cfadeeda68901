/* SPDX-License-Identifier: MIT */
/*
 * Statements and savepoints of hosted tables that are undone, with rows in the outbox and with a
 * transaction that has turned to pages: a statement of more than two rows does where fold_rows=1.
 */
#include "hosted_world.h"

/* Every row of the outbox is one that was meant to stay. */
static void expect_outbox_keys(const hosted_world *world, const char *keys) {
    if (!hosted_folds(world)) {
        expect(world->db, "SELECT group_concat(key) FROM htt_outbox", keys);
    }
}

/* No savepoint of SQLite's covers a single row. */
static void test_savepoints__single_row_that_fails_leaves_no_row(hosted_world *world) {
    sqlite3 *const db = world->db;
    run(db, "INSERT INTO kv VALUES (2, 'two'); BEGIN");
    expect_error(db, "UPDATE kv SET key = 2 WHERE key = 1", SQLITE_CONSTRAINT_PRIMARYKEY, "UNIQUE");
    expect_error(db, "INSERT INTO kv VALUES (1, 'x')", SQLITE_CONSTRAINT_PRIMARYKEY, "UNIQUE");
    expect_error(db, "INSERT INTO kv VALUES (NULL, 'x')", SQLITE_CONSTRAINT_NOTNULL, "NOT NULL");
    expect_error(db, "UPDATE kv SET key = zeroblob(2000000) WHERE key = 1", SQLITE_TOOBIG, "");
    run(db, "INSERT OR IGNORE INTO kv VALUES (1, 'x'); UPDATE OR IGNORE kv SET key = 2");
    expect_outbox_keys(world, "1,2");
    run(db, "COMMIT");
    hosted_settle(world, "1|one\n2|two");
}

static void test_savepoints__statement_that_fails_is_undone_alone(hosted_world *world) {
    sqlite3 *const db = world->db;
    run(db, "BEGIN; INSERT INTO kv VALUES (2, 'two')");
    for (int i = 0; i < 2; i++) { /* the second time the transaction may be in pages */
        expect_error(db, "INSERT INTO kv VALUES (3, 'x'), (4, 'x'), (5, 'x'), (1, 'x')",
                     SQLITE_CONSTRAINT_PRIMARYKEY, "UNIQUE constraint failed: kv.key");
        expect(db, hosted_all, "1|one\n2|two");
    }
    expect_error(db,
                 "INSERT INTO kv SELECT value, 'x' FROM (SELECT 6 AS value UNION ALL SELECT 7 "
                 "UNION ALL SELECT 8 UNION ALL SELECT NULL)",
                 SQLITE_CONSTRAINT_NOTNULL, "NOT NULL");
    expect_outbox_keys(world, "1,2");
    expect_error(db, "INSERT OR FAIL INTO kv VALUES (3, 'three'), (4, 'four'), (5, 'five'), (1, 1)",
                 SQLITE_CONSTRAINT_PRIMARYKEY, "UNIQUE");
    run(db, "INSERT OR IGNORE INTO kv VALUES (6, 'six'), (1, 'x'), (NULL, 'x'), (7, 'seven')");
    run(db, "INSERT OR REPLACE INTO kv VALUES (1, 'uno'), (8, 'eight'), (2, 'due')");
    run(db, "COMMIT");
    expect(db, hosted_all, "1|uno\n2|due\n3|three\n4|four\n5|five\n6|six\n7|seven\n8|eight");
    run(db, "BEGIN; DELETE FROM kv WHERE key > 2");
    expect_error(db, "INSERT OR ROLLBACK INTO kv VALUES (3, 'x'), (4, 'x'), (5, 'x'), (1, 'x')",
                 SQLITE_CONSTRAINT_PRIMARYKEY, "UNIQUE");
    assert_true(sqlite3_get_autocommit(db) != 0);
    expect_error(db, "INSERT INTO kv VALUES (9, 'x'), (10, 'x'), (11, 'x'), (1, 'x')",
                 SQLITE_CONSTRAINT_PRIMARYKEY, "UNIQUE");
    hosted_settle(world, "1|uno\n2|due\n3|three\n4|four\n5|five\n6|six\n7|seven\n8|eight");
}

static int interrupt(void *arg) {
    int *const left = arg;
    return --*left <= 0;
}

/* An interrupted write ends the whole transaction. */
static void test_savepoints__interrupted_statement_ends_the_transaction(hosted_world *world) {
    sqlite3 *const db = world->db;
    run(db, "INSERT INTO kv VALUES (2, 'two'); BEGIN; INSERT INTO kv VALUES (3, 'x')");
    int left = 40;
    sqlite3_progress_handler(db, 100, interrupt, &left);
    expect_error(db,
                 "WITH RECURSIVE c(i) AS (SELECT 10 UNION ALL SELECT i + 1 FROM c WHERE i < 9999) "
                 "INSERT INTO kv SELECT i, 'x' FROM c",
                 SQLITE_INTERRUPT, "interrupted");
    sqlite3_progress_handler(db, 0, NULL, NULL);
    assert_true(sqlite3_get_autocommit(db) != 0);
    expect(db, hosted_all, "1|one\n2|two");
    run(db, "INSERT INTO kv VALUES (4, 'four')");
    hosted_settle(world, "1|one\n2|two\n4|four");
}

static void test_savepoints__nest_and_repeat(hosted_world *world) {
    sqlite3 *const db = world->db;
    run(db, "BEGIN; SAVEPOINT a; INSERT INTO kv VALUES (2, 'a'); SAVEPOINT b;"
            "INSERT INTO kv VALUES (3, 'b'), (4, 'b'), (5, 'b'); SAVEPOINT c;"
            "UPDATE kv SET value = 'c'; DELETE FROM kv WHERE key > 3");
    expect(db, hosted_all, "1|c\n2|c\n3|c");
    run(db, "ROLLBACK TO c; ROLLBACK TO c");
    expect(db, hosted_all, "1|one\n2|a\n3|b\n4|b\n5|b");
    run(db, "INSERT INTO kv VALUES (6, 'd'); ROLLBACK TO b");
    expect(db, hosted_all, "1|one\n2|a");
    run(db, "INSERT INTO kv VALUES (7, 'e'); RELEASE b; SAVEPOINT b; DELETE FROM kv; ROLLBACK TO b;"
            "RELEASE b");
    expect(db, hosted_all, "1|one\n2|a\n7|e");
    run(db, "ROLLBACK TO a");
    expect(db, hosted_all, "1|one");
    run(db, "INSERT INTO kv VALUES (8, 'f'); RELEASE a; COMMIT");
    hosted_settle(world, "1|one\n8|f");
}

/* They stand before the table takes part: callbacks come for what it never heard of. */
static void test_savepoints__older_than_the_first_write(hosted_world *world) {
    sqlite3 *const db = world->db;
    run(db, "CREATE TABLE t(x); SAVEPOINT a; SAVEPOINT b; INSERT INTO t VALUES (1); SAVEPOINT c;"
            "INSERT INTO kv VALUES (2, 'two'); SAVEPOINT d;"
            "INSERT INTO kv VALUES (3, 'x'), (4, 'x'), (5, 'x'); ROLLBACK TO b");
    expect(db, hosted_all, "1|one");
    run(db, "INSERT INTO kv VALUES (6, 'x'); ROLLBACK TO a; INSERT INTO kv VALUES (7, 'seven');"
            "RELEASE a");
    hosted_settle(world, "1|one\n7|seven");
}

static void test_savepoints__outermost_one_is_a_transaction(hosted_world *world) {
    sqlite3 *const db = world->db;
    run(db, "SAVEPOINT a; INSERT INTO kv VALUES (2, 'x'); ROLLBACK TO a");
    expect(db, hosted_all, "1|one");
    run(db, "INSERT INTO kv VALUES (3, 'x'), (4, 'x'), (5, 'x'); ROLLBACK TO a; RELEASE a");
    expect(db, hosted_all, "1|one");
    run(db, "SAVEPOINT a; INSERT INTO kv VALUES (6, 'x'); ROLLBACK TO a; INSERT INTO kv VALUES "
            "(7, 'seven'); SAVEPOINT b; DELETE FROM kv; ROLLBACK TO b; RELEASE a");
    hosted_settle(world, "1|one\n7|seven");
}

/* The change to pages is undone with the savepoint that is older than it. */
static void test_savepoints__large_statement_is_rolled_back_to_rows(hosted_world *world) {
    sqlite3 *const db = world->db;
    const char *const many =
        "WITH RECURSIVE c(i) AS (SELECT 10 UNION ALL SELECT i + 1 FROM c WHERE i < 2009) "
        "INSERT INTO kv SELECT i, zeroblob(100) FROM c";
    run(db, "BEGIN; INSERT INTO kv VALUES (2, 'two'); SAVEPOINT a");
    run(db, many);
    expect(db, "SELECT count(*) FROM kv", "2002");
    run(db, "SAVEPOINT b; DELETE FROM kv WHERE key > 1000");
    expect(db, "SELECT count(*) FROM kv", "993");
    run(db, "ROLLBACK TO b");
    expect(db, "SELECT count(*) FROM kv", "2002");
    run(db, "ROLLBACK TO a");
    expect(db, hosted_all, "1|one\n2|two");
    run(db, "INSERT INTO kv VALUES (3, 'three'); SAVEPOINT c");
    run(db, many);
    run(db, "RELEASE c; ROLLBACK TO a; INSERT INTO kv VALUES (4, 'four'); COMMIT");
    expect(db, hosted_all, "1|one\n2|two\n4|four");
    run(db, "BEGIN; SAVEPOINT a");
    run(db, many);
    run(db, "RELEASE a; DELETE FROM kv WHERE key >= 10; INSERT INTO kv VALUES (5, 'five'); COMMIT");
    hosted_settle(world, "1|one\n2|two\n4|four\n5|five");
}

/* Several callbacks with one number for one statement: temp takes part. */
static void test_savepoints__statement_with_a_temp_table_fails(hosted_world *world) {
    sqlite3 *const db = world->db;
    run(db, "CREATE TEMP TABLE seen(x); BEGIN; INSERT INTO seen VALUES (1), (2), (3), (NULL)");
    expect_error(db, "INSERT INTO kv SELECT x + 100, 'x' FROM seen", SQLITE_CONSTRAINT_NOTNULL, "");
    run(db, "SAVEPOINT a; INSERT INTO seen VALUES (4); INSERT INTO kv VALUES (2, 'x'); "
            "ROLLBACK TO a; INSERT INTO kv VALUES (3, 'three'); COMMIT");
    hosted_settle(world, "1|one\n3|three");
}

/* The database takes no more pages: SQLite ends the statement, or the transaction. */
static void test_savepoints__full_database_loses_no_committed_row(hosted_world *world) {
    sqlite3 *const db = world->db;
    run(db, "CREATE TABLE t(x); INSERT INTO kv VALUES (2, 'two')");
    char *const pages = fixture_query(db, "PRAGMA page_count");
    char *const limit = sqlite3_mprintf("PRAGMA max_page_count = %s", pages);
    run(db, limit);
    sqlite3_free(limit);
    sqlite3_free(pages);
    for (int i = 0; i < 2; i++) {
        run(db, "BEGIN; INSERT INTO t VALUES (1)");
        expect_error(db, "INSERT INTO kv VALUES (3, zeroblob(500000))", SQLITE_FULL, "full");
        if (!sqlite3_get_autocommit(db)) {
            run(db, "ROLLBACK");
        }
        expect(db, hosted_all, "1|one\n2|two");
        expect(db, "SELECT count(*) FROM t", "0");
        expect_error(db, "INSERT INTO kv VALUES (4, zeroblob(500000))", SQLITE_FULL, "full");
        expect(db, hosted_all, "1|one\n2|two");
    }
    run(db, "PRAGMA max_page_count = 100000; INSERT INTO kv VALUES (5, 'five')");
    hosted_settle(world, "1|one\n2|two\n5|five");
}

static void test_savepoints__triggers_write_and_are_undone(hosted_world *world) {
    sqlite3 *const db = world->db;
    run(db, "CREATE TABLE t(x); CREATE TRIGGER tr AFTER INSERT ON t BEGIN "
            "INSERT OR REPLACE INTO kv VALUES (new.x, 'by trigger'); END");
    run(db, "INSERT INTO t VALUES (1), (2), (3), (4)");
    expect_error(db, "INSERT INTO t VALUES (5), (6), (7), (NULL)", SQLITE_CONSTRAINT_NOTNULL, "");
    run(db, "BEGIN; INSERT INTO t VALUES (8)");
    expect_error(db, "INSERT INTO t VALUES (5), (6), (7), (NULL)", SQLITE_CONSTRAINT_NOTNULL, "");
    run(db, "COMMIT");
    expect(db, "SELECT count(*) FROM t", "5");
    hosted_settle(world, "1|by trigger\n2|by trigger\n3|by trigger\n4|by trigger\n8|by trigger");
}

int main(void) {
    static const hosted_scenario scenarios[] = {
        hosted_case(test_savepoints__single_row_that_fails_leaves_no_row),
        hosted_case(test_savepoints__statement_that_fails_is_undone_alone),
        hosted_case(test_savepoints__interrupted_statement_ends_the_transaction),
        hosted_case(test_savepoints__nest_and_repeat),
        hosted_case(test_savepoints__older_than_the_first_write),
        hosted_case(test_savepoints__outermost_one_is_a_transaction),
        hosted_case(test_savepoints__large_statement_is_rolled_back_to_rows),
        hosted_case(test_savepoints__statement_with_a_temp_table_fails),
        hosted_case(test_savepoints__full_database_loses_no_committed_row),
        hosted_case(test_savepoints__triggers_write_and_are_undone),
    };
    return hosted_run(scenarios, sizeof scenarios / sizeof scenarios[0]);
}
