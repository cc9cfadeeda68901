/* SPDX-License-Identifier: MIT */
/*
 * What the parts of a benchmark share: its settings, what is measured (workloads), and what is
 * measured against each other (subjects).
 *
 *     bench_speed.c      main: options, the order of things
 *     bench_work.c       the workloads, one loop each, the same code for all subjects
 *     bench_native.c     a subject: htt.h
 *     bench_sql.c        two subjects: SQL over htt, SQL over an ordinary table
 *     bench_dataset.c    keys and values, made up from a seed and told right from wrong
 *     bench_clock.c      clock, median, percentile
 *     bench_machine.c    what it ran on
 *     bench_report.c     table and JSON
 *     bench_folder.c     the temporary folder
 */
#ifndef BENCH_H
#define BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bench_dataset.h"
#include "htt.h"

#define BENCH_ROUNDS_MAX 9     /* repetitions of a read workload */
#define BENCH_BATCH 1000       /* rows per transaction, keys per IN list */
#define BENCH_CACHE_KIB 262144 /* PRAGMA cache_size for all but one-row commits: 256 MB */

typedef struct bench_config {
    bench_dataset dataset;
    uint64_t gets;         /* lookups per read workload */
    uint64_t writes;       /* rows per write workload */
    uint64_t commits;      /* one-row commits; a tenth of them with synchronous=FULL */
    int rounds;            /* repetitions of a read workload, 1 to BENCH_ROUNDS_MAX */
    htt_sync bulk_sync;    /* of everything but the one-row commits */
    uint64_t write_budget; /* htt's, bytes; 0 = its default */
    const char *output;    /* JSON file, NULL = none */
    const char *folder;    /* where the databases are, temporary */
} bench_config;

/* What is measured, in this order. bench_work_info tells more of each. */
typedef enum bench_workload {
    BENCH_LOAD,
    BENCH_SIZE_LOADED,
    BENCH_GET,
    BENCH_GET_ALONE,
    BENCH_MISS,
    BENCH_GET_MANY,
    BENCH_SCAN,
    BENCH_COUNT,
    BENCH_PUT,
    BENCH_UPDATE,
    BENCH_COMMIT_FULL,
    BENCH_COMMIT_NORMAL,
    BENCH_COMMIT_OFF,
    BENCH_SIZE_WRITTEN,
    BENCH_DELETE,
    BENCH_WORKLOADS /* how many */
} bench_workload;

/* How a subject is opened. */
typedef struct bench_mode {
    htt_sync sync;      /* for both: PRAGMA synchronous, htt's sync */
    bool default_cache; /* SQLite's default cache_size instead of BENCH_CACHE_KIB */
} bench_mode;

typedef struct bench_scan {
    uint64_t rows; /* rows seen */
    uint64_t sum;  /* of bench_dataset_key_hash of their keys */
} bench_scan;

typedef struct bench_size {
    uint64_t used_bytes; /* of the file, free pages not counted */
    uint64_t file_bytes; /* of the file */
} bench_size;

/*
 * A subject: an empty table of one way to store rows. `state` is made by open. All functions end
 * the program (bench_fail) when the store reports an error.
 */
typedef struct bench_subject {
    const char *id;    /* in JSON */
    const char *title; /* in the table */

    void *(*open)(const bench_config *config, bench_mode mode);
    void (*close)(void *state);
    /* Closes and opens with another mode; the rows stay. */
    void (*reopen)(void *state, bench_mode mode);

    void (*begin)(void *state, bool write);
    void (*commit)(void *state);
    /* Whether the answer for `key` is right: its value of `version`; none if BENCH_ABSENT. */
    bool (*get)(void *state, const uint8_t *key, uint8_t version);
    bool (*get_alone)(void *state, const uint8_t *key, uint8_t version); /* own transaction */
    /* Looks up `count` different keys at once. False: an answer is not its version 0. */
    bool (*get_many)(void *state, const uint8_t *keys, size_t count);
    void (*insert)(void *state, const uint8_t *key, const uint8_t *value);
    void (*put)(void *state, const uint8_t *key, const uint8_t *value);
    void (*put_alone)(void *state, const uint8_t *key, const uint8_t *value); /* own commit */
    void (*update)(void *state, const uint8_t *key, const uint8_t *value);
    void (*delete)(void *state, const uint8_t *key);
    /* Reads every key and value. False: a value is not its key's version 0. */
    bool (*scan)(void *state, bench_scan *scan_out);
    uint64_t (*count)(void *state);
    void (*size)(void *state, bench_size *size_out);
    /* The store's own check of the whole file. */
    void (*check)(void *state);
} bench_subject;

extern const bench_subject bench_native_htt;
extern const bench_subject bench_sql_htt;
extern const bench_subject bench_sql_ordinary;

/* Says why on stderr, removes the temporary folder, ends the program with status 1. */
_Noreturn void bench_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Zeroed memory; ends the program where there is none. Caller frees with free. */
void *bench_allocate(size_t count, size_t size);

/* "<folder>/<name>" into `path`. */
#define BENCH_PATH_SIZE 4096
void bench_path(const bench_config *config, const char *name, char path[BENCH_PATH_SIZE]);

#endif
