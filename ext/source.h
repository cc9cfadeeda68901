/* SPDX-License-Identifier: MIT */
/*
 * What a query reads: the engine's transaction, and in front of it the overlay, where there is one.
 * The functions are those of htt.h with both in view.
 */
#ifndef HTT_EXT_SOURCE_H
#define HTT_EXT_SOURCE_H

#include "engine/htt.h"
#include "overlay.h"

typedef struct htt_source {
    htt_txn *txn;               /* borrowed */
    const htt_overlay *overlay; /* NULL = none; borrowed */
    size_t length;              /* entries of it that count */
} htt_source;

#define HTT_SOURCE_MANY_MAX 64 /* keys of one htt_source_get_many */

/*
 * As htt_get, htt_get_key, htt_exists, htt_get_many (of at most HTT_SOURCE_MANY_MAX keys). What
 * comes from the overlay is borrowed until it is cut below `length`, or freed. A source whose
 * overlay was cut below `length` reads what is left of it, and what was added since.
 */
htt_rc htt_source_get(const htt_source *source, htt_datum key, htt_datum *value_out);
htt_rc htt_source_get_key(const htt_source *source, htt_datum key, htt_datum *stored_out);
htt_rc htt_source_exists(const htt_source *source, htt_datum key);
htt_rc htt_source_get_many(const htt_source *source, const htt_datum *keys, size_t count,
                           htt_datum *values_out, htt_rc *results_out);

/* Rows. Costs a lookup in the tree for each key of the overlay. */
htt_rc htt_source_count(const htt_source *source, uint64_t *count_out);

/* The text of the last error of the transaction. */
const char *htt_source_errmsg(const htt_source *source);

/* htt_overlay_mark of the source; without an overlay always the same. */
static inline uint32_t htt_source_mark(const htt_source *source) {
    return source->length == 0 ? UINT32_MAX : htt_overlay_mark(source->overlay, source->length);
}

/*
 * A walk over all rows: first those of the tree that the overlay does not know, then those of the
 * overlay. As htt_cursor_*; the source's transaction and overlay must live until the close.
 * HTT_ABORTED: the overlay was cut below `length`.
 */
typedef struct htt_walk htt_walk;
htt_rc htt_walk_open(const htt_source *source, htt_walk **walk_out);
htt_rc htt_walk_next(htt_walk *walk, htt_datum *key_out);
htt_rc htt_walk_value(htt_walk *walk, htt_datum *value_out);
/*
 * To the next row without looking at it: no page is touched, and damage in one is not noticed.
 * htt_walk_arrive looks at the row after all; the walk goes on with htt_walk_next then.
 */
htt_rc htt_walk_skip(htt_walk *walk);
htt_rc htt_walk_arrive(htt_walk *walk, htt_datum *key_out);
const char *htt_walk_errmsg(const htt_walk *walk);
void htt_walk_close(htt_walk *walk);

#endif
