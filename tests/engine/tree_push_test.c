/* SPDX-License-Identifier: MIT */
/* Pushing pages down into a new node: at the root, from a full node, and when keys collide. */
#include "tree_support.h"

static uint32_t push_step(tree_store *store, uint32_t id, uint32_t size, uint32_t width) {
    htt_path path;

    htt_pins_drop(store->pages, &store->pins);
    assert_tree(store, htt_tree_reserve(&store->tree));
    path = tree_path(store, id);
    htt_need need = {path.hash, size};
    return htt_step_push(&store->tree, &path, &need, width);
}

static void push_open_slots(tree_store *store, uint32_t (*mix_of)(uint32_t id),
                            uint32_t page_size) {
    tree_open(store, page_size, true);
    store->hash = tree_hash_slot;
    store->keys = TREE_KEYS_SLOT;
    store->mix_of = mix_of;
    tree_abort(store);
}

static void test_push__gives_a_root_page_a_root_node(void **state) {
    (void)state;
    for (uint32_t page_size = TREE_PAGE; page_size <= TREE_BIG; page_size *= 16) {
        tree_store store;
        push_open_slots(&store, tree_mix_even, page_size);
        for (uint32_t id = 0; id < 8; id++)
            tree_must_put(&store, id, page_size / 9);
        tree_commit(&store);
        assert_int_equal(tree_look(&store).nodes, 0);
        assert_int_equal(push_step(&store, 9, page_size / 9, 1), HTT_OK);
        tree_shape shape = tree_look(&store);
        assert_int_equal(shape.nodes, 1);
        assert_int_equal(shape.whole, 1);
        assert_int_equal(shape.data, 2);
        assert_int_equal(shape.slots, 64);
        htt_path path = tree_path(&store, 9);
        assert_int_equal(htt_node_salt(path.steps[0].node), 0);
        tree_check(&store);
        tree_must_put(&store, 9, page_size / 9 - 20);
        tree_check(&store);
        tree_close(&store);
    }
}

/* Slots as many as the pages need: 16 to each, and at least 64. */
static void test_push__gives_a_node_of_many_pages_more_slots(void **state) {
    tree_store store;

    (void)state;
    push_open_slots(&store, tree_mix_even, TREE_PAGE);
    for (uint32_t id = 0; id < 200; id++)
        tree_must_put(&store, id, 480);
    tree_shape before = tree_look(&store);
    assert_int_equal(before.nodes, 1);
    assert_int_equal(push_step(&store, 999, 480, 12), HTT_OK);
    tree_shape after = tree_look(&store);
    assert_int_equal(after.nodes, 2);
    assert_int_equal(after.slots, before.slots + 256); /* 13 pages */
    htt_path path = tree_path(&store, 999);
    assert_int_equal(path.depth, 2);
    assert_int_equal(htt_node_salt(path.steps[1].node), 1); /* TREE-2 */
    assert_true(path.steps[1].sub != 0);
    tree_check(&store);
    tree_close(&store);
}

/* The group has the full page in it and ends at nodes and at the ends of the parent. */
static void test_push__takes_the_pages_around_the_full_one(void **state) {
    (void)state;
    for (uint32_t id = 0; id < 40; id++) {
        tree_store store;
        push_open_slots(&store, tree_mix_even, TREE_PAGE);
        for (uint32_t i = 0; i < 200; i++)
            tree_must_put(&store, i, 480);
        htt_path path = tree_path(&store, id);
        uint32_t children = htt_node_count(path.steps[0].node);
        assert_int_equal(push_step(&store, id, 480, 5), HTT_OK);
        path = tree_path(&store, id);
        assert_int_equal(path.depth, 2);
        assert_int_equal(htt_node_count(path.steps[0].node), children - 4);
        tree_check(&store);
        /* A second push beside the new node does not take it. */
        uint32_t other = (id + 17) % 200;
        if (tree_path(&store, other).depth == 1) {
            assert_int_equal(push_step(&store, other, 480, HTT_GROUP_MAX), HTT_OK);
            assert_int_equal(tree_look(&store).depth, 2);
        }
        tree_check(&store);
        tree_close(&store);
    }
}

/* Keys that all share a slot are parted by the new node's salt. */
static void test_push__parts_keys_of_one_slot(void **state) {
    tree_store store;

    (void)state;
    push_open_slots(&store, tree_mix_zero, TREE_PAGE);
    for (uint32_t id = 0; id < 16; id++)
        tree_must_put(&store, id, 230);
    assert_int_equal(push_step(&store, 99, 230, 1), HTT_OK);
    htt_path path = tree_path(&store, 99);
    assert_int_equal(path.depth, 1);
    assert_int_equal(htt_node_salt(path.steps[0].node), 1); /* salt 0 cannot part them */
    tree_check(&store);
    tree_close(&store);
}

static void test_push__refuses_keys_that_share_a_whole_hash(void **state) {
    tree_store store;

    (void)state;
    tree_open(&store, TREE_PAGE, true);
    store.hash = tree_hash_seven;
    tree_abort(&store);
    uint32_t id = 0;
    while (tree_put(&store, id, 200) == HTT_OK)
        id++;
    assert_int_equal(store.error.rc, HTT_COLLISION);
    assert_true(id > 18); /* at least one page of one hash */
    tree_check(&store);
    /* A large row among them is in runs, where only its key takes room. */
    tree_must_put(&store, id + 1000, 3000);
    tree_check(&store);
    tree_close(&store);
}

/* From a full root: groups go down, and what was pushed can be pushed again. */
static void test_push__makes_room_in_a_full_node(void **state) {
    (void)state;
    for (uint32_t group = 2; group <= 16; group *= 8) {
        tree_store store;
        tree_open(&store, TREE_PAGE, true);
        store.tuning = (htt_tree_tuning){2, group, 94};
        tree_abort(&store);
        uint32_t checks = 0;
        for (uint32_t id = 0; id < 2500; id++) {
            uint32_t nodes = tree_look(&store).nodes;
            tree_must_put(&store, id, 1300 + id % 600);
            if (tree_look(&store).nodes > nodes && checks++ < 30)
                tree_check(&store);
        }
        assert_true(checks > 20);
        assert_true(tree_look(&store).depth >= 2);
        tree_check(&store);
        tree_close(&store);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_push__gives_a_root_page_a_root_node),
        cmocka_unit_test(test_push__gives_a_node_of_many_pages_more_slots),
        cmocka_unit_test(test_push__takes_the_pages_around_the_full_one),
        cmocka_unit_test(test_push__parts_keys_of_one_slot),
        cmocka_unit_test(test_push__refuses_keys_that_share_a_whole_hash),
        cmocka_unit_test(test_push__makes_room_in_a_full_node),
    };
    return cmocka_run_group_tests_name("tree_push", tests, NULL, NULL);
}
