/* SPDX-License-Identifier: MIT */
/*
 * The SQL of one store on htt_store and htt_outbox, as prepared statements that are kept. This file
 * and store_row.c hold all SQL on these tables (their schema: sql/schema).
 *
 *     htt_outbox.id = store id * 2^40 + seq, seq counts from 1 per store without holes
 *
 * Everything here runs inside of a statement or transaction of the user. last_insert_rowid() stays
 * as it was. All give an SQLite code and set *message_out on failure (sqlite3_free); a message
 * names the table it is about.
 */
#ifndef HTT_EXT_OUTBOX_H
#define HTT_EXT_OUTBOX_H

#include <stdbool.h>

#include "api.h"
#include "engine/htt_host.h"
#include "overlay.h"

#define HTT_OUTBOX_SEQ_BITS 40
#define HTT_OUTBOX_SEQ_MAX ((INT64_C(1) << HTT_OUTBOX_SEQ_BITS) - 1)

typedef enum htt_store_state { HTT_STORE_LIVE, HTT_STORE_DROPPED } htt_store_state;

/* A row of htt_store. */
typedef struct htt_outbox_store {
    sqlite3_int64 id;      /* of the store */
    uint8_t uuid[16];      /* of the file */
    bool has_root;         /* false: the file keeps its own root */
    htt_host_root root;    /* if it has one */
    uint64_t acked;        /* attempt that was declared dead, 0 = none */
    htt_store_state state; /* what became of the table */
} htt_outbox_store;

/* A row of htt_outbox. */
typedef struct htt_outbox_row {
    uint64_t seq;    /* of the store */
    htt_op op;       /* what it does */
    htt_datum key;   /* borrowed until the next call */
    htt_datum value; /* borrowed until the next call */
    uint64_t token;  /* of the chain */
} htt_outbox_row;

typedef struct htt_outbox htt_outbox;

/* For the store named `name` in the schema; nothing is prepared yet. NULL: out of memory. */
htt_outbox *htt_outbox_new(sqlite3 *db, const char *schema, const char *name);
/* Finalizes all statements. */
void htt_outbox_free(htt_outbox *outbox);

/*
 * The store's row. *found_out false: no such row or table. SQLITE_CORRUPT_VTAB with a message: its
 * root record is damaged. Remembers the store's id for the calls below.
 */
int htt_outbox_read_store(htt_outbox *outbox, bool *found_out, htt_outbox_store *store_out,
                          char **message_out);

/* Newest row with seq <= `most`. *found_out false: none. Only seq and token are filled in. */
int htt_outbox_read_last(htt_outbox *outbox, uint64_t most, bool *found_out,
                         htt_outbox_row *row_out, char **message_out);

/* The token of row `seq`. *found_out false: there is no such row. */
int htt_outbox_read_token(htt_outbox *outbox, uint64_t seq, bool *found_out, uint64_t *token_out,
                          char **message_out);

/*
 * Rows with seq > `after`, in order: begin, next until *found_out is false. The walk ends by itself
 * then; htt_outbox_end_rows ends it early. SQLITE_CORRUPT_VTAB: a row that makes no sense, or a
 * hole (the next seq is not the one expected, the first being after + 1).
 */
int htt_outbox_begin_rows(htt_outbox *outbox, uint64_t after, char **message_out);
int htt_outbox_next_row(htt_outbox *outbox, bool *found_out, htt_outbox_row *row_out,
                        char **message_out);
void htt_outbox_end_rows(htt_outbox *outbox);

/*
 * Appends one or two rows (`rows[1].seq` = `rows[0].seq` + 1), both or none. Whatever else the
 * statement changed, by a trigger, is noticed: SQLITE_IOERR, so that SQLite rolls the transaction
 * back, with a message that names the trigger. A row with this id already: SQLITE_CORRUPT_VTAB.
 */
int htt_outbox_append(htt_outbox *outbox, const htt_outbox_row *rows, int count,
                      char **message_out);

/*
 * UPDATE htt_store SET root = ?, where the root is still `before` (NULL: none). *same_out false: it
 * is not; nothing was changed. Triggers as above.
 */
int htt_outbox_write_root(htt_outbox *outbox, const htt_host_root *before,
                          const htt_host_root *root, bool *same_out, char **message_out);
/* Puts a root in place of the one that is there, without counting as a change (outbox_root.c). */
int htt_outbox_replace_root(sqlite3 *db, const char *schema, sqlite3_int64 store,
                            const htt_host_root *root, char **message_out);
int htt_outbox_write_acked(htt_outbox *outbox, uint64_t acked, char **message_out);
int htt_outbox_write_state(htt_outbox *outbox, htt_store_state state, char **message_out);

/* Deletes rows with seq <= `most`, but for the newest row of the store unless `all`. */
int htt_outbox_trim(htt_outbox *outbox, uint64_t most, bool all, char **message_out);
/* Deletes the row of the store, its outbox rows and its consumers. */
int htt_outbox_delete_store(htt_outbox *outbox, char **message_out);

/* The lowest seq that a registered consumer has acknowledged. *found_out false: there is none. */
int htt_outbox_read_consumers(htt_outbox *outbox, bool *found_out, uint64_t *acknowledged_out,
                              char **message_out);

#endif
