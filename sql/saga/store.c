/* SPDX-License-Identifier: MIT */
/* The tables of sagas: every statement on htt_saga and htt_saga_definition is here. */
#include "sql/saga/store.h"

#include <assert.h>
#include <string.h>

#include "sql/base/memory.h"
#include "sql/base/statements.h"
#include "sql/saga/fake.h"

typedef enum saga_sql {
    SAGA_STEPS,
    SAGA_PUT_STEPS,
    SAGA_COUNT_OPEN,
    SAGA_INSERT,
    SAGA_LOAD,
    SAGA_UPDATE,
    SAGA_WAKE,
    SAGA_PURGE,
    SAGA_DUE,
    SAGA_EACH,
    SAGA_NEXT,
    SAGA_GROUP,
    SAGA_COUNT_GROUP,
    SAGA_SQL_COUNT
} saga_sql;

static const char *const saga_texts[] = {
    [SAGA_STEPS] = "SELECT CASE WHEN json_valid(steps) THEN json(steps) = ?3 ELSE 0 END"
                   " FROM {schema}.htt_saga_definition WHERE name = ?1 AND version = ?2",
    [SAGA_PUT_STEPS] = "INSERT OR REPLACE INTO {schema}.htt_saga_definition(name, version, steps)"
                       " VALUES (?1, ?2, ?3)",
    [SAGA_COUNT_OPEN] =
        "SELECT count(*) FROM {schema}.htt_saga WHERE definition = ?1"
        " AND definition_version = ?2 AND (next_at IS NOT NULL OR state = 'failed')",
    [SAGA_INSERT] =
        "INSERT INTO {schema}.htt_saga(id, definition, definition_version, state, step, step_name,"
        " data, next_at, step_deadline, deadline, idempotency_key, created_at, updated_at)"
        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, nullif(?9, 0), nullif(?10, 0), ?11, ?12, ?12)"
        " ON CONFLICT DO NOTHING",
    [SAGA_LOAD] =
        "SELECT definition, definition_version, state, step, step_name, data, attempts, next_at,"
        " step_deadline, deadline, cause, last_error, idempotency_key, version, created_at,"
        " updated_at FROM {schema}.htt_saga WHERE id = ?1",
    [SAGA_UPDATE] =
        "UPDATE {schema}.htt_saga SET state = ?3, step = ?4, step_name = ?5, data = ?6,"
        " attempts = ?7, next_at = nullif(?8, 0), step_deadline = nullif(?9, 0), cause = ?10,"
        " last_error = ?11, updated_at = ?12, version = version + 1 WHERE id = ?1 AND version = ?2",
    [SAGA_WAKE] = "UPDATE {schema}.htt_saga SET next_at = min(next_at, ?2), version = version + 1,"
                  " updated_at = max(updated_at, ?2) WHERE id = ?1 AND next_at IS NOT NULL",
    [SAGA_PURGE] = "DELETE FROM {schema}.htt_saga WHERE id IN (SELECT id FROM {schema}.htt_saga"
                   " WHERE state IN ('completed', 'compensated') AND updated_at <= ?1"
                   " LIMIT ?2)",
    [SAGA_DUE] = "SELECT next_at, id FROM {schema}.htt_saga WHERE definition = ?1"
                 " AND definition_version = ?2 AND next_at <= ?3 AND (next_at, id) > (?4, ?5)"
                 " ORDER BY next_at, id LIMIT 1 OFFSET ?6",
    [SAGA_EACH] = "SELECT updated_at, id FROM {schema}.htt_saga WHERE (updated_at, id) > (?1, ?2)"
                  " AND state = ?3 ORDER BY updated_at, id LIMIT 1",
    [SAGA_NEXT] = "SELECT next_at FROM {schema}.htt_saga WHERE definition = ?1"
                  " AND definition_version = ?2 AND next_at IS NOT NULL ORDER BY next_at LIMIT 1",
    [SAGA_GROUP] = "SELECT definition, definition_version FROM {schema}.htt_saga"
                   " WHERE next_at IS NOT NULL AND (definition, definition_version) > (?1, ?2)"
                   " ORDER BY definition, definition_version LIMIT 1",
    [SAGA_COUNT_GROUP] = "SELECT count(*) FROM {schema}.htt_saga WHERE next_at IS NOT NULL"
                         " AND definition = ?1 AND definition_version = ?2",
};
static_assert(sizeof saga_texts / sizeof saga_texts[0] == SAGA_SQL_COUNT, "one text each");
static const htt_statement_table saga_table = {"htt_saga", saga_texts, SAGA_SQL_COUNT, NULL};

static const char *const store_states[] = {
    [HTT_SAGA_RUNNING] = "running",     [HTT_SAGA_COMPENSATING] = "compensating",
    [HTT_SAGA_COMPLETED] = "completed", [HTT_SAGA_COMPENSATED] = "compensated",
    [HTT_SAGA_FAILED] = "failed",
};

const char *htt_saga_state_name(htt_saga_state state) {
    return state >= HTT_SAGA_RUNNING && state <= HTT_SAGA_FAILED ? store_states[state] : "unknown";
}

htt_saga_state htt_saga_state_parse(const char *name) {
    for (int i = HTT_SAGA_RUNNING; i <= HTT_SAGA_FAILED; i++) {
        if (strcmp(store_states[i], name) == 0) {
            return (htt_saga_state)i;
        }
    }
    return (htt_saga_state)0;
}

void htt_saga_row_clear(saga_row *row) {
    htt_memory_free(row->definition);
    htt_memory_free(row->step_name);
    htt_memory_free(row->data);
    htt_memory_free(row->cause);
    htt_memory_free(row->last_error);
    htt_memory_free(row->key);
    memset(row, 0, sizeof *row);
}

/* ---------------------------------------------------------------- helpers */

/* The first row of a statement that was opened with `rc`. HTT_NOTFOUND, without a message: none. */
static htt_rc store_first(htt_db *db, sqlite3_stmt *statement, htt_rc rc) {
    bool row = false;
    if (rc == HTT_OK) {
        rc = htt_statement_step(db, &saga_table, statement, &row);
    }
    return rc != HTT_OK || row ? rc : HTT_NOTFOUND;
}

/* Runs a change that was opened with `rc`; how many rows it changed. */
static htt_rc store_change(htt_db *db, sqlite3_stmt *statement, htt_rc rc, int64_t *count_out) {
    if (rc == HTT_OK) {
        rc = htt_statement_run(db, &saga_table, statement);
    }
    if (rc == HTT_OK) {
        *count_out = sqlite3_changes64(db->connection);
    }
    return rc;
}

/* The number in the first column of the first row. */
static htt_rc store_number(htt_db *db, sqlite3_stmt *statement, htt_rc rc, int64_t *number_out) {
    rc = store_first(db, statement, rc);
    if (rc == HTT_OK) {
        *number_out = sqlite3_column_int64(statement, 0);
        htt_statement_done(statement);
    }
    return rc;
}

/* ------------------------------------------------------------ definitions */

htt_rc htt_saga_store_steps(htt_db *db, const htt_saga_definition *definition, const char *steps,
                            saga_steps *found_out) {
    if (htt_db_is_fake(db)) {
        return htt_saga_fake_steps(db, definition, steps, found_out);
    }
    sqlite3_stmt *statement = NULL;
    int64_t same = 0;
    htt_rc rc = htt_statement_get(db, &saga_table, SAGA_STEPS, &statement);
    if (rc == HTT_OK) {
        rc = htt_statement_bind(db, &saga_table, statement, "tit", definition->name,
                                definition->version, steps);
    }
    rc = store_number(db, statement, rc, &same);
    if (rc == HTT_OK) {
        *found_out = same != 0 ? SAGA_STEPS_SAME : SAGA_STEPS_OTHER;
    } else if (rc == HTT_NOTFOUND) {
        *found_out = SAGA_STEPS_ABSENT;
        rc = HTT_OK;
    }
    return rc;
}

htt_rc htt_saga_store_put_steps(htt_db *db, const htt_saga_definition *definition,
                                const char *steps) {
    if (htt_db_is_fake(db)) {
        return htt_saga_fake_put_steps(db, definition, steps);
    }
    sqlite3_stmt *statement = NULL;
    int64_t count = 0;
    htt_rc rc = htt_statement_get(db, &saga_table, SAGA_PUT_STEPS, &statement);
    if (rc == HTT_OK) {
        rc = htt_statement_bind(db, &saga_table, statement, "tit", definition->name,
                                definition->version, steps);
    }
    return store_change(db, statement, rc, &count);
}

htt_rc htt_saga_store_count_open(htt_db *db, const htt_saga_definition *definition,
                                 int64_t *count_out) {
    if (htt_db_is_fake(db)) {
        return htt_saga_fake_count_open(db, definition, count_out);
    }
    sqlite3_stmt *statement = NULL;
    htt_rc rc = htt_statement_get(db, &saga_table, SAGA_COUNT_OPEN, &statement);
    if (rc == HTT_OK) {
        rc = htt_statement_bind(db, &saga_table, statement, "ti", definition->name,
                                definition->version);
    }
    return store_number(db, statement, rc, count_out);
}

/* -------------------------------------------------------------- instances */

/* HTT_EXISTS without a message. */
static htt_rc store_insert(htt_db *db, const saga_row *row) {
    sqlite3_stmt *statement = NULL;
    int64_t count = 0;
    htt_rc rc = htt_statement_get(db, &saga_table, SAGA_INSERT, &statement);
    if (rc == HTT_OK) {
        rc = htt_statement_bind(
            db, &saga_table, statement, "ttitittiiiti", row->id, row->definition,
            row->definition_version, htt_saga_state_name(row->state), row->step, row->step_name,
            row->data, row->next_at, row->step_deadline, row->deadline, row->key, row->created_at);
    }
    rc = store_change(db, statement, rc, &count);
    return rc == HTT_OK && count == 0 ? HTT_EXISTS : rc;
}

htt_rc htt_saga_store_insert(htt_db *db, const saga_row *row) {
    const htt_rc rc = htt_db_is_fake(db) ? htt_saga_fake_insert(db, row) : store_insert(db, row);
    if (rc == HTT_EXISTS) {
        return htt_db_fail(db, HTT_EXISTS, "there is a saga with the id '%s' already", row->id);
    }
    return rc;
}

/* A copy of a text column; *failed_out: there is no memory for it. */
static char *store_text(sqlite3_stmt *statement, int column, bool *failed_out) {
    char *copy = NULL;
    if (sqlite3_column_type(statement, column) != SQLITE_NULL) {
        const char *const text = (const char *)sqlite3_column_text(statement, column);
        copy = text == NULL ? NULL : htt_memory_text(text);
        *failed_out = *failed_out || copy == NULL;
    }
    return copy;
}

/* An integer, or 0 where NULL is allowed; *bad_out: neither. */
static int64_t store_integer(sqlite3_stmt *statement, int column, bool may_be_null, bool *bad_out) {
    const int type = sqlite3_column_type(statement, column);
    if (type != SQLITE_INTEGER && !(type == SQLITE_NULL && may_be_null)) {
        *bad_out = true;
    }
    return sqlite3_column_int64(statement, column);
}

enum { /* of SAGA_LOAD */
       LOAD_DEFINITION,
       LOAD_DEFINITION_VERSION,
       LOAD_STATE,
       LOAD_STEP,
       LOAD_STEP_NAME,
       LOAD_DATA,
       LOAD_ATTEMPTS,
       LOAD_NEXT_AT,
       LOAD_STEP_DEADLINE,
       LOAD_DEADLINE,
       LOAD_CAUSE,
       LOAD_LAST_ERROR,
       LOAD_KEY,
       LOAD_VERSION,
       LOAD_CREATED_AT,
       LOAD_UPDATED_AT
};

static htt_rc store_columns(htt_db *db, sqlite3_stmt *statement, saga_row *row) {
    bool failed = false;
    bool bad = false;
    char *const state = store_text(statement, LOAD_STATE, &failed);
    row->definition = store_text(statement, LOAD_DEFINITION, &failed);
    row->step_name = store_text(statement, LOAD_STEP_NAME, &failed);
    row->data = store_text(statement, LOAD_DATA, &failed);
    row->cause = store_text(statement, LOAD_CAUSE, &failed);
    row->last_error = store_text(statement, LOAD_LAST_ERROR, &failed);
    row->key = store_text(statement, LOAD_KEY, &failed);
    row->definition_version = store_integer(statement, LOAD_DEFINITION_VERSION, false, &bad);
    row->step = store_integer(statement, LOAD_STEP, false, &bad);
    row->next_at = store_integer(statement, LOAD_NEXT_AT, true, &bad);
    row->step_deadline = store_integer(statement, LOAD_STEP_DEADLINE, true, &bad);
    row->deadline = store_integer(statement, LOAD_DEADLINE, true, &bad);
    row->version = store_integer(statement, LOAD_VERSION, false, &bad);
    row->created_at = store_integer(statement, LOAD_CREATED_AT, false, &bad);
    row->updated_at = store_integer(statement, LOAD_UPDATED_AT, false, &bad);
    const int64_t attempts = store_integer(statement, LOAD_ATTEMPTS, false, &bad);
    row->attempts = (uint32_t)attempts;
    row->state = state == NULL ? (htt_saga_state)0 : htt_saga_state_parse(state);
    htt_memory_free(state);
    if (failed) {
        return htt_db_fail_memory(db);
    }
    if (bad || attempts < 0 || attempts >= UINT32_MAX || row->state == 0 ||
        row->definition == NULL || row->data == NULL || saga_is_open(row) == (row->next_at == 0)) {
        return htt_db_fail(db, HTT_CORRUPT,
                           "saga '%s': a column of its row in htt_saga has no value that libhtt "
                           "writes there: it was altered by hand; put it right or delete the row",
                           row->id);
    }
    return HTT_OK;
}

/* HTT_NOTFOUND without a message. */
static htt_rc store_load(htt_db *db, const char *id, saga_row *row_out) {
    sqlite3_stmt *statement = NULL;
    memcpy(row_out->id, id, strlen(id) + 1);
    htt_rc rc = htt_statement_get(db, &saga_table, SAGA_LOAD, &statement);
    if (rc == HTT_OK) {
        rc = htt_statement_bind(db, &saga_table, statement, "t", id);
    }
    rc = store_first(db, statement, rc);
    if (rc == HTT_OK) {
        rc = store_columns(db, statement, row_out);
        htt_statement_done(statement);
    }
    return rc;
}

htt_rc htt_saga_store_load(htt_db *db, const char *id, saga_row *row_out) {
    htt_rc rc = HTT_NOTFOUND;
    if (strlen(id) < sizeof row_out->id) {
        rc = htt_db_is_fake(db) ? htt_saga_fake_load(db, id, row_out) : store_load(db, id, row_out);
    }
    if (rc == HTT_NOTFOUND) {
        return htt_db_fail(db, HTT_NOTFOUND, "there is no saga '%.80s'", id);
    }
    return rc;
}

/* HTT_CONFLICT without a message. */
static htt_rc store_update(htt_db *db, const saga_row *row) {
    sqlite3_stmt *statement = NULL;
    int64_t count = 0;
    htt_rc rc = htt_statement_get(db, &saga_table, SAGA_UPDATE, &statement);
    if (rc == HTT_OK) {
        rc = htt_statement_bind(db, &saga_table, statement, "titittiiitti", row->id, row->version,
                                htt_saga_state_name(row->state), row->step, row->step_name,
                                row->data, (int64_t)row->attempts, row->next_at, row->step_deadline,
                                row->cause, row->last_error, row->updated_at);
    }
    rc = store_change(db, statement, rc, &count);
    return rc == HTT_OK && count != 1 ? HTT_CONFLICT : rc;
}

htt_rc htt_saga_store_update(htt_db *db, const saga_row *row) {
    const htt_rc rc = htt_db_is_fake(db) ? htt_saga_fake_update(db, row) : store_update(db, row);
    if (rc == HTT_CONFLICT) {
        return htt_db_fail(db, HTT_CONFLICT,
                           "saga '%s' was changed while its step ran: by the action itself, or by "
                           "a trigger; the step is undone",
                           row->id);
    }
    return rc;
}

htt_rc htt_saga_store_wake(htt_db *db, const char *id, int64_t now, int64_t *count_out) {
    if (htt_db_is_fake(db)) {
        return htt_saga_fake_wake(db, id, now, count_out);
    }
    sqlite3_stmt *statement = NULL;
    htt_rc rc = htt_statement_get(db, &saga_table, SAGA_WAKE, &statement);
    if (rc == HTT_OK) {
        rc = htt_statement_bind(db, &saga_table, statement, "ti", id, now);
    }
    return store_change(db, statement, rc, count_out);
}

htt_rc htt_saga_store_purge(htt_db *db, int64_t before, int64_t limit, int64_t *count_out) {
    if (htt_db_is_fake(db)) {
        return htt_saga_fake_purge(db, before, limit, count_out);
    }
    sqlite3_stmt *statement = NULL;
    htt_rc rc = htt_statement_get(db, &saga_table, SAGA_PURGE, &statement);
    if (rc == HTT_OK) {
        rc = htt_statement_bind(db, &saga_table, statement, "ii", before, limit);
    }
    return store_change(db, statement, rc, count_out);
}

/* ----------------------------------------------------------------- search */

/*
 * The id of the row found, as text with an end; NULL: it is none that fits a saga_place. One that
 * the place cannot hold exactly would be found again and again.
 */
static const char *store_id(sqlite3_stmt *statement, int column) {
    if (sqlite3_column_type(statement, column) != SQLITE_TEXT) {
        return NULL;
    }
    const char *const id = (const char *)sqlite3_column_text(statement, column);
    const int size = sqlite3_column_bytes(statement, column);
    const bool fits = size > 0 && size < (int)HTT_SAGA_ID_MAX;
    return id != NULL && fits && strlen(id) == (size_t)size ? id : NULL;
}

/* The row found is where the search goes on. */
static htt_rc store_move(htt_db *db, sqlite3_stmt *statement, htt_rc rc, saga_place *place) {
    rc = store_first(db, statement, rc);
    if (rc != HTT_OK) {
        return rc;
    }
    const char *const id = store_id(statement, 1);
    if (id != NULL) {
        *place = (saga_place){.at = sqlite3_column_int64(statement, 0)};
        memcpy(place->id, id, strlen(id) + 1);
    } else {
        const char *const text = (const char *)sqlite3_column_text(statement, 1);
        rc = htt_db_fail(db, HTT_CORRUPT,
                         "htt_saga has an id that is not text of 1 to %u bytes, '%.80s': it was "
                         "put there by hand; correct it or delete the row",
                         HTT_SAGA_ID_MAX - 1, text == NULL ? "" : text);
        place->passed++;
    }
    htt_statement_done(statement);
    return rc;
}

htt_rc htt_saga_store_due(htt_db *db, const htt_saga_definition *definition, int64_t now,
                          saga_place *place) {
    if (htt_db_is_fake(db)) {
        return htt_saga_fake_due(db, definition, now, place);
    }
    sqlite3_stmt *statement = NULL;
    const saga_place from = *place;
    htt_rc rc = htt_statement_get(db, &saga_table, SAGA_DUE, &statement);
    if (rc == HTT_OK) {
        rc = htt_statement_bind(db, &saga_table, statement, "tiiiti", definition->name,
                                definition->version, now, from.id[0] == '\0' ? INT64_MIN : from.at,
                                from.id, from.passed);
    }
    return store_move(db, statement, rc, place);
}

htt_rc htt_saga_store_each(htt_db *db, htt_saga_state state, saga_place *place) {
    if (htt_db_is_fake(db)) {
        return htt_saga_fake_each(db, state, place);
    }
    sqlite3_stmt *statement = NULL;
    const saga_place from = *place;
    htt_rc rc = htt_statement_get(db, &saga_table, SAGA_EACH, &statement);
    if (rc == HTT_OK) {
        rc = htt_statement_bind(db, &saga_table, statement, "itt",
                                from.id[0] == '\0' ? INT64_MIN : from.at, from.id,
                                htt_saga_state_name(state));
    }
    return store_move(db, statement, rc, place);
}

htt_rc htt_saga_store_next(htt_db *db, const htt_saga_definition *definition,
                           int64_t *next_at_out) {
    if (htt_db_is_fake(db)) {
        return htt_saga_fake_next(db, definition, next_at_out);
    }
    sqlite3_stmt *statement = NULL;
    htt_rc rc = htt_statement_get(db, &saga_table, SAGA_NEXT, &statement);
    if (rc == HTT_OK) {
        rc = htt_statement_bind(db, &saga_table, statement, "ti", definition->name,
                                definition->version);
    }
    rc = store_number(db, statement, rc, next_at_out);
    if (rc == HTT_NOTFOUND) {
        *next_at_out = 0;
        rc = HTT_OK;
    }
    return rc;
}

htt_rc htt_saga_store_group(htt_db *db, saga_group *group) {
    if (htt_db_is_fake(db)) {
        return htt_saga_fake_group(db, group);
    }
    sqlite3_stmt *statement = NULL;
    char *const before = group->definition;
    group->definition = NULL;
    htt_rc rc = htt_statement_get(db, &saga_table, SAGA_GROUP, &statement);
    if (rc == HTT_OK) {
        rc = htt_statement_bind(db, &saga_table, statement, "ti", before == NULL ? "" : before,
                                group->version);
    }
    rc = store_first(db, statement, rc);
    if (rc == HTT_OK) {
        const char *const name = (const char *)sqlite3_column_text(statement, 0);
        group->definition = name == NULL ? NULL : htt_memory_text(name);
        group->version = sqlite3_column_int64(statement, 1);
        htt_statement_done(statement);
        if (group->definition == NULL) {
            rc = htt_db_fail_memory(db);
        }
    }
    htt_memory_free(before);
    return rc;
}

htt_rc htt_saga_store_count_group(htt_db *db, const saga_group *group, int64_t *count_out) {
    if (htt_db_is_fake(db)) {
        return htt_saga_fake_count_group(db, group, count_out);
    }
    sqlite3_stmt *statement = NULL;
    htt_rc rc = htt_statement_get(db, &saga_table, SAGA_COUNT_GROUP, &statement);
    if (rc == HTT_OK) {
        rc =
            htt_statement_bind(db, &saga_table, statement, "ti", group->definition, group->version);
    }
    return store_number(db, statement, rc, count_out);
}
