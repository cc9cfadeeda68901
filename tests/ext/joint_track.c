/* SPDX-License-Identifier: MIT */
/* Random scripts of transactions that change two tables alike. */
#include "joint_track.h"

#include <stdio.h>
#include <string.h>

#define TRACK_KEYS 48u /* different ones */

const joint_mode joint_modes[JOINT_MODES] = {
    {"wal, full", "wal", "full", false, false},
    {"wal, normal", "wal", "normal", false, true},
    {"delete, full", "delete", "full", true, false},
    {"truncate, full", "truncate", "full", false, false},
    {"persist, full", "persist", "full", false, false},
};

static uint64_t run_dice(joint_run *run, uint64_t sides) {
    return joint_random(&run->random) % sides;
}

static bool run_fails(joint_run *run, const char *why) {
    if (run->world.why[0] == '\0') {
        (void)snprintf(run->world.why, sizeof run->world.why, "%s", why);
    }
    return false;
}

static bool run_sql(joint_run *run, const char *sql) {
    return joint_exec(&run->world, run->number, sql);
}

/* The next state: what twin holds now. */
static bool run_note(joint_run *run) {
    joint_track *track = run->track;
    uint64_t twin = 0;
    uint64_t kv = 0;
    if (!joint_sum(&run->world, run->number, JOINT_TWIN, &twin) ||
        !joint_sum(&run->world, run->number, JOINT_KV, &kv)) {
        return false;
    }
    if (twin != kv && !track->apart) {
        return run_fails(run, "the tables differ before any crash");
    }
    if (track->count == JOINT_STATES_MAX) {
        return run_fails(run, "too many states");
    }
    track->states[track->count++] =
        (joint_state){twin, crash_fs_position(track->disk), SIZE_MAX, SIZE_MAX};
    return true;
}

/* The newest state has been committed. */
static void run_committed(joint_run *run, bool synced) {
    joint_state *state = &run->track->states[run->track->count - 1];
    const size_t position = crash_fs_position(run->track->disk);
    state->end = state->end == SIZE_MAX ? position : state->end;
    state->synced = synced && state->synced == SIZE_MAX ? position : state->synced;
}

/* ------------------------------------------------------------- transactions */

static bool run_rows(joint_run *run, uint64_t rows, joint_size size, unsigned deletes) {
    bool done = true;
    for (uint64_t i = 0; i < rows && done; i++) {
        const uint32_t key = (uint32_t)run_dice(run, TRACK_KEYS);
        done = run_dice(run, 100) < deletes
                   ? joint_delete(&run->world, run->number, key)
                   : joint_put(&run->world, run->number, key, size, &run->random);
    }
    return done;
}

/* Savepoints kept, undone, and undone twice; a statement that fails. */
static bool run_savepoints(joint_run *run) {
    return run_rows(run, 2, JOINT_SMALL, 20) && run_sql(run, "SAVEPOINT a") &&
           run_rows(run, 6, JOINT_MIXED, 30) && run_sql(run, "SAVEPOINT b") &&
           run_rows(run, 5, JOINT_SMALL, 50) && run_sql(run, "ROLLBACK TO b") &&
           run_rows(run, 2, JOINT_SMALL, 0) && run_sql(run, "ROLLBACK TO b; RELEASE b") &&
           joint_fail(&run->world, run->number, 1000) &&
           (run_dice(run, 2) == 0 || run_sql(run, "ROLLBACK TO a")) &&
           run_rows(run, 2, JOINT_SMALL, 20) && run_sql(run, "RELEASE a");
}

static bool run_changes(joint_run *run) {
    switch (run_dice(run, 15)) {
    case 0:
    case 1:
    case 2:
    case 3: return run_rows(run, 1 + run_dice(run, 4), JOINT_SMALL, 20);
    case 4:
    case 5: return run_rows(run, 10, JOINT_MIXED, 70);
    case 6:
    case 7: return run_rows(run, 60, JOINT_SMALL, 10);
    case 8:
    case 9:
    case 10: return run_savepoints(run);
    case 11: return run_rows(run, 1, JOINT_WIDE, 0);
    case 12:
        return run_rows(run, 2, JOINT_SMALL, 0) && joint_renew(&run->world, run->number) &&
               run_rows(run, 2, JOINT_SMALL, 0);
    default:
        return run_rows(run, 5, JOINT_MIXED, 20) && run_sql(run, "ROLLBACK; BEGIN IMMEDIATE") &&
               run_rows(run, 1, JOINT_SMALL, 0);
    }
}

/* ---------------------------------------------------------- between transactions */

bool joint_run_change(joint_run *run) {
    run->number = 1 - run->number;
    return run->world.processes[run->number].db != NULL || joint_open(&run->world, run->number);
}

/* The last connection to close a WAL database writes and syncs all of it. */
static bool run_close_all(joint_run *run) {
    joint_close(&run->world, 0);
    joint_close(&run->world, 1);
    if (run->world.why[0] != '\0') {
        return false;
    }
    run_committed(run, strcmp(run->track->mode->journal, "wal") == 0);
    return true;
}

static bool run_checkpoint(joint_run *run) {
    bool complete = false;
    if (!joint_checkpoint(&run->world, run->number, run_dice(run, 2) == 0, &complete)) {
        return false;
    }
    run_committed(run, complete);
    return true;
}

bool joint_run_fold(joint_run *run) {
    return !run->folds || run_sql(run, "SELECT htt_fold('kv')");
}

/* Both tables go and come back, a transaction each. The file stays, alone for the time between. */
static bool run_drop(joint_run *run) {
    run->track->dropped = true;
    if (!run_sql(run, "BEGIN IMMEDIATE") || !joint_drop(&run->world, run->number) ||
        !run_note(run) || !run_sql(run, "COMMIT")) {
        return false;
    }
    run_committed(run, false);
    const size_t before = crash_fs_position(run->track->disk);
    if (!joint_create(&run->world, run->number, true) || !run_note(run)) {
        return false;
    }
    run->track->states[run->track->count - 1].begin = before;
    run_committed(run, false);
    return true;
}

static bool run_between(joint_run *run) {
    if (run->folds && run_dice(run, 12) == 0) {
        return run_dice(run, 2) == 0 ? run_drop(run) : run_sql(run, "SELECT htt_vacuum('kv')");
    }
    switch (run_dice(run, 16)) {
    case 0: return run_close_all(run) && joint_run_change(run);
    case 1:
    case 2: return joint_run_change(run);
    case 3:
    case 4: return joint_run_fold(run);
    case 5: return strcmp(run->track->mode->journal, "wal") != 0 || run_checkpoint(run);
    default: return true;
    }
}

static bool run_transaction(joint_run *run, bool large) {
    const bool done = run_sql(run, "BEGIN IMMEDIATE") &&
                      (large ? run_rows(run, 60, JOINT_SMALL, 10) : run_changes(run)) &&
                      joint_stamp(&run->world, run->number, run->track->count) && run_note(run) &&
                      run_sql(run, "COMMIT");
    if (done) {
        run_committed(run, false);
    }
    return done;
}

bool joint_run_transaction(joint_run *run) {
    return run_transaction(run, false);
}

bool joint_run_large(joint_run *run) {
    return run_transaction(run, true);
}

bool joint_run_step(joint_run *run) {
    return run_between(run) && joint_run_transaction(run);
}

bool joint_run_begin(joint_run *run, joint_track *track, const joint_mode *mode, uint64_t seed,
                     crash_fs *disk) {
    *run = (joint_run){.track = track, .random = seed};
    *track = (joint_track){.mode = mode, .seed = seed, .disk = disk};
    vfs_seed((unsigned)seed);
    joint_begin(&run->world, disk, mode->journal, mode->sync);
    if (!joint_open(&run->world, 0)) {
        return false;
    }
    run->folds = joint_has_function(&run->world, 0, "htt_fold");
    track->first = crash_fs_position(disk);
    if (!run_note(run)) {
        return false;
    }
    run_committed(run, true);
    const size_t before = crash_fs_position(disk);
    if (!joint_create(&run->world, 0, false) || !run_note(run)) {
        return false;
    }
    track->states[1].begin = before;
    run_committed(run, false);
    return true;
}

bool joint_run_end(joint_run *run) {
    const bool done = run->world.why[0] == '\0' && run_close_all(run);
    joint_end(&run->world);
    return done;
}
