/* SPDX-License-Identifier: MIT */
/* The table of frames against a plain array, and frames that are dropped. */
#include "pager_support.h"

#include "pager/writer_internal.h"

enum { NUMBERS = 500 };

static void test_frames__agree_with_an_array(void **state) {
    uint64_t seed = page_seed();
    pager_store store;
    htt_writer *writer;
    htt_frame *expected[NUMBERS] = {NULL};
    uint32_t count = 0;

    (void)state;
    pager_store_open(&store, true, 0);
    writer = pager_store_begin(&store, 1, 0);
    for (uint32_t i = 0; i < 20000; i++) {
        uint32_t at = page_random_below(&seed, NUMBERS);
        uint32_t number = 2 + at * 64; /* many of the same place */
        assert_ptr_equal(htt_frames_find(writer, number), expected[at]);
        if (expected[at] == NULL) {
            assert_true(htt_frames_fit(writer, 1));
            expected[at] = htt_frames_take(writer, number);
            count++;
        } else if (page_random_below(&seed, 3) > 0) {
            htt_frames_drop(writer, expected[at]);
            expected[at] = NULL;
            count--;
        }
        if (i % 100 == 0)
            htt_frames_recycle(writer);
        assert_int_equal(writer->frame_count, count);
    }
    for (uint32_t at = 0; at < NUMBERS; at++)
        assert_ptr_equal(htt_frames_find(writer, 2 + at * 64), expected[at]);
    htt_writer_end(writer);
    pager_store_close(&store);
}

static void test_frames__a_dropped_frame_keeps_its_bytes_until_the_next_reserve(void **state) {
    pager_store store;
    htt_writer *writer;
    htt_frame *first;
    htt_frame *second;

    (void)state;
    pager_store_open(&store, true, 0);
    writer = pager_store_begin(&store, 1, 0);
    assert_true(htt_frames_fit(writer, 2));
    first = htt_frames_take(writer, 5);
    memset(first->bytes, 0xAB, PAGER_PAGE);
    htt_frames_drop(writer, first);
    second = htt_frames_take(writer, 5);
    assert_ptr_not_equal(first, second);
    memset(second->bytes, 0xCD, PAGER_PAGE);
    assert_int_equal(first->bytes[0], 0xAB);
    htt_frames_recycle(writer);
    assert_ptr_equal(htt_frames_find(writer, 5), second);
    htt_writer_end(writer);
    pager_store_close(&store);
}

static void test_frames__runs_are_marked_and_dropped_whole(void **state) {
    pager_store store;
    htt_writer *writer;

    (void)state;
    pager_store_open(&store, true, 0);
    writer = pager_store_begin(&store, 1, 0);
    assert_true(htt_frames_fit(writer, 10));
    for (uint32_t i = 0; i < 10; i++)
        (void)htt_frames_take(writer, 10 + i);
    htt_frames_set_deferred(writer, 12, 3, true);
    htt_frames_set_deferred(writer, 18, 1000000, true); /* longer than there are frames */
    for (uint32_t i = 0; i < 10; i++) {
        bool deferred = (i >= 2 && i < 5) || i >= 8;
        assert_int_equal(htt_frames_find(writer, 10 + i)->deferred, deferred);
    }
    htt_frames_drop_pages(writer, 10, 2);
    htt_frames_drop_pages(writer, 15, 1000000);
    assert_int_equal(writer->frame_count, 3);
    htt_frames_drop_pages(writer, 12, 3);
    assert_int_equal(writer->frame_count, 0);
    assert_null(writer->hand);
    htt_writer_end(writer);
    pager_store_close(&store);
}

static void test_frames__no_memory_is_told_and_changes_nothing(void **state) {
    pager_store store;
    htt_writer *writer;

    (void)state;
    pager_store_open(&store, true, 0);
    writer = pager_store_begin(&store, 1, 0);
    for (uint32_t nth = 1; nth <= 2; nth++) {
        fault_env_arm(store.fault, &(fault_plan){.kinds = FAULT_MEMORY, .nth = nth});
        assert_false(htt_frames_fit(writer, 1000));
        assert_null(htt_frames_find(writer, 2));
    }
    fault_env_disarm(store.fault);
    assert_true(htt_frames_fit(writer, 1000));
    assert_true(writer->spare_count >= 1000);
    htt_writer_end(writer);
    pager_store_close(&store);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_frames__agree_with_an_array),
        cmocka_unit_test(test_frames__a_dropped_frame_keeps_its_bytes_until_the_next_reserve),
        cmocka_unit_test(test_frames__runs_are_marked_and_dropped_whole),
        cmocka_unit_test(test_frames__no_memory_is_told_and_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
