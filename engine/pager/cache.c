/* SPDX-License-Identifier: MIT */
/*
 * Cached mode: pages are read into frames, and frames are kept in a table by page number.
 *
 *   pinned     in some htt_pins; stays, whatever the budget says
 *   listed     in the table, so that it can be found
 *
 *                    listed                          not listed
 *   pinned           found by all                    stays for those who have it, then goes
 *   not pinned       in the list, oldest goes first  does not exist
 *
 * Runs, and pages of a transaction at work, are never listed. A page that is forgotten stops
 * being listed. Pages are read and verified without the mutex; `generation` tells whether pages
 * were forgotten meanwhile, and then the frame is not listed.
 */
#include <assert.h>
#include <errno.h>

#include "base/error.h"
#include "pager/pages_internal.h"

enum { CACHE_BUCKETS_MIN = 256 };

static void cache_lock(htt_pages *pages) {
    (void)pthread_mutex_lock(&pages->mutex);
}

static void cache_unlock(htt_pages *pages) {
    (void)pthread_mutex_unlock(&pages->mutex);
}

static size_t cache_frame_size(const htt_cache_frame *frame) {
    return sizeof *frame + frame->size;
}

/* ----------------------------------------------------------- table and list */

static htt_cache_frame **cache_bucket(const htt_cache *cache, uint32_t number) {
    assert(cache->bucket_count > 0);
    return &cache->buckets[(number * UINT32_C(0x9E3779B1) >> 7) & (cache->bucket_count - 1)];
}

static htt_cache_frame *cache_find(const htt_cache *cache, uint32_t number) {
    htt_cache_frame *frame;

    if (cache->bucket_count == 0)
        return NULL;
    frame = *cache_bucket(cache, number);
    while (frame != NULL && frame->number != number)
        frame = frame->chain;
    assert(frame == NULL || frame->listed);
    return frame;
}

static void cache_list_add(htt_cache *cache, htt_cache_frame *frame) {
    assert(frame->listed && frame->pins == 0);
    frame->newer = NULL;
    frame->older = cache->newest;
    if (cache->newest != NULL)
        cache->newest->newer = frame;
    else
        cache->oldest = frame;
    cache->newest = frame;
}

static void cache_list_remove(htt_cache *cache, htt_cache_frame *frame) {
    assert(cache->newest != NULL && cache->oldest != NULL);
    if (frame->newer != NULL)
        frame->newer->older = frame->older;
    else
        cache->newest = frame->older;
    if (frame->older != NULL)
        frame->older->newer = frame->newer;
    else
        cache->oldest = frame->newer;
}

/* Doubles the buckets when chains get long. Without memory they just get longer. */
static void cache_grow_table(htt_pages *pages) {
    htt_cache *cache = &pages->cache;
    const htt_env *env = pages->env;
    htt_cache grown = *cache;

    if (cache->frame_count < cache->bucket_count)
        return;
    grown.bucket_count = cache->bucket_count == 0 ? CACHE_BUCKETS_MIN : 2 * cache->bucket_count;
    assert((grown.bucket_count & (grown.bucket_count - 1)) == 0); /* cache_bucket masks */
    grown.buckets = env->allocate(env->context, grown.bucket_count * sizeof *grown.buckets);
    if (grown.buckets == NULL)
        return;
    memset(grown.buckets, 0, grown.bucket_count * sizeof *grown.buckets);
    for (uint32_t i = 0; i < cache->bucket_count; i++) {
        htt_cache_frame *frame = cache->buckets[i];
        while (frame != NULL) {
            htt_cache_frame *next = frame->chain;
            htt_cache_frame **bucket = cache_bucket(&grown, frame->number);
            frame->chain = *bucket;
            *bucket = frame;
            frame = next;
        }
    }
    if (cache->buckets != NULL)
        env->release(env->context, cache->buckets);
    *cache = grown;
}

/* Takes a frame out of the table; it goes when nobody has pinned it. */
static void cache_unlist(htt_pages *pages, htt_cache_frame *frame) {
    htt_cache *cache = &pages->cache;
    htt_cache_frame **link = cache_bucket(cache, frame->number);

    assert(frame->listed);
    while (*link != frame)
        link = &(*link)->chain;
    *link = frame->chain;
    frame->listed = false;
    assert(cache->frame_count > 0);
    assert(cache->bytes >= cache_frame_size(frame));
    cache->frame_count--;
    cache->bytes -= cache_frame_size(frame);
    if (frame->pins == 0) {
        cache_list_remove(cache, frame);
        pages->env->release(pages->env->context, frame);
    }
}

static void cache_trim(htt_pages *pages) {
    while (pages->cache.bytes > pages->cache.budget && pages->cache.oldest != NULL)
        cache_unlist(pages, pages->cache.oldest);
}

/* A pinned frame becomes findable. */
static void cache_list(htt_pages *pages, htt_cache_frame *frame) {
    htt_cache *cache = &pages->cache;
    htt_cache_frame **bucket;

    assert(frame->pins > 0);
    assert(!frame->listed);
    cache_grow_table(pages);
    if (cache->bucket_count == 0)
        return; /* no memory for a table: it stays private */
    bucket = cache_bucket(cache, frame->number);
    frame->chain = *bucket;
    *bucket = frame;
    frame->listed = true;
    cache->frame_count++;
    cache->bytes += cache_frame_size(frame);
    cache_trim(pages);
}

/* --------------------------------------------------------------------- pins */

static htt_rc cache_pins_reserve(htt_pages *pages, htt_pins *pins, htt_error *error) {
    const htt_env *env = pages->env;
    uint32_t capacity;
    void *items;

    assert(pins->count <= pins->capacity);
    if (pins->count < pins->capacity)
        return HTT_OK;
    capacity = pins->capacity == 0 ? 16 : 2 * pins->capacity;
    items = env->reallocate(env->context, pins->items, capacity * sizeof *pins->items);
    if (items == NULL)
        return htt_error_set(error, HTT_NOMEM, "no memory to keep %u pages", (unsigned)capacity);
    pins->items = items;
    pins->capacity = capacity;
    return HTT_OK;
}

static void cache_pins_add(htt_pins *pins, htt_cache_frame *frame) {
    assert(pins->count < pins->capacity);
    pins->items[pins->count++] = frame;
}

static void cache_unpin(htt_pages *pages, htt_cache_frame *frame) {
    assert(frame->pins > 0);
    if (--frame->pins > 0)
        return;
    if (frame->listed)
        cache_list_add(&pages->cache, frame);
    else
        pages->env->release(pages->env->context, frame);
}

void htt_cache_drop(htt_pages *pages, htt_pins *pins) {
    assert(!pages->mapped);
    cache_lock(pages);
    while (pins->count > 0)
        cache_unpin(pages, pins->items[--pins->count]);
    cache_trim(pages);
    cache_unlock(pages);
}

/* ------------------------------------------------------------------ reading */

/* Reads `size` bytes from the begin of page `number` into a new frame, pinned once. */
static htt_rc cache_read(htt_pages *pages, uint32_t number, size_t size,
                         htt_cache_frame **frame_out, htt_error *error) {
    const htt_env *env = pages->env;
    uint64_t offset = (uint64_t)number << pages->page_shift;
    size_t got = 0;
    htt_cache_frame *frame;
    htt_rc rc;
    int failure;

    assert(size > 0 && (size & (pages->page_size - 1)) == 0);
    frame = env->allocate(env->context, sizeof *frame + size);
    if (frame == NULL)
        return htt_error_set(error, HTT_NOMEM, "no memory to read page %u", (unsigned)number);
    memset(frame, 0, sizeof *frame);
    frame->number = number;
    frame->size = size;
    frame->pins = 1;
    failure = env->read(env->context, pages->file, frame->bytes, size, offset, &got);
    if (failure == 0) {
        *frame_out = frame;
        return HTT_OK;
    }
    env->release(env->context, frame);
    if (failure == EIO) { /* also where the file ends: that is damage, with a better text */
        rc = htt_pages_find_end(pages, (uint32_t)((offset + size - 1) >> pages->page_shift),
                                error);
        if (rc != HTT_OK)
            return rc;
    }
    return htt_error_errno(error, HTT_IO, failure, "cannot read page %u", (unsigned)number);
}

/* Finds a frame and pins it, or gives NULL. */
static htt_cache_frame *cache_pin(htt_pages *pages, uint32_t number, uint64_t *generation_out) {
    htt_cache_frame *frame;

    cache_lock(pages);
    frame = cache_find(&pages->cache, number);
    if (frame != NULL && frame->pins++ == 0)
        cache_list_remove(&pages->cache, frame);
    *generation_out = pages->cache.generation;
    cache_unlock(pages);
    return frame;
}

static void cache_release(htt_pages *pages, htt_cache_frame *frame) {
    cache_lock(pages);
    cache_unpin(pages, frame);
    cache_unlock(pages);
}

htt_rc htt_cache_get(htt_pages *pages, htt_pins *pins, const htt_snapshot *snapshot,
                     uint32_t number, const uint8_t **page_out, htt_error *error) {
    htt_cache_frame *frame;
    uint64_t generation;
    bool known;
    htt_rc rc;

    assert(!pages->mapped);
    assert(number < snapshot->page_count);
    rc = cache_pins_reserve(pages, pins, error);
    if (rc != HTT_OK)
        return rc;
    frame = cache_pin(pages, number, &generation);
    known = frame != NULL;
    if (!known) {
        rc = cache_read(pages, number, pages->page_size, &frame, error);
        if (rc != HTT_OK)
            return rc;
    }
    if (!known || htt_page_stamp(frame->bytes) > snapshot->epoch) {
        rc = htt_pages_verify(pages, snapshot, number, frame->bytes, error);
        if (rc != HTT_OK) {
            cache_release(pages, frame);
            return rc;
        }
    }
    if (!known && htt_page_stamp(frame->bytes) <= snapshot->committed) {
        cache_lock(pages);
        if (generation == pages->cache.generation && cache_find(&pages->cache, number) == NULL)
            cache_list(pages, frame);
        cache_unlock(pages);
    }
    cache_pins_add(pins, frame);
    *page_out = frame->bytes;
    return HTT_OK;
}

htt_rc htt_cache_get_run(htt_pages *pages, htt_pins *pins, const htt_snapshot *snapshot,
                         uint32_t first, uint32_t count, bool whole, const uint8_t **run_out,
                         htt_error *error) {
    size_t size = (size_t)(whole ? count : 1) << pages->page_shift;
    htt_cache_frame *frame;
    htt_rc rc;

    assert(!pages->mapped);
    assert(count >= 1);
    assert(first < snapshot->page_count && count <= snapshot->page_count - first);
    rc = cache_pins_reserve(pages, pins, error);
    if (rc != HTT_OK)
        return rc;
    rc = cache_read(pages, first, size, &frame, error);
    if (rc != HTT_OK)
        return rc;
    rc = htt_pages_verify_run(pages, snapshot, first, count, frame->bytes, whole, error);
    if (rc != HTT_OK) {
        cache_release(pages, frame);
        return rc;
    }
    cache_pins_add(pins, frame);
    *run_out = frame->bytes;
    return HTT_OK;
}

/* --------------------------------------------------------------- forgetting */

void htt_cache_forget(htt_pages *pages, uint32_t first, uint32_t count) {
    assert(!pages->mapped);
    cache_lock(pages);
    pages->cache.generation++;
    if (pages->cache.frame_count > 0) {
        for (uint32_t i = 0; i < count; i++) {
            htt_cache_frame *frame = cache_find(&pages->cache, first + i);
            if (frame != NULL)
                cache_unlist(pages, frame);
        }
    }
    cache_unlock(pages);
}

void htt_cache_forget_all(htt_pages *pages) {
    cache_lock(pages);
    pages->cache.generation++;
    for (uint32_t i = 0; i < pages->cache.bucket_count; i++) {
        while (pages->cache.buckets[i] != NULL)
            cache_unlist(pages, pages->cache.buckets[i]);
    }
    assert(pages->cache.frame_count == 0);
    assert(pages->cache.bytes == 0);
    assert(pages->cache.newest == NULL && pages->cache.oldest == NULL);
    cache_unlock(pages);
}

void htt_cache_close(htt_pages *pages) {
    htt_cache_forget_all(pages);
    if (pages->cache.buckets != NULL)
        pages->env->release(pages->env->context, pages->cache.buckets);
    pages->cache.buckets = NULL;
    pages->cache.bucket_count = 0;
}
