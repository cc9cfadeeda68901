/* SPDX-License-Identifier: MIT */
/* What the tests of events stand on: a db of each kind, whose clock and chance the test decides. */
#ifndef HTT_TEST_EVENT_BED_H
#define HTT_TEST_EVENT_BED_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "sql/htt_event.h"
#include "sql/htt_idempotency.h"

typedef enum bed_kind { BED_DATABASE, BED_FAKE, BED_ATTACHED, BED_UTF16, BED_KINDS } bed_kind;

typedef struct event_bed {
    bed_kind kind;       /* which one */
    sqlite3 *connection; /* owned; NULL of a fake */
    htt_db *db;          /* owned */
    int64_t now;         /* what the clock says */
    uint64_t chance;     /* the next random number; goes on by itself */
} event_bed;

void bed_open(event_bed *bed, bed_kind kind);
void bed_close(event_bed *bed);

/* Platform whose context is an event_bed. */
htt_platform bed_platform(event_bed *bed);

/* BEGIN and COMMIT or ROLLBACK, of whatever kind the db is. */
void bed_begin(event_bed *bed);
void bed_end(event_bed *bed, bool commit);

/* An event 'placed' of order '1' with payload '{}'. */
htt_event bed_event(void);
/* Appends an event of aggregate_type 'order' and type 'placed', payload '{}'; gives its seq. */
int64_t bed_append(event_bed *bed, const char *aggregate_id);
/* Registers with these rules, from the oldest. */
void bed_register(event_bed *bed, const char *name, htt_on_dead on_dead, uint32_t max_attempts);
/* Claims; NULL: nothing to do. */
htt_lease *bed_claim(event_bed *bed, const char *consumer, const char *worker, uint32_t most);
/* "1 4 7": the events of a lease; static storage. NULL is "". */
const char *bed_seqs(const htt_lease *lease);
htt_consumer_state bed_state(event_bed *bed, const char *consumer);
/* For a db with a connection. */
void bed_exec(sqlite3 *connection, const char *sql);
int64_t bed_number(sqlite3 *connection, const char *sql);

#define assert_rc(db, call, expected)                                                              \
    do {                                                                                           \
        const htt_rc rc_ = (call);                                                                 \
        if (rc_ != (expected)) {                                                                   \
            print_error("%s gives %d (%s), not %d: %s\n", #call, (int)rc_, htt_strerror(rc_),      \
                        (int)(expected), htt_db_errmsg(db));                                       \
        }                                                                                          \
        assert_int_equal(rc_, (expected));                                                         \
    } while (0)
#define assert_says(db, text) bed_says(htt_db_errmsg(db), (text), __FILE__, __LINE__)
void bed_says(const char *message, const char *text, const char *file, int line);

/* Keeps copies of what a visit showed. */
typedef struct seen {
    size_t count;      /* events */
    int64_t seqs[100]; /* of them */
    char text[8][300]; /* of the last one: id, aggregate type and id, type, content, headers, key */
    uint8_t payload[64];  /* bytes */
    size_t payload_size;  /* of it */
    int type;             /* of the payload */
    int64_t created_at;   /* ms */
    int64_t available_at; /* ms */
} seen;

/* A visit for an htt_event_each; arg is a seen. */
htt_rc see(void *arg, const htt_event *event);

/* A test that runs over a db of each kind: a database, a fake, an attached schema with a quote in
 * its name, and a UTF-16 database. */
#define CONTRACT(name)                                                                             \
    static void contract_##name(event_bed *bed);                                                   \
    static void name(void **state) {                                                               \
        (void)state;                                                                               \
        for (bed_kind kind = BED_DATABASE; kind < BED_KINDS; kind++) {                             \
            event_bed bed;                                                                         \
            bed_open(&bed, kind);                                                                  \
            contract_##name(&bed);                                                                 \
            bed_close(&bed);                                                                       \
        }                                                                                          \
    }                                                                                              \
    static void contract_##name(event_bed *bed)

#endif
