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

/* A row of htt_store and what goes with it. */
typedef struct gc_entry {
    sqlite3 *db;               /* with the write lock; borrowed */
    const char *schema;        /* borrowed */
    const char *host;          /* path of the database; borrowed */
    htt_host_kind kind;        /* how it commits */
    char *name;                /* of the file in htt_store; owned */
    htt_outbox *outbox;        /* of the store; owned */
    htt_outbox_store row;      /* as committed */
    bool over;                 /* the row may go */
} gc_entry;

static bool gc_is_root_of(const htt_host_meta *meta, const htt_outbox_store *row) {
    return meta->root.epoch == row->root.epoch && meta->root.nonce == row->root.nonce;
}

static int gc_no_barrier(void *arg) {
    (void)arg;
    return 0;
}

/*
 * While the outcome of an attempt upon the root is open it is only declared dead: a recovery of the
 * database may bring back a row that lives. The next htt_gc releases.
 */
static int gc_acknowledge(gc_entry *entry, htt_store *store, const htt_host_owner *owner,
                          bool *open_out, char **message_out) {
    const htt_host_write write = {.base = &entry->row.root,
                                  .acked = entry->row.acked,
                                  .certain = entry->kind == HTT_HOST_ROLLBACK,
                                  .owner = owner,
                                  .barrier = gc_no_barrier};
    uint64_t attempt = 0;
    const htt_rc rc = htt_host_outstanding(store, &write, 0, &attempt);
    *open_out = attempt != 0;
    if (rc != HTT_OK) {
        return htt_rc_report(message_out, rc, HTT_SIDE_READ, htt_errmsg(store));
    }
    return attempt == 0 ? SQLITE_OK : htt_outbox_write_acked(entry->outbox, attempt, message_out);
}

/* The file that goes with the row belongs to nobody. SQLITE_OK also where it never can be. */
static int gc_release(gc_entry *entry, htt_store *store, char **message_out) {
    htt_host_owner owner;
    htt_host_meta meta;
    bool open = false;
    htt_rc rc = htt_host_describe(store, entry->host, &owner);
    rc = rc == HTT_OK ? htt_host_read_meta(store, &meta) : rc;
    if (rc != HTT_OK) {
        return htt_rc_report(message_out, rc, HTT_SIDE_READ, htt_errmsg(store));
    }
    /* Released already: once more, since that may be in memory only, and the row goes next. */
    const bool released = meta.owner.path[0] == '\0' && gc_is_root_of(&meta, &entry->row);
    if (!released && !htt_host_is_owner(&meta.owner, &owner)) {
        return SQLITE_OK; /* somebody else went on with it */
    }
    const int code = gc_acknowledge(entry, store, &owner, &open, message_out);
    if (code != SQLITE_OK || open) {
        entry->over = false;
        return code;
    }
    rc = htt_host_checkpoint(store, &entry->row.root, true, NULL);
    return rc == HTT_OK || rc == HTT_MISMATCH || rc == HTT_CORRUPT
               ? SQLITE_OK
               : htt_rc_report(message_out, rc, HTT_SIDE_READ, htt_errmsg(store));
}

/* Rows that were not folded, since the outcome of an attempt was open at the DROP. */
static int gc_check_rows(const gc_entry *entry, char **message_out) {
    htt_outbox_row last = {0};
    bool found = false;
    const int rc = htt_outbox_read_last(entry->outbox, (uint64_t)HTT_OUTBOX_SEQ_MAX, &found, &last,
                                        message_out);
    if (rc == SQLITE_OK && found && last.seq > entry->row.root.seq) {
        return htt_rc_say(message_out, SQLITE_ERROR,
                          "htt_gc: rows of %s are in htt_outbox still: CREATE its table again, "
                          "then DROP it", entry->name);
    }
    return rc;
}

static int gc_release_path(gc_entry *entry, const char *path, char **message_out) {
    htt_error error = {.rc = HTT_OK};
    htt_options options;
    htt_store *store = NULL;
    htt_options_init(&options);
    options.flags = HTT_OPEN_NO_FOLLOW;
    options.expect_uuid = entry->row.uuid;
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
    int rc = gc_check_rows(entry, message_out);
    rc = rc == SQLITE_OK ? gc_release(entry, store, message_out) : rc;
    htt_close(store);
    return rc;
}

/* *gone_out: the row was deleted. */
static int gc_row(gc_entry *entry, bool *gone_out, char **message_out) {
    bool found = false;
    char *path = NULL;
    entry->outbox = htt_outbox_new(entry->db, entry->schema, entry->name);
    if (entry->outbox == NULL) {
        return SQLITE_NOMEM;
    }
    entry->over = true;
    int rc = htt_outbox_read_store(entry->outbox, &found, &entry->row, message_out);
    if (rc == SQLITE_OK && found && entry->row.has_root) {
        rc = htt_store_adopt_path(entry->db, entry->schema, entry->name, &path, message_out);
        if (rc == SQLITE_OK && path == NULL) {
            rc = htt_paths_resolve(entry->db, entry->schema, entry->name, &path, message_out);
        }
        rc = rc == SQLITE_OK ? gc_release_path(entry, path, message_out) : rc;
    }
    *gone_out = rc == SQLITE_OK && found && entry->over;
    if (*gone_out) {
        rc = htt_outbox_delete_store(entry->outbox, message_out);
    }
    sqlite3_free(path);
    htt_outbox_free(entry->outbox);
    return rc;
}

/* The next dropped store behind `after`; *name_out NULL = none. Caller frees (sqlite3_free). */
static int gc_next(sqlite3 *db, const char *schema, sqlite3_int64 *after, char **name_out,
                   char **message_out) {
    sqlite3_stmt *statement = NULL;
    char *const sql = sqlite3_mprintf("SELECT id, name FROM \"%w\".htt_store WHERE state = "
                                      "'dropped' AND id > %lld ORDER BY id LIMIT 1",
                                      schema, *after);
    if (sql == NULL) {
        return SQLITE_NOMEM;
    }
    int rc = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
    sqlite3_free(sql);
    *name_out = NULL;
    rc = rc == SQLITE_OK ? sqlite3_step(statement) : rc;
    if (rc == SQLITE_ROW) {
        *after = sqlite3_column_int64(statement, 0);
        *name_out = sqlite3_mprintf("%s", (const char *)sqlite3_column_text(statement, 1));
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
    gc_entry entry = {.db = db, .schema = schema, .host = host};
    sqlite3_int64 after = 0;
    int rc = gc_next(db, schema, &after, &entry.name, message_out);
    if (rc == SQLITE_OK && entry.name != NULL) {
        rc = htt_host_file_kind(&file, host, &entry.kind, message_out);
    }
    if (rc == SQLITE_OK && entry.name != NULL && htt_host_file_barrier(&file) != 0) {
        rc = htt_rc_say(message_out, SQLITE_ERROR, "htt_gc: cannot make the database durable");
    }
    htt_host_file_clear(&file);
    while (rc == SQLITE_OK && entry.name != NULL) {
        bool gone = false;
        rc = gc_row(&entry, &gone, message_out);
        *count_out += gone ? 1 : 0;
        sqlite3_free(entry.name);
        entry.name = NULL;
        rc = rc == SQLITE_OK ? gc_next(db, schema, &after, &entry.name, message_out) : rc;
    }
    sqlite3_free(entry.name);
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
