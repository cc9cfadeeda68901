/* SPDX-License-Identifier: MIT */
/*
 * htt_adopt: for a database whose htt file is not its own, or not the one that goes with it.
 *
 *   htt_adopt('[schema.]table', 'newfile')   this database goes on with a file of its own: its
 *                                            state, as far as the present file still has the
 *                                            pages, and its outbox go into a new file
 *   htt_adopt('[schema.]table')              this database goes on from what the file has: the
 *                                            newest root of its meta pages; the outbox is given up,
 *                                            and whoever owned the file before does so no more
 *
 * Both give the number of rows. They work in a transaction of their own, which takes the database's
 * write lock, so none may be open. Files first, then the row in htt_store: after a crash in between
 * the database says what it said before, and the call can be repeated (with one argument), or the
 * new file be deleted (with two). DIRECTONLY, as all that touches files.
 */
#include <stdbool.h>
#include <stddef.h>
#include <unistd.h>

#include "function.h"
#include "function_scalar.h"
#include "hosted.h"
#include "paths.h"
#include "rc.h"
#include "snapshot.h"
#include "source_backup.h"
#include "store_adopt.h"

/* ------------------------------------------------------------ a file of its own */

/* Takes a file away that was made for nothing. */
static void adopt_unlink(const char *path) {
    char *const lock = sqlite3_mprintf("%s-lock", path);
    (void)unlink(path);
    if (lock != NULL) {
        (void)unlink(lock);
    }
    sqlite3_free(lock);
}

/* A file that was made, or that is to be taken. */
static htt_rc adopt_open(const htt_table *table, const char *path, htt_store **store_out,
                         htt_error *error) {
    htt_options options;
    htt_options_init(&options);
    htt_arguments_apply(&table->arguments, &options);
    options.flags &= ~(unsigned)HTT_OPEN_CREATE;
    options.flags |= HTT_OPEN_NO_FOLLOW;
    return htt_open(path, &options, store_out, error);
}

/* What this database has, as a new file. */
static int adopt_copy(const htt_table *table, const char *path, uint8_t uuid_out[16],
                      uint64_t *rows_out, char **message_out) {
    htt_connection *const connection = table->connection;
    htt_error error = {.rc = HTT_OK};
    htt_reader *reader = NULL;
    htt_source source = {0};
    htt_store *copy = NULL;
    htt_info info;
    int rc = htt_connection_open(connection, &table->arguments, message_out);
    rc = rc == SQLITE_OK ? htt_connection_acquire(connection, &reader, &source, message_out) : rc;
    if (rc != SQLITE_OK) {
        return rc;
    }
    htt_rc failed = htt_source_count(&source, rows_out);
    if (failed != HTT_OK) {
        rc = htt_rc_report(message_out, failed, HTT_SIDE_READ, htt_source_errmsg(&source));
    } else {
        failed = htt_source_backup(&source, path, &error);
        if (failed == HTT_OK) {
            failed = adopt_open(table, path, &copy, &error);
            if (failed != HTT_OK) {
                adopt_unlink(path);
            }
        }
        if (failed != HTT_OK) {
            rc = htt_rc_report(message_out, failed, HTT_SIDE_READ, error.text);
            rc = failed == HTT_EXISTS ? SQLITE_ERROR : rc; /* the file, no key */
        }
    }
    if (rc == SQLITE_OK) {
        htt_store_info(copy, &info);
        for (size_t i = 0; i < sizeof info.uuid; i++) {
            uuid_out[i] = info.uuid[i];
        }
        htt_close(copy);
    }
    htt_connection_release(connection, &reader);
    return rc;
}

static int adopt_copied(htt_table *table, const char *file, const char *path, uint64_t *rows_out,
                        char **message_out) {
    sqlite3 *const db = table->registry->db;
    uint8_t uuid[16];
    int rc = adopt_copy(table, path, uuid, rows_out, message_out);
    if (rc != SQLITE_OK) {
        return rc;
    }
    rc = htt_store_adopt_write(db, table->schema, table->connection->name, uuid, NULL, file,
                               message_out);
    rc = rc == SQLITE_OK ? sqlite3_exec(db, "COMMIT", NULL, NULL, NULL) : rc;
    if (rc != SQLITE_OK) {
        if (*message_out == NULL) {
            *message_out = sqlite3_mprintf("htt_adopt: %s", sqlite3_errmsg(db));
        }
        /* Where the commit is in doubt a file too many is better than one too few. */
        if ((rc & 0xff) != SQLITE_IOERR) {
            adopt_unlink(path);
        }
    }
    return rc;
}

/* --------------------------------------------------------- the file as it is */

/* The file belongs to this database from now on. */
static htt_rc adopt_claim(htt_store *store, const char *host, htt_host_root *root_out) {
    htt_host_owner owner;
    htt_host_meta meta;
    htt_rc rc = htt_host_describe(store, host, &owner);
    rc = rc == HTT_OK ? htt_host_read_meta(store, &meta) : rc;
    if (rc == HTT_OK && (meta.owner.path[0] != '\0' || meta.attempt != 0)) {
        /* Whatever its owner was about to make of this root, it goes on without. */
        rc = htt_host_checkpoint(store, &meta.root, true, NULL);
    }
    return rc == HTT_OK ? htt_host_claim(store, &owner, root_out) : rc;
}

static int adopt_fits(const htt_table *table, htt_store *store, char **message_out) {
    htt_declaration_match match;
    htt_info info;
    htt_store_info(store, &info);
    const int rc = htt_declaration_compare(&table->arguments.declaration, info.declaration, &match);
    if (rc == SQLITE_OK && match == HTT_DECLARATION_DIFFERENT) {
        return htt_rc_say(message_out, SQLITE_ERROR,
                          "%s has the columns (%s), the table declares (%s)", info.path,
                          htt_declaration_words(info.declaration),
                          htt_declaration_words(table->arguments.declaration.text));
    }
    return rc;
}

static int adopt_root(const htt_table *table, const char *path, const char *host,
                      htt_host_root *root_out, char **message_out) {
    htt_error error = {.rc = HTT_OK};
    htt_store *store = NULL;
    const htt_rc opened = adopt_open(table, path, &store, &error);
    if (opened != HTT_OK) {
        return htt_rc_report(message_out, opened, HTT_SIDE_READ, error.text);
    }
    int rc = adopt_fits(table, store, message_out);
    if (rc == SQLITE_OK) {
        const htt_rc claimed = adopt_claim(store, host, root_out);
        if (claimed != HTT_OK) {
            rc = htt_rc_report(message_out, claimed, HTT_SIDE_READ, htt_errmsg(store));
        }
    }
    htt_close(store);
    return rc;
}

static int adopt_present(htt_table *table, const char *host, uint64_t *rows_out,
                         char **message_out) {
    sqlite3 *const db = table->registry->db;
    const htt_connection *const connection = table->connection;
    htt_host_root root;
    char *path = NULL;
    int rc = htt_store_adopt_path(db, table->schema, connection->name, &path, message_out);
    if (rc == SQLITE_OK) {
        rc = adopt_root(table, path != NULL ? path : connection->path, host, &root, message_out);
    }
    sqlite3_free(path);
    if (rc != SQLITE_OK) {
        return rc;
    }
    rc = htt_store_adopt_write(db, table->schema, connection->name, root.uuid, &root, NULL,
                               message_out);
    rc = rc == SQLITE_OK ? sqlite3_exec(db, "COMMIT", NULL, NULL, NULL) : rc;
    if (rc != SQLITE_OK && *message_out == NULL) {
        *message_out = sqlite3_mprintf("htt_adopt: %s", sqlite3_errmsg(db));
    }
    *rows_out = root.keys;
    return rc;
}

/* ---------------------------------------------------------------- function */

static int adopt_check(const htt_table *table, const char *host, char **message_out) {
    const htt_connection *const connection = table->connection;
    const char *why = NULL;
    if (host == NULL) {
        why = "the database has no file";
    } else if (!sqlite3_get_autocommit(table->registry->db) || connection->transaction.joined) {
        why = "a transaction is open: commit first";
    } else if (connection->cursors > 0) {
        why = "the table is being read";
    } else if (sqlite3_db_readonly(table->registry->db, table->schema) == 1) {
        why = "the database is read-only";
    }
    return why == NULL ? SQLITE_OK
                       : htt_rc_say(message_out, SQLITE_ERROR, "htt_adopt: %s.%s: %s",
                                    table->schema, table->name, why);
}

/* `file` NULL: the present one. The table is held. */
static int adopt_run(htt_table *table, const char *file, uint64_t *rows_out, char **message_out) {
    sqlite3 *const db = table->registry->db;
    const char *const host = htt_host_file_path(db, table->schema);
    char *path = NULL;
    int rc = adopt_check(table, host, message_out);
    if (rc == SQLITE_OK && file != NULL) {
        rc = htt_paths_resolve(db, table->schema, file, &path, message_out);
    }
    if (rc == SQLITE_OK) {
        rc = sqlite3_exec(db, "BEGIN", NULL, NULL, NULL);
        rc = rc == SQLITE_OK ? htt_store_adopt_lock(db, table->schema, message_out) : rc;
        if (rc == SQLITE_OK) {
            rc = file != NULL ? adopt_copied(table, file, path, rows_out, message_out)
                              : adopt_present(table, host, rows_out, message_out);
        }
        if (!sqlite3_get_autocommit(db)) {
            (void)sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
        }
        htt_connection_close(table->connection);
    }
    sqlite3_free(path);
    return rc;
}

static void adopt_call(sqlite3_context *context, int argc, sqlite3_value **argv) {
    htt_snapshot snapshot = {0};
    char *message = NULL;
    uint64_t rows = 0;
    htt_table *const table = htt_function_scalar_find(context, argv[0]);
    if (table == NULL) {
        return;
    }
    const char *const file = argc == 2 ? (const char *)sqlite3_value_text(argv[1]) : NULL;
    int rc = SQLITE_ERROR;
    if (argc == 2 && (file == NULL || file[0] == '\0')) {
        message = sqlite3_mprintf("htt_adopt: the file's name is empty");
    } else {
        rc = htt_snapshot_hold(&snapshot, table, &message);
        rc = rc == SQLITE_OK ? adopt_run(table, file, &rows, &message) : rc;
    }
    htt_snapshot_end(&snapshot);
    if (rc != SQLITE_OK) {
        htt_function_scalar_fail(context, rc, message);
    } else {
        sqlite3_result_int64(context, (sqlite3_int64)rows);
    }
}

int htt_function_register_adopt(htt_registry *registry) {
    const int rc =
        htt_function_scalar_register(registry, "htt_adopt", 1, SQLITE_DIRECTONLY, adopt_call);
    return rc != SQLITE_OK
               ? rc
               : htt_function_scalar_register(registry, "htt_adopt", 2, SQLITE_DIRECTONLY,
                                              adopt_call);
}
