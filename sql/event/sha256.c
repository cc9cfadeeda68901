/* SPDX-License-Identifier: MIT */
/*
 * SHA-256. The message is cut into blocks of 64 bytes; the last one or two are padded:
 *
 *     | ... data | 80 | 00 ... 00 | length in bits, 8 bytes, big-endian |
 *
 * Each block is mixed into eight words of 32 bits, which are the digest in the end.
 */
#include "sql/event/sha256.h"

#include <string.h>

enum { SHA_BLOCK = 64, SHA_ROUNDS = 64, SHA_WORDS = 8, SHA_LENGTH = 8 };

/* The first 32 bits of the fractions of the cube roots of the first 64 primes. */
static const uint32_t sha_rounds[SHA_ROUNDS] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static uint32_t sha_turn(uint32_t word, unsigned bits) {
    return word >> bits | word << (32 - bits);
}

static uint32_t sha_load(const uint8_t *bytes) {
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static void sha_mix(uint32_t state[SHA_WORDS], const uint8_t block[SHA_BLOCK]) {
    uint32_t w[SHA_ROUNDS];
    uint32_t v[SHA_WORDS];
    for (unsigned i = 0; i < 16; i++) {
        w[i] = sha_load(block + (size_t)4 * i);
    }
    for (unsigned i = 16; i < SHA_ROUNDS; i++) {
        const uint32_t a = sha_turn(w[i - 15], 7) ^ sha_turn(w[i - 15], 18) ^ w[i - 15] >> 3;
        const uint32_t b = sha_turn(w[i - 2], 17) ^ sha_turn(w[i - 2], 19) ^ w[i - 2] >> 10;
        w[i] = w[i - 16] + a + w[i - 7] + b;
    }
    memcpy(v, state, sizeof v);
    for (unsigned i = 0; i < SHA_ROUNDS; i++) {
        const uint32_t e = sha_turn(v[4], 6) ^ sha_turn(v[4], 11) ^ sha_turn(v[4], 25);
        const uint32_t choice = (v[4] & v[5]) ^ (~v[4] & v[6]);
        const uint32_t first = v[7] + e + choice + sha_rounds[i] + w[i];
        const uint32_t a = sha_turn(v[0], 2) ^ sha_turn(v[0], 13) ^ sha_turn(v[0], 22);
        const uint32_t second = a + ((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]));
        memmove(v + 1, v, sizeof v - sizeof v[0]);
        v[4] += first;
        v[0] = first + second;
    }
    for (unsigned i = 0; i < SHA_WORDS; i++) {
        state[i] += v[i];
    }
}

void htt_sha256(const void *data, size_t size, uint8_t digest_out[HTT_SHA256_SIZE]) {
    /* The first 32 bits of the fractions of the square roots of the first 8 primes. */
    uint32_t state[SHA_WORDS] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    uint8_t last[2 * SHA_BLOCK] = {0};
    const uint8_t *const bytes = data;
    const size_t whole = size / SHA_BLOCK * SHA_BLOCK;
    const size_t rest = size - whole;
    const size_t padded = rest + 1 + SHA_LENGTH <= SHA_BLOCK ? SHA_BLOCK : 2 * SHA_BLOCK;
    const uint64_t bits = (uint64_t)size * 8;
    for (size_t at = 0; at < whole; at += SHA_BLOCK) {
        sha_mix(state, bytes + at);
    }
    if (rest > 0) {
        memcpy(last, bytes + whole, rest);
    }
    last[rest] = 0x80;
    for (unsigned i = 0; i < SHA_LENGTH; i++) {
        last[padded - 1 - i] = (uint8_t)(bits >> 8 * i);
    }
    for (size_t at = 0; at < padded; at += SHA_BLOCK) {
        sha_mix(state, last + at);
    }
    for (unsigned i = 0; i < HTT_SHA256_SIZE; i++) {
        digest_out[i] = (uint8_t)(state[i / 4] >> (24 - 8 * (i % 4)));
    }
}
