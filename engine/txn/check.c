/* SPDX-License-Identifier: MIT */
/*
 * htt_check: the tree's check over the state of a transaction, and the two meta pages. A write
 * transaction is checked as it would be committed now.
 */
#include "txn/metas.h"
#include "txn/store.h"

/* What the meta pages look like, when nobody is writing them. One may be damaged unnoticed: the
 * other holds. */
static htt_rc check_metas(htt_txn *txn, htt_check_report report, void *arg, uint64_t *problems,
                          bool *stop_out) {
    const htt_store *const store = txn->store;
    const htt_env *const env = store->env;
    const htt_lock_area *const area = store->lock != NULL ? store->lock->area : NULL;
    const uint64_t before = area != NULL ? atomic_load(&area->generation) : 0;
    const htt_metas_source source = {
        .env = env, .file = store->file, .path = store->path, .page_size = store->page_size};
    const size_t buffer_size = 2 * (size_t)store->page_size;

    htt_metas *const metas = env->allocate(env->context, sizeof *metas + buffer_size);
    if (metas == NULL)
        return htt_error_set(&txn->error, HTT_NOMEM, "out of memory");
    const htt_rc rc = htt_metas_read(&source, (uint8_t *)(metas + 1), metas, &txn->error);
    const bool still =
        area == NULL || (before % 2 == 0 && before == atomic_load(&area->generation));
    for (uint32_t slot = 0; rc != HTT_IO && still && slot < 2; slot++) {
        if (metas->state[slot] == HTT_META_VALID)
            continue;
        ++*problems;
        *stop_out = report != NULL && report(arg, slot, metas->fault[slot].reason) != 0;
        if (*stop_out)
            break;
    }
    env->release(env->context, metas);
    htt_error_clear(&txn->error);
    return rc == HTT_IO ? rc : HTT_OK;
}

htt_rc htt_check(htt_txn *txn, unsigned depth, htt_check_report report, void *arg,
                 uint64_t *problems_out) {
    uint64_t tree_problems = 0;
    uint64_t problems = 0;
    bool stop = false;

    htt_rc rc = htt_txn_enter(txn);
    if (rc != HTT_OK)
        return rc;
    if (depth > HTT_CHECK_DEEP || problems_out == NULL)
        return htt_error_set(&txn->error, HTT_MISUSE,
                             "unknown depth %u of a check, or no place for the result", depth);
    htt_txn_forget(txn);
    const htt_root *root = &txn->base;
    if (txn->write && htt_txn_changed(txn)) {
        if (!txn->prepared)
            rc = htt_txn_flush(txn);
        root = &txn->root;
    }
    if (rc == HTT_OK)
        rc = check_metas(txn, report, arg, &problems, &stop);
    if (rc == HTT_OK && !stop)
        rc = htt_tree_check(&txn->view, txn->store->env, root, depth == HTT_CHECK_DEEP, report,
                            arg, &tree_problems);
    htt_txn_forget(txn);
    if (rc == HTT_OK)
        *problems_out = problems + tree_problems;
    return htt_txn_leave(txn, rc);
}
