/* SPDX-License-Identifier: MIT */
/*
 * Making the tables of sql/schema, and finding and writing rows of htt_store. This file and
 * outbox.c hold all SQL on them.
 */
#include "store_row.h"

#include <assert.h>
#include <string.h>

#include "changes.h"
#include "engine/htt.h"
#include "rc.h"
#include "schema.h"

typedef enum store_row_sql {
    STORE_ROW_VERSION,
    STORE_ROW_COUNT_OBJECTS,
    STORE_ROW_HAS_TABLE,
    STORE_ROW_FIND_NAME,
    STORE_ROW_FIND_UUID,
    STORE_ROW_WRITE,
    STORE_ROW_DELETE,
    STORE_ROW_DELETE_OUTBOX,
    STORE_ROW_DELETE_CONSUMERS,
    STORE_ROW_SQL_COUNT
} store_row_sql;

/* %w is the schema; ?1 the name, ?2 the uuid. */
static const char *const store_row_texts[STORE_ROW_SQL_COUNT] = {
    [STORE_ROW_VERSION] = "SELECT version FROM \"%w\".htt_schema WHERE name = 'htt'",
    [STORE_ROW_COUNT_OBJECTS] =
        ("SELECT count(*) FROM \"%w\".sqlite_schema WHERE name IN "
         "('htt_schema', 'htt_store', 'htt_outbox', 'htt_consumer', 'htt_change')"),
    [STORE_ROW_HAS_TABLE] =
        "SELECT 1 FROM \"%w\".sqlite_schema WHERE type = 'table' AND name = 'htt_store'",
    [STORE_ROW_FIND_NAME] = "SELECT uuid FROM \"%w\".htt_store WHERE name = ?1 AND state = 'live'",
    [STORE_ROW_FIND_UUID] = "SELECT name FROM \"%w\".htt_store WHERE uuid = ?2 AND state = 'live'",
    [STORE_ROW_WRITE] = "INSERT OR REPLACE INTO \"%w\".htt_store(name, uuid) VALUES (?1, ?2)",
    [STORE_ROW_DELETE] = "DELETE FROM \"%w\".htt_store WHERE name = ?1",
    [STORE_ROW_DELETE_OUTBOX] =
        ("DELETE FROM \"%w\".htt_outbox WHERE id BETWEEN "
         "(SELECT (id << 40) + 1 FROM \"%w\".htt_store WHERE name = ?1) AND "
         "(SELECT (id << 40) + 1099511627775 FROM \"%w\".htt_store WHERE name = ?1)"),
    [STORE_ROW_DELETE_CONSUMERS] = ("DELETE FROM \"%w\".htt_consumer WHERE store = "
                                    "(SELECT id FROM \"%w\".htt_store WHERE name = ?1)"),
};

static int store_row_fail(sqlite3 *db, const char *schema, int rc, char **message_out) {
    return htt_rc_say(message_out, rc, "%s.htt_store: %s", schema, sqlite3_errmsg(db));
}

static int store_row_prepare(sqlite3 *db, const char *schema, store_row_sql which, const char *name,
                             const uint8_t *uuid, sqlite3_stmt **statement_out,
                             char **message_out) {
    sqlite3_stmt *statement = NULL;
    char *const sql = sqlite3_mprintf(store_row_texts[which], schema, schema, schema);
    if (sql == NULL) {
        return SQLITE_NOMEM;
    }
    int rc = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
    sqlite3_free(sql);
    if (rc == SQLITE_OK && name != NULL) {
        rc = sqlite3_bind_text(statement, 1, name, -1, SQLITE_STATIC);
    }
    if (rc == SQLITE_OK && uuid != NULL) {
        rc = sqlite3_bind_blob(statement, 2, uuid, HTT_UUID_SIZE, SQLITE_STATIC);
    }
    if (rc != SQLITE_OK) {
        rc = store_row_fail(db, schema, rc, message_out);
        sqlite3_finalize(statement);
        return rc;
    }
    *statement_out = statement;
    return SQLITE_OK;
}

/* Runs a statement that changes `expected` rows, -1 = any number. */
static int store_row_run(sqlite3 *db, const char *schema, store_row_sql which, const char *name,
                         const uint8_t *uuid, sqlite3_int64 expected, char **message_out) {
    sqlite3_stmt *statement;
    int rc = store_row_prepare(db, schema, which, name, uuid, &statement, message_out);
    if (rc != SQLITE_OK) {
        return rc;
    }
    const sqlite3_int64 mark = htt_changes_mark(db);
    rc = sqlite3_step(statement);
    if (rc != SQLITE_DONE) {
        rc = store_row_fail(db, schema, rc == SQLITE_ROW ? SQLITE_ERROR : rc, message_out);
        sqlite3_finalize(statement);
        return htt_changes_check_failed(db, schema, "htt_store", mark, rc, message_out);
    }
    sqlite3_finalize(statement);
    return htt_changes_check(db, schema, "htt_store", mark, expected, message_out);
}

/* Steps to the only row. *statement_out NULL: there is none, or not even the table. */
static int store_row_query(sqlite3 *db, const char *schema, store_row_sql which, const char *name,
                           const uint8_t *uuid, sqlite3_stmt **statement_out, char **message_out) {
    sqlite3_stmt *statement = NULL;
    const store_row_sql steps[] = {STORE_ROW_HAS_TABLE, which};
    *statement_out = NULL;
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        const bool last = i == 1;
        sqlite3_finalize(statement);
        statement = NULL;
        int rc = store_row_prepare(db, schema, steps[i], last ? name : NULL, last ? uuid : NULL,
                                   &statement, message_out);
        if (rc != SQLITE_OK) {
            return rc;
        }
        rc = sqlite3_step(statement);
        if (rc != SQLITE_ROW) {
            rc = rc == SQLITE_DONE ? SQLITE_OK : store_row_fail(db, schema, rc, message_out);
            sqlite3_finalize(statement);
            return rc;
        }
    }
    *statement_out = statement;
    return SQLITE_OK;
}

/* ------------------------------------------------------------- the tables */

/* The integer that a query without parameters gives. *found_out false: no row. */
static int store_row_integer(sqlite3 *db, const char *schema, store_row_sql which, bool *found_out,
                             sqlite3_int64 *integer_out, char **message_out) {
    sqlite3_stmt *statement;
    int rc = store_row_prepare(db, schema, which, NULL, NULL, &statement, message_out);
    if (rc != SQLITE_OK) {
        return rc;
    }
    rc = sqlite3_step(statement);
    *found_out = rc == SQLITE_ROW;
    if (rc == SQLITE_ROW) {
        const bool good = sqlite3_column_type(statement, 0) == SQLITE_INTEGER;
        *integer_out = sqlite3_column_int64(statement, 0);
        rc = good ? SQLITE_OK
                  : htt_rc_say(message_out, SQLITE_CORRUPT_VTAB,
                               "%s.htt_schema: the version of 'htt' is no integer", schema);
    } else {
        rc = rc == SQLITE_DONE ? SQLITE_OK : store_row_fail(db, schema, rc, message_out);
    }
    sqlite3_finalize(statement);
    return rc;
}

int htt_store_row_check_version(sqlite3 *db, const char *schema, int *version_out,
                                char **message_out) {
    sqlite3_int64 version = 0;
    bool found = false;
    *version_out = 0;
    if (sqlite3_table_column_metadata(db, schema, "htt_schema", NULL, NULL, NULL, NULL, NULL,
                                      NULL) == SQLITE_OK) {
        const int rc =
            store_row_integer(db, schema, STORE_ROW_VERSION, &found, &version, message_out);
        if (rc != SQLITE_OK) {
            return rc;
        }
    }
    if (found && version > HTT_SCHEMA_VERSION) {
        return htt_rc_say(message_out, SQLITE_ERROR,
                          "the htt tables of \"%s\" have version %lld, this libhtt (%s) knows "
                          "version %d: use a newer libhtt",
                          schema, version, htt_version(), HTT_SCHEMA_VERSION);
    }
    *version_out = found && version > 0 ? (int)version : 0;
    return SQLITE_OK;
}

/* The statements of one object, with the schema's name between the parts. */
static int store_row_make(sqlite3 *db, const char *schema, const htt_schema_object *object,
                          char **message_out) {
    sqlite3_str *const text = sqlite3_str_new(db);
    char *why = NULL;
    for (size_t i = 0; object->parts[i] != NULL; i++) {
        if (i > 0) {
            sqlite3_str_appendf(text, "\"%w\".", schema);
        }
        sqlite3_str_appendall(text, object->parts[i]);
    }
    char *const sql = sqlite3_str_finish(text);
    if (sql == NULL) {
        return SQLITE_NOMEM;
    }
    int rc = sqlite3_exec(db, sql, NULL, NULL, &why);
    if (rc != SQLITE_OK) {
        rc = htt_rc_say(message_out, rc, "%s.%s: %s", schema, object->name,
                        why == NULL ? sqlite3_errstr(rc) : why);
    }
    sqlite3_free(why);
    sqlite3_free(sql);
    return rc;
}

int htt_store_row_create_table(sqlite3 *db, const char *schema, char **message_out) {
    const sqlite3_int64 rowid = sqlite3_last_insert_rowid(db);
    sqlite3_int64 there = 0;
    sqlite3_int64 wanted = 0;
    bool found;
    int version;
    int rc = htt_store_row_check_version(db, schema, &version, message_out);
    if (rc == SQLITE_OK) {
        rc = store_row_integer(db, schema, STORE_ROW_COUNT_OBJECTS, &found, &there, message_out);
    }
    for (const htt_schema_object *object = htt_schema_objects; object->name != NULL; object++) {
        wanted++;
    }
    if (rc != SQLITE_OK || (version == HTT_SCHEMA_VERSION && there == wanted)) {
        return rc;
    }
    for (const htt_schema_object *object = htt_schema_objects;
         rc == SQLITE_OK && object->name != NULL; object++) {
        rc = store_row_make(db, schema, object, message_out);
    }
    sqlite3_set_last_insert_rowid(db, rowid);
    return rc;
}

/* ------------------------------------------------------------------- rows */

int htt_store_row_find(sqlite3 *db, const char *schema, const char *name, bool *found_out,
                       uint8_t uuid_out[HTT_UUID_SIZE], char **message_out) {
    sqlite3_stmt *statement;
    const int rc =
        store_row_query(db, schema, STORE_ROW_FIND_NAME, name, NULL, &statement, message_out);
    if (rc != SQLITE_OK) {
        return rc;
    }
    *found_out = false;
    if (statement != NULL && sqlite3_column_bytes(statement, 0) == HTT_UUID_SIZE) {
        memcpy(uuid_out, sqlite3_column_blob(statement, 0), HTT_UUID_SIZE);
        *found_out = true;
    }
    sqlite3_finalize(statement);
    return SQLITE_OK;
}

int htt_store_row_find_uuid(sqlite3 *db, const char *schema, const uint8_t uuid[HTT_UUID_SIZE],
                            char **name_out, char **message_out) {
    sqlite3_stmt *statement;
    int rc = store_row_query(db, schema, STORE_ROW_FIND_UUID, NULL, uuid, &statement, message_out);
    if (rc != SQLITE_OK) {
        return rc;
    }
    *name_out = NULL;
    if (statement != NULL) {
        *name_out = sqlite3_mprintf("%s", (const char *)sqlite3_column_text(statement, 0));
        rc = *name_out == NULL ? SQLITE_NOMEM : SQLITE_OK;
    }
    sqlite3_finalize(statement);
    return rc;
}

int htt_store_row_write(sqlite3 *db, const char *schema, const char *name,
                        const uint8_t uuid[HTT_UUID_SIZE], char **message_out) {
    assert(name != NULL);
    const sqlite3_int64 rowid = sqlite3_last_insert_rowid(db);
    const int rc = store_row_run(db, schema, STORE_ROW_WRITE, name, uuid, 1, message_out);
    sqlite3_set_last_insert_rowid(db, rowid);
    return rc;
}

int htt_store_row_delete(sqlite3 *db, const char *schema, const char *name, char **message_out) {
    sqlite3_stmt *statement;
    int rc = store_row_query(db, schema, STORE_ROW_FIND_NAME, name, NULL, &statement, message_out);
    if (rc != SQLITE_OK || statement == NULL) {
        return rc;
    }
    sqlite3_finalize(statement);
    /* What follows the store must not be found by another one that gets its id. */
    static const store_row_sql steps[] = {STORE_ROW_DELETE_OUTBOX, STORE_ROW_DELETE_CONSUMERS};
    static const char *const tables[] = {"htt_outbox", "htt_consumer"};
    for (size_t i = 0; rc == SQLITE_OK && i < sizeof steps / sizeof steps[0]; i++) {
        if (sqlite3_table_column_metadata(db, schema, tables[i], NULL, NULL, NULL, NULL, NULL,
                                          NULL) == SQLITE_OK) {
            rc = store_row_run(db, schema, steps[i], name, NULL, -1, message_out);
        }
    }
    return rc != SQLITE_OK
               ? rc
               : store_row_run(db, schema, STORE_ROW_DELETE, name, NULL, 1, message_out);
}
