/* SPDX-License-Identifier: MIT */
/* Visiting every node and data page of a root, parents first, without recursion. */
#include <assert.h>
#include <string.h>

#include "base/error.h"
#include "tree/internal.h"

void htt_walker_begin(htt_walker *walker, htt_view *view, const htt_tree_root *root) {
    memset(walker, 0, sizeof *walker);
    walker->view = view;
    walker->root = (htt_ref){root->page, 0};
    if (view->writer != NULL)
        view->snapshot.page_count = htt_writer_page_count(view->writer);
    /* An index page holds at most 255 nodes, so no sound tree has more places than this. */
    walker->left = (uint64_t)view->snapshot.page_count * (HTT_SUBPAGES_MAX + 1);
}

/* The walker steps over damage; after any other failure the same step can be tried again. */
static bool walker_is_damage(htt_rc rc) {
    return rc == HTT_CORRUPT || rc == HTT_SNAPSHOT;
}

static htt_rc walker_enter(htt_walker *walker, htt_ref ref, htt_tree_place *place) {
    const uint8_t *page, *node;
    assert(ref.page != 0 && walker->depth <= HTT_DEPTH_MAX);
    memset(place, 0, sizeof *place);
    place->page = ref.page;
    place->sub = ref.sub;
    place->depth = walker->depth;
    if (walker->left == 0)
        return htt_error_page(walker->view->error, HTT_CORRUPT, ref.page,
                              "the index names more places than there are");
    walker->left--; /* also for what cannot be read: a damaged tree may go round in circles */
    htt_rc rc = htt_path_open(walker->view, ref, &page, &node);
    if (rc != HTT_OK)
        return rc;
    if (node != NULL && walker->depth == HTT_DEPTH_MAX)
        return htt_error_page(walker->view->error, HTT_CORRUPT, ref.page,
                              "too many index nodes on a path");
    place->is_data = node == NULL;
    place->bytes = node == NULL ? page : node;
    place->page_bytes = page;
    if (node != NULL)
        walker->steps[walker->depth++] = (htt_walker_step){ref, 0};
    return HTT_OK;
}

htt_rc htt_walker_next(htt_walker *walker, htt_tree_place *place_out) {
    const uint8_t *page, *node;
    assert(walker->root.page == 0 || walker->depth == 0);
    if (walker->root.page != 0) {
        htt_ref root = walker->root;
        htt_rc rc = walker_enter(walker, root, place_out);
        if (rc == HTT_OK || walker_is_damage(rc))
            walker->root.page = 0;
        return rc;
    }
    while (walker->depth > 0) {
        htt_walker_step *step = &walker->steps[walker->depth - 1];
        place_out->page = step->ref.page;
        htt_rc rc = htt_path_open(walker->view, step->ref, &page, &node);
        if (rc != HTT_OK && !walker_is_damage(rc))
            return rc;
        if (rc != HTT_OK || node == NULL || step->child >= htt_node_count(node)) {
            walker->depth--;
            if (rc != HTT_OK)
                return rc;
            continue;
        }
        htt_ref ref = htt_node_child(node, step->child++);
        if (ref.page == 0)
            continue;
        if (step->child < htt_node_count(node)) /* whoever walks reads it next */
            htt_pages_prefetch_begin(walker->view->pages, htt_node_child(node, step->child).page);
        rc = walker_enter(walker, ref, place_out);
        if (rc != HTT_OK && !walker_is_damage(rc))
            step->child--;
        return rc;
    }
    return HTT_NOTFOUND;
}

htt_rc htt_tree_walk(htt_view *view, const htt_tree_root *root, const htt_tree_visitor *visitor) {
    htt_walker walker;
    htt_tree_place place;
    htt_rc rc = HTT_OK;
    htt_walker_begin(&walker, view, root);
    while (rc == HTT_OK) {
        htt_pins_drop(view->pages, view->pins);
        rc = htt_walker_next(&walker, &place);
        if (rc == HTT_CORRUPT && visitor->damaged != NULL && walker.left > 0)
            rc = visitor->damaged(visitor->arg, place.page, view->error);
        else if (rc == HTT_OK && place.is_data && visitor->data != NULL)
            rc = visitor->data(visitor->arg, &place);
        else if (rc == HTT_OK && !place.is_data && visitor->node != NULL)
            rc = visitor->node(visitor->arg, &place);
    }
    assert(rc != HTT_NOTFOUND || walker.depth == 0);
    return rc == HTT_NOTFOUND ? HTT_OK : rc;
}
