/* SPDX-License-Identifier: MIT */
/* Tables of events that were changed by hand, are newer or locked: errors say what is wrong. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "event_bed.h"

static void test_damage__tables_of_a_newer_library_are_refused(void **state) {
    (void)state;
    event_bed bed;
    bed_open(&bed, BED_DATABASE);
    bed_exec(bed.connection, "UPDATE htt_schema SET version = 2 WHERE name = 'event'");
    assert_rc(bed.db, htt_db_install(bed.db, "event"), HTT_NEWER);
    assert_says(bed.db, "event");
    bed_close(&bed);
}

static void test_damage__a_table_that_was_dropped_or_altered_is_named(void **state) {
    (void)state;
    static const char *const changes[][2] = {
        {"DROP TABLE htt_inbox", "htt_inbox"},
        {"DROP TRIGGER htt_delivery_after_update", "htt_delivery_after_update"},
        {"DROP INDEX htt_delivery_lane", "htt_delivery_lane"},
        {"ALTER TABLE htt_subscription RENAME COLUMN fence TO token", "htt_subscription"},
    };
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        event_bed bed;
        bed_open(&bed, BED_DATABASE);
        bed_exec(bed.connection, changes[i][0]);
        assert_rc(bed.db, htt_db_install(bed.db, "event"), HTT_MISMATCH);
        assert_says(bed.db, changes[i][1]);
        bed_close(&bed);
    }
}

static void test_damage__without_a_table_or_index_each_call_says_so(void **state) {
    (void)state;
    static const char *const tables[] = {"htt_event", "htt_delivery", "htt_subscription",
                                         "htt_consumer"};
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
        event_bed bed;
        htt_lease *lease;
        char sql[100];
        bed_open(&bed, BED_DATABASE);
        bed_register(&bed, "c", HTT_ON_DEAD_BLOCK, 20);
        (void)bed_append(&bed, "1");
        (void)snprintf(sql, sizeof sql, "DROP TABLE %s", tables[i]);
        bed_exec(bed.connection, sql);
        assert_rc(bed.db, htt_delivery_claim(bed.db, "c", "w", NULL, &lease), HTT_SQL);
        (void)snprintf(sql, sizeof sql, "no such table: main.%s", tables[i]);
        assert_says(bed.db, sql);
        bed_close(&bed);
    }
    event_bed bed;
    htt_lease *lease;
    bed_open(&bed, BED_DATABASE);
    bed_register(&bed, "c", HTT_ON_DEAD_BLOCK, 20);
    bed_exec(bed.connection, "DROP INDEX htt_delivery_due");
    assert_rc(bed.db, htt_delivery_claim(bed.db, "c", "w", NULL, &lease), HTT_SQL);
    assert_says(bed.db, "no such index: htt_delivery_due");
    bed_close(&bed);
}

static void test_damage__rules_that_were_deleted_are_asked_for(void **state) {
    (void)state;
    event_bed bed;
    htt_lease *other;
    bed_open(&bed, BED_DATABASE);
    bed_register(&bed, "c", HTT_ON_DEAD_BLOCK, 20);
    (void)bed_append(&bed, "1");
    htt_lease *const lease = bed_claim(&bed, "c", "w", 1);
    bed_exec(bed.connection, "DELETE FROM htt_subscription");
    assert_rc(bed.db, htt_delivery_claim(bed.db, "c", "w", NULL, &other), HTT_MISUSE);
    assert_rc(bed.db, htt_delivery_fail(lease, 0, "x"), HTT_MISMATCH);
    assert_says(bed.db, "htt_subscription: the row of consumer 'c' was deleted");
    bed_register(&bed, "c", HTT_ON_DEAD_BLOCK, 20);
    assert_rc(bed.db, htt_delivery_fail(lease, 0, "x"), HTT_OK);
    htt_lease_free(lease);
    bed_close(&bed);
}

static void test_damage__an_event_that_was_deleted_before_its_delivery_is_named(void **state) {
    (void)state;
    event_bed bed;
    htt_lease *lease;
    bed_open(&bed, BED_DATABASE);
    bed_register(&bed, "c", HTT_ON_DEAD_BLOCK, 20);
    (void)bed_append(&bed, "1");
    (void)bed_append(&bed, "2");
    lease = bed_claim(&bed, "c", "w", 2);
    assert_rc(bed.db, htt_delivery_release(lease, 0), HTT_OK);
    htt_lease_free(lease);
    bed_exec(bed.connection, "DELETE FROM htt_event WHERE seq = 1");
    assert_rc(bed.db, htt_delivery_claim(bed.db, "c", "w", NULL, &lease), HTT_CORRUPT);
    assert_says(bed.db, "htt_event: row 1, which consumer 'c' has not acknowledged, is gone");
    assert_int_equal(bed_state(&bed, "c").pending, 1); /* nothing of the claim stays */
    /* What the message says to do. */
    bed_exec(bed.connection, "UPDATE htt_delivery SET state = 'done', due_at = NULL WHERE id = 1");
    bed.now += 100000;
    lease = bed_claim(&bed, "c", "w", 2);
    assert_string_equal(bed_seqs(lease), "2");
    htt_lease_free(lease);
    bed_close(&bed);
}

static htt_rc is_without_worker(void *arg, const htt_dead *dead) {
    assert_string_equal(dead->worker, "");
    assert_string_equal(dead->last_error, "");
    ++*(int *)arg;
    return HTT_OK;
}

static void test_damage__rows_written_by_hand_do_no_harm(void **state) {
    (void)state;
    event_bed bed;
    uint32_t deleted = 1;
    int count = 0;
    bed_open(&bed, BED_DATABASE);
    bed_register(&bed, "c", HTT_ON_DEAD_BLOCK, 20);
    (void)bed_append(&bed, "1");
    (void)bed_append(&bed, "2");
    htt_lease *const lease = bed_claim(&bed, "c", "w", 1);
    bed_exec(bed.connection, "UPDATE htt_delivery SET state = 'dead', due_at = NULL, "
                             "locked_by = NULL, token = NULL WHERE id = 1");
    assert_rc(bed.db, htt_dead_each(bed.db, "c", 0, 0, is_without_worker, &count), HTT_OK);
    assert_int_equal(count, 1);
    assert_rc(bed.db, htt_delivery_ack(lease, 0), HTT_EXPIRED);
    assert_says(bed.db, "it is dead now");
    htt_lease_free(lease);
    /* A position that is no number holds everything back. */
    bed_exec(bed.connection, "UPDATE htt_consumer SET acknowledged = 'all'");
    bed.now += 1000;
    assert_rc(bed.db, htt_event_purge(bed.db, 0, 0, &deleted), HTT_OK);
    assert_int_equal(deleted, 0);
    bed_close(&bed);
}

static void test_damage__a_key_whose_request_is_no_digest_is_named(void **state) {
    (void)state;
    event_bed bed;
    htt_idempotency_entry entry;
    static const char *const requests[] = {"x'00'", "x''"};
    bed_open(&bed, BED_DATABASE);
    bed_exec(bed.connection, "PRAGMA ignore_check_constraints = on");
    for (size_t i = 0; i < 2; i++) {
        char sql[300];
        (void)snprintf(sql, sizeof sql,
                       "INSERT OR REPLACE INTO htt_idempotency(scope, key, request, expires_at) "
                       "VALUES ('s', 'k', %s, 9999999999999)",
                       requests[i]);
        bed_exec(bed.connection, sql);
        assert_rc(bed.db, htt_idempotency_lookup(bed.db, "s", "k", &entry), HTT_CORRUPT);
        assert_says(bed.db, "htt_idempotency: request of key 'k' is no SHA-256");
    }
    bed_close(&bed);
}

static void test_damage__triggers_of_others_are_heard(void **state) {
    (void)state;
    event_bed bed;
    const htt_event event = bed_event();
    bed_open(&bed, BED_DATABASE);
    bed_exec(bed.connection, "CREATE TRIGGER mine BEFORE INSERT ON htt_event BEGIN "
                             "SELECT RAISE(ABORT, 'not today'); END;"
                             "CREATE TRIGGER two BEFORE UPDATE ON htt_subscription BEGIN "
                             "SELECT RAISE(ABORT, 'not now'); END");
    assert_rc(bed.db, htt_event_append(bed.db, &event, NULL), HTT_CONSTRAINT);
    assert_says(bed.db, "events: not today");
    htt_consumer_options options;
    htt_consumer_options_init(&options);
    options.max_attempts = 5;
    assert_rc(bed.db, htt_consumer_register(bed.db, "c", &options), HTT_CONSTRAINT);
    assert_says(bed.db, "events: not now");
    assert_int_equal(bed_number(bed.connection, "SELECT count(*) FROM htt_consumer"), 0);
    bed_close(&bed);
}

static void test_damage__a_locked_database_is_busy_and_nothing_else(void **state) {
    (void)state;
    static const char path[] = "event_damage.db";
    sqlite3 *one;
    sqlite3 *two;
    htt_db *db;
    htt_lease *lease;
    htt_idempotency_entry entry;
    const htt_event event = bed_event();
    const htt_idempotency_request request = {.scope = "s", .key = "k"};
    (void)unlink(path);
    assert_int_equal(sqlite3_open(path, &one), SQLITE_OK);
    assert_int_equal(sqlite3_open(path, &two), SQLITE_OK);
    assert_int_equal(htt_db_open(one, NULL, &db), HTT_OK);
    assert_rc(db, htt_db_install(db, "event"), HTT_OK);
    assert_rc(db, htt_consumer_register(db, "c", NULL), HTT_OK);
    assert_rc(db, htt_event_append(db, &event, NULL), HTT_OK);
    bed_exec(two, "BEGIN IMMEDIATE");
    assert_rc(db, htt_event_append(db, &event, NULL), HTT_BUSY);
    assert_says(db, "events: database is locked");
    assert_rc(db, htt_delivery_claim(db, "c", "w", NULL, &lease), HTT_BUSY);
    assert_rc(db, htt_consumer_register(db, "d", NULL), HTT_BUSY);
    assert_rc(db, htt_dead_requeue(db, "c", 0), HTT_BUSY);
    assert_rc(db, htt_idempotency_begin(db, &request, &entry), HTT_BUSY);
    assert_null(entry.scope); /* not another worker: the database */
    bed_exec(two, "ROLLBACK");
    assert_rc(db, htt_delivery_claim(db, "c", "w", NULL, &lease), HTT_OK);
    bed_exec(two, "BEGIN IMMEDIATE");
    assert_rc(db, htt_delivery_ack(lease, 0), HTT_BUSY);
    assert_rc(db, htt_delivery_ack_all(lease), HTT_BUSY);
    assert_rc(db, htt_delivery_extend(lease, 1000), HTT_BUSY);
    bed_exec(two, "ROLLBACK");
    assert_rc(db, htt_delivery_ack(lease, 0), HTT_OK);
    htt_lease_free(lease);
    assert_rc(db, htt_db_close(db), HTT_OK);
    assert_int_equal(sqlite3_close(one), SQLITE_OK);
    assert_int_equal(sqlite3_close(two), SQLITE_OK);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_damage__tables_of_a_newer_library_are_refused),
        cmocka_unit_test(test_damage__a_table_that_was_dropped_or_altered_is_named),
        cmocka_unit_test(test_damage__without_a_table_or_index_each_call_says_so),
        cmocka_unit_test(test_damage__rules_that_were_deleted_are_asked_for),
        cmocka_unit_test(test_damage__an_event_that_was_deleted_before_its_delivery_is_named),
        cmocka_unit_test(test_damage__rows_written_by_hand_do_no_harm),
        cmocka_unit_test(test_damage__a_key_whose_request_is_no_digest_is_named),
        cmocka_unit_test(test_damage__triggers_of_others_are_heard),
        cmocka_unit_test(test_damage__a_locked_database_is_busy_and_nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
