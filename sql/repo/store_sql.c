/* SPDX-License-Identifier: MIT */
/*
 * The stores over tables. Both are prepared statements, made when they are first needed and kept;
 * they differ in how a row is written that may be there:
 *
 *   ordinary table    INSERT ... ON CONFLICT(key) DO UPDATE
 *   htt table         INSERT OR REPLACE where the shape names every column and there is no version;
 *                     else UPDATE, and INSERT where that found none (SQLite has no UPSERT on
 *                     virtual tables)
 *
 * Columns are written with the table's alias before them: a quoted name alone that is no column
 * would be a text to SQLite.
 */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "sql/base/memory.h"
#include "sql/base/statements.h"
#include "sql/repo/repo.h"

typedef enum store_sql {
    STORE_FIND,
    STORE_CONTAINS,
    STORE_INSERT,
    STORE_UPSERT,
    STORE_REPLACE,
    STORE_UPDATE,
    STORE_UPDATE_EXPECT,
    STORE_DELETE,
    STORE_DELETE_EXPECT,
    STORE_COUNT,
    STORE_SCAN,
    STORE_PREFIX,
    STORE_SQL_COUNT
} store_sql;

/* ?1 is the key, ?2 ... the columns, behind them the expected version. */
static const char *const store_texts[] = {
    [STORE_FIND] = "SELECT {key}, {version}{reads} FROM {table} WHERE {key} = ?1",
    [STORE_CONTAINS] = "SELECT 1 FROM {table} WHERE {key} = ?1",
    [STORE_INSERT] = "INSERT INTO {table}({names}) VALUES ({marks})",
    [STORE_UPSERT] = ("INSERT INTO {table}({names}) VALUES ({marks}) "
                      "ON CONFLICT({key_name}) DO UPDATE SET {sets}"),
    [STORE_REPLACE] = "INSERT OR REPLACE INTO {table}({names}) VALUES ({marks})",
    [STORE_UPDATE] = "UPDATE {table} SET {sets} WHERE {key} = ?1",
    [STORE_UPDATE_EXPECT] = "UPDATE {table} SET {sets} WHERE {key} = ?1 AND {version} = {expected}",
    [STORE_DELETE] = "DELETE FROM {table} WHERE {key} = ?1",
    [STORE_DELETE_EXPECT] = "DELETE FROM {table} WHERE {key} = ?1 AND {version} = ?2",
    [STORE_COUNT] = "SELECT count(*) FROM {table}",
    [STORE_SCAN] = "SELECT {key}, {version}{reads} FROM {table}",
    [STORE_PREFIX] = ("SELECT {key}, {version}{reads} FROM {table} WHERE {key} >= ?1 "
                      "ORDER BY {key}"),
};
static_assert(sizeof store_texts / sizeof store_texts[0] == STORE_SQL_COUNT, "one text each");

enum { WORD_TABLE, WORD_KEY, WORD_KEY_NAME, WORD_VERSION, WORD_READS, WORD_NAMES, WORD_MARKS,
       WORD_SETS, WORD_EXPECTED, WORD_COUNT };

typedef struct sql_store {
    htt_db *db;                               /* borrowed */
    const htt_shape *shape;                   /* borrowed */
    htt_statement_table table;                /* of its statements */
    htt_statement_word words[WORD_COUNT + 1]; /* of the texts; their texts are owned */
    char *what;                               /* owned; schema and table for messages */
    htt_datum *columns;                       /* owned; of the row that was given last */
    uint8_t (*scratch)[HTT_NUMBER_SIZE];      /* owned; of their numbers */
    uint8_t key_scratch[HTT_NUMBER_SIZE];     /* of its key */
    sqlite3_stmt *open;                       /* holds the row that find gave; NULL: none */
    bool covers;                              /* the shape names all columns */
} sql_store;

/* ----------------------------------------------------------------- texts */

/* Appends to an owned text; SQLite's allocator grows it. */
static void store_append(sqlite3_str *text, const char *alias, const char *name) {
    sqlite3_str_appendf(text, "%s\"%w\"", alias, name);
}

/* Takes a text over. False: no memory. */
static bool store_take(sql_store *store, unsigned word, const char *name, sqlite3_str *text) {
    char *const finished = sqlite3_str_finish(text); /* NULL: empty, or no memory */
    char *const copy = finished == NULL ? NULL : htt_memory_text(finished);
    sqlite3_free(finished);
    store->words[word] = (htt_statement_word){name, copy};
    return copy != NULL;
}

static bool store_make_word(sql_store *store, unsigned word) {
    static const char *const names[] = {"table",  "key",   "key_name", "version", "reads",
                                        "names",  "marks", "sets",     "expected"};
    const htt_shape *const shape = store->shape;
    const bool versioned = shape->version_column != NULL;
    sqlite3_str *const text = sqlite3_str_new(NULL);
    switch (word) {
    case WORD_TABLE:
        sqlite3_str_appendf(text, "%s.\"%w\" AS t", store->db->schema_quoted, shape->table);
        break;
    case WORD_KEY: store_append(text, "t.", shape->key_column); break;
    case WORD_KEY_NAME: store_append(text, "", shape->key_column); break;
    case WORD_VERSION:
        if (versioned) {
            store_append(text, "t.", shape->version_column);
        } else {
            sqlite3_str_appendall(text, "0");
        }
        break;
    case WORD_READS:
        for (uint32_t i = 0; i < shape->column_count; i++) {
            store_append(text, ", t.", shape->columns[i]);
        }
        break;
    case WORD_NAMES:
        store_append(text, "", shape->key_column);
        for (uint32_t i = 0; i < shape->column_count; i++) {
            store_append(text, ", ", shape->columns[i]);
        }
        if (versioned) {
            store_append(text, ", ", shape->version_column);
        }
        break;
    case WORD_MARKS:
        for (uint32_t i = 0; i <= shape->column_count; i++) {
            sqlite3_str_appendf(text, "%s?%u", i == 0 ? "" : ", ", i + 1);
        }
        sqlite3_str_appendall(text, versioned ? ", 1" : "");
        break;
    case WORD_SETS:
        for (uint32_t i = 0; i < shape->column_count; i++) {
            store_append(text, i == 0 ? "" : ", ", shape->columns[i]);
            sqlite3_str_appendf(text, " = ?%u", i + 2);
        }
        if (versioned) {
            sqlite3_str_appendf(text, ", \"%w\" = t.\"%w\" + 1", shape->version_column,
                                shape->version_column);
        }
        break;
    default: sqlite3_str_appendf(text, "?%u", shape->column_count + 2); break;
    }
    return store_take(store, word, names[word], text);
}

static void store_close(void *self) {
    sql_store *const store = self;
    if (store->table.words != NULL) {
        htt_statement_forget(store->db, &store->table);
    }
    for (unsigned i = 0; i < WORD_COUNT; i++) {
        htt_memory_free((char *)store->words[i].text);
    }
    htt_memory_free(store->what);
    htt_memory_free(store->columns);
    htt_memory_free(store->scratch);
    htt_memory_free(store);
}

static bool store_make(sql_store *store) {
    const htt_shape *const shape = store->shape;
    bool good = true;
    for (unsigned i = 0; i < WORD_COUNT && good; i++) {
        good = store_make_word(store, i);
    }
    const size_t size = strlen(store->db->schema) + strlen(shape->table) + 2;
    store->what = htt_memory_new(size);
    store->columns = htt_memory_new(shape->column_count * sizeof *store->columns);
    store->scratch = htt_memory_new(shape->column_count * sizeof *store->scratch);
    if (!good || store->what == NULL || store->columns == NULL || store->scratch == NULL) {
        return false;
    }
    (void)snprintf(store->what, size, "%s.%s", store->db->schema, shape->table);
    return true;
}

htt_rc htt_store_sql_open(htt_db *db, const htt_shape *shape, bool covers, void **store_out) {
    sql_store *const store = htt_memory_new(sizeof *store);
    if (store == NULL) {
        return htt_db_fail_memory(db);
    }
    store->db = db;
    store->shape = shape;
    store->covers = covers;
    if (!store_make(store)) {
        store_close(store);
        return htt_db_fail_memory(db);
    }
    store->table =
        (htt_statement_table){store->what, store_texts, STORE_SQL_COUNT, store->words};
    *store_out = store;
    return HTT_OK;
}

/* --------------------------------------------------------------- reading */

static htt_datum store_read(sqlite3_stmt *statement, int index, uint8_t scratch[HTT_NUMBER_SIZE]) {
    switch (sqlite3_column_type(statement, index)) {
    case SQLITE_INTEGER: return htt_integer(sqlite3_column_int64(statement, index), scratch);
    case SQLITE_FLOAT: return htt_real(sqlite3_column_double(statement, index), scratch);
    case SQLITE_TEXT: {
        const void *const text = sqlite3_column_text(statement, index);
        return htt_bytes(text, (size_t)sqlite3_column_bytes(statement, index), HTT_TEXT);
    }
    case SQLITE_BLOB: {
        const void *const data = sqlite3_column_blob(statement, index);
        return htt_bytes(data, (size_t)sqlite3_column_bytes(statement, index), HTT_BLOB);
    }
    default: return htt_null();
    }
}

/* A text or blob that could not be fetched has no pointer, but a size. */
static bool store_is_whole(htt_datum datum) {
    return datum.data != NULL || datum.size == 0;
}

static htt_rc store_read_row(sql_store *store, sqlite3_stmt *statement, htt_repo_row *row_out) {
    int64_t integer;
    bool whole = true;
    row_out->key = store_read(statement, 0, store->key_scratch);
    whole = store_is_whole(row_out->key);
    if (store->shape->key_type == HTT_REAL && htt_value_integer(row_out->key, &integer) == HTT_OK) {
        row_out->key = htt_real((double)integer, store->key_scratch); /* NUMERIC made it one */
    }
    for (uint32_t i = 0; i < store->shape->column_count; i++) {
        store->columns[i] = store_read(statement, (int)i + 2, store->scratch[i]);
        whole = whole && store_is_whole(store->columns[i]);
    }
    if (!whole) {
        return htt_db_fail_memory(store->db);
    }
    row_out->columns = store->columns;
    row_out->version = sqlite3_column_int64(statement, 1);
    if (sqlite3_column_type(statement, 1) != SQLITE_INTEGER) {
        return htt_db_fail(store->db, HTT_TYPE, "%s: the version in column %s is no integer",
                           store->what, store->shape->version_column);
    }
    return HTT_OK;
}

/* A statement with the key bound; stepped once. Reset on failure. */
static htt_rc store_start(sql_store *store, store_sql which, htt_datum key, bool *row_out,
                          sqlite3_stmt **statement_out) {
    htt_rc rc = htt_statement_get(store->db, &store->table, which, statement_out);
    if (rc == HTT_OK) {
        rc = htt_statement_bind(store->db, &store->table, *statement_out, "d", key);
    }
    if (rc == HTT_OK) {
        rc = htt_statement_step(store->db, &store->table, *statement_out, row_out);
    }
    return rc;
}

static void store_done(void *self) {
    sql_store *const store = self;
    htt_statement_done(store->open);
    store->open = NULL;
}

static htt_rc store_find(void *self, htt_datum key, htt_repo_row *row_out) {
    sql_store *const store = self;
    sqlite3_stmt *statement;
    bool row;
    htt_rc rc = store_start(store, STORE_FIND, key, &row, &statement);
    if (rc != HTT_OK) {
        return rc;
    }
    rc = row ? store_read_row(store, statement, row_out) : HTT_NOTFOUND;
    if (rc == HTT_OK) {
        store->open = statement;
    } else {
        htt_statement_done(statement);
    }
    return rc;
}

static htt_rc store_contains(void *self, htt_datum key, bool *there_out) {
    sql_store *const store = self;
    sqlite3_stmt *statement;
    const htt_rc rc = store_start(store, STORE_CONTAINS, key, there_out, &statement);
    if (rc == HTT_OK) {
        htt_statement_done(statement);
    }
    return rc;
}

static htt_rc store_count(void *self, int64_t *count_out) {
    sql_store *const store = self;
    sqlite3_stmt *statement;
    bool row;
    htt_rc rc = htt_statement_get(store->db, &store->table, STORE_COUNT, &statement);
    if (rc == HTT_OK) {
        rc = htt_statement_step(store->db, &store->table, statement, &row);
    }
    if (rc == HTT_OK) {
        *count_out = sqlite3_column_int64(statement, 0);
        htt_statement_done(statement);
    }
    return rc;
}

static bool store_has_prefix(htt_datum key, const htt_datum *prefix) {
    return key.type == prefix->type && key.size >= prefix->size &&
           (prefix->size == 0 || memcmp(key.data, prefix->data, prefix->size) == 0);
}

static htt_rc store_scan(void *self, const htt_datum *prefix, htt_repo_scan *scan, void *arg) {
    sql_store *const store = self;
    sqlite3_stmt *statement;
    bool row;
    htt_rc rc = htt_statement_get(store->db, &store->table,
                                  prefix == NULL ? STORE_SCAN : STORE_PREFIX, &statement);
    if (rc == HTT_OK && prefix != NULL) {
        rc = htt_statement_bind(store->db, &store->table, statement, "d", *prefix);
    }
    if (rc != HTT_OK) {
        return rc;
    }
    while ((rc = htt_statement_step(store->db, &store->table, statement, &row)) == HTT_OK && row) {
        htt_repo_row found;
        rc = store_read_row(store, statement, &found);
        if (rc == HTT_OK && prefix != NULL && !store_has_prefix(found.key, prefix)) {
            break; /* in order: none follows */
        }
        if (rc == HTT_OK) {
            rc = scan(arg, &found);
        }
        if (rc != HTT_OK) {
            break;
        }
    }
    htt_statement_done(statement);
    return rc;
}

/* --------------------------------------------------------------- writing */

/* Runs a statement that writes; *changed_out: it changed a row. */
static htt_rc store_run(sql_store *store, store_sql which, const htt_repo_row *row, bool expect,
                        bool *changed_out) {
    sqlite3_stmt *statement;
    const uint32_t count = row->columns == NULL ? 0 : store->shape->column_count;
    htt_rc rc = htt_statement_get(store->db, &store->table, which, &statement);
    if (rc == HTT_OK) {
        rc = htt_statement_bind(store->db, &store->table, statement, "d", row->key);
    }
    for (uint32_t i = 0; i < count && rc == HTT_OK; i++) {
        rc = htt_statement_bind_at(store->db, &store->table, statement, i + 2, row->columns[i]);
    }
    if (rc == HTT_OK && expect) {
        uint8_t scratch[HTT_NUMBER_SIZE];
        rc = htt_statement_bind_at(store->db, &store->table, statement, count + 2,
                                   htt_integer(row->version, scratch));
    }
    if (rc == HTT_OK) {
        rc = htt_statement_run(store->db, &store->table, statement);
    }
    if (rc == HTT_OK) {
        *changed_out = sqlite3_changes(store->db->connection) > 0;
    }
    return rc;
}

/* After a write met a unique row: was it the key, or another column's constraint? */
static htt_rc store_judge(sql_store *store, const htt_repo_row *row, htt_rc rc) {
    bool there = false;
    if (rc != HTT_EXISTS) {
        return rc;
    }
    rc = store_contains(store, row->key, &there);
    return rc != HTT_OK ? rc
                        : htt_db_fail(store->db, there ? HTT_EXISTS : HTT_CONSTRAINT, "%s",
                                      htt_db_errmsg(store->db));
}

/* After a write to a row that may be there: only another column's constraint can say no. */
static htt_rc store_put_result(sql_store *store, htt_rc rc) {
    return rc == HTT_EXISTS
               ? htt_db_fail(store->db, HTT_CONSTRAINT, "%s", htt_db_errmsg(store->db))
               : rc;
}

static htt_rc store_conflict(sql_store *store, htt_datum key, int64_t expected) {
    htt_repo_row found = {key, NULL, 0};
    const htt_rc rc = store_find(store, key, &found);
    store_done(store);
    if (rc != HTT_OK && rc != HTT_NOTFOUND) {
        return rc;
    }
    return htt_db_fail(store->db, HTT_CONFLICT, "version %lld is stored, %lld was expected",
                       (long long)(rc == HTT_OK ? found.version : 0), (long long)expected);
}

static htt_rc store_insert(sql_store *store, const htt_repo_row *row) {
    bool changed;
    return store_judge(store, row, store_run(store, STORE_INSERT, row, false, &changed));
}

static htt_rc store_expect(sql_store *store, const htt_repo_row *row) {
    bool changed = false;
    htt_rc rc;
    if (row->version == 0) {
        rc = store_insert(store, row);
        return rc == HTT_EXISTS ? store_conflict(store, row->key, 0) : rc;
    }
    rc = store_put_result(store, store_run(store, STORE_UPDATE_EXPECT, row, true, &changed));
    return rc == HTT_OK && !changed ? store_conflict(store, row->key, row->version) : rc;
}

static htt_rc store_write_table(void *self, const htt_repo_row *row, htt_repo_write how) {
    sql_store *const store = self;
    bool changed;
    switch (how) {
    case HTT_REPO_WRITE_ADD: return store_insert(store, row);
    case HTT_REPO_WRITE_EXPECT: return store_expect(store, row);
    case HTT_REPO_WRITE_PUT: break;
    }
    return store_put_result(store, store_run(store, STORE_UPSERT, row, false, &changed));
}

/* UPDATE, then INSERT: in one transaction, so that no other's row comes between. */
static htt_rc store_update_or_insert(sql_store *store, const htt_repo_row *row) {
    htt_scope scope;
    bool changed = false;
    const bool alone = !htt_db_in_transaction(store->db);
    htt_rc rc = alone ? htt_scope_enter(store->db, &scope, HTT_SCOPE_IMMEDIATE) : HTT_OK;
    if (rc != HTT_OK) {
        return rc;
    }
    rc = store_run(store, STORE_UPDATE, row, false, &changed);
    if (rc == HTT_OK && !changed) {
        rc = store_run(store, STORE_INSERT, row, false, &changed);
    }
    return alone ? htt_scope_leave(store->db, &scope, rc) : rc;
}

static htt_rc store_write_htt(void *self, const htt_repo_row *row, htt_repo_write how) {
    sql_store *const store = self;
    bool changed;
    switch (how) {
    case HTT_REPO_WRITE_ADD: return store_insert(store, row);
    case HTT_REPO_WRITE_EXPECT: return store_expect(store, row);
    case HTT_REPO_WRITE_PUT: break;
    }
    return store->covers && store->shape->version_column == NULL
               ? store_run(store, STORE_REPLACE, row, false, &changed)
               : store_update_or_insert(store, row);
}

static htt_rc store_remove(void *self, htt_datum key, const int64_t *expected) {
    sql_store *const store = self;
    bool changed = false;
    const bool expect = expected != NULL;
    const htt_repo_row row = {key, NULL, expect ? *expected : 0};
    const htt_rc rc =
        store_run(store, expect ? STORE_DELETE_EXPECT : STORE_DELETE, &row, expect, &changed);
    if (rc != HTT_OK || changed) {
        return rc;
    }
    return expect ? store_conflict(store, key, *expected) : HTT_NOTFOUND;
}

const htt_repo_methods htt_store_table_methods = {
    .capabilities = HTT_REPO_CAN_PREFIX,
    .find = store_find,
    .contains = store_contains,
    .write = store_write_table,
    .remove = store_remove,
    .count = store_count,
    .scan = store_scan,
    .done = store_done,
    .close = store_close,
};

const htt_repo_methods htt_store_htt_methods = {
    .capabilities = 0,
    .find = store_find,
    .contains = store_contains,
    .write = store_write_htt,
    .remove = store_remove,
    .count = store_count,
    .scan = store_scan,
    .done = store_done,
    .close = store_close,
};
