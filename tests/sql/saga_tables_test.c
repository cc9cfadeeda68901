/* SPDX-License-Identifier: MIT */
/* Tables and rows that somebody changed, and what people do with instances: look, wake, requeue. */
#include "saga_world.h"

#include <stdio.h>
#include <string.h>

static void setup(saga_world *world) {
    world_init(world);
    world_open(world, ":memory:");
    world_define(world);
}

static void refused(saga_world *world, const char *id, htt_rc rc, const char *part) {
    htt_saga_status status = {.version = 77};
    assert_int_equal(htt_saga_advance(world->sagas, id, 0, &status), rc);
    assert_int_equal(status.version, 77);
    expect_error(world, part);
}

/* ---------------------------------------------------------------- tables */

static void test_open__refuses_what_it_cannot_work_in(void **state) {
    saga_world world;
    htt_sagas *sagas = NULL;
    (void)state;
    world_init(&world);
    world_open(&world, ":memory:");
    assert_int_equal(htt_saga_open(NULL, &sagas), HTT_MISUSE);
    assert_int_equal(htt_db_close(world.db), HTT_MISUSE);
    expect_error(&world, "sagas");
    htt_saga_close(NULL);

    world_run(world.connection, "UPDATE htt_schema SET version = 2 WHERE name = 'saga'");
    assert_int_equal(htt_saga_open(world.db, &sagas), HTT_NEWER);
    world_run(world.connection, "UPDATE htt_schema SET version = 1 WHERE name = 'saga'");
    world_run(world.connection, "ALTER TABLE htt_saga ADD COLUMN mine TEXT");
    assert_int_equal(htt_saga_open(world.db, &sagas), HTT_MISMATCH);
    expect_error(&world, "htt_saga is not as this libhtt makes it");
    world_run(world.connection, "DROP TABLE htt_saga");
    assert_int_equal(htt_saga_open(world.db, &sagas), HTT_MISMATCH);
    expect_error(&world, "htt_saga is missing");
    assert_null(sagas);
    world_close(&world);
}

static void test_tables__dropped_while_open_give_an_error_everywhere(void **state) {
    saga_world world;
    char id[HTT_SAGA_ID_MAX];
    uint64_t count;
    htt_saga_report report;
    htt_saga_definition other;
    (void)state;
    setup(&world);
    world_start(&world, NULL, id);
    world_run(world.connection, "DROP TABLE htt_saga");
    refused(&world, id, HTT_SQL, "no such table: main.htt_saga");
    assert_int_equal(htt_saga_resume(world.sagas, 0, &report), HTT_SQL);
    expect_error(&world, "no such table: main.htt_saga");
    assert_int_equal(htt_saga_wake(world.sagas, id), HTT_SQL);
    assert_int_equal(htt_saga_requeue(world.sagas, id, HTT_SAGA_AGAIN), HTT_SQL);
    assert_int_equal(htt_saga_purge(world.sagas, 0, 0, &count), HTT_SQL);
    assert_int_equal(htt_saga_start(world.sagas, &(htt_saga_input){.definition = "saga"}, id),
                     HTT_SQL);
    world_run(world.connection, "DROP TABLE htt_saga_definition");
    other = world.definition;
    other.version = 2;
    assert_int_equal(htt_saga_define(world.sagas, &other, &world), HTT_SQL);
    world_close(&world);
}

static void test_rows__that_make_no_sense_are_told_and_left_alone(void **state) {
    static const struct {
        const char *change; /* of the row */
        htt_rc rc;          /* of htt_saga_advance */
        const char *part;   /* of the message */
    } cases[] = {
        {"state = 'strange'", HTT_CORRUPT, "altered by hand"},
        {"state = NULL", HTT_CORRUPT, "altered by hand"},
        {"state = 'completed'", HTT_CORRUPT, "altered by hand"},
        {"next_at = NULL", HTT_CORRUPT, "altered by hand"},
        {"next_at = 'soon'", HTT_CORRUPT, "altered by hand"},
        {"step = 'first'", HTT_CORRUPT, "altered by hand"},
        {"attempts = -1", HTT_CORRUPT, "altered by hand"},
        {"attempts = 4294967295", HTT_CORRUPT, "altered by hand"},
        {"version = 'one'", HTT_CORRUPT, "altered by hand"},
        {"data = NULL", HTT_CORRUPT, "altered by hand"},
        {"definition = NULL", HTT_CORRUPT, "altered by hand"},
        {"step = 4", HTT_CORRUPT, "is at step 4, and 'saga' has 4"},
        {"step = -1", HTT_CORRUPT, "is at step -1, and 'saga' has 4"},
        {"step_name = 'b'", HTT_MISMATCH, "is 'b' in its row and 'a' in definition"},
        {"step_name = NULL", HTT_MISMATCH, "is '' in its row and 'a' in definition"},
        {"data = '{'", HTT_INVALID, "its data is not valid JSON, at byte 1"},
        {"definition = 'none'", HTT_MISMATCH, "needs definition 'none' version 1"},
        {"definition_version = 9", HTT_MISMATCH, "needs definition 'saga' version 9"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        saga_world world;
        char id[HTT_SAGA_ID_MAX];
        char sql[300];
        setup(&world);
        world_start(&world, NULL, id);
        /* As somebody would do it: a table without its constraints. */
        world_run(world.connection, "PRAGMA ignore_check_constraints = 1;"
                                    "CREATE TABLE copy AS SELECT * FROM htt_saga;"
                                    "DROP TABLE htt_saga; ALTER TABLE copy RENAME TO htt_saga");
        (void)snprintf(sql, sizeof sql, "UPDATE htt_saga SET %s", cases[i].change);
        world_run(world.connection, sql);
        refused(&world, id, cases[i].rc, cases[i].part);
        assert_int_equal(world.calls, 0);
        expect_text(&world, "SELECT count(*) FROM trace", "0");
        world_close(&world);
    }
}

static void test_resume__goes_on_with_the_others(void **state) {
    saga_world world;
    static const char *const ids[] = {"0", "1", "2", "3", "4"};
    char id[HTT_SAGA_ID_MAX];
    char sql[300];
    htt_saga_report report;
    (void)state;
    setup(&world);
    for (int i = 0; i < 5; i++) {
        const htt_saga_input input = {.definition = "saga", .id = ids[i]};
        assert_int_equal(htt_saga_start(world.sagas, &input, id), HTT_OK);
    }
    world_run(world.connection, "PRAGMA ignore_check_constraints = 1");
    (void)snprintf(sql, sizeof sql, "UPDATE htt_saga SET data = 'x' WHERE id = '%s'", ids[1]);
    world_run(world.connection, sql);
    (void)snprintf(sql, sizeof sql, "UPDATE htt_saga SET step_name = 'z' WHERE id = '%s'", ids[2]);
    world_run(world.connection, sql);
    (void)snprintf(sql, sizeof sql, "UPDATE htt_saga SET definition = 'other' WHERE id = '%s'",
                   ids[3]);
    world_run(world.connection, sql);
    assert_int_equal(htt_saga_resume(world.sagas, 0, &report), HTT_OK);
    assert_int_equal(report.completed, 2);
    assert_int_equal(report.ran, 8);
    assert_int_equal(report.refused, 2);
    assert_int_equal(report.unknown, 1);
    expect_part(report.problem, "saga '2'");
    assert_int_equal(htt_saga_resume(world.sagas, 0, NULL), HTT_OK);
    (void)snprintf(sql, sizeof sql, "DELETE FROM htt_saga WHERE definition = 'saga'");
    world_run(world.connection, sql);
    assert_int_equal(htt_saga_resume(world.sagas, 0, &report), HTT_OK);
    assert_int_equal(report.refused, 0);
    assert_int_equal(report.unknown, 1);
    expect_part(report.problem, "1 unfinished sagas need definition 'other' version 1");
    expect_text(&world, "SELECT state || version FROM htt_saga", "running1");
    world_close(&world);
}

/* ------------------------------------------------------------------ limits */

static void test_resume__in_batches_starves_no_definition(void **state) {
    saga_world world;
    htt_saga_definition other;
    char id[HTT_SAGA_ID_MAX];
    htt_saga_report report;
    uint64_t ran = 0;
    (void)state;
    setup(&world);
    other = world.definition;
    other.name = "other";
    assert_int_equal(htt_saga_define(world.sagas, &other, &world), HTT_OK);
    for (int i = 0; i < 10; i++) {
        world_start(&world, NULL, id);
    }
    assert_int_equal(htt_saga_start(world.sagas, &(htt_saga_input){.definition = "other"}, id),
                     HTT_OK);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(htt_saga_resume(world.sagas, 4, &report), HTT_OK);
        assert_int_equal(report.ran, 4);
        assert_true(report.more);
        ran += report.ran;
    }
    expect_text(&world, "SELECT state FROM htt_saga WHERE definition = 'other'", "completed");
    do {
        assert_int_equal(htt_saga_resume(world.sagas, 3, &report), HTT_OK);
        assert_true(report.ran <= 3);
        ran += report.ran;
    } while (report.more);
    assert_int_equal(ran, 44);
    assert_int_equal(report.next_at, 0);
    expect_text(&world, "SELECT count(*) FROM htt_saga WHERE state = 'completed'", "11");
    world_close(&world);
}

static void test_advance__not_within_a_transaction_of_the_caller(void **state) {
    saga_world world;
    char id[HTT_SAGA_ID_MAX];
    (void)state;
    setup(&world);
    world_start(&world, NULL, id);
    world_run(world.connection, "BEGIN");
    refused(&world, id, HTT_MISUSE, "commit first");
    assert_int_equal(htt_saga_resume(world.sagas, 0, NULL), HTT_MISUSE);
    expect_error(&world, "commit first");
    world_run(world.connection, "COMMIT");
    refused(&world, NULL, HTT_MISUSE, "id is NULL");
    refused(&world, "none", HTT_NOTFOUND, "there is no saga 'none'");
    assert_int_equal(htt_saga_advance(NULL, id, 0, NULL), HTT_MISUSE);
    assert_int_equal(htt_saga_resume(NULL, 0, NULL), HTT_MISUSE);
    world_close(&world);
}

/* ---------------------------------------------------------------- actions */

static htt_rc advances_itself(saga_world *world, htt_saga_call *call) {
    assert_int_equal(htt_saga_advance(world->sagas, htt_saga_call_id(call), 0, NULL), HTT_MISUSE);
    return HTT_OK;
}

static htt_rc changes_its_row(saga_world *world, htt_saga_call *call) {
    (void)call;
    world_run(world->connection, "UPDATE htt_saga SET version = version + 1");
    return HTT_OK;
}

static htt_rc commits(saga_world *world, htt_saga_call *call) {
    (void)call;
    world_run(world->connection, "ROLLBACK; BEGIN");
    return HTT_OK;
}

static htt_rc sets_bad_data(saga_world *world, htt_saga_call *call) {
    assert_int_equal(htt_saga_call_set_data(call, "{"), HTT_INVALID);
    assert_int_equal(htt_saga_call_set_data(call, NULL), HTT_INVALID);
    expect_error(world, "its data is not valid JSON");
    assert_string_equal(htt_saga_call_data(call), "{\"last\":\"+a\"}");
    assert_null(htt_saga_call_cause(call));
    return htt_saga_call_set_data(call, "[");
}

/* Starts one saga and sends another, which failed, on its way again. */
static htt_rc starts_and_requeues(saga_world *world, htt_saga_call *call) {
    const htt_saga_input input = {.definition = "other", .id = "started", .key = "k"};
    if (strcmp(htt_saga_call_id(call), "first") != 0 ||
        strcmp(htt_saga_call_data(call), "{\"last\":\"+a\"}") != 0) {
        return HTT_OK;
    }
    const htt_rc rc = htt_saga_start(world->sagas, &input, NULL);
    return rc == HTT_OK ? htt_saga_requeue(world->sagas, "failed", HTT_SAGA_SKIP) : rc;
}

static void test_action__starts_and_requeues_sagas_that_append_events(void **state) {
    saga_world world;
    htt_saga_definition other;
    (void)state;
    world_init(&world);
    world_open(&world, ":memory:");
    world.definition.events = true;
    world_define(&world);
    other = world.definition;
    other.name = "other";
    assert_int_equal(htt_saga_define(world.sagas, &other, &world), HTT_OK);
    world.actions[1] = WORLD_REFUSES;
    world.compensations[0] = WORLD_REFUSES;
    assert_int_equal(
        htt_saga_start(world.sagas, &(htt_saga_input){.definition = "saga", .id = "failed"}, NULL),
        HTT_OK);
    world_finish(&world, NULL);
    world.actions[1] = world.compensations[0] = WORLD_DOES;
    world.during = starts_and_requeues;
    assert_int_equal(
        htt_saga_start(world.sagas, &(htt_saga_input){.definition = "saga", .id = "first"}, NULL),
        HTT_OK);
    if (htt_saga_advance(world.sagas, "first", 0, NULL) != HTT_OK) {
        fail_msg("%s", htt_db_errmsg(world.db));
    }
    expect_text(&world, "SELECT step || coalesce(last_error, '') FROM htt_saga WHERE id = 'first'",
                "1");
    expect_text(&world, "SELECT state FROM htt_saga WHERE id = 'failed'", "compensated");
    expect_text(&world,
                "SELECT group_concat(aggregate_id || ' ' || type) FROM (SELECT * FROM htt_event"
                " WHERE type LIKE 'saga.%' ORDER BY seq DESC LIMIT 2)",
                "failed saga.compensated,started saga.started");
    world_finish(&world, NULL);
    expect_text(&world, "SELECT state FROM htt_saga WHERE id = 'started'", "completed");
    world_close(&world);
}

static void test_action__cannot_advance_its_own_instance(void **state) {
    saga_world world;
    char id[HTT_SAGA_ID_MAX];
    (void)state;
    setup(&world);
    world.during = advances_itself;
    world_start(&world, NULL, id);
    world_finish(&world, NULL);
    expect_text(&world, "SELECT state FROM htt_saga", "completed");
    world_close(&world);
}

static void test_action__that_changes_its_own_row_is_undone(void **state) {
    saga_world world;
    char id[HTT_SAGA_ID_MAX];
    htt_saga_report report;
    (void)state;
    setup(&world);
    world.during = changes_its_row;
    world_start(&world, NULL, id);
    refused(&world, id, HTT_CONFLICT, "was changed while its step ran");
    expect_text(&world, "SELECT version || state || step FROM htt_saga", "1running0");
    expect_text(&world, "SELECT count(*) FROM trace", "0");
    assert_int_equal(htt_saga_resume(world.sagas, 0, &report), HTT_OK);
    assert_int_equal(report.ran, 0);
    assert_int_equal(report.refused, 1);
    expect_part(report.problem, "was changed while its step ran");
    world_close(&world);
}

static void test_action__that_begins_another_transaction_fails(void **state) {
    saga_world world;
    char id[HTT_SAGA_ID_MAX];
    (void)state;
    setup(&world);
    world.during = commits;
    world_start(&world, NULL, id);
    world_finish(&world, NULL);
    expect_text(&world, "SELECT state || attempts FROM htt_saga", "compensated0");
    expect_part(world_value(world.connection, "SELECT last_error FROM htt_saga"),
                "no such savepoint");
    expect_text(&world, "SELECT count(*) FROM trace", "0");
    assert_int_equal(world.calls, 3);
    world_close(&world);
}

static void test_action__data_that_is_not_json_is_refused(void **state) {
    saga_world world;
    char id[HTT_SAGA_ID_MAX];
    (void)state;
    setup(&world);
    world.during = sets_bad_data;
    world_start(&world, NULL, id);
    world_finish(&world, NULL);
    expect_text(&world, "SELECT state || data FROM htt_saga", "compensated{}");
    expect_part(world_value(world.connection, "SELECT cause FROM htt_saga"), "a: saga '");
    world_close(&world);
}

/* What cannot be appended, each for another reason. */
static const htt_event *bad_event;

static htt_rc collects_a_bad_event(saga_world *world, htt_saga_call *call) {
    (void)world;
    return htt_uow_event(htt_saga_call_unit(call), bad_event);
}

static htt_rc breaks_a_deferred_key(saga_world *world, htt_saga_call *call) {
    (void)call;
    world_run(world->connection, "INSERT INTO child VALUES (7)");
    return HTT_OK;
}

/* The action counts as failed, its attempts are used up, and nothing of it is there. */
static void commit_fails(htt_rc (*during)(saga_world *, htt_saga_call *), const char *reason) {
    saga_world world;
    char id[HTT_SAGA_ID_MAX];
    setup(&world);
    world_run(world.connection,
              "PRAGMA foreign_keys = ON; CREATE TABLE parent(id PRIMARY KEY);"
              "CREATE TABLE child(id REFERENCES parent DEFERRABLE INITIALLY DEFERRED);"
              "INSERT INTO htt_event(id, aggregate_type, aggregate_id, type, idempotency_key)"
              " VALUES ('used', 'x', 'x', 'x', 'used')");
    world.during = during;
    world_start(&world, NULL, id);
    world_finish(&world, NULL);
    expect_text(&world, "SELECT state FROM htt_saga", "compensated");
    expect_part(world_value(world.connection, "SELECT cause FROM htt_saga"), reason);
    assert_int_equal(world.calls, HTT_SAGA_ATTEMPTS);
    expect_text(&world, "SELECT count(*) FROM trace", "0");
    expect_text(&world, "SELECT count(*) FROM htt_event", "1");
    world_close(&world);
}

static void test_action__whose_commit_fails_has_failed(void **state) {
    static char long_id[400];
    static const htt_event events[] = {
        {.aggregate_type = "a", .aggregate_id = "1", .type = "t", .payload = {"{", 1, HTT_TEXT}},
        {.aggregate_type = "a", .aggregate_id = "1", .type = ""},
        {.aggregate_type = "a", .aggregate_id = "1", .type = "t", .id = "used"},
        {.aggregate_type = "a", .aggregate_id = "1", .type = "t", .idempotency_key = "used"},
        {.aggregate_type = "a", .aggregate_id = "1", .type = "t", .id = long_id},
    };
    static const char *const reasons[] = {"JSON", "a: ", "id is there already", "idempotency",
                                          "255"};
    (void)state;
    memset(long_id, 'x', sizeof long_id - 1);
    for (size_t i = 0; i < sizeof events / sizeof events[0]; i++) {
        bad_event = &events[i];
        commit_fails(collects_a_bad_event, reasons[i]);
    }
    commit_fails(breaks_a_deferred_key, "FOREIGN KEY constraint failed");
}

static htt_rc leaves_a_unit_open(saga_world *world, htt_saga_call *call) {
    htt_uow *unit = NULL;
    assert_int_equal(htt_uow_begin(htt_saga_call_db(call), HTT_UOW_IMMEDIATE, &unit), HTT_OK);
    world->left = unit;
    return HTT_OK;
}

static void test_action__that_leaves_a_unit_open_has_failed(void **state) {
    saga_world world;
    char id[HTT_SAGA_ID_MAX];
    htt_saga_status status;
    (void)state;
    setup(&world);
    world.during = leaves_a_unit_open;
    world_start(&world, NULL, id);
    assert_int_equal(htt_saga_advance(world.sagas, id, 0, &status), HTT_OK);
    assert_int_equal(status.attempts, 1);
    htt_uow_end(world.left);
    expect_text(&world, "SELECT count(*) FROM trace", "0");
    world_close(&world);
}

static htt_rc looks_at_cause(saga_world *world, htt_saga_call *call) {
    if (htt_saga_call_cause(call) != NULL) {
        assert_string_equal(htt_saga_call_cause(call), "b: refused 7");
        assert_int_equal(htt_saga_call_attempt(call), 1);
        world->slept++;
    }
    return HTT_OK;
}

static void test_action__a_compensation_knows_the_cause(void **state) {
    saga_world world;
    char id[HTT_SAGA_ID_MAX];
    (void)state;
    setup(&world);
    world.during = looks_at_cause;
    world.actions[1] = WORLD_REFUSES;
    world_start(&world, NULL, id);
    world_finish(&world, NULL);
    assert_int_equal(world.slept, 1);
    world_close(&world);
}

static void test_definition__without_compensation_any_more_goes_on(void **state) {
    saga_world world;
    char id[HTT_SAGA_ID_MAX];
    htt_saga_status status;
    (void)state;
    setup(&world);
    world.actions[1] = WORLD_REFUSES;
    world_start(&world, NULL, id);
    assert_int_equal(htt_saga_advance(world.sagas, id, 0, NULL), HTT_OK);
    assert_int_equal(htt_saga_advance(world.sagas, id, 0, &status), HTT_OK);
    assert_int_equal(status.state, HTT_SAGA_COMPENSATING);
    world.steps[0].compensation = NULL;
    assert_int_equal(htt_saga_advance(world.sagas, id, 0, &status), HTT_OK);
    assert_int_equal(status.state, HTT_SAGA_COMPENSATED);
    world_close(&world);
}

/* ----------------------------------------------------------------- people */

/* A failed one: step c refused, the compensation of b too. */
static void setup_failed(saga_world *world, char id[HTT_SAGA_ID_MAX]) {
    world_init(world);
    world_open(world, ":memory:");
    world->actions[2] = WORLD_REFUSES;
    world->compensations[1] = WORLD_REFUSES;
    world_define(world);
    world_start(world, NULL, id);
    world_finish(world, NULL);
    expect_text(world, "SELECT state || step || step_name || attempts FROM htt_saga", "failed1b1");
}

static void test_requeue__runs_the_compensation_again(void **state) {
    saga_world world;
    char id[HTT_SAGA_ID_MAX];
    (void)state;
    setup_failed(&world, id);
    assert_int_equal(htt_saga_requeue(world.sagas, id, HTT_SAGA_AGAIN), HTT_OK);
    expect_text(&world, "SELECT state || step || attempts FROM htt_saga", "compensating10");
    world_finish(&world, NULL);
    expect_text(&world, "SELECT state FROM htt_saga", "failed");
    world.compensations[1] = WORLD_DOES;
    assert_int_equal(htt_saga_requeue(world.sagas, id, HTT_SAGA_AGAIN), HTT_OK);
    world_finish(&world, NULL);
    expect_text(&world, "SELECT state FROM htt_saga", "compensated");
    expect_text(&world, "SELECT group_concat(what, '') FROM trace", "+a+b-b-a");
    assert_int_equal(htt_saga_requeue(world.sagas, id, HTT_SAGA_AGAIN), HTT_MISUSE);
    expect_error(&world, "did not fail, it is compensated");
    world_close(&world);
}

static void test_requeue__skips_what_was_done_by_hand(void **state) {
    saga_world world;
    char id[HTT_SAGA_ID_MAX];
    (void)state;
    setup_failed(&world, id);
    assert_int_equal(htt_saga_requeue(world.sagas, id, HTT_SAGA_SKIP), HTT_OK);
    world_finish(&world, NULL);
    expect_text(&world, "SELECT group_concat(what, '') FROM trace", "+a+b-a");
    expect_text(&world, "SELECT state FROM htt_saga", "compensated");
    world_close(&world);
}

static void test_requeue__bad_input(void **state) {
    saga_world world;
    char id[HTT_SAGA_ID_MAX];
    (void)state;
    setup_failed(&world, id);
    assert_int_equal(htt_saga_requeue(world.sagas, id, (htt_saga_how)3), HTT_MISUSE);
    assert_int_equal(htt_saga_requeue(world.sagas, NULL, HTT_SAGA_AGAIN), HTT_MISUSE);
    assert_int_equal(htt_saga_requeue(world.sagas, "none", HTT_SAGA_AGAIN), HTT_NOTFOUND);
    assert_int_equal(htt_saga_requeue(NULL, id, HTT_SAGA_AGAIN), HTT_MISUSE);
    world_run(world.connection, "UPDATE htt_saga SET definition = 'none'");
    assert_int_equal(htt_saga_requeue(world.sagas, id, HTT_SAGA_AGAIN), HTT_MISMATCH);
    expect_text(&world, "SELECT state FROM htt_saga", "failed");
    world_close(&world);
}

static void test_wake__makes_it_due_now(void **state) {
    saga_world world;
    char id[HTT_SAGA_ID_MAX];
    htt_saga_status status;
    (void)state;
    setup(&world);
    world.actions[0] = WORLD_ONCE;
    world_start(&world, NULL, id);
    assert_int_equal(htt_saga_advance(world.sagas, id, 0, &status), HTT_OK);
    assert_true(status.next_at > world.now);
    assert_int_equal(htt_saga_wake(world.sagas, id), HTT_OK);
    assert_int_equal(htt_saga_advance(world.sagas, id, status.version, NULL), HTT_CONFLICT);
    expect_error(&world, "has version 3, 2 was expected");
    assert_int_equal(htt_saga_advance(world.sagas, id, 3, &status), HTT_OK);
    assert_int_equal(status.step, 1);
    world_finish(&world, NULL);
    assert_int_equal(htt_saga_wake(world.sagas, id), HTT_NOTFOUND);
    expect_error(&world, "no unfinished saga");
    assert_int_equal(htt_saga_wake(world.sagas, NULL), HTT_MISUSE);
    assert_int_equal(htt_saga_wake(NULL, id), HTT_MISUSE);
    world_close(&world);
}

typedef struct seen {
    saga_world *world; /* borrowed */
    unsigned count;    /* visits */
    unsigned stop;     /* at that one; 0 = never */
    char text[200];    /* of the last one */
} seen;

static htt_rc see(const htt_saga_instance *instance, void *arg) {
    seen *const s = arg;
    s->count++;
    (void)snprintf(s->text, sizeof s->text, "%s %lld %s %s %s %s %s",
                   htt_saga_state_name(instance->status.state), (long long)instance->status.step,
                   instance->step_name == NULL ? "-" : instance->step_name, instance->data,
                   instance->cause == NULL ? "-" : instance->cause,
                   instance->last_error == NULL ? "-" : instance->last_error,
                   instance->key == NULL ? "-" : instance->key);
    return s->count == s->stop ? HTT_ABORTED : HTT_OK;
}

static htt_rc see_and_delete(const htt_saga_instance *instance, void *arg) {
    seen *const s = arg;
    s->count++;
    (void)instance;
    world_run(s->world->connection, "DELETE FROM htt_saga");
    return HTT_OK;
}

static void test_each__shows_failed_ones_with_their_reasons(void **state) {
    saga_world world;
    char id[HTT_SAGA_ID_MAX];
    seen s = {0};
    (void)state;
    setup_failed(&world, id);
    s.world = &world;
    for (int i = 0; i < 3; i++) {
        world_start(&world, NULL, id);
    }
    world.now += 10;
    assert_int_equal(htt_saga_each(world.sagas, HTT_SAGA_FAILED, see, &s), HTT_OK);
    assert_int_equal(s.count, 1);
    assert_string_equal(s.text, "failed 1 b {\"last\":\"+b\"} c: refused 7 refused 7 -");
    s.count = 0;
    assert_int_equal(htt_saga_each(world.sagas, 0, see, &s), HTT_OK);
    assert_int_equal(s.count, 4);
    s = (seen){.world = &world, .stop = 2};
    assert_int_equal(htt_saga_each(world.sagas, HTT_SAGA_RUNNING, see, &s), HTT_ABORTED);
    assert_int_equal(s.count, 2);
    assert_int_equal(htt_saga_get(world.sagas, id, see, &s), HTT_OK);
    assert_string_equal(s.text, "running 0 a {} - - -");
    s.count = 0;
    assert_int_equal(htt_saga_each(world.sagas, HTT_SAGA_RUNNING, see_and_delete, &s), HTT_OK);
    assert_int_equal(s.count, 1);
    assert_int_equal(htt_saga_get(world.sagas, id, see, &s), HTT_NOTFOUND);
    assert_int_equal(htt_saga_get(world.sagas, id, NULL, &s), HTT_MISUSE);
    assert_int_equal(htt_saga_get(NULL, id, see, &s), HTT_MISUSE);
    assert_int_equal(htt_saga_each(world.sagas, 0, NULL, &s), HTT_MISUSE);
    assert_int_equal(htt_saga_each(world.sagas, (htt_saga_state)6, see, &s), HTT_MISUSE);
    assert_int_equal(htt_saga_each(NULL, 0, see, &s), HTT_MISUSE);
    assert_string_equal(htt_saga_state_name((htt_saga_state)0), "unknown");
    assert_string_equal(htt_saga_state_name((htt_saga_state)6), "unknown");
    world_close(&world);
}

static void test_purge__takes_the_old_ones_and_never_the_failed(void **state) {
    saga_world world;
    char id[HTT_SAGA_ID_MAX];
    uint64_t count = 0;
    (void)state;
    setup_failed(&world, id);
    world.actions[2] = WORLD_DOES;
    for (int i = 0; i < 5; i++) {
        world_start(&world, NULL, id);
    }
    world_finish(&world, NULL);
    world_start(&world, NULL, id);
    assert_int_equal(htt_saga_purge(world.sagas, 1, 0, &count), HTT_OK);
    assert_int_equal(count, 0);
    world.now += 1;
    assert_int_equal(htt_saga_purge(world.sagas, 1, 2, &count), HTT_OK);
    assert_int_equal(count, 2);
    assert_int_equal(htt_saga_purge(world.sagas, 1, UINT64_MAX, NULL), HTT_OK);
    expect_text(&world, "SELECT group_concat(state) FROM (SELECT state FROM htt_saga ORDER BY 1)",
                "failed,running");
    assert_int_equal(htt_saga_purge(world.sagas, -1, 0, NULL), HTT_MISUSE);
    assert_int_equal(htt_saga_purge(NULL, 0, 0, NULL), HTT_MISUSE);
    world_close(&world);
}

static void test_plans__what_is_due_is_found_without_a_scan(void **state) {
    saga_world world;
    (void)state;
    setup(&world);
    expect_text(&world,
                "SELECT count(*) FROM sqlite_schema WHERE name IN ('htt_saga_due', "
                "'htt_saga_state')",
                "2");
    sqlite3_stmt *statement = NULL;
    assert_int_equal(
        sqlite3_prepare_v2(world.connection,
                           "EXPLAIN QUERY PLAN SELECT next_at, id FROM htt_saga WHERE "
                           "definition = ?1 AND definition_version = ?2 AND next_at <= "
                           "?3 AND (next_at, id) > (?4, ?5) ORDER BY next_at, id LIMIT 1 "
                           "OFFSET ?6",
                           -1, &statement, NULL),
        SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    expect_part((const char *)sqlite3_column_text(statement, 3),
                "SEARCH htt_saga USING COVERING INDEX htt_saga_due (definition=? AND "
                "definition_version=? AND (next_at,id)>(?,?) AND next_at<?)");
    assert_int_equal(sqlite3_step(statement), SQLITE_DONE); /* no sorter */
    sqlite3_finalize(statement);
    world_close(&world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_open__refuses_what_it_cannot_work_in),
        cmocka_unit_test(test_tables__dropped_while_open_give_an_error_everywhere),
        cmocka_unit_test(test_rows__that_make_no_sense_are_told_and_left_alone),
        cmocka_unit_test(test_resume__goes_on_with_the_others),
        cmocka_unit_test(test_resume__in_batches_starves_no_definition),
        cmocka_unit_test(test_advance__not_within_a_transaction_of_the_caller),
        cmocka_unit_test(test_action__starts_and_requeues_sagas_that_append_events),
        cmocka_unit_test(test_action__cannot_advance_its_own_instance),
        cmocka_unit_test(test_action__that_changes_its_own_row_is_undone),
        cmocka_unit_test(test_action__that_begins_another_transaction_fails),
        cmocka_unit_test(test_action__data_that_is_not_json_is_refused),
        cmocka_unit_test(test_action__a_compensation_knows_the_cause),
        cmocka_unit_test(test_action__whose_commit_fails_has_failed),
        cmocka_unit_test(test_action__that_leaves_a_unit_open_has_failed),
        cmocka_unit_test(test_definition__without_compensation_any_more_goes_on),
        cmocka_unit_test(test_requeue__runs_the_compensation_again),
        cmocka_unit_test(test_requeue__skips_what_was_done_by_hand),
        cmocka_unit_test(test_requeue__bad_input),
        cmocka_unit_test(test_wake__makes_it_due_now),
        cmocka_unit_test(test_each__shows_failed_ones_with_their_reasons),
        cmocka_unit_test(test_purge__takes_the_old_ones_and_never_the_failed),
        cmocka_unit_test(test_plans__what_is_due_is_found_without_a_scan),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
