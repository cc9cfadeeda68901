/* SPDX-License-Identifier: MIT */
/*
 * CREATE VIRTUAL TABLE. A file that is not there is made; one that is there is taken if its
 * columns fit and no other table has it:
 *
 *   COLUMNS IN THE FILE                      WHAT HAPPENS
 *   the same                                 taken as it is
 *   the same, but fewer                      taken; the longer declaration is stored by the commit
 *   others, and there are no rows            taken; the declaration is stored at once
 *   others                                   refused, both are shown
 *
 * A CREATE that is rolled back leaves a file without rows behind, which a later CREATE takes; one
 * that fails while it makes the file leaves nothing, or what HTT_OPEN_NEW begins anew. A power cut
 * may leave a file without bytes, or one that is not finished: there is nothing in it, and it is
 * begun anew.
 */
#include "create.h"

#include <assert.h>
#include <stddef.h>

#include "hosted.h"
#include "rc.h"
#include "store_row.h"
#include "witness.h"

/* ---------------------------------------------------------- whose file is it */

/* Connects all virtual tables of a schema, so that the registry knows those of ours. */
static int create_connect_tables(const htt_table *table, const char *schema, char **message_out) {
    sqlite3 *const db = table->registry->db;
    sqlite3_stmt *names = NULL;
    char *const sql = sqlite3_mprintf(
        "SELECT name FROM \"%w\".sqlite_schema WHERE type = 'table' AND rootpage = 0 "
        "AND sql LIKE '%%USING%%htt%%'",
        schema);
    if (sql == NULL) {
        return SQLITE_NOMEM;
    }
    int rc = sqlite3_prepare_v2(db, sql, -1, &names, NULL);
    sqlite3_free(sql);
    while (rc == SQLITE_OK && sqlite3_step(names) == SQLITE_ROW) {
        const char *const name = (const char *)sqlite3_column_text(names, 0);
        if (name == NULL || (sqlite3_stricmp(name, table->name) == 0 &&
                             sqlite3_stricmp(schema, table->schema) == 0)) {
            continue;
        }
        char *const probe = sqlite3_mprintf("SELECT 1 FROM \"%w\".\"%w\"", schema, name);
        sqlite3_stmt *statement = NULL;
        if (probe == NULL) {
            rc = SQLITE_NOMEM;
            break;
        }
        (void)sqlite3_prepare_v2(db, probe, -1, &statement, NULL); /* a broken table is none */
        sqlite3_finalize(statement);
        sqlite3_free(probe);
    }
    if (rc == SQLITE_ERROR) {
        rc = htt_rc_say(message_out, rc, "%s: %s", schema, sqlite3_errmsg(db));
    }
    sqlite3_finalize(names);
    return rc;
}

/* Refuses a file that a table of `schema` has. Rows of htt_store without a table do not count. */
static int create_check_schema(const htt_table *table, const char *schema, const uint8_t *uuid,
                               char **message_out) {
    sqlite3 *const db = table->registry->db;
    const bool own = sqlite3_stricmp(schema, table->schema) == 0;
    uint8_t named[HTT_UUID_SIZE];
    char *name = NULL;
    bool found = false;
    int rc = htt_store_row_find_uuid(db, schema, uuid, &name, message_out);
    if (rc == SQLITE_OK && own) {
        rc = htt_store_row_find(db, schema, table->connection->name, &found, named, message_out);
    }
    found = found || name != NULL;
    sqlite3_free(name);
    if (rc != SQLITE_OK || !found) {
        return rc;
    }
    rc = create_connect_tables(table, schema, message_out);
    if (rc != SQLITE_OK) {
        return rc;
    }
    const htt_table *const other =
        htt_vtab_find_file(table, schema, own ? table->connection->path : NULL, uuid);
    if (other != NULL) {
        return htt_rc_say(message_out, SQLITE_ERROR, "%s already belongs to table %s.%s",
                          table->arguments.file, other->schema, other->name);
    }
    return SQLITE_OK;
}

static int create_check_owner(const htt_table *table, const uint8_t *uuid, char **message_out) {
    sqlite3 *const db = table->registry->db;
    for (int i = 0;; i++) {
        const char *const schema = sqlite3_db_name(db, i);
        if (schema == NULL) {
            return SQLITE_OK;
        }
        if (i == 1) {
            continue; /* temp has no htt tables */
        }
        const int rc = create_check_schema(table, schema, uuid, message_out);
        if (rc != SQLITE_OK) {
            return rc;
        }
    }
}

/* ------------------------------------------------------------ does it fit */

static int create_count_rows(htt_store *store, uint64_t *rows_out, char **message_out) {
    htt_txn *txn;
    htt_rc rc = htt_begin(store, HTT_READ, &txn);
    if (rc != HTT_OK) {
        return htt_rc_report(message_out, rc, HTT_SIDE_READ, htt_errmsg(store));
    }
    rc = htt_count(txn, rows_out);
    const int code = rc == HTT_OK
                         ? SQLITE_OK
                         : htt_rc_report(message_out, rc, HTT_SIDE_READ, htt_txn_errmsg(txn));
    htt_abort(txn);
    return code;
}

/* Columns that differ: the file is taken if it is empty. */
static int create_declare_anew(const htt_table *table, htt_store *store, const htt_info *info,
                               char **message_out) {
    uint64_t rows = 0;
    const htt_declaration *const declaration = &table->arguments.declaration;
    const int rc = create_count_rows(store, &rows, message_out);
    if (rc != SQLITE_OK) {
        return rc;
    }
    if (rows > 0 || info->readonly || table->connection->writer != NULL) {
        return htt_rc_say(message_out, SQLITE_ERROR,
                          "%s has the columns (%s), the table declares (%s)", table->arguments.file,
                          htt_declaration_words(info->declaration),
                          htt_declaration_words(declaration->text));
    }
    htt_rc failed = htt_store_declare(store, declaration->text);
    if (failed == HTT_READONLY && htt_hosted_owns(table->connection)) {
        failed = htt_host_declare(store, declaration->text);
    }
    return failed == HTT_OK ? SQLITE_OK
                            : htt_rc_report(message_out, failed, HTT_SIDE_READ, htt_errmsg(store));
}

static int create_check_fit(const htt_table *table, htt_store *store, bool *longer_out,
                            char **message_out) {
    htt_info info;
    htt_declaration_match match;
    const uint32_t page_size = table->arguments.page_size;
    htt_store_info(store, &info);
    if (page_size != 0 && page_size != info.page_size) {
        return htt_rc_say(message_out, SQLITE_ERROR,
                          "%s has page_size=%u, the table asks for %u: it cannot be changed",
                          table->arguments.file, info.page_size, page_size);
    }
    const int rc = htt_declaration_compare(&table->arguments.declaration, info.declaration, &match);
    if (rc != SQLITE_OK) {
        return rc;
    }
    *longer_out = match == HTT_DECLARATION_EXTENDED;
    return match == HTT_DECLARATION_DIFFERENT
               ? create_declare_anew(table, store, &info, message_out)
               : SQLITE_OK;
}

/* ---------------------------------------------------------------- opening */

/* Makes the file, or opens the one that is there. */
static int create_open(const htt_table *table, htt_store **store_out, bool *made_out,
                       char **message_out) {
    htt_options options;
    htt_error error = {.rc = HTT_OK};
    htt_options_init(&options);
    htt_arguments_apply(&table->arguments, &options);
    options.flags |= HTT_OPEN_CREATE | HTT_OPEN_NEW | HTT_OPEN_NO_FOLLOW;
    options.page_size = table->arguments.page_size;
    options.declaration = table->arguments.declaration.text;
    htt_options there = options;
    there.flags &= ~(unsigned)(HTT_OPEN_CREATE | HTT_OPEN_NEW);
    there.page_size = 0; /* told apart by create_check_fit */
    there.declaration = NULL;
    htt_rc rc = htt_open(table->connection->path, &options, store_out, &error);
    *made_out = rc == HTT_OK;
    if (rc == HTT_EXISTS) {
        rc = htt_open(table->connection->path, &there, store_out, &error);
    }
    if (rc == HTT_NOTHTT || rc == HTT_CORRUPT) {
        options.flags &= ~(unsigned)HTT_OPEN_NEW; /* for one without anything in it, only */
        rc = htt_open(table->connection->path, &options, store_out, &error);
        *made_out = rc == HTT_OK;
    }
    if (rc == HTT_READONLY) {
        there.flags |= HTT_OPEN_READONLY;
        rc = htt_open(table->connection->path, &there, store_out, &error);
    }
    return rc == HTT_OK ? SQLITE_OK : htt_rc_report(message_out, rc, HTT_SIDE_READ, error.text);
}

/* The store fits and is nobody's: writes the row and joins. */
static int create_take(htt_table *table, htt_store *store, bool longer, char **message_out) {
    htt_connection *const connection = table->connection;
    htt_info info;
    htt_store_info(store, &info);
    int rc = create_check_owner(table, info.uuid, message_out);
    if (rc == SQLITE_OK) {
        rc = htt_hosted_create_row(connection, info.uuid, message_out);
    }
    if (rc == SQLITE_OK) {
        rc = htt_transaction_join(connection, table, message_out);
    }
    if (rc == SQLITE_OK) {
        rc = htt_witness_lead(connection, message_out);
    }
    if (rc == SQLITE_OK && longer) {
        rc = htt_transaction_declare(connection, table->arguments.declaration.text);
    }
    return rc;
}

int htt_create_file(htt_table *table, char **message_out) {
    htt_connection *const connection = table->connection;
    htt_store *store = connection->store;
    bool longer = false;
    bool made = false;
    assert(connection != NULL);
    if (connection->poison != NULL) {
        return htt_rc_say(message_out, SQLITE_ERROR, "%s", connection->poison);
    }
    int rc = htt_store_row_create_table(table->registry->db, table->schema, message_out);
    if (rc == SQLITE_OK && store == NULL) {
        rc = create_open(table, &store, &made, message_out);
    }
    if (rc != SQLITE_OK) {
        return rc;
    }
    /* It may be open already: dropped and created again in one transaction. */
    const bool was_open = connection->store != NULL;
    if (!was_open) {
        htt_connection_adopt(connection, &table->arguments, store);
    }
    const bool was_joined = connection->transaction.joined;
    rc = htt_hosted_attach(connection, &table->arguments, message_out);
    rc = rc == SQLITE_OK ? create_check_fit(table, store, &longer, message_out) : rc;
    if (rc == SQLITE_OK) {
        rc = create_take(table, store, longer, message_out);
    }
    if (rc == SQLITE_OK && connection->hosted != NULL &&
        (made || htt_hosted_can_claim(connection))) {
        rc = htt_hosted_begin(connection, message_out); /* no snapshot sees it without a root */
    }
    if (rc != SQLITE_OK && !was_joined) {
        htt_transaction_rollback(connection); /* SQLite will not call a table that is not there */
    }
    return rc;
}
