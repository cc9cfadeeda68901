/* SPDX-License-Identifier: MIT */
/*
 * What an application's triggers and authorizer do to the SQL of a store, and SQLite's errors: all
 * of it is reported, with the table's name, and the next call works.
 */
#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SQLITE_CORE 1
#include "ext/outbox.h"
#include "ext/store_row.h"

static htt_outbox *errors_make(sqlite3 *db) {
    static const uint8_t uuid[HTT_UUID_SIZE] = {1};
    htt_outbox_store store;
    char *message = NULL;
    bool found = false;
    assert_int_equal(htt_store_row_create_table(db, "main", &message), SQLITE_OK);
    assert_int_equal(htt_store_row_write(db, "main", "kv.htt", uuid, &message), SQLITE_OK);
    htt_outbox *const outbox = htt_outbox_new(db, "main", "kv.htt");
    assert_int_equal(htt_outbox_read_store(outbox, &found, &store, &message), SQLITE_OK);
    assert_true(found);
    return outbox;
}

static void errors_check(int rc, char *message, int code, const char *part, const char *what) {
    const bool right = code == SQLITE_OK
                           ? rc == SQLITE_OK && message == NULL
                           : rc == code && message != NULL && strstr(message, part) != NULL;
    if (!right) {
        print_error("%s\n  expected %d: %s\n       got %d: %s\n", what, code, part, rc,
                    message == NULL ? "no message" : message);
        fail();
    }
    sqlite3_free(message);
}

static int errors_append(htt_outbox *outbox, uint64_t seq, size_t size, char **message_out) {
    static const char bytes[100000];
    const htt_outbox_row row = {.seq = seq,
                                .op = HTT_OP_PUT,
                                .key = htt_text("k"),
                                .value = htt_blob(bytes, size),
                                .token = 1};
    *message_out = NULL;
    return htt_outbox_append(outbox, &row, 1, message_out);
}

static void errors_expect_append(htt_outbox *outbox, uint64_t seq, int code, const char *part,
                                 const char *what) {
    char *message;
    const int rc = errors_append(outbox, seq, 1, &message);
    errors_check(rc, message, code, part, what);
}

/* --------------------------------------------------------------- triggers */

static void test_outbox__a_trigger_on_htt_outbox_is_noticed(void **state) {
    static const struct {
        const char *sql;  /* makes the trigger t */
        int code;         /* of the append */
        const char *part; /* of the message */
    } cases[] = {
        {"CREATE TRIGGER t AFTER INSERT ON htt_outbox BEGIN INSERT INTO log VALUES (1); END",
         SQLITE_IOERR, "main.htt_outbox: trigger main.t changes"},
        {"CREATE TEMP TRIGGER t AFTER INSERT ON main.HTT_outbox BEGIN DELETE FROM log; "
         "INSERT INTO log VALUES (1); END",
         SQLITE_IOERR, "trigger temp.t"},
        {"CREATE TRIGGER t BEFORE INSERT ON htt_outbox BEGIN SELECT RAISE(IGNORE); END",
         SQLITE_IOERR, "trigger main.t"},
        {"CREATE TRIGGER t BEFORE INSERT ON htt_outbox BEGIN INSERT INTO log VALUES (1); "
         "SELECT RAISE(IGNORE); END",
         SQLITE_IOERR, "trigger main.t"},
        {"CREATE TRIGGER t AFTER INSERT ON htt_outbox BEGIN DELETE FROM htt_outbox "
         "WHERE id = new.id; END",
         SQLITE_IOERR, "trigger main.t"},
        {"CREATE TRIGGER t AFTER INSERT ON htt_outbox BEGIN UPDATE htt_outbox SET value = 1 "
         "WHERE id = new.id; END",
         SQLITE_IOERR, "trigger main.t"},
        {"CREATE TRIGGER t BEFORE INSERT ON htt_outbox BEGIN INSERT INTO log VALUES (1); "
         "SELECT RAISE(FAIL, 'no'); END",
         SQLITE_IOERR, "trigger main.t"},
        {"CREATE TRIGGER t BEFORE INSERT ON htt_outbox BEGIN SELECT RAISE(ABORT, 'not you'); END",
         SQLITE_CONSTRAINT_TRIGGER, "main.htt_outbox: not you"},
        {"CREATE TRIGGER t BEFORE INSERT ON htt_outbox BEGIN SELECT RAISE(ROLLBACK, 'all'); END",
         SQLITE_CONSTRAINT_TRIGGER, "main.htt_outbox: all"},
        {"CREATE TRIGGER t AFTER INSERT ON htt_outbox WHEN new.id = 1 BEGIN "
         "INSERT INTO log VALUES (1); END",
         SQLITE_OK, ""},
        {"CREATE TRIGGER t AFTER INSERT ON htt_outbox BEGIN SELECT 1; END", SQLITE_OK, ""},
    };
    sqlite3 *const db = fixture_db(state);
    htt_outbox *const outbox = errors_make(db);
    run(db, "CREATE TABLE log(x)");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        run(db, cases[i].sql);
        run(db, "BEGIN");
        errors_expect_append(outbox, 1, cases[i].code, cases[i].part, cases[i].sql);
        if (sqlite3_get_autocommit(db) == 0) {
            run(db, "ROLLBACK");
        }
        run(db, "DROP TRIGGER t");
        run(db, "BEGIN");
        errors_expect_append(outbox, 1, SQLITE_OK, "", cases[i].sql);
        run(db, "ROLLBACK");
    }
    htt_outbox_free(outbox);
}

static void test_outbox__a_trigger_on_htt_store_is_noticed(void **state) {
    sqlite3 *const db = fixture_db(state);
    htt_outbox *const outbox = errors_make(db);
    static const htt_host_root root = {.record = {1}};
    bool same;
    char *message = NULL;
    run(db, "CREATE TRIGGER t BEFORE UPDATE ON htt_store BEGIN SELECT RAISE(IGNORE); END");
    int rc = htt_outbox_write_root(outbox, NULL, &root, &same, &message);
    errors_check(rc, message, SQLITE_IOERR, "main.htt_store: trigger main.t", "root");
    message = NULL;
    rc = htt_outbox_write_acked(outbox, 7, &message);
    errors_check(rc, message, SQLITE_IOERR, "trigger main.t", "acked");
    message = NULL;
    rc = htt_outbox_write_state(outbox, HTT_STORE_DROPPED, &message);
    errors_check(rc, message, SQLITE_IOERR, "trigger main.t", "state");
    run(db, "DROP TRIGGER t; CREATE TRIGGER t AFTER UPDATE ON htt_store BEGIN "
            "UPDATE htt_store SET root = NULL; END");
    message = NULL;
    rc = htt_outbox_write_root(outbox, NULL, &root, &same, &message);
    errors_check(rc, message, SQLITE_IOERR, "trigger main.t", "root after");
    run(db, "DROP TRIGGER t; CREATE TRIGGER t BEFORE DELETE ON htt_store BEGIN "
            "SELECT RAISE(IGNORE); END");
    message = NULL;
    rc = htt_outbox_delete_store(outbox, &message);
    errors_check(rc, message, SQLITE_IOERR, "trigger main.t", "delete");
    htt_outbox_free(outbox);
}

static void test_outbox__triggers_on_trimming_and_on_creating_are_noticed(void **state) {
    sqlite3 *const db = fixture_db(state);
    htt_outbox *const outbox = errors_make(db);
    char *message = NULL;
    for (uint64_t seq = 1; seq <= 3; seq++) {
        errors_expect_append(outbox, seq, SQLITE_OK, "", "append");
    }
    run(db, "CREATE TABLE log(x); CREATE TRIGGER t AFTER DELETE ON htt_outbox BEGIN "
            "INSERT INTO log VALUES (old.id); END");
    const int rc = htt_outbox_trim(outbox, 2, false, &message);
    errors_check(rc, message, SQLITE_IOERR, "main.htt_outbox: trigger main.t", "trim");
    run(db, "DROP TRIGGER t; CREATE TRIGGER t BEFORE INSERT ON htt_store BEGIN "
            "SELECT RAISE(IGNORE); END");
    expect_error(db, "CREATE VIRTUAL TABLE t2 USING htt('t2.htt')", SQLITE_IOERR,
                 "main.htt_store: trigger main.t");
    htt_outbox_free(outbox);
}

/* ------------------------------------------------------------- authorizers */

typedef struct errors_authorizer {
    int action;         /* that it answers */
    const char *table;  /* of it */
    const char *column; /* NULL = any */
    int answer;         /* SQLITE_DENY or SQLITE_IGNORE */
} errors_authorizer;

static int errors_authorize(void *pointer, int action, const char *table, const char *column,
                            const char *schema, const char *trigger) {
    const errors_authorizer *const rule = pointer;
    (void)schema;
    (void)trigger;
    const bool meant = action == rule->action && strcmp(table, rule->table) == 0 &&
                       (rule->column == NULL || strcmp(column, rule->column) == 0);
    return meant ? rule->answer : SQLITE_OK;
}

static void test_outbox__an_authorizer_that_denies_is_named_with_the_table(void **state) {
    sqlite3 *const db = fixture_db(state);
    htt_outbox *const outbox = errors_make(db);
    errors_authorizer rule = {SQLITE_INSERT, "htt_outbox", NULL, SQLITE_DENY};
    htt_outbox_store store;
    bool found;
    char *message = NULL;
    errors_expect_append(outbox, 1, SQLITE_OK, "", "before");
    sqlite3_set_authorizer(db, errors_authorize, &rule);
    errors_expect_append(outbox, 2, SQLITE_AUTH, "main.htt_outbox: not authorized", "insert");
    rule = (errors_authorizer){SQLITE_READ, "htt_store", "root", SQLITE_DENY};
    sqlite3_set_authorizer(db, errors_authorize, &rule);
    const int rc = htt_outbox_read_store(outbox, &found, &store, &message);
    errors_check(rc, message, SQLITE_AUTH, "main.htt_store: ", "read");
    sqlite3_set_authorizer(db, NULL, NULL);
    errors_expect_append(outbox, 2, SQLITE_OK, "", "after");
    htt_outbox_free(outbox);
}

static void test_outbox__an_authorizer_that_ignores_is_noticed(void **state) {
    static const htt_host_root root = {.record = {1}};
    sqlite3 *const db = fixture_db(state);
    htt_outbox *const outbox = errors_make(db);
    errors_authorizer rule = {SQLITE_INSERT, "htt_outbox", NULL, SQLITE_IGNORE};
    htt_outbox_row row;
    bool same;
    bool found;
    char *message = NULL;
    sqlite3_set_authorizer(db, errors_authorize, &rule);
    errors_expect_append(outbox, 1, SQLITE_IOERR, "main.htt_outbox: a foreign key or an authorizer",
                         "insert");
    rule = (errors_authorizer){SQLITE_UPDATE, "htt_store", "root", SQLITE_IGNORE};
    sqlite3_set_authorizer(db, errors_authorize, &rule);
    int rc = htt_outbox_write_root(outbox, NULL, &root, &same, &message);
    errors_check(rc, message, SQLITE_IOERR, "main.htt_store: an authorizer", "update");
    rule = (errors_authorizer){SQLITE_READ, "htt_outbox", "key", SQLITE_IGNORE};
    sqlite3_set_authorizer(db, errors_authorize, &rule);
    errors_expect_append(outbox, 1, SQLITE_OK, "", "insert");
    message = NULL;
    assert_int_equal(htt_outbox_begin_rows(outbox, 0, &message), SQLITE_OK);
    rc = htt_outbox_next_row(outbox, &found, &row, &message); /* the key reads NULL */
    errors_check(rc, message, SQLITE_CORRUPT_VTAB, "the key of row", "read");
    sqlite3_set_authorizer(db, NULL, NULL);
    htt_outbox_free(outbox);
}

/* ---------------------------------------------------------- SQLite's errors */

static int errors_interrupt(void *context) {
    (void)context;
    return 1;
}

static void test_outbox__errors_of_sqlite_are_passed_on(void **state) {
    sqlite3 *const db = fixture_db(state);
    htt_outbox *const outbox = errors_make(db);
    char *message;
    uint64_t seq = 0;
    errors_expect_append(outbox, ++seq, SQLITE_OK, "", "first");

    sqlite3 *const other = fixture_open(state, NULL);
    run(other, "BEGIN IMMEDIATE");
    errors_expect_append(outbox, seq + 1, SQLITE_BUSY, "main.htt_outbox: ", "busy");
    run(other, "ROLLBACK");
    assert_int_equal(sqlite3_close(other), SQLITE_OK);
    errors_expect_append(outbox, ++seq, SQLITE_OK, "", "after busy");

    run(db, "PRAGMA query_only = 1");
    errors_expect_append(outbox, seq + 1, SQLITE_READONLY, "main.htt_outbox: ", "read-only");
    run(db, "PRAGMA query_only = 0");
    errors_expect_append(outbox, ++seq, SQLITE_OK, "", "after read-only");

    run(db, "PRAGMA max_page_count = 1"); /* not less than there are */
    int rc = errors_append(outbox, seq + 1, 100000, &message);
    errors_check(rc, message, SQLITE_FULL, "main.htt_outbox: ", "full");
    run(db, "PRAGMA max_page_count = 100000");
    errors_expect_append(outbox, ++seq, SQLITE_OK, "", "after full");

    const int length = sqlite3_limit(db, SQLITE_LIMIT_LENGTH, 1000);
    rc = errors_append(outbox, seq + 1, 2000, &message);
    errors_check(rc, message, SQLITE_TOOBIG, "main.htt_outbox: ", "too big");
    rc = errors_append(outbox, seq + 1, 999, &message); /* with the key */
    errors_check(rc, message, SQLITE_TOOBIG, "main.htt_outbox: ", "too big as a row");
    sqlite3_limit(db, SQLITE_LIMIT_LENGTH, length);
    errors_expect_append(outbox, ++seq, SQLITE_OK, "", "after too big");

    sqlite3_progress_handler(db, 1, errors_interrupt, NULL);
    errors_expect_append(outbox, seq + 1, SQLITE_INTERRUPT, "main.htt_outbox: ", "interrupt");
    sqlite3_progress_handler(db, 0, NULL, NULL);
    errors_expect_append(outbox, ++seq, SQLITE_OK, "", "after interrupt");
    htt_outbox_free(outbox);
}

static void test_outbox__memory_that_runs_out_is_passed_on(void **state) {
    sqlite3 *const db = fixture_db(state);
    bool done = false;
    for (sqlite3_int64 room = 0; room < 200000 && !done; room += 499) {
        htt_outbox *const outbox = errors_make(db);
        char *message = NULL;
        run(db, "DELETE FROM htt_outbox");
        sqlite3_db_release_memory(db);
        sqlite3_hard_heap_limit64(sqlite3_memory_used() + room + 1);
        const int rc = errors_append(outbox, 1, 20000, &message);
        sqlite3_hard_heap_limit64(0);
        assert_true(rc == SQLITE_OK || (rc & 0xff) == SQLITE_NOMEM);
        sqlite3_free(message);
        done = rc == SQLITE_OK;
        expect(db, "SELECT count(*) FROM htt_outbox", done ? "1" : "0");
        htt_outbox_free(outbox);
    }
    assert_true(done);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        fixture_test(test_outbox__a_trigger_on_htt_outbox_is_noticed),
        fixture_test(test_outbox__a_trigger_on_htt_store_is_noticed),
        fixture_test(test_outbox__triggers_on_trimming_and_on_creating_are_noticed),
        fixture_test(test_outbox__an_authorizer_that_denies_is_named_with_the_table),
        fixture_test(test_outbox__an_authorizer_that_ignores_is_noticed),
        fixture_test(test_outbox__errors_of_sqlite_are_passed_on),
        fixture_test(test_outbox__memory_that_runs_out_is_passed_on),
    };
    return cmocka_run_group_tests_name("outbox_errors", tests, NULL, NULL);
}
