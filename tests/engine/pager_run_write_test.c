/* SPDX-License-Identifier: MIT */
/* Overflow runs as the writer writes them: lengths around borders, parts, pieces, failures. */
#include "pager_support.h"

#include <errno.h>

#include "pager/writer_internal.h"

/* Reads a value back and compares it. */
static void expect_payload(pager_store *store, const htt_writer *writer,
                           const htt_overflow *overflow, const uint8_t *payload, size_t size) {
    htt_snapshot snapshot = {htt_writer_epoch(writer), store->root.self.epoch,
                             htt_writer_page_count(writer)};
    htt_pins pins = {NULL, 0, 0};
    size_t at = 0;
    htt_error error;

    for (uint32_t i = 0; i < overflow->count; i++) {
        const uint8_t *run;
        size_t end = (size_t)overflow->runs[i].pages * PAGER_PAGE;
        assert_ok(htt_pages_get_run(store->pages, &pins, &snapshot, overflow->runs[i].first,
                                    overflow->runs[i].pages, &run, &error),
                  error);
        assert_true(htt_run_length(run) <= size - at);
        assert_memory_equal(run + HTT_RUN_HEADER_SIZE, payload + at, htt_run_length(run));
        at += htt_run_length(run);
        for (size_t j = HTT_RUN_HEADER_SIZE + htt_run_length(run); j < end; j++)
            assert_int_equal(run[j], 0);
        htt_pins_drop(store->pages, &pins);
    }
    assert_int_equal(at, size);
    htt_pins_free(store->pages, &pins);
}

static void put_and_expect(pager_store *store, htt_writer *writer, size_t size1, size_t size2) {
    uint8_t *payload = page_alloc(size1 + size2);
    htt_overflow overflow;
    htt_error error;

    pager_fill_payload(payload, size1 + size2, size1 * 31 + size2);
    assert_ok(htt_writer_put_run(writer, payload, size1, payload + size1, size2, &overflow,
                                 &error),
              error);
    assert_int_equal(overflow.value_size, size2);
    expect_payload(store, writer, &overflow, payload, size1 + size2);
    free(payload);
}

static void test_run_write__any_length_of_both_parts_comes_back(void **state) {
    static const size_t borders[] = {1, 40, PAGER_PAGE, HTT_WRITER_SCRATCH, 3 * HTT_WRITER_SCRATCH};
    pager_store store;
    htt_writer *writer;

    (void)state;
    for (int mapped = 0; mapped < 2; mapped++) {
        pager_store_open(&store, mapped != 0, 1 << 20);
        writer = pager_store_begin(&store, 1, 0);
        for (size_t i = 0; i < sizeof borders / sizeof borders[0]; i++) {
            for (size_t j = 0; j < sizeof borders / sizeof borders[0]; j++) {
                put_and_expect(&store, writer, borders[i], borders[j]);
                put_and_expect(&store, writer, borders[i] - 1, borders[j] + 1);
                put_and_expect(&store, writer, 0, borders[i] + borders[j] - HTT_RUN_HEADER_SIZE +
                                                      PAGER_PAGE);
                put_and_expect(&store, writer, borders[i] + borders[j] + 1, 0);
            }
        }
        htt_writer_end(writer);
        pager_store_close(&store);
    }
}

static void test_run_write__a_large_value_is_not_copied_and_takes_few_writes(void **state) {
    const size_t size = 10 << 20;
    pager_store store;
    htt_writer *writer;
    htt_overflow overflow;
    uint8_t *payload = page_alloc(size);
    htt_error error;

    (void)state;
    pager_store_open(&store, true, 0);
    writer = pager_store_begin(&store, 1, 0);
    pager_fill_payload(payload, size, 1);
    fault_env_arm(store.fault, &(fault_plan){0});
    assert_ok(htt_writer_put_run(writer, NULL, 0, payload, size, &overflow, &error), error);
    assert_int_equal(fault_env_calls(store.fault, FAULT_WRITE), 3);
    assert_true(fault_env_bytes_peak(store.fault) < (1 << 20));
    expect_payload(&store, writer, &overflow, payload, size);
    free(payload);
    htt_writer_end(writer);
    pager_store_close(&store);
}

static void test_run_write__a_failure_leaves_nothing(void **state) {
    const size_t size = 300000;
    pager_store store;
    htt_writer *writer;
    htt_overflow overflow;
    uint8_t *payload = page_alloc(size);
    uint32_t failed = 0;
    htt_error error;

    (void)state;
    pager_fill_payload(payload, size, 1);
    for (uint64_t nth = 1; nth <= 12; nth++) {
        htt_rc rc;
        uint64_t before;
        pager_store_open(&store, true, 0);
        writer = pager_store_begin(&store, 1, 0);
        fault_env_arm(store.fault, &(fault_plan){.kinds = FAULT_ALL & ~(unsigned)FAULT_RESERVE,
                                                 .nth = nth,
                                                 .error = ENOSPC});
        rc = htt_writer_put_run(writer, NULL, 0, payload, size, &overflow, &error);
        fault_env_disarm(store.fault);
        failed += rc != HTT_OK;
        if (rc != HTT_OK) {
            assert_true(rc == HTT_FULL || rc == HTT_NOMEM || rc == HTT_IO);
            /* All page numbers are there to be used. */
            before = writer->pool.pages + 2;
            assert_int_equal(before, htt_writer_page_count(writer));
        }
        assert_ok(htt_writer_put_run(writer, NULL, 0, payload, size, &overflow, &error), error);
        if (rc != HTT_OK)
            assert_int_equal(htt_writer_page_count(writer), 2 + 74);
        expect_payload(&store, writer, &overflow, payload, size);
        htt_writer_end(writer);
        pager_store_close(&store);
    }
    assert_true(failed >= 6);
    free(payload);
}

static void test_run_write__pieces_are_used_when_much_of_the_store_is_free(void **state) {
    const size_t size = 8 * (3 * PAGER_PAGE - HTT_RUN_HEADER_SIZE);
    pager_store store;
    htt_writer *writer;
    htt_overflow overflow;
    uint8_t *payload = page_alloc(size + 1);
    uint32_t number;
    uint8_t *page;
    htt_error error;

    (void)state;
    pager_store_open(&store, true, 0);
    writer = pager_store_begin(&store, 1, 1 << 20);
    assert_ok(htt_writer_reserve(writer, 100, &error), error);
    for (uint32_t i = 0; i < 100; i++) {
        assert_ok(htt_writer_new(writer, &number, &page, &error), error);
        pager_fill(page, number);
    }
    for (uint32_t i = 0; i < 8; i++) { /* eight holes of three pages */
        for (uint32_t j = 0; j < 3; j++)
            htt_writer_free(writer, 10 + 6 * i + j, 1, 0);
    }
    pager_fill_payload(payload, size + 1, 1);
    assert_ok(htt_writer_put_run(writer, payload, 10, payload + 10, size - 10, &overflow, &error),
              error);
    assert_int_equal(overflow.count, 8);
    assert_int_equal(writer->pool.pages, 0);
    expect_payload(&store, writer, &overflow, payload, size);
    for (uint32_t i = 0; i < 8; i++)
        htt_writer_free(writer, overflow.runs[i].first, overflow.runs[i].pages, 2);
    assert_int_equal(writer->pool.pages, 24);
    /* One byte more does not go into eight pieces. */
    assert_ok(htt_writer_put_run(writer, NULL, 0, payload, size + 1, &overflow, &error), error);
    assert_int_equal(overflow.count, 1);
    assert_int_equal(overflow.runs[0].first, 102);
    assert_int_equal(writer->pool.pages, 24);
    pager_store_commit(&store, writer);
    free(payload);
    pager_store_close(&store);
}

static void test_run_write__keeps_what_a_reserve_has_promised(void **state) {
    pager_store store;
    htt_writer *writer;
    htt_overflow overflow;
    uint8_t byte = 1;
    uint32_t depth;
    htt_error error;

    (void)state;
    pager_store_open(&store, true, 0);
    writer = pager_store_begin(&store, 1, 1 << 20);
    assert_ok(htt_writer_savepoint(writer, &depth, &error), error);
    assert_ok(htt_writer_reserve(writer, 50, &error), error);
    for (uint32_t i = 0; i < 40000; i++)
        assert_ok(htt_writer_put_run(writer, NULL, 0, &byte, 1, &overflow, &error), error);
    fault_env_arm(store.fault,
                  &(fault_plan){.kinds = FAULT_MEMORY, .nth = 1, .persistent = true});
    for (uint32_t i = 0; i < 50; i++) {
        uint32_t number;
        uint8_t *page;
        assert_ok(htt_writer_new(writer, &number, &page, &error), error);
        pager_fill(page, number);
    }
    htt_writer_rollback_to(writer, depth);
    assert_int_equal(fault_env_failures(store.fault), 0);
    assert_int_equal(writer->pool.pages, 40050);
    fault_env_disarm(store.fault);
    htt_writer_end(writer);
    pager_store_close(&store);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_run_write__any_length_of_both_parts_comes_back),
        cmocka_unit_test(test_run_write__a_large_value_is_not_copied_and_takes_few_writes),
        cmocka_unit_test(test_run_write__a_failure_leaves_nothing),
        cmocka_unit_test(test_run_write__pieces_are_used_when_much_of_the_store_is_free),
        cmocka_unit_test(test_run_write__keeps_what_a_reserve_has_promised),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
