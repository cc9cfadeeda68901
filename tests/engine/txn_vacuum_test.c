/* SPDX-License-Identifier: MIT */
#include "txn_support.h"

static htt_stat vacuum_stat(htt_store *store) {
    htt_txn *txn = txn_begin(store, HTT_READ);
    htt_stat stat;
    assert_int_equal(htt_txn_stat(txn, &stat), HTT_OK);
    txn_commit(txn);
    return stat;
}

/* Rows of several sizes; most of them deleted again. */
static void vacuum_prepare(htt_store *store, uint64_t rows) {
    for (uint64_t i = 0; i < 2; i++) {
        txn_fill(store, 0, rows, 7, 300);
        txn_fill(store, 0, 30, 7, 30000);
    }
    htt_txn *txn = txn_begin(store, HTT_WRITE);
    for (uint64_t row = 0; row < rows; row++) {
        if (row % 10 != 0)
            txn_del(txn, row);
    }
    txn_commit(txn);
}

static void vacuum_expect(htt_store *store, uint64_t rows) {
    htt_txn *txn = txn_begin(store, HTT_READ);
    for (uint64_t row = 0; row < rows; row++)
        assert_int_equal(txn_get(txn, row), row % 10 == 0 ? 7 : UINT64_MAX);
    txn_commit(txn);
    txn_check(store);
}

static void test_vacuum__gives_free_space_back(void **state) {
    (void)state;
    for (htt_sync sync = HTT_SYNC_FULL; sync <= HTT_SYNC_OFF; sync++) {
        for (uint32_t page_size = 4096; page_size <= 65536; page_size *= 16) {
            crash_fs *disk = crash_fs_new(1);
            htt_options options = txn_options(crash_fs_env(disk));
            options.sync = sync;
            options.page_size = page_size;
            htt_store *store = txn_open_with(&options);
            uint64_t before, after;
            vacuum_prepare(store, 3000);
            assert_int_equal(htt_vacuum(store, &before, &after), HTT_OK);
            const htt_stat stat = vacuum_stat(store);
            const uint32_t used = 2 + stat.data_pages + stat.index_pages + stat.overflow_pages;
            assert_true(after < before / 2);
            assert_int_equal(after, stat.file_bytes);
            assert_int_equal(after, (uint64_t)stat.page_count * page_size);
            assert_true(stat.page_count <= used + used / 10 + 8);
            vacuum_expect(store, 3000);
            assert_int_equal(htt_vacuum(store, &before, &after), HTT_OK); /* nothing to do */
            assert_true(after <= before + 2 * page_size);
            vacuum_expect(store, 3000);
            txn_fill(store, 0, 3000, 8, 300);
            txn_check(store);
            htt_close(store);
            txn_free_disk(disk);
        }
    }
}

static void test_vacuum__a_reader_keeps_its_pages(void **state) {
    (void)state;
    for (unsigned flags = 0; flags <= HTT_OPEN_NO_MMAP; flags += HTT_OPEN_NO_MMAP) {
        crash_fs *disk = crash_fs_new(1);
        htt_store *store = txn_open(crash_fs_env(disk));
        htt_options options = txn_options(crash_fs_new_process(disk));
        options.flags |= flags;
        options.cache_bytes = 4096;
        htt_store *other = txn_open_with(&options);
        uint64_t before, after, last;
        txn_fill(store, 0, 2000, 5, 300);
        htt_txn *reader = txn_begin(other, HTT_READ);
        vacuum_prepare(store, 2000);
        assert_int_equal(htt_vacuum(store, &before, &after), HTT_OK);
        txn_expect(reader, 0, 2000, 5);
        txn_commit(reader);
        assert_int_equal(htt_vacuum(other, &before, &last), HTT_OK);
        assert_true(last < after);
        vacuum_expect(store, 2000);
        vacuum_expect(other, 2000);
        htt_close(other);
        htt_close(store);
        txn_free_disk(disk);
    }
}

static void test_vacuum__is_refused_inside_a_write_transaction(void **state) {
    (void)state;
    crash_fs *disk = crash_fs_new(1);
    htt_store *store = txn_open(crash_fs_env(disk));
    uint64_t before = 1, after = 1;
    htt_txn *txn = txn_begin(store, HTT_WRITE);
    assert_int_equal(htt_vacuum(store, &before, &after), HTT_BUSY);
    assert_int_equal(before + after, 2); /* untouched */
    htt_abort(txn);
    assert_int_equal(htt_vacuum(store, NULL, &after), HTT_MISUSE);
    assert_int_equal(htt_vacuum(NULL, &before, &after), HTT_MISUSE);
    assert_int_equal(htt_vacuum(store, &before, &after), HTT_OK);
    assert_true(after <= before);
    htt_close(store);
    txn_free_disk(disk);
}

static void test_vacuum__a_crash_at_any_moment_loses_nothing(void **state) {
    (void)state;
    crash_fs *disk = crash_fs_new(1);
    htt_store *store = txn_open(crash_fs_env(disk));
    uint64_t before, after;
    vacuum_prepare(store, 400);
    const size_t first = crash_fs_position(disk);
    assert_int_equal(htt_vacuum(store, &before, &after), HTT_OK);
    htt_close(store);
    for (size_t at = first; at <= crash_fs_position(disk); at++) {
        for (size_t i = 0; i < crash_fs_cut_count(disk, at, 8); i++) {
            crash_fs *dark = crash_fs_cut(disk, at, i, 8);
            store = txn_open(crash_fs_env(dark));
            vacuum_expect(store, 400);
            htt_close(store);
            txn_free_disk(dark);
        }
    }
    txn_free_disk(disk);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vacuum__gives_free_space_back),
        cmocka_unit_test(test_vacuum__a_reader_keeps_its_pages),
        cmocka_unit_test(test_vacuum__is_refused_inside_a_write_transaction),
        cmocka_unit_test(test_vacuum__a_crash_at_any_moment_loses_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
