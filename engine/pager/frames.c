/* SPDX-License-Identifier: MIT */
/*
 * Frames: the pages of a write transaction that are in memory.
 *
 * Memory comes in slabs of many frames and is not touched before it is used: a transaction reserves
 * for the worst case and needs a few.
 *
 * A table finds them by page number (open addressing, at most half full, no marks of deleted
 * ones: the entries behind move up). A ring has all of them, for the clock that picks what is
 * spilled. A frame that is dropped keeps its bytes until the next reserve, as callers were told.
 */
#include <assert.h>

#include "pager/writer_internal.h"

enum {
    FRAMES_SLOTS_MIN = 64,
    FRAMES_SLAB_MIN = 16, /* frames of a slab */
    FRAMES_SLAB_HEAD = 16 /* bytes before them: the pointer, and alignment */
};

static uint32_t frames_home(const htt_writer *writer, uint32_t number) {
    return (number * UINT32_C(0x9E3779B1) >> 5) & writer->slot_mask;
}

htt_frame *htt_frames_find(const htt_writer *writer, uint32_t number) {
    uint32_t slot;

    if (writer->frame_count == 0)
        return NULL;
    assert(writer->slots != NULL);
    slot = frames_home(writer, number);
    while (writer->slots[slot] != NULL) {
        if (writer->slots[slot]->number == number)
            return writer->slots[slot];
        slot = (slot + 1) & writer->slot_mask;
    }
    return NULL;
}

static void frames_put(htt_writer *writer, htt_frame *frame) {
    uint32_t slot = frames_home(writer, frame->number);

    while (writer->slots[slot] != NULL)
        slot = (slot + 1) & writer->slot_mask;
    writer->slots[slot] = frame;
}

static bool frames_grow_table(htt_writer *writer, uint64_t frames) {
    const htt_env *env = writer->options.env;
    uint32_t old_count = writer->slots == NULL ? 0 : writer->slot_mask + 1;
    uint64_t count = old_count == 0 ? FRAMES_SLOTS_MIN : old_count;
    htt_frame **old = writer->slots;
    htt_frame **slots;

    while (count < 2 * frames)
        count *= 2;
    if (count == old_count)
        return true;
    if (count > UINT32_MAX / 2)
        return false;
    assert((count & (count - 1)) == 0); /* slot_mask */
    slots = env->allocate(env->context, (size_t)count * sizeof *slots);
    if (slots == NULL)
        return false;
    memset(slots, 0, (size_t)count * sizeof *slots);
    writer->slots = slots;
    writer->slot_mask = (uint32_t)count - 1;
    for (uint32_t i = 0; i < old_count; i++) {
        if (old[i] != NULL)
            frames_put(writer, old[i]);
    }
    if (old != NULL)
        env->release(env->context, old);
    return true;
}

static size_t frames_size(const htt_writer *writer) {
    return sizeof(htt_frame) + writer->page_size;
}

/* What is left of the newest slab becomes spare, so that there can be another one. */
static void frames_use_up_slab(htt_writer *writer) {
    while (writer->fresh_count > 0) {
        htt_frame *frame = (htt_frame *)(void *)writer->fresh;
        frame->next = writer->spare;
        writer->spare = frame;
        writer->fresh += frames_size(writer);
        writer->fresh_count--;
    }
}

bool htt_frames_fit(htt_writer *writer, uint32_t count) {
    const htt_env *env = writer->options.env;
    uint32_t missing;
    uint8_t *slab;

    assert(writer->fresh_count <= writer->spare_count);
    if (!frames_grow_table(writer, (uint64_t)writer->frame_count + count))
        return false;
    if (writer->spare_count >= count)
        return true;
    frames_use_up_slab(writer);
    assert(writer->fresh_count == 0);
    missing = count - writer->spare_count;
    if (missing < FRAMES_SLAB_MIN)
        missing = FRAMES_SLAB_MIN;
    slab = env->allocate(env->context, FRAMES_SLAB_HEAD + missing * frames_size(writer));
    if (slab == NULL)
        return false;
    memcpy(slab, &writer->slabs, sizeof(void *));
    writer->slabs = slab;
    writer->slab_bytes += FRAMES_SLAB_HEAD + missing * frames_size(writer);
    writer->fresh = slab + FRAMES_SLAB_HEAD;
    writer->fresh_count = missing;
    writer->spare_count += missing;
    assert(writer->spare_count >= count);
    return true;
}

static htt_frame *frames_pop(htt_writer *writer) {
    htt_frame *frame = writer->spare;

    assert(writer->spare_count > 0);
    writer->spare_count--;
    if (frame != NULL) {
        writer->spare = frame->next;
        return frame;
    }
    assert(writer->fresh_count > 0);
    frame = (htt_frame *)(void *)writer->fresh;
    writer->fresh += frames_size(writer);
    writer->fresh_count--;
    return frame;
}

htt_frame *htt_frames_take(htt_writer *writer, uint32_t number) {
    htt_frame *frame;

    assert(number >= HTT_WRITER_FIRST_PAGE);
    assert(htt_frames_find(writer, number) == NULL);
    assert(2 * ((uint64_t)writer->frame_count + 1) <= (uint64_t)writer->slot_mask + 1);
    frame = frames_pop(writer);
    frame->number = number;
    frame->born = writer->sequence;
    frame->dirty = true;
    frame->deferred = false;
    frame->used = true;
    frame->picked = false;
    frames_put(writer, frame);
    writer->frame_count++;
    if (writer->hand == NULL) {
        frame->next = frame;
        frame->prev = frame;
        writer->hand = frame;
    } else { /* behind the hand: the last that it comes to */
        frame->next = writer->hand;
        frame->prev = writer->hand->prev;
        frame->prev->next = frame;
        frame->next->prev = frame;
    }
    return frame;
}

/* Takes a frame out of the table; those behind it that are not at home move up. */
static void frames_remove(htt_writer *writer, const htt_frame *frame) {
    uint32_t hole = frames_home(writer, frame->number);
    uint32_t slot;

    assert(writer->frame_count > 0);
    while (writer->slots[hole] != frame) {
        assert(writer->slots[hole] != NULL);
        hole = (hole + 1) & writer->slot_mask;
    }
    slot = hole;
    for (;;) {
        slot = (slot + 1) & writer->slot_mask;
        htt_frame *other = writer->slots[slot];
        if (other == NULL)
            break;
        uint32_t home = frames_home(writer, other->number);
        /* It may move when its home is not between the hole and where it is. */
        if (((slot - home) & writer->slot_mask) >= ((slot - hole) & writer->slot_mask)) {
            writer->slots[hole] = other;
            hole = slot;
        }
    }
    writer->slots[hole] = NULL;
    writer->frame_count--;
}

void htt_frames_drop(htt_writer *writer, htt_frame *frame) {
    assert(!frame->picked);
    frames_remove(writer, frame);
    if (frame->next == frame) {
        writer->hand = NULL;
    } else {
        if (writer->hand == frame)
            writer->hand = frame->next;
        frame->prev->next = frame->next;
        frame->next->prev = frame->prev;
    }
    frame->next = writer->dropped;
    writer->dropped = frame;
    assert((writer->hand == NULL) == (writer->frame_count == 0));
}

/* What to do with the frames of a run. */
typedef void (*frames_action)(htt_writer *writer, htt_frame *frame);

static void frames_each(htt_writer *writer, uint32_t first, uint32_t pages,
                        frames_action action) {
    htt_frame *frame = writer->hand;

    assert(pages >= 1);
    if (pages <= writer->frame_count) {
        for (uint32_t i = 0; i < pages; i++) {
            frame = htt_frames_find(writer, first + i);
            if (frame != NULL)
                action(writer, frame);
        }
        return;
    }
    /* A long run and few frames: look at all of them. */
    for (uint32_t left = writer->frame_count; left > 0; left--) {
        htt_frame *next = frame->next;
        if (frame->number - first < pages)
            action(writer, frame);
        frame = next;
    }
}

void htt_frames_drop_pages(htt_writer *writer, uint32_t first, uint32_t pages) {
    frames_each(writer, first, pages, htt_frames_drop);
}

static void frames_defer(htt_writer *writer, htt_frame *frame) {
    (void)writer;
    frame->deferred = true;
}

static void frames_undefer(htt_writer *writer, htt_frame *frame) {
    (void)writer;
    frame->deferred = false;
}

void htt_frames_set_deferred(htt_writer *writer, uint32_t first, uint32_t pages, bool deferred) {
    frames_each(writer, first, pages, deferred ? frames_defer : frames_undefer);
}

void htt_frames_recycle(htt_writer *writer) {
    while (writer->dropped != NULL) {
        htt_frame *frame = writer->dropped;
        writer->dropped = frame->next;
        frame->next = writer->spare;
        writer->spare = frame;
        writer->spare_count++;
    }
    assert(writer->fresh_count <= writer->spare_count);
}

void htt_frames_end(htt_writer *writer) {
    const htt_env *env = writer->options.env;

    while (writer->slabs != NULL) {
        void *slab = writer->slabs;
        memcpy(&writer->slabs, slab, sizeof(void *));
        env->release(env->context, slab);
    }
    if (writer->slots != NULL)
        env->release(env->context, writer->slots);
    writer->slots = NULL;
    writer->slab_bytes = 0;
    writer->hand = NULL;
    writer->spare = NULL;
    writer->dropped = NULL;
    writer->frame_count = 0;
    writer->spare_count = 0;
    writer->fresh_count = 0;
}
