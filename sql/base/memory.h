/* SPDX-License-Identifier: MIT */
/*
 * Memory of this layer: all of it comes from here, so that a test can fail each allocation.
 */
#ifndef HTT_SQL_BASE_MEMORY_H
#define HTT_SQL_BASE_MEMORY_H

#include <stddef.h>

/* Called before each allocation; false: it fails. NULL: all are tried. For tests only. */
extern _Bool (*htt_memory_gate)(size_t size);

/* Zeroed; NULL when there is none. */
void *htt_memory_new(size_t size);
/* As realloc; `memory` stays as it was when NULL is given back. */
void *htt_memory_resize(void *memory, size_t size);
/* A copy with a zero byte behind it. */
void *htt_memory_copy(const void *data, size_t size);
char *htt_memory_text(const char *text);
/* NULL is allowed. */
void htt_memory_free(void *memory);

/*
 * Makes room for one more element behind `count` of them. False: no memory, nothing changed.
 * *elements is the array, *capacity what it has room for.
 */
_Bool htt_memory_grow(void **elements, size_t count, size_t *capacity, size_t element_size);

#endif
