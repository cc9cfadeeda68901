/* SPDX-License-Identifier: MIT */
/* Reading pages and runs in both modes: what is refused, and with which words. */
/* ctest: tsan */
#include "pager_support.h"

#include <errno.h>
#include <pthread.h>

enum { EPOCH = 10 };

/* Pages 2 to 9, page n with stamp n and content 100 + n; committed epoch EPOCH. */
static void open_store(pager_store *store, bool mapped) {
    pager_store_open(store, mapped, UINT64_C(1) << 20);
    for (uint32_t i = 2; i < 10; i++)
        pager_store_put_page(store, i, i, 100 + i);
    store->root.self.epoch = EPOCH;
}

static htt_rc get(pager_store *store, uint64_t epoch, uint32_t number, htt_error *error) {
    htt_snapshot snapshot = {epoch, EPOCH, store->root.page_count};
    htt_pins pins = {NULL, 0, 0};
    const uint8_t *page;
    htt_rc rc = htt_pages_get(store->pages, &pins, &snapshot, number, &page, error);

    if (rc == HTT_OK)
        assert_int_equal(pager_content(page), 100 + number);
    htt_pins_free(store->pages, &pins);
    return rc;
}

static void write_run(pager_store *store, uint32_t first, uint32_t pages, uint64_t stamp,
                      size_t size) {
    size_t bytes = (size_t)pages * PAGER_PAGE;
    uint8_t *run = calloc(1, bytes);

    assert_non_null(run);
    pager_fill_payload(run + HTT_RUN_HEADER_SIZE, size, first);
    htt_run_head(run, first, stamp, pages, run + HTT_RUN_HEADER_SIZE, size, NULL, 0);
    assert_int_equal(store->env->write(store->env->context, store->file, run, bytes,
                                       (uint64_t)first * PAGER_PAGE),
                     0);
    free(run);
    if (store->root.page_count < first + pages)
        store->root.page_count = first + pages;
}

static htt_rc get_run(pager_store *store, uint64_t epoch, uint32_t first, uint32_t pages,
                      bool whole, htt_error *error) {
    htt_snapshot snapshot = {epoch, EPOCH, store->root.page_count};
    htt_pins pins = {NULL, 0, 0};
    const uint8_t *run = NULL;
    htt_rc rc = (whole ? htt_pages_get_run : htt_pages_get_run_head)(
        store->pages, &pins, &snapshot, first, pages, &run, error);

    if (rc == HTT_OK && whole) {
        uint8_t *payload = page_alloc(htt_run_length(run));
        pager_fill_payload(payload, htt_run_length(run), first);
        assert_memory_equal(run + HTT_RUN_HEADER_SIZE, payload, htt_run_length(run));
        free(payload);
    }
    htt_pins_free(store->pages, &pins);
    return rc;
}

/* Runs a test in both modes. */
static void in_both_modes(void (*test)(pager_store *store)) {
    for (int mapped = 0; mapped < 2; mapped++) {
        pager_store store;
        open_store(&store, mapped != 0);
        test(&store);
        pager_store_close(&store);
    }
}

static void numbers(pager_store *store) {
    htt_error error;

    for (uint32_t i = 2; i < 10; i++)
        assert_ok(get(store, EPOCH, i, &error), error);
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(get(store, EPOCH, i, &error), HTT_CORRUPT);
        assert_int_equal(error.page, i);
    }
    assert_int_equal(get(store, EPOCH, 10, &error), HTT_CORRUPT);
    assert_string_equal(error.text, "page 10: no page number of this store (2 to 9)");
    assert_int_equal(get(store, EPOCH, UINT32_MAX, &error), HTT_CORRUPT);
    assert_int_equal(get_run(store, EPOCH, 9, 2, true, &error), HTT_CORRUPT);
    assert_int_equal(get_run(store, EPOCH, 9, UINT32_MAX, false, &error), HTT_CORRUPT);
    assert_int_equal(get_run(store, EPOCH, 9, 0, true, &error), HTT_CORRUPT);
}

static void test_pages__numbers_outside_the_store_are_damage(void **state) {
    (void)state;
    in_both_modes(numbers);
}

static void damage(pager_store *store) {
    htt_error error;

    pager_store_damage(store, 5 * PAGER_PAGE + 4000);
    assert_int_equal(get(store, EPOCH, 5, &error), HTT_CORRUPT);
    assert_int_equal(error.page, 5);
    assert_string_equal(error.text, "page 5: wrong page checksum, at byte 0");
    pager_store_damage(store, 5 * PAGER_PAGE + 4000);
    assert_ok(get(store, EPOCH, 5, &error), error);
    /* A sound page at the wrong place. */
    pager_store_put_page(store, 6, 6, 106);
    assert_int_equal(store->env->truncate(store->env->context, store->file, 6 * PAGER_PAGE), 0);
    uint8_t page[PAGER_PAGE];
    size_t got;
    assert_int_equal(store->env->read(store->env->context, store->file, page, PAGER_PAGE,
                                      4 * PAGER_PAGE, &got),
                     0);
    assert_int_equal(store->env->write(store->env->context, store->file, page, PAGER_PAGE,
                                       6 * PAGER_PAGE),
                     0);
    assert_int_equal(get(store, EPOCH, 6, &error), HTT_CORRUPT);
    assert_non_null(strstr(error.text, "number of another page"));
}

static void test_pages__damage_names_the_page_and_the_reason(void **state) {
    (void)state;
    in_both_modes(damage);
}

static void reuse(pager_store *store) {
    htt_error error;

    assert_ok(get(store, 8, 8, &error), error);
    assert_int_equal(get(store, 7, 8, &error), HTT_SNAPSHOT);
    assert_int_equal(error.page, 8);
    /* Read and remembered, then written again by a later transaction. */
    assert_ok(get(store, EPOCH, 4, &error), error);
    pager_store_put_page(store, 4, EPOCH + 1, 104);
    htt_pages_forget(store->pages, 4, 1);
    assert_int_equal(get(store, EPOCH, 4, &error), HTT_SNAPSHOT);
    assert_ok(get(store, EPOCH + 1, 4, &error), error);
    assert_int_equal(get(store, EPOCH, 4, &error), HTT_SNAPSHOT);
    /* A page that became a run, and a run that became a page. */
    write_run(store, 5, 2, EPOCH + 1, 6000);
    htt_pages_forget_all(store->pages);
    assert_int_equal(get(store, EPOCH, 5, &error), HTT_SNAPSHOT);
    write_run(store, 12, 2, 5, 6000);
    assert_ok(get_run(store, EPOCH, 12, 2, true, &error), error);
    pager_store_put_page(store, 12, EPOCH + 1, 112);
    htt_pages_forget_all(store->pages);
    assert_int_equal(get_run(store, EPOCH, 12, 2, true, &error), HTT_SNAPSHOT);
    assert_int_equal(get_run(store, EPOCH, 12, 2, false, &error), HTT_SNAPSHOT);
    assert_int_equal(get_run(store, EPOCH + 1, 12, 2, true, &error), HTT_CORRUPT);
}

static void test_pages__a_page_that_was_reused_is_a_lost_snapshot(void **state) {
    (void)state;
    in_both_modes(reuse);
}

/* PAGES-3: the same page number, the same stamp, other bytes. */
static void rewritten(pager_store *store) {
    htt_snapshot snapshot = {EPOCH + 1, EPOCH, store->root.page_count};
    htt_error error;

    pager_store_put_page(store, 7, EPOCH + 1, 107);
    assert_ok(get(store, EPOCH + 1, 7, &error), error);
    assert_null(htt_pages_peek(store->pages, &snapshot, 7));
    pager_store_put_page(store, 7, EPOCH + 1, 200);
    pager_store_damage(store, 7 * PAGER_PAGE + 3000);
    assert_int_equal(get(store, EPOCH + 1, 7, &error), HTT_CORRUPT);
    write_run(store, 10, 2, EPOCH + 1, 5000);
    assert_ok(get_run(store, EPOCH + 1, 10, 2, true, &error), error);
    pager_store_damage(store, 10 * PAGER_PAGE + 3000);
    assert_int_equal(get_run(store, EPOCH + 1, 10, 2, true, &error), HTT_CORRUPT);
}

static void test_pages__pages_of_a_transaction_at_work_are_verified_each_time(void **state) {
    (void)state;
    in_both_modes(rewritten);
}

static void cut(pager_store *store) {
    htt_snapshot snapshot = pager_store_snapshot(store);
    htt_error error;

    assert_ok(htt_pages_refresh(store->pages, &snapshot, &error), error);
    assert_int_equal(store->env->truncate(store->env->context, store->file, 8 * PAGER_PAGE + 100),
                     0);
    assert_int_equal(htt_pages_refresh(store->pages, &snapshot, &error), HTT_CORRUPT);
    assert_int_equal(error.page, 9);
    for (uint32_t i = 8; i < 10; i++) {
        assert_int_equal(get(store, EPOCH, i, &error), HTT_CORRUPT);
        assert_int_equal(error.page, i);
        assert_non_null(strstr(error.text, "the file ends before it"));
    }
    assert_ok(get(store, EPOCH, 7, &error), error);
    assert_int_equal(get_run(store, EPOCH, 7, 2, true, &error), HTT_CORRUPT);
    assert_int_equal(error.page, 8);
}

static void test_pages__a_file_that_was_cut_is_an_error(void **state) {
    (void)state;
    in_both_modes(cut);
}

static void runs(pager_store *store) {
    htt_error error;

    write_run(store, 10, 1, 5, 100);
    write_run(store, 11, 3, 5, 3 * PAGER_PAGE - HTT_RUN_HEADER_SIZE);
    write_run(store, 20, 300, 5, 299 * PAGER_PAGE);
    for (uint32_t round = 0; round < 2; round++) {
        assert_ok(get_run(store, EPOCH, 10, 1, true, &error), error);
        assert_ok(get_run(store, EPOCH, 11, 3, true, &error), error);
        assert_ok(get_run(store, EPOCH, 20, 300, true, &error), error);
        assert_ok(get_run(store, EPOCH, 20, 300, false, &error), error);
        assert_int_equal(get_run(store, EPOCH, 11, 2, true, &error), HTT_CORRUPT);
        assert_int_equal(get_run(store, EPOCH, 12, 2, true, &error), HTT_CORRUPT);
        assert_int_equal(get_run(store, EPOCH, 2, 1, true, &error), HTT_CORRUPT);
        assert_int_equal(get_run(store, EPOCH, 2, 1, false, &error), HTT_CORRUPT);
        assert_int_equal(get_run(store, 4, 11, 3, true, &error), HTT_SNAPSHOT);
    }
    /* The head of a damaged run can be read, the run cannot; nor is it after its head was. */
    write_run(store, 400, 2, 6, 5000);
    pager_store_damage(store, 401 * PAGER_PAGE + 5);
    assert_ok(get_run(store, EPOCH, 400, 2, false, &error), error);
    htt_snapshot snapshot = pager_store_snapshot(store);
    htt_pins pins = {NULL, 0, 0};
    const uint8_t *page;
    assert_ok(htt_pages_get(store->pages, &pins, &snapshot, 400, &page, &error), error);
    htt_pins_free(store->pages, &pins);
    assert_int_equal(get_run(store, EPOCH, 400, 2, true, &error), HTT_CORRUPT);
    assert_non_null(strstr(error.text, "wrong checksum of an overflow run"));
}

static void test_pages__runs_are_verified_whole(void **state) {
    (void)state;
    in_both_modes(runs);
}

static void failures(pager_store *store) {
    htt_error error;
    uint32_t failed = 0;

    for (uint64_t nth = 1; nth <= 12; nth++) {
        pager_store_reopen(store, store->mapped, 1 << 20);
        fault_env_arm(store->fault,
                      &(fault_plan){.kinds = FAULT_ALL, .nth = nth, .error = EIO});
        htt_rc rc = get(store, EPOCH, 3, &error);
        if (rc == HTT_OK)
            rc = get_run(store, EPOCH, 10, 2, true, &error);
        failed += rc != HTT_OK;
        assert_true(rc == HTT_OK || rc == HTT_IO || rc == HTT_NOMEM);
        fault_env_disarm(store->fault);
        assert_ok(get(store, EPOCH, 3, &error), error);
        assert_ok(get_run(store, EPOCH, 10, 2, true, &error), error);
    }
    assert_true(failed >= 3);
}

static void failures_of_calls(pager_store *store) {
    write_run(store, 10, 2, 5, 5000);
    failures(store);
}

static void test_pages__a_failed_call_is_told_and_can_be_repeated(void **state) {
    (void)state;
    in_both_modes(failures_of_calls);
}

/* ------------------------------------------------------------------- threads */

enum { THREADS = 4, THREAD_PAGES = 600 };

static void *read_all(void *argument) {
    pager_store *store = argument;
    htt_snapshot snapshot = pager_store_snapshot(store);
    htt_pins pins = {NULL, 0, 0};
    htt_error error;

    for (uint32_t i = 0; i < 6000; i++) {
        uint32_t number = 2 + i * 7 % THREAD_PAGES;
        const uint8_t *page = htt_pages_peek(store->pages, &snapshot, number);
        htt_pages_prefetch(store->pages, number + 1);
        if (page == NULL &&
            htt_pages_get(store->pages, &pins, &snapshot, number, &page, &error) != HTT_OK)
            return NULL;
        if (htt_page_number(page) != number)
            return NULL;
        if (i % 5 == 0)
            htt_pins_drop(store->pages, &pins);
        if (i % 500 == 0)
            htt_pages_forget(store->pages, number, 10);
        if (i % 1000 == 0)
            htt_pages_forget_all(store->pages);
    }
    htt_pins_free(store->pages, &pins);
    return argument;
}

static void threads(pager_store *store) {
    pthread_t ids[THREADS];

    for (uint32_t i = 0; i < THREAD_PAGES; i++)
        pager_store_put_page(store, 2 + i, 3, i);
    pager_store_reopen(store, store->mapped, 100 * PAGER_PAGE);
    for (uint32_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&ids[i], NULL, read_all, store), 0);
    for (uint32_t i = 0; i < THREADS; i++) {
        void *result = NULL;
        assert_int_equal(pthread_join(ids[i], &result), 0);
        assert_ptr_equal(result, store);
    }
}

static void test_pages__several_threads_read_the_same_pages(void **state) {
    (void)state;
    in_both_modes(threads);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pages__numbers_outside_the_store_are_damage),
        cmocka_unit_test(test_pages__damage_names_the_page_and_the_reason),
        cmocka_unit_test(test_pages__a_page_that_was_reused_is_a_lost_snapshot),
        cmocka_unit_test(test_pages__pages_of_a_transaction_at_work_are_verified_each_time),
        cmocka_unit_test(test_pages__a_file_that_was_cut_is_an_error),
        cmocka_unit_test(test_pages__runs_are_verified_whole),
        cmocka_unit_test(test_pages__a_failed_call_is_told_and_can_be_repeated),
        cmocka_unit_test(test_pages__several_threads_read_the_same_pages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
