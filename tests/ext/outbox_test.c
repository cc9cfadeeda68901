/* SPDX-License-Identifier: MIT */
/*
 * The SQL of one store: what is written comes back, what others have put there is found, and
 * nothing that goes wrong is swallowed.
 */
#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SQLITE_CORE 1
#include "ext/outbox.h"
#include "ext/store_row.h"

/* The tables, and rows for two stores: a.htt has id 1, kv.htt has id 2. */
static htt_outbox *outbox_make(sqlite3 *db, const char *schema) {
    static const uint8_t first[HTT_UUID_SIZE] = {1};
    static const uint8_t second[HTT_UUID_SIZE] = {2};
    htt_outbox_store store;
    char *message = NULL;
    bool found = false;
    assert_int_equal(htt_store_row_create_table(db, schema, &message), SQLITE_OK);
    assert_int_equal(htt_store_row_write(db, schema, "a.htt", first, &message), SQLITE_OK);
    assert_int_equal(htt_store_row_write(db, schema, "kv.htt", second, &message), SQLITE_OK);
    htt_outbox *const outbox = htt_outbox_new(db, schema, "kv.htt");
    assert_non_null(outbox);
    assert_int_equal(htt_outbox_read_store(outbox, &found, &store, &message), SQLITE_OK);
    assert_true(found);
    assert_int_equal(store.id, 2);
    assert_false(store.has_root);
    assert_int_equal(store.acked, 0);
    assert_int_equal(store.state, HTT_STORE_LIVE);
    assert_null(message);
    return outbox;
}

static htt_outbox_row outbox_row(uint64_t seq, htt_op op, htt_datum key, htt_datum value) {
    return (htt_outbox_row){.seq = seq, .op = op, .key = key, .value = value, .token = seq * 7};
}

static void outbox_good(int rc, char *message) {
    if (rc != SQLITE_OK) {
        print_error("error %d: %s\n", rc, message == NULL ? "no message" : message);
    }
    assert_int_equal(rc, SQLITE_OK);
    assert_null(message);
}

static void outbox_bad(int rc, char *message, int code, const char *part) {
    if (rc != code || message == NULL || strstr(message, part) == NULL) {
        print_error("expected %d: %s\n     got %d: %s\n", code, part, rc,
                    message == NULL ? "no message" : message);
        fail();
    }
    sqlite3_free(message);
}

#define good(call) (message = NULL, rc = (call), outbox_good(rc, message))
#define bad(call, code, part) (message = NULL, rc = (call), outbox_bad(rc, message, code, part))

static void outbox_put(htt_outbox *outbox, uint64_t seq, const char *key, const char *value) {
    const htt_outbox_row row = outbox_row(seq, HTT_OP_PUT, htt_text(key), htt_text(value));
    char *message;
    int rc;
    good(htt_outbox_append(outbox, &row, 1, &message));
}

/* A root record that the engine made. */
static htt_host_root outbox_make_root(void **state, const char *name) {
    char path[600];
    htt_store *store;
    htt_host_owner owner;
    htt_host_root root;
    snprintf(path, sizeof path, "%s", fixture_path(state, name));
    assert_int_equal(htt_open(path, NULL, &store, NULL), HTT_OK);
    assert_int_equal(htt_host_describe(store, fixture_path(state, "test.db"), &owner), HTT_OK);
    assert_int_equal(htt_host_claim(store, &owner, &root), HTT_OK);
    htt_close(store);
    return root;
}

/* ------------------------------------------------------------- round trips */

static bool outbox_same(htt_datum a, htt_datum b) {
    return a.type == b.type && a.size == b.size &&
           (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

enum { KINDS_MAX = 40 };

/* Values of every kind; gives their number. Keys: those before the first that is no key. */
static size_t outbox_kinds(htt_datum *kinds, uint8_t scratch[KINDS_MAX][HTT_NUMBER_SIZE],
                           bool keys) {
    static const int64_t integers[] = {0, 1, -1, 127, 128, -129, INT64_MAX, INT64_MIN};
    static const double reals[] = {1.0, -0.0, 0.0, 1.5, -1e300, 9223372036854775808.0, 4e15};
    static const struct {
        const char *bytes; /* of a text and of a blob */
        size_t size;       /* of bytes */
    } strings[] = {
        {"", 0},
        {"a", 1},
        {"a\0b", 3},
        {"\0", 1},
        {"\xc3\xa4", 2},
        {"\xff\xfe", 2},
        {"\xc3", 1},
        {"\xed\xa0\x80", 3},
        {"\xef\xbf\xbe", 3},
        {"\xef\xbf\xbf", 3},
        {"\xef\xbb\xbf"
         "a",
         4},
        {"\xf0\x9f\x98\x80", 4},
    };
    size_t count = 0;
    for (size_t i = 0; i < sizeof integers / sizeof integers[0]; i++) {
        kinds[count] = htt_integer(integers[i], scratch[count]);
        count++;
    }
    for (size_t i = 0; i < sizeof reals / sizeof reals[0]; i++) {
        if (keys) {
            assert_int_equal(htt_key_real(reals[i], scratch[count], &kinds[count]), HTT_OK);
        } else {
            kinds[count] = htt_real(reals[i], scratch[count]);
        }
        count++;
    }
    for (size_t i = 0; i < sizeof strings / sizeof strings[0]; i++) {
        kinds[count++] = htt_bytes(strings[i].bytes, strings[i].size, HTT_TEXT);
        if (i % 3 == 0) {
            kinds[count++] = htt_bytes(strings[i].bytes, strings[i].size, HTT_BLOB);
        }
    }
    assert_true(count < KINDS_MAX);
    if (!keys) {
        kinds[count++] = htt_null();
    }
    return count;
}

static void outbox_check_kinds(sqlite3 *db) {
    uint8_t key_scratch[KINDS_MAX][HTT_NUMBER_SIZE];
    uint8_t value_scratch[KINDS_MAX][HTT_NUMBER_SIZE];
    htt_datum keys[KINDS_MAX];
    htt_datum values[KINDS_MAX];
    htt_outbox *const outbox = outbox_make(db, "main");
    const size_t key_count = outbox_kinds(keys, key_scratch, true);
    const size_t value_count = outbox_kinds(values, value_scratch, false);
    uint64_t seq = 0;
    htt_outbox_row row;
    bool found;
    char *message;
    int rc;
    for (size_t i = 0; i < key_count; i++) {
        for (size_t j = 0; j < value_count; j++) {
            row = outbox_row(++seq, HTT_OP_PUT, keys[i], values[j]);
            good(htt_outbox_append(outbox, &row, 1, &message));
        }
    }
    seq = 0;
    good(htt_outbox_begin_rows(outbox, 0, &message));
    for (size_t i = 0; i < key_count; i++) {
        for (size_t j = 0; j < value_count; j++) {
            good(htt_outbox_next_row(outbox, &found, &row, &message));
            assert_true(found);
            assert_int_equal(row.seq, ++seq);
            assert_int_equal(row.token, seq * 7);
            assert_int_equal(row.op, HTT_OP_PUT);
            assert_true(outbox_same(row.key, keys[i]));
            assert_true(outbox_same(row.value, values[j]));
        }
    }
    good(htt_outbox_next_row(outbox, &found, &row, &message));
    assert_false(found);
    htt_outbox_free(outbox);
}

static void test_outbox__keys_and_values_come_back_as_they_went_in(void **state) {
    outbox_check_kinds(fixture_db(state));
}

static void test_outbox__nothing_is_lost_in_a_utf16_database(void **state) {
    static const char *const pragmas[] = {"PRAGMA encoding = 'UTF-16le'",
                                          "PRAGMA encoding = 'UTF-16be'"};
    for (size_t i = 0; i < 2; i++) {
        sqlite3 *const db = fixture_open(state, ":memory:");
        run(db, pragmas[i]);
        outbox_check_kinds(db);
        assert_int_equal(sqlite3_close(db), SQLITE_OK);
    }
}

static void test_outbox__rows_and_deletions_come_back(void **state) {
    sqlite3 *const db = fixture_db(state);
    htt_outbox *const outbox = outbox_make(db, "main");
    uint8_t scratch[HTT_NUMBER_SIZE];
    uint8_t bytes[64];
    const htt_datum columns[] = {htt_integer(7, scratch), htt_text("ab"), htt_null()};
    const size_t size = htt_row_size(columns, 3);
    htt_outbox_row row;
    bool found;
    char *message;
    int rc;
    htt_row_encode(columns, 3, bytes);
    const htt_outbox_row rows[] = {
        outbox_row(1, HTT_OP_DEL, htt_text("old"), htt_null()),
        outbox_row(2, HTT_OP_ROW, htt_text("new"), htt_bytes(bytes, size, HTT_ROW)),
    };
    good(htt_outbox_append(outbox, rows, 2, &message));
    expect(db, "SELECT id, op, typeof(value) FROM htt_outbox",
           "2199023255553|3|null\n2199023255554|2|blob");
    expect(db, "SELECT id, store, seq, op, key, value FROM htt_change",
           "2199023255553|kv.htt|1|delete|old|NULL\n"
           "2199023255554|kv.htt|2|put|new|[7,\"ab\",null]");
    good(htt_outbox_begin_rows(outbox, 0, &message));
    for (int i = 0; i < 2; i++) {
        good(htt_outbox_next_row(outbox, &found, &row, &message));
        assert_true(found);
        assert_int_equal(row.op, rows[i].op);
        assert_true(outbox_same(row.key, rows[i].key));
        assert_true(outbox_same(row.value, rows[i].value));
    }
    htt_outbox_free(outbox); /* in the middle of a walk */
}

static void test_outbox__a_large_value_comes_back(void **state) {
    htt_outbox *const outbox = outbox_make(fixture_db(state), "main");
    const size_t size = (size_t)40 << 20;
    uint8_t *const bytes = malloc(size);
    htt_outbox_row row;
    bool found;
    char *message;
    int rc;
    assert_non_null(bytes);
    memset(bytes, 0x5a, size);
    row = outbox_row(1, HTT_OP_PUT, htt_text("k"), htt_blob(bytes, size));
    good(htt_outbox_append(outbox, &row, 1, &message));
    good(htt_outbox_begin_rows(outbox, 0, &message));
    good(htt_outbox_next_row(outbox, &found, &row, &message));
    assert_true(found && row.value.size == size && memcmp(row.value.data, bytes, size) == 0);
    free(bytes);
    htt_outbox_free(outbox);
}

/* ---------------------------------------------------------------- reading */

static void test_outbox__a_store_without_row_or_table_is_not_found(void **state) {
    sqlite3 *const db = fixture_db(state);
    htt_outbox *const outbox = htt_outbox_new(db, "main", "kv.htt");
    htt_outbox_store store;
    bool found = true;
    char *message;
    int rc;
    good(htt_outbox_read_store(outbox, &found, &store, &message)); /* no table */
    assert_false(found);
    htt_outbox_free(outbox_make(db, "main"));
    good(htt_outbox_read_store(outbox, &found, &store, &message));
    assert_true(found);
    run(db, "DELETE FROM htt_store");
    good(htt_outbox_read_store(outbox, &found, &store, &message)); /* no row */
    assert_false(found);
    run(db, "DROP TABLE htt_store");
    found = true;
    good(htt_outbox_read_store(outbox, &found, &store, &message)); /* a table that went */
    assert_false(found);
    htt_outbox_free(outbox);
}

static void test_outbox__a_row_of_htt_store_that_makes_no_sense_is_refused(void **state) {
    sqlite3 *const db = fixture_db(state);
    htt_outbox *const outbox = outbox_make(db, "main");
    static const struct {
        const char *sql;  /* damages the row */
        const char *part; /* of the message */
    } cases[] = {
        {"UPDATE htt_store SET root = x'00' WHERE id = 2", "kv.htt"},
        {"UPDATE htt_store SET root = zeroblob(128) WHERE id = 2", "kv.htt"},
        {"UPDATE htt_store SET root = 'text' WHERE id = 2", "root or acked of a wrong type"},
        {"UPDATE htt_store SET acked = 'x' WHERE id = 2", "root or acked of a wrong type"},
        {"PRAGMA ignore_check_constraints = 1; UPDATE htt_store SET state = 'x' WHERE id = 2",
         "unknown state"},
        {"UPDATE htt_store SET id = 8388608 WHERE id = 2", "possible are 1 to 8388607"},
        {"UPDATE htt_store SET id = -1 WHERE id = 2", "possible are 1 to 8388607"},
    };
    htt_outbox_store store;
    bool found;
    char *message;
    int rc;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        run(db, "BEGIN");
        run(db, cases[i].sql);
        bad(htt_outbox_read_store(outbox, &found, &store, &message), SQLITE_CORRUPT_VTAB,
            cases[i].part);
        run(db, "ROLLBACK");
    }
    run(db, "UPDATE htt_store SET acked = -1, state = 'dropped' WHERE id = 2");
    good(htt_outbox_read_store(outbox, &found, &store, &message));
    assert_true(store.acked == UINT64_MAX && store.state == HTT_STORE_DROPPED);
    htt_outbox_free(outbox);
}

static void test_outbox__reading_is_confined_to_its_store(void **state) {
    sqlite3 *const db = fixture_db(state);
    htt_outbox *const outbox = outbox_make(db, "main");
    htt_outbox_row row;
    bool found;
    char *message;
    int rc;
    good(htt_outbox_read_last(outbox, UINT64_MAX, &found, &row, &message));
    assert_false(found);
    run(db, "INSERT INTO htt_outbox VALUES ((1 << 40) + 5, 1, 'a', 'a', 1), "
            "((3 << 40), 1, 'b', 'b', 1), ((3 << 40) + 1, 1, 'b', 'b', 1), (7, 1, 'c', 'c', 1)");
    good(htt_outbox_read_last(outbox, UINT64_MAX, &found, &row, &message));
    assert_false(found);
    good(htt_outbox_begin_rows(outbox, 0, &message));
    good(htt_outbox_next_row(outbox, &found, &row, &message));
    assert_false(found);
    good(htt_outbox_begin_rows(outbox, (uint64_t)HTT_OUTBOX_SEQ_MAX, &message));
    good(htt_outbox_next_row(outbox, &found, &row, &message));
    assert_false(found);
    for (uint64_t seq = 1; seq <= 4; seq++) {
        outbox_put(outbox, seq, "k", "v");
    }
    good(htt_outbox_read_last(outbox, UINT64_MAX, &found, &row, &message));
    assert_true(found && row.seq == 4 && row.token == 28);
    good(htt_outbox_read_last(outbox, 2, &found, &row, &message));
    assert_true(found && row.seq == 2 && row.token == 14);
    good(htt_outbox_read_last(outbox, 0, &found, &row, &message));
    assert_false(found);
    good(htt_outbox_begin_rows(outbox, 2, &message));
    good(htt_outbox_next_row(outbox, &found, &row, &message));
    assert_true(found && row.seq == 3);
    good(htt_outbox_begin_rows(outbox, 3, &message)); /* another walk ends the first */
    good(htt_outbox_next_row(outbox, &found, &row, &message));
    assert_true(found && row.seq == 4);
    htt_outbox_end_rows(outbox);
    htt_outbox_end_rows(outbox);
    run(db, "CREATE TABLE plain(x); DROP TABLE plain"); /* nothing is left open */
    htt_outbox_free(outbox);
}

static void test_outbox__a_missing_row_is_found(void **state) {
    sqlite3 *const db = fixture_db(state);
    htt_outbox *const outbox = outbox_make(db, "main");
    htt_outbox_row row;
    bool found;
    char *message;
    int rc;
    for (uint64_t seq = 1; seq <= 4; seq++) {
        outbox_put(outbox, seq, "k", "v");
    }
    run(db, "DELETE FROM htt_outbox WHERE id = (2 << 40) + 3");
    good(htt_outbox_begin_rows(outbox, 1, &message));
    good(htt_outbox_next_row(outbox, &found, &row, &message));
    bad(htt_outbox_next_row(outbox, &found, &row, &message), SQLITE_CORRUPT_VTAB,
        "main.htt_outbox: row 2199023255555 is missing");
    good(htt_outbox_begin_rows(outbox, 2, &message)); /* the first one must be after + 1 */
    bad(htt_outbox_next_row(outbox, &found, &row, &message), SQLITE_CORRUPT_VTAB, "is missing");
    htt_outbox_free(outbox);
}

static void test_outbox__a_row_that_makes_no_sense_is_named(void **state) {
    sqlite3 *const db = fixture_db(state);
    htt_outbox *const outbox = outbox_make(db, "main");
    static const struct {
        const char *values; /* op, key, value, token */
        const char *part;   /* of the message */
    } cases[] = {
        {"0, 'k', 'v', 1", "the op of row 2199023255553"},
        {"4, 'k', 'v', 1", "the op of row 2199023255553"},
        {"65, 'k', 'v', 1", "the op of row 2199023255553"},
        {"-1, 'k', 'v', 1", "the op of row 2199023255553"},
        {"1.5, 'k', 'v', 1", "the op of row 2199023255553"},
        {"'x', 'k', 'v', 1", "the op of row 2199023255553"},
        {"1, NULL, 'v', 1", "the key of row 2199023255553"},
        {"17, 'k', 'v', 1", "the key of row 2199023255553"},
        {"17, 1, 'v', 1", "the key of row 2199023255553"},
        {"1, zeroblob(1048577), 'v', 1", "the key of row 2199023255553"},
        {"33, 'k', 'v', 1", "the value of row 2199023255553"},
        {"33, 'k', NULL, 1", "the value of row 2199023255553"},
        {"34, 'k', x'00', 1", "the value of row 2199023255553"},
        {"2, 'k', 'v', 1", "the value of row 2199023255553"},
        {"2, 'k', x'01ff', 1", "the value of row 2199023255553"},
        {"2, 'k', x'010900', 1", "the value of row 2199023255553"},
        {"2, 'k', x'', 1", "the value of row 2199023255553"},
        {"3, 'k', 'v', 1", "the value of row 2199023255553"},
        {"1, 'k', 'v', 'x'", "the token of row 2199023255553"},
        {"1, 'k', 'v', x'00'", "the token of row 2199023255553"},
    };
    htt_outbox_row row;
    bool found;
    char *message;
    int rc;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char sql[256];
        snprintf(sql, sizeof sql,
                 "DELETE FROM htt_outbox; INSERT INTO htt_outbox VALUES ("
                 "(2 << 40) + 1, %s)",
                 cases[i].values);
        run(db, sql);
        good(htt_outbox_begin_rows(outbox, 0, &message));
        bad(htt_outbox_next_row(outbox, &found, &row, &message), SQLITE_CORRUPT_VTAB,
            cases[i].part);
    }
    bad(htt_outbox_read_last(outbox, UINT64_MAX, &found, &row, &message), SQLITE_CORRUPT_VTAB,
        "the token of row 2199023255553");
    htt_outbox_free(outbox);
}

/* ---------------------------------------------------------------- writing */

static void test_outbox__two_rows_are_appended_or_none(void **state) {
    sqlite3 *const db = fixture_db(state);
    htt_outbox *const outbox = outbox_make(db, "main");
    const htt_outbox_row rows[] = {outbox_row(1, HTT_OP_DEL, htt_text("a"), htt_null()),
                                   outbox_row(2, HTT_OP_PUT, htt_text("b"), htt_text("v"))};
    char *message;
    int rc;
    run(db, "INSERT INTO htt_outbox VALUES ((2 << 40) + 2, 1, 'x', 'x', 1)");
    for (int i = 0; i < 2; i++) {
        run(db, i == 0 ? "SELECT 1" : "BEGIN");
        bad(htt_outbox_append(outbox, rows, 2, &message), SQLITE_CORRUPT_VTAB,
            "main.htt_outbox: row 2199023255554 is there already");
        expect(db, "SELECT id & 255 FROM htt_outbox", "2");
    }
    run(db, "DELETE FROM htt_outbox");
    good(htt_outbox_append(outbox, rows, 2, &message));
    run(db, "COMMIT");
    expect(db, "SELECT id & 255, op, key, value FROM htt_outbox", "1|3|a|NULL\n2|1|b|v");
    bad(htt_outbox_append(outbox, rows, 1, &message), SQLITE_CORRUPT_VTAB, "is there already");
    htt_outbox_free(outbox);
}

static void test_outbox__numbers_that_are_used_up_are_said(void **state) {
    htt_outbox *const outbox = outbox_make(fixture_db(state), "main");
    const uint64_t most = (uint64_t)HTT_OUTBOX_SEQ_MAX;
    const htt_outbox_row rows[] = {outbox_row(most, HTT_OP_PUT, htt_text("a"), htt_null()),
                                   outbox_row(most + 1, HTT_OP_PUT, htt_text("b"), htt_null())};
    char *message;
    int rc;
    bad(htt_outbox_append(outbox, rows, 2, &message), SQLITE_FULL, "no numbers are left");
    good(htt_outbox_append(outbox, rows, 1, &message));
    bad(htt_outbox_append(outbox, rows + 1, 1, &message), SQLITE_FULL, "no numbers are left");
    htt_outbox_free(outbox);
}

static void test_outbox__last_insert_rowid_stays(void **state) {
    sqlite3 *const db = fixture_db(state);
    run(db, "CREATE TABLE plain(x); INSERT INTO plain(rowid, x) VALUES (77, 1)");
    htt_outbox *const outbox = outbox_make(db, "main");
    outbox_put(outbox, 1, "k", "v");
    expect(db, "SELECT last_insert_rowid()", "77");
    htt_outbox_free(outbox);
}

static void test_outbox__statements_survive_changes_of_the_schema(void **state) {
    sqlite3 *const db = fixture_db(state);
    htt_outbox *const outbox = outbox_make(db, "main");
    htt_outbox_row row;
    bool found;
    char *message;
    int rc;
    for (uint64_t seq = 1; seq <= 6; seq++) {
        outbox_put(outbox, seq, "k", "v");
        good(htt_outbox_read_last(outbox, UINT64_MAX, &found, &row, &message));
        assert_true(found && row.seq == seq);
        run(db, seq % 2 == 0 ? "DROP TABLE plain; VACUUM" : "CREATE TABLE plain(x)");
    }
    run(db, "ALTER TABLE htt_outbox RENAME TO elsewhere");
    bad(htt_outbox_read_last(outbox, UINT64_MAX, &found, &row, &message), SQLITE_ERROR,
        "main.htt_outbox: no such table");
    run(db, "ALTER TABLE elsewhere RENAME TO htt_outbox");
    outbox_put(outbox, 7, "k", "v");
    htt_outbox_free(outbox);
}

static void test_outbox__works_in_a_schema_with_an_odd_name(void **state) {
    sqlite3 *const db = fixture_db(state);
    char sql[700];
    snprintf(sql, sizeof sql, "ATTACH '%s' AS \"a\"\"b%%w'\"", fixture_path(state, "other.db"));
    run(db, sql);
    htt_outbox *const outbox = outbox_make(db, "a\"b%w'");
    outbox_put(outbox, 1, "k", "v");
    expect(db, "SELECT seq, key FROM \"a\"\"b%w'\".htt_change", "1|k");
    expect(db, "SELECT count(*) FROM main.sqlite_schema", "0");
    htt_outbox_free(outbox);
}

static void test_outbox__a_root_is_written_only_over_the_one_before(void **state) {
    sqlite3 *const db = fixture_db(state);
    htt_outbox *const outbox = outbox_make(db, "main");
    const htt_host_root first = outbox_make_root(state, "first.htt");
    const htt_host_root second = outbox_make_root(state, "second.htt");
    htt_outbox_store store;
    bool same;
    bool found;
    char *message;
    int rc;
    good(htt_outbox_write_root(outbox, &second, &first, &same, &message));
    assert_false(same);
    good(htt_outbox_write_root(outbox, NULL, &first, &same, &message));
    assert_true(same);
    good(htt_outbox_write_root(outbox, NULL, &second, &same, &message));
    assert_false(same);
    good(htt_outbox_read_store(outbox, &found, &store, &message));
    assert_true(store.has_root);
    assert_memory_equal(store.root.record, first.record, sizeof first.record);
    assert_memory_equal(store.root.uuid, first.uuid, sizeof first.uuid);
    assert_true(store.root.epoch == first.epoch && store.root.nonce == first.nonce);
    good(htt_outbox_write_root(outbox, &first, &second, &same, &message));
    assert_true(same);
    good(htt_outbox_write_acked(outbox, UINT64_C(0xfedcba9876543210), &message));
    good(htt_outbox_write_state(outbox, HTT_STORE_DROPPED, &message));
    good(htt_outbox_read_store(outbox, &found, &store, &message));
    assert_memory_equal(store.root.record, second.record, sizeof second.record);
    assert_int_equal(store.acked, UINT64_C(0xfedcba9876543210));
    assert_int_equal(store.state, HTT_STORE_DROPPED);
    good(htt_outbox_write_state(outbox, HTT_STORE_LIVE, &message));
    expect(db, "SELECT root IS NULL, acked, state FROM htt_store WHERE id = 1", "1|0|live");
    run(db, "UPDATE htt_store SET root = substr(root, 1, 127) || x'77' WHERE id = 2");
    bad(htt_outbox_read_store(outbox, &found, &store, &message), SQLITE_CORRUPT_VTAB, "kv.htt");
    run(db, "DELETE FROM htt_store WHERE id = 2"); /* under our feet */
    good(htt_outbox_write_root(outbox, &second, &first, &same, &message));
    assert_false(same);
    bad(htt_outbox_write_acked(outbox, 1, &message), SQLITE_IOERR, "main.htt_store");
    htt_outbox_free(outbox);
}

static void test_outbox__trimming_keeps_the_newest_row(void **state) {
    sqlite3 *const db = fixture_db(state);
    htt_outbox *const outbox = outbox_make(db, "main");
    const char *const rows = "SELECT group_concat(id & 255) FROM htt_outbox WHERE id > 2 << 40";
    char *message;
    int rc;
    run(db, "INSERT INTO htt_outbox VALUES ((1 << 40) + 5, 1, 'a', 'a', 1)");
    good(htt_outbox_trim(outbox, 9, false, &message)); /* nothing there */
    for (uint64_t seq = 1; seq <= 6; seq++) {
        outbox_put(outbox, seq, "k", "v");
    }
    good(htt_outbox_trim(outbox, 2, false, &message));
    expect(db, rows, "3,4,5,6");
    good(htt_outbox_trim(outbox, 6, false, &message));
    expect(db, rows, "6");
    good(htt_outbox_trim(outbox, UINT64_MAX, false, &message));
    expect(db, rows, "6");
    outbox_put(outbox, 7, "k", "v");
    good(htt_outbox_trim(outbox, 6, true, &message));
    expect(db, rows, "7");
    good(htt_outbox_trim(outbox, 7, true, &message));
    expect(db, rows, "NULL");
    expect(db, "SELECT count(*) FROM htt_outbox", "1");
    htt_outbox_free(outbox);
}

static void test_outbox__deleting_a_store_leaves_the_others(void **state) {
    sqlite3 *const db = fixture_db(state);
    htt_outbox *const outbox = outbox_make(db, "main");
    char *message;
    int rc;
    run(db, "INSERT INTO htt_outbox VALUES ((1 << 40) + 5, 1, 'a', 'a', 1);"
            "INSERT INTO htt_consumer VALUES ('x', 1, 0), ('x', 2, 0), ('y', 2, 0)");
    outbox_put(outbox, 1, "k", "v");
    outbox_put(outbox, 2, "k", "v");
    good(htt_outbox_delete_store(outbox, &message));
    expect(db, "SELECT name FROM htt_store", "a.htt");
    expect(db, "SELECT id >> 40, key FROM htt_outbox", "1|a");
    expect(db, "SELECT name, store FROM htt_consumer", "x|1");
    htt_outbox_free(outbox);
}

static void test_outbox__the_slowest_consumer_counts(void **state) {
    sqlite3 *const db = fixture_db(state);
    htt_outbox *const outbox = outbox_make(db, "main");
    uint64_t seq = 77;
    bool found;
    char *message;
    int rc;
    run(db, "INSERT INTO htt_consumer(name, store) VALUES ('x', 1)");
    good(htt_outbox_read_consumers(outbox, &found, &seq, &message));
    assert_false(found);
    run(db, "INSERT INTO htt_consumer VALUES ('x', 2, (2 << 40) + 9), ('y', 2, (2 << 40) + 4)");
    good(htt_outbox_read_consumers(outbox, &found, &seq, &message));
    assert_true(found && seq == 4);
    run(db, "INSERT INTO htt_consumer(name, store) VALUES ('new', 2)"); /* nothing yet */
    good(htt_outbox_read_consumers(outbox, &found, &seq, &message));
    assert_true(found && seq == 0);
    run(db, "DELETE FROM htt_consumer; INSERT INTO htt_consumer VALUES ('x', 2, 1 << 60)");
    good(htt_outbox_read_consumers(outbox, &found, &seq, &message));
    assert_true(found && seq == (uint64_t)HTT_OUTBOX_SEQ_MAX);
    run(db, "INSERT INTO htt_consumer VALUES ('y', 2, 'much')");
    bad(htt_outbox_read_consumers(outbox, &found, &seq, &message), SQLITE_CORRUPT_VTAB,
        "main.htt_consumer");
    htt_outbox_free(outbox);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        fixture_test(test_outbox__keys_and_values_come_back_as_they_went_in),
        fixture_test(test_outbox__nothing_is_lost_in_a_utf16_database),
        fixture_test(test_outbox__rows_and_deletions_come_back),
        fixture_test(test_outbox__a_large_value_comes_back),
        fixture_test(test_outbox__a_store_without_row_or_table_is_not_found),
        fixture_test(test_outbox__a_row_of_htt_store_that_makes_no_sense_is_refused),
        fixture_test(test_outbox__reading_is_confined_to_its_store),
        fixture_test(test_outbox__a_missing_row_is_found),
        fixture_test(test_outbox__a_row_that_makes_no_sense_is_named),
        fixture_test(test_outbox__two_rows_are_appended_or_none),
        fixture_test(test_outbox__numbers_that_are_used_up_are_said),
        fixture_test(test_outbox__last_insert_rowid_stays),
        fixture_test(test_outbox__statements_survive_changes_of_the_schema),
        fixture_test(test_outbox__works_in_a_schema_with_an_odd_name),
        fixture_test(test_outbox__a_root_is_written_only_over_the_one_before),
        fixture_test(test_outbox__trimming_keeps_the_newest_row),
        fixture_test(test_outbox__deleting_a_store_leaves_the_others),
        fixture_test(test_outbox__the_slowest_consumer_counts),
    };
    return cmocka_run_group_tests_name("outbox", tests, NULL, NULL);
}
