/* SPDX-License-Identifier: MIT */
/*
 * Keys and values from a seed. Both are made inside the timed loops, so they are made to be cheap:
 * some nanoseconds for a key, and a value is compared eight bytes at a time.
 */
#include "bench_dataset.h"

#include <string.h>

#define DATASET_GOLDEN UINT64_C(0x9E3779B97F4A7C15) /* 2^64 / golden ratio, odd */

/* A permutation of the 64-bit numbers: xor with own upper bits, times odd numbers. */
static inline uint64_t dataset_mix(uint64_t x) {
    x = (x ^ (x >> 32)) * UINT64_C(0xD6E8FEB86659FD93);
    x = (x ^ (x >> 29)) * UINT64_C(0xC2B2AE3D27D4EB4F);
    return x ^ (x >> 32);
}

static inline uint64_t dataset_load(const uint8_t *bytes) {
    uint64_t word;
    memcpy(&word, bytes, sizeof word);
    return word;
}

uint64_t bench_random(uint64_t *state) {
    *state += DATASET_GOLDEN;
    return dataset_mix(*state);
}

uint64_t bench_random_below(uint64_t *state, uint64_t limit) {
    return ((bench_random(state) >> 32) * limit) >> 32; /* limit is at most BENCH_ROWS_MAX */
}

static uint64_t dataset_common_factor(uint64_t a, uint64_t b) {
    while (b != 0) {
        const uint64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

void bench_dataset_prepare(bench_dataset *dataset) {
    uint64_t step = (dataset->rows * 618) / 1000 + 1; /* far apart: neighbours in no cache line */
    while (dataset_common_factor(step, dataset->rows) != 1) {
        step++;
    }
    dataset->step = step;
}

uint64_t bench_dataset_order(const bench_dataset *dataset, uint64_t place) {
    return (place * dataset->step + dataset->seed % dataset->rows) % dataset->rows;
}

/* 32 bits as 8 hexadecimal digits, all at once: each half byte into a byte, then 0-9 a-f. */
static inline uint64_t dataset_digits(uint64_t bits) {
    const uint64_t ones = UINT64_C(0x0101010101010101);
    bits = (bits | bits << 16) & UINT64_C(0x0000FFFF0000FFFF);
    bits = (bits | bits << 8) & UINT64_C(0x00FF00FF00FF00FF);
    bits = (bits | bits << 4) & UINT64_C(0x0F0F0F0F0F0F0F0F);
    const uint64_t letters = ((bits + 6 * ones) >> 4) & ones;
    return bits + '0' * ones + letters * ('a' - '0' - 10);
}

/* The row's number in decimal digits, zeros in front. */
static void dataset_ordered_key(const bench_dataset *dataset, uint64_t index, uint8_t *key_out) {
    memset(key_out, '0', dataset->key_size);
    for (size_t i = dataset->key_size; i > 0 && index != 0; i--) {
        key_out[i - 1] = (uint8_t)('0' + index % 10);
        index /= 10;
    }
}

void bench_dataset_key(const bench_dataset *dataset, uint64_t index, uint8_t *key_out) {
    if (dataset->ordered) {
        dataset_ordered_key(dataset, index, key_out);
        return;
    }
    uint64_t bits = dataset_mix(index + dataset->seed * DATASET_GOLDEN);
    uint64_t word = 0;
    for (size_t i = 0; i < dataset->key_size; i += sizeof word) {
        const size_t left = dataset->key_size - i;
        const bool second = dataset->text && i % 16 == 8;
        word = !dataset->text ? bits : dataset_digits(second ? bits >> 32 : bits & 0xFFFFFFFFu);
        if (left >= sizeof word) {
            memcpy(key_out + i, &word, sizeof word); /* a constant size: one instruction */
        } else {
            memcpy(key_out + i, &word, left);
        }
        if (!dataset->text || second) {
            bits = dataset_mix(bits + DATASET_GOLDEN);
        }
    }
}

uint64_t bench_dataset_key_hash(const bench_dataset *dataset, const uint8_t *key) {
    const uint64_t first = dataset_load(key);
    const uint64_t last = dataset_load(key + dataset->key_size - sizeof last);
    return dataset_mix(first + (last << 17 | last >> 47));
}

uint64_t bench_dataset_key_sum(const bench_dataset *dataset) {
    uint8_t key[BENCH_KEY_MAX];
    uint64_t sum = 0;
    for (uint64_t i = 0; i < dataset->rows; i++) {
        bench_dataset_key(dataset, i, key);
        sum += bench_dataset_key_hash(dataset, key);
    }
    return sum;
}

static inline uint64_t dataset_base(const bench_dataset *dataset, const uint8_t *key,
                                    uint8_t version) {
    return dataset_mix(bench_dataset_key_hash(dataset, key) + version);
}

void bench_dataset_value(const bench_dataset *dataset, const uint8_t *key, uint8_t version,
                         uint8_t *value_out) {
    const size_t size = dataset->value_size;
    uint64_t word = dataset_base(dataset, key, version);
    size_t i = 0;
    for (; i + sizeof word <= size; i += sizeof word) {
        memcpy(value_out + i, &word, sizeof word);
        word += DATASET_GOLDEN;
    }
    memcpy(value_out + i, &word, size - i);
}

bool bench_dataset_is_value(const bench_dataset *dataset, const uint8_t *key, uint8_t version,
                            const void *value, size_t size) {
    if (size != dataset->value_size) {
        return false;
    }
    const uint8_t *bytes = value;
    uint64_t word = dataset_base(dataset, key, version);
    uint64_t difference = 0; /* looked at once, at the end: no branch per word */
    size_t i = 0;
    for (; i + sizeof word <= size; i += sizeof word) {
        difference |= dataset_load(bytes + i) ^ word;
        word += DATASET_GOLDEN;
    }
    return difference == 0 && (i == size || memcmp(bytes + i, &word, size - i) == 0);
}
