/* SPDX-License-Identifier: MIT */
/*
 * The results: rows of figures, as a table for people (Markdown) and a JSON file for programs, with
 * all that is needed to judge and repeat the run.
 */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include "bench.h"
#include "bench_machine.h"
#include "bench_run.h"
#include "bench_subjects.h"

enum { BENCH_ROWS_OF_REPORT = 96 };

/* What one subject gave in one row. */
typedef struct bench_result {
    double figures[BENCH_ROUNDS_MAX];     /* in the row's unit */
    int count;                            /* figures; 0 = not measured */
    bench_extra extras[BENCH_EXTRAS_MAX]; /* of the last figure */
    int extra_count;                      /* of them */
} bench_result;

typedef struct bench_row {
    const char *id;    /* in JSON; static, like the next two */
    const char *title; /* in the table */
    const char *unit;  /* of the figures */
    bool more;         /* a greater figure is the better one */
    uint64_t rows;     /* in the table that it was measured with */
    bench_result results[BENCH_SUBJECTS_MAX];
} bench_row;

typedef struct bench_report {
    const char *program;        /* its name; static */
    const bench_config *config; /* borrowed */
    char *command;              /* that repeats the run; owned */
    bench_machine machine;      /* what it runs on */
    bench_subjects subjects;    /* columns */
    double overhead;            /* the program's own nanoseconds in every get; 0 = not measured */
    bench_row rows[BENCH_ROWS_OF_REPORT];
    int row_count; /* of them */
} bench_report;

/* Adds a row; there must be space for it. */
bench_row *bench_report_add(bench_report *report, const char *id, const char *title,
                            const char *unit, bool more);

/* Notes a figure that `run` just gave, with its extras. */
void bench_report_note(bench_row *row, int subject, double figure, const bench_run *run);

double bench_report_median(const bench_row *row, int subject);

/* How many times better than another subject; above 1 = better; 0 = one of them has no figure. */
double bench_report_ratio(const bench_row *row, int subject, int other);

/* What is being measured, on stderr; (NULL, NULL) at the end. */
void bench_report_progress(const char *what, const char *who);

/* The table, to stdout. */
void bench_report_print(const bench_report *report);

/* The JSON file; replaces it. */
void bench_json_write(const bench_report *report, const char *path);

#endif
