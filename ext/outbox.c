/* SPDX-License-Identifier: MIT */
/*
 * The SQL of one store on htt_store, htt_outbox and htt_consumer.
 *
 *   id of a row of htt_outbox     63              40 39                 0
 *                                 +-----------------+-------------------+
 *                                 |   id of store   |        seq        |
 *                                 +-----------------+-------------------+
 *
 * A statement is prepared when it is first needed, kept, and reset after each use; SQLite prepares
 * it again by itself when the schema changes.
 */
#include "outbox.h"

#include <assert.h>
#include <string.h>

#include "changes.h"
#include "outbox_value.h"
#include "rc.h"

#define OUTBOX_STORE_ID_MAX ((INT64_C(1) << (63 - HTT_OUTBOX_SEQ_BITS)) - 1)

typedef enum outbox_sql {
    OUTBOX_READ_STORE,
    OUTBOX_READ_LAST,
    OUTBOX_READ_TOKEN,
    OUTBOX_READ_ROWS,
    OUTBOX_READ_CONSUMERS,
    OUTBOX_APPEND_ONE,
    OUTBOX_APPEND_TWO,
    OUTBOX_WRITE_ROOT,
    OUTBOX_HAS_ROOT,
    OUTBOX_WRITE_ACKED,
    OUTBOX_WRITE_STATE,
    OUTBOX_TRIM,
    OUTBOX_DELETE_CONSUMERS,
    OUTBOX_DELETE_STORE,
    OUTBOX_SQL_COUNT
} outbox_sql;

/* %w is the schema, `table` what messages name. */
static const struct {
    const char *table; /* that it is about */
    const char *sql;   /* the statement */
} outbox_texts[OUTBOX_SQL_COUNT] = {
    [OUTBOX_READ_STORE] =
        {"htt_store", "SELECT id, root, acked, state, uuid FROM \"%w\".htt_store WHERE name = ?1"},
    [OUTBOX_READ_LAST] = {"htt_outbox",
                          "SELECT id, token FROM \"%w\".htt_outbox WHERE id BETWEEN ?1 AND ?2 "
                          "ORDER BY id DESC LIMIT 1"},
    [OUTBOX_READ_TOKEN] = {"htt_outbox", "SELECT token FROM \"%w\".htt_outbox WHERE id = ?1"},
    [OUTBOX_READ_ROWS] = {"htt_outbox", "SELECT id, op, key, value, token FROM \"%w\".htt_outbox "
                                        "WHERE id BETWEEN ?1 AND ?2 ORDER BY id"},
    [OUTBOX_READ_CONSUMERS] = {"htt_consumer",
                               "SELECT min(acknowledged), max(typeof(acknowledged) <> 'integer') "
                               "FROM \"%w\".htt_consumer WHERE store = ?1"},
    [OUTBOX_APPEND_ONE] = {"htt_outbox", "INSERT INTO \"%w\".htt_outbox(id, op, key, value, token) "
                                         "VALUES (?1, ?2, ?3, ?4, ?5)"},
    [OUTBOX_APPEND_TWO] = {"htt_outbox", "INSERT INTO \"%w\".htt_outbox(id, op, key, value, token) "
                                         "VALUES (?1, ?2, ?3, ?4, ?5), (?6, ?7, ?8, ?9, ?10)"},
    [OUTBOX_WRITE_ROOT] = {"htt_store",
                           "UPDATE \"%w\".htt_store SET root = ?2 WHERE id = ?1 AND root IS ?3"},
    [OUTBOX_HAS_ROOT] = {"htt_store",
                         "SELECT 1 FROM \"%w\".htt_store WHERE id = ?1 AND root IS ?2"},
    [OUTBOX_WRITE_ACKED] = {"htt_store", "UPDATE \"%w\".htt_store SET acked = ?2 WHERE id = ?1"},
    [OUTBOX_WRITE_STATE] = {"htt_store", "UPDATE \"%w\".htt_store SET state = ?2 WHERE id = ?1"},
    [OUTBOX_TRIM] = {"htt_outbox", "DELETE FROM \"%w\".htt_outbox WHERE id BETWEEN ?1 AND ?2"},
    [OUTBOX_DELETE_CONSUMERS] = {"htt_consumer",
                                 "DELETE FROM \"%w\".htt_consumer WHERE store = ?1"},
    [OUTBOX_DELETE_STORE] = {"htt_store", "DELETE FROM \"%w\".htt_store WHERE id = ?1"},
};

struct htt_outbox {
    sqlite3 *db;                                /* borrowed */
    char *schema;                               /* owned */
    char *name;                                 /* of the store; owned */
    sqlite3_int64 id;                           /* of the store, 0 = not known yet */
    uint64_t next;                              /* seq that the walk must give next */
    bool walking;                               /* OUTBOX_READ_ROWS is not reset */
    htt_outbox_cell key;                        /* of the walk's row */
    htt_outbox_cell value;                      /* of the walk's row */
    sqlite3_stmt *statements[OUTBOX_SQL_COUNT]; /* NULL = not prepared yet; owned */
};

htt_outbox *htt_outbox_new(sqlite3 *db, const char *schema, const char *name) {
    htt_outbox *const outbox = sqlite3_malloc64(sizeof *outbox);
    if (outbox == NULL) {
        return NULL;
    }
    memset(outbox, 0, sizeof *outbox);
    outbox->db = db;
    outbox->schema = sqlite3_mprintf("%s", schema);
    outbox->name = sqlite3_mprintf("%s", name);
    if (outbox->schema == NULL || outbox->name == NULL) {
        htt_outbox_free(outbox);
        return NULL;
    }
    return outbox;
}

void htt_outbox_free(htt_outbox *outbox) {
    if (outbox == NULL) {
        return;
    }
    for (int i = 0; i < OUTBOX_SQL_COUNT; i++) {
        sqlite3_finalize(outbox->statements[i]);
    }
    sqlite3_free(outbox->schema);
    sqlite3_free(outbox->name);
    sqlite3_free(outbox);
}

/* ------------------------------------------------------------- statements */

/* Names the table. To be called before anything else is asked of the connection. */
static int outbox_fail(const htt_outbox *outbox, outbox_sql which, int rc, char **message_out) {
    const int extended = sqlite3_extended_errcode(outbox->db);
    if ((extended & 0xff) == (rc & 0xff)) {
        rc = extended;
    }
    return htt_rc_say(message_out, rc, "%s.%s: %s", outbox->schema, outbox_texts[which].table,
                      sqlite3_errmsg(outbox->db));
}

static int outbox_prepare(htt_outbox *outbox, outbox_sql which, sqlite3_stmt **statement_out,
                          char **message_out) {
    if (outbox->statements[which] == NULL) {
        char *const sql = sqlite3_mprintf(outbox_texts[which].sql, outbox->schema);
        if (sql == NULL) {
            return SQLITE_NOMEM;
        }
        const int rc = sqlite3_prepare_v3(outbox->db, sql, -1, SQLITE_PREPARE_PERSISTENT,
                                          &outbox->statements[which], NULL);
        sqlite3_free(sql);
        if (rc != SQLITE_OK) {
            return outbox_fail(outbox, which, rc, message_out);
        }
    }
    *statement_out = outbox->statements[which];
    return SQLITE_OK;
}

/* What is bound is not ours: it must not stay. */
static void outbox_reset(sqlite3_stmt *statement) {
    (void)sqlite3_reset(statement);
    (void)sqlite3_clear_bindings(statement);
}

/* Prepares, and binds up to two integers (counting from ?1). */
static int outbox_begin(htt_outbox *outbox, outbox_sql which, sqlite3_int64 first,
                        sqlite3_int64 second, sqlite3_stmt **statement_out, char **message_out) {
    int rc = outbox_prepare(outbox, which, statement_out, message_out);
    if (rc != SQLITE_OK) {
        return rc;
    }
    rc = sqlite3_bind_int64(*statement_out, 1, first);
    if (rc == SQLITE_OK && sqlite3_bind_parameter_count(*statement_out) >= 2) {
        rc = sqlite3_bind_int64(*statement_out, 2, second);
    }
    if (rc != SQLITE_OK) {
        rc = outbox_fail(outbox, which, rc, message_out);
        outbox_reset(*statement_out);
    }
    return rc;
}

/* To the only row of a query. *found_out false: none, and the statement is reset. */
static int outbox_step_row(const htt_outbox *outbox, outbox_sql which, sqlite3_stmt *statement,
                           bool *found_out, char **message_out) {
    int rc = sqlite3_step(statement);
    *found_out = rc == SQLITE_ROW;
    if (rc == SQLITE_ROW) {
        return SQLITE_OK;
    }
    rc = rc == SQLITE_DONE ? SQLITE_OK : outbox_fail(outbox, which, rc, message_out);
    outbox_reset(statement);
    return rc;
}

/* Runs a change and resets it. `expected`: rows that it changes, -1 = any number. */
static int outbox_step_change(const htt_outbox *outbox, outbox_sql which, sqlite3_stmt *statement,
                              sqlite3_int64 expected, char **message_out) {
    const char *const table = outbox_texts[which].table;
    const sqlite3_int64 rowid = sqlite3_last_insert_rowid(outbox->db);
    const sqlite3_int64 mark = htt_changes_mark(outbox->db);
    int rc = sqlite3_step(statement);
    if (rc == SQLITE_DONE) {
        rc = SQLITE_OK;
    } else {
        rc = outbox_fail(outbox, which, rc == SQLITE_ROW ? SQLITE_ERROR : rc, message_out);
    }
    outbox_reset(statement);
    sqlite3_set_last_insert_rowid(outbox->db, rowid);
    if (rc != SQLITE_OK) {
        return htt_changes_check_failed(outbox->db, outbox->schema, table, mark, rc, message_out);
    }
    return htt_changes_check(outbox->db, outbox->schema, table, mark, expected, message_out);
}

static sqlite3_int64 outbox_row_id(const htt_outbox *outbox, uint64_t seq) {
    assert(outbox->id > 0); /* htt_outbox_read_store comes first */
    const uint64_t most = (uint64_t)HTT_OUTBOX_SEQ_MAX;
    return (outbox->id << HTT_OUTBOX_SEQ_BITS) + (sqlite3_int64)(seq > most ? most : seq);
}

/* ---------------------------------------------------------------- reading */

static int outbox_decode_state(const htt_outbox *outbox, const char *state, htt_store_state *out,
                               char **message_out) {
    if (state != NULL && strcmp(state, "live") == 0) {
        *out = HTT_STORE_LIVE;
    } else if (state != NULL && strcmp(state, "dropped") == 0) {
        *out = HTT_STORE_DROPPED;
    } else {
        return htt_rc_say(message_out, SQLITE_CORRUPT_VTAB,
                          "%s.htt_store: the row of '%s' has an unknown state", outbox->schema,
                          outbox->name);
    }
    return SQLITE_OK;
}

static int outbox_decode_store(htt_outbox *outbox, sqlite3_stmt *statement, htt_outbox_store *out,
                               char **message_out) {
    htt_error error = {.rc = HTT_OK};
    const int root_type = sqlite3_column_type(statement, 1);
    out->id = sqlite3_column_int64(statement, 0);
    out->acked = (uint64_t)sqlite3_column_int64(statement, 2);
    out->has_root = root_type != SQLITE_NULL;
    if (out->id < 1 || out->id > OUTBOX_STORE_ID_MAX) {
        return htt_rc_say(message_out, SQLITE_CORRUPT_VTAB,
                          "%s.htt_store: the row of '%s' has id %lld, possible are 1 to %lld",
                          outbox->schema, outbox->name, out->id, (long long)OUTBOX_STORE_ID_MAX);
    }
    if (sqlite3_column_type(statement, 2) != SQLITE_INTEGER ||
        (out->has_root && root_type != SQLITE_BLOB)) {
        return htt_rc_say(message_out, SQLITE_CORRUPT_VTAB,
                          "%s.htt_store: the row of '%s' has a root or acked of a wrong type",
                          outbox->schema, outbox->name);
    }
    if (sqlite3_column_bytes(statement, 4) != (int)sizeof out->uuid) {
        return htt_rc_say(message_out, SQLITE_CORRUPT_VTAB,
                          "%s.htt_store: the row of '%s' has a uuid that is not of 16 bytes",
                          outbox->schema, outbox->name);
    }
    memcpy(out->uuid, sqlite3_column_blob(statement, 4), sizeof out->uuid);
    if (out->has_root) {
        const void *const record = sqlite3_column_blob(statement, 1);
        const size_t size = (size_t)sqlite3_column_bytes(statement, 1);
        if (record == NULL && size > 0) {
            return SQLITE_NOMEM;
        }
        if (htt_host_root_read(record, size, &out->root, &error) != HTT_OK) {
            return htt_rc_say(message_out, SQLITE_CORRUPT_VTAB, "%s.htt_store, row of '%s': %s",
                              outbox->schema, outbox->name, error.text);
        }
    }
    const char *const state = (const char *)sqlite3_column_text(statement, 3);
    if (state == NULL && sqlite3_column_type(statement, 3) == SQLITE_TEXT) {
        return SQLITE_NOMEM;
    }
    return outbox_decode_state(outbox, state, &out->state, message_out);
}

int htt_outbox_read_store(htt_outbox *outbox, bool *found_out, htt_outbox_store *store_out,
                          char **message_out) {
    sqlite3_stmt *statement;
    htt_outbox_store store = {.id = 0};
    bool found = false;
    int rc = outbox_prepare(outbox, OUTBOX_READ_STORE, &statement, message_out);
    if (rc == SQLITE_OK) {
        rc = sqlite3_bind_text(statement, 1, outbox->name, -1, SQLITE_STATIC);
        rc = rc == SQLITE_OK
                 ? outbox_step_row(outbox, OUTBOX_READ_STORE, statement, &found, message_out)
                 : outbox_fail(outbox, OUTBOX_READ_STORE, rc, message_out);
    }
    if (rc == SQLITE_ERROR &&
        sqlite3_table_column_metadata(outbox->db, outbox->schema, "htt_store", NULL, NULL, NULL,
                                      NULL, NULL, NULL) == SQLITE_ERROR) {
        sqlite3_free(*message_out); /* there is no table */
        *message_out = NULL;
        *found_out = false;
        return SQLITE_OK;
    }
    if (rc != SQLITE_OK) {
        return rc;
    }
    if (found) {
        rc = outbox_decode_store(outbox, statement, &store, message_out);
        outbox_reset(statement);
        if (rc != SQLITE_OK) {
            return rc;
        }
        outbox->id = store.id;
        *store_out = store;
    }
    *found_out = found;
    return SQLITE_OK;
}

int htt_outbox_read_last(htt_outbox *outbox, uint64_t most, bool *found_out,
                         htt_outbox_row *row_out, char **message_out) {
    sqlite3_stmt *statement;
    int rc = outbox_begin(outbox, OUTBOX_READ_LAST, outbox_row_id(outbox, 1),
                          outbox_row_id(outbox, most), &statement, message_out);
    if (rc == SQLITE_OK) {
        rc = outbox_step_row(outbox, OUTBOX_READ_LAST, statement, found_out, message_out);
    }
    if (rc != SQLITE_OK || !*found_out) {
        return rc;
    }
    const sqlite3_int64 id = sqlite3_column_int64(statement, 0);
    if (sqlite3_column_type(statement, 1) != SQLITE_INTEGER) {
        rc = htt_rc_say(message_out, SQLITE_CORRUPT_VTAB,
                        "%s.htt_outbox: the token of row %lld is no integer", outbox->schema, id);
    } else {
        *row_out = (htt_outbox_row){.seq = (uint64_t)(id - outbox_row_id(outbox, 0)),
                                    .token = (uint64_t)sqlite3_column_int64(statement, 1)};
    }
    outbox_reset(statement);
    return rc;
}

int htt_outbox_read_token(htt_outbox *outbox, uint64_t seq, bool *found_out, uint64_t *token_out,
                          char **message_out) {
    sqlite3_stmt *statement;
    int rc = outbox_begin(outbox, OUTBOX_READ_TOKEN, outbox_row_id(outbox, seq), 0, &statement,
                          message_out);
    if (rc == SQLITE_OK) {
        rc = outbox_step_row(outbox, OUTBOX_READ_TOKEN, statement, found_out, message_out);
    }
    if (rc == SQLITE_OK && *found_out) {
        *found_out = sqlite3_column_type(statement, 0) == SQLITE_INTEGER;
        *token_out = (uint64_t)sqlite3_column_int64(statement, 0);
        outbox_reset(statement);
    }
    return rc;
}

int htt_outbox_begin_rows(htt_outbox *outbox, uint64_t after, char **message_out) {
    sqlite3_stmt *statement;
    htt_outbox_end_rows(outbox);
    /* Past the last number there is nothing: the range is empty then. */
    const int rc =
        outbox_begin(outbox, OUTBOX_READ_ROWS, outbox_row_id(outbox, after) + 1,
                     outbox_row_id(outbox, (uint64_t)HTT_OUTBOX_SEQ_MAX), &statement, message_out);
    if (rc == SQLITE_OK) {
        outbox->walking = true;
        outbox->next = after + 1;
    }
    return rc;
}

void htt_outbox_end_rows(htt_outbox *outbox) {
    if (outbox->walking) {
        outbox_reset(outbox->statements[OUTBOX_READ_ROWS]);
        outbox->walking = false;
    }
}

static int outbox_decode_row(htt_outbox *outbox, sqlite3_stmt *statement, htt_outbox_row *row_out,
                             char **message_out) {
    const sqlite3_int64 id = sqlite3_column_int64(statement, 0);
    const sqlite3_int64 op = sqlite3_column_int64(statement, 1);
    const uint64_t seq = (uint64_t)(id - outbox_row_id(outbox, 0));
    const char *wrong = NULL;
    int rc = SQLITE_OK;
    if (seq != outbox->next) {
        return htt_rc_say(message_out, SQLITE_CORRUPT_VTAB,
                          "%s.htt_outbox: row %lld is missing: somebody has deleted it",
                          outbox->schema, outbox_row_id(outbox, outbox->next));
    }
    const sqlite3_int64 what = op & HTT_OUTBOX_OP_MASK;
    if (sqlite3_column_type(statement, 1) != SQLITE_INTEGER ||
        (op & ~(sqlite3_int64)(HTT_OUTBOX_OP_MASK | HTT_OUTBOX_FLAGS)) != 0 || what < HTT_OP_PUT ||
        what > HTT_OP_DEL) {
        wrong = "op";
    } else if (sqlite3_column_type(statement, 4) != SQLITE_INTEGER) {
        wrong = "token";
    } else {
        rc = htt_outbox_value_read_key(statement, 2, (int)op, &outbox->key);
        wrong = rc == SQLITE_CORRUPT_VTAB ? "key" : NULL;
        if (rc == SQLITE_OK) {
            rc = htt_outbox_value_read(statement, 3, (int)op, &outbox->value);
            wrong = rc == SQLITE_CORRUPT_VTAB ? "value" : NULL;
        }
    }
    if (wrong != NULL) {
        return htt_rc_say(message_out, SQLITE_CORRUPT_VTAB,
                          "%s.htt_outbox: the %s of row %lld makes no sense: somebody else has "
                          "written it",
                          outbox->schema, wrong, id);
    }
    if (rc == SQLITE_OK) {
        *row_out = (htt_outbox_row){.seq = seq,
                                    .op = (htt_op)what,
                                    .key = outbox->key.datum,
                                    .value = outbox->value.datum,
                                    .token = (uint64_t)sqlite3_column_int64(statement, 4)};
    }
    return rc;
}

int htt_outbox_next_row(htt_outbox *outbox, bool *found_out, htt_outbox_row *row_out,
                        char **message_out) {
    assert(outbox->walking);
    sqlite3_stmt *const statement = outbox->statements[OUTBOX_READ_ROWS];
    int rc = outbox_step_row(outbox, OUTBOX_READ_ROWS, statement, found_out, message_out);
    if (rc == SQLITE_OK && *found_out) {
        rc = outbox_decode_row(outbox, statement, row_out, message_out);
        outbox->next++;
    }
    if (rc != SQLITE_OK || !*found_out) {
        htt_outbox_end_rows(outbox);
    }
    return rc;
}

int htt_outbox_read_consumers(htt_outbox *outbox, bool *found_out, uint64_t *acknowledged_out,
                              char **message_out) {
    sqlite3_stmt *statement;
    bool found = false;
    int rc = outbox_begin(outbox, OUTBOX_READ_CONSUMERS, outbox->id, 0, &statement, message_out);
    if (rc == SQLITE_OK) {
        rc = outbox_step_row(outbox, OUTBOX_READ_CONSUMERS, statement, &found, message_out);
    }
    if (rc != SQLITE_OK) {
        return rc;
    }
    assert(found); /* an aggregate has a row */
    const sqlite3_int64 least = outbox_row_id(outbox, 0);
    const sqlite3_int64 most = outbox_row_id(outbox, (uint64_t)HTT_OUTBOX_SEQ_MAX);
    const sqlite3_int64 id = sqlite3_column_int64(statement, 0);
    *found_out = sqlite3_column_type(statement, 1) != SQLITE_NULL;
    if (sqlite3_column_int(statement, 1) != 0) {
        rc = htt_rc_say(message_out, SQLITE_CORRUPT_VTAB,
                        "%s.htt_consumer: a consumer of store %lld has acknowledged something "
                        "that is no integer",
                        outbox->schema, outbox->id);
    } else if (*found_out) {
        *acknowledged_out = (uint64_t)((id < least ? least : id > most ? most : id) - least);
    }
    outbox_reset(statement);
    return rc;
}

/* ---------------------------------------------------------------- writing */

static int outbox_bind_row(const htt_outbox *outbox, sqlite3_stmt *statement, int first,
                           const htt_outbox_row *row) {
    const int op = htt_outbox_value_op(row->op, row->key, row->value);
    int rc = sqlite3_bind_int64(statement, first, outbox_row_id(outbox, row->seq));
    rc = rc == SQLITE_OK ? sqlite3_bind_int(statement, first + 1, op) : rc;
    rc = rc == SQLITE_OK ? htt_outbox_value_bind(statement, first + 2, op, row->key, row->value)
                         : rc;
    return rc == SQLITE_OK ? sqlite3_bind_int64(statement, first + 4, (sqlite3_int64)row->token)
                           : rc;
}

/* SQLITE_CONSTRAINT: was it because rows from `seq` on are there? */
static int outbox_explain_conflict(htt_outbox *outbox, uint64_t seq, int rc, char **message_out) {
    htt_outbox_row last = {.seq = 0};
    char *ignored = NULL;
    bool found = false;
    const int failed =
        htt_outbox_read_last(outbox, (uint64_t)HTT_OUTBOX_SEQ_MAX, &found, &last, &ignored);
    sqlite3_free(ignored);
    if (failed != SQLITE_OK || !found || last.seq < seq) {
        return rc;
    }
    return htt_rc_say(message_out, SQLITE_CORRUPT_VTAB,
                      "%s.htt_outbox: row %lld is there already: somebody else has written it",
                      outbox->schema, outbox_row_id(outbox, last.seq));
}

int htt_outbox_append(htt_outbox *outbox, const htt_outbox_row *rows, int count,
                      char **message_out) {
    const outbox_sql which = count == 1 ? OUTBOX_APPEND_ONE : OUTBOX_APPEND_TWO;
    sqlite3_stmt *statement;
    assert(count == 1 || (count == 2 && rows[1].seq == rows[0].seq + 1));
    if (rows[count - 1].seq > (uint64_t)HTT_OUTBOX_SEQ_MAX) {
        return htt_rc_say(message_out, SQLITE_FULL, "%s.htt_outbox: no numbers are left for '%s'",
                          outbox->schema, outbox->name);
    }
    int rc = outbox_prepare(outbox, which, &statement, message_out);
    for (int i = 0; rc == SQLITE_OK && i < count; i++) {
        rc = outbox_bind_row(outbox, statement, i * 5 + 1, &rows[i]);
        if (rc != SQLITE_OK) {
            rc = rc == SQLITE_MISMATCH
                     ? htt_rc_say(message_out, rc, "%s.htt_outbox: no such key or value",
                                  outbox->schema)
                     : outbox_fail(outbox, which, rc, message_out);
            outbox_reset(statement);
        }
    }
    if (rc == SQLITE_OK) {
        rc = outbox_step_change(outbox, which, statement, count, message_out);
    }
    return (rc & 0xff) == SQLITE_CONSTRAINT
               ? outbox_explain_conflict(outbox, rows[0].seq, rc, message_out)
               : rc;
}

static int outbox_bind_record(sqlite3_stmt *statement, int index, const htt_host_root *root) {
    return root == NULL ? sqlite3_bind_null(statement, index)
                        : sqlite3_bind_blob(statement, index, root->record, sizeof root->record,
                                            SQLITE_STATIC);
}

static int outbox_has_root(htt_outbox *outbox, const htt_host_root *root, bool *has_out,
                           char **message_out) {
    sqlite3_stmt *statement;
    int rc = outbox_begin(outbox, OUTBOX_HAS_ROOT, outbox->id, 0, &statement, message_out);
    if (rc != SQLITE_OK) {
        return rc;
    }
    rc = outbox_bind_record(statement, 2, root);
    if (rc != SQLITE_OK) {
        rc = outbox_fail(outbox, OUTBOX_HAS_ROOT, rc, message_out);
    } else {
        rc = outbox_step_row(outbox, OUTBOX_HAS_ROOT, statement, has_out, message_out);
    }
    outbox_reset(statement);
    return rc;
}

int htt_outbox_write_root(htt_outbox *outbox, const htt_host_root *before,
                          const htt_host_root *root, bool *same_out, char **message_out) {
    sqlite3_stmt *statement;
    bool has = false;
    int rc = outbox_has_root(outbox, before, &has, message_out);
    if (rc != SQLITE_OK || !has) {
        *same_out = false;
        return rc;
    }
    rc = outbox_begin(outbox, OUTBOX_WRITE_ROOT, outbox->id, 0, &statement, message_out);
    if (rc != SQLITE_OK) {
        return rc;
    }
    rc = outbox_bind_record(statement, 2, root);
    rc = rc == SQLITE_OK ? outbox_bind_record(statement, 3, before) : rc;
    if (rc != SQLITE_OK) {
        rc = outbox_fail(outbox, OUTBOX_WRITE_ROOT, rc, message_out);
        outbox_reset(statement);
        return rc;
    }
    rc = outbox_step_change(outbox, OUTBOX_WRITE_ROOT, statement, 1, message_out);
    /* An authorizer can take a column out of an UPDATE, and no counter shows it. */
    rc = rc == SQLITE_OK ? outbox_has_root(outbox, root, &has, message_out) : rc;
    if (rc == SQLITE_OK && !has) {
        rc = htt_rc_say(message_out, SQLITE_IOERR,
                        "%s.htt_store: an authorizer or a trigger keeps the root as it was",
                        outbox->schema);
    }
    if (rc == SQLITE_OK) {
        *same_out = true;
    }
    return rc;
}

int htt_outbox_write_acked(htt_outbox *outbox, uint64_t acked, char **message_out) {
    sqlite3_stmt *statement;
    const int rc = outbox_begin(outbox, OUTBOX_WRITE_ACKED, outbox->id, (sqlite3_int64)acked,
                                &statement, message_out);
    return rc == SQLITE_OK
               ? outbox_step_change(outbox, OUTBOX_WRITE_ACKED, statement, 1, message_out)
               : rc;
}

int htt_outbox_write_state(htt_outbox *outbox, htt_store_state state, char **message_out) {
    const char *const word = state == HTT_STORE_LIVE ? "live" : "dropped";
    sqlite3_stmt *statement;
    int rc = outbox_begin(outbox, OUTBOX_WRITE_STATE, outbox->id, 0, &statement, message_out);
    if (rc != SQLITE_OK) {
        return rc;
    }
    rc = sqlite3_bind_text(statement, 2, word, -1, SQLITE_STATIC);
    if (rc != SQLITE_OK) {
        rc = outbox_fail(outbox, OUTBOX_WRITE_STATE, rc, message_out);
        outbox_reset(statement);
        return rc;
    }
    return outbox_step_change(outbox, OUTBOX_WRITE_STATE, statement, 1, message_out);
}

int htt_outbox_trim(htt_outbox *outbox, uint64_t most, bool all, char **message_out) {
    htt_outbox_row last;
    bool found = true;
    sqlite3_stmt *statement;
    int rc = SQLITE_OK;
    if (!all) {
        rc = htt_outbox_read_last(outbox, (uint64_t)HTT_OUTBOX_SEQ_MAX, &found, &last, message_out);
        if (rc == SQLITE_OK && found && most >= last.seq) {
            most = last.seq - 1; /* its number must not be given out again */
        }
    }
    if (rc != SQLITE_OK || !found) {
        return rc;
    }
    rc = outbox_begin(outbox, OUTBOX_TRIM, outbox_row_id(outbox, 1), outbox_row_id(outbox, most),
                      &statement, message_out);
    return rc == SQLITE_OK ? outbox_step_change(outbox, OUTBOX_TRIM, statement, -1, message_out)
                           : rc;
}

int htt_outbox_delete_store(htt_outbox *outbox, char **message_out) {
    static const outbox_sql steps[] = {OUTBOX_DELETE_CONSUMERS, OUTBOX_DELETE_STORE};
    int rc = htt_outbox_trim(outbox, (uint64_t)HTT_OUTBOX_SEQ_MAX, true, message_out);
    for (size_t i = 0; rc == SQLITE_OK && i < sizeof steps / sizeof steps[0]; i++) {
        sqlite3_stmt *statement;
        rc = outbox_begin(outbox, steps[i], outbox->id, 0, &statement, message_out);
        if (rc == SQLITE_OK) {
            const sqlite3_int64 expected = steps[i] == OUTBOX_DELETE_STORE ? 1 : -1;
            rc = outbox_step_change(outbox, steps[i], statement, expected, message_out);
        }
    }
    return rc;
}
