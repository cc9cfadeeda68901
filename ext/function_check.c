/* SPDX-License-Identifier: MIT */
/*
 * htt_check(table [, schema]): what is wrong with a table's file, one row `ok` or a row for each
 * problem; the hidden columns page and reason say it in parts. Also behind PRAGMA integrity_check.
 *
 * Of a hosted file, in this order: the row in htt_store and its root record | the file's owner, and
 * that it goes on from the root | the rows in htt_outbox | who follows them | all pages of the
 * root. One problem does not hide the next, unless it is the row itself.
 */
#include <stddef.h>
#include <string.h>

#include "function.h"
#include "hosted.h"
#include "outbox_check.h"
#include "rc.h"
#include "report.h"
#include "snapshot.h"

enum { CHECK_PROBLEM, CHECK_PAGE, CHECK_REASON };

/* Where problems go while the engine checks. */
typedef struct check_run {
    htt_report *report; /* gets a row for each */
    int rc;             /* SQLITE_OK, or why it was stopped */
} check_run;

static int check_add(htt_report *report, uint32_t page, const char *reason) {
    htt_report_row *const row = htt_report_add(report);
    if (row == NULL) {
        return SQLITE_NOMEM;
    }
    char *const problem =
        page > 0 ? sqlite3_mprintf("page %u: %s", page, reason) : sqlite3_mprintf("%s", reason);
    row->values[CHECK_PROBLEM] = (htt_report_value){.type = SQLITE_TEXT, .text = problem};
    row->values[CHECK_REASON] =
        (htt_report_value){.type = SQLITE_TEXT, .text = sqlite3_mprintf("%s", reason)};
    if (page > 0) {
        row->values[CHECK_PAGE] = (htt_report_value){.type = SQLITE_INTEGER, .integer = page};
    }
    return problem == NULL || row->values[CHECK_REASON].text == NULL ? SQLITE_NOMEM : SQLITE_OK;
}

static int check_note(void *arg, uint32_t page, const char *problem) {
    check_run *const run = arg;
    run->rc = check_add(run->report, page, problem);
    return run->rc != SQLITE_OK;
}

/* A file that is too damaged to be opened or read has that as its problem. */
static int check_damage(htt_report *report, int rc, char **message_out) {
    if ((rc & 0xff) != SQLITE_CORRUPT || *message_out == NULL) {
        return rc;
    }
    const int added = check_add(report, 0, *message_out);
    sqlite3_free(*message_out);
    *message_out = NULL;
    return added;
}

/* The pages of a state. */
static int check_pages(htt_txn *txn, unsigned depth, htt_report *report, char **message_out) {
    uint64_t problems = 0;
    check_run run = {report, SQLITE_OK};
    const htt_rc failed = htt_check(txn, depth, check_note, &run, &problems);
    if (run.rc != SQLITE_OK || failed == HTT_OK) {
        return run.rc;
    }
    const int rc = htt_rc_report(message_out, failed, HTT_SIDE_READ, htt_txn_errmsg(txn));
    return check_damage(report, rc, message_out);
}

/* The pages of what the running statement sees. */
static int check_seen(htt_connection *connection, unsigned depth, htt_report *report,
                      char **message_out) {
    htt_reader *reader = NULL;
    htt_source source = {0};
    int rc = htt_connection_acquire(connection, &reader, &source, message_out);
    if (rc != SQLITE_OK) {
        return check_damage(report, rc, message_out);
    }
    rc = check_pages(source.txn, depth, report, message_out);
    htt_connection_release(connection, &reader);
    return rc;
}

/* ------------------------------------------------------------------ hosted */

/* A problem that was just found by other means is not told again. */
static int check_add_once(htt_report *report, const char *reason) {
    const htt_report_row *const last = report->count > 0 ? &report->rows[report->count - 1] : NULL;
    const bool told = last != NULL && last->values[CHECK_REASON].text != NULL &&
                      strcmp(last->values[CHECK_REASON].text, reason) == 0;
    return told ? SQLITE_OK : check_add(report, 0, reason);
}

static int check_take(void *report, const char *problem) {
    return check_add(report, 0, problem);
}

/* Whose file it is, where the database's newest root is this. *text_out NULL: its own. */
static int check_owner(const htt_connection *connection, const htt_host_root *root,
                       char **text_out) {
    const char *const own = connection->hosted->owner.path;
    htt_host_meta meta;
    char *text;
    *text_out = NULL;
    if (htt_host_read_meta(connection->store, &meta) != HTT_OK) {
        text = sqlite3_mprintf("%s", htt_errmsg(connection->store));
    } else if (htt_host_is_owner(&meta.owner, &connection->hosted->owner)) {
        return SQLITE_OK;
    } else if (meta.owner.path[0] != '\0') {
        text = sqlite3_mprintf("%s belongs to the database '%s' (seen from the file), not to this "
                               "one, '%s': make a copy of it for this one with htt_adopt",
                               connection->name, meta.owner.path, own);
    } else if (meta.root.epoch != root->epoch || meta.root.nonce != root->nonce) {
        text = sqlite3_mprintf("%s belongs to no database, but this one, '%s', keeps a root of it: "
                               "go on from the file with htt_adopt",
                               connection->name, own);
    } else {
        return SQLITE_OK; /* the first write takes it back */
    }
    *text_out = text;
    return text == NULL ? SQLITE_NOMEM : SQLITE_OK;
}

/* That the file is this database's, and goes on from its newest root. */
static int check_follows(const htt_connection *connection, const htt_host_root *root,
                         htt_report *report) {
    char *text = NULL;
    int rc = check_owner(connection, root, &text);
    if (rc == SQLITE_OK && text != NULL) {
        rc = check_add(report, 0, text);
    }
    sqlite3_free(text);
    if (rc == SQLITE_OK && htt_host_check_root(connection->store, root) != HTT_OK) {
        rc = check_add(report, 0, htt_errmsg(connection->store));
    }
    return rc;
}

/* Another connection to the database. NULL: it cannot be had. */
static sqlite3 *check_open(sqlite3 *db, const char *schema) {
    const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_PRIVATECACHE;
    const char *const path = htt_host_file_path(db, schema);
    sqlite3_vfs *vfs = NULL;
    sqlite3 *other = NULL;
    if (path == NULL ||
        sqlite3_file_control(db, schema, SQLITE_FCNTL_VFS_POINTER, &vfs) != SQLITE_OK ||
        vfs == NULL) {
        return NULL;
    }
    if (sqlite3_open_v2(path, &other, flags, vfs->zName) != SQLITE_OK) {
        (void)sqlite3_close(other);
        return NULL;
    }
    return other;
}

/* The row as it is now is that of this file's table, which was not dropped. */
static int check_read_live(htt_outbox *outbox, const htt_outbox_store *seen,
                           htt_outbox_store *row_out, bool *live_out) {
    char *ignored = NULL;
    bool found = false;
    const int rc = htt_outbox_read_store(outbox, &found, row_out, &ignored);
    sqlite3_free(ignored);
    *live_out = rc == SQLITE_OK && found && row_out->has_root &&
                row_out->state == HTT_STORE_LIVE &&
                memcmp(row_out->uuid, seen->uuid, sizeof seen->uuid) == 0;
    return rc;
}

enum { CHECK_TRIES = 5 }; /* that somebody may fold in between */

/*
 * The file is to follow the newest root of the database; one of an old snapshot says nothing of it:
 * the table may have been dropped meanwhile, and the file be another database's. What is said is
 * known only while the root stays as it is, so it is read before and after, through a connection
 * that has no older snapshot. Where it has to wait we have the database for us alone.
 */
static int check_newest(const htt_connection *connection, const htt_outbox_store *seen,
                        htt_report *report) {
    const htt_hosted *const hosted = connection->hosted;
    const size_t count = report->count;
    htt_outbox_store before;
    htt_outbox_store after;
    int rc = SQLITE_OK;
    bool live = true;
    if (hosted->based) { /* this transaction has the database's write lock */
        return check_follows(connection, &hosted->base, report);
    }
    sqlite3 *const db = check_open(connection->registry->db, connection->schema);
    htt_outbox *const outbox = db == NULL ? NULL : htt_outbox_new(db, "main", connection->name);
    for (int i = 0; outbox != NULL && live && i < CHECK_TRIES; i++) {
        const int read = check_read_live(outbox, seen, &before, &live);
        if ((read & 0xff) == SQLITE_BUSY) {
            rc = check_follows(connection, &seen->root, report);
        }
        if (!live) {
            break;
        }
        rc = check_follows(connection, &before.root, report);
        if (rc != SQLITE_OK || report->count == count ||
            (check_read_live(outbox, seen, &after, &live) == SQLITE_OK && live &&
             memcmp(before.root.record, after.root.record, sizeof before.root.record) == 0)) {
            break;
        }
        htt_report_cut(report, count); /* it was not so any more */
    }
    htt_outbox_free(outbox);
    (void)sqlite3_close(db);
    return rc;
}

/* The pages of the root that the snapshot has. */
static int check_root(const htt_connection *connection, const htt_host_root *root, unsigned depth,
                      htt_report *report, char **message_out) {
    htt_txn *txn = NULL;
    const htt_rc begun = htt_host_begin_read(connection->store, root, &txn);
    if (begun != HTT_OK) {
        const char *const text = htt_errmsg(connection->store);
        if (begun == HTT_MISMATCH || begun == HTT_CORRUPT ||
            (begun == HTT_SNAPSHOT && report->count > 0)) {
            return check_add_once(report, text);
        }
        return htt_rc_report(message_out, begun, HTT_SIDE_READ, text);
    }
    const int rc = check_pages(txn, depth, report, message_out);
    htt_abort(txn);
    return rc;
}

/* What the database says about the file. *row_out is filled in if *good_out. */
static int check_row(const htt_connection *connection, htt_report *report, bool *good_out,
                     htt_outbox_store *row_out, char **message_out) {
    htt_info info;
    bool found = false;
    *good_out = false;
    const int rc =
        htt_outbox_read_store(connection->hosted->outbox, &found, row_out, message_out);
    if (rc != SQLITE_OK) {
        return check_damage(report, rc, message_out);
    }
    htt_store_info(connection->store, &info);
    if (!found) {
        return check_add(report, 0, "htt_store has no row for this file");
    }
    if (memcmp(info.uuid, row_out->uuid, sizeof row_out->uuid) != 0) {
        return check_add(report, 0, "the row in htt_store is of another file");
    }
    if (row_out->state != HTT_STORE_LIVE) {
        return check_add(report, 0, "the row in htt_store is of a dropped table");
    }
    *good_out = true;
    return SQLITE_OK;
}

static int check_hosted(htt_connection *connection, unsigned depth, htt_report *report,
                        char **message_out) {
    const htt_hosted *const hosted = connection->hosted;
    sqlite3 *const db = connection->registry->db;
    uint64_t acknowledged;
    htt_outbox_store row;
    bool good;
    int rc = check_row(connection, report, &good, &row, message_out);
    if (rc != SQLITE_OK || !good) {
        return rc;
    }
    if (row.has_root) {
        rc = check_newest(connection, &row, report);
    }
    /* A large transaction has put its rows into pages and deleted them. */
    if (rc == SQLITE_OK && connection->writer == NULL) {
        rc = htt_outbox_check(db, connection->schema, row.id, row.has_root ? &row.root : NULL,
                              hosted->changes, check_take, report, message_out);
    }
    if (rc == SQLITE_OK) {
        rc = htt_outbox_read_consumers(hosted->outbox, &good, &acknowledged, message_out);
        rc = rc == SQLITE_OK ? rc : check_damage(report, rc, message_out);
    }
    if (rc != SQLITE_OK) {
        return rc;
    }
    return row.has_root && connection->writer == NULL
               ? check_root(connection, &row.root, depth, report, message_out)
               : check_seen(connection, depth, report, message_out);
}

static int check_run_depth(htt_table *table, unsigned depth, htt_report *report,
                           char **message_out) {
    htt_connection *const connection = table->connection;
    htt_snapshot snapshot = {0};
    int rc = htt_snapshot_hold(&snapshot, table, message_out);
    rc = rc == SQLITE_OK ? htt_connection_open(connection, &table->arguments, message_out) : rc;
    if (rc != SQLITE_OK) {
        htt_snapshot_end(&snapshot);
        return check_damage(report, rc, message_out);
    }
    rc = htt_snapshot_begin(&snapshot, table, message_out);
    if (rc == SQLITE_OK) {
        rc = connection->hosted != NULL ? check_hosted(connection, depth, report, message_out)
                                        : check_seen(connection, depth, report, message_out);
    }
    htt_snapshot_end(&snapshot);
    return rc;
}

static int check_fill(htt_table *table, htt_report *report, char **message_out) {
    const int rc = check_run_depth(table, HTT_CHECK_DEEP, report, message_out);
    if (rc != SQLITE_OK || report->count > 0) {
        return rc;
    }
    htt_report_row *const row = htt_report_add(report);
    if (row == NULL) {
        return SQLITE_NOMEM;
    }
    row->values[CHECK_PROBLEM] =
        (htt_report_value){.type = SQLITE_TEXT, .text = sqlite3_mprintf("ok")};
    return row->values[CHECK_PROBLEM].text == NULL ? SQLITE_NOMEM : SQLITE_OK;
}

int htt_function_check_table(htt_table *table, bool quick, char **problems_out) {
    htt_report report = {0};
    char *message = NULL;
    int rc = check_run_depth(table, quick ? HTT_CHECK_SHALLOW : HTT_CHECK_DEEP, &report, &message);
    if (rc != SQLITE_OK && message != NULL) {
        rc = check_add(&report, 0, message); /* what could not be checked is a problem, too */
    }
    sqlite3_free(message);
    sqlite3_str *const text = sqlite3_str_new(NULL);
    for (size_t i = 0; i < report.count && rc == SQLITE_OK; i++) {
        sqlite3_str_appendf(text, "%s%s: %s", i == 0 ? "" : "\n", table->name,
                            report.rows[i].values[CHECK_PROBLEM].text);
    }
    rc = rc == SQLITE_OK ? sqlite3_str_errcode(text) : rc;
    *problems_out = sqlite3_str_finish(text);
    htt_report_clear(&report);
    return rc;
}

static const htt_report_kind check_kind = {
    .name = "htt_check",
    .declare = "CREATE TABLE x(problem TEXT, \"table\" HIDDEN, schema HIDDEN, "
               "page INTEGER HIDDEN, reason TEXT HIDDEN)",
    .visible = 1,
    .fill = check_fill,
};

int htt_function_register_check(htt_registry *registry) {
    return htt_report_register(registry, &check_kind);
}
