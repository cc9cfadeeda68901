/* SPDX-License-Identifier: MIT */
/* Pages made anew are full, nodes have room, and no page is left over. */
#include "tree_support.h"

#include "tree/stage.h"

static double fill_percent(tree_store *store) {
    tree_shape shape = tree_look(store);
    return 100.0 * (double)shape.used /
           ((double)shape.data * (store->root.page_size - HTT_PAGE_HEADER_SIZE));
}

static void fill_open(tree_store *store, uint32_t page_size) {
    tree_open(store, page_size, true);
    store->stage_limit = 60 << 20;
    tree_abort(store);
}

static void test_fill__a_bulk_load_fills_its_pages(void **state) {
    static const struct {
        uint32_t page_size, rows, size, percent;
    } cases[] = {
        {TREE_PAGE, 60000, 100, 95}, {TREE_PAGE, 60000, 20, 95}, {TREE_PAGE, 20000, 750, 90},
        {TREE_PAGE, 3000, 1900, 90}, {TREE_BIG, 60000, 100, 95}, {TREE_PAGE, 300, 100, 80},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tree_store store;
        fill_open(&store, cases[i].page_size);
        for (uint32_t id = 0; id < cases[i].rows; id++)
            tree_must_put(&store, id, cases[i].size);
        double percent = fill_percent(&store);
        print_message("%u rows of %u: %.1f %% full, depth %u\n", cases[i].rows, cases[i].size,
                      percent, tree_look(&store).depth);
        assert_true(percent > cases[i].percent);
        assert_true(tree_look(&store).depth <= 2);
        assert_int_equal(tree_look(&store).empty, 0);
        tree_check(&store);
        tree_close(&store);
    }
}

/* As many rows again, in several transactions: pages are full after each. */
static void test_fill__rows_that_come_later_leave_pages_full(void **state) {
    tree_store store;

    (void)state;
    fill_open(&store, TREE_PAGE);
    for (uint32_t round = 0; round < 5; round++) {
        for (uint32_t id = round * 12000; id < (round + 1) * 12000; id++)
            tree_must_put(&store, id, 100);
        tree_commit(&store);
        assert_true(fill_percent(&store) > 94);
        assert_true(tree_look(&store).depth <= 3);
        tree_check(&store);
    }
    tree_close(&store);
}

/* A row over another one of the tree takes its place. */
static void test_fill__takes_rows_over_those_in_pages(void **state) {
    tree_store store;

    (void)state;
    fill_open(&store, TREE_PAGE);
    for (uint32_t id = 0; id < 20000; id++)
        tree_must_put(&store, id, 100);
    tree_commit(&store);
    uint32_t pages = tree_look(&store).data;
    for (int round = 0; round < 3; round++) {
        for (uint32_t id = 0; id < 20000; id++)
            tree_must_put(&store, id, 100);
        tree_settle(&store);
        assert_in_range(tree_look(&store).data, pages - 10, pages + 10);
        tree_check(&store);
    }
    tree_close(&store);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fill__a_bulk_load_fills_its_pages),
        cmocka_unit_test(test_fill__rows_that_come_later_leave_pages_full),
        cmocka_unit_test(test_fill__takes_rows_over_those_in_pages),
    };
    return cmocka_run_group_tests_name("tree_settle_fill", tests, NULL, NULL);
}
