/* SPDX-License-Identifier: MIT */
/*
 * The keys that a query asks for, under the key column's affinity, each once.
 */
#include "key_list.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_LIST_KEPT = 4096 }; /* keys; room for more is given back */

static int key_list_copy(htt_key_list *list, htt_datum key) {
    if (list->count == list->capacity) {
        const size_t capacity = list->capacity == 0 ? 1 : list->capacity * 4;
        htt_datum *const keys = sqlite3_realloc64(list->keys, capacity * sizeof keys[0]);
        if (keys == NULL) {
            return SQLITE_NOMEM;
        }
        list->keys = keys;
        list->capacity = capacity;
    }
    const int rc = htt_buffer_reserve(&list->bytes, list->used + key.size);
    if (rc != SQLITE_OK) {
        return rc;
    }
    if (key.size > 0) {
        memcpy(list->bytes.bytes + list->used, key.data, key.size);
    }
    list->used += key.size;
    /* Where the bytes are is known when the buffer has stopped growing. */
    list->keys[list->count++] = htt_bytes(NULL, key.size, (htt_type)key.type);
    return SQLITE_OK;
}

static int key_list_add(htt_key_list *list, sqlite3_value *value) {
    htt_surrogate_texts texts = {NULL};
    htt_cell cell;
    int rc = htt_affinity_key(value, list->affinity, &texts, &cell);
    if (rc == SQLITE_OK && cell.datum.type != HTT_NULL) {
        rc = key_list_copy(list, cell.datum);
    }
    htt_surrogate_free(&texts);
    return rc;
}

/* A REAL column is compared as NUMERIC: an integer that no real equals finds nothing. */
static void key_list_begin(htt_key_list *list, htt_affinity affinity) {
    list->count = 0;
    list->used = 0;
    list->affinity = affinity == HTT_AFFINITY_REAL ? HTT_AFFINITY_NUMERIC : affinity;
    list->loose = affinity == HTT_AFFINITY_BLOB || affinity == HTT_AFFINITY_REAL;
}

static void key_list_place(htt_key_list *list) {
    size_t offset = 0;
    for (size_t i = 0; i < list->count; i++) {
        list->keys[i].data = list->bytes.bytes + offset;
        offset += list->keys[i].size;
    }
    assert(offset == list->used);
}

static int key_list_compare(const void *left, const void *right) {
    const htt_datum *const a = left;
    const htt_datum *const b = right;
    if (a->type != b->type) {
        return a->type < b->type ? -1 : 1;
    }
    if (a->size != b->size) {
        return a->size < b->size ? -1 : 1;
    }
    return a->size == 0 ? 0 : memcmp(a->data, b->data, a->size);
}

/* SQLite's list has no duplicates, but a number and a text may become the same text. */
static void key_list_unite(htt_key_list *list) {
    size_t kept = 0;
    if (list->affinity != HTT_AFFINITY_TEXT || list->count < 2) {
        return;
    }
    qsort(list->keys, list->count, sizeof list->keys[0], key_list_compare);
    for (size_t i = 0; i < list->count; i++) {
        if (kept == 0 || key_list_compare(&list->keys[kept - 1], &list->keys[i]) != 0) {
            list->keys[kept++] = list->keys[i];
        }
    }
    list->count = kept;
}

int htt_key_list_read_one(htt_key_list *list, sqlite3_value *value, htt_affinity affinity) {
    key_list_begin(list, affinity);
    const int rc = key_list_add(list, value);
    key_list_place(list);
    return rc;
}

int htt_key_list_read_all(htt_key_list *list, sqlite3_value *values, htt_affinity affinity) {
    sqlite3_value *value = NULL;
    key_list_begin(list, affinity);
    int rc = sqlite3_vtab_in_first(values, &value);
    while (rc == SQLITE_OK) {
        rc = key_list_add(list, value);
        rc = rc == SQLITE_OK ? sqlite3_vtab_in_next(values, &value) : rc;
    }
    key_list_place(list);
    key_list_unite(list);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

void htt_key_list_clear(htt_key_list *list) {
    sqlite3_free(list->keys);
    htt_buffer_clear(&list->bytes);
    *list = (htt_key_list){0};
}

void htt_key_list_trim(htt_key_list *list) {
    if (list->capacity > KEY_LIST_KEPT) {
        htt_key_list_clear(list);
    }
    htt_buffer_trim(&list->bytes);
}

bool htt_key_list_is_loose(const htt_key_list *list, htt_datum key) {
    int64_t integer;
    double real;
    bool is_real;
    if (key.type == HTT_TEXT || key.type == HTT_BLOB) {
        return false;
    }
    if (htt_key_number(key, &is_real, &integer, &real) != HTT_OK || key.type == HTT_REAL) {
        return false;
    }
    return list->loose || integer == INT64_MIN; /* see affinity.c for the least int64 */
}
