/* SPDX-License-Identifier: MIT */
/* Tests of base/value.c: canonical numbers and rows, and what a damaged file may hold instead. */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/le.h"
#include "base/value.h"

/* ---------------------------------------------------------------- numbers */

typedef struct integer_case {
    int64_t number;    /* what is encoded */
    size_t size;       /* of bytes */
    const char *bytes; /* its encoding */
} integer_case;

static const integer_case integers[] = {
    {0, 0, ""},
    {1, 1, "\x01"},
    {-1, 1, "\xff"},
    {127, 1, "\x7f"},
    {128, 2, "\x80\x00"},
    {-128, 1, "\x80"},
    {-129, 2, "\x7f\xff"},
    {255, 2, "\xff\x00"},
    {256, 2, "\x00\x01"},
    {32767, 2, "\xff\x7f"},
    {32768, 3, "\x00\x80\x00"},
    {INT32_MIN, 4, "\x00\x00\x00\x80"},
    {INT64_C(9007199254740993), 7, "\x01\x00\x00\x00\x00\x00\x20"}, /* 2^53 + 1: no double */
    {INT64_MAX, 8, "\xff\xff\xff\xff\xff\xff\xff\x7f"},
    {INT64_MIN, 8, "\x00\x00\x00\x00\x00\x00\x00\x80"},
};

static void test_value__integers_have_their_canonical_bytes(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof integers / sizeof integers[0]; i++) {
        uint8_t scratch[HTT_NUMBER_SIZE];
        const htt_datum datum = htt_integer(integers[i].number, scratch);
        int64_t number = 42;
        assert_int_equal(datum.type, HTT_INTEGER);
        assert_int_equal(datum.size, integers[i].size);
        assert_memory_equal(datum.data, integers[i].bytes, integers[i].size);
        assert_true(htt_key_valid(datum));
        assert_true(htt_value_valid(datum));
        assert_int_equal(htt_value_integer(datum, &number), HTT_OK);
        assert_true(number == integers[i].number);
    }
}

static void test_value__integers_round_trip_at_every_width(void **state) {
    (void)state;
    for (unsigned bit = 0; bit < 63; bit++) {
        for (int64_t difference = -2; difference <= 2; difference++) {
            for (int sign = -1; sign <= 1; sign += 2) {
                uint8_t scratch[HTT_NUMBER_SIZE];
                const int64_t number = sign * ((INT64_C(1) << bit) + difference);
                int64_t back = ~number;
                const htt_datum datum = htt_integer(number, scratch);
                assert_int_equal(htt_value_integer(datum, &back), HTT_OK);
                assert_true(back == number);
            }
        }
    }
}

static void test_value__long_forms_of_integers_are_refused(void **state) {
    (void)state;
    static const char *const bytes[] = {"\x00",     "\x01\x00", "\xff\xff",
                                        "\x7f\x00", "\x80\xff", "\x00\x00\x00\x00\x00\x00\x00\x00"};
    static const size_t sizes[] = {1, 2, 2, 2, 2, 8};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        const htt_datum datum = htt_bytes(bytes[i], sizes[i], HTT_INTEGER);
        int64_t number = 42;
        assert_int_equal(htt_value_integer(datum, &number), HTT_CORRUPT);
        assert_true(number == 42);
        assert_false(htt_key_valid(datum));
        assert_false(htt_value_valid(datum));
    }
    assert_false(htt_key_valid(htt_bytes("123456789", 9, HTT_INTEGER)));
    assert_false(htt_key_valid(htt_bytes(NULL, 1, HTT_INTEGER)));
}

static void test_value__reals_keep_every_bit(void **state) {
    (void)state;
    const double reals[] = {0.0,     -0.0,   1.0,      1.5,       -1.0 / 3, DBL_MAX,
                            DBL_MIN, 5e-324, INFINITY, -INFINITY, NAN};
    for (size_t i = 0; i < sizeof reals / sizeof reals[0]; i++) {
        uint8_t scratch[HTT_NUMBER_SIZE];
        double back = 42;
        const htt_datum datum = htt_real(reals[i], scratch);
        assert_int_equal(datum.size, 8);
        assert_true(htt_value_valid(datum));
        assert_int_equal(htt_value_real(datum, &back), HTT_OK);
        assert_memory_equal(&back, &reals[i], sizeof back);
    }
    uint8_t scratch[HTT_NUMBER_SIZE];
    assert_memory_equal(htt_real(1.5, scratch).data, "\0\0\0\0\0\0\xf8\x3f", 8);
}

static void test_value__another_type_is_not_a_number(void **state) {
    (void)state;
    uint8_t scratch[HTT_NUMBER_SIZE];
    int64_t integer = 42;
    double real = 42;
    bool is_real = false;
    assert_int_equal(htt_value_integer(htt_text("1"), &integer), HTT_TYPE);
    assert_int_equal(htt_value_integer(htt_real(1.0, scratch), &integer), HTT_TYPE);
    assert_int_equal(htt_value_real(htt_integer(1, scratch), &real), HTT_TYPE);
    assert_int_equal(htt_value_real(htt_bytes("x", 1, HTT_REAL), &real), HTT_CORRUPT);
    assert_int_equal(htt_key_number(htt_text("1"), &is_real, &integer, &real), HTT_TYPE);
    assert_int_equal(htt_key_number(htt_null(), &is_real, &integer, &real), HTT_TYPE);
    assert_true(integer == 42 && real == 42.0);
}

/* ------------------------------------------------------------------- keys */

static void test_value__integer_key_equals_integral_real(void **state) {
    (void)state;
    const int64_t numbers[] = {0, 1, -1, 1000, INT64_C(1) << 53, INT64_MIN};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        uint8_t one[HTT_NUMBER_SIZE];
        uint8_t two[HTT_NUMBER_SIZE];
        htt_datum real;
        const htt_datum integer = htt_integer(numbers[i], one);
        assert_int_equal(htt_key_real((double)numbers[i], two, &real), HTT_OK);
        assert_int_equal(real.type, HTT_INTEGRAL);
        assert_int_equal(htt_key_class(real.type), htt_key_class(integer.type));
        assert_int_equal(real.size, integer.size);
        assert_memory_equal(real.data, integer.data, real.size);
        assert_true(htt_key_valid(real));
        assert_false(htt_value_valid(real));

        bool is_real = false;
        int64_t back = 42;
        double back_real = 42;
        assert_int_equal(htt_key_number(real, &is_real, &back, &back_real), HTT_OK);
        assert_true(is_real && back == numbers[i] && !(back_real < (double)numbers[i]) &&
                    !(back_real > (double)numbers[i]));
        assert_int_equal(htt_key_number(integer, &is_real, &back, &back_real), HTT_OK);
        assert_false(is_real);
        assert_true(back == numbers[i]);
    }
}

static void test_value__negative_zero_is_zero_and_comes_back(void **state) {
    (void)state;
    uint8_t scratch[HTT_NUMBER_SIZE];
    htt_datum key;
    bool is_real = false;
    int64_t integer = 42;
    double real = 42;
    assert_int_equal(htt_key_real(-0.0, scratch, &key), HTT_OK);
    assert_int_equal(key.type, HTT_NEGZERO);
    assert_int_equal(key.size, 0);
    assert_int_equal(htt_key_class(key.type), HTT_CLASS_NUMBER);
    assert_true(htt_key_valid(key));
    assert_int_equal(htt_key_number(key, &is_real, &integer, &real), HTT_OK);
    assert_true(is_real && integer == 0 && signbit(real) != 0);
    assert_false(htt_key_valid(htt_bytes("\0", 1, HTT_NEGZERO)));
}

static void test_value__reals_that_no_int64_equals_are_their_own_class(void **state) {
    (void)state;
    const double reals[] = {
        0.5,       -1.5,  9223372036854775808.0, -9223372036854777856.0, 1e300, INFINITY,
        -INFINITY, 5e-324};
    for (size_t i = 0; i < sizeof reals / sizeof reals[0]; i++) {
        uint8_t scratch[HTT_NUMBER_SIZE];
        htt_datum key;
        bool is_real = false;
        int64_t integer = 42;
        double real = 42;
        assert_int_equal(htt_key_real(reals[i], scratch, &key), HTT_OK);
        assert_int_equal(key.type, HTT_REAL);
        assert_int_equal(htt_key_class(key.type), HTT_CLASS_REAL);
        assert_true(htt_key_valid(key));
        assert_int_equal(htt_key_number(key, &is_real, &integer, &real), HTT_OK);
        assert_true(is_real);
        assert_memory_equal(&real, &reals[i], sizeof real);
    }
}

static void test_value__keys_that_would_be_found_twice_are_refused(void **state) {
    (void)state;
    uint8_t scratch[HTT_NUMBER_SIZE];
    htt_datum key = htt_text("untouched");
    assert_int_equal(htt_key_real(NAN, scratch, &key), HTT_MISUSE);
    assert_int_equal(key.type, HTT_TEXT);
    /* A REAL key that equals an integer would miss that integer. */
    assert_false(htt_key_valid(htt_real(1.0, scratch)));
    assert_false(htt_key_valid(htt_real(-0.0, scratch)));
    assert_false(htt_key_valid(htt_real(NAN, scratch)));
    assert_false(htt_key_valid(htt_bytes("1234567", 7, HTT_REAL)));
    /* An INTEGRAL that no double equals was never a real. */
    htt_datum integral = htt_integer(INT64_C(9007199254740993), scratch);
    integral.type = HTT_INTEGRAL;
    assert_false(htt_key_valid(integral));
    integral = htt_integer(INT64_MAX, scratch);
    integral.type = HTT_INTEGRAL;
    assert_false(htt_key_valid(integral));
}

static void test_value__types_are_legal_only_in_their_place(void **state) {
    (void)state;
    for (unsigned type = 0; type < 256; type++) {
        const htt_datum empty = htt_bytes(NULL, 0, (htt_type)type);
        const bool key = type == HTT_INTEGER || type == HTT_TEXT || type == HTT_BLOB ||
                         type == HTT_INTEGRAL || type == HTT_NEGZERO;
        const bool value =
            type == HTT_INTEGER || type == HTT_TEXT || type == HTT_BLOB || type == HTT_NULL;
        assert_int_equal(htt_key_valid(empty), key);
        assert_int_equal(htt_value_valid(empty), value);
        assert_int_equal(htt_key_class((uint8_t)type) != HTT_CLASS_NONE, key || type == HTT_REAL);
    }
    assert_false(htt_value_valid(htt_bytes("x", 1, HTT_NULL)));
    assert_false(htt_value_valid(htt_bytes(NULL, 5, HTT_BLOB)));
    assert_false(htt_key_valid(htt_bytes(NULL, 5, HTT_TEXT)));
}

/* ------------------------------------------------------------------- rows */

static void assert_datum_equal(htt_datum a, htt_datum b) {
    assert_int_equal(a.type, b.type);
    assert_int_equal(a.size, b.size);
    if (a.size > 0) {
        assert_memory_equal(a.data, b.data, a.size);
    }
}

static void test_row__has_its_documented_bytes(void **state) {
    (void)state;
    uint8_t scratch[HTT_NUMBER_SIZE];
    const htt_datum columns[] = {htt_integer(7, scratch), htt_text("ab"), htt_null()};
    uint8_t bytes[16];
    assert_int_equal(htt_row_size(columns, 3), 7);
    htt_row_encode(columns, 3, bytes);
    assert_memory_equal(bytes,
                        "\x03\x09\x13\x05\x07"
                        "ab",
                        7);
    assert_int_equal(htt_row_size(NULL, 0), 1);
    htt_row_encode(NULL, 0, bytes);
    assert_int_equal(bytes[0], 0);
}

static void test_row__columns_come_back_in_any_order(void **state) {
    (void)state;
    enum { COUNT = 7 };
    uint8_t one[HTT_NUMBER_SIZE];
    uint8_t two[HTT_NUMBER_SIZE];
    static char large[100000];
    memset(large, 'x', sizeof large);
    const htt_datum columns[COUNT] = {htt_integer(-5, one),
                                      htt_null(),
                                      htt_real(0.25, two),
                                      htt_bytes("a\0b", 3, HTT_TEXT),
                                      htt_blob(large, sizeof large),
                                      htt_blob(NULL, 0),
                                      htt_bytes("\xff\xfe", 2, HTT_TEXT)};
    const size_t size = htt_row_size(columns, COUNT);
    uint8_t *bytes = malloc(size);
    assert_non_null(bytes);
    htt_row_encode(columns, COUNT, bytes);
    const htt_datum value = htt_bytes(bytes, size, HTT_ROW);
    assert_true(htt_value_valid(value));
    assert_false(htt_key_valid(value));

    htt_row row;
    assert_int_equal(htt_row_open(value, &row), HTT_OK);
    assert_int_equal(row.count, COUNT);
    for (uint32_t first = 0; first < COUNT; first++) {
        for (uint32_t second = 0; second < COUNT; second++) {
            htt_datum column;
            assert_int_equal(htt_row_column(&row, first, &column), HTT_OK);
            assert_datum_equal(column, columns[first]);
            assert_int_equal(htt_row_column(&row, second, &column), HTT_OK);
            assert_datum_equal(column, columns[second]);
        }
    }
    free(bytes);
}

static void test_row__missing_columns_are_null(void **state) {
    (void)state;
    const htt_datum columns[] = {htt_text("only")};
    uint8_t bytes[16];
    htt_row row;
    htt_datum column;
    htt_row_encode(columns, 1, bytes);
    assert_int_equal(htt_row_open(htt_bytes(bytes, 6, HTT_ROW), &row), HTT_OK);
    const uint32_t indexes[] = {1, 2, 32767, UINT32_MAX};
    for (size_t i = 0; i < 4; i++) {
        column = htt_text("x");
        assert_int_equal(htt_row_column(&row, indexes[i], &column), HTT_OK);
        assert_int_equal(column.type, HTT_NULL);
    }
    assert_int_equal(htt_row_column(&row, 0, &column), HTT_OK);
    assert_datum_equal(column, columns[0]);
}

static void test_row__reads_the_most_columns_in_one_pass(void **state) {
    (void)state;
    htt_datum *columns = calloc(HTT_ROW_COLUMNS_MAX, sizeof *columns);
    assert_non_null(columns);
    for (uint32_t i = 0; i < HTT_ROW_COLUMNS_MAX; i++) {
        columns[i] = i % 3 == 0 ? htt_null() : htt_text("abc");
    }
    const size_t size = htt_row_size(columns, HTT_ROW_COLUMNS_MAX);
    uint8_t *bytes = malloc(size);
    assert_non_null(bytes);
    htt_row_encode(columns, HTT_ROW_COLUMNS_MAX, bytes);
    htt_row row;
    assert_int_equal(htt_row_open(htt_bytes(bytes, size, HTT_ROW), &row), HTT_OK);
    for (uint32_t i = 0; i < HTT_ROW_COLUMNS_MAX; i++) {
        htt_datum column;
        assert_int_equal(htt_row_column(&row, i, &column), HTT_OK);
        assert_datum_equal(column, columns[i]);
    }
    free(bytes);
    free(columns);
}

static void test_row__damaged_heads_are_refused(void **state) {
    (void)state;
    static const struct {
        size_t size;       /* of bytes */
        const char *bytes; /* a value that is no row */
    } cases[] = {
        {0, ""},                                              /* no count */
        {1, "\x01"},                                          /* no head */
        {2, "\x01\x13"},                                      /* no bytes */
        {3, "\x01\x13y"},                                     /* too few bytes */
        {5, "\x01\x13yyy"},                                   /* too many bytes */
        {2, "\x00\x00"},                                      /* bytes behind an empty row */
        {2, "\x01\x00"},                                      /* type 0 */
        {2, "\x01\x06"},                                      /* a row in a row */
        {2, "\x01\x07"},                                      /* INTEGRAL */
        {3, "\x01\x0dx"},                                     /* NULL with a byte */
        {3, "\x01\x0ax"},                                     /* REAL of one byte */
        {2, "\x01\x02"},                                      /* REAL of none */
        {11, "\x01\x49yyyyyyyyy"},                            /* INTEGER of nine */
        {3, "\x01\x85\x00"},                                  /* head not minimal */
        {3, "\x81\x00\x05"},                                  /* count not minimal */
        {3, "\xff\xff\x03"},                                  /* count above the limit's heads */
        {4, "\x80\x80\x02\x05"},                              /* count 32768 */
        {11, "\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"}, /* length 2^61 */
        {12, "\x02\x83\x80\x80\x80\x80\x80\x80\x80\x80\x01\x05"}, /* length 2^60 */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t *exact = malloc(cases[i].size + 1); /* +1: a sanitizer sees reads behind it */
        htt_row row;
        assert_non_null(exact);
        memcpy(exact + 1, cases[i].bytes, cases[i].size);
        const htt_datum value = htt_bytes(exact + 1, cases[i].size, HTT_ROW);
        assert_int_equal(htt_row_open(value, &row), HTT_CORRUPT);
        assert_false(htt_value_valid(value));
        free(exact);
    }
    htt_row row;
    assert_int_equal(htt_row_open(htt_text("x"), &row), HTT_TYPE);
    /* The head is sound, the integer's bytes are not: only its column is refused. */
    const htt_datum value = htt_bytes("\x01\x09\x00", 3, HTT_ROW);
    htt_datum column;
    int64_t number = 42;
    assert_int_equal(htt_row_open(value, &row), HTT_OK);
    assert_int_equal(htt_row_column(&row, 0, &column), HTT_OK);
    assert_int_equal(htt_value_integer(column, &number), HTT_CORRUPT);
    assert_false(htt_value_valid(value));
}

/* Any bytes: no crash, and what is accepted encodes to the same bytes. */
static void test_row__any_bytes_are_an_error_or_canonical(void **state) {
    (void)state;
    uint64_t seed = 20240607;
    unsigned accepted = 0;
    print_message("seed %llu\n", (unsigned long long)seed);
    for (unsigned round = 0; round < 200000; round++) {
        uint8_t bytes[12];
        uint8_t again[12];
        htt_datum columns[12];
        htt_row row;
        for (size_t i = 0; i < sizeof bytes; i++) {
            seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
            bytes[i] = (uint8_t)(seed >> 56) & (uint8_t)(round % 2 == 0 ? 0x3f : 0xff);
        }
        bytes[0] &= 3;
        const size_t size = 1 + round % sizeof bytes;
        if (htt_row_open(htt_bytes(bytes, size, HTT_ROW), &row) != HTT_OK) {
            continue;
        }
        accepted++;
        assert_true(row.count <= 3);
        for (uint32_t i = 0; i < row.count; i++) {
            assert_int_equal(htt_row_column(&row, i, &columns[i]), HTT_OK);
        }
        assert_int_equal(htt_row_size(columns, row.count), size);
        htt_row_encode(columns, row.count, again);
        assert_memory_equal(bytes, again, size);
    }
    assert_true(accepted > 100);
}

/* A mapped file may change under an open row: an error, never a read outside. */
static void test_row__bytes_that_change_under_it_are_no_crash(void **state) {
    (void)state;
    const htt_datum columns[] = {htt_text("abcdef"), htt_text("gh"), htt_blob("ij", 2)};
    enum { SIZE = 14 };
    assert_int_equal(htt_row_size(columns, 3), SIZE);
    for (size_t at = 0; at < 4; at++) {
        for (unsigned byte = 0; byte < 256; byte++) {
            uint8_t *bytes = malloc(SIZE);
            htt_row row;
            assert_non_null(bytes);
            htt_row_encode(columns, 3, bytes);
            assert_int_equal(htt_row_open(htt_bytes(bytes, SIZE, HTT_ROW), &row), HTT_OK);
            bytes[at] = (uint8_t)byte;
            for (uint32_t i = 0; i < 4; i++) {
                htt_datum column = htt_null();
                if (htt_row_column(&row, i, &column) == HTT_OK && column.size > 0) {
                    const uint8_t *start = column.data;
                    assert_true(start >= bytes && column.size <= (size_t)(bytes + SIZE - start));
                }
            }
            free(bytes);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_value__integers_have_their_canonical_bytes),
        cmocka_unit_test(test_value__integers_round_trip_at_every_width),
        cmocka_unit_test(test_value__long_forms_of_integers_are_refused),
        cmocka_unit_test(test_value__reals_keep_every_bit),
        cmocka_unit_test(test_value__another_type_is_not_a_number),
        cmocka_unit_test(test_value__integer_key_equals_integral_real),
        cmocka_unit_test(test_value__negative_zero_is_zero_and_comes_back),
        cmocka_unit_test(test_value__reals_that_no_int64_equals_are_their_own_class),
        cmocka_unit_test(test_value__keys_that_would_be_found_twice_are_refused),
        cmocka_unit_test(test_value__types_are_legal_only_in_their_place),
        cmocka_unit_test(test_row__has_its_documented_bytes),
        cmocka_unit_test(test_row__columns_come_back_in_any_order),
        cmocka_unit_test(test_row__missing_columns_are_null),
        cmocka_unit_test(test_row__reads_the_most_columns_in_one_pass),
        cmocka_unit_test(test_row__damaged_heads_are_refused),
        cmocka_unit_test(test_row__any_bytes_are_an_error_or_canonical),
        cmocka_unit_test(test_row__bytes_that_change_under_it_are_no_crash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
