/* SPDX-License-Identifier: MIT */
/*
 * Gives texts and blobs to SQLite without asking for memory each time: SQLite gets a copy in a
 * piece of memory that it hands back when it has done with it, for the next one. It keeps such a
 * copy as long as it likes: SQLITE_STATIC would bind it to the page, and SQLite may look at the
 * value of a row after its cursor was closed (max(), the result of a subquery).
 *
 * A text ends in a NUL that is not part of it, so that sqlite3_column_text() need not copy it.
 */
#ifndef HTT_EXT_LENDER_H
#define HTT_EXT_LENDER_H

#include "api.h"
#include "engine/htt.h"

typedef struct htt_lender htt_lender;

/* NULL: out of memory. Belongs to one connection of SQLite. */
htt_lender *htt_lender_new(void);
/* What SQLite still has stays good. NULL is allowed. */
void htt_lender_free(htt_lender *lender);

/* The result of a function or column. `value` is HTT_TEXT, in UTF-8, or HTT_BLOB. */
void htt_lender_result(htt_lender *lender, sqlite3_context *context, htt_datum value);

#endif
