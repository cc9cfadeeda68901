/* SPDX-License-Identifier: MIT */
/*
 * Every subset of steps whose actions fail, times every subset of compensations that fail, times
 * the ways in which they fail. What must come out is worked out here by a few lines of their own.
 */
#include "saga_world.h"

#include <stdio.h>
#include <string.h>

#define ATTEMPTS HTT_SAGA_ATTEMPTS

static size_t steps_runs;

/* What must come out: the state's name, the trace, and how many calls there are. */
typedef struct steps_outcome {
    const char *state;               /* of the instance */
    char trace[4 * WORLD_STEPS + 1]; /* "+a+b-a" */
    unsigned calls;                  /* of actions and compensations */
} steps_outcome;

static bool steps_for_good(world_act act) {
    return act != WORLD_DOES && act != WORLD_ONCE;
}

static unsigned steps_calls(world_act act) {
    switch (act) {
    case WORLD_DOES:
    case WORLD_REFUSES: return 1;
    case WORLD_ONCE: return 2;
    default: return ATTEMPTS;
    }
}

static void steps_expect(const saga_world *world, steps_outcome *out) {
    size_t at = 0;
    *out = (steps_outcome){.state = "completed"};
    size_t i = 0;
    for (; i < WORLD_STEPS; i++) {
        out->calls += steps_calls(world->actions[i]);
        if (steps_for_good(world->actions[i])) {
            out->state = "compensated";
            break;
        }
        out->trace[at++] = '+';
        out->trace[at++] = (char)('a' + i);
    }
    if (i == WORLD_STEPS) {
        return;
    }
    while (i-- > 0) {
        out->calls += steps_calls(world->compensations[i]);
        if (steps_for_good(world->compensations[i])) {
            out->state = "failed";
            return;
        }
        out->trace[at++] = '-';
        out->trace[at++] = (char)('a' + i);
    }
}

static void steps_run(saga_world *world, unsigned actions, unsigned compensations, world_act action,
                      world_act compensation) {
    steps_outcome expected;
    char id[HTT_SAGA_ID_MAX];
    char sql[300];
    htt_saga_report report;
    for (unsigned i = 0; i < WORLD_STEPS; i++) {
        world->actions[i] = actions >> i & 1 ? action : WORLD_DOES;
        world->compensations[i] = compensations >> i & 1 ? compensation : WORLD_DOES;
    }
    steps_expect(world, &expected);
    world->calls = 0;
    world_start(world, NULL, id);
    world_finish(world, &report);
    (void)snprintf(sql, sizeof sql, "SELECT state FROM htt_saga WHERE id = '%s'", id);
    assert_string_equal(world_value(world->connection, sql), expected.state);
    (void)snprintf(sql, sizeof sql,
                   "SELECT coalesce(group_concat(what, ''), '') FROM (SELECT what FROM trace WHERE "
                   "saga = '%s' ORDER BY rowid)",
                   id);
    assert_string_equal(world_value(world->connection, sql), expected.trace);
    (void)snprintf(sql, sizeof sql,
                   "SELECT coalesce(group_concat(type, ''), '') FROM (SELECT type FROM htt_event "
                   "WHERE aggregate_type = 'trace' AND aggregate_id = '%s' ORDER BY seq)",
                   id);
    assert_string_equal(world_value(world->connection, sql), expected.trace);
    assert_int_equal(world->calls, expected.calls);
    assert_int_equal(report.ran, expected.calls);
    assert_int_equal(report.completed + report.compensated + report.failed, 1);
    /* The data is that of the last one that was not undone. */
    const size_t length = strlen(expected.trace);
    (void)snprintf(sql, sizeof sql,
                   "SELECT coalesce(data ->> 'last', '') FROM htt_saga WHERE id = '%s'", id);
    assert_string_equal(world_value(world->connection, sql),
                        length == 0 ? "" : expected.trace + length - 2);
    steps_runs++;
}

static void test_saga__every_subset_of_failing_steps_and_compensations(void **state) {
    static const world_act ways[] = {WORLD_REFUSES, WORLD_ONCE, WORLD_ROLLBACK,
#ifndef __SANITIZE_ADDRESS__
                                     WORLD_FAILS, WORLD_SQL
#endif
    };
    saga_world world;
    (void)state;
    world_init(&world);
    world.definition.events = true;
    world_open(&world, ":memory:");
    world_define(&world);
    world_run(world.connection, "CREATE INDEX by_aggregate ON htt_event(aggregate_id);"
                                "CREATE INDEX by_saga ON trace(saga)");
    for (size_t a = 0; a < sizeof ways / sizeof ways[0]; a++) {
        for (size_t c = 0; c < sizeof ways / sizeof ways[0]; c++) {
            for (unsigned actions = 0; actions < 1u << WORLD_STEPS; actions++) {
                for (unsigned undo = 0; undo < 1u << WORLD_STEPS; undo++) {
                    steps_run(&world, actions, undo, ways[a], ways[c]);
                }
            }
        }
    }
    expect_text(
        &world,
        "SELECT count(*) FROM htt_saga WHERE ifnull((SELECT group_concat(type) FROM (SELECT "
        "type FROM htt_event WHERE aggregate_type = 'saga' AND aggregate_id = htt_saga.id "
        "ORDER BY seq)), '') NOT IN ('saga.started,saga.completed',"
        " 'saga.started,saga.compensated',"
        " 'saga.started,saga.compensating,saga.compensated',"
        " 'saga.started,saga.compensating,saga.failed')",
        "0");
    world_close(&world);
    print_message("%zu sagas\n", steps_runs);
}

static void test_saga__steps_without_compensation_are_passed_over(void **state) {
    saga_world world;
    char id[HTT_SAGA_ID_MAX];
    (void)state;
    world_init(&world);
    world.steps[0].compensation = NULL;
    world.steps[2].compensation = NULL;
    world.actions[3] = WORLD_REFUSES;
    world_open(&world, ":memory:");
    world_define(&world);
    world_start(&world, NULL, id);
    world_finish(&world, NULL);
    expect_text(&world, "SELECT group_concat(what, '') FROM trace", "+a+b+c-b");
    expect_text(&world, "SELECT state || step || ifnull(step_name, '-') FROM htt_saga",
                "compensated-1-");
    expect_text(&world, "SELECT cause FROM htt_saga", "d: refused 7");
    expect_text(&world, "SELECT last_error FROM htt_saga", "refused 7");
    world_close(&world);
}

static void test_saga__the_first_step_failing_needs_no_compensation(void **state) {
    saga_world world;
    char id[HTT_SAGA_ID_MAX];
    htt_saga_status status;
    (void)state;
    world_init(&world);
    world.actions[0] = WORLD_REFUSES;
    world_open(&world, ":memory:");
    world_define(&world);
    world_start(&world, NULL, id);
    assert_int_equal(htt_saga_advance(world.sagas, id, 0, &status), HTT_OK);
    assert_int_equal(status.state, HTT_SAGA_COMPENSATED);
    assert_int_equal(status.next_at, 0);
    assert_true(status.ran);
    assert_int_equal(htt_saga_advance(world.sagas, id, 0, &status), HTT_OK);
    assert_false(status.ran);
    expect_text(&world, "SELECT count(*) FROM trace", "0");
    world_close(&world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_saga__every_subset_of_failing_steps_and_compensations),
        cmocka_unit_test(test_saga__steps_without_compensation_are_passed_over),
        cmocka_unit_test(test_saga__the_first_step_failing_needs_no_compensation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
