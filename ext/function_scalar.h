/* SPDX-License-Identifier: MIT */
/*
 * What the scalar functions have in common: their first argument names a table.
 */
#ifndef HTT_EXT_FUNCTION_SCALAR_H
#define HTT_EXT_FUNCTION_SCALAR_H

#include "vtab.h"

/* The registry of a function that htt_function_scalar_register has registered. */
htt_registry *htt_function_scalar_registry(sqlite3_context *context);

/* Registers a function with a reference to the registry. */
int htt_function_scalar_register(htt_registry *registry, const char *name, int argc, int flags,
                                 void (*call)(sqlite3_context *, int, sqlite3_value **));

/*
 * The table that `name` means, a text [schema.]table, with its file open. NULL: the error is the
 * function's result.
 */
htt_table *htt_function_scalar_table(sqlite3_context *context, sqlite3_value *name);

/* The same without opening the file. Valid until the next SQL of ours (htt_snapshot_hold). */
htt_table *htt_function_scalar_find(sqlite3_context *context, sqlite3_value *name);

/* Makes an error the function's result. Frees the message. */
void htt_function_scalar_fail(sqlite3_context *context, int rc, char *message);

#endif
