/* SPDX-License-Identifier: MIT */
/*
 * Giving a store another file; see store_adopt.h. Statements are used once and not kept.
 */
#include "store_adopt.h"

#include <stdbool.h>
#include <stddef.h>

#include "outbox.h"
#include "paths.h"
#include "rc.h"
#include "store_row.h"

static int adopt_fail(sqlite3 *db, const char *schema, int rc, char **message_out) {
    return htt_rc_say(message_out, rc, "%s.htt_store: %s", schema, sqlite3_errmsg(db));
}

static bool adopt_has(sqlite3 *db, const char *schema, const char *column) {
    return sqlite3_table_column_metadata(db, schema, "htt_store", column, NULL, NULL, NULL, NULL,
                                         NULL) == SQLITE_OK;
}

/* Runs a text of sqlite3_mprintf and frees it. */
static int adopt_exec(sqlite3 *db, const char *schema, char *sql, char **message_out) {
    if (sql == NULL) {
        return SQLITE_NOMEM;
    }
    const int rc = sqlite3_exec(db, sql, NULL, NULL, NULL);
    sqlite3_free(sql);
    return rc == SQLITE_OK ? SQLITE_OK : adopt_fail(db, schema, rc, message_out);
}

int htt_store_adopt_path(sqlite3 *db, const char *schema, const char *name, char **path_out,
                         char **message_out) {
    sqlite3_stmt *statement = NULL;
    *path_out = NULL;
    if (!adopt_has(db, schema, "file")) {
        return SQLITE_OK;
    }
    char *const sql = sqlite3_mprintf(
        "SELECT file FROM \"%w\".htt_store WHERE name = %Q AND file IS NOT NULL", schema, name);
    if (sql == NULL) {
        return SQLITE_NOMEM;
    }
    int rc = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
    sqlite3_free(sql);
    rc = rc == SQLITE_OK ? sqlite3_step(statement) : rc;
    if (rc == SQLITE_ROW) {
        const char *const file = (const char *)sqlite3_column_text(statement, 0);
        rc = file == NULL ? SQLITE_NOMEM
                          : htt_paths_resolve(db, schema, file, path_out, message_out);
    } else {
        rc = rc == SQLITE_DONE ? SQLITE_OK : adopt_fail(db, schema, rc, message_out);
    }
    sqlite3_finalize(statement);
    return rc;
}

int htt_store_adopt_lock(sqlite3 *db, const char *schema, char **message_out) {
    int rc = SQLITE_OK;
    if (adopt_has(db, schema, NULL)) {
        rc = adopt_exec(db, schema,
                        sqlite3_mprintf("UPDATE \"%w\".htt_store SET acked = acked WHERE 0",
                                        schema),
                        message_out);
    }
    rc = rc == SQLITE_OK ? htt_store_row_create_table(db, schema, message_out) : rc;
    if (rc == SQLITE_OK && !adopt_has(db, schema, "file")) { /* of an older libhtt */
        rc = adopt_exec(db, schema,
                        sqlite3_mprintf("ALTER TABLE \"%w\".htt_store ADD COLUMN file TEXT",
                                        schema),
                        message_out);
    }
    return rc;
}

/* *id_out 0 = there is no row. */
static int adopt_find(sqlite3 *db, const char *schema, const char *name, sqlite3_int64 *id_out,
                      char **message_out) {
    sqlite3_stmt *statement = NULL;
    char *const sql =
        sqlite3_mprintf("SELECT id FROM \"%w\".htt_store WHERE name = %Q", schema, name);
    if (sql == NULL) {
        return SQLITE_NOMEM;
    }
    int rc = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
    sqlite3_free(sql);
    rc = rc == SQLITE_OK ? sqlite3_step(statement) : rc;
    *id_out = rc == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : 0;
    rc = rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK
                                               : adopt_fail(db, schema, rc, message_out);
    sqlite3_finalize(statement);
    return rc;
}

/* The row of the store itself. */
static int adopt_update(sqlite3 *db, const char *schema, sqlite3_int64 id, const uint8_t *uuid,
                        const htt_host_root *root, const char *file, char **message_out) {
    sqlite3_stmt *statement = NULL;
    char *const sql = sqlite3_mprintf(
        "UPDATE \"%w\".htt_store SET uuid = ?1, root = ?2, acked = 0, state = 'live', "
        "file = coalesce(?3, file) WHERE id = %lld",
        schema, id);
    if (sql == NULL) {
        return SQLITE_NOMEM;
    }
    int rc = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
    sqlite3_free(sql);
    if (rc == SQLITE_OK) {
        (void)sqlite3_bind_blob(statement, 1, uuid, HTT_UUID_SIZE, SQLITE_STATIC);
        if (root != NULL) {
            (void)sqlite3_bind_blob(statement, 2, root->record, sizeof root->record,
                                    SQLITE_STATIC);
        }
        (void)sqlite3_bind_text(statement, 3, file, -1, SQLITE_STATIC);
        rc = sqlite3_step(statement);
    }
    if (rc == SQLITE_DONE) {
        rc = SQLITE_OK;
    } else if (sqlite3_extended_errcode(db) == SQLITE_CONSTRAINT_UNIQUE) {
        rc = htt_rc_say(message_out, SQLITE_ERROR,
                        "%s.htt_store: the file already belongs to another table of this database",
                        schema);
    } else {
        rc = adopt_fail(db, schema, rc, message_out);
    }
    sqlite3_finalize(statement);
    return rc;
}

int htt_store_adopt_write(sqlite3 *db, const char *schema, const char *name,
                          const uint8_t uuid[16], const htt_host_root *root, const char *file,
                          char **message_out) {
    sqlite3_int64 id = 0;
    int rc = adopt_find(db, schema, name, &id, message_out);
    if (rc == SQLITE_OK && id == 0) {
        rc = htt_store_row_write(db, schema, name, uuid, message_out);
        rc = rc == SQLITE_OK ? adopt_find(db, schema, name, &id, message_out) : rc;
    }
    rc = rc == SQLITE_OK ? adopt_update(db, schema, id, uuid, root, file, message_out) : rc;
    if (rc != SQLITE_OK) {
        return rc;
    }
    const sqlite3_int64 first = id << HTT_OUTBOX_SEQ_BITS;
    rc = adopt_exec(db, schema,
                    sqlite3_mprintf("DELETE FROM \"%w\".htt_outbox WHERE id BETWEEN %lld AND %lld",
                                    schema, first + 1, first + HTT_OUTBOX_SEQ_MAX),
                    message_out);
    if (rc == SQLITE_OK) { /* what they have is not what the table holds now: they start anew */
        rc = adopt_exec(db, schema,
                        sqlite3_mprintf("DELETE FROM \"%w\".htt_consumer WHERE store = %lld",
                                        schema, id),
                        message_out);
    }
    /* A change of the schema makes every connection connect its tables anew. */
    return rc != SQLITE_OK
               ? rc
               : adopt_exec(db, schema,
                            sqlite3_mprintf("CREATE VIEW \"%w\".htt_adopting AS SELECT 1; "
                                            "DROP VIEW \"%w\".htt_adopting",
                                            schema, schema),
                            message_out);
}
