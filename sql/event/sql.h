/* SPDX-License-Identifier: MIT */
/*
 * The statements of events, deliveries, the inbox and idempotency keys, and what is common to
 * their use. docs/outbox.md has the same statements for those who write plain SQL.
 */
#ifndef HTT_SQL_EVENT_SQL_H
#define HTT_SQL_EVENT_SQL_H

#include "sql/base/statements.h"
#include "sql/htt_event.h"

/* In the comment: what is bound, and what a row is. */
typedef enum htt_event_sql {
    EVENT_APPEND,        /* the event but seq */
    EVENT_FIND_KEY,      /* idempotency key; seq */
    EVENT_DECLARE,       /* type */
    EVENT_NEWEST,        /* ; seq */
    EVENT_READ,          /* seq; the event */
    EVENT_EACH,          /* seq behind which, most; the event */
    EVENT_PURGE,         /* created before, most */
    CONSUMER_ADD,        /* name, from the oldest */
    CONSUMER_ADD_RULES,  /* name */
    CONSUMER_RULES,      /* name, types, on_dead, max_attempts, backoff_first, backoff_most */
    CONSUMER_UNKNOWN,    /* types; one that is not declared */
    CONSUMER_REMOVE,     /* name */
    CONSUMER_STATE,      /* name; the fields of htt_consumer_state */
    DELIVERY_POLL,       /* consumer, now; are the rules there, is there something to do */
    DELIVERY_FENCE,      /* consumer; token */
    DELIVERY_LOOK,       /* consumer, most */
    DELIVERY_LEASE,      /* consumer, now, due from, due to, most, worker, token, until;
                           id, attempts, is leased (else dead) */
    DELIVERY_ACK,        /* consumer, id, token, now */
    DELIVERY_FAIL,       /* consumer, id, token, now, error, chance, bury */
    DELIVERY_RELEASE,    /* consumer, id, token, now */
    DELIVERY_EXTEND,     /* consumer, id, token, now, until */
    DELIVERY_STATE,      /* consumer, id; state, locked_by, token, due_at */
    DEAD_EACH,           /* consumer, id behind which, most; the event, attempts, ... */
    DEAD_REQUEUE,        /* consumer, id or 0 */
    DEAD_DISCARD,        /* consumer, id */
    INBOX_ACCEPT,        /* consumer, message id, now */
    INBOX_PURGE,         /* received before, most */
    IDEMPOTENCY_READ,    /* scope, key; request, state, result, created_at, expires_at, token */
    IDEMPOTENCY_BEGIN,   /* scope, key, request, now, expires_at, token */
    IDEMPOTENCY_FINISH,  /* scope, key, token, result, expires_at */
    IDEMPOTENCY_ABANDON, /* scope, key, token */
    IDEMPOTENCY_PURGE,   /* now, most */
    EVENT_SQL_COUNT
} htt_event_sql;

extern const htt_statement_table htt_event_statements;

/* Gets a statement and binds its arguments by letters; see htt_statement_bind. */
htt_rc htt_event_begin(htt_db *db, htt_event_sql which, sqlite3_stmt **statement_out,
                       const char *letters, ...);
/* One step of it. */
htt_rc htt_event_step(htt_db *db, sqlite3_stmt *statement, bool *row_out);
/* Runs one without rows, or whose rows do not matter; *changed_out (or NULL): rows it changed. */
htt_rc htt_event_run(htt_db *db, htt_event_sql which, int64_t *changed_out, const char *letters,
                     ...);
/* The number in its first row's first column; `otherwise` when there is no row. */
htt_rc htt_event_number(htt_db *db, htt_event_sql which, int64_t *number_out, int64_t otherwise,
                        const char *letters, ...);

/* Column as text, NULL when it is NULL; borrowed until the next step. */
const char *htt_event_text(sqlite3_stmt *statement, int column);
/* Column with its type; scratch holds a number. */
htt_datum htt_event_datum(sqlite3_stmt *statement, int column, uint8_t scratch[HTT_NUMBER_SIZE]);
/* Columns 0 to 10 as an event, borrowed until the next step. HTT_NOMEM: of another encoding. */
htt_rc htt_event_row(htt_db *db, sqlite3_stmt *statement, htt_event *event_out,
                     uint8_t scratch[HTT_NUMBER_SIZE]);
enum { EVENT_COLUMN_COUNT = 11 };

#endif
