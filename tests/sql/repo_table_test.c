/* SPDX-License-Identifier: MIT */
/*
 * Repositories and the tables that they find: what does not fit is refused by name, columns that
 * are not the repository's stay, and an application's own store is one more.
 */
#include "repo_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sql/base/memory.h"
#include "sql/htt_uow.h"
#include "sql/repo/repo.h"

static void open_world(repo_world *world, const char *sql) {
    repo_world_open(world, WORLD_HTT);
    world_exec(world->connection, sql);
}

/* ---------------------------------------------------------------- tables */

typedef struct refusal {
    const char *sql;     /* what is there */
    const char *key;     /* key column; NULL: the default */
    const char *column;  /* value column; NULL: the default */
    const char *version; /* or NULL */
    htt_type type;       /* of the key; 0: any */
    htt_rc rc;           /* of open */
    const char *text;    /* a part of the message */
} refusal;

static const refusal refusals[] = {
    {"SELECT 1", NULL, NULL, NULL, 0, HTT_NOTFOUND, "main.t: there is no such table"},
    {"CREATE VIEW t AS SELECT 1 AS key, 2 AS value", NULL, NULL, NULL, 0, HTT_MISMATCH,
     "a repository needs a table, this is a view"},
    {"CREATE VIRTUAL TABLE t USING fts5(key, value)", NULL, NULL, NULL, 0, HTT_MISMATCH,
     "a virtual table of another module than htt"},
    {"CREATE TABLE t(key PRIMARY KEY, other)", NULL, NULL, NULL, 0, HTT_MISMATCH,
     "main.t: there is no column 'value'"},
    {"CREATE TABLE t(value)", NULL, NULL, NULL, 0, HTT_MISMATCH, "there is no column 'key'"},
    {"CREATE TABLE t(key PRIMARY KEY, value)", NULL, NULL, "v", 0, HTT_MISMATCH,
     "there is no column 'v'"},
    {"CREATE TABLE t(key, value)", NULL, NULL, NULL, 0, HTT_MISMATCH,
     "column key is no key: it needs PRIMARY KEY or UNIQUE, alone"},
    {"CREATE TABLE t(key, value, PRIMARY KEY(key, value))", NULL, NULL, NULL, 0, HTT_MISMATCH,
     "is no key"},
    {"CREATE TABLE t(key, value); CREATE UNIQUE INDEX i ON t(key) WHERE value > 0", NULL, NULL,
     NULL, 0, HTT_MISMATCH, "is no key"},
    {"CREATE TABLE t(key, value); CREATE UNIQUE INDEX i ON t(key, value)", NULL, NULL, NULL, 0,
     HTT_MISMATCH, "is no key"},
    {"CREATE TABLE t(value)", "rowid", NULL, NULL, 0, HTT_MISMATCH,
     "the key 'rowid' is no column of its own"},
    {"CREATE TABLE t(key TEXT COLLATE NOCASE PRIMARY KEY, value)", NULL, NULL, NULL, 0,
     HTT_MISMATCH, "the key's collation is NOCASE"},
    {"CREATE TABLE t(key INTEGER PRIMARY KEY, value)", NULL, NULL, NULL, HTT_TEXT, HTT_TYPE,
     "column key is declared INTEGER, which changes keys of type text"},
    {"CREATE TABLE t(key NUMERIC PRIMARY KEY, value)", NULL, NULL, NULL, HTT_TEXT, HTT_TYPE,
     "NUMERIC"},
    {"CREATE TABLE t(key VARCHAR(9) PRIMARY KEY, value)", NULL, NULL, NULL, HTT_INTEGER, HTT_TYPE,
     "column key is declared VARCHAR(9), which changes keys of type integer"},
    {"CREATE TABLE t(key CLOB PRIMARY KEY, value)", NULL, NULL, NULL, HTT_REAL, HTT_TYPE, "CLOB"},
    {"CREATE TABLE t(key BLOB PRIMARY KEY, value)", NULL, NULL, NULL, HTT_TEXT, HTT_OK, ""},
    {"CREATE TABLE t(key TEXT PRIMARY KEY, value)", NULL, NULL, NULL, HTT_TEXT, HTT_OK, ""},
    {"CREATE TABLE t(key REAL PRIMARY KEY, value)", NULL, NULL, NULL, HTT_REAL, HTT_OK, ""},
    {"CREATE TABLE t(key TEXT PRIMARY KEY, value)", NULL, NULL, NULL, HTT_BLOB, HTT_OK, ""},
    {"CREATE TABLE t(Key PRIMARY KEY, VALUE)", "kEY", "Value", NULL, 0, HTT_OK, ""},
    {"CREATE VIRTUAL TABLE \"t\" using  HTT ('t.htt')", NULL, NULL, NULL, 0, HTT_OK, ""},
    {"CREATE VIRTUAL TABLE `t`\nUSING htt('t.htt')", NULL, NULL, NULL, 0, HTT_OK, ""},
    {"CREATE VIRTUAL TABLE [t] USING \"htt\"('t.htt')", NULL, NULL, NULL, 0, HTT_OK, ""},
    {"CREATE VIRTUAL TABLE t USING htt('t.htt', a INTEGER PRIMARY KEY, b)", "b", "a", NULL, 0,
     HTT_MISMATCH, "column b is no key"},
};

static void test_open__what_does_not_fit_is_refused_by_name(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        const refusal *const at = &refusals[i];
        repo_world world;
        htt_repo *repo;
        htt_repo_spec spec;
        open_world(&world, at->sql);
        htt_repo_spec_init(&spec, "t", htt_codec_integer());
        spec.key_column = at->key == NULL ? spec.key_column : at->key;
        spec.columns = at->column == NULL ? spec.columns : &at->column;
        spec.version_column = at->version;
        spec.key_type = at->type;
        const htt_rc rc = htt_repo_open(world.db, &spec, &repo);
        if (rc != at->rc) {
            fail_msg("%s: %s: %s", at->sql, htt_strerror(rc), htt_db_errmsg(world.db));
        }
        if (rc == HTT_OK) {
            htt_repo_close(repo);
        } else {
            expect_text(world.db, at->text);
        }
        repo_world_close(&world);
    }
}

static void test_open__specs_that_make_no_sense_are_refused(void **state) {
    static const htt_codec no_decode = {NULL, NULL, NULL, NULL, 1};
    htt_codec half = *htt_codec_integer();
    static const htt_repo_methods no_find = {0};
    (void)state;
    htt_db *db;
    htt_repo *repo;
    htt_repo_spec spec;
    assert_int_equal(htt_db_open_fake(NULL, &db), HTT_OK);
    assert_int_equal(htt_repo_open(NULL, NULL, &repo), HTT_MISUSE);
    expect_rc(db, htt_repo_open(db, NULL, &repo), HTT_MISUSE);
    htt_repo_spec_init(&spec, "t", htt_codec_integer());
    spec.struct_size++;
    expect_rc(db, htt_repo_open(db, &spec, &repo), HTT_MISUSE);
    expect_text(db, "htt_repo_spec.struct_size is ");
    expect_text(db, ": call htt_repo_spec_init first");
    spec.struct_size = sizeof spec - 1; /* shorter than any version */
    expect_rc(db, htt_repo_open(db, &spec, &repo), HTT_MISUSE);
    expect_text(db, "htt_repo_spec.struct_size is ");
    htt_repo_spec_init(&spec, NULL, htt_codec_integer());
    expect_rc(db, htt_repo_open(db, &spec, &repo), HTT_MISUSE);
    htt_repo_spec_init(&spec, "t", htt_codec_integer());
    spec.key_column = NULL;
    expect_rc(db, htt_repo_open(db, &spec, &repo), HTT_MISUSE);
    htt_repo_spec_init(&spec, "t", htt_codec_integer());
    spec.columns = NULL;
    expect_rc(db, htt_repo_open(db, &spec, &repo), HTT_MISUSE);
    htt_repo_spec_init(&spec, "t", NULL);
    expect_rc(db, htt_repo_open(db, &spec, &repo), HTT_MISUSE);
    htt_repo_spec_init(&spec, "t", &no_decode);
    expect_rc(db, htt_repo_open(db, &spec, &repo), HTT_MISUSE);
    half.decode = NULL;
    htt_repo_spec_init(&spec, "t", &half);
    expect_rc(db, htt_repo_open(db, &spec, &repo), HTT_MISUSE);
    htt_repo_spec_init(&spec, "t", htt_codec_integer());
    spec.column_count = 2;
    expect_rc(db, htt_repo_open(db, &spec, &repo), HTT_MISUSE);
    spec.column_count = 0;
    expect_rc(db, htt_repo_open(db, &spec, &repo), HTT_MISUSE);
    htt_repo_spec_init(&spec, "t", htt_codec_integer());
    spec.key_type = HTT_NULL;
    expect_rc(db, htt_repo_open(db, &spec, &repo), HTT_MISUSE);
    htt_repo_spec_init(&spec, "t", htt_codec_integer());
    expect_rc(db, htt_repo_open_store(db, &spec, NULL, NULL, &repo), HTT_MISUSE);
    expect_rc(db, htt_repo_open_store(db, &spec, &no_find, NULL, &repo), HTT_MISUSE);
    expect_text(db, "a store has find");
    expect_ok(db, htt_repo_open(db, &spec, &repo));
    expect_rc(db, htt_db_close(db), HTT_MISUSE);
    expect_text(db, "repository 't'");
    htt_repo_close(repo);
    expect_ok(db, htt_db_close(db));
}

static void test_call__without_a_repository_is_misuse(void **state) {
    (void)state;
    int64_t count;
    bool there;
    void *object;
    const htt_key key = htt_key_of_integer(1);
    assert_int_equal(htt_repo_count(NULL, &count), HTT_MISUSE);
    assert_int_equal(htt_repo_get(NULL, key, &object), HTT_MISUSE);
    assert_int_equal(htt_repo_contains(NULL, key, &there), HTT_MISUSE);
    assert_int_equal(htt_repo_put(NULL, key, ""), HTT_MISUSE);
    assert_int_equal(htt_repo_put_version(NULL, key, "", 0, NULL), HTT_MISUSE);
    assert_int_equal(htt_repo_remove(NULL, key), HTT_MISUSE);
    assert_int_equal(htt_repo_remove_version(NULL, key, 1), HTT_MISUSE);
    assert_int_equal(htt_repo_each(NULL, NULL, NULL), HTT_MISUSE);
    assert_int_equal(htt_repo_find_prefix(NULL, key, NULL, NULL), HTT_MISUSE);
    htt_repo_close(NULL);
    htt_repo_forget(NULL);
}

static void test_open__a_store_without_a_function_is_refused(void **state) {
    (void)state;
    htt_db *db;
    htt_repo *repo;
    htt_repo_spec spec;
    assert_int_equal(htt_db_open_fake(NULL, &db), HTT_OK);
    htt_repo_spec_init(&spec, "t", htt_codec_integer());
    htt_repo_methods lacking = htt_store_fake_methods;
    lacking.contains = NULL;
    expect_rc(db, htt_repo_open_store(db, &spec, &lacking, NULL, &repo), HTT_MISUSE);
    lacking = htt_store_fake_methods;
    lacking.write = NULL;
    expect_rc(db, htt_repo_open_store(db, &spec, &lacking, NULL, &repo), HTT_MISUSE);
    lacking = htt_store_fake_methods;
    lacking.remove = NULL;
    expect_rc(db, htt_repo_open_store(db, &spec, &lacking, NULL, &repo), HTT_MISUSE);
    lacking = htt_store_fake_methods;
    lacking.count = NULL;
    expect_rc(db, htt_repo_open_store(db, &spec, &lacking, NULL, &repo), HTT_MISUSE);
    lacking = htt_store_fake_methods;
    lacking.scan = NULL;
    expect_rc(db, htt_repo_open_store(db, &spec, &lacking, NULL, &repo), HTT_MISUSE);
    assert_int_equal(htt_db_set_error(db, HTT_CONFLICT, NULL), HTT_CONFLICT);
    assert_string_equal(htt_db_errmsg(db), "");
    expect_ok(db, htt_db_close(db));
}

static void test_open__names_may_be_anything(void **state) {
    static const char *const names[] = {"a\"b", "a'b", "a`b", "a b", "a]b", "USING", "{schema}"};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        repo_world world;
        htt_repo *repo;
        htt_repo_spec spec;
        int64_t seven = 7;
        void *object;
        open_world(&world, "SELECT 1");
        char *const sql = sqlite3_mprintf("CREATE VIRTUAL TABLE \"%w\" USING htt('t.htt', \"%w\" "
                                          "PRIMARY KEY, \"v %w\")",
                                          names[i], names[i], names[i]);
        char *const value = sqlite3_mprintf("v %s", names[i]);
        const char *const columns[] = {value};
        world_exec(world.connection, sql);
        htt_repo_spec_init(&spec, names[i], htt_codec_integer());
        spec.key_column = names[i];
        spec.columns = columns;
        expect_ok(world.db, htt_repo_open(world.db, &spec, &repo));
        assert_int_equal(htt_repo_kind_of(repo), HTT_REPO_HTT);
        expect_ok(world.db, htt_repo_put(repo, htt_key_of_integer(1), &seven));
        expect_ok(world.db, htt_repo_get(repo, htt_key_of_integer(1), &object));
        assert_int_equal(*(int64_t *)object, 7);
        htt_repo_free(repo, object);
        htt_repo_close(repo);
        sqlite3_free(sql);
        sqlite3_free(value);
        repo_world_close(&world);
    }
}

static void test_open__shapes_that_differ_are_other_backings(void **state) {
    static const char *const ab[] = {"a"};
    static const char *const b[] = {"b"};
    repo_world world;
    htt_repo *repos[6];
    htt_repo_spec spec;
    (void)state;
    open_world(&world, "CREATE TABLE t(key PRIMARY KEY, a, b, id UNIQUE, v)");
    for (int i = 0; i < 6; i++) {
        htt_repo_spec_init(&spec, "t", htt_codec_integer());
        spec.columns = i == 1 ? b : ab;
        spec.key_column = i == 2 ? "id" : "key";
        spec.key_type = i == 3 ? HTT_BLOB : (htt_type)0;
        spec.version_column = i >= 4 ? "v" : NULL;
        expect_ok(world.db, htt_repo_open(world.db, &spec, &repos[i]));
        for (int other = 0; other < i; other++) {
            const bool same = i == 5 && other == 4;
            assert_true((repos[i]->backing == repos[other]->backing) == same);
        }
    }
    spec.version_column = "b";
    assert_false(htt_repo_is_of(repos[5], &spec));
    for (int i = 0; i < 6; i++) {
        htt_repo_close(repos[i]);
    }
    repo_world_close(&world);
}

/* ------------------------------------------------------------------ rows */

static htt_repo *open_t(repo_world *world, const char *version) {
    htt_repo *repo;
    htt_repo_spec spec;
    htt_repo_spec_init(&spec, "t", htt_codec_integer());
    spec.version_column = version;
    expect_ok(world->db, htt_repo_open(world->db, &spec, &repo));
    return repo;
}

static char *query(repo_world *world, const char *sql, char *text, size_t size) {
    sqlite3_stmt *statement;
    assert_int_equal(sqlite3_prepare_v2(world->connection, sql, -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    snprintf(text, size, "%s", (const char *)sqlite3_column_text(statement, 0));
    sqlite3_finalize(statement);
    return text;
}

static void test_put__leaves_columns_that_are_not_its_own(void **state) {
    static const char *const made[] = {
        "CREATE TABLE t(key PRIMARY KEY, value, other, v INTEGER)",
        "CREATE VIRTUAL TABLE t USING htt('t.htt', key PRIMARY KEY, value, other, v INTEGER)",
    };
    (void)state;
    for (int i = 0; i < 2; i++) {
        repo_world world;
        char text[100];
        int64_t seven = 7;
        open_world(&world, made[i]);
        world_exec(world.connection, "INSERT INTO t VALUES ('a', 1, 'stays', 4)");
        htt_repo *repo = open_t(&world, NULL);
        expect_ok(world.db, htt_repo_put(repo, htt_key_of_text("a"), &seven));
        expect_ok(world.db, htt_repo_put(repo, htt_key_of_text("b"), &seven));
        htt_repo_close(repo);
        repo = open_t(&world, "v");
        expect_ok(world.db, htt_repo_put(repo, htt_key_of_text("a"), &seven));
        htt_repo_close(repo);
        assert_string_equal(query(&world, "SELECT value || other || v FROM t WHERE key = 'a'", text,
                                  sizeof text),
                            "7stays5");
        repo_world_close(&world);
    }
}

static void test_write__another_column_s_constraint_is_no_key_that_exists(void **state) {
    repo_world world;
    int64_t one = 1;
    int64_t two = 2;
    (void)state;
    open_world(&world, "CREATE TABLE t(key PRIMARY KEY, value UNIQUE CHECK(value < 100), v INT)");
    htt_repo *const repo = open_t(&world, "v");
    expect_ok(world.db, htt_repo_add(repo, htt_key_of_text("a"), &one));
    expect_rc(world.db, htt_repo_add(repo, htt_key_of_text("b"), &one), HTT_CONSTRAINT);
    expect_text(world.db, "UNIQUE constraint failed: t.value");
    expect_ok(world.db, htt_repo_add(repo, htt_key_of_text("b"), &two));
    expect_rc(world.db, htt_repo_put(repo, htt_key_of_text("b"), &one), HTT_CONSTRAINT);
    expect_rc(world.db, htt_repo_put_version(repo, htt_key_of_text("b"), &one, 1, NULL),
              HTT_CONSTRAINT);
    expect_rc(world.db, htt_repo_put_version(repo, htt_key_of_text("c"), &one, 0, NULL),
              HTT_CONSTRAINT);
    two = 200;
    expect_rc(world.db, htt_repo_put(repo, htt_key_of_text("b"), &two), HTT_CONSTRAINT);
    expect_text(world.db, "CHECK constraint failed");
    htt_repo_close(repo);
    repo_world_close(&world);
}

static htt_rc visit_nothing(void *arg, htt_datum key, void *object, int64_t version) {
    (void)arg;
    (void)key;
    (void)object;
    (void)version;
    return HTT_OK;
}

static void test_read__rows_that_hands_made_wrong_are_named(void **state) {
    repo_world world;
    void *object;
    (void)state;
    open_world(&world, "CREATE TABLE t(key TEXT PRIMARY KEY, value, v);"
                       "INSERT INTO t VALUES ('a', 1, 'x'), ('b', 1, NULL), ('c', NULL, 1)");
    htt_repo *const repo = open_t(&world, "v");
    expect_rc(world.db, htt_repo_get(repo, htt_key_of_text("a"), &object), HTT_TYPE);
    expect_text(world.db, "main.t: the version in column v is no integer");
    expect_rc(world.db, htt_repo_get(repo, htt_key_of_text("b"), &object), HTT_TYPE);
    expect_rc(world.db, htt_repo_remove_version(repo, htt_key_of_text("b"), 1), HTT_TYPE);
    expect_rc(world.db, htt_repo_get(repo, htt_key_of_text("c"), &object), HTT_TYPE);
    expect_text(world.db, "main.t['c']: column value is null, not integer");
    world_exec(world.connection, "DELETE FROM t; INSERT INTO t VALUES (NULL, 1, 1)");
    expect_rc(world.db, htt_repo_each(repo, visit_nothing, NULL), HTT_TYPE);
    expect_text(world.db, "main.t[null]: a key is integer, real, text or blob");
    htt_repo_close(repo);
    world_exec(world.connection, "DROP TABLE t; CREATE TABLE t(key PRIMARY KEY, value BLOB);"
                                 "INSERT INTO t VALUES (1.5, CAST(x'610062' AS TEXT))");
    htt_repo_spec spec;
    htt_repo *texts;
    htt_repo_spec_init(&spec, "t", htt_codec_text());
    spec.key_type = HTT_REAL;
    expect_ok(world.db, htt_repo_open(world.db, &spec, &texts));
    expect_rc(world.db, htt_repo_get(texts, htt_key_of_real(1.5), &object), HTT_INVALID);
    expect_text(world.db, "main.t[1.5]: the text has a zero byte in it");
    world_exec(world.connection, "INSERT INTO t VALUES (x'00', 'x')");
    expect_rc(world.db, htt_repo_each(texts, visit_nothing, NULL), HTT_INVALID);
    world_exec(world.connection, "DELETE FROM t WHERE key = 1.5");
    expect_rc(world.db, htt_repo_each(texts, visit_nothing, NULL), HTT_TYPE);
    expect_text(world.db, "main.t[x'00']: the key is blob, keys here are real");
    htt_repo_close(texts);
    repo_world_close(&world);
}

static void test_read__real_keys_come_back_as_reals(void **state) {
    repo_world world;
    htt_repo *repo;
    htt_repo_spec spec;
    int64_t one = 1;
    void *object;
    (void)state;
    open_world(&world, "CREATE TABLE t(key NUMERIC PRIMARY KEY, value)");
    htt_repo_spec_init(&spec, "t", htt_codec_integer());
    spec.key_type = HTT_REAL;
    expect_ok(world.db, htt_repo_open(world.db, &spec, &repo));
    expect_ok(world.db, htt_repo_put(repo, htt_key_of_real(2.0), &one)); /* stored as 2 */
    expect_ok(world.db, htt_repo_get(repo, htt_key_of_real(2.0), &object));
    htt_repo_free(repo, object);
    expect_ok(world.db, htt_repo_each(repo, visit_nothing, NULL));
    htt_repo_close(repo);
    repo_world_close(&world);
}

static void test_read__a_table_that_was_altered_later_gives_an_error(void **state) {
    repo_world world;
    void *object;
    bool there;
    int64_t one = 1;
    (void)state;
    open_world(&world, "CREATE TABLE t(key PRIMARY KEY, value); INSERT INTO t VALUES (1, 1)");
    htt_repo *const repo = open_t(&world, NULL);
    expect_ok(world.db, htt_repo_get(repo, htt_key_of_integer(1), &object));
    htt_repo_free(repo, object);
    world_exec(world.connection, "ALTER TABLE t RENAME COLUMN value TO worth");
    expect_rc(world.db, htt_repo_get(repo, htt_key_of_integer(1), &object), HTT_SQL);
    expect_text(world.db, "main.t: no such column: t.value");
    expect_rc(world.db, htt_repo_put(repo, htt_key_of_integer(1), &one), HTT_SQL);
    world_exec(world.connection, "DROP TABLE t");
    expect_rc(world.db, htt_repo_contains(repo, htt_key_of_integer(1), &there), HTT_SQL);
    expect_text(world.db, "main.t: no such table: main.t");
    htt_repo_close(repo);
    repo_world_close(&world);
}

/* ------------------------------------------------------------------- keys */

static void test_key__is_shown_in_messages(void **state) {
    static const struct {
        htt_datum key;    /* as it is */
        const char *text; /* as it is shown */
    } cases[] = {
        {{"abc", 3, HTT_TEXT}, "'abc'"},
        {{NULL, 0, HTT_TEXT}, "''"},
        {{"\0\1\2\3\4\5\6\7\1\1\1\1\1\1\1\1\1", 17, HTT_BLOB},
         "x'00010203040506070101010101010101...'"},
        {{"", 0, HTT_INTEGER}, "0"},
        {{"123456789", 9, HTT_INTEGER}, "integer"},
        {{"1", 1, HTT_REAL}, "real"},
        {{"", 0, HTT_ROW}, "of no SQL type"},
    };
    char text[HTT_KEY_TEXT_SIZE];
    char letters[200];
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        htt_key_show(cases[i].key, text, sizeof text);
        assert_string_equal(text, cases[i].text);
    }
    memset(letters, 'a', sizeof letters);
    htt_key_show(htt_bytes(letters, sizeof letters, HTT_TEXT), text, sizeof text);
    assert_int_equal(strlen(text), 65);
    assert_string_equal(text + 60, "a...'");
}

/* -------------------------------------------------------------- own stores */

/* One row at most. */
typedef struct own_store {
    htt_db *db;       /* for errors */
    int64_t value;    /* of the row */
    bool there;       /* the row is there */
    bool closed;      /* close was called */
    uint8_t bytes[8]; /* of value */
    htt_datum column; /* the value */
} own_store;

static htt_rc own_find(void *self, htt_datum key, htt_repo_row *row_out) {
    own_store *const store = self;
    store->column = htt_integer(store->value, store->bytes);
    *row_out = (htt_repo_row){key, &store->column, 0};
    return store->there ? HTT_OK : HTT_NOTFOUND;
}
static htt_rc own_contains(void *self, htt_datum key, bool *there_out) {
    (void)key;
    *there_out = ((own_store *)self)->there;
    return HTT_OK;
}
static htt_rc own_write(void *self, const htt_repo_row *row, htt_repo_write how) {
    own_store *const store = self;
    if (how == HTT_REPO_WRITE_ADD && store->there) {
        return HTT_EXISTS;
    }
    store->there = true;
    return htt_value_integer(row->columns[0], &store->value);
}
static htt_rc own_remove(void *self, htt_datum key, const int64_t *expected) {
    own_store *const store = self;
    (void)key;
    (void)expected;
    if (!store->there) {
        return htt_db_set_error(store->db, HTT_IO, "the own store is out of order");
    }
    store->there = false;
    return HTT_OK;
}
static htt_rc own_count(void *self, int64_t *count_out) {
    *count_out = ((own_store *)self)->there ? 1 : 0;
    return HTT_OK;
}
static htt_rc own_scan(void *self, const htt_datum *prefix, htt_repo_scan *scan, void *arg) {
    uint8_t bytes[HTT_NUMBER_SIZE];
    htt_repo_row row;
    (void)prefix;
    const htt_rc rc = own_find(self, htt_integer(1, bytes), &row);
    return rc == HTT_OK ? scan(arg, &row) : HTT_OK;
}
static void own_close(void *self) {
    ((own_store *)self)->closed = true;
}

static void test_store__an_application_s_own_is_one_more(void **state) {
    htt_repo_methods methods = {0, own_find, own_contains, own_write, own_remove,
                                own_count, own_scan, NULL, own_close};
    own_store store = {0};
    htt_repo *repo;
    htt_repo_spec spec;
    int64_t seven = 7;
    int64_t count;
    void *object;
    (void)state;
    assert_int_equal(htt_db_open_fake(NULL, &store.db), HTT_OK);
    htt_repo_spec_init(&spec, "own", htt_codec_integer());
    expect_ok(store.db, htt_repo_open_store(store.db, &spec, &methods, &store, &repo));
    assert_int_equal(htt_repo_kind_of(repo), HTT_REPO_OWN);
    expect_rc(store.db, htt_repo_remove(repo, htt_key_of_integer(1)), HTT_IO);
    expect_text(store.db, "the own store is out of order");
    expect_ok(store.db, htt_repo_add(repo, htt_key_of_integer(1), &seven));
    expect_rc(store.db, htt_repo_add(repo, htt_key_of_integer(1), &seven), HTT_EXISTS);
    expect_ok(store.db, htt_repo_get(repo, htt_key_of_integer(1), &object));
    assert_int_equal(*(int64_t *)object, 7);
    htt_repo_free(repo, object);
    expect_ok(store.db, htt_repo_each(repo, visit_nothing, NULL));
    expect_ok(store.db, htt_repo_count(repo, &count));
    assert_int_equal(count, 1);
    expect_rc(store.db, htt_repo_find_prefix(repo, htt_key_of_text("a"), visit_nothing, NULL),
              HTT_MISUSE);
    htt_repo_close(repo);
    assert_true(store.closed);
    methods.close = NULL;
    expect_ok(store.db, htt_repo_open_store(store.db, &spec, &methods, &store, &repo));
    htt_repo_close(repo);
    expect_ok(store.db, htt_db_close(store.db));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_open__what_does_not_fit_is_refused_by_name),
        cmocka_unit_test(test_open__specs_that_make_no_sense_are_refused),
        cmocka_unit_test(test_call__without_a_repository_is_misuse),
        cmocka_unit_test(test_open__a_store_without_a_function_is_refused),
        cmocka_unit_test(test_open__names_may_be_anything),
        cmocka_unit_test(test_open__shapes_that_differ_are_other_backings),
        cmocka_unit_test(test_put__leaves_columns_that_are_not_its_own),
        cmocka_unit_test(test_write__another_column_s_constraint_is_no_key_that_exists),
        cmocka_unit_test(test_read__rows_that_hands_made_wrong_are_named),
        cmocka_unit_test(test_read__real_keys_come_back_as_reals),
        cmocka_unit_test(test_read__a_table_that_was_altered_later_gives_an_error),
        cmocka_unit_test(test_key__is_shown_in_messages),
        cmocka_unit_test(test_store__an_application_s_own_is_one_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
