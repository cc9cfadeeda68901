/* SPDX-License-Identifier: MIT */
/*
 * Random statements about one of the twin's tables. None is made whose outcome depends on the order
 * in which rows are visited.
 */
#include "twin.h"

#include <string.h>

static void statement_add(twin *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void statement_add(twin *t, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    const int size = vsnprintf(t->sql + t->size, sizeof t->sql - t->size, format, arguments);
    va_end(arguments);
    assert_true(size >= 0 && (size_t)size < sizeof t->sql - t->size);
    t->size += (size_t)size;
}

static void statement_add_value(twin *t) {
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
    statement_add(t, "%s", values[twin_below(t, sizeof values / sizeof values[0])]);
}

/* Keys are few, so that they meet. */
static void statement_add_key(twin *t) {
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
        statement_add(t, "%u", twin_below(t, 30));
    } else if (which < 8) {
        statement_add(t, "'k%u'", twin_below(t, 12));
    } else {
        statement_add(t, "%s", odd[twin_below(t, sizeof odd / sizeof odd[0])]);
    }
}

/* Any of the tables, mostly the same. */
static const char *statement_table(twin *t) {
    if (!t->setup.other || twin_below(t, 4) != 0) {
        return t->table;
    }
    t->mixed = true;
    return strcmp(t->table, "t") == 0 ? "other.t2" : "t";
}

static const char *statement_other(twin *t) {
    unsigned count = 0;
    while (count < 4 && t->kind->others[count] != NULL) {
        count++;
    }
    return t->kind->others[twin_below(t, count)];
}

/* ------------------------------------------------------------- statements */

static const char *statement_or(twin *t) {
    static const char *const clauses[] = {"",           "",          "",         " OR REPLACE",
                                          " OR IGNORE", " OR ABORT", " OR FAIL", " OR ROLLBACK"};
    const unsigned which = twin_below(t, 8);
    if (which == 7 && twin_below(t, 3) != 0) {
        return ""; /* transactions should live for a while */
    }
    return clauses[which];
}

/* "(key, other...)" and then a row in that order; values may be missing. */
static void statement_add_columns(twin *t) {
    statement_add(t, "(%s", t->kind->key);
    for (int i = 0; i < 4 && t->kind->others[i] != NULL; i++) {
        statement_add(t, ", %s", t->kind->others[i]);
    }
    statement_add(t, ")");
}

static void statement_add_row(twin *t) {
    statement_add(t, "(");
    statement_add_key(t);
    for (int i = 0; i < 4 && t->kind->others[i] != NULL; i++) {
        statement_add(t, ", ");
        statement_add_value(t);
    }
    statement_add(t, ")");
}

static void statement_insert(twin *t) {
    statement_add(t, "INSERT%s INTO %s", statement_or(t), t->table);
    if (twin_below(t, 8) == 0) {
        statement_add(t, "(%s) VALUES (", t->kind->key);
        statement_add_key(t);
        statement_add(t, ")");
        return;
    }
    statement_add_columns(t);
    statement_add(t, " VALUES ");
    const unsigned rows = twin_below(t, 3) == 0 ? 1 + twin_below(t, 12) : 1;
    for (unsigned i = 0; i < rows; i++) {
        statement_add(t, i == 0 ? "" : ", ");
        statement_add_row(t);
    }
}

/* From itself or from source, an ordinary table. */
static void statement_insert_select(twin *t) {
    static const char *const clauses[] = {"", " OR REPLACE", " OR IGNORE", " OR ABORT"};
    const char *const key = t->kind->key;
    const bool self = twin_below(t, 2) == 0;
    statement_add(t, "INSERT%s INTO %s", clauses[twin_below(t, 4)], t->table);
    statement_add_columns(t);
    if (self) {
        statement_add(t, " SELECT %s + 100", key);
    } else {
        statement_add(t, " SELECT x");
    }
    for (int i = 0; i < 4 && t->kind->others[i] != NULL; i++) {
        statement_add(t, ", %s", self ? t->kind->others[i] : "y");
    }
    if (self) {
        statement_add(t, " FROM %s WHERE typeof(%s) = 'integer' AND %s < %u", statement_table(t),
                      key, key, twin_below(t, 40));
    } else {
        /* In the order of rowid: which row of source comes first decides. */
        statement_add(t, " FROM source WHERE rowid %% 4 = %u ORDER BY rowid", twin_below(t, 4));
    }
}

/* Many rows: changes turn from rows to pages in the midst of the statement, or it fails there. */
static void statement_insert_many(twin *t) {
    static const char *const values[] = {"i", "'row ' || i", "zeroblob(i % 7 * 100)"};
    const unsigned first = 2000 + twin_below(t, 300);
    const unsigned count = 5 + twin_below(t, twin_below(t, 4) == 0 ? 150 : 40);
    const unsigned null = twin_below(t, 2) == 0 ? 0 : first + twin_below(t, count);
    statement_add(t, "INSERT%s INTO %s", statement_or(t), t->table);
    statement_add_columns(t);
    statement_add(t,
                  " WITH RECURSIVE n(i) AS (VALUES(%u) UNION ALL SELECT i + 1 FROM n WHERE i < %u) "
                  "SELECT i",
                  first, first + count);
    for (int i = 0; i < 4 && t->kind->others[i] != NULL; i++) {
        statement_add(t, ", CASE WHEN i <> %u THEN %s END", null, values[twin_below(t, 3)]);
    }
    statement_add(t, " FROM n");
}

static void statement_update(twin *t) {
    const char *const key = t->kind->key;
    const unsigned which = twin_below(t, 6);
    switch (which) {
    case 0: /* one row gets another key */
        statement_add(t, "UPDATE%s %s SET %s = ", statement_or(t), t->table, key);
        statement_add_key(t);
        if (twin_below(t, 2) == 0) {
            statement_add(t, ", %s = ", statement_other(t));
            statement_add_value(t);
        }
        statement_add(t, " WHERE %s = ", key);
        statement_add_key(t);
        return;
    case 1: { /* many rows get keys that none of them has */
        static const char *const clauses[] = {"", " OR IGNORE", " OR REPLACE", " OR ABORT"};
        statement_add(t,
                      "UPDATE%s %s SET %s = %s + 1000 WHERE typeof(%s) = 'integer' AND %s >= 0 "
                      "AND %s < %u",
                      clauses[twin_below(t, 4)], t->table, key, key, key, key, key,
                      twin_below(t, 25));
        return;
    }
    case 2: /* the same key in another form */
        statement_add(t, "UPDATE %s SET %s = CAST(%s AS REAL)", t->table, key, key);
        if (t->setup.pairs > 1) { /* a row that stays as it is is not written, others see that */
            statement_add(t, ", %s = ", statement_other(t));
            statement_add_value(t);
        }
        statement_add(t, " WHERE typeof(%s) = 'integer' AND %s < 9", key, key);
        return;
    case 3: /* values by key */
        statement_add(t, "UPDATE%s %s SET %s = ", statement_or(t), t->table, statement_other(t));
        statement_add_value(t);
        statement_add(t, " WHERE %s IN (", key);
        statement_add_key(t);
        statement_add(t, ", ");
        statement_add_key(t);
        statement_add(t, ")");
        return;
    default: /* values by value; NOT NULL fails for the first row or none */
        statement_add(t, "UPDATE %s SET %s = ", t->table, statement_other(t));
        statement_add_value(t);
        statement_add(t, " WHERE %s %s ", statement_other(t), twin_below(t, 2) == 0 ? "=" : ">");
        statement_add_value(t);
    }
}

static void statement_delete(twin *t) {
    const char *const key = t->kind->key;
    switch (twin_below(t, 5)) {
    case 0:
        statement_add(t, "DELETE FROM %s WHERE %s = ", t->table, statement_other(t));
        statement_add_value(t);
        return;
    case 1:
        statement_add(t, "DELETE FROM %s WHERE %s IN (SELECT %s FROM %s WHERE typeof(%s) = 'text')",
                      t->table, key, key, statement_table(t), statement_other(t));
        return;
    case 2:
        if (twin_below(t, 12) == 0) {
            statement_add(t, "DELETE FROM %s", t->table);
            return;
        }
        statement_add(t, "DELETE FROM %s WHERE %s > %u AND typeof(%s) = 'integer'", t->table, key,
                      500 + twin_below(t, 3000), key);
        return;
    default: statement_add(t, "DELETE FROM %s WHERE %s = ", t->table, key); statement_add_key(t);
    }
}

static void statement_select(twin *t) {
    const char *const key = t->kind->key;
    switch (twin_below(t, 8)) {
    case 0: statement_add(t, "SELECT count(*) FROM %s", t->table); return;
    case 1:
        statement_add(t, "SELECT %s, typeof(%s) FROM %s WHERE %s IN (", key, key, t->table, key);
        for (unsigned i = twin_below(t, 30); i > 0; i--) {
            statement_add_key(t);
            statement_add(t, ", ");
        }
        statement_add_key(t);
        statement_add(t, ") ORDER BY typeof(%s), %s", key, key);
        return;
    case 2:
        statement_add(
            t, "SELECT * FROM %s WHERE %s = (SELECT %s FROM %s ORDER BY 1 LIMIT 1 OFFSET %u)",
            t->table, key, key, statement_table(t), twin_below(t, 20));
        return;
    case 3:
        statement_add(t, "SELECT count(*), count(DISTINCT %s), total(length(%s)) FROM %s",
                      statement_other(t), statement_other(t), t->table);
        return;
    case 4: /* a join; see twin_kind.text_key */
        statement_add(t,
                      "SELECT source.rowid, a.* FROM source JOIN %s AS a ON a.%s = source.x%s "
                      "ORDER BY source.rowid, typeof(a.%s), a.%s",
                      t->table, key,
                      t->kind->text_key       ? ""
                      : twin_below(t, 2) == 0 ? ""
                                              : "n",
                      key, key);
        return;
    case 5:
        statement_add(t, "SELECT %s FROM %s WHERE %s = ", key, t->table, key);
        statement_add_key(t);
        statement_add(t, " COLLATE NOCASE ORDER BY 1");
        return;
    case 6:
        statement_add(t, "SELECT min(%s), max(%s) FROM %s WHERE %s IS NOT NULL", key, key, t->table,
                      statement_other(t));
        return;
    default:
        statement_add(t, "SELECT *, typeof(%s) FROM %s WHERE %s = ", key, t->table, key);
        statement_add_key(t);
    }
}

void twin_statement(twin *t) {
    const unsigned which = twin_below(t, 68);
    t->size = 0;
    t->sql[0] = '\0';
    t->mixed = false;
    if (which < 26) {
        statement_insert(t);
    } else if (which < 29) {
        statement_insert_many(t);
    } else if (which < 33) {
        statement_insert_select(t);
    } else if (which < 48) {
        statement_update(t);
    } else if (which < 58) {
        statement_delete(t);
    } else {
        statement_select(t);
    }
}
