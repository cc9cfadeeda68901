/* SPDX-License-Identifier: MIT */
/*
 * Entry point of the extension: `.load ./libhtt`, or sqlite3_auto_extension with libhtt.a.
 * Registers the modules and functions of one connection, and nothing else.
 */
#include <sqlite3ext.h>

#include "engine/htt.h"

#ifndef SQLITE_CORE
SQLITE_EXTENSION_INIT1
#endif

#include "function.h"
#include "htt_sqlite.h"
#include "vtab.h"
#include "witness.h"

enum { EXT_SQLITE_MIN = 3040001 }; /* older ones lack functions that we call */

/* Loading it twice into a connection is loading it once. */
static int ext_is_loaded(sqlite3 *db) {
    sqlite3_stmt *statement = NULL;
    int found = 0;
    if (sqlite3_prepare_v2(db, "SELECT 1 FROM pragma_module_list WHERE name = 'htt'", -1,
                           &statement, NULL) == SQLITE_OK) {
        found = sqlite3_step(statement) == SQLITE_ROW;
    }
    sqlite3_finalize(statement);
    return found;
}

static int ext_register(htt_registry *registry) {
    int (*const registers[])(htt_registry *) = {
        htt_witness_register,         htt_vtab_register,           htt_function_register_version,
        htt_function_register_stat,   htt_function_register_check, htt_function_register_backup,
        htt_function_register_vacuum, htt_function_register_row,
        htt_function_register_changes,
        htt_function_register_fold,   htt_function_register_adopt, htt_function_register_gc,
    };
    for (size_t i = 0; i < sizeof registers / sizeof registers[0]; i++) {
        const int rc = registers[i](registry);
        if (rc != SQLITE_OK) {
            return rc;
        }
    }
    return SQLITE_OK;
}

int sqlite3_htt_init(sqlite3 *db, char **message_out, const sqlite3_api_routines *api) {
#ifdef SQLITE_CORE
    (void)api;
#else
    SQLITE_EXTENSION_INIT2(api);
#endif
    if (sqlite3_libversion_number() < EXT_SQLITE_MIN) {
        if (message_out != NULL) {
            *message_out = sqlite3_mprintf("libhtt needs SQLite 3.40.1 or newer, this is %s",
                                           sqlite3_libversion());
        }
        return SQLITE_ERROR;
    }
    if (ext_is_loaded(db)) {
        return SQLITE_OK;
    }
    htt_registry *const registry = htt_registry_new(db);
    if (registry == NULL) {
        return SQLITE_NOMEM;
    }
    const int rc = ext_register(registry);
    if (rc != SQLITE_OK && message_out != NULL) {
        *message_out = sqlite3_mprintf("libhtt: %s", sqlite3_errmsg(db));
    }
    htt_registry_release(registry);
    return rc;
}
