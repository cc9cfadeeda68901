/* SPDX-License-Identifier: MIT */
/*
 * htt_check: the tree's check over the state of a transaction, and the two meta pages. A write
 * transaction is checked as it would be committed now.
 */
#include <assert.h>
#include <string.h>

#include "txn/metas.h"
#include "txn/store.h"

/* Where problems go. */
typedef struct check_run {
    htt_check_report report; /* the caller's; NULL = only counted */
    void *arg;               /* its first argument */
    uint64_t problems;       /* reported */
    bool stop;               /* the caller wants no more */
} check_run;

static void check_note(check_run *run, uint32_t page, const char *problem) {
    assert(!run->stop);
    run->problems++;
    run->stop = run->report != NULL && run->report(run->arg, page, problem) != 0;
}

/* One meta page by itself. It may be damaged unnoticed: the other holds. */
static void check_meta(const htt_metas *metas, uint32_t slot, check_run *run) {
    const htt_meta *const meta = &metas->meta[slot];
    const htt_lineage *const ancestors = meta->ancestors;
    bool ordered = true;

    if (metas->state[slot] != HTT_META_VALID) {
        check_note(run, slot, metas->fault[slot].reason);
        return;
    }
    if (meta->ancestor_count == 0) /* as long as the list goes; not at all in a new file */
        return;
    if (ancestors[0].epoch != meta->root.parent.epoch ||
        ancestors[0].nonce != meta->root.parent.nonce)
        check_note(run, slot, "the first ancestor in the meta page is not the root's parent");
    for (uint32_t i = 1; i < meta->ancestor_count; i++)
        ordered = ordered && ancestors[i].epoch < ancestors[i - 1].epoch;
    if (!ordered && !run->stop)
        check_note(run, slot, "the ancestors in the meta page are not in order");
}

/* What two valid ones have to do with each other. */
static void check_meta_pair(const htt_metas *metas, check_run *run) {
    const htt_meta *const a = &metas->meta[0];
    const htt_meta *const b = &metas->meta[1];

    if (metas->state[0] != HTT_META_VALID || metas->state[1] != HTT_META_VALID)
        return;
    if (a->counter == b->counter)
        check_note(run, 0, "both meta pages have the same counter");
    if (!run->stop && (memcmp(a->root.uuid, b->root.uuid, sizeof a->root.uuid) != 0 ||
                       a->root.seed != b->root.seed))
        check_note(run, 0, "the meta pages have different uuids or seeds");
}

/* Both meta pages, when nobody is writing them. */
static htt_rc check_metas(htt_txn *txn, check_run *run) {
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
    if (rc != HTT_IO && still) {
        for (uint32_t slot = 0; slot < 2 && !run->stop; slot++)
            check_meta(metas, slot, run);
        if (!run->stop)
            check_meta_pair(metas, run);
    }
    env->release(env->context, metas);
    htt_error_clear(&txn->error);
    return rc == HTT_IO ? rc : HTT_OK;
}

htt_rc htt_check(htt_txn *txn, unsigned depth, htt_check_report report, void *arg,
                 uint64_t *problems_out) {
    check_run run = {.report = report, .arg = arg};
    uint64_t tree_problems = 0;

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
        rc = check_metas(txn, &run);
    if (rc == HTT_OK && !run.stop)
        rc = htt_tree_check(&txn->view, txn->store->env, root, depth == HTT_CHECK_DEEP, report,
                            arg, &tree_problems);
    htt_txn_forget(txn);
    if (rc == HTT_OK)
        *problems_out = run.problems + tree_problems;
    return htt_txn_leave(txn, rc);
}
