/* SPDX-License-Identifier: MIT */
/*
 * Sagas: processes of several steps, each its own transaction, that survive a restart.
 *
 *     static const htt_saga_step steps[] = {
 *         {.name = "reserve", .action = reserve, .compensation = release},
 *         {.name = "pay", .action = pay, .compensation = refund, .timeout_ms = 30000,
 *          .retry = {.attempts = 5, .pause_ms = 200, .pause_max_ms = 5000}},
 *         {.name = "ship", .action = ship},
 *     };
 *     static const htt_saga_definition order = {
 *         .name = "order", .version = 1, .steps = steps, .count = 3, .timeout_ms = 600000};
 *
 *     htt_saga_open(db, &sagas);
 *     htt_saga_define(sagas, &order, NULL);
 *     htt_saga_start(sagas, &(htt_saga_input){.definition = "order", .data = "{\"order\":7}",
 *                                             .key = "order-7"}, id);
 *     htt_saga_resume(sagas, 0, NULL);          // now, and after every restart
 *
 * States of an instance, a row of htt_saga:
 *
 *          start
 *            |           action done, and another step is left: next step
 *            v          +--------+
 *      +-----------+ ---+        |   action failed, attempts are left: later again
 *      |  running  | <-----------+
 *      +-----------+ ------------------+ refused, attempts used up, or out of time
 *            | last action done        v
 *            |                 +--------------+ ---+  compensation done: the step before it;
 *            |                 | compensating | <--+  failed, attempts left: later again
 *            |                 +--------------+ <------------------+
 *            |                    |        | refused, attempts     |
 *            |               none |        | used up, or out       | htt_saga_requeue
 *            v               left v        v of time               |
 *      +-----------+   +-------------+   +--------+                |
 *      | completed |   | compensated |   | failed | ---------------+
 *      +-----------+   +-------------+   +--------+
 *
 *   SAGA-1  An action or compensation runs in one write transaction (BEGIN IMMEDIATE) with the
 *           change of its instance's row and its events. There is no moment at which one of them
 *           is durable and another is not.
 *   SAGA-2  What failed is undone to the savepoint before it; its attempt is then counted in the
 *           same transaction. Compensation begins with the step before the one that failed.
 *   SAGA-3  The row is read in the write transaction that changes it, so of two processes the
 *           second sees what the first did. Every change counts `version` up and names the version
 *           it read: a change in between, by an action or by hand, gives HTT_CONFLICT.
 *   SAGA-4  Ended instances keep no time (next_at is NULL); all others have one, so htt_saga_resume
 *           finds every one of them.
 *
 * An action changes this database and nothing else: it may run again after a crash, and what it did
 * is undone when it fails. What is to happen outside it writes as an event (htt_event.h).
 *
 * A htt_sagas is used by one thread, that of its db, and closed before it. docs/saga.md tells more.
 */
#ifndef HTT_SAGA_H
#define HTT_SAGA_H

#include "htt_uow.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct htt_sagas htt_sagas;         /* what a program knows of sagas in one database */
typedef struct htt_saga_call htt_saga_call; /* one run of an action or compensation */

#define HTT_SAGA_ID_MAX 64u         /* bytes of an id with its end */
#define HTT_SAGA_STEPS_MAX 1000u    /* of a definition: a data error is likelier than so many */
#define HTT_SAGA_ATTEMPTS 3u        /* where a definition says 0 */
#define HTT_SAGA_PAUSE_MS 100       /* where a definition says 0 */
#define HTT_SAGA_PAUSE_MAX_MS 60000 /* where a definition says 0 */
#define HTT_SAGA_KEY_KEEP_MS INT64_C(2592000000) /* where an input says 0: 30 days */
#define HTT_SAGA_FOREVER UINT32_MAX              /* attempts: only the timeout ends them */

/* ------------------------------------------------------------ definitions */

/*
 * An action or a compensation, inside the step's transaction. HTT_OK: done. Anything else: failed,
 * everything that it changed is undone, and it is tried again later while attempts are left.
 * `return htt_saga_refuse(call, "no such item %s", name);` fails for good.
 */
typedef htt_rc htt_saga_act(htt_saga_call *call, void *context);

/*
 * When to try again. The n-th pause is pause_ms * 2^(n-1), at most pause_max_ms, of which a random
 * part up to the half is taken off, so that instances that failed together do not come together.
 */
typedef struct htt_saga_retry {
    uint32_t attempts;    /* all together; 0 = HTT_SAGA_ATTEMPTS; HTT_SAGA_FOREVER */
    int64_t pause_ms;     /* before the second attempt; 0 = HTT_SAGA_PAUSE_MS */
    int64_t pause_max_ms; /* 0 = HTT_SAGA_PAUSE_MAX_MS, or pause_ms where that is more */
} htt_saga_retry;

typedef struct htt_saga_step {
    const char *name;                  /* unique in its definition */
    htt_saga_act *action;              /* what the step does */
    htt_saga_act *compensation;        /* takes it back; NULL = nothing to take back */
    htt_saga_retry retry;              /* of the action */
    int64_t timeout_ms;                /* from the end of the step before; 0 = none */
    htt_saga_retry compensation_retry; /* of the compensation */
    int64_t compensation_timeout_ms;   /* from when it is its turn; 0 = none */
} htt_saga_step;

/*
 * HTT_SAGA_FOREVER needs a timeout: of the step, or for an action of the saga.
 *
 * With `events`, each is in the transaction of what it tells, behind those of the step. FROZEN:
 *   aggregate_type  "saga"
 *   aggregate_id    htt_saga.id
 *   type            "saga.started", then "saga." and the new state: "saga.compensating",
 *                   "saga.completed", "saga.compensated", "saga.failed"
 *   payload         {"definition":"order","version":1,"step":2}; step: htt_saga.step afterwards
 * An application that declares its types (htt_event_declare) declares these too.
 */
typedef struct htt_saga_definition {
    const char *name;           /* of the process */
    int64_t version;            /* above 0; other steps need another one */
    const htt_saga_step *steps; /* in their order */
    size_t count;               /* of steps, 1 to HTT_SAGA_STEPS_MAX */
    int64_t timeout_ms;         /* from the start to the end of the last action; 0 = none */
    bool events;                /* append an event at the start and at each change of state */
} htt_saga_definition;

/*
 * Makes the tables where they are missing; in a fake (htt_db_open_fake) there is nothing to make.
 * `db` is borrowed until htt_saga_close. HTT_NEWER: a newer library made the tables. HTT_MISMATCH:
 * they were altered.
 */
HTT_API HTT_MUST_CHECK htt_rc htt_saga_open(htt_db *db, htt_sagas **sagas_out);
/* NULL is allowed. */
HTT_API void htt_saga_close(htt_sagas *sagas);

/*
 * Announces a definition; it and `context`, which its actions get, are borrowed until
 * htt_saga_close. Several versions of one name may be there: each instance goes on with its own.
 *   HTT_MISUSE    it makes no sense; the message says what
 *   HTT_EXISTS    announced already
 *   HTT_MISMATCH  the database knows this name and version with other steps: count the version up
 */
HTT_API HTT_MUST_CHECK htt_rc htt_saga_define(htt_sagas *sagas,
                                              const htt_saga_definition *definition, void *context);

/* -------------------------------------------------------------- instances */

/* What is to be started. */
typedef struct htt_saga_input {
    const char *definition; /* its name */
    int64_t version;        /* of the definition; 0 = the highest that was announced */
    const char *data;       /* JSON; NULL = {} */
    const char *key;        /* idempotency key; NULL = none */
    const char *id;         /* of the instance; NULL = a new UUID */
    int64_t key_keep_ms;    /* how long the key is known; 0 = HTT_SAGA_KEY_KEEP_MS */
    int64_t delay_ms;       /* before its first step */
} htt_saga_input;

/*
 * Starts an instance: its row, nothing runs yet. Within a unit or transaction of the caller it is
 * part of that. With a key that was used before, nothing is started:
 *   HTT_OK        same definition, same data (the same bytes): `id_out` is that instance
 *   HTT_CONFLICT  other data
 *   HTT_EXISTS    the id is in use
 *   HTT_INVALID   the data is not valid JSON
 *   HTT_NOTFOUND  no such definition was announced
 */
HTT_API HTT_MUST_CHECK htt_rc htt_saga_start(htt_sagas *sagas, const htt_saga_input *input,
                                             char id_out[HTT_SAGA_ID_MAX]);

/* FROZEN: the names of these states stand in the table. */
typedef enum htt_saga_state {
    HTT_SAGA_RUNNING = 1,
    HTT_SAGA_COMPENSATING = 2,
    HTT_SAGA_COMPLETED = 3,
    HTT_SAGA_COMPENSATED = 4,
    HTT_SAGA_FAILED = 5
} htt_saga_state;

/* "running" and so on; static. Never NULL. */
HTT_API const char *htt_saga_state_name(htt_saga_state state);

/* How an instance stands. */
typedef struct htt_saga_status {
    htt_saga_state state; /* now */
    bool ran;             /* this call ran something or changed the state */
    uint32_t attempts;    /* that failed, of what is next */
    int64_t step;         /* htt_saga.step */
    int64_t next_at;      /* when it is due, ms since 1970; 0 = ended */
    int64_t version;      /* htt_saga.version */
} htt_saga_status;

/*
 * Runs one action or compensation of the instance when it is due, or ends it when its time is over;
 * else HTT_OK with `ran` false. Not within a transaction of the caller. An action that fails is no
 * error of this function. `version`: HTT_CONFLICT unless the row has it; 0 = any. `status_out` may
 * be NULL. On every failure the row is as it was.
 *   HTT_NOTFOUND  no such instance
 *   HTT_CONFLICT  somebody else changed the row
 *   HTT_MISMATCH  its definition was not announced, in this version or with these steps
 *   HTT_INVALID   its data is not valid JSON: somebody changed it
 *   HTT_CORRUPT   the row makes no sense otherwise
 *   HTT_BUSY      another writer holds the database
 */
HTT_API HTT_MUST_CHECK htt_rc htt_saga_advance(htt_sagas *sagas, const char *id, int64_t version,
                                               htt_saga_status *status_out);

/* What htt_saga_resume did. */
typedef struct htt_saga_report {
    uint64_t ran;         /* actions, compensations and timeouts */
    uint64_t completed;   /* instances that ended so */
    uint64_t compensated; /* the same */
    uint64_t failed;      /* the same: look at htt_saga_each */
    uint64_t refused;     /* due instances that htt_saga_advance refused, left as they are */
    uint64_t unknown;     /* unfinished instances of definitions that were not announced */
    bool more;            /* `limit` ended it: call again */
    int64_t next_at;      /* when the next known one is due, 0 = none */
    char problem[512];    /* of the last one refused or the first unknown; "" = none */
} htt_saga_report;

/*
 * Advances all instances that are due, each until it ended or has to wait. At most `limit` steps;
 * 0 = no limit. Instances that cannot go on are counted, told in the report, and left alone (also
 * one whose action changes its row each time, or whose event is refused each time); the others go
 * on. `report_out` may be NULL; it is filled on failure too.
 */
HTT_API HTT_MUST_CHECK htt_rc htt_saga_resume(htt_sagas *sagas, uint64_t limit,
                                              htt_saga_report *report_out);

/*
 * An unfinished instance becomes due now: something that its action waits for has come. Within a
 * transaction of the caller it is part of that. HTT_NOTFOUND: no such instance, or it ended.
 */
HTT_API HTT_MUST_CHECK htt_rc htt_saga_wake(htt_sagas *sagas, const char *id);

/* How a failed instance goes on, when a person has looked at it. FROZEN. */
typedef enum htt_saga_how {
    HTT_SAGA_AGAIN = 1, /* the compensation that failed, with new attempts */
    HTT_SAGA_SKIP = 2   /* it was done by hand: the one before it */
} htt_saga_how;

/* HTT_NOTFOUND: no such instance. HTT_MISUSE: it did not fail. Else as htt_saga_advance. */
HTT_API HTT_MUST_CHECK htt_rc htt_saga_requeue(htt_sagas *sagas, const char *id, htt_saga_how how);

/*
 * Deletes instances that ended `age_ms` ago or earlier, completed and compensated ones, at most
 * `limit` (0 = no limit). Failed ones stay. Their idempotency keys stay too, until their own time
 * is over: such a key still gives the id of the instance, for which htt_saga_get then says
 * HTT_NOTFOUND. htt_idempotency_purge deletes keys whose time is over.
 */
HTT_API HTT_MUST_CHECK htt_rc htt_saga_purge(htt_sagas *sagas, int64_t age_ms, uint64_t limit,
                                             uint64_t *count_out);

/* A row of htt_saga, borrowed until the function that it is given to returns. */
typedef struct htt_saga_instance {
    const char *id;             /* of the instance */
    const char *definition;     /* its name */
    int64_t definition_version; /* its version */
    htt_saga_status status;     /* `ran` is false */
    const char *step_name;      /* NULL = ended */
    const char *data;           /* JSON */
    const char *cause;          /* why it was compensated; NULL = it was not */
    const char *last_error;     /* of the newest failed attempt; NULL = none */
    const char *key;            /* idempotency key; NULL = none */
    int64_t step_deadline;      /* ms since 1970, 0 = none */
    int64_t deadline;           /* ms since 1970, 0 = none */
    int64_t created_at;         /* ms since 1970 */
    int64_t updated_at;         /* ms since 1970 */
} htt_saga_instance;

/* Gets one instance after the other; anything but HTT_OK ends the visit and is its result. */
typedef htt_rc htt_saga_visit(const htt_saga_instance *instance, void *arg);

/*
 * Visits one instance, or all in a state, the longest unchanged first (0: one state after the
 * other). The visit may call anything but htt_saga_close; what it changes may be visited again.
 */
HTT_API HTT_MUST_CHECK htt_rc htt_saga_get(htt_sagas *sagas, const char *id, htt_saga_visit *visit,
                                           void *arg);
HTT_API HTT_MUST_CHECK htt_rc htt_saga_each(htt_sagas *sagas, htt_saga_state state,
                                            htt_saga_visit *visit, void *arg);

/* ------------------------------------------------------ what an action has */

/*
 * Everything is borrowed until the action returns.
 *   htt_saga_call_db       in the step's transaction: htt_event_append, htt_db_connection and so on
 *   htt_saga_call_unit     the step's unit of work: htt_uow_repo, htt_uow_event
 *   htt_saga_call_id       of the instance
 *   htt_saga_call_data     JSON; what htt_saga_call_set_data gave
 *   htt_saga_call_attempt  from 1
 *   htt_saga_call_cause    in a compensation: what went wrong; else NULL
 */
HTT_API htt_db *htt_saga_call_db(const htt_saga_call *call);
HTT_API htt_uow *htt_saga_call_unit(const htt_saga_call *call);
HTT_API const char *htt_saga_call_id(const htt_saga_call *call);
HTT_API const char *htt_saga_call_data(const htt_saga_call *call);
HTT_API uint32_t htt_saga_call_attempt(const htt_saga_call *call);
HTT_API const char *htt_saga_call_cause(const htt_saga_call *call);

/* The data from now on, copied; kept when the action succeeds. HTT_INVALID: not valid JSON. */
HTT_API HTT_MUST_CHECK htt_rc htt_saga_call_set_data(htt_saga_call *call, const char *json);

/*
 * What an action that failed returns, with its reason for htt_saga.last_error.
 *   htt_saga_refuse  for good: no attempt is made again
 *   htt_saga_later   tried again, while attempts are left
 */
HTT_API HTT_MUST_CHECK htt_rc htt_saga_refuse(htt_saga_call *call, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
HTT_API HTT_MUST_CHECK htt_rc htt_saga_later(htt_saga_call *call, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#ifdef __cplusplus
}
#endif

#endif
