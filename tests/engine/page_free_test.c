/* SPDX-License-Identifier: MIT */
/* Free list pages: exact bytes, capacity, and every kind of damage. */
#include "page_support.h"

#include "htt.h"
#include "page/free.h"

enum { PAGE = 4096, BIG = 65536 };

static void test_free__has_the_bytes_of_the_format(void **state) {
    static const uint8_t expected[] = {
        0x07, 0,    0, 0, 0, 0, 0, 0,                         /* next 7, zero */
        3,    0,    0, 0, 0, 0, 0, 0,                         /* oldest 3 */
        0x09, 0x01, 0, 0, 2, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, /* pages 265, 266, died 4 */
        5,    0,    0, 0, 1, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, /* page 5, died 3 */
    };
    uint8_t *page = page_alloc(PAGE);
    htt_free_run run;
    htt_fault fault;

    (void)state;
    htt_free_init(page, PAGE, 7, 8);
    htt_free_add(page, (htt_free_run){265, 2, 4});
    assert_int_equal(htt_free_oldest(page), 4);
    htt_free_add(page, (htt_free_run){5, 1, 3});
    assert_int_equal(page[20], 'F');
    assert_int_equal(page[22], 2);
    assert_memory_equal(page + 24, expected, sizeof expected);
    assert_int_equal(htt_free_next(page), 7);
    assert_int_equal(htt_free_oldest(page), 3);
    run = htt_free_entry(page, 0);
    assert_int_equal(run.first, 265);
    assert_int_equal(run.pages, 2);
    assert_int_equal(run.died, 4);
    run = htt_free_entry(page, 1);
    assert_int_equal(run.first, 5);
    assert_int_equal(run.died, 3);
    htt_page_seal(page, PAGE, 6, 4);
    assert_sound(htt_free_check(page, PAGE, &fault), fault);
    free(page);
}

static void test_free__keeps_the_oldest_of_all_behind_it(void **state) {
    uint8_t *page = page_alloc(PAGE);

    (void)state;
    htt_free_init(page, PAGE, 0, UINT64_MAX);
    assert_int_equal(htt_free_oldest(page), UINT64_MAX);
    htt_free_add(page, (htt_free_run){5, 1, 9});
    assert_int_equal(htt_free_oldest(page), 9);
    htt_free_add(page, (htt_free_run){6, 1, 12});
    assert_int_equal(htt_free_oldest(page), 9);
    htt_free_add(page, (htt_free_run){7, 1, 0});
    assert_int_equal(htt_free_oldest(page), 0);
    free(page);
}

static void test_free__fills_a_page(void **state) {
    for (uint32_t page_size = PAGE; page_size <= BIG; page_size *= 2) {
        uint8_t *page = page_alloc(page_size);
        uint32_t capacity = htt_free_capacity(page_size);
        htt_fault fault;
        htt_free_init(page, page_size, 0, UINT64_MAX);
        for (uint32_t i = 0; i < capacity; i++)
            htt_free_add(page, (htt_free_run){2 + 2 * i, 1, i});
        htt_page_seal(page, page_size, 3, capacity);
        assert_sound(htt_free_check(page, page_size, &fault), fault);
        assert_int_equal(htt_free_entry(page, capacity - 1).died, capacity - 1);
        free(page);
    }
    (void)state;
    assert_int_equal(htt_free_capacity(PAGE), 253);
    assert_int_equal(htt_free_capacity(BIG), 4093);
}

static void test_free_check__names_each_damaged_field(void **state) {
    uint8_t *page = page_alloc(PAGE);
    htt_fault fault;

    (void)state;
    htt_free_init(page, PAGE, 7, 8);
    htt_free_add(page, (htt_free_run){5, 1, 3});
    htt_page_seal(page, PAGE, 6, 4);
    assert_sound(htt_free_check(page, PAGE, &fault), fault);
#define DAMAGE(at, number, offset, reason)                                                         \
    do {                                                                                           \
        uint32_t kept_ = le32_get(page + (at));                                                    \
        le32_put(page + (at), number);                                                             \
        assert_fault(htt_free_check(page, PAGE, &fault), fault, offset, reason);                   \
        le32_put(page + (at), kept_);                                                              \
    } while (0)
    DAMAGE(20, 'D', 20, "not a free list page");
    DAMAGE(20, 'F' | 254u << 16, 22, "too many entries for a free list page");
    DAMAGE(24, 1, 24, "bad next page of the free list");
    DAMAGE(24, 6, 24, "bad next page of the free list"); /* itself */
    DAMAGE(28, 1, 28, "reserved bytes of a free list page not zero");
    DAMAGE(32, 4, 32, "free run older than the oldest");
    DAMAGE(40, 0, 40, "meta page in the free list");
    DAMAGE(40, 1, 40, "meta page in the free list");
    DAMAGE(44, 0, 44, "free run of no pages");
    DAMAGE(44, UINT32_MAX - 4, 44, "free run past the last page number");
    DAMAGE(48, 5, 48, "free run from a later epoch than its page");
    DAMAGE(52, 1, 48, "free run from a later epoch than its page");
#undef DAMAGE
    htt_free_init(page, PAGE, 0, UINT64_MAX); /* an empty page is allowed */
    assert_sound(htt_free_check(page, PAGE, &fault), fault);
    free(page);
}

static void test_free_check__survives_random_bytes(void **state) {
    uint64_t rng = page_seed();

    (void)state;
    for (uint32_t i = 0; i < 5000; i++) {
        uint8_t *page = page_alloc(PAGE);
        htt_fault fault;
        page_random_fill(&rng, page, PAGE);
        page[20] = 'F';
        page[23] = 0;
        memset(page + 28, 0, 12);
        page[15] = 0xFF;
        if (htt_free_check(page, PAGE, &fault)) {
            for (uint32_t e = 0; e < htt_page_count(page); e++)
                assert_true(htt_free_entry(page, e).pages >= 1);
        }
        free(page);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_free__has_the_bytes_of_the_format),
        cmocka_unit_test(test_free__keeps_the_oldest_of_all_behind_it),
        cmocka_unit_test(test_free__fills_a_page),
        cmocka_unit_test(test_free_check__names_each_damaged_field),
        cmocka_unit_test(test_free_check__survives_random_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
