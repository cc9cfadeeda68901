/* SPDX-License-Identifier: MIT */
/* Keys: making them, comparing them as SQLite does, and showing them in messages. */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "sql/repo/repo.h"

/* 1 and 1.0 are one key, 'a' and x'61' are not. */
enum { KEY_NUMBER = 1, KEY_REAL = 2, KEY_TEXT = 3, KEY_BLOB = 4 };

htt_key htt_key_of(htt_datum datum) {
    htt_key key;
    memset(&key, 0, sizeof key);
    key.datum = datum;
    const bool number = datum.type == HTT_INTEGER || datum.type == HTT_REAL;
    if (number && datum.size <= sizeof key.scratch && datum.size > 0) {
        memcpy(key.scratch, datum.data, datum.size);
    }
    if (number) {
        key.datum.data = NULL;
    }
    return key;
}

htt_key htt_key_of_integer(int64_t number) {
    uint8_t scratch[HTT_NUMBER_SIZE];
    return htt_key_of(htt_integer(number, scratch));
}

htt_key htt_key_of_real(double number) {
    uint8_t scratch[HTT_NUMBER_SIZE];
    return htt_key_of(htt_real(number, scratch));
}

htt_key htt_key_of_text(const char *text) {
    return htt_key_of(text == NULL ? htt_null() : htt_text(text));
}

htt_key htt_key_of_blob(const void *data, size_t size) {
    return htt_key_of(htt_blob(data, size));
}

htt_datum htt_key_datum(const htt_key *key) {
    htt_datum datum = key->datum;
    if (datum.type == HTT_INTEGER || datum.type == HTT_REAL) {
        datum.data = key->scratch;
    }
    return datum;
}

void htt_canonical_of(htt_datum key, htt_canonical *canonical) {
    double real;
    canonical->bytes = key;
    switch (key.type) {
    case HTT_INTEGER: canonical->klass = KEY_NUMBER; return;
    case HTT_TEXT: canonical->klass = KEY_TEXT; return;
    case HTT_BLOB: canonical->klass = KEY_BLOB; return;
    default: break;
    }
    assert(key.type == HTT_REAL);
    canonical->klass = KEY_REAL;
    if (htt_value_real(key, &real) == HTT_OK &&
        htt_key_real(real, canonical->scratch, &canonical->bytes) == HTT_OK &&
        canonical->bytes.type != HTT_REAL) {
        canonical->klass = KEY_NUMBER; /* an integer's bytes */
    }
}

const char *htt_type_name(unsigned type) {
    switch (type) {
    case HTT_INTEGER: return "integer";
    case HTT_REAL: return "real";
    case HTT_TEXT: return "text";
    case HTT_BLOB: return "blob";
    case HTT_NULL: return "null";
    default: return "of no SQL type";
    }
}

static void key_show_blob(htt_datum key, char *text, size_t size) {
    size_t length = (size_t)snprintf(text, size, "x'");
    for (size_t i = 0; i < key.size && i < 16; i++) {
        length += (size_t)snprintf(text + length, size - length, "%02x",
                                   ((const uint8_t *)key.data)[i]);
    }
    (void)snprintf(text + length, size - length, key.size > 16 ? "...'" : "'");
}

void htt_key_show(htt_datum key, char *text, size_t size) {
    enum { SHOWN = 60 };
    int64_t integer;
    double real;
    assert(size >= HTT_KEY_TEXT_SIZE);
    if (key.type == HTT_INTEGER && htt_value_integer(key, &integer) == HTT_OK) {
        (void)snprintf(text, size, "%lld", (long long)integer);
    } else if (key.type == HTT_REAL && htt_value_real(key, &real) == HTT_OK) {
        (void)snprintf(text, size, "%.17g", real);
    } else if (key.type == HTT_TEXT) {
        const bool cut = key.size > SHOWN;
        (void)snprintf(text, size, "'%.*s%s'", cut ? SHOWN : (int)key.size,
                       key.data == NULL ? "" : (const char *)key.data, cut ? "..." : "");
    } else if (key.type == HTT_BLOB) {
        key_show_blob(key, text, size);
    } else {
        (void)snprintf(text, size, "%s", htt_type_name(key.type));
    }
}
