/* SPDX-License-Identifier: MIT */
/*
 * The statements. Ids of events are below 2^40 (1099511627776): above it are rows of htt_outbox.
 *
 *   a row of htt_delivery BLOCKS the later ones of its lane   when it is not settled: neither done
 *                                                             nor, for who skips those, dead
 *   HEAD of a consumer   the last event that was looked at; behind it all are pending
 */
#include "sql/event/sql.h"

#include <assert.h>
#include <stdarg.h>

#define EVENT_COLUMNS                                                                              \
    "e.seq, e.id, e.aggregate_type, e.aggregate_id, e.type, e.payload, e.content_type, "           \
    "e.headers, e.idempotency_key, e.created_at, e.available_at"
#define HEAD                                                                                       \
    "max(c.acknowledged, coalesce((SELECT max(h.id) FROM {schema}.htt_delivery AS h "              \
    "WHERE h.consumer = ?1 AND h.id < 1099511627776), 0))"
/* The parts of a condition on htt_delivery AS b that it blocks others; ?1 is the consumer. */
#define BLOCKS                                                                                     \
    "b.state <> 'done' AND (b.state <> 'dead' OR (SELECT s.on_dead FROM "                          \
    "{schema}.htt_subscription AS s WHERE s.consumer = ?1) = 'block')"
/* An event of the lane, where `other` holds, blocks. SQLite's planner would not take the index. */
#define BLOCKED(other)                                                                             \
    "EXISTS (SELECT 1 FROM {schema}.htt_delivery AS b INDEXED BY htt_delivery_lane "               \
    "WHERE b.consumer = ?1 AND " other " AND " BLOCKS ")"
#define OUR_LEASE "state = 'leased' AND token = ?3 AND due_at > ?4"
/* A delivery whose lease is over too often dies of it; htt_subscription is s. */
#define USED_UP "attempts >= s.max_attempts"

static const char *const event_texts[] = {
    [EVENT_APPEND] =
        "INSERT INTO {schema}.htt_event(id, aggregate_type, aggregate_id, type, payload, "
        "content_type, headers, idempotency_key, created_at, available_at) "
        "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    [EVENT_FIND_KEY] = "SELECT seq FROM {schema}.htt_event WHERE idempotency_key = ?1",
    [EVENT_DECLARE] = "INSERT INTO {schema}.htt_event_type(type) VALUES (?1) "
                      "ON CONFLICT(type) DO NOTHING",
    [EVENT_NEWEST] = "SELECT coalesce(max(seq), 0) FROM {schema}.htt_event",
    [EVENT_READ] = "SELECT " EVENT_COLUMNS " FROM {schema}.htt_event AS e WHERE e.seq = ?1",
    [EVENT_EACH] = "SELECT " EVENT_COLUMNS " FROM {schema}.htt_event AS e WHERE e.seq > ?1 "
                   "ORDER BY e.seq LIMIT ?2",
    [EVENT_PURGE] =
        "DELETE FROM {schema}.htt_event WHERE seq IN ("
        "SELECT e.seq FROM {schema}.htt_event AS e "
        "WHERE e.created_at < ?1 AND e.seq < (SELECT max(seq) FROM {schema}.htt_event) "
        "AND e.seq <= ("
        "SELECT coalesce(min(CASE typeof(c.acknowledged) WHEN 'integer' THEN c.acknowledged "
        "ELSE 0 END), 9223372036854775807) FROM {schema}.htt_consumer AS c WHERE c.store = 0) "
        "AND NOT EXISTS (SELECT 1 FROM {schema}.htt_consumer AS c CROSS JOIN {schema}.htt_delivery "
        "AS d "
        "ON d.consumer = c.name AND d.id = e.seq WHERE c.store = 0) ORDER BY e.seq LIMIT ?2)",

    [CONSUMER_ADD] = "INSERT INTO {schema}.htt_consumer(name, store, acknowledged) SELECT ?1, 0, "
                     "CASE WHEN ?2 THEN coalesce(min(seq) - 1, 0) ELSE coalesce(max(seq), 0) END "
                     "FROM {schema}.htt_event",
    [CONSUMER_ADD_RULES] = "INSERT INTO {schema}.htt_subscription(consumer) VALUES (?1) "
                           "ON CONFLICT(consumer) DO NOTHING",
    [CONSUMER_RULES] =
        "UPDATE {schema}.htt_subscription SET types = ?2, on_dead = ?3, max_attempts = ?4, "
        "backoff_first = ?5, backoff_most = ?6 WHERE consumer = ?1 AND (types IS NOT ?2 OR "
        "on_dead <> ?3 OR max_attempts <> ?4 OR backoff_first <> ?5 OR backoff_most <> ?6)",
    [CONSUMER_UNKNOWN] = "SELECT value FROM json_each(?1) WHERE value NOT IN "
                         "(SELECT type FROM {schema}.htt_event_type) LIMIT 1",
    [CONSUMER_REMOVE] = "DELETE FROM {schema}.htt_consumer WHERE name = ?1 AND store = 0",
    [CONSUMER_STATE] = "SELECT acknowledged, newest, pending, waiting, leased, failed, dead "
                       "FROM {schema}.htt_lag WHERE consumer = ?1",

    [DELIVERY_POLL] =
        "SELECT s.fence IS NOT NULL, EXISTS (SELECT 1 FROM {schema}.htt_delivery AS d "
        "INDEXED BY htt_delivery_due WHERE d.consumer = ?1 AND d.due_at <= ?2 "
        "AND d.id < 1099511627776) OR "
        "(SELECT max(seq) FROM {schema}.htt_event) > " HEAD
        " FROM {schema}.htt_consumer AS c LEFT JOIN {schema}.htt_subscription AS s "
        "ON s.consumer = c.name WHERE c.name = ?1 AND c.store = 0",
    [DELIVERY_FENCE] = "UPDATE {schema}.htt_subscription SET fence = fence + 1 "
                       "WHERE consumer = ?1 RETURNING fence",
    [DELIVERY_LOOK] =
        "INSERT INTO {schema}.htt_delivery(consumer, id, lane, state, due_at) "
        "SELECT ?1, w.seq, w.lane, w.state, CASE w.state WHEN 'pending' THEN w.available_at END "
        "FROM (SELECT n.*, CASE WHEN NOT n.wanted THEN 'done' "
        "WHEN row_number() OVER (PARTITION BY n.wanted, n.lane ORDER BY n.seq) > 1 THEN 'waiting' "
        "WHEN " BLOCKED("b.lane = n.lane") " THEN 'waiting' ELSE 'pending' END AS state, "
                                           "max(n.seq) OVER () AS last FROM ("
                                           "SELECT e.seq, e.aggregate_type || '/' || "
                                           "e.aggregate_id AS lane, e.available_at, "
                                           "s.types IS NULL OR e.type IN (SELECT value FROM "
                                           "json_each(s.types)) AS wanted "
                                           "FROM {schema}.htt_consumer AS c JOIN "
                                           "{schema}.htt_subscription AS s "
                                           "ON s.consumer = c.name JOIN {schema}.htt_event AS e ON "
                                           "e.seq > " HEAD " WHERE c.name = ?1 AND c.store = 0 "
                                           "ORDER BY e.seq LIMIT ?2) AS n) AS w "
                                           "WHERE w.wanted OR w.seq = w.last ORDER BY w.seq",
    [DELIVERY_LEASE] =
        "UPDATE {schema}.htt_delivery SET "
        "state = CASE WHEN " USED_UP " THEN 'dead' ELSE 'leased' END, "
        "due_at = CASE WHEN " USED_UP " THEN NULL ELSE ?8 END, "
        "attempts = CASE WHEN " USED_UP " THEN attempts ELSE attempts + 1 END, "
        "locked_by = CASE WHEN " USED_UP " THEN locked_by ELSE ?6 END, "
        "token = CASE WHEN " USED_UP " THEN token ELSE ?7 END, "
        "last_error = CASE WHEN " USED_UP " AND state = 'leased' THEN "
        "'the last worker did not say what became of it before its lease was over' "
        "ELSE last_error END, "
        "failed_at = CASE WHEN " USED_UP " THEN ?2 ELSE failed_at END "
        "FROM {schema}.htt_subscription AS s WHERE s.consumer = ?1 "
        "AND htt_delivery.consumer = ?1 AND id IN (SELECT d.id FROM {schema}.htt_delivery AS d "
        "INDEXED BY htt_delivery_due WHERE d.consumer = ?1 AND d.due_at >= ?3 AND d.due_at <= ?4 "
        "AND d.id < 1099511627776 AND NOT " BLOCKED(
            "b.lane = d.lane AND b.id < d.id") " ORDER BY d.due_at, d.id LIMIT ?5) "
                                               "RETURNING id, attempts, state = 'leased'",
    [DELIVERY_ACK] = "UPDATE {schema}.htt_delivery SET state = 'done', due_at = NULL "
                     "WHERE consumer = ?1 AND id = ?2 AND " OUR_LEASE,
    [DELIVERY_FAIL] =
        "UPDATE {schema}.htt_delivery SET "
        "state = CASE WHEN ?7 OR " USED_UP " THEN 'dead' ELSE 'failed' END, "
        "due_at = CASE WHEN ?7 OR " USED_UP " THEN NULL ELSE ?4 + "
        "(min(s.backoff_most, s.backoff_first << min(attempts - 1, 20)) * (2000 - ?6) + 1999) "
        "/ 2000 END, last_error = substr(?5, 1, 1000), failed_at = ?4 "
        "FROM {schema}.htt_subscription AS s WHERE s.consumer = ?1 "
        "AND htt_delivery.consumer = ?1 AND id = ?2 AND " OUR_LEASE,
    [DELIVERY_RELEASE] = "UPDATE {schema}.htt_delivery SET state = 'pending', due_at = 0, "
                         "attempts = attempts - 1 WHERE consumer = ?1 AND id = ?2 AND " OUR_LEASE,
    [DELIVERY_EXTEND] = "UPDATE {schema}.htt_delivery SET due_at = ?5 "
                        "WHERE consumer = ?1 AND id = ?2 AND " OUR_LEASE,
    [DELIVERY_STATE] = "SELECT state, locked_by, token, due_at FROM {schema}.htt_delivery "
                       "WHERE consumer = ?1 AND id = ?2",

    [DEAD_EACH] = "SELECT " EVENT_COLUMNS ", d.attempts, d.failed_at, d.last_error, d.locked_by "
                  "FROM {schema}.htt_delivery AS d INDEXED BY htt_delivery_dead "
                  "JOIN {schema}.htt_event AS e ON e.seq = d.id "
                  "WHERE d.consumer = ?1 AND d.state = 'dead' AND d.id > ?2 ORDER BY d.id LIMIT ?3",
    [DEAD_REQUEUE] = "UPDATE {schema}.htt_delivery SET state = 'pending', due_at = 0, attempts = 0 "
                     "WHERE consumer = ?1 AND state = 'dead' AND (id = ?2 OR ?2 = 0)",
    [DEAD_DISCARD] = "UPDATE {schema}.htt_delivery SET state = 'done' "
                     "WHERE consumer = ?1 AND state = 'dead' AND id = ?2",

    [INBOX_ACCEPT] = "INSERT INTO {schema}.htt_inbox(consumer, message_id, received_at) "
                     "VALUES (?1, ?2, ?3) ON CONFLICT(consumer, message_id) DO NOTHING",
    [INBOX_PURGE] = "DELETE FROM {schema}.htt_inbox WHERE (consumer, message_id) IN (SELECT "
                    "consumer, message_id FROM {schema}.htt_inbox WHERE received_at < ?1 LIMIT ?2)",

    [IDEMPOTENCY_READ] = "SELECT request, state = 'finished', result, created_at, expires_at, "
                         "token FROM {schema}.htt_idempotency WHERE scope = ?1 AND key = ?2",
    [IDEMPOTENCY_BEGIN] =
        "INSERT OR REPLACE INTO {schema}.htt_idempotency(scope, key, request, state, created_at, "
        "expires_at, token) VALUES (?1, ?2, ?3, 'running', ?4, ?5, ?6)",
    [IDEMPOTENCY_FINISH] =
        "UPDATE {schema}.htt_idempotency SET state = 'finished', result = ?4, expires_at = ?5 "
        "WHERE scope = ?1 AND key = ?2 AND token = ?3 AND state = 'running'",
    [IDEMPOTENCY_ABANDON] = "DELETE FROM {schema}.htt_idempotency "
                            "WHERE scope = ?1 AND key = ?2 AND token = ?3 AND state = 'running'",
    [IDEMPOTENCY_PURGE] =
        "DELETE FROM {schema}.htt_idempotency WHERE (scope, key) IN (SELECT scope, key FROM "
        "{schema}.htt_idempotency WHERE expires_at <= ?1 LIMIT ?2)",
};
static_assert(sizeof event_texts / sizeof event_texts[0] == EVENT_SQL_COUNT, "one text each");
const htt_statement_table htt_event_statements = {"events", event_texts, EVENT_SQL_COUNT, NULL};

static htt_rc event_begin_list(htt_db *db, htt_event_sql which, sqlite3_stmt **statement_out,
                               const char *letters, va_list arguments) {
    htt_rc rc = htt_statement_get(db, &htt_event_statements, which, statement_out);
    if (rc == HTT_OK) {
        rc = htt_statement_bind_list(db, &htt_event_statements, *statement_out, letters, arguments);
    }
    return rc;
}

htt_rc htt_event_begin(htt_db *db, htt_event_sql which, sqlite3_stmt **statement_out,
                       const char *letters, ...) {
    va_list arguments;
    va_start(arguments, letters);
    const htt_rc rc = event_begin_list(db, which, statement_out, letters, arguments);
    va_end(arguments);
    return rc;
}

htt_rc htt_event_step(htt_db *db, sqlite3_stmt *statement, bool *row_out) {
    return htt_statement_step(db, &htt_event_statements, statement, row_out);
}

htt_rc htt_event_run(htt_db *db, htt_event_sql which, int64_t *changed_out, const char *letters,
                     ...) {
    sqlite3_stmt *statement;
    va_list arguments;
    va_start(arguments, letters);
    htt_rc rc = event_begin_list(db, which, &statement, letters, arguments);
    va_end(arguments);
    if (rc == HTT_OK) {
        rc = htt_statement_run(db, &htt_event_statements, statement);
    }
    if (rc == HTT_OK && changed_out != NULL) {
        *changed_out = sqlite3_changes64(db->connection);
    }
    return rc;
}

htt_rc htt_event_number(htt_db *db, htt_event_sql which, int64_t *number_out, int64_t otherwise,
                        const char *letters, ...) {
    sqlite3_stmt *statement;
    bool row = false;
    va_list arguments;
    va_start(arguments, letters);
    htt_rc rc = event_begin_list(db, which, &statement, letters, arguments);
    va_end(arguments);
    if (rc != HTT_OK) {
        return rc;
    }
    rc = htt_event_step(db, statement, &row);
    if (rc == HTT_OK) {
        *number_out = row ? sqlite3_column_int64(statement, 0) : otherwise;
    }
    htt_statement_done(statement);
    return rc;
}

const char *htt_event_text(sqlite3_stmt *statement, int column) {
    return (const char *)sqlite3_column_text(statement, column);
}

htt_datum htt_event_datum(sqlite3_stmt *statement, int column, uint8_t scratch[HTT_NUMBER_SIZE]) {
    const void *data;
    switch (sqlite3_column_type(statement, column)) {
    case SQLITE_INTEGER: return htt_integer(sqlite3_column_int64(statement, column), scratch);
    case SQLITE_FLOAT: return htt_real(sqlite3_column_double(statement, column), scratch);
    case SQLITE_TEXT:
        data = sqlite3_column_text(statement, column);
        return htt_bytes(data, (size_t)sqlite3_column_bytes(statement, column), HTT_TEXT);
    case SQLITE_BLOB:
        data = sqlite3_column_blob(statement, column);
        return htt_blob(data, (size_t)sqlite3_column_bytes(statement, column));
    default: return htt_null();
    }
}

htt_rc htt_event_row(htt_db *db, sqlite3_stmt *statement, htt_event *event_out,
                     uint8_t scratch[HTT_NUMBER_SIZE]) {
    const htt_event event = {
        .seq = sqlite3_column_int64(statement, 0),
        .id = htt_event_text(statement, 1),
        .aggregate_type = htt_event_text(statement, 2),
        .aggregate_id = htt_event_text(statement, 3),
        .type = htt_event_text(statement, 4),
        .payload = htt_event_datum(statement, 5, scratch),
        .content_type = htt_event_text(statement, 6),
        .headers = htt_event_text(statement, 7),
        .idempotency_key = htt_event_text(statement, 8),
        .created_at = sqlite3_column_int64(statement, 9),
        .available_at = sqlite3_column_int64(statement, 10),
    };
    /* Texts of a UTF-16 database are converted, which takes memory. */
    if (sqlite3_errcode(db->connection) == SQLITE_NOMEM) {
        return htt_db_fail_memory(db);
    }
    *event_out = event;
    return HTT_OK;
}
