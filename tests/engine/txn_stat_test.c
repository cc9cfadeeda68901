/* SPDX-License-Identifier: MIT */
#include "txn_support.h"

static htt_stat stat_of(htt_store *store) {
    htt_txn *txn = txn_begin(store, HTT_READ);
    htt_stat stat;
    assert_int_equal(htt_txn_stat(txn, &stat), HTT_OK);
    txn_commit(txn);
    return stat;
}

static void test_stat__pages_add_up(void **state) {
    (void)state;
    for (uint32_t page_size = 4096; page_size <= 65536; page_size *= 16) {
        crash_fs *disk = crash_fs_new(1);
        htt_options options = txn_options(crash_fs_env(disk));
        options.page_size = page_size;
        htt_store *store = txn_open_with(&options);
        htt_stat stat = stat_of(store);
        assert_int_equal(stat.keys, 0);
        assert_int_equal(stat.page_count, 2);
        assert_int_equal(stat.depth_max, 0);
        for (uint64_t i = 0; i < 4; i++) {
            txn_fill(store, 0, 3000, i, 100);
            txn_fill(store, 0, 10, i, 100000);
        }
        stat = stat_of(store);
        assert_int_equal(stat.page_size, page_size);
        assert_int_equal(stat.keys, 3000);
        assert_int_equal(stat.epoch, 9);
        assert_true(stat.payload_bytes >= 2990 * 100 + 10 * 100000);
        assert_true(stat.payload_bytes <= 2990 * 102 + 10 * 100002);
        assert_int_equal(2 + stat.data_pages + stat.index_pages + stat.overflow_pages +
                             stat.free_pages + stat.free_list_pages,
                         stat.page_count);
        assert_int_equal(stat.overflow_pages, 10 * ((100000 + 40 + page_size - 1) / page_size));
        assert_true(stat.index_nodes >= stat.index_pages);
        assert_true(stat.depth_average <= stat.depth_max);
        assert_true(stat.depth_max >= 1);
        assert_true(stat.utilisation > 0.5 && stat.utilisation <= 1);
        assert_true(stat.file_bytes >= (uint64_t)stat.page_count * page_size);
        assert_true(stat.free_pages > 0);
        htt_close(store);
        txn_free_disk(disk);
    }
}

static void test_stat__counts_readers_of_all_processes(void **state) {
    (void)state;
    crash_fs *disk = crash_fs_new(1);
    const htt_env *victim = crash_fs_new_process(disk);
    htt_store *a = txn_open(crash_fs_env(disk));
    htt_store *b = txn_open(victim);
    assert_int_equal(stat_of(a).readers, 1); /* itself */
    htt_txn *txn = txn_begin(b, HTT_READ);
    assert_int_equal(stat_of(a).readers, 2);
    crash_fs_kill_process(disk, victim);
    assert_int_equal(stat_of(a).readers, 1);
    htt_abort(txn);
    htt_close(b);
    htt_close(a);
    txn_free_disk(disk);
}

static void test_stat__looks_at_the_state_of_its_transaction(void **state) {
    (void)state;
    crash_fs *disk = crash_fs_new(1);
    htt_store *store = txn_open(crash_fs_env(disk));
    htt_txn *txn = txn_begin(store, HTT_WRITE);
    htt_stat stat;
    for (uint64_t row = 0; row < 1000; row++)
        txn_put(txn, row, 1, 100);
    assert_int_equal(htt_txn_stat(txn, &stat), HTT_OK);
    assert_int_equal(stat.keys, 1000);
    assert_true(stat.data_pages > 20);
    assert_int_equal(htt_txn_stat(txn, NULL), HTT_MISUSE);
    assert_int_equal(htt_txn_stat(NULL, &stat), HTT_MISUSE);
    htt_abort(txn);
    assert_int_equal(stat_of(store).keys, 0);
    htt_close(store);
    txn_free_disk(disk);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stat__pages_add_up),
        cmocka_unit_test(test_stat__counts_readers_of_all_processes),
        cmocka_unit_test(test_stat__looks_at_the_state_of_its_transaction),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
