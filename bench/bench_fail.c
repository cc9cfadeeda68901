/* SPDX-License-Identifier: MIT */
/* What every benchmark does when something is wrong: say so and end, so that no figure is wrong. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench.h"

void bench_fail(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    (void)fflush(stdout);
    (void)fprintf(stderr, "\nbench: ");
    (void)vfprintf(stderr, format, arguments);
    (void)fprintf(stderr, "\n");
    va_end(arguments);
    exit(1); /* bench_folder.c removes its files */
}

void *bench_allocate(size_t count, size_t size) {
    void *memory = calloc(count, size);
    if (memory == NULL) {
        bench_fail("out of memory");
    }
    return memory;
}
