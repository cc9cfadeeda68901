/* SPDX-License-Identifier: MIT */
/* Random numbers of the tests of sql/: splitmix64. */
#include "test_seed.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

uint64_t test_seed(void) {
    const char *const text = getenv("HTT_TEST_SEED");
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    const uint64_t seed = text != NULL
                              ? strtoull(text, NULL, 0)
                              : ((uint64_t)now.tv_nsec ^ (uint64_t)getpid() << 20) & 0xffffffff;
    printf("HTT_TEST_SEED=%llu\n", (unsigned long long)seed);
    return seed;
}

uint64_t test_random(uint64_t *seed) {
    uint64_t bits = *seed += UINT64_C(0x9e3779b97f4a7c15);
    bits = (bits ^ bits >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    bits = (bits ^ bits >> 27) * UINT64_C(0x94d049bb133111eb);
    return bits ^ bits >> 31;
}

uint64_t test_random_below(uint64_t *seed, uint64_t below) {
    return test_random(seed) % below;
}
