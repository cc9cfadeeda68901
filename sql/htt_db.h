/* SPDX-License-Identifier: MIT */
/*
 * htt_db: what repositories, units of work, events and sagas work in: a SQLite connection with one
 * of its schemas, or a fake of it in memory.
 *
 *     sqlite3 *connection;                       htt_db *db;
 *     sqlite3_open("shop.db", &connection);      htt_db_open_fake(NULL, &db);
 *     htt_db *db;
 *     htt_db_open(connection, NULL, &db);
 *     ...
 *     htt_db_close(db);
 *     sqlite3_close(connection);
 *
 * The conventions are those of htt.h: an htt_rc from every fallible function, outputs last and
 * untouched on failure, "borrowed until". After a failure htt_db_errmsg(db) says what is wrong
 * with what and what to do. A db, with all that was made from it, is used by one thread at a time.
 *
 * libhtt.so calls the SQLite that loaded it as an extension. Before any connection did, every
 * function that needs SQLite gives HTT_MISUSE. libhtt.a calls the SQLite that it is linked with.
 */
#ifndef HTT_DB_H
#define HTT_DB_H

#include "htt.h"

#ifdef __cplusplus
extern "C" {
#endif

struct sqlite3;
typedef struct htt_db htt_db;

/* ------------------------------------------------------------- platform */

/* Time and chance, so that a test decides both. `context` is each function's first argument. */
typedef struct htt_platform {
    void *context;                                          /* passed to the functions */
    int64_t (*now_ms)(void *context);                       /* since 1970 UTC; may go backwards */
    uint64_t (*random64)(void *context);                    /* 64 unpredictable bits */
    void (*sleep_ms)(void *context, uint64_t milliseconds); /* about as long */
} htt_platform;

/* The operating system's. Static storage. */
HTT_API const htt_platform *htt_platform_system(void);

/* ------------------------------------------------------------------- db */

typedef struct htt_db_options {
    size_t struct_size;           /* sizeof(htt_db_options), set by htt_db_options_init */
    const char *schema;           /* of the tables: "main" (default) or an attached database */
    const htt_platform *platform; /* copied; NULL = htt_platform_system() */
    htt_error *error;             /* filled when opening fails, there is no db to ask; or NULL */
} htt_db_options;

/* Defaults into `options`. Call it first, then change fields. */
HTT_API void htt_db_options_init(htt_db_options *options);

/*
 * Works in `connection`, which stays the caller's: close the db first, then the connection.
 * options NULL = defaults. Nothing is read or written; htt_db_install makes tables.
 * Errors: HTT_MISUSE (no SQLite loaded this libhtt.so, an unknown schema), HTT_NOMEM.
 */
HTT_API HTT_MUST_CHECK htt_rc htt_db_open(struct sqlite3 *connection, const htt_db_options *options,
                                          htt_db **db_out);

/*
 * A fake in memory that needs no SQLite: what is built on it passes the same tests as what is
 * built on a connection. Transactions and savepoints roll back. options.schema is not used.
 */
HTT_API HTT_MUST_CHECK htt_rc htt_db_open_fake(const htt_db_options *options, htt_db **db_out);

/*
 * Closes. NULL is allowed. HTT_MISUSE while units of work, repositories or others made from it
 * are open: the message names them, and the db stays as it was.
 */
HTT_API HTT_MUST_CHECK htt_rc htt_db_close(htt_db *db);

/*
 * The last error of a call on this db or on what was made from it. Borrowed until the next call.
 * NULL: why there can be no db now, as far as that is known without one.
 */
HTT_API const char *htt_db_errmsg(const htt_db *db);
/* Its result; HTT_OK when nothing failed yet. */
HTT_API htt_rc htt_db_errcode(const htt_db *db);
/* An application's own error, so that htt_db_errmsg gives it. Gives rc. */
HTT_API htt_rc htt_db_set_error(htt_db *db, htt_rc rc, const char *text);

/* The connection, NULL of a fake; and milliseconds since 1970 by the db's platform. */
HTT_API struct sqlite3 *htt_db_connection(const htt_db *db);
HTT_API int64_t htt_db_now_ms(const htt_db *db);

/* --------------------------------------------------------------- tables */

/*
 * Makes the tables of a part ("event", "saga", ...) where they are missing, in the running
 * transaction or in one of its own. Call it once after opening; it writes only the first time.
 * Each part is a row of htt_schema with its version. The same tables come from running the files
 * of sql/schema in the sqlite3 shell. In a fake there is nothing to make.
 *   HTT_MISUSE    no such part: the message names those that there are; or the db is NULL
 *   HTT_NEWER     the tables were made by a newer libhtt
 *   HTT_MISMATCH  a table was dropped or altered by hand: the message names it
 * and the errors of SQLite.
 */
HTT_API HTT_MUST_CHECK htt_rc htt_db_install(htt_db *db, const char *part);

#ifdef __cplusplus
}
#endif

#endif
