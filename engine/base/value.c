/* SPDX-License-Identifier: MIT */
/*
 * Canonical encodings of numbers and rows. Pure functions over bytes; no allocation.
 *
 *   TYPE       BYTES
 *   INTEGER    0 to 8: two's complement, little-endian, as few bytes as keep the sign
 *   INTEGRAL   as INTEGER; the number is one that a double holds exactly
 *   NEGZERO    none
 *   REAL       8: IEEE 754 double, little-endian
 *              as a key: not a NaN, not equal to an int64 (that is INTEGRAL or NEGZERO)
 *   TEXT BLOB  any
 *   NULL       none
 *   ROW        see below
 *
 *     0 ->     1 -> 01    -1 -> ff    127 -> 7f    128 -> 80 00    -129 -> 7f ff
 *
 * A row: column count, one head to a column, then the bytes of all columns in the same order.
 *
 *   +-------+--------+--------+- - - -+--------+--------+- - - -+
 *   | count | head 0 | head 1 |       | body 0 | body 1 |       |
 *   +-------+--------+--------+- - - -+--------+--------+- - - -+
 *    varint  varint = length << 3 | type (INTEGER REAL TEXT BLOB NULL)
 *
 *     (7, 'ab', NULL) ->  03  09 13 05  07 61 62
 *
 * Bytes that are decoded are input: every length is checked, and nothing but the one canonical
 * form is accepted (bodies of INTEGER columns are left to htt_value_integer).
 */
#include "base/value.h"

#include <assert.h>
#include <string.h>

#include "base/le.h"

#define VALUE_HEAD_TYPE_BITS 3
#define VALUE_HEAD_TYPE_MASK ((1u << VALUE_HEAD_TYPE_BITS) - 1)
static_assert(HTT_NULL <= VALUE_HEAD_TYPE_MASK, "types of columns fit a head");
static_assert(sizeof(double) == 8, "a double is IEEE 754, 8 bytes");

/* ---------------------------------------------------------------- numbers */

/* Bytes of an integer's one encoding. */
static size_t value_integer_size(int64_t number) {
    if (number == 0) {
        return 0;
    }
    uint64_t bits = (uint64_t)number;
    if (number < 0) {
        bits = ~bits; /* leading ones are as redundant as leading zeros */
    }
    const size_t width = bits == 0 ? 0 : 64 - (size_t)__builtin_clzll(bits);
    return width / 8 + 1; /* one bit more for the sign, rounded up */
}

/* False: not the canonical encoding of any integer. */
static bool value_integer_decode(const uint8_t *bytes, size_t size, int64_t *number_out) {
    if (size > HTT_NUMBER_SIZE) {
        return false;
    }
    if (size == 0) {
        *number_out = 0;
        return true;
    }
    uint8_t buffer[HTT_NUMBER_SIZE];
    memset(buffer, (bytes[size - 1] & 0x80) != 0 ? 0xff : 0, sizeof buffer);
    memcpy(buffer, bytes, size);
    const int64_t number = (int64_t)le64_get(buffer);
    if (value_integer_size(number) != size) {
        return false;
    }
    *number_out = number;
    return true;
}

/* True: the real equals an int64 (-0.0 equals 0). */
static bool value_real_is_integral(double real, int64_t *number_out) {
    /* 2^63 itself is a double but no int64; a NaN fails both. */
    if (!(real >= -9223372036854775808.0 && real < 9223372036854775808.0)) {
        return false;
    }
    const int64_t number = (int64_t)real;
    if ((double)number < real || (double)number > real) {
        return false;
    }
    *number_out = number;
    return true;
}

static double value_real_decode(const uint8_t *bytes) {
    const uint64_t bits = le64_get(bytes);
    double real;
    memcpy(&real, &bits, sizeof real);
    return real;
}

static uint64_t value_real_bits(double real) {
    uint64_t bits;
    memcpy(&bits, &real, sizeof bits);
    return bits;
}

/* A number of type INTEGRAL: an integer that comes back from a double unchanged. */
static bool value_integral_decode(const uint8_t *bytes, size_t size, int64_t *number_out) {
    int64_t number;
    int64_t again;
    if (!value_integer_decode(bytes, size, &number) ||
        !value_real_is_integral((double)number, &again) || again != number) {
        return false;
    }
    *number_out = number;
    return true;
}

/* A REAL key: what htt_key_real leaves REAL. */
static bool value_key_real_decode(const uint8_t *bytes, size_t size, double *real_out) {
    int64_t number;
    if (size != HTT_NUMBER_SIZE) {
        return false;
    }
    const double real = value_real_decode(bytes);
    if (real != real || value_real_is_integral(real, &number)) {
        return false;
    }
    *real_out = real;
    return true;
}

htt_datum htt_integer(int64_t number, uint8_t scratch[HTT_NUMBER_SIZE]) {
    le64_put(scratch, (uint64_t)number);
    return htt_bytes(scratch, value_integer_size(number), HTT_INTEGER);
}

htt_datum htt_real(double number, uint8_t scratch[HTT_NUMBER_SIZE]) {
    le64_put(scratch, value_real_bits(number));
    return htt_bytes(scratch, HTT_NUMBER_SIZE, HTT_REAL);
}

htt_rc htt_key_real(double number, uint8_t scratch[HTT_NUMBER_SIZE], htt_datum *key_out) {
    int64_t integer;
    if (number != number) {
        return HTT_MISUSE;
    }
    if (!value_real_is_integral(number, &integer)) {
        *key_out = htt_real(number, scratch);
        return HTT_OK;
    }
    htt_datum key = htt_integer(integer, scratch);
    const bool negative = (value_real_bits(number) >> 63) != 0;
    key.type = integer == 0 && negative ? HTT_NEGZERO : HTT_INTEGRAL;
    *key_out = key;
    return HTT_OK;
}

htt_rc htt_value_integer(htt_datum value, int64_t *number_out) {
    if (value.type != HTT_INTEGER) {
        return HTT_TYPE;
    }
    return value_integer_decode(value.data, value.size, number_out) ? HTT_OK : HTT_CORRUPT;
}

htt_rc htt_value_real(htt_datum value, double *number_out) {
    if (value.type != HTT_REAL) {
        return HTT_TYPE;
    }
    if (value.size != HTT_NUMBER_SIZE) {
        return HTT_CORRUPT;
    }
    *number_out = value_real_decode(value.data);
    return HTT_OK;
}

htt_rc htt_key_number(htt_datum key, bool *is_real_out, int64_t *integer_out, double *real_out) {
    int64_t integer = 0;
    double real = 0.0;
    bool sound = false;
    switch (key.type) {
    case HTT_INTEGER:
        sound = value_integer_decode(key.data, key.size, &integer);
        real = (double)integer;
        break;
    case HTT_INTEGRAL:
        sound = value_integral_decode(key.data, key.size, &integer);
        real = (double)integer;
        break;
    case HTT_NEGZERO:
        sound = key.size == 0;
        real = -0.0;
        break;
    case HTT_REAL: sound = value_key_real_decode(key.data, key.size, &real); break;
    default: return HTT_TYPE;
    }
    if (!sound) {
        return HTT_CORRUPT;
    }
    *is_real_out = key.type != HTT_INTEGER;
    *integer_out = integer;
    *real_out = real;
    return HTT_OK;
}

/* ------------------------------------------------------------------- rows */

/* A column's head: its type and bytes. 0: not sound; else the size of the head. */
static size_t value_head_decode(const uint8_t *bytes, size_t size, uint8_t *type_out,
                                size_t *length_out) {
    uint64_t head;
    const size_t used = varint_get(bytes, size, &head);
    if (used == 0) {
        return 0;
    }
    const uint64_t length = head >> VALUE_HEAD_TYPE_BITS;
    const uint8_t type = (uint8_t)(head & VALUE_HEAD_TYPE_MASK);
    bool sound = length <= HTT_VALUE_SIZE_MAX;
    switch (type) {
    case HTT_INTEGER: sound = sound && length <= HTT_NUMBER_SIZE; break;
    case HTT_REAL: sound = sound && length == HTT_NUMBER_SIZE; break;
    case HTT_TEXT:
    case HTT_BLOB: break;
    case HTT_NULL: sound = sound && length == 0; break;
    default: sound = false;
    }
    if (!sound) {
        return 0;
    }
    *type_out = type;
    *length_out = (size_t)length;
    return used;
}

static uint64_t value_head(htt_datum column) {
    const uint64_t length = column.type == HTT_NULL ? 0 : column.size;
    return length << VALUE_HEAD_TYPE_BITS | (column.type & VALUE_HEAD_TYPE_MASK);
}

size_t htt_row_size(const htt_datum *columns, uint32_t count) {
    assert(count <= HTT_ROW_COLUMNS_MAX);
    size_t size = varint_size(count);
    for (uint32_t i = 0; i < count; i++) {
        const uint64_t head = value_head(columns[i]);
        size += varint_size(head) + (size_t)(head >> VALUE_HEAD_TYPE_BITS);
    }
    return size;
}

void htt_row_encode(const htt_datum *columns, uint32_t count, uint8_t *bytes) {
    assert(count <= HTT_ROW_COLUMNS_MAX);
    uint8_t *const start = bytes;
    bytes += varint_put(bytes, count);
    for (uint32_t i = 0; i < count; i++) {
        bytes += varint_put(bytes, value_head(columns[i]));
    }
    for (uint32_t i = 0; i < count; i++) {
        if (columns[i].type != HTT_NULL && columns[i].size > 0) {
            memcpy(bytes, columns[i].data, columns[i].size);
            bytes += columns[i].size;
        }
    }
    assert((size_t)(bytes - start) == htt_row_size(columns, count));
    (void)start;
}

htt_rc htt_row_open(htt_datum value, htt_row *row_out) {
    if (value.type != HTT_ROW) {
        return HTT_TYPE;
    }
    const uint8_t *const bytes = value.data;
    uint64_t count;
    const size_t start = varint_get(bytes, value.size, &count);
    if (start == 0 || count > HTT_ROW_COLUMNS_MAX) {
        return HTT_CORRUPT;
    }
    size_t head = start;
    size_t body = 0; /* bytes of all columns so far, never above value.size */
    for (uint64_t i = 0; i < count; i++) {
        uint8_t type;
        size_t length;
        const size_t used = value_head_decode(bytes + head, value.size - head, &type, &length);
        if (used == 0 || length > value.size - body) {
            return HTT_CORRUPT;
        }
        head += used;
        body += length;
    }
    if (body != value.size - head) {
        return HTT_CORRUPT;
    }
    *row_out = (htt_row){.bytes = bytes,
                         .size = value.size,
                         .count = (uint32_t)count,
                         .next = 0,
                         .head = start,
                         .body = head,
                         .body_start = head};
    return HTT_OK;
}

htt_rc htt_row_column(htt_row *row, uint32_t index, htt_datum *column_out) {
    if (index >= row->count) {
        *column_out = htt_null();
        return HTT_OK;
    }
    if (index < row->next) {
        row->next = 0;
        row->head = varint_size(row->count);
        row->body = row->body_start;
    }
    /* htt_row_open has checked all this; a mapped file may have changed since. */
    for (;;) {
        uint8_t type;
        size_t length;
        if (row->head > row->body_start || row->body > row->size) {
            return HTT_CORRUPT;
        }
        const size_t used =
            value_head_decode(row->bytes + row->head, row->body_start - row->head, &type, &length);
        if (used == 0 || length > row->size - row->body) {
            return HTT_CORRUPT;
        }
        if (row->next == index) {
            *column_out =
                htt_bytes(length > 0 ? row->bytes + row->body : NULL, length, (htt_type)type);
            return HTT_OK;
        }
        row->head += used;
        row->body += length;
        row->next++;
    }
}

/* --------------------------------------------------------------- validity */

static bool value_has_bytes(htt_datum datum) {
    return datum.size == 0 || datum.data != NULL;
}

bool htt_key_valid(htt_datum key) {
    int64_t integer;
    double real;
    if (!value_has_bytes(key)) {
        return false;
    }
    switch (key.type) {
    case HTT_INTEGER: return value_integer_decode(key.data, key.size, &integer);
    case HTT_INTEGRAL: return value_integral_decode(key.data, key.size, &integer);
    case HTT_NEGZERO: return key.size == 0;
    case HTT_REAL: return value_key_real_decode(key.data, key.size, &real);
    case HTT_TEXT:
    case HTT_BLOB: return true;
    default: return false;
    }
}

/* Every column of a row, integers included. */
static bool value_row_valid(htt_datum value) {
    htt_row row;
    if (htt_row_open(value, &row) != HTT_OK) {
        return false;
    }
    for (uint32_t i = 0; i < row.count; i++) {
        htt_datum column;
        int64_t integer;
        if (htt_row_column(&row, i, &column) != HTT_OK ||
            (column.type == HTT_INTEGER && htt_value_integer(column, &integer) != HTT_OK)) {
            return false;
        }
    }
    return true;
}

bool htt_value_valid(htt_datum value) {
    int64_t integer;
    if (!value_has_bytes(value)) {
        return false;
    }
    switch (value.type) {
    case HTT_INTEGER: return value_integer_decode(value.data, value.size, &integer);
    case HTT_REAL: return value.size == HTT_NUMBER_SIZE;
    case HTT_TEXT:
    case HTT_BLOB: return true;
    case HTT_NULL: return value.size == 0;
    case HTT_ROW: return value_row_valid(value);
    default: return false;
    }
}
