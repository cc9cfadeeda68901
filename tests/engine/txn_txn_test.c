/* SPDX-License-Identifier: MIT */
/* ctest: tsan */
#include "txn_support.h"

#include <pthread.h>

static void test_txn__a_second_writer_waits_and_then_gives_up(void **state) {
    (void)state;
    crash_fs *disk = crash_fs_new(1);
    htt_options options = txn_options(crash_fs_env(disk));
    options.busy_timeout_ms = 700;
    htt_store *a = txn_open_with(&options);
    htt_store *b = txn_open_with(&options); /* the same process */
    options.env = crash_fs_new_process(disk);
    htt_store *c = txn_open_with(&options);
    htt_txn *txn = txn_begin(a, HTT_WRITE), *other;
    htt_store *others[] = {a, b, c};
    for (size_t i = 0; i < 3; i++) {
        const uint64_t start = options.env->now_ms(options.env->context);
        assert_int_equal(htt_begin(others[i], HTT_WRITE, &other), HTT_BUSY);
        const uint64_t waited = options.env->now_ms(options.env->context) - start;
        assert_in_range(waited, 700, 710);
        assert_non_null(strstr(htt_errmsg(others[i]), TXN_PATH));
        assert_int_equal(txn_read(others[i], 1), UINT64_MAX); /* a reader never waits */
    }
    txn_put(txn, 1, 1, 8);
    txn_commit(txn);
    for (size_t i = 0; i < 3; i++) {
        txn_fill(others[i], 1, 2, 10 + i, 8);
        assert_int_equal(txn_read(others[2 - i], 1), 10 + i);
    }
    for (size_t i = 0; i < 3; i++)
        htt_close(others[i]);
    txn_free_disk(disk);
}

static void test_txn__a_reader_sees_one_state_from_begin_to_end(void **state) {
    (void)state;
    for (unsigned flags = 0; flags <= HTT_OPEN_NO_MMAP; flags += HTT_OPEN_NO_MMAP) {
        enum { READERS = 20 };
        crash_fs *disk = crash_fs_new(1);
        htt_options options = txn_options(crash_fs_env(disk));
        options.flags |= flags;
        options.cache_bytes = 64 * 1024;
        htt_store *a = txn_open_with(&options);
        options.env = crash_fs_new_process(disk);
        htt_store *b = txn_open_with(&options);
        htt_txn *readers[READERS];
        for (uint64_t i = 0; i < READERS; i++) {
            txn_fill(i % 2 == 0 ? a : b, 0, 60, i, 400);
            readers[i] = txn_begin(i % 3 == 0 ? a : b, HTT_READ);
        }
        for (uint64_t i = 0; i < READERS; i++)
            txn_expect(readers[i], 0, 60, i);
        for (uint64_t i = 0; i < READERS; i++) {
            txn_expect(readers[(i * 7) % READERS], 0, 60, (i * 7) % READERS);
            txn_commit(readers[(i * 7) % READERS]);
            txn_fill(a, 0, 60, 100 + i, 400);
        }
        txn_check(a);
        htt_close(a);
        htt_close(b);
        txn_free_disk(disk);
    }
}

static uint32_t txn_page_count(htt_store *store) {
    htt_txn *txn = txn_begin(store, HTT_READ);
    htt_stat stat;
    assert_int_equal(htt_txn_stat(txn, &stat), HTT_OK);
    txn_commit(txn);
    return stat.page_count;
}

static void test_txn__pages_are_reused_unless_a_reader_is_pinned(void **state) {
    (void)state;
    crash_fs *disk = crash_fs_new(1);
    const htt_env *victim = crash_fs_new_process(disk);
    htt_store *store = txn_open(crash_fs_env(disk));
    htt_store *other = txn_open(victim);
    for (uint64_t i = 0; i < 10; i++)
        txn_fill(store, 0, 100, i, 400);
    const uint32_t calm = txn_page_count(store);
    for (uint64_t i = 0; i < 50; i++)
        txn_fill(store, 0, 100, i, 400);
    assert_true(txn_page_count(store) <= calm + 2);
    htt_txn *reader = txn_begin(other, HTT_READ);
    for (uint64_t i = 0; i < 50; i++)
        txn_fill(store, 0, 100, i, 400);
    const uint32_t pinned = txn_page_count(store);
    assert_true(pinned > 3 * calm);
    txn_expect(reader, 0, 100, 49);
    crash_fs_kill_process(disk, victim); /* a dead reader holds nothing back */
    for (uint64_t i = 0; i < 50; i++)
        txn_fill(store, 0, 100, i, 400);
    assert_true(txn_page_count(store) <= pinned + 2);
    txn_check(store);
    htt_close(other);
    htt_close(store);
    txn_free_disk(disk);
}

/* Writes and syncs of the file from a position on. */
static size_t txn_count_ops(crash_fs *disk, size_t from, const char *what) {
    char text[100];
    size_t count = 0;
    for (size_t i = from; i < crash_fs_position(disk); i++) {
        crash_fs_describe(disk, i, text, sizeof text);
        count += strncmp(text, what, strlen(what)) == 0;
    }
    return count;
}

static void test_txn__a_commit_without_changes_writes_nothing(void **state) {
    (void)state;
    crash_fs *disk = crash_fs_new(1);
    htt_store *store = txn_open(crash_fs_env(disk));
    txn_fill(store, 0, 10, 1, 100);
    const size_t before = crash_fs_position(disk);
    htt_txn *txn = txn_begin(store, HTT_WRITE);
    uint8_t key[8];
    uint32_t id;
    assert_int_equal(htt_del(txn, htt_integer(77, key)), HTT_NOTFOUND);
    assert_int_equal(htt_put(txn, htt_integer(1, key), htt_null(), HTT_PUT_INSERT), HTT_EXISTS);
    assert_int_equal(htt_savepoint(txn, &id), HTT_OK);
    txn_put(txn, 3, 3, 100);
    assert_int_equal(htt_rollback_to(txn, id), HTT_OK);
    assert_int_equal(htt_prepare(txn), HTT_OK);
    txn_commit(txn);
    assert_int_equal(txn_count_ops(disk, before, "write"), 0);
    assert_int_equal(txn_count_ops(disk, before, "sync"), 0);
    htt_close(store);
    txn_free_disk(disk);
}

static void test_txn__after_prepare_a_commit_only_writes_the_meta_page(void **state) {
    (void)state;
    crash_fs *disk = crash_fs_new(1);
    htt_store *store = txn_open(crash_fs_env(disk));
    htt_txn *txn = txn_begin(store, HTT_WRITE);
    txn_put(txn, 1, 1, 100);
    assert_int_equal(htt_prepare(txn), HTT_OK);
    size_t before = crash_fs_position(disk);
    assert_int_equal(htt_prepare(txn), HTT_OK); /* again: nothing left */
    assert_int_equal(txn_count_ops(disk, before, "write"), 0);
    txn_put(txn, 2, 2, 100); /* changes may follow */
    assert_int_equal(txn_read(store, 1), UINT64_MAX);
    assert_int_equal(htt_prepare(txn), HTT_OK);
    before = crash_fs_position(disk);
    crash_fs *after = crash_fs_killed(disk, before);
    txn_commit(txn);
    assert_int_equal(txn_count_ops(disk, before, "write kv.htt"), 1);
    assert_int_equal(txn_count_ops(disk, before, "sync kv.htt"), 1);
    assert_int_equal(txn_read(store, 1), 1);
    assert_int_equal(txn_read(store, 2), 2);
    htt_close(store);
    store = txn_open(crash_fs_env(after)); /* prepared is not committed */
    assert_int_equal(txn_read(store, 1), UINT64_MAX);
    htt_close(store);
    txn_free_disk(after);
    txn_free_disk(disk);
}

static void test_txn__an_abort_leaves_nothing(void **state) {
    (void)state;
    crash_fs *disk = crash_fs_new(1);
    htt_options options = txn_options(crash_fs_env(disk));
    options.write_budget = 4096; /* spills */
    htt_store *store = txn_open_with(&options);
    txn_fill(store, 0, 100, 1, 300);
    for (int i = 0; i < 3; i++) {
        htt_txn *txn = txn_begin(store, HTT_WRITE);
        for (uint64_t row = 0; row < 9000; row++)
            txn_put(txn, row, 2, 300);
        txn_expect(txn, 0, 9000, 2);
        if (i == 1)
            assert_int_equal(htt_prepare(txn), HTT_OK);
        htt_abort(txn);
        txn_check(store);
        htt_txn *reader = txn_begin(store, HTT_READ);
        txn_expect(reader, 0, 100, 1);
        assert_int_equal(txn_get(reader, 101), UINT64_MAX);
        txn_commit(reader);
        txn_fill(store, 200, 210, 1, 300);
    }
    htt_abort(NULL);
    htt_close(store);
    txn_free_disk(disk);
}

static void test_txn__a_file_that_was_cut_is_an_error_at_the_next_begin(void **state) {
    (void)state;
    for (unsigned flags = 0; flags <= HTT_OPEN_NO_MMAP; flags += HTT_OPEN_NO_MMAP) {
        crash_fs *disk = crash_fs_new(1);
        htt_options options = txn_options(crash_fs_env(disk));
        options.flags |= flags;
        htt_store *store = txn_open_with(&options);
        const htt_env *env = options.env;
        htt_file *file;
        htt_txn *txn;
        txn_fill(store, 0, 500, 1, 300);
        assert_int_equal(env->open(env->context, TXN_PATH, 0, &file), 0);
        assert_int_equal(env->truncate(env->context, file, 40960), 0);
        env->close(env->context, file);
        assert_int_equal(htt_begin(store, HTT_READ, &txn), HTT_CORRUPT);
        assert_non_null(strstr(htt_errmsg(store), "ends before"));
        assert_int_equal(htt_begin(store, HTT_WRITE, &txn), HTT_CORRUPT);
        htt_close(store);
        txn_free_disk(disk);
    }
}

static void test_txn__a_broken_transaction_can_only_be_aborted(void **state) {
    (void)state;
    crash_fs *disk = crash_fs_new(1);
    fault_env *fault = fault_env_new(crash_fs_env(disk));
    htt_options options = txn_options(fault_env_table(fault));
    options.write_budget = 4096;
    htt_store *store = txn_open_with(&options);
    txn_fill(store, 0, 2000, 1, 300);
    htt_txn *txn = txn_begin(store, HTT_WRITE);
    const fault_plan plan = {
        .kinds = FAULT_WRITE, .nth = 1, .error = EIO, .persistent = true, .suffix = TXN_PATH};
    fault_env_arm(fault, &plan);
    uint8_t key[8];
    htt_datum value;
    static const uint8_t other[300] = "other";
    htt_rc rc = HTT_OK;
    for (int64_t row = 0; rc == HTT_OK && row < 9000; row++)
        rc = htt_put(txn, htt_integer(row, key), htt_blob(other, sizeof other), 0);
    assert_int_equal(rc, HTT_IO);
    fault_env_disarm(fault);
    assert_int_equal(htt_put(txn, htt_integer(1, key), htt_null(), 0), HTT_IO);
    assert_non_null(strstr(htt_txn_errmsg(txn), "only be aborted"));
    assert_int_equal(htt_get(txn, htt_integer(1, key), &value), HTT_IO);
    assert_int_equal(htt_prepare(txn), HTT_IO);
    assert_int_equal(htt_commit(txn), HTT_IO);
    assert_non_null(strstr(htt_errmsg(store), "only be aborted"));
    htt_txn *reader = txn_begin(store, HTT_READ);
    txn_expect(reader, 0, 2000, 1);
    txn_commit(reader);
    txn_fill(store, 0, 10, 2, 300);
    txn_check(store);
    htt_close(store);
    assert_int_equal(fault_env_held(fault), 0);
    fault_env_free(fault);
    txn_free_disk(disk);
}

static void test_txn__a_commit_that_fails_says_why_through_the_store(void **state) {
    (void)state;
    crash_fs *disk = crash_fs_new(1);
    fault_env *fault = fault_env_new(crash_fs_env(disk));
    htt_store *store = txn_open(fault_env_table(fault));
    txn_fill(store, 0, 10, 1, 100);
    htt_txn *txn = txn_begin(store, HTT_WRITE);
    txn_put(txn, 0, 2, 100);
    fault_env_arm(fault, &(fault_plan){.kinds = FAULT_SYNC, .nth = 1, .error = EIO});
    assert_int_equal(htt_commit(txn), HTT_IO);
    assert_non_null(strstr(htt_errmsg(store), "cannot sync '" TXN_PATH "'"));
    fault_env_disarm(fault);
    assert_int_equal(txn_read(store, 0), 1); /* nothing was committed */
    assert_int_equal(htt_begin(store, HTT_WRITE, &txn), HTT_POISONED);
    htt_close(store);
    fault_env_free(fault);
    txn_free_disk(disk);
}

static void test_txn__a_reader_without_a_slot_is_told_that_all_are_taken(void **state) {
    (void)state;
    crash_fs *disk = crash_fs_new(1);
    htt_store *busy = txn_open(crash_fs_env(disk));
    htt_store *store = txn_open(crash_fs_new_process(disk));
    htt_txn *txn, *other;
    uint32_t slot;
    txn_fill(busy, 0, 10, 1, 100);
    txn = txn_begin(busy, HTT_READ);
    other = txn_begin(busy, HTT_READ); /* the same state: the same slot */
    for (uint32_t i = 1; i < HTT_LOCK_SLOTS; i++)
        assert_int_equal(htt_lockfile_take_slot(busy->lock, &slot, NULL), HTT_OK);
    htt_abort(other);
    assert_int_equal(htt_begin(store, HTT_READ, &other), HTT_FULL);
    assert_non_null(strstr(htt_errmsg(store), "all 2046 reader slots"));
    htt_txn *writer = txn_begin(store, HTT_WRITE);
    htt_cursor *cursor;
    txn_put(writer, 1, 2, 100);
    assert_int_equal(htt_cursor_open(writer, &cursor), HTT_FULL);
    txn_commit(writer);
    other = txn_begin(busy, HTT_READ); /* its own older pin keeps the newer state, too */
    assert_int_equal(txn_get(other, 1), 2);
    txn_commit(other);
    txn_commit(txn);
    htt_close(busy);
    assert_int_equal(txn_read(store, 1), 2);
    htt_close(store);
    txn_free_disk(disk);
}

static void test_txn__calls_without_a_transaction_are_misuse(void **state) {
    (void)state;
    crash_fs *disk = crash_fs_new(1);
    htt_store *store = txn_open(crash_fs_env(disk));
    htt_txn *txn;
    assert_int_equal(htt_begin(NULL, HTT_READ, &txn), HTT_MISUSE);
    assert_int_equal(htt_begin(store, 5, &txn), HTT_MISUSE);
    assert_int_equal(htt_begin(store, HTT_READ, NULL), HTT_MISUSE);
    assert_int_equal(htt_commit(NULL), HTT_MISUSE);
    assert_int_equal(htt_prepare(NULL), HTT_MISUSE);
    assert_int_equal(htt_txn_error(NULL)->rc, HTT_MISUSE);
    assert_non_null(htt_txn_errmsg(NULL));
    txn = txn_begin(store, HTT_READ);
    assert_int_equal(htt_prepare(txn), HTT_READONLY);
    assert_int_equal(htt_txn_error(txn)->rc, HTT_READONLY);
    txn_commit(txn);
    htt_close(store);
    txn_free_disk(disk);
}

static void test_txn__a_file_with_an_owner_is_read_only(void **state) {
    (void)state;
    crash_fs *disk = crash_fs_new(1);
    htt_store *store = txn_open(crash_fs_env(disk));
    txn_fill(store, 0, 1, 1, 8);
    htt_close(store);
    size_t size;
    htt_fault fault;
    htt_meta meta;
    uint8_t *bytes = crash_fs_get_file(disk, TXN_PATH, &size);
    assert_int_equal(htt_meta_decode(bytes, 4096, &meta, &fault), HTT_META_VALID);
    memcpy(meta.owner, "app.db", 7);
    htt_meta_encode(&meta, bytes);
    crash_fs_put_file(disk, TXN_PATH, bytes, size);
    free(bytes);
    store = txn_open(crash_fs_env(disk));
    htt_txn *txn;
    assert_int_equal(htt_begin(store, HTT_WRITE, &txn), HTT_READONLY);
    assert_non_null(strstr(htt_errmsg(store), "app.db"));
    assert_int_equal(txn_read(store, 0), 1);
    htt_close(store);
    txn_free_disk(disk);
}

/* Threads of one store: a writer, and readers that must see all rows with one number. */
typedef struct txn_crew {
    htt_store *store;    /* shared */
    _Atomic bool stop;   /* the writer is done */
    _Atomic int failures; /* seen */
} txn_crew;

static void *crew_read(void *arg) {
    txn_crew *crew = arg;
    while (!atomic_load(&crew->stop)) {
        htt_txn *txn;
        uint8_t key[8];
        htt_datum value;
        uint64_t first = 0, number;
        if (htt_begin(crew->store, HTT_READ, &txn) != HTT_OK) {
            atomic_fetch_add(&crew->failures, 1);
            return NULL;
        }
        for (int64_t row = 0; row < 40; row++) {
            if (htt_get(txn, htt_integer(row, key), &value) != HTT_OK) {
                atomic_fetch_add(&crew->failures, 1);
                break;
            }
            memcpy(&number, value.data, 8);
            first = row == 0 ? number : first;
            atomic_fetch_add(&crew->failures, number != first);
        }
        htt_abort(txn);
    }
    return NULL;
}

static void test_txn__threads_share_a_store(void **state) {
    (void)state;
    for (unsigned flags = 0; flags <= HTT_OPEN_NO_MMAP; flags += HTT_OPEN_NO_MMAP) {
        enum { THREADS = 3 };
        crash_fs *disk = crash_fs_new(1);
        htt_options options = txn_options(crash_fs_env(disk));
        options.flags |= flags;
        options.cache_bytes = 20 * 4096;
        txn_crew crew = {.store = txn_open_with(&options)};
        pthread_t threads[THREADS];
        txn_fill(crew.store, 0, 40, 0, 900);
        for (int i = 0; i < THREADS; i++)
            assert_int_equal(pthread_create(&threads[i], NULL, crew_read, &crew), 0);
        for (uint64_t i = 1; i < 100; i++)
            txn_fill(crew.store, 0, 40, i, 900);
        atomic_store(&crew.stop, true);
        for (int i = 0; i < THREADS; i++)
            assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(atomic_load(&crew.failures), 0);
        txn_check(crew.store);
        htt_close(crew.store);
        txn_free_disk(disk);
    }
}

/* mmap or cache, one process or two: a reset transaction keeps nothing, a renewed one is new. */
static void test_txn__reset_lets_go_and_renew_sees_the_newest_state(void **state) {
    (void)state;
    for (unsigned flags = 0; flags <= HTT_OPEN_NO_MMAP; flags += HTT_OPEN_NO_MMAP) {
        crash_fs *disk = crash_fs_new(1);
        htt_options options = txn_options(crash_fs_env(disk));
        options.flags |= flags;
        htt_store *a = txn_open_with(&options);
        options.env = crash_fs_new_process(disk);
        htt_store *b = txn_open_with(&options);
        txn_fill(a, 0, 60, 1, 400);
        htt_txn *reader = txn_begin(b, HTT_READ);
        assert_int_equal(htt_lockfile_count_pins(a->lock), 1);
        htt_reset(reader);
        htt_reset(reader); /* once more is no harm */
        assert_int_equal(htt_lockfile_count_pins(a->lock), 0);
        assert_int_equal(htt_count(reader, &(uint64_t){0}), HTT_MISUSE);
        assert_non_null(strstr(htt_txn_errmsg(reader), "renew"));
        for (uint64_t i = 2; i < 20; i++) {
            txn_fill(i % 2 == 0 ? a : b, 0, 60, i, 400);
            assert_int_equal(htt_renew(reader), HTT_OK);
            txn_expect(reader, 0, 60, i);
            if (i % 3 == 0) {
                assert_int_equal(htt_renew(reader), HTT_OK); /* the same state again */
                txn_expect(reader, 0, 60, i);
            }
            if (i % 5 != 0)
                htt_reset(reader); /* else renewed while it is pinned */
        }
        htt_reset(reader);
        htt_abort(reader);
        htt_txn *writer = txn_begin(a, HTT_WRITE);
        htt_reset(writer);
        assert_int_equal(htt_renew(writer), HTT_MISUSE);
        txn_put(writer, 1, 77, 8);
        txn_commit(writer);
        assert_int_equal(txn_read(b, 1), 77);
        htt_close(a);
        htt_close(b);
        txn_free_disk(disk);
    }
}

static void test_txn__a_cursor_goes_on_when_its_transaction_is_reset(void **state) {
    (void)state;
    crash_fs *disk = crash_fs_new(1);
    htt_store *store = txn_open(crash_fs_env(disk));
    htt_cursor *cursor;
    htt_datum key;
    uint64_t rows = 0;
    txn_fill(store, 0, 200, 1, 100);
    htt_txn *reader = txn_begin(store, HTT_READ);
    assert_int_equal(htt_cursor_open(reader, &cursor), HTT_OK);
    assert_int_equal(htt_cursor_next(cursor, &key), HTT_OK);
    htt_reset(reader);
    for (uint64_t i = 0; i < 5; i++)
        txn_fill(store, 0, 400, 2 + i, 100); /* would overwrite what is not pinned */
    for (htt_rc rc = HTT_OK; rc == HTT_OK; rows++)
        rc = htt_cursor_next(cursor, &key);
    assert_int_equal(rows, 200);
    htt_cursor_close(cursor);
    assert_int_equal(htt_renew(reader), HTT_OK);
    txn_expect(reader, 0, 400, 6);
    htt_abort(reader);
    htt_close(store);
    txn_free_disk(disk);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_txn__a_second_writer_waits_and_then_gives_up),
        cmocka_unit_test(test_txn__a_reader_sees_one_state_from_begin_to_end),
        cmocka_unit_test(test_txn__reset_lets_go_and_renew_sees_the_newest_state),
        cmocka_unit_test(test_txn__a_cursor_goes_on_when_its_transaction_is_reset),
        cmocka_unit_test(test_txn__pages_are_reused_unless_a_reader_is_pinned),
        cmocka_unit_test(test_txn__a_commit_without_changes_writes_nothing),
        cmocka_unit_test(test_txn__after_prepare_a_commit_only_writes_the_meta_page),
        cmocka_unit_test(test_txn__an_abort_leaves_nothing),
        cmocka_unit_test(test_txn__a_file_that_was_cut_is_an_error_at_the_next_begin),
        cmocka_unit_test(test_txn__a_broken_transaction_can_only_be_aborted),
        cmocka_unit_test(test_txn__a_commit_that_fails_says_why_through_the_store),
        cmocka_unit_test(test_txn__a_reader_without_a_slot_is_told_that_all_are_taken),
        cmocka_unit_test(test_txn__calls_without_a_transaction_are_misuse),
        cmocka_unit_test(test_txn__a_file_with_an_owner_is_read_only),
        cmocka_unit_test(test_txn__threads_share_a_store),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
