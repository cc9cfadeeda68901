/* SPDX-License-Identifier: MIT */
/*
 * A walk over all rows of one root. The cursor works on its own copy of the data page it stands on,
 * so writers may spill, commit or abort under it, and what it gave out stays good until the next
 * call.
 */
#include <assert.h>
#include <string.h>

#include "base/error.h"
#include "tree/internal.h"

struct htt_tree_cursor {
    htt_view *view;     /* the caller's */
    const htt_env *env; /* whose memory */
    htt_walker walker;  /* where it is */
    uint32_t index;     /* next record of the leaf */
    uint32_t count;     /* records in the leaf */
    uint32_t number;    /* the leaf's page number */
    uint8_t *leaf;      /* copy of a data page */
};

htt_rc htt_tree_cursor_open(htt_view *view, const htt_env *env, const htt_tree_root *root,
                            htt_tree_cursor **cursor_out) {
    htt_tree_cursor *cursor = env->allocate(env->context, sizeof *cursor);
    uint8_t *leaf = env->allocate(env->context, view->page_size);
    assert(view->page_size >= HTT_PAGE_SIZE_MIN);
    if (cursor == NULL || leaf == NULL) {
        env->release(env->context, cursor);
        env->release(env->context, leaf);
        return htt_error_set(view->error, HTT_NOMEM, "no memory for a cursor");
    }
    memset(cursor, 0, sizeof *cursor);
    cursor->view = view;
    cursor->env = env;
    htt_walker_begin(&cursor->walker, view, root);
    cursor->leaf = leaf;
    *cursor_out = cursor;
    return HTT_OK;
}

void htt_tree_cursor_close(htt_tree_cursor *cursor) {
    if (cursor == NULL)
        return;
    cursor->env->release(cursor->env->context, cursor->leaf);
    cursor->env->release(cursor->env->context, cursor);
}

/* Stands on the next data page. */
static htt_rc cursor_advance(htt_tree_cursor *cursor) {
    htt_tree_place place;
    assert(cursor->index == cursor->count); /* no row is left out */
    cursor->count = cursor->index = 0;
    do {
        htt_rc rc = htt_walker_next(&cursor->walker, &place);
        if (rc != HTT_OK)
            return rc;
    } while (!place.is_data);
    memcpy(cursor->leaf, place.bytes, cursor->view->page_size);
    cursor->number = place.page;
    cursor->count = htt_page_count(place.bytes);
    return HTT_OK;
}

htt_rc htt_tree_cursor_next(htt_tree_cursor *cursor, htt_record *record_out) {
    htt_fault fault;
    assert(cursor->index <= cursor->count);
    htt_pins_drop(cursor->view->pages, cursor->view->pins);
    if (cursor->index >= cursor->count) {
        htt_rc rc = cursor_advance(cursor);
        if (rc != HTT_OK)
            return rc;
    }
    if (!htt_data_record(cursor->leaf, cursor->view->page_size, cursor->index++, record_out,
                         &fault))
        return htt_tree_fault(cursor->view, cursor->number, &fault);
    return HTT_OK;
}
