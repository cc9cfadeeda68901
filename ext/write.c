/* SPDX-License-Identifier: MIT */
/*
 * Changes of rows; see write.h. Whether a key is there is looked up here while changes go into rows
 * of the outbox; where they go into pages the engine tells with the change itself.
 */
#include "write.h"

#include <assert.h>

#include "hosted.h"
#include "rc.h"

htt_source htt_write_source(const htt_connection *connection) {
    const htt_hosted *const hosted = connection->hosted;
    if (connection->writer != NULL) {
        return (htt_source){.txn = connection->writer};
    }
    assert(hosted != NULL && hosted->held != NULL);
    return (htt_source){.txn = hosted->held->txn,
                        .overlay = hosted->held->overlay,
                        .length = htt_overlay_length(hosted->held->overlay)};
}

int htt_write_fail(const htt_connection *connection, htt_rc rc, char **message_out) {
    const htt_source source = htt_write_source(connection);
    const htt_side side = connection->writer != NULL ? HTT_SIDE_WRITE : HTT_SIDE_READ;
    return htt_rc_report(message_out, rc, side,
                         rc == HTT_MISUSE ? "" : htt_source_errmsg(&source));
}

htt_rc htt_write_exists(const htt_connection *connection, htt_datum key) {
    if (connection->writer == NULL && htt_hosted_is_noted(connection->hosted, key)) {
        return HTT_OK;
    }
    const htt_source source = htt_write_source(connection);
    return htt_source_exists(&source, key);
}

/* *exists_out: the key is there. A key that is too long is found out later. */
static int write_look(const htt_connection *connection, htt_datum key, bool *exists_out,
                      char **message_out) {
    const htt_rc rc = htt_write_exists(connection, key);
    *exists_out = rc == HTT_OK;
    return rc == HTT_OK || rc == HTT_NOTFOUND ? SQLITE_OK
                                              : htt_write_fail(connection, rc, message_out);
}

int htt_write_put(htt_connection *connection, htt_datum key, htt_datum value, htt_write_mode mode,
                  bool *exists_out, char **message_out) {
    *exists_out = false;
    if (connection->hosted == NULL) {
        const htt_rc rc = htt_put(connection->writer, key, value,
                                  mode == HTT_WRITE_INSERT ? HTT_PUT_INSERT : 0);
        *exists_out = rc == HTT_EXISTS;
        return rc == HTT_OK || rc == HTT_EXISTS ? SQLITE_OK
                                                : htt_write_fail(connection, rc, message_out);
    }
    const bool engine_looks = connection->writer != NULL;
    if (mode == HTT_WRITE_INSERT && !engine_looks) {
        const int rc = write_look(connection, key, exists_out, message_out);
        if (rc != SQLITE_OK || *exists_out) {
            return rc;
        }
    }
    return htt_hosted_put(connection, key, value, mode == HTT_WRITE_INSERT && engine_looks,
                          exists_out, message_out);
}

int htt_write_del(htt_connection *connection, htt_datum key, char **message_out) {
    bool exists = false;
    if (connection->hosted == NULL) {
        const htt_rc rc = htt_del(connection->writer, key);
        return rc == HTT_OK || rc == HTT_NOTFOUND ? SQLITE_OK
                                                  : htt_write_fail(connection, rc, message_out);
    }
    const int rc = write_look(connection, key, &exists, message_out);
    return rc != SQLITE_OK || !exists ? rc : htt_hosted_del(connection, key, message_out);
}

/* Put the new one, delete the old one, or neither. */
static int write_move_pages(htt_connection *connection, htt_datum old_key, htt_datum key,
                            htt_datum value, htt_write_mode mode, bool *exists_out,
                            char **message_out) {
    htt_txn *const writer = connection->writer;
    uint32_t savepoint;
    htt_rc rc = htt_savepoint(writer, &savepoint);
    if (rc != HTT_OK) {
        return htt_write_fail(connection, rc, message_out);
    }
    rc = htt_put(writer, key, value, mode == HTT_WRITE_INSERT ? HTT_PUT_INSERT : 0);
    *exists_out = rc == HTT_EXISTS;
    if (rc == HTT_OK) {
        rc = htt_del(writer, old_key);
    }
    int code = SQLITE_OK;
    if (rc != HTT_OK && rc != HTT_EXISTS) {
        code = htt_write_fail(connection, rc, message_out);
        rc = htt_rollback_to(writer, savepoint);
    }
    const htt_rc released =
        rc == HTT_IO || rc == HTT_POISONED ? HTT_OK : htt_release(writer, savepoint);
    return code == SQLITE_OK && released != HTT_OK
               ? htt_write_fail(connection, released, message_out)
               : code;
}

int htt_write_move(htt_connection *connection, htt_datum old_key, htt_datum key, htt_datum value,
                   htt_write_mode mode, bool *exists_out, char **message_out) {
    *exists_out = false;
    if (connection->hosted == NULL) {
        return write_move_pages(connection, old_key, key, value, mode, exists_out, message_out);
    }
    if (mode == HTT_WRITE_INSERT) {
        const int rc = write_look(connection, key, exists_out, message_out);
        if (rc != SQLITE_OK || *exists_out) {
            return rc;
        }
    }
    return htt_hosted_move(connection, old_key, key, value, message_out);
}
