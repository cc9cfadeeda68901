/* SPDX-License-Identifier: MIT */
/*
 * ctest: timeout=300
 *
 * A process dies within a transaction that changes an ordinary table and an htt table, before each
 * of its operations on any file; or the operation fails with EIO, and it lives on. Another process
 * is there, goes on at once, and commits (and folds, where that can be done) over what the first
 * one left. Then the power fails, or the other one dies too, at every operation since: a commit of
 * which nobody knows whether it happened must then have happened in both tables, or in none.
 *
 * A round runs all modes with one seed. HTT_TEST_FROM, HTT_TEST_COUNT, HTT_TEST_SAMPLE and
 * HTT_TEST_KEEPER as in joint_crash_test.c. With HTT_TEST_LONG=1 there are many rounds.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "joint_disk.h"

#define DOUBT_SEED 8123u
#define DOUBT_BEFORE 3u /* transactions before the one that is not finished */
#define DOUBT_AFTER 2u  /* transactions of the process that goes on */
#define DOUBT_PLAN_MAX 1000u
#define DOUBT_ROUNDS_LONG 200u
#define DOUBT_SAMPLE_LONG 4u /* power cuts at one position */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define DOUBT_STRIDE 40u /* one of so many writes is the last operation, and all others */
#define DOUBT_ROUNDS 1u
#else
#define DOUBT_ROUNDS 2u
#define DOUBT_STRIDE 8u
#endif

static uint64_t doubt_count; /* transactions that did not end well */
static uint64_t doubt_left;  /* of them, after which all had to close the file */

/* Both processes have seen the database. */
static bool doubt_prepare(joint_run *run) {
    bool done = joint_run_change(run);
    for (unsigned i = 0; i < DOUBT_BEFORE && done; i++) {
        done =
            joint_run_transaction(run) && (i != 0 || joint_run_fold(run)) && joint_run_change(run);
    }
    return done;
}

/* Over the pages that the other one wrote, if they are not kept for it. */
static bool doubt_go_on(joint_run *run, bool large) {
    bool done = joint_run_change(run);
    for (unsigned i = 0; i < DOUBT_AFTER && done; i++) {
        done = large ? joint_run_large(run) : joint_run_transaction(run) && joint_run_fold(run);
    }
    return done;
}

/* Operations of a transaction. */
typedef struct doubt_plan_list {
    size_t stride;                     /* one of so many writes */
    size_t count;                      /* of operations */
    size_t operations[DOUBT_PLAN_MAX]; /* numbers, 0 = its first */
} doubt_plan_list;

/* What happens to the process at operation `after` of its transaction. */
typedef enum doubt_kind { DOUBT_DIES, DOUBT_FAILS } doubt_kind;

/*
 * Others may refuse to go on with a file that could not be synced until all have left it: then all
 * leave, and come back.
 */
static bool doubt_go_on_anyway(joint_run *run, bool large) {
    if (doubt_go_on(run, large)) {
        return true;
    }
    (void)sqlite3_exec(run->world.processes[run->number].db, "ROLLBACK", NULL, NULL, NULL);
    for (int i = 0; i < JOINT_PROCESSES; i++) {
        joint_close(&run->world, i);
    }
    run->world.why[0] = '\0';
    doubt_left++;
    return joint_open(&run->world, 0) && joint_open(&run->world, 1) && doubt_go_on(run, large);
}

/* After what happened to it the other process goes on. */
static bool doubt_survive(joint_run *run, doubt_kind kind, bool large) {
    run->track->apart = !joint_disk_hosted();
    if (kind == DOUBT_DIES) {
        joint_bury(&run->world, run->number);
        return doubt_go_on(run, large);
    }
    run->world.why[0] = '\0';
    (void)sqlite3_exec(run->world.processes[run->number].db, "ROLLBACK", NULL, NULL, NULL);
    return doubt_go_on_anyway(run, large);
}

/*
 * The operations of the last transaction that are worth it: all but writes, and some of these.
 * Stores through mappings are no operations of a call.
 */
static void doubt_plan(crash_fs *disk, size_t first, doubt_plan_list *plan) {
    size_t number = 0;
    for (size_t i = first; i < crash_fs_position(disk); i++) {
        char text[200];
        crash_fs_describe(disk, i, text, sizeof text);
        const bool write = strncmp(text, "write ", strlen("write ")) == 0;
        if (strncmp(text, "store ", strlen("store ")) == 0) {
            continue;
        }
        if ((!write || number % plan->stride == 0) && plan->count < DOUBT_PLAN_MAX) {
            plan->operations[plan->count++] = number;
        }
        number++;
    }
}

/* `after` SIZE_MAX: nothing happens, and the operations are put into `plan`. */
static void doubt_at(joint_track *track, doubt_kind kind, size_t after, size_t sample,
                     doubt_plan_list *plan) {
    const joint_mode *mode = track->mode;
    const uint64_t seed = track->seed;
    const bool large = seed % 2 != 0;
    uint64_t random = seed ^ after;
    crash_fs *disk = crash_fs_new(seed);
    joint_run run;
    if (!joint_run_begin(&run, track, mode, seed, disk) || !doubt_prepare(&run)) {
        fail_msg("%s, seed %" PRIu64 ": %s", mode->name, seed, run.world.why);
    }
    const int victim = run.number;
    const size_t begin = crash_fs_position(disk);
    if (kind == DOUBT_DIES) {
        joint_kill_later(&run.world, victim, after);
    } else {
        joint_fail_later(&run.world, victim, after);
    }
    const bool broken =
        !(large ? joint_run_large(&run) : joint_run_fold(&run) && joint_run_transaction(&run));
    joint_spare(&run.world, victim);
    if (after == SIZE_MAX) {
        assert_false(broken);
        doubt_plan(disk, begin, plan);
    }
    if (broken) {
        const size_t first = crash_fs_position(disk);
        if (!doubt_survive(&run, kind, large)) {
            fail_msg("%s, seed %" PRIu64 ", operation %zu: %s", mode->name, seed, after,
                     run.world.why);
        }
        joint_crash_everywhere(track, first, crash_fs_position(disk), sample, &random);
        doubt_count++;
    }
    joint_end(&run.world);
    crash_fs_free(disk);
    track->disk = NULL;
}

static void doubt_rounds(doubt_kind kind) {
    const bool all = getenv("HTT_TEST_LONG") != NULL;
    const size_t from = joint_number("HTT_TEST_FROM", 0);
    const size_t rounds = joint_number("HTT_TEST_COUNT", all ? DOUBT_ROUNDS_LONG : DOUBT_ROUNDS);
    const size_t sample = joint_number("HTT_TEST_SAMPLE", all ? DOUBT_SAMPLE_LONG : 1);
    const uint64_t violations = joint_all.violations;
    joint_track *track = malloc(sizeof *track);
    assert_non_null(track);
    for (size_t i = from; i < from + rounds; i++) {
        for (size_t mode = 0; mode < JOINT_MODES; mode++) {
            const joint_counts before = joint_all;
            doubt_plan_list plan = {.stride = all ? 1 : DOUBT_STRIDE};
            *track = (joint_track){.mode = &joint_modes[mode], .seed = DOUBT_SEED + i};
            doubt_at(track, kind, SIZE_MAX, 0, &plan);
            for (size_t point = 0; point < plan.count; point++) {
                doubt_at(track, kind, plan.operations[point], sample, NULL);
            }
            joint_print(track, &before);
        }
        print_message("round %zu: %" PRIu64 " broken transactions, %" PRIu64 " states, %" PRIu64
                      " violations\n",
                      i, doubt_count, joint_all.states, joint_all.violations);
    }
    free(track);
    assert_int_equal(joint_all.violations - violations, 0);
}

static void test_joint__a_process_dies_and_another_goes_on(void **state) {
    (void)state;
    doubt_rounds(DOUBT_DIES);
}

static void test_joint__an_operation_fails_and_another_process_goes_on(void **state) {
    (void)state;
    doubt_rounds(DOUBT_FAILS);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_joint__a_process_dies_and_another_goes_on),
        cmocka_unit_test(test_joint__an_operation_fails_and_another_process_goes_on),
    };
    joint_disk_init();
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    printf("%" PRIu64 " broken transactions, after %" PRIu64 " all had to leave, %" PRIu64
           " states, %" PRIu64 " violations, judged as %s\n",
           doubt_count, doubt_left, joint_all.states, joint_all.violations,
           joint_disk_hosted() ? "hosted" : "standalone");
    return failed;
}
