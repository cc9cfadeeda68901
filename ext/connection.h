/* SPDX-License-Identifier: MIT */
/*
 * What the module keeps for one SQLite connection, and for each file that it has open.
 *
 *   htt_registry     one for each sqlite3*: owned by the module and the functions together
 *     htt_table      one for each sqlite3_vtab (vtab.h)
 *     htt_connection one for each (schema, file): the open store and its transactions
 *       htt_reader   a read transaction, shared by cursors
 *
 * A htt_connection, not a sqlite3_vtab, holds the state: in one SQLite transaction one table may
 * have two live sqlite3_vtab, and a table that is dropped may come back by a rollback. It lives
 * as long as a table, a cursor or a transaction needs it.
 *
 * Reading: while a write transaction is joined, everything reads in the engine's write
 * transaction. Otherwise cursors share one read transaction; it ends with the last of them. After
 * a commit of our own, new cursors get a new one, older cursors keep theirs.
 */
#ifndef HTT_EXT_CONNECTION_H
#define HTT_EXT_CONNECTION_H

#include <stdbool.h>
#include <stdint.h>

#include "affinity.h"
#include "api.h"
#include "arguments.h"
#include "engine/htt_host.h"
#include "source.h"
#include "transaction.h"

typedef struct htt_registry htt_registry;
typedef struct htt_connection htt_connection;
typedef struct htt_hosted htt_hosted;
struct htt_table;

struct htt_registry {
    sqlite3 *db;                 /* borrowed */
    unsigned references;         /* of the module and the functions */
    htt_connection *connections; /* list, the newest first */
    struct htt_table *tables;    /* list, the newest first */
    htt_results results;         /* how values go to SQLite */
    bool witness_joined;         /* the witness is in the running transaction (witness.h) */
};

typedef struct htt_scan htt_scan; /* a cursor, cursor.h */

typedef struct htt_reader {
    htt_txn *txn;         /* a read transaction; owned */
    unsigned references;  /* cursors that use it */
    bool awake;           /* hosted: txn is begun, and its pages are kept */
    bool resting;         /* hosted, not awake: a writer may take the pages away */
    htt_overlay *overlay; /* hosted: what is in front of it; owned; else NULL */
    htt_host_root root;   /* hosted: that txn reads */
} htt_reader;

struct htt_connection {
    htt_registry *registry;      /* borrowed */
    htt_connection *next;        /* list of the registry */
    char *schema;                /* owned */
    char *path;                  /* resolved; owned */
    char *name;                  /* as the table names it; owned */
    htt_store *store;            /* NULL = not open; owned */
    htt_hosted *hosted;          /* NULL = the file keeps its own root; owned */
    bool hostless;               /* the database has no file */
    bool replaced;               /* the store is not the one that htt_store names any more */
    bool mapped;                 /* values may be borrowed until the read transaction ends */
    uint32_t page_size;          /* bytes, 0 = not open */
    unsigned tables;             /* live htt_table */
    unsigned cursors;            /* live cursors */
    htt_reader *reader;          /* what new cursors share, NULL = none; owned by its cursors */
    htt_reader *idle;            /* a reader that was reset, to be used again; NULL = none; owned */
    htt_scan *idle_scan;         /* a closed cursor, to be used again; NULL = none; owned */
    htt_txn *writer;             /* the engine's write transaction, NULL = none; owned */
    htt_transaction transaction; /* where SQLite's transaction stands */
    uint64_t rows;               /* estimate for the planner */
    char *poison;                /* why nothing works any more, NULL = it does; owned */
};

/* A registry with one reference, NULL: out of memory. Freed with the last reference. */
htt_registry *htt_registry_new(sqlite3 *db);
void htt_registry_reference(htt_registry *registry);
void htt_registry_release(void *registry);

/*
 * The connection of (schema, path), made where there is none, not yet opened. Counts as a table
 * until htt_connection_detach.
 */
int htt_connection_attach(htt_registry *registry, const char *schema, const char *path,
                          const char *name, htt_connection **connection_out);
void htt_connection_detach(htt_connection *connection);

/*
 * Keeps it while SQL runs within a function: SQLite may find that the schema has changed, and
 * disconnect all tables and connect them anew. The htt_table must not be used after that.
 */
void htt_connection_hold(htt_connection *connection);
void htt_connection_let_go(htt_connection *connection);

/* Frees it if nothing needs it any more. */
void htt_connection_settle(htt_connection *connection);

/* Takes a store that was opened with these arguments. */
void htt_connection_adopt(htt_connection *connection, const htt_arguments *arguments,
                          htt_store *store);

/*
 * Opens the file if it is not open: only the file whose uuid stands in htt_store, never creating
 * anything. An SQLite code, *message_out on failure.
 */
int htt_connection_open(htt_connection *connection, const htt_arguments *arguments,
                        char **message_out);

/* Closes the file, which the next use opens again. Nothing reads or writes in it. */
void htt_connection_close(htt_connection *connection);

/*
 * What to read in. A cursor passes its own `reader`: what it holds until htt_connection_release,
 * NULL at first; with the engine's write transaction it is left alone. A cursor that holds a hosted
 * state keeps it, and then *source stays as it was.
 */
int htt_connection_acquire(htt_connection *connection, htt_reader **reader, htt_source *source,
                           char **message_out);
void htt_connection_release(htt_connection *connection, htt_reader **reader);

/* Begins the engine's write transaction if there is none. */
int htt_connection_begin_write(htt_connection *connection, char **message_out);

/* From now on every use fails with this text. */
void htt_connection_poison(htt_connection *connection, const char *why);

/* Rows in the file, as far as is known, for the planner. */
uint64_t htt_connection_estimate(htt_connection *connection);

#endif
