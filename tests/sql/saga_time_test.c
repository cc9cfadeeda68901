/* SPDX-License-Identifier: MIT */
/* Pauses, deadlines, and clocks that jump. */
#include "saga_world.h"

#include <string.h>

#include "sql/saga/rules.h"

static void setup(saga_world *world) {
    world_init(world);
    world_open(world, ":memory:");
}

static void advance(saga_world *world, const char *id, htt_saga_status *status) {
    if (htt_saga_advance(world->sagas, id, 0, status) != HTT_OK) {
        fail_msg("%s", htt_db_errmsg(world->db));
    }
}

static void test_pause__doubles_up_to_its_most_and_loses_at_most_half(void **state) {
    const htt_saga_retry retry = {.pause_ms = 100, .pause_max_ms = 1000};
    static const int64_t expected[] = {100, 200, 400, 800, 1000, 1000};
    (void)state;
    for (uint32_t i = 0; i < 6; i++) {
        const int64_t most = expected[i];
        int64_t least = most;
        assert_int_equal(htt_saga_rules_pause(&retry, i + 1, 0), most);
        for (uint64_t random = 0; random < 2000; random++) {
            const int64_t pause = htt_saga_rules_pause(&retry, i + 1, random);
            assert_true(pause >= most - most / 2 && pause <= most);
            least = pause < least ? pause : least;
        }
        assert_int_equal(least, most - most / 2);
    }
    assert_int_equal(htt_saga_rules_pause(&retry, UINT32_MAX, 0), 1000);
}

static void test_pause__defaults_and_extremes(void **state) {
    const htt_saga_retry none = {0};
    const htt_saga_retry longer = {.pause_ms = 2 * HTT_SAGA_PAUSE_MAX_MS};
    const htt_saga_retry huge = {.pause_ms = INT64_MAX / 2 + 1, .pause_max_ms = INT64_MAX};
    (void)state;
    assert_int_equal(htt_saga_rules_pause(&none, 1, 0), HTT_SAGA_PAUSE_MS);
    assert_int_equal(htt_saga_rules_pause(&none, 100, 0), HTT_SAGA_PAUSE_MAX_MS);
    assert_int_equal(htt_saga_rules_pause(&longer, 2, 0), 2 * HTT_SAGA_PAUSE_MAX_MS);
    assert_int_equal(htt_saga_rules_pause(&huge, 3, 0), INT64_MAX);
    assert_true(htt_saga_rules_pause(&huge, 3, UINT64_MAX) > 0);
    assert_int_equal(htt_saga_add(INT64_MAX - 1, 2), INT64_MAX);
}

static void test_retry__waits_for_its_pause(void **state) {
    saga_world world;
    char id[HTT_SAGA_ID_MAX];
    htt_saga_status status;
    (void)state;
    setup(&world);
    world.steps[0].retry = (htt_saga_retry){.attempts = 3, .pause_ms = 1000};
    world.actions[0] = WORLD_FAILS;
    world_define(&world);
    world_start(&world, NULL, id);
    advance(&world, id, &status);
    assert_int_equal(status.attempts, 1);
    assert_int_equal(status.state, HTT_SAGA_RUNNING);
    assert_true(status.next_at >= world.now + 500 && status.next_at <= world.now + 1000);
    world.now = status.next_at - 1;
    advance(&world, id, &status);
    assert_false(status.ran);
    assert_int_equal(world.calls, 1);
    world.now++;
    advance(&world, id, &status);
    assert_int_equal(status.attempts, 2);
    assert_int_equal(world.calls, 2);
    assert_true(status.next_at >= world.now + 1000 && status.next_at <= world.now + 2000);
    expect_text(&world, "SELECT last_error FROM htt_saga", htt_strerror(HTT_IO));
    world_close(&world);
}

static void test_timeout__of_a_step_ends_its_attempts(void **state) {
    saga_world world;
    char id[HTT_SAGA_ID_MAX];
    (void)state;
    setup(&world);
    world.steps[1].retry.attempts = HTT_SAGA_FOREVER;
    world.steps[1].timeout_ms = 100000;
    world.actions[1] = WORLD_FAILS;
    world_define(&world);
    world_start(&world, NULL, id);
    const int64_t start = world.now;
    world_finish(&world, NULL);
    assert_int_equal(world.now, start + 100000); /* RULE-1: looked at exactly then */
    assert_true(world.calls > 6);
    expect_text(&world, "SELECT state FROM htt_saga", "compensated");
    expect_text(&world, "SELECT group_concat(what, '') FROM trace", "+a-a");
    expect_part(world_value(world.connection, "SELECT cause FROM htt_saga"),
                "b: not done within 100000 ms, ");
    expect_part(world_value(world.connection, "SELECT cause FROM htt_saga"),
                " attempts failed; the last: ");
    world_close(&world);
}

static void test_timeout__of_the_saga_counts_for_all_actions_together(void **state) {
    saga_world world;
    char id[HTT_SAGA_ID_MAX];
    htt_saga_status status;
    (void)state;
    setup(&world);
    world.definition.timeout_ms = 5000;
    world.steps[2].timeout_ms = 4000;
    world.compensations[0] = WORLD_FAILS;
    world_define(&world);
    world_start(&world, NULL, id);
    advance(&world, id, &status);
    world.now += 3000;
    advance(&world, id, &status); /* b; c would have until 7000 */
    assert_int_equal(status.step, 2);
    world.now += 2000;
    advance(&world, id, &status);
    assert_int_equal(status.state, HTT_SAGA_COMPENSATING);
    assert_int_equal(status.step, 1);
    expect_text(&world, "SELECT cause FROM htt_saga",
                "c: not done within 5000 ms, 0 attempts failed");
    world.now += 100000; /* compensations have no part in it */
    advance(&world, id, &status);
    assert_int_equal(status.step, 0);
    advance(&world, id, &status);
    assert_int_equal(status.state, HTT_SAGA_COMPENSATING);
    assert_int_equal(status.attempts, 1);
    world_close(&world);
}

static void test_timeout__the_nearer_one_counts(void **state) {
    saga_world world;
    char id[HTT_SAGA_ID_MAX];
    htt_saga_status status;
    (void)state;
    setup(&world);
    world.definition.timeout_ms = 5000;
    world.steps[0].timeout_ms = 4000;
    world_define(&world);
    world_start(&world, NULL, id);
    world.now += 4000;
    advance(&world, id, &status);
    assert_int_equal(status.state, HTT_SAGA_COMPENSATED);
    expect_text(&world, "SELECT cause FROM htt_saga",
                "a: not done within 4000 ms, 0 attempts failed");
    assert_int_equal(world.calls, 0);
    world_close(&world);
}

static void test_timeout__of_a_compensation_makes_it_fail_visibly(void **state) {
    saga_world world;
    char id[HTT_SAGA_ID_MAX];
    htt_saga_status status;
    (void)state;
    setup(&world);
    world.steps[0].compensation_timeout_ms = 700;
    world.steps[0].compensation_retry.attempts = HTT_SAGA_FOREVER;
    world.actions[1] = WORLD_REFUSES;
    world.compensations[0] = WORLD_FAILS;
    world_define(&world);
    world_start(&world, NULL, id);
    world_finish(&world, NULL);
    expect_text(&world, "SELECT state || step || step_name FROM htt_saga", "failed0a");
    expect_part(world_value(world.connection, "SELECT last_error FROM htt_saga"),
                "not done within 700 ms");
    expect_text(&world, "SELECT cause FROM htt_saga", "b: refused 7");
    advance(&world, id, &status);
    assert_false(status.ran);
    world_close(&world);
}

static htt_rc takes_long(saga_world *world, htt_saga_call *call) {
    (void)call;
    world->now += 1000;
    return HTT_OK;
}

static void test_timeout__an_action_that_is_done_too_late_is_undone(void **state) {
    saga_world world;
    char id[HTT_SAGA_ID_MAX];
    htt_saga_status status;
    (void)state;
    setup(&world);
    world.steps[0].timeout_ms = 1000;
    world.during = takes_long;
    world_define(&world);
    world_start(&world, NULL, id);
    advance(&world, id, &status);
    assert_int_equal(status.state, HTT_SAGA_COMPENSATED);
    expect_text(&world, "SELECT count(*) FROM trace", "0");
    expect_text(&world, "SELECT cause FROM htt_saga", "a: done, but not within 1000 ms: undone");
    world_close(&world);
}

static void test_timeout__a_late_compensation_stays_done(void **state) {
    saga_world world;
    char id[HTT_SAGA_ID_MAX];
    (void)state;
    setup(&world);
    world.steps[0].compensation_timeout_ms = 1000;
    world.during = takes_long;
    world.actions[1] = WORLD_REFUSES;
    world_define(&world);
    world_start(&world, NULL, id);
    world_finish(&world, NULL);
    expect_text(&world, "SELECT state FROM htt_saga", "compensated");
    world_close(&world);
}

static void test_timeout__ends_a_step_that_kills_its_process(void **state) {
    saga_world world;
    char id[HTT_SAGA_ID_MAX];
    (void)state;
    setup(&world);
    world.steps[0].timeout_ms = 1000;
    world_define(&world);
    world_start(&world, NULL, id);
    /* Nothing was written by it: all that is left is the time. */
    world.now += 1000;
    world_finish(&world, NULL);
    assert_int_equal(world.calls, 0);
    expect_text(&world, "SELECT state FROM htt_saga", "compensated");
    world_close(&world);
}

static void test_delay__the_first_step_and_all_limits_come_later(void **state) {
    saga_world world;
    char id[HTT_SAGA_ID_MAX];
    htt_saga_status status;
    const htt_saga_input input = {.definition = "saga", .delay_ms = 10000};
    (void)state;
    setup(&world);
    world.definition.timeout_ms = 500;
    world_define(&world);
    assert_int_equal(htt_saga_start(world.sagas, &input, id), HTT_OK);
    world.now += 9999;
    advance(&world, id, &status);
    assert_false(status.ran);
    world.now += 1;
    world_finish(&world, NULL);
    expect_text(&world, "SELECT state FROM htt_saga", "completed");
    world_close(&world);
}

static void test_clock__going_back_delays_and_loses_nothing(void **state) {
    saga_world world;
    char id[HTT_SAGA_ID_MAX];
    htt_saga_status status;
    htt_saga_report report;
    (void)state;
    setup(&world);
    world_define(&world);
    world_start(&world, NULL, id);
    advance(&world, id, &status);
    world.now -= 500000;
    assert_int_equal(htt_saga_resume(world.sagas, 0, &report), HTT_OK);
    assert_int_equal(report.ran, 0);
    assert_int_equal(report.next_at, world.now + 500000); /* and says when */
    assert_int_equal(htt_saga_wake(world.sagas, id), HTT_OK);
    assert_int_equal(htt_saga_resume(world.sagas, 0, &report), HTT_OK);
    assert_int_equal(report.completed, 1);
    /* What was changed last does not go back. */
    expect_text(&world, "SELECT updated_at >= created_at FROM htt_saga", "1");
    expect_text(&world, "SELECT group_concat(what, '') FROM trace", "+a+b+c+d");
    world_close(&world);
}

static void test_clock__at_zero_or_below_still_works(void **state) {
    saga_world world;
    char id[HTT_SAGA_ID_MAX];
    (void)state;
    setup(&world);
    world.now = -5;
    world_define(&world);
    world_start(&world, NULL, id);
    world_finish(&world, NULL);
    expect_text(&world, "SELECT state FROM htt_saga", "completed");
    world_close(&world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pause__doubles_up_to_its_most_and_loses_at_most_half),
        cmocka_unit_test(test_pause__defaults_and_extremes),
        cmocka_unit_test(test_retry__waits_for_its_pause),
        cmocka_unit_test(test_timeout__of_a_step_ends_its_attempts),
        cmocka_unit_test(test_timeout__of_the_saga_counts_for_all_actions_together),
        cmocka_unit_test(test_timeout__the_nearer_one_counts),
        cmocka_unit_test(test_timeout__of_a_compensation_makes_it_fail_visibly),
        cmocka_unit_test(test_timeout__an_action_that_is_done_too_late_is_undone),
        cmocka_unit_test(test_timeout__a_late_compensation_stays_done),
        cmocka_unit_test(test_timeout__ends_a_step_that_kills_its_process),
        cmocka_unit_test(test_delay__the_first_step_and_all_limits_come_later),
        cmocka_unit_test(test_clock__going_back_delays_and_loses_nothing),
        cmocka_unit_test(test_clock__at_zero_or_below_still_works),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
