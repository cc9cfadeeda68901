/* SPDX-License-Identifier: MIT */
/*
 * The check: a sound store has no problem, and each kind of damage is told. Damage is made by
 * editing pages of the file and sealing them again, so that only the check can find it.
 */
#include "tree_support.h"

/* A store with nodes in sub-pages, runs, external keys and a free list of two pages. */
static void check_open(tree_store *store) {
    tree_open(store, TREE_PAGE, false);
    store->keys = TREE_KEYS_EXTERNAL;
    store->tuning = (htt_tree_tuning){2, 3, 94};
    tree_abort(store);
    for (uint32_t id = 0; id < 2500; id++)
        tree_must_put(store, id, id % 50 == 1 ? 9000 : 900 + id % 800);
    tree_commit(store);
    for (uint32_t id = 0; id < 2500; id += 3)
        tree_must_del(store, id);
    for (uint32_t id = 3; id < 300; id += 9)
        tree_must_put(store, id, 3000);
    tree_commit(store);
    tree_check(store);
}

/* The node of a step, in a copy of its page that is to be given back. */
static uint8_t *check_take_node(tree_store *store, const htt_step *step, uint8_t **node_out) {
    uint8_t *page = tree_take_page(store, step->page);

    *node_out =
        step->sub == 0 ? page + HTT_PAGE_HEADER_SIZE : htt_index_node(page, TREE_PAGE, step->sub);
    assert_non_null(*node_out);
    return page;
}

/* A row whose path has two nodes, the second a sub-page. */
static htt_path check_deep_path(tree_store *store, uint32_t from) {
    for (uint32_t id = from;; id++) {
        htt_path path;
        path.hash = htt_path_hash(&store->view, tree_key(store, id));
        htt_pins_drop(store->pages, &store->pins);
        assert_tree(store, htt_path_find(&store->view, store->root.page, &path));
        if (path.depth >= 2 && path.steps[1].sub != 0 && path.leaf.page != 0)
            return path;
    }
}

#define CHECK_EXPECT(store, text)                                                                  \
    do {                                                                                           \
        tree_problems problems_ = tree_find_problems((store), &(store)->root);                     \
        assert_true(problems_.count > 0);                                                          \
        assert_problem(problems_, text);                                                           \
        tree_close(store);                                                                         \
    } while (0)

static void test_check__finds_rows_in_each_others_pages(void **state) { /* TREE-1 */
    tree_store store;
    uint8_t *node;

    (void)state;
    check_open(&store);
    htt_path path = check_deep_path(&store, 1);
    uint8_t *page = check_take_node(&store, &path.steps[1], &node);
    uint32_t other = path.steps[1].child == 0 ? 1 : path.steps[1].child - 1;
    htt_ref one = htt_node_child(node, path.steps[1].child), two = htt_node_child(node, other);
    htt_node_set_child(node, path.steps[1].child, two);
    htt_node_set_child(node, other, one);
    tree_give_page(&store, path.steps[1].page, page);
    CHECK_EXPECT(&store, "belongs into page");
}

static void test_check__finds_a_wrong_fingerprint(void **state) {
    tree_store store;

    (void)state;
    check_open(&store);
    uint32_t number = tree_path(&store, 1).leaf.page;
    uint8_t *page = tree_take_page(&store, number);
    page[HTT_PAGE_HEADER_SIZE] ^= 1;
    tree_give_page(&store, number, page);
    CHECK_EXPECT(&store, "record 0 has another fingerprint than its key");
}

static void test_check__finds_bytes_that_no_encoder_writes(void **state) {
    tree_store store;
    htt_tree_row row;
    uint32_t size;

    (void)state;
    check_open(&store);
    assert_tree(&store, htt_tree_find(&store.view, &store.tree.root, tree_key(&store, 2), &row));
    assert_false(row.record.overflow);
    uint8_t *page = tree_take_page(&store, row.page);
    uint8_t *record = (uint8_t *)(uintptr_t)htt_data_raw(page, TREE_PAGE, row.index, &size);
    record[0] = (uint8_t)((record[0] & 0x8F) | HTT_INTEGER << 4); /* a number of many bytes */
    tree_give_page(&store, row.page, page);
    CHECK_EXPECT(&store, "value bytes that no encoder writes");
}

static void test_check__finds_an_external_key_with_another_hash(void **state) {
    tree_store store;
    htt_tree_row row;
    const uint8_t *bytes;

    (void)state;
    check_open(&store);
    assert_tree(&store, htt_tree_find(&store.view, &store.tree.root, tree_key(&store, 3), &row));
    assert_true(row.record.key_external);
    assert_tree(&store, htt_view_page(&store.view, row.page, &bytes));
    size_t at = (size_t)(row.record.key - bytes);
    uint8_t *page = tree_take_page(&store, row.page);
    page[at] ^= 1;
    tree_give_page(&store, row.page, page);
    CHECK_EXPECT(&store, "has another hash than its key");
}

static void test_check__finds_wrong_counts(void **state) {
    tree_store store;
    htt_root root;

    (void)state;
    check_open(&store);
    root = store.root;
    root.keys++;
    assert_problem(tree_find_problems(&store, &root), "rows where the root record says");
    root = store.root;
    root.bytes--;
    assert_problem(tree_find_problems(&store, &root), "of payload where the root record says");
    root = store.root;
    root.free_pages++;
    assert_problem(tree_find_problems(&store, &root), "free pages where the root record says");
    tree_close(&store);
}

static void test_check__finds_a_root_page_that_is_not_the_roots(void **state) {
    tree_store store;

    (void)state;
    check_open(&store);
    htt_root root = store.root;
    root.page_checksum ^= 1;
    assert_problem(tree_find_problems(&store, &root), "the root page is not the one of the root");
    tree_close(&store);
}

/* The state of an older epoch over pages of newer ones: all that is reached is from the future. */
static void test_check__ends_and_reports_when_every_page_is_from_the_future(void **state) {
    tree_store store;
    uint64_t problems = 0;

    (void)state;
    check_open(&store);
    htt_root root = store.root;
    htt_view view = tree_reader(&store, &root);
    view.snapshot.epoch = view.snapshot.committed = 0;
    assert_int_equal(htt_tree_check(&view, store.env, &root, true, NULL, NULL, &problems), HTT_OK);
    assert_true(problems > 0);
    htt_pins_drop(store.pages, &store.pins);
    tree_close(&store);
}

static void test_check__finds_leaked_pages(void **state) {
    tree_store store;
    char text[80];

    (void)state;
    check_open(&store);
    uint8_t *page = tree_take_page(&store, store.root.free_head);
    uint32_t count = htt_page_count(page);
    assert_true(count >= 2);
    htt_free_run run = htt_free_entry(page, count - 1);
    le16_put(page + HTT_PAGE_COUNT, (uint16_t)(count - 1));
    memset(page + HTT_FREE_ENTRIES + HTT_FREE_ENTRY_SIZE * (count - 1), 0, HTT_FREE_ENTRY_SIZE);
    tree_give_page(&store, store.root.free_head, page);
    htt_root root = store.root;
    root.free_pages -= run.pages;
    tree_problems problems = tree_find_problems(&store, &root);
    assert_int_equal(problems.count, run.pages);
    (void)snprintf(text, sizeof text, "page %u is neither used nor free", run.first);
    assert_problem(problems, text);
    tree_close(&store);
}

static void test_check__finds_a_page_that_is_used_and_free(void **state) {
    tree_store store;

    (void)state;
    check_open(&store);
    uint8_t *page = tree_take_page(&store, store.root.free_head);
    le32_put(page + HTT_FREE_ENTRIES, tree_path(&store, 1).leaf.page);
    le32_put(page + HTT_FREE_ENTRIES + 4, 1);
    tree_give_page(&store, store.root.free_head, page);
    CHECK_EXPECT(&store, "is used twice, now by the free list");
}

static void test_check__finds_a_run_that_two_rows_use(void **state) {
    tree_store store;
    htt_tree_row one, two;
    const uint8_t *bytes;

    (void)state;
    check_open(&store);
    assert_tree(&store, htt_tree_find(&store.view, &store.tree.root, tree_key(&store, 1), &one));
    assert_tree(&store, htt_tree_find(&store.view, &store.tree.root, tree_key(&store, 151), &two));
    assert_int_equal(one.record.value_size, two.record.value_size);
    assert_tree(&store, htt_view_page(&store.view, two.page, &bytes));
    uint8_t *page = tree_take_page(&store, two.page);
    memcpy(page + (two.record.value - bytes), one.record.value, one.record.value_size);
    tree_give_page(&store, two.page, page);
    CHECK_EXPECT(&store, "is used twice, now by an overflow run");
}

static void test_check__finds_a_run_of_another_length(void **state) {
    tree_store store;
    htt_tree_row row;
    const uint8_t *bytes;

    (void)state;
    check_open(&store);
    assert_tree(&store, htt_tree_find(&store.view, &store.tree.root, tree_key(&store, 1), &row));
    assert_tree(&store, htt_view_page(&store.view, row.page, &bytes));
    uint8_t *page = tree_take_page(&store, row.page);
    page[row.record.value - bytes] ^= 1; /* the lowest bit of the value's size */
    tree_give_page(&store, row.page, page);
    CHECK_EXPECT(&store, "overflow runs hold 9000 bytes where the record says 9001");
}

static void test_check__finds_a_damaged_run_when_deep(void **state) {
    tree_store store;
    htt_tree_row row;
    htt_overflow overflow;
    uint64_t problems = 0;
    uint8_t byte = 0xEE;

    (void)state;
    check_open(&store);
    assert_tree(&store, htt_tree_find(&store.view, &store.tree.root, tree_key(&store, 1), &row));
    assert_tree(&store, htt_tree_overflow(&store.view, &row.record, &overflow));
    assert_int_equal(store.env->write(store.env->context, store.file, &byte, 1,
                                      (uint64_t)overflow.runs[0].first * TREE_PAGE + 5000),
                     0);
    htt_pages_forget_all(store.pages);
    htt_view view = tree_reader(&store, &store.root);
    assert_tree(&store,
                htt_tree_check(&view, store.env, &store.root, false, NULL, NULL, &problems));
    assert_int_equal(problems, 0);
    CHECK_EXPECT(&store, "checksum");
}

static void test_check__finds_a_free_list_that_goes_round(void **state) {
    tree_store store;
    char text[80];

    (void)state;
    check_open(&store);
    uint32_t head = store.root.free_head, second = 0;
    uint8_t *page = tree_take_page(&store, head);
    for (uint32_t i = 0; i < htt_page_count(page) && second == 0; i++) {
        htt_free_run run = htt_free_entry(page, i);
        if (run.pages < 2)
            continue;
        second = run.first + run.pages - 1; /* becomes a page of the list itself */
        le32_put(page + HTT_FREE_ENTRIES + HTT_FREE_ENTRY_SIZE * i + 4, run.pages - 1);
    }
    assert_int_not_equal(second, 0);
    le32_put(page + HTT_FREE_NEXT, second);
    le64_put(page + HTT_FREE_OLDEST, 0);
    tree_give_page(&store, head, page);
    page = page_alloc(TREE_PAGE);
    htt_free_init(page, TREE_PAGE, head, 0);
    le64_put(page + HTT_PAGE_STAMP, store.root.self.epoch);
    tree_give_page(&store, second, page);
    tree_problems problems = tree_find_problems(&store, &store.root);
    assert_int_equal(problems.count, 1);
    (void)snprintf(text, sizeof text, "page %u is used twice, now by the free list", head);
    assert_problem(problems, text);
    tree_close(&store);
}

static void test_check__finds_a_free_list_that_leads_elsewhere(void **state) {
    tree_store store;

    (void)state;
    check_open(&store);
    htt_root root = store.root;
    root.free_head = root.page_count; /* outside */
    assert_problem(tree_find_problems(&store, &root), "outside of the store");
    root.free_head = root.page; /* the tree */
    assert_problem(tree_find_problems(&store, &root), "is used twice, now by the free list");
    tree_close(&store);
}

static void test_check__finds_a_repeated_salt(void **state) { /* TREE-2 */
    tree_store store;
    uint8_t *node;

    (void)state;
    check_open(&store);
    htt_path path = check_deep_path(&store, 1);
    uint8_t *page = check_take_node(&store, &path.steps[1], &node);
    node[0] = htt_node_salt(path.steps[0].node);
    tree_give_page(&store, path.steps[1].page, page);
    CHECK_EXPECT(&store, "occurs twice on a path");
}

static void test_check__finds_an_index_page_of_two_parents(void **state) { /* TREE-3 */
    tree_store store;
    uint8_t *node;

    (void)state;
    check_open(&store);
    htt_path path = check_deep_path(&store, 1);
    uint8_t *page = check_take_node(&store, &path.steps[1], &node);
    /* A node below names a sibling of itself. */
    htt_node_set_child(node, 0, (htt_ref){path.steps[1].page, path.steps[1].sub});
    tree_give_page(&store, path.steps[1].page, page);
    CHECK_EXPECT(&store, "is used twice, now by the index");
}

static void test_check__finds_sub_pages_used_twice_or_never(void **state) { /* TREE-3 */
    tree_store store;
    uint8_t *node;

    (void)state;
    check_open(&store);
    htt_path path = check_deep_path(&store, 1);
    uint32_t there = htt_page_count(path.steps[1].bytes);
    uint8_t *page = check_take_node(&store, &path.steps[0], &node);
    htt_node_set_child(node, path.steps[0].child, (htt_ref){0, 0});
    tree_give_page(&store, path.steps[0].page, page);
    tree_problems problems = tree_find_problems(&store, &store.root);
    if (there > 1)
        assert_problem(problems, "sub-pages are used where");
    assert_true(problems.count > 0);
    page = check_take_node(&store, &path.steps[0], &node);
    htt_ref ref = {path.steps[1].page, path.steps[1].sub};
    htt_node_set_child(node, path.steps[0].child, ref);
    htt_node_set_child(node, path.steps[0].child == 0 ? 1 : path.steps[0].child - 1, ref);
    tree_give_page(&store, path.steps[0].page, page);
    problems = tree_find_problems(&store, &store.root);
    assert_problem(problems, "is used twice");
    assert_problem(problems, "sub-page");
    tree_close(&store);
}

static void test_check__goes_on_behind_unreadable_pages(void **state) {
    tree_store store;
    uint8_t byte = 0xEE;
    char text[80];

    (void)state;
    check_open(&store);
    uint32_t numbers[2] = {tree_path(&store, 1).leaf.page, tree_path(&store, 2).leaf.page};
    assert_int_not_equal(numbers[0], numbers[1]);
    htt_pins_drop(store.pages, &store.pins);
    for (uint32_t i = 0; i < 2; i++)
        assert_int_equal(store.env->write(store.env->context, store.file, &byte, 1,
                                          (uint64_t)numbers[i] * TREE_PAGE + 100),
                         0);
    htt_pages_forget_all(store.pages);
    tree_problems problems = tree_find_problems(&store, &store.root);
    assert_int_equal(problems.count, 2); /* and not every page that was not reached */
    for (uint32_t i = 0; i < 2; i++) {
        (void)snprintf(text, sizeof text, "page %u:", numbers[i]);
        assert_problem(problems, text);
    }
    tree_close(&store);
}

static int check_stop(void *arg, uint32_t page, const char *problem) {
    (void)page;
    (void)problem;
    ++*(uint32_t *)arg;
    return 1;
}

static void test_check__stops_when_the_report_says_so(void **state) {
    tree_store store;
    uint32_t calls = 0;
    uint64_t problems = 0;

    (void)state;
    check_open(&store);
    htt_view view = tree_reader(&store, &store.root);
    htt_root root = store.root;
    root.keys++;
    root.bytes++;
    root.free_pages++;
    assert_tree(&store,
                htt_tree_check(&view, store.env, &root, true, check_stop, &calls, &problems));
    assert_int_equal(calls, 1);
    assert_int_equal(problems, 1);
    tree_close(&store);
}

static void test_check__fails_cleanly_without_memory(void **state) {
    tree_store store;
    uint64_t problems = 77, n = 1;

    (void)state;
    check_open(&store);
    for (htt_rc rc = HTT_NOMEM; rc != HTT_OK; n += n < 20 ? 1 : 97) {
        htt_view view = tree_reader(&store, &store.root);
        htt_pages_forget_all(store.pages);
        fault_env_arm(store.fault, &(fault_plan){.kinds = FAULT_MEMORY, .nth = n});
        rc = htt_tree_check(&view, store.env, &store.root, true, NULL, NULL, &problems);
        fault_env_disarm(store.fault);
        htt_pins_drop(store.pages, &store.pins);
        assert_true(rc == HTT_OK || rc == HTT_NOMEM);
        assert_int_equal(problems, rc == HTT_OK ? 0 : 77);
    }
    assert_true(n > 5);
    tree_close(&store);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_check__finds_rows_in_each_others_pages),
        cmocka_unit_test(test_check__finds_a_wrong_fingerprint),
        cmocka_unit_test(test_check__finds_bytes_that_no_encoder_writes),
        cmocka_unit_test(test_check__finds_an_external_key_with_another_hash),
        cmocka_unit_test(test_check__finds_wrong_counts),
        cmocka_unit_test(test_check__finds_a_root_page_that_is_not_the_roots),
        cmocka_unit_test(test_check__ends_and_reports_when_every_page_is_from_the_future),
        cmocka_unit_test(test_check__finds_leaked_pages),
        cmocka_unit_test(test_check__finds_a_page_that_is_used_and_free),
        cmocka_unit_test(test_check__finds_a_run_that_two_rows_use),
        cmocka_unit_test(test_check__finds_a_run_of_another_length),
        cmocka_unit_test(test_check__finds_a_damaged_run_when_deep),
        cmocka_unit_test(test_check__finds_a_free_list_that_goes_round),
        cmocka_unit_test(test_check__finds_a_free_list_that_leads_elsewhere),
        cmocka_unit_test(test_check__finds_a_repeated_salt),
        cmocka_unit_test(test_check__finds_an_index_page_of_two_parents),
        cmocka_unit_test(test_check__finds_sub_pages_used_twice_or_never),
        cmocka_unit_test(test_check__goes_on_behind_unreadable_pages),
        cmocka_unit_test(test_check__stops_when_the_report_says_so),
        cmocka_unit_test(test_check__fails_cleanly_without_memory),
    };
    return cmocka_run_group_tests_name("tree_check", tests, NULL, NULL);
}
