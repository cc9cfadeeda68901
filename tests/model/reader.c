/* SPDX-License-Identifier: MIT */
/*
 * Readers: through a snapshot of the host, and of the file alone; and the publisher, who lets the
 * meta pages follow outside a fold.
 *
 *   snapshot - pin - verify - read every key -+- end
 *                ^                            +- idle pin - read again -- end
 *                +---------- pin was taken ------'
 */
#include "model.h"

/* ---- Through the host ---- */

static void host_reader_begin(const struct state *s, int p) {
    struct state n = *s;
    struct process *me = &n.process[p];
    const struct host *h = &n.host[me->host];
    const struct version *row = &h->version[h->visible];

    if (row->state != ROW_LIVE)
        return;
    for (int other = 0; model.bound.mode == DELETE_FULL && other < PROCESSES; other++) {
        if (n.process[other].host == me->host && n.process[other].step == COMMIT_SHOW)
            return; /* the host is locked exclusively */
    }
    me->step = READ_PIN;
    me->base = h->visible;
    me->uses_wal = !h->backfilled;
    emit(&n, p, "reader: snapshot of root", row->root);
}

static int reader_root(const struct state *s, int p) {
    const struct process *me = &s->process[p];
    return s->host[me->host].version[me->base].root;
}

static void reader_pin(const struct state *s, int p) {
    struct state n = *s;
    struct process *me = &n.process[p];

    me->pin = n.root[reader_root(s, p)].epoch;
    me->pin_state = PIN_ACTIVE;
    me->step = READ_VERIFY;
    emit(&n, p, "reader: pins epoch", me->pin);
}

/*
 * The horizon must not have passed the pin, and the root must be the meta's, or the attempt made
 * from it, or one of its ancestors.
 */
static bool reader_verified(const struct state *s, int root) {
    int newest = s->meta_cache[meta_newest(s->meta_cache)].root;
    bool older = s->root[root].epoch < s->root[newest].epoch;

    if (model.rule.verify && s->lock.horizon > s->root[root].epoch)
        return false;
    if (!model.rule.lineage)
        return true;
    if (!older && !lineage_accepts(s, root))
        return false;
    return !older || !model.rule.ancestors || root_descends(s, newest, root);
}

static void reader_verify(const struct state *s, int p) {
    struct state n = *s;

    if (!reader_verified(s, reader_root(s, p))) {
        process_end(&n, p);
        emit(&n, p, "reader: refused", -1);
        return;
    }
    n.process[p].step = READ_PAGES;
    n.process[p].key = 0;
    emit(&n, p, "reader: verified", -1);
}

static void reader_page(const struct state *s, int p) {
    struct state n = *s;
    struct process *me = &n.process[p];
    const struct root *root = &n.root[reader_root(s, p)];

    if (n.cache[root->page[me->key]] != content_of(root->origin[me->key], me->key))
        violated("MODEL-1: a reader reads an overwritten page");
    if (++me->key < KEYS) {
        emit(&n, p, "reader: reads page", root->page[me->key - 1]);
        return;
    }
    if (n.used.keeps < model.bound.keeps && !me->kept) {
        struct state m = n;
        m.used.keeps++;
        m.process[p].kept = 1;
        m.process[p].key = 0;
        m.process[p].step = READ_KEPT;
        m.process[p].pin_state = PIN_IDLE;
        emit(&m, p, "reader: closes its cursor, the pin is idle", -1);
    }
    process_end(&n, p);
    emit(&n, p, "reader: reads the last page, ends", -1);
}

/* The next statement of the same transaction: the slot still says idle, or it was taken. */
static void reader_again(const struct state *s, int p) {
    struct state n = *s;
    struct process *me = &n.process[p];
    bool taken = me->pin_state == PIN_FREE;

    me->key = 0;
    if (taken && model.rule.verify_again) {
        me->step = READ_PIN;
        emit(&n, p, "reader: finds its pin taken", -1);
    } else {
        me->pin = n.root[reader_root(s, p)].epoch;
        me->pin_state = PIN_ACTIVE;
        me->step = READ_PAGES;
        emit(&n, p, "reader: its pin is active again", -1);
    }
    n = *s;
    process_end(&n, p);
    emit(&n, p, "reader: ends its transaction", -1);
}

/* ---- The file alone ---- */

static void alone_reader_begin(const struct state *s, int p) {
    struct state n = *s;
    struct process *me = &n.process[p];
    int slot = meta_newest(s->meta_cache);

    if (!model.bound.alone || slot < 0)
        return;
    me->step = ALONE_PIN;
    me->base = n.host[me->host].visible;
    me->from = n.meta_cache[slot].root;
    emit(&n, p, "standalone reader: reads the meta, root", me->from);
}

static void alone_reader_step(const struct state *s, int p) {
    struct state n = *s;
    struct process *me = &n.process[p];
    const struct root *root = &n.root[me->from];
    int slot = meta_newest(s->meta_cache);

    if (me->step == ALONE_PIN) {
        me->pin = root->epoch;
        me->pin_state = PIN_ACTIVE;
        me->step = ALONE_VERIFY;
        emit(&n, p, "standalone reader: pins epoch", me->pin);
    } else if (me->step == ALONE_VERIFY) {
        bool passed = model.rule.verify && n.lock.horizon > root->epoch;
        bool moved = model.rule.lineage && (slot < 0 || n.meta_cache[slot].root != me->from);
        if (passed || moved) {
            process_end(&n, p);
            emit(&n, p, "standalone reader: begins again", -1);
            return;
        }
        me->step = ALONE_PAGES;
        emit(&n, p, "standalone reader: verified", -1);
    } else {
        if (n.cache[root->page[me->key]] != content_of(root->origin[me->key], me->key))
            violated("MODEL-1: a standalone reader reads an overwritten page");
        if (++me->key == KEYS)
            process_end(&n, p);
        emit(&n, p, "standalone reader: reads a page", -1);
    }
}

/* ---- Publishing: the meta says {root, no attempt} for a root known to be durable ---- */

/* Is this committed root newer than the meta's? */
static bool publish_newer(const struct state *s, int root) {
    const struct meta *m = &s->meta_cache[meta_newest(s->meta_cache)];
    return root != 0 && s->root[root].parent == m->root && m->attempt == root + 1;
}

static void publish_begin(const struct state *s, int p) {
    struct state n = *s;
    struct process *me = &n.process[p];
    const struct host *h = &n.host[me->host];
    const struct version *row = &h->version[h->visible];

    if (n.used.publishes == model.bound.publishes || row->state != ROW_LIVE)
        return;
    if (!row_accepted(s, me->host, row) || !publish_newer(s, row->root))
        return;
    n.used.publishes++;
    me->step = PUBLISH_BEGUN;
    me->base = h->visible;
    me->from = row->root;
    emit(&n, p, "publisher: snapshot of root", row->root);
}

static void publish_step(const struct state *s, int p) {
    struct state n = *s;
    struct process *me = &n.process[p];

    if (me->step == PUBLISH_BEGUN) {
        if (model.rule.writer_byte && n.lock.writer)
            return;
        if (model.rule.publish_again && !publish_newer(s, me->from)) {
            process_end(&n, p);
            emit(&n, p, "publisher: the meta has moved on", -1);
            return;
        }
        n.lock.writer = (u8)(p + 1);
        if (model.rule.publish_barrier)
            host_barrier(&n.host[me->host]);
        me->step = PUBLISH_META;
        emit(&n, p, "publisher: takes the writer byte, syncs the host", -1);
    } else if (me->step == PUBLISH_META) {
        file_write_meta(&n, me->from, 0, n.meta_cache[meta_newest(n.meta_cache)].owner);
        me->step = PUBLISH_SYNC;
        emit(&n, p, "publisher: writes the meta, root", me->from);
    } else {
        fold_sync_fails(s, p);
        fault_between_stores(s, p);
        file_sync(&n);
        file_meta_synced(&n);
        process_end(&n, p);
        emit(&n, p, "publisher: syncs the file", -1);
    }
}

void reader_begin(const struct state *s, int p) {
    host_reader_begin(s, p);
    alone_reader_begin(s, p);
    publish_begin(s, p);
}

bool reader_step(const struct state *s, int p) {
    switch (s->process[p].step) {
    case READ_PIN:
        reader_pin(s, p);
        return true;
    case READ_VERIFY:
        reader_verify(s, p);
        return true;
    case READ_PAGES:
        reader_page(s, p);
        return true;
    case READ_KEPT:
        reader_again(s, p);
        return true;
    case ALONE_PIN:
    case ALONE_VERIFY:
    case ALONE_PAGES:
        alone_reader_step(s, p);
        return true;
    case PUBLISH_BEGUN:
    case PUBLISH_META:
    case PUBLISH_SYNC:
        publish_step(s, p);
        return true;
    default:
        return false;
    }
}
