/* SPDX-License-Identifier: MIT */
/*
 * The SQL subjects: their connections and tables, all declared (key PRIMARY KEY, value) without
 * types. A host that is a file is in WAL mode with SQLite's defaults (page size 4096,
 * wal_autocheckpoint 1000 pages, no mmap), but for synchronous and cache_size, which are given.
 */
#include <stdio.h>
#include <string.h>

#include "bench_folder.h"
#include "bench_sql.h"
#include "ext/htt_sqlite.h"

/* htt's options belong to the declaration of the table, so it is declared anew each time; DROP
 * TABLE leaves the file, CREATE adopts it. */
static void sql_declare_htt(const sql_state *state, bench_mode mode) {
    static const char *const syncs[] = {
        [HTT_SYNC_FULL] = "full", [HTT_SYNC_NORMAL] = "normal", [HTT_SYNC_OFF] = "off"};
    char text[256];
    char budget[64] = "";
    bench_sql_run(state, "DROP TABLE IF EXISTS t");
    if (state->config->write_budget != 0) {
        (void)snprintf(budget, sizeof budget, ", write_budget=%llu",
                       (unsigned long long)state->config->write_budget);
    }
    (void)snprintf(text, sizeof text, "CREATE VIRTUAL TABLE t USING htt('%s', sync=%s%s)",
                   BENCH_FILE_SQL, syncs[mode.sync], budget);
    bench_sql_run(state, text);
}

static void sql_declare(const sql_state *state, bench_mode mode) {
    static const char *const creates[] = {
        [SQL_ORDINARY] = "CREATE TABLE IF NOT EXISTS t(key PRIMARY KEY, value) WITHOUT ROWID",
        [SQL_ROWID] = "CREATE TABLE IF NOT EXISTS t(key PRIMARY KEY, value)",
        [SQL_HTT] = NULL,
        [SQL_FLOOR] = "CREATE VIRTUAL TABLE IF NOT EXISTS t USING bench_floor",
        [SQL_FLOOR_FILE] = "CREATE VIRTUAL TABLE IF NOT EXISTS t USING bench_floor"};
    if (state->kind == SQL_HTT) {
        sql_declare_htt(state, mode);
    } else {
        bench_sql_run(state, creates[state->kind]);
    }
}

static void sql_register(sql_state *state) {
    if (state->kind == SQL_HTT) {
        bench_sql_must(state, sqlite3_htt_init(state->db, NULL, NULL) == SQLITE_OK, "module htt");
    } else if (state->kind == SQL_FLOOR || state->kind == SQL_FLOOR_FILE) {
        if (state->floor == NULL) {
            state->floor = bench_floor_new(&state->config->dataset);
        }
        bench_sql_must(state, bench_floor_register(state->floor, state->db) == SQLITE_OK,
                       "module bench_floor");
    }
}

static void sql_open(sql_state *state, const bench_config *config, bench_mode mode, sql_kind kind) {
    static const char *const levels[] = {
        [HTT_SYNC_FULL] = "FULL", [HTT_SYNC_NORMAL] = "NORMAL", [HTT_SYNC_OFF] = "OFF"};
    char path[BENCH_PATH_SIZE] = ":memory:";
    char text[128];
    state->config = config;
    state->kind = kind;
    if (kind != SQL_FLOOR) {
        bench_path(config, kind == SQL_HTT ? BENCH_FILE_HOST : BENCH_FILE_ORDINARY, path);
    }
    const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    bench_sql_must(state, sqlite3_open_v2(path, &state->db, flags, NULL) == SQLITE_OK, "open");
    if (kind != SQL_FLOOR) {
        bench_sql_run(state, "PRAGMA journal_mode = WAL");
    }
    (void)snprintf(text, sizeof text, "PRAGMA synchronous = %s", levels[mode.sync]);
    bench_sql_run(state, text);
    if (!mode.default_cache) {
        (void)snprintf(text, sizeof text, "PRAGMA cache_size = -%d", BENCH_CACHE_KIB);
        bench_sql_run(state, text);
    }
    sql_register(state);
    sql_declare(state, mode);
    bench_sql_prepare(state);
}

static void sql_open_ordinary(void *subject, const bench_config *config, bench_mode mode) {
    sql_open(subject, config, mode, SQL_ORDINARY);
}

static void sql_open_rowid(void *subject, const bench_config *config, bench_mode mode) {
    sql_open(subject, config, mode, SQL_ROWID);
}

static void sql_open_htt(void *subject, const bench_config *config, bench_mode mode) {
    sql_open(subject, config, mode, SQL_HTT);
}

static void sql_open_floor(void *subject, const bench_config *config, bench_mode mode) {
    sql_open(subject, config, mode, SQL_FLOOR);
}

static void sql_open_floor_file(void *subject, const bench_config *config, bench_mode mode) {
    sql_open(subject, config, mode, SQL_FLOOR_FILE);
}

static void sql_close(void *subject) {
    sql_state *state = subject;
    bench_sql_finalize(state);
    bench_sql_must(state, sqlite3_close(state->db) == SQLITE_OK, "close");
    state->db = NULL;
}

static void sql_discard(void *subject) {
    sql_state *state = subject;
    bench_floor_free(state->floor);
    state->floor = NULL;
}

/* --------------------------------------------------------- size and check */

static uint64_t sql_used_ordinary(void *subject) {
    const sql_state *state = subject;
    return (bench_sql_number(state, "PRAGMA page_count") -
            bench_sql_number(state, "PRAGMA freelist_count")) *
           bench_sql_number(state, "PRAGMA page_size");
}

static uint64_t sql_used_htt(void *subject) {
    const sql_state *state = subject;
#define SQL_STAT(name) "SELECT value FROM htt_stat('t') WHERE name = '" name "'"
    return (bench_sql_number(state, SQL_STAT("page_count")) -
            bench_sql_number(state, SQL_STAT("free_pages"))) *
           bench_sql_number(state, SQL_STAT("page_size"));
#undef SQL_STAT
}

static void sql_settle(void *subject) {
    if (bench_sql_number(subject, "PRAGMA wal_checkpoint(TRUNCATE)") != 0) {
        bench_fail("a checkpoint was not complete");
    }
}

/* A small load stands in the outbox until it is folded into the file. */
static void sql_settle_htt(void *subject) {
    (void)bench_sql_number(subject, "SELECT htt_fold('t')");
    sql_settle(subject);
}

static void sql_check_text(const sql_state *state, const char *text) {
    sqlite3_stmt *statement = NULL;
    const int rc = sqlite3_prepare_v2(state->db, text, -1, &statement, NULL);
    bench_sql_must(state, rc == SQLITE_OK, text);
    bench_sql_must(state, sqlite3_step(statement) == SQLITE_ROW, text);
    const char *problem = (const char *)sqlite3_column_text(statement, 0);
    if (problem == NULL || strcmp(problem, "ok") != 0) {
        bench_fail("%s: %s", text, problem != NULL ? problem : "NULL");
    }
    (void)sqlite3_finalize(statement);
}

static void sql_check_ordinary(void *subject) {
    sql_check_text(subject, "PRAGMA integrity_check");
}

static void sql_check_htt(void *subject) {
    sql_check_text(subject, "SELECT problem FROM htt_check('t')");
}

static const char *sql_version(void) {
    return sqlite3_libversion();
}

#define SQL_SUBJECT                                                                                \
    .group = BENCH_SQL, .state_size = sizeof(sql_state), .version = sql_version,                   \
    .close = sql_close, .begin = bench_sql_begin, .commit = bench_sql_commit,                      \
    .get = bench_sql_get, .get_alone = bench_sql_get, .get_many = bench_sql_get_many,              \
    .insert = bench_sql_insert, .put = bench_sql_put, .put_alone = bench_sql_put,                  \
    .update = bench_sql_update, .delete = bench_sql_delete, .scan = bench_sql_scan,                \
    .count = bench_sql_count

const bench_subject bench_sql_ordinary = {
    .id = "ordinary",
    .title = "ordinary",
    .setup = "WITHOUT ROWID, WAL, cache_size 256 MB but for small commits",
    .syncs = BENCH_SYNC_ALL,
    .open = sql_open_ordinary,
    .used_bytes = sql_used_ordinary,
    .settle = sql_settle,
    .check = sql_check_ordinary,
    SQL_SUBJECT};
const bench_subject bench_sql_rowid = {
    .id = "rowid",
    .title = "rowid",
    .setup = "rowid table with the key's index, WAL, cache_size 256 MB but for small commits",
    .syncs = BENCH_SYNC_ALL,
    .open = sql_open_rowid,
    .used_bytes = sql_used_ordinary,
    .settle = sql_settle,
    .check = sql_check_ordinary,
    SQL_SUBJECT};
const bench_subject bench_sql_htt = {.id = "htt_sql",
                                     .title = "htt",
                                     .setup = "default options, host in WAL mode",
                                     .has_budget = true,
                                     .syncs = BENCH_SYNC_ALL,
                                     .open = sql_open_htt,
                                     .used_bytes = sql_used_htt,
                                     .settle = sql_settle_htt,
                                     .check = sql_check_htt,
                                     SQL_SUBJECT};
const bench_subject bench_sql_floor = {
    .id = "floor",
    .title = "floor",
    .setup = "virtual table over a hash table in memory, host :memory:",
    .in_memory = true,
    .open = sql_open_floor,
    .discard = sql_discard,
    SQL_SUBJECT};
const bench_subject bench_sql_floor_file = {
    .id = "floor_file",
    .title = "floor, file host",
    .setup = "virtual table over a hash table in memory, host a file in WAL mode",
    .in_memory = true,
    .only_alone = true,
    .syncs = BENCH_SYNC(HTT_SYNC_OFF),
    .open = sql_open_floor_file,
    .discard = sql_discard,
    SQL_SUBJECT};
