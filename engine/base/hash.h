/* SPDX-License-Identifier: MIT */
/*
 * The hash of a key, and what a node takes from it.
 *
 * A key is hashed once, to 128 bits, with the file's seed and the key's class. A node mixes the
 * hash with its salt to 32 bits; the slot is the mix scaled to the node's slots. The fingerprint
 * is the top byte of the high half, the same under every salt, so a record keeps it when it moves.
 *
 *     hash = XXH3_128(bytes, seed + class * GOLDEN)       low, high: 64 bits each
 *     x    = (low ^ salt * GOLDEN) * MIX1                 modulo 2^64
 *     x    = x ^ (x >> 32)
 *     x    = (x + high) * MIX2
 *     mix  = x >> 32
 *     slot = (mix * slots) >> 32
 *     fingerprint = high >> 56
 *
 * These formulas and numbers are in files (docs/format.md has test vectors). Changing them breaks
 * files.
 */
#ifndef HTT_BASE_HASH_H
#define HTT_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

#define HTT_HASH_GOLDEN UINT64_C(0x9E3779B97F4A7C15) /* 2^64 / golden ratio, odd */
#define HTT_HASH_MIX1 UINT64_C(0xD6E8FEB86659FD93)   /* odd, half of its bits set */
#define HTT_HASH_MIX2 UINT64_C(0xC2B2AE3D27D4EB4F)   /* odd, half of its bits set */

typedef struct htt_hash {
    uint64_t low;  /* bits 0 to 63 */
    uint64_t high; /* bits 64 to 127 */
} htt_hash;

/* Hashes a key. The tree takes one, so that tests can inject keys that collide. */
typedef htt_hash (*htt_hash_function)(uint64_t seed, uint8_t key_class, const void *bytes,
                                      size_t size);

/* The real one. `bytes` may be NULL when size is 0. */
htt_hash htt_hash_key(uint64_t seed, uint8_t key_class, const void *bytes, size_t size);

/* Checksum of bytes: XXH3, 64 bits, no seed. `bytes` may be NULL when size is 0. */
uint64_t htt_hash_bytes(const void *bytes, size_t size);

/* The same of several pieces as if they were one. */
typedef struct htt_hash_part {
    const void *bytes; /* may be NULL when size is 0 */
    size_t size;       /* bytes */
} htt_hash_part;
uint64_t htt_hash_parts(const htt_hash_part *parts, size_t count);

static inline uint32_t htt_hash_mix(htt_hash hash, uint8_t salt) {
    uint64_t x = (hash.low ^ ((uint64_t)salt * HTT_HASH_GOLDEN)) * HTT_HASH_MIX1;
    x ^= x >> 32;
    x = (x + hash.high) * HTT_HASH_MIX2;
    return (uint32_t)(x >> 32);
}

/* 0 to slot_count - 1; monotonous in mix, so halves of a slot are neighbours when slots double. */
static inline uint32_t htt_hash_slot(uint32_t mix, uint32_t slot_count) {
    return (uint32_t)(((uint64_t)mix * slot_count) >> 32);
}

static inline uint8_t htt_hash_fingerprint(htt_hash hash) {
    return (uint8_t)(hash.high >> 56);
}

#endif
