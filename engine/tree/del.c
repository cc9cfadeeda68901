/* SPDX-License-Identifier: MIT */
/*
 * Deleting a row, and giving back what then holds too little:
 *
 *     page empty       -> the page is freed, its range goes to a neighbour
 *     node empty       -> the node is freed, and so on upwards
 *     two pages fill   -> one page (merge). The limits are apart, so that a put and a delete at
 *     little              the border do not merge and split in turn.
 *     node of one child -> its parent refers to that child (collapse)
 *     node with far too many slots -> half of them
 */
#include <assert.h>

#include "base/error.h"
#include "tree/internal.h"

enum {
    DEL_MERGE_BELOW = 35,    /* percent: a page this empty looks for a neighbour */
    DEL_MERGE_TO = 70,       /* percent: the two may fill one page up to this */
    DEL_SLOTS_PER_CHILD = 64 /* above this, slots are halved where that is possible */
};

/* A node with one child is replaced by it. A root must be whole. */
static void del_collapse(htt_tree *tree, htt_path *path, uint32_t level) {
    assert(level < path->depth);
    const htt_step *step = &path->steps[level];
    if (htt_node_count(step->node) != 1) {
        if (htt_node_can_halve(step->node) &&
            htt_node_slots(step->node) > DEL_SLOTS_PER_CHILD * htt_node_count(step->node))
            htt_node_halve_at(tree, path, level);
        return;
    }
    htt_ref ref = htt_node_child(step->node, 0);
    if (level == 0 && ref.sub != 0)
        return;
    htt_path_refer(tree, path, level, ref);
    htt_node_unplace(tree, step);
}

/* Two neighbouring children become one: the range of both, and `ref`. */
static void del_join(htt_tree *tree, htt_path *path, uint32_t level, uint32_t first, htt_ref ref) {
    assert(level < path->depth);
    uint32_t start = htt_node_start(path->steps[level].node, first);
    htt_node_splice_at(tree, path, level, first, 2, &start, &ref, 1);
    del_collapse(tree, path, level);
}

/* The leaf is empty. A neighbour may be a range without keys (a put that failed leaves one): the
 * joined range is one too then, and goes to the next neighbour. */
static void del_empty(htt_tree *tree, htt_path *path) {
    htt_writer *writer = tree->view->writer;
    uint32_t level = path->depth;
    assert(htt_page_count(path->leaf_bytes) == 0);
    htt_writer_free(writer, path->leaf.page, 1, htt_writer_epoch(writer));
    while (level > 0) {
        htt_step *step = &path->steps[level - 1];
        if (htt_node_count(step->node) == 1) {
            htt_node_unplace(tree, step);
            level--;
            continue;
        }
        uint32_t first = step->child == 0 ? 0 : step->child - 1;
        htt_ref stays = htt_node_child(step->node, step->child == 0 ? 1 : first);
        if (stays.page != 0) {
            del_join(tree, path, level - 1, first, stays);
            return;
        }
        uint32_t start = htt_node_start(step->node, first);
        htt_node_splice_at(tree, path, level - 1, first, 2, &start, &stays, 1);
        step->child = first;
    }
    tree->root.page = 0; /* TREE-4 */
}

/* Takes the records of neighbour `index` into the leaf if both fit well. True: done. */
static bool del_merge_with(htt_tree *tree, htt_path *path, uint32_t index) {
    uint32_t page_size = tree->view->page_size;
    uint32_t level = path->depth - 1;
    uint32_t limit = htt_tree_page_capacity(tree->view) / 100 * DEL_MERGE_TO;
    uint8_t *leaf = htt_path_leaf(path);
    const uint8_t *page;
    assert(index != path->steps[level].child);
    /* A neighbour that cannot be read is left alone: the row is deleted all the same. */
    if (htt_child_leaf(tree->view, path->steps[level].node, index, &page) != HTT_OK || page == NULL)
        return false;
    if (htt_data_used(page, page_size) + htt_data_used(leaf, page_size) > limit)
        return false;
    for (uint32_t i = 0; i < htt_page_count(page); i++) {
        uint32_t size;
        const uint8_t *bytes = htt_data_raw(page, page_size, i, &size);
        htt_data_insert_raw(leaf, page_size, htt_data_fingerprint(page, i), bytes, size);
    }
    htt_ref ref = htt_node_child(path->steps[level].node, index);
    htt_writer_free(tree->view->writer, ref.page, 1, htt_page_stamp(page));
    uint32_t child = path->steps[level].child;
    del_join(tree, path, level, index < child ? index : child, path->leaf);
    return true;
}

static void del_merge(htt_tree *tree, htt_path *path) {
    assert(htt_page_count(path->leaf_bytes) > 0); /* TREE-4 */
    uint32_t used = htt_data_used(path->leaf_bytes, tree->view->page_size);
    if (path->depth == 0 || used > htt_tree_page_capacity(tree->view) / 100 * DEL_MERGE_BELOW)
        return;
    uint32_t child = path->steps[path->depth - 1].child;
    uint32_t count = htt_node_count(path->steps[path->depth - 1].node);
    if (count == 1) {
        del_collapse(tree, path, path->depth - 1);
        return;
    }
    if (child > 0 && del_merge_with(tree, path, child - 1))
        return;
    if (child + 1 < count)
        (void)del_merge_with(tree, path, child + 1); /* false: it stays as it is */
}

htt_rc htt_tree_del(htt_tree *tree, htt_datum key) {
    htt_view *view = tree->view;
    htt_overflow runs;
    uint64_t stamps[HTT_DATA_RUNS_MAX];
    htt_tree_row row;
    htt_path path;
    path.hash = htt_path_hash(view, key);
    assert(view->writer != NULL);
    htt_rc rc = htt_tree_reserve(tree);
    if (rc == HTT_OK)
        rc = htt_path_find(view, tree->root.page, &path);
    if (rc != HTT_OK)
        return rc;
    if (path.leaf_bytes == NULL)
        return HTT_NOTFOUND;
    rc = htt_tree_find_in_page(view, path.leaf_bytes, path.leaf.page, key, path.hash, &row);
    if (rc == HTT_OK)
        rc = htt_tree_runs_of(tree, &row.record, &runs, stamps);
    if (rc == HTT_OK)
        rc = htt_path_edit(tree, &path, path.depth + 1);
    if (rc != HTT_OK)
        return rc;
    tree->root.keys -= 1;
    tree->root.bytes -= key.size + runs.value_size;
    htt_data_remove(htt_path_leaf(&path), view->page_size, row.index);
    htt_tree_free_runs(tree, &runs, stamps);
    if (htt_page_count(path.leaf_bytes) == 0)
        del_empty(tree, &path);
    else
        del_merge(tree, &path);
    return HTT_OK;
}
