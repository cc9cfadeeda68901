/* SPDX-License-Identifier: MIT */
/*
 * Data pages made anew from what they held and what is staged, as full as the borders of slots
 * allow; and nodes with room for many more.
 *
 *     fill    | a | b | c |   + staged rows    ->   | a' | b' | c' | d' | e' |       one node
 *
 *     part    | a | b | c |                    ->   |    p0    |    p1    |  p2 |    nodes
 *                                                   | a' | b' | c' |  -   | d'  |
 */
#include <assert.h>
#include <string.h>

#include "base/error.h"
#include "tree/settle.h"

enum {
    FILL_SLOTS_PER_PAGE = 32, /* the finer, the fuller are pages that end at a slot's border */
    FILL_PART_FIRST = 24,     /* data pages of a part when more rows will come, up to pages_max */
    FILL_PART_PAGES = 96,     /* the same of a load that ends: a part's last page is half full */
    FILL_PARTS_MIN = 4
};

/* Slots of a node for so many pages. */
static uint32_t fill_slots_log2(const htt_tree *tree, uint64_t pages) {
    uint32_t log2_max = htt_node_slots_log2_max(tree->view->page_size);
    uint32_t log2 = HTT_NODE_SLOTS_LOG2_MIN;
    while (log2 < log2_max && UINT64_C(1) << log2 < FILL_SLOTS_PER_PAGE * pages)
        log2++;
    return log2;
}

/* ------------------------------------------------------------------ gathering */

/* The row that a staged one takes the place of is left out. */
static htt_rc fill_leave_out(htt_settle *settle, const htt_settle_unit *unit,
                             const htt_staged *entry) {
    htt_tree *tree = settle->tree;
    const htt_path *path = &settle->path;
    htt_tree_row row;
    htt_record record;
    uint32_t i = 0;
    if (path->depth > 0) {
        const uint8_t *node = path->steps[path->depth - 1].node;
        uint32_t mix = htt_hash_mix(entry->hash, htt_node_salt(node));
        i = htt_node_find(node, htt_hash_slot(mix, htt_node_slots(node))) - unit->first;
    }
    assert(i < unit->count);
    const uint8_t *page = unit->pages[unit->begin + i];
    if (page == NULL)
        return HTT_OK;
    htt_stage_record(entry, &record);
    uint32_t number = unit->refs[unit->begin + i].page;
    htt_rc rc = htt_tree_find_in_page(
        tree->view, page, number,
        htt_bytes(record.key, record.key_size, (htt_type)record.key_type), entry->hash, &row);
    if (rc != HTT_OK)
        return rc == HTT_NOTFOUND ? HTT_OK : rc;
    if (row.record.overflow) /* STAGE-2: it was not so when the row was staged */
        return htt_error_page(tree->view->error, HTT_CORRUPT, number,
                              "it changed while it was in use");
    htt_item *item = &tree->scratch->items[unit->bases[i] + row.index];
    tree->scratch->bytes -= item->size;
    item->size = 0;
    return HTT_OK;
}

static htt_rc fill_gather(htt_settle *settle, htt_settle_unit *unit, const htt_gather_place *place,
                          uint32_t rows) {
    htt_tree *tree = settle->tree;
    htt_rc rc = htt_gather_begin(tree, unit->records + rows + 1, place->end_slot);
    for (uint32_t i = 0; rc == HTT_OK && i < unit->count; i++) {
        const uint8_t *page = unit->pages[unit->begin + i];
        unit->bases[i] = tree->scratch->count;
        if (page != NULL)
            rc = htt_gather_page(tree, unit->refs[unit->begin + i].page, page, place, NULL);
    }
    for (uint32_t r = settle->at; rc == HTT_OK && r < settle->at + rows; r++) {
        const htt_staged *entry = htt_stage_entry(tree->stage, settle->rows[r].index);
        htt_item item = {0, entry->size + HTT_DATA_SLOT_SIZE, entry->bytes,
                         htt_hash_fingerprint(entry->hash)};
        if (entry->over)
            rc = fill_leave_out(settle, unit, entry);
        if (rc == HTT_OK) {
            rc = htt_gather_item(tree, place, NULL, entry->hash, item);
            assert(rc == HTT_OK); /* the place has all slots */
        }
    }
    if (rc == HTT_OK)
        htt_gather_sort(tree->scratch, 0, place->end_slot);
    return rc;
}

/* ------------------------------------------------------------ cutting, dealing */

/* Cuts sorted items [from, to) into full pages at borders of slots; slots count from `base`. False:
 * there are too many pages, or one slot has more than a page. */
static bool fill_cut(const htt_settle *settle, htt_settle_unit *unit, uint32_t from, uint32_t to,
                     uint32_t base) {
    const htt_item *items = settle->tree->scratch->sorted;
    uint64_t capacity = htt_tree_page_capacity(settle->tree->view);
    htt_settle_cut *cut = &unit->cut;
    cut->count = 0;
    for (uint32_t item = from; item < to;) {
        uint64_t bytes = 0;
        if (cut->count == settle->pages_max)
            return false;
        cut->starts[cut->count] = cut->count == 0 ? 0 : items[item].slot - base;
        for (uint32_t end = item; item < to; item = end) {
            uint64_t slot_bytes = 0;
            while (end < to && items[end].slot == items[item].slot)
                slot_bytes += items[end++].size;
            if (bytes + slot_bytes > capacity)
                break;
            bytes += slot_bytes;
        }
        if (bytes == 0)
            return false;
        cut->ends[cut->count++] = item;
    }
    return true;
}

static htt_rc fill_new(htt_settle *settle, htt_settle_unit *unit, uint32_t *number_out,
                       uint8_t **page_out) {
    htt_view *view = settle->tree->view;
    htt_rc rc = htt_writer_new(view->writer, number_out, page_out, view->error);
    if (rc == HTT_OK) {
        assert(unit->made_count < sizeof unit->made / sizeof *unit->made);
        unit->made[unit->made_count++] = *number_out;
    }
    return rc;
}

static void fill_undo(htt_settle *settle, const htt_settle_unit *unit) {
    htt_writer *writer = settle->tree->view->writer;
    for (uint32_t i = 0; i < unit->made_count; i++)
        htt_writer_free(writer, unit->made[i], 1, htt_writer_epoch(writer));
}

/* Makes the pages of the cut; `item` is the first of them. */
static htt_rc fill_deal(htt_settle *settle, htt_settle_unit *unit, uint32_t item) {
    const htt_item *items = settle->tree->scratch->sorted;
    uint32_t count = settle->tree->scratch->count;
    htt_settle_cut *cut = &unit->cut;
    for (uint32_t p = 0; p < cut->count; p++) {
        uint32_t records = 0, start = settle->tree->view->page_size;
        uint8_t *page;
        for (uint32_t i = item; i < cut->ends[p]; i++)
            records += items[i].size > 0;
        htt_rc rc = fill_new(settle, unit, &cut->refs[p].page, &page);
        if (rc != HTT_OK)
            return rc;
        assert(records > 0); /* what is left out has its successor in the same slot */
        cut->refs[p].sub = 0;
        htt_data_begin(page, records);
        records = 0;
        for (; item < cut->ends[p]; item++) {
            const htt_item *from = &items[item];
            if (item + 4 < count)
                __builtin_prefetch(items[item + 4].bytes);
            if (from->size > 0)
                start = htt_data_add(page, records++, start, from->fingerprint, from->bytes,
                                     from->size - HTT_DATA_SLOT_SIZE);
        }
    }
    return HTT_OK;
}

static void fill_node(uint8_t *node, uint8_t salt, uint32_t slots_log2,
                      const htt_settle_cut *cut) {
    htt_node_init(node, salt, slots_log2);
    if (cut->count > 0)
        htt_node_splice(node, 0, 1, cut->starts, cut->refs, cut->count);
}

/* ------------------------------------------------------------------- placing */

/* Room for the node that comes in place of the unit. The path is edited. */
static htt_rc fill_place(htt_settle *settle, htt_settle_unit *unit, uint32_t size, htt_ref *ref_out,
                         uint8_t **bytes_out) {
    htt_tree *tree = settle->tree;
    htt_path *path = &settle->path;
    uint8_t *page;
    assert(HTT_PAGE_HEADER_SIZE + size <= tree->view->page_size);
    if (path->depth == 0) {
        htt_rc rc = fill_new(settle, unit, &ref_out->page, &page);
        if (rc != HTT_OK)
            return rc;
        htt_page_init(page, tree->view->page_size, HTT_PAGE_NODE);
        ref_out->sub = 0;
        *bytes_out = page + HTT_PAGE_HEADER_SIZE;
        return HTT_OK;
    }
    if (!unit->whole)
        return htt_node_place(tree, path, path->depth - 1, size, ref_out, bytes_out);
    if (path->depth > 1)
        return htt_node_place(tree, path, path->depth - 2, size, ref_out, bytes_out);
    *ref_out = (htt_ref){tree->root.page, 0}; /* the root stays where it is */
    *bytes_out = htt_path_node(path, 0);
    memset(*bytes_out, 0, tree->view->page_size - HTT_PAGE_HEADER_SIZE);
    return HTT_OK;
}

/* The node, or data page, takes the place of the unit, whose pages are given up. */
static void fill_link(htt_settle *settle, const htt_settle_unit *unit, htt_ref ref) {
    htt_tree *tree = settle->tree;
    htt_path *path = &settle->path;
    uint64_t stamps[HTT_SETTLE_PAGES_MAX];
    for (uint32_t i = 0; i < unit->count; i++) {
        const uint8_t *page = unit->pages[unit->begin + i];
        stamps[i] = page == NULL ? 0 : htt_page_stamp(page);
    }
    if (path->depth == 0) {
        tree->root.page = ref.page;
    } else if (!unit->whole) {
        uint32_t start = htt_node_start(path->steps[path->depth - 1].node, unit->first);
        htt_node_splice_at(tree, path, path->depth - 1, unit->first, unit->count, &start, &ref, 1);
    } else if (path->depth > 1) {
        htt_path_refer(tree, path, path->depth - 1, ref);
        htt_node_unplace(tree, &path->steps[path->depth - 1]);
    }
    for (uint32_t i = 0; i < unit->count; i++) {
        if (unit->refs[unit->begin + i].page != 0)
            htt_writer_free(tree->view->writer, unit->refs[unit->begin + i].page, 1, stamps[i]);
    }
}

/* ---------------------------------------------------------------------- fill */

static htt_rc fill_apply(htt_settle *settle, htt_settle_unit *unit, uint8_t salt, uint32_t log2) {
    htt_tree *tree = settle->tree;
    htt_path *path = &settle->path;
    uint8_t *bytes;
    htt_ref ref;
    unit->made_count = 0;
    htt_rc rc = htt_path_edit(tree, path, path->depth);
    if (rc == HTT_OK)
        rc = fill_deal(settle, unit, 0);
    bool bare = unit->cut.count == 1 && (path->depth == 0 || !unit->whole);
    if (rc == HTT_OK && !bare) {
        rc = fill_place(settle, unit, htt_node_size(log2, unit->cut.count), &ref, &bytes);
        if (rc == HTT_OK)
            fill_node(bytes, salt, log2, &unit->cut);
    } else if (rc == HTT_OK) {
        ref = unit->cut.refs[0];
    }
    if (rc != HTT_OK) {
        fill_undo(settle, unit);
        return rc;
    }
    fill_link(settle, unit, ref);
    for (uint32_t i = 0; i < unit->rows; i++)
        htt_stage_entry(tree->stage, settle->rows[settle->at + i].index)->over = true;
    settle->at += unit->rows;
    return HTT_OK;
}

htt_rc htt_settle_fill(htt_settle *settle, htt_settle_unit *unit, uint32_t pages, bool *done_out) {
    htt_tree *tree = settle->tree;
    const htt_path *path = &settle->path;
    bool keeps = unit->whole && path->depth > 0;
    htt_gather_place place = {
        .salt = keeps ? htt_node_salt(path->steps[path->depth - 1].node) : htt_path_salt(path, 0),
        .slots_log2 = fill_slots_log2(tree, pages)};
    *done_out = false;
    for (; place.slots_log2 <= htt_node_slots_log2_max(tree->view->page_size);
         place.slots_log2++) {
        place.end_slot = 1u << place.slots_log2;
        htt_rc rc = fill_gather(settle, unit, &place, unit->rows);
        if (rc != HTT_OK)
            return rc;
        if (fill_cut(settle, unit, 0, tree->scratch->count, 0)) {
            *done_out = true;
            return fill_apply(settle, unit, place.salt, place.slots_log2);
        }
    }
    return HTT_OK;
}

/* ---------------------------------------------------------------------- part */

/* A node for one part: on the index page at hand, a new one, or a page of its own. */
static htt_rc part_place(htt_settle *settle, htt_settle_unit *unit, uint32_t size,
                         htt_ref *index_inout, uint8_t **page_inout, htt_ref *ref_out,
                         uint8_t **bytes_out) {
    uint32_t page_size = settle->tree->view->page_size;
    uint8_t *page;
    htt_rc rc = HTT_OK;
    if (size > page_size / 2) {
        rc = fill_new(settle, unit, &ref_out->page, &page);
        if (rc != HTT_OK)
            return rc;
        htt_page_init(page, page_size, HTT_PAGE_NODE);
        ref_out->sub = 0;
        *bytes_out = page + HTT_PAGE_HEADER_SIZE;
        return HTT_OK;
    }
    if (*page_inout == NULL || !htt_index_fits(*page_inout, page_size, size)) {
        rc = fill_new(settle, unit, &index_inout->page, page_inout);
        if (rc != HTT_OK)
            return rc;
        htt_index_init(*page_inout, page_size);
    }
    ref_out->page = index_inout->page;
    ref_out->sub = htt_index_add(*page_inout, page_size, size);
    *bytes_out = htt_index_node(*page_inout, page_size, ref_out->sub);
    return HTT_OK;
}

/* Behind the sorted items of a part. */
static uint32_t part_end(const htt_tree_scratch *scratch, uint32_t from, uint32_t end_slot) {
    while (from < scratch->count && scratch->sorted[from].slot < end_slot)
        from++;
    return from;
}

static bool part_can_cut(const htt_settle *settle, htt_settle_unit *unit,
                         const htt_gather_place *place) {
    uint32_t from = 0;
    for (uint32_t p = 0; p < place->parts; p++) {
        uint32_t end = part_end(settle->tree->scratch, from, (p + 1) << place->part_log2);
        if (!fill_cut(settle, unit, from, end, p << place->part_log2))
            return false;
        from = end;
    }
    return true;
}

/* The nodes of the parts, with the records of the unit under them. */
static htt_rc part_deal(htt_settle *settle, htt_settle_unit *unit, const htt_gather_place *place) {
    htt_ref index = {0, 0};
    uint8_t *page = NULL, *bytes;
    uint32_t from = 0;
    for (uint32_t p = 0; p < place->parts; p++) {
        uint32_t end = part_end(settle->tree->scratch, from, (p + 1) << place->part_log2);
        bool cut = fill_cut(settle, unit, from, end, p << place->part_log2);
        assert(cut); /* part_can_cut */
        (void)cut;
        htt_rc rc = fill_deal(settle, unit, from);
        uint32_t children = unit->cut.count == 0 ? 1 : unit->cut.count;
        if (rc == HTT_OK)
            rc = part_place(settle, unit, htt_node_size(place->part_log2, children), &index, &page,
                            &unit->parts[p], &bytes);
        if (rc != HTT_OK)
            return rc;
        fill_node(bytes, place->part_salt, place->part_log2, &unit->cut);
        from = end;
    }
    return HTT_OK;
}

static htt_rc part_apply(htt_settle *settle, htt_settle_unit *unit, const htt_gather_place *place) {
    htt_tree *tree = settle->tree;
    uint32_t slots = 1u << place->slots_log2;
    uint32_t *starts = unit->cut.starts;
    uint8_t *bytes;
    htt_ref ref;
    unit->made_count = 0;
    htt_rc rc = htt_path_edit(tree, &settle->path, settle->path.depth);
    if (rc == HTT_OK)
        rc = part_deal(settle, unit, place);
    if (rc == HTT_OK)
        rc = fill_place(settle, unit, htt_node_size(place->slots_log2, place->parts), &ref, &bytes);
    if (rc != HTT_OK) {
        fill_undo(settle, unit);
        return rc;
    }
    for (uint32_t p = 0; p < place->parts; p++)
        starts[p] = (uint32_t)(((uint64_t)p * slots + place->parts - 1) / place->parts);
    htt_node_init(bytes, place->salt, place->slots_log2);
    htt_node_splice(bytes, 0, 1, starts, unit->parts, place->parts);
    fill_link(settle, unit, ref);
    return HTT_OK;
}

htt_rc htt_settle_part(htt_settle *settle, htt_settle_unit *unit, uint64_t pages, bool *done_out) {
    htt_tree *tree = settle->tree;
    uint64_t parts = pages / (tree->stage->filter == NULL ? FILL_PART_PAGES : FILL_PART_FIRST);
    uint64_t used = unit->used / htt_tree_page_capacity(tree->view);
    parts = parts < FILL_PARTS_MIN ? FILL_PARTS_MIN : parts;
    parts = parts > settle->pages_max ? settle->pages_max : parts;
    htt_gather_place place = {.salt = htt_path_salt(&settle->path, 0),
                              .part_salt = htt_path_salt(&settle->path, 1),
                              .slots_log2 = fill_slots_log2(tree, parts),
                              .parts = (uint32_t)parts,
                              .part_log2 = fill_slots_log2(tree, used / parts + 1)};
    *done_out = false;
    for (; place.part_log2 <= htt_node_slots_log2_max(tree->view->page_size); place.part_log2++) {
        place.end_slot = place.parts << place.part_log2;
        htt_rc rc = fill_gather(settle, unit, &place, 0);
        if (rc != HTT_OK)
            return rc;
        if (part_can_cut(settle, unit, &place)) {
            *done_out = true;
            return part_apply(settle, unit, &place);
        }
    }
    return HTT_OK;
}
