/* SPDX-License-Identifier: MIT */
/*
 * Mapped mode: the mappings of a file, and which of its pages were verified.
 *
 * A mapping is about twice as long as the file, so that the file can grow without a new one; what
 * lies past the file's end is never touched. A longer mapping is published with one pointer. The
 * older ones stay, since callers have pointers into them: there are few, each is twice as long.
 *
 * Tags (pages.h) belong to pages, not to a mapping: all mappings point to the same chunks. Only
 * the newest has all of them; chunks are made under the mutex, in the newest.
 */
#include <assert.h>

#include "base/error.h"
#include "pager/pages_internal.h"

enum { MAP_CHUNK = 1 << HTT_PAGES_CHUNK_BITS };

#define MAP_SIZE_MIN ((uint64_t)1 << 20) /* bytes of the first mapping of a small file */

static htt_pages_map *map_newest(const htt_pages *pages) {
    return atomic_load_explicit(&pages->front.map, memory_order_acquire);
}

/* Chunks that `page_count` pages have. */
static size_t map_chunk_count(uint32_t page_count) {
    return ((size_t)page_count + MAP_CHUNK - 1) >> HTT_PAGES_CHUNK_BITS;
}

/* Maps at least `needed` bytes: twice as many when the system lets us. Gives errno. */
static int map_bytes(htt_pages *pages, uint64_t needed, htt_pages_map *map) {
    const htt_env *env = pages->env;
    uint64_t size = MAP_SIZE_MIN;
    void *address = NULL;
    int failure;

    while (size < needed)
        size <<= 1;
    failure = env->map(env->context, pages->file, (size_t)(size << 1), false, &address);
    if (failure == 0) {
        size <<= 1;
    } else {
        failure = env->map(env->context, pages->file, (size_t)size, false, &address);
    }
    if (failure != 0)
        return failure;
    map->bytes = address;
    map->size = (size_t)size;
    assert(map->size >= needed);
    size >>= pages->page_shift;
    map->page_count = size < UINT32_MAX ? (uint32_t)size : UINT32_MAX;
    map->page_shift = pages->page_shift;
    return 0;
}

/* Makes a mapping of the whole file, as long as it is known to be. With the mutex held. */
static htt_rc map_grow(htt_pages *pages, htt_error *error) {
    const htt_env *env = pages->env;
    htt_pages_map *older = map_newest(pages);
    uint64_t file_pages = atomic_load_explicit(&pages->file_pages, memory_order_acquire);
    htt_pages_map *map;
    size_t old_count;
    size_t new_count;
    int failure;

    assert(pages->mapped);
    map = env->allocate(env->context, sizeof *map);
    if (map == NULL)
        return htt_error_set(error, HTT_NOMEM, "no memory for a mapping");
    failure = map_bytes(pages, file_pages << pages->page_shift, map);
    if (failure != 0) {
        env->release(env->context, map);
        return htt_error_errno(error, HTT_IO, failure, "cannot map the file");
    }
    old_count = older == NULL ? 0 : map_chunk_count(older->page_count);
    new_count = map_chunk_count(map->page_count);
    assert(new_count >= old_count);
    map->chunks = env->allocate(env->context, new_count * sizeof *map->chunks);
    if (map->chunks == NULL) {
        env->unmap(env->context, (void *)(uintptr_t)map->bytes, map->size);
        env->release(env->context, map);
        return htt_error_set(error, HTT_NOMEM, "no memory for what is known of the pages");
    }
    for (size_t i = 0; i < new_count; i++)
        atomic_init(&map->chunks[i], i < old_count ? atomic_load(&older->chunks[i]) : NULL);
    map->older = older;
    atomic_store_explicit(&pages->front.map, map, memory_order_release);
    return HTT_OK;
}

htt_rc htt_map_find(htt_pages *pages, uint32_t first, uint32_t count, const uint8_t **bytes_out,
                    htt_error *error) {
    uint32_t last = first + (count - 1);
    htt_pages_map *map = map_newest(pages);
    htt_rc rc = HTT_OK;

    assert(count >= 1);
    assert(last >= first);
    if (map == NULL || last >= map->page_count) {
        (void)pthread_mutex_lock(&pages->mutex);
        map = map_newest(pages);
        if (map == NULL || last >= map->page_count)
            rc = map_grow(pages, error);
        map = map_newest(pages);
        (void)pthread_mutex_unlock(&pages->mutex);
        if (rc != HTT_OK)
            return rc;
        if (last >= map->page_count) /* the size was asked anew, and was smaller then */
            return htt_error_page(error, HTT_CORRUPT, last, "the file ends before it");
    }
    *bytes_out = map->bytes + ((size_t)first << map->page_shift);
    return HTT_OK;
}

bool htt_map_is_verified(const htt_pages *pages, uint32_t number, uint64_t stamp) {
    const htt_pages_map *map = map_newest(pages);
    htt_pages_tag *chunk;
    uint32_t tag;

    assert(map != NULL);
    assert(number < map->page_count);
    chunk = atomic_load_explicit(&map->chunks[number / MAP_CHUNK], memory_order_acquire);
    if (chunk == NULL)
        return false;
    tag = atomic_load_explicit(&chunk[number % MAP_CHUNK], memory_order_acquire);
    return tag != 0 && tag == (uint32_t)stamp;
}

/* A chunk of zero tags. Without memory nothing is remembered, and pages are verified each time. */
static htt_pages_tag *map_new_chunk(htt_pages *pages, uint32_t index) {
    const htt_env *env = pages->env;
    htt_pages_tag *chunk;
    htt_pages_map *map;

    (void)pthread_mutex_lock(&pages->mutex);
    map = map_newest(pages);
    assert(index < map_chunk_count(map->page_count));
    chunk = atomic_load_explicit(&map->chunks[index], memory_order_acquire);
    if (chunk == NULL) {
        chunk = env->allocate(env->context, MAP_CHUNK * sizeof *chunk);
        if (chunk != NULL) {
            for (uint32_t i = 0; i < MAP_CHUNK; i++)
                atomic_init(&chunk[i], 0);
            atomic_store_explicit(&map->chunks[index], chunk, memory_order_release);
        }
    }
    (void)pthread_mutex_unlock(&pages->mutex);
    return chunk;
}

void htt_map_set_verified(htt_pages *pages, uint32_t number, uint64_t stamp) {
    const htt_pages_map *map = map_newest(pages);
    htt_pages_tag *chunk;

    assert(map != NULL);
    assert(number < map->page_count);
    chunk = atomic_load_explicit(&map->chunks[number / MAP_CHUNK], memory_order_acquire);
    if (chunk == NULL)
        chunk = map_new_chunk(pages, number / MAP_CHUNK);
    /* A stamp with 32 zero bits at its end is 0, "nothing": such pages are verified each time. */
    if (chunk != NULL)
        atomic_store_explicit(&chunk[number % MAP_CHUNK], (uint32_t)stamp, memory_order_release);
}

void htt_map_close(htt_pages *pages) {
    const htt_env *env = pages->env;
    htt_pages_map *map = map_newest(pages);

    if (map != NULL) {
        size_t count = map_chunk_count(map->page_count);
        for (size_t i = 0; i < count; i++) {
            htt_pages_tag *chunk = atomic_load(&map->chunks[i]);
            if (chunk != NULL)
                env->release(env->context, (void *)(uintptr_t)chunk);
        }
    }
    while (map != NULL) {
        htt_pages_map *older = map->older;
        env->unmap(env->context, (void *)(uintptr_t)map->bytes, map->size);
        env->release(env->context, (void *)map->chunks);
        env->release(env->context, map);
        map = older;
    }
    atomic_store(&pages->front.map, NULL);
}
