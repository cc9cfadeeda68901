/* SPDX-License-Identifier: MIT */
/*
 * Frames go to the file: all that are dirty at a flush, and at a reserve the least recently used
 * ones when there are too many. Frames of neighbouring pages are gathered into one write.
 *
 * Space is made in the file before a page beyond its end is written, in steps that grow with the
 * file, so that a full disk is met there and not in the middle of a page.
 */
#include <assert.h>

#include "base/error.h"
#include "base/limits.h"
#include "pager/writer_internal.h"

enum {
    SPILL_BATCH = 256,    /* frames picked at once */
    SPILL_STEP_MIN = 16,  /* pages by which a file grows */
    SPILL_STEP_MAX = 4096 /* the same */
};

/* -------------------------------------------------------------------- space */

static htt_rc spill_find_size(htt_writer *writer, htt_error *error) {
    const htt_env *env = writer->options.env;
    htt_file_info info;
    int failure = env->info(env->context, writer->options.file, &info);

    if (failure != 0)
        return htt_error_errno(error, HTT_IO, failure, "cannot ask for the file's size");
    writer->file_size = info.size;
    return HTT_OK;
}

htt_rc htt_writer_extend(htt_writer *writer, uint32_t page_end, htt_error *error) {
    const htt_env *env = writer->options.env;
    uint64_t needed = (uint64_t)page_end << writer->page_shift;
    uint64_t step = writer->page_count / 16;
    uint64_t wanted;
    int failure;
    htt_rc rc;

    if (needed > writer->file_size && writer->file_size == 0) {
        rc = spill_find_size(writer, error);
        if (rc != HTT_OK)
            return rc;
    }
    if (needed <= writer->file_size)
        return HTT_OK;
    step = step < SPILL_STEP_MIN ? SPILL_STEP_MIN : step;
    step = step > SPILL_STEP_MAX ? SPILL_STEP_MAX : step;
    wanted = needed + (step << writer->page_shift);
    failure = env->reserve(env->context, writer->options.file, wanted);
    if (failure != 0) { /* less will do */
        wanted = needed;
        failure = env->reserve(env->context, writer->options.file, wanted);
    }
    if (failure != 0)
        return htt_error_errno(error, HTT_READONLY, failure, "cannot make the file %llu bytes long",
                               (unsigned long long)wanted);
    writer->file_size = wanted;
    assert(writer->file_size >= needed);
    return HTT_OK;
}

/* ------------------------------------------------------------------- writing */

htt_rc htt_writer_scratch(htt_writer *writer, htt_error *error) {
    const htt_env *env = writer->options.env;

    if (writer->scratch == NULL)
        writer->scratch = env->allocate(env->context, HTT_WRITER_SCRATCH);
    return writer->scratch == NULL ? htt_writer_no_memory(error) : HTT_OK;
}

htt_rc htt_writer_write(htt_writer *writer, uint32_t first, uint32_t pages, uint64_t offset,
                        const uint8_t *bytes, size_t size, htt_error *error) {
    const htt_env *env = writer->options.env;
    int failure;

    assert(first >= HTT_WRITER_FIRST_PAGE);
    assert(offset >= (uint64_t)first << writer->page_shift);
    assert(offset + size <= ((uint64_t)first + pages) << writer->page_shift);
    assert(offset + size <= writer->file_size);
    failure = env->write(env->context, writer->options.file, bytes, size, offset);
    htt_pages_forget(writer->options.pages, first, pages); /* a part may have been written */
    if (failure != 0)
        return htt_error_errno(error, HTT_READONLY, failure, "cannot write page %u",
                               (unsigned)first);
    return HTT_OK;
}

/* Writes frames of neighbouring pages, as many as go into one write. Gives their number. */
static htt_rc spill_write_group(htt_writer *writer, htt_frame *const *frames, uint32_t count,
                                uint32_t *written_out, htt_error *error) {
    uint32_t max = HTT_WRITER_SCRATCH >> writer->page_shift;
    uint32_t first = frames[0]->number;
    uint64_t offset = (uint64_t)first << writer->page_shift;
    const uint8_t *bytes = frames[0]->bytes;
    uint32_t pages = 1;
    htt_rc rc;

    assert(count >= 1 && max >= 1);
    while (pages < count && pages < max && frames[pages]->number == first + pages)
        pages++;
    /* Without memory for gathering, one page at a time. */
    if (pages > 1 && htt_writer_scratch(writer, NULL) != HTT_OK)
        pages = 1;
    for (uint32_t i = 0; i < pages; i++) {
        htt_page_seal(frames[i]->bytes, writer->page_size, frames[i]->number, writer->epoch);
        if (pages > 1)
            memcpy(writer->scratch + ((size_t)i << writer->page_shift), frames[i]->bytes,
                   writer->page_size);
    }
    if (pages > 1)
        bytes = writer->scratch;
    rc = htt_writer_write(writer, first, pages, offset, bytes, (size_t)pages << writer->page_shift,
                          error);
    if (rc != HTT_OK)
        return rc;
    for (uint32_t i = 0; i < pages; i++)
        frames[i]->dirty = false;
    *written_out = pages;
    return HTT_OK;
}

static bool spill_is_less(const void *left, const void *right) {
    return (*(htt_frame *const *)left)->number < (*(htt_frame *const *)right)->number;
}

/* Sorts frames by page and writes them. */
static htt_rc spill_write(htt_writer *writer, htt_frame **frames, uint32_t count,
                          htt_error *error) {
    uint32_t written = 0;
    htt_rc rc;

    if (count == 0)
        return HTT_OK;
    htt_list_sort(frames, count, sizeof(htt_frame *), spill_is_less);
    rc = htt_writer_extend(writer, frames[count - 1]->number + 1, error);
    for (uint32_t i = 0; rc == HTT_OK && i < count; i += written)
        rc = spill_write_group(writer, frames + i, count - i, &written, error);
    return rc;
}

htt_rc htt_writer_write_dirty(htt_writer *writer, bool with_deferred, htt_error *error) {
    const htt_env *env = writer->options.env;
    htt_frame *frame = writer->hand;
    htt_frame **frames;
    uint32_t count = 0;
    htt_rc rc;

    if (frame == NULL)
        return HTT_OK;
    frames = env->allocate(env->context, writer->frame_count * sizeof(htt_frame *));
    if (frames == NULL)
        return htt_writer_no_memory(error);
    for (uint32_t i = 0; i < writer->frame_count; i++) {
        if (frame->dirty && (with_deferred || !frame->deferred))
            frames[count++] = frame;
        frame = frame->next;
    }
    assert(frame == writer->hand); /* once round the ring of all frames */
    rc = spill_write(writer, frames, count, error);
    env->release(env->context, frames);
    return rc;
}

/* ------------------------------------------------------------------ spilling */

uint32_t htt_writer_frames_max(const htt_writer *writer) {
    uint64_t tables = writer->outside +
                      (uint64_t)writer->pool.chunks_made * sizeof(htt_pool_chunk) +
                      (uint64_t)writer->pool.chunk_count * sizeof(htt_pool_chunk *) +
                      (uint64_t)writer->log.capacity * sizeof(htt_run_ref) +
                      (uint64_t)writer->deferred.capacity * sizeof(htt_deferred) +
                      (uint64_t)writer->freed.capacity * sizeof(htt_run_ref) +
                      (uint64_t)writer->held.capacity * sizeof(htt_free_run) +
                      (uint64_t)writer->freezes.capacity * sizeof(htt_freeze) +
                      (uint64_t)writer->marks.capacity * sizeof(htt_mark);
    /* Two slots of the table to a frame, or up to four. */
    uint64_t each = sizeof(htt_frame) + writer->page_size + 4 * sizeof(htt_frame *);
    uint64_t budget = writer->options.budget;
    uint64_t frames = budget > tables ? (budget - tables) / each : 0;

    if (frames < HTT_WRITER_FRAMES_MIN)
        frames = HTT_WRITER_FRAMES_MIN;
    assert(frames >= HTT_WRITER_FRAMES_MIN);
    return frames < UINT32_MAX / 4 ? (uint32_t)frames : UINT32_MAX / 4;
}

/* Picks up to `count` frames that were not used since the clock's hand passed last. */
static uint32_t spill_pick(htt_writer *writer, htt_frame **frames, uint32_t count) {
    uint32_t picked = 0;

    assert(count <= writer->frame_count);
    while (picked < count) {
        htt_frame *frame = writer->hand;
        writer->hand = frame->next;
        if (frame->picked)
            continue;
        if (frame->used) {
            frame->used = false;
            continue;
        }
        frame->picked = true;
        frames[picked++] = frame;
    }
    for (uint32_t i = 0; i < picked; i++)
        frames[i]->picked = false;
    return picked;
}

/* Picks frames, writes those that are dirty, and drops them all. */
static htt_rc spill_some(htt_writer *writer, uint32_t count, htt_error *error) {
    htt_frame *frames[SPILL_BATCH];
    htt_frame *dirty[SPILL_BATCH];
    uint32_t dirty_count = 0;
    uint32_t picked;
    htt_rc rc;

    assert(count <= SPILL_BATCH);
    picked = spill_pick(writer, frames, count);
    assert(picked == count);
    for (uint32_t i = 0; i < picked; i++) {
        if (frames[i]->dirty)
            dirty[dirty_count++] = frames[i];
    }
    rc = spill_write(writer, dirty, dirty_count, error);
    if (rc != HTT_OK)
        return rc;
    writer->stat.spilled += dirty_count;
    for (uint32_t i = 0; i < picked; i++)
        htt_frames_drop(writer, frames[i]);
    return HTT_OK;
}

htt_rc htt_writer_spill(htt_writer *writer, uint32_t extra, htt_error *error) {
    uint32_t max = htt_writer_frames_max(writer);
    uint64_t more;
    htt_rc rc;

    if (max < extra)
        max = extra;
    if ((uint64_t)writer->frame_count + extra > max) {
        /* Some more than must be, so that not every change spills. */
        more = (uint64_t)writer->frame_count + extra - max + max / 8;
        if (more > writer->frame_count)
            more = writer->frame_count;
        while (more > 0) {
            uint32_t count = more < SPILL_BATCH ? (uint32_t)more : SPILL_BATCH;
            rc = spill_some(writer, count, error);
            if (rc != HTT_OK)
                return rc;
            more -= count;
        }
    }
    assert((uint64_t)writer->frame_count + extra <= max);
    htt_frames_recycle(writer);
    return HTT_OK;
}
