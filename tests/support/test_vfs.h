/* SPDX-License-Identifier: MIT */
/*
 * SQLite over an htt_env: database, journal, WAL and htt files on one simulated disk, with one log.
 *
 *     crash_fs *disk = crash_fs_new(seed);
 *     vfs_machine *machine = vfs_machine_new();
 *     vfs_process *process = vfs_process_new(machine, crash_fs_env(disk));
 *     sqlite3 *db;
 *     assert_int_equal(vfs_process_open(process, "/host.db", &db), SQLITE_OK);
 *     ...
 *     sqlite3_close(db);
 *     vfs_process_free(process);
 *     vfs_machine_free(machine);
 *     crash_fs_free(disk);
 *
 * A machine has what a running system keeps of SQLite's files and a disk does not: locks and
 * wal-indexes. After a power cut or a kill of all processes take a new machine. A process has a
 * sqlite3_vfs of its own over the env of a simulated process; its connections may be many.
 *
 *   - The order of calls is that of SQLite's unix VFS: a journal or WAL that was opened to be
 *     created carries its directory's sync to its own first sync; xDelete syncs the directory only
 *     when asked to. A database file promises powersafe overwrite and nothing else, as there.
 *   - Names are taken as they are; one that does not begin with "/" gets one. Temporary files are
 *     the operating system's and not in the log.
 *   - Everything must be called by one thread at a time.
 */
#ifndef TEST_VFS_H
#define TEST_VFS_H

#include <stdbool.h>
#include <stddef.h>

#include <sqlite3.h>

#include "htt_env.h"

typedef struct vfs_machine vfs_machine;
typedef struct vfs_process vfs_process;

vfs_machine *vfs_machine_new(void);
/* After its processes. NULL is allowed. */
void vfs_machine_free(vfs_machine *machine);

/* A process on the machine; `env` is borrowed. Its VFS is registered until vfs_process_free. */
vfs_process *vfs_process_new(vfs_machine *machine, const htt_env *env);
/* After its connections were closed. NULL is allowed. */
void vfs_process_free(vfs_process *process);

/* For sqlite3_open_v2. */
const char *vfs_process_name(const vfs_process *process);
/* sqlite3_open_v2, read and write, made when absent. An SQLite code. */
int vfs_process_open(vfs_process *process, const char *path, sqlite3 **db_out);

/*
 * The process dies: its locks go, what it still stores into wal-indexes is seen by nobody, and its
 * calls fail. Kill its env as well (crash_fs_kill_process, or crash_fs_kill_later with
 * vfs_process_died as the callback). Its connections can then only be closed.
 */
void vfs_process_kill(vfs_process *process);
/* The same; `process` is a vfs_process. */
void vfs_process_died(void *process);

/* Open files of all processes, dead ones not counted. */
size_t vfs_machine_held(const vfs_machine *machine);

/* What makes runs repeatable: SQLite's own random numbers start over from this seed. */
void vfs_seed(unsigned seed);

#endif
