/* SPDX-License-Identifier: MIT */
/*
 * A subject: libhtt's C interface, without SQLite. Options are the defaults of htt_options_init
 * (reads by mapping, 4 KiB pages), but for sync and, where asked for, the write budget.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "bench_folder.h"

typedef struct native_state {
    const bench_config *config; /* borrowed */
    htt_store *store;           /* open */
    htt_txn *txn;               /* NULL = none is open */
    htt_datum keys[BENCH_BATCH];
    htt_datum values[BENCH_BATCH]; /* for htt_get_many */
    htt_rc results[BENCH_BATCH];
} native_state;

static htt_datum native_key(const native_state *state, const uint8_t *key) {
    const bench_dataset *dataset = &state->config->dataset;
    return htt_bytes(key, dataset->key_size, dataset->text ? HTT_TEXT : HTT_BLOB);
}

static htt_datum native_value(const native_state *state, const uint8_t *value) {
    return htt_blob(value, state->config->dataset.value_size);
}

/* Ends the program if a call on the transaction failed. */
static void native_must(const native_state *state, htt_rc rc, const char *what) {
    if (rc != HTT_OK) {
        bench_fail("htt.h: %s: %s: %s", what, htt_strerror(rc), htt_txn_errmsg(state->txn));
    }
}

static void native_open(void *subject, const bench_config *config, bench_mode mode) {
    native_state *state = subject;
    char path[BENCH_PATH_SIZE];
    state->config = config;
    bench_path(config, BENCH_FILE_NATIVE, path);
    htt_options options;
    htt_options_init(&options);
    options.sync = mode.sync;
    if (config->write_budget != 0) {
        options.write_budget = config->write_budget;
    }
    htt_error error;
    const htt_rc rc = htt_open(path, &options, &state->store, &error);
    if (rc != HTT_OK) {
        bench_fail("htt.h: open: %s: %s", htt_strerror(rc), error.text);
    }
}

static void native_close(void *subject) {
    const native_state *state = subject;
    htt_close(state->store);
}

static void native_begin(void *subject, bool write) {
    native_state *state = subject;
    const htt_rc rc = htt_begin(state->store, write ? HTT_WRITE : HTT_READ, &state->txn);
    if (rc != HTT_OK) {
        bench_fail("htt.h: begin: %s: %s", htt_strerror(rc), htt_errmsg(state->store));
    }
}

static void native_commit(void *subject) {
    native_state *state = subject;
    const htt_rc rc = htt_commit(state->txn);
    state->txn = NULL;
    if (rc != HTT_OK) {
        bench_fail("htt.h: commit: %s: %s", htt_strerror(rc), htt_errmsg(state->store));
    }
}

static bool native_get(void *subject, const uint8_t *key, uint8_t version) {
    native_state *state = subject;
    htt_datum value;
    const htt_rc rc = htt_get(state->txn, native_key(state, key), &value);
    if (rc == HTT_NOTFOUND) {
        return version == BENCH_ABSENT;
    }
    native_must(state, rc, "get");
    return version != BENCH_ABSENT && value.type == HTT_BLOB &&
           bench_dataset_is_value(&state->config->dataset, key, version, value.data, value.size);
}

static bool native_get_alone(void *subject, const uint8_t *key, uint8_t version) {
    native_begin(subject, false);
    const bool right = native_get(subject, key, version);
    native_commit(subject);
    return right;
}

static bool native_get_many(void *subject, const uint8_t *keys, size_t count) {
    native_state *state = subject;
    const bench_dataset *dataset = &state->config->dataset;
    for (size_t i = 0; i < count; i++) {
        state->keys[i] = native_key(state, keys + i * dataset->key_size);
    }
    native_must(state, htt_get_many(state->txn, state->keys, count, state->values, state->results),
                "get_many");
    bool right = true;
    for (size_t i = 0; i < count; i++) {
        right &= state->results[i] == HTT_OK && state->values[i].type == HTT_BLOB &&
                 bench_dataset_is_value(dataset, state->keys[i].data, 0, state->values[i].data,
                                        state->values[i].size);
    }
    return right;
}

static void native_write(void *subject, const uint8_t *key, const uint8_t *value, unsigned flags) {
    native_state *state = subject;
    native_must(state,
                htt_put(state->txn, native_key(state, key), native_value(state, value), flags),
                "put");
}

static void native_insert(void *subject, const uint8_t *key, const uint8_t *value) {
    native_write(subject, key, value, HTT_PUT_INSERT);
}

static void native_put(void *subject, const uint8_t *key, const uint8_t *value) {
    native_write(subject, key, value, 0);
}

static void native_put_alone(void *subject, const uint8_t *key, const uint8_t *value) {
    native_begin(subject, true);
    native_put(subject, key, value);
    native_commit(subject);
}

static void native_update(void *subject, const uint8_t *key, const uint8_t *value) {
    native_write(subject, key, value, HTT_PUT_REPLACE);
}

static void native_delete(void *subject, const uint8_t *key) {
    native_state *state = subject;
    native_must(state, htt_del(state->txn, native_key(state, key)), "del");
}

static bool native_scan(void *subject, bench_scan *scan_out) {
    native_state *state = subject;
    const bench_dataset *dataset = &state->config->dataset;
    htt_cursor *cursor = NULL;
    native_must(state, htt_cursor_open(state->txn, &cursor), "cursor_open");
    *scan_out = (bench_scan){0, 0};
    bool right = true;
    htt_datum key;
    htt_rc rc = htt_cursor_next(cursor, &key);
    for (; rc == HTT_OK && right; rc = htt_cursor_next(cursor, &key)) {
        htt_datum value;
        rc = htt_cursor_value(cursor, &value);
        right = rc == HTT_OK && key.size == dataset->key_size &&
                bench_dataset_is_value(dataset, key.data, 0, value.data, value.size);
        if (right) {
            scan_out->rows++;
            scan_out->sum += bench_dataset_key_hash(dataset, key.data);
        }
    }
    if (rc != HTT_OK && rc != HTT_NOTFOUND) {
        bench_fail("htt.h: cursor: %s: %s", htt_strerror(rc), htt_cursor_errmsg(cursor));
    }
    htt_cursor_close(cursor);
    return right;
}

static uint64_t native_count(void *subject) {
    native_state *state = subject;
    uint64_t count = 0;
    native_must(state, htt_count(state->txn, &count), "count");
    return count;
}

static uint64_t native_used_bytes(void *subject) {
    native_state *state = subject;
    native_begin(state, false);
    htt_stat stat;
    native_must(state, htt_txn_stat(state->txn, &stat), "stat");
    native_commit(state);
    return (uint64_t)(stat.page_count - stat.free_pages) * stat.page_size;
}

static int native_problem(void *arg, uint32_t page, const char *problem) {
    (void)arg;
    (void)fprintf(stderr, "htt_check: page %u: %s\n", page, problem);
    return 0;
}

static void native_check(void *subject) {
    native_state *state = subject;
    native_begin(state, false);
    uint64_t problems = 0;
    native_must(state, htt_check(state->txn, HTT_CHECK_DEEP, native_problem, NULL, &problems),
                "check");
    native_commit(state);
    if (problems != 0) {
        bench_fail("htt.h: htt_check found %llu problems", (unsigned long long)problems);
    }
}

#define NATIVE_SUBJECT                                                                             \
    .title = "htt", .setup = "default options of htt.h", .group = BENCH_NATIVE,                    \
    .state_size = sizeof(native_state), .has_budget = true, .syncs = BENCH_SYNC_ALL,               \
    .version = htt_version, .open = native_open, .close = native_close, .begin = native_begin,     \
    .commit = native_commit, .get = native_get, .get_alone = native_get_alone,                     \
    .get_many = native_get_many, .put = native_put, .put_alone = native_put_alone,                 \
    .update = native_update, .delete = native_delete, .scan = native_scan, .count = native_count,  \
    .used_bytes = native_used_bytes, .check = native_check

const bench_subject bench_native_htt = {.id = "htt_c", .insert = native_insert, NATIVE_SUBJECT};

/* Stores one row in a thousand with a wrong byte: a test that wrong answers are noticed. */
static void native_insert_wrong(void *subject, const uint8_t *key, const uint8_t *value) {
    const native_state *state = subject;
    const bench_dataset *dataset = &state->config->dataset;
    uint8_t *changed = bench_allocate(dataset->value_size + 1, 1);
    memcpy(changed, value, dataset->value_size);
    if (dataset->value_size > 0 && bench_dataset_key_hash(dataset, key) % 1000 == 0) {
        changed[dataset->value_size - 1] ^= 1;
    }
    native_insert(subject, key, changed);
    free(changed);
}

const bench_subject bench_native_wrong = {
    .id = "wrong", .insert = native_insert_wrong, NATIVE_SUBJECT};
