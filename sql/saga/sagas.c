/* SPDX-License-Identifier: MIT */
/* The handle, and what its functions share: checks, texts, writing a row that was changed. */
#include "sql/saga/internal.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "sql/base/json.h"
#include "sql/base/memory.h"
#include "sql/htt_event.h"
#include "sql/saga/fake.h"

htt_rc htt_saga_open(htt_db *db, htt_sagas **sagas_out) {
    if (db == NULL) {
        return HTT_MISUSE;
    }
    htt_rc rc = htt_db_install(db, "event");
    if (rc == HTT_OK) {
        rc = htt_db_is_fake(db) ? htt_saga_fake_open(db) : htt_db_install(db, "saga");
    }
    if (rc != HTT_OK) {
        return rc;
    }
    htt_sagas *const sagas = htt_memory_new(sizeof *sagas);
    if (sagas == NULL) {
        return htt_db_fail_memory(db);
    }
    sagas->db = db;
    htt_db_open_thing(db, &sagas->thing, "sagas", NULL);
    *sagas_out = sagas;
    return HTT_OK;
}

void htt_saga_close(htt_sagas *sagas) {
    if (sagas != NULL) {
        htt_db_close_thing(sagas->db, &sagas->thing);
        htt_memory_free(sagas->known);
        htt_memory_free(sagas);
    }
}

htt_rc htt_saga_check_id(htt_sagas *sagas, const char *id) {
    if (sagas == NULL) {
        return HTT_MISUSE;
    }
    return id == NULL ? htt_db_fail(sagas->db, HTT_MISUSE, "the saga's id is NULL") : HTT_OK;
}

htt_rc htt_saga_check_json(htt_db *db, const char *json, const char *id) {
    size_t at = 0;
    if (json != NULL && htt_json_is_valid(json, strlen(json), &at)) {
        return HTT_OK;
    }
    return htt_db_fail(db, HTT_INVALID, "saga %s%s%s: its data is not valid JSON, at byte %zu",
                       id == NULL ? "to be started" : "'", id == NULL ? "" : id,
                       id == NULL ? "" : "'", at);
}

htt_rc htt_saga_set_text(htt_db *db, char **field, const char *text) {
    char *const copy = htt_memory_text(text);
    if (copy == NULL) {
        return htt_db_fail_memory(db);
    }
    htt_memory_free(*field);
    *field = copy;
    return HTT_OK;
}

void htt_saga_row_status(const saga_row *row, bool ran, htt_saga_status *status_out) {
    if (status_out != NULL) {
        *status_out = (htt_saga_status){row->state, ran,          row->attempts,
                                        row->step,  row->next_at, row->version};
    }
}

htt_rc htt_saga_row_known(htt_sagas *sagas, const saga_row *row, const saga_known **known_out) {
    const saga_known *const known =
        htt_saga_known_find(sagas, row->definition, row->definition_version);
    if (known == NULL) {
        return htt_db_fail(sagas->db, HTT_MISMATCH,
                           "saga '%s' needs definition '%s' version %lld, which this program did "
                           "not announce; it is left as it is",
                           row->id, row->definition, (long long)row->definition_version);
    }
    const htt_saga_definition *const definition = known->definition;
    if (row->step < 0 || (uint64_t)row->step >= definition->count) {
        return htt_db_fail(sagas->db, HTT_CORRUPT,
                           "saga '%s' is at step %lld, and '%s' has %zu: its row was altered by "
                           "hand",
                           row->id, (long long)row->step, definition->name, definition->count);
    }
    const htt_saga_step *const step = &definition->steps[row->step];
    if (row->step_name == NULL || strcmp(row->step_name, step->name) != 0) {
        return htt_db_fail(sagas->db, HTT_MISMATCH,
                           "saga '%s' is at step %lld, which is '%s' in its row and '%s' in "
                           "definition '%s' version %lld: other steps need a new version",
                           row->id, (long long)row->step,
                           row->step_name == NULL ? "" : row->step_name, step->name,
                           definition->name, (long long)definition->version);
    }
    *known_out = known;
    return HTT_OK;
}

htt_rc htt_saga_event(htt_sagas *sagas, const saga_row *row, bool started) {
    char type[40];
    char payload[400];
    (void)snprintf(type, sizeof type, "saga.%s",
                   started ? "started" : htt_saga_state_name(row->state));
    /* Names have no character that JSON escapes: htt_saga_define saw to that. */
    (void)snprintf(payload, sizeof payload,
                   "{\"definition\":\"%s\",\"version\":%lld,\"step\":%lld}", row->definition,
                   (long long)row->definition_version, (long long)row->step);
    const htt_event event = {.aggregate_type = "saga",
                             .aggregate_id = row->id,
                             .type = type,
                             .payload = htt_text(payload)};
    /* Behind those of the step, where one runs: its action may be in a unit of its own. */
    return sagas->unit != NULL ? htt_uow_event(sagas->db->unit, &event)
                               : htt_event_append(sagas->db, &event, NULL);
}

htt_rc htt_saga_row_write(htt_sagas *sagas, const htt_saga_definition *definition, saga_row *row,
                          htt_saga_state before, int64_t now) {
    const htt_saga_step *const step = htt_saga_rules_step(definition, row);
    htt_rc rc = HTT_OK;
    if (step == NULL) {
        htt_memory_free(row->step_name);
        row->step_name = NULL;
    } else {
        rc = htt_saga_set_text(sagas->db, &row->step_name, step->name);
    }
    if (rc != HTT_OK) {
        return rc;
    }
    row->updated_at = now > row->updated_at ? now : row->updated_at;
    rc = htt_saga_store_update(sagas->db, row);
    if (rc == HTT_OK) {
        row->version++;
        if (definition->events && row->state != before) {
            rc = htt_saga_event(sagas, row, false);
        }
    }
    return rc;
}
