/* SPDX-License-Identifier: MIT */
/*
 * Looking at a table before a repository works with it, so that what does not fit is said once, by
 * name, and not by a wrong answer later.
 *
 *   the key column   is alone a PRIMARY KEY or UNIQUE, compares as BINARY, and its affinity leaves
 *                    keys of key_type as they are
 *   all columns      are there
 *   the table        is an ordinary table, or a virtual one USING htt
 */
#include <assert.h>
#include <ctype.h>
#include <string.h>

#include "sql/base/statements.h"
#include "sql/repo/repo.h"

typedef enum inspect_sql {
    INSPECT_TABLE,
    INSPECT_COLUMNS,
    INSPECT_UNIQUE,
    INSPECT_SQL_COUNT
} inspect_sql;

static const char *const inspect_texts[] = {
    [INSPECT_TABLE] = ("SELECT type, rootpage, sql FROM {schema}.sqlite_schema "
                       "WHERE name = ?1 COLLATE NOCASE AND type IN ('table', 'view')"),
    [INSPECT_COLUMNS] = "SELECT name, type, pk FROM pragma_table_xinfo(?1, ?2)",
    [INSPECT_UNIQUE] = ("SELECT 1 FROM pragma_index_list(?1, ?2) AS l "
                        "JOIN pragma_index_info(l.name, ?2) AS i "
                        "WHERE l.\"unique\" AND NOT l.partial GROUP BY l.name "
                        "HAVING count(*) = 1 AND max(i.name) = ?3 COLLATE NOCASE"),
};
static_assert(sizeof inspect_texts / sizeof inspect_texts[0] == INSPECT_SQL_COUNT, "one each");
static const htt_statement_table inspect_table = {"looking at a table", inspect_texts,
                                                  INSPECT_SQL_COUNT, NULL};

static htt_rc inspect_fail(htt_db *db, const htt_shape *shape, htt_rc rc, const char *what,
                           const char *name, const char *then) {
    return htt_db_fail(db, rc, "%s.%s: %s%s%s", db->schema, shape->table, what, name, then);
}

/* ---------------------------------------------------------------- table */

/* Behind a name, quoted or bare. */
static const char *inspect_skip_name(const char *at) {
    static const char opening[] = "\"'`[";
    static const char closing[] = "\"'`]";
    const char *const quote = *at == '\0' ? NULL : strchr(opening, *at);
    if (quote == NULL) {
        return at + strcspn(at, " \t\r\n(");
    }
    const char end = closing[quote - opening];
    for (at++; *at != '\0'; at++) {
        if (*at == end) {
            if (at[1] != end || end == ']') {
                return at + 1;
            }
            at++;
        }
    }
    return at;
}

/* CREATE VIRTUAL TABLE name USING htt... */
static bool inspect_is_htt(const char *sql) {
    static const char head[] = "CREATE VIRTUAL TABLE ";
    static const char space[] = " \t\r\n";
    if (sqlite3_strnicmp(sql, head, (int)strlen(head)) != 0) {
        return false;
    }
    const char *at = inspect_skip_name(sql + strlen(head));
    at += strspn(at, space);
    if (sqlite3_strnicmp(at, "USING", 5) != 0) {
        return false;
    }
    at += 5;
    at += strspn(at, space);
    at += *at != '\0' && strchr("\"'`[", *at) != NULL ? 1 : 0;
    return sqlite3_strnicmp(at, "htt", 3) == 0 && !isalnum((unsigned char)at[3]) && at[3] != '_';
}

static htt_rc inspect_kind(htt_db *db, const htt_shape *shape, htt_repo_kind *kind_out) {
    sqlite3_stmt *statement;
    bool row = false;
    htt_rc rc = htt_statement_get(db, &inspect_table, INSPECT_TABLE, &statement);
    if (rc == HTT_OK) {
        rc = htt_statement_bind(db, &inspect_table, statement, "t", shape->table);
    }
    if (rc == HTT_OK) {
        rc = htt_statement_step(db, &inspect_table, statement, &row);
    }
    if (rc != HTT_OK) {
        return rc;
    }
    if (!row) {
        htt_statement_done(statement);
        return inspect_fail(db, shape, HTT_NOTFOUND, "there is no such table: create it first", "",
                            "");
    }
    const char *const sql = (const char *)sqlite3_column_text(statement, 2);
    const bool view = strcmp((const char *)sqlite3_column_text(statement, 0), "view") == 0;
    const bool virtual = !view && sqlite3_column_int64(statement, 1) == 0;
    const bool htt = virtual && sql != NULL && inspect_is_htt(sql);
    htt_statement_done(statement);
    if (view || (virtual && !htt)) {
        return inspect_fail(db, shape, HTT_MISMATCH,
                            view ? "a repository needs a table, this is a view"
                                 : "a virtual table of another module than htt",
                            "", "");
    }
    *kind_out = htt ? HTT_REPO_HTT : HTT_REPO_TABLE;
    return HTT_OK;
}

/* -------------------------------------------------------------- columns */

/* SQLite's affinity of a declared type, as far as it is asked here. */
typedef enum inspect_affinity { AFFINITY_NONE, AFFINITY_NUMBER, AFFINITY_TEXT } inspect_affinity;

static bool inspect_has(const char *type, const char *part) {
    for (; *type != '\0'; type++) {
        if (sqlite3_strnicmp(type, part, (int)strlen(part)) == 0) {
            return true;
        }
    }
    return false;
}

static inspect_affinity inspect_affinity_of(const char *type) {
    if (inspect_has(type, "INT")) {
        return AFFINITY_NUMBER;
    }
    if (inspect_has(type, "CHAR") || inspect_has(type, "CLOB") || inspect_has(type, "TEXT")) {
        return AFFINITY_TEXT;
    }
    return type[0] == '\0' || inspect_has(type, "BLOB") ? AFFINITY_NONE : AFFINITY_NUMBER;
}

static htt_rc inspect_key_type(htt_db *db, const htt_shape *shape, const char *declared) {
    const inspect_affinity affinity = inspect_affinity_of(declared);
    const bool number = shape->key_type == HTT_INTEGER || shape->key_type == HTT_REAL;
    if ((number && affinity == AFFINITY_TEXT) ||
        (shape->key_type == HTT_TEXT && affinity == AFFINITY_NUMBER)) {
        return htt_db_fail(db, HTT_TYPE,
                           "%s.%s: column %s is declared %s, which changes keys of type %s: "
                           "declare it otherwise, or say so in the spec",
                           db->schema, shape->table, shape->key_column, declared,
                           htt_type_name(shape->key_type));
    }
    return HTT_OK;
}

/* What the walk over the columns found. */
typedef struct inspect_found {
    uint32_t wanted;   /* columns of the shape, the key and the version among them */
    uint32_t all;      /* columns of the table */
    uint32_t primary;  /* columns of its primary key */
    bool key;          /* the key column is there */
    bool key_primary;  /* and is of the primary key */
    char declared[64]; /* its type */
} inspect_found;

static bool inspect_names(const htt_shape *shape, const char *name) {
    bool named = sqlite3_stricmp(name, shape->key_column) == 0 ||
                 (shape->version_column != NULL &&
                  sqlite3_stricmp(name, shape->version_column) == 0);
    for (uint32_t i = 0; i < shape->column_count && !named; i++) {
        named = sqlite3_stricmp(name, shape->columns[i]) == 0;
    }
    return named;
}

static void inspect_column(const htt_shape *shape, sqlite3_stmt *statement, inspect_found *found) {
    const char *const name = (const char *)sqlite3_column_text(statement, 0);
    const char *const type = (const char *)sqlite3_column_text(statement, 1);
    const bool primary = sqlite3_column_int(statement, 2) > 0;
    found->all++;
    found->primary += primary ? 1 : 0;
    found->wanted += name != NULL && inspect_names(shape, name) ? 1 : 0;
    if (name != NULL && sqlite3_stricmp(name, shape->key_column) == 0) {
        found->key = true;
        found->key_primary = primary;
        sqlite3_snprintf((int)sizeof found->declared, found->declared, "%s",
                         type == NULL ? "" : type);
    }
}

static htt_rc inspect_columns(htt_db *db, const htt_shape *shape, inspect_found *found) {
    sqlite3_stmt *statement;
    bool row = true;
    htt_rc rc = htt_statement_get(db, &inspect_table, INSPECT_COLUMNS, &statement);
    if (rc == HTT_OK) {
        rc = htt_statement_bind(db, &inspect_table, statement, "tt", shape->table, db->schema);
    }
    while (rc == HTT_OK && row) {
        rc = htt_statement_step(db, &inspect_table, statement, &row);
        if (rc == HTT_OK && row) {
            inspect_column(shape, statement, found);
        }
    }
    if (rc == HTT_OK) {
        htt_statement_done(statement);
    }
    return rc;
}

/* Which one is missing. sqlite3_table_column_metadata knows each by its name. */
static htt_rc inspect_missing(htt_db *db, const htt_shape *shape, const char *name) {
    const int code = sqlite3_table_column_metadata(db->connection, db->schema, shape->table, name,
                                                   NULL, NULL, NULL, NULL, NULL);
    if (code == SQLITE_ERROR) {
        return inspect_fail(db, shape, HTT_MISMATCH, "there is no column '", name, "'");
    }
    return code == SQLITE_OK ? HTT_OK : htt_db_fail_sqlite(db, code, "looking at a table");
}

static htt_rc inspect_all_there(htt_db *db, const htt_shape *shape) {
    htt_rc rc = inspect_missing(db, shape, shape->key_column);
    if (rc == HTT_OK && shape->version_column != NULL) {
        rc = inspect_missing(db, shape, shape->version_column);
    }
    for (uint32_t i = 0; i < shape->column_count && rc == HTT_OK; i++) {
        rc = inspect_missing(db, shape, shape->columns[i]);
    }
    return rc;
}

/* ------------------------------------------------------------------ key */

static htt_rc inspect_unique(htt_db *db, const htt_shape *shape, const inspect_found *found) {
    sqlite3_stmt *statement;
    bool row = false;
    if (found->key_primary && found->primary == 1) {
        return HTT_OK;
    }
    htt_rc rc = htt_statement_get(db, &inspect_table, INSPECT_UNIQUE, &statement);
    if (rc == HTT_OK) {
        rc = htt_statement_bind(db, &inspect_table, statement, "ttt", shape->table, db->schema,
                                shape->key_column);
    }
    if (rc == HTT_OK) {
        rc = htt_statement_step(db, &inspect_table, statement, &row);
    }
    if (rc != HTT_OK) {
        return rc;
    }
    htt_statement_done(statement);
    return row ? HTT_OK
               : inspect_fail(db, shape, HTT_MISMATCH, "column ", shape->key_column,
                              " is no key: it needs PRIMARY KEY or UNIQUE, alone");
}

static htt_rc inspect_collation(htt_db *db, const htt_shape *shape) {
    const char *collation = NULL;
    const int code =
        sqlite3_table_column_metadata(db->connection, db->schema, shape->table, shape->key_column,
                                      NULL, &collation, NULL, NULL, NULL);
    if (code != SQLITE_OK) {
        return htt_db_fail_sqlite(db, code, "looking at a table");
    }
    return collation == NULL || sqlite3_stricmp(collation, "BINARY") == 0
               ? HTT_OK
               : inspect_fail(db, shape, HTT_MISMATCH, "the key's collation is ", collation,
                              ": two keys that it takes for one would be two objects; use BINARY");
}

htt_rc htt_inspect(htt_db *db, const htt_shape *shape, htt_repo_kind *kind_out, bool *covers_out) {
    inspect_found found = {0};
    htt_rc rc = inspect_kind(db, shape, kind_out);
    if (rc == HTT_OK) {
        rc = inspect_columns(db, shape, &found);
    }
    if (rc == HTT_OK) {
        rc = inspect_all_there(db, shape);
    }
    if (rc == HTT_OK && !found.key) { /* 'rowid', which has no column */
        rc = inspect_fail(db, shape, HTT_MISMATCH, "the key '", shape->key_column,
                          "' is no column of its own: declare it INTEGER PRIMARY KEY");
    }
    if (rc == HTT_OK) {
        rc = inspect_key_type(db, shape, found.declared);
    }
    if (rc == HTT_OK) {
        rc = inspect_unique(db, shape, &found);
    }
    if (rc == HTT_OK) {
        rc = inspect_collation(db, shape);
    }
    *covers_out = found.wanted == found.all;
    return rc;
}
