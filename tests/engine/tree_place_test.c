/* SPDX-License-Identifier: MIT */
/* Where nodes are stored: with siblings, on a new index page, on a page of their own; and moves. */
#include "tree_support.h"

/* A root node with one child per slot of 64; the test fills the children in. */
typedef struct place_tree {
    tree_store store; /* salt 0, key ids are slots */
    uint8_t *root;    /* the root node, writable */
} place_tree;

static uint32_t place_mix(uint32_t id) {
    return id << 26;
}

static void place_open(place_tree *tree, uint32_t page_size) {
    tree_store *store = &tree->store;
    htt_ref refs[64] = {{0, 0}};
    uint32_t starts[64];
    uint8_t *page;

    tree_open(store, page_size, true);
    store->hash = tree_hash_slot;
    store->keys = TREE_KEYS_SLOT;
    store->mix_of = place_mix;
    tree_abort(store);
    for (uint32_t i = 0; i < 64; i++)
        starts[i] = i;
    assert_tree(store, htt_tree_reserve(&store->tree));
    assert_tree(store, htt_writer_new(store->writer, &store->tree.root.page, &page, &store->error));
    htt_page_init(page, page_size, HTT_PAGE_NODE);
    tree->root = page + HTT_PAGE_HEADER_SIZE;
    htt_node_init(tree->root, 0, 6);
    htt_node_splice(tree->root, 0, 1, starts, refs, 64);
}

/* A node of salt 1 with `count` ranges without keys. */
static void place_fill(uint8_t *node, uint32_t slots_log2, uint32_t count) {
    htt_ref *refs = calloc(count, sizeof *refs);
    uint32_t *starts = malloc(count * sizeof *starts);

    assert_non_null(refs);
    assert_non_null(starts);
    for (uint32_t i = 0; i < count; i++)
        starts[i] = i;
    htt_node_init(node, 1, slots_log2);
    htt_node_splice(node, 0, 1, starts, refs, count);
    free(refs);
    free(starts);
}

/* A new index page with one node per size (of 64 slots), named by children from `child` on. */
static uint32_t place_index(place_tree *tree, uint32_t child, const uint32_t *counts,
                            uint32_t nodes) {
    tree_store *store = &tree->store;
    uint32_t page_size = store->root.page_size, number;
    uint8_t *page;

    assert_tree(store, htt_writer_new(store->writer, &number, &page, &store->error));
    htt_index_init(page, page_size);
    for (uint32_t i = 0; i < nodes; i++) {
        uint32_t log2 = 6;
        while (1u << log2 < counts[i])
            log2++;
        uint8_t sub = htt_index_add(page, page_size, htt_node_size(log2, counts[i]));
        place_fill(htt_index_node(page, page_size, sub), log2, counts[i]);
        htt_node_set_child(tree->root, child + i, (htt_ref){number, sub});
    }
    return number;
}

static const uint8_t *place_page(place_tree *tree, uint32_t number) {
    const uint8_t *page;

    assert_tree(&tree->store, htt_view_page(&tree->store.view, number, &page));
    return page;
}

/* Asks for a place of a node of `size` bytes under child `child` of the root, and fills it. */
static htt_ref place_ask(place_tree *tree, uint32_t child, uint32_t size) {
    htt_path path = tree_path(&tree->store, child);
    uint8_t *bytes;
    htt_ref ref;

    path.depth = 1;
    assert_tree(&tree->store, htt_tree_reserve(&tree->store.tree));
    assert_tree(&tree->store, htt_path_edit(&tree->store.tree, &path, 1));
    assert_tree(&tree->store, htt_node_place(&tree->store.tree, &path, 0, size, &ref, &bytes));
    place_fill(bytes, 6, (size - 12) / HTT_NODE_CHILD_SIZE);
    htt_node_set_child(tree->root, child, ref);
    return ref;
}

static void test_place__puts_a_small_node_beside_its_siblings(void **state) {
    static const uint32_t counts[] = {4, 4};
    place_tree tree;

    (void)state;
    place_open(&tree, TREE_PAGE);
    htt_ref first = place_ask(&tree, 30, htt_node_size(6, 10));
    assert_int_equal(htt_page_type(place_page(&tree, first.page)), HTT_PAGE_INDEX);
    assert_int_equal(first.sub, 1);
    htt_ref second = place_ask(&tree, 31, htt_node_size(6, 10));
    assert_int_equal(second.page, first.page); /* TREE-3: of the same parent */
    assert_int_equal(second.sub, 2);
    (void)place_index(&tree, 0, counts, 2);
    htt_ref third = place_ask(&tree, 1, htt_node_size(6, 10));
    assert_true(third.page != 0);
    tree_close(&tree.store);
}

static void test_place__gives_a_large_node_a_page(void **state) {
    place_tree tree;

    (void)state;
    place_open(&tree, TREE_PAGE);
    htt_path path = tree_path(&tree.store, 5);
    uint8_t *bytes;
    htt_ref ref;
    assert_tree(&tree.store, htt_tree_reserve(&tree.store.tree));
    assert_tree(&tree.store, htt_path_edit(&tree.store.tree, &path, 1));
    assert_tree(&tree.store,
                htt_node_place(&tree.store.tree, &path, 0, TREE_PAGE / 2, &ref, &bytes));
    assert_true(ref.sub != 0);
    assert_tree(&tree.store,
                htt_node_place(&tree.store.tree, &path, 0, TREE_PAGE / 2 + 1, &ref, &bytes));
    assert_int_equal(ref.sub, 0);
    assert_int_equal(htt_page_type(place_page(&tree, ref.page)), HTT_PAGE_NODE);
    tree_close(&tree.store);
}

static htt_room place_make_room(place_tree *tree, uint32_t child, uint32_t extra) {
    htt_path path;
    htt_room room;

    assert_tree(&tree->store, htt_tree_reserve(&tree->store.tree));
    path = tree_path(&tree->store, child);
    assert_int_equal(path.depth, 2);
    assert_tree(&tree->store, htt_node_make_room(&tree->store.tree, &path, 1, extra, &room));
    return room;
}

static void test_make_room__leaves_a_node_where_its_page_has_room(void **state) {
    static const uint32_t counts[] = {10, 10};
    place_tree tree;

    (void)state;
    place_open(&tree, TREE_PAGE);
    uint32_t number = place_index(&tree, 7, counts, 2);
    uint32_t room = htt_index_room(place_page(&tree, number), TREE_PAGE);
    assert_int_equal(place_make_room(&tree, 7, room), HTT_ROOM_HERE);
    assert_int_equal(htt_node_child(tree.root, 7).page, number);
    tree_close(&tree.store);
}

static void test_make_room__moves_a_node_to_a_page_of_its_siblings(void **state) {
    static const uint32_t many[] = {60, 60, 60, 60, 60, 60, 60, 60, 60, 60, 60, 60}, one[] = {10};
    place_tree tree;

    (void)state;
    place_open(&tree, TREE_PAGE);
    uint32_t full = place_index(&tree, 7, many, 12);
    uint32_t other = place_index(&tree, 30, one, 1);
    uint32_t extra = htt_index_room(place_page(&tree, full), TREE_PAGE) + 1;
    assert_int_equal(place_make_room(&tree, 8, extra), HTT_ROOM_MOVED);
    htt_ref ref = htt_node_child(tree.root, 8);
    assert_int_equal(ref.page, other);
    assert_int_equal(htt_page_count(place_page(&tree, full)), 11);
    const uint8_t *node = htt_index_node_const(place_page(&tree, other), TREE_PAGE, ref.sub);
    assert_int_equal(htt_node_count(node), 60);
    assert_int_equal(place_make_room(&tree, 8, extra), HTT_ROOM_HERE);
    tree_close(&tree.store);
}

static void test_make_room__moves_a_node_to_a_new_page_or_a_whole_one(void **state) {
    static const uint32_t many[] = {60, 60, 60, 60, 60, 60, 60, 60, 60, 60, 60, 60};
    place_tree tree;

    (void)state;
    place_open(&tree, TREE_PAGE);
    uint32_t full = place_index(&tree, 7, many, 12);
    uint32_t extra = htt_index_room(place_page(&tree, full), TREE_PAGE) + 1;
    assert_int_equal(place_make_room(&tree, 8, extra), HTT_ROOM_MOVED);
    assert_true(htt_node_child(tree.root, 8).page != full);
    assert_true(htt_node_child(tree.root, 8).sub != 0);
    assert_int_equal(place_make_room(&tree, 9, TREE_PAGE / 2), HTT_ROOM_MOVED);
    assert_int_equal(htt_node_child(tree.root, 9).sub, 0);
    uint32_t size = htt_node_size(6, 60);
    assert_int_equal(place_make_room(&tree, 9, TREE_PAGE - HTT_PAGE_HEADER_SIZE - size),
                     HTT_ROOM_HERE);
    assert_int_equal(place_make_room(&tree, 9, TREE_PAGE - HTT_PAGE_HEADER_SIZE - size + 1),
                     HTT_ROOM_NONE);
    tree_close(&tree.store);
}

/* An index page with `room` bytes left beside one node of 64 slots (whose tail is not used) and,
 * with `more` > 0, one of `more` children. */
static uint32_t place_index_with_room(place_tree *tree, uint32_t child, uint32_t slots_log2,
                                      uint32_t more, uint32_t room) {
    tree_store *store = &tree->store;
    uint32_t page_size = store->root.page_size, number;
    uint8_t *page;

    assert_tree(store, htt_writer_new(store->writer, &number, &page, &store->error));
    htt_index_init(page, page_size);
    if (more > 0) {
        uint8_t sub = htt_index_add(page, page_size, htt_node_size(slots_log2, more));
        place_fill(htt_index_node(page, page_size, sub), slots_log2, more);
        htt_node_set_child(tree->root, child + 1, (htt_ref){number, sub});
    }
    /* Children of one node: as many as leave this room, in steps of 5 bytes. */
    uint32_t left = htt_index_room(page, page_size) - 2 - room;
    uint32_t count = (left - htt_node_size(14, 0)) / HTT_NODE_CHILD_SIZE;
    uint8_t sub = htt_index_add(page, page_size, htt_node_size(14, count));
    place_fill(htt_index_node(page, page_size, sub), 14, count);
    htt_node_set_child(tree->root, child, (htt_ref){number, sub});
    return number;
}

/* A node that needs more at once than a moved one is given on top must not go to and fro between
 * two pages that both have less. */
static void test_make_room__moves_a_node_only_to_where_it_fits(void **state) {
    enum { COUNT = 256, LOG2 = 12 };
    uint32_t size = htt_node_size(LOG2, COUNT);
    uint32_t extra = htt_node_size(LOG2 + 1, COUNT) - size;
    uint32_t slack = size / 4 + 8 * HTT_NODE_CHILD_SIZE;
    place_tree tree;

    (void)state;
    assert_true(slack + 10 < extra);
    place_open(&tree, TREE_BIG);
    (void)place_index_with_room(&tree, 10, LOG2, COUNT, 20);
    (void)place_index_with_room(&tree, 20, 0, 0, size + slack + 10);
    (void)place_index_with_room(&tree, 30, 0, 0, size + slack + 10);
    assert_int_equal(place_make_room(&tree, 11, extra), HTT_ROOM_MOVED);
    assert_int_equal(place_make_room(&tree, 11, extra), HTT_ROOM_HERE);
    tree_close(&tree.store);
}

/* Nodes grow, move and get pages of their own, checked at each move. */
static void test_place__keeps_the_tree_good_while_nodes_move(void **state) {
    tree_store store;
    uint32_t moves = 0, promotions = 0;

    (void)state;
    tree_open(&store, TREE_PAGE, true);
    store.tuning = (htt_tree_tuning){4, 8, 94};
    store.hash = tree_hash_slot;
    store.keys = TREE_KEYS_SLOT;
    store.mix_of = tree_mix_eight;
    tree_abort(&store);
    for (uint32_t id = 0; id < 9000; id++) {
        tree_mark before = tree_mark_path(&store, id);
        tree_must_put(&store, id, 1200 + id % 700);
        tree_mark after = tree_mark_path(&store, id);
        bool moved = before.depth == after.depth && before.siblings != after.siblings;
        moves += moved && after.whole == 0;
        promotions += moved && after.whole > before.whole;
        if (moved && (moves + promotions) % 3 == 0)
            tree_check(&store);
        if (id % 2000 == 0)
            tree_commit(&store);
    }
    tree_check(&store);
    print_message("%u moves, %u nodes got a page\n", moves, promotions);
    assert_true(moves >= 5);
    assert_true(promotions >= 1);
    tree_close(&store);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_place__puts_a_small_node_beside_its_siblings),
        cmocka_unit_test(test_place__gives_a_large_node_a_page),
        cmocka_unit_test(test_make_room__leaves_a_node_where_its_page_has_room),
        cmocka_unit_test(test_make_room__moves_a_node_to_a_page_of_its_siblings),
        cmocka_unit_test(test_make_room__moves_a_node_to_a_new_page_or_a_whole_one),
        cmocka_unit_test(test_make_room__moves_a_node_only_to_where_it_fits),
        cmocka_unit_test(test_place__keeps_the_tree_good_while_nodes_move),
    };
    return cmocka_run_group_tests_name("tree_place", tests, NULL, NULL);
}
