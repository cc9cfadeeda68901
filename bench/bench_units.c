/* SPDX-License-Identifier: MIT */
/*
 * Units of work against the same done by hand in SQL, in one process and in turn; every answer is
 * checked.
 *
 *   unit   a transaction that reads a row by its key, adds one to it and writes it back
 *   get    a row read by its key, all in one transaction
 *
 * over an ordinary table and over an htt table: through htt_uow_run and a repository, and with
 * statements that are prepared once. By hand has no identity map, no nesting, no try again, no
 * message; it is what one writes who needs no more.
 *
 *     bench_units [-n units] [-k keys] [-r rounds]
 */
#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "bench.h"
#include "bench_clock.h"
#include "bench_folder.h"
#include "ext/htt_sqlite.h"
#include "sql/htt_uow.h"

enum { UNITS_ROUNDS_MAX = 15, UNITS_TABLES = 2 };

typedef struct units_options {
    uint64_t units; /* of a round */
    uint64_t keys;  /* rows of a table */
    int rounds;     /* repetitions; the median counts */
} units_options;

static const char *const units_tables[UNITS_TABLES] = {"ordinary", "hashed"};

/* One of the two ways over one of the two tables. */
typedef struct units_side {
    sqlite3 *connection; /* to the database */
    htt_db *db;          /* over it */
    const char *table;   /* name */
    bool hand;           /* by hand */
    int64_t key;         /* of the next unit */
} units_side;

static void units_run(sqlite3 *db, const char *sql) {
    char *message = NULL;
    if (sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK) {
        bench_fail("%s: %s", sql, message);
    }
}

static sqlite3_stmt *units_prepare(sqlite3 *db, const char *format, const char *table) {
    sqlite3_stmt *statement = NULL;
    char sql[200];
    (void)snprintf(sql, sizeof sql, format, table);
    if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) != SQLITE_OK) {
        bench_fail("%s: %s", sql, sqlite3_errmsg(db));
    }
    return statement;
}

static void units_step(sqlite3_stmt *statement, int expected) {
    if (sqlite3_step(statement) != expected) {
        bench_fail("%s", sqlite3_sql(statement));
    }
}

static int64_t units_key(const units_options *options, uint64_t i) {
    return (int64_t)(i * UINT64_C(0x9e3779b97f4a7c15) >> 20) % (int64_t)options->keys;
}

/* ------------------------------------------------------------------ units */

static htt_rc units_work(htt_uow *unit, void *arg) {
    const units_side *const side = arg;
    htt_repo_spec spec;
    htt_repo *repo;
    void *object;
    htt_repo_spec_init(&spec, side->table, htt_codec_integer());
    spec.key_type = HTT_INTEGER;
    htt_rc rc = htt_uow_repo(unit, &spec, &repo);
    if (rc == HTT_OK) {
        rc = htt_repo_get(repo, htt_key_of_integer(side->key), &object);
    }
    if (rc == HTT_OK) {
        *(int64_t *)object += 1;
        rc = htt_repo_put(repo, htt_key_of_integer(side->key), object);
    }
    return rc;
}

static void units_by_unit(units_side *side, const units_options *options) {
    for (uint64_t i = 0; i < options->units; i++) {
        side->key = units_key(options, i);
        if (htt_uow_run(side->db, units_work, side, NULL) != HTT_OK) {
            bench_fail("%s", htt_db_errmsg(side->db));
        }
    }
}

static void units_by_hand(units_side *side, const units_options *options) {
    sqlite3_stmt *const statements[] = {
        units_prepare(side->connection, "BEGIN IMMEDIATE", ""),
        units_prepare(side->connection, "SELECT value FROM %s WHERE key = ?1", side->table),
        units_prepare(side->connection, "INSERT OR REPLACE INTO %s VALUES (?1, ?2)", side->table),
        units_prepare(side->connection, "COMMIT", ""),
    };
    for (uint64_t i = 0; i < options->units; i++) {
        const int64_t key = units_key(options, i);
        (void)sqlite3_bind_int64(statements[1], 1, key);
        (void)sqlite3_bind_int64(statements[2], 1, key);
        units_step(statements[0], SQLITE_DONE);
        units_step(statements[1], SQLITE_ROW);
        (void)sqlite3_bind_int64(statements[2], 2, sqlite3_column_int64(statements[1], 0) + 1);
        (void)sqlite3_reset(statements[1]);
        units_step(statements[2], SQLITE_DONE);
        units_step(statements[3], SQLITE_DONE);
        for (int s = 0; s < 4; s++) {
            (void)sqlite3_reset(statements[s]);
        }
    }
    for (int s = 0; s < 4; s++) {
        (void)sqlite3_finalize(statements[s]);
    }
}

/* ------------------------------------------------------------------- gets */

static uint64_t units_get_repo(units_side *side, const units_options *options) {
    htt_repo_spec spec;
    htt_repo *repo;
    void *object;
    uint64_t sum = 0;
    htt_repo_spec_init(&spec, side->table, htt_codec_integer());
    spec.key_type = HTT_INTEGER;
    if (htt_repo_open(side->db, &spec, &repo) != HTT_OK) {
        bench_fail("%s", htt_db_errmsg(side->db));
    }
    for (uint64_t i = 0; i < options->units; i++) {
        if (htt_repo_get(repo, htt_key_of_integer(units_key(options, i)), &object) != HTT_OK) {
            bench_fail("%s", htt_db_errmsg(side->db));
        }
        sum += (uint64_t)*(int64_t *)object;
        htt_repo_free(repo, object);
    }
    htt_repo_close(repo);
    return sum;
}

static uint64_t units_get_hand(units_side *side, const units_options *options) {
    sqlite3_stmt *const get =
        units_prepare(side->connection, "SELECT value FROM %s WHERE key = ?1", side->table);
    uint64_t sum = 0;
    for (uint64_t i = 0; i < options->units; i++) {
        (void)sqlite3_bind_int64(get, 1, units_key(options, i));
        units_step(get, SQLITE_ROW);
        sum += (uint64_t)sqlite3_column_int64(get, 0);
        (void)sqlite3_reset(get);
    }
    (void)sqlite3_finalize(get);
    return sum;
}

/* ------------------------------------------------------------------- main */

static void units_open(units_side *side, const char *folder, const units_options *options) {
    char text[600];
    (void)snprintf(text, sizeof text, "%s/units.db", folder);
    if (sqlite3_open(text, &side->connection) != SQLITE_OK ||
        sqlite3_htt_init(side->connection, NULL, NULL) != SQLITE_OK ||
        htt_db_open(side->connection, NULL, &side->db) != HTT_OK) {
        bench_fail("%s", text);
    }
    units_run(side->connection, "PRAGMA journal_mode = wal; PRAGMA synchronous = normal;"
                                "CREATE TABLE ordinary(key INTEGER PRIMARY KEY, value);"
                                "CREATE VIRTUAL TABLE hashed USING htt('units.htt')");
    for (int table = 0; table < UNITS_TABLES; table++) {
        (void)snprintf(text, sizeof text,
                       "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n "
                       "WHERE i + 1 < %" PRIu64 ") INSERT INTO %s SELECT i, 0 FROM n",
                       options->keys, units_tables[table]);
        units_run(side->connection, text);
    }
}

static double units_rate(const units_options *options, uint64_t begin) {
    return (double)options->units * 1e9 / (double)(bench_clock_now() - begin);
}

static void units_measure(units_side *side, const units_options *options, double *unit_out,
                          double *get_out, uint64_t *sum_out) {
    uint64_t begin = bench_clock_now();
    if (side->hand) {
        units_by_hand(side, options);
    } else {
        units_by_unit(side, options);
    }
    *unit_out = units_rate(options, begin);
    units_run(side->connection, "BEGIN");
    begin = bench_clock_now();
    *sum_out = side->hand ? units_get_hand(side, options) : units_get_repo(side, options);
    *get_out = units_rate(options, begin);
    units_run(side->connection, "COMMIT");
}

static void units_check(units_side *side, uint64_t expected) {
    sqlite3_stmt *const sum = units_prepare(side->connection, "SELECT sum(value) FROM %s",
                                            side->table);
    units_step(sum, SQLITE_ROW);
    if ((uint64_t)sqlite3_column_int64(sum, 0) != expected) {
        bench_fail("WRONG ANSWER: %s has %lld, not %" PRIu64, side->table,
                   (long long)sqlite3_column_int64(sum, 0), expected);
    }
    (void)sqlite3_finalize(sum);
}

static void units_options_read(int argc, char **argv, units_options *options) {
    int letter;
    while ((letter = getopt(argc, argv, "n:k:r:")) != -1) {
        const uint64_t number = optarg == NULL ? 0 : strtoull(optarg, NULL, 10);
        switch (letter) {
        case 'n': options->units = number; break;
        case 'k': options->keys = number; break;
        case 'r': options->rounds = (int)number; break;
        default: bench_fail("bench_units [-n units] [-k keys] [-r rounds]");
        }
    }
    if (options->units == 0 || options->keys == 0 || options->rounds < 1 ||
        options->rounds > UNITS_ROUNDS_MAX) {
        bench_fail("numbers are 1 or more, rounds at most %d", (int)UNITS_ROUNDS_MAX);
    }
}

int main(int argc, char **argv) {
    units_options options = {.units = 20000, .keys = 20000, .rounds = 3};
    double unit[UNITS_TABLES][2][UNITS_ROUNDS_MAX];
    double get[UNITS_TABLES][2][UNITS_ROUNDS_MAX];
    units_side side = {0};
    units_options_read(argc, argv, &options);
    const char *const folder = bench_folder_make();
    units_open(&side, folder, &options);
    for (int round = 0; round < options.rounds; round++) {
        for (int table = 0; table < UNITS_TABLES; table++) {
            uint64_t sums[2];
            side.table = units_tables[table];
            for (int hand = 0; hand < 2; hand++) {
                side.hand = hand != 0;
                units_measure(&side, &options, &unit[table][hand][round], &get[table][hand][round],
                              &sums[hand]);
                units_check(&side, options.units * (uint64_t)(2 * round + hand + 1));
            }
            if (sums[0] >= sums[1]) { /* each key that is read was added to in between */
                bench_fail("WRONG ANSWER: the rows that were read of %s did not grow", side.table);
            }
        }
    }
    if (htt_db_close(side.db) != HTT_OK || sqlite3_close(side.connection) != SQLITE_OK) {
        bench_fail("close");
    }
    bench_folder_remove(folder);
    printf("%" PRIu64 " units, %" PRIu64 " keys, median of %d rounds\n%-10s %-8s %12s %12s\n",
           options.units, options.keys, options.rounds, "", "", "unit/s", "get/s");
    for (int table = 0; table < UNITS_TABLES; table++) {
        double medians[2][2];
        for (int hand = 0; hand < 2; hand++) {
            medians[hand][0] = bench_clock_median(unit[table][hand], options.rounds);
            medians[hand][1] = bench_clock_median(get[table][hand], options.rounds);
            printf("%-10s %-8s %12.0f %12.0f\n", units_tables[table], hand ? "by hand" : "unit",
                   medians[hand][0], medians[hand][1]);
        }
        printf("%-10s %-8s %12.2f %12.2f\n", units_tables[table], "ratio",
               medians[0][0] / medians[1][0], medians[0][1] / medians[1][1]);
    }
    return 0;
}
