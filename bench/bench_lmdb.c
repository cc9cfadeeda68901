/* SPDX-License-Identifier: MIT */
/*
 * A subject: LMDB. As its documentation (lmdb.h) advises: the map is made larger than the data can
 * grow, readers reuse one transaction (mdb_txn_reset, mdb_txn_renew), no MDB_WRITEMAP, whose gain
 * it gives up safety for. Levels: FULL is the default, NORMAL is MDB_NOMETASYNC (the last
 * transaction may be lost, the file stays whole), OFF is MDB_NOSYNC.
 */
#include <lmdb.h>

#include "bench.h"

typedef struct lmdb_state {
    const bench_config *config; /* borrowed */
    MDB_env *env;               /* open */
    MDB_dbi dbi;                /* the main database */
    MDB_txn *txn;               /* the running one; NULL = none */
    MDB_txn *reader;            /* of get_alone, reset between the gets */
} lmdb_state;

static void lmdb_must(int rc, const char *what) {
    if (rc != MDB_SUCCESS) {
        bench_fail("LMDB: %s: %s", what, mdb_strerror(rc));
    }
}

static MDB_val lmdb_bytes(const uint8_t *bytes, size_t size) {
    return (MDB_val){size, (void *)(uintptr_t)bytes};
}

static void lmdb_open(void *subject, const bench_config *config, bench_mode mode) {
    static const unsigned flags[] = {
        [HTT_SYNC_FULL] = 0, [HTT_SYNC_NORMAL] = MDB_NOMETASYNC, [HTT_SYNC_OFF] = MDB_NOSYNC};
    lmdb_state *state = subject;
    const bench_dataset *dataset = &config->dataset;
    char path[BENCH_PATH_SIZE];
    MDB_txn *txn = NULL;
    state->config = config;
    bench_path(config, "data.mdb", path);
    lmdb_must(mdb_env_create(&state->env), "env_create");
    const size_t row_size = dataset->key_size + dataset->value_size + 64;
    lmdb_must(mdb_env_set_mapsize(state->env, ((size_t)1 << 30) + dataset->rows * row_size * 8),
              "env_set_mapsize");
    lmdb_must(mdb_env_open(state->env, path, MDB_NOSUBDIR | flags[mode.sync], 0666), "env_open");
    lmdb_must(mdb_txn_begin(state->env, NULL, 0, &txn), "txn_begin");
    lmdb_must(mdb_dbi_open(txn, NULL, 0, &state->dbi), "dbi_open");
    lmdb_must(mdb_txn_commit(txn), "txn_commit");
}

static void lmdb_close(void *subject) {
    lmdb_state *state = subject;
    if (state->reader != NULL) {
        mdb_txn_abort(state->reader);
        state->reader = NULL;
    }
    mdb_env_close(state->env);
}

/* A thread may have one reader only, so the one of get_alone serves here as well. */
static MDB_txn *lmdb_reader(lmdb_state *state) {
    if (state->reader == NULL) {
        lmdb_must(mdb_txn_begin(state->env, NULL, MDB_RDONLY, &state->reader), "txn_begin");
    } else {
        lmdb_must(mdb_txn_renew(state->reader), "txn_renew");
    }
    return state->reader;
}

static void lmdb_begin(void *subject, bool write) {
    lmdb_state *state = subject;
    if (write) {
        lmdb_must(mdb_txn_begin(state->env, NULL, 0, &state->txn), "txn_begin");
    } else {
        state->txn = lmdb_reader(state);
    }
}

static void lmdb_commit(void *subject) {
    lmdb_state *state = subject;
    if (state->txn == state->reader) {
        mdb_txn_reset(state->reader);
    } else {
        lmdb_must(mdb_txn_commit(state->txn), "txn_commit");
    }
    state->txn = NULL;
}

static bool lmdb_get(void *subject, const uint8_t *key, uint8_t version) {
    const lmdb_state *state = subject;
    const bench_dataset *dataset = &state->config->dataset;
    MDB_val name = lmdb_bytes(key, dataset->key_size);
    MDB_val value;
    const int rc = mdb_get(state->txn, state->dbi, &name, &value);
    if (rc == MDB_NOTFOUND) {
        return version == BENCH_ABSENT;
    }
    lmdb_must(rc, "get");
    return version != BENCH_ABSENT &&
           bench_dataset_is_value(dataset, key, version, value.mv_data, value.mv_size);
}

static bool lmdb_get_alone(void *subject, const uint8_t *key, uint8_t version) {
    lmdb_begin(subject, false);
    const bool right = lmdb_get(subject, key, version);
    lmdb_commit(subject);
    return right;
}

static void lmdb_write(void *subject, const uint8_t *key, const uint8_t *value, unsigned flags) {
    const lmdb_state *state = subject;
    MDB_val name = lmdb_bytes(key, state->config->dataset.key_size);
    MDB_val data = lmdb_bytes(value, state->config->dataset.value_size);
    lmdb_must(mdb_put(state->txn, state->dbi, &name, &data, flags), "put");
}

static void lmdb_insert(void *subject, const uint8_t *key, const uint8_t *value) {
    lmdb_write(subject, key, value, MDB_NOOVERWRITE);
}

static void lmdb_put(void *subject, const uint8_t *key, const uint8_t *value) {
    lmdb_write(subject, key, value, 0);
}

static void lmdb_put_alone(void *subject, const uint8_t *key, const uint8_t *value) {
    lmdb_begin(subject, true);
    lmdb_put(subject, key, value);
    lmdb_commit(subject);
}

static void lmdb_delete(void *subject, const uint8_t *key) {
    const lmdb_state *state = subject;
    MDB_val name = lmdb_bytes(key, state->config->dataset.key_size);
    lmdb_must(mdb_del(state->txn, state->dbi, &name, NULL), "del");
}

static bool lmdb_scan(void *subject, bench_scan *scan_out) {
    const lmdb_state *state = subject;
    const bench_dataset *dataset = &state->config->dataset;
    MDB_cursor *cursor = NULL;
    MDB_val key;
    MDB_val value;
    bool right = true;
    *scan_out = (bench_scan){0, 0};
    lmdb_must(mdb_cursor_open(state->txn, state->dbi, &cursor), "cursor_open");
    int rc = mdb_cursor_get(cursor, &key, &value, MDB_FIRST);
    for (; rc == MDB_SUCCESS && right; rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) {
        right = key.mv_size == dataset->key_size &&
                bench_dataset_is_value(dataset, key.mv_data, 0, value.mv_data, value.mv_size);
        if (right) {
            scan_out->rows++;
            scan_out->sum += bench_dataset_key_hash(dataset, key.mv_data);
        }
    }
    mdb_cursor_close(cursor);
    lmdb_must(right && rc != MDB_NOTFOUND ? rc : MDB_SUCCESS, "cursor_get");
    return right;
}

static uint64_t lmdb_count(void *subject) {
    const lmdb_state *state = subject;
    MDB_stat stat;
    lmdb_must(mdb_stat(state->txn, state->dbi, &stat), "stat");
    return stat.ms_entries;
}

/* Free pages stand in database 0: lists of page numbers, each with its length in front. */
static uint64_t lmdb_used_bytes(void *subject) {
    lmdb_state *state = subject;
    MDB_envinfo info;
    MDB_stat stat;
    MDB_cursor *cursor = NULL;
    MDB_val key;
    MDB_val list;
    uint64_t free_pages = 0;
    lmdb_must(mdb_env_info(state->env, &info), "env_info");
    lmdb_must(mdb_env_stat(state->env, &stat), "env_stat");
    lmdb_begin(state, false);
    lmdb_must(mdb_cursor_open(state->txn, 0, &cursor), "cursor_open");
    while (mdb_cursor_get(cursor, &key, &list, MDB_NEXT) == MDB_SUCCESS) {
        free_pages += *(const size_t *)list.mv_data;
    }
    mdb_cursor_close(cursor);
    lmdb_commit(state);
    return (info.me_last_pgno + 1 - free_pages) * stat.ms_psize;
}

static const char *lmdb_version(void) {
    return mdb_version(NULL, NULL, NULL);
}

const bench_subject bench_peer_lmdb = {
    .id = "lmdb",
    .title = "LMDB",
    .setup = "default flags; NORMAL is MDB_NOMETASYNC, OFF is MDB_NOSYNC",
    .group = BENCH_NATIVE,
    .state_size = sizeof(lmdb_state),
    .syncs = BENCH_SYNC_ALL,
    .version = lmdb_version,
    .open = lmdb_open,
    .close = lmdb_close,
    .begin = lmdb_begin,
    .commit = lmdb_commit,
    .get = lmdb_get,
    .get_alone = lmdb_get_alone,
    .insert = lmdb_insert,
    .put = lmdb_put,
    .put_alone = lmdb_put_alone,
    .update = lmdb_put,
    .delete = lmdb_delete,
    .scan = lmdb_scan,
    .count = lmdb_count,
    .used_bytes = lmdb_used_bytes,
};
