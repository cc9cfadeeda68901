/* SPDX-License-Identifier: MIT */
/*
 * ctest: timeout=300
 *
 * CREATE over a file that has rows: the file becomes the database's before SQLite's commit. What is
 * left where that does not come, because the process dies at any of its operations, an operation
 * fails, the power fails, or the transaction is rolled back: the database can take the file up with
 * all its rows, and after a rollback anybody can.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fixture.h"
#include "htt.h"
#include "joint_world.h"

int sqlite3_htt_init(sqlite3 *db, char **message_out, const void *api);
extern const struct htt_env *htt_arguments_env; /* ext/arguments.h */

#define CLAIM_CREATE "CREATE VIRTUAL TABLE kv USING htt('kv.htt')"
#define CLAIM_ROWS                                                                                 \
    "SELECT group_concat(key || '=' || value, ',') FROM (SELECT * FROM kv ORDER BY key)"
#define CLAIM_SEED 4711u
#define CLAIM_CUTS 6u /* power cuts at a position */

/* How the file came to be. */
typedef enum claim_origin { CLAIM_PROGRAM, CLAIM_DROPPED, CLAIM_DROPPED_PROGRAM } claim_origin;

typedef struct claim_case {
    const char *journal; /* PRAGMA journal_mode */
    const char *sync;    /* PRAGMA synchronous */
    claim_origin origin; /* of the file */
} claim_case;

static const claim_case claim_cases[] = {
    {"wal", "NORMAL", CLAIM_PROGRAM},    {"wal", "FULL", CLAIM_PROGRAM},
    {"delete", "FULL", CLAIM_PROGRAM},   {"wal", "NORMAL", CLAIM_DROPPED},
    {"delete", "FULL", CLAIM_DROPPED},   {"wal", "NORMAL", CLAIM_DROPPED_PROGRAM},
    {"wal", "FULL", CLAIM_DROPPED_PROGRAM}, {"delete", "FULL", CLAIM_DROPPED_PROGRAM},
};

/* A program without SQLite puts a row into the file; HTT_READONLY: it is a database's. */
static htt_rc claim_put(const htt_env *env, const char *path, const char *key, int64_t value) {
    htt_options options;
    htt_store *store = NULL;
    htt_options_init(&options);
    options.flags |= HTT_OPEN_CREATE;
    options.env = env;
    assert_int_equal(htt_open(path, &options, &store, NULL), HTT_OK);
    const htt_rc rc = htt_put_int(store, key, value);
    htt_close(store);
    return rc;
}

static void claim_run(joint_world *world, int number, const char *sql) {
    if (!joint_exec(world, number, sql)) {
        fail_msg("%s", world->why);
    }
}

static void claim_expect(joint_world *world, int number, const char *sql, const char *expected) {
    char found[300];
    if (!joint_text(world, number, sql, found, sizeof found)) {
        fail_msg("%s", world->why);
    }
    assert_string_equal(found, expected);
}

static const char *claim_rows(const claim_case *c) {
    return c->origin == CLAIM_PROGRAM   ? "one=1"
           : c->origin == CLAIM_DROPPED ? "sql=2"
                                        : "one=1,sql=2";
}

static void claim_begin(joint_world *world, const claim_case *c, crash_fs *disk) {
    joint_begin(world, disk, c->journal, c->sync);
    if (!joint_open(world, 0)) {
        fail_msg("%s", world->why);
    }
    claim_run(world, 0, "CREATE TABLE other(x)");
    if (c->origin != CLAIM_PROGRAM) {
        claim_run(world, 0, CLAIM_CREATE "; INSERT INTO kv VALUES ('sql', 2); DROP TABLE kv");
    }
    if (c->origin != CLAIM_DROPPED) {
        assert_int_equal(claim_put(crash_fs_new_process(disk), JOINT_FILE, "one", 1), HTT_OK);
    }
}

/* Whether the table is there or not, all rows of the file can be had in this database. */
static void claim_take_up(joint_world *world, int number, const claim_case *c) {
    char found[300];
    if (world->processes[number].db == NULL && !joint_open(world, number)) {
        fail_msg("%s", world->why);
    }
    if (!joint_text(world, number, "SELECT count(*) FROM sqlite_schema WHERE name = 'kv'", found,
                    sizeof found)) {
        fail_msg("%s", world->why);
    }
    if (strcmp(found, "0") == 0) {
        claim_run(world, number, CLAIM_CREATE);
    }
    claim_expect(world, number, CLAIM_ROWS, claim_rows(c));
    claim_expect(world, number, "SELECT problem FROM htt_check('kv')", "ok");
    claim_run(world, number, "INSERT INTO kv VALUES ('zzz', 9); SELECT htt_fold('kv')");
    claim_expect(world, number, "SELECT value FROM kv WHERE key = 'zzz'", "9");
    claim_expect(world, number, "SELECT problem FROM htt_check('kv')", "ok");
    assert_int_equal(claim_put(world->processes[number].env, JOINT_FILE, "no", 1), HTT_READONLY);
}

static void claim_take_up_on(crash_fs *disk, const claim_case *c) {
    joint_world world;
    joint_begin(&world, disk, c->journal, c->sync);
    claim_take_up(&world, 0, c);
    joint_end(&world);
    crash_fs_free(disk);
}

/* ------------------------------------------------------------------- crashes */

/* False: it was over before. */
static bool claim_killed_at(const claim_case *c, size_t after) {
    crash_fs *const disk = crash_fs_new(CLAIM_SEED);
    joint_world world;
    claim_begin(&world, c, disk);
    joint_kill_later(&world, 0, after);
    const bool done = joint_exec(&world, 0, CLAIM_CREATE);
    joint_spare(&world, 0);
    joint_bury(&world, 0);
    claim_take_up_on(crash_fs_killed(disk, crash_fs_position(disk)), c);
    claim_take_up(&world, 1, c);
    joint_end(&world);
    crash_fs_free(disk);
    return !done;
}

static void test_claim__a_process_dies_within_create_and_another_takes_the_file_up(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof claim_cases / sizeof claim_cases[0]; i++) {
        size_t after = 0;
        while (claim_killed_at(&claim_cases[i], after)) {
            after++;
        }
        assert_true(after > 10);
    }
}

static void test_claim__the_power_fails_within_create_and_the_file_is_taken_up(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof claim_cases / sizeof claim_cases[0]; i++) {
        const claim_case *const c = &claim_cases[i];
        crash_fs *const disk = crash_fs_new(CLAIM_SEED);
        joint_world world;
        claim_begin(&world, c, disk);
        const size_t first = crash_fs_position(disk);
        claim_run(&world, 0, CLAIM_CREATE);
        const size_t end = crash_fs_position(disk);
        for (size_t at = first; at <= end; at++) {
            const size_t count = crash_fs_cut_count(disk, at, CLAIM_CUTS);
            for (size_t cut = 0; cut < count; cut++) {
                claim_take_up_on(crash_fs_cut(disk, at, cut, CLAIM_CUTS), c);
            }
        }
        joint_end(&world);
        crash_fs_free(disk);
    }
}

/* ------------------------------------------------------------------ rollbacks */

static void test_claim__another_database_takes_the_file_after_a_rollback(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof claim_cases / sizeof claim_cases[0]; i++) {
        const claim_case *const c = &claim_cases[i];
        crash_fs *const disk = crash_fs_new(CLAIM_SEED);
        joint_world world;
        sqlite3 *second = NULL;
        claim_begin(&world, c, disk);
        assert_int_equal(
            vfs_process_open(world.processes[0].vfs, "/second.db", &second), SQLITE_OK);
        assert_int_equal(sqlite3_htt_init(second, NULL, NULL), SQLITE_OK);
        claim_run(&world, 0, "BEGIN; " CLAIM_CREATE);
        expect_error(second, CLAIM_CREATE "; INSERT INTO kv VALUES ('two', 2)", SQLITE_READONLY,
                     "host.db");
        (void)sqlite3_exec(second, "DROP TABLE kv", NULL, NULL, NULL);
        claim_run(&world, 0, "ROLLBACK");
        run(second, CLAIM_CREATE);
        expect(second, CLAIM_ROWS, claim_rows(c));
        expect(second, "SELECT problem FROM htt_check('kv')", "ok");
        assert_int_equal(sqlite3_close(second), SQLITE_OK);
        joint_end(&world);
        crash_fs_free(disk);
    }
}

/*
 * After a COMMIT that failed recovery may bring it back: the file must be the database's then, or
 * still be as it was. So a program may not write it, unless the commit is out of the world.
 */
static bool claim_failed_at(const claim_case *c, size_t after) {
    crash_fs *const disk = crash_fs_new(CLAIM_SEED);
    joint_world world;
    claim_case then = *c;
    claim_begin(&world, c, disk);
    claim_run(&world, 0, "BEGIN; " CLAIM_CREATE);
    joint_fail_later(&world, 0, after);
    const bool done = joint_exec(&world, 0, "COMMIT");
    const bool spared = crash_fs_is_spared(disk, world.processes[0].env);
    joint_spare(&world, 0);
    world.why[0] = '\0';
    if (!done) {
        (void)sqlite3_exec(world.processes[0].db, "ROLLBACK", NULL, NULL, NULL);
    }
    if (claim_put(crash_fs_new_process(disk), JOINT_FILE, "one", 1) == HTT_OK &&
        then.origin == CLAIM_DROPPED) {
        then.origin = CLAIM_DROPPED_PROGRAM;
    }
    claim_take_up_on(crash_fs_killed(disk, crash_fs_position(disk)), &then);
    joint_end(&world);
    crash_fs_free(disk);
    return spared;
}

static void test_claim__is_kept_if_the_failed_commit_may_come_back(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof claim_cases / sizeof claim_cases[0]; i++) {
        size_t after = 0;
        while (claim_failed_at(&claim_cases[i], after)) {
            after++;
        }
        assert_true(after > 2);
    }
}

/* ---- A table of the test, whose xRollback comes before that of ours ---- */

typedef struct claim_late {
    sqlite3_vtab base; /* for SQLite */
    sqlite3 *other;    /* makes the table when this one is rolled back; NULL: does not */
} claim_late;

static int late_connect(sqlite3 *db, void *other, int count, const char *const *words,
                        sqlite3_vtab **vtab_out, char **message_out) {
    (void)count;
    (void)words;
    (void)message_out;
    claim_late *const late = sqlite3_malloc(sizeof *late);
    assert_non_null(late);
    *late = (claim_late){.other = other};
    *vtab_out = &late->base;
    return sqlite3_declare_vtab(db, "CREATE TABLE x(a)");
}

static int late_disconnect(sqlite3_vtab *vtab) {
    sqlite3_free(vtab);
    return SQLITE_OK;
}

static int late_index(sqlite3_vtab *vtab, sqlite3_index_info *info) {
    (void)vtab;
    (void)info;
    return SQLITE_OK;
}

static int late_update(sqlite3_vtab *vtab, int count, sqlite3_value **values, sqlite3_int64 *id) {
    (void)vtab;
    (void)count;
    (void)values;
    *id = 1;
    return SQLITE_OK;
}

static int late_nothing(sqlite3_vtab *vtab) {
    (void)vtab;
    return SQLITE_OK;
}

/* The database's lock is given back already. */
static int late_rollback(sqlite3_vtab *vtab) {
    if (((claim_late *)vtab)->other == NULL) {
        return SQLITE_OK;
    }
    run(((claim_late *)vtab)->other, CLAIM_CREATE);
    return SQLITE_OK;
}

static const sqlite3_module late_module = {.iVersion = 1,
                                           .xCreate = late_connect,
                                           .xConnect = late_connect,
                                           .xBestIndex = late_index,
                                           .xDisconnect = late_disconnect,
                                           .xDestroy = late_disconnect,
                                           .xUpdate = late_update,
                                           .xBegin = late_nothing,
                                           .xRollback = late_rollback};

static void test_claim__is_not_taken_back_from_a_table_that_was_made_meanwhile(void **state) {
    htt_arguments_env = NULL;
    sqlite3 *const db = fixture_db(state);
    const char *const path = fixture_path(state, "kv.htt");
    assert_int_equal(claim_put(NULL, path, "one", 1), HTT_OK);
    run(db, "PRAGMA journal_mode = wal; CREATE TABLE other(x)");
    sqlite3 *const other = fixture_open(state, NULL);
    run(other, "SELECT count(*) FROM other");
    assert_int_equal(sqlite3_create_module(db, "late", &late_module, other), SQLITE_OK);
    run(db, "CREATE VIRTUAL TABLE temp.late USING late; BEGIN; INSERT INTO late VALUES (1);"
            CLAIM_CREATE "; ROLLBACK");
    assert_int_equal(claim_put(NULL, fixture_path(state, "kv.htt"), "two", 2), HTT_READONLY);
    run(other, "INSERT INTO kv VALUES ('three', 3)");
    expect(other, CLAIM_ROWS, "one=1,three=3");
    expect(other, "SELECT problem FROM htt_check('kv')", "ok");
    assert_int_equal(sqlite3_close(other), SQLITE_OK);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            test_claim__a_process_dies_within_create_and_another_takes_the_file_up),
        cmocka_unit_test(test_claim__the_power_fails_within_create_and_the_file_is_taken_up),
        cmocka_unit_test(test_claim__another_database_takes_the_file_after_a_rollback),
        cmocka_unit_test(test_claim__is_kept_if_the_failed_commit_may_come_back),
        fixture_test(test_claim__is_not_taken_back_from_a_table_that_was_made_meanwhile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
