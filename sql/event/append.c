/* SPDX-License-Identifier: MIT */
/*
 * The log of events: append, read, purge.
 *
 * What costs little is checked here, with a text of its own; the rest is refused by the constraints
 * and triggers of htt_event.sql, whose texts say which result it is. JSON is checked by them too,
 * and looked at here only when they refused it, or in a fake, which has none.
 */
#include <string.h>

#include "sql/base/json.h"
#include "sql/event/event.h"
#include "sql/event/sql.h"

static htt_rc append_check_json(htt_db *db, const char *what, const char *text, size_t size) {
    size_t at = 0;
    if (htt_json_is_valid(text, size, &at)) {
        return HTT_OK;
    }
    return htt_db_fail(db, HTT_INVALID, "event: %s is not valid JSON at byte %zu", what, at);
}

static htt_rc append_check_type(htt_db *db, const htt_event *event) {
    const uint8_t type = event->payload.type;
    if (type > HTT_NULL) {
        return htt_db_fail(db, HTT_TYPE,
                           "event: the payload is no integer, real, text, blob or null");
    }
    const bool is_json = event->content_type == NULL || htt_event_is_json(event->content_type);
    if (is_json && type != HTT_TEXT && type != HTT_NULL && type != 0) {
        return htt_db_fail(db, HTT_INVALID,
                           "event: the payload is declared to be JSON and is no text: give it a "
                           "content_type, or JSON text");
    }
    return HTT_OK;
}

static htt_rc append_check_payload(htt_db *db, const htt_event *event) {
    const htt_datum payload = event->payload;
    if (payload.type != HTT_TEXT ||
        (event->content_type != NULL && !htt_event_is_json(event->content_type))) {
        return HTT_OK;
    }
    return append_check_json(db, "the payload", payload.data == NULL ? "" : payload.data,
                             payload.size);
}

static htt_rc append_check_headers(htt_db *db, const char *headers) {
    if (headers == NULL) {
        return HTT_OK;
    }
    const htt_rc rc = append_check_json(db, "headers", headers, strlen(headers));
    if (rc == HTT_OK && headers[strspn(headers, " \t\r\n")] != '{') {
        return htt_db_fail(db, HTT_INVALID, "event: headers is JSON, but no object");
    }
    return rc;
}

static htt_rc append_check(htt_db *db, const htt_event *event) {
    htt_rc rc = htt_event_check_name(db, "event: aggregate_type", event->aggregate_type, SIZE_MAX);
    if (rc == HTT_OK && strchr(event->aggregate_type, '/') != NULL) {
        rc = htt_db_fail(db, HTT_MISUSE, "event: aggregate_type '%s' has a slash in it",
                         event->aggregate_type);
    }
    if (rc == HTT_OK && event->aggregate_id == NULL) {
        rc = htt_db_fail(db, HTT_MISUSE, "event: aggregate_id is NULL: give it a text");
    }
    if (rc == HTT_OK) {
        rc = htt_event_check_name(db, "event: type", event->type, SIZE_MAX);
    }
    if (rc == HTT_OK && event->id != NULL) {
        rc = htt_event_check_name(db, "event: id", event->id, HTT_EVENT_ID_MAX);
    }
    if (rc == HTT_OK && event->idempotency_key != NULL) {
        rc = htt_event_check_name(db, "event: idempotency_key", event->idempotency_key,
                                  HTT_EVENT_ID_MAX);
    }
    if (rc == HTT_OK && (event->seq != 0 || event->created_at < 0 || event->available_at < 0)) {
        rc = htt_db_fail(db, HTT_MISUSE,
                         "event: seq is given by the database, and created_at and "
                         "available_at are not negative");
    }
    return rc == HTT_OK ? append_check_type(db, event) : rc;
}

static htt_rc append_check_texts(htt_db *db, const htt_event *event) {
    const htt_rc rc = append_check_payload(db, event);
    return rc == HTT_OK ? append_check_headers(db, event->headers) : rc;
}

/* The result that belongs to what htt_event.sql says. */
static htt_rc append_refused(htt_db *db, const htt_event *event, htt_rc rc) {
    static const struct {
        const char *text; /* a part of it */
        htt_rc rc;        /* its result */
    } known[] = {
        {"another event has this idempotency_key", HTT_CONFLICT},
        {"an event with this id is there already", HTT_EXISTS},
    };
    if (rc != HTT_CONSTRAINT) {
        return rc;
    }
    const char *const text = htt_db_errmsg(db);
    if (strstr(text, "JSON") != NULL) {
        const htt_rc refused = append_check_texts(db, event); /* says at which byte */
        /* What our own check accepts SQLite's does too, unless it has no memory for it. */
        return refused != HTT_OK ? refused : htt_db_fail_memory(db);
    }
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strstr(text, known[i].text) != NULL) {
            return htt_db_fail(db, known[i].rc, "%s", text);
        }
    }
    if (strstr(text, "unknown type") != NULL) {
        return htt_db_fail(db, HTT_NOTFOUND,
                           "event: type '%s' is not declared: htt_event_declare, or correct it",
                           event->type);
    }
    return rc;
}

/* The event as it is stored: with its defaults. */
static htt_event append_complete(htt_db *db, const htt_event *event, char uuid[EVENT_UUID_SIZE]) {
    htt_event full = *event;
    const int64_t now = htt_db_now_ms(db);
    if (full.id == NULL) {
        htt_event_uuid(db, now, uuid);
        full.id = uuid;
    }
    if (full.payload.type == 0) {
        full.payload = htt_null();
    }
    full.content_type = full.content_type == NULL ? "application/json" : full.content_type;
    full.headers = full.headers == NULL ? "{}" : full.headers;
    full.created_at = full.created_at == 0 ? now : full.created_at;
    return full;
}

static htt_rc append_insert(htt_db *db, const htt_event *event, htt_event_receipt *receipt_out) {
    htt_event_receipt receipt = {0, false};
    int64_t inserted = 0;
    /* The application's own last_insert_rowid() stays what it was. */
    const sqlite3_int64 rowid = sqlite3_last_insert_rowid(db->connection);
    const htt_rc rc = htt_event_run(db, EVENT_APPEND, &inserted, "ttttdtttii", event->id,
                                    event->aggregate_type, event->aggregate_id, event->type,
                                    event->payload, event->content_type, event->headers,
                                    event->idempotency_key, event->created_at, event->available_at);
    if (rc != HTT_OK) {
        return append_refused(db, event, rc);
    }
    receipt.is_known = inserted == 0;
    receipt.seq = sqlite3_last_insert_rowid(db->connection);
    sqlite3_set_last_insert_rowid(db->connection, rowid);
    if (receipt_out == NULL) {
        return HTT_OK;
    }
    if (receipt.is_known) {
        const htt_rc found =
            htt_event_number(db, EVENT_FIND_KEY, &receipt.seq, 0, "t", event->idempotency_key);
        if (found != HTT_OK) {
            return found;
        }
    }
    *receipt_out = receipt;
    return HTT_OK;
}

htt_rc htt_event_append(htt_db *db, const htt_event *event, htt_event_receipt *receipt_out) {
    char uuid[EVENT_UUID_SIZE];
    if (db == NULL) {
        return HTT_MISUSE;
    }
    if (event == NULL) {
        return htt_db_fail(db, HTT_MISUSE, "event: there is none, it is NULL");
    }
    htt_rc rc = append_check(db, event);
    if (rc != HTT_OK) {
        return rc;
    }
    const htt_event full = append_complete(db, event, uuid);
    if (!htt_db_is_fake(db)) {
        return append_insert(db, &full, receipt_out);
    }
    rc = append_check_texts(db, event);
    return rc == HTT_OK ? htt_fake_event_append(db, &full, receipt_out) : rc;
}

htt_rc htt_event_declare(htt_db *db, const char *type) {
    const htt_rc rc = htt_event_check_name(db, "event: type", type, SIZE_MAX);
    if (rc != HTT_OK) {
        return rc;
    }
    return htt_db_is_fake(db) ? htt_fake_event_declare(db, type)
                              : htt_event_run(db, EVENT_DECLARE, NULL, "t", type);
}

/* --------------------------------------------------------------- reading */

htt_rc htt_event_each(htt_db *db, int64_t after, uint32_t most, htt_event_visit visit, void *arg) {
    if (db == NULL) {
        return HTT_MISUSE;
    }
    if (htt_db_is_fake(db)) {
        return htt_fake_event_each(db, after, most, visit, arg);
    }
    sqlite3_stmt *statement;
    bool row = false;
    htt_rc rc = htt_event_begin(db, EVENT_EACH, &statement, "ii", after,
                                most == 0 ? INT64_MAX : (int64_t)most);
    if (rc != HTT_OK) {
        return rc;
    }
    rc = htt_event_step(db, statement, &row);
    while (rc == HTT_OK && row) {
        htt_event event;
        uint8_t scratch[HTT_NUMBER_SIZE];
        rc = htt_event_row(db, statement, &event, scratch);
        rc = rc == HTT_OK ? visit(arg, &event) : rc;
        rc = rc == HTT_OK ? htt_event_step(db, statement, &row) : rc;
    }
    htt_statement_done(statement);
    return rc;
}

htt_rc htt_event_newest(htt_db *db, int64_t *seq_out) {
    if (db == NULL) {
        return HTT_MISUSE;
    }
    return htt_db_is_fake(db) ? htt_fake_event_newest(db, seq_out)
                              : htt_event_number(db, EVENT_NEWEST, seq_out, 0, "");
}

/* ----------------------------------------------------------------- purge */

htt_rc htt_event_purge(htt_db *db, int64_t retention_ms, uint32_t most, uint32_t *deleted_out) {
    int64_t deleted = 0;
    uint32_t deleted_of_fake = 0;
    htt_rc rc = htt_event_check_age(db, "events", retention_ms);
    if (rc != HTT_OK) {
        return rc;
    }
    const int64_t before = htt_db_now_ms(db) - retention_ms;
    const uint32_t page = most == 0 ? HTT_EVENT_PAGE : most;
    if (htt_db_is_fake(db)) {
        rc = htt_fake_event_purge(db, before, page, &deleted_of_fake);
        deleted = deleted_of_fake;
    } else {
        rc = htt_event_run(db, EVENT_PURGE, &deleted, "ii", before, (int64_t)page);
    }
    if (rc == HTT_OK && deleted_out != NULL) {
        *deleted_out = (uint32_t)deleted;
    }
    return rc;
}
