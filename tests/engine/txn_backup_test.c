/* SPDX-License-Identifier: MIT */
#include "txn_support.h"

#define COPY "copy.htt"

static void test_backup__is_a_file_of_its_own_with_the_rows_of_the_snapshot(void **state) {
    (void)state;
    for (uint32_t page_size = 4096; page_size <= 65536; page_size *= 16) {
        crash_fs *disk = crash_fs_new(1);
        htt_options options = txn_options(crash_fs_env(disk));
        options.page_size = page_size;
        options.declaration = "k, v";
        htt_store *store = txn_open_with(&options);
        for (uint64_t i = 0; i < 3; i++) {
            txn_fill(store, 0, 1000, i, 200);
            txn_fill(store, 0, 5, i, 50000);
        }
        htt_txn *txn = txn_begin(store, HTT_READ);
        txn_fill(store, 0, 2000, 9, 200);
        assert_int_equal(htt_backup(txn, COPY), HTT_OK);
        assert_int_equal(htt_backup(txn, COPY), HTT_EXISTS);
        assert_non_null(strstr(htt_txn_errmsg(txn), COPY));
        txn_commit(txn);
        /* Durable, name and all. */
        crash_fs *after = crash_fs_cut(disk, crash_fs_position(disk), 0, 10);
        htt_store *copy = NULL;
        options.env = crash_fs_env(after);
        options.flags = 0;
        assert_int_equal(htt_open(COPY, &options, &copy, NULL), HTT_OK);
        htt_info info;
        htt_store_info(copy, &info);
        assert_string_equal(info.declaration, "k, v");
        assert_int_equal(info.page_size, page_size);
        assert_memory_not_equal(info.uuid, store->uuid, 16);
        assert_int_not_equal(copy->seed, store->seed);
        txn = txn_begin(copy, HTT_READ);
        uint64_t count;
        assert_int_equal(htt_count(txn, &count), HTT_OK);
        assert_int_equal(count, 1000);
        txn_expect(txn, 0, 1000, 2);
        txn_commit(txn);
        txn_check(copy);
        txn_fill(copy, 0, 10, 5, 10);
        htt_close(copy);
        htt_close(store);
        txn_free_disk(after);
        txn_free_disk(disk);
    }
}

static void test_backup__of_an_empty_store_and_of_a_write_transaction(void **state) {
    (void)state;
    crash_fs *disk = crash_fs_new(1);
    htt_store *store = txn_open(crash_fs_env(disk));
    htt_txn *txn = txn_begin(store, HTT_WRITE);
    assert_int_equal(htt_backup(txn, COPY), HTT_OK);
    for (uint64_t row = 0; row < 500; row++)
        txn_put(txn, row, 1, 100);
    assert_int_equal(htt_backup(txn, "copy2.htt"), HTT_OK);
    htt_abort(txn);
    htt_options options = txn_options(crash_fs_env(disk));
    htt_store *copy = NULL;
    assert_int_equal(htt_open(COPY, &options, &copy, NULL), HTT_OK);
    assert_int_equal(txn_read(copy, 1), UINT64_MAX);
    txn_check(copy);
    htt_close(copy);
    assert_int_equal(htt_open("copy2.htt", &options, &copy, NULL), HTT_OK);
    assert_int_equal(txn_read(copy, 499), 1);
    txn_check(copy);
    htt_close(copy);
    htt_close(store);
    txn_free_disk(disk);
}

static void test_backup__a_failed_one_is_removed(void **state) {
    (void)state;
    crash_fs *disk = crash_fs_new(1);
    fault_env *fault = fault_env_new(crash_fs_env(disk));
    htt_store *store = txn_open(fault_env_table(fault));
    size_t size;
    txn_fill(store, 0, 300, 1, 200);
    for (uint64_t nth = 1;; nth++) {
        htt_txn *txn = txn_begin(store, HTT_READ);
        const fault_plan plan = {.kinds = FAULT_SPACE, .nth = nth, .error = ENOSPC};
        fault_env_arm(fault, &plan);
        const htt_rc rc = htt_backup(txn, COPY);
        const uint64_t failures = fault_env_failures(fault);
        fault_env_disarm(fault);
        uint8_t *bytes = crash_fs_get_file(disk, COPY, &size);
        free(bytes);
        if (rc == HTT_OK) { /* done, or the failure did not matter: less space was enough */
            const htt_env *env = crash_fs_env(disk);
            assert_non_null(bytes);
            assert_int_equal(env->unlink(env->context, COPY), 0);
            htt_abort(txn);
            if (failures == 0)
                break;
            continue;
        }
        assert_true(rc == HTT_FULL || rc == HTT_IO);
        assert_non_null(strstr(htt_txn_errmsg(txn), COPY));
        assert_null(bytes);
        txn_expect(txn, 0, 300, 1); /* the transaction goes on */
        txn_commit(txn);
        assert_true(nth < 1000);
    }
    txn_fill(store, 0, 300, 2, 200);
    htt_close(store);
    assert_int_equal(fault_env_held(fault), 0);
    fault_env_free(fault);
    txn_free_disk(disk);
}

static void test_backup__one_that_was_cut_short_is_no_store(void **state) {
    (void)state;
    crash_fs *disk = crash_fs_new(1);
    htt_store *store = txn_open(crash_fs_env(disk));
    txn_fill(store, 0, 100, 1, 200);
    htt_txn *txn = txn_begin(store, HTT_READ);
    const size_t first = crash_fs_position(disk);
    assert_int_equal(htt_backup(txn, COPY), HTT_OK);
    txn_commit(txn);
    for (size_t at = first; at < crash_fs_position(disk); at++) {
        for (size_t i = 0; i < crash_fs_cut_count(disk, at, 12); i++) {
            crash_fs *after = crash_fs_cut(disk, at, i, 12);
            htt_options options = txn_options(crash_fs_env(after));
            htt_store *copy = NULL;
            options.flags = 0;
            if (htt_open(COPY, &options, &copy, NULL) == HTT_OK) {
                txn = txn_begin(copy, HTT_READ);
                txn_expect(txn, 0, 100, 1);
                txn_commit(txn);
                txn_check(copy);
                htt_close(copy);
            }
            txn_free_disk(after);
        }
    }
    htt_close(store);
    txn_free_disk(disk);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_backup__is_a_file_of_its_own_with_the_rows_of_the_snapshot),
        cmocka_unit_test(test_backup__of_an_empty_store_and_of_a_write_transaction),
        cmocka_unit_test(test_backup__a_failed_one_is_removed),
        cmocka_unit_test(test_backup__one_that_was_cut_short_is_no_store),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
