/* SPDX-License-Identifier: MIT */
/*
 * Simulated disks: their bytes, the writing of their log, making and freeing them, their processes,
 * and what tests ask them. The calls of the environment are in test_env_crash.c.
 */
#include "support/test_env_crash_private.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define CRASH_PROCESS_FIRST 1000u  /* first process id */
#define CRASH_BLOCK 512u           /* stores through mappings are found in such pieces */
#define CRASH_PAGE ((size_t)4096)  /* of mappings */
#define CRASH_CLOCK_START 1000000u /* microseconds; not 0, so that 0 can mean "never" */

/* ---------------------------------------------------------- small helpers */

void crash_require(bool condition, const char *what) {
    if (!condition) {
        (void)fprintf(stderr, "crash_fs: %s: %s\n", what, strerror(errno));
        abort();
    }
}

void *crash_memory(void *memory, size_t size) {
    void *moved = realloc(memory, size > 0 ? size : 1);
    crash_require(moved != NULL, "no memory");
    return moved;
}

char *crash_copy_text(const char *text) {
    const size_t size = strlen(text) + 1;
    return memcpy(crash_memory(NULL, size), text, size);
}

/* SplitMix64. */
uint64_t crash_random_next(uint64_t *state) {
    uint64_t x = *state += UINT64_C(0x9E3779B97F4A7C15);
    x = (x ^ (x >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94D049BB133111EB);
    return x ^ (x >> 31);
}

size_t crash_names_find(const crash_names *names, const char *path) {
    size_t i = 0;
    while (i < names->count && strcmp(names->items[i].path, path) != 0) {
        i++;
    }
    return i;
}

void crash_names_add(crash_names *names, const char *path, size_t inode) {
    names->items = crash_memory(names->items, (names->count + 1) * sizeof *names->items);
    names->items[names->count++] = (crash_name){crash_copy_text(path), inode};
}

void crash_names_remove(crash_names *names, const char *path) {
    const size_t i = crash_names_find(names, path);
    if (i < names->count) {
        free(names->items[i].path);
        names->items[i] = names->items[--names->count];
    }
}

void crash_names_free(crash_names *names) {
    for (size_t i = 0; i < names->count; i++) {
        free(names->items[i].path);
    }
    free(names->items);
    *names = (crash_names){NULL, 0};
}

bool crash_same_directory(const char *path, const char *other) {
    const char *const a = strrchr(path, '/');
    const char *const b = strrchr(other, '/');
    const size_t a_length = a == NULL ? 0 : (size_t)(a - path) + 1;
    const size_t b_length = b == NULL ? 0 : (size_t)(b - other) + 1;
    return a_length == b_length && memcmp(path, other, a_length) == 0;
}

/* ------------------------------------------------------------------ bytes */

/* Makes room for so many bytes; size stays. */
static void crash_set_capacity(crash_inode *inode, size_t capacity) {
    if (inode->memory < 0) {
        inode->bytes = crash_memory(inode->bytes, capacity);
    } else {
        void *const moved = inode->bytes == NULL
                                ? mmap(NULL, capacity, PROT_READ | PROT_WRITE, MAP_SHARED,
                                       inode->memory, 0)
                                : mremap(inode->bytes, inode->capacity, capacity, MREMAP_MAYMOVE);
        crash_require(moved != MAP_FAILED, "mmap");
        inode->bytes = moved;
    }
    inode->capacity = capacity;
}

void crash_set_size(crash_inode *inode, uint64_t size) {
    if (size > inode->capacity) {
        const size_t wanted = (size_t)size + (size_t)size / 2;
        crash_set_capacity(inode, (wanted / CRASH_PAGE + 1) * CRASH_PAGE);
    }
    if (inode->memory >= 0) {
        crash_require(ftruncate(inode->memory, (off_t)size) == 0, "ftruncate");
    } else if (size > inode->size) {
        memset(inode->bytes + inode->size, 0, (size_t)(size - inode->size));
    }
    inode->size = size;
}

/* Pages of zeros stay holes: see crash_next_data. */
void crash_expose(crash_inode *inode) {
    static const uint8_t zeros[CRASH_PAGE];
    uint8_t *const bytes = inode->bytes;
    if (inode->memory >= 0) {
        return;
    }
    inode->memory = memfd_create("crash_fs", MFD_CLOEXEC);
    crash_require(inode->memory >= 0, "memfd_create");
    crash_require(ftruncate(inode->memory, (off_t)inode->size) == 0, "ftruncate");
    inode->bytes = NULL;
    crash_set_capacity(inode, (inode->capacity / CRASH_PAGE + 1) * CRASH_PAGE);
    for (size_t at = 0; at < inode->size; at += CRASH_PAGE) {
        const size_t left = (size_t)inode->size - at;
        const size_t size = left < CRASH_PAGE ? left : CRASH_PAGE;
        if (memcmp(bytes + at, zeros, size) != 0) {
            memcpy(inode->bytes + at, bytes + at, size);
        }
    }
    free(bytes);
}

static void crash_free_bytes(crash_inode *inode) {
    if (inode->memory < 0) {
        free(inode->bytes);
        return;
    }
    (void)munmap(inode->bytes, inode->capacity);
    (void)close(inode->memory);
}

/* The next part of an exposed file that is not known to be zeros: [*from, end), 0 = none. */
static size_t crash_next_data(const crash_inode *inode, size_t *from) {
    const off_t start = *from < inode->size ? lseek(inode->memory, (off_t)*from, SEEK_DATA) : -1;
    if (start < 0) {
        return 0;
    }
    const off_t end = lseek(inode->memory, start, SEEK_HOLE);
    crash_require(end > start, "lseek");
    *from = (size_t)start;
    return (size_t)end < inode->size ? (size_t)end : (size_t)inode->size;
}

/* -------------------------------------------------------------------- log */

crash_op *crash_log(crash_fs *fs, crash_kind kind, size_t inode) {
    if (fs->op_count == fs->op_capacity) {
        fs->op_capacity = fs->op_capacity * 2 + 64;
        fs->ops = crash_memory(fs->ops, fs->op_capacity * sizeof *fs->ops);
    }
    crash_op *op = &fs->ops[fs->op_count++];
    *op = (crash_op){.kind = kind, .inode = inode};
    return op;
}

void crash_log_bytes(crash_fs *fs, crash_kind kind, size_t inode, uint64_t offset,
                     const void *bytes, size_t size) {
    crash_op *op = crash_log(fs, kind, inode);
    op->offset = offset;
    op->size = size;
    op->bytes = crash_memory(NULL, size);
    memcpy(op->bytes, bytes, size);
}

void crash_refresh_shadow(crash_inode *inode) {
    if (inode->shared == 0) {
        return;
    }
    if (inode->shadow == NULL || inode->shadow_size != inode->size) {
        free(inode->shadow);
        inode->shadow = calloc(1, (size_t)inode->size + 1);
        crash_require(inode->shadow != NULL, "no memory");
        inode->shadow_size = (size_t)inode->size;
    }
    size_t from = 0;
    for (size_t end; (end = crash_next_data(inode, &from)) != 0; from = end) {
        memcpy(inode->shadow + from, inode->bytes + from, end - from);
    }
}

/* Logs what differs from the shadow in [from, end). */
static void crash_record_part(crash_fs *fs, size_t index, size_t from, size_t end) {
    const crash_inode *inode = &fs->inodes[index];
    for (size_t at = from; at < end; at += CRASH_BLOCK) {
        const size_t size = end - at < CRASH_BLOCK ? end - at : CRASH_BLOCK;
        if (memcmp(inode->bytes + at, inode->shadow + at, size) != 0) {
            memcpy(inode->shadow + at, inode->bytes + at, size);
            crash_log_bytes(fs, CRASH_STORE, index, at, inode->shadow + at, size);
        }
    }
}

void crash_record_stores(crash_fs *fs) {
    for (size_t i = 0; i < fs->inode_count; i++) {
        const crash_inode *inode = &fs->inodes[i];
        if (inode->shared == 0) {
            continue;
        }
        assert(inode->shadow_size == inode->size);
        size_t from = 0;
        for (size_t end; (end = crash_next_data(inode, &from)) != 0; from = end) {
            crash_record_part(fs, i, from, end);
        }
    }
}

static size_t crash_new_inode(crash_fs *fs) {
    fs->inodes = crash_memory(fs->inodes, (fs->inode_count + 1) * sizeof *fs->inodes);
    crash_inode *inode = &fs->inodes[fs->inode_count];
    *inode = (crash_inode){.links = 1, .memory = -1};
    return fs->inode_count++;
}

size_t crash_create(crash_fs *fs, const char *path) {
    crash_record_stores(fs);
    const size_t inode = crash_new_inode(fs);
    crash_names_add(&fs->names, path, inode);
    crash_log(fs, CRASH_CREATE, inode)->path = crash_copy_text(path);
    return inode;
}

void crash_install_file(crash_fs *fs, const char *path, uint8_t *bytes, size_t size) {
    const size_t name = crash_names_find(&fs->names, path);
    const size_t index =
        name < fs->names.count ? fs->names.items[name].inode : crash_create(fs, path);
    crash_inode *inode = &fs->inodes[index];
    crash_record_stores(fs);
    crash_set_size(inode, 0);
    (void)crash_log(fs, CRASH_TRUNCATE, index);
    crash_set_size(inode, size);
    if (size > 0) {
        memcpy(inode->bytes, bytes, size);
    }
    crash_op *op = crash_log(fs, CRASH_WRITE, index);
    op->size = size;
    op->bytes = bytes; /* the log owns them now */
    crash_refresh_shadow(inode);
    (void)crash_log(fs, CRASH_SYNC, index);
    crash_log(fs, CRASH_SYNC_DIRECTORY, 0)->path = crash_copy_text(path);
}

/* -------------------------------------------------------------- the test's */

const htt_env *crash_fs_new_process(crash_fs *fs) {
    crash_process *process = crash_memory(NULL, sizeof *process);
    pthread_mutex_lock(&fs->mutex);
    *process = (crash_process){
        .fs = fs, .id = fs->next_process_id++, .left = SIZE_MAX, .next = fs->processes};
    fs->processes = process;
    pthread_mutex_unlock(&fs->mutex);
    crash_fill_env(process);
    return &process->env;
}

crash_fs *crash_fs_new(uint64_t seed) {
    crash_fs *fs = crash_memory(NULL, sizeof *fs);
    *fs = (crash_fs){.seed = seed,
                     .random = seed,
                     .clock_us = CRASH_CLOCK_START,
                     .capacity = UINT64_MAX,
                     .next_process_id = CRASH_PROCESS_FIRST};
    crash_require(pthread_mutex_init(&fs->mutex, NULL) == 0, "mutex");
    (void)crash_fs_new_process(fs);
    fs->first = fs->processes;
    return fs;
}

static void crash_free_lists(crash_fs *fs) {
    while (fs->files != NULL) {
        htt_file *next = fs->files->next;
        free(fs->files);
        fs->files = next;
    }
    while (fs->processes != NULL) {
        crash_process *next = fs->processes->next;
        free(fs->processes);
        fs->processes = next;
    }
}

void crash_fs_free(crash_fs *fs) {
    if (fs == NULL) {
        return;
    }
    for (size_t i = 0; i < fs->map_count; i++) {
        if (fs->maps[i].address != NULL) {
            (void)munmap(fs->maps[i].address, fs->maps[i].size);
        }
    }
    for (size_t i = 0; i < fs->inode_count; i++) {
        crash_free_bytes(&fs->inodes[i]);
        free(fs->inodes[i].shadow);
        free(fs->inodes[i].locks);
    }
    for (size_t i = 0; i < fs->op_count; i++) {
        free(fs->ops[i].bytes);
        free(fs->ops[i].path);
    }
    crash_free_lists(fs);
    crash_names_free(&fs->names);
    crash_replay_free(&fs->replay);
    free(fs->maps);
    free(fs->inodes);
    free(fs->ops);
    pthread_mutex_destroy(&fs->mutex);
    free(fs);
}

const htt_env *crash_fs_env(crash_fs *fs) {
    return &fs->first->env;
}

void crash_kill(crash_process *process) {
    crash_fs *fs = process->fs;
    crash_record_stores(fs);
    process->dead = true;
    for (htt_file *file = fs->files; file != NULL; file = file->next) {
        if (file->process == process) {
            crash_drop_locks(&fs->inodes[file->inode], file, CRASH_LOCKS_ALL);
        }
    }
    for (size_t i = 0; i < fs->map_count; i++) {
        crash_map *map = &fs->maps[i];
        if (map->address == NULL || map->process != process || !map->writable) {
            continue;
        }
        void *copy = memcpy(crash_memory(NULL, map->size), map->address, map->size);
        const void *same = mmap(map->address, map->size, PROT_READ | PROT_WRITE,
                                MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
        crash_require(same == map->address, "mmap");
        memcpy(map->address, copy, map->size);
        free(copy);
        crash_unshare(&fs->inodes[map->inode]);
    }
    if (process->died != NULL) {
        process->died(process->arg);
    }
}

void crash_fs_kill_process(crash_fs *fs, const htt_env *env) {
    crash_process *process = env->context;
    pthread_mutex_lock(&fs->mutex);
    process->died = NULL;
    crash_kill(process);
    pthread_mutex_unlock(&fs->mutex);
}

void crash_fs_kill_later(crash_fs *fs, const htt_env *env, size_t after, void (*died)(void *arg),
                         void *arg) {
    crash_process *process = env->context;
    pthread_mutex_lock(&fs->mutex);
    process->left = after;
    process->fails = false;
    process->died = died;
    process->arg = arg;
    pthread_mutex_unlock(&fs->mutex);
}

void crash_fs_fail_later(crash_fs *fs, const htt_env *env, size_t after) {
    crash_process *process = env->context;
    crash_fs_kill_later(fs, env, after, NULL, NULL);
    process->fails = true;
}

bool crash_fs_is_spared(crash_fs *fs, const htt_env *env) {
    const crash_process *process = env->context;
    pthread_mutex_lock(&fs->mutex);
    const bool spared = process->left == SIZE_MAX;
    pthread_mutex_unlock(&fs->mutex);
    return spared;
}

void crash_fs_spare(crash_fs *fs, const htt_env *env) {
    crash_fs_kill_later(fs, env, SIZE_MAX, NULL, NULL);
}

void crash_fs_set_capacity(crash_fs *fs, uint64_t bytes) {
    pthread_mutex_lock(&fs->mutex);
    fs->capacity = bytes;
    pthread_mutex_unlock(&fs->mutex);
}

size_t crash_fs_position(crash_fs *fs) {
    pthread_mutex_lock(&fs->mutex);
    crash_record_stores(fs);
    const size_t position = fs->op_count;
    pthread_mutex_unlock(&fs->mutex);
    return position;
}

uint8_t *crash_fs_get_file(crash_fs *fs, const char *path, size_t *size_out) {
    uint8_t *bytes = NULL;
    pthread_mutex_lock(&fs->mutex);
    const size_t i = crash_names_find(&fs->names, path);
    if (i < fs->names.count) {
        const crash_inode *inode = &fs->inodes[fs->names.items[i].inode];
        bytes = crash_memory(NULL, inode->size);
        if (inode->size > 0) {
            memcpy(bytes, inode->bytes, (size_t)inode->size);
        }
        *size_out = inode->size;
    }
    pthread_mutex_unlock(&fs->mutex);
    return bytes;
}

void crash_fs_put_file(crash_fs *fs, const char *path, const void *bytes, size_t size) {
    uint8_t *copy = crash_memory(NULL, size);
    if (size > 0) {
        memcpy(copy, bytes, size);
    }
    pthread_mutex_lock(&fs->mutex);
    crash_install_file(fs, path, copy, size);
    pthread_mutex_unlock(&fs->mutex);
}

size_t crash_fs_held(crash_fs *fs) {
    size_t held = 0;
    pthread_mutex_lock(&fs->mutex);
    for (const htt_file *file = fs->files; file != NULL; file = file->next) {
        held += file->process->dead ? 0 : 1;
    }
    for (size_t i = 0; i < fs->map_count; i++) {
        held += fs->maps[i].address != NULL && !fs->maps[i].process->dead ? 1 : 0;
    }
    pthread_mutex_unlock(&fs->mutex);
    return held;
}

/* ------------------------------------------------------------------ digest */

/* One file: its name, its size, and each page that is not all zeros, with its place. */
static uint64_t crash_digest_file(uint64_t digest, const char *path, const crash_inode *inode) {
    static const uint8_t zeros[CRASH_PAGE];
    digest = XXH3_64bits_withSeed(path, strlen(path), digest);
    digest = XXH3_64bits_withSeed(&inode->size, sizeof inode->size, digest);
    for (size_t at = 0; at < inode->size; at += CRASH_PAGE) {
        const size_t left = (size_t)inode->size - at;
        const size_t size = left < CRASH_PAGE ? left : CRASH_PAGE;
        if (memcmp(inode->bytes + at, zeros, size) != 0) {
            digest = XXH3_64bits_withSeed(inode->bytes + at, size, digest ^ at);
        }
    }
    return digest;
}

uint64_t crash_fs_digest(crash_fs *fs, uint64_t seed) {
    uint64_t digest = 0;
    pthread_mutex_lock(&fs->mutex);
    for (size_t i = 0; i < fs->names.count; i++) {
        const crash_name *name = &fs->names.items[i];
        digest += crash_digest_file(seed, name->path, &fs->inodes[name->inode]);
    }
    pthread_mutex_unlock(&fs->mutex);
    return digest;
}
