/* SPDX-License-Identifier: MIT */
/* Short forms of files: see test_sparse.h. */
#include "support/test_sparse.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/le.h"

#define SPARSE_HEAD 4u
#define SPARSE_GAP 12u /* fewer zeros are not worth a chunk */
#define SPARSE_MAX 65535u

static uint8_t *sparse_memory(size_t size) {
    uint8_t *memory = calloc(1, size > 0 ? size : 1);
    if (memory == NULL) {
        fprintf(stderr, "sparse: no memory\n");
        abort();
    }
    return memory;
}

uint8_t *sparse_decode(const uint8_t *input, size_t input_size, size_t size_max, size_t *size_out) {
    uint8_t *bytes = sparse_memory(size_max);
    size_t size = 0;
    for (size_t at = 0; at + SPARSE_HEAD <= input_size;) {
        const size_t skip = le16_get(input + at);
        size_t length = le16_get(input + at + 2);
        at += SPARSE_HEAD;
        if (length > input_size - at) {
            length = input_size - at;
        }
        if (skip + length > size_max - size) {
            break;
        }
        if (length > 0) {
            memcpy(bytes + size + skip, input + at, length);
        }
        size += skip + length;
        at += length;
    }
    uint8_t *exact = sparse_memory(size); /* so that AddressSanitizer knows its end */
    if (size > 0) {
        memcpy(exact, bytes, size);
    }
    free(bytes);
    *size_out = size;
    return exact;
}

/* Zeros from `at` on. */
static size_t sparse_zeros(const uint8_t *bytes, size_t size, size_t at) {
    size_t end = at;
    while (end < size && bytes[end] == 0) {
        end++;
    }
    return end - at;
}

uint8_t *sparse_encode(const uint8_t *bytes, size_t size, size_t *input_size_out) {
    uint8_t *input = sparse_memory(2 * size + 2 * SPARSE_HEAD);
    size_t used = 0;
    for (size_t at = 0; at < size;) {
        const size_t zeros = sparse_zeros(bytes, size, at);
        const size_t skip = zeros < SPARSE_MAX ? zeros : SPARSE_MAX;
        size_t length = 0;
        at += skip;
        while (at + length < size && length < SPARSE_MAX) {
            const size_t gap = sparse_zeros(bytes, size, at + length);
            if (gap >= SPARSE_GAP || at + length + gap == size) {
                break;
            }
            length += gap > 0 ? gap : 1;
        }
        length = length < SPARSE_MAX ? length : SPARSE_MAX;
        le16_put(input + used, (uint16_t)skip);
        le16_put(input + used + 2, (uint16_t)length);
        memcpy(input + used + SPARSE_HEAD, bytes + at, length);
        used += SPARSE_HEAD + length;
        at += length;
    }
    *input_size_out = used;
    return input;
}
