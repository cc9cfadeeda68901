/* SPDX-License-Identifier: MIT */
/*
 * Reading and writing htt_store. This file and no other holds SQL on it.
 */
#include "store_row.h"

#include <assert.h>
#include <string.h>

#include "rc.h"

const char htt_store_row_schema[] =
    "htt_store(\n"
    "    id INTEGER PRIMARY KEY,\n"
    "    name TEXT NOT NULL UNIQUE,\n"
    "    uuid BLOB NOT NULL UNIQUE CHECK(typeof(uuid) = 'blob' AND length(uuid) = 16),\n"
    "    root BLOB,\n"
    "    acked INTEGER NOT NULL DEFAULT 0,\n"
    "    state TEXT NOT NULL DEFAULT 'live' CHECK(state IN ('live', 'dropped'))\n"
    ")";

typedef enum store_row_sql {
    STORE_ROW_CREATE,
    STORE_ROW_HAS_TABLE,
    STORE_ROW_FIND_NAME,
    STORE_ROW_FIND_UUID,
    STORE_ROW_WRITE,
    STORE_ROW_DELETE,
    STORE_ROW_SQL_COUNT
} store_row_sql;

/* %w is the schema; ?1 the name, ?2 the uuid. */
static const char *const store_row_texts[STORE_ROW_SQL_COUNT] = {
    [STORE_ROW_CREATE] = "CREATE TABLE IF NOT EXISTS \"%w\".%s",
    [STORE_ROW_HAS_TABLE] =
        "SELECT 1 FROM \"%w\".sqlite_schema WHERE type = 'table' AND name = 'htt_store'",
    [STORE_ROW_FIND_NAME] = "SELECT uuid FROM \"%w\".htt_store WHERE name = ?1",
    [STORE_ROW_FIND_UUID] = "SELECT name FROM \"%w\".htt_store WHERE uuid = ?2",
    [STORE_ROW_WRITE] = "INSERT OR REPLACE INTO \"%w\".htt_store(name, uuid) VALUES (?1, ?2)",
    [STORE_ROW_DELETE] = "DELETE FROM \"%w\".htt_store WHERE name = ?1",
};

static int store_row_fail(sqlite3 *db, const char *schema, int rc, char **message_out) {
    return htt_rc_say(message_out, rc, "%s.htt_store: %s", schema, sqlite3_errmsg(db));
}

static int store_row_prepare(sqlite3 *db, const char *schema, store_row_sql which, const char *name,
                             const uint8_t *uuid, sqlite3_stmt **statement_out,
                             char **message_out) {
    sqlite3_stmt *statement = NULL;
    char *const sql = sqlite3_mprintf(store_row_texts[which], schema, htt_store_row_schema);
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

/* Runs a statement without rows. */
static int store_row_run(sqlite3 *db, const char *schema, store_row_sql which, const char *name,
                         const uint8_t *uuid, char **message_out) {
    sqlite3_stmt *statement;
    int rc = store_row_prepare(db, schema, which, name, uuid, &statement, message_out);
    if (rc != SQLITE_OK) {
        return rc;
    }
    rc = sqlite3_step(statement);
    if (rc != SQLITE_DONE) {
        rc = store_row_fail(db, schema, rc == SQLITE_ROW ? SQLITE_ERROR : rc, message_out);
    } else {
        rc = SQLITE_OK;
    }
    sqlite3_finalize(statement);
    return rc;
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

int htt_store_row_create_table(sqlite3 *db, const char *schema, char **message_out) {
    return store_row_run(db, schema, STORE_ROW_CREATE, NULL, NULL, message_out);
}

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
    const int rc = store_row_run(db, schema, STORE_ROW_WRITE, name, uuid, message_out);
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
    return store_row_run(db, schema, STORE_ROW_DELETE, name, NULL, message_out);
}
