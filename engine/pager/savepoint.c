/* SPDX-License-Identifier: MIT */
/*
 * Freezes and savepoints, and the pages that wait for them.
 *
 * A page that is given up while a freeze wants it is deferred. When a freeze ends, the deferred
 * pages that no other one wants go to the pool:
 *
 *     freezes        f1        f2        f3
 *     ---------------|---------|---------|----------> sequence
 *     page A     [born                      died)      wanted by f1, f2, f3
 *     page B               [born    died)              wanted by f2
 *     page C               [born  .. in use            edited only after a copy: f2, f3
 *
 * Since the list is in the order of `died`, only its end is looked at: what died after the freeze.
 * So the pages of one statement come back at its end, also inside a savepoint that is open for
 * long.
 *
 * Rolling back to savepoint s: what died after s lives again; what was allocated after s (the log
 * has it) is not in use any more. If a cursor opened after s still reads, those pages are deferred
 * with born = s + 1; the log keeps them too, since a second rollback takes up the deferred ones.
 */
#include <assert.h>

#include "base/error.h"
#include "base/limits.h"
#include "pager/writer_internal.h"

uint64_t htt_writer_newest_freeze(const htt_writer *writer) {
    const htt_freeze *freezes = writer->freezes.items;

    return writer->freezes.count == 0 ? 0 : freezes[writer->freezes.count - 1].name;
}

void htt_writer_log(htt_writer *writer, uint32_t first, uint32_t pages) {
    const htt_mark *marks = writer->marks.items;

    if (writer->marks.count > 0)
        htt_runs_append(&writer->log, marks[writer->marks.count - 1].log, first, pages);
}

/* ----------------------------------------------------------- deferred pages */

void htt_writer_defer(htt_writer *writer, uint32_t first, uint32_t pages, uint64_t born,
                      bool block) {
    htt_deferred *items = writer->deferred.items;
    htt_deferred item = {first, pages, born, writer->sequence, block};

    assert(writer->deferred.count < writer->deferred.capacity);
    assert(born <= writer->sequence);
    items[writer->deferred.count++] = item;
    if (!block)
        htt_frames_set_deferred(writer, first, pages, true);
}

/* The first deferred page that died after `name`. */
static uint32_t savepoint_find_died(const htt_writer *writer, uint64_t name) {
    const htt_deferred *items = writer->deferred.items;
    uint32_t low = 0;
    uint32_t high = writer->deferred.count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (items[middle].died > name)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

/* Whether a freeze f has born <= f < died. */
static bool savepoint_is_wanted(const htt_writer *writer, const htt_deferred *item) {
    const htt_freeze *freezes = writer->freezes.items;
    uint32_t low = 0;
    uint32_t high = writer->freezes.count;

    assert(item->born <= item->died);
    while (low < high) { /* the first freeze not before born */
        uint32_t middle = low + (high - low) / 2;
        if (freezes[middle].name >= item->born)
            high = middle;
        else
            low = middle + 1;
    }
    return low < writer->freezes.count && freezes[low].name < item->died;
}

/* A freeze ended, and maybe younger ones: gives back what nobody wants any more. */
static void savepoint_reclaim(htt_writer *writer, uint64_t name) {
    htt_deferred *items = writer->deferred.items;
    uint32_t kept = savepoint_find_died(writer, name);

    assert(kept <= writer->deferred.count);
    for (uint32_t i = kept; i < writer->deferred.count; i++) {
        htt_deferred item = items[i];
        if (savepoint_is_wanted(writer, &item)) {
            items[kept++] = item;
            continue;
        }
        htt_pool_add(&writer->pool, item.first, item.pages);
        if (!item.block)
            htt_frames_drop_pages(writer, item.first, item.pages);
    }
    writer->deferred.count = kept;
}

/* ------------------------------------------------------------------ freezes */

static htt_rc savepoint_begin_freeze(htt_writer *writer, bool savepoint, uint64_t *name_out,
                                     htt_error *error) {
    htt_freeze *freezes;

    assert(htt_writer_newest_freeze(writer) < writer->sequence); /* names ascend */
    if (!htt_list_fit(writer, &writer->freezes, sizeof(htt_freeze), 1))
        return htt_writer_no_memory(error);
    freezes = writer->freezes.items;
    freezes[writer->freezes.count].name = writer->sequence;
    freezes[writer->freezes.count].savepoint = savepoint;
    writer->freezes.count++;
    *name_out = writer->sequence++;
    return HTT_OK;
}

htt_rc htt_writer_freeze(htt_writer *writer, uint64_t *freeze_out, htt_error *error) {
    return savepoint_begin_freeze(writer, false, freeze_out, error);
}

void htt_writer_thaw(htt_writer *writer, uint64_t freeze) {
    htt_freeze *freezes = writer->freezes.items;
    uint32_t at = writer->freezes.count;

    while (at > 0 && freezes[at - 1].name != freeze)
        at--;
    assert(at > 0);
    if (at == 0)
        return;
    assert(!freezes[at - 1].savepoint);
    memmove(&freezes[at - 1], &freezes[at], (writer->freezes.count - at) * sizeof *freezes);
    writer->freezes.count--;
    savepoint_reclaim(writer, freeze);
}

/* Ends the freezes of savepoints from `name` on. */
static void savepoint_end_freezes(htt_writer *writer, uint64_t name) {
    htt_freeze *freezes = writer->freezes.items;
    uint32_t at = writer->freezes.count;
    uint32_t kept;

    while (at > 0 && freezes[at - 1].name >= name)
        at--;
    kept = at;
    for (; at < writer->freezes.count; at++) {
        if (!freezes[at].savepoint)
            freezes[kept++] = freezes[at];
    }
    writer->freezes.count = kept;
}

/* --------------------------------------------------------------- savepoints */

htt_rc htt_writer_savepoint(htt_writer *writer, uint32_t *depth_out, htt_error *error) {
    htt_mark mark = {0, writer->freed.count, writer->log.count, 0};
    htt_mark *marks;
    htt_rc rc;

    if (writer->marks.count >= HTT_SAVEPOINTS_MAX)
        return htt_error_set(error, HTT_FULL, "more than %u savepoints are open",
                             (unsigned)HTT_SAVEPOINTS_MAX);
    if (!htt_list_fit(writer, &writer->marks, sizeof(htt_mark), 1))
        return htt_writer_no_memory(error);
    rc = savepoint_begin_freeze(writer, true, &mark.name, error);
    if (rc != HTT_OK)
        return rc;
    assert(mark.name == htt_writer_newest_freeze(writer));
    marks = writer->marks.items;
    *depth_out = writer->marks.count;
    marks[writer->marks.count++] = mark;
    return HTT_OK;
}

/* Pages that died after savepoint `name` live again. */
static void savepoint_revive(htt_writer *writer, uint64_t name) {
    const htt_deferred *items = writer->deferred.items;
    htt_block *blocks = writer->blocks.items;
    uint32_t from = savepoint_find_died(writer, name);
    uint32_t kept = 0;

    for (uint32_t i = 0; i < writer->blocks.count; i++) {
        if (blocks[i].born <= name)
            blocks[kept++] = blocks[i];
    }
    writer->blocks.count = kept;
    for (uint32_t i = from; i < writer->deferred.count; i++) {
        if (!items[i].block) {
            htt_frames_set_deferred(writer, items[i].first, items[i].pages, false);
        } else if (items[i].born <= name) {
            assert(writer->blocks.count < writer->blocks.capacity); /* they came from there */
            blocks[writer->blocks.count].number = items[i].first;
            blocks[writer->blocks.count].born = items[i].born;
            writer->blocks.count++;
        }
    }
    writer->deferred.count = from;
}

void htt_writer_rollback_to(htt_writer *writer, uint32_t depth) {
    htt_mark *mark = (htt_mark *)writer->marks.items + depth;
    htt_run_ref *log = writer->log.items;
    bool cursors;

    assert(depth < writer->marks.count);
    writer->marks.count = depth + 1;
    assert(writer->freed.count >= mark->freed && writer->log.count >= mark->log);
    savepoint_end_freezes(writer, mark->name + 1);
    savepoint_revive(writer, mark->name);
    writer->freed.count = mark->freed;
    mark->compacted = 0;
    if (writer->log.count == mark->log)
        return;
    mark->compacted = htt_runs_compact(log + mark->log, writer->log.count - mark->log);
    writer->log.count = mark->log + mark->compacted;
    cursors = htt_writer_newest_freeze(writer) > mark->name;
    for (uint32_t i = mark->log; i < writer->log.count; i++) {
        if (cursors) {
            htt_pool_remove(&writer->pool, log[i].first, log[i].pages);
            htt_writer_defer(writer, log[i].first, log[i].pages, mark->name + 1, false);
        } else {
            htt_pool_add(&writer->pool, log[i].first, log[i].pages);
            htt_frames_drop_pages(writer, log[i].first, log[i].pages);
        }
    }
    if (!cursors) {
        writer->log.count = mark->log;
        mark->compacted = 0;
    }
}

void htt_writer_release(htt_writer *writer, uint32_t depth) {
    htt_mark *marks = writer->marks.items;
    uint64_t name = marks[depth].name;

    assert(depth < writer->marks.count);
    writer->marks.count = depth;
    assert(marks[depth].log <= writer->log.count);
    savepoint_end_freezes(writer, name);
    savepoint_reclaim(writer, name);
    if (depth == 0) {
        writer->log.count = 0;
        return;
    }
    assert(htt_writer_newest_freeze(writer) >= marks[depth - 1].name); /* it is still open */
    /* Statements inside a long savepoint allocate the same pages again and again. */
    htt_mark *outer = &marks[depth - 1];
    if (writer->log.count - outer->log > 2 * outer->compacted + 64) {
        outer->compacted = htt_runs_compact((htt_run_ref *)writer->log.items + outer->log,
                                            writer->log.count - outer->log);
        writer->log.count = outer->log + outer->compacted;
    }
}
