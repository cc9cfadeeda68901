/* SPDX-License-Identifier: MIT */
/*
 * Two subjects that run the same SQL, prepared once per connection: an ordinary WITHOUT ROWID
 * table, and a table of the module htt. Both are declared (key PRIMARY KEY, value) without types.
 * Each has a database file of its own in WAL mode with SQLite's defaults (page size 4096,
 * wal_autocheckpoint 1000 pages, no mmap), but for synchronous and cache_size, which are given.
 * libhtt is linked in and registered with sqlite3_auto_extension.
 */
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "bench_folder.h"

int sqlite3_htt_init(sqlite3 *db, char **message_out, const sqlite3_api_routines *api);

typedef enum sql_statement {
    SQL_BEGIN_READ,
    SQL_BEGIN_WRITE,
    SQL_COMMIT,
    SQL_GET,
    SQL_GET_MANY, /* made up, too long to write */
    SQL_INSERT,
    SQL_PUT,
    SQL_UPDATE,
    SQL_DELETE,
    SQL_SCAN,
    SQL_COUNT,
    SQL_STATEMENTS /* how many */
} sql_statement;

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

typedef struct sql_state {
    const bench_config *config;               /* borrowed */
    bool htt;                                 /* a table of the module, else an ordinary one */
    sqlite3 *db;                              /* open */
    sqlite3_stmt *statements[SQL_STATEMENTS]; /* prepared */
    size_t many;                              /* parameters of SQL_GET_MANY */
} sql_state;

static const char *sql_name(const sql_state *state) {
    return state->htt ? "htt, SQL" : "ordinary table";
}

static void sql_must(const sql_state *state, bool good, const char *what) {
    if (!good) {
        bench_fail("%s: %s: %s", sql_name(state), what, sqlite3_errmsg(state->db));
    }
}

static void sql_run(const sql_state *state, const char *text) {
    sql_must(state, sqlite3_exec(state->db, text, NULL, NULL, NULL) == SQLITE_OK, text);
}

/* One number that a statement gives. */
static uint64_t sql_number(const sql_state *state, const char *text) {
    sqlite3_stmt *statement = NULL;
    sql_must(state, sqlite3_prepare_v2(state->db, text, -1, &statement, NULL) == SQLITE_OK, text);
    sql_must(state, sqlite3_step(statement) == SQLITE_ROW, text);
    const uint64_t number = (uint64_t)sqlite3_column_int64(statement, 0);
    (void)sqlite3_finalize(statement);
    return number;
}

/* ------------------------------------------------------- opening, closing */

/*
 * Makes the table, or finds it. htt's sync belongs to the declaration of the table, so the table
 * is declared anew each time; DROP TABLE leaves the file, CREATE adopts it.
 */
static void sql_declare(const sql_state *state, bench_mode mode) {
    static const char *const syncs[] = {
        [HTT_SYNC_FULL] = "full", [HTT_SYNC_NORMAL] = "normal", [HTT_SYNC_OFF] = "off"};
    char text[256];
    if (!state->htt) {
        sql_run(state, "CREATE TABLE IF NOT EXISTS t(key PRIMARY KEY, value) WITHOUT ROWID");
        return;
    }
    sql_run(state, "DROP TABLE IF EXISTS t");
    char budget[64] = "";
    if (state->config->write_budget != 0) {
        (void)snprintf(budget, sizeof budget, ", write_budget=%llu",
                       (unsigned long long)state->config->write_budget);
    }
    (void)snprintf(text, sizeof text, "CREATE VIRTUAL TABLE t USING htt('%s', sync=%s%s)",
                   BENCH_FILE_SQL, syncs[mode.sync], budget);
    sql_run(state, text);
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

static void sql_prepare(sql_state *state) {
    for (int i = 0; i < SQL_STATEMENTS; i++) {
        char *made = i == SQL_GET_MANY ? sql_text_of_many(state) : NULL;
        const char *text = made != NULL ? made : sql_texts[i];
        sql_must(state,
                 sqlite3_prepare_v3(state->db, text, -1, SQLITE_PREPARE_PERSISTENT,
                                    &state->statements[i], NULL) == SQLITE_OK,
                 sql_texts[i] != NULL ? sql_texts[i] : "SELECT ... IN");
        free(made);
    }
}

static void sql_connect(sql_state *state, bench_mode mode) {
    static const char *const levels[] = {
        [HTT_SYNC_FULL] = "FULL", [HTT_SYNC_NORMAL] = "NORMAL", [HTT_SYNC_OFF] = "OFF"};
    char path[BENCH_PATH_SIZE];
    bench_path(state->config, state->htt ? BENCH_FILE_HOST : BENCH_FILE_ORDINARY, path);
    const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    if (sqlite3_open_v2(path, &state->db, flags, NULL) != SQLITE_OK) {
        bench_fail("%s: open: %s", sql_name(state), sqlite3_errmsg(state->db));
    }
    char text[128];
    sql_run(state, "PRAGMA journal_mode = WAL");
    (void)snprintf(text, sizeof text, "PRAGMA synchronous = %s", levels[mode.sync]);
    sql_run(state, text);
    if (!mode.default_cache) {
        (void)snprintf(text, sizeof text, "PRAGMA cache_size = -%d", BENCH_CACHE_KIB);
        sql_run(state, text);
    }
    sql_declare(state, mode);
    sql_prepare(state);
}

static void sql_disconnect(sql_state *state) {
    for (int i = 0; i < SQL_STATEMENTS; i++) {
        (void)sqlite3_finalize(state->statements[i]);
        state->statements[i] = NULL;
    }
    sql_must(state, sqlite3_close(state->db) == SQLITE_OK, "close");
    state->db = NULL;
}

static void *sql_open(const bench_config *config, bench_mode mode, bool htt) {
    if (htt && sqlite3_auto_extension((void (*)(void))sqlite3_htt_init) != SQLITE_OK) {
        bench_fail("sqlite3_auto_extension failed");
    }
    sql_state *state = bench_allocate(1, sizeof *state);
    state->config = config;
    state->htt = htt;
    sql_connect(state, mode);
    return state;
}

static void *sql_open_htt(const bench_config *config, bench_mode mode) {
    return sql_open(config, mode, true);
}

static void *sql_open_ordinary(const bench_config *config, bench_mode mode) {
    return sql_open(config, mode, false);
}

static void sql_close(void *subject) {
    sql_disconnect(subject);
    free(subject);
}

static void sql_reopen(void *subject, bench_mode mode) {
    sql_disconnect(subject);
    sql_connect(subject, mode);
}

/* ------------------------------------------------------------------- rows */

static void sql_bind_key(const sql_state *state, sqlite3_stmt *statement, int place,
                         const uint8_t *key) {
    const bench_dataset *dataset = &state->config->dataset;
    const int size = (int)dataset->key_size;
    const int rc = dataset->text
                       ? sqlite3_bind_text(statement, place, (const char *)key, size, SQLITE_STATIC)
                       : sqlite3_bind_blob(statement, place, key, size, SQLITE_STATIC);
    sql_must(state, rc == SQLITE_OK, "bind");
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
    sql_must(state, rc == SQLITE_DONE && sqlite3_reset(statement) == SQLITE_OK, sql_texts[which]);
}

static void sql_begin(void *subject, bool write) {
    sql_step(subject, write ? SQL_BEGIN_WRITE : SQL_BEGIN_READ);
}

static void sql_commit(void *subject) {
    sql_step(subject, SQL_COMMIT);
}

static bool sql_get(void *subject, const uint8_t *key, uint8_t version) {
    const sql_state *state = subject;
    sqlite3_stmt *statement = state->statements[SQL_GET];
    sql_bind_key(state, statement, 1, key);
    const int rc = sqlite3_step(statement);
    bool right = rc == SQLITE_DONE && version == BENCH_ABSENT;
    if (rc == SQLITE_ROW) {
        right = version != BENCH_ABSENT && sql_is_value(state, statement, 0, key, version);
    } else {
        sql_must(state, rc == SQLITE_DONE, sql_texts[SQL_GET]);
    }
    sql_must(state, sqlite3_reset(statement) == SQLITE_OK, sql_texts[SQL_GET]);
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
    sql_must(state, rc == SQLITE_DONE || !right, "step");
    sql_must(state, sqlite3_reset(statement) == SQLITE_OK, "reset");
    return right;
}

static bool sql_get_many(void *subject, const uint8_t *keys, size_t count) {
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
        sql_must(state, sqlite3_bind_blob(statement, 2, value, size, SQLITE_STATIC) == SQLITE_OK,
                 "bind");
    }
    sql_step(state, which);
    if (sqlite3_changes(state->db) != 1) {
        bench_fail("%s: %d rows changed, not 1: %s", sql_name(state), sqlite3_changes(state->db),
                   sql_texts[which]);
    }
}

static void sql_insert(void *subject, const uint8_t *key, const uint8_t *value) {
    sql_write(subject, SQL_INSERT, key, value);
}

static void sql_put(void *subject, const uint8_t *key, const uint8_t *value) {
    sql_write(subject, SQL_PUT, key, value);
}

static void sql_update(void *subject, const uint8_t *key, const uint8_t *value) {
    sql_write(subject, SQL_UPDATE, key, value);
}

static void sql_delete(void *subject, const uint8_t *key) {
    sql_write(subject, SQL_DELETE, key, NULL);
}

static bool sql_scan(void *subject, bench_scan *scan_out) {
    const sql_state *state = subject;
    return sql_rows(state, state->statements[SQL_SCAN], scan_out);
}

static uint64_t sql_count(void *subject) {
    const sql_state *state = subject;
    sqlite3_stmt *statement = state->statements[SQL_COUNT];
    sql_must(state, sqlite3_step(statement) == SQLITE_ROW, sql_texts[SQL_COUNT]);
    const uint64_t count = (uint64_t)sqlite3_column_int64(statement, 0);
    sql_must(state, sqlite3_reset(statement) == SQLITE_OK, sql_texts[SQL_COUNT]);
    return count;
}

/* --------------------------------------------------------- size and check */

static void sql_size_ordinary(void *subject, bench_size *size_out) {
    const sql_state *state = subject;
    const uint64_t page_size = sql_number(state, "PRAGMA page_size");
    const uint64_t pages = sql_number(state, "PRAGMA page_count");
    size_out->file_bytes = pages * page_size;
    size_out->used_bytes = (pages - sql_number(state, "PRAGMA freelist_count")) * page_size;
}

static void sql_size_htt(void *subject, bench_size *size_out) {
    const sql_state *state = subject;
#define SQL_STAT(name) "SELECT value FROM htt_stat('t') WHERE name = '" name "'"
    const uint64_t page_size = sql_number(state, SQL_STAT("page_size"));
    const uint64_t pages = sql_number(state, SQL_STAT("page_count"));
    size_out->file_bytes = sql_number(state, SQL_STAT("file_bytes"));
    size_out->used_bytes = (pages - sql_number(state, SQL_STAT("free_pages"))) * page_size;
#undef SQL_STAT
}

static void sql_check(void *subject) {
    const sql_state *state = subject;
    const char *text = state->htt ? "SELECT problem FROM htt_check('t')" : "PRAGMA integrity_check";
    sqlite3_stmt *statement = NULL;
    sql_must(state, sqlite3_prepare_v2(state->db, text, -1, &statement, NULL) == SQLITE_OK, text);
    sql_must(state, sqlite3_step(statement) == SQLITE_ROW, text);
    const char *problem = (const char *)sqlite3_column_text(statement, 0);
    if (problem == NULL || strcmp(problem, "ok") != 0) {
        bench_fail("%s: %s: %s", sql_name(state), text, problem != NULL ? problem : "NULL");
    }
    (void)sqlite3_finalize(statement);
}

/* What both have in common. A single statement is its own transaction. */
#define SQL_SUBJECT                                                                                \
    .close = sql_close, .reopen = sql_reopen, .begin = sql_begin, .commit = sql_commit,            \
    .get = sql_get, .get_alone = sql_get, .get_many = sql_get_many, .insert = sql_insert,          \
    .put = sql_put, .put_alone = sql_put, .update = sql_update, .delete = sql_delete,              \
    .scan = sql_scan, .count = sql_count, .check = sql_check

const bench_subject bench_sql_htt = {
    .id = "htt_sql", .title = "htt, SQL", .open = sql_open_htt, .size = sql_size_htt, SQL_SUBJECT};
const bench_subject bench_sql_ordinary = {.id = "ordinary",
                                          .title = "ordinary, SQL",
                                          .open = sql_open_ordinary,
                                          .size = sql_size_ordinary,
                                          SQL_SUBJECT};
