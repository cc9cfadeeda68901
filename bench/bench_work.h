/* SPDX-License-Identifier: MIT */
/*
 * The workloads of bench_speed: what each is, and running it on a subject. bench_read.c and
 * bench_write.c have the loops.
 */
#ifndef BENCH_WORK_H
#define BENCH_WORK_H

#include "bench.h"
#include "bench_run.h"

/* What is measured, in this order. bench_work_infos tells more of each. */
typedef enum bench_workload {
    BENCH_LOAD,
    BENCH_SETTLE,
    BENCH_SIZE_LOADED,
    BENCH_LOAD_HALF,
    BENCH_GET,
    BENCH_GET_ALONE,
    BENCH_MISS,
    BENCH_ZIPF,
    BENCH_GET_MANY,
    BENCH_SCAN,
    BENCH_COUNT,
    BENCH_COLD,
    BENCH_COLD_RANDOM,
    BENCH_PUT,
    BENCH_UPDATE,
    BENCH_COMMIT_FULL,
    BENCH_COMMIT_NORMAL,
    BENCH_COMMIT_OFF,
    BENCH_FEW_FULL,
    BENCH_FEW_NORMAL,
    BENCH_FEW_OFF,
    BENCH_BIG_FULL,
    BENCH_BIG_NORMAL,
    BENCH_BIG_OFF,
    BENCH_SIZE_WRITTEN,
    BENCH_DELETE,
    BENCH_WORKLOADS /* how many */
} bench_workload;

typedef struct bench_work_info {
    const char *id;    /* in JSON */
    const char *title; /* in the table */
    const char *unit;  /* of the figure */
    bool more;         /* a greater figure is the better one */
    bool repeated;     /* measured config.rounds times: it can be done again alike */
} bench_work_info;

extern const bench_work_info bench_work_infos[BENCH_WORKLOADS];

/* Whether a subject can do a workload. */
bool bench_work_applies(const bench_subject *subject, bench_workload workload);

/* Runs a workload; its figure in its unit. A wrong answer ends the program. */
double bench_work_measure(bench_run *run, bench_workload workload, int round);

/* What this program itself needs to make a key and check a value: nanoseconds, in every get. */
double bench_work_overhead(const bench_config *config);

/* The loops. */
double bench_read_get(bench_run *run, bench_workload workload, int round);
double bench_read_zipf(bench_run *run, int round);
double bench_read_many(bench_run *run, int round);
double bench_read_scan(bench_run *run);
double bench_read_count(bench_run *run);
double bench_read_cold(bench_run *run, bool read_ahead, int round);
double bench_write_load_again(bench_run *run);
double bench_write_load_half(bench_run *run);
double bench_write_settle(bench_run *run);
double bench_write_put(bench_run *run, bench_workload workload, int round);
double bench_write_delete(bench_run *run);
double bench_write_commits(bench_run *run, bench_workload workload, int round);

#endif
