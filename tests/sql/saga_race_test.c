/* SPDX-License-Identifier: MIT */
/*
 * Several processes and connections on the same instances: every action and compensation counts
 * once, whoever runs it.
 */
#include "saga_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test_seed.h"

#define RACE_PROCESSES 3u
#define RACE_SAGAS 40u

static char race_folder[64];
static char race_path[100];

static int race_setup(void **state) {
    (void)state;
    (void)snprintf(race_folder, sizeof race_folder, "saga_race.XXXXXX");
    assert_non_null(mkdtemp(race_folder));
    (void)snprintf(race_path, sizeof race_path, "%s/race.db", race_folder);
    return 0;
}

static int race_teardown(void **state) {
    static const char *const suffixes[] = {"", "-wal", "-shm", "-journal"};
    (void)state;
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        char path[120];
        (void)snprintf(path, sizeof path, "%s%s", race_path, suffixes[i]);
        (void)unlink(path);
    }
    return rmdir(race_folder);
}

/* Sagas by their id: of every third the last action refuses, of every fifth b must be repeated. */
static htt_rc race_during(saga_world *world, htt_saga_call *call) {
    const unsigned number = (unsigned)strtoul(htt_saga_call_id(call), NULL, 10);
    const char *const data = htt_saga_call_data(call);
    if (number % 3 == 0 && data[9] == '+' && data[10] == 'd') {
        return htt_saga_refuse(call, "no");
    }
    if (number % 5 == 0 && data[10] == 'b' && htt_saga_call_attempt(call) == 1) {
        return htt_saga_later(call, "again");
    }
    if (test_random(&world->random) % 4 == 0) {
        (void)usleep(200);
    }
    return HTT_OK;
}

static void race_open(saga_world *world, const char *journal, uint64_t seed) {
    char sql[100];
    world_init(world);
    world->random = seed | 1;
    world->during = race_during;
    for (unsigned i = 0; i < WORLD_STEPS; i++) {
        world->steps[i].retry.pause_ms = 1;
        world->steps[i].compensation_retry.pause_ms = 1;
    }
    sqlite3 *connection = NULL;
    assert_int_equal(sqlite3_open(race_path, &connection), SQLITE_OK);
    assert_int_equal(sqlite3_busy_timeout(connection, 30000), SQLITE_OK);
    (void)snprintf(sql, sizeof sql, "PRAGMA journal_mode=%s; PRAGMA synchronous=OFF", journal);
    world_run(connection, sql);
    world_open_in(world, connection);
    world_define(world);
}

/* Until all ended. Its own clock runs on when nothing is due. */
static _Noreturn void race_child(const char *journal, uint64_t seed) {
    saga_world world;
    htt_saga_report report = {.more = true};
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    race_open(&world, journal, seed);
    while (report.more || report.next_at != 0) {
        const htt_rc rc = htt_saga_resume(world.sagas, 1 + test_random(&world.random) % 5, &report);
        if (rc != HTT_OK && rc != HTT_BUSY) {
            (void)fprintf(stderr, "%s\n", htt_db_errmsg(world.db));
            _exit(1);
        }
        world.now++;
        report.more = report.more || rc == HTT_BUSY;
    }
    _exit(report.refused == 0 ? 0 : 1);
}

static void race_in(const char *journal, uint64_t seed) {
    saga_world world;
    pid_t children[RACE_PROCESSES];
    race_open(&world, journal, seed);
    for (unsigned i = 0; i < RACE_SAGAS; i++) {
        char id[12];
        (void)snprintf(id, sizeof id, "%u", i);
        const htt_saga_input input = {.definition = "saga", .id = id};
        assert_int_equal(htt_saga_start(world.sagas, &input, NULL), HTT_OK);
    }
    world_close(&world);
    for (unsigned i = 0; i < RACE_PROCESSES; i++) {
        children[i] = fork();
        assert_true(children[i] >= 0);
        if (children[i] == 0) {
            race_child(journal, seed + 1 + i);
        }
    }
    for (unsigned i = 0; i < RACE_PROCESSES; i++) {
        int status = 0;
        assert_int_equal(waitpid(children[i], &status, 0), children[i]);
        assert_int_equal(status, 0);
    }
    race_open(&world, journal, seed);
    expect_text(&world,
                "SELECT count(*) FROM htt_saga WHERE state || ' ' || (SELECT group_concat(what, '')"
                " FROM (SELECT what FROM trace WHERE saga = id ORDER BY rowid)) = CASE WHEN id % 3"
                " THEN 'completed +a+b+c+d' ELSE 'compensated +a+b+c-c-b-a' END",
                "40");
    world_close(&world);
}

static void test_race__processes_run_every_step_once(void **state) {
    static const char *const journals[] = {"WAL", "DELETE"};
    const uint64_t seed = test_seed();
    for (size_t i = 0; i < sizeof journals / sizeof journals[0]; i++) {
        race_in(journals[i], seed + 100 * i);
        (void)race_teardown(state);
        (void)race_setup(state);
    }
}

/* ------------------------------------------------- two connections, in turn */

static saga_world *race_other;
static htt_rc race_result;

static htt_rc race_into(saga_world *world, htt_saga_call *call) {
    (void)world;
    race_result = htt_saga_advance(race_other->sagas, htt_saga_call_id(call), 0, NULL);
    return HTT_OK;
}

static void test_race__another_connection_waits_while_a_step_runs(void **state) {
    saga_world first;
    saga_world second;
    char id[HTT_SAGA_ID_MAX];
    htt_saga_status status;
    (void)state;
    race_open(&first, "WAL", 1);
    race_open(&second, "WAL", 2);
    assert_int_equal(sqlite3_busy_timeout(second.connection, 0), SQLITE_OK);
    world_start(&first, NULL, id);
    race_other = &second;
    first.during = race_into;
    assert_int_equal(htt_saga_advance(first.sagas, id, 1, &status), HTT_OK);
    assert_int_equal(race_result, HTT_BUSY);
    expect_error(&second, "database is locked");
    assert_int_equal(status.step, 1);
    /* Who goes by what it saw before is told; who does not goes on from there. */
    second.during = NULL;
    assert_int_equal(htt_saga_advance(second.sagas, id, 1, &status), HTT_CONFLICT);
    expect_error(&second, "has version 2, 1 was expected");
    assert_int_equal(htt_saga_advance(second.sagas, id, 0, &status), HTT_OK);
    assert_int_equal(status.step, 2);
    expect_text(&first, "SELECT group_concat(what, '') FROM trace", "+a+b");
    assert_int_equal(first.calls, 1);
    assert_int_equal(second.calls, 1);
    world_close(&first);
    world_close(&second);
}

static htt_rc race_ends_it(saga_world *world, htt_saga_call *call) {
    /* The transaction is lost; another finishes the instance before the attempt is counted. */
    world_run(world->connection, "ROLLBACK");
    (void)call;
    race_other->during = NULL;
    world_finish(race_other, NULL);
    return HTT_ABORTED;
}

static void test_race__a_lost_transaction_that_another_was_faster_after(void **state) {
    saga_world first;
    saga_world second;
    char id[HTT_SAGA_ID_MAX];
    (void)state;
    race_open(&first, "WAL", 1);
    race_open(&second, "WAL", 2);
    world_start(&first, NULL, id);
    race_other = &second;
    first.during = race_ends_it;
    assert_int_equal(htt_saga_advance(first.sagas, id, 0, NULL), HTT_CONFLICT);
    expect_text(&first, "SELECT state || attempts FROM htt_saga", "completed0");
    expect_text(&first, "SELECT group_concat(what, '') FROM trace", "+a+b+c+d");
    world_close(&first);
    world_close(&second);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_race__processes_run_every_step_once, race_setup,
                                        race_teardown),
        cmocka_unit_test_setup_teardown(test_race__another_connection_waits_while_a_step_runs,
                                        race_setup, race_teardown),
        cmocka_unit_test_setup_teardown(test_race__a_lost_transaction_that_another_was_faster_after,
                                        race_setup, race_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
