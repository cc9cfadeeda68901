/* SPDX-License-Identifier: MIT */
/* Tests of sql/base/schema.c: making tables, and finding what a hand or a newer version did. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "ext/htt_sqlite.h"
#include "sql/base/schema.h"

static const char *const schema_pieces[] = {
    "CREATE TABLE IF NOT EXISTS ",
    "htt_schema(\n    name TEXT PRIMARY KEY NOT NULL,\n    version INTEGER NOT NULL\n);\n",
    NULL,
};
static const char *const thing_pieces[] = {
    "CREATE TABLE IF NOT EXISTS ",
    "htt_thing(\n    id INTEGER PRIMARY KEY,\n    name TEXT NOT NULL\n);\n"
    "CREATE INDEX IF NOT EXISTS ",
    "htt_thing_name ON htt_thing(name);\n"
    "CREATE TRIGGER IF NOT EXISTS ",
    "htt_thing_keep BEFORE DELETE ON htt_thing BEGIN\n"
    "    SELECT RAISE(ABORT, 'things stay');\nEND;\n"
    "CREATE VIEW IF NOT EXISTS ",
    "htt_thing_view AS SELECT name FROM htt_thing;\n"
    "INSERT OR IGNORE INTO ",
    "htt_schema(name, version) VALUES ('thing', 2);\n",
    NULL,
};
static const htt_schema_file thing_files[] = {
    {"htt_schema", schema_pieces},
    {"htt_thing", thing_pieces},
    {NULL, NULL},
};
static const htt_schema_part thing_part = {"thing", 2, thing_files};

static sqlite3 *connect(const char *name) {
    sqlite3 *connection;
    assert_int_equal(sqlite3_open(name, &connection), SQLITE_OK);
    return connection;
}

static void exec(sqlite3 *connection, const char *sql) {
    char *message = NULL;
    if (sqlite3_exec(connection, sql, NULL, NULL, &message) != SQLITE_OK) {
        fail_msg("%s: %s", sql, message);
    }
}

static htt_db *open_db(sqlite3 *connection, const char *schema) {
    htt_db *db;
    htt_db_options options;
    htt_db_options_init(&options);
    options.schema = schema;
    assert_int_equal(htt_db_open(connection, &options, &db), HTT_OK);
    return db;
}

static void close_db(htt_db *db, sqlite3 *connection) {
    assert_int_equal(htt_db_close(db), HTT_OK);
    assert_int_equal(sqlite3_close(connection), SQLITE_OK);
}

static void test_install__makes_the_tables_once(void **state) {
    (void)state;
    sqlite3 *const connection = connect(":memory:");
    htt_db *const db = open_db(connection, "main");
    assert_int_equal(htt_schema_install(db, &thing_part), HTT_OK);
    const int changes = sqlite3_total_changes(connection);
    exec(connection, "INSERT INTO htt_thing VALUES (1, 'a')");
    assert_int_equal(htt_schema_install(db, &thing_part), HTT_OK);
    assert_int_equal(sqlite3_total_changes(connection), changes + 1);
    exec(connection, "BEGIN; SELECT * FROM htt_thing_view");
    assert_int_equal(htt_schema_install(db, &thing_part), HTT_OK);
    exec(connection, "COMMIT");
    close_db(db, connection);
}

static void test_install__works_in_an_attached_schema_and_a_transaction(void **state) {
    (void)state;
    sqlite3 *const connection = connect(":memory:");
    exec(connection, "ATTACH ':memory:' AS \"o'ther\"");
    htt_db *const db = open_db(connection, "o'ther");
    exec(connection, "BEGIN");
    assert_int_equal(htt_schema_install(db, &thing_part), HTT_OK);
    exec(connection, "ROLLBACK; CREATE TABLE main.htt_thing(other)");
    assert_int_equal(htt_schema_install(db, &thing_part), HTT_OK);
    exec(connection, "INSERT INTO \"o'ther\".htt_thing VALUES (1, 'a')");
    close_db(db, connection);
}

static void test_install__leaves_the_module_s_tables_to_the_module(void **state) {
    (void)state;
    sqlite3 *const connection = connect(":memory:");
    htt_db *const db = open_db(connection, "main");
    assert_int_equal(sqlite3_htt_init(connection, NULL, NULL), SQLITE_OK);
    assert_int_equal(htt_schema_install(db, &thing_part), HTT_OK);
    exec(connection, "CREATE VIRTUAL TABLE kv USING htt('base_schema.htt')");
    exec(connection, "INSERT OR REPLACE INTO kv VALUES (1, 2); SELECT * FROM htt_change");
    exec(connection, "DROP TABLE kv");
    assert_int_equal(htt_schema_install(db, &thing_part), HTT_OK);
    close_db(db, connection);
}

static void test_install__finds_the_work_of_hands(void **state) {
    static const struct {
        const char *sql;  /* what the hand did */
        const char *text; /* a part of the message */
    } cases[] = {
        {"DROP TABLE htt_thing", "main.htt_thing is missing"},
        {"DROP INDEX htt_thing_name", "main.htt_thing_name is missing"},
        {"DROP TRIGGER htt_thing_keep", "main.htt_thing_keep is missing"},
        {"DROP VIEW htt_thing_view", "main.htt_thing_view is missing"},
        {"ALTER TABLE htt_thing ADD COLUMN more", "main.htt_thing is not as"},
        {"DROP VIEW htt_thing_view; CREATE TABLE htt_thing_view(a)", "htt_thing_view is not as"},
        {"DROP VIEW htt_thing_view; ALTER TABLE htt_thing RENAME TO x", "htt_thing is missing"},
        {"UPDATE htt_schema SET version = 'two'", "the version of part 'thing' is no number"},
        {"UPDATE htt_schema SET version = 0", "the version of part 'thing' is no number"},
        {"ALTER TABLE htt_schema ADD COLUMN more", "main.htt_schema is not as"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        sqlite3 *const connection = connect(":memory:");
        htt_db *const db = open_db(connection, "main");
        assert_int_equal(htt_schema_install(db, &thing_part), HTT_OK);
        exec(connection, cases[i].sql);
        assert_int_equal(htt_schema_install(db, &thing_part), HTT_MISMATCH);
        assert_int_equal(htt_db_errcode(db), HTT_MISMATCH);
        if (strstr(htt_db_errmsg(db), cases[i].text) == NULL) {
            fail_msg("%s: %s", cases[i].sql, htt_db_errmsg(db));
        }
        close_db(db, connection);
    }
}

static void test_install__does_not_take_up_a_table_of_somebody_else(void **state) {
    (void)state;
    sqlite3 *const connection = connect(":memory:");
    htt_db *const db = open_db(connection, "main");
    exec(connection, "CREATE TABLE htt_thing(id INTEGER PRIMARY KEY, name TEXT, other)");
    assert_int_equal(htt_schema_install(db, &thing_part), HTT_MISMATCH);
    exec(connection, "DROP TABLE htt_thing"); /* and nothing else was left */
    assert_int_equal(htt_schema_install(db, &thing_part), HTT_OK);
    close_db(db, connection);
}

static void test_install__refuses_a_newer_version(void **state) {
    (void)state;
    sqlite3 *const connection = connect(":memory:");
    htt_db *const db = open_db(connection, "main");
    assert_int_equal(htt_schema_install(db, &thing_part), HTT_OK);
    exec(connection, "UPDATE htt_schema SET version = 3 WHERE name = 'thing'");
    assert_int_equal(htt_schema_install(db, &thing_part), HTT_NEWER);
    assert_non_null(strstr(htt_db_errmsg(db), "have version 3, this libhtt knows 2"));
    close_db(db, connection);
}

static void test_install__an_unknown_part_is_refused_and_a_fake_needs_none(void **state) {
    (void)state;
    htt_db *db;
    assert_int_equal(htt_db_open_fake(NULL, &db), HTT_OK);
    assert_int_equal(htt_db_install(db, "nothing"), HTT_MISUSE);
    assert_string_equal(htt_db_errmsg(db),
                        "there is no part 'nothing' to be installed: the parts are event, saga");
    assert_int_equal(htt_db_install(db, NULL), HTT_MISUSE);
    assert_string_equal(htt_db_errmsg(db),
                        "the part to be installed is NULL: the parts are event, saga");
    assert_int_equal(htt_schema_install(db, &thing_part), HTT_OK);
    assert_int_equal(htt_db_close(db), HTT_OK);
}

/* The state after htt_db_open was refused, for instance because no SQLite loaded the library. */
static void test_install__without_a_db_is_refused(void **state) {
    (void)state;
    assert_int_equal(htt_db_install(NULL, "event"), HTT_MISUSE);
    assert_int_equal(htt_db_install(NULL, "nothing"), HTT_MISUSE);
    assert_int_equal(htt_db_install(NULL, NULL), HTT_MISUSE);
}

static void test_install__every_part_of_the_library_is_made(void **state) {
    (void)state;
    for (const htt_schema_part *part = htt_schema_parts; part->name != NULL; part++) {
        sqlite3 *const connection = connect(":memory:");
        htt_db *const db = open_db(connection, "main");
        for (int round = 0; round < 2; round++) {
            if (htt_db_install(db, part->name) != HTT_OK) {
                fail_msg("%s: %s", part->name, htt_db_errmsg(db));
            }
        }
        close_db(db, connection);
    }
}

static void test_install__a_busy_or_readonly_database_says_so(void **state) {
    (void)state;
    const char *const name = "file:base_schema_busy?mode=memory&cache=shared";
    sqlite3 *other;
    assert_int_equal(sqlite3_open_v2(name, &other,
                                     SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_URI,
                                     NULL),
                     SQLITE_OK);
    sqlite3 *connection;
    assert_int_equal(sqlite3_open_v2(name, &connection,
                                     SQLITE_OPEN_READWRITE | SQLITE_OPEN_URI, NULL),
                     SQLITE_OK);
    htt_db *const db = open_db(connection, "main");
    exec(other, "CREATE TABLE x(a); BEGIN IMMEDIATE; INSERT INTO x VALUES (1)");
    assert_int_equal(htt_schema_install(db, &thing_part), HTT_BUSY);
    exec(other, "COMMIT; PRAGMA query_only = 1");
    exec(connection, "PRAGMA query_only = 1");
    assert_int_equal(htt_schema_install(db, &thing_part), HTT_READONLY);
    assert_non_null(strstr(htt_db_errmsg(db), "readonly"));
    close_db(db, connection);
    assert_int_equal(sqlite3_close(other), SQLITE_OK);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_install__makes_the_tables_once),
        cmocka_unit_test(test_install__works_in_an_attached_schema_and_a_transaction),
        cmocka_unit_test(test_install__leaves_the_module_s_tables_to_the_module),
        cmocka_unit_test(test_install__finds_the_work_of_hands),
        cmocka_unit_test(test_install__does_not_take_up_a_table_of_somebody_else),
        cmocka_unit_test(test_install__refuses_a_newer_version),
        cmocka_unit_test(test_install__an_unknown_part_is_refused_and_a_fake_needs_none),
        cmocka_unit_test(test_install__without_a_db_is_refused),
        cmocka_unit_test(test_install__every_part_of_the_library_is_made),
        cmocka_unit_test(test_install__a_busy_or_readonly_database_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
