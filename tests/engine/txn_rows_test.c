/* SPDX-License-Identifier: MIT */
#include "txn_support.h"

#include <math.h>

static void test_rows__limits_are_named_with_the_size(void **state) {
    (void)state;
    crash_fs *disk = crash_fs_new(1);
    htt_store *store = txn_open(crash_fs_env(disk));
    htt_txn *txn = txn_begin(store, HTT_WRITE);
    uint8_t *bytes = calloc(1, HTT_KEY_SIZE_MAX + 1);
    htt_datum value;
    assert_int_equal(htt_put(txn, htt_blob(bytes, HTT_KEY_SIZE_MAX), htt_null(), 0), HTT_OK);
    assert_int_equal(htt_put(txn, htt_blob(bytes, HTT_KEY_SIZE_MAX + 1), htt_null(), 0),
                     HTT_TOOBIG);
    assert_non_null(strstr(htt_txn_errmsg(txn), "1048577"));
    assert_non_null(strstr(htt_txn_errmsg(txn), "1048576"));
    assert_int_equal(htt_put(txn, htt_text("k"), htt_blob(bytes, HTT_VALUE_SIZE_MAX + 1), 0),
                     HTT_TOOBIG);
    assert_non_null(strstr(htt_txn_errmsg(txn), "999000001"));
    /* Such a key is in no store. */
    assert_int_equal(htt_get(txn, htt_blob(bytes, HTT_KEY_SIZE_MAX + 1), &value), HTT_NOTFOUND);
    assert_int_equal(htt_exists(txn, htt_blob(bytes, HTT_KEY_SIZE_MAX + 1)), HTT_NOTFOUND);
    assert_int_equal(htt_del(txn, htt_blob(bytes, HTT_KEY_SIZE_MAX + 1)), HTT_NOTFOUND);
    assert_int_equal(htt_exists(txn, htt_blob(bytes, HTT_KEY_SIZE_MAX)), HTT_OK);
    free(bytes);
    txn_commit(txn);
    htt_close(store);
    txn_free_disk(disk);
}

static void test_rows__types_and_bytes_that_make_no_sense_are_misuse(void **state) {
    (void)state;
    static const uint8_t padded[2] = {1, 0}; /* 1, not in its shortest form */
    crash_fs *disk = crash_fs_new(1);
    htt_store *store = txn_open(crash_fs_env(disk));
    htt_txn *txn = txn_begin(store, HTT_WRITE);
    const htt_datum bad_keys[] = {htt_null(),
                                  htt_bytes("x", 1, HTT_ROW),
                                  htt_bytes("x", 1, (htt_type)99),
                                  htt_bytes(padded, 2, HTT_INTEGER),
                                  htt_bytes("1234567", 7, HTT_REAL),
                                  htt_bytes(NULL, 3, HTT_TEXT)};
    htt_datum value;
    for (size_t i = 0; i < sizeof bad_keys / sizeof bad_keys[0]; i++) {
        assert_int_equal(htt_put(txn, bad_keys[i], htt_null(), 0), HTT_MISUSE);
        assert_int_equal(htt_get(txn, bad_keys[i], &value), HTT_MISUSE);
        assert_int_equal(htt_del(txn, bad_keys[i]), HTT_MISUSE);
        assert_true(strlen(htt_txn_errmsg(txn)) > 10);
    }
    const htt_datum bad_values[] = {htt_bytes("x", 1, HTT_INTEGRAL), htt_bytes("x", 1, HTT_NULL),
                                    htt_bytes(padded, 2, HTT_INTEGER),
                                    htt_bytes(NULL, 3, HTT_BLOB)};
    for (size_t i = 0; i < sizeof bad_values / sizeof bad_values[0]; i++)
        assert_int_equal(htt_put(txn, htt_text("k"), bad_values[i], 0), HTT_MISUSE);
    assert_int_equal(
        htt_put(txn, htt_text("k"), htt_null(), HTT_PUT_INSERT | HTT_PUT_REPLACE), HTT_MISUSE);
    assert_int_equal(htt_put(txn, htt_text("k"), htt_null(), 64), HTT_MISUSE);
    assert_int_equal(htt_get(txn, htt_text("k"), NULL), HTT_MISUSE);
    assert_int_equal(htt_get(NULL, htt_text("k"), &value), HTT_MISUSE);
    assert_int_equal(htt_put(NULL, htt_text("k"), htt_null(), 0), HTT_MISUSE);
    assert_int_equal(htt_del(NULL, htt_text("k")), HTT_MISUSE);
    assert_int_equal(htt_exists(NULL, htt_text("k")), HTT_MISUSE);
    uint64_t count = 1;
    assert_int_equal(htt_count(txn, &count), HTT_OK);
    assert_int_equal(count, 0);
    htt_abort(txn);
    txn = txn_begin(store, HTT_READ);
    assert_int_equal(htt_put(txn, htt_text("k"), htt_null(), 0), HTT_READONLY);
    assert_int_equal(htt_del(txn, htt_text("k")), HTT_READONLY);
    htt_abort(txn);
    htt_close(store);
    txn_free_disk(disk);
}

static void test_rows__insert_and_replace_say_what_is_there(void **state) {
    (void)state;
    crash_fs *disk = crash_fs_new(1);
    htt_store *store = txn_open(crash_fs_env(disk));
    htt_txn *txn = txn_begin(store, HTT_WRITE);
    htt_datum value;
    assert_int_equal(htt_put(txn, htt_text("k"), htt_text("1"), HTT_PUT_REPLACE), HTT_NOTFOUND);
    assert_int_equal(htt_put(txn, htt_text("k"), htt_text("1"), HTT_PUT_INSERT), HTT_OK);
    assert_int_equal(htt_put(txn, htt_text("k"), htt_text("2"), HTT_PUT_INSERT), HTT_EXISTS);
    assert_string_equal(htt_txn_errmsg(txn), htt_strerror(HTT_EXISTS));
    assert_int_equal(htt_get(txn, htt_text("k"), &value), HTT_OK);
    assert_memory_equal(value.data, "1", 1);
    assert_int_equal(htt_put(txn, htt_text("k"), htt_text("2"), HTT_PUT_REPLACE), HTT_OK);
    assert_int_equal(htt_exists(txn, htt_blob("k", 1)), HTT_NOTFOUND); /* another class */
    assert_int_equal(htt_del(txn, htt_text("k")), HTT_OK);
    assert_int_equal(htt_del(txn, htt_text("k")), HTT_NOTFOUND);
    txn_commit(txn);
    htt_close(store);
    txn_free_disk(disk);
}

static void test_rows__get_key_gives_the_key_as_it_was_written(void **state) {
    (void)state;
    crash_fs *disk = crash_fs_new(1);
    htt_store *store = txn_open(crash_fs_env(disk));
    htt_txn *txn = txn_begin(store, HTT_WRITE);
    uint8_t scratch[8];
    htt_datum key, stored;
    bool is_real;
    int64_t integer;
    double real;
    assert_int_equal(htt_key_real(1.0, scratch, &key), HTT_OK);
    assert_int_equal(htt_put(txn, key, htt_null(), 0), HTT_OK);
    assert_int_equal(htt_get_key(txn, htt_integer(1, scratch), &stored), HTT_OK);
    assert_int_equal(htt_key_number(stored, &is_real, &integer, &real), HTT_OK);
    assert_true(is_real);
    assert_true(real == 1.0);
    assert_int_equal(htt_key_real(-0.0, scratch, &key), HTT_OK);
    assert_int_equal(htt_put(txn, key, htt_null(), 0), HTT_OK);
    assert_int_equal(htt_get_key(txn, htt_integer(0, scratch), &stored), HTT_OK);
    assert_int_equal(htt_key_number(stored, &is_real, &integer, &real), HTT_OK);
    assert_true(is_real && signbit(real));
    assert_int_equal(htt_get_key(txn, htt_integer(2, scratch), &stored), HTT_NOTFOUND);
    assert_int_equal(htt_get_key(txn, htt_integer(1, scratch), NULL), HTT_MISUSE);
    htt_abort(txn);
    htt_close(store);
    txn_free_disk(disk);
}

static void test_rows__put_replaces_the_form_of_the_key_too(void **state) {
    (void)state;
    crash_fs *disk = crash_fs_new(1);
    htt_store *store = txn_open(crash_fs_env(disk));
    uint8_t one[8], scratch[8];
    htt_datum keys[2], stored;
    keys[0] = htt_integer(1, one);
    assert_int_equal(htt_key_real(1.0, scratch, &keys[1]), HTT_OK);
    htt_txn *txn = txn_begin(store, HTT_WRITE);
    for (unsigned i = 0; i < 4; i++) {
        const unsigned flags = i == 0 ? HTT_PUT_INSERT : HTT_PUT_REPLACE;
        uint64_t count;
        assert_int_equal(htt_put(txn, keys[i % 2], htt_null(), flags), HTT_OK);
        assert_int_equal(htt_get_key(txn, keys[0], &stored), HTT_OK);
        assert_int_equal(stored.type, keys[i % 2].type);
        assert_int_equal(htt_put(txn, keys[1 - i % 2], htt_null(), HTT_PUT_INSERT), HTT_EXISTS);
        assert_int_equal(htt_get_key(txn, keys[1], &stored), HTT_OK);
        assert_int_equal(stored.type, keys[i % 2].type); /* a put that fails replaces nothing */
        assert_int_equal(htt_count(txn, &count), HTT_OK);
        assert_int_equal(count, 1);
    }
    txn_commit(txn);
    txn_check(store);
    htt_close(store);
    txn_free_disk(disk);
}

static void test_rows__a_value_got_can_be_put_again(void **state) {
    (void)state;
    for (unsigned flags = 0; flags <= HTT_OPEN_NO_MMAP; flags += HTT_OPEN_NO_MMAP) {
        static const size_t sizes[] = {8, 700, 1900, 4096, 5000, 60000};
        crash_fs *disk = crash_fs_new(1);
        htt_options options = txn_options(crash_fs_env(disk));
        options.flags |= flags;
        options.cache_bytes = 4096;
        options.write_budget = 4096;
        htt_store *store = txn_open_with(&options);
        htt_txn *txn = txn_begin(store, HTT_WRITE);
        for (size_t i = 0; i < 6; i++)
            txn_put(txn, i, i + 1, sizes[i]);
        for (int round = 0; round < 2; round++) { /* from memory, then from the file */
            for (int64_t i = 0; i < 600; i++) {
                uint8_t from[8], to[8];
                htt_datum value;
                assert_int_equal(htt_get(txn, htt_integer(i % 6, from), &value), HTT_OK);
                assert_int_equal(htt_put(txn, htt_integer(100 + i, to), value, 0), HTT_OK);
            }
            for (uint64_t i = 0; i < 600; i++)
                assert_int_equal(txn_get(txn, 100 + i), i % 6 + 1);
            if (round == 0) {
                txn_commit(txn);
                txn = txn_begin(store, HTT_WRITE);
            }
        }
        txn_commit(txn);
        txn_check(store);
        htt_close(store);
        txn_free_disk(disk);
    }
}

static void test_rows__get_many_gives_results_in_the_order_of_keys(void **state) {
    (void)state;
    enum { COUNT = 300 };
    for (unsigned flags = 0; flags <= HTT_OPEN_NO_MMAP; flags += HTT_OPEN_NO_MMAP) {
        crash_fs *disk = crash_fs_new(1);
        htt_options options = txn_options(crash_fs_env(disk));
        options.flags |= flags;
        options.cache_bytes = 4096;
        htt_store *store = txn_open_with(&options);
        htt_txn *txn = txn_begin(store, HTT_WRITE);
        for (uint64_t i = 0; i < COUNT; i += 2)
            txn_put(txn, i, i, i % 20 == 0 ? 20000 : 50);
        uint8_t scratch[COUNT][8];
        htt_datum keys[COUNT], values[COUNT];
        htt_rc results[COUNT];
        uint8_t *huge = calloc(1, HTT_KEY_SIZE_MAX + 1);
        for (int round = 0; round < 2; round++) {
            for (size_t i = 0; i < COUNT; i++)
                keys[i] = htt_integer((int64_t)(i * 7 % COUNT), scratch[i]);
            keys[99] = htt_blob(huge, HTT_KEY_SIZE_MAX + 1);
            assert_int_equal(htt_get_many(txn, keys, COUNT, values, results), HTT_OK);
            for (size_t i = 0; i < COUNT; i++) {
                const uint64_t row = i * 7 % COUNT;
                assert_int_equal(results[i], row % 2 == 0 && i != 99 ? HTT_OK : HTT_NOTFOUND);
                if (results[i] != HTT_OK)
                    continue;
                assert_int_equal(values[i].size, row % 20 == 0 ? 20000 : 50);
                assert_memory_equal(values[i].data, &row, 8);
            }
            keys[200] = htt_null();
            assert_int_equal(htt_get_many(txn, keys, COUNT, values, results), HTT_MISUSE);
            assert_int_equal(htt_get_many(txn, NULL, 0, NULL, NULL), HTT_OK);
            txn_commit(txn);
            txn = txn_begin(store, HTT_READ);
        }
        free(huge);
        txn_commit(txn);
        htt_close(store);
        txn_free_disk(disk);
    }
}

/* With mmap, values of one run stay to the end of a read transaction, whatever is called. */
static void test_rows__values_of_get_many_stay_while_more_is_read(void **state) {
    (void)state;
    enum { COUNT = 100 };
    crash_fs *disk = crash_fs_new(1);
    htt_store *store = txn_open(crash_fs_env(disk));
    uint8_t scratch[COUNT][8];
    htt_datum keys[COUNT], values[COUNT];
    htt_rc results[COUNT];
    txn_fill(store, 0, COUNT, 1, 3000);
    txn_fill(store, COUNT, 2 * COUNT, 1, 50);
    htt_txn *txn = txn_begin(store, HTT_READ);
    for (size_t i = 0; i < COUNT; i++)
        keys[i] = htt_integer((int64_t)(i + COUNT / 2), scratch[i]);
    assert_int_equal(htt_get_many(txn, keys, COUNT, values, results), HTT_OK);
    txn_expect(txn, 0, 2 * COUNT, 1);
    for (uint64_t i = 2; i < 10; i++)
        txn_fill(store, 0, 2 * COUNT, i, 50);
    for (size_t i = 0; i < COUNT; i++) {
        assert_int_equal(results[i], HTT_OK);
        assert_int_equal(values[i].size, i < COUNT / 2 ? 3000 : 50);
        assert_int_equal(*(const uint8_t *)values[i].data, 1);
    }
    txn_commit(txn);
    htt_close(store);
    txn_free_disk(disk);
}

static void test_rows__a_copy_lives_on(void **state) {
    (void)state;
    crash_fs *disk = crash_fs_new(1);
    fault_env *fault = fault_env_new(crash_fs_env(disk));
    htt_store *store = txn_open(fault_env_table(fault));
    htt_txn *txn = txn_begin(store, HTT_WRITE);
    htt_datum copy, empty;
    txn_put(txn, 1, 77, 9000);
    assert_int_equal(htt_put(txn, htt_text("e"), htt_text(""), 0), HTT_OK);
    uint8_t key[8];
    assert_int_equal(htt_get_copy(txn, htt_integer(1, key), &copy), HTT_OK);
    assert_int_equal(htt_get_copy(txn, htt_text("e"), &empty), HTT_OK);
    assert_int_equal(htt_get_copy(txn, htt_text("no"), &empty), HTT_NOTFOUND);
    htt_abort(txn);
    htt_close(store);
    assert_int_equal(copy.size, 9000);
    assert_int_equal(*(const uint8_t *)copy.data, 77);
    assert_int_equal(empty.size, 0);
    assert_int_equal(fault_env_held_memory(fault), 2);
    htt_free((void *)(uintptr_t)copy.data);
    htt_free((void *)(uintptr_t)empty.data);
    htt_free(NULL);
    assert_int_equal(fault_env_held(fault), 0);
    fault_env_free(fault);
    txn_free_disk(disk);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows__limits_are_named_with_the_size),
        cmocka_unit_test(test_rows__types_and_bytes_that_make_no_sense_are_misuse),
        cmocka_unit_test(test_rows__insert_and_replace_say_what_is_there),
        cmocka_unit_test(test_rows__get_key_gives_the_key_as_it_was_written),
        cmocka_unit_test(test_rows__put_replaces_the_form_of_the_key_too),
        cmocka_unit_test(test_rows__a_value_got_can_be_put_again),
        cmocka_unit_test(test_rows__get_many_gives_results_in_the_order_of_keys),
        cmocka_unit_test(test_rows__values_of_get_many_stay_while_more_is_read),
        cmocka_unit_test(test_rows__a_copy_lives_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
