/* SPDX-License-Identifier: MIT */
/*
 * htt_changes(table, since [, schema]): the changes of a table with changes=on whose seq is larger
 * than `since`, in order, as rows
 *
 *     seq     number of the change; they rise by one
 *     id      the row of htt_outbox, for htt_consumer.acknowledged
 *     op      'put' or 'delete'
 *     key     as it was written
 *     value   as it was written; of a table with several columns: the columns but the key, as a
 *             JSON array (htt_row_json); of a delete NULL
 *     raw     hidden: the value as htt_outbox keeps it
 *
 * Rows are read as they are asked for. What a consumer has missed is an error, see feed.h.
 *
 * htt_seq('[schema.]table'): number of the table's newest change.
 */
#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "affinity.h"
#include "feed.h"
#include "function.h"
#include "function_row.h"
#include "function_scalar.h"
#include "rc.h"

enum {
    CHANGES_SEQ,
    CHANGES_ID,
    CHANGES_OP,
    CHANGES_KEY,
    CHANGES_VALUE,
    CHANGES_TABLE,
    CHANGES_SINCE,
    CHANGES_SCHEMA,
    CHANGES_RAW
};

static const char changes_declare[] =
    "CREATE TABLE x(seq INTEGER, id INTEGER, op TEXT, \"key\", value, \"table\" TEXT HIDDEN, "
    "since HIDDEN, \"schema\" TEXT HIDDEN, raw HIDDEN)";

enum { CHANGES_HAS_SCHEMA = 1 }; /* idxNum: argv[2] is the schema */

typedef struct changes_table {
    sqlite3_vtab base;      /* must be first */
    htt_registry *registry; /* borrowed */
} changes_table;

typedef struct changes_cursor {
    sqlite3_vtab_cursor base; /* must be first */
    htt_feed feed;            /* stands on the current row */
    bool eof;                 /* there is no current row */
    sqlite3_int64 since;      /* as it was asked for */
    char *table;              /* as it was asked for; owned */
    char *schema;             /* NULL = not given; owned */
} changes_cursor;

static int changes_connect(sqlite3 *db, void *pointer, int argc, const char *const *argv,
                           sqlite3_vtab **vtab_out, char **message_out) {
    (void)argc;
    (void)argv;
    (void)message_out;
    const int rc = sqlite3_declare_vtab(db, changes_declare);
    if (rc != SQLITE_OK) {
        return rc;
    }
    changes_table *const table = sqlite3_malloc64(sizeof *table);
    if (table == NULL) {
        return SQLITE_NOMEM;
    }
    *table = (changes_table){.registry = pointer};
    *vtab_out = &table->base;
    return SQLITE_OK;
}

static int changes_disconnect(sqlite3_vtab *vtab) {
    sqlite3_free(vtab);
    return SQLITE_OK;
}

/* ---------------------------------------------------------------- planning */

static int changes_best_index(sqlite3_vtab *vtab, sqlite3_index_info *info) {
    static_assert(CHANGES_SINCE == CHANGES_TABLE + 1 && CHANGES_SCHEMA == CHANGES_TABLE + 2, "");
    int found[] = {-1, -1, -1}; /* constraint on each of them */
    for (int i = 0; i < info->nConstraint; i++) {
        const struct sqlite3_index_constraint *const constraint = &info->aConstraint[i];
        const int which = constraint->iColumn - CHANGES_TABLE;
        if (which < 0 || which > 2 || constraint->op != SQLITE_INDEX_CONSTRAINT_EQ) {
            continue;
        }
        if (!constraint->usable) {
            return SQLITE_CONSTRAINT; /* the arguments are needed first */
        }
        found[which] = i;
    }
    if (found[0] < 0 || found[1] < 0) {
        return htt_rc_say(&vtab->zErrMsg, SQLITE_ERROR,
                          "htt_changes: %s is missing, as in htt_changes('kv', 0)",
                          found[0] < 0 ? "the table" : "the number of the last change known");
    }
    for (int i = 0; i < 3; i++) {
        if (found[i] >= 0) {
            info->aConstraintUsage[found[i]].argvIndex = i + 1;
            info->aConstraintUsage[found[i]].omit = 1;
        }
    }
    info->idxNum = found[2] >= 0 ? CHANGES_HAS_SCHEMA : 0;
    /* seq, id and the rowid rise together. */
    info->orderByConsumed = info->nOrderBy == 1 && !info->aOrderBy[0].desc &&
                            info->aOrderBy[0].iColumn <= CHANGES_ID;
    info->estimatedCost = 100000.0;
    info->estimatedRows = 10000;
    return SQLITE_OK;
}

/* ----------------------------------------------------------------- reading */

static int changes_open(sqlite3_vtab *vtab, sqlite3_vtab_cursor **cursor_out) {
    (void)vtab;
    changes_cursor *const cursor = sqlite3_malloc64(sizeof *cursor);
    if (cursor == NULL) {
        return SQLITE_NOMEM;
    }
    memset(cursor, 0, sizeof *cursor);
    cursor->eof = true;
    *cursor_out = &cursor->base;
    return SQLITE_OK;
}

static void changes_reset(changes_cursor *cursor) {
    htt_feed_close(&cursor->feed);
    sqlite3_free(cursor->table);
    sqlite3_free(cursor->schema);
    cursor->table = NULL;
    cursor->schema = NULL;
    cursor->eof = true;
}

static int changes_close(sqlite3_vtab_cursor *base) {
    changes_cursor *const cursor = (changes_cursor *)base;
    changes_reset(cursor);
    sqlite3_free(cursor);
    return SQLITE_OK;
}

static int changes_next(sqlite3_vtab_cursor *base) {
    changes_cursor *const cursor = (changes_cursor *)base;
    bool found = false;
    const int rc = htt_feed_next(&cursor->feed, &found, &base->pVtab->zErrMsg);
    cursor->eof = rc != SQLITE_OK || !found;
    return rc;
}

/* A copy of an argument; NULL for SQL's NULL. */
static int changes_copy_text(sqlite3_value *value, char **text_out) {
    const char *const text = (const char *)sqlite3_value_text(value);
    if (text == NULL) {
        return sqlite3_value_type(value) == SQLITE_NULL ? SQLITE_OK : SQLITE_NOMEM;
    }
    *text_out = sqlite3_mprintf("%s", text);
    return *text_out == NULL ? SQLITE_NOMEM : SQLITE_OK;
}

static int changes_read_arguments(changes_cursor *cursor, int plan, sqlite3_value **argv,
                                  char **message_out) {
    int rc = changes_copy_text(argv[0], &cursor->table);
    if (rc == SQLITE_OK && (plan & CHANGES_HAS_SCHEMA) != 0) {
        rc = changes_copy_text(argv[2], &cursor->schema);
    }
    if (rc != SQLITE_OK) {
        return rc;
    }
    if (cursor->table == NULL) {
        return htt_rc_say(message_out, SQLITE_ERROR, "htt_changes: the table is NULL");
    }
    if (sqlite3_value_numeric_type(argv[1]) != SQLITE_INTEGER) {
        return htt_rc_say(message_out, SQLITE_ERROR,
                          "htt_changes: the number of the last change known is no integer");
    }
    cursor->since = sqlite3_value_int64(argv[1]);
    return SQLITE_OK;
}

static int changes_filter(sqlite3_vtab_cursor *base, int plan, const char *words, int argc,
                          sqlite3_value **argv) {
    changes_cursor *const cursor = (changes_cursor *)base;
    changes_table *const vtab = (changes_table *)base->pVtab;
    char **const message_out = &vtab->base.zErrMsg;
    htt_table *table = NULL;
    (void)words;
    assert(argc >= 2);
    (void)argc;
    changes_reset(cursor);
    int rc = changes_read_arguments(cursor, plan, argv, message_out);
    if (rc == SQLITE_OK) {
        rc = htt_vtab_find(vtab->registry, cursor->schema, cursor->table, &table, message_out);
    }
    rc = rc == SQLITE_OK ? htt_feed_open(&cursor->feed, table, "htt_changes", message_out) : rc;
    rc = rc == SQLITE_OK ? htt_feed_begin(&cursor->feed, cursor->since, message_out) : rc;
    return rc == SQLITE_OK ? changes_next(base) : rc;
}

static int changes_eof(sqlite3_vtab_cursor *base) {
    return ((const changes_cursor *)base)->eof;
}

/* ----------------------------------------------------------------- columns */

/* As the outbox keeps it, but for text. */
static htt_rc changes_result_raw(sqlite3_context *context, htt_datum value,
                                 const htt_results *results) {
    return htt_affinity_result_value(
        context, value.type == HTT_ROW ? htt_bytes(value.data, value.size, HTT_BLOB) : value,
        results);
}

static htt_rc changes_result(const changes_cursor *cursor, sqlite3_context *context, int column) {
    const htt_outbox_row *const row = &cursor->feed.row;
    const htt_results *const results =
        &((const changes_table *)cursor->base.pVtab)->registry->results;
    const sqlite3_int64 seq = (sqlite3_int64)row->seq;
    switch (column) {
    case CHANGES_SEQ: sqlite3_result_int64(context, seq); break;
    case CHANGES_ID:
        sqlite3_result_int64(context, (cursor->feed.store << HTT_OUTBOX_SEQ_BITS) + seq);
        break;
    case CHANGES_OP:
        sqlite3_result_text(context, row->op == HTT_OP_DEL ? "delete" : "put", -1, SQLITE_STATIC);
        break;
    case CHANGES_KEY: return htt_affinity_result_key(context, row->key, results);
    case CHANGES_VALUE:
        return row->op == HTT_OP_ROW ? htt_function_row_result(context, row->value)
                                     : htt_affinity_result_value(context, row->value, results);
    case CHANGES_RAW: return changes_result_raw(context, row->value, results);
    case CHANGES_TABLE:
        sqlite3_result_text(context, cursor->table, -1, SQLITE_TRANSIENT);
        break;
    case CHANGES_SINCE: sqlite3_result_int64(context, cursor->since); break;
    default: sqlite3_result_text(context, cursor->schema, -1, SQLITE_TRANSIENT); break;
    }
    return HTT_OK;
}

static int changes_column(sqlite3_vtab_cursor *base, sqlite3_context *context, int column) {
    const changes_cursor *const cursor = (const changes_cursor *)base;
    if (changes_result(cursor, context, column) == HTT_OK) {
        return SQLITE_OK;
    }
    return htt_rc_say(&base->pVtab->zErrMsg, SQLITE_CORRUPT_VTAB,
                      "htt_changes: change %lld of %s makes no sense: somebody else has written it",
                      (long long)cursor->feed.row.seq, cursor->table);
}

static int changes_rowid(sqlite3_vtab_cursor *base, sqlite3_int64 *rowid_out) {
    *rowid_out = (sqlite3_int64)((const changes_cursor *)base)->feed.row.seq;
    return SQLITE_OK;
}

static const sqlite3_module changes_module = {
    .iVersion = 1,
    .xCreate = NULL, /* eponymous only */
    .xConnect = changes_connect,
    .xBestIndex = changes_best_index,
    .xDisconnect = changes_disconnect,
    .xOpen = changes_open,
    .xClose = changes_close,
    .xFilter = changes_filter,
    .xNext = changes_next,
    .xEof = changes_eof,
    .xColumn = changes_column,
    .xRowid = changes_rowid,
};

/* --------------------------------------------------------------- functions */

static void changes_seq_call(sqlite3_context *context, int argc, sqlite3_value **argv) {
    htt_feed feed = {0};
    char *message = NULL;
    (void)argc;
    htt_table *const table = htt_function_scalar_find(context, argv[0]);
    if (table == NULL) {
        return;
    }
    const int rc = htt_feed_open(&feed, table, "htt_seq", &message);
    const sqlite3_int64 newest = (sqlite3_int64)feed.newest;
    htt_feed_close(&feed);
    if (rc != SQLITE_OK) {
        htt_function_scalar_fail(context, rc, message);
    } else {
        sqlite3_result_int64(context, newest);
    }
}

int htt_function_register_changes(htt_registry *registry) {
    const int rc =
        htt_function_scalar_register(registry, "htt_seq", 1, SQLITE_DIRECTONLY, changes_seq_call);
    if (rc != SQLITE_OK) {
        return rc;
    }
    htt_registry_reference(registry);
    return sqlite3_create_module_v2(registry->db, "htt_changes", &changes_module, registry,
                                    htt_registry_release);
}
