/* SPDX-License-Identifier: MIT */
#include "saga_world.h"

#include <stdio.h>
#include <string.h>

/* --------------------------------------------------------------- platform */

static int64_t world_now(void *context) {
    return ((saga_world *)context)->now;
}

static uint64_t world_random(void *context) {
    saga_world *const world = context;
    world->random ^= world->random << 13;
    world->random ^= world->random >> 7;
    world->random ^= world->random << 17;
    return world->random;
}

static void world_sleep(void *context, uint64_t milliseconds) {
    saga_world *const world = context;
    world->slept += milliseconds;
    world->now += (int64_t)milliseconds;
}

/* -------------------------------------------------------------------- SQL */

void world_run(sqlite3 *connection, const char *sql) {
    char *message = NULL;
    if (sqlite3_exec(connection, sql, NULL, NULL, &message) != SQLITE_OK) {
        fail_msg("%s: %s", sql, message);
    }
}

const char *world_value(sqlite3 *connection, const char *sql) {
    static char text[4096];
    sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v2(connection, sql, -1, &statement, NULL) != SQLITE_OK) {
        fail_msg("%s: %s", sql, sqlite3_errmsg(connection));
    }
    const int code = sqlite3_step(statement);
    const char *found = "";
    if (code == SQLITE_ROW) {
        found = (const char *)sqlite3_column_text(statement, 0);
        found = found == NULL ? "NULL" : found;
    } else if (code != SQLITE_DONE) {
        fail_msg("%s: %s", sql, sqlite3_errmsg(connection));
    }
    assert_true(strlen(found) < sizeof text);
    memcpy(text, found, strlen(found) + 1);
    sqlite3_finalize(statement);
    return text;
}

/* ---------------------------------------------------------------- actions */

static htt_rc world_event(htt_saga_call *call, const char *what) {
    const htt_event event = {.aggregate_type = "trace",
                             .aggregate_id = htt_saga_call_id(call),
                             .type = what,
                             .payload = htt_text(htt_saga_call_data(call))};
    return htt_event_append(htt_saga_call_db(call), &event, NULL);
}

static htt_rc world_trace(htt_saga_call *call, const char *what) {
    sqlite3 *const connection = htt_db_connection(htt_saga_call_db(call));
    sqlite3_stmt *statement = NULL;
    int code = SQLITE_OK;
    if (connection == NULL) {
        return world_event(call, what);
    }
    code = sqlite3_prepare_v2(connection, "INSERT INTO trace(saga, what) VALUES (?1, ?2)", -1,
                              &statement, NULL);
    if (code == SQLITE_OK) {
        sqlite3_bind_text(statement, 1, htt_saga_call_id(call), -1, SQLITE_STATIC);
        sqlite3_bind_text(statement, 2, what, -1, SQLITE_STATIC);
        (void)sqlite3_step(statement);
        code = sqlite3_finalize(statement);
    }
    if (code != SQLITE_OK) {
        return (code & 0xff) == SQLITE_NOMEM ? HTT_NOMEM : HTT_SQL;
    }
    return world_event(call, what);
}

static htt_rc world_fail(saga_world *world, htt_saga_call *call, world_act act) {
    switch (act) {
    case WORLD_DOES: return HTT_OK;
    case WORLD_REFUSES: return htt_saga_refuse(call, "refused %d", 7);
    case WORLD_FAILS: return HTT_IO;
    case WORLD_ONCE:
        return htt_saga_call_attempt(call) == 1 ? htt_saga_later(call, "not yet") : HTT_OK;
    case WORLD_SQL:
        (void)sqlite3_exec(world->connection, "INSERT INTO missing VALUES (1)", NULL, NULL, NULL);
        return HTT_SQL;
    case WORLD_ROLLBACK:
        (void)sqlite3_exec(world->connection, "ROLLBACK", NULL, NULL, NULL);
        return HTT_ABORTED;
    }
    return HTT_MISUSE;
}

static htt_rc world_act_step(htt_saga_call *call, saga_world *world, char sign, size_t index) {
    const char what[3] = {sign, (char)('a' + index), '\0'};
    char data[100];
    world->calls++;
    htt_rc rc = world_trace(call, what);
    if (rc == HTT_OK) {
        (void)snprintf(data, sizeof data, "{\"last\":\"%s\"}", what);
        rc = htt_saga_call_set_data(call, data);
    }
    if (rc == HTT_OK && world->during != NULL) {
        rc = world->during(world, call);
    }
    if (rc != HTT_OK) {
        return rc;
    }
    return world_fail(world, call,
                      sign == '+' ? world->actions[index] : world->compensations[index]);
}

#define WORLD_STEP(letter, index)                                                                  \
    static htt_rc world_do_##letter(htt_saga_call *call, void *context) {                          \
        return world_act_step(call, context, '+', index);                                          \
    }                                                                                              \
    static htt_rc world_undo_##letter(htt_saga_call *call, void *context) {                        \
        return world_act_step(call, context, '-', index);                                          \
    }
WORLD_STEP(a, 0)
WORLD_STEP(b, 1)
WORLD_STEP(c, 2)
WORLD_STEP(d, 3)

/* ------------------------------------------------------------------ world */

void world_init(saga_world *world) {
    static const htt_saga_step steps[WORLD_STEPS] = {
        {.name = "a", .action = world_do_a, .compensation = world_undo_a},
        {.name = "b", .action = world_do_b, .compensation = world_undo_b},
        {.name = "c", .action = world_do_c, .compensation = world_undo_c},
        {.name = "d", .action = world_do_d, .compensation = world_undo_d},
    };
    memset(world, 0, sizeof *world);
    world->now = 1000000;
    world->random = 88172645463325252u;
    memcpy(world->steps, steps, sizeof steps);
    world->definition.name = "saga";
    world->definition.version = 1;
    world->definition.steps = world->steps;
    world->definition.count = WORLD_STEPS;
}

void world_open(saga_world *world, const char *path) {
    sqlite3 *connection = NULL;
    assert_int_equal(sqlite3_open(path, &connection), SQLITE_OK);
    world_open_in(world, connection);
}

static void world_options(saga_world *world, htt_platform *platform, htt_db_options *options) {
    *platform = (htt_platform){world, world_now, world_random, world_sleep};
    htt_db_options_init(options);
    options->platform = platform;
}

static void world_open_sagas(saga_world *world) {
    if (htt_saga_open(world->db, &world->sagas) != HTT_OK) {
        fail_msg("%s", htt_db_errmsg(world->db));
    }
}

void world_open_in(saga_world *world, sqlite3 *connection) {
    htt_platform platform;
    htt_db_options options;
    world_options(world, &platform, &options);
    world->connection = connection;
    assert_int_equal(sqlite3_busy_timeout(world->connection, 10000), SQLITE_OK);
    world_run(world->connection, "CREATE TABLE IF NOT EXISTS trace(saga, what)");
    assert_int_equal(htt_db_open(world->connection, &options, &world->db), HTT_OK);
    world_open_sagas(world);
}

void world_open_fake(saga_world *world) {
    htt_platform platform;
    htt_db_options options;
    world_options(world, &platform, &options);
    world->connection = NULL;
    assert_int_equal(htt_db_open_fake(&options, &world->db), HTT_OK);
    world_open_sagas(world);
}

void world_close(saga_world *world) {
    htt_saga_close(world->sagas);
    assert_int_equal(htt_db_close(world->db), HTT_OK);
    assert_int_equal(sqlite3_close(world->connection), SQLITE_OK);
    world->sagas = NULL;
}

void world_define(saga_world *world) {
    if (htt_saga_define(world->sagas, &world->definition, world) != HTT_OK) {
        fail_msg("%s", htt_db_errmsg(world->db));
    }
}

void world_start(saga_world *world, const char *key, char id[HTT_SAGA_ID_MAX]) {
    const htt_saga_input input = {.definition = "saga", .key = key};
    if (htt_saga_start(world->sagas, &input, id) != HTT_OK) {
        fail_msg("%s", htt_db_errmsg(world->db));
    }
}

void world_finish(saga_world *world, htt_saga_report *report_out) {
    htt_saga_report sum = {0};
    htt_saga_report report = {.more = true};
    for (unsigned i = 0; report.more || report.next_at != 0; i++) {
        if (htt_saga_resume(world->sagas, 0, &report) != HTT_OK) {
            fail_msg("%s", htt_db_errmsg(world->db));
        }
        assert_true(i < 1000);
        assert_int_equal(report.refused, 0);
        sum.ran += report.ran;
        sum.completed += report.completed;
        sum.compensated += report.compensated;
        sum.failed += report.failed;
        world->now = report.next_at > world->now ? report.next_at : world->now;
    }
    if (report_out != NULL) {
        *report_out = sum;
    }
}

/* ------------------------------------------------------------------- look */

/* What is asked of one saga. */
typedef struct world_look {
    const char *id;  /* of it */
    char text[1000]; /* the answer */
} world_look;

static htt_rc world_look_at_event(void *arg, const htt_event *event) {
    world_look *const look = arg;
    if (strcmp(event->aggregate_type, "trace") == 0 && strcmp(event->aggregate_id, look->id) == 0) {
        assert_true(strlen(look->text) + strlen(event->type) < sizeof look->text);
        memcpy(look->text + strlen(look->text), event->type, strlen(event->type) + 1);
    }
    return HTT_OK;
}

const char *world_trace_of(saga_world *world, const char *id) {
    static world_look look;
    look = (world_look){.id = id};
    assert_int_equal(htt_event_each(world->db, 0, 0, world_look_at_event, &look), HTT_OK);
    return look.text;
}

static htt_rc world_look_at(const htt_saga_instance *instance, void *arg) {
    world_look *const look = arg;
    (void)snprintf(look->text, sizeof look->text, "%s %lld %s %s",
                   htt_saga_state_name(instance->status.state), (long long)instance->status.step,
                   instance->step_name == NULL ? "-" : instance->step_name, instance->data);
    return HTT_OK;
}

const char *world_status_of(saga_world *world, const char *id) {
    static world_look look;
    look = (world_look){.id = id};
    assert_int_equal(htt_saga_get(world->sagas, id, world_look_at, &look), HTT_OK);
    return look.text;
}
