/* SPDX-License-Identifier: MIT */
/*
 * SQLite's side: how a commit becomes visible and durable, and checkpoints.
 *
 * A version is the whole content of one commit. `visible` is what a new snapshot sees, `recovered`
 * what recovery would find with the system's cache intact, and `possible` is every version that a
 * power loss may lead back to: unsynced frames of the WAL, frames of commits in doubt, a journal
 * whose unlinking was not synced.
 */
#include "model.h"

#include <stdio.h>
#include <stdlib.h>

int host_add_version(struct state *s, int host, struct version version) {
    struct host *h = &s->host[host];

    if (h->count == VERSIONS)
        state_normalise(s);
    if (h->count == VERSIONS) {
        fprintf(stderr, "VERSIONS is too small for these bounds\n");
        exit(2);
    }
    h->version[h->count] = version;
    return h->count++;
}

/* fsync of the WAL. What is below it is not made better by that. */
void host_sync_wal(struct host *h) {
    h->possible = (u16)(1u << h->recovered | h->lost);
}

/*
 * Rule "barrier": WAL or journal, database file and directory are synced. The write lock is held,
 * except by a publisher; then a commit of another process has not reached its commit point.
 */
void host_barrier(struct host *h) {
    if (model.bound.mode == DELETE_FULL) {
        if (model.rule.directory)
            h->possible = (u16)(1u << h->visible);
        return;
    }
    h->lost = 0;
    h->db_possible = (u16)(1u << h->db);
    host_sync_wal(h);
}

/* The process commits this version next; SQLite's part begins. */
void host_begin_commit(struct state *s, int p, struct version version) {
    struct process *me = &s->process[p];

    me->commit = (u8)(host_add_version(s, me->host, version) + 1);
    me->step = COMMIT_WRITE;
}

/* ---- The steps of a commit ---- */

/* Does another snapshot keep the WAL from being restarted, or the journal's writer waiting? */
static bool host_others_read(const struct state *s, int p, bool wal) {
    for (int other = 0; other < PROCESSES; other++) {
        const struct process *q = &s->process[other];
        if (other == p || q->host != s->process[p].host)
            continue;
        if (q->step >= READ_PIN && q->step <= READ_KEPT && (q->uses_wal || !wal))
            return true;
    }
    return false;
}

/*
 * A writer whose snapshot is the database file alone starts the WAL anew. The frames of a commit in
 * doubt that were behind the visible ones are gone once the new header is synced.
 */
static void commit_restart(const struct state *s, int p) {
    struct state n = *s;
    struct host *h = &n.host[n.process[p].host];

    h->recovered = h->db;
    h->possible |= h->db_possible;
    h->backfilled = 0;
    n.process[p].step = COMMIT_RESTART;
    emit(&n, p, "COMMIT: WAL restarted, header not synced", -1);
}

static void commit_restart_sync(const struct state *s, int p) {
    struct state n = *s;
    struct host *h = &n.host[n.process[p].host];

    h->lost = h->db_possible & (u16) ~(1u << h->db);
    if (model.bound.off < 2)
        h->possible = h->db_possible;
    n.process[p].step = COMMIT_WRITE;
    emit(&n, p, model.bound.off < 2 ? "COMMIT: WAL header synced" : "COMMIT: no sync", -1);
}

static void commit_write(const struct state *s, int p) {
    struct state n = *s;
    struct process *me = &n.process[p];
    struct host *h = &n.host[me->host];

    if (model.bound.mode == DELETE_FULL) {
        h->possible = (u16)(1u << h->visible);
        me->step = COMMIT_SYNC;
        emit(&n, p, "COMMIT: journal and directory synced", -1);
        return;
    }
    if (h->backfilled && !me->uses_wal && !host_others_read(s, p, true))
        commit_restart(s, p);
    h->recovered = (u8)(me->commit - 1);
    h->possible |= (u16)(1u << h->recovered | 1u << h->visible);
    me->step = model.bound.mode == WAL_FULL ? COMMIT_SYNC : COMMIT_SHOW;
    emit(&n, p, "COMMIT: WAL frames written", -1);
}

static void commit_sync(const struct state *s, int p) {
    struct state n = *s;
    struct process *me = &n.process[p];

    if (model.bound.mode == DELETE_FULL && host_others_read(s, p, false))
        return; /* BUSY: readers hold the shared lock */
    if (model.bound.mode == WAL_FULL)
        host_sync_wal(&n.host[me->host]);
    me->step = COMMIT_SHOW;
    emit(&n, p, model.bound.mode == WAL_FULL ? "COMMIT: WAL synced"
                                             : "COMMIT: database file written and synced", -1);
}

static void commit_show(const struct state *s, int p) {
    struct state n = *s;
    struct process *me = &n.process[p];
    struct host *h = &n.host[me->host];
    const struct version *row;

    h->visible = (u8)(me->commit - 1);
    row = &h->version[h->visible];
    if (model.bound.mode == DELETE_FULL) {
        h->recovered = h->visible;
        h->possible |= (u16)(1u << h->visible);
    }
    if (model.bound.mode == WAL_FULL && row->state != ROW_ABSENT)
        h->durable = n.root[row->root].applied | row->rows;
    h->backfilled = 0;
    h->copying_current = 0;
    if (me->kind == KIND_DROP && model.bound.held) {
        h->writer = 0;
        me->base = h->visible;
        me->from = row->root;
        me->commit = me->attempt = 0;
        me->step = TABLE_HELD;
    } else {
        process_end(&n, p);
    }
    emit(&n, p, model.bound.mode == DELETE_FULL ? "COMMIT: journal unlinked, visible: root"
                                                : "COMMIT: visible: root", row->root);
}

bool host_writer_step(const struct state *s, int p) {
    switch (s->process[p].step) {
    case COMMIT_RESTART:
        commit_restart_sync(s, p);
        return true;
    case COMMIT_WRITE:
        commit_write(s, p);
        return true;
    case COMMIT_SYNC:
        commit_sync(s, p);
        return true;
    case COMMIT_SHOW:
        commit_show(s, p);
        return true;
    default:
        return false;
    }
}

/* ---- The checkpointer, an actor of its own ---- */

void host_checkpointer_step(const struct state *s, int host) {
    struct state n = *s;
    struct host *h = &n.host[host];
    bool off = model.bound.off;

    if (h->count == 0 || model.bound.mode == DELETE_FULL)
        return;
    switch (h->checkpointer) {
    case 0:
        if (n.used.checkpoints == model.bound.checkpoints || h->backfilled)
            return;
        n.used.checkpoints++;
        h->copying = h->visible;
        h->copying_current = 1;
        h->checkpointer = 1;
        if (!off)
            host_sync_wal(h);
        emit(&n, -1, off ? "checkpoint: begun, nothing synced" : "checkpoint: WAL synced", -1);
        break;
    case 1:
        h->db = h->copying;
        h->db_possible |= (u16)(1u << h->db);
        h->checkpointer = 2;
        emit(&n, -1, "checkpoint: database file written", -1);
        break;
    default:
        if (!off) {
            h->db_possible = (u16)(1u << h->db);
            h->lost = 0;
        }
        h->backfilled = h->copying_current;
        h->checkpointer = h->copying = h->copying_current = 0;
        emit(&n, -1, off ? "checkpoint: done, nothing synced"
                         : "checkpoint: database file synced", -1);
        break;
    }
}

/* The host as it is after recovery led to this version: nothing else is possible any more. */
void host_reopened(struct host *h, int version) {
    h->visible = h->recovered = h->db = (u8)version;
    h->possible = h->db_possible = (u16)(1u << version);
    h->lost = 0;
    h->backfilled = h->checkpointer = h->copying = h->copying_current = 0;
    h->durable = 0;
}
