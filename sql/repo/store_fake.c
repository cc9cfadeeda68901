/* SPDX-License-Identifier: MIT */
/*
 * The store in memory: a table of the fake. Its rows, all numbers little-endian:
 *
 *   key     1       n
 *         +-------+----------------------------+
 *         | class | bytes as the key compares  |   see htt_canonical
 *         +-------+----------------------------+
 *
 *   value   8         1      8      n     1       for the key, then for each column
 *         +---------+------+------+-----+---+
 *         | version | type | size |bytes| 0 |  ...
 *         +---------+------+------+-----+---+
 *
 * The zero ends a text for C. The key stands in the value as it was written: 1.0 and 1 are one.
 */
#include <assert.h>
#include <string.h>

#include "sql/base/fake.h"
#include "sql/base/memory.h"
#include "sql/repo/repo.h"

enum { FAKE_HEAD = 8, FAKE_FIELD = 1 + 8 + 1 }; /* bytes of a version; of a field beside its own */

typedef struct fake_store {
    htt_db *db;             /* borrowed */
    const htt_shape *shape; /* borrowed */
    htt_fake_table *table;  /* borrowed */
    htt_datum *columns;     /* owned; of the row that was given last */
} fake_store;

static void fake_close(void *self) {
    fake_store *const store = self;
    htt_memory_free(store->columns);
    htt_memory_free(store);
}

htt_rc htt_store_fake_open(htt_db *db, const htt_shape *shape, void **store_out) {
    fake_store *const store = htt_memory_new(sizeof *store);
    if (store == NULL) {
        return htt_db_fail_memory(db);
    }
    store->db = db;
    store->shape = shape;
    store->columns = htt_memory_new(shape->column_count * sizeof *store->columns);
    const htt_rc rc = store->columns == NULL
                          ? htt_db_fail_memory(db)
                          : htt_fake_table_get(db->fake, shape->table, &store->table);
    if (rc != HTT_OK) {
        fake_close(store);
        return rc;
    }
    *store_out = store;
    return HTT_OK;
}

/* ---------------------------------------------------------------- bytes */

static uint8_t *fake_write_number(uint8_t *out, uint64_t number) {
    for (int i = 0; i < 8; i++) {
        *out++ = (uint8_t)(number >> 8 * i);
    }
    return out;
}

static uint64_t fake_read_number(const uint8_t *in) {
    uint64_t number = 0;
    for (int i = 0; i < 8; i++) {
        number |= (uint64_t)in[i] << 8 * i;
    }
    return number;
}

static uint8_t *fake_write_field(uint8_t *out, htt_datum field) {
    *out++ = field.type;
    out = fake_write_number(out, field.size);
    if (field.size > 0) {
        memcpy(out, field.data, field.size);
    }
    out += field.size;
    *out++ = 0;
    return out;
}

static const uint8_t *fake_read_field(const uint8_t *in, htt_datum *field_out) {
    const size_t size = (size_t)fake_read_number(in + 1);
    *field_out = htt_bytes(in + 9, size, (htt_type)in[0]);
    return in + FAKE_FIELD + size;
}

static void fake_read_row(fake_store *store, const htt_fake_row *found, htt_repo_row *row_out) {
    const uint8_t *in = found->value.data;
    row_out->version = (int64_t)fake_read_number(in);
    in = fake_read_field(in + FAKE_HEAD, &row_out->key);
    for (uint32_t i = 0; i < store->shape->column_count; i++) {
        in = fake_read_field(in, &store->columns[i]);
    }
    row_out->columns = store->columns;
}

/* The key's bytes in the table; *owned_out is freed by the caller. False: no memory. */
static bool fake_key(htt_datum key, htt_fake_bytes *bytes_out, uint8_t **owned_out) {
    htt_canonical canonical;
    htt_canonical_of(key, &canonical);
    uint8_t *const bytes = htt_memory_new(1 + canonical.bytes.size);
    if (bytes == NULL) {
        return false;
    }
    bytes[0] = canonical.klass;
    if (canonical.bytes.size > 0) {
        memcpy(bytes + 1, canonical.bytes.data, canonical.bytes.size);
    }
    *owned_out = bytes;
    *bytes_out = (htt_fake_bytes){bytes, 1 + canonical.bytes.size};
    return true;
}

/* ---------------------------------------------------------------- calls */

/* *row_out NULL: there is none. */
static htt_rc fake_lookup(fake_store *store, htt_datum key, const htt_fake_row **row_out) {
    htt_fake_bytes bytes;
    uint8_t *owned;
    if (!fake_key(key, &bytes, &owned)) {
        return htt_db_fail_memory(store->db);
    }
    *row_out = htt_fake_find(store->table, bytes);
    htt_memory_free(owned);
    return HTT_OK;
}

static htt_rc fake_find(void *self, htt_datum key, htt_repo_row *row_out) {
    fake_store *const store = self;
    const htt_fake_row *found = NULL;
    const htt_rc rc = fake_lookup(store, key, &found);
    if (rc != HTT_OK || found == NULL) {
        return rc == HTT_OK ? HTT_NOTFOUND : rc;
    }
    fake_read_row(store, found, row_out);
    return HTT_OK;
}

static htt_rc fake_contains(void *self, htt_datum key, bool *there_out) {
    const htt_fake_row *found = NULL;
    const htt_rc rc = fake_lookup(self, key, &found);
    if (rc == HTT_OK) {
        *there_out = found != NULL;
    }
    return rc;
}

static htt_rc fake_conflict(fake_store *store, int64_t expected, const htt_fake_row *found) {
    const int64_t stored = found == NULL ? 0 : (int64_t)fake_read_number(found->value.data);
    return htt_db_fail(store->db, HTT_CONFLICT, "version %lld is stored, %lld was expected",
                       (long long)stored, (long long)expected);
}

static htt_rc fake_write_bytes(fake_store *store, htt_fake_bytes key, const htt_repo_row *row,
                               int64_t version) {
    const uint32_t count = store->shape->column_count;
    size_t size = FAKE_HEAD + FAKE_FIELD * ((size_t)count + 1) + row->key.size;
    for (uint32_t i = 0; i < count; i++) {
        size += row->columns[i].size;
    }
    uint8_t *const bytes = htt_memory_new(size);
    if (bytes == NULL) {
        return htt_db_fail_memory(store->db);
    }
    uint8_t *out = fake_write_number(bytes, (uint64_t)version);
    out = fake_write_field(out, row->key);
    for (uint32_t i = 0; i < count; i++) {
        out = fake_write_field(out, row->columns[i]);
    }
    assert(out == bytes + size);
    const htt_rc rc = htt_fake_put(store->table, key, (htt_fake_bytes){bytes, size});
    htt_memory_free(bytes);
    return rc;
}

static htt_rc fake_write(void *self, const htt_repo_row *row, htt_repo_write how) {
    fake_store *const store = self;
    htt_fake_bytes key;
    uint8_t *owned;
    htt_rc rc = HTT_OK;
    if (!fake_key(row->key, &key, &owned)) {
        return htt_db_fail_memory(store->db);
    }
    const htt_fake_row *const found = htt_fake_find(store->table, key);
    const int64_t stored = found == NULL ? 0 : (int64_t)fake_read_number(found->value.data);
    if (how == HTT_REPO_WRITE_ADD && found != NULL) {
        rc = htt_db_fail(store->db, HTT_EXISTS, "the key is already there");
    } else if (how == HTT_REPO_WRITE_EXPECT && stored != row->version) {
        rc = fake_conflict(store, row->version, found);
    } else {
        const int64_t version = store->shape->version_column == NULL ? 0 : stored + 1;
        rc = fake_write_bytes(store, key, row, version);
    }
    htt_memory_free(owned);
    return rc;
}

static htt_rc fake_remove(void *self, htt_datum key, const int64_t *expected) {
    fake_store *const store = self;
    htt_fake_bytes bytes;
    uint8_t *owned;
    htt_rc rc;
    if (!fake_key(key, &bytes, &owned)) {
        return htt_db_fail_memory(store->db);
    }
    const htt_fake_row *const found = htt_fake_find(store->table, bytes);
    const int64_t stored = found == NULL ? 0 : (int64_t)fake_read_number(found->value.data);
    if (expected != NULL && stored != *expected) {
        rc = fake_conflict(store, *expected, found);
    } else {
        rc = htt_fake_remove(store->table, bytes);
    }
    htt_memory_free(owned);
    return rc;
}

static htt_rc fake_count(void *self, int64_t *count_out) {
    const fake_store *const store = self;
    *count_out = (int64_t)htt_fake_count(store->table);
    return HTT_OK;
}

static htt_rc fake_scan(void *self, const htt_datum *prefix, htt_repo_scan *scan, void *arg) {
    fake_store *const store = self;
    htt_fake_bytes from = {NULL, 0};
    htt_fake_row last = {0}; /* the key of the row that was visited last, owned */
    uint8_t *owned = NULL;
    htt_rc rc = HTT_OK;
    if (prefix != NULL && !fake_key(*prefix, &from, &owned)) {
        return htt_db_fail_memory(store->db);
    }
    /* A visit may roll its unit back: then the row that it was given is gone. */
    for (const htt_fake_row *at = htt_fake_first(store->table, from); at != NULL && rc == HTT_OK;
         at = htt_fake_next(store->table, &last)) {
        htt_repo_row row;
        if (from.size > 0 &&
            (at->key.size < from.size || memcmp(at->key.data, from.data, from.size) != 0)) {
            break;
        }
        htt_memory_free((void *)last.key.data);
        last.key = (htt_fake_bytes){htt_memory_copy(at->key.data, at->key.size), at->key.size};
        if (last.key.data == NULL) {
            rc = htt_db_fail_memory(store->db);
            break;
        }
        fake_read_row(store, at, &row);
        rc = scan(arg, &row);
    }
    htt_memory_free((void *)last.key.data);
    htt_memory_free(owned);
    return rc;
}

const htt_repo_methods htt_store_fake_methods = {
    .capabilities = HTT_REPO_CAN_PREFIX,
    .find = fake_find,
    .contains = fake_contains,
    .write = fake_write,
    .remove = fake_remove,
    .count = fake_count,
    .scan = fake_scan,
    .done = NULL,
    .close = fake_close,
};
