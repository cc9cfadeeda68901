/* SPDX-License-Identifier: MIT */
/* The meta pages of hosted files: which slot is written, what is synced, what counts when. */
#include "txn_support.h"

#include "txn/metas.h"

/* A store whose writer byte is held. */
typedef struct keeper_world {
    crash_fs *disk;      /* below */
    fault_env *fault;    /* between */
    htt_store *store;    /* above */
    htt_keeper *keeper;  /* of it */
    htt_lock_area *area; /* of it */
    htt_meta meta;       /* as entered */
    size_t at;           /* position that counting begins at */
} keeper_world;

static void world_enter(keeper_world *world) {
    htt_error error;
    assert_int_equal(htt_txn_take_writer_within(world->store, 0, NULL), HTT_OK);
    if (htt_keeper_host_enter(world->keeper, &world->meta, &error) != HTT_OK)
        fail_msg("enter: %s", error.text);
    world->at = crash_fs_position(world->disk);
}

static void world_open(keeper_world *world) {
    world->disk = crash_fs_new(1);
    world->fault = fault_env_new(crash_fs_env(world->disk));
    world->store = txn_open(fault_env_table(world->fault));
    world->keeper = world->store->keeper;
    world->area = world->store->lock->area;
    world_enter(world);
    memcpy(world->meta.owner, "app.db", 7);
}

static void world_close(keeper_world *world) {
    htt_txn_give_writer(world->store);
    htt_close(world->store);
    assert_int_equal(fault_env_held(world->fault), 0);
    fault_env_free(world->fault);
    txn_free_disk(world->disk);
}

/* The two meta pages as the file has them. */
static void world_look(keeper_world *world, htt_meta metas[2]) {
    size_t size;
    htt_fault fault;
    uint8_t *bytes = crash_fs_get_file(world->disk, TXN_PATH, &size);
    for (uint32_t slot = 0; slot < 2; slot++)
        assert_int_equal(htt_meta_decode(bytes + slot * 4096, 4096, &metas[slot], &fault),
                         HTT_META_VALID);
    free(bytes);
}

/* Syncs of the file since the last call. */
static size_t world_syncs(keeper_world *world) {
    size_t count = 0;
    char text[200];
    for (; world->at < crash_fs_position(world->disk); world->at++) {
        crash_fs_describe(world->disk, world->at, text, sizeof text);
        count += strncmp(text, "sync kv.htt", 11) == 0;
    }
    return count;
}

static htt_root world_child(const htt_root *parent, uint64_t nonce) {
    htt_root root = *parent;
    root.parent = parent->self;
    root.self.epoch++;
    root.self.nonce = nonce;
    return root;
}

static void world_attempt(keeper_world *world, const htt_root *base, uint64_t nonce) {
    assert_int_equal(htt_keeper_host_attempt(world->keeper, base, nonce, &world->meta, false,
                                             NULL), HTT_OK);
}

/* Sync and arm, as a publish does. */
static htt_rc keeper_arm(htt_keeper *keeper, uint64_t nonce, htt_error *error) {
    const htt_rc rc = htt_keeper_host_sync(keeper, nonce, error);
    if (rc == HTT_OK)
        htt_keeper_host_arm(keeper, nonce);
    return rc;
}

static void test_keeper_host__an_attempt_goes_behind_the_synced_page_unsynced(void **state) {
    (void)state;
    keeper_world world;
    htt_meta metas[2];
    world_open(&world);
    htt_root base = world.meta.root;
    for (uint64_t nonce = 100; nonce < 106; nonce++) {
        const uint32_t synced = atomic_load(&world.area->synced_slot);
        world_attempt(&world, &base, nonce);
        assert_int_equal(world_syncs(&world), 0);
        assert_int_equal(atomic_load(&world.area->synced_slot), synced);
        assert_int_not_equal(atomic_load(&world.area->armed), nonce);
        world_look(&world, metas);
        assert_int_equal(metas[1 - synced].attempt, nonce);
        assert_int_equal(metas[1 - synced].root.self.nonce, base.self.nonce);
        assert_string_equal(metas[1 - synced].owner, "app.db");
        assert_false(htt_metas_weak(&metas[1 - synced]));
        assert_int_equal(keeper_arm(world.keeper, nonce, NULL), HTT_OK);
        assert_int_equal(world_syncs(&world), 1);
        assert_int_equal(atomic_load(&world.area->synced_slot), 1 - synced);
        assert_int_equal(atomic_load(&world.area->synced_epoch), base.self.epoch);
        assert_int_equal(atomic_load(&world.area->armed), nonce);
        base = world_child(&base, nonce); /* the host commits it */
    }
    world_look(&world, metas);
    const htt_meta *newest = metas[0].counter > metas[1].counter ? &metas[0] : &metas[1];
    assert_int_equal(newest->ancestor_count, 5);
    assert_int_equal(newest->ancestors[0].nonce, 103);
    assert_int_equal(newest->ancestors[0].epoch, newest->root.self.epoch - 1);
    world_close(&world);
}

static void test_keeper_host__an_attempt_upon_a_dead_one_is_synced_first(void **state) {
    (void)state;
    keeper_world world;
    htt_meta metas[2];
    world_open(&world);
    const htt_root base = world.meta.root;
    world_attempt(&world, &base, 7);
    assert_int_equal(world_syncs(&world), 0);
    world_attempt(&world, &base, 8); /* 7 died before its sync */
    assert_int_equal(world_syncs(&world), 1);
    assert_int_equal(keeper_arm(world.keeper, 8, NULL), HTT_OK);
    assert_int_equal(world_syncs(&world), 1);
    world_attempt(&world, &base, 9); /* 8 is dead too */
    assert_int_equal(world_syncs(&world), 1);
    world_look(&world, metas);
    const uint32_t synced = atomic_load(&world.area->synced_slot);
    assert_int_equal(metas[synced].attempt, 9);
    assert_int_equal(metas[1 - synced].attempt, 8);
    const htt_root next = world_child(&base, 9);
    world_attempt(&world, &next, 10); /* 9 lives: it is the base */
    assert_int_equal(world_syncs(&world), 0);
    assert_int_equal(keeper_arm(world.keeper, 9, NULL), HTT_MISUSE);
    world_close(&world);
}

static void test_keeper_host__early_sync_makes_the_base_the_synced_epoch(void **state) {
    (void)state;
    keeper_world world;
    world_open(&world);
    const htt_root base = world.meta.root;
    world_attempt(&world, &base, 7);
    assert_int_equal(keeper_arm(world.keeper, 7, NULL), HTT_OK);
    (void)world_syncs(&world);
    const htt_root next = world_child(&base, 7);
    assert_int_equal(htt_keeper_host_attempt(world.keeper, &next, 8, &world.meta, true, NULL),
                     HTT_OK);
    assert_int_equal(world_syncs(&world), 1);
    assert_int_equal(atomic_load(&world.area->synced_epoch), next.self.epoch);
    assert_int_equal(atomic_load(&world.area->armed), 7);
    world_close(&world);
}

static void test_keeper_host__rest_and_rewrite_are_durable_and_keep_the_line(void **state) {
    (void)state;
    keeper_world world;
    htt_meta metas[2], now;
    world_open(&world);
    const htt_root base = world.meta.root;
    world_attempt(&world, &base, 7);
    assert_int_equal(keeper_arm(world.keeper, 7, NULL), HTT_OK);
    (void)world_syncs(&world);
    htt_meta like = world.meta;
    memcpy(like.owner, "moved.db", 9);
    memcpy(like.declaration, "kv", 3);
    assert_int_equal(htt_keeper_host_rewrite(world.keeper, &like, NULL), HTT_OK);
    assert_int_equal(world_syncs(&world), 1);
    world_look(&world, metas);
    uint32_t slot = atomic_load(&world.area->synced_slot);
    assert_int_equal(metas[slot].attempt, 7);
    assert_int_equal(metas[slot].root.self.epoch, base.self.epoch);
    assert_string_equal(metas[slot].owner, "moved.db");
    assert_string_equal(metas[slot].declaration, "kv");
    const htt_root next = world_child(&base, 7);
    assert_int_equal(htt_keeper_host_rest(world.keeper, &next, &like, NULL), HTT_OK);
    assert_int_equal(world_syncs(&world), 1);
    world_look(&world, metas);
    slot = atomic_load(&world.area->synced_slot);
    assert_int_equal(metas[slot].attempt, 0);
    assert_int_equal(metas[slot].root.self.nonce, 7);
    assert_int_equal(metas[slot].ancestors[0].nonce, base.self.nonce);
    assert_int_equal(atomic_load(&world.area->synced_epoch), next.self.epoch);
    assert_int_equal(htt_keeper_host_enter(world.keeper, &now, NULL), HTT_OK);
    assert_int_equal(now.root.self.nonce, 7);
    assert_int_equal(world_syncs(&world), 0);
    world_close(&world);
}

static void test_keeper_host__rest_both_leaves_no_older_root_in_the_file(void **state) {
    (void)state;
    keeper_world world;
    htt_meta metas[2];
    bool done;
    world_open(&world);
    const htt_root base = world.meta.root;
    world_attempt(&world, &base, 7);
    assert_int_equal(keeper_arm(world.keeper, 7, NULL), HTT_OK);
    const htt_root next = world_child(&base, 7);
    /* Another root; and an attempt that may come. */
    assert_int_equal(htt_keeper_host_rest_both(world.keeper, &next, &done, NULL), HTT_OK);
    assert_false(done);
    assert_int_equal(htt_keeper_host_rest_both(world.keeper, &base, &done, NULL), HTT_OK);
    assert_false(done);
    /* One that never had its pages on the disk is nothing to wait for. */
    world_attempt(&world, &next, 8);
    (void)world_syncs(&world);
    assert_int_equal(htt_keeper_host_rest_both(world.keeper, &next, &done, NULL), HTT_OK);
    assert_true(done);
    assert_int_equal(world_syncs(&world), 2);
    world_look(&world, metas);
    for (uint32_t slot = 0; slot < 2; slot++) {
        assert_int_equal(metas[slot].root.self.nonce, 7);
        assert_int_equal(metas[slot].attempt, 0);
    }
    assert_int_equal(htt_keeper_host_rest_both(world.keeper, &next, &done, NULL), HTT_OK);
    assert_true(done);
    assert_int_equal(world_syncs(&world), 0); /* nothing to do */
    world_close(&world);
}

static void test_keeper_host__a_good_meta_page_is_there_after_any_power_cut(void **state) {
    (void)state;
    keeper_world world;
    world_open(&world);
    const size_t first = crash_fs_position(world.disk);
    htt_root base = world.meta.root;
    bool done;
    world_attempt(&world, &base, 7);
    world_attempt(&world, &base, 8);
    world_attempt(&world, &base, 9);
    assert_int_equal(keeper_arm(world.keeper, 9, NULL), HTT_OK);
    base = world_child(&base, 9);
    world_attempt(&world, &base, 10);
    assert_int_equal(htt_keeper_host_rewrite(world.keeper, &world.meta, NULL), HTT_OK);
    world_attempt(&world, &base, 11);
    assert_int_equal(htt_keeper_host_rest_both(world.keeper, &base, &done, NULL), HTT_OK);
    assert_true(done);
    for (size_t at = first; at <= crash_fs_position(world.disk); at++) {
        for (size_t i = 0; i < crash_fs_cut_count(world.disk, at, 200); i++) {
            crash_fs *dark = crash_fs_cut(world.disk, at, i, 200);
            htt_store *store = txn_open(crash_fs_env(dark));
            txn_check(store);
            htt_close(store);
            txn_free_disk(dark);
        }
    }
    world_close(&world);
}

static void test_keeper_host__a_failed_call_poisons_this_handle_only(void **state) {
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        keeper_world world;
        htt_meta meta;
        world_open(&world);
        htt_store *other = txn_open(crash_fs_new_process(world.disk));
        const htt_root base = world.meta.root;
        const fault_plan plan = {.kinds = i % 2 == 0 ? FAULT_WRITE : FAULT_SYNC,
                                 .nth = 1,
                                 .partial = true,
                                 .error = EIO};
        htt_rc rc;
        world_attempt(&world, &base, 7);
        fault_env_arm(world.fault, &plan);
        if (i < 2)
            rc = htt_keeper_host_attempt(world.keeper, &base, 8, &world.meta, false, NULL);
        else
            rc = htt_keeper_host_rest(world.keeper, &base, &world.meta, NULL);
        assert_int_equal(rc, HTT_IO);
        fault_env_disarm(world.fault);
        assert_int_equal(htt_keeper_host_enter(world.keeper, &meta, NULL), HTT_POISONED);
        htt_txn_give_writer(world.store);
        assert_int_equal(htt_txn_take_writer_within(other, 0, NULL), HTT_OK);
        assert_int_equal(htt_keeper_host_enter(other->keeper, &meta, NULL), HTT_OK);
        assert_int_equal(meta.root.self.nonce, base.self.nonce);
        assert_int_equal(htt_keeper_host_attempt(other->keeper, &base, 9, &world.meta, false,
                                                 NULL), HTT_OK);
        assert_int_equal(keeper_arm(other->keeper, 9, NULL), HTT_OK);
        htt_txn_give_writer(other);
        assert_int_equal(htt_keeper_meta_read(world.keeper, false, &meta, NULL), HTT_OK);
        assert_int_equal(meta.attempt, 9);
        htt_close(other);
        assert_int_equal(htt_txn_take_writer_within(world.store, 0, NULL), HTT_OK);
        world_close(&world);
    }
}

static void keeper_note_death(void *arg) {
    *(bool *)arg = true;
}

static void test_keeper_host__who_comes_after_a_writer_that_died_finds_the_state(void **state) {
    (void)state;
    crash_fs *disk = crash_fs_new(1);
    htt_store *reader = txn_open(crash_fs_env(disk));
    htt_meta meta;
    for (size_t after = 0; after < 5; after++) {
        const htt_env *victim = crash_fs_new_process(disk);
        htt_store *writer = txn_open(victim);
        assert_int_equal(htt_txn_take_writer_within(writer, 0, NULL), HTT_OK);
        assert_int_equal(htt_keeper_host_enter(writer->keeper, &meta, NULL), HTT_OK);
        const htt_root base = meta.root;
        bool dead = false;
        crash_fs_kill_later(disk, victim, after, keeper_note_death, &dead);
        htt_rc rc = htt_keeper_host_attempt(writer->keeper, &base, 50 + after, &meta, false, NULL);
        if (rc == HTT_OK)
            rc = keeper_arm(writer->keeper, 50 + after, NULL);
        if (!dead)
            crash_fs_kill_process(disk, victim);
        htt_close(writer);
        assert_int_equal(htt_keeper_meta_read(reader->keeper, false, &meta, NULL), HTT_OK);
        assert_int_equal(meta.root.self.epoch, base.self.epoch);
        assert_int_equal(htt_txn_take_writer_within(reader, 0, NULL), HTT_OK);
        assert_int_equal(htt_keeper_host_enter(reader->keeper, &meta, NULL), HTT_OK);
        assert_int_equal(htt_keeper_host_attempt(reader->keeper, &base, 90 + after, &meta, false,
                                                 NULL), HTT_OK);
        assert_int_equal(keeper_arm(reader->keeper, 90 + after, NULL), HTT_OK);
        htt_txn_give_writer(reader);
        assert_int_equal(atomic_load(&reader->lock->area->generation) % 2, 0);
        txn_check(reader);
    }
    htt_close(reader);
    txn_free_disk(disk);
}

static void test_keeper_host__pages_of_a_weak_root_are_synced_before_it_becomes_steady(
    void **state) {
    (void)state;
    crash_fs *disk = crash_fs_new(1);
    htt_options options = txn_options(crash_fs_env(disk));
    options.sync = HTT_SYNC_NORMAL;
    htt_store *store = txn_open_with(&options);
    htt_meta meta;
    txn_fill(store, 0, 10, 3, 600); /* not on the disk */
    const size_t first = crash_fs_position(disk);
    assert_int_equal(htt_txn_take_writer_within(store, 0, NULL), HTT_OK);
    assert_int_equal(htt_keeper_host_enter(store->keeper, &meta, NULL), HTT_OK);
    assert_false(htt_metas_weak(&meta));
    memcpy(meta.owner, "app.db", 7);
    assert_int_equal(htt_keeper_host_rest(store->keeper, &meta.root, &meta, NULL), HTT_OK);
    htt_txn_give_writer(store);
    for (size_t at = first; at <= crash_fs_position(disk); at++) {
        for (size_t i = 0; i < crash_fs_cut_count(disk, at, 200); i++) {
            crash_fs *dark = crash_fs_cut(disk, at, i, 200);
            htt_store *then = txn_open(crash_fs_env(dark));
            const uint64_t found = txn_read(then, 9);
            assert_true(found == 3 || found == UINT64_MAX);
            txn_check(then);
            htt_close(then);
            txn_free_disk(dark);
        }
    }
    htt_close(store);
    txn_free_disk(disk);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keeper_host__an_attempt_goes_behind_the_synced_page_unsynced),
        cmocka_unit_test(test_keeper_host__an_attempt_upon_a_dead_one_is_synced_first),
        cmocka_unit_test(test_keeper_host__early_sync_makes_the_base_the_synced_epoch),
        cmocka_unit_test(test_keeper_host__rest_and_rewrite_are_durable_and_keep_the_line),
        cmocka_unit_test(test_keeper_host__rest_both_leaves_no_older_root_in_the_file),
        cmocka_unit_test(test_keeper_host__a_good_meta_page_is_there_after_any_power_cut),
        cmocka_unit_test(test_keeper_host__a_failed_call_poisons_this_handle_only),
        cmocka_unit_test(test_keeper_host__who_comes_after_a_writer_that_died_finds_the_state),
        cmocka_unit_test(
            test_keeper_host__pages_of_a_weak_root_are_synced_before_it_becomes_steady),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
