/* SPDX-License-Identifier: MIT */
/*
 * xUpdate. Each call changes all or nothing: a single-row statement has no savepoint of SQLite's.
 *
 *   CALL    ARGC         ARGV[0]       ARGV[1]   ARGV[2...]
 *   DELETE  1            the key       -         -
 *   INSERT  2 + columns  NULL          not used  the new row
 *   UPDATE  2 + columns  the old key   not used  the new row; unchanged columns may be "no change"
 *
 * Conflicts, in the order of an ordinary table: NOT NULL by column, then the key. What OR IGNORE
 * and the others mean is SQLite's business, given that SQLITE_CONSTRAINT comes before any change;
 * only OR REPLACE is ours. A row that was replaced away before its UPDATE or DELETE came is no
 * error.
 */
#include "update.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

#include "rc.h"
#include "vtab.h"
#include "write.h"

enum { UPDATE_ARGV_KEY = 0, UPDATE_ARGV_COLUMNS = 2 };

/* A row as it is to be. */
typedef struct update_row {
    htt_cell key;       /* the new key */
    htt_datum value;    /* the value to store, if it has one yet */
    bool keeps_columns; /* some columns stay as they are */
    bool keeps_all;     /* all columns but the key do */
} update_row;

/* Under OR IGNORE nobody reads the message. */
static bool update_is_ignored(const htt_table *table) {
    return sqlite3_vtab_on_conflict(table->registry->db) == SQLITE_IGNORE;
}

static int update_conflict(htt_table *table, int code, const char *what, int column) {
    if (update_is_ignored(table)) {
        return code;
    }
    return htt_rc_say(&table->base.zErrMsg, code, "%s constraint failed: %s.%s", what, table->name,
                      table->arguments.declaration.columns[column].name);
}

static int update_key_conflict(htt_table *table) {
    return update_conflict(table, SQLITE_CONSTRAINT_PRIMARYKEY, "UNIQUE",
                           table->arguments.declaration.key);
}

/* ---------------------------------------------------------------- the row */

/* The new row's key and columns, with affinity and NOT NULL. */
static int update_read_row(htt_table *table, sqlite3_value **columns, bool is_update,
                           update_row *row) {
    const htt_declaration *const declaration = &table->arguments.declaration;
    int kept = 0;
    for (int i = 0; i < declaration->count; i++) {
        const htt_column *const column = &declaration->columns[i];
        htt_cell *const cell = i == declaration->key ? &row->key : &table->cells[i];
        if (i != declaration->key && is_update && sqlite3_value_nochange(columns[i])) {
            kept++;
            continue;
        }
        const int rc = i == declaration->key
                           ? htt_affinity_key(columns[i], column->affinity, &table->texts, cell)
                           : htt_affinity_value(columns[i], column->affinity, &table->texts, cell);
        if (rc != SQLITE_OK) {
            return rc;
        }
        if (cell->datum.type == HTT_NULL && column->not_null) {
            return update_conflict(table, SQLITE_CONSTRAINT_NOTNULL, "NOT NULL", i);
        }
    }
    assert(kept < declaration->count);
    row->keeps_columns = kept > 0;
    row->keeps_all = is_update && kept == declaration->count - 1;
    return SQLITE_OK;
}

static int update_unsound(htt_table *table) {
    return htt_rc_say(&table->base.zErrMsg, SQLITE_CORRUPT_VTAB,
                      "%s: the value of a row is not sound", table->connection->name);
}

/* Fills the cells of unchanged columns from the old row's value. */
static int update_keep_columns(htt_table *table, sqlite3_value **columns, htt_datum old) {
    const htt_declaration *const declaration = &table->arguments.declaration;
    htt_row opened;
    uint32_t index = 0;
    if (old.type == HTT_ROW && htt_row_open(old, &opened) != HTT_OK) {
        return update_unsound(table);
    }
    for (int i = 0; i < declaration->count; i++) {
        if (i == declaration->key) {
            continue;
        }
        if (sqlite3_value_nochange(columns[i])) {
            htt_datum *const datum = &table->cells[i].datum;
            if (old.type != HTT_ROW) {
                *datum = index == 0 ? old : htt_null();
            } else if (htt_row_column(&opened, index, datum) != HTT_OK) {
                return update_unsound(table);
            }
        }
        index++;
    }
    return SQLITE_OK;
}

/*
 * The value as it is stored, in row->value. Plain tables store the one column as it is; if it is
 * borrowed from the engine it is copied.
 */
static int update_encode(htt_table *table, update_row *row) {
    const htt_declaration *const declaration = &table->arguments.declaration;
    const uint32_t count = (uint32_t)htt_declaration_value_count(declaration);
    uint32_t index = 0;
    if (declaration->plain && !row->keeps_columns) {
        row->value = table->cells[1].datum;
        return SQLITE_OK;
    }
    htt_datum *const datums = table->datums;
    for (int i = 0; i < declaration->count; i++) {
        if (i != declaration->key) {
            datums[index++] = table->cells[i].datum;
        }
    }
    assert(index == count);
    const size_t size = declaration->plain ? datums[0].size : htt_row_size(datums, count);
    htt_buffer_trim(&table->row);
    const int rc = htt_buffer_reserve(&table->row, size);
    if (rc != SQLITE_OK) {
        return rc;
    }
    if (!declaration->plain) {
        htt_row_encode(datums, count, table->row.bytes);
    } else if (size > 0) {
        memcpy(table->row.bytes, datums[0].data, size);
    }
    row->value =
        htt_bytes(table->row.bytes, size, declaration->plain ? (htt_type)datums[0].type : HTT_ROW);
    return SQLITE_OK;
}

/* --------------------------------------------------------------- the acts */

static int update_insert(htt_table *table, sqlite3_value **columns) {
    const bool replace = sqlite3_vtab_on_conflict(table->registry->db) == SQLITE_REPLACE;
    update_row row = {.keeps_columns = false};
    int rc = update_read_row(table, columns, false, &row);
    rc = rc == SQLITE_OK ? update_encode(table, &row) : rc;
    if (rc != SQLITE_OK) {
        return rc;
    }
    bool exists;
    rc = htt_write_put(table->connection, row.key.datum, row.value,
                       replace ? HTT_WRITE_UPSERT : HTT_WRITE_INSERT, &exists,
                       &table->base.zErrMsg);
    return rc == SQLITE_OK && exists ? update_key_conflict(table) : rc;
}

static int update_delete(htt_table *table, sqlite3_value *key) {
    const htt_declaration *const declaration = &table->arguments.declaration;
    htt_cell cell;
    const int rc = htt_affinity_key(key, declaration->columns[declaration->key].affinity,
                                    &table->texts, &cell);
    return rc == SQLITE_OK
               ? htt_write_del(table->connection, cell.datum, &table->base.zErrMsg)
               : rc;
}

/* The row gets another key. */
static int update_move(htt_table *table, htt_datum old_key, const update_row *row) {
    const bool replace = sqlite3_vtab_on_conflict(table->registry->db) == SQLITE_REPLACE;
    bool exists;
    const int rc = htt_write_move(table->connection, old_key, row->key.datum, row->value,
                                  replace ? HTT_WRITE_UPSERT : HTT_WRITE_INSERT, &exists,
                                  &table->base.zErrMsg);
    return rc == SQLITE_OK && exists ? update_key_conflict(table) : rc;
}

/* The old row's value where unchanged columns need it. *found_out false: the row is gone. */
static int update_read_old(htt_table *table, sqlite3_value **columns, htt_datum old_key,
                           update_row *row, bool *found_out) {
    const htt_source source = htt_write_source(table->connection);
    htt_datum old;
    const htt_rc rc = row->keeps_columns ? htt_source_get(&source, old_key, &old)
                                         : htt_write_exists(table->connection, old_key);
    *found_out = rc == HTT_OK;
    if (rc != HTT_OK) {
        return rc == HTT_NOTFOUND
                   ? SQLITE_OK
                   : htt_write_fail(table->connection, rc, &table->base.zErrMsg);
    }
    return row->keeps_columns ? update_keep_columns(table, columns, old) : SQLITE_OK;
}

static int update_update(htt_table *table, sqlite3_value *key, sqlite3_value **columns) {
    const htt_declaration *const declaration = &table->arguments.declaration;
    const htt_affinity affinity = declaration->columns[declaration->key].affinity;
    update_row row = {.keeps_columns = false};
    htt_cell old_key;
    bool found = false;
    int rc = update_read_row(table, columns, true, &row);
    rc = rc == SQLITE_OK ? htt_affinity_key(key, affinity, &table->texts, &old_key) : rc;
    if (rc != SQLITE_OK) {
        return rc;
    }
    const bool same_key = htt_host_same_key(old_key.datum, row.key.datum);
    if (same_key && row.keeps_all && old_key.datum.type == row.key.datum.type) {
        return SQLITE_OK;
    }
    rc = update_read_old(table, columns, old_key.datum, &row, &found);
    if (rc != SQLITE_OK || !found) {
        return rc;
    }
    rc = update_encode(table, &row);
    if (rc != SQLITE_OK) {
        return rc;
    }
    if (!same_key) {
        return update_move(table, old_key.datum, &row);
    }
    bool exists;
    return htt_write_put(table->connection, row.key.datum, row.value, HTT_WRITE_UPSERT, &exists,
                         &table->base.zErrMsg);
}

static int update_act(htt_table *table, int argc, sqlite3_value **argv) {
    if (argc == 1) {
        return update_delete(table, argv[UPDATE_ARGV_KEY]);
    }
    if (sqlite3_value_type(argv[UPDATE_ARGV_KEY]) == SQLITE_NULL) {
        return update_insert(table, argv + UPDATE_ARGV_COLUMNS);
    }
    return update_update(table, argv[UPDATE_ARGV_KEY], argv + UPDATE_ARGV_COLUMNS);
}

int htt_update_row(sqlite3_vtab *vtab, int argc, sqlite3_value **argv, sqlite3_int64 *rowid_out) {
    htt_table *const table = (htt_table *)vtab;
    assert(argc == 1 || argc == UPDATE_ARGV_COLUMNS + table->arguments.declaration.count);
    /* An ordinary WITHOUT ROWID table leaves last_insert_rowid() alone; SQLite sets it to this. */
    *rowid_out = sqlite3_last_insert_rowid(table->registry->db);
    int rc = htt_transaction_change(table->connection, &vtab->zErrMsg);
    if (rc != SQLITE_OK) {
        return rc;
    }
    /* The application's triggers on our own tables may come here again. */
    const htt_surrogate_texts outer = table->texts;
    table->texts = (htt_surrogate_texts){NULL};
    rc = update_act(table, argc, argv);
    htt_surrogate_free(&table->texts);
    table->texts = outer;
    if (rc == SQLITE_OK) {
        table->connection->transaction.changed = true;
    }
    return rc;
}
