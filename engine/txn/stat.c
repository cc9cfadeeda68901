/* SPDX-License-Identifier: MIT */
/* Figures of a transaction's state: one walk over the index, all data pages and the free list. */
#include <string.h>

#include "page/free.h"
#include "page/index.h"
#include "txn/store.h"

typedef struct stat_state {
    htt_txn *txn;          /* looked at */
    htt_stat stat;         /* so far */
    uint64_t *seen;        /* bit set: index page with sub-pages that was counted */
    uint32_t page_count;   /* bits in `seen` */
    uint64_t depth_sum;    /* depth of every row */
    uint64_t used;         /* bytes of data pages in use */
    uint64_t overflow;     /* pages of runs */
} stat_state;

static htt_rc stat_node(void *arg, const htt_tree_place *place) {
    stat_state *const state = arg;

    state->stat.index_nodes++;
    if (place->depth + 1 > state->stat.depth_max)
        state->stat.depth_max = place->depth + 1;
    if (place->sub != 0) {
        if (place->page >= state->page_count ||
            (state->seen[place->page / 64] >> (place->page % 64) & 1) != 0)
            return HTT_OK;
        state->seen[place->page / 64] |= UINT64_C(1) << (place->page % 64);
    }
    state->stat.index_pages++;
    return HTT_OK;
}

static htt_rc stat_data(void *arg, const htt_tree_place *place) {
    stat_state *const state = arg;
    const uint32_t page_size = state->txn->store->page_size;
    const uint32_t count = htt_page_count(place->bytes);

    state->stat.data_pages++;
    state->used += htt_data_used(place->bytes, page_size);
    state->depth_sum += (uint64_t)count * place->depth;
    for (uint32_t i = 0; i < count; i++) {
        htt_record record;
        htt_overflow overflow;
        htt_fault fault;
        bool good = htt_data_record(place->bytes, page_size, i, &record, &fault);
        if (good && record.overflow)
            good = htt_overflow_decode(&record, &overflow, &fault);
        if (!good)
            return htt_error_page(&state->txn->error, HTT_CORRUPT, place->page, "record %u: %s", i,
                                  fault.reason);
        for (uint32_t run = 0; record.overflow && run < overflow.count; run++)
            state->overflow += overflow.runs[run].pages;
    }
    return HTT_OK;
}

/* A write transaction at work has no list of its own yet. */
htt_rc htt_txn_count_free_list(htt_txn *txn, uint32_t *pages_out) {
    const htt_root *const base = &txn->base;
    const htt_snapshot snapshot = {base->self.epoch, base->self.epoch, base->page_count};
    uint32_t number = base->free_head;
    uint32_t count = 0;

    while (number != 0) {
        const uint8_t *page;
        htt_txn_forget(txn);
        const htt_rc rc = htt_pages_get(txn->view.pages, &txn->pins, &snapshot, number, &page,
                                        &txn->error);
        if (rc != HTT_OK)
            return rc;
        if (htt_page_type(page) != HTT_PAGE_FREE || count == base->page_count)
            return htt_error_page(&txn->error, HTT_CORRUPT, number, "the free list goes astray");
        count++;
        number = htt_free_next(page);
    }
    *pages_out = count;
    return HTT_OK;
}

static htt_rc stat_gather(stat_state *state) {
    const htt_tree_visitor visitor = {.arg = state, .node = stat_node, .data = stat_data};
    htt_txn *const txn = state->txn;
    htt_store *const store = txn->store;
    htt_stat *const stat = &state->stat;
    htt_file_info info;

    stat->epoch = txn->base.self.epoch;
    stat->keys = txn->tree.root.keys;
    stat->payload_bytes = txn->tree.root.bytes;
    stat->page_size = store->page_size;
    stat->page_count = txn->write ? htt_writer_page_count(txn->writer) : txn->base.page_count;
    stat->free_pages = txn->base.free_pages;
    htt_rc rc = htt_tree_walk(&txn->view, &txn->tree.root, &visitor);
    if (rc == HTT_OK)
        rc = htt_txn_count_free_list(txn, &stat->free_list_pages);
    if (rc != HTT_OK)
        return rc;
    const int code = store->env->info(store->env->context, store->file, &info);
    if (code != 0)
        return htt_error_errno(&txn->error, HTT_IO, code, "cannot inspect '%s'", store->path);
    stat->file_bytes = info.size;
    stat->overflow_pages = (uint32_t)state->overflow;
    if (stat->keys > 0)
        stat->depth_average = (double)state->depth_sum / (double)stat->keys;
    if (stat->data_pages > 0)
        stat->utilisation = (double)state->used / ((double)stat->data_pages *
                                                   (store->page_size - HTT_PAGE_HEADER_SIZE));
    if (store->lock != NULL) {
        (void)pthread_mutex_lock(&store->mutex);
        stat->readers = htt_lockfile_count_pins(store->lock);
        (void)pthread_mutex_unlock(&store->mutex);
    }
    return HTT_OK;
}

htt_rc htt_txn_stat(htt_txn *txn, htt_stat *stat_out) {
    stat_state state;

    htt_rc rc = htt_txn_enter(txn);
    if (rc != HTT_OK)
        return rc;
    if (stat_out == NULL)
        return htt_error_set(&txn->error, HTT_MISUSE, "no place for the result given");
    rc = htt_txn_settle(txn);
    if (rc != HTT_OK)
        return htt_txn_leave(txn, rc);
    memset(&state, 0, sizeof state);
    state.txn = txn;
    const htt_env *const env = txn->store->env;
    state.page_count = txn->write ? htt_writer_page_count(txn->writer) : txn->base.page_count;
    const size_t size = (size_t)(state.page_count / 64 + 1) * sizeof *state.seen;
    state.seen = env->allocate(env->context, size);
    if (state.seen == NULL)
        return htt_error_set(&txn->error, HTT_NOMEM, "out of memory");
    memset(state.seen, 0, size);
    htt_txn_forget(txn);
    rc = stat_gather(&state);
    htt_txn_forget(txn);
    env->release(env->context, state.seen);
    if (rc == HTT_OK)
        *stat_out = state.stat;
    return htt_txn_leave(txn, rc);
}
