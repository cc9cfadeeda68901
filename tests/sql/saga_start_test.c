/* SPDX-License-Identifier: MIT */
/* Announcing definitions, and starting instances: once for each key, with data that is JSON. */
#include "saga_world.h"

#include <stdio.h>
#include <string.h>

static void setup(saga_world *world) {
    world_init(world);
    world_open(world, ":memory:");
}

/* ------------------------------------------------------------ definitions */

static void refused(saga_world *world, htt_rc rc, const char *part) {
    assert_int_equal(htt_saga_define(world->sagas, &world->definition, world), rc);
    expect_error(world, part);
}

static void test_define__what_makes_no_sense_is_refused_and_said(void **state) {
    saga_world world;
    char long_name[202];
    (void)state;
    setup(&world);
    memset(long_name, 'x', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = '\0';
    assert_int_equal(htt_saga_define(NULL, &world.definition, NULL), HTT_MISUSE);
    assert_int_equal(htt_saga_define(world.sagas, NULL, NULL), HTT_MISUSE);
    static const char *const names[] = {NULL, "", "a\nb", "a\"b", "a\\b", "\x7f"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        world.definition.name = names[i];
        refused(&world, HTT_MISUSE, "a saga's name is missing");
        world.definition.name = "saga";
        world.steps[1].name = names[i];
        refused(&world, HTT_MISUSE, "saga saga: step 1: its name is missing");
        world.steps[1].name = "b";
    }
    world.definition.name = long_name;
    refused(&world, HTT_MISUSE, "too long");
    world.definition.name = "saga";
    world.definition.version = 0;
    refused(&world, HTT_MISUSE, "version must be above 0");
    world.definition.version = 1;
    world.definition.timeout_ms = -1;
    refused(&world, HTT_MISUSE, "timeout_ms not negative");
    world.definition.timeout_ms = 0;
    world.definition.count = 0;
    refused(&world, HTT_MISUSE, "1 to 1000 steps");
    world.definition.count = HTT_SAGA_STEPS_MAX + 1;
    refused(&world, HTT_MISUSE, "1 to 1000 steps");
    world.definition.count = WORLD_STEPS;
    world.definition.steps = NULL;
    refused(&world, HTT_MISUSE, "1 to 1000 steps");
    world.definition.steps = world.steps;
    world.steps[3].name = "a";
    refused(&world, HTT_MISUSE, "step 3: another step has its name");
    world.steps[3].name = "d";
    htt_saga_act *const action = world.steps[2].action;
    world.steps[2].action = NULL;
    refused(&world, HTT_MISUSE, "step 2: it has no action");
    world.steps[2].action = action;
    world_close(&world);
}

static void test_define__times_that_make_no_sense_are_refused(void **state) {
    saga_world world;
    (void)state;
    setup(&world);
    world.steps[0].timeout_ms = -1;
    refused(&world, HTT_MISUSE, "a timeout is negative");
    world.steps[0].timeout_ms = 0;
    world.steps[0].compensation_timeout_ms = -1;
    refused(&world, HTT_MISUSE, "a timeout is negative");
    world.steps[0].compensation_timeout_ms = 0;
    world.steps[0].retry.pause_ms = -1;
    refused(&world, HTT_MISUSE, "a pause is negative");
    world.steps[0].retry.pause_ms = 0;
    world.steps[0].compensation_retry.pause_max_ms = -1;
    refused(&world, HTT_MISUSE, "a pause is negative");
    world.steps[0].compensation_retry.pause_max_ms = 0;
    world.steps[0].retry.attempts = HTT_SAGA_FOREVER;
    refused(&world, HTT_MISUSE, "HTT_SAGA_FOREVER stands without a timeout");
    world.definition.timeout_ms = 1000;
    world.steps[0].compensation_retry.attempts = HTT_SAGA_FOREVER; /* the saga's is for actions */
    refused(&world, HTT_MISUSE, "HTT_SAGA_FOREVER stands without a timeout");
    world.steps[0].compensation_timeout_ms = 1;
    world_define(&world);
    refused(&world, HTT_EXISTS, "saga saga version 1 was announced already");
    world_close(&world);
}

static void test_define__other_steps_need_a_new_version_while_instances_need_the_old(void **state) {
    saga_world world;
    htt_saga_definition second;
    char id[HTT_SAGA_ID_MAX];
    (void)state;
    setup(&world);
    world_define(&world);
    world_start(&world, NULL, id);
    expect_text(&world, "SELECT steps FROM htt_saga_definition", "[\"a\",\"b\",\"c\",\"d\"]");
    htt_saga_close(world.sagas);
    assert_int_equal(htt_saga_open(world.db, &world.sagas), HTT_OK);
    world.definition.count = 3;
    refused(&world, HTT_MISMATCH, "1 instances that did not end need those");
    expect_text(&world, "SELECT steps FROM htt_saga_definition", "[\"a\",\"b\",\"c\",\"d\"]");
    second = world.definition;
    second.version = 2;
    assert_int_equal(htt_saga_define(world.sagas, &second, &world), HTT_OK);
    world.definition.count = 4;
    world_define(&world);
    world_finish(&world, NULL); /* the old one by its own steps */
    expect_text(&world, "SELECT group_concat(what, '') FROM trace", "+a+b+c+d");
    world_start(&world, NULL, id); /* the highest version */
    world_finish(&world, NULL);
    expect_text(&world, "SELECT step || state FROM htt_saga WHERE definition_version = 2",
                "3completed");
    world_close(&world);
}

static void test_define__other_steps_replace_those_that_nobody_needs(void **state) {
    saga_world world;
    char id[HTT_SAGA_ID_MAX];
    (void)state;
    setup(&world);
    world_run(
        world.connection,
        "INSERT INTO htt_saga_definition VALUES ('saga', 1, '[ \"a\", \"b\",\"c\", \"d\" ]')");
    world_define(&world); /* the same, written otherwise */
    expect_text(&world, "SELECT steps FROM htt_saga_definition",
                "[ \"a\", \"b\",\"c\", \"d\" ]"); /* nothing was written */
    world_start(&world, NULL, id);
    world_finish(&world, NULL);
    htt_saga_close(world.sagas);
    assert_int_equal(htt_saga_open(world.db, &world.sagas), HTT_OK);
    world.definition.count = 3;
    world_define(&world);
    expect_text(&world, "SELECT steps FROM htt_saga_definition", "[\"a\",\"b\",\"c\"]");
    world_run(world.connection, "PRAGMA ignore_check_constraints = 1");
    world_run(world.connection, "UPDATE htt_saga_definition SET steps = 'no json'");
    htt_saga_close(world.sagas);
    assert_int_equal(htt_saga_open(world.db, &world.sagas), HTT_OK);
    world_define(&world);
    expect_text(&world, "SELECT steps FROM htt_saga_definition", "[\"a\",\"b\",\"c\"]");
    world_close(&world);
}

/* ------------------------------------------------------------------ start */

static htt_rc start(saga_world *world, htt_saga_input input, char id[HTT_SAGA_ID_MAX]) {
    if (input.definition == NULL) {
        input.definition = "saga";
    }
    return htt_saga_start(world->sagas, &input, id);
}

static void test_start__the_same_key_and_data_give_the_same_instance(void **state) {
    saga_world world;
    char first[HTT_SAGA_ID_MAX];
    char again[HTT_SAGA_ID_MAX];
    const htt_saga_input input = {.data = "{\"n\":1}", .key = "k"};
    (void)state;
    setup(&world);
    world_define(&world);
    assert_int_equal(start(&world, input, first), HTT_OK);
    assert_int_equal(start(&world, input, again), HTT_OK);
    assert_string_equal(first, again);
    world_finish(&world, NULL);
    assert_int_equal(start(&world, input, again), HTT_OK);
    assert_string_equal(first, again);
    expect_text(&world, "SELECT count(*) || idempotency_key FROM htt_saga", "1k");
    assert_int_equal(start(&world, (htt_saga_input){.data = "{\"n\":2}", .key = "k"}, again),
                     HTT_CONFLICT);
    expect_error(&world, "the key 'k' was used to start one with other data");
    assert_int_equal(start(&world, (htt_saga_input){.data = "{\"n\":2}", .key = "l"}, NULL),
                     HTT_OK);
    expect_text(&world, "SELECT count(*) FROM htt_saga", "2");
    world_close(&world);
}

static void test_start__a_key_is_known_for_its_time(void **state) {
    saga_world world;
    char first[HTT_SAGA_ID_MAX];
    char again[HTT_SAGA_ID_MAX];
    htt_saga_input input = {.key = "k", .key_keep_ms = 1000};
    (void)state;
    setup(&world);
    world_define(&world);
    assert_int_equal(start(&world, input, first), HTT_OK);
    world.now += 1000;
    assert_int_equal(start(&world, input, again), HTT_OK);
    assert_string_not_equal(first, again);
    input.key_keep_ms = 0;
    input.key = "l";
    assert_int_equal(start(&world, input, first), HTT_OK);
    world.now += HTT_SAGA_KEY_KEEP_MS - 1;
    assert_int_equal(start(&world, input, again), HTT_OK);
    assert_string_equal(first, again);
    world_close(&world);
}

static void test_start__a_key_lives_as_long_as_the_sagas_time(void **state) {
    saga_world world;
    char first[HTT_SAGA_ID_MAX];
    char again[HTT_SAGA_ID_MAX];
    const htt_saga_input input = {.key = "k", .key_keep_ms = 1};
    (void)state;
    setup(&world);
    world.definition.timeout_ms = 5000;
    world_define(&world);
    assert_int_equal(start(&world, input, first), HTT_OK);
    world.now += 4999;
    assert_int_equal(start(&world, input, again), HTT_OK);
    assert_string_equal(first, again);
    world_close(&world);
}

static void test_start__a_rolled_back_start_leaves_neither_key_nor_saga(void **state) {
    saga_world world;
    char id[HTT_SAGA_ID_MAX];
    (void)state;
    setup(&world);
    world.definition.events = true;
    world_define(&world);
    world_run(world.connection, "BEGIN");
    world_start(&world, "k", id);
    expect_text(&world, "SELECT count(*) FROM htt_saga", "1");
    world_run(world.connection, "ROLLBACK");
    expect_text(&world,
                "SELECT (SELECT count(*) FROM htt_saga) + (SELECT count(*) FROM htt_idempotency) + "
                "(SELECT count(*) FROM htt_event)",
                "0");
    world_start(&world, "k", id);
    expect_text(&world, "SELECT type || aggregate_type || payload FROM htt_event",
                "saga.startedsaga{\"definition\":\"saga\",\"version\":1,\"step\":0}");
    world_close(&world);
}

static void test_start__bad_input_is_refused_and_said(void **state) {
    saga_world world;
    char id[HTT_SAGA_ID_MAX] = "as it was";
    char long_id[HTT_SAGA_ID_MAX + 1];
    (void)state;
    setup(&world);
    memset(long_id, 'x', sizeof long_id - 1);
    long_id[sizeof long_id - 1] = '\0';
    assert_int_equal(start(&world, (htt_saga_input){0}, id), HTT_NOTFOUND);
    expect_error(&world, "no saga 'saga' version 0 (0: any) was announced");
    world_define(&world);
    const htt_saga_input unnamed = {0};
    assert_int_equal(htt_saga_start(NULL, &unnamed, id), HTT_MISUSE);
    assert_int_equal(htt_saga_start(world.sagas, NULL, id), HTT_MISUSE);
    assert_int_equal(htt_saga_start(world.sagas, &unnamed, id), HTT_MISUSE);
    assert_int_equal(start(&world, (htt_saga_input){.version = 2}, id), HTT_NOTFOUND);
    assert_int_equal(start(&world, (htt_saga_input){.definition = "saga2"}, id), HTT_NOTFOUND);
    assert_int_equal(start(&world, (htt_saga_input){.delay_ms = -1}, id), HTT_MISUSE);
    assert_int_equal(start(&world, (htt_saga_input){.key_keep_ms = -1}, id), HTT_MISUSE);
    assert_int_equal(start(&world, (htt_saga_input){.id = ""}, id), HTT_MISUSE);
    assert_int_equal(start(&world, (htt_saga_input){.id = long_id}, id), HTT_MISUSE);
    expect_error(&world, "1 to 63 bytes");
    assert_int_equal(start(&world, (htt_saga_input){.data = "{\"a\":}"}, id), HTT_INVALID);
    expect_error(&world, "saga to be started: its data is not valid JSON, at byte 5");
    assert_int_equal(start(&world, (htt_saga_input){.data = "{", .id = "x"}, id), HTT_INVALID);
    expect_error(&world, "saga 'x': its data is not valid JSON");
    assert_int_equal(start(&world, (htt_saga_input){.key = ""}, id), HTT_MISUSE);
    assert_string_equal(id, "as it was");
    expect_text(&world, "SELECT count(*) FROM htt_saga", "0");
    world_close(&world);
}

static void test_start__an_id_of_the_caller_is_used_once(void **state) {
    saga_world world;
    char id[HTT_SAGA_ID_MAX];
    (void)state;
    setup(&world);
    world_define(&world);
    assert_int_equal(start(&world, (htt_saga_input){.id = "mine"}, id), HTT_OK);
    assert_string_equal(id, "mine");
    assert_int_equal(start(&world, (htt_saga_input){.id = "mine"}, id), HTT_EXISTS);
    expect_error(&world, "a saga with the id 'mine' already");
    /* Failing with a key frees the key. */
    assert_int_equal(start(&world, (htt_saga_input){.id = "mine", .key = "k"}, id), HTT_EXISTS);
    assert_int_equal(start(&world, (htt_saga_input){.id = "other", .key = "k"}, id), HTT_OK);
    world_close(&world);
}

static void test_start__ids_are_uuids_of_version_seven(void **state) {
    saga_world world;
    char id[HTT_SAGA_ID_MAX];
    (void)state;
    setup(&world);
    world_define(&world);
    world.now = 0x123456789abc;
    for (int i = 0; i < 100; i++) {
        world_start(&world, NULL, id);
    }
    expect_text(&world,
                "SELECT count(DISTINCT id) FROM htt_saga WHERE id GLOB "
                "'12345678-9abc-7[0-9a-f][0-9a-f][0-9a-f]-[89ab][0-9a-f][0-9a-f][0-9a-f]-*'"
                " AND length(id) = 36",
                "100");
    world_close(&world);
}

static void test_start__a_key_whose_result_was_altered_is_told(void **state) {
    static const char *const changes[] = {"result = NULL", "result = ''", "result = 5",
                                          "result = printf('%.*c', 64, 'x')"};
    saga_world world;
    char id[HTT_SAGA_ID_MAX];
    (void)state;
    setup(&world);
    world_define(&world);
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        char key[10];
        char sql[200];
        (void)snprintf(key, sizeof key, "k%zu", i);
        world_start(&world, key, id);
        (void)snprintf(sql, sizeof sql, "UPDATE htt_idempotency SET %s WHERE key = '%s'",
                       changes[i], key);
        world_run(world.connection, sql);
        assert_int_equal(start(&world, (htt_saga_input){.key = key}, id), HTT_CORRUPT);
        expect_error(&world, "is no saga's id");
    }
    world_close(&world);
}

static htt_rc sees_nothing(const htt_saga_instance *instance, void *arg) {
    (void)instance;
    (void)arg;
    return HTT_ABORTED;
}

static void test_purge__leaves_the_key_of_what_it_deletes(void **state) {
    saga_world world;
    char id[HTT_SAGA_ID_MAX];
    char again[HTT_SAGA_ID_MAX];
    uint64_t count = 0;
    (void)state;
    world_init(&world);
    world_open(&world, ":memory:");
    world_define(&world);
    world_start(&world, "k", id);
    world_finish(&world, NULL);
    assert_int_equal(htt_saga_purge(world.sagas, 0, 0, &count), HTT_OK);
    assert_int_equal(count, 1);
    world_start(&world, "k", again);
    assert_string_equal(again, id);
    assert_int_equal(htt_saga_get(world.sagas, id, sees_nothing, NULL), HTT_NOTFOUND);
    world.now += HTT_SAGA_KEY_KEEP_MS;
    world_start(&world, "k", again);
    assert_string_not_equal(again, id);
    world_close(&world);
}

/* An action that goes on although it could not start another saga. */
static htt_rc starts_in_vain(saga_world *world, htt_saga_call *call) {
    const htt_saga_input input = {.definition = "saga", .id = "vain", .key = "k"};
    (void)call;
    assert_int_equal(htt_saga_start(world->sagas, &input, NULL), HTT_CONSTRAINT);
    return HTT_OK;
}

static void test_start__that_fails_in_an_action_leaves_no_event(void **state) {
    saga_world world;
    char id[HTT_SAGA_ID_MAX];
    (void)state;
    world_init(&world);
    world_open(&world, ":memory:");
    world.definition.events = true;
    world_define(&world);
    world_run(world.connection, "CREATE TRIGGER no BEFORE UPDATE ON htt_idempotency "
                                "BEGIN SELECT RAISE(ABORT, 'no'); END");
    world_start(&world, NULL, id);
    world.during = starts_in_vain;
    world_finish(&world, NULL);
    expect_text(&world, "SELECT group_concat(state) FROM htt_saga", "completed");
    expect_text(&world, "SELECT count(*) FROM htt_event WHERE aggregate_id = 'vain'", "0");
    world_close(&world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_define__what_makes_no_sense_is_refused_and_said),
        cmocka_unit_test(test_define__times_that_make_no_sense_are_refused),
        cmocka_unit_test(test_define__other_steps_need_a_new_version_while_instances_need_the_old),
        cmocka_unit_test(test_define__other_steps_replace_those_that_nobody_needs),
        cmocka_unit_test(test_start__the_same_key_and_data_give_the_same_instance),
        cmocka_unit_test(test_start__a_key_is_known_for_its_time),
        cmocka_unit_test(test_start__a_key_lives_as_long_as_the_sagas_time),
        cmocka_unit_test(test_start__a_rolled_back_start_leaves_neither_key_nor_saga),
        cmocka_unit_test(test_start__bad_input_is_refused_and_said),
        cmocka_unit_test(test_start__an_id_of_the_caller_is_used_once),
        cmocka_unit_test(test_start__ids_are_uuids_of_version_seven),
        cmocka_unit_test(test_start__a_key_whose_result_was_altered_is_told),
        cmocka_unit_test(test_purge__leaves_the_key_of_what_it_deletes),
        cmocka_unit_test(test_start__that_fails_in_an_action_leaves_no_event),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
