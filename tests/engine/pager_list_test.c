/* SPDX-License-Identifier: MIT */
/* Arrays that grow, their sort, and runs of page numbers. */
#include "pager_support.h"

#include "pager/writer_internal.h"

static bool is_less(const void *left, const void *right) {
    return *(const uint64_t *)left < *(const uint64_t *)right;
}

static void test_list__sorts_like_any_other_sort(void **state) {
    uint64_t seed = page_seed();

    (void)state;
    for (size_t count = 0; count < 300; count++) {
        uint64_t items[300];
        uint64_t sum = 0;
        for (size_t i = 0; i < count; i++) {
            items[i] = page_random_below(&seed, 100);
            sum += items[i] * items[i];
        }
        htt_list_sort(items, count, sizeof items[0], is_less);
        for (size_t i = 0; i < count; i++) {
            assert_true(i == 0 || items[i - 1] <= items[i]);
            sum -= items[i] * items[i];
        }
        assert_int_equal(sum, 0);
    }
}

static void test_list__joins_runs_that_touch_or_overlap(void **state) {
    htt_run_ref runs[] = {{20, 5}, {10, 2}, {12, 1}, {22, 1}, {24, 3}, {40, 1}, {40, 1}};

    (void)state;
    assert_int_equal(htt_runs_compact(runs, 7), 3);
    assert_int_equal(runs[0].first, 10);
    assert_int_equal(runs[0].pages, 3);
    assert_int_equal(runs[1].first, 20);
    assert_int_equal(runs[1].pages, 7);
    assert_int_equal(runs[2].first, 40);
    assert_int_equal(runs[2].pages, 1);
    assert_int_equal(htt_runs_compact(runs, 0), 0);
}

static void test_list__a_run_is_joined_to_the_last_one_but_not_below_the_begin(void **state) {
    htt_run_ref items[4];
    htt_list list = {items, 0, 4};

    (void)state;
    htt_runs_append(&list, 0, 10, 1);
    htt_runs_append(&list, 0, 11, 2);
    assert_int_equal(list.count, 1);
    assert_int_equal(items[0].pages, 3);
    htt_runs_append(&list, 1, 13, 1); /* the first belongs to somebody else */
    assert_int_equal(list.count, 2);
    htt_runs_append(&list, 1, 12, 1);
    assert_int_equal(list.count, 3);
}

static void test_list__grows_and_says_when_there_is_no_memory(void **state) {
    pager_store store;
    htt_writer *writer;
    htt_list list = {NULL, 0, 0};

    (void)state;
    pager_store_open(&store, true, 0);
    writer = pager_store_begin(&store, 1, 0);
    assert_true(htt_list_fit(writer, &list, 8, 3));
    assert_true(list.capacity >= 3);
    list.count = list.capacity;
    fault_env_arm(store.fault,
                  &(fault_plan){.kinds = FAULT_MEMORY, .nth = 1, .persistent = true});
    assert_false(htt_list_fit(writer, &list, 8, 1));
    assert_true(htt_list_fit(writer, &list, 8, 0));
    fault_env_disarm(store.fault);
    assert_true(htt_list_fit(writer, &list, 8, 1));
    assert_true(list.capacity > list.count);
    assert_false(htt_list_fit(writer, &list, 8, UINT64_C(1) << 33));
    htt_list_free(writer, &list);
    htt_writer_end(writer);
    pager_store_close(&store);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_list__sorts_like_any_other_sort),
        cmocka_unit_test(test_list__joins_runs_that_touch_or_overlap),
        cmocka_unit_test(test_list__a_run_is_joined_to_the_last_one_but_not_below_the_begin),
        cmocka_unit_test(test_list__grows_and_says_when_there_is_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
