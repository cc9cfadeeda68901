/* SPDX-License-Identifier: MIT */
/*
 * Hosted files: write transactions. A change is checked, room is made for it, its row goes into
 * htt_outbox, and then it is added to the overlay, which cannot fail: so rows live and die with
 * SQLite's own savepoints, and a statement that fails has changed nothing.
 */
#include <assert.h>
#include <string.h>

#include "hosted.h"
#include "rc.h"

enum { WRITE_LARGE_PART = 4 }; /* a row above this part of the threshold goes into pages */

/* ------------------------------------------------------------------ attach */

static void write_configure(htt_hosted *hosted, const htt_arguments *arguments) {
    hosted->fold_rows = arguments->fold_rows;
    hosted->fold_bytes = arguments->fold_bytes;
    hosted->changes = arguments->changes;
    hosted->changes_keep = arguments->changes_keep;
}

int htt_hosted_attach(htt_connection *connection, const htt_arguments *arguments,
                      char **message_out) {
    sqlite3 *const db = connection->registry->db;
    assert(connection->store != NULL);
    if (connection->hosted != NULL) { /* the table may have been created anew in a transaction */
        write_configure(connection->hosted, arguments);
        return SQLITE_OK;
    }
    if (connection->hostless) {
        return SQLITE_OK;
    }
    const char *const path = htt_host_file_path(db, connection->schema);
    if (path == NULL) {
        connection->hostless = true;
        return SQLITE_OK;
    }
    htt_hosted *const hosted = sqlite3_malloc64(sizeof *hosted);
    if (hosted == NULL) {
        return SQLITE_NOMEM;
    }
    *hosted = (htt_hosted){.file = {.db = db, .schema = connection->schema}};
    write_configure(hosted, arguments);
    hosted->outbox = htt_outbox_new(db, connection->schema, connection->name);
    if (hosted->outbox == NULL) {
        htt_hosted_free(hosted);
        return SQLITE_NOMEM;
    }
    const htt_rc rc = htt_host_describe(connection->store, path, &hosted->owner);
    if (rc != HTT_OK) {
        htt_hosted_free(hosted);
        return htt_rc_report(message_out, rc, HTT_SIDE_READ, htt_errmsg(connection->store));
    }
    connection->hosted = hosted;
    return SQLITE_OK;
}

bool htt_hosted_owns(const htt_connection *connection) {
    htt_host_meta meta;
    return connection->hosted != NULL &&
           htt_host_read_meta(connection->store, &meta) == HTT_OK &&
           htt_host_is_owner(&meta.owner, &connection->hosted->owner);
}

bool htt_hosted_can_claim(const htt_connection *connection) {
    htt_host_meta meta;
    htt_info info;
    htt_store_info(connection->store, &info);
    return !info.readonly && htt_host_read_meta(connection->store, &meta) == HTT_OK &&
           (meta.owner.path[0] == '\0' ||
            htt_host_is_owner(&meta.owner, &connection->hosted->owner));
}

void htt_hosted_free(htt_hosted *hosted) {
    if (hosted != NULL) {
        assert(hosted->held == NULL);
        htt_hosted_forget(hosted);
        htt_outbox_free(hosted->outbox);
        htt_host_file_clear(&hosted->file);
        sqlite3_free(hosted->unfolded);
        sqlite3_free(hosted);
    }
}

/* ------------------------------------------------------------------- begin */

static int write_fail(htt_connection *connection, htt_rc rc, char **message_out) {
    return htt_rc_report(message_out, rc, HTT_SIDE_READ, htt_errmsg(connection->store));
}

htt_rc htt_hosted_claim(htt_connection *connection, htt_host_root *root_out) {
    htt_hosted *const hosted = connection->hosted;
    htt_host_meta meta;
    htt_rc rc = htt_host_read_meta(connection->store, &meta);
    rc = rc == HTT_OK ? htt_host_claim(connection->store, &hosted->owner, root_out) : rc;
    if (rc == HTT_OK && meta.owner.path[0] == '\0') {
        hosted->claimed = true;
        hosted->claim = htt_host_generation(connection->store);
    }
    return rc;
}

/* CREATE, or the first write where it could not: from now on the database keeps the root. */
static int write_claim(htt_connection *connection, char **message_out) {
    htt_hosted *const hosted = connection->hosted;
    htt_host_root root;
    bool same = false;
    const htt_rc claimed = htt_hosted_claim(connection, &root);
    if (claimed != HTT_OK) {
        return write_fail(connection, claimed, message_out);
    }
    const int rc = htt_outbox_write_root(hosted->outbox, NULL, &root, &same, message_out);
    if (rc != SQLITE_OK) {
        return rc;
    }
    if (!same) {
        return htt_rc_say(message_out, SQLITE_ERROR,
                          "%s.htt_store: the row of '%s' was changed while it was written",
                          connection->schema, connection->name);
    }
    hosted->known = false; /* the rows that belong to this root are looked up */
    return htt_hosted_refresh(connection, message_out);
}

/* The file was released (by a DROP that did not last), and nobody has written it since. */
static int write_take_back(htt_connection *connection, char **message_out) {
    htt_hosted *const hosted = connection->hosted;
    htt_host_root root;
    htt_rc rc = htt_host_claim(connection->store, &hosted->owner, &root);
    if (rc == HTT_OK &&
        (root.epoch != hosted->row.root.epoch || root.nonce != hosted->row.root.nonce)) {
        return htt_rc_say(message_out, SQLITE_ERROR,
                          "%s belonged to no database and was written meanwhile, but this "
                          "database keeps a root of it: go on from the file with htt_adopt",
                          connection->name);
    }
    return rc == HTT_OK ? SQLITE_OK : write_fail(connection, rc, message_out);
}

/* The file is this database's, and goes on from its root. */
static int write_check_file(htt_connection *connection, char **message_out) {
    htt_hosted *const hosted = connection->hosted;
    const uint64_t generation = htt_host_generation(connection->store);
    htt_host_meta meta;
    if (generation != 0 && hosted->fits == generation) {
        return SQLITE_OK;
    }
    htt_rc rc = htt_host_read_meta(connection->store, &meta);
    if (rc == HTT_OK && !htt_host_is_owner(&meta.owner, &hosted->owner)) {
        if (meta.owner.path[0] == '\0') {
            return write_take_back(connection, message_out);
        }
        return htt_rc_say(message_out, SQLITE_ERROR,
                          "%s belongs to the database '%s' (seen from the file), not to this "
                          "one: for a copy of the database make a copy of the file with htt_adopt",
                          connection->name, meta.owner.path);
    }
    if (rc == HTT_OK) {
        rc = htt_host_check_root(connection->store, &hosted->row.root);
    }
    hosted->fits = rc == HTT_OK ? generation : 0;
    return rc == HTT_OK ? SQLITE_OK : write_fail(connection, rc, message_out);
}

static int write_check_usable(htt_connection *connection, char **message_out) {
    htt_hosted *const hosted = connection->hosted;
    htt_info info;
    htt_store_info(connection->store, &info);
    if (info.readonly) {
        return htt_rc_say(message_out, SQLITE_READONLY, "%s is read-only: %s", connection->name,
                          "it was opened so, or there is no right to write it");
    }
    const htt_host_kind before = hosted->kind;
    const int rc =
        htt_host_file_kind(&hosted->file, connection->path, &hosted->kind, message_out);
    hosted->calm = hosted->kind == before ? hosted->calm : 0;
    assert(rc != SQLITE_OK || hosted->kind != HTT_HOST_NONE);
    return rc;
}

/* Keeps the state awake until the transaction ends. */
static int write_hold(htt_connection *connection, char **message_out) {
    htt_hosted *const hosted = connection->hosted;
    if (hosted->held == hosted->state) {
        return SQLITE_OK;
    }
    htt_hosted_release(connection);
    return htt_hosted_take(connection, &hosted->held, message_out);
}

int htt_hosted_begin(htt_connection *connection, char **message_out) {
    htt_hosted *const hosted = connection->hosted;
    int rc = SQLITE_OK;
    assert(connection->transaction.joined);
    if (connection->writer != NULL) {
        return SQLITE_OK;
    }
    if (!hosted->based) {
        rc = write_check_usable(connection, message_out);
    }
    rc = rc == SQLITE_OK ? htt_hosted_refresh(connection, message_out) : rc;
    if (rc == SQLITE_OK && hosted->row.state == HTT_STORE_DROPPED) {
        hosted->gone = true;
        rc = htt_rc_say(message_out, SQLITE_ERROR, "%s: its table was dropped", connection->name);
    }
    if (rc == SQLITE_OK && !hosted->row.has_root) {
        rc = write_claim(connection, message_out);
    }
    if (rc == SQLITE_OK && !hosted->based) {
        rc = write_check_file(connection, message_out);
        if (rc == SQLITE_OK) {
            hosted->base = hosted->row.root;
            hosted->acked = hosted->row.acked;
            hosted->begin = htt_overlay_length(hosted->state->overlay);
            hosted->based = true;
            hosted->alone = true;
        }
    }
    return rc == SQLITE_OK ? write_hold(connection, message_out) : rc;
}

int htt_hosted_change(htt_connection *connection, char **message_out) {
    htt_hosted *const hosted = connection->hosted;
    int rc = htt_hosted_begin(connection, message_out);
    if (rc != SQLITE_OK || connection->writer != NULL || hosted->settled) {
        return rc;
    }
    rc = htt_hosted_acknowledge(connection, message_out);
    rc = rc == SQLITE_OK ? htt_hosted_trim(connection, hosted->base.seq, message_out) : rc;
    hosted->settled = rc == SQLITE_OK;
    return rc;
}

/* -------------------------------------------------------------------- rows */

static int write_check_sizes(htt_datum key, htt_datum value, char **message_out) {
    if (key.size > HTT_KEY_SIZE_MAX) {
        return htt_rc_say(message_out, SQLITE_TOOBIG, "key of %lld bytes, the limit is %d",
                          (long long)key.size, (int)HTT_KEY_SIZE_MAX);
    }
    if (value.size > HTT_VALUE_SIZE_MAX) {
        return htt_rc_say(message_out, SQLITE_TOOBIG, "value of %lld bytes, the limit is %lld",
                          (long long)value.size, (long long)HTT_VALUE_SIZE_MAX);
    }
    return SQLITE_OK;
}

/* Whether rows of so many bytes are better off in pages. */
static bool write_is_large(const htt_hosted *hosted, size_t count, size_t bytes) {
    const htt_overlay *const overlay = hosted->state->overlay;
    return bytes > hosted->fold_bytes / WRITE_LARGE_PART ||
           htt_overlay_length(overlay) + count > 2 * hosted->fold_rows ||
           htt_overlay_bytes(overlay) + bytes > 2 * hosted->fold_bytes;
}

/* Fills in seq and token of rows that go on from the newest one. */
static int write_number(const htt_hosted *hosted, uint64_t seq, uint64_t token,
                        htt_outbox_row *rows, int count, char **message_out) {
    for (int i = 0; i < count; i++) {
        if (seq >= (uint64_t)HTT_OUTBOX_SEQ_MAX) {
            return htt_rc_say(message_out, SQLITE_FULL, "htt_outbox: the rows of store %lld are "
                              "used up", (long long)hosted->row.id);
        }
        rows[i].seq = ++seq;
        token = htt_host_token(token, seq, (unsigned)rows[i].op, rows[i].key, rows[i].value);
        rows[i].token = token;
    }
    return SQLITE_OK;
}

static int write_small(htt_connection *connection, htt_outbox_row *rows, int count, size_t bytes,
                       char **message_out) {
    htt_hosted *const hosted = connection->hosted;
    htt_overlay *const overlay = hosted->state->overlay;
    const size_t length = htt_overlay_length(overlay);
    const uint64_t token = length == 0 ? htt_host_first_token(&hosted->state->root)
                                       : htt_overlay_at(overlay, length - 1)->token;
    int rc = write_number(hosted, hosted->state->root.seq + length, token, rows, count,
                          message_out);
    rc = rc == SQLITE_OK ? htt_overlay_reserve(overlay, (size_t)count, bytes) : rc;
    rc = rc == SQLITE_OK ? htt_outbox_append(hosted->outbox, rows, count, message_out) : rc;
    if (rc != SQLITE_OK) {
        hosted->known = false; /* a failure may have rolled anything back */
        return rc;
    }
    hosted->alone = hosted->alone && sqlite3_get_autocommit(hosted->file.db) != 0;
    for (int i = 0; i < count; i++) { /* HOSTED-2 */
        htt_overlay_add(overlay, rows[i].op, rows[i].key, rows[i].value, rows[i].token);
    }
    return SQLITE_OK;
}

static htt_rc write_page_row(htt_txn *writer, const htt_outbox_row *row, unsigned flags) {
    if (row->op != HTT_OP_DEL) {
        return htt_put(writer, row->key, row->value, flags);
    }
    const htt_rc rc = htt_del(writer, row->key);
    return rc == HTT_NOTFOUND ? HTT_OK : rc;
}

/* All or none of them. `flags` are those of htt_put; *exists_out is for HTT_PUT_INSERT. */
static int write_large(htt_connection *connection, htt_outbox_row *rows, int count, unsigned flags,
                       bool *exists_out, char **message_out) {
    htt_hosted *const hosted = connection->hosted;
    htt_txn *const writer = connection->writer;
    uint32_t savepoint = 0;
    htt_rc rc = HTT_OK;
    int code = SQLITE_OK;
    const bool undoable = count > 1 || hosted->changes;
    if (undoable) {
        rc = htt_savepoint(writer, &savepoint);
    }
    for (int i = 0; i < count && rc == HTT_OK; i++) {
        rc = write_page_row(writer, &rows[i], flags);
    }
    const bool exists = rc == HTT_EXISTS;
    if (rc != HTT_OK && !exists) {
        code = htt_rc_report(message_out, rc, HTT_SIDE_WRITE, htt_txn_errmsg(writer));
    } else if (hosted->changes && !exists) {
        code = write_number(hosted, hosted->seq, hosted->token, rows, count, message_out);
        code = code == SQLITE_OK ? htt_outbox_append(hosted->outbox, rows, count, message_out)
                                 : code;
        if (code == SQLITE_OK) {
            hosted->seq = rows[count - 1].seq;
            hosted->token = rows[count - 1].token;
        }
    }
    if (undoable && savepoint != 0 && rc != HTT_IO && rc != HTT_POISONED) {
        const htt_rc undone = code == SQLITE_OK ? HTT_OK : htt_rollback_to(writer, savepoint);
        const htt_rc released = htt_release(writer, savepoint);
        if (code == SQLITE_OK && (undone != HTT_OK || released != HTT_OK)) {
            code = htt_rc_report(message_out, undone != HTT_OK ? undone : released,
                                 HTT_SIDE_WRITE, htt_txn_errmsg(writer));
        }
    }
    if (exists) {
        *exists_out = true;
    } else {
        hosted->direct = hosted->direct || code == SQLITE_OK;
    }
    return code;
}

static int write_rows(htt_connection *connection, htt_outbox_row *rows, int count, unsigned flags,
                      bool *exists_out, char **message_out) {
    htt_hosted *const hosted = connection->hosted;
    size_t bytes = 0;
    assert(hosted->based);
    for (int i = 0; i < count; i++) {
        const int rc = write_check_sizes(rows[i].key, rows[i].value, message_out);
        if (rc != SQLITE_OK) {
            return rc;
        }
        bytes += rows[i].key.size + rows[i].value.size;
    }
    if (connection->writer == NULL && !hosted->stuck &&
        write_is_large(hosted, (size_t)count, bytes)) {
        const int rc = htt_hosted_enlarge_for_good(connection, message_out);
        if (rc != SQLITE_OK && connection->writer != NULL) {
            return rc;
        }
        if (rc != SQLITE_OK) {
            sqlite3_free(*message_out); /* rows will do, until a later fold */
            *message_out = NULL;
        }
    }
    return connection->writer != NULL
               ? write_large(connection, rows, count, flags, exists_out, message_out)
               : write_small(connection, rows, count, bytes, message_out);
}

static htt_outbox_row write_put_row(htt_datum key, htt_datum value) {
    return (htt_outbox_row){.op = value.type == HTT_ROW ? HTT_OP_ROW : HTT_OP_PUT,
                            .key = key,
                            .value = value};
}

int htt_hosted_put(htt_connection *connection, htt_datum key, htt_datum value, bool insert,
                   bool *exists_out, char **message_out) {
    htt_outbox_row row = write_put_row(key, value);
    assert(!insert || connection->writer != NULL);
    return write_rows(connection, &row, 1, insert ? HTT_PUT_INSERT : 0, exists_out, message_out);
}

int htt_hosted_del(htt_connection *connection, htt_datum key, char **message_out) {
    htt_outbox_row row = {.op = HTT_OP_DEL, .key = key, .value = htt_null()};
    return write_rows(connection, &row, 1, 0, NULL, message_out);
}

int htt_hosted_move(htt_connection *connection, htt_datum old_key, htt_datum key, htt_datum value,
                    char **message_out) {
    htt_outbox_row rows[2] = {{.op = HTT_OP_DEL, .key = old_key, .value = htt_null()},
                              write_put_row(key, value)};
    return write_rows(connection, rows, 2, 0, NULL, message_out);
}
