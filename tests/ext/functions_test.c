/* SPDX-License-Identifier: MIT */
/*
 * SQL functions, the table htt_store, and loading.
 */
#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "engine/htt.h"

static sqlite3 *functions_make(void **state) {
    sqlite3 *const db = fixture_db(state);
    run(db, "CREATE VIRTUAL TABLE kv USING htt('kv.htt'); INSERT INTO kv VALUES (1, 'one'), (2, "
            "'two')");
    return db;
}

static void test_function__version(void **state) {
    expect(fixture_db(state), "SELECT htt_version()", HTT_VERSION);
}

static void test_function__stat_gives_documented_names(void **state) {
    sqlite3 *const db = functions_make(state);
    expect(db, "SELECT name FROM htt_stat('kv')",
           "keys\npayload_bytes\nfile_bytes\npage_size\npage_count\ndata_pages\nindex_pages\n"
           "overflow_pages\nfree_pages\nfree_list_pages\nindex_nodes\ndepth_max\nepoch\nreaders\n"
           "depth_average\nutilisation\noutbox_rows\noutbox_bytes\nuuid\npath\ndeclaration");
    expect(db, "SELECT value FROM htt_stat('kv') WHERE name = 'keys'", "2");
    expect(db, "SELECT value FROM htt_stat('kv', 'main') WHERE name = 'page_size'", "4096");
    expect(db,
           "SELECT value = lower(hex(uuid)) FROM htt_stat('KV'), htt_store WHERE "
           "htt_stat.name = 'uuid'",
           "1");
    run(db, "BEGIN; INSERT INTO kv VALUES (3, 'three')"); /* what the transaction sees */
    expect(db, "SELECT value FROM htt_stat('kv') WHERE name = 'keys'", "3");
    run(db, "ROLLBACK");
}

static void test_function__stat_joins_with_the_schema(void **state) {
    sqlite3 *const db = functions_make(state);
    run(db, "CREATE VIRTUAL TABLE other USING htt('other.htt')");
    expect(db,
           "SELECT s.name, t.value FROM sqlite_schema AS s JOIN htt_stat(s.name) AS t "
           "WHERE s.rootpage = 0 AND s.type = 'table' AND t.name = 'keys' ORDER BY 1",
           "kv|2\nother|0");
}

static void test_function__check_says_ok(void **state) {
    sqlite3 *const db = functions_make(state);
    expect(db, "SELECT * FROM htt_check('kv')", "ok");
    expect(db, "SELECT problem, page, reason FROM htt_check('kv', 'main')", "ok|NULL|NULL");
}

/* Changes a byte in the middle of every page behind the meta pages. */
static void functions_damage(const char *path, long page_size) {
    FILE *const file = fopen(path, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    const long end = ftell(file);
    for (long at = 2 * page_size + page_size / 2; at < end; at += page_size) {
        assert_int_equal(fseek(file, at, SEEK_SET), 0);
        const int byte = fgetc(file);
        assert_int_equal(fseek(file, at, SEEK_SET), 0);
        assert_int_not_equal(fputc(byte ^ 0x5a, file), EOF);
    }
    assert_int_equal(fclose(file), 0);
}

static void test_function__integrity_check_reports_damaged_pages(void **state) {
    sqlite3 *db = functions_make(state);
    const char *const problems =
        "SELECT count(*) > 0 FROM pragma_integrity_check WHERE integrity_check LIKE 'kv: page %'";
    const char *const quick =
        "SELECT count(*) > 0 FROM pragma_quick_check WHERE quick_check LIKE 'kv: page %'";
    if (SQLITE_VERSION_NUMBER < 3044000 || sqlite3_libversion_number() < 3044000) {
        skip(); /* no xIntegrity */
    }
    run(db, "CREATE VIRTUAL TABLE good USING htt('good.htt'); INSERT INTO good VALUES (1, 2)");
    expect(db, "PRAGMA integrity_check", "ok");
    expect(db, "PRAGMA quick_check(kv)", "ok");
    run(db, "BEGIN; INSERT INTO kv VALUES (3, 'three')");
    expect(db, "PRAGMA integrity_check", "ok"); /* in the middle of a transaction */
    run(db, "COMMIT");
    functions_damage(fixture_path(state, "kv.htt"), 4096);
    db = fixture_reopen(state);
    expect(db, problems, "1");
    expect(db, quick, "1");
    expect(db, "PRAGMA integrity_check(good)", "ok");
    expect(db, "SELECT * FROM good", "1|2");
    assert_int_equal(remove(fixture_path(state, "kv.htt")), 0);
    db = fixture_reopen(state); /* what cannot be checked is not in order */
    expect(db, "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check LIKE 'kv: %'",
           "1");
}

static void test_function__tables_that_are_none_are_named(void **state) {
    sqlite3 *const db = functions_make(state);
    run(db, "CREATE TABLE plain(x)");
    expect_error(db, "SELECT * FROM htt_stat('nowhere')", SQLITE_ERROR, "no such table: nowhere");
    expect_error(db, "SELECT * FROM htt_stat('kv', 'aux')", SQLITE_ERROR, "aux");
    expect_error(db, "SELECT * FROM htt_stat('plain')", SQLITE_ERROR,
                 "main.plain is not an htt table");
    expect_error(db, "SELECT * FROM htt_stat(NULL)", SQLITE_ERROR, "the table is NULL");
    expect_error(db, "SELECT * FROM htt_stat", SQLITE_ERROR,
                 "htt_stat: the table is missing, as in htt_stat('kv')");
    expect_error(db, "SELECT htt_vacuum('a.b.c')", SQLITE_ERROR, "as in 'kv' or 'main.kv'");
    expect_error(db, "SELECT htt_vacuum(NULL)", SQLITE_ERROR, "as in 'kv' or 'main.kv'");
    expect_error(db, "SELECT htt_backup('plain', 'x.htt')", SQLITE_ERROR, "is not an htt table");
    expect_error(db, "SELECT htt_backup('kv', '')", SQLITE_ERROR, "name is empty");
}

static void test_function__backup_is_a_file_of_its_own(void **state) {
    sqlite3 *const db = functions_make(state);
    run(db, "BEGIN; INSERT INTO kv VALUES (3, 'what the statement sees')");
    expect(db, "SELECT htt_backup('main.kv', 'copy.htt')", "3");
    run(db, "ROLLBACK");
    run(db, "CREATE VIRTUAL TABLE copy USING htt('copy.htt')");
    expect(db, "SELECT * FROM copy ORDER BY key", "1|one\n2|two\n3|what the statement sees");
    run(db, "INSERT INTO copy VALUES (4, 'four')");
    expect(db, "SELECT * FROM kv ORDER BY key", "1|one\n2|two");
    expect_error(db, "SELECT htt_backup('\"kv\"', 'copy.htt')", SQLITE_ERROR, "copy.htt");
    expect_error(db, "SELECT htt_backup('kv', 'nowhere/copy.htt')", SQLITE_CANTOPEN, "nowhere");
}

static void test_function__vacuum_makes_the_file_smaller(void **state) {
    sqlite3 *const db = functions_make(state);
    const char *const bytes = "SELECT value FROM htt_stat('kv') WHERE name = 'file_bytes'";
    run(db, "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 5000) "
            "INSERT INTO kv SELECT 'key ' || i, zeroblob(200) FROM c; SELECT htt_fold('kv');"
            "DELETE FROM kv WHERE key > ''; SELECT htt_fold('kv')");
    char *const before = fixture_query(db, bytes);
    expect(db, "SELECT htt_vacuum('kv') > 0", "1");
    char *const after = fixture_query(db, bytes);
    assert_true(atoll(after) < atoll(before));
    sqlite3_free(before);
    sqlite3_free(after);
    expect(db, "SELECT * FROM kv ORDER BY key", "1|one\n2|two");
    expect(db, "SELECT * FROM htt_check('kv')", "ok");
    run(db, "BEGIN; INSERT INTO kv VALUES (3, 3)");
    expect_error(db, "SELECT htt_vacuum('kv')", SQLITE_ERROR, "commit first");
    run(db, "COMMIT");
}

static void test_function__side_effects_are_direct_only(void **state) {
    sqlite3 *const db = functions_make(state);
    run(db, "CREATE VIEW v AS SELECT htt_vacuum('kv');"
            "CREATE VIEW w AS SELECT htt_backup('kv', 'evil.htt')");
    expect_error(db, "SELECT * FROM v", SQLITE_ERROR, "unsafe use of htt_vacuum");
    expect_error(db, "SELECT * FROM w", SQLITE_ERROR, "unsafe use of htt_backup");
}

static void test_function__htt_store_has_a_row_with_the_root(void **state) {
    sqlite3 *const db = functions_make(state);
    expect(db,
           "SELECT id, name, length(uuid), substr(root, 1, 16) = uuid, acked, state "
           "FROM htt_store",
           "1|kv.htt|16|1|0|live");
    sqlite3 *const memory = fixture_open(state, ":memory:");
    char *const sql = sqlite3_mprintf("CREATE VIRTUAL TABLE kv USING htt('%q');"
                                      "INSERT INTO kv VALUES (1, 'one')",
                                      fixture_path(state, "own.htt"));
    run(memory, sql);
    sqlite3_free(sql);
    expect(memory, "SELECT id, length(uuid), root, acked, state FROM htt_store",
           "1|16|NULL|0|live"); /* the file keeps its own */
    expect(memory, "SELECT count(*) FROM htt_outbox", "0");
    assert_int_equal(sqlite3_close(memory), SQLITE_OK);
}

static void test_function__loading_twice_is_loading_once(void **state) {
    sqlite3 *const db = functions_make(state);
    int sqlite3_htt_init(sqlite3 *, char **, const void *);
    char *message = NULL;
    assert_int_equal(sqlite3_htt_init(db, &message, NULL), SQLITE_OK);
    assert_null(message);
    run(db, "BEGIN; INSERT INTO kv VALUES (3, 3); COMMIT");
    expect(db, "SELECT count(*) FROM kv", "3");
}

static void test_function__witness_takes_no_rows(void **state) {
    sqlite3 *const db = fixture_db(state);
    expect(db, "SELECT * FROM htt_witness", "");
    expect_error(db, "INSERT INTO htt_witness VALUES (1)", SQLITE_READONLY, "takes no rows");
}

static void test_function__returning_gives_inserted_rows(void **state) {
    sqlite3 *const db = functions_make(state);
    expect(db, "INSERT INTO kv VALUES (5, 'five'), (6, 'six') RETURNING key, value",
           "5|five\n6|six");
    expect_error(db, "DELETE FROM kv RETURNING key", SQLITE_ERROR, "DELETE RETURNING");
    expect_error(db, "INSERT INTO kv VALUES (1, 2) ON CONFLICT DO NOTHING", SQLITE_ERROR,
                 "UPSERT not implemented for virtual table");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        fixture_test(test_function__version),
        fixture_test(test_function__stat_gives_documented_names),
        fixture_test(test_function__stat_joins_with_the_schema),
        fixture_test(test_function__check_says_ok),
        fixture_test(test_function__integrity_check_reports_damaged_pages),
        fixture_test(test_function__tables_that_are_none_are_named),
        fixture_test(test_function__backup_is_a_file_of_its_own),
        fixture_test(test_function__vacuum_makes_the_file_smaller),
        fixture_test(test_function__side_effects_are_direct_only),
        fixture_test(test_function__htt_store_has_a_row_with_the_root),
        fixture_test(test_function__loading_twice_is_loading_once),
        fixture_test(test_function__witness_takes_no_rows),
        fixture_test(test_function__returning_gives_inserted_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
