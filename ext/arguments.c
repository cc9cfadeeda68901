/* SPDX-License-Identifier: MIT */
/*
 * The arguments of a htt table. Which kind an argument is, is told by its beginning:
 *
 *   first argument      the file: bare, quoted, or filename=...
 *   name = ...          an option
 *   anything else       a column or PRIMARY KEY(column); declaration.c
 */
#include "arguments.h"

#include <stddef.h>
#include <string.h>

#include "api.h"
#include "rc.h"
#include "token.h"

enum { ARGUMENTS_FIRST = 3 }; /* argv: module, schema, table, first argument */

typedef enum arguments_option {
    ARGUMENTS_PAGE_SIZE,
    ARGUMENTS_MMAP,
    ARGUMENTS_CACHE_BYTES,
    ARGUMENTS_SYNC,
    ARGUMENTS_WRITE_BUDGET,
    ARGUMENTS_BUSY_TIMEOUT,
    ARGUMENTS_FOLD_ROWS,
    ARGUMENTS_FOLD_BYTES,
    ARGUMENTS_CHANGES,
    ARGUMENTS_CHANGES_KEEP,
    ARGUMENTS_OPTION_COUNT
} arguments_option;

static const char *const arguments_names[ARGUMENTS_OPTION_COUNT] = {
    [ARGUMENTS_PAGE_SIZE] = "page_size",       [ARGUMENTS_MMAP] = "mmap",
    [ARGUMENTS_CACHE_BYTES] = "cache_bytes",   [ARGUMENTS_SYNC] = "sync",
    [ARGUMENTS_WRITE_BUDGET] = "write_budget", [ARGUMENTS_BUSY_TIMEOUT] = "busy_timeout",
    [ARGUMENTS_FOLD_ROWS] = "fold_rows",       [ARGUMENTS_FOLD_BYTES] = "fold_bytes",
    [ARGUMENTS_CHANGES] = "changes",           [ARGUMENTS_CHANGES_KEEP] = "changes_keep",
};
const struct htt_env *htt_arguments_env = NULL;

#define ARGUMENTS_KNOWN                                                                            \
    "filename, page_size, mmap, cache_bytes, sync, write_budget, busy_timeout, fold_rows, "        \
    "fold_bytes, changes, changes_keep"

/* The text without space and one pair of quotes around it. NULL: out of memory. */
static char *arguments_bare(const char *text) {
    const char *at = text;
    const htt_token token = htt_token_next(&at);
    if (token.kind == HTT_TOKEN_QUOTED && htt_token_peek(at).kind == HTT_TOKEN_END) {
        return htt_token_text(token);
    }
    size_t size = strlen(token.start);
    while (size > 0 && strchr(" \t\r\n\f", token.start[size - 1]) != NULL) {
        size--;
    }
    return sqlite3_mprintf("%.*s", (int)size, token.start);
}

/* name = rest: the name's token and what is behind the sign. */
static bool arguments_is_option(const char *argument, htt_token *name_out, const char **rest_out) {
    const char *at = argument;
    const htt_token name = htt_token_next(&at);
    const htt_token sign = htt_token_next(&at);
    if (name.kind != HTT_TOKEN_WORD || !htt_token_is_sign(sign, '=')) {
        return false;
    }
    *name_out = name;
    *rest_out = at;
    return true;
}

static int arguments_parse_file(const char *argument, htt_arguments *arguments, char **message) {
    htt_token name;
    const char *rest = argument;
    if (arguments_is_option(argument, &name, &rest) && !htt_token_is(name, "filename")) {
        return htt_rc_say(message, SQLITE_ERROR,
                          "the first argument is the file, as in htt('kv.htt', %s)", argument);
    }
    const char *at = rest;
    const htt_token first = htt_token_next(&at);
    if (first.kind == HTT_TOKEN_QUOTED && htt_token_peek(at).kind != HTT_TOKEN_END) {
        return htt_rc_say(message, SQLITE_ERROR, "a comma is missing behind the file: %s", rest);
    }
    arguments->file = arguments_bare(rest);
    if (arguments->file == NULL) {
        return SQLITE_NOMEM;
    }
    if (arguments->file[0] == '\0') {
        return htt_rc_say(message, SQLITE_ERROR, "the file's name is empty");
    }
    return SQLITE_OK;
}

/* A number without sign, 0 < number <= max. */
static int arguments_number(const char *name, const char *text, uint64_t min, uint64_t max,
                            uint64_t *number_out, char **message) {
    uint64_t number = 0;
    bool sound = text[0] != '\0';
    for (size_t i = 0; sound && text[i] != '\0'; i++) {
        const unsigned digit = (unsigned)((unsigned char)text[i] - (unsigned char)'0');
        sound = digit <= 9 && number <= (max - digit) / 10;
        number = sound ? number * 10 + digit : number;
    }
    if (!sound || number < min) {
        return htt_rc_say(message, SQLITE_ERROR, "%s=%s: a number from %llu to %llu expected", name,
                          text, (unsigned long long)min, (unsigned long long)max);
    }
    *number_out = number;
    return SQLITE_OK;
}

static int arguments_set_page_size(htt_arguments *arguments, const char *text, char **message) {
    uint64_t number = 0;
    const int rc =
        arguments_number("page_size", text, HTT_PAGE_SIZE_MIN, HTT_PAGE_SIZE_MAX, &number, message);
    if (rc == SQLITE_OK && (number & (number - 1)) != 0) {
        return htt_rc_say(message, SQLITE_ERROR, "page_size=%s: a power of two expected", text);
    }
    arguments->page_size = (uint32_t)number;
    return rc;
}

static int arguments_set_switch(const char *name, const char *text, bool *on_out, char **message) {
    static const char *const on[] = {"on", "true", "yes", "1"};
    static const char *const off[] = {"off", "false", "no", "0"};
    for (size_t i = 0; i < sizeof on / sizeof on[0]; i++) {
        if (sqlite3_stricmp(text, on[i]) == 0 || sqlite3_stricmp(text, off[i]) == 0) {
            *on_out = sqlite3_stricmp(text, on[i]) == 0;
            return SQLITE_OK;
        }
    }
    return htt_rc_say(message, SQLITE_ERROR, "%s=%s: on or off expected", name, text);
}

static int arguments_set_sync(htt_arguments *arguments, const char *text, char **message) {
    static const char *const words[] = {
        [HTT_SYNC_FULL] = "full", [HTT_SYNC_NORMAL] = "normal", [HTT_SYNC_OFF] = "off"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (sqlite3_stricmp(text, words[i]) == 0) {
            arguments->sync = (htt_sync)i;
            return SQLITE_OK;
        }
    }
    return htt_rc_say(message, SQLITE_ERROR, "sync=%s: full, normal or off expected", text);
}

static int arguments_set(htt_arguments *arguments, arguments_option option, const char *text,
                         char **message) {
    const char *const name = arguments_names[option];
    uint64_t number = 0;
    int rc = SQLITE_OK;
    switch (option) {
    case ARGUMENTS_PAGE_SIZE: return arguments_set_page_size(arguments, text, message);
    case ARGUMENTS_MMAP: return arguments_set_switch(name, text, &arguments->mmap, message);
    case ARGUMENTS_CHANGES: return arguments_set_switch(name, text, &arguments->changes, message);
    case ARGUMENTS_SYNC: return arguments_set_sync(arguments, text, message);
    case ARGUMENTS_CACHE_BYTES:
        rc = arguments_number(name, text, 1, INT64_MAX, &number, message);
        arguments->cache_bytes = number;
        return rc;
    case ARGUMENTS_WRITE_BUDGET:
        rc = arguments_number(name, text, 1, INT64_MAX, &number, message);
        arguments->write_budget = number;
        return rc;
    case ARGUMENTS_BUSY_TIMEOUT:
        rc = arguments_number(name, text, 0, INT32_MAX, &number, message);
        arguments->busy_timeout_ms = (uint32_t)number;
        arguments->has_busy_timeout = true;
        return rc;
    case ARGUMENTS_FOLD_ROWS:
        return arguments_number(name, text, 1, UINT32_MAX, &arguments->fold_rows, message);
    case ARGUMENTS_FOLD_BYTES:
        return arguments_number(name, text, 1, UINT32_MAX, &arguments->fold_bytes, message);
    case ARGUMENTS_CHANGES_KEEP:
        return arguments_number(name, text, 0, INT32_MAX, &arguments->changes_keep, message);
    case ARGUMENTS_OPTION_COUNT: break;
    }
    return SQLITE_INTERNAL; /* no such option */
}

/* One option; `seen` has a bit for each that came before. */
static int arguments_parse_option(htt_arguments *arguments, htt_token name, const char *rest,
                                  unsigned *seen, char **message) {
    if (htt_token_is(name, "filename")) {
        return htt_rc_say(message, SQLITE_ERROR, "the file is named twice");
    }
    for (unsigned i = 0; i < ARGUMENTS_OPTION_COUNT; i++) {
        if (!htt_token_is(name, arguments_names[i])) {
            continue;
        }
        if ((*seen & 1u << i) != 0) {
            return htt_rc_say(message, SQLITE_ERROR, "%s is given twice", arguments_names[i]);
        }
        *seen |= 1u << i;
        char *const text = arguments_bare(rest);
        if (text == NULL) {
            return SQLITE_NOMEM;
        }
        const int rc = arguments_set(arguments, (arguments_option)i, text, message);
        sqlite3_free(text);
        return rc;
    }
    return htt_rc_say(message, SQLITE_ERROR, "unknown option \"%.*s\"; there are: %s",
                      (int)name.size, name.start, ARGUMENTS_KNOWN);
}

int htt_arguments_parse(int argc, const char *const *argv, htt_arguments *arguments_out,
                        char **message_out) {
    unsigned seen = 0;
    *arguments_out = (htt_arguments){.mmap = true,
                                     .sync = HTT_SYNC_FULL,
                                     .fold_rows = HTT_ARGUMENTS_FOLD_ROWS,
                                     .fold_bytes = HTT_ARGUMENTS_FOLD_BYTES,
                                     .changes_keep = HTT_ARGUMENTS_CHANGES_KEEP};
    htt_declaration_init(&arguments_out->declaration);
    if (argc <= ARGUMENTS_FIRST) {
        return htt_rc_say(message_out, SQLITE_ERROR,
                          "the file is missing, as in USING htt('kv.htt')");
    }
    int rc = arguments_parse_file(argv[ARGUMENTS_FIRST], arguments_out, message_out);
    for (int i = ARGUMENTS_FIRST + 1; i < argc && rc == SQLITE_OK; i++) {
        htt_token name;
        const char *rest;
        if (arguments_is_option(argv[i], &name, &rest)) {
            rc = arguments_parse_option(arguments_out, name, rest, &seen, message_out);
        } else {
            rc = htt_declaration_add(&arguments_out->declaration, argv[i], message_out);
        }
    }
    if (rc == SQLITE_OK) {
        rc = htt_declaration_finish(&arguments_out->declaration, message_out);
    }
    return rc;
}

void htt_arguments_clear(htt_arguments *arguments) {
    sqlite3_free(arguments->file);
    htt_declaration_clear(&arguments->declaration);
    *arguments = (htt_arguments){0};
}

void htt_arguments_apply(const htt_arguments *arguments, htt_options *options) {
    if (!arguments->mmap) {
        options->flags |= HTT_OPEN_NO_MMAP;
    }
    if (arguments->cache_bytes > 0) {
        options->cache_bytes = arguments->cache_bytes;
    }
    if (arguments->write_budget > 0) {
        options->write_budget = arguments->write_budget;
    }
    if (arguments->has_busy_timeout) {
        options->busy_timeout_ms = arguments->busy_timeout_ms;
    }
    options->sync = arguments->sync;
    options->env = htt_arguments_env;
}
