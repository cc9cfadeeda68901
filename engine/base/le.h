/* SPDX-License-Identifier: MIT */
/*
 * Little-endian integers and varints in runs of bytes.
 *
 * The only way in which the engine reads and writes numbers of the file: works on any alignment
 * and on any byte order. The caller has checked the bounds of leN; varint_get checks its own.
 *
 *   leN_get(bytes)                 the number
 *   leN_put(bytes, number)         writes N / 8 bytes
 *   varint_size(number)            bytes that varint_put writes, 1 to 10
 *   varint_put(bytes, number)      writes them, gives their count
 *   varint_get(bytes, size, &out)  bytes read, or 0: cut off, above 64 bits, or not minimal
 *
 * A varint is LEB128: seven bits to a byte, low ones first, bit 7 set on all bytes but the last.
 *
 *     300 = 0b10_0101100   ->   ac 02
 *                               |  +-- 0 0000010   last
 *                               +----- 1 0101100   more follows
 *
 * Every number has one encoding: a last byte of 0 (but for the number 0) is refused.
 */
#ifndef HTT_BASE_LE_H
#define HTT_BASE_LE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define VARINT_SIZE_MAX 10u /* ceil(64 / 7) */

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define LE_SWAP16(number) __builtin_bswap16(number)
#define LE_SWAP32(number) __builtin_bswap32(number)
#define LE_SWAP64(number) __builtin_bswap64(number)
#else
#define LE_SWAP16(number) (number)
#define LE_SWAP32(number) (number)
#define LE_SWAP64(number) (number)
#endif

static inline uint16_t le16_get(const uint8_t *bytes) {
    uint16_t number;
    memcpy(&number, bytes, sizeof number);
    return LE_SWAP16(number);
}

static inline uint32_t le32_get(const uint8_t *bytes) {
    uint32_t number;
    memcpy(&number, bytes, sizeof number);
    return LE_SWAP32(number);
}

static inline uint64_t le64_get(const uint8_t *bytes) {
    uint64_t number;
    memcpy(&number, bytes, sizeof number);
    return LE_SWAP64(number);
}

static inline void le16_put(uint8_t *bytes, uint16_t number) {
    number = LE_SWAP16(number);
    memcpy(bytes, &number, sizeof number);
}

static inline void le32_put(uint8_t *bytes, uint32_t number) {
    number = LE_SWAP32(number);
    memcpy(bytes, &number, sizeof number);
}

static inline void le64_put(uint8_t *bytes, uint64_t number) {
    number = LE_SWAP64(number);
    memcpy(bytes, &number, sizeof number);
}

static inline size_t varint_size(uint64_t number) {
    size_t size = 1;
    while (number >= 0x80) {
        number >>= 7;
        size++;
    }
    return size;
}

static inline size_t varint_put(uint8_t *bytes, uint64_t number) {
    size_t size = 0;
    while (number >= 0x80) {
        bytes[size++] = (uint8_t)(number | 0x80);
        number >>= 7;
    }
    bytes[size++] = (uint8_t)number;
    return size;
}

/* *number_out is untouched when 0 is returned. */
static inline size_t varint_get(const uint8_t *bytes, size_t size, uint64_t *number_out) {
    if (size > 0 && bytes[0] < 0x80) { /* most are one byte */
        *number_out = bytes[0];
        return 1;
    }
    uint64_t number = 0;
    const size_t end = size < VARINT_SIZE_MAX ? size : VARINT_SIZE_MAX;
    for (size_t i = 0; i < end; i++) {
        const uint8_t byte = bytes[i];
        if (i == VARINT_SIZE_MAX - 1 && byte > 1) {
            return 0; /* above 64 bits */
        }
        number |= (uint64_t)(byte & 0x7f) << (7 * i);
        if (byte < 0x80) {
            if (byte == 0) {
                return 0; /* i > 0 here: not minimal */
            }
            *number_out = number;
            return i + 1;
        }
    }
    return 0;
}

#endif
