/* SPDX-License-Identifier: MIT */
/*
 * The machine loses power, or the process is killed, between any two operations on the files while
 * sagas run. Afterwards what is there is a state between two steps, nothing that had returned is
 * gone, and resuming ends as if nothing had happened: no action or compensation counts twice.
 *
 * Four sagas: one completes; one is compensated; of one, an action is tried twice, and another
 * takes the transaction down with it; of one, a compensation fails.
 */
#include "saga_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/test_env_crash.h"
#include "support/test_vfs.h"

#define CRASH_SAGAS 4u
#define CRASH_CUTS 3u       /* power cuts at a position, at most */
#define CRASH_CUTS_LONG 64u /* with HTT_TEST_LONG=1 */
#if defined(__SANITIZE_ADDRESS__)
#define CRASH_STRIDE 11u /* from position to position */
#else
#define CRASH_STRIDE 1u
#endif
#define CRASH_ACKS 200u

static const char *const crash_traces[CRASH_SAGAS] = {"+a+b+c+d", "+a+b+c-c-b-a", "+a+b-b-a",
                                                      "+a+b+c-c"};
static const char *const crash_states[CRASH_SAGAS] = {"completed", "compensated", "compensated",
                                                      "failed"};

typedef struct crash_mode {
    const char *name;    /* of the journal mode */
    const char *pragmas; /* of each connection */
} crash_mode;

static const crash_mode crash_modes[] = {
    {"wal", "PRAGMA page_size=1024; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL"},
    {"delete", "PRAGMA page_size=1024; PRAGMA journal_mode=DELETE; PRAGMA synchronous=EXTRA"},
};

/* What had returned when: trace rows, and where the disk stood. */
typedef struct crash_log {
    size_t count;                  /* of acks */
    size_t position[CRASH_ACKS];   /* of the disk, after the call */
    int64_t rows[CRASH_ACKS];      /* of trace */
    int64_t instances[CRASH_ACKS]; /* of htt_saga */
} crash_log;

static size_t crash_count;
static size_t crash_opened;

static htt_rc crash_during(saga_world *world, htt_saga_call *call) {
    const char which = htt_saga_call_id(call)[0];
    const char *const data = htt_saga_call_data(call); /* {"last":"+a"} */
    const char sign = data[9];
    const char step = data[10];
    if ((which == '1' || which == '3') && sign == '+' && step == 'd') {
        return htt_saga_refuse(call, "no");
    }
    if (which == '2' && sign == '+' && step == 'b' && htt_saga_call_attempt(call) == 1) {
        return htt_saga_later(call, "not yet");
    }
    if (which == '2' && sign == '+' && step == 'c') {
        world_run(world->connection, "ROLLBACK");
        return HTT_ABORTED;
    }
    if (which == '3' && sign == '-' && step == 'b') {
        return htt_saga_refuse(call, "never");
    }
    return HTT_OK;
}

static int64_t crash_number(saga_world *world, const char *sql) {
    long long number = 0;
    assert_int_equal(sscanf(world_value(world->connection, sql), "%lld", &number), 1);
    return number;
}

static void crash_ack(crash_log *log, crash_fs *disk, saga_world *world) {
    assert_true(log->count < CRASH_ACKS);
    log->position[log->count] = crash_fs_position(disk);
    log->rows[log->count] = crash_number(world, "SELECT count(*) FROM trace");
    log->instances[log->count++] = crash_number(world, "SELECT count(*) FROM htt_saga");
}

static void crash_open(saga_world *world, vfs_process *process, const crash_mode *mode) {
    sqlite3 *connection = NULL;
    world_init(world);
    world->now = 1 << 20;
    world->random += ++crash_opened; /* each process has random numbers of its own */
    world->during = crash_during;
    world->definition.events = true;
    assert_int_equal(vfs_process_open(process, "/host.db", &connection), SQLITE_OK);
    world_run(connection, mode->pragmas);
    world_open_in(world, connection);
    world_define(world);
}

/* All of them, each once, however often it is called. */
static void crash_start(saga_world *world, crash_log *log, crash_fs *disk) {
    for (unsigned i = 0; i < CRASH_SAGAS; i++) {
        const char id[2] = {(char)('0' + i), '\0'};
        const char key[3] = {'k', (char)('0' + i), '\0'};
        char got[HTT_SAGA_ID_MAX];
        const htt_saga_input input = {.definition = "saga", .id = id, .key = key};
        if (htt_saga_start(world->sagas, &input, got) != HTT_OK) {
            fail_msg("%s", htt_db_errmsg(world->db));
        }
        assert_string_equal(got, id);
        if (log != NULL) {
            crash_ack(log, disk, world);
        }
    }
}

/* One step at a time, each with an ack. */
static void crash_run(saga_world *world, crash_log *log, crash_fs *disk) {
    htt_saga_report report = {.more = true};
    while (report.more || report.next_at != 0) {
        if (htt_saga_resume(world->sagas, 1, &report) != HTT_OK) {
            fail_msg("%s", htt_db_errmsg(world->db));
        }
        crash_ack(log, disk, world);
        world->now = report.next_at > world->now ? report.next_at : world->now;
    }
}

/* -------------------------------------------------------------- judgement */

/* The trace of a saga is what its row says that it is, and its events say the same. */
static void crash_check_between(saga_world *world, const char *origin) {
    static const char *const wrong =
        "SELECT id || ': ' || state || step || ' ' || t || ' ' || e FROM (SELECT id, state, step,"
        " (SELECT ifnull(group_concat(what, ''), '') FROM (SELECT what FROM trace WHERE saga = id"
        "  ORDER BY rowid)) AS t, (SELECT ifnull(group_concat(type, ''), '') FROM (SELECT type FROM"
        "  htt_event WHERE aggregate_type = 'trace' AND aggregate_id = htt_saga.id ORDER BY seq))"
        " AS e,"
        " (SELECT count(*) FROM trace WHERE saga = id AND what LIKE '+_') AS done,"
        " (SELECT count(*) FROM trace WHERE saga = id AND what LIKE '-_') AS undone FROM htt_saga)"
        " WHERE t <> e OR step <> CASE WHEN state IN ('running', 'completed') THEN done"
        " ELSE done - undone - 1 END";
    const char *const found = world_value(world->connection, wrong);
    if (found[0] != '\0') {
        fail_msg("%s after %s", found, origin);
    }
    if (strcmp(world_value(world->connection, "PRAGMA integrity_check"), "ok") != 0) {
        fail_msg("integrity_check after %s", origin);
    }
}

static void crash_check_end(saga_world *world, const char *origin) {
    for (unsigned i = 0; i < CRASH_SAGAS; i++) {
        char sql[400];
        char expected[100];
        (void)snprintf(
            sql, sizeof sql,
            "SELECT state || ' ' || (SELECT group_concat(what, '') FROM (SELECT what "
            "FROM trace WHERE saga = '%u' ORDER BY rowid)) FROM htt_saga WHERE id = '%u'",
            i, i);
        (void)snprintf(expected, sizeof expected, "%s %s", crash_states[i], crash_traces[i]);
        const char *const found = world_value(world->connection, sql);
        if (strcmp(found, expected) != 0) {
            fail_msg("saga %u: %s, not %s, after %s", i, found, expected, origin);
        }
    }
}

/* The machine comes up again on what the disk kept. */
static void crash_recover(crash_fs *after, const crash_mode *mode, const crash_log *log,
                          size_t position, bool lost_power) {
    vfs_machine *const machine = vfs_machine_new();
    vfs_process *const process = vfs_process_new(machine, crash_fs_env(after));
    saga_world world;
    char origin[700];
    (void)snprintf(origin, sizeof origin, "%s, position %zu, %s %s", mode->name, position,
                   lost_power ? "power" : "kill", crash_fs_origin(after));
    crash_open(&world, process, mode);
    const int64_t rows = crash_number(&world, "SELECT count(*) FROM trace");
    const int64_t instances = crash_number(&world, "SELECT count(*) FROM htt_saga");
    for (size_t i = 0; i < log->count && log->position[i] <= position; i++) {
        if (rows < log->rows[i] || instances < log->instances[i]) {
            fail_msg("lost what had returned, after %s", origin);
        }
    }
    crash_check_between(&world, origin);
    crash_start(&world, NULL, NULL);
    world_finish(&world, NULL);
    crash_check_between(&world, origin);
    crash_check_end(&world, origin);
    world_close(&world);
    vfs_process_free(process);
    vfs_machine_free(machine);
    crash_count++;
}

static void crash_in(const crash_mode *mode) {
    crash_fs *const disk = crash_fs_new(4711);
    vfs_machine *const machine = vfs_machine_new();
    vfs_process *const process = vfs_process_new(machine, crash_fs_env(disk));
    saga_world world;
    crash_log log = {0};
    crash_open(&world, process, mode);
    const size_t first = crash_fs_position(disk);
    crash_start(&world, &log, disk);
    crash_run(&world, &log, disk);
    crash_check_end(&world, "no crash");
    const size_t last = crash_fs_position(disk);
    world_close(&world);
    vfs_process_free(process);
    vfs_machine_free(machine);
    const size_t limit = getenv("HTT_TEST_LONG") != NULL ? CRASH_CUTS_LONG : CRASH_CUTS;
    for (size_t at = first; at <= last; at += CRASH_STRIDE) {
        crash_fs *const killed = crash_fs_killed(disk, at);
        crash_recover(killed, mode, &log, at, false);
        crash_fs_free(killed);
        const size_t cuts = crash_fs_cut_count(disk, at, limit);
        for (size_t i = 0; i < cuts; i++) {
            crash_fs *const after = crash_fs_cut(disk, at, i, limit);
            crash_recover(after, mode, &log, at, true);
            crash_fs_free(after);
        }
    }
    print_message("%s: %zu operations, %zu crashes so far\n", mode->name, last - first,
                  crash_count);
    crash_fs_free(disk);
}

static void test_crash__anywhere_ends_as_if_nothing_had_happened(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof crash_modes / sizeof crash_modes[0]; i++) {
        crash_in(&crash_modes[i]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_crash__anywhere_ends_as_if_nothing_had_happened),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
