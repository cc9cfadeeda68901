/* SPDX-License-Identifier: MIT */
/*
 * The twin: random statements on htt tables and, in another world, on ordinary tables of the same
 * declaration: same outcome, same rows; see twin.h.
 *
 * ctest: timeout=240
 * Environment
 *   HTT_TEST_SEED   printed
 *   HTT_TEST_STEPS  lines over all runs
 *   HTT_TEST_RUN    only this run of them
 *   HTT_TEST_TRACE  a file for the lines of the last run
 */
#include "twin.h"

#include <stdlib.h>
#include <time.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define TWIN_STEPS_DEFAULT 100000
#else
#define TWIN_STEPS_DEFAULT 300000
#endif
#define TWIN_STEPS_LONG 5000000
#define TWIN_RUNS 50

static uint64_t twin_number(const char *name, uint64_t otherwise) {
    const char *const text = getenv(name);
    return text != NULL ? strtoull(text, NULL, 10) : otherwise;
}

/* Neighbours become strangers. */
static uint64_t twin_mix(uint64_t number) {
    number = (number + 1) * 0x9e3779b97f4a7c15u;
    number = (number ^ number >> 30) * 0xbf58476d1ce4e5b9u;
    number = (number ^ number >> 27) * 0x94d049bb133111ebu;
    return number ^ number >> 31;
}

static void twin_go(unsigned run, uint64_t seed, unsigned steps, FILE *log) {
    twin_setup setup;
    twin_choose(&setup, run, seed);
    if (log != NULL) {
        (void)setvbuf(log, NULL, _IOLBF, 4096);
        fprintf(log, "%u\t%u\t%d\t%s\t%s\t%u\t%s\n", setup.kind, setup.pairs, setup.other,
                setup.mode, setup.encoding, setup.checkpoint, setup.options);
    }
    twin *const t = twin_open(&setup, log);
    t->random = seed | 1;
    while (t->step < steps) {
        twin_make(t);
    }
    twin_close(t);
}

static void test_twin__random_statements_have_the_same_outcome(void **state) {
    const bool longer = getenv("HTT_TEST_LONG") != NULL;
    const uint64_t seed = twin_number("HTT_TEST_SEED", (uint64_t)time(NULL));
    const uint64_t steps =
        twin_number("HTT_TEST_STEPS", longer ? TWIN_STEPS_LONG : TWIN_STEPS_DEFAULT);
    const uint64_t only = twin_number("HTT_TEST_RUN", TWIN_RUNS);
    const char *const trace = getenv("HTT_TEST_TRACE");
    (void)state;
    for (unsigned i = 0; i < TWIN_RUNS; i++) {
        const uint64_t mixed = twin_mix(seed * TWIN_RUNS + i);
        if (only != TWIN_RUNS && only != i) {
            continue;
        }
        FILE *const log = trace == NULL ? NULL : fopen(trace, "w");
        print_message("HTT_TEST_SEED=%llu HTT_TEST_STEPS=%llu HTT_TEST_RUN=%u\n",
                      (unsigned long long)seed, (unsigned long long)steps, i);
        twin_go(i, mixed, (unsigned)(steps / TWIN_RUNS), log);
        if (log != NULL) {
            (void)fclose(log);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_twin__random_statements_have_the_same_outcome),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
