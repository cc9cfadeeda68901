/* SPDX-License-Identifier: MIT */
/*
 * The pages of one write transaction: copy-on-write, allocation, savepoints, spilling, and the
 * free list. It decides nothing about commits: htt_writer_flush writes everything and fills in
 * the root record; making that root the committed one is the root keeper's work.
 *
 * A page is *own* when this transaction allocated it: it is stamped base epoch + 1. An own page is
 * changed in place, unless a freeze (a savepoint or an open cursor) may still want its present
 * content: then it is copied again. Where a page number goes when it is given up:
 *
 *     page of the base root          -> freed      (in the new free list, died = this epoch)
 *     own, not frozen                -> loose      (used again at once)
 *     own, frozen                    -> deferred   (loose when no freeze wants it any more; died =
 *                                                   this epoch if cursors are open at the commit)
 *
 * Where a page number comes from: the pool, that is loose pages and free list entries with died <=
 * reuse limit (read block by block from the front of the chain), the lowest first; then the end of
 * the file.
 *
 * Every page in memory is a frame. Frames are kept under the budget by writing the least recently
 * used to their place in the file ("spill"): nothing names them until the root moves.
 *
 * Protocol of one change: htt_writer_reserve(n) first; it may fail and spills. After it, up to n
 * calls of edit/new find memory, free cannot fail, and no frame moves or goes until the next
 * reserve, flush, rollback or end. Pointers from edit/new are good until then.
 *
 * Invariants
 *   WRITER-1  A page reachable from the base root, from a savepoint's or from an open cursor's
 *             root is never changed.
 *   WRITER-2  A page number is in at most one place: base tree, new tree, freed, deferred, pool,
 *             held, free list blocks, or beyond page_count.
 *   WRITER-3  No page that died after the reuse limit is written.
 */
#ifndef HTT_PAGER_WRITER_H
#define HTT_PAGER_WRITER_H

#include "page/data.h"
#include "page/free.h"
#include "page/meta.h"
#include "pager/pages.h"

typedef struct htt_writer htt_writer;

typedef struct htt_writer_options {
    const htt_env *env;   /* memory, writes */
    htt_file *file;       /* the store's file */
    htt_pages *pages;     /* its pages */
    htt_root base;        /* committed root that the transaction starts from */
    uint64_t reuse_limit; /* pages that died at or before this epoch may be overwritten */
    uint64_t budget;      /* bytes of frames; at least a few hundred pages are used anyway */
    bool low_first;       /* vacuum: load the whole free list, and let flush take free pages at
                             the end of the store off page_count (unless a freeze is open) */
} htt_writer_options;

htt_rc htt_writer_begin(const htt_writer_options *options, htt_writer **writer_out,
                        htt_error *error);
/* Drops everything that was not made the committed root. NULL is allowed. */
void htt_writer_end(htt_writer *writer);

/* base epoch + 1, the stamp of all pages written; and pages now in use (a reader's bound). */
uint64_t htt_writer_epoch(const htt_writer *writer);
uint32_t htt_writer_page_count(const htt_writer *writer);

htt_rc htt_writer_reserve(htt_writer *writer, uint32_t frames, htt_error *error);

/* Memory of others that counts under the budget from the next reserve on. */
void htt_writer_set_outside(htt_writer *writer, uint64_t bytes);
/* What the frames have taken so far; none of it is given back before the end. */
uint64_t htt_writer_memory(const htt_writer *writer);

/* The frame of a page, if it is in memory; else NULL (then htt_pages_get has it). */
const uint8_t *htt_writer_find(htt_writer *writer, uint32_t number);

/*
 * Makes a page writable: *number_inout becomes the number of its copy when it had to be copied,
 * and the old one is given up. Fails for a damaged page, HTT_IO, HTT_FULL (page numbers); then
 * nothing has changed.
 */
htt_rc htt_writer_edit(htt_writer *writer, uint32_t *number_inout, uint8_t **page_out,
                       htt_error *error);
/* A new zeroed page. HTT_FULL: no page numbers left. */
htt_rc htt_writer_new(htt_writer *writer, uint32_t *number_out, uint8_t **page_out,
                      htt_error *error);
/*
 * Gives pages up. `stamp` is what is in the page (or the run's head) now; for a page that find
 * knows any number does. A reserve makes room for 4 n + 64 calls. Beyond, memory is asked for, and
 * if there is none the next reserve or flush gives HTT_NOMEM: the transaction can only end.
 */
void htt_writer_free(htt_writer *writer, uint32_t first, uint32_t count, uint64_t stamp);

/*
 * Allocates up to 8 runs, as few as possible, and writes a payload of two parts into them at once:
 * part 1 is an external key or empty, part 2 the value (value_size is size2). Uses no frames and
 * is independent of reserve. On failure nothing is left.
 */
htt_rc htt_writer_put_run(htt_writer *writer, const uint8_t *part1, size_t size1,
                          const uint8_t *part2, size_t size2, htt_overflow *overflow_out,
                          htt_error *error);
/* The same in at most `runs_max` runs: a reference to more may not fit where it shall stand. */
htt_rc htt_writer_put_runs(htt_writer *writer, const uint8_t *part1, size_t size1,
                           const uint8_t *part2, size_t size2, uint32_t runs_max,
                           htt_overflow *overflow_out, htt_error *error);

/*
 * Freezes: pages as they are now stay readable until the thaw. Savepoints are freezes that can be
 * rolled back to; they end in the reverse order of their begin, cursors' freezes in any order.
 */
htt_rc htt_writer_freeze(htt_writer *writer, uint64_t *freeze_out, htt_error *error);
void htt_writer_thaw(htt_writer *writer, uint64_t freeze);
htt_rc htt_writer_savepoint(htt_writer *writer, uint32_t *depth_out, htt_error *error);
/*
 * Undoes all page changes since; the savepoint stays, those above it end. Needs no memory, cannot
 * fail. Cursors' freezes go on: what they see stays readable until they thaw.
 */
void htt_writer_rollback_to(htt_writer *writer, uint32_t depth);
void htt_writer_release(htt_writer *writer, uint32_t depth);

/*
 * Writes every frame and the new free list to the file (no sync). root_inout has page, keys and
 * bytes from the tree; page_count, free_head, free_pages and page_checksum are filled in. May be
 * called again after more changes, and after a failure. The pages of a root that was flushed are
 * changed in place by what follows unless a freeze was made first. `cursors_open`: deferred pages
 * stay readable after the commit. HTT_CORRUPT: a page was given up twice, by way of damage.
 */
htt_rc htt_writer_flush(htt_writer *writer, htt_root *root_inout, bool cursors_open,
                        htt_error *error);

typedef struct htt_writer_stat {
    uint64_t frames;  /* in memory now */
    uint64_t spilled; /* pages written before the flush, so far */
    uint64_t reused;  /* page numbers taken from the free list */
    uint64_t extended; /* page numbers taken from the end of the file */
} htt_writer_stat;
htt_writer_stat htt_writer_stats(const htt_writer *writer);

#endif
