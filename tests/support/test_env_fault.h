/* SPDX-License-Identifier: MIT */
/*
 * An environment that fails on demand.
 *
 * It wraps another htt_env, counts its calls by kind, and fails the n-th call of chosen kinds,
 * once or from then on. It also counts what is still held (memory, files, mappings), so that a
 * failure path that leaks is found without a sanitizer.
 *
 *     fault_env *fault = fault_env_new(htt_env_system());
 *     workload(fault_env_table(fault));                        how many calls are there?
 *     uint64_t calls = fault_env_calls(fault, FAULT_ALL);
 *     for (uint64_t n = 1; n <= calls; n++) {
 *         fault_env_arm(fault, &(fault_plan){.kinds = FAULT_ALL, .nth = n, .error = EIO});
 *         workload(fault_env_table(fault));                    must fail cleanly or succeed
 *         fault_env_disarm(fault);
 *         assert_int_equal(fault_env_held(fault), 0);
 *     }
 *     fault_env_free(fault);
 *
 * Safe for several threads; the order of calls between threads is theirs.
 */
#ifndef TEST_ENV_FAULT_H
#define TEST_ENV_FAULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "htt_env.h"

enum { /* kinds of calls */
       FAULT_OPEN = 1u << 0,
       FAULT_READ = 1u << 1,
       FAULT_WRITE = 1u << 2,
       FAULT_SYNC = 1u << 3,
       FAULT_RESERVE = 1u << 4,
       FAULT_TRUNCATE = 1u << 5,
       FAULT_INFO = 1u << 6,
       FAULT_PATH_INFO = 1u << 7,
       FAULT_UNLINK = 1u << 8,
       FAULT_SYNC_DIRECTORY = 1u << 9,
       FAULT_MAP = 1u << 10,
       FAULT_LOCK = 1u << 11,
       FAULT_RANDOM = 1u << 12,
       FAULT_BOOT_ID = 1u << 13,
       FAULT_ALLOCATE = 1u << 14,
       FAULT_REALLOCATE = 1u << 15
};
#define FAULT_KINDS 16
#define FAULT_ALL ((1u << FAULT_KINDS) - 1)
#define FAULT_MEMORY ((unsigned)(FAULT_ALLOCATE | FAULT_REALLOCATE))
#define FAULT_IO (FAULT_ALL & ~FAULT_MEMORY)
/* What a full disk fails. */
#define FAULT_SPACE                                                                                \
    ((unsigned)(FAULT_OPEN | FAULT_WRITE | FAULT_RESERVE | FAULT_TRUNCATE | FAULT_SYNC))

typedef struct fault_plan {
    unsigned kinds;     /* FAULT_...: calls that count */
    uint64_t nth;       /* the call that fails, from 1; 0 = none */
    bool persistent;    /* all calls of these kinds from the n-th on fail */
    bool partial;       /* reads and writes do half of their bytes before they fail */
    int error;          /* errno value; memory fails with NULL */
    const char *suffix; /* only open, read, write ... of paths that end so; NULL = all */
} fault_plan;

typedef struct fault_env fault_env;

/* `inner` is borrowed until fault_env_free. Aborts the test without memory. */
fault_env *fault_env_new(const htt_env *inner);
void fault_env_free(fault_env *fault);

/* The table for htt_options.env; borrowed until fault_env_free. */
const htt_env *fault_env_table(fault_env *fault);

/* Sets the plan (copied; suffix is borrowed) and all counters of calls to 0. */
void fault_env_arm(fault_env *fault, const fault_plan *plan);

/* No more failures; counters stay. */
void fault_env_disarm(fault_env *fault);

/* Calls of these kinds since fault_env_arm (or new). */
uint64_t fault_env_calls(fault_env *fault, unsigned kinds);

/* Calls that were made to fail since fault_env_arm. 0: the plan was never reached. */
uint64_t fault_env_failures(fault_env *fault);

/* The kind of the last call that was made to fail, as text ("write"); "none". */
const char *fault_env_failed_kind(fault_env *fault);

/* Pieces of memory, open files, mappings that were not given back. */
size_t fault_env_held_memory(fault_env *fault);
size_t fault_env_held_files(fault_env *fault);
size_t fault_env_held_maps(fault_env *fault);
size_t fault_env_held(fault_env *fault); /* all three */

/* Bytes of memory held now, and the most since fault_env_arm. Each piece as it was asked for. */
size_t fault_env_bytes(fault_env *fault);
size_t fault_env_bytes_peak(fault_env *fault);

#endif
