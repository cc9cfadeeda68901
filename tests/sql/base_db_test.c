/* SPDX-License-Identifier: MIT */
/* Tests of sql/base: opening, errors, scopes, statements, results, and SQLite's codes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "sql/base/db.h"
#include "sql/base/fake.h"
#include "sql/base/statements.h"
#include "sql/htt_result.h"

static sqlite3 *connect(void) {
    sqlite3 *connection;
    assert_int_equal(sqlite3_open(":memory:", &connection), SQLITE_OK);
    return connection;
}

static htt_db *open_db(sqlite3 *connection) {
    htt_db *db;
    assert_int_equal(htt_db_open(connection, NULL, &db), HTT_OK);
    return db;
}

static void exec(sqlite3 *connection, const char *sql) {
    assert_int_equal(sqlite3_exec(connection, sql, NULL, NULL, NULL), SQLITE_OK);
}

static int64_t number(sqlite3 *connection, const char *sql) {
    sqlite3_stmt *statement;
    assert_int_equal(sqlite3_prepare_v2(connection, sql, -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    const int64_t found = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return found;
}

/* ---------------------------------------------------------------- open */

static void test_open__an_unknown_schema_is_refused_by_name(void **state) {
    (void)state;
    sqlite3 *const connection = connect();
    htt_db *db = NULL;
    htt_error error;
    htt_db_options options;
    htt_db_options_init(&options);
    options.schema = "other";
    options.error = &error;
    assert_int_equal(htt_db_open(connection, &options, &db), HTT_MISUSE);
    assert_null(db);
    assert_int_equal(error.rc, HTT_MISUSE);
    assert_string_equal(error.text, "the connection has no schema 'other': ATTACH it first");
    exec(connection, "ATTACH ':memory:' AS other");
    assert_int_equal(htt_db_open(connection, &options, &db), HTT_OK);
    assert_ptr_equal(htt_db_connection(db), connection);
    assert_int_equal(htt_db_close(db), HTT_OK);
    sqlite3_close(connection);
}

/* Options that have got two fields since their first version. */
typedef struct test_options {
    size_t struct_size; /* of what the caller knows */
    int64_t first;      /* of the first version */
    int64_t second;     /* came later */
    int64_t third;      /* came last */
} test_options;

static void test_options__of_an_older_program_keep_the_defaults_of_newer_fields(void **state) {
    (void)state;
    const size_t first = offsetof(test_options, second);
    const size_t sizes[] = {first, offsetof(test_options, third), sizeof(test_options)};
    htt_db *db;
    assert_int_equal(htt_db_open_fake(NULL, &db), HTT_OK);
    for (size_t i = 0; i < 3; i++) {
        test_options own = {sizeof own, 1, 2, 3};
        const test_options given = {sizes[i], 10, 20, 30};
        assert_int_equal(htt_db_take_options(db, "options", &own, sizeof own, &given, first),
                         HTT_OK);
        assert_int_equal(own.struct_size, sizeof own);
        assert_int_equal(own.first, 10);
        assert_int_equal(own.second, i >= 1 ? 20 : 2);
        assert_int_equal(own.third, i >= 2 ? 30 : 3);
    }
    const size_t wrong[] = {0, first - 1, sizeof(test_options) + 1, SIZE_MAX};
    for (size_t i = 0; i < 4; i++) {
        test_options own = {sizeof own, 1, 2, 3};
        const test_options given = {wrong[i], 10, 20, 30};
        assert_int_equal(htt_db_take_options(db, "options", &own, sizeof own, &given, first),
                         HTT_MISUSE);
        assert_int_equal(own.first, 1);
        assert_non_null(strstr(htt_db_errmsg(db), "options.struct_size is "));
        assert_non_null(strstr(htt_db_errmsg(db), "takes 16 to 32: call options_init first"));
    }
    assert_int_equal(htt_db_close(db), HTT_OK);
}

static void test_open__options_that_make_no_sense_are_refused(void **state) {
    (void)state;
    sqlite3 *const connection = connect();
    htt_db *db = NULL;
    htt_error error;
    htt_db_options options;
    htt_db_options_init(&options);
    options.struct_size--;
    assert_int_equal(htt_db_open(connection, &options, &db), HTT_MISUSE);
    assert_int_equal(htt_db_open_fake(&options, &db), HTT_MISUSE);
    htt_db_options_init(&options);
    options.schema = NULL;
    options.error = &error;
    assert_int_equal(htt_db_open(connection, &options, &db), HTT_MISUSE);
    assert_non_null(strstr(error.text, "schema is NULL"));
    assert_int_equal(htt_db_open_fake(&options, &db), HTT_MISUSE);
    options.schema = "main";
    assert_int_equal(htt_db_open(NULL, &options, &db), HTT_MISUSE);
    assert_non_null(strstr(error.text, "connection is NULL"));
    assert_int_equal(htt_db_open(NULL, NULL, &db), HTT_MISUSE);
    assert_null(db);
    assert_string_equal(htt_db_errmsg(NULL),
                        "there is no db: htt_db_open failed or was not called");
    assert_int_equal(htt_db_errcode(NULL), HTT_MISUSE);
    assert_int_equal(htt_db_close(NULL), HTT_OK);
    sqlite3_close(connection);
}

static void test_close__names_what_is_open(void **state) {
    (void)state;
    htt_db *db;
    htt_open_thing orders = {NULL, NULL, NULL};
    htt_open_thing unit = {NULL, NULL, NULL};
    assert_int_equal(htt_db_open_fake(NULL, &db), HTT_OK);
    htt_db_open_thing(db, &unit, "unit of work", NULL);
    htt_db_open_thing(db, &orders, "repository", "orders");
    assert_int_equal(htt_db_close(db), HTT_MISUSE);
    assert_string_equal(
        htt_db_errmsg(db),
        "the db cannot be closed before these: repository 'orders', unit of work");
    htt_db_close_thing(db, &unit);
    assert_int_equal(htt_db_close(db), HTT_MISUSE);
    htt_db_close_thing(db, &orders);
    assert_int_equal(htt_db_close(db), HTT_OK);
}

/* -------------------------------------------------------------- errors */

static void test_error__is_one_line_and_no_character_is_cut(void **state) {
    (void)state;
    htt_db *db;
    char text[3000];
    assert_int_equal(htt_db_open_fake(NULL, &db), HTT_OK);
    assert_string_equal(htt_db_errmsg(db), "");
    assert_int_equal(htt_db_errcode(db), HTT_OK);
    assert_int_equal(htt_db_fail(db, HTT_INVALID, "a\nb\tc%d", 7), HTT_INVALID);
    assert_string_equal(htt_db_errmsg(db), "a b c7");
    assert_int_equal(htt_db_errcode(db), HTT_INVALID);
    for (size_t i = 0; i + 1 < sizeof text; i += 2) {
        memcpy(text + i, "\xc3\xa4", 2);
    }
    text[sizeof text - 2] = '\0';
    for (int shift = 0; shift < 2; shift++) {
        (void)htt_db_fail(db, HTT_INVALID, "%s%s", shift == 0 ? "" : "x", text);
        const size_t length = strlen(htt_db_errmsg(db));
        assert_in_range(length, 1020, 1023);
        assert_int_equal((unsigned char)htt_db_errmsg(db)[length - 1], 0xa4);
    }
    assert_int_equal(htt_db_close(db), HTT_OK);
}

static void test_error__sqlite_codes_have_results(void **state) {
    static const struct {
        int code;  /* SQLite's */
        htt_rc rc; /* ours */
    } cases[] = {
        {SQLITE_OK, HTT_OK},
        {SQLITE_ROW, HTT_OK},
        {SQLITE_DONE, HTT_OK},
        {SQLITE_BUSY, HTT_BUSY},
        {SQLITE_BUSY_RECOVERY, HTT_BUSY},
        {SQLITE_BUSY_TIMEOUT, HTT_BUSY},
        {SQLITE_BUSY_SNAPSHOT, HTT_SNAPSHOT},
        {SQLITE_LOCKED, HTT_BUSY},
        {SQLITE_LOCKED_SHAREDCACHE, HTT_BUSY},
        {SQLITE_PROTOCOL, HTT_BUSY},
        {SQLITE_CONSTRAINT, HTT_CONSTRAINT},
        {SQLITE_CONSTRAINT_CHECK, HTT_CONSTRAINT},
        {SQLITE_CONSTRAINT_NOTNULL, HTT_CONSTRAINT},
        {SQLITE_CONSTRAINT_FOREIGNKEY, HTT_CONSTRAINT},
        {SQLITE_CONSTRAINT_TRIGGER, HTT_CONSTRAINT},
        {SQLITE_CONSTRAINT_PRIMARYKEY, HTT_EXISTS},
        {SQLITE_CONSTRAINT_UNIQUE, HTT_EXISTS},
        {SQLITE_CONSTRAINT_ROWID, HTT_EXISTS},
        {SQLITE_CONSTRAINT_DATATYPE, HTT_TYPE},
        {SQLITE_NOMEM, HTT_NOMEM},
        {SQLITE_IOERR_NOMEM, HTT_NOMEM},
        {SQLITE_IOERR, HTT_IO},
        {SQLITE_IOERR_FSYNC, HTT_IO},
        {SQLITE_FULL, HTT_FULL},
        {SQLITE_READONLY, HTT_READONLY},
        {SQLITE_READONLY_DBMOVED, HTT_READONLY},
        {SQLITE_PERM, HTT_READONLY},
        {SQLITE_CORRUPT, HTT_CORRUPT},
        {SQLITE_CORRUPT_VTAB, HTT_CORRUPT},
        {SQLITE_NOTADB, HTT_CORRUPT},
        {SQLITE_CANTOPEN, HTT_CANTOPEN},
        {SQLITE_TOOBIG, HTT_TOOBIG},
        {SQLITE_MISMATCH, HTT_TYPE},
        {SQLITE_MISUSE, HTT_MISUSE},
        {SQLITE_RANGE, HTT_MISUSE},
        {SQLITE_ABORT, HTT_ABORTED},
        {SQLITE_ABORT_ROLLBACK, HTT_ABORTED},
        {SQLITE_INTERRUPT, HTT_ABORTED},
        {SQLITE_ERROR, HTT_SQL},
        {SQLITE_AUTH, HTT_SQL},
        {SQLITE_SCHEMA, HTT_SQL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(htt_sqlite_rc(cases[i].code), cases[i].rc);
    }
}

/* -------------------------------------------------------------- scopes */

static void test_scope__nested_ones_roll_back_alone(void **state) {
    (void)state;
    sqlite3 *const connection = connect();
    htt_db *const db = open_db(connection);
    htt_scope outer;
    htt_scope inner;
    exec(connection, "CREATE TABLE t(a)");
    assert_false(htt_db_in_transaction(db));
    assert_int_equal(htt_scope_enter(db, &outer, HTT_SCOPE_IMMEDIATE), HTT_OK);
    assert_true(htt_db_in_transaction(db));
    exec(connection, "INSERT INTO t VALUES (1)");
    assert_int_equal(htt_scope_enter(db, &inner, HTT_SCOPE_DEFERRED), HTT_OK);
    exec(connection, "INSERT INTO t VALUES (2)");
    assert_int_equal(htt_scope_leave(db, &inner, HTT_INVALID), HTT_INVALID);
    assert_int_equal(number(connection, "SELECT sum(a) FROM t"), 1);
    assert_int_equal(htt_scope_enter(db, &inner, HTT_SCOPE_DEFERRED), HTT_OK);
    exec(connection, "INSERT INTO t VALUES (4)");
    assert_int_equal(htt_scope_leave(db, &inner, HTT_OK), HTT_OK);
    assert_int_equal(htt_scope_leave(db, &outer, HTT_OK), HTT_OK);
    assert_false(htt_db_in_transaction(db));
    assert_int_equal(number(connection, "SELECT sum(a) FROM t"), 5);
    assert_int_equal(htt_db_close(db), HTT_OK);
    sqlite3_close(connection);
}

static void test_scope__stands_inside_the_application_s_transaction(void **state) {
    (void)state;
    sqlite3 *const connection = connect();
    htt_db *const db = open_db(connection);
    htt_scope scope;
    exec(connection, "CREATE TABLE t(a); BEGIN; INSERT INTO t VALUES (1)");
    assert_int_equal(htt_scope_enter(db, &scope, HTT_SCOPE_IMMEDIATE), HTT_OK);
    exec(connection, "INSERT INTO t VALUES (2)");
    assert_int_equal(htt_scope_leave(db, &scope, HTT_OK), HTT_OK);
    assert_true(htt_db_in_transaction(db));
    exec(connection, "ROLLBACK");
    assert_int_equal(number(connection, "SELECT count(*) FROM t"), 0);
    assert_int_equal(htt_db_close(db), HTT_OK);
    sqlite3_close(connection);
}

static void test_scope__says_when_the_transaction_is_gone(void **state) {
    (void)state;
    sqlite3 *const connection = connect();
    htt_db *const db = open_db(connection);
    htt_scope outer;
    htt_scope inner;
    htt_scope never;
    assert_int_equal(htt_scope_enter(db, &outer, HTT_SCOPE_DEFERRED), HTT_OK);
    assert_int_equal(htt_scope_enter(db, &inner, HTT_SCOPE_DEFERRED), HTT_OK);
    exec(connection, "ROLLBACK");
    assert_int_equal(htt_scope_enter(db, &never, HTT_SCOPE_DEFERRED), HTT_ABORTED);
    assert_int_equal(htt_scope_leave(db, &inner, HTT_OK), HTT_ABORTED);
    assert_non_null(strstr(htt_db_errmsg(db), "rolled back"));
    assert_int_equal(htt_scope_leave(db, &outer, HTT_BUSY), HTT_BUSY);
    assert_int_equal(htt_scope_enter(db, &outer, HTT_SCOPE_DEFERRED), HTT_OK);
    assert_int_equal(htt_scope_leave(db, &outer, HTT_OK), HTT_OK);
    assert_int_equal(htt_db_close(db), HTT_OK);
    sqlite3_close(connection);
}

static int interrupt_once(void *context) {
    return (*(int *)context)-- == 0;
}

/* The work is not interrupted, only what begins and ends a scope. */
static void insert(sqlite3 *connection, int value, int *left) {
    char sql[64];
    sqlite3_progress_handler(connection, 0, NULL, NULL);
    sqlite3_snprintf((int)sizeof sql, sql, "INSERT INTO t VALUES (%d)", value);
    exec(connection, sql);
    sqlite3_progress_handler(connection, 1, interrupt_once, left);
}

/* SQLite may stop behind the last effect of BEGIN, SAVEPOINT, RELEASE and COMMIT. */
static void test_scope__says_what_is_true_wherever_sqlite_is_interrupted(void **state) {
    (void)state;
    sqlite3 *const connection = connect();
    htt_db *const db = open_db(connection);
    int committed = 0;
    exec(connection, "CREATE TABLE t(a)");
    for (int at = 0; at < 40; at++) {
        htt_scope outer;
        htt_scope inner;
        int left = at;
        sqlite3_progress_handler(connection, 0, NULL, NULL);
        exec(connection, "DELETE FROM t");
        sqlite3_progress_handler(connection, 1, interrupt_once, &left);
        htt_rc outer_rc = htt_scope_enter(db, &outer, HTT_SCOPE_IMMEDIATE);
        if (outer_rc != HTT_OK) {
            assert_false(htt_db_in_transaction(db));
            continue;
        }
        insert(connection, 1, &left);
        htt_rc inner_rc = htt_scope_enter(db, &inner, HTT_SCOPE_DEFERRED);
        if (inner_rc == HTT_OK) {
            insert(connection, 2, &left);
            inner_rc = htt_scope_leave(db, &inner, at % 2 == 0 ? HTT_OK : HTT_INVALID);
        }
        outer_rc = htt_scope_leave(db, &outer, HTT_OK);
        sqlite3_progress_handler(connection, 0, NULL, NULL);
        assert_false(htt_db_in_transaction(db));
        const int64_t sum = number(connection, "SELECT total(a) FROM t");
        if (outer_rc != HTT_OK) {
            assert_int_equal(sum, 0);
        } else {
            assert_int_equal(sum, 1 + (inner_rc == HTT_OK ? 2 : 0));
        }
        committed += outer_rc == HTT_OK;
    }
    assert_in_range(committed, 10, 39);
    assert_int_equal(htt_db_close(db), HTT_OK);
    sqlite3_close(connection);
}

static int interrupt_all(void *context) {
    (void)context;
    return 1;
}

/* A scope with a row in it, whose ROLLBACK is interrupted. */
static void stick(sqlite3 *connection, htt_db *db) {
    htt_scope scope;
    assert_int_equal(htt_scope_enter(db, &scope, HTT_SCOPE_IMMEDIATE), HTT_OK);
    exec(connection, "INSERT INTO t VALUES (1)");
    sqlite3_progress_handler(connection, 1, interrupt_all, NULL);
    htt_scope_rollback(db, &scope);
    sqlite3_progress_handler(connection, 0, NULL, NULL);
    assert_true(htt_db_in_transaction(db));
}

static void test_scope__a_rollback_that_could_not_be_done_is_made_up_for(void **state) {
    (void)state;
    sqlite3 *const connection = connect();
    htt_db *db = open_db(connection);
    htt_scope outer;
    htt_scope inner;
    exec(connection, "CREATE TABLE t(a)");
    stick(connection, db);
    assert_int_equal(htt_scope_enter(db, &outer, HTT_SCOPE_DEFERRED), HTT_OK);
    assert_int_equal(number(connection, "SELECT count(*) FROM t"), 0);
    assert_int_equal(htt_scope_leave(db, &outer, HTT_OK), HTT_OK);
    stick(connection, db);
    assert_int_equal(htt_db_close(db), HTT_OK); /* does it, too */
    assert_int_equal(number(connection, "SELECT count(*) FROM t"), 0);
    db = open_db(connection);
    /* The transaction may have become the application's: it is left alone, and nothing is done. */
    stick(connection, db);
    exec(connection, "INSERT INTO t VALUES (2)");
    assert_int_equal(htt_scope_enter(db, &outer, HTT_SCOPE_DEFERRED), HTT_ABORTED);
    assert_non_null(strstr(htt_db_errmsg(db), "run ROLLBACK on the connection"));
    assert_int_equal(htt_db_close(db), HTT_ABORTED);
    exec(connection, "ROLLBACK");
    assert_int_equal(htt_db_install(db, "event"), HTT_OK);
    /* An inner one that is stuck takes the outer one with it. */
    assert_int_equal(htt_scope_enter(db, &outer, HTT_SCOPE_DEFERRED), HTT_OK);
    assert_int_equal(htt_scope_enter(db, &inner, HTT_SCOPE_DEFERRED), HTT_OK);
    exec(connection, "INSERT INTO t VALUES (4)");
    sqlite3_progress_handler(connection, 1, interrupt_all, NULL);
    htt_scope_rollback(db, &inner);
    sqlite3_progress_handler(connection, 0, NULL, NULL);
    assert_int_equal(htt_scope_enter(db, &inner, HTT_SCOPE_DEFERRED), HTT_ABORTED);
    assert_int_equal(htt_scope_commit(db, &outer), HTT_ABORTED);
    htt_scope_rollback(db, &outer);
    assert_false(htt_db_in_transaction(db));
    assert_int_equal(number(connection, "SELECT count(*) FROM t"), 0);
    assert_int_equal(htt_scope_enter(db, &outer, HTT_SCOPE_DEFERRED), HTT_OK);
    assert_int_equal(htt_scope_leave(db, &outer, HTT_OK), HTT_OK);
    assert_int_equal(htt_db_close(db), HTT_OK);
    sqlite3_close(connection);
}

static void test_scope__does_not_nest_for_ever(void **state) {
    (void)state;
    sqlite3 *const connection = connect();
    htt_db *const db = open_db(connection);
    htt_scope scopes[33];
    for (int i = 0; i < 32; i++) {
        assert_int_equal(htt_scope_enter(db, &scopes[i], HTT_SCOPE_DEFERRED), HTT_OK);
    }
    assert_int_equal(htt_scope_enter(db, &scopes[32], HTT_SCOPE_DEFERRED), HTT_MISUSE);
    assert_string_equal(htt_db_errmsg(db), "more than 32 units of work inside of each other");
    for (int i = 31; i >= 0; i--) {
        assert_int_equal(htt_scope_leave(db, &scopes[i], i % 2 == 0 ? HTT_OK : HTT_BUSY),
                         i % 2 == 0 ? HTT_OK : HTT_BUSY);
    }
    assert_int_equal(htt_db_close(db), HTT_OK);
    sqlite3_close(connection);
}

/* ---------------------------------------------------------- statements */

typedef enum test_sql { TEST_INSERT, TEST_SELECT, TEST_WRONG, TEST_SQL_COUNT } test_sql;
static const char *const test_texts[] = {
    [TEST_INSERT] = "INSERT INTO {schema}.{table} VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    [TEST_SELECT] = ("SELECT typeof(a) || typeof(b) || typeof(c) || typeof(d) || typeof(e) || "
                     "'{' || '{none}{nobody' || f FROM {schema}.{table}"),
    [TEST_WRONG] = "SELECT absent FROM {schema}.{table}",
};
static const htt_statement_word test_words[] = {{"table", "\"t\""}, {NULL, NULL}};
static const htt_statement_table test_table = {"things", test_texts, TEST_SQL_COUNT, test_words};

static const char *const other_texts[] = {"SELECT '{orders}'"};
static const htt_statement_table other_table = {"others", other_texts, 1, NULL};

static void test_statement__is_prepared_once_and_bound_by_letters(void **state) {
    (void)state;
    sqlite3 *const connection = connect();
    htt_db_options options;
    htt_db *db;
    sqlite3_stmt *first;
    sqlite3_stmt *again;
    uint8_t scratch[2][HTT_NUMBER_SIZE];
    bool row;
    exec(connection, "ATTACH ':memory:' AS 'a\"b'; CREATE TABLE \"a\"\"b\".t(a, b, c, d, e, f)");
    htt_db_options_init(&options);
    options.schema = "a\"b";
    assert_int_equal(htt_db_open(connection, &options, &db), HTT_OK);
    assert_int_equal(htt_statement_get(db, &test_table, TEST_INSERT, &first), HTT_OK);
    assert_int_equal(htt_statement_bind(db, &test_table, first, "irntdd", (int64_t)7, 1.5, "x",
                                        htt_blob(NULL, 0), htt_integer(9, scratch[0])),
                     HTT_OK);
    assert_int_equal(htt_statement_run(db, &test_table, first), HTT_OK);
    assert_int_equal(htt_statement_get(db, &test_table, TEST_INSERT, &again), HTT_OK);
    assert_ptr_equal(first, again);
    assert_int_equal(htt_statement_get(db, &test_table, TEST_SELECT, &again), HTT_OK);
    assert_int_equal(htt_statement_step(db, &test_table, again, &row), HTT_OK);
    assert_true(row);
    assert_string_equal((const char *)sqlite3_column_text(again, 0),
                        "integerrealnulltextblob{{none}{nobody9");
    htt_statement_done(again);
    assert_int_equal(htt_statement_bind(db, &test_table, first, "d", htt_bytes("x", 1, HTT_ROW)),
                     HTT_TYPE);
    assert_int_equal(
        htt_statement_bind(db, &test_table, first, "d", htt_bytes("123456789", 9, HTT_INTEGER)),
        HTT_TYPE);
    assert_int_equal(htt_statement_bind(db, &test_table, first, "d", htt_bytes("x", 1, HTT_REAL)),
                     HTT_TYPE);
    assert_string_equal(htt_db_errmsg(db),
                        "things: a value is no integer, real, text, blob or null as SQLite has "
                        "them");
    assert_int_equal(htt_statement_bind(db, &test_table, first, "d", htt_real(2.5, scratch[1])),
                     HTT_OK);
    assert_int_equal(htt_statement_bind(db, &test_table, first, "dd", htt_null(), htt_text("x")),
                     HTT_OK);
    assert_int_equal(htt_statement_bind(db, &test_table, first, "iiiiiii", (int64_t)1, (int64_t)1,
                                        (int64_t)1, (int64_t)1, (int64_t)1, (int64_t)1,
                                        (int64_t)1),
                     HTT_MISUSE);
    assert_int_equal(htt_statement_get(db, &test_table, TEST_WRONG, &again), HTT_SQL);
    assert_string_equal(htt_db_errmsg(db), "things: no such column: absent (SQLite 1)");
    assert_int_equal(htt_statement_get(db, &other_table, 0, &again), HTT_OK);
    htt_statement_forget(db, &test_table);
    assert_int_equal(htt_db_close(db), HTT_OK);
    assert_int_equal(sqlite3_close(connection), SQLITE_OK);
}

/* --------------------------------------------------------------- others */

static void test_platform__the_system_s_clock_and_chance_work(void **state) {
    (void)state;
    const htt_platform *const system = htt_platform_system();
    const int64_t before = system->now_ms(system->context);
    assert_true(before > INT64_C(1600000000000));
    assert_true(system->random64(system->context) != system->random64(system->context));
    system->sleep_ms(system->context, 2);
    assert_true(system->now_ms(system->context) >= before);
}

static void test_result__values_and_errors_are_told_apart(void **state) {
    (void)state;
    int object;
    const htt_result integer = htt_result_ok_integer(-7);
    const htt_result real = htt_result_ok_real(0.5);
    const htt_result bytes = htt_result_ok_bytes(htt_text("x"));
    const htt_result pointer = htt_result_ok_object(&object);
    const htt_result none = htt_result_ok();
    const htt_result error = htt_result_err(HTT_BUSY, NULL);
    assert_true(htt_result_is_ok(&integer) && htt_result_is_ok(&none));
    assert_int_equal(htt_result_integer(&integer), -7);
    assert_true(htt_result_real(&real) == 0.5);
    assert_int_equal(htt_result_bytes(&bytes).size, 1);
    assert_ptr_equal(htt_result_object(&pointer), &object);
    assert_string_equal(htt_result_message(&none), "");
    assert_false(htt_result_is_ok(&error));
    assert_int_equal(htt_result_rc(&error), HTT_BUSY);
    assert_string_equal(htt_result_message(&error), htt_strerror(HTT_BUSY));
    const htt_result own = htt_result_err(HTT_OK, "text");
    assert_int_equal(htt_result_rc(&own), HTT_MISUSE);
    assert_string_equal(htt_result_message(&own), "text");
    assert_int_equal(htt_result_integer(&error), 0);
    assert_true(htt_result_real(&integer) == 0.0);
    assert_int_equal(htt_result_bytes(&integer).type, HTT_NULL);
    assert_null(htt_result_object(&integer));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_open__an_unknown_schema_is_refused_by_name),
        cmocka_unit_test(test_options__of_an_older_program_keep_the_defaults_of_newer_fields),
        cmocka_unit_test(test_open__options_that_make_no_sense_are_refused),
        cmocka_unit_test(test_close__names_what_is_open),
        cmocka_unit_test(test_error__is_one_line_and_no_character_is_cut),
        cmocka_unit_test(test_error__sqlite_codes_have_results),
        cmocka_unit_test(test_scope__nested_ones_roll_back_alone),
        cmocka_unit_test(test_scope__stands_inside_the_application_s_transaction),
        cmocka_unit_test(test_scope__says_when_the_transaction_is_gone),
        cmocka_unit_test(test_scope__says_what_is_true_wherever_sqlite_is_interrupted),
        cmocka_unit_test(test_scope__a_rollback_that_could_not_be_done_is_made_up_for),
        cmocka_unit_test(test_scope__does_not_nest_for_ever),
        cmocka_unit_test(test_statement__is_prepared_once_and_bound_by_letters),
        cmocka_unit_test(test_platform__the_system_s_clock_and_chance_work),
        cmocka_unit_test(test_result__values_and_errors_are_told_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
