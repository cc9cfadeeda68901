/* SPDX-License-Identifier: MIT */
/* Sharing among neighbours, splitting, doubling: what each step does to a node, and when not. */
#include "tree_support.h"

static uint32_t share_mixes[TREE_IDS]; /* by id: where a test wants the key */

static uint32_t share_mix(uint32_t id) {
    return share_mixes[id];
}

/* A key in slot `slot` of 64 of the root. */
static void share_place(uint32_t id, uint32_t slot) {
    share_mixes[id] = slot << 26 | (id * 2654435761u & 0x3FFFFFF);
}

/* A root of 64 slots with children that begin at `starts`; rows are put by the test. */
static void share_open(tree_store *store, const uint32_t *starts, uint32_t count) {
    htt_ref refs[64] = {{0, 0}};
    uint8_t *page;

    tree_open(store, TREE_PAGE, true);
    store->hash = tree_hash_slot;
    store->keys = TREE_KEYS_SLOT;
    store->mix_of = share_mix;
    store->tuning.window = 3;
    tree_abort(store);
    assert_tree(store, htt_tree_reserve(&store->tree));
    assert_tree(store, htt_writer_new(store->writer, &store->tree.root.page, &page, &store->error));
    htt_page_init(page, TREE_PAGE, HTT_PAGE_NODE);
    htt_node_init(page + HTT_PAGE_HEADER_SIZE, 0, 6);
    htt_node_splice(page + HTT_PAGE_HEADER_SIZE, 0, 1, starts, refs, count);
}

static const uint8_t *share_root(tree_store *store) {
    const uint8_t *page;

    assert_tree(store, htt_view_page(&store->view, store->tree.root.page, &page));
    return page + HTT_PAGE_HEADER_SIZE;
}

/* `rows` rows of `size` bytes, one to each slot from `slot` on, ids from `id` on. */
static void share_fill(tree_store *store, uint32_t id, uint32_t slot, uint32_t rows,
                       uint32_t size) {
    for (uint32_t i = 0; i < rows; i++) {
        share_place(id + i, slot + i);
        tree_must_put(store, id + i, size);
    }
}

/* One step towards room for a record of `size` bytes with the key of `id`. */
static bool share_step(tree_store *store, uint32_t id, uint32_t size) {
    htt_path path = tree_path(store, id);
    htt_need need = {path.hash, size};
    bool done;

    assert_tree(store, htt_tree_reserve(&store->tree));
    path = tree_path(store, id);
    assert_tree(store, htt_step_share(&store->tree, &path, &need, &done));
    return done;
}

static void test_share__gives_records_to_a_neighbour_with_room(void **state) {
    static const uint32_t starts[] = {0, 16, 32};
    tree_store store;

    (void)state;
    share_open(&store, starts, 3);
    share_fill(&store, 0, 0, 2, 100);
    share_fill(&store, 10, 16, 8, 480);
    share_fill(&store, 20, 32, 2, 100);
    assert_int_equal(htt_node_count(share_root(&store)), 3);
    share_place(30, 31);
    assert_true(share_step(&store, 30, 500));
    assert_int_equal(htt_node_count(share_root(&store)), 3); /* no new page */
    assert_int_equal(tree_look(&store).data, 3);
    assert_int_equal(htt_node_start(share_root(&store), 0), 0);
    assert_true(htt_node_start(share_root(&store), 1) > 16); /* the borders have moved */
    tree_check(&store);
    htt_path path = tree_path(&store, 30);
    assert_true(htt_data_free(path.leaf_bytes, TREE_PAGE) >= 500);
    tree_must_put(&store, 30, 480);
    tree_check(&store);
    tree_close(&store);
}

static void test_share__splits_full_neighbours_into_one_more(void **state) {
    static const uint32_t starts[] = {0, 16, 32};
    tree_store store;

    (void)state;
    share_open(&store, starts, 3);
    share_fill(&store, 0, 0, 8, 480);
    share_fill(&store, 10, 16, 8, 480);
    share_fill(&store, 20, 32, 8, 480);
    share_place(30, 31);
    assert_true(share_step(&store, 30, 500));
    assert_int_equal(htt_node_count(share_root(&store)), 4);
    assert_int_equal(tree_look(&store).data, 4);
    tree_check(&store);
    tree_must_put(&store, 30, 480);
    tree_check(&store);
    tree_close(&store);
}

/* Of windows around the full page the one with the most room is taken. */
static void test_share__chooses_the_emptiest_neighbours(void **state) {
    static const uint32_t starts[] = {0, 12, 24, 36, 48};
    tree_store store;

    (void)state;
    share_open(&store, starts, 5);
    for (uint32_t child = 0; child < 4; child++)
        share_fill(&store, child * 10, child * 12, 8, 480);
    share_fill(&store, 40, 48, 1, 100);
    uint32_t first = htt_node_child(share_root(&store), 0).page;
    uint32_t second = htt_node_child(share_root(&store), 1).page;
    share_place(50, 35);
    assert_true(share_step(&store, 50, 500));
    assert_int_equal(htt_node_count(share_root(&store)), 5);
    assert_int_equal(htt_node_child(share_root(&store), 0).page, first); /* untouched */
    assert_int_equal(htt_node_child(share_root(&store), 1).page, second);
    tree_check(&store);
    tree_close(&store);
}

static void test_share__stops_at_neighbours_that_are_no_data_pages(void **state) {
    static const uint32_t starts[] = {0, 16, 32};
    tree_store store;

    (void)state;
    share_open(&store, starts, 3);
    share_fill(&store, 10, 16, 8, 480); /* the ranges beside have no page */
    share_place(30, 31);
    assert_true(share_step(&store, 30, 500));
    assert_int_equal(htt_node_count(share_root(&store)), 4);
    assert_int_equal(tree_look(&store).empty, 2);
    assert_int_equal(htt_node_start(share_root(&store), 1), 16);
    assert_int_equal(htt_node_start(share_root(&store), 3), 32);
    tree_check(&store);
    tree_close(&store);
}

static void test_share__cannot_cut_within_a_slot(void **state) {
    static const uint32_t starts[] = {0, 16, 17};
    tree_store store;

    (void)state;
    share_open(&store, starts, 3);
    for (uint32_t i = 0; i < 8; i++) {
        share_place(i, 16);
        tree_must_put(&store, i, 480);
    }
    share_place(30, 16);
    uint32_t page = store.tree.root.page;
    assert_false(share_step(&store, 30, 500));
    assert_int_equal(store.tree.root.page, page);
    tree_check(&store);
    tree_close(&store);
}

static void test_share__makes_two_pages_more_where_records_are_large(void **state) {
    static const uint32_t starts[] = {0, 16, 32};
    tree_store store;

    (void)state;
    share_open(&store, starts, 3);
    store.tree.tuning.window = 2;
    /* In slots 16, 17 and 18: small, large twice, small: two pages cannot take a third large. */
    share_place(0, 16);
    share_place(1, 17);
    share_place(2, 17);
    tree_must_put(&store, 0, 30);
    tree_must_put(&store, 1, 1990);
    tree_must_put(&store, 2, 1990);
    share_place(3, 18);
    assert_true(share_step(&store, 3, 1990));
    tree_check(&store);
    tree_must_put(&store, 3, 1980);
    share_place(4, 16);
    tree_must_put(&store, 4, 2000);
    tree_check(&store);
    tree_close(&store);
}

/* Every split and share of a growing tree, checked one by one. */
static void test_share__keeps_the_tree_good_at_every_step(void **state) {
    (void)state;
    for (uint32_t window = 2; window <= HTT_WINDOW_MAX; window += 2) {
        for (uint32_t group = 2; group <= HTT_GROUP_MAX; group *= 32) {
            tree_store store;
            uint32_t steps = 0;
            tree_open(&store, TREE_PAGE, true);
            store.tuning = (htt_tree_tuning){window, group, 94};
            tree_abort(&store);
            for (uint32_t id = 0; id < 900; id++) {
                uint32_t data = tree_look(&store).data;
                tree_must_put(&store, id, 100 + id * 89 % 1100);
                if (tree_look(&store).data != data && steps++ % 4 == 0)
                    tree_check(&store);
            }
            tree_check(&store);
            assert_true(steps > 100);
            tree_close(&store);
        }
    }
}

static void test_share_child_leaf__gives_data_pages_only(void **state) {
    static const uint32_t starts[] = {0, 16, 32};
    tree_store store;
    const uint8_t *page;

    (void)state;
    share_open(&store, starts, 3);
    share_fill(&store, 10, 16, 1, 480);
    assert_tree(&store, htt_child_leaf(&store.view, share_root(&store), 0, &page));
    assert_null(page);
    assert_tree(&store, htt_child_leaf(&store.view, share_root(&store), 1, &page));
    assert_int_equal(htt_page_type(page), HTT_PAGE_DATA);
    tree_close(&store);
}

static void test_double__keeps_children_and_gives_them_twice_the_slots(void **state) {
    static const uint32_t starts[] = {0, 16, 33};
    tree_store store;
    bool done;

    (void)state;
    share_open(&store, starts, 3);
    share_fill(&store, 0, 0, 40, 20);
    tree_commit(&store);
    for (uint32_t log2 = 7; log2 <= 13; log2++) {
        htt_path path = tree_path(&store, 0);
        assert_tree(&store, htt_tree_reserve(&store.tree));
        assert_tree(&store, htt_step_double(&store.tree, &path, &done));
        assert_true(done);
        assert_int_equal(htt_node_slots_log2(share_root(&store)), log2);
        assert_int_equal(htt_node_start(share_root(&store), 1), 16 << (log2 - 6));
        assert_int_equal(htt_node_start(share_root(&store), 2), 33 << (log2 - 6));
        tree_check(&store);
    }
    htt_path path = tree_path(&store, 0);
    assert_tree(&store, htt_step_double(&store.tree, &path, &done));
    assert_false(done); /* 2^13 slots are the most of such a page */
    tree_close(&store);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_share__gives_records_to_a_neighbour_with_room),
        cmocka_unit_test(test_share__splits_full_neighbours_into_one_more),
        cmocka_unit_test(test_share__chooses_the_emptiest_neighbours),
        cmocka_unit_test(test_share__stops_at_neighbours_that_are_no_data_pages),
        cmocka_unit_test(test_share__cannot_cut_within_a_slot),
        cmocka_unit_test(test_share__makes_two_pages_more_where_records_are_large),
        cmocka_unit_test(test_share__keeps_the_tree_good_at_every_step),
        cmocka_unit_test(test_share_child_leaf__gives_data_pages_only),
        cmocka_unit_test(test_double__keeps_children_and_gives_them_twice_the_slots),
    };
    return cmocka_run_group_tests_name("tree_share", tests, NULL, NULL);
}
