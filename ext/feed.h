/* SPDX-License-Identifier: MIT */
/*
 * The changes of one table as of one snapshot: rows of its outbox between two numbers.
 */
#ifndef HTT_EXT_FEED_H
#define HTT_EXT_FEED_H

#include "outbox.h"
#include "snapshot.h"
#include "vtab.h"

/* A code of its own, so that a consumer can tell that it must start anew. */
#define HTT_FEED_GAP SQLITE_RANGE

/* Zero it first; htt_feed_close in any case. */
typedef struct htt_feed {
    htt_snapshot snapshot; /* until the close */
    htt_outbox *outbox;    /* statements of its own; owned */
    sqlite3_int64 store;   /* htt_store.id */
    uint64_t newest;       /* number of the newest change, 0 = there never was one */
    uint64_t at;           /* seq of the current row */
    bool plain;            /* the table's rows are single values */
    htt_outbox_row row;    /* the current one */
} htt_feed;

/* All that return int give an SQLite code and set *message_out on failure (sqlite3_free). */

/* Of a table that htt_vtab_find has just found. `function` is named in messages. */
int htt_feed_open(htt_feed *feed, htt_table *table, const char *function, char **message_out);
/*
 * Rows with seq > `since`: begin, next until *found_out is false. HTT_FEED_GAP: not all of them are
 * there any more, or `since` is a number of the future.
 */
int htt_feed_begin(htt_feed *feed, sqlite3_int64 since, char **message_out);
int htt_feed_next(htt_feed *feed, bool *found_out, char **message_out);
void htt_feed_close(htt_feed *feed);

#endif
