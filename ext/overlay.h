/* SPDX-License-Identifier: MIT */
/*
 * The overlay: changes that are in the outbox and not yet in the file, in memory, in front of the
 * tree. It is a log in the order of the outbox with an index by key.
 *
 *     log     [0] put a    [1] del b    [2] put a    [3] put c          length 4
 *     index   a -> 2 -> 0     b -> 1     c -> 3        (newest first; `previous`, back: `next`)
 *
 * Who reads remembers the length that it began with: changes behind it do not exist for it. So
 * a cursor keeps its state while rows are added, and undoing is cutting the log.
 *
 *   OVERLAY-1  Entry i is the outbox row with seq = first_seq + i.
 *   OVERLAY-2  The chain of a key goes through falling indexes.
 *   OVERLAY-3  After reserve, one add of that size cannot fail.
 *   OVERLAY-4  What find and at give stays where it is until the entry is cut off.
 */
#ifndef HTT_EXT_OVERLAY_H
#define HTT_EXT_OVERLAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/htt.h"

/* What an outbox row does; numbers are stored in htt_outbox.op. */
typedef enum htt_op {
    HTT_OP_PUT = 1, /* the value is one SQLite value */
    HTT_OP_ROW = 2, /* the value is an encoded row of several columns (HTT_ROW) */
    HTT_OP_DEL = 3  /* the key is deleted; no value */
} htt_op;

typedef struct htt_change {
    htt_datum key;     /* as it was written; bytes owned by the overlay */
    htt_datum value;   /* HTT_NULL for a deletion; bytes owned by the overlay */
    uint64_t token;    /* of the outbox row */
    uint64_t hash;     /* of the key */
    uint32_t previous; /* older entry of the same key + 1; 0 = none */
    uint32_t next;     /* newer entry of the same key + 1; 0 = none */
    uint32_t born;     /* what htt_overlay_mark is made of */
    uint8_t op;        /* htt_op */
} htt_change;

typedef struct htt_overlay htt_overlay;

/* NULL: out of memory. */
htt_overlay *htt_overlay_new(void);
void htt_overlay_free(htt_overlay *overlay);

/* Entries. */
size_t htt_overlay_length(const htt_overlay *overlay);
/* Bytes of keys and values of all entries. */
uint64_t htt_overlay_bytes(const htt_overlay *overlay);

/*
 * Room for `count` more entries whose keys and values have `bytes` bytes together, until the next
 * reserve or cut. SQLITE_OK or SQLITE_NOMEM; then nothing has changed.
 */
int htt_overlay_reserve(htt_overlay *overlay, size_t count, size_t bytes);
/* Appends an entry; copies its datums. Cannot fail after reserve. */
void htt_overlay_add(htt_overlay *overlay, htt_op op, htt_datum key, htt_datum value,
                     uint64_t token);
/* Cuts the log to `length` entries; no more than there are. Cannot fail. */
void htt_overlay_cut(htt_overlay *overlay, size_t length);
/*
 * Another number when an entry below `length` has been cut off since, whatever came after it: what
 * was borrowed from below `length` is gone then. 0: there are fewer entries.
 */
uint32_t htt_overlay_mark(const htt_overlay *overlay, size_t length);

/* Entry `index`; there must be one. */
const htt_change *htt_overlay_at(const htt_overlay *overlay, size_t index);
/* The newest entry of a key among the first `length`, NULL = none. Past the end there is none. */
const htt_change *htt_overlay_find(const htt_overlay *overlay, size_t length, htt_datum key);
/* Entry `index` is the newest of its key among the first `length`. */
bool htt_overlay_is_newest(const htt_overlay *overlay, size_t length, size_t index);

#endif
