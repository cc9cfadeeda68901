/* SPDX-License-Identifier: MIT */
/*
 * The meta pages of a file whose root a host keeps. They say {m, attempt}: m is a root that the
 * host is known to hold durably, attempt the nonce of the host transaction that wrote pages last.
 *
 *                 attempt(base, x)                    arm(x)
 *     {m, a}  ------------------------>  {base, x}  ----------->  {base, x}, on the disk, armed
 *        ^                                                            |
 *        +------------------------ rest(root) ------------------------+
 *
 * Invariants (with those of keeper_meta.c)
 *   KEEPER-4  Every write goes into the slot that is not the synced one, so one valid page is
 *             always on the disk.
 *   KEEPER-5  An attempt that is replaced by another of another base is replaced durably before a
 *             page is written: what the older attempt wrote may be named by a host that comes back.
 */
#include <assert.h>
#include <string.h>

#include "base/error.h"
#include "txn/keeper_private.h"

/* A failed sync is never tried again: the system may have dropped the pages. */
static htt_rc host_sync(keeper_meta *keeper, htt_error *error) {
    const htt_env *const env = keeper->options.env;
    const int code = env->sync(env->context, keeper->options.file);

    if (code == 0)
        return HTT_OK;
    atomic_store(&keeper->poisoned, true);
    if (keeper->current.owner[0] == '\0') /* released: the rule of files with a root of their own */
        atomic_store(&keeper->options.lock->area->lost, HTT_LOST_HERE);
    return htt_error_errno(error, HTT_IO, code, "cannot sync '%s'", keeper->options.path);
}

/* Writes a page behind the synced one, and if asked to syncs it. */
static htt_rc host_write(keeper_meta *keeper, const htt_meta *meta, bool sync, htt_error *error) {
    const uint32_t slot = htt_keeper_meta_other_slot(keeper);

    assert(atomic_load(&keeper->options.lock->area->synced_slot) < 2); /* KEEPER-4 */
    htt_keeper_meta_begin_change(keeper);
    htt_rc rc = htt_keeper_meta_write(keeper, meta, slot, false, error);
    if (rc == HTT_OK && sync)
        rc = host_sync(keeper, error);
    if (rc != HTT_OK)
        return rc;
    if (sync)
        htt_keeper_meta_set_synced(keeper, slot);
    htt_keeper_meta_end_change(keeper);
    return HTT_OK;
}

/* The page of `root`: if it is not the present one, the present one joins its ancestors. */
static void host_advance(const keeper_meta *keeper, const htt_root *root, htt_meta *next) {
    const htt_lineage *const now = &keeper->current.root.self;

    if (now->epoch == root->self.epoch && now->nonce == root->self.nonce) {
        *next = keeper->current;
        next->root = *root;
    } else {
        htt_keeper_meta_advance(&keeper->current, root, next);
    }
}

static void host_take_owner(htt_meta *next, const htt_meta *owner_meta) {
    memcpy(next->owner, owner_meta->owner, sizeof next->owner);
    memcpy(next->host_token, owner_meta->host_token, sizeof next->host_token);
}

htt_rc htt_keeper_host_enter(htt_keeper *base, htt_meta *meta_out, htt_error *error) {
    keeper_meta *const keeper = (keeper_meta *)base;

    htt_rc rc = htt_keeper_meta_load_current(keeper, error);
    if (rc == HTT_OK && keeper->weak[keeper->current.number])
        /* Of the time before it had a host: a steady page with the same root must not be written
         * before that root's pages are on the disk. */
        rc = base->methods->settle(base, false, error);
    else if (rc == HTT_OK)
        rc = htt_keeper_meta_settle_unknown(keeper, error);
    if (rc == HTT_OK)
        *meta_out = keeper->current;
    return rc;
}

void htt_keeper_host_poison(htt_keeper *base) {
    atomic_store(&((keeper_meta *)base)->poisoned, true);
}

htt_rc htt_keeper_host_attempt(htt_keeper *base, const htt_root *root, uint64_t attempt,
                               const htt_meta *owner_meta, bool early_sync, htt_error *error) {
    keeper_meta *const keeper = (keeper_meta *)base;
    const uint64_t before = keeper->current.attempt;
    htt_meta next;

    assert(attempt != 0);
    host_advance(keeper, root, &next);
    host_take_owner(&next, owner_meta);
    next.attempt = attempt;
    const bool foreign = before != 0 && before != root->self.nonce; /* KEEPER-5 */
    return host_write(keeper, &next, foreign || early_sync, error);
}

htt_rc htt_keeper_host_sync(htt_keeper *base, uint64_t attempt, htt_error *error) {
    keeper_meta *const keeper = (keeper_meta *)base;

    if (keeper->current.attempt != attempt)
        return htt_error_set(error, HTT_MISUSE, "'%s' was brought to rest in this transaction",
                             keeper->options.path);
    const htt_rc rc = host_sync(keeper, error);
    if (rc != HTT_OK)
        return rc;
    htt_keeper_meta_set_synced(keeper, keeper->current.number);
    return HTT_OK;
}

void htt_keeper_host_arm(htt_keeper *base, uint64_t attempt) {
    keeper_meta *const keeper = (keeper_meta *)base;

    atomic_store(&keeper->options.lock->area->armed, attempt);
}

htt_rc htt_keeper_host_rest(htt_keeper *base, const htt_root *root, const htt_meta *owner_meta,
                            htt_error *error) {
    keeper_meta *const keeper = (keeper_meta *)base;
    htt_meta next;

    host_advance(keeper, root, &next);
    host_take_owner(&next, owner_meta);
    next.attempt = 0;
    return host_write(keeper, &next, true, error);
}

htt_rc htt_keeper_host_rest_both(htt_keeper *base, const htt_root *root, bool *done_out,
                                 htt_error *error) {
    keeper_meta *const keeper = (keeper_meta *)base;
    const htt_lock_area *const area = keeper->options.lock->area;
    const htt_meta now = keeper->current;
    const uint32_t synced = atomic_load(&area->synced_slot) & 1;
    htt_rc rc = HTT_OK;

    *done_out = now.root.self.epoch == root->self.epoch &&
                now.root.self.nonce == root->self.nonce &&
                (now.attempt == 0 || now.attempt != atomic_load(&area->armed));
    if (!*done_out)
        return HTT_OK;
    /* Newest, at rest and known to be on the disk; then again, into the other slot. */
    if (now.attempt != 0 || now.number != synced)
        rc = htt_keeper_host_rest(base, root, &now, error);
    if (rc == HTT_OK && (keeper->epoch[0] != keeper->epoch[1] || now.attempt != 0))
        rc = htt_keeper_host_rest(base, root, &now, error);
    return rc;
}

htt_rc htt_keeper_host_rewrite(htt_keeper *base, const htt_meta *like, htt_error *error) {
    keeper_meta *const keeper = (keeper_meta *)base;
    htt_meta next = keeper->current;

    host_take_owner(&next, like);
    memcpy(next.declaration, like->declaration, sizeof next.declaration);
    return host_write(keeper, &next, true, error);
}
