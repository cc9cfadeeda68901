/* SPDX-License-Identifier: MIT */
/* Disks after a crash: what may be on them, and whether life goes on. */
#include "joint_disk.h"

#include <inttypes.h>
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define DISK_HOSTED_DEFAULT true /* which keeper the module has */
#define DISK_AGAIN 48u           /* one disk of so many crashes once more */
#define DISK_AGAIN_CUTS 6u       /* then at so many positions */
#define DISK_REOPEN 4u           /* one of so many is closed, opened and compared again */
#define DISK_REPORTS 12u         /* violations that are told */
#define DISK_SEEN 65536u         /* slots of the table of disks, twice as many as it takes */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define DISK_SKIP 16u /* so many positions further, at most */
#else
#define DISK_SKIP 1u
#endif

joint_counts joint_all;
static bool disk_hosted;

/* -------------------------------------------------------------- examination */

/* A disk after a crash, and what was found on it. */
typedef struct joint_disk {
    const joint_track *track;    /* before the crash */
    size_t position;             /* of the crash */
    bool killed;                 /* no power cut */
    crash_fs *disk;              /* borrowed */
    joint_world world;           /* opened on it */
    uint64_t sums[JOINT_TABLES]; /* found */
    uint32_t found;              /* the state that twin is in */
    uint32_t behind;             /* transactions that kv is behind */
    size_t first;                /* position of `disk` before it was opened */
    size_t begin;                /* before our own COMMIT */
    size_t end;                  /* after it */
    uint64_t written;            /* what both hold after it */
    char why[600];               /* what is wrong; "" = nothing */
} joint_disk;

__attribute__((format(printf, 2, 3))) static bool disk_fails(joint_disk *after, const char *format,
                                                             ...) {
    va_list arguments;
    va_start(arguments, format);
    if (after->why[0] == '\0') {
        (void)vsnprintf(after->why, sizeof after->why, format, arguments);
    }
    va_end(arguments);
    return false;
}

/* States [*first_out, *last_out] that twin may be in. *acked_out: the newest that had returned. */
static void disk_allowed(const joint_disk *after, uint32_t *first_out, uint32_t *last_out,
                         uint32_t *acked_out) {
    const joint_track *track = after->track;
    uint32_t acked = 0;
    uint32_t before = 0; /* that had returned before it */
    uint32_t synced = 0;
    uint32_t last = 0;
    for (uint32_t i = 0; i < track->count; i++) {
        if (track->states[i].end <= after->position) {
            before = acked;
            acked = i;
        }
        synced = track->states[i].synced <= after->position ? i : synced;
        last = track->states[i].begin <= after->position ? i : last;
    }
    uint32_t first = acked;
    if (!after->killed) {
        first = track->mode->tail ? 0 : track->mode->newest ? before : acked;
    }
    *first_out = first > synced ? first : synced;
    *last_out = last;
    *acked_out = acked;
}

static bool disk_read(joint_disk *after, uint64_t sums[JOINT_TABLES]) {
    for (joint_table table = JOINT_TWIN; table < JOINT_TABLES; table++) {
        if (!joint_sum(&after->world, 0, table, &sums[table])) {
            return disk_fails(after, "%s", after->world.why);
        }
    }
    return true;
}

/* Which state kv is in, judged by that of twin. */
static bool disk_compare(joint_disk *after, uint32_t last) {
    const joint_state *states = after->track->states;
    const joint_mode *mode = after->track->mode;
    if (after->sums[JOINT_KV] == after->sums[JOINT_TWIN] || after->track->apart) {
        return true;
    }
    uint32_t kv = last + 1;
    for (uint32_t i = 0; i <= last; i++) {
        kv = states[i].sum == after->sums[JOINT_KV] ? i : kv;
    }
    kv = after->sums[JOINT_KV] == JOINT_EMPTY ? 0 : kv; /* made, and no more */
    if (kv > last) {
        return disk_fails(after, "twin is in state %u, kv in none", after->found);
    }
    const uint32_t ahead = kv > after->found ? kv - after->found : 0;
    after->behind = kv < after->found ? after->found - kv : 0;
    const bool window = after->behind <= 1 && (after->killed ? ahead == 0
                                               : mode->tail  ? true
                                                             : ahead <= mode->newest);
    return (window && !disk_hosted) ||
           disk_fails(after, "twin is in state %u, kv in state %u", after->found, kv);
}

/* By after->sums. */
static bool disk_judge(joint_disk *after) {
    uint32_t first = 0;
    uint32_t last = 0;
    uint32_t acked = 0;
    disk_allowed(after, &first, &last, &acked);
    uint32_t found = last + 1;
    for (uint32_t i = 0; i <= last; i++) {
        found = after->track->states[i].sum == after->sums[JOINT_TWIN] ? i : found;
    }
    after->found = found;
    if (found > last) {
        return disk_fails(after, "twin is in no state up to %u", last);
    }
    if (found < first) {
        return disk_fails(after, "twin is in state %u, right are %u to %u", found, first, last);
    }
    joint_all.lost += found < acked;
    return disk_compare(after, last);
}

/* Both files, each by its own check. */
static bool disk_check(joint_disk *after) {
    char text[200] = "";
    if (!joint_text(&after->world, 0, "PRAGMA integrity_check", text, sizeof text)) {
        return disk_fails(after, "%s", after->world.why);
    }
    if (strcmp(text, "ok") != 0) {
        return disk_fails(after, "integrity_check: %s", text);
    }
    if (after->sums[JOINT_KV] == JOINT_ABSENT) {
        return true;
    }
    if (!joint_text(&after->world, 0, "SELECT problem FROM htt_check('kv')", text, sizeof text)) {
        return disk_fails(after, "%s", after->world.why);
    }
    return strcmp(text, "ok") == 0 || disk_fails(after, "htt_check: %s", text);
}

/* The tables were not there. What a power cut within CREATE left does not hinder the next one. */
static bool disk_create(joint_disk *after) {
    return joint_create(&after->world, 0, !disk_hosted || after->track->dropped);
}

/* Life goes on: a transaction in both tables. */
static bool disk_write(joint_disk *after) {
    uint64_t random = after->position;
    uint64_t sums[JOINT_TABLES];
    joint_world *world = &after->world;
    if (after->sums[JOINT_TWIN] == JOINT_ABSENT && !disk_create(after)) {
        return disk_fails(after, "%s", world->why);
    }
    const bool written = joint_exec(world, 0, "BEGIN IMMEDIATE") &&
                         joint_put(world, 0, 1, JOINT_SMALL, &random) &&
                         joint_put(world, 0, 500, JOINT_SMALL, &random) &&
                         joint_delete(world, 0, 7) && joint_stamp(world, 0, 1000000);
    after->begin = crash_fs_position(after->disk);
    if (!written || !joint_exec(world, 0, "COMMIT")) {
        return disk_fails(after, "%s", world->why);
    }
    after->end = crash_fs_position(after->disk);
    if (!disk_read(after, sums)) {
        return false;
    }
    after->written = sums[JOINT_TWIN];
    const bool equal = after->sums[JOINT_TWIN] == after->sums[JOINT_KV];
    return sums[JOINT_TWIN] == sums[JOINT_KV] || !equal ||
           disk_fails(after, "the tables differ after a write");
}

static bool disk_reopen(joint_disk *after) {
    uint64_t before[JOINT_TABLES];
    uint64_t sums[JOINT_TABLES];
    if (!disk_read(after, before)) {
        return false;
    }
    joint_close(&after->world, 0);
    if (!joint_open(&after->world, 0)) {
        return disk_fails(after, "%s", after->world.why);
    }
    return disk_read(after, sums) &&
           (memcmp(before, sums, sizeof sums) == 0 ||
            disk_fails(after, "reopened, the tables hold something else")) &&
           disk_check(after);
}

static void disk_count(const joint_disk *after, bool right) {
    joint_all.states++;
    joint_all.behind += right && after->behind > 0;
    if (!right && joint_all.violations++ < DISK_REPORTS) {
        print_error("%s, seed %" PRIu64 ": %s\n    %s\n", after->track->mode->name,
                    after->track->seed, after->why, crash_fs_origin(after->disk));
    }
}

/* Whether all is right with a disk. It is closed afterwards. */
static bool disk_examine(joint_disk *after) {
    after->first = crash_fs_position(after->disk);
    joint_begin(&after->world, after->disk, after->track->mode->journal, after->track->mode->sync);
    bool right = joint_open(&after->world, 0) || disk_fails(after, "%s", after->world.why);
    right = right && disk_read(after, after->sums) && disk_judge(after) && disk_check(after) &&
            disk_write(after) && (joint_all.states % DISK_REOPEN != 0 || disk_reopen(after));
    joint_end(&after->world);
    if (right && after->world.why[0] != '\0') {
        right = disk_fails(after, "%s", after->world.why);
    }
    if (right && crash_fs_held(after->disk) != 0) {
        right = disk_fails(after, "%zu handles left", crash_fs_held(after->disk));
    }
    disk_count(after, right);
    return right;
}

/* The power fails while the disk that a crash left was recovered and used again. */
static void disk_crash_again(const joint_disk *before, uint64_t *random) {
    joint_track track = {.mode = before->track->mode, .seed = before->track->seed, .count = 2};
    track.dropped = before->track->dropped;
    const size_t end = crash_fs_position(before->disk);
    track.disk = before->disk;
    track.states[0] = (joint_state){before->sums[JOINT_TWIN], 0, 0, 0};
    track.states[1] = (joint_state){before->written, before->begin, before->end, SIZE_MAX};
    for (unsigned i = 0; i < DISK_AGAIN_CUTS; i++) {
        const size_t at = before->first + joint_random(random) % (end + 1 - before->first);
        const size_t cuts = crash_fs_cut_count(before->disk, at, JOINT_CUTS);
        const size_t cut = joint_random(random) % cuts;
        joint_disk after = {.track = &track, .position = at};
        after.disk = crash_fs_cut(before->disk, at, cut, JOINT_CUTS);
        (void)disk_examine(&after);
        joint_all.again++;
        crash_fs_free(after.disk);
    }
}

static bool disk_crash(joint_disk *after, uint64_t *random) {
    const bool right = disk_examine(after);
    const bool whole =
        after->sums[JOINT_TWIN] == after->sums[JOINT_KV] && after->sums[JOINT_TWIN] != JOINT_ABSENT;
    if (right && whole && joint_random(random) % DISK_AGAIN == 0) {
        disk_crash_again(after, random);
    }
    return right;
}

void joint_crash(const joint_track *track, size_t position, crash_fs *disk, bool killed,
                 uint64_t *random) {
    joint_disk after = {.track = track, .position = position, .killed = killed, .disk = disk};
    (void)disk_crash(&after, random);
    crash_fs_free(disk);
}

/* --------------------------------------------------------- disks seen before */

/*
 * Different cuts, and cuts at different positions, often leave the same bytes. Such a disk was
 * recovered, checked and used once, and all was right with it. What it holds is judged again, since
 * what it may hold depends on the position.
 */
typedef struct disk_seen {
    uint64_t digest[2];          /* of the disk; 0, 0 = free */
    uint64_t sums[JOINT_TABLES]; /* found on it */
} disk_seen;

static disk_seen disk_table[DISK_SEEN]; /* of one script */
static size_t disk_table_used;

/* The entry of a disk, or where it would go. */
static disk_seen *disk_find(const uint64_t digest[2]) {
    size_t i = digest[0] % DISK_SEEN;
    while ((disk_table[i].digest[0] | disk_table[i].digest[1]) != 0 &&
           memcmp(disk_table[i].digest, digest, sizeof disk_table[i].digest) != 0) {
        i = (i + 1) % DISK_SEEN;
    }
    return &disk_table[i];
}

static void disk_crash_once(const joint_track *track, size_t position, crash_fs *disk, bool killed,
                            uint64_t *random) {
    /* A killed process leaves another boot's machine than a power cut does. */
    const uint64_t digest[2] = {crash_fs_digest(disk, killed), crash_fs_digest(disk, 2)};
    joint_disk after = {.track = track, .position = position, .killed = killed, .disk = disk};
    disk_seen *const seen = disk_find(digest);
    if ((seen->digest[0] | seen->digest[1]) != 0) {
        memcpy(after.sums, seen->sums, sizeof seen->sums);
        disk_count(&after, disk_judge(&after));
        joint_all.repeated++;
    } else if (disk_crash(&after, random) && disk_table_used < DISK_SEEN / 2) {
        memcpy(seen->digest, digest, sizeof seen->digest);
        memcpy(seen->sums, after.sums, sizeof seen->sums);
        disk_table_used++;
    }
    crash_fs_free(disk);
}

void joint_crash_everywhere(const joint_track *track, size_t first, size_t end, size_t sample,
                            uint64_t *random) {
    memset(disk_table, 0, sizeof disk_table);
    disk_table_used = 0;
    for (size_t at = first; at <= end; at += 1 + joint_random(random) % DISK_SKIP) {
        const size_t cuts = crash_fs_cut_count(track->disk, at, JOINT_CUTS);
        disk_crash_once(track, at, crash_fs_killed(track->disk, at), true, random);
        for (size_t i = 0; i < cuts && i < sample; i++) {
            const size_t cut = cuts <= sample || i < 2 ? i : joint_random(random) % cuts;
            crash_fs *const disk = crash_fs_cut(track->disk, at, cut, JOINT_CUTS);
            disk_crash_once(track, at, disk, false, random);
        }
    }
}

/* ------------------------------------------------------------- the program */

size_t joint_number(const char *name, size_t otherwise) {
    const char *const text = getenv(name);
    return text == NULL ? otherwise : (size_t)strtoull(text, NULL, 10);
}

void joint_disk_init(void) {
    const char *const keeper = getenv("HTT_TEST_KEEPER");
    disk_hosted = keeper == NULL ? DISK_HOSTED_DEFAULT : strcmp(keeper, "hosted") == 0;
    (void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    (void)mallopt(M_MMAP_THRESHOLD, 1 << 25);
    (void)mallopt(M_TRIM_THRESHOLD, 1 << 30);
}

bool joint_disk_hosted(void) {
    return disk_hosted;
}

/* Writes to the htt file; all operations are printed where HTT_TEST_OPERATIONS asks for them. */
static size_t disk_page_writes(crash_fs *disk) {
    const bool tell = getenv("HTT_TEST_OPERATIONS") != NULL;
    size_t count = 0;
    for (size_t i = 0; disk != NULL && i < crash_fs_position(disk); i++) {
        char text[200];
        crash_fs_describe(disk, i, text, sizeof text);
        count += strncmp(text, "write " JOINT_FILE " ", strlen("write " JOINT_FILE " ")) == 0;
        if (tell) {
            print_message("    %zu %s\n", i, text);
        }
    }
    return count;
}

void joint_print(const joint_track *track, const joint_counts *before) {
    print_message("%s: seed %" PRIu64 ", %u commits, %zu writes to pages, %" PRIu64
                  " states, %" PRIu64 " lost commits, %" PRIu64 " behind, %" PRIu64
                  " crashed twice, %" PRIu64 " seen before, %" PRIu64 " violations\n",
                  track->mode->name, track->seed, (unsigned)track->count - 1,
                  disk_page_writes(track->disk), joint_all.states - before->states,
                  joint_all.lost - before->lost, joint_all.behind - before->behind,
                  joint_all.again - before->again, joint_all.repeated - before->repeated,
                  joint_all.violations - before->violations);
}
