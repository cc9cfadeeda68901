/* SPDX-License-Identifier: MIT */
/*
 * Share and split: a page that is too full and its neighbours of the same node deal their records
 * out anew, into as many pages or into one more. Extendible hashing's split, with the
 * neighbour-sharing of B*-trees; only borders between slot ranges move.
 *
 *     before   |  page a  |  page b (full)  |  page c  |        slots of the node
 *     share    |   a'   |     b'     |        c'       |        average fill <= share_percent
 *     split    |  a'  |   b'   |    c'    |     d'     |        otherwise
 */
#include <assert.h>

#include "tree/internal.h"

typedef struct share_window {
    uint32_t first;               /* child index of the first page */
    uint32_t count;               /* pages */
    uint64_t used;                /* bytes in them */
    htt_ref refs[HTT_WINDOW_MAX]; /* the pages */
} share_window;

htt_rc htt_child_leaf(htt_view *view, const uint8_t *node, uint32_t index,
                      const uint8_t **page_out) {
    htt_ref ref = htt_node_child(node, index);
    const uint8_t *page;
    *page_out = NULL;
    if (ref.page == 0 || ref.sub != 0)
        return HTT_OK;
    htt_rc rc = htt_view_page(view, ref.page, &page);
    if (rc == HTT_OK && htt_page_type(page) == HTT_PAGE_DATA)
        *page_out = page;
    return rc;
}

/*
 * Of all runs of up to `tuning.window` data pages around the path's child, the one with the most
 * free space; with equal counts that is the least used.
 */
static htt_rc share_choose(htt_tree *tree, const htt_step *step, share_window *window) {
    enum { SIDE = HTT_WINDOW_MAX - 1, ALL = 2 * SIDE + 1 };
    uint32_t used[ALL], width = tree->tuning.window, low = SIDE, high = SIDE;
    uint32_t count = htt_node_count(step->node);
    const uint8_t *page;
    htt_rc rc = HTT_OK;
    assert(width >= 1 && width <= HTT_WINDOW_MAX);
    for (uint32_t i = 0; rc == HTT_OK && i < width; i++) {
        rc = i > step->child ? HTT_OK
                             : htt_child_leaf(tree->view, step->node, step->child - i, &page);
        if (i > step->child || rc != HTT_OK || page == NULL)
            break;
        low = SIDE - i;
        used[low] = htt_data_used(page, tree->view->page_size);
    }
    for (uint32_t i = 1; rc == HTT_OK && i < width && step->child + i < count; i++) {
        rc = htt_child_leaf(tree->view, step->node, step->child + i, &page);
        if (rc != HTT_OK || page == NULL)
            break;
        high = SIDE + i;
        used[high] = htt_data_used(page, tree->view->page_size);
    }
    if (rc != HTT_OK)
        return rc;
    if (width > high - low + 1)
        width = high - low + 1;
    window->used = UINT64_MAX;
    for (uint32_t first = low; first <= SIDE && first + width <= high + 1; first++) {
        uint64_t sum = 0;
        if (first + width <= SIDE)
            continue;
        for (uint32_t i = first; i < first + width; i++)
            sum += used[i];
        if (sum < window->used) {
            window->used = sum;
            window->first = step->child + first - SIDE;
        }
    }
    window->count = width;
    assert(window->first <= step->child && step->child < window->first + width);
    for (uint32_t i = 0; i < width; i++)
        window->refs[i] = htt_node_child(step->node, window->first + i);
    return HTT_OK;
}

/* The plan is made: new pages in place of the window's. */
static htt_rc share_apply(htt_tree *tree, htt_path *path, const share_window *window) {
    htt_ref refs[HTT_WINDOW_MAX + 2];
    const htt_deal *deal = &tree->scratch->deal;
    htt_writer *writer = tree->view->writer;
    uint64_t stamps[HTT_WINDOW_MAX];
    const uint8_t *page;
    htt_rc rc = HTT_OK;
    assert(deal->count <= HTT_WINDOW_MAX + 2);
    assert(deal->count >= 1 && window->count <= HTT_WINDOW_MAX);
    for (uint32_t i = 0; i < window->count; i++) {
        rc = htt_view_page(tree->view, window->refs[i].page, &page);
        if (rc != HTT_OK)
            return rc;
        stamps[i] = htt_page_stamp(page);
    }
    rc = htt_path_edit(tree, path, path->depth);
    if (rc == HTT_OK)
        rc = htt_deal_out(tree, refs);
    if (rc != HTT_OK)
        return rc;
    for (uint32_t i = 0; i < window->count; i++)
        htt_writer_free(writer, window->refs[i].page, 1, stamps[i]);
    htt_node_splice_at(tree, path, path->depth - 1, window->first, window->count, deal->starts,
                       refs, deal->count);
    return HTT_OK;
}

htt_rc htt_step_share(htt_tree *tree, htt_path *path, const htt_need *need, bool *done_out) {
    const htt_step *step = &path->steps[path->depth - 1];
    uint64_t capacity = htt_tree_page_capacity(tree->view);
    share_window window;
    htt_room room;
    *done_out = false;
    assert(path->depth > 0);
    htt_rc rc = share_choose(tree, step, &window);
    if (rc != HTT_OK)
        return rc;
    uint32_t first_slot = htt_node_start(step->node, window.first);
    uint32_t end_slot = htt_node_start(step->node, window.first + window.count);
    rc = htt_gather(tree, window.refs, window.count, need, htt_node_salt(step->node),
                    htt_node_slots_log2(step->node), first_slot, end_slot);
    if (rc != HTT_OK)
        return rc;
    bool plain =
        (window.used + need->size) * 100 <= capacity * window.count * tree->tuning.share_percent &&
        htt_deal_plan(tree, window.count, 0, first_slot);
    if (!plain) {
        /* Where records are large, one page more may not be cut well enough, but two may. */
        if (!htt_deal_plan(tree, window.count + 1, 1, first_slot))
            return HTT_OK;
        rc = htt_node_make_room(tree, path, path->depth - 1, 2 * HTT_NODE_CHILD_SIZE, &room);
        if (rc != HTT_OK || room == HTT_ROOM_NONE)
            return rc;
        if (room == HTT_ROOM_MOVED) {
            *done_out = true;
            return HTT_OK;
        }
    }
    *done_out = true;
    return share_apply(tree, path, &window);
}

htt_rc htt_step_double(htt_tree *tree, htt_path *path, bool *done_out) {
    const htt_step *step = &path->steps[path->depth - 1];
    uint32_t log2 = htt_node_slots_log2(step->node);
    htt_room room;
    assert(path->depth > 0);
    *done_out = false;
    if (log2 >= htt_node_slots_log2_max(tree->view->page_size))
        return HTT_OK;
    uint32_t extra =
        htt_node_size(log2 + 1, htt_node_count(step->node)) - htt_node_bytes(step->node);
    htt_rc rc = htt_node_make_room(tree, path, path->depth - 1, extra, &room);
    if (rc != HTT_OK || room == HTT_ROOM_NONE)
        return rc;
    *done_out = true;
    if (room == HTT_ROOM_MOVED)
        return HTT_OK;
    rc = htt_path_edit(tree, path, path->depth);
    if (rc == HTT_OK)
        htt_node_double_at(tree, path, path->depth - 1);
    return rc;
}
