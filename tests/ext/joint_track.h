/* SPDX-License-Identifier: MIT */
/*
 * Random scripts over a joint_world, and when each of their states was committed, in positions of
 * the disk: what is needed to judge a disk after a crash.
 */
#ifndef HTT_TESTS_EXT_JOINT_TRACK_H
#define HTT_TESTS_EXT_JOINT_TRACK_H

#include "joint_world.h"

#define JOINT_STATES_MAX 64u /* of a script */

typedef struct joint_mode {
    const char *name;    /* for messages */
    const char *journal; /* PRAGMA journal_mode */
    const char *sync;    /* PRAGMA synchronous */
    bool newest;         /* a power cut may take the newest commit although it had returned */
    bool tail;           /* it may take any number of them, up to the last checkpoint */
} joint_mode;

#define JOINT_MODES 5u
extern const joint_mode joint_modes[JOINT_MODES];

/* A state that was committed, or was about to be. */
typedef struct joint_state {
    uint64_t sum;  /* what both tables hold */
    size_t begin;  /* position before COMMIT */
    size_t end;    /* position after it had returned; SIZE_MAX: it never did */
    size_t synced; /* position from which on it is known to be on the disk; SIZE_MAX: never */
} joint_state;

typedef struct joint_track {
    const joint_mode *mode;               /* how it ran */
    uint64_t seed;                        /* of the script */
    crash_fs *disk;                       /* that it ran on; borrowed, NULL = gone */
    size_t first;                         /* position before it */
    bool dropped;                         /* kv.htt may hold rows without a table */
    bool apart;                           /* kv was left behind by a window and is not judged */
    uint32_t count;                       /* of states */
    joint_state states[JOINT_STATES_MAX]; /* oldest first */
} joint_track;

typedef struct joint_run {
    joint_world world;  /* it runs in */
    joint_track *track; /* its states */
    uint64_t random;    /* of the script */
    int number;         /* process that works */
    bool folds;         /* there is htt_fold */
} joint_run;

/*
 * Opens process 0 on an empty disk and makes the tables: states 0 (none) and 1. All functions here
 * that give bool: false and run->world.why when a call failed or the tables differ.
 */
bool joint_run_begin(joint_run *run, joint_track *track, const joint_mode *mode, uint64_t seed,
                     crash_fs *disk);
/* One transaction. */
bool joint_run_transaction(joint_run *run);
/* One of many rows, which go into pages at once. */
bool joint_run_large(joint_run *run);
/* One transaction, perhaps with a checkpoint, a fold or a change of process before it. */
bool joint_run_step(joint_run *run);
/* Folds, where that can be done. */
bool joint_run_fold(joint_run *run);
/* Closes everything. */
bool joint_run_end(joint_run *run);

/* Opens the other process, if it is closed, and goes on with it. */
bool joint_run_change(joint_run *run);

#endif
