/* SPDX-License-Identifier: MIT */
/*
 * Repositories: checks, codec and identity map over a store.
 *
 *     get   identity map --> store.find --> decode --> identity map
 *     put   encode --> store.write --> the map's object stays when it is the one that was put,
 *                                      and is forgotten when it is another
 *
 * Without a unit of work there is no map, and what was got is the caller's.
 */
#include "sql/repo/repo.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

#include "sql/base/memory.h"

enum { REPO_VERSION_UNKNOWN = -1 };
/* Of the first version of htt_repo_spec. */
enum { REPO_SPEC_FIRST = offsetof(htt_repo_spec, codec) + sizeof(const htt_codec *) };

void htt_repo_spec_init(htt_repo_spec *spec, const char *table, const htt_codec *codec) {
    static const char *const value[] = {"value"};
    memset(spec, 0, sizeof *spec);
    spec->struct_size = sizeof *spec;
    spec->table = table;
    spec->key_column = "key";
    spec->columns = value;
    spec->column_count = 1;
    spec->codec = codec;
}

/* --------------------------------------------------------------- opening */

/* The caller's spec over the defaults. */
static htt_rc repo_take_spec(htt_db *db, const htt_repo_spec *given, htt_repo_spec *spec) {
    const char *wrong = NULL;
    if (db == NULL) {
        return HTT_MISUSE;
    }
    if (given == NULL) {
        return htt_db_fail(db, HTT_MISUSE, "the spec of a repository is NULL");
    }
    htt_repo_spec_init(spec, NULL, NULL);
    const htt_rc rc = htt_db_take_options(db, "htt_repo_spec", spec, sizeof *spec, given,
                                          REPO_SPEC_FIRST);
    if (rc != HTT_OK) {
        return rc;
    }
    if (spec->table == NULL || spec->key_column == NULL || spec->columns == NULL) {
        wrong = "has no table, key_column or columns";
    } else if (spec->codec == NULL || spec->codec->encode == NULL || spec->codec->decode == NULL) {
        wrong = "has no codec with encode and decode";
    } else if (spec->column_count == 0 || spec->column_count != spec->codec->column_count) {
        wrong = "has another number of columns than its codec, or none";
    } else if (spec->key_type != 0 && (spec->key_type < HTT_INTEGER || spec->key_type > HTT_BLOB)) {
        wrong = "has a key_type that is no INTEGER, REAL, TEXT, BLOB or 0";
    }
    return wrong == NULL ? HTT_OK
                         : htt_db_fail(db, HTT_MISUSE, "the spec of a repository %s", wrong);
}

static htt_repo *repo_make(htt_db *db, htt_backing *backing, const htt_codec *codec) {
    htt_repo *const repo = htt_memory_new(sizeof *repo);
    if (repo != NULL) {
        repo->db = db;
        repo->backing = backing;
        repo->codec = codec;
    }
    return repo;
}

htt_rc htt_repo_open(htt_db *db, const htt_repo_spec *given, htt_repo **repo_out) {
    htt_backing *backing;
    htt_repo_spec spec;
    htt_rc rc = repo_take_spec(db, given, &spec);
    if (rc == HTT_OK) {
        rc = htt_backing_get(db, &spec, &backing);
    }
    if (rc != HTT_OK) {
        return rc;
    }
    htt_repo *const repo = repo_make(db, backing, spec.codec);
    if (repo == NULL) {
        return htt_db_fail_memory(db);
    }
    htt_db_open_thing(db, &repo->thing, "repository", backing->shape.table);
    *repo_out = repo;
    return HTT_OK;
}

htt_rc htt_repo_open_store(htt_db *db, const htt_repo_spec *given, const htt_repo_methods *methods,
                           void *store, htt_repo **repo_out) {
    htt_backing *backing;
    htt_repo_spec spec;
    htt_rc rc = repo_take_spec(db, given, &spec);
    if (rc == HTT_OK && (methods == NULL || methods->find == NULL || methods->contains == NULL ||
                         methods->write == NULL || methods->remove == NULL ||
                         methods->count == NULL || methods->scan == NULL)) {
        rc = htt_db_fail(db, HTT_MISUSE, "a store has find, contains, write, remove, count, scan");
    }
    if (rc == HTT_OK) {
        rc = htt_backing_of_store(db, &spec, methods, store, &backing);
    }
    if (rc != HTT_OK) {
        return rc;
    }
    htt_repo *const repo = repo_make(db, backing, spec.codec);
    if (repo == NULL) {
        backing->store = NULL; /* still the caller's */
        htt_backing_free(backing);
        return htt_db_fail_memory(db);
    }
    repo->own = true;
    htt_db_open_thing(db, &repo->thing, "repository", backing->shape.table);
    *repo_out = repo;
    return HTT_OK;
}

void htt_repo_close(htt_repo *repo) {
    if (repo == NULL || repo->identity != NULL) {
        return; /* a unit closes its own */
    }
    htt_db_close_thing(repo->db, &repo->thing);
    if (repo->own) {
        htt_backing_free(repo->backing);
    }
    htt_memory_free(repo);
}

htt_rc htt_repo_open_in_unit(htt_db *db, const htt_repo_spec *given, const unsigned *depth,
                             const char *const *state, htt_repo **repo_out) {
    htt_backing *backing;
    htt_repo_spec spec;
    htt_rc rc = repo_take_spec(db, given, &spec);
    if (rc == HTT_OK) {
        rc = htt_backing_get(db, &spec, &backing);
    }
    if (rc != HTT_OK) {
        return rc;
    }
    htt_repo *const repo = repo_make(db, backing, spec.codec);
    htt_identity *const identity = repo == NULL ? NULL : htt_identity_new(spec.codec);
    if (identity == NULL) {
        htt_memory_free(repo);
        return htt_db_fail_memory(db);
    }
    repo->identity = identity;
    repo->depth = depth;
    repo->state = state;
    *repo_out = repo;
    return HTT_OK;
}

bool htt_repo_is_of(const htt_repo *repo, const htt_repo_spec *given) {
    htt_backing *backing;
    htt_repo_spec spec;
    return repo_take_spec(repo->db, given, &spec) == HTT_OK && repo->codec == spec.codec &&
           htt_backing_get(repo->db, &spec, &backing) == HTT_OK && backing == repo->backing;
}

void htt_repo_free_in_unit(htt_repo *repo) {
    htt_identity_free(repo->identity);
    htt_memory_free(repo);
}

htt_db *htt_repo_db(const htt_repo *repo) {
    return repo->db;
}

htt_repo_kind htt_repo_kind_of(const htt_repo *repo) {
    return repo->backing->kind;
}

bool htt_repo_can(const htt_repo *repo, unsigned capabilities) {
    return (repo->backing->methods->capabilities & capabilities) == capabilities;
}

/* ---------------------------------------------------------------- checks */

/* The repository may be used; for writing, when `write`. */
static htt_rc repo_check(htt_repo *repo, bool write) {
    if (repo == NULL) {
        return HTT_MISUSE;
    }
    if (repo->state != NULL && *repo->state != NULL) {
        return htt_backing_fail(repo->backing, NULL, HTT_MISUSE, "%s", *repo->state);
    }
    if (repo->depth != NULL && !htt_db_in_transaction(repo->db)) {
        return htt_backing_fail(repo->backing, NULL, HTT_ABORTED,
                                "the unit's transaction is over: SQLite or the application has "
                                "rolled it back; end the unit");
    }
    return write && htt_backing_is_walked(repo->backing)
               ? htt_backing_fail(repo->backing, NULL, HTT_MISUSE,
                                  "a visit must not write the table that it walks over")
               : HTT_OK;
}

static htt_rc repo_check_type(const htt_repo *repo, htt_datum key) {
    const htt_backing *const backing = repo->backing;
    double real;
    if (key.type < HTT_INTEGER || key.type > HTT_BLOB) {
        return htt_backing_fail(backing, &key, HTT_TYPE,
                                "a key is integer, real, text or blob, this one is %s",
                                htt_type_name(key.type));
    }
    if (backing->shape.key_type != 0 && key.type != backing->shape.key_type) {
        return htt_backing_fail(backing, &key, HTT_TYPE, "the key is %s, keys here are %s",
                                htt_type_name(key.type), htt_type_name(backing->shape.key_type));
    }
    if (key.type == HTT_REAL && (htt_value_real(key, &real) != HTT_OK || real != real)) {
        return htt_backing_fail(backing, &key, HTT_TYPE, "a real key must be a number");
    }
    return HTT_OK;
}

/* The key as a datum; its numbers are in *key. */
static htt_rc repo_check_key(htt_repo *repo, const htt_key *key, htt_datum *datum_out) {
    const htt_datum datum = htt_key_datum(key);
    int64_t integer;
    if (datum.data == NULL && datum.size > 0) {
        return htt_backing_fail(repo->backing, NULL, HTT_MISUSE, "the key has a size and no bytes");
    }
    if ((datum.type == HTT_INTEGER || datum.type == HTT_REAL) && datum.size > HTT_NUMBER_SIZE) {
        return htt_backing_fail(repo->backing, NULL, HTT_TYPE, "the key is a number of %zu bytes",
                                datum.size);
    }
    if (datum.type == HTT_INTEGER && htt_value_integer(datum, &integer) != HTT_OK) {
        return htt_backing_fail(repo->backing, NULL, HTT_TYPE, "the key is no integer's encoding");
    }
    *datum_out = datum;
    return repo_check_type(repo, datum);
}

/* Puts table and key before what a store says of the key. */
static htt_rc repo_explain(htt_repo *repo, htt_datum key, htt_rc rc) {
    switch (rc) {
    case HTT_NOTFOUND: return htt_backing_fail(repo->backing, &key, rc, "there is none");
    case HTT_EXISTS: return htt_backing_fail(repo->backing, &key, rc, "it is already there");
    case HTT_CONFLICT:
        return htt_backing_fail(repo->backing, &key, rc, "%s", htt_db_errmsg(repo->db));
    default: return rc;
    }
}

static void repo_done(htt_repo *repo) {
    if (repo->backing->methods->done != NULL) {
        repo->backing->methods->done(repo->backing->store);
    }
}

static void repo_release(const htt_repo *repo, void *object) {
    if (repo->codec->release != NULL) {
        repo->codec->release(repo->codec->context, object);
    }
}

static htt_rc repo_decode(htt_repo *repo, const htt_repo_row *row, void **object_out) {
    htt_fields fields;
    htt_fields_begin_row(&fields, repo->backing, row);
    const htt_rc rc = repo->codec->decode(repo->codec->context, &fields, object_out);
    htt_fields_end(&fields);
    return rc;
}

/* --------------------------------------------------------------- reading */

static htt_rc repo_find(htt_repo *repo, htt_datum key, void **object_out, int64_t *version_out) {
    htt_repo_row row;
    void *object;
    htt_rc rc = repo->backing->methods->find(repo->backing->store, key, &row);
    if (rc != HTT_OK) {
        return repo_explain(repo, key, rc);
    }
    row.key = key;
    rc = repo_decode(repo, &row, &object);
    const int64_t version = row.version;
    repo_done(repo);
    if (rc != HTT_OK) {
        return rc;
    }
    if (repo->identity != NULL &&
        htt_identity_add(repo->identity, key, object, version, *repo->depth) == NULL) {
        repo_release(repo, object);
        return htt_db_fail_memory(repo->db);
    }
    *object_out = object;
    *version_out = version;
    return HTT_OK;
}

/* The stored version of an entry whose own is not known any more. */
static htt_rc repo_read_version(htt_repo *repo, htt_datum key, htt_identity_entry *entry) {
    htt_repo_row row;
    const htt_rc rc = repo->backing->methods->find(repo->backing->store, key, &row);
    if (rc != HTT_OK) {
        return repo_explain(repo, key, rc);
    }
    entry->version = row.version;
    repo_done(repo);
    return HTT_OK;
}

htt_rc htt_repo_get_version(htt_repo *repo, htt_key key, void **object_out, int64_t *version_out) {
    htt_datum datum;
    int64_t version = 0;
    htt_rc rc = repo_check(repo, false);
    if (rc == HTT_OK) {
        rc = repo_check_key(repo, &key, &datum);
    }
    if (rc != HTT_OK) {
        return rc;
    }
    htt_identity_entry *const entry =
        repo->identity == NULL ? NULL : htt_identity_find(repo->identity, datum);
    if (entry == NULL) {
        rc = repo_find(repo, datum, object_out, &version);
    } else {
        if (entry->version == REPO_VERSION_UNKNOWN && version_out != NULL) {
            rc = repo_read_version(repo, datum, entry);
        }
        if (rc == HTT_OK) {
            *object_out = entry->object;
            version = entry->version;
        }
    }
    if (rc == HTT_OK && version_out != NULL) {
        *version_out = version;
    }
    return rc;
}

htt_rc htt_repo_get(htt_repo *repo, htt_key key, void **object_out) {
    return htt_repo_get_version(repo, key, object_out, NULL);
}

void htt_repo_free(htt_repo *repo, void *object) {
    if (object != NULL && repo->identity == NULL) {
        repo_release(repo, object);
    }
}

htt_rc htt_repo_contains(htt_repo *repo, htt_key key, bool *there_out) {
    htt_datum datum;
    htt_rc rc = repo_check(repo, false);
    if (rc == HTT_OK) {
        rc = repo_check_key(repo, &key, &datum);
    }
    return rc == HTT_OK ? repo->backing->methods->contains(repo->backing->store, datum, there_out)
                        : rc;
}

htt_rc htt_repo_count(htt_repo *repo, int64_t *count_out) {
    const htt_rc rc = repo_check(repo, false);
    return rc == HTT_OK ? repo->backing->methods->count(repo->backing->store, count_out) : rc;
}

/* --------------------------------------------------------------- writing */

/* After a write: what the identity map knows of the key. */
static void repo_wrote(htt_repo *repo, htt_datum key, const void *object, int64_t version) {
    htt_identity_entry *const entry =
        repo->identity == NULL ? NULL : htt_identity_find(repo->identity, key);
    if (entry == NULL) {
        return;
    }
    if (entry->object == object) {
        entry->version = version;
        entry->written = *repo->depth;
    } else {
        htt_identity_forget(repo->identity, entry);
    }
}

static htt_rc repo_write(htt_repo *repo, const htt_key *key, const void *object,
                         htt_repo_write how, int64_t expected) {
    htt_fields fields;
    htt_datum datum;
    htt_rc rc = repo_check(repo, true);
    if (rc == HTT_OK) {
        rc = repo_check_key(repo, key, &datum);
    }
    if (rc == HTT_OK && object == NULL) {
        rc = htt_backing_fail(repo->backing, &datum, HTT_MISUSE, "the object is NULL");
    }
    if (rc != HTT_OK) {
        return rc;
    }
    rc = htt_fields_begin(&fields, repo->backing, datum);
    if (rc == HTT_OK) {
        rc = repo->codec->encode(repo->codec->context, object, &fields);
    }
    if (rc == HTT_OK) {
        const htt_repo_row row = {datum, fields.columns, expected};
        rc = repo_explain(repo, datum,
                          repo->backing->methods->write(repo->backing->store, &row, how));
    }
    htt_fields_end(&fields);
    if (rc == HTT_OK) {
        const bool versioned = repo->backing->shape.version_column != NULL;
        repo_wrote(repo, datum, object,
                   !versioned                       ? 0
                   : how == HTT_REPO_WRITE_PUT      ? REPO_VERSION_UNKNOWN
                   : how == HTT_REPO_WRITE_ADD      ? 1
                                                    : expected + 1);
    }
    return rc;
}

htt_rc htt_repo_put(htt_repo *repo, htt_key key, const void *object) {
    return repo_write(repo, &key, object, HTT_REPO_WRITE_PUT, 0);
}

htt_rc htt_repo_add(htt_repo *repo, htt_key key, const void *object) {
    return repo_write(repo, &key, object, HTT_REPO_WRITE_ADD, 0);
}

static htt_rc repo_check_versioned(htt_repo *repo, int64_t expected) {
    htt_rc rc = repo_check(repo, true);
    if (rc == HTT_OK && repo->backing->shape.version_column == NULL) {
        rc = htt_backing_fail(repo->backing, NULL, HTT_MISUSE,
                              "a version is expected, and the spec has no version_column");
    }
    if (rc == HTT_OK && (expected < 0 || expected == INT64_MAX)) {
        rc = htt_backing_fail(repo->backing, NULL, HTT_MISUSE, "%lld is no version to be expected",
                              (long long)expected);
    }
    return rc;
}

htt_rc htt_repo_put_version(htt_repo *repo, htt_key key, const void *object, int64_t expected,
                            int64_t *version_out) {
    htt_rc rc = repo_check_versioned(repo, expected);
    if (rc == HTT_OK) {
        rc = repo_write(repo, &key, object, HTT_REPO_WRITE_EXPECT, expected);
    }
    if (rc == HTT_OK && version_out != NULL) {
        *version_out = expected + 1;
    }
    return rc;
}

static htt_rc repo_remove(htt_repo *repo, const htt_key *key, const int64_t *expected) {
    htt_datum datum;
    htt_rc rc = repo_check(repo, true);
    if (rc == HTT_OK) {
        rc = repo_check_key(repo, key, &datum);
    }
    if (rc != HTT_OK) {
        return rc;
    }
    rc = repo_explain(repo, datum,
                      repo->backing->methods->remove(repo->backing->store, datum, expected));
    if (rc == HTT_OK) {
        repo_wrote(repo, datum, NULL, 0);
    }
    return rc;
}

htt_rc htt_repo_remove(htt_repo *repo, htt_key key) {
    return repo_remove(repo, &key, NULL);
}

htt_rc htt_repo_remove_version(htt_repo *repo, htt_key key, int64_t expected) {
    const htt_rc rc = repo_check_versioned(repo, expected);
    return rc == HTT_OK ? repo_remove(repo, &key, &expected) : rc;
}

void htt_repo_forget(htt_repo *repo) {
    if (repo != NULL && repo->identity != NULL) {
        htt_identity_forget_all(repo->identity);
    }
}

/* --------------------------------------------------------------- walking */

typedef struct repo_walk {
    htt_repo *repo;        /* walked over */
    htt_repo_visit *visit; /* the caller's */
    void *arg;             /* its first argument */
} repo_walk;

static htt_rc repo_visit_row(void *arg, const htt_repo_row *row) {
    const repo_walk *const walk = arg;
    htt_repo *const repo = walk->repo;
    void *object;
    htt_rc rc = repo_check_type(repo, row->key);
    if (rc != HTT_OK) {
        return rc;
    }
    /* A get in the visit takes the store's scratch again. */
    const htt_key copy = htt_key_of(row->key);
    const htt_datum key = htt_key_datum(&copy);
    /* Not put into the map: a walk over a large table would keep all of it. */
    htt_identity_entry *const entry =
        repo->identity == NULL ? NULL : htt_identity_find(repo->identity, key);
    if (entry != NULL) {
        return walk->visit(walk->arg, key, entry->object, row->version);
    }
    const int64_t version = row->version;
    rc = repo_decode(repo, row, &object);
    if (rc == HTT_OK) {
        rc = walk->visit(walk->arg, key, object, version);
        repo_release(repo, object);
    }
    return rc;
}

static htt_rc repo_scan(htt_repo *repo, const htt_datum *prefix, htt_repo_visit *visit, void *arg) {
    repo_walk walk = {repo, visit, arg};
    if (visit == NULL || htt_backing_is_walked(repo->backing)) {
        return htt_backing_fail(repo->backing, NULL, HTT_MISUSE,
                                visit == NULL ? "the visit is NULL"
                                              : "a visit must not walk over its own table again");
    }
    repo->backing->walking = true;
    const htt_rc rc =
        repo->backing->methods->scan(repo->backing->store, prefix, repo_visit_row, &walk);
    repo->backing->walking = false;
    repo_done(repo);
    return rc;
}

htt_rc htt_repo_each(htt_repo *repo, htt_repo_visit *visit, void *arg) {
    const htt_rc rc = repo_check(repo, false);
    return rc == HTT_OK ? repo_scan(repo, NULL, visit, arg) : rc;
}

htt_rc htt_repo_find_prefix(htt_repo *repo, htt_key prefix, htt_repo_visit *visit, void *arg) {
    htt_datum datum;
    htt_rc rc = repo_check(repo, false);
    if (rc == HTT_OK && !htt_repo_can(repo, HTT_REPO_CAN_PREFIX)) {
        rc = htt_backing_fail(repo->backing, NULL, HTT_MISUSE,
                              "this store has no order and cannot look for a prefix: use "
                              "htt_repo_each, or an ordinary table");
    }
    if (rc == HTT_OK) {
        rc = repo_check_key(repo, &prefix, &datum);
    }
    if (rc == HTT_OK && datum.type != HTT_TEXT && datum.type != HTT_BLOB) {
        rc = htt_backing_fail(repo->backing, &datum, HTT_TYPE, "a prefix is text or blob");
    }
    return rc == HTT_OK ? repo_scan(repo, &datum, visit, arg) : rc;
}
