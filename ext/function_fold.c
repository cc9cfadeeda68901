/* SPDX-License-Identifier: MIT */
/*
 * htt_fold('[schema.]table'): what is in the outbox goes into the file's pages, with the commit of
 * the running transaction, or at once where there is none; then the file alone holds everything.
 * Gives the number of rows. A file that keeps its own root has nothing to fold: 0.
 */
#include "function.h"
#include "function_scalar.h"
#include "hosted.h"
#include "rc.h"

/* Makes the table take part in a transaction; without one this is a transaction of its own. */
static int fold_join(const htt_table *table, char **message_out) {
    sqlite3 *const db = table->registry->db;
    char *const sql = sqlite3_mprintf("DELETE FROM \"%w\".\"%w\" WHERE 0", table->schema,
                                      table->name);
    if (sql == NULL) {
        return SQLITE_NOMEM;
    }
    const int rc = sqlite3_exec(db, sql, NULL, NULL, NULL);
    sqlite3_free(sql);
    return rc == SQLITE_OK ? SQLITE_OK
                           : htt_rc_say(message_out, rc, "htt_fold: %s", sqlite3_errmsg(db));
}

static int fold_follow(htt_connection *connection, char **message_out) {
    htt_hosted *const hosted = connection->hosted;
    const int rc = htt_hosted_refresh(connection, message_out);
    if (rc == SQLITE_OK && hosted->row.has_root && htt_host_file_barrier(&hosted->file) == 0) {
        /* Another process may have folded meanwhile: then it is its turn. */
        (void)!htt_host_checkpoint(connection->store, &hosted->row.root, false, NULL);
    }
    return rc;
}

/*
 * The file's meta pages follow, so that it shows everything to whoever opens it alone. Row and
 * outbox are read in one read transaction: a SELECT without tables has none.
 */
static int fold_checkpoint(htt_connection *connection, char **message_out) {
    sqlite3 *const db = connection->registry->db;
    sqlite3_stmt *statement = NULL;
    char *const sql =
        sqlite3_mprintf("SELECT 1 FROM \"%w\".htt_store", connection->schema);
    if (sql == NULL) {
        return SQLITE_NOMEM;
    }
    int rc = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
    sqlite3_free(sql);
    rc = rc == SQLITE_OK ? sqlite3_step(statement) : rc;
    rc = rc == SQLITE_ROW ? fold_follow(connection, message_out)
                          : htt_rc_say(message_out, rc == SQLITE_DONE ? SQLITE_ERROR : rc,
                                       "htt_fold: %s.htt_store: %s", connection->schema,
                                       sqlite3_errmsg(db));
    sqlite3_finalize(statement);
    return rc;
}

/* Folds at once, or notes that the COMMIT is to fold. */
static int fold_run(const htt_table *table, htt_connection *connection, char **message_out) {
    htt_hosted *const hosted = connection->hosted;
    const bool autocommit = sqlite3_get_autocommit(connection->registry->db) != 0;
    hosted->fold_wanted = true;
    hosted->folded = 0;
    int rc = fold_join(table, message_out); /* the table may be another one from here on */
    if (rc != SQLITE_OK || !autocommit) {
        rc = rc == SQLITE_OK ? htt_hosted_begin(connection, message_out) : rc;
        hosted->fold_wanted = rc == SQLITE_OK;
        hosted->folded = rc == SQLITE_OK && connection->writer == NULL
                             ? htt_overlay_length(hosted->state->overlay)
                             : 0;
        return rc;
    }
    hosted->fold_wanted = false;
    if (hosted->unfolded != NULL) {
        return htt_rc_say(message_out, SQLITE_BUSY, "htt_fold: %s", hosted->unfolded);
    }
    return fold_checkpoint(connection, message_out);
}

static void fold_call(sqlite3_context *context, int argc, sqlite3_value **argv) {
    char *message = NULL;
    (void)argc;
    const htt_table *const table = htt_function_scalar_table(context, argv[0]);
    if (table == NULL) {
        return;
    }
    htt_connection *const connection = table->connection;
    if (connection->hosted == NULL) {
        sqlite3_result_int64(context, 0);
        return;
    }
    htt_connection_hold(connection);
    const int rc = fold_run(table, connection, &message);
    if (rc != SQLITE_OK) {
        htt_function_scalar_fail(context, rc, message);
    } else {
        sqlite3_result_int64(context, (sqlite3_int64)connection->hosted->folded);
    }
    htt_connection_let_go(connection);
}

int htt_function_register_fold(htt_registry *registry) {
    return htt_function_scalar_register(registry, "htt_fold", 1, SQLITE_DIRECTONLY, fold_call);
}
