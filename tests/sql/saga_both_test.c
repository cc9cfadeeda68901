/* SPDX-License-Identifier: MIT */
/*
 * The contract of sagas, in a database and in a fake: what a program can see of one it sees of the
 * other. Each scenario runs twice; the random ones compare the two step by step.
 */
#include "saga_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sql/base/memory.h"
#include "test_seed.h"

static void both_open(saga_world *world, bool fake) {
    world_init(world);
    if (fake) {
        world_open_fake(world);
    } else {
        world_open(world, ":memory:");
    }
}

static void both_close(saga_world *world) {
    world_close(world);
}

typedef void both_scenario(saga_world *world);

static void both(both_scenario *scenario) {
    for (int fake = 0; fake < 2; fake++) {
        saga_world world;
        both_open(&world, fake != 0);
        scenario(&world);
        both_close(&world);
    }
}

static htt_rc count_one(const htt_saga_instance *instance, void *arg) {
    (void)instance;
    ++*(unsigned *)arg;
    return HTT_OK;
}

static unsigned count_in(saga_world *world, htt_saga_state state) {
    unsigned count = 0;
    assert_int_equal(htt_saga_each(world->sagas, state, count_one, &count), HTT_OK);
    return count;
}

/* -------------------------------------------------------------- scenarios */

static void both_start(saga_world *world) {
    char id[HTT_SAGA_ID_MAX];
    char again[HTT_SAGA_ID_MAX];
    world->definition.events = true;
    world_define(world);
    world_start(world, "k", id);
    world_start(world, "k", again);
    assert_string_equal(id, again);
    const htt_saga_input other = {.definition = "saga", .key = "k", .data = "[1]"};
    assert_int_equal(htt_saga_start(world->sagas, &other, again), HTT_CONFLICT);
    const htt_saga_input same = {.definition = "saga", .id = id};
    assert_int_equal(htt_saga_start(world->sagas, &same, again), HTT_EXISTS);
    expect_error(world, "already");
    assert_int_equal(count_in(world, 0), 1);
    world_finish(world, NULL);
    assert_string_equal(world_trace_of(world, id), "+a+b+c+d");
    assert_string_equal(world_status_of(world, id), "completed 4 - {\"last\":\"+d\"}");
}

static void both_unit(saga_world *world) {
    char id[HTT_SAGA_ID_MAX];
    htt_uow *unit = NULL;
    world_define(world);
    assert_int_equal(htt_uow_begin(world->db, HTT_UOW_IMMEDIATE, &unit), HTT_OK);
    world_start(world, "k", id);
    assert_int_equal(htt_saga_advance(world->sagas, id, 0, NULL), HTT_MISUSE);
    assert_int_equal(htt_saga_resume(world->sagas, 0, NULL), HTT_MISUSE);
    htt_uow_end(unit);
    assert_int_equal(htt_saga_advance(world->sagas, id, 0, NULL), HTT_NOTFOUND);
    assert_int_equal(count_in(world, 0), 0);
    assert_int_equal(htt_uow_begin(world->db, HTT_UOW_IMMEDIATE, &unit), HTT_OK);
    world_start(world, "k", id);
    assert_int_equal(htt_uow_commit(unit), HTT_OK);
    htt_uow_end(unit);
    assert_int_equal(count_in(world, HTT_SAGA_RUNNING), 1);
}

static void both_failed(saga_world *world) {
    char id[HTT_SAGA_ID_MAX];
    world->actions[2] = WORLD_FAILS;
    world->compensations[1] = WORLD_REFUSES;
    world_define(world);
    world_start(world, NULL, id);
    world_finish(world, NULL);
    assert_string_equal(world_status_of(world, id), "failed 1 b {\"last\":\"+b\"}");
    assert_int_equal(count_in(world, HTT_SAGA_FAILED), 1);
    assert_int_equal(htt_saga_requeue(world->sagas, id, HTT_SAGA_AGAIN), HTT_OK);
    world_finish(world, NULL);
    assert_int_equal(htt_saga_requeue(world->sagas, id, HTT_SAGA_SKIP), HTT_OK);
    world_finish(world, NULL);
    assert_string_equal(world_trace_of(world, id), "+a+b-a");
    assert_int_equal(htt_saga_requeue(world->sagas, id, HTT_SAGA_SKIP), HTT_MISUSE);
    world->now += 1000;
    uint64_t count = 0;
    assert_int_equal(htt_saga_purge(world->sagas, 1001, 0, &count), HTT_OK);
    assert_int_equal(count, 0);
    assert_int_equal(htt_saga_purge(world->sagas, 1000, 0, &count), HTT_OK);
    assert_int_equal(count, 1);
    assert_int_equal(count_in(world, 0), 0);
}

static htt_rc both_wakes_itself(saga_world *world, htt_saga_call *call) {
    return htt_saga_wake(world->sagas, htt_saga_call_id(call));
}

static void both_wake(saga_world *world) {
    char id[HTT_SAGA_ID_MAX];
    htt_saga_status status;
    world->actions[0] = WORLD_ONCE;
    world_define(world);
    world_start(world, NULL, id);
    assert_int_equal(htt_saga_advance(world->sagas, id, 1, &status), HTT_OK);
    assert_int_equal(htt_saga_advance(world->sagas, id, 2, &status), HTT_OK);
    assert_false(status.ran);
    assert_int_equal(htt_saga_wake(world->sagas, id), HTT_OK);
    assert_int_equal(htt_saga_advance(world->sagas, id, 2, NULL), HTT_CONFLICT);
    world->during = both_wakes_itself; /* so its row is not the one that was read */
    assert_int_equal(htt_saga_advance(world->sagas, id, 3, NULL), HTT_CONFLICT);
    expect_error(world, "was changed while its step ran");
    world->during = NULL;
    assert_int_equal(htt_saga_advance(world->sagas, id, 3, &status), HTT_OK);
    assert_int_equal(status.step, 1);
    world_finish(world, NULL);
    assert_int_equal(htt_saga_wake(world->sagas, id), HTT_NOTFOUND);
    assert_int_equal(htt_saga_wake(world->sagas, "none"), HTT_NOTFOUND);
}

static void both_definitions(saga_world *world) {
    char id[HTT_SAGA_ID_MAX];
    htt_saga_report report;
    htt_saga_definition fewer = world->definition;
    htt_saga_definition second = world->definition;
    htt_saga_definition other = world->definition;
    fewer.count = 2;
    second.version = 2;
    other.name = "another";
    world_define(world);
    assert_int_equal(htt_saga_define(world->sagas, &second, world), HTT_OK);
    assert_int_equal(htt_saga_define(world->sagas, &other, world), HTT_OK);
    for (int64_t version = 1; version < 3; version++) {
        const htt_saga_input input = {.definition = "saga", .version = version};
        assert_int_equal(htt_saga_start(world->sagas, &input, id), HTT_OK);
        assert_int_equal(htt_saga_start(world->sagas, &input, id), HTT_OK);
    }
    const htt_saga_input input = {.definition = "another"};
    assert_int_equal(htt_saga_start(world->sagas, &input, id), HTT_OK);
    htt_saga_close(world->sagas); /* another program, which knows less */
    assert_int_equal(htt_saga_open(world->db, &world->sagas), HTT_OK);
    assert_int_equal(htt_saga_define(world->sagas, &fewer, world), HTT_MISMATCH);
    expect_error(world, "2 instances that did not end need those");
    assert_int_equal(htt_saga_define(world->sagas, &second, world), HTT_OK);
    assert_int_equal(htt_saga_resume(world->sagas, 0, &report), HTT_OK);
    assert_int_equal(report.completed, 2);
    assert_int_equal(report.unknown, 3);
    expect_part(report.problem, "'another' version 1");
    assert_int_equal(count_in(world, HTT_SAGA_RUNNING), 3);
    htt_saga_close(world->sagas);
    assert_int_equal(htt_saga_open(world->db, &world->sagas), HTT_OK);
    world_define(world);
    world_finish(world, NULL);
    htt_saga_close(world->sagas);
    assert_int_equal(htt_saga_open(world->db, &world->sagas), HTT_OK);
    assert_int_equal(htt_saga_define(world->sagas, &fewer, world), HTT_OK); /* nobody needs them */
}

static void test_both__start_and_run(void **state) {
    (void)state;
    both(both_start);
}

static void test_both__in_a_unit_of_work(void **state) {
    (void)state;
    both(both_unit);
}

static void test_both__failed_requeued_and_purged(void **state) {
    (void)state;
    both(both_failed);
}

static void test_both__wake_and_versions(void **state) {
    (void)state;
    both(both_wake);
}

static void test_both__definitions_that_changed(void **state) {
    (void)state;
    both(both_definitions);
}

/* ---------------------------------------------------------------- at random */

#define RANDOM_STEPS 60u
#define RANDOM_RUNS 40u

static uint64_t random_acts;

/* Some acts fail, by a hash of the saga, the act and the attempt: the same in both worlds. */
static htt_rc random_during(saga_world *world, htt_saga_call *call) {
    uint64_t hash = random_acts + htt_saga_call_attempt(call) * 7919u;
    (void)world;
    for (const char *at = htt_saga_call_id(call); *at != '\0'; at++) {
        hash = hash * 31 + (unsigned char)*at;
    }
    for (const char *at = htt_saga_call_data(call); *at != '\0'; at++) {
        hash = hash * 31 + (unsigned char)*at;
    }
    hash ^= hash >> 29;
    switch (hash % 9) {
    case 0: return htt_saga_refuse(call, "refused");
    case 1:
    case 2: return htt_saga_later(call, "later");
    default: return HTT_OK;
    }
}

/* One call in both; its result. */
static htt_rc random_call(saga_world *world, uint64_t what, const char *id) {
    char got[HTT_SAGA_ID_MAX];
    uint64_t count = 0;
    const htt_saga_input input = {.definition = "saga",
                                  .id = id,
                                  .key = what % 2 == 0 ? id : NULL,
                                  .data = "{\"last\":\"\"}"};
    switch (what / 2 % 8) {
    case 0:
    case 1: return htt_saga_start(world->sagas, &input, got);
    case 2: return htt_saga_advance(world->sagas, id, 0, NULL);
    case 3: return htt_saga_resume(world->sagas, what / 16 % 7, NULL);
    case 4: return htt_saga_wake(world->sagas, id);
    case 5:
        return htt_saga_requeue(world->sagas, id, what / 16 % 2 ? HTT_SAGA_AGAIN : HTT_SAGA_SKIP);
    case 6: return what % 5 == 0 ? htt_saga_purge(world->sagas, 50, 0, &count) : HTT_OK;
    default: world->now += (int64_t)(what / 16 % 300); return HTT_OK;
    }
}

static void random_compare(saga_world *worlds, const char *id) {
    char expected[1000];
    unsigned count = 0;
    if (htt_saga_get(worlds[0].sagas, id, count_one, &count) == HTT_NOTFOUND) {
        assert_int_equal(htt_saga_get(worlds[1].sagas, id, count_one, &count), HTT_NOTFOUND);
        return;
    }
    (void)snprintf(expected, sizeof expected, "%s", world_status_of(&worlds[0], id));
    assert_string_equal(world_status_of(&worlds[1], id), expected);
    (void)snprintf(expected, sizeof expected, "%s", world_trace_of(&worlds[0], id));
    assert_string_equal(world_trace_of(&worlds[1], id), expected);
}

static void test_both__random_calls_end_alike(void **state) {
    uint64_t seed = test_seed();
    (void)state;
    for (unsigned run = 0; run < RANDOM_RUNS; run++) {
        saga_world worlds[2];
        random_acts = test_random(&seed);
        for (int i = 0; i < 2; i++) {
            both_open(&worlds[i], i != 0);
            worlds[i].during = random_during;
            worlds[i].definition.timeout_ms = 2000;
            worlds[i].steps[1].timeout_ms = 300;
            world_define(&worlds[i]);
        }
        for (unsigned step = 0; step < RANDOM_STEPS; step++) {
            const uint64_t what = test_random(&seed) >> 8;
            const char id[2] = {(char)('0' + test_random_below(&seed, 4)), '\0'};
            const htt_rc rc = random_call(&worlds[0], what, id);
            assert_int_equal(random_call(&worlds[1], what, id), rc);
            worlds[0].random = worlds[1].random = test_random(&seed) | 1;
            for (char other[2] = "0"; other[0] < '4'; other[0]++) {
                random_compare(worlds, other);
            }
        }
        both_close(&worlds[0]);
        both_close(&worlds[1]);
    }
}

/* ---------------------------------------------------------------- memory */

static bool memory_armed;
static size_t memory_left;

static bool memory_gate(size_t size) {
    (void)size;
    if (!memory_armed || memory_left > 0) {
        memory_left -= memory_armed;
        return true;
    }
    return false;
}

static htt_rc memory_work(saga_world *world) {
    char id[HTT_SAGA_ID_MAX];
    uint64_t purged = 0;
    htt_saga_report report;
    const htt_saga_input input = {.definition = "saga", .id = "1", .key = "k"};
    const htt_saga_input other = {.definition = "other", .id = "2"};
    static htt_saga_definition definition;
    definition = world->definition;
    definition.name = "other";
    htt_rc rc = htt_saga_define(world->sagas, &definition, world);
    rc = rc != HTT_OK ? rc : htt_saga_start(world->sagas, &other, id);
    if (rc == HTT_OK) { /* forgets the other, which resume then counts */
        htt_saga_close(world->sagas);
        world->sagas = NULL;
        rc = htt_saga_open(world->db, &world->sagas);
    }
    rc = rc != HTT_OK ? rc : htt_saga_define(world->sagas, &world->definition, world);
    rc = rc != HTT_OK ? rc : htt_saga_start(world->sagas, &input, id);
    rc = rc != HTT_OK ? rc : htt_saga_start(world->sagas, &input, id);
    rc = rc != HTT_OK ? rc : htt_saga_wake(world->sagas, "1");
    rc = rc != HTT_OK ? rc : htt_saga_advance(world->sagas, "1", 0, NULL);
    rc = rc != HTT_OK ? rc : htt_saga_resume(world->sagas, 0, &report);
    return rc != HTT_OK ? rc : htt_saga_purge(world->sagas, 0, 0, &purged);
}

/* Another one, as the tables are made by the first who opens sagas. */
static htt_rc memory_open(void) {
    htt_db *db = NULL;
    htt_sagas *sagas = NULL;
    htt_rc rc = htt_db_open_fake(NULL, &db);
    if (rc == HTT_OK) {
        rc = htt_saga_open(db, &sagas);
        htt_saga_close(sagas);
        assert_int_equal(htt_db_close(db), HTT_OK);
    }
    return rc;
}

static void test_fake__every_allocation_fails_in_turn(void **state) {
    htt_rc rc = HTT_NOMEM;
    size_t count = 0;
    (void)state;
    htt_memory_gate = memory_gate;
    for (; rc != HTT_OK; count++) {
        saga_world world;
        both_open(&world, true);
        memory_left = count;
        memory_armed = true;
        rc = memory_open();
        rc = rc != HTT_OK ? rc : memory_work(&world);
        memory_armed = false;
        if (rc != HTT_OK && rc != HTT_NOMEM) {
            fail_msg("allocation %zu: %s", count, htt_db_errmsg(world.db));
        }
        if (rc == HTT_NOMEM) { /* from whatever is there */
            htt_saga_close(world.sagas);
            assert_int_equal(htt_saga_open(world.db, &world.sagas), HTT_OK);
            world_define(&world);
            world_start(&world, "k2", (char[HTT_SAGA_ID_MAX]){0});
            world_finish(&world, NULL);
            assert_true(count_in(&world, HTT_SAGA_RUNNING) <= 1); /* the other */
        }
        both_close(&world);
    }
    htt_memory_gate = NULL;
    assert_true(count > 30);
    print_message("%zu allocations\n", count - 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both__start_and_run),
        cmocka_unit_test(test_both__in_a_unit_of_work),
        cmocka_unit_test(test_both__failed_requeued_and_purged),
        cmocka_unit_test(test_both__wake_and_versions),
        cmocka_unit_test(test_both__definitions_that_changed),
        cmocka_unit_test(test_both__random_calls_end_alike),
        cmocka_unit_test(test_fake__every_allocation_fails_in_turn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
