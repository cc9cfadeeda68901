/* SPDX-License-Identifier: MIT */
/*
 * Typed bytes, inside the engine: classes of keys and validity. The public functions (numbers,
 * rows) are declared in htt.h; the encodings are drawn in value.c.
 */
#ifndef HTT_BASE_VALUE_H
#define HTT_BASE_VALUE_H

#include <stdbool.h>
#include <stdint.h>

#include "htt.h"

/* Keys are equal when class and bytes are. Numbers are frozen: they go into the hash. */
enum {
    HTT_CLASS_NONE = 0,   /* not a type of keys */
    HTT_CLASS_NUMBER = 1, /* INTEGER, INTEGRAL, NEGZERO */
    HTT_CLASS_REAL = 2,   /* REAL, never equal to an int64 */
    HTT_CLASS_TEXT = 3,   /* TEXT */
    HTT_CLASS_BLOB = 4    /* BLOB */
};

static inline uint8_t htt_key_class(uint8_t type) {
    switch (type) {
    case HTT_INTEGER:
    case HTT_INTEGRAL:
    case HTT_NEGZERO: return HTT_CLASS_NUMBER;
    case HTT_REAL: return HTT_CLASS_REAL;
    case HTT_TEXT: return HTT_CLASS_TEXT;
    case HTT_BLOB: return HTT_CLASS_BLOB;
    default: return HTT_CLASS_NONE;
    }
}

/*
 * A key or value whose type is allowed there and whose bytes an encoder could have written:
 * numbers in their one form, rows with a sound head. Sizes are not limited here (HTT_TOOBIG).
 */
bool htt_key_valid(htt_datum key);
bool htt_value_valid(htt_datum value);

#endif
