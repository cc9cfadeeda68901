/* SPDX-License-Identifier: MIT */
/*
 * A subject: LevelDB, as its documentation (doc/index.md, "Performance") advises: a Bloom filter of
 * 10 bits a key for random reads, a block cache, here of the size that SQLite gets. A read
 * transaction is a snapshot, a write transaction a WriteBatch; as a batch lies in memory it is
 * written every BENCH_BATCH rows, in a load too.
 *
 * Levels: FULL syncs its log, NORMAL and OFF do not. Inserts and deletes do not look whether the
 * key is there. It counts no rows.
 */
#include <leveldb/c.h>
#include <stdio.h>

#include "bench.h"

typedef struct level_state {
    const bench_config *config;         /* borrowed */
    leveldb_t *db;                      /* open */
    leveldb_options_t *options;         /* owned, as are the next five */
    leveldb_filterpolicy_t *filter;     /* Bloom */
    leveldb_cache_t *cache;             /* of blocks */
    leveldb_readoptions_t *reading;     /* with the snapshot while a read transaction runs */
    leveldb_writeoptions_t *writing;    /* sync or not */
    leveldb_writebatch_t *batch;        /* rows of the write transaction */
    const leveldb_snapshot_t *snapshot; /* of the read transaction; NULL = none */
    int batch_rows;                     /* in the batch */
} level_state;

static void level_must(const char *error, const char *what) {
    if (error != NULL) {
        bench_fail("LevelDB: %s: %s", what, error);
    }
}

static void level_open(void *subject, const bench_config *config, bench_mode mode) {
    level_state *state = subject;
    char path[BENCH_PATH_SIZE];
    char *error = NULL;
    state->config = config;
    bench_path(config, "data", path);
    state->options = leveldb_options_create();
    state->filter = leveldb_filterpolicy_create_bloom(10);
    state->cache = leveldb_cache_create_lru((size_t)BENCH_CACHE_KIB * 1024);
    leveldb_options_set_create_if_missing(state->options, 1);
    leveldb_options_set_filter_policy(state->options, state->filter);
    leveldb_options_set_cache(state->options, state->cache);
    state->reading = leveldb_readoptions_create();
    state->writing = leveldb_writeoptions_create();
    leveldb_writeoptions_set_sync(state->writing, mode.sync == HTT_SYNC_FULL);
    state->batch = leveldb_writebatch_create();
    state->db = leveldb_open(state->options, path, &error);
    level_must(error, "open");
}

static void level_close(void *subject) {
    level_state *state = subject;
    leveldb_close(state->db);
    leveldb_writebatch_destroy(state->batch);
    leveldb_writeoptions_destroy(state->writing);
    leveldb_readoptions_destroy(state->reading);
    leveldb_options_destroy(state->options);
    leveldb_cache_destroy(state->cache);
    leveldb_filterpolicy_destroy(state->filter);
}

static void level_begin(void *subject, bool write) {
    level_state *state = subject;
    if (!write) {
        state->snapshot = leveldb_create_snapshot(state->db);
        leveldb_readoptions_set_snapshot(state->reading, state->snapshot);
    }
}

static void level_flush(level_state *state) {
    char *error = NULL;
    leveldb_write(state->db, state->writing, state->batch, &error);
    level_must(error, "write");
    leveldb_writebatch_clear(state->batch);
    state->batch_rows = 0;
}

static void level_commit(void *subject) {
    level_state *state = subject;
    if (state->snapshot != NULL) {
        leveldb_readoptions_set_snapshot(state->reading, NULL);
        leveldb_release_snapshot(state->db, state->snapshot);
        state->snapshot = NULL;
    } else {
        level_flush(state);
    }
}

static bool level_get(void *subject, const uint8_t *key, uint8_t version) {
    const level_state *state = subject;
    const bench_dataset *dataset = &state->config->dataset;
    char *error = NULL;
    size_t size = 0;
    char *value =
        leveldb_get(state->db, state->reading, (const char *)key, dataset->key_size, &size, &error);
    level_must(error, "get");
    if (value == NULL) {
        return version == BENCH_ABSENT;
    }
    const bool right =
        version != BENCH_ABSENT && bench_dataset_is_value(dataset, key, version, value, size);
    leveldb_free(value);
    return right;
}

/* One row more is in the batch. */
static void level_added(level_state *state) {
    if (++state->batch_rows == BENCH_BATCH) {
        level_flush(state);
    }
}

static void level_put(void *subject, const uint8_t *key, const uint8_t *value) {
    level_state *state = subject;
    const bench_dataset *dataset = &state->config->dataset;
    leveldb_writebatch_put(state->batch, (const char *)key, dataset->key_size, (const char *)value,
                           dataset->value_size);
    level_added(state);
}

static void level_put_alone(void *subject, const uint8_t *key, const uint8_t *value) {
    const level_state *state = subject;
    const bench_dataset *dataset = &state->config->dataset;
    char *error = NULL;
    leveldb_put(state->db, state->writing, (const char *)key, dataset->key_size,
                (const char *)value, dataset->value_size, &error);
    level_must(error, "put");
}

static void level_delete(void *subject, const uint8_t *key) {
    level_state *state = subject;
    leveldb_writebatch_delete(state->batch, (const char *)key, state->config->dataset.key_size);
    level_added(state);
}

static bool level_scan(void *subject, bench_scan *scan_out) {
    const level_state *state = subject;
    const bench_dataset *dataset = &state->config->dataset;
    leveldb_iterator_t *rows = leveldb_create_iterator(state->db, state->reading);
    char *error = NULL;
    bool right = true;
    *scan_out = (bench_scan){0, 0};
    for (leveldb_iter_seek_to_first(rows); leveldb_iter_valid(rows) && right;
         leveldb_iter_next(rows)) {
        size_t key_size = 0;
        size_t value_size = 0;
        const uint8_t *key = (const uint8_t *)leveldb_iter_key(rows, &key_size);
        const char *value = leveldb_iter_value(rows, &value_size);
        right = key_size == dataset->key_size &&
                bench_dataset_is_value(dataset, key, 0, value, value_size);
        if (right) {
            scan_out->rows++;
            scan_out->sum += bench_dataset_key_hash(dataset, key);
        }
    }
    leveldb_iter_get_error(rows, &error);
    level_must(error, "iterator");
    leveldb_iter_destroy(rows);
    return right;
}

static void level_settle(void *subject) {
    const level_state *state = subject;
    leveldb_compact_range(state->db, NULL, 0, NULL, 0);
}

static const char *level_version(void) {
    static char text[32];
    (void)snprintf(text, sizeof text, "%d.%d", leveldb_major_version(), leveldb_minor_version());
    return text;
}

const bench_subject bench_peer_leveldb = {
    .id = "leveldb",
    .title = "LevelDB",
    .setup = "Bloom filter of 10 bits a key, block cache 256 MB, batches of 1000 rows",
    .group = BENCH_NATIVE,
    .blind = true,
    .state_size = sizeof(level_state),
    .syncs = BENCH_SYNC_ALL,
    .version = level_version,
    .open = level_open,
    .close = level_close,
    .begin = level_begin,
    .commit = level_commit,
    .get = level_get,
    .get_alone = level_get,
    .insert = level_put,
    .put = level_put,
    .put_alone = level_put_alone,
    .update = level_put,
    .delete = level_delete,
    .scan = level_scan,
    .settle = level_settle,
};
