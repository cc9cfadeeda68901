/* SPDX-License-Identifier: MIT */
/*
 * The contract of a unit of work: one suite, run over every kind of db. Run it by hand as
 * test_sql_uow_contract; HTT_TEST_SEED repeats the random part.
 */
#include "repo_world.h"

#include <stdio.h>
#include <string.h>

#include "sql/htt_event.h"
#include "sql/htt_uow.h"
#include "test_seed.h"

static htt_uow *begin(repo_world *world) {
    htt_uow *unit = NULL;
    expect_ok(world->db, htt_uow_begin(world->db, HTT_UOW_IMMEDIATE, &unit));
    return unit;
}

static htt_repo *orders(htt_uow *unit) {
    const htt_repo_spec spec = order_spec(true);
    htt_repo *repo = NULL;
    expect_ok(htt_uow_db(unit), htt_uow_repo(unit, &spec, &repo));
    return repo;
}

static void put(htt_repo *repo, int64_t id, double total) {
    test_order made = {0};
    made.total = total;
    expect_ok(htt_repo_db(repo), htt_repo_put(repo, htt_key_of_integer(id), &made));
}

static test_order *get(htt_repo *repo, int64_t id) {
    void *object;
    expect_ok(htt_repo_db(repo), htt_repo_get(repo, htt_key_of_integer(id), &object));
    return object;
}

/* The total that is stored, seen without a unit; -1: there is none. */
static double stored(repo_world *world, int64_t id) {
    const htt_repo_spec spec = order_spec(true);
    htt_repo *repo;
    void *object;
    double total = -1;
    expect_ok(world->db, htt_repo_open(world->db, &spec, &repo));
    const htt_rc rc = htt_repo_get(repo, htt_key_of_integer(id), &object);
    if (rc == HTT_OK) {
        total = ((test_order *)object)->total;
        htt_repo_free(repo, object);
    } else {
        expect_rc(world->db, rc, HTT_NOTFOUND);
    }
    htt_repo_close(repo);
    return total;
}

/* ------------------------------------------------- commit, rollback, end */

static void test_unit__commit_keeps_and_end_without_commit_does_not(void **state) {
    repo_world *const world = *state;
    htt_uow *unit = begin(world);
    put(orders(unit), 1, 10);
    expect_ok(world->db, htt_uow_commit(unit));
    htt_uow_end(unit);
    assert_true(stored(world, 1) == 10);
    unit = begin(world);
    put(orders(unit), 1, 20);
    put(orders(unit), 2, 20);
    htt_uow_end(unit);
    assert_true(stored(world, 1) == 10);
    assert_true(stored(world, 2) == -1);
    unit = begin(world);
    expect_ok(world->db, htt_repo_remove(orders(unit), htt_key_of_integer(1)));
    expect_ok(world->db, htt_uow_rollback(unit));
    assert_true(stored(world, 1) == 10); /* before the end, too */
    htt_uow_end(unit);
    htt_uow_end(NULL);
}

static void test_unit__what_is_over_takes_no_more_calls(void **state) {
    repo_world *const world = *state;
    htt_uow *const unit = begin(world);
    htt_repo *const repo = orders(unit);
    const htt_repo_spec spec = order_spec(true);
    const htt_event event = {.aggregate_type = "order", .aggregate_id = "1", .type = "placed"};
    htt_repo *other;
    bool there;
    expect_ok(world->db, htt_uow_commit(unit));
    expect_rc(world->db, htt_uow_commit(unit), HTT_MISUSE);
    expect_text(world->db, "the unit of work was committed: only its end is left");
    expect_rc(world->db, htt_uow_rollback(unit), HTT_MISUSE);
    expect_rc(world->db, htt_uow_repo(unit, &spec, &other), HTT_MISUSE);
    expect_rc(world->db, htt_uow_event(unit, &event), HTT_MISUSE);
    expect_rc(world->db, htt_repo_contains(repo, htt_key_of_integer(1), &there), HTT_MISUSE);
    expect_text(world->db, "the unit of work of this repository was committed");
    htt_uow_end(unit);
    htt_uow *const second = begin(world);
    htt_repo *const second_repo = orders(second);
    expect_ok(world->db, htt_uow_rollback(second));
    expect_rc(world->db, htt_uow_rollback(second), HTT_MISUSE);
    expect_text(world->db, "was rolled back");
    expect_rc(world->db, htt_repo_contains(second_repo, htt_key_of_integer(1), &there), HTT_MISUSE);
    htt_uow_end(second);
}

static void test_unit__arguments_are_checked(void **state) {
    repo_world *const world = *state;
    htt_uow *unit;
    htt_repo *repo;
    htt_repo_spec spec = order_spec(true);
    assert_int_equal(htt_uow_begin(NULL, HTT_UOW_DEFERRED, &unit), HTT_MISUSE);
    assert_int_equal(htt_uow_commit(NULL), HTT_MISUSE);
    assert_int_equal(htt_uow_rollback(NULL), HTT_MISUSE);
    expect_rc(world->db, htt_uow_begin(world->db, (htt_uow_mode)7, &unit), HTT_MISUSE);
    unit = begin(world);
    assert_ptr_equal(htt_uow_db(unit), world->db);
    spec.table = NULL;
    expect_rc(world->db, htt_uow_repo(unit, &spec, &repo), HTT_MISUSE);
    expect_rc(world->db, htt_uow_event(unit, NULL), HTT_MISUSE);
    const htt_event event = {.payload = {NULL, 5, HTT_TEXT}};
    expect_rc(world->db, htt_uow_event(unit, &event), HTT_MISUSE);
    expect_rc(world->db, htt_db_close(world->db), HTT_MISUSE);
    expect_text(world->db, "unit of work");
    htt_uow_end(unit);
}

/* ---------------------------------------------------------------- nesting */

static void test_unit__inner_ones_roll_back_alone(void **state) {
    repo_world *const world = *state;
    htt_uow *const outer = begin(world);
    put(orders(outer), 1, 1);
    htt_uow *inner = begin(world);
    assert_int_equal(htt_uow_depth(inner), 2);
    assert_ptr_equal(orders(inner), orders(inner));
    expect_rc(world->db, htt_uow_commit(outer), HTT_MISUSE);
    expect_text(world->db, "a unit of work inside of this one is active");
    put(orders(inner), 1, 2);
    put(orders(inner), 2, 2);
    htt_uow_end(inner);
    inner = begin(world);
    put(orders(inner), 3, 3);
    expect_ok(world->db, htt_uow_commit(inner));
    htt_uow_end(inner);
    expect_ok(world->db, htt_uow_commit(outer));
    htt_uow_end(outer);
    assert_true(stored(world, 1) == 1 && stored(world, 2) == -1 && stored(world, 3) == 3);
}

static void test_unit__what_an_inner_one_committed_goes_with_the_outer(void **state) {
    repo_world *const world = *state;
    htt_uow *const outer = begin(world);
    htt_uow *const inner = begin(world);
    put(orders(inner), 1, 1);
    expect_ok(world->db, htt_uow_commit(inner));
    htt_uow_end(inner);
    htt_uow_end(outer);
    assert_true(stored(world, 1) == -1);
}

static void test_unit__end_of_the_outer_ends_the_inner(void **state) {
    repo_world *const world = *state;
    htt_uow *const outer = begin(world);
    htt_uow *const middle = begin(world);
    put(orders(middle), 1, 1);
    htt_uow *const inner = begin(world);
    put(orders(inner), 2, 2);
    (void)get(orders(inner), 1);
    htt_uow_end(outer);
    assert_true(stored(world, 1) == -1 && stored(world, 2) == -1);
    expect_rc(world->db, htt_uow_commit(inner), HTT_MISUSE);
    htt_uow *const next = begin(world); /* a new one, not inside of those */
    assert_int_equal(htt_uow_depth(next), 1);
    put(orders(next), 3, 3);
    htt_uow_end(middle);
    htt_uow_end(inner);
    expect_ok(world->db, htt_uow_commit(next));
    htt_uow_end(next);
    assert_true(stored(world, 3) == 3);
}

static void test_unit__stands_inside_the_application_s_transaction(void **state) {
    repo_world *const world = *state;
    if (world->kind == WORLD_FAKE) {
        return; /* the fake has no other transactions */
    }
    world_exec(world->connection, "BEGIN");
    htt_uow *unit = begin(world);
    put(orders(unit), 1, 1);
    expect_ok(world->db, htt_uow_commit(unit));
    htt_uow_end(unit);
    world_exec(world->connection, "ROLLBACK");
    assert_true(stored(world, 1) == -1);
    /* A transaction that goes while the unit is in it: nothing is committed by itself. */
    unit = begin(world);
    htt_repo *const repo = orders(unit);
    put(repo, 1, 1);
    world_exec(world->connection, "ROLLBACK");
    const test_order made = {0};
    expect_rc(world->db, htt_repo_put(repo, htt_key_of_integer(2), &made), HTT_ABORTED);
    expect_text(world->db, "end the unit");
    expect_rc(world->db, htt_uow_commit(unit), HTT_ABORTED);
    htt_uow_end(unit);
    assert_true(stored(world, 1) == -1 && stored(world, 2) == -1);
}

/* --------------------------------------------------------------- identity */

static void test_identity__the_same_key_gives_the_same_object(void **state) {
    repo_world *const world = *state;
    htt_uow *unit = begin(world);
    put(orders(unit), 1, 1);
    expect_ok(world->db, htt_uow_commit(unit));
    htt_uow_end(unit);
    unit = begin(world);
    htt_repo *const repo = orders(unit);
    test_order *const first = get(repo, 1);
    assert_ptr_equal(get(repo, 1), first);
    htt_repo_free(repo, first); /* the unit's: nothing happens */
    htt_repo_close(repo);       /* the same */
    first->total = 5;
    expect_ok(world->db, htt_repo_put(repo, htt_key_of_integer(1), first));
    assert_ptr_equal(get(repo, 1), first);
    void *object;
    int64_t version = 0;
    expect_ok(world->db, htt_repo_get_version(repo, htt_key_of_integer(1), &object, &version));
    assert_int_equal(version, 2);
    assert_ptr_equal(object, first);
    expect_ok(world->db, htt_repo_put_version(repo, htt_key_of_integer(1), first, 2, NULL));
    expect_ok(world->db, htt_repo_get_version(repo, htt_key_of_integer(1), &object, &version));
    assert_int_equal(version, 3);
    put(repo, 1, 7); /* with another object: the old one is not what is stored any more */
    test_order *const second = get(repo, 1);
    assert_true(second != first && second->total == 7 && first->total == 5);
    htt_repo_forget(repo);
    htt_repo_forget(NULL);
    test_order *const third = get(repo, 1);
    assert_true(third != second && third->total == 7 && second->total == 7);
    expect_ok(world->db, htt_repo_remove(repo, htt_key_of_integer(1)));
    expect_rc(world->db, htt_repo_get(repo, htt_key_of_integer(1), &object), HTT_NOTFOUND);
    assert_true(third->total == 7);
    assert_int_equal(order_alive, 3);
    htt_uow_end(unit);
    assert_int_equal(order_alive, 0);
}

static htt_rc visit_is_same(void *arg, htt_datum key, void *object, int64_t version) {
    test_order **const known = arg;
    int64_t id;
    (void)version;
    assert_int_equal(htt_value_integer(key, &id), HTT_OK);
    assert_true((object == known[0]) == (id == 1));
    return HTT_OK;
}

static void test_identity__a_walk_gives_what_was_got_and_keeps_nothing_else(void **state) {
    repo_world *const world = *state;
    htt_uow *const unit = begin(world);
    htt_repo *const repo = orders(unit);
    for (int64_t id = 1; id <= 40; id++) {
        put(repo, id, 1);
    }
    test_order *known[1] = {get(repo, 1)};
    expect_ok(world->db, htt_repo_each(repo, visit_is_same, known));
    assert_int_equal(order_alive, 1);
    for (int64_t id = 2; id <= 40; id++) { /* the map grows */
        assert_int_equal(get(repo, id)->id, id);
    }
    assert_int_equal(order_alive, 40);
    for (int64_t id = 2; id <= 40; id++) {
        assert_ptr_equal(get(repo, id), get(repo, id));
    }
    for (int64_t id = 1; id <= 40; id++) { /* wherever it stands in the map */
        expect_ok(world->db, htt_repo_remove(repo, htt_key_of_integer(id)));
    }
    assert_int_equal(order_alive, 40);
    htt_uow_end(unit);
}

static void test_identity__an_inner_rollback_forgets_what_it_touched(void **state) {
    repo_world *const world = *state;
    htt_uow *const outer = begin(world);
    htt_repo *const repo = orders(outer);
    put(repo, 1, 1);
    put(repo, 2, 2);
    put(repo, 3, 3);
    test_order *const one = get(repo, 1);
    test_order *const two = get(repo, 2);
    htt_uow *const inner = begin(world);
    two->total = 20;
    expect_ok(world->db, htt_repo_put(repo, htt_key_of_integer(2), two));
    const test_order *const three = get(repo, 3);
    assert_true(three->total == 3);
    expect_ok(world->db, htt_uow_rollback(inner));
    assert_true(three->total == 3); /* until the inner one ends */
    htt_uow_end(inner);
    assert_int_equal(order_alive, 2);
    assert_ptr_equal(get(repo, 1), one); /* was not touched */
    test_order *const again = get(repo, 2);
    assert_true(again != two && again->total == 2 && two->total == 20);
    assert_true(get(repo, 3)->total == 3);
    htt_uow_end(outer);
    assert_int_equal(order_alive, 0);
}

static void test_identity__an_inner_commit_hands_its_objects_to_the_outer(void **state) {
    repo_world *const world = *state;
    htt_uow *const outer = begin(world);
    htt_repo *const repo = orders(outer);
    put(repo, 1, 1);
    put(repo, 2, 2);
    test_order *const one = get(repo, 1);
    htt_uow *inner = begin(world);
    test_order *const two = get(repo, 2);
    one->total = 10;
    expect_ok(world->db, htt_repo_put(repo, htt_key_of_integer(1), one));
    expect_ok(world->db, htt_uow_commit(inner));
    htt_uow_end(inner);
    inner = begin(world); /* rolls back, and touches neither */
    htt_uow_end(inner);
    assert_ptr_equal(get(repo, 1), one);
    assert_ptr_equal(get(repo, 2), two);
    expect_ok(world->db, htt_uow_commit(outer));
    assert_true(one->total == 10); /* until the end */
    htt_uow_end(outer);
    assert_true(stored(world, 1) == 10);
}

static void test_identity__what_an_inner_unit_forgot_lives_until_the_outer_ends(void **state) {
    repo_world *const world = *state;
    htt_uow *const outer = begin(world);
    htt_repo *const repo = orders(outer);
    put(repo, 1, 1);
    htt_uow *const inner = begin(world);
    const test_order *const one = get(repo, 1);
    put(repo, 1, 10); /* with another object: `one` is forgotten */
    expect_ok(world->db, htt_uow_commit(inner));
    htt_uow_end(inner);
    assert_int_equal(order_alive, 1);
    assert_true(one->total == 1);
    htt_uow_end(outer);
    assert_int_equal(order_alive, 0);
}

static void test_identity__a_late_end_leaves_the_objects_of_a_later_unit(void **state) {
    repo_world *const world = *state;
    htt_uow *const outer = begin(world);
    htt_repo *const repo = orders(outer);
    put(repo, 1, 1);
    htt_uow *const first = begin(world);
    expect_ok(world->db, htt_uow_rollback(first));
    htt_uow *const second = begin(world);
    const test_order *const one = get(repo, 1);
    put(repo, 1, 10);
    htt_uow_end(first);
    assert_int_equal(order_alive, 1);
    assert_true(one->total == 1);
    expect_ok(world->db, htt_uow_rollback(second));
    assert_true(one->total == 1); /* the second has not ended yet */
    htt_uow_end(second);
    assert_int_equal(order_alive, 0);
    htt_uow_end(outer);
}

static htt_rc visit_and_roll_back(void *arg, htt_datum key, void *object, int64_t version) {
    (void)key;
    (void)object;
    (void)version;
    return htt_uow_rollback(arg);
}

static void test_unit__a_visit_may_roll_it_back(void **state) {
    repo_world *const world = *state;
    htt_uow *const unit = begin(world);
    htt_repo *const repo = orders(unit);
    for (int64_t id = 1; id <= 3; id++) {
        put(repo, id, 1);
    }
    const htt_rc rc = htt_repo_each(repo, visit_and_roll_back, unit);
    assert_true(rc == HTT_OK || rc == HTT_ABORTED); /* SQLite ends a statement that runs */
    htt_uow_end(unit);
    assert_true(stored(world, 1) == -1);
    assert_int_equal(order_alive, 0);
}

/* ----------------------------------------------------------------- events */

static htt_event make_event(const char *id) {
    htt_event event = {.aggregate_type = "order", .aggregate_id = "1", .type = "placed"};
    event.id = id;
    event.payload = htt_text("{\"total\":12}");
    return event;
}

static htt_rc visit_event(void *arg, const htt_event *event) {
    char *const seen = arg;
    assert_string_equal(event->aggregate_type, "order");
    assert_int_equal(event->payload.size, 12);
    strncat(seen, event->id, 8);
    strncat(seen, ";", 2);
    return HTT_OK;
}

static void check_events(repo_world *world, const char *expected) {
    char seen[100] = "";
    expect_ok(world->db, htt_event_each(world->db, 0, 0, visit_event, seen));
    assert_string_equal(seen, expected);
}

static void test_events__are_written_by_the_commit_in_order(void **state) {
    repo_world *const world = *state;
    expect_ok(world->db, htt_db_install(world->db, "event"));
    htt_uow *unit = begin(world);
    char id[8] = "a";
    htt_event event = make_event(id);
    expect_ok(world->db, htt_uow_event(unit, &event));
    id[0] = 'x'; /* it was copied */
    htt_uow *inner = begin(world);
    event = make_event("b");
    expect_ok(world->db, htt_uow_event(inner, &event));
    expect_ok(world->db, htt_uow_commit(inner));
    htt_uow_end(inner);
    inner = begin(world);
    event = make_event("lost");
    expect_ok(world->db, htt_uow_event(inner, &event));
    htt_uow_end(inner);
    event = make_event("c");
    expect_ok(world->db, htt_uow_event(unit, &event));
    check_events(world, "");
    expect_ok(world->db, htt_uow_commit(unit));
    htt_uow_end(unit);
    check_events(world, "a;b;c;");
    unit = begin(world);
    event = make_event("d");
    expect_ok(world->db, htt_uow_event(unit, &event));
    htt_uow_end(unit);
    check_events(world, "a;b;c;");
    unit = begin(world); /* only what an inner one collected, without a payload's bytes */
    inner = begin(world);
    event = make_event("e");
    expect_ok(world->db, htt_uow_event(inner, &event));
    expect_ok(world->db, htt_uow_commit(inner));
    htt_uow_end(inner);
    expect_ok(world->db, htt_uow_commit(unit));
    htt_uow_end(unit);
    check_events(world, "a;b;c;e;");
}

static void test_events__a_wrong_one_fails_the_commit_and_leaves_none(void **state) {
    repo_world *const world = *state;
    expect_ok(world->db, htt_db_install(world->db, "event"));
    htt_uow *const unit = begin(world);
    put(orders(unit), 1, 1);
    htt_event event = make_event("a");
    expect_ok(world->db, htt_uow_event(unit, &event));
    event = make_event("b");
    event.payload = htt_text("{no json");
    event.payload.size = 8;
    expect_ok(world->db, htt_uow_event(unit, &event));
    expect_rc(world->db, htt_uow_commit(unit), HTT_INVALID);
    check_events(world, "");
    expect_rc(world->db, htt_uow_commit(unit), HTT_INVALID); /* it is still active */
    htt_uow_end(unit);
    check_events(world, "");
    assert_true(stored(world, 1) == -1);
}

/* ----------------------------------------------------------------- random */

enum { MODEL_KEYS = 8, MODEL_DEPTH = 5 };

/* Units that nest, begin and end by chance, against a stack of copies of a model. */
static void test_unit__random_units_match_a_model(void **state) {
    repo_world *const world = *state;
    double model[MODEL_DEPTH + 1][MODEL_KEYS];
    htt_uow *units[MODEL_DEPTH];
    size_t depth = 0;
    uint64_t seed = test_seed();
    for (int i = 0; i < MODEL_KEYS; i++) {
        model[0][i] = -1;
    }
    for (int step = 0; step < 1500; step++) {
        const uint64_t what = test_random_below(&seed, 20);
        const int64_t id = (int64_t)test_random_below(&seed, MODEL_KEYS);
        if (depth == 0 || (what == 0 && depth < MODEL_DEPTH)) {
            units[depth] = begin(world);
            memcpy(model[depth + 1], model[depth], sizeof model[0]);
            depth++;
        } else if (what < 4) {
            const bool commit = what < 3;
            depth--;
            if (commit) {
                expect_ok(world->db, htt_uow_commit(units[depth]));
                memcpy(model[depth], model[depth + 1], sizeof model[0]);
            }
            htt_uow_end(units[depth]);
            for (int64_t i = 0; i < MODEL_KEYS && depth == 0; i++) {
                assert_true(stored(world, i) == model[0][i]);
            }
        } else {
            htt_repo *const repo = orders(units[depth - 1]);
            double *const total = &model[depth][id];
            void *object;
            const htt_rc rc = htt_repo_get(repo, htt_key_of_integer(id), &object);
            expect_rc(world->db, rc, *total < 0 ? HTT_NOTFOUND : HTT_OK);
            if (rc == HTT_OK) {
                test_order *const got = object;
                assert_true(got->total == *total);
                if (what < 8) {
                    expect_ok(world->db, htt_repo_remove(repo, htt_key_of_integer(id)));
                    *total = -1;
                } else if (what < 14) {
                    got->total = *total = step;
                    expect_ok(world->db, htt_repo_put(repo, htt_key_of_integer(id), got));
                }
            } else {
                put(repo, id, step);
                *total = step;
            }
        }
    }
    while (depth > 0) {
        htt_uow_end(units[--depth]);
    }
}

/* ------------------------------------------------------------------ suite */

static world_kind suite_kind;

static int setup(void **state) {
    static repo_world world;
    repo_world_open(&world, suite_kind);
    *state = &world;
    return 0;
}

static int teardown(void **state) {
    repo_world_close(*state);
    assert_int_equal(order_alive, 0);
    return 0;
}

#define contract(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        contract(test_unit__commit_keeps_and_end_without_commit_does_not),
        contract(test_unit__what_is_over_takes_no_more_calls),
        contract(test_unit__arguments_are_checked),
        contract(test_unit__inner_ones_roll_back_alone),
        contract(test_unit__what_an_inner_one_committed_goes_with_the_outer),
        contract(test_unit__end_of_the_outer_ends_the_inner),
        contract(test_unit__stands_inside_the_application_s_transaction),
        contract(test_identity__the_same_key_gives_the_same_object),
        contract(test_identity__a_walk_gives_what_was_got_and_keeps_nothing_else),
        contract(test_identity__an_inner_rollback_forgets_what_it_touched),
        contract(test_identity__an_inner_commit_hands_its_objects_to_the_outer),
        contract(test_identity__what_an_inner_unit_forgot_lives_until_the_outer_ends),
        contract(test_identity__a_late_end_leaves_the_objects_of_a_later_unit),
        contract(test_unit__a_visit_may_roll_it_back),
        contract(test_events__are_written_by_the_commit_in_order),
        contract(test_events__a_wrong_one_fails_the_commit_and_leaves_none),
        contract(test_unit__random_units_match_a_model),
    };
    int failed = 0;
    for (suite_kind = WORLD_FAKE; suite_kind < WORLD_KINDS; suite_kind++) {
        print_message("%s\n", world_names[suite_kind]);
        failed += cmocka_run_group_tests_name(world_names[suite_kind], tests, NULL, NULL);
    }
    return failed;
}
