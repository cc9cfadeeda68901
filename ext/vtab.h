/* SPDX-License-Identifier: MIT */
/*
 * The virtual table: one htt_table for each sqlite3_vtab.
 */
#ifndef HTT_EXT_VTAB_H
#define HTT_EXT_VTAB_H

#include "api.h"
#include "arguments.h"
#include "buffer.h"
#include "connection.h"

typedef struct htt_table {
    sqlite3_vtab base;          /* must be first */
    htt_registry *registry;     /* borrowed */
    struct htt_table *next;     /* list of the registry */
    char *schema;               /* owned */
    char *name;                 /* the table's name now; owned */
    htt_arguments arguments;    /* what was declared */
    htt_connection *connection; /* the file; counted by htt_connection_attach */
    htt_cell *cells;            /* a cell for each column, for xUpdate; owned */
    htt_datum *datums;          /* a datum for each column, for xUpdate; owned */
    htt_buffer row;             /* for an encoded row */
    htt_surrogate_texts texts;  /* what cells of the running xUpdate borrow */
} htt_table;

/* Registers module `htt`. Takes a reference to the registry. */
int htt_vtab_register(htt_registry *registry);

/* Opens the table's file if it is not open; the message goes to the vtab. */
int htt_vtab_open(htt_table *table);

/*
 * Finds a table by its name, connecting it if need be. `schema` NULL: the first schema that has
 * such a table. An SQLite code, *message_out on failure.
 */
int htt_vtab_find(htt_registry *registry, const char *schema, const char *name,
                  htt_table **table_out, char **message_out);

/* The live table of another file in the schema with this path or uuid, NULL = none. */
const htt_table *htt_vtab_find_file(const htt_table *besides, const char *schema, const char *path,
                                    const uint8_t *uuid);

#endif
