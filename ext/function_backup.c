/* SPDX-License-Identifier: MIT */
/*
 * htt_backup('[schema.]table', 'file'): the table as the running statement sees it, with what its
 * own transaction has changed and what is in the outbox, as a new file that stands alone and
 * belongs to no database. Gives the number of rows. A relative name begins where the database is.
 *
 * It touches files, so SQL in triggers and views may not call it (DIRECTONLY).
 */
#include <stddef.h>

#include "function.h"
#include "function_scalar.h"
#include "paths.h"
#include "rc.h"
#include "snapshot.h"
#include "source_backup.h"

static void backup_fail(sqlite3_context *context, htt_rc rc, const char *text) {
    char *message = NULL;
    const int code = htt_rc_report(&message, rc, HTT_SIDE_READ, text);
    /* HTT_EXISTS is the file here, no key. */
    htt_function_scalar_fail(context, rc == HTT_EXISTS ? SQLITE_ERROR : code, message);
}

/* What the statement sees, to `path`. */
static void backup_run(sqlite3_context *context, const htt_table *table, htt_snapshot *snapshot,
                       const char *path) {
    htt_connection *const connection = table->connection;
    htt_reader *reader = NULL;
    htt_source source = {0};
    htt_error error = {.rc = HTT_OK};
    char *message = NULL;
    uint64_t rows = 0;
    int code = htt_connection_open(connection, &table->arguments, &message);
    code = code == SQLITE_OK ? htt_snapshot_begin(snapshot, table, &message) : code;
    code = code == SQLITE_OK ? htt_connection_acquire(connection, &reader, &source, &message)
                             : code;
    if (code != SQLITE_OK) {
        htt_function_scalar_fail(context, code, message);
        return;
    }
    htt_rc rc = htt_source_count(&source, &rows);
    if (rc != HTT_OK) {
        backup_fail(context, rc, htt_source_errmsg(&source));
    } else {
        rc = htt_source_backup(&source, path, &error);
        if (rc == HTT_OK) {
            sqlite3_result_int64(context, (sqlite3_int64)rows);
        } else {
            backup_fail(context, rc, error.text);
        }
    }
    htt_connection_release(connection, &reader);
}

static void backup_call(sqlite3_context *context, int argc, sqlite3_value **argv) {
    htt_snapshot snapshot = {0};
    char *message = NULL;
    char *path = NULL;
    (void)argc;
    const htt_table *const table = htt_function_scalar_find(context, argv[0]);
    if (table == NULL) {
        return;
    }
    const char *const file = (const char *)sqlite3_value_text(argv[1]);
    if (file == NULL || file[0] == '\0') {
        htt_function_scalar_fail(context, SQLITE_ERROR,
                                 sqlite3_mprintf("htt_backup: the file's name is empty"));
        return;
    }
    int rc = htt_snapshot_hold(&snapshot, table, &message);
    if (rc == SQLITE_OK) {
        rc = htt_paths_resolve(table->registry->db, table->schema, file, &path, &message);
    }
    if (rc != SQLITE_OK) {
        htt_function_scalar_fail(context, rc, message);
    } else {
        backup_run(context, table, &snapshot, path);
    }
    sqlite3_free(path);
    htt_snapshot_end(&snapshot);
}

int htt_function_register_backup(htt_registry *registry) {
    return htt_function_scalar_register(registry, "htt_backup", 2, SQLITE_DIRECTONLY, backup_call);
}
