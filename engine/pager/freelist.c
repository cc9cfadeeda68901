/* SPDX-License-Identifier: MIT */
/*
 * The free list of a file, a chain of pages (page/free.h).
 *
 *   base root -> [ page ] -> [ page ] -> [ page ] -> [ page ] -> 0
 *                 \____ read ______/      chain: not read yet
 *
 *   read:   entries that died at or before the reuse limit -> pool, others -> held,
 *           the page itself -> blocks_freed
 *   flush:  what is in the pool, held, freed, blocks_freed, deferred -> new pages in front of
 *           `chain`, which stays as it is
 *
 * A page is read only while it pays: when something behind it may be taken, and a few per page
 * that was allocated. So one commit costs the same however long the list is.
 */
#include <assert.h>

#include "base/error.h"
#include "pager/writer_internal.h"

enum {
    FREELIST_READ_MIN = 32,      /* pages that a transaction reads in any case */
    FREELIST_READ_DIVISOR = 16   /* and one for so many pages that it allocated */
};

/* ------------------------------------------------------------------- reading */

/* The first page not read yet. */
static htt_rc freelist_look(htt_writer *writer, const uint8_t **block_out, htt_error *error) {
    const htt_root *base = &writer->options.base;
    htt_snapshot snapshot = {.epoch = base->self.epoch,
                             .committed = base->self.epoch,
                             .page_count = base->page_count};
    const uint8_t *block;
    htt_rc rc;

    assert(writer->chain != 0);
    rc = htt_pages_get(writer->options.pages, &writer->pins, &snapshot, writer->chain, &block,
                       error);
    if (rc != HTT_OK)
        return rc;
    if (htt_page_type(block) != HTT_PAGE_FREE)
        return htt_error_page(error, HTT_CORRUPT, writer->chain, "not a page of the free list");
    writer->chain_oldest = htt_free_oldest(block);
    writer->chain_known = true;
    *block_out = block;
    return HTT_OK;
}

/* Bounds of all entries, and memory for them. */
static htt_rc freelist_prepare(htt_writer *writer, const uint8_t *block, htt_error *error) {
    uint32_t count = htt_page_count(block);
    uint64_t pages = 0;

    if (writer->chain_read >= writer->options.base.page_count)
        return htt_error_page(error, HTT_CORRUPT, writer->chain,
                              "the free list goes round in a circle");
    if (!htt_list_fit(writer, &writer->held, sizeof(htt_free_run), count) ||
        !htt_list_fit(writer, &writer->blocks_freed, sizeof(htt_run_ref), 1))
        return htt_writer_no_memory(error);
    for (uint32_t i = 0; i < count; i++) {
        htt_free_run run = htt_free_entry(block, i);
        if (run.pages > writer->options.base.page_count ||
            run.first > writer->options.base.page_count - run.pages)
            return htt_error_page(error, HTT_CORRUPT, writer->chain,
                                  "free pages %u to %u are not in the store",
                                  (unsigned)run.first, (unsigned)(run.first + run.pages - 1));
        pages += run.pages;
        if (run.died <= writer->options.reuse_limit && !htt_pool_fit(writer, run.first, run.pages))
            return htt_writer_no_memory(error);
    }
    if (pages > writer->chain_pages)
        return htt_error_page(error, HTT_CORRUPT, writer->chain,
                              "the free list names more pages than its root says");
    return HTT_OK;
}

static htt_rc freelist_take_block(htt_writer *writer, const uint8_t *block, htt_error *error) {
    uint32_t count = htt_page_count(block);
    htt_free_run *held = writer->held.items;

    for (uint32_t i = 0; i < count; i++) {
        htt_free_run run = htt_free_entry(block, i);
        if (run.died > writer->options.reuse_limit) {
            assert(writer->held.count < writer->held.capacity);
            held[writer->held.count++] = run;
        } else {
            /* Found at the second place; the transaction cannot go on with such a list. */
            if (htt_pool_has_any(&writer->pool, run.first, run.pages))
                return htt_error_page(error, HTT_CORRUPT, writer->chain,
                                      "free pages from %u on are named twice",
                                      (unsigned)run.first);
            htt_pool_add(&writer->pool, run.first, run.pages);
        }
        writer->chain_pages -= run.pages;
    }
    htt_runs_append(&writer->blocks_freed, 0, writer->chain, 1);
    writer->chain = htt_free_next(block);
    writer->chain_known = false;
    writer->chain_read++;
    return HTT_OK;
}

/* Reads one page of the chain; `if_useful`: only when something in it or behind may be taken. */
static htt_rc freelist_read(htt_writer *writer, bool if_useful, bool *read_out, htt_error *error) {
    const uint8_t *block;
    htt_rc rc;

    assert(writer->chain != 0);
    *read_out = false;
    if (if_useful && writer->chain_known && writer->chain_oldest > writer->options.reuse_limit)
        return HTT_OK;
    rc = freelist_look(writer, &block, error);
    if (rc == HTT_OK && (!if_useful || writer->chain_oldest <= writer->options.reuse_limit)) {
        rc = freelist_prepare(writer, block, error);
        if (rc == HTT_OK)
            rc = freelist_take_block(writer, block, error);
        *read_out = rc == HTT_OK;
    }
    htt_writer_unpin(writer);
    return rc;
}

htt_rc htt_freelist_fill(htt_writer *writer, uint64_t pages, htt_error *error) {
    uint64_t limit = FREELIST_READ_MIN + writer->allocated / FREELIST_READ_DIVISOR;
    bool read = true;
    htt_rc rc;

    while (read && writer->pool.pages < pages && writer->chain != 0 &&
           writer->chain_read < limit) {
        rc = freelist_read(writer, true, &read, error);
        if (rc != HTT_OK)
            return rc;
    }
    return HTT_OK;
}

htt_rc htt_freelist_load(htt_writer *writer, htt_error *error) {
    bool read;
    htt_rc rc;

    while (writer->chain != 0) {
        rc = freelist_read(writer, false, &read, error);
        if (rc != HTT_OK)
            return rc;
        assert(read);
    }
    return HTT_OK;
}

/* ------------------------------------------------------------------ collecting */

static void freelist_add(htt_list *entries, uint32_t first, uint32_t pages, uint64_t died) {
    htt_free_run *items = entries->items;
    htt_free_run item = {first, pages, died};

    assert(first >= HTT_WRITER_FIRST_PAGE && pages >= 1);
    assert(entries->count < entries->capacity);
    items[entries->count++] = item;
}

static void freelist_add_runs(htt_list *entries, const htt_list *runs, uint64_t died) {
    const htt_run_ref *items = runs->items;

    for (uint32_t i = 0; i < runs->count; i++)
        freelist_add(entries, items[i].first, items[i].pages, died);
}

/* Entries of all that is not in the pool. */
static bool freelist_collect(htt_writer *writer, bool cursors_open, htt_list *entries) {
    const htt_deferred *deferred = writer->deferred.items;
    const htt_free_run *held = writer->held.items;
    uint64_t count = (uint64_t)writer->held.count + writer->freed.count +
                     writer->blocks_freed.count + writer->deferred.count;

    if (!htt_list_fit(writer, entries, sizeof(htt_free_run), count))
        return false;
    for (uint32_t i = 0; i < writer->held.count; i++)
        freelist_add(entries, held[i].first, held[i].pages, held[i].died);
    freelist_add_runs(entries, &writer->freed, writer->epoch);
    freelist_add_runs(entries, &writer->blocks_freed, writer->epoch);
    for (uint32_t i = 0; i < writer->deferred.count; i++)
        freelist_add(entries, deferred[i].first, deferred[i].pages,
                     cursors_open ? writer->epoch : 0);
    assert(entries->count == count);
    return true;
}

static bool freelist_is_less(const void *left, const void *right) {
    return ((const htt_free_run *)left)->first < ((const htt_free_run *)right)->first;
}

/* What died first comes first: a transaction takes from the front of the list. */
static bool freelist_is_older(const void *left, const void *right) {
    const htt_free_run *a = left;
    const htt_free_run *b = right;

    return a->died != b->died ? a->died < b->died : a->first < b->first;
}

/* WRITER-2: a page given up twice means that two places of the tree named it. */
static htt_rc freelist_check(const htt_writer *writer, htt_list *entries, htt_error *error) {
    htt_free_run *items = entries->items;

    htt_list_sort(items, entries->count, sizeof *items, freelist_is_less);
    for (uint32_t i = 0; i < entries->count; i++) {
        bool twice = htt_pool_has_any(&writer->pool, items[i].first, items[i].pages);
        if (i > 0 && items[i].first - items[i - 1].first < items[i - 1].pages)
            twice = true;
        if (twice)
            return htt_error_page(error, HTT_CORRUPT, items[i].first,
                                  "it was given up twice: two places of the store named it");
    }
    return HTT_OK;
}

/* Sorts by age, then by page, and joins neighbours of the same age. */
static void freelist_join(htt_list *entries) {
    htt_free_run *items = entries->items;
    uint32_t kept = 0;

    if (entries->count == 0)
        return;
    htt_list_sort(items, entries->count, sizeof *items, freelist_is_older);
    for (uint32_t i = 1; i < entries->count; i++) {
        htt_free_run *last = &items[kept];
        if (items[i].died == last->died && items[i].first == last->first + last->pages)
            last->pages += items[i].pages;
        else
            items[++kept] = items[i];
    }
    assert(kept < entries->count);
    entries->count = kept + 1;
}

static uint64_t freelist_count_pool(const htt_writer *writer) {
    htt_run_ref run;
    uint64_t from = 0;
    uint64_t count = 0;
    uint64_t pages = 0;

    for (; pages < writer->pool.pages && htt_pool_next_run(&writer->pool, from, &run); count++) {
        from = (uint64_t)run.first + run.pages;
        pages += run.pages;
    }
    assert(pages == writer->pool.pages);
    return count;
}

/*
 * Puts what is in the pool, at most `count` runs, before the entries: it is in order, and older
 * than most of them, so that the list hardly has to be sorted once more.
 */
static bool freelist_add_pool(const htt_writer *writer, htt_list *entries, uint64_t count) {
    htt_run_ref run;
    htt_free_run *items;
    uint64_t from = 0;
    uint64_t pages = 0;
    uint32_t others = entries->count, runs = 0;

    if (!htt_list_fit(writer, entries, sizeof(htt_free_run), count))
        return false;
    if (count == 0)
        return true;
    items = entries->items;
    memmove(items + count, items, others * sizeof *items);
    while (pages < writer->pool.pages && htt_pool_next_run(&writer->pool, from, &run)) {
        assert(runs < count);
        items[runs++] = (htt_free_run){run.first, run.pages, 0};
        from = (uint64_t)run.first + run.pages;
        pages += run.pages;
    }
    memmove(items + runs, items + count, others * sizeof *items);
    entries->count = runs + others;
    return true;
}

/* --------------------------------------------------------------------- writing */

/* The pages of what an earlier flush of this transaction wrote. */
static bool freelist_give_back(htt_writer *writer) {
    const htt_block *blocks = writer->blocks.items;
    uint64_t newest = htt_writer_newest_freeze(writer);

    assert(newest < writer->sequence);
    if (!htt_list_fit(writer, &writer->deferred, sizeof(htt_deferred),
                      (uint64_t)writer->blocks.count + writer->log.count))
        return false;
    for (uint32_t i = 0; i < writer->blocks.count; i++) {
        if (blocks[i].born <= newest)
            htt_writer_defer(writer, blocks[i].number, 1, blocks[i].born, true);
        else
            htt_pool_add(&writer->pool, blocks[i].number, 1);
    }
    writer->blocks.count = 0;
    return true;
}

/* Pages for so many entries. Taking them from the pool makes no more entries. */
static htt_rc freelist_allocate(htt_writer *writer, uint64_t entries, htt_error *error) {
    uint32_t capacity = htt_free_capacity(writer->page_size);
    uint32_t count = (uint32_t)((entries + capacity - 1) / capacity);
    htt_block *blocks;
    htt_rc rc;

    assert(writer->blocks.count == 0);
    if (!htt_list_fit(writer, &writer->blocks, sizeof(htt_block), count) ||
        !htt_writer_fit(writer, count))
        return htt_writer_no_memory(error);
    blocks = writer->blocks.items;
    while (writer->blocks.count < count) {
        assert(writer->blocks.count < writer->blocks.capacity);
        rc = htt_writer_allocate(writer, &blocks[writer->blocks.count].number, error);
        if (rc != HTT_OK)
            return rc;
        blocks[writer->blocks.count++].born = writer->sequence;
    }
    return HTT_OK;
}

/* A vacuum: free pages at the end of the store are not of the store any more. */
static void freelist_shrink(htt_writer *writer) {
    if (!writer->options.low_first || writer->freezes.count > 0)
        return;
    while (writer->page_count > HTT_WRITER_FIRST_PAGE &&
           htt_pool_has_any(&writer->pool, writer->page_count - 1, 1)) {
        writer->page_count--;
        htt_pool_remove(&writer->pool, writer->page_count, 1);
    }
    assert(writer->page_count >= HTT_WRITER_FIRST_PAGE);
}

/* From the last page to the first, since each has the smallest age of all behind it. */
static htt_rc freelist_write(htt_writer *writer, const htt_list *entries, htt_error *error) {
    const htt_block *blocks = writer->blocks.items;
    const htt_free_run *items = entries->items;
    uint32_t capacity = htt_free_capacity(writer->page_size);
    uint64_t oldest = writer->chain == 0 ? UINT64_MAX : writer->chain_oldest;
    uint32_t next = writer->chain;
    htt_rc rc;

    assert(writer->chain == 0 || writer->chain_known);
    assert((uint64_t)writer->blocks.count * capacity >= entries->count); /* none is lost */
    rc = htt_writer_scratch(writer, error);
    for (uint32_t i = writer->blocks.count; rc == HTT_OK && i > 0; i--) {
        uint32_t number = blocks[i - 1].number;
        uint64_t begin = (uint64_t)(i - 1) * capacity;
        uint64_t end = begin + capacity < entries->count ? begin + capacity : entries->count;
        uint8_t *page = writer->scratch;
        htt_free_init(page, writer->page_size, next, oldest);
        for (uint64_t j = begin; j < end; j++)
            htt_free_add(page, items[j]);
        oldest = htt_free_oldest(page);
        next = number;
        htt_page_seal(page, writer->page_size, number, writer->epoch);
        rc = htt_writer_write(writer, number, 1, (uint64_t)number << writer->page_shift, page,
                              writer->page_size, error);
    }
    return rc;
}

/* The list that is to be written, and the pages for it. */
static htt_rc freelist_plan(htt_writer *writer, bool cursors_open, htt_list *entries,
                            htt_error *error) {
    uint64_t pool;
    htt_rc rc;

    assert(entries->count == 0);
    if (!freelist_give_back(writer) || !freelist_collect(writer, cursors_open, entries))
        return htt_writer_no_memory(error);
    rc = freelist_check(writer, entries, error);
    if (rc != HTT_OK)
        return rc;
    freelist_join(entries);
    pool = freelist_count_pool(writer); /* pages taken from it, low ones first, part no run */
    rc = freelist_allocate(writer, entries->count + pool, error);
    if (rc != HTT_OK)
        return rc;
    freelist_shrink(writer);
    if (!freelist_add_pool(writer, entries, pool))
        return htt_writer_no_memory(error);
    freelist_join(entries);
    return HTT_OK;
}

htt_rc htt_freelist_flush(htt_writer *writer, htt_root *root_inout, bool cursors_open,
                          htt_error *error) {
    htt_list entries = {NULL, 0, 0};
    const htt_free_run *items;
    const uint8_t *block;
    uint64_t pages = writer->chain_pages;
    htt_rc rc = HTT_OK;

    if (writer->chain != 0 && !writer->chain_known) {
        rc = freelist_look(writer, &block, error);
        htt_writer_unpin(writer);
    }
    if (rc == HTT_OK)
        rc = freelist_plan(writer, cursors_open, &entries, error);
    if (rc == HTT_OK)
        rc = htt_writer_extend(writer, writer->page_count, error);
    if (rc == HTT_OK)
        rc = freelist_write(writer, &entries, error);
    items = entries.items;
    for (uint32_t i = 0; i < entries.count; i++)
        pages += items[i].pages;
    htt_list_free(writer, &entries);
    if (rc != HTT_OK)
        return rc;
    if (pages > writer->page_count)
        return htt_error_set(error, HTT_CORRUPT, "the free list names more pages than there are");
    assert(writer->page_count >= HTT_WRITER_FIRST_PAGE);
    root_inout->page_count = writer->page_count;
    root_inout->free_head =
        writer->blocks.count == 0 ? writer->chain : ((htt_block *)writer->blocks.items)[0].number;
    root_inout->free_pages = (uint32_t)pages;
    return HTT_OK;
}
