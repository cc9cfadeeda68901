/* SPDX-License-Identifier: MIT */
/*
 * Moving pages down, for vacuum: every page of the tree at or above a limit is copied to a lower
 * free page by ordinary copy-on-write, with the path to it. Stops when no lower page is free.
 */
#include <assert.h>
#include <string.h>

#include "base/error.h"
#include "tree/internal.h"

typedef struct lower_state {
    htt_tree *tree;    /* changed */
    uint32_t limit;    /* pages at or above it move */
    uint64_t moved;    /* pages so far */
    bool full;         /* no lower page is free any more */
    htt_walker walker; /* where it is */
} lower_state;

/* The path to where the walker is; the walker learns the new page numbers after an edit. */
static htt_rc lower_path(lower_state *lower, uint32_t depth, htt_path *path) {
    assert(depth <= HTT_DEPTH_MAX && depth <= lower->walker.depth);
    path->depth = depth;
    for (uint32_t i = 0; i < depth; i++) {
        const htt_walker_step *from = &lower->walker.steps[i];
        htt_step *step = &path->steps[i];
        *step = (htt_step){from->ref.page, from->ref.sub, from->child == 0 ? 0 : from->child - 1,
                           NULL, NULL};
        htt_rc rc = htt_path_open(lower->tree->view, from->ref, &step->bytes, &step->node);
        if (rc != HTT_OK)
            return rc;
        if (step->node == NULL || step->child >= htt_node_count(step->node))
            return htt_error_page(lower->tree->view->error, HTT_CORRUPT, step->page,
                                  "it is in use and in the free list");
    }
    return HTT_OK;
}

static htt_rc lower_edit(lower_state *lower, htt_path *path, uint32_t levels) {
    assert(levels >= 1 && levels <= path->depth + 1);
    htt_rc rc = htt_path_edit(lower->tree, path, levels);
    for (uint32_t i = 0; i < path->depth; i++)
        lower->walker.steps[i].ref.page = path->steps[i].page;
    return rc;
}

/* A node's page: the walker has it as its last step already. */
static htt_rc lower_node(lower_state *lower, const htt_tree_place *place) {
    htt_path path;
    assert(!place->is_data && place->page >= lower->limit);
    htt_rc rc = lower_path(lower, place->depth + 1, &path);
    if (rc == HTT_OK)
        rc = lower_edit(lower, &path, place->depth + 1);
    if (rc == HTT_OK) {
        lower->full = path.steps[place->depth].page >= lower->limit;
        lower->moved += !lower->full;
    }
    return rc;
}

/* Where the highest of some runs ends; 0 = there are none. */
static uint32_t lower_end(const htt_overflow *runs) {
    uint32_t end = 0;
    for (uint32_t i = 0; i < runs->count; i++) {
        if (runs->runs[i].first + runs->runs[i].pages > end)
            end = runs->runs[i].first + runs->runs[i].pages;
    }
    return end;
}

/* Writes what a record's runs hold once more; the writer takes the lowest place that fits. The pins
 * are its own, since the values of one page can be more than memory holds together. */
static htt_rc lower_copy_runs(lower_state *lower, const htt_record *record, uint32_t runs_max,
                              htt_overflow *copy_out) {
    htt_tree *tree = lower->tree;
    htt_tree_buffer buffer = {tree->env, NULL, 0};
    htt_datum value, key = {NULL, 0, 0};
    htt_pins pins = {0};
    htt_view view = *tree->view;
    view.pins = &pins;
    assert(record->overflow);
    assert(runs_max >= 1 && runs_max <= HTT_DATA_RUNS_MAX);
    htt_rc rc = htt_tree_value(&view, record, &buffer, &value);
    if (rc == HTT_OK && record->key_external)
        key = htt_blob((const uint8_t *)value.data - record->key_size, record->key_size);
    if (rc == HTT_OK)
        rc = htt_writer_put_runs(tree->view->writer, key.data, key.size, value.data, value.size,
                                 runs_max, copy_out, tree->view->error);
    if (rc == HTT_OK)
        copy_out->value_size = value.size;
    htt_pins_free(view.pages, &pins);
    buffer.env->release(buffer.env->context, buffer.bytes);
    return rc;
}

static void lower_drop_copy(lower_state *lower, const htt_overflow *copy) {
    uint64_t stamps[HTT_DATA_RUNS_MAX];
    assert(copy->count >= 1 && copy->count <= HTT_DATA_RUNS_MAX);
    for (uint32_t i = 0; i < copy->count; i++)
        stamps[i] = htt_writer_epoch(lower->tree->view->writer);
    htt_tree_free_runs(lower->tree, copy, stamps);
}

/* Makes record `index` of the path's leaf refer to the copy. *done_out false: it does not fit. */
static htt_rc lower_refer(lower_state *lower, htt_path *path, uint32_t index, htt_record *record,
                          const htt_overflow *copy, bool *done_out) {
    uint8_t key[HTT_PAGE_SIZE_MAX / HTT_KEY_INLINE_DIVISOR + HTT_DATA_HASH_SIZE];
    uint8_t reference[HTT_OVERFLOW_SIZE_MAX];
    uint32_t page_size = lower->tree->view->page_size;
    uint32_t room = htt_data_record_size(record) + htt_data_free(path->leaf_bytes, page_size);
    size_t key_size = record->key_external ? HTT_DATA_HASH_SIZE : record->key_size;
    *done_out = false;
    if (key_size > sizeof key) /* no writer of ours makes one, but a file may have it */
        return HTT_OK;
    memcpy(key, record->key, key_size);
    record->key = key;
    record->value = reference;
    record->value_size = htt_overflow_encode(copy, reference);
    *done_out = htt_data_record_size(record) <= room;
    if (!*done_out)
        return HTT_OK;
    htt_rc rc = lower_edit(lower, path, path->depth + 1);
    if (rc == HTT_OK)
        htt_data_replace(htt_path_leaf(path), page_size, index, record);
    return rc;
}

static htt_rc lower_record(lower_state *lower, htt_path *path, uint32_t index) {
    htt_tree *tree = lower->tree;
    htt_overflow old, copy;
    uint64_t stamps[HTT_DATA_RUNS_MAX];
    htt_record record;
    htt_fault fault;
    bool done = false;
    if (!htt_data_record(path->leaf_bytes, tree->view->page_size, index, &record, &fault))
        return htt_tree_fault(tree->view, path->leaf.page, &fault);
    htt_rc rc = htt_tree_runs_of(tree, &record, &old, stamps);
    if (rc != HTT_OK || lower_end(&old) <= lower->limit)
        return rc;
    /* More runs than the page has room for would leave the value where it is. */
    uint32_t runs_max =
        old.count + htt_data_free(path->leaf_bytes, tree->view->page_size) / HTT_DATA_RUN_SIZE;
    if (runs_max > HTT_DATA_RUNS_MAX)
        runs_max = HTT_DATA_RUNS_MAX;
    rc = lower_copy_runs(lower, &record, runs_max, &copy);
    if (rc != HTT_OK)
        return rc;
    /* Below the limit there may be no place that is long enough: any lower one will do. */
    if (lower_end(&copy) < lower_end(&old))
        rc = lower_refer(lower, path, index, &record, &copy, &done);
    if (done && rc == HTT_OK) {
        htt_tree_free_runs(tree, &old, stamps);
        lower->moved += old.count;
    } else {
        lower_drop_copy(lower, &copy);
    }
    return rc;
}

static htt_rc lower_data(lower_state *lower, const htt_tree_place *place) {
    htt_path path;
    const uint8_t *node;
    assert(place->is_data);
    htt_rc rc = lower_path(lower, place->depth, &path);
    if (rc != HTT_OK)
        return rc;
    path.leaf = (htt_ref){place->page, 0};
    path.leaf_bytes = place->bytes;
    if (place->page >= lower->limit) {
        rc = lower_edit(lower, &path, path.depth + 1);
        if (rc == HTT_OK) {
            lower->full = path.leaf.page >= lower->limit;
            lower->moved += !lower->full;
        }
    }
    for (uint32_t i = 0; rc == HTT_OK && i < htt_page_count(path.leaf_bytes); i++) {
        rc = lower_record(lower, &path, i);
        /* Runs that were written may have come to lie over it, if the free list is damaged. */
        if (rc == HTT_OK)
            rc = htt_path_open(lower->tree->view, path.leaf, &path.leaf_bytes, &node);
        if (rc == HTT_OK && node != NULL)
            rc = htt_error_page(lower->tree->view->error, HTT_CORRUPT, path.leaf.page,
                                "it is in use and in the free list");
    }
    return rc;
}

htt_rc htt_tree_lower(htt_tree *tree, uint32_t limit, uint64_t *moved_out) {
    lower_state lower = {.tree = tree, .limit = limit};
    htt_tree_place place;
    htt_rc rc = HTT_OK;
    assert(tree->view->writer != NULL);
    htt_walker_begin(&lower.walker, tree->view, &tree->root);
    while (rc == HTT_OK && !lower.full) {
        htt_pins_drop(tree->view->pages, tree->view->pins);
        rc = htt_tree_reserve(tree);
        if (rc == HTT_OK)
            rc = htt_walker_next(&lower.walker, &place);
        if (rc == HTT_OK && place.is_data)
            rc = lower_data(&lower, &place);
        else if (rc == HTT_OK && place.page >= limit)
            rc = lower_node(&lower, &place);
    }
    *moved_out = lower.moved;
    return rc == HTT_NOTFOUND ? HTT_OK : rc;
}
