/* SPDX-License-Identifier: MIT */
/* Random numbers of the tests of sql/: repeatable from a seed that is printed. */
#ifndef HTT_TESTS_SQL_TEST_SEED_H
#define HTT_TESTS_SQL_TEST_SEED_H

#include <stdint.h>

/* HTT_TEST_SEED, or another one each time; printed. */
uint64_t test_seed(void);

/* The next number, all 64 bits; *seed moves on. */
uint64_t test_random(uint64_t *seed);
/* 0 to below - 1. */
uint64_t test_random_below(uint64_t *seed, uint64_t below);

#endif
