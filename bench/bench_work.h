/* SPDX-License-Identifier: MIT */
/*
 * The workloads: what each does, and running it on a subject.
 */
#ifndef BENCH_WORK_H
#define BENCH_WORK_H

#include "bench.h"

typedef struct bench_work_info {
    const char *id;    /* in JSON */
    const char *title; /* in the table */
    const char *unit;  /* of the figure */
    bool more;         /* a greater figure is the better one */
    bool repeated;     /* measured config.rounds times: it changes nothing */
} bench_work_info;

extern const bench_work_info bench_work_infos[BENCH_WORKLOADS];

/* A subject that is being measured. */
typedef struct bench_run {
    const bench_config *config;   /* borrowed */
    const bench_subject *subject; /* borrowed */
    void *state;                  /* the subject's */
    uint8_t *versions;            /* what each row should be: a version, or BENCH_ABSENT; owned */
    uint64_t *samples;            /* nanoseconds of one-row commits; owned */
    double p50;                   /* of the last one-row commits, microseconds */
    double p99;                   /* the same */
} bench_run;

void bench_work_open(bench_run *run, const bench_config *config, const bench_subject *subject);
void bench_work_close(bench_run *run);

/* Runs a workload; its figure in its unit. A wrong answer ends the program. */
double bench_work_measure(bench_run *run, bench_workload workload, int round);

/* Reads every row (not timed) and runs the subject's own check. */
void bench_work_verify(bench_run *run);

/* What this program itself needs to make a key and check a value: nanoseconds, in every get. */
double bench_work_overhead(const bench_config *config);

#endif
