/* SPDX-License-Identifier: MIT */
/* Data pages: exact bytes, every edit against an array of records, and every kind of damage. */
#include "page_support.h"

#include "page/data.h"

enum { PAGE = 4096, BIG = 65536, MODEL_MAX = 14000 };

/* One record of the model: its bytes as they are in the page. */
typedef struct model_record {
    uint8_t fingerprint; /* any */
    uint32_t size;       /* bytes in use */
    uint8_t *bytes;      /* on the heap */
} model_record;

static model_record the_model[MODEL_MAX];
static uint32_t model_count;

static uint8_t *new_page(uint32_t page_size) {
    uint8_t *page = page_alloc(page_size);

    htt_page_init(page, page_size, HTT_PAGE_DATA);
    return page;
}

static htt_record text_record(const char *key, const char *value) {
    htt_record record = {.key = (const uint8_t *)key,
                         .value = (const uint8_t *)value,
                         .key_size = (uint32_t)strlen(key),
                         .value_size = (uint32_t)strlen(value),
                         .key_type = HTT_TEXT,
                         .value_type = HTT_TEXT};
    return record;
}

static void model_put(uint32_t index, const uint8_t *bytes, uint32_t size) {
    free(the_model[index].bytes);
    the_model[index].bytes = page_alloc(size);
    the_model[index].size = size;
    memcpy(the_model[index].bytes, bytes, size);
}

static void model_clear(void) {
    for (uint32_t i = 0; i < MODEL_MAX; i++)
        free(the_model[i].bytes);
    memset(the_model, 0, sizeof the_model);
    model_count = 0;
}

static uint32_t model_used(void) {
    uint32_t used = 0;

    for (uint32_t i = 0; i < model_count; i++)
        used += the_model[i].size + 3;
    return used;
}

/* All that a data page says is what the array says. */
static void model_compare(const uint8_t *page, uint32_t page_size) {
    uint32_t end = page_size;
    htt_fault fault;

    assert_int_equal(htt_page_count(page), model_count);
    assert_int_equal(htt_data_used(page, page_size), model_used());
    assert_int_equal(htt_data_free(page, page_size), page_size - 24 - model_used());
    if (model_count > 0)
        assert_sound(htt_data_check(page, page_size, true, &fault), fault);
    for (uint32_t i = 0; i < model_count; i++) {
        const uint8_t *head = page + 24 + model_count + 2 * i;
        uint32_t size;
        const uint8_t *raw = htt_data_raw(page, page_size, i, &size);
        end -= the_model[i].size;
        assert_int_equal(page[24 + i], the_model[i].fingerprint);
        assert_int_equal(htt_data_fingerprint(page, i), the_model[i].fingerprint);
        assert_int_equal(head[0] + 256u * head[1], end);
        assert_ptr_equal(raw, page + end);
        assert_int_equal(size, the_model[i].size);
        assert_memory_equal(raw, the_model[i].bytes, size);
    }
}

static void compare_matches(const uint8_t *page, uint64_t *rng) {
    uint8_t fingerprint = (uint8_t)page_random_below(rng, 8);

    for (uint32_t from = 0; from <= model_count; from++) {
        uint32_t expected = from;
        while (expected < model_count && the_model[expected].fingerprint != fingerprint)
            expected++;
        assert_int_equal(htt_data_next_match(page, from, fingerprint), expected);
    }
}

/* A random record of at most `most` bytes, of text and blob, borrowing `pool`. */
static htt_record random_record(uint64_t *rng, const uint8_t *pool, uint32_t most) {
    uint32_t size = page_random_below(rng, most - 4);
    htt_record record = {.key = pool + page_random_below(rng, 1000),
                         .value = pool + page_random_below(rng, 1000),
                         .key_type = page_random_below(rng, 2) != 0 ? HTT_TEXT : HTT_BLOB,
                         .value_type = page_random_below(rng, 2) != 0 ? HTT_TEXT : HTT_BLOB};

    record.key_size = page_random_below(rng, size + 1);
    record.value_size = size - record.key_size;
    return record;
}

/* The bytes of a record without NEGZERO, overflow or an external key, written from the table. */
static uint32_t encode_slowly(const htt_record *record, uint8_t *bytes) {
    uint32_t at = 1;
    uint32_t left = record->key_size;

    bytes[0] = (uint8_t)(record->key_type + 16 * record->value_type);
    for (; left >= 128; left /= 128)
        bytes[at++] = (uint8_t)(left % 128 + 128);
    bytes[at++] = (uint8_t)left;
    memcpy(bytes + at, record->key, record->key_size);
    memcpy(bytes + at + record->key_size, record->value, record->value_size);
    return at + record->key_size + record->value_size;
}

static void random_insert(uint8_t *page, uint32_t page_size, uint64_t *rng, const uint8_t *pool,
                          uint32_t most) {
    static uint8_t bytes[BIG];
    htt_record record = random_record(rng, pool, most);
    uint8_t fingerprint = (uint8_t)page_random_below(rng, 8);
    uint32_t size = encode_slowly(&record, bytes);

    assert_int_equal(htt_data_record_size(&record), size);
    if (size + 3 > htt_data_free(page, page_size) || model_count == MODEL_MAX)
        return;
    if (page_random_below(rng, 2) != 0)
        htt_data_insert(page, page_size, fingerprint, &record);
    else
        htt_data_insert_raw(page, page_size, fingerprint, bytes, size);
    model_put(model_count, bytes, size);
    the_model[model_count++].fingerprint = fingerprint;
}

static void random_replace(uint8_t *page, uint32_t page_size, uint64_t *rng, const uint8_t *pool,
                           uint32_t most) {
    static uint8_t bytes[BIG];
    htt_record record = random_record(rng, pool, most);
    uint32_t index = page_random_below(rng, model_count);
    uint32_t size = encode_slowly(&record, bytes);

    if (size > the_model[index].size + htt_data_free(page, page_size))
        return;
    htt_data_replace(page, page_size, index, &record);
    model_put(index, bytes, size);
}

static void random_remove(uint8_t *page, uint32_t page_size, uint64_t *rng) {
    uint32_t index = page_random_below(rng, model_count);

    htt_data_remove(page, page_size, index);
    free(the_model[index].bytes);
    model_count--;
    memmove(the_model + index, the_model + index + 1,
            (model_count - index) * sizeof the_model[0]);
    the_model[model_count].bytes = NULL;
}

static void random_edits(uint32_t page_size, uint32_t edits, uint32_t most, uint64_t *rng) {
    uint8_t *page = new_page(page_size);
    uint8_t *pool = page_alloc(BIG + 2000);

    page_random_fill(rng, pool, BIG + 2000);
    model_clear();
    for (uint32_t i = 0; i < edits; i++) {
        uint32_t what = page_random_below(rng, 10);
        if (what < 6 || model_count == 0)
            random_insert(page, page_size, rng, pool, most);
        else if (what < 8)
            random_replace(page, page_size, rng, pool, most);
        else
            random_remove(page, page_size, rng);
        model_compare(page, page_size);
        if (i % 16 == 0)
            compare_matches(page, rng);
    }
    model_clear();
    free(pool);
    free(page);
}

static void test_data__has_the_bytes_of_the_format(void **state) {
    /* Record 0: text key "ab", text value "xyz"; record 1: integer key 300, null. */
    static const uint8_t number[] = {0x2c, 0x01};
    static const uint8_t heads[] = {0xA1, 0xB2,              /* fingerprints */
                                    0xF9, 0x0F, 0xF5, 0x0F}; /* starts 4089, 4085 */
    static const uint8_t records[] = {0x51, 2, 0x2c, 0x01,   /* integer 1, null 5 << 4 */
                                      0x33, 2, 'a',  'b', 'x', 'y', 'z'}; /* text 3, text */
    htt_record first = text_record("ab", "xyz");
    htt_record second = {.key = number, .key_size = 2, .key_type = HTT_INTEGER,
                         .value_type = HTT_NULL};
    uint8_t *page = new_page(PAGE);
    htt_fault fault;

    (void)state;
    htt_data_insert(page, PAGE, 0xA1, &first);
    htt_data_insert(page, PAGE, 0xB2, &second);
    assert_int_equal(page[20], 'D');
    assert_int_equal(page[22], 2);
    assert_memory_equal(page + 24, heads, sizeof heads);
    assert_memory_equal(page + 4085, records, sizeof records);
    assert_int_equal(htt_data_free(page, PAGE), 4085 - 30);
    assert_sound(htt_data_check(page, PAGE, true, &fault), fault);
    free(page);
}

static void test_data__keeps_every_pair_of_types(void **state) {
    static const uint8_t zeros[8] = {0};
    static const uint8_t half[8] = {0, 0, 0, 0, 0, 0, 0xE0, 0x3F}; /* 0.5 */
    static const uint8_t keys[] = {HTT_INTEGER, HTT_REAL,     HTT_TEXT,
                                   HTT_BLOB,    HTT_INTEGRAL, HTT_NEGZERO};
    static const uint8_t in_file[] = {1, 2, 3, 4, 7, 5};

    (void)state;
    for (uint32_t k = 0; k < sizeof keys; k++) {
        for (uint8_t v = HTT_INTEGER; v <= HTT_ROW; v++) {
            htt_record record = {.key = half, .value = zeros, .key_type = keys[k],
                                 .value_type = v};
            uint8_t *page = new_page(PAGE);
            htt_record back;
            htt_fault fault;
            record.key_size = keys[k] == HTT_REAL ? 8 : 0;
            record.value_size = v == HTT_REAL ? 8 : v == HTT_ROW ? 1 : 0;
            htt_data_insert(page, PAGE, 1, &record);
            assert_int_equal(page[PAGE - htt_data_record_size(&record)], in_file[k] + 16 * v);
            assert_sound(htt_data_check(page, PAGE, true, &fault), fault);
            assert_sound(htt_data_record(page, PAGE, 0, &back, &fault), fault);
            assert_int_equal(back.key_type, keys[k]);
            assert_int_equal(back.value_type, v);
            assert_int_equal(back.key_size, record.key_size);
            assert_int_equal(back.value_size, record.value_size);
            assert_false(back.key_external);
            assert_false(back.overflow);
            free(page);
        }
    }
}

static void test_data__decodes_what_was_encoded(void **state) {
    static uint8_t key[200];
    htt_record record = {.key = key, .value = (const uint8_t *)"v", .key_size = 200,
                         .value_size = 1, .key_type = HTT_BLOB, .value_type = HTT_TEXT};
    uint8_t *page = new_page(PAGE);
    htt_record back;
    htt_fault fault;

    (void)state;
    memset(key, 'k', sizeof key);
    assert_int_equal(htt_data_record_size(&record), 1 + 2 + 200 + 1);
    htt_data_insert(page, PAGE, 9, &record);
    assert_memory_equal(page + PAGE - 204, "\x34\xc8\x01" "kk", 5); /* 200 = c8 01 */
    assert_sound(htt_data_record(page, PAGE, 0, &back, &fault), fault);
    assert_int_equal(back.key_size, 200);
    assert_memory_equal(back.key, key, 200);
    assert_int_equal(back.value_size, 1);
    assert_int_equal(back.value[0], 'v');
    free(page);
}

static void test_data__takes_two_records_of_the_largest_inline_size(void **state) {
    static uint8_t value[BIG];

    (void)state;
    for (uint32_t page_size = PAGE; page_size <= BIG; page_size *= 2) {
        htt_record record = text_record("", "");
        uint8_t *page = new_page(page_size);
        record.value = value;
        record.value_size = htt_data_record_max(page_size) - 2;
        assert_int_equal(htt_data_record_size(&record), htt_data_record_max(page_size));
        htt_data_insert(page, page_size, 1, &record);
        htt_data_insert(page, page_size, 2, &record);
        assert_in_range(htt_data_free(page, page_size), 0, 1);
        free(page);
    }
}

static void test_data__fills_a_page_with_the_smallest_records(void **state) {
    static const uint32_t sizes[] = {PAGE, BIG};

    (void)state;
    for (uint32_t s = 0; s < 2; s++) {
        htt_record record = {.key_type = HTT_INTEGER, .value_type = HTT_NULL};
        uint8_t *page = new_page(sizes[s]);
        htt_fault fault;
        uint32_t count = 0;
        for (; htt_data_free(page, sizes[s]) >= 5; count++)
            htt_data_insert(page, sizes[s], (uint8_t)(count >= 200 ? 1 : 0), &record);
        assert_int_equal(count, (sizes[s] - 24) / 5);
        assert_int_equal(htt_data_next_match(page, 0, 1), 200);
        assert_int_equal(htt_data_next_match(page, 0, 2), count);
        assert_int_equal(htt_data_next_match(page, count, 1), count);
        assert_sound(htt_data_check(page, sizes[s], true, &fault), fault);
        free(page);
    }
}

static void test_data__ignores_matches_behind_the_last_fingerprint(void **state) {
    htt_record record = text_record("k", "v");
    uint8_t *page = new_page(PAGE);

    (void)state;
    for (uint32_t count = 1; count <= 40; count++) {
        htt_data_insert(page, PAGE, 0x0F, &record); /* starts hold bytes of 0x0F as well */
        for (uint32_t i = 0; i < count; i++)
            assert_int_equal(htt_data_next_match(page, i, 0x0F), i);
        assert_int_equal(htt_data_next_match(page, count, 0x0F), count);
        assert_int_equal(htt_data_next_match(page, 0, page[24 + count]) < count,
                         page[24 + count] == 0x0F);
    }
    free(page);
}

static void test_data__random_edits_match_an_array_of_records(void **state) {
    uint64_t rng = page_seed();

    (void)state;
    random_edits(PAGE, 2000, 8, &rng);
    random_edits(PAGE, 2000, 60, &rng);
    random_edits(PAGE, 2000, 300, &rng);
    random_edits(PAGE, 2000, 4000, &rng);
    random_edits(BIG, 1000, 200, &rng);
    random_edits(BIG, 2000, 60000, &rng);
}

static void test_overflow__has_the_bytes_of_the_format(void **state) {
    /* 70000 = 0x11170 = f0 a2 04; two runs: 5 pages from 0x0102, 1 page from 7 */
    static const uint8_t expected[] = {0xf0, 0xa2, 0x04, 2, 0x02, 0x01, 0, 0, 5, 0,
                                       0,    0,    7,    0, 0,    0,    1, 0, 0, 0};
    htt_overflow overflow = {.value_size = 70000, .count = 2, .runs = {{0x102, 5}, {7, 1}}};
    htt_overflow back;
    uint8_t bytes[HTT_OVERFLOW_SIZE_MAX];
    htt_record record = text_record("k", "");
    htt_fault fault;

    (void)state;
    assert_int_equal(htt_overflow_encode(&overflow, bytes), sizeof expected);
    assert_memory_equal(bytes, expected, sizeof expected);
    record.overflow = true;
    record.value = bytes;
    record.value_size = sizeof expected;
    assert_sound(htt_overflow_decode(&record, &back, &fault), fault);
    assert_int_equal(back.value_size, 70000);
    assert_int_equal(back.count, 2);
    assert_int_equal(back.runs[0].first, 0x102);
    assert_int_equal(back.runs[0].pages, 5);
    assert_int_equal(back.runs[1].first, 7);
    assert_int_equal(back.runs[1].pages, 1);
}

static void test_overflow__the_longest_reference_has_its_size(void **state) {
    htt_overflow overflow = {.value_size = HTT_VALUE_SIZE_MAX, .count = HTT_DATA_RUNS_MAX};
    uint8_t bytes[HTT_OVERFLOW_SIZE_MAX];

    (void)state;
    for (uint32_t i = 0; i < HTT_DATA_RUNS_MAX; i++)
        overflow.runs[i] = (htt_run_ref){2 + i, 1};
    assert_int_equal(htt_overflow_encode(&overflow, bytes), HTT_OVERFLOW_SIZE_MAX);
}

static void test_data__keeps_an_external_key_as_its_hash(void **state) {
    /* text key of 5000 bytes, external; null value; one run of 2 pages at 9 */
    static const uint8_t hash[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
    static const uint8_t expected[] = {0x80 | 0x50 | 0x08 | 3, 0x88, 0x27, /* 5000 = 88 27 */
                                       1,  2,  3,  4,  5,  6,  7,  8,
                                       9,  10, 11, 12, 13, 14, 15, 16,
                                       0,  1,  9,  0,  0,  0,  2,  0,  0, 0};
    htt_overflow overflow = {.count = 1, .runs = {{9, 2}}};
    uint8_t reference[HTT_OVERFLOW_SIZE_MAX];
    htt_record record = {.key = hash, .value = reference, .key_size = 5000, .key_type = HTT_TEXT,
                         .value_type = HTT_NULL, .key_external = true, .overflow = true};
    uint8_t *page = new_page(PAGE);
    htt_record back;
    htt_fault fault;

    (void)state;
    record.value_size = htt_overflow_encode(&overflow, reference);
    htt_data_insert(page, PAGE, 16, &record);
    assert_memory_equal(page + PAGE - sizeof expected, expected, sizeof expected);
    assert_sound(htt_data_check(page, PAGE, true, &fault), fault);
    assert_sound(htt_data_record(page, PAGE, 0, &back, &fault), fault);
    assert_true(back.key_external);
    assert_true(back.overflow);
    assert_int_equal(back.key_size, 5000);
    assert_memory_equal(back.key, hash, 16);
    assert_sound(htt_overflow_decode(&back, &overflow, &fault), fault);
    assert_int_equal(overflow.value_size, 0);
    free(page);
}

static void expect_overflow(uint8_t *bytes, uint32_t size, uint32_t offset, const char *reason) {
    htt_record record = text_record("k", "");
    htt_overflow out;
    htt_fault fault;
    uint8_t *copy = page_alloc(size + (size == 0));

    memcpy(copy, bytes, size);
    record.overflow = true;
    record.value = copy;
    record.value_size = size;
    assert_fault(htt_overflow_decode(&record, &out, &fault), fault, offset, reason);
    free(copy);
}

static void test_overflow__names_each_damaged_field(void **state) {
    uint8_t good[] = {0x90, 0x4e, 1, 9, 0, 0, 0, 3, 0, 0, 0}; /* 10000 bytes, 3 pages from 9 */
    uint8_t bad[sizeof good + 8];

    (void)state;
#define DAMAGE(at, byte, size, offset, reason)                                                     \
    do {                                                                                           \
        memset(bad, 0, sizeof bad);                                                                \
        memcpy(bad, good, sizeof good);                                                            \
        bad[at] = byte;                                                                            \
        expect_overflow(bad, size, offset, reason);                                                \
    } while (0)
    DAMAGE(0, 0x90, 0, 0, "bad value size in an overflow reference");
    DAMAGE(0, 0x90, 1, 0, "bad value size in an overflow reference");
    DAMAGE(1, 0x00, 11, 0, "bad value size in an overflow reference"); /* not minimal */
    DAMAGE(0, 0x90, 2, 1, "overflow reference cut off");
    DAMAGE(2, 0, 11, 2, "bad number of runs in an overflow reference");
    DAMAGE(2, 9, 11, 2, "bad number of runs in an overflow reference");
    DAMAGE(2, 2, 11, 2, "overflow reference of the wrong size");
    DAMAGE(0, 0x90, 10, 2, "overflow reference of the wrong size");
    DAMAGE(0, 0x90, 12, 2, "overflow reference of the wrong size");
    DAMAGE(3, 1, 11, 3, "meta page in an overflow reference");
    DAMAGE(7, 0, 11, 7, "overflow run of no pages");
    memset(good + 3, 0xFF, 4);
    DAMAGE(7, 1, 11, 7, "overflow run past the last page number");
#undef DAMAGE
    uint8_t empty[] = {0, 1, 9, 0, 0, 0, 3, 0, 0, 0}; /* no bytes, but a run */
    expect_overflow(empty, sizeof empty, 0, "overflow reference with more runs than bytes");
    uint8_t huge[] = {0x80, 0x80, 0x80, 0x80, 0x10, 1, 9, 0, 0, 0, 3, 0, 0, 0}; /* 2^32 */
    expect_overflow(huge, sizeof huge, 0, "bad value size in an overflow reference");
}

/* A page with three records: "a" 1, "bb" 22, "ccc" 333, at 4092, 4086 and 4078. */
static uint8_t *sound_page(void) {
    htt_record a = text_record("a", "1");
    htt_record b = text_record("bb", "22");
    htt_record c = text_record("ccc", "333");
    uint8_t *page = new_page(PAGE);

    htt_data_insert(page, PAGE, 1, &a);
    htt_data_insert(page, PAGE, 2, &b);
    htt_data_insert(page, PAGE, 3, &c);
    return page;
}

static void test_data_check__names_each_damaged_field(void **state) {
    uint8_t *page = sound_page();
    htt_fault fault;

    (void)state;
    assert_sound(htt_data_check(page, PAGE, false, &fault), fault);
    page[20] = 'N';
    assert_fault(htt_data_check(page, PAGE, false, &fault), fault, 20, "not a data page");
    page[20] = 'D';
    page[22] = 0;
    assert_fault(htt_data_check(page, PAGE, false, &fault), fault, 22,
                 "data page without records");
    le16_put(page + 22, 1358); /* 24 + 3 * 1358 = 4098 */
    assert_fault(htt_data_check(page, PAGE, false, &fault), fault, 22,
                 "more records than a data page holds");
    le16_put(page + 22, 3);
    le16_put(page + 27, 4095); /* no record is one byte long */
    assert_fault(htt_data_check(page, PAGE, false, &fault), fault, 27,
                 "record offsets out of order");
    le16_put(page + 27, 4096);
    assert_fault(htt_data_check(page, PAGE, false, &fault), fault, 27,
                 "record offsets out of order");
    le16_put(page + 27, 4092);
    le16_put(page + 29, 4092);
    assert_fault(htt_data_check(page, PAGE, false, &fault), fault, 29,
                 "record offsets out of order");
    le16_put(page + 29, 4086);
    le16_put(page + 31, 32); /* the heads end at 33 */
    assert_fault(htt_data_check(page, PAGE, false, &fault), fault, 31,
                 "record overlaps the heads");
    le16_put(page + 31, 33);
    assert_sound(htt_data_check(page, PAGE, false, &fault), fault);
    free(page);
}

static void test_data_check__deep_names_each_damaged_record(void **state) {
    uint8_t *page = sound_page();
    htt_record out;
    htt_fault fault;

    (void)state;
#define DAMAGE(at, byte, offset, reason)                                                           \
    do {                                                                                           \
        uint8_t kept_ = page[at];                                                                  \
        page[at] = byte;                                                                           \
        assert_fault(htt_data_check(page, PAGE, true, &fault), fault, offset, reason);             \
        assert_sound(htt_data_check(page, PAGE, false, &fault), fault);                            \
        page[at] = kept_;                                                                          \
    } while (0)
    DAMAGE(4086, 0x30, 4086, "unknown key type");
    DAMAGE(4086, 0x36, 4086, "unknown key type");
    DAMAGE(4086, 0x03, 4086, "unknown value type");
    DAMAGE(4086, 0x73, 4086, "unknown value type");
    DAMAGE(4086, 0x3B, 4086, "external key with an inline value");
    DAMAGE(4087, 5, 4087, "key past the end of its record");
    DAMAGE(4087, 0x80 | 2, 4087, "key past the end of its record"); /* 2 + 128 * 'b' */
    DAMAGE(4086, 0xB3, 4091, "bad number of runs in an overflow reference");
    DAMAGE(4086, 0xBB, 4087, "key past the end of its record"); /* 16 bytes of hash */
    DAMAGE(4086, 0x32, 4087, "key bytes that no encoder writes"); /* a real of two bytes */
    DAMAGE(4086, 0x35, 4087, "key bytes that no encoder writes"); /* -0.0 of two bytes */
    DAMAGE(4086, 0x23, 4090, "value bytes that no encoder writes"); /* a real of two bytes */
    DAMAGE(4086, 0x53, 4090, "value bytes that no encoder writes"); /* a null of two bytes */
#undef DAMAGE
    page[4086] = 0x30; /* reading this record finds it, reading the others does not */
    assert_fault(htt_data_record(page, PAGE, 1, &out, &fault), fault, 4086, "unknown key type");
    assert_sound(htt_data_record(page, PAGE, 0, &out, &fault), fault);
    free(page);
}

static void test_data_check__refuses_a_key_size_that_is_not_minimal_or_too_large(void **state) {
    static const uint8_t not_minimal[] = {0x33, 0x81, 0x00, 'a', '1'};
    static const uint8_t cut_off[] = {0x33, 0x81};
    static const uint8_t too_large[] = {0xBB, 0x81, 0x80, 0x40, 0}; /* 1 MiB and 1 */
    uint8_t *page = new_page(PAGE);
    htt_fault fault;

    (void)state;
    htt_data_insert_raw(page, PAGE, 1, not_minimal, sizeof not_minimal);
    assert_fault(htt_data_check(page, PAGE, true, &fault), fault, 4092, "bad key size");
    htt_data_remove(page, PAGE, 0);
    htt_data_insert_raw(page, PAGE, 1, cut_off, sizeof cut_off);
    assert_fault(htt_data_check(page, PAGE, true, &fault), fault, 4095, "bad key size");
    htt_data_remove(page, PAGE, 0);
    htt_data_insert_raw(page, PAGE, 1, too_large, sizeof too_large);
    assert_fault(htt_data_check(page, PAGE, true, &fault), fault, 4092, "bad key size");
    free(page);
}

static void read_everything(const uint8_t *page, uint32_t page_size) {
    uint32_t count = htt_page_count(page);
    htt_overflow overflow;
    htt_record record;
    htt_fault fault;
    uint32_t sum = 0;

    assert_in_range(htt_data_used(page, page_size), 1, page_size);
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(htt_data_next_match(page, i, htt_data_fingerprint(page, i)), i);
        if (!htt_data_record(page, page_size, i, &record, &fault))
            continue;
        sum += record.value_size > 0 ? record.value[record.value_size - 1] : 0;
        sum += record.key_external ? record.key[15] : 0;
        if (record.overflow && htt_overflow_decode(&record, &overflow, &fault))
            sum += overflow.runs[overflow.count - 1].pages;
    }
    assert_int_not_equal(sum, UINT32_MAX);
}

static void test_data_check__what_it_accepts_can_be_read(void **state) {
    uint64_t rng = page_seed();
    uint32_t accepted = 0;

    (void)state;
    for (uint32_t i = 0; i < 20000; i++) {
        uint8_t *page = sound_page();
        htt_fault fault;
        for (uint32_t n = page_random_below(&rng, 4); n > 0; n--) {
            uint32_t at = 20 + page_random_below(&rng, 14 + 18);
            at = at < 34 ? at : 4078 + at - 34;
            page[at] ^= (uint8_t)(1u << page_random_below(&rng, 8));
        }
        if (htt_data_check(page, PAGE, false, &fault)) {
            accepted++;
            read_everything(page, PAGE);
            (void)htt_data_check(page, PAGE, true, &fault);
        }
        free(page);
    }
    assert_in_range(accepted, 1000, 19999);
}

static void test_data_check__survives_random_bytes(void **state) {
    uint64_t rng = page_seed();

    (void)state;
    for (uint32_t i = 0; i < 3000; i++) {
        uint8_t *page = new_page(PAGE);
        uint32_t count = 1 + page_random_below(&rng, 30);
        htt_fault fault;
        page_random_fill(&rng, page + 24, 3 * count);
        page_random_fill(&rng, page + PAGE - 500, 500);
        le16_put(page + 22, (uint16_t)count);
        for (uint32_t r = 0, at = PAGE; r < count && i % 8 != 0; r++) {
            at -= 2 + page_random_below(&rng, 15);
            le16_put(page + 24 + count + 2 * (size_t)r, (uint16_t)at);
        }
        (void)htt_data_check(page, PAGE, true, &fault);
        if (htt_data_check(page, PAGE, false, &fault))
            read_everything(page, PAGE);
        free(page);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_data__has_the_bytes_of_the_format),
        cmocka_unit_test(test_data__keeps_every_pair_of_types),
        cmocka_unit_test(test_data__decodes_what_was_encoded),
        cmocka_unit_test(test_data__takes_two_records_of_the_largest_inline_size),
        cmocka_unit_test(test_data__fills_a_page_with_the_smallest_records),
        cmocka_unit_test(test_data__ignores_matches_behind_the_last_fingerprint),
        cmocka_unit_test(test_data__random_edits_match_an_array_of_records),
        cmocka_unit_test(test_overflow__has_the_bytes_of_the_format),
        cmocka_unit_test(test_overflow__the_longest_reference_has_its_size),
        cmocka_unit_test(test_data__keeps_an_external_key_as_its_hash),
        cmocka_unit_test(test_overflow__names_each_damaged_field),
        cmocka_unit_test(test_data_check__names_each_damaged_field),
        cmocka_unit_test(test_data_check__deep_names_each_damaged_record),
        cmocka_unit_test(test_data_check__refuses_a_key_size_that_is_not_minimal_or_too_large),
        cmocka_unit_test(test_data_check__what_it_accepts_can_be_read),
        cmocka_unit_test(test_data_check__survives_random_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
