/* SPDX-License-Identifier: MIT */
/*
 * Functions that work on a table's file as a whole:
 *
 *   htt_backup('[schema.]table', 'file')   copies what is committed to a new file; gives the rows
 *   htt_vacuum('[schema.]table')           gives free pages back; gives the bytes won
 *
 * Both touch files, so SQL in triggers and views may not call them (DIRECTONLY).
 */
#include <stddef.h>

#include "function.h"
#include "function_scalar.h"
#include "paths.h"
#include "rc.h"

static void backup_fail(sqlite3_context *context, htt_rc rc, const char *text) {
    char *message = NULL;
    const int code = htt_rc_report(&message, rc, HTT_SIDE_READ, text);
    /* HTT_EXISTS is the file here, no key. */
    htt_function_scalar_fail(context, rc == HTT_EXISTS ? SQLITE_ERROR : code, message);
}

/* Copies the newest committed state, whatever this connection has changed since. */
static void backup_run(sqlite3_context *context, htt_store *store, const char *path) {
    htt_txn *txn;
    uint64_t rows = 0;
    htt_rc rc = htt_begin(store, HTT_READ, &txn);
    if (rc != HTT_OK) {
        backup_fail(context, rc, htt_errmsg(store));
        return;
    }
    rc = htt_backup(txn, path);
    rc = rc == HTT_OK ? htt_count(txn, &rows) : rc;
    if (rc == HTT_OK) {
        sqlite3_result_int64(context, (sqlite3_int64)rows);
    } else {
        backup_fail(context, rc, htt_txn_errmsg(txn));
    }
    htt_abort(txn);
}

static void backup_call(sqlite3_context *context, int argc, sqlite3_value **argv) {
    char *message = NULL;
    char *path = NULL;
    (void)argc;
    const htt_table *const table = htt_function_scalar_table(context, argv[0]);
    if (table == NULL) {
        return;
    }
    const char *const file = (const char *)sqlite3_value_text(argv[1]);
    if (file == NULL || file[0] == '\0') {
        htt_function_scalar_fail(context, SQLITE_ERROR,
                                 sqlite3_mprintf("htt_backup: the file's name is empty"));
        return;
    }
    const int rc = htt_paths_resolve(table->registry->db, table->schema, file, &path, &message);
    if (rc != SQLITE_OK) {
        htt_function_scalar_fail(context, rc, message);
        return;
    }
    backup_run(context, table->connection->store, path);
    sqlite3_free(path);
}

static void vacuum_call(sqlite3_context *context, int argc, sqlite3_value **argv) {
    uint64_t before;
    uint64_t after;
    (void)argc;
    const htt_table *const table = htt_function_scalar_table(context, argv[0]);
    if (table == NULL) {
        return;
    }
    htt_connection *const connection = table->connection;
    if (connection->poison != NULL) {
        htt_function_scalar_fail(context, SQLITE_ERROR, sqlite3_mprintf("%s", connection->poison));
        return;
    }
    if (connection->transaction.joined) {
        htt_function_scalar_fail(
            context, SQLITE_ERROR,
            sqlite3_mprintf("htt_vacuum: %s.%s was written to in this transaction: commit first",
                            table->schema, table->name));
        return;
    }
    const htt_rc rc = htt_vacuum(connection->store, &before, &after);
    if (rc != HTT_OK) {
        backup_fail(context, rc, htt_errmsg(connection->store));
        return;
    }
    sqlite3_result_int64(context, (sqlite3_int64)(before - after));
}

int htt_function_register_backup(htt_registry *registry) {
    return htt_function_scalar_register(registry, "htt_backup", 2, SQLITE_DIRECTONLY, backup_call);
}

int htt_function_register_vacuum(htt_registry *registry) {
    return htt_function_scalar_register(registry, "htt_vacuum", 1, SQLITE_DIRECTONLY, vacuum_call);
}
