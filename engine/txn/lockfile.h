/* SPDX-License-Identifier: MIT */
/*
 * The lock file "<path>-lock": who uses the store now. All users map it writable. It holds nothing
 * that must survive a power cut, and it is never removed. Numbers are in the machine's own order:
 * the file is memory that the processes of one machine share.
 *
 *   OFFSET   SIZE  FIELD
 *        0      8  magic, written last when the file is initialised; 0 = not initialised
 *        8     16  uuid of the store's file; while the file is made, the mark of create.c
 *       24      8  its device
 *       32      8  its inode
 *       40     24  zero
 *       64      8  R, the reuse horizon: pages that died at or before it may be gone
 *       72      8  synced epoch: of the newest root whose meta page is known to be on the disk
 *       80      8  generation: odd while a meta page is being written, else grows by two each time
 *       88      8  bytes written since the last sync (sync = normal)
 *       96      8  armed: nonce of an attempt of the hosted keeper, else 0
 *      104      4  synced slot: meta page 0 or 1; 2 = unknown
 *      108      4  slots used: slots at or above this were never taken
 *      112      4  lost: nobody may write until all users have left (HTT_LOST_...)
 *      116     12  zero
 *      128     64  reader slot 0:  { u64 epoch, u32 state, u32 process, u64 since, 40 zero }
 *      192     64  reader slot 1
 *                  ... 2046 slots, 131072 bytes in all
 *
 *   0       64       128      192      256                                   131072
 *   +-------+--------+--------+--------+-- - - - - - - - - - - - - --+--------+
 *   | who   | state  | slot 0 | slot 1 |                             |slot2045|
 *   +-------+--------+--------+--------+-- - - - - - - - - - - - - --+--------+
 *
 * Locks (open file descriptions, released by the kernel when their process dies) are on bytes
 * behind the end:
 *
 *   131072      init    shared by every user; exclusive while the first user sets the file up
 *   131073      writer  exclusive in a write transaction
 *   131088 + i  slot i  exclusive as long as a user owns the slot, pinned or not
 *
 * Invariants
 *   LOCK-1  A slot is written only by the holder of its byte; but a writer may turn IDLE into FREE,
 *           and the holder IDLE into ACTIVE, each by a compare and swap, so one of them wins.
 *   LOCK-2  R, the synced fields, `lost` and the generation are written only by the holder of the
 *           writer byte, or by the first user while it holds the init byte exclusively.
 *   LOCK-3  R <= epoch of the newest root. A reader that has stored its epoch in a slot and then
 *           finds R <= epoch keeps all pages of its root.
 */
#ifndef HTT_TXN_LOCKFILE_H
#define HTT_TXN_LOCKFILE_H

#include <assert.h>
#include <stdatomic.h>

#include "htt_env.h"

#define HTT_LOCK_SLOTS 2046u
#define HTT_LOCK_SIZE 131072u
#define HTT_LOCK_SUFFIX "-lock"

enum { /* offsets of locks */
    HTT_LOCK_BYTE_INIT = HTT_LOCK_SIZE,
    HTT_LOCK_BYTE_WRITER = HTT_LOCK_SIZE + 1,
    HTT_LOCK_BYTE_SLOTS = HTT_LOCK_SIZE + 16
};

enum { /* states of a slot */
    HTT_SLOT_FREE = 0,
    HTT_SLOT_ACTIVE = 1,
    HTT_SLOT_IDLE = 2 /* a pin that a writer may take (hosted keeper) */
};

enum { /* values of `lost` */
    HTT_LOST_NONE = 0,
    HTT_LOST_HERE = 1,   /* a sync failed: present users have seen states that may not survive */
    HTT_LOST_BEFORE = 2, /* they are gone: weak meta pages do not count until one is written anew */
    HTT_LOST_PAGE = 3    /* a meta page write failed: what is newest is not sure among users */
};

#define HTT_SYNCED_UNKNOWN 2u /* synced slot */
#define HTT_NO_PIN UINT64_MAX

typedef struct htt_lock_slot {
    _Atomic uint64_t epoch;   /* pinned when the state is not FREE */
    _Atomic uint32_t state;   /* HTT_SLOT_... */
    _Atomic uint32_t process; /* owner's process id, for people who look; 0 = never owned */
    _Atomic uint64_t since;   /* IDLE: env's clock, in milliseconds */
    uint8_t unused[40];       /* one slot to a cache line */
} htt_lock_slot;

/* Shared memory, not bytes of a file format: the one struct here that lies over a mapping. */
typedef struct htt_lock_area {
    _Atomic uint64_t magic;           /* see the table above for all of these */
    uint8_t uuid[16];                 /* of the store's file */
    uint64_t device;                  /* of the store's file */
    uint64_t inode;                   /* of the store's file */
    uint8_t unused1[24];              /* to the next cache line */
    _Atomic uint64_t horizon;         /* R */
    _Atomic uint64_t synced_epoch;    /* of the root in the synced slot */
    _Atomic uint64_t generation;      /* odd: a meta page is being written */
    _Atomic uint64_t unsynced_bytes;  /* since the last sync */
    _Atomic uint64_t armed;           /* hosted keeper */
    _Atomic uint32_t synced_slot;     /* 0, 1, HTT_SYNCED_UNKNOWN */
    _Atomic uint32_t slots_used;      /* bound of scans */
    _Atomic uint32_t lost;            /* HTT_LOST_... */
    uint8_t unused2[12];              /* to the next cache line */
    htt_lock_slot slots[HTT_LOCK_SLOTS]; /* readers */
} htt_lock_area;

static_assert(sizeof(htt_lock_slot) == 64, "one slot to a cache line");
static_assert(offsetof(htt_lock_area, horizon) == 64, "layout");
static_assert(offsetof(htt_lock_area, slots) == 128, "layout");
static_assert(sizeof(htt_lock_area) == HTT_LOCK_SIZE, "layout");

/* Which file a lock file belongs to. */
typedef struct htt_lock_identity {
    uint8_t uuid[16]; /* of the store */
    uint64_t device;  /* st_dev */
    uint64_t inode;   /* st_ino */
} htt_lock_identity;

typedef struct htt_lockfile {
    const htt_env *env;                    /* outside */
    htt_file *file;                        /* NULL = private: memory of this handle alone */
    htt_lock_area *area;                   /* the mapping, or memory */
    bool first;                            /* holds the init byte exclusively */
    bool known;                            /* after reset: it was this file's before */
    uint64_t own[HTT_LOCK_SLOTS / 64 + 1]; /* bit set: this handle holds the slot's byte */
} htt_lockfile;

/*
 * Opens or creates the lock file of a store and takes the init byte. lock->first: nobody else uses
 * it, and nobody can until htt_lockfile_share; then call htt_lockfile_reset. Otherwise it is
 * initialised, and htt_lockfile_matches tells whether it belongs to this file.
 * HTT_READONLY: no right to write it. HTT_CANTOPEN, HTT_IO, HTT_FULL, HTT_NOMEM, HTT_BUSY.
 */
htt_rc htt_lockfile_open(const htt_env *env, const char *lock_path, htt_lockfile **lock_out,
                         htt_error *error);
/* The same without a file: for one handle alone, which is the first and only user. */
htt_rc htt_lockfile_open_private(const htt_env *env, htt_lockfile **lock_out, htt_error *error);
/* `forked`: only gives memory and descriptors back, changes nothing. NULL is allowed. */
void htt_lockfile_close(htt_lockfile *lock, bool forked);

bool htt_lockfile_matches(const htt_lockfile *lock, const htt_lock_identity *identity);
/* First user only. R := epoch, synced unknown, slots cleared; if the lock file belonged to this
 * file before, `armed` stays, and of `lost` a failed sync (as HTT_LOST_BEFORE). */
void htt_lockfile_reset(htt_lockfile *lock, const htt_lock_identity *identity, uint64_t epoch);
/* First user only: lets others in. */
htt_rc htt_lockfile_share(htt_lockfile *lock, htt_error *error);

/* No other handle uses the lock file at this moment. */
bool htt_lockfile_is_alone(htt_lockfile *lock);

/* Writer byte: HTT_OK, HTT_BUSY (no error text), HTT_IO. A handle must not take it twice. */
htt_rc htt_lockfile_take_writer(htt_lockfile *lock, htt_error *error);
void htt_lockfile_give_writer(htt_lockfile *lock);

/* A slot for this handle; it stays its own until the close. HTT_FULL: all are taken. Calls of
 * one handle must not overlap (also of lowest_pin and count_pins). */
htt_rc htt_lockfile_take_slot(htt_lockfile *lock, uint32_t *slot_out, htt_error *error);

/* Pins an epoch in an own slot. False: R is above it, and the pin was taken back. */
static inline bool htt_lockfile_pin(htt_lockfile *lock, uint32_t slot, uint64_t epoch) {
    htt_lock_slot *const place = &lock->area->slots[slot];

    assert(slot < HTT_LOCK_SLOTS);
    atomic_store_explicit(&place->epoch, epoch, memory_order_relaxed);
    /* Sequentially consistent, both: pairs with htt_lockfile_reuse_limit. */
    atomic_store(&place->state, HTT_SLOT_ACTIVE);
    if (atomic_load(&lock->area->horizon) <= epoch)
        return true;
    atomic_store_explicit(&place->state, HTT_SLOT_FREE, memory_order_release);
    return false;
}
static inline void htt_lockfile_unpin(htt_lockfile *lock, uint32_t slot) {
    atomic_store_explicit(&lock->area->slots[slot].state, HTT_SLOT_FREE, memory_order_release);
}

/* The pin may be taken away from now on. */
static inline void htt_lockfile_rest(htt_lockfile *lock, uint32_t slot, uint64_t now_ms) {
    htt_lock_slot *const place = &lock->area->slots[slot];

    assert(slot < HTT_LOCK_SLOTS);
    atomic_store_explicit(&place->since, now_ms, memory_order_relaxed);
    atomic_store(&place->state, HTT_SLOT_IDLE);
}
/* Takes an idle pin back. False: a writer was faster; it may still be pinned anew. */
static inline bool htt_lockfile_wake(htt_lockfile *lock, uint32_t slot) {
    uint32_t idle = HTT_SLOT_IDLE;

    return atomic_compare_exchange_strong(&lock->area->slots[slot].state, &idle, HTT_SLOT_ACTIVE);
}

/*
 * Under the writer byte: takes idle pins below `epoch` away, those that have been idle for `age_ms`
 * or longer.
 */
void htt_lockfile_take_idle(htt_lockfile *lock, uint64_t epoch, uint64_t now_ms, uint64_t age_ms);
/* The highest pinned epoch, 0 = none. */
uint64_t htt_lockfile_highest_pin(htt_lockfile *lock);

/* The lowest pinned epoch, or HTT_NO_PIN. Slots of dead owners are cleared on the way. */
uint64_t htt_lockfile_lowest_pin(htt_lockfile *lock);
/* Pinned slots now. */
uint32_t htt_lockfile_count_pins(htt_lockfile *lock);

/* Under the writer byte: the epoch up to which dead pages may be overwritten. Raises R to it. */
uint64_t htt_lockfile_reuse_limit(htt_lockfile *lock);

#endif
