/* SPDX-License-Identifier: MIT */
/*
 * Finding or making a store's file, and joining its users.
 *
 *     open the file -> lock file -> still the same file? -> guard byte -> meta pages
 *          ^                             | no
 *          +-----------------------------+ (also after another program made it meanwhile)
 *
 * A file that is to be made comes after its lock file: whoever holds the init byte knows that an
 * empty file of its own is nobody else's store, and takes it away again when something fails. What
 * a dying process (or a disk that fails every call) leaves is told from an empty file of the user
 * by a mark in the lock file, in the place of the uuid: set before the file is made, gone when it
 * is complete or taken away. HTT_OPEN_NEW begins such a file anew, as if it were not there.
 *
 * The guard is a lock on a byte of the data file itself, far behind its end. Every user holds it
 * shared; the first user of a lock file must get it exclusively first. It fails when the file is
 * in use through another lock file: by another name (a link), or because somebody removed the
 * lock file. Two lock files for one file would mean two writers at once.
 *
 * Who has no right to write the lock file works without ("pinless"), read-only.
 */
#include <errno.h>
#include <string.h>

#include "txn/metas.h"
#include "txn/store.h"

#define CREATE_GUARD (UINT64_C(1) << 62) /* offset of the guard byte */
#define CREATE_ROUNDS 20                 /* each needs another program to move files about */
#define CREATE_WAIT_MS 1000u             /* others may be on their way out */
#define CREATE_WAIT_US 1000u

static const uint8_t create_mark[16] = "being created..."; /* as a uuid; no uuid is that */

/* ---------------------------------------------------------------- the file */

static htt_rc create_open_error(const htt_opening *opening, int code, htt_error *error) {
    if (code == EINVAL)
        return htt_error_set(error, HTT_CANTOPEN, "'%s' is not a regular file", opening->path);
    if (code == ELOOP)
        return htt_error_set(error, HTT_CANTOPEN, "'%s' is a symbolic link, or too many are on the "
                             "way to it", opening->path);
    return htt_error_errno(error, HTT_CANTOPEN, code, "cannot open '%s'", opening->path);
}

/* An existing file: for writing if possible, else read-only. Gives an errno value. */
static int create_open_existing(htt_opening *opening, unsigned follow) {
    const htt_env *const env = opening->env;
    const bool wanted = (opening->options->flags & HTT_OPEN_READONLY) != 0;
    int code = 0;

    opening->readonly = wanted;
    if (!wanted) {
        code = env->open(env->context, opening->path, follow, &opening->file);
        if (code != EACCES && code != EPERM && code != EROFS)
            return code;
        opening->readonly = true;
    }
    return env->open(env->context, opening->path, follow | HTT_FILE_READ, &opening->file);
}

/* The lock file of a file that is to be made, before it. */
static htt_rc create_lock_first(htt_opening *opening, htt_error *error) {
    htt_error why = {.rc = HTT_OK};

    if (opening->lock != NULL)
        return HTT_OK;
    const htt_rc rc = htt_lockfile_open(opening->env, opening->lock_path, &opening->lock, &why);
    if (rc == HTT_OK)
        return HTT_OK;
    return htt_error_set(error, rc == HTT_READONLY ? HTT_CANTOPEN : rc, "cannot create '%s': %s",
                         opening->path, why.text);
}

/* Makes the file. Gives an errno value; EEXIST also when another program made it just now. */
static int create_make(htt_opening *opening, unsigned follow) {
    const htt_env *const env = opening->env;
    const bool marked = opening->lock != NULL && opening->lock->first;

    if (marked)
        memcpy(opening->lock->area->uuid, create_mark, sizeof create_mark);
    const int code = env->open(env->context, opening->path,
                               follow | HTT_FILE_CREATE | HTT_FILE_EXCLUSIVE, &opening->file);
    if (code != 0 && marked)
        memset(opening->lock->area->uuid, 0, sizeof create_mark);
    opening->readonly = false;
    opening->created = code == 0;
    return code;
}

/* For HTT_OPEN_NEW: what is there under the path, if anything, is a creation that was cut short. */
static htt_rc create_check_new(htt_opening *opening, bool *there_out, htt_error *error) {
    const htt_env *const env = opening->env;
    htt_file_info info;

    *there_out = env->path_info(env->context, opening->path, &info) == 0;
    if (!*there_out)
        return HTT_OK; /* or it cannot be seen: making it will say why */
    if (info.regular && env->path_info(env->context, opening->lock_path, &info) == 0 &&
        info.size == HTT_LOCK_SIZE && create_lock_first(opening, NULL) == HTT_OK &&
        opening->lock->first &&
        memcmp(opening->lock->area->uuid, create_mark, sizeof create_mark) == 0)
        return HTT_OK;
    return htt_error_set(error, HTT_EXISTS, "'%s' is there already", opening->path);
}

/* `shared`: with a lock file. */
static htt_rc create_open_file(htt_opening *opening, bool shared, htt_error *error) {
    const unsigned flags = opening->options->flags;
    const unsigned follow = (flags & HTT_OPEN_NO_FOLLOW) != 0 ? HTT_FILE_NO_FOLLOW : 0;
    const bool may_create = (flags & HTT_OPEN_CREATE) != 0 && (flags & HTT_OPEN_READONLY) == 0;
    bool look = (flags & HTT_OPEN_NEW) == 0;
    int code = ENOENT;

    htt_rc rc = look || !shared ? HTT_OK : create_check_new(opening, &look, error);
    for (int round = 0; rc == HTT_OK && round < CREATE_ROUNDS && code == ENOENT; round++) {
        if (look) {
            code = create_open_existing(opening, follow);
            if (code == 0)
                return HTT_OK;
        }
        if (code != ENOENT || !may_create)
            break;
        rc = shared ? create_lock_first(opening, error) : HTT_OK;
        if (rc != HTT_OK)
            break;
        code = create_make(opening, follow);
        if (code == 0)
            return HTT_OK;
        if (code == EEXIST && (flags & HTT_OPEN_NEW) != 0)
            return htt_error_set(error, HTT_EXISTS, "'%s' is there already", opening->path);
        if (code == EEXIST)
            code = ENOENT; /* made by another program just now: look again */
        else if (code == ENOENT)
            break; /* no such directory */
    }
    return rc == HTT_OK ? create_open_error(opening, code, error) : rc;
}

/* True: the path still names the file that was opened. */
static htt_rc create_check_name(const htt_opening *opening, htt_file_info *info_out,
                                bool *same_out, htt_error *error) {
    const htt_env *const env = opening->env;
    htt_file_info named;
    int code = env->info(env->context, opening->file, info_out);

    if (code == 0)
        code = env->path_info(env->context, opening->path, &named);
    if (code != 0 && code != ENOENT)
        return htt_error_errno(error, HTT_IO, code, "cannot inspect '%s'", opening->path);
    *same_out = code == 0 && info_out->device == named.device && info_out->inode == named.inode;
    return HTT_OK;
}

/* --------------------------------------------------------------- the guard */

static htt_rc create_take_guard(htt_opening *opening, htt_error *error) {
    const htt_env *const env = opening->env;
    /* A descriptor for reading cannot take an exclusive lock. */
    const int mode = opening->lock->first && !opening->readonly ? HTT_LOCK_EXCLUSIVE
                                                                : HTT_LOCK_SHARED;
    const uint64_t start = env->now_ms(env->context);

    for (;;) {
        const int code = env->lock(env->context, opening->file, CREATE_GUARD, mode);
        if (code == 0)
            return HTT_OK;
        if (code != EAGAIN)
            return htt_error_errno(error, HTT_IO, code, "cannot lock '%s'", opening->path);
        if (env->now_ms(env->context) - start >= CREATE_WAIT_MS)
            return htt_error_set(error, HTT_MISMATCH,
                                 "'%s' is in use without the lock file '%s': by another name of "
                                 "the file, or the lock file was removed",
                                 opening->path, opening->lock_path);
        env->sleep_us(env->context, CREATE_WAIT_US);
    }
}

/* ------------------------------------------------------------- a new file */

static htt_rc create_meta(const htt_opening *opening, htt_meta *meta, htt_error *error) {
    const htt_env *const env = opening->env;
    const htt_options *const options = opening->options;
    uint8_t random[32];

    const int code = env->random(env->context, random, sizeof random);
    if (code != 0)
        return htt_error_errno(error, HTT_IO, code, "cannot get random bytes");
    memset(meta, 0, sizeof *meta);
    meta->counter = 1;
    meta->root.page_size = options->page_size;
    meta->root.page_count = 2;
    meta->root.self.epoch = 1;
    memcpy(meta->root.uuid, random, sizeof meta->root.uuid);
    memcpy(&meta->root.seed, random + 16, sizeof meta->root.seed);
    memcpy(&meta->root.self.nonce, random + 24, sizeof meta->root.self.nonce);
    memcpy(meta->declaration, options->declaration, strlen(options->declaration));
    return HTT_OK;
}

/* Both meta pages, and the name, durably. By the first user only. */
static htt_rc create_write(htt_opening *opening, htt_error *error) {
    const htt_env *const env = opening->env;
    const htt_metas_source source = {.env = env,
                                     .file = opening->file,
                                     .path = opening->path,
                                     .page_size = opening->options->page_size};
    htt_meta meta;

    htt_rc rc = create_meta(opening, &meta, error);
    if (rc != HTT_OK)
        return rc;
    uint8_t *const buffer = env->allocate(env->context, source.page_size);
    if (buffer == NULL)
        return htt_error_set(error, HTT_NOMEM, "out of memory");
    /* What a creation that was cut short left behind must not mix with this one. */
    const int code = env->truncate(env->context, opening->file, 0);
    if (code != 0)
        rc = htt_error_errno(error, HTT_IO, code, "cannot write '%s'", opening->path);
    if (rc == HTT_OK)
        rc = htt_metas_create(&source, &meta, buffer, error);
    env->release(env->context, buffer);
    return rc;
}

static htt_rc create_replaced(const htt_opening *opening, htt_error *error) {
    return htt_error_set(error, HTT_MISMATCH,
                         "'%s' was replaced while programs had it open; they must close it first",
                         opening->path);
}

/* Looks what the file is, makes it if it is nothing, and finds its page size. */
static htt_rc create_find_metas(htt_opening *opening, const htt_lock_identity *identity,
                                uint32_t *page_size_out, htt_error *error) {
    const htt_env *const env = opening->env;
    const htt_metas_source source = {.env = env, .file = opening->file, .path = opening->path};
    const bool may_create = (opening->options->flags & HTT_OPEN_CREATE) != 0 &&
                            !opening->readonly && opening->lock != NULL && opening->lock->first;
    htt_metas_found found;

    htt_rc rc = htt_metas_probe(&source, &found, page_size_out, error);
    const bool there = rc == HTT_OK ? found == HTT_METAS_THERE : rc != HTT_IO && rc != HTT_NOMEM;
    if (there && (opening->options->flags & HTT_OPEN_NEW) != 0)
        return htt_error_set(error, HTT_EXISTS, "'%s' is there already", opening->path);
    if (rc != HTT_OK || there)
        return rc;
    const htt_lockfile *const lock = opening->lock;
    if (lock != NULL && !lock->first &&
        (lock->area->device != identity->device || lock->area->inode != identity->inode))
        return create_replaced(opening, error);
    if (!may_create && found == HTT_METAS_EMPTY)
        return htt_error_set(error, HTT_NOTHTT, "'%s' is empty, not an htt file; where a power "
                             "failure left it, delete it and create it again", opening->path);
    if (!may_create)
        return htt_error_set(error, HTT_CORRUPT,
                             "'%s' is not finished: its creation was cut short, and nothing is in "
                             "it", opening->path);
    rc = create_write(opening, error);
    *page_size_out = opening->options->page_size;
    return rc;
}

/* ----------------------------------------------------------------- joining */

static htt_rc create_open_keeper(htt_opening *opening, uint32_t page_size,
                                 const htt_lock_identity *file, htt_error *error) {
    htt_keeper_options options = {.env = opening->env,
                                  .file = opening->file,
                                  .path = opening->path,
                                  .lock = opening->lock,
                                  .page_size = page_size,
                                  .sync = opening->options->sync,
                                  .readonly = opening->readonly};
    const htt_lockfile *const lock = opening->lock;

    /* The uuid is not known yet; device and inode tell enough to believe in `lost`. */
    if (lock != NULL) {
        const uint32_t lost = atomic_load(&lock->area->lost);
        options.ignore_weak = lock->area->device == file->device &&
                              lock->area->inode == file->inode &&
                              (lost == HTT_LOST_BEFORE || (lost == HTT_LOST_HERE && lock->first));
    }
    return htt_keeper_meta_open(&options, &opening->keeper, error);
}

/* The first user sets the lock file up, others see whether it is that of the same file. */
static htt_rc create_join(htt_opening *opening, const htt_lock_identity *identity,
                          htt_error *error) {
    const htt_env *const env = opening->env;
    const htt_meta *const meta = htt_keeper_meta_current(opening->keeper);
    htt_lockfile *const lock = opening->lock;

    if (lock == NULL)
        return HTT_OK;
    if (!lock->first) {
        if (htt_lockfile_matches(lock, identity))
            return HTT_OK;
        return create_replaced(opening, error);
    }
    htt_lockfile_reset(lock, identity, meta->root.self.epoch);
    htt_rc rc = htt_keeper_meta_start(opening->keeper, error);
    if (rc == HTT_OK && !opening->readonly && meta->root.self.epoch == 1) {
        /* Whoever made the file may have died before its name was on the disk. */
        const int code = env->sync_directory(env->context, opening->path);
        if (code != 0)
            rc = htt_error_errno(error, HTT_IO, code, "cannot sync the directory of '%s'",
                                 opening->path);
    }
    if (rc == HTT_OK && !opening->readonly) {
        const int code = env->lock(env->context, opening->file, CREATE_GUARD, HTT_LOCK_SHARED);
        if (code != 0)
            rc = htt_error_errno(error, HTT_IO, code, "cannot lock '%s'", opening->path);
    }
    return rc == HTT_OK ? htt_lockfile_share(lock, error) : rc;
}

static htt_rc create_open_lock(htt_opening *opening, htt_error *error) {
    if (opening->lock != NULL)
        return HTT_OK; /* taken already, to make the file */
    const htt_rc rc = htt_lockfile_open(opening->env, opening->lock_path, &opening->lock, error);
    if (rc == HTT_OK)
        return rc;
    /* Reading goes without where writing is forbidden (or, for a reader, there is no space). */
    if (rc == HTT_READONLY || (opening->readonly && rc == HTT_FULL)) {
        opening->readonly = true;
        opening->lock = NULL;
        return HTT_OK;
    }
    return rc;
}

/* One round: everything up to a keeper that all users share. *again_out: the file was exchanged. */
static htt_rc create_round(htt_opening *opening, bool *again_out, htt_error *error) {
    htt_lock_identity identity;
    htt_file_info info = {0};
    uint32_t page_size = 0;
    bool same = false;

    htt_rc rc = create_open_file(opening, true, error);
    if (rc == HTT_OK)
        rc = create_open_lock(opening, error);
    if (rc == HTT_OK)
        rc = create_check_name(opening, &info, &same, error);
    *again_out = rc == HTT_OK && !same;
    if (rc != HTT_OK || !same)
        return rc;
    identity.device = info.device;
    identity.inode = info.inode;
    if (opening->lock != NULL)
        rc = create_take_guard(opening, error);
    if (rc == HTT_OK)
        rc = create_find_metas(opening, &identity, &page_size, error);
    if (rc == HTT_OK)
        rc = create_open_keeper(opening, page_size, &identity, error);
    if (rc != HTT_OK)
        return rc;
    memcpy(identity.uuid, htt_keeper_meta_current(opening->keeper)->root.uuid,
           sizeof identity.uuid);
    return create_join(opening, &identity, error);
}

void htt_opening_undo(htt_opening *opening) {
    const htt_env *const env = opening->env;

    if (opening->keeper != NULL)
        opening->keeper->methods->close(opening->keeper);
    if (opening->file != NULL)
        env->close(env->context, opening->file); /* its guard goes before the init byte */
    htt_lockfile_close(opening->lock, false);
    opening->keeper = NULL;
    opening->file = NULL;
    opening->lock = NULL;
}

/*
 * Takes away the file that this call made. The init byte is held: exclusively, then nobody else is
 * in; or shared, then nobody can have made a store of it. The mark stays if the file may be there.
 */
static void create_take_back(htt_opening *opening) {
    const htt_env *const env = opening->env;
    htt_file_info info;
    bool there = false;

    assert(opening->created);
    assert(opening->lock != NULL);
    if (create_check_name(opening, &info, &there, NULL) != HTT_OK)
        return;
    if (there && (opening->lock->first || info.size == 0))
        there = env->unlink(env->context, opening->path) != 0;
    if (!there && opening->lock->first)
        memset(opening->lock->area->uuid, 0, sizeof create_mark);
}

htt_rc htt_opening_run(htt_opening *opening, htt_error *error) {
    bool again = true;
    htt_rc rc = HTT_OK;

    for (int round = 0; again && round < CREATE_ROUNDS; round++) {
        opening->created = false;
        rc = create_round(opening, &again, error);
        if (rc == HTT_OK && !again)
            return HTT_OK;
        if (opening->created)
            create_take_back(opening);
        htt_opening_undo(opening);
        if (rc != HTT_OK)
            return rc;
    }
    return htt_error_set(error, HTT_CANTOPEN, "'%s' is replaced again and again", opening->path);
}

htt_rc htt_opening_run_private(htt_opening *opening, htt_error *error) {
    const htt_env *const env = opening->env;
    htt_lock_identity identity;
    htt_meta meta;

    htt_rc rc = create_open_file(opening, false, error);
    if (rc != HTT_OK)
        return rc;
    assert(opening->created);
    memset(&identity, 0, sizeof identity);
    rc = create_meta(opening, &meta, error);
    /* The place of the meta pages: a store is never shorter than its root says. */
    const int code = env->reserve(env->context, opening->file,
                                  2 * (uint64_t)opening->options->page_size);
    if (rc == HTT_OK && code != 0)
        rc = htt_error_errno(error, HTT_CANTOPEN, code, "cannot write '%s'", opening->path);
    if (rc == HTT_OK)
        rc = htt_lockfile_open_private(env, &opening->lock, error);
    if (rc == HTT_OK)
        rc = create_take_guard(opening, error);
    const htt_keeper_options options = {.env = env,
                                        .file = opening->file,
                                        .path = opening->path,
                                        .lock = opening->lock,
                                        .page_size = opening->options->page_size,
                                        .sync = HTT_SYNC_FULL,
                                        .fresh = &meta};
    if (rc == HTT_OK)
        rc = htt_keeper_meta_open(&options, &opening->keeper, error);
    if (rc == HTT_OK) {
        htt_lockfile_reset(opening->lock, &identity, 1);
        rc = htt_keeper_meta_start(opening->keeper, error);
    }
    if (rc == HTT_OK)
        rc = htt_lockfile_share(opening->lock, error);
    if (rc != HTT_OK) {
        (void)env->unlink(env->context, opening->path);
        htt_opening_undo(opening);
    }
    return rc;
}
