/* SPDX-License-Identifier: MIT */
/*
 * libhtt.so as a program has it: before a connection loaded it as an extension every function that
 * needs SQLite says so; after, it works with that SQLite.
 */
#include <dlfcn.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "sql/htt_event.h"
#include "sql/htt_uow.h"

/* The functions of libhtt.so, not of the libhtt.a that this program is linked with. */
typedef struct library {
    void (*options_init)(htt_db_options *options);
    htt_rc (*open)(sqlite3 *connection, const htt_db_options *options, htt_db **db_out);
    htt_rc (*open_fake)(const htt_db_options *options, htt_db **db_out);
    htt_rc (*close)(htt_db *db);
    htt_rc (*install)(htt_db *db, const char *part);
    const char *(*errmsg)(const htt_db *db);
    htt_rc (*run)(htt_db *db, htt_uow_work *work, void *arg, const htt_uow_options *options);
    htt_rc (*repo)(htt_uow *uow, const htt_repo_spec *spec, htt_repo **repo_out);
    const htt_codec *(*codec)(void);
    htt_rc (*put)(htt_repo *repo, htt_key key, const void *object);
    htt_rc (*append)(htt_db *db, const htt_event *event, htt_event_receipt *receipt_out);
} library;

static void *find(void *handle, const char *name) {
    void *const found = dlsym(handle, name);
    if (found == NULL) {
        fail_msg("libhtt.so has no %s", name);
    }
    return found;
}

static library open_library(void *handle) {
    library so;
    *(void **)&so.options_init = find(handle, "htt_db_options_init");
    *(void **)&so.open = find(handle, "htt_db_open");
    *(void **)&so.open_fake = find(handle, "htt_db_open_fake");
    *(void **)&so.close = find(handle, "htt_db_close");
    *(void **)&so.install = find(handle, "htt_db_install");
    *(void **)&so.errmsg = find(handle, "htt_db_errmsg");
    *(void **)&so.run = find(handle, "htt_uow_run");
    *(void **)&so.repo = find(handle, "htt_uow_repo");
    *(void **)&so.codec = find(handle, "htt_codec_text");
    *(void **)&so.put = find(handle, "htt_repo_put");
    *(void **)&so.append = find(handle, "htt_event_append");
    return so;
}

static htt_rc put_one(htt_uow *unit, void *arg) {
    const library *const so = arg;
    htt_repo_spec spec;
    htt_repo *repo;
    htt_repo_spec_init(&spec, "t", so->codec());
    const htt_rc rc = so->repo(unit, &spec, &repo);
    return rc == HTT_OK ? so->put(repo, htt_key_of_integer(7), "seven") : rc;
}

static void check_unit(const library *so, sqlite3 *connection, htt_db *db) {
    sqlite3_stmt *statement;
    assert_int_equal(so->run(db, put_one, (void *)so, NULL), HTT_NOTFOUND);
    assert_non_null(strstr(so->errmsg(db), "main.t: there is no such table"));
    assert_int_equal(sqlite3_exec(connection, "CREATE TABLE t(key PRIMARY KEY, value)", NULL, NULL,
                                  NULL),
                     SQLITE_OK);
    assert_int_equal(so->run(db, put_one, (void *)so, NULL), HTT_OK);
    assert_int_equal(sqlite3_prepare_v2(connection, "SELECT value FROM t WHERE key = 7", -1,
                                        &statement, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    assert_string_equal((const char *)sqlite3_column_text(statement, 0), "seven");
    sqlite3_finalize(statement);
}

static const htt_event event_seven = {.aggregate_type = "order",
                                      .aggregate_id = "7",
                                      .type = "placed"};

static void check_event(const library *so, htt_db *db) {
    htt_event_receipt receipt = {0, false};
    assert_int_equal(so->install(db, "event"), HTT_OK);
    assert_int_equal(so->append(db, &event_seven, &receipt), HTT_OK);
    assert_int_equal(receipt.seq, 1);
}

static void test_loaded__only_a_loaded_library_has_sqlite(void **state) {
    (void)state;
    char path[1024];
    const char *const given = getenv("HTT_LIBRARY");
    htt_db *db = NULL;
    htt_error error;
    htt_db_options options;
    sqlite3 *connection;
    if (given == NULL) {
        skip(); /* run by hand */
    }
    snprintf(path, sizeof path, "%s.so", given);
    void *const handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (handle == NULL) {
        fail_msg("%s", dlerror());
    }
    const library so = open_library(handle);
    assert_int_equal(sqlite3_open(":memory:", &connection), SQLITE_OK);
    so.options_init(&options);
    options.error = &error;
    assert_int_equal(so.open(connection, &options, &db), HTT_MISUSE);
    assert_null(db);
    assert_non_null(strstr(error.text, "this libhtt.so has no SQLite yet"));
    assert_string_equal(so.errmsg(NULL), error.text);
    assert_int_equal(so.append(db, &event_seven, NULL), HTT_MISUSE);
    assert_int_equal(so.install(db, "event"), HTT_MISUSE); /* as a program goes on that forgot it */

    assert_int_equal(so.open_fake(NULL, &db), HTT_OK); /* needs none */
    assert_int_equal(so.close(db), HTT_OK);

    char *message = NULL;
    assert_int_equal(sqlite3_enable_load_extension(connection, 1), SQLITE_OK);
    if (sqlite3_load_extension(connection, path, "sqlite3_htt_init", &message) != SQLITE_OK) {
        fail_msg("%s", message);
    }
    assert_int_equal(so.open(connection, &options, &db), HTT_OK);
    assert_int_equal(so.install(db, "nothing"), HTT_MISUSE);
    assert_string_equal(so.errmsg(db),
                        "there is no part 'nothing' to be installed: the parts are event, saga");
    check_unit(&so, connection, db);
    check_event(&so, db);
    assert_int_equal(so.close(db), HTT_OK);
    assert_int_equal(sqlite3_close(connection), SQLITE_OK);
    dlclose(handle);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_loaded__only_a_loaded_library_has_sqlite),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
