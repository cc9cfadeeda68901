/* SPDX-License-Identifier: MIT */
/*
 * The one place, with hash_wide.c, that knows xxHash. Its code is compiled in: no symbol of it is
 * exported, and no library is needed when libhtt is loaded.
 */
#include "base/hash.h"

#include "base/hash_wide.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

enum { HASH_SHORT = 240 }; /* up to here XXH3 takes no vectors */

htt_hash htt_hash_key(uint64_t seed, uint8_t key_class, const void *bytes, size_t size) {
    const uint64_t class_seed = seed + (uint64_t)key_class * HTT_HASH_GOLDEN;
    const XXH128_hash_t hash = XXH3_128bits_withSeed(size > 0 ? bytes : "", size, class_seed);
    return (htt_hash){.low = hash.low64, .high = hash.high64};
}

uint64_t htt_hash_bytes(const void *bytes, size_t size) {
#if HTT_HASH_HAS_WIDE
    if (size > HASH_SHORT && htt_hash_wide_works())
        return htt_hash_wide(bytes, size);
#endif
    return XXH3_64bits(size > 0 ? bytes : "", size);
}

uint64_t htt_hash_parts(const htt_hash_part *parts, size_t count) {
    XXH3_state_t state;
    XXH3_INITSTATE(&state);
    /* These fail for a NULL state or NULL input only. */
    (void)XXH3_64bits_reset(&state);
    for (size_t i = 0; i < count; i++) {
        if (parts[i].size > 0)
            (void)XXH3_64bits_update(&state, parts[i].bytes, parts[i].size);
    }
    return XXH3_64bits_digest(&state);
}
