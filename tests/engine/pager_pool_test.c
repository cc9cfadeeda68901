/* SPDX-License-Identifier: MIT */
/* The pool against an array of bytes. */
#include "pager_support.h"

#include "pager/writer_internal.h"

enum { NUMBERS = 3 * (1 << HTT_POOL_CHUNK_BITS) + 100 };

static uint8_t expected[NUMBERS];

static void expect_equal(const htt_pool *pool) {
    htt_run_ref run = {0, 0};
    uint32_t at = 0;
    uint64_t pages = 0;

    while (htt_pool_next_run(pool, at, &run)) {
        for (; at < run.first; at++)
            assert_int_equal(expected[at], 0);
        for (; at < run.first + run.pages; at++, pages++)
            assert_int_equal(expected[at], 1);
    }
    for (; at < NUMBERS; at++)
        assert_int_equal(expected[at], 0);
    assert_int_equal(pool->pages, pages);
}

static void expect_take(htt_pool *pool) {
    uint32_t number = 0;
    const uint8_t *lowest = memchr(expected, 1, NUMBERS);

    assert_int_equal(htt_pool_take(pool, &number), lowest != NULL);
    if (lowest != NULL) {
        assert_int_equal(number, lowest - expected);
        expected[number] = 0;
    }
}

static void expect_find(htt_pool *pool, uint32_t pages) {
    htt_run_ref run;
    uint32_t longest = 0;
    uint32_t length = 0;

    for (uint32_t i = 0; i < NUMBERS; i++) {
        length = expected[i] ? length + 1 : 0;
        longest = length > longest ? length : longest;
    }
    assert_true(longest <= pool->run_bound);
    if (!htt_pool_find_run(pool, pages, &run)) {
        assert_true(longest < pages);
        return;
    }
    assert_true(run.pages >= pages);
    for (uint32_t i = 0; i < run.pages; i++)
        assert_int_equal(expected[run.first + i], 1);
}

static void test_pool__agrees_with_an_array(void **state) {
    uint64_t seed = page_seed();
    pager_store store;
    htt_writer *writer;

    (void)state;
    pager_store_open(&store, true, 0);
    writer = pager_store_begin(&store, 1, 0);
    memset(expected, 0, sizeof expected);
    for (uint32_t i = 0; i < 3000; i++) {
        uint32_t pages = 1 + page_random_below(&seed, i % 16 == 0 ? 40000 : 200);
        uint32_t first = page_random_below(&seed, NUMBERS - pages);
        switch (page_random_below(&seed, 5)) {
        case 0:
        case 1:
            assert_true(htt_pool_fit(writer, first, pages));
            assert_true(htt_pool_covers(&writer->pool, first, pages));
            htt_pool_add(&writer->pool, first, pages);
            memset(expected + first, 1, pages);
            break;
        case 2:
            htt_pool_remove(&writer->pool, first, pages);
            memset(expected + first, 0, pages);
            break;
        case 3: expect_take(&writer->pool); break;
        default: expect_find(&writer->pool, pages); break;
        }
        assert_int_equal(htt_pool_has_any(&writer->pool, first, pages),
                         memchr(expected + first, 1, pages) != NULL);
        if (i % 50 == 0)
            expect_equal(&writer->pool);
    }
    htt_writer_end(writer);
    pager_store_close(&store);
}

static void test_pool__is_empty_without_memory(void **state) {
    pager_store store;
    htt_writer *writer;
    uint32_t number;

    (void)state;
    pager_store_open(&store, true, 0);
    writer = pager_store_begin(&store, 1, 0);
    for (uint32_t nth = 1; nth <= 2; nth++) {
        fault_env_arm(store.fault, &(fault_plan){.kinds = FAULT_MEMORY, .nth = nth});
        assert_false(htt_pool_fit(writer, 70000, 1));
        assert_false(htt_pool_covers(&writer->pool, 70000, 1));
    }
    fault_env_disarm(store.fault);
    assert_false(htt_pool_take(&writer->pool, &number));
    assert_true(htt_pool_fit(writer, 70000, 1));
    assert_false(htt_pool_covers(&writer->pool, 5, 1));
    assert_false(htt_pool_covers(&writer->pool, 70000, UINT32_MAX - 70000));
    htt_writer_end(writer);
    pager_store_close(&store);
}

static void test_pool__prefers_the_run_that_fits_best(void **state) {
    pager_store store;
    htt_writer *writer;
    htt_run_ref run;

    (void)state;
    pager_store_open(&store, true, 0);
    writer = pager_store_begin(&store, 1, 0);
    assert_true(htt_pool_fit(writer, 2, 1000));
    htt_pool_add(&writer->pool, 10, 50);
    htt_pool_add(&writer->pool, 100, 5);
    htt_pool_add(&writer->pool, 200, 7);
    assert_true(htt_pool_find_run(&writer->pool, 6, &run));
    assert_int_equal(run.first, 200);
    assert_true(htt_pool_find_run(&writer->pool, 8, &run));
    assert_int_equal(run.first, 10);
    assert_false(htt_pool_find_run(&writer->pool, 51, &run));
    assert_int_equal(writer->pool.run_bound, 50);
    htt_writer_end(writer);
    pager_store_close(&store);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pool__agrees_with_an_array),
        cmocka_unit_test(test_pool__is_empty_without_memory),
        cmocka_unit_test(test_pool__prefers_the_run_that_fits_best),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
