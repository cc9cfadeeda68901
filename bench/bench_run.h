/* SPDX-License-Identifier: MIT */
/*
 * A subject that is being measured: its folder, its state, and what each of its rows should be.
 * What every program of bench/ does with one.
 */
#ifndef BENCH_RUN_H
#define BENCH_RUN_H

#include "bench.h"

enum { BENCH_EXTRAS_MAX = 6 };

/* A figure beside the main one, such as a percentile. */
typedef struct bench_extra {
    const char *name; /* in JSON; static */
    double value;     /* in the unit that its name tells */
} bench_extra;

typedef struct bench_run {
    bench_config config;          /* as given, but for the folder, which is its own */
    const bench_subject *subject; /* borrowed */
    void *state;                  /* the subject's; owned */
    char *folder;                 /* its files; owned */
    uint8_t *versions;            /* what each row should be: a version, or BENCH_ABSENT; owned */
    uint64_t room;                /* of versions */
    bench_extra extras[BENCH_EXTRAS_MAX]; /* of the last workload */
    int extra_count;                      /* of them */
} bench_run;

/*
 * Opens a subject with an empty table in a new folder below config->folder. `room` is how many
 * rows there may be at most; they are absent until bench_run_set says otherwise.
 */
void bench_run_open(bench_run *run, const bench_config *config, const bench_subject *subject,
                    uint64_t room);
void bench_run_close(bench_run *run);

/* Closes and opens again; the rows stay. */
void bench_run_reopen(bench_run *run, bench_mode mode);
bench_mode bench_run_bulk_mode(const bench_run *run);

/* The next version of a row: 0 to 199, so that no two in a row are equal. */
uint8_t bench_run_next_version(bench_run *run, uint64_t index);

/* Notes a figure beside the main one. */
void bench_run_extra(bench_run *run, const char *name, double value);

/* Notes "p50_us", "p99_us", "p999_us" of samples in nanoseconds; sorts them. */
void bench_run_percentiles(bench_run *run, uint64_t *samples, size_t count);

/* Inserts all rows in random order in one transaction; nanoseconds a row, the commit included. */
double bench_run_load(bench_run *run);

/* Reads every row of a table that is as it was loaded, and verifies it; nanoseconds a row. */
double bench_run_scan(bench_run *run, const char *workload);

/* File bytes per payload byte. */
double bench_run_size(bench_run *run);

/* Reads every row (not timed) and runs the subject's own check. */
void bench_run_verify(bench_run *run);

/* Ends the program. */
_Noreturn void bench_run_wrong(const bench_run *run, const char *workload, uint64_t index);

#endif
