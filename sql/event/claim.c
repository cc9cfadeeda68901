/* SPDX-License-Identifier: MIT */
/*
 * Claiming: leases to a worker what is due.
 *
 *   1  poll, without a lock      nothing due and nothing behind the head: HTT_NOTFOUND
 *   2  BEGIN IMMEDIATE           from here on nobody else claims
 *   3  a token from the fence
 *   4  lease what is due         tries again and leases that are over, then what is new
 *   5  too few: look             a row in htt_delivery for the next events behind the head:
 *                                pending, or waiting when an earlier one of the lane is open;
 *                                then 4 again, and so on until there are enough or no more
 *   6  read the events, COMMIT
 *
 * Steps 4 and 5 cost what they find: what is done has no row below the position, and only rows that
 * may be due are in the index htt_delivery_due.
 */
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "sql/base/memory.h"
#include "sql/event/event.h"
#include "sql/event/sql.h"

enum {
    CLAIM_LOOK_LEAST = 16,  /* events that are looked at in one go ... */
    CLAIM_LOOK_MOST = 4096, /* ... doubled each time up to this ... */
    CLAIM_LOOKS = 16        /* ... and so often in one claim, so that others get their turn */
};

void htt_claim_options_init(htt_claim_options *options) {
    memset(options, 0, sizeof *options);
    options->struct_size = sizeof *options;
    options->most = 100;
    options->lease_ms = 30000;
}

/* ----------------------------------------------------------------- lease */

htt_rc htt_lease_add(htt_lease *lease, const htt_event *event, uint32_t attempts) {
    assert(lease->count < lease->capacity);
    assert(lease->count == 0 || lease->deliveries[lease->count - 1].event.seq < event->seq);
    htt_delivery *const delivery = &lease->deliveries[lease->count];
    if (!htt_event_copy(event, &delivery->event, &lease->memory[lease->count])) {
        return HTT_NOMEM;
    }
    delivery->attempts = attempts;
    lease->settled[lease->count] = false;
    lease->count++;
    return HTT_OK;
}

/* One that is not of the db yet. NULL: no memory. */
static htt_lease *lease_new(htt_db *db, const char *consumer, size_t most) {
    htt_lease *const lease = htt_memory_new(sizeof *lease);
    if (lease == NULL) {
        return NULL;
    }
    lease->db = db;
    lease->consumer = htt_memory_text(consumer);
    lease->deliveries = htt_memory_new(most * sizeof *lease->deliveries);
    lease->memory = htt_memory_new(most * sizeof *lease->memory);
    lease->settled = htt_memory_new(most * sizeof *lease->settled);
    lease->capacity = most;
    return lease;
}

static void lease_delete(htt_lease *lease) {
    for (size_t i = 0; i < lease->count; i++) {
        htt_memory_free(lease->memory[i]);
    }
    htt_memory_free(lease->memory);
    htt_memory_free(lease->settled);
    htt_memory_free(lease->deliveries);
    htt_memory_free(lease->consumer);
    htt_memory_free(lease);
}

void htt_lease_free(htt_lease *lease) {
    if (lease != NULL) {
        htt_db_close_thing(lease->db, &lease->thing);
        lease_delete(lease);
    }
}

size_t htt_lease_count(const htt_lease *lease) {
    return lease == NULL ? 0 : lease->count;
}

const htt_delivery *htt_lease_at(const htt_lease *lease, size_t index) {
    assert(index < lease->count);
    return &lease->deliveries[index];
}

int64_t htt_lease_token(const htt_lease *lease) {
    return lease->token;
}

int64_t htt_lease_until(const htt_lease *lease) {
    return lease->until;
}

/* ----------------------------------------------------------------- claim */

/* What a claim has taken so far; ids in the order in which they were found. */
typedef struct claim_work {
    htt_lease *lease;   /* filled at the end */
    const char *worker; /* its name */
    int64_t now;        /* ms */
    uint32_t most;      /* wanted */
    uint32_t count;     /* taken */
    struct claim_taken {
        int64_t seq;       /* event */
        uint32_t attempts; /* this claim included */
    } * taken;             /* owned; room for `most` */
} claim_work;

/* HTT_NOTFOUND, without a text: nothing to do. */
static htt_rc claim_poll(htt_db *db, const char *consumer, int64_t now) {
    sqlite3_stmt *statement;
    bool row = false;
    htt_rc rc = htt_event_begin(db, DELIVERY_POLL, &statement, "ti", consumer, now);
    if (rc != HTT_OK) {
        return rc;
    }
    rc = htt_event_step(db, statement, &row);
    if (rc == HTT_OK) {
        if (!row || sqlite3_column_int(statement, 0) == 0) {
            rc = htt_db_fail(db, HTT_MISUSE,
                             "consumer '%s' is not registered: "
                             "htt_consumer_register",
                             consumer);
        } else if (sqlite3_column_int(statement, 1) == 0) {
            rc = HTT_NOTFOUND;
        }
    }
    htt_statement_done(statement);
    return rc;
}

/* Leases what has been due from `from` to `to`, as far as there is room. */
static htt_rc claim_lease(htt_db *db, claim_work *work, int64_t from, int64_t to) {
    sqlite3_stmt *statement;
    bool row = false;
    if (work->count == work->most) {
        return HTT_OK;
    }
    htt_rc rc = htt_event_begin(db, DELIVERY_LEASE, &statement, "tiiiitii", work->lease->consumer,
                                work->now, from, to, (int64_t)(work->most - work->count),
                                work->worker, work->lease->token, work->lease->until);
    if (rc != HTT_OK) {
        return rc;
    }
    rc = htt_event_step(db, statement, &row);
    while (rc == HTT_OK && row) {
        if (sqlite3_column_int(statement, 2) != 0) {
            assert(work->count < work->most);
            work->taken[work->count].seq = sqlite3_column_int64(statement, 0);
            work->taken[work->count].attempts = (uint32_t)sqlite3_column_int64(statement, 1);
            work->count++;
        }
        rc = htt_event_step(db, statement, &row);
    }
    htt_statement_done(statement);
    return rc;
}

/* Steps 4 and 5. */
static htt_rc claim_collect(htt_db *db, claim_work *work) {
    htt_rc rc = claim_lease(db, work, 1, work->now);
    if (rc == HTT_OK) {
        rc = claim_lease(db, work, 0, 0);
    }
    int64_t window = 2 * (int64_t)(work->most - work->count);
    window = window < CLAIM_LOOK_LEAST ? CLAIM_LOOK_LEAST : window;
    for (int i = 0; rc == HTT_OK && work->count < work->most && i < CLAIM_LOOKS; i++) {
        int64_t found = 0;
        window = window > CLAIM_LOOK_MOST ? CLAIM_LOOK_MOST : window;
        rc = htt_event_run(db, DELIVERY_LOOK, &found, "ti", work->lease->consumer, window);
        if (rc != HTT_OK || found == 0) {
            break;
        }
        rc = claim_lease(db, work, 0, work->now);
        window *= 2;
    }
    return rc;
}

static int claim_compare(const void *left, const void *right) {
    const int64_t a = ((const struct claim_taken *)left)->seq;
    const int64_t b = ((const struct claim_taken *)right)->seq;
    return a < b ? -1 : a > b;
}

static htt_rc claim_read_one(htt_db *db, htt_lease *lease, const struct claim_taken *taken) {
    sqlite3_stmt *statement;
    bool row = false;
    htt_rc rc = htt_event_begin(db, EVENT_READ, &statement, "i", taken->seq);
    if (rc != HTT_OK) {
        return rc;
    }
    rc = htt_event_step(db, statement, &row);
    if (rc == HTT_OK && !row) {
        rc = htt_db_fail(
            db, HTT_CORRUPT,
            "htt_event: row %" PRId64 ", which consumer '%s' has not acknowledged, "
            "is gone: somebody has deleted it; set the state of its row in htt_delivery "
            "to 'done', due_at NULL, to go on without it",
            taken->seq, lease->consumer);
    } else if (rc == HTT_OK) {
        htt_event event;
        uint8_t scratch[HTT_NUMBER_SIZE];
        rc = htt_event_row(db, statement, &event, scratch);
        if (rc == HTT_OK && htt_lease_add(lease, &event, taken->attempts) != HTT_OK) {
            rc = htt_db_fail_memory(db);
        }
    }
    htt_statement_done(statement);
    return rc;
}

static htt_rc claim_in_transaction(htt_db *db, claim_work *work) {
    htt_rc rc =
        htt_event_number(db, DELIVERY_FENCE, &work->lease->token, 0, "t", work->lease->consumer);
    if (rc == HTT_OK) {
        rc = claim_collect(db, work);
    }
    if (work->count > 0) {
        qsort(work->taken, work->count, sizeof work->taken[0], claim_compare);
    }
    for (uint32_t i = 0; rc == HTT_OK && i < work->count; i++) {
        rc = claim_read_one(db, work->lease, &work->taken[i]);
    }
    return rc;
}

static htt_rc claim_of_database(htt_lease *lease, const char *worker, int64_t now, uint32_t most) {
    htt_db *const db = lease->db;
    htt_scope scope;
    claim_work work = {.lease = lease, .worker = worker, .now = now, .most = most};
    htt_rc rc = claim_poll(db, lease->consumer, now);
    if (rc != HTT_OK) {
        return rc;
    }
    work.taken = htt_memory_new(most * sizeof work.taken[0]);
    if (work.taken == NULL) {
        return htt_db_fail_memory(db);
    }
    rc = htt_scope_enter(db, &scope, HTT_SCOPE_IMMEDIATE);
    if (rc == HTT_OK) {
        rc = htt_scope_leave(db, &scope, claim_in_transaction(db, &work));
    }
    htt_memory_free(work.taken);
    return rc != HTT_OK ? rc : lease->count == 0 ? HTT_NOTFOUND : HTT_OK;
}

static htt_rc claim_of_fake(htt_lease *lease, const char *worker, int64_t now, uint32_t most) {
    htt_scope scope;
    htt_rc rc = htt_scope_enter(lease->db, &scope, HTT_SCOPE_IMMEDIATE);
    if (rc == HTT_OK) {
        rc = htt_scope_leave(lease->db, &scope, htt_fake_claim(lease, worker, now, most));
    }
    return rc == HTT_OK && lease->count == 0 ? HTT_NOTFOUND : rc;
}

static htt_rc claim_check(htt_db *db, const char *consumer, const char *worker,
                          const htt_claim_options *options) {
    htt_rc rc = htt_event_check_name(db, "claim: the consumer's name", consumer, SIZE_MAX);
    if (rc == HTT_OK) {
        rc = htt_event_check_name(db, "claim: the worker's name", worker, SIZE_MAX);
    }
    if (rc != HTT_OK) {
        return rc;
    }
    if (options->struct_size != sizeof *options) {
        return htt_db_fail(db, HTT_MISUSE,
                           "claim: these options are not made by htt_claim_options_init");
    }
    if (options->most == 0 || options->most > HTT_CLAIM_MOST || options->lease_ms == 0 ||
        options->lease_ms > HTT_LEASE_LIMIT) {
        return htt_db_fail(db, HTT_MISUSE,
                           "claim: most is 1 to %d events, and lease_ms 1 to %d milliseconds",
                           HTT_CLAIM_MOST, HTT_LEASE_LIMIT);
    }
    return HTT_OK;
}

htt_rc htt_delivery_claim(htt_db *db, const char *consumer, const char *worker,
                          const htt_claim_options *options, htt_lease **lease_out) {
    htt_claim_options defaults;
    if (options == NULL) {
        htt_claim_options_init(&defaults);
        options = &defaults;
    }
    htt_rc rc = claim_check(db, consumer, worker, options);
    if (rc != HTT_OK) {
        return rc;
    }
    const int64_t now = htt_db_now_ms(db);
    htt_lease *const lease = lease_new(db, consumer, options->most);
    if (lease == NULL || lease->consumer == NULL || lease->deliveries == NULL ||
        lease->memory == NULL || lease->settled == NULL) {
        rc = htt_db_fail_memory(db);
    } else {
        lease->until = now + options->lease_ms;
        rc = htt_db_is_fake(db) ? claim_of_fake(lease, worker, now, options->most)
                                : claim_of_database(lease, worker, now, options->most);
    }
    if (rc != HTT_OK) {
        if (lease != NULL) {
            lease_delete(lease);
        }
        return rc;
    }
    htt_db_open_thing(db, &lease->thing, "lease of consumer", lease->consumer);
    *lease_out = lease;
    return HTT_OK;
}
