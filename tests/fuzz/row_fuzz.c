/* SPDX-License-Identifier: MIT */
/*
 * Decoding of arbitrary bytes as rows, numbers and keys.
 *
 *   OFFSET  SIZE  FIELD
 *        0     1  type of the datum
 *        1        its bytes
 *
 * What decodes, encodes to something that decodes to the same.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/value.h"
#include "htt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition, const char *what) {
    if (!condition) {
        fprintf(stderr, "not so: %s\n", what);
        abort();
    }
}

static bool same(htt_datum one, htt_datum other) {
    return one.type == other.type && one.size == other.size &&
           (one.size == 0 || memcmp(one.data, other.data, one.size) == 0);
}

/* Looks at every byte: AddressSanitizer says which are not there. */
static unsigned touch(htt_datum datum) {
    const volatile uint8_t *bytes = datum.data;
    unsigned sum = datum.type;
    for (size_t i = 0; i < datum.size; i++) {
        sum += bytes[i];
    }
    return sum;
}

static void row_numbers(htt_datum datum) {
    uint8_t scratch[HTT_NUMBER_SIZE];
    int64_t integer = 0;
    double real = 0;
    bool is_real = false;
    const bool valid = htt_value_valid(datum);
    htt_rc rc = htt_value_integer(datum, &integer);
    require(rc == HTT_OK || rc == HTT_TYPE || rc == HTT_CORRUPT, "result of htt_value_integer");
    if (rc == HTT_OK && valid) {
        require(same(datum, htt_integer(integer, scratch)), "an integer encodes to itself");
    }
    rc = htt_value_real(datum, &real);
    require(rc == HTT_OK || rc == HTT_TYPE || rc == HTT_CORRUPT, "result of htt_value_real");
    if (rc == HTT_OK) {
        require(same(datum, htt_real(real, scratch)), "a real encodes to itself");
    }
    rc = htt_key_number(datum, &is_real, &integer, &real);
    require(rc == HTT_OK || rc == HTT_TYPE || rc == HTT_CORRUPT, "result of htt_key_number");
    if (rc == HTT_OK && htt_key_valid(datum)) {
        htt_datum key = htt_integer(integer, scratch);
        if (is_real) {
            require(htt_key_real(real, scratch, &key) == HTT_OK, "a key of a real has a key");
        }
        require(same(datum, key), "a key encodes to itself");
    }
}

/* Writes the columns anew and reads them back. `valid`: all of them are. */
static void row_again(const htt_datum *columns, uint32_t count, bool valid) {
    const size_t size = htt_row_size(columns, count);
    uint8_t *bytes = malloc(size + 1);
    htt_row row;
    require(bytes != NULL, "memory");
    htt_row_encode(columns, count, bytes);
    const htt_datum value = htt_bytes(bytes, size, HTT_ROW);
    require(htt_value_valid(value) == valid, "an encoded row is as valid as its columns");
    require(htt_row_open(value, &row) == HTT_OK, "an encoded row opens");
    require(row.count == count, "an encoded row has its columns");
    for (uint32_t i = 0; i < count; i++) {
        htt_datum column;
        require(htt_row_column(&row, i, &column) == HTT_OK, "an encoded column decodes");
        require(same(column, columns[i]), "a column encodes to itself");
    }
    free(bytes);
}

static void row_columns(htt_datum value) {
    htt_row row;
    htt_row other;
    bool whole = true;
    if (htt_row_open(value, &row) != HTT_OK) {
        require(!htt_value_valid(value), "a valid row opens");
        return;
    }
    require(row.count <= HTT_ROW_COLUMNS_MAX, "number of columns");
    htt_datum *columns = calloc(row.count + 1u, sizeof *columns);
    require(columns != NULL, "memory");
    for (uint32_t i = 0; i < row.count; i++) {
        const htt_rc rc = htt_row_column(&row, i, &columns[i]);
        require(rc == HTT_OK || rc == HTT_CORRUPT, "result of htt_row_column");
        whole = whole && rc == HTT_OK;
        (void)touch(columns[i]);
    }
    htt_datum past;
    require(!whole || (htt_row_column(&row, row.count, &past) == HTT_OK && past.type == HTT_NULL),
            "past the end is NULL");
    require(htt_row_open(value, &other) == HTT_OK, "a row opens twice");
    for (uint32_t i = row.count; whole && i-- > 0 && i + 300 > row.count;) { /* backwards */
        htt_datum column;
        require(htt_row_column(&other, i, &column) == HTT_OK, "a column decodes twice");
        require(same(column, columns[i]), "a column is the same in any order");
    }
    if (whole) {
        row_again(columns, row.count, htt_value_valid(value));
    }
    free(columns);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 1) {
        return 0;
    }
    /* Bytes of their own, so that AddressSanitizer knows both ends. */
    uint8_t *bytes = malloc(size - 1 > 0 ? size - 1 : 1);
    require(bytes != NULL, "memory");
    if (size > 1) {
        memcpy(bytes, data + 1, size - 1);
    }
    const htt_datum datum = {bytes, size - 1, (uint8_t)(data[0] % 10)};
    row_numbers(datum);
    row_columns(htt_bytes(bytes, size - 1, HTT_ROW));
    (void)htt_key_valid(datum);
    free(bytes);
    return 0;
}
