/* SPDX-License-Identifier: MIT */
/*
 * The definitions that a program announced, and whether the database knows them with the same
 * steps.
 */
#include "sql/saga/internal.h"

#include <string.h>

#include "sql/base/memory.h"

#define KNOWN_NAME_MAX 200u /* bytes of a name */

const saga_known *htt_saga_known_find(const htt_sagas *sagas, const char *name, int64_t version) {
    const saga_known *found = NULL;
    for (size_t i = 0; i < sagas->count; i++) {
        const htt_saga_definition *const definition = sagas->known[i].definition;
        if (strcmp(definition->name, name) != 0) {
            continue;
        }
        if (definition->version == version) {
            return &sagas->known[i];
        }
        if (version == 0 && (found == NULL || found->definition->version < definition->version)) {
            found = &sagas->known[i];
        }
    }
    return found;
}

/* ----------------------------------------------------------------- checks */

/* Names go into JSON, messages and events as they are. */
static bool known_name_is_good(const char *name) {
    if (name == NULL || name[0] == '\0' || strlen(name) > KNOWN_NAME_MAX) {
        return false;
    }
    for (const char *at = name; *at != '\0'; at++) {
        if ((unsigned char)*at < 0x20 || *at == '"' || *at == '\\' || *at == 0x7f) {
            return false;
        }
    }
    return true;
}

static bool known_retry_is_good(const htt_saga_retry *retry, bool has_timeout) {
    return retry->pause_ms >= 0 && retry->pause_max_ms >= 0 &&
           (retry->attempts != HTT_SAGA_FOREVER || has_timeout);
}

/* What is wrong with a step, or NULL. */
static const char *known_check_step(const htt_saga_definition *definition, size_t index) {
    const htt_saga_step *const step = &definition->steps[index];
    if (!known_name_is_good(step->name)) {
        return "its name is missing, too long, or has a control character, \" or \\";
    }
    for (size_t i = 0; i < index; i++) {
        if (strcmp(definition->steps[i].name, step->name) == 0) {
            return "another step has its name";
        }
    }
    if (step->action == NULL) {
        return "it has no action";
    }
    if (step->timeout_ms < 0 || step->compensation_timeout_ms < 0) {
        return "a timeout is negative";
    }
    if (!known_retry_is_good(&step->retry, step->timeout_ms != 0 || definition->timeout_ms != 0) ||
        !known_retry_is_good(&step->compensation_retry, step->compensation_timeout_ms != 0)) {
        return "a pause is negative, or HTT_SAGA_FOREVER stands without a timeout";
    }
    return NULL;
}

static htt_rc known_check(htt_sagas *sagas, const htt_saga_definition *definition) {
    if (definition == NULL || !known_name_is_good(definition->name)) {
        return htt_db_fail(sagas->db, HTT_MISUSE,
                           "a saga's name is missing, too long, or has a control character, \" or "
                           "\\");
    }
    if (definition->version <= 0 || definition->timeout_ms < 0 || definition->steps == NULL ||
        definition->count == 0 || definition->count > HTT_SAGA_STEPS_MAX) {
        return htt_db_fail(sagas->db, HTT_MISUSE,
                           "saga %s: version must be above 0, timeout_ms not negative, and there "
                           "must be 1 to %u steps",
                           definition->name, HTT_SAGA_STEPS_MAX);
    }
    for (size_t i = 0; i < definition->count; i++) {
        const char *const wrong = known_check_step(definition, i);
        if (wrong != NULL) {
            return htt_db_fail(sagas->db, HTT_MISUSE, "saga %s: step %zu: %s", definition->name, i,
                               wrong);
        }
    }
    return HTT_OK;
}

/* --------------------------------------------------------------- database */

/* ["a","b"]: the form that json() gives. Freed with htt_memory_free; NULL: no memory. */
static char *known_steps(const htt_saga_definition *definition) {
    size_t size = 3;
    for (size_t i = 0; i < definition->count; i++) {
        size += strlen(definition->steps[i].name) + 3;
    }
    char *const text = htt_memory_new(size);
    size_t at = 0;
    for (size_t i = 0; text != NULL && i < definition->count; i++) {
        const size_t length = strlen(definition->steps[i].name);
        text[at++] = i == 0 ? '[' : ',';
        text[at++] = '"';
        memcpy(text + at, definition->steps[i].name, length);
        at += length;
        text[at++] = '"';
    }
    if (text != NULL) {
        text[at] = ']';
    }
    return text;
}

/* *write_out: the steps are to be written. */
static htt_rc known_compare(htt_sagas *sagas, const htt_saga_definition *definition,
                            const char *steps, bool *write_out) {
    saga_steps found = SAGA_STEPS_SAME;
    int64_t open = 0;
    htt_rc rc = htt_saga_store_steps(sagas->db, definition, steps, &found);
    if (rc == HTT_OK && found == SAGA_STEPS_OTHER) {
        rc = htt_saga_store_count_open(sagas->db, definition, &open);
    }
    if (open > 0) {
        return htt_db_fail(sagas->db, HTT_MISMATCH,
                           "saga %s version %lld has other steps in this database, and %lld "
                           "instances that did not end need those: give the new steps a new "
                           "version, and announce the old one too",
                           definition->name, (long long)definition->version, (long long)open);
    }
    *write_out = found != SAGA_STEPS_SAME;
    return rc;
}

/* Reads first: a program that starts again writes nothing. */
static htt_rc known_remember(htt_sagas *sagas, const htt_saga_definition *definition,
                             const char *steps) {
    htt_scope scope;
    bool write = false;
    htt_rc rc = known_compare(sagas, definition, steps, &write);
    if (rc != HTT_OK || !write) {
        return rc;
    }
    rc = htt_scope_enter(sagas->db, &scope, HTT_SCOPE_IMMEDIATE);
    if (rc != HTT_OK) {
        return rc;
    }
    rc = known_compare(sagas, definition, steps, &write); /* another may have been faster */
    if (rc == HTT_OK && write) {
        rc = htt_saga_store_put_steps(sagas->db, definition, steps);
    }
    return htt_scope_leave(sagas->db, &scope, rc);
}

htt_rc htt_saga_define(htt_sagas *sagas, const htt_saga_definition *definition, void *context) {
    if (sagas == NULL) {
        return HTT_MISUSE;
    }
    htt_rc rc = known_check(sagas, definition);
    if (rc != HTT_OK) {
        return rc;
    }
    const saga_known *const found =
        htt_saga_known_find(sagas, definition->name, definition->version);
    if (found != NULL) {
        return htt_db_fail(sagas->db, HTT_EXISTS, "saga %s version %lld was announced already",
                           definition->name, (long long)definition->version);
    }
    if (!htt_memory_grow((void **)&sagas->known, sagas->count, &sagas->capacity,
                         sizeof *sagas->known)) {
        return htt_db_fail(sagas->db, HTT_NOMEM, "no memory for saga %s", definition->name);
    }
    char *const steps = known_steps(definition);
    if (steps == NULL) {
        return htt_db_fail(sagas->db, HTT_NOMEM, "no memory for saga %s", definition->name);
    }
    rc = known_remember(sagas, definition, steps);
    htt_memory_free(steps);
    if (rc == HTT_OK) {
        sagas->known[sagas->count++] = (saga_known){definition, context};
    }
    return rc;
}
