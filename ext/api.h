/* SPDX-License-Identifier: MIT */
/*
 * The one way to SQLite's functions: through the table that a loadable extension is given, or
 * directly when compiled with SQLITE_CORE (libhtt.a). Include this, never <sqlite3.h>.
 */
#ifndef HTT_EXT_API_H
#define HTT_EXT_API_H

#include <sqlite3ext.h>

#ifndef SQLITE_CORE
SQLITE_EXTENSION_INIT3 /* the table itself is defined in htt_ext.c */
#endif

#endif
