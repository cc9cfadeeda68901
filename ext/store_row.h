/* SPDX-License-Identifier: MIT */
/*
 * htt_store: the ordinary table, in the schema of the htt table, with a row for each htt file.
 * Its text also stands in sql/schema/htt_store.sql.
 */
#ifndef HTT_EXT_STORE_ROW_H
#define HTT_EXT_STORE_ROW_H

#include <stdbool.h>
#include <stdint.h>

#include "api.h"

enum { HTT_UUID_SIZE = 16 };

/* What stands behind CREATE TABLE. */
extern const char htt_store_row_schema[];

/* All give an SQLite code and set *message_out on failure (sqlite3_free). */

/* Makes the table where there is none. */
int htt_store_row_create_table(sqlite3 *db, const char *schema, char **message_out);

/* The row of a file by its name. *found_out false: no such row, or no such table. */
int htt_store_row_find(sqlite3 *db, const char *schema, const char *name, bool *found_out,
                       uint8_t uuid_out[HTT_UUID_SIZE], char **message_out);

/* The row of a file by its uuid; *name_out NULL = none, caller frees with sqlite3_free. */
int htt_store_row_find_uuid(sqlite3 *db, const char *schema, const uint8_t uuid[HTT_UUID_SIZE],
                            char **name_out, char **message_out);

/* A new row in place of one with this name or uuid. last_insert_rowid() stays as it was. */
int htt_store_row_write(sqlite3 *db, const char *schema, const char *name,
                        const uint8_t uuid[HTT_UUID_SIZE], char **message_out);

/* Deletes the row of a file by its name. A row that is not there is no error. */
int htt_store_row_delete(sqlite3 *db, const char *schema, const char *name, char **message_out);

#endif
