/* SPDX-License-Identifier: MIT */
/* Running scripts of calls beside a model: see workload.h. */
#include "workload.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

__attribute__((format(printf, 2, 3))) static void run_wrong(workload_run *run, const char *format,
                                                            ...) {
    va_list arguments;
    if (run->wrong[0] == '\0') {
        const int size = snprintf(run->wrong, sizeof run->wrong, "%s: ", run->what->name);
        va_start(arguments, format);
        (void)vsnprintf(run->wrong + size, sizeof run->wrong - (size_t)size, format, arguments);
        va_end(arguments);
    }
}

/* A call gave an error. */
static void run_failed(workload_run *run, htt_rc rc, const char *message, const char *what) {
    run->first_error = run->errors++ == 0 ? rc : run->first_error;
    run->poisoned = run->poisoned || rc == HTT_POISONED;
    run->older = run->older || (run->what->sync == HTT_SYNC_NORMAL && run->poisoned);
    if (rc <= HTT_OK || rc > HTT_ABORTED || message == NULL || message[0] == '\0') {
        run_wrong(run, "%s: result %d without a message", what, (int)rc);
    } else if (!run->faults) {
        run_wrong(run, "%s: %s: %s", what, htt_strerror(rc), message);
    }
}

static void run_note(workload_run *run, workload_event event) {
    if (run->note != NULL) {
        run->note(run->arg, run, event);
    }
}

/* What a comparison found. */
static void run_judge(workload_run *run, const rows_result *result, const char *what) {
    if (result->matches == 0) {
        run_wrong(run, "%s: %s", what, result->text);
    } else if (result->rc != HTT_OK) {
        run_failed(run, result->rc, result->text, what);
    }
}

static int run_report(void *arg, uint32_t page, const char *problem) {
    char *text = arg; /* 300 bytes */
    if (text[0] == '\0') {
        (void)snprintf(text, 300, "page %" PRIu32 ": %s", page, problem);
    }
    return 0;
}

uint32_t workload_allowed(workload_run *run, const rows_state **first_out) {
    uint32_t count = run->doubtful && run->count >= 2 ? 2 : 1;
    if (run->count == 0) {
        rows_state_init(&run->history[0], run->what->rows, run->what->page_size);
        *first_out = run->history;
        return 1;
    }
    count = run->older ? run->count : count;
    *first_out = &run->history[run->count - count];
    return count;
}

/* ------------------------------------------------------- open and close */

void workload_options(const workload *what, const htt_env *env, htt_options *options_out) {
    htt_options_init(options_out);
    options_out->env = env;
    options_out->flags = what->flags | HTT_OPEN_CREATE;
    options_out->page_size = what->page_size;
    options_out->sync = what->sync;
    options_out->busy_timeout_ms = 50;
    options_out->declaration = "key, value";
    if (what->write_budget != 0) {
        options_out->write_budget = what->write_budget;
    }
    if (what->cache_bytes != 0) {
        options_out->cache_bytes = what->cache_bytes;
    }
}

void workload_opened(const workload *what, htt_store *store) {
    if (what->opened != NULL) {
        what->opened(store);
    }
}

/* After an open: which of the states was it? */
static void run_settle_doubt(workload_run *run) {
    const rows_state *states = NULL;
    const uint32_t count = workload_allowed(run, &states);
    htt_txn *txn = NULL;
    const htt_rc rc = htt_begin(run->store, HTT_READ, &txn);
    if (rc != HTT_OK) {
        run_failed(run, rc, htt_errmsg(run->store), "begin");
        return;
    }
    const rows_result result = rows_compare(txn, states, count, 0);
    htt_abort(txn);
    run_judge(run, &result, "open after doubt");
    if (result.rc == HTT_OK && result.matches != 0) {
        const rows_state state = states[63 - __builtin_clzll(result.matches)];
        run->count -= count - 1;
        run->history[run->count - 1] = state;
        run->doubtful = false;
        run->older = false;
    }
}

static void run_open(workload_run *run) {
    htt_options options;
    htt_error error = {0};
    workload_options(run->what, run->env, &options);
    run_note(run, WORKLOAD_OPENING);
    const htt_rc rc = htt_open(WORKLOAD_PATH, &options, &run->store, &error);
    if (rc != HTT_OK) {
        run->store = NULL;
        run_failed(run, rc, error.text, "open");
        return;
    }
    workload_opened(run->what, run->store);
    run->poisoned = false;
    if (run->count == 0) {
        rows_state_init(&run->history[run->count++], run->what->rows, run->what->page_size);
    }
    run_note(run, WORKLOAD_OPENED);
    if (run->doubtful || run->older) {
        run_settle_doubt(run);
        if (run->doubtful || run->older) {
            workload_close(run);
        }
    }
}

void workload_close(workload_run *run) {
    if (run->store == NULL) {
        return;
    }
    htt_cursor_close(run->cursor);
    htt_close(run->store);
    run->store = NULL;
    run->txn = NULL;
    run->pin = NULL;
    run->cursor = NULL;
    run->depth = 0;
    run_note(run, WORKLOAD_CLOSED);
}

/* --------------------------------------------------- write transactions */

static void run_begin(workload_run *run) {
    const htt_rc rc = htt_begin(run->store, HTT_WRITE, &run->txn);
    run->depth = 0;
    if (rc != HTT_OK) {
        run->txn = NULL;
        run_failed(run, rc, htt_errmsg(run->store), "begin");
        return;
    }
    run->working = run->history[run->count - 1];
}

/* A new state is the committed one, or may be. */
static void run_add_state(workload_run *run, const rows_state *state) {
    if (rows_state_equal(&run->history[run->count - 1], state)) {
        return;
    }
    assert(run->count < WORKLOAD_STATES_MAX);
    run->history[run->count++] = *state;
}

/* Takes in the result of a commit, done in whatever way. */
static void run_committed(workload_run *run, htt_rc rc, const char *what) {
    const uint32_t count = run->count;
    const bool poisoned = run->poisoned;
    if (rc != HTT_OK) {
        run_failed(run, rc, htt_errmsg(run->store), what);
    }
    if (rc == HTT_OK && poisoned &&
        !rows_state_equal(&run->history[run->count - 1], &run->working)) {
        run_wrong(run, "%s: a poisoned handle has committed", what);
    }
    if (rc == HTT_OK || (rc == HTT_POISONED && !poisoned)) { /* else it was refused at once */
        run_add_state(run, &run->working);
        run->doubtful = run->doubtful || (rc == HTT_POISONED && run->count > count);
    }
    if (rc == HTT_OK) {
        run_note(run, WORKLOAD_COMMITTED);
    }
}

static void run_commit(workload_run *run) {
    run_note(run, WORKLOAD_COMMITTING);
    const htt_rc rc = htt_commit(run->txn);
    run->txn = NULL;
    run->depth = 0;
    run_committed(run, rc, "commit");
}

static void run_end_broken(workload_run *run) {
    if (run->commit_broken) {
        const htt_rc rc = htt_commit(run->txn);
        if (rc == HTT_OK) {
            run_wrong(run, "a broken transaction was committed");
        } else {
            run_failed(run, rc, htt_errmsg(run->store), "commit of a broken transaction");
        }
    } else {
        htt_abort(run->txn);
    }
    run->txn = NULL;
    run->depth = 0;
}

/* A change failed; the transaction may be broken. */
static void run_change_failed(workload_run *run, htt_rc rc, const char *what) {
    run_failed(run, rc, htt_txn_errmsg(run->txn), what);
    if (rc == HTT_IO || rc == HTT_POISONED) {
        run_end_broken(run);
    }
}

static void run_put(workload_run *run, const workload_step *step) {
    run->version++;
    for (uint32_t id = step->first; id < step->end && run->txn != NULL; id++) {
        const htt_rc rc = rows_put(run->txn, &run->working, id, run->version);
        if (rc != HTT_OK) {
            run_change_failed(run, rc, "put");
        }
    }
}

static void run_del(workload_run *run, const workload_step *step) {
    for (uint32_t id = step->first; id < step->end && run->txn != NULL; id++) {
        const bool there = run->working.versions[id] != 0;
        const htt_rc rc = rows_del(run->txn, &run->working, id);
        if (rc == HTT_OK || rc == HTT_NOTFOUND) {
            if ((rc == HTT_OK) != there) {
                run_wrong(run, "del of row %" PRIu32 ": %s", id, htt_strerror(rc));
            }
        } else {
            run_change_failed(run, rc, "del");
        }
    }
}

static void run_get(workload_run *run, const workload_step *step) {
    const rows_state *state = &run->working;
    for (uint32_t id = step->first; id < step->end; id++) {
        const htt_datum key = rows_key(state->kind, state->page_size, id);
        const bool there = state->versions[id] != 0;
        htt_datum copy = {NULL, 0, 0};
        const htt_rc rc = htt_get_copy(run->txn, key, &copy);
        if (rc != HTT_OK && rc != HTT_NOTFOUND) {
            run_failed(run, rc, htt_txn_errmsg(run->txn), "get_copy");
            continue;
        }
        if ((rc == HTT_OK) != there) {
            run_wrong(run, "get_copy of row %" PRIu32 ": %s", id, htt_strerror(rc));
        }
        if (rc == HTT_OK && there) {
            const htt_datum value =
                rows_value(state->kind, state->page_size, id, state->versions[id]);
            if (copy.type != value.type || copy.size != value.size ||
                (copy.size > 0 && memcmp(copy.data, value.data, copy.size) != 0)) {
                run_wrong(run, "get_copy of row %" PRIu32 " gives other bytes", id);
            }
        }
        htt_free((void *)(uintptr_t)copy.data);
    }
}

static void run_save(workload_run *run) {
    const uint32_t i = run->depth++;
    assert(i < WORKLOAD_SAVES_MAX);
    const htt_rc rc = htt_savepoint(run->txn, &run->saved_ids[i]);
    run->saved[i] = run->working;
    run->saved_ok[i] = rc == HTT_OK;
    if (rc != HTT_OK) {
        run_change_failed(run, rc, "savepoint");
    }
}

static void run_unsave(workload_run *run, bool rollback) {
    assert(run->depth > 0);
    const uint32_t i = run->depth - 1;
    htt_rc rc = HTT_OK;
    if (!run->saved_ok[i]) { /* changes since cannot be undone: the script would go another way */
        run->depth -= rollback ? 0 : 1;
        return;
    }
    if (rollback) {
        rc = htt_rollback_to(run->txn, run->saved_ids[i]);
        run->working = run->saved[i];
    } else {
        rc = htt_release(run->txn, run->saved_ids[i]);
        run->depth--;
    }
    if (rc != HTT_OK) { /* what the transaction holds now is not told */
        run_failed(run, rc, htt_txn_errmsg(run->txn), rollback ? "rollback_to" : "release");
        htt_abort(run->txn);
        run->txn = NULL;
    }
}

static void run_prepare(workload_run *run) {
    const htt_rc rc = htt_prepare(run->txn);
    if (rc != HTT_OK) { /* the commit will try again, or say that it cannot */
        run_failed(run, rc, htt_txn_errmsg(run->txn), "prepare");
    }
}

static void run_cursor(workload_run *run) {
    const htt_rc rc = htt_cursor_open(run->txn, &run->cursor);
    if (rc != HTT_OK) {
        run->cursor = NULL;
        run_failed(run, rc, htt_txn_errmsg(run->txn), "cursor");
        return;
    }
    run->frozen = run->working;
}

static void run_walk(workload_run *run) {
    if (run->cursor != NULL) {
        const rows_result result = rows_compare_cursor(run->cursor, &run->frozen, 1, 0);
        run_judge(run, &result, "walk");
        htt_cursor_close(run->cursor);
        run->cursor = NULL;
    }
}

/* ---------------------------------------------------- read transactions */

static htt_txn *run_reader(workload_run *run) {
    htt_txn *txn = NULL;
    const htt_rc rc = htt_begin(run->store, HTT_READ, &txn);
    if (rc != HTT_OK) {
        run_failed(run, rc, htt_errmsg(run->store), "begin");
        return NULL;
    }
    return txn;
}

/* Begins to read; *states_out: what may be seen. */
static htt_txn *run_pin(workload_run *run, const rows_state **states_out, uint32_t *count_out) {
    *count_out = workload_allowed(run, states_out);
    return run_reader(run);
}

static void run_unpin(workload_run *run, htt_txn *txn, const rows_state *states, uint32_t count) {
    if (txn != NULL) {
        const rows_result result = rows_compare(txn, states, count, 0);
        run_judge(run, &result, "read");
        const htt_rc rc = htt_commit(txn);
        if (rc != HTT_OK) {
            run_failed(run, rc, htt_errmsg(run->store), "end of a reader");
        }
    }
}

static void run_check(workload_run *run) {
    htt_txn *txn = run_reader(run);
    char text[300] = "";
    uint64_t problems = 0;
    if (txn == NULL) {
        return;
    }
    const htt_rc rc = htt_check(txn, HTT_CHECK_DEEP, run_report, text, &problems);
    if (rc != HTT_OK) {
        run_failed(run, rc, htt_txn_errmsg(txn), "check");
    } else if (problems > 0) { /* a page that cannot be read is one */
        run_failed(run, HTT_CORRUPT, text, "check");
    }
    htt_abort(txn);
}

static void run_stat(workload_run *run) {
    const rows_state *states = NULL;
    uint32_t count = 0;
    htt_stat stat;
    htt_txn *txn = run_pin(run, &states, &count);
    if (txn == NULL) {
        return;
    }
    const htt_rc rc = htt_txn_stat(txn, &stat);
    if (rc != HTT_OK) {
        run_failed(run, rc, htt_txn_errmsg(txn), "stat");
    } else if (count == 1 && stat.keys != rows_state_count(&states[0])) {
        run_wrong(run, "stat: %" PRIu64 " rows", stat.keys);
    }
    htt_abort(txn);
}

/* The copy must hold one of the states, and is removed. */
static void run_read_copy(workload_run *run, const rows_state *states, uint32_t count) {
    htt_options options;
    htt_error error = {0};
    htt_store *copy = NULL;
    htt_txn *txn = NULL;
    workload_options(run->what, run->env, &options);
    options.flags = (run->what->flags & HTT_OPEN_NO_MMAP) | HTT_OPEN_READONLY;
    htt_rc rc = htt_open(WORKLOAD_COPY, &options, &copy, &error);
    if (rc != HTT_OK) {
        run_failed(run, rc, error.text, "open of the copy");
        return;
    }
    workload_opened(run->what, copy);
    rc = htt_begin(copy, HTT_READ, &txn);
    if (rc != HTT_OK) {
        run_failed(run, rc, htt_errmsg(copy), "begin in the copy");
    } else {
        const rows_result result = rows_compare(txn, states, count, 0);
        run_judge(run, &result, "the copy");
    }
    htt_close(copy);
}

static void run_backup(workload_run *run) {
    const rows_state *states = NULL;
    uint32_t count = 0;
    htt_txn *txn = run_pin(run, &states, &count);
    if (txn == NULL) {
        return;
    }
    const htt_rc rc = htt_backup(txn, WORKLOAD_COPY);
    if (rc != HTT_OK) {
        run_failed(run, rc, htt_txn_errmsg(txn), "backup");
    } else {
        run_read_copy(run, states, count);
    }
    htt_abort(txn);
    (void)run->env->unlink(run->env->context, WORKLOAD_COPY);
    (void)run->env->unlink(run->env->context, WORKLOAD_COPY "-lock");
}

static void run_vacuum(workload_run *run) {
    uint64_t before = 0;
    uint64_t after = 0;
    const htt_rc rc = htt_vacuum(run->store, &before, &after);
    if (rc != HTT_OK) {
        run_failed(run, rc, htt_errmsg(run->store), "vacuum");
    } else if (after > before) {
        run_wrong(run, "vacuum: %" PRIu64 " bytes became %" PRIu64, before, after);
    }
}

static void run_declare(workload_run *run) {
    const htt_rc rc = htt_store_declare(run->store, "key, value, more");
    if (rc != HTT_OK) {
        run_failed(run, rc, htt_errmsg(run->store), "declare");
    }
}

/* ------------------------------------------- one call, one transaction */

/* Rows 1 and 11 have text keys; the one's value is a text, the other's an integer. */
enum { SIMPLE_TEXT = 1, SIMPLE_NUMBER = 11 };

static void run_simple_put(workload_run *run, uint32_t id) {
    run->working = run->history[run->count - 1];
    run->working.versions[id] = run->version;
    const htt_datum value = rows_value(run->what->rows, run->what->page_size, id, run->version);
    run_note(run, WORKLOAD_COMMITTING);
    const htt_rc rc = id == SIMPLE_TEXT
                          ? htt_put_text(run->store, "key-1", value.data)
                          : htt_put_int(run->store, "key-11", rows_number(id, run->version));
    run_committed(run, rc, id == SIMPLE_TEXT ? "put_text" : "put_int");
}

static void run_simple_get(workload_run *run) {
    char *text = NULL;
    int64_t number = 0;
    htt_rc rc = htt_get_text(run->store, "key-1", &text);
    if (rc != HTT_OK) {
        run_failed(run, rc, htt_errmsg(run->store), "get_text");
    } else if (strcmp(text, rows_value(run->what->rows, run->what->page_size, SIMPLE_TEXT,
                                       run->version).data) != 0) {
        run_wrong(run, "get_text gives another text");
    }
    htt_free(text);
    rc = htt_get_int(run->store, "key-11", &number);
    if (rc != HTT_OK) {
        run_failed(run, rc, htt_errmsg(run->store), "get_int");
    } else if (number != rows_number(SIMPLE_NUMBER, run->version)) {
        run_wrong(run, "get_int gives another number");
    }
    rc = htt_get_int(run->store, "key-1", &number);
    if (rc == HTT_OK || rc == HTT_NOTFOUND) {
        run_wrong(run, "get_int of a text: %s", htt_strerror(rc));
    }
}

static void run_simple(workload_run *run) {
    const uint32_t errors = run->errors;
    run->version++;
    run_simple_put(run, SIMPLE_TEXT);
    run_simple_put(run, SIMPLE_NUMBER);
    if (run->errors == errors) {
        run_simple_get(run);
    }
}

/* ------------------------------------------------------------ the script */

/* Steps inside a write transaction. */
static void run_change(workload_run *run, const workload_step *step) {
    if (run->txn == NULL) {
        return;
    }
    switch (step->kind) {
    case STEP_PUT: run_put(run, step); break;
    case STEP_DEL: run_del(run, step); break;
    case STEP_GET: run_get(run, step); break;
    case STEP_SAVE: run_save(run); break;
    case STEP_ROLLBACK: run_unsave(run, true); break;
    case STEP_RELEASE: run_unsave(run, false); break;
    case STEP_PREPARE: run_prepare(run); break;
    case STEP_COMMIT: run_commit(run); break;
    case STEP_CURSOR: run_cursor(run); break;
    case STEP_ABORT:
        htt_abort(run->txn);
        run->txn = NULL;
        break;
    default: assert(false);
    }
}

static void run_step(workload_run *run, const workload_step *step) {
    const rows_state *states = NULL;
    uint32_t count = 0;
    htt_txn *txn = NULL;
    switch (step->kind) {
    case STEP_CLOSE: workload_close(run); break;
    case STEP_BEGIN: run_begin(run); break;
    case STEP_WALK: run_walk(run); break;
    case STEP_READ:
        txn = run_pin(run, &states, &count);
        run_unpin(run, txn, states, count);
        break;
    case STEP_PIN:
        run->pin = run_pin(run, &states, &count);
        run->pinned_count = count < 2 ? count : 2; /* before the first fault there is one */
        memcpy(run->pinned, &states[count - run->pinned_count],
               run->pinned_count * sizeof run->pinned[0]);
        break;
    case STEP_UNPIN:
        txn = run->pin;
        run->pin = NULL;
        if (!run->older) {
            run_unpin(run, txn, run->pinned, run->pinned_count);
        } else {
            htt_abort(txn);
        }
        break;
    case STEP_CHECK: run_check(run); break;
    case STEP_STAT: run_stat(run); break;
    case STEP_BACKUP: run_backup(run); break;
    case STEP_VACUUM: run_vacuum(run); break;
    case STEP_SIMPLE: run_simple(run); break;
    case STEP_DECLARE: run_declare(run); break;
    default: run_change(run, step); break;
    }
}

void workload_begin(workload_run *run, const workload *what, const htt_env *env) {
    memset(run, 0, sizeof *run);
    run->what = what;
    run->env = env;
}

void workload_steps(workload_run *run) {
    const workload_step *step = run->what->steps;
    for (; step->kind != STEP_END && run->wrong[0] == '\0'; step++) {
        if (step->kind == STEP_OPEN) {
            run_open(run);
        } else if (run->store != NULL) {
            run_step(run, step);
        }
    }
}

/* --------------------------------------------------------- examination */

/* An error that may be damage. */
static void examine_failed(examination *e, htt_rc rc, const char *message, const char *what) {
    e->matches = 0;
    e->damaged = rc == HTT_CORRUPT || rc == HTT_NOTHTT || rc == HTT_SNAPSHOT;
    (void)snprintf(e->why, sizeof e->why, "%s: %s: %s", what, htt_strerror(rc), message);
}

static void examine_state(examination *e, htt_store *store, const rows_state *states,
                          size_t count, const char *when) {
    char text[300] = "";
    uint64_t problems = 0;
    htt_txn *txn = NULL;
    htt_rc rc = htt_begin(store, HTT_READ, &txn);
    if (rc != HTT_OK) {
        examine_failed(e, rc, htt_errmsg(store), when);
        return;
    }
    rc = htt_check(txn, HTT_CHECK_DEEP, run_report, text, &problems);
    if (rc != HTT_OK) {
        examine_failed(e, rc, htt_txn_errmsg(txn), "check");
    } else if (problems > 0) {
        examine_failed(e, HTT_CORRUPT, text, "check");
    } else {
        const rows_result result = rows_compare(txn, states, count, 0);
        e->matches = result.matches;
        if (result.matches == 0) {
            (void)snprintf(e->why, sizeof e->why, "%s: check says ok, but: %s", when, result.text);
        } else if (result.rc != HTT_OK) {
            (void)snprintf(e->why, sizeof e->why, "%s: check says ok, but: %s", when, result.text);
            e->matches = 0;
        }
    }
    htt_abort(txn);
}

/* Changes a few rows of `state`. Never a crash, whatever the file is. */
static void examine_write(examination *e, htt_store *store, rows_state *state) {
    htt_txn *txn = NULL;
    htt_rc rc = htt_begin(store, HTT_WRITE, &txn);
    if (rc != HTT_OK) {
        examine_failed(e, rc, htt_errmsg(store), "begin of a write");
        return;
    }
    for (uint32_t id = 0; id < 60 && rc == HTT_OK; id += 1 + id % 7) {
        rc = id % 4 == 3 ? rows_del(txn, state, id) : rows_put(txn, state, id, 60000);
        rc = id % 4 == 3 && rc == HTT_NOTFOUND ? HTT_OK : rc;
    }
    if (rc != HTT_OK) {
        examine_failed(e, rc, htt_txn_errmsg(txn), "write");
        htt_abort(txn);
        return;
    }
    rc = htt_commit(txn);
    if (rc != HTT_OK) {
        examine_failed(e, rc, htt_errmsg(store), "commit");
    }
}

void workload_examine(const workload *what, const htt_env *env, const rows_state *states,
                      size_t count, examination *result_out) {
    examination *e = result_out;
    htt_options options;
    htt_error error = {0};
    htt_store *store = NULL;
    *e = (examination){0};
    workload_options(what, env, &options);
    const htt_rc rc = htt_open(WORKLOAD_PATH, &options, &store, &error);
    if (rc != HTT_OK) {
        examine_failed(e, rc, error.text, "open");
        return;
    }
    workload_opened(what, store);
    examine_state(e, store, states, count, "after the open");
    const uint64_t matches = e->matches;
    rows_state state = states[matches != 0 ? __builtin_ctzll(matches) : 0];
    if (matches != 0 || e->damaged) {
        examination written = *e;
        examine_write(&written, store, &state);
        if (matches != 0 && written.matches != 0) {
            examine_state(&written, store, &state, 1, "after a write");
        }
        if (matches != 0 && written.matches == 0) {
            *e = written;
            e->damaged = false; /* it was good */
        }
    }
    htt_close(store);
}
