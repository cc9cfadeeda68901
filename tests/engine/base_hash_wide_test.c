/* SPDX-License-Identifier: MIT */
/* The checksum with wide vectors is the checksum. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/hash_wide.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

static void test_hash_wide__is_xxh3_for_every_size(void **state) {
    (void)state;
#if HTT_HASH_HAS_WIDE
    static uint8_t bytes[70000];
    if (!htt_hash_wide_works())
        skip();
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * i + (i >> 7));
    for (size_t size = 0; size <= 4200; size++)
        assert_int_equal(htt_hash_wide(bytes + size % 33, size),
                         XXH3_64bits(bytes + size % 33, size));
    for (size_t size = 8184; size <= 65536; size = 2 * size + 8)
        assert_int_equal(htt_hash_wide(bytes + 1, size), XXH3_64bits(bytes + 1, size));
#else
    skip();
#endif
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hash_wide__is_xxh3_for_every_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
