/* SPDX-License-Identifier: MIT */
/*
 * What the parts of events share: checks of arguments, copies of events, and the log of a fake,
 * which keeps the same rules without SQLite. Public functions check their arguments and then ask
 * SQLite (sql.h) or the fake.
 */
#ifndef HTT_SQL_EVENT_EVENT_H
#define HTT_SQL_EVENT_EVENT_H

#include "sql/base/db.h"
#include "sql/htt_event.h"
#include "sql/htt_idempotency.h"

#define HTT_EVENT_ID_BITS 40     /* ids of deliveries from 2^40 on are rows of htt_outbox */
#define HTT_LEASE_LIMIT 86400000 /* ms that a lease lasts at most: a day */
#define HTT_EVENT_PAGE 1000      /* rows that a purge deletes where the caller says 0 */

enum { EVENT_UUID_SIZE = 37 }; /* with its end */

/* ------------------------------------------------------------ arguments */

/* Characters of a UTF-8 text, as SQLite counts them. */
size_t htt_event_length(const char *text);
/* HTT_MISUSE: no db; NULL or empty; HTT_TOOBIG: more than `most` characters. `what` names it. */
htt_rc htt_event_check_name(htt_db *db, const char *what, const char *text, size_t most);
/* HTT_MISUSE: no db, or negative. `what` names what is purged. */
htt_rc htt_event_check_age(htt_db *db, const char *what, int64_t retention_ms);
/* Options that their init did not make, or whose numbers are out of their ranges. */
htt_rc htt_consumer_check(htt_db *db, const char *name, const htt_consumer_options *options);
/* Must `content_type` be JSON? As the CHECK in htt_event.sql says it. */
bool htt_event_is_json(const char *content_type);
/* A UUID of version 7: the time, then random bits. */
void htt_event_uuid(htt_db *db, int64_t now, char uuid_out[EVENT_UUID_SIZE]);
/* 0 to 999. */
int64_t htt_event_chance(htt_db *db);

/* --------------------------------------------------------------- copies */

/*
 * A copy of all that `event` points to, in one piece of memory: *memory_out is freed with
 * htt_memory_free. False: no memory.
 */
bool htt_event_copy(const htt_event *event, htt_event *event_out, void **memory_out);

struct htt_lease {
    htt_open_thing thing;     /* of the db */
    htt_db *db;               /* borrowed */
    char *consumer;           /* owned */
    int64_t token;            /* of the lease */
    int64_t until;            /* its end, as far as this worker knows */
    htt_delivery *deliveries; /* owned, in the order of seq */
    void **memory;            /* owned, what each delivery's event points to */
    bool *settled;            /* owned; this lease has said what became of the event */
    size_t count;             /* of deliveries */
    size_t capacity;          /* of the three arrays */
};

/* Adds a copy of the event, in the order in which they come. HTT_NOMEM: without a text. */
htt_rc htt_lease_add(htt_lease *lease, const htt_event *event, uint32_t attempts);

/* What an operation on a leased event does with it. */
typedef enum htt_settle_what {
    HTT_SETTLE_ACK,     /* done */
    HTT_SETTLE_FAIL,    /* tried again later, or dead */
    HTT_SETTLE_BURY,    /* dead */
    HTT_SETTLE_RELEASE, /* pending, the attempt does not count */
    HTT_SETTLE_EXTEND   /* leased for longer */
} htt_settle_what;

/* One of them. */
typedef struct htt_settle {
    htt_settle_what what; /* what happens */
    const char *consumer; /* borrowed, as all */
    int64_t seq;          /* of the event */
    int64_t token;        /* of the lease */
    int64_t now;          /* ms */
    const char *error;    /* FAIL, BURY; never NULL there */
    int64_t until;        /* EXTEND: the new end */
} htt_settle;

/* How the delivery of an event stands when an operation on it was refused. */
typedef struct htt_settle_state {
    bool is_there;    /* there is a row */
    char state[16];   /* as in htt_delivery.sql; "" without a row */
    char worker[128]; /* who has or had it; cut */
    int64_t token;    /* its lease, 0 = none */
    int64_t due_at;   /* or the lease's end; 0 = none */
} htt_settle_state;

/* HTT_EXPIRED with a text that says why. */
htt_rc htt_settle_refuse(htt_db *db, const htt_settle *settle, const htt_settle_state *state);

/* ------------------------------------------------------------- the fake */

/* Arguments are checked; what is said of the functions of htt_event.h holds here. */
htt_rc htt_fake_event_append(htt_db *db, const htt_event *event, htt_event_receipt *receipt_out);
htt_rc htt_fake_event_declare(htt_db *db, const char *type);
htt_rc htt_fake_event_each(htt_db *db, int64_t after, uint32_t most, htt_event_visit visit,
                           void *arg);
htt_rc htt_fake_event_newest(htt_db *db, int64_t *seq_out);
htt_rc htt_fake_event_purge(htt_db *db, int64_t before, uint32_t most, uint32_t *deleted_out);
htt_rc htt_fake_consumer_register(htt_db *db, const char *name,
                                  const htt_consumer_options *options);
htt_rc htt_fake_consumer_remove(htt_db *db, const char *name);
htt_rc htt_fake_consumer_read(htt_db *db, const char *name, htt_consumer_state *state_out);
/* Fills lease->token and its deliveries; none: nothing to do. */
htt_rc htt_fake_claim(htt_lease *lease, const char *worker, int64_t now, uint32_t most);
htt_rc htt_fake_settle(htt_db *db, const htt_settle *settle);
htt_rc htt_fake_settle_state(htt_db *db, const htt_settle *settle, htt_settle_state *state_out);
htt_rc htt_fake_dead_each(htt_db *db, const char *consumer, int64_t after, uint32_t most,
                          htt_dead_visit visit, void *arg);
htt_rc htt_fake_dead_change(htt_db *db, const char *consumer, int64_t seq, bool discard);
htt_rc htt_fake_inbox_accept(htt_db *db, const char *consumer, const char *message_id);
htt_rc htt_fake_inbox_purge(htt_db *db, int64_t before, uint32_t most, uint32_t *deleted_out);

#endif
