/* SPDX-License-Identifier: MIT */
/*
 * Events against the same done by hand in SQL, in one process and in turn; every answer is checked.
 *
 *   append    events within transactions of -t events
 *   deliver   claimed in batches of -b and acknowledged in one transaction each
 *
 * By hand is what one writes who needs no more: a table of jobs with a unique id, a state and a
 * partial index on what is pending; an UPDATE ... RETURNING to lease, an UPDATE by key for each
 * acknowledgement. It has one consumer, no order per aggregate, no tries again, and it lets an
 * acknowledgement after the lease's end count. "checked" adds libhtt's CHECKs and triggers to the
 * table of events, and nothing of its C: what plain SQL on htt_event costs.
 *
 *     bench_events [-n events] [-t events of a transaction] [-b events of a batch] [-r rounds]
 */
#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"
#include "bench_clock.h"
#include "bench_folder.h"
#include "sql/htt_event.h"

enum { EVENTS_ROUNDS_MAX = 15, EVENTS_AGGREGATES = 5000 };

typedef struct events_options {
    uint64_t events;      /* of a round */
    uint64_t transaction; /* events in one */
    uint32_t batch;       /* events of a claim */
    int rounds;           /* repetitions; the median counts */
} events_options;

typedef enum events_subject {
    EVENTS_HTT,
    EVENTS_CHECKED,
    EVENTS_HAND,
    EVENTS_COUNT
} events_subject;
static const char *const events_names[] = {"htt_event.h", "checked", "by hand"};

static void events_run(sqlite3 *db, const char *sql) {
    char *message = NULL;
    if (sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK) {
        bench_fail("%s: %s", sql, message);
    }
}

static void events_ok(htt_db *db, htt_rc rc) {
    if (rc != HTT_OK) {
        bench_fail("%s", htt_db_errmsg(db));
    }
}

static sqlite3_stmt *events_prepare(sqlite3 *db, const char *sql) {
    sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) != SQLITE_OK) {
        bench_fail("%s: %s", sql, sqlite3_errmsg(db));
    }
    return statement;
}

static void events_step(sqlite3 *db, sqlite3_stmt *statement, int expected) {
    if (sqlite3_step(statement) != expected) {
        bench_fail("%s: %s", sqlite3_sql(statement), sqlite3_errmsg(db));
    }
}

static int64_t events_integer(sqlite3 *db, const char *sql) {
    sqlite3_stmt *const statement = events_prepare(db, sql);
    events_step(db, statement, SQLITE_ROW);
    const int64_t integer = sqlite3_column_int64(statement, 0);
    (void)sqlite3_finalize(statement);
    return integer;
}

static const char events_payload[] =
    "{\"order\":1047,\"items\":[{\"id\":\"a-17\",\"count\":2},{\"id\":\"b-3\",\"count\":1}],"
    "\"total\":1290,\"currency\":\"EUR\",\"customer\":\"c-5511\"}";

/* ---------------------------------------------------------------- append */

static void events_append_htt(htt_db *db, const events_options *options) {
    sqlite3 *const connection = htt_db_connection(db);
    for (uint64_t i = 0; i < options->events; i++) {
        char aggregate[24];
        const htt_event event = {.aggregate_type = "order",
                                 .aggregate_id = aggregate,
                                 .type = "placed",
                                 .payload = htt_text(events_payload)};
        (void)snprintf(aggregate, sizeof aggregate, "%d", (int)(i % EVENTS_AGGREGATES));
        if (i % options->transaction == 0) {
            events_run(connection, i == 0 ? "BEGIN" : "COMMIT; BEGIN");
        }
        events_ok(db, htt_event_append(db, &event, NULL));
    }
    events_run(connection, "COMMIT");
}

/* Into htt_event or into the table by hand, with an id that the program makes. */
static void events_append_sql(sqlite3 *db, const char *sql, const events_options *options) {
    static uint64_t number; /* for the ids */
    sqlite3_stmt *const statement = events_prepare(db, sql);
    for (uint64_t i = 0; i < options->events; i++) {
        char aggregate[24];
        char id[40];
        (void)snprintf(aggregate, sizeof aggregate, "%d", (int)(i % EVENTS_AGGREGATES));
        (void)snprintf(id, sizeof id, "01900000-0000-7000-8000-%012" PRIx64, ++number);
        if (i % options->transaction == 0) {
            events_run(db, i == 0 ? "BEGIN" : "COMMIT; BEGIN");
        }
        (void)sqlite3_bind_text(statement, 1, id, -1, SQLITE_STATIC);
        (void)sqlite3_bind_text(statement, 2, aggregate, -1, SQLITE_STATIC);
        (void)sqlite3_bind_text(statement, 3, events_payload, -1, SQLITE_STATIC);
        events_step(db, statement, SQLITE_DONE);
        (void)sqlite3_reset(statement);
    }
    (void)sqlite3_finalize(statement);
    events_run(db, "COMMIT");
}

/* --------------------------------------------------------------- deliver */

/* Sum of the seqs that came, each once and in the order of its aggregate. */
static uint64_t events_deliver_htt(htt_db *db, const events_options *options) {
    htt_claim_options claim;
    uint64_t sum = 0;
    static int64_t last[EVENTS_AGGREGATES];
    memset(last, 0, sizeof last);
    htt_claim_options_init(&claim);
    claim.most = options->batch;
    for (;;) {
        htt_lease *lease;
        const htt_rc rc = htt_delivery_claim(db, "bench", "worker", &claim, &lease);
        if (rc == HTT_NOTFOUND) {
            return sum;
        }
        events_ok(db, rc);
        for (size_t i = 0; i < htt_lease_count(lease); i++) {
            const htt_event *const event = &htt_lease_at(lease, i)->event;
            const long aggregate = strtol(event->aggregate_id, NULL, 10);
            if (event->seq <= last[aggregate] || event->payload.size != sizeof events_payload - 1) {
                bench_fail("event %" PRId64 " is out of its order, or another", event->seq);
            }
            last[aggregate] = event->seq;
            sum += (uint64_t)event->seq;
        }
        events_ok(db, htt_delivery_ack_all(lease));
        htt_lease_free(lease);
    }
}

static uint64_t events_deliver_hand(sqlite3 *db, const events_options *options) {
    uint64_t sum = 0;
    int64_t *const seqs = bench_allocate(options->batch, sizeof *seqs);
    sqlite3_stmt *const lease = events_prepare(
        db, "UPDATE hand SET state = 'leased', worker = 'worker', until = ?1 + 30000 WHERE seq IN "
            "(SELECT seq FROM hand WHERE state = 'pending' ORDER BY seq LIMIT ?2) "
            "RETURNING seq, id, aggregate, payload");
    sqlite3_stmt *const done =
        events_prepare(db, "UPDATE hand SET state = 'done' WHERE seq = ?1 AND state = 'leased'");
    for (uint32_t count = 1; count > 0;) {
        int rc;
        count = 0;
        (void)sqlite3_bind_int64(lease, 1, 1700000000000);
        (void)sqlite3_bind_int64(lease, 2, options->batch);
        events_run(db, "BEGIN IMMEDIATE");
        while ((rc = sqlite3_step(lease)) == SQLITE_ROW) {
            seqs[count++] = sqlite3_column_int64(lease, 0);
            if (sqlite3_column_bytes(lease, 3) != (int)sizeof events_payload - 1) {
                bench_fail("a payload is another");
            }
        }
        (void)sqlite3_reset(lease);
        events_run(db, "COMMIT");
        events_run(db, "BEGIN IMMEDIATE");
        for (uint32_t i = 0; i < count; i++) {
            (void)sqlite3_bind_int64(done, 1, seqs[i]);
            events_step(db, done, SQLITE_DONE);
            (void)sqlite3_reset(done);
            if (sqlite3_changes(db) != 1) {
                bench_fail("event %" PRId64 " was not leased", seqs[i]);
            }
            sum += (uint64_t)seqs[i];
        }
        events_run(db, "COMMIT");
        if (rc != SQLITE_DONE) {
            bench_fail("%s", sqlite3_errmsg(db));
        }
    }
    (void)sqlite3_finalize(lease);
    (void)sqlite3_finalize(done);
    free(seqs);
    return sum;
}

/* ------------------------------------------------------------------ main */

static sqlite3 *events_open(const char *folder, events_subject subject, int round,
                            htt_db **db_out) {
    char name[600];
    sqlite3 *db = NULL;
    (void)snprintf(name, sizeof name, "%s/events%d-%d.db", folder, (int)subject, round);
    if (sqlite3_open(name, &db) != SQLITE_OK) {
        bench_fail("%s: %s", name, sqlite3_errmsg(db));
    }
    events_run(db, "PRAGMA journal_mode = wal; PRAGMA synchronous = normal");
    if (htt_db_open(db, NULL, db_out) != HTT_OK) {
        bench_fail("htt_db_open");
    }
    if (subject == EVENTS_HAND) {
        events_run(db, "CREATE TABLE hand(seq INTEGER PRIMARY KEY, id TEXT UNIQUE NOT NULL, "
                       "aggregate TEXT NOT NULL, type TEXT NOT NULL, payload TEXT, "
                       "created INTEGER, state TEXT NOT NULL DEFAULT 'pending', worker TEXT, "
                       "until INTEGER);"
                       "CREATE INDEX pending ON hand(seq) WHERE state = 'pending'");
    } else {
        events_ok(*db_out, htt_db_install(*db_out, "event"));
        events_ok(*db_out, htt_consumer_register(*db_out, "bench", NULL));
    }
    return db;
}

/* Events per second of a part that began then. */
static double events_rate(const events_options *options, uint64_t begin) {
    return (double)options->events * 1e9 / (double)(bench_clock_now() - begin);
}

static void events_measure(const char *folder, const events_options *options,
                           events_subject subject, int round, double *append_out,
                           double *deliver_out) {
    htt_db *db;
    sqlite3 *const connection = events_open(folder, subject, round, &db);
    const uint64_t expected = options->events * (options->events + 1) / 2;
    uint64_t begin = bench_clock_now();
    switch (subject) {
    case EVENTS_HTT: events_append_htt(db, options); break;
    case EVENTS_CHECKED:
        events_append_sql(connection,
                          "INSERT INTO htt_event(id, aggregate_type, aggregate_id, type, payload) "
                          "VALUES (?1, 'order', ?2, 'placed', ?3)",
                          options);
        break;
    default:
        events_append_sql(connection,
                          "INSERT INTO hand(id, aggregate, type, payload, created) "
                          "VALUES (?1, ?2, 'placed', ?3, 1700000000000)",
                          options);
        break;
    }
    *append_out = events_rate(options, begin);
    begin = bench_clock_now();
    const uint64_t sum = subject == EVENTS_HAND ? events_deliver_hand(connection, options)
                                                : events_deliver_htt(db, options);
    *deliver_out = events_rate(options, begin);
    if (sum != expected) {
        bench_fail("WRONG ANSWER: %s, the sum of the events is %" PRIu64 ", not %" PRIu64,
                   events_names[subject], sum, expected);
    }
    const int64_t left =
        subject == EVENTS_HAND
            ? events_integer(connection, "SELECT count(*) FROM hand WHERE state <> 'done'")
            : events_integer(connection, "SELECT behind FROM htt_lag") +
                  events_integer(connection, "SELECT count(*) FROM htt_delivery");
    if (left != 0) {
        bench_fail("WRONG ANSWER: %s leaves %" PRId64 " events", events_names[subject], left);
    }
    if (htt_db_close(db) != HTT_OK || sqlite3_close(connection) != SQLITE_OK) {
        bench_fail("close");
    }
}

static void events_options_read(int argc, char **argv, events_options *options) {
    int letter;
    while ((letter = getopt(argc, argv, "n:t:b:r:")) != -1) {
        const uint64_t number = optarg == NULL ? 0 : strtoull(optarg, NULL, 10);
        switch (letter) {
        case 'n': options->events = number; break;
        case 't': options->transaction = number; break;
        case 'b': options->batch = (uint32_t)number; break;
        case 'r': options->rounds = (int)number; break;
        default: bench_fail("bench_events [-n events] [-t events] [-b events] [-r rounds]");
        }
    }
    if (options->events == 0 || options->transaction == 0 || options->batch == 0 ||
        options->batch > HTT_CLAIM_MOST || options->rounds < 1 ||
        options->rounds > EVENTS_ROUNDS_MAX) {
        bench_fail("numbers are 1 or more, a batch at most %d, rounds at most %d", HTT_CLAIM_MOST,
                   (int)EVENTS_ROUNDS_MAX);
    }
}

int main(int argc, char **argv) {
    events_options options = {.events = 100000, .transaction = 1000, .batch = 100, .rounds = 3};
    double append[EVENTS_COUNT][EVENTS_ROUNDS_MAX];
    double deliver[EVENTS_COUNT][EVENTS_ROUNDS_MAX];
    events_options_read(argc, argv, &options);
    const char *const folder = bench_folder_make();
    for (int round = 0; round < options.rounds; round++) {
        for (events_subject subject = 0; subject < EVENTS_COUNT; subject++) {
            events_measure(folder, &options, subject, round, &append[subject][round],
                           &deliver[subject][round]);
        }
    }
    bench_folder_remove(folder);
    printf("%" PRIu64 " events, %" PRIu64 " in a transaction, batches of %u, median of %d rounds\n"
           "%-12s %14s %14s %20s %20s\n",
           options.events, options.transaction, options.batch, options.rounds, "", "append/s",
           "deliver/s", "append : by hand", "deliver : by hand");
    const double append_hand = bench_clock_median(append[EVENTS_HAND], options.rounds);
    const double deliver_hand = bench_clock_median(deliver[EVENTS_HAND], options.rounds);
    for (events_subject subject = 0; subject < EVENTS_COUNT; subject++) {
        const double a = bench_clock_median(append[subject], options.rounds);
        const double d = bench_clock_median(deliver[subject], options.rounds);
        printf("%-12s %14.0f %14.0f %20.2f %20.2f\n", events_names[subject], a, d, a / append_hand,
               d / deliver_hand);
    }
    return 0;
}
