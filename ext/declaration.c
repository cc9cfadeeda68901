/* SPDX-License-Identifier: MIT */
/*
 * The columns of an htt table as a list: which is the key, the canonical text, comparing.
 */
#include "declaration.h"

#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "api.h"
#include "column.h"
#include "engine/htt_host.h"
#include "token.h"

#define DECLARATION_PLAIN_WORDS "key PRIMARY KEY, value"

void htt_declaration_init(htt_declaration *declaration) {
    *declaration = (htt_declaration){0};
}

void htt_declaration_clear(htt_declaration *declaration) {
    for (int i = 0; i < declaration->count; i++) {
        htt_column_clear(&declaration->columns[i]);
    }
    sqlite3_free(declaration->columns);
    sqlite3_free(declaration->key_name);
    sqlite3_free(declaration->text);
    *declaration = (htt_declaration){0};
}

int htt_declaration_value_count(const htt_declaration *declaration) {
    return declaration->count - 1;
}

const char *htt_declaration_words(const char *text) {
    return text[0] == '\0' ? DECLARATION_PLAIN_WORDS : text;
}

/* PRIMARY KEY ( name [ASC | DESC] ), behind its first two words. */
static int declaration_add_key(htt_declaration *declaration, const char *at, char **message_out) {
    const htt_token open = htt_token_next(&at);
    const htt_token name = htt_token_next(&at);
    htt_token close = htt_token_next(&at);
    if (htt_token_is(close, "ASC") || htt_token_is(close, "DESC")) {
        close = htt_token_next(&at);
    }
    const bool named = name.kind == HTT_TOKEN_WORD || name.kind == HTT_TOKEN_QUOTED;
    if (htt_token_is_sign(close, ',')) {
        *message_out = sqlite3_mprintf("PRIMARY KEY of several columns: an htt table has one key");
        return SQLITE_ERROR;
    }
    if (!htt_token_is_sign(open, '(') || !named || !htt_token_is_sign(close, ')') ||
        htt_token_next(&at).kind != HTT_TOKEN_END) {
        *message_out = sqlite3_mprintf("PRIMARY KEY: one column in parentheses expected");
        return SQLITE_ERROR;
    }
    if (declaration->key_name != NULL) {
        *message_out = sqlite3_mprintf("PRIMARY KEY is declared twice");
        return SQLITE_ERROR;
    }
    declaration->key_name = htt_token_text(name);
    return declaration->key_name == NULL ? SQLITE_NOMEM : SQLITE_OK;
}

/* True: the argument is a table constraint, *rc_out tells how it went. */
static bool declaration_add_constraint(htt_declaration *declaration, const char *argument,
                                       int *rc_out, char **message_out) {
    static const char *const words[] = {"UNIQUE", "CHECK", "FOREIGN"};
    const char *at = argument;
    htt_token token = htt_token_next(&at);
    if (htt_token_is(token, "CONSTRAINT")) {
        (void)htt_token_next(&at);
        token = htt_token_next(&at);
    }
    if (htt_token_is(token, "PRIMARY") && htt_token_is(htt_token_next(&at), "KEY")) {
        *rc_out = declaration_add_key(declaration, at, message_out);
        return true;
    }
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (htt_token_is(token, words[i])) {
            *message_out = sqlite3_mprintf("table constraint %s is not possible: %s", words[i],
                                           htt_column_refusal(words[i]));
            *rc_out = SQLITE_ERROR;
            return true;
        }
    }
    return false;
}

static int declaration_grow(htt_declaration *declaration) {
    if (declaration->count < declaration->capacity) {
        return SQLITE_OK;
    }
    const int capacity = declaration->capacity == 0 ? 8 : declaration->capacity * 2;
    const sqlite3_uint64 size = (sqlite3_uint64)capacity * sizeof declaration->columns[0];
    htt_column *const columns = sqlite3_realloc64(declaration->columns, size);
    if (columns == NULL) {
        return SQLITE_NOMEM;
    }
    declaration->columns = columns;
    declaration->capacity = capacity;
    return SQLITE_OK;
}

int htt_declaration_add(htt_declaration *declaration, const char *argument, char **message_out) {
    assert(declaration->text == NULL);
    int rc = SQLITE_OK;
    if (declaration_add_constraint(declaration, argument, &rc, message_out)) {
        return rc;
    }
    rc = declaration_grow(declaration);
    if (rc != SQLITE_OK) {
        return rc;
    }
    htt_column *const column = &declaration->columns[declaration->count++];
    *column = (htt_column){0};
    return htt_column_parse(argument, column, message_out);
}

/* Which column is the key: PRIMARY KEY, else the first. */
static int declaration_find_key(htt_declaration *declaration, char **message_out) {
    int found = 0;
    declaration->key = 0;
    for (int i = 0; i < declaration->count; i++) {
        const htt_column *const column = &declaration->columns[i];
        const bool named = declaration->key_name != NULL &&
                           sqlite3_stricmp(column->name, declaration->key_name) == 0;
        if (column->primary || named) {
            found += column->primary && named ? 2 : 1;
            declaration->key = i;
        }
    }
    if (declaration->key_name != NULL && found == 0) {
        *message_out =
            sqlite3_mprintf("PRIMARY KEY: there is no column \"%s\"", declaration->key_name);
        return SQLITE_ERROR;
    }
    if (found > 1) {
        *message_out = sqlite3_mprintf("PRIMARY KEY is declared twice: an htt table has one key");
        return SQLITE_ERROR;
    }
    htt_column *const key = &declaration->columns[declaration->key];
    if (key->collation != NULL) {
        *message_out = sqlite3_mprintf("column \"%s\": COLLATE %s is not possible: keys compare "
                                       "by their bytes (BINARY)",
                                       key->name, key->collation);
        return SQLITE_ERROR;
    }
    key->primary = true;
    key->not_null = true;
    return SQLITE_OK;
}

static bool declaration_is_plain(const htt_declaration *declaration) {
    const htt_column *const columns = declaration->columns;
    return declaration->count == 2 && declaration->key == 0 &&
           sqlite3_stricmp(columns[0].name, "key") == 0 &&
           sqlite3_stricmp(columns[1].name, "value") == 0 && columns[0].type[0] == '\0' &&
           columns[1].type[0] == '\0' && !columns[1].not_null && columns[1].collation == NULL;
}

/* A name that reads back as the same name without quotes, also as first word of a declaration. */
static bool declaration_name_is_simple(const char *name) {
    static const char *const words[] = {"PRIMARY", "UNIQUE", "CHECK", "FOREIGN", "CONSTRAINT"};
    for (size_t i = 0; name[i] != '\0'; i++) {
        const char c = name[i];
        const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        if (!letter && (i == 0 || c < '0' || c > '9')) {
            return false;
        }
    }
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (sqlite3_stricmp(name, words[i]) == 0) {
            return false;
        }
    }
    return name[0] != '\0';
}

/* One text of all columns: canonical, or for SQLite with every name quoted. */
static void declaration_write(const htt_declaration *declaration, int count, bool sqlite,
                              sqlite3_str *out) {
    for (int i = 0; i < count; i++) {
        const htt_column *const column = &declaration->columns[i];
        const bool key = i == declaration->key;
        const bool bare = !sqlite && declaration_name_is_simple(column->name);
        sqlite3_str_appendall(out, i == 0 ? "" : ", ");
        sqlite3_str_appendf(out, bare ? "%s" : "\"%w\"", column->name);
        if (column->type[0] != '\0') {
            sqlite3_str_appendf(out, " %s", column->type);
        }
        if (key) {
            sqlite3_str_appendall(out, " PRIMARY KEY");
        }
        if (column->not_null && (!key || sqlite)) {
            sqlite3_str_appendall(out, " NOT NULL");
        }
        if (column->collation != NULL) {
            sqlite3_str_appendf(out, " COLLATE \"%w\"", column->collation);
        }
    }
}

/*
 * A text that is too long for the file is stored as "#<columns> <hash>": the hash is of the
 * canonical text in small letters, so that the first columns of another declaration can be compared
 * with it. Caller frees with sqlite3_free. NULL: out of memory.
 */
static char *declaration_digest(const htt_declaration *declaration, int count) {
    sqlite3_str *const out = sqlite3_str_new(NULL);
    declaration_write(declaration, count, false, out);
    char *const text = sqlite3_str_finish(out);
    if (text == NULL) {
        return NULL;
    }
    for (char *at = text; *at != '\0'; at++) {
        *at = (char)(*at >= 'A' && *at <= 'Z' ? *at - 'A' + 'a' : *at);
    }
    char *const digest = sqlite3_mprintf("#%d %016llx", count,
                                         (unsigned long long)htt_host_hash(htt_text(text)));
    sqlite3_free(text);
    return digest;
}

int htt_declaration_finish(htt_declaration *declaration, char **message_out) {
    int rc = SQLITE_OK;
    if (declaration->count == 0 && declaration->key_name == NULL) {
        rc = htt_declaration_add(declaration, "key PRIMARY KEY", message_out);
        rc = rc == SQLITE_OK ? htt_declaration_add(declaration, "value", message_out) : rc;
    }
    rc = rc == SQLITE_OK ? declaration_find_key(declaration, message_out) : rc;
    if (rc != SQLITE_OK) {
        return rc;
    }
    if (declaration->count - 1 > HTT_ROW_COLUMNS_MAX) {
        *message_out = sqlite3_mprintf("too many columns: %d", declaration->count);
        return SQLITE_ERROR;
    }
    sqlite3_str *const text = sqlite3_str_new(NULL);
    declaration->plain = declaration_is_plain(declaration);
    if (!declaration->plain) {
        declaration_write(declaration, declaration->count, false, text);
    }
    const int size = sqlite3_str_length(text);
    rc = sqlite3_str_errcode(text);
    declaration->text = sqlite3_str_finish(text);
    if (rc == SQLITE_OK && declaration->text == NULL) {
        declaration->text = sqlite3_mprintf("%s", "");
    }
    if (rc != SQLITE_OK || declaration->text == NULL) {
        return SQLITE_NOMEM;
    }
    if (size > (int)HTT_DECLARATION_SIZE_MAX) {
        sqlite3_free(declaration->text);
        declaration->text = declaration_digest(declaration, declaration->count);
        return declaration->text == NULL ? SQLITE_NOMEM : SQLITE_OK;
    }
    return SQLITE_OK;
}

char *htt_declaration_sql(const htt_declaration *declaration) {
    assert(declaration->text != NULL);
    sqlite3_str *const sql = sqlite3_str_new(NULL);
    sqlite3_str_appendall(sql, "CREATE TABLE x(");
    declaration_write(declaration, declaration->count, true, sql);
    sqlite3_str_appendall(sql, ") WITHOUT ROWID");
    return sqlite3_str_finish(sql);
}

/* Cuts a stored text at its commas and adds each part. */
static int declaration_parse(htt_declaration *declaration, const char *stored, char **message_out) {
    const char *at = stored;
    const char *start = stored;
    int depth = 0;
    int rc = SQLITE_OK;
    for (bool more = stored[0] != '\0'; more && rc == SQLITE_OK;) {
        const htt_token token = htt_token_next(&at);
        depth += htt_token_is_sign(token, '(') ? 1 : htt_token_is_sign(token, ')') ? -1 : 0;
        more = token.kind != HTT_TOKEN_END;
        if (!more || (depth == 0 && htt_token_is_sign(token, ','))) {
            char *const part = sqlite3_mprintf("%.*s", (int)(token.start - start), start);
            rc = part == NULL ? SQLITE_NOMEM : htt_declaration_add(declaration, part, message_out);
            sqlite3_free(part);
            start = at;
        }
    }
    return rc == SQLITE_OK ? htt_declaration_finish(declaration, message_out) : rc;
}

static bool declaration_columns_equal(const htt_column *a, const htt_column *b) {
    const char *const a_collation = a->collation == NULL ? "BINARY" : a->collation;
    const char *const b_collation = b->collation == NULL ? "BINARY" : b->collation;
    return sqlite3_stricmp(a->name, b->name) == 0 && sqlite3_stricmp(a->type, b->type) == 0 &&
           sqlite3_stricmp(a_collation, b_collation) == 0 && a->not_null == b->not_null &&
           a->primary == b->primary;
}

static htt_declaration_match declaration_match(const htt_declaration *now,
                                               const htt_declaration *before) {
    if (now->count < before->count) {
        return HTT_DECLARATION_DIFFERENT;
    }
    for (int i = 0; i < before->count; i++) {
        if (!declaration_columns_equal(&now->columns[i], &before->columns[i])) {
            return HTT_DECLARATION_DIFFERENT;
        }
    }
    for (int i = before->count; i < now->count; i++) {
        if (now->columns[i].not_null) {
            return HTT_DECLARATION_DIFFERENT; /* the rows that are there would be NULL in it */
        }
    }
    return now->count == before->count ? HTT_DECLARATION_EQUAL : HTT_DECLARATION_EXTENDED;
}

/* With a stored digest: the first columns are hashed anew. */
static int declaration_match_digest(const htt_declaration *now, const char *stored,
                                    htt_declaration_match *match_out) {
    const long count = strtol(stored + 1, NULL, 10);
    *match_out = HTT_DECLARATION_DIFFERENT;
    if (count < 1 || count > now->count || now->key >= count) {
        return SQLITE_OK;
    }
    char *const digest = declaration_digest(now, (int)count);
    if (digest == NULL) {
        return SQLITE_NOMEM;
    }
    bool same = strcmp(digest, stored) == 0;
    sqlite3_free(digest);
    for (int i = (int)count; same && i < now->count; i++) {
        same = !now->columns[i].not_null; /* as in declaration_match */
    }
    if (same) {
        *match_out = count == now->count ? HTT_DECLARATION_EQUAL : HTT_DECLARATION_EXTENDED;
    }
    return SQLITE_OK;
}

int htt_declaration_compare(const htt_declaration *declaration, const char *stored,
                            htt_declaration_match *match_out) {
    htt_declaration before;
    char *message = NULL;
    if (stored[0] == '#') {
        return declaration_match_digest(declaration, stored, match_out);
    }
    htt_declaration_init(&before);
    const int rc = declaration_parse(&before, stored, &message);
    if (rc == SQLITE_OK) {
        *match_out = declaration_match(declaration, &before);
    } else if (rc != SQLITE_NOMEM) {
        *match_out = HTT_DECLARATION_DIFFERENT;
    }
    sqlite3_free(message);
    htt_declaration_clear(&before);
    return rc == SQLITE_NOMEM ? SQLITE_NOMEM : SQLITE_OK;
}
