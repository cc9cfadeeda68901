/* SPDX-License-Identifier: MIT */
/*
 * Putting a root record in place of another. As an incremental write into the BLOB that is there,
 * not as an UPDATE: SQLite counts the rows that an UPDATE within COMMIT changes as the user's own,
 * and nothing can set changes() back. The record has one size, so it always fits. No trigger runs.
 */
#include "outbox.h"
#include "rc.h"

int htt_outbox_replace_root(sqlite3 *db, const char *schema, sqlite3_int64 store,
                            const htt_host_root *root, char **message_out) {
    sqlite3_blob *blob = NULL;
    int rc = sqlite3_blob_open(db, schema, "htt_store", "root", store, 1, &blob);
    if (rc == SQLITE_OK && sqlite3_blob_bytes(blob) != (int)sizeof root->record) {
        (void)sqlite3_blob_close(blob);
        return htt_rc_say(message_out, SQLITE_CORRUPT_VTAB,
                          "htt_store: the root record of store %lld has another size than %d",
                          (long long)store, (int)sizeof root->record);
    }
    if (rc == SQLITE_OK) {
        rc = sqlite3_blob_write(blob, root->record, (int)sizeof root->record, 0);
    }
    if (rc != SQLITE_OK) {
        (void)htt_rc_say(message_out, rc, "htt_store: cannot write the root of store %lld: %s",
                         (long long)store, sqlite3_errmsg(db));
    }
    const int closed = sqlite3_blob_close(blob);
    if (rc == SQLITE_OK && closed != SQLITE_OK) {
        rc = htt_rc_say(message_out, closed, "htt_store: cannot write the root of store %lld: %s",
                        (long long)store, sqlite3_errmsg(db));
    }
    return rc;
}
