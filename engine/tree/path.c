/* SPDX-License-Identifier: MIT */
/* Paths: going down, and making what is on the way writable. See path.h. */
#include "tree/path.h"

#include <assert.h>
#include <string.h>

#include "base/error.h"
#include "base/value.h"

htt_hash htt_path_hash(const htt_view *view, htt_datum key) {
    return view->hash(view->seed, htt_key_class(key.type), key.data, key.size);
}

htt_rc htt_path_open(htt_view *view, htt_ref ref, const uint8_t **page_out,
                     const uint8_t **node_out) {
    const uint8_t *page;
    assert(ref.page != 0); /* a range without keys: nothing to look at */
    htt_rc rc = htt_view_page(view, ref.page, &page);
    if (rc != HTT_OK)
        return rc;
    *page_out = page;
    switch (htt_page_type(page)) {
    case HTT_PAGE_DATA:
        *node_out = NULL;
        if (ref.sub == 0)
            return HTT_OK;
        break;
    case HTT_PAGE_NODE:
        *node_out = page + HTT_PAGE_HEADER_SIZE;
        if (ref.sub == 0)
            return HTT_OK;
        break;
    case HTT_PAGE_INDEX:
        *node_out = htt_index_node_const(page, view->page_size, ref.sub);
        if (*node_out != NULL)
            return HTT_OK;
        break;
    default: break;
    }
    return htt_error_page(view->error, HTT_CORRUPT, ref.page,
                          "a child refers to sub-page %u, which is not there (page type %u)",
                          ref.sub, htt_page_type(page));
}

uint32_t htt_path_order(htt_view *view, uint32_t root_page, htt_datum key) {
    const uint8_t *page, *node;
    const htt_ref root = {root_page, 0};
    if (root_page == 0 || htt_path_open(view, root, &page, &node) != HTT_OK || node == NULL)
        return 0;
    return htt_hash_mix(htt_path_hash(view, key), htt_node_salt(node));
}

static bool path_has_page(const htt_path *path, uint32_t page) {
    for (uint32_t i = 0; i < path->depth; i++) {
        if (path->steps[i].page == page)
            return true;
    }
    return false;
}

htt_rc htt_path_find(htt_view *view, uint32_t root_page, htt_path *path) {
    htt_ref ref = {root_page, 0};
    path->depth = 0;
    path->leaf_bytes = NULL;
    while (ref.page != 0) {
        const uint8_t *page, *node;
        htt_rc rc = htt_path_open(view, ref, &page, &node);
        if (rc != HTT_OK)
            return rc;
        if (node == NULL) {
            path->leaf_bytes = page;
            break;
        }
        if (path->depth == HTT_DEPTH_MAX)
            return htt_error_page(view->error, HTT_CORRUPT, ref.page,
                                  "more than %u index nodes on a path", HTT_DEPTH_MAX);
        if (path_has_page(path, ref.page))
            return htt_error_page(view->error, HTT_CORRUPT, ref.page,
                                  "it occurs twice on one path");
        htt_step *step = &path->steps[path->depth++];
        uint32_t mix = htt_hash_mix(path->hash, htt_node_salt(node));
        step->page = ref.page;
        step->sub = ref.sub;
        step->bytes = page;
        step->node = node;
        step->child = htt_node_find(node, htt_hash_slot(mix, htt_node_slots(node)));
        ref = htt_node_child(node, step->child);
    }
    assert((ref.page != 0) == (path->leaf_bytes != NULL));
    path->leaf = ref;
    return HTT_OK;
}

void htt_path_renumber(uint8_t *parent, uint32_t old_page, uint32_t new_page) {
    uint32_t count = htt_node_count(parent);
    assert(old_page != new_page && old_page != 0 && new_page != 0);
    for (uint32_t i = 0; i < count; i++) {
        htt_ref ref = htt_node_child(parent, i);
        if (ref.page == old_page) {
            ref.page = new_page;
            htt_node_set_child(parent, i, ref);
        }
    }
}

void htt_path_refer(htt_tree *tree, htt_path *path, uint32_t level, htt_ref ref) {
    assert(level <= path->depth);
    if (level == 0) {
        assert(ref.sub == 0);
        tree->root.page = ref.page;
    } else {
        htt_node_set_child(htt_path_node(path, level - 1), path->steps[level - 1].child, ref);
    }
}

htt_rc htt_tree_edit(htt_tree *tree, uint32_t *number, const uint8_t *seen, uint8_t **bytes_out) {
    htt_view *view = tree->view;
    uint32_t old = *number;
    assert(view->writer != NULL && seen != NULL);
    htt_rc rc = htt_writer_edit(view->writer, number, bytes_out, view->error);
    if (rc == HTT_OK && *bytes_out != seen && memcmp(*bytes_out, seen, view->page_size) != 0)
        return htt_error_page(view->error, HTT_CORRUPT, old, "it is in use and in the free list");
    return rc;
}

static htt_rc path_edit_page(htt_tree *tree, htt_path *path, uint32_t level, uint32_t *number,
                             uint8_t sub, const uint8_t *seen, uint8_t **bytes_out) {
    uint32_t old = *number;
    assert(sub == 0 || level > 0); /* a root is a whole page */
    htt_rc rc = htt_tree_edit(tree, number, seen, bytes_out);
    if (rc != HTT_OK || *number == old)
        return rc;
    if (sub == 0)
        htt_path_refer(tree, path, level, (htt_ref){*number, 0});
    else
        htt_path_renumber(htt_path_node(path, level - 1), old, *number);
    return HTT_OK;
}

htt_rc htt_path_edit(htt_tree *tree, htt_path *path, uint32_t levels) {
    uint8_t *bytes;
    assert(levels <= path->depth + 1);
    for (uint32_t i = 0; i < levels && i < path->depth; i++) {
        htt_step *step = &path->steps[i];
        htt_rc rc = path_edit_page(tree, path, i, &step->page, step->sub, step->bytes, &bytes);
        if (rc != HTT_OK)
            return rc;
        step->bytes = bytes;
        step->node = step->sub == 0 ? bytes + HTT_PAGE_HEADER_SIZE
                                    : htt_index_node(bytes, tree->view->page_size, step->sub);
        assert(step->node != NULL);
    }
    if (levels > path->depth && path->leaf.page != 0) {
        htt_rc rc = path_edit_page(tree, path, path->depth, &path->leaf.page, 0,
                                   path->leaf_bytes, &bytes);
        if (rc != HTT_OK)
            return rc;
        path->leaf_bytes = bytes;
    }
    return HTT_OK;
}

uint8_t htt_path_salt(const htt_path *path, uint32_t skip) {
    uint32_t salt = 0;
    for (;; salt++) {
        uint32_t i = 0;
        while (i < path->depth && htt_node_salt(path->steps[i].node) != salt)
            i++;
        if (i == path->depth && skip-- == 0)
            break;
    }
    assert(salt < HTT_SALT_COUNT);
    return (uint8_t)salt;
}
