/* SPDX-License-Identifier: MIT */
/*
 * CREATE, DROP and ALTER of hosted tables, done and undone in every way, and VACUUM of the
 * database.
 */
#include "hosted_world.h"

#include <stdio.h>

static const char stores[] = "SELECT group_concat(name || ' ' || state) FROM htt_store";

static void test_tables__create_rolled_back_leaves_a_file_to_be_taken(hosted_world *world) {
    sqlite3 *const db = world->db;
    run(db, "BEGIN");
    hosted_make(world, db, "kw", "kw.htt");
    run(db, "INSERT INTO kw VALUES (1, 'x'), (2, 'x'), (3, 'x'); ROLLBACK");
    expect_error(db, "SELECT * FROM kw", SQLITE_ERROR, "no such table: kw");
    expect(db, stores, "kv.htt live");
    hosted_make(world, db, "kw", "kw.htt");
    expect(db, "SELECT count(*) FROM kw", "0");
    run(db, "INSERT INTO kw VALUES (1, 'kw')");
    hosted_settle(world, "1|one");
    expect(world->db, "SELECT * FROM kw", "1|kw");
}

/* SQLite does not tell a table that was created since about the rollback. */
static void test_tables__create_rolled_back_to_a_savepoint_keeps_no_rows(hosted_world *world) {
    sqlite3 *const db = world->db;
    run(db, "BEGIN; SAVEPOINT a");
    hosted_make(world, db, "kw", "kw.htt");
    run(db, "INSERT INTO kw VALUES (1, 'ghost'); ROLLBACK TO a; COMMIT");
    expect_error(db, "SELECT * FROM kw", SQLITE_ERROR, "no such table: kw");
    run(db, "BEGIN; SAVEPOINT a");
    hosted_make(world, db, "kw", "kw.htt");
    run(db, "INSERT INTO kw VALUES (1, 'ghost'), (2, 'ghost'), (3, 'ghost'); ROLLBACK TO a");
    hosted_make(world, db, "kw", "kw.htt");
    expect(db, "SELECT count(*) FROM kw", "0");
    run(db, "INSERT INTO kw VALUES (4, 'four'); COMMIT");
    expect(db, "SELECT * FROM kw", "4|four");
    expect(db, "SELECT count(*) FROM htt_outbox WHERE value = 'ghost'", "0");
    hosted_settle(world, "1|one");
    expect(world->db, "SELECT * FROM kw", "4|four");
}

static void test_tables__created_table_has_savepoints(hosted_world *world) {
    sqlite3 *const db = world->db;
    run(db, "BEGIN");
    hosted_make(world, db, "kw", "kw.htt");
    run(db, "INSERT INTO kw VALUES (1, 'one'); SAVEPOINT a; INSERT INTO kw VALUES (2, 'x');"
            "ROLLBACK TO a; INSERT INTO kw VALUES (3, 'three'); SAVEPOINT b;"
            "INSERT INTO kw VALUES (4, 'x'), (5, 'x'), (6, 'x'); ROLLBACK TO b");
    expect_error(db, "INSERT INTO kw VALUES (4, 'x'), (5, 'x'), (6, 'x'), (1, 'x')",
                 SQLITE_CONSTRAINT_PRIMARYKEY, "UNIQUE");
    run(db, "COMMIT");
    expect(db, "SELECT * FROM kw ORDER BY key", "1|one\n3|three");
    hosted_settle(world, "1|one");
    expect(world->db, "SELECT * FROM kw ORDER BY key", "1|one\n3|three");
}

static void test_tables__drop_leaves_everything_in_the_file(hosted_world *world) {
    sqlite3 *const db = world->db;
    run(db, "BEGIN; INSERT INTO kv VALUES (2, 'two'); DROP TABLE kv; COMMIT");
    expect(db, stores, "kv.htt dropped");
    expect(db, "SELECT count(*) FROM htt_outbox", "0");
    hosted_make(world, db, "kv", "kv.htt");
    expect(db, stores, "kv.htt live");
    run(db, "INSERT INTO kv VALUES (3, 'three')");
    hosted_settle(world, "1|one\n2|two\n3|three");
}

static void test_tables__drop_rolled_back_brings_the_table_back(hosted_world *world) {
    sqlite3 *const db = world->db;
    run(db, "BEGIN; INSERT INTO kv VALUES (2, 'x'); DROP TABLE kv; ROLLBACK");
    expect(db, hosted_all, "1|one");
    expect(db, stores, "kv.htt live");
    run(db, "BEGIN; INSERT INTO kv VALUES (2, 'two'); SAVEPOINT a; INSERT INTO kv VALUES (3, 'x');"
            "DROP TABLE kv; ROLLBACK TO a");
    expect(db, hosted_all, "1|one\n2|two");
    run(db, "INSERT INTO kv VALUES (4, 'four'); SAVEPOINT b; INSERT INTO kv VALUES (5, 'x');"
            "ROLLBACK TO b; COMMIT");
    expect(db, hosted_all, "1|one\n2|two\n4|four");
    run(db, "SAVEPOINT a; DROP TABLE kv; ROLLBACK TO a; INSERT INTO kv VALUES (6, 'six');"
            "SAVEPOINT b; DROP TABLE kv; ROLLBACK TO b; RELEASE a");
    hosted_settle(world, "1|one\n2|two\n4|four\n6|six");
}

static int veto(void *arg) {
    (void)arg;
    return 1;
}

static void test_tables__drop_and_create_that_are_vetoed(hosted_world *world) {
    sqlite3 *const db = world->db;
    sqlite3_commit_hook(db, veto, NULL);
    expect_error(db, "BEGIN; INSERT INTO kv VALUES (2, 'x'); DROP TABLE kv; COMMIT",
                 SQLITE_CONSTRAINT_COMMITHOOK, "");
    expect(db, hosted_all, "1|one");
    expect_error(db, "CREATE VIRTUAL TABLE kw USING htt('kw.htt')", SQLITE_CONSTRAINT_COMMITHOOK,
                 "");
    sqlite3_commit_hook(db, NULL, NULL);
    hosted_make(world, db, "kw", "kw.htt");
    run(db, "INSERT INTO kv SELECT 3, count(*) FROM kw; DROP TABLE kw");
    hosted_settle(world, "1|one\n3|0");
}

/* In WAL mode nobody knows yet whether the first one comes back: pages of its fold are not used. */
static void test_tables__drop_after_a_doubtful_commit(hosted_world *world) {
    sqlite3 *const db = world->db;
    sqlite3_commit_hook(db, veto, NULL);
    expect_error(db, "DROP TABLE kv", SQLITE_CONSTRAINT_COMMITHOOK, "");
    expect(db, hosted_all, "1|one");
    sqlite3_commit_hook(db, NULL, NULL);
    run(db, "DROP TABLE kv");
    hosted_make(world, db, "kv", "kv.htt");
    hosted_settle(world, "1|one");
}

static void test_tables__drop_and_create_in_one(hosted_world *world) {
    sqlite3 *const db = world->db;
    run(db, "BEGIN; INSERT INTO kv VALUES (2, 'two'); DROP TABLE kv");
    hosted_make(world, db, "kv", "kv.htt");
    run(db, "INSERT INTO kv VALUES (3, 'three'); SAVEPOINT a; DROP TABLE kv; ROLLBACK TO a");
    expect(db, hosted_all, "1|one\n2|two\n3|three");
    run(db, "COMMIT");
    expect(db, hosted_all, "1|one\n2|two\n3|three");
    run(db, "BEGIN; DROP TABLE kv");
    hosted_make(world, db, "kv", "kv.htt");
    run(db, "INSERT INTO kv VALUES (4, 'x'); ROLLBACK");
    expect(db, hosted_all, "1|one\n2|two\n3|three");
    run(db, "BEGIN; INSERT INTO kv VALUES (5, 'five'); SAVEPOINT a; DROP TABLE kv");
    hosted_make(world, db, "kv", "kv.htt");
    run(db, "INSERT INTO kv VALUES (6, 'x'); ROLLBACK TO a; COMMIT");
    hosted_settle(world, "1|one\n2|two\n3|three\n5|five");
}

/* One connection drops and makes anew what another one knows. */
static void test_tables__another_connection_follows_drop_and_create(hosted_world *world) {
    sqlite3 *const db = world->db;
    sqlite3 *const other = hosted_open(world);
    expect(other, hosted_all, "1|one");
    run(db, "BEGIN; INSERT INTO kv VALUES (2, 'two'); DROP TABLE kv; COMMIT");
    expect_error(other, hosted_all, SQLITE_ERROR, "no such table: kv");
    hosted_make(world, other, "kv", "kv.htt");
    expect(db, hosted_all, "1|one\n2|two");
    run(db, "INSERT INTO kv VALUES (3, 'three')");
    run(other, "DROP TABLE kv");
    hosted_make(world, other, "kv", "kv.htt");
    run(other, "INSERT INTO kv VALUES (4, 'four')");
    expect(db, hosted_all, "1|one\n2|two\n3|three\n4|four");
    run(other, "DROP TABLE kv; CREATE TABLE kv(key, value); INSERT INTO kv VALUES (0, 'plain')");
    expect(db, hosted_all, "0|plain");
    run(db, "DROP TABLE kv");
    hosted_make(world, db, "kv", "kv.htt");
    expect(other, hosted_all, "1|one\n2|two\n3|three\n4|four");
    hosted_close(other);
    hosted_settle(world, "1|one\n2|two\n3|three\n4|four");
}

/* Two tables, and the file of one is given to the other by DROP and CREATE. */
static void test_tables__files_change_their_tables(hosted_world *world) {
    sqlite3 *const db = world->db;
    hosted_make(world, db, "kw", "kw.htt");
    run(db, "INSERT INTO kw VALUES (1, 'w'); BEGIN; INSERT INTO kv VALUES (2, 'v');"
            "INSERT INTO kw VALUES (2, 'w'); DROP TABLE kv; DROP TABLE kw");
    hosted_make(world, db, "kv", "kw.htt");
    hosted_make(world, db, "kw", "kv.htt");
    run(db, "INSERT INTO kv VALUES (3, 'was w'); INSERT INTO kw VALUES (3, 'was v')");
    expect(db, hosted_all, "1|w\n2|w\n3|was w");
    run(db, "ROLLBACK");
    expect(db, hosted_all, "1|one");
    expect(db, "SELECT * FROM kw", "1|w");
    run(db, "BEGIN; DROP TABLE kv; DROP TABLE kw");
    hosted_make(world, db, "kv", "kw.htt");
    hosted_make(world, db, "kw", "kv.htt");
    run(db, "INSERT INTO kv VALUES (4, 'was w'); INSERT INTO kw VALUES (4, 'was v'); COMMIT");
    expect(db, "SELECT * FROM kw ORDER BY key", "1|one\n4|was v");
    hosted_settle(world, "1|w\n4|was w");
}

static void test_tables__drop_with_an_open_cursor_is_refused(hosted_world *world) {
    sqlite3 *const db = world->db;
    sqlite3_stmt *const cursor = hosted_step(db, "SELECT key FROM kv");
    expect_error(db, "DROP TABLE kv", SQLITE_LOCKED, "");
    sqlite3_finalize(cursor);
    hosted_settle(world, "1|one");
    run(world->db, "DROP TABLE kv");
    expect(world->db, stores, "kv.htt dropped");
}

/* The name of the table is not that of the file; two vtabs of one table may live at once. */
static void test_tables__rename_and_its_rollback(hosted_world *world) {
    sqlite3 *const db = world->db;
    run(db, "BEGIN; SAVEPOINT a; INSERT INTO kv VALUES (2, 'x'); ALTER TABLE kv RENAME TO kw;"
            "INSERT INTO kw VALUES (3, 'x'); SAVEPOINT b; INSERT INTO kw VALUES (4, 'x');"
            "ROLLBACK TO b");
    expect(db, "SELECT key FROM kw ORDER BY key", "1\n2\n3");
    run(db, "ROLLBACK TO a");
    expect(db, hosted_all, "1|one");
    run(db, "INSERT INTO kv VALUES (5, 'five'); ALTER TABLE kv RENAME TO kw;"
            "INSERT INTO kw VALUES (6, 'six'); COMMIT");
    expect(db, "SELECT key FROM kw ORDER BY key", "1\n5\n6");
    run(db, "BEGIN; ALTER TABLE kw RENAME TO kx; INSERT INTO kx VALUES (7, 'x'); ROLLBACK;"
            "ALTER TABLE kw RENAME TO kv");
    hosted_settle(world, "1|one\n5|five\n6|six");
}

/* Another kind of schema change has the table connected anew in the midst of a transaction. */
static void test_tables__schema_changes_in_a_transaction(hosted_world *world) {
    sqlite3 *const db = world->db;
    run(db, "BEGIN; INSERT INTO kv VALUES (2, 'two'); CREATE TABLE t(x); SAVEPOINT a;"
            "CREATE TABLE u(x); INSERT INTO kv VALUES (3, 'x'), (4, 'x'), (5, 'x'); ROLLBACK TO a;"
            "CREATE INDEX i ON t(x); INSERT INTO kv VALUES (6, 'six'); COMMIT");
    expect(db, hosted_all, "1|one\n2|two\n6|six");
    sqlite3 *const other = hosted_open(world);
    expect(other, hosted_all, "1|one\n2|two\n6|six");
    run(other, "CREATE TABLE v(x); INSERT INTO kv VALUES (7, 'seven')");
    expect(db, hosted_all, "1|one\n2|two\n6|six\n7|seven");
    hosted_close(other);
    hosted_settle(world, "1|one\n2|two\n6|six\n7|seven");
}

static void test_tables__vacuum_of_the_database(hosted_world *world) {
    sqlite3 *const db = world->db;
    run(db, "CREATE TABLE t(x); INSERT INTO t VALUES (zeroblob(100000)); DROP TABLE t;"
            "INSERT INTO kv VALUES (2, 'two'); VACUUM");
    expect(db, hosted_all, "1|one\n2|two");
    run(db, "INSERT INTO kv VALUES (3, 'three'); DELETE FROM kv WHERE key = 1; VACUUM");
    hosted_settle(world, "2|two\n3|three");
}

/* VACUUM INTO copies the rows of htt_store, not the file: the copy must not write it. */
static void test_tables__copy_of_the_database_does_not_write_the_file(hosted_world *world) {
    sqlite3 *const db = world->db;
    char *const sql = sqlite3_mprintf("VACUUM INTO '%q'", fixture_path(&world->fixture, "copy.db"));
    run(db, "INSERT INTO kv VALUES (2, 'two')");
    run(db, sql);
    sqlite3_free(sql);
    sqlite3 *const copy = fixture_open(&world->fixture, "copy.db");
    expect_error(copy, "INSERT INTO kv VALUES (3, 'x')", SQLITE_ERROR,
                 "belongs to the database 'test.db'");
    run(db, "INSERT INTO kv VALUES (4, 'four')");
    expect_error(copy, "INSERT INTO kv VALUES (3, 'x')", SQLITE_ERROR,
                 "belongs to the database 'test.db'");
    hosted_close(copy);
    hosted_settle(world, "1|one\n2|two\n4|four");
}

int main(void) {
    static const hosted_scenario scenarios[] = {
        hosted_case(test_tables__create_rolled_back_leaves_a_file_to_be_taken),
        hosted_case(test_tables__create_rolled_back_to_a_savepoint_keeps_no_rows),
        hosted_case(test_tables__created_table_has_savepoints),
        hosted_case(test_tables__drop_leaves_everything_in_the_file),
        hosted_case(test_tables__drop_rolled_back_brings_the_table_back),
        hosted_case(test_tables__drop_and_create_that_are_vetoed),
        hosted_case(test_tables__drop_after_a_doubtful_commit),
        hosted_case(test_tables__drop_and_create_in_one),
        hosted_case(test_tables__another_connection_follows_drop_and_create),
        hosted_case(test_tables__files_change_their_tables),
        hosted_case(test_tables__drop_with_an_open_cursor_is_refused),
        hosted_case(test_tables__rename_and_its_rollback),
        hosted_case(test_tables__schema_changes_in_a_transaction),
        hosted_case(test_tables__vacuum_of_the_database),
        hosted_case(test_tables__copy_of_the_database_does_not_write_the_file),
    };
    return hosted_run(scenarios, sizeof scenarios / sizeof scenarios[0]);
}
