/* SPDX-License-Identifier: MIT */
/*
 * The head of a page: exact bytes, every kind of damage, every single bit, and rubbish with a
 * right checksum.
 */
#include "page_support.h"

#include "base/hash.h"
#include "htt.h"
#include "page/data.h"
#include "page/free.h"
#include "page/index.h"
#include "page/meta.h"
#include "page/run.h"

enum { PAGE = 4096, BIG = 65536, NUMBER = 0x01020304, STAMP = 77 };

static const uint8_t all_types[] = {HTT_PAGE_DATA, HTT_PAGE_NODE, HTT_PAGE_INDEX, HTT_PAGE_RUN,
                                    HTT_PAGE_FREE};

static void put_record(uint8_t *page, uint32_t page_size, const char *key, const char *value) {
    htt_record record = {.key = (const uint8_t *)key,
                         .value = (const uint8_t *)value,
                         .key_size = (uint32_t)strlen(key),
                         .value_size = (uint32_t)strlen(value),
                         .key_type = HTT_TEXT,
                         .value_type = HTT_TEXT};

    htt_data_insert(page, page_size, 7, &record);
}

static void fill_body(uint8_t *page, uint32_t page_size, uint8_t type) {
    const uint32_t starts[] = {0, 9};
    const htt_ref refs[] = {{5, 0}, {6, 2}};

    htt_page_init(page, page_size, type);
    switch (type) {
    case HTT_PAGE_DATA:
        put_record(page, page_size, "key", "value");
        put_record(page, page_size, "other key", "other value");
        break;
    case HTT_PAGE_NODE:
        htt_node_init(page + 24, 3, 10);
        htt_node_splice(page + 24, 0, 1, starts, refs, 2);
        break;
    case HTT_PAGE_INDEX:
        htt_index_init(page, page_size);
        for (uint8_t sub = 1; sub <= 4; sub++) {
            uint32_t size = htt_node_size(6, 1);
            assert_int_equal(htt_index_add(page, page_size, size), sub);
            htt_node_init(htt_index_node(page, page_size, sub), sub, 6);
        }
        break;
    case HTT_PAGE_FREE:
        htt_free_init(page, page_size, 0, UINT64_MAX);
        htt_free_add(page, (htt_free_run){9, 3, 70});
        break;
    default:
        break;
    }
}

/* A sealed page of this type, on the heap. */
static uint8_t *sealed_page(uint32_t page_size, uint8_t type) {
    uint8_t *page = page_alloc(page_size);

    fill_body(page, page_size, type);
    if (type == HTT_PAGE_RUN)
        htt_run_head(page, NUMBER, STAMP, 1, page + 40, 100, NULL, 0);
    else
        htt_page_seal(page, page_size, NUMBER, STAMP);
    return page;
}

static void test_page__has_the_bytes_of_the_format(void **state) {
    static const uint8_t expected[] = {77, 0, 0, 0, 0, 0, 0, 0,     /* stamp */
                                       4,  3, 2, 1, 'D', 0, 2, 0};  /* number, type, count */
    uint8_t *page = sealed_page(PAGE, HTT_PAGE_DATA);

    (void)state;
    assert_memory_equal(page + 8, expected, sizeof expected);
    assert_int_equal(le64_get(page), htt_hash_bytes(page + 8, PAGE - 8));
    assert_int_equal(htt_page_stamp(page), STAMP);
    assert_int_equal(htt_page_number(page), NUMBER);
    assert_int_equal(htt_page_type(page), 'D');
    assert_int_equal(htt_page_count(page), 2);
    free(page);
}

static void test_page__init_zeroes_all_but_the_type(void **state) {
    uint8_t *page = page_alloc(BIG);

    (void)state;
    htt_page_init(page, BIG, HTT_PAGE_NODE);
    for (uint32_t i = 0; i < BIG; i++)
        assert_int_equal(page[i], i == 20 ? 'N' : 0);
    free(page);
}

static void test_page_check__accepts_every_type_and_page_size(void **state) {
    (void)state;
    for (uint32_t page_size = PAGE; page_size <= BIG; page_size *= 2) {
        for (uint32_t t = 0; t < sizeof all_types; t++) {
            uint8_t *page = sealed_page(page_size, all_types[t]);
            htt_fault fault;
            assert_sound(htt_page_check(page, page_size, NUMBER, STAMP, &fault), fault);
            free(page);
        }
    }
}

static void test_page_check__names_each_damaged_field(void **state) {
    uint8_t *page = sealed_page(PAGE, HTT_PAGE_DATA);
    htt_fault fault;

    (void)state;
    assert_fault(htt_page_check(page, PAGE, NUMBER + 1, STAMP, &fault), fault, 16,
                 "number of another page");
    assert_fault(htt_page_check(page, PAGE, NUMBER, STAMP - 1, &fault), fault, 8,
                 "page stamp newer than the snapshot");
    page[4095] ^= 1;
    assert_fault(htt_page_check(page, PAGE, NUMBER, STAMP, &fault), fault, 0,
                 "wrong page checksum");
    page[4095] ^= 1;
    page[21] = 1; /* from here on with a right checksum */
    le64_put(page, htt_hash_bytes(page + 8, PAGE - 8));
    assert_fault(htt_page_check(page, PAGE, NUMBER, STAMP, &fault), fault, 21,
                 "reserved byte of the page head not zero");
    page[21] = 0;
    page[20] = 'X';
    htt_page_seal(page, PAGE, NUMBER, STAMP);
    assert_fault(htt_page_check(page, PAGE, NUMBER, STAMP, &fault), fault, 20,
                 "unknown page type");
    page[20] = 'N';
    htt_page_seal(page, PAGE, NUMBER, STAMP);
    assert_fault(htt_page_check(page, PAGE, NUMBER, STAMP, &fault), fault, 22,
                 "count in the head of a node page");
    page[20] = 'I';
    page[24] = 0;
    page[25] = 0;
    htt_page_seal(page, PAGE, NUMBER, STAMP);
    assert_fault(htt_page_check(page, PAGE, NUMBER, STAMP, &fault), fault, 24,
                 "largest id of an index page not in use");
    page[20] = 'M'; /* a meta page is none of the tree's */
    htt_page_seal(page, PAGE, NUMBER, STAMP);
    assert_fault(htt_page_check(page, PAGE, NUMBER, STAMP, &fault), fault, 20,
                 "unknown page type");
    free(page);
}

static void test_page_check__refuses_zeros_even_with_their_checksum(void **state) {
    uint8_t *page = page_alloc(PAGE);
    htt_fault fault;

    (void)state;
    memset(page, 0, PAGE);
    assert_fault(htt_page_check(page, PAGE, 0, UINT64_MAX, &fault), fault, 0,
                 "wrong page checksum");
    le64_put(page, htt_hash_bytes(page + 8, PAGE - 8));
    assert_fault(htt_page_check(page, PAGE, 0, UINT64_MAX, &fault), fault, 20,
                 "unknown page type");
    free(page);
}

static void test_page_check__sees_every_single_bit(void **state) {
    (void)state;
    for (uint32_t t = 0; t < sizeof all_types; t++) {
        uint8_t *page = sealed_page(PAGE, all_types[t]);
        uint32_t bytes = all_types[t] == HTT_PAGE_RUN ? 140 : PAGE;
        htt_fault fault;
        for (uint32_t bit = 0; bit < 8 * bytes; bit++) {
            page[bit / 8] ^= (uint8_t)(1u << bit % 8);
            assert_false(htt_page_check(page, PAGE, NUMBER, STAMP, &fault));
            page[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
        assert_sound(htt_page_check(page, PAGE, NUMBER, STAMP, &fault), fault);
        free(page);
    }
}

static void test_page_check__of_a_long_run_looks_at_its_head_only(void **state) {
    uint8_t *run = page_alloc(2 * PAGE);
    htt_fault fault;

    (void)state;
    memset(run, 1, 2 * PAGE);
    htt_run_head(run, NUMBER, STAMP, 2, run + 40, 5000, NULL, 0);
    assert_sound(htt_page_check(run, PAGE, NUMBER, STAMP, &fault), fault);
    run[50] ^= 1; /* the second page is not at hand, so no checksum can say so */
    assert_sound(htt_page_check(run, PAGE, NUMBER, STAMP, &fault), fault);
    run[24] = 0;
    assert_fault(htt_page_check(run, PAGE, NUMBER, STAMP, &fault), fault, 24,
                 "wrong number of pages in the run head");
    free(run);
}

/* Bytes that are wrong although the checksum is right: an answer, and nothing out of bounds. */
static void test_page_check__survives_rubbish_with_a_right_checksum(void **state) {
    uint64_t rng = page_seed();

    (void)state;
    for (uint32_t i = 0; i < 20000; i++) {
        uint32_t page_size = i % 64 == 0 ? BIG : PAGE;
        uint8_t type = all_types[page_random_below(&rng, sizeof all_types)];
        uint8_t *page = sealed_page(page_size, type);
        htt_fault fault;
        for (uint32_t n = page_random_below(&rng, 6); n > 0; n--) {
            uint32_t at = page_random_below(&rng, 2) != 0 ? 20 + page_random_below(&rng, 60)
                                                          : page_random_below(&rng, page_size);
            page[at] = (uint8_t)page_random(&rng);
        }
        if (i % 16 == 0)
            page_random_fill(&rng, page + 22, page_size - 22);
        if (i % 3 == 0)
            page[20] = all_types[page_random_below(&rng, sizeof all_types)];
        le64_put(page, htt_hash_bytes(page + 8, page_size - 8));
        if (htt_page_check(page, page_size, NUMBER, STAMP, &fault) && page[20] == HTT_PAGE_DATA)
            (void)htt_data_check(page, page_size, true, &fault);
        free(page);
    }
}

/* A whole file, built as section 18 of docs/format.md shows it. */
static void test_page__the_worked_example_of_the_format_document_is_right(void **state) {
    static const uint8_t key[] = {0x2c, 0x01};                                      /* 300 */
    static const uint8_t row[] = {0x03, 0x09, 0x13, 0x05, 0x07, 0x61, 0x62}; /* 7, 'ab', null */
    const uint64_t seed = UINT64_C(0x0123456789ABCDEF);
    htt_record number = {.key = key, .value = row, .key_size = sizeof key,
                         .value_size = sizeof row, .key_type = HTT_INTEGER,
                         .value_type = HTT_ROW};
    htt_record text = {.key = (const uint8_t *)"hostname",
                       .value = (const uint8_t *)"www.example.com", .key_size = 8,
                       .value_size = 15, .key_type = HTT_TEXT, .value_type = HTT_TEXT};
    uint8_t *file = page_alloc(3 * PAGE);
    uint8_t *data = file + 2 * PAGE;
    htt_meta meta;

    (void)state;
    htt_page_init(data, PAGE, HTT_PAGE_DATA);
    htt_data_insert(data, PAGE, htt_hash_fingerprint(htt_hash_key(seed, 3, "hostname", 8)), &text);
    htt_data_insert(data, PAGE, htt_hash_fingerprint(htt_hash_key(seed, 1, key, 2)), &number);
    htt_page_seal(data, PAGE, 2, 2);
    memset(&meta, 0, sizeof meta);
    meta.number = 1;
    meta.counter = 2;
    meta.root = (htt_root){.seed = seed, .self = {1, UINT64_C(0xA1A2A3A4A5A6A7A8)},
                           .page_count = 2, .page_size = PAGE};
    for (uint8_t i = 0; i < 16; i++)
        meta.root.uuid[i] = (uint8_t)(0x10 + i);
    memcpy(meta.declaration, "key, value", 10);
    htt_meta_encode(&meta, file + PAGE);
    meta.number = 0;
    meta.counter = 3;
    meta.ancestor_count = 1;
    meta.ancestors[0] = meta.root.self;
    meta.root.parent = meta.root.self;
    meta.root.self = (htt_lineage){2, UINT64_C(0xB1B2B3B4B5B6B7B8)};
    meta.root.keys = 2;
    meta.root.bytes = 8 + 15 + 2 + 7;
    meta.root.page = 2;
    meta.root.page_count = 3;
    meta.root.page_checksum = le64_get(data);
    htt_meta_encode(&meta, file);
    assert_int_equal(htt_hash_bytes(file, 3 * PAGE), UINT64_C(0x234B48BEE4AAE45E));
    free(file);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_page__has_the_bytes_of_the_format),
        cmocka_unit_test(test_page__init_zeroes_all_but_the_type),
        cmocka_unit_test(test_page_check__accepts_every_type_and_page_size),
        cmocka_unit_test(test_page_check__names_each_damaged_field),
        cmocka_unit_test(test_page_check__refuses_zeros_even_with_their_checksum),
        cmocka_unit_test(test_page_check__sees_every_single_bit),
        cmocka_unit_test(test_page_check__of_a_long_run_looks_at_its_head_only),
        cmocka_unit_test(test_page_check__survives_rubbish_with_a_right_checksum),
        cmocka_unit_test(test_page__the_worked_example_of_the_format_document_is_right),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
