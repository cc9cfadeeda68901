/* SPDX-License-Identifier: MIT */
/*
 * Savepoints: a stack of tree roots, each with a savepoint of the writer that keeps its pages.
 * Ids count up and are never used twice in a transaction.
 */
#include "base/limits.h"
#include "txn/store.h"

/* Index of a savepoint, or the count. */
static uint32_t savepoint_find(const htt_txn *txn, uint32_t id) {
    uint32_t low = 0, high = txn->savepoint_count; /* ids ascend */

    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (txn->savepoints[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < txn->savepoint_count && txn->savepoints[low].id == id ? low
                                                                       : txn->savepoint_count;
}

static htt_rc savepoint_fit(htt_txn *txn) {
    const htt_env *const env = txn->store->env;

    if (txn->savepoint_count == HTT_SAVEPOINTS_MAX || txn->savepoint_last == UINT32_MAX)
        return htt_error_set(&txn->error, HTT_MISUSE, "more than %u savepoints",
                             HTT_SAVEPOINTS_MAX);
    if (txn->savepoint_count < txn->savepoint_capacity)
        return HTT_OK;
    const uint32_t capacity = txn->savepoint_capacity == 0 ? 8 : 2 * txn->savepoint_capacity;
    txn_savepoint *const items =
        env->reallocate(env->context, txn->savepoints, capacity * sizeof *items);
    if (items == NULL)
        return htt_error_set(&txn->error, HTT_NOMEM, "out of memory");
    txn->savepoints = items;
    txn->savepoint_capacity = capacity;
    return HTT_OK;
}

htt_rc htt_savepoint(htt_txn *txn, uint32_t *id_out) {
    uint32_t depth;

    htt_rc rc = htt_txn_enter_write(txn);
    if (rc != HTT_OK)
        return rc;
    if (id_out == NULL)
        return htt_error_set(&txn->error, HTT_MISUSE, "no place for the savepoint's id given");
    rc = savepoint_fit(txn);
    if (rc == HTT_OK)
        rc = htt_txn_settle(txn); /* going back to here is to drop what is staged then */
    if (rc == HTT_OK)
        rc = htt_writer_savepoint(txn->writer, &depth, &txn->error);
    if (rc != HTT_OK)
        return htt_txn_leave(txn, rc);
    txn->savepoints[txn->savepoint_count++] =
        (txn_savepoint){.id = ++txn->savepoint_last, .depth = depth, .root = txn->tree.root};
    *id_out = txn->savepoint_last;
    return HTT_OK;
}

static htt_rc savepoint_enter(htt_txn *txn, uint32_t id, uint32_t *index_out) {
    const htt_rc rc = htt_txn_enter_write(txn);

    if (rc != HTT_OK)
        return rc;
    *index_out = savepoint_find(txn, id);
    if (*index_out == txn->savepoint_count)
        return htt_error_set(&txn->error, HTT_MISUSE, "no savepoint %u is open", id);
    return HTT_OK;
}

htt_rc htt_rollback_to(htt_txn *txn, uint32_t id) {
    uint32_t index;
    const htt_rc rc = savepoint_enter(txn, id, &index);

    if (rc != HTT_OK)
        return rc;
    const txn_savepoint *const savepoint = &txn->savepoints[index];
    htt_txn_forget(txn);
    txn->prepared = false;
    assert(savepoint->depth == index); /* both stacks go together */
    htt_writer_rollback_to(txn->writer, savepoint->depth);
    htt_tree_unstage(&txn->tree);
    txn->tree.root = savepoint->root;
    txn->savepoint_count = index + 1;
    return HTT_OK;
}

htt_rc htt_release(htt_txn *txn, uint32_t id) {
    uint32_t index;
    const htt_rc rc = savepoint_enter(txn, id, &index);

    if (rc != HTT_OK)
        return rc;
    assert(txn->savepoints[index].depth == index);
    htt_writer_release(txn->writer, txn->savepoints[index].depth);
    txn->savepoint_count = index;
    return HTT_OK;
}
