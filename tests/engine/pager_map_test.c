/* SPDX-License-Identifier: MIT */
/* Mapped mode: growth of the mapping, pointers that stay good, and what is remembered. */
#include "pager_support.h"

#include <errno.h>

#include "pager/pages_internal.h"

static const uint8_t *get(pager_store *store, uint32_t number) {
    htt_snapshot snapshot = pager_store_snapshot(store);
    htt_pins pins = {NULL, 0, 0};
    const uint8_t *page = NULL;
    htt_error error;

    assert_ok(htt_pages_get(store->pages, &pins, &snapshot, number, &page, &error), error);
    assert_int_equal(pins.count, 0);
    assert_null(pins.items);
    return page;
}

static void test_map__the_file_may_outgrow_the_mapping(void **state) {
    pager_store store;
    htt_snapshot snapshot;
    const uint8_t *first;
    const htt_pages_map *map;
    uint32_t far;

    (void)state;
    pager_store_open(&store, true, 0);
    pager_store_put_page(&store, 2, 1, 22);
    first = get(&store, 2);
    map = atomic_load(&store.pages->front.map);
    far = map->page_count + 5;
    pager_store_put_page(&store, far, 1, 33);
    snapshot = pager_store_snapshot(&store);
    assert_null(htt_pages_peek(store.pages, &snapshot, far));
    assert_int_equal(pager_content(get(&store, far)), 33);
    assert_ptr_not_equal(map, atomic_load(&store.pages->front.map));
    assert_int_equal(pager_content(first), 22); /* an old pointer */
    assert_ptr_not_equal(get(&store, 2), first);
    /* What was verified in the old mapping is so in the new one. */
    assert_non_null(htt_pages_peek(store.pages, &snapshot, 2));
    assert_non_null(htt_pages_peek(store.pages, &snapshot, far));
    pager_store_close(&store);
}

static void test_map__peek_gives_what_is_verified_and_no_more(void **state) {
    pager_store store;
    htt_snapshot snapshot;
    htt_snapshot old;

    (void)state;
    pager_store_open(&store, true, 0);
    for (uint32_t i = 2; i < 6; i++)
        pager_store_put_page(&store, i, i, i);
    store.root.self.epoch = 10;
    snapshot = pager_store_snapshot(&store);
    assert_null(htt_pages_peek(store.pages, &snapshot, 3));
    const uint8_t *page = get(&store, 3);
    assert_ptr_equal(htt_pages_peek(store.pages, &snapshot, 3), page);
    assert_null(htt_pages_peek(store.pages, &snapshot, 4));
    assert_null(htt_pages_peek(store.pages, &snapshot, 1000000));
    old = snapshot;
    old.epoch = 2;
    assert_null(htt_pages_peek(store.pages, &old, 3));
    old = snapshot;
    old.page_count = 3;
    assert_null(htt_pages_peek(store.pages, &old, 3));
    pager_store_put_page(&store, 3, 9, 99);
    assert_null(htt_pages_peek(store.pages, &snapshot, 3));
    assert_int_equal(pager_content(get(&store, 3)), 99);
    assert_non_null(htt_pages_peek(store.pages, &snapshot, 3));
    pager_store_close(&store);
}

static void test_map__a_stamp_of_32_zero_bits_is_never_remembered(void **state) {
    pager_store store;
    htt_snapshot snapshot;

    (void)state;
    pager_store_open(&store, true, 0);
    pager_store_put_page(&store, 2, UINT64_C(5) << 32, 2);
    store.root.self.epoch = UINT64_C(6) << 32;
    snapshot = pager_store_snapshot(&store);
    assert_int_equal(pager_content(get(&store, 2)), 2);
    assert_null(htt_pages_peek(store.pages, &snapshot, 2));
    assert_int_equal(pager_content(get(&store, 2)), 2);
    pager_store_close(&store);
}

static void test_map__reads_also_without_memory_for_what_it_remembers(void **state) {
    pager_store store;
    htt_snapshot snapshot;

    (void)state;
    pager_store_open(&store, true, 0);
    pager_store_put_page(&store, 2, 1, 2);
    snapshot = pager_store_snapshot(&store);
    /* The mapping and its chunk pointers are the first two pieces. */
    fault_env_arm(store.fault,
                  &(fault_plan){.kinds = FAULT_MEMORY, .nth = 3, .persistent = true});
    assert_int_equal(pager_content(get(&store, 2)), 2);
    assert_true(fault_env_failures(store.fault) > 0);
    assert_null(htt_pages_peek(store.pages, &snapshot, 2));
    fault_env_disarm(store.fault);
    assert_int_equal(pager_content(get(&store, 2)), 2);
    assert_non_null(htt_pages_peek(store.pages, &snapshot, 2));
    pager_store_close(&store);
}

static void test_map__a_smaller_mapping_does_when_a_large_one_is_refused(void **state) {
    pager_store store;

    (void)state;
    pager_store_open(&store, true, 0);
    pager_store_put_page(&store, 2, 1, 2);
    fault_env_arm(store.fault, &(fault_plan){.kinds = FAULT_MAP, .nth = 1, .error = ENOMEM});
    assert_int_equal(pager_content(get(&store, 2)), 2);
    assert_int_equal(fault_env_failures(store.fault), 1);
    pager_store_close(&store);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_map__the_file_may_outgrow_the_mapping),
        cmocka_unit_test(test_map__peek_gives_what_is_verified_and_no_more),
        cmocka_unit_test(test_map__a_stamp_of_32_zero_bits_is_never_remembered),
        cmocka_unit_test(test_map__reads_also_without_memory_for_what_it_remembers),
        cmocka_unit_test(test_map__a_smaller_mapping_does_when_a_large_one_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
