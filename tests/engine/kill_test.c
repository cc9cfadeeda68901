/* SPDX-License-Identifier: MIT */
/*
 * A writer's process dies while other processes use the same file: between any two calls, or when
 * a call of the environment fails for ever. A reader that was there before keeps its state; the
 * next reader sees the last commit that returned, or the one in flight; the next writer need not
 * wait, and goes on from there.
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

#include "support/test_env_crash.h"
#include "support/test_env_fault.h"
#include "workload.h"

#define KILL_SEED 99u
#define KILL_STEPS_MAX 40u
#define KILL_KINDS (FAULT_IO & ~(unsigned)FAULT_READ)

static uint64_t kill_count;
static uint64_t poisoned_count; /* of them, where others had to close the file */

/* What others did before. */
static const workload_step step_before[] = {
    {STEP_OPEN, 0, 0},   {STEP_BEGIN, 0, 0}, {STEP_PUT, 0, 60},   {STEP_COMMIT, 0, 0},
    {STEP_BEGIN, 0, 0},  {STEP_PUT, 10, 30}, {STEP_COMMIT, 0, 0}, {STEP_PIN, 0, 0},
    {STEP_END, 0, 0},
};

/* What the process does that dies. */
static const workload_step step_victim[] = {
    {STEP_OPEN, 0, 0},    {STEP_PIN, 0, 0},     {STEP_BEGIN, 0, 0},  {STEP_PUT, 20, 70},
    {STEP_COMMIT, 0, 0},  {STEP_BEGIN, 0, 0},   {STEP_DEL, 0, 40},   {STEP_CURSOR, 0, 0},
    {STEP_PUT, 5, 15},    {STEP_SAVE, 0, 0},    {STEP_PUT, 0, 20},   {STEP_PREPARE, 0, 0},
    {STEP_COMMIT, 0, 0},  {STEP_WALK, 0, 0},    {STEP_UNPIN, 0, 0},  {STEP_BEGIN, 0, 0},
    {STEP_PUT, 0, 80},    {STEP_COMMIT, 0, 0},  {STEP_VACUUM, 0, 0}, {STEP_BEGIN, 0, 0},
    {STEP_DEL, 10, 70},   {STEP_ABORT, 0, 0},   {STEP_BEGIN, 0, 0},  {STEP_PUT, 60, 90},
    {STEP_PREPARE, 0, 0}, {STEP_DEL, 0, 60},    {STEP_COMMIT, 0, 0}, {STEP_VACUUM, 0, 0},
    {STEP_END, 0, 0},
};

/* What the others do then. The pinned reader ends after a commit over it. */
static const workload_step step_after[] = {
    {STEP_READ, 0, 0},  {STEP_BEGIN, 0, 0}, {STEP_PUT, 0, 50}, {STEP_COMMIT, 0, 0},
    {STEP_UNPIN, 0, 0}, {STEP_READ, 0, 0},  {STEP_CHECK, 0, 0}, {STEP_BEGIN, 0, 0},
    {STEP_DEL, 0, 50},  {STEP_COMMIT, 0, 0}, {STEP_CHECK, 0, 0}, {STEP_END, 0, 0},
};

/* The victim runs `steps` steps; its call number `nth` fails (0: none) and all after it. */
static void kill_victim(workload_run *run, const workload *what, fault_env *fault, uint64_t steps,
                        uint64_t nth, const rows_state *start) {
    static workload_step part[KILL_STEPS_MAX + 1];
    static workload shorter;
    memcpy(part, step_victim, sizeof step_victim);
    part[steps] = (workload_step){STEP_END, 0, 0};
    shorter = *what;
    shorter.steps = part;
    workload_begin(run, &shorter, fault_env_table(fault));
    run->history[run->count++] = *start;
    run->version = 20000;
    run->faults = nth != 0;
    fault_env_arm(
        fault,
        &(fault_plan){.kinds = KILL_KINDS, .nth = nth, .persistent = true, .error = EIO});
    workload_steps(run);
}

/* The others find one of the states that the victim may have left, and go on from it. */
static void kill_go_on(workload_run *others, workload_run *victim, const char *where) {
    const rows_state *states = NULL;
    const uint32_t count = workload_allowed(victim, &states);
    htt_txn *txn = NULL;
    workload after = *others->what;
    assert_int_equal(htt_begin(others->store, HTT_READ, &txn), HTT_OK);
    const rows_result result = rows_compare(txn, states, count, 0);
    htt_abort(txn);
    if (result.rc != HTT_OK || result.matches == 0) {
        fail_msg("%s: %s", where, result.text);
    }
    others->history[others->count++] = states[__builtin_ctzll(result.matches)];
    after.steps = step_after;
    others->what = &after;
    others->faults = victim->poisoned || victim->first_error == HTT_IO;
    workload_steps(others);
    if (others->wrong[0] != '\0') {
        fail_msg("%s: %s", where, others->wrong);
    }
    if (others->errors > 0 && !others->poisoned) {
        fail_msg("%s: the others get: %s", where, htt_strerror(others->first_error));
    }
    poisoned_count += others->poisoned;
}

static void kill_one(const workload *what, uint64_t steps, uint64_t nth, uint64_t *calls_out) {
    workload_run *others = malloc(sizeof *others);
    workload_run *victim = malloc(sizeof *victim);
    const rows_state *states = NULL;
    examination result;
    char where[200];
    assert_non_null(others);
    assert_non_null(victim);
    crash_fs *disk = crash_fs_new(KILL_SEED);
    const htt_env *process = crash_fs_new_process(disk);
    fault_env *fault = fault_env_new(process);
    (void)snprintf(where, sizeof where, "%s: step %" PRIu64 ", call %" PRIu64, what->name, steps,
                   nth);
    workload_begin(others, what, crash_fs_env(disk));
    workload_steps(others);
    assert_string_equal(others->wrong, "");
    kill_victim(victim, what, fault, steps, nth, &others->history[others->count - 1]);
    if (victim->wrong[0] != '\0') {
        fail_msg("%s: the victim: %s", where, victim->wrong);
    }
    *calls_out = fault_env_calls(fault, KILL_KINDS);
    crash_fs_kill_process(disk, process);
    kill_count++;
    kill_go_on(others, victim, where);
    others->what = what;
    workload_close(victim);
    workload_close(others);
    /* What was in flight may still come to be, if nobody has committed since. */
    const uint32_t count = workload_allowed(others->poisoned ? victim : others, &states);
    workload_examine(what, crash_fs_new_process(disk), states, count, &result);
    /* With sync = off a sync that failed leaves no state that is known to be whole. */
    const bool refused = what->sync == HTT_SYNC_OFF && others->poisoned && result.damaged;
    if (result.matches == 0 && !refused) {
        fail_msg("%s: opened anew: %s", where, result.why);
    }
    assert_int_equal(fault_env_held(fault), 0);
    assert_int_equal(crash_fs_held(disk), 0);
    fault_env_free(fault);
    crash_fs_free(disk);
    free(others);
    free(victim);
}

static void kill_everywhere(const workload *what) {
    const uint64_t steps = sizeof step_victim / sizeof step_victim[0] - 1;
    const uint64_t stride = getenv("HTT_TEST_LONG") != NULL ? 1 : 3;
    uint64_t calls = 0;
    for (uint64_t step = 1; step <= steps; step++) {
        kill_one(what, step, 0, &calls);
    }
    const uint64_t end = calls;
    for (uint64_t nth = 1; nth <= end; nth += stride) {
        kill_one(what, steps, nth, &calls);
    }
}

static void test_kill__sync_full(void **state) {
    (void)state;
    kill_everywhere(&(workload){
        .name = "full", .steps = step_before, .rows = ROWS_MIXED, .page_size = 4096});
}

static void test_kill__without_mmap(void **state) {
    (void)state;
    kill_everywhere(&(workload){.name = "no mmap",
                                .steps = step_before,
                                .rows = ROWS_MIXED,
                                .page_size = 4096,
                                .flags = HTT_OPEN_NO_MMAP});
}

static void test_kill__sync_off(void **state) {
    (void)state;
    kill_everywhere(&(workload){.name = "off",
                                .steps = step_before,
                                .rows = ROWS_MIXED,
                                .page_size = 4096,
                                .sync = HTT_SYNC_OFF});
}

/* Between calls only: a failed write loses what was not synced, for all. */
static void test_kill__sync_normal(void **state) {
    uint64_t calls = 0;
    const workload what = {.name = "normal",
                           .steps = step_before,
                           .rows = ROWS_MIXED,
                           .page_size = 4096,
                           .sync = HTT_SYNC_NORMAL};
    (void)state;
    for (uint64_t step = 1; step < sizeof step_victim / sizeof step_victim[0]; step++) {
        kill_one(&what, step, 0, &calls);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kill__sync_full),
        cmocka_unit_test(test_kill__without_mmap),
        cmocka_unit_test(test_kill__sync_off),
        cmocka_unit_test(test_kill__sync_normal),
    };
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    printf("%" PRIu64 " processes killed, %" PRIu64 " of them poison, seed %u\n", kill_count,
           poisoned_count, KILL_SEED);
    return failed;
}
