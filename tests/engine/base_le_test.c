/* SPDX-License-Identifier: MIT */
/* Tests of base/le.h: integers byte by byte, and every way in which a varint can be wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/le.h"
#include "base/limits.h"

static void test_le__numbers_are_little_endian_at_any_alignment(void **state) {
    (void)state;
    uint8_t bytes[24];
    for (size_t at = 0; at < 8; at++) {
        memset(bytes, 0xee, sizeof bytes);
        le16_put(bytes + at, 0x1234);
        assert_memory_equal(bytes + at, "\x34\x12\xee", 3);
        assert_int_equal(le16_get(bytes + at), 0x1234);
        le32_put(bytes + at, 0x12345678u);
        assert_memory_equal(bytes + at, "\x78\x56\x34\x12\xee", 5);
        assert_int_equal(le32_get(bytes + at), 0x12345678u);
        le64_put(bytes + at, UINT64_C(0x123456789abcdef0));
        assert_memory_equal(bytes + at, "\xf0\xde\xbc\x9a\x78\x56\x34\x12\xee", 9);
        assert_true(le64_get(bytes + at) == UINT64_C(0x123456789abcdef0));
    }
}

typedef struct varint_case {
    uint64_t number;   /* what is encoded */
    size_t size;       /* of bytes */
    const char *bytes; /* its encoding */
} varint_case;

static void test_varint__has_one_encoding_for_each_number(void **state) {
    (void)state;
    static const varint_case cases[] = {
        {0, 1, "\x00"},
        {1, 1, "\x01"},
        {127, 1, "\x7f"},
        {128, 2, "\x80\x01"},
        {300, 2, "\xac\x02"},
        {16383, 2, "\xff\x7f"},
        {16384, 3, "\x80\x80\x01"},
        {UINT32_MAX, 5, "\xff\xff\xff\xff\x0f"},
        {INT64_MAX, 9, "\xff\xff\xff\xff\xff\xff\xff\xff\x7f"},
        {UINT64_MAX, 10, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t bytes[VARINT_SIZE_MAX + 1];
        uint64_t number = 42;
        memset(bytes, 0xee, sizeof bytes);
        assert_int_equal(varint_size(cases[i].number), cases[i].size);
        assert_int_equal(varint_put(bytes, cases[i].number), cases[i].size);
        assert_memory_equal(bytes, cases[i].bytes, cases[i].size);
        assert_int_equal(bytes[cases[i].size], 0xee);
        assert_int_equal(varint_get(bytes, sizeof bytes, &number), cases[i].size);
        assert_true(number == cases[i].number);
        number = 42;
        for (size_t cut = 0; cut < cases[i].size; cut++) {
            assert_int_equal(varint_get(bytes, cut, &number), 0);
        }
        assert_true(number == 42);
    }
}

static void test_varint__round_trips_around_every_power_of_two(void **state) {
    (void)state;
    for (unsigned bit = 0; bit < 64; bit++) {
        for (uint64_t difference = 0; difference < 3; difference++) {
            const uint64_t number = (UINT64_C(1) << bit) - 1 + difference;
            uint8_t bytes[VARINT_SIZE_MAX];
            uint64_t back = ~number;
            const size_t size = varint_put(bytes, number);
            assert_int_equal(size, varint_size(number));
            assert_int_equal(varint_get(bytes, size, &back), size);
            assert_true(back == number);
        }
    }
}

static void test_varint__refuses_long_forms_and_overflow(void **state) {
    (void)state;
    uint64_t number = 42;
    assert_int_equal(varint_get((const uint8_t *)"\x80\x00", 2, &number), 0);
    assert_int_equal(varint_get((const uint8_t *)"\xff\x80\x00", 3, &number), 0);
    /* 2^64, and an eleventh byte */
    const uint8_t *overflow = (const uint8_t *)"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x02";
    assert_int_equal(varint_get(overflow, 10, &number), 0);
    const uint8_t *longer = (const uint8_t *)"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x81\x00";
    assert_int_equal(varint_get(longer, 11, &number), 0);
    assert_int_equal(varint_get(NULL, 0, &number), 0);
    assert_true(number == 42);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_le__numbers_are_little_endian_at_any_alignment),
        cmocka_unit_test(test_varint__has_one_encoding_for_each_number),
        cmocka_unit_test(test_varint__round_trips_around_every_power_of_two),
        cmocka_unit_test(test_varint__refuses_long_forms_and_overflow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
