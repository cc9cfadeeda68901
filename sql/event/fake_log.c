/* SPDX-License-Identifier: MIT */
/* The fake's events, types, inbox and idempotency keys. */
#include <assert.h>
#include <string.h>

#include "sql/base/memory.h"
#include "sql/event/fake.h"
#include "sql/event/idempotency.h"

static const htt_fake_bytes fake_nothing = {NULL, 0};

/* Columns of htt_event behind its key. */
enum {
    FAKE_EVENT_ID,
    FAKE_EVENT_AGGREGATE_TYPE,
    FAKE_EVENT_AGGREGATE_ID,
    FAKE_EVENT_TYPE,
    FAKE_EVENT_PAYLOAD,
    FAKE_EVENT_CONTENT_TYPE,
    FAKE_EVENT_HEADERS,
    FAKE_EVENT_IDEMPOTENCY_KEY,
    FAKE_EVENT_CREATED_AT,
    FAKE_EVENT_AVAILABLE_AT
};

void htt_fake_event(const htt_fake_row *row, htt_fake_columns *columns, htt_event *event_out) {
    htt_fake_read(row, columns);
    *event_out = (htt_event){
        .seq = htt_fake_number_back(row->key.data),
        .id = htt_fake_text(columns, FAKE_EVENT_ID),
        .aggregate_type = htt_fake_text(columns, FAKE_EVENT_AGGREGATE_TYPE),
        .aggregate_id = htt_fake_text(columns, FAKE_EVENT_AGGREGATE_ID),
        .type = htt_fake_text(columns, FAKE_EVENT_TYPE),
        .payload = columns->columns[FAKE_EVENT_PAYLOAD],
        .content_type = htt_fake_text(columns, FAKE_EVENT_CONTENT_TYPE),
        .headers = htt_fake_text(columns, FAKE_EVENT_HEADERS),
        .idempotency_key = htt_fake_text(columns, FAKE_EVENT_IDEMPOTENCY_KEY),
        .created_at = htt_fake_integer(columns, FAKE_EVENT_CREATED_AT),
        .available_at = htt_fake_integer(columns, FAKE_EVENT_AVAILABLE_AT),
    };
}

static bool fake_same_payload(htt_datum a, htt_datum b) {
    return a.type == b.type && a.size == b.size &&
           (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

static bool fake_same_event(const htt_event *a, const htt_event *b) {
    return strcmp(a->aggregate_type, b->aggregate_type) == 0 &&
           strcmp(a->aggregate_id, b->aggregate_id) == 0 && strcmp(a->type, b->type) == 0 &&
           strcmp(a->content_type, b->content_type) == 0 && strcmp(a->headers, b->headers) == 0 &&
           fake_same_payload(a->payload, b->payload);
}

/* What the trigger on htt_event asks. HTT_OK with seq_out > 0: it is there already. */
static htt_rc fake_append_check(htt_db *db, htt_fake_table *events, const htt_event *event,
                                int64_t *seq_out) {
    htt_fake_columns columns;
    htt_event other;
    bool same_id = false;
    for (const htt_fake_row *row = htt_fake_first(events, fake_nothing); row != NULL;
         row = htt_fake_next(events, row)) {
        htt_fake_event(row, &columns, &other);
        if (event->idempotency_key != NULL && other.idempotency_key != NULL &&
            strcmp(event->idempotency_key, other.idempotency_key) == 0) {
            *seq_out = other.seq;
            return fake_same_event(event, &other)
                       ? HTT_OK
                       : htt_db_fail(db, HTT_CONFLICT,
                                     "events: another event has this idempotency_key");
        }
        same_id = same_id || strcmp(event->id, other.id) == 0;
    }
    return same_id ? htt_db_fail(db, HTT_EXISTS, "events: an event with this id is there already")
                   : HTT_OK;
}

static htt_rc fake_append_check_type(htt_db *db, const char *type) {
    htt_fake_table *types;
    const htt_rc rc = htt_fake_table_get(db->fake, "htt_event_type", &types);
    if (rc != HTT_OK) {
        return rc;
    }
    return htt_fake_count(types) == 0 ||
                   htt_fake_find(types, (htt_fake_bytes){type, strlen(type)}) != NULL
               ? HTT_OK
               : htt_db_fail(db, HTT_NOTFOUND,
                             "event: type '%s' is not declared: htt_event_declare, or correct it",
                             type);
}

static htt_rc fake_append_write(htt_fake_table *events, const htt_event *event, int64_t seq) {
    htt_fake_columns row = {.count = 0};
    uint8_t key[8];
    htt_fake_add_text(&row, event->id);
    htt_fake_add_text(&row, event->aggregate_type);
    htt_fake_add_text(&row, event->aggregate_id);
    htt_fake_add_text(&row, event->type);
    htt_fake_add_datum(&row, event->payload);
    htt_fake_add_text(&row, event->content_type);
    htt_fake_add_text(&row, event->headers);
    htt_fake_add_text(&row, event->idempotency_key);
    htt_fake_add_integer(&row, event->created_at);
    htt_fake_add_integer(&row, event->available_at);
    const size_t size = htt_row_size(row.columns, row.count);
    uint8_t *const value = htt_memory_new(size);
    if (value == NULL) {
        return HTT_NOMEM;
    }
    htt_row_encode(row.columns, row.count, value);
    htt_fake_number(seq, key);
    const htt_rc rc =
        htt_fake_put(events, (htt_fake_bytes){key, sizeof key}, (htt_fake_bytes){value, size});
    htt_memory_free(value);
    return rc;
}

htt_rc htt_fake_event_append(htt_db *db, const htt_event *event, htt_event_receipt *receipt_out) {
    htt_fake_table *events;
    int64_t seq = 0;
    int64_t newest = 0;
    htt_rc rc = htt_fake_table_get(db->fake, "htt_event", &events);
    if (rc == HTT_OK) {
        rc = fake_append_check(db, events, event, &seq);
    }
    const bool is_known = seq > 0;
    if (rc == HTT_OK && !is_known) {
        rc = fake_append_check_type(db, event->type);
    }
    if (rc == HTT_OK && !is_known) {
        (void)htt_fake_event_newest(db, &newest); /* the table is there */
        seq = newest + 1;
        rc = fake_append_write(events, event, seq);
        rc = rc == HTT_NOMEM ? htt_db_fail_memory(db) : rc;
    }
    if (rc == HTT_OK && receipt_out != NULL) {
        *receipt_out = (htt_event_receipt){seq, is_known};
    }
    return rc;
}

htt_rc htt_fake_event_declare(htt_db *db, const char *type) {
    htt_fake_table *types;
    const htt_rc rc = htt_fake_table_get(db->fake, "htt_event_type", &types);
    return rc == HTT_OK ? htt_fake_put(types, (htt_fake_bytes){type, strlen(type)}, fake_nothing)
                        : rc;
}

htt_rc htt_fake_event_each(htt_db *db, int64_t after, uint32_t most, htt_event_visit visit,
                           void *arg) {
    htt_fake_table *events;
    uint32_t count = 0;
    htt_rc rc = htt_fake_table_get(db->fake, "htt_event", &events);
    if (rc != HTT_OK) {
        return rc;
    }
    for (const htt_fake_row *row = htt_fake_first(events, fake_nothing);
         rc == HTT_OK && row != NULL && (most == 0 || count < most);
         row = htt_fake_next(events, row)) {
        htt_fake_columns columns;
        htt_event event;
        htt_fake_event(row, &columns, &event);
        if (event.seq > after) {
            count++;
            rc = visit(arg, &event);
        }
    }
    return rc;
}

htt_rc htt_fake_event_newest(htt_db *db, int64_t *seq_out) {
    htt_fake_table *events;
    const htt_rc rc = htt_fake_table_get(db->fake, "htt_event", &events);
    if (rc == HTT_OK) {
        const htt_fake_row *const last = htt_fake_last(events);
        *seq_out = last == NULL ? 0 : htt_fake_number_back(last->key.data);
    }
    return rc;
}

/* ----------------------------------------------------------------- inbox */

static htt_fake_bytes fake_text_bytes(const char *text) {
    return (htt_fake_bytes){text, strlen(text)};
}

htt_rc htt_fake_inbox_accept(htt_db *db, const char *consumer, const char *message_id) {
    htt_fake_columns row = {.count = 0};
    const htt_fake_row *found = NULL;
    const htt_rc rc =
        htt_fake_read_key(db, "htt_inbox", consumer, fake_text_bytes(message_id), &found);
    if (rc != HTT_OK || found != NULL) {
        return rc != HTT_OK ? rc : HTT_EXISTS;
    }
    htt_fake_add_integer(&row, htt_db_now_ms(db));
    return htt_fake_write(db, "htt_inbox", consumer, fake_text_bytes(message_id), &row);
}

/* Deletes at most `most` rows whose integer `column` is below `before`. */
static htt_rc fake_purge(htt_db *db, const char *name, uint32_t column, int64_t before,
                         uint32_t most, uint32_t *deleted_out) {
    htt_fake_table *table;
    htt_scope scope;
    uint32_t deleted = 0;
    htt_rc rc = htt_fake_table_get(db->fake, name, &table);
    if (rc == HTT_OK) {
        rc = htt_scope_enter(db, &scope, HTT_SCOPE_IMMEDIATE);
    }
    if (rc != HTT_OK) {
        return rc;
    }
    for (const htt_fake_row *row = htt_fake_first(table, fake_nothing);
         rc == HTT_OK && row != NULL && deleted < most; row = htt_fake_next(table, row)) {
        htt_fake_columns columns;
        htt_fake_read(row, &columns);
        if (htt_fake_integer(&columns, column) < before) {
            rc = htt_fake_remove(table, row->key);
            deleted++;
        }
    }
    rc = htt_scope_leave(db, &scope, rc);
    if (rc == HTT_OK) {
        *deleted_out = deleted;
    }
    return rc;
}

htt_rc htt_fake_inbox_purge(htt_db *db, int64_t before, uint32_t most, uint32_t *deleted_out) {
    return fake_purge(db, "htt_inbox", 0, before, most, deleted_out);
}

/* ----------------------------------------------------------- idempotency */

/* Columns of htt_idempotency behind its key. */
enum {
    FAKE_IDEMPOTENCY_REQUEST,
    FAKE_IDEMPOTENCY_FINISHED,
    FAKE_IDEMPOTENCY_RESULT,
    FAKE_IDEMPOTENCY_CREATED_AT,
    FAKE_IDEMPOTENCY_EXPIRES_AT,
    FAKE_IDEMPOTENCY_TOKEN
};

htt_rc htt_fake_idempotency_read(htt_db *db, const char *scope, const char *key, bool *found_out,
                                 htt_idempotency_visit visit, void *arg) {
    const htt_fake_row *found = NULL;
    const htt_rc rc = htt_fake_read_key(db, "htt_idempotency", scope, fake_text_bytes(key), &found);
    if (rc != HTT_OK || found == NULL) {
        return rc;
    }
    htt_fake_columns columns;
    htt_idempotency_row row;
    htt_fake_read(found, &columns);
    memcpy(row.request, columns.columns[FAKE_IDEMPOTENCY_REQUEST].data, sizeof row.request);
    row.is_finished = htt_fake_integer(&columns, FAKE_IDEMPOTENCY_FINISHED) != 0;
    row.result = columns.columns[FAKE_IDEMPOTENCY_RESULT];
    row.created_at = htt_fake_integer(&columns, FAKE_IDEMPOTENCY_CREATED_AT);
    row.expires_at = htt_fake_integer(&columns, FAKE_IDEMPOTENCY_EXPIRES_AT);
    row.token = htt_fake_integer(&columns, FAKE_IDEMPOTENCY_TOKEN);
    *found_out = true;
    return visit(arg, &row);
}

htt_rc htt_fake_idempotency_write(htt_db *db, const char *scope, const char *key,
                                  const htt_idempotency_row *row) {
    htt_fake_columns columns = {.count = 0};
    htt_fake_add_datum(&columns, htt_blob(row->request, sizeof row->request));
    htt_fake_add_integer(&columns, row->is_finished);
    htt_fake_add_datum(&columns, row->result);
    htt_fake_add_integer(&columns, row->created_at);
    htt_fake_add_integer(&columns, row->expires_at);
    htt_fake_add_integer(&columns, row->token);
    return htt_fake_write(db, "htt_idempotency", scope, fake_text_bytes(key), &columns);
}

htt_rc htt_fake_idempotency_remove(htt_db *db, const char *scope, const char *key) {
    return htt_fake_delete_key(db, "htt_idempotency", scope, fake_text_bytes(key));
}

htt_rc htt_fake_idempotency_purge(htt_db *db, int64_t now, uint32_t most, uint32_t *deleted_out) {
    return fake_purge(db, "htt_idempotency", FAKE_IDEMPOTENCY_EXPIRES_AT, now + 1, most,
                      deleted_out);
}
