/* SPDX-License-Identifier: MIT */
/*
 * htt_vacuum('[schema.]table'): gives free pages back to the file system; gives the bytes won. A
 * file that keeps its own root is the engine's matter. In a hosted one pages are moved by ordinary
 * folds, each a transaction of the database:
 *
 *     rows in the outbox?  ->  fold them
 *     else                 ->  pages from the end to the lowest free places | new root | commit
 *                              barrier | the meta pages follow: what died can be used by the next
 *     nothing to move      ->  roll back | under the write lock: cut off what is behind the root
 *
 * What somebody reads stays, so there may be nothing to win. It writes files, so SQL in triggers
 * and views may not call it (DIRECTONLY).
 */
#include <assert.h>
#include <stddef.h>
#include <sys/stat.h>

#include "function.h"
#include "function_scalar.h"
#include "hosted.h"
#include "rc.h"
#include "snapshot.h"

enum {
    VACUUM_IDLE_MAX = 5,    /* transactions in a row that only made room for the next */
    VACUUM_ROUNDS_MAX = 64, /* a writer beside us may go on for ever */
    VACUUM_WAIT_MS = 1000   /* for another holder of the writer's right */
};

/* What a transaction did. */
typedef enum vacuum_result {
    VACUUM_MOVED,   /* pages */
    VACUUM_WAITING, /* the outbox was folded, or an attempt acknowledged: now pages can be moved */
    VACUUM_DONE     /* there is nothing to move */
} vacuum_result;

static int vacuum_exec(sqlite3 *db, const char *sql, char **message_out) {
    const int rc = sqlite3_exec(db, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK ? SQLITE_OK
                           : htt_rc_say(message_out, rc, "htt_vacuum: %s", sqlite3_errmsg(db));
}

static void vacuum_rollback(sqlite3 *db) {
    if (!sqlite3_get_autocommit(db)) {
        (void)sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    }
}

/* A transaction in which the table takes part, with the database's write lock. */
static int vacuum_begin(const htt_table *table, char **message_out) {
    sqlite3 *const db = table->registry->db;
    char *const join =
        sqlite3_mprintf("DELETE FROM \"%w\".\"%w\" WHERE 0", table->schema, table->name);
    if (join == NULL) {
        return SQLITE_NOMEM;
    }
    int rc = vacuum_exec(db, "BEGIN", message_out);
    if (rc == SQLITE_OK) {
        rc = vacuum_exec(db, join, message_out);
        rc = rc == SQLITE_OK ? htt_hosted_change(table->connection, message_out) : rc;
        if (rc != SQLITE_OK) {
            vacuum_rollback(db);
        }
    }
    sqlite3_free(join);
    return rc;
}

static int vacuum_barrier(void *arg) {
    return htt_host_file_barrier(arg);
}

/* The engine's transaction that moves pages. */
static htt_rc vacuum_begin_pages(htt_connection *connection) {
    htt_hosted *const hosted = connection->hosted;
    const htt_host_write write = {.base = &hosted->base,
                                  .acked = hosted->acked,
                                  .certain = hosted->kind == HTT_HOST_ROLLBACK,
                                  .owner = &hosted->owner,
                                  .nonce = hosted->nonce,
                                  .wait_ms = VACUUM_WAIT_MS,
                                  .low_first = true,
                                  .barrier = vacuum_barrier,
                                  .arg = &hosted->file};
    assert(htt_overlay_length(hosted->state->overlay) == 0);
    const htt_rc rc = htt_host_begin_write(connection->store, &write, &connection->writer);
    if (rc != HTT_OK) {
        return rc;
    }
    hosted->nonce = htt_host_nonce(connection->writer);
    hosted->seq = hosted->state->root.seq;
    hosted->token = htt_host_first_token(&hosted->state->root);
    hosted->direct = true; /* a failure to write the pages is to be told */
    htt_transaction_enlarged(connection);
    htt_hosted_release(connection);
    return HTT_OK;
}

/* Within the transaction. */
static htt_rc vacuum_move(htt_connection *connection, vacuum_result *result_out,
                          htt_host_root *root_out) {
    const htt_hosted *const hosted = connection->hosted;
    uint64_t moved = 0;
    htt_rc rc = htt_host_vacuum_step(connection->writer, &moved);
    rc = rc == HTT_OK ? htt_host_flush(connection->writer, hosted->seq, root_out) : rc;
    if (rc == HTT_OK) {
        const bool shorter = root_out->page_count < hosted->base.page_count;
        *result_out = moved > 0 || shorter ? VACUUM_MOVED : VACUUM_DONE;
    }
    return rc;
}

/* One transaction. */
static int vacuum_round(const htt_table *table, vacuum_result *result_out, char **message_out) {
    htt_connection *const connection = table->connection;
    htt_hosted *const hosted = connection->hosted;
    sqlite3 *const db = table->registry->db;
    htt_host_root root;
    int rc = vacuum_begin(table, message_out);
    if (rc != SQLITE_OK) {
        return rc;
    }
    *result_out = VACUUM_WAITING;
    if (htt_overlay_length(hosted->state->overlay) > 0) {
        hosted->fold_wanted = true;
    } else {
        htt_rc failed = vacuum_begin_pages(connection);
        if (failed == HTT_OK) {
            failed = vacuum_move(connection, result_out, &root);
            if (failed != HTT_OK) {
                rc = htt_rc_report(message_out, failed, HTT_SIDE_READ,
                                   htt_txn_errmsg(connection->writer));
            }
        } else if (failed == HTT_BUSY) { /* an acknowledgement may be in the row now */
            (void)htt_rc_report(message_out, failed, HTT_SIDE_READ, htt_errmsg(connection->store));
        } else {
            rc = htt_rc_report(message_out, failed, HTT_SIDE_READ, htt_errmsg(connection->store));
        }
    }
    if (rc == SQLITE_OK && *result_out != VACUUM_DONE) {
        char *message = NULL;
        rc = vacuum_exec(db, "COMMIT", &message);
        if (rc != SQLITE_OK) {
            sqlite3_free(*message_out);
            *message_out = message;
        }
    }
    vacuum_rollback(db);
    if (rc == SQLITE_OK && *result_out == VACUUM_MOVED &&
        htt_host_file_barrier(&hosted->file) == 0) {
        /* Where this fails the next step finds less room. */
        (void)!htt_host_checkpoint(connection->store, &root, false, NULL);
    }
    return rc;
}

/* Behind the newest root. What cannot be cut now stays. */
static int vacuum_cut(const htt_table *table, char **message_out) {
    htt_connection *const connection = table->connection;
    htt_hosted *const hosted = connection->hosted;
    uint64_t bytes;
    int rc = vacuum_begin(table, message_out);
    if (rc != SQLITE_OK) {
        return rc;
    }
    if (htt_host_file_barrier(&hosted->file) == 0) {
        htt_rc failed =
            htt_host_checkpoint(connection->store, &hosted->base, false, NULL);
        failed = failed == HTT_OK ? htt_host_cut(connection->store, &hosted->base, &bytes) : failed;
        if (failed != HTT_OK && failed != HTT_BUSY) {
            rc = htt_rc_report(message_out, failed, HTT_SIDE_READ, htt_errmsg(connection->store));
        }
    }
    vacuum_rollback(table->registry->db);
    return rc;
}

static int vacuum_hosted(const htt_table *table, char **message_out) {
    vacuum_result result = VACUUM_MOVED;
    int idle = 0;
    for (int round = 0; round < VACUUM_ROUNDS_MAX && result != VACUUM_DONE; round++) {
        int rc = vacuum_round(table, &result, message_out);
        if (rc != SQLITE_OK) {
            return rc;
        }
        idle = result == VACUUM_WAITING ? idle + 1 : 0;
        if (idle == VACUUM_IDLE_MAX) {
            return *message_out != NULL
                       ? SQLITE_BUSY
                       : htt_rc_say(message_out, SQLITE_BUSY,
                                    "htt_vacuum: %s.%s could not be folded, or others write it all "
                                    "the time",
                                    table->schema, table->name);
        }
        sqlite3_free(*message_out);
        *message_out = NULL;
    }
    return vacuum_cut(table, message_out);
}

/* ---------------------------------------------------------------- function */

static sqlite3_int64 vacuum_size(const htt_connection *connection) {
    struct stat info;
    htt_info store;
    htt_store_info(connection->store, &store);
    return stat(store.path, &info) == 0 ? (sqlite3_int64)info.st_size : 0;
}

/* *has_out: this database keeps the file's root. */
static int vacuum_look(htt_connection *connection, bool *has_out, char **message_out) {
    htt_outbox_store row;
    bool found = false;
    *has_out = false;
    if (connection->hosted == NULL) {
        return SQLITE_OK;
    }
    const int rc =
        htt_outbox_read_store(connection->hosted->outbox, &found, &row, message_out);
    *has_out = rc == SQLITE_OK && found && row.has_root;
    return rc;
}

static int vacuum_run(const htt_table *table, sqlite3_int64 *won_out, char **message_out) {
    htt_connection *const connection = table->connection;
    uint64_t before;
    uint64_t after;
    bool hosted = false;
    int rc = vacuum_look(connection, &hosted, message_out);
    if (rc != SQLITE_OK) {
        return rc;
    }
    if (hosted) {
        const sqlite3_int64 size = vacuum_size(connection);
        rc = vacuum_hosted(table, message_out);
        const sqlite3_int64 now = vacuum_size(connection);
        *won_out = now < size ? size - now : 0;
        return rc;
    }
    const htt_rc failed = htt_vacuum(connection->store, &before, &after);
    if (failed != HTT_OK) {
        return htt_rc_report(message_out, failed, HTT_SIDE_READ, htt_errmsg(connection->store));
    }
    *won_out = (sqlite3_int64)(before - after);
    return SQLITE_OK;
}

/* What makes it impossible now, NULL = nothing. Caller frees with sqlite3_free. */
static char *vacuum_hindrance(const htt_table *table) {
    const htt_connection *const connection = table->connection;
    if (connection->poison != NULL) {
        return sqlite3_mprintf("%s", connection->poison);
    }
    if (connection->transaction.joined) {
        return sqlite3_mprintf("htt_vacuum: %s.%s was written to in this transaction: commit first",
                               table->schema, table->name);
    }
    if (connection->hosted != NULL && !sqlite3_get_autocommit(table->registry->db)) {
        return sqlite3_mprintf("htt_vacuum: a transaction is open: commit first");
    }
    return NULL;
}

static void vacuum_call(sqlite3_context *context, int argc, sqlite3_value **argv) {
    htt_snapshot snapshot = {0};
    sqlite3_int64 won = 0;
    char *message = NULL;
    (void)argc;
    const htt_table *const table = htt_function_scalar_find(context, argv[0]);
    if (table == NULL) {
        return;
    }
    int rc = htt_snapshot_hold(&snapshot, table, &message);
    if (rc == SQLITE_OK) {
        rc = htt_connection_open(table->connection, &table->arguments, &message);
    }
    if (rc == SQLITE_OK) {
        message = vacuum_hindrance(table);
        rc = message != NULL ? SQLITE_ERROR : vacuum_run(table, &won, &message);
    }
    htt_snapshot_end(&snapshot);
    if (rc != SQLITE_OK) {
        htt_function_scalar_fail(context, rc, message);
    } else {
        sqlite3_result_int64(context, won);
    }
}

int htt_function_register_vacuum(htt_registry *registry) {
    return htt_function_scalar_register(registry, "htt_vacuum", 1, SQLITE_DIRECTONLY, vacuum_call);
}
