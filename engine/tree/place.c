/* SPDX-License-Identifier: MIT */
/*
 * Where index nodes are stored. A small node is a sub-page of an index page that it shares with
 * siblings (TREE-3); a node of more than half a page has a page of its own, and so has the root.
 *
 *     make_room   can the node grow here? else it moves: to an index page of its siblings with
 *                 room, to a new one, or to a whole page
 */
#include <assert.h>
#include <string.h>

#include "tree/internal.h"

/* Siblings on both sides whose index pages are looked at before a new one is made. */
enum { PLACE_REACH = 64 };

/* Above this a node gets a page of its own. */
static uint32_t place_whole(const htt_view *view) {
    return view->page_size / 2;
}

/* What a node is given room for: `extra` bytes, needed at once, or more to grow by later. Without
 * the first it could be moved to and fro between two pages. */
static uint32_t place_wanted(uint32_t size, uint32_t extra) {
    uint32_t slack = size / 4 + 8 * HTT_NODE_CHILD_SIZE;
    return size + (extra > slack ? extra : slack);
}

/* An index page of children near the path's child with room, other than `avoid`; 0 = none. */
static htt_rc place_search(htt_tree *tree, const htt_step *parent, uint32_t wanted, uint32_t avoid,
                           uint32_t *page_out, const uint8_t **bytes_out) {
    uint32_t count = htt_node_count(parent->node), last = 0;
    uint32_t from = parent->child > PLACE_REACH ? parent->child - PLACE_REACH : 0;
    uint32_t end = parent->child + PLACE_REACH < count ? parent->child + PLACE_REACH : count;
    assert(wanted > 0);
    *page_out = 0;
    for (uint32_t i = from; i < end; i++) {
        htt_ref ref = htt_node_child(parent->node, i);
        const uint8_t *page;
        if (ref.sub == 0 || ref.page == avoid || ref.page == last)
            continue;
        last = ref.page;
        htt_rc rc = htt_view_page(tree->view, ref.page, &page);
        if (rc != HTT_OK)
            return rc;
        if (htt_page_type(page) == HTT_PAGE_INDEX &&
            htt_index_fits(page, tree->view->page_size, wanted)) {
            *page_out = ref.page;
            *bytes_out = page;
            return HTT_OK;
        }
    }
    return HTT_OK;
}

/* A place for a node of `size` bytes that soon needs `extra` more, in another page than `avoid`. */
static htt_rc place_at(htt_tree *tree, htt_path *path, uint32_t parent, uint32_t size,
                       uint32_t extra, uint32_t avoid, htt_ref *ref_out, uint8_t **bytes_out) {
    htt_view *view = tree->view;
    const uint8_t *seen = NULL;
    uint8_t *page;
    uint32_t number, old;
    htt_rc rc;
    assert(parent < path->depth);
    assert(size >= htt_node_size(HTT_NODE_SLOTS_LOG2_MIN, 1));
    if (size + extra > place_whole(view)) {
        rc = htt_writer_new(view->writer, &number, &page, view->error);
        if (rc != HTT_OK)
            return rc;
        htt_page_init(page, view->page_size, HTT_PAGE_NODE);
        *ref_out = (htt_ref){number, 0};
        *bytes_out = page + HTT_PAGE_HEADER_SIZE;
        return HTT_OK;
    }
    rc = place_search(tree, &path->steps[parent], place_wanted(size, extra), avoid, &number,
                      &seen);
    if (rc != HTT_OK)
        return rc;
    old = number;
    if (number == 0) {
        rc = htt_writer_new(view->writer, &number, &page, view->error);
        if (rc == HTT_OK)
            htt_index_init(page, view->page_size);
    } else {
        rc = htt_tree_edit(tree, &number, seen, &page);
        if (rc == HTT_OK && number != old)
            htt_path_renumber(htt_path_node(path, parent), old, number);
    }
    if (rc != HTT_OK)
        return rc;
    ref_out->page = number;
    ref_out->sub = htt_index_add(page, view->page_size, size);
    *bytes_out = htt_index_node(page, view->page_size, ref_out->sub);
    assert(*bytes_out != NULL);
    return HTT_OK;
}

htt_rc htt_node_place(htt_tree *tree, htt_path *path, uint32_t parent, uint32_t size,
                      htt_ref *ref_out, uint8_t **bytes_out) {
    return place_at(tree, path, parent, size, 0, 0, ref_out, bytes_out);
}

void htt_node_unplace(htt_tree *tree, const htt_step *step) {
    assert(step->page != 0);
    htt_writer *writer = tree->view->writer;
    uint8_t *page = (uint8_t *)(uintptr_t)step->bytes;
    if (step->sub != 0) {
        htt_index_remove(page, tree->view->page_size, step->sub);
        if (htt_page_count(page) > 0)
            return;
    }
    htt_writer_free(writer, step->page, 1, htt_writer_epoch(writer));
}

htt_rc htt_node_make_room(htt_tree *tree, htt_path *path, uint32_t level, uint32_t extra,
                          htt_room *room_out) {
    htt_view *view = tree->view;
    const htt_step *step = &path->steps[level];
    uint32_t size = htt_node_bytes(step->node);
    uint8_t *bytes;
    htt_ref ref;
    *room_out = HTT_ROOM_HERE;
    assert(level < path->depth);
    if (step->sub == 0) {
        if (HTT_PAGE_HEADER_SIZE + size + extra > view->page_size)
            *room_out = HTT_ROOM_NONE;
        return HTT_OK;
    }
    if (htt_index_room(step->bytes, view->page_size) >= extra)
        return HTT_OK;
    assert(level > 0);
    htt_rc rc = htt_path_edit(tree, path, level + 1);
    if (rc != HTT_OK)
        return rc;
    rc = place_at(tree, path, level - 1, size, extra, step->page, &ref, &bytes);
    if (rc != HTT_OK)
        return rc;
    memcpy(bytes, step->node, size);
    htt_node_unplace(tree, step);
    htt_path_refer(tree, path, level, ref);
    *room_out = HTT_ROOM_MOVED;
    return HTT_OK;
}

/* Gives the edited node at `level` `size` bytes instead of `old_size`. */
static void place_resize(htt_tree *tree, htt_path *path, uint32_t level, uint32_t old_size,
                         uint32_t size) {
    htt_step *step = &path->steps[level];
    uint8_t *page = (uint8_t *)(uintptr_t)step->bytes;
    if (step->sub == 0) {
        assert(HTT_PAGE_HEADER_SIZE + size <= tree->view->page_size);
        if (size < old_size)
            memset(page + HTT_PAGE_HEADER_SIZE + size, 0, old_size - size);
        return;
    }
    htt_index_resize(page, tree->view->page_size, step->sub, old_size, size);
    step->node = htt_index_node(page, tree->view->page_size, step->sub);
    assert(step->node != NULL);
}

void htt_node_splice_at(htt_tree *tree, htt_path *path, uint32_t level, uint32_t first,
                        uint32_t old_count, const uint32_t *starts, const htt_ref *refs,
                        uint32_t new_count) {
    uint32_t old_size = htt_node_bytes(path->steps[level].node);
    uint32_t size = old_size + HTT_NODE_CHILD_SIZE * new_count - HTT_NODE_CHILD_SIZE * old_count;
    assert(old_count >= 1 && new_count >= 1);
    if (size > old_size)
        place_resize(tree, path, level, old_size, size);
    htt_node_splice(htt_path_node(path, level), first, old_count, starts, refs, new_count);
    assert(htt_node_bytes(path->steps[level].node) == size);
    if (size < old_size)
        place_resize(tree, path, level, old_size, size);
}

void htt_node_double_at(htt_tree *tree, htt_path *path, uint32_t level) {
    const uint8_t *node = path->steps[level].node;
    uint32_t old_size = htt_node_bytes(node);
    uint32_t size = htt_node_size(htt_node_slots_log2(node) + 1, htt_node_count(node));
    place_resize(tree, path, level, old_size, size);
    htt_node_double(htt_path_node(path, level));
    assert(htt_node_bytes(path->steps[level].node) == size);
}

void htt_node_halve_at(htt_tree *tree, htt_path *path, uint32_t level) {
    uint32_t old_size = htt_node_bytes(path->steps[level].node);
    assert(htt_node_can_halve(path->steps[level].node));
    htt_node_halve(htt_path_node(path, level));
    place_resize(tree, path, level, old_size, htt_node_bytes(path->steps[level].node));
}
