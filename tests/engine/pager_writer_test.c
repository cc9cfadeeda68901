/* SPDX-License-Identifier: MIT */
/* The writer as a whole: copy-on-write, page numbers, and a random model of all its calls. */
#include "pager_support.h"

static void test_writer__a_new_page_is_read_back_after_the_commit(void **state) {
    pager_store store;
    htt_writer *writer;
    htt_snapshot snapshot;
    htt_pins pins = {NULL, 0, 0};
    const uint8_t *found;
    uint8_t *page;
    uint32_t number;
    htt_error error;

    (void)state;
    pager_store_open(&store, true, 0);
    writer = pager_store_begin(&store, 1, 0);
    assert_int_equal(htt_writer_epoch(writer), 2);
    assert_ok(htt_writer_reserve(writer, 1, &error), error);
    assert_ok(htt_writer_new(writer, &number, &page, &error), error);
    assert_int_equal(number, 2);
    assert_int_equal(page[PAGER_PAGE - 1], 0);
    pager_fill(page, 42);
    assert_ptr_equal(htt_writer_find(writer, number), page);
    pager_store_commit(&store, writer);
    assert_int_equal(store.root.page_count, 3);
    assert_int_equal(store.root.free_head, 0);
    snapshot = pager_store_snapshot(&store);
    assert_ok(htt_pages_get(store.pages, &pins, &snapshot, number, &found, &error), error);
    assert_int_equal(pager_content(found), 42);
    assert_int_equal(htt_page_stamp(found), 2);
    pager_store_close(&store);
}

/* Makes pages 2 .. 2 + count - 1 with contents 100, 101 ... at epoch 2. */
static void make_pages(pager_store *store, uint32_t count) {
    htt_writer *writer = pager_store_begin(store, 1, 0);
    htt_error error;

    assert_ok(htt_writer_reserve(writer, count, &error), error);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t number;
        uint8_t *page;
        assert_ok(htt_writer_new(writer, &number, &page, &error), error);
        assert_int_equal(number, 2 + i);
        pager_fill(page, 100 + i);
    }
    pager_store_commit(store, writer);
}

static void test_writer__a_page_of_the_base_is_copied_once(void **state) {
    pager_store store;
    htt_writer *writer;
    uint8_t *page;
    uint8_t *again;
    uint32_t number = 3;
    htt_error error;

    (void)state;
    pager_store_open(&store, true, 0);
    make_pages(&store, 4);
    writer = pager_store_begin(&store, 2, 0);
    assert_ok(htt_writer_reserve(writer, 2, &error), error);
    assert_ok(htt_writer_edit(writer, &number, &page, &error), error);
    assert_int_equal(number, 6);
    assert_int_equal(pager_content(page), 101);
    pager_fill(page, 7);
    assert_ok(htt_writer_edit(writer, &number, &again, &error), error);
    assert_int_equal(number, 6);
    assert_ptr_equal(page, again);
    pager_store_commit(&store, writer);
    /* The old one is named by the free list, its page is 7. */
    assert_int_equal(store.root.free_head, 7);
    assert_int_equal(store.root.free_pages, 1);
    assert_int_equal(store.root.page_count, 8);
    pager_store_close(&store);
}

static void test_writer__an_own_page_goes_and_comes_back_at_once(void **state) {
    pager_store store;
    htt_writer *writer;
    uint8_t *page;
    uint32_t first;
    uint32_t second;
    htt_error error;

    (void)state;
    pager_store_open(&store, true, 0);
    writer = pager_store_begin(&store, 1, 0);
    assert_ok(htt_writer_reserve(writer, 2, &error), error);
    assert_ok(htt_writer_new(writer, &first, &page, &error), error);
    htt_writer_free(writer, first, 1, 0);
    assert_null(htt_writer_find(writer, first));
    assert_ok(htt_writer_new(writer, &second, &page, &error), error);
    assert_int_equal(first, second);
    htt_writer_free(writer, second, 1, 0);
    pager_store_commit(&store, writer);
    htt_writer_end(NULL);
    pager_store_close(&store);
}

static void test_writer__edit_of_a_damaged_page_changes_nothing(void **state) {
    pager_store store;
    htt_writer *writer;
    uint8_t *page = NULL;
    uint32_t number = 3;
    htt_error error;

    (void)state;
    pager_store_open(&store, true, 0);
    make_pages(&store, 4);
    pager_store_damage(&store, 3 * PAGER_PAGE + 1000);
    writer = pager_store_begin(&store, 2, 0);
    assert_ok(htt_writer_reserve(writer, 1, &error), error);
    assert_int_equal(htt_writer_edit(writer, &number, &page, &error), HTT_CORRUPT);
    assert_int_equal(error.page, 3);
    assert_int_equal(number, 3);
    assert_null(page);
    assert_int_equal(htt_writer_page_count(writer), 6);
    htt_writer_end(writer);
    pager_store_close(&store);
}

static void test_writer__fills_in_the_checksum_of_the_root_page(void **state) {
    pager_store store;
    htt_writer *writer;
    uint8_t *page;
    htt_root root;
    htt_error error;

    (void)state;
    pager_store_open(&store, false, 1 << 20);
    make_pages(&store, 2);
    assert_true(store.root.page_checksum == 0);
    writer = pager_store_begin(&store, 2, 0);
    root = store.root;
    root.self.epoch = 3;
    root.page = 2; /* of the base */
    assert_ok(htt_writer_flush(writer, &root, false, &error), error);
    assert_true(root.page_checksum != 0);
    assert_ok(htt_writer_reserve(writer, 1, &error), error);
    assert_ok(htt_writer_edit(writer, &root.page, &page, &error), error);
    pager_fill(page, 8);
    assert_ok(htt_writer_flush(writer, &root, false, &error), error);
    assert_true(root.page_checksum == le64_get(page));
    htt_writer_end(writer);
    pager_store_close(&store);
}

static void test_writer__a_page_named_twice_is_damage_and_no_commit(void **state) {
    pager_store store;
    htt_writer *writer;
    htt_root root;
    htt_error error;

    (void)state;
    pager_store_open(&store, true, 0);
    make_pages(&store, 3);
    writer = pager_store_begin(&store, 2, 0);
    assert_ok(htt_writer_reserve(writer, 1, &error), error);
    htt_writer_free(writer, 3, 1, 2);
    htt_writer_free(writer, 2, 2, 2);
    root = store.root;
    assert_int_equal(htt_writer_flush(writer, &root, false, &error), HTT_CORRUPT);
    assert_int_equal(error.page, 3);
    htt_writer_end(writer);
    pager_store_close(&store);
}

/* ------------------------------------------------------------------- the model */

static void run_model(bool mapped, bool low_first, uint64_t budget, size_t items, uint32_t steps) {
    uint64_t seed = page_seed();
    pager_store store;
    pager_model model;

    pager_store_open(&store, mapped, 64 * PAGER_PAGE);
    pager_model_init(&model, &store, seed);
    model.budget = budget;
    model.low_first = low_first;
    model.items_max = items;
    for (uint32_t i = 0; i < steps; i++) {
        pager_model_step(&model);
        if (i % 64 == 0)
            pager_model_check(&model);
    }
    pager_model_check(&model);
    if (model.writer != NULL)
        pager_model_commit(&model);
    pager_model_check(&model);
    print_message("epoch %llu, %u pages, %u free, spilled %llu, reused %llu\n",
                  (unsigned long long)store.root.self.epoch, (unsigned)store.root.page_count,
                  (unsigned)store.root.free_pages, (unsigned long long)model.spilled,
                  (unsigned long long)model.reused);
    pager_model_free(&model);
    pager_store_close(&store);
}

static uint32_t model_steps(void) {
    return getenv("HTT_TEST_LONG") != NULL ? 100000 : 4000;
}

static void test_writer__agrees_with_a_model_in_mapped_mode(void **state) {
    (void)state;
    run_model(true, false, UINT64_C(1) << 30, 300, model_steps());
}

static void test_writer__agrees_with_a_model_in_cached_mode(void **state) {
    (void)state;
    run_model(false, false, UINT64_C(1) << 30, 300, model_steps());
}

static void test_writer__agrees_with_a_model_of_few_pages(void **state) {
    (void)state;
    run_model(true, false, UINT64_C(1) << 30, 12, model_steps());
}

static void test_writer__agrees_with_a_model_when_the_lowest_comes_first(void **state) {
    (void)state;
    run_model(true, true, UINT64_C(1) << 30, 100, model_steps());
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_writer__a_new_page_is_read_back_after_the_commit),
        cmocka_unit_test(test_writer__a_page_of_the_base_is_copied_once),
        cmocka_unit_test(test_writer__an_own_page_goes_and_comes_back_at_once),
        cmocka_unit_test(test_writer__edit_of_a_damaged_page_changes_nothing),
        cmocka_unit_test(test_writer__fills_in_the_checksum_of_the_root_page),
        cmocka_unit_test(test_writer__a_page_named_twice_is_damage_and_no_commit),
        cmocka_unit_test(test_writer__agrees_with_a_model_in_mapped_mode),
        cmocka_unit_test(test_writer__agrees_with_a_model_in_cached_mode),
        cmocka_unit_test(test_writer__agrees_with_a_model_of_few_pages),
        cmocka_unit_test(test_writer__agrees_with_a_model_when_the_lowest_comes_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
