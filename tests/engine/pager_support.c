/* SPDX-License-Identifier: MIT */
/* A store without a tree, for the tests of engine/pager. The model is in pager_model.c. */
#include "pager_support.h"

#include <unistd.h>

#include "page/data.h"
#include "page/free.h"

void pager_store_open(pager_store *store, bool mapped, uint64_t cache_bytes) {
    char path[64];
    htt_error error;

    memset(store, 0, sizeof *store);
    store->fault = fault_env_new(htt_env_system());
    store->env = fault_env_table(store->fault);
    store->mapped = mapped;
    (void)snprintf(path, sizeof path, "pager_test.%d.tmp", (int)getpid());
    assert_int_equal(store->env->open(store->env->context, path, HTT_FILE_CREATE, &store->file), 0);
    assert_int_equal(store->env->unlink(store->env->context, path), 0);
    assert_int_equal(store->env->truncate(store->env->context, store->file, 2 * PAGER_PAGE), 0);
    store->root.self.epoch = 1;
    store->root.page_count = 2;
    store->root.page_size = PAGER_PAGE;
    assert_ok(htt_pages_open(store->env, store->file, PAGER_PAGE, mapped, cache_bytes,
                             &store->pages, &error),
              error);
}

void pager_store_reopen(pager_store *store, bool mapped, uint64_t cache_bytes) {
    htt_error error;

    htt_pages_close(store->pages);
    store->mapped = mapped;
    assert_ok(htt_pages_open(store->env, store->file, PAGER_PAGE, mapped, cache_bytes,
                             &store->pages, &error),
              error);
}

void pager_store_close(pager_store *store) {
    fault_env_disarm(store->fault);
    htt_pages_close(store->pages);
    store->env->close(store->env->context, store->file);
    assert_int_equal(fault_env_held(store->fault), 0);
    fault_env_free(store->fault);
}

htt_writer *pager_store_begin(pager_store *store, uint64_t reuse_limit, uint64_t budget) {
    htt_writer_options options = {.env = store->env,
                                  .file = store->file,
                                  .pages = store->pages,
                                  .base = store->root,
                                  .reuse_limit = reuse_limit,
                                  .budget = budget};
    htt_writer *writer = NULL;
    htt_error error;

    assert_ok(htt_writer_begin(&options, &writer, &error), error);
    return writer;
}

void pager_store_commit(pager_store *store, htt_writer *writer) {
    htt_root root = store->root;
    htt_error error;

    root.self.epoch = htt_writer_epoch(writer);
    assert_ok(htt_writer_flush(writer, &root, false, &error), error);
    store->root = root;
    htt_writer_end(writer);
}

htt_snapshot pager_store_snapshot(const pager_store *store) {
    htt_snapshot snapshot = {store->root.self.epoch, store->root.self.epoch,
                             store->root.page_count};
    return snapshot;
}

void pager_store_put_page(pager_store *store, uint32_t number, uint64_t stamp, uint64_t content) {
    uint64_t offset = (uint64_t)number * PAGER_PAGE;
    uint8_t *page = page_alloc(PAGER_PAGE);

    pager_fill(page, content);
    htt_page_seal(page, PAGER_PAGE, number, stamp);
    assert_int_equal(store->env->write(store->env->context, store->file, page, PAGER_PAGE, offset),
                     0);
    free(page);
    if (store->root.page_count <= number)
        store->root.page_count = number + 1;
}

void pager_store_damage(pager_store *store, uint64_t offset) {
    uint8_t byte;
    size_t got;

    assert_int_equal(store->env->read(store->env->context, store->file, &byte, 1, offset, &got),
                     0);
    byte ^= 0x10;
    assert_int_equal(store->env->write(store->env->context, store->file, &byte, 1, offset), 0);
}

/* ------------------------------------------------------------------ contents */

void pager_fill(uint8_t *page, uint64_t content) {
    uint8_t bytes[8];
    htt_record record = {.key = bytes,
                         .value = bytes,
                         .key_size = sizeof bytes,
                         .value_size = sizeof bytes,
                         .key_type = HTT_BLOB,
                         .value_type = HTT_BLOB};

    le64_put(bytes, content);
    htt_page_init(page, PAGER_PAGE, HTT_PAGE_DATA);
    htt_data_insert(page, PAGER_PAGE, 7, &record);
    /* Something at the other end, too. */
    le64_put(page + PAGER_PAGE / 2, content * UINT64_C(0x9E3779B97F4A7C15));
}

uint64_t pager_content(const uint8_t *page) {
    htt_record record;
    htt_fault fault = {NULL, 0};
    uint64_t content;

    assert_int_equal(htt_page_type(page), HTT_PAGE_DATA);
    assert_sound(htt_data_record(page, PAGER_PAGE, 0, &record, &fault), fault);
    content = le64_get(record.value);
    assert_true(le64_get(page + PAGER_PAGE / 2) == content * UINT64_C(0x9E3779B97F4A7C15));
    return content;
}

void pager_fill_payload(uint8_t *bytes, size_t size, uint64_t content) {
    uint64_t state = content;

    for (size_t i = 0; i < size; i += 8) {
        uint8_t word[8];
        le64_put(word, page_random(&state));
        memcpy(bytes + i, word, size - i < 8 ? size - i : 8);
    }
}

/* --------------------------------------------------------------- the free list */

void pager_mark_free_list(pager_store *store, const htt_root *root, uint8_t *marks) {
    uint8_t *page = page_alloc(PAGER_PAGE);
    uint32_t number = root->free_head;
    uint64_t named = 0;
    uint64_t oldest_before = 0;

    while (number != 0) {
        htt_fault fault = {NULL, 0};
        uint64_t least = UINT64_MAX;
        size_t got;
        assert_true(number < root->page_count);
        assert_int_equal(marks[number], PAGER_NOWHERE);
        marks[number] = PAGER_BLOCK;
        assert_int_equal(store->env->read(store->env->context, store->file, page, PAGER_PAGE,
                                          (uint64_t)number * PAGER_PAGE, &got),
                         0);
        assert_sound(htt_page_check(page, PAGER_PAGE, number, root->self.epoch, &fault), fault);
        assert_int_equal(htt_page_type(page), HTT_PAGE_FREE);
        for (uint32_t i = 0; i < htt_page_count(page); i++) {
            htt_free_run run = htt_free_entry(page, i);
            assert_true(run.died <= root->self.epoch);
            least = run.died < least ? run.died : least;
            for (uint32_t j = 0; j < run.pages; j++) {
                assert_true(run.first + j < root->page_count);
                assert_int_equal(marks[run.first + j], PAGER_NOWHERE);
                marks[run.first + j] = PAGER_NAMED;
                named++;
            }
        }
        assert_true(htt_free_oldest(page) <= least);
        assert_true(htt_free_oldest(page) >= oldest_before);
        oldest_before = htt_free_oldest(page);
        number = htt_free_next(page);
    }
    assert_int_equal(named, root->free_pages);
    free(page);
}
