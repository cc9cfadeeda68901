/* SPDX-License-Identifier: MIT */
/*
 * The writer: what may be changed in place, what is copied, and where page numbers come from and
 * go to. writer.h has the rules; writer_internal.h says which file does what.
 */
#include "pager/writer.h"

#include <assert.h>

#include "base/error.h"
#include "base/limits.h"
#include "pager/writer_internal.h"

enum {
    WRITER_FREES_PER_CALL = 4, /* pages given up for one that is made writable, at most */
    WRITER_FREES_MORE = 64,    /* and for runs of overflow on top */
    WRITER_POOL_MIN = 16       /* free pages that are looked for before a change */
};

/* ------------------------------------------------------------ begin and end */

htt_rc htt_writer_begin(const htt_writer_options *options, htt_writer **writer_out,
                        htt_error *error) {
    const htt_env *env = options->env;
    htt_writer *writer;
    htt_rc rc;

    assert(options->base.page_count >= HTT_WRITER_FIRST_PAGE);
    assert(options->base.page_size <= HTT_WRITER_SCRATCH);
    assert(options->reuse_limit <= options->base.self.epoch);
    writer = env->allocate(env->context, sizeof *writer);
    if (writer == NULL)
        return htt_writer_no_memory(error);
    memset(writer, 0, sizeof *writer);
    writer->options = *options;
    writer->epoch = options->base.self.epoch + 1;
    writer->page_size = options->base.page_size;
    writer->page_shift = (uint32_t)__builtin_ctz(writer->page_size);
    writer->page_count = options->base.page_count;
    writer->sequence = 1; /* 0 is "no freeze" */
    writer->chain = options->base.free_head;
    writer->chain_pages = options->base.free_pages;
    if (options->low_first) {
        rc = htt_freelist_load(writer, error);
        if (rc != HTT_OK) {
            htt_writer_end(writer);
            return rc;
        }
    }
    *writer_out = writer;
    return HTT_OK;
}

void htt_writer_end(htt_writer *writer) {
    const htt_env *env;

    if (writer == NULL)
        return;
    env = writer->options.env;
    htt_pins_free(writer->options.pages, &writer->pins);
    htt_frames_end(writer);
    htt_pool_end(writer);
    htt_list_free(writer, &writer->freezes);
    htt_list_free(writer, &writer->marks);
    htt_list_free(writer, &writer->log);
    htt_list_free(writer, &writer->deferred);
    htt_list_free(writer, &writer->freed);
    htt_list_free(writer, &writer->held);
    htt_list_free(writer, &writer->blocks_freed);
    htt_list_free(writer, &writer->blocks);
    if (writer->scratch != NULL)
        env->release(env->context, writer->scratch);
    env->release(env->context, writer);
}

uint64_t htt_writer_epoch(const htt_writer *writer) {
    return writer->epoch;
}

uint32_t htt_writer_page_count(const htt_writer *writer) {
    return writer->page_count;
}

htt_writer_stat htt_writer_stats(const htt_writer *writer) {
    htt_writer_stat stat = writer->stat;

    stat.frames = writer->frame_count;
    return stat;
}

/* ------------------------------------------------------------------ reserve */

bool htt_writer_fit(htt_writer *writer, uint32_t calls) {
    uint64_t frees = WRITER_FREES_PER_CALL * (uint64_t)calls + WRITER_FREES_MORE;
    uint64_t left = HTT_PAGE_NUMBER_MAX - writer->page_count;
    uint32_t fresh = calls < left ? calls : (uint32_t)left;

    /* A rollback moves what is in the log to the deferred pages. */
    return htt_list_fit(writer, &writer->freed, sizeof(htt_run_ref), frees) &&
           htt_list_fit(writer, &writer->log, sizeof(htt_run_ref), calls) &&
           htt_list_fit(writer, &writer->deferred, sizeof(htt_deferred),
                        frees + writer->log.count + calls) &&
           (fresh == 0 || htt_pool_fit(writer, writer->page_count, fresh));
}

htt_rc htt_writer_reserve(htt_writer *writer, uint32_t frames, htt_error *error) {
    htt_rc rc;

    if (writer->out_of_memory)
        return htt_writer_no_memory(error);
    rc = htt_writer_spill(writer, frames, error);
    if (rc != HTT_OK)
        return rc;
    /* Most changes need much less than their reserve; for the others the file grows. */
    rc = htt_freelist_fill(writer, frames < WRITER_POOL_MIN ? frames : WRITER_POOL_MIN, error);
    if (rc != HTT_OK)
        return rc;
    if (!htt_frames_fit(writer, frames) || !htt_writer_fit(writer, frames))
        return htt_writer_no_memory(error);
    assert(writer->spare_count >= frames);
    return HTT_OK;
}

void htt_writer_set_outside(htt_writer *writer, uint64_t bytes) {
    writer->outside = bytes;
}

uint64_t htt_writer_memory(const htt_writer *writer) {
    return writer->slab_bytes;
}

/* For edit and new: what the reserve promised, or, if they are called more often, more of it. */
static htt_rc writer_ready(htt_writer *writer, htt_error *error) {
    if (writer->spare_count > 0)
        return HTT_OK;
    if (!htt_frames_fit(writer, 1) || !htt_writer_fit(writer, 1))
        return htt_writer_no_memory(error);
    assert(writer->spare_count > 0);
    return HTT_OK;
}

/* -------------------------------------------------------------- page numbers */

htt_rc htt_writer_allocate(htt_writer *writer, uint32_t *number_out, htt_error *error) {
    uint32_t number;

    if (htt_pool_take(&writer->pool, &number)) {
        if (htt_frames_find(writer, number) != NULL)
            return htt_error_page(error, HTT_CORRUPT, number, "it is in the free list twice");
        writer->stat.reused++;
    } else {
        if (writer->page_count >= HTT_PAGE_NUMBER_MAX)
            return htt_error_set(error, HTT_FULL, "the store has as many pages as numbers (%u)",
                                 (unsigned)HTT_PAGE_NUMBER_MAX);
        number = writer->page_count++;
        writer->stat.extended++;
    }
    assert(htt_pool_covers(&writer->pool, number, 1));
    writer->allocated++;
    htt_writer_log(writer, number, 1);
    *number_out = number;
    return HTT_OK;
}

/* A page or run of the base root: free for transactions to come. */
static void writer_free_base(htt_writer *writer, uint32_t first, uint32_t pages) {
    const htt_mark *marks = writer->marks.items;
    uint32_t begin = writer->marks.count == 0 ? 0 : marks[writer->marks.count - 1].freed;

    assert(begin <= writer->freed.count);
    if (!htt_list_fit(writer, &writer->freed, sizeof(htt_run_ref), 1)) {
        writer->out_of_memory = true;
        return;
    }
    htt_runs_append(&writer->freed, begin, first, pages);
}

/* Pages of this transaction. `frame` is that of a single page, if it is in memory. */
static void writer_free_own(htt_writer *writer, uint32_t first, uint32_t pages,
                            htt_frame *frame) {
    uint64_t born = frame == NULL ? 0 : frame->born;

    assert(frame == NULL || (pages == 1 && frame->number == first));
    if (writer->freezes.count > 0 && born <= htt_writer_newest_freeze(writer)) {
        if (!htt_list_fit(writer, &writer->deferred, sizeof(htt_deferred),
                          1 + (uint64_t)writer->log.count)) {
            writer->out_of_memory = true;
            return;
        }
        htt_writer_defer(writer, first, pages, born, false);
        return;
    }
    htt_pool_add(&writer->pool, first, pages);
    if (frame != NULL)
        htt_frames_drop(writer, frame);
}

void htt_writer_free(htt_writer *writer, uint32_t first, uint32_t count, uint64_t stamp) {
    htt_frame *frame = count == 1 ? htt_frames_find(writer, first) : NULL;

    assert(first >= HTT_WRITER_FIRST_PAGE);
    assert(count >= 1);
    assert(count <= writer->page_count - first);
    /* Own pages have a chunk in the pool. One without came from a transaction that died with the
     * same epoch, by way of damage: it is treated as the base's, which is always safe. */
    if (frame == NULL &&
        (stamp < writer->epoch || !htt_pool_covers(&writer->pool, first, count)))
        writer_free_base(writer, first, count);
    else
        writer_free_own(writer, first, count, frame);
}

/* ------------------------------------------------------------- edit and new */

htt_rc htt_writer_read(htt_writer *writer, uint32_t number, const uint8_t **page_out,
                       htt_error *error) {
    htt_snapshot snapshot = {.epoch = writer->epoch,
                             .committed = writer->options.base.self.epoch,
                             .page_count = writer->page_count};

    return htt_pages_get(writer->options.pages, &writer->pins, &snapshot, number, page_out, error);
}

void htt_writer_unpin(htt_writer *writer) {
    htt_pins_drop(writer->options.pages, &writer->pins);
}

const uint8_t *htt_writer_find(htt_writer *writer, uint32_t number) {
    htt_frame *frame = htt_frames_find(writer, number);

    if (frame == NULL)
        return NULL;
    frame->used = true;
    return frame->bytes;
}

/* A page that is not in memory: loaded when it is own and no freeze wants it, else copied. */
static htt_rc writer_edit_loaded(htt_writer *writer, uint32_t *number_inout, htt_frame **frame_out,
                                 htt_error *error) {
    const uint8_t *page;
    htt_frame *frame;
    uint32_t number = *number_inout;
    htt_rc rc;

    assert(htt_frames_find(writer, number) == NULL);
    rc = htt_writer_read(writer, number, &page, error);
    if (rc != HTT_OK)
        return rc;
    if (htt_page_stamp(page) < writer->epoch || writer->freezes.count > 0 ||
        !htt_pool_covers(&writer->pool, number, 1)) {
        rc = htt_writer_allocate(writer, &number, error);
        if (rc != HTT_OK) {
            htt_writer_unpin(writer);
            return rc;
        }
    }
    frame = htt_frames_take(writer, number);
    memcpy(frame->bytes, page, writer->page_size);
    if (number != *number_inout)
        htt_writer_free(writer, *number_inout, 1, htt_page_stamp(page));
    htt_writer_unpin(writer);
    *number_inout = number;
    *frame_out = frame;
    return HTT_OK;
}

htt_rc htt_writer_edit(htt_writer *writer, uint32_t *number_inout, uint8_t **page_out,
                       htt_error *error) {
    htt_frame *frame = htt_frames_find(writer, *number_inout);
    htt_frame *copy;
    uint32_t number;
    htt_rc rc;

    if (frame != NULL && frame->born > htt_writer_newest_freeze(writer)) {
        assert(!frame->deferred);
        frame->dirty = true;
        frame->used = true;
        *page_out = frame->bytes;
        return HTT_OK;
    }
    rc = writer_ready(writer, error);
    if (rc != HTT_OK)
        return rc;
    if (frame == NULL) {
        rc = writer_edit_loaded(writer, number_inout, &copy, error);
        if (rc != HTT_OK)
            return rc;
        *page_out = copy->bytes;
        return HTT_OK;
    }
    rc = htt_writer_allocate(writer, &number, error);
    if (rc != HTT_OK)
        return rc;
    assert(number != frame->number); /* WRITER-1 */
    copy = htt_frames_take(writer, number);
    memcpy(copy->bytes, frame->bytes, writer->page_size);
    writer_free_own(writer, frame->number, 1, frame);
    *number_inout = number;
    *page_out = copy->bytes;
    return HTT_OK;
}

htt_rc htt_writer_new(htt_writer *writer, uint32_t *number_out, uint8_t **page_out,
                      htt_error *error) {
    htt_frame *frame;
    uint32_t number;
    htt_rc rc;

    rc = writer_ready(writer, error);
    if (rc != HTT_OK)
        return rc;
    rc = htt_writer_allocate(writer, &number, error);
    if (rc != HTT_OK)
        return rc;
    assert(number < writer->page_count);
    frame = htt_frames_take(writer, number);
    memset(frame->bytes, 0, writer->page_size);
    *number_out = number;
    *page_out = frame->bytes;
    return HTT_OK;
}

/* -------------------------------------------------------------------- flush */

static htt_rc writer_root_checksum(htt_writer *writer, uint32_t number, uint64_t *checksum_out,
                                   htt_error *error) {
    const uint8_t *page;
    htt_rc rc;

    if (number == 0) {
        *checksum_out = 0;
        return HTT_OK;
    }
    page = htt_writer_find(writer, number);
    if (page == NULL) {
        rc = htt_writer_read(writer, number, &page, error);
        if (rc != HTT_OK)
            return rc;
    }
    *checksum_out = le64_get(page + HTT_PAGE_CHECKSUM);
    htt_writer_unpin(writer);
    return HTT_OK;
}

htt_rc htt_writer_flush(htt_writer *writer, htt_root *root_inout, bool cursors_open,
                        htt_error *error) {
    htt_root root = *root_inout;
    htt_rc rc;

    if (writer->out_of_memory)
        return htt_writer_no_memory(error);
    rc = htt_freelist_flush(writer, &root, cursors_open, error);
    if (rc != HTT_OK)
        return rc;
    assert(root.page_count == writer->page_count);
    rc = htt_writer_write_dirty(writer, cursors_open, error);
    if (rc != HTT_OK)
        return rc;
    rc = writer_root_checksum(writer, root.page, &root.page_checksum, error);
    if (rc != HTT_OK)
        return rc;
    *root_inout = root;
    return HTT_OK;
}
