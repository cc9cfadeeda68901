/* SPDX-License-Identifier: MIT */
/*
 * SQLite's codes as results.
 *
 *   BUSY_SNAPSHOT is HTT_SNAPSHOT: the transaction cannot go on, begin it again. Every other BUSY,
 *   and LOCKED, which is a BUSY between connections that share a cache, is HTT_BUSY.
 *   A constraint that says "the row is there" is HTT_EXISTS, one on the type of a column is
 *   HTT_TYPE, all others are HTT_CONSTRAINT.
 */
#include "sql/base/sqlite.h"

static htt_rc sqlite_rc_constraint(int code) {
    switch (code) {
    case SQLITE_CONSTRAINT_PRIMARYKEY:
    case SQLITE_CONSTRAINT_ROWID:
    case SQLITE_CONSTRAINT_UNIQUE: return HTT_EXISTS;
    case SQLITE_CONSTRAINT_DATATYPE: return HTT_TYPE;
    default: return HTT_CONSTRAINT;
    }
}

htt_rc htt_sqlite_rc(int code) {
    switch (code & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE: return HTT_OK;
    case SQLITE_BUSY: return code == SQLITE_BUSY_SNAPSHOT ? HTT_SNAPSHOT : HTT_BUSY;
    case SQLITE_LOCKED:
    case SQLITE_PROTOCOL: return HTT_BUSY;
    case SQLITE_CONSTRAINT: return sqlite_rc_constraint(code);
    case SQLITE_NOMEM: return HTT_NOMEM;
    case SQLITE_FULL: return HTT_FULL;
    case SQLITE_READONLY:
    case SQLITE_PERM: return HTT_READONLY;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB: return HTT_CORRUPT;
    case SQLITE_IOERR: return code == SQLITE_IOERR_NOMEM ? HTT_NOMEM : HTT_IO;
    case SQLITE_CANTOPEN: return HTT_CANTOPEN;
    case SQLITE_TOOBIG: return HTT_TOOBIG;
    case SQLITE_MISMATCH: return HTT_TYPE;
    case SQLITE_MISUSE:
    case SQLITE_RANGE: return HTT_MISUSE;
    case SQLITE_ABORT:
    case SQLITE_INTERRUPT: return HTT_ABORTED;
    default: return HTT_SQL;
    }
}
