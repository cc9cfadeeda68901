/* SPDX-License-Identifier: MIT */
/*
 * From the log of a simulated disk to the disks that a crash may leave.
 *
 *     log     op 0   op 1   op 2   ...   op n-1 | op n ...
 *             \___________ ____________________/
 *                         V                position n
 *             durable: names and images as a sync left them
 *             pending: operations that no sync has made durable yet
 *
 *     power cut = durable + those pending operations that fate keeps, in their order
 *     kill      = durable + all pending operations
 *
 * Durable and pending are kept in fs->replay and only walk forward; an earlier position starts
 * over.
 */
#include "support/test_env_crash_private.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CRASH_EXHAUSTIVE_MAX 10u /* unsynced operations of which all combinations are tried */
#define CRASH_SECTOR 512u        /* what disks promise to write whole */
#define CRASH_BIG_SECTOR 4096u   /* what most disks write whole */

/* ----------------------------------------------------------------- images */

static void crash_image_resize(crash_image *image, size_t size) {
    if (size > image->capacity) {
        image->capacity = size + size / 2;
        image->bytes = crash_memory(image->bytes, image->capacity);
    }
    if (size > image->size) {
        memset(image->bytes + image->size, 0, size - image->size);
    }
    image->size = size;
}

static void crash_image_write(crash_image *image, uint64_t offset, const uint8_t *bytes,
                              size_t size) {
    if (offset + size > image->size) {
        crash_image_resize(image, (size_t)offset + size);
    }
    if (size > 0) {
        memcpy(image->bytes + offset, bytes, size);
    }
}

static void crash_image_apply(crash_image *image, const crash_op *op) {
    switch (op->kind) {
    case CRASH_WRITE: crash_image_write(image, op->offset, op->bytes, op->size); break;
    case CRASH_STORE:
        image->shared = true;
        /* A mapping never grows a file: if the truncate before was lost, so is this. */
        if (op->offset + op->size <= image->size) {
            crash_image_write(image, op->offset, op->bytes, op->size);
        }
        break;
    case CRASH_TRUNCATE: crash_image_resize(image, (size_t)op->offset); break;
    case CRASH_RESERVE:
        if (op->offset > image->size) {
            crash_image_resize(image, (size_t)op->offset);
        }
        break;
    case CRASH_CREATE:
    case CRASH_UNLINK:
    case CRASH_SYNC:
    case CRASH_SYNC_DIRECTORY: break;
    }
}

/* Some sectors of a write, at least one of which fails to arrive where there is more than one. */
static void crash_image_apply_torn(crash_image *image, const crash_op *op, size_t sector,
                                   uint64_t *random) {
    assert(op->kind == CRASH_WRITE);
    if (op->size == 0) {
        return;
    }
    const uint64_t first = op->offset / sector;
    const uint64_t last = (op->offset + op->size - 1) / sector;
    const uint64_t lost = first + crash_random_next(random) % (last - first + 1);
    for (uint64_t s = first; s <= last; s++) {
        if (s == lost || (crash_random_next(random) & 1) != 0) {
            continue;
        }
        const uint64_t start = s * sector > op->offset ? s * sector : op->offset;
        const uint64_t sector_end = (s + 1) * sector;
        const uint64_t op_end = op->offset + op->size;
        const uint64_t end = sector_end < op_end ? sector_end : op_end;
        crash_image_write(image, start, op->bytes + (start - op->offset), (size_t)(end - start));
    }
}

static void crash_names_apply(crash_names *names, const crash_op *op) {
    crash_names_remove(names, op->path); /* whatever the name meant before */
    if (op->kind == CRASH_CREATE) {
        crash_names_add(names, op->path, op->inode);
    }
}

/* ----------------------------------------------------------------- replay */

void crash_replay_free(crash_replay *replay) {
    for (size_t i = 0; i < replay->image_count; i++) {
        free(replay->images[i].bytes);
    }
    crash_names_free(&replay->names);
    free(replay->images);
    free(replay->pending);
    *replay = (crash_replay){0};
}

static bool crash_is_name_op(const crash_op *op) {
    return op->kind == CRASH_CREATE || op->kind == CRASH_UNLINK;
}

/* A sync makes its pending operations durable. */
static void crash_replay_settle(crash_fs *fs, const crash_op *sync) {
    crash_replay *replay = &fs->replay;
    size_t kept = 0;
    for (size_t i = 0; i < replay->pending_count; i++) {
        const crash_op *op = &fs->ops[replay->pending[i]];
        const bool settled =
            sync->kind == CRASH_SYNC
                ? !crash_is_name_op(op) && op->inode == sync->inode
                : crash_is_name_op(op) && crash_same_directory(op->path, sync->path);
        if (!settled) {
            replay->pending[kept++] = replay->pending[i];
        } else if (crash_is_name_op(op)) {
            crash_names_apply(&replay->names, op);
        } else {
            crash_image_apply(&replay->images[op->inode], op);
        }
    }
    replay->pending_count = kept;
}

static void crash_replay_to(crash_fs *fs, size_t position) {
    crash_replay *replay = &fs->replay;
    assert(position <= fs->op_count);
    if (position < replay->position) {
        crash_replay_free(replay);
    }
    for (; replay->position < position; replay->position++) {
        const crash_op *op = &fs->ops[replay->position];
        if (op->kind == CRASH_SYNC || op->kind == CRASH_SYNC_DIRECTORY) {
            crash_replay_settle(fs, op);
            continue;
        }
        if (op->inode >= replay->image_count) {
            assert(op->inode == replay->image_count && op->kind == CRASH_CREATE);
            replay->images =
                crash_memory(replay->images, (replay->image_count + 1) * sizeof *replay->images);
            replay->images[replay->image_count++] = (crash_image){0};
        }
        replay->pending =
            crash_memory(replay->pending, (replay->pending_count + 1) * sizeof *replay->pending);
        replay->pending[replay->pending_count++] = replay->position;
    }
}

/* Pending operations with a fate of their own. Mutex held. */
static size_t crash_count_unsynced(crash_fs *fs, size_t position) {
    size_t count = 0;
    crash_replay_to(fs, position);
    for (size_t i = 0; i < fs->replay.pending_count; i++) {
        count += fs->ops[fs->replay.pending[i]].kind != CRASH_STORE ? 1 : 0;
    }
    return count;
}

size_t crash_fs_unsynced(crash_fs *fs, size_t position) {
    pthread_mutex_lock(&fs->mutex);
    const size_t count = crash_count_unsynced(fs, position);
    pthread_mutex_unlock(&fs->mutex);
    return count;
}

/* ------------------------------------------------------------ description */

static void crash_describe_op(const crash_fs *fs, const crash_op *op, char *text, size_t size) {
    static const char *const kinds[] = {"?",       "create", "unlink",         "write", "truncate",
                                        "reserve", "sync",   "sync_directory", "store"};
    const char *path = op->path;
    for (size_t i = 0; path == NULL && i < fs->op_count; i++) { /* the name it was made with */
        if (fs->ops[i].kind == CRASH_CREATE && fs->ops[i].inode == op->inode) {
            path = fs->ops[i].path;
        }
    }
    switch (op->kind) {
    case CRASH_WRITE:
    case CRASH_STORE:
        (void)snprintf(text, size, "%s %s %" PRIu64 "+%zu", kinds[op->kind], path, op->offset,
                       op->size);
        break;
    case CRASH_TRUNCATE:
    case CRASH_RESERVE:
        (void)snprintf(text, size, "%s %s %" PRIu64, kinds[op->kind], path, op->offset);
        break;
    case CRASH_CREATE:
    case CRASH_UNLINK:
    case CRASH_SYNC:
    case CRASH_SYNC_DIRECTORY: (void)snprintf(text, size, "%s %s", kinds[op->kind], path); break;
    }
}

void crash_fs_describe(crash_fs *fs, size_t index, char *text, size_t size) {
    pthread_mutex_lock(&fs->mutex);
    assert(index < fs->op_count);
    crash_describe_op(fs, &fs->ops[index], text, size);
    pthread_mutex_unlock(&fs->mutex);
}

const char *crash_fs_origin(const crash_fs *fs) {
    return fs->origin;
}

/* Puts more text behind the origin; what does not fit is left out. */
__attribute__((format(printf, 2, 3))) static void crash_origin_add(crash_fs *fs, const char *format,
                                                                   ...) {
    va_list arguments;
    const size_t length = strlen(fs->origin);
    va_start(arguments, format);
    (void)vsnprintf(fs->origin + length, sizeof fs->origin - length, format, arguments);
    va_end(arguments);
}

/* -------------------------------------------------------- disks after cuts */

/* A disk without files that goes on where `fs` was. */
static crash_fs *crash_successor(const crash_fs *fs, size_t position, uint64_t salt) {
    crash_fs *after = crash_fs_new(fs->seed);
    after->random = fs->random ^ (position * UINT64_C(0xA0761D6478BD642F)) ^ salt;
    after->boot = fs->boot;
    after->clock_us = fs->clock_us;
    after->next_process_id = fs->next_process_id + 1;
    after->first->id = fs->next_process_id;
    return after;
}

/* The bytes that a mapping had stored to, after a power cut. */
static void crash_spoil_shared(crash_image *image, crash_shared shared, uint64_t *random) {
    if (!image->shared || shared == CRASH_SHARED_KEPT) {
        return;
    }
    for (size_t i = 0; i < image->size; i += 8) {
        const uint64_t garbage = shared == CRASH_SHARED_ZEROS ? 0 : crash_random_next(random);
        memcpy(image->bytes + i, &garbage, image->size - i < 8 ? image->size - i : 8);
    }
}

/* Applies the pending operations that fate keeps to the images and names of `state`. */
static void crash_apply_pending(const crash_fs *fs, const crash_choice *choice, crash_replay *state,
                                crash_fs *after) {
    uint64_t random = choice->seed;
    size_t number = 0; /* of the operation among those with a fate */
    for (size_t i = 0; i < fs->replay.pending_count; i++) {
        const crash_op *op = &fs->ops[fs->replay.pending[i]];
        uint8_t fate = CRASH_KEPT;
        if (op->kind != CRASH_STORE) {
            assert(choice->fates == NULL || number < choice->count);
            fate = choice->fates == NULL ? CRASH_KEPT : choice->fates[number];
            number++;
        }
        if (fate != CRASH_KEPT) {
            char text[160];
            crash_describe_op(fs, op, text, sizeof text);
            crash_origin_add(after, "; %s: %s", fate == CRASH_TORN ? "torn" : "lost", text);
        }
        if (fate == CRASH_TORN && op->kind == CRASH_WRITE) {
            crash_image_apply_torn(&state->images[op->inode], op, choice->sector, &random);
        } else if (fate != CRASH_LOST && crash_is_name_op(op)) {
            crash_names_apply(&state->names, op);
        } else if (fate == CRASH_KEPT) {
            crash_image_apply(&state->images[op->inode], op);
        }
    }
    for (size_t i = 0; i < state->image_count; i++) {
        crash_spoil_shared(&state->images[i], choice->shared, &random);
    }
}

static void crash_build(crash_fs *fs, const crash_choice *choice, crash_fs *after) {
    const crash_replay *replay = &fs->replay;
    crash_replay state = {.image_count = replay->image_count};
    state.images = crash_memory(NULL, replay->image_count * sizeof *state.images);
    for (size_t i = 0; i < replay->image_count; i++) {
        const crash_image *image = &replay->images[i];
        state.images[i] = (crash_image){.shared = image->shared};
        crash_image_write(&state.images[i], 0, image->bytes, image->size);
    }
    for (size_t i = 0; i < replay->names.count; i++) {
        crash_names_add(&state.names, replay->names.items[i].path, replay->names.items[i].inode);
    }
    crash_apply_pending(fs, choice, &state, after);
    for (size_t i = 0; i < state.names.count; i++) {
        crash_image *image = &state.images[state.names.items[i].inode];
        uint8_t *bytes = image->bytes != NULL ? image->bytes : crash_memory(NULL, 0);
        crash_install_file(after, state.names.items[i].path, bytes, image->size);
        image->bytes = NULL; /* a file has one name, see the model */
    }
    crash_replay_free(&state);
}

/* Mutex held. */
static crash_fs *crash_cut_locked(crash_fs *fs, size_t position, const crash_choice *choice) {
    static const char *const shared[] = {"kept", "zeros", "garbage"};
    char text[160] = "the start";
    crash_replay_to(fs, position);
    crash_fs *after = crash_successor(fs, position, choice->seed);
    after->boot++;
    if (position > 0) {
        crash_describe_op(fs, &fs->ops[position - 1], text, sizeof text);
    }
    crash_origin_add(after, "power cut at %zu of %zu, after %s; mapped: %s", position, fs->op_count,
                     text, shared[choice->shared]);
    crash_build(fs, choice, after);
    return after;
}

crash_fs *crash_fs_cut_with(crash_fs *fs, size_t position, const crash_choice *choice) {
    pthread_mutex_lock(&fs->mutex);
    crash_fs *after = crash_cut_locked(fs, position, choice);
    pthread_mutex_unlock(&fs->mutex);
    return after;
}

crash_fs *crash_fs_killed(crash_fs *fs, size_t position) {
    const crash_choice all_kept = {.sector = CRASH_SECTOR, .shared = CRASH_SHARED_KEPT};
    pthread_mutex_lock(&fs->mutex);
    crash_record_stores(fs);
    crash_replay_to(fs, position);
    crash_fs *after = crash_successor(fs, position, 0);
    crash_origin_add(after, "killed at %zu of %zu", position, fs->op_count);
    crash_build(fs, &all_kept, after);
    pthread_mutex_unlock(&fs->mutex);
    return after;
}

/* ------------------------------------------------------------ enumeration */

/* Pending writes: number of them, and which operation (with a fate) number `nth` is. */
static size_t crash_pending_writes(const crash_fs *fs, size_t nth, size_t *operation_out) {
    size_t writes = 0;
    size_t number = 0;
    for (size_t i = 0; i < fs->replay.pending_count; i++) {
        const crash_op *op = &fs->ops[fs->replay.pending[i]];
        if (op->kind == CRASH_WRITE && writes++ == nth) {
            *operation_out = number;
        }
        number += op->kind != CRASH_STORE ? 1 : 0;
    }
    return writes;
}

size_t crash_fs_cut_count(crash_fs *fs, size_t position, size_t limit) {
    size_t ignored = 0;
    pthread_mutex_lock(&fs->mutex);
    const size_t unsynced = crash_count_unsynced(fs, position);
    const size_t torn = 2 * crash_pending_writes(fs, 0, &ignored);
    pthread_mutex_unlock(&fs->mutex);
    if (unsynced <= CRASH_EXHAUSTIVE_MAX && ((size_t)1 << unsynced) + torn <= limit) {
        return ((size_t)1 << unsynced) + torn;
    }
    return limit > 0 ? limit : 1;
}

/* Fates number `index` where not all combinations are tried. */
static void crash_choose_randomly(uint8_t *fates, size_t count, size_t index, uint64_t *random) {
    const size_t one = crash_random_next(random) % count;
    const uint64_t strategy = index < 2 ? index : 2 + crash_random_next(random) % 4;
    for (size_t i = 0; i < count; i++) {
        const uint64_t dice = crash_random_next(random) % 10;
        switch (strategy) {
        case 0: fates[i] = CRASH_LOST; break;
        case 1: fates[i] = CRASH_KEPT; break;
        case 2: fates[i] = i == one ? (dice < 5 ? CRASH_LOST : CRASH_TORN) : CRASH_KEPT; break;
        case 3: fates[i] = i == one ? (dice < 5 ? CRASH_KEPT : CRASH_TORN) : CRASH_LOST; break;
        case 4: fates[i] = i < one ? CRASH_KEPT : i == one ? CRASH_TORN : CRASH_LOST; break;
        default: fates[i] = dice < 4 ? CRASH_LOST : dice < 8 ? CRASH_KEPT : CRASH_TORN; break;
        }
    }
}

/* Fates number `index` where all combinations are tried. */
static void crash_choose_all(const crash_fs *fs, uint8_t *fates, size_t count, size_t index) {
    const size_t combinations = (size_t)1 << count;
    const size_t torn = index < combinations ? 0 : index - combinations;
    size_t operation = 0;
    for (size_t i = 0; i < count; i++) {
        const size_t bit = index < combinations ? index >> i & 1 : torn & 1;
        fates[i] = bit != 0 ? CRASH_KEPT : CRASH_LOST;
    }
    if (index >= combinations) {
        (void)crash_pending_writes(fs, torn / 2, &operation);
        fates[operation] = CRASH_TORN;
    }
}

crash_fs *crash_fs_cut(crash_fs *fs, size_t position, size_t index, size_t limit) {
    size_t ignored = 0;
    pthread_mutex_lock(&fs->mutex);
    const size_t count = crash_count_unsynced(fs, position);
    const size_t torn = 2 * crash_pending_writes(fs, 0, &ignored);
    uint64_t random = fs->seed ^ (position << 20) ^ index;
    uint8_t *fates = crash_memory(NULL, count);
    if (count <= CRASH_EXHAUSTIVE_MAX && ((size_t)1 << count) + torn <= limit) {
        crash_choose_all(fs, fates, count, index);
    } else if (count > 0) {
        crash_choose_randomly(fates, count, index, &random);
    }
    const crash_choice choice = {.fates = fates,
                                 .count = count,
                                 .seed = crash_random_next(&random),
                                 .sector = crash_random_next(&random) % 4 == 0 ? CRASH_BIG_SECTOR
                                                                               : CRASH_SECTOR,
                                 .shared = (crash_shared)(crash_random_next(&random) % 3)};
    crash_fs *after = crash_cut_locked(fs, position, &choice);
    pthread_mutex_unlock(&fs->mutex);
    free(fates);
    return after;
}
