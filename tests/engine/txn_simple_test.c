/* SPDX-License-Identifier: MIT */
#include "txn_support.h"

static void test_simple__each_call_is_durable(void **state) {
    (void)state;
    crash_fs *disk = crash_fs_new(1);
    htt_store *store = txn_open(crash_fs_env(disk));
    assert_int_equal(htt_put_text(store, "hostname", "www.example.com"), HTT_OK);
    assert_int_equal(htt_put_int(store, "port", -443), HTT_OK);
    crash_fs *after = crash_fs_cut(disk, crash_fs_position(disk), 0, 10);
    htt_store *again = txn_open(crash_fs_env(after));
    char *text = NULL;
    int64_t number = 0;
    assert_int_equal(htt_get_text(again, "hostname", &text), HTT_OK);
    assert_string_equal(text, "www.example.com");
    htt_free(text);
    assert_int_equal(htt_get_int(again, "port", &number), HTT_OK);
    assert_int_equal(number, -443);
    assert_int_equal(htt_put_text(again, "port", ""), HTT_OK);
    assert_int_equal(htt_get_text(again, "port", &text), HTT_OK);
    assert_string_equal(text, "");
    htt_free(text);
    htt_close(again);
    htt_close(store);
    txn_free_disk(after);
    txn_free_disk(disk);
}

static void test_simple__a_missing_key_and_another_type_are_two_errors(void **state) {
    (void)state;
    crash_fs *disk = crash_fs_new(1);
    htt_store *store = txn_open(crash_fs_env(disk));
    char *text = NULL;
    int64_t number = 5;
    assert_int_equal(htt_get_text(store, "nowhere", &text), HTT_NOTFOUND);
    assert_string_equal(htt_errmsg(store), "no key 'nowhere'");
    assert_int_equal(htt_get_int(store, "nowhere", &number), HTT_NOTFOUND);
    assert_int_equal(htt_put_text(store, "t", "1"), HTT_OK);
    assert_int_equal(htt_put_int(store, "i", 1), HTT_OK);
    assert_int_equal(htt_get_int(store, "t", &number), HTT_TYPE);
    assert_string_equal(htt_errmsg(store), "the value of 't' is text, not an integer");
    assert_int_equal(htt_get_text(store, "i", &text), HTT_TYPE);
    assert_string_equal(htt_errmsg(store), "the value of 'i' is an integer, not text");
    assert_null(text); /* untouched */
    assert_int_equal(number, 5);
    htt_close(store);
    txn_free_disk(disk);
}

static void test_simple__missing_arguments_are_misuse(void **state) {
    (void)state;
    crash_fs *disk = crash_fs_new(1);
    htt_store *store = txn_open(crash_fs_env(disk));
    int64_t number;
    assert_int_equal(htt_put_text(NULL, "k", "v"), HTT_MISUSE);
    assert_int_equal(htt_put_text(store, NULL, "v"), HTT_MISUSE);
    assert_int_equal(htt_put_text(store, "k", NULL), HTT_MISUSE);
    assert_int_equal(htt_put_int(store, NULL, 1), HTT_MISUSE);
    assert_int_equal(htt_get_text(store, "k", NULL), HTT_MISUSE);
    assert_int_equal(htt_get_int(store, NULL, &number), HTT_MISUSE);
    assert_int_equal(htt_get_int(store, "k", &number), HTT_NOTFOUND);
    htt_close(store);
    txn_free_disk(disk);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_simple__each_call_is_durable),
        cmocka_unit_test(test_simple__a_missing_key_and_another_type_are_two_errors),
        cmocka_unit_test(test_simple__missing_arguments_are_misuse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
