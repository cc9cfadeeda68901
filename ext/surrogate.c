/* SPDX-License-Identifier: MIT */
/*
 * Lone surrogates, which an ordinary table of a UTF-16 database keeps, as "WTF-8": UTF-8 in which
 * a surrogate without its other half has the three bytes that its number would have.
 *
 *   UTF-16 UNITS          BYTES STORED
 *   0061                  61
 *   d83d de00 (a pair)    f0 9f 98 80    ordinary UTF-8, never two times three bytes
 *   d83d (alone)          ed a0 bd
 *   de00 d83d (reversed)  ed b8 80 ed a0 bd
 *
 * So a text has one form only, and keys are equal when their bytes are. SQLite's own conversion
 * makes U+FFFD, or some other character, of what UTF-8 cannot say, and of U+FFFE and U+FFFF on
 * their way to UTF-16.
 */
#include "surrogate.h"

#include <assert.h>
#include <string.h>

struct htt_surrogate_text {
    struct htt_surrogate_text *next; /* list */
    uint8_t bytes[];                 /* WTF-8 */
};

static bool surrogate_is_high(uint32_t code) {
    return code >= 0xd800 && code <= 0xdbff;
}

static bool surrogate_is_low(uint32_t code) {
    return code >= 0xdc00 && code <= 0xdfff;
}

int htt_surrogate_find_encoding(sqlite3 *db, bool *is_utf16_out) {
    sqlite3_stmt *statement = NULL;
    const char *name = NULL;
    int rc = sqlite3_prepare_v2(db, "PRAGMA encoding", -1, &statement, NULL);
    if (rc == SQLITE_OK && sqlite3_step(statement) == SQLITE_ROW) {
        name = (const char *)sqlite3_column_text(statement, 0);
    }
    const bool is_utf16 = name != NULL && strncmp(name, "UTF-16", 6) == 0;
    const int finished = sqlite3_finalize(statement);
    rc = rc == SQLITE_OK ? finished : rc;
    if (rc == SQLITE_AUTH) {
        return SQLITE_OK; /* the application allows no pragma: no reason to have no table */
    }
    if (rc != SQLITE_OK || name == NULL) {
        return rc == SQLITE_OK ? SQLITE_NOMEM : rc;
    }
    *is_utf16_out = is_utf16;
    return SQLITE_OK;
}

/* ----------------------------------------------------------- UTF-16 to WTF-8 */

typedef struct surrogate_units {
    const uint8_t *bytes; /* two for each unit */
    size_t count;         /* units */
    bool big;             /* the high byte comes first */
} surrogate_units;

static uint32_t surrogate_unit(const surrogate_units *units, size_t index) {
    const uint8_t *const at = units->bytes + 2 * index;
    return units->big ? (uint32_t)(at[0] << 8 | at[1]) : (uint32_t)(at[1] << 8 | at[0]);
}

/* The character or lone surrogate at *index, which moves behind it. */
static uint32_t surrogate_next_unit(const surrogate_units *units, size_t *index) {
    const uint32_t unit = surrogate_unit(units, (*index)++);
    if (!surrogate_is_high(unit) || *index == units->count) {
        return unit;
    }
    const uint32_t low = surrogate_unit(units, *index);
    if (!surrogate_is_low(low)) {
        return unit;
    }
    (*index)++;
    return 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
}

static size_t surrogate_encoded_size(uint32_t code) {
    return code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
}

/* The bytes that all units take; *lone_out: some surrogate is alone. */
static size_t surrogate_measure(const surrogate_units *units, bool *lone_out) {
    size_t size = 0;
    *lone_out = false;
    for (size_t i = 0; i < units->count;) {
        const uint32_t code = surrogate_next_unit(units, &i);
        *lone_out = *lone_out || surrogate_is_high(code) || surrogate_is_low(code);
        size += surrogate_encoded_size(code);
    }
    return size;
}

static uint8_t *surrogate_put(uint32_t code, uint8_t *out) {
    static const uint8_t leads[] = {0, 0, 0xc0, 0xe0, 0xf0};
    const size_t size = surrogate_encoded_size(code);
    for (size_t i = size; i > 1; i--) {
        out[i - 1] = (uint8_t)(0x80 | (code & 0x3f));
        code >>= 6;
    }
    out[0] = (uint8_t)(leads[size] | code);
    return out + size;
}

int htt_surrogate_read(sqlite3_value *value, htt_surrogate_texts *texts, htt_datum *text_out) {
    const int encoding = sqlite3_value_encoding(value);
    surrogate_units units = {.big = encoding == SQLITE_UTF16BE};
    bool lone;
    assert(encoding != SQLITE_UTF8);
    units.bytes = units.big ? sqlite3_value_text16be(value) : sqlite3_value_text16le(value);
    if (units.bytes == NULL) {
        return SQLITE_NOMEM;
    }
    units.count = (size_t)sqlite3_value_bytes16(value) / 2;
    const size_t size = surrogate_measure(&units, &lone);
    if (!lone) {
        return SQLITE_OK;
    }
    struct htt_surrogate_text *const text = sqlite3_malloc64(sizeof *text + size);
    if (text == NULL) {
        return SQLITE_NOMEM;
    }
    text->next = texts->newest;
    texts->newest = text;
    uint8_t *out = text->bytes;
    for (size_t i = 0; i < units.count;) {
        out = surrogate_put(surrogate_next_unit(&units, &i), out);
    }
    assert(out == text->bytes + size);
    *text_out = htt_bytes(text->bytes, size, HTT_TEXT);
    return SQLITE_OK;
}

void htt_surrogate_free(htt_surrogate_texts *texts) {
    while (texts->newest != NULL) {
        struct htt_surrogate_text *const text = texts->newest;
        texts->newest = text->next;
        sqlite3_free(text);
    }
}

/* ----------------------------------------------------------- WTF-8 to UTF-16 */

/* The character or lone surrogate at *at, which moves behind it. False: no such bytes. */
static bool surrogate_next_bytes(htt_datum text, size_t *at, uint32_t *code_out) {
    const uint8_t *const bytes = (const uint8_t *)text.data + *at;
    const uint8_t lead = bytes[0];
    const size_t size = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    if (size > text.size - *at || (lead >= 0x80 && lead < 0xc2) || lead > 0xf4) {
        return false;
    }
    uint32_t code = size == 1 ? lead : lead & (0x7fu >> size);
    for (size_t i = 1; i < size; i++) {
        if ((bytes[i] & 0xc0) != 0x80) {
            return false;
        }
        code = code << 6 | (bytes[i] & 0x3fu);
    }
    *at += size;
    *code_out = code;
    return surrogate_encoded_size(code) == size && code <= 0x10ffff; /* not overlong */
}

/* Counts the units. True: well-formed WTF-8 of which SQLite would make something else. */
static bool surrogate_is_needed(htt_datum text, size_t *units_out) {
    bool needed = false;
    bool after_high = false;
    *units_out = 0;
    for (size_t at = 0; at < text.size;) {
        uint32_t code;
        if (!surrogate_next_bytes(text, &at, &code) || (after_high && surrogate_is_low(code))) {
            return false; /* a pair has other bytes: this one would come back as them */
        }
        after_high = surrogate_is_high(code);
        needed = needed || after_high || surrogate_is_low(code) || code == 0xfffe || code == 0xffff;
        *units_out += code < 0x10000 ? 1 : 2;
    }
    return needed;
}

static uint8_t *surrogate_put_unit(uint32_t unit, uint8_t *out) {
    out[0] = (uint8_t)unit;
    out[1] = (uint8_t)(unit >> 8);
    return out + 2;
}

bool htt_surrogate_result(sqlite3_context *context, htt_datum text) {
    size_t units;
    if (!surrogate_is_needed(text, &units)) {
        return false;
    }
    const size_t size = 2 * (units + 1);
    uint8_t *const bytes = sqlite3_malloc64(size);
    if (bytes == NULL) {
        sqlite3_result_error_nomem(context);
        return true;
    }
    /* SQLite takes a byte order mark off: ours, so that it leaves one of the text alone. */
    uint8_t *out = surrogate_put_unit(0xfeff, bytes);
    for (size_t at = 0; at < text.size;) {
        uint32_t code;
        const bool sound = surrogate_next_bytes(text, &at, &code);
        assert(sound);
        (void)sound;
        if (code >= 0x10000) {
            out = surrogate_put_unit(0xd800 + ((code - 0x10000) >> 10), out);
            code = 0xdc00 + (code & 0x3ff);
        }
        out = surrogate_put_unit(code, out);
    }
    assert(out == bytes + size);
    sqlite3_result_text64(context, (const char *)bytes, size, sqlite3_free, SQLITE_UTF16LE);
    return true;
}
