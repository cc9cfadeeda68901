/* SPDX-License-Identifier: MIT */
/* What a person or another part does with instances: look, wake, requeue, purge. */
#include "sql/saga/internal.h"

/* ------------------------------------------------------------------- look */

/* `may_miss`: one that is gone meanwhile is no error. */
static htt_rc operate_show(htt_sagas *sagas, const char *id, bool may_miss, htt_saga_visit *visit,
                           void *arg) {
    saga_row row = {0};
    htt_rc rc = htt_saga_store_load(sagas->db, id, &row);
    if (rc == HTT_NOTFOUND && may_miss) {
        rc = HTT_OK;
    } else if (rc == HTT_OK) {
        htt_saga_instance instance = {
            .id = row.id,
            .definition = row.definition,
            .definition_version = row.definition_version,
            .step_name = row.step_name,
            .data = row.data,
            .cause = row.cause,
            .last_error = row.last_error,
            .key = row.key,
            .step_deadline = row.step_deadline,
            .deadline = row.deadline,
            .created_at = row.created_at,
            .updated_at = row.updated_at,
        };
        htt_saga_row_status(&row, false, &instance.status);
        rc = visit(&instance, arg);
    }
    htt_saga_row_clear(&row);
    return rc;
}

htt_rc htt_saga_get(htt_sagas *sagas, const char *id, htt_saga_visit *visit, void *arg) {
    const htt_rc rc = htt_saga_check_id(sagas, id);
    if (rc != HTT_OK) {
        return rc;
    }
    return visit == NULL ? htt_db_fail(sagas->db, HTT_MISUSE, "there is no function to visit with")
                         : operate_show(sagas, id, false, visit, arg);
}

static htt_rc operate_each(htt_sagas *sagas, htt_saga_state state, htt_saga_visit *visit,
                           void *arg) {
    saga_place place = {0};
    htt_rc rc;
    while ((rc = htt_saga_store_each(sagas->db, state, &place)) == HTT_OK) {
        rc = operate_show(sagas, place.id, true, visit, arg);
        if (rc != HTT_OK) {
            return rc;
        }
    }
    return rc == HTT_NOTFOUND ? HTT_OK : rc;
}

htt_rc htt_saga_each(htt_sagas *sagas, htt_saga_state state, htt_saga_visit *visit, void *arg) {
    if (sagas == NULL) {
        return HTT_MISUSE;
    }
    if (visit == NULL || state > HTT_SAGA_FAILED) {
        return htt_db_fail(sagas->db, HTT_MISUSE,
                           "there is no such state, or no function to visit with");
    }
    if (state != 0) {
        return operate_each(sagas, state, visit, arg);
    }
    htt_rc rc = HTT_OK;
    for (int i = HTT_SAGA_RUNNING; i <= HTT_SAGA_FAILED && rc == HTT_OK; i++) {
        rc = operate_each(sagas, (htt_saga_state)i, visit, arg);
    }
    return rc;
}

/* ----------------------------------------------------------------- change */

htt_rc htt_saga_wake(htt_sagas *sagas, const char *id) {
    int64_t count = 0;
    htt_rc rc = htt_saga_check_id(sagas, id);
    if (rc == HTT_OK) {
        rc = htt_saga_store_wake(sagas->db, id, saga_now(sagas), &count);
    }
    if (rc == HTT_OK && count == 0) {
        return htt_db_fail(sagas->db, HTT_NOTFOUND, "there is no unfinished saga '%.80s'", id);
    }
    return rc;
}

static htt_rc operate_requeue(htt_sagas *sagas, const char *id, htt_saga_how how) {
    const saga_known *known = NULL;
    saga_row row = {0};
    htt_rc rc = htt_saga_store_load(sagas->db, id, &row);
    if (rc == HTT_OK && row.state != HTT_SAGA_FAILED) {
        rc = htt_db_fail(sagas->db, HTT_MISUSE, "saga '%s' did not fail, it is %s", id,
                         htt_saga_state_name(row.state));
    }
    if (rc == HTT_OK) {
        rc = htt_saga_row_known(sagas, &row, &known);
    }
    if (rc == HTT_OK) {
        const int64_t now = saga_now(sagas);
        htt_saga_rules_requeue(known->definition, &row, now, how);
        rc = htt_saga_row_write(sagas, known->definition, &row, HTT_SAGA_FAILED, now);
    }
    htt_saga_row_clear(&row);
    return rc;
}

htt_rc htt_saga_requeue(htt_sagas *sagas, const char *id, htt_saga_how how) {
    htt_scope scope;
    htt_rc rc = htt_saga_check_id(sagas, id);
    if (rc == HTT_OK && how != HTT_SAGA_AGAIN && how != HTT_SAGA_SKIP) {
        rc = htt_db_fail(sagas->db, HTT_MISUSE, "a failed saga goes on by AGAIN or SKIP");
    }
    if (rc == HTT_OK) {
        rc = htt_scope_enter(sagas->db, &scope, HTT_SCOPE_IMMEDIATE);
    }
    return rc == HTT_OK ? htt_scope_leave(sagas->db, &scope, operate_requeue(sagas, id, how)) : rc;
}

htt_rc htt_saga_purge(htt_sagas *sagas, int64_t age_ms, uint64_t limit, uint64_t *count_out) {
    int64_t count = 0;
    if (sagas == NULL) {
        return HTT_MISUSE;
    }
    if (age_ms < 0) {
        return htt_db_fail(sagas->db, HTT_MISUSE, "an age is not negative");
    }
    const int64_t most = limit == 0 || limit > INT64_MAX ? -1 : (int64_t)limit;
    const htt_rc rc = htt_saga_store_purge(sagas->db, saga_now(sagas) - age_ms, most, &count);
    if (rc == HTT_OK && count_out != NULL) {
        *count_out = (uint64_t)count;
    }
    return rc;
}
