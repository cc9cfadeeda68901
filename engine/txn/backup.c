/* SPDX-License-Identifier: MIT */
/*
 * htt_backup: all rows of a transaction's state, put into a new file in one write transaction. The
 * new file has a uuid and a hash seed of its own, no free pages, and no meta page before all of it
 * is on the disk: a copy that was cut short is not an htt file.
 */
#include "txn/store.h"

/* What went wrong in the target's own transaction becomes the caller's error. */
static htt_rc backup_fail(htt_txn *txn, const char *path, const htt_error *error) {
    return error->page != 0 ? htt_error_page(&txn->error, error->rc, error->page, "copy '%s': %s",
                                             path, error->text)
                            : htt_error_set(&txn->error, error->rc, "copy '%s': %s", path,
                                            error->text);
}

static htt_rc backup_rows(htt_txn *txn, htt_cursor *cursor, htt_txn *target, const char *path) {
    htt_datum key, value;

    for (;;) {
        htt_rc rc = htt_cursor_next(cursor, &key);
        if (rc == HTT_NOTFOUND)
            return HTT_OK;
        if (rc == HTT_OK)
            rc = htt_cursor_value(cursor, &value);
        if (rc != HTT_OK) {
            txn->error = cursor->error;
            return rc;
        }
        rc = htt_put(target, key, value, HTT_PUT_INSERT);
        if (rc != HTT_OK)
            return backup_fail(txn, path, &target->error);
    }
}

/* One write transaction over the whole target. */
static htt_rc backup_fill(htt_txn *txn, htt_store *store, const char *path) {
    const htt_txn_options options = {.write = true};
    htt_cursor *cursor = NULL;
    htt_txn *target = NULL;
    htt_error error = {0};

    htt_rc rc = htt_txn_begin(store, options, &target, &error);
    if (rc != HTT_OK)
        return backup_fail(txn, path, &error);
    rc = htt_cursor_open(txn, &cursor);
    if (rc == HTT_OK)
        rc = backup_rows(txn, cursor, target, path);
    htt_cursor_close(cursor);
    if (rc != HTT_OK) {
        htt_abort(target);
        return rc;
    }
    if (target->tree.root.keys != txn->tree.root.keys) {
        rc = htt_error_set(&txn->error, HTT_CORRUPT, "%llu rows where the root record says %llu",
                           (unsigned long long)target->tree.root.keys,
                           (unsigned long long)txn->tree.root.keys);
        htt_abort(target);
        return rc;
    }
    rc = htt_txn_commit_always(target, &error);
    return rc == HTT_OK ? HTT_OK : backup_fail(txn, path, &error);
}

/* Space that was reserved and not used; and the name. */
static htt_rc backup_finish(htt_txn *txn, htt_store *store, const char *path) {
    const htt_env *const env = store->env;
    htt_root root;

    htt_rc rc = store->keeper->methods->newest(store->keeper, false, &root, &txn->error);
    if (rc != HTT_OK)
        return rc;
    int code = env->truncate(env->context, store->file,
                             (uint64_t)root.page_count * root.page_size);
    if (code == 0)
        code = env->sync(env->context, store->file);
    if (code == 0)
        code = env->sync_directory(env->context, path);
    return code == 0 ? HTT_OK
                     : htt_error_errno(&txn->error, HTT_IO, code, "cannot sync '%s'", path);
}

htt_rc htt_backup(htt_txn *txn, const char *path) {
    htt_options options;
    htt_store *target;
    htt_error error;

    htt_rc rc = htt_txn_enter(txn);
    if (rc != HTT_OK)
        return rc;
    if (path == NULL || path[0] == '\0')
        return htt_error_set(&txn->error, HTT_MISUSE, "no path given");
    htt_store *const store = txn->store;
    const htt_env *const env = store->env;
    htt_txn_forget(txn);
    htt_options_init(&options);
    options.flags = HTT_OPEN_CREATE | HTT_OPEN_NEW;
    options.page_size = store->page_size;
    options.write_budget = store->write_budget;
    options.declaration = store->declarations->text;
    options.env = env;
    htt_error_clear(&error);
    rc = htt_store_open_private(path, &options, &target, &error);
    if (rc != HTT_OK) {
        txn->error = error;
        return rc;
    }
    target->hash = store->hash;
    target->tuning = store->tuning;
    rc = backup_fill(txn, target, path);
    if (rc == HTT_OK)
        rc = backup_finish(txn, target, path);
    if (rc != HTT_OK) /* the guard is still held: nobody else is in */
        (void)env->unlink(env->context, path);
    htt_store_drop(target);
    return htt_txn_leave(txn, rc);
}
