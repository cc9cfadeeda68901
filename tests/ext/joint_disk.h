/* SPDX-License-Identifier: MIT */
/*
 * A disk after a crash: whether what is on it may be there.
 *
 *     open; read both tables and compare them with each other and with the script's states;
 *     PRAGMA integrity_check, htt_check; a transaction in both; compare; from some of the disks:
 *     close, open, compare and check again, or crash again.
 */
#ifndef HTT_TESTS_EXT_JOINT_DISK_H
#define HTT_TESTS_EXT_JOINT_DISK_H

#include "joint_track.h"

#define JOINT_CUTS 1024u /* power cuts at a position, of which samples are taken */

typedef struct joint_counts {
    uint64_t states;     /* disks examined */
    uint64_t behind;     /* of them with kv behind, where that is allowed */
    uint64_t lost;       /* of them without a commit that had returned, where that is allowed */
    uint64_t again;      /* of them after a second crash */
    uint64_t repeated;   /* of them with the bytes of one before, which are not used again */
    uint64_t violations; /* of them wrong */
} joint_counts;

extern joint_counts joint_all; /* of the program */

/*
 * Reads HTT_TEST_KEEPER: whether the module has the hosted keeper, and the two tables must agree,
 * or the standalone keeper, and kv may be one transaction behind. Makes the program fit for disks
 * that come and go. To be called first in main.
 */
void joint_disk_init(void);
bool joint_disk_hosted(void);
/* A number from the environment. */
size_t joint_number(const char *name, size_t otherwise);

/*
 * Examines a disk that a crash of the script's disk left at `position`, and frees it; a violation
 * is printed and counted. From a sample of them the power fails once more.
 */
void joint_crash(const joint_track *track, size_t position, crash_fs *disk, bool killed,
                 uint64_t *random);

/* A kill and up to `sample` power cuts at each position of [first, end]; some with sanitizers. */
void joint_crash_everywhere(const joint_track *track, size_t first, size_t end, size_t sample,
                            uint64_t *random);

/* One line about what was counted since `before`. HTT_TEST_OPERATIONS: the log of the disk too. */
void joint_print(const joint_track *track, const joint_counts *before);

#endif
