/* SPDX-License-Identifier: MIT */
/* Settling: staged rows get into trees of every shape, in order, and a failure loses none. */
#include <errno.h>

#include "tree_support.h"

#include "tree/stage.h"

static void settle_open(tree_store *store, uint32_t page_size, bool mapped, uint64_t limit) {
    tree_open(store, page_size, mapped);
    store->stage_limit = limit;
    store->budget = 1 << 20;
    tree_abort(store);
}

/* Batches of many sizes, so that each way to settle is gone. */
static void settle_batches(tree_store *store, uint32_t size_max) {
    uint64_t random = page_seed();

    for (uint32_t round = 0; round < 30; round++) {
        uint32_t count = 1u << (page_random(&random) % 13);
        uint32_t ids = 1u << (8 + page_random(&random) % 7);
        for (uint32_t i = 0; i < count; i++) {
            uint32_t id = (uint32_t)(page_random(&random) % ids);
            if (page_random(&random) % 5 != 0)
                tree_must_put(store, id, (uint32_t)(page_random(&random) % size_max));
            else if (store->rows[id].live)
                tree_must_del(store, id);
        }
        if (round % 3 == 0)
            tree_commit(store);
        else
            tree_settle(store);
        if (round % 5 == 4)
            tree_check(store);
    }
    tree_check(store);
}

static void test_settle__batches_of_all_sizes(void **state) {
    tree_store store;

    (void)state;
    settle_open(&store, TREE_PAGE, true, 1 << 20);
    settle_batches(&store, 120);
    tree_close(&store);
    settle_open(&store, TREE_PAGE, false, 200000);
    settle_batches(&store, 1000);
    tree_close(&store);
    settle_open(&store, TREE_BIG, true, 4 << 20);
    settle_batches(&store, 2000);
    tree_close(&store);
}

/* Trees that grew by pushes have nodes with pages and nodes among their children. */
static void test_settle__into_a_tree_that_grew_row_by_row(void **state) {
    tree_store store;

    (void)state;
    tree_open(&store, TREE_PAGE, true);
    store.tuning = (htt_tree_tuning){3, 4, 94};
    tree_abort(&store);
    for (uint32_t id = 0; id < 9000; id++)
        tree_must_put(&store, id, 100 + id % 200);
    store.stage_limit = 8 << 20;
    tree_commit(&store);
    for (uint32_t id = 3000; id < 30000; id++)
        tree_must_put(&store, id, 100 + id % 300);
    tree_check(&store);
    tree_commit(&store);
    for (uint32_t id = 0; id < 30000; id += 50)
        tree_must_put(&store, id, 90);
    tree_check(&store);
    tree_close(&store);
}

/* All keys under one slot of every node of salt 0, and other poor spreads. */
static void test_settle__parts_keys_that_collide_under_one_salt(void **state) {
    uint32_t (*const mixes[])(uint32_t) = {tree_mix_zero, tree_mix_eight, tree_mix_two,
                                           tree_mix_even};

    (void)state;
    for (size_t i = 0; i < sizeof mixes / sizeof *mixes; i++) {
        tree_store store;
        tree_open(&store, TREE_PAGE, true);
        store.stage_limit = 1 << 20;
        store.keys = TREE_KEYS_SLOT;
        store.hash = tree_hash_slot;
        store.mix_of = mixes[i];
        tree_abort(&store);
        for (uint32_t id = 0; id < 12000; id++)
            tree_must_put(&store, id, 30 + id % 100);
        tree_check(&store);
        tree_commit(&store);
        for (uint32_t id = 0; id < 12000; id += 9)
            tree_must_put(&store, id, 1500);
        tree_check(&store);
        tree_close(&store);
    }
}

static void test_settle__lives_with_hashes_that_are_nearly_alike(void **state) {
    tree_store store;

    (void)state;
    tree_open(&store, TREE_PAGE, true);
    store.stage_limit = 1 << 20;
    store.hash = tree_hash_coarse;
    tree_abort(&store);
    for (uint32_t id = 0; id < 6000; id++)
        tree_must_put(&store, id, 20);
    tree_check(&store);
    tree_close(&store);
}

/* What a cursor or a savepoint keeps stays while rows settle over it. */
static void test_settle__leaves_frozen_pages_alone(void **state) {
    tree_store store;
    uint64_t freeze;
    htt_tree_cursor *cursor;
    htt_record record;
    uint32_t count = 0;

    (void)state;
    settle_open(&store, TREE_PAGE, true, 1 << 20);
    for (uint32_t id = 0; id < 5000; id++)
        tree_must_put(&store, id, 60);
    tree_settle(&store);
    htt_tree_root root = store.tree.root;
    assert_tree(&store, htt_writer_freeze(store.writer, &freeze, &store.error));
    for (uint32_t id = 2000; id < 15000; id++)
        tree_must_put(&store, id, 80);
    tree_settle(&store);
    assert_tree(&store, htt_tree_cursor_open(&store.view, store.env, &root, &cursor));
    htt_rc rc;
    while ((rc = htt_tree_cursor_next(cursor, &record)) == HTT_OK) {
        assert_int_equal(record.value_size, 60);
        count++;
    }
    assert_int_equal(rc, HTT_NOTFOUND);
    assert_int_equal(count, 5000);
    htt_tree_cursor_close(cursor);
    htt_pins_drop(store.pages, &store.pins);
    htt_writer_thaw(store.writer, freeze);
    tree_check(&store);
    tree_close(&store);
}

/* Every n-th call of a settle fails: nothing is lost, and the next try goes through. */
static void settle_fail(unsigned kinds, int error, bool mapped) {
    uint32_t failures = 0;

    for (uint64_t n = 1;; n = n < 40 ? n + 1 : n + n / 8) {
        tree_store store;
        settle_open(&store, TREE_PAGE, mapped, 4 << 20);
        store.budget = 1;
        tree_abort(&store);
        for (uint32_t id = 0; id < 1500; id++)
            tree_must_put(&store, id, 300);
        tree_commit(&store);
        for (uint32_t id = 1000; id < 12000; id++)
            tree_must_put(&store, id, 150);
        for (uint32_t id = 0; id < 12000; id += 11)
            tree_must_del(&store, id);
        htt_tree_root root = store.tree.root;
        htt_pins_drop(store.pages, &store.pins);
        fault_env_arm(store.fault, &(fault_plan){.kinds = kinds, .nth = n, .error = error});
        htt_rc rc = htt_tree_settle(&store.tree);
        bool failed = fault_env_failures(store.fault) > 0;
        fault_env_disarm(store.fault);
        assert_int_equal(store.tree.root.keys, root.keys);
        assert_int_equal(store.tree.root.bytes, root.bytes);
        if (rc != HTT_OK) {
            assert_true(failed);
            assert_true(store.error.text[0] != 0);
            failures++;
            tree_must_put(&store, 20000, 50);
            tree_must_del(&store, 1003);
            tree_must_put(&store, 1002, 500);
        }
        tree_check(&store);
        tree_close(&store);
        if (!failed)
            break;
    }
    print_message("%u failures\n", failures);
    assert_true(failures > 3);
}

static void test_settle__loses_nothing_at_a_failing_allocation(void **state) {
    (void)state;
    settle_fail(FAULT_MEMORY, 0, true);
}

static void test_settle__loses_nothing_at_a_failing_read(void **state) {
    (void)state;
    settle_fail(FAULT_READ, EIO, false);
}

static void test_settle__loses_nothing_when_the_disk_is_full(void **state) {
    (void)state;
    settle_fail(FAULT_SPACE, ENOSPC, true);
}

/* The store has k page numbers left. */
static void test_settle__loses_nothing_when_page_numbers_run_out(void **state) {
    (void)state;
    for (uint32_t left = 0; left <= 1024; left = left < 8 ? left + 1 : left * 2) {
        tree_store store;
        settle_open(&store, TREE_PAGE, true, 4 << 20);
        htt_root base = store.root;
        base.page_count = HTT_PAGE_NUMBER_MAX - left;
        tree_end(&store);
        store.budget = 64 << 20; /* nothing is written there */
        tree_begin(&store, &base);
        for (uint32_t id = 0; id < 9000; id++)
            tree_must_put(&store, id, 150);
        htt_rc rc = htt_tree_settle(&store.tree);
        assert_true(rc == HTT_FULL || left >= 512);
        assert_true(rc == HTT_OK || left < 1024);
        assert_int_equal(store.tree.root.keys, 9000);
        for (uint32_t id = 0; id < 9000; id += 100)
            assert_int_equal(htt_tree_has(&store.tree, tree_key(&store, id)), HTT_OK);
        htt_pins_drop(store.pages, &store.pins);
        tree_close(&store);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_settle__batches_of_all_sizes),
        cmocka_unit_test(test_settle__into_a_tree_that_grew_row_by_row),
        cmocka_unit_test(test_settle__parts_keys_that_collide_under_one_salt),
        cmocka_unit_test(test_settle__lives_with_hashes_that_are_nearly_alike),
        cmocka_unit_test(test_settle__leaves_frozen_pages_alone),
        cmocka_unit_test(test_settle__loses_nothing_at_a_failing_allocation),
        cmocka_unit_test(test_settle__loses_nothing_at_a_failing_read),
        cmocka_unit_test(test_settle__loses_nothing_when_the_disk_is_full),
        cmocka_unit_test(test_settle__loses_nothing_when_page_numbers_run_out),
    };
    return cmocka_run_group_tests_name("tree_settle", tests, NULL, NULL);
}
