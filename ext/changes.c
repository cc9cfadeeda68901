/* SPDX-License-Identifier: MIT */
/*
 * Noticing what else a statement of ours has changed:
 *
 *   WHAT A TRIGGER DID             sqlite3_changes   sqlite3_total_changes grows by
 *   nothing, or there is none      n                 n
 *   changed other rows             n                 more than n
 *   RAISE(IGNORE)                  less than n       less than n, or n with other changes
 *
 * Changes of RAISE(ABORT) are counted although they are undone: such a trigger is reported too.
 */
#include "changes.h"

#include <stddef.h>

#include "rc.h"

sqlite3_int64 htt_changes_mark(sqlite3 *db) {
    return sqlite3_total_changes64(db);
}

/* "trigger main.x" for the first trigger on the table; NULL: none was found. */
static char *changes_find_trigger(sqlite3 *db, const char *schema, const char *table) {
    sqlite3_stmt *statement = NULL;
    char *found = NULL;
    char *const sql = sqlite3_mprintf("SELECT %Q, name FROM \"%w\".sqlite_schema "
                                      "WHERE type = 'trigger' AND tbl_name = %Q COLLATE NOCASE "
                                      "UNION ALL SELECT 'temp', name FROM temp.sqlite_schema "
                                      "WHERE type = 'trigger' AND tbl_name = %Q COLLATE NOCASE",
                                      schema, schema, table, table);
    if (sql != NULL && sqlite3_prepare_v2(db, sql, -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW) {
        found = sqlite3_mprintf("trigger %s.%s", (const char *)sqlite3_column_text(statement, 0),
                                (const char *)sqlite3_column_text(statement, 1));
    }
    sqlite3_finalize(statement);
    sqlite3_free(sql);
    return found;
}

static int changes_report(sqlite3 *db, const char *schema, const char *table, char **message_out) {
    char *const trigger = changes_find_trigger(db, schema, table);
    const int rc =
        htt_rc_say(message_out, SQLITE_IOERR,
                   "%s.%s: %s changes what libhtt writes there: remove it; the "
                   "transaction is rolled back",
                   schema, table, trigger == NULL ? "a foreign key or an authorizer" : trigger);
    sqlite3_free(trigger);
    return rc;
}

int htt_changes_check(sqlite3 *db, const char *schema, const char *table, sqlite3_int64 mark,
                      sqlite3_int64 expected, char **message_out) {
    const sqlite3_int64 direct = sqlite3_changes64(db);
    const sqlite3_int64 all = sqlite3_total_changes64(db) - mark;
    if (all == direct && (expected < 0 || direct == expected)) {
        return SQLITE_OK;
    }
    return changes_report(db, schema, table, message_out);
}

int htt_changes_check_failed(sqlite3 *db, const char *schema, const char *table, sqlite3_int64 mark,
                             int rc, char **message_out) {
    /* After other errors SQLite has undone the statement, or all. */
    if ((rc & 0xff) != SQLITE_CONSTRAINT || sqlite3_total_changes64(db) == mark) {
        return rc;
    }
    return changes_report(db, schema, table, message_out);
}
