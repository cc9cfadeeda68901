/* SPDX-License-Identifier: MIT */
/*
 * A database and an htt file on one simulated disk, used by simulated processes. Every change goes
 * to two tables in one transaction:
 *
 *     twin   an ordinary table of SQLite
 *     kv     a table of ours
 *
 * so that after any crash the two can be compared. What a table holds is told by a number, the sum
 * of its rows' hashes; JOINT_EMPTY without rows, JOINT_ABSENT where there is no such table.
 */
#ifndef HTT_TESTS_EXT_JOINT_WORLD_H
#define HTT_TESTS_EXT_JOINT_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sqlite3.h>

#include "support/test_env_crash.h"
#include "support/test_vfs.h"

#define JOINT_HOST "/host.db"
#define JOINT_FILE "/kv.htt"
#define JOINT_PROCESSES 2
#define JOINT_ABSENT UINT64_C(0)
#define JOINT_EMPTY UINT64_C(1)
#define JOINT_STAMP_KEY "n" /* of joint_stamp's row */

typedef enum joint_table { JOINT_TWIN = 0, JOINT_KV = 1, JOINT_TABLES = 2 } joint_table;

typedef enum joint_statement {
    JOINT_PUT = 0, /* INSERT OR REPLACE */
    JOINT_DELETE,  /* by key */
    JOINT_FAIL,    /* two rows, the second of which is there: an INSERT that fails */
    JOINT_READ,    /* everything */
    JOINT_STATEMENTS
} joint_statement;

typedef struct joint_process {
    const htt_env *env; /* of the simulated process, NULL = not there */
    vfs_process *vfs;   /* its VFS */
    sqlite3 *db;        /* its connection, NULL = closed */
    sqlite3_stmt *statements[JOINT_TABLES][JOINT_STATEMENTS]; /* prepared when needed */
} joint_process;

typedef struct joint_world {
    crash_fs *disk;                           /* borrowed */
    vfs_machine *machine;                     /* its locks */
    joint_process processes[JOINT_PROCESSES]; /* the first is that of crash_fs_env */
    const char *journal;                      /* PRAGMA journal_mode */
    const char *sync;                         /* PRAGMA synchronous */
    bool used;                                /* crash_fs_env is a process here, or was */
    char why[400];                            /* the first failed call; "" = none */
} joint_world;

void joint_begin(joint_world *world, crash_fs *disk, const char *journal, const char *sync);
/* Closes what is open and frees all but the disk. */
void joint_end(joint_world *world);

/* Opens the connection of a process; false and `why` when that fails. */
bool joint_open(joint_world *world, int number);
void joint_close(joint_world *world, int number);
/* The same as the connection of the program itself, to a real file; its locks are real ones. */
bool joint_open_file(joint_world *world, int number, const char *path);
/* The process kills itself before its operation number `after` from now. */
void joint_kill_later(joint_world *world, int number, size_t after);

/* The process's operation number `after` from now fails, unless joint_spare comes before it. */
void joint_fail_later(joint_world *world, int number, size_t after);
void joint_spare(joint_world *world, int number);
/* It has died: gives its memory back. joint_open makes a new process in its place. */
void joint_bury(joint_world *world, int number);

/* All of these are false, and fill `why`, when SQLite says no. */
bool joint_exec(joint_world *world, int number, const char *sql);
/*
 * Makes both tables in one transaction. `clear`: a file that is there may have rows, which go; else
 * they are a mistake.
 */
bool joint_create(joint_world *world, int number, bool clear);
/*
 * Both tables go, the htt file stays, and so do its rows: joint_create makes them again with
 * `clear`. Or only kv goes, and comes back over its file within the transaction that runs.
 */
bool joint_drop(joint_world *world, int number);
bool joint_renew(joint_world *world, int number);
/* A text: the first column of the last row. */
bool joint_text(joint_world *world, int number, const char *sql, char *text, size_t size);
/* *complete_out: everything in the WAL is now in the database, and synced. */
bool joint_checkpoint(joint_world *world, int number, bool truncate, bool *complete_out);
/* Whether there is an SQL function of this name. */
bool joint_has_function(joint_world *world, int number, const char *name);
/* What a table holds. */
bool joint_sum(joint_world *world, int number, joint_table table, uint64_t *sum_out);

typedef enum joint_size {
    JOINT_SMALL = 0, /* up to 300 bytes, most of them less than 40 */
    JOINT_MIXED = 1, /* now and then up to 2000, seldom 9000: overflow in both files */
    JOINT_WIDE = 2   /* from 3000 to 9000 */
} joint_size;

/* A row of both tables: key number `key`, a value of random bytes. */
bool joint_put(joint_world *world, int number, uint32_t key, joint_size size, uint64_t *random);
bool joint_delete(joint_world *world, int number, uint32_t key);
/* The row that tells states apart. */
bool joint_stamp(joint_world *world, int number, uint32_t stamp);
/* A statement that fails in both tables after its first row, because of the stamp's row. */
bool joint_fail(joint_world *world, int number, uint32_t key);

uint64_t joint_random(uint64_t *state);

#endif
