/* SPDX-License-Identifier: MIT */
/*
 * Everything that is due, after a restart or in a worker's loop.
 *
 * Each announced definition has its own range of the index htt_saga_due, so instances of others are
 * not even read; how many there are is told. Instances are visited in the order of next_at and id,
 * each once, and each runs until it ended or has to wait. A call begins with another definition
 * than the one before, so that a limit starves none.
 */
#include <stdio.h>

#include "sql/base/memory.h"
#include "sql/saga/internal.h"

static void resume_count(htt_saga_report *report, htt_saga_state state) {
    report->completed += state == HTT_SAGA_COMPLETED;
    report->compensated += state == HTT_SAGA_COMPENSATED;
    report->failed += state == HTT_SAGA_FAILED;
}

/* Errors of one instance; the others are of the database, and end everything. */
static bool resume_may_skip(htt_rc rc) {
    return rc == HTT_NOTFOUND || rc == HTT_CONFLICT || rc == HTT_MISMATCH || rc == HTT_INVALID ||
           rc == HTT_CORRUPT || rc == HTT_CONSTRAINT || rc == HTT_EXISTS;
}

/* With the db's error. */
static void resume_refuse(htt_sagas *sagas, htt_saga_report *report) {
    report->refused++;
    (void)snprintf(report->problem, sizeof report->problem, "%s", htt_db_errmsg(sagas->db));
}

/*
 * An instance could not be advanced. One that another process deleted meanwhile is none any more:
 * nothing to be told. HTT_NOTFOUND of one that is there is an error of its own, as of an event
 * whose type is not declared.
 */
static htt_rc resume_failed(htt_sagas *sagas, const char *id, htt_rc failure,
                            htt_saga_report *report) {
    saga_row row = {0};
    if (!resume_may_skip(failure)) {
        return failure;
    }
    const htt_saga_report before = *report;
    resume_refuse(sagas, report);
    const htt_rc rc =
        failure == HTT_NOTFOUND ? htt_saga_store_load(sagas->db, id, &row) : HTT_OK;
    htt_saga_row_clear(&row);
    if (rc == HTT_NOTFOUND) {
        *report = before;
        return HTT_OK;
    }
    return rc == HTT_CORRUPT ? HTT_OK : rc;
}

/* One instance, to its end or its next pause. */
static htt_rc resume_instance(htt_sagas *sagas, const char *id, uint64_t limit,
                              htt_saga_report *report) {
    htt_saga_status status = {.ran = true};
    bool again = true;
    while (status.ran) {
        if (limit != 0 && report->ran >= limit) {
            report->more = true;
            return HTT_OK;
        }
        const htt_rc rc = htt_saga_advance(sagas, id, 0, &status);
        if (rc == HTT_CONFLICT && again) {
            again = false; /* another process was faster; or it is so each time, then told */
            continue;
        }
        if (rc != HTT_OK) {
            return resume_failed(sagas, id, rc, report);
        }
        again = true;
        report->ran += status.ran;
        if (status.ran && status.next_at == 0) {
            resume_count(report, status.state);
            return HTT_OK;
        }
    }
    return HTT_OK;
}

static htt_rc resume_definition(htt_sagas *sagas, const htt_saga_definition *definition,
                                int64_t now, uint64_t limit, htt_saga_report *report) {
    saga_place place = {0};
    htt_rc rc = HTT_OK;
    while (rc == HTT_OK && !report->more) {
        const int64_t passed = place.passed;
        rc = htt_saga_store_due(sagas->db, definition, now, &place);
        if (rc == HTT_OK) {
            rc = resume_instance(sagas, place.id, limit, report);
        } else if (rc == HTT_CORRUPT && place.passed > passed) {
            resume_refuse(sagas, report); /* nothing can be called by such an id */
            rc = HTT_OK;
        }
    }
    return rc == HTT_NOTFOUND ? HTT_OK : rc;
}

/* Counts instances of definitions that were not announced; one message for all of them. */
static htt_rc resume_unknown(htt_sagas *sagas, htt_saga_report *report) {
    saga_group group = {0};
    int64_t count = 0;
    htt_rc rc = HTT_OK;
    while ((rc = htt_saga_store_group(sagas->db, &group)) == HTT_OK) {
        if (htt_saga_known_find(sagas, group.definition, group.version) != NULL) {
            continue;
        }
        rc = htt_saga_store_count_group(sagas->db, &group, &count);
        if (rc != HTT_OK) {
            break;
        }
        report->unknown += (uint64_t)count;
        if (report->problem[0] == '\0') {
            (void)snprintf(report->problem, sizeof report->problem,
                           "%lld unfinished sagas need definition '%s' version %lld, which this "
                           "program did not announce; they are left as they are",
                           (long long)count, group.definition, (long long)group.version);
        }
    }
    htt_memory_free(group.definition);
    return rc == HTT_NOTFOUND ? HTT_OK : rc;
}

static htt_rc resume_next(htt_sagas *sagas, htt_saga_report *report) {
    htt_rc rc = HTT_OK;
    for (size_t i = 0; i < sagas->count && rc == HTT_OK; i++) {
        int64_t next = 0;
        rc = htt_saga_store_next(sagas->db, sagas->known[i].definition, &next);
        if (next != 0 && (report->next_at == 0 || next < report->next_at)) {
            report->next_at = next;
        }
    }
    return rc;
}

htt_rc htt_saga_resume(htt_sagas *sagas, uint64_t limit, htt_saga_report *report_out) {
    htt_saga_report ignored;
    htt_saga_report *const report = report_out != NULL ? report_out : &ignored;
    htt_rc rc = HTT_OK;
    *report = (htt_saga_report){0};
    if (sagas == NULL) {
        return HTT_MISUSE;
    }
    if (htt_db_in_transaction(sagas->db)) {
        return htt_db_fail(sagas->db, HTT_MISUSE,
                           "a saga's step is a transaction of its own: commit first");
    }
    const int64_t now = saga_now(sagas);
    for (size_t i = 0; i < sagas->count && rc == HTT_OK && !report->more; i++) {
        const size_t at = (sagas->turn + i) % sagas->count;
        rc = resume_definition(sagas, sagas->known[at].definition, now, limit, report);
    }
    sagas->turn++;
    if (rc == HTT_OK) {
        rc = resume_unknown(sagas, report);
    }
    if (rc == HTT_OK) {
        rc = resume_next(sagas, report);
    }
    return rc;
}
