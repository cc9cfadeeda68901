/* SPDX-License-Identifier: MIT */
/*
 * Random rows of which few are asked for often: Zipf's law with the exponent .99, as YCSB has it.
 */
#ifndef BENCH_ZIPF_H
#define BENCH_ZIPF_H

#include "bench_dataset.h"

typedef struct bench_zipf {
    uint64_t rows; /* to choose from */
    double zeta;   /* sum of 1 / i^.99 for i from 1 to rows */
    double eta;    /* of the formula */
} bench_zipf;

/* Takes a time that grows with `rows`. */
void bench_zipf_prepare(bench_zipf *zipf, uint64_t rows);

/* A rank from 0 (the most frequent) to rows - 1. */
uint64_t bench_zipf_rank(const bench_zipf *zipf, uint64_t *random);

/*
 * Rows for `count` gets, so that choosing them takes no time when it is measured; the frequent
 * ones are not neighbours. Caller frees with free.
 */
uint32_t *bench_zipf_rows(const bench_dataset *dataset, uint64_t *random, uint64_t count);

#endif
