/* SPDX-License-Identifier: MIT */
/*
 * The twin: random statements on an htt table and, in another database, on an ordinary WITHOUT
 * ROWID table of the same declaration. After every statement both must have the same outcome
 * (code, message, changes(), last_insert_rowid(), transaction state) and the same rows.
 *
 * DROP TABLE leaves an htt file and CREATE takes it again; the twin renames its table instead.
 * Statements whose outcome depends on the order of visiting rows are not made.
 *
 * ctest: timeout=240
 * Environment: HTT_TEST_SEED (printed), HTT_TEST_STEPS (statements over all runs).
 */
#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TWIN_STEPS_DEFAULT 60000
#define TWIN_STEPS_LONG 1000000
#define TWIN_SQL_SIZE 4096

/* A declaration to try. Columns are named k (the key) and others; see twin_column. */
typedef struct twin_kind {
    const char *name;      /* of the run */
    const char *arguments; /* behind the file's name in USING htt(...), "" = none */
    const char *columns;   /* of the ordinary table */
    const char *key;       /* name of the key column */
    const char *others[4]; /* names of the others, NULL = no more */
    bool text_key;         /* the key is TEXT or untyped: numbers from columns are left out */
} twin_kind;

static const twin_kind twin_kinds[] = {
    {"untyped", "", "key PRIMARY KEY, value", "key", {"value"}, true},
    {"integer key",
     ", k INTEGER PRIMARY KEY, a TEXT, b REAL NOT NULL, c",
     "k INTEGER PRIMARY KEY, a TEXT, b REAL NOT NULL, c",
     "k",
     {"a", "b", "c"},
     false},
    {"text key in the middle",
     ", a INT, k TEXT PRIMARY KEY, b NUMERIC",
     "a INT, k TEXT PRIMARY KEY, b NUMERIC",
     "k",
     {"a", "b"},
     true},
    {"real key",
     ", k REAL PRIMARY KEY, a BLOB NOT NULL",
     "k REAL PRIMARY KEY, a BLOB NOT NULL",
     "k",
     {"a"},
     false},
    {"numeric key",
     ", a COLLATE NOCASE, k DECIMAL(10,2), b VARCHAR(20), PRIMARY KEY(k)",
     "a COLLATE NOCASE, k DECIMAL(10,2), b VARCHAR(20), PRIMARY KEY(k)",
     "k",
     {"a", "b"},
     false},
};

typedef struct twin {
    const twin_kind *kind;    /* what is declared */
    sqlite3 *htt;             /* database with the htt table */
    sqlite3 *plain;           /* database with the ordinary one */
    uint64_t random;          /* state of the generator */
    sqlite3_stmt *readers[2]; /* a SELECT on t that is kept open in both, NULL = none */
    char sql[TWIN_SQL_SIZE];  /* the statement being made */
    size_t size;              /* bytes in it */
    char trace[64][512];      /* the last statements */
    unsigned step;            /* statements so far */
} twin;

/* ----------------------------------------------------------------- random */

static uint64_t twin_random(twin *t) {
    t->random ^= t->random << 13;
    t->random ^= t->random >> 7;
    t->random ^= t->random << 17;
    return t->random;
}

static unsigned twin_below(twin *t, unsigned limit) {
    return (unsigned)((twin_random(t) >> 20) % limit);
}

static void twin_add(twin *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void twin_add(twin *t, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    const int size = vsnprintf(t->sql + t->size, sizeof t->sql - t->size, format, arguments);
    va_end(arguments);
    assert_true(size >= 0 && (size_t)size < sizeof t->sql - t->size);
    t->size += (size_t)size;
}

static void twin_add_value(twin *t) {
    static const char *const values[] = {"NULL",
                                         "0",
                                         "1",
                                         "-1",
                                         "127",
                                         "128",
                                         "1.0",
                                         "1.5",
                                         "-0.0",
                                         "0.0",
                                         "1e300",
                                         "-1e300",
                                         "9007199254740993",
                                         "9007199254740992.0",
                                         "9223372036854775807",
                                         "9e999",
                                         "-9e999",
                                         "-9223372036854775808",
                                         "9223372036854775808",
                                         "-9223372036854775808.0",
                                         "''",
                                         "'a'",
                                         "'A'",
                                         "' 12 '",
                                         "'1e2'",
                                         "'0x10'",
                                         "'1_0'",
                                         "'5'",
                                         "'05'",
                                         "'5.0'",
                                         "'-0.0'",
                                         "'1e400'",
                                         "'9007199254740993'",
                                         "'9007199254740993.0'",
                                         "'abc def'",
                                         "x''",
                                         "x'00'",
                                         "x'61'",
                                         "x'35'",
                                         "char(97,0,98)",
                                         "char(8364,128512)",
                                         "zeroblob(300)",
                                         "zeroblob(9000)",
                                         "printf('%5000d', 7)",
                                         "1e2",
                                         "0.1",
                                         "true"};
    twin_add(t, "%s", values[twin_below(t, sizeof values / sizeof values[0])]);
}

/* Keys are few, so that they meet. */
static void twin_add_key(twin *t) {
    static const char *const odd[] = {"NULL",
                                      "1.0",
                                      "2.5",
                                      "'1'",
                                      "'2.50'",
                                      "x'31'",
                                      "''",
                                      "x''",
                                      "'a'",
                                      "'A'",
                                      "'abc'",
                                      "-0.0",
                                      "9007199254740993",
                                      "9007199254740992.0",
                                      "9223372036854775807",
                                      "9223372036854775808",
                                      "-9223372036854775808",
                                      "-9223372036854775808.0",
                                      "' 3 '",
                                      "'3e0'",
                                      "'0x3'",
                                      "9e999",
                                      "zeroblob(2000)",
                                      "char(97,0)",
                                      "char(97)",
                                      "printf('%600d', 1)"};
    const unsigned which = twin_below(t, 10);
    if (which < 6) {
        twin_add(t, "%u", twin_below(t, 30));
    } else if (which < 8) {
        twin_add(t, "'k%u'", twin_below(t, 12));
    } else {
        twin_add(t, "%s", odd[twin_below(t, sizeof odd / sizeof odd[0])]);
    }
}

static const char *twin_other(twin *t) {
    unsigned count = 0;
    while (count < 4 && t->kind->others[count] != NULL) {
        count++;
    }
    return t->kind->others[twin_below(t, count)];
}

/* ------------------------------------------------------------- statements */

static const char *twin_or(twin *t) {
    static const char *const clauses[] = {"",           "",          "",         " OR REPLACE",
                                          " OR IGNORE", " OR ABORT", " OR FAIL", " OR ROLLBACK"};
    const unsigned which = twin_below(t, 8);
    if (which == 7 && twin_below(t, 3) != 0) {
        return ""; /* transactions should live for a while */
    }
    return clauses[which];
}

/* "(key, other...)" and then a row in that order; values may be missing. */
static void twin_add_columns(twin *t) {
    twin_add(t, "(%s", t->kind->key);
    for (int i = 0; i < 4 && t->kind->others[i] != NULL; i++) {
        twin_add(t, ", %s", t->kind->others[i]);
    }
    twin_add(t, ")");
}

static void twin_add_row(twin *t) {
    twin_add(t, "(");
    twin_add_key(t);
    for (int i = 0; i < 4 && t->kind->others[i] != NULL; i++) {
        twin_add(t, ", ");
        twin_add_value(t);
    }
    twin_add(t, ")");
}

static void twin_make_insert(twin *t) {
    twin_add(t, "INSERT%s INTO t", twin_or(t));
    if (twin_below(t, 8) == 0) {
        twin_add(t, "(%s) VALUES (", t->kind->key);
        twin_add_key(t);
        twin_add(t, ")");
        return;
    }
    twin_add_columns(t);
    twin_add(t, " VALUES ");
    const unsigned rows = twin_below(t, 3) == 0 ? 1 + twin_below(t, 12) : 1;
    for (unsigned i = 0; i < rows; i++) {
        twin_add(t, i == 0 ? "" : ", ");
        twin_add_row(t);
    }
}

/* From itself or from source, an ordinary table. */
static void twin_make_insert_select(twin *t) {
    static const char *const clauses[] = {"", " OR REPLACE", " OR IGNORE", " OR ABORT"};
    const char *const key = t->kind->key;
    const bool self = twin_below(t, 2) == 0;
    twin_add(t, "INSERT%s INTO t", clauses[twin_below(t, 4)]);
    twin_add_columns(t);
    if (self) {
        twin_add(t, " SELECT %s + 100", key);
    } else {
        twin_add(t, " SELECT x");
    }
    for (int i = 0; i < 4 && t->kind->others[i] != NULL; i++) {
        twin_add(t, ", %s", self ? t->kind->others[i] : "y");
    }
    if (self) {
        twin_add(t, " FROM t WHERE typeof(%s) = 'integer' AND %s < %u", key, key,
                 twin_below(t, 40));
    } else {
        /* In the order of rowid: which row of source comes first decides. */
        twin_add(t, " FROM source WHERE rowid %% 4 = %u ORDER BY rowid", twin_below(t, 4));
    }
}

static void twin_make_update(twin *t) {
    const char *const key = t->kind->key;
    const unsigned which = twin_below(t, 6);
    switch (which) {
    case 0: /* one row gets another key */
        twin_add(t, "UPDATE%s t SET %s = ", twin_or(t), key);
        twin_add_key(t);
        if (twin_below(t, 2) == 0) {
            twin_add(t, ", %s = ", twin_other(t));
            twin_add_value(t);
        }
        twin_add(t, " WHERE %s = ", key);
        twin_add_key(t);
        return;
    case 1: { /* many rows get keys that none of them has */
        static const char *const clauses[] = {"", " OR IGNORE", " OR REPLACE", " OR ABORT"};
        twin_add(t,
                 "UPDATE%s t SET %s = %s + 1000 WHERE typeof(%s) = 'integer' AND %s >= 0 "
                 "AND %s < %u",
                 clauses[twin_below(t, 4)], key, key, key, key, key, twin_below(t, 25));
        return;
    }
    case 2: /* the same key in another form */
        twin_add(t, "UPDATE t SET %s = CAST(%s AS REAL) WHERE typeof(%s) = 'integer' AND %s < 9",
                 key, key, key, key);
        return;
    case 3: /* values by key */
        twin_add(t, "UPDATE%s t SET %s = ", twin_or(t), twin_other(t));
        twin_add_value(t);
        twin_add(t, " WHERE %s IN (", key);
        twin_add_key(t);
        twin_add(t, ", ");
        twin_add_key(t);
        twin_add(t, ")");
        return;
    default: /* values by value; NOT NULL fails for the first row or none */
        twin_add(t, "UPDATE t SET %s = ", twin_other(t));
        twin_add_value(t);
        twin_add(t, " WHERE %s %s ", twin_other(t), twin_below(t, 2) == 0 ? "=" : ">");
        twin_add_value(t);
    }
}

static void twin_make_delete(twin *t) {
    const char *const key = t->kind->key;
    switch (twin_below(t, 5)) {
    case 0:
        twin_add(t, "DELETE FROM t WHERE %s = ", twin_other(t));
        twin_add_value(t);
        return;
    case 1:
        twin_add(t, "DELETE FROM t WHERE %s IN (SELECT %s FROM t WHERE typeof(%s) = 'text')", key,
                 key, twin_other(t));
        return;
    case 2:
        if (twin_below(t, 12) == 0) {
            twin_add(t, "DELETE FROM t");
            return;
        }
        twin_add(t, "DELETE FROM t WHERE %s > %u AND typeof(%s) = 'integer'", key,
                 500 + twin_below(t, 1000), key);
        return;
    default: twin_add(t, "DELETE FROM t WHERE %s = ", key); twin_add_key(t);
    }
}

static void twin_make_select(twin *t) {
    const char *const key = t->kind->key;
    switch (twin_below(t, 8)) {
    case 0: twin_add(t, "SELECT count(*) FROM t"); return;
    case 1:
        twin_add(t, "SELECT %s, typeof(%s) FROM t WHERE %s IN (", key, key, key);
        for (unsigned i = twin_below(t, 30); i > 0; i--) {
            twin_add_key(t);
            twin_add(t, ", ");
        }
        twin_add_key(t);
        twin_add(t, ") ORDER BY typeof(%s), %s", key, key);
        return;
    case 2:
        twin_add(t, "SELECT * FROM t WHERE %s = (SELECT %s FROM t ORDER BY 1 LIMIT 1 OFFSET %u)",
                 key, key, twin_below(t, 20));
        return;
    case 3:
        twin_add(t, "SELECT count(*), count(DISTINCT %s), total(length(%s)) FROM t", twin_other(t),
                 twin_other(t));
        return;
    case 4: /* a join; see twin_kind.text_key */
        twin_add(t,
                 "SELECT source.rowid, t.* FROM source JOIN t ON t.%s = source.x%s "
                 "ORDER BY source.rowid, typeof(t.%s), t.%s",
                 key,
                 t->kind->text_key       ? ""
                 : twin_below(t, 2) == 0 ? ""
                                         : "n",
                 key, key);
        return;
    case 5:
        twin_add(t, "SELECT %s FROM t WHERE %s = ", key, key);
        twin_add_key(t);
        twin_add(t, " COLLATE NOCASE ORDER BY 1");
        return;
    case 6:
        twin_add(t, "SELECT min(%s), max(%s) FROM t WHERE %s IS NOT NULL", key, key, twin_other(t));
        return;
    default: twin_add(t, "SELECT *, typeof(%s) FROM t WHERE %s = ", key, key); twin_add_key(t);
    }
}

static void twin_make_transaction(twin *t) {
    const unsigned name = twin_below(t, 3);
    switch (twin_below(t, 9)) {
    case 0:
    case 1: twin_add(t, "BEGIN"); return;
    case 2: twin_add(t, "COMMIT"); return;
    case 3: twin_add(t, twin_below(t, 2) == 0 ? "ROLLBACK" : "COMMIT"); return;
    case 4:
    case 5: twin_add(t, "SAVEPOINT s%u", name); return;
    case 6:
    case 7: twin_add(t, "ROLLBACK TO s%u", name); return;
    default: twin_add(t, "RELEASE s%u", name);
    }
}

static void twin_close_readers(twin *t) {
    for (int i = 0; i < 2; i++) {
        sqlite3_finalize(t->readers[i]);
        t->readers[i] = NULL;
    }
}

/*
 * A SELECT on t that is open while t changes. What it gives is not compared: an ordinary table
 * shows some changes and some not. That it is open changes how SQLite runs other statements.
 */
static void twin_step_readers(twin *t) {
    sqlite3 *const dbs[2] = {t->htt, t->plain};
    if (t->readers[0] == NULL && twin_below(t, 2) == 0) {
        for (int i = 0; i < 2; i++) {
            (void)sqlite3_prepare_v2(dbs[i], "SELECT * FROM t", -1, &t->readers[i], NULL);
        }
    }
    for (int i = 0; i < 2; i++) {
        if (t->readers[i] != NULL && sqlite3_step(t->readers[i]) != SQLITE_ROW) {
            twin_close_readers(t);
        }
    }
    if (twin_below(t, 10) == 0) {
        twin_close_readers(t);
    }
}

static void twin_make_other(twin *t) {
    switch (twin_below(t, 5)) {
    case 0: twin_add(t, "INSERT INTO log(x) VALUES (%u)", twin_below(t, 40)); return;
    case 1: twin_add(t, "DELETE FROM source WHERE rowid > 40"); return;
    case 2: /* a trigger writes to t */
        twin_add(t, "INSERT INTO pulled(x) VALUES (");
        twin_add_key(t);
        twin_add(t, ")");
        return;
    default:
        twin_add(t, "INSERT INTO source(x, y) VALUES (");
        twin_add_key(t);
        twin_add(t, ", ");
        twin_add_value(t);
        twin_add(t, ")");
    }
}

/* ---------------------------------------------------------------- compare */

static void twin_report(const twin *t, const char *what, const char *htt, const char *plain) {
    fprintf(stderr, "%s, step %u: %s differs\n", t->kind->name, t->step, what);
    fprintf(stderr, "  htt:\n%s\n  ordinary:\n%s\n  last statements:\n", htt, plain);
    for (unsigned i = t->step > 40 ? t->step - 40 : 1; i <= t->step; i++) {
        fprintf(stderr, "    %s;\n", t->trace[i % 64]);
    }
    fail();
}

static void twin_compare_text(const twin *t, const char *what, char *htt, char *plain) {
    if (strcmp(htt, plain) != 0) {
        twin_report(t, what, htt, plain);
    }
    sqlite3_free(htt);
    sqlite3_free(plain);
}

static void twin_compare_number(const twin *t, const char *what, sqlite3_int64 htt,
                                sqlite3_int64 plain) {
    if (htt != plain) {
        twin_compare_text(t, what, sqlite3_mprintf("%lld", htt), sqlite3_mprintf("%lld", plain));
    }
}

/* Runs one statement on both, which differ in the text only where `plain` is given. */
static void twin_run(twin *t, const char *htt, const char *plain) {
    t->step++;
    snprintf(t->trace[t->step % 64], sizeof t->trace[0], "%s", htt);
    char *const a = fixture_query(t->htt, htt);
    char *const b = fixture_query(t->plain, plain);
    twin_compare_text(t, "the outcome", a, b);
    if (strcmp(htt, plain) == 0) {
        twin_compare_number(t, "changes()", sqlite3_changes64(t->htt), sqlite3_changes64(t->plain));
    }
    twin_compare_number(t, "last_insert_rowid()", sqlite3_last_insert_rowid(t->htt),
                        sqlite3_last_insert_rowid(t->plain));
    twin_compare_number(t, "autocommit", sqlite3_get_autocommit(t->htt),
                        sqlite3_get_autocommit(t->plain));
}

static void twin_compare_rows(twin *t) {
    char sql[256];
    snprintf(sql, sizeof sql,
             "SELECT *, typeof(%s), hex(%s) FROM t ORDER BY typeof(%s), %s; SELECT count(*) FROM "
             "log; SELECT count(*) FROM source",
             t->kind->key, t->kind->key, t->kind->key, t->kind->key);
    twin_compare_text(t, "what the tables hold", fixture_query(t->htt, sql),
                      fixture_query(t->plain, sql));
}

/* --------------------------------------------------------------------- runs */

/* Creating and dropping writes to htt_store, which changes() shows. */
static void twin_reset_changes(twin *t) {
    sqlite3_free(fixture_query(t->htt, "DELETE FROM log WHERE 0"));
    sqlite3_free(fixture_query(t->plain, "DELETE FROM log WHERE 0"));
}

static bool twin_exists(const twin *t) {
    return sqlite3_table_column_metadata(t->plain, "main", "t", NULL, NULL, NULL, NULL, NULL,
                                         NULL) == SQLITE_OK;
}

/* DROP and CREATE; the ordinary table is kept under another name as the file is. */
static void twin_make_ddl(twin *t) {
    char create[512];
    twin_close_readers(t); /* they would lock the table */
    const unsigned which = twin_below(t, 3);
    if (which == 0) {
        twin_run(t, "ALTER TABLE t RENAME TO u", "ALTER TABLE t RENAME TO u");
        twin_run(t, "ALTER TABLE u RENAME TO t", "ALTER TABLE u RENAME TO t");
        return;
    }
    snprintf(create, sizeof create, "CREATE VIRTUAL TABLE t USING htt('t.htt', sync=off%s)",
             t->kind->arguments);
    if (twin_exists(t)) {
        twin_run(t, "DROP TABLE t", "ALTER TABLE t RENAME TO t_file");
    } else {
        twin_run(t, create, "ALTER TABLE t_file RENAME TO t");
    }
    twin_reset_changes(t);
}

static void twin_make_statement(twin *t) {
    const unsigned which = twin_below(t, 100);
    t->size = 0;
    t->sql[0] = '\0';
    if (!twin_exists(t) && twin_below(t, 4) == 0) {
        twin_make_ddl(t);
        return;
    }
    if (twin_below(t, 6) == 0) {
        twin_step_readers(t);
    }
    if (which < 28) {
        twin_make_insert(t);
    } else if (which < 33) {
        twin_make_insert_select(t);
    } else if (which < 48) {
        twin_make_update(t);
    } else if (which < 58) {
        twin_make_delete(t);
    } else if (which < 68) {
        twin_make_select(t);
    } else if (which < 90) {
        twin_make_transaction(t);
    } else if (which < 95) {
        twin_make_other(t);
    } else {
        twin_make_ddl(t);
        return;
    }
    twin_run(t, t->sql, t->sql);
}

static sqlite3 *twin_open(const char *folder, const char *name, const char *mode,
                          const char *encoding) {
    char path[512];
    char sql[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    sqlite3 *const db = fixture_open_path(path);
    snprintf(sql, sizeof sql,
             "PRAGMA encoding = '%s'; PRAGMA journal_mode = %s; PRAGMA synchronous = OFF;"
             "PRAGMA legacy_alter_table = ON", /* triggers keep naming t */
             encoding, mode);
    run(db, sql);
    run(db, "CREATE TABLE log(x); CREATE TABLE pulled(x);"
            "CREATE TABLE source(x, y, xn INTEGER AS (CAST(x AS INTEGER)))");
    return db;
}

static void twin_start(twin *t) {
    char sql[512];
    snprintf(sql, sizeof sql, "CREATE VIRTUAL TABLE t USING htt('t.htt', sync=off%s)",
             t->kind->arguments);
    run(t->htt, sql);
    snprintf(sql, sizeof sql, "CREATE TABLE t(%s) WITHOUT ROWID", t->kind->columns);
    run(t->plain, sql);
    snprintf(sql, sizeof sql,
             "CREATE TRIGGER pull AFTER INSERT ON pulled BEGIN "
             "INSERT OR REPLACE INTO log(rowid, x) VALUES (77, new.x); "
             "UPDATE t SET %s = new.x WHERE %s = new.x; "
             "DELETE FROM t WHERE %s = 3; END",
             t->kind->others[0], t->kind->key, t->kind->key);
    run(t->htt, sql);
    run(t->plain, sql);
    twin_reset_changes(t);
}

static void twin_go(const twin_kind *kind, const char *mode, const char *encoding, uint64_t seed,
                    unsigned steps) {
    char folder[256];
    twin *const t = calloc(1, sizeof *t);
    assert_non_null(t);
    fixture_make_folder(folder, sizeof folder);
    t->kind = kind;
    t->random = seed | 1;
    t->htt = twin_open(folder, "htt.db", mode, encoding);
    t->plain = twin_open(folder, "plain.db", mode, encoding);
    twin_start(t);
    while (t->step < steps) {
        twin_make_statement(t);
        twin_compare_rows(t);
    }
    twin_close_readers(t);
    assert_int_equal(sqlite3_close(t->htt), SQLITE_OK);
    assert_int_equal(sqlite3_close(t->plain), SQLITE_OK);
    fixture_remove_folder(folder);
    free(t);
}

static void test_twin__random_statements_have_the_same_outcome(void **state) {
    static const char *const modes[] = {"wal", "delete"};
    const char *const seed_text = getenv("HTT_TEST_SEED");
    const char *const steps_text = getenv("HTT_TEST_STEPS");
    const size_t kinds = sizeof twin_kinds / sizeof twin_kinds[0];
    const uint64_t seed = seed_text != NULL ? strtoull(seed_text, NULL, 10) : (uint64_t)time(NULL);
    unsigned steps = getenv("HTT_TEST_LONG") != NULL ? TWIN_STEPS_LONG : TWIN_STEPS_DEFAULT;
    (void)state;
    if (steps_text != NULL) {
        steps = (unsigned)strtoul(steps_text, NULL, 10);
    }
    print_message("HTT_TEST_SEED=%llu HTT_TEST_STEPS=%u\n", (unsigned long long)seed, steps);
    for (size_t i = 0; i < kinds * 2; i++) {
        const char *const encoding = i % 3 == 2 ? "UTF-16le" : "UTF-8";
        uint64_t mixed = (seed + i) * 0x9e3779b97f4a7c15u;
        mixed ^= mixed >> 29;
        twin_go(&twin_kinds[i % kinds], modes[i / kinds], encoding, mixed,
                steps / (unsigned)(kinds * 2));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_twin__random_statements_have_the_same_outcome),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
