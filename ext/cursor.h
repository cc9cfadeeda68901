/* SPDX-License-Identifier: MIT */
/*
 * Cursors of the virtual table: xOpen to xRowid.
 */
#ifndef HTT_EXT_CURSOR_H
#define HTT_EXT_CURSOR_H

#include "api.h"
#include "connection.h"

/* What connection.c frees at its end: a cursor that is closed already. NULL is allowed. */
void htt_scan_free(htt_scan *scan);

int htt_scan_open(sqlite3_vtab *vtab, sqlite3_vtab_cursor **cursor_out);
int htt_scan_close(sqlite3_vtab_cursor *cursor);
int htt_scan_filter(sqlite3_vtab_cursor *cursor, int plan, const char *words, int argc,
                    sqlite3_value **argv);
int htt_scan_next(sqlite3_vtab_cursor *cursor);
int htt_scan_eof(sqlite3_vtab_cursor *cursor);
int htt_scan_column(sqlite3_vtab_cursor *cursor, sqlite3_context *context, int column);
int htt_scan_rowid(sqlite3_vtab_cursor *cursor, sqlite3_int64 *rowid_out);

#endif
