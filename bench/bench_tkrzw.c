/* SPDX-License-Identifier: MIT */
/*
 * A subject: Tkrzw's HashDBM. As its documentation advises: as many buckets as there will be rows
 * ("tuning": 50 to 200 % of the records), update mode in place (the default), the file mapped (the
 * default class of files), records read in place by a callback instead of a copy.
 *
 * It has no transactions: a "commit" with FULL is tkrzw_dbm_synchronize(hard), which is durable and
 * not atomic; there is nothing between that and OFF, so NORMAL is left out.
 */
#include <stdio.h>
#include <tkrzw_langc.h>

#include "bench.h"

typedef struct tkrzw_state {
    const bench_config *config; /* borrowed */
    TkrzwDBM *dbm;              /* open */
    bool hard;                  /* every commit reaches the disk */
    bool writing;               /* a transaction that writes is running */
} tkrzw_state;

typedef struct tkrzw_answer {
    const bench_dataset *dataset; /* borrowed */
    const uint8_t *key;           /* that was asked for */
    uint8_t version;              /* expected; BENCH_ABSENT = none */
    bool right;                   /* it is as expected */
} tkrzw_answer;

typedef struct tkrzw_walk {
    const bench_dataset *dataset; /* borrowed */
    bench_scan scan;              /* until here */
    bool right;                   /* no wrong value until here */
} tkrzw_walk;

static void tkrzw_must(bool good, const char *what) {
    if (!good) {
        bench_fail("Tkrzw: %s: %s", what, tkrzw_get_last_status_message());
    }
}

static void tkrzw_open(void *subject, const bench_config *config, bench_mode mode) {
    tkrzw_state *state = subject;
    char path[BENCH_PATH_SIZE];
    char options[64];
    state->config = config;
    state->hard = mode.sync == HTT_SYNC_FULL;
    bench_path(config, "data.tkh", path);
    (void)snprintf(options, sizeof options, "dbm=HashDBM,num_buckets=%llu",
                   (unsigned long long)config->dataset.rows);
    state->dbm = tkrzw_dbm_open(path, true, options);
    tkrzw_must(state->dbm != NULL, "open");
}

static void tkrzw_close(void *subject) {
    const tkrzw_state *state = subject;
    tkrzw_must(tkrzw_dbm_close(state->dbm), "close");
}

static void tkrzw_begin(void *subject, bool write) {
    tkrzw_state *state = subject;
    state->writing = write;
}

static void tkrzw_commit(void *subject) {
    tkrzw_state *state = subject;
    if (state->writing && state->hard) {
        tkrzw_must(tkrzw_dbm_synchronize(state->dbm, true, NULL, NULL, ""), "synchronize");
    }
    state->writing = false;
}

static const char *tkrzw_look(void *arg, const char *key, int32_t key_size, const char *value,
                              int32_t value_size, int32_t *new_size_out) {
    tkrzw_answer *answer = arg;
    (void)key;
    (void)key_size;
    (void)new_size_out;
    if (value == NULL || answer->version == BENCH_ABSENT) {
        answer->right = value == NULL && answer->version == BENCH_ABSENT;
    } else {
        answer->right = bench_dataset_is_value(answer->dataset, answer->key, answer->version, value,
                                               (size_t)value_size);
    }
    return TKRZW_REC_PROC_NOOP;
}

static bool tkrzw_get(void *subject, const uint8_t *key, uint8_t version) {
    const tkrzw_state *state = subject;
    tkrzw_answer answer = {&state->config->dataset, key, version, false};
    tkrzw_must(tkrzw_dbm_process(state->dbm, (const char *)key,
                                 (int32_t)state->config->dataset.key_size, tkrzw_look, &answer,
                                 false),
               "process");
    return answer.right;
}

static void tkrzw_write(const tkrzw_state *state, const uint8_t *key, const uint8_t *value,
                        bool overwrite) {
    const bench_dataset *dataset = &state->config->dataset;
    tkrzw_must(tkrzw_dbm_set(state->dbm, (const char *)key, (int32_t)dataset->key_size,
                             (const char *)value, (int32_t)dataset->value_size, overwrite),
               "set");
}

static void tkrzw_insert(void *subject, const uint8_t *key, const uint8_t *value) {
    tkrzw_write(subject, key, value, false);
}

static void tkrzw_put(void *subject, const uint8_t *key, const uint8_t *value) {
    tkrzw_write(subject, key, value, true);
}

static void tkrzw_put_alone(void *subject, const uint8_t *key, const uint8_t *value) {
    tkrzw_begin(subject, true);
    tkrzw_put(subject, key, value);
    tkrzw_commit(subject);
}

static void tkrzw_delete(void *subject, const uint8_t *key) {
    const tkrzw_state *state = subject;
    tkrzw_must(
        tkrzw_dbm_remove(state->dbm, (const char *)key, (int32_t)state->config->dataset.key_size),
        "remove");
}

/* Called with every record, and with none at the start and end. */
static const char *tkrzw_see(void *arg, const char *key, int32_t key_size, const char *value,
                             int32_t value_size, int32_t *new_size_out) {
    tkrzw_walk *walk = arg;
    (void)new_size_out;
    if (key != NULL && value != NULL && walk->right) {
        const uint8_t *bytes = (const uint8_t *)key;
        walk->right = (size_t)key_size == walk->dataset->key_size &&
                      bench_dataset_is_value(walk->dataset, bytes, 0, value, (size_t)value_size);
        if (walk->right) {
            walk->scan.rows++;
            walk->scan.sum += bench_dataset_key_hash(walk->dataset, bytes);
        }
    }
    return TKRZW_REC_PROC_NOOP;
}

static bool tkrzw_scan(void *subject, bench_scan *scan_out) {
    const tkrzw_state *state = subject;
    tkrzw_walk walk = {&state->config->dataset, {0, 0}, true};
    tkrzw_must(tkrzw_dbm_process_each(state->dbm, tkrzw_see, &walk, false), "process_each");
    *scan_out = walk.scan;
    return walk.right;
}

static uint64_t tkrzw_count(void *subject) {
    const tkrzw_state *state = subject;
    const int64_t count = tkrzw_dbm_count(state->dbm);
    tkrzw_must(count >= 0, "count");
    return (uint64_t)count;
}

static void tkrzw_check(void *subject) {
    const tkrzw_state *state = subject;
    tkrzw_must(tkrzw_dbm_is_healthy(state->dbm), "is_healthy");
}

static const char *tkrzw_version(void) {
    return TKRZW_PACKAGE_VERSION;
}

const bench_subject bench_peer_tkrzw = {
    .id = "tkrzw",
    .title = "Tkrzw",
    .setup = "HashDBM, as many buckets as rows; FULL is synchronize(hard), not atomic",
    .group = BENCH_NATIVE,
    .state_size = sizeof(tkrzw_state),
    .syncs = BENCH_SYNC(HTT_SYNC_FULL) | BENCH_SYNC(HTT_SYNC_OFF),
    .version = tkrzw_version,
    .open = tkrzw_open,
    .close = tkrzw_close,
    .begin = tkrzw_begin,
    .commit = tkrzw_commit,
    .get = tkrzw_get,
    .get_alone = tkrzw_get,
    .insert = tkrzw_insert,
    .put = tkrzw_put,
    .put_alone = tkrzw_put_alone,
    .update = tkrzw_put,
    .delete = tkrzw_delete,
    .scan = tkrzw_scan,
    .count = tkrzw_count,
    .check = tkrzw_check,
};
