/* SPDX-License-Identifier: MIT */
/* Backings: a store with its shape, kept with the db and found again by what the spec says. */
#include <assert.h>
#include <string.h>
#include <strings.h>

#include "sql/base/memory.h"
#include "sql/repo/repo.h"

/* ---------------------------------------------------------------- shape */

static void shape_clear(htt_shape *shape) {
    htt_memory_free(shape->table);
    htt_memory_free(shape->key_column);
    htt_memory_free(shape->version_column);
    for (uint32_t i = 0; shape->columns != NULL && i < shape->column_count; i++) {
        htt_memory_free(shape->columns[i]);
    }
    htt_memory_free(shape->columns);
}

/* False: no memory; clear it then, too. */
static bool shape_copy(const htt_repo_spec *spec, htt_shape *shape) {
    shape->column_count = spec->column_count;
    shape->key_type = spec->key_type;
    shape->table = htt_memory_text(spec->table);
    shape->key_column = htt_memory_text(spec->key_column);
    shape->columns = htt_memory_new(spec->column_count * sizeof *shape->columns);
    bool good = shape->table != NULL && shape->key_column != NULL && shape->columns != NULL;
    if (good && spec->version_column != NULL) {
        shape->version_column = htt_memory_text(spec->version_column);
        good = shape->version_column != NULL;
    }
    for (uint32_t i = 0; i < spec->column_count && good; i++) {
        shape->columns[i] = htt_memory_text(spec->columns[i]);
        good = shape->columns[i] != NULL;
    }
    return good;
}

static bool shape_is(const htt_shape *shape, const htt_repo_spec *spec) {
    bool same = strcmp(shape->table, spec->table) == 0 &&
                strcmp(shape->key_column, spec->key_column) == 0 &&
                shape->key_type == spec->key_type && shape->column_count == spec->column_count &&
                (shape->version_column == NULL) == (spec->version_column == NULL);
    if (same && shape->version_column != NULL) {
        same = strcmp(shape->version_column, spec->version_column) == 0;
    }
    for (uint32_t i = 0; i < spec->column_count && same; i++) {
        same = strcmp(shape->columns[i], spec->columns[i]) == 0;
    }
    return same;
}

/* -------------------------------------------------------------- backing */

void htt_backing_free(htt_backing *backing) {
    if (backing->store != NULL && backing->methods->close != NULL) {
        backing->methods->close(backing->store);
    }
    shape_clear(&backing->shape);
    htt_memory_free(backing);
}

static void backing_release(htt_attachment *self) {
    htt_backing_free((htt_backing *)self); /* its first field */
}

/* With a copy of the spec, without a store. */
static htt_rc backing_new(htt_db *db, const htt_repo_spec *spec, htt_backing **backing_out) {
    htt_backing *const backing = htt_memory_new(sizeof *backing);
    if (backing != NULL && shape_copy(spec, &backing->shape)) {
        backing->db = db;
        *backing_out = backing;
        return HTT_OK;
    }
    if (backing != NULL) {
        htt_backing_free(backing);
    }
    return htt_db_fail_memory(db);
}

static htt_rc backing_open(htt_backing *backing) {
    bool covers = false;
    if (htt_db_is_fake(backing->db)) {
        backing->kind = HTT_REPO_FAKE;
        backing->methods = &htt_store_fake_methods;
        return htt_store_fake_open(backing->db, &backing->shape, &backing->store);
    }
    const htt_rc rc = htt_inspect(backing->db, &backing->shape, &backing->kind, &covers);
    if (rc != HTT_OK) {
        return rc;
    }
    backing->methods =
        backing->kind == HTT_REPO_HTT ? &htt_store_htt_methods : &htt_store_table_methods;
    return htt_store_sql_open(backing->db, &backing->shape, covers, &backing->store);
}

htt_rc htt_backing_get(htt_db *db, const htt_repo_spec *spec, htt_backing **backing_out) {
    for (htt_attachment *at = db->attached; at != NULL; at = at->next) {
        if (at->release == backing_release && shape_is(&((htt_backing *)at)->shape, spec)) {
            *backing_out = (htt_backing *)at;
            return HTT_OK;
        }
    }
    htt_backing *backing;
    htt_rc rc = backing_new(db, spec, &backing);
    if (rc != HTT_OK) {
        return rc;
    }
    rc = backing_open(backing);
    if (rc != HTT_OK) {
        htt_backing_free(backing);
        return rc;
    }
    backing->attachment.release = backing_release;
    htt_db_attach(db, &backing->attachment);
    *backing_out = backing;
    return HTT_OK;
}

bool htt_backing_is_walked(const htt_backing *backing) {
    if (backing->walking || backing->kind == HTT_REPO_OWN) {
        return backing->walking;
    }
    for (const htt_attachment *at = backing->db->attached; at != NULL; at = at->next) {
        const htt_backing *const other = (const htt_backing *)at; /* its first field */
        if (at->release == backing_release && other->walking &&
            strcasecmp(other->shape.table, backing->shape.table) == 0) {
            return true;
        }
    }
    return false;
}

htt_rc htt_backing_of_store(htt_db *db, const htt_repo_spec *spec, const htt_repo_methods *methods,
                            void *store, htt_backing **backing_out) {
    const htt_rc rc = backing_new(db, spec, backing_out);
    if (rc == HTT_OK) {
        (*backing_out)->kind = HTT_REPO_OWN;
        (*backing_out)->methods = methods;
        (*backing_out)->store = store;
    }
    return rc;
}
