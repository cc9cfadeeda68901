/* SPDX-License-Identifier: MIT */
/*
 * What keeping the root in the database costs and gives; every answer is checked.
 *
 *   commits      one-row commits, folds and checkpoints included, against an ordinary WITHOUT ROWID
 *                table of as many rows, at each level of synchronous
 *   first read   of a fresh connection while the outbox is as full as it gets
 *   growth       of the file under random updates, in bytes per byte of the file after the load
 *
 *     bench_hosted [-n rows] [-c commits] [-u updates] [-r rows that are updated]
 */
#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"
#include "bench_clock.h"
#include "bench_folder.h"
#include "ext/htt_sqlite.h"

enum { HOSTED_VALUE = 100, HOSTED_OUTBOX = 32767, HOSTED_READS = 5, HOSTED_BATCH = 100 };

typedef struct hosted_options {
    uint64_t rows;    /* in the tables of commits and first read */
    uint64_t commits; /* with synchronous OFF and NORMAL; FULL does a hundredth */
    uint64_t updates; /* of growth */
    uint64_t few;     /* rows of growth */
} hosted_options;

static void hosted_run(sqlite3 *db, const char *sql) {
    char *message = NULL;
    if (sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK) {
        bench_fail("%s: %s", sql, message);
    }
}

static sqlite3 *hosted_open(const char *folder, const char *name, const char *synchronous) {
    char text[600];
    sqlite3 *db = NULL;
    (void)snprintf(text, sizeof text, "%s/%s", folder, name);
    if (sqlite3_open(text, &db) != SQLITE_OK || sqlite3_htt_init(db, NULL, NULL) != SQLITE_OK) {
        bench_fail("%s: %s", text, sqlite3_errmsg(db));
    }
    (void)snprintf(text, sizeof text, "PRAGMA journal_mode = wal; PRAGMA synchronous = %s",
                   synchronous);
    hosted_run(db, text);
    return db;
}

static sqlite3_stmt *hosted_prepare(sqlite3 *db, const char *sql) {
    sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) != SQLITE_OK) {
        bench_fail("%s: %s", sql, sqlite3_errmsg(db));
    }
    return statement;
}

static int64_t hosted_integer(sqlite3 *db, const char *sql) {
    sqlite3_stmt *const statement = hosted_prepare(db, sql);
    if (sqlite3_step(statement) != SQLITE_ROW) {
        bench_fail("%s: %s", sql, sqlite3_errmsg(db));
    }
    const int64_t integer = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return integer;
}

static void hosted_load(sqlite3 *db, bool htt, uint64_t rows) {
    static const char *const creates[] = {
        "CREATE TABLE t(key INTEGER PRIMARY KEY, value BLOB) WITHOUT ROWID",
        "CREATE VIRTUAL TABLE t USING htt('" BENCH_FILE_SQL "', key INTEGER PRIMARY KEY, "
        "value BLOB)"};
    char sql[400];
    hosted_run(db, creates[htt ? 1 : 0]);
    (void)snprintf(sql, sizeof sql,
                   "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < "
                   "%" PRIu64 ") INSERT INTO t SELECT i * 7919, randomblob(%d) FROM n",
                   rows, (int)HOSTED_VALUE);
    hosted_run(db, sql);
}

static uint64_t hosted_random(uint64_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* -------------------------------------------------------------------- commits */

/* Microseconds a commit. */
static double hosted_commits(sqlite3 *db, uint64_t rows, uint64_t commits) {
    sqlite3_stmt *const statement =
        hosted_prepare(db, "INSERT OR REPLACE INTO t VALUES (?1, zeroblob(100))");
    uint64_t random = 88172645463325252u;
    const uint64_t start = bench_clock_now();
    for (uint64_t i = 0; i < commits; i++) {
        sqlite3_bind_int64(statement, 1, (sqlite3_int64)(hosted_random(&random) % rows * 7919));
        if (sqlite3_step(statement) != SQLITE_DONE) {
            bench_fail("commit: %s", sqlite3_errmsg(db));
        }
        sqlite3_reset(statement);
    }
    const double each = (double)(bench_clock_now() - start) / 1000.0 / (double)commits;
    sqlite3_finalize(statement);
    random = 88172645463325252u;
    sqlite3_stmt *const check = hosted_prepare(db, "SELECT length(value) FROM t WHERE key = ?1");
    for (uint64_t i = 0; i < commits; i++) {
        sqlite3_bind_int64(check, 1, (sqlite3_int64)(hosted_random(&random) % rows * 7919));
        if (sqlite3_step(check) != SQLITE_ROW || sqlite3_column_int(check, 0) != HOSTED_VALUE) {
            bench_fail("a row that was committed is not there");
        }
        sqlite3_reset(check);
    }
    sqlite3_finalize(check);
    return each;
}

static void hosted_measure_commits(const char *folder, const hosted_options *options) {
    static const char *const levels[] = {"OFF", "NORMAL", "FULL"};
    static const char *const names[] = {BENCH_FILE_ORDINARY, BENCH_FILE_HOST};
    double each[2] = {0, 0};
    sqlite3 *dbs[2];
    for (int htt = 0; htt < 2; htt++) {
        dbs[htt] = hosted_open(folder, names[htt], "OFF");
        hosted_load(dbs[htt], htt == 1, options->rows);
    }
    printf("one-row commits, %" PRIu64 " rows           ordinary us     htt us   times better\n",
           options->rows);
    for (size_t level = 0; level < sizeof levels / sizeof levels[0]; level++) {
        char sql[64];
        (void)snprintf(sql, sizeof sql, "PRAGMA synchronous = %s", levels[level]);
        const uint64_t commits = level == 2 ? options->commits / 100 + 1 : options->commits;
        for (int htt = 0; htt < 2; htt++) {
            hosted_run(dbs[htt], sql);
            each[htt] = hosted_commits(dbs[htt], options->rows, commits);
        }
        printf("    synchronous=%-8s %26.2f %10.2f %14.2f\n", levels[level], each[0], each[1],
               each[0] / each[1]);
    }
    for (int htt = 0; htt < 2; htt++) {
        sqlite3_close(dbs[htt]);
    }
}

/* ----------------------------------------------------------------- first read */

/* In a process of its own that ends without closing: the outbox stays full. */
static void hosted_fill_outbox(const char *folder, uint64_t rows) {
    const pid_t child = fork();
    int status = 0;
    if (child == 0) {
        sqlite3 *const db = hosted_open(folder, BENCH_FILE_HOST, "OFF");
        char sql[300];
        hosted_load(db, true, rows);
        (void)hosted_integer(db, "SELECT htt_fold('t')");
        (void)snprintf(sql, sizeof sql,
                       "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < "
                       "%d) INSERT OR REPLACE INTO t SELECT i * 7919, zeroblob(%d) FROM n",
                       (int)HOSTED_OUTBOX, (int)HOSTED_VALUE + 1);
        hosted_run(db, sql);
        _exit(0);
    }
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0) {
        bench_fail("the process that fills the outbox failed");
    }
}

static void hosted_measure_first(const char *folder, const hosted_options *options) {
    double best = 1e9;
    hosted_fill_outbox(folder, options->rows < HOSTED_OUTBOX ? HOSTED_OUTBOX : options->rows);
    for (int i = 0; i < HOSTED_READS; i++) {
        sqlite3 *const db = hosted_open(folder, BENCH_FILE_HOST, "OFF");
        (void)hosted_integer(db, "SELECT count(*) FROM sqlite_schema");
        sqlite3_stmt *const statement =
            hosted_prepare(db, "SELECT length(value) FROM t WHERE key = 7919");
        const uint64_t start = bench_clock_now();
        if (sqlite3_step(statement) != SQLITE_ROW ||
            sqlite3_column_int(statement, 0) != HOSTED_VALUE + 1) {
            bench_fail("first read: %s", sqlite3_errmsg(db));
        }
        const double each = (double)(bench_clock_now() - start) / 1e6;
        best = each < best ? each : best;
        sqlite3_finalize(statement);
        if (hosted_integer(db, "SELECT value FROM htt_stat('t') WHERE name = 'outbox_rows'") !=
            HOSTED_OUTBOX) {
            bench_fail("the outbox is not full");
        }
        sqlite3_close(db);
    }
    printf("first read of a fresh connection, %d rows in the outbox: %.1f ms (best of %d)\n",
           (int)HOSTED_OUTBOX, best, (int)HOSTED_READS);
}

/* --------------------------------------------------------------------- growth */

static double hosted_size(const char *folder) {
    char path[600];
    struct stat found;
    (void)snprintf(path, sizeof path, "%s/" BENCH_FILE_SQL, folder);
    if (stat(path, &found) != 0) {
        bench_fail("%s is not there", path);
    }
    return (double)found.st_size;
}

static void hosted_measure_growth(const char *folder, const hosted_options *options) {
    sqlite3 *const db = hosted_open(folder, BENCH_FILE_HOST, "OFF");
    uint64_t random = 88172645463325252u;
    hosted_load(db, true, options->few);
    (void)hosted_integer(db, "SELECT htt_fold('t')");
    (void)hosted_integer(db, "SELECT htt_vacuum('t')");
    const double before = hosted_size(folder);
    sqlite3_stmt *const statement =
        hosted_prepare(db, "UPDATE t SET value = randomblob(100) WHERE key = ?1");
    for (uint64_t i = 0; i < options->updates; i++) {
        if (i % HOSTED_BATCH == 0) {
            hosted_run(db, "BEGIN");
        }
        sqlite3_bind_int64(statement, 1,
                           (sqlite3_int64)((hosted_random(&random) % options->few + 1) * 7919));
        if (sqlite3_step(statement) != SQLITE_DONE || sqlite3_changes(db) != 1) {
            bench_fail("update: %s", sqlite3_errmsg(db));
        }
        sqlite3_reset(statement);
        if (i % HOSTED_BATCH == HOSTED_BATCH - 1 || i + 1 == options->updates) {
            hosted_run(db, "COMMIT");
        }
    }
    sqlite3_finalize(statement);
    const double after = hosted_size(folder);
    if (hosted_integer(db, "SELECT count(*) FROM t") != (int64_t)options->few ||
        hosted_integer(db, "SELECT count(*) FROM htt_check('t') WHERE problem = 'ok'") != 1) {
        bench_fail("rows are missing, or htt_check finds a problem");
    }
    (void)hosted_integer(db, "SELECT htt_vacuum('t')");
    printf("growth: %" PRIu64 " random updates of %" PRIu64 " rows: %.2f times the size of the "
           "vacuumed file; %.2f after another vacuum\n",
           options->updates, options->few, after / before, hosted_size(folder) / before);
    sqlite3_close(db);
}

/* The next measurement begins anew. */
static void hosted_remove(const char *folder) {
    static const char *const names[] = {BENCH_FILE_HOST, BENCH_FILE_HOST "-wal",
                                        BENCH_FILE_HOST "-shm", BENCH_FILE_SQL,
                                        BENCH_FILE_SQL "-lock"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[600];
        (void)snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        (void)unlink(path); /* some are absent */
    }
}

int main(int argc, char **argv) {
    hosted_options options = {1000000, 100000, 1000000, 100000};
    int letter;
    while ((letter = getopt(argc, argv, "n:c:u:r:")) != -1) {
        const uint64_t number = optarg == NULL ? 0 : strtoull(optarg, NULL, 10);
        switch (letter) {
        case 'n': options.rows = number; break;
        case 'c': options.commits = number; break;
        case 'u': options.updates = number; break;
        case 'r': options.few = number; break;
        default: bench_fail("see the first lines of bench/bench_hosted.c");
        }
    }
    if (options.rows == 0 || options.commits == 0 || options.updates == 0 || options.few == 0) {
        bench_fail("no rows, commits or updates");
    }
    static void (*const measures[])(const char *, const hosted_options *) = {
        hosted_measure_commits, hosted_measure_first, hosted_measure_growth};
    const char *const folder = bench_folder_make();
    for (size_t i = 0; i < sizeof measures / sizeof measures[0]; i++) {
        measures[i](folder, &options);
        hosted_remove(folder);
    }
    return 0;
}
