/* SPDX-License-Identifier: MIT */
/*
 * Tests of ext/source.c: a file and an overlay together read as what a plain array says, in every
 * way there is to read, at every length of the overlay. HTT_TEST_SEED repeats a random run. Then
 * queries that are under way while what they read is rolled back.
 */
#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/htt.h"
#include "ext/source.h"

enum { WORLD_KEYS = 300, WORLD_LOG = 400, WORLD_LARGE = 30000 };

/* Version 0: no such row. */
typedef struct world {
    char folder[64];                 /* of the file */
    htt_store *store;                /* open */
    htt_overlay *overlay;            /* changes */
    size_t length;                   /* of it */
    uint16_t tree[WORLD_KEYS];       /* version of each key in the file */
    uint16_t log_key[WORLD_LOG];     /* by entry: the key */
    uint16_t log_version[WORLD_LOG]; /* by entry: what it is then; 0 = deleted */
    uint16_t versions;               /* given so far */
    uint64_t random;                 /* state of the generator */
} world;

static world the_world;

static size_t world_random(world *w, size_t limit) {
    w->random ^= w->random << 13;
    w->random ^= w->random >> 7;
    w->random ^= w->random << 17;
    return (size_t)(w->random % limit);
}

/* Every second version of an integer key is written as a real. */
static htt_datum world_key(uint8_t bytes[64], size_t id, uint16_t version) {
    htt_datum key = htt_null();
    if (id % 3 != 0) {
        const int size = snprintf((char *)bytes, 64, "key %zu", id / 3);
        return htt_bytes(bytes, (size_t)size, id % 3 == 1 ? HTT_TEXT : HTT_BLOB);
    }
    if (version % 2 == 0) {
        return htt_integer((int64_t)id, bytes);
    }
    assert_int_equal(htt_key_real((double)id, bytes, &key), HTT_OK);
    return key;
}

/* Some are empty, some are NULL, some do not fit on a page. */
static htt_datum world_value(size_t id, uint16_t version) {
    static uint8_t bytes[WORLD_LARGE];
    const size_t kind = (id + version) % 17;
    const size_t size = kind == 0 ? 0 : kind == 1 ? (size_t)WORLD_LARGE - version : 20 + kind * 10;
    if (kind == 2) {
        return htt_null();
    }
    memset(bytes, (int)(id * 3 + version), size);
    if (size > 0) {
        memcpy(bytes, &version, sizeof version);
    }
    return htt_blob(bytes, size);
}

static void world_open(world *w) {
    char path[96];
    htt_error error;
    const char *const asked = getenv("HTT_TEST_SEED");
    const uint64_t seed = asked != NULL ? strtoull(asked, NULL, 10) : (uint64_t)time(NULL);
    printf("HTT_TEST_SEED=%llu\n", (unsigned long long)seed);
    memset(w, 0, sizeof *w);
    w->random = seed * UINT64_C(0x9E3779B97F4A7C15) + 1;
    fixture_make_folder(w->folder, sizeof w->folder);
    assert_true(snprintf(path, sizeof path, "%s/kv.htt", w->folder) < (int)sizeof path);
    if (htt_open(path, NULL, &w->store, &error) != HTT_OK) {
        fail_msg("%s", error.text);
    }
    w->overlay = htt_overlay_new();
    assert_non_null(w->overlay);
}

static void world_close(world *w) {
    htt_overlay_free(w->overlay);
    htt_close(w->store);
    fixture_remove_folder(w->folder);
}

static htt_txn *world_begin(world *w, unsigned mode) {
    htt_txn *txn = NULL;
    assert_int_equal(htt_begin(w->store, mode, &txn), HTT_OK);
    return txn;
}

/* Puts about every second key into the file. */
static void world_fill_tree(world *w) {
    uint8_t bytes[64];
    htt_txn *const txn = world_begin(w, HTT_WRITE);
    for (size_t id = 0; id < WORLD_KEYS; id++) {
        if (world_random(w, 2) == 0) {
            w->tree[id] = ++w->versions;
            assert_int_equal(
                htt_put(txn, world_key(bytes, id, w->tree[id]), world_value(id, w->tree[id]), 0),
                HTT_OK);
        }
    }
    assert_int_equal(htt_commit(txn), HTT_OK);
}

static void world_change(world *w, size_t id, bool del) {
    uint8_t bytes[64];
    const uint16_t version = ++w->versions;
    const htt_datum key = world_key(bytes, id, version);
    const htt_datum value = del ? htt_null() : world_value(id, version);
    assert_true(w->length < WORLD_LOG);
    assert_int_equal(htt_overlay_reserve(w->overlay, 1, key.size + value.size), SQLITE_OK);
    htt_overlay_add(w->overlay, del ? HTT_OP_DEL : HTT_OP_PUT, key, value, version);
    w->log_key[w->length] = (uint16_t)id;
    w->log_version[w->length] = del ? 0 : version;
    w->length++;
}

static void world_cut(world *w, size_t length) {
    htt_overlay_cut(w->overlay, length);
    w->length = length;
}

static uint16_t world_version(const world *w, size_t length, size_t id) {
    for (size_t i = length; i > 0; i--) {
        if (w->log_key[i - 1] == id) {
            return w->log_version[i - 1];
        }
    }
    return w->tree[id];
}

/* --------------------------------------------------------------- checking */

static void check_datum(htt_datum datum, htt_datum expected) {
    assert_int_equal(datum.type, expected.type);
    assert_int_equal(datum.size, expected.size);
    if (expected.size > 0) {
        assert_memory_equal(datum.data, expected.data, expected.size);
    }
}

static void check_one(const world *w, const htt_source *source, size_t id) {
    uint8_t bytes[64];
    uint8_t stored[64];
    htt_datum datum;
    const uint16_t version = world_version(w, source->length, id);
    const htt_rc expected = version == 0 ? HTT_NOTFOUND : HTT_OK;
    const htt_datum key = world_key(bytes, id, 0);
    assert_int_equal(htt_source_exists(source, key), expected);
    assert_int_equal(htt_source_get_key(source, key, &datum), expected);
    if (version != 0) {
        check_datum(datum, world_key(stored, id, version));
    }
    assert_int_equal(htt_source_get(source, key, &datum), expected);
    if (version != 0) {
        check_datum(datum, world_value(id, version));
    }
}

static void check_many(world *w, const htt_source *source, size_t count) {
    uint8_t bytes[HTT_SOURCE_MANY_MAX][64];
    size_t ids[HTT_SOURCE_MANY_MAX];
    htt_datum keys[HTT_SOURCE_MANY_MAX] = {{NULL, 0, 0}};
    htt_datum values[HTT_SOURCE_MANY_MAX];
    htt_rc results[HTT_SOURCE_MANY_MAX];
    for (size_t i = 0; i < count; i++) {
        ids[i] = world_random(w, WORLD_KEYS);
        keys[i] = world_key(bytes[i], ids[i], (uint16_t)i);
    }
    assert_int_equal(htt_source_get_many(source, keys, count, values, results), HTT_OK);
    for (size_t i = 0; i < count; i++) {
        const uint16_t version = world_version(w, source->length, ids[i]);
        assert_int_equal(results[i], version == 0 ? HTT_NOTFOUND : HTT_OK);
        if (version != 0) {
            check_datum(values[i], world_value(ids[i], version));
        }
    }
}

/* The id that a key was made from. */
static size_t key_id(htt_datum key) {
    uint8_t bytes[64];
    for (size_t id = 0; id < WORLD_KEYS; id++) {
        const htt_datum one = world_key(bytes, id, key.type == HTT_INTEGRAL);
        if (one.type == key.type && one.size == key.size &&
            (key.size == 0 || memcmp(one.data, key.data, key.size) == 0)) {
            return id;
        }
    }
    fail_msg("a key that was never written");
    return 0;
}

/* One step of a walk: marks the row as seen. */
static bool check_step(const world *w, htt_walk *walk, size_t length, bool *seen) {
    uint8_t bytes[64];
    htt_datum key;
    htt_datum value;
    const htt_rc rc = htt_walk_next(walk, &key);
    if (rc == HTT_NOTFOUND) {
        assert_int_equal(htt_walk_next(walk, &key), HTT_NOTFOUND);
        assert_int_equal(htt_walk_value(walk, &value), HTT_MISUSE);
        return false;
    }
    assert_int_equal(rc, HTT_OK);
    const size_t id = key_id(key);
    const uint16_t version = world_version(w, length, id);
    assert_false(seen[id]);
    assert_int_not_equal(version, 0);
    seen[id] = true;
    for (int twice = 0; twice < 2; twice++) {
        assert_int_equal(htt_walk_value(walk, &value), HTT_OK);
        check_datum(value, world_value(id, version));
    }
    check_datum(key, world_key(bytes, id, version));
    return true;
}

static void check_seen(const world *w, size_t length, const bool *seen) {
    for (size_t id = 0; id < WORLD_KEYS; id++) {
        assert_int_equal(seen[id], world_version(w, length, id) != 0);
    }
}

static void check_walk(const world *w, const htt_source *source) {
    bool seen[WORLD_KEYS] = {false};
    htt_walk *walk = NULL;
    assert_int_equal(htt_walk_open(source, &walk), HTT_OK);
    while (check_step(w, walk, source->length, seen)) {
    }
    check_seen(w, source->length, seen);
    htt_walk_close(walk);
}

/* Some rows are not looked at: as many as there are, and the rest is the rest of a whole walk. */
static void check_skips(world *w, const htt_source *source, size_t rows) {
    bool all[WORLD_KEYS] = {false};
    bool seen[WORLD_KEYS] = {false};
    const size_t skipped = world_random(w, rows + 1);
    htt_walk *whole = NULL;
    htt_walk *walk = NULL;
    htt_datum expected;
    htt_datum key;
    assert_int_equal(htt_walk_open(source, &whole), HTT_OK);
    assert_int_equal(htt_walk_open(source, &walk), HTT_OK);
    for (size_t i = 0; i < skipped; i++) {
        assert_int_equal(htt_walk_skip(walk), HTT_OK);
        assert_int_equal(htt_walk_next(whole, &expected), HTT_OK);
    }
    if (skipped == rows) {
        assert_int_equal(htt_walk_skip(walk), HTT_NOTFOUND);
        assert_int_equal(htt_walk_skip(walk), HTT_NOTFOUND);
    }
    if (skipped > 0) {
        assert_int_equal(htt_walk_arrive(walk, &key), HTT_OK);
        check_datum(key, expected);
    }
    while (check_step(w, whole, source->length, all)) {
    }
    while (check_step(w, walk, source->length, seen)) {
    }
    assert_memory_equal(seen, all, sizeof seen);
    htt_walk_close(walk);
    htt_walk_close(whole);
}

static void check_all(world *w, htt_txn *txn, size_t length) {
    const htt_source source = {txn, w->overlay, length};
    uint64_t rows = 0;
    uint64_t count = 0;
    for (size_t id = 0; id < WORLD_KEYS; id++) {
        check_one(w, &source, id);
        rows += world_version(w, length, id) != 0;
    }
    assert_int_equal(htt_source_count(&source, &count), HTT_OK);
    assert_int_equal(count, rows);
    check_many(w, &source, HTT_SOURCE_MANY_MAX);
    check_many(w, &source, world_random(w, HTT_SOURCE_MANY_MAX));
    check_many(w, &source, 1);
    check_many(w, &source, 0);
    check_walk(w, &source);
    check_skips(w, &source, rows);
}

/* ------------------------------------------------------------------ tests */

static void test_source__file_and_overlay_read_as_one_state_at_every_length(void **state) {
    (void)state;
    world *const w = &the_world;
    world_open(w);
    world_fill_tree(w);
    htt_txn *const txn = world_begin(w, HTT_READ);
    for (int round = 0; round < 12; round++) {
        /* From few keys changed often to all of them. */
        const size_t keys = round % 3 == 0 ? 8 : WORLD_KEYS;
        while (w->length < WORLD_LOG && world_random(w, 150) != 0) {
            world_change(w, world_random(w, keys), world_random(w, 3) == 0);
        }
        check_all(w, txn, w->length);
        check_all(w, txn, world_random(w, w->length + 1));
        check_all(w, txn, 0);
        world_cut(w, world_random(w, w->length + 1));
        check_all(w, txn, w->length);
    }
    htt_abort(txn);
    world_close(w);
}

static void test_source__a_write_transaction_may_lie_under_the_overlay(void **state) {
    (void)state;
    world *const w = &the_world;
    uint8_t bytes[64];
    world_open(w);
    world_fill_tree(w);
    htt_txn *const txn = world_begin(w, HTT_WRITE);
    for (size_t id = 0; id < WORLD_KEYS; id += 7) {
        w->tree[id] = ++w->versions;
        assert_int_equal(
            htt_put(txn, world_key(bytes, id, w->tree[id]), world_value(id, w->tree[id]), 0),
            HTT_OK);
    }
    for (size_t i = 0; i < 100; i++) {
        world_change(w, world_random(w, WORLD_KEYS), world_random(w, 3) == 0);
    }
    check_all(w, txn, w->length);
    htt_abort(txn);
    world_close(w);
}

static void test_source__every_key_in_the_overlay_leaves_nothing_to_the_file(void **state) {
    (void)state;
    world *const w = &the_world;
    world_open(w);
    world_fill_tree(w);
    htt_txn *const txn = world_begin(w, HTT_READ);
    for (size_t id = 0; id < WORLD_KEYS; id++) {
        world_change(w, id, id % 5 == 0);
    }
    check_all(w, txn, w->length);
    world_cut(w, 0);
    for (size_t id = 0; id < WORLD_KEYS; id++) {
        world_change(w, id, true);
    }
    check_all(w, txn, w->length); /* no row at all */
    htt_abort(txn);
    world_close(w);
}

static void test_source__a_walk_does_not_see_what_comes_and_goes_behind_its_begin(void **state) {
    (void)state;
    world *const w = &the_world;
    bool seen[WORLD_KEYS] = {false};
    htt_walk *walk = NULL;
    world_open(w);
    world_fill_tree(w);
    htt_txn *const txn = world_begin(w, HTT_READ);
    for (size_t i = 0; i < 60; i++) {
        world_change(w, world_random(w, WORLD_KEYS), world_random(w, 3) == 0);
    }
    const htt_source source = {txn, w->overlay, 60};
    assert_int_equal(htt_walk_open(&source, &walk), HTT_OK);
    while (check_step(w, walk, 60, seen)) {
        for (size_t i = world_random(w, 4); i > 0 && w->length < WORLD_LOG; i--) {
            world_change(w, world_random(w, WORLD_KEYS), world_random(w, 3) == 0);
        }
        if (world_random(w, 5) == 0) {
            world_cut(w, 60 + world_random(w, w->length - 59));
        }
    }
    check_seen(w, 60, seen);
    htt_walk_close(walk);
    htt_abort(txn);
    world_close(w);
}

static void test_source__a_walk_ends_when_what_it_walks_over_was_cut_off(void **state) {
    (void)state;
    world *const w = &the_world;
    world_open(w);
    world_fill_tree(w);
    htt_txn *const txn = world_begin(w, HTT_READ);
    for (int again = 0; again < 2; again++) {
        htt_walk *walk = NULL;
        htt_datum datum;
        world_cut(w, 0);
        world_change(w, 1, false);
        world_change(w, 2, false);
        const htt_source source = {txn, w->overlay, 2};
        assert_int_equal(htt_walk_open(&source, &walk), HTT_OK);
        assert_int_equal(htt_walk_next(walk, &datum), HTT_OK);
        htt_walk *unread = NULL;
        assert_int_equal(htt_walk_open(&source, &unread), HTT_OK);
        world_cut(w, 1);
        for (int i = 0; again == 1 && i < 3; i++) {
            world_change(w, 2, false); /* other rows took the place */
        }
        assert_int_equal(htt_walk_value(walk, &datum), HTT_ABORTED);
        assert_int_equal(htt_walk_next(walk, &datum), HTT_ABORTED);
        assert_string_equal(htt_walk_errmsg(walk), htt_strerror(HTT_ABORTED));
        htt_walk_close(walk);
        htt_rc rc = HTT_OK; /* rows that are there for certain, then it cannot tell any more */
        for (int i = 0; rc == HTT_OK && i < WORLD_KEYS; i++) {
            rc = htt_walk_skip(unread);
        }
        assert_int_equal(rc, HTT_ABORTED);
        assert_string_equal(htt_walk_errmsg(unread), htt_strerror(HTT_ABORTED));
        htt_walk_close(unread);
    }
    htt_abort(txn);
    world_close(w);
}

static void test_source__one_that_was_cut_reads_what_is_left(void **state) {
    (void)state;
    world *const w = &the_world;
    uint64_t count = 0;
    uint64_t expected = 0;
    world_open(w);
    world_fill_tree(w);
    htt_txn *const txn = world_begin(w, HTT_READ);
    for (size_t i = 0; i < 50; i++) {
        world_change(w, i, i % 2 == 0);
    }
    const htt_source source = {txn, w->overlay, 50};
    world_cut(w, 20);
    const htt_source left = {txn, w->overlay, 20};
    assert_int_equal(htt_source_count(&source, &count), HTT_OK);
    assert_int_equal(htt_source_count(&left, &expected), HTT_OK);
    assert_int_equal(count, expected);
    for (size_t id = 0; id < WORLD_KEYS; id++) {
        uint8_t bytes[64];
        const htt_datum key = world_key(bytes, id, 0);
        assert_int_equal(htt_source_exists(&source, key), htt_source_exists(&left, key));
    }
    bool seen[WORLD_KEYS] = {false};
    htt_walk *walk = NULL;
    assert_int_equal(htt_walk_open(&source, &walk), HTT_OK);
    while (check_step(w, walk, 20, seen)) {
    }
    check_seen(w, 20, seen);
    htt_walk_close(walk);
    htt_walk_close(NULL);
    htt_abort(txn);
    world_close(w);
}

static void test_source__errors_of_the_file_come_through(void **state) {
    (void)state;
    world *const w = &the_world;
    world_open(w);
    htt_txn *const txn = world_begin(w, HTT_READ);
    world_change(w, 1, false);
    htt_datum value;
    const htt_source source = {txn, w->overlay, 1};
    assert_int_equal(htt_source_get(&source, htt_null(), &value), HTT_MISUSE);
    assert_non_null(strstr(htt_source_errmsg(&source), "not a type of keys"));
    htt_reset(txn);
    uint64_t count;
    htt_walk *walk;
    htt_rc results[2];
    htt_datum values[2];
    uint8_t bytes[2][64];
    const htt_datum keys[2] = {world_key(bytes[0], 1, 0), world_key(bytes[1], 2, 0)};
    assert_int_equal(htt_source_exists(&source, keys[0]), HTT_OK); /* the overlay's alone */
    assert_int_equal(htt_source_exists(&source, keys[1]), HTT_MISUSE);
    assert_int_equal(htt_source_get_many(&source, keys, 2, values, results), HTT_MISUSE);
    assert_int_equal(htt_source_count(&source, &count), HTT_MISUSE);
    assert_int_equal(htt_walk_open(&source, &walk), HTT_MISUSE);
    htt_abort(txn);
    world_close(w);
}

/* ---------------------------------------------------------------- queries */

/* Ten rows in the database's outbox, and in an open savepoint twenty more. */
static sqlite3 *query_db(void **state) {
    sqlite3 *const db = fixture_db(state);
    run(db, "CREATE VIRTUAL TABLE kv USING htt('kv.htt');"
            "INSERT INTO kv WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n"
            " WHERE i < 10) SELECT i, 'old ' || i FROM n;"
            "BEGIN; SAVEPOINT s;"
            "INSERT INTO kv WITH RECURSIVE n(i) AS (SELECT 11 UNION ALL SELECT i + 1 FROM n"
            " WHERE i < 30) SELECT i, 'new ' || i || hex(zeroblob(300)) FROM n");
    return db;
}

static sqlite3_stmt *query_begin(sqlite3 *db, const char *sql) {
    sqlite3_stmt *statement = NULL;
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    return statement;
}

/* The rest of a query: adds up its keys; every value has to begin so. */
static int query_end(sqlite3_stmt *statement, const char *old, const char *new, int *rc_out) {
    int sum = 0;
    int rc = SQLITE_ROW;
    for (; rc == SQLITE_ROW; rc = sqlite3_step(statement)) {
        const int key = sqlite3_column_int(statement, 0);
        assert_non_null(sqlite3_column_text(statement, 1));
        assert_memory_equal(sqlite3_column_text(statement, 1), key <= 10 ? old : new, 4);
        sum += key;
    }
    *rc_out = rc;
    sqlite3_finalize(statement);
    return sum;
}

static void test_query__one_under_way_keeps_its_rows_over_a_rollback_to_a_savepoint(void **state) {
    sqlite3 *const db = query_db(state);
    sqlite3_stmt *const list =
        query_begin(db, "SELECT key, value FROM kv WHERE key IN (30, 29, 28, 1, 2, 3)");
    sqlite3_stmt *const scan = query_begin(db, "SELECT key, value FROM kv");
    int rc;
    run(db, "ROLLBACK TO s; INSERT OR REPLACE INTO kv VALUES (1, 'other'), (29, 'other')");
    assert_int_equal(query_end(list, "old ", "new ", &rc), 93);
    assert_int_equal(rc, SQLITE_DONE);
    assert_int_equal(query_end(scan, "old ", "new ", &rc), 465);
    assert_int_equal(rc, SQLITE_DONE);
    expect(db, "SELECT count(*), sum(key) FROM kv", "11|84");
    run(db, "COMMIT");
    expect(db, "SELECT count(*), sum(key) FROM kv", "11|84");
}

static void test_query__a_rollback_ends_a_scan_and_leaves_a_list_what_there_is(void **state) {
    sqlite3 *const db = query_db(state);
    for (int again = 0; again < 2; again++) {
        sqlite3_stmt *const list =
            query_begin(db, "SELECT key, value FROM kv WHERE key IN (4, 28, 29, 30)");
        sqlite3_stmt *const scan = query_begin(db, "SELECT key, value FROM kv");
        int rc;
        const int first = sqlite3_column_int(list, 0);
        run(db, "ROLLBACK");
        for (int i = 0; again == 1 && i < 15; i++) { /* other rows take the places */
            run(db,
                "BEGIN; INSERT INTO kv VALUES (99, 'x'), (98, 'y'); DELETE FROM kv WHERE key > 90;"
                "COMMIT");
        }
        const int sum = query_end(list, "old ", "new ", &rc);
        assert_int_equal(sum, 4 + (first > 4 ? first : 0));
        assert_int_equal(rc, SQLITE_DONE);
        (void)query_end(scan, "old ", "new ", &rc);
        assert_int_equal(rc, SQLITE_ABORT_ROLLBACK);
        expect(db, "SELECT count(*), sum(key) FROM kv", "10|55");
        run(db, "BEGIN; INSERT INTO kv WITH RECURSIVE n(i) AS (SELECT 11 UNION ALL SELECT i + 1"
                " FROM n WHERE i < 30) SELECT i, 'new ' || i FROM n");
    }
    run(db, "ROLLBACK");
}

static void test_query__a_scan_is_not_disturbed_by_rows_that_came_and_went(void **state) {
    sqlite3 *const db = query_db(state);
    sqlite3_stmt *const statement = query_begin(db, "SELECT key, value FROM kv");
    int rows = 0;
    do {
        rows++;
        run(db, "SAVEPOINT t; INSERT OR REPLACE INTO kv VALUES (1, 'x'), (25, 'y'), (99, 'z');"
                "DELETE FROM kv WHERE key IN (2, 29); ROLLBACK TO t; RELEASE t");
        assert_non_null(strstr((const char *)sqlite3_column_text(statement, 1),
                               sqlite3_column_int(statement, 0) <= 10 ? "old " : "new "));
    } while (sqlite3_step(statement) == SQLITE_ROW);
    assert_int_equal(rows, 30);
    assert_int_equal(sqlite3_finalize(statement), SQLITE_OK);
    run(db, "COMMIT");
    expect(db, "SELECT count(*), sum(key) FROM kv", "30|465");
}

/* SQL's during(x): other SQL in the midst of a row. */
static void query_during(sqlite3_context *context, int argc, sqlite3_value **argv) {
    const char *const sql = sqlite3_user_data(context);
    (void)argc;
    (void)argv;
    sqlite3_result_int(context,
                       sqlite3_exec(sqlite3_context_db_handle(context), sql, NULL, NULL, NULL));
}

static void query_set_during(sqlite3 *db, char *sql) {
    assert_int_equal(
        sqlite3_create_function(db, "during", 1, SQLITE_UTF8, sql, query_during, NULL, NULL),
        SQLITE_OK);
}

static void test_query__a_row_that_is_rolled_back_while_it_is_read_is_not_touched(void **state) {
    sqlite3 *const db = query_db(state);
    static char rollback[] = "ROLLBACK";
    query_set_during(db, rollback);
    expect(db, "SELECT length(value) > 600, during(key), value IS NULL FROM kv WHERE key = 22",
           "1|0|1");
    run(db, "BEGIN; INSERT INTO kv VALUES (11, 'new')");
    expect_error(db, "SELECT value, during(key), value FROM kv WHERE key + 0 = 11",
                 SQLITE_ABORT_ROLLBACK, "");
    expect(db, "SELECT count(*) FROM kv", "10");
}

static void test_query__an_inner_lookup_sees_what_was_changed_since_the_last(void **state) {
    sqlite3 *const db = query_db(state);
    static char change[] = "UPDATE kv SET value = value || '+' WHERE key = 1";
    query_set_during(db, change);
    run(db, "CREATE TABLE wanted(id INTEGER); INSERT INTO wanted VALUES (1), (1), (1)");
    expect(db, "SELECT value, during(id) FROM wanted CROSS JOIN kv ON key = id",
           "old 1|0\nold 1+|0\nold 1++|0");
    run(db, "COMMIT");
    expect(db, "SELECT value FROM kv WHERE key = 1", "old 1+++");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_source__file_and_overlay_read_as_one_state_at_every_length),
        cmocka_unit_test(test_source__a_write_transaction_may_lie_under_the_overlay),
        cmocka_unit_test(test_source__every_key_in_the_overlay_leaves_nothing_to_the_file),
        cmocka_unit_test(test_source__a_walk_does_not_see_what_comes_and_goes_behind_its_begin),
        cmocka_unit_test(test_source__a_walk_ends_when_what_it_walks_over_was_cut_off),
        cmocka_unit_test(test_source__one_that_was_cut_reads_what_is_left),
        cmocka_unit_test(test_source__errors_of_the_file_come_through),
        fixture_test(test_query__one_under_way_keeps_its_rows_over_a_rollback_to_a_savepoint),
        fixture_test(test_query__a_rollback_ends_a_scan_and_leaves_a_list_what_there_is),
        fixture_test(test_query__a_scan_is_not_disturbed_by_rows_that_came_and_went),
        fixture_test(test_query__a_row_that_is_rolled_back_while_it_is_read_is_not_touched),
        fixture_test(test_query__an_inner_lookup_sees_what_was_changed_since_the_last),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
