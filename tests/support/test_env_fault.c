/* SPDX-License-Identifier: MIT */
/*
 * An htt_env that counts and fails calls of another one. Files are wrapped, so that a plan can
 * be meant for some paths only; memory gets a head that remembers its size.
 *
 *     +---------------+- - - - - - - -+
 *     | size (16)     | caller's bytes|
 *     +---------------+- - - - - - - -+
 */
#include "support/test_env_fault.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FAULT_HEAD 16u  /* keeps malloc's alignment */
#define FAULT_FILL 0xa5 /* new memory: nobody may count on zeros */

struct fault_env {
    htt_env table;               /* what users call; context = this struct */
    const htt_env *inner;        /* what really works */
    pthread_mutex_t lock;        /* guards all below */
    fault_plan plan;             /* nth 0 = none */
    uint64_t counted;            /* calls that the plan counts, since armed */
    uint64_t calls[FAULT_KINDS]; /* all calls by kind, since armed */
    uint64_t failures;           /* calls made to fail, since armed */
    unsigned failed_kind;        /* of the last one; 0 = none */
    size_t memory;               /* pieces held */
    size_t files;                /* files held */
    size_t maps;                 /* mappings held */
    size_t bytes;                /* bytes held */
    size_t bytes_peak;           /* most bytes held since armed */
};

struct htt_file {
    htt_file *inner; /* of the inner environment; owned */
    char *path;      /* as opened; owned */
};

static const char *const fault_kind_names[FAULT_KINDS] = {
    "open",   "read",           "write", "sync", "reserve", "truncate", "info",     "path_info",
    "unlink", "sync_directory", "map",   "lock", "random",  "boot_id",  "allocate", "reallocate"};

static bool fault_path_matches(const fault_plan *plan, const char *path) {
    if (plan->suffix == NULL) {
        return true;
    }
    if (path == NULL) {
        return false;
    }
    const size_t length = strlen(path);
    const size_t suffix = strlen(plan->suffix);
    return length >= suffix && strcmp(path + length - suffix, plan->suffix) == 0;
}

/* Counts a call. The errno value to fail it with, or 0. */
static int fault_count(fault_env *fault, unsigned kind, const char *path, bool *partial_out) {
    int error = 0;
    pthread_mutex_lock(&fault->lock);
    fault->calls[__builtin_ctz(kind)]++;
    const fault_plan *plan = &fault->plan;
    if ((plan->kinds & kind) != 0 && fault_path_matches(plan, path)) {
        fault->counted++;
        if (plan->nth != 0 &&
            (fault->counted == plan->nth || (plan->persistent && fault->counted > plan->nth))) {
            error = plan->error != 0 ? plan->error : EIO;
            fault->failures++;
            fault->failed_kind = kind;
        }
        if (partial_out != NULL) {
            *partial_out = plan->partial;
        }
    }
    pthread_mutex_unlock(&fault->lock);
    return error;
}

static void fault_hold(fault_env *fault, size_t *counter, int difference) {
    pthread_mutex_lock(&fault->lock);
    *counter += (size_t)difference;
    pthread_mutex_unlock(&fault->lock);
}

/* ------------------------------------------------------------------ files */

static int fault_open(void *context, const char *path, unsigned flags, htt_file **file_out) {
    fault_env *fault = context;
    int rc = fault_count(fault, FAULT_OPEN, path, NULL);
    if (rc != 0) {
        return rc;
    }
    htt_file *file = malloc(sizeof *file);
    char *copy = strdup(path);
    if (file == NULL || copy == NULL) {
        abort();
    }
    rc = fault->inner->open(fault->inner->context, path, flags, &file->inner);
    if (rc != 0) {
        free(file);
        free(copy);
        return rc;
    }
    file->path = copy;
    fault_hold(fault, &fault->files, 1);
    *file_out = file;
    return 0;
}

static void fault_close(void *context, htt_file *file) {
    fault_env *fault = context;
    if (file != NULL) {
        fault->inner->close(fault->inner->context, file->inner);
        free(file->path);
        free(file);
        fault_hold(fault, &fault->files, -1);
    }
}

static int fault_read(void *context, htt_file *file, void *buffer, size_t size, uint64_t offset,
                      size_t *read_out) {
    fault_env *fault = context;
    bool partial = false;
    size_t done = 0;
    const int rc = fault_count(fault, FAULT_READ, file->path, &partial);
    if (rc == 0) {
        return fault->inner->read(fault->inner->context, file->inner, buffer, size, offset,
                                  read_out);
    }
    if (partial && size > 1) {
        (void)fault->inner->read(fault->inner->context, file->inner, buffer, size / 2, offset,
                                 &done);
    }
    if (read_out != NULL) {
        *read_out = done;
    }
    return rc;
}

static int fault_write(void *context, htt_file *file, const void *buffer, size_t size,
                       uint64_t offset) {
    fault_env *fault = context;
    bool partial = false;
    const int rc = fault_count(fault, FAULT_WRITE, file->path, &partial);
    if (rc == 0) {
        return fault->inner->write(fault->inner->context, file->inner, buffer, size, offset);
    }
    if (partial && size > 1) {
        (void)fault->inner->write(fault->inner->context, file->inner, buffer, size / 2, offset);
    }
    return rc;
}

static int fault_sync(void *context, htt_file *file) {
    fault_env *fault = context;
    const int rc = fault_count(fault, FAULT_SYNC, file->path, NULL);
    return rc != 0 ? rc : fault->inner->sync(fault->inner->context, file->inner);
}

static int fault_reserve(void *context, htt_file *file, uint64_t size) {
    fault_env *fault = context;
    const int rc = fault_count(fault, FAULT_RESERVE, file->path, NULL);
    return rc != 0 ? rc : fault->inner->reserve(fault->inner->context, file->inner, size);
}

static int fault_truncate(void *context, htt_file *file, uint64_t size) {
    fault_env *fault = context;
    const int rc = fault_count(fault, FAULT_TRUNCATE, file->path, NULL);
    return rc != 0 ? rc : fault->inner->truncate(fault->inner->context, file->inner, size);
}

static int fault_info(void *context, htt_file *file, htt_file_info *info_out) {
    fault_env *fault = context;
    const int rc = fault_count(fault, FAULT_INFO, file->path, NULL);
    return rc != 0 ? rc : fault->inner->info(fault->inner->context, file->inner, info_out);
}

static int fault_path_info(void *context, const char *path, htt_file_info *info_out) {
    fault_env *fault = context;
    const int rc = fault_count(fault, FAULT_PATH_INFO, path, NULL);
    return rc != 0 ? rc : fault->inner->path_info(fault->inner->context, path, info_out);
}

static int fault_unlink(void *context, const char *path) {
    fault_env *fault = context;
    const int rc = fault_count(fault, FAULT_UNLINK, path, NULL);
    return rc != 0 ? rc : fault->inner->unlink(fault->inner->context, path);
}

static int fault_sync_directory(void *context, const char *path) {
    fault_env *fault = context;
    const int rc = fault_count(fault, FAULT_SYNC_DIRECTORY, path, NULL);
    return rc != 0 ? rc : fault->inner->sync_directory(fault->inner->context, path);
}

static int fault_map(void *context, htt_file *file, size_t size, bool writable,
                     void **address_out) {
    fault_env *fault = context;
    int rc = fault_count(fault, FAULT_MAP, file->path, NULL);
    if (rc == 0) {
        rc = fault->inner->map(fault->inner->context, file->inner, size, writable, address_out);
    }
    if (rc == 0) {
        fault_hold(fault, &fault->maps, 1);
    }
    return rc;
}

static void fault_unmap(void *context, void *address, size_t size) {
    fault_env *fault = context;
    if (address != NULL) {
        fault->inner->unmap(fault->inner->context, address, size);
        fault_hold(fault, &fault->maps, -1);
    }
}

static int fault_lock(void *context, htt_file *file, uint64_t offset, int mode) {
    fault_env *fault = context;
    const int rc = fault_count(fault, FAULT_LOCK, file->path, NULL);
    return rc != 0 ? rc : fault->inner->lock(fault->inner->context, file->inner, offset, mode);
}

static void fault_unlock(void *context, htt_file *file, uint64_t offset) {
    fault_env *fault = context;
    fault->inner->unlock(fault->inner->context, file->inner, offset);
}

/* ------------------------------------------- clock, randomness, the process */

static uint64_t fault_now_ms(void *context) {
    fault_env *fault = context;
    return fault->inner->now_ms(fault->inner->context);
}

static void fault_sleep_us(void *context, uint64_t microseconds) {
    fault_env *fault = context;
    fault->inner->sleep_us(fault->inner->context, microseconds);
}

static int fault_random(void *context, void *buffer, size_t size) {
    fault_env *fault = context;
    const int rc = fault_count(fault, FAULT_RANDOM, NULL, NULL);
    return rc != 0 ? rc : fault->inner->random(fault->inner->context, buffer, size);
}

static int fault_boot_id(void *context, uint8_t id_out[16]) {
    fault_env *fault = context;
    const int rc = fault_count(fault, FAULT_BOOT_ID, NULL, NULL);
    return rc != 0 ? rc : fault->inner->boot_id(fault->inner->context, id_out);
}

static uint64_t fault_process_id(void *context) {
    fault_env *fault = context;
    return fault->inner->process_id(fault->inner->context);
}

/* ----------------------------------------------------------------- memory */

/* Counts a piece that came (difference 1), went (-1) or changed its size (0). */
static void fault_account(fault_env *fault, int difference, size_t old_size, size_t new_size) {
    pthread_mutex_lock(&fault->lock);
    fault->memory += (size_t)difference;
    fault->bytes += new_size - old_size;
    if (fault->bytes > fault->bytes_peak) {
        fault->bytes_peak = fault->bytes;
    }
    pthread_mutex_unlock(&fault->lock);
}

static size_t fault_head_get(const uint8_t *piece) {
    size_t size;
    memcpy(&size, piece, sizeof size);
    return size;
}

static void fault_head_put(uint8_t *piece, size_t size) {
    memcpy(piece, &size, sizeof size);
}

static void *fault_allocate(void *context, size_t size) {
    fault_env *fault = context;
    if (fault_count(fault, FAULT_ALLOCATE, NULL, NULL) != 0 || size > SIZE_MAX - FAULT_HEAD) {
        return NULL;
    }
    uint8_t *piece = fault->inner->allocate(fault->inner->context, size + FAULT_HEAD);
    if (piece == NULL) {
        return NULL;
    }
    fault_head_put(piece, size);
    memset(piece + FAULT_HEAD, FAULT_FILL, size);
    fault_account(fault, 1, 0, size);
    return piece + FAULT_HEAD;
}

static void *fault_reallocate(void *context, void *memory, size_t size) {
    fault_env *fault = context;
    if (fault_count(fault, FAULT_REALLOCATE, NULL, NULL) != 0 || size > SIZE_MAX - FAULT_HEAD) {
        return NULL;
    }
    uint8_t *piece = memory == NULL ? NULL : (uint8_t *)memory - FAULT_HEAD;
    const size_t old_size = piece == NULL ? 0 : fault_head_get(piece);
    uint8_t *moved = fault->inner->reallocate(fault->inner->context, piece, size + FAULT_HEAD);
    if (moved == NULL) {
        return NULL;
    }
    fault_head_put(moved, size);
    if (size > old_size) {
        memset(moved + FAULT_HEAD + old_size, FAULT_FILL, size - old_size);
    }
    fault_account(fault, memory == NULL ? 1 : 0, old_size, size);
    return moved + FAULT_HEAD;
}

static void fault_release(void *context, void *memory) {
    fault_env *fault = context;
    if (memory != NULL) {
        uint8_t *piece = (uint8_t *)memory - FAULT_HEAD;
        const size_t size = fault_head_get(piece);
        memset(memory, FAULT_FILL, size);
        fault_account(fault, -1, size, 0);
        fault->inner->release(fault->inner->context, piece);
    }
}

/* -------------------------------------------------------------- the test's */

fault_env *fault_env_new(const htt_env *inner) {
    fault_env *fault = calloc(1, sizeof *fault);
    if (fault == NULL || pthread_mutex_init(&fault->lock, NULL) != 0) {
        abort();
    }
    fault->inner = inner;
    fault->table = (htt_env){
        .context = fault,
        .open = fault_open,
        .close = fault_close,
        .read = fault_read,
        .write = fault_write,
        .sync = fault_sync,
        .reserve = fault_reserve,
        .truncate = fault_truncate,
        .info = fault_info,
        .path_info = fault_path_info,
        .unlink = fault_unlink,
        .sync_directory = fault_sync_directory,
        .map = fault_map,
        .unmap = fault_unmap,
        .lock = fault_lock,
        .unlock = fault_unlock,
        .now_ms = fault_now_ms,
        .sleep_us = fault_sleep_us,
        .random = fault_random,
        .boot_id = fault_boot_id,
        .process_id = fault_process_id,
        .allocate = fault_allocate,
        .reallocate = fault_reallocate,
        .release = fault_release,
    };
    return fault;
}

void fault_env_free(fault_env *fault) {
    if (fault != NULL) {
        pthread_mutex_destroy(&fault->lock);
        free(fault);
    }
}

const htt_env *fault_env_table(fault_env *fault) {
    return &fault->table;
}

void fault_env_arm(fault_env *fault, const fault_plan *plan) {
    pthread_mutex_lock(&fault->lock);
    fault->plan = *plan;
    fault->counted = 0;
    memset(fault->calls, 0, sizeof fault->calls);
    fault->failures = 0;
    fault->failed_kind = 0;
    fault->bytes_peak = fault->bytes;
    pthread_mutex_unlock(&fault->lock);
}

void fault_env_disarm(fault_env *fault) {
    pthread_mutex_lock(&fault->lock);
    fault->plan.nth = 0;
    pthread_mutex_unlock(&fault->lock);
}

uint64_t fault_env_calls(fault_env *fault, unsigned kinds) {
    uint64_t sum = 0;
    pthread_mutex_lock(&fault->lock);
    for (unsigned i = 0; i < FAULT_KINDS; i++) {
        sum += (kinds >> i & 1u) != 0 ? fault->calls[i] : 0;
    }
    pthread_mutex_unlock(&fault->lock);
    return sum;
}

uint64_t fault_env_failures(fault_env *fault) {
    pthread_mutex_lock(&fault->lock);
    const uint64_t failures = fault->failures;
    pthread_mutex_unlock(&fault->lock);
    return failures;
}

const char *fault_env_failed_kind(fault_env *fault) {
    pthread_mutex_lock(&fault->lock);
    const unsigned kind = fault->failed_kind;
    pthread_mutex_unlock(&fault->lock);
    return kind == 0 ? "none" : fault_kind_names[__builtin_ctz(kind)];
}

static size_t fault_peek(fault_env *fault, const size_t *counter) {
    pthread_mutex_lock(&fault->lock);
    const size_t value = *counter;
    pthread_mutex_unlock(&fault->lock);
    return value;
}

size_t fault_env_held_memory(fault_env *fault) {
    return fault_peek(fault, &fault->memory);
}

size_t fault_env_held_files(fault_env *fault) {
    return fault_peek(fault, &fault->files);
}

size_t fault_env_held_maps(fault_env *fault) {
    return fault_peek(fault, &fault->maps);
}

size_t fault_env_held(fault_env *fault) {
    return fault_env_held_memory(fault) + fault_env_held_files(fault) + fault_env_held_maps(fault);
}

size_t fault_env_bytes(fault_env *fault) {
    return fault_peek(fault, &fault->bytes);
}

size_t fault_env_bytes_peak(fault_env *fault) {
    return fault_peek(fault, &fault->bytes_peak);
}
