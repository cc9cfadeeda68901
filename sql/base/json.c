/* SPDX-License-Identifier: MIT */
/*
 * A JSON checker without recursion: a bit for each open array or object, and what may come next.
 *
 *                 '['            value              ','
 *   VALUE  -----> FIRST_ITEM ---------> AFTER ----------> VALUE (array), KEY (object)
 *          '{'    FIRST_KEY  key ':' -> VALUE   ']' '}' -> AFTER, one level up
 */
#include "sql/base/json.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

typedef enum json_state {
    JSON_VALUE,      /* a value must come */
    JSON_FIRST_ITEM, /* a value, or the end of the array */
    JSON_FIRST_KEY,  /* a key, or the end of the object */
    JSON_KEY,        /* a key must come */
    JSON_AFTER       /* behind a value: ',' or the end of what it is in */
} json_state;

typedef struct json_reader {
    const char *at;                         /* next character */
    const char *end;                        /* of the text */
    json_state state;                       /* what may come */
    size_t depth;                           /* open arrays and objects */
    uint8_t objects[HTT_JSON_DEPTH_MAX / 8]; /* bit: that one is an object */
} json_reader;

static bool json_is_digit(const json_reader *reader) {
    return reader->at < reader->end && *reader->at >= '0' && *reader->at <= '9';
}

static bool json_take(json_reader *reader, char wanted) {
    if (reader->at < reader->end && *reader->at == wanted) {
        reader->at++;
        return true;
    }
    return false;
}

static bool json_digits(json_reader *reader) {
    const char *const start = reader->at;
    while (json_is_digit(reader)) {
        reader->at++;
    }
    return reader->at > start;
}

static bool json_number(json_reader *reader) {
    (void)json_take(reader, '-');
    if (!json_take(reader, '0') && !json_digits(reader)) {
        return false;
    }
    if (json_take(reader, '.') && !json_digits(reader)) {
        return false;
    }
    if (json_take(reader, 'e') || json_take(reader, 'E')) {
        if (!json_take(reader, '+')) {
            (void)json_take(reader, '-');
        }
        return json_digits(reader);
    }
    return true;
}

static bool json_word(json_reader *reader, const char *word) {
    const size_t length = strlen(word);
    if ((size_t)(reader->end - reader->at) < length || memcmp(reader->at, word, length) != 0) {
        return false;
    }
    reader->at += length;
    return true;
}

static bool json_escape(json_reader *reader) {
    if (reader->at == reader->end) {
        return false;
    }
    if (!json_take(reader, 'u')) {
        const bool known = *reader->at != '\0' && strchr("\"\\/bfnrt", *reader->at) != NULL;
        reader->at += known ? 1 : 0;
        return known;
    }
    for (int i = 0; i < 4; i++, reader->at++) {
        if (reader->at == reader->end || *reader->at == '\0' ||
            strchr("0123456789abcdefABCDEF", *reader->at) == NULL) {
            return false;
        }
    }
    return true;
}

/* One character of several bytes. No surrogates, nothing longer than needed, at most U+10FFFF. */
static bool json_utf8(json_reader *reader) {
    const unsigned char lead = (unsigned char)*reader->at;
    const size_t follow = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : 1;
    uint32_t code = lead & (0x3fu >> follow);
    static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
    if (lead < 0xc2 || lead > 0xf4 || (size_t)(reader->end - reader->at) <= follow) {
        return false;
    }
    for (size_t i = 1; i <= follow; i++) {
        const unsigned char byte = (unsigned char)reader->at[i];
        if ((byte & 0xc0) != 0x80) {
            return false;
        }
        code = code << 6 | (byte & 0x3f);
    }
    if (code < least[follow] || (code >= 0xd800 && code < 0xe000) || code > 0x10ffff) {
        return false;
    }
    reader->at += follow + 1;
    return true;
}

static bool json_string(json_reader *reader) {
    if (!json_take(reader, '"')) {
        return false;
    }
    while (reader->at < reader->end) {
        const unsigned char byte = (unsigned char)*reader->at;
        if (byte >= 0x80) {
            if (!json_utf8(reader)) {
                return false;
            }
        } else if (byte < 0x20) {
            return false;
        } else {
            reader->at++;
            if (byte == '"') {
                return true;
            }
            if (byte == '\\' && !json_escape(reader)) {
                return false;
            }
        }
    }
    return false;
}

static bool json_open(json_reader *reader, bool object) {
    if (reader->depth == HTT_JSON_DEPTH_MAX) {
        return false;
    }
    uint8_t *const byte = &reader->objects[reader->depth / 8];
    const uint8_t bit = (uint8_t)(1u << reader->depth % 8);
    *byte = (uint8_t)(object ? *byte | bit : *byte & ~bit);
    reader->depth++;
    reader->at++;
    reader->state = object ? JSON_FIRST_KEY : JSON_FIRST_ITEM;
    return true;
}

static bool json_in_object(const json_reader *reader) {
    assert(reader->depth > 0);
    const size_t top = reader->depth - 1;
    return (reader->objects[top / 8] >> top % 8 & 1) != 0;
}

static bool json_close(json_reader *reader) {
    if (!json_take(reader, json_in_object(reader) ? '}' : ']')) {
        return false;
    }
    reader->depth--;
    reader->state = JSON_AFTER;
    return true;
}

static void json_space(json_reader *reader) {
    while (json_take(reader, ' ') || json_take(reader, '\n') || json_take(reader, '\t') ||
           json_take(reader, '\r')) {
    }
}

static bool json_value(json_reader *reader) {
    reader->state = JSON_AFTER;
    switch (*reader->at) {
    case '{': return json_open(reader, true);
    case '[': return json_open(reader, false);
    case '"': return json_string(reader);
    case 't': return json_word(reader, "true");
    case 'f': return json_word(reader, "false");
    case 'n': return json_word(reader, "null");
    default: return json_number(reader);
    }
}

static bool json_key(json_reader *reader) {
    if (!json_string(reader)) {
        return false;
    }
    json_space(reader);
    reader->state = JSON_VALUE;
    return json_take(reader, ':');
}

static bool json_after(json_reader *reader) {
    if (reader->depth == 0) {
        return false; /* something behind the value */
    }
    if (json_take(reader, ',')) {
        reader->state = json_in_object(reader) ? JSON_KEY : JSON_VALUE;
        return true;
    }
    return json_close(reader);
}

/* What comes next; there is something. */
static bool json_step(json_reader *reader) {
    switch (reader->state) {
    case JSON_VALUE: return json_value(reader);
    case JSON_FIRST_ITEM: return *reader->at == ']' ? json_close(reader) : json_value(reader);
    case JSON_FIRST_KEY: return *reader->at == '}' ? json_close(reader) : json_key(reader);
    case JSON_KEY: return json_key(reader);
    case JSON_AFTER: break;
    }
    return json_after(reader);
}

bool htt_json_is_valid(const char *text, size_t size, size_t *at_out) {
    json_reader reader = {text, text + size, JSON_VALUE, 0, {0}};
    bool good = true;
    json_space(&reader);
    while (good && reader.at < reader.end) {
        good = json_step(&reader);
        if (good) {
            json_space(&reader);
        }
    }
    good = good && reader.state == JSON_AFTER && reader.depth == 0;
    if (at_out != NULL) {
        *at_out = (size_t)(reader.at - text);
    }
    return good;
}
