/* SPDX-License-Identifier: MIT */
/*
 * What pages.c, map.c and cache.c share. Not for other folders.
 *
 *   pages.c   what callers call; checks page numbers and verifies bytes
 *   map.c     mapped mode: mappings that grow, and what is remembered as verified
 *   cache.c   cached mode: frames, their table and their list
 */
#ifndef HTT_PAGER_PAGES_INTERNAL_H
#define HTT_PAGER_PAGES_INTERNAL_H

#include <pthread.h>

#include "pager/pages.h"

/* A page or a run in memory (cached mode). */
typedef struct htt_cache_frame {
    struct htt_cache_frame *chain; /* next of the same bucket */
    struct htt_cache_frame *newer; /* list of frames that nobody has pinned */
    struct htt_cache_frame *older; /* the same */
    size_t size;                   /* of bytes[] */
    uint32_t number;               /* page, or first page of the run */
    uint32_t pins;                 /* how often it is in some htt_pins */
    bool listed;                   /* in the table: can be found */
    uint8_t bytes[];               /* the page or run */
} htt_cache_frame;

typedef struct htt_cache {
    htt_cache_frame **buckets;  /* bucket_count heads of chains */
    uint32_t bucket_count;      /* a power of two, or 0 */
    uint32_t frame_count;       /* frames in the table */
    htt_cache_frame *newest;    /* unpinned frames in the order of their use */
    htt_cache_frame *oldest;    /* the next to go */
    uint64_t bytes;             /* of all frames in the table */
    uint64_t budget;            /* what `bytes` may be, pinned frames aside */
    uint64_t generation;        /* grows with every forget */
} htt_cache;

struct htt_pages {
    htt_pages_front front;       /* must be first */
    const htt_env *env;          /* memory, reads, mappings */
    htt_file *file;              /* the caller's */
    _Atomic uint64_t file_pages; /* whole pages that the file is known to have */
    pthread_mutex_t mutex;       /* of the growth of mappings and tags, and of the cache */
    htt_cache cache;             /* cached mode */
    uint32_t page_size;          /* bytes */
    uint32_t page_shift;         /* log2 of it */
    bool mapped;                 /* the mode */
};

/* Asks the file for its size and notes it. The last page it has must be `number`, at least. */
htt_rc htt_pages_find_end(htt_pages *pages, uint32_t number, htt_error *error);
/* Checksum, number, type, shallow check, then stamp against the snapshot. */
htt_rc htt_pages_verify(const htt_pages *pages, const htt_snapshot *snapshot, uint32_t number,
                        const uint8_t *page, htt_error *error);
/* Head and stamp of a run; with `whole` its checksum too. */
htt_rc htt_pages_verify_run(const htt_pages *pages, const htt_snapshot *snapshot, uint32_t first,
                            uint32_t count, const uint8_t *run, bool whole, htt_error *error);

/* The bytes of pages that the file is known to have; makes a mapping when there is none. */
htt_rc htt_map_find(htt_pages *pages, uint32_t first, uint32_t count, const uint8_t **bytes_out,
                    htt_error *error);
bool htt_map_is_verified(const htt_pages *pages, uint32_t number, uint64_t stamp);
void htt_map_set_verified(htt_pages *pages, uint32_t number, uint64_t stamp);
void htt_map_close(htt_pages *pages);

/* Cached mode: as the functions of pages.h. The numbers are in range. */
htt_rc htt_cache_get(htt_pages *pages, htt_pins *pins, const htt_snapshot *snapshot,
                     uint32_t number, const uint8_t **page_out, htt_error *error);
htt_rc htt_cache_get_run(htt_pages *pages, htt_pins *pins, const htt_snapshot *snapshot,
                         uint32_t first, uint32_t count, bool whole, const uint8_t **run_out,
                         htt_error *error);
void htt_cache_drop(htt_pages *pages, htt_pins *pins);
void htt_cache_forget(htt_pages *pages, uint32_t first, uint32_t count);
void htt_cache_forget_all(htt_pages *pages);
void htt_cache_close(htt_pages *pages);

#endif
