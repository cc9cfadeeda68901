/* SPDX-License-Identifier: MIT */
/*
 * The statements of the SQL subjects: the same text for every kind of table, prepared once per
 * connection.
 */
#include "bench_sql.h"

#include <stdlib.h>
#include <string.h>

static const char *const sql_texts[SQL_STATEMENTS] = {
    [SQL_BEGIN_READ] = "BEGIN",
    [SQL_BEGIN_WRITE] = "BEGIN IMMEDIATE",
    [SQL_COMMIT] = "COMMIT",
    [SQL_GET] = "SELECT value FROM t WHERE key = ?1",
    [SQL_INSERT] = "INSERT INTO t VALUES (?1, ?2)",
    [SQL_PUT] = "INSERT OR REPLACE INTO t VALUES (?1, ?2)",
    [SQL_UPDATE] = "UPDATE t SET value = ?2 WHERE key = ?1",
    [SQL_DELETE] = "DELETE FROM t WHERE key = ?1",
    [SQL_SCAN] = "SELECT key, value FROM t",
    [SQL_COUNT] = "SELECT count(*) FROM t",
};

static const char *const sql_names[] = {[SQL_ORDINARY] = "ordinary table",
                                        [SQL_ROWID] = "rowid table",
                                        [SQL_HTT] = "htt, SQL",
                                        [SQL_FLOOR] = "floor",
                                        [SQL_FLOOR_FILE] = "floor, file host"};

void bench_sql_must(const sql_state *state, bool good, const char *what) {
    if (!good) {
        bench_fail("%s: %s: %s", sql_names[state->kind], what, sqlite3_errmsg(state->db));
    }
}

void bench_sql_run(const sql_state *state, const char *text) {
    bench_sql_must(state, sqlite3_exec(state->db, text, NULL, NULL, NULL) == SQLITE_OK, text);
}

/* One number that a statement gives. */
uint64_t bench_sql_number(const sql_state *state, const char *text) {
    sqlite3_stmt *statement = NULL;
    const int rc = sqlite3_prepare_v2(state->db, text, -1, &statement, NULL);
    bench_sql_must(state, rc == SQLITE_OK, text);
    bench_sql_must(state, sqlite3_step(statement) == SQLITE_ROW, text);
    const uint64_t number = (uint64_t)sqlite3_column_int64(statement, 0);
    (void)sqlite3_finalize(statement);
    return number;
}

/* SELECT ... WHERE key IN (?, ?, ...) with BENCH_BATCH parameters, fewer for smaller tables. */
static char *sql_text_of_many(sql_state *state) {
    const uint64_t rows = state->config->dataset.rows;
    state->many = rows < BENCH_BATCH ? (size_t)rows : BENCH_BATCH;
    static const char head[] = "SELECT key, value FROM t WHERE key IN (?";
    char *text = bench_allocate(sizeof head + 2 * state->many + 1, 1);
    memcpy(text, head, sizeof head);
    char *end = text + sizeof head - 1;
    for (size_t i = 1; i < state->many; i++) {
        *end++ = ',';
        *end++ = '?';
    }
    *end = ')';
    return text;
}

void bench_sql_prepare(sql_state *state) {
    for (int i = 0; i < SQL_STATEMENTS; i++) {
        char *made = i == SQL_GET_MANY ? sql_text_of_many(state) : NULL;
        const char *text = made != NULL ? made : sql_texts[i];
        bench_sql_must(state,
                       sqlite3_prepare_v3(state->db, text, -1, SQLITE_PREPARE_PERSISTENT,
                                          &state->statements[i], NULL) == SQLITE_OK,
                       sql_texts[i] != NULL ? sql_texts[i] : "SELECT ... IN");
        free(made);
    }
}

void bench_sql_finalize(sql_state *state) {
    for (int i = 0; i < SQL_STATEMENTS; i++) {
        (void)sqlite3_finalize(state->statements[i]);
        state->statements[i] = NULL;
    }
}

/* ------------------------------------------------------------------- rows */

static void sql_bind_key(const sql_state *state, sqlite3_stmt *statement, int place,
                         const uint8_t *key) {
    const bench_dataset *dataset = &state->config->dataset;
    const int size = (int)dataset->key_size;
    const int rc = dataset->text
                       ? sqlite3_bind_text(statement, place, (const char *)key, size, SQLITE_STATIC)
                       : sqlite3_bind_blob(statement, place, key, size, SQLITE_STATIC);
    bench_sql_must(state, rc == SQLITE_OK, "bind");
}

/* Whether column `column` is the key's value of `version`. */
static bool sql_is_value(const sql_state *state, sqlite3_stmt *statement, int column,
                         const uint8_t *key, uint8_t version) {
    const void *value = sqlite3_column_blob(statement, column);
    const size_t size = (size_t)sqlite3_column_bytes(statement, column);
    return bench_dataset_is_value(&state->config->dataset, key, version, value, size);
}

/* Runs a statement that gives no row, and leaves it ready for the next time. */
static void sql_step(const sql_state *state, sql_statement which) {
    sqlite3_stmt *statement = state->statements[which];
    const int rc = sqlite3_step(statement);
    bench_sql_must(state, rc == SQLITE_DONE && sqlite3_reset(statement) == SQLITE_OK,
                   sql_texts[which]);
}

void bench_sql_begin(void *subject, bool write) {
    sql_step(subject, write ? SQL_BEGIN_WRITE : SQL_BEGIN_READ);
}

void bench_sql_commit(void *subject) {
    sql_step(subject, SQL_COMMIT);
}

bool bench_sql_get(void *subject, const uint8_t *key, uint8_t version) {
    const sql_state *state = subject;
    sqlite3_stmt *statement = state->statements[SQL_GET];
    sql_bind_key(state, statement, 1, key);
    const int rc = sqlite3_step(statement);
    bool right = rc == SQLITE_DONE && version == BENCH_ABSENT;
    if (rc == SQLITE_ROW) {
        right = version != BENCH_ABSENT && sql_is_value(state, statement, 0, key, version);
    } else {
        bench_sql_must(state, rc == SQLITE_DONE, sql_texts[SQL_GET]);
    }
    bench_sql_must(state, sqlite3_reset(statement) == SQLITE_OK, sql_texts[SQL_GET]);
    return right;
}

/* Steps through rows of (key, value) to the end; false if a value is not its key's version 0. */
static bool sql_rows(const sql_state *state, sqlite3_stmt *statement, bench_scan *scan_out) {
    const bench_dataset *dataset = &state->config->dataset;
    *scan_out = (bench_scan){0, 0};
    bool right = true;
    int rc = sqlite3_step(statement);
    for (; rc == SQLITE_ROW && right; rc = sqlite3_step(statement)) {
        const uint8_t *key =
            dataset->text ? sqlite3_column_text(statement, 0) : sqlite3_column_blob(statement, 0);
        right = (size_t)sqlite3_column_bytes(statement, 0) == dataset->key_size &&
                sql_is_value(state, statement, 1, key, 0);
        if (right) {
            scan_out->rows++;
            scan_out->sum += bench_dataset_key_hash(dataset, key);
        }
    }
    bench_sql_must(state, rc == SQLITE_DONE || !right, "step");
    bench_sql_must(state, sqlite3_reset(statement) == SQLITE_OK, "reset");
    return right;
}

bool bench_sql_get_many(void *subject, const uint8_t *keys, size_t count) {
    const sql_state *state = subject;
    const bench_dataset *dataset = &state->config->dataset;
    sqlite3_stmt *statement = state->statements[SQL_GET_MANY];
    if (count != state->many) {
        bench_fail("%zu keys for a statement of %zu", count, state->many);
    }
    uint64_t sum = 0;
    for (size_t i = 0; i < count; i++) {
        const uint8_t *key = keys + i * dataset->key_size;
        sql_bind_key(state, statement, (int)i + 1, key);
        sum += bench_dataset_key_hash(dataset, key);
    }
    bench_scan scan;
    return sql_rows(state, statement, &scan) && scan.rows == count && scan.sum == sum;
}

static void sql_write(const sql_state *state, sql_statement which, const uint8_t *key,
                      const uint8_t *value) {
    sqlite3_stmt *statement = state->statements[which];
    sql_bind_key(state, statement, 1, key);
    if (value != NULL) {
        const int size = (int)state->config->dataset.value_size;
        const int rc = sqlite3_bind_blob(statement, 2, value, size, SQLITE_STATIC);
        bench_sql_must(state, rc == SQLITE_OK, "bind");
    }
    sql_step(state, which);
    if (sqlite3_changes(state->db) != 1) {
        bench_fail("%s: %d rows changed, not 1: %s", sql_names[state->kind],
                   sqlite3_changes(state->db), sql_texts[which]);
    }
}

void bench_sql_insert(void *subject, const uint8_t *key, const uint8_t *value) {
    sql_write(subject, SQL_INSERT, key, value);
}

void bench_sql_put(void *subject, const uint8_t *key, const uint8_t *value) {
    sql_write(subject, SQL_PUT, key, value);
}

void bench_sql_update(void *subject, const uint8_t *key, const uint8_t *value) {
    sql_write(subject, SQL_UPDATE, key, value);
}

void bench_sql_delete(void *subject, const uint8_t *key) {
    sql_write(subject, SQL_DELETE, key, NULL);
}

bool bench_sql_scan(void *subject, bench_scan *scan_out) {
    const sql_state *state = subject;
    return sql_rows(state, state->statements[SQL_SCAN], scan_out);
}

uint64_t bench_sql_count(void *subject) {
    const sql_state *state = subject;
    sqlite3_stmt *statement = state->statements[SQL_COUNT];
    bench_sql_must(state, sqlite3_step(statement) == SQLITE_ROW, sql_texts[SQL_COUNT]);
    const uint64_t count = (uint64_t)sqlite3_column_int64(statement, 0);
    bench_sql_must(state, sqlite3_reset(statement) == SQLITE_OK, sql_texts[SQL_COUNT]);
    return count;
}
