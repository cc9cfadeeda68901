/* SPDX-License-Identifier: MIT */
/*
 * Who follows a table by htt_changes has what the table has. Random transactions with savepoints,
 * rollbacks, folds and large ones on two tables, by two connections, and followers that come, go
 * and look at random moments:
 *
 *     0   registered from the beginning: it misses nothing, and looks into transactions too
 *     1   never registered: it meets gaps, and begins anew
 *     2   registered now and then
 *
 * ctest: timeout=240
 * Environment
 *   HTT_TEST_SEED   printed
 *   HTT_TEST_STEPS  transactions over all runs
 */
#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define GAP SQLITE_RANGE

enum { FEED_TABLES = 2, FEED_WRITERS = 2, FEED_FOLLOWERS = 3, FEED_RUNS = 12 };

static const char *const feed_tables[FEED_TABLES] = {"kv", "m"};
/* All rows, as a follower has them. */
static const char *const feed_rows[FEED_TABLES] = {
    "SELECT quote(key), quote(value) FROM kv ORDER BY 1",
    "SELECT quote(id), quote(json_array(a, b)) FROM m ORDER BY 1"};

typedef struct feed_follower {
    int registered;                     /* 1 always, 0 never, -1 now and then */
    bool is_registered;                 /* now */
    sqlite3_int64 position[FEED_TABLES]; /* seq of the last change that it has */
} feed_follower;

typedef struct feed_world {
    void **state;                          /* of the fixture */
    sqlite3 *writers[FEED_WRITERS];        /* one of them has a transaction at most */
    sqlite3 *memory;                       /* r<follower>_<table>(key, value): what they have */
    feed_follower followers[FEED_FOLLOWERS];
    uint64_t random;                       /* xorshift */
    int savepoints;                        /* open ones */
    unsigned gaps;                         /* that followers have met */
    unsigned long long changes;            /* that they have read */
} feed_world;

static unsigned feed_random(feed_world *w, unsigned below) {
    w->random ^= w->random << 13;
    w->random ^= w->random >> 7;
    w->random ^= w->random << 17;
    return (unsigned)((w->random >> 20) % below);
}

static sqlite3_int64 feed_number(sqlite3 *db, const char *sql) {
    char *const text = fixture_query(db, sql);
    const sqlite3_int64 number = strtoll(text, NULL, 10);
    sqlite3_free(text);
    return number;
}

/* A statement that may fail, where that is its own affair. */
static void feed_try(sqlite3 *db, const char *sql) {
    char *const text = fixture_query(db, sql);
    if (strncmp(text, "error ", 6) == 0 && strstr(text, "constraint") == NULL) {
        fail_msg("%s: %s", sql, text);
    }
    sqlite3_free(text);
}

/* ------------------------------------------------------------- followers */

static void feed_apply(feed_world *w, int follower, int table, sqlite3_stmt *change) {
    sqlite3_stmt *statement;
    char sql[128];
    const bool deletes = strcmp((const char *)sqlite3_column_text(change, 1), "delete") == 0;
    snprintf(sql, sizeof sql,
             deletes ? "DELETE FROM r%d_%s WHERE key = ?1"
                     : "INSERT OR REPLACE INTO r%d_%s VALUES (?1, ?2)",
             follower, feed_tables[table]);
    assert_int_equal(sqlite3_prepare_v2(w->memory, sql, -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_bind_value(statement, 1, sqlite3_column_value(change, 2)), SQLITE_OK);
    if (!deletes) {
        assert_int_equal(sqlite3_bind_value(statement, 2, sqlite3_column_value(change, 3)),
                         SQLITE_OK);
    }
    assert_int_equal(sqlite3_step(statement), SQLITE_DONE);
    assert_int_equal(sqlite3_finalize(statement), SQLITE_OK);
}

/* Reads on from the follower's position. False: it has missed something. */
static bool feed_read(feed_world *w, sqlite3 *db, int follower, int table) {
    sqlite3_int64 *const position = &w->followers[follower].position[table];
    sqlite3_stmt *statement;
    char sql[128];
    snprintf(sql, sizeof sql, "SELECT seq, op, key, value FROM htt_changes('%s', %lld)",
             feed_tables[table], (long long)*position);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
    int rc = sqlite3_step(statement);
    while (rc == SQLITE_ROW) {
        assert_int_equal(sqlite3_column_int64(statement, 0), *position + 1);
        feed_apply(w, follower, table, statement);
        (*position)++;
        w->changes++;
        rc = sqlite3_step(statement);
    }
    if (rc != SQLITE_DONE && rc != GAP) {
        fail_msg("%s: %d %s", sql, rc, sqlite3_errmsg(db));
    }
    sqlite3_finalize(statement);
    return rc == SQLITE_DONE;
}

static void feed_compare(feed_world *w, sqlite3 *db, int follower, int table) {
    char sql[128];
    snprintf(sql, sizeof sql, "SELECT quote(key), quote(value) FROM r%d_%s ORDER BY 1", follower,
             feed_tables[table]);
    char *const has = fixture_query(w->memory, sql);
    char *const should = fixture_query(db, feed_rows[table]);
    assert_string_equal(has, should);
    sqlite3_free(has);
    sqlite3_free(should);
}

/* A copy of the table, and the number that belongs to it. */
static void feed_start(feed_world *w, sqlite3 *db, int follower, int table) {
    sqlite3_stmt *from;
    char sql[256];
    snprintf(sql, sizeof sql, "DELETE FROM r%d_%s", follower, feed_tables[table]);
    run(w->memory, sql);
    snprintf(sql, sizeof sql, "SELECT htt_seq('%s')", feed_tables[table]);
    w->followers[follower].position[table] = feed_number(db, sql);
    assert_int_equal(sqlite3_prepare_v2(db,
                                        table == 0 ? "SELECT 0, 'put', key, value FROM kv"
                                                   : "SELECT 0, 'put', id, json_array(a, b) FROM m",
                                        -1, &from, NULL),
                     SQLITE_OK);
    while (sqlite3_step(from) == SQLITE_ROW) {
        feed_apply(w, follower, table, from);
    }
    assert_int_equal(sqlite3_finalize(from), SQLITE_OK);
}

/* In the transaction of `db`. */
static void feed_acknowledge(feed_world *w, sqlite3 *db, int follower, int table) {
    char sql[512];
    snprintf(sql, sizeof sql,
             "INSERT OR REPLACE INTO htt_consumer SELECT 'f%d', id, (id << 40) + %lld "
             "FROM htt_store WHERE name = '%s.htt'",
             follower, (long long)w->followers[follower].position[table], feed_tables[table]);
    run(db, sql);
}

/* Nobody has a transaction: comes, goes, or looks. */
static void feed_follow(feed_world *w, int index) {
    feed_follower *const follower = &w->followers[index];
    sqlite3 *const db = w->writers[feed_random(w, FEED_WRITERS)];
    run(db, "BEGIN IMMEDIATE");
    if (follower->registered < 0 && feed_random(w, 3) == 0) {
        if (follower->is_registered) {
            char sql[64];
            snprintf(sql, sizeof sql, "DELETE FROM htt_consumer WHERE name = 'f%d'", index);
            run(db, sql);
        }
        follower->is_registered = !follower->is_registered;
        for (int i = 0; follower->is_registered && i < FEED_TABLES; i++) {
            feed_start(w, db, index, i);
        }
    }
    for (int i = 0; i < FEED_TABLES; i++) {
        if (!feed_read(w, db, index, i)) {
            assert_false(follower->is_registered);
            w->gaps++;
            feed_start(w, db, index, i);
        }
        feed_compare(w, db, index, i);
        if (follower->is_registered) {
            feed_acknowledge(w, db, index, i);
        }
    }
    run(db, "COMMIT");
}

/* In the midst of a transaction: what is not committed yet shows too, and only here. */
static void feed_peek(feed_world *w, sqlite3 *db) {
    const int index = 0; /* who has missed nothing */
    const feed_follower before = w->followers[index];
    run(w->memory, "BEGIN");
    for (int i = 0; i < FEED_TABLES; i++) {
        assert_true(feed_read(w, db, index, i));
        feed_compare(w, db, index, i);
    }
    run(w->memory, "ROLLBACK");
    w->followers[index] = before;
}

/* --------------------------------------------------------------- writers */

static void feed_change(feed_world *w, sqlite3 *db) {
    static const char *const changes[] = {
        "INSERT OR REPLACE INTO kv VALUES (%u, %u)",
        "INSERT OR REPLACE INTO kv VALUES ('k' || %u, 'v' || %u)",
        "INSERT OR REPLACE INTO m VALUES (%u, 'a', %u)",
        "INSERT OR REPLACE INTO m(id, b) VALUES (%u, %u)",
        "DELETE FROM kv WHERE key = %u OR key = 'k' || %u",
        "DELETE FROM m WHERE id BETWEEN %u AND %u",
        "UPDATE kv SET key = 'k' || %u WHERE key = %u",
        "UPDATE OR REPLACE m SET id = id + %u WHERE id = %u",
        "INSERT INTO kv VALUES ('new' || %u, 1), (%u, 2), (NULL, 3)", /* takes back its rows */
        "WITH n(i) AS (SELECT %u UNION ALL SELECT i + 1 FROM n WHERE i < 90) "
        "INSERT OR REPLACE INTO kv SELECT i, %u FROM n",
        "WITH n(i) AS (SELECT %u UNION ALL SELECT i + 1 FROM n WHERE i < 60) "
        "INSERT OR IGNORE INTO m SELECT i, i, %u FROM n",
        "INSERT OR REPLACE INTO kv VALUES (%u, zeroblob(200 + %u))",
    };
    char sql[256];
    const char *const change = changes[feed_random(w, sizeof changes / sizeof changes[0])];
    const unsigned first = feed_random(w, 100);
    snprintf(sql, sizeof sql, change, first, feed_random(w, 100));
    feed_try(db, sql);
}

static void feed_savepoint(feed_world *w, sqlite3 *db) {
    char sql[64];
    const int level = w->savepoints == 0 ? 0 : (int)feed_random(w, (unsigned)w->savepoints);
    const unsigned what = feed_random(w, 4);
    if (w->savepoints == 0 || (what < 2 && w->savepoints < 5)) {
        snprintf(sql, sizeof sql, "SAVEPOINT s%d", w->savepoints++);
    } else if (what < 3) {
        snprintf(sql, sizeof sql, "ROLLBACK TO s%d", level);
        w->savepoints = level + 1;
    } else {
        snprintf(sql, sizeof sql, "RELEASE s%d", level);
        w->savepoints = level;
    }
    run(db, sql);
}

/* A table is dropped, and perhaps made anew without a feed, and all of it is taken back. */
static void feed_drop(feed_world *w, sqlite3 *db) {
    char sql[256];
    const int table = (int)feed_random(w, FEED_TABLES);
    snprintf(sql, sizeof sql, "SAVEPOINT d; DROP TABLE %s", feed_tables[table]);
    run(db, sql);
    if (feed_random(w, 2) == 0) {
        snprintf(sql, sizeof sql, "CREATE VIRTUAL TABLE %s USING htt('%s.htt'%s, fold_rows=%u)",
                 feed_tables[table], feed_tables[table],
                 table == 0 ? "" : ", id INTEGER PRIMARY KEY, a, b", 1 + feed_random(w, 20));
        run(db, sql);
        snprintf(sql, sizeof sql, "INSERT OR REPLACE INTO %s VALUES (1, 2%s)", feed_tables[table],
                 table == 0 ? "" : ", 3");
        run(db, sql);
    }
    run(db, "ROLLBACK TO d; RELEASE d");
}

static void feed_transaction(feed_world *w) {
    sqlite3 *const db = w->writers[feed_random(w, FEED_WRITERS)];
    const bool alone = feed_random(w, 3) == 0;
    const unsigned steps = alone ? 1 : 1 + feed_random(w, feed_random(w, 8) == 0 ? 40 : 8);
    run(db, alone ? "SELECT 1" : "BEGIN IMMEDIATE");
    for (unsigned i = 0; i < steps; i++) {
        const unsigned what = feed_random(w, 20);
        if (what < 14 || alone) {
            feed_change(w, db);
        } else if (what < 18) {
            feed_savepoint(w, db);
        } else if (what < 19) {
            if (feed_random(w, 3) == 0) {
                feed_drop(w, db);
            }
            feed_peek(w, db);
        } else {
            feed_try(db, feed_random(w, 2) == 0 ? "SELECT htt_fold('kv')" : "SELECT htt_fold('m')");
        }
    }
    w->savepoints = 0;
    if (!alone) {
        run(db, feed_random(w, 4) == 0 ? "ROLLBACK" : "COMMIT");
    }
}

static void feed_open(feed_world *w) {
    for (int i = 0; i < FEED_WRITERS; i++) {
        w->writers[i] = fixture_open(w->state, "test.db");
        run(w->writers[i], "PRAGMA synchronous = off");
    }
}

static void feed_close(feed_world *w) {
    for (int i = 0; i < FEED_WRITERS; i++) {
        assert_int_equal(sqlite3_close(w->writers[i]), SQLITE_OK);
    }
}

static void feed_make(feed_world *w) {
    static const unsigned folds[] = {1, 2, 8, 40, 5000};
    static const unsigned keeps[] = {0, 1, 10, 100, 100000};
    static const char *const modes[] = {"wal", "delete", "truncate", "persist"};
    char sql[512];
    sqlite3 *const db = fixture_open(w->state, "test.db");
    snprintf(sql, sizeof sql, "PRAGMA journal_mode = %s", modes[feed_random(w, 4)]);
    run(db, sql);
    for (int i = 0; i < FEED_TABLES; i++) {
        snprintf(sql, sizeof sql,
                 "CREATE VIRTUAL TABLE %s USING htt('%s.htt'%s, changes=on, fold_rows=%u, "
                 "changes_keep=%u%s)",
                 feed_tables[i], feed_tables[i], i == 0 ? "" : ", id INTEGER PRIMARY KEY, a, b",
                 folds[feed_random(w, 5)], keeps[feed_random(w, 5)],
                 feed_random(w, 3) == 0 ? ", fold_bytes=1000" : "");
        run(db, sql);
    }
    assert_int_equal(sqlite3_open(":memory:", &w->memory), SQLITE_OK);
    for (int i = 0; i < FEED_FOLLOWERS * FEED_TABLES; i++) {
        snprintf(sql, sizeof sql, "CREATE TABLE r%d_%s(key PRIMARY KEY, value)", i / FEED_TABLES,
                 feed_tables[i % FEED_TABLES]);
        run(w->memory, sql);
    }
    for (int i = 0; i < FEED_TABLES; i++) {
        feed_acknowledge(w, db, 0, i);
    }
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void feed_run(uint64_t seed, unsigned steps) {
    void *state = NULL;
    assert_int_equal(fixture_setup(&state), 0);
    feed_world w = {.state = &state,
                    .random = seed | 1,
                    .followers = {{.registered = 1, .is_registered = true},
                                  {.registered = 0},
                                  {.registered = -1}}};
    feed_make(&w);
    feed_open(&w);
    for (unsigned i = 0; i < steps; i++) {
        feed_transaction(&w);
        for (int j = 0; j < FEED_FOLLOWERS; j++) {
            if (feed_random(&w, 4) == 0) {
                feed_follow(&w, j);
            }
        }
        if (feed_random(&w, 40) == 0) {
            feed_close(&w);
            feed_open(&w);
        }
    }
    for (int j = 0; j < FEED_FOLLOWERS; j++) {
        feed_follow(&w, j);
    }
    expect(w.writers[0], "SELECT * FROM htt_check('kv') UNION ALL SELECT * FROM htt_check('m')",
           "ok\nok");
    feed_close(&w);
    assert_int_equal(sqlite3_close(w.memory), SQLITE_OK);
    print_message("%llu changes were read, %u gaps\n", w.changes, w.gaps);
    assert_int_equal(fixture_teardown(&state), 0);
}

static void test_changes__random_followers_have_what_the_tables_have(void **state) {
    const char *const seed_text = getenv("HTT_TEST_SEED");
    const char *const steps_text = getenv("HTT_TEST_STEPS");
    const uint64_t seed = seed_text != NULL ? strtoull(seed_text, NULL, 10) : (uint64_t)time(NULL);
    const unsigned otherwise = getenv("HTT_TEST_LONG") != NULL ? 60000 : 2400;
    const unsigned steps =
        steps_text != NULL ? (unsigned)strtoul(steps_text, NULL, 10) : otherwise;
    (void)state;
    for (unsigned i = 0; i < FEED_RUNS; i++) {
        uint64_t mixed = (seed + i) * 0x9e3779b97f4a7c15u;
        mixed ^= mixed >> 29;
        print_message("HTT_TEST_SEED=%llu HTT_TEST_STEPS=%u, run %u: ", (unsigned long long)seed,
                      steps, i);
        feed_run(mixed, steps / FEED_RUNS);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_changes__random_followers_have_what_the_tables_have),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
