/* SPDX-License-Identifier: MIT */
/*
 * Staged rows go into pages, in the order of the tree: sorted by their slot in the root, those
 * under one child by their slot in that, and so on. What is done with them depends on how many
 * there are:
 *
 *     few for their pages     one by one, as if they were put now; but neighbours follow neighbours
 *     many                    the data pages of a node are made anew: their records and the staged
 *                             ones, sorted by slot, fill page after page (settle_fill.c)
 *     too many for a node     the node is parted first: it gets children, nodes themselves, each
 *                             for an equal range of slots, and the rows go on to those
 *
 * Each of these is complete in itself, as the structural steps are: the tree is good after each,
 * and what has settled is marked, so a failure loses nothing.
 *
 * The order is found on the way, since pages and nodes change under it: `levels` remembers up to
 * which row the order is known under which salt. Where it is wrong, rows are met that belong
 * elsewhere; they are noticed, and only cost a round more.
 */
#include <assert.h>
#include <string.h>

#include "base/error.h"
#include "tree/settle.h"

enum {
    SETTLE_FULL = 4,      /* pages without room are made anew for one row in so many pages */
    SETTLE_LOADED = 32,   /* the same where this transaction made them: then once more is little */
    SETTLE_ROOM = 16,     /* a page with less than this part of it free is one without room */
    SETTLE_ROWS_MIN = 4,  /* that go into one node; for fewer rows nothing is */
    SETTLE_AHEAD = 8,     /* entries are brought into the cache before they are looked at */
    SETTLE_DIGIT = 11     /* bits that a pass of the sort looks at */
};

/* ------------------------------------------------------------------ the order */

static const htt_staged *settle_entry(const htt_settle *settle, uint32_t row) {
    return htt_stage_entry(settle->tree->stage, settle->rows[row].index);
}

/* Sorts [first, end) by mix; a pass per digit, to and fro between the two halves of the memory. */
static void settle_sort(htt_settle *settle, uint32_t first, uint32_t end) {
    htt_settle_row *from = settle->rows + first, *to = settle->spare + first, *last = from;
    uint32_t count = end - first;
    for (uint32_t shift = 0; shift < 32; shift += SETTLE_DIGIT) {
        uint32_t counts[1u << SETTLE_DIGIT] = {0}, sum = 0;
        uint32_t mask = (1u << SETTLE_DIGIT) - 1;
        for (uint32_t i = 0; i < count; i++)
            counts[from[i].mix >> shift & mask]++;
        for (uint32_t d = 0; d <= mask; d++) {
            uint32_t digits = counts[d];
            counts[d] = sum;
            sum += digits;
        }
        for (uint32_t i = 0; i < count; i++)
            to[counts[from[i].mix >> shift & mask]++] = from[i];
        htt_settle_row *swap = from;
        from = to;
        to = swap;
    }
    if (from != last)
        memcpy(last, from, count * sizeof *from);
}

/* Behind the rows from `at` on that go to the path's child at `level`. */
static uint32_t settle_child_end(const htt_settle *settle, uint32_t level) {
    const htt_step *step = &settle->path.steps[level];
    uint32_t slots = htt_node_slots(step->node);
    uint32_t end_slot = htt_node_start(step->node, step->child + 1);
    uint32_t low = settle->at + 1, high = settle->levels[level].end;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (htt_hash_slot(settle->rows[middle].mix, slots) < end_slot)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool settle_level_holds(const htt_settle *settle, uint32_t level) {
    const htt_settle_level *known = &settle->levels[level];
    return level < settle->depth && settle->at < known->end &&
           known->salt == htt_node_salt(settle->path.steps[level].node) &&
           (level == 0 || known->end <= settle->levels[level - 1].end);
}

static void settle_order_level(htt_settle *settle, uint32_t level) {
    uint8_t salt = htt_node_salt(settle->path.steps[level].node);
    uint32_t parent_end = level == 0 ? settle->count : settle->levels[level - 1].end;
    uint32_t end = settle->levels[level].end;
    if (level >= settle->depth || settle->at >= end || end > parent_end)
        end = level == 0 ? settle->count : settle_child_end(settle, level - 1);
    assert(settle->at < end && end <= parent_end);
    for (uint32_t i = settle->at; i < end; i++) {
        if (i + SETTLE_AHEAD < end)
            __builtin_prefetch(settle_entry(settle, i + SETTLE_AHEAD));
        settle->rows[i].mix = htt_hash_mix(settle_entry(settle, i)->hash, salt);
    }
    settle_sort(settle, settle->at, end);
    settle->levels[level] = (htt_settle_level){end, salt};
    settle->depth = level + 1;
}

/* The path of the next row. */
static htt_rc settle_find(htt_settle *settle) {
    htt_path *path = &settle->path;
    for (;;) {
        path->hash = settle_entry(settle, settle->at)->hash;
        htt_rc rc = htt_path_find(settle->tree->view, settle->tree->root.page, path);
        if (rc != HTT_OK)
            return rc;
        uint32_t level = 0;
        while (level < path->depth && settle_level_holds(settle, level))
            level++;
        if (level == path->depth)
            return HTT_OK;
        settle_order_level(settle, level);
    }
}

/* ----------------------------------------------------------------- what to do */

/* Adds child `index` to the unit on one side. False: it is a node. */
static htt_rc settle_add_page(htt_settle *settle, htt_settle_unit *unit, htt_ref ref, bool left,
                              bool *added_out) {
    const uint8_t *page = NULL;
    *added_out = false;
    if (ref.page != 0) {
        if (ref.sub != 0)
            return HTT_OK;
        htt_rc rc = htt_view_page(settle->tree->view, ref.page, &page);
        if (rc != HTT_OK || htt_page_type(page) != HTT_PAGE_DATA)
            return rc;
        unit->used += htt_data_used(page, settle->tree->view->page_size);
        unit->records += htt_page_count(page);
    }
    /* Filled from the middle to both sides. */
    uint32_t at = left ? --unit->begin : unit->begin + unit->count;
    unit->pages[at] = page;
    unit->refs[at] = ref;
    unit->count++;
    *added_out = true;
    return HTT_OK;
}

/* The path's data page and its neighbours without a node between. */
static htt_rc settle_choose(htt_settle *settle, htt_settle_unit *unit) {
    const htt_path *path = &settle->path;
    htt_rc rc = HTT_OK;
    bool added = true;
    unit->begin = HTT_SETTLE_PAGES_MAX;
    unit->count = 0;
    unit->records = 0;
    unit->used = 0;
    unit->first = 0;
    unit->whole = false;
    if (path->depth == 0)
        return settle_add_page(settle, unit, path->leaf, false, &added);
    const htt_step *step = &path->steps[path->depth - 1];
    uint32_t children = htt_node_count(step->node);
    uint32_t end = step->child;
    for (uint32_t i = 0; i < children; i++) {
        htt_ref ref = htt_node_child(step->node, i);
        if (ref.page != 0 && ref.sub == 0)
            htt_pages_prefetch(settle->tree->view->pages, ref.page);
    }
    while (rc == HTT_OK && added && end < children && unit->count < settle->pages_max) {
        rc = settle_add_page(settle, unit, htt_node_child(step->node, end), false, &added);
        end += added;
    }
    unit->first = step->child;
    added = true;
    while (rc == HTT_OK && added && unit->first > 0 && unit->count < settle->pages_max) {
        rc = settle_add_page(settle, unit, htt_node_child(step->node, unit->first - 1), true,
                             &added);
        unit->first -= added;
    }
    unit->whole = unit->count == children;
    return rc;
}

/* Whether a staged row goes to where the path goes, and into the unit's slots. */
static bool settle_is_here(const htt_settle *settle, const htt_settle_unit *unit, htt_hash hash) {
    const htt_path *path = &settle->path;
    for (uint32_t level = 0; level < path->depth; level++) {
        if (level + 1 == path->depth && unit->whole)
            break;
        const htt_step *step = &path->steps[level];
        uint32_t slot = htt_hash_slot(htt_hash_mix(hash, htt_node_salt(step->node)),
                                      htt_node_slots(step->node));
        if (slot < unit->bounds[level].first || slot >= unit->bounds[level].end)
            return false;
    }
    return true;
}

/* Counts the rows that go into the unit, until there are more than one node takes. */
static void settle_count(const htt_settle *settle, htt_settle_unit *unit) {
    const htt_path *path = &settle->path;
    uint64_t bytes_max = (uint64_t)settle->pages_max * htt_tree_page_capacity(settle->tree->view);
    uint32_t end = path->depth == 0 ? settle->count : settle->levels[path->depth - 1].end;
    for (uint32_t level = 0; level < path->depth; level++) {
        const htt_step *step = &path->steps[level];
        bool last = level + 1 == path->depth;
        uint32_t first = last ? unit->first : step->child;
        unit->bounds[level].first = htt_node_start(step->node, first);
        unit->bounds[level].end = htt_node_start(step->node, first + (last ? unit->count : 1));
    }
    unit->rows = 0;
    unit->bytes = 0;
    for (uint32_t i = settle->at; i < end && unit->bytes <= bytes_max; i++) {
        if (i + SETTLE_AHEAD < end)
            __builtin_prefetch(settle_entry(settle, i + SETTLE_AHEAD));
        const htt_staged *entry = settle_entry(settle, i);
        if (!settle_is_here(settle, unit, entry->hash))
            break;
        unit->rows++;
        unit->bytes += entry->size + HTT_DATA_SLOT_SIZE;
    }
    /* Rows behind them may be of other children: a part that gets no row would stay for ever. */
    unit->more = 0;
    for (uint32_t i = settle->at + unit->rows; unit->bytes > bytes_max && i < end &&
                                               settle_is_here(settle, unit,
                                                              settle_entry(settle, i)->hash);
         i++)
        unit->more++;
}

/*
 * Is it better to make so many pages anew for the rows? Anew, each page is written once. One by
 * one, each page that a row goes into is, and where there is no room, those around it too. Of the
 * room the first page tells.
 */
static bool settle_is_many(const htt_settle *settle, uint32_t rows, uint32_t pages) {
    const htt_path *path = &settle->path;
    if (rows < SETTLE_ROWS_MIN)
        return false;
    uint32_t page_size = settle->tree->view->page_size;
    uint32_t size = settle_entry(settle, settle->at)->size + HTT_DATA_SLOT_SIZE;
    uint32_t little = page_size / SETTLE_ROOM > size ? page_size / SETTLE_ROOM : size;
    bool full = path->leaf_bytes != NULL && htt_data_free(path->leaf_bytes, page_size) < little;
    uint32_t each = settle->tree->stage->filter == NULL ? SETTLE_FULL : SETTLE_LOADED;
    return rows >= (full ? pages / each : pages);
}

/* ---------------------------------------------------------------------- doing */

static htt_rc settle_one(htt_settle *settle) {
    htt_tree *tree = settle->tree;
    htt_staged *entry = htt_stage_entry(tree->stage, settle->rows[settle->at].index);
    htt_tree_root before = tree->root;
    htt_record record;
    htt_stage_record(entry, &record);
    htt_datum key = htt_bytes(record.key, record.key_size, (htt_type)record.key_type);
    htt_datum value = htt_bytes(record.value, record.value_size, (htt_type)record.value_type);
    htt_rc rc = htt_tree_put(tree, key, value, 0);
    if (rc != HTT_OK)
        return rc;
    tree->root.keys = before.keys; /* it was counted when it was staged */
    tree->root.bytes = before.bytes;
    entry->over = true;
    settle->at++;
    return HTT_OK;
}

/* Many rows: the unit is made anew, or its node parted. *done_out false: neither is possible. */
static htt_rc settle_many(htt_settle *settle, htt_settle_unit *unit, bool *done_out) {
    uint64_t capacity = htt_tree_page_capacity(settle->tree->view);
    uint64_t pages = (unit->used + unit->bytes) / capacity + 1;
    if (settle->path.depth + 2 >= HTT_DEPTH_MAX) {
        *done_out = false;
        return HTT_OK;
    }
    if (unit->more == 0 && pages + pages / 16 + 1 < settle->pages_max)
        return htt_settle_fill(settle, unit, (uint32_t)pages, done_out);
    pages += unit->more * (unit->bytes / unit->rows + 1) / capacity;
    const htt_rc rc = htt_settle_part(settle, unit, pages, done_out);
    settle->parted = settle->parted || (rc == HTT_OK && *done_out);
    return rc;
}

/* One step; at least one row settles, or the tree gets a place for many. */
static htt_rc settle_step(htt_settle *settle, htt_settle_unit *unit) {
    htt_tree *tree = settle->tree;
    const htt_path *path = &settle->path;
    bool done = false;
    htt_pins_drop(tree->view->pages, tree->view->pins);
    if (settle->at < settle->one_by_one)
        return settle_one(settle);
    /* Pages made, parts of a node, and index pages for them. */
    htt_rc rc = htt_writer_reserve(tree->view->writer,
                                   2 * settle->pages_max + settle->pages_max / 4 + HTT_DEPTH_MAX,
                                   tree->view->error);
    if (rc == HTT_OK)
        rc = settle_find(settle);
    if (rc != HTT_OK)
        return rc;
    uint32_t end = path->depth == 0 ? settle->count : settle->levels[path->depth - 1].end;
    uint32_t children =
        path->depth == 0 ? 0 : htt_node_count(path->steps[path->depth - 1].node);
    if (!settle_is_many(settle, end - settle->at, children)) {
        settle->one_by_one = end;
        return HTT_OK;
    }
    rc = settle_choose(settle, unit);
    if (rc != HTT_OK)
        return rc;
    settle_count(settle, unit);
    assert(unit->rows >= 1);
    if (settle_is_many(settle, unit->rows, unit->count))
        rc = settle_many(settle, unit, &done);
    if (rc == HTT_OK && !done)
        settle->one_by_one = settle->at + unit->rows;
    return rc;
}

static htt_rc settle_all(htt_settle *settle) {
    htt_tree *tree = settle->tree;
    const htt_stage *stage = tree->stage;
    htt_rc rc = HTT_OK;
    htt_settle_unit *unit = tree->env->allocate(tree->env->context, sizeof *unit);
    if (unit == NULL)
        return htt_error_set(tree->view->error, HTT_NOMEM, "no memory to rearrange pages");
    for (uint32_t i = 0; i < stage->count; i++) {
        if (!htt_stage_entry(stage, i)->gone)
            settle->rows[settle->count++].index = i;
    }
    assert(settle->count == stage->live);
    while (rc == HTT_OK && settle->at < settle->count)
        rc = settle_step(settle, unit);
    tree->env->release(tree->env->context, unit);
    return rc;
}

htt_rc htt_tree_settle(htt_tree *tree) {
    htt_stage *stage = tree->stage;
    htt_rc rc = HTT_OK;
    if (stage == NULL || stage->count == 0)
        return HTT_OK;
    if (stage->live > 0) {
        uint64_t bytes = 2 * (uint64_t)stage->live * sizeof(htt_settle_row);
        htt_settle *settle = tree->env->allocate(tree->env->context, sizeof *settle);
        htt_settle_row *rows = settle == NULL ? NULL
                                              : tree->env->allocate(tree->env->context, bytes);
        if (rows == NULL) {
            tree->env->release(tree->env->context, settle);
            return htt_error_set(tree->view->error, HTT_NOMEM,
                                 "no memory to sort the rows of the transaction");
        }
        memset(settle, 0, sizeof *settle);
        settle->tree = tree;
        settle->rows = rows;
        settle->spare = rows + stage->live;
        settle->pages_max = tree->view->page_size <= HTT_SETTLE_PAGE_SMALL
                                ? HTT_SETTLE_PAGES_MAX
                                : HTT_SETTLE_PAGES_LARGE;
        htt_writer_set_outside(tree->view->writer, stage->memory + bytes);
        for (uint32_t i = 0; i < stage->count; i++) /* STAGE-4 */
            htt_stage_note(stage, htt_stage_entry(stage, i)->hash);
        rc = settle_all(settle);
        if (rc != HTT_OK && settle->parted)
            tree->unfilled = rc;
        tree->env->release(tree->env->context, rows);
        tree->env->release(tree->env->context, settle);
        htt_writer_set_outside(tree->view->writer, stage->memory);
    }
    if (rc == HTT_OK)
        htt_stage_clear(stage);
    return rc;
}
