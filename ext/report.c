/* SPDX-License-Identifier: MIT */
/*
 * Table-valued functions of one htt table: eponymous virtual tables with hidden columns `table`
 * and `schema`, which the arguments constrain.
 */
#include "report.h"

#include <assert.h>
#include <string.h>

#include "rc.h"

enum { REPORT_HAS_SCHEMA = 1 }; /* idxNum: argv[1] is the schema */

typedef struct report_aux {
    htt_registry *registry;      /* referenced */
    const htt_report_kind *kind; /* borrowed */
} report_aux;

typedef struct report_table {
    sqlite3_vtab base;           /* must be first */
    htt_registry *registry;      /* borrowed */
    const htt_report_kind *kind; /* borrowed */
} report_table;

typedef struct report_cursor {
    sqlite3_vtab_cursor base; /* must be first */
    htt_report report;        /* all rows */
    size_t at;                /* the current one */
    char *table;              /* as it was asked for; owned */
    char *schema;             /* NULL = not given; owned */
} report_cursor;

htt_report_row *htt_report_add(htt_report *report) {
    if (report->count == report->capacity) {
        const size_t capacity = report->capacity == 0 ? 32 : report->capacity * 2;
        htt_report_row *const rows =
            sqlite3_realloc64(report->rows, capacity * sizeof report->rows[0]);
        if (rows == NULL) {
            return NULL;
        }
        report->rows = rows;
        report->capacity = capacity;
    }
    htt_report_row *const row = &report->rows[report->count++];
    memset(row, 0, sizeof *row);
    for (int i = 0; i < HTT_REPORT_COLUMNS_MAX; i++) {
        row->values[i].type = SQLITE_NULL;
    }
    return row;
}

void htt_report_cut(htt_report *report, size_t count) {
    while (report->count > count) {
        const htt_report_row *const row = &report->rows[--report->count];
        for (int i = 0; i < HTT_REPORT_COLUMNS_MAX; i++) {
            sqlite3_free(row->values[i].text);
        }
    }
}

void htt_report_clear(htt_report *report) {
    htt_report_cut(report, 0);
    sqlite3_free(report->rows);
    *report = (htt_report){0};
}

static int report_connect(sqlite3 *db, void *pointer, int argc, const char *const *argv,
                          sqlite3_vtab **vtab_out, char **message_out) {
    const report_aux *const aux = pointer;
    (void)argc;
    (void)argv;
    (void)message_out;
    const int rc = sqlite3_declare_vtab(db, aux->kind->declare);
    if (rc != SQLITE_OK) {
        return rc;
    }
    report_table *const table = sqlite3_malloc64(sizeof *table);
    if (table == NULL) {
        return SQLITE_NOMEM;
    }
    *table = (report_table){.registry = aux->registry, .kind = aux->kind};
    *vtab_out = &table->base;
    return SQLITE_OK;
}

static int report_disconnect(sqlite3_vtab *vtab) {
    sqlite3_free(vtab);
    return SQLITE_OK;
}

static int report_best_index(sqlite3_vtab *vtab, sqlite3_index_info *info) {
    const report_table *const table = (const report_table *)vtab;
    const int table_column = table->kind->visible;
    int found[2] = {-1, -1}; /* constraints on table and schema */
    for (int i = 0; i < info->nConstraint; i++) {
        const struct sqlite3_index_constraint *const constraint = &info->aConstraint[i];
        const int which = constraint->iColumn - table_column;
        if (which < 0 || which > 1 || constraint->op != SQLITE_INDEX_CONSTRAINT_EQ) {
            continue;
        }
        if (!constraint->usable) {
            return SQLITE_CONSTRAINT; /* the arguments are needed first */
        }
        found[which] = i;
    }
    if (found[0] < 0) {
        return htt_rc_say(&vtab->zErrMsg, SQLITE_ERROR, "%s: the table is missing, as in %s('kv')",
                          table->kind->name, table->kind->name);
    }
    info->aConstraintUsage[found[0]].argvIndex = 1;
    info->aConstraintUsage[found[0]].omit = 1;
    info->idxNum = 0;
    if (found[1] >= 0) {
        info->aConstraintUsage[found[1]].argvIndex = 2;
        info->aConstraintUsage[found[1]].omit = 1;
        info->idxNum = REPORT_HAS_SCHEMA;
    }
    info->estimatedCost = 1000.0;
    info->estimatedRows = 20;
    return SQLITE_OK;
}

static int report_open(sqlite3_vtab *vtab, sqlite3_vtab_cursor **cursor_out) {
    (void)vtab;
    report_cursor *const cursor = sqlite3_malloc64(sizeof *cursor);
    if (cursor == NULL) {
        return SQLITE_NOMEM;
    }
    memset(cursor, 0, sizeof *cursor);
    *cursor_out = &cursor->base;
    return SQLITE_OK;
}

static void report_reset(report_cursor *cursor) {
    htt_report_clear(&cursor->report);
    sqlite3_free(cursor->table);
    sqlite3_free(cursor->schema);
    cursor->table = NULL;
    cursor->schema = NULL;
    cursor->at = 0;
}

static int report_close(sqlite3_vtab_cursor *base) {
    report_cursor *const cursor = (report_cursor *)base;
    report_reset(cursor);
    sqlite3_free(cursor);
    return SQLITE_OK;
}

/* A copy of an argument; NULL for SQL's NULL. */
static int report_copy_text(sqlite3_value *value, char **text_out) {
    const char *const text = (const char *)sqlite3_value_text(value);
    if (text == NULL) {
        return sqlite3_value_type(value) == SQLITE_NULL ? SQLITE_OK : SQLITE_NOMEM;
    }
    *text_out = sqlite3_mprintf("%s", text);
    return *text_out == NULL ? SQLITE_NOMEM : SQLITE_OK;
}

static int report_filter(sqlite3_vtab_cursor *base, int plan, const char *words, int argc,
                         sqlite3_value **argv) {
    report_cursor *const cursor = (report_cursor *)base;
    report_table *const vtab = (report_table *)base->pVtab;
    htt_table *table = NULL;
    (void)words;
    assert(argc >= 1);
    report_reset(cursor);
    int rc = report_copy_text(argv[0], &cursor->table);
    if (rc == SQLITE_OK && (plan & REPORT_HAS_SCHEMA) != 0 && argc > 1) {
        rc = report_copy_text(argv[1], &cursor->schema);
    }
    if (rc == SQLITE_OK && cursor->table == NULL) {
        return htt_rc_say(&vtab->base.zErrMsg, SQLITE_ERROR, "%s: the table is NULL",
                          vtab->kind->name);
    }
    if (rc == SQLITE_OK) {
        rc = htt_vtab_find(vtab->registry, cursor->schema, cursor->table, &table,
                           &vtab->base.zErrMsg);
    }
    return rc == SQLITE_OK ? vtab->kind->fill(table, &cursor->report, &vtab->base.zErrMsg) : rc;
}

static int report_next(sqlite3_vtab_cursor *base) {
    ((report_cursor *)base)->at++;
    return SQLITE_OK;
}

static int report_eof(sqlite3_vtab_cursor *base) {
    const report_cursor *const cursor = (const report_cursor *)base;
    return cursor->at >= cursor->report.count;
}

static int report_column(sqlite3_vtab_cursor *base, sqlite3_context *context, int column) {
    const report_cursor *const cursor = (const report_cursor *)base;
    const int table_column = ((const report_table *)base->pVtab)->kind->visible;
    if (column == table_column || column == table_column + 1) {
        const char *const text = column == table_column ? cursor->table : cursor->schema;
        sqlite3_result_text(context, text, -1, SQLITE_TRANSIENT);
        return SQLITE_OK;
    }
    const int index = column < table_column ? column : column - 2;
    const htt_report_value *const value = &cursor->report.rows[cursor->at].values[index];
    switch (value->type) {
    case SQLITE_INTEGER: sqlite3_result_int64(context, value->integer); break;
    case SQLITE_FLOAT: sqlite3_result_double(context, value->real); break;
    case SQLITE_TEXT: sqlite3_result_text(context, value->text, -1, SQLITE_TRANSIENT); break;
    default: sqlite3_result_null(context); break;
    }
    return SQLITE_OK;
}

static int report_rowid(sqlite3_vtab_cursor *base, sqlite3_int64 *rowid_out) {
    *rowid_out = (sqlite3_int64)((const report_cursor *)base)->at + 1;
    return SQLITE_OK;
}

static const sqlite3_module report_module = {
    .iVersion = 1,
    .xCreate = NULL, /* eponymous only */
    .xConnect = report_connect,
    .xBestIndex = report_best_index,
    .xDisconnect = report_disconnect,
    .xDestroy = NULL,
    .xOpen = report_open,
    .xClose = report_close,
    .xFilter = report_filter,
    .xNext = report_next,
    .xEof = report_eof,
    .xColumn = report_column,
    .xRowid = report_rowid,
    .xUpdate = NULL, /* read-only */
    .xBegin = NULL,
    .xSync = NULL,
    .xCommit = NULL,
    .xRollback = NULL,
    .xFindFunction = NULL,
    .xRename = NULL,
    .xSavepoint = NULL,
    .xRelease = NULL,
    .xRollbackTo = NULL,
    .xShadowName = NULL,
};

static void report_free_aux(void *pointer) {
    report_aux *const aux = pointer;
    htt_registry_release(aux->registry);
    sqlite3_free(aux);
}

int htt_report_register(htt_registry *registry, const htt_report_kind *kind) {
    assert(kind->visible <= HTT_REPORT_COLUMNS_MAX);
    report_aux *const aux = sqlite3_malloc64(sizeof *aux);
    if (aux == NULL) {
        return SQLITE_NOMEM;
    }
    *aux = (report_aux){.registry = registry, .kind = kind};
    htt_registry_reference(registry);
    return sqlite3_create_module_v2(registry->db, kind->name, &report_module, aux, report_free_aux);
}
