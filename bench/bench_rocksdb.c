/* SPDX-License-Identifier: MIT */
/*
 * A subject: RocksDB, as its documentation advises where keys are looked up one at a time:
 * OptimizeForPointLookup (Bloom filters, hash indexes in the blocks) with a block cache of the size
 * that SQLite gets, and background threads for as many processors as there are. Values are pinned,
 * not copied. A read transaction is a snapshot, a write transaction a WriteBatch; as a batch lies
 * in memory it is written every BENCH_BATCH rows, in a load too.
 *
 * Levels: FULL syncs its log, NORMAL and OFF do not. Inserts and deletes do not look whether the
 * key is there. It counts no rows.
 */
#include <rocksdb/c.h>
#include <stdlib.h>
#include <unistd.h>

#include "bench.h"

typedef struct rocks_state {
    const bench_config *config;         /* borrowed */
    rocksdb_t *db;                      /* open */
    rocksdb_options_t *options;         /* owned, as are the next two */
    rocksdb_readoptions_t *reading;     /* with the snapshot while a read transaction runs */
    rocksdb_writeoptions_t *writing;    /* sync or not */
    rocksdb_writebatch_t *batch;        /* rows of the write transaction; owned */
    const rocksdb_snapshot_t *snapshot; /* of the read transaction; NULL = none */
} rocks_state;

static void rocks_must(const char *error, const char *what) {
    if (error != NULL) {
        bench_fail("RocksDB: %s: %s", what, error);
    }
}

static void rocks_open(void *subject, const bench_config *config, bench_mode mode) {
    rocks_state *state = subject;
    char path[BENCH_PATH_SIZE];
    char *error = NULL;
    state->config = config;
    bench_path(config, "data", path);
    state->options = rocksdb_options_create();
    rocksdb_options_set_create_if_missing(state->options, 1);
    rocksdb_options_increase_parallelism(state->options, (int)sysconf(_SC_NPROCESSORS_ONLN));
    rocksdb_options_optimize_for_point_lookup(state->options, BENCH_CACHE_KIB / 1024);
    state->reading = rocksdb_readoptions_create();
    state->writing = rocksdb_writeoptions_create();
    rocksdb_writeoptions_set_sync(state->writing, mode.sync == HTT_SYNC_FULL);
    state->batch = rocksdb_writebatch_create();
    state->db = rocksdb_open(state->options, path, &error);
    rocks_must(error, "open");
}

static void rocks_close(void *subject) {
    rocks_state *state = subject;
    rocksdb_close(state->db);
    rocksdb_writebatch_destroy(state->batch);
    rocksdb_writeoptions_destroy(state->writing);
    rocksdb_readoptions_destroy(state->reading);
    rocksdb_options_destroy(state->options);
}

static void rocks_begin(void *subject, bool write) {
    rocks_state *state = subject;
    if (!write) {
        state->snapshot = rocksdb_create_snapshot(state->db);
        rocksdb_readoptions_set_snapshot(state->reading, state->snapshot);
    }
}

static void rocks_flush(rocks_state *state) {
    char *error = NULL;
    rocksdb_write(state->db, state->writing, state->batch, &error);
    rocks_must(error, "write");
    rocksdb_writebatch_clear(state->batch);
}

static void rocks_commit(void *subject) {
    rocks_state *state = subject;
    if (state->snapshot != NULL) {
        rocksdb_readoptions_set_snapshot(state->reading, NULL);
        rocksdb_release_snapshot(state->db, state->snapshot);
        state->snapshot = NULL;
    } else {
        rocks_flush(state);
    }
}

static bool rocks_get(void *subject, const uint8_t *key, uint8_t version) {
    const rocks_state *state = subject;
    const bench_dataset *dataset = &state->config->dataset;
    char *error = NULL;
    rocksdb_pinnableslice_t *slice =
        rocksdb_get_pinned(state->db, state->reading, (const char *)key, dataset->key_size, &error);
    rocks_must(error, "get");
    if (slice == NULL) {
        return version == BENCH_ABSENT;
    }
    size_t size = 0;
    const char *value = rocksdb_pinnableslice_value(slice, &size);
    const bool right =
        version != BENCH_ABSENT && bench_dataset_is_value(dataset, key, version, value, size);
    rocksdb_pinnableslice_destroy(slice);
    return right;
}

static bool rocks_get_many(void *subject, const uint8_t *keys, size_t count) {
    const rocks_state *state = subject;
    const bench_dataset *dataset = &state->config->dataset;
    const char *names[BENCH_BATCH] = {NULL};
    size_t name_sizes[BENCH_BATCH] = {0};
    char *values[BENCH_BATCH];
    size_t sizes[BENCH_BATCH];
    char *errors[BENCH_BATCH];
    bool right = true;
    for (size_t i = 0; i < count; i++) {
        names[i] = (const char *)keys + i * dataset->key_size;
        name_sizes[i] = dataset->key_size;
    }
    rocksdb_multi_get(state->db, state->reading, count, names, name_sizes, values, sizes, errors);
    for (size_t i = 0; i < count; i++) {
        rocks_must(errors[i], "multi_get");
        right &= values[i] != NULL &&
                 bench_dataset_is_value(dataset, (const uint8_t *)names[i], 0, values[i], sizes[i]);
        free(values[i]);
    }
    return right;
}

static void rocks_put(void *subject, const uint8_t *key, const uint8_t *value) {
    rocks_state *state = subject;
    const bench_dataset *dataset = &state->config->dataset;
    rocksdb_writebatch_put(state->batch, (const char *)key, dataset->key_size, (const char *)value,
                           dataset->value_size);
    if (rocksdb_writebatch_count(state->batch) == BENCH_BATCH) {
        rocks_flush(state);
    }
}

static void rocks_put_alone(void *subject, const uint8_t *key, const uint8_t *value) {
    const rocks_state *state = subject;
    const bench_dataset *dataset = &state->config->dataset;
    char *error = NULL;
    rocksdb_put(state->db, state->writing, (const char *)key, dataset->key_size,
                (const char *)value, dataset->value_size, &error);
    rocks_must(error, "put");
}

static void rocks_delete(void *subject, const uint8_t *key) {
    rocks_state *state = subject;
    rocksdb_writebatch_delete(state->batch, (const char *)key, state->config->dataset.key_size);
    if (rocksdb_writebatch_count(state->batch) == BENCH_BATCH) {
        rocks_flush(state);
    }
}

static bool rocks_scan(void *subject, bench_scan *scan_out) {
    const rocks_state *state = subject;
    const bench_dataset *dataset = &state->config->dataset;
    rocksdb_iterator_t *rows = rocksdb_create_iterator(state->db, state->reading);
    char *error = NULL;
    bool right = true;
    *scan_out = (bench_scan){0, 0};
    for (rocksdb_iter_seek_to_first(rows); rocksdb_iter_valid(rows) && right;
         rocksdb_iter_next(rows)) {
        size_t key_size = 0;
        size_t value_size = 0;
        const uint8_t *key = (const uint8_t *)rocksdb_iter_key(rows, &key_size);
        const char *value = rocksdb_iter_value(rows, &value_size);
        right = key_size == dataset->key_size &&
                bench_dataset_is_value(dataset, key, 0, value, value_size);
        if (right) {
            scan_out->rows++;
            scan_out->sum += bench_dataset_key_hash(dataset, key);
        }
    }
    rocksdb_iter_get_error(rows, &error);
    rocks_must(error, "iterator");
    rocksdb_iter_destroy(rows);
    return right;
}

static void rocks_settle(void *subject) {
    const rocks_state *state = subject;
    rocksdb_compact_range(state->db, NULL, 0, NULL, 0);
}

static const char *rocks_version(void) {
    return BENCH_ROCKSDB_VERSION; /* of the headers; the C interface does not tell its own */
}

const bench_subject bench_peer_rocksdb = {
    .id = "rocksdb",
    .title = "RocksDB",
    .setup = "OptimizeForPointLookup, block cache 256 MB, batches of 1000 rows",
    .group = BENCH_NATIVE,
    .blind = true,
    .state_size = sizeof(rocks_state),
    .syncs = BENCH_SYNC_ALL,
    .version = rocks_version,
    .open = rocks_open,
    .close = rocks_close,
    .begin = rocks_begin,
    .commit = rocks_commit,
    .get = rocks_get,
    .get_alone = rocks_get,
    .get_many = rocks_get_many,
    .insert = rocks_put,
    .put = rocks_put,
    .put_alone = rocks_put_alone,
    .update = rocks_put,
    .delete = rocks_delete,
    .scan = rocks_scan,
    .settle = rocks_settle,
};
