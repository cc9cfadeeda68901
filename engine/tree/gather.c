/* SPDX-License-Identifier: MIT */
/*
 * Collecting the records of neighbouring data pages and dealing them out to new ones: the common
 * part of share, split and push. Source pages are only read; new pages are always new frames, so a
 * failure leaves the tree as it was.
 *
 *   gather   pages -> items with their slots, sorted by slot (a counting sort)
 *   plan     items -> page borders, at borders of slots, about equal bytes
 *   out      items + plan -> new pages
 */
#include <assert.h>
#include <string.h>

#include "base/error.h"
#include "base/value.h"
#include "tree/internal.h"

static htt_rc gather_memory(htt_tree *tree, void **array, size_t size) {
    void *bytes = tree->env->reallocate(tree->env->context, *array, size);
    if (bytes == NULL)
        return htt_error_set(tree->view->error, HTT_NOMEM, "no memory to rearrange pages");
    *array = bytes;
    return HTT_OK;
}

static htt_rc gather_reserve(htt_tree *tree, uint32_t items, uint32_t slots) {
    htt_tree_scratch *scratch = tree->scratch;
    htt_rc rc = HTT_OK;
    if (scratch == NULL) {
        scratch = tree->env->allocate(tree->env->context, sizeof *scratch);
        if (scratch == NULL)
            return htt_error_set(tree->view->error, HTT_NOMEM, "no memory to rearrange pages");
        memset(scratch, 0, sizeof *scratch);
        tree->scratch = scratch;
    }
    if (items > scratch->capacity) {
        size_t size = (size_t)items * sizeof *scratch->items;
        rc = gather_memory(tree, (void **)&scratch->items, size);
        if (rc == HTT_OK)
            rc = gather_memory(tree, (void **)&scratch->sorted, size);
        if (rc == HTT_OK)
            scratch->capacity = items;
    }
    if (rc == HTT_OK && slots > scratch->slots_capacity) {
        rc = gather_memory(tree, (void **)&scratch->slots, (size_t)slots * sizeof *scratch->slots);
        if (rc == HTT_OK)
            scratch->slots_capacity = slots;
    }
    assert(rc != HTT_OK || (items <= scratch->capacity && slots <= scratch->slots_capacity));
    return rc;
}

static htt_hash gather_hash(const htt_view *view, const htt_record *record) {
    if (record->key_external)
        return (htt_hash){le64_get(record->key), le64_get(record->key + 8)};
    return view->hash(view->seed, htt_key_class(record->key_type), record->key, record->key_size);
}

static uint32_t gather_slot(const htt_gather_place *place, htt_hash hash) {
    uint32_t slots = 1u << place->slots_log2;
    uint32_t slot = htt_hash_slot(htt_hash_mix(hash, place->salt), slots);
    if (place->parts == 0)
        return slot;
    uint32_t part = (uint32_t)((uint64_t)slot * place->parts >> place->slots_log2);
    uint32_t part_slots = 1u << place->part_log2;
    return part * part_slots + htt_hash_slot(htt_hash_mix(hash, place->part_salt), part_slots);
}

htt_rc htt_gather_item(htt_tree *tree, const htt_gather_place *place, const htt_need *need,
                       htt_hash hash, htt_item item) {
    htt_tree_scratch *scratch = tree->scratch;
    item.slot = gather_slot(place, hash);
    if (item.slot < place->first_slot || item.slot >= place->end_slot)
        return HTT_NOTFOUND;
    assert(scratch->count < scratch->capacity);
    scratch->items[scratch->count++] = item;
    scratch->bytes += item.size;
    if (need != NULL && hash.low == need->hash.low && hash.high == need->hash.high)
        scratch->alike += item.size;
    return HTT_OK;
}

htt_rc htt_gather_page(htt_tree *tree, uint32_t number, const uint8_t *page,
                       const htt_gather_place *place, const htt_need *need) {
    htt_view *view = tree->view;
    uint32_t count = htt_page_count(page);
    htt_record record;
    htt_fault fault;
    for (uint32_t i = 0; i < count; i++) {
        if (!htt_data_record(page, view->page_size, i, &record, &fault))
            return htt_tree_fault(view, number, &fault);
        htt_item item = {0, 0, NULL, htt_data_fingerprint(page, i)};
        item.bytes = htt_data_raw(page, view->page_size, i, &item.size);
        item.size += HTT_DATA_SLOT_SIZE;
        if (htt_gather_item(tree, place, need, gather_hash(view, &record), item) != HTT_OK)
            return htt_error_page(view->error, HTT_CORRUPT, number,
                                  "record %u belongs to another page", i);
    }
    return HTT_OK;
}

/* A counting sort: slots of the range are few, and records of one slot may stand in any order. */
void htt_gather_sort(htt_tree_scratch *scratch, uint32_t first_slot, uint32_t slots) {
    uint32_t sum = 0;
    memset(scratch->slots, 0, (size_t)slots * sizeof *scratch->slots);
    for (uint32_t i = 0; i < scratch->count; i++)
        scratch->slots[scratch->items[i].slot - first_slot]++;
    for (uint32_t s = 0; s < slots; s++) {
        uint32_t count = scratch->slots[s];
        scratch->slots[s] = sum;
        sum += count;
    }
    assert(sum == scratch->count); /* every item is in the range */
    for (uint32_t i = 0; i < scratch->count; i++)
        scratch->sorted[scratch->slots[scratch->items[i].slot - first_slot]++] = scratch->items[i];
}

htt_rc htt_gather_begin(htt_tree *tree, uint32_t items, uint32_t slots) {
    htt_rc rc = gather_reserve(tree, items, slots);
    if (rc != HTT_OK)
        return rc;
    tree->scratch->count = 0;
    tree->scratch->bytes = 0;
    tree->scratch->alike = 0;
    return HTT_OK;
}

htt_rc htt_gather(htt_tree *tree, const htt_ref *pages, uint32_t count, const htt_need *need,
                  uint8_t salt, uint32_t slots_log2, uint32_t first_slot, uint32_t end_slot) {
    htt_gather_place place = {.salt = salt,
                              .slots_log2 = slots_log2,
                              .first_slot = first_slot,
                              .end_slot = end_slot};
    uint32_t total = 1;
    const uint8_t *page;
    assert(first_slot < end_slot && end_slot <= 1u << slots_log2);
    assert(count >= 1);
    for (uint32_t i = 0; i < count; i++) {
        htt_rc rc = htt_view_page(tree->view, pages[i].page, &page);
        if (rc != HTT_OK)
            return rc;
        total += htt_page_count(page);
    }
    htt_rc rc = htt_gather_begin(tree, total, end_slot - first_slot);
    if (rc != HTT_OK)
        return rc;
    for (uint32_t i = 0; i < count; i++) {
        rc = htt_view_page(tree->view, pages[i].page, &page);
        if (rc == HTT_OK)
            rc = htt_gather_page(tree, pages[i].page, page, &place, need);
        if (rc != HTT_OK)
            return rc;
    }
    htt_item room = {0, need->size, NULL, 0};
    rc = htt_gather_item(tree, &place, need, need->hash, room);
    assert(rc == HTT_OK);
    htt_gather_sort(tree->scratch, first_slot, end_slot - first_slot);
    return HTT_OK;
}

/* Bytes of the items of one slot, from `from` on; *end_out is behind the last of them. */
static uint64_t deal_slot(const htt_tree_scratch *scratch, uint32_t from, uint32_t *end_out) {
    uint64_t bytes = 0;
    uint32_t i = from;
    assert(from < scratch->count);
    while (i < scratch->count && scratch->sorted[i].slot == scratch->sorted[from].slot)
        bytes += scratch->sorted[i++].size;
    *end_out = i;
    return bytes;
}

/*
 * Fills one page after the other. No other way of cutting the slots' order needs fewer pages, so
 * this one fits if any does; but its pages are full, and soon too full.
 */
static bool deal_plan_full(htt_tree *tree, uint32_t pages, uint32_t first_slot) {
    htt_tree_scratch *scratch = tree->scratch;
    uint64_t capacity = htt_tree_page_capacity(tree->view);
    htt_deal *deal = &scratch->deal;
    uint32_t item = 0, end;
    assert(pages >= 1 && pages <= HTT_DEAL_MAX);
    for (deal->count = 0; deal->count < pages && item < scratch->count; deal->count++) {
        uint64_t bytes = deal_slot(scratch, item, &end);
        if (bytes > capacity)
            return false;
        deal->starts[deal->count] = deal->count == 0 ? first_slot : scratch->sorted[item].slot;
        while (bytes <= capacity) {
            item = end;
            if (item == scratch->count)
                break;
            bytes += deal_slot(scratch, item, &end);
        }
        deal->ends[deal->count] = item;
    }
    return item == scratch->count;
}

/* About equal parts. */
static bool deal_plan_equal(htt_tree *tree, uint32_t pages, uint32_t first_slot) {
    htt_tree_scratch *scratch = tree->scratch;
    uint64_t capacity = htt_tree_page_capacity(tree->view);
    uint64_t left = scratch->bytes;
    uint32_t item = 0;
    assert(pages >= 1 && pages <= HTT_DEAL_MAX);
    htt_deal *deal = &scratch->deal;
    for (deal->count = 0; deal->count < pages && item < scratch->count; deal->count++) {
        uint64_t target = left / (pages - deal->count);
        uint64_t bytes = 0;
        deal->starts[deal->count] = deal->count == 0 ? first_slot : scratch->sorted[item].slot;
        while (item < scratch->count) {
            uint32_t end;
            uint64_t slot_bytes = deal_slot(scratch, item, &end);
            bool last = deal->count + 1 == pages;
            if (bytes + slot_bytes > capacity ||
                (!last && bytes > 0 && bytes + slot_bytes / 2 > target))
                break;
            bytes += slot_bytes;
            item = end;
        }
        if (bytes == 0)
            return false;
        deal->ends[deal->count] = item;
        left -= bytes;
    }
    return item == scratch->count;
}

bool htt_deal_plan(htt_tree *tree, uint32_t pages, uint32_t more, uint32_t first_slot) {
    assert(pages + more <= HTT_DEAL_MAX);
    if (deal_plan_equal(tree, pages, first_slot))
        return true;
    if (!deal_plan_full(tree, pages + more, first_slot))
        return false;
    for (uint32_t i = 1; i <= more; i++) {
        if (deal_plan_equal(tree, pages + i, first_slot))
            return true;
    }
    return deal_plan_full(tree, pages + more, first_slot);
}

void htt_deal_undo(htt_tree *tree, const htt_ref *refs, uint32_t count) {
    htt_writer *writer = tree->view->writer;
    assert(count <= HTT_DEAL_MAX);
    for (uint32_t i = 0; i < count; i++) {
        if (refs[i].page != 0)
            htt_writer_free(writer, refs[i].page, 1, htt_writer_epoch(writer));
    }
}

htt_rc htt_deal_out(htt_tree *tree, htt_ref *refs_out) {
    const htt_tree_scratch *scratch = tree->scratch;
    uint32_t page_size = tree->view->page_size;
    uint32_t item = 0;
    assert(scratch->deal.count >= 1);
    for (uint32_t p = 0; p < scratch->deal.count; p++) {
        uint8_t *page = NULL;
        refs_out[p] = (htt_ref){0, 0};
        for (; item < scratch->deal.ends[p]; item++) {
            const htt_item *from = &scratch->sorted[item];
            if (from->bytes == NULL)
                continue;
            if (page == NULL) {
                htt_rc rc =
                    htt_writer_new(tree->view->writer, &refs_out[p].page, &page, tree->view->error);
                if (rc != HTT_OK) {
                    htt_deal_undo(tree, refs_out, p);
                    return rc;
                }
                htt_page_init(page, page_size, HTT_PAGE_DATA);
            }
            htt_data_insert_raw(page, page_size, from->fingerprint, from->bytes,
                                from->size - HTT_DATA_SLOT_SIZE);
        }
    }
    assert(item == scratch->count); /* no row is lost */
    return HTT_OK;
}
