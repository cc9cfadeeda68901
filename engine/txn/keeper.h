/* SPDX-License-Identifier: MIT */
/*
 * The root keeper: who knows which root is the committed one.
 *
 * Standalone files keep their root themselves, in the two meta pages (keeper_meta.c). Everything
 * above works through this table only, so that another keeper can take its place.
 *
 *     reader   newest
 *     writer   [writer byte] base, { pages written, prepare }, publish [writer byte given back]
 *
 * newest may be called by any thread at any time; all others only while the caller holds the
 * store's writer byte. After a failure that leaves the disk in doubt the keeper is poisoned: base,
 * prepare, publish, declare and settle give HTT_POISONED until the store is opened again.
 */
#ifndef HTT_TXN_KEEPER_H
#define HTT_TXN_KEEPER_H

#include "page/meta.h"
#include "txn/lockfile.h"

typedef struct htt_keeper htt_keeper;

typedef struct htt_keeper_methods {
    /* The newest committed root. `fresh`: what is remembered does not do, look again. */
    htt_rc (*newest)(htt_keeper *keeper, bool fresh, htt_root *root_out, htt_error *error);
    /* The root that a write transaction starts from. HTT_READONLY: the file has another owner. */
    htt_rc (*base)(htt_keeper *keeper, htt_root *root_out, htt_error *error);
    /* The pages are in the file: makes them durable if a commit has to be. May be repeated. */
    htt_rc (*prepare)(htt_keeper *keeper, htt_error *error);
    /*
     * Makes `root` the committed one. Pages are written, and prepared since. `bytes`: about how
     * many were written. HTT_POISONED: it is unknown whether it is committed.
     */
    htt_rc (*publish)(htt_keeper *keeper, const htt_root *root, uint64_t bytes,
                      htt_error *error);
    /* After base: makes what is committed durable. `both`: also no older root stays in the file. */
    htt_rc (*settle)(htt_keeper *keeper, bool both, htt_error *error);
    /* After base: replaces the declaration, durably. */
    htt_rc (*declare)(htt_keeper *keeper, const char *declaration, htt_error *error);
    /* Memory only. */
    void (*close)(htt_keeper *keeper);
} htt_keeper_methods;

struct htt_keeper {
    const htt_keeper_methods *methods; /* of the kind of keeper */
};

/* ------------------------------------------------ the keeper of standalone files */

typedef struct htt_keeper_options {
    const htt_env *env;    /* outside */
    htt_file *file;        /* the store's */
    const char *path;      /* for messages; borrowed */
    htt_lockfile *lock;    /* shared state; NULL = pinless: nothing is shared */
    uint32_t page_size;    /* of the file */
    htt_sync sync;         /* how durable a commit is */
    bool readonly;         /* the file is never written */
    bool ignore_weak;      /* at the open: weak meta pages do not count (see HTT_LOST_BEFORE) */
    const htt_meta *fresh; /* private new file: no meta page is written before the first publish */
} htt_keeper_options;

htt_rc htt_keeper_meta_open(const htt_keeper_options *options, htt_keeper **keeper_out,
                            htt_error *error);

/*
 * Right after the open: by the first user, still alone, after the lock file was reset. Makes the
 * file durable, says so in the lock file, and turns a weak newest meta page into a steady one.
 */
htt_rc htt_keeper_meta_start(htt_keeper *keeper, htt_error *error);

/* The newest meta page as it was last read. */
const htt_meta *htt_keeper_meta_current(const htt_keeper *keeper);

/* A copy of the newest meta page, read anew if it has changed (or `fresh`). Any thread. */
htt_rc htt_keeper_meta_read(htt_keeper *keeper, bool fresh, htt_meta *meta_out, htt_error *error);
/* The same, and a mark of the meta pages as they are; 0 = they have none now. */
htt_rc htt_keeper_meta_read_at(htt_keeper *keeper, bool fresh, htt_meta *meta_out,
                               uint64_t *mark_out, htt_error *error);
/* They are as they were when this mark was given out. Not for 0. Thread-safe. */
bool htt_keeper_meta_is_at(const htt_keeper *keeper, uint64_t mark);

/* How many bytes may be written between two syncs with sync = normal; for tests. */
void htt_keeper_meta_set_unsynced_max(htt_keeper *keeper, uint64_t bytes);

/* ---------------------------------------------- files whose root is kept by a host */

/*
 * Only while the caller holds the writer byte. The meta pages follow behind what the host has
 * committed (docs/durability.md); a failure poisons this handle, and nobody else.
 */

/* The newest meta page, which is what all calls below start from. It is a steady one. */
htt_rc htt_keeper_host_enter(htt_keeper *keeper, htt_meta *meta_out, htt_error *error);
/*
 * Before the first page is written: {base, attempt} goes into the slot that is not the synced one.
 * It is synced at once if it replaces an attempt that is not `base`, or if `early_sync` asks for
 * it. Path and token of `owner_meta` are taken.
 */
htt_rc htt_keeper_host_attempt(htt_keeper *keeper, const htt_root *base, uint64_t attempt,
                               const htt_meta *owner_meta, bool early_sync, htt_error *error);
/*
 * All pages are written: one sync for them and for the meta page. HTT_MISUSE: the file was brought
 * to rest since the attempt.
 */
htt_rc htt_keeper_host_sync(htt_keeper *keeper, uint64_t attempt, htt_error *error);
/* After it: the host may commit the attempt from now on. */
void htt_keeper_host_arm(htt_keeper *keeper, uint64_t attempt);
/* What the host has committed may be lost: this handle writes no more pages. */
void htt_keeper_host_poison(htt_keeper *keeper);
/* At rest, durably: {root, no attempt}, of this owner. */
htt_rc htt_keeper_host_rest(htt_keeper *keeper, const htt_root *root, const htt_meta *owner_meta,
                            htt_error *error);
/*
 * The same in both slots, so that no older root is left in the file. *done_out false: it cannot be,
 * since the newest meta page has another root, or an attempt that may still be committed.
 */
htt_rc htt_keeper_host_rest_both(htt_keeper *keeper, const htt_root *root, bool *done_out,
                                 htt_error *error);
/* Owner and declaration alone, durably; root and attempt stay. */
htt_rc htt_keeper_host_rewrite(htt_keeper *keeper, const htt_meta *like, htt_error *error);

#endif
