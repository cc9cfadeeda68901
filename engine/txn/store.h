/* SPDX-License-Identifier: MIT */
/*
 * What the files of engine/txn share: stores, transactions, cursors. Not for other folders.
 *
 *   lockfile.c     who uses the file now            store.c     open, close, info, declare
 *   pinboard.c     pins of one handle               create.c    finding or making the file
 *   metas.c        the two meta pages               txn.c       begin, prepare, commit, abort
 *   keeper_meta.c  the committed root               savepoint.c rows.c cursor.c simple.c
 *   keeper_host.c  meta pages of hosted files       host.c      transactions of a host
 *   host_vacuum.c  giving their space back          stat.c check.c backup.c vacuum.c
 *
 * Locks, in the order in which they are taken: writer byte (and store->writing), store->mutex, the
 * keeper's own mutex. A transaction and its cursors belong to one thread at a time and have none.
 */
#ifndef HTT_TXN_STORE_H
#define HTT_TXN_STORE_H

#include <pthread.h>

#include "base/error.h"
#include "tree/tree.h"
#include "txn/keeper.h"
#include "txn/pinboard.h"

/* A declaration that htt_store_info may have given out. */
typedef struct store_text {
    struct store_text *next; /* the one before */
    char text[];             /* terminated */
} store_text;

struct htt_store {
    const htt_env *env;         /* outside */
    char *path;                 /* as given; owned */
    htt_file *file;             /* the data */
    htt_lockfile *lock;         /* NULL = pinless */
    htt_keeper *keeper;         /* the committed root */
    htt_pages *pages;           /* NULL = pinless: each pin has its own */
    uint64_t process;           /* that opened it */
    uint64_t seed;              /* of the hash */
    uint64_t cache_bytes;       /* budget of a page cache */
    uint64_t write_budget;      /* bytes of memory for a writer's pages */
    uint32_t busy_timeout_ms;   /* wait for another writer */
    uint32_t page_size;         /* bytes */
    uint8_t uuid[16];           /* of the file */
    bool readonly;              /* this handle cannot write */
    bool early_sync;            /* hosted: see htt_testing_set_early_sync */
    char owner[HTT_META_OWNER_MAX + 1]; /* at the open; "" = standalone */
    htt_hash_function hash;     /* htt_hash_key, or a test's */
    htt_tree_tuning tuning;     /* of writers */
    uint64_t stage_limit;       /* bytes of rows that wait for their pages; 0: by the budget */

    pthread_mutex_t mutex;      /* guards all below */
    htt_pinboard board;         /* pins */
    htt_lineage seen;           /* root that the page cache is right for */
    bool writing;               /* a write transaction of this handle */
    uint64_t nonces;            /* state of the generator of nonces */
    htt_txn *txns;              /* open ones */
    htt_cursor *orphans;        /* cursors whose transaction has ended */
    store_text *declarations;   /* newest first; owned */
    htt_error error;            /* of the last call without a transaction */
};

typedef struct txn_savepoint {
    uint32_t id;        /* as given out */
    uint32_t depth;     /* of the writer */
    htt_tree_root root; /* to go back to */
} txn_savepoint;

struct htt_txn {
    htt_store *store;             /* borrowed */
    htt_txn *next;                /* of store->txns */
    htt_txn **link;               /* what points here */
    bool write;                   /* HTT_WRITE */
    bool prepared;                /* write: `root` is in the file, nothing changed since */
    bool hosted;                  /* a host keeps the root */
    bool low_first;               /* write: pages go to the lowest free places */
    bool resting;                 /* hosted, read: the pin may be taken away */
    bool published;               /* hosted, write: a root was given to the host */
    htt_rc broken;                /* write: it can only be aborted, for this reason */
    htt_root base;                /* committed root that it sees, or started from */
    htt_root root;                /* write: filled in by the last flush */
    htt_pin *pin;                 /* read: keeps base */
    htt_pin *parked;              /* hosted, reset: its own pin, for the next time */
    uint64_t line_generation;     /* hosted: of the meta pages that knew base; 0 = of none */
    uint8_t line_record[HTT_META_ROOT_SIZE]; /* hosted: base, as the host keeps it */
    htt_view view;                /* what the tree reads through */
    htt_lineage viewed;           /* root that `view` and `tree` were set up for */
    htt_pins pins;                /* of the present call */
    htt_tree tree;                /* its root is the state that this transaction sees */
    htt_writer *writer;           /* write */
    htt_tree_buffer buffer;       /* a value put together from several runs */
    htt_tree_buffer *values;      /* the same, of htt_get_many; owned */
    size_t value_count;           /* of values */
    uint8_t *copy;                /* key and value of a put; owned */
    size_t copy_capacity;         /* of copy */
    txn_savepoint *savepoints;    /* open ones; owned */
    uint32_t savepoint_count;     /* of savepoints */
    uint32_t savepoint_capacity;  /* allocated */
    uint32_t savepoint_last;      /* last id given out */
    htt_cursor *cursors;          /* open ones */
    htt_error error;              /* of the last call */
};

struct htt_cursor {
    htt_store *store;        /* borrowed */
    htt_txn *txn;            /* NULL when it has ended */
    htt_cursor *next;        /* of txn->cursors or store->orphans */
    htt_cursor **link;       /* what points here */
    htt_pin *pin;            /* keeps what it walks over */
    uint64_t freeze;         /* of the writer; 0 = none */
    htt_tree_root root;      /* that it walks over */
    bool aborted;            /* what it saw is gone */
    bool on_row;             /* `record` is a row */
    htt_view view;           /* its own */
    htt_pins pins;           /* its own */
    htt_tree_cursor *cursor; /* the walk */
    htt_record record;       /* the current row */
    htt_tree_buffer key;     /* a key from several runs */
    htt_tree_buffer buffer;  /* a value from several runs */
    htt_datum value;         /* of the current row */
    bool has_value;          /* it was read */
    htt_error error;         /* of the last call */
};

/* ------------------------------------------------------------------ store.c */

/* Keeps a declaration that htt_store_info gives out. */
htt_rc htt_store_add_declaration(htt_store *store, const char *declaration, htt_error *error);
void htt_store_drop_declaration(htt_store *store);

/* The handle was made before fork(): gives HTT_MISUSE. */
htt_rc htt_store_check_process(const htt_store *store, htt_error *error);
/* Keeps an error for htt_errmsg; gives its rc. */
htt_rc htt_store_fail(htt_store *store, const htt_error *error);

/* A new file that only this handle can see: no lock file, no meta pages before the first commit.
 * For htt_backup. */
htt_rc htt_store_open_private(const char *path, const htt_options *options, htt_store **store_out,
                              htt_error *error);
/* Closes without any last write. */
void htt_store_drop(htt_store *store);

/* ----------------------------------------------------------------- create.c */

/* A file that was opened, and what its meta pages say. */
typedef struct htt_opening {
    const htt_options *options; /* complete */
    const htt_env *env;         /* outside */
    const char *path;           /* of the file */
    char *lock_path;            /* of the lock file; owned by the caller */
    htt_file *file;             /* the data */
    htt_lockfile *lock;         /* NULL = pinless */
    htt_keeper *keeper;         /* the committed root */
    bool created;               /* by this open */
    bool readonly;              /* for whatever reason */
} htt_opening;

/* Opens or creates the file, its lock file and its keeper; joins its users. On failure closes
 * what it opened. */
htt_rc htt_opening_run(htt_opening *opening, htt_error *error);
/* Creates a private file. */
htt_rc htt_opening_run_private(htt_opening *opening, htt_error *error);
/* Closes all of it. */
void htt_opening_undo(htt_opening *opening);

/* -------------------------------------------------------------------- txn.c */

/* At the begin of a call: forgets the last error. HTT_MISUSE: no transaction; or why it is
 * broken. */
htt_rc htt_txn_enter(htt_txn *txn);
/* The same for a call that changes something. HTT_READONLY: a read transaction. */
htt_rc htt_txn_enter_write(htt_txn *txn);
/* At its end: sees to it that htt_txn_error tells the result. Gives it. */
htt_rc htt_txn_leave(htt_txn *txn, htt_rc rc);
/* Lets go what the last call gave out. */
void htt_txn_forget(htt_txn *txn);
/* Whether a write transaction differs from what it started from, or a cursor of it does. */
bool htt_txn_changed(const htt_txn *txn);
/* Rows that wait for their pages get them; for whatever looks at pages. */
htt_rc htt_txn_settle(htt_txn *txn);
/* Writes all pages to the file; txn->root is the whole root then. */
htt_rc htt_txn_flush(htt_txn *txn);

/* A transaction without a state yet; NULL: *error is set. */
htt_txn *htt_txn_new(htt_store *store, bool write, htt_error *error);
/*
 * Begins, or goes on, to read txn->base. HTT_SNAPSHOT: it may be gone. The size of the file is
 * checked when the root is another than before.
 */
htt_rc htt_txn_pin_base(htt_txn *txn, htt_error *error);
/*
 * Begins to write pages upon txn->base, under the writer byte; all roots will have this nonce.
 * `budget`: bytes of memory for pages, 0 = the store's.
 */
htt_rc htt_txn_begin_pages(htt_txn *txn, uint64_t nonce, bool low_first, uint64_t budget,
                           htt_error *error);
uint64_t htt_txn_next_nonce(htt_store *store);
/* The root that was published is the committed one. */
void htt_txn_note_committed(htt_txn *txn);
/* The end of every transaction. `forked`: in a child of fork(). */
void htt_txn_end(htt_txn *txn, bool committed, bool forked);

typedef struct htt_txn_options {
    bool write;     /* HTT_WRITE */
    bool low_first; /* vacuum */
    bool no_wait;   /* HTT_BUSY at once */
} htt_txn_options;
htt_rc htt_txn_begin(htt_store *store, htt_txn_options options, htt_txn **txn_out,
                     htt_error *error);
/* Commits although no row changed: what the flush made of the free list. The rest as htt_commit. */
htt_rc htt_txn_commit_always(htt_txn *txn, htt_error *error);
/* The writer's right, without a transaction. HTT_BUSY. */
htt_rc htt_txn_take_writer(htt_store *store, bool no_wait, htt_error *error);
htt_rc htt_txn_take_writer_within(htt_store *store, uint32_t wait_ms, htt_error *error);
void htt_txn_give_writer(htt_store *store);

/* ------------------------------------------------------------------- stat.c */

/* Pages that hold the free list of the root that the transaction started from. */
htt_rc htt_txn_count_free_list(htt_txn *txn, uint32_t *pages_out);

/* ----------------------------------------------------------------- vacuum.c */

/* In a write transaction with low_first: pages of the tree move to the lowest free pages. 0: none
 * could. The error is the transaction's. */
htt_rc htt_vacuum_move(htt_txn *txn, uint64_t *moved_out);
/* Size of the file. */
htt_rc htt_vacuum_size(htt_store *store, uint64_t *bytes_out, htt_error *error);

/* ----------------------------------------------------------------- cursor.c */

/* A write transaction ends: its cursors go on or not. Called before the writer ends. */
void htt_cursor_detach_all(htt_txn *txn, bool committed);
/* Frees cursors that the user did not close. */
void htt_cursor_free_list(htt_cursor **list);

#endif
