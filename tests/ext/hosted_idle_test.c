/* SPDX-License-Identifier: MIT */
/*
 * Connections that have read within a transaction and now idle, as pools do: they must not stop
 * pages from being used again. Each of them gets its old rows, or SQLITE_BUSY_SNAPSHOT; never newer
 * ones.
 */
#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { IDLE_CONNECTIONS = 100, IDLE_ROWS = 20000, IDLE_FOLDS = 40 };

static double idle_size(void **state) {
    struct stat found;
    assert_int_equal(stat(fixture_path(state, "kv.htt"), &found), 0);
    return (double)found.st_size;
}

/* Every fold changes a random part of all pages. */
static void idle_update(sqlite3 *db, int round) {
    char sql[200];
    (void)snprintf(sql, sizeof sql,
                   "UPDATE kv SET value = randomblob(100), round = %d "
                   "WHERE (key * 7919 + %d) %% 10 = 0",
                   round, round * 31);
    run(db, sql);
}

static void test_idle__connections_do_not_stop_reuse(void **state) {
    static sqlite3 *idle[IDLE_CONNECTIONS];
    sqlite3 *const db = fixture_db(state);
    int gone = 0;
    run(db, "PRAGMA journal_mode = wal; PRAGMA synchronous = OFF;"
            "CREATE VIRTUAL TABLE kv USING htt('kv.htt', key INTEGER PRIMARY KEY, value BLOB, "
            "round INT, fold_rows=2000);"
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) "
            "INSERT INTO kv SELECT i, randomblob(100), 0 FROM n; SELECT htt_fold('kv')");
    const double loaded = idle_size(state);
    for (int i = 0; i < IDLE_CONNECTIONS; i++) {
        idle[i] = fixture_open(state, NULL);
        run(idle[i], "BEGIN");
        expect(idle[i], "SELECT count(*), max(round) FROM kv", "20000|0");
    }
    for (int round = 1; round <= IDLE_FOLDS; round++) {
        idle_update(db, round);
    }
    const double grown = idle_size(state);
    print_message("%.2f times the loaded file after %d folds beside %d idle connections\n",
                  grown / loaded, (int)IDLE_FOLDS, (int)IDLE_CONNECTIONS);
    assert_true(grown <= 3.5 * loaded);
    for (int i = 0; i < IDLE_CONNECTIONS; i++) {
        char *const rows = fixture_query(idle[i], "SELECT count(*), max(round) FROM kv");
        const bool old = strcmp(rows, "20000|0") == 0;
        if (!old) {
            assert_non_null(strstr(rows, "error 517")); /* SQLITE_BUSY_SNAPSHOT */
            gone++;
        }
        sqlite3_free(rows);
        run(idle[i], "ROLLBACK");
        expect(idle[i], "SELECT count(*) FROM kv", "20000");
        assert_int_equal(sqlite3_close(idle[i]), SQLITE_OK);
    }
    assert_true(gone > 0); /* else nothing was taken, and this test shows nothing */
    expect(db, "SELECT * FROM htt_check('kv')", "ok");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        fixture_test(test_idle__connections_do_not_stop_reuse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
