/* SPDX-License-Identifier: MIT */
/* The four-line interface: one call, one transaction. */
#include <string.h>

#include "txn/store.h"

static htt_rc simple_begin(htt_store *store, const void *key, const void *other, bool write,
                           htt_txn **txn_out) {
    const htt_txn_options options = {.write = write};
    htt_error error;
    htt_rc rc;

    if (store == NULL)
        return HTT_MISUSE;
    htt_error_clear(&error);
    if (key == NULL || other == NULL)
        rc = htt_error_set(&error, HTT_MISUSE, "no key, or no value or place for it given");
    else
        rc = htt_txn_begin(store, options, txn_out, &error);
    return rc == HTT_OK ? HTT_OK : htt_store_fail(store, &error);
}

/* The end of one that only read, or that failed. */
static htt_rc simple_end(htt_txn *txn, const char *key, htt_rc rc) {
    htt_store *const store = txn->store;
    htt_error error = txn->error;

    htt_abort(txn);
    if (rc == HTT_OK)
        return HTT_OK;
    if (rc == HTT_NOTFOUND)
        (void)htt_error_set(&error, rc, "no key '%s'", key);
    return htt_store_fail(store, &error);
}

static htt_rc simple_put(htt_store *store, const char *key, htt_datum value) {
    htt_txn *txn;

    htt_rc rc = simple_begin(store, key, store, true, &txn);
    if (rc != HTT_OK)
        return rc;
    rc = htt_put(txn, htt_text(key), value, 0);
    return rc == HTT_OK ? htt_commit(txn) : simple_end(txn, key, rc);
}

htt_rc htt_put_text(htt_store *store, const char *key, const char *value) {
    const htt_datum none = {NULL, 1, HTT_TEXT}; /* refused by htt_put, with a text */

    return simple_put(store, key, value == NULL ? none : htt_text(value));
}

htt_rc htt_put_int(htt_store *store, const char *key, int64_t value) {
    uint8_t scratch[HTT_NUMBER_SIZE];

    return simple_put(store, key, htt_integer(value, scratch));
}

static htt_rc simple_check_type(htt_txn *txn, const char *key, htt_datum value, htt_type wanted) {
    static const char *const names[] = {
        [HTT_INTEGER] = "an integer", [HTT_REAL] = "a real", [HTT_TEXT] = "text",
        [HTT_BLOB] = "a blob",        [HTT_NULL] = "null",   [HTT_ROW] = "a row"};

    if (value.type == wanted)
        return HTT_OK;
    const bool known = value.type >= HTT_INTEGER && value.type <= HTT_ROW;
    return htt_error_set(&txn->error, HTT_TYPE, "the value of '%s' is %s, not %s", key,
                         known ? names[value.type] : "of another type", names[wanted]);
}

htt_rc htt_get_text(htt_store *store, const char *key, char **text_out) {
    htt_datum value;
    htt_txn *txn;

    htt_rc rc = simple_begin(store, key, text_out, false, &txn);
    if (rc != HTT_OK)
        return rc;
    rc = htt_get(txn, htt_text(key), &value);
    if (rc == HTT_OK)
        rc = simple_check_type(txn, key, value, HTT_TEXT);
    if (rc == HTT_OK)
        rc = htt_get_copy(txn, htt_text(key), &value); /* terminated */
    if (rc == HTT_OK)
        *text_out = (char *)(uintptr_t)value.data;
    return simple_end(txn, key, rc);
}

htt_rc htt_get_int(htt_store *store, const char *key, int64_t *value_out) {
    htt_datum value;
    htt_txn *txn;

    htt_rc rc = simple_begin(store, key, value_out, false, &txn);
    if (rc != HTT_OK)
        return rc;
    rc = htt_get(txn, htt_text(key), &value);
    if (rc == HTT_OK)
        rc = simple_check_type(txn, key, value, HTT_INTEGER);
    if (rc == HTT_OK)
        rc = htt_value_integer(value, value_out);
    return simple_end(txn, key, htt_txn_leave(txn, rc));
}
