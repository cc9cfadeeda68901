/* SPDX-License-Identifier: MIT */
/*
 * The fake's tables: sorted arrays of rows, and a log of what each change took the place of.
 *
 * A row is never changed: a put makes a new one, and the old one moves into the log. Undoing goes
 * backwards through the log, so each table passes through the sizes that it had, and needs no
 * memory for it: arrays do not shrink.
 */
#include "sql/base/fake.h"

#include <assert.h>
#include <string.h>

#include "sql/base/memory.h"

struct htt_fake_table {
    htt_fake_table *next; /* of the fake */
    htt_fake *fake;       /* whose */
    char *name;           /* owned */
    htt_fake_row **rows;  /* owned, by key */
    size_t count;         /* of rows */
    size_t capacity;      /* of the array */
};

/* A change: before NULL = an insert, after NULL = a removal. */
typedef struct fake_change {
    htt_fake_table *table; /* where */
    htt_fake_row *before;  /* owned by the log */
    htt_fake_row *after;   /* of the table, or of a later change */
} fake_change;

struct htt_fake {
    htt_db *db;             /* borrowed */
    htt_fake_table *tables; /* owned list */
    fake_change *log;       /* owned */
    size_t length;          /* of the log */
    size_t capacity;        /* of the log's array */
};

htt_fake *htt_fake_new(htt_db *db) {
    htt_fake *const fake = htt_memory_new(sizeof *fake);
    if (fake != NULL) {
        fake->db = db;
    }
    return fake;
}

static void fake_free_table(htt_fake_table *table) {
    for (size_t i = 0; i < table->count; i++) {
        htt_memory_free(table->rows[i]);
    }
    htt_memory_free(table->rows);
    htt_memory_free(table->name);
    htt_memory_free(table);
}

void htt_fake_free(htt_fake *fake) {
    if (fake == NULL) {
        return;
    }
    htt_fake_commit(fake);
    while (fake->tables != NULL) {
        htt_fake_table *const table = fake->tables;
        fake->tables = table->next;
        fake_free_table(table);
    }
    htt_memory_free(fake->log);
    htt_memory_free(fake);
}

htt_rc htt_fake_table_get(htt_fake *fake, const char *name, htt_fake_table **table_out) {
    for (htt_fake_table *table = fake->tables; table != NULL; table = table->next) {
        if (strcmp(table->name, name) == 0) {
            *table_out = table;
            return HTT_OK;
        }
    }
    htt_fake_table *const made = htt_memory_new(sizeof *made);
    char *const copy = made == NULL ? NULL : htt_memory_text(name);
    if (copy == NULL) {
        htt_memory_free(made);
        return htt_db_fail_memory(fake->db);
    }
    made->fake = fake;
    made->name = copy;
    made->next = fake->tables;
    fake->tables = made;
    *table_out = made;
    return HTT_OK;
}

/* ----------------------------------------------------------------- rows */

static int fake_compare(htt_fake_bytes a, htt_fake_bytes b) {
    const size_t shared = a.size < b.size ? a.size : b.size;
    const int order = shared == 0 ? 0 : memcmp(a.data, b.data, shared);
    return order != 0 ? order : (a.size > b.size) - (a.size < b.size);
}

/* The index of the first row whose key is not less. */
static size_t fake_search(const htt_fake_table *table, htt_fake_bytes key, bool *found_out) {
    size_t low = 0;
    size_t high = table->count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (fake_compare(table->rows[middle]->key, key) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    *found_out = low < table->count && fake_compare(table->rows[low]->key, key) == 0;
    return low;
}

static htt_fake_row *fake_make_row(htt_fake_bytes key, htt_fake_bytes value) {
    htt_fake_row *const row = htt_memory_new(sizeof *row + key.size + value.size);
    if (row == NULL) {
        return NULL;
    }
    uint8_t *const bytes = (uint8_t *)(row + 1);
    if (key.size > 0) {
        memcpy(bytes, key.data, key.size);
    }
    if (value.size > 0) {
        memcpy(bytes + key.size, value.data, value.size);
    }
    row->key = (htt_fake_bytes){bytes, key.size};
    row->value = (htt_fake_bytes){bytes + key.size, value.size};
    return row;
}

static void fake_insert_at(htt_fake_table *table, size_t at, htt_fake_row *row) {
    assert(table->count < table->capacity);
    memmove(table->rows + at + 1, table->rows + at, (table->count - at) * sizeof *table->rows);
    table->rows[at] = row;
    table->count++;
}

static void fake_remove_at(htt_fake_table *table, size_t at) {
    table->count--;
    memmove(table->rows + at, table->rows + at + 1, (table->count - at) * sizeof *table->rows);
}

size_t htt_fake_count(const htt_fake_table *table) {
    return table->count;
}

const htt_fake_row *htt_fake_find(const htt_fake_table *table, htt_fake_bytes key) {
    bool found;
    const size_t at = fake_search(table, key, &found);
    return found ? table->rows[at] : NULL;
}

/* Room for one more change, so that noting it cannot fail. */
static bool fake_reserve(htt_fake *fake) {
    void *log = fake->log;
    const bool good = htt_memory_grow(&log, fake->length, &fake->capacity, sizeof *fake->log);
    fake->log = log;
    return good;
}

static void fake_note(htt_fake_table *table, htt_fake_row *before, htt_fake_row *after) {
    htt_fake *const fake = table->fake;
    fake->log[fake->length++] = (fake_change){table, before, after};
    if (fake->db->depth == 0) {
        htt_fake_commit(fake);
    }
}

htt_rc htt_fake_put(htt_fake_table *table, htt_fake_bytes key, htt_fake_bytes value) {
    bool found;
    const size_t at = fake_search(table, key, &found);
    void *rows = table->rows;
    htt_fake_row *const row = fake_make_row(key, value);
    if (row == NULL || !fake_reserve(table->fake) ||
        !htt_memory_grow(&rows, table->count, &table->capacity, sizeof *table->rows)) {
        htt_memory_free(row);
        return htt_db_fail_memory(table->fake->db);
    }
    table->rows = rows;
    htt_fake_row *const before = found ? table->rows[at] : NULL;
    if (found) {
        table->rows[at] = row;
    } else {
        fake_insert_at(table, at, row);
    }
    fake_note(table, before, row);
    return HTT_OK;
}

htt_rc htt_fake_remove(htt_fake_table *table, htt_fake_bytes key) {
    bool found;
    const size_t at = fake_search(table, key, &found);
    if (!found) {
        return HTT_NOTFOUND;
    }
    if (!fake_reserve(table->fake)) {
        return htt_db_fail_memory(table->fake->db);
    }
    htt_fake_row *const before = table->rows[at];
    fake_remove_at(table, at);
    fake_note(table, before, NULL);
    return HTT_OK;
}

/* ---------------------------------------------------------------- order */

static const htt_fake_row *fake_row_at(const htt_fake_table *table, size_t at) {
    return at < table->count ? table->rows[at] : NULL;
}

const htt_fake_row *htt_fake_first(const htt_fake_table *table, htt_fake_bytes from) {
    bool found;
    return fake_row_at(table, fake_search(table, from, &found));
}

const htt_fake_row *htt_fake_next(const htt_fake_table *table, const htt_fake_row *row) {
    bool found;
    const size_t at = fake_search(table, row->key, &found);
    return fake_row_at(table, found ? at + 1 : at);
}

const htt_fake_row *htt_fake_last(const htt_fake_table *table) {
    return table->count == 0 ? NULL : table->rows[table->count - 1];
}

void htt_fake_number(int64_t number, uint8_t bytes_out[8]) {
    const uint64_t flipped = (uint64_t)number ^ (UINT64_C(1) << 63); /* negative ones first */
    for (int i = 0; i < 8; i++) {
        bytes_out[i] = (uint8_t)(flipped >> (56 - 8 * i));
    }
}

int64_t htt_fake_number_back(const uint8_t bytes[8]) {
    uint64_t flipped = 0;
    for (int i = 0; i < 8; i++) {
        flipped = flipped << 8 | bytes[i];
    }
    return (int64_t)(flipped ^ (UINT64_C(1) << 63));
}

/* ----------------------------------------------------------------- undo */

size_t htt_fake_mark(const htt_fake *fake) {
    return fake->length;
}

void htt_fake_undo(htt_fake *fake, size_t mark) {
    assert(mark <= fake->length);
    while (fake->length > mark) {
        const fake_change *const change = &fake->log[--fake->length];
        htt_fake_table *const table = change->table;
        bool found;
        const size_t at = fake_search(
            table, change->before != NULL ? change->before->key : change->after->key, &found);
        assert(found == (change->after != NULL));
        if (change->before == NULL) {
            fake_remove_at(table, at);
        } else if (found) {
            table->rows[at] = change->before;
        } else {
            fake_insert_at(table, at, change->before);
        }
        htt_memory_free(change->after);
    }
}

void htt_fake_commit(htt_fake *fake) {
    while (fake->length > 0) {
        htt_memory_free(fake->log[--fake->length].before);
    }
}
