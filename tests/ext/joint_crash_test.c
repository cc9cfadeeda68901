/* SPDX-License-Identifier: MIT */
/*
 * ctest: timeout=300
 *
 * One transaction changes an ordinary table and an htt table; then the power fails, or all
 * processes die, at any operation on any of the files: database, journal or WAL, htt file, lock
 * file. What was not synced is kept, lost or torn in every combination, or in a sample of them.
 * From every such disk: open, compare the two tables with each other and with what was committed,
 * check both files, write, close, open and compare again; from a sample, crash once more. A disk
 * with the bytes of one that was used so is judged by what that one held ("seen before").
 *
 *   what must hold              WAL+FULL  TRUNCATE, PERSIST  DELETE+FULL      WAL+NORMAL
 *   a commit that returned is   there     there              there, or the    there, or gone with
 *                                                            newest is gone   all that came later
 *   kv holds what twin holds    always (hosted keeper)
 *
 * The standalone keeper has a window: kv may be one transaction behind. HTT_TEST_KEEPER=standalone
 * or =hosted in the environment chooses by which rule it is judged.
 *
 * A round runs all modes with one seed. HTT_TEST_FROM=N: the first round, HTT_TEST_COUNT=N: how
 * many, HTT_TEST_SAMPLE=N: power cuts at one position. With HTT_TEST_LONG=1 rounds go on until
 * there are ten million states; each round is told, so that a run that was stopped goes on with
 * HTT_TEST_FROM.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "joint_disk.h"

#define CRASH_SEED 20251u
#define CRASH_STEPS 14u /* of a script */
#define CRASH_LONG_STATES UINT64_C(10000000)
#define CRASH_LONG_SAMPLE 16u /* power cuts at one position */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define CRASH_SAMPLE 2u
#define CRASH_ROUNDS 1u
#else
#define CRASH_SAMPLE 10u
#define CRASH_ROUNDS 3u
#endif

static void crash_script(const joint_mode *mode, uint64_t seed, size_t sample) {
    const joint_counts before = joint_all;
    uint64_t random = seed;
    joint_track *track = malloc(sizeof *track);
    crash_fs *disk = crash_fs_new(seed);
    joint_run run;
    assert_non_null(track);
    bool done = joint_run_begin(&run, track, mode, seed, disk);
    for (unsigned i = 0; i < CRASH_STEPS && done; i++) {
        done = joint_run_step(&run);
    }
    if (!joint_run_end(&run)) {
        fail_msg("%s, seed %" PRIu64 ": %s", mode->name, seed, run.world.why);
    }
    joint_crash_everywhere(track, track->first, crash_fs_position(disk), sample, &random);
    joint_print(track, &before);
    crash_fs_free(disk);
    free(track);
}

static void test_joint__the_tables_agree_after_every_crash(void **state) {
    const bool all = getenv("HTT_TEST_LONG") != NULL;
    const size_t from = joint_number("HTT_TEST_FROM", 0);
    const size_t rounds = joint_number("HTT_TEST_COUNT", all ? SIZE_MAX : CRASH_ROUNDS);
    const size_t sample = joint_number("HTT_TEST_SAMPLE", all ? CRASH_LONG_SAMPLE : CRASH_SAMPLE);
    const uint64_t violations = joint_all.violations;
    (void)state;
    for (size_t i = 0; i < rounds && (!all || joint_all.states < CRASH_LONG_STATES); i++) {
        for (size_t mode = 0; mode < JOINT_MODES; mode++) {
            crash_script(&joint_modes[mode], CRASH_SEED + from + i, sample);
        }
        print_message("round %zu: %" PRIu64 " states, %" PRIu64 " seen before, %" PRIu64
                      " violations\n",
                      from + i, joint_all.states, joint_all.repeated, joint_all.violations);
    }
    assert_int_equal(joint_all.violations - violations, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_joint__the_tables_agree_after_every_crash),
    };
    joint_disk_init();
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    printf("%" PRIu64 " states, %" PRIu64 " seen before, %" PRIu64 " violations, judged as %s\n",
           joint_all.states, joint_all.repeated, joint_all.violations,
           joint_disk_hosted() ? "hosted" : "standalone");
    return failed;
}
