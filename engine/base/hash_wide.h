/* SPDX-License-Identifier: MIT */
/*
 * The checksum of hash.h with vectors of 32 bytes: the same function, a third of the time for a
 * page. Not every processor has them, so hash.c asks first.
 */
#ifndef HTT_BASE_HASH_WIDE_H
#define HTT_BASE_HASH_WIDE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__x86_64__) && defined(__GNUC__)
#define HTT_HASH_HAS_WIDE 1
#else
#define HTT_HASH_HAS_WIDE 0
#endif

#if HTT_HASH_HAS_WIDE
/* This processor, and the system on it, can. */
static inline bool htt_hash_wide_works(void) {
    return __builtin_cpu_supports("avx2") != 0;
}

/* XXH3, 64 bits, no seed. Only where it works. */
uint64_t htt_hash_wide(const void *bytes, size_t size);
#endif

#endif
