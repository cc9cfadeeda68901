/* SPDX-License-Identifier: MIT */
/*
 * Every allocation of ours and of SQLite, every SQL statement and every access fails in turn while
 * events are appended, claimed, settled and purged; of SQLite's allocations and instructions every
 * 61st and of accesses every 7th, all with HTT_TEST_LONG=1. The call then gives an error with a
 * text; no transaction is left open, the log is dense, and without faults everything is delivered
 * in the end.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "event_bed.h"
#include "sql/base/memory.h"

typedef enum fault_kind {
    FAULT_OURS,      /* an allocation of this layer, once */
    FAULT_OURS_ON,   /* and all from there on */
    FAULT_SQLITE,    /* an allocation of SQLite */
    FAULT_STATEMENT, /* a statement is interrupted at one of its instructions */
    FAULT_DENIED,    /* an authorizer denies an access when a statement is prepared */
    FAULT_KINDS
} fault_kind;
static const char *const fault_names[] = {"ours", "ours from then on", "sqlite", "statement",
                                          "denied"};

static bool fault_armed;
static fault_kind fault_of;
static size_t fault_left;   /* chances until it fails */
static bool fault_happened; /* since it was armed */
static sqlite3_mem_methods fault_methods;

static bool fault_now(fault_kind kind) {
    if (!fault_armed || kind != fault_of) {
        return false;
    }
    if (fault_left > 0) {
        fault_left--;
        return false;
    }
    if (fault_happened && kind != FAULT_OURS_ON) {
        return false;
    }
    fault_happened = true;
    return true;
}

static bool fault_gate(size_t size) {
    (void)size;
    return !fault_now(FAULT_OURS) && !fault_now(FAULT_OURS_ON);
}

static void *fault_malloc(int size) {
    return fault_now(FAULT_SQLITE) ? NULL : fault_methods.xMalloc(size);
}

static void *fault_realloc(void *memory, int size) {
    return fault_now(FAULT_SQLITE) ? NULL : fault_methods.xRealloc(memory, size);
}

static int fault_progress(void *ignored) {
    (void)ignored;
    return fault_now(FAULT_STATEMENT);
}

static int fault_authorize(void *ignored, int action, const char *a, const char *b, const char *c,
                           const char *d) {
    (void)ignored;
    (void)a;
    (void)b;
    (void)c;
    (void)d;
    return (action == SQLITE_READ || action == SQLITE_INSERT || action == SQLITE_UPDATE ||
            action == SQLITE_DELETE) &&
                   fault_now(FAULT_DENIED)
               ? SQLITE_DENY
               : SQLITE_OK;
}

/* --------------------------------------------------------------- the work */

static htt_rc fault_visit(void *arg, const htt_event *event) {
    (void)event;
    ++*(int *)arg;
    return HTT_OK;
}

static htt_rc fault_visit_dead(void *arg, const htt_dead *dead) {
    (void)dead;
    ++*(int *)arg;
    return HTT_OK;
}

static htt_rc fault_append(event_bed *bed) {
    htt_event event = bed_event();
    htt_rc rc = htt_event_declare(bed->db, "placed");
    event.idempotency_key = "k";
    for (int i = 0; rc == HTT_OK && i < 2; i++) {
        htt_event_receipt receipt;
        rc = htt_event_append(bed->db, &event, &receipt);
    }
    event.idempotency_key = NULL;
    for (int i = 0; rc == HTT_OK && i < 5; i++) {
        event.aggregate_id = i < 3 ? "2" : "3";
        rc = htt_event_append(bed->db, &event, NULL);
    }
    if (rc == HTT_OK) { /* an expected refusal, whose error is looked up */
        event.type = "unknown";
        rc = htt_event_append(bed->db, &event, NULL);
        rc = rc == HTT_NOTFOUND ? HTT_OK : rc == HTT_OK ? HTT_SQL : rc;
    }
    return rc;
}

static htt_rc fault_register(event_bed *bed) {
    htt_consumer_options options;
    htt_consumer_state state;
    htt_consumer_options_init(&options);
    options.from = HTT_FROM_OLDEST;
    options.types = "[\"plcaed\"]";
    htt_rc rc = htt_consumer_register(bed->db, "c", &options);
    if (rc != HTT_NOTFOUND) {
        return rc == HTT_OK ? HTT_SQL : rc;
    }
    options.types = "[\"placed\"]";
    rc = htt_consumer_register(bed->db, "c", &options);
    return rc == HTT_OK ? htt_consumer_read(bed->db, "c", &state) : rc;
}

static htt_rc fault_deliver(event_bed *bed) {
    htt_lease *lease;
    int visits = 0;
    htt_rc rc = htt_delivery_claim(bed->db, "c", "w", NULL, &lease);
    if (rc != HTT_OK) {
        return rc;
    }
    rc = htt_delivery_fail(lease, 0, "no");
    rc = rc == HTT_OK ? htt_delivery_extend(lease, 1000) : rc;
    rc = rc == HTT_OK ? htt_delivery_bury(lease, 1, "never") : rc;
    rc = rc == HTT_OK ? htt_delivery_release(lease, 2) : rc;
    rc = rc == HTT_OK ? htt_delivery_ack_all(lease) : rc; /* passes over what is settled */
    if (rc == HTT_OK) {
        rc = htt_delivery_ack(lease, 2);
        rc = rc == HTT_EXPIRED ? HTT_OK : rc == HTT_OK ? HTT_SQL : rc;
    }
    htt_lease_free(lease);
    rc = rc == HTT_OK ? htt_dead_each(bed->db, "c", 0, 0, fault_visit_dead, &visits) : rc;
    rc = rc == HTT_OK ? htt_dead_requeue(bed->db, "c", 0) : rc;
    bed->now += 100000;
    rc = rc == HTT_OK ? htt_delivery_claim(bed->db, "c", "w", NULL, &lease) : rc;
    if (rc != HTT_OK) {
        return rc;
    }
    rc = htt_delivery_bury(lease, 0, "never");
    rc = rc == HTT_OK ? htt_dead_discard(bed->db, "c", 1) : rc;
    for (size_t i = 1; rc == HTT_OK && i < htt_lease_count(lease); i++) {
        rc = htt_delivery_ack(lease, i);
    }
    htt_lease_free(lease);
    return rc;
}

static htt_rc fault_rest(event_bed *bed) {
    const htt_idempotency_request request = {
        .scope = "s", .key = "k", .input = "abc", .input_size = 3};
    htt_idempotency_entry entry;
    int64_t newest;
    int visits = 0;
    htt_rc rc = htt_event_purge(bed->db, 0, 0, NULL);
    rc = rc == HTT_OK ? htt_event_each(bed->db, 0, 0, fault_visit, &visits) : rc;
    rc = rc == HTT_OK ? htt_event_newest(bed->db, &newest) : rc;
    for (int i = 0; rc == HTT_OK && i < 2; i++) {
        rc = htt_idempotency_begin(bed->db, &request, &entry);
        if (rc == HTT_OK) {
            rc = i == 0 ? htt_idempotency_abandon(bed->db, &entry)
                        : htt_idempotency_finish(bed->db, &entry, htt_text("result"));
            htt_idempotency_clear(&entry);
        }
    }
    if (rc == HTT_OK) {
        rc = htt_idempotency_begin(bed->db, &request, &entry);
        if (rc == HTT_EXISTS) {
            htt_idempotency_clear(&entry);
            rc = htt_idempotency_lookup(bed->db, "s", "k", &entry);
        }
        if (rc == HTT_OK) {
            htt_idempotency_clear(&entry);
        }
    }
    bed->now += 86400000;
    rc = rc == HTT_OK ? htt_idempotency_purge(bed->db, 0, NULL) : rc;
    rc = rc == HTT_OK ? htt_inbox_purge(bed->db, 0, 0, NULL) : rc;
    return rc;
}

static htt_rc fault_inbox(event_bed *bed) {
    htt_rc rc = htt_inbox_accept(bed->db, "c", "m");
    if (rc == HTT_OK) {
        rc = htt_inbox_accept(bed->db, "c", "m");
        rc = rc == HTT_EXISTS ? HTT_OK : rc == HTT_OK ? HTT_SQL : rc;
    }
    return rc;
}

/* The calls in their order, as far as the first that fails. */
static htt_rc fault_sequence(event_bed *bed) {
    htt_rc rc = fault_append(bed);
    rc = rc == HTT_OK ? fault_register(bed) : rc;
    rc = rc == HTT_OK ? fault_deliver(bed) : rc;
    rc = rc == HTT_OK ? fault_rest(bed) : rc;
    if (rc == HTT_OK) {
        fault_armed = false; /* the bed itself bears no fault */
        bed_begin(bed);
        fault_armed = true;
        rc = fault_inbox(bed);
        fault_armed = false;
        bed_end(bed, rc == HTT_OK);
    }
    rc = rc == HTT_OK ? htt_consumer_register(bed->db, "d", NULL) : rc;
    return rc == HTT_OK ? htt_consumer_remove(bed->db, "d") : rc;
}

/* Without faults all that was appended is delivered, once. */
static void fault_drain(event_bed *bed) {
    htt_consumer_state state;
    bed_register(bed, "c", HTT_ON_DEAD_BLOCK, 20);
    for (int i = 0; i < 20; i++) {
        bed->now += 100000;
        const htt_rc rc = htt_dead_requeue(bed->db, "c", 0);
        assert_true(rc == HTT_OK || rc == HTT_NOTFOUND);
        htt_lease *const lease = bed_claim(bed, "c", "last", 100);
        if (lease != NULL) {
            assert_rc(bed->db, htt_delivery_ack_all(lease), HTT_OK);
            htt_lease_free(lease);
        }
    }
    state = bed_state(bed, "c");
    assert_int_equal(state.acknowledged, state.newest);
    assert_int_equal(state.dead + state.pending + state.waiting + state.leased + state.failed, 0);
    if (bed->connection != NULL) {
        assert_true(sqlite3_get_autocommit(bed->connection));
        assert_int_equal(bed_number(bed->connection, "SELECT count(*) FROM pragma_integrity_check "
                                                     "WHERE integrity_check <> 'ok'"),
                         0);
    }
}

/* A refusal of a trigger for whose text SQLite had no memory: which one it was is not known. */
static bool fault_is_mute(const htt_db *db, htt_rc rc) {
    return rc == HTT_CONSTRAINT &&
           strcmp(htt_db_errmsg(db), "events: constraint failed (SQLite 1811)") == 0;
}

/* One run with the fault at its n-th chance; false: it did not come to it. */
static bool fault_run(bed_kind kind, fault_kind fault, size_t chance) {
    event_bed bed;
    bed_open(&bed, kind);
    if (bed.connection != NULL) {
        sqlite3_progress_handler(bed.connection, fault == FAULT_STATEMENT, fault_progress, NULL);
        (void)sqlite3_set_authorizer(bed.connection, fault == FAULT_DENIED ? fault_authorize : NULL,
                                     NULL);
    }
    fault_of = fault;
    fault_left = chance;
    fault_happened = false;
    fault_armed = true;
    const htt_rc rc = fault_sequence(&bed);
    fault_armed = false;
    if (rc != HTT_OK && !fault_happened) {
        fail_msg("without a fault: %d %s", (int)rc, htt_db_errmsg(bed.db));
    }
    if (rc != HTT_OK) {
        if (htt_db_errcode(bed.db) != rc || htt_db_errmsg(bed.db)[0] == '\0') {
            fail_msg("%s %zu: %d, but the db has %d \"%s\"", fault_names[fault], chance, (int)rc,
                     (int)htt_db_errcode(bed.db), htt_db_errmsg(bed.db));
        }
        const bool expected = fault == FAULT_STATEMENT ? rc == HTT_ABORTED
                              : fault == FAULT_DENIED  ? rc == HTT_SQL
                                                       : rc == HTT_NOMEM || rc == HTT_ABORTED ||
                                                            fault_is_mute(bed.db, rc);
        if (!expected) {
            fail_msg("%s %zu: %d %s", fault_names[fault], chance, (int)rc, htt_db_errmsg(bed.db));
        }
    }
    const bool happened = fault_happened;
    fault_drain(&bed);
    bed_close(&bed);
    return happened;
}

static void fault_all(bed_kind kind, fault_kind fault) {
    static const size_t steps[] = {1, 1, 61, 61, 7};
    const size_t step = getenv("HTT_TEST_LONG") == NULL ? steps[fault] : 1;
    size_t count = 0;
    for (size_t chance = 0; fault_run(kind, fault, chance); chance += step) {
        count++;
    }
    print_message("%s: %s: %zu faults\n", kind == BED_FAKE ? "fake" : "database",
                  fault_names[fault], count);
    assert_true(count > 10);
}

static void test_faults__in_a_database_lose_nothing_and_say_what(void **state) {
    (void)state;
    for (fault_kind fault = FAULT_OURS; fault < FAULT_KINDS; fault++) {
        fault_all(BED_DATABASE, fault);
    }
}

static void test_faults__in_a_fake_lose_nothing_and_say_what(void **state) {
    (void)state;
    fault_all(BED_FAKE, FAULT_OURS);
    fault_all(BED_FAKE, FAULT_OURS_ON);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_faults__in_a_database_lose_nothing_and_say_what),
        cmocka_unit_test(test_faults__in_a_fake_lose_nothing_and_say_what),
    };
    sqlite3_mem_methods failing;
    if (sqlite3_config(SQLITE_CONFIG_GETMALLOC, &fault_methods) != SQLITE_OK) {
        return 1;
    }
    failing = fault_methods;
    failing.xMalloc = fault_malloc;
    failing.xRealloc = fault_realloc;
    /* No lookaside: it would hide allocations. */
    if (sqlite3_config(SQLITE_CONFIG_MALLOC, &failing) != SQLITE_OK ||
        sqlite3_config(SQLITE_CONFIG_LOOKASIDE, 0, 0) != SQLITE_OK) {
        return 1;
    }
    htt_memory_gate = fault_gate;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
