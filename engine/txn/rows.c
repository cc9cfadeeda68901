/* SPDX-License-Identifier: MIT */
/*
 * Rows of a transaction: get, put, del, count. What is given out is borrowed by the rules of htt.h:
 * each call lets go what the call before gave out.
 */
#include <string.h>

#include "base/value.h"
#include "htt_host.h"
#include "tree/path.h"
#include "txn/store.h"

enum { ROWS_BATCH = 64 }; /* keys of htt_get_many looked up together */

/* --------------------------------------------------------------- arguments */

static htt_rc rows_check_key(htt_txn *txn, htt_datum key) {
    if ((key.type == HTT_TEXT || key.type == HTT_BLOB) && key.data != NULL)
        return HTT_OK; /* most are: any bytes will do */
    if (key.data == NULL && key.size > 0)
        return htt_error_set(&txn->error, HTT_MISUSE, "a key of %zu bytes without data", key.size);
    if (htt_key_class(key.type) == HTT_CLASS_NONE)
        return htt_error_set(&txn->error, HTT_MISUSE, "type %u is not a type of keys", key.type);
    if (!htt_key_valid(key))
        return htt_error_set(&txn->error, HTT_MISUSE,
                             "%zu bytes are no key of type %u in canonical encoding", key.size,
                             key.type);
    return HTT_OK;
}

static htt_rc rows_check_value(htt_txn *txn, htt_datum value) {
    if (value.data == NULL && value.size > 0)
        return htt_error_set(&txn->error, HTT_MISUSE, "a value of %zu bytes without data",
                             value.size);
    if (value.size > HTT_VALUE_SIZE_MAX)
        return htt_error_set(&txn->error, HTT_TOOBIG, "value of %zu bytes, the limit is %zu",
                             value.size, HTT_VALUE_SIZE_MAX);
    if (!htt_value_valid(value))
        return htt_error_set(&txn->error, HTT_MISUSE,
                             "%zu bytes are no value of type %u in canonical encoding", value.size,
                             value.type);
    return HTT_OK;
}

/* The begin of a call that looks a key up. HTT_NOTFOUND: no key can be so long. */
static htt_rc rows_enter(htt_txn *txn, htt_datum key) {
    const htt_rc rc = htt_txn_enter(txn);

    if (rc != HTT_OK)
        return rc;
    if (key.size > HTT_KEY_SIZE_MAX && htt_key_class(key.type) != HTT_CLASS_NONE)
        return HTT_NOTFOUND;
    return rows_check_key(txn, key);
}

static htt_rc rows_no_place(htt_txn *txn) {
    return htt_error_set(&txn->error, HTT_MISUSE, "no place for the result given");
}

/* What is given out is borrowed from pages: rows that have none yet get theirs before. */
static htt_rc rows_settle(htt_txn *txn) {
    htt_txn_forget(txn);
    return htt_tree_is_staged(&txn->tree) ? htt_txn_settle(txn) : HTT_OK;
}

/* ---------------------------------------------------------------- looking up */

htt_rc htt_get(htt_txn *txn, htt_datum key, htt_datum *value_out) {
    htt_tree_row row;

    htt_rc rc = rows_enter(txn, key);
    if (rc == HTT_OK && value_out == NULL)
        rc = rows_no_place(txn);
    if (rc == HTT_OK)
        rc = rows_settle(txn);
    if (rc == HTT_OK)
        rc = htt_tree_find(&txn->view, &txn->tree.root, key, &row);
    if (rc == HTT_OK)
        rc = htt_tree_value(&txn->view, &row.record, &txn->buffer, value_out);
    return rc == HTT_OK || txn == NULL ? rc : htt_txn_leave(txn, rc);
}

htt_rc htt_get_key(htt_txn *txn, htt_datum key, htt_datum *stored_out) {
    htt_tree_row row;

    htt_rc rc = rows_enter(txn, key);
    if (rc == HTT_OK && stored_out == NULL)
        rc = rows_no_place(txn);
    if (rc == HTT_OK)
        rc = rows_settle(txn);
    if (rc == HTT_OK)
        rc = htt_tree_find(&txn->view, &txn->tree.root, key, &row);
    if (rc == HTT_OK)
        rc = htt_tree_key(&txn->view, &row.record, &txn->buffer, stored_out);
    return rc == HTT_OK || txn == NULL ? rc : htt_txn_leave(txn, rc);
}

htt_rc htt_exists(htt_txn *txn, htt_datum key) {
    htt_rc rc = rows_enter(txn, key);

    if (rc == HTT_OK) {
        htt_txn_forget(txn);
        rc = htt_tree_has(&txn->tree, key);
    }
    return rc == HTT_OK || txn == NULL ? rc : htt_txn_leave(txn, rc);
}

htt_rc htt_count(htt_txn *txn, uint64_t *count_out) {
    const htt_rc rc = htt_txn_enter(txn);

    if (rc != HTT_OK)
        return rc;
    if (count_out == NULL)
        return rows_no_place(txn);
    *count_out = txn->tree.root.keys;
    return HTT_OK;
}

/* -------------------------------------------------------------------- copies */

/* What stands before the bytes that htt_get_copy gives out: whose memory it is. */
typedef struct rows_copy {
    const htt_env *env; /* allocated it */
    size_t size;        /* bytes behind, for people with a debugger */
} rows_copy;

htt_rc htt_get_copy(htt_txn *txn, htt_datum key, htt_datum *value_out) {
    htt_datum value;

    htt_rc rc = htt_get(txn, key, &value);
    if (rc != HTT_OK)
        return rc;
    if (value_out == NULL)
        return rows_no_place(txn);
    const htt_env *const env = txn->store->env;
    rows_copy *const copy = env->allocate(env->context, sizeof *copy + value.size + 1);
    if (copy == NULL)
        return htt_error_set(&txn->error, HTT_NOMEM, "no memory for a value of %zu bytes",
                             value.size);
    *copy = (rows_copy){env, value.size};
    uint8_t *const bytes = (uint8_t *)(copy + 1);
    if (value.size > 0)
        memcpy(bytes, value.data, value.size);
    bytes[value.size] = 0; /* for htt_get_text */
    *value_out = htt_bytes(bytes, value.size, (htt_type)value.type);
    return HTT_OK;
}

void htt_free(void *memory) {
    if (memory == NULL)
        return;
    rows_copy *const copy = (rows_copy *)memory - 1;
    copy->env->release(copy->env->context, copy);
}

/* ------------------------------------------------------------- many at once */

/* A value put together in memory belongs to the transaction until the next call. */
static htt_rc rows_keep_buffer(htt_txn *txn, const htt_tree_buffer *buffer) {
    const htt_env *const env = txn->store->env;
    const size_t count = txn->value_count;

    if ((count & (count - 1)) == 0) { /* capacity is the next power of two */
        const size_t capacity = count == 0 ? 1 : 2 * count;
        htt_tree_buffer *const values =
            env->reallocate(env->context, txn->values, capacity * sizeof *values);
        if (values == NULL)
            return htt_error_set(&txn->error, HTT_NOMEM, "out of memory");
        txn->values = values;
    }
    txn->values[txn->value_count++] = *buffer;
    return HTT_OK;
}

static htt_rc rows_many_value(htt_txn *txn, const htt_tree_row *row, htt_datum *value_out) {
    htt_tree_buffer buffer = {txn->store->env, NULL, 0};

    htt_rc rc = htt_tree_value(&txn->view, &row->record, &buffer, value_out);
    if (rc == HTT_OK && buffer.bytes != NULL)
        rc = rows_keep_buffer(txn, &buffer);
    if (rc != HTT_OK)
        buffer.env->release(buffer.env->context, buffer.bytes);
    return rc;
}

/* Keys that are all within the limits. */
static htt_rc rows_many_batch(htt_txn *txn, const htt_datum *keys, size_t count,
                              htt_datum *values_out, htt_rc *results_out) {
    htt_tree_row rows[ROWS_BATCH];

    htt_rc rc = htt_tree_find_many(&txn->view, &txn->tree.root, keys, count, rows, results_out);
    for (size_t i = 0; rc == HTT_OK && i < count; i++) {
        if (results_out[i] == HTT_OK)
            rc = rows_many_value(txn, &rows[i], &values_out[i]);
    }
    return rc;
}

htt_rc htt_get_many(htt_txn *txn, const htt_datum *keys, size_t count, htt_datum *values_out,
                    htt_rc *results_out) {
    htt_rc rc = htt_txn_enter(txn);

    if (rc != HTT_OK)
        return rc;
    if (count > 0 && (keys == NULL || values_out == NULL || results_out == NULL))
        return htt_error_set(&txn->error, HTT_MISUSE, "no keys, or no place for results given");
    rc = rows_settle(txn);
    for (size_t i = 0; rc == HTT_OK && i < count;) {
        size_t batch = 0;
        while (rc == HTT_OK && batch < ROWS_BATCH && i + batch < count &&
               keys[i + batch].size <= HTT_KEY_SIZE_MAX) {
            rc = rows_check_key(txn, keys[i + batch]);
            batch++;
        }
        if (rc == HTT_OK && batch > 0)
            rc = rows_many_batch(txn, keys + i, batch, values_out + i, results_out + i);
        i += batch;
        if (rc == HTT_OK && batch == 0)
            results_out[i++] = HTT_NOTFOUND; /* no key is so long */
    }
    return htt_txn_leave(txn, rc);
}

/* ------------------------------------------------------------------ changing */

/*
 * Key and value may be what an earlier call gave out: pages of this transaction, which the change
 * itself may move. What is larger than a page is not in such a page.
 */
static htt_rc rows_take_input(htt_txn *txn, htt_datum *key, htt_datum *value) {
    const htt_env *const env = txn->store->env;
    const size_t max = txn->store->page_size;
    const size_t key_size = key->size <= max ? key->size : 0;
    const size_t value_size = value->size <= max ? value->size : 0;

    if (key_size + value_size > txn->copy_capacity) {
        uint8_t *const copy = env->allocate(env->context, 2 * max);
        if (copy == NULL)
            return htt_error_set(&txn->error, HTT_NOMEM, "out of memory");
        env->release(env->context, txn->copy);
        txn->copy = copy;
        txn->copy_capacity = 2 * max;
    }
    if (key_size > 0)
        key->data = memcpy(txn->copy, key->data, key_size);
    if (value_size > 0)
        value->data = memcpy(txn->copy + key_size, value->data, value_size);
    return HTT_OK;
}

/* The end of a change. */
static htt_rc rows_changed(htt_txn *txn, htt_rc rc) {
    htt_txn_forget(txn);
    if (rc == HTT_IO || rc == HTT_POISONED)
        txn->broken = rc;
    return htt_txn_leave(txn, rc);
}

htt_rc htt_put(htt_txn *txn, htt_datum key, htt_datum value, unsigned flags) {
    htt_rc rc = htt_txn_enter_write(txn);

    if (rc != HTT_OK)
        return rc;
    if (flags > HTT_PUT_REPLACE)
        return htt_error_set(&txn->error, HTT_MISUSE, "unknown or contradicting put flags 0x%x",
                             flags);
    if (key.size > HTT_KEY_SIZE_MAX)
        return htt_error_set(&txn->error, HTT_TOOBIG, "key of %zu bytes, the limit is %u",
                             key.size, HTT_KEY_SIZE_MAX);
    rc = rows_check_key(txn, key);
    if (rc == HTT_OK)
        rc = rows_check_value(txn, value);
    if (rc == HTT_OK)
        rc = rows_take_input(txn, &key, &value);
    if (rc != HTT_OK)
        return rc;
    txn->prepared = false;
    return rows_changed(txn, htt_tree_write(&txn->tree, key, value, flags));
}

uint32_t htt_host_order(htt_txn *txn, htt_datum key) {
    if (txn == NULL || !txn->write || !htt_key_valid(key))
        return 0;
    htt_txn_forget(txn);
    return htt_path_order(&txn->view, txn->tree.root.page, key);
}

htt_rc htt_del(htt_txn *txn, htt_datum key) {
    htt_datum none = htt_null();
    htt_rc rc = htt_txn_enter_write(txn);

    if (rc == HTT_OK)
        rc = rows_enter(txn, key);
    if (rc == HTT_OK)
        rc = rows_take_input(txn, &key, &none);
    if (rc != HTT_OK)
        return txn == NULL ? rc : htt_txn_leave(txn, rc);
    txn->prepared = false;
    return rows_changed(txn, htt_tree_erase(&txn->tree, key));
}
