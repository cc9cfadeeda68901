/* SPDX-License-Identifier: MIT */
/*
 * Tests of base/hash.h: vectors that are in files for ever (also in docs/format.md), and how well
 * slots and salts spread keys.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/hash.h"
#include "base/le.h"

typedef struct hash_vector {
    uint64_t seed;     /* of the file */
    uint8_t key_class; /* of the key */
    const char *key;   /* terminated */
    uint64_t low;      /* of the hash */
    uint64_t high;     /* of the hash */
    uint32_t mix[3];   /* under salts 0, 1, 255 */
} hash_vector;

static const hash_vector vectors[] = {
    {UINT64_C(0x0000000000000000),
     3,
     "",
     UINT64_C(0x2e8c3243b52db34a),
     UINT64_C(0x2ad39402a48977a0),
     {0xc898d3e0u, 0xf6060cf4u, 0x8fdb92d8u}},
    {UINT64_C(0x0000000000000000),
     3,
     "a",
     UINT64_C(0x2fb3b2082f42502e),
     UINT64_C(0x21e2e7b4276f0126),
     {0x6dfa4285u, 0xa09fb39fu, 0x123d0060u}},
    {UINT64_C(0x0000000000000000),
     4,
     "a",
     UINT64_C(0xc82d910b7590360e),
     UINT64_C(0x812872d5111a0902),
     {0x095fb008u, 0x1863daa9u, 0xbbd65af7u}},
    {UINT64_C(0x0000000000000001),
     3,
     "hostname",
     UINT64_C(0x698ebd78878da617),
     UINT64_C(0x1e821ed45ec6656d),
     {0x6094c71au, 0x4cfc995du, 0x18e0cfe1u}},
    {UINT64_C(0x0123456789abcdef),
     3,
     "www.example.com",
     UINT64_C(0x3f518237865b7487),
     UINT64_C(0xc0c4d1bd02654c82),
     {0x89ec7f60u, 0x39f3a34fu, 0x8704e7e0u}},
    {UINT64_C(0xffffffffffffffff),
     1,
     "*",
     UINT64_C(0xd4cfaeb14a33feb9),
     UINT64_C(0xd32e845236e6006a),
     {0x652d062bu, 0x1167e2dbu, 0x2c489755u}},
    {UINT64_C(0xfedcba9876543210),
     4,
     ""
     "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
     "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
     "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
     "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
     UINT64_C(0x60c39666e51c3cb5),
     UINT64_C(0x29ac17b5f0a21e81),
     {0x5898184cu, 0xe75fcf61u, 0x96fcb504u}},
};

static void test_hash__vectors_are_frozen(void **state) {
    (void)state;
    static const uint8_t salts[] = {0, 1, 255};
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        const hash_vector *v = &vectors[i];
        const htt_hash hash = htt_hash_key(v->seed, v->key_class, v->key, strlen(v->key));
        assert_true(hash.low == v->low);
        assert_true(hash.high == v->high);
        assert_int_equal(htt_hash_fingerprint(hash), v->high >> 56);
        for (size_t s = 0; s < 3; s++) {
            assert_int_equal(htt_hash_mix(hash, salts[s]), v->mix[s]);
        }
    }
}

static void test_hash__checksum_is_xxh3(void **state) {
    (void)state;
    assert_true(htt_hash_bytes(NULL, 0) == UINT64_C(0x2d06800538d394c2)); /* XXH3_64bits("") */
    assert_true(htt_hash_bytes("a", 1) == UINT64_C(0xe6c632b61e964e1f));
    assert_true(htt_hash_bytes("abc", 3) == UINT64_C(0x78af5f94892f3950));
}

static void test_hash__class_and_seed_change_it(void **state) {
    (void)state;
    const htt_hash text = htt_hash_key(7, 3, "a", 1);
    const htt_hash blob = htt_hash_key(7, 4, "a", 1);
    const htt_hash other = htt_hash_key(8, 3, "a", 1);
    const htt_hash empty = htt_hash_key(7, 3, NULL, 0);
    const htt_hash same = htt_hash_key(7, 3, "", 0);
    assert_true(text.low != blob.low && text.high != blob.high);
    assert_true(text.low != other.low && text.high != other.high);
    assert_true(empty.low == same.low && empty.high == same.high);
}

static void test_hash__slot_covers_its_range_and_keeps_order(void **state) {
    (void)state;
    const uint32_t counts[] = {1, 2, 64, 768, 8192, 131072};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        assert_int_equal(htt_hash_slot(0, counts[i]), 0);
        assert_int_equal(htt_hash_slot(UINT32_MAX, counts[i]), counts[i] - 1);
        /* Doubling the slots cuts each in two neighbours. */
        for (uint32_t mix = 0; mix < UINT32_MAX - 1000003u; mix += 1000003u) {
            const uint32_t slot = htt_hash_slot(mix, counts[i]);
            assert_int_equal(htt_hash_slot(mix, counts[i] * 2) / 2, slot);
        }
    }
}

static htt_hash hash_of_number(uint64_t number) {
    uint8_t bytes[8];
    le64_put(bytes, number);
    return htt_hash_key(99, 1, bytes, sizeof bytes);
}

/*
 * Chi-square of `keys` keys in `slots` slots. Its mean is slots - 1, its standard deviation
 * sqrt(2 * slots): for 512 slots 511 and 32. The hash is fixed, so the test cannot flicker.
 */
static double hash_chi_square(uint8_t salt, uint32_t slots, uint64_t keys) {
    uint32_t counts[512] = {0};
    double sum = 0;
    assert_true(slots <= 512);
    for (uint64_t i = 0; i < keys; i++) {
        counts[htt_hash_slot(htt_hash_mix(hash_of_number(i), salt), slots)]++;
    }
    const double expected = (double)keys / slots;
    for (uint32_t i = 0; i < slots; i++) {
        sum += (counts[i] - expected) * (counts[i] - expected) / expected;
    }
    return sum;
}

static void test_hash__every_salt_spreads_keys_evenly(void **state) {
    (void)state;
    for (unsigned salt = 0; salt < 256; salt += 5) {
        const double sum = hash_chi_square((uint8_t)salt, 512, 20000);
        assert_true(sum > 511 - 5 * 32.0);
        assert_true(sum < 511 + 5 * 32.0);
    }
}

/* Keys of one slot under salt s are spread over all slots under s + 1. */
static void test_hash__keys_of_one_slot_part_under_the_next_salt(void **state) {
    (void)state;
    enum { SLOTS = 64, KEYS = 200000 };
    const uint8_t salts[] = {0, 1, 2, 3, 7, 127, 128, 254};
    for (size_t s = 0; s < sizeof salts; s++) {
        uint32_t counts[SLOTS] = {0};
        uint32_t total = 0;
        double sum = 0;
        for (uint64_t i = 0; i < KEYS; i++) {
            const htt_hash hash = hash_of_number(i);
            if (htt_hash_slot(htt_hash_mix(hash, salts[s]), SLOTS) == 17) {
                counts[htt_hash_slot(htt_hash_mix(hash, (uint8_t)(salts[s] + 1)), SLOTS)]++;
                total++;
            }
        }
        const double expected = (double)total / SLOTS;
        for (size_t i = 0; i < SLOTS; i++) {
            sum += (counts[i] - expected) * (counts[i] - expected) / expected;
        }
        assert_in_range(total, KEYS / SLOTS * 9 / 10, KEYS / SLOTS * 11 / 10);
        assert_true(sum < 63 + 5 * 11.3); /* mean 63, deviation 11.2 */
    }
}

/* Hashes whose halves are all small, or differ in few bits: the mix alone must spread them. */
static void test_hash__mix_spreads_poor_hashes(void **state) {
    (void)state;
    enum { SLOTS = 64, KEYS = 64000 };
    for (unsigned shift = 0; shift <= 48; shift += 16) {
        for (int half = 0; half < 2; half++) {
            uint32_t counts[SLOTS] = {0};
            for (uint64_t i = 0; i < KEYS; i++) {
                const htt_hash hash = {.low = half == 0 ? i << shift : 0,
                                       .high = half == 0 ? 0 : i << shift};
                counts[htt_hash_slot(htt_hash_mix(hash, 3), SLOTS)]++;
            }
            for (size_t i = 0; i < SLOTS; i++) {
                assert_in_range(counts[i], 1, 4 * KEYS / SLOTS);
            }
        }
    }
}

/* In one slot, fingerprints still tell keys apart: they take other bits than the slot. */
static void test_hash__fingerprints_are_spread_inside_a_slot(void **state) {
    (void)state;
    uint32_t counts[256] = {0};
    uint32_t total = 0;
    for (uint64_t i = 0; i < 400000; i++) {
        const htt_hash hash = hash_of_number(i);
        if (htt_hash_slot(htt_hash_mix(hash, 0), 16) == 5) {
            counts[htt_hash_fingerprint(hash)]++;
            total++;
        }
    }
    for (size_t i = 0; i < 256; i++) {
        assert_in_range(counts[i], total / 256 / 2, total / 256 * 2);
    }
}

static void test_hash__parts_are_hashed_as_one(void **state) {
    uint8_t bytes[1000];
    (void)state;
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 7);
    for (size_t cut = 0; cut <= sizeof bytes; cut += 37) {
        const htt_hash_part parts[] = {
            {bytes, cut}, {NULL, 0}, {bytes + cut, sizeof bytes - cut}};
        assert_int_equal(htt_hash_parts(parts, 3), htt_hash_bytes(bytes, sizeof bytes));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hash__parts_are_hashed_as_one),
        cmocka_unit_test(test_hash__vectors_are_frozen),
        cmocka_unit_test(test_hash__checksum_is_xxh3),
        cmocka_unit_test(test_hash__class_and_seed_change_it),
        cmocka_unit_test(test_hash__slot_covers_its_range_and_keeps_order),
        cmocka_unit_test(test_hash__every_salt_spreads_keys_evenly),
        cmocka_unit_test(test_hash__keys_of_one_slot_part_under_the_next_salt),
        cmocka_unit_test(test_hash__mix_spreads_poor_hashes),
        cmocka_unit_test(test_hash__fingerprints_are_spread_inside_a_slot),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
