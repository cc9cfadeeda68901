/* SPDX-License-Identifier: MIT */
/*
 * Staged rows: what a large transaction has put and no page holds yet. A page is worth writing
 * once; rows that come in random order would bring each page into memory and out again many times.
 * So they wait in memory, and when there is no more room for them, or somebody needs pages, they
 * settle: in the order of the tree, each page once (tree/settle.c).
 *
 *     put -> [ stage: table, entries, records ]  -- settle -->  pages
 *     get -> [ stage ] -> [ tree ]
 *
 * What must be known at the time of a put is known: whether the key was there. That the tree does
 * not have it is seen from an empty tree, from the filter, or by looking. Counts of rows and
 * payload are those of stage and tree together at any time.
 *
 *     slots      a hash table: 32 bits of the hash, 32 bits entry + 1; 0 = free
 *     chunks     entries, never moved:  { hash, record, size, over, gone }
 *     slabs      encoded records, one behind the other
 *     filter     one word of bits to a key, four bits set: keys that may be in the tree
 *
 * Invariants
 *   STAGE-1  An entry that is not gone has the newest content of its key.
 *   STAGE-2  `over` is set exactly when the tree has a row with the entry's key. That row has no
 *            overflow runs.
 *   STAGE-3  No two entries, and no entry and another key of the tree, have one and the same
 *            128-bit hash: what collides goes into pages at once, and is refused there if it must.
 *   STAGE-4  Every key of the tree is in the filter, if there is one.
 */
#ifndef HTT_TREE_STAGE_H
#define HTT_TREE_STAGE_H

#include "tree/internal.h"

typedef struct htt_staged {
    htt_hash hash;  /* of the key */
    uint8_t *bytes; /* the record, encoded */
    uint32_t size;  /* of it */
    bool over;      /* the tree has a row with this key */
    bool gone;      /* deleted, or in a page meanwhile by another way */
} htt_staged;

enum { HTT_STAGE_CHUNK = 512 }; /* entries allocated together */

/* Records, one behind the other. */
typedef struct htt_stage_slab {
    struct htt_stage_slab *next; /* filled after it */
    size_t size;                 /* of bytes[] */
    uint8_t bytes[];             /* records */
} htt_stage_slab;

typedef struct htt_stage {
    const htt_env *env;      /* whose memory */
    uint64_t limit;          /* bytes that all of this may take */
    uint64_t memory;         /* bytes allocated */
    htt_staged **chunks;     /* the entries */
    uint32_t chunk_count;    /* chunks allocated */
    uint32_t chunk_capacity; /* pointers allocated */
    uint32_t count;          /* entries in use */
    uint32_t live;           /* of them not gone */
    uint64_t *slots;         /* the table */
    uint32_t slot_mask;      /* slots - 1 */
    htt_stage_slab *slabs;   /* all, first filled first */
    htt_stage_slab *slab;    /* being filled */
    size_t slab_used;        /* bytes of it */
    uint64_t *filter;        /* or NULL */
    uint64_t filter_mask;    /* words - 1 */
} htt_stage;

static inline htt_staged *htt_stage_entry(const htt_stage *stage, uint32_t index) {
    return &stage->chunks[index / HTT_STAGE_CHUNK][index % HTT_STAGE_CHUNK];
}

/* The row of an entry: its record, borrowed. */
void htt_stage_record(const htt_staged *entry, htt_record *record_out);

/* Lets all entries go; the memory is kept for more. */
void htt_stage_clear(htt_stage *stage);

/* The tree is empty: from now on the filter knows its keys. Without memory there is none. */
void htt_stage_start_filter(htt_stage *stage);
void htt_stage_drop_filter(htt_stage *stage);
static inline void htt_stage_note(htt_stage *stage, htt_hash hash) {
    if (stage->filter != NULL)
        stage->filter[hash.high & stage->filter_mask] |=
            UINT64_C(1) << (hash.low & 63) | UINT64_C(1) << (hash.low >> 6 & 63) |
            UINT64_C(1) << (hash.low >> 12 & 63) | UINT64_C(1) << (hash.low >> 18 & 63);
}

#endif
