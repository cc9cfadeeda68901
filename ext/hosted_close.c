/* SPDX-License-Identifier: MIT */
/*
 * Hosted files: folding by the last one to leave, so that a file at rest holds everything.
 *
 * SQLite disconnects tables while it walks over its own lists: no SQL of this connection may run
 * then. So the fold runs in a connection of its own, which asks for the write lock once and goes
 * away where it does not get it. Nothing depends on it.
 */
#include <assert.h>
#include <stddef.h>

#include "hosted.h"
#include "paths.h"

/* A statement is under way: it would see the fold as another one's commit behind its snapshot. */
static bool close_is_busy(sqlite3 *db) {
    sqlite3_stmt *statement = sqlite3_next_stmt(db, NULL);
    while (statement != NULL && !sqlite3_stmt_busy(statement)) {
        statement = sqlite3_next_stmt(db, statement);
    }
    return statement != NULL;
}

/* A connection to the same database file, through the same VFS. NULL: it cannot be had. */
static sqlite3 *close_open(sqlite3 *db, const char *schema) {
    const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_PRIVATECACHE;
    const char *const path = htt_host_file_path(db, schema);
    sqlite3_vfs *vfs = NULL;
    sqlite3 *other = NULL;
    if (path == NULL ||
        sqlite3_file_control(db, schema, SQLITE_FCNTL_VFS_POINTER, &vfs) != SQLITE_OK ||
        vfs == NULL) {
        return NULL;
    }
    if (sqlite3_open_v2(path, &other, flags, vfs->zName) != SQLITE_OK ||
        sqlite3_busy_timeout(other, 0) != SQLITE_OK ||
        sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL) != SQLITE_OK) {
        (void)sqlite3_close(other);
        return NULL;
    }
    return other;
}

/* Within the other connection's transaction. */
static int close_fold(htt_connection *connection, htt_host_root *root_out, char **message_out) {
    htt_hosted *const hosted = connection->hosted;
    int rc = htt_hosted_begin(connection, message_out);
    if (rc != SQLITE_OK) {
        return rc;
    }
    *root_out = hosted->row.root;
    if (htt_overlay_length(hosted->state->overlay) == 0) {
        return SQLITE_OK;
    }
    rc = htt_hosted_enlarge_for_good(connection, message_out);
    rc = rc == SQLITE_OK ? htt_hosted_publish(connection, true, message_out) : rc;
    if (rc == SQLITE_OK && htt_host_publish(connection->writer, hosted->seq, root_out) != HTT_OK) {
        rc = SQLITE_ERROR;
    }
    return rc;
}

static void close_run(htt_connection *connection, sqlite3 *db) {
    char *message = NULL;
    htt_host_root root;
    int rc = close_fold(connection, &root, &message);
    sqlite3_free(message);
    rc = rc == SQLITE_OK ? sqlite3_exec(db, "COMMIT", NULL, NULL, NULL) : rc;
    if (rc == SQLITE_OK) {
        htt_hosted_commit(connection);
        /* The file's meta pages follow: what is at rest can be opened alone. */
        if (htt_host_file_barrier(&connection->hosted->file) == 0) {
            (void)!htt_host_checkpoint(connection->store, &root, false, NULL);
        }
    } else {
        (void)sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
        htt_hosted_rollback(connection);
    }
}

void htt_hosted_close(htt_connection *connection) {
    const htt_hosted *const hosted = connection->hosted;
    if (hosted == NULL || !hosted->wrote || connection->poison != NULL ||
        !sqlite3_get_autocommit(connection->registry->db) ||
        close_is_busy(connection->registry->db) ||
        !htt_host_is_alone(connection->store)) {
        return;
    }
    sqlite3 *const db = close_open(connection->registry->db, connection->schema);
    if (db == NULL) {
        return;
    }
    htt_registry registry = {.db = db, .references = 1};
    htt_connection closing = {.registry = &registry,
                              .schema = "main",
                              .path = connection->path,
                              .name = connection->name,
                              .store = connection->store,
                              .transaction = {.joined = true}};
    htt_hosted other = {.file = {.db = db, .schema = "main"},
                        .owner = hosted->owner,
                        .fold_rows = hosted->fold_rows,
                        .fold_bytes = hosted->fold_bytes,
                        .changes = hosted->changes,
                        .changes_keep = hosted->changes_keep};
    other.outbox = htt_outbox_new(db, "main", connection->name);
    if (other.outbox != NULL) {
        closing.hosted = &other;
        close_run(&closing, db);
        htt_hosted_forget(&other);
        htt_outbox_free(other.outbox);
    }
    htt_host_file_clear(&other.file);
    (void)sqlite3_close(db);
}
