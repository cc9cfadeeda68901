/* SPDX-License-Identifier: MIT */
/*
 * The witness. It joins a transaction by a DELETE of no rows on itself; its callbacks pass on to
 * every connection that it leads.
 */
#include "witness.h"

#include <assert.h>
#include <stddef.h>

#include "rc.h"

#define WITNESS_NAME "htt_witness"

typedef struct witness_table {
    sqlite3_vtab base;      /* must be first */
    htt_registry *registry; /* borrowed */
} witness_table;

/* Any pointer that is no sqlite3_vtab will do: the registry, one for each connection. */
static const void *witness_leader(const htt_registry *registry) {
    return registry;
}

static htt_registry *witness_registry(sqlite3_vtab *vtab) {
    return ((witness_table *)vtab)->registry;
}

static int witness_connect(sqlite3 *db, void *aux, int argc, const char *const *argv,
                           sqlite3_vtab **vtab_out, char **message_out) {
    (void)argc;
    (void)argv;
    (void)message_out;
    const int rc = sqlite3_declare_vtab(db, "CREATE TABLE x(unused)");
    if (rc != SQLITE_OK) {
        return rc;
    }
    witness_table *const table = sqlite3_malloc64(sizeof *table);
    if (table == NULL) {
        return SQLITE_NOMEM;
    }
    *table = (witness_table){.registry = aux};
    *vtab_out = &table->base;
    return SQLITE_OK;
}

static int witness_disconnect(sqlite3_vtab *vtab) {
    sqlite3_free(vtab);
    return SQLITE_OK;
}

static int witness_best_index(sqlite3_vtab *vtab, sqlite3_index_info *info) {
    (void)vtab;
    info->estimatedRows = 0;
    info->estimatedCost = 1.0;
    return SQLITE_OK;
}

static int witness_open(sqlite3_vtab *vtab, sqlite3_vtab_cursor **cursor_out) {
    (void)vtab;
    sqlite3_vtab_cursor *const cursor = sqlite3_malloc64(sizeof *cursor);
    if (cursor == NULL) {
        return SQLITE_NOMEM;
    }
    *cursor = (sqlite3_vtab_cursor){0};
    *cursor_out = cursor;
    return SQLITE_OK;
}

static int witness_close(sqlite3_vtab_cursor *cursor) {
    sqlite3_free(cursor);
    return SQLITE_OK;
}

static int witness_filter(sqlite3_vtab_cursor *cursor, int plan, const char *words, int argc,
                          sqlite3_value **argv) {
    (void)cursor;
    (void)plan;
    (void)words;
    (void)argc;
    (void)argv;
    return SQLITE_OK;
}

static int witness_next(sqlite3_vtab_cursor *cursor) {
    (void)cursor;
    return SQLITE_OK;
}

static int witness_eof(sqlite3_vtab_cursor *cursor) {
    (void)cursor;
    return 1;
}

static int witness_column(sqlite3_vtab_cursor *cursor, sqlite3_context *context, int column) {
    (void)cursor;
    (void)context;
    (void)column;
    return SQLITE_OK;
}

static int witness_rowid(sqlite3_vtab_cursor *cursor, sqlite3_int64 *rowid_out) {
    (void)cursor;
    *rowid_out = 0;
    return SQLITE_OK;
}

static int witness_update(sqlite3_vtab *vtab, int argc, sqlite3_value **argv,
                          sqlite3_int64 *rowid_out) {
    (void)argc;
    (void)argv;
    (void)rowid_out;
    return htt_rc_say(&vtab->zErrMsg, SQLITE_READONLY, WITNESS_NAME " takes no rows");
}

static int witness_begin(sqlite3_vtab *vtab) {
    witness_registry(vtab)->witness_joined = true;
    return SQLITE_OK;
}

typedef int witness_savepoint_call(htt_connection *connection, const void *leader, int id,
                                   char **message_out);

/*
 * Passes a savepoint callback on. While it joins, the witness is told of an open savepoint as if it
 * were opened now; it leads nobody then.
 */
static int witness_pass(sqlite3_vtab *vtab, witness_savepoint_call *call, int id) {
    htt_registry *const registry = witness_registry(vtab);
    int rc = SQLITE_OK;
    htt_connection *connection = registry->connections;
    for (; connection != NULL && rc == SQLITE_OK; connection = connection->next) {
        rc = call(connection, witness_leader(registry), id, &vtab->zErrMsg);
    }
    return rc;
}

static int witness_savepoint(sqlite3_vtab *vtab, int id) {
    return witness_pass(vtab, htt_transaction_savepoint, id);
}

static int witness_release(sqlite3_vtab *vtab, int id) {
    return witness_pass(vtab, htt_transaction_release, id);
}

static int witness_rollback_to(sqlite3_vtab *vtab, int id) {
    return witness_pass(vtab, htt_transaction_rollback_to, id);
}

static int witness_sync(sqlite3_vtab *vtab) {
    const htt_registry *const registry = witness_registry(vtab);
    int rc = SQLITE_OK;
    htt_connection *connection = registry->connections;
    for (; connection != NULL && rc == SQLITE_OK; connection = connection->next) {
        if (connection->transaction.leader == witness_leader(registry)) {
            rc = htt_transaction_sync(connection, &vtab->zErrMsg);
        }
    }
    return rc;
}

/* Ends the transaction of those that the witness leads; they may be freed by it. */
static int witness_end(sqlite3_vtab *vtab, void (*end)(htt_connection *connection)) {
    htt_registry *const registry = witness_registry(vtab);
    htt_connection *connection = registry->connections;
    registry->witness_joined = false;
    while (connection != NULL) {
        htt_connection *const next = connection->next;
        if (connection->transaction.leader == witness_leader(registry)) {
            end(connection);
        }
        connection = next;
    }
    return SQLITE_OK;
}

static int witness_commit(sqlite3_vtab *vtab) {
    return witness_end(vtab, htt_transaction_commit);
}

static int witness_rollback(sqlite3_vtab *vtab) {
    return witness_end(vtab, htt_transaction_rollback);
}

static const sqlite3_module witness_module = {
    .iVersion = 2,
    .xCreate = NULL, /* eponymous only */
    .xConnect = witness_connect,
    .xBestIndex = witness_best_index,
    .xDisconnect = witness_disconnect,
    .xDestroy = NULL,
    .xOpen = witness_open,
    .xClose = witness_close,
    .xFilter = witness_filter,
    .xNext = witness_next,
    .xEof = witness_eof,
    .xColumn = witness_column,
    .xRowid = witness_rowid,
    .xUpdate = witness_update,
    .xBegin = witness_begin,
    .xSync = witness_sync,
    .xCommit = witness_commit,
    .xRollback = witness_rollback,
    .xFindFunction = NULL,
    .xRename = NULL,
    .xSavepoint = witness_savepoint,
    .xRelease = witness_release,
    .xRollbackTo = witness_rollback_to,
    .xShadowName = NULL,
};

int htt_witness_register(htt_registry *registry) {
    htt_registry_reference(registry);
    return sqlite3_create_module_v2(registry->db, WITNESS_NAME, &witness_module, registry,
                                    htt_registry_release);
}

static int witness_take(htt_registry *registry, const char *name, char **message_out) {
    if (registry->witness_joined) {
        return SQLITE_OK;
    }
    const int rc =
        sqlite3_exec(registry->db, "DELETE FROM main." WITNESS_NAME " WHERE 0", NULL, NULL, NULL);
    return rc == SQLITE_OK ? SQLITE_OK
                           : htt_rc_say(message_out, rc,
                                        "%s: within a transaction this needs to write to main as "
                                        "well: %s", name, sqlite3_errmsg(registry->db));
}

int htt_witness_lead(htt_connection *connection, char **message_out) {
    htt_registry *const registry = connection->registry;
    assert(connection->transaction.joined);
    if (sqlite3_get_autocommit(registry->db)) {
        return SQLITE_OK; /* one statement: it is committed or rolled back as a whole */
    }
    const int rc = witness_take(registry, connection->name, message_out);
    if (rc == SQLITE_OK) {
        htt_transaction_lead(connection, witness_leader(registry));
    }
    return rc;
}

int htt_witness_join(htt_connection *connection, char **message_out) {
    htt_registry *const registry = connection->registry;
    int rc = witness_take(registry, connection->name, message_out);
    if (rc == SQLITE_OK) {
        rc = htt_transaction_join(connection, witness_leader(registry), message_out);
    }
    if (rc == SQLITE_OK) {
        htt_transaction_lead(connection, witness_leader(registry));
    }
    return rc;
}
