/* SPDX-License-Identifier: MIT */
/*
 * Keys and values in the columns of htt_outbox, which have no type and so no affinity:
 *
 *   ENGINE                                   COLUMN
 *   INTEGER                                  INTEGER
 *   REAL; keys: INTEGRAL 1.0, NEGZERO -0.0   REAL
 *   TEXT                                     TEXT, or BLOB and a flag in op
 *   BLOB                                     BLOB
 *   NULL (values)                            NULL
 *   ROW (values, op 2)                       BLOB
 *
 * In a UTF-16 database text goes through UTF-16, and what is not valid UTF-8 comes back as U+FFFD;
 * so do U+FFFE and U+FFFF. Text with such bytes is stored as a blob, whatever the encoding is: a
 * database may be copied into one of another.
 */
#include "outbox_value.h"

#include <string.h>

/* ------------------------------------------------------------------- text */

/* Bytes of the sequence that `at` begins with, 0 = not one that survives UTF-16. */
static size_t value_sequence(const uint8_t *at, size_t left) {
    const uint8_t lead = at[0];
    const size_t size = lead < 0x80   ? 1
                        : lead < 0xc2 ? 0
                        : lead < 0xe0 ? 2
                        : lead < 0xf0 ? 3
                        : lead < 0xf5 ? 4
                                      : 0;
    if (size <= 1 || size > left) {
        return size <= 1 ? size : 0;
    }
    uint32_t code = lead & (0x7fu >> size);
    for (size_t i = 1; i < size; i++) {
        if ((at[i] & 0xc0) != 0x80) {
            return 0;
        }
        code = code << 6 | (at[i] & 0x3fu);
    }
    const bool overlong = (size == 3 && code < 0x800) || (size == 4 && code < 0x10000);
    const bool surrogate = code >= 0xd800 && code <= 0xdfff;
    return overlong || surrogate || code > 0x10ffff || code == 0xfffe || code == 0xffff ? 0 : size;
}

static bool value_survives(htt_datum text) {
    const uint8_t *const bytes = text.data;
    size_t at = 0;
    while (at < text.size) {
        uint64_t eight;
        if (text.size - at >= sizeof eight) {
            memcpy(&eight, bytes + at, sizeof eight);
            if ((eight & UINT64_C(0x8080808080808080)) == 0) {
                at += sizeof eight;
                continue;
            }
        }
        const size_t size = value_sequence(bytes + at, text.size - at);
        if (size == 0) {
            return false;
        }
        at += size;
    }
    return true;
}

int htt_outbox_value_op(htt_op op, htt_datum key, htt_datum value) {
    int column = (int)op;
    if (key.type == HTT_TEXT && !value_survives(key)) {
        column |= HTT_OUTBOX_KEY_IS_TEXT;
    }
    if (value.type == HTT_TEXT && !value_survives(value)) {
        column |= HTT_OUTBOX_VALUE_IS_TEXT;
    }
    return column;
}

/* ---------------------------------------------------------------- writing */

static int value_bind_bytes(sqlite3_stmt *statement, int index, htt_datum datum, bool as_text) {
    const void *const bytes = datum.size > 0 ? datum.data : ""; /* NULL would be SQL's NULL */
    return as_text ? sqlite3_bind_text64(statement, index, bytes, datum.size, SQLITE_STATIC,
                                         SQLITE_UTF8)
                   : sqlite3_bind_blob64(statement, index, bytes, datum.size, SQLITE_STATIC);
}

static int value_bind_key(sqlite3_stmt *statement, int index, htt_datum key, bool as_blob) {
    bool is_real;
    int64_t integer;
    double real;
    if (key.type == HTT_TEXT || key.type == HTT_BLOB) {
        return value_bind_bytes(statement, index, key, key.type == HTT_TEXT && !as_blob);
    }
    if (htt_key_number(key, &is_real, &integer, &real) != HTT_OK) {
        return SQLITE_MISMATCH;
    }
    return is_real ? sqlite3_bind_double(statement, index, real)
                   : sqlite3_bind_int64(statement, index, integer);
}

static int value_bind_value(sqlite3_stmt *statement, int index, htt_datum value, bool as_blob) {
    int64_t integer;
    double real;
    switch (value.type) {
    case HTT_INTEGER:
        return htt_value_integer(value, &integer) == HTT_OK
                   ? sqlite3_bind_int64(statement, index, integer)
                   : SQLITE_MISMATCH;
    case HTT_REAL:
        return htt_value_real(value, &real) == HTT_OK ? sqlite3_bind_double(statement, index, real)
                                                      : SQLITE_MISMATCH;
    case HTT_TEXT:
    case HTT_BLOB:
    case HTT_ROW:
        return value_bind_bytes(statement, index, value, value.type == HTT_TEXT && !as_blob);
    case HTT_NULL: return sqlite3_bind_null(statement, index);
    default: return SQLITE_MISMATCH;
    }
}

int htt_outbox_value_bind(sqlite3_stmt *statement, int first, int op, htt_datum key,
                          htt_datum value) {
    const int rc = value_bind_key(statement, first, key, (op & HTT_OUTBOX_KEY_IS_TEXT) != 0);
    return rc != SQLITE_OK ? rc
                           : value_bind_value(statement, first + 1, value,
                                              (op & HTT_OUTBOX_VALUE_IS_TEXT) != 0);
}

/* ---------------------------------------------------------------- reading */

/* TEXT and BLOB columns; a blob may be flagged as text. */
static int value_read_bytes(sqlite3_stmt *statement, int column, bool is_text, htt_datum *out) {
    const bool stored_text = sqlite3_column_type(statement, column) == SQLITE_TEXT;
    const void *const bytes = stored_text ? (const void *)sqlite3_column_text(statement, column)
                                          : sqlite3_column_blob(statement, column);
    const size_t size = (size_t)sqlite3_column_bytes(statement, column);
    if (stored_text && is_text) {
        return SQLITE_CORRUPT_VTAB;
    }
    if (bytes == NULL && (stored_text || size > 0)) {
        return SQLITE_NOMEM;
    }
    *out = htt_bytes(bytes, size, stored_text || is_text ? HTT_TEXT : HTT_BLOB);
    return SQLITE_OK;
}

int htt_outbox_value_read_key(sqlite3_stmt *statement, int column, int op,
                              htt_outbox_cell *cell_out) {
    const bool is_text = (op & HTT_OUTBOX_KEY_IS_TEXT) != 0;
    const int type = sqlite3_column_type(statement, column);
    int rc = SQLITE_OK;
    if (type == SQLITE_TEXT || type == SQLITE_BLOB) {
        rc = value_read_bytes(statement, column, is_text, &cell_out->datum);
        return rc == SQLITE_OK && cell_out->datum.size > HTT_KEY_SIZE_MAX ? SQLITE_CORRUPT_VTAB
                                                                          : rc;
    }
    if (is_text || type == SQLITE_NULL) {
        return SQLITE_CORRUPT_VTAB;
    }
    if (type == SQLITE_INTEGER) {
        cell_out->datum = htt_integer(sqlite3_column_int64(statement, column), cell_out->scratch);
        return SQLITE_OK;
    }
    return htt_key_real(sqlite3_column_double(statement, column), cell_out->scratch,
                        &cell_out->datum) == HTT_OK
               ? SQLITE_OK
               : SQLITE_CORRUPT_VTAB;
}

/* Every column of it can be read. */
static bool value_row_is_sound(htt_datum value) {
    htt_row row;
    htt_datum column;
    int64_t integer;
    if (htt_row_open(value, &row) != HTT_OK) {
        return false;
    }
    for (uint32_t i = 0; i < row.count; i++) {
        if (htt_row_column(&row, i, &column) != HTT_OK ||
            (column.type == HTT_INTEGER && htt_value_integer(column, &integer) != HTT_OK)) {
            return false;
        }
    }
    return true;
}

int htt_outbox_value_read(sqlite3_stmt *statement, int column, int op, htt_outbox_cell *cell_out) {
    const bool is_text = (op & HTT_OUTBOX_VALUE_IS_TEXT) != 0;
    const int what = op & HTT_OUTBOX_OP_MASK;
    const int type = sqlite3_column_type(statement, column);
    int rc = SQLITE_OK;
    if ((is_text && type != SQLITE_BLOB) || (is_text && what != HTT_OP_PUT) ||
        (what == HTT_OP_ROW && type != SQLITE_BLOB) ||
        (what == HTT_OP_DEL && type != SQLITE_NULL)) {
        return SQLITE_CORRUPT_VTAB;
    }
    switch (type) {
    case SQLITE_INTEGER:
        cell_out->datum = htt_integer(sqlite3_column_int64(statement, column), cell_out->scratch);
        return SQLITE_OK;
    case SQLITE_FLOAT:
        cell_out->datum = htt_real(sqlite3_column_double(statement, column), cell_out->scratch);
        return SQLITE_OK;
    case SQLITE_TEXT:
    case SQLITE_BLOB: rc = value_read_bytes(statement, column, is_text, &cell_out->datum); break;
    default: cell_out->datum = htt_null(); return SQLITE_OK;
    }
    if (rc != SQLITE_OK || cell_out->datum.size > HTT_VALUE_SIZE_MAX) {
        return rc == SQLITE_OK ? SQLITE_CORRUPT_VTAB : rc;
    }
    if (what == HTT_OP_ROW) {
        cell_out->datum.type = HTT_ROW;
        return value_row_is_sound(cell_out->datum) ? SQLITE_OK : SQLITE_CORRUPT_VTAB;
    }
    return SQLITE_OK;
}
