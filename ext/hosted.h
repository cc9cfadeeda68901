/* SPDX-License-Identifier: MIT */
/*
 * A file whose root this database keeps (docs/durability.md).
 *
 *     state of a snapshot  =  htt_store.root in it  +  rows of htt_outbox in it with seq > root.seq
 *
 * What is in memory is a cache of that: a reader (the engine's read transaction over the root, with
 * the overlay of the rows behind it), and in a large write transaction the engine's writer.
 *
 *                 first touch               first change of pages
 *     NOT BASED ---------------> SMALL  ---------------------------> LARGE
 *                                rows go into htt_outbox             rows go into pages
 *                                and the overlay                     root into htt_store at xSync
 *          ^                       |  ^                                |
 *          | commit, rollback      |  +---- rolled back behind it -----+
 *          +-----------------------+-----------------------------------+
 *
 * Invariants (docs/durability.md numbers those of the protocol)
 *   HOSTED-1  Nothing in memory is believed across a rollback, a commit of others, or the end of a
 *             write transaction that wrote pages or the row: it is compared with the host again
 *             (`known`). Across a commit of our own it is: xSync compared the newest row, and the
 *             database's version tells that nobody else has committed since (fold_is_ours).
 *   HOSTED-2  In SMALL the overlay is the outbox as of this transaction; a row is inserted before
 *             it is added.
 *   HOSTED-3  Once rows of this transaction are deleted (`direct`), a failure to publish ends it.
 *   HOSTED-4  No SQL runs in xCommit and xRollback.
 */
#ifndef HTT_EXT_HOSTED_H
#define HTT_EXT_HOSTED_H

#include <stdbool.h>
#include <stdint.h>

#include "connection.h"
#include "host_file.h"
#include "outbox.h"

enum { HTT_HOSTED_FOUND = 48 }; /* bytes of a longer key are not remembered */

/* What a cursor of a statement that writes has found last: the statement changes it next. */
typedef struct htt_hosted_found {
    bool set;                        /* there is something */
    uint8_t type;                    /* of the key */
    uint8_t size;                    /* of the key */
    size_t length;                   /* of the overlay, which has not been cut since */
    uint8_t bytes[HTT_HOSTED_FOUND]; /* of the key */
} htt_hosted_found;

struct htt_hosted {
    htt_outbox *outbox;      /* statements; owned */
    htt_host_file file;      /* of the database */
    htt_host_owner owner;    /* this database, as the meta page would say it */
    htt_reader *state;       /* newest known state; one reference; NULL = none */
    htt_outbox_store row;    /* of htt_store as last read or written */
    bool known;              /* row and state are those of `version` */
    bool gone;               /* the last look found no row, or that of a dropped table */
    uint32_t version;        /* of the database */
    uint64_t fold_rows;      /* rows in the outbox that make a commit fold */
    uint64_t fold_bytes;     /* bytes of keys and values that do */
    bool changes;            /* every change stays in the outbox as a row */
    uint64_t changes_keep;   /* rows that stay there */
    uint64_t seen_epoch;     /* of the meta page when a snapshot was gone, 0 = never */
    uint64_t folded;         /* rows that the last fold put into pages */
    char *unfolded;          /* why the last one that was due did not come; NULL = it did; owned */
    htt_hosted_found found;  /* in `state` */
    bool wrote;              /* this connection has committed something */
    uint64_t trimmed;        /* seq of the root whose rows were trimmed; committed */
    uint64_t fits;           /* generation of the file with which `row` fitted it; 0 = none */
    uint64_t calm;           /* the same: and no attempt had to be acknowledged */

    /* Of the running write transaction: */
    bool based;              /* base, kind are known */
    htt_reader *held;        /* SMALL: the state, kept awake; NULL = none */
    htt_host_kind kind;      /* how the host commits */
    htt_host_root base;      /* committed root that it began with */
    uint64_t acked;          /* of the committed row */
    uint64_t nonce;          /* of the attempt that wrote pages, 0 = none did */
    size_t begin;            /* entries of the overlay at its begin */
    uint64_t trimming;       /* as `trimmed`, in this transaction */
    bool direct;             /* LARGE: something is in pages that is in no row */
    bool settled;            /* what earlier transactions left to do is done */
    bool stuck;              /* pages could not be written: not tried again before the commit */
    bool rewritten;          /* the row in htt_store: `row` is what it was before */
    bool alone;              /* all changes were made in autocommit, by one statement */
    bool compared;           /* xSync found the outbox as the overlay says; nothing came since */
    bool fold_wanted;        /* fold at the commit */
    bool dropped;            /* the table was dropped: the file is released after the commit */
    bool claimed;            /* the file was nobody's before this transaction */
    uint64_t claim;          /* generation of the file when we wrote its meta page last */
    uint64_t seq;            /* LARGE: last seq given out */
    uint64_t token;          /* LARGE: its token */
};

/* All that return int give an SQLite code and set *message_out on failure (sqlite3_free). */

/* For a connection whose store is open. Nothing, and SQLITE_OK, where the database has no file. */
int htt_hosted_attach(htt_connection *connection, const htt_arguments *arguments,
                      char **message_out);
/* The file names this database as its owner. */
bool htt_hosted_owns(const htt_connection *connection);
/* That, or it is nobody's, and it can be written. */
bool htt_hosted_can_claim(const htt_connection *connection);
/* The connection is about to go: folds, if nobody else has the file open (hosted_close.c). */
void htt_hosted_close(htt_connection *connection);
void htt_hosted_free(htt_hosted *hosted);

/* ------------------------------------------------------------------ reading (hosted_read.c) */

/* Brings row and state up to date with the snapshot of the running statement. */
int htt_hosted_refresh(htt_connection *connection, char **message_out);
/* The newest state, with one more reference; awake. Only where the row has a root. */
int htt_hosted_take(htt_connection *connection, htt_reader **reader_out, char **message_out);
void htt_hosted_give(htt_connection *connection, htt_reader *reader);
/* Forgets the state; cursors that use it keep it. */
void htt_hosted_forget(htt_hosted *hosted);
/*
 * Rolled back: cuts the overlay. What cursors see of it is gone for them, unless they are spared:
 * then they keep the old one. No SQL.
 */
void htt_hosted_cut(htt_hosted *hosted, size_t length, bool spare_cursors);
/* About how many rows there are, as far as is known without looking. */
uint64_t htt_hosted_estimate(const htt_hosted *hosted);
/* A cursor that reads `source` has found this key. */
void htt_hosted_note(htt_hosted *hosted, const htt_source *source, htt_datum key);
/* It was found, and nothing has changed since. False says nothing. SMALL. */
bool htt_hosted_is_noted(const htt_hosted *hosted, htt_datum key);
/* Lets go what a write transaction holds. */
void htt_hosted_release(htt_connection *connection);

/* ----------------------------------------------------------------- writing (hosted_write.c) */

/* Makes the file this database's, until a rollback if it was nobody's. *root_out: its root. */
htt_rc htt_hosted_claim(htt_connection *connection, htt_host_root *root_out);
/* The first touch of a write transaction, and after a rollback within it. */
int htt_hosted_begin(htt_connection *connection, char **message_out);
/* Before every change. */
int htt_hosted_change(htt_connection *connection, char **message_out);
/*
 * A row that is there is replaced, one that is not there is no error. `insert`, only in LARGE: the
 * key must be new; *exists_out true: it is not, and nothing has changed. Else left alone.
 */
int htt_hosted_put(htt_connection *connection, htt_datum key, htt_datum value, bool insert,
                   bool *exists_out, char **message_out);
int htt_hosted_del(htt_connection *connection, htt_datum key, char **message_out);
/* Deletes one key and puts another, or neither. */
int htt_hosted_move(htt_connection *connection, htt_datum old_key, htt_datum key, htt_datum value,
                    char **message_out);

/* -------------------------------------------------------------------- folds (hosted_fold.c) */

/* From SMALL to LARGE. SQLITE_BUSY and others: it stays SMALL, and nothing is lost. */
int htt_hosted_enlarge(htt_connection *connection, char **message_out);
/* The same in the midst of a statement, for one that is too large for the outbox. */
int htt_hosted_enlarge_for_good(htt_connection *connection, char **message_out);
/* The outcome of an earlier attempt is open: no pages can be written in this transaction. */
int htt_hosted_is_in_doubt(htt_connection *connection, bool *open_out, char **message_out);
/* SMALL: declares a lost attempt dead, so that a later transaction may write pages. */
int htt_hosted_acknowledge(htt_connection *connection, char **message_out);
/* From LARGE back to what the host's rows say: behind the place where LARGE began. */
void htt_hosted_shrink(htt_connection *connection);
/*
 * LARGE: pages to the disk, root into htt_store. Folded rows are trimmed by htt_hosted_trim.
 * `commits`: the database commits next; else it may take the root back without leaving a doubt.
 */
int htt_hosted_publish(htt_connection *connection, bool commits, char **message_out);
/*
 * Deletes rows up to `seq` that nobody waits for, once for each seq. Within a statement of the user
 * only: what is deleted would count as changes() of his COMMIT.
 */
int htt_hosted_trim(htt_connection *connection, uint64_t seq, char **message_out);

/* ----------------------------------------------------------- DROP, CREATE (hosted_drop.c) */

/* The table goes: everything into pages, the row says so. *done_out false: nothing is hosted. */
int htt_hosted_drop(htt_connection *connection, bool *done_out, char **message_out);
/* A new table: a new row, or the one that a DROP of the same file left. */
int htt_hosted_create_row(htt_connection *connection, const uint8_t uuid[16], char **message_out);

/* SQLite's callbacks (hosted_fold.c). */
int htt_hosted_sync(htt_connection *connection, char **message_out);
void htt_hosted_commit(htt_connection *connection);
void htt_hosted_rollback(htt_connection *connection);

#endif
