/* SPDX-License-Identifier: MIT */
/*
 * Giving the space of a hosted file back: steps that the host commits, as any other transaction,
 * and the cut at the end.
 *
 *      2                                       root's page count         file's end
 *     |TTTTTTTTTTTTT.T..|.......................|  free, scratch         |
 *                                               ^ cut
 *
 * What lies behind the end of the newest root may be needed by
 *   - an older root of a reader:          no pin below the root, and R at the root: none comes
 *   - the older meta page:                both name the root, durably
 *   - an attempt that may be committed:   its pages may be there: then nothing is cut
 */
#include "txn/host.h"

enum { CUT_WAIT_MS = 1000 }; /* for the writer's right */

htt_rc htt_host_vacuum_step(htt_txn *txn, uint64_t *moved_out) {
    htt_rc rc = htt_txn_enter_write(txn);

    if (rc != HTT_OK)
        return rc;
    if (!txn->hosted || !txn->low_first || moved_out == NULL)
        return htt_error_set(&txn->error, HTT_MISUSE,
                             "not a write transaction of a host that was begun with low_first");
    rc = htt_store_check_process(txn->store, &txn->error);
    if (rc != HTT_OK)
        return rc;
    htt_txn_forget(txn);
    txn->prepared = false;
    rc = htt_vacuum_move(txn, moved_out);
    txn->broken = rc; /* a page that was moved halfway is not to be published */
    return htt_txn_leave(txn, rc);
}

/* Readers of older roots: there are none, and there will be none. The writer byte is held. */
static htt_rc vacuum_check_readers(htt_store *store, const htt_root *root, htt_error *error) {
    const htt_env *const env = store->env;

    htt_lockfile_take_idle(store->lock, root->self.epoch, env->now_ms(env->context), 0);
    (void)pthread_mutex_lock(&store->mutex); /* another thread may be taking a slot */
    const uint64_t limit = htt_lockfile_reuse_limit(store->lock);
    (void)pthread_mutex_unlock(&store->mutex);
    if (limit >= root->self.epoch)
        return HTT_OK;
    return htt_error_set(error, HTT_BUSY, "'%s': somebody reads an older state", store->path);
}

/* The writer byte is held. */
static htt_rc vacuum_cut(htt_store *store, const htt_root *root, uint64_t *bytes_out,
                         htt_error *error) {
    const htt_env *const env = store->env;
    const uint64_t end = (uint64_t)root->page_count * store->page_size;
    uint64_t size = 0;
    bool rests = false;
    htt_meta meta;

    htt_rc rc = htt_keeper_host_enter(store->keeper, &meta, error);
    if (rc == HTT_OK)
        rc = htt_host_check_newest(store, &meta, root, error);
    if (rc == HTT_OK)
        rc = htt_vacuum_size(store, &size, error);
    if (rc != HTT_OK || size <= end)
        return rc;
    rc = htt_keeper_host_rest_both(store->keeper, root, &rests, error);
    if (rc == HTT_OK && !rests)
        return htt_error_set(error, HTT_BUSY, "'%s': the outcome of an attempt is open, or the "
                             "file is behind its database", store->path);
    if (rc == HTT_OK)
        rc = vacuum_check_readers(store, root, error);
    if (rc != HTT_OK)
        return rc;
    const int code = env->truncate(env->context, store->file, end);
    if (code != 0)
        return htt_error_errno(error, HTT_IO, code, "cannot cut '%s'", store->path);
    *bytes_out = size - end;
    return HTT_OK;
}

htt_rc htt_host_cut(htt_store *store, const htt_host_root *given, uint64_t *bytes_out) {
    htt_error error = {0};
    uint64_t bytes = 0;
    htt_root root;

    if (store == NULL)
        return HTT_MISUSE;
    if (given == NULL || bytes_out == NULL) {
        (void)htt_error_set(&error, HTT_MISUSE, "an argument is missing");
        return htt_store_fail(store, &error);
    }
    htt_rc rc = htt_store_check_process(store, &error);
    if (rc == HTT_OK)
        rc = htt_host_decode(given, &root, &error);
    if (rc == HTT_OK)
        rc = htt_txn_take_writer_within(store, CUT_WAIT_MS, &error);
    if (rc == HTT_OK) {
        rc = vacuum_cut(store, &root, &bytes, &error);
        htt_txn_give_writer(store);
    }
    if (rc != HTT_OK)
        return htt_store_fail(store, &error);
    *bytes_out = bytes;
    return HTT_OK;
}
