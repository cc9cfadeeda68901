/* SPDX-License-Identifier: MIT */
/*
 * What the tests of engine/page share: random numbers with a printed seed, pages of exactly their
 * size (so that AddressSanitizer sees a byte too far), and how a fault is expected.
 */
#ifndef HTT_TESTS_PAGE_SUPPORT_H
#define HTT_TESTS_PAGE_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "page/fault.h"

/* SplitMix64. */
static inline uint64_t page_random(uint64_t *state) {
    uint64_t x = *state += UINT64_C(0x9E3779B97F4A7C15);
    x = (x ^ (x >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94D049BB133111EB);
    return x ^ (x >> 31);
}

/* 0 to below - 1. */
static inline uint32_t page_random_below(uint64_t *state, uint32_t below) {
    return (uint32_t)((page_random(state) >> 32) * below >> 32);
}

static inline void page_random_fill(uint64_t *state, uint8_t *bytes, size_t size) {
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)page_random(state);
}

/* HTT_TEST_SEED, or another one each time; printed. */
static inline uint64_t page_seed(void) {
    const char *text = getenv("HTT_TEST_SEED");
    uint64_t seed = (uint64_t)time(NULL);

    if (text != NULL)
        seed = strtoull(text, NULL, 0);
    print_message("HTT_TEST_SEED=%llu\n", (unsigned long long)seed);
    return seed;
}

/* `size` bytes of rubbish on the heap; the caller frees them. */
static inline uint8_t *page_alloc(size_t size) {
    uint8_t *bytes = malloc(size);

    assert_non_null(bytes);
    memset(bytes, 0xEE, size);
    return bytes;
}

/* A check said no, for this reason at this byte. */
#define assert_fault(ok, fault, at, text)                                                          \
    do {                                                                                           \
        (fault).reason = "no reason given";                                                        \
        (fault).offset = UINT32_MAX;                                                               \
        assert_false(ok);                                                                          \
        assert_string_equal((fault).reason, text);                                                 \
        assert_int_equal((fault).offset, at);                                                      \
    } while (0)

/* A check said yes; prints the reason when it did not. */
#define assert_sound(ok, fault)                                                                    \
    do {                                                                                           \
        (fault).reason = "";                                                                       \
        if (!(ok))                                                                                 \
            fail_msg("%s (at byte %u)", (fault).reason, (unsigned)(fault).offset);                 \
    } while (0)

#endif
