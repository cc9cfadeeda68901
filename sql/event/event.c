/* SPDX-License-Identifier: MIT */
/*
 * Checks of arguments, and the id of an event.
 *
 *     0190b4a1-7c3e-7d21-9f0a-3c5b7e9d1f24      UUID, version 7
 *     \___________/ |\_/ \____________________ 2 bits 10, then 62 random bits
 *      ms since 1970 | \ 12 random bits
 *                    \ the version
 */
#include "sql/event/event.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "sql/base/memory.h"

size_t htt_event_length(const char *text) {
    size_t length = 0;
    for (; *text != '\0'; text++) {
        length += ((unsigned char)*text & 0xc0) != 0x80;
    }
    return length;
}

htt_rc htt_event_check_name(htt_db *db, const char *what, const char *text, size_t most) {
    if (db == NULL) {
        return HTT_MISUSE;
    }
    if (text == NULL || text[0] == '\0') {
        return htt_db_fail(db, HTT_MISUSE, "%s is %s: give it a text", what,
                           text == NULL ? "NULL" : "empty");
    }
    const size_t length = htt_event_length(text);
    return length <= most ? HTT_OK
                          : htt_db_fail(db, HTT_TOOBIG, "%s has %zu characters, %zu are allowed",
                                        what, length, most);
}

htt_rc htt_event_check_age(htt_db *db, const char *what, int64_t retention_ms) {
    if (db == NULL) {
        return HTT_MISUSE;
    }
    return retention_ms >= 0
               ? HTT_OK
               : htt_db_fail(db, HTT_MISUSE, "%s: retention_ms is %" PRId64 ": give it 0 or more",
                             what, retention_ms);
}

/* Has `text` at its start, and then nothing, or what ends the name of a type. */
static bool event_begins(const char *text, const char *start) {
    const size_t length = strlen(start);
    return strncasecmp(text, start, length) == 0 &&
           (text[length] == '\0' || text[length] == ';' || text[length] == ' ');
}

bool htt_event_is_json(const char *content_type) {
    if (event_begins(content_type, "application/json")) {
        return true;
    }
    for (const char *plus = strchr(content_type, '+'); plus != NULL; plus = strchr(plus + 1, '+')) {
        if (event_begins(plus, "+json")) {
            return true;
        }
    }
    return false;
}

void htt_event_uuid(htt_db *db, int64_t now, char uuid_out[EVENT_UUID_SIZE]) {
    const uint64_t high = db->platform.random64(db->platform.context);
    const uint64_t low = db->platform.random64(db->platform.context);
    const uint64_t time = (uint64_t)now & 0xffffffffffff;
    const int written =
        snprintf(uuid_out, EVENT_UUID_SIZE,
                 "%08" PRIx64 "-%04" PRIx64 "-7%03" PRIx64 "-%04" PRIx64 "-%012" PRIx64, time >> 16,
                 time & 0xffff, high & 0xfff, 0x8000 | (high >> 12 & 0x3fff), low & 0xffffffffffff);
    assert(written == EVENT_UUID_SIZE - 1);
    (void)written;
}

int64_t htt_event_chance(htt_db *db) {
    return (int64_t)(db->platform.random64(db->platform.context) % 1000);
}

/* ---------------------------------------------------------------- copies */

/* The texts of an event, to be copied. */
enum { EVENT_TEXTS = 7 };
static void event_texts(htt_event *event, const char **texts_out[EVENT_TEXTS]) {
    texts_out[0] = &event->id;
    texts_out[1] = &event->aggregate_type;
    texts_out[2] = &event->aggregate_id;
    texts_out[3] = &event->type;
    texts_out[4] = &event->content_type;
    texts_out[5] = &event->headers;
    texts_out[6] = &event->idempotency_key;
}

bool htt_event_copy(const htt_event *event, htt_event *event_out, void **memory_out) {
    htt_event copy = *event;
    const char **texts[EVENT_TEXTS];
    size_t size = copy.payload.size + 1;
    event_texts(&copy, texts);
    for (size_t i = 0; i < EVENT_TEXTS; i++) {
        size += *texts[i] == NULL ? 0 : strlen(*texts[i]) + 1;
    }
    char *const memory = htt_memory_new(size);
    if (memory == NULL) {
        return false;
    }
    char *at = memory;
    for (size_t i = 0; i < EVENT_TEXTS; i++) {
        if (*texts[i] != NULL) {
            const size_t length = strlen(*texts[i]) + 1;
            memcpy(at, *texts[i], length);
            *texts[i] = at;
            at += length;
        }
    }
    if (copy.payload.size > 0) {
        memcpy(at, copy.payload.data, copy.payload.size);
    }
    copy.payload.data = at;
    *event_out = copy;
    *memory_out = memory;
    return true;
}
