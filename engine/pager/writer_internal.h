/* SPDX-License-Identifier: MIT */
/*
 * What the parts of the writer share. Not for other folders.
 *
 *   writer.c     begin, end, reserve, edit, new, free
 *   frames.c     pages in memory: table by number, spare frames
 *   pool.c       page numbers that may be written: a bitmap
 *   savepoint.c  freezes, savepoints, and pages that wait for them (deferred)
 *   freelist.c   the chain of free list pages: reading it, writing a new front of it
 *   spill.c      writing frames to the file, and its space
 *   run_write.c  overflow runs
 *
 * Time inside a transaction is counted by `sequence`. A freeze takes the present number as its
 * name and the next page is of the next number, so:
 *
 *     a freeze f wants the content of a page   iff   born <= f < died
 *
 * `born` is when the page was allocated (or loaded with no freeze about), `died` when it was given
 * up. Of pages that were spilled, and of runs, `born` is not known: 0, wanted by every freeze.
 */
#ifndef HTT_PAGER_WRITER_INTERNAL_H
#define HTT_PAGER_WRITER_INTERNAL_H

#include "pager/writer.h"

enum {
    HTT_WRITER_FIRST_PAGE = 2,      /* behind the meta pages */
    HTT_WRITER_SCRATCH = 64 * 1024, /* bytes gathered into one write; >= the largest page */
    HTT_WRITER_FRAMES_MIN = 256     /* frames that are used whatever the budget is */
};

/* A page of this transaction in memory. */
typedef struct htt_frame {
    struct htt_frame *next; /* ring of all frames, or list of spare or dropped ones */
    struct htt_frame *prev; /* ring */
    uint64_t born;          /* sequence */
    uint32_t number;        /* page number */
    bool dirty;             /* the file has not this content */
    bool deferred;          /* given up, but a freeze wants it */
    bool used;              /* since the hand of the clock passed */
    bool picked;            /* the clock has it in its hand */
    uint8_t bytes[];        /* the page */
} htt_frame;

/* An array that grows. What it holds is said where one is declared. */
typedef struct htt_list {
    void *items;       /* allocated by the env */
    uint32_t count;    /* items in use */
    uint32_t capacity; /* items allocated */
} htt_list;

/* Pages that were given up while a freeze wants them. In the order of `died`. */
typedef struct htt_deferred {
    uint32_t first; /* page number */
    uint32_t pages; /* >= 1 */
    uint64_t born;  /* sequence, 0 = not known */
    uint64_t died;  /* sequence */
    bool block;     /* of the free list that an earlier flush wrote */
} htt_deferred;

typedef struct htt_freeze {
    uint64_t name;  /* sequence */
    bool savepoint; /* else a cursor's */
} htt_freeze;

/* An open savepoint. */
typedef struct htt_mark {
    uint64_t name;      /* of its freeze */
    uint32_t freed;     /* entries of `freed` when it began */
    uint32_t log;       /* entries of `log` when it began */
    uint32_t compacted; /* entries of its part of the log when that was last put in order */
} htt_mark;

/* A free list page written by a flush of this transaction. */
typedef struct htt_block {
    uint32_t number; /* page number */
    uint64_t born;   /* sequence */
} htt_block;

enum {
    HTT_POOL_CHUNK_BITS = 15,                              /* pages of a chunk, log2 */
    HTT_POOL_WORDS = (1 << HTT_POOL_CHUNK_BITS) / 64       /* words of a chunk */
};

typedef struct htt_pool_chunk {
    uint64_t words[HTT_POOL_WORDS]; /* a bit for a page: 1 = in the pool */
    uint32_t pages;                 /* bits that are 1 */
    uint32_t low;                   /* no word below has a bit */
} htt_pool_chunk;

/* A set of page numbers. Adding a page needs no memory when its chunk is there. */
typedef struct htt_pool {
    htt_pool_chunk **chunks; /* NULL: no page of it was ever needed here */
    uint32_t chunk_count;    /* pointers allocated */
    uint32_t chunks_made;    /* chunks allocated */
    uint32_t low;            /* no chunk below has a page */
    uint64_t pages;          /* in the set */
    uint32_t run_bound;      /* no run in the set is longer */
} htt_pool;

struct htt_writer {
    htt_writer_options options; /* copied */
    uint64_t epoch;             /* stamp of all that is written */
    uint32_t page_size;         /* bytes */
    uint32_t page_shift;        /* log2 of it */
    uint32_t page_count;        /* pages of the store now */
    uint64_t sequence;          /* of the next thing */
    bool out_of_memory;         /* a page could not be noted as free: no commit any more */
    htt_pins pins;              /* of a read at work */
    uint8_t *scratch;           /* HTT_WRITER_SCRATCH bytes, or NULL until they are needed */
    uint64_t file_size;         /* bytes that have space in the file, 0 = not asked yet */

    htt_frame **slots;    /* table of frames by page number */
    uint32_t slot_mask;   /* slots - 1 */
    uint32_t frame_count; /* in the table */
    htt_frame *hand;      /* of the clock, in the ring of all frames */
    void *slabs;          /* memory of frames; each begins with a pointer to the next */
    uint64_t slab_bytes;  /* of all of it */
    uint64_t outside;     /* bytes of others under the same budget */
    uint8_t *fresh;       /* frames in the newest slab that were never used */
    uint32_t fresh_count; /* their number */
    htt_frame *spare;     /* frames that were used before */
    uint32_t spare_count; /* their number, and that of the fresh ones */
    htt_frame *dropped;   /* spare at the next reserve; callers may still look into them */

    htt_list freezes;      /* htt_freeze, by name */
    htt_list marks;        /* htt_mark: the open savepoints */
    htt_list log;          /* htt_run_ref: allocated since the first savepoint */
    htt_list deferred;     /* htt_deferred */
    htt_list freed;        /* htt_run_ref: of the base root */
    htt_list held;         /* htt_free_run: read from the free list, too young */
    htt_list blocks_freed; /* htt_run_ref: pages of the free list that were read */
    htt_list blocks;       /* htt_block: pages of the free list that the last flush wrote */
    htt_pool pool;         /* pages that may be written */

    uint32_t chain;        /* first free list page not read yet, 0 = none */
    bool chain_known;      /* `chain_oldest` is right */
    uint64_t chain_oldest; /* the smallest `died` from there on */
    uint64_t chain_pages;  /* pages named from there on */
    uint64_t chain_read;   /* free list pages read */
    uint64_t allocated;    /* pages allocated so far */
    htt_writer_stat stat;  /* frames is not kept here */
};

/* ------------------------------------------------------------------- lists */

/* Makes room for `extra` more items. False: no memory. */
bool htt_list_fit(const htt_writer *writer, htt_list *list, size_t item_size, uint64_t extra);
void htt_list_free(const htt_writer *writer, htt_list *list);
/* Sorts in place, without memory (heap sort). */
void htt_list_sort(void *items, size_t count, size_t item_size,
                   bool (*is_less)(const void *left, const void *right));
/* Sorts runs by page and joins those that touch or overlap. Gives the new count. */
uint32_t htt_runs_compact(htt_run_ref *runs, uint32_t count);
/* Appends {first, pages}, joined to the last item when that is at or above `begin` and fits. */
void htt_runs_append(htt_list *runs, uint32_t begin, uint32_t first, uint32_t pages);
htt_rc htt_writer_no_memory(htt_error *error);

/* ------------------------------------------------------------------- frames */

htt_frame *htt_frames_find(const htt_writer *writer, uint32_t number);
/* Makes `count` spare frames and room for them in the table. */
bool htt_frames_fit(htt_writer *writer, uint32_t count);
/* A spare frame becomes the frame of a page that has none. Dirty; its bytes are not set. */
htt_frame *htt_frames_take(htt_writer *writer, uint32_t number);
void htt_frames_drop(htt_writer *writer, htt_frame *frame);
void htt_frames_drop_pages(htt_writer *writer, uint32_t first, uint32_t pages);
void htt_frames_set_deferred(htt_writer *writer, uint32_t first, uint32_t pages, bool deferred);
/* What was dropped becomes spare. */
void htt_frames_recycle(htt_writer *writer);
void htt_frames_end(htt_writer *writer);

/* --------------------------------------------------------------------- pool */

/* Makes chunks for pages. */
bool htt_pool_fit(htt_writer *writer, uint32_t first, uint32_t pages);
bool htt_pool_covers(const htt_pool *pool, uint32_t first, uint32_t pages);
bool htt_pool_has_any(const htt_pool *pool, uint32_t first, uint32_t pages);
/* The chunks are there. Pages that are in, or not in, already: no change. */
void htt_pool_add(htt_pool *pool, uint32_t first, uint32_t pages);
void htt_pool_remove(htt_pool *pool, uint32_t first, uint32_t pages);
/* The lowest page, taken out. False: there is none. */
bool htt_pool_take(htt_pool *pool, uint32_t *number_out);
/* The next run at or above `from`, as long as it is. */
bool htt_pool_next_run(const htt_pool *pool, uint64_t from, htt_run_ref *run_out);
/* A run of at least `pages`, the shortest of those looked at. It stays in the pool. */
bool htt_pool_find_run(htt_pool *pool, uint32_t pages, htt_run_ref *run_out);
void htt_pool_end(htt_writer *writer);

/* --------------------------------------------------------- freezes, allocation */

/* The youngest freeze, 0 = none. */
uint64_t htt_writer_newest_freeze(const htt_writer *writer);
/* Notes an allocation for the savepoints. Room was made. */
void htt_writer_log(htt_writer *writer, uint32_t first, uint32_t pages);
/* Pages are given up that freezes want. Room was made. */
void htt_writer_defer(htt_writer *writer, uint32_t first, uint32_t pages, uint64_t born,
                      bool block);
/* Room for `calls` more changes in all lists, so that they need no memory. */
bool htt_writer_fit(htt_writer *writer, uint32_t calls);
/* One page number, from the pool or the file's end. Room was made. */
htt_rc htt_writer_allocate(htt_writer *writer, uint32_t *number_out, htt_error *error);
/* Reads a page as the transaction sees it. The pins are dropped by the caller. */
htt_rc htt_writer_read(htt_writer *writer, uint32_t number, const uint8_t **page_out,
                       htt_error *error);
void htt_writer_unpin(htt_writer *writer);

/* ----------------------------------------------------------------- free list */

/* Reads free list pages until the pool has `pages`, within reason. */
htt_rc htt_freelist_fill(htt_writer *writer, uint64_t pages, htt_error *error);
/* Reads all of it. */
htt_rc htt_freelist_load(htt_writer *writer, htt_error *error);
/* Writes the new front of the chain; fills in free_head, free_pages and page_count. */
htt_rc htt_freelist_flush(htt_writer *writer, htt_root *root_inout, bool cursors_open,
                          htt_error *error);

/* ------------------------------------------------------------------- writing */

/* Frames that the budget allows. */
uint32_t htt_writer_frames_max(const htt_writer *writer);
/* Sees to it that `extra` more frames are within the budget. */
htt_rc htt_writer_spill(htt_writer *writer, uint32_t extra, htt_error *error);
/* Writes all dirty frames; deferred ones only with `with_deferred`. They stay, clean. */
htt_rc htt_writer_write_dirty(htt_writer *writer, bool with_deferred, htt_error *error);
/* Space in the file for pages below `page_end`. */
htt_rc htt_writer_extend(htt_writer *writer, uint32_t page_end, htt_error *error);
/* Writes bytes of pages [first, first + pages), from `offset` in the file on. */
htt_rc htt_writer_write(htt_writer *writer, uint32_t first, uint32_t pages, uint64_t offset,
                        const uint8_t *bytes, size_t size, htt_error *error);
htt_rc htt_writer_scratch(htt_writer *writer, htt_error *error);

#endif
