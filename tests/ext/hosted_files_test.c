/* SPDX-License-Identifier: MIT */
/*
 * Hosted files as a whole: vacuum, backup, what is left by a DROP, htt_gc, and what a program that
 * has no SQLite can do with the file.
 */
#include "world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/htt.h"

static long long files_size(world *w, const char *name) {
    struct stat info;
    assert_int_equal(stat(world_path(w, name), &info), 0);
    return (long long)info.st_size;
}

/* ------------------------------------------------------------------- vacuum */

#define MANY                                                                                       \
    "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 20000) "

static void files_vacuum(world *w) {
    sqlite3 *db = world_make(w);
    run(db, "BEGIN;" MANY "INSERT INTO kv SELECT 'key ' || i, zeroblob(200) FROM c; COMMIT;"
            "SELECT htt_fold('kv'); DELETE FROM kv WHERE key > ''; SELECT htt_fold('kv')");
    const long long before = files_size(w, "kv.htt");
    char *const won = fixture_query(db, "SELECT htt_vacuum('kv')");
    const long long after = files_size(w, "kv.htt");
    assert_true(before > 4000000);
    assert_true(after < before / 4);
    assert_int_equal(atoll(won), before - after);
    sqlite3_free(won);
    agree(db);
    expect(db, "SELECT htt_vacuum('kv') < 100000", "1"); /* what the last one could not reach */
    expect(db, "SELECT htt_vacuum('kv')", "0");
    world_write(w, db);
    agree(db);
    world_close(db);
    db = world_open(w, "app.db");
    agree(db);
    world_close(db);
}

static void test_hosted_vacuum__gives_space_back_by_folds(void **state) {
    (void)state;
    world_each(files_vacuum);
}

/* A reader's snapshot stays right, and what it needs is not cut off. */
static void files_vacuum_beside_a_reader(world *w) {
    sqlite3 *const db = world_make(w);
    if (strcmp(w->mode, "wal") != 0) { /* a reader keeps everybody from committing */
        world_close(db);
        return;
    }
    run(db, MANY "INSERT INTO kv SELECT 'key ' || i, zeroblob(200) FROM c; SELECT htt_fold('kv')");
    sqlite3 *const reader = world_open(w, "app.db");
    sqlite3_stmt *rows;
    assert_int_equal(sqlite3_prepare_v2(reader, "SELECT key FROM kv", -1, &rows, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(rows), SQLITE_ROW);
    run(db, "DELETE FROM kv WHERE key > ''; SELECT htt_fold('kv'); SELECT htt_vacuum('kv')");
    int count = 1;
    while (sqlite3_step(rows) == SQLITE_ROW) {
        count++;
    }
    assert_int_equal(sqlite3_finalize(rows), SQLITE_OK);
    assert_int_equal(count, 20100);
    expect(db, "SELECT htt_vacuum('kv') > 2000000", "1");
    agree(db);
    agree(reader);
    world_close(reader);
    world_close(db);
}

static void test_hosted_vacuum__beside_a_reader(void **state) {
    (void)state;
    world_each(files_vacuum_beside_a_reader);
}

static void files_vacuum_refused(world *w) {
    sqlite3 *const db = world_make(w);
    run(db, "BEGIN; INSERT INTO kv VALUES ('more', 1)");
    expect_error(db, "SELECT htt_vacuum('kv')", SQLITE_ERROR, "commit first");
    run(db, "ROLLBACK; BEGIN");
    expect_error(db, "SELECT htt_vacuum('kv')", SQLITE_ERROR, "commit first");
    run(db, "ROLLBACK");
    sqlite3 *const other = world_open(w, "app.db");
    run(other, "BEGIN IMMEDIATE");
    expect_error(db, "SELECT htt_vacuum('kv')", SQLITE_BUSY, "locked");
    run(other, "ROLLBACK");
    run(db, "SELECT htt_vacuum('kv')");
    agree(db);
    world_close(other);
    world_close(db);
}

static void test_hosted_vacuum__not_in_a_transaction(void **state) {
    (void)state;
    world_each(files_vacuum_refused);
}

/* ------------------------------------------------------------------- backup */

static void files_backup(world *w) {
    sqlite3 *const db = world_make(w);
    run(db, "INSERT INTO kv VALUES ('outbox', 1); DELETE FROM kv WHERE key = 5;"
            "BEGIN; INSERT INTO kv VALUES ('mine', 2)");
    expect(db, "SELECT htt_backup('kv', 'copy.htt')", "101");
    run(db, "ROLLBACK");
    expect(db, "SELECT htt_backup('kv', 'later.htt')", "100");
    expect_error(db, "SELECT htt_backup('kv', 'later.htt')", SQLITE_ERROR, "later.htt");
    assert_int_not_equal(access(world_path(w, "copy.htt-part"), F_OK), 0);
    assert_int_not_equal(access(world_path(w, "copy.htt-part-lock"), F_OK), 0);
    run(db, "CREATE VIRTUAL TABLE copy USING htt('copy.htt');"
            "CREATE VIRTUAL TABLE later USING htt('later.htt')");
    expect(db, "SELECT * FROM copy EXCEPT SELECT * FROM kv", "mine|2");
    expect(db, "SELECT * FROM kv EXCEPT SELECT * FROM copy", "");
    expect(db, "SELECT * FROM later EXCEPT SELECT * FROM kv", "");
    expect(db, "SELECT count(*) FROM later", "100");
    expect(db, "SELECT problem FROM htt_check('copy')", "ok");
    world_close(db);
}

static void test_hosted_backup__holds_what_the_statement_sees(void **state) {
    (void)state;
    world_each(files_backup);
}

/* --------------------------------------------------------------------- alone */

static htt_store *files_open(world *w, const char *name) {
    htt_options options;
    htt_store *store = NULL;
    htt_error error;
    htt_options_init(&options);
    options.flags = 0;
    const htt_rc rc = htt_open(world_path(w, name), &options, &store, &error);
    if (rc != HTT_OK) {
        print_error("%s: %s\n", name, error.text);
    }
    assert_int_equal(rc, HTT_OK);
    return store;
}

static uint64_t files_count(htt_store *store) {
    htt_txn *txn;
    uint64_t count = 0;
    uint64_t problems = 1;
    assert_int_equal(htt_begin(store, HTT_READ, &txn), HTT_OK);
    assert_int_equal(htt_count(txn, &count), HTT_OK);
    assert_int_equal(htt_check(txn, HTT_CHECK_DEEP, NULL, NULL, &problems), HTT_OK);
    assert_int_equal(problems, 0);
    htt_abort(txn);
    return count;
}

static void files_alone(world *w) {
    htt_info info;
    htt_txn *txn;
    sqlite3 *const db = world_make(w);
    htt_store *store = files_open(w, "kv.htt");
    htt_store_info(store, &info);
    assert_string_equal(info.owner, "app.db");
    assert_true(files_count(store) <= 100); /* the last durable fold */
    assert_int_equal(htt_begin(store, HTT_WRITE, &txn), HTT_READONLY);
    assert_non_null(strstr(htt_errmsg(store), "app.db"));
    assert_int_equal(htt_put_int(store, "k", 1), HTT_READONLY);
    uint64_t before;
    uint64_t after;
    assert_int_equal(htt_vacuum(store, &before, &after), HTT_READONLY);
    htt_close(store);
    agree(db);
    world_close(db);
    store = files_open(w, "kv.htt");
    if (w->fold) { /* the last one to leave */
        assert_int_equal(files_count(store), 100);
    }
    assert_int_equal(htt_put_int(store, "k", 1), HTT_READONLY);
    htt_close(store);
}

static void test_hosted_alone__a_hosted_file_can_only_be_read(void **state) {
    (void)state;
    world_each(files_alone);
}

static void files_expect_owner(world *w, const char *owner) {
    htt_info info;
    htt_store *const store = files_open(w, "own.htt");
    htt_store_info(store, &info);
    assert_string_equal(info.owner, owner);
    assert_int_equal(htt_put_int(store, "from C", 7), owner[0] == '\0' ? HTT_OK : HTT_READONLY);
    htt_close(store);
}

/* A file that a program has made is this database's by the CREATE, if that lasts. */
static void files_take(world *w) {
    static const char *const undone[] = {
        "BEGIN; CREATE VIRTUAL TABLE own USING htt('own.htt'); ROLLBACK",
        "BEGIN; CREATE VIRTUAL TABLE own USING htt('own.htt'); INSERT INTO own VALUES (1, 1);"
        "ROLLBACK",
        "BEGIN; CREATE VIRTUAL TABLE own USING htt('own.htt', fold_rows=1);" MANY
        "INSERT INTO own SELECT i, i FROM c; ROLLBACK",
        "BEGIN; SAVEPOINT s; CREATE VIRTUAL TABLE own USING htt('own.htt'); ROLLBACK TO s; COMMIT",
        "BEGIN; CREATE VIRTUAL TABLE own USING htt('own.htt'); DROP TABLE own; COMMIT",
        "BEGIN; CREATE VIRTUAL TABLE own USING htt('own.htt'); DROP TABLE own; ROLLBACK",
        "CREATE VIRTUAL TABLE own USING htt('own.htt'); INSERT INTO own VALUES (2, 2);"
        "DELETE FROM own WHERE key = 2; DROP TABLE own",
    };
    htt_store *store = NULL;
    assert_int_equal(htt_open(world_path(w, "own.htt"), NULL, &store, NULL), HTT_OK);
    assert_int_equal(htt_put_int(store, "one", 1), HTT_OK);
    htt_close(store);
    sqlite3 *const db = world_make(w);
    for (size_t i = 0; i < sizeof undone / sizeof undone[0]; i++) {
        run(db, undone[i]);
        files_expect_owner(w, "");
    }
    run(db, "CREATE VIRTUAL TABLE own USING htt('own.htt')");
    files_expect_owner(w, "app.db");
    expect(db, "SELECT key, value FROM own ORDER BY key", "from C|7\none|1");
    expect(db, "SELECT count(*) FROM htt_store WHERE root IS NULL", "0");
    expect(db, "SELECT problem FROM htt_check('own')", "ok");
    world_close(db);
}

static void test_hosted_alone__a_file_is_taken_by_create_and_given_back_by_rollback(void **state) {
    (void)state;
    world_each(files_take);
}

static void files_drop(world *w) {
    int64_t value = 0;
    sqlite3 *db = world_make(w);
    run(db, "INSERT INTO kv VALUES ('last', 1); DROP TABLE kv");
    htt_store *store = files_open(w, "kv.htt");
    htt_info info;
    htt_store_info(store, &info);
    assert_string_equal(info.owner, "");
    assert_int_equal(files_count(store), 101);
    assert_int_equal(htt_put_int(store, "from C", 7), HTT_OK);
    assert_int_equal(htt_get_int(store, "last", &value), HTT_OK);
    assert_int_equal(value, 1);
    htt_close(store);
    world_close(db);
    assert_int_equal(rename(world_path(w, "kv.htt"), world_path(w, "moved.htt")), 0);
    store = files_open(w, "moved.htt");
    assert_int_equal(files_count(store), 102);
    htt_close(store);
    db = world_open(w, "app.db");
    run(db, "CREATE VIRTUAL TABLE kv USING htt('moved.htt')");
    expect(db, "SELECT * FROM kv WHERE key = 'from C'", "from C|7");
    run(db, "DELETE FROM kv WHERE typeof(key) = 'text'");
    agree(db);
    world_write(w, db);
    agree(db);
    world_close(db);
}

static void test_hosted_drop__leaves_a_file_with_everything_that_stands_alone(void **state) {
    (void)state;
    world_each(files_drop);
}

/* ------------------------------------------------------------------------ gc */

/* As a process leaves it that dies between the commit of a DROP and the release of the file. */
static void files_die_after_drop(world *w) {
    sqlite3 *const db = world_make(w);
    run(db, "SELECT htt_fold('kv'); PRAGMA writable_schema = on;"
            "UPDATE htt_store SET state = 'dropped'; DELETE FROM htt_outbox;"
            "DELETE FROM sqlite_schema WHERE name = 'kv'");
    run(db, "PRAGMA writable_schema = off");
    world_close(db);
}

static void files_gc(world *w) {
    files_die_after_drop(w);
    htt_store *store = files_open(w, "kv.htt");
    assert_int_equal(htt_put_int(store, "k", 1), HTT_READONLY);
    htt_close(store);
    sqlite3 *const db = world_open(w, "app.db");
    run(db, "INSERT INTO htt_consumer SELECT 'reader', id, 0 FROM htt_store; BEGIN");
    expect_error(db, "SELECT htt_gc()", SQLITE_ERROR, "commit first");
    run(db, "ROLLBACK");
    expect_error(db, "SELECT htt_gc('nowhere')", SQLITE_ERROR, "nowhere");
    expect(db, "SELECT htt_gc()", "1");
    expect(db, "SELECT (SELECT count(*) FROM htt_store), (SELECT count(*) FROM htt_outbox), "
               "(SELECT count(*) FROM htt_consumer)",
           "0|0|0");
    expect(db, "SELECT htt_gc('main')", "0");
    store = files_open(w, "kv.htt");
    assert_int_equal(htt_put_int(store, "k", 1), HTT_OK);
    assert_int_equal(files_count(store), 101);
    htt_close(store);
    world_close(db);
}

static void test_hosted_gc__releases_what_a_drop_left(void **state) {
    (void)state;
    world_each(files_gc);
}

static void files_gc_others(world *w) {
    files_die_after_drop(w);
    sqlite3 *db = world_open(w, "app.db");
    expect(db, "SELECT htt_gc()", "1"); /* released: others may take it */
    world_close(db);
    world_remove(w, "kv.htt");
    world_remove(w, "app.db");
    files_die_after_drop(w);
    world_remove(w, "kv.htt"); /* lost */
    db = world_open(w, "app.db");
    expect(db, "SELECT htt_gc()", "1");
    expect(db, "SELECT count(*) FROM htt_store", "0");
    world_close(db);
    world_remove(w, "app.db");
    files_die_after_drop(w);
    world_copy(w, "app.db", "copy.db"); /* the file is not the copy's to release */
    db = world_open(w, "copy.db");
    expect(db, "SELECT htt_gc()", "1");
    world_close(db);
    htt_store *const store = files_open(w, "kv.htt");
    assert_int_equal(htt_put_int(store, "k", 1), HTT_READONLY);
    htt_close(store);
}

static void test_hosted_gc__files_that_are_gone_or_of_others(void **state) {
    (void)state;
    world_each(files_gc_others);
}

static int files_veto(void *unused) {
    (void)unused;
    return 1;
}

/* A fold whose commit was refused may come back by a recovery: no pages are written until a commit
 * has declared it dead. So the DROP leaves the rows where they are. */
static void test_hosted_gc__rows_of_a_drop_in_doubt_are_not_lost(void **state) {
    sqlite3 *const db = fixture_db(state);
    run(db, "PRAGMA journal_mode = wal; CREATE VIRTUAL TABLE kv USING htt('kv.htt');"
            "INSERT INTO kv VALUES (1, 'one'), (2, 'two')");
    (void)sqlite3_commit_hook(db, files_veto, NULL);
    expect_error(db, "SELECT htt_fold('kv')", SQLITE_CONSTRAINT_COMMITHOOK, "");
    (void)sqlite3_commit_hook(db, NULL, NULL);
    run(db, "DROP TABLE kv");
    expect(db, "SELECT state FROM htt_store", "dropped");
    expect_error(db, "SELECT htt_gc()", SQLITE_ERROR, "CREATE its table again");
    run(db, "CREATE VIRTUAL TABLE kv USING htt('kv.htt')");
    expect(db, "SELECT * FROM kv ORDER BY key", "1|one\n2|two");
    run(db, "DROP TABLE kv");
    expect(db, "SELECT htt_gc()", "1");
    run(db, "CREATE VIRTUAL TABLE kv USING htt('kv.htt')");
    expect(db, "SELECT * FROM kv ORDER BY key", "1|one\n2|two");
}

static void test_hosted_gc__database_without_htt_tables(void **state) {
    sqlite3 *const db = fixture_db(state);
    expect(db, "SELECT htt_gc()", "0");
    sqlite3 *const memory = fixture_open(state, ":memory:");
    expect(memory, "SELECT htt_gc()", "0");
    assert_int_equal(sqlite3_close(memory), SQLITE_OK);
    run(db, "CREATE VIEW v AS SELECT htt_gc(); CREATE VIEW a AS SELECT htt_adopt('kv')");
    expect_error(db, "SELECT * FROM v", SQLITE_ERROR, "unsafe use of htt_gc");
    expect_error(db, "SELECT * FROM a", SQLITE_ERROR, "unsafe use of htt_adopt");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hosted_vacuum__gives_space_back_by_folds),
        cmocka_unit_test(test_hosted_vacuum__beside_a_reader),
        cmocka_unit_test(test_hosted_vacuum__not_in_a_transaction),
        cmocka_unit_test(test_hosted_backup__holds_what_the_statement_sees),
        cmocka_unit_test(test_hosted_alone__a_hosted_file_can_only_be_read),
        cmocka_unit_test(test_hosted_alone__a_file_is_taken_by_create_and_given_back_by_rollback),
        cmocka_unit_test(test_hosted_drop__leaves_a_file_with_everything_that_stands_alone),
        cmocka_unit_test(test_hosted_gc__releases_what_a_drop_left),
        cmocka_unit_test(test_hosted_gc__files_that_are_gone_or_of_others),
        fixture_test(test_hosted_gc__rows_of_a_drop_in_doubt_are_not_lost),
        fixture_test(test_hosted_gc__database_without_htt_tables),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
