/* SPDX-License-Identifier: MIT */
/*
 * Arrays that grow, and runs of page numbers in them. Memory comes from the env; sorting needs
 * none, since it happens where nothing may fail.
 */
#include <assert.h>

#include "base/error.h"
#include "pager/writer_internal.h"

enum { LIST_CAPACITY_MIN = 16, LIST_ITEM_MAX = 64 };

htt_rc htt_writer_no_memory(htt_error *error) {
    return htt_error_set(error, HTT_NOMEM, "no memory for the pages of a write transaction");
}

bool htt_list_fit(const htt_writer *writer, htt_list *list, size_t item_size, uint64_t extra) {
    const htt_env *env = writer->options.env;
    uint64_t needed = list->count + extra;
    uint64_t capacity = 2 * (uint64_t)list->capacity;
    void *items;

    assert(list->count <= list->capacity);
    if (needed <= list->capacity)
        return true;
    if (capacity < needed)
        capacity = needed;
    if (capacity < LIST_CAPACITY_MIN)
        capacity = LIST_CAPACITY_MIN;
    if (capacity > UINT32_MAX)
        capacity = UINT32_MAX;
    if (needed > capacity)
        return false;
    items = env->reallocate(env->context, list->items, (size_t)capacity * item_size);
    if (items == NULL)
        return false;
    list->items = items;
    list->capacity = (uint32_t)capacity;
    assert(list->capacity >= needed);
    return true;
}

void htt_list_free(const htt_writer *writer, htt_list *list) {
    const htt_env *env = writer->options.env;

    if (list->items != NULL)
        env->release(env->context, list->items);
    memset(list, 0, sizeof *list);
}

/* Lets the item at `at` sink to its place in the heap of `count` items. */
static void list_sink(uint8_t *items, size_t at, size_t count, size_t item_size,
                      bool (*is_less)(const void *left, const void *right)) {
    uint8_t item[LIST_ITEM_MAX];

    assert(at < count);
    memcpy(item, items + at * item_size, item_size);
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= count)
            break;
        if (child + 1 < count &&
            is_less(items + child * item_size, items + (child + 1) * item_size))
            child++;
        if (!is_less(item, items + child * item_size))
            break;
        memcpy(items + at * item_size, items + child * item_size, item_size);
        at = child;
    }
    memcpy(items + at * item_size, item, item_size);
}

static bool list_is_sorted(const uint8_t *items, size_t count, size_t item_size,
                           bool (*is_less)(const void *left, const void *right)) {
    for (size_t i = 1; i < count; i++) {
        if (is_less(items + i * item_size, items + (i - 1) * item_size))
            return false;
    }
    return true;
}

void htt_list_sort(void *items, size_t count, size_t item_size,
                   bool (*is_less)(const void *left, const void *right)) {
    uint8_t *bytes = items;

    assert(item_size <= LIST_ITEM_MAX);
    if (list_is_sorted(bytes, count, item_size, is_less))
        return;
    for (size_t i = count / 2; i > 0; i--)
        list_sink(bytes, i - 1, count, item_size, is_less);
    for (size_t i = count - 1; i > 0; i--) {
        uint8_t item[LIST_ITEM_MAX];
        memcpy(item, bytes, item_size);
        memcpy(bytes, bytes + i * item_size, item_size);
        memcpy(bytes + i * item_size, item, item_size);
        list_sink(bytes, 0, i, item_size, is_less);
    }
}

static bool runs_is_less(const void *left, const void *right) {
    return ((const htt_run_ref *)left)->first < ((const htt_run_ref *)right)->first;
}

uint32_t htt_runs_compact(htt_run_ref *runs, uint32_t count) {
    uint32_t kept = 0;

    if (count == 0)
        return 0;
    htt_list_sort(runs, count, sizeof *runs, runs_is_less);
    for (uint32_t i = 1; i < count; i++) {
        uint64_t end = (uint64_t)runs[kept].first + runs[kept].pages;
        uint64_t next_end = (uint64_t)runs[i].first + runs[i].pages;
        if (runs[i].first > end) {
            runs[++kept] = runs[i];
        } else if (next_end > end) {
            runs[kept].pages = (uint32_t)(next_end - runs[kept].first);
        }
    }
    assert(kept < count);
    return kept + 1;
}

void htt_runs_append(htt_list *runs, uint32_t begin, uint32_t first, uint32_t pages) {
    htt_run_ref *items = runs->items;

    assert(pages >= 1);
    if (runs->count > begin) {
        htt_run_ref *last = &items[runs->count - 1];
        if (last->first + last->pages == first && last->pages <= UINT32_MAX - pages) {
            last->pages += pages;
            return;
        }
    }
    assert(runs->count < runs->capacity);
    items[runs->count].first = first;
    items[runs->count].pages = pages;
    runs->count++;
}
