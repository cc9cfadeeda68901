/* SPDX-License-Identifier: MIT */
/*
 * Questions about a state, its normal form, and the invariants.
 *
 * Two states that differ only in what nothing can ever look at are one state: the normal form drops
 * roots and versions that nothing names, sorts the versions, counts the meta pages anew and calls
 * every page garbage whose content no root names. This makes the searches many times smaller.
 */
#include "model.h"

#include <string.h>

struct model model;

/* ---- Questions ---- */

u8 content_of(int root, int key) {
    return (u8)(root * KEYS + key + 1);
}

bool root_intact(const struct state *s, int root) {
    const struct root *r = &s->root[root];

    for (int key = 0; key < KEYS; key++) {
        if (s->cache[r->page[key]] != content_of(r->origin[key], key))
            return false;
    }
    return true;
}

bool root_descends(const struct state *s, int root, int ancestor) {
    for (;;) {
        if (root == ancestor)
            return true;
        if (root == 0)
            return false;
        root = s->root[root].parent;
    }
}

/* The slot of the newest valid meta page, -1 if there is none. */
int meta_newest(const struct meta *meta) {
    int newest = -1;

    for (int slot = 0; slot < 2; slot++) {
        if (meta[slot].counter > 0 && (newest < 0 || meta[slot].counter > meta[newest].counter))
            newest = slot;
    }
    return newest;
}

/* The exact lineage: the meta's root, or the attempt that was made from it. */
bool lineage_accepts(const struct state *s, int root) {
    int slot = meta_newest(s->meta_cache);
    const struct meta *m;

    if (slot < 0)
        return false;
    m = &s->meta_cache[slot];
    if (m->root == root)
        return true;
    return root != 0 && m->root == s->root[root].parent && m->attempt == root + 1;
}

/* What the meta's owner must be; a copy of the host passes for the host itself. */
int host_owner(const struct state *s, int host) {
    return s->copied ? 1 : host + 1;
}

bool row_accepted(const struct state *s, int host, const struct version *row) {
    int slot = meta_newest(s->meta_cache);

    return s->named_cache && slot >= 0 && s->meta_cache[slot].owner == host_owner(s, host) &&
           lineage_accepts(s, row->root);
}

/*
 * May the meta's attempt come back from an in-doubt commit? In a rollback-journal host it cannot:
 * who holds the write lock and reads the base knows that the attempt is dead.
 */
bool attempt_outstanding(const struct state *s, const struct version *base) {
    int slot = meta_newest(s->meta_cache);
    int attempt;

    if (model.bound.mode == DELETE_FULL || slot < 0)
        return false;
    attempt = s->meta_cache[slot].attempt;
    if (attempt == 0 || attempt != s->lock.armed)
        return false;
    if (base->state != ROW_ABSENT && (attempt == base->root + 1 || attempt == base->acked))
        return false;
    return true;
}

/* Does the process see the other's pin? Not if they have different lock files. */
static bool pin_seen(const struct state *s, int p, int other) {
    const struct process *q = &s->process[other];

    if (q->pin_state == PIN_FREE || q->stale != s->process[p].stale)
        return false;
    return model.rule.take_mark || q->pin_state != PIN_IDLE;
}

int pin_lowest(const struct state *s, int p) {
    int lowest = 255;

    for (int other = 0; other < PROCESSES; other++) {
        if (pin_seen(s, p, other) && s->process[other].pin < lowest)
            lowest = s->process[other].pin;
    }
    return lowest;
}

bool pin_newer(const struct state *s, int p, int epoch) {
    for (int other = 0; other < PROCESSES; other++) {
        if (pin_seen(s, p, other) && s->process[other].pin > epoch)
            return true;
    }
    return false;
}

/* The process is where it was before it began; its locks and its pin are gone. */
void process_end(struct state *s, int p) {
    u8 host = s->process[p].host;

    if (s->host[host].writer == p + 1)
        s->host[host].writer = 0;
    if (s->lock.writer == p + 1)
        s->lock.writer = 0;
    memset(&s->process[p], 0, sizeof(s->process[p]));
    s->process[p].host = host;
}

/* ---- The first state ---- */

/* The file as CREATE makes it: an empty root, here with a page for every key. */
void root_make_first(struct state *s) {
    s->root[0] = (struct root){.epoch = 1, .page_count = KEYS};
    for (int key = 0; key < KEYS; key++) {
        s->root[0].page[key] = (u8)key;
        s->cache[key] = content_of(0, key);
    }
}

void state_start(struct state *s) {
    memset(s, 0, sizeof(*s));
    for (int host = 0; host < model.bound.hosts; host++) {
        s->host[host].count = 1;
        s->host[host].possible = 1;
        s->host[host].db_possible = 1;
    }
    if (model.bound.hosts > 1)
        s->process[1].host = 1;
    s->root_count = 1;
    if (model.bound.tables > 0 && !model.bound.there)
        return; /* no table, no file */
    root_make_first(s);
    memcpy(s->disk, s->cache, sizeof(s->disk));
    if (!model.bound.there)
        s->host[0].version[0].state = ROW_LIVE;
    s->named_cache = s->named_disk = 1;
    s->meta_cache[0] = (struct meta){.counter = 1, .owner = (u8)!model.bound.there};
    memcpy(s->meta_disk, s->meta_cache, sizeof(s->meta_disk));
    s->lock.horizon = s->lock.synced_epoch = 1;
}

/* ---- Normal form ---- */

static int version_compare(const struct version *a, const struct version *b) {
    return memcmp(a, b, sizeof(*a));
}

/* Which versions something can still look at. */
static u16 host_live_versions(const struct state *s, int host) {
    const struct host *h = &s->host[host];
    unsigned live = h->possible | h->db_possible | h->lost;

    live |= 1u << h->visible | 1u << h->recovered | 1u << h->db;
    if (h->checkpointer)
        live |= 1u << h->copying;
    for (int p = 0; p < PROCESSES; p++) {
        const struct process *q = &s->process[p];
        if (q->host != host || q->step == IDLE)
            continue;
        live |= 1u << q->base;
        if (q->commit)
            live |= 1u << (q->commit - 1);
    }
    return (u16)live;
}

static u16 set_renumber(u16 set, const u8 *map) {
    unsigned out = 0;

    for (unsigned v = 0; set >> v; v++) {
        if (set >> v & 1)
            out |= 1u << map[v];
    }
    return (u16)out;
}

static void host_normalise(struct state *s, int host) {
    struct host *h = &s->host[host];
    u16 live = host_live_versions(s, host);
    struct version kept[VERSIONS];
    u8 map[VERSIONS] = {0};
    int count = 0;

    for (int v = 0; v < h->count; v++) {
        int at = 0;
        if (!(live >> v & 1))
            continue;
        while (at < count && version_compare(&kept[at], &h->version[v]) < 0)
            at++;
        if (at < count && version_compare(&kept[at], &h->version[v]) == 0)
            continue;
        memmove(&kept[at + 1], &kept[at], (size_t)(count - at) * sizeof(kept[0]));
        kept[at] = h->version[v];
        count++;
    }
    for (int v = 0; v < h->count; v++) {
        for (int at = 0; at < count; at++) {
            if (version_compare(&kept[at], &h->version[v]) == 0)
                map[v] = (u8)at;
        }
    }
    memset(h->version, 0, sizeof(h->version));
    memcpy(h->version, kept, (size_t)count * sizeof(kept[0]));
    h->count = (u8)count;
    h->visible = map[h->visible];
    h->recovered = map[h->recovered];
    h->db = map[h->db];
    h->copying = h->checkpointer ? map[h->copying] : 0;
    h->possible = set_renumber(h->possible, map);
    h->db_possible = set_renumber(h->db_possible, map);
    h->lost = set_renumber(h->lost, map);
    for (int p = 0; p < PROCESSES; p++) {
        struct process *q = &s->process[p];
        if (q->host != host || q->step == IDLE)
            continue;
        q->base = map[q->base];
        if (q->commit)
            q->commit = (u8)(map[q->commit - 1] + 1);
    }
}

/* Roots whose pages matter, and with them roots that only stand in a lineage. */
static void roots_find(const struct state *s, bool *whole, bool *known) {
    for (int host = 0; host < HOSTS; host++) {
        for (int v = 0; v < s->host[host].count; v++) {
            const struct version *version = &s->host[host].version[v];
            if (version->state != ROW_ABSENT)
                whole[version->root] = true;
            if (version->acked)
                known[version->acked - 1] = true;
        }
    }
    for (int slot = 0; slot < 4; slot++) {
        const struct meta *m = slot < 2 ? &s->meta_cache[slot] : &s->meta_disk[slot - 2];
        if (m->counter == 0)
            continue;
        whole[m->root] = true;
        if (m->attempt)
            known[m->attempt - 1] = true;
    }
    for (int p = 0; p < PROCESSES; p++) {
        const struct process *q = &s->process[p];
        if (q->kind != KIND_NONE || q->step >= ALONE_PIN)
            whole[q->from] = true;
        if (q->attempt)
            whole[q->attempt - 1] = true;
    }
    if (s->saved && s->backup.state != ROW_ABSENT)
        whole[s->backup.root] = true;
    if (s->saved && s->backup.acked)
        known[s->backup.acked - 1] = true;
    if (s->lock.armed)
        known[s->lock.armed - 1] = true;
    known[0] = true;
    for (int r = ROOTS - 1; r > 0; r--) { /* a parent's index is smaller */
        known[r] = known[r] || whole[r];
        if (known[r])
            known[s->root[r].parent] = true;
    }
}

static u8 renumber(u8 one_more, const u8 *map) {
    return one_more ? (u8)(map[one_more - 1] + 1) : 0;
}

static void roots_rename(struct state *s, const u8 *map) {
    for (int host = 0; host < HOSTS; host++) {
        for (int v = 0; v < s->host[host].count; v++) {
            struct version *version = &s->host[host].version[v];
            version->root = version->state == ROW_ABSENT ? 0 : map[version->root];
            version->acked = renumber(version->acked, map);
        }
    }
    for (int slot = 0; slot < 4; slot++) {
        struct meta *m = slot < 2 ? &s->meta_cache[slot] : &s->meta_disk[slot - 2];
        if (m->counter == 0) {
            memset(m, 0, sizeof(*m));
            continue;
        }
        m->root = map[m->root];
        m->attempt = renumber(m->attempt, map);
    }
    for (int p = 0; p < PROCESSES; p++) {
        s->process[p].from = map[s->process[p].from];
        s->process[p].attempt = renumber(s->process[p].attempt, map);
    }
    if (s->saved) {
        s->backup.root = map[s->backup.root];
        s->backup.acked = renumber(s->backup.acked, map);
    }
    s->lock.armed = renumber(s->lock.armed, map);
}

static void roots_normalise(struct state *s) {
    bool whole[ROOTS] = {false}, known[ROOTS] = {false};
    u8 map[ROOTS] = {0}, named[PAGES][ROOTS * KEYS + 1];
    int count = 0;

    roots_find(s, whole, known);
    memset(named, 0, sizeof(named));
    for (int r = 0; r < s->root_count; r++) {
        if (known[r])
            map[r] = (u8)count++;
    }
    for (int r = 0; r < s->root_count; r++) {
        struct root *root = &s->root[r], *to = &s->root[map[r]];
        if (!known[r])
            continue;
        if (!whole[r])
            *root = (struct root){.epoch = root->epoch, .parent = root->parent};
        for (int key = 0; whole[r] && key < KEYS; key++) {
            u8 old = content_of(root->origin[key], key);
            root->origin[key] = map[root->origin[key]];
            named[root->page[key]][old] = content_of(root->origin[key], key);
        }
        root->parent = map[root->parent];
        *to = *root;
    }
    memset(&s->root[count], 0, (size_t)(ROOTS - count) * sizeof(s->root[0]));
    s->root_count = (u8)count;
    for (int page = 0; page < PAGES; page++) {
        s->cache[page] = named[page][s->cache[page]];
        s->disk[page] = named[page][s->disk[page]];
    }
    roots_rename(s, map);
    for (int page = 0; page < PAGES; page++) {
        if (s->cache[page] == s->disk[page])
            s->lost_pages &= (u16) ~(1u << page);
    }
    for (int slot = 0; slot < 2; slot++) {
        if (memcmp(&s->meta_cache[slot], &s->meta_disk[slot], sizeof(struct meta)) == 0)
            s->lost_metas &= (u8) ~(1u << slot);
    }
}

/* Only the order of the counters counts. */
static void metas_normalise(struct state *s) {
    u8 *counter[4] = {&s->meta_cache[0].counter, &s->meta_cache[1].counter,
                      &s->meta_disk[0].counter, &s->meta_disk[1].counter};
    u8 rank[4];

    for (int i = 0; i < 4; i++) {
        unsigned smaller = 0; /* bit per distinct smaller valid counter */
        for (int j = 0; j < 4; j++) {
            if (*counter[j] > 0 && *counter[j] < *counter[i])
                smaller |= 1u << *counter[j];
        }
        rank[i] = *counter[i] ? (u8)(1 + __builtin_popcount(smaller)) : 0;
    }
    for (int i = 0; i < 4; i++)
        *counter[i] = rank[i];
}

void state_normalise(struct state *s) {
    metas_normalise(s);
    roots_normalise(s);
    for (int host = 0; host < HOSTS; host++) {
        if (s->host[host].count > 0)
            host_normalise(s, host);
    }
}
