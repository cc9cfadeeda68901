/* SPDX-License-Identifier: MIT */
/*
 * A file system in memory that can lose power.
 *
 * Files, locks, mappings, clock, randomness and processes are simulated. Every change is logged,
 * and from the log any moment of the past can be turned into the disk that a machine would find
 * if it had crashed there: a new crash_fs, with its own environment.
 *
 *     crash_fs *disk = crash_fs_new(seed);
 *     size_t first = crash_fs_position(disk);
 *     workload(crash_fs_env(disk));                   notes crash_fs_position after each commit
 *     for (size_t at = first; at <= crash_fs_position(disk); at++) {
 *         for (size_t i = 0; i < crash_fs_cut_count(disk, at, 64); i++) {
 *             crash_fs *after = crash_fs_cut(disk, at, i, 64);
 *             open and check with crash_fs_env(after); on failure print crash_fs_origin(after)
 *             crash_fs_free(after);
 *         }
 *     }
 *     crash_fs_free(disk);
 *
 * The model
 *   - An operation is a write, truncate, reserve, sync, create, unlink or directory sync. Position
 *     n is the moment when the first n operations have returned and the next has not begun; since
 *     every operation is a position of its own, a cut inside one is the cut after it with the
 *     operation lost or torn.
 *   - sync makes all earlier writes, truncates and reserves of that file durable (data and size).
 *     It does not make the file's name durable. sync_directory makes all earlier creates and
 *     unlinks of names in that directory durable, and nothing else.
 *   - After a power cut, every operation that was not durable is, independently of all others and
 *     of their order, kept, lost, or (writes) torn: a choice of its sectors is there, the others
 *     are as before. Kept ones are applied in their old order. So a later write may be there
 *     without an earlier one, and a file may have its new size without its new bytes.
 *   - A name whose create is lost is gone, with its bytes, however often the file was synced. A
 *     name whose unlink is lost is back.
 *   - What was stored through a writable mapping is an operation too (found by comparing, before
 *     the next operation), but it is not chosen one by one: after a power cut all files that were
 *     ever mapped writable hold in these pages what they held, zeros, or garbage (crash_shared).
 *   - A power cut gives a new boot id, a new process id and no locks.
 *   - A kill (the process dies, the machine runs on) keeps everything that was written or stored,
 *     drops all locks, and keeps the boot id.
 *
 * Directories exist by being named. There are no symbolic links. Paths are compared as strings, so
 * use one spelling. Time stands still but for sleep_us, so waiting costs nothing.
 */
#ifndef TEST_ENV_CRASH_H
#define TEST_ENV_CRASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "htt_env.h"

typedef struct crash_fs crash_fs;

/* An empty disk. The seed decides random numbers, the uuid of files made there, and boot ids. */
crash_fs *crash_fs_new(uint64_t seed);
/* Frees the disk, and all files, mappings and environments of it. NULL is allowed. */
void crash_fs_free(crash_fs *fs);

/* The environment of the disk's first process. Borrowed until crash_fs_free. */
const htt_env *crash_fs_env(crash_fs *fs);
/* One more process on the same disk, with its own process id. Borrowed until crash_fs_free. */
const htt_env *crash_fs_new_process(crash_fs *fs);
/*
 * Kills a process while others go on: its locks are dropped; its handles fail with EIO from now
 * on and can only be closed; its writable mappings become private copies, so that closing a store
 * of it afterwards (to give memory back) changes nothing.
 */
void crash_fs_kill_process(crash_fs *fs, const htt_env *process);

/*
 * The process kills itself in the call that would do its operation number `after` from now (0 = its
 * next): that operation is not done. `died` (NULL: nothing) is called then, under the disk's lock:
 * it must not call this environment.
 */
void crash_fs_kill_later(crash_fs *fs, const htt_env *process, size_t after,
                         void (*died)(void *arg), void *arg);

/* That operation fails with EIO instead, once, and is not done; the process lives on. */
void crash_fs_fail_later(crash_fs *fs, const htt_env *process, size_t after);
/* Nothing of that is to come: it was done, or never said. */
bool crash_fs_is_spared(crash_fs *fs, const htt_env *process);
/* Neither: what crash_fs_kill_later or crash_fs_fail_later said is forgotten. */
void crash_fs_spare(crash_fs *fs, const htt_env *process);

/* Total bytes of all files, above which writes fail with ENOSPC. UINT64_MAX (default): none. */
void crash_fs_set_capacity(crash_fs *fs, uint64_t bytes);

/* Operations so far. */
size_t crash_fs_position(crash_fs *fs);

/* What operation `index` (0 = first) was: "write kv.htt 4096+4096". Into `text`, terminated. */
void crash_fs_describe(crash_fs *fs, size_t index, char *text, size_t size);

/* How this disk came to be: the cut and the fate of every unsynced operation. "" = crash_fs_new. */
const char *crash_fs_origin(const crash_fs *fs);

/* Names and bytes of all files in a number, the same for equal disks. `seed`: another function. */
uint64_t crash_fs_digest(crash_fs *fs, uint64_t seed);

/* ---------------------------------------------------------- after a crash */

/* Operations before `position` that are not durable there (stores are not counted). */
size_t crash_fs_unsynced(crash_fs *fs, size_t position);

/*
 * How many power cuts crash_fs_cut offers at this position. With few unsynced operations: all
 * combinations of kept and lost, and every write torn once with the others kept and once with them
 * lost. When that would be more than `limit`: `limit` of them, chosen by a seed (all lost and all
 * kept first; then one lost, one kept, a prefix kept, and independent choices).
 */
size_t crash_fs_cut_count(crash_fs *fs, size_t position, size_t limit);

/* Power cut number `index`, below crash_fs_cut_count(fs, position, limit). Caller frees. */
crash_fs *crash_fs_cut(crash_fs *fs, size_t position, size_t index, size_t limit);

typedef enum crash_fate { CRASH_LOST = 0, CRASH_KEPT = 1, CRASH_TORN = 2 } crash_fate;
typedef enum crash_shared {
    CRASH_SHARED_KEPT = 0,
    CRASH_SHARED_ZEROS = 1,
    CRASH_SHARED_GARBAGE = 2
} crash_shared;

typedef struct crash_choice {
    const uint8_t *fates; /* a crash_fate for each unsynced operation */
    size_t count;         /* of fates; crash_fs_unsynced */
    uint64_t seed;        /* which sectors of torn writes are there */
    size_t sector;        /* bytes that are written whole: 512 or 4096 */
    crash_shared shared;  /* files that were mapped writable */
} crash_choice;

/* A power cut with fates of your own. Caller frees. */
crash_fs *crash_fs_cut_with(crash_fs *fs, size_t position, const crash_choice *choice);

/* The disk after a kill of all processes at this position. Caller frees. */
crash_fs *crash_fs_killed(crash_fs *fs, size_t position);

/* --------------------------------------------------------- for assertions */

/* A file's bytes: caller frees with free(). NULL: no such file. */
uint8_t *crash_fs_get_file(crash_fs *fs, const char *path, size_t *size_out);
/* Makes or replaces a file, durably. */
void crash_fs_put_file(crash_fs *fs, const char *path, const void *bytes, size_t size);

/* Files and mappings that were not given back, all processes; killed ones not counted. */
size_t crash_fs_held(crash_fs *fs);

#endif
