/* SPDX-License-Identifier: MIT */
/*
 * The simulated disk as an htt_env: what each call does. The disk itself and the writing of its
 * log are in test_env_crash_disk.c, the reading of the log in test_env_crash_replay.c.
 *
 * The bytes of a file that was mapped are a memfd, so mappings are real ones: each has an address
 * of its own, a read-only one cannot be written, and reading past the file's end is SIGBUS as on a
 * disk.
 */
#include "support/test_env_crash_private.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* ------------------------------------------------------------------ files */

static int crash_begin(crash_process *process) {
    pthread_mutex_lock(&process->fs->mutex);
    return process->dead ? EIO : 0;
}

/* Something is about to change: this may be where the process dies, or the call fails. */
static int crash_change(crash_process *process) {
    if (process->left == 0) {
        process->left = SIZE_MAX;
        if (!process->fails) {
            crash_kill(process);
        }
        return EIO;
    }
    process->left -= process->left != SIZE_MAX ? 1 : 0;
    return 0;
}

static int crash_begin_change(crash_process *process) {
    const int rc = crash_begin(process);
    return rc == 0 ? crash_change(process) : rc;
}

static void crash_end(crash_process *process) {
    pthread_mutex_unlock(&process->fs->mutex);
}

static int crash_open(void *context, const char *path, unsigned flags, htt_file **file_out) {
    crash_process *process = context;
    crash_fs *fs = process->fs;
    int rc = crash_begin(process);
    const size_t name = crash_names_find(&fs->names, path);
    const bool exists = name < fs->names.count;
    if (rc == 0 && path[0] == '\0') {
        rc = ENOENT;
    } else if (rc == 0 && path[strlen(path) - 1] == '/') {
        rc = EINVAL; /* a directory */
    } else if (rc == 0 && exists && (flags & HTT_FILE_EXCLUSIVE) != 0) {
        rc = EEXIST;
    } else if (rc == 0 && !exists && (flags & HTT_FILE_CREATE) == 0) {
        rc = ENOENT;
    }
    if (rc == 0 && !exists) {
        rc = crash_change(process);
    }
    if (rc == 0) {
        htt_file *file = crash_memory(NULL, sizeof *file);
        *file = (htt_file){.process = process,
                           .inode = exists ? fs->names.items[name].inode : crash_create(fs, path),
                           .readonly = (flags & HTT_FILE_READ) != 0,
                           .next = fs->files};
        fs->files = file;
        *file_out = file;
    }
    crash_end(process);
    return rc;
}

void crash_drop_locks(crash_inode *inode, const htt_file *file, uint64_t offset) {
    size_t kept = 0;
    for (size_t i = 0; i < inode->lock_count; i++) {
        const crash_lock *lock = &inode->locks[i];
        if (lock->owner != file || (offset != CRASH_LOCKS_ALL && lock->offset != offset)) {
            inode->locks[kept++] = *lock;
        }
    }
    inode->lock_count = kept;
}

static void crash_close(void *context, htt_file *file) {
    crash_process *process = context;
    if (file == NULL) {
        return;
    }
    (void)crash_begin(process); /* closing is what a killed process may still do */
    crash_drop_locks(&process->fs->inodes[file->inode], file, CRASH_LOCKS_ALL);
    htt_file **link = &process->fs->files;
    while (*link != file) {
        crash_require(*link != NULL, "close of a file that is not open");
        link = &(*link)->next;
    }
    *link = file->next;
    free(file);
    crash_end(process);
}

static int crash_read(void *context, htt_file *file, void *buffer, size_t size, uint64_t offset,
                      size_t *read_out) {
    crash_process *process = context;
    int rc = crash_begin(process);
    size_t done = 0;
    if (rc == 0) {
        const crash_inode *inode = &process->fs->inodes[file->inode];
        const uint64_t left = offset < inode->size ? inode->size - offset : 0;
        done = left < size ? (size_t)left : size;
        if (done > 0) {
            memcpy(buffer, inode->bytes + offset, done);
        }
        rc = done < size ? EIO : 0;
    }
    if (read_out != NULL) {
        *read_out = done;
    }
    crash_end(process);
    return rc;
}

/* What must hold before a file changes: 0 or an errno value. `end`: its size afterwards. */
static int crash_may_grow(const crash_fs *fs, const htt_file *file, uint64_t end) {
    const crash_inode *inode = &fs->inodes[file->inode];
    uint64_t sum = 0;
    if (file->readonly) {
        return EBADF;
    }
    if (end <= inode->size) {
        return 0;
    }
    for (size_t i = 0; i < fs->inode_count; i++) {
        sum += fs->inodes[i].links > 0 ? fs->inodes[i].size : 0;
    }
    return end - inode->size > fs->capacity - (sum < fs->capacity ? sum : fs->capacity) ? ENOSPC
                                                                                        : 0;
}

static int crash_write(void *context, htt_file *file, const void *buffer, size_t size,
                       uint64_t offset) {
    crash_process *process = context;
    crash_fs *fs = process->fs;
    int rc = crash_begin_change(process);
    if (rc == 0) {
        rc = crash_may_grow(fs, file, offset + size);
    }
    if (rc == 0 && size > 0) {
        crash_inode *inode = &fs->inodes[file->inode];
        crash_record_stores(fs);
        if (offset + size > inode->size) {
            crash_set_size(inode, offset + size);
        }
        memcpy(inode->bytes + offset, buffer, size);
        crash_log_bytes(fs, CRASH_WRITE, file->inode, offset, buffer, size);
        crash_refresh_shadow(inode);
    }
    crash_end(process);
    return rc;
}

static int crash_resize(crash_process *process, htt_file *file, crash_kind kind, uint64_t size) {
    crash_fs *fs = process->fs;
    int rc = crash_begin_change(process);
    if (rc == 0) {
        rc = crash_may_grow(fs, file, size);
    }
    if (rc == 0) {
        crash_inode *inode = &fs->inodes[file->inode];
        crash_record_stores(fs);
        if (kind == CRASH_TRUNCATE || size > inode->size) {
            crash_set_size(inode, size);
        }
        crash_log(fs, kind, file->inode)->offset = size;
        crash_refresh_shadow(inode);
    }
    crash_end(process);
    return rc;
}

static int crash_reserve(void *context, htt_file *file, uint64_t size) {
    return crash_resize(context, file, CRASH_RESERVE, size);
}

static int crash_truncate(void *context, htt_file *file, uint64_t size) {
    return crash_resize(context, file, CRASH_TRUNCATE, size);
}

static int crash_sync(void *context, htt_file *file) {
    crash_process *process = context;
    const int rc = crash_begin_change(process);
    if (rc == 0) {
        crash_record_stores(process->fs);
        (void)crash_log(process->fs, CRASH_SYNC, file->inode);
    }
    crash_end(process);
    return rc;
}

static void crash_fill_info(const crash_fs *fs, size_t inode, htt_file_info *info_out) {
    *info_out = (htt_file_info){.size = fs->inodes[inode].size,
                                .device = 1,
                                .inode = inode + 1,
                                .links = fs->inodes[inode].links,
                                .regular = true};
}

static int crash_info(void *context, htt_file *file, htt_file_info *info_out) {
    crash_process *process = context;
    const int rc = crash_begin(process);
    if (rc == 0) {
        crash_fill_info(process->fs, file->inode, info_out);
    }
    crash_end(process);
    return rc;
}

static int crash_path_info(void *context, const char *path, htt_file_info *info_out) {
    crash_process *process = context;
    const crash_names *names = &process->fs->names;
    int rc = crash_begin(process);
    if (rc == 0) {
        const size_t i = crash_names_find(names, path);
        if (i < names->count) {
            crash_fill_info(process->fs, names->items[i].inode, info_out);
        } else {
            rc = ENOENT;
        }
    }
    crash_end(process);
    return rc;
}

static int crash_unlink(void *context, const char *path) {
    crash_process *process = context;
    crash_fs *fs = process->fs;
    int rc = crash_begin_change(process);
    const size_t i = crash_names_find(&fs->names, path);
    if (rc == 0 && i == fs->names.count) {
        rc = ENOENT;
    }
    if (rc == 0) {
        const size_t inode = fs->names.items[i].inode;
        crash_record_stores(fs);
        fs->inodes[inode].links = 0;
        crash_names_remove(&fs->names, path);
        crash_log(fs, CRASH_UNLINK, inode)->path = crash_copy_text(path);
    }
    crash_end(process);
    return rc;
}

static int crash_sync_directory(void *context, const char *path) {
    crash_process *process = context;
    const int rc = crash_begin_change(process);
    if (rc == 0) {
        crash_record_stores(process->fs);
        crash_log(process->fs, CRASH_SYNC_DIRECTORY, 0)->path = crash_copy_text(path);
    }
    crash_end(process);
    return rc;
}

/* ------------------------------------------------------ mappings and locks */

static int crash_map_file(void *context, htt_file *file, size_t size, bool writable,
                          void **address_out) {
    crash_process *process = context;
    crash_fs *fs = process->fs;
    int rc = crash_begin(process);
    void *address = MAP_FAILED;
    if (rc == 0 && (writable && file->readonly)) {
        rc = EACCES;
    }
    if (rc == 0) {
        const int protection = writable ? PROT_READ | PROT_WRITE : PROT_READ;
        crash_expose(&fs->inodes[file->inode]);
        address = mmap(NULL, size, protection, MAP_SHARED, fs->inodes[file->inode].memory, 0);
        rc = address == MAP_FAILED ? errno : 0;
    }
    if (rc == 0) {
        crash_inode *inode = &fs->inodes[file->inode];
        size_t i = 0;
        while (i < fs->map_count && fs->maps[i].address != NULL) {
            i++;
        }
        if (i == fs->map_count) {
            fs->maps = crash_memory(fs->maps, (i + 1) * sizeof *fs->maps);
            fs->map_count++;
        }
        fs->maps[i] = (crash_map){address, size, file->inode, writable, process};
        if (writable && inode->shared++ == 0) {
            crash_refresh_shadow(inode);
        }
        *address_out = address;
    }
    crash_end(process);
    return rc;
}

void crash_unshare(crash_inode *inode) {
    assert(inode->shared > 0);
    if (--inode->shared == 0) {
        free(inode->shadow);
        inode->shadow = NULL;
        inode->shadow_size = 0;
    }
}

static void crash_unmap(void *context, void *address, size_t size) {
    crash_process *process = context;
    crash_fs *fs = process->fs;
    if (address == NULL) {
        return;
    }
    (void)crash_begin(process);
    size_t i = 0;
    while (i < fs->map_count && fs->maps[i].address != address) {
        i++;
    }
    errno = 0;
    crash_require(i < fs->map_count && fs->maps[i].size == size, "unmap of what is not mapped");
    if (fs->maps[i].writable && !process->dead) {
        crash_record_stores(fs);
        crash_unshare(&fs->inodes[fs->maps[i].inode]);
    }
    fs->maps[i].address = NULL;
    crash_require(munmap(address, size) == 0, "munmap");
    crash_end(process);
}

static int crash_lock_byte(void *context, htt_file *file, uint64_t offset, int mode) {
    crash_process *process = context;
    int rc = crash_begin(process);
    crash_inode *inode = &process->fs->inodes[file->inode];
    if (rc == 0 && mode == HTT_LOCK_EXCLUSIVE && file->readonly) {
        rc = EBADF;
    }
    for (size_t i = 0; rc == 0 && i < inode->lock_count; i++) {
        const crash_lock *lock = &inode->locks[i];
        if (lock->offset == offset && lock->owner != file &&
            (mode == HTT_LOCK_EXCLUSIVE || lock->mode == HTT_LOCK_EXCLUSIVE)) {
            rc = EAGAIN;
        }
    }
    if (rc == 0) {
        crash_drop_locks(inode, file, offset);
        inode->locks = crash_memory(inode->locks, (inode->lock_count + 1) * sizeof *inode->locks);
        inode->locks[inode->lock_count++] = (crash_lock){file, offset, mode};
    }
    crash_end(process);
    return rc;
}

static void crash_unlock_byte(void *context, htt_file *file, uint64_t offset) {
    crash_process *process = context;
    if (crash_begin(process) == 0) {
        crash_drop_locks(&process->fs->inodes[file->inode], file, offset);
    }
    crash_end(process);
}

/* -------------------------------- clock, randomness, the process, memory */

static uint64_t crash_now_ms(void *context) {
    crash_process *process = context;
    (void)crash_begin(process);
    const uint64_t now = process->fs->clock_us / 1000;
    crash_end(process);
    return now;
}

static void crash_sleep_us(void *context, uint64_t microseconds) {
    crash_process *process = context;
    (void)crash_begin(process);
    process->fs->clock_us += microseconds;
    crash_end(process);
}

static void crash_fill_random(uint64_t *state, uint8_t *bytes, size_t size) {
    for (size_t i = 0; i < size; i++) {
        bytes[i] = (uint8_t)(crash_random_next(state) >> 56);
    }
}

static int crash_random(void *context, void *buffer, size_t size) {
    crash_process *process = context;
    const int rc = crash_begin(process);
    if (rc == 0) {
        crash_fill_random(&process->fs->random, buffer, size);
    }
    crash_end(process);
    return rc;
}

static int crash_boot_id(void *context, uint8_t id_out[16]) {
    crash_process *process = context;
    const int rc = crash_begin(process);
    if (rc == 0) {
        uint64_t state = ~process->fs->seed + process->fs->boot * UINT64_C(0xD1B54A32D192ED03);
        crash_fill_random(&state, id_out, 16);
    }
    crash_end(process);
    return rc;
}

static uint64_t crash_process_id(void *context) {
    const crash_process *process = context;
    return process->id;
}

static void *crash_allocate(void *context, size_t size) {
    (void)context;
    return malloc(size > 0 ? size : 1);
}

static void *crash_reallocate(void *context, void *memory, size_t size) {
    (void)context;
    return realloc(memory, size > 0 ? size : 1);
}

static void crash_release(void *context, void *memory) {
    (void)context;
    free(memory);
}

void crash_fill_env(crash_process *process) {
    process->env = (htt_env){
        .context = process,
        .open = crash_open,
        .close = crash_close,
        .read = crash_read,
        .write = crash_write,
        .sync = crash_sync,
        .reserve = crash_reserve,
        .truncate = crash_truncate,
        .info = crash_info,
        .path_info = crash_path_info,
        .unlink = crash_unlink,
        .sync_directory = crash_sync_directory,
        .map = crash_map_file,
        .unmap = crash_unmap,
        .lock = crash_lock_byte,
        .unlock = crash_unlock_byte,
        .now_ms = crash_now_ms,
        .sleep_us = crash_sleep_us,
        .random = crash_random,
        .boot_id = crash_boot_id,
        .process_id = crash_process_id,
        .allocate = crash_allocate,
        .reallocate = crash_reallocate,
        .release = crash_release,
    };
}
