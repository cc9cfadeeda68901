/* SPDX-License-Identifier: MIT */
/*
 * Internal limits, each with its reason. Every loop over bytes of the file is bounded by one of
 * them or by a page. The limits that users meet are in htt.h.
 */
#ifndef HTT_BASE_LIMITS_H
#define HTT_BASE_LIMITS_H

#include <assert.h>
#include <stdint.h>

#include "htt.h"

/*
 * Index nodes on a path from the root to a data page. A salt is one byte and occurs once on a
 * path, so 256 would be possible; a node has 16 or more children where keys spread, and
 * 16^8 = 2^32 pages. 40 leaves room for keys that collide on purpose in every salt they can.
 */
#define HTT_DEPTH_MAX 40u

/* Salts are one byte. */
#define HTT_SALT_COUNT 256u
static_assert(HTT_DEPTH_MAX <= HTT_SALT_COUNT, "a path has a salt of its own for every node");

/* Sub-pages on one index page: ids 1 to 255, one byte; 0 is the whole page. */
#define HTT_SUBPAGES_MAX 255u

/*
 * A key above page size / 8 is kept outside the page: then even the largest inline key leaves
 * room for several records in a page, and a split can always part them.
 */
#define HTT_KEY_INLINE_DIVISOR 8u
static_assert(HTT_KEY_SIZE_MAX > HTT_PAGE_SIZE_MAX / HTT_KEY_INLINE_DIVISOR,
              "large keys need the outside form");

/*
 * Runs that one overflow reference lists. More would make the reference as large as a record; with
 * fewer a fragmented file could not take a large value without growing.
 */
#define HTT_RUNS_MAX 8u

/* Open savepoints of one transaction: far above what SQL nests, and 16 MiB of bookkeeping. */
#define HTT_SAVEPOINTS_MAX (1u << 20)

/* Neighbouring data pages that share their records before a new page is made. */
#define HTT_WINDOW_MAX 8u

/* Neighbouring children that are pushed down together into a new node. */
#define HTT_GROUP_MAX 64u
static_assert(HTT_GROUP_MAX >= HTT_WINDOW_MAX, "a group pushed down keeps a window together");

/* Page numbers are 32 bits; 0 is a meta page, so it also means "none". */
#define HTT_PAGE_NUMBER_MAX (UINT32_MAX - 1u)

static_assert((HTT_PAGE_SIZE_MIN & (HTT_PAGE_SIZE_MIN - 1)) == 0, "page sizes are powers of two");
static_assert((HTT_PAGE_SIZE_MAX & (HTT_PAGE_SIZE_MAX - 1)) == 0, "page sizes are powers of two");
static_assert(HTT_PAGE_SIZE_MAX - 1 <= UINT16_MAX, "offsets in a page fit 16 bits");
static_assert(HTT_VALUE_SIZE_MAX < UINT32_MAX, "value sizes fit 32 bits");

#endif
