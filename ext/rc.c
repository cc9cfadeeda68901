/* SPDX-License-Identifier: MIT */
/*
 * Engine results as SQLite codes. What a code costs the user:
 *
 *   ERROR, CORRUPT, BUSY, CONSTRAINT, READONLY, ...   the statement
 *   FULL, NOMEM                                       the statement, or the transaction
 *   IOERR                                             the transaction
 */
#include "rc.h"

#include <assert.h>
#include <stdarg.h>
#include <stddef.h>

int htt_rc_sqlite(htt_rc rc, htt_side side) {
    switch (rc) { /* no default: a new result breaks the build until somebody decides */
    case HTT_OK: return SQLITE_OK;
    case HTT_NOTFOUND: return SQLITE_NOTFOUND;
    case HTT_EXISTS: return SQLITE_CONSTRAINT_PRIMARYKEY;
    case HTT_TYPE: return SQLITE_MISMATCH;
    case HTT_BUSY: return SQLITE_BUSY;
    case HTT_MISUSE: return SQLITE_ERROR; /* SQLITE_MISUSE is about SQLite's own interface */
    case HTT_NOMEM: return SQLITE_NOMEM;
    case HTT_IO: return side == HTT_SIDE_READ ? SQLITE_ERROR : SQLITE_IOERR;
    case HTT_FULL: return side == HTT_SIDE_READ ? SQLITE_ERROR : SQLITE_FULL;
    case HTT_CANTOPEN: return SQLITE_CANTOPEN;
    case HTT_READONLY: return SQLITE_READONLY;
    case HTT_TOOBIG: return SQLITE_TOOBIG;
    case HTT_COLLISION: return SQLITE_ERROR;
    case HTT_NOTHTT: return SQLITE_NOTADB;
    case HTT_NEWER: return SQLITE_ERROR;
    case HTT_CORRUPT: return SQLITE_CORRUPT_VTAB;
    case HTT_MISMATCH: return SQLITE_ERROR;
    case HTT_SNAPSHOT: return SQLITE_BUSY_SNAPSHOT;
    case HTT_POISONED: return side == HTT_SIDE_READ ? SQLITE_ERROR : SQLITE_IOERR;
    case HTT_ABORTED: return SQLITE_ABORT_ROLLBACK;
    case HTT_CONFLICT: return SQLITE_ERROR;
    case HTT_EXPIRED: return SQLITE_ERROR;
    case HTT_INVALID: return SQLITE_MISMATCH;
    case HTT_CONSTRAINT: return SQLITE_CONSTRAINT;
    case HTT_SQL: return SQLITE_ERROR;
    }
    return SQLITE_ERROR;
}

int htt_rc_report(char **message_out, htt_rc rc, htt_side side, const char *text) {
    assert(rc != HTT_OK);
    const int code = htt_rc_sqlite(rc, side);
    sqlite3_free(*message_out);
    *message_out = sqlite3_mprintf("%s", text == NULL || text[0] == '\0' ? htt_strerror(rc) : text);
    return *message_out == NULL ? SQLITE_NOMEM : code;
}

int htt_rc_say(char **message_out, int code, const char *format, ...) {
    va_list arguments;
    sqlite3_free(*message_out);
    va_start(arguments, format);
    *message_out = sqlite3_vmprintf(format, arguments);
    va_end(arguments);
    return *message_out == NULL ? SQLITE_NOMEM : code;
}
