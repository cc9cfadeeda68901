/* SPDX-License-Identifier: MIT */
/*
 * ctest: timeout=240
 *
 * The power fails, or the process dies, at every operation of a script. What was not synced is
 * lost, kept or torn in all combinations that are few enough, else in a sample. The file opens and
 * holds exactly a committed state:
 *
 *     sync = full, or a kill   the last commit that had returned, or the one in flight
 *     sync = normal            any state since the last clean close, complete
 *     sync = off               any complete state, or damage that errors and the check tell
 *
 * Then it is written again; from a sample of these disks the power fails once more.
 * With HTT_TEST_LONG=1 the samples are larger.
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
#include "txn/testing.h"
#include "workload.h"

#define CRASH_SEED 777u
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define CRASH_DISKS_SHORT 120u /* power cuts of a script, about */
#else
#define CRASH_DISKS_SHORT 450u
#endif
#define CRASH_LIMIT_SHORT 12u  /* of them at one position, at most */
#define CRASH_LIMIT_LONG 200u  /* the same */
#define CRASH_CUTS 256u        /* from which they are chosen */
#define CRASH_AGAIN_SHORT 120u /* one cut of so many is followed by a second crash */
#define CRASH_AGAIN_LONG 15u   /* the same */
#define CRASH_AGAIN_CUTS 8u    /* cuts of a second crash at one position */
#define CRASH_CLOSES_MAX 8u    /* of a script */

static uint64_t state_count;     /* disks examined */
static uint64_t damaged_count;   /* of them damaged, and known to be, where that is allowed */
static uint64_t violation_count; /* of them wrong */

/* When a script's states came to be, in positions of its disk. */
typedef struct crash_track {
    const workload *what;               /* the script */
    crash_fs *disk;                     /* it ran on */
    workload_run *run;                  /* its states */
    size_t first;                       /* position before it */
    size_t begin[WORKLOAD_STATES_MAX];  /* the commit of a state was called */
    size_t end[WORKLOAD_STATES_MAX];    /* it returned */
    size_t committing;                  /* the present one was called */
    uint32_t known;                     /* states noted */
    size_t closed[CRASH_CLOSES_MAX];    /* a close returned */
    uint32_t closed_at[CRASH_CLOSES_MAX]; /* with this newest state */
    uint32_t close_count;               /* of them */
} crash_track;

static void track_note(void *arg, const workload_run *run, workload_event event) {
    crash_track *track = arg;
    const size_t position = crash_fs_position(track->disk);
    if (event == WORKLOAD_COMMITTING || event == WORKLOAD_OPENING) {
        track->committing = position;
    } else if (event == WORKLOAD_CLOSED && track->close_count < CRASH_CLOSES_MAX) {
        track->closed[track->close_count] = position;
        track->closed_at[track->close_count++] = run->count - 1;
    }
    while (track->known < run->count) {
        track->begin[track->known] = track->committing;
        track->end[track->known++] = position;
    }
}

/* States [*first_out, *end_out) that the disk may hold after a crash at this position. */
static void track_allowed(const crash_track *track, size_t position, bool killed,
                          uint32_t *first_out, uint32_t *end_out) {
    const htt_sync sync = track->what->sync;
    uint32_t first = 0;
    uint32_t end = 1; /* the empty one: the file is made */
    for (uint32_t i = 0; i < track->known; i++) {
        end = track->begin[i] <= position ? i + 1 : end;
        first = track->end[i] <= position && (killed || sync == HTT_SYNC_FULL) ? i : first;
    }
    for (uint32_t i = 0; i < track->close_count && sync == HTT_SYNC_NORMAL; i++) {
        first = track->closed[i] <= position && track->closed_at[i] > first ? track->closed_at[i]
                                                                           : first;
    }
    *first_out = first;
    *end_out = end;
}

/* Examines and frees a disk. The state that it holds, or UINT32_MAX. */
static uint32_t crash_examine(const crash_track *track, size_t position, bool killed,
                              crash_fs *after) {
    uint32_t first = 0;
    uint32_t end = 0;
    examination result;
    track_allowed(track, position, killed, &first, &end);
    workload_examine(track->what, crash_fs_env(after), &track->run->history[first], end - first,
                     &result);
    state_count++;
    if (result.matches == 0 && result.damaged && !killed && track->what->sync == HTT_SYNC_OFF) {
        damaged_count++;
    } else if (result.matches == 0) {
        violation_count++;
        print_error("%s: %s\n    states %u to %u are right; %s\n", track->what->name, result.why,
                    (unsigned)first, (unsigned)end - 1, crash_fs_origin(after));
    } else if (crash_fs_held(after) != 0) {
        violation_count++;
        print_error("%s: %zu handles left; %s\n", track->what->name, crash_fs_held(after),
                    crash_fs_origin(after));
    }
    crash_fs_free(after);
    return result.matches == 0 ? UINT32_MAX : first + (uint32_t)__builtin_ctzll(result.matches);
}

/* Runs a script on a disk that holds `start` (NULL: no file), with notes. */
static void crash_run(crash_track *track, const workload *what, crash_fs *disk,
                      const rows_state *start) {
    *track = (crash_track){.what = what, .disk = disk, .run = malloc(sizeof(workload_run))};
    assert_non_null(track->run);
    workload_begin(track->run, what, crash_fs_env(disk));
    track->first = crash_fs_position(disk);
    if (start != NULL) {
        track->run->history[track->run->count++] = *start;
        track->run->version = 30000;
        track->known = 1;
    }
    track->run->note = track_note;
    track->run->arg = track;
    workload_steps(track->run);
    workload_close(track->run);
    if (track->run->wrong[0] != '\0') {
        violation_count++;
        print_error("%s: before the crash: %s\n    %s\n", what->name, track->run->wrong,
                    crash_fs_origin(disk));
    }
}

static const workload_step step_again[] = {
    {STEP_OPEN, 0, 0}, {STEP_BEGIN, 0, 0},  {STEP_PUT, 20, 60}, {STEP_DEL, 0, 30},
    {STEP_COMMIT, 0, 0}, {STEP_CLOSE, 0, 0}, {STEP_END, 0, 0},
};

static size_t crash_random(uint64_t *state) {
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (size_t)(*state >> 33);
}

/* A second crash, while the disk that the first one left is used again. Frees the disk. */
static void crash_again(const crash_track *before, uint32_t state, crash_fs *disk,
                        uint64_t *random) {
    workload what = *before->what;
    crash_track track;
    what.steps = step_again;
    crash_run(&track, &what, disk, &before->run->history[state]);
    for (size_t at = track.first; at <= crash_fs_position(disk); at++) {
        const size_t cuts = crash_fs_cut_count(disk, at, CRASH_AGAIN_CUTS);
        (void)crash_examine(
            &track, at, false,
            crash_fs_cut(disk, at, crash_random(random) % cuts, CRASH_AGAIN_CUTS));
        if (at % 4 == 0) {
            (void)crash_examine(&track, at, true, crash_fs_killed(disk, at));
        }
    }
    free(track.run);
    crash_fs_free(disk);
}

/* Power cuts at each position of a script that has so many. */
static size_t crash_limit(size_t positions) {
    const size_t limit = CRASH_DISKS_SHORT / positions;
    if (getenv("HTT_TEST_LONG") != NULL) {
        return positions > 500 ? CRASH_LIMIT_LONG / 10 : CRASH_LIMIT_LONG;
    }
    return limit < 1 ? 1 : limit < CRASH_LIMIT_SHORT ? limit : CRASH_LIMIT_SHORT;
}

static void crash_everywhere(const workload *what) {
    const bool all = getenv("HTT_TEST_LONG") != NULL;
    const uint64_t again = all ? CRASH_AGAIN_LONG : CRASH_AGAIN_SHORT;
    const uint64_t violations = violation_count;
    const uint64_t states = state_count;
    uint64_t random = CRASH_SEED;
    uint64_t number = 0;
    crash_track track;
    crash_fs *disk = crash_fs_new(CRASH_SEED);
    crash_run(&track, what, disk, NULL);
    const size_t end = crash_fs_position(disk);
    const size_t limit = crash_limit(end - track.first);
    for (size_t at = track.first; at <= end && violation_count < violations + 3; at++) {
        const size_t cuts = crash_fs_cut_count(disk, at, CRASH_CUTS);
        if (limit > 1 || at % 4 == 0) {
            (void)crash_examine(&track, at, true, crash_fs_killed(disk, at));
        }
        for (size_t i = 0; i < cuts && i < limit; i++) {
            const size_t cut = cuts <= limit ? i : crash_random(&random) % cuts;
            const uint32_t state =
                crash_examine(&track, at, false, crash_fs_cut(disk, at, cut, CRASH_CUTS));
            if (state != UINT32_MAX && number++ % again == again / 2) {
                crash_again(&track, state, crash_fs_cut(disk, at, cut, CRASH_CUTS), &random);
            }
        }
    }
    print_message("%s: %zu positions, %u states, %" PRIu64 " disks\n", what->name,
                  end - track.first, (unsigned)track.known, state_count - states);
    free(track.run);
    crash_fs_free(disk);
    if (violation_count > violations) {
        fail_msg("%s: %" PRIu64 " violations", what->name, violation_count - violations);
    }
}

/* ------------------------------------------------------------- scripts */

static const workload_step step_create[] = {
    {STEP_OPEN, 0, 0},  {STEP_CLOSE, 0, 0}, {STEP_OPEN, 0, 0}, {STEP_SIMPLE, 0, 0},
    {STEP_CLOSE, 0, 0}, {STEP_END, 0, 0},
};

/* Pages die and are used again, so that old ones are overwritten. */
static const workload_step step_reuse[] = {
    {STEP_OPEN, 0, 0},  {STEP_BEGIN, 0, 0}, {STEP_PUT, 0, 60},   {STEP_COMMIT, 0, 0},
    {STEP_BEGIN, 0, 0}, {STEP_PUT, 0, 20},  {STEP_COMMIT, 0, 0}, {STEP_BEGIN, 0, 0},
    {STEP_PUT, 10, 30}, {STEP_COMMIT, 0, 0}, {STEP_BEGIN, 0, 0}, {STEP_DEL, 0, 40},
    {STEP_COMMIT, 0, 0}, {STEP_BEGIN, 0, 0}, {STEP_PUT, 0, 50},  {STEP_COMMIT, 0, 0},
    {STEP_BEGIN, 0, 0}, {STEP_PUT, 40, 70}, {STEP_COMMIT, 0, 0}, {STEP_BEGIN, 0, 0},
    {STEP_PUT, 0, 20},  {STEP_ABORT, 0, 0}, {STEP_BEGIN, 0, 0},  {STEP_PUT, 60, 62},
    {STEP_COMMIT, 0, 0}, {STEP_BEGIN, 0, 0}, {STEP_PUT, 1, 3},   {STEP_COMMIT, 0, 0},
    {STEP_CLOSE, 0, 0}, {STEP_OPEN, 0, 0},  {STEP_BEGIN, 0, 0},  {STEP_DEL, 0, 70},
    {STEP_COMMIT, 0, 0}, {STEP_BEGIN, 0, 0}, {STEP_PUT, 0, 10},  {STEP_COMMIT, 0, 0},
    {STEP_CLOSE, 0, 0}, {STEP_END, 0, 0},
};

/* A reader keeps an old state; a commit is prepared twice; a savepoint is rolled back. */
static const workload_step step_readers[] = {
    {STEP_OPEN, 0, 0},   {STEP_BEGIN, 0, 0},    {STEP_PUT, 0, 40},     {STEP_COMMIT, 0, 0},
    {STEP_PIN, 0, 0},    {STEP_BEGIN, 0, 0},    {STEP_PUT, 0, 30},     {STEP_PREPARE, 0, 0},
    {STEP_PUT, 30, 50},  {STEP_SAVE, 0, 0},     {STEP_DEL, 0, 50},     {STEP_ROLLBACK, 0, 0},
    {STEP_RELEASE, 0, 0}, {STEP_PREPARE, 0, 0}, {STEP_COMMIT, 0, 0},   {STEP_BEGIN, 0, 0},
    {STEP_PUT, 5, 15},   {STEP_CURSOR, 0, 0},   {STEP_PUT, 0, 20},     {STEP_COMMIT, 0, 0},
    {STEP_UNPIN, 0, 0},  {STEP_BEGIN, 0, 0},    {STEP_PUT, 0, 45},     {STEP_COMMIT, 0, 0},
    {STEP_WALK, 0, 0},   {STEP_BEGIN, 0, 0},    {STEP_PUT, 10, 25},    {STEP_COMMIT, 0, 0},
    {STEP_CLOSE, 0, 0},  {STEP_END, 0, 0},
};

static const workload_step step_vacuum[] = {
    {STEP_OPEN, 0, 0},   {STEP_BEGIN, 0, 0},   {STEP_PUT, 0, 120},  {STEP_COMMIT, 0, 0},
    {STEP_BEGIN, 0, 0},  {STEP_DEL, 0, 100},   {STEP_COMMIT, 0, 0}, {STEP_VACUUM, 0, 0},
    {STEP_BEGIN, 0, 0},  {STEP_PUT, 0, 30},    {STEP_COMMIT, 0, 0}, {STEP_DECLARE, 0, 0},
    {STEP_VACUUM, 0, 0}, {STEP_BACKUP, 0, 0},  {STEP_CLOSE, 0, 0},  {STEP_END, 0, 0},
};

static const workload_step step_spill[] = {
    {STEP_OPEN, 0, 0},    {STEP_BEGIN, 0, 0},  {STEP_PUT, 0, 700},    {STEP_COMMIT, 0, 0},
    {STEP_BEGIN, 0, 0},   {STEP_PUT, 0, 700},  {STEP_SAVE, 0, 0},     {STEP_DEL, 0, 300},
    {STEP_ROLLBACK, 0, 0}, {STEP_COMMIT, 0, 0}, {STEP_CLOSE, 0, 0},   {STEP_END, 0, 0},
};

static void test_crash__while_the_file_is_made(void **state) {
    (void)state;
    for (uint32_t page_size = 4096; page_size <= 65536; page_size *= 16) {
        for (htt_sync sync = HTT_SYNC_FULL; sync <= HTT_SYNC_OFF; sync++) {
            crash_everywhere(&(workload){.name = "create",
                                         .steps = step_create,
                                         .page_size = page_size,
                                         .sync = sync});
        }
    }
}

static void test_crash__sync_full(void **state) {
    (void)state;
    crash_everywhere(
        &(workload){.name = "small rows, full", .steps = step_reuse, .page_size = 4096});
    crash_everywhere(&(workload){
        .name = "mixed rows, full", .steps = step_reuse, .rows = ROWS_MIXED, .page_size = 4096});
    crash_everywhere(&(workload){.name = "readers, full",
                                 .steps = step_readers,
                                 .rows = ROWS_MIXED,
                                 .page_size = 4096});
}

static void test_crash__sync_normal(void **state) {
    (void)state;
    crash_everywhere(&(workload){.name = "mixed rows, normal",
                                 .steps = step_reuse,
                                 .rows = ROWS_MIXED,
                                 .page_size = 4096,
                                 .sync = HTT_SYNC_NORMAL});
    crash_everywhere(&(workload){.name = "readers, normal",
                                 .steps = step_readers,
                                 .page_size = 4096,
                                 .sync = HTT_SYNC_NORMAL});
}

/* Every second or third commit is followed by a sync, as after many megabytes. */
static void sync_often(htt_store *store) {
    htt_testing_set_unsynced_max(store, 100000);
}

static void test_crash__sync_normal_with_checkpoints(void **state) {
    (void)state;
    crash_everywhere(&(workload){.name = "checkpoints",
                                 .steps = step_reuse,
                                 .rows = ROWS_MIXED,
                                 .page_size = 4096,
                                 .sync = HTT_SYNC_NORMAL,
                                 .opened = sync_often});
}

static void test_crash__sync_off(void **state) {
    (void)state;
    crash_everywhere(&(workload){.name = "mixed rows, off",
                                 .steps = step_reuse,
                                 .rows = ROWS_MIXED,
                                 .page_size = 4096,
                                 .sync = HTT_SYNC_OFF});
}

static void test_crash__vacuum_and_backup(void **state) {
    (void)state;
    for (htt_sync sync = HTT_SYNC_FULL; sync <= HTT_SYNC_OFF; sync++) {
        crash_everywhere(&(workload){.name = "vacuum",
                                     .steps = step_vacuum,
                                     .rows = ROWS_MIXED,
                                     .page_size = 4096,
                                     .sync = sync});
    }
}

static void test_crash__spilling(void **state) {
    (void)state;
    crash_everywhere(&(workload){.name = "spill",
                                 .steps = step_spill,
                                 .rows = ROWS_WIDE,
                                 .page_size = 4096,
                                 .write_budget = 4096});
}

static void test_crash__pages_of_65536(void **state) {
    (void)state;
    crash_everywhere(&(workload){.name = "65536, full",
                                 .steps = step_readers,
                                 .rows = ROWS_MIXED,
                                 .page_size = 65536});
    crash_everywhere(&(workload){.name = "65536, normal",
                                 .steps = step_readers,
                                 .page_size = 65536,
                                 .sync = HTT_SYNC_NORMAL});
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_crash__while_the_file_is_made),
        cmocka_unit_test(test_crash__sync_full),
        cmocka_unit_test(test_crash__sync_normal),
        cmocka_unit_test(test_crash__sync_normal_with_checkpoints),
        cmocka_unit_test(test_crash__sync_off),
        cmocka_unit_test(test_crash__vacuum_and_backup),
        cmocka_unit_test(test_crash__spilling),
        cmocka_unit_test(test_crash__pages_of_65536),
    };
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    printf("%" PRIu64 " disks examined, %" PRIu64 " damaged and detected (sync = off), %" PRIu64
           " violations, seed %u\n",
           state_count, damaged_count, violation_count, CRASH_SEED);
    return failed;
}
