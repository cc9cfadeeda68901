/* SPDX-License-Identifier: MIT */
/*
 * A subject: GDBM, with the defaults that its manual recommends since 1.23: block size of the file
 * system, a cache that sizes itself, the file mapped.
 *
 * It has no transactions: a commit with FULL is gdbm_sync, which is durable and not atomic; there
 * is nothing between that and OFF, so NORMAL is left out.
 */
#include <gdbm.h>
#include <stdlib.h>

#include "bench.h"

typedef struct gdbm_state {
    const bench_config *config; /* borrowed */
    GDBM_FILE file;             /* open */
    bool hard;                  /* every commit reaches the disk */
    bool writing;               /* a transaction that writes is running */
} gdbm_state;

static void gdbm_must(const gdbm_state *state, bool good, const char *what) {
    if (!good) {
        bench_fail("GDBM: %s: %s", what,
                   state->file != NULL ? gdbm_db_strerror(state->file) : gdbm_strerror(gdbm_errno));
    }
}

static datum gdbm_bytes(const uint8_t *bytes, size_t size) {
    return (datum){(char *)(uintptr_t)bytes, (int)size};
}

static void gdbm_start(void *subject, const bench_config *config, bench_mode mode) {
    gdbm_state *state = subject;
    char path[BENCH_PATH_SIZE];
    state->config = config;
    state->hard = mode.sync == HTT_SYNC_FULL;
    bench_path(config, "data.gdbm", path);
    state->file = gdbm_open(path, 0, GDBM_WRCREAT, 0666, NULL);
    gdbm_must(state, state->file != NULL, "open");
}

static void gdbm_end(void *subject) {
    gdbm_state *state = subject;
    const int rc = gdbm_close(state->file);
    state->file = NULL;
    gdbm_must(state, rc == 0, "close");
}

static void gdbm_begin(void *subject, bool write) {
    gdbm_state *state = subject;
    state->writing = write;
}

static void gdbm_commit(void *subject) {
    gdbm_state *state = subject;
    if (state->writing && state->hard) {
        gdbm_must(state, gdbm_sync(state->file) == 0, "sync");
    }
    state->writing = false;
}

static bool gdbm_get(void *subject, const uint8_t *key, uint8_t version) {
    const gdbm_state *state = subject;
    const bench_dataset *dataset = &state->config->dataset;
    const datum value = gdbm_fetch(state->file, gdbm_bytes(key, dataset->key_size));
    if (value.dptr == NULL) {
        gdbm_must(state, gdbm_last_errno(state->file) == GDBM_ITEM_NOT_FOUND, "fetch");
        return version == BENCH_ABSENT;
    }
    const bool right =
        version != BENCH_ABSENT &&
        bench_dataset_is_value(dataset, key, version, value.dptr, (size_t)value.dsize);
    free(value.dptr);
    return right;
}

static void gdbm_write(const gdbm_state *state, const uint8_t *key, const uint8_t *value,
                       int flag) {
    const bench_dataset *dataset = &state->config->dataset;
    gdbm_must(state,
              gdbm_store(state->file, gdbm_bytes(key, dataset->key_size),
                         gdbm_bytes(value, dataset->value_size), flag) == 0,
              "store");
}

static void gdbm_insert(void *subject, const uint8_t *key, const uint8_t *value) {
    gdbm_write(subject, key, value, GDBM_INSERT);
}

static void gdbm_put(void *subject, const uint8_t *key, const uint8_t *value) {
    gdbm_write(subject, key, value, GDBM_REPLACE);
}

static void gdbm_put_alone(void *subject, const uint8_t *key, const uint8_t *value) {
    gdbm_begin(subject, true);
    gdbm_put(subject, key, value);
    gdbm_commit(subject);
}

static void gdbm_remove(void *subject, const uint8_t *key) {
    const gdbm_state *state = subject;
    const datum name = gdbm_bytes(key, state->config->dataset.key_size);
    gdbm_must(state, gdbm_delete(state->file, name) == 0, "delete");
}

static bool gdbm_scan(void *subject, bench_scan *scan_out) {
    const gdbm_state *state = subject;
    const bench_dataset *dataset = &state->config->dataset;
    *scan_out = (bench_scan){0, 0};
    datum key = gdbm_firstkey(state->file);
    bool right = true;
    while (key.dptr != NULL && right) {
        const uint8_t *bytes = (const uint8_t *)key.dptr;
        right = (size_t)key.dsize == dataset->key_size && gdbm_get(subject, bytes, 0);
        if (right) {
            scan_out->rows++;
            scan_out->sum += bench_dataset_key_hash(dataset, bytes);
        }
        const datum next = gdbm_nextkey(state->file, key);
        free(key.dptr);
        key = next;
    }
    if (right) {
        gdbm_must(state, gdbm_last_errno(state->file) == GDBM_ITEM_NOT_FOUND, "nextkey");
    } else {
        free(key.dptr);
    }
    return right;
}

static uint64_t gdbm_rows(void *subject) {
    const gdbm_state *state = subject;
    gdbm_count_t count = 0;
    gdbm_must(state, gdbm_count(state->file, &count) == 0, "count");
    return count;
}

static void gdbm_check(void *subject) {
    const gdbm_state *state = subject;
    gdbm_must(state, gdbm_avail_verify(state->file) == 0, "avail_verify");
}

static const char *gdbm_text_of_version(void) {
    return gdbm_version;
}

const bench_subject bench_peer_gdbm = {
    .id = "gdbm",
    .title = "GDBM",
    .setup = "defaults; FULL is gdbm_sync, not atomic",
    .group = BENCH_NATIVE,
    .state_size = sizeof(gdbm_state),
    .syncs = BENCH_SYNC(HTT_SYNC_FULL) | BENCH_SYNC(HTT_SYNC_OFF),
    .version = gdbm_text_of_version,
    .open = gdbm_start,
    .close = gdbm_end,
    .begin = gdbm_begin,
    .commit = gdbm_commit,
    .get = gdbm_get,
    .get_alone = gdbm_get,
    .insert = gdbm_insert,
    .put = gdbm_put,
    .put_alone = gdbm_put_alone,
    .update = gdbm_put,
    .delete = gdbm_remove,
    .scan = gdbm_scan,
    .count = gdbm_rows,
    .check = gdbm_check,
};
