/* SPDX-License-Identifier: MIT */
#include "txn_support.h"

#include "base/le.h"

static const htt_lock_identity identity = {{1, 2, 3}, 7, 8};

static htt_lockfile *lock_open(const htt_env *env) {
    htt_lockfile *lock = NULL;
    htt_error error;
    if (htt_lockfile_open(env, TXN_LOCK, &lock, &error) != HTT_OK)
        fail_msg("%s", error.text);
    return lock;
}

static htt_lockfile *lock_open_first(const htt_env *env, uint64_t epoch) {
    htt_lockfile *lock = lock_open(env);
    assert_true(lock->first);
    htt_lockfile_reset(lock, &identity, epoch);
    assert_int_equal(htt_lockfile_share(lock, NULL), HTT_OK);
    return lock;
}

static void test_lockfile__has_the_documented_layout(void **state) {
    (void)state;
    crash_fs *disk = crash_fs_new(1);
    htt_lockfile *lock = lock_open_first(crash_fs_env(disk), 5);
    uint32_t slot;
    assert_int_equal(htt_lockfile_take_slot(lock, &slot, NULL), HTT_OK);
    assert_true(htt_lockfile_pin(lock, slot, 6));
    size_t size;
    uint8_t *bytes = crash_fs_get_file(disk, TXN_LOCK, &size);
    assert_int_equal(size, 131072);
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    assert_memory_equal(bytes, "HTLOCK01", 8);
    assert_memory_equal(bytes + 8, identity.uuid, 16);
    assert_int_equal(le64_get(bytes + 24), 7);
    assert_int_equal(le64_get(bytes + 32), 8);
    assert_int_equal(le64_get(bytes + 64), 5);  /* R */
    assert_int_equal(le64_get(bytes + 72), 0);  /* synced epoch */
    assert_int_equal(le64_get(bytes + 80), 2);  /* generation */
    assert_int_equal(le32_get(bytes + 104), 2); /* synced slot: unknown */
    assert_int_equal(le32_get(bytes + 108), 1); /* slots used */
    assert_int_equal(le64_get(bytes + 128), 6); /* slot 0: epoch */
    assert_int_equal(le32_get(bytes + 136), 1); /* active */
#endif
    free(bytes);
    htt_lockfile_close(lock, false);
    txn_free_disk(disk);
}

static void test_lockfile__only_who_is_alone_is_first(void **state) {
    (void)state;
    crash_fs *disk = crash_fs_new(1);
    htt_lockfile *a = lock_open_first(crash_fs_env(disk), 1);
    htt_lockfile *b = lock_open(crash_fs_new_process(disk));
    htt_lockfile *c = lock_open(crash_fs_env(disk)); /* the same process, another handle */
    assert_false(b->first);
    assert_false(c->first);
    assert_true(htt_lockfile_matches(b, &identity));
    htt_lock_identity other = identity;
    other.inode++;
    assert_false(htt_lockfile_matches(b, &other));
    htt_lockfile_close(a, false);
    htt_lockfile_close(b, false);
    htt_lockfile_close(c, false);
    a = lock_open(crash_fs_env(disk));
    assert_true(a->first);
    htt_lockfile_close(a, false);
    txn_free_disk(disk);
}

static void test_lockfile__a_first_user_that_died_halfway_is_followed_by_another(void **state) {
    (void)state;
    crash_fs *disk = crash_fs_new(1);
    const htt_env *victim = crash_fs_new_process(disk);
    htt_lockfile *a = lock_open(victim);
    assert_true(a->first);
    crash_fs_kill_process(disk, victim);
    htt_lockfile *b = lock_open_first(crash_fs_env(disk), 1);
    htt_lockfile_close(a, true);
    htt_lockfile_close(b, false);
    txn_free_disk(disk);
}

static void test_lockfile__waits_for_who_sets_it_up_and_gives_up(void **state) {
    (void)state;
    crash_fs *disk = crash_fs_new(1);
    const htt_env *env = crash_fs_env(disk);
    htt_lockfile *a = lock_open(env); /* exclusive, does not go on */
    htt_lockfile *b = NULL;
    htt_error error;
    assert_int_equal(htt_lockfile_open(env, TXN_LOCK, &b, &error), HTT_BUSY);
    assert_non_null(strstr(error.text, "set up"));
    htt_lockfile_close(a, false);
    txn_free_disk(disk);
}

static void test_lockfile__rubbish_of_its_size_is_initialised_again(void **state) {
    (void)state;
    crash_fs *disk = crash_fs_new(1);
    uint8_t *rubbish = malloc(HTT_LOCK_SIZE);
    memset(rubbish, 0xA5, HTT_LOCK_SIZE); /* what a power cut may leave */
    crash_fs_put_file(disk, TXN_LOCK, rubbish, HTT_LOCK_SIZE);
    free(rubbish);
    htt_lockfile *lock = lock_open_first(crash_fs_env(disk), 3);
    assert_int_equal(atomic_load(&lock->area->horizon), 3);
    assert_int_equal(atomic_load(&lock->area->armed), 0);
    assert_int_equal(htt_lockfile_lowest_pin(lock), HTT_NO_PIN);
    htt_lockfile_close(lock, false);
    txn_free_disk(disk);
}

static void test_lockfile__a_file_of_another_size_is_left_alone(void **state) {
    (void)state;
    crash_fs *disk = crash_fs_new(1);
    crash_fs_put_file(disk, TXN_LOCK, "my notes", 8);
    htt_lockfile *lock = NULL;
    htt_error error;
    assert_int_equal(htt_lockfile_open(crash_fs_env(disk), TXN_LOCK, &lock, &error),
                     HTT_CANTOPEN);
    assert_non_null(strstr(error.text, TXN_LOCK));
    size_t size;
    uint8_t *bytes = crash_fs_get_file(disk, TXN_LOCK, &size);
    assert_int_equal(size, 8);
    assert_memory_equal(bytes, "my notes", 8);
    free(bytes);
    txn_free_disk(disk);
}

static void test_lockfile__reset_keeps_armed_for_the_same_file_only(void **state) {
    (void)state;
    crash_fs *disk = crash_fs_new(1);
    htt_lockfile *lock = lock_open_first(crash_fs_env(disk), 1);
    atomic_store(&lock->area->armed, 99);
    atomic_store(&lock->area->lost, HTT_LOST_HERE);
    htt_lockfile_close(lock, false);
    lock = lock_open_first(crash_fs_env(disk), 4);
    assert_int_equal(atomic_load(&lock->area->armed), 99);
    assert_int_equal(atomic_load(&lock->area->lost), HTT_LOST_BEFORE);
    htt_lockfile_close(lock, false);
    lock = lock_open(crash_fs_env(disk));
    htt_lock_identity other = identity;
    other.uuid[0]++;
    htt_lockfile_reset(lock, &other, 4);
    assert_int_equal(atomic_load(&lock->area->armed), 0);
    assert_int_equal(atomic_load(&lock->area->lost), HTT_LOST_NONE);
    htt_lockfile_close(lock, false);
    txn_free_disk(disk);
}

static void test_lockfile__one_writer_at_a_time(void **state) {
    (void)state;
    crash_fs *disk = crash_fs_new(1);
    const htt_env *victim = crash_fs_new_process(disk);
    htt_lockfile *a = lock_open_first(crash_fs_env(disk), 1);
    htt_lockfile *b = lock_open(victim);
    assert_int_equal(htt_lockfile_take_writer(b, NULL), HTT_OK);
    assert_int_equal(htt_lockfile_take_writer(a, NULL), HTT_BUSY);
    crash_fs_kill_process(disk, victim); /* nothing to repair */
    assert_int_equal(htt_lockfile_take_writer(a, NULL), HTT_OK);
    htt_lockfile_give_writer(a);
    htt_lockfile_close(a, false);
    htt_lockfile_close(b, true);
    txn_free_disk(disk);
}

static void test_lockfile__a_pin_below_the_horizon_is_refused(void **state) {
    (void)state;
    crash_fs *disk = crash_fs_new(1);
    htt_lockfile *lock = lock_open_first(crash_fs_env(disk), 10);
    uint32_t slot;
    assert_int_equal(htt_lockfile_take_slot(lock, &slot, NULL), HTT_OK);
    assert_false(htt_lockfile_pin(lock, slot, 9));
    assert_int_equal(htt_lockfile_lowest_pin(lock), HTT_NO_PIN);
    assert_true(htt_lockfile_pin(lock, slot, 10));
    assert_int_equal(htt_lockfile_lowest_pin(lock), 10);
    htt_lockfile_unpin(lock, slot);
    assert_int_equal(htt_lockfile_lowest_pin(lock), HTT_NO_PIN);
    htt_lockfile_close(lock, false);
    txn_free_disk(disk);
}

static void test_lockfile__reuse_limit_is_the_synced_epoch_or_the_lowest_pin(void **state) {
    (void)state;
    crash_fs *disk = crash_fs_new(1);
    htt_lockfile *a = lock_open_first(crash_fs_env(disk), 10);
    htt_lockfile *b = lock_open(crash_fs_new_process(disk));
    uint32_t slot;
    atomic_store(&a->area->synced_epoch, 12);
    assert_int_equal(htt_lockfile_take_slot(b, &slot, NULL), HTT_OK);
    assert_true(htt_lockfile_pin(b, slot, 11));
    assert_int_equal(htt_lockfile_reuse_limit(a), 11);
    assert_int_equal(atomic_load(&a->area->horizon), 11);
    htt_lockfile_unpin(b, slot);
    assert_int_equal(htt_lockfile_reuse_limit(a), 12);
    assert_int_equal(atomic_load(&a->area->horizon), 12);
    assert_true(htt_lockfile_pin(b, slot, 15)); /* newer than what is synced: no matter */
    assert_int_equal(htt_lockfile_reuse_limit(a), 12);
    htt_lockfile_close(a, false);
    htt_lockfile_close(b, false);
    txn_free_disk(disk);
}

static void test_lockfile__slots_of_the_dead_are_cleared_others_kept(void **state) {
    (void)state;
    crash_fs *disk = crash_fs_new(1);
    const htt_env *victim = crash_fs_new_process(disk);
    htt_lockfile *a = lock_open_first(crash_fs_env(disk), 1);
    htt_lockfile *b = lock_open(victim);
    uint32_t mine, theirs;
    assert_int_equal(htt_lockfile_take_slot(a, &mine, NULL), HTT_OK);
    assert_int_equal(htt_lockfile_take_slot(b, &theirs, NULL), HTT_OK);
    assert_int_not_equal(mine, theirs);
    assert_true(htt_lockfile_pin(a, mine, 3));
    assert_true(htt_lockfile_pin(b, theirs, 2));
    assert_int_equal(htt_lockfile_count_pins(a), 2);
    assert_int_equal(htt_lockfile_lowest_pin(a), 2);
    crash_fs_kill_process(disk, victim);
    assert_int_equal(htt_lockfile_lowest_pin(a), 3);
    assert_int_equal(htt_lockfile_count_pins(a), 1);
    assert_int_equal(atomic_load(&a->area->slots[theirs].process), 0);
    htt_lockfile_close(a, false);
    htt_lockfile_close(b, true);
    txn_free_disk(disk);
}

static void test_lockfile__all_slots_can_be_taken_and_come_back(void **state) {
    (void)state;
    crash_fs *disk = crash_fs_new(1);
    htt_lockfile *a = lock_open_first(crash_fs_env(disk), 1);
    htt_lockfile *b = lock_open(crash_fs_new_process(disk));
    htt_error error;
    uint32_t slot;
    for (uint32_t i = 0; i < HTT_LOCK_SLOTS; i++) {
        assert_int_equal(htt_lockfile_take_slot(a, &slot, NULL), HTT_OK);
        assert_int_equal(slot, i);
    }
    assert_int_equal(htt_lockfile_take_slot(a, &slot, &error), HTT_FULL);
    assert_int_equal(htt_lockfile_take_slot(b, &slot, &error), HTT_FULL);
    assert_non_null(strstr(error.text, "2046"));
    htt_lockfile_close(a, false);
    assert_int_equal(htt_lockfile_take_slot(b, &slot, &error), HTT_OK);
    htt_lockfile_close(b, false);
    txn_free_disk(disk);
}

static void test_lockfile__a_private_one_needs_no_file(void **state) {
    (void)state;
    crash_fs *disk = crash_fs_new(1);
    htt_lockfile *lock = NULL;
    uint32_t slot;
    assert_int_equal(htt_lockfile_open_private(crash_fs_env(disk), &lock, NULL), HTT_OK);
    htt_lockfile_reset(lock, &identity, 1);
    assert_int_equal(htt_lockfile_share(lock, NULL), HTT_OK);
    assert_int_equal(htt_lockfile_take_writer(lock, NULL), HTT_OK);
    assert_int_equal(htt_lockfile_take_slot(lock, &slot, NULL), HTT_OK);
    assert_true(htt_lockfile_pin(lock, slot, 1));
    assert_int_equal(htt_lockfile_count_pins(lock), 1);
    htt_lockfile_give_writer(lock);
    htt_lockfile_close(lock, false);
    assert_int_equal(crash_fs_position(disk), 0);
    txn_free_disk(disk);
}

static void test_lockfile__the_highest_pin_counts_whoever_lives_resting_or_not(void **state) {
    (void)state;
    crash_fs *disk = crash_fs_new(1);
    const htt_env *victim = crash_fs_new_process(disk);
    htt_lockfile *a = lock_open_first(crash_fs_env(disk), 1);
    htt_lockfile *b = lock_open(victim);
    uint32_t mine, theirs;
    assert_int_equal(htt_lockfile_highest_pin(a), 0);
    assert_int_equal(htt_lockfile_take_slot(a, &mine, NULL), HTT_OK);
    assert_int_equal(htt_lockfile_take_slot(b, &theirs, NULL), HTT_OK);
    assert_int_equal(htt_lockfile_highest_pin(a), 0); /* taken, not pinned */
    assert_true(htt_lockfile_pin(a, mine, 3));
    assert_true(htt_lockfile_pin(b, theirs, 8));
    assert_int_equal(htt_lockfile_highest_pin(a), 8);
    assert_int_equal(htt_lockfile_highest_pin(b), 8);
    htt_lockfile_rest(b, theirs, 0);
    assert_int_equal(htt_lockfile_highest_pin(a), 8);
    crash_fs_kill_process(disk, victim);
    assert_int_equal(htt_lockfile_highest_pin(a), 3);
    htt_lockfile_unpin(a, mine);
    assert_int_equal(htt_lockfile_highest_pin(a), 0);
    htt_lockfile_close(a, false);
    htt_lockfile_close(b, true);
    txn_free_disk(disk);
}

static void test_lockfile__idle_pins_are_taken_by_age_and_epoch(void **state) {
    (void)state;
    crash_fs *disk = crash_fs_new(1);
    htt_lockfile *a = lock_open_first(crash_fs_env(disk), 1);
    htt_lockfile *b = lock_open(crash_fs_new_process(disk));
    uint32_t slots[4];
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(htt_lockfile_take_slot(b, &slots[i], NULL), HTT_OK);
        assert_true(htt_lockfile_pin(b, slots[i], 5 + i));
    }
    htt_lockfile_rest(b, slots[0], 1000); /* epoch 5 */
    htt_lockfile_rest(b, slots[1], 5000); /* epoch 6 */
    htt_lockfile_rest(b, slots[3], 1000); /* epoch 8; 7 is at work */
    htt_lockfile_take_idle(a, 8, 1999, 1000);
    assert_int_equal(htt_lockfile_lowest_pin(a), 5); /* too young yet */
    htt_lockfile_take_idle(a, 8, 2000, 1000);
    assert_int_equal(htt_lockfile_lowest_pin(a), 6);
    /* One that has begun to rest since the clock was looked at is no older than the clock. */
    htt_lockfile_take_idle(a, 8, 4000, 1000);
    assert_int_equal(htt_lockfile_lowest_pin(a), 6);
    htt_lockfile_take_idle(a, 6, 9000, 0);
    assert_int_equal(htt_lockfile_lowest_pin(a), 6); /* not below the epoch */
    htt_lockfile_take_idle(a, 8, 9000, 0);
    assert_int_equal(htt_lockfile_lowest_pin(a), 7); /* which is at work */
    assert_int_equal(htt_lockfile_count_pins(a), 2);
    assert_false(htt_lockfile_wake(b, slots[0]));
    assert_false(htt_lockfile_wake(b, slots[1]));
    assert_true(htt_lockfile_wake(b, slots[3]));
    assert_false(htt_lockfile_wake(b, slots[2])); /* does not rest */
    assert_int_equal(htt_lockfile_count_pins(a), 2);
    htt_lockfile_close(a, false);
    htt_lockfile_close(b, false);
    txn_free_disk(disk);
}

static void test_lockfile__a_pin_that_was_taken_can_be_set_again_until_r_passes_it(void **state) {
    (void)state;
    crash_fs *disk = crash_fs_new(1);
    htt_lockfile *a = lock_open_first(crash_fs_env(disk), 1);
    htt_lockfile *b = lock_open(crash_fs_new_process(disk));
    uint32_t slot;
    atomic_store(&a->area->synced_epoch, 9);
    assert_int_equal(htt_lockfile_take_slot(b, &slot, NULL), HTT_OK);
    assert_true(htt_lockfile_pin(b, slot, 5));
    htt_lockfile_rest(b, slot, 0);
    assert_int_equal(htt_lockfile_reuse_limit(a), 5); /* it counts as long as nobody takes it */
    htt_lockfile_take_idle(a, 9, 10, 0);
    assert_false(htt_lockfile_wake(b, slot));
    assert_true(htt_lockfile_pin(b, slot, 5)); /* R is still there */
    htt_lockfile_rest(b, slot, 0);
    htt_lockfile_take_idle(a, 9, 10, 0);
    assert_int_equal(htt_lockfile_reuse_limit(a), 9);
    assert_false(htt_lockfile_wake(b, slot));
    assert_false(htt_lockfile_pin(b, slot, 5));
    htt_lockfile_close(a, false);
    htt_lockfile_close(b, false);
    txn_free_disk(disk);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lockfile__has_the_documented_layout),
        cmocka_unit_test(test_lockfile__only_who_is_alone_is_first),
        cmocka_unit_test(test_lockfile__a_first_user_that_died_halfway_is_followed_by_another),
        cmocka_unit_test(test_lockfile__waits_for_who_sets_it_up_and_gives_up),
        cmocka_unit_test(test_lockfile__rubbish_of_its_size_is_initialised_again),
        cmocka_unit_test(test_lockfile__a_file_of_another_size_is_left_alone),
        cmocka_unit_test(test_lockfile__reset_keeps_armed_for_the_same_file_only),
        cmocka_unit_test(test_lockfile__one_writer_at_a_time),
        cmocka_unit_test(test_lockfile__a_pin_below_the_horizon_is_refused),
        cmocka_unit_test(test_lockfile__reuse_limit_is_the_synced_epoch_or_the_lowest_pin),
        cmocka_unit_test(test_lockfile__slots_of_the_dead_are_cleared_others_kept),
        cmocka_unit_test(test_lockfile__all_slots_can_be_taken_and_come_back),
        cmocka_unit_test(test_lockfile__a_private_one_needs_no_file),
        cmocka_unit_test(test_lockfile__the_highest_pin_counts_whoever_lives_resting_or_not),
        cmocka_unit_test(test_lockfile__idle_pins_are_taken_by_age_and_epoch),
        cmocka_unit_test(
            test_lockfile__a_pin_that_was_taken_can_be_set_again_until_r_passes_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
