/* SPDX-License-Identifier: MIT */
/*
 * A statement of ours on a table of ours changes what it says and nothing else. An application's
 * trigger, foreign key or authorizer may make that untrue; SQLite's counters of changed rows show
 * it.
 */
#ifndef HTT_EXT_CHANGES_H
#define HTT_EXT_CHANGES_H

#include "api.h"

/* To be taken before the statement. */
sqlite3_int64 htt_changes_mark(sqlite3 *db);

/*
 * After a statement that is to change `expected` rows of schema.table, -1: as many as it did.
 * SQLITE_OK, or SQLITE_IOERR, so that SQLite rolls the transaction back, with a message that names
 * the trigger.
 */
int htt_changes_check(sqlite3 *db, const char *schema, const char *table, sqlite3_int64 mark,
                      sqlite3_int64 expected, char **message_out);

/*
 * After a statement that failed with `rc`: `rc`, or as above where a trigger left changes behind
 * (RAISE(FAIL)).
 */
int htt_changes_check_failed(sqlite3 *db, const char *schema, const char *table, sqlite3_int64 mark,
                             int rc, char **message_out);

#endif
