/* SPDX-License-Identifier: MIT */
/* Cached mode: what stays, what goes, and what is found. */
#include "pager_support.h"

#include "pager/pages_internal.h"

enum { PAGES = 40, BUDGET_PAGES = 8 };

static void open_store(pager_store *store, uint64_t pages) {
    pager_store_open(store, false, pages * (PAGER_PAGE + sizeof(htt_cache_frame)));
    for (uint32_t i = 0; i < PAGES; i++)
        pager_store_put_page(store, 2 + i, 1, i);
}

static const uint8_t *get(pager_store *store, htt_pins *pins, uint32_t number) {
    htt_snapshot snapshot = pager_store_snapshot(store);
    const uint8_t *page = NULL;
    htt_error error;

    assert_ok(htt_pages_get(store->pages, pins, &snapshot, number, &page, &error), error);
    return page;
}

static uint64_t reads_of(pager_store *store, uint32_t number) {
    htt_pins pins = {NULL, 0, 0};

    fault_env_arm(store->fault, &(fault_plan){0});
    (void)get(store, &pins, number);
    htt_pins_free(store->pages, &pins);
    return fault_env_calls(store->fault, FAULT_READ);
}

static void test_cache__a_page_is_read_once(void **state) {
    pager_store store;

    (void)state;
    open_store(&store, BUDGET_PAGES);
    assert_int_equal(reads_of(&store, 5), 1);
    assert_int_equal(reads_of(&store, 5), 0);
    htt_pages_forget(store.pages, 6, 10);
    assert_int_equal(reads_of(&store, 5), 0);
    htt_pages_forget(store.pages, 4, 2);
    assert_int_equal(reads_of(&store, 5), 1);
    htt_pages_forget_all(store.pages);
    assert_int_equal(reads_of(&store, 5), 1);
    pager_store_close(&store);
}

static void test_cache__the_least_recently_used_go_first(void **state) {
    pager_store store;

    (void)state;
    open_store(&store, BUDGET_PAGES);
    for (uint32_t i = 0; i < BUDGET_PAGES; i++)
        assert_int_equal(reads_of(&store, 2 + i), 1);
    assert_int_equal(reads_of(&store, 2), 0);
    assert_int_equal(reads_of(&store, 20), 1); /* instead of page 3 */
    assert_int_equal(reads_of(&store, 2), 0);
    assert_int_equal(reads_of(&store, 4), 0);
    assert_int_equal(reads_of(&store, 3), 1);
    assert_true(store.pages->cache.bytes <= store.pages->cache.budget);
    pager_store_close(&store);
}

static void test_cache__pinned_pages_stay_whatever_the_budget_is(void **state) {
    pager_store store;
    htt_pins pins = {NULL, 0, 0};
    const uint8_t *pages[PAGES];

    (void)state;
    open_store(&store, 0);
    for (uint32_t round = 0; round < 2; round++) {
        for (uint32_t i = 0; i < PAGES; i++)
            pages[i] = get(&store, &pins, 2 + i);
        for (uint32_t i = 0; i < PAGES; i++)
            assert_int_equal(pager_content(pages[i]), i);
    }
    assert_int_equal(store.pages->cache.frame_count, PAGES);
    htt_pins_drop(store.pages, &pins);
    assert_int_equal(store.pages->cache.frame_count, 0);
    assert_true(pins.capacity > 0);
    htt_pins_free(store.pages, &pins);
    pager_store_close(&store);
}

static void test_cache__a_pinned_page_that_was_forgotten_is_good_but_not_found(void **state) {
    pager_store store;
    htt_pins pins = {NULL, 0, 0};
    htt_pins others = {NULL, 0, 0};
    const uint8_t *before;
    const uint8_t *after;

    (void)state;
    open_store(&store, BUDGET_PAGES);
    before = get(&store, &pins, 7);
    assert_ptr_equal(get(&store, &others, 7), before);
    pager_store_put_page(&store, 7, 1, 777);
    htt_pages_forget(store.pages, 7, 1);
    after = get(&store, &others, 7);
    assert_int_equal(pager_content(before), 5);
    assert_int_equal(pager_content(after), 777);
    htt_pins_free(store.pages, &others);
    assert_int_equal(pager_content(before), 5);
    htt_pins_free(store.pages, &pins);
    assert_int_equal(reads_of(&store, 7), 0);
    pager_store_close(&store);
}

static void test_cache__pages_of_a_transaction_at_work_are_not_kept(void **state) {
    pager_store store;
    htt_pins pins = {NULL, 0, 0};
    htt_snapshot snapshot;
    const uint8_t *page;
    htt_error error;

    (void)state;
    open_store(&store, BUDGET_PAGES);
    pager_store_put_page(&store, 9, 2, 9);
    snapshot = pager_store_snapshot(&store);
    snapshot.epoch = 2;
    assert_ok(htt_pages_get(store.pages, &pins, &snapshot, 9, &page, &error), error);
    assert_int_equal(store.pages->cache.frame_count, 0);
    htt_pins_free(store.pages, &pins);
    pager_store_close(&store);
}

/* The env's read, and then another thread's write of page 7. */
static const htt_env *hook_inner;
static pager_store *hook_store;

static int hook_read(void *context, htt_file *file, void *buffer, size_t size, uint64_t offset,
                     size_t *read_out) {
    int failure = hook_inner->read(context, file, buffer, size, offset, read_out);

    pager_store_put_page(hook_store, 7, 1, 777);
    htt_pages_forget(hook_store->pages, 7, 1);
    return failure;
}

static void test_cache__a_page_that_changed_while_it_was_read_is_not_found(void **state) {
    pager_store store;
    htt_pins pins = {NULL, 0, 0};
    htt_env env;
    const htt_env *inner;

    (void)state;
    open_store(&store, BUDGET_PAGES);
    inner = store.env;
    env = *inner;
    env.read = hook_read;
    hook_inner = inner;
    hook_store = &store;
    store.env = &env;
    pager_store_reopen(&store, false, 1 << 20);
    store.env = inner;
    assert_int_equal(pager_content(get(&store, &pins, 7)), 5);
    htt_pins_drop(store.pages, &pins);
    assert_int_equal(pager_content(get(&store, &pins, 7)), 777);
    htt_pins_free(store.pages, &pins);
    htt_pages_close(store.pages); /* before its env is gone */
    store.pages = NULL;
    pager_store_close(&store);
}

static void test_cache__works_without_memory_for_its_table(void **state) {
    pager_store store;

    (void)state;
    open_store(&store, BUDGET_PAGES);
    for (uint64_t nth = 1; nth <= 3; nth++) {
        htt_pins pins = {NULL, 0, 0};
        htt_snapshot snapshot = pager_store_snapshot(&store);
        const uint8_t *page;
        htt_error error;
        fault_env_arm(store.fault, &(fault_plan){.kinds = FAULT_MEMORY, .nth = nth});
        htt_rc rc = htt_pages_get(store.pages, &pins, &snapshot, 3, &page, &error);
        assert_int_equal(rc, nth < 3 ? HTT_NOMEM : HTT_OK); /* pins, frame, table */
        assert_int_equal(fault_env_failures(store.fault), 1);
        fault_env_disarm(store.fault);
        htt_pins_free(store.pages, &pins);
    }
    assert_int_equal(store.pages->cache.frame_count, 0);
    assert_int_equal(reads_of(&store, 3), 1);
    assert_int_equal(reads_of(&store, 3), 0);
    pager_store_close(&store);
}

static void test_cache__many_pages_are_found(void **state) {
    pager_store store;
    const uint32_t count = 1000; /* more than there are buckets at first */

    (void)state;
    pager_store_open(&store, false, UINT64_C(1) << 30);
    for (uint32_t i = 0; i < count; i++)
        pager_store_put_page(&store, 2 + i, 1, i);
    for (uint32_t i = 0; i < count; i++)
        assert_int_equal(reads_of(&store, 2 + i), 1);
    for (uint32_t i = 0; i < count; i++)
        assert_int_equal(reads_of(&store, 2 + i), 0);
    assert_int_equal(store.pages->cache.frame_count, count);
    pager_store_close(&store);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cache__a_page_is_read_once),
        cmocka_unit_test(test_cache__the_least_recently_used_go_first),
        cmocka_unit_test(test_cache__pinned_pages_stay_whatever_the_budget_is),
        cmocka_unit_test(test_cache__a_pinned_page_that_was_forgotten_is_good_but_not_found),
        cmocka_unit_test(test_cache__pages_of_a_transaction_at_work_are_not_kept),
        cmocka_unit_test(test_cache__a_page_that_changed_while_it_was_read_is_not_found),
        cmocka_unit_test(test_cache__works_without_memory_for_its_table),
        cmocka_unit_test(test_cache__many_pages_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
