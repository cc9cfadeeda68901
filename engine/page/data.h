/* SPDX-License-Identifier: MIT */
/*
 * Data page: the records of a contiguous range of slots, in no order.
 *
 *   OFFSET    SIZE  FIELD
 *        0      24  page header, type 'D', count = n >= 1
 *       24       n  fingerprints, one byte per record: bits 56..63 of the key's hash (high half)
 *   24 + n      2n  starts: u16 offset of each record in the page, strictly descending
 *  24 + 3n          free space
 *  start of record n-1 .. end of page: records, without gaps. Record i ends where record i-1
 *                   begins; record 0 ends at the end of the page.
 *
 *   0        24      24+n      24+3n        start[n-1]   start[1]   start[0]    page size
 *   +--------+-------+---------+------------+------------+- - - - --+-----------+
 *   | header | fp[n] | start[n]|    free    | record n-1 |          | record 0  |
 *   +--------+-------+---------+------------+------------+- - - - --+-----------+
 *
 * Record
 *   OFFSET  SIZE  FIELD
 *        0     1  types: bits 0-2 key type, bit 3 key external, bits 4-6 value type,
 *                 bit 7 value in overflow runs
 *        1   1-3  key size in bytes (varint), also when external
 *             ks  the key; when external, its 16-byte hash (low half, high half)
 *           rest  the value, to the record's end; or, with bit 7, an overflow reference:
 *                 varint value size, u8 r = 1..8, then r times { u32 first page, u32 pages }.
 *                 An external key is the first part of what the runs hold, before the value.
 *   Key types in files: 1 integer, 2 real, 3 text, 4 blob, 5 negative zero, 7 integral real.
 *   Value types: 1 integer, 2 real, 3 text, 4 blob, 5 null, 6 row.
 *
 * Invariants
 *   DATA-1  Records and their heads never overlap: start[n-1] >= 24 + 3n.
 *   DATA-2  starts descend strictly, start[0] < page size.
 *   DATA-3  A record ends exactly where its parts end; an inline value takes what is left.
 *   DATA-4  Key external implies value in overflow.
 *   DATA-5  There is no empty data page in a file.
 *
 * Pure functions over one page. No I/O, no allocation.
 */
#ifndef HTT_PAGE_DATA_H
#define HTT_PAGE_DATA_H

#include <assert.h>
#include <stddef.h>
#include <string.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "base/limits.h"
#include "htt.h"
#include "page/header.h"

enum {
    HTT_DATA_SLOT_SIZE = 3,            /* fingerprint and start of one record */
    HTT_DATA_HASH_SIZE = 16,           /* bytes of the hash that stands for an external key */
    HTT_DATA_RUN_SIZE = 8,             /* bytes of one run in a reference */
    HTT_DATA_KEY_EXTERNAL = 1u << 3,   /* in the types byte */
    HTT_DATA_VALUE_OVERFLOW = 1u << 7, /* in the types byte */
    HTT_DATA_RUNS_MAX = HTT_RUNS_MAX
};

/* One overflow run as a reference names it. */
typedef struct htt_run_ref {
    uint32_t first; /* page number */
    uint32_t pages; /* >= 1 */
} htt_run_ref;

/* Where an overflow value is. */
typedef struct htt_overflow {
    uint64_t value_size;                 /* bytes of the value (an external key not counted) */
    uint32_t count;                      /* runs, 1..8 */
    htt_run_ref runs[HTT_DATA_RUNS_MAX]; /* in the order of their bytes */
} htt_overflow;

/* A record, decoded (borrows the page) or to be encoded (borrows the caller's bytes). */
typedef struct htt_record {
    const uint8_t *key;   /* key_size bytes; when key_external, 16 bytes of hash */
    const uint8_t *value; /* value_size bytes inline; the encoded reference when overflow */
    uint32_t key_size;    /* of the key itself, also when external */
    uint32_t value_size;  /* bytes at `value` */
    uint8_t key_type;     /* htt_type as in htt.h */
    uint8_t value_type;   /* htt_type as in htt.h */
    bool key_external;    /* the page has the hash, the runs have the key */
    bool overflow;        /* `value` is a reference */
} htt_record;

/* Bytes of the page between heads and records. A record of size s fits when s + 3 <= free. */
uint32_t htt_data_free(const uint8_t *page, uint32_t page_size);

/* Bytes that all records with their heads take; page_size - 24 - free. */
uint32_t htt_data_used(const uint8_t *page, uint32_t page_size);

/* Bytes an encoded record takes, without its head's 3. */
uint32_t htt_data_record_size(const htt_record *record);

/* Largest record that stays inline in a page of this size: two of them always fit. */
static inline uint32_t htt_data_record_max(uint32_t page_size) {
    return (page_size - HTT_PAGE_HEADER_SIZE) / 2 - HTT_DATA_SLOT_SIZE;
}

/*
 * First index >= from whose fingerprint is `fingerprint`, or count. Reads whole groups of
 * fingerprints, up to 15 bytes behind the last: still in the page, because DATA-1 leaves 2 bytes
 * of start for each of them and no page is smaller than HTT_PAGE_SIZE_MIN.
 */
static inline uint32_t htt_data_next_match(const uint8_t *page, uint32_t from,
                                           uint8_t fingerprint) {
    const uint8_t *fingerprints = page + HTT_PAGE_HEADER_SIZE;
    uint32_t count = htt_page_count(page);

    assert(HTT_PAGE_HEADER_SIZE + 3 * count < HTT_PAGE_SIZE_MAX);
#if defined(__SSE2__)
    const __m128i wanted = _mm_set1_epi8((char)fingerprint);
    for (uint32_t i = from; i < count; i += 16) {
        __m128i group = _mm_loadu_si128((const __m128i *)(const void *)(fingerprints + i));
        unsigned mask = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(group, wanted));
        if (mask != 0) {
            uint32_t index = i + (uint32_t)__builtin_ctz(mask);
            return index < count ? index : count;
        }
    }
#else
    const uint64_t ones = UINT64_C(0x0101010101010101);
    const uint64_t wanted = ones * fingerprint;
    for (uint32_t i = from; i < count; i += 8) {
        uint64_t group = le64_get(fingerprints + i) ^ wanted;
        uint64_t mask = (group - ones) & ~group & (ones << 7); /* its lowest bit is exact */
        if (mask != 0) {
            uint32_t index = i + ((uint32_t)__builtin_ctzll(mask) >> 3);
            return index < count ? index : count;
        }
    }
#endif
    return count;
}

/* Decodes record `index` < count of a page that passed the shallow check. False: damaged. */
bool htt_data_record(const uint8_t *page, uint32_t page_size, uint32_t index,
                     htt_record *record_out, htt_fault *fault);

/* The encoded bytes of record `index`, and its fingerprint. */
static inline const uint8_t *htt_data_raw(const uint8_t *page, uint32_t page_size, uint32_t index,
                                          uint32_t *size_out) {
    uint32_t count = htt_page_count(page);
    const uint8_t *starts = page + HTT_PAGE_HEADER_SIZE + count;
    uint32_t start = le16_get(starts + 2 * (size_t)index);
    uint32_t end = index == 0 ? page_size : le16_get(starts + 2 * (size_t)(index - 1));
    *size_out = end - start;
    return page + start;
}
static inline uint8_t htt_data_fingerprint(const uint8_t *page, uint32_t index) {
    return page[HTT_PAGE_HEADER_SIZE + index];
}

/* A record outside of a page, as htt_data_insert_raw takes it: htt_data_record_size bytes. Decoding
 * is as htt_data_record. */
void htt_data_encode(const htt_record *record, uint8_t *bytes);
bool htt_data_decode(const uint8_t *bytes, uint32_t size, htt_record *record_out, htt_fault *fault);

/*
 * A page of so many records that are known before: into a zeroed page, each in turn, so that no
 * head moves. `end` is the page's size for the first, then what the call before gave.
 */
static inline void htt_data_begin(uint8_t *page, uint32_t count) {
    page[HTT_PAGE_TYPE] = HTT_PAGE_DATA;
    le16_put(page + HTT_PAGE_COUNT, (uint16_t)count);
}
static inline uint32_t htt_data_add(uint8_t *page, uint32_t index, uint32_t end,
                                    uint8_t fingerprint, const uint8_t *bytes, uint32_t size) {
    uint32_t count = htt_page_count(page);
    uint32_t start = end - size;

    assert(index < count && size >= 2);
    assert(start >= HTT_PAGE_HEADER_SIZE + HTT_DATA_SLOT_SIZE * count && start < end); /* DATA-1 */
    page[HTT_PAGE_HEADER_SIZE + index] = fingerprint;
    le16_put(page + HTT_PAGE_HEADER_SIZE + count + 2 * (size_t)index, (uint16_t)start);
    memcpy(page + start, bytes, size);
    return start;
}

/* Writers. The caller has made sure that the record fits (asserted). The new one is the last. */
void htt_data_insert(uint8_t *page, uint32_t page_size, uint8_t fingerprint,
                     const htt_record *record);
void htt_data_insert_raw(uint8_t *page, uint32_t page_size, uint8_t fingerprint,
                         const uint8_t *bytes, uint32_t size);
void htt_data_remove(uint8_t *page, uint32_t page_size, uint32_t index);
/* Puts `record` in place of record `index`; it fits when new size <= old size + free. `record`
 * does not borrow from this page: its bytes move. */
void htt_data_replace(uint8_t *page, uint32_t page_size, uint32_t index, const htt_record *record);

/* Overflow references. encode writes at most HTT_OVERFLOW_SIZE_MAX bytes and gives their count.
 * Offsets in decode's `fault` count from the reference, record->value. */
#define HTT_OVERFLOW_SIZE_MAX (5 + 1 + HTT_DATA_RUNS_MAX * HTT_DATA_RUN_SIZE)
uint32_t htt_overflow_encode(const htt_overflow *overflow, uint8_t *bytes);
bool htt_overflow_decode(const htt_record *record, htt_overflow *overflow_out, htt_fault *fault);

/* shallow: DATA-1, DATA-2, DATA-5. deep: also every record (DATA-3, DATA-4, types, sizes). */
bool htt_data_check(const uint8_t *page, uint32_t page_size, bool deep, htt_fault *fault);

#endif
