/* SPDX-License-Identifier: MIT */
/* Dead events: list, try again, give up. */
#include <inttypes.h>

#include "sql/event/event.h"
#include "sql/event/sql.h"

static htt_rc dead_visit_row(htt_db *db, sqlite3_stmt *statement, htt_dead_visit visit, void *arg) {
    uint8_t scratch[HTT_NUMBER_SIZE];
    htt_dead dead;
    const htt_rc rc = htt_event_row(db, statement, &dead.event, scratch);
    if (rc != HTT_OK) {
        return rc;
    }
    const char *const error = htt_event_text(statement, EVENT_COLUMN_COUNT + 2);
    const char *const worker = htt_event_text(statement, EVENT_COLUMN_COUNT + 3);
    dead.attempts = (uint32_t)sqlite3_column_int64(statement, EVENT_COLUMN_COUNT);
    dead.died_at = sqlite3_column_int64(statement, EVENT_COLUMN_COUNT + 1);
    dead.last_error = error == NULL ? "" : error;
    dead.worker = worker == NULL ? "" : worker;
    return visit(arg, &dead);
}

htt_rc htt_dead_each(htt_db *db, const char *consumer, int64_t after, uint32_t most,
                     htt_dead_visit visit, void *arg) {
    sqlite3_stmt *statement;
    bool row = false;
    htt_rc rc = htt_event_check_name(db, "dead events: the consumer's name", consumer, SIZE_MAX);
    if (rc != HTT_OK) {
        return rc;
    }
    if (htt_db_is_fake(db)) {
        return htt_fake_dead_each(db, consumer, after, most, visit, arg);
    }
    rc = htt_event_begin(db, DEAD_EACH, &statement, "tii", consumer, after,
                         most == 0 ? INT64_MAX : (int64_t)most);
    if (rc != HTT_OK) {
        return rc;
    }
    rc = htt_event_step(db, statement, &row);
    while (rc == HTT_OK && row) {
        rc = dead_visit_row(db, statement, visit, arg);
        rc = rc == HTT_OK ? htt_event_step(db, statement, &row) : rc;
    }
    htt_statement_done(statement);
    return rc;
}

static htt_rc dead_change(htt_db *db, const char *consumer, int64_t seq, bool discard) {
    int64_t changed = 0;
    htt_scope scope;
    htt_rc rc = htt_event_check_name(db, "dead events: the consumer's name", consumer, SIZE_MAX);
    if (rc == HTT_OK && (seq < 0 || (discard && seq == 0))) {
        rc = htt_db_fail(db, HTT_MISUSE, "dead events: %" PRId64 " is no event's seq", seq);
    }
    if (rc == HTT_OK) {
        rc = htt_scope_enter(db, &scope, HTT_SCOPE_IMMEDIATE);
    }
    if (rc != HTT_OK) {
        return rc;
    }
    if (htt_db_is_fake(db)) {
        rc = htt_fake_dead_change(db, consumer, seq, discard);
        changed = rc == HTT_OK;
        rc = rc == HTT_NOTFOUND ? HTT_OK : rc;
    } else {
        rc =
            htt_event_run(db, discard ? DEAD_DISCARD : DEAD_REQUEUE, &changed, "ti", consumer, seq);
    }
    if (rc == HTT_OK && changed == 0) {
        rc = seq == 0 ? htt_db_fail(db, HTT_NOTFOUND, "consumer '%s' has no dead events", consumer)
                      : htt_db_fail(db, HTT_NOTFOUND,
                                    "event %" PRId64 " is not a dead one of consumer '%s'", seq,
                                    consumer);
    }
    return htt_scope_leave(db, &scope, rc);
}

htt_rc htt_dead_requeue(htt_db *db, const char *consumer, int64_t seq) {
    return dead_change(db, consumer, seq, false);
}

htt_rc htt_dead_discard(htt_db *db, const char *consumer, int64_t seq) {
    return dead_change(db, consumer, seq, true);
}
