/* SPDX-License-Identifier: MIT */
/*
 * What keeper_meta.c (the file keeps its own root) and keeper_host.c (a host keeps it, the meta
 * pages follow) share. Not for other files.
 */
#ifndef HTT_TXN_KEEPER_PRIVATE_H
#define HTT_TXN_KEEPER_PRIVATE_H

#include <pthread.h>

#include "txn/keeper.h"
#include "txn/metas.h"

typedef struct keeper_meta {
    htt_keeper keeper;          /* must be first */
    htt_keeper_options options; /* as given */
    bool unwritten;             /* no meta page is in the file yet (options.fresh) */
    htt_metas_source source;    /* where meta pages are */
    uint64_t unsynced_max;      /* sync = normal: bytes between two syncs */
    _Atomic bool poisoned;      /* see KEEPER-3 */

    pthread_mutex_t mutex;      /* guards the next five */
    htt_metas metas;            /* as last read or published */
    htt_metas loading;          /* being read */
    uint8_t *buffer;            /* two pages */
    bool cached;                /* `metas` is right while the generation is: */
    uint64_t generation;        /* even */

    /* Writer byte held: */
    htt_meta current;           /* newest meta page */
    bool valid[2];              /* slot holds a valid page */
    bool short_tail[2];         /* and zeros behind its first 4096 bytes */
    bool counts[2];             /* see htt_metas */
    bool weak[2];               /* of a valid one */
    uint64_t epoch[2];          /* of the root of a valid one */
    uint64_t counter;           /* largest of both slots */
    uint8_t *page;              /* one page, to encode */
} keeper_meta;

/* HTT_POISONED: this handle, or all, must not write any more. */
htt_rc htt_keeper_meta_check(const keeper_meta *keeper, htt_error *error);
/* Writer byte held: reads what the meta pages say into `current` and its neighbours. */
htt_rc htt_keeper_meta_load_current(keeper_meta *keeper, htt_error *error);
/* After it: makes the newest page durable if it is not known which one is. */
htt_rc htt_keeper_meta_settle_unknown(keeper_meta *keeper, htt_error *error);

/* Meta pages change from here on: readers that have to look do not remember what they see. */
void htt_keeper_meta_begin_change(keeper_meta *keeper);
/* `current` is the newest one for everybody. */
void htt_keeper_meta_end_change(keeper_meta *keeper);
/* Writes `meta` into a slot, as the next one; it becomes `current`. Not synced. A failure poisons
 * the keeper. */
htt_rc htt_keeper_meta_write(keeper_meta *keeper, const htt_meta *meta, uint32_t slot, bool weak,
                             htt_error *error);
/* The slot is known to be on the disk. */
void htt_keeper_meta_set_synced(keeper_meta *keeper, uint32_t slot);
uint32_t htt_keeper_meta_other_slot(const keeper_meta *keeper);
/* The meta page of a new root; the present one joins its ancestors. */
void htt_keeper_meta_advance(const htt_meta *current, const htt_root *root, htt_meta *next);

#endif
