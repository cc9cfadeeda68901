/* SPDX-License-Identifier: MIT */
/*
 * htt_uow_run: what is tried again, how often, with which pauses, and what is not. Two connections
 * to one database; time and chance are the test's.
 */
#include "repo_world.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "sql/htt_event.h"
#include "sql/htt_uow.h"

enum { PAUSES_MAX = 32 };

typedef struct run_test {
    htt_platform platform;        /* of db */
    uint64_t pauses[PAUSES_MAX];  /* milliseconds slept */
    unsigned pause_count;         /* of pauses */
    uint64_t chance;              /* what random64 gives */
    unsigned free_after;          /* pauses after which `other` lets go; 0: never */
    sqlite3 *connection;          /* of db */
    sqlite3 *other;               /* in the way */
    htt_db *db;                   /* under test */
    unsigned calls;               /* of the work */
    htt_rc gives;                 /* what the work gives, when it does not fail before */
    const char *before_write;     /* what `other` does between the work's read and its write */
    const char *before_commit;    /* and at its end */
    bool own_end;                 /* the work commits itself */
} run_test;

static int64_t run_now(void *context) {
    (void)context;
    return 1;
}
static uint64_t run_chance(void *context) {
    return ((run_test *)context)->chance;
}
static void run_sleep(void *context, uint64_t milliseconds) {
    run_test *const test = context;
    assert_true(test->pause_count < PAUSES_MAX);
    test->pauses[test->pause_count++] = milliseconds;
    if (test->free_after != 0 && test->pause_count == test->free_after) {
        world_exec(test->other, "COMMIT");
    }
}

static sqlite3 *run_connect(const char *mode) {
    sqlite3 *connection;
    char sql[100];
    assert_int_equal(sqlite3_open("uow_run.db", &connection), SQLITE_OK);
    snprintf(sql, sizeof sql, "PRAGMA journal_mode = %s; PRAGMA synchronous = OFF", mode);
    world_exec(connection, sql);
    return connection;
}

static void run_open(run_test *test, const char *mode) {
    static const char *const files[] = {"uow_run.db", "uow_run.db-wal", "uow_run.db-shm",
                                        "uow_run.db-journal"};
    memset(test, 0, sizeof *test);
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        (void)unlink(files[i]);
    }
    test->connection = run_connect(mode);
    test->other = run_connect(mode);
    world_exec(test->connection, "CREATE TABLE things(key PRIMARY KEY, value); "
                                 "INSERT INTO things VALUES (1, 10)");
    test->platform = (htt_platform){test, run_now, run_chance, run_sleep};
    htt_db_options options;
    htt_db_options_init(&options);
    options.platform = &test->platform;
    assert_int_equal(htt_db_open(test->connection, &options, &test->db), HTT_OK);
    expect_ok(test->db, htt_db_install(test->db, "event"));
}

static void run_close(run_test *test) {
    expect_ok(test->db, htt_db_close(test->db));
    assert_int_equal(sqlite3_close(test->connection), SQLITE_OK);
    assert_int_equal(sqlite3_close(test->other), SQLITE_OK);
    (void)unlink("uow_run.db");
}

static void run_other(run_test *test, const char **sql) {
    if (*sql != NULL) {
        world_exec(test->other, *sql);
        *sql = NULL;
    }
}

/* Adds one to thing 1, and one event. */
static htt_rc work_add(htt_uow *unit, void *arg) {
    run_test *const test = arg;
    const htt_repo_spec spec = thing_spec(htt_codec_integer());
    char id[16]; /* of its own: chance is the test's, and has no end */
    htt_event event = {.aggregate_type = "thing", .aggregate_id = "1", .type = "grown"};
    htt_repo *repo;
    void *object;
    snprintf(id, sizeof id, "%u", ++test->calls);
    event.id = id;
    htt_rc rc = htt_uow_repo(unit, &spec, &repo);
    if (rc == HTT_OK) {
        rc = htt_repo_get(repo, htt_key_of_integer(1), &object);
    }
    if (rc != HTT_OK) {
        return rc;
    }
    run_other(test, &test->before_write);
    int64_t *const number = object;
    *number += 1;
    rc = htt_repo_put(repo, htt_key_of_integer(1), number);
    if (rc == HTT_OK) {
        rc = htt_uow_event(unit, &event);
    }
    if (rc != HTT_OK) {
        return rc;
    }
    run_other(test, &test->before_commit);
    return test->own_end ? htt_uow_commit(unit) : test->gives;
}

static int64_t number(sqlite3 *connection, const char *sql) {
    sqlite3_stmt *statement;
    assert_int_equal(sqlite3_prepare_v2(connection, sql, -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    const int64_t found = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return found;
}

static void check_stored(run_test *test, int64_t value, int64_t events) {
    assert_int_equal(number(test->connection, "SELECT value FROM things WHERE key = 1"), value);
    assert_int_equal(number(test->connection, "SELECT count(*) FROM htt_event"), events);
    assert_true(sqlite3_get_autocommit(test->connection) != 0);
}

static void test_run__commits_what_works(void **state) {
    run_test test;
    (void)state;
    run_open(&test, "WAL");
    expect_ok(test.db, htt_uow_run(test.db, work_add, &test, NULL));
    check_stored(&test, 11, 1);
    test.own_end = true;
    expect_ok(test.db, htt_uow_run(test.db, work_add, &test, NULL));
    check_stored(&test, 12, 2);
    assert_int_equal(test.pause_count, 0);
    run_close(&test);
}

static void test_run__own_errors_roll_back_with_their_text(void **state) {
    run_test test;
    (void)state;
    run_open(&test, "WAL");
    test.gives = HTT_CONFLICT;
    (void)htt_db_set_error(test.db, HTT_CONFLICT, "an old text");
    assert_int_equal(htt_db_set_error(test.db, HTT_OK, NULL), HTT_OK);
    assert_int_equal(htt_uow_run(test.db, work_add, &test, NULL), HTT_CONFLICT);
    expect_text(test.db, "the unit's work gave: another version is stored");
    assert_int_equal(test.calls, 1);
    check_stored(&test, 10, 0);
    world_exec(test.connection, "DELETE FROM things");
    assert_int_equal(htt_uow_run(test.db, work_add, &test, NULL), HTT_NOTFOUND);
    expect_text(test.db, "main.things[1]: there is none");
    run_close(&test);
}

static void test_run__a_busy_begin_is_tried_again_with_growing_pauses(void **state) {
    static const uint64_t half[] = {3, 5, 10, 20, 40, 50, 50};
    run_test test;
    htt_uow_options options;
    (void)state;
    htt_uow_options_init(&options);
    options.most_ms = 100;
    run_open(&test, "WAL");
    world_exec(test.other, "BEGIN IMMEDIATE");
    test.free_after = 7;
    expect_ok(test.db, htt_uow_run(test.db, work_add, &test, &options));
    assert_int_equal(test.pause_count, 7);
    for (unsigned i = 0; i < 7; i++) { /* chance 0: half of it */
        assert_int_equal(test.pauses[i], half[i]);
    }
    assert_int_equal(test.calls, 1);
    check_stored(&test, 11, 1);
    run_close(&test);
    run_open(&test, "WAL");
    world_exec(test.other, "BEGIN IMMEDIATE");
    test.free_after = 1;
    test.chance = 2; /* 5: 3 + 2 % 3 */
    expect_ok(test.db, htt_uow_run(test.db, work_add, &test, &options));
    assert_int_equal(test.pauses[0], 5);
    run_close(&test);
}

static void test_run__gives_up_after_its_attempts(void **state) {
    run_test test;
    htt_uow_options options;
    (void)state;
    run_open(&test, "WAL");
    htt_uow_options_init(&options);
    options.attempts = 3;
    options.first_ms = 0;
    options.most_ms = 0;
    world_exec(test.other, "BEGIN IMMEDIATE");
    assert_int_equal(htt_uow_run(test.db, work_add, &test, &options), HTT_BUSY);
    expect_text(test.db, "given up after 3 attempts: transaction: database is locked");
    assert_int_equal(test.pause_count, 2);
    assert_int_equal(test.pauses[0] + test.pauses[1], 0);
    world_exec(test.other, "ROLLBACK");
    check_stored(&test, 10, 0);
    run_close(&test);
}

static void test_run__a_snapshot_that_is_gone_begins_again(void **state) {
    run_test test;
    htt_uow_options options;
    (void)state;
    run_open(&test, "WAL");
    htt_uow_options_init(&options);
    options.mode = HTT_UOW_DEFERRED;
    test.before_write = "UPDATE things SET value = 100";
    expect_ok(test.db, htt_uow_run(test.db, work_add, &test, &options));
    assert_int_equal(test.calls, 2);
    check_stored(&test, 101, 1);
    run_close(&test);
}

static void test_run__a_busy_commit_is_tried_again(void **state) {
    run_test test;
    (void)state;
    run_open(&test, "DELETE");
    /* A reader holds the file while the writer would write it: COMMIT is busy. */
    test.before_commit = "BEGIN; SELECT * FROM things";
    test.free_after = 2;
    expect_ok(test.db, htt_uow_run(test.db, work_add, &test, NULL));
    assert_int_equal(test.calls, 3);
    assert_int_equal(test.pause_count, 2);
    check_stored(&test, 11, 1);
    run_close(&test);
}

static void test_unit__a_busy_commit_can_be_committed_again(void **state) {
    run_test test;
    htt_uow *unit;
    (void)state;
    run_open(&test, "DELETE");
    expect_ok(test.db, htt_uow_begin(test.db, HTT_UOW_IMMEDIATE, &unit));
    assert_int_equal(work_add(unit, &test), HTT_OK);
    world_exec(test.other, "BEGIN; SELECT * FROM things");
    expect_rc(test.db, htt_uow_commit(unit), HTT_BUSY);
    world_exec(test.other, "COMMIT");
    expect_ok(test.db, htt_uow_commit(unit)); /* the event is not written twice */
    htt_uow_end(unit);
    check_stored(&test, 11, 1);
    run_close(&test);
}

static htt_rc work_outer(htt_uow *unit, void *arg) {
    run_test *const test = arg;
    (void)unit;
    test->gives = HTT_BUSY;
    assert_int_equal(htt_uow_run(test->db, work_add, test, NULL), HTT_BUSY);
    test->gives = HTT_OK;
    return htt_uow_run(test->db, work_add, test, NULL);
}

static void test_run__inside_of_another_there_is_one_attempt(void **state) {
    run_test test;
    (void)state;
    run_open(&test, "WAL");
    expect_ok(test.db, htt_uow_run(test.db, work_outer, &test, NULL));
    assert_int_equal(test.calls, 2);
    assert_int_equal(test.pause_count, 0);
    check_stored(&test, 11, 1);
    run_close(&test);
}

static htt_rc work_roll_back(htt_uow *unit, void *arg) {
    (void)work_add(unit, arg);
    return htt_uow_rollback(unit);
}

static void test_run__work_may_roll_back_itself(void **state) {
    run_test test;
    (void)state;
    run_open(&test, "WAL");
    expect_ok(test.db, htt_uow_run(test.db, work_roll_back, &test, NULL));
    check_stored(&test, 10, 0);
    run_close(&test);
}

static void test_run__options_that_make_no_sense_are_refused(void **state) {
    run_test test;
    htt_uow_options options;
    (void)state;
    run_open(&test, "WAL");
    assert_int_equal(htt_uow_run(NULL, work_add, &test, NULL), HTT_MISUSE);
    expect_rc(test.db, htt_uow_run(test.db, NULL, &test, NULL), HTT_MISUSE);
    htt_uow_options_init(&options);
    options.attempts = 0;
    expect_rc(test.db, htt_uow_run(test.db, work_add, &test, &options), HTT_MISUSE);
    htt_uow_options_init(&options);
    options.first_ms = options.most_ms + 1;
    expect_rc(test.db, htt_uow_run(test.db, work_add, &test, &options), HTT_MISUSE);
    htt_uow_options_init(&options);
    options.struct_size++;
    expect_rc(test.db, htt_uow_run(test.db, work_add, &test, &options), HTT_MISUSE);
    assert_non_null(strstr(htt_db_errmsg(test.db), ": call htt_uow_options_init first"));
    assert_int_equal(test.calls, 0);
    run_close(&test);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_run__commits_what_works),
        cmocka_unit_test(test_run__own_errors_roll_back_with_their_text),
        cmocka_unit_test(test_run__a_busy_begin_is_tried_again_with_growing_pauses),
        cmocka_unit_test(test_run__gives_up_after_its_attempts),
        cmocka_unit_test(test_run__a_snapshot_that_is_gone_begins_again),
        cmocka_unit_test(test_run__a_busy_commit_is_tried_again),
        cmocka_unit_test(test_unit__a_busy_commit_can_be_committed_again),
        cmocka_unit_test(test_run__inside_of_another_there_is_one_attempt),
        cmocka_unit_test(test_run__work_may_roll_back_itself),
        cmocka_unit_test(test_run__options_that_make_no_sense_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
