/* SPDX-License-Identifier: MIT */
/*
 * Every allocation of ours and of SQLite, every instruction and every access of a statement fails
 * in turn while a db is opened, tables are made, repositories are opened and an identity map grows.
 * Each call gives an error with a message, or works all the same; and without faults it works then.
 * While tables are made every 37th allocation and instruction of SQLite, all with HTT_TEST_LONG=1.
 *
 * ctest: timeout=240
 */
#include "repo_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sql/base/schema.h"
#include "sql/htt_uow.h"
#include "sql/repo/repo.h"
#include "sql_fault.h"

/* Opens a db over the connection, NULL: a fake; an error has a text. */
static htt_rc open_db(sqlite3 *connection, htt_db **db_out) {
    htt_error error = {HTT_OK, 0, ""};
    htt_db_options options;
    htt_db_options_init(&options);
    options.error = &error;
    const htt_rc rc = connection == NULL ? htt_db_open_fake(&options, db_out)
                                         : htt_db_open(connection, &options, db_out);
    assert_int_equal(error.rc, rc);
    assert_true(rc == HTT_OK || error.text[0] != '\0');
    return rc;
}

static htt_rc judge(htt_db *db, htt_rc rc) {
    if (rc != HTT_OK) {
        assert_int_equal(htt_db_errcode(db), rc);
        assert_true(htt_db_errmsg(db)[0] != '\0');
    }
    return rc;
}

typedef htt_rc scenario(sqlite3 *connection, htt_db *db);

static htt_rc install_all(sqlite3 *connection, htt_db *db) {
    (void)connection;
    for (const htt_schema_part *part = htt_schema_parts; part->name != NULL; part++) {
        for (int round = 0; round < 2; round++) {
            const htt_rc rc = judge(db, htt_db_install(db, part->name));
            if (rc != HTT_OK) {
                return rc;
            }
        }
    }
    return HTT_OK;
}

static htt_rc find_work_of_hands(sqlite3 *connection, htt_db *db) {
    (void)connection;
    const htt_rc rc = judge(db, htt_db_install(db, "event"));
    return rc == HTT_MISMATCH ? HTT_OK : rc;
}

static htt_rc open_repos(sqlite3 *connection, htt_db *db) {
    htt_repo *repo;
    htt_repo *own = NULL;
    htt_repo_spec spec = order_spec(true);
    (void)connection;
    htt_rc rc = judge(db, htt_repo_open(db, &spec, &repo));
    if (rc != HTT_OK) {
        return rc;
    }
    /* The same store, as if it were the application's. */
    htt_repo_methods methods = *repo->backing->methods;
    methods.close = NULL;
    rc = judge(db, htt_repo_open_store(db, &spec, &methods, repo->backing->store, &own));
    htt_repo_close(own);
    htt_repo_close(repo);
    return rc;
}

static htt_rc grow_a_map(sqlite3 *connection, htt_db *db) {
    const htt_repo_spec spec = order_spec(true);
    htt_uow *unit;
    htt_repo *repo;
    void *object;
    (void)connection;
    htt_rc rc = judge(db, htt_uow_begin(db, HTT_UOW_DEFERRED, &unit));
    if (rc != HTT_OK) {
        return rc;
    }
    rc = judge(db, htt_uow_repo(unit, &spec, &repo));
    for (int64_t id = 1; id <= 20 && rc == HTT_OK; id++) {
        test_order made = {0};
        rc = judge(db, htt_repo_put(repo, htt_key_of_integer(id), &made));
        if (rc == HTT_OK) {
            rc = judge(db, htt_repo_get(repo, htt_key_of_integer(id), &object));
        }
    }
    htt_uow_end(unit);
    assert_int_equal(order_alive, 0);
    return rc;
}

static void sweep(const char *name, scenario *run, const char *sql, bool fake, uint64_t stride) {
    for (fault_kind kind = FAULT_OURS; kind < FAULT_KINDS; kind++) {
        const bool all = kind == FAULT_OURS || kind == FAULT_PREPARE || getenv("HTT_TEST_LONG");
        uint64_t failed = 0;
        uint64_t points = 0;
        uint64_t at = 0;
        for (uint64_t happened = 1; happened != 0; at += all ? 1 : stride, points++) {
            sqlite3 *connection = NULL;
            htt_db *db = NULL;
            if (!fake) {
                assert_int_equal(sqlite3_open(":memory:", &connection), SQLITE_OK);
                world_exec(connection, sql);
                fault_watch(connection);
            }
            fault_arm(kind, at, at % 2 != 0);
            htt_rc rc = open_db(connection, &db);
            rc = rc == HTT_OK ? run(connection, db) : rc;
            happened = fault_disarm();
            failed += rc != HTT_OK;
            if (db == NULL) {
                assert_int_equal(open_db(connection, &db), HTT_OK);
            }
            expect_ok(db, run(connection, db)); /* nothing was left half done */
            expect_ok(db, htt_db_close(db));
            assert_int_equal(sqlite3_close(connection), SQLITE_OK);
        }
        print_message("%s, %s: %llu points, %llu failed\n", name, fault_names[kind],
                      (unsigned long long)points - 1, (unsigned long long)failed);
        assert_true(failed > 0 || (fake && kind != FAULT_OURS));
    }
}

static const char orders_sql[] = "CREATE TABLE orders(id INTEGER UNIQUE NOT NULL, customer TEXT, "
                                 "total REAL, photo BLOB, version INTEGER)";

static void test_faults__while_tables_are_made(void **state) {
    (void)state;
    sweep("install", install_all, "SELECT 1", false, 37);
}
static void test_faults__while_a_dropped_table_is_found(void **state) {
    (void)state;
    sweep("hands", find_work_of_hands,
          "CREATE TABLE htt_schema(name TEXT PRIMARY KEY NOT NULL, version INTEGER NOT NULL);"
          "INSERT INTO htt_schema VALUES ('event', 1)",
          false, 1);
}
static void test_faults__while_repositories_are_opened(void **state) {
    (void)state;
    sweep("repositories", open_repos, orders_sql, false, 1);
    sweep("repositories of a fake", open_repos, "", true, 1);
}
static void test_faults__while_an_identity_map_grows(void **state) {
    (void)state;
    sweep("map", grow_a_map, orders_sql, false, 1);
    sweep("map of a fake", grow_a_map, "", true, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_faults__while_tables_are_made),
        cmocka_unit_test(test_faults__while_a_dropped_table_is_found),
        cmocka_unit_test(test_faults__while_repositories_are_opened),
        cmocka_unit_test(test_faults__while_an_identity_map_grows),
    };
    return fault_init() ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
