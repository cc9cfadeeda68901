/* SPDX-License-Identifier: MIT */
/* Meta pages and root records: exact bytes, every field there and back, every kind of damage. */
#include "page_support.h"

#include "base/hash.h"
#include "page/meta.h"

enum { PAGE = 4096, BIG = 65536 };

/* Every field another number, so that two that are swapped show. */
static htt_root sample_root(uint32_t page_size) {
    htt_root root = {.seed = UINT64_C(0x1112131415161718),
                     .self = {10, UINT64_C(0x2122232425262728)},
                     .parent = {9, UINT64_C(0x3132333435363738)},
                     .seq = 41,
                     .keys = 42,
                     .bytes = 43,
                     .page = 44,
                     .page_count = 100,
                     .free_head = 46,
                     .free_pages = 47,
                     .page_checksum = UINT64_C(0x5152535455565758),
                     .page_size = page_size};

    for (uint8_t i = 0; i < 16; i++)
        root.uuid[i] = (uint8_t)(0xA0 + i);
    return root;
}

static void sample_meta(uint32_t page_size, htt_meta *meta) {
    memset(meta, 0, sizeof *meta);
    meta->number = 1;
    meta->counter = 8;
    meta->root = sample_root(page_size);
    meta->attempt = 61;
    meta->ancestor_count = 2;
    meta->ancestors[0] = (htt_lineage){9, 71};
    meta->ancestors[1] = (htt_lineage){8, 72};
    for (uint8_t i = 0; i < 16; i++) {
        meta->boot_id[i] = (uint8_t)(0xB0 + i);
        meta->host_token[i] = (uint8_t)(0xC0 + i);
    }
    memcpy(meta->owner, "app.db", 7);
    memcpy(meta->declaration, "key, value", 11);
}

static void repair(uint8_t *page, uint32_t page_size) {
    le64_put(page + 64 + 120, htt_hash_bytes(page + 64, 120));
    le64_put(page + 8, htt_hash_bytes(page + 16, page_size - 16));
}

static void test_root__has_the_bytes_of_the_format(void **state) {
    static const uint8_t expected[120] = {
        0xA0, 0xA1, 0xA2, 0xA3, 0xA4, 0xA5, 0xA6, 0xA7, /* uuid */
        0xA8, 0xA9, 0xAA, 0xAB, 0xAC, 0xAD, 0xAE, 0xAF,
        0x18, 0x17, 0x16, 0x15, 0x14, 0x13, 0x12, 0x11, /* seed */
        10,   0,    0,    0,    0,    0,    0,    0,    /* epoch */
        0x28, 0x27, 0x26, 0x25, 0x24, 0x23, 0x22, 0x21, /* nonce */
        9,    0,    0,    0,    0,    0,    0,    0,    /* parent: epoch */
        0x38, 0x37, 0x36, 0x35, 0x34, 0x33, 0x32, 0x31, /* parent: nonce */
        41,   0,    0,    0,    0,    0,    0,    0,    /* seq */
        42,   0,    0,    0,    0,    0,    0,    0,    /* keys */
        43,   0,    0,    0,    0,    0,    0,    0,    /* bytes */
        44,   0,    0,    0,    100,  0,    0,    0,    /* root page, page count */
        46,   0,    0,    0,    47,   0,    0,    0,    /* free list, free pages */
        0x58, 0x57, 0x56, 0x55, 0x54, 0x53, 0x52, 0x51, /* checksum of the root page */
        12};                                            /* log2 of 4096, then zeros */
    htt_root root = sample_root(PAGE);
    uint8_t bytes[HTT_META_ROOT_SIZE];

    (void)state;
    htt_root_encode(&root, bytes);
    assert_memory_equal(bytes, expected, sizeof expected);
    assert_int_equal(le64_get(bytes + 120), htt_hash_bytes(bytes, 120));
}

static void test_root__decodes_what_was_encoded(void **state) {
    (void)state;
    for (uint32_t page_size = PAGE; page_size <= BIG; page_size *= 2) {
        htt_root root = sample_root(page_size);
        htt_root back;
        uint8_t bytes[HTT_META_ROOT_SIZE];
        uint8_t again[HTT_META_ROOT_SIZE];
        htt_fault fault;
        htt_root_encode(&root, bytes);
        assert_sound(htt_root_decode(bytes, &back, &fault), fault);
        assert_int_equal(back.page_size, page_size);
        assert_int_equal(back.free_pages, 47);
        htt_root_encode(&back, again);
        assert_memory_equal(again, bytes, sizeof bytes);
    }
}

/* One 32-bit field of a root record gets another number and a right checksum. */
static void expect_root(uint32_t at, uint32_t number, uint32_t offset, const char *reason) {
    htt_root root = sample_root(PAGE);
    uint8_t bytes[HTT_META_ROOT_SIZE];
    htt_fault fault;

    htt_root_encode(&root, bytes);
    le32_put(bytes + at, number);
    le64_put(bytes + 120, htt_hash_bytes(bytes, 120));
    assert_fault(htt_root_decode(bytes, &root, &fault), fault, offset, reason);
}

static void test_root__names_each_damaged_field(void **state) {
    (void)state;
    expect_root(24, 0, 24, "epoch of a root is zero");
    expect_root(24, 9, 40, "parent of a root is not older");
    expect_root(80, 1, 80, "root page out of range");
    expect_root(80, 100, 80, "root page out of range");
    expect_root(80, 0, 64, "rows without a root page, or the reverse");
    expect_root(64, 0, 64, "rows without a root page, or the reverse");
    expect_root(84, 1, 84, "page count of a root below two");
    expect_root(84, 44, 80, "root page out of range");
    expect_root(88, 1, 88, "free list page out of range");
    expect_root(88, 100, 88, "free list page out of range");
    expect_root(92, 99, 92, "more free pages than pages");
    expect_root(104, 11, 104, "bad page size in a root record");
    expect_root(104, 17, 104, "bad page size in a root record");
}

static void test_root__without_rows_names_no_page(void **state) {
    htt_root root = sample_root(PAGE);
    uint8_t bytes[HTT_META_ROOT_SIZE];
    htt_fault fault;

    (void)state;
    root.page = 0;
    root.keys = 0;
    root.bytes = 0;
    root.page_checksum = 0;
    htt_root_encode(&root, bytes);
    assert_sound(htt_root_decode(bytes, &root, &fault), fault);
    bytes[72] = 1;
    le64_put(bytes + 120, htt_hash_bytes(bytes, 120));
    assert_fault(htt_root_decode(bytes, &root, &fault), fault, 72,
                 "payload without a root page");
    bytes[72] = 0;
    bytes[96] = 1;
    le64_put(bytes + 120, htt_hash_bytes(bytes, 120));
    assert_fault(htt_root_decode(bytes, &root, &fault), fault, 96,
                 "checksum without a root page");
}

static void test_root__sees_every_single_bit(void **state) {
    htt_root root = sample_root(PAGE);
    uint8_t bytes[HTT_META_ROOT_SIZE];
    htt_fault fault;

    (void)state;
    htt_root_encode(&root, bytes);
    for (uint32_t bit = 0; bit < 8 * sizeof bytes; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_fault(htt_root_decode(bytes, &root, &fault), fault, 120,
                     "wrong checksum of a root record");
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

static void test_meta__has_the_bytes_of_the_format(void **state) {
    static const uint8_t head[16] = {1, 0, 0, 0, 'M', 12, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0};
    static const uint8_t lengths[8] = {2, 0, 6, 0, 10, 0, 0, 0};
    uint8_t *page = page_alloc(PAGE);
    uint8_t root[HTT_META_ROOT_SIZE];
    htt_meta meta;

    (void)state;
    sample_meta(PAGE, &meta);
    htt_meta_encode(&meta, page);
    htt_root_encode(&meta.root, root);
    assert_memory_equal(page, "\x89HTT\r\n\x1a\n", 8);
    assert_int_equal(le64_get(page + 8), htt_hash_bytes(page + 16, PAGE - 16));
    assert_memory_equal(page + 16, head, sizeof head);
    assert_int_equal(le64_get(page + 32), 8);
    assert_memory_equal(page + 40, meta.boot_id, 16);
    assert_int_equal(le64_get(page + 56), 0);
    assert_memory_equal(page + 64, root, sizeof root);
    assert_int_equal(le64_get(page + 192), 61);
    assert_memory_equal(page + 200, lengths, sizeof lengths);
    assert_int_equal(le64_get(page + 208), 9);
    assert_int_equal(le64_get(page + 216), 71);
    assert_int_equal(le64_get(page + 224), 8);
    assert_int_equal(le64_get(page + 232), 72);
    assert_memory_equal(page + 1232, meta.host_token, 16);
    assert_memory_equal(page + 1248, "app.db\0", 8);
    assert_memory_equal(page + 1760, "key, value\0", 12);
    for (uint32_t i = 240; i < 1232; i++)
        assert_int_equal(page[i], 0);
    for (uint32_t i = 1772; i < PAGE; i++)
        assert_int_equal(page[i], 0);
    free(page);
}

static void test_meta__decodes_what_was_encoded(void **state) {
    (void)state;
    for (uint32_t page_size = PAGE; page_size <= BIG; page_size *= 2) {
        uint8_t *page = page_alloc(page_size);
        uint8_t *again = page_alloc(page_size);
        htt_meta meta;
        htt_meta back;
        htt_fault fault;
        sample_meta(page_size, &meta);
        meta.ancestor_count = HTT_META_ANCESTORS_MAX;
        memset(meta.ancestors, 0x5A, sizeof meta.ancestors);
        memset(meta.owner, 'o', HTT_META_OWNER_MAX);
        memset(meta.declaration, 'd', HTT_DECLARATION_SIZE_MAX);
        htt_meta_encode(&meta, page);
        assert_int_equal(htt_meta_page_size(page), page_size);
        assert_int_equal(htt_meta_decode(page, page_size, &back, &fault), HTT_META_VALID);
        assert_int_equal(back.number, 1);
        assert_int_equal(back.counter, 8);
        assert_int_equal(back.attempt, 61);
        assert_string_equal(back.owner, meta.owner);
        assert_string_equal(back.declaration, meta.declaration);
        htt_meta_encode(&back, again);
        assert_memory_equal(again, page, page_size);
        free(again);
        free(page);
    }
}

/* One byte of a meta page gets another value, and both checksums are right. */
static void expect_meta(uint32_t at, uint8_t byte, htt_meta_state expected, uint32_t offset,
                        const char *reason) {
    uint8_t *page = page_alloc(PAGE);
    htt_meta meta;
    htt_fault fault = {"", 0};

    sample_meta(PAGE, &meta);
    htt_meta_encode(&meta, page);
    page[at] = byte;
    repair(page, PAGE);
    assert_int_equal(htt_meta_decode(page, PAGE, &meta, &fault), expected);
    if (expected != HTT_META_VALID) {
        assert_string_equal(fault.reason, reason);
        assert_int_equal(fault.offset, offset);
    }
    free(page);
}

static void test_meta__names_each_damaged_field(void **state) {
    (void)state;
    expect_meta(0, 0x88, HTT_META_FOREIGN, 0, "no magic of an htt file");
    expect_meta(7, '\r', HTT_META_FOREIGN, 0, "no magic of an htt file");
    expect_meta(16, 2, HTT_META_DAMAGED, 16, "number of a meta page above one");
    expect_meta(20, 'D', HTT_META_DAMAGED, 20, "not a meta page");
    expect_meta(21, 11, HTT_META_DAMAGED, 21, "bad page size in a meta page");
    expect_meta(21, 17, HTT_META_DAMAGED, 21, "bad page size in a meta page");
    expect_meta(21, 13, HTT_META_DAMAGED, 21, "meta page cut off");
    expect_meta(22, 0, HTT_META_DAMAGED, 22, "format version zero");
    expect_meta(22, 2, HTT_META_NEWER, 22, "format version newer than this library");
    expect_meta(23, 1, HTT_META_NEWER, 22, "format version newer than this library");
    expect_meta(27, 0x80, HTT_META_NEWER, 24, "feature unknown to this library");
    expect_meta(28, 0x01, HTT_META_VALID, 0, ""); /* may be ignored */
    expect_meta(56, 0x01, HTT_META_VALID, 0, ""); /* reserved */
    expect_meta(206, 0x01, HTT_META_VALID, 0, "");
    expect_meta(PAGE - 1, 0x01, HTT_META_VALID, 0, "");
    expect_meta(64 + 84, 1, HTT_META_DAMAGED, 64 + 84, "page count of a root below two");
    expect_meta(64 + 104, 13, HTT_META_DAMAGED, 21, "page size is not that of the root record");
    expect_meta(200, 65, HTT_META_DAMAGED, 200, "too many ancestors");
    expect_meta(203, 3, HTT_META_DAMAGED, 202, "owner too long");
    expect_meta(205, 9, HTT_META_DAMAGED, 204, "declaration too long");
    expect_meta(1250, 0, HTT_META_DAMAGED, 1248, "zero byte in a text of the meta page");
    expect_meta(1760, 0, HTT_META_DAMAGED, 1760, "zero byte in a text of the meta page");
}

static void test_meta__sees_every_single_bit(void **state) {
    uint8_t *page = page_alloc(PAGE);
    htt_meta meta;
    htt_fault fault;

    (void)state;
    sample_meta(PAGE, &meta);
    htt_meta_encode(&meta, page);
    for (uint32_t bit = 0; bit < 8 * PAGE; bit++) {
        htt_meta_state expected = bit < 64 ? HTT_META_FOREIGN : HTT_META_DAMAGED;
        page[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(htt_meta_decode(page, PAGE, &meta, &fault), expected);
        page[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    free(page);
}

static void test_meta__tells_its_page_size_from_the_first_bytes(void **state) {
    uint8_t *page = page_alloc(BIG);
    htt_meta meta;
    htt_fault fault;

    (void)state;
    sample_meta(BIG, &meta);
    htt_meta_encode(&meta, page);
    assert_int_equal(htt_meta_page_size(page), BIG);
    assert_int_equal(htt_meta_decode(page, PAGE, &meta, &fault), HTT_META_DAMAGED);
    assert_string_equal(fault.reason, "meta page cut off");
    page[21] = 32 + 12;
    assert_int_equal(htt_meta_page_size(page), 0);
    memset(page, 0, PAGE);
    assert_int_equal(htt_meta_page_size(page), 0);
    assert_int_equal(htt_meta_decode(page, PAGE, &meta, &fault), HTT_META_FOREIGN);
    free(page);
}

static void test_meta__survives_random_bytes_with_right_checksums(void **state) {
    uint64_t rng = page_seed();

    (void)state;
    for (uint32_t i = 0; i < 5000; i++) {
        uint8_t *page = page_alloc(PAGE);
        htt_meta meta;
        htt_fault fault;
        sample_meta(PAGE, &meta);
        htt_meta_encode(&meta, page);
        for (uint32_t n = page_random_below(&rng, 8); n > 0; n--)
            page[16 + page_random_below(&rng, 300)] = (uint8_t)page_random(&rng);
        if (i % 10 == 0)
            page_random_fill(&rng, page + 200, PAGE - 200);
        repair(page, PAGE);
        if (htt_meta_decode(page, PAGE, &meta, &fault) == HTT_META_VALID) {
            assert_in_range(strlen(meta.owner), 0, HTT_META_OWNER_MAX);
            assert_in_range(strlen(meta.declaration), 0, HTT_DECLARATION_SIZE_MAX);
        }
        free(page);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_root__has_the_bytes_of_the_format),
        cmocka_unit_test(test_root__decodes_what_was_encoded),
        cmocka_unit_test(test_root__names_each_damaged_field),
        cmocka_unit_test(test_root__without_rows_names_no_page),
        cmocka_unit_test(test_root__sees_every_single_bit),
        cmocka_unit_test(test_meta__has_the_bytes_of_the_format),
        cmocka_unit_test(test_meta__decodes_what_was_encoded),
        cmocka_unit_test(test_meta__names_each_damaged_field),
        cmocka_unit_test(test_meta__sees_every_single_bit),
        cmocka_unit_test(test_meta__tells_its_page_size_from_the_first_bytes),
        cmocka_unit_test(test_meta__survives_random_bytes_with_right_checksums),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
