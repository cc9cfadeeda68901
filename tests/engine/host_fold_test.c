/* SPDX-License-Identifier: MIT */
/*
 * What a host uses to fold many rows: their order, little memory for pages, and the number that
 * tells whether the meta pages are what they were.
 */
#include <stdlib.h>

#include "host_support.h"

enum { FOLD_ROWS = 4000, FOLD_VALUE = 900 };

static htt_datum fold_key(uint32_t row, char bytes[32]) {
    (void)snprintf(bytes, 32, "another row %u", (unsigned)row);
    return htt_text(bytes);
}

static int fold_compare(const void *left, const void *right) {
    const uint64_t a = *(const uint64_t *)left;
    const uint64_t b = *(const uint64_t *)right;
    return a < b ? -1 : a > b;
}

/* Puts all rows in the order that the store wants, with `budget` bytes. */
static void fold_put_all(host_process *process, host_oracle *oracle, uint64_t budget,
                         uint8_t fill) {
    static uint64_t order[FOLD_ROWS];
    uint8_t value[FOLD_VALUE];
    char bytes[32];
    memset(value, fill, sizeof value);
    process->budget = budget;
    host_begin_ok(process, oracle);
    for (uint32_t i = 0; i < FOLD_ROWS; i++) {
        order[i] = (uint64_t)htt_host_order(process->txn, fold_key(i, bytes)) << 32 | i;
        assert_int_equal(htt_host_order(process->txn, fold_key(i, bytes)), order[i] >> 32);
    }
    qsort(order, FOLD_ROWS, sizeof order[0], fold_compare);
    if (fill > 0) { /* before, the tree is a page or two and has no order */
        assert_true(order[0] >> 32 < UINT32_MAX / 8);
        assert_true(order[FOLD_ROWS - 1] >> 32 > UINT32_MAX / 8 * 7);
    }
    for (uint32_t i = 0; i < FOLD_ROWS; i++)
        assert_int_equal(htt_put(process->txn, fold_key((uint32_t)order[i], bytes),
                                 htt_blob(value, sizeof value), 0), HTT_OK);
    assert_int_equal(host_publish(process, oracle), HTT_OK);
    for (uint32_t i = 0; i < FOLD_ROWS; i++) {
        htt_datum found;
        assert_int_equal(htt_get(process->txn, fold_key(i, bytes), &found), HTT_OK);
        assert_int_equal(found.size, sizeof value);
        assert_memory_equal(found.data, value, sizeof value);
    }
    assert_int_equal(host_commit(process, HOST_COMPLETE), 0);
}

static void test_host_fold__rows_in_order_need_little_memory(void **state) {
    (void)state;
    assert_int_equal(htt_host_order(NULL, htt_null()), 0);
    crash_fs *disk = crash_fs_new(1);
    host_oracle *oracle = host_oracle_new();
    host_process a;
    host_db db;
    host_create(&a, crash_fs_env(disk), &db, HOST_WAL, oracle);
    host_fold(&a, oracle, 0, HOST_ROWS, 1);
    static const uint64_t budgets[] = {0, 1, 64 * 1024, UINT64_MAX};
    for (size_t i = 0; i < sizeof budgets / sizeof budgets[0]; i++) {
        fold_put_all(&a, oracle, budgets[i], (uint8_t)i);
    }
    host_close(&a);
    free(oracle);
    txn_free_disk(disk);
}

static void test_host_fold__generation_changes_with_the_meta_pages(void **state) {
    (void)state;
    crash_fs *disk = crash_fs_new(1);
    host_oracle *oracle = host_oracle_new();
    host_process a, b;
    host_db db;
    host_create(&a, crash_fs_env(disk), &db, HOST_WAL, oracle);
    host_open_at(&b, crash_fs_new_process(disk), &db, TXN_PATH, HTT_OPEN_NO_MMAP);
    assert_int_equal(htt_host_generation(NULL), 0);
    for (uint16_t i = 1; i < 6; i++) {
        const uint64_t before = htt_host_generation(a.store);
        assert_true(before != 0);
        assert_true(htt_host_generation(b.store) == before);
        assert_int_equal(host_read(b.store, &db.row, oracle, false), HTT_OK);
        assert_true(htt_host_generation(a.store) == before);
        host_begin_ok(&a, oracle);
        const uint64_t begun = htt_host_generation(b.store);
        assert_true(begun != before);
        assert_int_equal(host_put(&a, 3, i), HTT_OK);
        assert_int_equal(host_publish(&a, oracle), HTT_OK);
        if (i % 2 == 0) {
            assert_int_equal(host_commit(&a, HOST_COMPLETE), 0);
        } else {
            host_rollback(&a);
            (void)host_acknowledge(&a);
        }
        assert_true(htt_host_generation(b.store) != before);
    }
    host_close(&a);
    host_close(&b);
    free(oracle);
    txn_free_disk(disk);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_host_fold__rows_in_order_need_little_memory),
        cmocka_unit_test(test_host_fold__generation_changes_with_the_meta_pages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
