/* SPDX-License-Identifier: MIT */
/* Memory of this layer, over malloc. */
#include "sql/base/memory.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { MEMORY_FIRST = 8 }; /* elements that an array begins with */

bool (*htt_memory_gate)(size_t size);

static bool memory_is_refused(size_t size) {
    return htt_memory_gate != NULL && !htt_memory_gate(size);
}

void *htt_memory_new(size_t size) {
    return memory_is_refused(size) ? NULL : calloc(1, size == 0 ? 1 : size);
}

void *htt_memory_resize(void *memory, size_t size) {
    return memory_is_refused(size) ? NULL : realloc(memory, size == 0 ? 1 : size);
}

void *htt_memory_copy(const void *data, size_t size) {
    char *const copy = size == SIZE_MAX ? NULL : htt_memory_new(size + 1);
    if (copy != NULL && size > 0) {
        memcpy(copy, data, size);
    }
    return copy;
}

char *htt_memory_text(const char *text) {
    return htt_memory_copy(text, strlen(text));
}

void htt_memory_free(void *memory) {
    free(memory);
}

bool htt_memory_grow(void **elements, size_t count, size_t *capacity, size_t element_size) {
    if (count < *capacity) {
        return true;
    }
    const size_t wanted = *capacity == 0 ? MEMORY_FIRST : *capacity * 2;
    void *const grown = htt_memory_resize(*elements, wanted * element_size);
    if (grown == NULL) {
        return false;
    }
    *elements = grown;
    *capacity = wanted;
    return true;
}
