/* SPDX-License-Identifier: MIT */
/*
 * The keeper of standalone files: the two meta pages of the file.
 *
 * One slot is the *synced* one: it is known to be on the disk, and only pages that it does not
 * name may be overwritten. A new meta page always goes into the other slot.
 *
 *   sync = full     sync pages; write steady page into the other slot; sync; it is the synced one
 *   sync = normal   write weak page into the other slot, again and again. Now and then, and at the
 *                   close, settle: sync; write the same as a steady page; sync; it is the synced
 *   sync = off      write weak page into the other slot; call it the synced one. After a power cut
 *                   both are weak and the file is refused: its pages may be anything
 *
 * Readers find the newest root without reading the file as long as the generation in the lock file
 * is what it was when they read it last. It is odd while a meta page is written; then what was
 * read before is still the committed root, since the commit has not returned yet.
 *
 * Invariants
 *   KEEPER-1  The synced slot is never written.
 *   KEEPER-2  A weak page is written only where the boot id is known.
 *   KEEPER-3  After a failed sync nothing is written by this handle any more (poisoned), and if
 *             commits are not on the disk, by no handle (`lost`) until all have closed.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/error.h"
#include "txn/keeper_private.h"

#define KEEPER_UNSYNCED_MAX ((uint64_t)16 * 1024 * 1024)
#define KEEPER_TRIES 100   /* reads of meta pages that are being written */
#define KEEPER_WAIT_US 50u /* between two of them: 5 ms in all, a write takes microseconds */

/* ---------------------------------------------------------------- reading */

/* A writer that is at work on a meta page has not changed anything yet. */
static bool keeper_is_generation(const keeper_meta *keeper, uint64_t generation) {
    const uint64_t now = atomic_load(&keeper->options.lock->area->generation);

    return now == generation || now == generation + 1;
}

static bool keeper_cache_good(const keeper_meta *keeper) {
    return keeper->cached && keeper->options.lock != NULL &&
           keeper_is_generation(keeper, keeper->generation);
}

/* One try. *settled_out: nobody was writing a meta page meanwhile. */
static htt_rc keeper_read_once(keeper_meta *keeper, bool *settled_out, htt_error *error) {
    const htt_lock_area *const area =
        keeper->options.lock != NULL ? keeper->options.lock->area : NULL;
    const uint64_t before = area != NULL ? atomic_load(&area->generation) : 0;

    const htt_rc rc = htt_metas_read(&keeper->source, keeper->buffer, &keeper->loading, error);
    const uint64_t after = area != NULL ? atomic_load(&area->generation) : 1;
    *settled_out = before == after && before % 2 == 0;
    keeper->generation = before;
    return rc;
}

/* Reads the meta pages until they make sense, and remembers them. Mutex held. */
static htt_rc keeper_load(keeper_meta *keeper, htt_error *error) {
    const htt_env *const env = keeper->options.env;
    bool settled = false;
    htt_rc rc = HTT_OK;

    keeper->cached = false;
    if (keeper->options.lock != NULL && !keeper->options.lock->first)
        keeper->source.ignore_weak =
            atomic_load(&keeper->options.lock->area->lost) == HTT_LOST_BEFORE;
    for (int i = 0; i < KEEPER_TRIES; i++) {
        rc = keeper_read_once(keeper, &settled, error);
        const bool whole = keeper->loading.state[0] == HTT_META_VALID &&
                           keeper->loading.state[1] == HTT_META_VALID;
        if (rc == HTT_IO || rc == HTT_NOMEM || settled || (rc == HTT_OK && whole))
            break;
        env->sleep_us(env->context, KEEPER_WAIT_US);
    }
    if (rc != HTT_OK)
        return rc;
    htt_metas *const old = &keeper->metas;
    const htt_metas *const new = &keeper->loading;
    if (old->newest != HTT_METAS_NONE) {
        const htt_meta *const was = &old->meta[old->newest];
        if (memcmp(was->root.uuid, new->meta[new->newest].root.uuid, sizeof was->root.uuid) != 0)
            return htt_error_set(error, HTT_MISMATCH, "'%s' was overwritten by another file",
                                 keeper->options.path);
        if (new->meta[new->newest].counter < was->counter)
            return HTT_OK; /* the newest page was damaged meanwhile: what it said still holds */
    }
    *old = *new;
    keeper->cached = settled;
    return HTT_OK;
}

static htt_rc keeper_newest(htt_keeper *base, bool fresh, htt_root *root_out, htt_error *error) {
    keeper_meta *const keeper = (keeper_meta *)base;
    htt_rc rc = HTT_OK;

    (void)pthread_mutex_lock(&keeper->mutex);
    if ((fresh && !keeper->unwritten) || !keeper_cache_good(keeper))
        rc = keeper_load(keeper, error);
    if (rc == HTT_OK)
        *root_out = keeper->metas.meta[keeper->metas.newest].root;
    (void)pthread_mutex_unlock(&keeper->mutex);
    return rc;
}

bool htt_keeper_meta_is_at(const htt_keeper *base, uint64_t mark) {
    assert(mark != 0);
    return keeper_is_generation((const keeper_meta *)base, mark);
}

htt_rc htt_keeper_meta_read_at(htt_keeper *base, bool fresh, htt_meta *meta_out,
                               uint64_t *mark_out, htt_error *error) {
    keeper_meta *const keeper = (keeper_meta *)base;
    htt_rc rc = HTT_OK;

    (void)pthread_mutex_lock(&keeper->mutex);
    if (fresh || !keeper_cache_good(keeper))
        rc = keeper_load(keeper, error);
    if (rc == HTT_OK)
        *meta_out = keeper->metas.meta[keeper->metas.newest];
    *mark_out = keeper->cached && keeper->options.lock != NULL ? keeper->generation : 0;
    (void)pthread_mutex_unlock(&keeper->mutex);
    return rc;
}

htt_rc htt_keeper_meta_read(htt_keeper *base, bool fresh, htt_meta *meta_out, htt_error *error) {
    uint64_t mark;

    return htt_keeper_meta_read_at(base, fresh, meta_out, &mark, error);
}

/* ---------------------------------------------------------------- writing */

/* Nobody shall build on commits that the system may drop from its cache as if they were written. */
static void keeper_lose(keeper_meta *keeper) {
    htt_lock_area *const area = keeper->options.lock->area;

    if (keeper->weak[keeper->current.number] ||
        atomic_load(&area->synced_epoch) < keeper->current.root.self.epoch)
        atomic_store(&area->lost, HTT_LOST_HERE);
}

htt_rc htt_keeper_meta_check(const keeper_meta *keeper, htt_error *error) {
    const htt_lock_area *const area = keeper->options.lock->area;

    const uint32_t lost = atomic_load(&area->lost);

    if (!atomic_load(&keeper->poisoned) && (lost == HTT_LOST_NONE || lost == HTT_LOST_BEFORE))
        return HTT_OK;
    return htt_error_set(error, HTT_POISONED,
                         "a sync or meta page write of '%s' failed before; close and open it again",
                         keeper->options.path);
}

static htt_rc keeper_sync(keeper_meta *keeper, htt_error *error) {
    const htt_env *const env = keeper->options.env;
    const int code = env->sync(env->context, keeper->options.file);

    if (code == 0)
        return HTT_OK;
    atomic_store(&keeper->poisoned, true);
    keeper_lose(keeper);
    return htt_error_errno(error, HTT_IO, code, "cannot sync '%s'", keeper->options.path);
}

void htt_keeper_meta_set_synced(keeper_meta *keeper, uint32_t slot) {
    htt_lock_area *const area = keeper->options.lock->area;

    assert(slot < 2);
    assert(keeper->epoch[slot] > 0);
    atomic_store(&area->synced_slot, slot);
    atomic_store(&area->synced_epoch, keeper->epoch[slot]);
}

/* Meta pages change from here on: readers that have to look do not remember what they see. */
void htt_keeper_meta_begin_change(keeper_meta *keeper) {
    htt_lock_area *const area = keeper->options.lock->area;

    atomic_store(&area->generation, atomic_load(&area->generation) | 1);
}

/* `current` is the committed one for everybody. */
void htt_keeper_meta_end_change(keeper_meta *keeper) {
    htt_lock_area *const area = keeper->options.lock->area;
    const uint64_t generation = (atomic_load(&area->generation) | 1) + 1;
    const uint32_t slot = keeper->current.number;

    assert(slot < 2);
    assert(generation % 2 == 0);
    (void)pthread_mutex_lock(&keeper->mutex);
    keeper->metas.meta[slot] = keeper->current;
    keeper->metas.state[slot] = HTT_META_VALID;
    keeper->metas.short_tail[slot] = keeper->short_tail[slot];
    keeper->metas.counts[slot] = true;
    keeper->metas.newest = slot;
    keeper->generation = generation;
    keeper->cached = true;
    atomic_store(&area->generation, generation);
    (void)pthread_mutex_unlock(&keeper->mutex);
}

htt_rc htt_keeper_meta_write(keeper_meta *keeper, const htt_meta *meta, uint32_t slot, bool weak,
                             htt_error *error) {
    htt_meta next = *meta;

    assert(slot < 2);
    if (keeper->counter >= HTT_META_COUNT_MAX)
        return htt_error_set(error, HTT_FULL, "the meta pages of '%s' are used up",
                             keeper->options.path);
    next.number = slot;
    next.counter = keeper->counter + 1;
    memset(next.boot_id, 0, sizeof next.boot_id);
    if (weak)
        memcpy(next.boot_id, keeper->source.boot_id, sizeof next.boot_id);
    assert(weak == htt_metas_weak(&next)); /* KEEPER-2 */
    const htt_rc rc = htt_metas_write(&keeper->source, &next, !keeper->short_tail[slot],
                                      keeper->page, error);
    if (rc != HTT_OK) {
        atomic_store(&keeper->poisoned, true);
        return rc;
    }
    keeper->current = next;
    keeper->counter = next.counter;
    keeper->valid[slot] = true;
    keeper->short_tail[slot] = true;
    keeper->counts[slot] = true;
    keeper->weak[slot] = weak;
    keeper->epoch[slot] = next.root.self.epoch;
    return HTT_OK;
}

/* The same for a file that keeps its own root: what is newest is not sure after a failure. */
static htt_rc keeper_write(keeper_meta *keeper, const htt_meta *meta, uint32_t slot, bool weak,
                           htt_error *error) {
    const htt_rc rc = htt_keeper_meta_write(keeper, meta, slot, weak, error);

    if (rc != HTT_OK)
        atomic_store(&keeper->options.lock->area->lost, HTT_LOST_PAGE);
    return rc;
}

/* KEEPER-1. base has seen to it that the synced slot is known; the mask is for memory that
 * other programs write. */
uint32_t htt_keeper_meta_other_slot(const keeper_meta *keeper) {
    return 1 - (atomic_load(&keeper->options.lock->area->synced_slot) & 1);
}

/* A steady page behind everything that is synced already. */
static htt_rc keeper_write_steady(keeper_meta *keeper, const htt_meta *meta, htt_error *error) {
    const uint32_t slot = htt_keeper_meta_other_slot(keeper);

    htt_rc rc = keeper_write(keeper, meta, slot, false, error);
    if (rc == HTT_OK)
        rc = keeper_sync(keeper, error);
    if (rc == HTT_OK)
        htt_keeper_meta_set_synced(keeper, slot);
    return rc;
}

static htt_rc keeper_settle_pages(keeper_meta *keeper, bool both, htt_error *error) {
    htt_lock_area *const area = keeper->options.lock->area;
    const uint32_t newest = keeper->current.number;
    const uint32_t other = 1 - newest;
    /* A failed sync may have left the newest page in memory only, and nobody would write it. */
    const bool doubtful = keeper->weak[newest] || atomic_load(&area->lost) != HTT_LOST_NONE;

    htt_rc rc = keeper_sync(keeper, error);
    if (rc != HTT_OK)
        return rc;
    /* Even so it is better than none, if the other slot is no good. */
    const bool use_other = doubtful && keeper->counts[other] && !keeper->weak[other];
    htt_keeper_meta_set_synced(keeper, use_other ? other : newest);
    /* A damaged page is no second one. */
    if (doubtful || !keeper->valid[other] || (both && keeper->epoch[0] != keeper->epoch[1]))
        rc = keeper_write_steady(keeper, &keeper->current, error);
    if (rc == HTT_OK && both && keeper->epoch[0] != keeper->epoch[1])
        rc = keeper_write_steady(keeper, &keeper->current, error);
    if (rc == HTT_OK) {
        atomic_store(&area->unsynced_bytes, 0);
        atomic_store(&area->lost, HTT_LOST_NONE);
    }
    return rc;
}

static htt_rc keeper_settle(htt_keeper *base, bool both, htt_error *error) {
    keeper_meta *const keeper = (keeper_meta *)base;
    htt_rc rc = htt_keeper_meta_check(keeper, error);

    if (rc != HTT_OK)
        return rc;
    htt_keeper_meta_begin_change(keeper);
    rc = keeper_settle_pages(keeper, both, error);
    if (rc == HTT_OK)
        htt_keeper_meta_end_change(keeper);
    return rc;
}

/* The writer's own copy of what the meta pages say. */
static void keeper_take_current(keeper_meta *keeper) {
    const htt_metas *const metas = &keeper->metas;

    assert(metas->newest < 2);
    assert(metas->counts[metas->newest]);
    keeper->current = metas->meta[metas->newest];
    keeper->counter = keeper->current.counter;
    for (uint32_t slot = 0; slot < 2; slot++) {
        const htt_meta *const meta = &metas->meta[slot];
        keeper->valid[slot] = metas->state[slot] == HTT_META_VALID;
        keeper->short_tail[slot] = keeper->valid[slot] && metas->short_tail[slot];
        keeper->counts[slot] = metas->counts[slot];
        keeper->weak[slot] = keeper->valid[slot] && htt_metas_weak(meta);
        keeper->epoch[slot] = keeper->valid[slot] ? meta->root.self.epoch : 0;
        if (keeper->valid[slot] && meta->counter > keeper->counter)
            keeper->counter = meta->counter;
    }
}

htt_rc htt_keeper_meta_load_current(keeper_meta *keeper, htt_error *error) {
    const htt_lock_area *const area = keeper->options.lock->area;
    htt_rc rc = htt_keeper_meta_check(keeper, error);

    if (rc != HTT_OK)
        return rc;
    (void)pthread_mutex_lock(&keeper->mutex);
    if (!keeper_cache_good(keeper) || atomic_load(&area->generation) % 2 != 0)
        rc = keeper_load(keeper, error); /* odd: a writer died, what it wrote may count */
    if (rc == HTT_OK)
        keeper_take_current(keeper);
    (void)pthread_mutex_unlock(&keeper->mutex);
    return rc;
}

/*
 * After a failed sync the system may take the newest page of a hosted file for written although it
 * is not, and a later sync succeeds. Writing the same bytes again makes that sync mean something.
 * (Files that keep their own root do not come here: `lost` says so.)
 */
static htt_rc keeper_rewrite_newest(keeper_meta *keeper, htt_error *error) {
    const htt_meta *const current = &keeper->current;

    if (current->owner[0] == '\0')
        return HTT_OK;
    return htt_metas_write(&keeper->source, current, !keeper->short_tail[current->number],
                           keeper->page, error);
}

htt_rc htt_keeper_meta_settle_unknown(keeper_meta *keeper, htt_error *error) {
    const htt_lock_area *const area = keeper->options.lock->area;
    const uint32_t synced = atomic_load(&area->synced_slot);

    if (synced > 1 || !keeper->counts[synced] ||
        keeper->epoch[synced] != atomic_load(&area->synced_epoch) ||
        atomic_load(&area->lost) != HTT_LOST_NONE) {
        const htt_rc rc = keeper_rewrite_newest(keeper, error);
        return rc == HTT_OK ? keeper_settle(&keeper->keeper, false, error) : rc;
    }
    return HTT_OK;
}

static htt_rc keeper_base(htt_keeper *base, htt_root *root_out, htt_error *error) {
    keeper_meta *const keeper = (keeper_meta *)base;
    htt_rc rc = htt_keeper_meta_load_current(keeper, error);

    if (rc != HTT_OK)
        return rc;
    if (keeper->current.owner[0] != '\0')
        return htt_error_set(error, HTT_READONLY,
                             "'%s' belongs to the database '%s' and is written through it only",
                             keeper->options.path, keeper->current.owner);
    rc = htt_keeper_meta_settle_unknown(keeper, error);
    if (rc == HTT_OK)
        *root_out = keeper->current.root;
    return rc;
}

static bool keeper_knows_boot(const keeper_meta *keeper) {
    static const uint8_t zeros[16];

    return memcmp(keeper->source.boot_id, zeros, sizeof zeros) != 0;
}

static bool keeper_syncs_commits(const keeper_meta *keeper) {
    if (keeper->options.sync == HTT_SYNC_NORMAL)
        return !keeper_knows_boot(keeper); /* KEEPER-2 */
    return keeper->options.sync == HTT_SYNC_FULL;
}

static htt_rc keeper_prepare(htt_keeper *base, htt_error *error) {
    keeper_meta *const keeper = (keeper_meta *)base;
    const htt_rc rc = htt_keeper_meta_check(keeper, error);

    return rc == HTT_OK && keeper_syncs_commits(keeper) ? keeper_sync(keeper, error) : rc;
}

/* The meta page of a new root; the present one joins its ancestors. */
void htt_keeper_meta_advance(const htt_meta *current, const htt_root *root, htt_meta *next) {
    enum { MAX = HTT_META_ANCESTORS_MAX };
    const uint32_t kept = current->ancestor_count < MAX ? current->ancestor_count : MAX - 1;

    *next = *current;
    next->root = *root;
    next->ancestors[0] = current->root.self;
    memcpy(next->ancestors + 1, current->ancestors, kept * sizeof current->ancestors[0]);
    next->ancestor_count = kept + 1;
}

static htt_rc keeper_publish_page(keeper_meta *keeper, const htt_meta *meta, uint64_t bytes,
                                  htt_error *error) {
    htt_lock_area *const area = keeper->options.lock->area;
    const uint32_t slot = htt_keeper_meta_other_slot(keeper);

    if (keeper_syncs_commits(keeper))
        return keeper_write_steady(keeper, meta, error);
    htt_rc rc = keeper_write(keeper, meta, slot, keeper_knows_boot(keeper), error);
    if (rc != HTT_OK)
        return rc;
    const uint64_t unsynced = atomic_fetch_add(&area->unsynced_bytes, bytes) + bytes;
    if (keeper->options.sync == HTT_SYNC_OFF)
        htt_keeper_meta_set_synced(keeper, slot);
    else if (unsynced > keeper->unsynced_max)
        rc = keeper_settle_pages(keeper, false, error);
    return rc;
}

static htt_rc keeper_publish(htt_keeper *base, const htt_root *root, uint64_t bytes,
                             htt_error *error) {
    keeper_meta *const keeper = (keeper_meta *)base;
    htt_meta next;
    htt_rc rc = htt_keeper_meta_check(keeper, error);

    if (rc != HTT_OK)
        return rc;
    assert(root->self.epoch == keeper->current.root.self.epoch + 1);
    htt_keeper_meta_advance(&keeper->current, root, &next);
    htt_keeper_meta_begin_change(keeper);
    if (keeper->unwritten) {
        rc = htt_metas_create(&keeper->source, &next, keeper->page, error);
        if (rc == HTT_OK) {
            keeper->unwritten = false;
            keeper->current = next;
            keeper->current.number = 1;
            keeper->current.counter = ++keeper->counter;
            keeper->epoch[0] = keeper->epoch[1] = root->self.epoch;
            htt_keeper_meta_set_synced(keeper, 1);
        }
    } else {
        rc = keeper_publish_page(keeper, &next, bytes, error);
    }
    if (rc == HTT_OK) {
        htt_keeper_meta_end_change(keeper);
        return HTT_OK;
    }
    atomic_store(&keeper->poisoned, true);
    if (keeper->unwritten) /* nobody will ever see this file */
        return rc;
    if (error != NULL)
        error->rc = HTT_POISONED; /* the text tells what failed */
    return HTT_POISONED;
}

static htt_rc keeper_declare(htt_keeper *base, const char *declaration, htt_error *error) {
    keeper_meta *const keeper = (keeper_meta *)base;
    htt_rc rc = htt_keeper_meta_check(keeper, error);

    assert(strlen(declaration) <= HTT_DECLARATION_SIZE_MAX);
    if (rc != HTT_OK)
        return rc;
    htt_keeper_meta_begin_change(keeper);
    rc = keeper_settle_pages(keeper, false, error);
    if (rc == HTT_OK) {
        htt_meta next = keeper->current;
        memset(next.declaration, 0, sizeof next.declaration);
        memcpy(next.declaration, declaration, strlen(declaration));
        rc = keeper_write_steady(keeper, &next, error);
    }
    if (rc == HTT_OK)
        htt_keeper_meta_end_change(keeper);
    return rc;
}

/* ----------------------------------------------------------- open and close */

static void keeper_close(htt_keeper *base) {
    keeper_meta *const keeper = (keeper_meta *)base;
    const htt_env *const env = keeper->options.env;

    (void)pthread_mutex_destroy(&keeper->mutex);
    env->release(env->context, keeper->buffer);
    env->release(env->context, keeper->page);
    env->release(env->context, keeper);
}

static const htt_keeper_methods keeper_methods = {
    .newest = keeper_newest,
    .base = keeper_base,
    .prepare = keeper_prepare,
    .publish = keeper_publish,
    .settle = keeper_settle,
    .declare = keeper_declare,
    .close = keeper_close,
};

static htt_rc keeper_load_first(keeper_meta *keeper, htt_error *error) {
    htt_metas *const metas = &keeper->metas;

    if (keeper->options.fresh == NULL) {
        const htt_rc rc = keeper_load(keeper, error);
        keeper->cached = false; /* the generation may not be ours yet */
        return rc;
    }
    memset(metas, 0, sizeof *metas);
    keeper->unwritten = true;
    metas->meta[1] = *keeper->options.fresh;
    metas->meta[1].number = 1;
    metas->state[0] = HTT_META_DAMAGED;
    metas->state[1] = HTT_META_VALID;
    metas->counts[1] = true;
    metas->newest = 1;
    return HTT_OK;
}

htt_rc htt_keeper_meta_open(const htt_keeper_options *options, htt_keeper **keeper_out,
                            htt_error *error) {
    const htt_env *const env = options->env;
    keeper_meta *const keeper = env->allocate(env->context, sizeof *keeper);

    if (keeper == NULL)
        return htt_error_set(error, HTT_NOMEM, "out of memory");
    memset(keeper, 0, sizeof *keeper);
    keeper->keeper.methods = &keeper_methods;
    keeper->options = *options;
    keeper->source = (htt_metas_source){.env = env,
                                        .file = options->file,
                                        .path = options->path,
                                        .page_size = options->page_size,
                                        .ignore_weak = options->ignore_weak};
    keeper->unsynced_max = KEEPER_UNSYNCED_MAX;
    keeper->metas.newest = HTT_METAS_NONE;
    keeper->loading.newest = HTT_METAS_NONE;
    (void)pthread_mutex_init(&keeper->mutex, NULL);
    keeper->buffer = env->allocate(env->context, 2 * (size_t)options->page_size);
    keeper->page = env->allocate(env->context, options->page_size);
    htt_rc rc = HTT_OK;
    if (keeper->buffer == NULL || keeper->page == NULL)
        rc = htt_error_set(error, HTT_NOMEM, "out of memory");
    if (env->boot_id(env->context, keeper->source.boot_id) != 0)
        memset(keeper->source.boot_id, 0, sizeof keeper->source.boot_id);
    if (rc == HTT_OK)
        rc = keeper_load_first(keeper, error);
    if (rc != HTT_OK) {
        keeper_close(&keeper->keeper);
        return rc;
    }
    *keeper_out = &keeper->keeper;
    return HTT_OK;
}

htt_rc htt_keeper_meta_start(htt_keeper *base, htt_error *error) {
    keeper_meta *const keeper = (keeper_meta *)base;
    const htt_env *const env = keeper->options.env;

    htt_lock_area *const area = keeper->options.lock->area;
    keeper_take_current(keeper);
    /* What a lost lock file said of the last attempt: taking it for one in doubt is always safe. */
    if (!keeper->options.lock->known)
        atomic_store(&area->armed, keeper->current.attempt);
    if (keeper->unwritten) {
        htt_keeper_meta_set_synced(keeper, 1);
        htt_keeper_meta_end_change(keeper);
        return HTT_OK;
    }
    if (!keeper->options.readonly) {
        const htt_rc rc = keeper_rewrite_newest(keeper, error);
        return rc == HTT_OK ? keeper_settle(base, false, error) : rc;
    }
    if (keeper->current.owner[0] != '\0')
        return HTT_OK; /* the next writer does that */
    /* A writer that comes later settles, if what is on the disk cannot be known now. */
    const uint32_t newest = keeper->current.number;
    const uint32_t steady = keeper->weak[newest] ? 1 - newest : newest;
    if (env->sync(env->context, keeper->options.file) == 0 && keeper->counts[steady] &&
        !keeper->weak[steady])
        htt_keeper_meta_set_synced(keeper, steady);
    return HTT_OK;
}

const htt_meta *htt_keeper_meta_current(const htt_keeper *base) {
    const keeper_meta *const keeper = (const keeper_meta *)base;

    return &keeper->metas.meta[keeper->metas.newest];
}

void htt_keeper_meta_set_unsynced_max(htt_keeper *base, uint64_t bytes) {
    ((keeper_meta *)base)->unsynced_max = bytes;
}
