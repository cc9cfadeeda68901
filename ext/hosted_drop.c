/* SPDX-License-Identifier: MIT */
/*
 * Hosted files: DROP and CREATE of their tables.
 *
 *     live --DROP--> dropped: all is in pages, the row keeps the last root
 *       ^               |
 *       |               | after the commit: the file gets that root and belongs to nobody
 *       +----CREATE-----+
 *
 * The row stays until htt_gc or a CREATE: if the process dies before the file was released, it is
 * what knows the file's last root.
 */
#include <assert.h>
#include <string.h>

#include "hosted.h"
#include "rc.h"
#include "store_row.h"
#include "witness.h"

/* Everything into pages, and the root into the row, which says that the table is dropped. */
static int drop_fold(htt_connection *connection, char **message_out) {
    htt_hosted *const hosted = connection->hosted;
    /* LARGE already: the savepoints are to lead back to the number before. */
    int rc = connection->writer == NULL ? htt_hosted_enlarge(connection, message_out)
                                        : htt_transaction_change(connection, message_out);
    if (rc != SQLITE_OK) {
        return rc;
    }
    hosted->direct = true; /* rows are about to go: a failure from here on is one of the DROP */
    if (hosted->seq < (uint64_t)HTT_OUTBOX_SEQ_MAX) {
        hosted->seq++; /* left out: who follows the changes sees that they are interrupted here */
    }
    rc = htt_hosted_publish(connection, false, message_out);
    if (rc == SQLITE_OK) {
        rc = htt_outbox_write_state(hosted->outbox, HTT_STORE_DROPPED, message_out);
    }
    if (rc == SQLITE_OK) {
        rc = htt_outbox_trim(hosted->outbox, (uint64_t)HTT_OUTBOX_SEQ_MAX, true, message_out);
    }
    return rc;
}

/*
 * While the outcome of an earlier attempt is open no page is written. It is declared dead, and root
 * and rows stay as they are: a CREATE takes them up, and htt_gc releases the file.
 */
static int drop_rows(htt_connection *connection, char **message_out) {
    const int rc = htt_hosted_acknowledge(connection, message_out);
    return rc == SQLITE_OK ? htt_outbox_write_state(connection->hosted->outbox, HTT_STORE_DROPPED,
                                                    message_out)
                           : rc;
}

static int drop_run(htt_connection *connection, char **message_out) {
    htt_hosted *const hosted = connection->hosted;
    bool open = false;
    int rc = htt_hosted_begin(connection, message_out);
    hosted->rewritten = true;
    if (rc == SQLITE_OK && connection->writer == NULL) {
        rc = htt_hosted_is_in_doubt(connection, &open, message_out);
    }
    if (rc != SQLITE_OK) {
        return rc;
    }
    if (open) {
        return drop_rows(connection, message_out);
    }
    rc = drop_fold(connection, message_out);
    hosted->dropped = rc == SQLITE_OK;
    return rc;
}

/*
 * The file is another database's, or does not go on from the root: nothing can be put into it, and
 * nothing that is in it is lost. The row goes as where there is no file at all.
 */
static bool drop_is_lost(htt_connection *connection) {
    const htt_hosted *const hosted = connection->hosted;
    htt_outbox_store row;
    htt_host_meta meta;
    char *message = NULL;
    bool found = false;
    if (connection->writer != NULL || hosted->based) {
        return false;
    }
    const int rc = htt_outbox_read_store(hosted->outbox, &found, &row, &message);
    sqlite3_free(message);
    if (rc != SQLITE_OK || !found) {
        return (rc & 0xff) == SQLITE_CORRUPT; /* its root record is damaged */
    }
    const htt_rc read = row.has_root ? htt_host_read_meta(connection->store, &meta) : HTT_OK;
    if (!row.has_root || read != HTT_OK) {
        return read == HTT_CORRUPT;
    }
    const bool owned = meta.owner.path[0] == '\0' ||
                       htt_host_is_owner(&meta.owner, &hosted->owner);
    return !owned || htt_host_check_root(connection->store, &row.root) == HTT_MISMATCH;
}

int htt_hosted_drop(htt_connection *connection, bool *done_out, char **message_out) {
    htt_hosted *const hosted = connection->hosted;
    *done_out = false;
    if (hosted == NULL || connection->store == NULL || drop_is_lost(connection)) {
        return SQLITE_OK;
    }
    int rc = connection->writer != NULL ? SQLITE_OK
                                        : htt_hosted_refresh(connection, message_out);
    if (rc != SQLITE_OK || (connection->writer == NULL && !hosted->row.has_root)) {
        return rc;
    }
    rc = htt_witness_join(connection, message_out);
    rc = rc == SQLITE_OK ? drop_run(connection, message_out) : rc;
    if (rc == SQLITE_OK) {
        connection->transaction.changed = true;
        *done_out = true;
    }
    return rc;
}

/*
 * The root of a dropped row is behind its file, which is ours. It was released, written, and then
 * claimed by a CREATE that a crash took back: what is in the file counts, as without the row. Not
 * where the outbox has rows: such a file was not released, so the database was restored alone.
 */
static bool revive_is_behind(htt_connection *connection, const htt_outbox_store *row,
                             const htt_host_root *root) {
    htt_outbox_row last = {0};
    char *message = NULL;
    bool found = false;
    if (row->state != HTT_STORE_DROPPED || root->epoch <= row->root.epoch) {
        return false;
    }
    const int rc = htt_outbox_read_last(connection->hosted->outbox, (uint64_t)HTT_OUTBOX_SEQ_MAX,
                                        &found, &last, &message);
    sqlite3_free(message);
    return rc == SQLITE_OK && (!found || last.seq <= row->root.seq);
}

/* Makes the file ours. *anew_out: it counts, with *root_out, and not what the row says. */
static htt_rc revive_claim(htt_connection *connection, const htt_outbox_store *row, bool *anew_out,
                           htt_host_root *root_out) {
    htt_host_meta meta;
    htt_rc rc = htt_host_read_meta(connection->store, &meta);
    /* Waits for a DROP that has not released the file yet. */
    rc = rc == HTT_OK ? htt_hosted_claim(connection, root_out) : rc;
    *anew_out = rc == HTT_OK && meta.owner.path[0] == '\0';
    if (rc != HTT_OK || *anew_out) {
        return rc;
    }
    rc = htt_host_check_root(connection->store, &row->root);
    *anew_out = rc == HTT_MISMATCH && revive_is_behind(connection, row, root_out);
    return *anew_out ? HTT_OK : rc;
}

/* The row is of this file: its root, if the file still goes on from it. */
static int revive_row(htt_connection *connection, const htt_outbox_store *row,
                      char **message_out) {
    htt_hosted *const hosted = connection->hosted;
    htt_host_root root;
    bool anew = false;
    hosted->known = false;
    if (row->has_root && connection->writer == NULL) {
        const htt_rc rc = revive_claim(connection, row, &anew, &root);
        if (rc != HTT_OK) {
            return htt_rc_report(message_out, rc, HTT_SIDE_READ, htt_errmsg(connection->store));
        }
        if (anew) {
            bool same = false;
            const int code =
                htt_outbox_write_root(hosted->outbox, &row->root, &root, &same, message_out);
            if (code != SQLITE_OK) {
                return code;
            }
        }
    }
    hosted->dropped = false;
    return row->state == HTT_STORE_DROPPED
               ? htt_outbox_write_state(hosted->outbox, HTT_STORE_LIVE, message_out)
               : SQLITE_OK;
}

int htt_hosted_create_row(htt_connection *connection, const uint8_t uuid[HTT_UUID_SIZE],
                          char **message_out) {
    sqlite3 *const db = connection->registry->db;
    htt_hosted *const hosted = connection->hosted;
    bool found = false;
    int rc = SQLITE_OK;
    if (hosted != NULL) {
        htt_outbox_store row;
        hosted->rewritten = true;
        rc = htt_outbox_read_store(hosted->outbox, &found, &row, message_out);
        if (rc == SQLITE_OK && found && memcmp(row.uuid, uuid, HTT_UUID_SIZE) == 0) {
            return revive_row(connection, &row, message_out);
        }
        if (rc == SQLITE_OK && found) {
            rc = htt_outbox_delete_store(hosted->outbox, message_out);
        }
    }
    if (rc != SQLITE_OK) {
        return rc;
    }
    if (hosted != NULL) {
        hosted->known = false;
    }
    return htt_store_row_write(db, connection->schema, connection->name, uuid, message_out);
}
