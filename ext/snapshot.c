/* SPDX-License-Identifier: MIT */
/*
 * What a function needs of SQLite while it works on a table; see snapshot.h. A prepared statement
 * keeps the virtual tables that it names; one that stands on a row keeps a read transaction.
 */
#include "snapshot.h"

#include <assert.h>
#include <stddef.h>

#include "rc.h"

static int snapshot_prepare(const htt_table *table, char *sql, sqlite3_stmt **out,
                            char **message_out) {
    if (sql == NULL) {
        return SQLITE_NOMEM;
    }
    const int rc = sqlite3_prepare_v2(table->registry->db, sql, -1, out, NULL);
    sqlite3_free(sql);
    return rc == SQLITE_OK ? SQLITE_OK
                           : htt_rc_say(message_out, rc, "%s", sqlite3_errmsg(table->registry->db));
}

int htt_snapshot_hold(htt_snapshot *snapshot, const htt_table *table, char **message_out) {
    assert(snapshot->hold == NULL);
    return snapshot_prepare(
        table, sqlite3_mprintf("SELECT 1 FROM \"%w\".\"%w\"", table->schema, table->name),
        &snapshot->hold, message_out);
}

int htt_snapshot_begin(htt_snapshot *snapshot, const htt_table *table, char **message_out) {
    assert(snapshot->hold != NULL);
    assert(snapshot->read == NULL);
    int rc = snapshot_prepare(
        table,
        sqlite3_mprintf("SELECT 1 FROM (SELECT 1) LEFT JOIN \"%w\".sqlite_schema", table->schema),
        &snapshot->read, message_out);
    if (rc != SQLITE_OK) {
        return rc;
    }
    rc = sqlite3_step(snapshot->read);
    return rc == SQLITE_ROW ? SQLITE_OK
                            : htt_rc_say(message_out, rc == SQLITE_DONE ? SQLITE_ERROR : rc, "%s",
                                         sqlite3_errmsg(table->registry->db));
}

void htt_snapshot_end(htt_snapshot *snapshot) {
    sqlite3_finalize(snapshot->read);
    sqlite3_finalize(snapshot->hold);
    *snapshot = (htt_snapshot){0};
}
