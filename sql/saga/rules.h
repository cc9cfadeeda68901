/* SPDX-License-Identifier: MIT */
/*
 * What becomes of an instance: the state machine that is drawn in htt_saga.h, without SQL. A row is
 * changed in memory only; sql/saga/row.c reads and writes it.
 */
#ifndef HTT_SAGA_RULES_H
#define HTT_SAGA_RULES_H

#include "sql/htt_saga.h"

/* A row of htt_saga. Texts are owned: htt_saga_row_clear. */
typedef struct saga_row {
    char id[HTT_SAGA_ID_MAX];   /* of the instance */
    htt_saga_state state;       /* of the state machine */
    uint32_t attempts;          /* that failed, of what is next */
    int64_t step;               /* whose action or compensation is next */
    int64_t next_at;            /* when to look again; 0 = ended */
    int64_t step_deadline;      /* of what is next; 0 = none */
    int64_t deadline;           /* of all actions together; 0 = none */
    int64_t version;            /* that was read or written last */
    int64_t created_at;         /* ms since 1970 */
    int64_t updated_at;         /* never goes back, whatever the clock does */
    int64_t definition_version; /* of the definition */
    char *definition;           /* its name */
    char *step_name;            /* as it stands in the row; NULL = none */
    char *data;                 /* JSON */
    char *cause;                /* NULL = not compensated */
    char *last_error;           /* NULL = none */
    char *key;                  /* idempotency key; NULL = none */
} saga_row;

static inline bool saga_is_open(const saga_row *row) {
    return row->state == HTT_SAGA_RUNNING || row->state == HTT_SAGA_COMPENSATING;
}

/* a + b, at most INT64_MAX; b is not negative. */
int64_t htt_saga_add(int64_t a, int64_t b);

/* The step of the row; NULL: it ended well or is compensated. */
const htt_saga_step *htt_saga_rules_step(const htt_saga_definition *definition,
                                         const saga_row *row);

/* The first step of a row that is new. */
void htt_saga_rules_start(const htt_saga_definition *definition, saga_row *row, int64_t now,
                          int64_t delay_ms);

/* The time of what is next is over. */
bool htt_saga_rules_late(const saga_row *row, int64_t now);
/* How long it had, in ms; of the limit that was reached first. */
int64_t htt_saga_rules_limit(const htt_saga_definition *definition, const saga_row *row);

/* What was next is done. */
void htt_saga_rules_done(const htt_saga_definition *definition, saga_row *row, int64_t now);

/*
 * It failed. False: attempts are left, it comes again after a pause of which `random` takes a part
 * off. True: that was the last one, htt_saga_rules_give_up is next.
 */
bool htt_saga_rules_failed(const htt_saga_definition *definition, saga_row *row, int64_t now,
                           uint64_t random);

/* It failed for good, or its time is over: the row is compensated, or failed, from now on. */
void htt_saga_rules_give_up(const htt_saga_definition *definition, saga_row *row, int64_t now);

/* A failed one goes on. */
void htt_saga_rules_requeue(const htt_saga_definition *definition, saga_row *row, int64_t now,
                            htt_saga_how how);

/* The pause behind failed attempt number `attempt`, from 1. */
int64_t htt_saga_rules_pause(const htt_saga_retry *retry, uint32_t attempt, uint64_t random);

#endif
