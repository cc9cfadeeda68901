/* SPDX-License-Identifier: MIT */
/*
 * For a program that keeps the root of a store itself: the *host*, a database whose own commit is
 * to be the commit of the store as well. The SQLite module is one; docs/durability.md has the
 * protocol, its rules and why each is needed.
 *
 * The host stores a root record (128 bytes) in its own transaction. Pages are written copy-on-write
 * and are named by nothing else, so the store's state is whatever record the host's state holds.
 *
 *     htt_host_claim(store, &owner, &root);                   once: the file belongs to this host
 *     -- host: begin; read base = the record in the host --
 *     htt_host_begin_write(store, &write, &txn);              rules of reuse and of identity
 *     htt_put(txn, ...); htt_del(txn, ...);                   as in any write transaction
 *     htt_host_publish(txn, seq, &root);                      pages are on the disk
 *     -- host: put root.record into its row; commit --
 *     htt_host_finish(txn, true);
 *
 * A reader passes the record of its host's snapshot to htt_host_begin_read. Everything else of
 * htt.h works on these transactions, but for htt_commit and htt_prepare (HTT_MISUSE).
 *
 * "The host's write lock" below: whatever lets one writer of the host at a time in. Calls that need
 * it say so.
 */
#ifndef HTT_HOST_H
#define HTT_HOST_H

#include "htt.h"

#ifdef __cplusplus
extern "C" {
#endif

#define HTT_HOST_RECORD_SIZE 128u
#define HTT_HOST_PATH_MAX 512u

/* A root record, and what it says. */
typedef struct htt_host_root {
    uint8_t record[HTT_HOST_RECORD_SIZE]; /* what the host keeps; has its own checksum */
    uint8_t uuid[16];                     /* of the file */
    uint64_t epoch;                       /* counts up by one along a line of roots */
    uint64_t nonce;                       /* of the host transaction that made it */
    uint64_t parent_epoch;                /* the committed root that it was made from */
    uint64_t parent_nonce;                /* its nonce */
    uint64_t seq;                         /* last outbox row that is folded in */
    uint64_t keys;                        /* rows */
    uint64_t bytes;                       /* payload */
    uint32_t page_count;                  /* pages of the file that belong to it */
} htt_host_root;

/* Reads a record. HTT_CORRUPT: size, checksum or a field is wrong. `error` may be NULL. */
HTT_API HTT_MUST_CHECK htt_rc htt_host_root_read(const void *record, size_t size,
                                                 htt_host_root *root_out, htt_error *error);

/* Whose file it is. */
typedef struct htt_host_owner {
    char path[HTT_HOST_PATH_MAX + 1]; /* of the host, relative to the file; "" = nobody's */
    uint64_t device;                  /* of the host's file */
    uint64_t inode;                   /* of the host's file */
} htt_host_owner;

/*
 * Describes the host at `host_path` as owner of the store. HTT_IO, HTT_TOOBIG (the path). Both
 * paths are compared as text, without "." and "..".
 */
HTT_API HTT_MUST_CHECK htt_rc htt_host_describe(htt_store *store, const char *host_path,
                                                htt_host_owner *owner_out);
/* Path or file are the same: it is this host, moved or not. */
HTT_API bool htt_host_is_owner(const htt_host_owner *owner, const htt_host_owner *described);

/* What the newest meta page says. */
typedef struct htt_host_meta {
    htt_host_owner owner; /* path "" = standalone */
    htt_host_root root;   /* m: the newest root known to be durable in the host */
    uint64_t attempt;     /* nonce of the last host transaction that wrote pages; 0 = none */
    uint64_t armed;       /* nonce of the last one that had all of them on the disk */
} htt_host_meta;
HTT_API HTT_MUST_CHECK htt_rc htt_host_read_meta(htt_store *store, htt_host_meta *meta_out);
/*
 * Another number after every change of the meta pages, whoever makes it; 0: it cannot be told, or
 * one is being made. Under the host's write lock, what the calls of this header found in the meta
 * pages still holds where the number is the same, and not 0.
 */
HTT_API uint64_t htt_host_generation(const htt_store *store);

/* ---------------------------------------------------------- ownership, at rest */

/*
 * Makes a standalone file this host's, durably. The meta page of one that is it already is written
 * again, with its path as it is now: who made it so cannot take that back any more. *root_out: m.
 * Host's write lock. HTT_READONLY: it has
 * another owner, or the handle cannot write. HTT_BUSY, HTT_IO, HTT_POISONED.
 */
HTT_API HTT_MUST_CHECK htt_rc htt_host_claim(htt_store *store, const htt_host_owner *owner,
                                             htt_host_root *root_out);

/*
 * Takes htt_host_claim back, for a host transaction that did not commit: the file is nobody's
 * again. `generation`: htt_host_generation after the claim, or later, while this transaction had
 * the writer's right. The host's lock is given back by now: where the meta page is another since,
 * somebody has taken the file up, and nothing is done; HTT_OK. The same where the transaction has
 * an armed attempt. Not to be called where a recovery of the host may bring the commit back.
 */
HTT_API HTT_MUST_CHECK htt_rc htt_host_unclaim(htt_store *store, const htt_host_owner *owner,
                                               uint64_t generation);

/*
 * Brings the file up to `root`, which the host has durably committed. `release`: it belongs to
 * nobody then, and opens as a standalone file. `txn`: NULL, or a write transaction of this handle
 * that has the writer's right. HTT_MISMATCH: the file is on another line of roots.
 */
HTT_API HTT_MUST_CHECK htt_rc htt_host_checkpoint(htt_store *store, const htt_host_root *root,
                                                  bool release, htt_txn *txn);

/* Nobody else has the file open now. A newcomer may come at once. */
HTT_API bool htt_host_is_alone(htt_store *store);

/* Replaces the declaration, as htt_store_declare does, in a hosted file. */
HTT_API HTT_MUST_CHECK htt_rc htt_host_declare(htt_store *store, const char *declaration);

/* ------------------------------------------------------------------- reading */

/*
 * Is `root` the host's newest one in this file's line? HTT_MISMATCH: no; the text says which of
 * both is older, or that another host went on with the file. Exact only while the host's root
 * cannot change (its write lock); otherwise HTT_MISMATCH may only mean that it did.
 */
HTT_API HTT_MUST_CHECK htt_rc htt_host_check_root(htt_store *store, const htt_host_root *root);

/*
 * A read transaction over `root`. HTT_SNAPSHOT: pages of it were used again: begin a new host
 * transaction. HTT_MISMATCH: the file is not in the line of this root.
 */
HTT_API HTT_MUST_CHECK htt_rc htt_host_begin_read(htt_store *store, const htt_host_root *root,
                                                  htt_txn **txn_out);
/* As htt_renew, for a transaction of htt_host_begin_read after htt_reset or htt_host_rest. */
HTT_API HTT_MUST_CHECK htt_rc htt_host_renew(htt_txn *txn, const htt_host_root *root);
/*
 * Nobody reads now, but the snapshot may be asked for again. A writer that needs the space may
 * take it away: then htt_host_wake gives HTT_SNAPSHOT. No other call is allowed in between.
 */
HTT_API void htt_host_rest(htt_txn *txn);
HTT_API HTT_MUST_CHECK htt_rc htt_host_wake(htt_txn *txn);

/* ------------------------------------------------------------------- writing */

typedef struct htt_host_write {
    const htt_host_root *base; /* committed root that the host's transaction began with */
    uint64_t acked;            /* attempt that the host's row calls dead, 0 = none */
    bool certain;              /* an attempt that was not seen to commit cannot come back: hosts
                                  with a rollback journal */
    const htt_host_owner *owner; /* put into the meta page */
    uint64_t nonce;            /* of pages that this host transaction wrote before, 0 = none; the
                                  host's row, and all of its savepoints, must be at `base` again */
    uint32_t wait_ms;          /* for another holder of the writer's right */
    bool low_first;            /* pages go to the lowest free places: htt_host_vacuum_step */
    uint64_t budget;           /* bytes of memory for pages, 0 = all that the store has for them.
                                  Rows in the order of htt_host_order need little, and go into
                                  their pages at once */
    /* Makes what the host has committed durable, its directory too. Gives an errno value. */
    int (*barrier)(void *arg);
    void *arg;                 /* of barrier */
} htt_host_write;

/*
 * The attempt that must be acknowledged in the host's row before pages can be written, 0 = none.
 * `own`: nonce of this very host transaction, 0 = it has written no pages.
 */
HTT_API HTT_MUST_CHECK htt_rc htt_host_outstanding(htt_store *store, const htt_host_write *write,
                                                   uint64_t own, uint64_t *attempt_out);

/*
 * Begins to write pages. Host's write lock, until the end of the host's transaction. HTT_BUSY: not
 * now (another holder of the writer's right, an attempt to be acknowledged, a reader of a newer
 * root); a host that can do without goes on without. HTT_MISMATCH, HTT_POISONED, HTT_READONLY,
 * HTT_IO, HTT_FULL, HTT_NOMEM. After a failure that may have hurt the disk this handle writes no
 * more pages (HTT_POISONED) until it is opened again.
 */
HTT_API HTT_MUST_CHECK htt_rc htt_host_begin_write(htt_store *store, const htt_host_write *write,
                                                   htt_txn **txn_out);

/* The nonce of all roots of this transaction. */
HTT_API uint64_t htt_host_nonce(const htt_txn *txn);

/*
 * Writes and syncs all pages; *root_out may then be put into the host's row. May be repeated after
 * more changes: roots given out before stay whole until the transaction ends.
 */
HTT_API HTT_MUST_CHECK htt_rc htt_host_flush(htt_txn *txn, uint64_t seq,
                                             htt_host_root *root_out);

/*
 * The same right before the host's commit: from now on the outcome of this attempt is open until
 * the host's row tells it.
 */
HTT_API HTT_MUST_CHECK htt_rc htt_host_publish(htt_txn *txn, uint64_t seq,
                                               htt_host_root *root_out);

/*
 * Ends a write transaction. `committed`: as far as is known the host has committed the last root.
 * Cursors go on over it; nothing else depends on it.
 */
HTT_API void htt_host_finish(htt_txn *txn, bool committed);

/* -------------------------------------------------------------------- vacuum */

/*
 * Gives space back to the file system, in transactions that the host commits one by one:
 *
 *     htt_host_begin_write(low_first); htt_host_vacuum_step; htt_host_publish; the host commits
 *     htt_host_checkpoint                      what was given up can be used by the next step
 *         ... until a step moves nothing, and the root of htt_host_flush is no shorter than its
 *         base: that transaction ends without a commit
 *     htt_host_cut
 *
 * A step moves pages of the tree to the lowest free places. *moved_out 0: none could be moved; it
 * is worth its commit all the same when pages at the end are free: see page_count of the roots.
 */
HTT_API HTT_MUST_CHECK htt_rc htt_host_vacuum_step(htt_txn *txn, uint64_t *moved_out);

/*
 * Cuts off what lies behind `root`, the newest root that the host has durably committed and that
 * htt_host_checkpoint was told of. Readers of older roots that only rest lose them. *bytes_out: how
 * much shorter the file is. HTT_BUSY: somebody may need what is behind (a reader of an older root,
 * or an attempt whose outcome is open: that needs the checkpoint of a later root), or the writer's
 * right is taken. HTT_MISMATCH: it is not the newest root of this file's line.
 */
HTT_API HTT_MUST_CHECK htt_rc htt_host_cut(htt_store *store, const htt_host_root *root,
                                           uint64_t *bytes_out);

/* ------------------------------------------------------------- small helpers */

/*
 * A chain over outbox rows: the token of a row from that of the row before, the row's number, kind
 * and datums. A row that was changed, lost or exchanged breaks it.
 */
HTT_API uint64_t htt_host_token(uint64_t before, uint64_t seq, unsigned op, htt_datum key,
                                htt_datum value);
/* The token that the first row past `root` goes on from. */
HTT_API uint64_t htt_host_first_token(const htt_host_root *root);

/*
 * Rows that are put or deleted in rising order of this number come to neighbouring pages one after
 * the other. For a tree that holds much more than them: a small one grows crooked by that, and has
 * no order (0). Of a write transaction; what it was before the first change serves for all.
 */
HTT_API uint32_t htt_host_order(htt_txn *txn, htt_datum key);

/* A hash of a key, equal for equal keys. */
HTT_API uint64_t htt_host_hash(htt_datum key);
/* Keys are equal: class and bytes. */
HTT_API bool htt_host_same_key(htt_datum a, htt_datum b);

#ifdef __cplusplus
}
#endif

#endif
