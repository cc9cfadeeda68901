/* SPDX-License-Identifier: MIT */
/*
 * htt_vacuum: gives free space back, by ordinary commits.
 *
 *     round   pages of the tree above the limit move to the lowest free pages; commit
 *             ... again, since what a round gives up can be used (and cut) by the next one only
 *     trim    a commit that only leaves free pages at the end out of the store
 *     cut     both meta pages name the shorter store; then the file is truncated
 *
 *      2                limit (pages that the tree needs)                page count    file's end
 *     |TTTT.T..TTT.T.T.T|...T....T...T..............T.......T............|.............|
 *     |TTTTTTTTTTTTTTTTT|..................................................             |
 *
 * A page that a pinned reader may need is in the free list, too young to be used or cut: rounds
 * end when none is left that could move. Nobody needs what is cut: it was free to be overwritten.
 */
#include "txn/store.h"

enum {
    VACUUM_ROUNDS_MAX = 64, /* each leaves a small part of the one before */
    VACUUM_TRIMS_MAX = 8,   /* the list's own pages move too */
    VACUUM_MARGIN = 2       /* pages for the new free list */
};

/* Nothing to wait for: a writer of this handle may be the caller's own. */
static htt_rc vacuum_begin(htt_store *store, htt_txn **txn_out, htt_error *error) {
    (void)pthread_mutex_lock(&store->mutex);
    const bool writing = store->writing;
    (void)pthread_mutex_unlock(&store->mutex);
    const htt_txn_options options = {.write = true, .low_first = true, .no_wait = writing};

    return htt_txn_begin(store, options, txn_out, error);
}

/* What died in the commits so far can be used only when the newest root is on the disk. */
static htt_rc vacuum_settle(htt_store *store, bool both, htt_error *error) {
    htt_root root;

    htt_rc rc = htt_txn_take_writer(store, false, error);
    if (rc != HTT_OK)
        return rc;
    rc = store->keeper->methods->base(store->keeper, &root, error);
    if (rc == HTT_OK &&
        (both || atomic_load(&store->lock->area->synced_epoch) < root.self.epoch))
        rc = store->keeper->methods->settle(store->keeper, both, error);
    htt_txn_give_writer(store);
    return rc;
}

htt_rc htt_vacuum_move(htt_txn *txn, uint64_t *moved_out) {
    const htt_root *const base = &txn->base;
    uint32_t list_pages = 0;

    *moved_out = 0;
    const htt_rc rc = htt_txn_count_free_list(txn, &list_pages);
    if (rc != HTT_OK || base->free_pages == 0 ||
        (uint64_t)base->free_pages + list_pages >= base->page_count)
        return rc;
    const uint32_t limit = base->page_count - base->free_pages - list_pages + VACUUM_MARGIN;
    return htt_tree_lower(&txn->tree, limit, moved_out);
}

/* Moves what can be moved. *moved_out 0: nothing could, and nothing was committed. */
static htt_rc vacuum_round(htt_store *store, uint64_t *moved_out, htt_error *error) {
    htt_txn *txn;

    *moved_out = 0;
    htt_rc rc = vacuum_begin(store, &txn, error);
    if (rc != HTT_OK)
        return rc;
    rc = htt_vacuum_move(txn, moved_out);
    if (rc != HTT_OK)
        *error = txn->error;
    if (rc != HTT_OK || *moved_out == 0) {
        htt_abort(txn);
        return rc;
    }
    rc = htt_txn_commit_always(txn, error);
    return rc == HTT_OK ? vacuum_settle(store, false, error) : rc;
}

/* *shorter_out: pages that the store has less now. */
static htt_rc vacuum_trim(htt_store *store, uint32_t *shorter_out, htt_error *error) {
    htt_root root;
    htt_txn *txn;

    *shorter_out = 0;
    htt_rc rc = vacuum_begin(store, &txn, error);
    if (rc != HTT_OK)
        return rc;
    const uint32_t before = txn->base.page_count;
    if (txn->base.free_pages == 0) {
        htt_abort(txn);
        return HTT_OK;
    }
    rc = htt_txn_commit_always(txn, error);
    if (rc == HTT_OK)
        rc = vacuum_settle(store, false, error);
    if (rc == HTT_OK)
        rc = store->keeper->methods->newest(store->keeper, false, &root, error);
    if (rc == HTT_OK && root.page_count < before)
        *shorter_out = before - root.page_count;
    return rc;
}

htt_rc htt_vacuum_size(htt_store *store, uint64_t *bytes_out, htt_error *error) {
    htt_file_info info;
    const int code = store->env->info(store->env->context, store->file, &info);

    if (code != 0)
        return htt_error_errno(error, HTT_IO, code, "cannot inspect '%s'", store->path);
    *bytes_out = info.size;
    return HTT_OK;
}

/* Cuts the file behind the last page of the store. */
static htt_rc vacuum_cut(htt_store *store, htt_error *error) {
    const htt_env *const env = store->env;
    htt_root root = {0};
    uint64_t size = 0;

    htt_rc rc = htt_txn_take_writer(store, false, error);
    if (rc != HTT_OK)
        return rc;
    rc = store->keeper->methods->base(store->keeper, &root, error);
    if (rc == HTT_OK)
        rc = htt_vacuum_size(store, &size, error);
    const uint64_t end = (uint64_t)root.page_count * root.page_size;
    if (rc == HTT_OK && size > end) {
        /* An older root, longer than the file, would be damage if it had to be used one day. */
        rc = store->keeper->methods->settle(store->keeper, true, error);
        if (rc == HTT_OK) {
            const int code = env->truncate(env->context, store->file, end);
            if (code != 0)
                rc = htt_error_errno(error, HTT_IO, code, "cannot cut '%s'", store->path);
        }
    }
    htt_txn_give_writer(store);
    return rc;
}

static htt_rc vacuum_run(htt_store *store, htt_error *error) {
    uint32_t shorter = 1;
    uint64_t moved = 1;
    htt_rc rc = vacuum_settle(store, false, error); /* or the first round has no page to move to */

    for (int i = 0; rc == HTT_OK && moved > 0 && i < VACUUM_ROUNDS_MAX; i++)
        rc = vacuum_round(store, &moved, error);
    for (int i = 0; rc == HTT_OK && (shorter > 0 || i < 2) && i < VACUUM_TRIMS_MAX; i++)
        rc = vacuum_trim(store, &shorter, error);
    return rc == HTT_OK ? vacuum_cut(store, error) : rc;
}

htt_rc htt_vacuum(htt_store *store, uint64_t *bytes_before_out, uint64_t *bytes_after_out) {
    htt_error error = {0};
    uint64_t before = 0, after = 0;

    if (store == NULL)
        return HTT_MISUSE;
    htt_rc rc = htt_store_check_process(store, &error);
    if (rc == HTT_OK && (bytes_before_out == NULL || bytes_after_out == NULL))
        rc = htt_error_set(&error, HTT_MISUSE, "no place for the result given");
    if (rc == HTT_OK)
        rc = htt_vacuum_size(store, &before, &error);
    if (rc == HTT_OK)
        rc = vacuum_run(store, &error);
    if (rc == HTT_OK)
        rc = htt_vacuum_size(store, &after, &error);
    if (rc != HTT_OK)
        return htt_store_fail(store, &error);
    *bytes_before_out = before;
    *bytes_after_out = after;
    return HTT_OK;
}
