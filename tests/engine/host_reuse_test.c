/* SPDX-License-Identifier: MIT */
/*
 * ctest: timeout=240
 *
 * Pages of a hosted file are used again only when no crash can want them back: the schedules A1 to
 * A7 of docs/durability.md, and what a failing disk does.
 */
#include "host_support.h"

static uint64_t host_disk_bytes(crash_fs *disk) {
    static const char *const names[] = {TXN_PATH, TXN_LOCK, HOST_PATH, HOST_PATH "-wal"};
    uint64_t bytes = 0;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        size_t size = 0;
        free(crash_fs_get_file(disk, names[i], &size));
        bytes += size;
    }
    return bytes;
}

static void test_host_reuse__a_fold_syncs_the_file_once_and_the_host_once(void **state) {
    (void)state;
    crash_fs *disk = crash_fs_new(1);
    host_oracle *oracle = host_oracle_new();
    host_process a;
    host_db db;
    host_create(&a, crash_fs_env(disk), &db, HOST_WAL, oracle);
    for (uint16_t i = 1; i < 6; i++) {
        const size_t before = crash_fs_position(disk);
        host_fold(&a, oracle, 0, 10, i);
        assert_int_equal(host_count_ops(disk, before, "sync kv.htt"), 1);
        assert_int_equal(host_count_ops(disk, before, "sync host.db-wal"), 1);
        assert_int_equal(a.barriers, i);
    }
    htt_testing_set_early_sync(a.store, true);
    const size_t before = crash_fs_position(disk);
    host_fold(&a, oracle, 0, 10, 9);
    assert_int_equal(host_count_ops(disk, before, "sync kv.htt"), 2);
    host_close(&a);
    free(oracle);
    txn_free_disk(disk);
}

static void test_host_reuse__dead_pages_come_back_two_folds_later_or_one_with_early_sync(
    void **state) {
    (void)state;
    uint32_t pages[2];
    for (int early = 0; early < 2; early++) {
        crash_fs *disk = crash_fs_new(1);
        host_oracle *oracle = host_oracle_new();
        host_process a;
        host_db db;
        host_create(&a, crash_fs_env(disk), &db, HOST_WAL, oracle);
        htt_testing_set_early_sync(a.store, early == 1);
        for (uint16_t i = 1; i < 30; i++) {
            host_fold(&a, oracle, 0, HOST_ROWS, i);
            host_check(&a, oracle);
            if (early == 0 && i > 4) /* base, its parent; what they died over */
                assert_int_equal(atomic_load(&a.store->lock->area->horizon), a.root.epoch - 1);
            if (early == 1 && i > 4)
                assert_int_equal(atomic_load(&a.store->lock->area->horizon), a.root.epoch);
        }
        assert_int_equal(htt_host_root_read(db.row.record, HTT_HOST_RECORD_SIZE, &a.root, NULL),
                         HTT_OK);
        pages[early] = a.root.page_count;
        host_close(&a);
        free(oracle);
        txn_free_disk(disk);
    }
    print_message("%u pages, %u with early sync\n", pages[0], pages[1]);
    assert_true(pages[1] < pages[0]);
}


static void test_host_reuse__a1_an_attempt_in_doubt_is_not_overwritten_until_acknowledged(
    void **state) {
    (void)state;
    for (host_mode mode = HOST_WAL; mode < HOST_JOURNAL; mode++) {
        crash_fs *disk = crash_fs_new(1);
        host_oracle *oracle = host_oracle_new();
        const htt_env *victim = crash_fs_new_process(disk);
        host_process a, b;
        host_db db;
        uint64_t attempt = 0;
        host_create(&b, crash_fs_env(disk), &db, mode, oracle);
        host_fold(&b, oracle, 0, 20, 1);
        host_open(&a, victim, &db);
        const size_t first = crash_fs_position(disk);
        host_begin_ok(&a, oracle);
        for (uint32_t row = 5; row < 30; row++)
            assert_int_equal(host_put(&a, row, 2), HTT_OK);
        assert_int_equal(host_publish(&a, oracle), HTT_OK);
        const uint64_t nonce = htt_host_nonce(a.txn);
        assert_int_equal(host_commit(&a, HOST_STOP), 0); /* its frames are in the WAL */
        crash_fs_kill_process(disk, victim);
        host_close(&a);
        /* The living sees the older root, must not write pages, and says so. */
        host_check(&b, oracle);
        assert_int_equal(db.row.state, 1);
        assert_int_equal(host_begin(&b, oracle), HTT_BUSY);
        assert_non_null(strstr(htt_errmsg(b.store), "outcome"));
        const htt_host_write write = host_write_of(&b);
        assert_int_equal(htt_host_outstanding(b.store, &write, 0, &attempt), HTT_OK);
        assert_int_equal(attempt, nonce);
        assert_int_equal(htt_host_outstanding(b.store, &write, nonce, &attempt), HTT_OK);
        assert_int_equal(attempt, 0); /* it would be its own */
        assert_int_equal(host_acknowledge(&b), nonce);
        host_fold(&b, oracle, 0, 25, 3);
        host_fold(&b, oracle, 10, 40, 4);
        host_examine_all(disk, first, 12, mode, oracle);
        host_close(&b);
        free(oracle);
        txn_free_disk(disk);
    }
}

static void test_host_reuse__a2_a_journal_that_comes_back_finds_its_root_whole(void **state) {
    (void)state;
    crash_fs *disk = crash_fs_new(1);
    host_oracle *oracle = host_oracle_new();
    host_process a;
    host_db db;
    host_create(&a, crash_fs_env(disk), &db, HOST_JOURNAL, oracle);
    const size_t first = crash_fs_position(disk);
    for (uint16_t i = 1; i < 6; i++)
        host_fold(&a, oracle, i, 20 + i, i);
    host_examine_all(disk, first, 20, HOST_JOURNAL, oracle);
    host_close(&a);
    free(oracle);
    txn_free_disk(disk);
}

static void test_host_reuse__a3_pages_freed_at_an_unsynced_root_are_not_used(void **state) {
    (void)state;
    for (int early = 0; early < 2; early++) {
        crash_fs *disk = crash_fs_new(1);
        host_oracle *oracle = host_oracle_new();
        host_process a;
        host_db db;
        host_create(&a, crash_fs_env(disk), &db, HOST_WAL, oracle);
        htt_testing_set_early_sync(a.store, early == 1);
        const size_t first = crash_fs_position(disk);
        for (uint16_t i = 1; i < 7; i++)
            host_fold(&a, oracle, 0, 24, i);
        host_examine_all(disk, first, 30, HOST_WAL, oracle);
        host_close(&a);
        free(oracle);
        txn_free_disk(disk);
    }
}

/* One process after the other dies between its meta page and its sync. */
static void test_host_reuse__a4_attempts_that_die_one_after_the_other_leave_a_good_meta_page(
    void **state) {
    (void)state;
    for (host_mode mode = HOST_WAL; mode < HOST_MODES; mode++) {
        for (size_t after = 1; after < 12; after += 2) {
            crash_fs *disk = crash_fs_new(1);
            host_oracle *oracle = host_oracle_new();
            host_process a, b;
            host_db db;
            host_create(&a, crash_fs_env(disk), &db, mode, oracle);
            host_fold(&a, oracle, 0, 30, 1);
            host_fold(&a, oracle, 0, 30, 2);
            const size_t first = crash_fs_position(disk);
            for (uint16_t i = 0; i < 4; i++) {
                const htt_env *victim = crash_fs_new_process(disk);
                host_open(&b, victim, &db);
                crash_fs_kill_later(disk, victim, after + i, NULL, NULL);
                htt_rc rc = host_begin(&b, oracle);
                for (uint32_t row = 0; rc == HTT_OK && row < 30; row++)
                    rc = host_put(&b, row, (uint16_t)(10 + i));
                if (rc == HTT_OK)
                    rc = host_publish(&b, oracle);
                if (rc == HTT_OK)
                    (void)host_commit(&b, HOST_COMPLETE);
                host_close(&b);
                crash_fs_kill_process(disk, victim);
                host_check(&a, oracle);
            }
            host_examine_all(disk, first, 8, mode, oracle);
            host_close(&a);
            free(oracle);
            txn_free_disk(disk);
        }
    }
}

/* The newer host is put back after the older one has written over its pages. */
static void test_host_reuse__a6_a_restored_host_and_a_power_cut_are_told_and_never_wrong(
    void **state) {
    (void)state;
    crash_fs *disk = crash_fs_new(1);
    host_oracle *oracle = host_oracle_new();
    host_process a;
    host_db db;
    host_create(&a, crash_fs_env(disk), &db, HOST_JOURNAL, oracle);
    host_fold(&a, oracle, 0, 30, 1);
    const host_row older = db.row;
    host_fold(&a, oracle, 0, 30, 2);
    const host_row newer = db.row;
    db.row = older; /* a backup is put back */
    const size_t first = crash_fs_position(disk);
    host_fold(&a, oracle, 0, 30, 3);
    for (size_t at = first; at <= crash_fs_position(disk); at++) {
        for (size_t i = 0; i < crash_fs_cut_count(disk, at, 60); i++) {
            crash_fs *after = crash_fs_cut(disk, at, i, 60);
            host_process b;
            host_db restored = db;
            host_open(&b, crash_fs_env(after), &restored);
            /* Either database: right rows, or an error. */
            const htt_rc rc = host_read(b.store, &newer, oracle, true);
            assert_true(rc == HTT_OK || rc == HTT_MISMATCH);
            if (rc == HTT_MISMATCH)
                assert_int_equal(host_read(b.store, &older, oracle, true), HTT_OK);
            host_close(&b);
            txn_free_disk(after);
        }
    }
    assert_int_equal(host_read(a.store, &newer, oracle, false), HTT_MISMATCH);
    assert_non_null(strstr(htt_errmsg(a.store), "another copy"));
    host_close(&a);
    free(oracle);
    txn_free_disk(disk);
}

static void test_host_reuse__a7_a_handle_whose_sync_failed_writes_no_pages_others_do(void **state) {
    (void)state;
    crash_fs *disk = crash_fs_new(1);
    fault_env *fault = fault_env_new(crash_fs_env(disk));
    host_oracle *oracle = host_oracle_new();
    host_process a, b;
    host_db db;
    host_create(&a, fault_env_table(fault), &db, HOST_WAL, oracle);
    host_open(&b, crash_fs_new_process(disk), &db);
    host_fold(&a, oracle, 0, 20, 1);
    host_begin_ok(&a, oracle);
    assert_int_equal(host_put(&a, 3, 7), HTT_OK);
    fault_env_arm(fault, &(fault_plan){.kinds = FAULT_SYNC, .nth = 1, .error = EIO});
    assert_int_equal(host_publish(&a, oracle), HTT_IO);
    fault_env_disarm(fault);
    assert_int_equal(host_publish(&a, oracle), HTT_IO); /* still */
    host_rollback(&a);
    assert_int_equal(host_begin(&a, oracle), HTT_POISONED);
    assert_non_null(strstr(htt_errmsg(a.store), "close and open"));
    host_check(&a, oracle); /* reading goes on */
    host_fold(&b, oracle, 0, 20, 2);
    host_check(&a, oracle);
    host_close(&a);
    host_open(&a, fault_env_table(fault), &db);
    host_fold(&a, oracle, 0, 20, 3);
    host_check(&b, oracle);
    host_close(&a);
    host_close(&b);
    assert_int_equal(fault_env_held(fault), 0);
    fault_env_free(fault);
    free(oracle);
    txn_free_disk(disk);
}

static void test_host_reuse__a_barrier_that_fails_writes_nothing_and_is_not_tried_again(
    void **state) {
    (void)state;
    crash_fs *disk = crash_fs_new(1);
    host_oracle *oracle = host_oracle_new();
    host_process a;
    host_db db;
    host_create(&a, crash_fs_env(disk), &db, HOST_WAL, oracle);
    host_fold(&a, oracle, 0, 20, 1);
    const size_t before = crash_fs_position(disk);
    a.barrier_code = EBUSY; /* not now */
    assert_int_equal(host_begin(&a, oracle), HTT_IO);
    a.barrier_code = 0;
    host_begin_ok(&a, oracle);
    host_rollback(&a);
    a.barrier_code = EIO;
    assert_int_equal(host_begin(&a, oracle), HTT_IO);
    assert_non_null(strstr(htt_errmsg(a.store), "durable"));
    a.barrier_code = 0;
    assert_int_equal(host_begin(&a, oracle), HTT_POISONED);
    assert_int_equal(host_count_ops(disk, before, "write kv.htt 1"), 0);
    host_check(&a, oracle);
    host_close(&a);
    host_open(&a, crash_fs_env(disk), &db);
    host_fold(&a, oracle, 0, 20, 2);
    host_close(&a);
    free(oracle);
    txn_free_disk(disk);
}

/* Every call fails once; the host's state stays readable, and a new handle goes on. */
static void test_host_reuse__any_call_may_fail_and_nothing_is_lost(void **state) {
    (void)state;
    for (unsigned long nth = 1;; nth++) {
        crash_fs *disk = crash_fs_new(1);
        fault_env *fault = fault_env_new(crash_fs_env(disk));
        host_oracle *oracle = host_oracle_new();
        host_process a;
        host_db db;
        host_create(&a, fault_env_table(fault), &db, HOST_WAL, oracle);
        host_fold(&a, oracle, 0, HOST_ROWS, 1);
        host_fold(&a, oracle, 0, 30, 2);
        const fault_plan plan = {.kinds = FAULT_ALL, .nth = nth, .error = EIO, .partial = true};
        fault_env_arm(fault, &plan);
        htt_rc rc = host_begin(&a, oracle);
        for (uint32_t row = 7; rc == HTT_OK && row < 40; row++)
            rc = host_put(&a, row, 3);
        if (rc == HTT_OK)
            rc = host_publish(&a, oracle);
        const bool published = rc == HTT_OK;
        const bool reached = fault_env_failures(fault) > 0;
        fault_env_disarm(fault);
        if (a.txn != NULL && published)
            assert_int_equal(host_commit(&a, HOST_COMPLETE), 0);
        else if (a.txn != NULL)
            host_rollback(&a);
        assert_int_equal(db.row.state, published ? 3 : 2);
        host_check(&a, oracle);
        host_close(&a);
        assert_int_equal(fault_env_held(fault), 0);
        host_open(&a, fault_env_table(fault), &db);
        host_check(&a, oracle);
        if (host_begin(&a, oracle) == HTT_BUSY)
            assert_int_not_equal(host_acknowledge(&a), 0);
        else
            host_rollback(&a);
        host_fold(&a, oracle, 0, 20, 4);
        host_check(&a, oracle);
        host_close(&a);
        fault_env_free(fault);
        free(oracle);
        txn_free_disk(disk);
        if (!reached)
            break;
    }
}

static void test_host_reuse__a_full_disk_loses_nothing_and_ends_when_there_is_room(void **state) {
    (void)state;
    crash_fs *disk = crash_fs_new(1);
    host_oracle *oracle = host_oracle_new();
    host_process a;
    host_db db;
    size_t full = 0;
    host_create(&a, crash_fs_env(disk), &db, HOST_WAL, oracle);
    host_fold(&a, oracle, 0, 30, 1);
    htt_txn *reader = host_reader(&a); /* so that pages cannot come back */
    for (size_t room = 1 << 20; room > 0; room = room * 3 / 4) {
        crash_fs_set_capacity(disk, host_disk_bytes(disk) + room);
        htt_rc rc = host_begin(&a, oracle);
        for (uint32_t row = 0; rc == HTT_OK && row < HOST_ROWS; row++)
            rc = host_put(&a, row, (uint16_t)(room % 50000 + 2));
        if (rc == HTT_OK)
            rc = host_publish(&a, oracle);
        assert_true(rc == HTT_OK || rc == HTT_FULL);
        full += rc == HTT_FULL;
        crash_fs_set_capacity(disk, UINT64_MAX);
        if (rc == HTT_OK)
            assert_int_equal(host_commit(&a, HOST_COMPLETE), 0);
        else if (a.txn != NULL)
            host_rollback(&a);
        host_check(&a, oracle);
    }
    assert_true(full > 3);
    host_expect_rows(reader, oracle->rows[1]);
    htt_abort(reader);
    host_fold(&a, oracle, 0, 30, 3);
    host_check(&a, oracle);
    host_close(&a);
    free(oracle);
    txn_free_disk(disk);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_host_reuse__a_fold_syncs_the_file_once_and_the_host_once),
        cmocka_unit_test(
            test_host_reuse__dead_pages_come_back_two_folds_later_or_one_with_early_sync),
        cmocka_unit_test(
            test_host_reuse__a1_an_attempt_in_doubt_is_not_overwritten_until_acknowledged),
        cmocka_unit_test(test_host_reuse__a2_a_journal_that_comes_back_finds_its_root_whole),
        cmocka_unit_test(test_host_reuse__a3_pages_freed_at_an_unsynced_root_are_not_used),
        cmocka_unit_test(
            test_host_reuse__a4_attempts_that_die_one_after_the_other_leave_a_good_meta_page),
        cmocka_unit_test(
            test_host_reuse__a6_a_restored_host_and_a_power_cut_are_told_and_never_wrong),
        cmocka_unit_test(test_host_reuse__a7_a_handle_whose_sync_failed_writes_no_pages_others_do),
        cmocka_unit_test(
            test_host_reuse__a_barrier_that_fails_writes_nothing_and_is_not_tried_again),
        cmocka_unit_test(test_host_reuse__any_call_may_fail_and_nothing_is_lost),
        cmocka_unit_test(test_host_reuse__a_full_disk_loses_nothing_and_ends_when_there_is_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
