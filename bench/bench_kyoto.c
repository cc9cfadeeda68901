/* SPDX-License-Identifier: MIT */
/*
 * A subject: Kyoto Cabinet's HashDB. As its documentation advises: twice as many buckets as rows
 * (bnum), the file mapped as a whole (msiz), gaps joined while it runs (dfunit=8), values read into
 * a buffer of the caller.
 *
 * Levels: FULL and NORMAL are its transactions with and without hard synchronization; OFF, and with
 * it the bulk workloads, update the file in place without a log, so nothing there is atomic.
 */
#include <kclangc.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench.h"

typedef struct kyoto_state {
    const bench_config *config; /* borrowed */
    KCDB *db;                   /* open */
    char *value;                /* a value and one byte more; owned */
    htt_sync sync;              /* of commits */
    bool writing;               /* a transaction that writes is running */
} kyoto_state;

typedef struct kyoto_walk {
    const bench_dataset *dataset; /* borrowed */
    bench_scan scan;              /* until here */
    bool right;                   /* no wrong value until here */
} kyoto_walk;

static void kyoto_must(const kyoto_state *state, bool good, const char *what) {
    if (!good) {
        bench_fail("Kyoto Cabinet: %s: %s", what, kcdbemsg(state->db));
    }
}

static void kyoto_open(void *subject, const bench_config *config, bench_mode mode) {
    kyoto_state *state = subject;
    const bench_dataset *dataset = &config->dataset;
    char path[BENCH_PATH_SIZE];
    char name[BENCH_PATH_SIZE + 128];
    state->config = config;
    state->sync = mode.sync;
    state->value = bench_allocate(dataset->value_size + 1, 1);
    bench_path(config, "data.kch", path);
    const unsigned long long map_size =
        (unsigned long long)(dataset->rows * (dataset->key_size + dataset->value_size + 64)) * 2;
    (void)snprintf(name, sizeof name, "%s#bnum=%llu#msiz=%llu#dfunit=8", path,
                   (unsigned long long)dataset->rows * 2, map_size);
    state->db = kcdbnew();
    kyoto_must(state, kcdbopen(state->db, name, KCOWRITER | KCOCREATE) != 0, "open");
}

static void kyoto_close(void *subject) {
    kyoto_state *state = subject;
    kyoto_must(state, kcdbclose(state->db) != 0, "close");
    kcdbdel(state->db);
    free(state->value);
}

static void kyoto_begin(void *subject, bool write) {
    kyoto_state *state = subject;
    state->writing = write && state->sync != HTT_SYNC_OFF;
    if (state->writing) {
        kyoto_must(state, kcdbbegintran(state->db, state->sync == HTT_SYNC_FULL) != 0, "begin");
    }
}

static void kyoto_commit(void *subject) {
    kyoto_state *state = subject;
    if (state->writing) {
        kyoto_must(state, kcdbendtran(state->db, 1) != 0, "commit");
        state->writing = false;
    }
}

static bool kyoto_get(void *subject, const uint8_t *key, uint8_t version) {
    const kyoto_state *state = subject;
    const bench_dataset *dataset = &state->config->dataset;
    const int32_t size = kcdbgetbuf(state->db, (const char *)key, dataset->key_size, state->value,
                                    dataset->value_size + 1);
    if (size < 0) {
        kyoto_must(state, kcdbecode(state->db) == KCENOREC, "get");
        return version == BENCH_ABSENT;
    }
    return version != BENCH_ABSENT &&
           bench_dataset_is_value(dataset, key, version, state->value, (size_t)size);
}

static void kyoto_insert(void *subject, const uint8_t *key, const uint8_t *value) {
    const kyoto_state *state = subject;
    const bench_dataset *dataset = &state->config->dataset;
    kyoto_must(state,
               kcdbadd(state->db, (const char *)key, dataset->key_size, (const char *)value,
                       dataset->value_size) != 0,
               "add");
}

static void kyoto_put(void *subject, const uint8_t *key, const uint8_t *value) {
    const kyoto_state *state = subject;
    const bench_dataset *dataset = &state->config->dataset;
    kyoto_must(state,
               kcdbset(state->db, (const char *)key, dataset->key_size, (const char *)value,
                       dataset->value_size) != 0,
               "set");
}

static void kyoto_put_alone(void *subject, const uint8_t *key, const uint8_t *value) {
    kyoto_begin(subject, true);
    kyoto_put(subject, key, value);
    kyoto_commit(subject);
}

static void kyoto_update(void *subject, const uint8_t *key, const uint8_t *value) {
    const kyoto_state *state = subject;
    const bench_dataset *dataset = &state->config->dataset;
    kyoto_must(state,
               kcdbreplace(state->db, (const char *)key, dataset->key_size, (const char *)value,
                           dataset->value_size) != 0,
               "replace");
}

static void kyoto_delete(void *subject, const uint8_t *key) {
    const kyoto_state *state = subject;
    kyoto_must(state,
               kcdbremove(state->db, (const char *)key, state->config->dataset.key_size) != 0,
               "remove");
}

static const char *kyoto_see(const char *key, size_t key_size, const char *value, size_t value_size,
                             size_t *new_size_out, void *arg) {
    kyoto_walk *walk = arg;
    (void)new_size_out;
    if (walk->right) {
        const uint8_t *bytes = (const uint8_t *)key;
        walk->right = key_size == walk->dataset->key_size &&
                      bench_dataset_is_value(walk->dataset, bytes, 0, value, value_size);
        if (walk->right) {
            walk->scan.rows++;
            walk->scan.sum += bench_dataset_key_hash(walk->dataset, bytes);
        }
    }
    return KCVISNOP;
}

static bool kyoto_scan(void *subject, bench_scan *scan_out) {
    const kyoto_state *state = subject;
    kyoto_walk walk = {&state->config->dataset, {0, 0}, true};
    kyoto_must(state, kcdbiterate(state->db, kyoto_see, &walk, 0) != 0, "iterate");
    *scan_out = walk.scan;
    return walk.right;
}

static uint64_t kyoto_count(void *subject) {
    const kyoto_state *state = subject;
    const int64_t count = kcdbcount(state->db);
    kyoto_must(state, count >= 0, "count");
    return (uint64_t)count;
}

static const char *kyoto_version(void) {
    return KCVERSION;
}

const bench_subject bench_peer_kyoto = {
    .id = "kyoto",
    .title = "Kyoto",
    .setup = "HashDB, bnum twice the rows, all mapped, dfunit=8; FULL and NORMAL in transactions",
    .group = BENCH_NATIVE,
    .state_size = sizeof(kyoto_state),
    .syncs = BENCH_SYNC_ALL,
    .version = kyoto_version,
    .open = kyoto_open,
    .close = kyoto_close,
    .begin = kyoto_begin,
    .commit = kyoto_commit,
    .get = kyoto_get,
    .get_alone = kyoto_get,
    .insert = kyoto_insert,
    .put = kyoto_put,
    .put_alone = kyoto_put_alone,
    .update = kyoto_update,
    .delete = kyoto_delete,
    .scan = kyoto_scan,
    .count = kyoto_count,
};
