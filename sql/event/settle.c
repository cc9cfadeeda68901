/* SPDX-License-Identifier: MIT */
/*
 * What becomes of leased events. Each operation is one UPDATE that names the lease by its token and
 * asks that its time is not over: no row changed means that it is not ours any more.
 */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "sql/event/event.h"
#include "sql/event/sql.h"

htt_rc htt_settle_refuse(htt_db *db, const htt_settle *settle, const htt_settle_state *state) {
    if (!state->is_there || strcmp(state->state, "done") == 0) {
        return htt_db_fail(db, HTT_EXPIRED,
                           "event %" PRId64 ": consumer '%s' has acknowledged it "
                           "already",
                           settle->seq, settle->consumer);
    }
    if (strcmp(state->state, "leased") != 0) {
        return htt_db_fail(db, HTT_EXPIRED,
                           "event %" PRId64 ": lease %" PRId64 " on it is over, it is %s now",
                           settle->seq, settle->token, state->state);
    }
    if (state->token != settle->token) {
        return htt_db_fail(db, HTT_EXPIRED,
                           "event %" PRId64 ": lease %" PRId64 " on it is over, and worker '%s' "
                           "has it now with lease %" PRId64,
                           settle->seq, settle->token, state->worker, state->token);
    }
    if (state->due_at > settle->now) {
        return htt_db_fail(db, HTT_MISMATCH,
                           "htt_subscription: the row of consumer '%s' was deleted: "
                           "htt_consumer_register makes it again",
                           settle->consumer);
    }
    return htt_db_fail(db, HTT_EXPIRED,
                       "event %" PRId64 ": lease %" PRId64 " was over %" PRId64 " ms ago: extend "
                       "it in time, or lease for longer",
                       settle->seq, settle->token, settle->now - state->due_at);
}

static htt_rc settle_read_state(htt_db *db, const htt_settle *settle, htt_settle_state *state_out) {
    sqlite3_stmt *statement;
    htt_rc rc =
        htt_event_begin(db, DELIVERY_STATE, &statement, "ti", settle->consumer, settle->seq);
    memset(state_out, 0, sizeof *state_out);
    if (rc != HTT_OK) {
        return rc;
    }
    rc = htt_event_step(db, statement, &state_out->is_there);
    if (rc == HTT_OK && state_out->is_there) {
        const char *const state = htt_event_text(statement, 0);
        const char *const worker = htt_event_text(statement, 1);
        (void)snprintf(state_out->state, sizeof state_out->state, "%s", state == NULL ? "" : state);
        (void)snprintf(state_out->worker, sizeof state_out->worker, "%s",
                       worker == NULL ? "" : worker);
        state_out->token = sqlite3_column_int64(statement, 2);
        state_out->due_at = sqlite3_column_int64(statement, 3);
    }
    htt_statement_done(statement);
    return rc;
}

static htt_rc settle_in_database(htt_db *db, const htt_settle *settle) {
    int64_t changed = 0;
    htt_rc rc = HTT_OK;
    switch (settle->what) {
    case HTT_SETTLE_ACK:
        rc = htt_event_run(db, DELIVERY_ACK, &changed, "tiii", settle->consumer, settle->seq,
                           settle->token, settle->now);
        break;
    case HTT_SETTLE_FAIL:
    case HTT_SETTLE_BURY:
        rc = htt_event_run(db, DELIVERY_FAIL, &changed, "tiiitii", settle->consumer, settle->seq,
                           settle->token, settle->now, settle->error, htt_event_chance(db),
                           (int64_t)(settle->what == HTT_SETTLE_BURY));
        break;
    case HTT_SETTLE_RELEASE:
        rc = htt_event_run(db, DELIVERY_RELEASE, &changed, "tiii", settle->consumer, settle->seq,
                           settle->token, settle->now);
        break;
    case HTT_SETTLE_EXTEND:
        rc = htt_event_run(db, DELIVERY_EXTEND, &changed, "tiiii", settle->consumer, settle->seq,
                           settle->token, settle->now, settle->until);
        break;
    }
    if (rc != HTT_OK || changed > 0) {
        return rc;
    }
    htt_settle_state state;
    rc = settle_read_state(db, settle, &state);
    return rc == HTT_OK ? htt_settle_refuse(db, settle, &state) : rc;
}

static htt_rc settle_one(htt_lease *lease, size_t index, htt_settle_what what, const char *error,
                         int64_t now, int64_t until) {
    const htt_settle settle = {
        .what = what,
        .consumer = lease->consumer,
        .seq = lease->deliveries[index].event.seq,
        .token = lease->token,
        .now = now,
        .error = error,
        .until = until,
    };
    return htt_db_is_fake(lease->db) ? htt_fake_settle(lease->db, &settle)
                                     : settle_in_database(lease->db, &settle);
}

static htt_rc settle(htt_lease *lease, size_t index, htt_settle_what what, const char *error) {
    htt_scope scope;
    if (lease == NULL) {
        return HTT_MISUSE;
    }
    htt_db *const db = lease->db;
    if (index >= lease->count) {
        return htt_db_fail(db, HTT_MISUSE, "the lease has %zu events, there is no index %zu",
                           lease->count, index);
    }
    const int64_t now = htt_db_now_ms(db);
    htt_rc rc;
    if (!htt_db_is_fake(db)) { /* a statement is a transaction already, with its triggers */
        rc = settle_one(lease, index, what, error, now, 0);
    } else {
        rc = htt_scope_enter(db, &scope, HTT_SCOPE_IMMEDIATE);
        if (rc == HTT_OK) {
            rc = htt_scope_leave(db, &scope, settle_one(lease, index, what, error, now, 0));
        }
    }
    lease->settled[index] = lease->settled[index] || rc == HTT_OK;
    return rc;
}

htt_rc htt_delivery_ack(htt_lease *lease, size_t index) {
    return settle(lease, index, HTT_SETTLE_ACK, NULL);
}

htt_rc htt_delivery_fail(htt_lease *lease, size_t index, const char *error) {
    return settle(lease, index, HTT_SETTLE_FAIL, error == NULL ? "" : error);
}

htt_rc htt_delivery_bury(htt_lease *lease, size_t index, const char *error) {
    return settle(lease, index, HTT_SETTLE_BURY, error == NULL ? "" : error);
}

htt_rc htt_delivery_release(htt_lease *lease, size_t index) {
    return settle(lease, index, HTT_SETTLE_RELEASE, NULL);
}

/*
 * An operation on all of a lease was refused for one event. HTT_OK: this lease has settled it
 * before, there is nothing to do; else HTT_EXPIRED stays. What was settled in a transaction that
 * was rolled back is leased to us still, and not settled.
 */
static htt_rc settle_pass_over(const htt_lease *lease, size_t index) {
    htt_db *const db = lease->db;
    const htt_settle settle = {.consumer = lease->consumer,
                               .seq = lease->deliveries[index].event.seq};
    htt_settle_state state;
    if (!lease->settled[index]) {
        return HTT_EXPIRED;
    }
    const htt_rc rc = htt_db_is_fake(db) ? htt_fake_settle_state(db, &settle, &state)
                                         : settle_read_state(db, &settle, &state);
    if (rc != HTT_OK) {
        return rc;
    }
    const bool rolled_back = strcmp(state.state, "leased") == 0 && state.token == lease->token;
    return rolled_back ? HTT_EXPIRED : HTT_OK;
}

/* ACK or EXTEND for each event that this lease has not settled. *count_out: how many. */
static htt_rc settle_rest(htt_lease *lease, htt_settle_what what, int64_t now, int64_t until,
                          size_t *count_out) {
    htt_rc rc = HTT_OK;
    *count_out = 0;
    for (size_t i = 0; rc == HTT_OK && i < lease->count; i++) {
        rc = settle_one(lease, i, what, NULL, now, until);
        *count_out += rc == HTT_OK;
        if (rc == HTT_EXPIRED) {
            rc = settle_pass_over(lease, i);
        }
    }
    return rc;
}

htt_rc htt_delivery_ack_all(htt_lease *lease) {
    htt_scope scope;
    size_t count;
    if (lease == NULL) {
        return HTT_MISUSE;
    }
    htt_db *const db = lease->db;
    htt_rc rc = htt_scope_enter(db, &scope, HTT_SCOPE_IMMEDIATE);
    if (rc != HTT_OK) {
        return rc;
    }
    rc = settle_rest(lease, HTT_SETTLE_ACK, htt_db_now_ms(db), 0, &count);
    rc = htt_scope_leave(db, &scope, rc);
    for (size_t i = 0; rc == HTT_OK && i < lease->count; i++) {
        lease->settled[i] = true;
    }
    return rc;
}

htt_rc htt_delivery_extend(htt_lease *lease, uint32_t lease_ms) {
    htt_scope scope;
    size_t extended;
    if (lease == NULL) {
        return HTT_MISUSE;
    }
    htt_db *const db = lease->db;
    if (lease_ms == 0 || lease_ms > HTT_LEASE_LIMIT) {
        return htt_db_fail(db, HTT_MISUSE, "lease_ms is 1 to %d milliseconds", HTT_LEASE_LIMIT);
    }
    htt_rc rc = htt_scope_enter(db, &scope, HTT_SCOPE_IMMEDIATE);
    if (rc != HTT_OK) {
        return rc;
    }
    const int64_t now = htt_db_now_ms(db);
    const int64_t until = now + lease_ms;
    rc = settle_rest(lease, HTT_SETTLE_EXTEND, now, until, &extended);
    if (rc == HTT_OK && extended == 0) {
        rc = htt_db_fail(db, HTT_EXPIRED,
                         "nothing is left of lease %" PRId64 ": all of its events "
                         "are settled",
                         lease->token);
    }
    rc = htt_scope_leave(db, &scope, rc);
    if (rc == HTT_OK) {
        lease->until = until;
    }
    return rc;
}
