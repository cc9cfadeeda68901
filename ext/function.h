/* SPDX-License-Identifier: MIT */
/*
 * SQL functions about htt tables. What a user calls with a table's name gets it through here.
 */
#ifndef HTT_EXT_FUNCTION_H
#define HTT_EXT_FUNCTION_H

#include <stdbool.h>

#include "vtab.h"

/* Each registers one function or table-valued function, with a reference to the registry. */
int htt_function_register_version(htt_registry *registry);
int htt_function_register_stat(htt_registry *registry);
int htt_function_register_check(htt_registry *registry);
int htt_function_register_backup(htt_registry *registry);
int htt_function_register_vacuum(htt_registry *registry);
int htt_function_register_row(htt_registry *registry);
int htt_function_register_adopt(htt_registry *registry);
int htt_function_register_gc(htt_registry *registry);
int htt_function_register_fold(htt_registry *registry);
int htt_function_register_changes(htt_registry *registry);

/*
 * For PRAGMA integrity_check and quick_check: *problems_out NULL = none, else a text with a line
 * for each (sqlite3_free). An SQLite code.
 */
int htt_function_check_table(htt_table *table, bool quick, char **problems_out);

#endif
