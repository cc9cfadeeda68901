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

#include "sql/htt_db.h"

/* The functions of libhtt.so, not of the libhtt.a that this program is linked with. */
typedef struct library {
    void (*options_init)(htt_db_options *options);
    htt_rc (*open)(sqlite3 *connection, const htt_db_options *options, htt_db **db_out);
    htt_rc (*open_fake)(const htt_db_options *options, htt_db **db_out);
    htt_rc (*close)(htt_db *db);
    htt_rc (*install)(htt_db *db, const char *part);
    const char *(*errmsg)(const htt_db *db);
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
    return so;
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

    assert_int_equal(so.open_fake(NULL, &db), HTT_OK); /* needs none */
    assert_int_equal(so.close(db), HTT_OK);

    char *message = NULL;
    assert_int_equal(sqlite3_enable_load_extension(connection, 1), SQLITE_OK);
    if (sqlite3_load_extension(connection, path, "sqlite3_htt_init", &message) != SQLITE_OK) {
        fail_msg("%s", message);
    }
    assert_int_equal(so.open(connection, &options, &db), HTT_OK);
    assert_int_equal(so.install(db, "nothing"), HTT_MISUSE);
    assert_string_equal(so.errmsg(db), "there is no part 'nothing' to be installed");
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
