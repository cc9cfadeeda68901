/* SPDX-License-Identifier: MIT */
#include "txn_support.h"

#include "txn/metas.h"

/* The two meta pages as they are in the file. */
static void keeper_look(crash_fs *disk, htt_meta metas[2]) {
    size_t size;
    htt_fault fault;
    uint8_t *bytes = crash_fs_get_file(disk, TXN_PATH, &size);
    assert_true(size >= 8192);
    for (uint32_t slot = 0; slot < 2; slot++)
        assert_int_equal(htt_meta_decode(bytes + slot * 4096, 4096, &metas[slot], &fault),
                         HTT_META_VALID);
    free(bytes);
}

/* Operations of one kind ("sync") from a position on. */
static size_t keeper_count_ops(crash_fs *disk, size_t from, const char *what) {
    size_t count = 0;
    char text[200];
    for (size_t i = from; i < crash_fs_position(disk); i++) {
        crash_fs_describe(disk, i, text, sizeof text);
        count += strncmp(text, what, strlen(what)) == 0;
    }
    return count;
}

static htt_store *keeper_open(crash_fs *disk, htt_sync sync) {
    htt_options options = txn_options(crash_fs_env(disk));
    options.sync = sync;
    return txn_open_with(&options);
}

static void test_keeper_meta__full_alternates_and_syncs_twice(void **state) {
    (void)state;
    crash_fs *disk = crash_fs_new(1);
    htt_store *store = keeper_open(disk, HTT_SYNC_FULL);
    htt_meta metas[2];
    for (uint64_t i = 2; i < 8; i++) {
        const size_t before = crash_fs_position(disk);
        txn_fill(store, 0, 1, i, 8);
        assert_int_equal(keeper_count_ops(disk, before, "sync kv.htt"), 2);
        keeper_look(disk, metas);
        assert_int_equal(metas[i % 2].root.self.epoch, i);
        assert_int_equal(metas[1 - i % 2].root.self.epoch, i - 1);
        assert_false(htt_metas_weak(&metas[0]) || htt_metas_weak(&metas[1]));
        assert_int_equal(atomic_load(&store->lock->area->synced_slot), i % 2);
        assert_int_equal(atomic_load(&store->lock->area->synced_epoch), i);
        assert_int_equal(atomic_load(&store->lock->area->generation) % 2, 0);
        assert_int_equal(metas[i % 2].ancestor_count, i - 1);
        assert_int_equal(metas[i % 2].ancestors[0].epoch, i - 1);
        assert_int_equal(metas[i % 2].ancestors[0].nonce, metas[1 - i % 2].root.self.nonce);
        assert_int_equal(metas[i % 2].root.parent.nonce, metas[1 - i % 2].root.self.nonce);
    }
    for (uint64_t i = 0; i < 70; i++)
        txn_fill(store, 0, 1, i, 8);
    keeper_look(disk, metas);
    assert_int_equal(metas[0].ancestor_count, HTT_META_ANCESTORS_MAX);
    htt_close(store);
    txn_free_disk(disk);
}

static void test_keeper_meta__normal_keeps_the_synced_page_until_it_settles(void **state) {
    (void)state;
    crash_fs *disk = crash_fs_new(1);
    htt_store *store = keeper_open(disk, HTT_SYNC_NORMAL);
    htt_meta metas[2];
    const size_t before = crash_fs_position(disk);
    for (uint64_t i = 2; i < 6; i++) {
        txn_fill(store, 0, 1, i, 8);
        keeper_look(disk, metas);
        assert_int_equal(metas[0].root.self.epoch, i);
        assert_true(htt_metas_weak(&metas[0]));
        assert_int_equal(metas[1].root.self.epoch, 1);
        assert_int_equal(atomic_load(&store->lock->area->synced_epoch), 1);
    }
    assert_int_equal(keeper_count_ops(disk, before, "sync kv.htt"), 0);
    htt_testing_set_unsynced_max(store, 1);
    txn_fill(store, 0, 1, 6, 8);
    keeper_look(disk, metas);
    assert_false(htt_metas_weak(&metas[0]));
    assert_int_equal(metas[0].root.self.epoch, 6);
    assert_int_equal(atomic_load(&store->lock->area->synced_slot), 0);
    assert_int_equal(keeper_count_ops(disk, before, "sync kv.htt"), 2);
    htt_testing_set_unsynced_max(store, 1 << 30);
    txn_fill(store, 0, 1, 7, 8);
    keeper_look(disk, metas);
    assert_true(htt_metas_weak(&metas[1]));
    htt_close(store); /* settles */
    keeper_look(disk, metas);
    assert_false(htt_metas_weak(&metas[1]));
    assert_int_equal(metas[1].root.self.epoch, 7);
    txn_free_disk(disk);
}

static void test_keeper_meta__normal_goes_back_to_a_complete_state_after_a_power_cut(void **state) {
    (void)state;
    static const uint64_t kept[] = {UINT64_MAX, UINT64_MAX, 5, 5};
    crash_fs *disk = crash_fs_new(1);
    htt_store *store = keeper_open(disk, HTT_SYNC_NORMAL);
    size_t positions[4];
    for (uint64_t i = 0; i < 4; i++) {
        htt_testing_set_unsynced_max(store, i == 2 ? 1 : 1 << 30);
        txn_fill(store, 0, 10, i + 3, 600);
        positions[i] = crash_fs_position(disk);
    }
    for (size_t i = 0; i < 4; i++) {
        crash_fs *killed = crash_fs_killed(disk, positions[i]);
        htt_store *after = txn_open(crash_fs_env(killed));
        assert_int_equal(txn_read(after, 9), i + 3);
        txn_check(after);
        htt_close(after);
        txn_free_disk(killed);
        for (size_t cut = 0; cut < crash_fs_cut_count(disk, positions[i], 20); cut++) {
            crash_fs *dark = crash_fs_cut(disk, positions[i], cut, 20);
            after = txn_open(crash_fs_env(dark));
            assert_int_equal(txn_read(after, 9), kept[i]);
            txn_check(after);
            txn_fill(after, 0, 10, 77, 600);
            assert_int_equal(txn_read(after, 0), 77);
            htt_close(after);
            txn_free_disk(dark);
        }
    }
    htt_close(store);
    txn_free_disk(disk);
}

static void test_keeper_meta__off_syncs_no_commit_and_is_refused_after_a_power_cut(void **state) {
    (void)state;
    crash_fs *disk = crash_fs_new(1);
    htt_store *store = keeper_open(disk, HTT_SYNC_OFF);
    const size_t before = crash_fs_position(disk);
    for (uint64_t i = 0; i < 4; i++)
        txn_fill(store, 0, 10, i, 600);
    assert_int_equal(keeper_count_ops(disk, before, "sync"), 0);
    const size_t at = crash_fs_position(disk);
    htt_close(store);
    assert_int_equal(keeper_count_ops(disk, at, "sync kv.htt"), 2); /* whoever closes may rest */
    crash_fs *killed = crash_fs_killed(disk, at);
    store = txn_open(crash_fs_env(killed));
    assert_int_equal(txn_read(store, 5), 3);
    htt_close(store);
    txn_free_disk(killed);
    crash_fs *dark = crash_fs_cut(disk, at, 0, 10); /* all lost: the new file's own pages hold */
    store = txn_open(crash_fs_env(dark));
    assert_int_equal(txn_read(store, 5), UINT64_MAX);
    htt_close(store);
    txn_free_disk(dark);
    dark = crash_fs_cut(disk, at, 1, 10); /* all kept, but nobody can know */
    const htt_options options = txn_options(crash_fs_env(dark));
    txn_open_fails(TXN_PATH, &options, HTT_CORRUPT, "sync = off");
    txn_free_disk(dark);
    dark = crash_fs_cut(disk, crash_fs_position(disk), 0, 10);
    store = txn_open(crash_fs_env(dark));
    assert_int_equal(txn_read(store, 5), 3);
    htt_close(store);
    txn_free_disk(dark);
    txn_free_disk(disk);
}

/* A store on a disk whose calls can be made to fail. */
typedef struct keeper_world {
    crash_fs *disk;   /* below */
    fault_env *fault; /* between */
    htt_store *store; /* above */
} keeper_world;

static void keeper_world_open(keeper_world *world, htt_sync sync) {
    world->disk = crash_fs_new(1);
    world->fault = fault_env_new(crash_fs_env(world->disk));
    htt_options options = txn_options(fault_env_table(world->fault));
    options.sync = sync;
    world->store = txn_open_with(&options);
}

static void keeper_world_close(keeper_world *world) {
    htt_close(world->store);
    assert_int_equal(fault_env_held(world->fault), 0);
    fault_env_free(world->fault);
    txn_free_disk(world->disk);
}

static void keeper_fail_nth(keeper_world *world, unsigned kind, uint64_t nth) {
    const fault_plan plan = {.kinds = kind, .nth = nth, .error = EIO};
    fault_env_arm(world->fault, &plan);
}

static void test_keeper_meta__a_failed_sync_of_pages_commits_nothing_and_poisons(void **state) {
    (void)state;
    keeper_world world;
    htt_txn *txn;
    keeper_world_open(&world, HTT_SYNC_FULL);
    txn_fill(world.store, 0, 1, 1, 8);
    txn = txn_begin(world.store, HTT_WRITE);
    txn_put(txn, 0, 2, 8);
    keeper_fail_nth(&world, FAULT_SYNC, 1);
    assert_int_equal(htt_commit(txn), HTT_IO);
    assert_non_null(strstr(htt_errmsg(world.store), "cannot sync"));
    fault_env_disarm(world.fault);
    assert_int_equal(htt_begin(world.store, HTT_WRITE, &txn), HTT_POISONED);
    assert_non_null(strstr(htt_errmsg(world.store), "close and open"));
    assert_int_equal(txn_read(world.store, 0), 1); /* reading goes on */
    htt_close(world.store);
    world.store = txn_open(fault_env_table(world.fault));
    assert_int_equal(txn_read(world.store, 0), 1);
    txn_fill(world.store, 0, 1, 3, 8);
    keeper_world_close(&world);
}

static void test_keeper_meta__a_failed_meta_page_leaves_the_commit_in_doubt(void **state) {
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        keeper_world world;
        htt_txn *txn;
        keeper_world_open(&world, HTT_SYNC_FULL);
        txn_fill(world.store, 0, 1, 1, 8);
        txn = txn_begin(world.store, HTT_WRITE);
        txn_put(txn, 0, 2, 8);
        assert_int_equal(htt_prepare(txn), HTT_OK);
        keeper_fail_nth(&world, i == 0 ? FAULT_WRITE : FAULT_SYNC, 1);
        assert_int_equal(htt_commit(txn), HTT_POISONED);
        fault_env_disarm(world.fault);
        assert_int_equal(htt_begin(world.store, HTT_WRITE, &txn), HTT_POISONED);
        const uint64_t now = txn_read(world.store, 0);
        assert_true(now == 1 || now == 2);
        /* Others may not write either: what is newest is not sure. */
        htt_store *other = txn_open(crash_fs_new_process(world.disk));
        assert_int_equal(htt_begin(other, HTT_WRITE, &txn), HTT_POISONED);
        htt_close(other);
        htt_close(world.store);
        world.store = txn_open(fault_env_table(world.fault));
        const uint64_t then = txn_read(world.store, 0);
        assert_true(then == 1 || then == 2);
        txn_fill(world.store, 0, 1, 3, 8);
        txn_check(world.store);
        keeper_world_close(&world);
    }
}

static void test_keeper_meta__commits_that_a_failed_sync_lost_do_not_count_again(void **state) {
    (void)state;
    keeper_world world;
    htt_txn *txn;
    keeper_world_open(&world, HTT_SYNC_NORMAL);
    txn_fill(world.store, 0, 5, 1, 600);
    htt_close(world.store);
    htt_options options = txn_options(fault_env_table(world.fault));
    options.sync = HTT_SYNC_NORMAL;
    world.store = txn_open_with(&options);
    txn_fill(world.store, 0, 5, 2, 600);
    htt_testing_set_unsynced_max(world.store, 1);
    txn = txn_begin(world.store, HTT_WRITE);
    txn_put(txn, 0, 3, 600);
    keeper_fail_nth(&world, FAULT_SYNC, 1);
    assert_int_equal(htt_commit(txn), HTT_POISONED);
    fault_env_disarm(world.fault);
    htt_store *other = txn_open(crash_fs_new_process(world.disk));
    assert_int_equal(htt_begin(other, HTT_WRITE, &txn), HTT_POISONED);
    htt_close(other);
    htt_close(world.store);
    /* A reader is first: it must not believe in them, and cannot put an end to them. */
    options.flags = HTT_OPEN_READONLY;
    world.store = txn_open_with(&options);
    assert_int_equal(txn_read(world.store, 0), 1);
    options.flags = 0;
    other = txn_open_with(&options);
    assert_int_equal(txn_read(other, 0), 1);
    txn_fill(other, 0, 5, 9, 600);
    assert_int_equal(txn_read(world.store, 4), 9);
    txn_check(other);
    htt_close(other);
    keeper_world_close(&world);
}

static void test_keeper_meta__off_does_not_blame_the_system_for_a_failed_sync(void **state) {
    (void)state;
    keeper_world world;
    keeper_world_open(&world, HTT_SYNC_OFF);
    for (uint64_t i = 0; i < 4; i++)
        txn_fill(world.store, 0, 5, i, 600); /* both meta pages are weak */
    keeper_fail_nth(&world, FAULT_SYNC, 1);
    htt_close(world.store);
    assert_int_equal(fault_env_failures(world.fault), 1);
    fault_env_disarm(world.fault);
    const htt_options options = txn_options(fault_env_table(world.fault));
    txn_open_fails(TXN_PATH, &options, HTT_CORRUPT, "a sync of 'kv.htt' failed");
    world.store = NULL;
    keeper_world_close(&world);
}

static void test_keeper_meta__a_damaged_page_is_repaired_by_the_first_user(void **state) {
    (void)state;
    for (uint32_t slot = 0; slot < 2; slot++) {
        crash_fs *disk = crash_fs_new(1);
        htt_meta metas[2];
        size_t size;
        htt_store *store = keeper_open(disk, HTT_SYNC_FULL);
        txn_fill(store, 0, 10, 1, 8);
        htt_close(store);
        uint8_t *bytes = crash_fs_get_file(disk, TXN_PATH, &size);
        bytes[slot * 4096 + 4000] ^= 1;
        crash_fs_put_file(disk, TXN_PATH, bytes, size);
        free(bytes);
        store = keeper_open(disk, HTT_SYNC_FULL);
        keeper_look(disk, metas);
        assert_int_equal(txn_read(store, 1), slot == 1 ? 1 : UINT64_MAX);
        assert_int_equal(metas[0].root.self.epoch, metas[1].root.self.epoch);
        txn_fill(store, 0, 10, 2, 8);
        assert_int_equal(txn_read(store, 1), 2);
        txn_check(store);
        htt_close(store);
        txn_free_disk(disk);
    }
}

static void test_keeper_meta__other_processes_see_commits_at_once(void **state) {
    (void)state;
    for (htt_sync sync = HTT_SYNC_FULL; sync <= HTT_SYNC_OFF; sync++) {
        crash_fs *disk = crash_fs_new(1);
        htt_options options = txn_options(crash_fs_env(disk));
        options.sync = sync;
        htt_store *a = txn_open_with(&options);
        options.env = crash_fs_new_process(disk);
        options.flags |= HTT_OPEN_NO_MMAP;
        htt_store *b = txn_open_with(&options);
        for (uint64_t i = 1; i < 40; i++) {
            htt_store *writer = i % 3 == 0 ? a : b;
            txn_fill(writer, 0, 20, i, 300);
            assert_int_equal(txn_read(a, i % 20), i);
            assert_int_equal(txn_read(b, i % 20), i);
        }
        txn_check(a);
        htt_close(a);
        htt_close(b);
        txn_free_disk(disk);
    }
}

static void test_keeper_meta__an_odd_generation_makes_readers_look(void **state) {
    (void)state;
    crash_fs *disk = crash_fs_new(1);
    const htt_env *victim = crash_fs_new_process(disk);
    htt_store *a = txn_open(crash_fs_env(disk));
    htt_store *b = txn_open(victim);
    txn_fill(b, 0, 1, 5, 8);
    htt_lock_area *area = a->lock->area;
    /* As if b had died between its meta page and the end of the change. */
    atomic_store(&area->generation, atomic_load(&area->generation) + 1);
    crash_fs_kill_process(disk, victim);
    assert_int_equal(txn_read(a, 0), 5);
    assert_int_equal(atomic_load(&area->generation) % 2, 1);
    txn_fill(a, 0, 1, 6, 8);
    assert_int_equal(atomic_load(&area->generation) % 2, 0);
    assert_int_equal(txn_read(a, 0), 6);
    htt_close(b);
    htt_close(a);
    txn_free_disk(disk);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keeper_meta__full_alternates_and_syncs_twice),
        cmocka_unit_test(test_keeper_meta__normal_keeps_the_synced_page_until_it_settles),
        cmocka_unit_test(
            test_keeper_meta__normal_goes_back_to_a_complete_state_after_a_power_cut),
        cmocka_unit_test(
            test_keeper_meta__off_syncs_no_commit_and_is_refused_after_a_power_cut),
        cmocka_unit_test(test_keeper_meta__a_failed_sync_of_pages_commits_nothing_and_poisons),
        cmocka_unit_test(test_keeper_meta__a_failed_meta_page_leaves_the_commit_in_doubt),
        cmocka_unit_test(test_keeper_meta__commits_that_a_failed_sync_lost_do_not_count_again),
        cmocka_unit_test(test_keeper_meta__off_does_not_blame_the_system_for_a_failed_sync),
        cmocka_unit_test(test_keeper_meta__a_damaged_page_is_repaired_by_the_first_user),
        cmocka_unit_test(test_keeper_meta__other_processes_see_commits_at_once),
        cmocka_unit_test(test_keeper_meta__an_odd_generation_makes_readers_look),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
