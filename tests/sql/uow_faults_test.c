/* SPDX-License-Identifier: MIT */
/*
 * Every allocation of ours and of SQLite, every instruction of SQLite's statements, every access
 * that one asks for when it is prepared, fails in turn while a unit of work with two repositories,
 * inner units and events runs; once, and from then on. Each call then gives an error with a message
 * or works all the same; what is stored afterwards is all of the unit when its commit worked, and
 * nothing of it otherwise; and nothing is left open.
 *
 * ctest: timeout=240
 */
#include "repo_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sql/htt_event.h"
#include "sql/htt_uow.h"
#include "sql_fault.h"

/* ---------------------------------------------------------------- the work */

static htt_rc visit_nothing(void *arg, htt_datum key, void *object, int64_t version) {
    (void)key;
    (void)object;
    (void)version;
    ++*(int *)arg;
    return HTT_OK;
}

static htt_rc put_order(htt_repo *repo, int64_t id, double total) {
    test_order made = {0};
    made.total = total;
    made.photo_size = 4;
    return htt_repo_put(repo, htt_key_of_integer(id), &made);
}

static htt_rc change_orders(htt_repo *repo) {
    void *object;
    int64_t version;
    bool there;
    htt_rc rc = htt_repo_get_version(repo, htt_key_of_integer(1), &object, &version);
    if (rc == HTT_OK) {
        ((test_order *)object)->total = 10;
        rc = htt_repo_put(repo, htt_key_of_integer(1), object);
    }
    if (rc == HTT_OK) {
        rc = htt_repo_get_version(repo, htt_key_of_integer(1), &object, &version);
    }
    if (rc == HTT_OK) {
        rc = htt_repo_put_version(repo, htt_key_of_integer(1), object, version, NULL);
    }
    if (rc == HTT_OK) {
        const test_order made = {.total = 4};
        rc = htt_repo_add(repo, htt_key_of_integer(4), &made);
    }
    if (rc == HTT_OK) {
        rc = htt_repo_remove(repo, htt_key_of_integer(2));
    }
    if (rc == HTT_OK) {
        rc = htt_repo_contains(repo, htt_key_of_integer(2), &there);
    }
    if (rc == HTT_OK) {
        const test_order made = {.total = 5};
        const htt_rc conflict =
            htt_repo_put_version(repo, htt_key_of_integer(3), &made, 99, NULL);
        rc = conflict == HTT_CONFLICT ? HTT_OK : conflict;
    }
    if (rc == HTT_OK) {
        const htt_rc conflict = htt_repo_remove_version(repo, htt_key_of_integer(3), 99);
        rc = conflict == HTT_CONFLICT ? HTT_OK : conflict;
    }
    return rc;
}

static htt_rc change_things(htt_repo *repo) {
    int seen = 0;
    int64_t count;
    htt_rc rc = htt_repo_put(repo, htt_key_of_text("a key"), "[\"a value\"]");
    if (rc == HTT_OK) {
        const htt_rc exists = htt_repo_add(repo, htt_key_of_text("a key"), "2");
        rc = exists == HTT_EXISTS ? HTT_OK : exists;
    }
    if (rc == HTT_OK) {
        rc = htt_repo_each(repo, visit_nothing, &seen);
    }
    if (rc == HTT_OK && htt_repo_can(repo, HTT_REPO_CAN_PREFIX)) {
        rc = htt_repo_find_prefix(repo, htt_key_of_text("a "), visit_nothing, &seen);
    }
    return rc == HTT_OK ? htt_repo_count(repo, &count) : rc;
}

static htt_rc change_inside(htt_db *db, htt_repo *repo, bool commit, int64_t id) {
    htt_uow *inner;
    void *object;
    const htt_event event = {.aggregate_type = "order", .aggregate_id = "1", .type = "inner"};
    htt_rc rc = htt_uow_begin(db, HTT_UOW_DEFERRED, &inner);
    if (rc != HTT_OK) {
        return rc;
    }
    rc = put_order(repo, id, (double)id);
    if (rc == HTT_OK) {
        rc = htt_repo_get(repo, htt_key_of_integer(id), &object);
    }
    if (rc == HTT_OK) {
        rc = htt_uow_event(inner, &event);
    }
    if (rc == HTT_OK && commit) {
        rc = htt_uow_commit(inner);
    }
    htt_uow_end(inner);
    return rc;
}

static htt_rc work(htt_uow *unit, void *arg) {
    const htt_repo_spec order_s = order_spec(true);
    const htt_repo_spec thing_s = thing_spec(htt_codec_json());
    const htt_event event = {.aggregate_type = "order", .aggregate_id = "1", .type = "outer",
                             .headers = "{}", .payload = {"{}", 2, HTT_TEXT}};
    htt_repo *order_repo;
    htt_repo *thing_repo;
    (void)arg;
    htt_rc rc = htt_uow_repo(unit, &order_s, &order_repo);
    if (rc == HTT_OK) {
        rc = htt_uow_repo(unit, &thing_s, &thing_repo);
    }
    if (rc == HTT_OK) {
        rc = change_orders(order_repo);
    }
    if (rc == HTT_OK) {
        rc = change_things(thing_repo);
    }
    if (rc == HTT_OK) {
        rc = htt_uow_event(unit, &event);
    }
    if (rc == HTT_OK) {
        rc = change_inside(htt_uow_db(unit), order_repo, false, 5);
    }
    return rc == HTT_OK ? change_inside(htt_uow_db(unit), order_repo, true, 6) : rc;
}

/* ---------------------------------------------------------------- the runs */

static htt_rc add_id(void *arg, htt_datum key, void *object, int64_t version) {
    int64_t id;
    (void)version;
    assert_int_equal(htt_value_integer(key, &id), HTT_OK);
    *(double *)arg += (double)(id * 1000) + ((test_order *)object)->total;
    return HTT_OK;
}
static htt_rc add_event(void *arg, const htt_event *event) {
    (void)event;
    *(double *)arg += 1000000;
    return HTT_OK;
}

/* A number that tells what is stored. */
static double measure(htt_db *db) {
    const htt_repo_spec spec = order_spec(true);
    htt_repo *repo;
    double sum = 0;
    expect_ok(db, htt_repo_open(db, &spec, &repo));
    expect_ok(db, htt_repo_each(repo, add_id, &sum));
    htt_repo_close(repo);
    expect_ok(db, htt_event_each(db, 0, 0, add_event, &sum));
    return sum;
}

static void fill(htt_db *db) {
    const htt_repo_spec spec = order_spec(true);
    htt_repo *repo;
    expect_ok(db, htt_db_install(db, "event"));
    expect_ok(db, htt_repo_open(db, &spec, &repo));
    for (int64_t id = 1; id <= 3; id++) {
        expect_ok(db, put_order(repo, id, (double)id));
    }
    htt_repo_close(repo);
}

enum { BEFORE = 6006, AFTER = 14000 + 10 + 3 + 4 + 6 };

/* Opens a db over the world's connection (a fake is open) and does the work in it. */
static htt_rc run_once(repo_world *world) {
    htt_db *db = world->db;
    htt_error error = {HTT_OK, 0, ""};
    htt_uow_options options;
    htt_uow_options_init(&options);
    options.attempts = 1;
    if (world->kind != WORLD_FAKE) {
        htt_db_options db_options;
        htt_db_options_init(&db_options);
        db_options.error = &error;
        const htt_rc rc = htt_db_open(world->connection, &db_options, &db);
        if (rc != HTT_OK) {
            assert_true(error.rc == rc && error.text[0] != '\0');
            return rc;
        }
    }
    const htt_rc rc = htt_uow_run(db, work, NULL, &options);
    if (rc != HTT_OK) {
        assert_int_equal(htt_db_errcode(db), rc);
        assert_true(htt_db_errmsg(db)[0] != '\0');
    }
    (void)fault_disarm();
    assert_int_equal(order_alive, 0);
    if (world->kind != WORLD_FAKE) {
        /* A ROLLBACK that could not be done is made up for when the faults are over. */
        assert_true(sqlite3_get_autocommit(world->connection) != 0 || rc != HTT_OK);
        expect_ok(db, htt_db_close(db));
        assert_true(sqlite3_get_autocommit(world->connection) != 0);
    }
    return rc;
}

static int64_t events_before; /* a unit */

/* Back to what fill made. */
static void reset(repo_world *world) {
    if (world->kind == WORLD_FAKE) {
        repo_world_close(world);
        repo_world_open(world, WORLD_FAKE);
        fill(world->db);
        return;
    }
    world_exec(world->connection, "DELETE FROM orders; DELETE FROM things");
    fill(world->db);
    events_before += 2; /* events stay */
}

/* All points of a kind. *failed_out: those that made the work fail. */
static uint64_t sweep(repo_world *world, fault_kind kind, bool persistent, uint64_t *failed_out) {
    uint64_t points = 0;
    *failed_out = 0;
    for (uint64_t at = 0;; at++, points++) {
        fault_arm(kind, at, persistent);
        const htt_rc rc = run_once(world);
        const uint64_t happened = fault_disarm();
        const double stored = measure(world->db);
        const double expected = (rc == HTT_OK ? AFTER + 2000000.0 : BEFORE) +
                                1000000.0 * (double)events_before;
        if (stored != expected) {
            fail_msg("%s %s at %llu: %s: %.0f is stored, not %.0f", world_names[world->kind],
                     fault_names[kind], (unsigned long long)at, htt_strerror(rc), stored, expected);
        }
        *failed_out += rc != HTT_OK;
        if (rc == HTT_OK) {
            reset(world);
        }
        if (happened == 0) {
            return points;
        }
    }
}

static void run_world(world_kind kind) {
    repo_world world;
    repo_world_open(&world, kind);
    fill(world.db);
    events_before = 0;
    if (kind != WORLD_FAKE) {
        fault_watch(world.connection);
    }
    assert_true(measure(world.db) == BEFORE);
    for (fault_kind of = FAULT_OURS; of < FAULT_KINDS; of++) {
        for (int persistent = 0; persistent < 2; persistent++) {
            uint64_t failed;
            if (kind == WORLD_FAKE && of != FAULT_OURS) {
                continue;
            }
            const uint64_t points = sweep(&world, of, persistent != 0, &failed);
            print_message("%s: %s, %s: %llu points, %llu made the unit fail\n", world_names[kind],
                          fault_names[of], persistent != 0 ? "from then on" : "once",
                          (unsigned long long)points, (unsigned long long)failed);
            assert_true(failed > 0 && failed <= points);
        }
    }
    repo_world_close(&world);
}

static void test_faults__of_the_fake(void **state) {
    (void)state;
    run_world(WORLD_FAKE);
}
static void test_faults__of_ordinary_tables(void **state) {
    (void)state;
    run_world(WORLD_TABLE);
}
static void test_faults__of_htt_tables(void **state) {
    (void)state;
    run_world(WORLD_HTT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_faults__of_the_fake),
        cmocka_unit_test(test_faults__of_ordinary_tables),
        cmocka_unit_test(test_faults__of_htt_tables),
    };
    return fault_init() ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
