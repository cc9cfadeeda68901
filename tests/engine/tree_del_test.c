/* SPDX-License-Identifier: MIT */
/* Deleting rows: what pages and nodes are given back, and all or nothing. */
#include "tree_support.h"

#include <errno.h>

static void del_open_slots(tree_store *store, uint32_t (*mix_of)(uint32_t id)) {
    tree_open(store, TREE_PAGE, true);
    store->hash = tree_hash_slot;
    store->keys = TREE_KEYS_SLOT;
    store->mix_of = mix_of;
    tree_abort(store);
}

static void test_del__of_the_last_row_leaves_no_page(void **state) {
    tree_store store;

    (void)state;
    tree_open(&store, TREE_PAGE, true);
    assert_int_equal(tree_del(&store, 1), HTT_NOTFOUND);
    tree_must_put(&store, 1, 10);
    tree_must_put(&store, 2, 9000);
    tree_commit(&store);
    tree_must_del(&store, 1);
    assert_int_equal(tree_del(&store, 1), HTT_NOTFOUND);
    tree_must_del(&store, 2);
    assert_int_equal(store.tree.root.page, 0); /* TREE-4 */
    tree_check(&store);
    tree_commit(&store);
    tree_check(&store);
    tree_close(&store);
}

/* Rows of one page go one by one; at the end its range is a neighbour's. */
static void test_del__gives_an_empty_page_and_its_range_away(void **state) {
    (void)state;
    for (uint32_t which = 0; which < 3; which++) {
        tree_store store;
        del_open_slots(&store, tree_mix_even);
        for (uint32_t id = 0; id < 8; id++)
            tree_must_put(&store, id, 1200);
        tree_commit(&store);
        tree_shape before = tree_look(&store);
        htt_path path = tree_path(&store, 0);
        assert_true(before.data >= 3);
        assert_int_equal(path.depth, 1);
        uint32_t count = htt_node_count(path.steps[0].node);
        uint32_t child = which == 0 ? 0 : which == 1 ? count / 2 : count - 1;
        uint32_t page = htt_node_child(path.steps[0].node, child).page;
        for (uint32_t id = 0; id < 8; id++) {
            if (tree_path(&store, id).leaf.page == page) {
                tree_must_del(&store, id);
                page = tree_path(&store, id).leaf.page;
                tree_check(&store);
            }
            path = tree_path(&store, 0);
            if (htt_node_count(path.steps[0].node) < count)
                break;
            page = htt_node_child(path.steps[0].node, child).page;
        }
        assert_int_equal(tree_look(&store).data, before.data - 1);
        assert_int_equal(tree_look(&store).empty, 0);
        tree_check(&store);
        tree_close(&store);
    }
}

static void test_del__merges_two_pages_that_fill_little_of_one(void **state) {
    tree_store store;

    (void)state;
    del_open_slots(&store, tree_mix_even);
    for (uint32_t id = 0; id < 60; id++)
        tree_must_put(&store, id, 100);
    tree_shape before = tree_look(&store);
    assert_int_equal(before.data, 2);
    assert_int_equal(before.nodes, 1);
    uint32_t merges = 0;
    for (uint32_t id = 0; id < 60; id++) {
        tree_shape old = tree_look(&store);
        tree_must_del(&store, id * 37 % 60);
        tree_shape now = tree_look(&store);
        if (now.data < old.data && now.used > 0) {
            merges++;
            assert_true(now.used <= (TREE_PAGE - HTT_PAGE_HEADER_SIZE) * 70 / 100);
            assert_int_equal(now.nodes, 0); /* a node of one child is not kept */
        }
        tree_check(&store);
    }
    assert_int_equal(merges, 1);
    tree_close(&store);
}

/* A put and a delete at the border of a merge do not merge and split in turn. */
static void test_del__does_not_merge_and_split_in_turn(void **state) {
    tree_store store;
    uint32_t changes = 0;

    (void)state;
    del_open_slots(&store, tree_mix_even);
    for (uint32_t id = 0; id < 200; id++)
        tree_must_put(&store, id, 100);
    for (uint32_t id = 0; id < 150; id++) {
        tree_must_del(&store, id);
        for (uint32_t i = 0; i < 4; i++) {
            uint32_t before = tree_look(&store).data;
            tree_must_put(&store, id, 100);
            tree_must_del(&store, id);
            changes += tree_look(&store).data != before;
        }
    }
    assert_true(changes <= 2);
    tree_check(&store);
    tree_close(&store);
}

static void test_del__halves_slots_and_takes_nodes_away_as_rows_go(void **state) {
    tree_store store;

    (void)state;
    for (uint32_t order = 0; order < 2; order++) {
        del_open_slots(&store, tree_mix_two);
        store.tuning = (htt_tree_tuning){3, 4, 94};
        tree_abort(&store);
        for (uint32_t id = 0; id < 3000; id++)
            tree_must_put(&store, id, 1000 + id % 900);
        tree_commit(&store);
        tree_shape full = tree_look(&store);
        assert_true(full.depth >= 3);
        assert_true(full.whole >= 2);
        for (uint32_t i = 0; i < 3000; i++) {
            tree_must_del(&store, order == 0 ? i : (i * 1777 + 5) % 3000);
            if (i % 300 == 299)
                tree_check(&store);
            if (i == 2700) {
                tree_shape now = tree_look(&store);
                assert_true(now.slots < full.slots);
                assert_true(now.data < full.data / 5);
                assert_true(now.nodes < full.nodes);
            }
        }
        assert_int_equal(store.tree.root.page, 0);
        tree_commit(&store);
        tree_check(&store);
        tree_close(&store);
    }
}

/* What was written stays reasonably full, in whatever order rows go and come. */
static void test_del__keeps_pages_filled(void **state) {
    uint64_t random = page_seed();
    tree_store store;

    (void)state;
    tree_open(&store, TREE_PAGE, true);
    for (uint32_t id = 0; id < 20000; id++)
        tree_must_put(&store, id, id % 150);
    tree_commit(&store);
    for (uint32_t round = 0; round < 6; round++) {
        for (uint32_t i = 0; i < 8000; i++) {
            uint32_t id = page_random_below(&random, 20000);
            if (page_random_below(&random, 10) < 6)
                (void)tree_del(&store, id); /* it may be gone */
            else
                tree_must_put(&store, id, page_random_below(&random, 200));
        }
        tree_shape shape = tree_look(&store);
        double fill = (double)shape.used / (shape.data * (double)(TREE_PAGE - 24));
        print_message("%llu rows, %.1f %% full\n", (unsigned long long)store.tree.root.keys,
                      100 * fill);
        assert_true(fill > 0.5);
        tree_check(&store);
        tree_commit(&store);
    }
    tree_close(&store);
}

static uint32_t del_slot; /* of 64, that all keys are in */

static uint32_t del_mix(uint32_t id) {
    (void)id;
    return del_slot << 26;
}

/* A put that fails after a step may leave a range without keys. Such ranges keep no node alive. */
static void test_del__frees_a_node_with_only_empty_ranges_left(void **state) {
    static const uint32_t starts[3] = {0, 20, 40};
    tree_store store;
    uint8_t *bytes;

    (void)state;
    for (uint32_t at = 0; at < 3; at++) {
        htt_ref refs[3] = {{0, 0}, {0, 0}, {0, 0}};
        del_open_slots(&store, del_mix);
        del_slot = starts[at] + 7;
        tree_must_put(&store, 1, 10);
        refs[at].page = store.tree.root.page;
        assert_tree(&store, htt_tree_reserve(&store.tree));
        assert_tree(&store,
                    htt_writer_new(store.writer, &store.tree.root.page, &bytes, &store.error));
        htt_page_init(bytes, TREE_PAGE, HTT_PAGE_NODE);
        htt_node_init(bytes + HTT_PAGE_HEADER_SIZE, 0, 6);
        htt_node_splice(bytes + HTT_PAGE_HEADER_SIZE, 0, 1, starts, refs, 3);
        tree_check(&store);
        tree_must_del(&store, 1);
        assert_int_equal(store.tree.root.page, 0); /* TREE-4 */
        tree_check(&store);
        tree_close(&store);
    }
}

/* Deletes row `id` from the committed state with the n-th call failing, for every n. */
static uint32_t del_fail_each(tree_store *store, unsigned kinds, int error, uint32_t id) {
    uint32_t failures = 0;

    for (uint64_t n = 1;; n++) {
        tree_abort(store);
        fault_env_arm(store->fault, &(fault_plan){.kinds = kinds, .nth = n, .error = error});
        htt_rc rc = tree_del(store, id);
        fault_env_disarm(store->fault);
        if (rc != HTT_OK) {
            assert_int_equal(rc, kinds == FAULT_MEMORY ? HTT_NOMEM : HTT_IO);
            failures++;
            tree_check(store);
            tree_must_del(store, id);
            if (n % 4 == 1)
                tree_check(store);
        }
        if (fault_env_failures(store->fault) == 0)
            break;
    }
    tree_abort(store);
    return failures;
}

static void del_fail_steps(unsigned kinds, int error) {
    tree_store store;
    uint8_t times[TREE_STEPS] = {0};
    uint32_t failures = 0, steps = 0;

    tree_open(&store, TREE_PAGE, false);
    store.tuning = (htt_tree_tuning){3, 4, 94};
    store.hash = tree_hash_slot;
    store.keys = TREE_KEYS_SLOT;
    store.mix_of = tree_mix_two;
    tree_abort(&store);
    for (uint32_t id = 0; id < 1900; id++)
        tree_must_put(&store, id, id % 9 == 0 ? 5000 : 1000 + id * 37 % 900);
    tree_commit(&store);
    for (uint32_t id = 0; id < 1900; id++) {
        tree_mark before = tree_mark_path(&store, id);
        tree_must_del(&store, id);
        tree_mark after = tree_mark_path(&store, id);
        uint32_t kind = tree_step_kind(&before, &after);
        if (kind != 0 && times[kind]++ < 2) {
            steps++;
            failures += del_fail_each(&store, kinds, error, id);
            tree_must_del(&store, id);
        }
        tree_commit(&store);
    }
    print_message("%u failures at %u steps\n", failures, steps);
    assert_true(failures > 20);
    assert_int_equal(store.tree.root.page, 0);
    tree_close(&store);
}

static void test_del__is_all_or_nothing_at_every_failing_allocation(void **state) {
    (void)state;
    del_fail_steps(FAULT_MEMORY, 0);
}

static void test_del__is_all_or_nothing_at_every_failing_read(void **state) {
    (void)state;
    del_fail_steps(FAULT_READ, EIO);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_del__of_the_last_row_leaves_no_page),
        cmocka_unit_test(test_del__gives_an_empty_page_and_its_range_away),
        cmocka_unit_test(test_del__merges_two_pages_that_fill_little_of_one),
        cmocka_unit_test(test_del__does_not_merge_and_split_in_turn),
        cmocka_unit_test(test_del__halves_slots_and_takes_nodes_away_as_rows_go),
        cmocka_unit_test(test_del__keeps_pages_filled),
        cmocka_unit_test(test_del__frees_a_node_with_only_empty_ranges_left),
        cmocka_unit_test(test_del__is_all_or_nothing_at_every_failing_allocation),
        cmocka_unit_test(test_del__is_all_or_nothing_at_every_failing_read),
    };
    return cmocka_run_group_tests_name("tree_del", tests, NULL, NULL);
}
