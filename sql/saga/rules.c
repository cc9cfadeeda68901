/* SPDX-License-Identifier: MIT */
/*
 * The state machine of sagas. Pure: no SQL, no clock, no allocation.
 *
 *   RULE-1  next_at is never behind a deadline that counts, so whoever looks for due rows finds
 *           those whose time is over.
 *   RULE-2  A step that failed was undone by its savepoint: compensation begins one before it.
 *   RULE-3  A step without compensation has nothing to take back and costs no transaction.
 */
#include "sql/saga/rules.h"

#include <assert.h>

int64_t htt_saga_add(int64_t a, int64_t b) {
    assert(b >= 0);
    return a > INT64_MAX - b ? INT64_MAX : a + b;
}

const htt_saga_step *htt_saga_rules_step(const htt_saga_definition *definition,
                                         const saga_row *row) {
    if (row->state == HTT_SAGA_COMPLETED || row->state == HTT_SAGA_COMPENSATED) {
        return NULL;
    }
    assert(row->step >= 0 && (uint64_t)row->step < definition->count);
    return &definition->steps[row->step];
}

/* The earliest limit that counts: the saga's is for actions only. */
static int64_t rules_deadline(const saga_row *row) {
    const int64_t saga = row->state == HTT_SAGA_RUNNING ? row->deadline : 0;
    if (saga == 0 || (row->step_deadline != 0 && row->step_deadline < saga)) {
        return row->step_deadline;
    }
    return saga;
}

static void rules_wait(saga_row *row, int64_t until) {
    const int64_t deadline = rules_deadline(row);
    row->next_at = deadline != 0 && deadline < until ? deadline : until; /* RULE-1 */
}

static void rules_end(saga_row *row, htt_saga_state state) {
    row->state = state;
    row->attempts = 0;
    row->next_at = 0;
    row->step_deadline = 0;
}

/* The action or compensation of `step` is next, from `at` on. */
static void rules_enter(const htt_saga_definition *definition, saga_row *row, htt_saga_state state,
                        int64_t step, int64_t at) {
    const htt_saga_step *const of = &definition->steps[step];
    const int64_t timeout =
        state == HTT_SAGA_RUNNING ? of->timeout_ms : of->compensation_timeout_ms;
    row->state = state;
    row->step = step;
    row->attempts = 0;
    row->step_deadline = timeout == 0 ? 0 : htt_saga_add(at, timeout);
    rules_wait(row, at);
}

/* The compensation of `step`, or of the nearest before it that has one. */
static void rules_undo(const htt_saga_definition *definition, saga_row *row, int64_t step,
                       int64_t now) {
    while (step >= 0 && definition->steps[step].compensation == NULL) { /* RULE-3 */
        step--;
    }
    if (step >= 0) {
        rules_enter(definition, row, HTT_SAGA_COMPENSATING, step, now);
    } else {
        row->step = -1;
        rules_end(row, HTT_SAGA_COMPENSATED);
    }
}

void htt_saga_rules_start(const htt_saga_definition *definition, saga_row *row, int64_t now,
                          int64_t delay_ms) {
    const int64_t at = htt_saga_add(now, delay_ms);
    row->deadline = definition->timeout_ms == 0 ? 0 : htt_saga_add(at, definition->timeout_ms);
    rules_enter(definition, row, HTT_SAGA_RUNNING, 0, at);
}

bool htt_saga_rules_late(const saga_row *row, int64_t now) {
    const int64_t deadline = rules_deadline(row);
    return deadline != 0 && deadline <= now;
}

int64_t htt_saga_rules_limit(const htt_saga_definition *definition, const saga_row *row) {
    const htt_saga_step *const step = htt_saga_rules_step(definition, row);
    if (rules_deadline(row) != row->step_deadline) {
        return definition->timeout_ms;
    }
    return row->state == HTT_SAGA_RUNNING ? step->timeout_ms : step->compensation_timeout_ms;
}

void htt_saga_rules_done(const htt_saga_definition *definition, saga_row *row, int64_t now) {
    assert(saga_is_open(row));
    if (row->state == HTT_SAGA_COMPENSATING) {
        rules_undo(definition, row, row->step - 1, now);
    } else if ((uint64_t)row->step + 1 < definition->count) {
        rules_enter(definition, row, HTT_SAGA_RUNNING, row->step + 1, now);
    } else {
        row->step++;
        rules_end(row, HTT_SAGA_COMPLETED);
    }
}

int64_t htt_saga_rules_pause(const htt_saga_retry *retry, uint32_t attempt, uint64_t random) {
    int64_t pause = retry->pause_ms != 0 ? retry->pause_ms : HTT_SAGA_PAUSE_MS;
    int64_t most = retry->pause_max_ms != 0 ? retry->pause_max_ms : HTT_SAGA_PAUSE_MAX_MS;
    if (most < pause) {
        most = pause;
    }
    for (uint32_t i = 1; i < attempt && pause < most; i++) {
        pause = htt_saga_add(pause, pause);
    }
    pause = pause < most ? pause : most;
    return pause - (int64_t)(random % ((uint64_t)pause / 2 + 1));
}

bool htt_saga_rules_failed(const htt_saga_definition *definition, saga_row *row, int64_t now,
                           uint64_t random) {
    const htt_saga_step *const step = htt_saga_rules_step(definition, row);
    const htt_saga_retry *const retry =
        row->state == HTT_SAGA_RUNNING ? &step->retry : &step->compensation_retry;
    const uint32_t most = retry->attempts != 0 ? retry->attempts : HTT_SAGA_ATTEMPTS;
    assert(saga_is_open(row));
    if (row->attempts < UINT32_MAX - 1) { /* with HTT_SAGA_FOREVER it stays there */
        row->attempts++;
    }
    rules_wait(row, htt_saga_add(now, htt_saga_rules_pause(retry, row->attempts, random)));
    return row->attempts >= most;
}

void htt_saga_rules_give_up(const htt_saga_definition *definition, saga_row *row, int64_t now) {
    const uint32_t attempts = row->attempts;
    assert(saga_is_open(row));
    if (row->state == HTT_SAGA_RUNNING) {
        rules_undo(definition, row, row->step - 1, now); /* RULE-2 */
    } else {
        rules_end(row, HTT_SAGA_FAILED);
        row->attempts = attempts; /* to be looked at */
    }
}

void htt_saga_rules_requeue(const htt_saga_definition *definition, saga_row *row, int64_t now,
                            htt_saga_how how) {
    assert(row->state == HTT_SAGA_FAILED);
    rules_undo(definition, row, how == HTT_SAGA_SKIP ? row->step - 1 : row->step, now);
}
