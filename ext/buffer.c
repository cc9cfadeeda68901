/* SPDX-License-Identifier: MIT */
/*
 * A buffer that grows.
 */
#include "buffer.h"

#include <assert.h>

#include "api.h"

enum { BUFFER_KEPT = 1 << 20 }; /* bytes; more is given back */

int htt_buffer_reserve(htt_buffer *buffer, size_t size) {
    if (size <= buffer->size && buffer->bytes != NULL) {
        return SQLITE_OK;
    }
    size_t room = size < 64 ? 64 : size;
    if (room < buffer->size * 2 && room < BUFFER_KEPT) {
        room = buffer->size * 2;
    }
    uint8_t *const bytes = sqlite3_realloc64(buffer->bytes, room);
    if (bytes == NULL) {
        return SQLITE_NOMEM;
    }
    buffer->bytes = bytes;
    buffer->size = room;
    assert(buffer->size >= size);
    return SQLITE_OK;
}

void htt_buffer_trim(htt_buffer *buffer) {
    if (buffer->size > BUFFER_KEPT) {
        htt_buffer_clear(buffer);
    }
}

void htt_buffer_clear(htt_buffer *buffer) {
    sqlite3_free(buffer->bytes);
    *buffer = (htt_buffer){0};
}
