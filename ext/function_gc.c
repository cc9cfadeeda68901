/* SPDX-License-Identifier: MIT */
/*
 * htt_gc(['schema']): ends the DROPs that nobody ended. A DROP leaves a row in htt_store with the
 * file's last root; after its commit the file gets that root and belongs to nobody. Where the
 * process died in between, this does it, and the row goes:
 *
 *     write lock | barrier | each dropped row: the file gets the root, belongs to nobody | row goes
 *
 * A file that is not there, is another one, or was continued elsewhere has nothing to be released
 * from: only the row goes. Gives the number of rows. DIRECTONLY, as all that touches files.
 */
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "connection.h"
#include "function.h"
#include "function_scalar.h"
#include "host_file.h"
#include "outbox.h"
#include "paths.h"
#include "rc.h"
#include "store_adopt.h"

/* The file that goes with the row belongs to nobody. SQLITE_OK also where it never can be. */
static int gc_release(htt_store *store, const htt_outbox_store *row, const char *host,
                      char **message_out) {
    htt_host_owner owner;
    htt_host_meta meta;
    htt_rc rc = htt_host_describe(store, host, &owner);
    rc = rc == HTT_OK ? htt_host_read_meta(store, &meta) : rc;
    if (rc == HTT_OK && !htt_host_is_owner(&meta.owner, &owner)) {
        return SQLITE_OK; /* released already, or another's */
    }
    rc = rc == HTT_OK ? htt_host_checkpoint(store, &row->root, true, NULL) : rc;
    return rc == HTT_OK || rc == HTT_MISMATCH || rc == HTT_CORRUPT
               ? SQLITE_OK
               : htt_rc_report(message_out, rc, HTT_SIDE_READ, htt_errmsg(store));
}

static int gc_release_path(const htt_outbox_store *row, const char *path, const char *host,
                           char **message_out) {
    htt_error error = {.rc = HTT_OK};
    htt_options options;
    htt_store *store = NULL;
    htt_options_init(&options);
    options.flags = HTT_OPEN_NO_FOLLOW;
    options.expect_uuid = row->uuid;
    options.env = htt_arguments_env;
    const htt_rc opened = htt_open(path, &options, &store, &error);
    switch (opened) {
    case HTT_OK: break;
    case HTT_CANTOPEN:
    case HTT_MISMATCH:
    case HTT_NOTHTT:
    case HTT_CORRUPT: return SQLITE_OK; /* there is nothing to release */
    default: return htt_rc_report(message_out, opened, HTT_SIDE_READ, error.text);
    }
    const int rc = gc_release(store, row, host, message_out);
    htt_close(store);
    return rc;
}

static int gc_row(sqlite3 *db, const char *schema, const char *name, const char *host,
                  char **message_out) {
    htt_outbox *const outbox = htt_outbox_new(db, schema, name);
    htt_outbox_store row;
    bool found = false;
    char *path = NULL;
    if (outbox == NULL) {
        return SQLITE_NOMEM;
    }
    int rc = htt_outbox_read_store(outbox, &found, &row, message_out);
    if (rc == SQLITE_OK && found && row.has_root) {
        rc = htt_store_adopt_path(db, schema, name, &path, message_out);
        if (rc == SQLITE_OK && path == NULL) {
            rc = htt_paths_resolve(db, schema, name, &path, message_out);
        }
        rc = rc == SQLITE_OK ? gc_release_path(&row, path, host, message_out) : rc;
    }
    if (rc == SQLITE_OK && found) {
        rc = htt_outbox_delete_store(outbox, message_out);
    }
    sqlite3_free(path);
    htt_outbox_free(outbox);
    return rc;
}

/* The name of a dropped store, *name_out NULL = none. Caller frees with sqlite3_free. */
static int gc_next(sqlite3 *db, const char *schema, char **name_out, char **message_out) {
    sqlite3_stmt *statement = NULL;
    char *const sql = sqlite3_mprintf(
        "SELECT name FROM \"%w\".htt_store WHERE state = 'dropped' LIMIT 1", schema);
    if (sql == NULL) {
        return SQLITE_NOMEM;
    }
    int rc = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
    sqlite3_free(sql);
    *name_out = NULL;
    rc = rc == SQLITE_OK ? sqlite3_step(statement) : rc;
    if (rc == SQLITE_ROW) {
        *name_out = sqlite3_mprintf("%s", (const char *)sqlite3_column_text(statement, 0));
        rc = *name_out == NULL ? SQLITE_NOMEM : SQLITE_OK;
    } else {
        rc = rc == SQLITE_DONE ? SQLITE_OK
                               : htt_rc_say(message_out, rc, "%s.htt_store: %s", schema,
                                            sqlite3_errmsg(db));
    }
    sqlite3_finalize(statement);
    return rc;
}

/* Within a transaction that has the write lock: what is read is committed. */
static int gc_all(sqlite3 *db, const char *schema, const char *host, sqlite3_int64 *count_out,
                  char **message_out) {
    htt_host_file file = {.db = db, .schema = schema};
    htt_host_kind kind;
    char *name = NULL;
    int rc = gc_next(db, schema, &name, message_out);
    if (rc == SQLITE_OK && name != NULL) {
        rc = htt_host_file_kind(&file, host, &kind, message_out);
    }
    if (rc == SQLITE_OK && name != NULL && htt_host_file_barrier(&file) != 0) {
        rc = htt_rc_say(message_out, SQLITE_ERROR, "htt_gc: cannot make the database durable");
    }
    htt_host_file_clear(&file);
    while (rc == SQLITE_OK && name != NULL) {
        rc = gc_row(db, schema, name, host, message_out);
        sqlite3_free(name);
        name = NULL;
        if (rc == SQLITE_OK) {
            (*count_out)++;
            rc = gc_next(db, schema, &name, message_out);
        }
    }
    sqlite3_free(name);
    return rc;
}

static int gc_run(sqlite3 *db, const char *schema, sqlite3_int64 *count_out, char **message_out) {
    const char *const host = htt_host_file_path(db, schema);
    if (!sqlite3_get_autocommit(db)) {
        return htt_rc_say(message_out, SQLITE_ERROR, "htt_gc: a transaction is open: commit first");
    }
    if (host == NULL || sqlite3_table_column_metadata(db, schema, "htt_store", NULL, NULL, NULL,
                                                      NULL, NULL, NULL) != SQLITE_OK) {
        return SQLITE_OK;
    }
    int rc = sqlite3_exec(db, "BEGIN", NULL, NULL, NULL);
    rc = rc == SQLITE_OK ? htt_store_adopt_lock(db, schema, message_out) : rc;
    rc = rc == SQLITE_OK ? gc_all(db, schema, host, count_out, message_out) : rc;
    if (rc == SQLITE_OK) {
        rc = sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
    }
    if (rc != SQLITE_OK && *message_out == NULL) {
        *message_out = sqlite3_mprintf("htt_gc: %s", sqlite3_errmsg(db));
    }
    if (!sqlite3_get_autocommit(db)) {
        (void)sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    }
    return rc;
}

static void gc_call(sqlite3_context *context, int argc, sqlite3_value **argv) {
    sqlite3 *const db = sqlite3_context_db_handle(context);
    const char *given = argc == 1 ? (const char *)sqlite3_value_text(argv[0]) : "main";
    sqlite3_int64 count = 0;
    char *message = NULL;
    int rc;
    if (given == NULL || sqlite3_db_filename(db, given) == NULL) {
        rc = htt_rc_say(&message, SQLITE_ERROR, "htt_gc: no such database: %s",
                        given == NULL ? "NULL" : given);
    } else {
        rc = gc_run(db, given, &count, &message);
    }
    if (rc != SQLITE_OK) {
        htt_function_scalar_fail(context, rc, message);
    } else {
        sqlite3_result_int64(context, count);
    }
}

int htt_function_register_gc(htt_registry *registry) {
    const int rc = htt_function_scalar_register(registry, "htt_gc", 0, SQLITE_DIRECTONLY, gc_call);
    return rc != SQLITE_OK
               ? rc
               : htt_function_scalar_register(registry, "htt_gc", 1, SQLITE_DIRECTONLY, gc_call);
}
