/* SPDX-License-Identifier: MIT */
/*
 * Databases and htt files that were copied, moved, restored and mixed up: each case works with the
 * right rows, or fails with an error that names both files and says what to do; and what it says
 * helps. docs/operations.md has the table.
 */
#include "world.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TOUCH "UPDATE kv SET value = value WHERE key = 1"

/* Both tables are what kv says, which may be another state than twin's. */
static void restore_follow(sqlite3 *db) {
    run(db, "DELETE FROM twin; INSERT INTO twin SELECT key, value FROM kv");
}

static void restore_works(world *w, sqlite3 *db) {
    agree(db);
    world_write(w, db);
    agree(db);
}

/* ------------------------------------------------------- one of both is older */

static void restore_older_database(world *w) {
    sqlite3 *db = world_make(w);
    world_close(db);
    world_copy(w, "app.db", "saved.db");
    db = world_open(w, "app.db");
    for (int i = 0; i < 4; i++) {
        world_write(w, db);
    }
    world_close(db);
    world_copy(w, "saved.db", "app.db");
    db = world_open(w, "app.db");
    if (!w->fold) { /* no page was written: the database has everything */
        restore_works(w, db);
        world_close(db);
        return;
    }
    agree_or(db, "begin a new transaction", "htt_adopt");
    expect_error(db, TOUCH, SQLITE_ERROR, "older than");
    expect_error(db, TOUCH, SQLITE_ERROR, "app.db");
    expect_error(db, TOUCH, SQLITE_ERROR, "kv.htt");
    expect_error(db, TOUCH, SQLITE_ERROR, "htt_adopt");
    expect(db, "SELECT count(*) > 0 FROM htt_check('kv') WHERE problem LIKE '%older than%'", "1");
    expect(db, "SELECT htt_adopt('kv')", "100");
    restore_follow(db);
    restore_works(w, db);
    world_close(db);
}

static void test_restore__older_database_with_newer_file(void **state) {
    (void)state;
    world_each(restore_older_database);
}

static void restore_older_file(world *w) {
    sqlite3 *db = world_make(w);
    world_close(db);
    world_copy(w, "kv.htt", "saved.htt");
    db = world_open(w, "app.db");
    for (int i = 0; i < 4; i++) {
        world_write(w, db);
    }
    world_close(db);
    world_copy(w, "saved.htt", "kv.htt");
    db = world_open(w, "app.db");
    if (!w->fold) {
        restore_works(w, db);
        world_close(db);
        return;
    }
    expect_error(db, "SELECT * FROM kv", SQLITE_CORRUPT_VTAB, "kv.htt");
    expect_error(db, "SELECT * FROM kv", SQLITE_CORRUPT_VTAB, "app.db");
    expect_error(db, TOUCH, SQLITE_ERROR, "is older than the database");
    expect_error(db, TOUCH, SQLITE_ERROR, "htt_adopt");
    expect(db, "SELECT count(*) FROM htt_check('kv') WHERE problem LIKE '%older than%'", "1");
    expect(db, "SELECT htt_adopt('kv')", "100");
    restore_follow(db);
    restore_works(w, db);
    world_close(db);
}

static void test_restore__newer_database_with_older_file(void **state) {
    (void)state;
    world_each(restore_older_file);
}

static void restore_both(world *w) {
    sqlite3 *db = world_make(w);
    world_close(db);
    world_copy(w, "app.db", "saved.db");
    world_copy(w, "kv.htt", "saved.htt");
    db = world_open(w, "app.db");
    for (int i = 0; i < 3; i++) {
        world_write(w, db);
    }
    world_close(db);
    world_copy(w, "saved.db", "app.db");
    world_copy(w, "saved.htt", "kv.htt");
    db = world_open(w, "app.db");
    restore_works(w, db);
    world_close(db);
}

static void test_restore__both_restored_together_work(void **state) {
    (void)state;
    world_each(restore_both);
}

/* A backup by htt_backup in place of a file that is lost. */
static void restore_backup(world *w) {
    sqlite3 *db = world_make(w);
    expect(db, "SELECT htt_backup('kv', 'safe.htt')", "100");
    world_close(db);
    world_remove(w, "kv.htt");
    world_move(w, "safe.htt", "kv.htt");
    db = world_open(w, "app.db");
    expect_error(db, "SELECT * FROM kv", SQLITE_ERROR, "kv.htt");
    expect(db, "SELECT htt_adopt('kv')", "100");
    restore_works(w, db);
    world_close(db);
    db = world_open(w, "app.db");
    restore_works(w, db);
    world_close(db);
}

static void test_restore__file_lost_and_replaced_by_a_backup(void **state) {
    (void)state;
    world_each(restore_backup);
}

/* ------------------------------------------------------------- two databases */

static void restore_copied_database(world *w) {
    sqlite3 *db = world_make(w);
    world_close(db);
    world_copy(w, "app.db", "copy.db");
    sqlite3 *const copy = world_open(w, "copy.db");
    db = world_open(w, "app.db");
    expect(copy, "SELECT count(*) FROM kv JOIN twin USING (key, value)", "100");
    expect_error(copy, TOUCH, SQLITE_ERROR, "belongs to the database 'app.db'");
    expect_error(copy, TOUCH, SQLITE_ERROR, "kv.htt");
    expect_error(copy, TOUCH, SQLITE_ERROR, "htt_adopt");
    expect(copy, "SELECT count(*) FROM htt_check('kv') WHERE problem LIKE '%belongs to%app.db%'",
           "1");
    restore_works(w, db);
    expect(copy, "SELECT htt_adopt('kv', 'copy.htt')", "100");
    restore_works(w, copy);
    restore_works(w, db);
    world_close(copy);
    sqlite3 *const again = world_open(w, "copy.db");
    expect(again, "SELECT file FROM htt_store", "copy.htt");
    restore_works(w, again);
    restore_works(w, db);
    world_close(again);
    world_close(db);
}

static void test_restore__copied_database_gets_a_file_of_its_own(void **state) {
    (void)state;
    world_each(restore_copied_database);
}

/* The copy has waited for too long: pages of its root were used again. */
static void restore_late_copy(world *w) {
    sqlite3 *db = world_make(w);
    world_close(db);
    world_copy(w, "app.db", "copy.db");
    db = world_open(w, "app.db");
    for (int i = 0; i < 6; i++) {
        world_write(w, db);
    }
    sqlite3 *const copy = world_open(w, "copy.db");
    agree_or(copy, "begin a new transaction", "htt_adopt");
    expect_error(copy, TOUCH, SQLITE_ERROR, "belongs to the database 'app.db'");
    if (w->fold) {
        /* What it says does not help here: the pages are gone. The owner's state can be had. */
        expect(db, "SELECT htt_backup('kv', 'copy.htt')", "100");
        run(copy, "DROP TABLE kv; CREATE VIRTUAL TABLE kv USING htt('copy.htt')");
        restore_follow(copy);
    } else {
        expect(copy, "SELECT htt_adopt('kv', 'copy.htt')", "100");
    }
    restore_works(w, copy);
    restore_works(w, db);
    world_close(copy);
    world_close(db);
}

static void test_restore__copied_database_whose_pages_are_gone(void **state) {
    (void)state;
    world_each(restore_late_copy);
}

/* The copy takes the file from the database that has it. */
static void restore_taken_over(world *w) {
    sqlite3 *db = world_make(w);
    world_close(db);
    world_copy(w, "app.db", "copy.db");
    sqlite3 *const copy = world_open(w, "copy.db");
    run(copy, "SELECT htt_adopt('kv')");
    restore_follow(copy);
    restore_works(w, copy);
    restore_works(w, copy);
    db = world_open(w, "app.db");
    agree_or(db, "begin a new transaction", "htt_adopt");
    expect_error(db, TOUCH, SQLITE_ERROR, "belongs to the database 'copy.db'");
    world_close(db);
    world_close(copy);
}

static void test_restore__copy_that_takes_the_file_locks_the_other_out(void **state) {
    (void)state;
    world_each(restore_taken_over);
}

static void restore_pair(world *w) {
    sqlite3 *db = world_make(w);
    world_close(db);
    assert_int_equal(mkdir(world_path(w, "other"), 0700), 0);
    world_copy(w, "app.db", "other/app.db");
    world_copy(w, "kv.htt", "other/kv.htt");
    db = world_open(w, "app.db");
    sqlite3 *const other = world_open(w, "other/app.db");
    for (int i = 0; i < 3; i++) {
        restore_works(w, db);
        restore_works(w, other);
    }
    world_close(other);
    world_close(db);
}

static void test_restore__copied_pair_works(void **state) {
    (void)state;
    world_each(restore_pair);
}

/* ------------------------------------------------------------------- the file */

static void restore_deleted(world *w) {
    sqlite3 *db = world_make(w);
    world_close(db);
    world_remove(w, "kv.htt");
    db = world_open(w, "app.db");
    expect_error(db, "SELECT * FROM kv", SQLITE_CANTOPEN, "kv.htt");
    expect_error(db, TOUCH, SQLITE_CANTOPEN, "kv.htt");
    expect_error(db, "SELECT htt_adopt('kv')", SQLITE_CANTOPEN, "kv.htt");
    expect_error(db, "SELECT htt_adopt('kv', 'new.htt')", SQLITE_CANTOPEN, "kv.htt");
    assert_int_not_equal(access(world_path(w, "new.htt"), F_OK), 0);
    run(db, "DROP TABLE kv; CREATE VIRTUAL TABLE kv USING htt('kv.htt'); DELETE FROM twin");
    restore_works(w, db);
    world_close(db);
}

static void test_restore__deleted_file(void **state) {
    (void)state;
    world_each(restore_deleted);
}

static void restore_swapped(world *w) {
    sqlite3 *db = world_make(w);
    run(db, "CREATE VIRTUAL TABLE o USING htt('other.htt'); INSERT INTO o VALUES (1, 'other');"
            "SELECT htt_fold('o'); DROP TABLE o");
    world_close(db);
    world_copy(w, "kv.htt", "kept.htt");
    world_copy(w, "other.htt", "kv.htt");
    db = world_open(w, "app.db");
    expect_error(db, "SELECT * FROM kv", SQLITE_ERROR, "kv.htt");
    expect_error(db, TOUCH, SQLITE_ERROR, "kv.htt");
    world_close(db);
    world_copy(w, "kept.htt", "kv.htt");
    db = world_open(w, "app.db");
    restore_works(w, db);
    world_close(db);
}

static void test_restore__another_file_under_the_name(void **state) {
    (void)state;
    world_each(restore_swapped);
}

/* ---------------------------------------------------------------------- moves */

static void restore_moved(world *w) {
    sqlite3 *db = world_make(w);
    world_close(db);
    assert_int_equal(mkdir(world_path(w, "there"), 0700), 0);
    world_move(w, "app.db", "there/app.db");
    world_move(w, "kv.htt", "there/kv.htt");
    db = world_open(w, "there/app.db");
    restore_works(w, db);
    world_close(db);
    world_move(w, "there/app.db", "there/renamed.db");
    db = world_open(w, "there/renamed.db");
    restore_works(w, db);
    world_close(db);
    world_move(w, "there/renamed.db", "both.db");
    world_move(w, "there/kv.htt", "kv.htt");
    db = world_open(w, "both.db");
    restore_works(w, db);
    world_close(db);
}

static void test_restore__moved_and_renamed(void **state) {
    (void)state;
    world_each(restore_moved);
}

/* Copied to another place under another name: whether the file is whose is not to be seen. */
static void restore_copied_and_renamed(world *w) {
    sqlite3 *db = world_make(w);
    world_close(db);
    assert_int_equal(mkdir(world_path(w, "there"), 0700), 0);
    world_copy(w, "app.db", "there/renamed.db");
    world_copy(w, "kv.htt", "there/kv.htt");
    db = world_open(w, "there/renamed.db");
    expect_error(db, TOUCH, SQLITE_ERROR, "belongs to the database 'app.db'");
    expect(db, "SELECT count(*) FROM kv JOIN twin USING (key, value)", "100");
    if (w->fold) { /* at rest the file has everything */
        expect(db, "SELECT htt_adopt('kv')", "100");
    } else {
        expect(db, "SELECT htt_adopt('kv', 'own.htt')", "100");
    }
    restore_works(w, db);
    world_close(db);
}

static void test_restore__pair_copied_under_another_name(void **state) {
    (void)state;
    world_each(restore_copied_and_renamed);
}

/* ------------------------------------------------------------- SQLite's copies */

static void restore_vacuum(world *w) {
    sqlite3 *db = world_make(w);
    run(db, "VACUUM");
    restore_works(w, db);
    char sql[700];
    (void)snprintf(sql, sizeof sql, "VACUUM INTO '%s'", world_path(w, "into.db"));
    run(db, "SELECT htt_fold('kv')"); /* VACUUM disconnects all tables: the last one folds */
    run(db, sql);
    sqlite3 *const into = world_open(w, "into.db");
    agree_or(into, "htt_adopt");
    expect_error(into, TOUCH, SQLITE_ERROR, "belongs to the database 'app.db'");
    expect(into, "SELECT htt_adopt('kv', 'into.htt')", "100");
    restore_works(w, into);
    restore_works(w, db);
    world_close(into);
    world_close(db);
}

static void test_restore__vacuum_of_the_database(void **state) {
    (void)state;
    world_each(restore_vacuum);
}

static void restore_backup_into(sqlite3 *from, sqlite3 *to) {
    sqlite3_backup *const backup = sqlite3_backup_init(to, "main", from, "main");
    assert_non_null(backup);
    assert_int_equal(sqlite3_backup_step(backup, -1), SQLITE_DONE);
    assert_int_equal(sqlite3_backup_finish(backup), SQLITE_OK);
}

static void restore_sqlite_backup(world *w) {
    sqlite3 *const db = world_make(w);
    sqlite3 *copy = world_open(w, "copy.db");
    restore_backup_into(db, copy);
    world_close(copy);
    copy = world_open(w, "copy.db");
    agree_or(copy, "htt_adopt");
    expect_error(copy, TOUCH, SQLITE_ERROR, "belongs to the database 'app.db'");
    expect(copy, "SELECT htt_adopt('kv', 'copy.htt')", "100");
    restore_works(w, copy);
    /* And back over the database that it came from. */
    world_write(w, db);
    restore_backup_into(copy, db);
    world_close(copy);
    world_close(db);
    sqlite3 *const again = world_open(w, "app.db");
    agree_or(again, "htt_adopt");
    expect_error(again, TOUCH, SQLITE_ERROR, "belongs to the database 'copy.db'");
    world_close(again);
}

static void test_restore__sqlite_backup_of_the_database(void **state) {
    (void)state;
    world_each(restore_sqlite_backup);
}

/* Database and tables as of one snapshot, while others write. */
static void restore_online(world *w) {
    sqlite3 *const db = world_make(w);
    sqlite3 *const writer = world_open(w, "app.db");
    assert_int_equal(mkdir(world_path(w, "safe"), 0700), 0);
    run(db, "BEGIN; SELECT htt_backup('kv', 'safe/kv.htt')");
    if (strcmp(w->mode, "wal") == 0) { /* else nobody can commit */
        world_write(w, writer);
    }
    sqlite3 *copy = world_open(w, "safe/app.db");
    restore_backup_into(db, copy);
    world_close(copy);
    run(db, "COMMIT");
    world_write(w, writer);
    copy = world_open(w, "safe/app.db");
    expect_error(copy, "SELECT * FROM kv", SQLITE_ERROR, "kv.htt");
    expect(copy, "SELECT htt_adopt('kv')", "100");
    restore_works(w, copy);
    agree(db);
    world_close(copy);
    world_close(writer);
    world_close(db);
}

static void test_restore__online_backup_of_everything(void **state) {
    (void)state;
    world_each(restore_online);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_restore__older_database_with_newer_file),
        cmocka_unit_test(test_restore__newer_database_with_older_file),
        cmocka_unit_test(test_restore__both_restored_together_work),
        cmocka_unit_test(test_restore__file_lost_and_replaced_by_a_backup),
        cmocka_unit_test(test_restore__copied_database_gets_a_file_of_its_own),
        cmocka_unit_test(test_restore__copied_database_whose_pages_are_gone),
        cmocka_unit_test(test_restore__copy_that_takes_the_file_locks_the_other_out),
        cmocka_unit_test(test_restore__copied_pair_works),
        cmocka_unit_test(test_restore__deleted_file),
        cmocka_unit_test(test_restore__another_file_under_the_name),
        cmocka_unit_test(test_restore__moved_and_renamed),
        cmocka_unit_test(test_restore__pair_copied_under_another_name),
        cmocka_unit_test(test_restore__vacuum_of_the_database),
        cmocka_unit_test(test_restore__sqlite_backup_of_the_database),
        cmocka_unit_test(test_restore__online_backup_of_everything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
