/* SPDX-License-Identifier: MIT */
/*
 * Commits of hosted tables: the root and the rows of the outbox are in SQLite's own commit, however
 * that ends.
 */
#include "hosted_world.h"

static const char outbox_rows[] = "SELECT value FROM htt_stat('kv') WHERE name = 'outbox_rows'";

static void test_hosted__commit_is_that_of_the_database(hosted_world *world) {
    sqlite3 *const other = hosted_open(world);
    run(world->db, "CREATE TABLE t(x)");
    run(world->db, "BEGIN; INSERT INTO kv VALUES (2, 'two'); INSERT INTO t VALUES (1)");
    expect(other, hosted_all, "1|one");
    run(world->db, "COMMIT");
    expect(other, "SELECT (SELECT count(*) FROM kv), (SELECT count(*) FROM t)", "2|1");
    run(world->db, "BEGIN; DELETE FROM kv; INSERT INTO t VALUES (2); ROLLBACK");
    expect(other, "SELECT (SELECT count(*) FROM kv), (SELECT count(*) FROM t)", "2|1");
    hosted_close(other);
    expect(world->db, outbox_rows, hosted_folds(world) ? "0" : "2");
    hosted_settle(world, "1|one\n2|two");
}

/* xBegin, xSync and xCommit come for them, too. */
static void test_hosted__statements_that_change_nothing_write_nothing(hosted_world *world) {
    sqlite3 *const db = world->db;
    run(db, "CREATE TABLE t(x); CREATE TRIGGER tr AFTER INSERT ON t WHEN new.x > 5 BEGIN "
            "INSERT INTO kv VALUES (new.x, 'by trigger'); END");
    const char *const written = "SELECT hex(root), (SELECT max(id) FROM htt_outbox) FROM htt_store";
    char *const before = fixture_query(db, written);
    run(db, "DELETE FROM kv WHERE key = 99; UPDATE kv SET value = 'x' WHERE 0;"
            "INSERT INTO kv SELECT 1, 2 WHERE 0; INSERT OR IGNORE INTO kv VALUES (1, 'x');"
            "INSERT INTO t VALUES (1); BEGIN; DELETE FROM kv WHERE key = 99; COMMIT");
    expect(db, written, before);
    sqlite3_free(before);
    run(db, "INSERT INTO t VALUES (6)");
    hosted_settle(world, "1|one\n6|by trigger");
}

/* Another virtual table fails in its xSync: ours may have folded by then. */
static void test_hosted__what_another_table_refuses_is_undone(hosted_world *world) {
    sqlite3 *const db = world->db;
    int code = SQLITE_OK;
    hosted_add_refuser(db, &code);
    run(db, "BEGIN; INSERT INTO kv VALUES (2, 'two'); INSERT INTO refuser VALUES (1); COMMIT");
    code = SQLITE_ERROR;
    expect_error(db,
                 "BEGIN; INSERT INTO kv VALUES (3, 'x'); INSERT INTO refuser VALUES (1); COMMIT",
                 SQLITE_ERROR, "");
    assert_true(sqlite3_get_autocommit(db) != 0);
    expect(db, hosted_all, "1|one\n2|two");
    code = SQLITE_BUSY_SNAPSHOT; /* for SQLite no SQLITE_BUSY: everything is rolled back */
    expect_error(db,
                 "BEGIN; INSERT INTO kv VALUES (3, 'x'); INSERT INTO refuser VALUES (1); COMMIT",
                 SQLITE_BUSY_SNAPSHOT, "");
    assert_true(sqlite3_get_autocommit(db) != 0);
    run(db, "INSERT INTO kv VALUES (4, 'four')");
    expect(db, hosted_all, "1|one\n2|two\n4|four");
    code = SQLITE_BUSY;
    run(db, "BEGIN; INSERT INTO kv VALUES (5, 'five'); SAVEPOINT a; "
            "INSERT INTO kv VALUES (6, 'x'); INSERT INTO refuser VALUES (1)");
    expect_error(db, "COMMIT", SQLITE_BUSY, "");
    run(db, "INSERT INTO kv VALUES (7, 'x')");
    expect_error(db, "COMMIT", SQLITE_BUSY, "");
    expect(db, hosted_all, "1|one\n2|two\n4|four\n5|five\n6|x\n7|x");
    run(db, "ROLLBACK TO a");
    expect(db, hosted_all, "1|one\n2|two\n4|four\n5|five");
    run(db, "INSERT INTO kv VALUES (8, 'eight')");
    expect_error(db, "COMMIT", SQLITE_BUSY, "");
    code = SQLITE_OK;
    run(db, "COMMIT; DROP TABLE refuser");
    hosted_settle(world, "1|one\n2|two\n4|four\n5|five\n8|eight");
}

static void test_hosted__busy_commit_is_rolled_back(hosted_world *world) {
    sqlite3 *const db = world->db;
    int code = SQLITE_OK;
    hosted_add_refuser(db, &code);
    code = SQLITE_BUSY;
    run(db, "BEGIN; INSERT INTO kv VALUES (2, 'x'); INSERT INTO refuser VALUES (1)");
    expect_error(db, "COMMIT", SQLITE_BUSY, "");
    expect_error(db, "COMMIT", SQLITE_BUSY, "");
    run(db, "ROLLBACK");
    expect(db, hosted_all, "1|one");
    code = SQLITE_OK;
    run(db, "INSERT INTO kv VALUES (3, 'three'); DROP TABLE refuser");
    hosted_settle(world, "1|one\n3|three");
}

/* A reader in rollback mode: SQLite finds it after xSync. */
static void test_hosted__commit_that_finds_a_reader_is_tried_again(hosted_world *world) {
    sqlite3 *const db = world->db;
    sqlite3 *const other = hosted_open(world);
    if (hosted_is_wal(world)) {
        hosted_close(other);
        return; /* nobody waits for readers */
    }
    sqlite3_stmt *reader = hosted_reader(other);
    run(db, "BEGIN; INSERT INTO kv VALUES (2, 'two'); SAVEPOINT a; DELETE FROM kv WHERE key = 1");
    expect_error(db, "COMMIT", SQLITE_BUSY, "database is locked");
    run(db, "INSERT INTO kv VALUES (3, 'x'); SAVEPOINT b; INSERT INTO kv VALUES (4, 'x')");
    expect_error(db, "COMMIT", SQLITE_BUSY, "database is locked");
    run(db, "ROLLBACK TO b");
    expect(db, hosted_all, "2|two\n3|x");
    expect_error(db, "COMMIT", SQLITE_BUSY, "database is locked");
    run(db, "ROLLBACK TO a; INSERT INTO kv VALUES (5, 'five')");
    expect(db, hosted_all, "1|one\n2|two\n5|five");
    expect(other, hosted_all, "1|one");
    sqlite3_finalize(reader);
    run(db, "COMMIT");
    expect(other, hosted_all, "1|one\n2|two\n5|five");
    reader = hosted_reader(other);
    expect_error(db, "INSERT INTO kv VALUES (6, 'x')", SQLITE_BUSY, "database is locked");
    assert_true(sqlite3_get_autocommit(db) != 0);
    expect(db, hosted_all, "1|one\n2|two\n5|five");
    run(db, "BEGIN; INSERT INTO kv VALUES (7, 'x')");
    expect_error(db, "COMMIT", SQLITE_BUSY, "database is locked");
    run(db, "ROLLBACK");
    sqlite3_finalize(reader);
    hosted_close(other);
    hosted_settle(world, "1|one\n2|two\n5|five");
}

/* RELEASE of the outermost savepoint fails: everything is undone, the savepoint is still there. */
static void test_hosted__release_that_fails_can_be_gone_on_from(hosted_world *world) {
    sqlite3 *const db = world->db;
    int code = SQLITE_OK;
    hosted_add_refuser(db, &code);
    code = SQLITE_ERROR;
    run(db, "SAVEPOINT a; INSERT INTO kv VALUES (2, 'x'); INSERT INTO refuser VALUES (1)");
    expect_error(db, "RELEASE a", SQLITE_ERROR, "");
    expect(db, hosted_all, "1|one");
    code = SQLITE_OK;
    run(db, "INSERT INTO kv VALUES (3, 'three')");
    expect(db, hosted_all, "1|one\n3|three");
    (void)sqlite3_exec(db, "RELEASE a", NULL, NULL, NULL);
    if (!sqlite3_get_autocommit(db)) {
        run(db, "COMMIT");
    }
    run(db, "DROP TABLE refuser");
    hosted_settle(world, "1|one\n3|three");
}

static int veto(void *arg) {
    (void)arg;
    return 1;
}

static void test_hosted__vetoed_commit_leaves_nothing(hosted_world *world) {
    sqlite3 *const db = world->db;
    sqlite3_commit_hook(db, veto, NULL);
    expect_error(db, "INSERT INTO kv VALUES (2, 'x')", SQLITE_CONSTRAINT_COMMITHOOK, "");
    expect_error(db, "BEGIN; DELETE FROM kv; COMMIT", SQLITE_CONSTRAINT_COMMITHOOK, "");
    sqlite3_commit_hook(db, NULL, NULL);
    expect(db, hosted_all, "1|one");
    run(db, "INSERT INTO kv VALUES (3, 'three')");
    hosted_settle(world, "1|one\n3|three");
}

/* A deferred foreign key stops COMMIT before xSync; the transaction goes on. */
static void test_hosted__commit_with_a_foreign_key_amiss_goes_on(hosted_world *world) {
    sqlite3 *const db = world->db;
    run(db, "PRAGMA foreign_keys = ON; CREATE TABLE p(id INTEGER PRIMARY KEY);"
            "CREATE TABLE c(p REFERENCES p(id) DEFERRABLE INITIALLY DEFERRED)");
    run(db, "BEGIN; INSERT INTO c VALUES (1); INSERT INTO kv VALUES (2, 'two')");
    expect_error(db, "COMMIT", SQLITE_CONSTRAINT_FOREIGNKEY, "FOREIGN KEY");
    run(db, "INSERT INTO kv VALUES (3, 'three'); INSERT INTO p VALUES (1); COMMIT");
    hosted_settle(world, "1|one\n2|two\n3|three");
}

/* total_changes() counts rows of the outbox, too: nothing can set it back. */
static void test_hosted__counters_are_those_of_an_ordinary_table(hosted_world *world) {
    sqlite3 *const db = world->db;
    run(db, "CREATE TABLE t(x); INSERT INTO t(rowid, x) VALUES (42, 1)");
    run(db, "INSERT INTO kv VALUES (2, 'a'), (3, 'b'), (4, 'c')");
    assert_int_equal(sqlite3_changes(db), 3);
    run(db, "UPDATE kv SET value = 'x' WHERE key > 1");
    assert_int_equal(sqlite3_changes(db), 3);
    run(db, "UPDATE kv SET key = 9 WHERE key = 2");
    assert_int_equal(sqlite3_changes(db), 1);
    run(db, "INSERT OR REPLACE INTO kv VALUES (9, 'y')");
    assert_int_equal(sqlite3_changes(db), 1);
    run(db, "BEGIN; DELETE FROM kv WHERE key IN (3, 4)");
    assert_int_equal(sqlite3_changes(db), 2);
    run(db, "COMMIT"); /* folds, and is no change of the user's */
    assert_int_equal(sqlite3_changes(db), 2);
    assert_int_equal(sqlite3_last_insert_rowid(db), 42);
    run(db, "DROP TABLE kv; BEGIN");
    hosted_make(world, db, "kv", "kv.htt");
    run(db, "INSERT INTO kv VALUES (5, 'five'); COMMIT");
    assert_int_equal(sqlite3_last_insert_rowid(db), 42);
    hosted_settle(world, "1|one\n5|five\n9|y");
}

static void test_hosted__only_one_connection_writes(hosted_world *world) {
    sqlite3 *const db = world->db;
    sqlite3 *const other = hosted_open(world);
    run(db, "BEGIN; INSERT INTO kv VALUES (2, 'two')");
    expect_error(other, "INSERT INTO kv VALUES (3, 'x')", SQLITE_BUSY, "database is locked");
    expect(other, hosted_all, "1|one");
    run(db, "COMMIT");
    run(other, "BEGIN; UPDATE kv SET value = 'deux' WHERE key = 2");
    expect_error(db, "DELETE FROM kv", SQLITE_BUSY, "database is locked");
    run(other, "COMMIT");
    if (hosted_is_wal(world)) { /* who read before another one's commit cannot write */
        run(db, "BEGIN");
        expect(db, hosted_all, "1|one\n2|deux");
        run(other, "INSERT INTO kv VALUES (4, 'four')");
        expect_error(db, "INSERT INTO kv VALUES (5, 'x')", SQLITE_BUSY_SNAPSHOT, "");
        expect(db, hosted_all, "1|one\n2|deux");
        run(db, "COMMIT; DELETE FROM kv WHERE key = 4");
    }
    run(db, "PRAGMA query_only = ON");
    expect_error(db, "INSERT INTO kv VALUES (5, 'x')", SQLITE_READONLY, "");
    hosted_close(other);
    hosted_settle(world, "1|one\n2|deux");
}

/*
 * In WAL mode a refused commit may come back as long as no other has followed: the next one says
 * that it is dead, and the one after that folds. In rollback modes it is known to be dead.
 */
static void test_hosted__doubtful_fold_is_acknowledged_before_the_next(hosted_world *world) {
    sqlite3 *const db = world->db;
    if (!hosted_folds(world)) {
        return;
    }
    sqlite3_commit_hook(db, veto, NULL);
    expect_error(db, "INSERT INTO kv VALUES (2, 'x')", SQLITE_CONSTRAINT_COMMITHOOK, "");
    sqlite3_commit_hook(db, NULL, NULL);
    run(db, "INSERT INTO kv VALUES (3, 'three')");
    expect(db, outbox_rows, hosted_is_wal(world) ? "1" : "0");
    expect(db, "SELECT acked <> 0 FROM htt_store", hosted_is_wal(world) ? "1" : "0");
    run(db, "INSERT INTO kv VALUES (4, 'four')");
    expect(db, outbox_rows, "0");
    hosted_settle(world, "1|one\n3|three\n4|four");
}

/* What is in pages leaves the outbox, but for the newest row: it knows the next number. */
static void test_hosted__folded_rows_are_trimmed(hosted_world *world) {
    sqlite3 *const db = world->db;
    for (int i = 0; i < 8; i++) {
        run(db, "INSERT OR REPLACE INTO kv VALUES (2, 'two'), (3, 'three'); SELECT htt_fold('kv')");
    }
    expect(db, outbox_rows, "0");
    run(db, "INSERT OR REPLACE INTO kv VALUES (4, 'four')");
    expect(db, "SELECT count(*) <= 2 FROM htt_outbox", "1");
    run(db, "DROP TABLE kv");
    expect(db, "SELECT count(*) FROM htt_outbox", "0");
    hosted_make(world, db, "kv", "kv.htt");
    hosted_settle(world, "1|one\n2|two\n3|three\n4|four");
}

static void test_hosted__closing_rolls_back(hosted_world *world) {
    run(world->db, "BEGIN; INSERT INTO kv VALUES (2, 'x'); SAVEPOINT a; DELETE FROM kv");
    world->db = fixture_reopen(&world->fixture);
    hosted_settle(world, "1|one");
}

/* Locks that are never given back: xCommit and xRollback run under them, too. */
static void test_hosted__exclusive_locking_mode(hosted_world *world) {
    sqlite3 *db = world->db;
    run(db, "PRAGMA locking_mode = exclusive; INSERT INTO kv VALUES (2, 'two');"
            "BEGIN; DELETE FROM kv; ROLLBACK; SELECT htt_fold('kv'); INSERT INTO kv VALUES (3, 3)");
    expect(db, hosted_all, "1|one\n2|two\n3|3");
    db = world->db = fixture_reopen(&world->fixture);
    run(db, "PRAGMA locking_mode = exclusive; UPDATE kv SET value = 'three' WHERE key = 3;"
            "PRAGMA locking_mode = normal");
    hosted_settle(world, "1|one\n2|two\n3|three");
}

/* The database is made smaller, copied into itself and synced less between transactions. */
static void test_hosted__checkpoints_and_levels_of_synchronous(hosted_world *world) {
    sqlite3 *const db = world->db;
    sqlite3 *const other = hosted_open(world);
    static const char *const levels[] = {"OFF", "NORMAL", "FULL", "EXTRA"};
    for (size_t i = 0; i < sizeof levels / sizeof levels[0]; i++) {
        char *const sql = sqlite3_mprintf("PRAGMA synchronous = %s", levels[i]);
        run(db, sql);
        sqlite3_free(sql);
        run(db, "INSERT OR REPLACE INTO kv VALUES (2, 'two'); DELETE FROM kv WHERE key = 3;"
                "PRAGMA wal_checkpoint(TRUNCATE)");
        run(other, "INSERT INTO kv VALUES (3, 'three'); PRAGMA wal_checkpoint(RESTART)");
        expect(db, hosted_all, "1|one\n2|two\n3|three");
    }
    hosted_close(other);
    hosted_settle(world, "1|one\n2|two\n3|three");
}

/* Journals that cannot be relied on, and a journal mode that changes between two transactions. */
static void test_hosted__journal_modes(hosted_world *world) {
    sqlite3 *const db = world->db;
    static const char *const modes[] = {"wal", "delete", "persist", "truncate", "wal"};
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        char *const sql = sqlite3_mprintf("PRAGMA journal_mode = %s", modes[i]);
        expect(db, sql, modes[i]);
        sqlite3_free(sql);
        run(db, "INSERT OR REPLACE INTO kv VALUES (2, 'two')");
    }
    run(db, "PRAGMA journal_mode = delete; PRAGMA journal_mode = memory");
    expect_error(db, "INSERT INTO kv VALUES (3, 'x')", SQLITE_ERROR, "journal_mode");
    run(db, "PRAGMA journal_mode = off");
    expect_error(db, "INSERT INTO kv VALUES (3, 'x')", SQLITE_ERROR, "journal_mode");
    expect(db, hosted_all, "1|one\n2|two"); /* reading needs no journal */
    run(db, "PRAGMA journal_mode = delete; INSERT INTO kv VALUES (4, 'four')");
    expect_error(db, "CREATE VIRTUAL TABLE temp.kt USING htt('kt.htt')", SQLITE_ERROR,
                 "an htt table cannot be in temp");
    hosted_settle(world, "1|one\n2|two\n4|four");
}

int main(void) {
    static const hosted_scenario scenarios[] = {
        hosted_case(test_hosted__commit_is_that_of_the_database),
        hosted_case(test_hosted__statements_that_change_nothing_write_nothing),
        hosted_case(test_hosted__what_another_table_refuses_is_undone),
        hosted_case(test_hosted__busy_commit_is_rolled_back),
        hosted_case(test_hosted__commit_that_finds_a_reader_is_tried_again),
        hosted_case(test_hosted__release_that_fails_can_be_gone_on_from),
        hosted_case(test_hosted__vetoed_commit_leaves_nothing),
        hosted_case(test_hosted__commit_with_a_foreign_key_amiss_goes_on),
        hosted_case(test_hosted__counters_are_those_of_an_ordinary_table),
        hosted_case(test_hosted__only_one_connection_writes),
        hosted_case(test_hosted__doubtful_fold_is_acknowledged_before_the_next),
        hosted_case(test_hosted__folded_rows_are_trimmed),
        hosted_case(test_hosted__closing_rolls_back),
        hosted_case(test_hosted__exclusive_locking_mode),
        hosted_case(test_hosted__checkpoints_and_levels_of_synchronous),
        hosted_case(test_hosted__journal_modes),
    };
    return hosted_run(scenarios, sizeof scenarios / sizeof scenarios[0]);
}
