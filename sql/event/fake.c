/* SPDX-License-Identifier: MIT */
/* Rows of columns in the fake's tables; see fake.h. */
#include "sql/event/fake.h"

#include <assert.h>
#include <string.h>

#include "sql/base/memory.h"

void htt_fake_add_integer(htt_fake_columns *row, int64_t number) {
    assert(row->count < FAKE_COLUMNS_MAX);
    row->columns[row->count] = htt_integer(number, row->scratch[row->count]);
    row->count++;
}

void htt_fake_add_text(htt_fake_columns *row, const char *text) {
    htt_fake_add_datum(row,
                       text == NULL ? htt_null() : htt_bytes(text, strlen(text) + 1, HTT_TEXT));
}

void htt_fake_add_datum(htt_fake_columns *row, htt_datum datum) {
    assert(row->count < FAKE_COLUMNS_MAX);
    row->columns[row->count++] = datum;
}

void htt_fake_read(const htt_fake_row *row, htt_fake_columns *columns_out) {
    htt_row reader;
    htt_rc rc = htt_row_open(htt_bytes(row->value.data, row->value.size, HTT_ROW), &reader);
    columns_out->count = reader.count;
    for (uint32_t i = 0; rc == HTT_OK && i < reader.count; i++) {
        assert(i < FAKE_COLUMNS_MAX);
        rc = htt_row_column(&reader, i, &columns_out->columns[i]);
    }
    assert(rc == HTT_OK); /* nobody else writes there */
    (void)rc;
}

int64_t htt_fake_integer(const htt_fake_columns *row, uint32_t index) {
    int64_t number = 0;
    assert(index < row->count);
    if (row->columns[index].type == HTT_NULL) {
        return 0;
    }
    const htt_rc rc = htt_value_integer(row->columns[index], &number);
    assert(rc == HTT_OK);
    (void)rc;
    return number;
}

const char *htt_fake_text(const htt_fake_columns *row, uint32_t index) {
    assert(index < row->count);
    return row->columns[index].type == HTT_NULL ? NULL : row->columns[index].data;
}

/* ------------------------------------------------------------------ keys */

/* The key in memory of its own: `first`, and when `second` is there a zero byte and that. */
static char *fake_key(htt_db *db, const char *first, htt_fake_bytes second, size_t *size_out) {
    const size_t length = strlen(first);
    char *const key = htt_memory_new(length + 1 + second.size);
    if (key == NULL) {
        (void)htt_db_fail_memory(db);
        return NULL;
    }
    memcpy(key, first, length);
    if (second.data != NULL) {
        memcpy(key + length + 1, second.data, second.size);
    }
    *size_out = second.data == NULL ? length : length + 1 + second.size;
    return key;
}

htt_rc htt_fake_write(htt_db *db, const char *table, const char *first, htt_fake_bytes second,
                      const htt_fake_columns *row) {
    htt_fake_table *rows;
    size_t key_size;
    htt_rc rc = htt_fake_table_get(db->fake, table, &rows);
    if (rc != HTT_OK) {
        return rc;
    }
    const size_t size = htt_row_size(row->columns, row->count);
    uint8_t *const value = htt_memory_new(size);
    char *const key = value == NULL ? NULL : fake_key(db, first, second, &key_size);
    if (key == NULL) {
        rc = htt_db_fail_memory(db);
    } else {
        htt_row_encode(row->columns, row->count, value);
        rc = htt_fake_put(rows, (htt_fake_bytes){key, key_size}, (htt_fake_bytes){value, size});
    }
    htt_memory_free(key);
    htt_memory_free(value);
    return rc;
}

htt_rc htt_fake_read_key(htt_db *db, const char *table, const char *first, htt_fake_bytes second,
                         const htt_fake_row **found_out) {
    htt_fake_table *rows;
    size_t key_size;
    const htt_rc rc = htt_fake_table_get(db->fake, table, &rows);
    if (rc != HTT_OK) {
        return rc;
    }
    char *const key = fake_key(db, first, second, &key_size);
    if (key == NULL) {
        return HTT_NOMEM;
    }
    *found_out = htt_fake_find(rows, (htt_fake_bytes){key, key_size});
    htt_memory_free(key);
    return HTT_OK;
}

htt_rc htt_fake_delete_key(htt_db *db, const char *table, const char *first,
                           htt_fake_bytes second) {
    htt_fake_table *rows;
    size_t key_size;
    htt_rc rc = htt_fake_table_get(db->fake, table, &rows);
    if (rc != HTT_OK) {
        return rc;
    }
    char *const key = fake_key(db, first, second, &key_size);
    if (key == NULL) {
        return HTT_NOMEM;
    }
    rc = htt_fake_remove(rows, (htt_fake_bytes){key, key_size});
    htt_memory_free(key);
    return rc;
}
