/* SPDX-License-Identifier: MIT */
/* The operating system's clock, random numbers and sleep. */
#include <errno.h>
#include <sys/random.h>
#include <time.h>

#include "sql/htt_db.h"

static int64_t platform_now_ms(void *context) {
    struct timespec now;
    (void)context;
    (void)clock_gettime(CLOCK_REALTIME, &now); /* cannot fail with this clock */
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static uint64_t platform_random64(void *context) {
    uint64_t number = 0;
    (void)context;
    /* Up to 256 bytes come whole or, before the kernel's pool is ready, are waited for. */
    while (getrandom(&number, sizeof number, 0) != (ssize_t)sizeof number) {
    }
    return number;
}

static void platform_sleep_ms(void *context, uint64_t milliseconds) {
    struct timespec rest = {(time_t)(milliseconds / 1000), (long)(milliseconds % 1000) * 1000000};
    (void)context;
    while (nanosleep(&rest, &rest) != 0 && errno == EINTR) {
    }
}

const htt_platform *htt_platform_system(void) {
    static const htt_platform system = {NULL, platform_now_ms, platform_random64,
                                        platform_sleep_ms};
    return &system;
}
