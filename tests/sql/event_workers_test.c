/* SPDX-License-Identifier: MIT */
/*
 * Writers and workers at once, in processes that are killed at random and in threads.
 *
 * ctest: timeout=60 tsan
 *
 * A writer inserts orders and their events, and purges. A worker claims under short leases, writes
 * down what it claimed, and then acknowledges in the transaction that writes a row of `done`, or
 * fails, gives back, buries, sleeps over its lease, or forgets. In the end, whoever was killed:
 *   - there are as many orders as events, and seq is dense
 *   - every event is in `done` once, those of an aggregate in their order
 *   - no event was claimed twice with one token
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "event_bed.h"
#include "test_seed.h"

enum { WORKERS_COUNT = 3, WORKERS_AGGREGATES = 5, WORKERS_MS = 2500, WORKERS_LONG_MS = 60000 };

typedef struct workers_job {
    const char *path;  /* database */
    uint64_t seed;     /* of its random numbers */
    bool writes;       /* else works */
    int number;        /* its name */
    int64_t until;     /* ms */
    int64_t done;      /* acknowledged, or appended */
    char problem[300]; /* "" = none */
} workers_job;

static uint64_t workers_random(workers_job *job, uint64_t below) {
    return test_random_below(&job->seed, below);
}

static int64_t workers_now(void) {
    const htt_platform *const platform = htt_platform_system();
    return platform->now_ms(platform->context);
}

static void workers_open(const char *path, sqlite3 **connection_out, htt_db **db_out) {
    if (sqlite3_open(path, connection_out) != SQLITE_OK ||
        sqlite3_busy_timeout(*connection_out, 20000) != SQLITE_OK ||
        /* Only processes die here, not the machine. */
        sqlite3_exec(*connection_out, "PRAGMA journal_mode = wal; PRAGMA synchronous = off", NULL,
                     NULL, NULL) != SQLITE_OK ||
        htt_db_open(*connection_out, NULL, db_out) != HTT_OK) {
        abort();
    }
}

static void workers_close(sqlite3 *connection, htt_db *db) {
    if (htt_db_close(db) != HTT_OK || sqlite3_close(connection) != SQLITE_OK) {
        abort();
    }
}

static void workers_problem(workers_job *job, const char *what, const char *why) {
    if (job->problem[0] == '\0') {
        (void)snprintf(job->problem, sizeof job->problem, "%s: %s", what, why);
    }
}

/* What may happen to anybody. */
static bool workers_is_expected(htt_rc rc) {
    return rc == HTT_OK || rc == HTT_BUSY || rc == HTT_SNAPSHOT || rc == HTT_EXPIRED ||
           rc == HTT_NOTFOUND;
}

static bool workers_exec(sqlite3 *connection, const char *sql) {
    return sqlite3_exec(connection, sql, NULL, NULL, NULL) == SQLITE_OK;
}

/* ---------------------------------------------------------------- writer */

static void workers_write(workers_job *job, sqlite3 *connection, htt_db *db) {
    const uint64_t count = 1 + workers_random(job, 4);
    htt_rc rc = HTT_OK;
    if (!workers_exec(connection, "BEGIN IMMEDIATE")) {
        return;
    }
    for (uint64_t i = 0; rc == HTT_OK && i < count; i++) {
        char aggregate[16];
        htt_event event = bed_event();
        (void)snprintf(aggregate, sizeof aggregate, "%d",
                       (int)workers_random(job, WORKERS_AGGREGATES));
        event.aggregate_id = aggregate;
        rc = htt_event_append(db, &event, NULL);
        if (!workers_exec(connection, "INSERT INTO orders DEFAULT VALUES")) {
            rc = HTT_SQL;
        }
    }
    if (rc != HTT_OK) {
        workers_problem(job, "append", htt_db_errmsg(db));
    }
    const bool commit = rc == HTT_OK && workers_random(job, 4) > 0;
    if (workers_exec(connection, commit ? "COMMIT" : "ROLLBACK")) {
        job->done += commit ? (int64_t)count : 0;
    }
    if (workers_random(job, 10) == 0) {
        rc = htt_event_purge(db, 0, 10, NULL);
        if (!workers_is_expected(rc)) {
            workers_problem(job, "purge", htt_db_errmsg(db));
        }
    }
    usleep((useconds_t)workers_random(job, 3000));
}

/* ---------------------------------------------------------------- worker */

static int workers_insert(sqlite3 *connection, const char *sql, int64_t first, int64_t second) {
    sqlite3_stmt *statement;
    int rc = sqlite3_prepare_v2(connection, sql, -1, &statement, NULL);
    if (rc == SQLITE_OK) {
        (void)sqlite3_bind_int64(statement, 1, first);
        (void)sqlite3_bind_int64(statement, 2, second);
        rc = sqlite3_step(statement);
        (void)sqlite3_finalize(statement);
    }
    return rc;
}

/* The event's work and its acknowledgement are one transaction. */
static htt_rc workers_ack(workers_job *job, sqlite3 *connection, htt_lease *lease, size_t index) {
    const htt_event *const event = &htt_lease_at(lease, index)->event;
    if (!workers_exec(connection, "BEGIN IMMEDIATE")) {
        return HTT_BUSY;
    }
    const int inserted = workers_insert(connection, "INSERT INTO done(seq, lane) VALUES (?, ?)",
                                        event->seq, strtol(event->aggregate_id, NULL, 10));
    const htt_rc rc = htt_delivery_ack(lease, index);
    if (rc == HTT_OK && inserted != SQLITE_DONE) {
        workers_problem(job, "an acknowledged event was processed before",
                        sqlite3_errmsg(connection));
    }
    const bool good = workers_exec(connection, rc == HTT_OK ? "COMMIT" : "ROLLBACK");
    job->done += good && rc == HTT_OK;
    return rc;
}

static htt_rc workers_settle(workers_job *job, sqlite3 *connection, htt_lease *lease,
                             size_t index) {
    switch (workers_random(job, 20)) {
    case 0: return htt_delivery_fail(lease, index, "by chance");
    case 1: return htt_delivery_release(lease, index);
    case 2: return htt_delivery_bury(lease, index, "by chance");
    case 3: usleep(70000); break; /* over the lease */
    case 4: return HTT_OK;        /* forgotten */
    case 5:
        if (!workers_is_expected(htt_delivery_extend(lease, 40))) {
            return HTT_SQL;
        }
        break;
    default: break;
    }
    return workers_ack(job, connection, lease, index);
}

static void workers_note(workers_job *job, sqlite3 *connection, const htt_lease *lease) {
    for (size_t i = 0; i < htt_lease_count(lease); i++) {
        const int rc = workers_insert(connection, "INSERT INTO claimed(seq, token) VALUES (?, ?)",
                                      htt_lease_at(lease, i)->event.seq, htt_lease_token(lease));
        if ((rc & 0xff) == SQLITE_CONSTRAINT) {
            workers_problem(job, "claimed twice with one token", sqlite3_errmsg(connection));
        }
    }
}

static void workers_work(workers_job *job, sqlite3 *connection, htt_db *db) {
    htt_claim_options options;
    htt_lease *lease;
    htt_claim_options_init(&options);
    options.most = 1 + (uint32_t)workers_random(job, 4);
    options.lease_ms = 20 + (uint32_t)workers_random(job, 40);
    htt_rc rc = htt_delivery_claim(db, "c", "worker", &options, &lease);
    if (rc != HTT_OK) {
        if (!workers_is_expected(rc)) {
            workers_problem(job, "claim", htt_db_errmsg(db));
        }
        usleep(2000);
        return;
    }
    workers_note(job, connection, lease);
    for (size_t i = 0; i < htt_lease_count(lease); i++) {
        rc = workers_settle(job, connection, lease, i);
        if (!workers_is_expected(rc)) {
            workers_problem(job, "settle", htt_db_errmsg(db));
        }
    }
    htt_lease_free(lease);
    if (workers_random(job, 20) == 0) {
        rc = htt_dead_requeue(db, "c", 0);
        if (!workers_is_expected(rc)) {
            workers_problem(job, "requeue", htt_db_errmsg(db));
        }
    }
}

static void *workers_run(void *arg) {
    workers_job *const job = arg;
    sqlite3 *connection;
    htt_db *db;
    workers_open(job->path, &connection, &db);
    while (workers_now() < job->until && job->problem[0] == '\0') {
        if (job->writes) {
            workers_write(job, connection, db);
        } else {
            workers_work(job, connection, db);
        }
    }
    workers_close(connection, db);
    return NULL;
}

/* ------------------------------------------------------------------ test */

static void workers_begin(const char *path) {
    sqlite3 *connection;
    htt_db *db;
    htt_consumer_options options;
    char name[300];
    static const char *const ends[] = {"", "-wal", "-shm", "-journal"};
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        (void)snprintf(name, sizeof name, "%s%s", path, ends[i]);
        (void)unlink(name);
    }
    workers_open(path, &connection, &db);
    assert_rc(db, htt_db_install(db, "event"), HTT_OK);
    htt_consumer_options_init(&options);
    options.backoff_first_ms = 5;
    options.backoff_most_ms = 20;
    options.max_attempts = 6;
    assert_rc(db, htt_consumer_register(db, "c", &options), HTT_OK);
    bed_exec(connection, "CREATE TABLE orders(id INTEGER PRIMARY KEY);"
                         "CREATE TABLE done(n INTEGER PRIMARY KEY, seq UNIQUE, lane);"
                         "CREATE TABLE claimed(seq, token, PRIMARY KEY(seq, token))");
    workers_close(connection, db);
}

/* What is left is done now; then everything is looked at. */
static void workers_end(const char *path) {
    sqlite3 *connection;
    htt_db *db;
    htt_consumer_state state;
    workers_job job = {.path = path, .seed = 1};
    workers_open(path, &connection, &db);
    const int64_t begin = workers_now();
    for (;;) {
        assert_rc(db, htt_consumer_read(db, "c", &state), HTT_OK);
        if (state.acknowledged == state.newest && state.dead == 0) {
            break;
        }
        assert_true(workers_now() < begin + 60000); /* nothing is held up for good */
        if (state.dead > 0) {
            assert_rc(db, htt_dead_requeue(db, "c", 0), HTT_OK);
        }
        htt_lease *lease;
        if (htt_delivery_claim(db, "c", "last", NULL, &lease) == HTT_OK) {
            for (size_t i = 0; i < htt_lease_count(lease); i++) {
                assert_rc(db, workers_ack(&job, connection, lease, i), HTT_OK);
            }
            htt_lease_free(lease);
        } else {
            usleep(2000);
        }
    }
    assert_string_equal(job.problem, "");
    /* Requeued ones may be open at and below the position. */
    assert_int_equal(state.pending + state.leased + state.failed + state.waiting, 0);
    assert_int_equal(bed_number(connection, "SELECT count(*) FROM htt_delivery"), 0);
    assert_true(state.newest > 50);
    assert_int_equal(bed_number(connection, "SELECT count(*) FROM orders"), state.newest);
    assert_int_equal(bed_number(connection, "SELECT count(*) FROM done"), state.newest);
    assert_int_equal(bed_number(connection, "SELECT max(seq) FROM done"), state.newest);
    assert_int_equal(bed_number(connection, "SELECT min(seq) FROM done"), 1);
    assert_int_equal(bed_number(connection, "SELECT count(*) FROM (SELECT seq < lag(seq) OVER "
                                            "(PARTITION BY lane ORDER BY n) AS bad FROM done) "
                                            "WHERE bad"),
                     0);
    assert_int_equal(bed_number(connection, "SELECT count(*) FROM pragma_integrity_check "
                                            "WHERE integrity_check <> 'ok'"),
                     0);
    print_message("%lld events, %lld claims\n", (long long)state.newest,
                  (long long)bed_number(connection, "SELECT count(*) FROM claimed"));
    workers_close(connection, db);
}

static int64_t workers_time(void) {
    return getenv("HTT_TEST_LONG") != NULL ? WORKERS_LONG_MS : WORKERS_MS;
}

static void test_workers__in_threads_keep_the_promises(void **state) {
    (void)state;
    static const char path[] = "event_workers_threads.db";
    pthread_t threads[WORKERS_COUNT + 1];
    workers_job jobs[WORKERS_COUNT + 1];
    const uint64_t seed = test_seed();
    workers_begin(path);
    for (int i = 0; i <= WORKERS_COUNT; i++) {
        jobs[i] = (workers_job){.path = path,
                                .seed = seed + (uint64_t)i * 7919,
                                .writes = i == 0,
                                .number = i,
                                .until = workers_now() + workers_time()};
        assert_int_equal(pthread_create(&threads[i], NULL, workers_run, &jobs[i]), 0);
    }
    for (int i = 0; i <= WORKERS_COUNT; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_string_equal(jobs[i].problem, "");
    }
    workers_end(path);
}

/* A child that is killed, or ends well with 0. */
static pid_t workers_fork(const char *path, int number, uint64_t seed) {
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        workers_job job = {.path = path,
                           .seed = seed,
                           .writes = number == 0,
                           .number = number,
                           .until = workers_now() + 600000};
        (void)workers_run(&job);
        (void)fprintf(stderr, "%s\n", job.problem);
        _exit(1);
    }
    return child;
}

static void test_workers__in_processes_that_are_killed_keep_the_promises(void **state) {
    (void)state;
    static const char path[] = "event_workers_processes.db";
    pid_t children[WORKERS_COUNT + 1];
    workers_job chance = {.seed = test_seed()};
    int kills = 0;
    workers_begin(path);
    for (int i = 0; i <= WORKERS_COUNT; i++) {
        children[i] = workers_fork(path, i, workers_random(&chance, UINT32_MAX));
    }
    const int64_t until = workers_now() + workers_time();
    while (workers_now() < until) {
        const int victim = (int)workers_random(&chance, WORKERS_COUNT + 1);
        int status;
        usleep((useconds_t)(20000 + workers_random(&chance, 200000)));
        assert_int_equal(kill(children[victim], SIGKILL), 0);
        assert_int_equal(waitpid(children[victim], &status, 0), children[victim]);
        assert_true(WIFSIGNALED(status)); /* else it found a problem */
        kills++;
        children[victim] = workers_fork(path, victim, workers_random(&chance, UINT32_MAX));
    }
    for (int i = 0; i <= WORKERS_COUNT; i++) {
        int status;
        assert_int_equal(kill(children[i], SIGKILL), 0);
        assert_int_equal(waitpid(children[i], &status, 0), children[i]);
        assert_true(WIFSIGNALED(status));
    }
    print_message("%d kills\n", kills);
    workers_end(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_workers__in_processes_that_are_killed_keep_the_promises),
        cmocka_unit_test(test_workers__in_threads_keep_the_promises),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
