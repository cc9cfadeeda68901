/* SPDX-License-Identifier: MIT */
/*
 * The clock, and figures from several measurements.
 */
#ifndef BENCH_CLOCK_H
#define BENCH_CLOCK_H

#include <stddef.h>
#include <stdint.h>

/* Nanoseconds of a clock that is never set. */
uint64_t bench_clock_now(void);

/* Nanoseconds since `start` for each of `count`. */
double bench_clock_per(uint64_t start, uint64_t count);

/* The middle one of `count` figures, 1 to BENCH_ROUNDS_MAX; the mean of the two if even. */
double bench_clock_median(const double *figures, int count);

/* The sample that `percent` of `count` samples are not above. Sorts them. count > 0. */
uint64_t bench_clock_percentile(uint64_t *samples, size_t count, double percent);

#endif
