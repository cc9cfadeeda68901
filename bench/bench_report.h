/* SPDX-License-Identifier: MIT */
/*
 * The results: a table for people (Markdown) and a JSON file for programs, with all that is needed
 * to judge and repeat the run.
 */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include "bench.h"
#include "bench_machine.h"

enum { BENCH_SUBJECTS_MAX = 8 };

/* What one subject gave in one workload. */
typedef struct bench_result {
    double figures[BENCH_ROUNDS_MAX]; /* in the workload's unit */
    int count;                        /* figures; 0 = not measured */
    double p50;                       /* of one-row commits, microseconds; 0 = none */
    double p99;                       /* the same */
} bench_result;

typedef struct bench_report {
    const bench_config *config;           /* borrowed */
    const bench_machine *machine;         /* borrowed */
    const bench_subject *const *subjects; /* borrowed; the first is what others are compared to */
    int subject_count;                    /* 1 to BENCH_SUBJECTS_MAX */
    const char *command;                  /* that repeats the run; borrowed */
    double overhead;                      /* the program's own nanoseconds in every get */
    bench_result results[BENCH_WORKLOADS][BENCH_SUBJECTS_MAX];
} bench_report;

/* How many times better than the first subject; above 1 = better. */
double bench_report_ratio(const bench_report *report, bench_workload workload, int subject);

/* The table, to stdout. */
void bench_report_print(const bench_report *report);

/* The JSON file; replaces it. */
void bench_report_write(const bench_report *report, const char *path);

#endif
