/* SPDX-License-Identifier: MIT */
/*
 * A buffer that grows. Small ones are kept for the next row, large ones given back.
 */
#ifndef HTT_EXT_BUFFER_H
#define HTT_EXT_BUFFER_H

#include <stddef.h>
#include <stdint.h>

typedef struct htt_buffer {
    uint8_t *bytes; /* owned, NULL = none yet */
    size_t size;    /* bytes that there is room for */
} htt_buffer;

/* Room for `size` bytes; what was in it is kept. SQLITE_OK or SQLITE_NOMEM. */
int htt_buffer_reserve(htt_buffer *buffer, size_t size);

/* Gives the memory back if it is much. */
void htt_buffer_trim(htt_buffer *buffer);
void htt_buffer_clear(htt_buffer *buffer);

#endif
