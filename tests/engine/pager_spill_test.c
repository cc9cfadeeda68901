/* SPDX-License-Identifier: MIT */
/* Spilling: more pages than the budget has frames, and what a full or failing disk does. */
#include "pager_support.h"

#include <errno.h>

#include "pager/writer_internal.h"

static void test_spill__keeps_frames_under_the_budget(void **state) {
    const uint32_t count = 2000;
    pager_store store;
    htt_writer *writer;
    htt_pins pins = {NULL, 0, 0};
    htt_snapshot snapshot;
    htt_writer_stat stat;
    htt_error error;

    (void)state;
    pager_store_open(&store, true, 0);
    writer = pager_store_begin(&store, 1, 0);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t number;
        uint8_t *page;
        assert_ok(htt_writer_reserve(writer, 3, &error), error);
        assert_ok(htt_writer_new(writer, &number, &page, &error), error);
        pager_fill(page, 1000 + number);
        assert_true(htt_writer_stats(writer).frames <= HTT_WRITER_FRAMES_MIN);
    }
    stat = htt_writer_stats(writer);
    assert_true(stat.spilled >= count - HTT_WRITER_FRAMES_MIN);
    assert_int_equal(stat.extended, count);
    assert_true(fault_env_bytes_peak(store.fault) < 2 * HTT_WRITER_FRAMES_MIN * PAGER_PAGE);
    /* A spilled page is loaded and changed in place. */
    for (uint32_t i = 0; i < count; i += 7) {
        uint32_t number = 2 + i;
        uint8_t *page;
        assert_ok(htt_writer_reserve(writer, 1, &error), error);
        assert_ok(htt_writer_edit(writer, &number, &page, &error), error);
        assert_int_equal(number, 2 + i);
        assert_int_equal(pager_content(page), 1000 + number);
        pager_fill(page, 5000 + number);
    }
    pager_store_commit(&store, writer);
    assert_int_equal(store.root.page_count, 2 + count);
    snapshot = pager_store_snapshot(&store);
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *page;
        assert_ok(htt_pages_get(store.pages, &pins, &snapshot, 2 + i, &page, &error), error);
        assert_int_equal(pager_content(page), (i % 7 == 0 ? 5000u : 1000u) + 2 + i);
    }
    pager_store_close(&store);
}

static void test_spill__a_page_that_was_spilled_is_copied_while_frozen(void **state) {
    pager_store store;
    htt_writer *writer;
    uint64_t freeze;
    uint32_t number = 2;
    uint8_t *page;
    const uint8_t *old;
    htt_error error;

    (void)state;
    pager_store_open(&store, false, 1 << 20);
    writer = pager_store_begin(&store, 1, 0);
    for (uint32_t i = 0; i < 600; i++) {
        assert_ok(htt_writer_reserve(writer, 1, &error), error);
        assert_ok(htt_writer_new(writer, &number, &page, &error), error);
        pager_fill(page, number);
    }
    number = 2;
    assert_null(htt_writer_find(writer, number));
    assert_ok(htt_writer_freeze(writer, &freeze, &error), error);
    assert_ok(htt_writer_reserve(writer, 1, &error), error);
    assert_ok(htt_writer_edit(writer, &number, &page, &error), error);
    assert_int_equal(number, 602);
    pager_fill(page, 9);
    htt_pins pins = {NULL, 0, 0};
    htt_snapshot snapshot = {2, 1, htt_writer_page_count(writer)};
    assert_ok(htt_pages_get(store.pages, &pins, &snapshot, 2, &old, &error), error);
    assert_int_equal(pager_content(old), 2);
    htt_pins_free(store.pages, &pins);
    htt_writer_thaw(writer, freeze);
    pager_store_commit(&store, writer);
    assert_int_equal(store.root.page_count, 603);
    pager_store_close(&store);
}

static void test_spill__a_full_disk_leaves_the_transaction_as_it_was(void **state) {
    pager_store store;
    htt_writer *writer;
    htt_error error;
    htt_rc rc = HTT_OK;
    uint32_t made = 0;

    (void)state;
    pager_store_open(&store, true, 0);
    writer = pager_store_begin(&store, 1, 0);
    fault_env_arm(store.fault, &(fault_plan){.kinds = FAULT_RESERVE,
                                             .nth = 1,
                                             .persistent = true,
                                             .error = ENOSPC});
    for (uint32_t i = 0; i < 1000 && rc == HTT_OK; i++) {
        uint32_t number;
        uint8_t *page;
        rc = htt_writer_reserve(writer, 1, &error);
        if (rc == HTT_OK) {
            assert_ok(htt_writer_new(writer, &number, &page, &error), error);
            pager_fill(page, number);
            made++;
        }
    }
    assert_int_equal(rc, HTT_FULL);
    assert_int_equal(made, HTT_WRITER_FRAMES_MIN);
    for (uint32_t i = 0; i < made; i++) {
        assert_non_null(htt_writer_find(writer, 2 + i));
        assert_int_equal(pager_content(htt_writer_find(writer, 2 + i)), 2 + i);
    }
    fault_env_disarm(store.fault);
    pager_store_commit(&store, writer);
    assert_int_equal(store.root.page_count, 2 + made);
    pager_store_close(&store);
}

static void test_spill__neighbours_are_written_at_once(void **state) {
    pager_store store;
    htt_writer *writer;
    uint32_t number;
    uint8_t *page;
    htt_error error;

    (void)state;
    pager_store_open(&store, true, 0);
    writer = pager_store_begin(&store, 1, 0);
    assert_ok(htt_writer_reserve(writer, 40, &error), error);
    for (uint32_t i = 0; i < 40; i++) {
        assert_ok(htt_writer_new(writer, &number, &page, &error), error);
        pager_fill(page, number);
    }
    fault_env_arm(store.fault, &(fault_plan){0});
    pager_store_commit(&store, writer);
    /* 64 KiB are 16 pages. */
    assert_int_equal(fault_env_calls(store.fault, FAULT_WRITE), 3);
    assert_int_equal(fault_env_calls(store.fault, FAULT_RESERVE), 1);
    pager_store_close(&store);
}

/* ------------------------------------------------------------------- the model */

static void run_model(bool mapped, uint64_t seed, unsigned kinds, int error, uint32_t steps) {
    pager_store store;
    pager_model model;

    pager_store_open(&store, mapped, 64 * PAGER_PAGE);
    pager_model_init(&model, &store, seed);
    model.items_max = 1500;
    model.run_max = 70000;
    model.budget = 0;
    model.steps_to_end = 500;
    for (uint32_t i = 0; i < steps; i++) {
        uint64_t random = seed + i;
        if (kinds != 0 && i % 8 == 0)
            fault_env_arm(store.fault, &(fault_plan){.kinds = kinds,
                                                     .nth = 1 + page_random(&random) %
                                                                 (kinds == FAULT_MEMORY ? 2 : 12),
                                                     .persistent = page_random(&random) % 4 == 0,
                                                     .partial = page_random(&random) % 2 == 0,
                                                     .error = error});
        if (kinds != 0 && i % 8 == 4)
            fault_env_disarm(store.fault);
        pager_model_step(&model);
        if (i % 512 == 4)
            pager_model_check(&model);
    }
    fault_env_disarm(store.fault);
    pager_model_check(&model);
    if (model.writer != NULL)
        pager_model_commit(&model);
    pager_model_check(&model);
    print_message("epoch %llu, %u pages, %u free, spilled %llu, failed %llu\n",
                  (unsigned long long)store.root.self.epoch, (unsigned)store.root.page_count,
                  (unsigned)store.root.free_pages, (unsigned long long)model.spilled,
                  (unsigned long long)model.failures);
    pager_model_free(&model);
    pager_store_close(&store);
}

static uint32_t model_steps(void) {
    return getenv("HTT_TEST_LONG") != NULL ? 100000 : 6000;
}

static void test_spill__agrees_with_a_model_in_mapped_mode(void **state) {
    (void)state;
    run_model(true, page_seed(), 0, 0, model_steps());
}

static void test_spill__agrees_with_a_model_in_cached_mode(void **state) {
    (void)state;
    run_model(false, page_seed(), 0, 0, model_steps());
}

static void test_spill__agrees_with_a_model_when_writes_fail(void **state) {
    (void)state;
    run_model(true, page_seed(), FAULT_WRITE | FAULT_RESERVE | FAULT_INFO, EIO, model_steps());
}

static void test_spill__agrees_with_a_model_when_reads_fail(void **state) {
    (void)state;
    run_model(false, page_seed(), FAULT_READ | FAULT_MAP, EIO, model_steps());
}

static void test_spill__agrees_with_a_model_when_there_is_no_memory(void **state) {
    (void)state;
    run_model(true, page_seed(), FAULT_MEMORY, ENOMEM, model_steps());
    run_model(false, page_seed(), FAULT_MEMORY, ENOMEM, model_steps());
}

static void test_spill__agrees_with_a_model_when_anything_fails(void **state) {
    (void)state;
    run_model(false, page_seed(), FAULT_ALL, ENOSPC, model_steps());
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_spill__keeps_frames_under_the_budget),
        cmocka_unit_test(test_spill__a_page_that_was_spilled_is_copied_while_frozen),
        cmocka_unit_test(test_spill__a_full_disk_leaves_the_transaction_as_it_was),
        cmocka_unit_test(test_spill__neighbours_are_written_at_once),
        cmocka_unit_test(test_spill__agrees_with_a_model_in_mapped_mode),
        cmocka_unit_test(test_spill__agrees_with_a_model_in_cached_mode),
        cmocka_unit_test(test_spill__agrees_with_a_model_when_writes_fail),
        cmocka_unit_test(test_spill__agrees_with_a_model_when_reads_fail),
        cmocka_unit_test(test_spill__agrees_with_a_model_when_there_is_no_memory),
        cmocka_unit_test(test_spill__agrees_with_a_model_when_anything_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
