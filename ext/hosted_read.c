/* SPDX-License-Identifier: MIT */
/*
 * Hosted files: from the snapshot of the running statement to the state that is read.
 *
 *     DATA_VERSION as before, nothing rolled back  ->  the state in memory is right; no SQL
 *     the root is the same, and so is the last row
 *       that we know (its token)                   ->  rows behind it are added
 *     rows were rolled back, what is left is ours  ->  the overlay is cut
 *     else                                         ->  a new state; cursors keep the old one
 */
#include <assert.h>
#include <string.h>

#include "hosted.h"
#include "rc.h"

static void read_free(htt_reader *reader) {
    htt_abort(reader->txn);
    htt_overlay_free(reader->overlay);
    sqlite3_free(reader);
}

static htt_reader *read_new(const htt_host_root *root) {
    htt_reader *const reader = sqlite3_malloc64(sizeof *reader);
    if (reader == NULL) {
        return NULL;
    }
    *reader = (htt_reader){.references = 1, .root = *root};
    reader->overlay = htt_overlay_new();
    if (reader->overlay == NULL) {
        sqlite3_free(reader);
        return NULL;
    }
    return reader;
}

void htt_hosted_forget(htt_hosted *hosted) {
    htt_reader *const state = hosted->state;
    hosted->state = NULL;
    hosted->known = false;
    hosted->found.set = false;
    if (state != NULL) {
        assert(state->references > 0);
        state->references--;
        if (state->references == 0) {
            read_free(state);
        }
    }
}

/* ---------------------------------------------------------------- following */

/* The token of the overlay's entry before `length`, or the one that a chain begins with. */
static uint64_t read_token(const htt_reader *state, size_t length) {
    return length == 0 ? htt_host_first_token(&state->root)
                       : htt_overlay_at(state->overlay, length - 1)->token;
}

/* Adds the rows that the overlay has not. */
static int read_rows(htt_hosted *hosted, char **message_out) {
    htt_reader *const state = hosted->state;
    const size_t length = htt_overlay_length(state->overlay);
    uint64_t token = read_token(state, length);
    bool found = true;
    int rc = htt_outbox_begin_rows(hosted->outbox, state->root.seq + length, message_out);
    while (rc == SQLITE_OK && found) {
        htt_outbox_row row;
        rc = htt_outbox_next_row(hosted->outbox, &found, &row, message_out);
        if (rc != SQLITE_OK || !found) {
            break;
        }
        token = htt_host_token(token, row.seq, (unsigned)row.op, row.key, row.value);
        if (token != row.token) {
            rc = htt_rc_say(message_out, SQLITE_CORRUPT_VTAB,
                            "htt_outbox: row %lld of store %lld was changed, or a row before it: "
                            "its token does not fit",
                            (long long)row.seq, (long long)hosted->row.id);
            break;
        }
        rc = htt_overlay_reserve(state->overlay, 1, row.key.size + row.value.size);
        if (rc == SQLITE_OK) {
            htt_overlay_add(state->overlay, row.op, row.key, row.value, token);
        }
    }
    if (rc != SQLITE_OK) {
        htt_outbox_end_rows(hosted->outbox);
    }
    return rc;
}

/* Cuts off what the host does not have. *same_out false: the overlay is another one's past. */
static int read_compare(htt_hosted *hosted, bool *same_out, char **message_out) {
    htt_reader *const state = hosted->state;
    const size_t length = htt_overlay_length(state->overlay);
    htt_outbox_row last = {0};
    bool found = false;
    *same_out = true;
    if (length == 0) {
        return SQLITE_OK;
    }
    const int rc = htt_outbox_read_last(hosted->outbox, state->root.seq + length, &found, &last,
                                        message_out);
    if (rc != SQLITE_OK) {
        return rc;
    }
    const size_t kept = found && last.seq > state->root.seq ? (size_t)(last.seq - state->root.seq)
                                                            : 0;
    assert(kept <= length);
    *same_out = kept == 0 || read_token(state, kept) == last.token;
    if (*same_out && kept < length) {
        hosted->found.set = false;
        htt_overlay_cut(state->overlay, kept);
    }
    return SQLITE_OK;
}

/* The row has a root: the state over it. */
static int read_follow(htt_hosted *hosted, char **message_out) {
    const htt_host_root *const root = &hosted->row.root;
    bool same = hosted->state != NULL && memcmp(hosted->state->root.record, root->record,
                                                sizeof root->record) == 0;
    if (same) {
        const int rc = read_compare(hosted, &same, message_out);
        if (rc != SQLITE_OK) {
            return rc;
        }
    }
    if (!same) {
        htt_hosted_forget(hosted);
        hosted->state = read_new(root);
        if (hosted->state == NULL) {
            return SQLITE_NOMEM;
        }
    }
    return read_rows(hosted, message_out);
}

/* Another connection may have given the table another file: this one is opened no more. */
static int read_check_file(htt_connection *connection, char **message_out) {
    htt_info info;
    htt_store_info(connection->store, &info);
    if (memcmp(info.uuid, connection->hosted->row.uuid, sizeof info.uuid) == 0) {
        return SQLITE_OK;
    }
    connection->replaced = true;
    /* SQLite prepares the statement anew and tries again; then the right file is opened. */
    return htt_rc_say(message_out, SQLITE_SCHEMA,
                      "the table with the file %s goes on with another file now (htt_adopt): try "
                      "again",
                      connection->name);
}

int htt_hosted_refresh(htt_connection *connection, char **message_out) {
    htt_hosted *const hosted = connection->hosted;
    uint32_t version;
    bool found = false;
    int rc = htt_host_file_version(&hosted->file, &version);
    if (rc != SQLITE_OK) {
        return htt_rc_say(message_out, rc, "%s: cannot ask the database for its version",
                          connection->name);
    }
    if (hosted->known && hosted->version == version) {
        return SQLITE_OK;
    }
    hosted->known = false; /* HOSTED-1 */
    hosted->fits = 0;      /* it was said of the row as it was */
    hosted->calm = 0;
    htt_hosted_release(connection);
    rc = htt_outbox_read_store(hosted->outbox, &found, &hosted->row, message_out);
    hosted->gone = rc == SQLITE_OK && !found;
    if (rc == SQLITE_OK && found) {
        rc = read_check_file(connection, message_out);
    }
    if (hosted->gone) {
        rc = htt_rc_say(message_out, SQLITE_ERROR,
                        "%s.htt_store has no row for '%s': the table cannot tell which file is "
                        "its own",
                        connection->schema, connection->name);
    }
    if (rc != SQLITE_OK) {
        return rc;
    }
    if (hosted->row.has_root) {
        rc = read_follow(hosted, message_out);
        if (rc != SQLITE_OK) {
            htt_hosted_forget(hosted); /* it may have been added to */
            return rc;
        }
    } else {
        htt_hosted_forget(hosted);
    }
    hosted->version = version;
    hosted->known = true;
    return SQLITE_OK;
}

void htt_hosted_cut(htt_hosted *hosted, size_t length, bool spare_cursors) {
    const unsigned own = hosted->held != NULL && hosted->held == hosted->state ? 2 : 1;
    if (spare_cursors && hosted->state != NULL && hosted->state->references > own) {
        htt_hosted_forget(hosted);
    } else if (hosted->state != NULL && htt_overlay_length(hosted->state->overlay) > length) {
        htt_overlay_cut(hosted->state->overlay, length);
    }
    hosted->known = false; /* HOSTED-1 */
    hosted->found.set = false;
}

void htt_hosted_note(htt_hosted *hosted, const htt_source *source, htt_datum key) {
    htt_hosted_found *const found = &hosted->found;
    found->set = hosted->state != NULL && source->overlay == hosted->state->overlay &&
                 key.size <= sizeof found->bytes;
    if (found->set) {
        found->type = key.type;
        found->size = (uint8_t)key.size;
        found->length = source->length;
        if (key.size > 0) {
            memcpy(found->bytes, key.data, key.size);
        }
    }
}

bool htt_hosted_is_noted(const htt_hosted *hosted, htt_datum key) {
    const htt_hosted_found *const found = &hosted->found;
    return found->set && found->length == htt_overlay_length(hosted->state->overlay) &&
           htt_host_same_key(htt_bytes(found->bytes, found->size, (htt_type)found->type), key);
}

uint64_t htt_hosted_estimate(const htt_hosted *hosted) {
    return hosted->state == NULL ? 0
                                 : hosted->state->root.keys +
                                       htt_overlay_length(hosted->state->overlay);
}

/* ------------------------------------------------------------- take and give */

/* A root that the file does not follow is no reason to end the user's transaction. */
static int read_fail(htt_rc rc, const char *text, char **message_out) {
    if (rc == HTT_MISMATCH) {
        return htt_rc_say(message_out, SQLITE_CORRUPT_VTAB, "%s", text);
    }
    return htt_rc_report(message_out, rc, HTT_SIDE_READ, text);
}

/*
 * Pages of the snapshot are gone. A new transaction helps, unless the database is an older one than
 * the file, as after a restore: no snapshot that is taken after a meta page was seen is older than
 * that page, where both belong together.
 */
static int read_fail_gone(htt_connection *connection, const htt_reader *state, const char *text,
                          char **message_out) {
    htt_hosted *const hosted = connection->hosted;
    htt_host_meta meta;
    const bool again = sqlite3_get_autocommit(connection->registry->db) != 0;
    (void)htt_rc_report(message_out, HTT_SNAPSHOT, HTT_SIDE_READ, text);
    if (again && hosted->seen_epoch > state->root.epoch &&
        htt_host_check_root(connection->store, &state->root) == HTT_MISMATCH) {
        return htt_rc_say(message_out, SQLITE_CORRUPT_VTAB, "%s", htt_errmsg(connection->store));
    }
    if (again && htt_host_read_meta(connection->store, &meta) == HTT_OK) {
        hosted->seen_epoch = meta.root.epoch;
        hosted->known = false;
    }
    return SQLITE_BUSY_SNAPSHOT;
}

static int read_wake(htt_connection *connection, htt_reader *state, char **message_out) {
    const char *text = "";
    htt_rc rc;
    if (state->awake) {
        return SQLITE_OK;
    }
    if (state->txn == NULL) {
        rc = htt_host_begin_read(connection->store, &state->root, &state->txn);
        text = rc == HTT_OK ? text : htt_errmsg(connection->store);
    } else {
        rc = state->resting ? htt_host_wake(state->txn) : htt_host_renew(state->txn, &state->root);
        state->resting = false;
        text = rc == HTT_OK ? text : htt_txn_errmsg(state->txn);
    }
    if (rc == HTT_SNAPSHOT) {
        return read_fail_gone(connection, state, text, message_out);
    }
    if (rc != HTT_OK) {
        return read_fail(rc, text, message_out);
    }
    state->awake = true;
    return SQLITE_OK;
}

int htt_hosted_take(htt_connection *connection, htt_reader **reader_out, char **message_out) {
    htt_reader *const state = connection->hosted->state;
    assert(state != NULL);
    const int rc = read_wake(connection, state, message_out);
    if (rc == SQLITE_OK) {
        state->references++;
        *reader_out = state;
    }
    return rc;
}

void htt_hosted_give(htt_connection *connection, htt_reader *reader) {
    const htt_hosted *const hosted = connection->hosted;
    assert(reader->references > 0);
    reader->references--;
    if (reader->references == 0) {
        read_free(reader);
    } else if (reader->references == 1 && hosted->state == reader) {
        /* In a transaction it may be asked for again; nobody tells us when that ends. */
        reader->resting = !sqlite3_get_autocommit(connection->registry->db);
        if (reader->resting) {
            htt_host_rest(reader->txn);
        } else {
            htt_reset(reader->txn);
        }
        reader->awake = false;
    }
}

void htt_hosted_release(htt_connection *connection) {
    htt_hosted *const hosted = connection->hosted;
    htt_reader *const held = hosted->held;
    hosted->held = NULL;
    if (held != NULL) {
        htt_hosted_give(connection, held);
    }
}
