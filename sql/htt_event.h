/* SPDX-License-Identifier: MIT */
/*
 * Events: what has happened, written in the transaction that made it happen, and delivered to
 * consumers afterwards, each event at least once and those of one aggregate in order.
 *
 *     the application                              a worker of consumer "mail"
 *       BEGIN                                        htt_delivery_claim(db, "mail", "w1", NULL, &l)
 *       INSERT INTO orders ...                       for each i: send htt_lease_at(l, i)->event
 *       htt_event_append(db, &event, NULL)           htt_delivery_ack(l, i)
 *       COMMIT                                         or htt_delivery_fail(l, i, "why")
 *                                                    htt_lease_free(l)
 *
 * Promises
 *   EVENT-1  An event is there exactly when the transaction that appended it is.
 *   EVENT-2  seq is dense in the order of commits, and never used twice.
 *   EVENT-3  Every event is claimed by each registered consumer until it is acknowledged, or dead
 *            after max_attempts claims. Dead ones stay until someone requeues or discards them.
 *   EVENT-4  Of one aggregate an event is never claimed while an earlier one is neither
 *            acknowledged nor, where the consumer's policy is to skip those, dead. (One that was
 *            skipped and is requeued comes late: see HTT_ON_DEAD_SKIP.)
 *   EVENT-5  One event has at most one lease at a time. What is done with a lease that is over is
 *            refused with HTT_EXPIRED: so an event can be processed twice, but acknowledged once.
 *   EVENT-6  A clock that is set back makes leases and pauses longer, never shorter.
 *
 * A consumer must therefore be able to see an event twice: htt_inbox_accept helps.
 *
 * The tables are made by htt_db_install(db, "event"), and may be used with plain SQL at the same
 * time: docs/outbox.md has the statements, and says which of changes and events is for what. In a
 * fake (htt_db_open_fake) all of this works without SQLite. Times are milliseconds since 1970 by
 * the db's platform.
 */
#ifndef HTT_EVENT_H
#define HTT_EVENT_H

#include "htt_db.h"

#ifdef __cplusplus
extern "C" {
#endif

/* --------------------------------------------------------------- events */

#define HTT_EVENT_ID_MAX 255 /* characters of an id, a message id or an idempotency key */

/* Zero what is not set. Appending borrows it; where one is given out it says until when. */
typedef struct htt_event {
    int64_t seq;                 /* given by append, from 1; 0 in one that is appended */
    const char *id;              /* NULL = a UUID of version 7 is made */
    const char *aggregate_type;  /* "order"; not empty, no slash in it */
    const char *aggregate_id;    /* "1047" */
    const char *type;            /* "placed"; not empty */
    htt_datum payload;           /* any type but HTT_ROW; zeroed = HTT_NULL */
    const char *content_type;    /* NULL = "application/json": the payload is checked */
    const char *headers;         /* a JSON object; NULL = "{}" */
    const char *idempotency_key; /* the same event with the same key is there once; NULL = none */
    int64_t created_at;          /* 0 = now */
    int64_t available_at;        /* not delivered before; 0 = at once */
} htt_event;

typedef struct htt_event_receipt {
    int64_t seq;   /* of the event */
    bool is_known; /* it was there already, with this idempotency key: nothing was inserted */
} htt_event_receipt;

/*
 * Appends in the running transaction, or in one of its own. receipt_out may be NULL.
 *   HTT_MISUSE    something is missing, empty, negative, or has a slash
 *   HTT_INVALID   payload or headers are not the JSON that they are declared to be
 *   HTT_NOTFOUND  types were declared, and this is none of them
 *   HTT_CONFLICT  another event has this idempotency key
 *   HTT_EXISTS    another event has this id
 *   HTT_TOOBIG    an id or key of more than 255 characters
 * and the errors of SQLite.
 */
HTT_API HTT_MUST_CHECK htt_rc htt_event_append(htt_db *db, const htt_event *event,
                                               htt_event_receipt *receipt_out);

/* Declares a type. With the first one, only declared types can be appended. Known ones are OK. */
HTT_API HTT_MUST_CHECK htt_rc htt_event_declare(htt_db *db, const char *type);

/* Gets one event or delivery; it and what it points to are borrowed during the call. Anything but
 * HTT_OK ends the visit, which returns it. It calls none of these functions on the same db. */
typedef htt_rc (*htt_event_visit)(void *arg, const htt_event *event);

/* Visits the events with seq above `after`, in order, at most `most` of them (0 = all). */
HTT_API HTT_MUST_CHECK htt_rc htt_event_each(htt_db *db, int64_t after, uint32_t most,
                                             htt_event_visit visit, void *arg);

/* seq of the newest event, 0 = there never was one. */
HTT_API HTT_MUST_CHECK htt_rc htt_event_newest(htt_db *db, int64_t *seq_out);

/*
 * Deletes at most `most` (0 = 1000) of the oldest events that are older than retention_ms,
 * acknowledged by every registered consumer and dead for none. The newest event stays.
 * *deleted_out (NULL: not asked): how many. Call it until that is below `most`: such a call has
 * read every event that is kept and acknowledged, so sweep now and then, not after each event.
 * Commits on its own, unless a transaction runs.
 */
HTT_API HTT_MUST_CHECK htt_rc htt_event_purge(htt_db *db, int64_t retention_ms, uint32_t most,
                                              uint32_t *deleted_out);

/* ------------------------------------------------------------ consumers */

typedef enum htt_consumer_from {
    HTT_FROM_NEWEST = 0, /* events that come from now on */
    HTT_FROM_OLDEST = 1  /* all that are kept */
} htt_consumer_from;

typedef enum htt_on_dead {
    HTT_ON_DEAD_BLOCK = 0, /* later events of the aggregate wait until it is settled */
    HTT_ON_DEAD_SKIP = 1   /* they go on without it. Requeued, it comes after those that are done
                            * by then, and beside one that is leased */
} htt_on_dead;

typedef struct htt_consumer_options {
    size_t struct_size;     /* sizeof(htt_consumer_options), set by htt_consumer_options_init */
    htt_consumer_from from; /* where one that is new begins; default HTT_FROM_NEWEST */
    htt_on_dead on_dead;    /* default HTT_ON_DEAD_BLOCK */
    const char *types;      /* JSON array of declared types that it wants; NULL (default) = all */
    uint32_t max_attempts;  /* claims of one event, then it is dead; default 20 */
    uint32_t backoff_first_ms; /* pause after the first failure, doubled with each; default 500 */
    uint32_t backoff_most_ms;  /* and at most; default 60000, limit 86400000 */
} htt_consumer_options;

HTT_API void htt_consumer_options_init(htt_consumer_options *options);

/*
 * Registers a consumer: from now on no event is purged before it has acknowledged it. Call it at
 * every start: one that is registered keeps its position and gets the other options.
 * HTT_NOTFOUND: a type that is not declared. HTT_INVALID: types is no JSON array of texts.
 * HTT_MISUSE: a name that is empty, a number out of its range.
 */
HTT_API HTT_MUST_CHECK htt_rc htt_consumer_register(htt_db *db, const char *name,
                                                    const htt_consumer_options *options);

/* Forgets it, with its dead events; what htt_inbox_accept noted under the name stays, until
 * htt_inbox_purge. HTT_NOTFOUND: it is not registered. */
HTT_API HTT_MUST_CHECK htt_rc htt_consumer_remove(htt_db *db, const char *name);

typedef struct htt_consumer_state {
    int64_t acknowledged; /* done with every event up to this seq, but dead ones */
    int64_t newest;       /* seq of the newest event */
    int64_t pending;      /* looked at, and can be claimed now or at its time */
    int64_t waiting;      /* wait for an earlier event of their aggregate */
    int64_t leased;       /* with a worker, or their lease is over and nobody has them */
    int64_t failed;       /* wait for their next try */
    int64_t dead;         /* given up */
} htt_consumer_state;

/* HTT_NOTFOUND: it is not registered. */
HTT_API HTT_MUST_CHECK htt_rc htt_consumer_read(htt_db *db, const char *name,
                                                htt_consumer_state *state_out);

/* ----------------------------------------------------------- deliveries */

#define HTT_CLAIM_MOST 10000 /* events of one claim */

typedef struct htt_claim_options {
    size_t struct_size; /* sizeof(htt_claim_options), set by htt_claim_options_init */
    uint32_t most;      /* events; default 100 */
    uint32_t lease_ms;  /* default 30000 */
} htt_claim_options;

HTT_API void htt_claim_options_init(htt_claim_options *options);

/* Events that a worker has for a time. Close it before the db. */
typedef struct htt_lease htt_lease;

typedef struct htt_delivery {
    htt_event event;   /* borrowed from the lease */
    uint32_t attempts; /* claims so far, this one included */
} htt_delivery;

/*
 * Leases the next events to `worker`, a name of its own choice for people to read: two workers of
 * one name are told apart by the lease's token.
 *   HTT_OK        there is one event at least, and a lease to free
 *   HTT_NOTFOUND  nothing to do now
 *   HTT_MISUSE    the consumer is not registered, a name is empty, an option out of its range
 * and the errors of SQLite. Commits on its own; in a running transaction the lease holds from its
 * commit on. Costs the same whatever the number of events, done or not.
 */
HTT_API HTT_MUST_CHECK htt_rc htt_delivery_claim(htt_db *db, const char *consumer,
                                                 const char *worker,
                                                 const htt_claim_options *options,
                                                 htt_lease **lease_out);
/* NULL is allowed. What was not acknowledged stays leased until its time is over. */
HTT_API void htt_lease_free(htt_lease *lease);

HTT_API size_t htt_lease_count(const htt_lease *lease);
/* Borrowed until htt_lease_free. index below htt_lease_count. */
HTT_API const htt_delivery *htt_lease_at(const htt_lease *lease, size_t index);
/* Each lease of a consumer has a larger token: who keeps it can refuse what an older one does. */
HTT_API int64_t htt_lease_token(const htt_lease *lease);
HTT_API int64_t htt_lease_until(const htt_lease *lease);

/*
 * What became of the event at `index`. In the running transaction (so that what the event made the
 * consumer write, and this, are there together), or in one of its own. HTT_EXPIRED: its lease is
 * over, by time or because the event is not leased to it any more; nothing is changed, and another
 * worker has it or will have it. HTT_MISUSE: no such index.
 */
/* Processed. */
HTT_API HTT_MUST_CHECK htt_rc htt_delivery_ack(htt_lease *lease, size_t index);
/* All that this lease has not settled before. HTT_EXPIRED: one of these is not leased to it any
 * more, and this acknowledges none. */
HTT_API HTT_MUST_CHECK htt_rc htt_delivery_ack_all(htt_lease *lease);
/* Not processed: tried again after a pause, or dead when this was the last attempt. error: why. */
HTT_API HTT_MUST_CHECK htt_rc htt_delivery_fail(htt_lease *lease, size_t index, const char *error);
/* Dead now: no further attempt can help. */
HTT_API HTT_MUST_CHECK htt_rc htt_delivery_bury(htt_lease *lease, size_t index, const char *error);
/* Given back untouched; the attempt does not count. */
HTT_API HTT_MUST_CHECK htt_rc htt_delivery_release(htt_lease *lease, size_t index);
/* All that this lease has not settled before is leased for lease_ms from now. HTT_EXPIRED: one of
 * these is not leased to it any more, or nothing is left; this extends none. */
HTT_API HTT_MUST_CHECK htt_rc htt_delivery_extend(htt_lease *lease, uint32_t lease_ms);

/* ----------------------------------------------------------------- dead */

typedef struct htt_dead {
    htt_event event;        /* borrowed during the visit */
    uint32_t attempts;      /* claims */
    int64_t died_at;        /* ms since 1970 */
    const char *last_error; /* borrowed during the visit; "" = none */
    const char *worker;     /* the last one; borrowed during the visit */
} htt_dead;
typedef htt_rc (*htt_dead_visit)(void *arg, const htt_dead *dead);

/* Visits a consumer's dead events with seq above `after`, in order, at most `most` (0 = all). */
HTT_API HTT_MUST_CHECK htt_rc htt_dead_each(htt_db *db, const char *consumer, int64_t after,
                                            uint32_t most, htt_dead_visit visit, void *arg);
/* Tries a dead event (seq 0: all) again, with attempts from 0. HTT_NOTFOUND: it is not dead.
 * Under HTT_ON_DEAD_SKIP later ones of its aggregate may be done already, or with a worker. */
HTT_API HTT_MUST_CHECK htt_rc htt_dead_requeue(htt_db *db, const char *consumer, int64_t seq);
/* Done with, without being processed: what waits behind it goes on. HTT_NOTFOUND: not dead. */
HTT_API HTT_MUST_CHECK htt_rc htt_dead_discard(htt_db *db, const char *consumer, int64_t seq);

/* ---------------------------------------------------------------- inbox */

/*
 * Is this message new to the consumer? Called in the transaction that does what the message says:
 * HTT_OK: new, go on; HTT_EXISTS: processed before, leave it. HTT_MISUSE: no transaction runs (the
 * message would count as processed although the work is lost), something is NULL or empty.
 * HTT_TOOBIG: an id of more than 255 characters.
 */
HTT_API HTT_MUST_CHECK htt_rc htt_inbox_accept(htt_db *db, const char *consumer,
                                               const char *message_id);
/* Deletes at most `most` (0 = 1000) entries older than retention_ms; as htt_event_purge. */
HTT_API HTT_MUST_CHECK htt_rc htt_inbox_purge(htt_db *db, int64_t retention_ms, uint32_t most,
                                              uint32_t *deleted_out);

#ifdef __cplusplus
}
#endif

#endif
