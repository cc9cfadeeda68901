/* SPDX-License-Identifier: MIT */
/*
 * The fake's consumers and deliveries. Where the database keeps an index and moves state by
 * triggers, this looks through the consumer's rows:
 *
 *   look     every event behind the head gets a row at once
 *   settle   afterwards the rows are gone through: what waits and is first in its lane becomes
 *            pending; the position moves to the event before the first open one
 */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "sql/base/memory.h"
#include "sql/event/fake.h"

static const htt_fake_bytes fake_nothing = {NULL, 0};

/* Columns of htt_consumer. */
enum {
    FAKE_CONSUMER_ACKNOWLEDGED,
    FAKE_CONSUMER_SKIPS,
    FAKE_CONSUMER_TYPES,
    FAKE_CONSUMER_MAX_ATTEMPTS,
    FAKE_CONSUMER_BACKOFF_FIRST,
    FAKE_CONSUMER_BACKOFF_MOST,
    FAKE_CONSUMER_FENCE
};
/* Columns of htt_delivery. */
enum {
    FAKE_DELIVERY_LANE,
    FAKE_DELIVERY_STATE,
    FAKE_DELIVERY_ATTEMPTS,
    FAKE_DELIVERY_DUE_AT,
    FAKE_DELIVERY_LOCKED_BY,
    FAKE_DELIVERY_TOKEN,
    FAKE_DELIVERY_LAST_ERROR,
    FAKE_DELIVERY_FAILED_AT
};

/* A row of htt_consumer with that of htt_subscription. */
typedef struct fake_consumer {
    const char *name;      /* borrowed */
    int64_t acknowledged;  /* position */
    bool skips;            /* on_dead */
    const char *types;     /* borrowed from the row; NULL = all */
    int64_t max_attempts;  /* then dead */
    int64_t backoff_first; /* ms */
    int64_t backoff_most;  /* ms */
    int64_t fence;         /* newest token */
} fake_consumer;

/* A row of htt_delivery. */
typedef struct fake_delivery {
    int64_t id;             /* event */
    const char *lane;       /* borrowed from the row, as all texts */
    const char *state;      /* as in htt_delivery.sql */
    int64_t attempts;       /* claims */
    int64_t due_at;         /* 0 where it has none */
    const char *locked_by;  /* worker, or NULL */
    int64_t token;          /* lease, or 0 */
    const char *last_error; /* or NULL */
    int64_t failed_at;      /* or 0 */
} fake_delivery;

/* ------------------------------------------------------------------ rows */

/* HTT_NOTFOUND, without a text: it is not registered. */
static htt_rc fake_consumer_get(htt_db *db, const char *name, fake_consumer *consumer_out) {
    const htt_fake_row *row = NULL;
    const htt_rc rc = htt_fake_read_key(db, "htt_consumer", name, fake_nothing, &row);
    if (rc != HTT_OK || row == NULL) {
        return rc != HTT_OK ? rc : HTT_NOTFOUND;
    }
    htt_fake_columns columns;
    htt_fake_read(row, &columns);
    *consumer_out = (fake_consumer){
        .name = name,
        .acknowledged = htt_fake_integer(&columns, FAKE_CONSUMER_ACKNOWLEDGED),
        .skips = htt_fake_integer(&columns, FAKE_CONSUMER_SKIPS) != 0,
        .types = htt_fake_text(&columns, FAKE_CONSUMER_TYPES),
        .max_attempts = htt_fake_integer(&columns, FAKE_CONSUMER_MAX_ATTEMPTS),
        .backoff_first = htt_fake_integer(&columns, FAKE_CONSUMER_BACKOFF_FIRST),
        .backoff_most = htt_fake_integer(&columns, FAKE_CONSUMER_BACKOFF_MOST),
        .fence = htt_fake_integer(&columns, FAKE_CONSUMER_FENCE),
    };
    return HTT_OK;
}

static htt_rc fake_consumer_put(htt_db *db, const fake_consumer *consumer) {
    htt_fake_columns row = {.count = 0};
    htt_fake_add_integer(&row, consumer->acknowledged);
    htt_fake_add_integer(&row, consumer->skips);
    htt_fake_add_text(&row, consumer->types);
    htt_fake_add_integer(&row, consumer->max_attempts);
    htt_fake_add_integer(&row, consumer->backoff_first);
    htt_fake_add_integer(&row, consumer->backoff_most);
    htt_fake_add_integer(&row, consumer->fence);
    return htt_fake_write(db, "htt_consumer", consumer->name, fake_nothing, &row);
}

static void fake_delivery_read(const htt_fake_row *row, fake_delivery *delivery_out) {
    htt_fake_columns columns;
    htt_fake_read(row, &columns);
    const uint8_t *const key = row->key.data;
    *delivery_out = (fake_delivery){
        .id = htt_fake_number_back(key + row->key.size - 8),
        .lane = htt_fake_text(&columns, FAKE_DELIVERY_LANE),
        .state = htt_fake_text(&columns, FAKE_DELIVERY_STATE),
        .attempts = htt_fake_integer(&columns, FAKE_DELIVERY_ATTEMPTS),
        .due_at = htt_fake_integer(&columns, FAKE_DELIVERY_DUE_AT),
        .locked_by = htt_fake_text(&columns, FAKE_DELIVERY_LOCKED_BY),
        .token = htt_fake_integer(&columns, FAKE_DELIVERY_TOKEN),
        .last_error = htt_fake_text(&columns, FAKE_DELIVERY_LAST_ERROR),
        .failed_at = htt_fake_integer(&columns, FAKE_DELIVERY_FAILED_AT),
    };
}

static htt_rc fake_delivery_put(htt_db *db, const char *consumer, const fake_delivery *delivery) {
    htt_fake_columns row = {.count = 0};
    uint8_t id[8];
    htt_fake_number(delivery->id, id);
    htt_fake_add_text(&row, delivery->lane);
    htt_fake_add_text(&row, delivery->state);
    htt_fake_add_integer(&row, delivery->attempts);
    htt_fake_add_integer(&row, delivery->due_at);
    htt_fake_add_text(&row, delivery->locked_by);
    htt_fake_add_integer(&row, delivery->token);
    htt_fake_add_text(&row, delivery->last_error);
    htt_fake_add_integer(&row, delivery->failed_at);
    return htt_fake_write(db, "htt_delivery", consumer, (htt_fake_bytes){id, sizeof id}, &row);
}

/* Is it a row of that consumer? */
static bool fake_is_of(const htt_fake_row *row, const char *consumer) {
    const size_t length = strlen(consumer);
    return row->key.size == length + 1 + 8 && memcmp(row->key.data, consumer, length + 1) == 0;
}

/* The first of the consumer's deliveries behind `row` (NULL: of all). NULL: no more. */
static const htt_fake_row *fake_delivery_next(htt_fake_table *table, const char *consumer,
                                              const htt_fake_row *row, fake_delivery *delivery) {
    row = row == NULL ? htt_fake_first(table, fake_nothing) : htt_fake_next(table, row);
    while (row != NULL && !fake_is_of(row, consumer)) {
        row = htt_fake_next(table, row);
    }
    if (row != NULL) {
        fake_delivery_read(row, delivery);
    }
    return row;
}

static bool fake_is(const fake_delivery *delivery, const char *state) {
    return strcmp(delivery->state, state) == 0;
}

static bool fake_is_open(const fake_delivery *delivery) {
    return !fake_is(delivery, "done") && !fake_is(delivery, "dead");
}

static bool fake_blocks(const fake_delivery *delivery, bool skips) {
    return fake_is_open(delivery) || (fake_is(delivery, "dead") && !skips);
}

/* Does an earlier event of the lane block this one? */
static bool fake_is_blocked(htt_fake_table *table, const fake_consumer *consumer, const char *lane,
                            int64_t id) {
    fake_delivery other;
    for (const htt_fake_row *row = fake_delivery_next(table, consumer->name, NULL, &other);
         row != NULL && other.id < id;
         row = fake_delivery_next(table, consumer->name, row, &other)) {
        if (strcmp(other.lane, lane) == 0 && fake_blocks(&other, consumer->skips)) {
            return true;
        }
    }
    return false;
}

static htt_rc fake_table(htt_db *db, htt_fake_table **table_out) {
    return htt_fake_table_get(db->fake, "htt_delivery", table_out);
}

/* What the triggers do after a change: wake what waits, move the position, drop what is done. */
static htt_rc fake_tidy(htt_db *db, fake_consumer *consumer) {
    htt_fake_table *table;
    fake_delivery delivery;
    int64_t first_open = INT64_MAX;
    int64_t head = consumer->acknowledged;
    htt_rc rc = fake_table(db, &table);
    if (rc != HTT_OK) {
        return rc;
    }
    for (const htt_fake_row *row = fake_delivery_next(table, consumer->name, NULL, &delivery);
         rc == HTT_OK && row != NULL;
         row = fake_delivery_next(table, consumer->name, row, &delivery)) {
        head = delivery.id > head ? delivery.id : head;
        if (fake_is_open(&delivery) && delivery.id > consumer->acknowledged &&
            delivery.id < first_open) {
            first_open = delivery.id;
        }
        if (fake_is(&delivery, "waiting") &&
            !fake_is_blocked(table, consumer, delivery.lane, delivery.id)) {
            delivery.state = "pending";
            delivery.due_at = 0;
            rc = fake_delivery_put(db, consumer->name, &delivery);
        }
    }
    consumer->acknowledged = first_open == INT64_MAX ? head : first_open - 1;
    for (const htt_fake_row *row = fake_delivery_next(table, consumer->name, NULL, &delivery);
         rc == HTT_OK && row != NULL;
         row = fake_delivery_next(table, consumer->name, row, &delivery)) {
        if (fake_is(&delivery, "done") && delivery.id <= consumer->acknowledged) {
            rc = htt_fake_remove(table, row->key);
        }
    }
    return rc == HTT_OK ? fake_consumer_put(db, consumer) : rc;
}

/* ------------------------------------------------------------- consumers */

/* Calls `found` with each text of a JSON array that was checked; it has no escapes of characters
 * that matter for a type. True as soon as one gives true. */
static bool fake_array_any(const char *array, bool (*found)(void *arg, const char *text, size_t),
                           void *arg) {
    const char *at = array;
    while ((at = strchr(at, '"')) != NULL) {
        const char *const start = ++at;
        while (*at != '"') {
            at += *at == '\\' ? 2 : 1;
        }
        if (found(arg, start, (size_t)(at - start))) {
            return true;
        }
        at++;
    }
    return false;
}

static bool fake_array_is(void *arg, const char *text, size_t size) {
    const char *const type = arg;
    return strlen(type) == size && memcmp(type, text, size) == 0;
}

static bool fake_is_wanted(const fake_consumer *consumer, const char *type) {
    return consumer->types == NULL ||
           fake_array_any(consumer->types, fake_array_is, (void *)(uintptr_t)type);
}

/* A type that is not declared. */
typedef struct fake_unknown {
    htt_db *db;            /* for its error */
    htt_fake_table *types; /* declared */
    const char *consumer;  /* its name */
} fake_unknown;

static bool fake_array_unknown(void *arg, const char *text, size_t size) {
    const fake_unknown *const unknown = arg;
    if (htt_fake_find(unknown->types, (htt_fake_bytes){text, size}) != NULL) {
        return false;
    }
    (void)htt_db_fail(unknown->db, HTT_NOTFOUND,
                      "consumer '%s' asks for the type '%.*s', which is not declared: "
                      "htt_event_declare, or correct it",
                      unknown->consumer, (int)size, text);
    return true;
}

static htt_rc fake_check_types(htt_db *db, const char *name, const char *types) {
    fake_unknown unknown = {db, NULL, name};
    const htt_rc rc = htt_fake_table_get(db->fake, "htt_event_type", &unknown.types);
    if (rc != HTT_OK || types == NULL) {
        return rc;
    }
    return fake_array_any(types, fake_array_unknown, &unknown) ? HTT_NOTFOUND : HTT_OK;
}

htt_rc htt_fake_consumer_register(htt_db *db, const char *name,
                                  const htt_consumer_options *options) {
    fake_consumer consumer = {.name = name};
    htt_fake_table *events;
    htt_rc rc = fake_check_types(db, name, options->types);
    if (rc == HTT_OK) {
        rc = htt_fake_table_get(db->fake, "htt_event", &events);
    }
    if (rc != HTT_OK) {
        return rc;
    }
    rc = fake_consumer_get(db, name, &consumer);
    if (rc == HTT_NOTFOUND) {
        const htt_fake_row *const oldest = htt_fake_first(events, fake_nothing);
        rc = htt_fake_event_newest(db, &consumer.acknowledged);
        if (oldest != NULL && options->from == HTT_FROM_OLDEST) {
            consumer.acknowledged = htt_fake_number_back(oldest->key.data) - 1;
        }
    }
    if (rc != HTT_OK) {
        return rc;
    }
    consumer.skips = options->on_dead == HTT_ON_DEAD_SKIP;
    consumer.types = options->types;
    consumer.max_attempts = options->max_attempts;
    consumer.backoff_first = options->backoff_first_ms;
    consumer.backoff_most = options->backoff_most_ms;
    return fake_tidy(db, &consumer);
}

htt_rc htt_fake_consumer_remove(htt_db *db, const char *name) {
    fake_consumer consumer;
    fake_delivery delivery;
    htt_fake_table *table;
    htt_scope scope;
    htt_rc rc = fake_consumer_get(db, name, &consumer);
    if (rc == HTT_OK) {
        rc = fake_table(db, &table);
    }
    if (rc == HTT_OK) {
        rc = htt_scope_enter(db, &scope, HTT_SCOPE_IMMEDIATE);
    }
    if (rc != HTT_OK) {
        return rc;
    }
    rc = htt_fake_delete_key(db, "htt_consumer", name, fake_nothing);
    for (const htt_fake_row *row = fake_delivery_next(table, name, NULL, &delivery);
         rc == HTT_OK && row != NULL; row = fake_delivery_next(table, name, row, &delivery)) {
        rc = htt_fake_remove(table, row->key);
    }
    return htt_scope_leave(db, &scope, rc);
}

htt_rc htt_fake_consumer_read(htt_db *db, const char *name, htt_consumer_state *state_out) {
    htt_consumer_state state = {0};
    fake_consumer consumer;
    fake_delivery delivery;
    htt_fake_table *table;
    htt_rc rc = fake_consumer_get(db, name, &consumer);
    if (rc == HTT_OK) {
        rc = fake_table(db, &table);
    }
    if (rc == HTT_OK) {
        rc = htt_fake_event_newest(db, &state.newest);
    }
    if (rc != HTT_OK) {
        return rc;
    }
    state.acknowledged = consumer.acknowledged;
    for (const htt_fake_row *row = fake_delivery_next(table, name, NULL, &delivery); row != NULL;
         row = fake_delivery_next(table, name, row, &delivery)) {
        state.pending += fake_is(&delivery, "pending");
        state.waiting += fake_is(&delivery, "waiting");
        state.leased += fake_is(&delivery, "leased");
        state.failed += fake_is(&delivery, "failed");
        state.dead += fake_is(&delivery, "dead");
    }
    *state_out = state;
    return HTT_OK;
}

/* ----------------------------------------------------------------- claim */

static htt_rc fake_look_at(htt_db *db, htt_fake_table *table, const fake_consumer *consumer,
                           const htt_event *event) {
    const size_t size = strlen(event->aggregate_type) + strlen(event->aggregate_id) + 2;
    char *const lane = htt_memory_new(size);
    if (lane == NULL) {
        return htt_db_fail_memory(db);
    }
    (void)snprintf(lane, size, "%s/%s", event->aggregate_type, event->aggregate_id);
    fake_delivery delivery = {.id = event->seq, .lane = lane, .state = "pending"};
    if (!fake_is_wanted(consumer, event->type)) {
        delivery.state = "done";
    } else if (fake_is_blocked(table, consumer, lane, event->seq)) {
        delivery.state = "waiting";
    }
    const htt_rc rc = fake_delivery_put(db, consumer->name, &delivery);
    htt_memory_free(lane);
    return rc;
}

/* A row for each event behind the head. */
static htt_rc fake_look(htt_db *db, htt_fake_table *table, const fake_consumer *consumer) {
    htt_fake_table *events;
    fake_delivery delivery;
    int64_t head = consumer->acknowledged;
    htt_rc rc = htt_fake_table_get(db->fake, "htt_event", &events);
    for (const htt_fake_row *row = fake_delivery_next(table, consumer->name, NULL, &delivery);
         row != NULL; row = fake_delivery_next(table, consumer->name, row, &delivery)) {
        head = delivery.id > head ? delivery.id : head;
    }
    if (rc != HTT_OK) {
        return rc;
    }
    for (const htt_fake_row *row = htt_fake_first(events, fake_nothing);
         rc == HTT_OK && row != NULL; row = htt_fake_next(events, row)) {
        htt_fake_columns columns;
        htt_event event;
        htt_fake_event(row, &columns, &event);
        if (event.seq > head) {
            rc = fake_look_at(db, table, consumer, &event);
        }
    }
    return rc;
}

/* The event of a delivery. HTT_NOTFOUND, without a text: it is not there. */
static htt_rc fake_find_event(htt_db *db, int64_t seq, htt_fake_columns *columns,
                              htt_event *event_out) {
    htt_fake_table *events;
    uint8_t key[8];
    const htt_rc rc = htt_fake_table_get(db->fake, "htt_event", &events);
    if (rc != HTT_OK) {
        return rc;
    }
    htt_fake_number(seq, key);
    const htt_fake_row *const row = htt_fake_find(events, (htt_fake_bytes){key, sizeof key});
    if (row == NULL) {
        return HTT_NOTFOUND;
    }
    htt_fake_event(row, columns, event_out);
    return HTT_OK;
}

static htt_rc fake_take(htt_lease *lease, const fake_consumer *consumer, fake_delivery *delivery,
                        const htt_event *event, const char *worker, int64_t now) {
    if (delivery->attempts >= consumer->max_attempts) {
        if (fake_is(delivery, "leased")) {
            delivery->last_error =
                "the last worker did not say what became of it before its lease was over";
        }
        delivery->state = "dead";
        delivery->failed_at = now;
        return fake_delivery_put(lease->db, consumer->name, delivery);
    }
    delivery->state = "leased";
    delivery->attempts++;
    delivery->due_at = lease->until;
    delivery->locked_by = worker;
    delivery->token = lease->token;
    if (htt_lease_add(lease, event, (uint32_t)delivery->attempts) != HTT_OK) {
        return htt_db_fail_memory(lease->db);
    }
    return fake_delivery_put(lease->db, consumer->name, delivery);
}

htt_rc htt_fake_claim(htt_lease *lease, const char *worker, int64_t now, uint32_t most) {
    htt_db *const db = lease->db;
    htt_fake_table *table;
    fake_consumer consumer;
    fake_delivery delivery;
    htt_rc rc = fake_consumer_get(db, lease->consumer, &consumer);
    if (rc == HTT_NOTFOUND) {
        return htt_db_fail(db, HTT_MISUSE, "consumer '%s' is not registered: htt_consumer_register",
                           lease->consumer);
    }
    if (rc == HTT_OK) {
        rc = fake_table(db, &table);
    }
    if (rc == HTT_OK) {
        rc = fake_look(db, table, &consumer);
    }
    lease->token = ++consumer.fence;
    for (const htt_fake_row *row =
             rc == HTT_OK ? fake_delivery_next(table, consumer.name, NULL, &delivery) : NULL;
         rc == HTT_OK && row != NULL && lease->count < most;
         row = fake_delivery_next(table, consumer.name, row, &delivery)) {
        htt_fake_columns columns;
        htt_event event;
        if (!fake_is_open(&delivery) || fake_is(&delivery, "waiting") || delivery.due_at > now ||
            fake_is_blocked(table, &consumer, delivery.lane, delivery.id)) {
            continue;
        }
        rc = fake_find_event(db, delivery.id, &columns, &event);
        assert(rc == HTT_OK); /* purging leaves what has a row here */
        if (event.available_at <= now) {
            rc = fake_take(lease, &consumer, &delivery, &event, worker, now);
        }
    }
    /* A claim that found nothing is no failure: what it looked at stays. */
    return rc == HTT_OK ? fake_tidy(db, &consumer) : rc;
}

/* ---------------------------------------------------------------- settle */

htt_rc htt_fake_settle_state(htt_db *db, const htt_settle *settle, htt_settle_state *state_out) {
    const htt_fake_row *row = NULL;
    uint8_t id[8];
    htt_fake_number(settle->seq, id);
    const htt_rc rc = htt_fake_read_key(db, "htt_delivery", settle->consumer,
                                        (htt_fake_bytes){id, sizeof id}, &row);
    memset(state_out, 0, sizeof *state_out);
    if (rc == HTT_OK && row != NULL) {
        fake_delivery delivery;
        fake_delivery_read(row, &delivery);
        state_out->is_there = true;
        (void)snprintf(state_out->state, sizeof state_out->state, "%s", delivery.state);
        (void)snprintf(state_out->worker, sizeof state_out->worker, "%s",
                       delivery.locked_by == NULL ? "" : delivery.locked_by);
        state_out->token = delivery.token;
        state_out->due_at = delivery.due_at;
    }
    return rc;
}

/* As DELIVERY_FAIL. */
static void fake_fail(htt_db *db, const fake_consumer *consumer, const htt_settle *settle,
                      fake_delivery *delivery) {
    const int64_t doublings = delivery->attempts - 1 < 20 ? delivery->attempts - 1 : 20;
    int64_t pause = consumer->backoff_first << doublings;
    const int64_t chance = htt_event_chance(db);
    pause = pause < consumer->backoff_most ? pause : consumer->backoff_most;
    delivery->last_error = settle->error;
    delivery->failed_at = settle->now;
    if (settle->what == HTT_SETTLE_BURY || delivery->attempts >= consumer->max_attempts) {
        delivery->state = "dead";
    } else {
        delivery->state = "failed";
        delivery->due_at = settle->now + (pause * (2000 - chance) + 1999) / 2000;
    }
}

htt_rc htt_fake_settle(htt_db *db, const htt_settle *settle) {
    const htt_fake_row *row = NULL;
    fake_consumer consumer;
    htt_settle_state state;
    uint8_t id[8];
    htt_rc rc = htt_fake_settle_state(db, settle, &state);
    if (rc != HTT_OK) {
        return rc;
    }
    if (strcmp(state.state, "leased") != 0 || state.token != settle->token ||
        state.due_at <= settle->now) {
        return htt_settle_refuse(db, settle, &state);
    }
    rc = fake_consumer_get(db, settle->consumer, &consumer);
    htt_fake_number(settle->seq, id);
    if (rc == HTT_OK) {
        rc = htt_fake_read_key(db, "htt_delivery", settle->consumer,
                               (htt_fake_bytes){id, sizeof id}, &row);
    }
    if (rc != HTT_OK) {
        return rc;
    }
    fake_delivery delivery;
    fake_delivery_read(row, &delivery);
    switch (settle->what) {
    case HTT_SETTLE_ACK: delivery.state = "done"; break;
    case HTT_SETTLE_FAIL:
    case HTT_SETTLE_BURY: fake_fail(db, &consumer, settle, &delivery); break;
    case HTT_SETTLE_RELEASE:
        delivery.state = "pending";
        delivery.due_at = 0;
        delivery.attempts--;
        break;
    case HTT_SETTLE_EXTEND: delivery.due_at = settle->until; break;
    }
    rc = fake_delivery_put(db, settle->consumer, &delivery);
    return rc == HTT_OK ? fake_tidy(db, &consumer) : rc;
}

/* ----------------------------------------------------------- dead, purge */

htt_rc htt_fake_dead_each(htt_db *db, const char *consumer, int64_t after, uint32_t most,
                          htt_dead_visit visit, void *arg) {
    htt_fake_table *table;
    fake_delivery delivery;
    uint32_t count = 0;
    htt_rc rc = fake_table(db, &table);
    if (rc != HTT_OK) {
        return rc;
    }
    for (const htt_fake_row *row = fake_delivery_next(table, consumer, NULL, &delivery);
         rc == HTT_OK && row != NULL && (most == 0 || count < most);
         row = fake_delivery_next(table, consumer, row, &delivery)) {
        htt_fake_columns columns;
        htt_dead dead;
        if (!fake_is(&delivery, "dead") || delivery.id <= after) {
            continue;
        }
        rc = fake_find_event(db, delivery.id, &columns, &dead.event);
        assert(rc == HTT_OK);
        dead.attempts = (uint32_t)delivery.attempts;
        dead.died_at = delivery.failed_at;
        dead.last_error = delivery.last_error == NULL ? "" : delivery.last_error;
        dead.worker = delivery.locked_by == NULL ? "" : delivery.locked_by;
        count++;
        rc = visit(arg, &dead);
    }
    return rc;
}

htt_rc htt_fake_dead_change(htt_db *db, const char *consumer, int64_t seq, bool discard) {
    htt_fake_table *table;
    fake_consumer found;
    fake_delivery delivery;
    bool changed = false;
    htt_rc rc = fake_consumer_get(db, consumer, &found);
    if (rc == HTT_OK) {
        rc = fake_table(db, &table);
    }
    if (rc != HTT_OK) {
        return rc;
    }
    for (const htt_fake_row *row = fake_delivery_next(table, consumer, NULL, &delivery);
         rc == HTT_OK && row != NULL; row = fake_delivery_next(table, consumer, row, &delivery)) {
        if (fake_is(&delivery, "dead") && (seq == 0 || delivery.id == seq)) {
            delivery.state = discard ? "done" : "pending";
            delivery.due_at = 0;
            delivery.attempts = discard ? delivery.attempts : 0;
            changed = true;
            rc = fake_delivery_put(db, consumer, &delivery);
        }
    }
    if (rc != HTT_OK || !changed) {
        return rc != HTT_OK ? rc : HTT_NOTFOUND;
    }
    return fake_tidy(db, &found);
}

/* May the event go, as far as the consumers are concerned? */
static htt_rc fake_is_needed(htt_db *db, int64_t seq, bool *needed_out) {
    htt_fake_table *consumers;
    htt_fake_table *table;
    htt_rc rc = htt_fake_table_get(db->fake, "htt_consumer", &consumers);
    if (rc == HTT_OK) {
        rc = fake_table(db, &table);
    }
    *needed_out = false;
    if (rc != HTT_OK) {
        return rc;
    }
    for (const htt_fake_row *row = htt_fake_first(consumers, fake_nothing); row != NULL;
         row = htt_fake_next(consumers, row)) {
        htt_fake_columns columns;
        htt_fake_read(row, &columns);
        *needed_out = *needed_out || htt_fake_integer(&columns, FAKE_CONSUMER_ACKNOWLEDGED) < seq;
    }
    for (const htt_fake_row *row = htt_fake_first(table, fake_nothing); row != NULL;
         row = htt_fake_next(table, row)) {
        fake_delivery delivery;
        fake_delivery_read(row, &delivery);
        *needed_out = *needed_out || delivery.id == seq;
    }
    return HTT_OK;
}

htt_rc htt_fake_event_purge(htt_db *db, int64_t before, uint32_t most, uint32_t *deleted_out) {
    htt_fake_table *events;
    htt_scope scope;
    uint32_t deleted = 0;
    htt_rc rc = htt_fake_table_get(db->fake, "htt_event", &events);
    if (rc == HTT_OK) {
        rc = htt_scope_enter(db, &scope, HTT_SCOPE_IMMEDIATE);
    }
    if (rc != HTT_OK) {
        return rc;
    }
    for (const htt_fake_row *row = htt_fake_first(events, fake_nothing);
         rc == HTT_OK && row != NULL && row != htt_fake_last(events) && deleted < most;
         row = htt_fake_next(events, row)) {
        htt_fake_columns columns;
        htt_event event;
        bool needed;
        htt_fake_event(row, &columns, &event);
        rc = fake_is_needed(db, event.seq, &needed);
        if (rc == HTT_OK && !needed && event.created_at < before) {
            rc = htt_fake_remove(events, row->key);
            deleted++;
        }
    }
    rc = htt_scope_leave(db, &scope, rc);
    if (rc == HTT_OK) {
        *deleted_out = deleted;
    }
    return rc;
}
