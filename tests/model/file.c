/* SPDX-License-Identifier: MIT */
/*
 * The .htt file: its cached content and its disk, the two meta pages, new roots.
 */
#include "model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * fdatasync: what was written is on disk. What a failed one left behind is not, and nothing tells:
 * to the kernel those pages are clean.
 */
void file_sync(struct state *s) {
    for (int page = 0; page < PAGES; page++) {
        if (!(s->lost_pages >> page & 1))
            s->disk[page] = s->cache[page];
    }
    for (int slot = 0; slot < 2; slot++) {
        if (!(s->lost_metas >> slot & 1))
            s->meta_disk[slot] = s->meta_cache[slot];
    }
}

void file_sync_failed(struct state *s) {
    for (int page = 0; page < PAGES; page++) {
        if (s->cache[page] != s->disk[page])
            s->lost_pages |= (u16)(1u << page);
    }
    for (int slot = 0; slot < 2; slot++) {
        if (memcmp(&s->meta_cache[slot], &s->meta_disk[slot], sizeof(struct meta)) != 0)
            s->lost_metas |= (u8)(1u << slot);
    }
}

/* The kernel forgets the pages that it takes for clean; the next read finds the disk's. */
void file_evict(struct state *s) {
    for (int page = 0; page < PAGES; page++) {
        if (s->lost_pages >> page & 1)
            s->cache[page] = s->disk[page];
    }
    for (int slot = 0; slot < 2; slot++) {
        if (s->lost_metas >> slot & 1)
            s->meta_cache[slot] = s->meta_disk[slot];
    }
    s->lost_pages = s->lost_metas = 0;
}

/*
 * Makes sure that the newest meta is on disk, whoever wrote it. Rule "open_rewrites": the page is
 * written again, so that the sync does not pass over it.
 */
void file_rely(struct state *s) {
    int newest = meta_newest(s->meta_cache);

    if (newest < 0)
        return;
    if (model.rule.open_rewrites)
        s->lost_metas &= (u8) ~(1u << newest);
    file_sync(s);
    file_meta_synced(s);
}

/*
 * Rule "other_slot": the meta goes into the slot which is not the one known to be on disk. To
 * alternate between them is not enough: two attempts that are killed leave two unsynced pages.
 */
void file_write_meta(struct state *s, int root, int attempt, int owner) {
    int newest = meta_newest(s->meta_cache);
    int slot = model.rule.other_slot ? 1 - s->lock.synced_slot : 1 - newest;

    for (int p = 0; p < PROCESSES && model.rule.unclaim_same; p++)
        s->process[p].claimed = 0; /* but for the writer, who says so */
    s->lost_metas &= (u8) ~(1u << slot);
    s->meta_cache[slot] = (struct meta){
        .counter = (u8)(s->meta_cache[newest].counter + 1),
        .root = (u8)root,
        .attempt = (u8)attempt,
        .owner = (u8)owner,
    };
}

/* After a sync: the lock file says which meta page is now known to be on disk. */
void file_meta_synced(struct state *s) {
    int newest = meta_newest(s->meta_cache);

    s->lock.synced_slot = (u8)newest;
    s->lock.synced_epoch = s->root[s->meta_cache[newest].root].epoch;
}

/* A root record like its parent's, to be changed; its index is the nonce. */
int file_new_root(struct state *s, int parent) {
    int index;

    if (s->root_count == ROOTS) {
        fprintf(stderr, "ROOTS is too small for these bounds\n");
        exit(2);
    }
    index = s->root_count++;
    s->root[index] = s->root[parent];
    s->root[index].parent = (u8)parent;
    s->root[index].epoch++;
    return index;
}
