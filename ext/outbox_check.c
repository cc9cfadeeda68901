/* SPDX-License-Identifier: MIT */
/*
 * Looking for damage in the rows of a store; see outbox_check.h. Unlike a reader, which stops at
 * the first row that is wrong, this goes on behind it.
 */
#include "outbox_check.h"

#include <stddef.h>

#include "outbox.h"
#include "outbox_value.h"
#include "rc.h"

enum { CHECK_ID, CHECK_OP, CHECK_KEY, CHECK_VALUE, CHECK_TOKEN };

typedef struct check_walk {
    const char *schema;        /* borrowed */
    sqlite3_int64 first;       /* id that seq 0 would have */
    const htt_host_root *root; /* NULL = none; borrowed */
    bool dense;                /* older rows have no holes */
    sqlite3_int64 before;      /* seq of the row before, 0 = none */
    uint64_t token;            /* that the next row's goes on from */
    bool chained;              /* it is known */
    htt_outbox_note note;      /* takes problems */
    void *arg;                 /* of note */
} check_walk;

/* Notes a text and frees it. */
static int check_note(const check_walk *walk, char *problem) {
    const int rc = problem == NULL ? SQLITE_NOMEM : walk->note(walk->arg, problem);
    sqlite3_free(problem);
    return rc;
}

/* Numbers from `from` up to the one before `seq` are not there. */
static int check_hole(check_walk *walk, sqlite3_int64 from, sqlite3_int64 seq) {
    if (from >= seq) {
        return SQLITE_OK;
    }
    walk->chained = false;
    if (from + 1 == seq) {
        return check_note(walk, sqlite3_mprintf("%s.htt_outbox: row %lld is missing",
                                                walk->schema, walk->first + from));
    }
    return check_note(walk, sqlite3_mprintf("%s.htt_outbox: rows %lld to %lld are missing",
                                            walk->schema, walk->first + from,
                                            walk->first + seq - 1));
}

/* Decodes a row. *wrong_out: the column that makes no sense, NULL = all do. */
static int check_decode(sqlite3_stmt *statement, htt_outbox_cell *key, htt_outbox_cell *value,
                        const char **wrong_out) {
    const sqlite3_int64 op = sqlite3_column_int64(statement, CHECK_OP);
    const sqlite3_int64 known = HTT_OUTBOX_OP_MASK | HTT_OUTBOX_FLAGS;
    const sqlite3_int64 what = op & HTT_OUTBOX_OP_MASK;
    *wrong_out = NULL;
    if (sqlite3_column_type(statement, CHECK_OP) != SQLITE_INTEGER || (op & ~known) != 0 ||
        what < HTT_OP_PUT || what > HTT_OP_DEL) {
        *wrong_out = "op";
    } else if (sqlite3_column_type(statement, CHECK_TOKEN) != SQLITE_INTEGER) {
        *wrong_out = "token";
    } else {
        int rc = htt_outbox_value_read_key(statement, CHECK_KEY, (int)op, key);
        *wrong_out = rc == SQLITE_CORRUPT_VTAB ? "key" : NULL;
        if (rc == SQLITE_OK) {
            rc = htt_outbox_value_read(statement, CHECK_VALUE, (int)op, value);
            *wrong_out = rc == SQLITE_CORRUPT_VTAB ? "value" : NULL;
        }
        return *wrong_out != NULL ? SQLITE_OK : rc;
    }
    return SQLITE_OK;
}

/* A row past the root. */
static int check_content(check_walk *walk, sqlite3_stmt *statement, sqlite3_int64 seq) {
    const sqlite3_int64 id = sqlite3_column_int64(statement, CHECK_ID);
    const unsigned op = (unsigned)sqlite3_column_int(statement, CHECK_OP) & HTT_OUTBOX_OP_MASK;
    htt_outbox_cell key;
    htt_outbox_cell value;
    const char *wrong;
    int rc = check_decode(statement, &key, &value, &wrong);
    if (rc != SQLITE_OK) {
        return rc;
    }
    if (wrong != NULL) {
        walk->chained = false;
        return check_note(walk, sqlite3_mprintf("%s.htt_outbox: the %s of row %lld makes no sense",
                                                walk->schema, wrong, id));
    }
    const uint64_t stored = (uint64_t)sqlite3_column_int64(statement, CHECK_TOKEN);
    const bool fits = !walk->chained || stored == htt_host_token(walk->token, (uint64_t)seq, op,
                                                                 key.datum, value.datum);
    walk->token = stored;
    walk->chained = true;
    return fits ? SQLITE_OK
                : check_note(walk, sqlite3_mprintf("%s.htt_outbox: row %lld was changed: its token "
                                                   "does not fit",
                                                   walk->schema, id));
}

static int check_row(check_walk *walk, sqlite3_stmt *statement) {
    const sqlite3_int64 id = sqlite3_column_int64(statement, CHECK_ID);
    const sqlite3_int64 seq = id - walk->first;
    if (walk->root == NULL) {
        return check_note(walk, sqlite3_mprintf("%s.htt_outbox: row %lld belongs to a store "
                                                "without a root",
                                                walk->schema, id));
    }
    const sqlite3_int64 folded = (sqlite3_int64)walk->root->seq;
    int rc = SQLITE_OK;
    if (seq <= folded) {
        rc = walk->dense && walk->before != 0 ? check_hole(walk, walk->before + 1, seq) : SQLITE_OK;
        walk->before = seq;
        return rc;
    }
    if (walk->before < folded) { /* the first one past the root */
        const bool kept = walk->dense && walk->before != 0;
        rc = check_hole(walk, kept ? walk->before + 1 : folded + 1, seq);
    } else {
        rc = check_hole(walk, walk->before + 1, seq);
    }
    walk->before = seq;
    return rc == SQLITE_OK ? check_content(walk, statement, seq) : rc;
}

int htt_outbox_check(sqlite3 *db, const char *schema, sqlite3_int64 store,
                     const htt_host_root *root, bool dense, htt_outbox_note note, void *arg,
                     char **message_out) {
    sqlite3_stmt *statement = NULL;
    check_walk walk = {.schema = schema,
                       .first = store << HTT_OUTBOX_SEQ_BITS,
                       .root = root,
                       .dense = dense,
                       .token = root == NULL ? 0 : htt_host_first_token(root),
                       .chained = true,
                       .note = note,
                       .arg = arg};
    char *const sql = sqlite3_mprintf("SELECT id, op, key, value, token FROM \"%w\".htt_outbox "
                                      "WHERE id BETWEEN %lld AND %lld ORDER BY id",
                                      schema, walk.first + 1, walk.first + HTT_OUTBOX_SEQ_MAX);
    if (sql == NULL) {
        return SQLITE_NOMEM;
    }
    int rc = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
    sqlite3_free(sql);
    int stopped = SQLITE_OK;
    while (rc == SQLITE_OK && stopped == SQLITE_OK) {
        rc = sqlite3_step(statement);
        if (rc == SQLITE_ROW) {
            stopped = check_row(&walk, statement);
            rc = SQLITE_OK;
        }
    }
    if (rc != SQLITE_OK && rc != SQLITE_DONE) {
        stopped = htt_rc_say(message_out, rc, "%s.htt_outbox: %s", schema, sqlite3_errmsg(db));
    }
    sqlite3_finalize(statement);
    return stopped;
}
