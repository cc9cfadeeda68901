/* SPDX-License-Identifier: MIT */
/*
 * Zipf's law by inverting an approximation of its sum: J. Gray and others, "Quickly generating
 * billion-record synthetic databases", SIGMOD 1994, which YCSB uses as well. The first two ranks
 * are exact.
 */
#include "bench_zipf.h"

#include <math.h>
#include <stddef.h>

#include "bench.h"

static const double zipf_theta = 0.99;

void bench_zipf_prepare(bench_zipf *zipf, uint64_t rows) {
    double zeta = 0;
    for (uint64_t i = 1; i <= rows; i++) {
        zeta += pow((double)i, -zipf_theta);
    }
    const double zeta_of_two = 1 + pow(2, -zipf_theta);
    zipf->rows = rows;
    zipf->zeta = zeta;
    zipf->eta =
        rows <= 2 ? 1 : (1 - pow(2.0 / (double)rows, 1 - zipf_theta)) / (1 - zeta_of_two / zeta);
}

uint64_t bench_zipf_rank(const bench_zipf *zipf, uint64_t *random) {
    const double u = (double)(bench_random(random) >> 11) * 0x1p-53;
    const double part = u * zipf->zeta;
    if (part < 1 || zipf->rows == 1) {
        return 0;
    }
    if (part < 1 + pow(0.5, zipf_theta)) {
        return 1;
    }
    const double rank =
        (double)zipf->rows * pow(zipf->eta * u - zipf->eta + 1, 1 / (1 - zipf_theta));
    return rank < (double)zipf->rows ? (uint64_t)rank : zipf->rows - 1;
}

uint32_t *bench_zipf_rows(const bench_dataset *dataset, uint64_t *random, uint64_t count) {
    bench_zipf zipf;
    bench_zipf_prepare(&zipf, dataset->rows);
    uint32_t *rows = bench_allocate((size_t)count, sizeof rows[0]);
    for (uint64_t i = 0; i < count; i++) {
        rows[i] = (uint32_t)bench_dataset_order(dataset, bench_zipf_rank(&zipf, random));
    }
    return rows;
}
