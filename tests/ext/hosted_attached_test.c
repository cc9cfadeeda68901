/* SPDX-License-Identifier: MIT */
/*
 * Hosted tables of attached databases: each database keeps the roots of its own files, and each is
 * consistent in itself.
 */
#include "hosted_world.h"

#include <stdio.h>

static const char both[] =
    "SELECT 'main', key, value FROM main.kv UNION ALL SELECT 'aux', key, value FROM aux.kv "
    "ORDER BY 1 DESC, 2";

/* Attaches aux.db with a table aux.kv in aux.htt, and the row 1|aux. */
static void attach(hosted_world *world) {
    char sql[700];
    snprintf(sql, sizeof sql, "ATTACH '%s' AS aux", fixture_path(&world->fixture, "aux.db"));
    run(world->db, sql);
    snprintf(sql, sizeof sql, "PRAGMA aux.journal_mode = %s", world->kind->mode);
    expect(world->db, sql, world->kind->mode);
    hosted_make(world, world->db, "aux.kv", "aux.htt");
    run(world->db, "INSERT INTO aux.kv VALUES (1, 'aux')");
}

/* What is left is the same for those who open the databases alone. */
static void settle(hosted_world *world, const char *main_rows, const char *aux_rows) {
    run(world->db, "DETACH aux");
    sqlite3 *const alone = fixture_open(&world->fixture, "aux.db");
    expect(alone, hosted_all, aux_rows);
    expect(alone, "SELECT * FROM htt_check('kv')", "ok");
    expect(alone, "SELECT name, state FROM htt_store", "aux.htt|live");
    hosted_close(alone);
    hosted_settle(world, main_rows);
}

static void test_attached__each_database_has_its_own_rows(hosted_world *world) {
    sqlite3 *const db = world->db;
    attach(world);
    expect(db, "SELECT (SELECT name FROM main.htt_store), (SELECT name FROM aux.htt_store)",
           "kv.htt|aux.htt");
    run(db, "INSERT INTO aux.kv VALUES (2, 'two'); INSERT INTO main.kv VALUES (3, 'three')");
    expect(db, "SELECT value FROM htt_stat('kv', 'aux') WHERE name = 'keys'", "2");
    if (!hosted_folds(world)) {
        expect(db,
               "SELECT (SELECT count(*) FROM main.htt_outbox), "
               "(SELECT count(*) FROM aux.htt_outbox)",
               "2|2");
    }
    settle(world, "1|one\n3|three", "1|aux\n2|two");
}

static void test_attached__one_transaction_writes_both(hosted_world *world) {
    sqlite3 *const db = world->db;
    attach(world);
    run(db, "BEGIN; INSERT INTO aux.kv VALUES (2, 'two'); INSERT INTO main.kv VALUES (2, 'deux');"
            "SAVEPOINT a; UPDATE aux.kv SET value = 'x'; DELETE FROM main.kv; ROLLBACK TO a;"
            "INSERT INTO main.kv SELECT key + 10, value FROM aux.kv; COMMIT");
    expect(db, both, "main|1|one\nmain|2|deux\nmain|11|aux\nmain|12|two\naux|1|aux\naux|2|two");
    run(db, "BEGIN; DELETE FROM aux.kv; DELETE FROM main.kv; ROLLBACK");
    run(db, "BEGIN; DELETE FROM main.kv WHERE key > 10");
    expect_error(db, "INSERT INTO aux.kv VALUES (5, 'x'), (6, 'x'), (7, 'x'), (1, 'x')",
                 SQLITE_CONSTRAINT_PRIMARYKEY, "UNIQUE");
    run(db, "COMMIT");
    settle(world, "1|one\n2|deux", "1|aux\n2|two");
}

static void test_attached__refused_commit_undoes_both(hosted_world *world) {
    sqlite3 *const db = world->db;
    int code = SQLITE_OK;
    attach(world);
    hosted_add_refuser(db, &code);
    code = SQLITE_FULL;
    expect_error(db,
                 "BEGIN; INSERT INTO aux.kv VALUES (2, 'x'); INSERT INTO main.kv VALUES (2, 'x');"
                 "INSERT INTO refuser VALUES (1); COMMIT",
                 SQLITE_FULL, "");
    expect(db, both, "main|1|one\naux|1|aux");
    code = SQLITE_BUSY;
    run(db,
        "BEGIN; INSERT INTO aux.kv VALUES (3, 'three'); INSERT INTO main.kv VALUES (3, 'trois');"
        "SAVEPOINT a; INSERT INTO aux.kv VALUES (4, 'x'); INSERT INTO main.kv VALUES (4, 'x');"
        "INSERT INTO refuser VALUES (1)");
    expect_error(db, "COMMIT", SQLITE_BUSY, "");
    run(db, "ROLLBACK TO a");
    expect_error(db, "COMMIT", SQLITE_BUSY, "");
    code = SQLITE_OK;
    run(db, "COMMIT; DROP TABLE refuser");
    settle(world, "1|one\n3|trois", "1|aux\n3|three");
}

/* Another connection reads one of the two: with rollback journals neither can commit. */
static void test_attached__reader_of_one_makes_both_wait(hosted_world *world) {
    sqlite3 *const db = world->db;
    attach(world);
    if (!hosted_is_wal(world)) {
        sqlite3 *const other = fixture_open(&world->fixture, "aux.db");
        sqlite3_stmt *const reader = hosted_reader(other);
        run(db, "BEGIN; INSERT INTO main.kv VALUES (2, 'two'); INSERT INTO aux.kv VALUES (2, 'x')");
        expect_error(db, "COMMIT", SQLITE_BUSY, "database is locked");
        expect(other, hosted_all, "1|aux");
        sqlite3_finalize(reader);
        run(db, "UPDATE aux.kv SET value = 'zwei' WHERE key = 2; COMMIT");
        expect(other, hosted_all, "1|aux\n2|zwei");
        hosted_close(other);
        settle(world, "1|one\n2|two", "1|aux\n2|zwei");
    } else {
        settle(world, "1|one", "1|aux");
    }
}

static void test_attached__drop_and_create_are_undone(hosted_world *world) {
    sqlite3 *const db = world->db;
    attach(world);
    run(db, "BEGIN; INSERT INTO aux.kv VALUES (2, 'two'); SAVEPOINT a; DROP TABLE aux.kv;"
            "INSERT INTO main.kv VALUES (2, 'x'); ROLLBACK TO a; COMMIT");
    expect(db, both, "main|1|one\naux|1|aux\naux|2|two");
    run(db, "BEGIN; DROP TABLE aux.kv; ROLLBACK; BEGIN; SAVEPOINT a");
    hosted_make(world, db, "aux.kw", "kw.htt");
    run(db, "INSERT INTO aux.kw VALUES (1, 'ghost'); ROLLBACK TO a; COMMIT");
    run(db, "DROP TABLE aux.kv");
    expect(db, "SELECT name, state FROM aux.htt_store", "aux.htt|dropped");
    expect(db, "SELECT name, state FROM main.htt_store", "kv.htt|live");
    hosted_make(world, db, "aux.kv", "aux.htt");
    settle(world, "1|one", "1|aux\n2|two");
}

static void test_attached__file_of_one_is_not_the_other_ones(hosted_world *world) {
    sqlite3 *const db = world->db;
    attach(world);
    expect_error(db, "CREATE VIRTUAL TABLE aux.stolen USING htt('kv.htt')", SQLITE_ERROR,
                 "already belongs to table main.kv");
    settle(world, "1|one", "1|aux");
}

int main(void) {
    static const hosted_scenario scenarios[] = {
        hosted_case(test_attached__each_database_has_its_own_rows),
        hosted_case(test_attached__one_transaction_writes_both),
        hosted_case(test_attached__refused_commit_undoes_both),
        hosted_case(test_attached__reader_of_one_makes_both_wait),
        hosted_case(test_attached__drop_and_create_are_undone),
        hosted_case(test_attached__file_of_one_is_not_the_other_ones),
    };
    return hosted_run(scenarios, sizeof scenarios / sizeof scenarios[0]);
}
