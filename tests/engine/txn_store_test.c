/* SPDX-License-Identifier: MIT */
#include "txn_support.h"

#include "htt_host.h"

#include <sys/wait.h>
#include <unistd.h>

static void test_store__options_that_make_no_sense_are_misuse(void **state) {
    (void)state;
    crash_fs *disk = crash_fs_new(1);
    const htt_options good = txn_options(crash_fs_env(disk));
    htt_options options = good;
    htt_error error;
    options.page_size = 5000;
    txn_open_fails(TXN_PATH, &options, HTT_MISUSE, "5000");
    options.page_size = 131072;
    txn_open_fails(TXN_PATH, &options, HTT_MISUSE, "131072");
    options = good;
    options.flags = HTT_OPEN_NEW;
    txn_open_fails(TXN_PATH, &options, HTT_MISUSE, "HTT_OPEN_CREATE");
    options.flags = HTT_OPEN_NEW | HTT_OPEN_CREATE | HTT_OPEN_READONLY;
    txn_open_fails(TXN_PATH, &options, HTT_MISUSE, "HTT_OPEN_READONLY");
    options.flags = 1u << 20;
    txn_open_fails(TXN_PATH, &options, HTT_MISUSE, "flags");
    options = good;
    options.sync = (htt_sync)7;
    txn_open_fails(TXN_PATH, &options, HTT_MISUSE, "sync");
    options = good;
    options.size = 0;
    txn_open_fails(TXN_PATH, &options, HTT_MISUSE, "htt_options_init");
    char *text = calloc(1, HTT_DECLARATION_SIZE_MAX + 2);
    memset(text, 'x', HTT_DECLARATION_SIZE_MAX + 1);
    options = good;
    options.declaration = text;
    txn_open_fails(TXN_PATH, &options, HTT_TOOBIG, "2049");
    free(text);
    txn_open_fails("", &good, HTT_MISUSE, "path");
    txn_open_fails(NULL, &good, HTT_MISUSE, "path");
    assert_int_equal(htt_open(TXN_PATH, &good, NULL, &error), HTT_MISUSE);
    assert_int_equal(crash_fs_position(disk), 0);
    txn_free_disk(disk);
}

static void test_store__an_older_and_shorter_options_struct_is_accepted(void **state) {
    (void)state;
    crash_fs *disk = crash_fs_new(1);
    htt_close(txn_open(crash_fs_env(disk)));
    htt_options options = txn_options(NULL);
    htt_store *store;
    htt_error error;
    options.flags = HTT_OPEN_READONLY;
    options.size = offsetof(htt_options, page_size);
    memset((uint8_t *)&options + options.size, 0xEE, sizeof options - options.size);
    /* The env is behind: the system's, where no such file is. */
    assert_int_equal(htt_open("no-such-file.htt", &options, &store, &error), HTT_CANTOPEN);
    txn_free_disk(disk);
}

static void test_store__a_handle_made_before_fork_is_refused(void **state) {
    (void)state;
    char path[] = "store_test.XXXXXX";
    assert_non_null(mkdtemp(path));
    assert_int_equal(chdir(path), 0);
    htt_store *store = txn_open(NULL);
    txn_fill(store, 0, 10, 1, 100);
    htt_txn *reader = txn_begin(store, HTT_READ);
    htt_txn *writer = txn_begin(store, HTT_WRITE);
    txn_put(writer, 0, 2, 100);
    htt_cursor *cursor;
    assert_int_equal(htt_cursor_open(reader, &cursor), HTT_OK);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        htt_txn *txn;
        int64_t number;
        uint64_t before, after;
        bool good = htt_begin(store, HTT_READ, &txn) == HTT_MISUSE;
        good = good && strstr(htt_errmsg(store), "fork") != NULL;
        good = good && htt_get_int(store, "x", &number) == HTT_MISUSE;
        good = good && htt_put_int(store, "x", 1) == HTT_MISUSE;
        good = good && htt_store_declare(store, "x") == HTT_MISUSE;
        good = good && htt_vacuum(store, &before, &after) == HTT_MISUSE;
        good = good && htt_prepare(writer) == HTT_MISUSE;
        good = good && htt_commit(writer) == HTT_MISUSE;
        htt_cursor_close(cursor);
        htt_abort(reader);
        htt_close(store);
        htt_store *own = NULL; /* a new one works, as a second process */
        good = good && htt_open(TXN_PATH, NULL, &own, NULL) == HTT_OK;
        good = good && htt_get_int(own, "x", &number) == HTT_NOTFOUND;
        htt_close(own);
        _exit(good ? 0 : 1);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    txn_commit(writer); /* the child has taken nothing away */
    txn_expect(reader, 0, 10, 1);
    htt_datum key;
    assert_int_equal(htt_cursor_next(cursor, &key), HTT_OK);
    htt_cursor_close(cursor);
    txn_commit(reader);
    assert_int_equal(txn_read(store, 0), 2);
    htt_close(store);
    assert_int_equal(unlink(TXN_PATH) | unlink(TXN_LOCK), 0);
    assert_int_equal(chdir(".."), 0);
    assert_int_equal(rmdir(path), 0);
}

static void test_store__close_aborts_what_is_open(void **state) {
    (void)state;
    crash_fs *disk = crash_fs_new(1);
    fault_env *fault = fault_env_new(crash_fs_env(disk));
    htt_store *store = txn_open(fault_env_table(fault));
    txn_fill(store, 0, 10, 1, 100);
    (void)txn_begin(store, HTT_READ);
    (void)txn_begin(store, HTT_READ);
    htt_txn *writer = txn_begin(store, HTT_WRITE);
    htt_cursor *cursor;
    txn_put(writer, 0, 2, 100);
    assert_int_equal(htt_cursor_open(writer, &cursor), HTT_OK);
    htt_close(store);
    htt_close(NULL);
    assert_int_equal(fault_env_held(fault), 0);
    store = txn_open(fault_env_table(fault));
    assert_int_equal(txn_read(store, 0), 1);
    txn_fill(store, 0, 10, 2, 100);
    htt_close(store);
    fault_env_free(fault);
    txn_free_disk(disk);
}

static void test_store__the_declaration_is_replaced_durably(void **state) {
    (void)state;
    for (htt_sync sync = HTT_SYNC_FULL; sync <= HTT_SYNC_OFF; sync++) {
        crash_fs *disk = crash_fs_new(1);
        htt_options options = txn_options(crash_fs_env(disk));
        options.declaration = "a";
        options.sync = sync;
        htt_store *store = txn_open_with(&options);
        htt_store *other = txn_open(crash_fs_new_process(disk));
        htt_info info, before;
        htt_store_info(store, &before);
        txn_fill(store, 0, 10, 1, 100);
        assert_int_equal(htt_store_declare(store, "a, b"), HTT_OK);
        crash_fs *after = crash_fs_cut(disk, crash_fs_position(disk), 0, 10);
        htt_store_info(store, &info);
        assert_string_equal(info.declaration, "a, b");
        assert_string_equal(before.declaration, "a"); /* what was given out stays */
        txn_fill(other, 0, 10, 2, 100);              /* does not take it back */
        htt_close(other);
        htt_close(store);
        store = txn_open(crash_fs_env(disk));
        htt_store_info(store, &info);
        assert_string_equal(info.declaration, "a, b");
        htt_close(store);
        store = txn_open(crash_fs_env(after));
        htt_store_info(store, &info);
        assert_string_equal(info.declaration, "a, b");
        assert_int_equal(txn_read(store, 0), 1); /* durable with all before it */
        htt_close(store);
        txn_free_disk(after);
        txn_free_disk(disk);
    }
}

static void test_store__declare_does_not_wait_for_a_write_transaction_of_its_own(void **state) {
    (void)state;
    crash_fs *disk = crash_fs_new(1);
    htt_store *store = txn_open(crash_fs_env(disk));
    htt_txn *txn = txn_begin(store, HTT_WRITE);
    assert_int_equal(htt_store_declare(store, "x"), HTT_BUSY);
    assert_non_null(strstr(htt_errmsg(store), "write transaction"));
    htt_abort(txn);
    assert_int_equal(htt_store_declare(store, "x"), HTT_OK);
    char *text = calloc(1, HTT_DECLARATION_SIZE_MAX + 2);
    memset(text, 'x', HTT_DECLARATION_SIZE_MAX + 1);
    assert_int_equal(htt_store_declare(store, text), HTT_TOOBIG);
    text[HTT_DECLARATION_SIZE_MAX] = '\0';
    assert_int_equal(htt_store_declare(store, text), HTT_OK);
    free(text);
    htt_close(store);
    txn_free_disk(disk);
}

static void test_store__info_tells_the_owner_as_of_the_open(void **state) {
    (void)state;
    crash_fs *disk = crash_fs_new(1);
    htt_host_owner owner;
    htt_host_root root;
    htt_info info;
    crash_fs_put_file(disk, "/data/app.db", "x", 1);
    htt_options options = txn_options(crash_fs_env(disk));
    htt_store *store = NULL, *other = NULL;
    assert_int_equal(htt_open("/data/a/kv.htt", &options, &store, NULL), HTT_OK);
    htt_store_info(store, &info);
    assert_string_equal(info.owner, "");
    assert_int_equal(htt_host_describe(store, "/data/app.db", &owner), HTT_OK);
    assert_int_equal(htt_host_claim(store, &owner, &root), HTT_OK);
    htt_store_info(store, &info);
    assert_string_equal(info.owner, ""); /* fixed while it is open */
    assert_int_equal(htt_open("/data/a/kv.htt", &options, &other, NULL), HTT_OK);
    htt_store_info(other, &info);
    assert_string_equal(info.owner, "../app.db");
    assert_int_equal(htt_put_text(other, "a", "b"), HTT_READONLY);
    assert_non_null(strstr(htt_errmsg(other), "'../app.db'"));
    htt_close(other);
    htt_close(store);
    txn_free_disk(disk);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_store__options_that_make_no_sense_are_misuse),
        cmocka_unit_test(test_store__an_older_and_shorter_options_struct_is_accepted),
        cmocka_unit_test(test_store__a_handle_made_before_fork_is_refused),
        cmocka_unit_test(test_store__close_aborts_what_is_open),
        cmocka_unit_test(test_store__the_declaration_is_replaced_durably),
        cmocka_unit_test(test_store__declare_does_not_wait_for_a_write_transaction_of_its_own),
        cmocka_unit_test(test_store__info_tells_the_owner_as_of_the_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
