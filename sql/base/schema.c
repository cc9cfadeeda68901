/* SPDX-License-Identifier: MIT */
/*
 * Making the tables of a part, and comparing those that are there with what they must be.
 *
 *   htt_schema has the part   version      then
 *   no, or no htt_schema                   all files are run: CREATE ... IF NOT EXISTS, the row
 *   yes                       above ours   HTT_NEWER
 *   yes                       ours         compared only, nothing is written
 *
 * Compared is the text of each CREATE with the one in sqlite_schema, without comments and white
 * space: a table that is missing or another is the work of a hand, and what it held is not
 * replaced by an empty table.
 */
#include "sql/base/schema.h"

#include <assert.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "sql/base/memory.h"
#include "sql/base/statements.h"

typedef enum schema_sql {
    SCHEMA_HAS_TABLE,
    SCHEMA_VERSION,
    SCHEMA_OBJECT,
    SCHEMA_SQL_COUNT
} schema_sql;

static const char *const schema_texts[] = {
    [SCHEMA_HAS_TABLE] = "SELECT 1 FROM {schema}.sqlite_schema WHERE name = 'htt_schema'",
    [SCHEMA_VERSION] = "SELECT version FROM {schema}.htt_schema WHERE name = ?1",
    [SCHEMA_OBJECT] = "SELECT sql FROM {schema}.sqlite_schema WHERE name = ?1 COLLATE NOCASE",
};
static_assert(sizeof schema_texts / sizeof schema_texts[0] == SCHEMA_SQL_COUNT, "one text each");
static const htt_statement_table schema_table = {"htt_schema", schema_texts, SCHEMA_SQL_COUNT,
                                                 NULL};

/* ----------------------------------------------------------------- texts */

/* All of a file, with the schema's name or (NULL) without. Caller frees. NULL: no memory. */
static char *schema_join(const htt_schema_file *file, const char *quoted) {
    size_t size = 1;
    for (const char *const *piece = file->pieces; *piece != NULL; piece++) {
        size += strlen(*piece) + (quoted == NULL ? 0 : strlen(quoted) + 1);
    }
    char *const text = htt_memory_new(size);
    size_t length = 0;
    for (const char *const *piece = file->pieces; text != NULL && *piece != NULL; piece++) {
        if (piece != file->pieces && quoted != NULL) {
            memcpy(text + length, quoted, strlen(quoted));
            length += strlen(quoted);
            text[length++] = '.';
        }
        memcpy(text + length, *piece, strlen(*piece));
        length += strlen(*piece);
    }
    return text;
}

/* Takes comments, white space and a last ';' out of a statement. */
static void schema_strip(char *text) {
    char *out = text;
    for (const char *at = text; *at != '\0';) {
        if (at[0] == '-' && at[1] == '-') {
            at += strcspn(at, "\n");
        } else if (isspace((unsigned char)*at)) {
            at++;
        } else {
            *out++ = *at++;
        }
    }
    if (out > text && out[-1] == ';') {
        out--;
    }
    *out = '\0';
}

/* As sqlite_schema has it: stripped, without IF NOT EXISTS. */
static void schema_strip_expected(char *text) {
    static const char condition[] = "IFNOTEXISTS";
    schema_strip(text);
    char *const found = strstr(text, condition);
    if (found != NULL) {
        memmove(found, found + strlen(condition), strlen(found + strlen(condition)) + 1);
    }
}

/* The end of the statement that begins at `text`; its end is put there. NULL: no more. */
static char *schema_cut_statement(char *text) {
    text += strspn(text, " \n");
    if (*text == '\0') {
        return NULL;
    }
    for (char *at = strchr(text, ';'); at != NULL; at = strchr(at + 1, ';')) {
        const char after = at[1];
        at[1] = '\0';
        const bool complete = sqlite3_complete(text) != 0;
        if (complete) {
            if (after != '\0') {
                at[1] = '\0'; /* a line break stood there */
                return at + 2;
            }
            return at + 1;
        }
        at[1] = after;
    }
    return text + strlen(text);
}

/* ------------------------------------------------------------ comparing */

static htt_rc schema_compare_object(htt_db *db, const htt_schema_part *part, const char *name,
                                    const char *expected) {
    sqlite3_stmt *statement;
    bool row = false;
    htt_rc rc = htt_statement_get(db, &schema_table, SCHEMA_OBJECT, &statement);
    if (rc == HTT_OK) {
        rc = htt_statement_bind(db, &schema_table, statement, "t", name);
    }
    if (rc == HTT_OK) {
        rc = htt_statement_step(db, &schema_table, statement, &row);
    }
    if (rc != HTT_OK) {
        return rc;
    }
    if (!row) {
        htt_statement_done(statement);
        return htt_db_fail(db, HTT_MISMATCH,
                           "%s.%s is missing, and htt_schema says that part '%s' is there: it was "
                           "dropped by hand. Restore it, or delete the part's row from htt_schema "
                           "to begin with an empty one",
                           db->schema, name, part->name);
    }
    const char *const text = (const char *)sqlite3_column_text(statement, 0);
    char *const stored = htt_memory_text(text == NULL ? "" : text);
    htt_statement_done(statement);
    if (stored == NULL) {
        return htt_db_fail_memory(db);
    }
    schema_strip(stored);
    const bool same = strcmp(stored, expected) == 0;
    htt_memory_free(stored);
    return same ? HTT_OK
                : htt_db_fail(db, HTT_MISMATCH,
                              "%s.%s is not as this libhtt makes it: it was altered by hand, or by "
                              "something else. sql/schema has its text; put it back as it was",
                              db->schema, name);
}

/* The name behind IF NOT EXISTS, put into `name`. False: the statement makes nothing. */
static bool schema_find_name(const char *statement, char *name, size_t size) {
    static const char condition[] = "IF NOT EXISTS ";
    const char *const found = strstr(statement, condition);
    if (strncmp(statement, "CREATE", 6) != 0 || found == NULL) {
        return false;
    }
    const char *const start = found + strlen(condition);
    const size_t length = strspn(start, "abcdefghijklmnopqrstuvwxyz_0123456789");
    assert(length > 0 && length < size);
    memcpy(name, start, length < size ? length : size - 1);
    name[length] = '\0';
    return true;
}

static htt_rc schema_compare_file(htt_db *db, const htt_schema_part *part,
                                  const htt_schema_file *file) {
    htt_rc rc = HTT_OK;
    char name[64];
    char *const text = schema_join(file, NULL);
    if (text == NULL) {
        return htt_db_fail_memory(db);
    }
    char *next;
    for (char *at = text; rc == HTT_OK && (next = schema_cut_statement(at)) != NULL; at = next) {
        at += strspn(at, " \n");
        if (schema_find_name(at, name, sizeof name)) {
            schema_strip_expected(at);
            rc = schema_compare_object(db, part, name, at);
        }
    }
    htt_memory_free(text);
    return rc;
}

static htt_rc schema_compare(htt_db *db, const htt_schema_part *part) {
    htt_rc rc = HTT_OK;
    for (const htt_schema_file *file = part->files; file->name != NULL && rc == HTT_OK; file++) {
        rc = schema_compare_file(db, part, file);
    }
    return rc;
}

/* -------------------------------------------------------------- making */

/* *version_out 0: the part is not there. */
static htt_rc schema_read_version(htt_db *db, const htt_schema_part *part, int64_t *version_out) {
    sqlite3_stmt *statement;
    bool row = false;
    htt_rc rc = htt_statement_get(db, &schema_table, SCHEMA_HAS_TABLE, &statement);
    if (rc == HTT_OK) {
        rc = htt_statement_step(db, &schema_table, statement, &row);
    }
    if (rc != HTT_OK) {
        return rc;
    }
    htt_statement_done(statement);
    *version_out = 0;
    if (!row) {
        return HTT_OK;
    }
    rc = htt_statement_get(db, &schema_table, SCHEMA_VERSION, &statement);
    if (rc == HTT_OK) {
        rc = htt_statement_bind(db, &schema_table, statement, "t", part->name);
    }
    if (rc == HTT_OK) {
        rc = htt_statement_step(db, &schema_table, statement, &row);
    }
    if (rc != HTT_OK || !row) {
        return rc;
    }
    const bool good = sqlite3_column_type(statement, 0) == SQLITE_INTEGER &&
                      sqlite3_column_int64(statement, 0) >= 1;
    *version_out = sqlite3_column_int64(statement, 0);
    htt_statement_done(statement);
    return good ? HTT_OK
                : htt_db_fail(db, HTT_MISMATCH, "%s.htt_schema: the version of part '%s' is no "
                                                "number from 1: it was altered by hand",
                              db->schema, part->name);
}

/* *there_out: the part is there and good. */
static htt_rc schema_check(htt_db *db, const htt_schema_part *part, bool *there_out) {
    int64_t version;
    const htt_rc rc = schema_read_version(db, part, &version);
    if (rc != HTT_OK) {
        return rc;
    }
    *there_out = version != 0;
    if (version > part->version) {
        return htt_db_fail(db, HTT_NEWER,
                           "the tables of part '%s' in %s have version %lld, this libhtt knows %d: "
                           "use the libhtt that made them, or a newer one",
                           part->name, db->schema, (long long)version, part->version);
    }
    return version == 0 ? HTT_OK : schema_compare(db, part);
}

static htt_rc schema_run_files(htt_db *db, const htt_schema_part *part) {
    htt_rc rc = HTT_OK;
    for (const htt_schema_file *file = part->files; file->name != NULL && rc == HTT_OK; file++) {
        char *const sql = schema_join(file, db->schema_quoted);
        if (sql == NULL) {
            return htt_db_fail_memory(db);
        }
        const int code = sqlite3_exec(db->connection, sql, NULL, NULL, NULL);
        if (code != SQLITE_OK) {
            rc = htt_db_fail_sqlite(db, code, "making %s.%s", db->schema, file->name);
        }
        htt_memory_free(sql);
    }
    return rc;
}

static htt_rc schema_make(htt_db *db, const htt_schema_part *part) {
    htt_scope scope;
    bool there = false;
    htt_rc rc = htt_scope_enter(db, &scope, HTT_SCOPE_IMMEDIATE);
    if (rc != HTT_OK) {
        return rc;
    }
    rc = schema_check(db, part, &there); /* another may have made it while we waited */
    if (rc == HTT_OK && !there) {
        rc = schema_run_files(db, part);
        if (rc == HTT_OK) {
            rc = schema_check(db, part, &there);
        }
        assert(rc != HTT_OK || there); /* the files make the row of htt_schema */
    }
    return htt_scope_leave(db, &scope, rc);
}

htt_rc htt_schema_install(htt_db *db, const htt_schema_part *part) {
    bool there = false;
    if (htt_db_is_fake(db)) {
        return HTT_OK;
    }
    const htt_rc rc = schema_check(db, part, &there);
    return rc == HTT_OK && !there ? schema_make(db, part) : rc;
}

static htt_rc schema_refuse(htt_db *db, const char *part) {
    char names[128] = "";
    size_t length = 0;
    for (const htt_schema_part *known = htt_schema_parts; known->name != NULL; known++) {
        const int added = snprintf(names + length, sizeof names - length, "%s%s",
                                   length == 0 ? "" : ", ", known->name);
        assert(added > 0 && (size_t)added < sizeof names - length); /* our own names */
        length += (size_t)added;
    }
    return part == NULL
               ? htt_db_fail(db, HTT_MISUSE,
                             "the part to be installed is NULL: the parts are %s", names)
               : htt_db_fail(db, HTT_MISUSE,
                             "there is no part '%s' to be installed: the parts are %s", part,
                             names);
}

htt_rc htt_db_install(htt_db *db, const char *part) {
    if (db == NULL) {
        return HTT_MISUSE;
    }
    if (part == NULL) {
        return schema_refuse(db, part);
    }
    for (const htt_schema_part *known = htt_schema_parts; known->name != NULL; known++) {
        if (strcmp(known->name, part) == 0) {
            return htt_schema_install(db, known);
        }
    }
    return schema_refuse(db, part);
}
