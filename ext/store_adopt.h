/* SPDX-License-Identifier: MIT */
/*
 * Giving a store another file: the SQL of htt_adopt, and the column htt_store.file that says where
 * the file is when it is not where CREATE VIRTUAL TABLE says.
 */
#ifndef HTT_EXT_STORE_ADOPT_H
#define HTT_EXT_STORE_ADOPT_H

#include "api.h"
#include "engine/htt_host.h"

/* All give an SQLite code and set *message_out on failure (sqlite3_free). */

/* The path of the store's file, *path_out NULL = as declared. Caller frees with sqlite3_free. */
int htt_store_adopt_path(sqlite3 *db, const char *schema, const char *name, char **path_out,
                         char **message_out);

/*
 * Takes the write lock of the schema, within a transaction that has read nothing yet. The tables of
 * sql/schema are made where they are missing.
 */
int htt_store_adopt_lock(sqlite3 *db, const char *schema, char **message_out);

/*
 * The store goes on with the file `uuid`, from `root` (NULL: the file keeps its own). `file`: its
 * name, NULL = leave it as it is. Its outbox rows go, consumers have acknowledged no more than the
 * root holds, and every connection connects its tables anew. There need not be a row yet.
 */
int htt_store_adopt_write(sqlite3 *db, const char *schema, const char *name,
                          const uint8_t uuid[16], const htt_host_root *root, const char *file,
                          char **message_out);

#endif
