/* SPDX-License-Identifier: MIT */
/*
 * htt_store and htt_outbox in other hands: triggers and authorizers of the application, rows that
 * somebody edits or deletes. Each is an error that names what is wrong, or of no effect; never
 * wrong rows. What a file was opened with is forgotten before: another connection edits.
 */
#include "hosted_world.h"

#include <string.h>

/* Runs `sql` in another connection, without the module. */
static void edit(hosted_world *world, const char *sql) {
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(fixture_path(&world->fixture, "test.db"), &db), SQLITE_OK);
    run(db, sql);
    hosted_close(db);
}

static void test_outbox__trigger_that_changes_more_is_noticed(hosted_world *world) {
    sqlite3 *const db = world->db;
    run(db, "CREATE TABLE log(x); CREATE TRIGGER spy AFTER INSERT ON htt_outbox BEGIN "
            "INSERT INTO log VALUES (new.id); END");
    expect_error(db, "BEGIN; INSERT INTO log VALUES (0); INSERT INTO kv VALUES (2, 'x')",
                 SQLITE_IOERR, "htt_outbox");
    assert_true(sqlite3_get_autocommit(db) != 0);
    expect(db, "SELECT count(*) FROM log", "0");
    run(db, "DROP TRIGGER spy; INSERT INTO kv VALUES (3, 'three')");
    hosted_settle(world, "1|one\n3|three");
}

static void test_outbox__trigger_that_swallows_rows_is_noticed(hosted_world *world) {
    sqlite3 *const db = world->db;
    run(db, "CREATE TRIGGER gone BEFORE INSERT ON htt_outbox BEGIN SELECT raise(IGNORE); END");
    expect_error(db, "INSERT INTO kv VALUES (2, 'x')", SQLITE_IOERR, "htt_outbox");
    expect(db, hosted_all, "1|one");
    run(db, "DROP TRIGGER gone; CREATE TRIGGER refuse BEFORE INSERT ON htt_outbox BEGIN "
            "SELECT raise(ABORT, 'not here'); END");
    expect_error(db, "INSERT INTO kv VALUES (2, 'x')", SQLITE_CONSTRAINT_TRIGGER, "not here");
    expect(db, hosted_all, "1|one");
    run(db, "BEGIN; CREATE TABLE t(x)");
    expect_error(db, "INSERT INTO kv VALUES (2, 'x')", SQLITE_CONSTRAINT_TRIGGER, "not here");
    run(db, "COMMIT; DROP TRIGGER refuse; INSERT INTO kv VALUES (3, 'three')");
    hosted_settle(world, "1|one\n3|three");
}

/* The root moves at COMMIT: what stops it there ends the transaction, or leaves rows. */
static void test_outbox__trigger_on_the_root_costs_no_row(hosted_world *world) {
    sqlite3 *const db = world->db;
    run(db, "CREATE TRIGGER refuse BEFORE UPDATE ON htt_store BEGIN "
            "SELECT raise(ABORT, 'no roots'); END; CREATE TABLE t(x)");
    char *const got =
        fixture_query(db, "BEGIN; INSERT INTO t VALUES (1); INSERT INTO kv VALUES (2, 'two'); "
                          "COMMIT");
    const bool failed = strncmp(got, "error", 5) == 0;
    sqlite3_free(got);
    if (!sqlite3_get_autocommit(db)) {
        run(db, "ROLLBACK");
    }
    expect(db, "SELECT (SELECT count(*) FROM t), (SELECT count(*) FROM kv)",
           failed ? "0|1" : "1|2");
    run(db, "DROP TRIGGER refuse; INSERT OR REPLACE INTO kv VALUES (2, 'two')");
    hosted_settle(world, "1|one\n2|two");
}

typedef struct guard {
    const char *table; /* that is not to be written */
    int action;        /* of the authorizer */
} guard;

static int authorize(void *arg, int action, const char *a, const char *b, const char *schema,
                     const char *trigger) {
    const guard *const g = arg;
    (void)b;
    (void)schema;
    (void)trigger;
    return action == g->action && a != NULL && strcmp(a, g->table) == 0 ? SQLITE_DENY : SQLITE_OK;
}

static void test_outbox__authorizer_that_denies_leaves_nothing(hosted_world *world) {
    static const guard guards[] = {{"htt_outbox", SQLITE_INSERT},
                                   {"htt_outbox", SQLITE_DELETE},
                                   {"htt_outbox", SQLITE_READ},
                                   {"htt_store", SQLITE_UPDATE},
                                   {"htt_store", SQLITE_READ}};
    run(world->db, "CREATE TABLE t(x)");
    for (size_t i = 0; i < sizeof guards / sizeof guards[0]; i++) {
        guard g = guards[i];
        sqlite3 *const db = hosted_open(world);
        sqlite3_set_authorizer(db, authorize, &g);
        char *const got =
            fixture_query(db, "BEGIN; INSERT INTO t VALUES (1); INSERT INTO kv VALUES (2, 'two'); "
                              "INSERT INTO kv VALUES (3, 'three'), (4, 'x'), (5, 'x'), (6, 'x');"
                              "DELETE FROM kv WHERE value = 'x'; COMMIT");
        const bool failed = strncmp(got, "error", 5) == 0;
        sqlite3_free(got);
        sqlite3_set_authorizer(db, NULL, NULL);
        if (!sqlite3_get_autocommit(db)) {
            run(db, "ROLLBACK");
        }
        const char *const rows = failed ? "1|one" : "1|one\n2|two\n3|three";
        expect(db, "SELECT count(*) FROM t", failed ? "0" : "1");
        expect(db, hosted_all, rows);
        expect(world->db, hosted_all, rows);
        hosted_close(db);
        run(world->db, "DELETE FROM kv WHERE key > 1; DELETE FROM t");
    }
    hosted_settle(world, "1|one");
}

/* Four rows that are in the outbox: 1 (put), 2 (put), 3 (put), 2 (deleted). */
static bool make_rows(hosted_world *world) {
    if (hosted_folds(world)) {
        return false;
    }
    run(world->db, "INSERT INTO kv VALUES (2, 'two'), (3, 'three'); DELETE FROM kv WHERE key = 2");
    expect(world->db, "SELECT count(*) FROM htt_outbox", "4");
    return true;
}

static void test_outbox__edited_rows_are_an_error(hosted_world *world) {
    static const char *const edits[] = {
        "UPDATE htt_outbox SET value = 'forged' WHERE key = 3",
        "UPDATE htt_outbox SET key = 4 WHERE key = 3",
        "UPDATE htt_outbox SET op = 3 WHERE key = 3",
        "UPDATE htt_outbox SET op = 9 WHERE key = 3",
        "UPDATE htt_outbox SET token = token + 1 WHERE key = 3",
        "UPDATE htt_outbox SET token = 'x' WHERE key = 1",
        "DELETE FROM htt_outbox WHERE key = 3",
        "DELETE FROM htt_outbox WHERE id = (SELECT min(id) FROM htt_outbox)",
        "INSERT INTO htt_outbox SELECT max(id) + 1, 1, 9, 'forged', 0 FROM htt_outbox",
        "INSERT INTO htt_outbox SELECT max(id) + 2, 1, 9, 'forged', 0 FROM htt_outbox",
    };
    if (!make_rows(world)) {
        return;
    }
    for (size_t i = 0; i < sizeof edits / sizeof edits[0]; i++) {
        edit(world, "CREATE TABLE kept AS SELECT * FROM htt_outbox");
        edit(world, edits[i]);
        /* Who has read the rows before may know them still. */
        char *const got = fixture_query(world->db, hosted_all);
        assert_true(strcmp(got, "1|one\n3|three") == 0 ||
                    (strncmp(got, "error 267", 9) == 0 && strstr(got, "htt_outbox") != NULL));
        sqlite3_free(got);
        sqlite3 *const other = hosted_open(world);
        expect_error(other, hosted_all, SQLITE_CORRUPT_VTAB, "htt_outbox");
        expect_error(other, "SELECT value FROM kv WHERE key = 1", SQLITE_CORRUPT_VTAB,
                     "htt_outbox");
        expect_error(other, "INSERT INTO kv VALUES (5, 'x')", SQLITE_CORRUPT_VTAB, "htt_outbox");
        hosted_close(other);
        edit(world, "DELETE FROM htt_outbox; INSERT INTO htt_outbox SELECT * FROM kept;"
                    "DROP TABLE kept");
        expect(world->db, hosted_all, "1|one\n3|three");
    }
    hosted_settle(world, "1|one\n3|three");
}

/* In one transaction with its own writes, too. */
static void test_outbox__rows_deleted_within_the_transaction(hosted_world *world) {
    sqlite3 *const db = world->db;
    if (!make_rows(world)) {
        return;
    }
    run(db, "BEGIN; INSERT INTO kv VALUES (5, 'x'), (6, 'x');"
            "DELETE FROM htt_outbox WHERE id = (SELECT max(id) FROM htt_outbox)");
    expect_error(db, "COMMIT", SQLITE_ERROR, "htt_outbox");
    if (!sqlite3_get_autocommit(db)) {
        run(db, "ROLLBACK");
    }
    hosted_settle(world, "1|one\n3|three");
}

static void test_outbox__damaged_root_is_an_error(hosted_world *world) {
    static const char *const edits[] = {
        "UPDATE htt_store SET root = zeroblob(length(root))",
        "UPDATE htt_store SET root = substr(root, 1, 20)",
        "UPDATE htt_store SET root = 'text'",
        "UPDATE htt_store SET root = root || x'00'",
        "UPDATE htt_store SET root = zeroblob(20) || substr(root, 21)",
    };
    for (size_t i = 0; i < sizeof edits / sizeof edits[0]; i++) {
        edit(world, "CREATE TABLE kept AS SELECT root FROM htt_store");
        edit(world, edits[i]);
        expect_error(world->db, hosted_all, SQLITE_CORRUPT_VTAB, "htt_store");
        expect_error(world->db, "INSERT INTO kv VALUES (5, 'x')", SQLITE_CORRUPT_VTAB, "htt_store");
        sqlite3 *const other = hosted_open(world);
        expect_error(other, "SELECT count(*) FROM kv", SQLITE_CORRUPT_VTAB, "htt_store");
        hosted_close(other);
        edit(world, "UPDATE htt_store SET root = (SELECT root FROM kept); DROP TABLE kept");
        expect(world->db, hosted_all, "1|one");
    }
    hosted_settle(world, "1|one");
}

static void test_outbox__row_of_the_store_that_is_gone(hosted_world *world) {
    edit(world, "CREATE TABLE kept AS SELECT * FROM htt_store; DELETE FROM htt_store");
    expect_error(world->db, hosted_all, SQLITE_ERROR, "htt_store has no row for 'kv.htt'");
    expect_error(world->db, "INSERT INTO kv VALUES (2, 'x')", SQLITE_ERROR,
                 "htt_store has no row for 'kv.htt'");
    edit(world, "INSERT INTO htt_store SELECT * FROM kept; UPDATE htt_store SET uuid = "
                "zeroblob(16)");
    char *const got = fixture_query(world->db, hosted_all);
    assert_true(strncmp(got, "error", 5) == 0 || strcmp(got, "1|one") == 0);
    sqlite3_free(got);
    sqlite3 *const other = hosted_open(world);
    expect_error(other, hosted_all, SQLITE_ERROR, "kv.htt");
    hosted_close(other);
    edit(world, "DELETE FROM htt_store; INSERT INTO htt_store SELECT * FROM kept; DROP TABLE kept");
    hosted_settle(world, "1|one");
}

int main(void) {
    static const hosted_scenario scenarios[] = {
        hosted_case(test_outbox__trigger_that_changes_more_is_noticed),
        hosted_case(test_outbox__trigger_that_swallows_rows_is_noticed),
        hosted_case(test_outbox__trigger_on_the_root_costs_no_row),
        hosted_case(test_outbox__authorizer_that_denies_leaves_nothing),
        hosted_case(test_outbox__edited_rows_are_an_error),
        hosted_case(test_outbox__rows_deleted_within_the_transaction),
        hosted_case(test_outbox__damaged_root_is_an_error),
        hosted_case(test_outbox__row_of_the_store_that_is_gone),
    };
    return hosted_run(scenarios, sizeof scenarios / sizeof scenarios[0]);
}
