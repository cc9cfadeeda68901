/* SPDX-License-Identifier: MIT */
/*
 * Module `htt`: the table of its methods, creating and connecting.
 *
 * Connecting opens the file if it can, and never creates or writes anything. If it cannot, the
 * table is there all the same and every use says why: so a table whose file is lost can be
 * dropped. What happens in a transaction stands in transaction.c.
 */
#include "vtab.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

#include "create.h"
#include "cursor.h"
#include "function.h"
#include "hosted.h"
#include "paths.h"
#include "plan.h"
#include "rc.h"
#include "store_row.h"
#include "update.h"
#include "witness.h"

enum { VTAB_ARGV_SCHEMA = 1, VTAB_ARGV_TABLE = 2 };

int htt_vtab_open(htt_table *table) {
    return htt_connection_open(table->connection, &table->arguments, &table->base.zErrMsg);
}

/* ------------------------------------------------------ create and connect */

static void vtab_free(htt_table *table) {
    htt_table **link = &table->registry->tables;
    while (*link != NULL && *link != table) {
        link = &(*link)->next;
    }
    if (*link == table) {
        *link = table->next;
    }
    if (table->connection != NULL) {
        htt_connection_detach(table->connection);
    }
    htt_arguments_clear(&table->arguments);
    htt_buffer_clear(&table->row);
    sqlite3_free(table->cells);
    sqlite3_free(table->datums);
    sqlite3_free(table->schema);
    sqlite3_free(table->name);
    sqlite3_free(table->base.zErrMsg);
    sqlite3_free(table);
}

/* The table without its file. */
static int vtab_new(htt_registry *registry, const char *schema, const char *name,
                    htt_table **table_out) {
    htt_table *const table = sqlite3_malloc64(sizeof *table);
    if (table == NULL) {
        return SQLITE_NOMEM;
    }
    memset(table, 0, sizeof *table);
    table->registry = registry;
    table->schema = sqlite3_mprintf("%s", schema);
    table->name = sqlite3_mprintf("%s", name);
    table->next = registry->tables;
    registry->tables = table;
    *table_out = table;
    return table->schema == NULL || table->name == NULL ? SQLITE_NOMEM : SQLITE_OK;
}

/* Tells SQLite the columns, and what the table can do. */
static int vtab_declare(htt_table *table, char **message_out) {
    sqlite3 *const db = table->registry->db;
    const htt_declaration *const declaration = &table->arguments.declaration;
    const size_t count = (size_t)declaration->count;
    char *const sql = htt_declaration_sql(declaration);
    if (sql == NULL) {
        return SQLITE_NOMEM;
    }
    int rc = sqlite3_declare_vtab(db, sql);
    sqlite3_free(sql);
    if (rc != SQLITE_OK) {
        return htt_rc_say(message_out, rc, "%s", sqlite3_errmsg(db));
    }
    rc = sqlite3_vtab_config(db, SQLITE_VTAB_CONSTRAINT_SUPPORT, 1);
    table->cells = sqlite3_malloc64(count * sizeof table->cells[0]);
    table->datums = sqlite3_malloc64(count * sizeof table->datums[0]);
    return table->cells == NULL || table->datums == NULL ? SQLITE_NOMEM : rc;
}

/* Arguments, columns and path: what creating and connecting have in common. */
static int vtab_begin(htt_table *table, int argc, const char *const *argv, char **message_out) {
    char *path = NULL;
    if (sqlite3_stricmp(table->schema, "temp") == 0) {
        return htt_rc_say(message_out, SQLITE_ERROR,
                          "an htt table cannot be in temp: its file would outlive it");
    }
    int rc = htt_surrogate_find_encoding(table->registry->db, &table->registry->results.utf16);
    rc = rc == SQLITE_OK ? htt_arguments_parse(argc, argv, &table->arguments, message_out) : rc;
    rc = rc == SQLITE_OK ? vtab_declare(table, message_out) : rc;
    if (rc == SQLITE_OK) {
        rc = htt_paths_resolve(table->registry->db, table->schema, table->arguments.file, &path,
                               message_out);
    }
    if (rc == SQLITE_OK) {
        rc = htt_connection_attach(table->registry, table->schema, path, table->arguments.file,
                                   &table->connection);
    }
    sqlite3_free(path);
    return rc;
}

static int vtab_make(void *registry, int argc, const char *const *argv, bool create,
                     sqlite3_vtab **vtab_out, char **message_out) {
    htt_table *table = NULL;
    assert(argc > VTAB_ARGV_TABLE);
    int rc = vtab_new(registry, argv[VTAB_ARGV_SCHEMA], argv[VTAB_ARGV_TABLE], &table);
    rc = rc == SQLITE_OK ? vtab_begin(table, argc, argv, message_out) : rc;
    if (rc == SQLITE_OK && create) {
        rc = htt_create_file(table, message_out);
    } else if (rc == SQLITE_OK) {
        (void)htt_vtab_open(table); /* tried again, and complained about, where it is used */
        sqlite3_free(table->base.zErrMsg);
        table->base.zErrMsg = NULL;
    }
    if (rc != SQLITE_OK) {
        if (table != NULL) {
            vtab_free(table);
        }
        return rc;
    }
    *vtab_out = &table->base;
    return SQLITE_OK;
}

static int vtab_create(sqlite3 *db, void *registry, int argc, const char *const *argv,
                       sqlite3_vtab **vtab_out, char **message_out) {
    (void)db;
    return vtab_make(registry, argc, argv, true, vtab_out, message_out);
}

static int vtab_connect(sqlite3 *db, void *registry, int argc, const char *const *argv,
                        sqlite3_vtab **vtab_out, char **message_out) {
    (void)db;
    return vtab_make(registry, argc, argv, false, vtab_out, message_out);
}

static int vtab_disconnect(sqlite3_vtab *vtab) {
    htt_table *const table = (htt_table *)vtab;
    if (table->connection->transaction.leader == table) {
        /* SQLite ran out of memory behind xCreate: this table never took part. */
        htt_transaction_rollback(table->connection);
    }
    vtab_free(table);
    return SQLITE_OK;
}

/* The file stays. Callbacks end here, so in a transaction the witness takes over. */
static int vtab_destroy(sqlite3_vtab *vtab) {
    htt_table *const table = (htt_table *)vtab;
    htt_connection *const connection = table->connection;
    bool done = false;
    int rc = htt_hosted_drop(connection, &done, &vtab->zErrMsg);
    if (rc == SQLITE_OK && connection->transaction.joined) {
        rc = htt_witness_lead(connection, &vtab->zErrMsg);
    }
    if (rc == SQLITE_OK && !done) {
        rc = htt_store_row_delete(table->registry->db, table->schema, connection->name,
                                  &vtab->zErrMsg);
    }
    if (rc == SQLITE_OK) {
        vtab_free(table);
    }
    return rc;
}

/* The file's name does not depend on the table's; SQLite connects the new name anew. */
static int vtab_rename(sqlite3_vtab *vtab, const char *name) {
    (void)vtab;
    (void)name;
    return SQLITE_OK;
}

/* ------------------------------------------------------------ transactions */

static int vtab_begin_transaction(sqlite3_vtab *vtab) {
    htt_table *const table = (htt_table *)vtab;
    const int rc = htt_vtab_open(table);
    return rc == SQLITE_OK ? htt_transaction_join(table->connection, vtab, &vtab->zErrMsg) : rc;
}

static int vtab_sync(sqlite3_vtab *vtab) {
    return htt_transaction_sync(((htt_table *)vtab)->connection, &vtab->zErrMsg);
}

static int vtab_commit(sqlite3_vtab *vtab) {
    htt_transaction_commit(((htt_table *)vtab)->connection);
    return SQLITE_OK;
}

static int vtab_rollback(sqlite3_vtab *vtab) {
    htt_transaction_rollback(((htt_table *)vtab)->connection);
    return SQLITE_OK;
}

static int vtab_savepoint(sqlite3_vtab *vtab, int id) {
    return htt_transaction_savepoint(((htt_table *)vtab)->connection, vtab, id, &vtab->zErrMsg);
}

static int vtab_release(sqlite3_vtab *vtab, int id) {
    return htt_transaction_release(((htt_table *)vtab)->connection, vtab, id, &vtab->zErrMsg);
}

static int vtab_rollback_to(sqlite3_vtab *vtab, int id) {
    return htt_transaction_rollback_to(((htt_table *)vtab)->connection, vtab, id, &vtab->zErrMsg);
}

/* ---------------------------------------------------------------- finding */

static htt_table *vtab_find_live(const htt_registry *registry, const char *schema,
                                 const char *name) {
    htt_table *table = registry->tables;
    while (table != NULL && (sqlite3_stricmp(table->schema, schema) != 0 ||
                             sqlite3_stricmp(table->name, name) != 0)) {
        table = table->next;
    }
    return table;
}

/* Makes SQLite connect the table, by the schema as it is now. `schema` NULL: a table of any. */
static int vtab_force_connect(htt_registry *registry, const char *schema, const char *name,
                              char **message_out) {
    sqlite3_stmt *statement = NULL;
    char *const sql = schema == NULL ? sqlite3_mprintf("SELECT 1 FROM \"%w\" LIMIT 0", name)
                                     : sqlite3_mprintf("SELECT 1 FROM \"%w\".\"%w\" LIMIT 0",
                                                       schema, name);
    if (sql == NULL) {
        return SQLITE_NOMEM;
    }
    int rc = sqlite3_prepare_v2(registry->db, sql, -1, &statement, NULL);
    sqlite3_free(sql);
    if (rc == SQLITE_OK && sqlite3_step(statement) != SQLITE_DONE) { /* looks at the schema */
        rc = sqlite3_extended_errcode(registry->db);
    }
    if (rc != SQLITE_OK) {
        rc = htt_rc_say(message_out, rc, "%s", sqlite3_errmsg(registry->db));
    }
    sqlite3_finalize(statement);
    return rc;
}

int htt_vtab_find(htt_registry *registry, const char *schema, const char *name,
                  htt_table **table_out, char **message_out) {
    sqlite3 *const db = registry->db;
    const char *found = schema;
    int rc = schema == NULL ? vtab_force_connect(registry, NULL, name, message_out) : SQLITE_OK;
    if (rc != SQLITE_OK) {
        return rc;
    }
    for (int i = 0; schema == NULL && found == NULL; i++) {
        const char *const tried = sqlite3_db_name(db, i);
        if (tried == NULL) {
            return htt_rc_say(message_out, SQLITE_ERROR, "no such table: %s", name);
        }
        rc = sqlite3_table_column_metadata(db, tried, name, NULL, NULL, NULL, NULL, NULL, NULL);
        if (rc == SQLITE_OK) {
            found = tried;
        } else if ((rc & 0xff) != SQLITE_ERROR) { /* SQLITE_BUSY: the schema cannot be read now */
            return htt_rc_say(message_out, rc, "%s", sqlite3_errmsg(db));
        }
    }
    rc = vtab_force_connect(registry, found, name, message_out);
    if (rc != SQLITE_OK) {
        return rc;
    }
    htt_table *const table = vtab_find_live(registry, found, name);
    if (table == NULL) {
        return htt_rc_say(message_out, SQLITE_ERROR, "%s.%s is not an htt table", found, name);
    }
    *table_out = table;
    return SQLITE_OK;
}

const htt_table *htt_vtab_find_file(const htt_table *besides, const char *schema, const char *path,
                                    const uint8_t *uuid) {
    const htt_table *table = besides->registry->tables;
    for (; table != NULL; table = table->next) {
        const htt_connection *const connection = table->connection;
        htt_info info;
        if (table == besides || connection == NULL || sqlite3_stricmp(table->schema, schema) != 0) {
            continue;
        }
        if (path != NULL && strcmp(connection->path, path) == 0) {
            return table;
        }
        if (connection->store != NULL) {
            htt_store_info(connection->store, &info);
            if (memcmp(info.uuid, uuid, HTT_UUID_SIZE) == 0) {
                return table;
            }
        }
    }
    return NULL;
}

/* ----------------------------------------------------------------- module */

#if SQLITE_VERSION_NUMBER >= 3044000
static int vtab_integrity(sqlite3_vtab *vtab, const char *schema, const char *name, int flags,
                          char **problems_out) {
    (void)schema;
    (void)name;
    return htt_function_check_table((htt_table *)vtab, (flags & 1) != 0, problems_out);
}
#endif

static const sqlite3_module vtab_module = {
#if SQLITE_VERSION_NUMBER >= 3044000
    .iVersion = 4,
    .xIntegrity = vtab_integrity,
#else
    .iVersion = 3,
#endif
    .xCreate = vtab_create,
    .xConnect = vtab_connect,
    .xBestIndex = htt_plan_choose,
    .xDisconnect = vtab_disconnect,
    .xDestroy = vtab_destroy,
    .xOpen = htt_scan_open,
    .xClose = htt_scan_close,
    .xFilter = htt_scan_filter,
    .xNext = htt_scan_next,
    .xEof = htt_scan_eof,
    .xColumn = htt_scan_column,
    .xRowid = htt_scan_rowid,
    .xUpdate = htt_update_row,
    .xBegin = vtab_begin_transaction,
    .xSync = vtab_sync,
    .xCommit = vtab_commit,
    .xRollback = vtab_rollback,
    .xFindFunction = NULL,
    .xRename = vtab_rename,
    .xSavepoint = vtab_savepoint,
    .xRelease = vtab_release,
    .xRollbackTo = vtab_rollback_to,
    .xShadowName = NULL, /* htt_store belongs to no single table */
};

int htt_vtab_register(htt_registry *registry) {
    htt_registry_reference(registry);
    return sqlite3_create_module_v2(registry->db, "htt", &vtab_module, registry,
                                    htt_registry_release);
}
