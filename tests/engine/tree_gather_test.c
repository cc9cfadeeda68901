/* SPDX-License-Identifier: MIT */
/* Collecting records and dealing them out: order, sizes, borders, failures. */
#include "tree_support.h"

static void gather_open(tree_store *store, uint32_t (*mix_of)(uint32_t id)) {
    tree_open(store, TREE_PAGE, true);
    store->hash = tree_hash_slot;
    store->keys = TREE_KEYS_SLOT;
    store->mix_of = mix_of;
    tree_abort(store);
}

/* The one data page of the store, gathered under salt 0 and 64 slots, with a need for row `id`. */
static htt_rc gather_root(tree_store *store, uint32_t id, uint32_t size, uint32_t first_slot,
                          uint32_t end_slot) {
    htt_ref page = {store->tree.root.page, 0};
    htt_need need = {htt_path_hash(&store->view, tree_key(store, id)), size};

    return htt_gather(&store->tree, &page, 1, &need, 0, 6, first_slot, end_slot);
}

static void test_gather__sorts_records_by_slot_with_the_need_among_them(void **state) {
    tree_store store;
    uint64_t bytes = 0;

    (void)state;
    gather_open(&store, tree_mix_even);
    for (uint32_t id = 0; id < 20; id++)
        tree_must_put(&store, id, id * 5);
    assert_tree(&store, gather_root(&store, 99, 77, 0, 64));
    const htt_tree_scratch *scratch = store.tree.scratch;
    assert_int_equal(scratch->count, 21);
    uint32_t needs = 0;
    for (uint32_t i = 0; i < scratch->count; i++) {
        const htt_item *item = &scratch->sorted[i];
        assert_true(i == 0 || scratch->sorted[i - 1].slot <= item->slot);
        bytes += item->size;
        if (item->bytes == NULL) {
            assert_int_equal(item->size, 77);
            assert_int_equal(item->slot, tree_mix_even(99) >> 26);
            needs++;
        }
    }
    assert_int_equal(needs, 1);
    assert_int_equal(scratch->bytes, bytes);
    assert_int_equal(bytes, tree_look(&store).used + 77);
    assert_int_equal(scratch->alike, 77);
    tree_close(&store);
}

static void test_gather__counts_what_shares_the_whole_hash(void **state) {
    tree_store store;

    (void)state;
    gather_open(&store, tree_mix_even);
    for (uint32_t id = 0; id < 20; id++)
        tree_must_put(&store, id, 100);
    assert_tree(&store, gather_root(&store, 7, 50, 0, 64)); /* row 7 shall grow by 50 */
    assert_int_equal(store.tree.scratch->alike, 50 + 1 + 1 + 8 + 100 + HTT_DATA_SLOT_SIZE);
    tree_close(&store);
}

static void test_gather__finds_records_that_are_in_the_wrong_page(void **state) {
    tree_store store;

    (void)state;
    gather_open(&store, tree_mix_eight); /* slots 0, 8, 16 ... 56 */
    for (uint32_t id = 0; id < 8; id++)
        tree_must_put(&store, id, 100);
    assert_int_equal(gather_root(&store, 0, 50, 0, 56), HTT_CORRUPT);
    assert_int_equal(store.error.page, store.tree.root.page);
    assert_non_null(strstr(store.error.text, "record 7 belongs to another page"));
    assert_tree(&store, gather_root(&store, 0, 50, 0, 57));
    tree_close(&store);
}

static void test_gather__fails_cleanly_without_memory(void **state) {
    (void)state;
    for (uint64_t n = 1; n < 10; n++) {
        tree_store store;
        gather_open(&store, tree_mix_even);
        for (uint32_t id = 0; id < 20; id++)
            tree_must_put(&store, id, 100);
        fault_env_arm(store.fault, &(fault_plan){.kinds = FAULT_MEMORY, .nth = n});
        htt_rc rc = gather_root(&store, 7, 50, 0, 64);
        fault_env_disarm(store.fault);
        assert_true(n <= 4 ? rc == HTT_NOMEM : rc == HTT_OK);
        assert_tree(&store, gather_root(&store, 7, 50, 0, 64));
        assert_int_equal(store.tree.scratch->count, 21);
        tree_close(&store);
        if (rc == HTT_OK)
            break;
    }
}

static void test_deal__cuts_at_slots_into_about_equal_pages(void **state) {
    tree_store store;

    (void)state;
    gather_open(&store, tree_mix_even);
    for (uint32_t id = 0; id < 30; id++)
        tree_must_put(&store, id, 100);
    for (uint32_t pages = 1; pages <= 8; pages++) {
        htt_ref refs[8];
        assert_tree(&store, gather_root(&store, 99, 100, 0, 64));
        assert_true(htt_deal_plan(&store.tree, pages, 0, 0));
        const htt_deal *deal = &store.tree.scratch->deal;
        assert_int_equal(deal->count, pages);
        assert_int_equal(deal->starts[0], 0);
        assert_int_equal(deal->ends[pages - 1], 31);
        for (uint32_t p = 1; p < pages; p++) {
            const htt_item *first = &store.tree.scratch->sorted[deal->ends[p - 1]];
            assert_int_equal(deal->starts[p], first->slot);
            assert_true(first[-1].slot < first->slot); /* TREE-1: a slot is in one page */
            uint32_t rows = deal->ends[p] - deal->ends[p - 1];
            assert_true(rows + 3 >= 31 / pages && rows <= 31 / pages + 4);
        }
        assert_tree(&store, htt_tree_reserve(&store.tree));
        assert_tree(&store, htt_deal_out(&store.tree, refs));
        uint32_t rows = 0;
        for (uint32_t p = 0; p < pages; p++) {
            const uint8_t *page;
            htt_fault fault;
            assert_tree(&store, htt_view_page(&store.view, refs[p].page, &page));
            assert_true(htt_data_check(page, TREE_PAGE, true, &fault));
            rows += htt_page_count(page);
        }
        assert_int_equal(rows, 30);
        htt_deal_undo(&store.tree, refs, pages);
        tree_check(&store); /* no page is left behind */
    }
    tree_close(&store);
}

static void test_deal__gives_no_page_to_a_need_alone(void **state) {
    tree_store store;
    htt_ref refs[2];

    (void)state;
    gather_open(&store, tree_mix_even);
    tree_must_put(&store, 0, 1990);                           /* slot 0 */
    tree_must_put(&store, 1, 1990);                           /* slot 39 */
    assert_tree(&store, gather_root(&store, 3, 2036, 0, 64)); /* slot 54 */
    assert_true(htt_deal_plan(&store.tree, 2, 0, 0));
    assert_tree(&store, htt_tree_reserve(&store.tree));
    assert_tree(&store, htt_deal_out(&store.tree, refs));
    assert_true(refs[0].page != 0);
    assert_int_equal(refs[1].page, 0);
    assert_int_equal(refs[1].sub, 0);
    htt_deal_undo(&store.tree, refs, 2);
    tree_check(&store);
    tree_close(&store);
}

static void test_deal__says_when_records_do_not_fit_or_share_a_slot(void **state) {
    tree_store store;

    (void)state;
    gather_open(&store, tree_mix_eight);
    for (uint32_t id = 0; id < 8; id++)
        tree_must_put(&store, id, 450);
    assert_tree(&store, gather_root(&store, 8, 500, 0, 64));
    assert_false(htt_deal_plan(&store.tree, 1, 0, 0)); /* too much for a page */
    assert_true(htt_deal_plan(&store.tree, 2, 0, 0));
    tree_close(&store);
    gather_open(&store, tree_mix_zero);
    for (uint32_t id = 0; id < 8; id++)
        tree_must_put(&store, id, 450);
    assert_tree(&store, gather_root(&store, 8, 500, 0, 64));
    for (uint32_t pages = 1; pages < 8; pages++)
        assert_false(htt_deal_plan(&store.tree, pages, 0, 0)); /* one slot is one page */
    tree_close(&store);
}

static uint32_t gather_mix_in_order(uint32_t id) {
    return id << 26; /* slot `id` of 64 */
}

/* A large record, a small one, a large one ...: no page takes two large ones. */
static void test_deal__takes_twice_the_pages_where_records_half_fill_them(void **state) {
    enum { PAIRS = 10 };
    tree_store store;
    htt_ref pages[64];
    uint32_t count = 0;

    (void)state;
    gather_open(&store, gather_mix_in_order);
    for (uint32_t id = 0; id < 2 * PAIRS; id++)
        tree_must_put(&store, id, id % 2 == 0 ? 2020 : 20);
    htt_path path = tree_path(&store, 0);
    assert_int_equal(path.depth, 1);
    for (uint32_t i = 0; i < htt_node_count(path.steps[0].node); i++)
        pages[count++] = htt_node_child(path.steps[0].node, i);
    htt_need need = {htt_path_hash(&store.view, tree_key(&store, 50)), 30};
    assert_tree(&store, htt_gather(&store.tree, pages, count, &need, 0, 6, 0, 64));
    uint32_t fill = (uint32_t)(store.tree.scratch->bytes / (TREE_PAGE - HTT_PAGE_HEADER_SIZE)) + 1;
    assert_int_equal(fill, 6);
    assert_false(htt_deal_plan(&store.tree, fill, 3, 0));
    assert_true(htt_deal_plan(&store.tree, fill, fill, 0));
    assert_int_equal(store.tree.scratch->deal.count, PAIRS);
    assert_int_equal(store.tree.scratch->deal.ends[PAIRS - 1], 2 * PAIRS + 1);
    tree_close(&store);
}

/* Without a page number for the last page, the ones before it are given back. */
static void test_deal_out__gives_back_its_pages_when_it_fails(void **state) {
    tree_store store;
    htt_ref refs[8];

    (void)state;
    gather_open(&store, tree_mix_even);
    for (uint32_t id = 0; id < 30; id++)
        tree_must_put(&store, id, 100);
    tree_commit(&store);
    for (uint32_t left = 0; left < 8; left++) {
        htt_root base = store.root;
        base.page_count = HTT_PAGE_NUMBER_MAX - left;
        base.free_head = base.free_pages = 0;
        tree_end(&store);
        tree_begin(&store, &base);
        assert_tree(&store, gather_root(&store, 99, 100, 0, 64));
        assert_true(htt_deal_plan(&store.tree, 8, 0, 0));
        assert_tree(&store, htt_tree_reserve(&store.tree));
        assert_int_equal(htt_deal_out(&store.tree, refs), HTT_FULL);
        /* All of them can be had again. */
        for (uint32_t i = 0; i <= left; i++) {
            uint32_t number;
            uint8_t *page;
            htt_rc rc = htt_writer_new(store.writer, &number, &page, &store.error);
            assert_int_equal(rc, i < left ? HTT_OK : HTT_FULL);
        }
        tree_compare(&store);
    }
    tree_close(&store);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gather__sorts_records_by_slot_with_the_need_among_them),
        cmocka_unit_test(test_gather__counts_what_shares_the_whole_hash),
        cmocka_unit_test(test_gather__finds_records_that_are_in_the_wrong_page),
        cmocka_unit_test(test_gather__fails_cleanly_without_memory),
        cmocka_unit_test(test_deal__cuts_at_slots_into_about_equal_pages),
        cmocka_unit_test(test_deal__gives_no_page_to_a_need_alone),
        cmocka_unit_test(test_deal__says_when_records_do_not_fit_or_share_a_slot),
        cmocka_unit_test(test_deal__takes_twice_the_pages_where_records_half_fill_them),
        cmocka_unit_test(test_deal_out__gives_back_its_pages_when_it_fails),
    };
    return cmocka_run_group_tests_name("tree_gather", tests, NULL, NULL);
}
