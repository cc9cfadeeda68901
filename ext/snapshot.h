/* SPDX-License-Identifier: MIT */
/*
 * What a function needs of SQLite while it works on a table.
 *
 *   hold   the htt_table stays where it is: else a schema that somebody has changed takes it away
 *          as soon as a statement of ours notices
 *   begin  a read transaction: a SELECT that names no table has none, and between two statements of
 *          ours somebody could commit
 */
#ifndef HTT_EXT_SNAPSHOT_H
#define HTT_EXT_SNAPSHOT_H

#include "vtab.h"

/* Zero it first. */
typedef struct htt_snapshot {
    sqlite3_stmt *hold; /* refers to the table; owned; NULL = not held */
    sqlite3_stmt *read; /* stands on a row; owned; NULL = no transaction */
} htt_snapshot;

/* Both give an SQLite code, and set *message_out on failure. Hold before any SQL is run. */
int htt_snapshot_hold(htt_snapshot *snapshot, const htt_table *table, char **message_out);
int htt_snapshot_begin(htt_snapshot *snapshot, const htt_table *table, char **message_out);
/* Ends both. */
void htt_snapshot_end(htt_snapshot *snapshot);

#endif
