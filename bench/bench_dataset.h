/* SPDX-License-Identifier: MIT */
/*
 * Rows that are made up from a seed: row 0, 1, 2 and so on have different keys in no order, and a
 * value follows from its key and a version. So nothing needs to be kept to tell whether an answer
 * is right, and inserting row 0, 1, 2 ... inserts keys in random order.
 *
 *     key of row i     text: random hexadecimal digits; blob: random bytes
 *                      (the first 64 bits are a permutation of i, so keys differ)
 *     value            64-bit words  base, base + G, base + 2 G, ...   cut to its size
 *                      with base = mix(first and last 8 bytes of the key, version)
 */
#ifndef BENCH_DATASET_H
#define BENCH_DATASET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BENCH_ABSENT 255u   /* a version: there is no such row */
#define BENCH_KEY_MIN 11u   /* bytes; 64 bits in characters of 6 bits */
#define BENCH_KEY_MAX 4096u /* bytes */
#define BENCH_ROWS_MAX (UINT64_C(1) << 31)

typedef struct bench_dataset {
    uint64_t rows;     /* 1 to BENCH_ROWS_MAX */
    size_t key_size;   /* bytes, BENCH_KEY_MIN to BENCH_KEY_MAX */
    size_t value_size; /* bytes */
    uint64_t seed;     /* everything follows from it */
    uint64_t step;     /* of bench_dataset_order; has no factor in common with rows */
    bool text;         /* keys are TEXT, else BLOB */
    bool ordered;      /* keys are decimal numbers that ascend with the row, else random */
} bench_dataset;

/* Fills in `step`, from the other fields. */
void bench_dataset_prepare(bench_dataset *dataset);

/* The key of row `index`; from `rows` on, keys that are not in the table. */
void bench_dataset_key(const bench_dataset *dataset, uint64_t index, uint8_t *key_out);

/* The value of a key. */
void bench_dataset_value(const bench_dataset *dataset, const uint8_t *key, uint8_t version,
                         uint8_t *value_out);

/* Whether a value has the right size and all the right bytes. */
bool bench_dataset_is_value(const bench_dataset *dataset, const uint8_t *key, uint8_t version,
                            const void *value, size_t size);

/* A number of a key, and the sum of it over rows 0 to rows - 1: a scan that sees each once. */
uint64_t bench_dataset_key_hash(const bench_dataset *dataset, const uint8_t *key);
uint64_t bench_dataset_key_sum(const bench_dataset *dataset);

/* A permutation of the rows: the row at place `place`, 0 to rows - 1. */
uint64_t bench_dataset_order(const bench_dataset *dataset, uint64_t place);

/* Random numbers: any start, then one per call; and one from 0 to limit - 1. */
uint64_t bench_random(uint64_t *state);
uint64_t bench_random_below(uint64_t *state, uint64_t limit);

#endif
