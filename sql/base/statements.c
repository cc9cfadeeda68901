/* SPDX-License-Identifier: MIT */
/* Prepared statements, by table and number. */
#include "sql/base/statements.h"

#include <assert.h>
#include <stdarg.h>
#include <string.h>

#include "sql/base/memory.h"

struct htt_statements {
    htt_statements *next;             /* of the db */
    const htt_statement_table *table; /* whose; borrowed */
    sqlite3_stmt *handles[];          /* owned; NULL = not asked for yet */
};

static htt_statements *statements_find(htt_db *db, const htt_statement_table *table) {
    htt_statements *found = db->statements;
    while (found != NULL && found->table != table) {
        found = found->next;
    }
    return found;
}

static htt_statements *statements_make(htt_db *db, const htt_statement_table *table) {
    htt_statements *const made =
        htt_memory_new(sizeof *made + table->count * sizeof made->handles[0]);
    if (made != NULL) {
        made->table = table;
        made->next = db->statements;
        db->statements = made;
    }
    return made;
}

/* The text that "{word}" at `at` stands for, or NULL; *length_out: of the word with its braces. */
static const char *statements_word(const htt_db *db, const htt_statement_table *table,
                                   const char *at, size_t *length_out) {
    static const htt_statement_word none = {NULL, NULL};
    const char *const end = at[0] == '{' ? strchr(at, '}') : NULL;
    if (end == NULL) {
        return NULL;
    }
    const size_t length = (size_t)(end - at) - 1;
    *length_out = length + 2;
    if (length == strlen("schema") && memcmp(at + 1, "schema", length) == 0) {
        return db->schema_quoted;
    }
    const htt_statement_word *word = table->words == NULL ? &none : table->words;
    for (; word->word != NULL; word++) {
        if (strlen(word->word) == length && memcmp(at + 1, word->word, length) == 0) {
            return word->text;
        }
    }
    return NULL;
}

/* Writes the text with its words replaced to `out` (NULL: only counts). Gives its length. */
static size_t statements_expand(const htt_db *db, const htt_statement_table *table,
                                const char *text, char *out) {
    size_t length = 0;
    for (const char *at = text; *at != '\0';) {
        size_t step = 1;
        const char *const found = statements_word(db, table, at, &step);
        const char *const piece = found == NULL ? at : found;
        const size_t size = found == NULL ? 1 : strlen(found);
        if (out != NULL) {
            memcpy(out + length, piece, size);
        }
        length += size;
        at += found == NULL ? 1 : step;
    }
    return length;
}

static htt_rc statements_prepare(htt_db *db, const htt_statement_table *table, unsigned which,
                                 sqlite3_stmt **statement_out) {
    const char *const text = table->texts[which];
    const size_t length = statements_expand(db, table, text, NULL);
    char *const sql = htt_memory_new(length + 1);
    if (sql == NULL) {
        return htt_db_fail_memory(db);
    }
    (void)statements_expand(db, table, text, sql);
    const int code = sqlite3_prepare_v3(db->connection, sql, (int)length, SQLITE_PREPARE_PERSISTENT,
                                        statement_out, NULL);
    htt_memory_free(sql);
    return code == SQLITE_OK ? HTT_OK : htt_db_fail_sqlite(db, code, "%s", table->what);
}

htt_rc htt_statement_get(htt_db *db, const htt_statement_table *table, unsigned which,
                         sqlite3_stmt **statement_out) {
    assert(!htt_db_is_fake(db));
    assert(which < table->count && table->texts[which] != NULL);
    if (db->rollback_due) {
        const htt_rc rc = htt_db_settle(db);
        if (rc != HTT_OK) {
            return rc;
        }
    }
    htt_statements *set = statements_find(db, table);
    if (set == NULL) {
        set = statements_make(db, table);
        if (set == NULL) {
            return htt_db_fail_memory(db);
        }
    }
    /* A change of the schema has SQLite prepare it again when it runs: now, while it may fail. */
    if (set->handles[which] != NULL && sqlite3_expired(set->handles[which])) {
        (void)sqlite3_finalize(set->handles[which]);
        set->handles[which] = NULL;
    }
    if (set->handles[which] == NULL) {
        const htt_rc rc = statements_prepare(db, table, which, &set->handles[which]);
        if (rc != HTT_OK) {
            return rc;
        }
    }
    htt_statement_done(set->handles[which]);
    *statement_out = set->handles[which];
    return HTT_OK;
}

htt_rc htt_statement_step(htt_db *db, const htt_statement_table *table, sqlite3_stmt *statement,
                          bool *row_out) {
    const int code = sqlite3_step(statement);
    if (code != SQLITE_ROW && code != SQLITE_DONE) {
        const htt_rc rc = htt_db_fail_sqlite(db, code, "%s", table->what);
        (void)sqlite3_reset(statement); /* says the same again */
        return rc;
    }
    *row_out = code == SQLITE_ROW;
    return HTT_OK;
}

htt_rc htt_statement_run(htt_db *db, const htt_statement_table *table, sqlite3_stmt *statement) {
    bool row = true;
    htt_rc rc = HTT_OK;
    while (rc == HTT_OK && row) {
        rc = htt_statement_step(db, table, statement, &row);
    }
    htt_statement_done(statement);
    return rc;
}

static int statements_bind_datum(sqlite3_stmt *statement, int index, htt_datum datum) {
    static const char empty[1] = "";
    const char *const data = datum.data == NULL ? empty : datum.data;
    int64_t integer;
    double real;
    switch (datum.type) {
    case HTT_INTEGER:
        return htt_value_integer(datum, &integer) == HTT_OK
                   ? sqlite3_bind_int64(statement, index, integer)
                   : SQLITE_MISMATCH;
    case HTT_REAL:
        return htt_value_real(datum, &real) == HTT_OK ? sqlite3_bind_double(statement, index, real)
                                                      : SQLITE_MISMATCH;
    case HTT_TEXT:
        return sqlite3_bind_text64(statement, index, data, datum.size, SQLITE_STATIC, SQLITE_UTF8);
    case HTT_BLOB: return sqlite3_bind_blob64(statement, index, data, datum.size, SQLITE_STATIC);
    case HTT_NULL: return sqlite3_bind_null(statement, index);
    default: return SQLITE_MISMATCH;
    }
}

/* What a bind gave; the statement is reset when it failed. */
static htt_rc statements_bound(htt_db *db, const htt_statement_table *table,
                               sqlite3_stmt *statement, int code) {
    if (code == SQLITE_OK) {
        return HTT_OK;
    }
    const htt_rc rc = code == SQLITE_MISMATCH
                          ? htt_db_fail(db, HTT_TYPE,
                                        "%s: a value is no integer, real, text, blob or null as "
                                        "SQLite has them",
                                        table->what)
                          : htt_db_fail_sqlite(db, code, "%s", table->what);
    htt_statement_done(statement);
    return rc;
}

htt_rc htt_statement_bind_at(htt_db *db, const htt_statement_table *table, sqlite3_stmt *statement,
                             unsigned index, htt_datum datum) {
    return statements_bound(db, table, statement,
                            statements_bind_datum(statement, (int)index, datum));
}

htt_rc htt_statement_bind(htt_db *db, const htt_statement_table *table, sqlite3_stmt *statement,
                          const char *letters, ...) {
    va_list arguments;
    va_start(arguments, letters);
    const htt_rc rc = htt_statement_bind_list(db, table, statement, letters, arguments);
    va_end(arguments);
    return rc;
}

htt_rc htt_statement_bind_list(htt_db *db, const htt_statement_table *table,
                               sqlite3_stmt *statement, const char *letters, va_list arguments) {
    int code = SQLITE_OK;
    for (int i = 0; letters[i] != '\0' && code == SQLITE_OK; i++) {
        switch (letters[i]) {
        case 'i': code = sqlite3_bind_int64(statement, i + 1, va_arg(arguments, int64_t)); break;
        case 'r': code = sqlite3_bind_double(statement, i + 1, va_arg(arguments, double)); break;
        case 't':
            code = sqlite3_bind_text(statement, i + 1, va_arg(arguments, const char *), -1,
                                     SQLITE_STATIC);
            break;
        case 'd':
            code = statements_bind_datum(statement, i + 1, va_arg(arguments, htt_datum));
            break;
        default:
            assert(letters[i] == 'n');
            code = sqlite3_bind_null(statement, i + 1);
            break;
        }
    }
    return statements_bound(db, table, statement, code);
}

void htt_statement_done(sqlite3_stmt *statement) {
    if (statement != NULL) {
        (void)sqlite3_reset(statement); /* repeats what its step said */
        (void)sqlite3_clear_bindings(statement);
    }
}

void htt_statement_forget(htt_db *db, const htt_statement_table *table) {
    htt_statements **link = &db->statements;
    while (*link != NULL) {
        htt_statements *const set = *link;
        if (table != NULL && set->table != table) {
            link = &set->next;
            continue;
        }
        *link = set->next;
        for (unsigned i = 0; i < set->table->count; i++) {
            (void)sqlite3_finalize(set->handles[i]);
        }
        htt_memory_free(set);
    }
}
