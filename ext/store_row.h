/* SPDX-License-Identifier: MIT */
/*
 * htt_store: the ordinary table, in the schema of the htt table, with a row for each htt file; and
 * making it and the other tables of sql/schema.
 */
#ifndef HTT_EXT_STORE_ROW_H
#define HTT_EXT_STORE_ROW_H

#include <stdbool.h>
#include <stdint.h>

#include "api.h"

enum { HTT_UUID_SIZE = 16 };

/* Of the tables, as in htt_schema. */
enum { HTT_SCHEMA_VERSION = 1 };

/* All give an SQLite code and set *message_out on failure (sqlite3_free). */

/*
 * *version_out: of the tables of this schema, 0 = there are none, or older ones without htt_schema.
 * SQLITE_ERROR: they are newer than this library.
 */
int htt_store_row_check_version(sqlite3 *db, const char *schema, int *version_out,
                                char **message_out);

/* Makes all tables of sql/schema that are not there. last_insert_rowid() stays as it was. */
int htt_store_row_create_table(sqlite3 *db, const char *schema, char **message_out);

/* The row of a file by its name. *found_out false: no such row, or no such table. */
int htt_store_row_find(sqlite3 *db, const char *schema, const char *name, bool *found_out,
                       uint8_t uuid_out[HTT_UUID_SIZE], char **message_out);

/* The row of a file by its uuid; *name_out NULL = none, caller frees with sqlite3_free. */
int htt_store_row_find_uuid(sqlite3 *db, const char *schema, const uint8_t uuid[HTT_UUID_SIZE],
                            char **name_out, char **message_out);

/*
 * A new row in place of one with this name or uuid. last_insert_rowid() stays as it was.
 * SQLITE_IOERR: a trigger got in the way (changes.h).
 */
int htt_store_row_write(sqlite3 *db, const char *schema, const char *name,
                        const uint8_t uuid[HTT_UUID_SIZE], char **message_out);

/* Deletes the row of a file by its name. A row that is not there is no error. Triggers as above. */
int htt_store_row_delete(sqlite3 *db, const char *schema, const char *name, char **message_out);

#endif
