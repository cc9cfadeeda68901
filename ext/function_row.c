/* SPDX-License-Identifier: MIT */
/*
 * htt_row_json(value): the columns of a row of several columns, as htt_outbox keeps it (op 2), as
 * a JSON array.
 *
 *   COLUMN     JSON
 *   INTEGER    all its digits
 *   REAL       with a point or an exponent; infinities are 9e999 and -9e999
 *   TEXT       a string; bytes that are not UTF-8 stay as they are
 *   BLOB       {"blob":"00ff"}: an object, so that no text looks like it
 *   NULL       null
 *
 *   (7, 'ab', x'00ff', NULL)   ->   [7,"ab",{"blob":"00ff"},null]
 *
 * NULL gives NULL. Anything but a blob is an error, and so are bytes that are no row.
 */
#include "function_row.h"

#include <math.h>
#include <stdlib.h>

#include "function.h"
#include "function_scalar.h"

static void row_put_text(sqlite3_str *out, htt_datum text) {
    const char *const bytes = text.data;
    size_t start = 0; /* of what needs no escape */
    for (size_t i = 0; i < text.size; i++) {
        const unsigned char byte = (unsigned char)bytes[i];
        if (byte >= 0x20 && byte != '"' && byte != '\\') {
            continue;
        }
        sqlite3_str_append(out, bytes + start, (int)(i - start));
        start = i + 1;
        if (byte < 0x20) {
            sqlite3_str_appendf(out, "\\u%04x", byte);
        } else {
            sqlite3_str_appendf(out, "\\%c", byte);
        }
    }
    if (start < text.size) {
        sqlite3_str_append(out, bytes + start, (int)(text.size - start));
    }
}

static void row_put_hex(sqlite3_str *out, htt_datum blob) {
    static const char digits[] = "0123456789abcdef";
    const unsigned char *const bytes = blob.data;
    char pairs[256];
    int used = 0;
    for (size_t i = 0; i < blob.size; i++) {
        pairs[used++] = digits[bytes[i] >> 4];
        pairs[used++] = digits[bytes[i] & 15];
        if (used == (int)sizeof pairs || i == blob.size - 1) {
            sqlite3_str_append(out, pairs, used);
            used = 0;
        }
    }
}

/* 15 digits where they come back as the same number, else 17. */
static void row_put_real(sqlite3_str *out, double real) {
    char text[64];
    if (isnan(real)) {
        sqlite3_str_appendall(out, "null"); /* as SQLite reads it */
    } else if (isinf(real)) {
        sqlite3_str_appendall(out, real > 0 ? "9e999" : "-9e999");
    } else {
        sqlite3_snprintf(sizeof text, text, "%!.15g", real);
        const double back = strtod(text, NULL);
        if (back < real || back > real) {
            sqlite3_snprintf(sizeof text, text, "%!.17g", real);
        }
        sqlite3_str_appendf(out, "%s%s", signbit(real) && real >= 0.0 ? "-" : "", text);
    }
}

static htt_rc row_put_column(sqlite3_str *out, htt_datum column) {
    int64_t integer;
    double real;
    htt_rc rc = HTT_OK;
    switch (column.type) {
    case HTT_INTEGER:
        rc = htt_value_integer(column, &integer);
        if (rc == HTT_OK) {
            sqlite3_str_appendf(out, "%lld", (long long)integer);
        }
        return rc;
    case HTT_REAL:
        rc = htt_value_real(column, &real);
        if (rc == HTT_OK) {
            row_put_real(out, real);
        }
        return rc;
    case HTT_TEXT:
        sqlite3_str_appendchar(out, 1, '"');
        row_put_text(out, column);
        sqlite3_str_appendchar(out, 1, '"');
        return HTT_OK;
    case HTT_BLOB:
        sqlite3_str_appendall(out, "{\"blob\":\"");
        row_put_hex(out, column);
        sqlite3_str_appendall(out, "\"}");
        return HTT_OK;
    default: sqlite3_str_appendall(out, "null"); return HTT_OK;
    }
}

static htt_rc row_put(sqlite3_str *out, htt_datum value) {
    htt_row row;
    htt_datum column;
    htt_rc rc = htt_row_open(value, &row);
    if (rc != HTT_OK) {
        return rc;
    }
    sqlite3_str_appendchar(out, 1, '[');
    for (uint32_t i = 0; rc == HTT_OK && i < row.count; i++) {
        sqlite3_str_appendall(out, i == 0 ? "" : ",");
        rc = htt_row_column(&row, i, &column);
        rc = rc == HTT_OK ? row_put_column(out, column) : rc;
    }
    sqlite3_str_appendchar(out, 1, ']');
    return rc;
}

htt_rc htt_function_row_result(sqlite3_context *context, htt_datum row) {
    sqlite3_str *const out = sqlite3_str_new(sqlite3_context_db_handle(context));
    const htt_rc rc = row_put(out, row);
    const int code = sqlite3_str_errcode(out);
    const sqlite3_uint64 length = (sqlite3_uint64)sqlite3_str_length(out);
    char *const text = sqlite3_str_finish(out);
    if (code == SQLITE_TOOBIG) {
        sqlite3_result_error_toobig(context);
    } else if (code == SQLITE_OK && rc != HTT_OK) {
        sqlite3_free(text);
        return rc;
    } else if (text == NULL) {
        sqlite3_result_error_nomem(context);
    } else {
        sqlite3_result_text64(context, text, length, sqlite3_free, SQLITE_UTF8);
        return HTT_OK;
    }
    sqlite3_free(text);
    return HTT_OK;
}

static void row_call(sqlite3_context *context, int argc, sqlite3_value **argv) {
    const int type = sqlite3_value_type(argv[0]);
    (void)argc;
    if (type == SQLITE_NULL) {
        return;
    }
    const void *const bytes = type == SQLITE_BLOB ? sqlite3_value_blob(argv[0]) : NULL;
    const size_t size = (size_t)sqlite3_value_bytes(argv[0]);
    if (type == SQLITE_BLOB && bytes == NULL && size > 0) {
        sqlite3_result_error_nomem(context);
        return;
    }
    const htt_type kind = type == SQLITE_BLOB ? HTT_ROW : HTT_NULL;
    if (htt_function_row_result(context, htt_bytes(bytes, size, kind)) != HTT_OK) {
        htt_function_scalar_fail(
            context, SQLITE_ERROR,
            sqlite3_mprintf("htt_row_json: a row of htt_outbox expected (value where op is 2)"));
    }
}

int htt_function_register_row(htt_registry *registry) {
    return htt_function_scalar_register(registry, "htt_row_json", 1,
                                        SQLITE_DETERMINISTIC | SQLITE_INNOCUOUS, row_call);
}
