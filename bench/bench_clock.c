/* SPDX-License-Identifier: MIT */
/*
 * The clock, and figures from several measurements.
 */
#include "bench_clock.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench.h"

uint64_t bench_clock_now(void) {
    struct timespec now;
    if (clock_gettime(CLOCK_MONOTONIC, &now) != 0) {
        bench_fail("there is no monotonic clock");
    }
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

double bench_clock_per(uint64_t start, uint64_t count) {
    return (double)(bench_clock_now() - start) / (double)count;
}

static int clock_compare_doubles(const void *a, const void *b) {
    double x;
    double y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return (x > y) - (x < y);
}

static int clock_compare_samples(const void *a, const void *b) {
    uint64_t x;
    uint64_t y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return (x > y) - (x < y);
}

double bench_clock_median(const double *figures, int count) {
    assert(count >= 1 && count <= BENCH_ROUNDS_MAX);
    double sorted[BENCH_ROUNDS_MAX];
    memcpy(sorted, figures, (size_t)count * sizeof sorted[0]);
    qsort(sorted, (size_t)count, sizeof sorted[0], clock_compare_doubles);
    return (sorted[count / 2] + sorted[(count - 1) / 2]) / 2;
}

uint64_t bench_clock_percentile(uint64_t *samples, size_t count, double percent) {
    assert(count > 0);
    qsort(samples, count, sizeof samples[0], clock_compare_samples);
    const size_t place = (size_t)((double)count * percent / 100);
    return samples[place < count ? place : count - 1];
}
