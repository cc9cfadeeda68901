/* SPDX-License-Identifier: MIT */
/*
 * Reading pages of one file, for all transactions of a store. Two ways, chosen at open:
 *
 *   mapped   the file is mapped; a page is a pointer. It is verified on first touch, and
 *            (page, stamp) is remembered in a table of 4 bytes a page, so that a page which was
 *            reused is verified again. The file may outgrow the mapping: then a larger one is
 *            made, and the old one stays until the store is closed, so pointers stay good.
 *   cached   pages are read into frames of a cache (least recently used, byte budget) and
 *            verified when read. A frame stays while a call pins it.
 *
 * Runs of pages (overflow) are verified whole. In mapped mode they are a pointer; in cached mode
 * they are read into a buffer that belongs to the pins.
 *
 * Invariants
 *   PAGES-1  No byte of a page is interpreted before its checksum, number and stamp were checked
 *            (in this snapshot, or for the same stamp before).
 *   PAGES-2  A stamp above `epoch` is HTT_SNAPSHOT, never rows: the page was reused.
 *   PAGES-3  Nothing above `committed` is remembered as verified: those pages are rewritten.
 */
#ifndef HTT_PAGER_PAGES_H
#define HTT_PAGER_PAGES_H

#include <stdatomic.h>

#include "htt_env.h"
#include "page/header.h"

typedef struct htt_pages htt_pages;

/* What one call (or one cursor) keeps in memory. Zero-initialised is empty; in mapped mode it
 * stays so. */
typedef struct htt_pins {
    void **items;      /* frames and buffers, owned by pages.c */
    uint32_t count;    /* in use */
    uint32_t capacity; /* allocated */
} htt_pins;

/* Which pages a snapshot may see. */
typedef struct htt_snapshot {
    uint64_t epoch;      /* stamps above mean that the page was reused */
    uint64_t committed;  /* stamps above are of a transaction at work: verified at each touch */
    uint32_t page_count; /* page numbers at or above are damage */
} htt_snapshot;

/* `file` stays the caller's and open as long as the pages are. */
htt_rc htt_pages_open(const htt_env *env, htt_file *file, uint32_t page_size, bool mapped,
                      uint64_t cache_bytes, htt_pages **pages_out, htt_error *error);
void htt_pages_close(htt_pages *pages);

/*
 * A verified page. Mapped: good until the store closes, as long as the page is pinned by epoch.
 * Cached: good until `pins` are dropped. Thread-safe.
 */
htt_rc htt_pages_get(htt_pages *pages, htt_pins *pins, const htt_snapshot *snapshot,
                     uint32_t number, const uint8_t **page_out, htt_error *error);

/* A verified overflow run, contiguous, head included. Lifetime as htt_pages_get. */
htt_rc htt_pages_get_run(htt_pages *pages, htt_pins *pins, const htt_snapshot *snapshot,
                         uint32_t first, uint32_t count, const uint8_t **run_out,
                         htt_error *error);

/* The first page of a run with its head checked (not the run's checksum): for its stamp. */
htt_rc htt_pages_get_run_head(htt_pages *pages, htt_pins *pins, const htt_snapshot *snapshot,
                              uint32_t first, uint32_t count, const uint8_t **head_out,
                              htt_error *error);

/* Lets the pinned frames and buffers go; keeps the array. free: the array too. */
void htt_pins_drop(htt_pages *pages, htt_pins *pins);
void htt_pins_free(htt_pages *pages, htt_pins *pins);

/* After pages were written by this process: frames of them are dropped or renewed. */
void htt_pages_forget(htt_pages *pages, uint32_t first, uint32_t count);
/* Another process committed: every frame may be stale. */
void htt_pages_forget_all(htt_pages *pages);

/*
 * Asks for the file's size anew. HTT_CORRUPT: it is too short for the snapshot. For the begin of
 * a transaction, so that a file that was cut is an error and not a fault of the mapping.
 */
htt_rc htt_pages_refresh(htt_pages *pages, const htt_snapshot *snapshot, htt_error *error);

/* ------------------------------------------------------------- the hot path */

/*
 * What is remembered of pages that were verified: the low 32 bits of the stamp they had then, 0 =
 * nothing. In chunks, made when the first page of theirs is remembered.
 */
typedef _Atomic uint32_t htt_pages_tag;
enum { HTT_PAGES_CHUNK_BITS = 14 };

/* One mapping of the file. Immutable but for `chunks`. */
typedef struct htt_pages_map {
    const uint8_t *bytes;              /* of the file, from its begin */
    _Atomic(htt_pages_tag *) *chunks;  /* tags of 2^14 pages each, or NULL */
    struct htt_pages_map *older;       /* the one before, still mapped */
    size_t size;                       /* bytes mapped, may reach past the file's end */
    uint32_t page_count;               /* pages mapped */
    uint32_t page_shift;               /* log2 of the page size */
} htt_pages_map;

/* The first part of htt_pages. */
typedef struct htt_pages_front {
    _Atomic(htt_pages_map *) map; /* the newest; NULL: none yet, or cached mode */
} htt_pages_front;

/* It reads by mapping, and has done so. */
static inline bool htt_pages_is_mapped(const htt_pages *pages) {
    const htt_pages_front *front = (const htt_pages_front *)pages;
    return atomic_load_explicit(&front->map, memory_order_acquire) != NULL;
}

/* A page that is mapped, in range, and verified with the stamp that it has now; else NULL. */
static inline const uint8_t *htt_pages_peek(htt_pages *pages, const htt_snapshot *snapshot,
                                            uint32_t number) {
    htt_pages_front *front = (htt_pages_front *)pages;
    const htt_pages_map *map = atomic_load_explicit(&front->map, memory_order_acquire);
    if (map == NULL || number >= map->page_count || number >= snapshot->page_count)
        return NULL;
    htt_pages_tag *chunk = atomic_load_explicit(&map->chunks[number >> HTT_PAGES_CHUNK_BITS],
                                                memory_order_acquire);
    if (chunk == NULL)
        return NULL;
    uint32_t tag = atomic_load_explicit(&chunk[number & ((1u << HTT_PAGES_CHUNK_BITS) - 1)],
                                        memory_order_acquire);
    if (tag == 0) /* the file may not even have the page */
        return NULL;
    const uint8_t *page = map->bytes + ((size_t)number << map->page_shift);
    uint64_t stamp = htt_page_stamp(page);
    return (uint32_t)stamp == tag && stamp <= snapshot->epoch ? page : NULL;
}

/* Starts loading a page into the processor's cache (mapped mode); a hint. */
static inline void htt_pages_prefetch(htt_pages *pages, uint32_t number) {
    htt_pages_front *front = (htt_pages_front *)pages;
    const htt_pages_map *map = atomic_load_explicit(&front->map, memory_order_acquire);
    if (map != NULL && number < map->page_count) {
        const uint8_t *page = map->bytes + ((size_t)number << map->page_shift);
        __builtin_prefetch(page);
        __builtin_prefetch(page + 64);
    }
}

/* The same for a page that is read from its begin to its end soon: enough of it for the processor
 * to see where that goes. All of its lines at once are too many: measured, slower than none. */
static inline void htt_pages_prefetch_begin(htt_pages *pages, uint32_t number) {
    htt_pages_front *front = (htt_pages_front *)pages;
    const htt_pages_map *map = atomic_load_explicit(&front->map, memory_order_acquire);
    if (map != NULL && number < map->page_count) {
        const uint8_t *page = map->bytes + ((size_t)number << map->page_shift);
        for (size_t at = 0; at < (size_t)8 * 64; at += 64)
            __builtin_prefetch(page + at);
    }
}

#endif
