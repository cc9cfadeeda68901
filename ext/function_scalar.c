/* SPDX-License-Identifier: MIT */
/*
 * Scalar functions: registering, and finding the table they are about.
 */
#include "function_scalar.h"

#include <stddef.h>

#include "function.h"
#include "rc.h"
#include "token.h"

htt_registry *htt_function_scalar_registry(sqlite3_context *context) {
    return sqlite3_user_data(context);
}

int htt_function_scalar_register(htt_registry *registry, const char *name, int argc, int flags,
                                 void (*call)(sqlite3_context *, int, sqlite3_value **)) {
    htt_registry_reference(registry);
    return sqlite3_create_function_v2(registry->db, name, argc, SQLITE_UTF8 | flags, registry, call,
                                      NULL, NULL, htt_registry_release);
}

void htt_function_scalar_fail(sqlite3_context *context, int rc, char *message) {
    if (rc == SQLITE_NOMEM) {
        sqlite3_result_error_nomem(context);
    } else {
        sqlite3_result_error(context, message == NULL ? sqlite3_errstr(rc) : message, -1);
        sqlite3_result_error_code(context, rc);
    }
    sqlite3_free(message);
}

/* Cuts "schema.table"; parts may be quoted. *schema_out NULL = not given. */
static int scalar_split(const char *text, char **schema_out, char **name_out, char **message_out) {
    const char *at = text;
    const htt_token first = htt_token_next(&at);
    const htt_token dot = htt_token_next(&at);
    const htt_token second = htt_token_next(&at);
    const bool named = first.kind == HTT_TOKEN_WORD || first.kind == HTT_TOKEN_QUOTED;
    const bool both = second.kind == HTT_TOKEN_WORD || second.kind == HTT_TOKEN_QUOTED;
    if (named && dot.kind == HTT_TOKEN_END) {
        *name_out = htt_token_text(first);
        return *name_out == NULL ? SQLITE_NOMEM : SQLITE_OK;
    }
    if (!named || !htt_token_is_sign(dot, '.') || !both ||
        htt_token_peek(at).kind != HTT_TOKEN_END) {
        return htt_rc_say(message_out, SQLITE_ERROR,
                          "\"%s\": a table expected, as in 'kv' or 'main.kv'", text);
    }
    *schema_out = htt_token_text(first);
    *name_out = htt_token_text(second);
    return *schema_out == NULL || *name_out == NULL ? SQLITE_NOMEM : SQLITE_OK;
}

htt_table *htt_function_scalar_find(sqlite3_context *context, sqlite3_value *name) {
    htt_registry *const registry = htt_function_scalar_registry(context);
    const char *const text = (const char *)sqlite3_value_text(name);
    char *schema = NULL;
    char *table_name = NULL;
    char *message = NULL;
    htt_table *table = NULL;
    int rc = scalar_split(text == NULL ? "" : text, &schema, &table_name, &message);
    if (rc == SQLITE_OK) {
        rc = htt_vtab_find(registry, schema, table_name, &table, &message);
    }
    sqlite3_free(schema);
    sqlite3_free(table_name);
    if (rc != SQLITE_OK) {
        htt_function_scalar_fail(context, rc, message);
        return NULL;
    }
    return table;
}

htt_table *htt_function_scalar_table(sqlite3_context *context, sqlite3_value *name) {
    htt_table *const table = htt_function_scalar_find(context, name);
    char *message = NULL;
    if (table == NULL) {
        return NULL;
    }
    const int rc = htt_connection_open(table->connection, &table->arguments, &message);
    if (rc != SQLITE_OK) {
        htt_function_scalar_fail(context, rc, message);
        return NULL;
    }
    return table;
}

/* ---------------------------------------------------------------- version */

static void version_call(sqlite3_context *context, int argc, sqlite3_value **argv) {
    (void)argc;
    (void)argv;
    sqlite3_result_text(context, htt_version(), -1, SQLITE_STATIC);
}

int htt_function_register_version(htt_registry *registry) {
    return htt_function_scalar_register(registry, "htt_version", 0,
                                        SQLITE_DETERMINISTIC | SQLITE_INNOCUOUS, version_call);
}
