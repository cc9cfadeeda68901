/* SPDX-License-Identifier: MIT */
/*
 * What the parts of a benchmark share: its settings, what is measured (workloads), and what is
 * measured against each other (subjects). README.md says which file has what.
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
#define BENCH_FEW 10           /* rows of a small commit */
#define BENCH_CACHE_KIB 262144 /* cache of a subject that has one, but for small commits: 256 MB */

typedef struct bench_config {
    bench_dataset dataset;
    uint64_t gets;         /* lookups per read workload */
    uint64_t writes;       /* rows per write workload */
    uint64_t commits;      /* small commits of a kind, at most */
    int rounds;            /* repetitions of a read workload, 1 to BENCH_ROUNDS_MAX */
    htt_sync bulk_sync;    /* of everything but the small commits */
    uint64_t write_budget; /* htt's, bytes; 0 = its default */
    const char *output;    /* JSON file, NULL = none */
    const char *folder;    /* where the files are, temporary; each subject has its own */
} bench_config;

/* How a subject is opened. */
typedef struct bench_mode {
    htt_sync sync;      /* for all: PRAGMA synchronous, htt's sync, and what is like it elsewhere */
    bool default_cache; /* SQLite's default cache_size instead of BENCH_CACHE_KIB */
} bench_mode;

typedef struct bench_scan {
    uint64_t rows; /* rows seen */
    uint64_t sum;  /* of bench_dataset_key_hash of their keys */
} bench_scan;

typedef enum bench_group {
    BENCH_SQL,   /* goes through SQLite */
    BENCH_NATIVE /* called from C */
} bench_group;

/*
 * A subject: one way to store rows. `state` is state_size zeroed bytes; they and the files in
 * config->folder stay when it is closed and opened again. All functions end the program
 * (bench_fail) when the store reports an error. Functions that are NULL are what it cannot do.
 */
typedef struct bench_subject {
    const char *id;    /* in JSON and on the command line */
    const char *title; /* in the table */
    const char *setup; /* how it is configured, one sentence */
    bench_group group;
    size_t state_size;    /* bytes */
    bool in_memory;       /* has no files of its own */
    bool has_budget;      /* takes config->write_budget */
    bool blind;                   /* gets in a write transaction do not see its writes */
    bool only_alone;      /* is there for transactions of one or few rows alone */
    unsigned syncs;       /* levels of small commits that it has: bits 1 << htt_sync */
    const char *(*version)(void); /* of the store; static storage */

    /* An empty table, or, from the second time on, the one that was closed. */
    void (*open)(void *state, const bench_config *config, bench_mode mode);
    void (*close)(void *state);
    void (*discard)(void *state); /* after the last close, what is not in files; or NULL */

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
    /* Bytes of the file that are in use, free pages not counted; NULL: all bytes of its files. */
    uint64_t (*used_bytes)(void *state);
    /* What is left to do after a load before it is as it will be: compaction, checkpoint. */
    void (*settle)(void *state);
    /* The store's own check of the whole file. */
    void (*check)(void *state);
} bench_subject;

#define BENCH_SYNC(level) (1u << (level))
#define BENCH_SYNC_ALL                                                                             \
    (BENCH_SYNC(HTT_SYNC_FULL) | BENCH_SYNC(HTT_SYNC_NORMAL) | BENCH_SYNC(HTT_SYNC_OFF))

/* Says why on stderr, removes the temporary folder, ends the program with status 1. */
_Noreturn void bench_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Zeroed memory; ends the program where there is none. Caller frees with free. */
void *bench_allocate(size_t count, size_t size);

/* "<folder>/<name>" into `path`. */
#define BENCH_PATH_SIZE 4096
void bench_path(const bench_config *config, const char *name, char path[BENCH_PATH_SIZE]);

#endif
