/* SPDX-License-Identifier: MIT */
/*
 * Files that C programs read and write besides SQL, and files whose bytes were damaged.
 */
#include "fixture.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "engine/htt.h"

/* Changes the byte at `offset`. */
static void damage_file(const char *path, long offset) {
    FILE *const file = fopen(path, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, offset, SEEK_SET), 0);
    const int byte = fgetc(file);
    assert_int_equal(fseek(file, offset, SEEK_SET), 0);
    assert_int_not_equal(fputc(byte ^ 0x5a, file), EOF);
    assert_int_equal(fclose(file), 0);
}

/* A file with what C programs write. */
static htt_store *files_write_by_c(const char *path) {
    htt_store *store;
    htt_txn *txn;
    assert_int_equal(htt_open(path, NULL, &store, NULL), HTT_OK);
    assert_int_equal(htt_put_text(store, "hostname", "www.example.com"), HTT_OK);
    assert_int_equal(htt_put_int(store, "port", 443), HTT_OK);
    assert_int_equal(htt_begin(store, HTT_WRITE, &txn), HTT_OK);
    assert_int_equal(htt_put(txn, htt_blob("\1\2", 2), htt_blob("\3", 1), 0), HTT_OK);
    assert_int_equal(htt_put(txn, htt_text("nothing"), htt_null(), 0), HTT_OK);
    assert_int_equal(htt_commit(txn), HTT_OK);
    return store;
}

static const char files_by_c[] = "SELECT key, value, typeof(value) FROM c ORDER BY key";
static const char files_rows_by_c[] =
    "hostname|www.example.com|text\nnothing|NULL|null\nport|443|integer\nx'0102'|x'03'|blob";

/* What C programs write reads as key, value, and the other way round. */
static void test_files__c_interface_and_sql_share_a_file(void **state) {
    sqlite3 *const db = fixture_open(state, ":memory:");
    htt_store *const store = files_write_by_c(fixture_path(state, "c.htt"));
    int64_t number;
    char *text;
    char *const sql =
        sqlite3_mprintf("CREATE VIRTUAL TABLE c USING htt('%q')", fixture_path(state, "c.htt"));
    run(db, sql);
    sqlite3_free(sql);
    expect(db, files_by_c, files_rows_by_c);
    run(db, "UPDATE c SET value = value + 1 WHERE key = 'port';"
            "INSERT INTO c VALUES ('user', 'me')");
    assert_int_equal(htt_get_int(store, "port", &number), HTT_OK);
    assert_int_equal(number, 444);
    assert_int_equal(htt_get_text(store, "user", &text), HTT_OK);
    assert_string_equal(text, "me");
    htt_free(text);
    assert_int_equal(htt_put_int(store, "port", 445), HTT_OK);
    expect(db, "SELECT value FROM c WHERE key = 'port'", "445");
    htt_close(store);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

/* The first write through a database makes it the database's; C reads it as of the last fold. */
static void test_files__c_interface_reads_what_a_database_hosts(void **state) {
    sqlite3 *db = fixture_db(state);
    htt_store *store = files_write_by_c(fixture_path(state, "c.htt"));
    int64_t number;
    char *text;
    run(db, "CREATE VIRTUAL TABLE c USING htt('c.htt')");
    expect(db, files_by_c, files_rows_by_c);
    run(db, "UPDATE c SET value = value + 1 WHERE key = 'port';"
            "INSERT INTO c VALUES ('user', 'me')");
    expect(db, "SELECT value FROM c WHERE key = 'port'", "444");
    assert_int_equal(htt_get_int(store, "port", &number), HTT_OK);
    assert_int_equal(number, 443); /* these rows are in the outbox */
    assert_int_equal(htt_put_int(store, "port", 1), HTT_READONLY);
    assert_non_null(strstr(htt_errmsg(store), "test.db"));
    expect(db, "SELECT value FROM c WHERE key = 'port'", "444");
    htt_close(store);
    db = fixture_reopen(state); /* the last one to leave folds */
    assert_int_equal(sqlite3_close(fixture_open(state, "other.db")), SQLITE_OK);
    assert_int_equal(htt_open(fixture_path(state, "c.htt"), NULL, &store, NULL), HTT_OK);
    assert_int_equal(htt_get_int(store, "port", &number), HTT_OK);
    assert_int_equal(number, 444);
    assert_int_equal(htt_put_int(store, "port", 1), HTT_READONLY);
    htt_close(store);
    run(db, "DROP TABLE c"); /* what is nobody's is written by everybody */
    assert_int_equal(htt_open(fixture_path(state, "c.htt"), NULL, &store, NULL), HTT_OK);
    assert_int_equal(htt_put_int(store, "port", 446), HTT_OK);
    assert_int_equal(htt_get_text(store, "user", &text), HTT_OK);
    assert_string_equal(text, "me");
    htt_free(text);
    htt_close(store);
    run(db, "CREATE VIRTUAL TABLE c USING htt('c.htt')");
    expect(db, "SELECT value FROM c WHERE key = 'port'", "446");
}

static sqlite3 *damage_values(void **state, const char *options) {
    sqlite3 *db = fixture_db(state);
    char *const sql = sqlite3_mprintf("CREATE VIRTUAL TABLE kv USING htt('kv.htt', fold_rows=1%s);"
                                      "INSERT INTO kv VALUES (1, zeroblob(300000)), (2, 'two')",
                                      options);
    run(db, sql);
    sqlite3_free(sql);
    db = fixture_reopen(state);
    struct stat found;
    FILE *const file = fopen(fixture_path(state, "kv.htt"), "r+b");
    assert_non_null(file);
    assert_int_equal(fstat(fileno(file), &found), 0);
    /* The largest run of zeros is in the value's pages. */
    long zeros = 0;
    for (long at = 0; at < found.st_size && zeros < 100000; at++) {
        zeros = fgetc(file) == 0 ? zeros + 1 : 0;
    }
    assert_int_equal(zeros, 100000);
    const long damaged = ftell(file);
    assert_int_equal(fclose(file), 0);
    damage_file(fixture_path(state, "kv.htt"), damaged);
    return db;
}

/* A damaged value is an error where it is read, only there, and costs the statement alone. */
static void damage_check(void **state, const char *options) {
    sqlite3 *const db = damage_values(state, options);
    run(db, "BEGIN; CREATE TABLE t(x); INSERT INTO t VALUES (1)");
    expect_error(db, "SELECT length(value) FROM kv WHERE key = 1", SQLITE_CORRUPT_VTAB, "page");
    expect_error(db, "SELECT length(value) FROM kv WHERE key IN (1, 2)", SQLITE_CORRUPT_VTAB, "");
    expect_error(db, "SELECT sum(length(value)) FROM kv", SQLITE_CORRUPT_VTAB, "page");
    expect(db, "SELECT count(*) FROM kv", "2");
    expect(db, "SELECT key FROM kv ORDER BY key", "1\n2");
    expect(db, "SELECT key FROM kv WHERE key = 1", "1");
    expect(db, "SELECT count(*) FROM kv WHERE key IN (1, 2)", "2");
    expect(db, "SELECT value FROM kv WHERE key = 2", "two");
    run(db, "COMMIT");
    expect(db, "SELECT count(*) FROM t", "1");
    expect(db, "SELECT count(*) > 0 FROM htt_check('kv') WHERE page > 0 AND reason <> ''", "1");
    run(db, "BEGIN; INSERT INTO t VALUES (2)");
    expect_error(db, "UPDATE kv SET value = value || 'x' WHERE key = 1", SQLITE_CORRUPT_VTAB, "");
    run(db, "UPDATE kv SET value = 'new' WHERE key = 1; COMMIT"); /* the old one is not read */
    expect(db, "SELECT * FROM kv ORDER BY key", "1|new\n2|two");
    expect(db, "SELECT count(*) FROM t", "2");
    expect(db, "SELECT problem FROM htt_check('kv')", "ok");
}

static void test_files__damaged_value_leaves_the_transaction_alive(void **state) {
    damage_check(state, "");
}

static void test_files__damaged_value_without_mmap(void **state) {
    damage_check(state, ", mmap=off");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        fixture_test(test_files__c_interface_and_sql_share_a_file),
        fixture_test(test_files__c_interface_reads_what_a_database_hosts),
        fixture_test(test_files__damaged_value_leaves_the_transaction_alive),
        fixture_test(test_files__damaged_value_without_mmap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
