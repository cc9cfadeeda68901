/* SPDX-License-Identifier: MIT */
/*
 * xUpdate: INSERT, UPDATE and DELETE of one row.
 */
#ifndef HTT_EXT_UPDATE_H
#define HTT_EXT_UPDATE_H

#include "api.h"

int htt_update_row(sqlite3_vtab *vtab, int argc, sqlite3_value **argv, sqlite3_int64 *rowid_out);

#endif
