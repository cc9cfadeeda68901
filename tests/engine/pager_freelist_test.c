/* SPDX-License-Identifier: MIT */
/* The free list: what is taken from it, what it costs, and damage in it. */
#include "pager_support.h"

#include "page/free.h"
#include "pager/writer_internal.h"

/* Makes `count` pages in one transaction and gives the numbers. */
static void make_pages(pager_store *store, uint32_t count) {
    htt_writer *writer = pager_store_begin(store, store->root.self.epoch, 1 << 26);
    htt_error error;

    for (uint32_t i = 0; i < count; i++) {
        uint32_t number;
        uint8_t *page;
        assert_ok(htt_writer_reserve(writer, 1, &error), error);
        assert_ok(htt_writer_new(writer, &number, &page, &error), error);
        pager_fill(page, number);
    }
    pager_store_commit(store, writer);
}

/* Gives up every second page from `first` on, `count` of them, so that no two join. */
static void free_every_second(pager_store *store, uint32_t first, uint32_t count) {
    htt_writer *writer = pager_store_begin(store, 0, 1 << 26);
    htt_error error;

    for (uint32_t i = 0; i < count; i++) {
        assert_ok(htt_writer_reserve(writer, 1, &error), error);
        htt_writer_free(writer, first + 2 * i, 1, 2);
    }
    pager_store_commit(store, writer);
}

static uint32_t take_page(pager_store *store, htt_writer *writer) {
    uint32_t number;
    uint8_t *page;
    htt_error error;

    (void)store;
    assert_ok(htt_writer_reserve(writer, 1, &error), error);
    assert_ok(htt_writer_new(writer, &number, &page, &error), error);
    pager_fill(page, number);
    return number;
}

static void check_list(pager_store *store) {
    uint8_t *marks = calloc(1, store->root.page_count);

    assert_non_null(marks);
    pager_mark_free_list(store, &store->root, marks);
    free(marks);
}

static void test_freelist__a_page_comes_back_when_the_limit_reaches_its_death(void **state) {
    pager_store store;
    htt_writer *writer;

    (void)state;
    pager_store_open(&store, true, 0);
    make_pages(&store, 10); /* 2 to 11 at epoch 2 */
    free_every_second(&store, 4, 2); /* 4 and 6 die at epoch 3; the list is page 12 */
    assert_int_equal(store.root.free_head, 12);
    writer = pager_store_begin(&store, 2, 0);
    assert_int_equal(take_page(&store, writer), 13);
    htt_writer_end(writer);
    writer = pager_store_begin(&store, 3, 0);
    assert_int_equal(take_page(&store, writer), 4);
    assert_int_equal(take_page(&store, writer), 6);
    assert_int_equal(take_page(&store, writer), 13); /* page 12 died just now */
    assert_int_equal(htt_writer_stats(writer).reused, 2);
    assert_int_equal(htt_writer_stats(writer).extended, 1);
    pager_store_commit(&store, writer);
    assert_int_equal(store.root.free_pages, 1);
    check_list(&store);
    pager_store_close(&store);
}

static void test_freelist__what_is_left_of_a_page_is_written_back(void **state) {
    pager_store store;
    htt_writer *writer;

    (void)state;
    pager_store_open(&store, true, 0);
    make_pages(&store, 3000);
    free_every_second(&store, 2, 1000); /* four pages of 253 entries */
    assert_int_equal(store.root.free_pages, 1000);
    for (uint32_t i = 0; i < 20; i++) {
        writer = pager_store_begin(&store, store.root.self.epoch, 0);
        fault_env_arm(store.fault, &(fault_plan){0});
        (void)take_page(&store, writer);
        pager_store_commit(&store, writer);
        /* One page of the list, and the new one; not all of the list. */
        assert_true(fault_env_calls(store.fault, FAULT_WRITE) <= 2);
        check_list(&store);
    }
    assert_int_equal(store.root.page_count, 3002 + 4);
    pager_store_close(&store);
}

static void test_freelist__a_long_list_that_nobody_may_take_from_costs_nothing(void **state) {
    pager_store store;
    htt_writer *writer;

    (void)state;
    pager_store_open(&store, false, 0);
    make_pages(&store, 3000);
    free_every_second(&store, 2, 1500);
    for (uint32_t i = 0; i < 5; i++) {
        writer = pager_store_begin(&store, 2, 0); /* a reader of epoch 2 goes on and on */
        fault_env_arm(store.fault, &(fault_plan){0});
        (void)take_page(&store, writer);
        pager_store_commit(&store, writer);
        assert_true(fault_env_calls(store.fault, FAULT_READ) <= 2);
        assert_int_equal(fault_env_calls(store.fault, FAULT_WRITE), 1);
    }
    check_list(&store);
    pager_store_close(&store);
}

/* Small commits that copy pages, some with a reader of the root before: the file stays as it is. */
static void test_freelist__a_steady_store_does_not_grow(void **state) {
    uint64_t seed = page_seed();
    pager_store store;
    uint32_t numbers[500];
    uint32_t after_some = 0;
    htt_error error;

    (void)state;
    pager_store_open(&store, true, 0);
    make_pages(&store, 500);
    for (uint32_t i = 0; i < 500; i++)
        numbers[i] = 2 + i;
    for (uint32_t i = 0; i < 1000; i++) {
        htt_writer *writer = pager_store_begin(&store, store.root.self.epoch - 1, 0);
        uint8_t *page;
        for (uint32_t j = 0; j < 5; j++) {
            uint32_t at = page_random_below(&seed, 500);
            assert_ok(htt_writer_reserve(writer, 80, &error), error);
            assert_ok(htt_writer_edit(writer, &numbers[at], &page, &error), error);
        }
        pager_store_commit(&store, writer);
        if (i == 50)
            after_some = store.root.page_count;
    }
    check_list(&store);
    print_message("%u pages after 50 commits, %u after 1000\n", (unsigned)after_some,
                  (unsigned)store.root.page_count);
    assert_true(store.root.page_count <= after_some + 20);
    assert_true(store.root.page_count <= 502 + 60);
    pager_store_close(&store);
}

static void test_freelist__an_earlier_flush_stays_readable_under_a_freeze(void **state) {
    pager_store store;
    htt_writer *writer;
    htt_root first;
    htt_root second;
    uint64_t freeze;
    uint8_t *marks;
    htt_error error;

    (void)state;
    pager_store_open(&store, true, 0);
    make_pages(&store, 10);
    writer = pager_store_begin(&store, 2, 0);
    assert_ok(htt_writer_reserve(writer, 1, &error), error);
    htt_writer_free(writer, 4, 1, 2);
    first = store.root;
    first.self.epoch = 3;
    assert_ok(htt_writer_flush(writer, &first, false, &error), error);
    assert_ok(htt_writer_freeze(writer, &freeze, &error), error);
    (void)take_page(&store, writer);
    second = store.root;
    second.self.epoch = 3;
    assert_ok(htt_writer_flush(writer, &second, false, &error), error);
    assert_int_not_equal(first.free_head, second.free_head);
    for (uint32_t i = 0; i < 2; i++) {
        marks = calloc(1, second.page_count);
        assert_non_null(marks);
        pager_mark_free_list(&store, i == 0 ? &first : &second, marks);
        assert_int_equal(marks[4], PAGER_NAMED);
        free(marks);
    }
    htt_writer_thaw(writer, freeze);
    /* Without the freeze the pages of the list are used again. */
    assert_int_equal(take_page(&store, writer), first.free_head);
    htt_writer_end(writer);
    pager_store_close(&store);
}

static void test_freelist__a_vacuum_takes_free_pages_off_the_end(void **state) {
    pager_store store;
    htt_writer_options options;
    htt_writer *writer;
    htt_root root;
    htt_error error;

    (void)state;
    pager_store_open(&store, true, 0);
    make_pages(&store, 100); /* 2 to 101 */
    writer = pager_store_begin(&store, 0, 1 << 20);
    assert_ok(htt_writer_reserve(writer, 1, &error), error);
    htt_writer_free(writer, 5, 1, 2);
    htt_writer_free(writer, 50, 52, 2);
    pager_store_commit(&store, writer); /* the list is page 102 */
    options = (htt_writer_options){.env = store.env,
                                   .file = store.file,
                                   .pages = store.pages,
                                   .base = store.root,
                                   .reuse_limit = store.root.self.epoch,
                                   .low_first = true};
    for (uint32_t i = 0; i < 2; i++) {
        assert_ok(htt_writer_begin(&options, &writer, &error), error);
        root = store.root;
        root.self.epoch = htt_writer_epoch(writer);
        assert_ok(htt_writer_flush(writer, &root, false, &error), error);
        htt_writer_end(writer);
        store.root = root;
        check_list(&store);
        options.base = root;
        options.reuse_limit = root.self.epoch;
    }
    /* The first time the list itself was at the end; the second moved nothing but it. */
    assert_int_equal(store.root.page_count, 51);
    pager_store_close(&store);
}

/* ------------------------------------------------------------------- damage */

/* A store whose free list is page 20, with these entries. */
static void open_with_list(pager_store *store, const htt_free_run *runs, uint32_t count,
                           uint32_t next, uint32_t free_pages) {
    uint8_t *page = page_alloc(PAGER_PAGE);

    pager_store_open(store, true, 0);
    make_pages(store, 20);
    htt_free_init(page, PAGER_PAGE, next, next == 0 ? UINT64_MAX : 0);
    for (uint32_t i = 0; i < count; i++)
        htt_free_add(page, runs[i]);
    htt_page_seal(page, PAGER_PAGE, 20, 2);
    assert_int_equal(store->env->write(store->env->context, store->file, page, PAGER_PAGE,
                                       20 * PAGER_PAGE),
                     0);
    free(page);
    store->root.free_head = 20;
    store->root.free_pages = free_pages;
}

static void expect_damage(const htt_free_run *runs, uint32_t count, uint32_t next,
                          uint32_t free_pages, const char *reason) {
    pager_store store;
    htt_writer *writer = NULL;
    htt_writer_options options;
    htt_error error;
    htt_rc rc;

    open_with_list(&store, runs, count, next, free_pages);
    writer = pager_store_begin(&store, 2, 0);
    rc = htt_writer_reserve(writer, 100, &error);
    htt_writer_end(writer);
    if (rc == HTT_OK) { /* only looked at as a whole */
        writer = NULL;
        options = (htt_writer_options){.env = store.env,
                                       .file = store.file,
                                       .pages = store.pages,
                                       .base = store.root,
                                       .reuse_limit = 2,
                                       .low_first = true};
        rc = htt_writer_begin(&options, &writer, &error);
        assert_null(writer);
    }
    assert_int_equal(rc, HTT_CORRUPT);
    if (strstr(error.text, reason) == NULL)
        print_error("%s\n", error.text);
    assert_non_null(strstr(error.text, reason));
    pager_store_close(&store);
}

static void test_freelist__damage_is_found(void **state) {
    static const htt_free_run outside[] = {{15, 8, 1}};
    static const htt_free_run far_outside[] = {{UINT32_MAX - 5, 3, 1}};
    static const htt_free_run twice[] = {{5, 2, 1}, {6, 1, 0}};
    static const htt_free_run sound[] = {{5, 2, 1}};

    (void)state;
    expect_damage(outside, 1, 0, 8, "free pages 15 to 22 are not in the store");
    expect_damage(far_outside, 1, 0, 3, "are not in the store");
    expect_damage(twice, 2, 0, 3, "free pages from 6 on are named twice");
    expect_damage(sound, 1, 0, 1, "more pages than its root says");
    expect_damage(sound, 1, 7, 2, "not a page of the free list");
    expect_damage(sound, 1, 300, 2, "no page number of this store");
}

static void test_freelist__a_circle_has_an_end(void **state) {
    pager_store store;
    htt_writer *writer = NULL;
    htt_writer_options options;
    uint8_t *page = page_alloc(PAGER_PAGE);
    htt_error error;

    (void)state;
    open_with_list(&store, NULL, 0, 21, 0);
    htt_free_init(page, PAGER_PAGE, 20, 0);
    htt_page_seal(page, PAGER_PAGE, 21, 2);
    assert_int_equal(store.env->write(store.env->context, store.file, page, PAGER_PAGE,
                                      21 * PAGER_PAGE),
                     0);
    free(page);
    options = (htt_writer_options){.env = store.env,
                                   .file = store.file,
                                   .pages = store.pages,
                                   .base = store.root,
                                   .reuse_limit = 2,
                                   .low_first = true};
    assert_int_equal(htt_writer_begin(&options, &writer, &error), HTT_CORRUPT);
    assert_non_null(strstr(error.text, "circle"));
    pager_store_close(&store);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_freelist__a_page_comes_back_when_the_limit_reaches_its_death),
        cmocka_unit_test(test_freelist__what_is_left_of_a_page_is_written_back),
        cmocka_unit_test(test_freelist__a_long_list_that_nobody_may_take_from_costs_nothing),
        cmocka_unit_test(test_freelist__a_steady_store_does_not_grow),
        cmocka_unit_test(test_freelist__an_earlier_flush_stays_readable_under_a_freeze),
        cmocka_unit_test(test_freelist__a_vacuum_takes_free_pages_off_the_end),
        cmocka_unit_test(test_freelist__damage_is_found),
        cmocka_unit_test(test_freelist__a_circle_has_an_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
