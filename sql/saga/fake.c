/* SPDX-License-Identifier: MIT */
/*
 * Sagas in a fake: two tables in memory, searched from end to end. Rows are kept as
 *
 *     +------------------------------------------+-----------+-----------+--
 *     | saga_row: a text that is there is not 0  | text + \0 | text + \0 | ...
 *     +------------------------------------------+-----------+-----------+--
 *
 * in the order of fake_text. They never leave the process, so they need no other form.
 */
#include "sql/saga/fake.h"

#include <assert.h>
#include <string.h>

#include "sql/base/fake.h"
#include "sql/base/memory.h"

enum { FAKE_TEXTS = 6 };

static const char fake_rows[] = "htt_saga";
static const char fake_definitions[] = "htt_saga_definition";

/* Text number `index` of a row. */
static char **fake_text(saga_row *row, int index) {
    char **const texts[FAKE_TEXTS] = {&row->definition, &row->step_name,  &row->data,
                                      &row->cause,      &row->last_error, &row->key};
    return texts[index];
}

static htt_fake_bytes fake_key(const char *id) {
    return (htt_fake_bytes){id, strlen(id)};
}

htt_rc htt_saga_fake_open(htt_db *db) {
    htt_fake_table *table = NULL;
    const htt_rc rc = htt_fake_table_get(db->fake, fake_rows, &table);
    return rc == HTT_OK ? htt_fake_table_get(db->fake, fake_definitions, &table) : rc;
}

/* One of the two, made when the sagas were opened. */
static htt_fake_table *fake_table(htt_db *db, const char *name) {
    htt_fake_table *table = NULL;
    const htt_rc rc = htt_fake_table_get(db->fake, name, &table);
    assert(rc == HTT_OK);
    (void)rc; /* without asserts */
    return table;
}

/* The fixed part. Its texts may not be followed, only compared with NULL. */
static saga_row fake_head(const htt_fake_row *stored) {
    saga_row row;
    memcpy(&row, stored->value.data, sizeof row);
    return row;
}

/* Its definition's name: the first text, which is always there. */
static const char *fake_definition(const htt_fake_row *stored) {
    return (const char *)stored->value.data + sizeof(saga_row);
}

static bool fake_is_of(const htt_fake_row *stored, const char *name, int64_t version) {
    return fake_head(stored).definition_version == version &&
           strcmp(fake_definition(stored), name) == 0;
}

static htt_rc fake_put(htt_db *db, htt_fake_table *table, const saga_row *row) {
    saga_row copy = *row;
    size_t size = sizeof copy;
    for (int i = 0; i < FAKE_TEXTS; i++) {
        size += *fake_text(&copy, i) == NULL ? 0 : strlen(*fake_text(&copy, i)) + 1;
    }
    char *const bytes = htt_memory_new(size);
    if (bytes == NULL) {
        return htt_db_fail_memory(db);
    }
    memcpy(bytes, &copy, sizeof copy);
    char *at = bytes + sizeof copy;
    for (int i = 0; i < FAKE_TEXTS; i++) {
        const char *const text = *fake_text(&copy, i);
        if (text != NULL) {
            memcpy(at, text, strlen(text) + 1);
            at += strlen(text) + 1;
        }
    }
    const htt_rc rc = htt_fake_put(table, fake_key(row->id), (htt_fake_bytes){bytes, size});
    htt_memory_free(bytes);
    return rc;
}

/* -------------------------------------------------------------- instances */

htt_rc htt_saga_fake_insert(htt_db *db, const saga_row *row) {
    htt_fake_table *const table = fake_table(db, fake_rows);
    return htt_fake_find(table, fake_key(row->id)) != NULL ? HTT_EXISTS : fake_put(db, table, row);
}

htt_rc htt_saga_fake_load(htt_db *db, const char *id, saga_row *row_out) {
    htt_rc rc = HTT_OK;
    const htt_fake_row *const stored = htt_fake_find(fake_table(db, fake_rows), fake_key(id));
    if (stored == NULL) {
        return HTT_NOTFOUND;
    }
    *row_out = fake_head(stored);
    const char *at = fake_definition(stored);
    for (int i = 0; i < FAKE_TEXTS; i++) {
        char **const text = fake_text(row_out, i);
        if (*text == NULL) {
            continue;
        }
        *text = rc == HTT_OK ? htt_memory_text(at) : NULL;
        rc = *text == NULL ? HTT_NOMEM : rc;
        at += strlen(at) + 1;
    }
    return rc == HTT_OK ? HTT_OK : htt_db_fail_memory(db);
}

htt_rc htt_saga_fake_update(htt_db *db, const saga_row *row) {
    htt_fake_table *const table = fake_table(db, fake_rows);
    saga_row next = *row;
    const htt_fake_row *const stored = htt_fake_find(table, fake_key(row->id));
    if (stored == NULL || fake_head(stored).version != row->version) {
        return HTT_CONFLICT;
    }
    next.version++;
    return fake_put(db, table, &next);
}

htt_rc htt_saga_fake_wake(htt_db *db, const char *id, int64_t now, int64_t *count_out) {
    saga_row row = {0};
    htt_rc rc = htt_saga_fake_load(db, id, &row);
    *count_out = 0;
    if (rc == HTT_OK && saga_is_open(&row)) {
        row.next_at = now < row.next_at ? now : row.next_at;
        row.updated_at = now > row.updated_at ? now : row.updated_at;
        rc = htt_saga_fake_update(db, &row);
        *count_out = rc == HTT_OK;
    }
    htt_saga_row_clear(&row);
    return rc == HTT_NOTFOUND ? HTT_OK : rc;
}

htt_rc htt_saga_fake_purge(htt_db *db, int64_t before, int64_t limit, int64_t *count_out) {
    htt_fake_table *const table = fake_table(db, fake_rows);
    saga_place place = {0};
    htt_rc rc = HTT_OK;
    *count_out = 0;
    const htt_fake_row *stored = htt_fake_first(table, fake_key(""));
    while (rc == HTT_OK && stored != NULL && *count_out != limit) {
        const saga_row row = fake_head(stored);
        memcpy(place.id, row.id, sizeof place.id);
        if ((row.state == HTT_SAGA_COMPLETED || row.state == HTT_SAGA_COMPENSATED) &&
            row.updated_at <= before) {
            rc = htt_fake_remove(table, fake_key(place.id));
            ++*count_out;
        }
        /* The next key: this one and a zero byte. */
        stored = htt_fake_first(table, (htt_fake_bytes){place.id, strlen(place.id) + 1});
    }
    return rc;
}

/* ------------------------------------------------------------ definitions */

/* The key: the name with its end, then the version. Freed with htt_memory_free. */
static char *fake_definition_key(const htt_saga_definition *definition, size_t *size_out) {
    const size_t length = strlen(definition->name) + 1;
    char *const key = htt_memory_new(length + 8);
    if (key != NULL) {
        memcpy(key, definition->name, length);
        htt_fake_number(definition->version, (uint8_t *)key + length);
        *size_out = length + 8;
    }
    return key;
}

htt_rc htt_saga_fake_steps(htt_db *db, const htt_saga_definition *definition, const char *steps,
                           saga_steps *found_out) {
    size_t size = 0;
    char *const key = fake_definition_key(definition, &size);
    if (key == NULL) {
        return htt_db_fail_memory(db);
    }
    const htt_fake_row *const stored =
        htt_fake_find(fake_table(db, fake_definitions), (htt_fake_bytes){key, size});
    if (stored == NULL) {
        *found_out = SAGA_STEPS_ABSENT;
    } else {
        *found_out = stored->value.size == strlen(steps) &&
                             memcmp(stored->value.data, steps, strlen(steps)) == 0
                         ? SAGA_STEPS_SAME
                         : SAGA_STEPS_OTHER;
    }
    htt_memory_free(key);
    return HTT_OK;
}

htt_rc htt_saga_fake_put_steps(htt_db *db, const htt_saga_definition *definition,
                               const char *steps) {
    size_t size = 0;
    char *const key = fake_definition_key(definition, &size);
    if (key == NULL) {
        return htt_db_fail_memory(db);
    }
    const htt_rc rc = htt_fake_put(fake_table(db, fake_definitions), (htt_fake_bytes){key, size},
                                   fake_key(steps));
    htt_memory_free(key);
    return rc;
}

/* Counts rows of a definition that are open, or failed where that counts too. */
static htt_rc fake_count(htt_db *db, const char *name, int64_t version, bool with_failed,
                         int64_t *count_out) {
    const htt_fake_table *const table = fake_table(db, fake_rows);
    int64_t count = 0;
    const htt_fake_row *stored = htt_fake_first(table, fake_key(""));
    for (; stored != NULL; stored = htt_fake_next(table, stored)) {
        const saga_row row = fake_head(stored);
        count += fake_is_of(stored, name, version) &&
                 (saga_is_open(&row) || (with_failed && row.state == HTT_SAGA_FAILED));
    }
    *count_out = count;
    return HTT_OK;
}

htt_rc htt_saga_fake_count_open(htt_db *db, const htt_saga_definition *definition,
                                int64_t *count_out) {
    return fake_count(db, definition->name, definition->version, true, count_out);
}

htt_rc htt_saga_fake_count_group(htt_db *db, const saga_group *group, int64_t *count_out) {
    return fake_count(db, group->definition, group->version, false, count_out);
}

/* ----------------------------------------------------------------- search */

/* (a, id) comes behind the place. */
static bool fake_is_behind(int64_t at, const char *id, const saga_place *place) {
    return place->id[0] == '\0' || at > place->at || (at == place->at && strcmp(id, place->id) > 0);
}

/*
 * The first place behind `place`: by next_at of a definition's open rows, or (NULL) by updated_at
 * of the rows in a state. `most` is the last place that counts.
 */
static htt_rc fake_move(htt_db *db, const htt_saga_definition *definition, htt_saga_state state,
                        int64_t most, saga_place *place) {
    const htt_fake_table *const table = fake_table(db, fake_rows);
    saga_place best = {0};
    const htt_fake_row *stored = htt_fake_first(table, fake_key(""));
    for (; stored != NULL; stored = htt_fake_next(table, stored)) {
        const saga_row row = fake_head(stored);
        const int64_t at = definition != NULL ? row.next_at : row.updated_at;
        const bool counts =
            definition != NULL
                ? saga_is_open(&row) && fake_is_of(stored, definition->name, definition->version)
                : row.state == state;
        if (counts && at <= most && fake_is_behind(at, row.id, place) &&
            (best.id[0] == '\0' || !fake_is_behind(at, row.id, &best))) {
            best.at = at;
            memcpy(best.id, row.id, sizeof best.id);
        }
    }
    if (best.id[0] == '\0') {
        return HTT_NOTFOUND;
    }
    *place = best;
    return HTT_OK;
}

htt_rc htt_saga_fake_due(htt_db *db, const htt_saga_definition *definition, int64_t now,
                         saga_place *place) {
    return fake_move(db, definition, HTT_SAGA_RUNNING, now, place);
}

htt_rc htt_saga_fake_each(htt_db *db, htt_saga_state state, saga_place *place) {
    return fake_move(db, NULL, state, INT64_MAX, place);
}

htt_rc htt_saga_fake_next(htt_db *db, const htt_saga_definition *definition, int64_t *next_at_out) {
    saga_place place = {0};
    const htt_rc rc = fake_move(db, definition, HTT_SAGA_RUNNING, INT64_MAX, &place);
    *next_at_out = place.at;
    return rc == HTT_NOTFOUND ? HTT_OK : rc;
}

/* The definition and version of `stored` come behind these; a NULL name is before all. */
static bool fake_group_is_behind(const htt_fake_row *stored, const char *name, int64_t version) {
    const int order = name == NULL ? 1 : strcmp(fake_definition(stored), name);
    return order > 0 || (order == 0 && fake_head(stored).definition_version > version);
}

htt_rc htt_saga_fake_group(htt_db *db, saga_group *group) {
    const htt_fake_table *const table = fake_table(db, fake_rows);
    const htt_fake_row *best = NULL;
    char *const before = group->definition;
    htt_rc rc = HTT_NOTFOUND;
    group->definition = NULL;
    const htt_fake_row *stored = htt_fake_first(table, fake_key(""));
    for (; stored != NULL; stored = htt_fake_next(table, stored)) {
        const saga_row row = fake_head(stored);
        if (saga_is_open(&row) && fake_group_is_behind(stored, before, group->version) &&
            (best == NULL || !fake_group_is_behind(stored, fake_definition(best),
                                                   fake_head(best).definition_version))) {
            best = stored;
        }
    }
    if (best != NULL) {
        group->definition = htt_memory_text(fake_definition(best));
        group->version = fake_head(best).definition_version;
        rc = group->definition == NULL ? htt_db_fail_memory(db) : HTT_OK;
    }
    htt_memory_free(before);
    return rc;
}
