/* SPDX-License-Identifier: MIT */
/*
 * The lock file: opening and setting it up without a race, reader slots, the reuse limit. Its
 * layout and rules are in lockfile.h.
 *
 * Opening, one round of a loop:
 *
 *     init byte exclusive?  yes: first user. Nobody else is in; set up, then share.
 *                           no:  shared?  yes: a user, or nobody any more, has set it up. If not
 *                                              (the first user died halfway), go round again.
 *                                         no:  somebody is setting up: wait, go round again.
 */
#include "txn/lockfile.h"

#include <errno.h>
#include <string.h>

#include "base/error.h"

#define LOCK_MAGIC UINT64_C(0x31304b434f4c5448) /* "HTLOCK01" where numbers are little-endian */
#define LOCK_OPEN_MS 10000u /* setting up takes far less; then somebody holds the byte for ever */
#define LOCK_WAIT_US 500u   /* between two rounds */

static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "atomics in shared memory must be lock-free");
static_assert(ATOMIC_INT_LOCK_FREE == 2, "atomics in shared memory must be lock-free");

/* ---------------------------------------------------------------- opening */

typedef enum lockfile_round { LOCKFILE_DONE, LOCKFILE_AGAIN, LOCKFILE_REOPEN } lockfile_round;

/* Takes the init byte, exclusively if possible. */
static htt_rc lockfile_take_init(htt_lockfile *lock, lockfile_round *round_out,
                                 htt_error *error) {
    const htt_env *const env = lock->env;
    int code = env->lock(env->context, lock->file, HTT_LOCK_BYTE_INIT, HTT_LOCK_EXCLUSIVE);

    lock->first = code == 0;
    if (code == EAGAIN)
        code = env->lock(env->context, lock->file, HTT_LOCK_BYTE_INIT, HTT_LOCK_SHARED);
    if (code != 0 && code != EAGAIN)
        return htt_error_errno(error, HTT_IO, code, "cannot lock the lock file");
    *round_out = code == 0 ? LOCKFILE_DONE : LOCKFILE_AGAIN;
    return HTT_OK;
}

/* The lock is worth something only if later users come to the same file. */
static htt_rc lockfile_check_name(htt_lockfile *lock, const char *path, htt_file_info *info,
                                  lockfile_round *round_out, htt_error *error) {
    const htt_env *const env = lock->env;
    htt_file_info named;
    int code = env->info(env->context, lock->file, info);

    if (code != 0)
        return htt_error_errno(error, HTT_IO, code, "cannot inspect '%s'", path);
    code = env->path_info(env->context, path, &named);
    if (code != 0 && code != ENOENT)
        return htt_error_errno(error, HTT_IO, code, "cannot inspect '%s'", path);
    const bool same = code == 0 && named.device == info->device && named.inode == info->inode;
    *round_out = same ? LOCKFILE_DONE : LOCKFILE_REOPEN;
    return HTT_OK;
}

/* Size and mapping. A file of another size is not ours, and is left alone. */
static htt_rc lockfile_map(htt_lockfile *lock, const char *path, uint64_t size,
                           lockfile_round *round_out, htt_error *error) {
    const htt_env *const env = lock->env;
    void *address = NULL;

    if (size != HTT_LOCK_SIZE && size != 0)
        return htt_error_set(error, HTT_CANTOPEN,
                             "'%s' is in the way: it is not a lock file of an htt file", path);
    if (size == 0 && !lock->first) {
        *round_out = LOCKFILE_AGAIN;
        return HTT_OK;
    }
    int code = 0;
    if (lock->first) /* a hole in it could not be filled when the disk is full: SIGBUS */
        code = env->reserve(env->context, lock->file, HTT_LOCK_SIZE);
    if (code == 0)
        code = env->map(env->context, lock->file, HTT_LOCK_SIZE, true, &address);
    if (code != 0)
        return htt_error_errno(error, HTT_IO, code, "cannot set up '%s'", path);
    lock->area = address;
    if (lock->first || atomic_load(&lock->area->magic) == LOCK_MAGIC)
        return HTT_OK;
    env->unmap(env->context, address, HTT_LOCK_SIZE);
    lock->area = NULL;
    *round_out = LOCKFILE_AGAIN; /* whoever set it up died halfway */
    return HTT_OK;
}

static htt_rc lockfile_open_round(htt_lockfile *lock, const char *path, lockfile_round *round_out,
                                  htt_error *error) {
    const htt_env *const env = lock->env;
    htt_file_info info = {0};

    if (lock->file == NULL) {
        const int code = env->open(env->context, path, HTT_FILE_CREATE | HTT_FILE_NO_FOLLOW,
                                   &lock->file);
        if (code == EROFS || code == EACCES || code == EPERM)
            return htt_error_errno(error, HTT_READONLY, code, "cannot write '%s'", path);
        if (code != 0)
            return htt_error_errno(error, HTT_CANTOPEN, code, "cannot open '%s'", path);
    }
    htt_rc rc = lockfile_take_init(lock, round_out, error);
    if (rc == HTT_OK && *round_out == LOCKFILE_DONE)
        rc = lockfile_check_name(lock, path, &info, round_out, error);
    if (rc == HTT_OK && *round_out == LOCKFILE_DONE)
        rc = lockfile_map(lock, path, info.size, round_out, error);
    return rc;
}

htt_rc htt_lockfile_open(const htt_env *env, const char *lock_path, htt_lockfile **lock_out,
                         htt_error *error) {
    htt_lockfile *const lock = env->allocate(env->context, sizeof *lock);
    const uint64_t start = env->now_ms(env->context);
    lockfile_round round = LOCKFILE_AGAIN;
    htt_rc rc = HTT_OK;

    if (lock == NULL)
        return htt_error_set(error, HTT_NOMEM, "out of memory");
    memset(lock, 0, sizeof *lock);
    lock->env = env;
    while (rc == HTT_OK && round != LOCKFILE_DONE) {
        rc = lockfile_open_round(lock, lock_path, &round, error);
        if (rc != HTT_OK || round == LOCKFILE_DONE)
            break;
        if (round == LOCKFILE_REOPEN) {
            env->close(env->context, lock->file);
            lock->file = NULL;
        } else {
            env->unlock(env->context, lock->file, HTT_LOCK_BYTE_INIT);
        }
        if (env->now_ms(env->context) - start >= LOCK_OPEN_MS)
            rc = htt_error_set(error, HTT_BUSY, "'%s' is being set up by another program",
                               lock_path);
        else
            env->sleep_us(env->context, LOCK_WAIT_US);
    }
    if (rc != HTT_OK) {
        htt_lockfile_close(lock, false);
        return rc;
    }
    *lock_out = lock;
    return HTT_OK;
}

htt_rc htt_lockfile_open_private(const htt_env *env, htt_lockfile **lock_out, htt_error *error) {
    htt_lockfile *const lock = env->allocate(env->context, sizeof *lock);
    void *const area = env->allocate(env->context, HTT_LOCK_SIZE);

    if (lock == NULL || area == NULL) {
        env->release(env->context, lock);
        env->release(env->context, area);
        return htt_error_set(error, HTT_NOMEM, "out of memory");
    }
    memset(lock, 0, sizeof *lock);
    memset(area, 0, HTT_LOCK_SIZE);
    lock->env = env;
    lock->area = area;
    lock->first = true;
    *lock_out = lock;
    return HTT_OK;
}

void htt_lockfile_close(htt_lockfile *lock, bool forked) {
    if (lock == NULL)
        return;
    const htt_env *const env = lock->env;
    for (uint32_t i = 0; !forked && i < HTT_LOCK_SLOTS; i++) {
        if ((lock->own[i / 64] >> (i % 64) & 1) == 0)
            continue;
        atomic_store(&lock->area->slots[i].state, HTT_SLOT_FREE);
        atomic_store(&lock->area->slots[i].process, 0);
    }
    if (lock->file == NULL) {
        env->release(env->context, lock->area); /* NULL when opening failed */
    } else {
        if (lock->area != NULL)
            env->unmap(env->context, lock->area, HTT_LOCK_SIZE);
        env->close(env->context, lock->file); /* with its locks, if no fork shares them */
    }
    env->release(env->context, lock);
}

/* -------------------------------------------------------------- setting up */

bool htt_lockfile_matches(const htt_lockfile *lock, const htt_lock_identity *identity) {
    const htt_lock_area *const area = lock->area;

    return atomic_load(&area->magic) == LOCK_MAGIC &&
           memcmp(area->uuid, identity->uuid, sizeof area->uuid) == 0 &&
           area->device == identity->device && area->inode == identity->inode;
}

void htt_lockfile_reset(htt_lockfile *lock, const htt_lock_identity *identity, uint64_t epoch) {
    htt_lock_area *const area = lock->area;
    const bool known = htt_lockfile_matches(lock, identity);

    assert(lock->first);
    lock->known = known;
    const uint64_t armed = known ? atomic_load(&area->armed) : 0;
    const uint32_t was_lost = atomic_load(&area->lost);
    const bool lost = known && (was_lost == HTT_LOST_HERE || was_lost == HTT_LOST_BEFORE);
    const uint64_t generation = known ? (atomic_load(&area->generation) | 1) + 1 : 2;
    /* Without its magic the file is nothing: whoever comes after a death in here begins anew. */
    atomic_store(&area->magic, 0);
    memset(area, 0, sizeof *area);
    memcpy(area->uuid, identity->uuid, sizeof area->uuid);
    area->device = identity->device;
    area->inode = identity->inode;
    atomic_store(&area->horizon, epoch);
    atomic_store(&area->generation, generation);
    atomic_store(&area->armed, armed);
    atomic_store(&area->lost, lost ? HTT_LOST_BEFORE : HTT_LOST_NONE);
    atomic_store(&area->synced_slot, HTT_SYNCED_UNKNOWN);
    atomic_store(&area->magic, LOCK_MAGIC);
}

bool htt_lockfile_is_alone(htt_lockfile *lock) {
    const htt_env *const env = lock->env;

    if (lock->file == NULL)
        return true;
    /* The byte is ours, shared: it becomes exclusive only if nobody shares it. */
    if (env->lock(env->context, lock->file, HTT_LOCK_BYTE_INIT, HTT_LOCK_EXCLUSIVE) != 0)
        return false;
    return env->lock(env->context, lock->file, HTT_LOCK_BYTE_INIT, HTT_LOCK_SHARED) == 0;
}

htt_rc htt_lockfile_share(htt_lockfile *lock, htt_error *error) {
    assert(lock->first);
    if (lock->file != NULL) {
        const htt_env *const env = lock->env;
        const int code = env->lock(env->context, lock->file, HTT_LOCK_BYTE_INIT, HTT_LOCK_SHARED);
        if (code != 0)
            return htt_error_errno(error, HTT_IO, code, "cannot lock the lock file");
    }
    lock->first = false;
    return HTT_OK;
}

/* ------------------------------------------------------------------ writer */

htt_rc htt_lockfile_take_writer(htt_lockfile *lock, htt_error *error) {
    const htt_env *const env = lock->env;

    if (lock->file == NULL)
        return HTT_OK;
    const int code = env->lock(env->context, lock->file, HTT_LOCK_BYTE_WRITER, HTT_LOCK_EXCLUSIVE);
    if (code == EAGAIN)
        return HTT_BUSY;
    if (code != 0)
        return htt_error_errno(error, HTT_IO, code, "cannot lock the lock file");
    return HTT_OK;
}

void htt_lockfile_give_writer(htt_lockfile *lock) {
    if (lock->file != NULL)
        lock->env->unlock(lock->env->context, lock->file, HTT_LOCK_BYTE_WRITER);
}

/* ------------------------------------------------------------------- slots */

static bool lockfile_owns(const htt_lockfile *lock, uint32_t slot) {
    return (lock->own[slot / 64] >> (slot % 64) & 1) != 0;
}

/* Takes the byte of a slot: 0, EAGAIN, or another errno value. */
static int lockfile_lock_slot(htt_lockfile *lock, uint32_t slot) {
    const htt_env *const env = lock->env;

    assert(!lockfile_owns(lock, slot)); /* it would succeed, and the unlock would give it away */
    if (lock->file == NULL)
        return 0;
    return env->lock(env->context, lock->file, HTT_LOCK_BYTE_SLOTS + (uint64_t)slot,
                     HTT_LOCK_EXCLUSIVE);
}

/* Scans see the slot from now on. Before it is first pinned: the pin's fence orders it. */
static void lockfile_raise_used(htt_lockfile *lock, uint32_t count) {
    uint32_t used = atomic_load(&lock->area->slots_used);

    while (used < count && !atomic_compare_exchange_weak(&lock->area->slots_used, &used, count)) {
    }
}

static uint32_t lockfile_used(const htt_lockfile *lock) {
    const uint32_t used = atomic_load(&lock->area->slots_used);

    return used < HTT_LOCK_SLOTS ? used : HTT_LOCK_SLOTS; /* shared memory is not to be trusted */
}

htt_rc htt_lockfile_take_slot(htt_lockfile *lock, uint32_t *slot_out, htt_error *error) {
    /* First those that look free, then also those whose owner may have died. */
    for (uint32_t i = 0; i < 2 * HTT_LOCK_SLOTS; i++) {
        const uint32_t slot = i % HTT_LOCK_SLOTS;
        htt_lock_slot *const place = &lock->area->slots[slot];
        if (lockfile_owns(lock, slot))
            continue;
        if (i < HTT_LOCK_SLOTS && atomic_load(&place->process) != 0)
            continue;
        const int code = lockfile_lock_slot(lock, slot);
        if (code == EAGAIN)
            continue;
        if (code != 0)
            return htt_error_errno(error, HTT_IO, code, "cannot lock the lock file");
        atomic_store(&place->state, HTT_SLOT_FREE);
        atomic_store(&place->process,
                     (uint32_t)lock->env->process_id(lock->env->context));
        lockfile_raise_used(lock, slot + 1);
        lock->own[slot / 64] |= UINT64_C(1) << (slot % 64);
        *slot_out = slot;
        return HTT_OK;
    }
    return htt_error_set(error, HTT_FULL, "all %u reader slots of the lock file are taken",
                         HTT_LOCK_SLOTS);
}

/* True: the slot's owner is alive. Otherwise the slot is cleared. */
static bool lockfile_slot_alive(htt_lockfile *lock, uint32_t slot) {
    htt_lock_slot *const place = &lock->area->slots[slot];

    if (lockfile_owns(lock, slot))
        return true;
    if (lock->file == NULL || lockfile_lock_slot(lock, slot) != 0)
        return true;
    atomic_store(&place->state, HTT_SLOT_FREE);
    atomic_store(&place->process, 0);
    lock->env->unlock(lock->env->context, lock->file, HTT_LOCK_BYTE_SLOTS + (uint64_t)slot);
    return false;
}

/* The lowest pin below `limit`; `limit` when there is none. Only pins that matter are probed. */
static uint64_t lockfile_lowest_below(htt_lockfile *lock, uint64_t limit) {
    const uint32_t used = lockfile_used(lock);

    for (uint32_t i = 0; i < used; i++) {
        htt_lock_slot *const place = &lock->area->slots[i];
        if (atomic_load(&place->state) == HTT_SLOT_FREE)
            continue;
        const uint64_t epoch = atomic_load(&place->epoch);
        if (epoch < limit && lockfile_slot_alive(lock, i))
            limit = epoch;
    }
    return limit;
}

uint64_t htt_lockfile_lowest_pin(htt_lockfile *lock) {
    return lockfile_lowest_below(lock, HTT_NO_PIN);
}

uint64_t htt_lockfile_highest_pin(htt_lockfile *lock) {
    const uint32_t used = lockfile_used(lock);
    uint64_t highest = 0;

    for (uint32_t i = 0; i < used; i++) {
        htt_lock_slot *const place = &lock->area->slots[i];
        if (atomic_load(&place->state) == HTT_SLOT_FREE)
            continue;
        const uint64_t epoch = atomic_load(&place->epoch);
        if (epoch > highest && lockfile_slot_alive(lock, i))
            highest = epoch;
    }
    return highest;
}

void htt_lockfile_take_idle(htt_lockfile *lock, uint64_t epoch, uint64_t now_ms, uint64_t age_ms) {
    const uint32_t used = lockfile_used(lock);

    for (uint32_t i = 0; i < used; i++) {
        htt_lock_slot *const place = &lock->area->slots[i];
        uint32_t idle = HTT_SLOT_IDLE;
        if (atomic_load(&place->state) != HTT_SLOT_IDLE || atomic_load(&place->epoch) >= epoch)
            continue;
        const uint64_t since = atomic_load(&place->since);
        if (since <= now_ms && now_ms - since >= age_ms) /* it may have begun to rest just now */
            (void)atomic_compare_exchange_strong(&place->state, &idle, HTT_SLOT_FREE);
    }
}

uint32_t htt_lockfile_count_pins(htt_lockfile *lock) {
    const uint32_t used = lockfile_used(lock);
    uint32_t count = 0;

    for (uint32_t i = 0; i < used; i++) {
        if (atomic_load(&lock->area->slots[i].state) != HTT_SLOT_FREE &&
            lockfile_slot_alive(lock, i))
            count++;
    }
    return count;
}

uint64_t htt_lockfile_reuse_limit(htt_lockfile *lock) {
    htt_lock_area *const area = lock->area;
    const uint64_t limit = lockfile_lowest_below(lock, atomic_load(&area->synced_epoch));

    const uint64_t horizon = atomic_load(&area->horizon);

    /* A reader stores its pin, then looks at R; we store R, then look at pins again. All four are
     * sequentially consistent, so one of the two sees the other. */
    atomic_store(&area->horizon, horizon > limit ? horizon : limit);
    return lockfile_lowest_below(lock, limit);
}
