/* SPDX-License-Identifier: MIT */
/*
 * CREATE, DROP, and the last step of DROP, which gives the file free ("release").
 *
 *   CREATE   no file           make it complete, sync its directory, row
 *            ours, no row      take it over: row
 *            ours, dropped     revive: meta {root, attempt}, sync, row
 *            without owner     adopt: meta {root, attempt, owner}, sync, row
 *            another's         refused
 *            in every case the directory is synced before the row is inserted
 *            rolled back after it made or adopted the file: meta without owner, sync; but not if
 *            the commit may come back, or another has written a meta page since
 *   DROP     fold the outbox, row = dropped
 *   release  a later write transaction, whose base is the dropped row: barrier, meta without
 *            owner, sync, no row
 */
#include "model.h"

#include <string.h>

static const struct version *base_row(const struct state *s, int p) {
    const struct process *me = &s->process[p];
    return &s->host[me->host].version[me->base];
}

static bool byte_is_free(const struct state *s) {
    return !model.rule.writer_byte || !s->lock.writer;
}

/* ---- Begin ---- */

static void table_begin_kind(const struct state *s, int p, enum kind kind, const char *label) {
    struct state n = *s;
    struct process *me = &n.process[p];
    struct host *h = &n.host[me->host];

    n.used.tables++;
    h->writer = (u8)(p + 1);
    me->step = WRITE_BEGUN;
    me->kind = (u8)kind;
    me->base = h->visible;
    me->from = h->version[h->visible].root;
    me->uses_wal = !h->backfilled;
    emit(&n, p, label, -1);
}

/* Without rule "release_lock": somebody read the dropped row, and acts on it later. */
static void late_begin(const struct state *s, int p) {
    struct state n = *s;
    struct process *me = &n.process[p];
    const struct host *h = &n.host[me->host];

    n.used.tables++;
    me->step = LATE_BEGUN;
    me->kind = KIND_RELEASE;
    me->base = h->visible;
    me->from = h->version[h->visible].root;
    emit(&n, p, "release without the write lock: reads the dropped row", -1);
}

void table_begin(const struct state *s, int p) {
    const struct host *h = &s->host[s->process[p].host];
    const struct version *row = &h->version[h->visible];

    if (s->used.tables == model.bound.tables)
        return;
    if (!model.rule.release_lock && row->state == ROW_DROPPED)
        late_begin(s, p);
    if (h->writer)
        return;
    switch (row->state) {
    case ROW_LIVE:
        if (row_accepted(s, s->process[p].host, row))
            table_begin_kind(s, p, KIND_DROP, "BEGIN, DROP");
        break;
    case ROW_DROPPED:
        table_begin_kind(s, p, KIND_RELEASE, "BEGIN, sees the dropped row");
        table_begin_kind(s, p, KIND_CREATE, "BEGIN, CREATE on a dropped row");
        break;
    default:
        table_begin_kind(s, p, KIND_CREATE, "BEGIN, CREATE");
        break;
    }
}

/* ---- CREATE ---- */

/* The transaction that made the row goes on, and folds. */
static void create_fold(const struct state *s, int p) {
    struct state n = *s;
    struct process *me = &n.process[p];

    if (n.used.txns == model.bound.txns || n.used.folds == model.bound.folds || !byte_is_free(s))
        return;
    me->bit = (u8)(1u << n.used.txns++);
    me->commit = 0;
    me->step = WRITE_BEGUN;
    me->kind = KIND_CREATE_FOLD;
    fold_goes_on(&n, p);
}

static void file_fill(struct state *s, int owner) {
    s->meta_cache[0] = (struct meta){.counter = 1, .owner = (u8)owner};
    memset(&s->meta_cache[1], 0, sizeof(s->meta_cache[1]));
    root_make_first(s);
    memset(&s->lock, 0, sizeof(s->lock));
    s->lock.horizon = s->lock.synced_epoch = 1;
}

/* Rule "create_complete": written and synced under another name, then linked to its own. */
static void create_file(const struct state *s, int p) {
    struct state n = *s;

    if (base_row(s, p)->state != ROW_ABSENT)
        return; /* the dropped table's file is gone: an error */
    n.named_cache = 1;
    if (!model.rule.create_complete) {
        n.process[p].step = TABLE_EMPTY;
        emit(&n, p, "CREATE: opens the new file, which is empty", -1);
        return;
    }
    file_fill(&n, host_owner(s, n.process[p].host));
    file_sync(&n);
    n.process[p].step = TABLE_NAME_SYNC;
    emit(&n, p, "CREATE: links the new file", -1);
}

static void create_fill(const struct state *s, int p) {
    struct state n = *s;

    file_fill(&n, host_owner(s, n.process[p].host));
    file_sync(&n);
    n.process[p].step = TABLE_NAME_SYNC;
    emit(&n, p, "CREATE: writes and syncs the new file", -1);
}

static void create_name_sync(const struct state *s, int p) {
    struct state n = *s;

    if (model.rule.create_directory)
        n.named_disk = 1;
    n.process[p].claimed = 1;
    host_begin_commit(&n, p, (struct version){.state = ROW_LIVE});
    emit(&n, p, "CREATE: syncs the directory, inserts the row", -1);
    create_fold(&n, p);
}

/* The row comes to live with the meta's root; an outstanding attempt is acknowledged. */
static void create_row(const struct state *s, int p, const char *label) {
    struct state n = *s;
    const struct version *base = base_row(s, p);
    const struct meta *m = &s->meta_cache[meta_newest(s->meta_cache)];
    struct version v = {.state = ROW_LIVE, .root = m->root};

    if (!byte_is_free(s))
        return;
    if (model.rule.create_directory)
        n.named_disk = 1;
    if (model.rule.claim_writes)
        file_write_meta(&n, m->root, m->attempt, m->owner);
    if (model.rule.row_behind_meta)
        file_rely(&n);
    if (base->state == ROW_DROPPED && lineage_accepts(s, base->root)) {
        v.root = base->root;
        v.acked = base->acked;
    }
    if (model.rule.acknowledge && attempt_outstanding(s, base))
        v.acked = m->attempt;
    n.process[p].from = v.root;
    host_begin_commit(&n, p, v);
    emit(&n, p, label, v.root);
    if (v.acked != m->attempt || m->attempt == 0)
        create_fold(&n, p);
}

static void create_decide(const struct state *s, int p) {
    struct state n = *s;
    struct process *me = &n.process[p];
    const struct version *base = base_row(s, p);
    int slot = meta_newest(s->meta_cache);
    int owner;

    if (!s->named_cache) {
        create_file(s, p);
        return;
    }
    if (slot < 0)
        return; /* not a table's file: refused */
    owner = s->meta_cache[slot].owner;
    if (owner != 0 && owner != host_owner(s, me->host))
        return; /* another host's: refused */
    if (owner != 0 && base->state == ROW_DROPPED && !lineage_accepts(s, base->root) &&
        !model.rule.create_behind) {
        if (!model.bound.copy && !model.bound.swap && !model.bound.off)
            violated("MODEL-7: CREATE is refused the file of its own host");
        return;
    }
    if (owner != 0) {
        if (base->state == ROW_ABSENT) {
            create_row(s, p, "CREATE: takes its own file over, row := root");
            return;
        }
        if (!model.rule.claim || attempt_outstanding(s, base)) {
            create_row(s, p, "CREATE: revives the row, root");
            return;
        }
    }
    if (!byte_is_free(s))
        return;
    n.lock.writer = (u8)(p + 1);
    if (model.rule.claim_barrier)
        host_barrier(&n.host[me->host]);
    me->claimed = owner == 0;
    me->step = TABLE_CLAIM;
    emit(&n, p, owner ? "CREATE: revives; takes the writer byte, syncs the host"
                      : "CREATE: adopts; takes the writer byte, syncs the host", -1);
}

/* Rule "claim": the meta names an attempt, which the row acknowledges when it commits. */
static void create_claim(const struct state *s, int p) {
    struct state n = *s;
    struct process *me = &n.process[p];
    int root = n.meta_cache[meta_newest(n.meta_cache)].root;

    if (base_row(s, p)->state == ROW_DROPPED && lineage_accepts(s, base_row(s, p)->root) &&
        n.meta_cache[meta_newest(n.meta_cache)].owner != 0)
        root = base_row(s, p)->root;
    me->from = (u8)root;
    if (model.rule.claim)
        me->attempt = (u8)(file_new_root(&n, root) + 1);
    file_write_meta(&n, root, me->attempt, host_owner(s, me->host));
    me->claimed = s->process[p].claimed;
    me->step = TABLE_CLAIM_SYNC;
    emit(&n, p, "CREATE: writes the meta with its owner", -1);
}

static void create_claim_sync(const struct state *s, int p) {
    struct state n = *s;
    struct process *me = &n.process[p];

    fold_sync_fails(s, p);
    file_sync(&n);
    file_meta_synced(&n);
    if (model.rule.create_directory)
        n.named_disk = 1;
    if (me->attempt)
        n.lock.armed = me->attempt;
    if (me->attempt && n.used.txns < model.bound.txns) {
        /* The same transaction writes pages: the claim is its attempt. */
        struct state m = n;
        m.process[p].bit = (u8)(1u << m.used.txns++);
        m.process[p].kind = KIND_CREATE_FOLD;
        m.process[p].step = WRITE_HORIZON;
        emit(&m, p, "CREATE: syncs the meta, goes on to a fold", -1);
    }
    if (n.lock.writer == p + 1)
        n.lock.writer = 0;
    host_begin_commit(
        &n, p, (struct version){.state = ROW_LIVE, .root = me->from, .acked = me->attempt});
    emit(&n, p, "CREATE: syncs the meta, row := root", me->from);
}

/* ---- Rollback of CREATE ---- */

/* The host's lock is given back first; then the file, if this transaction claimed it. */
void table_rolled_back(struct state *s, int p, bool doubt) {
    const struct process was = s->process[p];
    struct process *me = &s->process[p];

    process_end(s, p);
    if (!was.claimed || was.step < TABLE_NAME_SYNC || (doubt && model.rule.unclaim_doubt))
        return;
    me->claimed = was.claimed;
    me->kind = KIND_CREATE;
    me->base = s->host[me->host].visible;
    me->step = TABLE_UNCLAIM;
}

static void unclaim_meta(const struct state *s, int p) {
    struct state n = *s;
    const struct meta *m = &s->meta_cache[meta_newest(s->meta_cache)];

    if (!byte_is_free(s))
        return;
    if (!s->process[p].claimed) {
        process_end(&n, p);
        emit(&n, p, "ROLLBACK: somebody has taken the file up, it stays", -1);
        return;
    }
    n.lock.writer = (u8)(p + 1);
    file_write_meta(&n, m->root, 0, 0);
    n.process[p].step = TABLE_UNCLAIM_SYNC;
    emit(&n, p, "ROLLBACK: takes the writer byte, writes the meta without owner", -1);
}

static void unclaim_sync(const struct state *s, int p) {
    struct state n = *s;

    fold_sync_fails(s, p);
    file_sync(&n);
    file_meta_synced(&n);
    process_end(&n, p);
    emit(&n, p, "ROLLBACK: syncs the meta, the file is nobody's", -1);
}

/* ---- Release ---- */

/* What the write transaction does last; without its lock there is none. */
static void release_end(struct state *s, int p, struct version v, const char *label) {
    const struct version *base = base_row(s, p);
    const struct meta *m = &s->meta_cache[meta_newest(s->meta_cache)];

    if (v.state == ROW_ABSENT && s->root[base->root].applied & ~s->root[m->root].applied)
        violated("MODEL-9: a dropped table's file does not hold everything");
    if (s->host[s->process[p].host].writer == p + 1)
        host_begin_commit(s, p, v);
    else
        process_end(s, p);
    emit(s, p, label, -1);
}

static void release_decide(const struct state *s, int p) {
    struct state n = *s;
    struct process *me = &n.process[p];
    const struct version *base = base_row(s, p);
    const struct meta *m = &s->meta_cache[meta_newest(s->meta_cache)];
    struct version v = *base;

    if (model.rule.release_acknowledge && attempt_outstanding(s, base)) {
        v.acked = m->attempt;
        release_end(&n, p, v, "release: acknowledges the outstanding attempt first");
        return;
    }
    if (!byte_is_free(s))
        return;
    if (model.rule.release_owner && !row_accepted(s, me->host, base)) {
        if (model.rule.release_descends && !root_descends(s, m->root, base->root)) {
            process_end(&n, p);
            emit(&n, p, "release: the file went another way, the row stays: an error", -1);
            return;
        }
        if (model.rule.row_behind_meta)
            file_rely(&n);
        release_end(&n, p, (struct version){0},
                    "release: the file is not ours; syncs it, deletes the row");
        return;
    }
    n.lock.writer = (u8)(p + 1);
    if (model.rule.release_barrier)
        host_barrier(&n.host[me->host]);
    me->step = TABLE_RELEASE;
    emit(&n, p, "release: takes the writer byte, syncs the host", -1);
}

/* DROP has committed, and kept the writer byte: nobody can have revived the row meanwhile. */
static void release_held(const struct state *s, int p) {
    struct state n = *s;

    if (model.rule.release_barrier)
        host_barrier(&n.host[n.process[p].host]);
    n.process[p].step = TABLE_RELEASE;
    emit(&n, p, "release: syncs the host", -1);
}

static void release_meta(const struct state *s, int p) {
    struct state n = *s;

    file_write_meta(&n, n.process[p].from, 0, 0);
    n.process[p].step = TABLE_RELEASE_SYNC;
    emit(&n, p, "release: writes the meta without owner", -1);
}

static void release_sync(const struct state *s, int p) {
    struct state n = *s;

    fold_sync_fails(s, p);
    file_sync(&n);
    file_meta_synced(&n);
    if (n.lock.writer == p + 1)
        n.lock.writer = 0;
    release_end(&n, p, (struct version){0}, "release: syncs the meta, deletes the row");
}

bool table_step(const struct state *s, int p) {
    const struct process *me = &s->process[p];

    switch (me->step) {
    case WRITE_BEGUN:
        if (me->kind == KIND_CREATE)
            create_decide(s, p);
        else if (me->kind == KIND_RELEASE)
            release_decide(s, p);
        return me->kind == KIND_CREATE || me->kind == KIND_RELEASE;
    case LATE_BEGUN:
        release_decide(s, p);
        return true;
    case TABLE_EMPTY:
        create_fill(s, p);
        return true;
    case TABLE_NAME_SYNC:
        create_name_sync(s, p);
        return true;
    case TABLE_CLAIM:
        create_claim(s, p);
        return true;
    case TABLE_CLAIM_SYNC:
        create_claim_sync(s, p);
        return true;
    case TABLE_UNCLAIM:
        unclaim_meta(s, p);
        return true;
    case TABLE_UNCLAIM_SYNC:
        unclaim_sync(s, p);
        return true;
    case TABLE_HELD:
        release_held(s, p);
        return true;
    case TABLE_RELEASE:
        release_meta(s, p);
        return true;
    case TABLE_RELEASE_SYNC:
        release_sync(s, p);
        return true;
    default:
        return false;
    }
}
