/* SPDX-License-Identifier: MIT */
/* Moving pages down: how low they come, runs, failures, and that nothing is lost. */
#include "tree_support.h"

#include <errno.h>

/* A transaction that always takes the lowest page, as a vacuum does. */
static void lower_begin(tree_store *store) {
    htt_writer_options options = {.env = store->env,
                                  .file = store->file,
                                  .pages = store->pages,
                                  .base = store->root,
                                  .reuse_limit = store->root.self.epoch,
                                  .budget = store->budget,
                                  .low_first = true};
    htt_tree_root root = {store->root.page, store->root.keys, store->root.bytes};

    tree_end(store);
    assert_tree(store, htt_writer_begin(&options, &store->writer, &store->error));
    store->view.writer = store->writer;
    htt_tree_open(&store->tree, &store->view, store->env, &root);
}

/* Many rows, most of them deleted again: pages in use are scattered. */
static void lower_open(tree_store *store, bool mapped, uint32_t large) {
    tree_open(store, TREE_PAGE, mapped);
    store->keys = TREE_KEYS_EXTERNAL;
    store->tuning = (htt_tree_tuning){2, 4, 94};
    tree_abort(store);
    for (uint32_t id = 0; id < 1500; id++)
        tree_must_put(store, id, id % large == 0 ? 9000 : 700 + id % 900);
    tree_commit(store);
    for (uint32_t id = 0; id < 1500; id++) {
        if (id % 6 != 0)
            tree_must_del(store, id);
    }
    tree_commit(store);
    tree_check(store);
    tree_abort(store);
}

/* Rounds of moving, as htt_vacuum makes them, until nothing moves. */
static uint32_t lower_rounds(tree_store *store, uint32_t limit) {
    uint64_t moved = 1;
    uint32_t rounds = 0;

    while (moved > 0 && rounds < 40) {
        lower_begin(store);
        assert_tree(store, htt_tree_lower(&store->tree, limit, &moved));
        tree_check(store);
        tree_commit(store);
        rounds++;
    }
    return rounds;
}

/* The highest page that the tree uses. */
typedef struct lower_seen {
    tree_store *store; /* read */
    uint32_t highest;  /* so far */
} lower_seen;

static htt_rc lower_see_node(void *arg, const htt_tree_place *place) {
    lower_seen *seen = arg;

    seen->highest = place->page > seen->highest ? place->page : seen->highest;
    return HTT_OK;
}

static htt_rc lower_see_data(void *arg, const htt_tree_place *place) {
    lower_seen *seen = arg;

    for (uint32_t i = 0; i < htt_page_count(place->bytes); i++) {
        htt_record record;
        htt_overflow overflow;
        htt_fault fault;
        assert_true(htt_data_record(place->bytes, TREE_PAGE, i, &record, &fault));
        if (!record.overflow)
            continue;
        assert_true(htt_overflow_decode(&record, &overflow, &fault));
        for (uint32_t r = 0; r < overflow.count; r++) {
            uint32_t last = overflow.runs[r].first + overflow.runs[r].pages - 1;
            seen->highest = last > seen->highest ? last : seen->highest;
        }
    }
    return lower_see_node(arg, place);
}

static uint32_t lower_highest(tree_store *store) {
    lower_seen seen = {store, 0};
    htt_tree_visitor visitor = {&seen, lower_see_node, lower_see_data, NULL};

    assert_tree(store, htt_tree_walk(&store->view, &store->tree.root, &visitor));
    htt_pins_drop(store->pages, &store->pins);
    return seen.highest;
}

static void test_lower__brings_all_pages_below_the_limit(void **state) {
    (void)state;
    for (int mapped = 0; mapped < 2; mapped++) {
        for (uint32_t large = 7; large <= 12; large += 5) { /* 12: of those that stay, half */
            tree_store store;
            lower_open(&store, mapped == 1, large);
            uint32_t used = store.root.page_count - store.root.free_pages;
            uint32_t before = lower_highest(&store);
            uint32_t limit = used + 8;
            assert_true(before > 2 * limit);
            uint32_t rounds = lower_rounds(&store, limit);
            uint32_t after = lower_highest(&store);
            print_message("%u pages in use, highest %u, then %u after %u rounds\n", used, before,
                          after, rounds);
            assert_true(after <= used + used / 8 + 8);
            tree_check(&store);
            tree_close(&store);
        }
    }
}

static void test_lower__moves_nothing_that_is_low(void **state) {
    tree_store store;
    uint64_t moved = 99;

    (void)state;
    lower_open(&store, true, 7);
    lower_begin(&store);
    uint32_t root = store.tree.root.page;
    assert_tree(&store, htt_tree_lower(&store.tree, store.root.page_count, &moved));
    assert_int_equal(moved, 0);
    assert_int_equal(store.tree.root.page, root);
    tree_check(&store);
    tree_close(&store);
}

static void test_lower__of_an_empty_tree_moves_nothing(void **state) {
    tree_store store;
    uint64_t moved = 99;

    (void)state;
    tree_open(&store, TREE_PAGE, true);
    lower_begin(&store);
    assert_tree(&store, htt_tree_lower(&store.tree, 2, &moved));
    assert_int_equal(moved, 0);
    tree_close(&store);
}

static void test_lower__stops_when_no_lower_page_is_free(void **state) {
    tree_store store;
    uint64_t moved = 99;

    (void)state;
    tree_open(&store, TREE_PAGE, true);
    for (uint32_t id = 0; id < 200; id++)
        tree_must_put(&store, id, 900);
    tree_commit(&store);
    lower_begin(&store);
    assert_tree(&store, htt_tree_lower(&store.tree, 4, &moved));
    assert_true(moved <= 4);
    tree_check(&store);
    tree_close(&store);
}

static htt_run_ref lower_first_run(tree_store *store, uint32_t id) {
    htt_tree_row row;
    htt_overflow overflow;

    assert_tree(store, htt_tree_find(&store->view, &store->tree.root, tree_key(store, id), &row));
    assert_tree(store, htt_tree_overflow(&store->view, &row.record, &overflow));
    assert_int_equal(overflow.count, 1);
    htt_pins_drop(store->pages, &store->pins);
    return overflow.runs[0];
}

/* Single free pages are lowest, but a reference to three runs does not fit into the full page. */
static void test_lower__moves_a_value_whose_page_has_no_room_for_more_runs(void **state) {
    tree_store store;
    uint64_t moved;

    (void)state;
    tree_open(&store, TREE_PAGE, true);
    for (uint32_t id = 0; id < 20; id++)
        tree_must_put(&store, id, (uint32_t)htt_run_capacity(TREE_PAGE, 1));
    tree_must_put(&store, 20, (uint32_t)htt_run_capacity(TREE_PAGE, 4));
    tree_must_put(&store, 21, 9000);
    tree_commit(&store);
    for (uint32_t id = 0; id <= 20; id += 2)
        tree_must_del(&store, id);
    tree_must_put(&store, 30, 1900);
    tree_must_put(&store, 31, 1);
    uint32_t room = htt_data_free(tree_path(&store, 31).leaf_bytes, TREE_PAGE);
    tree_must_put(&store, 31, room - 2);
    assert_int_equal(tree_look(&store).data, 1);
    assert_true(htt_data_free(tree_path(&store, 31).leaf_bytes, TREE_PAGE) < 8);
    tree_commit(&store);
    htt_run_ref before = lower_first_run(&store, 21);
    assert_int_equal(before.pages, 3);
    lower_begin(&store);
    assert_tree(&store, htt_tree_lower(&store.tree, 10, &moved));
    assert_true(moved > 0);
    assert_true(lower_first_run(&store, 21).first < before.first);
    tree_check(&store);
    tree_close(&store);
}

/* A run that fits exactly, far up, is not taken when there is room further down. */
static void test_lower__takes_the_lowest_place_and_not_the_best_fit(void **state) {
    tree_store store;
    uint64_t moved;

    (void)state;
    tree_open(&store, TREE_PAGE, true);
    tree_must_put(&store, 0, (uint32_t)htt_run_capacity(TREE_PAGE, 7));
    tree_must_put(&store, 1, 10);
    for (uint32_t id = 2; id < 20; id++)
        tree_must_put(&store, id, (uint32_t)htt_run_capacity(TREE_PAGE, 3));
    tree_commit(&store);
    uint32_t low = lower_first_run(&store, 0).first;
    tree_must_del(&store, 0);
    tree_must_del(&store, 15);
    tree_commit(&store);
    lower_begin(&store);
    assert_tree(&store, htt_tree_lower(&store.tree, low + 6, &moved));
    assert_true(moved > 0);
    uint32_t lowest = UINT32_MAX;
    for (uint32_t id = 2; id < 20; id++) {
        if (id != 15 && lower_first_run(&store, id).first < lowest)
            lowest = lower_first_run(&store, id).first;
    }
    assert_true(lowest <= low + 2);
    tree_check(&store);
    tree_close(&store);
}

/* A page may name more bytes in runs than memory shall hold at one time. */
static void test_lower__keeps_one_value_in_memory_at_a_time(void **state) {
    enum { SIZE = 1 << 20, ROWS = 20 };
    tree_store store;
    uint64_t moved;

    (void)state;
    tree_open(&store, TREE_PAGE, false);
    tree_must_put(&store, 99, 4 * SIZE);
    tree_must_put(&store, 98, 4 * SIZE);
    for (uint32_t id = 0; id < ROWS; id++)
        tree_must_put(&store, id, SIZE + id);
    tree_commit(&store);
    tree_must_del(&store, 99);
    tree_must_del(&store, 98);
    tree_commit(&store);
    lower_begin(&store);
    fault_env_arm(store.fault, &(fault_plan){.kinds = 0});
    size_t before = fault_env_bytes(store.fault);
    assert_tree(&store, htt_tree_lower(&store.tree, 2000, &moved));
    assert_true(moved > 0);
    assert_true(fault_env_bytes_peak(store.fault) - before < 4 * SIZE);
    tree_check(&store);
    tree_close(&store);
}

static void test_lower__fails_cleanly_at_every_call(void **state) {
    static const unsigned kinds[] = {FAULT_MEMORY, FAULT_READ};
    tree_store store;
    uint32_t failures = 0;

    (void)state;
    lower_open(&store, false, 12);
    for (uint32_t k = 0; k < 2; k++) {
        for (uint64_t n = 1, more = 1; more; n += n < 30 ? 1 : 41) {
            uint64_t moved;
            lower_begin(&store);
            htt_pages_forget_all(store.pages);
            fault_env_arm(store.fault, &(fault_plan){.kinds = kinds[k], .nth = n, .error = EIO});
            htt_rc rc = htt_tree_lower(&store.tree, 100, &moved);
            fault_env_disarm(store.fault);
            more = fault_env_failures(store.fault);
            if (rc != HTT_OK) {
                assert_int_equal(rc, k == 0 ? HTT_NOMEM : HTT_IO);
                failures++;
            }
            tree_check(&store);
        }
    }
    assert_true(failures > 20);
    tree_close(&store);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lower__brings_all_pages_below_the_limit),
        cmocka_unit_test(test_lower__moves_nothing_that_is_low),
        cmocka_unit_test(test_lower__of_an_empty_tree_moves_nothing),
        cmocka_unit_test(test_lower__stops_when_no_lower_page_is_free),
        cmocka_unit_test(test_lower__moves_a_value_whose_page_has_no_room_for_more_runs),
        cmocka_unit_test(test_lower__takes_the_lowest_place_and_not_the_best_fit),
        cmocka_unit_test(test_lower__keeps_one_value_in_memory_at_a_time),
        cmocka_unit_test(test_lower__fails_cleanly_at_every_call),
    };
    return cmocka_run_group_tests_name("tree_lower", tests, NULL, NULL);
}
