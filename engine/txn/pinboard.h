/* SPDX-License-Identifier: MIT */
/*
 * Pins of one store handle. A pin keeps the pages of one root from being reused, by an epoch in a
 * reader slot of the lock file. Transactions and cursors of the same epoch share one; it is let
 * go with its last user. Slots stay with the handle and are used again without a system call.
 *
 * A handle that has no right to write the lock file works without pins ("pinless"): each pin then
 * has a page cache of its own instead, so that pages of different states never meet in one cache,
 * and a page that was reused shows by its stamp.
 *
 * An "own" pin is never shared with another transaction. While its transaction is its only user,
 * it is rested, woken, parked and unparked by that transaction's thread without the mutex: that
 * touches the pin and its slot alone.
 *
 * Not thread-safe but for that: the store's mutex guards it.
 */
#ifndef HTT_TXN_PINBOARD_H
#define HTT_TXN_PINBOARD_H

#include "pager/pages.h"
#include "txn/lockfile.h"

typedef struct htt_pin {
    struct htt_pin *next; /* of the live ones, or of the spare ones */
    uint64_t epoch;       /* what the slot says; may be below what a user of it needs */
    uint32_t slot;        /* own slot of the lock file */
    uint32_t users;       /* 0 = spare */
    uint32_t resting;     /* of them; all = a writer may take the pin away */
    bool lost;            /* it was taken away */
    bool own;             /* of one transaction, and of cursors of it */
    htt_pages *pages;     /* pinless: pages of this state; else NULL */
} htt_pin;

typedef struct htt_pinboard {
    const htt_env *env;   /* memory */
    htt_lockfile *lock;   /* slots; NULL = pinless */
    htt_pin *live;        /* in use, the newest first */
    htt_pin *spare;       /* with a slot, not in use */
} htt_pinboard;

/*
 * Pins the state of `epoch`. HTT_SNAPSHOT (no error text): pages of it may be gone already, take a
 * newer root. HTT_FULL, HTT_NOMEM, HTT_IO. `pages` of a pinless pin are the caller's to make.
 */
htt_rc htt_pinboard_take(htt_pinboard *board, uint64_t epoch, htt_pin **pin_out,
                         htt_error *error);
/*
 * The same, as an own pin: of a handle with a lock file. HTT_FULL: there is no slot left, and an
 * older pin is no help.
 */
htt_rc htt_pinboard_take_own(htt_pinboard *board, uint64_t epoch, htt_pin **pin_out,
                             htt_error *error);
/* An own pin with one user lets its state go and keeps the slot. No mutex. */
void htt_pinboard_park(htt_pinboard *board, htt_pin *pin);
/* It pins a state again. False: pages of it may be gone; still parked. No mutex. */
bool htt_pinboard_unpark(htt_pinboard *board, htt_pin *pin, uint64_t epoch);
/* One user less; an awake one, or a parked pin's. */
void htt_pinboard_give(htt_pinboard *board, htt_pin *pin);
/* One user does not need the pin now; when none does, a writer may take it away. */
void htt_pinboard_rest(htt_pinboard *board, htt_pin *pin);
/* The user needs it again. False: it was taken away, and pages may be gone; still awake. */
bool htt_pinboard_wake(htt_pinboard *board, htt_pin *pin);
/* All memory; pins in use too. Slots are the lock file's. */
void htt_pinboard_free(htt_pinboard *board);

#endif
