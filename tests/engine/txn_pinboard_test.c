/* SPDX-License-Identifier: MIT */
#include "txn_support.h"

static htt_lockfile *board_lock(const htt_env *env, uint64_t epoch) {
    static const htt_lock_identity identity = {{1}, 2, 3};
    htt_lockfile *lock = NULL;
    assert_int_equal(htt_lockfile_open_private(env, &lock, NULL), HTT_OK);
    htt_lockfile_reset(lock, &identity, epoch);
    assert_int_equal(htt_lockfile_share(lock, NULL), HTT_OK);
    return lock;
}

static void test_pinboard__users_of_one_epoch_share_a_slot(void **state) {
    (void)state;
    const htt_env *env = htt_env_system();
    htt_lockfile *lock = board_lock(env, 1);
    htt_pinboard board = {.env = env, .lock = lock};
    htt_pin *a, *b, *c;
    assert_int_equal(htt_pinboard_take(&board, 4, &a, NULL), HTT_OK);
    assert_int_equal(htt_pinboard_take(&board, 4, &b, NULL), HTT_OK);
    assert_int_equal(htt_pinboard_take(&board, 5, &c, NULL), HTT_OK);
    assert_ptr_equal(a, b);
    assert_ptr_not_equal(a, c);
    assert_int_equal(htt_lockfile_count_pins(lock), 2);
    htt_pinboard_give(&board, a);
    assert_int_equal(htt_lockfile_lowest_pin(lock), 4);
    htt_pinboard_give(&board, b);
    assert_int_equal(htt_lockfile_lowest_pin(lock), 5);
    htt_pinboard_give(&board, c);
    assert_int_equal(htt_lockfile_count_pins(lock), 0);
    htt_pinboard_free(&board);
    htt_lockfile_close(lock, false);
}

static void test_pinboard__slots_are_kept_and_used_again(void **state) {
    (void)state;
    const htt_env *env = htt_env_system();
    htt_lockfile *lock = board_lock(env, 1);
    htt_pinboard board = {.env = env, .lock = lock};
    htt_pin *pin;
    for (uint64_t epoch = 1; epoch < 100; epoch++) {
        assert_int_equal(htt_pinboard_take(&board, epoch, &pin, NULL), HTT_OK);
        assert_int_equal(pin->slot, 0);
        assert_int_equal(pin->epoch, epoch);
        htt_pinboard_give(&board, pin);
    }
    htt_pinboard_free(&board);
    htt_lockfile_close(lock, false);
}

static void test_pinboard__an_epoch_below_the_horizon_is_gone(void **state) {
    (void)state;
    const htt_env *env = htt_env_system();
    htt_lockfile *lock = board_lock(env, 7);
    htt_pinboard board = {.env = env, .lock = lock};
    htt_pin *pin;
    assert_int_equal(htt_pinboard_take(&board, 6, &pin, NULL), HTT_SNAPSHOT);
    assert_int_equal(htt_lockfile_count_pins(lock), 0);
    assert_int_equal(htt_pinboard_take(&board, 7, &pin, NULL), HTT_OK);
    htt_pinboard_give(&board, pin);
    htt_pinboard_free(&board);
    htt_lockfile_close(lock, false);
}

static void test_pinboard__without_slots_an_older_pin_of_the_same_handle_does(void **state) {
    (void)state;
    enum { MORE = 10 };
    const htt_env *env = htt_env_system();
    htt_lockfile *lock = board_lock(env, 1);
    htt_pinboard board = {.env = env, .lock = lock};
    htt_pin *pins[HTT_LOCK_SLOTS + MORE];
    for (uint32_t i = 0; i < HTT_LOCK_SLOTS + MORE; i++) {
        assert_int_equal(htt_pinboard_take(&board, 1 + i, &pins[i], NULL), HTT_OK);
        assert_true(pins[i]->epoch <= 1 + i);
    }
    assert_int_equal(htt_lockfile_lowest_pin(lock), 1);
    for (uint32_t i = 0; i < HTT_LOCK_SLOTS + MORE; i++)
        htt_pinboard_give(&board, pins[i]);
    assert_int_equal(htt_lockfile_count_pins(lock), 0);
    htt_pinboard_free(&board);
    htt_lockfile_close(lock, false);
}

/* What a writer does that needs the space: takes idle pins, then R passes them. */
static void board_need_space(htt_lockfile *lock, uint64_t epoch) {
    htt_lockfile_take_idle(lock, epoch, UINT64_MAX, 0);
    atomic_store(&lock->area->synced_epoch, epoch);
    (void)htt_lockfile_reuse_limit(lock);
}

static void test_pinboard__a_pin_rests_when_all_its_users_do(void **state) {
    (void)state;
    const htt_env *env = htt_env_system();
    htt_lockfile *lock = board_lock(env, 1);
    htt_pinboard board = {.env = env, .lock = lock};
    htt_pin *a, *b;
    assert_int_equal(htt_pinboard_take(&board, 4, &a, NULL), HTT_OK);
    assert_int_equal(htt_pinboard_take(&board, 4, &b, NULL), HTT_OK);
    htt_pinboard_rest(&board, a);
    board_need_space(lock, 9);
    assert_int_equal(htt_lockfile_lowest_pin(lock), 4);
    assert_true(htt_pinboard_wake(&board, a));
    htt_pinboard_rest(&board, a);
    htt_pinboard_give(&board, b); /* the last that was awake */
    assert_int_equal(htt_lockfile_lowest_pin(lock), 4);
    assert_true(htt_pinboard_wake(&board, a)); /* nobody wanted it */
    htt_pinboard_rest(&board, a);
    board_need_space(lock, 9);
    assert_int_equal(htt_lockfile_lowest_pin(lock), HTT_NO_PIN);
    assert_false(htt_pinboard_wake(&board, a));
    htt_pinboard_give(&board, a);
    assert_int_equal(htt_lockfile_count_pins(lock), 0);
    htt_pinboard_free(&board);
    htt_lockfile_close(lock, false);
}

static void test_pinboard__who_comes_to_a_resting_pin_wakes_it(void **state) {
    (void)state;
    const htt_env *env = htt_env_system();
    htt_lockfile *lock = board_lock(env, 1);
    htt_pinboard board = {.env = env, .lock = lock};
    htt_pin *a, *b;
    assert_int_equal(htt_pinboard_take(&board, 4, &a, NULL), HTT_OK);
    htt_pinboard_rest(&board, a);
    assert_int_equal(htt_pinboard_take(&board, 4, &b, NULL), HTT_OK);
    assert_ptr_equal(a, b);
    board_need_space(lock, 9);
    assert_int_equal(htt_lockfile_lowest_pin(lock), 4);
    htt_pinboard_give(&board, b); /* rests again */
    board_need_space(lock, 9);
    assert_int_equal(htt_lockfile_lowest_pin(lock), HTT_NO_PIN);
    assert_int_equal(htt_pinboard_take(&board, 4, &b, NULL), HTT_SNAPSHOT);
    assert_false(htt_pinboard_wake(&board, a));
    htt_pinboard_give(&board, a);
    htt_pinboard_free(&board);
    htt_lockfile_close(lock, false);
}

static void test_pinboard__a_lost_pin_is_lost_for_all_and_helps_nobody_else(void **state) {
    (void)state;
    const htt_env *env = htt_env_system();
    htt_lockfile *lock = board_lock(env, 1);
    htt_pinboard board = {.env = env, .lock = lock};
    htt_pin *a, *b, *c;
    assert_int_equal(htt_pinboard_take(&board, 4, &a, NULL), HTT_OK);
    assert_int_equal(htt_pinboard_take(&board, 4, &b, NULL), HTT_OK);
    htt_pinboard_rest(&board, a);
    htt_pinboard_rest(&board, b);
    board_need_space(lock, 9);
    assert_false(htt_pinboard_wake(&board, a));
    assert_int_equal(htt_pinboard_take(&board, 9, &c, NULL), HTT_OK);
    assert_ptr_not_equal(c, a);
    htt_pinboard_rest(&board, a); /* once more: nothing to keep */
    assert_int_equal(htt_lockfile_count_pins(lock), 1);
    assert_false(htt_pinboard_wake(&board, a));
    htt_pinboard_give(&board, a);
    assert_false(htt_pinboard_wake(&board, b));
    htt_pinboard_give(&board, b);
    assert_int_equal(htt_lockfile_lowest_pin(lock), 9);
    htt_pinboard_give(&board, c);
    /* Its slot is as good as any. */
    assert_int_equal(htt_pinboard_take(&board, 10, &a, NULL), HTT_OK);
    htt_pinboard_rest(&board, a);
    assert_true(htt_pinboard_wake(&board, a));
    assert_int_equal(htt_lockfile_lowest_pin(lock), 10);
    htt_pinboard_give(&board, a);
    htt_pinboard_free(&board);
    htt_lockfile_close(lock, false);
}

static void test_pinboard__an_own_pin_is_nobody_elses(void **state) {
    (void)state;
    const htt_env *env = htt_env_system();
    htt_lockfile *lock = board_lock(env, 1);
    htt_pinboard board = {.env = env, .lock = lock};
    htt_pin *own, *other, *shared;
    assert_int_equal(htt_pinboard_take_own(&board, 4, &own, NULL), HTT_OK);
    assert_int_equal(htt_pinboard_take_own(&board, 4, &other, NULL), HTT_OK);
    assert_int_equal(htt_pinboard_take(&board, 4, &shared, NULL), HTT_OK);
    assert_int_equal(htt_lockfile_count_pins(lock), 3);
    assert_ptr_not_equal(own, other);
    assert_ptr_not_equal(own, shared);
    assert_ptr_not_equal(other, shared);
    htt_pinboard_give(&board, shared);
    htt_pinboard_give(&board, own);
    assert_int_equal(htt_lockfile_lowest_pin(lock), 4);
    htt_pinboard_give(&board, other);
    assert_int_equal(htt_lockfile_count_pins(lock), 0);
    assert_int_equal(htt_pinboard_take(&board, 5, &shared, NULL), HTT_OK);
    assert_false(shared->own);
    htt_pinboard_give(&board, shared);
    htt_pinboard_free(&board);
    htt_lockfile_close(lock, false);
}

static void test_pinboard__a_parked_pin_keeps_its_slot_and_no_state(void **state) {
    (void)state;
    const htt_env *env = htt_env_system();
    htt_lockfile *lock = board_lock(env, 1);
    htt_pinboard board = {.env = env, .lock = lock};
    htt_pin *pin;
    assert_int_equal(htt_pinboard_take_own(&board, 4, &pin, NULL), HTT_OK);
    const uint32_t slot = pin->slot;
    htt_pinboard_park(&board, pin);
    assert_int_equal(htt_lockfile_count_pins(lock), 0);
    atomic_store(&lock->area->horizon, 6);
    assert_false(htt_pinboard_unpark(&board, pin, 5)); /* its pages may be gone */
    assert_int_equal(htt_lockfile_count_pins(lock), 0);
    assert_true(htt_pinboard_unpark(&board, pin, 6));
    assert_int_equal(htt_lockfile_lowest_pin(lock), 6);
    assert_int_equal(pin->slot, slot);
    htt_pinboard_rest(&board, pin); /* parked out of its rest, after a writer took it */
    htt_lockfile_take_idle(lock, 7, env->now_ms(env->context), 0);
    htt_pinboard_park(&board, pin);
    assert_true(htt_pinboard_unpark(&board, pin, 7));
    htt_pinboard_rest(&board, pin);
    assert_true(htt_pinboard_wake(&board, pin));
    htt_pinboard_park(&board, pin);
    htt_pinboard_give(&board, pin);
    assert_int_equal(htt_lockfile_count_pins(lock), 0);
    htt_pinboard_free(&board);
    htt_lockfile_close(lock, false);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pinboard__users_of_one_epoch_share_a_slot),
        cmocka_unit_test(test_pinboard__slots_are_kept_and_used_again),
        cmocka_unit_test(test_pinboard__an_epoch_below_the_horizon_is_gone),
        cmocka_unit_test(test_pinboard__without_slots_an_older_pin_of_the_same_handle_does),
        cmocka_unit_test(test_pinboard__a_pin_rests_when_all_its_users_do),
        cmocka_unit_test(test_pinboard__who_comes_to_a_resting_pin_wakes_it),
        cmocka_unit_test(test_pinboard__a_lost_pin_is_lost_for_all_and_helps_nobody_else),
        cmocka_unit_test(test_pinboard__an_own_pin_is_nobody_elses),
        cmocka_unit_test(test_pinboard__a_parked_pin_keeps_its_slot_and_no_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
