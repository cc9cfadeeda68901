/* SPDX-License-Identifier: MIT */
/*
 * Data page: records in and out, and the checks. The bytes are drawn in data.h; finding a
 * fingerprint is there too. Edits keep the records without gaps, so there is nothing to compact:
 * a record that comes, goes or changes its size moves the ones after it.
 */
#include "page/data.h"

#include <string.h>

#include "base/value.h"

enum {
    DATA_KEY_TYPE_MASK = 7,        /* in the types byte */
    DATA_VALUE_TYPE_SHIFT = 4,     /* in the types byte */
    DATA_VALUE_TYPE_MASK = 7,      /* after the shift */
    DATA_KEY_SIZE_BYTES_MAX = 3,   /* of a key size's varint */
    DATA_OVERFLOW_SIZE_BYTES_MAX = 5, /* of a value size's varint */
    DATA_FIRST_PAGE = 2            /* pages 0 and 1 are meta pages */
};

/* A key type in the file: as in htt.h, but NEGZERO, whose 8 has no room in three bits. */
enum { DATA_FILE_NEGZERO = 5 };

static_assert((unsigned)HTT_INTEGRAL <= DATA_KEY_TYPE_MASK, "key types fit the types byte");
static_assert((unsigned)HTT_ROW <= DATA_VALUE_TYPE_MASK, "value types fit the types byte");
static_assert(HTT_KEY_SIZE_MAX < 1u << 7 * DATA_KEY_SIZE_BYTES_MAX, "key sizes in three bytes");
static_assert(HTT_VALUE_SIZE_MAX < UINT64_C(1) << 7 * DATA_OVERFLOW_SIZE_BYTES_MAX,
              "value sizes in five bytes");
static_assert(HTT_PAGE_SIZE_MAX / (HTT_DATA_SLOT_SIZE + 2) <= UINT16_MAX, "the count fits");
/* n records need 24 + 5n bytes, and a search reads up to byte 24 + n + 15. */
static_assert((HTT_PAGE_SIZE_MIN - HTT_PAGE_HEADER_SIZE) / HTT_DATA_SLOT_SIZE + 15 +
                      HTT_PAGE_HEADER_SIZE <= HTT_PAGE_SIZE_MIN,
              "a search of fingerprints stays in the page");

/* ---------------------------------------------------------------- geometry */

static uint8_t *data_starts(uint8_t *page) {
    return page + HTT_PAGE_HEADER_SIZE + htt_page_count(page);
}

/* First byte of the records: the start of the last, or the page's end. */
static uint32_t data_low(const uint8_t *page, uint32_t page_size) {
    uint32_t count = htt_page_count(page);

    if (count == 0)
        return page_size;
    return le16_get(page + HTT_PAGE_HEADER_SIZE + count + 2 * (size_t)(count - 1));
}

uint32_t htt_data_free(const uint8_t *page, uint32_t page_size) {
    uint32_t heads = HTT_PAGE_HEADER_SIZE + HTT_DATA_SLOT_SIZE * htt_page_count(page);
    uint32_t low = data_low(page, page_size);

    assert(low >= heads); /* DATA-1 */
    return low - heads;
}

uint32_t htt_data_used(const uint8_t *page, uint32_t page_size) {
    return page_size - HTT_PAGE_HEADER_SIZE - htt_data_free(page, page_size);
}

static uint32_t data_key_bytes(const htt_record *record) {
    return record->key_external ? (uint32_t)HTT_DATA_HASH_SIZE : record->key_size;
}

uint32_t htt_data_record_size(const htt_record *record) {
    assert(record->key_size <= HTT_KEY_SIZE_MAX);
    assert(!record->key_external || record->overflow); /* DATA-4 */
    return 1 + (uint32_t)varint_size(record->key_size) + data_key_bytes(record) +
           record->value_size;
}

/* ------------------------------------------------------------------- types */

static uint8_t data_types(const htt_record *record) {
    unsigned key_type = record->key_type == HTT_NEGZERO ? DATA_FILE_NEGZERO : record->key_type;
    unsigned types = key_type | (unsigned)record->value_type << DATA_VALUE_TYPE_SHIFT;

    assert(record->key_type >= HTT_INTEGER);
    assert(record->key_type <= HTT_BLOB || record->key_type >= HTT_INTEGRAL);
    assert(record->key_type <= HTT_NEGZERO);
    assert(record->value_type >= HTT_INTEGER);
    assert(record->value_type <= HTT_ROW);
    if (record->key_external)
        types |= HTT_DATA_KEY_EXTERNAL;
    if (record->overflow)
        types |= HTT_DATA_VALUE_OVERFLOW;
    return (uint8_t)types;
}

/* 0: not a type of keys. */
static uint8_t data_key_type(uint8_t types) {
    static const uint8_t from_file[DATA_KEY_TYPE_MASK + 1] = {
        0, HTT_INTEGER, HTT_REAL, HTT_TEXT, HTT_BLOB, HTT_NEGZERO, 0, HTT_INTEGRAL};

    return from_file[types & DATA_KEY_TYPE_MASK];
}

static uint8_t data_value_type(uint8_t types) {
    uint8_t type = (uint8_t)(types >> DATA_VALUE_TYPE_SHIFT & DATA_VALUE_TYPE_MASK);

    return type <= HTT_ROW ? type : 0;
}

/* ----------------------------------------------------------------- records */

void htt_data_encode(const htt_record *record, uint8_t *bytes) {
    uint8_t *at = bytes;

    *at++ = data_types(record);
    at += varint_put(at, record->key_size);
    if (data_key_bytes(record) > 0)
        memcpy(at, record->key, data_key_bytes(record));
    at += data_key_bytes(record);
    if (record->value_size > 0)
        memcpy(at, record->value, record->value_size);
    assert(at + record->value_size == bytes + htt_data_record_size(record));
}

/* A record of `size` bytes at `offset` of the page. */
static bool data_decode(const uint8_t *page, uint32_t offset, uint32_t size, htt_record *record,
                        htt_fault *fault) {
    const uint8_t *bytes = page + offset;
    uint64_t key_size = 0;
    uint32_t used;

    record->key_type = data_key_type(bytes[0]);
    record->value_type = data_value_type(bytes[0]);
    record->key_external = (bytes[0] & HTT_DATA_KEY_EXTERNAL) != 0;
    record->overflow = (bytes[0] & HTT_DATA_VALUE_OVERFLOW) != 0;
    if (record->key_type == 0)
        return htt_fault_at(fault, offset, "unknown key type");
    if (record->value_type == 0)
        return htt_fault_at(fault, offset, "unknown value type");
    if (record->key_external && !record->overflow)
        return htt_fault_at(fault, offset, "external key with an inline value"); /* DATA-4 */
    used = 1 + (uint32_t)varint_get(bytes + 1, size - 1, &key_size);
    if (used == 1 || key_size > HTT_KEY_SIZE_MAX)
        return htt_fault_at(fault, offset + 1, "bad key size");
    record->key_size = (uint32_t)key_size;
    if (data_key_bytes(record) > size - used)
        return htt_fault_at(fault, offset + 1, "key past the end of its record");
    record->key = bytes + used;
    record->value = record->key + data_key_bytes(record);
    record->value_size = size - used - data_key_bytes(record);
    return true;
}

bool htt_data_decode(const uint8_t *bytes, uint32_t size, htt_record *record_out,
                     htt_fault *fault) {
    assert(size >= 1);
    return data_decode(bytes, 0, size, record_out, fault);
}

bool htt_data_record(const uint8_t *page, uint32_t page_size, uint32_t index,
                     htt_record *record_out, htt_fault *fault) {
    htt_record record;
    uint32_t size;
    const uint8_t *bytes = htt_data_raw(page, page_size, index, &size);

    assert(index < htt_page_count(page));
    assert(size >= 1);
    if (!data_decode(page, (uint32_t)(bytes - page), size, &record, fault))
        return false;
    *record_out = record;
    return true;
}

/* ----------------------------------------------------------------- writers */

/* Room for a new last record of `size` bytes, with its head. Gives its start. */
static uint8_t *data_append(uint8_t *page, uint32_t page_size, uint8_t fingerprint,
                            uint32_t size) {
    uint32_t count = htt_page_count(page);
    uint32_t start = data_low(page, page_size) - size;
    uint8_t *starts = data_starts(page);

    assert(size >= 2);
    assert(page[HTT_PAGE_TYPE] == HTT_PAGE_DATA);
    assert(size + HTT_DATA_SLOT_SIZE <= htt_data_free(page, page_size));
    memmove(starts + 1, starts, 2 * (size_t)count);
    starts[0] = fingerprint;
    le16_put(starts + 1 + 2 * (size_t)count, (uint16_t)start);
    le16_put(page + HTT_PAGE_COUNT, (uint16_t)(count + 1));
    return page + start;
}

void htt_data_insert(uint8_t *page, uint32_t page_size, uint8_t fingerprint,
                     const htt_record *record) {
    uint32_t size = htt_data_record_size(record);

    htt_data_encode(record, data_append(page, page_size, fingerprint, size));
}

void htt_data_insert_raw(uint8_t *page, uint32_t page_size, uint8_t fingerprint,
                         const uint8_t *bytes, uint32_t size) {
    memcpy(data_append(page, page_size, fingerprint, size), bytes, size);
}

/* Gives record `index` another size: it and the records behind it move. Its start moves with its
 * first bytes; what is in it afterwards is up to the caller. */
static uint8_t *data_resize(uint8_t *page, uint32_t page_size, uint32_t index, uint32_t size) {
    uint32_t count = htt_page_count(page);
    uint8_t *starts = data_starts(page);
    uint32_t low = data_low(page, page_size);
    uint32_t old_size;
    uint32_t start = (uint32_t)(htt_data_raw(page, page_size, index, &old_size) - page);
    uint32_t down = size - old_size; /* modulo 2^32: negative when it shrinks */

    assert(index < count);
    assert(size <= old_size + htt_data_free(page, page_size));
    if (down == 0)
        return page + start;
    memmove(page + (low - down), page + low, start - low);
    for (uint32_t i = index; i < count; i++) {
        uint8_t *at = starts + 2 * (size_t)i;
        le16_put(at, (uint16_t)(le16_get(at) - down));
    }
    return page + (start - down);
}

void htt_data_remove(uint8_t *page, uint32_t page_size, uint32_t index) {
    uint32_t count = htt_page_count(page);
    uint8_t *starts = data_starts(page);
    uint8_t *fingerprint = page + HTT_PAGE_HEADER_SIZE + index;
    uint8_t *start = starts + 2 * (size_t)index;

    assert(index < count);
    (void)data_resize(page, page_size, index, 0);
    /* The fingerprints behind it and the starts before it, one to the left; starts behind, 3. */
    memmove(fingerprint, fingerprint + 1, (size_t)(start - fingerprint) - 1);
    memmove(start - 1, start + 2, 2 * (size_t)(count - index - 1));
    le16_put(page + HTT_PAGE_COUNT, (uint16_t)(count - 1));
}

void htt_data_replace(uint8_t *page, uint32_t page_size, uint32_t index,
                      const htt_record *record) {
    uint32_t size = htt_data_record_size(record);

    assert((uintptr_t)record->key - (uintptr_t)page >= page_size);
    assert((uintptr_t)record->value - (uintptr_t)page >= page_size);
    htt_data_encode(record, data_resize(page, page_size, index, size));
}

/* ---------------------------------------------------------------- overflow */

uint32_t htt_overflow_encode(const htt_overflow *overflow, uint8_t *bytes) {
    uint8_t *at = bytes + varint_put(bytes, overflow->value_size);

    assert(overflow->value_size <= HTT_VALUE_SIZE_MAX);
    assert(overflow->count >= 1);
    assert(overflow->count <= HTT_DATA_RUNS_MAX);
    *at++ = (uint8_t)overflow->count;
    for (uint32_t i = 0; i < overflow->count; i++) {
        assert(overflow->runs[i].first >= DATA_FIRST_PAGE);
        assert(overflow->runs[i].pages >= 1);
        le32_put(at, overflow->runs[i].first);
        le32_put(at + 4, overflow->runs[i].pages);
        at += HTT_DATA_RUN_SIZE;
    }
    assert(at - bytes <= HTT_OVERFLOW_SIZE_MAX);
    return (uint32_t)(at - bytes);
}

/* The runs; `at` is the offset of the first in the reference. */
static bool overflow_decode_runs(const htt_record *record, uint32_t at, htt_overflow *overflow,
                                 htt_fault *fault) {
    for (uint32_t i = 0; i < overflow->count; i++) {
        const uint8_t *bytes = record->value + at;
        htt_run_ref run = {.first = le32_get(bytes), .pages = le32_get(bytes + 4)};
        if (run.first < DATA_FIRST_PAGE)
            return htt_fault_at(fault, at, "meta page in an overflow reference");
        if (run.pages == 0)
            return htt_fault_at(fault, at + 4, "overflow run of no pages");
        if (run.pages > UINT32_MAX - run.first)
            return htt_fault_at(fault, at + 4, "overflow run past the last page number");
        overflow->runs[i] = run;
        at += HTT_DATA_RUN_SIZE;
    }
    return true;
}

bool htt_overflow_decode(const htt_record *record, htt_overflow *overflow_out, htt_fault *fault) {
    htt_overflow overflow = {0};
    uint32_t size = record->value_size;
    uint64_t total;
    uint32_t used;

    assert(record->overflow);
    assert(fault != NULL);
    used = (uint32_t)varint_get(record->value, size, &overflow.value_size);
    if (used == 0 || overflow.value_size > HTT_VALUE_SIZE_MAX)
        return htt_fault_at(fault, 0, "bad value size in an overflow reference");
    if (used == size)
        return htt_fault_at(fault, used - 1, "overflow reference cut off");
    overflow.count = record->value[used];
    if (overflow.count == 0 || overflow.count > HTT_DATA_RUNS_MAX)
        return htt_fault_at(fault, used, "bad number of runs in an overflow reference");
    if (size != used + 1 + overflow.count * HTT_DATA_RUN_SIZE)
        return htt_fault_at(fault, used, "overflow reference of the wrong size"); /* DATA-3 */
    total = overflow.value_size + (record->key_external ? record->key_size : 0);
    if (total < overflow.count)
        return htt_fault_at(fault, 0, "overflow reference with more runs than bytes");
    if (!overflow_decode_runs(record, used + 1, &overflow, fault))
        return false;
    *overflow_out = overflow;
    return true;
}

/* ------------------------------------------------------------------ checks */

static bool data_check_record(const uint8_t *page, uint32_t offset, uint32_t size,
                              htt_fault *fault) {
    htt_record record;
    htt_overflow overflow;
    uint32_t value_at;

    if (!data_decode(page, offset, size, &record, fault))
        return false;
    value_at = (uint32_t)(record.value - page);
    if (record.overflow && !htt_overflow_decode(&record, &overflow, fault))
        return htt_fault_at(fault, value_at + fault->offset, fault->reason);
    if (!record.key_external &&
        !htt_key_valid(htt_bytes(record.key, record.key_size, (htt_type)record.key_type)))
        return htt_fault_at(fault, offset + 1, "key bytes that no encoder writes");
    if (!record.overflow &&
        !htt_value_valid(htt_bytes(record.value, record.value_size, (htt_type)record.value_type)))
        return htt_fault_at(fault, value_at, "value bytes that no encoder writes");
    return true;
}

bool htt_data_check(const uint8_t *page, uint32_t page_size, bool deep, htt_fault *fault) {
    uint32_t count = htt_page_count(page);
    uint32_t starts = HTT_PAGE_HEADER_SIZE + count;
    uint32_t heads_end = HTT_PAGE_HEADER_SIZE + HTT_DATA_SLOT_SIZE * count;
    uint32_t end = page_size;

    assert(fault != NULL);
    assert(page_size >= HTT_PAGE_SIZE_MIN);
    if (page[HTT_PAGE_TYPE] != HTT_PAGE_DATA)
        return htt_fault_at(fault, HTT_PAGE_TYPE, "not a data page");
    if (count == 0)
        return htt_fault_at(fault, HTT_PAGE_COUNT, "data page without records"); /* DATA-5 */
    if (heads_end >= page_size)
        return htt_fault_at(fault, HTT_PAGE_COUNT, "more records than a data page holds");
    for (uint32_t i = 0; i < count; i++) {
        uint32_t start = le16_get(page + starts + 2 * (size_t)i);
        if (start < heads_end) /* DATA-1 */
            return htt_fault_at(fault, starts + 2 * i, "record overlaps the heads");
        if (start + 2 > end) /* DATA-2; no record is smaller */
            return htt_fault_at(fault, starts + 2 * i, "record offsets out of order");
        if (deep && !data_check_record(page, start, end - start, fault))
            return false;
        end = start;
    }
    return true;
}
