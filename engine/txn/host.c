/* SPDX-License-Identifier: MIT */
/*
 * Transactions of a host that keeps the root; see htt_host.h and docs/durability.md.
 *
 *     begin_read    pin the epoch, R <= epoch?, then: is the root in the file's line?
 *     begin_write   writer byte | line, owner, pins, attempts | the host's barrier
 *                   | meta {base, nonce} | reuse limit | pages ...
 *     flush         write all pages, freeze, one sync
 *     publish       flush, armed
 *     finish        writer byte given back
 *
 * The writer byte is held until the host's transaction is over. Between the publish and the host's
 * commit the new root is named by nothing but the host's uncommitted row.
 */
#include <errno.h>
#include <string.h>

#include "txn/host.h"

enum {
    HOST_REST_MS = 60000, /* a pin that rests longer may be taken away */
    HOST_REST_BYTES = 1024 * 1024, /* for less free space none is taken before */
    HOST_WAIT_MS = 1000   /* for the writer's right, at rest */
};

/* Makes the last error of the store and gives its rc. */
static htt_rc host_result(htt_store *store, htt_rc rc, const htt_error *error) {
    return rc == HTT_OK ? HTT_OK : htt_store_fail(store, error);
}

static htt_rc host_misuse(htt_store *store, htt_error *error) {
    (void)htt_error_set(error, HTT_MISUSE, "an argument is missing or makes no sense");
    return store == NULL ? HTT_MISUSE : htt_store_fail(store, error);
}

/* ---------------------------------------------------------- ownership, at rest */

htt_rc htt_host_read_meta(htt_store *store, htt_host_meta *meta_out) {
    htt_error error = {0};
    htt_meta meta;

    if (store == NULL || meta_out == NULL)
        return host_misuse(store, &error);
    htt_rc rc = htt_store_check_process(store, &error);
    if (rc == HTT_OK)
        rc = htt_keeper_meta_read(store->keeper, false, &meta, &error);
    if (rc != HTT_OK)
        return htt_store_fail(store, &error);
    htt_host_get_owner(&meta, &meta_out->owner);
    htt_host_encode(&meta.root, &meta_out->root);
    meta_out->attempt = meta.attempt;
    meta_out->armed = store->lock != NULL ? atomic_load(&store->lock->area->armed) : meta.attempt;
    return HTT_OK;
}

uint64_t htt_host_generation(const htt_store *store) {
    if (store == NULL || store->lock == NULL || htt_store_check_process(store, NULL) != HTT_OK)
        return 0;
    const uint64_t generation = atomic_load(&store->lock->area->generation);

    return generation % 2 == 0 ? generation : 0;
}

/* Takes the writer's right for something short. */
static htt_rc host_take(htt_store *store, uint32_t wait_ms, htt_error *error) {
    const htt_rc rc = htt_store_check_process(store, error);

    return rc == HTT_OK ? htt_txn_take_writer_within(store, wait_ms, error) : rc;
}

static htt_rc host_other_owner(const htt_store *store, const htt_host_owner *is, htt_error *error) {
    if (is->path[0] == '\0')
        return htt_error_set(error, HTT_READONLY,
                             "'%s' belongs to no database: it was released", store->path);
    return htt_error_set(error, HTT_READONLY,
                         "'%s' belongs to the database '%s' (seen from the file): for a copy of "
                         "the database make a copy of the file with htt_adopt",
                         store->path, is->path);
}

static htt_rc host_claim(htt_store *store, const htt_host_owner *owner, htt_root *root_out,
                         htt_error *error) {
    htt_host_owner is;
    htt_meta meta;

    htt_rc rc = htt_keeper_host_enter(store->keeper, &meta, error);
    if (rc != HTT_OK)
        return rc;
    *root_out = meta.root;
    htt_host_get_owner(&meta, &is);
    if (is.path[0] == '\0') {
        htt_host_set_owner(&meta, owner);
        return htt_keeper_host_rest(store->keeper, &meta.root, &meta, error);
    }
    if (!htt_host_is_owner(&is, owner))
        return host_other_owner(store, &is, error);
    htt_host_set_owner(&meta, owner); /* also as it was: see host_unclaim */
    return htt_keeper_host_rewrite(store->keeper, &meta, error);
}

htt_rc htt_host_claim(htt_store *store, const htt_host_owner *owner, htt_host_root *root_out) {
    htt_error error = {0};
    htt_root root;

    if (store == NULL || owner == NULL || owner->path[0] == '\0' || root_out == NULL)
        return host_misuse(store, &error);
    htt_rc rc = host_take(store, store->busy_timeout_ms, &error);
    if (rc != HTT_OK)
        return htt_store_fail(store, &error);
    rc = host_claim(store, owner, &root, &error);
    htt_txn_give_writer(store);
    if (rc == HTT_OK)
        htt_host_encode(&root, root_out);
    return host_result(store, rc, &error);
}

static htt_rc host_unclaim(htt_store *store, const htt_host_owner *owner, uint64_t generation,
                           htt_error *error) {
    static const htt_host_owner nobody;
    htt_host_owner is;
    htt_meta meta;

    if (generation == 0 || htt_host_generation(store) != generation)
        return HTT_OK; /* somebody of the same host has taken it up meanwhile */
    htt_rc rc = htt_keeper_host_enter(store->keeper, &meta, error);
    if (rc != HTT_OK)
        return rc;
    htt_host_get_owner(&meta, &is);
    /* An attempt of our own that was never armed cannot come back. */
    const bool over =
        meta.attempt == 0 || meta.attempt != atomic_load(&store->lock->area->armed);
    if (is.path[0] == '\0' || !htt_host_is_owner(&is, owner) || !over)
        return HTT_OK;
    htt_host_set_owner(&meta, &nobody);
    return htt_keeper_host_rest(store->keeper, &meta.root, &meta, error);
}

htt_rc htt_host_unclaim(htt_store *store, const htt_host_owner *owner, uint64_t generation) {
    htt_error error = {0};

    if (store == NULL || owner == NULL || store->lock == NULL)
        return host_misuse(store, &error);
    htt_rc rc = host_take(store, HOST_WAIT_MS, &error);
    if (rc != HTT_OK)
        return htt_store_fail(store, &error);
    rc = host_unclaim(store, owner, generation, &error);
    htt_txn_give_writer(store);
    return host_result(store, rc, &error);
}

static htt_rc host_checkpoint(htt_store *store, const htt_root *root, bool release,
                              htt_error *error) {
    static const htt_host_owner nobody;
    htt_meta meta;

    htt_rc rc = htt_keeper_host_enter(store->keeper, &meta, error);
    if (rc != HTT_OK)
        return rc;
    const bool there = meta.root.self.epoch == root->self.epoch &&
                       meta.root.self.nonce == root->self.nonce;
    if (there && meta.owner[0] == '\0' && !release)
        return HTT_OK;
    rc = htt_host_check_newest(store, &meta, root, error);
    if (rc != HTT_OK)
        return rc;
    /* An attempt upon this root may still come back: the page that names it has to stay. */
    if (there && !release)
        return HTT_OK;
    /* A release that was written already may be in memory only: the host acts on it next. */
    if (release)
        htt_host_set_owner(&meta, &nobody);
    return htt_keeper_host_rest(store->keeper, root, &meta, error);
}

htt_rc htt_host_checkpoint(htt_store *store, const htt_host_root *given, bool release,
                           htt_txn *txn) {
    htt_error error = {0};
    htt_root root;

    if (store == NULL || given == NULL || (txn != NULL && (txn->store != store || !txn->write)))
        return host_misuse(store, &error);
    htt_rc rc = htt_store_check_process(store, &error);
    if (rc == HTT_OK)
        rc = htt_host_decode(given, &root, &error);
    if (rc == HTT_OK && txn == NULL)
        rc = host_take(store, HOST_WAIT_MS, &error);
    if (rc != HTT_OK)
        return htt_store_fail(store, &error);
    rc = host_checkpoint(store, &root, release, &error);
    if (txn == NULL)
        htt_txn_give_writer(store);
    return host_result(store, rc, &error);
}

bool htt_host_is_alone(htt_store *store) {
    if (store == NULL || store->lock == NULL || store->readonly ||
        htt_store_check_process(store, NULL) != HTT_OK)
        return false;
    return htt_lockfile_is_alone(store->lock);
}

static htt_rc host_declare(htt_store *store, const char *declaration, htt_error *error) {
    htt_meta meta;

    htt_rc rc = htt_keeper_host_enter(store->keeper, &meta, error);
    if (rc != HTT_OK)
        return rc;
    (void)pthread_mutex_lock(&store->mutex);
    rc = htt_store_add_declaration(store, declaration, error);
    (void)pthread_mutex_unlock(&store->mutex);
    if (rc != HTT_OK)
        return rc;
    memset(meta.declaration, 0, sizeof meta.declaration);
    memcpy(meta.declaration, declaration, strlen(declaration));
    rc = htt_keeper_host_rewrite(store->keeper, &meta, error);
    if (rc != HTT_OK) {
        (void)pthread_mutex_lock(&store->mutex);
        htt_store_drop_declaration(store);
        (void)pthread_mutex_unlock(&store->mutex);
    }
    return rc;
}

htt_rc htt_host_declare(htt_store *store, const char *declaration) {
    htt_error error = {0};

    if (store == NULL || declaration == NULL)
        return host_misuse(store, &error);
    if (strlen(declaration) > HTT_DECLARATION_SIZE_MAX) {
        (void)htt_error_set(&error, HTT_TOOBIG, "declaration of %zu bytes, the limit is %u",
                            strlen(declaration), HTT_DECLARATION_SIZE_MAX);
        return htt_store_fail(store, &error);
    }
    htt_rc rc = host_take(store, HOST_WAIT_MS, &error);
    if (rc == HTT_OK) {
        rc = host_declare(store, declaration, &error);
        htt_txn_give_writer(store);
    }
    return host_result(store, rc, &error);
}

/* ------------------------------------------------------------------- reading */

htt_rc htt_host_check_root(htt_store *store, const htt_host_root *given) {
    htt_error error = {0};
    htt_root root;
    htt_meta meta;

    if (store == NULL || given == NULL)
        return host_misuse(store, &error);
    htt_rc rc = htt_store_check_process(store, &error);
    if (rc == HTT_OK)
        rc = htt_host_decode(given, &root, &error);
    if (rc == HTT_OK)
        rc = htt_keeper_meta_read(store->keeper, false, &meta, &error);
    if (rc == HTT_OK)
        rc = htt_host_check_newest(store, &meta, &root, &error);
    return host_result(store, rc, &error);
}

/* Is txn->base in the file's line? If so the meta pages that say it are noted. */
static htt_rc host_read_line(htt_txn *txn, htt_error *error) {
    const htt_store *const store = txn->store;
    htt_meta meta;
    uint64_t generation;

    htt_rc rc = htt_keeper_meta_read_at(store->keeper, false, &meta, &generation, error);
    if (rc == HTT_OK)
        rc = htt_host_check_line(store, &meta, &txn->base, error);
    txn->line_generation = rc == HTT_OK ? generation : 0;
    return rc;
}

/*
 * The root of the last time, and the meta pages are those that knew it: then all there is to do is
 * to pin it. Pins first, then looks, as host_read. False: host_read has to be asked.
 */
static bool host_read_again(htt_txn *txn, const htt_host_root *root) {
    htt_store *const store = txn->store;
    htt_pin *const pin = txn->parked;

    if (pin == NULL || txn->line_generation == 0 || !htt_pages_is_mapped(store->pages) ||
        memcmp(txn->line_record, root->record, sizeof txn->line_record) != 0 ||
        !htt_pinboard_unpark(&store->board, pin, txn->base.self.epoch))
        return false;
    if (!htt_keeper_meta_is_at(store->keeper, txn->line_generation)) {
        htt_pinboard_park(&store->board, pin);
        return false;
    }
    txn->pin = pin;
    txn->parked = NULL;
    return true;
}

/* Pins first, then looks: who overwrites pages looks at pins after it has said so. */
static htt_rc host_read(htt_txn *txn, const htt_host_root *root, htt_error *error) {
    htt_store *const store = txn->store;
    htt_error other = {0};

    txn->line_generation = 0;
    htt_rc rc = htt_host_decode(root, &txn->base, error);
    if (rc != HTT_OK)
        return rc;
    memcpy(txn->line_record, root->record, sizeof txn->line_record);
    rc = htt_txn_pin_base(txn, error);
    if (rc == HTT_SNAPSHOT)
        (void)htt_error_set(error, HTT_SNAPSHOT,
                            "pages of this snapshot of '%s' were used again: begin a new "
                            "transaction", store->path);
    if (rc != HTT_OK && rc != HTT_SNAPSHOT && rc != HTT_CORRUPT)
        return rc;
    const htt_rc line = host_read_line(txn, rc == HTT_OK ? error : &other);
    if (rc == HTT_OK) {
        if (line != HTT_OK)
            htt_reset(txn);
        return line;
    }
    /* A new transaction would not help, nor would a repair: it is a root of something else. */
    if (line == HTT_MISMATCH)
        *error = other;
    return line == HTT_MISMATCH ? line : rc;
}

htt_rc htt_host_begin_read(htt_store *store, const htt_host_root *root, htt_txn **txn_out) {
    htt_error error = {0};

    if (store == NULL || root == NULL || txn_out == NULL)
        return host_misuse(store, &error);
    htt_rc rc = htt_store_check_process(store, &error);
    htt_txn *const txn = rc == HTT_OK ? htt_txn_new(store, false, &error) : NULL;
    if (txn == NULL)
        return htt_store_fail(store, &error);
    txn->hosted = true;
    rc = host_read(txn, root, &error);
    if (rc == HTT_OK) {
        *txn_out = txn;
        return HTT_OK;
    }
    if (txn->link != NULL)
        htt_txn_end(txn, false, false);
    else
        store->env->release(store->env->context, txn);
    return htt_store_fail(store, &error);
}

htt_rc htt_host_renew(htt_txn *txn, const htt_host_root *root) {
    if (txn == NULL || root == NULL)
        return HTT_MISUSE;
    htt_error_clear(&txn->error);
    if (txn->write || !txn->hosted)
        return htt_error_set(&txn->error, HTT_MISUSE, "not a read transaction of a host");
    htt_rc rc = htt_store_check_process(txn->store, &txn->error);
    if (rc != HTT_OK)
        return rc;
    htt_reset(txn);
    if (host_read_again(txn, root))
        return HTT_OK;
    rc = host_read(txn, root, &txn->error);
    return htt_txn_leave(txn, rc);
}

void htt_host_rest(htt_txn *txn) {
    if (txn == NULL || txn->write || txn->pin == NULL || txn->resting ||
        htt_store_check_process(txn->store, NULL) != HTT_OK)
        return;
    htt_txn_forget(txn);
    const bool alone = txn->pin->own && txn->pin->users == 1;
    if (!alone)
        (void)pthread_mutex_lock(&txn->store->mutex);
    htt_pinboard_rest(&txn->store->board, txn->pin);
    txn->resting = true;
    if (!alone)
        (void)pthread_mutex_unlock(&txn->store->mutex);
}

htt_rc htt_host_wake(htt_txn *txn) {
    if (txn == NULL)
        return HTT_MISUSE;
    htt_error_clear(&txn->error);
    if (txn->write || txn->pin == NULL)
        return htt_error_set(&txn->error, HTT_MISUSE, "the transaction was reset: renew it first");
    if (!txn->resting)
        return HTT_OK;
    const htt_rc rc = htt_store_check_process(txn->store, &txn->error);
    if (rc != HTT_OK)
        return rc;
    const bool alone = txn->pin->own && txn->pin->users == 1;
    if (!alone)
        (void)pthread_mutex_lock(&txn->store->mutex);
    const bool kept = htt_pinboard_wake(&txn->store->board, txn->pin);
    txn->resting = false;
    if (!alone)
        (void)pthread_mutex_unlock(&txn->store->mutex);
    if (kept)
        return HTT_OK;
    htt_reset(txn);
    return htt_error_set(&txn->error, HTT_SNAPSHOT,
                         "pages of this snapshot of '%s' were used again while nobody read them: "
                         "begin a new transaction", txn->store->path);
}

/* ------------------------------------------------------------------- writing */

/* An attempt that may still be committed, by a recovery of the host: 0 = none. */
static uint64_t host_outstanding(const htt_store *store, const htt_meta *meta,
                                 const htt_host_write *write, uint64_t own) {
    const uint64_t attempt = meta->attempt;

    if (attempt == 0 || attempt == write->base->nonce || attempt == write->acked ||
        attempt == own || write->certain)
        return 0;
    return attempt == atomic_load(&store->lock->area->armed) ? attempt : 0;
}

htt_rc htt_host_outstanding(htt_store *store, const htt_host_write *write, uint64_t own,
                            uint64_t *attempt_out) {
    htt_error error = {0};
    htt_meta meta;

    if (store == NULL || write == NULL || write->base == NULL || attempt_out == NULL ||
        store->lock == NULL)
        return host_misuse(store, &error);
    htt_rc rc = htt_store_check_process(store, &error);
    if (rc == HTT_OK)
        rc = htt_keeper_meta_read(store->keeper, false, &meta, &error);
    if (rc == HTT_OK)
        *attempt_out = host_outstanding(store, &meta, write, own);
    return host_result(store, rc, &error);
}

/* Pages of a root newer than the base are free to be written, as far as this host knows. */
static htt_rc host_check_pins(htt_store *store, const htt_root *base, htt_error *error) {
    (void)pthread_mutex_lock(&store->mutex); /* another thread may be taking a slot */
    const uint64_t highest = htt_lockfile_highest_pin(store->lock);
    (void)pthread_mutex_unlock(&store->mutex);

    if (highest <= base->self.epoch)
        return HTT_OK;
    return htt_error_set(error, HTT_BUSY,
                         "'%s': somebody reads a newer state than this database has: is the file "
                         "in use by another copy of it?", store->path);
}

/* What must be true before a page is written. The writer byte is held. */
static htt_rc host_admit(htt_store *store, const htt_host_write *write, const htt_root *base,
                         htt_error *error) {
    htt_host_owner is;
    htt_meta meta;

    htt_rc rc = htt_keeper_host_enter(store->keeper, &meta, error);
    if (rc == HTT_OK)
        rc = htt_host_check_newest(store, &meta, base, error);
    if (rc != HTT_OK)
        return rc;
    htt_host_get_owner(&meta, &is);
    if (!htt_host_is_owner(&is, write->owner))
        return host_other_owner(store, &is, error);
    if (host_outstanding(store, &meta, write, write->nonce) != 0)
        return htt_error_set(error, HTT_BUSY, "'%s': the outcome of an earlier attempt is open",
                             store->path);
    return host_check_pins(store, base, error);
}

/* Pins that only rest are worth less than the space when most of a file that is not small is free,
 * or after a long time. */
static void host_take_idle(htt_store *store, const htt_root *base) {
    const htt_env *const env = store->env;
    const bool needed = base->free_pages > base->page_count / 2 &&
                        (uint64_t)base->free_pages * store->page_size > HOST_REST_BYTES;

    htt_lockfile_take_idle(store->lock, base->self.epoch, env->now_ms(env->context),
                           needed ? 0 : HOST_REST_MS);
}

/* The writer byte is held. */
static htt_rc host_begin(htt_txn *txn, const htt_host_write *write, htt_error *error) {
    htt_store *const store = txn->store;
    htt_meta owner = {0};

    htt_rc rc = host_admit(store, write, &txn->base, error);
    if (rc != HTT_OK)
        return rc;
    const int code = write->barrier(write->arg);
    if (code != 0) {
        /* A sync that fails may drop what it could not write, and the next one succeed. */
        if (code == EIO || code == ENOSPC || code == EDQUOT)
            htt_keeper_host_poison(store->keeper);
        return htt_error_errno(error, HTT_IO, code, "cannot make the host of '%s' durable",
                               store->path);
    }
    /* All roots of a host transaction have one nonce: it does not matter which one is kept. */
    const uint64_t nonce = write->nonce != 0 ? write->nonce : htt_txn_next_nonce(store) | 1;
    htt_host_set_owner(&owner, write->owner);
    rc = htt_keeper_host_attempt(store->keeper, &txn->base, nonce, &owner, store->early_sync,
                                 error);
    /* Again: a reader of another copy may have pinned since, and have seen the old meta page. Who
     * pins from now on sees the new one, and that its root is not in this line. */
    if (rc == HTT_OK)
        rc = host_check_pins(store, &txn->base, error);
    if (rc != HTT_OK)
        return rc;
    host_take_idle(store, &txn->base);
    return htt_txn_begin_pages(txn, nonce, write->low_first, write->budget, error);
}

htt_rc htt_host_begin_write(htt_store *store, const htt_host_write *write, htt_txn **txn_out) {
    htt_error error = {0};

    if (store == NULL || write == NULL || write->base == NULL || write->owner == NULL ||
        write->barrier == NULL || txn_out == NULL)
        return host_misuse(store, &error);
    htt_rc rc = host_take(store, write->wait_ms, &error);
    if (rc != HTT_OK)
        return htt_store_fail(store, &error);
    htt_txn *const txn = htt_txn_new(store, true, &error);
    rc = txn == NULL ? HTT_NOMEM : htt_host_decode(write->base, &txn->base, &error);
    if (rc == HTT_OK) {
        txn->hosted = true;
        rc = host_begin(txn, write, &error);
    }
    if (rc == HTT_OK) {
        *txn_out = txn;
        return HTT_OK;
    }
    htt_txn_give_writer(store);
    if (txn != NULL)
        store->env->release(store->env->context, txn);
    return htt_store_fail(store, &error);
}

uint64_t htt_host_nonce(const htt_txn *txn) {
    return txn == NULL || !txn->write || !txn->hosted ? 0 : txn->root.self.nonce;
}

htt_rc htt_host_flush(htt_txn *txn, uint64_t seq, htt_host_root *root_out) {
    uint64_t freeze;

    htt_rc rc = htt_txn_enter_write(txn);
    if (rc != HTT_OK)
        return rc;
    if (!txn->hosted || root_out == NULL)
        return htt_error_set(&txn->error, HTT_MISUSE, "not a write transaction of a host");
    rc = htt_store_check_process(txn->store, &txn->error);
    if (rc != HTT_OK)
        return rc;
    htt_txn_forget(txn);
    if (!txn->prepared) {
        /* The root may be in the host's row from now on: its pages are not changed any more. That
         * is true of the free list too, which the flush writes: the freeze comes after it. */
        rc = htt_txn_flush(txn);
        if (rc == HTT_OK)
            rc = htt_writer_freeze(txn->writer, &freeze, &txn->error);
        if (rc == HTT_OK)
            rc = htt_keeper_host_sync(txn->store->keeper, txn->root.self.nonce, &txn->error);
        if (rc != HTT_OK) {
            txn->broken = rc;
            return htt_txn_leave(txn, rc);
        }
        txn->prepared = true;
        txn->published = true;
    }
    txn->root.seq = seq;
    htt_host_encode(&txn->root, root_out);
    return HTT_OK;
}

htt_rc htt_host_publish(htt_txn *txn, uint64_t seq, htt_host_root *root_out) {
    const htt_rc rc = htt_host_flush(txn, seq, root_out);

    if (rc == HTT_OK)
        htt_keeper_host_arm(txn->store->keeper, txn->root.self.nonce);
    return rc;
}

void htt_host_finish(htt_txn *txn, bool committed) {
    if (txn == NULL)
        return;
    const bool forked = htt_store_check_process(txn->store, NULL) != HTT_OK;

    /* What changed since the last root was given out is nowhere: cursors over it end. */
    committed = committed && txn->published && txn->prepared && !forked;
    if (committed)
        htt_txn_note_committed(txn);
    htt_txn_end(txn, committed, forked);
}
