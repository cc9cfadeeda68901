/* SPDX-License-Identifier: MIT */
/* Paths: going down, making a path writable, salts, and damage on the way. */
#include "tree_support.h"

#include <errno.h>

/* Nodes in sub-pages: eight slots of the root are full of rows. */
static void path_open_nodes(tree_store *store, bool mapped) {
    tree_open(store, TREE_PAGE, mapped);
    store->hash = tree_hash_slot;
    store->keys = TREE_KEYS_SLOT;
    store->mix_of = tree_mix_eight;
    store->tuning = (htt_tree_tuning){2, 2, 94};
    tree_abort(store);
    for (uint32_t id = 0; id < 1200; id++)
        tree_must_put(store, id, 300);
    tree_commit(store);
}

static void test_path__of_an_empty_tree_has_no_page(void **state) {
    tree_store store;

    (void)state;
    tree_open(&store, TREE_PAGE, true);
    htt_path path = tree_path(&store, 1);
    assert_int_equal(path.depth, 0);
    assert_int_equal(path.leaf.page, 0);
    assert_null(path.leaf_bytes);
    tree_close(&store);
}

static void test_path__goes_by_the_slot_of_each_salt(void **state) {
    tree_store store;

    (void)state;
    path_open_nodes(&store, true);
    for (uint32_t id = 0; id < 1200; id++) {
        htt_path path = tree_path(&store, id);
        assert_true(path.depth >= 2);
        for (uint32_t i = 0; i < path.depth; i++) {
            const htt_step *step = &path.steps[i];
            uint32_t mix = htt_hash_mix(path.hash, htt_node_salt(step->node));
            uint32_t slot = htt_hash_slot(mix, htt_node_slots(step->node));
            assert_true(htt_node_start(step->node, step->child) <= slot);
            assert_true(htt_node_start(step->node, step->child + 1) > slot);
        }
        assert_int_equal(path.steps[0].page, store.tree.root.page);
        assert_int_equal(htt_page_type(path.leaf_bytes), HTT_PAGE_DATA);
    }
    tree_close(&store);
}

static void test_path_edit__copies_the_path_and_renames_all_nodes_of_a_page(void **state) {
    (void)state;
    for (int mapped = 0; mapped < 2; mapped++) {
        tree_store store;
        path_open_nodes(&store, mapped == 1);
        htt_path path = tree_path(&store, 3);
        uint32_t root = path.steps[0].page, index = path.steps[1].page, leaf = path.leaf.page;
        uint32_t siblings = htt_page_count(path.steps[1].bytes);
        assert_true(siblings >= 2);
        assert_tree(&store, htt_tree_reserve(&store.tree));
        path = tree_path(&store, 3);
        assert_tree(&store, htt_path_edit(&store.tree, &path, path.depth + 1));
        assert_int_not_equal(path.steps[0].page, root);
        assert_int_equal(store.tree.root.page, path.steps[0].page);
        assert_int_not_equal(path.steps[1].page, index);
        assert_int_not_equal(path.leaf.page, leaf);
        uint32_t renamed = 0;
        for (uint32_t i = 0; i < htt_node_count(path.steps[0].node); i++) {
            htt_ref ref = htt_node_child(path.steps[0].node, i);
            assert_int_not_equal(ref.page, index);
            renamed += ref.page == path.steps[1].page;
        }
        assert_int_equal(renamed, siblings); /* TREE-3 */
        tree_check(&store);
        /* Own pages are not copied again. */
        htt_path again = tree_path(&store, 3);
        assert_tree(&store, htt_tree_reserve(&store.tree));
        assert_tree(&store, htt_path_edit(&store.tree, &again, again.depth + 1));
        assert_int_equal(again.steps[1].page, path.steps[1].page);
        assert_int_equal(again.leaf.page, path.leaf.page);
        tree_close(&store);
    }
}

static void test_path_edit__stops_at_the_level_asked_for(void **state) {
    tree_store store;

    (void)state;
    path_open_nodes(&store, true);
    for (uint32_t levels = 0; levels <= 3; levels++) {
        htt_path before = tree_path(&store, 3);
        assert_tree(&store, htt_tree_reserve(&store.tree));
        htt_path path = tree_path(&store, 3);
        assert_tree(&store, htt_path_edit(&store.tree, &path, levels));
        assert_int_equal(path.steps[0].page != before.steps[0].page, levels >= 1);
        assert_int_equal(path.steps[1].page != before.steps[1].page, levels >= 2);
        assert_int_equal(path.leaf.page != before.leaf.page, levels >= 3);
        tree_check(&store);
        tree_abort(&store);
    }
    tree_close(&store);
}

static void test_path_edit__half_done_leaves_a_good_tree(void **state) {
    tree_store store;
    uint32_t failures = 0;

    (void)state;
    path_open_nodes(&store, true);
    for (uint32_t left = 0; left < 4; left++) {
        htt_root base = store.root;
        base.page_count = HTT_PAGE_NUMBER_MAX - left;
        base.free_head = base.free_pages = 0;
        tree_end(&store);
        tree_begin(&store, &base);
        assert_tree(&store, htt_tree_reserve(&store.tree));
        htt_path path = tree_path(&store, 3);
        htt_rc rc = htt_path_edit(&store.tree, &path, path.depth + 1);
        assert_int_equal(rc, left < 3 ? HTT_FULL : HTT_OK);
        failures += rc != HTT_OK;
        tree_compare(&store);
    }
    assert_int_equal(failures, 3);
    tree_close(&store);
}

static void test_path_salt__is_the_smallest_that_no_node_has(void **state) {
    uint8_t nodes[3][16] = {{0}, {0}, {0}};
    htt_path path = {.depth = 3};

    (void)state;
    nodes[0][0] = 0;
    nodes[1][0] = 2;
    nodes[2][0] = 1;
    for (uint32_t i = 0; i < 3; i++)
        path.steps[i].node = nodes[i];
    assert_int_equal(htt_path_salt(&path, 0), 3); /* TREE-2 */
    assert_int_equal(htt_path_salt(&path, 2), 5);
    nodes[2][0] = 4;
    assert_int_equal(htt_path_salt(&path, 0), 1);
    assert_int_equal(htt_path_salt(&path, 1), 3);
    assert_int_equal(htt_path_salt(&path, 2), 5);
    path.depth = 0;
    assert_int_equal(htt_path_salt(&path, 0), 0);
}

/* `count` nodes of one child each; the last one's child is `last`. */
static void path_make_chain(tree_store *store, uint32_t count, htt_ref last) {
    htt_ref ref = last;

    for (uint32_t i = 0; i < count; i++) {
        uint8_t *page;
        uint32_t number;
        assert_tree(store, htt_tree_reserve(&store->tree));
        assert_tree(store, htt_writer_new(store->writer, &number, &page, &store->error));
        htt_page_init(page, TREE_PAGE, HTT_PAGE_NODE);
        htt_node_init(page + HTT_PAGE_HEADER_SIZE, (uint8_t)i, 6);
        htt_node_set_child(page + HTT_PAGE_HEADER_SIZE, 0, ref);
        ref = (htt_ref){number, 0};
    }
    store->tree.root.page = ref.page;
}

static void test_path__ends_below_the_deepest_node_allowed(void **state) {
    tree_store store;
    htt_path path;
    htt_tree_row row;

    (void)state;
    for (uint32_t more = 0; more < 2; more++) {
        tree_open(&store, TREE_PAGE, true);
        tree_must_put(&store, 1, 10);
        path_make_chain(&store, HTT_DEPTH_MAX + more, (htt_ref){store.tree.root.page, 0});
        path.hash = htt_path_hash(&store.view, tree_key(&store, 1));
        htt_rc rc = htt_path_find(&store.view, store.tree.root.page, &path);
        assert_int_equal(rc, more == 0 ? HTT_OK : HTT_CORRUPT); /* TREE-5 */
        rc = htt_tree_find(&store.view, &store.tree.root, tree_key(&store, 1), &row);
        assert_int_equal(rc, more == 0 ? HTT_OK : HTT_CORRUPT);
        if (more == 1)
            assert_non_null(strstr(store.error.text, "more than 40 index nodes on a path"));
        else
            tree_check(&store);
        tree_close(&store);
    }
}

static void test_path__names_a_page_that_it_meets_twice(void **state) {
    tree_store store;
    htt_path path;

    (void)state;
    tree_open(&store, TREE_PAGE, true);
    path_make_chain(&store, 3, (htt_ref){4, 0}); /* the root's own number */
    assert_int_equal(store.tree.root.page, 4);
    path.hash = htt_path_hash(&store.view, tree_key(&store, 1));
    assert_int_equal(htt_path_find(&store.view, 4, &path), HTT_CORRUPT);
    assert_int_equal(store.error.page, 4);
    assert_non_null(strstr(store.error.text, "it occurs twice on one path"));
    /* Changes end there too, and do not give a page up twice. */
    assert_int_equal(tree_put(&store, 1, 10), HTT_CORRUPT);
    assert_int_equal(tree_del(&store, 1), HTT_CORRUPT);
    tree_close(&store);
}

static void test_path__names_a_child_that_is_no_node(void **state) {
    tree_store store;

    (void)state;
    for (uint32_t sub = 0; sub < 2; sub++) {
        tree_open(&store, TREE_PAGE, true);
        tree_must_put(&store, 1, 9000); /* page 2 is the run, 5 the row */
        tree_must_put(&store, 2, 10);
        uint32_t data = store.tree.root.page;
        path_make_chain(&store, 1, sub == 1 ? (htt_ref){data, 1} : (htt_ref){2, 0});
        assert_int_equal(tree_put(&store, 1, 10), HTT_CORRUPT);
        assert_int_equal(store.error.page, sub == 1 ? data : 2);
        tree_close(&store);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_path__of_an_empty_tree_has_no_page),
        cmocka_unit_test(test_path__goes_by_the_slot_of_each_salt),
        cmocka_unit_test(test_path_edit__copies_the_path_and_renames_all_nodes_of_a_page),
        cmocka_unit_test(test_path_edit__stops_at_the_level_asked_for),
        cmocka_unit_test(test_path_edit__half_done_leaves_a_good_tree),
        cmocka_unit_test(test_path_salt__is_the_smallest_that_no_node_has),
        cmocka_unit_test(test_path__ends_below_the_deepest_node_allowed),
        cmocka_unit_test(test_path__names_a_page_that_it_meets_twice),
        cmocka_unit_test(test_path__names_a_child_that_is_no_node),
    };
    return cmocka_run_group_tests_name("tree_path", tests, NULL, NULL);
}
