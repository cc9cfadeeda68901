/* SPDX-License-Identifier: MIT */
/* See event_bed.h. */
#include "event_bed.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "sql/base/db.h"

static int64_t bed_now(void *context) {
    return ((event_bed *)context)->now;
}

static uint64_t bed_random(void *context) {
    event_bed *const bed = context;
    bed->chance += 0x9e3779b97f4a7c15;
    uint64_t mixed = bed->chance;
    mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9;
    mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111eb;
    return mixed ^ mixed >> 31;
}

static void bed_sleep(void *context, uint64_t milliseconds) {
    ((event_bed *)context)->now += (int64_t)milliseconds;
}

htt_platform bed_platform(event_bed *bed) {
    const htt_platform platform = {bed, bed_now, bed_random, bed_sleep};
    return platform;
}

void bed_exec(sqlite3 *connection, const char *sql) {
    char *message = NULL;
    if (sqlite3_exec(connection, sql, NULL, NULL, &message) != SQLITE_OK) {
        fail_msg("%s: %s", sql, message);
    }
}

int64_t bed_number(sqlite3 *connection, const char *sql) {
    sqlite3_stmt *statement;
    if (sqlite3_prepare_v2(connection, sql, -1, &statement, NULL) != SQLITE_OK) {
        fail_msg("%s: %s", sql, sqlite3_errmsg(connection));
    }
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    const int64_t found = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return found;
}

void bed_open(event_bed *bed, bed_kind kind) {
    htt_db_options options;
    memset(bed, 0, sizeof *bed);
    bed->kind = kind;
    bed->now = 1700000000000;
    const htt_platform platform = bed_platform(bed);
    htt_db_options_init(&options);
    options.platform = &platform;
    if (kind == BED_FAKE) {
        assert_int_equal(htt_db_open_fake(&options, &bed->db), HTT_OK);
        return;
    }
    assert_int_equal(sqlite3_open(":memory:", &bed->connection), SQLITE_OK);
    if (kind == BED_UTF16) {
        bed_exec(bed->connection, "PRAGMA encoding = 'UTF-16le'");
    }
    if (kind == BED_ATTACHED) {
        bed_exec(bed->connection, "ATTACH ':memory:' AS 'oth\"er'");
        options.schema = "oth\"er";
    }
    assert_int_equal(htt_db_open(bed->connection, &options, &bed->db), HTT_OK);
    assert_rc(bed->db, htt_db_install(bed->db, "event"), HTT_OK);
}

void bed_close(event_bed *bed) {
    assert_rc(bed->db, htt_db_close(bed->db), HTT_OK);
    if (bed->connection != NULL) {
        assert_int_equal(sqlite3_close(bed->connection), SQLITE_OK);
    }
}

static htt_scope bed_scope; /* one at a time */

void bed_begin(event_bed *bed) {
    assert_rc(bed->db, htt_scope_enter(bed->db, &bed_scope, HTT_SCOPE_IMMEDIATE), HTT_OK);
}

void bed_end(event_bed *bed, bool commit) {
    if (commit) {
        assert_rc(bed->db, htt_scope_commit(bed->db, &bed_scope), HTT_OK);
    } else {
        htt_scope_rollback(bed->db, &bed_scope);
    }
}

htt_event bed_event(void) {
    const htt_event event = {.aggregate_type = "order",
                             .aggregate_id = "1",
                             .type = "placed",
                             .payload = htt_text("{}")};
    return event;
}

int64_t bed_append(event_bed *bed, const char *aggregate_id) {
    htt_event event = bed_event();
    htt_event_receipt receipt;
    event.aggregate_id = aggregate_id;
    assert_rc(bed->db, htt_event_append(bed->db, &event, &receipt), HTT_OK);
    assert_false(receipt.is_known);
    return receipt.seq;
}

void bed_register(event_bed *bed, const char *name, htt_on_dead on_dead, uint32_t max_attempts) {
    htt_consumer_options options;
    htt_consumer_options_init(&options);
    options.from = HTT_FROM_OLDEST;
    options.on_dead = on_dead;
    options.max_attempts = max_attempts;
    assert_rc(bed->db, htt_consumer_register(bed->db, name, &options), HTT_OK);
}

htt_lease *bed_claim(event_bed *bed, const char *consumer, const char *worker, uint32_t most) {
    htt_claim_options options;
    htt_lease *lease = NULL;
    htt_claim_options_init(&options);
    options.most = most;
    const htt_rc rc = htt_delivery_claim(bed->db, consumer, worker, &options, &lease);
    if (rc != HTT_NOTFOUND) {
        assert_rc(bed->db, rc, HTT_OK);
        assert_true(htt_lease_count(lease) > 0);
        assert_true(htt_lease_count(lease) <= most);
    }
    return lease;
}

const char *bed_seqs(const htt_lease *lease) {
    static char text[4096];
    size_t length = 0;
    text[0] = '\0';
    for (size_t i = 0; lease != NULL && i < htt_lease_count(lease); i++) {
        length += (size_t)snprintf(text + length, sizeof text - length, "%s%" PRId64,
                                   i == 0 ? "" : " ", htt_lease_at(lease, i)->event.seq);
    }
    return text;
}

htt_consumer_state bed_state(event_bed *bed, const char *consumer) {
    htt_consumer_state state;
    assert_rc(bed->db, htt_consumer_read(bed->db, consumer, &state), HTT_OK);
    return state;
}

void bed_says(const char *message, const char *text, const char *file, int line) {
    if (strstr(message, text) == NULL) {
        print_error("%s:%d: \"%s\" does not say \"%s\"\n", file, line, message, text);
        fail();
    }
}

htt_rc see(void *arg, const htt_event *event) {
    seen *const all = arg;
    const char *const texts[] = {
        event->id,           event->aggregate_type, event->aggregate_id,   event->type,
        event->content_type, event->headers,        event->idempotency_key};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        (void)snprintf(all->text[i], sizeof all->text[i], "%s", texts[i] == NULL ? "" : texts[i]);
    }
    assert_true(event->payload.size <= sizeof all->payload);
    if (event->payload.size > 0) {
        memcpy(all->payload, event->payload.data, event->payload.size);
    }
    all->payload_size = event->payload.size;
    all->type = event->payload.type;
    all->created_at = event->created_at;
    all->available_at = event->available_at;
    all->seqs[all->count++] = event->seq;
    return HTT_OK;
}
