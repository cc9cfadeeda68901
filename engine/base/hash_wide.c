/* SPDX-License-Identifier: MIT */
/* xxHash compiled once more, for processors with AVX2. See hash_wide.h. */
#include "base/hash_wide.h"

#if HTT_HASH_HAS_WIDE
#include <immintrin.h>
#include <stdlib.h>
#include <string.h>

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2")
#endif

#define XXH_INLINE_ALL
#define XXH_VECTOR 2 /* XXH_AVX2, whatever the flags of the compiler say */
#include <xxhash.h>

uint64_t htt_hash_wide(const void *bytes, size_t size) {
    return XXH3_64bits(size > 0 ? bytes : "", size);
}

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif
