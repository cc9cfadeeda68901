/* SPDX-License-Identifier: MIT */
/*
 * When a commit folds without being told, and when a transaction goes into pages: by the table's
 * size, or by its options.
 */
#define SQLITE_CORE 1
#include "fixture.h"

#include "ext/hosted.h"

static const char outbox_rows[] = "SELECT value FROM htt_stat('kv') WHERE name = 'outbox_rows'";

/* Rows `from` to `to` in one transaction. */
static void threshold_put(sqlite3 *db, int from, int to) {
    char *const sql = sqlite3_mprintf("WITH RECURSIVE n(i) AS (SELECT %d UNION ALL SELECT i + 1 "
                                      "FROM n WHERE i < %d) REPLACE INTO kv SELECT i, i FROM n",
                                      from, to);
    run(db, sql);
    sqlite3_free(sql);
}

static void test_threshold__is_an_eighth_of_the_table_between_limits(void **state) {
    (void)state;
    htt_reader reader = {.references = 1};
    htt_hosted hosted = {.state = NULL};
    static const uint64_t tables[][2] = {{0, 32768},       {262144, 32768},  {262152, 32769},
                                         {800000, 100000}, {1048576, 131072}, {10000000, 131072}};
    assert_int_equal(htt_hosted_fold_rows(&hosted), 32768);
    hosted.state = &reader;
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
        reader.root.keys = tables[i][0];
        assert_int_equal(htt_hosted_fold_rows(&hosted), tables[i][1]);
        assert_int_equal(htt_hosted_fold_bytes(&hosted), tables[i][1] * 128);
    }
    hosted.fold_rows = 7;
    assert_int_equal(htt_hosted_fold_rows(&hosted), 7);
    assert_int_equal(htt_hosted_fold_bytes(&hosted), 131072 * 128);
    hosted.fold_bytes = 8;
    assert_int_equal(htt_hosted_fold_bytes(&hosted), 8);
}

static void test_threshold__commit_of_a_large_table_folds_later(void **state) {
    sqlite3 *const db = fixture_db(state);
    run(db, "PRAGMA journal_mode = wal; PRAGMA synchronous = off;"
            "CREATE VIRTUAL TABLE kv USING htt('kv.htt', key INTEGER PRIMARY KEY, value)");
    threshold_put(db, 1, 32767);
    expect(db, outbox_rows, "32767");
    threshold_put(db, 1, 1);
    expect(db, outbox_rows, "0");
    threshold_put(db, 1, 280000); /* into pages */
    expect(db, outbox_rows, "0");
    threshold_put(db, 5, 33004); /* an eighth are 35000 */
    expect(db, outbox_rows, "33000");
    threshold_put(db, 5, 2003);
    expect(db, outbox_rows, "34999");
    run(db, "DELETE FROM kv WHERE key = 77");
    expect(db, outbox_rows, "0");
    threshold_put(db, 1, 68000); /* more than the outbox takes */
    expect(db, outbox_rows, "0");
    expect(db, "SELECT count(*), sum(value = key) FROM kv", "280000|280000");
    expect(db, "SELECT problem FROM htt_check('kv')", "ok");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        fixture_test(test_threshold__is_an_eighth_of_the_table_between_limits),
        fixture_test(test_threshold__commit_of_a_large_table_folds_later),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
