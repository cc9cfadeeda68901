/* SPDX-License-Identifier: MIT */
/* Files in memory: see test_env_memory.h. */
#include "support/test_env_memory.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define MEMORY_PAGE 4096u          /* what the processor protects */
#define MEMORY_PATH_MAX 256u       /* with its end */
#define MEMORY_LOCKS_MAX 64u       /* locks on one file */
#define MEMORY_CLOCK_START 1000000 /* microseconds */

typedef struct memory_lock {
    const htt_file *owner; /* the open that holds it */
    uint64_t offset;       /* the byte */
    int mode;              /* HTT_LOCK_... */
} memory_lock;

typedef struct memory_inode {
    char path[MEMORY_PATH_MAX];          /* "" = unlinked or unused */
    uint8_t *bytes;                      /* MEMORY_FILE_SIZE_MAX of addresses; NULL = none yet */
    size_t size;                         /* of the file */
    size_t open_count;                   /* opens and mappings */
    uint64_t number;                     /* st_ino; 0 = unused */
    memory_lock locks[MEMORY_LOCKS_MAX]; /* lock_count of them */
    size_t lock_count;                   /* of locks */
} memory_inode;

struct htt_file {
    memory_inode *inode; /* of the file */
    bool readonly;       /* opened HTT_FILE_READ */
};

struct memory_fs {
    htt_env env;                           /* this file system */
    memory_inode inodes[MEMORY_FILES_MAX]; /* all files */
    uint64_t next_number;                  /* of the next file */
    uint64_t seed;                         /* of memory_fs_new */
    uint64_t random;                       /* state of the random numbers */
    uint64_t clock_us;                     /* simulated */
    size_t piece_max;                      /* see memory_fs_set_piece_max */
};

static void memory_require(bool condition, const char *what) {
    if (!condition) {
        fprintf(stderr, "memory_fs: %s\n", what);
        abort();
    }
}

static size_t memory_round(size_t size) {
    return (size + MEMORY_PAGE - 1) / MEMORY_PAGE * MEMORY_PAGE;
}

/* Bytes that a file loses or wins are zeros; those behind its end cannot be touched. */
static void memory_resize(memory_inode *inode, size_t size) {
    const size_t before = memory_round(inode->size);
    const size_t after = memory_round(size);
    if (size < inode->size) {
        memset(inode->bytes + size, 0, inode->size - size);
    }
    if (after < before) {
        memory_require(mprotect(inode->bytes + after, before - after, PROT_NONE) == 0, "mprotect");
    } else if (after > before) {
        memory_require(
            mprotect(inode->bytes + before, after - before, PROT_READ | PROT_WRITE) == 0,
            "mprotect");
    }
    inode->size = size;
}

static memory_inode *memory_find(memory_fs *fs, const char *path) {
    for (size_t i = 0; i < MEMORY_FILES_MAX; i++) {
        if (fs->inodes[i].number != 0 && strcmp(fs->inodes[i].path, path) == 0) {
            return &fs->inodes[i];
        }
    }
    return NULL;
}

/* NULL: as many files as there can be, or a path that is too long. */
static memory_inode *memory_create(memory_fs *fs, const char *path) {
    for (size_t i = 0; i < MEMORY_FILES_MAX && strlen(path) < MEMORY_PATH_MAX; i++) {
        memory_inode *inode = &fs->inodes[i];
        if (inode->number != 0) {
            continue;
        }
        if (inode->bytes == NULL) {
            inode->bytes = mmap(NULL, MEMORY_FILE_SIZE_MAX, PROT_NONE,
                                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
            memory_require(inode->bytes != MAP_FAILED, "mmap");
        }
        memcpy(inode->path, path, strlen(path) + 1);
        inode->number = fs->next_number++;
        return inode;
    }
    return NULL;
}

static void memory_drop(memory_inode *inode) {
    if (inode->open_count == 0 && inode->path[0] == '\0') {
        memory_resize(inode, 0);
        inode->number = 0;
        inode->lock_count = 0;
    }
}

/* ------------------------------------------------------------------ files */

static int memory_open(void *context, const char *path, unsigned flags, htt_file **file_out) {
    memory_fs *fs = context;
    memory_inode *inode = memory_find(fs, path);
    if (inode != NULL && (flags & HTT_FILE_EXCLUSIVE) != 0) {
        return EEXIST;
    }
    if (inode == NULL && (flags & HTT_FILE_CREATE) == 0) {
        return ENOENT;
    }
    if (inode == NULL) {
        inode = memory_create(fs, path);
    }
    if (inode == NULL) {
        return ENOSPC;
    }
    htt_file *file = malloc(sizeof *file);
    memory_require(file != NULL, "no memory");
    *file = (htt_file){inode, (flags & HTT_FILE_READ) != 0};
    inode->open_count++;
    *file_out = file;
    return 0;
}

static void memory_unlock(void *context, htt_file *file, uint64_t offset) {
    memory_inode *inode = file->inode;
    (void)context;
    for (size_t i = inode->lock_count; i-- > 0;) {
        const memory_lock *lock = &inode->locks[i];
        if (lock->owner == file && (offset == UINT64_MAX || lock->offset == offset)) {
            inode->locks[i] = inode->locks[--inode->lock_count];
        }
    }
}

static void memory_close(void *context, htt_file *file) {
    if (file == NULL) {
        return;
    }
    memory_unlock(context, file, UINT64_MAX);
    file->inode->open_count--;
    memory_drop(file->inode);
    free(file);
}

static int memory_read(void *context, htt_file *file, void *buffer, size_t size, uint64_t offset,
                       size_t *read_out) {
    const memory_inode *inode = file->inode;
    const size_t left = offset < inode->size ? inode->size - (size_t)offset : 0;
    const size_t got = left < size ? left : size;
    (void)context;
    if (got > 0) {
        memcpy(buffer, inode->bytes + offset, got);
    }
    if (read_out != NULL) {
        *read_out = got;
    }
    return got < size ? EIO : 0;
}

static int memory_set_size(htt_file *file, uint64_t size, bool shrink) {
    if (file->readonly) {
        return EBADF;
    }
    if (size > MEMORY_FILE_SIZE_MAX) {
        return ENOSPC;
    }
    if (shrink || size > file->inode->size) {
        memory_resize(file->inode, (size_t)size);
    }
    return 0;
}

static int memory_write(void *context, htt_file *file, const void *buffer, size_t size,
                        uint64_t offset) {
    (void)context;
    if (offset > MEMORY_FILE_SIZE_MAX || size > MEMORY_FILE_SIZE_MAX) {
        return ENOSPC;
    }
    const int rc = memory_set_size(file, offset + size, false);
    if (rc == 0 && size > 0) {
        memcpy(file->inode->bytes + offset, buffer, size);
    }
    return rc;
}

static int memory_sync(void *context, htt_file *file) {
    (void)context;
    (void)file;
    return 0;
}

static int memory_reserve(void *context, htt_file *file, uint64_t size) {
    (void)context;
    return memory_set_size(file, size, false);
}

static int memory_truncate(void *context, htt_file *file, uint64_t size) {
    (void)context;
    return memory_set_size(file, size, true);
}

static void memory_fill_info(const memory_inode *inode, htt_file_info *info_out) {
    *info_out = (htt_file_info){.size = inode->size,
                                .device = 1,
                                .inode = inode->number,
                                .links = inode->path[0] != '\0',
                                .regular = true};
}

static int memory_info(void *context, htt_file *file, htt_file_info *info_out) {
    (void)context;
    memory_fill_info(file->inode, info_out);
    return 0;
}

static int memory_path_info(void *context, const char *path, htt_file_info *info_out) {
    const memory_inode *inode = memory_find(context, path);
    if (inode == NULL) {
        return ENOENT;
    }
    memory_fill_info(inode, info_out);
    return 0;
}

static int memory_unlink(void *context, const char *path) {
    memory_inode *inode = memory_find(context, path);
    if (inode == NULL) {
        return ENOENT;
    }
    inode->path[0] = '\0';
    memory_drop(inode);
    return 0;
}

static int memory_sync_directory(void *context, const char *path) {
    (void)context;
    (void)path;
    return 0;
}

/* ------------------------------------------------------ mappings and locks */

static int memory_map(void *context, htt_file *file, size_t size, bool writable,
                      void **address_out) {
    (void)context;
    if (writable && file->readonly) {
        return EACCES;
    }
    if (size == 0 || size > MEMORY_FILE_SIZE_MAX) {
        return size == 0 ? EINVAL : ENOMEM;
    }
    file->inode->open_count++;
    *address_out = file->inode->bytes;
    return 0;
}

static void memory_unmap(void *context, void *address, size_t size) {
    memory_fs *fs = context;
    (void)size;
    if (address == NULL) {
        return;
    }
    for (size_t i = 0; i < MEMORY_FILES_MAX; i++) {
        if (fs->inodes[i].bytes == address) {
            memory_require(fs->inodes[i].open_count > 0, "unmap of what is not mapped");
            fs->inodes[i].open_count--;
            memory_drop(&fs->inodes[i]);
            return;
        }
    }
    memory_require(false, "unmap of what is not a file");
}

static int memory_lock_byte(void *context, htt_file *file, uint64_t offset, int mode) {
    memory_inode *inode = file->inode;
    for (size_t i = 0; i < inode->lock_count; i++) {
        const memory_lock *lock = &inode->locks[i];
        if (lock->offset == offset && lock->owner != file &&
            (mode == HTT_LOCK_EXCLUSIVE || lock->mode == HTT_LOCK_EXCLUSIVE)) {
            return EAGAIN;
        }
    }
    if (mode == HTT_LOCK_EXCLUSIVE && file->readonly) {
        return EBADF;
    }
    memory_unlock(context, file, offset);
    if (inode->lock_count == MEMORY_LOCKS_MAX) {
        return ENOLCK;
    }
    inode->locks[inode->lock_count++] = (memory_lock){file, offset, mode};
    return 0;
}

/* -------------------------------- clock, randomness, the process, memory */

static uint64_t memory_now_ms(void *context) {
    const memory_fs *fs = context;
    return fs->clock_us / 1000;
}

static void memory_sleep_us(void *context, uint64_t microseconds) {
    memory_fs *fs = context;
    fs->clock_us += microseconds;
}

static int memory_random(void *context, void *buffer, size_t size) {
    memory_fs *fs = context;
    for (size_t i = 0; i < size; i++) { /* SplitMix64 */
        uint64_t x = fs->random += UINT64_C(0x9E3779B97F4A7C15);
        x = (x ^ (x >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
        x = (x ^ (x >> 27)) * UINT64_C(0x94D049BB133111EB);
        ((uint8_t *)buffer)[i] = (uint8_t)(x >> 56);
    }
    return 0;
}

static int memory_boot_id(void *context, uint8_t id_out[16]) {
    (void)context;
    memset(id_out, 0x5B, 16);
    return 0;
}

static uint64_t memory_process_id(void *context) {
    (void)context;
    return 4711;
}

static void *memory_allocate(void *context, size_t size) {
    const memory_fs *fs = context;
    return size > fs->piece_max ? NULL : malloc(size > 0 ? size : 1);
}

static void *memory_reallocate(void *context, void *memory, size_t size) {
    const memory_fs *fs = context;
    return size > fs->piece_max ? NULL : realloc(memory, size > 0 ? size : 1);
}

static void memory_release(void *context, void *memory) {
    (void)context;
    free(memory);
}

/* -------------------------------------------------------------- the test's */

memory_fs *memory_fs_new(uint64_t seed) {
    memory_fs *fs = calloc(1, sizeof *fs);
    memory_require(fs != NULL, "no memory");
    fs->seed = seed;
    fs->piece_max = SIZE_MAX / 2;
    fs->env = (htt_env){
        .context = fs,
        .open = memory_open,
        .close = memory_close,
        .read = memory_read,
        .write = memory_write,
        .sync = memory_sync,
        .reserve = memory_reserve,
        .truncate = memory_truncate,
        .info = memory_info,
        .path_info = memory_path_info,
        .unlink = memory_unlink,
        .sync_directory = memory_sync_directory,
        .map = memory_map,
        .unmap = memory_unmap,
        .lock = memory_lock_byte,
        .unlock = memory_unlock,
        .now_ms = memory_now_ms,
        .sleep_us = memory_sleep_us,
        .random = memory_random,
        .boot_id = memory_boot_id,
        .process_id = memory_process_id,
        .allocate = memory_allocate,
        .reallocate = memory_reallocate,
        .release = memory_release,
    };
    memory_fs_clear(fs);
    return fs;
}

void memory_fs_free(memory_fs *fs) {
    for (size_t i = 0; fs != NULL && i < MEMORY_FILES_MAX; i++) {
        if (fs->inodes[i].bytes != NULL) {
            (void)munmap(fs->inodes[i].bytes, MEMORY_FILE_SIZE_MAX);
        }
    }
    free(fs);
}

const htt_env *memory_fs_env(memory_fs *fs) {
    return &fs->env;
}

void memory_fs_clear(memory_fs *fs) {
    for (size_t i = 0; i < MEMORY_FILES_MAX; i++) {
        if (fs->inodes[i].number != 0) {
            memory_require(fs->inodes[i].open_count == 0, "clear with an open file");
            fs->inodes[i].path[0] = '\0';
            memory_drop(&fs->inodes[i]);
        }
    }
    fs->next_number = 1;
    fs->random = fs->seed;
    fs->clock_us = MEMORY_CLOCK_START;
}

void memory_fs_set_piece_max(memory_fs *fs, size_t bytes) {
    fs->piece_max = bytes;
}

void memory_fs_put_file(memory_fs *fs, const char *path, const void *bytes, size_t size) {
    memory_inode *inode = memory_find(fs, path);
    inode = inode != NULL ? inode : memory_create(fs, path);
    memory_require(inode != NULL && size <= MEMORY_FILE_SIZE_MAX, "too many files, or too large");
    memory_resize(inode, 0);
    memory_resize(inode, size);
    if (size > 0) {
        memcpy(inode->bytes, bytes, size);
    }
}

const uint8_t *memory_fs_get_file(memory_fs *fs, const char *path, size_t *size_out) {
    const memory_inode *inode = memory_find(fs, path);
    if (inode == NULL) {
        return NULL;
    }
    *size_out = inode->size;
    return inode->bytes;
}

size_t memory_fs_held(const memory_fs *fs) {
    size_t held = 0;
    for (size_t i = 0; i < MEMORY_FILES_MAX; i++) {
        held += fs->inodes[i].open_count;
    }
    return held;
}
