/* SPDX-License-Identifier: MIT */
/* Overflow runs: exact bytes of the head, sizes at every border, and every kind of damage. */
#include "page_support.h"

#include "base/hash.h"
#include "page/run.h"

enum { PAGE = 4096, BIG = 65536 };

static void test_run__has_the_bytes_of_the_format(void **state) {
    static const uint8_t expected[] = {0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, /* stamp */
                                       0x05, 0x01, 0,    0,    'O',  0,    0,    0, /* number 261 */
                                       2,    0,    0,    0,    0,    0,    0,    0, /* pages */
                                       0x10, 0x10, 0,    0,    0,    0,    0,    0}; /* 4112 */
    uint8_t *run = page_alloc(2 * PAGE);

    (void)state;
    memset(run + 40, 'v', 4112);
    htt_run_head(run, 0x105, UINT64_C(0x1122334455667788), 2, run + 40, 12, run + 52, 4100);
    assert_memory_equal(run + 8, expected, sizeof expected);
    assert_int_equal(le64_get(run), htt_hash_bytes(run + 8, 32 + 4112));
    assert_int_equal(htt_run_length(run), 4112);
    free(run);
}

static void test_run__the_checksum_does_not_depend_on_the_parts(void **state) {
    uint8_t *run = page_alloc(PAGE);
    uint8_t head[HTT_RUN_HEADER_SIZE];
    uint64_t rng = page_seed();

    (void)state;
    page_random_fill(&rng, run, PAGE);
    for (uint32_t length = 1; length <= 1000; length += 7) {
        htt_run_head(run, 5, 6, 1, run + 40, length, NULL, 0);
        for (uint32_t cut = 0; cut <= length; cut += 1 + length / 9) {
            htt_run_head(head, 5, 6, 1, run + 40, cut, run + 40 + cut, length - cut);
            assert_memory_equal(head, run, sizeof head);
        }
    }
    free(run);
}

static void test_run__counts_pages_and_capacity(void **state) {
    (void)state;
    for (uint32_t page_size = PAGE; page_size <= BIG; page_size *= 2) {
        assert_int_equal(htt_run_pages_for(page_size, 1), 1);
        for (uint32_t pages = 1; pages < 20; pages++) {
            uint64_t most = htt_run_capacity(page_size, pages);
            assert_int_equal(most, (uint64_t)page_size * pages - 40);
            assert_int_equal(htt_run_pages_for(page_size, most), pages);
            assert_int_equal(htt_run_pages_for(page_size, most + 1), pages + 1);
        }
    }
    assert_int_equal(htt_run_pages_for(PAGE, 999000000), 243897);
    assert_int_equal(htt_run_capacity(BIG, UINT32_MAX), (UINT64_C(1) << 48) - 65536 - 40);
}

static void test_run_check__names_each_damaged_field(void **state) {
    const uint32_t length = 5000;
    uint8_t *run = page_alloc(2 * PAGE);
    htt_fault fault;

    (void)state;
    memset(run, 'x', 2 * PAGE);
    htt_run_head(run, 9, 4, 2, run + 40, length, NULL, 0);
    assert_sound(htt_run_check(run, PAGE, 9, 2, 4, &fault), fault);
    assert_fault(htt_run_check(run, PAGE, 8, 2, 4, &fault), fault, 16, "number of another page");
    assert_fault(htt_run_check(run, PAGE, 9, 1, 4, &fault), fault, 24,
                 "wrong number of pages in the run head");
    assert_fault(htt_run_check(run, PAGE, 9, 2, 3, &fault), fault, 8,
                 "page stamp newer than the snapshot");
#define DAMAGE(at, byte, offset, reason)                                                           \
    do {                                                                                           \
        uint8_t kept_ = run[at];                                                                   \
        run[at] = byte;                                                                            \
        assert_fault(htt_run_check(run, PAGE, 9, 2, 4, &fault), fault, offset, reason);            \
        run[at] = kept_;                                                                           \
    } while (0)
    DAMAGE(0, (uint8_t)(run[0] + 1), 0, "wrong checksum of an overflow run");
    DAMAGE(8, 3, 0, "wrong checksum of an overflow run");
    DAMAGE(16, 1, 16, "number of another page");
    DAMAGE(20, 'D', 20, "not an overflow run");
    DAMAGE(21, 1, 21, "reserved bytes of the run head not zero");
    DAMAGE(23, 1, 21, "reserved bytes of the run head not zero");
    DAMAGE(24, 3, 24, "wrong number of pages in the run head");
    DAMAGE(31, 1, 28, "reserved bytes of the run head not zero");
    DAMAGE(32 + 1, 0x20, 32, "run length does not fit its pages"); /* more than two hold */
    DAMAGE(32 + 1, 0x0F, 32, "run length does not fit its pages"); /* one would do */
    DAMAGE(32 + 7, 0xFF, 32, "run length does not fit its pages");
    DAMAGE(40, 'y', 0, "wrong checksum of an overflow run");
    DAMAGE(40 + length - 1, 'y', 0, "wrong checksum of an overflow run");
#undef DAMAGE
    run[40 + length] = 'y'; /* behind the payload nothing counts */
    assert_sound(htt_run_check(run, PAGE, 9, 2, 4, &fault), fault);
    le64_put(run + 32, 0);
    assert_fault(htt_run_check_head(run, PAGE, 9, 2, 4, &fault), fault, 32,
                 "run length does not fit its pages");
    le32_put(run + 24, 0);
    assert_fault(htt_run_check_head(run, PAGE, 9, 0, 4, &fault), fault, 24,
                 "wrong number of pages in the run head");
    free(run);
}

static void test_run_check__reads_no_byte_too_far(void **state) {
    uint64_t rng = page_seed();

    (void)state;
    for (uint32_t i = 0; i < 300; i++) {
        uint32_t pages = 1 + page_random_below(&rng, 3);
        uint32_t length = (pages - 1) * PAGE + 1 + page_random_below(&rng, PAGE - 40);
        uint8_t *run = page_alloc((size_t)pages * PAGE);
        htt_fault fault;
        page_random_fill(&rng, run, (size_t)pages * PAGE);
        if (htt_run_pages_for(PAGE, length) == pages) {
            htt_run_head(run, 9, 4, pages, run + 40, length, NULL, 0);
            assert_sound(htt_run_check(run, PAGE, 9, pages, 4, &fault), fault);
        }
        page_random_fill(&rng, run + 32, 2 + page_random_below(&rng, 2));
        (void)htt_run_check(run, PAGE, 9, pages, UINT64_MAX, &fault);
        free(run);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_run__has_the_bytes_of_the_format),
        cmocka_unit_test(test_run__the_checksum_does_not_depend_on_the_parts),
        cmocka_unit_test(test_run__counts_pages_and_capacity),
        cmocka_unit_test(test_run_check__names_each_damaged_field),
        cmocka_unit_test(test_run_check__reads_no_byte_too_far),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
