/* SPDX-License-Identifier: MIT */
/*
 * The contract of a repository: one suite, run against every store. Run it by hand as
 * test_sql_repo_contract; HTT_TEST_SEED repeats the random part.
 */
#include "repo_world.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "test_seed.h"

static htt_repo *open_repo(repo_world *world, htt_repo_spec spec) {
    htt_repo *repo = NULL;
    expect_ok(world->db, htt_repo_open(world->db, &spec, &repo));
    return repo;
}

static htt_repo *open_orders(repo_world *world, bool versioned) {
    return open_repo(world, order_spec(versioned));
}

static test_order make_order(const char *customer, double total) {
    test_order made = {0};
    snprintf(made.customer, sizeof made.customer, "%s", customer);
    made.total = total;
    return made;
}

static void check_order(htt_repo *repo, int64_t id, const char *customer, double total) {
    void *object;
    expect_ok(htt_repo_db(repo), htt_repo_get(repo, htt_key_of_integer(id), &object));
    const test_order *const got = object;
    assert_int_equal(got->id, id);
    assert_string_equal(got->customer, customer);
    assert_true(got->total == total);
    htt_repo_free(repo, object);
}

/* --------------------------------------------------------------- basics */

static void test_contract__what_is_put_is_got(void **state) {
    repo_world *const world = *state;
    htt_repo *const repo = open_orders(world, false);
    test_order first = make_order("Ada", 12.5);
    void *object;
    bool there = true;
    int64_t count = -1;
    expect_rc(world->db, htt_repo_get(repo, htt_key_of_integer(1), &object), HTT_NOTFOUND);
    expect_text(world->db, "orders[1]: there is none");
    expect_ok(world->db, htt_repo_contains(repo, htt_key_of_integer(1), &there));
    assert_false(there);
    first.photo_size = 3;
    memcpy(first.photo, "\0\1\2", 3);
    expect_ok(world->db, htt_repo_put(repo, htt_key_of_integer(1), &first));
    expect_ok(world->db, htt_repo_get(repo, htt_key_of_integer(1), &object));
    const test_order *const got = object;
    assert_int_equal(got->id, 1);
    assert_string_equal(got->customer, "Ada");
    assert_true(got->total == 12.5);
    assert_int_equal(got->photo_size, 3);
    assert_memory_equal(got->photo, "\0\1\2", 3);
    htt_repo_free(repo, object);
    htt_repo_free(repo, NULL);
    first = make_order("Grace", -1);
    expect_ok(world->db, htt_repo_put(repo, htt_key_of_integer(1), &first));
    check_order(repo, 1, "Grace", -1);
    expect_ok(world->db, htt_repo_contains(repo, htt_key_of_integer(1), &there));
    assert_true(there);
    expect_ok(world->db, htt_repo_count(repo, &count));
    assert_int_equal(count, 1);
    htt_repo_close(repo);
    htt_repo_close(NULL);
}

static void test_contract__add_wants_a_new_key_and_remove_an_old_one(void **state) {
    repo_world *const world = *state;
    htt_repo *const repo = open_orders(world, false);
    const test_order a = make_order("a", 1);
    const test_order b = make_order("b", 2);
    int64_t count = -1;
    expect_ok(world->db, htt_repo_add(repo, htt_key_of_integer(INT64_MIN), &a));
    expect_ok(world->db, htt_repo_add(repo, htt_key_of_integer(0), &a));
    expect_rc(world->db, htt_repo_add(repo, htt_key_of_integer(0), &b), HTT_EXISTS);
    expect_text(world->db, "orders[0]: it is already there");
    check_order(repo, 0, "a", 1);
    expect_ok(world->db, htt_repo_remove(repo, htt_key_of_integer(0)));
    expect_rc(world->db, htt_repo_remove(repo, htt_key_of_integer(0)), HTT_NOTFOUND);
    expect_ok(world->db, htt_repo_add(repo, htt_key_of_integer(0), &b));
    check_order(repo, 0, "b", 2);
    check_order(repo, INT64_MIN, "a", 1);
    expect_ok(world->db, htt_repo_count(repo, &count));
    assert_int_equal(count, 2);
    htt_repo_close(repo);
}

static void test_contract__keys_of_all_types_are_apart(void **state) {
    repo_world *const world = *state;
    htt_repo *const repo = open_repo(world, thing_spec(htt_codec_integer()));
    const htt_key keys[] = {
        htt_key_of_integer(1),    htt_key_of_real(1.5),          htt_key_of_text("1"),
        htt_key_of_blob("1", 1),  htt_key_of_text(""),           htt_key_of_blob(NULL, 0),
        htt_key_of_text("a"),     htt_key_of_integer(INT64_MAX), htt_key_of_real(1e300),
        htt_key_of_real(-1.5),    htt_key_of_real(INFINITY),     htt_key_of_integer(-1),
        htt_key_of_blob("\0", 1), htt_key_of_text("a longer text with \xc3\xa4"),
    };
    const int64_t count = sizeof keys / sizeof keys[0];
    int64_t found;
    void *object;
    for (int64_t i = 0; i < count; i++) {
        expect_ok(world->db, htt_repo_add(repo, keys[i], &i));
    }
    for (int64_t i = 0; i < count; i++) {
        expect_ok(world->db, htt_repo_get(repo, keys[i], &object));
        assert_int_equal(*(int64_t *)object, i);
        htt_repo_free(repo, object);
    }
    /* 1.0 is 1, as in SQL. */
    expect_rc(world->db, htt_repo_add(repo, htt_key_of_real(1.0), &count), HTT_EXISTS);
    expect_ok(world->db, htt_repo_put(repo, htt_key_of_real(1.0), &count));
    expect_ok(world->db, htt_repo_get(repo, htt_key_of_integer(1), &object));
    assert_int_equal(*(int64_t *)object, count);
    htt_repo_free(repo, object);
    expect_ok(world->db, htt_repo_remove(repo, htt_key_of_real(1.0)));
    expect_ok(world->db, htt_repo_add(repo, htt_key_of_real(-0.0), &count));
    expect_rc(world->db, htt_repo_add(repo, htt_key_of_integer(0), &count), HTT_EXISTS);
    expect_ok(world->db, htt_repo_count(repo, &found));
    assert_int_equal(found, count);
    htt_repo_close(repo);
}

static void test_contract__a_key_of_the_wrong_type_is_refused(void **state) {
    repo_world *const world = *state;
    htt_repo *const orders = open_orders(world, false);
    htt_repo *const things = open_repo(world, thing_spec(htt_codec_integer()));
    const test_order a = make_order("a", 1);
    const int64_t one = 1;
    void *object;
    bool there;
    expect_rc(world->db, htt_repo_put(orders, htt_key_of_text("x"), &a), HTT_TYPE);
    expect_text(world->db, "orders['x']: the key is text, keys here are integer");
    expect_rc(world->db, htt_repo_get(orders, htt_key_of_real(1.0), &object), HTT_TYPE);
    expect_rc(world->db, htt_repo_contains(orders, htt_key_of_blob("x", 1), &there), HTT_TYPE);
    expect_text(world->db, "orders[x'78']");
    expect_rc(world->db, htt_repo_remove(orders, htt_key_of_text(NULL)), HTT_TYPE);
    expect_text(world->db, "a key is integer, real, text or blob, this one is null");
    expect_rc(world->db, htt_repo_put(things, htt_key_of(htt_null()), &one), HTT_TYPE);
    expect_rc(world->db, htt_repo_put(things, htt_key_of_real(NAN), &one), HTT_TYPE);
    expect_text(world->db, "a real key must be a number");
    expect_rc(world->db, htt_repo_put(things, htt_key_of(htt_bytes("x", 1, HTT_ROW)), &one),
              HTT_TYPE);
    expect_rc(world->db,
              htt_repo_put(things, htt_key_of(htt_bytes("123456789", 9, HTT_INTEGER)), &one),
              HTT_TYPE);
    expect_rc(world->db, htt_repo_put(things, htt_key_of_blob(NULL, 1), &one), HTT_MISUSE);
    expect_rc(world->db, htt_repo_put(things, htt_key_of_text("a"), NULL), HTT_MISUSE);
    expect_text(world->db, "things['a']: the object is NULL");
    htt_repo_close(orders);
    htt_repo_close(things);
}

/* -------------------------------------------------------------- versions */

static void test_contract__a_conflict_of_versions_changes_nothing(void **state) {
    repo_world *const world = *state;
    htt_repo *const repo = open_orders(world, true);
    const htt_key key = htt_key_of_integer(7);
    const test_order a = make_order("a", 1);
    const test_order b = make_order("b", 2);
    int64_t version = -1;
    void *object;
    expect_rc(world->db, htt_repo_put_version(repo, key, &a, 3, &version), HTT_CONFLICT);
    expect_text(world->db, "orders[7]: version 0 is stored, 3 was expected");
    assert_int_equal(version, -1);
    expect_ok(world->db, htt_repo_put_version(repo, key, &a, 0, &version));
    assert_int_equal(version, 1);
    expect_rc(world->db, htt_repo_put_version(repo, key, &b, 0, &version), HTT_CONFLICT);
    expect_text(world->db, "version 1 is stored, 0 was expected");
    expect_rc(world->db, htt_repo_put_version(repo, key, &b, 2, &version), HTT_CONFLICT);
    check_order(repo, 7, "a", 1);
    expect_ok(world->db, htt_repo_put_version(repo, key, &b, 1, &version));
    assert_int_equal(version, 2);
    expect_ok(world->db, htt_repo_put(repo, key, &a)); /* counts too */
    expect_ok(world->db, htt_repo_get_version(repo, key, &object, &version));
    assert_int_equal(version, 3);
    htt_repo_free(repo, object);
    expect_rc(world->db, htt_repo_remove_version(repo, key, 2), HTT_CONFLICT);
    expect_text(world->db, "version 3 is stored, 2 was expected");
    expect_ok(world->db, htt_repo_remove_version(repo, key, 3));
    expect_rc(world->db, htt_repo_remove_version(repo, key, 3), HTT_CONFLICT);
    expect_ok(world->db, htt_repo_add(repo, key, &a));
    expect_ok(world->db, htt_repo_get_version(repo, key, &object, &version));
    assert_int_equal(version, 1);
    htt_repo_free(repo, object);
    expect_ok(world->db, htt_repo_put_version(repo, key, &a, 1, NULL));
    expect_rc(world->db, htt_repo_put_version(repo, key, &a, -1, NULL), HTT_MISUSE);
    expect_rc(world->db, htt_repo_remove_version(repo, key, INT64_MAX), HTT_MISUSE);
    htt_repo_close(repo);
}

static void test_contract__without_a_version_column_none_can_be_expected(void **state) {
    repo_world *const world = *state;
    htt_repo *const repo = open_repo(world, thing_spec(htt_codec_text()));
    int64_t version = -1;
    void *object;
    expect_rc(world->db, htt_repo_put_version(repo, htt_key_of_integer(1), "x", 0, NULL),
              HTT_MISUSE);
    expect_text(world->db, "the spec has no version_column");
    expect_rc(world->db, htt_repo_remove_version(repo, htt_key_of_integer(1), 1), HTT_MISUSE);
    expect_ok(world->db, htt_repo_put(repo, htt_key_of_integer(1), "x"));
    expect_ok(world->db, htt_repo_get_version(repo, htt_key_of_integer(1), &object, &version));
    assert_int_equal(version, 0);
    htt_repo_free(repo, object);
    htt_repo_close(repo);
}

/* ---------------------------------------------------------------- codecs */

static void check_refused(repo_world *world, const htt_codec *codec, htt_rc expected,
                          const char *part) {
    htt_repo *const repo = open_repo(world, thing_spec(codec));
    void *object;
    expect_rc(world->db, htt_repo_get(repo, htt_key_of_integer(1), &object), expected);
    expect_text(world->db, part);
    htt_repo_close(repo);
}

static void test_contract__ready_codecs_bring_back_what_was_put(void **state) {
    repo_world *const world = *state;
    const htt_key key = htt_key_of_integer(1);
    void *object;
    htt_repo *repo = open_repo(world, thing_spec(htt_codec_blob()));
    htt_datum blob = htt_blob("a\0b", 3);
    expect_ok(world->db, htt_repo_put(repo, key, &blob));
    expect_ok(world->db, htt_repo_get(repo, key, &object));
    assert_int_equal(((htt_datum *)object)->size, 3);
    assert_memory_equal(((htt_datum *)object)->data, "a\0b", 3);
    htt_repo_free(repo, object);
    blob = htt_blob(NULL, 0);
    expect_ok(world->db, htt_repo_put(repo, key, &blob));
    expect_ok(world->db, htt_repo_get(repo, key, &object));
    assert_int_equal(((htt_datum *)object)->size, 0);
    htt_repo_free(repo, object);
    htt_repo_close(repo);
    check_refused(world, htt_codec_text(), HTT_TYPE,
                  "things[1]: column value is blob, not text");
    check_refused(world, htt_codec_integer(), HTT_TYPE, "column value is blob, not integer");
    check_refused(world, htt_codec_real(), HTT_TYPE, "column value is blob, not real");

    repo = open_repo(world, thing_spec(htt_codec_real()));
    double real = -0.1;
    expect_ok(world->db, htt_repo_put(repo, key, &real));
    expect_ok(world->db, htt_repo_get(repo, key, &object));
    assert_true(*(double *)object == -0.1);
    htt_repo_free(repo, object);
    htt_repo_close(repo);
    check_refused(world, htt_codec_integer(), HTT_TYPE, "column value is real, not integer");

    repo = open_repo(world, thing_spec(htt_codec_integer()));
    int64_t number = INT64_MIN;
    expect_ok(world->db, htt_repo_put(repo, key, &number));
    expect_ok(world->db, htt_repo_get(repo, key, &object));
    assert_int_equal(*(int64_t *)object, INT64_MIN);
    htt_repo_free(repo, object);
    htt_repo_close(repo);
    check_refused(world, htt_codec_blob(), HTT_TYPE, "column value is integer, not blob");
    repo = open_repo(world, thing_spec(htt_codec_real())); /* takes an integer */
    expect_ok(world->db, htt_repo_get(repo, key, &object));
    assert_true(*(double *)object == (double)INT64_MIN);
    htt_repo_free(repo, object);
    htt_repo_close(repo);
}

static void test_contract__text_and_json_are_checked(void **state) {
    repo_world *const world = *state;
    const htt_key key = htt_key_of_integer(1);
    void *object;
    htt_repo *repo = open_repo(world, thing_spec(htt_codec_text()));
    expect_ok(world->db, htt_repo_put(repo, key, "{\"a\":"));
    expect_ok(world->db, htt_repo_get(repo, key, &object));
    assert_string_equal(object, "{\"a\":");
    htt_repo_free(repo, object);
    htt_repo_close(repo);
    check_refused(world, htt_codec_json(), HTT_INVALID, "things[1]: not JSON, at byte 5 of 5");
    repo = open_repo(world, thing_spec(htt_codec_json()));
    expect_rc(world->db, htt_repo_put(repo, key, "[1,]"), HTT_INVALID);
    expect_text(world->db, "things[1]: not JSON, at byte 3 of 4");
    expect_ok(world->db, htt_repo_put(repo, key, " [1, {\"a\": null}] "));
    expect_ok(world->db, htt_repo_get(repo, key, &object));
    assert_string_equal(object, " [1, {\"a\": null}] ");
    htt_repo_free(repo, object);
    htt_repo_close(repo);
    check_refused(world, htt_codec_integer(), HTT_TYPE, "column value is text, not integer");
}

typedef htt_rc fields_work(htt_fields *fields);

static htt_rc probe_encode(const void *context, const void *object, htt_fields *fields) {
    fields_work *work;
    (void)object;
    memcpy(&work, context, sizeof work);
    return work(fields);
}

static htt_rc probe_decode(const void *context, htt_fields *fields, void **object_out) {
    *object_out = fields;
    return probe_encode(context, NULL, fields);
}

static htt_rc probe_set_too_far(htt_fields *fields) {
    return htt_fields_set_integer(fields, 1, 7);
}
static htt_rc probe_set_a_row(htt_fields *fields) {
    return htt_fields_set(fields, 0, htt_bytes("x", 1, HTT_ROW));
}
static htt_rc probe_set_a_long_number(htt_fields *fields) {
    return htt_fields_set(fields, 0, htt_bytes("123456789", 9, HTT_INTEGER));
}
static htt_rc probe_get_too_far(htt_fields *fields) {
    htt_datum value;
    int64_t integer;
    double real;
    const char *text;
    assert_true(htt_fields_is_null(fields, 1));
    assert_int_equal(htt_fields_get_integer(fields, 1, &integer), HTT_MISUSE);
    assert_int_equal(htt_fields_get_real(fields, 1, &real), HTT_MISUSE);
    assert_int_equal(htt_fields_get_text(fields, 1, &text, NULL), HTT_MISUSE);
    return htt_fields_get(fields, 1, &value);
}
static htt_rc probe_fail(htt_fields *fields) {
    return htt_fields_fail(fields, HTT_INVALID, "it is not nice");
}
static htt_rc probe_memory(htt_fields *fields) {
    char *const one = htt_fields_memory(fields, 100);
    char *const two = htt_fields_memory(fields, 0);
    assert_true(one != NULL && two != NULL && one != two);
    memset(one, 1, 100);
    assert_null(htt_fields_memory(fields, SIZE_MAX));
    return htt_fields_set_text(fields, 0, NULL);
}

static void test_contract__a_codec_s_mistakes_are_named(void **state) {
    static const struct {
        fields_work *work; /* of the codec */
        htt_rc rc;         /* of put; HTT_OK: of get */
        const char *text;  /* a part of the message */
    } cases[] = {
        {probe_set_too_far, HTT_MISUSE, "things[1]: the codec asks for column 1 of 1"},
        {probe_set_a_row, HTT_TYPE, "things[1]: column value is set to a value of no SQL type"},
        {probe_set_a_long_number, HTT_TYPE, "column value is set to a number of 9 bytes"},
        {probe_fail, HTT_INVALID, "things[1]: it is not nice"},
        {probe_memory, HTT_OK, "the codec sets a column while it decodes"},
    };
    repo_world *const world = *state;
    void *object;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const htt_codec codec = {probe_encode, probe_decode, NULL, &cases[i].work, 1};
        htt_repo *const repo = open_repo(world, thing_spec(&codec));
        expect_rc(world->db, htt_repo_put(repo, htt_key_of_integer(1), ""), cases[i].rc);
        if (cases[i].rc == HTT_OK) {
            expect_rc(world->db, htt_repo_get(repo, htt_key_of_integer(1), &object), HTT_MISUSE);
        }
        expect_text(world->db, cases[i].text);
        htt_repo_close(repo);
    }
    fields_work *const work = probe_get_too_far;
    const htt_codec codec = {probe_encode, probe_decode, NULL, &work, 1};
    htt_repo *const repo = open_repo(world, thing_spec(&codec));
    expect_rc(world->db, htt_repo_get(repo, htt_key_of_integer(1), &object), HTT_MISUSE);
    htt_repo_close(repo);
}

/* ----------------------------------------------------------------- walks */

typedef struct test_walk {
    htt_repo *repo;  /* walked over */
    int64_t sum;     /* of keys */
    int64_t count;   /* of visits */
    int64_t stop_at; /* count at which the visit ends the walk; 0: not */
} test_walk;

static htt_rc visit_order(void *arg, htt_datum key, void *object, int64_t version) {
    test_walk *const walk = arg;
    const test_order *const got = object;
    int64_t id;
    bool there;
    void *again;
    assert_int_equal(htt_value_integer(key, &id), HTT_OK);
    assert_int_equal(got->id, id);
    assert_int_equal(version, id % 3 == 0 ? 2 : 1);
    /* Reading is allowed, also of the same repository; the key stays what it is. */
    expect_ok(htt_repo_db(walk->repo), htt_repo_get(walk->repo, htt_key_of_integer(1), &again));
    htt_repo_free(walk->repo, again);
    expect_ok(htt_repo_db(walk->repo),
              htt_repo_contains(walk->repo, htt_key_of_integer(id), &there));
    assert_true(there);
    assert_int_equal(htt_value_integer(key, &id), HTT_OK);
    assert_int_equal(got->id, id);
    walk->sum += id;
    walk->count++;
    return walk->count == walk->stop_at ? HTT_EXPIRED : HTT_OK;
}

static htt_rc visit_and_write(void *arg, htt_datum key, void *object, int64_t version) {
    test_walk *const walk = arg;
    const test_order a = make_order("a", 1);
    (void)key;
    (void)object;
    (void)version;
    expect_rc(htt_repo_db(walk->repo), htt_repo_put(walk->repo, htt_key_of_integer(1), &a),
              HTT_MISUSE);
    expect_text(htt_repo_db(walk->repo), "a visit must not write");
    expect_rc(htt_repo_db(walk->repo), htt_repo_remove(walk->repo, htt_key_of_integer(1)),
              HTT_MISUSE);
    expect_rc(htt_repo_db(walk->repo), htt_repo_each(walk->repo, visit_order, walk), HTT_MISUSE);
    expect_text(htt_repo_db(walk->repo), "a visit must not walk");
    return HTT_OK;
}

static void test_contract__each_visits_every_row_once(void **state) {
    repo_world *const world = *state;
    htt_repo *const repo = open_orders(world, true);
    test_walk walk = {repo, 0, 0, 0};
    expect_ok(world->db, htt_repo_each(repo, visit_order, &walk));
    assert_int_equal(walk.count, 0);
    for (int64_t id = 1; id <= 100; id++) {
        const test_order a = make_order("a", (double)id);
        expect_ok(world->db, htt_repo_put(repo, htt_key_of_integer(id), &a));
        if (id % 3 == 0) {
            expect_ok(world->db, htt_repo_put(repo, htt_key_of_integer(id), &a));
        }
    }
    expect_ok(world->db, htt_repo_each(repo, visit_order, &walk));
    assert_int_equal(walk.count, 100);
    assert_int_equal(walk.sum, 5050);
    walk.count = 0;
    walk.stop_at = 5;
    assert_int_equal(htt_repo_each(repo, visit_order, &walk), HTT_EXPIRED);
    assert_int_equal(walk.count, 5);
    expect_ok(world->db, htt_repo_each(repo, visit_and_write, &walk));
    expect_rc(world->db, htt_repo_each(repo, NULL, &walk), HTT_MISUSE);
    order_fails = HTT_INVALID;
    expect_rc(world->db, htt_repo_each(repo, visit_order, &walk), HTT_INVALID);
    void *object;
    expect_rc(world->db, htt_repo_get(repo, htt_key_of_integer(1), &object), HTT_INVALID);
    order_fails = HTT_OK;
    expect_ok(world->db, htt_repo_put(repo, htt_key_of_integer(1), &(test_order){0}));
    htt_repo_close(repo);
}

/* Opens the table again, as it was opened or with other columns, and is refused through that. */
static htt_rc visit_through_another(void *arg, htt_datum key, void *object, int64_t version) {
    test_walk *const walk = arg;
    htt_db *const db = htt_repo_db(walk->repo);
    const test_order a = make_order("a", 1);
    (void)key;
    (void)object;
    (void)version;
    for (int versioned = 0; versioned < 2; versioned++) {
        const htt_repo_spec spec = order_spec(versioned != 0);
        htt_repo *other;
        void *again;
        expect_ok(db, htt_repo_open(db, &spec, &other));
        expect_rc(db, htt_repo_put(other, htt_key_of_integer(1), &a), HTT_MISUSE);
        expect_text(db, "a visit must not write");
        expect_rc(db, htt_repo_remove(other, htt_key_of_integer(2)), HTT_MISUSE);
        expect_rc(db, htt_repo_each(other, visit_order, walk), HTT_MISUSE);
        expect_text(db, "a visit must not walk");
        expect_ok(db, htt_repo_get(other, htt_key_of_integer(1), &again));
        htt_repo_free(other, again);
        htt_repo_close(other);
    }
    const htt_repo_spec spec = thing_spec(htt_codec_integer()); /* another table is free */
    htt_repo *things;
    expect_ok(db, htt_repo_open(db, &spec, &things));
    expect_ok(db, htt_repo_put(things, htt_key_of_integer(walk->count), &walk->count));
    htt_repo_close(things);
    walk->count++;
    return HTT_OK;
}

static void test_contract__a_walk_guards_its_table_against_other_repositories(void **state) {
    repo_world *const world = *state;
    htt_repo *const repo = open_orders(world, true);
    test_walk walk = {repo, 0, 0, 0};
    for (int64_t id = 1; id <= 3; id++) {
        const test_order a = make_order("a", (double)id);
        expect_ok(world->db, htt_repo_put(repo, htt_key_of_integer(id), &a));
    }
    expect_ok(world->db, htt_repo_each(repo, visit_through_another, &walk));
    assert_int_equal(walk.count, 3);
    htt_repo *const other = open_orders(world, true);
    expect_ok(world->db, htt_repo_remove(other, htt_key_of_integer(1))); /* free again */
    htt_repo_close(other);
    htt_repo_close(repo);
}

static htt_rc visit_text(void *arg, htt_datum key, void *object, int64_t version) {
    char *const seen = arg;
    (void)version;
    assert_string_equal(object, "v");
    assert_true(key.type == HTT_TEXT || key.type == HTT_BLOB);
    strncat(seen, key.size == 0 ? "" : (const char *)key.data, key.size);
    return strncat(seen, ";", 2) == NULL ? HTT_IO : HTT_OK;
}

static void test_contract__prefixes_are_found_where_the_store_can(void **state) {
    static const char *const texts[] = {"", "a", "ab", "abc", "b", "\xc3\xa4", "\xc3\xa4x", "zz"};
    repo_world *const world = *state;
    htt_repo *const repo = open_repo(world, thing_spec(htt_codec_text()));
    char seen[200] = "";
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        expect_ok(world->db, htt_repo_add(repo, htt_key_of_text(texts[i]), "v"));
    }
    expect_ok(world->db, htt_repo_add(repo, htt_key_of_blob("ab!", 3), "v"));
    expect_ok(world->db, htt_repo_add(repo, htt_key_of_integer(5), "v"));
    if (!htt_repo_can(repo, HTT_REPO_CAN_PREFIX)) {
        assert_int_equal(htt_repo_kind_of(repo), HTT_REPO_HTT);
        expect_rc(world->db, htt_repo_find_prefix(repo, htt_key_of_text("a"), visit_text, seen),
                  HTT_MISUSE);
        expect_text(world->db, "this store has no order");
        htt_repo_close(repo);
        return;
    }
    expect_ok(world->db, htt_repo_find_prefix(repo, htt_key_of_text("ab"), visit_text, seen));
    assert_string_equal(seen, "ab;abc;");
    seen[0] = '\0';
    expect_ok(world->db, htt_repo_find_prefix(repo, htt_key_of_text("\xc3\xa4"), visit_text, seen));
    assert_string_equal(seen, "\xc3\xa4;\xc3\xa4x;");
    seen[0] = '\0';
    expect_ok(world->db, htt_repo_find_prefix(repo, htt_key_of_blob("ab", 2), visit_text, seen));
    assert_string_equal(seen, "ab!;");
    seen[0] = '\0';
    expect_ok(world->db, htt_repo_find_prefix(repo, htt_key_of_text("c"), visit_text, seen));
    assert_string_equal(seen, "");
    expect_ok(world->db, htt_repo_find_prefix(repo, htt_key_of_text(""), visit_text, seen));
    assert_string_equal(seen, ";a;ab;abc;b;zz;\xc3\xa4;\xc3\xa4x;");
    expect_rc(world->db, htt_repo_find_prefix(repo, htt_key_of_integer(5), visit_text, seen),
              HTT_TYPE);
    htt_repo_close(repo);
}

/* ---------------------------------------------------------------- random */

enum { MODEL_KEYS = 24 };

typedef struct model_row {
    int64_t version; /* 0: absent */
    double total;    /* of the test_order */
} model_row;

static void model_step(repo_world *world, htt_repo *repo, model_row *model, uint64_t *seed) {
    const int64_t id = (int64_t)test_random_below(seed, MODEL_KEYS);
    const htt_key key = htt_key_of_integer(id);
    const double total = (double)test_random_below(seed, 1000);
    const test_order made = make_order("x", total);
    model_row *const row = &model[id];
    const int64_t guess = (int64_t)test_random_below(seed, 4);
    void *object;
    int64_t version;
    switch (test_random_below(seed, 7)) {
    case 0:
        expect_ok(world->db, htt_repo_put(repo, key, &made));
        *row = (model_row){row->version + 1, total};
        break;
    case 1:
        expect_rc(world->db, htt_repo_add(repo, key, &made), row->version ? HTT_EXISTS : HTT_OK);
        *row = row->version ? *row : (model_row){1, total};
        break;
    case 2:
        expect_rc(world->db, htt_repo_put_version(repo, key, &made, guess, NULL),
                  row->version == guess ? HTT_OK : HTT_CONFLICT);
        *row = row->version == guess ? (model_row){guess + 1, total} : *row;
        break;
    case 3:
        expect_rc(world->db, htt_repo_remove(repo, key), row->version ? HTT_OK : HTT_NOTFOUND);
        row->version = 0;
        break;
    case 4:
        if (guess > 0) {
            expect_rc(world->db, htt_repo_remove_version(repo, key, guess),
                      row->version == guess ? HTT_OK : HTT_CONFLICT);
            row->version = row->version == guess ? 0 : row->version;
        }
        break;
    default:
        expect_rc(world->db, htt_repo_get_version(repo, key, &object, &version),
                  row->version ? HTT_OK : HTT_NOTFOUND);
        if (row->version != 0) {
            assert_int_equal(version, row->version);
            assert_true(((test_order *)object)->total == row->total);
            htt_repo_free(repo, object);
        }
        break;
    }
}

static void test_contract__random_calls_match_a_model(void **state) {
    repo_world *const world = *state;
    htt_repo *const repo = open_orders(world, true);
    model_row model[MODEL_KEYS] = {{0, 0}};
    uint64_t seed = test_seed();
    int64_t expected = 0;
    int64_t count;
    for (int step = 0; step < 3000; step++) {
        model_step(world, repo, model, &seed);
    }
    for (int i = 0; i < MODEL_KEYS; i++) {
        expected += model[i].version != 0;
    }
    expect_ok(world->db, htt_repo_count(repo, &count));
    assert_int_equal(count, expected);
    htt_repo_close(repo);
}

/* ----------------------------------------------------------------- suite */

static world_kind suite_kind;

static int setup(void **state) {
    static repo_world world;
    repo_world_open(&world, suite_kind);
    *state = &world;
    return 0;
}

static int teardown(void **state) {
    repo_world_close(*state);
    assert_int_equal(order_alive, 0);
    return 0;
}

#define contract(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        contract(test_contract__what_is_put_is_got),
        contract(test_contract__add_wants_a_new_key_and_remove_an_old_one),
        contract(test_contract__keys_of_all_types_are_apart),
        contract(test_contract__a_key_of_the_wrong_type_is_refused),
        contract(test_contract__a_conflict_of_versions_changes_nothing),
        contract(test_contract__without_a_version_column_none_can_be_expected),
        contract(test_contract__ready_codecs_bring_back_what_was_put),
        contract(test_contract__text_and_json_are_checked),
        contract(test_contract__a_codec_s_mistakes_are_named),
        contract(test_contract__each_visits_every_row_once),
        contract(test_contract__a_walk_guards_its_table_against_other_repositories),
        contract(test_contract__prefixes_are_found_where_the_store_can),
        contract(test_contract__random_calls_match_a_model),
    };
    int failed = 0;
    for (suite_kind = WORLD_FAKE; suite_kind < WORLD_KINDS; suite_kind++) {
        print_message("%s\n", world_names[suite_kind]);
        failed += cmocka_run_group_tests_name(world_names[suite_kind], tests, NULL, NULL);
    }
    return failed;
}
