/* SPDX-License-Identifier: MIT */
/* Starting an instance: once for each idempotency key. */
#include <stdio.h>
#include <string.h>

#include "sql/base/memory.h"
#include "sql/htt_idempotency.h"
#include "sql/saga/internal.h"

#define START_SCOPE_MAX 255u /* bytes of "saga:" and a name */

/* A UUID of version 7: 48 bits of time, then random ones. Ids sort about as they were made. */
static void start_make_id(const htt_sagas *sagas, int64_t now, char id[HTT_SAGA_ID_MAX]) {
    const htt_platform *const platform = &sagas->db->platform;
    const uint64_t high = platform->random64(platform->context);
    const uint64_t low = platform->random64(platform->context);
    const uint64_t time = (uint64_t)now & 0xffffffffffff;
    (void)snprintf(id, HTT_SAGA_ID_MAX, "%08llx-%04llx-7%03llx-%04llx-%012llx",
                   (unsigned long long)(time >> 16), (unsigned long long)(time & 0xffff),
                   (unsigned long long)(high & 0xfff),
                   (unsigned long long)(0x8000 | (high >> 12 & 0x3fff)),
                   (unsigned long long)(low & 0xffffffffffff));
}

static htt_rc start_check(htt_sagas *sagas, const htt_saga_input *input,
                          const saga_known **known_out) {
    if (input == NULL || input->definition == NULL || input->delay_ms < 0 ||
        input->key_keep_ms < 0) {
        return htt_db_fail(sagas->db, HTT_MISUSE,
                           "a saga to be started needs a definition's name and no negative times");
    }
    if (input->id != NULL && (input->id[0] == '\0' || strlen(input->id) >= HTT_SAGA_ID_MAX)) {
        return htt_db_fail(sagas->db, HTT_MISUSE, "a saga's id has 1 to %u bytes",
                           HTT_SAGA_ID_MAX - 1);
    }
    const saga_known *const known = htt_saga_known_find(sagas, input->definition, input->version);
    if (known == NULL) {
        return htt_db_fail(sagas->db, HTT_NOTFOUND,
                           "no saga '%s' version %lld (0: any) was announced by htt_saga_define",
                           input->definition, (long long)input->version);
    }
    *known_out = known;
    return input->data == NULL ? HTT_OK : htt_saga_check_json(sagas->db, input->data, input->id);
}

static htt_rc start_insert(htt_sagas *sagas, const htt_saga_input *input, const saga_known *known,
                           char id_out[HTT_SAGA_ID_MAX]) {
    const htt_saga_definition *const definition = known->definition;
    const int64_t now = saga_now(sagas);
    saga_row row = {.definition_version = definition->version,
                    .version = 1,
                    .created_at = now,
                    .updated_at = now};
    if (input->id != NULL) {
        memcpy(row.id, input->id, strlen(input->id) + 1);
    } else {
        start_make_id(sagas, now, row.id);
    }
    htt_saga_rules_start(definition, &row, now, input->delay_ms);
    htt_rc rc = htt_saga_set_text(sagas->db, &row.definition, definition->name);
    if (rc == HTT_OK) {
        rc = htt_saga_set_text(sagas->db, &row.step_name, definition->steps[0].name);
    }
    if (rc == HTT_OK) {
        rc = htt_saga_set_text(sagas->db, &row.data, input->data == NULL ? "{}" : input->data);
    }
    if (rc == HTT_OK && input->key != NULL) {
        rc = htt_saga_set_text(sagas->db, &row.key, input->key);
    }
    if (rc == HTT_OK) {
        rc = htt_saga_store_insert(sagas->db, &row);
    }
    if (rc == HTT_OK) {
        memcpy(id_out, row.id, sizeof row.id);
    }
    htt_saga_row_clear(&row);
    return rc;
}

/* Comes last: a unit keeps what it collected, also when the savepoint of the start is undone. */
static htt_rc start_event(htt_sagas *sagas, const saga_known *known,
                          const char id[HTT_SAGA_ID_MAX]) {
    saga_row row = {.definition_version = known->definition->version, .state = HTT_SAGA_RUNNING};
    htt_rc rc = HTT_OK;
    if (known->definition->events) {
        memcpy(row.id, id, sizeof row.id);
        rc = htt_saga_set_text(sagas->db, &row.definition, known->definition->name);
        rc = rc == HTT_OK ? htt_saga_event(sagas, &row, true) : rc;
        htt_saga_row_clear(&row);
    }
    return rc;
}

/* The id that the key gave the first time. */
static htt_rc start_known_id(htt_sagas *sagas, const htt_idempotency_entry *entry,
                             char id_out[HTT_SAGA_ID_MAX]) {
    const htt_datum result = entry->result;
    if (!entry->is_finished || result.type != HTT_TEXT || result.size == 0 ||
        result.size >= HTT_SAGA_ID_MAX) {
        return htt_db_fail(
            sagas->db, HTT_CORRUPT,
            "htt_idempotency: the result of key '%s' is no saga's id: it was altered "
            "by hand",
            entry->key);
    }
    memcpy(id_out, result.data, result.size);
    id_out[result.size] = '\0';
    return HTT_OK;
}

/* Within a transaction, so that a key is never seen without its saga. */
static htt_rc start_with_key(htt_sagas *sagas, const htt_saga_input *input, const saga_known *known,
                             char id_out[HTT_SAGA_ID_MAX]) {
    const char *const data = input->data == NULL ? "{}" : input->data;
    const int64_t keep = input->key_keep_ms == 0 ? HTT_SAGA_KEY_KEEP_MS : input->key_keep_ms;
    const int64_t most = known->definition->timeout_ms;
    char scope[START_SCOPE_MAX];
    htt_idempotency_entry entry = {0};
    (void)snprintf(scope, sizeof scope, "saga:%s", known->definition->name);
    const htt_idempotency_request request = {.scope = scope,
                                             .key = input->key,
                                             .input = data,
                                             .input_size = strlen(data),
                                             .keep_ms = keep < most ? most : keep};
    htt_rc rc = htt_idempotency_begin(sagas->db, &request, &entry);
    if (rc == HTT_EXISTS) {
        rc = start_known_id(sagas, &entry, id_out);
    } else if (rc == HTT_CONFLICT) {
        (void)htt_db_fail(sagas->db, rc,
                          "saga '%s': the key '%s' was used to start one with other data",
                          known->definition->name, input->key);
    } else if (rc == HTT_OK) {
        rc = start_insert(sagas, input, known, id_out);
        if (rc == HTT_OK) {
            rc = htt_idempotency_finish(sagas->db, &entry, htt_text(id_out));
        }
        rc = rc == HTT_OK ? start_event(sagas, known, id_out) : rc;
    }
    htt_idempotency_clear(&entry);
    return rc;
}

htt_rc htt_saga_start(htt_sagas *sagas, const htt_saga_input *input, char id_out[HTT_SAGA_ID_MAX]) {
    const saga_known *known = NULL;
    htt_scope scope;
    char id[HTT_SAGA_ID_MAX] = "";
    if (sagas == NULL) {
        return HTT_MISUSE;
    }
    htt_rc rc = start_check(sagas, input, &known);
    if (rc == HTT_OK) {
        rc = htt_scope_enter(sagas->db, &scope, HTT_SCOPE_IMMEDIATE);
    }
    if (rc != HTT_OK) {
        return rc;
    }
    if (input->key != NULL) {
        rc = start_with_key(sagas, input, known, id);
    } else {
        rc = start_insert(sagas, input, known, id);
        rc = rc == HTT_OK ? start_event(sagas, known, id) : rc;
    }
    rc = htt_scope_leave(sagas->db, &scope, rc);
    if (rc == HTT_OK && id_out != NULL) {
        memcpy(id_out, id, sizeof id);
    }
    return rc;
}
