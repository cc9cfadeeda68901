/* SPDX-License-Identifier: MIT */
/*
 * What the tests of the module share: a folder of its own, a database in it with libhtt, and SQL
 * whose outcome is text.
 *
 *     static void test_x(void **state) {
 *         sqlite3 *db = fixture_db(state);
 *         run(db, "CREATE VIRTUAL TABLE kv USING htt('kv.htt')");
 *         expect(db, "SELECT count(*) FROM kv", "0");
 *         expect_error(db, "INSERT INTO kv VALUES (NULL, 1)", SQLITE_CONSTRAINT_NOTNULL,
 *                      "NOT NULL constraint failed: kv.key");
 *     }
 */
#ifndef HTT_TESTS_EXT_FIXTURE_H
#define HTT_TESTS_EXT_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sqlite3.h>

/* Setup and teardown: *state is a fixture in a new folder, with a database test.db. */
int fixture_setup(void **state);
int fixture_teardown(void **state);

/* The database of the fixture, its folder, and a path in the folder (until the next call). */
sqlite3 *fixture_db(void **state);
const char *fixture_folder(void **state);
const char *fixture_path(void **state, const char *name);

/* Closes the database and opens it again. */
sqlite3 *fixture_reopen(void **state);

/* Another connection with libhtt; the caller closes it. NULL, a relative name or ":memory:". */
sqlite3 *fixture_open(void **state, const char *name);

/* A folder of its own without a fixture. The caller removes it. */
void fixture_make_folder(char *folder, size_t size);
void fixture_remove_folder(const char *folder);
sqlite3 *fixture_open_path(const char *path);

/*
 * Rows of all statements of `sql` as text: columns with "|", rows with newline between. Text is as
 * it is, NULL is NULL, blobs are x'00', reals have a point or exponent. An error is
 * "error <extended code>: <message>". Caller frees with sqlite3_free.
 */
char *fixture_query(sqlite3 *db, const char *sql);

void fixture_run(sqlite3 *db, const char *sql, const char *file, int line);
void fixture_expect(sqlite3 *db, const char *sql, const char *rows, const char *file, int line);
void fixture_expect_error(sqlite3 *db, const char *sql, int code, const char *message,
                          const char *file, int line);

#define run(db, sql) fixture_run(db, sql, __FILE__, __LINE__)
#define expect(db, sql, rows) fixture_expect(db, sql, rows, __FILE__, __LINE__)
/* `message` is a part of the message; `code` an extended code. */
#define expect_error(db, sql, code, message)                                                       \
    fixture_expect_error(db, sql, code, message, __FILE__, __LINE__)

#define fixture_test(f) cmocka_unit_test_setup_teardown(f, fixture_setup, fixture_teardown)

#endif
