/* SPDX-License-Identifier: MIT */
/* Instances that cannot go on: htt_saga_resume tells of each, and the others go on. */
#include "saga_world.h"

#include <stdio.h>
#include <string.h>

static void setup(saga_world *world) {
    world_init(world);
    world_open(world, ":memory:");
}

static void start(saga_world *world, const char *id) {
    const htt_saga_input input = {.definition = "saga", .id = id};
    assert_int_equal(htt_saga_start(world->sagas, &input, NULL), HTT_OK);
}

/* ----------------------------------------------------------------- ids */

static void test_resume__passes_over_ids_that_are_none(void **state) {
    /* Between "a" and "y", all due at the same time: each would stop the search or be found again
     * and again. */
    static const char *const bad[] = {"printf('%.*c', 64, 'x')",
                                      "printf('%.*c', 64, 'x') || 'y'",
                                      "''",
                                      "'b' || char(0) || 'c'",
                                      "'a' || char(0)",
                                      "x'ff00'"};
    saga_world world;
    htt_saga_report report;
    (void)state;
    setup(&world);
    world_define(&world);
    start(&world, "a");
    start(&world, "y");
    /* As somebody would do it: a table without its constraints. */
    world_run(world.connection, "CREATE TABLE copy AS SELECT * FROM htt_saga;"
                                "DROP TABLE htt_saga; ALTER TABLE copy RENAME TO htt_saga");
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char sql[300];
        (void)snprintf(sql, sizeof sql,
                       "INSERT INTO htt_saga SELECT %s, definition, definition_version, state, "
                       "step, step_name, data, attempts, next_at, step_deadline, deadline, cause, "
                       "last_error, idempotency_key, version, created_at, updated_at FROM htt_saga "
                       "WHERE id = 'y'",
                       bad[i]);
        world_run(world.connection, sql);
    }
    assert_int_equal(htt_saga_resume(world.sagas, 0, &report), HTT_OK);
    assert_int_equal(report.refused, sizeof bad / sizeof bad[0]);
    assert_int_equal(report.completed, 2);
    expect_part(report.problem, "an id that is not text of 1 to 63 bytes");
    expect_text(&world, "SELECT count(*) FROM htt_saga WHERE state = 'running'", "6");
    world_close(&world);
}

static void test_table__refuses_ids_that_are_none(void **state) {
    static const char *const bad[] = {"printf('%.*c', 64, 'x')", "''", "'a' || char(0)", "x'ff00'",
                                      "printf('%.*c', 32, char(228))"};
    saga_world world;
    char sql[100];
    (void)state;
    setup(&world);
    world_define(&world);
    start(&world, "a");
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        (void)snprintf(sql, sizeof sql, "UPDATE htt_saga SET id = %s", bad[i]);
        assert_int_equal(sqlite3_exec(world.connection, sql, NULL, NULL, NULL), SQLITE_CONSTRAINT);
        expect_part(sqlite3_errmsg(world.connection), "htt_saga.id");
    }
    world_run(world.connection, "UPDATE htt_saga SET id = printf('%.*c', 63, 'x')");
    world_finish(&world, NULL);
    expect_text(&world, "SELECT state FROM htt_saga", "completed");
    world_close(&world);
}

/* -------------------------------------------------------------- errors */

static htt_rc changes_its_row(saga_world *world, htt_saga_call *call) {
    (void)world;
    return htt_saga_wake(world->sagas, htt_saga_call_id(call));
}

static void test_resume__tells_of_an_action_that_changes_its_own_row(void **state) {
    saga_world world;
    htt_saga_report report;
    (void)state;
    setup(&world);
    world_define(&world);
    world.during = changes_its_row;
    start(&world, "1");
    for (int i = 0; i < 2; i++) {
        assert_int_equal(htt_saga_resume(world.sagas, 0, &report), HTT_OK);
        assert_int_equal(report.ran, 0);
        assert_int_equal(report.refused, 1);
        expect_part(report.problem, "saga '1' was changed while its step ran");
    }
    world.during = NULL;
    world_finish(&world, NULL);
    expect_text(&world, "SELECT state FROM htt_saga", "completed");
    world_close(&world);
}

/* An application that declares its types, and not those of its sagas' ends. */
static void test_resume__tells_of_an_event_type_that_is_not_declared(void **state) {
    static const char *const types[] = {"saga.started", "+a", "+b", "+c", "+d",
                                        "-a",           "-b", "-c", "-d"};
    saga_world world;
    htt_saga_report report = {.more = true};
    (void)state;
    setup(&world);
    world.definition.events = true;
    world_define(&world);
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        assert_int_equal(htt_event_declare(world.db, types[i]), HTT_OK);
    }
    world.actions[1] = WORLD_REFUSES;
    start(&world, "1");
    start(&world, "2");
    for (int i = 0; i < 2; i++) {
        assert_int_equal(htt_saga_resume(world.sagas, 0, &report), HTT_OK);
        assert_int_equal(report.refused, 2);
        expect_part(report.problem, "type 'saga.compensating' is not declared");
    }
    expect_text(&world, "SELECT count(*) FROM htt_saga WHERE state = 'running' AND step = 1", "2");
    world_run(world.connection, "INSERT INTO htt_event_type VALUES ('saga.compensating'),"
                                "('saga.compensated')");
    world_finish(&world, NULL);
    expect_text(&world, "SELECT count(*) FROM htt_saga WHERE state = 'compensated'", "2");
    world_close(&world);
}

static void test_resume__tells_of_a_row_that_a_trigger_refuses(void **state) {
    saga_world world;
    htt_saga_report report;
    (void)state;
    setup(&world);
    world_define(&world);
    start(&world, "1");
    start(&world, "2");
    world_run(world.connection, "CREATE TRIGGER no BEFORE UPDATE ON htt_saga WHEN NEW.id = '1' "
                                "BEGIN SELECT RAISE(ABORT, 'not this one'); END");
    assert_int_equal(htt_saga_resume(world.sagas, 0, &report), HTT_OK);
    assert_int_equal(report.refused, 1);
    assert_int_equal(report.completed, 1);
    expect_part(report.problem, "not this one");
    world_close(&world);
}

static htt_rc deletes_itself(saga_world *world, htt_saga_call *call) {
    if (strcmp(htt_saga_call_id(call), "1") == 0) {
        world_run(world->connection, "DELETE FROM htt_saga WHERE id = '2'");
    }
    return HTT_OK;
}

/* What is gone is not told, nor is anything left of it. */
static void test_resume__is_silent_about_one_that_was_deleted(void **state) {
    saga_world world;
    htt_saga_report report;
    (void)state;
    setup(&world);
    world_define(&world);
    world.during = deletes_itself;
    start(&world, "1");
    start(&world, "2");
    assert_int_equal(htt_saga_resume(world.sagas, 0, &report), HTT_OK);
    assert_int_equal(report.completed, 1);
    assert_int_equal(report.refused, 0);
    assert_string_equal(report.problem, "");
    world_close(&world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_resume__passes_over_ids_that_are_none),
        cmocka_unit_test(test_table__refuses_ids_that_are_none),
        cmocka_unit_test(test_resume__tells_of_an_action_that_changes_its_own_row),
        cmocka_unit_test(test_resume__tells_of_an_event_type_that_is_not_declared),
        cmocka_unit_test(test_resume__tells_of_a_row_that_a_trigger_refuses),
        cmocka_unit_test(test_resume__is_silent_about_one_that_was_deleted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
