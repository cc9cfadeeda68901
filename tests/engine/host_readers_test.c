/* SPDX-License-Identifier: MIT */
/*
 * ctest: timeout=240
 *
 * Readers of a hosted file: pins that come late, rest, wake and are taken away.
 */
#include "host_support.h"


static void test_host_readers__b1_a_root_that_is_pinned_late_is_gone_or_right(void **state) {
    (void)state;
    for (unsigned flags = 0; flags <= HTT_OPEN_NO_MMAP; flags += HTT_OPEN_NO_MMAP) {
        crash_fs *disk = crash_fs_new(1);
        host_oracle *oracle = host_oracle_new();
        host_row rows[100];
        host_process a, b;
        host_db db;
        uint32_t gone = 0, right = 0;
        host_create(&a, crash_fs_env(disk), &db, HOST_WAL, oracle);
        host_open_at(&b, crash_fs_new_process(disk), &db, TXN_PATH, flags);
        for (uint16_t i = 0; i < 90; i++) {
            rows[i] = db.row;
            host_fold(&a, oracle, i % 7, 20 + i % 20, (uint16_t)(i + 1));
            for (uint16_t back = 0; back <= i; back++) {
                const htt_rc rc = host_read(b.store, &rows[back], oracle, back % 16 == 0);
                assert_true(rc == HTT_OK || rc == HTT_SNAPSHOT);
                gone += rc == HTT_SNAPSHOT;
                right += rc == HTT_OK;
            }
            assert_non_null(strstr(htt_errmsg(b.store), i > 3 ? "begin a new" : ""));
        }
        assert_true(gone > 3000);
        assert_true(right >= 90);
        host_check(&b, oracle);
        host_close(&a);
        host_close(&b);
        free(oracle);
        txn_free_disk(disk);
    }
}

static void test_host_readers__a_reader_at_work_keeps_its_state(void **state) {
    (void)state;
    crash_fs *disk = crash_fs_new(1);
    host_oracle *oracle = host_oracle_new();
    host_process a, b;
    host_db db;
    host_create(&a, crash_fs_env(disk), &db, HOST_WAL, oracle);
    host_open(&b, crash_fs_new_process(disk), &db);
    host_fold(&a, oracle, 0, HOST_ROWS, 1);
    htt_txn *txn = host_reader(&b);
    const uint32_t seen = db.row.state;
    for (uint16_t i = 2; i < 80; i++) {
        host_fold(&a, oracle, 0, HOST_ROWS, i);
        crash_fs_env(disk)->sleep_us(crash_fs_env(disk)->context, 5000000);
    }
    host_expect_rows(txn, oracle->rows[seen]);
    htt_host_root root;
    assert_int_equal(htt_host_root_read(db.row.record, HTT_HOST_RECORD_SIZE, &root, NULL), HTT_OK);
    assert_int_equal(htt_host_renew(txn, &root), HTT_OK);
    host_expect_rows(txn, oracle->rows[db.row.state]);
    htt_abort(txn);
    host_close(&a);
    host_close(&b);
    free(oracle);
    txn_free_disk(disk);
}

/* Between two renewals of one root others may have gone on, or not. */
static void test_host_readers__one_that_renews_its_root_finds_it_whole_or_gone(void **state) {
    (void)state;
    for (unsigned flags = 0; flags <= HTT_OPEN_NO_MMAP; flags += HTT_OPEN_NO_MMAP) {
        crash_fs *disk = crash_fs_new(1);
        host_oracle *oracle = host_oracle_new();
        host_process a, b;
        host_db db;
        uint32_t kept = 0;
        host_create(&a, crash_fs_env(disk), &db, HOST_WAL, oracle);
        host_open_at(&b, crash_fs_new_process(disk), &db, TXN_PATH, flags);
        host_fold(&a, oracle, 0, HOST_ROWS, 1);
        htt_txn *txn = host_reader(&b);
        const uint32_t seen = db.row.state;
        htt_host_root root;
        assert_int_equal(htt_host_root_read(db.row.record, HTT_HOST_RECORD_SIZE, &root, NULL),
                         HTT_OK);
        htt_rc rc = HTT_OK;
        for (uint16_t i = 2; rc == HTT_OK && i < 100; i++) {
            htt_reset(txn);
            for (int again = 0; rc == HTT_OK && again < 3; again++) {
                rc = htt_host_renew(txn, &root); /* the first time with new meta pages */
                if (rc == HTT_OK)
                    host_expect_rows(txn, oracle->rows[seen]);
                htt_reset(txn);
            }
            kept += rc == HTT_OK;
            host_fold(&a, oracle, 0, HOST_ROWS, i);
        }
        assert_int_equal(rc, HTT_SNAPSHOT);
        assert_true(kept >= 1);
        assert_int_equal(htt_host_renew(txn, &root), HTT_SNAPSHOT); /* and stays gone */
        assert_int_equal(htt_host_root_read(db.row.record, HTT_HOST_RECORD_SIZE, &root, NULL),
                         HTT_OK);
        for (int again = 0; again < 2; again++) {
            assert_int_equal(htt_host_renew(txn, &root), HTT_OK);
            host_expect_rows(txn, oracle->rows[db.row.state]);
        }
        htt_abort(txn);
        host_close(&a);
        host_close(&b);
        free(oracle);
        txn_free_disk(disk);
    }
}

static void test_host_readers__b2_a_resting_pin_goes_after_a_minute_or_where_space_is_needed(
    void **state) {
    (void)state;
    for (int slow = 0; slow < 2; slow++) {
        crash_fs *disk = crash_fs_new(1);
        const htt_env *env = crash_fs_env(disk);
        host_oracle *oracle = host_oracle_new();
        host_process a, b;
        uint8_t key[8];
        host_db db;
        htt_datum value;
        uint32_t kept = 0;
        host_create(&a, env, &db, HOST_WAL, oracle);
        host_open(&b, crash_fs_new_process(disk), &db);
        host_fold(&a, oracle, 0, HOST_ROWS, 1);
        htt_txn *txn = host_reader(&b);
        const uint32_t seen = db.row.state;
        htt_host_rest(txn);
        assert_int_equal(htt_get(txn, htt_integer(1, key), &value), HTT_MISUSE);
        htt_rc rc = HTT_OK;
        for (uint16_t i = 2; rc == HTT_OK && i < 300; i++) {
            host_fold(&a, oracle, 0, slow == 1 ? 1 : HOST_ROWS, i);
            rc = htt_host_wake(txn);
            if (rc == HTT_OK) {
                host_expect_rows(txn, oracle->rows[seen]);
                kept++;
                htt_host_rest(txn);
            }
            if (slow == 1)
                env->sleep_us(env->context, kept < 20 ? 1000000 : 61000000);
        }
        assert_int_equal(rc, HTT_SNAPSHOT);
        assert_true(kept > (slow == 1 ? 18 : 5));
        assert_true(kept < (slow == 1 ? 25 : 100));
        assert_non_null(strstr(htt_txn_errmsg(txn), "begin a new"));
        assert_int_equal(htt_host_wake(txn), HTT_MISUSE);
        assert_int_equal(htt_get(txn, htt_integer(1, key), &value), HTT_MISUSE);
        htt_host_root root;
        assert_int_equal(htt_host_root_read(db.row.record, HTT_HOST_RECORD_SIZE, &root, NULL),
                         HTT_OK);
        assert_int_equal(htt_host_renew(txn, &root), HTT_OK);
        host_expect_rows(txn, oracle->rows[db.row.state]);
        htt_abort(txn);
        host_close(&a);
        host_close(&b);
        free(oracle);
        txn_free_disk(disk);
    }
}

static void test_host_readers__b2_a_hundred_resting_readers_do_not_let_the_file_grow(void **state) {
    (void)state;
    enum { READERS = 100, FOLDS = 400 };
    crash_fs *disk = crash_fs_new(1);
    host_oracle *oracle = host_oracle_new();
    htt_txn *readers[READERS] = {NULL};
    uint32_t seen[READERS] = {0};
    uint32_t alone = 0, most = 0, lost = 0;
    host_process a, b;
    host_db db;
    host_create(&a, crash_fs_env(disk), &db, HOST_WAL, oracle);
    host_open(&b, crash_fs_new_process(disk), &db);
    for (uint32_t i = 0; i < FOLDS; i++) {
        host_fold(&a, oracle, i % 5, HOST_ROWS - i % 3, (uint16_t)(i + 1));
        assert_int_equal(htt_host_root_read(db.row.record, HTT_HOST_RECORD_SIZE, &a.root, NULL),
                         HTT_OK);
        if (i < 50) {
            alone = a.root.page_count;
            continue;
        }
        most = a.root.page_count > most ? a.root.page_count : most;
        const uint32_t at = i % READERS;
        if (readers[at] != NULL) {
            const htt_rc rc = htt_host_wake(readers[at]);
            assert_true(rc == HTT_OK || rc == HTT_SNAPSHOT);
            lost += rc == HTT_SNAPSHOT;
            if (rc == HTT_OK)
                host_expect_rows(readers[at], oracle->rows[seen[at]]);
            htt_abort(readers[at]);
        }
        readers[at] = host_reader(&b);
        seen[at] = db.row.state;
        htt_host_rest(readers[at]);
    }
    print_message("%u pages without readers, %u with, %u of them lost\n", alone, most, lost);
    assert_true(lost > 50);
    assert_true(most > 256); /* for so little space they are not taken */
    assert_true(most <= 2 * (256 + 2 * alone));
    for (uint32_t i = 0; i < READERS; i++)
        htt_abort(readers[i]);
    host_close(&a);
    host_close(&b);
    free(oracle);
    txn_free_disk(disk);
}

static void test_host_readers__a_cursor_keeps_a_pin_that_its_transaction_lets_rest(void **state) {
    (void)state;
    crash_fs *disk = crash_fs_new(1);
    host_oracle *oracle = host_oracle_new();
    host_process a, b;
    htt_cursor *cursor = NULL;
    host_db db;
    htt_datum key, value;
    uint32_t count = 0;
    host_create(&a, crash_fs_env(disk), &db, HOST_WAL, oracle);
    host_open(&b, crash_fs_new_process(disk), &db);
    host_fold(&a, oracle, 0, HOST_ROWS, 1);
    htt_txn *txn = host_reader(&b);
    assert_int_equal(htt_cursor_open(txn, &cursor), HTT_OK);
    htt_host_rest(txn);
    for (uint16_t i = 2; i < 50; i++)
        host_fold(&a, oracle, 0, HOST_ROWS, i);
    assert_int_equal(htt_host_wake(txn), HTT_OK);
    host_expect_rows(txn, oracle->rows[1]);
    htt_abort(txn);
    while (htt_cursor_next(cursor, &key) == HTT_OK) {
        assert_int_equal(htt_cursor_value(cursor, &value), HTT_OK);
        assert_int_equal(((const uint8_t *)value.data)[0], 1);
        count++;
    }
    assert_int_equal(count, HOST_ROWS);
    htt_cursor_close(cursor);
    host_close(&a);
    host_close(&b);
    free(oracle);
    txn_free_disk(disk);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_host_readers__b1_a_root_that_is_pinned_late_is_gone_or_right),
        cmocka_unit_test(test_host_readers__a_reader_at_work_keeps_its_state),
        cmocka_unit_test(
            test_host_readers__one_that_renews_its_root_finds_it_whole_or_gone),
        cmocka_unit_test(
            test_host_readers__b2_a_resting_pin_goes_after_a_minute_or_where_space_is_needed),
        cmocka_unit_test(test_host_readers__b2_a_hundred_resting_readers_do_not_let_the_file_grow),
        cmocka_unit_test(test_host_readers__a_cursor_keeps_a_pin_that_its_transaction_lets_rest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
