/* SPDX-License-Identifier: MIT */
/*
 * The one way to SQLite's functions: through the table that a loadable extension is given, or
 * directly when compiled with SQLITE_CORE (libhtt.a). Include this, never <sqlite3.h>.
 *
 * In libhtt.so the table is NULL until a connection loaded the extension, and every call of SQLite
 * would crash: htt_sqlite_is_there() is asked once, by htt_db_open. Whoever has an htt_db with a
 * connection may call SQLite.
 */
#ifndef HTT_SQL_BASE_SQLITE_H
#define HTT_SQL_BASE_SQLITE_H

#include <stdbool.h>

#include <sqlite3ext.h>

#include "engine/htt.h"

#ifndef SQLITE_CORE
SQLITE_EXTENSION_INIT3 /* the table itself is defined by the module */
#endif

/* SQLite's functions may be called. */
static inline bool htt_sqlite_is_there(void) {
#ifdef SQLITE_CORE
    return true;
#else
    return sqlite3_api != NULL;
#endif
}

/* The result for an SQLite code, extended or not. The one place where they are mapped. */
htt_rc htt_sqlite_rc(int code);

#endif
