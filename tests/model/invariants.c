/* SPDX-License-Identifier: MIT */
/*
 * What must hold in every state. Other invariants are checked where something happens: MODEL-1 in
 * reader.c, MODEL-5 in fault.c, MODEL-6 in fold.c. protocol_model.c lists them all.
 */
#include "model.h"

/*
 * One host that behaves: it was not copied or exchanged, and SQLite lost nothing. Otherwise an
 * error is the right answer to many things, and only wrong rows are not.
 */
static bool surroundings_honest(void) {
    return !model.bound.copy && !model.bound.swap && !model.bound.off;
}

static void check_meta(const struct state *s) {
    int slot = meta_newest(s->meta_cache);

    if (!s->named_cache)
        return;
    for (int p = 0; p < PROCESSES; p++) {
        if (s->process[p].step == TABLE_EMPTY)
            return; /* somebody is about to fill it */
    }
    if (slot < 0) {
        violated("MODEL-2: the file has no valid meta page");
        return;
    }
    if (!root_intact(s, s->meta_cache[slot].root))
        violated("MODEL-2: the newest meta page names overwritten pages");
    if (s->alone & ~s->root[s->meta_cache[slot].root].applied)
        violated("MODEL-9: a commit of the standalone keeper is lost");
}

/* A version that the host may fall back to. */
static void check_possible(const struct state *s, int host, const struct version *row) {
    int slot = meta_newest(s->meta_cache);
    bool ours;

    if (row->state == ROW_ABSENT)
        return;
    if (slot < 0 || !s->named_cache) {
        violated("MODEL-8: a row that the host may fall back to has no file");
        return;
    }
    ours = s->meta_cache[slot].owner == host_owner(s, host);
    if (row->state != ROW_LIVE)
        return; /* a dropped row's file may have gone its own way */
    if (!ours)
        violated("MODEL-8: a live row that the host may fall back to does not own its file");
    else if (!root_descends(s, row->root, s->meta_cache[slot].root))
        violated("MODEL-4: the meta names a root that the host may lose");
}

static void check_visible(const struct state *s, int host) {
    const struct host *h = &s->host[host];
    const struct version *row = &h->version[h->visible];

    if (row->state != ROW_LIVE)
        return;
    if (!surroundings_honest()) {
        if (model.rule.lineage && row_accepted(s, host, row) && !root_intact(s, row->root))
            violated("MODEL-3: an accepted root of the host names overwritten pages");
        return;
    }
    if (!root_intact(s, row->root))
        violated("MODEL-3: the host's visible root names overwritten pages");
    if (model.rule.lineage && !row_accepted(s, host, row))
        violated("MODEL-7: the legitimate host is refused");
    if (s->lock.horizon > s->root[row->root].epoch && !s->lock.closed)
        violated("MODEL-7: the horizon is above the newest root");
}

void state_check(const struct state *s) {
    check_meta(s);
    for (int host = 0; host < HOSTS; host++) {
        const struct host *h = &s->host[host];
        for (int v = 0; surroundings_honest() && v < h->count; v++) {
            if (h->possible >> v & 1)
                check_possible(s, host, &h->version[v]);
        }
        if (h->count > 0)
            check_visible(s, host);
    }
}
