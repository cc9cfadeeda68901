/* SPDX-License-Identifier: MIT */
/*
 * The registry of a connection, the files that it has open, and what cursors read in.
 */
#include "connection.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

#include "cursor.h"
#include "hosted.h"
#include "rc.h"
#include "store_adopt.h"
#include "store_row.h"

/* --------------------------------------------------------------- registry */

htt_registry *htt_registry_new(sqlite3 *db) {
    htt_registry *const registry = sqlite3_malloc64(sizeof *registry);
    htt_lender *const lender = registry == NULL ? NULL : htt_lender_new();
    if (lender == NULL) {
        sqlite3_free(registry);
        return NULL;
    }
    *registry = (htt_registry){.db = db, .references = 1, .results = {.lender = lender}};
    return registry;
}

void htt_registry_reference(htt_registry *registry) {
    assert(registry->references > 0);
    registry->references++;
}

void htt_registry_release(void *pointer) {
    htt_registry *const registry = pointer;
    assert(registry->references > 0);
    registry->references--;
    if (registry->references == 0) {
        assert(registry->connections == NULL);
        assert(registry->tables == NULL);
        htt_lender_free(registry->results.lender);
        sqlite3_free(registry);
    }
}

/* ----------------------------------------------------------- being needed */

static htt_connection *connection_find(htt_registry *registry, const char *schema,
                                       const char *path) {
    htt_connection *connection = registry->connections;
    while (connection != NULL && (sqlite3_stricmp(connection->schema, schema) != 0 ||
                                  strcmp(connection->path, path) != 0)) {
        connection = connection->next;
    }
    return connection;
}

static void connection_free_reader(htt_reader *reader) {
    if (reader != NULL) {
        htt_abort(reader->txn);
        sqlite3_free(reader);
    }
}

void htt_connection_close(htt_connection *connection) {
    assert(connection->writer == NULL);
    assert(connection->reader == NULL);
    connection_free_reader(connection->idle);
    htt_scan_free(connection->idle_scan);
    htt_hosted_free(connection->hosted);
    htt_close(connection->store);
    connection->idle = NULL;
    connection->idle_scan = NULL;
    connection->hosted = NULL;
    connection->store = NULL;
    connection->replaced = false;
}

static void connection_free(htt_connection *connection) {
    htt_hosted_close(connection);
    htt_connection_close(connection);
    sqlite3_free(connection->transaction.entries);
    sqlite3_free(connection->transaction.declare);
    sqlite3_free(connection->schema);
    sqlite3_free(connection->path);
    sqlite3_free(connection->name);
    sqlite3_free(connection->poison);
    sqlite3_free(connection);
}

int htt_connection_attach(htt_registry *registry, const char *schema, const char *path,
                          const char *name, htt_connection **connection_out) {
    htt_connection *connection = connection_find(registry, schema, path);
    if (connection == NULL) {
        connection = sqlite3_malloc64(sizeof *connection);
        if (connection == NULL) {
            return SQLITE_NOMEM;
        }
        *connection = (htt_connection){.registry = registry};
        connection->schema = sqlite3_mprintf("%s", schema);
        connection->path = sqlite3_mprintf("%s", path);
        connection->name = sqlite3_mprintf("%s", name);
        if (connection->schema == NULL || connection->path == NULL || connection->name == NULL) {
            connection_free(connection);
            return SQLITE_NOMEM;
        }
        connection->next = registry->connections;
        registry->connections = connection;
    }
    connection->tables++;
    assert(connection->registry == registry);
    *connection_out = connection;
    return SQLITE_OK;
}

void htt_connection_settle(htt_connection *connection) {
    if (connection->tables > 0 || connection->cursors > 0 || connection->transaction.joined) {
        return;
    }
    htt_connection **link = &connection->registry->connections;
    while (*link != connection) {
        link = &(*link)->next;
    }
    *link = connection->next;
    connection_free(connection);
}

void htt_connection_detach(htt_connection *connection) {
    assert(connection->tables > 0);
    connection->tables--;
    htt_connection_settle(connection);
}

void htt_connection_hold(htt_connection *connection) {
    connection->cursors++;
}

void htt_connection_let_go(htt_connection *connection) {
    assert(connection->cursors > 0);
    connection->cursors--;
    htt_connection_settle(connection);
}

/* ---------------------------------------------------------------- opening */

void htt_connection_adopt(htt_connection *connection, const htt_arguments *arguments,
                          htt_store *store) {
    htt_info info;
    assert(connection->store == NULL);
    htt_store_info(store, &info);
    connection->store = store;
    connection->page_size = info.page_size;
    connection->mapped = arguments->mmap;
}

static int connection_check_declaration(const htt_arguments *arguments, htt_store *store,
                                        char **message_out) {
    htt_declaration_match match;
    htt_info info;
    htt_store_info(store, &info);
    const int rc = htt_declaration_compare(&arguments->declaration, info.declaration, &match);
    if (rc == SQLITE_OK && match == HTT_DECLARATION_DIFFERENT) {
        return htt_rc_say(message_out, SQLITE_ERROR,
                          "%s has the columns (%s), the table declares (%s)", arguments->file,
                          htt_declaration_words(info.declaration),
                          htt_declaration_words(arguments->declaration.text));
    }
    return rc;
}

/* The file whose uuid is known; for reading only, where that is all there is. */
static int connection_open_store(htt_connection *connection, const htt_arguments *arguments,
                                 const char *path, const uint8_t *uuid, char **message_out) {
    htt_options options;
    htt_error error = {.rc = HTT_OK};
    htt_store *store = NULL;
    htt_options_init(&options);
    htt_arguments_apply(arguments, &options);
    options.flags &= ~(unsigned)HTT_OPEN_CREATE;
    options.flags |= HTT_OPEN_NO_FOLLOW;
    options.expect_uuid = uuid;
    if (sqlite3_db_readonly(connection->registry->db, connection->schema) == 1) {
        options.flags |= HTT_OPEN_READONLY;
    }
    htt_rc rc = htt_open(path, &options, &store, &error);
    if (rc == HTT_READONLY && (options.flags & HTT_OPEN_READONLY) == 0) {
        options.flags |= HTT_OPEN_READONLY;
        rc = htt_open(path, &options, &store, &error);
    }
    if (rc != HTT_OK) {
        return htt_rc_report(message_out, rc, HTT_SIDE_READ, error.text);
    }
    const int code = connection_check_declaration(arguments, store, message_out);
    if (code != SQLITE_OK) {
        htt_close(store);
        return code;
    }
    htt_connection_adopt(connection, arguments, store);
    return SQLITE_OK;
}

int htt_connection_open(htt_connection *connection, const htt_arguments *arguments,
                        char **message_out) {
    uint8_t uuid[HTT_UUID_SIZE];
    bool found = false;
    char *path = NULL; /* NULL: as declared */
    if (connection->poison != NULL) {
        return htt_rc_say(message_out, SQLITE_ERROR, "%s", connection->poison);
    }
    if (connection->replaced && connection->cursors == 0 && !connection->transaction.joined) {
        htt_connection_close(connection);
    }
    if (connection->store != NULL) {
        return htt_hosted_attach(connection, arguments, message_out);
    }
    int rc = htt_store_row_find(connection->registry->db, connection->schema,
                                      connection->name, &found, uuid, message_out);
    if (rc != SQLITE_OK) {
        return rc;
    }
    if (!found) {
        return htt_rc_say(message_out, SQLITE_ERROR,
                          "%s.htt_store has no row for '%s': the table cannot tell which file is "
                          "its own",
                          connection->schema, connection->name);
    }
    rc = htt_store_adopt_path(connection->registry->db, connection->schema, connection->name,
                              &path, message_out);
    if (rc == SQLITE_OK) {
        rc = connection_open_store(connection, arguments, path != NULL ? path : connection->path,
                                   uuid, message_out);
    }
    sqlite3_free(path);
    return rc == SQLITE_OK ? htt_hosted_attach(connection, arguments, message_out) : rc;
}

void htt_connection_poison(htt_connection *connection, const char *why) {
    if (connection->poison == NULL) {
        connection->poison = sqlite3_mprintf(
            "the last commit may not have reached %s (%s): close this connection and look again",
            connection->name, why);
    }
}

/* ---------------------------------------------------------------- reading */

void htt_connection_release(htt_connection *connection, htt_reader **reader) {
    htt_reader *const held = *reader;
    *reader = NULL;
    if (held == NULL) {
        return;
    }
    if (held->overlay != NULL) {
        htt_hosted_give(connection, held);
        return;
    }
    assert(held->references > 0);
    held->references--;
    if (held->references == 0) {
        if (connection->reader == held) {
            connection->reader = NULL;
        }
        if (connection->idle == NULL) { /* most statements come alone, again and again */
            htt_reset(held->txn);
            connection->idle = held;
        } else {
            connection_free_reader(held);
        }
    }
}

static int connection_begin_read(htt_connection *connection, char **message_out) {
    assert(connection->store != NULL);
    assert(connection->reader == NULL);
    htt_reader *reader = connection->idle;
    htt_rc rc;
    if (reader != NULL) {
        rc = htt_renew(reader->txn);
        if (rc != HTT_OK) {
            return htt_rc_report(message_out, rc, HTT_SIDE_READ, htt_txn_errmsg(reader->txn));
        }
        connection->idle = NULL;
        connection->reader = reader;
        return SQLITE_OK;
    }
    reader = sqlite3_malloc64(sizeof *reader);
    if (reader == NULL) {
        return SQLITE_NOMEM;
    }
    *reader = (htt_reader){0};
    rc = htt_begin(connection->store, HTT_READ, &reader->txn);
    if (rc != HTT_OK) {
        sqlite3_free(reader);
        return htt_rc_report(message_out, rc, HTT_SIDE_READ, htt_errmsg(connection->store));
    }
    connection->reader = reader;
    return SQLITE_OK;
}

int htt_connection_begin_write(htt_connection *connection, char **message_out) {
    assert(connection->store != NULL);
    assert(connection->transaction.joined);
    if (connection->writer != NULL) {
        return SQLITE_OK;
    }
    /* Nothing was written: a failure to begin costs the statement, not the transaction. */
    const htt_rc rc = htt_begin(connection->store, HTT_WRITE, &connection->writer);
    if (rc != HTT_OK) {
        return htt_rc_report(message_out, rc, HTT_SIDE_READ, htt_errmsg(connection->store));
    }
    return SQLITE_OK;
}

/*
 * What a writing statement reads must still be true when it writes: so it reads in the write
 * transaction. Where another writer has the file, readers go on without.
 */
static int connection_write_ahead(htt_connection *connection, char **message_out) {
    htt_transaction *const transaction = &connection->transaction;
    htt_info info;
    if (!transaction->joined || connection->writer != NULL) {
        return SQLITE_OK;
    }
    htt_store_info(connection->store, &info);
    if (!transaction->refused && !info.readonly) {
        const int rc = htt_connection_begin_write(connection, message_out);
        transaction->refused = rc == SQLITE_BUSY;
        if (rc != SQLITE_BUSY) {
            return rc;
        }
        sqlite3_free(*message_out);
        *message_out = NULL;
    }
    transaction->behind = true;
    return SQLITE_OK;
}

/* The read transaction of a file that keeps its own root. */
static int connection_take_reader(htt_connection *connection, htt_reader **reader,
                                  htt_source *source, char **message_out) {
    if (*reader == NULL) {
        const int begun =
            connection->reader != NULL ? SQLITE_OK : connection_begin_read(connection, message_out);
        if (begun != SQLITE_OK) {
            return begun;
        }
        connection->reader->references++;
        *reader = connection->reader;
    }
    assert((*reader)->references > 0);
    *source = (htt_source){.txn = (*reader)->txn};
    return SQLITE_OK;
}

static int connection_acquire_hosted(htt_connection *connection, htt_reader **reader,
                                     htt_source *source, char **message_out) {
    htt_hosted *const hosted = connection->hosted;
    if (*reader != NULL) {
        return SQLITE_OK; /* what a cursor has begun with it keeps */
    }
    int rc = connection->transaction.joined ? htt_hosted_begin(connection, message_out)
                                            : SQLITE_READONLY;
    if (rc == SQLITE_READONLY) { /* reading goes on where writing does not */
        sqlite3_free(*message_out);
        *message_out = NULL;
        rc = htt_hosted_refresh(connection, message_out);
    }
    if (rc != SQLITE_OK) {
        return rc;
    }
    if (connection->writer != NULL) {
        *source = (htt_source){.txn = connection->writer};
        return SQLITE_OK;
    }
    if (!hosted->row.has_root) {
        return connection_take_reader(connection, reader, source, message_out);
    }
    rc = htt_hosted_take(connection, reader, message_out);
    if (rc == SQLITE_OK) {
        *source = (htt_source){.txn = (*reader)->txn,
                               .overlay = (*reader)->overlay,
                               .length = htt_overlay_length((*reader)->overlay)};
    }
    return rc;
}

int htt_connection_acquire(htt_connection *connection, htt_reader **reader, htt_source *source,
                           char **message_out) {
    if (connection->poison != NULL) {
        return htt_rc_say(message_out, SQLITE_ERROR, "%s", connection->poison);
    }
    if (connection->hosted != NULL) {
        return connection_acquire_hosted(connection, reader, source, message_out);
    }
    const int rc = connection_write_ahead(connection, message_out);
    if (rc != SQLITE_OK) {
        return rc;
    }
    if (connection->writer != NULL) {
        *source = (htt_source){.txn = connection->writer};
        return SQLITE_OK;
    }
    return connection_take_reader(connection, reader, source, message_out);
}

uint64_t htt_connection_estimate(htt_connection *connection) {
    htt_txn *txn = connection->writer;
    htt_txn *own = NULL;
    if (connection->store == NULL || connection->poison != NULL) {
        return connection->rows;
    }
    if (connection->hosted != NULL && connection->hosted->state != NULL) {
        return htt_hosted_estimate(connection->hosted);
    }
    if (txn == NULL && connection->reader != NULL) {
        txn = connection->reader->txn;
    }
    if (txn == NULL && htt_begin(connection->store, HTT_READ, &own) == HTT_OK) {
        txn = own;
    }
    uint64_t rows;
    if (txn != NULL && htt_count(txn, &rows) == HTT_OK) {
        connection->rows = rows;
    }
    htt_abort(own);
    return connection->rows;
}
