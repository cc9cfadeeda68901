/* SPDX-License-Identifier: MIT */
/*
 * The SQLite VFS over an htt_env: files and names. Locks and wal-indexes are in test_vfs_locks.c.
 */
#include "support/test_vfs_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VFS_PATH_MAX 512
#define VFS_SECTOR 4096                    /* as the unix VFS says */
#define VFS_EPOCH INT64_C(212600000000000) /* milliseconds of Julian days, some day in 2025 */
#define VFS_TEMPORARY                                                                              \
    (SQLITE_OPEN_TEMP_DB | SQLITE_OPEN_TEMP_JOURNAL | SQLITE_OPEN_TRANSIENT_DB |                   \
     SQLITE_OPEN_SUBJOURNAL)
#define VFS_JOURNALS (SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_SUPER_JOURNAL | SQLITE_OPEN_WAL)

/* ------------------------------------------------------------------ files */

static const htt_env *vfs_env(const vfs_file *file) {
    return file->process->env;
}

static int vfs_close(sqlite3_file *base) {
    vfs_file *file = (vfs_file *)base;
    vfs_file **link = &file->process->files;
    vfs_node_leave(file);
    vfs_env(file)->close(vfs_env(file)->context, file->file);
    while (*link != file) {
        link = &(*link)->next;
    }
    *link = file->next;
    file->process->machine->files -= file->process->dead ? 0 : 1;
    free(file->path);
    return SQLITE_OK;
}

/* A read that ends early is an end of file, or an error. */
static int vfs_read(sqlite3_file *base, void *buffer, int size, sqlite3_int64 offset) {
    const vfs_file *file = (const vfs_file *)base;
    const htt_env *env = vfs_env(file);
    htt_file_info info;
    size_t done = 0;
    if (env->read(env->context, file->file, buffer, (size_t)size, (uint64_t)offset, &done) == 0) {
        return SQLITE_OK;
    }
    if (env->info(env->context, file->file, &info) != 0 || (uint64_t)offset + done < info.size) {
        return SQLITE_IOERR_READ;
    }
    memset((char *)buffer + done, 0, (size_t)size - done);
    return SQLITE_IOERR_SHORT_READ;
}

static int vfs_write(sqlite3_file *base, const void *buffer, int size, sqlite3_int64 offset) {
    const vfs_file *file = (const vfs_file *)base;
    const htt_env *env = vfs_env(file);
    const int rc = env->write(env->context, file->file, buffer, (size_t)size, (uint64_t)offset);
    return rc == 0 ? SQLITE_OK : rc == ENOSPC || rc == EDQUOT ? SQLITE_FULL : SQLITE_IOERR_WRITE;
}

static int vfs_truncate(sqlite3_file *base, sqlite3_int64 size) {
    const vfs_file *file = (const vfs_file *)base;
    const htt_env *env = vfs_env(file);
    return env->truncate(env->context, file->file, (uint64_t)size) == 0 ? SQLITE_OK
                                                                        : SQLITE_IOERR_TRUNCATE;
}

static int vfs_sync(sqlite3_file *base, int flags) {
    vfs_file *file = (vfs_file *)base;
    const htt_env *env = vfs_env(file);
    (void)flags;
    if (env->sync(env->context, file->file) != 0) {
        return SQLITE_IOERR_FSYNC;
    }
    if (file->sync_directory) {
        if (env->sync_directory(env->context, file->path) != 0) {
            return SQLITE_IOERR_DIR_FSYNC;
        }
        file->sync_directory = false;
    }
    return SQLITE_OK;
}

static int vfs_size(sqlite3_file *base, sqlite3_int64 *size_out) {
    const vfs_file *file = (const vfs_file *)base;
    const htt_env *env = vfs_env(file);
    htt_file_info info;
    if (env->info(env->context, file->file, &info) != 0) {
        return SQLITE_IOERR_FSTAT;
    }
    *size_out = (sqlite3_int64)info.size;
    return SQLITE_OK;
}

static bool vfs_has_moved(const vfs_file *file) {
    const htt_env *env = vfs_env(file);
    htt_file_info own;
    htt_file_info named;
    return env->info(env->context, file->file, &own) != 0 ||
           env->path_info(env->context, file->path, &named) != 0 || own.inode != named.inode;
}

static int vfs_control(sqlite3_file *base, int what, void *argument) {
    vfs_file *file = (vfs_file *)base;
    int *const number = argument;
    switch (what) {
    case SQLITE_FCNTL_LOCKSTATE: *number = file->level; return SQLITE_OK;
    case SQLITE_FCNTL_LAST_ERRNO: *number = 0; return SQLITE_OK;
    case SQLITE_FCNTL_HAS_MOVED: *number = vfs_has_moved(file); return SQLITE_OK;
    case SQLITE_FCNTL_VFSNAME:
        *(char **)argument = sqlite3_mprintf("%s", file->process->name);
        return SQLITE_OK;
    case SQLITE_FCNTL_PERSIST_WAL:
        if (*number < 0) {
            *number = file->persist_wal;
        } else {
            file->persist_wal = *number != 0;
        }
        return SQLITE_OK;
    default: return SQLITE_NOTFOUND;
    }
}

static int vfs_sector_size(sqlite3_file *base) {
    (void)base;
    return VFS_SECTOR;
}

static int vfs_characteristics(sqlite3_file *base) {
    (void)base;
    return SQLITE_IOCAP_POWERSAFE_OVERWRITE;
}

static const sqlite3_io_methods vfs_methods = {
    .iVersion = 2,
    .xClose = vfs_close,
    .xRead = vfs_read,
    .xWrite = vfs_write,
    .xTruncate = vfs_truncate,
    .xSync = vfs_sync,
    .xFileSize = vfs_size,
    .xLock = vfs_lock,
    .xUnlock = vfs_unlock,
    .xCheckReservedLock = vfs_check_reserved,
    .xFileControl = vfs_control,
    .xSectorSize = vfs_sector_size,
    .xDeviceCharacteristics = vfs_characteristics,
    .xShmMap = vfs_shm_map,
    .xShmLock = vfs_shm_locking,
    .xShmBarrier = vfs_shm_barrier,
    .xShmUnmap = vfs_shm_unmap,
};

/* ------------------------------------------------------------------ names */

static int vfs_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *base, int flags,
                    int *flags_out) {
    vfs_process *process = vfs->pAppData;
    const htt_env *env = process->env;
    vfs_file *file = (vfs_file *)base;
    sqlite3_vfs *const system = sqlite3_vfs_find("unix");
    htt_file_info info;
    unsigned how = 0;
    if (name == NULL || (flags & VFS_TEMPORARY) != 0) {
        return system->xOpen(system, name, base, flags, flags_out);
    }
    *file = (vfs_file){.process = process};
    how |= (flags & SQLITE_OPEN_READONLY) != 0 ? (unsigned)HTT_FILE_READ : 0u;
    how |= (flags & SQLITE_OPEN_CREATE) != 0 ? (unsigned)HTT_FILE_CREATE : 0u;
    how |= (flags & SQLITE_OPEN_EXCLUSIVE) != 0 ? (unsigned)HTT_FILE_EXCLUSIVE : 0u;
    if (env->open(env->context, name, how, &file->file) != 0) {
        return SQLITE_CANTOPEN;
    }
    if (env->info(env->context, file->file, &info) != 0) {
        env->close(env->context, file->file);
        return SQLITE_CANTOPEN;
    }
    file->path = strdup(name);
    vfs_require(file->path != NULL, "no memory");
    file->sync_directory = (flags & SQLITE_OPEN_CREATE) != 0 && (flags & VFS_JOURNALS) != 0;
    if ((flags & SQLITE_OPEN_MAIN_DB) != 0) {
        file->node = vfs_node_get(process->machine, info.inode);
    }
    file->next = process->files;
    process->files = file;
    process->machine->files++;
    file->base.pMethods = &vfs_methods;
    if (flags_out != NULL) {
        *flags_out = flags;
    }
    return SQLITE_OK;
}

static int vfs_delete(sqlite3_vfs *vfs, const char *name, int sync_directory) {
    const vfs_process *process = vfs->pAppData;
    const htt_env *env = process->env;
    const int rc = env->unlink(env->context, name);
    if (rc != 0) {
        return rc == ENOENT ? SQLITE_IOERR_DELETE_NOENT : SQLITE_IOERR_DELETE;
    }
    if (sync_directory != 0 && env->sync_directory(env->context, name) != 0) {
        return SQLITE_IOERR_DIR_FSYNC;
    }
    return SQLITE_OK;
}

/* An empty file is as good as none, as in the unix VFS. */
static int vfs_access(sqlite3_vfs *vfs, const char *name, int flags, int *result_out) {
    const vfs_process *process = vfs->pAppData;
    const htt_env *env = process->env;
    htt_file_info info;
    const int rc = env->path_info(env->context, name, &info);
    if (rc != 0 && rc != ENOENT) {
        return SQLITE_IOERR_ACCESS;
    }
    *result_out = rc == 0 && (flags != SQLITE_ACCESS_EXISTS || info.size > 0);
    return SQLITE_OK;
}

static int vfs_full_name(sqlite3_vfs *vfs, const char *name, int size, char *out) {
    (void)vfs;
    const int used = snprintf(out, (size_t)size, "%s%s", name[0] == '/' ? "" : "/", name);
    return used < size ? SQLITE_OK : SQLITE_CANTOPEN;
}

/* ---------------------------------------------------- randomness and clock */

static int vfs_randomness(sqlite3_vfs *vfs, int size, char *out) {
    const vfs_process *process = vfs->pAppData;
    memset(out, 0, (size_t)size);
    (void)process->env->random(process->env->context, out, (size_t)size);
    return size;
}

static int vfs_sleep(sqlite3_vfs *vfs, int microseconds) {
    const vfs_process *process = vfs->pAppData;
    process->env->sleep_us(process->env->context, (uint64_t)microseconds);
    return microseconds;
}

static int vfs_time(sqlite3_vfs *vfs, sqlite3_int64 *milliseconds_out) {
    const vfs_process *process = vfs->pAppData;
    *milliseconds_out = VFS_EPOCH + (sqlite3_int64)process->env->now_ms(process->env->context);
    return SQLITE_OK;
}

static int vfs_time_days(sqlite3_vfs *vfs, double *days_out) {
    sqlite3_int64 milliseconds = 0;
    const int rc = vfs_time(vfs, &milliseconds);
    *days_out = (double)milliseconds / 86400000.0;
    return rc;
}

static int vfs_last_error(sqlite3_vfs *vfs, int size, char *out) {
    (void)vfs;
    (void)size;
    (void)out;
    return 0;
}

void vfs_seed(unsigned seed) {
    (void)sqlite3_test_control(SQLITE_TESTCTRL_PRNG_SEED, (int)seed, (sqlite3 *)NULL);
}

/* --------------------------------------------------- machines and processes */

vfs_machine *vfs_machine_new(void) {
    vfs_machine *machine = calloc(1, sizeof *machine);
    vfs_require(machine != NULL, "no memory");
    return machine;
}

void vfs_machine_free(vfs_machine *machine) {
    vfs_require(machine == NULL || machine->nodes == NULL, "a machine with open databases");
    free(machine);
}

size_t vfs_machine_held(const vfs_machine *machine) {
    return machine->files;
}

vfs_process *vfs_process_new(vfs_machine *machine, const htt_env *env) {
    static unsigned long number;
    const sqlite3_vfs *const system = sqlite3_vfs_find("unix");
    vfs_process *process = calloc(1, sizeof *process);
    vfs_require(process != NULL && system != NULL, "no memory");
    process->machine = machine;
    process->env = env;
    (void)snprintf(process->name, sizeof process->name, "test-%lu", ++number);
    process->vfs = (sqlite3_vfs){
        .iVersion = 2,
        .szOsFile =
            system->szOsFile > (int)sizeof(vfs_file) ? system->szOsFile : (int)sizeof(vfs_file),
        .mxPathname = VFS_PATH_MAX,
        .zName = process->name,
        .pAppData = process,
        .xOpen = vfs_open,
        .xDelete = vfs_delete,
        .xAccess = vfs_access,
        .xFullPathname = vfs_full_name,
        .xRandomness = vfs_randomness,
        .xSleep = vfs_sleep,
        .xCurrentTime = vfs_time_days,
        .xGetLastError = vfs_last_error,
        .xCurrentTimeInt64 = vfs_time,
    };
    vfs_require(sqlite3_vfs_register(&process->vfs, 0) == SQLITE_OK, "sqlite3_vfs_register");
    return process;
}

void vfs_process_free(vfs_process *process) {
    if (process == NULL) {
        return;
    }
    vfs_require(process->files == NULL, "a process with open files");
    (void)sqlite3_vfs_unregister(&process->vfs);
    free(process);
}

const char *vfs_process_name(const vfs_process *process) {
    return process->name;
}

int vfs_process_open(vfs_process *process, const char *path, sqlite3 **db_out) {
    const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
    return sqlite3_open_v2(path, db_out, flags, process->name);
}

void vfs_process_kill(vfs_process *process) {
    if (process->dead) {
        return;
    }
    process->dead = true;
    for (vfs_file *file = process->files; file != NULL; file = file->next) {
        vfs_node_abandon(file);
        process->machine->files--;
    }
}

void vfs_process_died(void *process) {
    vfs_process_kill(process);
}
