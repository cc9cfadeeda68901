/* SPDX-License-Identifier: MIT */
/* Visiting all nodes and data pages: order, stops, damage. */
#include "tree_support.h"

typedef struct walk_log {
    uint32_t nodes;        /* visited */
    uint32_t data;         /* visited */
    uint32_t damaged;      /* told */
    uint32_t damaged_page; /* the last one */
    uint32_t stop_after;   /* visits; 0 = never */
    uint32_t depth;        /* of the visit before */
    uint8_t *seen;         /* pages, NULL = not noted */
} walk_log;

static htt_rc walk_stop(walk_log *log) {
    return log->stop_after != 0 && log->nodes + log->data == log->stop_after ? HTT_BUSY : HTT_OK;
}

static htt_rc walk_node(void *arg, const htt_tree_place *place) {
    walk_log *log = arg;

    assert_false(place->is_data);
    assert_true(place->depth <= log->depth + 1); /* parents first */
    log->depth = place->depth;
    log->nodes++;
    assert_true(place->bytes > place->page_bytes);
    assert_true(place->bytes < place->page_bytes + TREE_PAGE);
    return walk_stop(log);
}

static htt_rc walk_data(void *arg, const htt_tree_place *place) {
    walk_log *log = arg;

    assert_true(place->is_data);
    assert_true(place->depth <= log->depth + 1);
    assert_ptr_equal(place->bytes, place->page_bytes);
    log->data++;
    if (log->seen != NULL)
        assert_int_equal(log->seen[place->page]++, 0);
    return walk_stop(log);
}

static htt_rc walk_damaged(void *arg, uint32_t page, const htt_error *error) {
    walk_log *log = arg;

    assert_int_equal(error->rc, HTT_CORRUPT);
    assert_int_equal(error->page, page);
    log->damaged++;
    log->damaged_page = page;
    return HTT_OK;
}

static void walk_open(tree_store *store, bool mapped) {
    tree_open(store, TREE_PAGE, mapped);
    store->tuning = (htt_tree_tuning){2, 3, 94};
    tree_abort(store);
    for (uint32_t id = 0; id < 2500; id++)
        tree_must_put(store, id, 900 + id % 900);
    tree_commit(store);
}

static void test_walk__visits_every_place_once_parents_first(void **state) {
    (void)state;
    for (int mapped = 0; mapped < 2; mapped++) {
        tree_store store;
        walk_open(&store, mapped == 1);
        walk_log log = {.seen = calloc(store.root.page_count, 1)};
        htt_tree_visitor visitor = {&log, walk_node, walk_data, NULL};
        assert_non_null(log.seen);
        assert_tree(&store, htt_tree_walk(&store.view, &store.tree.root, &visitor));
        assert_true(log.nodes > 20);
        uint32_t seen = 0;
        for (uint32_t id = 0; id < 2500; id++)
            assert_int_equal(log.seen[tree_path(&store, id).leaf.page], 1);
        for (uint32_t page = 0; page < store.root.page_count; page++)
            seen += log.seen[page];
        assert_int_equal(seen, log.data);
        /* Only one kind of visit is asked for. */
        walk_log other = {0};
        htt_tree_visitor nodes = {&other, walk_node, NULL, NULL};
        htt_pins_drop(store.pages, &store.pins);
        assert_tree(&store, htt_tree_walk(&store.view, &store.tree.root, &nodes));
        assert_int_equal(other.nodes, log.nodes);
        free(log.seen);
        tree_close(&store);
    }
}

static void test_walk__of_an_empty_tree_visits_nothing(void **state) {
    tree_store store;
    walk_log log = {0};
    htt_tree_visitor visitor = {&log, walk_node, walk_data, NULL};

    (void)state;
    tree_open(&store, TREE_PAGE, true);
    assert_tree(&store, htt_tree_walk(&store.view, &store.tree.root, &visitor));
    assert_int_equal(log.nodes + log.data, 0);
    tree_close(&store);
}

static void test_walk__stops_with_a_visitors_result(void **state) {
    tree_store store;

    (void)state;
    walk_open(&store, true);
    for (uint32_t stop = 1; stop < 40; stop++) {
        walk_log log = {.stop_after = stop};
        htt_tree_visitor visitor = {&log, walk_node, walk_data, NULL};
        assert_int_equal(htt_tree_walk(&store.view, &store.tree.root, &visitor), HTT_BUSY);
        assert_int_equal(log.nodes + log.data, stop);
    }
    tree_close(&store);
}

static void walk_damage(tree_store *store, uint32_t number) {
    uint8_t byte = 0xEE;

    htt_pins_drop(store->pages, &store->pins);
    assert_int_equal(store->env->write(store->env->context, store->file, &byte, 1,
                                       (uint64_t)number * TREE_PAGE + 100),
                     0);
    htt_pages_forget_all(store->pages);
}

static void test_walk__stops_at_damage_or_goes_on_behind_it(void **state) {
    tree_store store;
    walk_log whole = {0}, stopped = {0}, tolerant = {0};
    htt_tree_visitor visit_whole = {&whole, walk_node, walk_data, NULL};
    htt_tree_visitor visit_stopped = {&stopped, walk_node, walk_data, NULL};
    htt_tree_visitor visit_tolerant = {&tolerant, walk_node, walk_data, walk_damaged};

    (void)state;
    walk_open(&store, false);
    assert_tree(&store, htt_tree_walk(&store.view, &store.tree.root, &visit_whole));
    uint32_t number = tree_path(&store, 77).leaf.page;
    walk_damage(&store, number);
    assert_int_equal(htt_tree_walk(&store.view, &store.tree.root, &visit_stopped), HTT_CORRUPT);
    assert_true(stopped.data < whole.data);
    htt_pins_drop(store.pages, &store.pins);
    assert_tree(&store, htt_tree_walk(&store.view, &store.tree.root, &visit_tolerant));
    assert_int_equal(tolerant.data, whole.data - 1);
    assert_int_equal(tolerant.damaged, 1);
    assert_int_equal(tolerant.damaged_page, number);
    /* The root itself. */
    walk_damage(&store, store.tree.root.page);
    walk_log root = {0};
    htt_tree_visitor visit_root = {&root, walk_node, walk_data, walk_damaged};
    assert_tree(&store, htt_tree_walk(&store.view, &store.tree.root, &visit_root));
    assert_int_equal(root.damaged_page, store.tree.root.page);
    assert_int_equal(root.nodes + root.data, 0);
    tree_close(&store);
}

/* Nodes whose children are all one node below: 2^30 paths. The walk ends, with an error. */
static void test_walk__ends_in_a_tree_that_names_places_again_and_again(void **state) {
    tree_store store;
    uint32_t number = 0, starts[2] = {0, 32};

    (void)state;
    for (int tolerant = 0; tolerant < 2; tolerant++) {
        walk_log log = {0};
        htt_tree_visitor visitor = {&log, NULL, NULL, tolerant == 1 ? walk_damaged : NULL};
        tree_open(&store, TREE_PAGE, true);
        tree_must_put(&store, 1, 10);
        htt_ref refs[2] = {{store.tree.root.page, 0}, {store.tree.root.page, 0}};
        for (uint32_t i = 0; i < 30; i++) {
            uint8_t *page;
            assert_tree(&store, htt_tree_reserve(&store.tree));
            assert_tree(&store, htt_writer_new(store.writer, &number, &page, &store.error));
            htt_page_init(page, TREE_PAGE, HTT_PAGE_NODE);
            htt_node_init(page + HTT_PAGE_HEADER_SIZE, (uint8_t)i, 6);
            htt_node_splice(page + HTT_PAGE_HEADER_SIZE, 0, 1, starts, refs, 2);
            refs[0].page = refs[1].page = number;
        }
        htt_tree_root root = {number, 1, 14};
        assert_int_equal(htt_tree_walk(&store.view, &root, &visitor), HTT_CORRUPT);
        assert_non_null(strstr(store.error.text, "more places than there are"));
        tree_close(&store);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_walk__visits_every_place_once_parents_first),
        cmocka_unit_test(test_walk__of_an_empty_tree_visits_nothing),
        cmocka_unit_test(test_walk__stops_with_a_visitors_result),
        cmocka_unit_test(test_walk__stops_at_damage_or_goes_on_behind_it),
        cmocka_unit_test(test_walk__ends_in_a_tree_that_names_places_again_and_again),
    };
    return cmocka_run_group_tests_name("tree_walk", tests, NULL, NULL);
}
