/* SPDX-License-Identifier: MIT */
/*
 * Cursors. What one sees is the root of the moment it was opened, kept by
 *
 *   a pin      of the epoch that the transaction reads or started from; until the cursor is closed
 *   a freeze   of the writer, while the write transaction lasts
 *
 * After a commit the pages that only the cursor wants died with the epoch of the commit: the pin,
 * one epoch lower, keeps them. After an abort there is nothing but the base root left; a cursor
 * that walks over another one is cut off.
 */
#include <string.h>

#include "txn/store.h"

/* -------------------------------------------------------------------- lists */

static void cursor_link(htt_cursor *cursor, htt_cursor **list) {
    cursor->next = *list;
    cursor->link = list;
    if (cursor->next != NULL)
        cursor->next->link = &cursor->next;
    *list = cursor;
}

static void cursor_unlink(htt_cursor *cursor) {
    assert(*cursor->link == cursor);
    *cursor->link = cursor->next;
    if (cursor->next != NULL)
        cursor->next->link = cursor->link;
}

static void cursor_free(htt_cursor *cursor) {
    const htt_env *const env = cursor->store->env;

    htt_tree_cursor_close(cursor->cursor);
    htt_pins_free(cursor->view.pages, &cursor->pins);
    env->release(env->context, cursor->key.bytes);
    env->release(env->context, cursor->buffer.bytes);
    env->release(env->context, cursor);
}

void htt_cursor_free_list(htt_cursor **list) {
    while (*list != NULL) {
        htt_cursor *const cursor = *list;
        cursor_unlink(cursor);
        cursor_free(cursor);
    }
}

/* ---------------------------------------------------------- end of transaction */

/* The state that a cursor of a write transaction reads from now on. */
static void cursor_thaw(htt_cursor *cursor, bool committed) {
    const htt_txn *const txn = cursor->txn;
    const htt_root *const root = committed ? &txn->root : &txn->base;

    assert(cursor->freeze != 0);
    assert(cursor->pin->epoch <= txn->base.self.epoch);
    cursor->freeze = 0;
    cursor->view.writer = NULL;
    cursor->view.snapshot.epoch = root->self.epoch;
    cursor->view.snapshot.committed = root->self.epoch;
    cursor->view.snapshot.page_count = root->page_count;
    if (!committed && cursor->root.page != txn->base.page)
        cursor->aborted = true;
}

void htt_cursor_detach_all(htt_txn *txn, bool committed) {
    while (txn->cursors != NULL) {
        htt_cursor *const cursor = txn->cursors;
        if (txn->write)
            cursor_thaw(cursor, committed);
        cursor_unlink(cursor);
        cursor->txn = NULL;
        cursor_link(cursor, &txn->store->orphans);
    }
}

/* -------------------------------------------------------------- open and close */

/* The epoch that protects what the transaction sees; one more user of its pin. */
static htt_rc cursor_pin(htt_cursor *cursor, htt_txn *txn) {
    htt_store *const store = txn->store;
    htt_rc rc = HTT_OK;

    (void)pthread_mutex_lock(&store->mutex);
    if (txn->pin != NULL) {
        txn->pin->users++;
        cursor->pin = txn->pin;
    } else {
        rc = htt_pinboard_take(&store->board, txn->base.self.epoch, &cursor->pin, &txn->error);
    }
    (void)pthread_mutex_unlock(&store->mutex);
    if (rc == HTT_SNAPSHOT) /* R is never above the base of the writer at work */
        return htt_error_set(&txn->error, HTT_IO, "the lock file of '%s' was overwritten",
                             store->path);
    return rc;
}

static void cursor_unpin(htt_cursor *cursor) {
    htt_store *const store = cursor->store;

    (void)pthread_mutex_lock(&store->mutex);
    htt_pinboard_give(&store->board, cursor->pin);
    (void)pthread_mutex_unlock(&store->mutex);
}

static htt_rc cursor_set_up(htt_cursor *cursor, htt_txn *txn) {
    const htt_env *const env = txn->store->env;

    cursor->store = txn->store;
    cursor->txn = txn;
    cursor->root = txn->tree.root;
    cursor->key.env = env;
    cursor->buffer.env = env;
    cursor->view = txn->view;
    cursor->view.pins = &cursor->pins;
    cursor->view.error = &cursor->error;
    htt_rc rc = htt_tree_cursor_open(&cursor->view, env, &cursor->root, &cursor->cursor);
    if (rc != HTT_OK) {
        txn->error = cursor->error;
        return rc;
    }
    if (txn->write)
        rc = htt_writer_freeze(txn->writer, &cursor->freeze, &txn->error);
    if (rc == HTT_OK)
        rc = cursor_pin(cursor, txn);
    if (rc != HTT_OK && cursor->freeze != 0)
        htt_writer_thaw(txn->writer, cursor->freeze);
    return rc;
}

htt_rc htt_cursor_open(htt_txn *txn, htt_cursor **cursor_out) {
    htt_rc rc = htt_txn_enter(txn);

    if (rc != HTT_OK)
        return rc;
    if (cursor_out == NULL)
        return htt_error_set(&txn->error, HTT_MISUSE, "no place for the cursor given");
    rc = htt_txn_settle(txn);
    if (rc != HTT_OK)
        return htt_txn_leave(txn, rc);
    const htt_env *const env = txn->store->env;
    htt_cursor *const cursor = env->allocate(env->context, sizeof *cursor);
    if (cursor == NULL)
        return htt_error_set(&txn->error, HTT_NOMEM, "out of memory");
    memset(cursor, 0, sizeof *cursor);
    rc = cursor_set_up(cursor, txn);
    if (rc != HTT_OK) {
        cursor_free(cursor);
        return htt_txn_leave(txn, rc);
    }
    cursor_link(cursor, &txn->cursors);
    *cursor_out = cursor;
    return HTT_OK;
}

void htt_cursor_close(htt_cursor *cursor) {
    if (cursor == NULL)
        return;
    htt_store *const store = cursor->store;
    const bool forked = htt_store_check_process(store, NULL) != HTT_OK;

    if (cursor->txn != NULL) {
        if (cursor->freeze != 0)
            htt_writer_thaw(cursor->txn->writer, cursor->freeze);
        cursor_unlink(cursor);
    } else {
        if (!forked)
            (void)pthread_mutex_lock(&store->mutex);
        cursor_unlink(cursor);
        if (!forked)
            (void)pthread_mutex_unlock(&store->mutex);
    }
    htt_pins_drop(cursor->view.pages, &cursor->pins); /* before a pinless pin takes them away */
    htt_pins_free(cursor->view.pages, &cursor->pins);
    if (!forked)
        cursor_unpin(cursor);
    cursor_free(cursor);
}

/* ------------------------------------------------------------------- walking */

static htt_rc cursor_enter(htt_cursor *cursor) {
    if (cursor == NULL)
        return HTT_MISUSE;
    htt_error_clear(&cursor->error);
    if (cursor->aborted)
        return htt_error_set(&cursor->error, HTT_ABORTED,
                             "the cursor walks over changes of a transaction that was aborted");
    return HTT_OK;
}

/* The transaction, if it lives, tells the error too. */
static htt_rc cursor_leave(htt_cursor *cursor, htt_rc rc) {
    if (cursor->error.rc != rc) {
        htt_error_clear(&cursor->error);
        cursor->error.rc = rc;
    }
    if (cursor->txn != NULL) {
        cursor->txn->error = cursor->error;
        rc = htt_txn_leave(cursor->txn, rc);
        cursor->error = cursor->txn->error;
    }
    return rc;
}

htt_rc htt_cursor_next(htt_cursor *cursor, htt_datum *key_out) {
    htt_rc rc = cursor_enter(cursor);

    if (rc == HTT_OK && key_out == NULL)
        rc = htt_error_set(&cursor->error, HTT_MISUSE, "no place for the key given");
    if (rc == HTT_OK) {
        cursor->on_row = false;
        cursor->has_value = false;
        rc = htt_tree_cursor_next(cursor->cursor, &cursor->record);
    }
    if (rc == HTT_OK)
        rc = htt_tree_key(&cursor->view, &cursor->record, &cursor->key, key_out);
    if (rc != HTT_OK)
        return cursor == NULL ? rc : cursor_leave(cursor, rc);
    cursor->on_row = true;
    return HTT_OK;
}

htt_rc htt_cursor_value(htt_cursor *cursor, htt_datum *value_out) {
    htt_rc rc = cursor_enter(cursor);

    if (rc == HTT_OK && (value_out == NULL || !cursor->on_row))
        rc = htt_error_set(&cursor->error, HTT_MISUSE,
                           "the cursor is on no row, or no place for the value was given");
    if (rc == HTT_OK && !cursor->has_value) {
        rc = htt_tree_value(&cursor->view, &cursor->record, &cursor->buffer, &cursor->value);
        cursor->has_value = rc == HTT_OK;
    }
    if (rc != HTT_OK)
        return cursor == NULL ? rc : cursor_leave(cursor, rc);
    *value_out = cursor->value;
    return HTT_OK;
}

const char *htt_cursor_errmsg(const htt_cursor *cursor) {
    if (cursor == NULL)
        return htt_strerror(HTT_MISUSE);
    return cursor->error.text[0] != '\0' ? cursor->error.text : htt_strerror(cursor->error.rc);
}
