/* SPDX-License-Identifier: MIT */
/*
 * Tests of engine/txn/host_key.c: the chain of tokens, with vectors that are in databases for ever,
 * and keys outside of the tree.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/hash.h"
#include "base/le.h"
#include "htt_host.h"

/* The bytes of the table in host_key.c, put together and hashed at once. */
static uint64_t token_by_the_table(uint64_t before, uint64_t seq, unsigned op, htt_datum key,
                                   htt_datum value) {
    const size_t size = 38 + key.size + value.size;
    uint8_t *const bytes = malloc(size);
    assert_non_null(bytes);
    le64_put(bytes, before);
    le64_put(bytes + 8, seq);
    le32_put(bytes + 16, op);
    bytes[20] = key.type;
    le64_put(bytes + 21, key.size);
    if (key.size > 0) {
        memcpy(bytes + 29, key.data, key.size);
    }
    bytes[29 + key.size] = value.type;
    le64_put(bytes + 30 + key.size, value.size);
    if (value.size > 0) {
        memcpy(bytes + 38 + key.size, value.data, value.size);
    }
    const uint64_t token = htt_hash_bytes(bytes, size);
    free(bytes);
    return token;
}

static void test_host_key__tokens_of_known_rows_never_change(void **state) {
    (void)state;
    uint8_t scratch[HTT_NUMBER_SIZE];
    const htt_host_root root = {.epoch = 7, .nonce = UINT64_C(0x0123456789abcdef)};
    const uint64_t first = htt_host_first_token(&root);
    const uint64_t put =
        htt_host_token(first, 1, 1, htt_text("hostname"), htt_text("www.example.com"));
    const uint64_t del = htt_host_token(put, 2, 3, htt_integer(42, scratch), htt_null());
    assert_true(first == UINT64_C(0xdb5251ef805f3ec1));
    assert_true(put == UINT64_C(0x3216909804b22ef6));
    assert_true(del == UINT64_C(0xa4ffd27a0af8b810));
}

static void test_host_key__a_token_is_the_hash_of_the_documented_bytes_at_every_size(void **state) {
    (void)state;
    uint8_t bytes[1500];
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (uint8_t)(i * 131 + 7);
    }
    for (size_t size = 0; size < 700; size += size < 300 ? 1 : 57) {
        for (size_t part = 0; part < 3; part++) {
            const size_t key_size = size * part / 2;
            const htt_datum key = htt_blob(bytes, key_size);
            const htt_datum value = htt_bytes(bytes + 700, size - key_size, HTT_TEXT);
            assert_true(htt_host_token(size, 9, 2, key, value) ==
                        token_by_the_table(size, 9, 2, key, value));
        }
    }
}

static void test_host_key__every_part_of_a_row_changes_its_token(void **state) {
    (void)state;
    uint8_t bytes[600] = {0};
    uint8_t other[600] = {0};
    for (size_t size = 1; size < sizeof bytes; size = size * 3 + 1) {
        const htt_datum key = htt_blob(bytes, size);
        const htt_datum value = htt_blob(bytes, size);
        const uint64_t token = htt_host_token(1, 2, 1, key, value);
        assert_true(token != htt_host_token(0, 2, 1, key, value));
        assert_true(token != htt_host_token(1, 3, 1, key, value));
        assert_true(token != htt_host_token(1, 2, 2, key, value));
        assert_true(token != htt_host_token(1, 2, 257, key, value));
        assert_true(token != htt_host_token(1, 2, 1, htt_bytes(bytes, size, HTT_TEXT), value));
        assert_true(token != htt_host_token(1, 2, 1, key, htt_bytes(bytes, size, HTT_TEXT)));
        assert_true(token != htt_host_token(1, 2, 1, htt_blob(bytes, size - 1), value));
        assert_true(token != htt_host_token(1, 2, 1, key, htt_blob(bytes, size - 1)));
        /* A byte that moves from the value to the key. */
        assert_true(token !=
                    htt_host_token(1, 2, 1, htt_blob(bytes, size + 1), htt_blob(bytes, size - 1)));
        other[size - 1] = 1;
        assert_true(token != htt_host_token(1, 2, 1, htt_blob(other, size), value));
        assert_true(token != htt_host_token(1, 2, 1, key, htt_blob(other, size)));
        other[size - 1] = 0;
    }
}

static void test_host_key__the_first_token_is_of_epoch_and_nonce(void **state) {
    (void)state;
    htt_host_root root = {.epoch = 5, .nonce = 6, .seq = 1, .keys = 2};
    const uint64_t first = htt_host_first_token(&root);
    root.seq = 9;
    root.keys = 9;
    assert_true(htt_host_first_token(&root) == first);
    root.nonce = 7;
    assert_true(htt_host_first_token(&root) != first);
    root = (htt_host_root){.epoch = 6, .nonce = 5};
    assert_true(htt_host_first_token(&root) != first);
}

static void test_host_key__keys_are_equal_by_class_and_bytes(void **state) {
    (void)state;
    uint8_t one[HTT_NUMBER_SIZE];
    uint8_t one_real[HTT_NUMBER_SIZE];
    uint8_t zero[HTT_NUMBER_SIZE];
    uint8_t minus_zero[HTT_NUMBER_SIZE];
    uint8_t half[HTT_NUMBER_SIZE];
    htt_datum keys[9];
    keys[0] = htt_integer(1, one);
    assert_int_equal(htt_key_real(1.0, one_real, &keys[1]), HTT_OK);
    keys[2] = htt_integer(0, zero);
    assert_int_equal(htt_key_real(-0.0, minus_zero, &keys[3]), HTT_OK);
    assert_int_equal(htt_key_real(0.5, half, &keys[4]), HTT_OK);
    keys[5] = htt_text("\x01");
    keys[6] = htt_blob("\x01", 1);
    keys[7] = htt_text("");
    keys[8] = htt_blob(NULL, 0);
    static const int group[9] = {0, 0, 1, 1, 2, 3, 4, 5, 6};
    for (size_t i = 0; i < 9; i++) {
        for (size_t j = 0; j < 9; j++) {
            const bool same = group[i] == group[j];
            assert_int_equal(htt_host_same_key(keys[i], keys[j]), same);
            assert_int_equal(htt_host_hash(keys[i]) == htt_host_hash(keys[j]), same);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_host_key__tokens_of_known_rows_never_change),
        cmocka_unit_test(test_host_key__a_token_is_the_hash_of_the_documented_bytes_at_every_size),
        cmocka_unit_test(test_host_key__every_part_of_a_row_changes_its_token),
        cmocka_unit_test(test_host_key__the_first_token_is_of_epoch_and_nonce),
        cmocka_unit_test(test_host_key__keys_are_equal_by_class_and_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
