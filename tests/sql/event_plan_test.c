/* SPDX-License-Identifier: MIT */
/*
 * What claiming costs. ctest: no-asan
 *
 * The plans of its statements use the indexes made for them, and a claim of ten events takes as
 * many steps of SQLite's machine with 200,000 events (HTT_TEST_LONG: a million) as with a
 * thousand: where all are done, and where the first one has failed, so that the position stands
 * and all others have rows.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "event_bed.h"
#include "sql/event/sql.h"

enum { PLAN_SMALL = 1000, PLAN_LARGE = 200000, PLAN_LARGEST = 1000000 };

/* The plan of one of the statements, line after line. */
static void plan_of(sqlite3 *connection, htt_event_sql which, char *plan, size_t size) {
    sqlite3_stmt *statement;
    char sql[8192] = "EXPLAIN QUERY PLAN ";
    size_t length = strlen(sql);
    for (const char *at = htt_event_statements.texts[which]; *at != '\0';) {
        if (strncmp(at, "{schema}", 8) == 0) {
            length += (size_t)snprintf(sql + length, sizeof sql - length, "main");
            at += 8;
        } else {
            sql[length++] = *at++;
        }
    }
    sql[length] = '\0';
    assert_int_equal(sqlite3_prepare_v2(connection, sql, -1, &statement, NULL), SQLITE_OK);
    plan[0] = '\0';
    length = 0;
    while (sqlite3_step(statement) == SQLITE_ROW) {
        length += (size_t)snprintf(plan + length, size - length, "%s\n",
                                   (const char *)sqlite3_column_text(statement, 3));
    }
    sqlite3_finalize(statement);
}

static void test_plan__no_statement_of_a_claim_scans_events_or_deliveries(void **state) {
    (void)state;
    static const struct {
        htt_event_sql which; /* statement */
        const char *uses;    /* a line of its plan */
    } plans[] = {
        {DELIVERY_POLL, "SEARCH d USING COVERING INDEX htt_delivery_due (consumer=? AND due_at<?)"},
        {DELIVERY_POLL, "SEARCH h USING PRIMARY KEY (consumer=? AND id<?)"},
        {DELIVERY_LOOK, "SEARCH e USING INTEGER PRIMARY KEY (rowid>?)"},
        {DELIVERY_LOOK, "SEARCH b USING INDEX htt_delivery_lane (consumer=? AND lane=?)"},
        {DELIVERY_LEASE,
         "SEARCH d USING INDEX htt_delivery_due (consumer=? AND due_at>? AND due_at<?)"},
        {DELIVERY_LEASE, "SEARCH b USING INDEX htt_delivery_lane (consumer=? AND lane=? AND id<?)"},
        {DELIVERY_LEASE, "SEARCH main.htt_delivery USING PRIMARY KEY (consumer=? AND id=?)"},
        {DELIVERY_ACK, "SEARCH main.htt_delivery USING PRIMARY KEY (consumer=? AND id=?)"},
        {DELIVERY_FAIL, "SEARCH main.htt_delivery USING PRIMARY KEY (consumer=? AND id=?)"},
        {DEAD_EACH, "SEARCH d USING INDEX htt_delivery_dead (consumer=? AND id>?)"},
        {DEAD_EACH, "SEARCH e USING INTEGER PRIMARY KEY (rowid=?)"},
        {EVENT_PURGE, "SEARCH e USING INTEGER PRIMARY KEY (rowid<?)"},
        {EVENT_PURGE, "SEARCH main.htt_event USING INTEGER PRIMARY KEY (rowid=?)"},
        {INBOX_PURGE,
         "SEARCH main.htt_inbox USING COVERING INDEX htt_inbox_received_at (received_at<?)"},
        {IDEMPOTENCY_PURGE,
         "SEARCH main.htt_idempotency USING COVERING INDEX htt_idempotency_expires_at "
         "(expires_at<?)"},
    };
    event_bed bed;
    bed_open(&bed, BED_DATABASE);
    for (size_t i = 0; i < sizeof plans / sizeof plans[0]; i++) {
        char plan[8192];
        plan_of(bed.connection, plans[i].which, plan, sizeof plan);
        if (strstr(plan, plans[i].uses) == NULL) {
            fail_msg("statement %d does not say \"%s\":\n%s", (int)plans[i].which, plans[i].uses,
                     plan);
        }
        static const char *const scans[] = {"SCAN e\n", "SCAN d\n",         "SCAN b\n",
                                            "SCAN h\n", "SCAN htt_event\n", "SCAN htt_delivery\n"};
        for (size_t k = 0; k < sizeof scans / sizeof scans[0]; k++) {
            if (strstr(plan, scans[k]) != NULL) {
                fail_msg("statement %d scans:\n%s", (int)plans[i].which, plan);
            }
        }
    }
    bed_close(&bed);
}

/* Steps of the machine that all statements of the connection took since the last call. */
static int64_t plan_steps(sqlite3 *connection) {
    int64_t steps = 0;
    for (sqlite3_stmt *statement = sqlite3_next_stmt(connection, NULL); statement != NULL;
         statement = sqlite3_next_stmt(connection, statement)) {
        steps += sqlite3_stmt_status(statement, SQLITE_STMTSTATUS_VM_STEP, 1);
    }
    return steps;
}

static void plan_fill(event_bed *bed, int count, bool stuck) {
    char sql[512];
    bed_exec(bed->connection, "BEGIN");
    bed_register(bed, "c", HTT_ON_DEAD_BLOCK, 20);
    (void)snprintf(sql, sizeof sql,
                   "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < %d) "
                   "INSERT INTO htt_event(aggregate_type, aggregate_id, type) "
                   "SELECT 'order', i %% %d, 'placed' FROM n",
                   count + 100, count / 10 + 7);
    bed_exec(bed->connection, sql);
    if (stuck) {
        (void)snprintf(sql, sizeof sql,
                       "INSERT INTO htt_delivery(consumer, id, lane, state, due_at) "
                       "VALUES ('c', 1, 'order/1', 'failed', 9999999999999);"
                       "INSERT INTO htt_delivery(consumer, id, lane, state) SELECT 'c', seq, "
                       "'order/' || aggregate_id, 'done' FROM htt_event "
                       "WHERE seq BETWEEN 2 AND %d",
                       count);
    } else {
        (void)snprintf(sql, sizeof sql, "UPDATE htt_consumer SET acknowledged = %d", count);
    }
    bed_exec(bed->connection, sql);
    bed_exec(bed->connection, "COMMIT");
}

/* Steps of a claim of ten, and of acknowledging them. */
static void plan_measure(int count, bool stuck, int64_t *claim_out, int64_t *ack_out) {
    event_bed bed;
    bed_open(&bed, BED_DATABASE);
    plan_fill(&bed, count, stuck);
    htt_lease *lease = bed_claim(&bed, "c", "w", 10); /* prepares the statements */
    assert_rc(bed.db, htt_delivery_ack_all(lease), HTT_OK);
    htt_lease_free(lease);
    (void)plan_steps(bed.connection);
    lease = bed_claim(&bed, "c", "w", 10);
    *claim_out = plan_steps(bed.connection);
    assert_int_equal(htt_lease_count(lease), 10);
    assert_rc(bed.db, htt_delivery_ack_all(lease), HTT_OK);
    *ack_out = plan_steps(bed.connection);
    htt_lease_free(lease);
    assert_int_equal(bed_state(&bed, "c").acknowledged, stuck ? 0 : count + 20);
    bed_close(&bed);
}

static void test_claim__costs_the_same_however_many_events(void **state) {
    (void)state;
    const int large = getenv("HTT_TEST_LONG") != NULL ? PLAN_LARGEST : PLAN_LARGE;
    for (int stuck = 0; stuck < 2; stuck++) {
        int64_t claim[2];
        int64_t ack[2];
        plan_measure(PLAN_SMALL, stuck, &claim[0], &ack[0]);
        plan_measure(large, stuck, &claim[1], &ack[1]);
        print_message("%s: claim %lld and %lld steps, acknowledge %lld and %lld\n",
                      stuck ? "the first failed" : "all are done", (long long)claim[0],
                      (long long)claim[1], (long long)ack[0], (long long)ack[1]);
        assert_true(claim[0] > 100 && ack[0] > 100);
        assert_true(claim[1] < claim[0] + claim[0] / 10);
        assert_true(ack[1] < ack[0] + ack[0] / 10);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plan__no_statement_of_a_claim_scans_events_or_deliveries),
        cmocka_unit_test(test_claim__costs_the_same_however_many_events),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
