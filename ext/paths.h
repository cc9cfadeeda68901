/* SPDX-License-Identifier: MIT */
/*
 * From the name of a file in SQL to the path that is opened.
 */
#ifndef HTT_EXT_PATHS_H
#define HTT_EXT_PATHS_H

#include "api.h"

/*
 * The path of `name`: absolute as it is, else relative to the directory of the database file of
 * `schema` (the working directory where there is none). An SQLite code. Caller frees *path_out,
 * and *message_out on failure, with sqlite3_free.
 */
int htt_paths_resolve(sqlite3 *db, const char *schema, const char *name, char **path_out,
                      char **message_out);

#endif
