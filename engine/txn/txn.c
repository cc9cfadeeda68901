/* SPDX-License-Identifier: MIT */
/*
 * Transactions: begin, prepare, commit, abort.
 *
 *     reader   [newest root, pin its epoch, R <= epoch?]  reads  [give the pin]
 *     writer   writer byte, base root, reuse limit        changes
 *                 prepare: all pages and the free list into the file, synced if a commit must be
 *                 commit:  prepare if something changed since, then the keeper publishes the root
 *                 abort:   nothing; pages that were written are named by no root
 *
 * The reuse limit is computed under the writer byte (lockfile.h): pages that died at or before it
 * are named neither by the meta page that is known to be on the disk nor by a pinned root.
 */
#include <errno.h>
#include <string.h>

#include "txn/store.h"

#define TXN_PIN_TRIES 1000     /* each lost to a commit at the same moment */
#define TXN_WAIT_MIN_US 100u   /* between two looks at the writer byte: doubled each time */
#define TXN_WAIT_MAX_US 5000u
#define TXN_STAGE_PAGES 512    /* the least that is worth staging */

/* ------------------------------------------------------------ begin and end of calls */

htt_rc htt_txn_enter(htt_txn *txn) {
    if (txn == NULL)
        return HTT_MISUSE;
    txn->error.rc = HTT_OK;
    txn->error.page = 0;
    txn->error.text[0] = '\0';
    if (txn->broken != HTT_OK)
        return htt_error_set(&txn->error, txn->broken,
                             "an earlier write of this transaction failed; it can only be aborted");
    if ((txn->pin == NULL || txn->resting) && !txn->write)
        return htt_error_set(&txn->error, HTT_MISUSE, "the transaction was reset: renew it first");
    return HTT_OK;
}

htt_rc htt_txn_enter_write(htt_txn *txn) {
    const htt_rc rc = htt_txn_enter(txn);

    if (rc != HTT_OK || txn->write)
        return rc;
    return htt_error_set(&txn->error, HTT_READONLY, "this is a read transaction");
}

/* Without pins a page may be overwritten, or cut off, while it is read. */
static htt_rc txn_explain_damage(htt_txn *txn, htt_rc rc) {
    htt_store *const store = txn->store;
    htt_root root;

    if (store->keeper->methods->newest(store->keeper, true, &root, NULL) != HTT_OK ||
        root.self.epoch == txn->base.self.epoch)
        return rc;
    return htt_error_set(&txn->error, HTT_SNAPSHOT,
                         "pages of this snapshot were reused; begin again");
}

htt_rc htt_txn_leave(htt_txn *txn, htt_rc rc) {
    if (rc == HTT_OK)
        return rc;
    if ((rc == HTT_CORRUPT || rc == HTT_IO) && txn->store->lock == NULL)
        rc = txn_explain_damage(txn, rc);
    if (txn->error.rc != rc) {
        txn->error.rc = rc;
        txn->error.page = 0;
        txn->error.text[0] = '\0';
    }
    return rc;
}

void htt_txn_forget(htt_txn *txn) {
    const htt_env *const env = txn->store->env;

    if (txn->pins.count > 0)
        htt_pins_drop(txn->view.pages, &txn->pins);
    if (txn->value_count == 0)
        return;
    for (size_t i = 0; i < txn->value_count; i++)
        env->release(env->context, txn->values[i].bytes);
    env->release(env->context, txn->values);
    txn->values = NULL;
    txn->value_count = 0;
}

const char *htt_txn_errmsg(const htt_txn *txn) {
    if (txn == NULL)
        return htt_strerror(HTT_MISUSE);
    return txn->error.text[0] != '\0' ? txn->error.text : htt_strerror(txn->error.rc);
}

const htt_error *htt_txn_error(const htt_txn *txn) {
    static const htt_error misuse = {HTT_MISUSE, 0, "no transaction"};

    return txn == NULL ? &misuse : &txn->error;
}

/* --------------------------------------------------------------- the writer's right */

/* One look. HTT_BUSY: somebody has it. */
static htt_rc txn_try_writer(htt_store *store, htt_error *error) {
    (void)pthread_mutex_lock(&store->mutex);
    const bool mine = !store->writing;
    store->writing = true;
    (void)pthread_mutex_unlock(&store->mutex);
    if (!mine)
        return HTT_BUSY;
    const htt_rc rc = htt_lockfile_take_writer(store->lock, error);
    if (rc != HTT_OK) {
        (void)pthread_mutex_lock(&store->mutex);
        store->writing = false;
        (void)pthread_mutex_unlock(&store->mutex);
    }
    return rc;
}

static htt_rc txn_readonly(const htt_store *store, htt_error *error) {
    const char *const why = store->lock == NULL
                                ? "its lock file cannot be written"
                                : "it was opened so, or there is no right to write it";

    return htt_error_set(error, HTT_READONLY, "'%s' is read-only: %s", store->path, why);
}

htt_rc htt_txn_take_writer_within(htt_store *store, uint32_t wait_ms, htt_error *error) {
    const htt_env *const env = store->env;
    uint64_t wait = TXN_WAIT_MIN_US;

    if (store->readonly)
        return txn_readonly(store, error);
    const uint64_t start = env->now_ms(env->context);
    for (;;) {
        const htt_rc rc = txn_try_writer(store, error);
        if (rc != HTT_BUSY)
            return rc;
        if (env->now_ms(env->context) - start >= wait_ms)
            return htt_error_set(error, HTT_BUSY, "another write transaction has '%s'",
                                 store->path);
        env->sleep_us(env->context, wait);
        wait = 2 * wait < TXN_WAIT_MAX_US ? 2 * wait : TXN_WAIT_MAX_US;
    }
}

htt_rc htt_txn_take_writer(htt_store *store, bool no_wait, htt_error *error) {
    return htt_txn_take_writer_within(store, no_wait ? 0 : store->busy_timeout_ms, error);
}

void htt_txn_give_writer(htt_store *store) {
    htt_lockfile_give_writer(store->lock);
    (void)pthread_mutex_lock(&store->mutex);
    assert(store->writing);
    store->writing = false;
    (void)pthread_mutex_unlock(&store->mutex);
}

/* -------------------------------------------------------------------- begin */

htt_txn *htt_txn_new(htt_store *store, bool write, htt_error *error) {
    const htt_env *const env = store->env;
    htt_txn *const txn = env->allocate(env->context, sizeof *txn);

    if (txn == NULL) {
        (void)htt_error_set(error, HTT_NOMEM, "out of memory");
        return NULL;
    }
    memset(txn, 0, sizeof *txn);
    txn->store = store;
    txn->write = write;
    txn->buffer.env = env;
    return txn;
}

/*
 * What rows may take before they settle in pages (tree/stage.h): three quarters of the budget, the
 * rest is for the pages. With little memory they go into pages at once.
 */
static uint64_t txn_stage_limit(const htt_store *store) {
    const uint64_t limit = store->write_budget / 4 * 3;

    if (store->stage_limit != 0)
        return store->stage_limit;
    return limit >= TXN_STAGE_PAGES * (uint64_t)store->page_size ? limit : 0;
}

/* The view and the tree, when base and pages (and the writer) are known. */
static void txn_set_up(htt_txn *txn, htt_pages *pages) {
    htt_store *const store = txn->store;
    const htt_root *const base = &txn->base;
    const htt_tree_root root = {base->page, base->keys, base->bytes};

    txn->view = (htt_view){.pages = pages,
                           .writer = txn->writer,
                           .pins = &txn->pins,
                           .error = &txn->error,
                           .snapshot = {base->self.epoch, base->self.epoch, base->page_count},
                           .seed = store->seed,
                           .hash = store->hash,
                           .page_size = store->page_size};
    if (txn->writer != NULL)
        txn->view.snapshot.epoch = htt_writer_epoch(txn->writer);
    htt_tree_open(&txn->tree, &txn->view, store->env, &root);
    txn->tree.tuning = store->tuning;
    if (txn->writer != NULL)
        txn->tree.stage_limit = txn_stage_limit(store);
    txn->tree.stage_always = store->stage_limit != 0;
    txn->viewed = base->self;
}

/* Mutex held. */
static void txn_link(htt_txn *txn) {
    htt_store *const store = txn->store;

    txn->next = store->txns;
    txn->link = &store->txns;
    if (txn->next != NULL)
        txn->next->link = &txn->next;
    store->txns = txn;
}

/* Frames of the page cache are of the state `seen`; others may have overwritten pages since.
 * Mutex held. */
static void txn_note_root(htt_store *store, const htt_root *root) {
    if (store->seen.epoch == root->self.epoch && store->seen.nonce == root->self.nonce)
        return;
    store->seen = root->self;
    if (store->pages != NULL)
        htt_pages_forget_all(store->pages);
}

/* A pin of this transaction alone: hosts rest and wake it with every statement. */
static htt_rc txn_pin_own(htt_txn *txn, uint64_t epoch, htt_pin **pin_out, htt_error *error) {
    htt_pinboard *const board = &txn->store->board;
    htt_pin *const parked = txn->parked;

    if (parked == NULL)
        return htt_pinboard_take_own(board, epoch, pin_out, error);
    if (!htt_pinboard_unpark(board, parked, epoch))
        return HTT_SNAPSHOT;
    txn->parked = NULL;
    *pin_out = parked;
    return HTT_OK;
}

/* Pins the root txn->base. Mutex held. */
static htt_rc txn_pin(htt_txn *txn, htt_pin **pin_out, htt_error *error) {
    htt_store *const store = txn->store;
    const uint64_t epoch = txn->base.self.epoch;
    htt_pin *pin;

    htt_rc rc = HTT_FULL;
    if (txn->hosted && store->lock != NULL)
        rc = txn_pin_own(txn, epoch, &pin, error);
    if (rc == HTT_FULL)
        rc = htt_pinboard_take(&store->board, epoch, &pin, error);
    if (rc == HTT_OK && store->lock == NULL && pin->pages == NULL) {
        rc = htt_pages_open(store->env, store->file, store->page_size, false, store->cache_bytes,
                            &pin->pages, error);
        if (rc != HTT_OK)
            htt_pinboard_give(&store->board, pin);
    }
    if (rc == HTT_OK)
        *pin_out = pin;
    return rc;
}

htt_rc htt_txn_pin_base(htt_txn *txn, htt_error *error) {
    htt_store *const store = txn->store;
    const htt_root *const base = &txn->base;
    htt_pin *pin = NULL;
    const htt_snapshot snapshot = {base->self.epoch, base->self.epoch, base->page_count};
    /* Roots of one host transaction share epoch and nonce. */
    const bool same = store->pages != NULL && txn->view.pages == store->pages &&
                      txn->viewed.epoch == base->self.epoch &&
                      txn->viewed.nonce == base->self.nonce &&
                      txn->tree.root.page == base->page &&
                      txn->view.snapshot.page_count == base->page_count;
    (void)pthread_mutex_lock(&store->mutex);
    htt_rc rc = txn_pin(txn, &pin, error);
    if (rc == HTT_OK && !same) {
        htt_pages *const pages = pin->pages != NULL ? pin->pages : store->pages;
        rc = htt_pages_refresh(pages, &snapshot, error);
        if (rc == HTT_OK)
            txn_set_up(txn, pages);
        else
            htt_pinboard_give(&store->board, pin);
    }
    if (rc == HTT_OK) {
        txn_note_root(store, base);
        txn->pin = pin;
        if (txn->link == NULL)
            txn_link(txn);
    }
    (void)pthread_mutex_unlock(&store->mutex);
    return rc;
}

/* One try to begin reading. HTT_SNAPSHOT, HTT_CORRUPT: look for a newer root first. */
static htt_rc txn_try_read(htt_txn *txn, bool fresh, htt_error *error) {
    htt_keeper *const keeper = txn->store->keeper;
    const htt_rc rc = keeper->methods->newest(keeper, fresh, &txn->base, error);

    return rc == HTT_OK ? htt_txn_pin_base(txn, error) : rc;
}

static htt_rc txn_begin_read(htt_txn *txn, htt_error *error) {
    htt_rc rc = txn_try_read(txn, false, error);

    /* A vacuum may have cut the file since this root: then the newest one tells the size. */
    for (int i = 0; i < TXN_PIN_TRIES && (rc == HTT_SNAPSHOT || (rc == HTT_CORRUPT && i == 0));
         i++)
        rc = txn_try_read(txn, true, error);
    if (rc == HTT_SNAPSHOT)
        return htt_error_set(error, HTT_SNAPSHOT,
                             "cannot pin a root of '%s': commits are too fast", txn->store->path);
    return rc;
}

uint64_t htt_txn_next_nonce(htt_store *store) {
    (void)pthread_mutex_lock(&store->mutex);
    uint64_t nonce = store->nonces += UINT64_C(0x9E3779B97F4A7C15); /* splitmix64 */
    (void)pthread_mutex_unlock(&store->mutex);

    nonce = (nonce ^ (nonce >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    nonce = (nonce ^ (nonce >> 27)) * UINT64_C(0x94D049BB133111EB);
    return nonce ^ (nonce >> 31);
}

htt_rc htt_txn_begin_pages(htt_txn *txn, uint64_t nonce, bool low_first, uint64_t budget,
                           htt_error *error) {
    htt_store *const store = txn->store;
    const htt_root *const base = &txn->base;

    assert(store->lock != NULL && !store->readonly);
    if (base->self.epoch >= HTT_META_COUNT_MAX)
        return htt_error_set(error, HTT_FULL, "the epochs of '%s' are used up", store->path);
    const htt_snapshot snapshot = {base->self.epoch, base->self.epoch, base->page_count};
    htt_rc rc = htt_pages_refresh(store->pages, &snapshot, error);
    if (rc != HTT_OK)
        return rc;
    htt_writer_options options = {.env = store->env,
                                  .file = store->file,
                                  .pages = store->pages,
                                  .base = *base,
                                  .budget = budget != 0 && budget < store->write_budget
                                                ? budget
                                                : store->write_budget,
                                  .low_first = low_first};
    (void)pthread_mutex_lock(&store->mutex);
    txn_note_root(store, base);
    options.reuse_limit = htt_lockfile_reuse_limit(store->lock);
    txn->root = *base;
    txn->root.parent = base->self;
    txn->root.self.epoch = base->self.epoch + 1;
    txn->root.self.nonce = nonce;
    (void)pthread_mutex_unlock(&store->mutex);
    if (options.reuse_limit > base->self.epoch) /* a lock file that somebody wrote into */
        options.reuse_limit = 0;
    rc = htt_writer_begin(&options, &txn->writer, error);
    if (rc != HTT_OK)
        return rc;
    txn->low_first = low_first;
    txn_set_up(txn, store->pages);
    if (budget != 0 && store->stage_limit == 0)
        txn->tree.stage_limit = 0; /* rows come in the order of the tree: none has to wait */
    (void)pthread_mutex_lock(&store->mutex);
    txn_link(txn);
    (void)pthread_mutex_unlock(&store->mutex);
    return HTT_OK;
}

/* The writer byte is held. */
static htt_rc txn_begin_write(htt_txn *txn, bool low_first, htt_error *error) {
    htt_store *const store = txn->store;
    const htt_rc rc = store->keeper->methods->base(store->keeper, &txn->base, error);

    return rc == HTT_OK ? htt_txn_begin_pages(txn, htt_txn_next_nonce(store), low_first, 0, error)
                        : rc;
}

htt_rc htt_txn_begin(htt_store *store, htt_txn_options options, htt_txn **txn_out,
                     htt_error *error) {
    const htt_env *const env = store->env;

    htt_rc rc = htt_store_check_process(store, error);
    if (rc != HTT_OK)
        return rc;
    htt_txn *const txn = htt_txn_new(store, options.write, error);
    if (txn == NULL)
        return HTT_NOMEM;
    if (!options.write) {
        rc = txn_begin_read(txn, error);
    } else {
        rc = htt_txn_take_writer(store, options.no_wait, error);
        if (rc == HTT_OK) {
            rc = txn_begin_write(txn, options.low_first, error);
            if (rc != HTT_OK)
                htt_txn_give_writer(store);
        }
    }
    if (rc != HTT_OK) {
        env->release(env->context, txn);
        return rc;
    }
    *txn_out = txn;
    return HTT_OK;
}

htt_rc htt_begin(htt_store *store, unsigned mode, htt_txn **txn_out) {
    htt_error error;
    htt_rc rc;

    if (store == NULL)
        return HTT_MISUSE;
    htt_error_clear(&error);
    if ((mode != HTT_READ && mode != HTT_WRITE) || txn_out == NULL) {
        rc = htt_error_set(&error, HTT_MISUSE, "unknown kind %u of transaction, or no place for it",
                           mode);
    } else {
        const htt_txn_options options = {.write = mode == HTT_WRITE};
        rc = htt_txn_begin(store, options, txn_out, &error);
    }
    return rc == HTT_OK ? HTT_OK : htt_store_fail(store, &error);
}

/* ------------------------------------------------------------ reset and renew */

void htt_reset(htt_txn *txn) {
    if (txn == NULL || txn->write || txn->pin == NULL)
        return;
    htt_store *const store = txn->store;
    if (htt_store_check_process(store, NULL) != HTT_OK)
        return; /* the slot is the parent's */
    htt_txn_forget(txn);
    if (txn->pin->own && txn->pin->users == 1) { /* no cursor has it */
        assert(txn->cursors == NULL);
        htt_pinboard_park(&store->board, txn->pin);
        txn->parked = txn->pin;
        txn->pin = NULL;
        txn->resting = false;
        return;
    }
    (void)pthread_mutex_lock(&store->mutex);
    htt_cursor_detach_all(txn, false);
    if (txn->resting)
        (void)htt_pinboard_wake(&store->board, txn->pin);
    txn->resting = false;
    htt_pinboard_give(&store->board, txn->pin);
    txn->pin = NULL;
    (void)pthread_mutex_unlock(&store->mutex);
}

htt_rc htt_renew(htt_txn *txn) {
    if (txn == NULL)
        return HTT_MISUSE;
    htt_error_clear(&txn->error);
    if (txn->write)
        return htt_error_set(&txn->error, HTT_MISUSE, "a write transaction cannot be renewed");
    if (txn->hosted)
        return htt_error_set(&txn->error, HTT_MISUSE, "the host renews it: htt_host_renew");
    htt_rc rc = htt_store_check_process(txn->store, &txn->error);
    if (rc != HTT_OK)
        return rc;
    htt_reset(txn);
    rc = txn_begin_read(txn, &txn->error);
    return htt_txn_leave(txn, rc);
}

/* ------------------------------------------------------------------ prepare */

bool htt_txn_changed(const htt_txn *txn) {
    /* Every change copies the pages up to the root, and no page of the base is used again. */
    if (txn->tree.root.page != txn->base.page || htt_tree_is_staged(&txn->tree))
        return true;
    /* What a cursor walks over may have been rolled back since; only a commit keeps it. */
    for (const htt_cursor *cursor = txn->cursors; cursor != NULL; cursor = cursor->next) {
        if (cursor->root.page != txn->base.page)
            return true;
    }
    return false;
}

htt_rc htt_txn_settle(htt_txn *txn) {
    if (!txn->write)
        return HTT_OK;
    const htt_rc rc = htt_tree_settle(&txn->tree);
    if (rc == HTT_IO || rc == HTT_POISONED)
        txn->broken = rc;
    return rc;
}

htt_rc htt_txn_flush(htt_txn *txn) {
    assert(txn->write);
    assert(txn->root.self.epoch == txn->base.self.epoch + 1);
    htt_rc rc = htt_txn_settle(txn);
    if (rc == HTT_OK && txn->tree.unfilled != HTT_OK) {
        /* Nodes without rows would never go: not even when the last row of the tree does. */
        rc = htt_error_set(&txn->error, txn->tree.unfilled,
                           "a call of this transaction failed while its rows went into pages: "
                           "abort it and begin again");
    }
    if (rc != HTT_OK)
        return rc;
    txn->root.page = txn->tree.root.page;
    txn->root.keys = txn->tree.root.keys;
    txn->root.bytes = txn->tree.root.bytes;
    /* Counts of a damaged root record that do not fit the rows: nobody could read the next one. */
    if ((txn->root.page == 0) != (txn->root.keys == 0) ||
        (txn->root.page == 0 && txn->root.bytes != 0) || txn->root.keys > HTT_META_COUNT_MAX ||
        txn->root.bytes > HTT_META_COUNT_MAX)
        return htt_error_set(&txn->error, HTT_CORRUPT,
                             "the root record's number of rows or payload is wrong");
    return htt_writer_flush(txn->writer, &txn->root, txn->cursors != NULL, &txn->error);
}

static htt_rc txn_prepare(htt_txn *txn) {
    htt_keeper *const keeper = txn->store->keeper;

    if (txn->prepared)
        return HTT_OK;
    htt_rc rc = htt_txn_flush(txn);
    if (rc == HTT_OK) {
        rc = keeper->methods->prepare(keeper, &txn->error);
        if (rc != HTT_OK)
            txn->broken = rc;
    }
    txn->prepared = rc == HTT_OK;
    return rc;
}

static htt_rc txn_is_hosted(htt_txn *txn) {
    return htt_error_set(&txn->error, HTT_MISUSE,
                         "the host commits this transaction: htt_host_publish, htt_host_finish");
}

htt_rc htt_prepare(htt_txn *txn) {
    htt_rc rc = htt_txn_enter_write(txn);

    if (rc == HTT_OK && txn->hosted)
        rc = txn_is_hosted(txn);
    if (rc == HTT_OK)
        rc = htt_store_check_process(txn->store, &txn->error);
    if (rc != HTT_OK)
        return rc;
    htt_txn_forget(txn);
    return htt_txn_leave(txn, htt_txn_changed(txn) ? txn_prepare(txn) : HTT_OK);
}

/* -------------------------------------------------------------- commit, abort */

static void txn_free(htt_txn *txn) {
    const htt_env *const env = txn->store->env;

    htt_txn_forget(txn);
    htt_pins_free(txn->view.pages, &txn->pins);
    htt_tree_close(&txn->tree);
    htt_writer_end(txn->writer);
    env->release(env->context, txn->buffer.bytes);
    env->release(env->context, txn->copy);
    env->release(env->context, txn->savepoints);
    env->release(env->context, txn);
}

void htt_txn_end(htt_txn *txn, bool committed, bool forked) {
    htt_store *const store = txn->store;
    const bool write = txn->write;
    const bool resting = txn->resting;

    assert(write == (txn->writer != NULL));
    htt_pin *const pin = txn->pin != NULL ? txn->pin : txn->parked;

    if (!forked) /* the mutex may be held for ever there, and nobody else is */
        (void)pthread_mutex_lock(&store->mutex);
    assert(*txn->link == txn);
    htt_cursor_detach_all(txn, committed);
    *txn->link = txn->next;
    if (txn->next != NULL)
        txn->next->link = txn->link;
    if (!forked)
        (void)pthread_mutex_unlock(&store->mutex);
    txn_free(txn);
    if (forked)
        return; /* slot and locks are the parent's */
    if (pin != NULL) {
        (void)pthread_mutex_lock(&store->mutex);
        if (resting)
            (void)htt_pinboard_wake(&store->board, pin);
        htt_pinboard_give(&store->board, pin); /* last: frees the pages of a pinless pin */
        (void)pthread_mutex_unlock(&store->mutex);
    }
    if (write)
        htt_txn_give_writer(store);
}

void htt_txn_note_committed(htt_txn *txn) {
    htt_store *const store = txn->store;

    /* Frames of pages that were written are dropped already; the others are still right. */
    (void)pthread_mutex_lock(&store->mutex);
    if (store->seen.epoch == txn->base.self.epoch && store->seen.nonce == txn->base.self.nonce)
        store->seen = txn->root.self;
    (void)pthread_mutex_unlock(&store->mutex);
}

static htt_rc txn_publish(htt_txn *txn) {
    htt_store *const store = txn->store;

    assert(txn->prepared);
    assert(txn->broken == HTT_OK);
    const htt_writer_stat stat = htt_writer_stats(txn->writer);
    const uint64_t bytes = (stat.reused + stat.extended) * store->page_size;

    const htt_rc rc = store->keeper->methods->publish(store->keeper, &txn->root, bytes,
                                                      &txn->error);
    if (rc == HTT_OK)
        htt_txn_note_committed(txn);
    return rc;
}

/* Ends the transaction in any case. The error is in *error. */
static htt_rc txn_commit(htt_txn *txn, bool always, htt_error *error) {
    htt_rc rc = htt_txn_enter(txn);
    const htt_rc process = htt_store_check_process(txn->store, &txn->error);
    bool published = false;

    if (rc == HTT_OK)
        rc = process;
    if (rc == HTT_OK && txn->write && txn->hosted)
        rc = txn_is_hosted(txn);
    if (rc == HTT_OK && txn->write && (always || htt_txn_changed(txn))) {
        rc = txn_prepare(txn);
        if (rc == HTT_OK)
            rc = txn_publish(txn);
        published = rc == HTT_OK;
    }
    rc = htt_txn_leave(txn, rc);
    if (rc != HTT_OK)
        *error = txn->error;
    htt_txn_end(txn, published, process != HTT_OK);
    return rc;
}

htt_rc htt_txn_commit_always(htt_txn *txn, htt_error *error) {
    return txn_commit(txn, true, error);
}

htt_rc htt_commit(htt_txn *txn) {
    htt_error error;

    if (txn == NULL)
        return HTT_MISUSE;
    htt_store *const store = txn->store;
    const htt_rc rc = txn_commit(txn, false, &error);
    return rc == HTT_OK ? HTT_OK : htt_store_fail(store, &error);
}

void htt_abort(htt_txn *txn) {
    if (txn != NULL)
        htt_txn_end(txn, false, htt_store_check_process(txn->store, NULL) != HTT_OK);
}
