/* SPDX-License-Identifier: MIT */
/*
 * What goes wrong: kills, failed commits, power losses, lost lock files, copies and backups.
 */
#include "model.h"

#include <string.h>

/* ---- One process ---- */

void fault_process(const struct state *s, int p) {
    const struct process *me = &s->process[p];
    struct state n = *s;

    if (me->step == IDLE)
        return;
    if (me->step < READ_PIN && me->step != TABLE_UNCLAIM && me->step != TABLE_UNCLAIM_SYNC &&
        s->used.aborts < model.bound.aborts) {
        /* After the frames are written SQLite calls xRollback, but they stay: in doubt. */
        bool doubt = model.bound.mode != DELETE_FULL && me->step > COMMIT_WRITE;
        n.used.aborts++;
        table_rolled_back(&n, p, doubt);
        emit(&n, p, doubt ? "I/O error after the WAL frames: rolled back, in doubt" : "ROLLBACK",
             -1);
    }
    if (s->used.kills < model.bound.kills) {
        n = *s;
        n.used.kills++;
        process_end(&n, p);
        emit(&n, p, "is killed", -1);
    }
}

/* Without rule "synced_word": after a sync the epoch is stored, the slot is not. */
void fault_between_stores(const struct state *s, int p) {
    struct state n = *s;

    if (model.rule.synced_word || n.used.kills == model.bound.kills)
        return;
    n.used.kills++;
    file_sync(&n);
    file_meta_synced(&n);
    n.lock.synced_slot = s->lock.synced_slot;
    process_end(&n, p);
    emit(&n, p, "syncs the file, stores the synced epoch, is killed", -1);
}

/* ---- Opening ---- */

/*
 * The first user: the lock file is made new but for the armed attempt. If its content is lost, the
 * meta's attempt is taken for armed: it may be in doubt in a host that others still have open.
 */
static void lock_open(struct state *s) {
    int slot = meta_newest(s->meta_cache);

    if (s->lock.closed == 2)
        s->lock.armed = 0;
    if (slot >= 0) {
        file_rely(s);
        s->lock.horizon = s->root[s->meta_cache[slot].root].epoch;
        if (s->lock.closed == 2 && model.rule.lost_arms)
            s->lock.armed = s->meta_cache[slot].attempt;
    }
    s->lock.closed = 0;
}

static void world_open(const struct state *s) {
    struct state n = *s;

    if (!s->lock.closed)
        return;
    lock_open(&n);
    emit(&n, -1, "the first user opens the file: syncs it, sets up the lock file", -1);
}

/* What a failed sync left in the cache is dropped from it. */
static void world_evict(const struct state *s) {
    struct state n = *s;

    if (!s->lost_pages && !s->lost_metas)
        return;
    file_evict(&n);
    emit(&n, -1, "the kernel drops the pages whose sync failed", -1);
}

static bool all_idle(const struct state *s) {
    for (int p = 0; p < PROCESSES; p++) {
        if (s->process[p].step != IDLE)
            return false;
    }
    return true;
}

/* Without rule "presence": the lock file of readers is unlinked, others make another. */
static void world_unlink(const struct state *s) {
    struct state n = *s;

    for (int p = 0; p < PROCESSES; p++) {
        if (s->process[p].step != IDLE && s->process[p].step < READ_PIN)
            return;
        n.process[p].stale = s->process[p].step != IDLE;
    }
    n.used.losses++;
    n.lock.closed = 2;
    emit(&n, -1, "the lock file is unlinked while in use", -1);
}

static void world_lose_lock(const struct state *s) {
    struct state n = *s;

    if (s->used.losses == model.bound.losses || s->lock.closed == 2)
        return;
    if (!all_idle(s)) {
        if (!model.rule.presence)
            world_unlink(s);
        return;
    }
    n.used.losses++;
    n.lock.closed = 2;
    emit(&n, -1, "all have closed the file, the lock file is lost", -1);
}

/* ---- All processes ---- */

static void world_kill(const struct state *s) {
    struct state n = *s;

    if (s->used.kills == model.bound.kills)
        return;
    n.used.kills++;
    for (int p = 0; p < PROCESSES; p++)
        process_end(&n, p);
    n.lock.closed = 1;
    for (int host = 0; host < HOSTS; host++) {
        struct host *h = &n.host[host];
        h->visible = h->recovered;
        h->backfilled = h->checkpointer = h->copying = h->copying_current = 0;
    }
    emit(&n, -1, "all are killed; recovery finds root",
         n.host[0].version[n.host[0].visible].root);
    for (int host = 0; host < HOSTS; host++) {
        if (!s->host[host].checkpointer)
            continue;
        n = *s;
        n.used.kills++;
        n.host[host].checkpointer = n.host[host].copying = n.host[host].copying_current = 0;
        emit(&n, -1, "the checkpointer is killed", -1);
    }
}

/* ---- Power loss ---- */

/* What is in the version, counting the file for a row that is gone. */
static u8 version_content(const struct state *s, const struct version *v) {
    int slot = meta_newest(s->meta_cache);

    if (v->state != ROW_ABSENT)
        return s->root[v->root].applied | v->rows;
    return slot < 0 ? 0 : s->root[s->meta_cache[slot].root].applied;
}

/* One of the ways in which unsynced pages survive: bit set = kept. */
static void disk_choose(struct state *s, unsigned pages, int metas) {
    for (int page = 0; page < PAGES; page++) {
        if (s->cache[page] == s->disk[page])
            continue;
        if (!(pages & 1))
            s->cache[page] = s->disk[page];
        pages >>= 1;
    }
    for (int slot = 0; slot < 2; slot++) {
        if (memcmp(&s->meta_cache[slot], &s->meta_disk[slot], sizeof(struct meta)) == 0)
            continue;
        if (metas % 3 == 0)
            s->meta_cache[slot] = s->meta_disk[slot];
        if (metas % 3 == 2)
            memset(&s->meta_cache[slot], 0, sizeof(struct meta)); /* torn */
        metas /= 3;
    }
    s->lost_pages = s->lost_metas = 0;
    file_sync(s);
}

static void file_vanish(struct state *s) {
    s->named_cache = 0;
    memset(s->meta_cache, 0, sizeof(s->meta_cache));
    memset(s->cache, 0, sizeof(s->cache));
    file_sync(s);
}

/* One outcome of a power loss: the file as chosen, each host at one of its possible versions. */
static void power_outcome(const struct state *chosen, bool vanish, const int *versions) {
    struct state n = *chosen;

    for (int p = 0; p < PROCESSES; p++)
        process_end(&n, p);
    if (vanish)
        file_vanish(&n);
    else
        n.named_disk = n.named_cache;
    for (int host = 0; host < HOSTS; host++) {
        struct host *h = &n.host[host];
        if (h->count == 0)
            continue;
        if (!model.bound.swap && !model.bound.off &&
            h->durable & ~version_content(&n, &h->version[versions[host]]))
            violated("MODEL-5: an acknowledged durable commit is lost");
        host_reopened(h, versions[host]);
    }
    n.lock.closed = 2;
    n.lock.armed = 0;
    lock_open(&n);
    n.lock.armed = 0; /* recovery has decided about every attempt */
    emit(&n, -1, "POWER LOSS; recovery finds root", n.host[0].version[versions[0]].root);
}

static void world_power(const struct state *s) {
    int dirty_pages = 0, meta_ways = 1;

    if (s->used.powers == model.bound.powers || model.bound.copy)
        return;
    for (int page = 0; page < PAGES; page++)
        dirty_pages += s->cache[page] != s->disk[page];
    for (int slot = 0; slot < 2; slot++) {
        if (memcmp(&s->meta_cache[slot], &s->meta_disk[slot], sizeof(struct meta)) != 0)
            meta_ways *= 3;
    }
    for (int v = 0; v < VERSIONS * VERSIONS; v++) {
        int versions[HOSTS] = {v % VERSIONS, v / VERSIONS};
        bool none = s->host[1].count == 0 && versions[1] == 0;
        if (!(s->host[0].possible >> versions[0] & 1))
            continue;
        if (!none && !(s->host[1].possible >> versions[1] & 1))
            continue;
        for (int way = 0; way < meta_ways << dirty_pages; way++) {
            struct state n = *s;
            n.used.powers++;
            disk_choose(&n, (unsigned)way / (unsigned)meta_ways, way % meta_ways);
            power_outcome(&n, false, versions);
            if (s->named_cache && !s->named_disk)
                power_outcome(&n, true, versions);
        }
    }
}

/* ---- Copies and backups of the host ---- */

static void world_copy(const struct state *s) {
    struct state n = *s;
    struct host *copy = &n.host[1];

    if (!model.bound.copy || s->copied || s->process[1].step != IDLE)
        return;
    n.copied = 1;
    memset(copy, 0, sizeof(*copy));
    copy->count = 1;
    copy->version[0] = s->host[0].version[s->host[0].visible];
    copy->possible = copy->db_possible = 1;
    n.process[1].host = 1;
    emit(&n, -1, "the host is copied, the second process works on the copy", -1);
}

static void world_swap(const struct state *s) {
    struct state n = *s;
    struct host *h = &n.host[0];

    if (!model.bound.swap)
        return;
    if (!s->saved) {
        n.saved = 1;
        n.backup = h->version[h->visible];
        emit(&n, -1, "a backup of the host is made, root", n.backup.root);
        return;
    }
    if (s->used.swaps == model.bound.swap || !all_idle(s))
        return;
    n.used.swaps++;
    n.backup = h->version[h->visible];
    memset(h, 0, sizeof(*h));
    h->count = 1;
    h->version[0] = s->backup;
    h->possible = h->db_possible = 1;
    n.lock.closed = 1;
    emit(&n, -1, "the host and its backup are exchanged, root", s->backup.root);
}

void fault_world(const struct state *s) {
    world_open(s);
    world_evict(s);
    world_lose_lock(s);
    world_kill(s);
    world_power(s);
    world_copy(s);
    world_swap(s);
}
