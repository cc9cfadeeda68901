/* SPDX-License-Identifier: MIT */
/*
 * One step of one instance.
 *
 *     BEGIN IMMEDIATE
 *       read the row                     not due, ended, or another version: leave it
 *       out of time?                     give up
 *       SAVEPOINT
 *         action or compensation         done:   RELEASE, next step
 *                                        failed: ROLLBACK TO, count the attempt; the last: give up
 *       write the row, where it still has the version that was read
 *       its event
 *     COMMIT
 *
 * Where SQLite rolled back the whole transaction (a full disk, RAISE(ROLLBACK) in a trigger), the
 * failed attempt is counted in a second one, so that it cannot come again without end.
 */
#include <stdio.h>

#include "sql/base/memory.h"
#include "sql/htt_uow.h"
#include "sql/saga/internal.h"

#define ADVANCE_TEXT_MAX 700u /* bytes of last_error and cause */

/* One call of htt_saga_advance. */
typedef struct saga_run {
    htt_sagas *sagas;           /* borrowed */
    const char *id;             /* of the instance, borrowed */
    int64_t version;            /* that the row must have; 0 = any */
    bool failed;                /* the action failed */
    bool gave_up;               /* for good */
    bool lost;                  /* and took the transaction with it */
    bool ran;                   /* the row was changed */
    htt_saga_status status;     /* of the row in the end */
    char why[ADVANCE_TEXT_MAX]; /* it failed */
} saga_run;

/* ------------------------------------------------------------ the action */

/* What a failed action left behind. Its own reason, else the db's error, else the result's name. */
static void advance_take_failure(saga_run *run, const htt_saga_call *call, htt_rc rc) {
    const htt_db *const db = run->sagas->db;
    const char *text = htt_strerror(rc);
    if (call->reason[0] != '\0') {
        text = call->reason;
    } else if (htt_db_errcode(db) == rc) {
        text = htt_db_errmsg(db);
    }
    run->failed = true;
    run->gave_up = call->refused;
    (void)snprintf(run->why, sizeof run->why, "%s", text);
}

/* The action's changes are kept, with what it made of the data, or were undone when run->failed. */
static htt_rc advance_act(saga_run *run, const saga_known *known, saga_row *row) {
    htt_db *const db = run->sagas->db;
    const htt_saga_step *const step = htt_saga_rules_step(known->definition, row);
    htt_saga_act *const act = row->state == HTT_SAGA_RUNNING ? step->action : step->compensation;
    htt_saga_call call = {.sagas = run->sagas, .row = row};
    if (act == NULL) {
        return HTT_OK; /* a program that has nothing to take back any more */
    }
    htt_rc rc = htt_uow_begin(db, HTT_UOW_IMMEDIATE, &call.unit);
    if (rc != HTT_OK) {
        return rc;
    }
    db->error_rc = HTT_OK; /* what is there afterwards is the action's */
    rc = act(&call, known->context);
    if (rc == HTT_OK && row->state == HTT_SAGA_RUNNING &&
        htt_saga_rules_late(row, saga_now(run->sagas))) {
        rc = htt_saga_refuse(&call, "done, but not within %lld ms: undone",
                             (long long)htt_saga_rules_limit(known->definition, row));
    }
    if (rc == HTT_OK) {
        rc = htt_uow_commit(call.unit);
    }
    if (rc != HTT_OK) {
        advance_take_failure(run, &call, rc);
    }
    htt_uow_end(call.unit);
    if (rc == HTT_OK && call.data != NULL) {
        htt_memory_free(row->data);
        row->data = call.data;
        call.data = NULL;
    }
    htt_memory_free(call.data);
    run->lost = run->failed && !htt_db_in_transaction(db);
    return run->lost ? rc : HTT_OK;
}

/* ------------------------------------------------------------- the row */

/* The attempt failed, or the time is over: what the row says of it, and what comes next. */
static htt_rc advance_fail(saga_run *run, const htt_saga_definition *definition, saga_row *row,
                           int64_t now) {
    const htt_platform *const platform = &run->sagas->db->platform;
    const htt_saga_step *const step = htt_saga_rules_step(definition, row);
    const bool running = row->state == HTT_SAGA_RUNNING;
    char cause[ADVANCE_TEXT_MAX + 300];
    htt_rc rc = htt_saga_set_text(run->sagas->db, &row->last_error, run->why);
    if (run->failed &&
        htt_saga_rules_failed(definition, row, now, platform->random64(platform->context))) {
        run->gave_up = true;
    }
    if (rc == HTT_OK && run->gave_up) {
        if (running) {
            (void)snprintf(cause, sizeof cause, "%s: %s", step->name, run->why);
            rc = htt_saga_set_text(run->sagas->db, &row->cause, cause);
        }
        htt_saga_rules_give_up(definition, row, now);
    }
    return rc;
}

static void advance_time_out(saga_run *run, const htt_saga_definition *definition,
                             const saga_row *row) {
    run->gave_up = true;
    (void)snprintf(run->why, sizeof run->why, "not done within %lld ms, %u attempts failed%s%s",
                   (long long)htt_saga_rules_limit(definition, row), row->attempts,
                   row->last_error == NULL || row->attempts == 0 ? "" : "; the last: ",
                   row->last_error == NULL || row->attempts == 0 ? "" : row->last_error);
}

/* Runs what is due. */
static htt_rc advance_row(saga_run *run, saga_row *row) {
    const saga_known *known = NULL;
    const htt_saga_state before = row->state;
    int64_t now = saga_now(run->sagas);
    htt_rc rc = htt_saga_row_known(run->sagas, row, &known);
    if (rc == HTT_OK) {
        rc = htt_saga_check_json(run->sagas->db, row->data, row->id);
    }
    if (rc != HTT_OK) {
        return rc;
    }
    const htt_saga_definition *const definition = known->definition;
    if (run->failed) {
        /* the second transaction of a failed attempt */
    } else if (htt_saga_rules_late(row, now)) {
        advance_time_out(run, definition, row);
    } else {
        rc = advance_act(run, known, row);
        now = saga_now(run->sagas);
    }
    if (rc == HTT_OK && (run->failed || run->gave_up)) {
        rc = advance_fail(run, definition, row, now);
    } else if (rc == HTT_OK) {
        htt_saga_rules_done(definition, row, now);
    }
    run->ran = true;
    return rc == HTT_OK ? htt_saga_row_write(run->sagas, definition, row, before, now) : rc;
}

static htt_rc advance_load(saga_run *run, saga_row *row) {
    htt_db *const db = run->sagas->db;
    htt_rc rc = htt_saga_store_load(db, run->id, row);
    if (rc == HTT_OK && run->version != 0 && run->version != row->version) {
        return htt_db_fail(db, HTT_CONFLICT, "saga '%s' has version %lld, %lld was expected",
                           run->id, (long long)row->version, (long long)run->version);
    }
    if (rc == HTT_OK && !run->failed) {
        run->version = row->version; /* of a second transaction */
    }
    return rc;
}

/*
 * What the action did cannot be committed: a deferred foreign key, an event that is no JSON. It is
 * the action's failure, and counts as one; a busy database or a full disk is not.
 */
static bool advance_is_actions(htt_rc rc) {
    return rc == HTT_CONSTRAINT || rc == HTT_EXISTS || rc == HTT_CONFLICT || rc == HTT_INVALID ||
           rc == HTT_NOTFOUND || rc == HTT_TYPE || rc == HTT_TOOBIG || rc == HTT_MISUSE;
}

static htt_rc advance_commit(saga_run *run, htt_uow *unit) {
    const htt_rc rc = htt_uow_commit(unit);
    if (rc != HTT_OK && run->ran && !run->failed && !run->gave_up && advance_is_actions(rc)) {
        run->failed = true;
        run->lost = true;
        (void)snprintf(run->why, sizeof run->why, "%s", htt_db_errmsg(run->sagas->db));
    }
    return rc;
}

static htt_rc advance_transaction(saga_run *run) {
    htt_db *const db = run->sagas->db;
    htt_uow *unit = NULL;
    saga_row row = {0};
    run->ran = false;
    htt_rc rc = htt_uow_begin(db, HTT_UOW_IMMEDIATE, &unit);
    if (rc != HTT_OK) {
        return rc;
    }
    run->sagas->unit = unit;
    rc = advance_load(run, &row);
    if (rc == HTT_OK && saga_is_open(&row) && row.next_at <= saga_now(run->sagas)) {
        rc = advance_row(run, &row);
    }
    htt_saga_row_status(&row, run->ran, &run->status);
    htt_saga_row_clear(&row);
    if (rc == HTT_OK) {
        rc = advance_commit(run, unit);
    }
    run->sagas->unit = NULL;
    htt_uow_end(unit);
    return rc;
}

htt_rc htt_saga_advance(htt_sagas *sagas, const char *id, int64_t version,
                        htt_saga_status *status_out) {
    htt_rc rc = htt_saga_check_id(sagas, id);
    if (rc != HTT_OK) {
        return rc;
    }
    if (htt_db_in_transaction(sagas->db)) {
        return htt_db_fail(sagas->db, HTT_MISUSE,
                           "a saga's step is a transaction of its own: commit first");
    }
    saga_run run = {.sagas = sagas, .id = id, .version = version};
    rc = advance_transaction(&run);
    if (run.lost) {
        run.lost = false;
        rc = advance_transaction(&run);
    }
    if (rc == HTT_OK && status_out != NULL) {
        *status_out = run.status;
    }
    return rc;
}
