/* SPDX-License-Identifier: MIT */
/*
 * Hosted files: from rows to pages, and the end of a transaction.
 *
 *   xSync      SMALL, below the threshold   nothing
 *              SMALL, above                 LARGE, then as below; where that fails the rows stay
 *              LARGE                        pages to the disk | root into htt_store
 *   xCommit    what was held is let go; after a DROP the file is released
 *   xRollback  the same; what it means is looked up by the next reader
 */
#include <assert.h>
#include <string.h>

#include "hosted.h"
#include "rc.h"

enum {
    FOLD_WAIT_MS = 100,           /* for another holder of the writer's right: none is expected */
    FOLD_BUCKET_BITS = 13,        /* a node has up to 8192 slots */
    FOLD_BUDGET = 8 * 1024 * 1024 /* a page that a sorted fold has left is not asked for again */
};
#define FOLD_OLD UINT32_MAX /* in place of a bucket: not the newest entry of its key */

static int fold_barrier(void *arg) {
    return htt_host_file_barrier(arg);
}

static htt_host_write fold_write(htt_hosted *hosted, uint64_t budget) {
    return (htt_host_write){.base = &hosted->base,
                            .acked = hosted->acked,
                            .certain = hosted->kind == HTT_HOST_ROLLBACK,
                            .owner = &hosted->owner,
                            .nonce = hosted->nonce,
                            .wait_ms = FOLD_WAIT_MS,
                            .budget = budget,
                            .barrier = fold_barrier,
                            .arg = &hosted->file};
}

/* ------------------------------------------------------------------- large */

static htt_rc fold_apply_change(htt_txn *writer, const htt_change *change) {
    if (change->op != HTT_OP_DEL) {
        return htt_put(writer, change->key, change->value, 0);
    }
    const htt_rc rc = htt_del(writer, change->key);
    return rc == HTT_NOTFOUND ? HTT_OK : rc;
}

/* The bucket of an entry of the overlay, buckets being in the order of the tree. */
static uint32_t fold_bucket(htt_txn *writer, const htt_overlay *overlay, size_t index) {
    return htt_host_order(writer, htt_overlay_at(overlay, index)->key) >> (32 - FOLD_BUCKET_BITS);
}

/*
 * The entries that are the newest of their key, sorted by bucket. *count_out of them; NULL: no
 * memory for it.
 */
static uint32_t *fold_sort(htt_txn *writer, const htt_overlay *overlay, size_t *count_out) {
    const size_t length = htt_overlay_length(overlay);
    const size_t buckets = (size_t)1 << FOLD_BUCKET_BITS;
    uint32_t *const entries =
        sqlite3_malloc64((2 * length + buckets) * sizeof *entries); /* entries, buckets, ends */
    if (entries == NULL) {
        return NULL;
    }
    uint32_t *const bucket_of = entries + length;
    uint32_t *const ends = bucket_of + length;
    memset(ends, 0, buckets * sizeof *ends);
    for (size_t i = 0; i < length; i++) {
        bucket_of[i] = FOLD_OLD;
        if (htt_overlay_is_newest(overlay, length, i)) {
            bucket_of[i] = fold_bucket(writer, overlay, i);
            ends[bucket_of[i]]++;
        }
    }
    for (size_t i = 1; i < buckets; i++) {
        ends[i] += ends[i - 1];
    }
    *count_out = ends[buckets - 1];
    for (size_t i = length; i-- > 0;) {
        if (bucket_of[i] != FOLD_OLD) {
            entries[--ends[bucket_of[i]]] = (uint32_t)i;
        }
    }
    return entries;
}

/* Rows that come in the order of a small tree make all its pages split at one side. */
static bool fold_sorts(const htt_reader *state) {
    return state->root.keys > 2 * (uint64_t)htt_overlay_length(state->overlay);
}

/* Every row of the outbox into pages, the newest of each key, in the order of the tree. */
static htt_rc fold_apply(htt_txn *writer, const htt_reader *state) {
    const htt_overlay *const overlay = state->overlay;
    const size_t length = htt_overlay_length(overlay);
    size_t count = length;
    htt_rc rc = HTT_OK;
    uint32_t *const entries = fold_sorts(state) ? fold_sort(writer, overlay, &count) : NULL;
    for (size_t i = 0; rc == HTT_OK && i < count; i++) {
        const size_t index = entries == NULL ? i : entries[i];
        if (entries != NULL || htt_overlay_is_newest(overlay, length, index)) {
            rc = fold_apply_change(writer, htt_overlay_at(overlay, index));
        }
    }
    sqlite3_free(entries);
    return rc;
}

/* `alone`: nothing else will be written in this transaction. */
static int fold_enlarge(htt_connection *connection, bool alone, char **message_out) {
    htt_hosted *const hosted = connection->hosted;
    const htt_host_write write =
        fold_write(hosted, alone && fold_sorts(hosted->state) ? FOLD_BUDGET : 0);
    htt_txn *writer = NULL;
    assert(hosted->based);
    assert(connection->writer == NULL);
    htt_rc rc = htt_host_begin_write(connection->store, &write, &writer);
    if (rc != HTT_OK) {
        hosted->stuck = true;
        return htt_rc_report(message_out, rc, HTT_SIDE_READ, htt_errmsg(connection->store));
    }
    hosted->nonce = htt_host_nonce(writer);
    hosted->claim = htt_host_generation(connection->store); /* nobody else writes meta pages now */
    rc = fold_apply(writer, hosted->state);
    if (rc != HTT_OK) {
        hosted->stuck = true;
        const int code = htt_rc_report(message_out, rc, HTT_SIDE_READ, htt_txn_errmsg(writer));
        htt_host_finish(writer, false);
        return code;
    }
    const htt_reader *const state = hosted->state;
    const size_t length = htt_overlay_length(state->overlay);
    /* Every root has a seq of its own: a database put together of old and new pages shows. */
    hosted->seq = state->root.seq + (length > 0 || hosted->changes ? length : 1);
    hosted->token = length == 0 ? htt_host_first_token(&state->root)
                                : htt_overlay_at(state->overlay, length - 1)->token;
    hosted->direct = false;
    connection->writer = writer;
    htt_transaction_enlarged(connection);
    htt_hosted_release(connection);
    return SQLITE_OK;
}

int htt_hosted_enlarge(htt_connection *connection, char **message_out) {
    return fold_enlarge(connection, false, message_out);
}

/* In the midst of a large statement: its rows need not stay in the outbox. */
int htt_hosted_enlarge_for_good(htt_connection *connection, char **message_out) {
    const int rc = htt_hosted_enlarge(connection, message_out);
    if (rc != SQLITE_OK) {
        return rc;
    }
    connection->hosted->direct = true; /* HOSTED-3 */
    return htt_hosted_trim(connection, connection->hosted->seq, message_out);
}

void htt_hosted_shrink(htt_connection *connection) {
    htt_hosted *const hosted = connection->hosted;
    htt_host_finish(connection->writer, false);
    connection->writer = NULL;
    hosted->direct = false;
    hosted->trimming = 0;  /* it was rolled back too */
    hosted->known = false; /* HOSTED-1 */
}

int htt_hosted_trim(htt_connection *connection, uint64_t seq, char **message_out) {
    htt_hosted *const hosted = connection->hosted;
    uint64_t most = seq;
    int rc = SQLITE_OK;
    if (seq == hosted->trimmed || seq == hosted->trimming) {
        return SQLITE_OK;
    }
    if (hosted->changes) {
        uint64_t acknowledged = 0;
        bool found = false;
        rc = htt_outbox_read_consumers(hosted->outbox, &found, &acknowledged, message_out);
        if (rc != SQLITE_OK) {
            return rc;
        }
        most = most > hosted->changes_keep ? most - hosted->changes_keep : 0;
        most = found && acknowledged < most ? acknowledged : most;
    }
    if (most > 0) {
        rc = htt_outbox_trim(hosted->outbox, most, false, message_out);
    }
    hosted->trimming = rc == SQLITE_OK ? seq : hosted->trimming;
    return rc;
}

int htt_hosted_publish(htt_connection *connection, bool commits, char **message_out) {
    htt_hosted *const hosted = connection->hosted;
    htt_host_root root;
    assert(connection->writer != NULL);
    const htt_rc published =
        commits ? htt_host_publish(connection->writer, hosted->seq, &root)
                : htt_host_flush(connection->writer, hosted->seq, &root);
    if (published != HTT_OK) {
        const int code = htt_rc_report(message_out, published, HTT_SIDE_WRITE,
                                       htt_txn_errmsg(connection->writer));
        if (hosted->direct) {
            return code; /* these changes are nowhere else: the transaction ends */
        }
        htt_hosted_shrink(connection); /* a fold is never needed */
        hosted->stuck = true;
        sqlite3_free(*message_out);
        *message_out = NULL;
        return SQLITE_OK;
    }
    /* After a COMMIT that was refused the row may have been rolled back to any root of ours. */
    htt_outbox_store row;
    bool found = false;
    int rc = htt_outbox_read_store(hosted->outbox, &found, &row, message_out);
    if (rc != SQLITE_OK) {
        return rc;
    }
    hosted->dropped = found && row.state == HTT_STORE_DROPPED;
    if (!found || !row.has_root ||
        (row.root.nonce != hosted->nonce && row.root.nonce != hosted->base.nonce)) {
        return htt_rc_say(message_out, SQLITE_ERROR,
                          "%s.htt_store: the row of '%s' was changed in this transaction",
                          connection->schema, connection->name);
    }
    return htt_outbox_replace_root(hosted->file.db, connection->schema, row.id, &root,
                                   message_out);
}

/* -------------------------------------------------------------------- sync */

/* The outbox is what the overlay says: a rollback that nobody told us of would show here. */
static int fold_check_rows(htt_connection *connection, char **message_out) {
    htt_hosted *const hosted = connection->hosted;
    const htt_reader *const state = hosted->state;
    const size_t length = htt_overlay_length(state->overlay);
    uint64_t token = 0;
    bool found = false;
    if (length == 0 || hosted->alone) {
        return SQLITE_OK; /* nothing could go back to a place within one statement unseen */
    }
    const int rc = htt_outbox_read_token(hosted->outbox, state->root.seq + length, &found, &token,
                                         message_out);
    if (rc != SQLITE_OK) {
        return rc;
    }
    if (!found || token != htt_overlay_at(state->overlay, length - 1)->token) {
        hosted->known = false;
        return htt_rc_say(message_out, SQLITE_ERROR,
                          "htt_outbox: rows of store %lld were changed in this transaction by "
                          "other means than its table",
                          (long long)hosted->row.id);
    }
    return SQLITE_OK;
}

static htt_rc fold_find_attempt(htt_connection *connection, uint64_t *attempt_out) {
    htt_hosted *const hosted = connection->hosted;
    const htt_host_write write = fold_write(hosted, 0);
    return htt_host_outstanding(connection->store, &write, hosted->nonce, attempt_out);
}

int htt_hosted_is_in_doubt(htt_connection *connection, bool *open_out, char **message_out) {
    uint64_t attempt = 0;
    const htt_rc rc = fold_find_attempt(connection, &attempt);
    *open_out = attempt != 0;
    return rc == HTT_OK ? SQLITE_OK
                        : htt_rc_report(message_out, rc, HTT_SIDE_READ,
                                        htt_errmsg(connection->store));
}

int htt_hosted_acknowledge(htt_connection *connection, char **message_out) {
    htt_hosted *const hosted = connection->hosted;
    const uint64_t generation = htt_host_generation(connection->store);
    uint64_t attempt = 0;
    if (generation != 0 && hosted->calm == generation) {
        return SQLITE_OK;
    }
    if (fold_find_attempt(connection, &attempt) != HTT_OK) {
        return SQLITE_OK; /* only a fold needs to know */
    }
    if (attempt == 0) {
        hosted->calm = hosted->nonce == 0 ? generation : 0; /* its own is another's later */
        return SQLITE_OK;
    }
    hosted->rewritten = true;
    return htt_outbox_write_acked(hosted->outbox, attempt, message_out);
}

/* A fold that does not come now comes with a later commit. */
static int fold_try(htt_connection *connection, char **message_out) {
    htt_hosted *const hosted = connection->hosted;
    sqlite3_free(hosted->unfolded);
    hosted->unfolded = NULL;
    if (hosted->stuck) {
        hosted->unfolded = sqlite3_mprintf("it failed before in this transaction");
    } else if (fold_enlarge(connection, true, message_out) == SQLITE_OK) {
        hosted->folded = htt_overlay_length(hosted->state->overlay);
    } else {
        hosted->unfolded = *message_out;
        *message_out = NULL;
        return hosted->fold_wanted ? htt_hosted_acknowledge(connection, message_out) : SQLITE_OK;
    }
    return SQLITE_OK;
}

int htt_hosted_sync(htt_connection *connection, char **message_out) {
    htt_hosted *const hosted = connection->hosted;
    int rc;
    if (!hosted->based && !hosted->fold_wanted) {
        return SQLITE_OK;
    }
    if (connection->writer == NULL) {
        rc = htt_hosted_begin(connection, message_out);
        if (rc != SQLITE_OK && hosted->gone) { /* a CREATE was rolled back */
            sqlite3_free(*message_out);
            *message_out = NULL;
            return SQLITE_OK;
        }
        rc = rc == SQLITE_OK ? fold_check_rows(connection, message_out) : rc;
        if (rc != SQLITE_OK) {
            return rc;
        }
        hosted->compared = true;
        const htt_overlay *const overlay = hosted->state->overlay;
        const bool wanted = hosted->fold_wanted ||
                            htt_overlay_length(overlay) >= hosted->fold_rows ||
                            htt_overlay_bytes(overlay) >= hosted->fold_bytes;
        if (wanted && htt_overlay_length(overlay) > 0) {
            rc = fold_try(connection, message_out);
            if (rc != SQLITE_OK) {
                return rc;
            }
        }
    }
    rc = connection->writer == NULL ? SQLITE_OK
                                    : htt_hosted_publish(connection, true, message_out);
    /* Frames of a commit that fails may come back by a recovery, with the row: the file stays. */
    hosted->claimed = hosted->claimed && (rc != SQLITE_OK || hosted->kind != HTT_HOST_WAL);
    return rc;
}

/* --------------------------------------------------------------------- end */

/*
 * After a commit: the state in memory is that of the host. SQLite's pager counts up by one for a
 * commit of its own, and by one when it sees that another one's came first; while we wrote, no
 * other could.
 */
static bool fold_is_ours(htt_hosted *hosted) {
    uint32_t version;
    if (!hosted->based || !hosted->known || !hosted->compared || hosted->rewritten ||
        hosted->dropped || htt_host_file_version(&hosted->file, &version) != SQLITE_OK ||
        version != hosted->version + 1) {
        return false;
    }
    hosted->version = version;
    return true;
}

static void fold_end(htt_connection *connection, bool committed) {
    htt_hosted *const hosted = connection->hosted;
    const bool wrote = hosted->based || hosted->rewritten;
    const bool ours = committed && connection->writer == NULL &&
                      (wrote ? fold_is_ours(hosted) : hosted->known);
    htt_hosted_release(connection);
    if (connection->writer != NULL) {
        htt_host_finish(connection->writer, committed);
        connection->writer = NULL;
    }
    if (committed) {
        hosted->trimmed = hosted->trimming != 0 ? hosted->trimming : hosted->trimmed;
    } else if (hosted->based) {
        htt_hosted_cut(hosted, hosted->begin, false);
    }
    hosted->trimming = 0;
    hosted->known = ours; /* HOSTED-1 */
    hosted->rewritten = false;
    hosted->compared = false;
    hosted->based = false;
    hosted->nonce = 0;
    hosted->direct = false;
    hosted->settled = false;
    hosted->stuck = false;
    hosted->fold_wanted = false;
    hosted->dropped = false;
}

/*
 * The table is gone: the file gets its last root and belongs to nobody. Nobody can take it up again
 * before, since that needs the writer's right, which this transaction holds. Where it fails the
 * row in htt_store tells, and htt_gc does it.
 */
static void fold_release_file(htt_connection *connection) {
    htt_hosted *const hosted = connection->hosted;
    if (connection->writer == NULL || htt_host_file_barrier(&hosted->file) != 0) {
        return;
    }
    htt_host_root root;
    if (htt_host_publish(connection->writer, hosted->seq, &root) == HTT_OK) {
        (void)!htt_host_checkpoint(connection->store, &root, true, connection->writer);
    }
}

/* The row that was to keep the root is not there: a program without SQLite may write the file. */
static void fold_end_claim(htt_connection *connection, bool gone) {
    htt_hosted *const hosted = connection->hosted;
    if (hosted->claimed && gone) {
        (void)!htt_host_unclaim(connection->store, &hosted->owner, hosted->claim);
    }
    hosted->claimed = false;
}

void htt_hosted_commit(htt_connection *connection) {
    htt_hosted *const hosted = connection->hosted;
    const bool gone = hosted->gone && connection->writer == NULL; /* ROLLBACK TO before a CREATE */
    if (hosted->dropped) {
        fold_release_file(connection);
    }
    hosted->wrote = hosted->wrote || hosted->based;
    fold_end(connection, true);
    fold_end_claim(connection, gone);
}

void htt_hosted_rollback(htt_connection *connection) {
    fold_end(connection, false);
    fold_end_claim(connection, true);
}
