/* SPDX-License-Identifier: MIT */
#include "txn_support.h"

/* Opens a cursor. */
static htt_cursor *cursor_open(htt_txn *txn) {
    htt_cursor *cursor;
    if (htt_cursor_open(txn, &cursor) != HTT_OK)
        fail_msg("cursor: %s", htt_txn_errmsg(txn));
    return cursor;
}

/* Takes up to `count` more rows, each with this number; gives how many there were. */
static uint64_t cursor_take(htt_cursor *cursor, uint64_t count, uint64_t number) {
    htt_datum key, value;
    uint64_t found = 0;
    while (found < count) {
        const htt_rc rc = htt_cursor_next(cursor, &key);
        if (rc == HTT_NOTFOUND)
            return found;
        if (rc != HTT_OK)
            fail_msg("next: %s", htt_cursor_errmsg(cursor));
        int64_t row;
        bool is_real;
        double real;
        assert_int_equal(htt_key_number(key, &is_real, &row, &real), HTT_OK);
        assert_int_equal(htt_cursor_value(cursor, &value), HTT_OK);
        assert_int_equal(htt_cursor_value(cursor, &value), HTT_OK);
        assert_memory_equal(value.data, &number, 8);
        found++;
    }
    return found;
}

static void test_cursor__walks_over_every_row_once(void **state) {
    (void)state;
    enum { COUNT = 3000 };
    for (unsigned flags = 0; flags <= HTT_OPEN_NO_MMAP; flags += HTT_OPEN_NO_MMAP) {
        crash_fs *disk = crash_fs_new(1);
        htt_options options = txn_options(crash_fs_env(disk));
        options.flags |= flags;
        options.cache_bytes = 4096;
        htt_store *store = txn_open_with(&options);
        static bool seen[COUNT];
        memset(seen, 0, sizeof seen);
        txn_fill(store, 0, COUNT, 5, 100);
        txn_fill(store, 0, 20, 5, 9000);
        htt_txn *txn = txn_begin(store, HTT_READ);
        htt_cursor *cursor = cursor_open(txn);
        htt_datum key, value;
        uint64_t count = 0;
        assert_int_equal(htt_cursor_value(cursor, &value), HTT_MISUSE);
        while (htt_cursor_next(cursor, &key) == HTT_OK) {
            int64_t row;
            bool is_real;
            double real;
            assert_int_equal(htt_key_number(key, &is_real, &row, &real), HTT_OK);
            assert_false(seen[row]);
            seen[row] = true;
            assert_int_equal(htt_cursor_value(cursor, &value), HTT_OK);
            assert_int_equal(value.size, row < 20 ? 9000 : 100);
            count++;
        }
        assert_int_equal(count, COUNT);
        assert_int_equal(htt_cursor_next(cursor, &key), HTT_NOTFOUND);
        assert_int_equal(htt_cursor_value(cursor, &value), HTT_MISUSE);
        htt_cursor_close(cursor);
        htt_cursor_close(NULL);
        txn_commit(txn);
        htt_close(store);
        txn_free_disk(disk);
    }
}

static void test_cursor__changes_of_its_transaction_do_not_show(void **state) {
    (void)state;
    crash_fs *disk = crash_fs_new(1);
    htt_options options = txn_options(crash_fs_env(disk));
    options.write_budget = 4096;
    htt_store *store = txn_open_with(&options);
    txn_fill(store, 0, 300, 1, 300);
    htt_txn *txn = txn_begin(store, HTT_WRITE);
    htt_cursor *base = cursor_open(txn);
    for (uint64_t row = 0; row < 300; row++)
        txn_put(txn, row, 2, 300);
    htt_cursor *middle = cursor_open(txn);
    assert_int_equal(cursor_take(base, 100, 1), 100);
    assert_int_equal(cursor_take(middle, 50, 2), 50);
    for (uint64_t row = 0; row < 5000; row++) /* spills */
        txn_put(txn, row, 3, 300);
    for (uint64_t row = 100; row < 300; row++)
        txn_del(txn, row);
    assert_int_equal(cursor_take(base, 1000, 1), 200);
    assert_int_equal(cursor_take(middle, 1000, 2), 250);
    htt_cursor *last = cursor_open(txn);
    assert_int_equal(cursor_take(last, 10000, 3), 4800);
    htt_cursor_close(last);
    htt_cursor_close(base);
    htt_cursor_close(middle);
    txn_commit(txn);
    txn_check(store);
    htt_close(store);
    txn_free_disk(disk);
}

static void test_cursor__goes_on_after_a_commit_while_pages_are_reused(void **state) {
    (void)state;
    for (unsigned flags = 0; flags <= HTT_OPEN_NO_MMAP; flags += HTT_OPEN_NO_MMAP) {
        crash_fs *disk = crash_fs_new(1);
        htt_options options = txn_options(crash_fs_env(disk));
        options.flags |= flags;
        options.cache_bytes = 40960;
        htt_store *store = txn_open_with(&options);
        htt_store *other = txn_open(crash_fs_new_process(disk));
        txn_fill(store, 0, 200, 1, 300);
        htt_txn *txn = txn_begin(store, HTT_WRITE);
        htt_cursor *base = cursor_open(txn);
        for (uint64_t row = 0; row < 200; row++)
            txn_put(txn, row, 2, row % 50 == 0 ? 9000 : 300);
        htt_cursor *middle = cursor_open(txn);
        assert_int_equal(cursor_take(middle, 10, 2), 10);
        for (uint64_t row = 0; row < 200; row++)
            txn_put(txn, row, 3, 300);
        htt_cursor *last = cursor_open(txn);
        txn_commit(txn);
        txn = txn_begin(store, HTT_READ);
        htt_cursor *reader = cursor_open(txn);
        assert_int_equal(cursor_take(reader, 7, 3), 7);
        txn_commit(txn);
        for (uint64_t i = 4; i < 30; i++)
            txn_fill(i % 2 == 0 ? store : other, 0, 200, i, 300);
        assert_int_equal(cursor_take(base, 1000, 1), 200);
        assert_int_equal(cursor_take(middle, 1000, 2), 190);
        assert_int_equal(cursor_take(last, 1000, 3), 200);
        assert_int_equal(cursor_take(reader, 1000, 3), 193);
        htt_cursor_close(base);
        htt_cursor_close(middle);
        htt_cursor_close(last);
        htt_cursor_close(reader);
        txn_check(store);
        htt_close(store);
        htt_close(other);
        txn_free_disk(disk);
    }
}

static void test_cursor__after_an_abort_only_what_was_committed_can_be_seen(void **state) {
    (void)state;
    crash_fs *disk = crash_fs_new(1);
    htt_store *store = txn_open(crash_fs_env(disk));
    uint32_t id;
    htt_datum key, value;
    txn_fill(store, 0, 200, 1, 300);
    htt_txn *txn = txn_begin(store, HTT_WRITE);
    htt_cursor *base = cursor_open(txn);
    assert_int_equal(htt_savepoint(txn, &id), HTT_OK);
    txn_put(txn, 1, 2, 300);
    htt_cursor *middle = cursor_open(txn);
    assert_int_equal(htt_cursor_next(middle, &key), HTT_OK);
    assert_int_equal(htt_rollback_to(txn, id), HTT_OK);
    htt_cursor *back = cursor_open(txn); /* the committed state again */
    assert_int_equal(htt_cursor_next(middle, &key), HTT_OK); /* a rollback does not disturb it */
    htt_abort(txn);
    assert_int_equal(htt_cursor_next(middle, &key), HTT_ABORTED);
    assert_int_equal(htt_cursor_value(middle, &value), HTT_ABORTED);
    assert_non_null(strstr(htt_cursor_errmsg(middle), "aborted"));
    for (uint64_t i = 4; i < 20; i++)
        txn_fill(store, 0, 200, i, 300);
    assert_int_equal(cursor_take(base, 1000, 1), 200);
    assert_int_equal(cursor_take(back, 1000, 1), 200);
    htt_cursor_close(base);
    htt_cursor_close(middle);
    htt_cursor_close(back);
    txn_check(store);
    htt_close(store);
    txn_free_disk(disk);
}

static void test_cursor__goes_on_after_a_commit_when_its_changes_were_rolled_back(void **state) {
    (void)state;
    for (int prepared = 0; prepared < 2; prepared++) {
        crash_fs *disk = crash_fs_new(1);
        htt_store *store = txn_open(crash_fs_env(disk));
        uint32_t id;
        htt_datum key;
        txn_fill(store, 0, 200, 1, 300);
        htt_txn *txn = txn_begin(store, HTT_WRITE);
        assert_int_equal(htt_savepoint(txn, &id), HTT_OK);
        for (uint64_t row = 0; row < 200; row++)
            txn_put(txn, row, 2, 300);
        htt_cursor *cursor = cursor_open(txn);
        assert_int_equal(htt_cursor_next(cursor, &key), HTT_OK);
        assert_int_equal(htt_rollback_to(txn, id), HTT_OK);
        if (prepared == 1)
            assert_int_equal(htt_prepare(txn), HTT_OK);
        txn_commit(txn);
        assert_int_equal(txn_read(store, 7), 1);
        for (uint64_t i = 4; i < 20; i++)
            txn_fill(store, 0, 200, i, 300);
        assert_int_equal(cursor_take(cursor, 1000, 2), 199);
        htt_cursor_close(cursor);
        txn_check(store);
        htt_close(store);
        txn_free_disk(disk);
    }
}

static void test_cursor__a_rollback_to_a_savepoint_does_not_disturb_it(void **state) {
    (void)state;
    crash_fs *disk = crash_fs_new(1);
    htt_options options = txn_options(crash_fs_env(disk));
    options.write_budget = 4096;
    htt_store *store = txn_open_with(&options);
    uint32_t outer, inner;
    txn_fill(store, 0, 200, 1, 300);
    htt_txn *txn = txn_begin(store, HTT_WRITE);
    assert_int_equal(htt_savepoint(txn, &outer), HTT_OK);
    htt_cursor *before = cursor_open(txn);
    for (uint64_t row = 0; row < 300; row++)
        txn_put(txn, row, 2, 300);
    assert_int_equal(htt_savepoint(txn, &inner), HTT_OK);
    htt_cursor *after = cursor_open(txn);
    assert_int_equal(cursor_take(after, 10, 2), 10);
    assert_int_equal(htt_rollback_to(txn, outer), HTT_OK);
    assert_int_equal(htt_rollback_to(txn, inner), HTT_MISUSE); /* forgotten */
    for (uint64_t row = 0; row < 200; row++)
        txn_put(txn, row, 3, 300);
    assert_int_equal(cursor_take(before, 1000, 1), 200);
    assert_int_equal(cursor_take(after, 1000, 2), 290); /* the undone rows */
    htt_cursor *now = cursor_open(txn);
    assert_int_equal(cursor_take(now, 1000, 3), 200);
    htt_cursor_close(before);
    htt_cursor_close(after);
    htt_cursor_close(now);
    txn_commit(txn);
    txn_check(store);
    htt_close(store);
    txn_free_disk(disk);
}

static void test_cursor__rows_can_be_changed_while_walking(void **state) {
    (void)state;
    crash_fs *disk = crash_fs_new(1);
    htt_options options = txn_options(crash_fs_env(disk));
    options.write_budget = 4096;
    htt_store *store = txn_open_with(&options);
    txn_fill(store, 0, 2000, 1, 300);
    htt_txn *txn = txn_begin(store, HTT_WRITE);
    htt_cursor *cursor = cursor_open(txn);
    htt_datum key, value;
    for (uint64_t i = 0; i < 2000; i++) {
        uint8_t other[8];
        assert_int_equal(htt_cursor_next(cursor, &key), HTT_OK);
        assert_int_equal(htt_cursor_value(cursor, &value), HTT_OK);
        /* Key and value stay while the transaction changes. */
        if (i % 2 == 0)
            assert_int_equal(htt_del(txn, key), HTT_OK);
        else
            assert_int_equal(htt_put(txn, key, htt_null(), HTT_PUT_REPLACE), HTT_OK);
        assert_int_equal(htt_put(txn, htt_integer((int64_t)(5000 + i), other), value, 0), HTT_OK);
    }
    assert_int_equal(htt_cursor_next(cursor, &key), HTT_NOTFOUND);
    htt_cursor_close(cursor);
    for (uint64_t i = 0; i < 2000; i++)
        assert_int_equal(txn_get(txn, 5000 + i), 1);
    uint64_t count;
    assert_int_equal(htt_count(txn, &count), HTT_OK);
    assert_int_equal(count, 3000);
    txn_commit(txn);
    txn_check(store);
    htt_close(store);
    txn_free_disk(disk);
}

static void test_cursor__misuse_is_told(void **state) {
    (void)state;
    crash_fs *disk = crash_fs_new(1);
    htt_store *store = txn_open(crash_fs_env(disk));
    htt_txn *txn = txn_begin(store, HTT_READ);
    htt_cursor *cursor;
    htt_datum datum;
    assert_int_equal(htt_cursor_open(NULL, &cursor), HTT_MISUSE);
    assert_int_equal(htt_cursor_open(txn, NULL), HTT_MISUSE);
    cursor = cursor_open(txn);
    assert_int_equal(htt_cursor_next(cursor, NULL), HTT_MISUSE);
    assert_int_equal(htt_txn_error(txn)->rc, HTT_MISUSE); /* the transaction tells it too */
    assert_int_equal(htt_cursor_next(NULL, &datum), HTT_MISUSE);
    assert_int_equal(htt_cursor_value(NULL, &datum), HTT_MISUSE);
    assert_int_equal(htt_cursor_next(cursor, &datum), HTT_NOTFOUND); /* no rows */
    htt_cursor_close(cursor);
    txn_commit(txn);
    htt_close(store);
    txn_free_disk(disk);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cursor__walks_over_every_row_once),
        cmocka_unit_test(test_cursor__changes_of_its_transaction_do_not_show),
        cmocka_unit_test(test_cursor__goes_on_after_a_commit_while_pages_are_reused),
        cmocka_unit_test(test_cursor__after_an_abort_only_what_was_committed_can_be_seen),
        cmocka_unit_test(test_cursor__goes_on_after_a_commit_when_its_changes_were_rolled_back),
        cmocka_unit_test(test_cursor__a_rollback_to_a_savepoint_does_not_disturb_it),
        cmocka_unit_test(test_cursor__rows_can_be_changed_while_walking),
        cmocka_unit_test(test_cursor__misuse_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
