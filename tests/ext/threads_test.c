/* SPDX-License-Identifier: MIT */
/*
 * ctest: tsan
 *
 * Threads of one process, each with a connection of its own to one database: writers change an htt
 * table and an ordinary one in the same transactions, roll back, fold, close and come again;
 * readers compare the two tables in snapshots that they keep for a while. One htt file has many
 * handles in a process then, which share its lock file and its locks.
 */
#include "fixture.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

int sqlite3_htt_init(sqlite3 *db, char **message_out, const void *api);

enum { WRITERS = 2, READERS = 3, ROUNDS = 120, BUSY_MS = 60000 };

typedef struct threads_world {
    const char *path;         /* of the database */
    pthread_mutex_t mutex;    /* of `problem` */
    char problem[512];        /* the first that a thread met, "" = none */
    _Atomic unsigned writing; /* writers that go on */
    _Atomic unsigned commits; /* of writers */
    _Atomic unsigned reads;   /* comparisons that agreed */
    _Atomic unsigned number;  /* of the next thread */
} threads_world;

/* Threads cannot fail a test: the main one does. */
static void threads_note(threads_world *world, const char *sql, const char *outcome) {
    (void)pthread_mutex_lock(&world->mutex);
    if (world->problem[0] == '\0') {
        snprintf(world->problem, sizeof world->problem, "%s: %s", sql, outcome);
    }
    (void)pthread_mutex_unlock(&world->mutex);
}

static sqlite3 *threads_open(threads_world *world) {
    sqlite3 *db = NULL;
    if (sqlite3_open(world->path, &db) != SQLITE_OK ||
        sqlite3_htt_init(db, NULL, NULL) != SQLITE_OK ||
        sqlite3_busy_timeout(db, BUSY_MS) != SQLITE_OK ||
        sqlite3_extended_result_codes(db, 1) != SQLITE_OK) {
        threads_note(world, "open", sqlite3_errmsg(db));
    }
    return db;
}

static void threads_close(threads_world *world, sqlite3 *db) {
    if (sqlite3_close(db) != SQLITE_OK) {
        threads_note(world, "close", sqlite3_errmsg(db));
    }
}

static void threads_run(threads_world *world, sqlite3 *db, const char *sql) {
    char *const outcome = fixture_query(db, sql);
    if (strncmp(outcome, "error ", 6) == 0) {
        threads_note(world, sql, outcome);
    }
    sqlite3_free(outcome);
}

/* The same change in both tables. */
static void threads_change(threads_world *world, sqlite3 *db, unsigned thread, unsigned round) {
    static const char *const tables[] = {"t", "plain"};
    char sql[256];
    for (int i = 0; i < 2; i++) {
        snprintf(sql, sizeof sql,
                 round % 3 == 2 ? "DELETE FROM %s WHERE key %% 7 = %u %% 7 AND key < %u"
                                : "INSERT OR REPLACE INTO %s VALUES (%u * 13 %% 200, %u)",
                 tables[i], round, thread * 1000 + round);
        threads_run(world, db, sql);
    }
}

static void *threads_write(void *arg) {
    threads_world *const world = arg;
    const unsigned thread = world->number++;
    sqlite3 *db = threads_open(world);
    for (unsigned round = 0; round < ROUNDS; round++) {
        const bool commits = round % 5 != 4;
        threads_run(world, db, "BEGIN IMMEDIATE");
        threads_change(world, db, thread, round);
        threads_change(world, db, thread, round + 7);
        threads_run(world, db, commits ? "COMMIT" : "ROLLBACK");
        world->commits += commits ? 1 : 0;
        if (round % 17 == 16) {
            threads_run(world, db, "SELECT htt_fold('t')");
        }
        if (round % 23 == 22) {
            threads_close(world, db);
            db = threads_open(world);
        }
    }
    threads_close(world, db);
    world->writing--;
    return NULL;
}

/* In one read transaction, again and again. SQLITE_BUSY_SNAPSHOT is no answer, and allowed. */
static void threads_compare(threads_world *world, sqlite3 *db, unsigned times) {
    static const char sql[] = "SELECT (SELECT count(*) FROM (SELECT * FROM t EXCEPT "
                              "SELECT * FROM plain)), (SELECT count(*) FROM (SELECT * FROM plain "
                              "EXCEPT SELECT * FROM t))";
    threads_run(world, db, "BEGIN");
    for (unsigned i = 0; i < times; i++) {
        char *const outcome = fixture_query(db, sql);
        const bool same = strcmp(outcome, "0|0") == 0;
        const bool gone = strncmp(outcome, "error 517", 9) == 0;
        world->reads += same ? 1 : 0;
        if (!same && !gone) {
            threads_note(world, "the tables", outcome);
        }
        sqlite3_free(outcome);
        if (gone) {
            break;
        }
    }
    threads_run(world, db, "COMMIT");
}

static void threads_check(threads_world *world, sqlite3 *db) {
    char *const outcome = fixture_query(db, "SELECT problem FROM htt_check('t')");
    if (strcmp(outcome, "ok") != 0 && strncmp(outcome, "error 517", 9) != 0) {
        threads_note(world, "htt_check", outcome);
    }
    sqlite3_free(outcome);
}

static void *threads_read(void *arg) {
    threads_world *const world = arg;
    const unsigned thread = world->number++;
    sqlite3 *db = threads_open(world);
    for (unsigned round = 0; world->writing > 0 || round < 5; round++) {
        threads_compare(world, db, 1 + (round + thread) % 4);
        if (round % 11 == 10) {
            threads_check(world, db);
            threads_close(world, db);
            db = threads_open(world);
        }
    }
    threads_close(world, db);
    return NULL;
}

static void threads_go(void **state, const char *options) {
    threads_world world = {.path = fixture_path(state, "test.db"), .writing = WRITERS};
    pthread_t threads[WRITERS + READERS];
    sqlite3 *const db = fixture_db(state);
    char *const sql = sqlite3_mprintf("PRAGMA journal_mode = wal;"
                                      "CREATE VIRTUAL TABLE t USING htt('t.htt'%s);"
                                      "CREATE TABLE plain(key PRIMARY KEY, value) WITHOUT ROWID",
                                      options);
    run(db, sql);
    sqlite3_free(sql);
    assert_int_equal(pthread_mutex_init(&world.mutex, NULL), 0);
    for (int i = 0; i < WRITERS + READERS; i++) {
        void *(*const start)(void *) = i < WRITERS ? threads_write : threads_read;
        assert_int_equal(pthread_create(&threads[i], NULL, start, &world), 0);
    }
    for (int i = 0; i < WRITERS + READERS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_int_equal(pthread_mutex_destroy(&world.mutex), 0);
    assert_string_equal(world.problem, "");
    assert_int_equal(world.commits, WRITERS * ROUNDS / 5 * 4);
    assert_true(world.reads > READERS);
    print_message("%u commits, %u comparisons\n", world.commits, world.reads);
    threads_compare(&world, db, 1);
    assert_string_equal(world.problem, "");
    expect(db, "SELECT problem FROM htt_check('t')", "ok");
    expect(db, "SELECT count(*) > 0 FROM t", "1");
}

static void test_threads__connections_agree_while_rows_stay_in_the_outbox(void **state) {
    threads_go(state, "");
}

static void test_threads__connections_agree_while_each_commit_folds(void **state) {
    threads_go(state, ", fold_rows=1");
}

static void test_threads__connections_agree_with_folds_now_and_then_and_a_page_cache(
    void **state) {
    threads_go(state, ", fold_rows=10, mmap=off");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        fixture_test(test_threads__connections_agree_while_rows_stay_in_the_outbox),
        fixture_test(test_threads__connections_agree_while_each_commit_folds),
        fixture_test(test_threads__connections_agree_with_folds_now_and_then_and_a_page_cache),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
