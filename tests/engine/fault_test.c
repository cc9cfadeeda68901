/* SPDX-License-Identifier: MIT */
/*
 * ctest: timeout=240
 *
 * Calls of the environment fail: the n-th one, for every n, once and from then on. Every result is
 * then an error with a message, or right; nothing leaks; afterwards the handle works or says that
 * it is poisoned; and the file, opened anew, holds exactly what was committed.
 *
 * By default n is sampled; with HTT_TEST_LONG=1 it is every call.
 */
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/test_env_fault.h"
#include "support/test_env_memory.h"
#include "txn/testing.h"
#include "workload.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define FAULT_RUNS_SHORT 14u /* of a script under one plan */
#else
#define FAULT_RUNS_SHORT 36u
#endif
#define FAULT_SEED 20231u

typedef struct fault_manner {
    const char *name; /* for messages */
    fault_plan plan;  /* but for nth */
} fault_manner;

static const fault_manner manners[] = {
    {"one call", {.kinds = FAULT_ALL, .error = EIO}},
    {"all calls from one on", {.kinds = FAULT_ALL, .error = EIO, .persistent = true}},
    {"one I/O call", {.kinds = FAULT_IO, .error = EIO}},
    {"all I/O from one call on", {.kinds = FAULT_IO, .error = EIO, .persistent = true}},
    {"one allocation", {.kinds = FAULT_MEMORY, .error = ENOMEM}},
    {"all allocations from one on", {.kinds = FAULT_MEMORY, .error = ENOMEM, .persistent = true}},
    {"disk full once",
     {.kinds = FAULT_SPACE & ~(unsigned)FAULT_SYNC, .error = ENOSPC, .partial = true}},
    {"disk full", {.kinds = FAULT_SPACE, .error = ENOSPC, .persistent = true, .partial = true}},
    {"one short read", {.kinds = FAULT_READ, .error = EIO, .partial = true}},
    {"one short write", {.kinds = FAULT_WRITE, .error = EIO, .partial = true}},
    {"short writes", {.kinds = FAULT_WRITE, .error = EIO, .partial = true, .persistent = true}},
    {"one sync", {.kinds = FAULT_SYNC | FAULT_SYNC_DIRECTORY, .error = EIO}},
    {"all syncs", {.kinds = FAULT_SYNC, .error = EIO, .persistent = true}},
    {"one lock", {.kinds = FAULT_LOCK, .error = EAGAIN}},
    {"all locks", {.kinds = FAULT_LOCK, .error = ENOLCK, .persistent = true}},
};
#define FAULT_MANNERS (sizeof manners / sizeof manners[0])

static uint64_t run_count;
static uint64_t failure_count;
static uint64_t error_count;

typedef struct bench {
    memory_fs *fs;     /* the disk */
    fault_env *fault;  /* around it */
    workload_run *run; /* the present one */
    char where[200];   /* the present plan */
} bench;

/* ------------------------------------------------------------- one run */

/* After the faults are over: the handle works, or says that it is poisoned. */
static void fault_use_handle(bench *b) {
    workload_run *run = b->run;
    const rows_state *states = NULL;
    htt_txn *txn = NULL;
    htt_cursor_close(run->cursor);
    run->cursor = NULL;
    htt_abort(run->txn);
    htt_abort(run->pin);
    run->txn = NULL;
    run->pin = NULL;
    const uint32_t count = workload_allowed(run, &states);
    htt_rc rc = htt_begin(run->store, HTT_READ, &txn);
    if (rc == HTT_OK) {
        const rows_result result = rows_compare(txn, states, count, 0);
        htt_abort(txn);
        if (result.rc != HTT_OK || result.matches == 0) {
            fail_msg("%s: read afterwards: %s", b->where, result.text);
        }
    } else if (rc != HTT_POISONED) {
        fail_msg("%s: begin afterwards: %s", b->where, htt_errmsg(run->store));
    }
    rc = htt_begin(run->store, HTT_WRITE, &txn);
    if (rc != HTT_OK) {
        if (rc != HTT_POISONED || htt_errmsg(run->store)[0] == '\0') {
            fail_msg("%s: write afterwards: %s", b->where, htt_errmsg(run->store));
        }
        return;
    }
    run->working = run->history[run->count - 1];
    rc = rows_put(txn, &run->working, 5, 50000);
    if (rc != HTT_OK) {
        fail_msg("%s: put afterwards: %s", b->where, htt_txn_errmsg(txn));
    }
    rc = htt_commit(txn);
    if (rc == HTT_OK && !run->doubtful) {
        run->history[run->count++] = run->working;
    } else if (rc != HTT_POISONED) {
        fail_msg("%s: commit afterwards: %s", b->where, htt_errmsg(run->store));
    }
}

static void fault_one(bench *b, const workload *what, const fault_plan *plan) {
    workload_run *run = b->run;
    const rows_state *states = NULL;
    examination result;
    memory_fs_clear(b->fs);
    workload_begin(run, what, fault_env_table(b->fault));
    run->faults = true;
    run->commit_broken = plan->nth % 2 == 1;
    fault_env_arm(b->fault, plan);
    workload_steps(run);
    fault_env_disarm(b->fault);
    run_count++;
    error_count += run->errors;
    failure_count += fault_env_failures(b->fault);
    (void)snprintf(b->where + strlen(b->where), sizeof b->where - strlen(b->where), " (%s)",
                   fault_env_failed_kind(b->fault));
    if (run->wrong[0] != '\0') {
        fail_msg("%s: %s", b->where, run->wrong);
    }
    if (run->store != NULL) {
        fault_use_handle(b);
        workload_close(run);
    }
    if (fault_env_held(b->fault) != 0) {
        fail_msg("%s: held after the close: %zu pieces of memory, %zu files, %zu mappings",
                 b->where, fault_env_held_memory(b->fault), fault_env_held_files(b->fault),
                 fault_env_held_maps(b->fault));
    }
    const uint32_t count = workload_allowed(run, &states);
    workload_examine(what, memory_fs_env(b->fs), states, count, &result);
    if (result.matches == 0) {
        fail_msg("%s: opened anew: %s", b->where, result.why);
    }
}

/* ------------------------------------------------------------ all runs */

static uint64_t fault_random(uint64_t *state) {
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *state >> 33;
}

static uint64_t fault_count_calls(bench *b, const workload *what, unsigned kinds) {
    memory_fs_clear(b->fs);
    workload_begin(b->run, what, fault_env_table(b->fault));
    fault_env_arm(b->fault, &(fault_plan){.nth = 0});
    workload_steps(b->run);
    workload_close(b->run);
    if (b->run->wrong[0] != '\0') {
        fail_msg("without faults: %s", b->run->wrong);
    }
    assert_int_equal(fault_env_held(b->fault), 0);
    return fault_env_calls(b->fault, kinds);
}

static void fault_all(const workload *what) {
    const bool all = getenv("HTT_TEST_LONG") != NULL;
    uint64_t random = FAULT_SEED;
    bench b = {.fs = memory_fs_new(FAULT_SEED), .run = malloc(sizeof(workload_run))};
    assert_non_null(b.run);
    b.fault = fault_env_new(memory_fs_env(b.fs));
    for (size_t m = 0; m < FAULT_MANNERS; m++) {
        fault_plan plan = manners[m].plan;
        const uint64_t calls = fault_count_calls(&b, what, plan.kinds);
        const uint64_t runs = all || calls < FAULT_RUNS_SHORT ? calls : FAULT_RUNS_SHORT;
        for (uint64_t i = 0; i < runs; i++) {
            const uint64_t low = calls * i / runs;
            const uint64_t high = calls * (i + 1) / runs;
            plan.nth = 1 + low + fault_random(&random) % (high - low);
            (void)snprintf(b.where, sizeof b.where, "%s, %s, %" PRIu64 " of %" PRIu64, what->name,
                           manners[m].name, plan.nth, calls);
            fault_one(&b, what, &plan);
        }
    }
    memory_fs_clear(b.fs);
    fault_env_free(b.fault);
    memory_fs_free(b.fs);
    free(b.run);
}

/* ------------------------------------------------------------- scripts */

static const workload_step step_create[] = {
    {STEP_OPEN, 0, 0},   {STEP_SIMPLE, 0, 0}, {STEP_READ, 0, 0}, {STEP_STAT, 0, 0},
    {STEP_DECLARE, 0, 0}, {STEP_CLOSE, 0, 0}, {STEP_OPEN, 0, 0}, {STEP_READ, 0, 0},
    {STEP_SIMPLE, 0, 0}, {STEP_END, 0, 0},
};

static const workload_step step_rows[] = {
    {STEP_OPEN, 0, 0},    {STEP_BEGIN, 0, 0},     {STEP_PUT, 0, 100}, {STEP_COMMIT, 0, 0},
    {STEP_PIN, 0, 0},     {STEP_BEGIN, 0, 0},     {STEP_PUT, 50, 150}, {STEP_DEL, 0, 30},
    {STEP_GET, 20, 60},   {STEP_PREPARE, 0, 0},   {STEP_PUT, 10, 20},  {STEP_COMMIT, 0, 0},
    {STEP_UNPIN, 0, 0},   {STEP_READ, 0, 0},      {STEP_BEGIN, 0, 0},  {STEP_DEL, 0, 140},
    {STEP_COMMIT, 0, 0},  {STEP_CHECK, 0, 0},     {STEP_BEGIN, 0, 0},  {STEP_PUT, 0, 90},
    {STEP_COMMIT, 0, 0},  {STEP_READ, 0, 0},      {STEP_END, 0, 0},
};

static const workload_step step_nested[] = {
    {STEP_OPEN, 0, 0},     {STEP_BEGIN, 0, 0},   {STEP_PUT, 0, 80},     {STEP_SAVE, 0, 0},
    {STEP_PUT, 40, 120},   {STEP_CURSOR, 0, 0},  {STEP_DEL, 0, 60},     {STEP_SAVE, 0, 0},
    {STEP_PUT, 0, 40},     {STEP_ROLLBACK, 0, 0}, {STEP_PUT, 20, 30},   {STEP_WALK, 0, 0},
    {STEP_RELEASE, 0, 0},  {STEP_ROLLBACK, 0, 0}, {STEP_PUT, 70, 100},  {STEP_RELEASE, 0, 0},
    {STEP_GET, 60, 110},   {STEP_CURSOR, 0, 0},  {STEP_COMMIT, 0, 0},   {STEP_BEGIN, 0, 0},
    {STEP_PUT, 0, 100},    {STEP_COMMIT, 0, 0},  {STEP_WALK, 0, 0},     {STEP_BEGIN, 0, 0},
    {STEP_PUT, 0, 50},     {STEP_ABORT, 0, 0},   {STEP_READ, 0, 0},     {STEP_END, 0, 0},
};

static const workload_step step_space[] = {
    {STEP_OPEN, 0, 0},   {STEP_BEGIN, 0, 0},  {STEP_PUT, 0, 150},  {STEP_COMMIT, 0, 0},
    {STEP_BEGIN, 0, 0},  {STEP_DEL, 0, 120},  {STEP_COMMIT, 0, 0}, {STEP_STAT, 0, 0},
    {STEP_BACKUP, 0, 0}, {STEP_VACUUM, 0, 0}, {STEP_READ, 0, 0},   {STEP_BEGIN, 0, 0},
    {STEP_PUT, 0, 40},   {STEP_COMMIT, 0, 0}, {STEP_CHECK, 0, 0},  {STEP_END, 0, 0},
};

/* More pages than the budget holds. */
static const workload_step step_spill[] = {
    {STEP_OPEN, 0, 0},    {STEP_BEGIN, 0, 0},  {STEP_PUT, 0, 700},    {STEP_SAVE, 0, 0},
    {STEP_DEL, 100, 600}, {STEP_PUT, 0, 300},  {STEP_ROLLBACK, 0, 0}, {STEP_GET, 0, 700},
    {STEP_COMMIT, 0, 0},  {STEP_BEGIN, 0, 0},  {STEP_PUT, 0, 700},    {STEP_COMMIT, 0, 0},
    {STEP_READ, 0, 0},    {STEP_END, 0, 0},
};

static void test_fault__creating_and_simple_calls(void **state) {
    (void)state;
    fault_all(&(workload){.name = "create", .steps = step_create, .page_size = 4096});
    fault_all(&(workload){.name = "create, no mmap",
                          .steps = step_create,
                          .page_size = 4096,
                          .flags = HTT_OPEN_NO_MMAP});
}

static void test_fault__rows_of_all_kinds(void **state) {
    (void)state;
    fault_all(&(workload){
        .name = "rows", .steps = step_rows, .rows = ROWS_MIXED, .page_size = 4096});
}

static void test_fault__rows_without_mmap(void **state) {
    (void)state;
    fault_all(&(workload){.name = "rows, no mmap",
                          .steps = step_rows,
                          .rows = ROWS_MIXED,
                          .page_size = 4096,
                          .flags = HTT_OPEN_NO_MMAP,
                          .cache_bytes = 40000});
}

static void test_fault__large_values(void **state) {
    (void)state;
    fault_all(&(workload){
        .name = "large rows", .steps = step_space, .rows = ROWS_LARGE, .page_size = 4096});
}

static void test_fault__sync_normal(void **state) {
    (void)state;
    fault_all(&(workload){.name = "rows, normal",
                          .steps = step_rows,
                          .page_size = 4096,
                          .sync = HTT_SYNC_NORMAL});
}

static void test_fault__sync_off(void **state) {
    (void)state;
    fault_all(&(workload){
        .name = "rows, off", .steps = step_rows, .page_size = 4096, .sync = HTT_SYNC_OFF});
}

static void test_fault__savepoints_and_cursors(void **state) {
    (void)state;
    fault_all(&(workload){
        .name = "nested", .steps = step_nested, .rows = ROWS_MIXED, .page_size = 4096});
}

static void test_fault__backup_and_vacuum(void **state) {
    (void)state;
    fault_all(&(workload){
        .name = "space", .steps = step_space, .rows = ROWS_MIXED, .page_size = 4096});
    fault_all(&(workload){.name = "space, no mmap",
                          .steps = step_space,
                          .page_size = 4096,
                          .flags = HTT_OPEN_NO_MMAP});
}

static void test_fault__spilling(void **state) {
    (void)state;
    fault_all(&(workload){.name = "spill",
                          .steps = step_spill,
                          .rows = ROWS_WIDE,
                          .page_size = 4096,
                          .write_budget = 4096});
}

static void fault_stage_little(htt_store *store) {
    htt_testing_set_stage_limit(store, 60000);
}

static void fault_stage_all(htt_store *store) {
    htt_testing_set_stage_limit(store, 4 << 20);
}

/* Rows that wait for their pages, and settle when there are too many, or at the end. */
static void test_fault__staging(void **state) {
    (void)state;
    fault_all(&(workload){.name = "staged, little memory",
                          .steps = step_spill,
                          .rows = ROWS_WIDE,
                          .page_size = 4096,
                          .write_budget = 4096,
                          .opened = fault_stage_little});
    fault_all(&(workload){.name = "staged, no mmap",
                          .steps = step_spill,
                          .rows = ROWS_WIDE,
                          .page_size = 4096,
                          .flags = HTT_OPEN_NO_MMAP,
                          .cache_bytes = 40000,
                          .opened = fault_stage_all});
    fault_all(&(workload){.name = "staged, rows",
                          .steps = step_rows,
                          .rows = ROWS_MIXED,
                          .page_size = 4096,
                          .opened = fault_stage_little});
}

static void test_fault__pages_of_65536(void **state) {
    (void)state;
    fault_all(&(workload){
        .name = "rows, 65536", .steps = step_rows, .rows = ROWS_MIXED, .page_size = 65536});
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fault__creating_and_simple_calls),
        cmocka_unit_test(test_fault__rows_of_all_kinds),
        cmocka_unit_test(test_fault__rows_without_mmap),
        cmocka_unit_test(test_fault__large_values),
        cmocka_unit_test(test_fault__sync_normal),
        cmocka_unit_test(test_fault__sync_off),
        cmocka_unit_test(test_fault__savepoints_and_cursors),
        cmocka_unit_test(test_fault__backup_and_vacuum),
        cmocka_unit_test(test_fault__spilling),
        cmocka_unit_test(test_fault__staging),
        cmocka_unit_test(test_fault__pages_of_65536),
    };
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    printf("%" PRIu64 " runs, %" PRIu64 " calls made to fail, %" PRIu64 " errors given, seed %u\n",
           run_count, failure_count, error_count, FAULT_SEED);
    return failed;
}
