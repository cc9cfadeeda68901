/* SPDX-License-Identifier: MIT */
/*
 * Push: a run of neighbouring data pages becomes a child node with a salt of its own, so that
 * their node has room again, and records that shared one slot spread out.
 *
 *     before   |  a  |  b  |  c  |  d  |  e  |            slots of the node, no room for more
 *     after    |  a  |       node      |  e  |
 *                     |   |   |   |   |                   slots under another salt
 *                     b'  c'  d'  f'
 */
#include <assert.h>

#include "base/error.h"
#include "tree/internal.h"

enum {
    PUSH_SLOTS_PER_PAGE = 16, /* a node begins with so many slots for each page, at least */
    PUSH_SALTS_MAX = 8        /* salts that are tried before the keys count as colliding */
};

typedef struct push_group {
    uint32_t first;                 /* child index of the first page */
    uint32_t count;                 /* pages */
    uint64_t used;                  /* bytes in them */
    htt_ref refs[HTT_GROUP_MAX];    /* the pages */
    uint64_t stamps[HTT_GROUP_MAX]; /* of the pages */
} push_group;

static void push_add(htt_tree *tree, push_group *group, uint32_t at, htt_ref ref,
                     const uint8_t *page) {
    assert(at < HTT_GROUP_MAX && ref.page != 0);
    group->refs[at] = ref;
    group->stamps[at] = htt_page_stamp(page);
    group->used += htt_data_used(page, tree->view->page_size);
}

/* The leaf and its neighbours: as many to the left as to the right where that is possible. */
static htt_rc push_choose(htt_tree *tree, const htt_path *path, uint32_t width, push_group *group) {
    const htt_step *step = path->depth == 0 ? NULL : &path->steps[path->depth - 1];
    uint32_t first, end, count;
    const uint8_t *page = path->leaf_bytes;
    assert(width >= 1 && width <= HTT_GROUP_MAX);
    assert(page != NULL);
    group->used = 0;
    group->count = 1;
    group->first = 0;
    if (step == NULL) {
        push_add(tree, group, 0, path->leaf, page);
        return HTT_OK;
    }
    first = step->child;
    end = step->child + 1;
    count = htt_node_count(step->node);
    for (bool left = true, right = true; end - first < width && (left || right);) {
        htt_rc rc = HTT_OK;
        left = left && first > 0;
        right = right && end < count;
        if (left) {
            rc = htt_child_leaf(tree->view, step->node, first - 1, &page);
            left = rc == HTT_OK && page != NULL;
            first -= left;
        }
        if (rc == HTT_OK && right && end - first < width) {
            rc = htt_child_leaf(tree->view, step->node, end, &page);
            right = rc == HTT_OK && page != NULL;
            end += right;
        }
        if (rc != HTT_OK)
            return rc;
    }
    group->first = first;
    group->count = end - first;
    assert(first <= step->child && step->child < end && group->count <= width);
    for (uint32_t i = first; i < end; i++) {
        htt_rc rc = htt_child_leaf(tree->view, step->node, i, &page);
        if (rc != HTT_OK)
            return rc;
        push_add(tree, group, i - first, htt_node_child(step->node, i), page);
    }
    return HTT_OK;
}

/* Plans under one salt, with as many pages and slots as it takes. */
static htt_rc push_plan(htt_tree *tree, const push_group *group, const htt_need *need, uint8_t salt,
                        uint32_t *log2_out, bool *planned_out) {
    uint64_t capacity = htt_tree_page_capacity(tree->view);
    uint64_t fill = capacity * tree->tuning.share_percent / 100;
    assert(fill > 0 && group->count >= 1);
    uint32_t pages = (uint32_t)((group->used + need->size + fill - 1) / fill);
    uint32_t log2_max = htt_node_slots_log2_max(tree->view->page_size);
    uint32_t log2 = HTT_NODE_SLOTS_LOG2_MIN;
    pages = pages < 2 ? 2 : pages;
    while (log2 < log2_max && (1u << log2) < PUSH_SLOTS_PER_PAGE * pages)
        log2++;
    *planned_out = false;
    for (;; log2++) {
        htt_rc rc = htt_gather(tree, group->refs, group->count, need, salt, log2, 0, 1u << log2);
        if (rc != HTT_OK)
            return rc;
        if (tree->scratch->alike > capacity)
            return htt_error_set(tree->view->error, HTT_COLLISION,
                                 "more keys share one 128-bit hash than a page holds");
        /* Large records may fill pages by half only: twice as many hold them in any case. */
        *planned_out = htt_deal_plan(tree, pages, pages, 0);
        if (*planned_out || log2 + 1 > log2_max || log2 > HTT_NODE_SLOTS_LOG2_MIN + 4)
            break;
    }
    *log2_out = log2;
    return HTT_OK;
}

/* Storage for the node: a whole page for a root, else where its siblings are. */
static htt_rc push_place(htt_tree *tree, htt_path *path, uint32_t size, htt_ref *ref_out,
                         uint8_t **bytes_out) {
    uint8_t *page;
    if (path->depth > 0)
        return htt_node_place(tree, path, path->depth - 1, size, ref_out, bytes_out);
    htt_rc rc = htt_writer_new(tree->view->writer, &ref_out->page, &page, tree->view->error);
    if (rc != HTT_OK)
        return rc;
    ref_out->sub = 0;
    htt_page_init(page, tree->view->page_size, HTT_PAGE_NODE);
    *bytes_out = page + HTT_PAGE_HEADER_SIZE;
    return HTT_OK;
}

static htt_rc push_apply(htt_tree *tree, htt_path *path, const push_group *group, uint8_t salt,
                         uint32_t log2) {
    const htt_deal *deal = &tree->scratch->deal;
    htt_ref refs[HTT_DEAL_MAX], ref;
    uint8_t *node;
    assert(deal->count >= 1 && deal->count <= HTT_DEAL_MAX);
    htt_rc rc = htt_path_edit(tree, path, path->depth);
    if (rc == HTT_OK)
        rc = htt_deal_out(tree, refs);
    if (rc != HTT_OK)
        return rc;
    rc = push_place(tree, path, htt_node_size(log2, deal->count), &ref, &node);
    if (rc != HTT_OK) {
        htt_deal_undo(tree, refs, deal->count);
        return rc;
    }
    htt_node_init(node, salt, log2);
    htt_node_splice(node, 0, 1, deal->starts, refs, deal->count);
    for (uint32_t i = 0; i < group->count; i++)
        htt_writer_free(tree->view->writer, group->refs[i].page, 1, group->stamps[i]);
    if (path->depth == 0) {
        tree->root.page = ref.page;
    } else {
        uint32_t start = htt_node_start(path->steps[path->depth - 1].node, group->first);
        htt_node_splice_at(tree, path, path->depth - 1, group->first, group->count, &start, &ref,
                           1);
    }
    return HTT_OK;
}

/* Tries salts, and makes the node under the first that parts the records well enough. */
static htt_rc push_group_down(htt_tree *tree, htt_path *path, const push_group *group,
                              const htt_need *need, bool *done_out) {
    htt_rc rc = HTT_OK;
    assert(path->depth < HTT_DEPTH_MAX); /* TREE-5 */
    *done_out = false;
    for (uint32_t skip = 0; rc == HTT_OK && !*done_out && skip < PUSH_SALTS_MAX; skip++) {
        uint8_t salt = htt_path_salt(path, skip);
        uint32_t log2 = 0;
        rc = push_plan(tree, group, need, salt, &log2, done_out);
        if (rc == HTT_OK && *done_out)
            rc = push_apply(tree, path, group, salt, log2);
    }
    return rc;
}

htt_rc htt_step_push(htt_tree *tree, htt_path *path, const htt_need *need, uint32_t width) {
    push_group group;
    bool done = false;
    if (path->depth >= HTT_DEPTH_MAX)
        return htt_error_set(tree->view->error, HTT_COLLISION,
                             "keys collide on %u index nodes in a row", HTT_DEPTH_MAX);
    htt_rc rc = push_choose(tree, path, width, &group);
    if (rc == HTT_OK)
        rc = push_group_down(tree, path, &group, need, &done);
    if (rc == HTT_OK && !done && group.count > 1) { /* the fewer records, the easier */
        rc = push_choose(tree, path, 1, &group);
        if (rc == HTT_OK)
            rc = push_group_down(tree, path, &group, need, &done);
    }
    if (rc != HTT_OK || done)
        return rc;
    return htt_error_set(tree->view->error, HTT_COLLISION, "keys collide under %d salts in a row",
                         PUSH_SALTS_MAX);
}
