/* SPDX-License-Identifier: MIT */
/*
 * Files with right checksums and wrong content, as somebody might make them on purpose. Most were
 * found by fuzzing; each test says what was wrong with the answer.
 */
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "page/free.h"
#include "page/meta.h"
#include "support/test_env_memory.h"
#include "support/test_repair.h"

#define CRAFTED_PATH "kv.htt"
#define CRAFTED_COPY "copy.htt"

enum { ROOT = 64, ROOT_EPOCH = 24, ROOT_KEYS = 64, ROOT_BYTES = 72, COUNTER = 32 };

typedef struct crafted {
    memory_fs *fs;      /* the disk */
    uint32_t page_size; /* of the file */
    uint8_t *bytes;     /* of the file, to be changed */
    size_t size;        /* of bytes */
    htt_meta meta;      /* the newest */
    htt_error error;    /* of the last open */
} crafted;

static htt_store *crafted_open(crafted *c) {
    htt_options options;
    htt_store *store = NULL;
    htt_options_init(&options);
    options.env = memory_fs_env(c->fs);
    options.page_size = c->page_size;
    return htt_open(CRAFTED_PATH, &options, &store, &c->error) == HTT_OK ? store : NULL;
}

static htt_txn *crafted_begin(htt_store *store, unsigned mode) {
    htt_txn *txn = NULL;
    const htt_rc rc = htt_begin(store, mode, &txn);
    if (rc != HTT_OK) {
        fail_msg("begin: %s", htt_errmsg(store));
    }
    return txn;
}

static htt_rc crafted_put(htt_txn *txn, uint32_t row, size_t size) {
    static const uint8_t zeros[4096];
    uint8_t scratch[HTT_NUMBER_SIZE];
    return htt_put(txn, htt_integer(row, scratch), htt_blob(zeros, size), 0);
}

static htt_rc crafted_del(htt_txn *txn, uint32_t row) {
    uint8_t scratch[HTT_NUMBER_SIZE];
    return htt_del(txn, htt_integer(row, scratch));
}

static void crafted_read_metas(crafted *c) {
    htt_meta meta;
    htt_fault fault;
    c->meta.counter = 0;
    for (uint32_t slot = 0; slot < 2; slot++) {
        if (htt_meta_decode(c->bytes + (size_t)slot * c->page_size, c->page_size, &meta, &fault) ==
                HTT_META_VALID &&
            meta.counter > c->meta.counter) {
            c->meta = meta;
        }
    }
    assert_int_not_equal(c->meta.counter, 0);
}

/* A store of rows 0 to rows - 1, of 200 bytes each; then rows 0 to deleted - 1 go. */
static crafted crafted_new(uint32_t page_size, uint32_t rows, uint32_t deleted) {
    crafted c = {.fs = memory_fs_new(3), .page_size = page_size};
    htt_store *store = crafted_open(&c);
    assert_non_null(store);
    htt_txn *txn = crafted_begin(store, HTT_WRITE);
    for (uint32_t row = 0; row < rows; row++) {
        assert_int_equal(crafted_put(txn, row, 200), HTT_OK);
    }
    assert_int_equal(htt_commit(txn), HTT_OK);
    txn = crafted_begin(store, HTT_WRITE);
    for (uint32_t row = 0; row < deleted; row++) {
        assert_int_equal(crafted_del(txn, row), HTT_OK);
    }
    assert_int_equal(htt_commit(txn), HTT_OK);
    htt_close(store);
    const uint8_t *bytes = memory_fs_get_file(c.fs, CRAFTED_PATH, &c.size);
    c.bytes = malloc(c.size);
    assert_non_null(c.bytes);
    memcpy(c.bytes, bytes, c.size);
    crafted_read_metas(&c);
    return c;
}

/* The changed bytes become the file. */
static void crafted_set(crafted *c) {
    repair_file(c->bytes, c->size, REPAIR_ALL);
    memory_fs_put_file(c->fs, CRAFTED_PATH, c->bytes, c->size);
}

/* A field of both root records. */
static void crafted_set_root(crafted *c, uint32_t offset, uint64_t value) {
    for (uint32_t slot = 0; slot < 2; slot++) {
        le64_put(c->bytes + (size_t)slot * c->page_size + ROOT + offset, value);
    }
    crafted_set(c);
}

static uint64_t crafted_problems(htt_store *store) {
    uint64_t problems = 0;
    htt_txn *txn = crafted_begin(store, HTT_READ);
    assert_int_equal(htt_check(txn, HTT_CHECK_DEEP, NULL, NULL, &problems), HTT_OK);
    htt_abort(txn);
    return problems;
}

static void crafted_free(crafted *c) {
    assert_int_equal(memory_fs_held(c->fs), 0);
    memory_fs_free(c->fs);
    free(c->bytes);
}

/* Only 4096 bytes of the meta page were written; its checksum was wrong then. */
static void test_crafted__bytes_behind_4096_of_a_meta_page_go_with_the_next(void **state) {
    (void)state;
    crafted c = crafted_new(8192, 10, 0);
    c.bytes[5000] = 1;
    c.bytes[8192 + 6000] = 1;
    crafted_set(&c);
    htt_store *store = crafted_open(&c);
    assert_non_null(store);
    for (uint32_t i = 0; i < 3; i++) {
        htt_txn *txn = crafted_begin(store, HTT_WRITE);
        assert_int_equal(crafted_put(txn, 100 + i, 10), HTT_OK);
        assert_int_equal(htt_commit(txn), HTT_OK);
        assert_int_equal(crafted_problems(store), 0);
    }
    htt_close(store);
    store = crafted_open(&c);
    assert_non_null(store);
    assert_int_equal(crafted_problems(store), 0);
    htt_close(store);
    crafted_free(&c);
}

/* The largest epoch was taken for "no pin", an assertion; one more would have been 0. */
static void test_crafted__numbers_that_would_wrap_are_refused(void **state) {
    static const uint32_t fields[] = {ROOT_EPOCH, ROOT_KEYS, ROOT_BYTES};
    (void)state;
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        crafted c = crafted_new(4096, 10, 0);
        crafted_set_root(&c, fields[i], HTT_META_COUNT_MAX + 1);
        assert_null(crafted_open(&c));
        assert_int_equal(c.error.rc, HTT_CORRUPT);
        assert_non_null(strstr(c.error.text, "too large"));
        crafted_free(&c);
    }
    crafted c = crafted_new(4096, 10, 0);
    le64_put(c.bytes + COUNTER, UINT64_MAX);
    le64_put(c.bytes + 4096 + COUNTER, UINT64_MAX);
    crafted_set(&c);
    assert_null(crafted_open(&c));
    assert_non_null(strstr(c.error.text, "too large"));
    crafted_free(&c);
}

static void test_crafted__the_last_epoch_can_be_read_and_not_written(void **state) {
    (void)state;
    crafted c = crafted_new(4096, 10, 0);
    htt_txn *txn = NULL;
    crafted_set_root(&c, ROOT_EPOCH, HTT_META_COUNT_MAX);
    htt_store *store = crafted_open(&c);
    assert_non_null(store);
    assert_int_equal(htt_begin(store, HTT_WRITE, &txn), HTT_FULL);
    assert_non_null(strstr(htt_errmsg(store), "epochs"));
    assert_int_equal(crafted_problems(store), 0);
    htt_close(store);
    crafted_free(&c);
}

/* The number of rows was looked up in a transaction that had been freed. */
static void test_crafted__backup_tells_a_wrong_number_of_rows(void **state) {
    (void)state;
    crafted c = crafted_new(4096, 10, 0);
    htt_file_info info;
    crafted_set_root(&c, ROOT_KEYS, 12);
    htt_store *store = crafted_open(&c);
    assert_non_null(store);
    htt_txn *txn = crafted_begin(store, HTT_READ);
    assert_int_equal(htt_backup(txn, CRAFTED_COPY), HTT_CORRUPT);
    assert_non_null(strstr(htt_txn_errmsg(txn), "10 rows"));
    assert_non_null(strstr(htt_txn_errmsg(txn), "12"));
    htt_abort(txn);
    const htt_env *env = memory_fs_env(c.fs);
    assert_int_equal(env->path_info(env->context, CRAFTED_COPY, &info), ENOENT);
    htt_close(store);
    crafted_free(&c);
}

/* Rows went to -1, or to 0 with a row left: an assertion, and a file that nobody can open. */
static void test_crafted__a_wrong_number_of_rows_is_not_committed(void **state) {
    (void)state;
    for (uint32_t keys = 9; keys <= 11; keys += 2) {
        crafted c = crafted_new(4096, 10, 0);
        crafted_set_root(&c, ROOT_KEYS, keys);
        htt_store *store = crafted_open(&c);
        assert_non_null(store);
        htt_txn *txn = crafted_begin(store, HTT_WRITE);
        for (uint32_t row = 0; row < (keys < 10 ? 9 : 10); row++) {
            assert_int_equal(crafted_del(txn, row), HTT_OK);
        }
        assert_int_equal(htt_commit(txn), HTT_CORRUPT);
        assert_string_not_equal(htt_errmsg(store), "");
        htt_close(store);
        store = crafted_open(&c);
        assert_non_null(store);
        assert_true(crafted_problems(store) > 0);
        htt_close(store);
        crafted_free(&c);
    }
}

/* Makes the free list name `page` alone, and writes rows until it is taken. */
static void crafted_use_free(uint32_t page, bool mapped) {
    crafted c = crafted_new(4096, 300, 250);
    htt_options options;
    htt_store *store = NULL;
    assert_int_not_equal(c.meta.root.free_head, 0);
    uint8_t *list = c.bytes + (size_t)c.meta.root.free_head * 4096;
    for (uint32_t i = 0; i < htt_page_count(list); i++) {
        uint8_t *entry = list + HTT_FREE_ENTRIES + (size_t)i * HTT_FREE_ENTRY_SIZE;
        le32_put(entry, i % 2 == 0 ? page : page + 1);
        le32_put(entry + 4, 1);
        le64_put(entry + 8, 0);
    }
    le64_put(list + HTT_FREE_OLDEST, 0);
    crafted_set(&c);
    htt_options_init(&options);
    options.env = memory_fs_env(c.fs);
    options.flags = mapped ? 0 : HTT_OPEN_NO_MMAP;
    assert_int_equal(htt_open(CRAFTED_PATH, &options, &store, NULL), HTT_OK);
    for (uint32_t round = 0; round < 4; round++) {
        htt_txn *txn = crafted_begin(store, HTT_WRITE);
        htt_rc rc = HTT_OK;
        for (uint32_t row = 0; row < 400 && rc != HTT_IO; row++) {
            rc = row % 3 == 2 ? crafted_del(txn, row) : crafted_put(txn, row, (row * 7) % 900);
            assert_true(rc == HTT_OK || rc == HTT_NOTFOUND || htt_txn_errmsg(txn)[0] != '\0');
        }
        rc = htt_commit(txn);
        assert_true(rc == HTT_OK || htt_errmsg(store)[0] != '\0');
        (void)crafted_problems(store);
    }
    htt_close(store);
    crafted_free(&c);
}

/* A node was written into the page that was the leaf of the same path. */
static void test_crafted__a_free_list_may_name_any_page(void **state) {
    (void)state;
    const crafted c = crafted_new(4096, 300, 250);
    for (uint32_t page = 2; page + 1 < c.meta.root.page_count; page++) {
        crafted_use_free(page, page % 2 == 0);
    }
    memory_fs_free(c.fs);
    free(c.bytes);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_crafted__bytes_behind_4096_of_a_meta_page_go_with_the_next),
        cmocka_unit_test(test_crafted__numbers_that_would_wrap_are_refused),
        cmocka_unit_test(test_crafted__the_last_epoch_can_be_read_and_not_written),
        cmocka_unit_test(test_crafted__backup_tells_a_wrong_number_of_rows),
        cmocka_unit_test(test_crafted__a_wrong_number_of_rows_is_not_committed),
        cmocka_unit_test(test_crafted__a_free_list_may_name_any_page),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
