/* SPDX-License-Identifier: MIT */
/*
 * The grammar of one column declaration: SQLite's, less what cannot be kept.
 *
 *   column     name [type] constraint...
 *   type       word... [ ( number [, number] ) ]
 *   constraint PRIMARY KEY [ASC | DESC] | NOT NULL | NULL | COLLATE name | CONSTRAINT name
 *
 * The rest of SQLite's constraints is refused with the reason: SQLite accepts all of them in a
 * virtual table and keeps none.
 */
#include "column.h"

#include <assert.h>
#include <stddef.h>

#include "api.h"
#include "token.h"

typedef struct column_parser {
    htt_column *column; /* being filled */
    const char *at;     /* what is left of the argument */
    char **message_out; /* where an error goes */
} column_parser;

static const struct {
    const char *word;   /* the constraint begins with it */
    const char *reason; /* why there is none */
} column_refusals[] = {
    {"DEFAULT", "SQLite does not tell a virtual table an omitted value from NULL"},
    {"CHECK", "SQLite does not check virtual tables"},
    {"UNIQUE", "only the key is unique in an htt table"},
    {"REFERENCES", "SQLite keeps no foreign keys in virtual tables"},
    {"FOREIGN", "SQLite keeps no foreign keys in virtual tables"},
    {"GENERATED", "SQLite has no generated columns in virtual tables"},
    {"AS", "SQLite has no generated columns in virtual tables"},
    {"AUTOINCREMENT", "an htt table does not number its rows"},
    {"HIDDEN", "every column of an htt table is visible"},
    {"ON", "say it in the statement: INSERT OR REPLACE, UPDATE OR IGNORE"},
    {"DEFERRABLE", "SQLite keeps no foreign keys in virtual tables"},
};

const char *htt_column_refusal(const char *word) {
    for (size_t i = 0; i < sizeof column_refusals / sizeof column_refusals[0]; i++) {
        if (sqlite3_stricmp(word, column_refusals[i].word) == 0) {
            return column_refusals[i].reason;
        }
    }
    return NULL;
}

static int column_fail(const column_parser *parser, htt_token token, const char *what) {
    const char *const name = parser->column->name;
    if (token.kind == HTT_TOKEN_END) {
        *parser->message_out = sqlite3_mprintf("column \"%s\": %s is missing", name, what);
    } else {
        *parser->message_out = sqlite3_mprintf("column \"%s\": %s expected near \"%.*s\"", name,
                                               what, (int)token.size, token.start);
    }
    return *parser->message_out == NULL ? SQLITE_NOMEM : SQLITE_ERROR;
}

static int column_refuse(const column_parser *parser, htt_token token, const char *reason) {
    *parser->message_out =
        sqlite3_mprintf("column \"%s\": %.*s is not possible: %s", parser->column->name,
                        (int)token.size, token.start, reason);
    return *parser->message_out == NULL ? SQLITE_NOMEM : SQLITE_ERROR;
}

/* The refusal of a token, NULL = it may stand here. */
static const char *column_token_refusal(htt_token token) {
    if (token.kind != HTT_TOKEN_WORD) {
        return NULL;
    }
    for (size_t i = 0; i < sizeof column_refusals / sizeof column_refusals[0]; i++) {
        if (htt_token_is(token, column_refusals[i].word)) {
            return column_refusals[i].reason;
        }
    }
    return NULL;
}

/* A word that ends a type and begins a constraint. */
static bool column_ends_type(htt_token token) {
    static const char *const words[] = {"CONSTRAINT", "PRIMARY", "NOT", "NULL", "COLLATE"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (htt_token_is(token, words[i])) {
            return true;
        }
    }
    return column_token_refusal(token) != NULL;
}

/* Puts a token behind the type; a space between words. */
static int column_extend_type(column_parser *parser, htt_token token) {
    htt_column *const column = parser->column;
    const bool space =
        column->type[0] != '\0' && token.kind != HTT_TOKEN_SIGN && token.kind != HTT_TOKEN_NUMBER;
    char *const longer =
        sqlite3_mprintf("%s%s%.*s", column->type, space ? " " : "", (int)token.size, token.start);
    if (longer == NULL) {
        return SQLITE_NOMEM;
    }
    sqlite3_free(column->type);
    column->type = longer;
    return SQLITE_OK;
}

/* The "(10, 2)" of a type, from its opening parenthesis. */
static int column_parse_sizes(column_parser *parser) {
    for (;;) {
        const htt_token token = htt_token_next(&parser->at);
        const bool sign = htt_token_is_sign(token, '(') || htt_token_is_sign(token, ')') ||
                          htt_token_is_sign(token, ',') || htt_token_is_sign(token, '+') ||
                          htt_token_is_sign(token, '-') || htt_token_is_sign(token, '.');
        if (!sign && token.kind != HTT_TOKEN_NUMBER) {
            return column_fail(parser, token, "the end of the type's size, \")\",");
        }
        const int rc = column_extend_type(parser, token);
        if (rc != SQLITE_OK || htt_token_is_sign(token, ')')) {
            return rc;
        }
    }
}

static int column_parse_type(column_parser *parser) {
    parser->column->type = sqlite3_mprintf("%s", "");
    if (parser->column->type == NULL) {
        return SQLITE_NOMEM;
    }
    for (;;) {
        const htt_token token = htt_token_peek(parser->at);
        int rc;
        if (htt_token_is_sign(token, '(') && parser->column->type[0] != '\0') {
            return column_parse_sizes(parser);
        }
        if ((token.kind != HTT_TOKEN_WORD && token.kind != HTT_TOKEN_QUOTED) ||
            column_ends_type(token)) {
            return SQLITE_OK;
        }
        rc = column_extend_type(parser, htt_token_next(&parser->at));
        if (rc != SQLITE_OK) {
            return rc;
        }
    }
}

static int column_parse_primary(column_parser *parser) {
    const htt_token key = htt_token_next(&parser->at);
    if (!htt_token_is(key, "KEY")) {
        return column_fail(parser, key, "KEY");
    }
    const htt_token order = htt_token_peek(parser->at);
    if (htt_token_is(order, "ASC") || htt_token_is(order, "DESC")) {
        (void)htt_token_next(&parser->at); /* there is no order to keep */
    }
    parser->column->primary = true;
    return SQLITE_OK;
}

static int column_parse_collation(column_parser *parser) {
    const htt_token name = htt_token_next(&parser->at);
    if (name.kind != HTT_TOKEN_WORD && name.kind != HTT_TOKEN_QUOTED) {
        return column_fail(parser, name, "the name of a collation");
    }
    sqlite3_free(parser->column->collation);
    parser->column->collation = htt_token_text(name);
    if (parser->column->collation == NULL) {
        return SQLITE_NOMEM;
    }
    if (sqlite3_stricmp(parser->column->collation, "BINARY") == 0) {
        sqlite3_free(parser->column->collation);
        parser->column->collation = NULL;
    }
    return SQLITE_OK;
}

static int column_parse_constraint(column_parser *parser, htt_token token) {
    const char *const reason = column_token_refusal(token);
    if (reason != NULL) {
        return column_refuse(parser, token, reason);
    }
    if (htt_token_is(token, "PRIMARY")) {
        return column_parse_primary(parser);
    }
    if (htt_token_is(token, "COLLATE")) {
        return column_parse_collation(parser);
    }
    if (htt_token_is(token, "NOT")) {
        const htt_token null = htt_token_next(&parser->at);
        parser->column->not_null = true;
        return htt_token_is(null, "NULL") ? SQLITE_OK : column_fail(parser, null, "NULL");
    }
    if (htt_token_is(token, "CONSTRAINT")) {
        const htt_token name = htt_token_next(&parser->at);
        const bool named = name.kind == HTT_TOKEN_WORD || name.kind == HTT_TOKEN_QUOTED;
        return named ? SQLITE_OK : column_fail(parser, name, "the name of a constraint");
    }
    if (htt_token_is(token, "NULL")) {
        return SQLITE_OK;
    }
    return column_fail(parser, token, "a constraint");
}

int htt_column_parse(const char *argument, htt_column *column, char **message_out) {
    assert(column->name == NULL);
    column_parser parser = {column, argument, message_out};
    const htt_token name = htt_token_next(&parser.at);
    if (name.kind != HTT_TOKEN_WORD && name.kind != HTT_TOKEN_QUOTED) {
        *message_out =
            sqlite3_mprintf("\"%s\" is neither an option (name=value) nor a column", argument);
        return *message_out == NULL ? SQLITE_NOMEM : SQLITE_ERROR;
    }
    column->name = htt_token_text(name);
    if (column->name == NULL) {
        return SQLITE_NOMEM;
    }
    int rc = column_parse_type(&parser);
    while (rc == SQLITE_OK) {
        const htt_token token = htt_token_next(&parser.at);
        if (token.kind == HTT_TOKEN_END) {
            break;
        }
        rc = column_parse_constraint(&parser, token);
    }
    if (rc == SQLITE_OK) {
        column->affinity = htt_affinity_of_type(column->type);
    }
    return rc;
}

void htt_column_clear(htt_column *column) {
    sqlite3_free(column->name);
    sqlite3_free(column->type);
    sqlite3_free(column->collation);
    *column = (htt_column){0};
}
