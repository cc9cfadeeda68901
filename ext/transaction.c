/* SPDX-License-Identifier: MIT */
/*
 * SQLite's transaction over the engine's. A hosted file commits with the database (hosted.h); what
 * follows is said of a file that keeps its own root, and of a hosted one while its changes go into
 * pages.
 *
 *   xBegin        joined; free of charge: SQLite calls it for statements that change nothing
 *   first change  the engine's write transaction begins
 *   xSavepoint    remembered; the engine gets a savepoint before the next change, if there is one
 *   xRollbackTo   the engine goes back to it
 *   xSync         pages are written and synced: all that may fail, but for the last step
 *   xCommit       the meta page is written; if that fails the connection is poisoned
 *   xRollback     the engine's transaction is aborted
 *
 * Savepoint ids are positions in SQLite's stack. The rule that holds in every order of callbacks:
 *
 *   savepoint n    forget ids >= n, remember n here
 *   release n      forget ids >= n
 *   rollback to n  n is known: back to it, forget ids > n
 *                  else it was opened before we joined: back to where we joined
 *
 * One vtab leads: only its savepoint callbacks count. Another vtab of the same file that joins
 * later would be told of an open savepoint as if it were opened then. Who leads is not dropped or
 * created within the transaction (else the witness leads, witness.h), so it misses nothing.
 *
 * Invariants, checked by transaction_assert_state
 *   TXN-1  Not joined: no write transaction, no savepoints, nothing to declare.
 *   TXN-2  Ids of savepoints rise.
 *   TXN-3  First small savepoints, then those that the engine has, then those that it has not; it
 *          has them only in a write transaction.
 *   TXN-4  What was changed in a file that keeps its own root was changed in a write transaction.
 *
 * All of this is idempotent: two live vtabs of one file deliver sync and commit twice, and a sync
 * may be followed by more changes.
 */
#include "transaction.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

#include "connection.h"
#include "hosted.h"
#include "rc.h"

static void transaction_assert_state(const htt_connection *connection) {
    const htt_transaction *const transaction = &connection->transaction;
    assert(transaction->joined || connection->writer == NULL);   /* TXN-1 */
    assert(transaction->joined || transaction->count == 0);      /* TXN-1 */
    assert(transaction->joined || transaction->declare == NULL); /* TXN-1 */
    assert(!transaction->changed || connection->writer != NULL ||
           connection->hosted != NULL); /* TXN-4 */
    assert(transaction->count <= transaction->capacity);
    for (int i = 0; i < transaction->count; i++) {
        const htt_savepoint_entry *const entry = &transaction->entries[i];
        assert(entry->id >= 0);
        assert(i == 0 || entry[-1].id < entry->id);           /* TXN-2 */
        assert(i == 0 || entry[-1].placed || entry[-1].small || !entry->placed); /* TXN-3 */
        assert(i == 0 || entry[-1].small || !entry->small);   /* TXN-3 */
        assert(!entry->small || !entry->placed);              /* TXN-3 */
        assert(!entry->placed || connection->writer != NULL); /* TXN-3 */
        (void)entry;
    }
    (void)transaction;
}

int htt_transaction_join(htt_connection *connection, const void *leader, char **message_out) {
    htt_transaction *const transaction = &connection->transaction;
    transaction_assert_state(connection);
    if (connection->poison != NULL) {
        return htt_rc_say(message_out, SQLITE_ERROR, "%s", connection->poison);
    }
    if (!transaction->joined) {
        assert(connection->writer == NULL);
        assert(transaction->count == 0);
        transaction->joined = true;
        transaction->leader = leader;
    }
    return SQLITE_OK;
}

void htt_transaction_lead(htt_connection *connection, const void *leader) {
    assert(connection->transaction.joined);
    connection->transaction.leader = leader;
}

/* The engine's error in the write transaction. */
static int transaction_fail(htt_connection *connection, htt_rc rc, char **message_out) {
    return htt_rc_report(message_out, rc, HTT_SIDE_WRITE, htt_txn_errmsg(connection->writer));
}

/* Begins the write transaction for a change. */
static int transaction_begin(htt_connection *connection, char **message_out) {
    htt_transaction *const transaction = &connection->transaction;
    const bool behind = transaction->behind && connection->writer == NULL;
    const int rc = htt_connection_begin_write(connection, message_out);
    transaction->refused = rc == SQLITE_BUSY;
    if (rc != SQLITE_OK || !behind) {
        return rc;
    }
    transaction->behind = false; /* what is read from now on is what will be changed */
    return htt_rc_say(message_out, SQLITE_BUSY_SNAPSHOT,
                      "%s: another writer has changed what this transaction read",
                      connection->name);
}

int htt_transaction_change(htt_connection *connection, char **message_out) {
    htt_transaction *const transaction = &connection->transaction;
    transaction_assert_state(connection);
    assert(transaction->joined);
    const int rc = connection->hosted != NULL ? htt_hosted_change(connection, message_out)
                                              : transaction_begin(connection, message_out);
    if (rc != SQLITE_OK || connection->writer == NULL) {
        return rc;
    }
    /* Those that are not placed stand all at the same state: one savepoint serves them. */
    int first = transaction->count;
    while (first > 0 && !transaction->entries[first - 1].placed &&
           !transaction->entries[first - 1].small) {
        first--;
    }
    if (first < transaction->count) {
        uint32_t engine;
        const htt_rc failed = htt_savepoint(connection->writer, &engine);
        if (failed != HTT_OK) {
            return transaction_fail(connection, failed, message_out);
        }
        for (int i = first; i < transaction->count; i++) {
            transaction->entries[i].placed = true;
            transaction->entries[i].engine = engine;
            if (connection->hosted != NULL) {
                transaction->entries[i].seq = connection->hosted->seq;
                transaction->entries[i].token = connection->hosted->token;
            }
        }
    }
    return SQLITE_OK;
}

void htt_transaction_enlarged(htt_connection *connection) {
    htt_transaction *const transaction = &connection->transaction;
    for (int i = 0; i < transaction->count; i++) {
        assert(!transaction->entries[i].placed);
        transaction->entries[i].small = true;
    }
}

int htt_transaction_declare(htt_connection *connection, const char *declaration) {
    htt_transaction *const transaction = &connection->transaction;
    assert(transaction->joined);
    sqlite3_free(transaction->declare);
    transaction->declare = sqlite3_mprintf("%s", declaration);
    transaction->declare_depth = transaction->count;
    return transaction->declare == NULL ? SQLITE_NOMEM : SQLITE_OK;
}

static void transaction_forget_declare(htt_transaction *transaction) {
    sqlite3_free(transaction->declare);
    transaction->declare = NULL;
}

/* Index of the first entry with an id >= `id`, count = none. */
static int transaction_index(const htt_transaction *transaction, int id) {
    int index = 0;
    while (index < transaction->count && transaction->entries[index].id < id) {
        index++;
    }
    return index;
}

/* Forgets the entries from `index` on, in the engine too. Changes stay. */
static int transaction_drop(htt_connection *connection, int index, char **message_out) {
    htt_transaction *const transaction = &connection->transaction;
    if (index >= transaction->count) {
        return SQLITE_OK;
    }
    const htt_savepoint_entry entry = transaction->entries[index];
    /* An engine savepoint may serve several entries. */
    const bool shared = index > 0 && transaction->entries[index - 1].placed &&
                        transaction->entries[index - 1].engine == entry.engine;
    transaction->count = index;
    if (transaction->declare_depth > index) {
        transaction->declare_depth = index;
    }
    if (entry.placed && !shared) {
        const htt_rc rc = htt_release(connection->writer, entry.engine);
        if (rc != HTT_OK) {
            return transaction_fail(connection, rc, message_out);
        }
    }
    return SQLITE_OK;
}

/* Entries of the overlay that a rollback to here leaves, 0 = those of the begin. */
static size_t transaction_length(const htt_connection *connection) {
    const htt_hosted *const hosted = connection->hosted;
    return hosted != NULL && hosted->based && hosted->state != NULL
               ? htt_overlay_length(hosted->state->overlay)
               : 0;
}

int htt_transaction_savepoint(htt_connection *connection, const void *leader, int id,
                              char **message_out) {
    htt_transaction *const transaction = &connection->transaction;
    transaction_assert_state(connection);
    if (!transaction->joined || transaction->leader != leader) {
        return SQLITE_OK;
    }
    const int rc = transaction_drop(connection, transaction_index(transaction, id), message_out);
    if (rc != SQLITE_OK) {
        return rc;
    }
    if (transaction->count == transaction->capacity) {
        const int capacity = transaction->capacity == 0 ? 8 : transaction->capacity * 2;
        htt_savepoint_entry *const entries = sqlite3_realloc64(
            transaction->entries, (sqlite3_uint64)capacity * sizeof transaction->entries[0]);
        if (entries == NULL) {
            return SQLITE_NOMEM;
        }
        transaction->entries = entries;
        transaction->capacity = capacity;
    }
    transaction->entries[transaction->count++] = (htt_savepoint_entry){
        .id = id, .length = transaction_length(connection)};
    return SQLITE_OK;
}

int htt_transaction_release(htt_connection *connection, const void *leader, int id,
                            char **message_out) {
    htt_transaction *const transaction = &connection->transaction;
    transaction_assert_state(connection);
    if (!transaction->joined || transaction->leader != leader) {
        return SQLITE_OK;
    }
    return transaction_drop(connection, transaction_index(transaction, id), message_out);
}

/* A hosted file, back to a place where its changes were rows: the host knows which. */
static void transaction_undo_hosted(htt_connection *connection, size_t length) {
    htt_hosted *const hosted = connection->hosted;
    if (connection->writer != NULL) {
        htt_hosted_shrink(connection);
    }
    if (hosted->based) {
        htt_hosted_cut(hosted, length > hosted->begin ? length : hosted->begin, true);
    }
    hosted->settled = false;
    hosted->trimming = 0;
    for (int i = 0; i < connection->transaction.count; i++) {
        connection->transaction.entries[i].small = false;
        connection->transaction.entries[i].placed = false;
    }
}

/* Back to the state at which the transaction was joined. */
static void transaction_undo_all(htt_connection *connection) {
    htt_transaction *const transaction = &connection->transaction;
    if (connection->hosted != NULL) {
        transaction_undo_hosted(connection, 0);
    } else {
        htt_abort(connection->writer);
        connection->writer = NULL;
    }
    transaction->changed = false;
    transaction->count = 0;
    transaction_forget_declare(transaction);
}

int htt_transaction_rollback_to(htt_connection *connection, const void *leader, int id,
                                char **message_out) {
    htt_transaction *const transaction = &connection->transaction;
    transaction_assert_state(connection);
    if (!transaction->joined || transaction->leader != leader) {
        return SQLITE_OK;
    }
    const int index = transaction_index(transaction, id);
    if (index == transaction->count || transaction->entries[index].id != id) {
        transaction_undo_all(connection);
        return SQLITE_OK;
    }
    const htt_savepoint_entry entry = transaction->entries[index];
    const bool declared_since = transaction->declare_depth > index;
    if (connection->hosted != NULL && (connection->writer == NULL || entry.small)) {
        transaction_undo_hosted(connection, entry.length);
    } else if (entry.placed) {
        const htt_rc rc = htt_rollback_to(connection->writer, entry.engine);
        if (rc != HTT_OK) {
            return transaction_fail(connection, rc, message_out);
        }
        if (connection->hosted != NULL) { /* their rows in the outbox are gone */
            connection->hosted->seq = entry.seq;
            connection->hosted->token = entry.token;
        }
    }
    if (declared_since) {
        transaction_forget_declare(transaction);
    }
    /* rollback_to has forgotten the engine's later savepoints already. */
    transaction->count = index + 1;
    if (transaction->declare_depth > transaction->count) {
        transaction->declare_depth = transaction->count;
    }
    return SQLITE_OK;
}

int htt_transaction_sync(htt_connection *connection, char **message_out) {
    transaction_assert_state(connection);
    if (connection->hosted != NULL) {
        return htt_hosted_sync(connection, message_out);
    }
    if (connection->writer == NULL || !connection->transaction.changed) {
        return SQLITE_OK;
    }
    const htt_rc rc = htt_prepare(connection->writer);
    return rc == HTT_OK ? SQLITE_OK : transaction_fail(connection, rc, message_out);
}

/* SQLite's transaction is over. */
static void transaction_end(htt_connection *connection) {
    htt_transaction *const transaction = &connection->transaction;
    assert(connection->writer == NULL);
    transaction->joined = false;
    transaction->changed = false;
    transaction->refused = false;
    transaction->behind = false;
    transaction->leader = NULL;
    transaction->count = 0;
    transaction_forget_declare(transaction);
    htt_connection_settle(connection);
}

void htt_transaction_commit(htt_connection *connection) {
    htt_transaction *const transaction = &connection->transaction;
    transaction_assert_state(connection);
    if (!transaction->joined) {
        return;
    }
    const bool hosted = connection->hosted != NULL;
    if (hosted) {
        htt_hosted_commit(connection);
    }
    htt_txn *const writer = connection->writer;
    connection->writer = NULL;
    if (writer != NULL && transaction->changed) {
        const htt_rc rc = htt_commit(writer);
        if (rc != HTT_OK) {
            const char *const text = htt_errmsg(connection->store);
            htt_connection_poison(connection, text[0] != '\0' ? text : htt_strerror(rc));
        }
        connection->reader = NULL; /* new cursors see what was committed */
    } else {
        htt_abort(writer);
    }
    if (transaction->declare != NULL && connection->poison == NULL) {
        /* If this fails the file keeps a shorter declaration, which the table accepts. */
        (void)!(hosted ? htt_host_declare(connection->store, transaction->declare)
                       : htt_store_declare(connection->store, transaction->declare));
    }
    transaction_end(connection);
}

void htt_transaction_rollback(htt_connection *connection) {
    transaction_assert_state(connection);
    if (!connection->transaction.joined) {
        return;
    }
    if (connection->hosted != NULL) {
        htt_hosted_rollback(connection);
    }
    htt_abort(connection->writer);
    connection->writer = NULL;
    transaction_end(connection);
}
