/* SPDX-License-Identifier: MIT */
/*
 * Column affinity, exactly as an ordinary table applies it when it stores a row:
 *
 *   AFFINITY          INTEGER       REAL                     TEXT                      BLOB
 *   BLOB (none)       as it is      as it is                 as it is                  as it is
 *   TEXT              its text      its text                 as it is                  as it is
 *   NUMERIC, INTEGER  as it is      INTEGER if it is one     the number, if it is one  as it is
 *   REAL              REAL          as it is, -0.0 is 0.0    the REAL, if it is one    as it is
 *
 * "INTEGER if it is one": the real has no fraction and lies strictly between the least and the
 * greatest int64. So 9223372036854775808 stays a real, and -0.0 becomes 0. NULL is NULL always.
 * Which text is a number is decided here, as SQLite does. Its sqlite3_value_numeric_type changes
 * the value, which SQLite may still need, and from 3.53 on it crashes on a copy.
 */
#include "affinity.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

typedef enum affinity_kind { AFFINITY_AS_VALUE, AFFINITY_AS_KEY } affinity_kind;

htt_affinity htt_affinity_of_type(const char *type) {
    static const struct {
        const char *part;      /* found anywhere in the type, in this order of precedence */
        htt_affinity affinity; /* what it means */
    } rules[] = {
        {"INT", HTT_AFFINITY_INTEGER}, {"CHAR", HTT_AFFINITY_TEXT}, {"CLOB", HTT_AFFINITY_TEXT},
        {"TEXT", HTT_AFFINITY_TEXT},   {"BLOB", HTT_AFFINITY_BLOB}, {"REAL", HTT_AFFINITY_REAL},
        {"FLOA", HTT_AFFINITY_REAL},   {"DOUB", HTT_AFFINITY_REAL},
    };
    if (type[0] == '\0') {
        return HTT_AFFINITY_BLOB;
    }
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        const int size = (int)strlen(rules[i].part);
        for (const char *at = type; *at != '\0'; at++) {
            if (sqlite3_strnicmp(at, rules[i].part, size) == 0) {
                return rules[i].affinity;
            }
        }
    }
    return HTT_AFFINITY_NUMERIC;
}

/* The real as an integer, where an ordinary table would store it as one. */
static bool affinity_real_to_integer(double real, sqlite3_int64 *integer_out) {
    if (!(real > -9223372036854775808.0 && real < 9223372036854775808.0)) {
        return false;
    }
    const sqlite3_int64 integer = (sqlite3_int64)real;
    if ((double)integer < real || (double)integer > real || integer == INT64_MAX) {
        return false;
    }
    *integer_out = integer;
    return true;
}

static void affinity_put_integer(sqlite3_int64 integer, htt_cell *cell) {
    cell->datum = htt_integer(integer, cell->scratch);
}

static void affinity_put_real(double real, affinity_kind kind, htt_cell *cell) {
    if (kind == AFFINITY_AS_VALUE) {
        cell->datum = htt_real(real, cell->scratch);
        return;
    }
    const htt_rc rc = htt_key_real(real, cell->scratch, &cell->datum);
    assert(rc == HTT_OK); /* SQLite has no NaN: it gives NULL instead */
    (void)rc;
}

/* A number under NUMERIC, INTEGER or REAL. */
static void affinity_put_number(sqlite3_value *number, int type, htt_affinity affinity,
                                affinity_kind kind, htt_cell *cell) {
    sqlite3_int64 integer;
    if (affinity == HTT_AFFINITY_REAL) {
        const double real = sqlite3_value_double(number); /* adding 0.0 makes 0.0 of -0.0 */
        affinity_put_real(real + 0.0, kind, cell);
    } else if (type == SQLITE_INTEGER) {
        affinity_put_integer(sqlite3_value_int64(number), cell);
    } else if (affinity_real_to_integer(sqlite3_value_double(number), &integer)) {
        affinity_put_integer(integer, cell);
    } else {
        affinity_put_real(sqlite3_value_double(number), kind, cell);
    }
}

/*
 * A text of UTF-8 as it is. Its bytes are asked for as a blob's, which they are as well: for a text
 * that does not end in a NUL sqlite3_value_text would make a copy that does.
 */
static int affinity_put_bytes(sqlite3_value *value, htt_cell *cell) {
    const void *const bytes = sqlite3_value_blob(value);
    const size_t size = (size_t)sqlite3_value_bytes(value);
    cell->datum = htt_bytes(bytes != NULL ? bytes : "", size, HTT_TEXT);
    return bytes == NULL && size > 0 ? SQLITE_NOMEM : SQLITE_OK;
}

/* A number's text, or a text in which UTF-8 loses nothing. */
static int affinity_put_utf8(sqlite3_value *value, htt_cell *cell) {
    const unsigned char *const text = sqlite3_value_text(value);
    if (text == NULL) {
        return SQLITE_NOMEM;
    }
    cell->datum = htt_bytes(text, (size_t)sqlite3_value_bytes(value), HTT_TEXT);
    return SQLITE_OK;
}

/* The value is text. */
static int affinity_put_text(sqlite3_value *value, htt_surrogate_texts *texts, htt_cell *cell) {
    if (sqlite3_value_encoding(value) == SQLITE_UTF8) {
        return affinity_put_bytes(value, cell);
    }
    cell->datum = htt_null();
    const int rc = htt_surrogate_read(value, texts, &cell->datum);
    if (rc != SQLITE_OK || cell->datum.type == HTT_TEXT) {
        return rc;
    }
    return affinity_put_utf8(value, cell);
}

static size_t affinity_skip_space(const unsigned char *text, size_t at, size_t size) {
    while (at < size && (text[at] == ' ' || (text[at] >= '\t' && text[at] <= '\r'))) {
        at++;
    }
    return at;
}

static size_t affinity_skip_digits(const unsigned char *text, size_t at, size_t size) {
    while (at < size && text[at] >= '0' && text[at] <= '9') {
        at++;
    }
    return at;
}

static size_t affinity_skip_sign(const unsigned char *text, size_t at, size_t size) {
    return at < size && (text[at] == '-' || text[at] == '+') ? at + 1 : at;
}

/* Digits as an int64. False: too large. */
static bool affinity_digits_fit(const unsigned char *digits, size_t size, bool negative) {
    const uint64_t limit = (uint64_t)INT64_MAX + (negative ? 1 : 0);
    uint64_t number = 0;
    for (size_t i = 0; i < size; i++) {
        const uint64_t digit = (uint64_t)(digits[i] - '0');
        if (number > (limit - digit) / 10) {
            return false;
        }
        number = number * 10 + digit;
    }
    return true;
}

/* What a text is: space, sign, digits, point and exponent, space; or SQLITE_TEXT. */
static int affinity_text_type(const unsigned char *text, size_t size) {
    const size_t sign = affinity_skip_space(text, 0, size);
    const size_t whole = affinity_skip_sign(text, sign, size);
    size_t at = affinity_skip_digits(text, whole, size);
    size_t digits = at - whole;
    const bool fits = affinity_digits_fit(text + whole, digits, whole > sign && text[sign] == '-');
    int type = fits ? SQLITE_INTEGER : SQLITE_FLOAT;
    if (at < size && text[at] == '.') {
        const size_t fraction = at + 1;
        at = affinity_skip_digits(text, fraction, size);
        digits += at - fraction;
        type = SQLITE_FLOAT;
    }
    if (digits == 0) {
        return SQLITE_TEXT;
    }
    if (at < size && (text[at] == 'e' || text[at] == 'E')) {
        const size_t exponent = affinity_skip_sign(text, at + 1, size);
        at = affinity_skip_digits(text, exponent, size);
        if (at == exponent) {
            return SQLITE_TEXT;
        }
        type = SQLITE_FLOAT;
    }
    return affinity_skip_space(text, at, size) == size ? type : SQLITE_TEXT;
}

/* Text under NUMERIC, INTEGER or REAL. */
static int affinity_put_numeric_text(sqlite3_value *value, htt_affinity affinity,
                                     affinity_kind kind, htt_surrogate_texts *texts,
                                     htt_cell *cell) {
    enum { AFFINITY_NUL_ENDS = 3053000 }; /* from this version on, a number ends at a NUL */
    const int rc = affinity_put_text(value, texts, cell);
    if (rc != SQLITE_OK) {
        return rc;
    }
    const unsigned char *const text = cell->datum.data;
    const unsigned char *const nul = memchr(text, '\0', cell->datum.size);
    const bool cut = nul != NULL && sqlite3_libversion_number() >= AFFINITY_NUL_ENDS;
    int type = affinity_text_type(text, cut ? (size_t)(nul - text) : cell->datum.size);
    if (type == SQLITE_INTEGER && cut) {
        type = SQLITE_FLOAT; /* then SQLite comes to the integer through the real */
    }
    if (type != SQLITE_TEXT) {
        affinity_put_number(value, type, affinity, kind, cell);
    }
    return SQLITE_OK;
}

static int affinity_put(sqlite3_value *value, htt_affinity affinity, affinity_kind kind,
                        htt_surrogate_texts *texts, htt_cell *cell) {
    const int type = sqlite3_value_type(value);
    const bool numeric = affinity >= HTT_AFFINITY_NUMERIC;
    switch (type) {
    case SQLITE_INTEGER:
    case SQLITE_FLOAT:
        if (affinity == HTT_AFFINITY_TEXT) {
            return affinity_put_utf8(value, cell);
        }
        if (numeric) {
            affinity_put_number(value, type, affinity, kind, cell);
        } else if (type == SQLITE_INTEGER) {
            affinity_put_integer(sqlite3_value_int64(value), cell);
        } else {
            affinity_put_real(sqlite3_value_double(value), kind, cell);
        }
        return SQLITE_OK;
    case SQLITE_TEXT:
        return numeric ? affinity_put_numeric_text(value, affinity, kind, texts, cell)
                       : affinity_put_text(value, texts, cell);
    case SQLITE_BLOB: {
        const void *const bytes = sqlite3_value_blob(value);
        cell->datum = htt_blob(bytes, (size_t)sqlite3_value_bytes(value));
        return bytes == NULL && cell->datum.size > 0 ? SQLITE_NOMEM : SQLITE_OK;
    }
    default: cell->datum = htt_null(); return SQLITE_OK;
    }
}

int htt_affinity_value(sqlite3_value *value, htt_affinity affinity, htt_surrogate_texts *texts,
                       htt_cell *cell_out) {
    return affinity_put(value, affinity, AFFINITY_AS_VALUE, texts, cell_out);
}

int htt_affinity_key(sqlite3_value *value, htt_affinity affinity, htt_surrogate_texts *texts,
                     htt_cell *cell_out) {
    return affinity_put(value, affinity, AFFINITY_AS_KEY, texts, cell_out);
}

static void affinity_result_bytes(sqlite3_context *context, htt_datum value,
                                  const htt_results *results) {
    if (results->utf16 && value.type == HTT_TEXT && htt_surrogate_result(context, value)) {
        return;
    }
    htt_lender_result(results->lender, context, value);
}

htt_rc htt_affinity_result_value(sqlite3_context *context, htt_datum value,
                                 const htt_results *results) {
    int64_t integer;
    double real;
    htt_rc rc = HTT_OK;
    switch (value.type) {
    case HTT_INTEGER:
        rc = htt_value_integer(value, &integer);
        if (rc == HTT_OK) {
            sqlite3_result_int64(context, integer);
        }
        return rc;
    case HTT_REAL:
        rc = htt_value_real(value, &real);
        if (rc == HTT_OK) {
            sqlite3_result_double(context, real);
        }
        return rc;
    case HTT_TEXT:
    case HTT_BLOB: affinity_result_bytes(context, value, results); return HTT_OK;
    case HTT_NULL: sqlite3_result_null(context); return HTT_OK;
    default: return HTT_CORRUPT;
    }
}

htt_rc htt_affinity_result_key(sqlite3_context *context, htt_datum key,
                               const htt_results *results) {
    bool is_real;
    int64_t integer;
    double real;
    if (key.type == HTT_TEXT || key.type == HTT_BLOB) {
        affinity_result_bytes(context, key, results);
        return HTT_OK;
    }
    const htt_rc rc = htt_key_number(key, &is_real, &integer, &real);
    if (rc == HTT_OK && is_real) {
        sqlite3_result_double(context, real);
    } else if (rc == HTT_OK) {
        sqlite3_result_int64(context, integer);
    }
    return rc == HTT_TYPE ? HTT_CORRUPT : rc;
}
