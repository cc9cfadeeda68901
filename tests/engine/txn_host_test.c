/* SPDX-License-Identifier: MIT */
/*
 * Transactions of a host: what is named after a schedule in docs/durability.md plays it, with the
 * host and its processes of host_support.h. Crashes and readers: host_reuse_test.c,
 * host_readers_test.c.
 */
#include "host_support.h"

static void test_host__commits_and_rolls_back_with_its_host(void **state) {
    (void)state;
    for (host_mode mode = HOST_WAL; mode < HOST_MODES; mode++) {
        crash_fs *disk = crash_fs_new(1);
        host_oracle *oracle = host_oracle_new();
        host_process a, b;
        host_db db;
        host_create(&a, crash_fs_env(disk), &db, mode, oracle);
        host_open_at(&b, crash_fs_new_process(disk), &db, TXN_PATH, HTT_OPEN_NO_MMAP);
        for (uint16_t i = 1; i <= 40; i++) {
            host_process *writer = i % 3 == 0 ? &b : &a;
            host_begin_ok(writer, oracle);
            for (uint32_t row = i % 5; row < HOST_ROWS; row += 4)
                assert_int_equal(host_put(writer, row, row % 3 == 0 ? 0 : i), HTT_OK);
            host_expect_rows(writer->txn, writer->work);
            assert_int_equal(host_publish(writer, oracle), HTT_OK);
            host_expect_rows(writer->txn, writer->work);
            if (i % 4 == 0) {
                host_rollback(writer);
                /* Its outcome is open: in a WAL it might come back. */
                const uint64_t attempt = host_acknowledge(writer);
                assert_int_equal(attempt != 0, mode != HOST_JOURNAL);
            } else {
                assert_int_equal(host_commit(writer, HOST_COMPLETE), 0);
            }
            host_check(&a, oracle);
            host_check(&b, oracle);
        }
        host_close(&a);
        host_close(&b);
        free(oracle);
        txn_free_disk(disk);
    }
}

/* ------------------------------------------------------ inside a transaction */

static void test_host__c1_roots_given_out_stay_whole_until_the_end(void **state) {
    (void)state;
    for (int checks = 0; checks < 2; checks++) {
        crash_fs *disk = crash_fs_new(1);
        host_oracle *oracle = host_oracle_new();
        host_row roots[12];
        host_process a;
        host_db db;
        uint32_t id, count = 0;
        uint64_t problems;
        host_create(&a, crash_fs_env(disk), &db, HOST_JOURNAL, oracle);
        host_fold(&a, oracle, 0, HOST_ROWS, 1);
        host_fold(&a, oracle, 0, HOST_ROWS, 2);
        const size_t first = crash_fs_position(disk);
        host_begin_ok(&a, oracle);
        const uint64_t nonce = htt_host_nonce(a.txn);
        for (uint16_t round = 0; round < 4; round++) {
            for (uint32_t row = 0; row < HOST_ROWS; row += 1 + round)
                assert_int_equal(host_put(&a, row, (uint16_t)(10 + round)), HTT_OK);
            if (checks == 1)
                assert_int_equal(htt_check(a.txn, HTT_CHECK_DEEP, NULL, NULL, &problems), HTT_OK);
            assert_int_equal(host_publish(&a, oracle), HTT_OK);
            assert_int_equal(htt_host_nonce(a.txn), nonce);
            roots[count++] = a.row;
            uint16_t saved[HOST_ROWS];
            memcpy(saved, a.work, sizeof saved);
            assert_int_equal(htt_savepoint(a.txn, &id), HTT_OK);
            for (uint32_t row = round; row < HOST_ROWS; row += 2)
                assert_int_equal(host_put(&a, row, row % 3 == 0 ? 0 : 99), HTT_OK);
            if (checks == 1)
                assert_int_equal(htt_check(a.txn, HTT_CHECK_DEEP, NULL, NULL, &problems), HTT_OK);
            assert_int_equal(host_publish(&a, oracle), HTT_OK);
            roots[count++] = a.row;
            assert_int_equal(htt_rollback_to(a.txn, id), HTT_OK);
            memcpy(a.work, saved, sizeof saved);
            host_expect_rows(a.txn, a.work);
            assert_int_equal(host_publish(&a, oracle), HTT_OK);
            roots[count++] = a.row;
            if (round % 2 == 0)
                assert_int_equal(htt_release(a.txn, id), HTT_OK);
        }
        /* Whichever of them the host's row is rolled back to and committed with. */
        for (uint32_t i = 0; i < count; i++)
            assert_int_equal(host_read(a.store, &roots[i], oracle, true), HTT_OK);
        const size_t before = crash_fs_position(disk);
        for (uint32_t i = 0; i < count; i++) {
            crash_fs *after = crash_fs_killed(disk, before);
            host_db other;
            host_db_recover(&other, crash_fs_env(after), HOST_PATH, HOST_JOURNAL);
            assert_int_equal(host_db_commit(&other, crash_fs_env(after), &roots[i], HOST_COMPLETE),
                             0);
            host_examine(after, HOST_JOURNAL, oracle);
            txn_free_disk(after);
        }
        a.row = roots[count - 1];
        assert_int_equal(host_commit(&a, HOST_COMPLETE), 0);
        host_check(&a, oracle);
        host_examine_all(disk, first, 4, HOST_JOURNAL, oracle);
        host_close(&a);
        free(oracle);
        txn_free_disk(disk);
    }
}

static void test_host__a_second_begin_of_one_host_transaction_keeps_the_nonce(void **state) {
    (void)state;
    crash_fs *disk = crash_fs_new(1);
    host_oracle *oracle = host_oracle_new();
    host_process a;
    host_db db;
    host_create(&a, crash_fs_env(disk), &db, HOST_WAL, oracle);
    host_fold(&a, oracle, 0, 20, 1);
    host_begin_ok(&a, oracle);
    const uint64_t nonce = htt_host_nonce(a.txn);
    assert_int_equal(host_put(&a, 1, 5), HTT_OK);
    assert_int_equal(host_publish(&a, oracle), HTT_OK);
    host_rollback(&a); /* and the host rolls its row back */
    assert_int_equal(host_begin(&a, oracle), HTT_BUSY);
    htt_host_write write = host_write_of(&a);
    write.nonce = nonce;
    assert_int_equal(htt_host_begin_write(a.store, &write, &a.txn), HTT_OK);
    assert_int_equal(htt_host_nonce(a.txn), nonce);
    memcpy(a.work, oracle->rows[a.base.state], sizeof a.work);
    assert_int_equal(host_put(&a, 2, 6), HTT_OK);
    assert_int_equal(host_publish(&a, oracle), HTT_OK);
    assert_int_equal(host_commit(&a, HOST_COMPLETE), 0);
    host_check(&a, oracle);
    host_close(&a);
    free(oracle);
    txn_free_disk(disk);
}

static void test_host__cursors_go_on_over_what_was_committed_and_nothing_else(void **state) {
    (void)state;
    for (int way = 0; way < 3; way++) { /* committed, rolled back, changed after the publish */
        crash_fs *disk = crash_fs_new(1);
        host_oracle *oracle = host_oracle_new();
        host_process a;
        htt_cursor *old, *fresh;
        host_db db;
        htt_datum key;
        uint32_t count = 1;
        host_create(&a, crash_fs_env(disk), &db, HOST_WAL, oracle);
        host_fold(&a, oracle, 0, 20, 1);
        host_begin_ok(&a, oracle);
        assert_int_equal(htt_cursor_open(a.txn, &old), HTT_OK);
        for (uint32_t row = 10; row < 40; row++)
            assert_int_equal(host_put(&a, row, 2), HTT_OK);
        assert_int_equal(host_publish(&a, oracle), HTT_OK);
        const host_row published = a.row;
        if (way == 2)
            assert_int_equal(host_put(&a, 41, 3), HTT_OK);
        assert_int_equal(htt_cursor_open(a.txn, &fresh), HTT_OK);
        a.row = published;
        if (way == 1)
            host_rollback(&a);
        else
            assert_int_equal(host_commit(&a, HOST_COMPLETE), 0);
        if (way == 1)
            (void)host_acknowledge(&a);
        for (uint16_t i = 10; i < 20; i++)
            host_fold(&a, oracle, 0, HOST_ROWS, i);
        assert_int_equal(htt_cursor_next(fresh, &key), way == 0 ? HTT_OK : HTT_ABORTED);
        while (way == 0 && htt_cursor_next(fresh, &key) == HTT_OK)
            count++;
        assert_true(way != 0 || count == 40);
        for (count = 0; htt_cursor_next(old, &key) == HTT_OK; count++) {
        }
        assert_int_equal(count, 20);
        htt_cursor_close(old);
        htt_cursor_close(fresh);
        host_close(&a);
        free(oracle);
        txn_free_disk(disk);
    }
}

static void test_host__calls_of_the_wrong_kind_are_misuse(void **state) {
    (void)state;
    crash_fs *disk = crash_fs_new(1);
    host_oracle *oracle = host_oracle_new();
    host_process a;
    host_db db;
    htt_host_root root;
    htt_txn *txn = NULL;
    uint64_t number;
    host_create(&a, crash_fs_env(disk), &db, HOST_WAL, oracle);
    host_fold(&a, oracle, 0, 20, 1);
    host_begin_ok(&a, oracle);
    assert_int_equal(htt_prepare(a.txn), HTT_MISUSE);
    assert_int_equal(htt_host_publish(a.txn, 1, NULL), HTT_MISUSE);
    assert_int_equal(htt_host_renew(a.txn, &a.root), HTT_MISUSE);
    assert_int_equal(htt_host_wake(a.txn), HTT_MISUSE);
    assert_int_equal(htt_commit(a.txn), HTT_MISUSE); /* ends it */
    a.txn = NULL;
    host_begin_ok(&a, oracle);
    host_rollback(&a);
    txn = txn_begin(a.store, HTT_READ);
    assert_int_equal(htt_host_renew(txn, &a.root), HTT_MISUSE);
    assert_int_equal(htt_host_publish(txn, 1, &root), HTT_READONLY);
    assert_int_equal(htt_host_nonce(txn), 0);
    htt_abort(txn);
    txn = host_reader(&a);
    assert_int_equal(htt_renew(txn), HTT_MISUSE);
    htt_abort(txn);
    htt_host_write write = host_write_of(&a);
    write.base = NULL;
    assert_int_equal(htt_host_begin_write(a.store, &write, &txn), HTT_MISUSE);
    assert_int_equal(htt_host_outstanding(a.store, &write, 0, &number), HTT_MISUSE);
    assert_int_equal(htt_host_begin_write(NULL, &write, &txn), HTT_MISUSE);
    assert_int_equal(htt_host_begin_read(a.store, NULL, &txn), HTT_MISUSE);
    assert_int_equal(htt_host_renew(NULL, &a.root), HTT_MISUSE);
    assert_int_equal(htt_host_publish(NULL, 0, &root), HTT_MISUSE);
    htt_host_finish(NULL, true);
    htt_host_rest(NULL);
    root = a.root;
    root.record[40] ^= 1;
    assert_int_equal(htt_host_begin_read(a.store, &root, &txn), HTT_CORRUPT);
    write.base = &root;
    assert_int_equal(htt_host_begin_write(a.store, &write, &txn), HTT_CORRUPT);
    host_begin_ok(&a, oracle); /* nothing is left behind */
    host_rollback(&a);
    host_close(&a);
    free(oracle);
    txn_free_disk(disk);
}

/* ------------------------------------------------ standalone users, the lock file */

static void test_host__f4_a_hosted_file_is_written_by_its_host_only(void **state) {
    (void)state;
    crash_fs *disk = crash_fs_new(1);
    host_oracle *oracle = host_oracle_new();
    uint64_t before, after;
    host_process a;
    htt_info info;
    host_db db;
    htt_txn *txn;
    host_create(&a, crash_fs_env(disk), &db, HOST_WAL, oracle);
    htt_store *early = a.store; /* was open before the claim */
    host_fold(&a, oracle, 0, 20, 1);
    htt_store *store = txn_open(crash_fs_new_process(disk));
    for (int i = 0; i < 2; i++) {
        htt_store *one = i == 0 ? store : early;
        assert_int_equal(htt_begin(one, HTT_WRITE, &txn), HTT_READONLY);
        assert_non_null(strstr(htt_errmsg(one), "'" HOST_PATH "'"));
        assert_int_equal(htt_put_text(one, "a", "b"), HTT_READONLY);
        assert_int_equal(htt_put_int(one, "a", 1), HTT_READONLY);
        assert_int_equal(htt_store_declare(one, "x"), HTT_READONLY);
        assert_int_equal(htt_vacuum(one, &before, &after), HTT_READONLY);
    }
    htt_store_info(store, &info);
    assert_string_equal(info.owner, HOST_PATH);
    assert_int_equal(htt_get_int(store, "a", (int64_t *)&before), HTT_NOTFOUND);
    htt_close(store);
    host_close(&a);
    (void)host_check_standalone(crash_fs_env(disk), TXN_PATH, oracle);
    free(oracle);
    txn_free_disk(disk);
}

static void test_host__a_standalone_writer_that_waits_is_refused_after_the_claim(void **state) {
    (void)state;
    crash_fs *disk = crash_fs_new(1);
    const host_row row = {.state = 0};
    htt_host_root root;
    host_process a;
    host_db db;
    htt_txn *txn;
    host_db_create(&db, crash_fs_env(disk), HOST_PATH, HOST_WAL, &row);
    for (htt_sync sync = HTT_SYNC_FULL; sync <= HTT_SYNC_OFF; sync++) {
        htt_options options = txn_options(crash_fs_new_process(disk));
        options.sync = sync;
        htt_store *store = txn_open_with(&options);
        txn_fill(store, 0, 10, 5 + sync, 300);
        host_open(&a, crash_fs_env(disk), &db);
        txn = txn_begin(store, HTT_WRITE);
        assert_int_equal(htt_host_claim(a.store, &a.owner, &root), HTT_BUSY);
        htt_abort(txn);
        const size_t before = crash_fs_position(disk);
        assert_int_equal(htt_host_claim(a.store, &a.owner, &root), HTT_OK);
        /* What was not on the disk yet is, before the file is the host's. */
        for (size_t at = before; at <= crash_fs_position(disk) && sync != HTT_SYNC_OFF; at++) {
            for (size_t i = 0; i < crash_fs_cut_count(disk, at, 30); i++) {
                crash_fs *dark = crash_fs_cut(disk, at, i, 30);
                htt_store *then = txn_open(crash_fs_env(dark));
                const uint64_t found = txn_read(then, 9);
                assert_true(found == 5 + sync || (sync == HTT_SYNC_NORMAL && found == 5));
                txn_check(then);
                htt_close(then);
                txn_free_disk(dark);
            }
        }
        assert_int_equal(htt_begin(store, HTT_WRITE, &txn), HTT_READONLY);
        assert_int_equal(txn_read(store, 3), 5 + sync);
        htt_close(store);
        assert_int_equal(htt_host_checkpoint(a.store, &root, true, NULL), HTT_OK);
        host_close(&a);
    }
    txn_free_disk(disk);
}

static void test_host__claim_is_taken_back_unless_somebody_went_on(void **state) {
    (void)state;
    crash_fs *disk = crash_fs_new(1);
    const host_row row = {.state = 0};
    htt_host_root root;
    host_process a, b;
    host_db one, two;
    host_db_create(&one, crash_fs_env(disk), "one.db", HOST_WAL, &row);
    host_db_create(&two, crash_fs_env(disk), "two.db", HOST_WAL, &row);
    host_open(&a, crash_fs_env(disk), &one);
    host_open(&b, crash_fs_new_process(disk), &two);
    assert_int_equal(htt_host_claim(a.store, &a.owner, &root), HTT_OK);
    uint64_t at = htt_host_generation(a.store);
    assert_int_equal(htt_host_unclaim(b.store, &b.owner, at), HTT_OK); /* not b's */
    assert_string_equal(host_meta_of(&a).owner.path, "one.db");
    assert_int_equal(htt_host_claim(a.store, &a.owner, &root), HTT_OK); /* somebody takes it up */
    assert_int_equal(htt_host_unclaim(a.store, &a.owner, at), HTT_OK);
    assert_int_equal(htt_host_unclaim(a.store, &a.owner, 0), HTT_OK);
    assert_string_equal(host_meta_of(&a).owner.path, "one.db");
    at = htt_host_generation(a.store);
    assert_int_equal(htt_host_unclaim(a.store, &a.owner, at), HTT_OK);
    assert_string_equal(host_meta_of(&a).owner.path, "");
    at = htt_host_generation(a.store);
    assert_int_equal(htt_host_unclaim(a.store, &a.owner, at), HTT_OK);
    assert_int_equal(htt_host_claim(b.store, &b.owner, &root), HTT_OK);
    b.root = root;
    htt_host_write write = host_write_of(&b);
    assert_int_equal(htt_host_begin_write(b.store, &write, &b.txn), HTT_OK);
    host_rollback(&b);
    assert_int_not_equal(host_meta_of(&b).attempt, 0);
    at = htt_host_generation(b.store);
    assert_int_equal(htt_host_unclaim(b.store, &b.owner, at - 2), HTT_OK);
    assert_string_equal(host_meta_of(&b).owner.path, "two.db");
    assert_int_equal(htt_host_unclaim(b.store, &b.owner, at), HTT_OK); /* never armed */
    assert_string_equal(host_meta_of(&b).owner.path, "");
    assert_int_equal(htt_host_unclaim(b.store, NULL, at), HTT_MISUSE);
    host_close(&a);
    host_close(&b);
    txn_free_disk(disk);
}

static void test_host__f3_one_of_two_hosts_gets_a_standalone_file(void **state) {
    (void)state;
    crash_fs *disk = crash_fs_new(1);
    const host_row row = {.state = 0};
    htt_host_root root;
    host_process a, b;
    host_db one, two;
    host_db_create(&one, crash_fs_env(disk), "one.db", HOST_WAL, &row);
    host_db_create(&two, crash_fs_env(disk), "two.db", HOST_WAL, &row);
    host_open(&a, crash_fs_env(disk), &one);
    host_open(&b, crash_fs_new_process(disk), &two);
    assert_int_equal(htt_host_claim(a.store, &a.owner, &root), HTT_OK);
    assert_int_equal(htt_host_claim(b.store, &b.owner, &root), HTT_READONLY);
    assert_non_null(strstr(htt_errmsg(b.store), "one.db"));
    const htt_host_meta before = host_meta_of(&a);
    assert_int_equal(htt_host_claim(a.store, &a.owner, &root), HTT_OK); /* again */
    const htt_host_meta now = host_meta_of(&a);
    assert_memory_equal(&now, &before, sizeof now);
    /* Nobody's: then the other may have it. */
    assert_int_equal(htt_host_checkpoint(b.store, &root, true, NULL), HTT_OK);
    assert_int_equal(htt_host_claim(b.store, &b.owner, &root), HTT_OK);
    assert_int_equal(htt_host_claim(a.store, &a.owner, &root), HTT_READONLY);
    b.root = root;
    htt_host_write write = host_write_of(&b);
    assert_int_equal(htt_host_begin_write(b.store, &write, &b.txn), HTT_OK);
    host_rollback(&b);
    write.owner = &a.owner;
    assert_int_equal(htt_host_begin_write(b.store, &write, &b.txn), HTT_READONLY);
    assert_int_equal(htt_host_checkpoint(b.store, &root, true, NULL), HTT_OK);
    assert_int_equal(htt_host_begin_write(b.store, &write, &b.txn), HTT_READONLY);
    assert_non_null(strstr(htt_errmsg(b.store), "no database"));
    htt_host_root unused;
    const htt_host_owner nobody = {.path = ""};
    assert_int_equal(htt_host_claim(b.store, &nobody, &unused), HTT_MISUSE);
    host_close(&a);
    host_close(&b);
    txn_free_disk(disk);
}

static void test_host__rule_17_a_standalone_reader_sees_the_last_fold_known_durable(void **state) {
    (void)state;
    crash_fs *disk = crash_fs_new(1);
    host_oracle *oracle = host_oracle_new();
    host_process a;
    host_db db;
    host_create(&a, crash_fs_env(disk), &db, HOST_WAL, oracle);
    for (uint16_t i = 1; i < 20; i++) {
        host_fold(&a, oracle, 0, HOST_ROWS, i);
        const htt_env *other = crash_fs_new_process(disk);
        assert_int_equal(host_check_standalone(other, TXN_PATH, oracle), i - 1);
        htt_store *store = txn_open(other);
        htt_txn *txn = txn_begin(store, HTT_READ);
        host_fold(&a, oracle, 0, HOST_ROWS, ++i);
        host_fold(&a, oracle, 0, HOST_ROWS, ++i);
        host_fold(&a, oracle, 0, HOST_ROWS, ++i);
        host_expect_rows(txn, oracle->rows[i - 4]); /* its pin keeps it */
        htt_abort(txn);
        htt_close(store);
    }
    assert_int_equal(host_db_barrier(&db, a.env), 0);
    assert_int_equal(htt_host_root_read(db.row.record, HTT_HOST_RECORD_SIZE, &a.root, NULL),
                     HTT_OK);
    assert_int_equal(htt_host_checkpoint(a.store, &a.root, false, NULL), HTT_OK);
    assert_int_equal(host_check_standalone(crash_fs_env(disk), TXN_PATH, oracle), db.row.state);
    host_fold(&a, oracle, 0, 10, 77);
    host_close(&a);
    free(oracle);
    txn_free_disk(disk);
}

static void test_host__rule_18_a_lost_or_foreign_lock_file_arms_the_last_attempt(void **state) {
    (void)state;
    for (int way = 0; way < 3; way++) { /* lost, rubbish, of another file */
        crash_fs *disk = crash_fs_new(1);
        host_oracle *oracle = host_oracle_new();
        const htt_env *env = crash_fs_env(disk);
        host_process a;
        host_db db;
        host_create(&a, env, &db, HOST_WAL, oracle);
        host_fold(&a, oracle, 0, 20, 1);
        host_begin_ok(&a, oracle);
        assert_int_equal(host_put(&a, 3, 9), HTT_OK);
        assert_int_equal(host_publish(&a, oracle), HTT_OK);
        const uint64_t nonce = htt_host_nonce(a.txn);
        assert_int_equal(host_commit(&a, HOST_STOP), 0);
        host_rollback(&a);
        assert_int_equal(host_meta_of(&a).armed, nonce);
        host_close(&a);
        uint8_t *bytes;
        size_t size;
        bytes = crash_fs_get_file(disk, TXN_LOCK, &size);
        assert_int_equal(size, HTT_LOCK_SIZE);
        bytes[way == 2 ? 32 : 0] ^= 1;
        memset(bytes + 96, way == 1 ? 0x5A : 0, 8); /* armed */
        if (way == 0)
            assert_int_equal(env->unlink(env->context, TXN_LOCK), 0);
        else
            crash_fs_put_file(disk, TXN_LOCK, bytes, size);
        free(bytes);
        host_open(&a, env, &db);
        assert_int_equal(host_meta_of(&a).armed, nonce);
        assert_int_equal(host_begin(&a, oracle), HTT_BUSY);
        assert_int_equal(host_acknowledge(&a), nonce);
        host_fold(&a, oracle, 0, 20, 4);
        host_check(&a, oracle);
        host_close(&a);
        free(oracle);
        txn_free_disk(disk);
    }
}

static void test_host__a_checkpoint_with_release_ends_a_write_transaction(void **state) {
    (void)state;
    crash_fs *disk = crash_fs_new(1);
    host_oracle *oracle = host_oracle_new();
    host_process a;
    host_db db;
    htt_host_root root;
    host_create(&a, crash_fs_env(disk), &db, HOST_WAL, oracle);
    host_fold(&a, oracle, 0, 20, 1);
    host_begin_ok(&a, oracle);
    assert_int_equal(host_put(&a, 1, 2), HTT_OK);
    assert_int_equal(host_publish(&a, oracle), HTT_OK);
    assert_int_equal(host_db_commit(&db, a.env, &a.row, HOST_COMPLETE), 0);
    assert_int_equal(host_db_barrier(&db, a.env), 0);
    assert_int_equal(htt_host_root_read(a.row.record, HTT_HOST_RECORD_SIZE, &root, NULL), HTT_OK);
    htt_txn *reader = host_reader(&a);
    assert_int_equal(htt_host_checkpoint(a.store, &root, true, reader), HTT_MISUSE);
    htt_abort(reader);
    assert_int_equal(htt_host_checkpoint(a.store, &root, true, a.txn), HTT_OK);
    assert_int_equal(host_put(&a, 1, 3), HTT_OK);
    assert_int_equal(host_publish(&a, oracle), HTT_MISUSE);
    htt_host_finish(a.txn, true);
    a.txn = NULL;
    assert_string_equal(host_meta_of(&a).owner.path, "");
    host_close(&a);
    /* A file of its own again. */
    htt_store *store = txn_open(crash_fs_env(disk));
    htt_txn *txn = txn_begin(store, HTT_WRITE);
    host_expect_rows(txn, oracle->rows[2]);
    txn_put(txn, 0, 5, 8);
    txn_commit(txn);
    txn_check(store);
    htt_close(store);
    free(oracle);
    txn_free_disk(disk);
}

static void test_host__two_handles_of_one_process_take_turns(void **state) {
    (void)state;
    crash_fs *disk = crash_fs_new(1);
    host_oracle *oracle = host_oracle_new();
    host_process a, b;
    host_db db;
    host_create(&a, crash_fs_env(disk), &db, HOST_WAL, oracle);
    host_open(&b, crash_fs_env(disk), &db);
    host_fold(&a, oracle, 0, 20, 1);
    host_begin_ok(&a, oracle);
    assert_int_equal(host_begin(&b, oracle), HTT_BUSY);
    host_rollback(&a);
    host_fold(&b, oracle, 5, 25, 2);
    host_check(&a, oracle);
    assert_int_equal(htt_host_declare(a.store, "kv(key, value)"), HTT_OK);
    assert_int_equal(htt_host_declare(a.store, NULL), HTT_MISUSE);
    char large[HTT_DECLARATION_SIZE_MAX + 2];
    memset(large, 'x', sizeof large - 1);
    large[sizeof large - 1] = '\0';
    assert_int_equal(htt_host_declare(a.store, large), HTT_TOOBIG);
    host_fold(&b, oracle, 0, 10, 3);
    host_close(&b);
    host_close(&a);
    htt_info info;
    htt_store *store = txn_open(crash_fs_env(disk));
    htt_store_info(store, &info);
    assert_string_equal(info.declaration, "kv(key, value)");
    htt_close(store);
    free(oracle);
    txn_free_disk(disk);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_host__commits_and_rolls_back_with_its_host),
        cmocka_unit_test(test_host__c1_roots_given_out_stay_whole_until_the_end),
        cmocka_unit_test(test_host__a_second_begin_of_one_host_transaction_keeps_the_nonce),
        cmocka_unit_test(test_host__cursors_go_on_over_what_was_committed_and_nothing_else),
        cmocka_unit_test(test_host__calls_of_the_wrong_kind_are_misuse),
        cmocka_unit_test(test_host__f4_a_hosted_file_is_written_by_its_host_only),
        cmocka_unit_test(test_host__a_standalone_writer_that_waits_is_refused_after_the_claim),
        cmocka_unit_test(test_host__claim_is_taken_back_unless_somebody_went_on),
        cmocka_unit_test(test_host__f3_one_of_two_hosts_gets_a_standalone_file),
        cmocka_unit_test(test_host__rule_17_a_standalone_reader_sees_the_last_fold_known_durable),
        cmocka_unit_test(test_host__rule_18_a_lost_or_foreign_lock_file_arms_the_last_attempt),
        cmocka_unit_test(test_host__a_checkpoint_with_release_ends_a_write_transaction),
        cmocka_unit_test(test_host__two_handles_of_one_process_take_turns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
