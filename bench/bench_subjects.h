/* SPDX-License-Identifier: MIT */
/*
 * The subjects there are, and choosing some of them by name.
 */
#ifndef BENCH_SUBJECTS_H
#define BENCH_SUBJECTS_H

#include "bench.h"

enum { BENCH_SUBJECTS_MAX = 16 };

/* Some subjects: those through SQL first, in each group what others are compared to first. */
typedef struct bench_subjects {
    const bench_subject *list[BENCH_SUBJECTS_MAX]; /* static */
    int count;                                     /* of them */
} bench_subjects;

/*
 * Chooses by `names`: ids or the words sql, native, peers, all, with commas between. What is known
 * but not built in, as its library is not there, is named on stderr and left out; an unknown name
 * ends the program.
 */
void bench_subjects_choose(const char *names, bench_subjects *chosen_out);

/* Without those that are there for transactions of one row alone. */
void bench_subjects_drop_alone(bench_subjects *subjects);

#endif
