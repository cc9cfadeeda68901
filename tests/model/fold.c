/* SPDX-License-Identifier: MIT */
/*
 * The write transaction: small commits, and folds of the outbox into new pages. The standalone
 * keeper writes pages by the same steps; it has no host, and its meta comes last.
 *
 *   begin - decide -+- rows only ------------------------------------------- host COMMIT
 *                   +- barrier, meta - [sync] - horizon - pins - pages - sync -  "    "
 */
#include "model.h"

static const struct version *base_row(const struct state *s, int p) {
    const struct process *me = &s->process[p];
    return &s->host[me->host].version[me->base];
}

/* Every dead attempt is acknowledged by the next row that is written. */
static u8 acked_after(const struct state *s, const struct version *base) {
    if (!model.rule.acknowledge)
        return 0;
    if (attempt_outstanding(s, base))
        return s->meta_cache[meta_newest(s->meta_cache)].attempt;
    return base->acked;
}

/* ---- Begin ---- */

/* Rule "lineage", first time: xBegin compares the row with the meta. */
static void insert_begin(const struct state *s, int p) {
    struct state n = *s;
    struct process *me = &n.process[p];
    struct host *h = &n.host[me->host];
    const struct version *row = &h->version[h->visible];

    if (n.used.txns == model.bound.txns || row->state != ROW_LIVE)
        return;
    if (model.rule.lineage && !row_accepted(s, me->host, row))
        return;
    h->writer = (u8)(p + 1);
    me->step = WRITE_BEGUN;
    me->kind = KIND_INSERT;
    me->base = h->visible;
    me->from = row->root;
    me->uses_wal = !h->backfilled;
    me->bit = (u8)(1u << n.used.txns++);
    emit(&n, p, "BEGIN, INSERT: base root", row->root);
}

/* The standalone keeper: only a file without owner. */
static void alone_begin(const struct state *s, int p) {
    struct state n = *s;
    struct process *me = &n.process[p];
    int slot = meta_newest(s->meta_cache);

    if (model.bound.alone < 2 || n.used.txns == model.bound.txns)
        return;
    if (!n.named_cache || slot < 0 || n.meta_cache[slot].owner != 0)
        return;
    if (n.used.folds == model.bound.folds || (model.rule.writer_byte && n.lock.writer))
        return;
    n.used.folds++;
    n.lock.writer = (u8)(p + 1);
    me->step = WRITE_HORIZON;
    me->kind = KIND_ALONE;
    me->base = n.host[me->host].visible;
    me->bit = (u8)(1u << n.used.txns++);
    me->from = n.meta_cache[slot].root;
    me->attempt = (u8)(file_new_root(&n, me->from) + 1);
    emit(&n, p, "standalone writer: begun at root", me->from);
}

void fold_begin(const struct state *s, int p) {
    if (!s->host[s->process[p].host].writer)
        insert_begin(s, p);
    alone_begin(s, p);
}

/* ---- Decide ---- */

static void commit_rows(const struct state *s, int p) {
    const struct version *base = base_row(s, p);
    struct state n = *s;
    struct version v = *base;

    v.acked = acked_after(s, base);
    if (s->process[p].kind == KIND_DROP) {
        if (base->rows || model.bound.held)
            return; /* a fold has to come first */
        v.state = ROW_DROPPED;
    } else {
        v.rows |= s->process[p].bit;
    }
    host_begin_commit(&n, p, v);
    emit(&n, p, s->process[p].kind == KIND_DROP ? "drops the row" : "leaves the row in the outbox",
         -1);
}

/*
 * The conditions of a fold, and the barrier. All of it under the host's write lock. If one is not
 * met the rows stay in the outbox.
 */
static void fold_decide(const struct state *s, int p) {
    const struct version *base = base_row(s, p);
    const struct process *me = &s->process[p];

    if (s->used.folds == model.bound.folds)
        return;
    if (me->kind == KIND_DROP && !base->rows && !model.bound.held)
        return; /* nothing to fold */
    if (model.rule.writer_byte && s->lock.writer)
        return;
    if (model.rule.acknowledge && attempt_outstanding(s, base))
        return;
    if (model.rule.lineage && model.rule.recheck && !row_accepted(s, me->host, base))
        return;
    if (model.rule.newer_pin && pin_newer(s, p, s->root[base->root].epoch))
        return;
    fold_goes_on(s, p);
}

/* All conditions are met: the barrier. CREATE comes here with the row it has just made. */
void fold_goes_on(const struct state *s, int p) {
    struct state n = *s;
    struct process *me = &n.process[p];

    n.used.folds++;
    n.lock.writer = (u8)(p + 1);
    if (model.rule.barrier)
        host_barrier(&n.host[me->host]);
    me->step = WRITE_META;
    emit(&n, p, "fold: takes the writer byte, syncs the host", -1);
}

/* ---- The meta page ---- */

/*
 * The meta says {base, attempt} before any page is written. It can ride on the pages' sync, but for
 * rule "foreign_sync": if it replaces an attempt that is not the base, that attempt's host may be
 * put back, and must then find that it was continued by another.
 */
static void fold_meta(const struct state *s, int p) {
    struct state n = *s;
    struct process *me = &n.process[p];
    const struct meta *old = &s->meta_cache[meta_newest(s->meta_cache)];
    bool foreign = old->attempt != 0 && old->attempt != me->from + 1;

    me->attempt = (u8)(file_new_root(&n, me->from) + 1);
    file_write_meta(&n, me->from, me->attempt, old->owner);
    me->claimed = s->process[p].claimed;
    me->step = WRITE_HORIZON;
    if (model.bound.early_sync || (model.rule.foreign_sync && foreign))
        me->step = WRITE_META_SYNC;
    emit(&n, p, "fold: writes the meta, attempt", me->attempt - 1);
}

/*
 * fdatasync fails: the pages stay in the cache, and the next one will not write them. Rule
 * "failed_sync": the fold is given up, the rows stay in the outbox; CREATE and DROP are rolled
 * back.
 */
void fold_sync_fails(const struct state *s, int p) {
    struct state n = *s;
    struct process *me = &n.process[p];

    if (n.used.failures == model.bound.failures)
        return;
    n.used.failures++;
    file_sync_failed(&n);
    if (!model.rule.failed_sync) {
        emit(&n, p, "fold: the sync fails, to be tried again", -1);
        return;
    }
    if (me->kind == KIND_INSERT) {
        n.lock.writer = 0;
        me->attempt = 0;
        me->key = 0;
        me->limit = 0;
        me->step = WRITE_BEGUN;
        commit_rows(&n, p);
        return;
    }
    process_end(&n, p);
    emit(&n, p, "the sync fails: ROLLBACK", -1);
}

static void fold_meta_sync(const struct state *s, int p) {
    struct state n = *s;

    fold_sync_fails(s, p);
    file_sync(&n);
    file_meta_synced(&n);
    n.process[p].step = WRITE_HORIZON;
    emit(&n, p, "fold: syncs the meta", -1);
}

/* ---- Reuse ---- */

/* An idle pin may be taken before the horizon is computed. */
static void fold_take_pin(const struct state *s, int p) {
    for (int other = 0; other < PROCESSES; other++) {
        struct state n = *s;
        struct process *q = &n.process[other];
        if (other == p || q->pin_state == PIN_FREE || q->stale != n.process[p].stale)
            continue;
        if (q->pin_state == PIN_ACTIVE && (model.rule.take_idle || q->step != READ_PAGES))
            continue;
        if (!model.rule.take_mark)
            continue; /* passed over in pin_lowest instead */
        q->pin_state = PIN_FREE;
        q->pin = 0;
        emit(&n, p, "fold: takes an idle pin", -1);
    }
}

/* The horizon is published before the pins are read again: a reader does it the other way round. */
static void fold_horizon(const struct state *s, int p) {
    struct state n = *s;
    struct process *me = &n.process[p];
    int epoch = n.root[me->from].epoch;
    int limit = model.rule.reuse_synced ? n.lock.synced_epoch : epoch;
    int lowest = pin_lowest(s, p);

    if (limit > epoch)
        limit = epoch;
    if (lowest < limit)
        limit = lowest;
    if (limit > n.lock.horizon)
        n.lock.horizon = (u8)limit;
    me->limit = (u8)limit;
    me->step = WRITE_PINS;
    emit(&n, p, "fold: publishes the horizon", n.lock.horizon);
}

/* A page that was free at the base and died at or before the limit, or a new one; -1 if none. */
static int page_take(struct root *root, const struct root *base, int limit) {
    for (int page = 0; page < root->page_count; page++) {
        if (base->freed[page] && root->freed[page] && base->freed[page] <= limit)
            return page;
    }
    return root->page_count < PAGES ? root->page_count++ : -1;
}

/* Puts the transactions into the new root: a new page for every key that one of them changes. */
static bool root_apply(struct state *s, int p, u8 rows) {
    const struct process *me = &s->process[p];
    int index = me->attempt - 1;
    struct root *root = &s->root[index];
    const struct root base = s->root[me->from];

    if (base.applied & rows)
        violated("MODEL-6: an outbox row is applied twice");
    root->applied |= rows;
    for (int key = 0; key < KEYS; key++) {
        bool touched = false;
        int page;
        for (int bit = key; bit < 8; bit += KEYS)
            touched = touched || (rows >> bit & 1);
        if (!touched)
            continue;
        page = page_take(root, &base, me->limit);
        if (page < 0)
            return false;
        root->freed[page] = 0;
        root->freed[root->page[key]] = root->epoch;
        root->page[key] = (u8)page;
        root->origin[key] = (u8)index;
    }
    return true;
}

static void fold_pins(const struct state *s, int p) {
    struct state n = *s;
    struct process *me = &n.process[p];
    u8 rows = me->bit;
    int lowest = pin_lowest(s, p);

    if (me->kind != KIND_ALONE)
        rows |= base_row(s, p)->rows;
    if (model.rule.newer_pin && pin_newer(s, p, n.root[me->from].epoch)) {
        process_end(&n, p);
        emit(&n, p, "fold: refused, a pin is newer than the base", -1);
        return;
    }
    if (lowest < me->limit)
        me->limit = (u8)lowest;
    if (!root_apply(&n, p, rows)) {
        process_end(&n, p);
        emit(&n, p, "fold: the model has no more pages", -1);
        return;
    }
    if (!root_intact(s, me->from))
        violated("MODEL-3: a fold reads an overwritten page");
    me->key = 0;
    me->step = WRITE_PAGES;
    emit(&n, p, "fold: reads the pins again", -1);
}

/* ---- Pages ---- */

static void fold_page(const struct state *s, int p) {
    struct state n = *s;
    struct process *me = &n.process[p];
    const struct root *root = &n.root[me->attempt - 1];

    while (me->key < KEYS && root->origin[me->key] != me->attempt - 1)
        me->key++;
    if (me->key == KEYS) {
        me->step = WRITE_SYNC;
        fold_step(&n, p);
        return;
    }
    n.cache[root->page[me->key]] = content_of(me->attempt - 1, me->key);
    n.lost_pages &= (u16) ~(1u << root->page[me->key]);
    me->key++;
    emit(&n, p, "fold: writes page", root->page[me->key - 1]);
}

/* One sync for pages and meta; then the attempt is armed: from here on it may come to be. */
static void fold_sync(const struct state *s, int p) {
    struct state n = *s;
    struct process *me = &n.process[p];
    struct version v = {.state = ROW_LIVE, .root = (u8)(me->attempt - 1)};

    fold_sync_fails(s, p);
    file_sync(&n);
    if (me->kind == KIND_ALONE) {
        me->step = ALONE_META;
        emit(&n, p, "standalone writer: syncs the pages", -1);
        return;
    }
    fault_between_stores(s, p);
    file_meta_synced(&n);
    n.lock.armed = me->attempt;
    if (n.lock.writer == p + 1 && !(me->kind == KIND_DROP && model.bound.held))
        n.lock.writer = 0;
    if (me->kind == KIND_DROP)
        v.state = ROW_DROPPED;
    host_begin_commit(&n, p, v);
    emit(&n, p, "fold: syncs the file, arms, moves the root in the row", -1);
}

static void alone_meta(const struct state *s, int p) {
    struct state n = *s;

    file_write_meta(&n, n.process[p].attempt - 1, 0, 0);
    n.process[p].step = ALONE_META_SYNC;
    emit(&n, p, "standalone writer: writes the meta", -1);
}

static void alone_meta_sync(const struct state *s, int p) {
    struct state n = *s;

    fold_sync_fails(s, p);
    fault_between_stores(s, p);
    file_sync(&n);
    file_meta_synced(&n);
    n.alone |= n.process[p].bit;
    process_end(&n, p);
    emit(&n, p, "standalone writer: syncs the meta, done", -1);
}

/* Emits what the process can do next; false if its step is none of these. */
bool fold_step(const struct state *s, int p) {
    const struct process *me = &s->process[p];

    switch (me->step) {
    case WRITE_BEGUN:
        if (me->kind != KIND_INSERT && me->kind != KIND_DROP)
            return false;
        commit_rows(s, p);
        fold_decide(s, p);
        return true;
    case WRITE_META:
        fold_meta(s, p);
        return true;
    case WRITE_META_SYNC:
        fold_meta_sync(s, p);
        return true;
    case WRITE_HORIZON:
        fold_take_pin(s, p);
        fold_horizon(s, p);
        return true;
    case WRITE_PINS:
        fold_pins(s, p);
        return true;
    case WRITE_PAGES:
        fold_page(s, p);
        return true;
    case WRITE_SYNC:
        fold_sync(s, p);
        return true;
    case ALONE_META:
        alone_meta(s, p);
        return true;
    case ALONE_META_SYNC:
        alone_meta_sync(s, p);
        return true;
    default:
        return false;
    }
}
