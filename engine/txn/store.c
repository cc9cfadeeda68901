/* SPDX-License-Identifier: MIT */
/*
 * A store: an open file. Options, open, close, facts, the declaration. How the file itself is found
 * or made is in create.c.
 */
#include "txn/store.h"

#include <string.h>

#include "base/limits.h"
#include "txn/testing.h"

#define STORE_CACHE_BYTES ((uint64_t)16 * 1024 * 1024)
#define STORE_WRITE_BUDGET ((uint64_t)64 * 1024 * 1024)
#define STORE_BUSY_TIMEOUT_MS 5000u
#define STORE_FLAGS                                                                              \
    (HTT_OPEN_CREATE | HTT_OPEN_NEW | HTT_OPEN_READONLY | HTT_OPEN_NO_MMAP | HTT_OPEN_NO_FOLLOW)

/* ---------------------------------------------------------------- options */

void htt_options_init(htt_options *options) {
    memset(options, 0, sizeof *options);
    options->size = sizeof *options;
    options->flags = HTT_OPEN_CREATE;
    options->sync = HTT_SYNC_FULL;
    options->cache_bytes = STORE_CACHE_BYTES;
    options->write_budget = STORE_WRITE_BUDGET;
    options->busy_timeout_ms = STORE_BUSY_TIMEOUT_MS;
}

static htt_rc store_check_options(const htt_options *options, htt_error *error) {
    const uint32_t page_size = options->page_size;

    if ((options->flags & ~(unsigned)STORE_FLAGS) != 0)
        return htt_error_set(error, HTT_MISUSE, "unknown open flags 0x%x", options->flags);
    if ((options->flags & HTT_OPEN_NEW) != 0 && (options->flags & HTT_OPEN_CREATE) == 0)
        return htt_error_set(error, HTT_MISUSE, "HTT_OPEN_NEW without HTT_OPEN_CREATE");
    if ((options->flags & HTT_OPEN_NEW) != 0 && (options->flags & HTT_OPEN_READONLY) != 0)
        return htt_error_set(error, HTT_MISUSE, "HTT_OPEN_NEW with HTT_OPEN_READONLY");
    if (page_size < HTT_PAGE_SIZE_MIN || page_size > HTT_PAGE_SIZE_MAX ||
        (page_size & (page_size - 1)) != 0)
        return htt_error_set(error, HTT_MISUSE,
                             "page size %u is not a power of two from %u to %u", page_size,
                             HTT_PAGE_SIZE_MIN, HTT_PAGE_SIZE_MAX);
    if (options->sync != HTT_SYNC_FULL && options->sync != HTT_SYNC_NORMAL &&
        options->sync != HTT_SYNC_OFF)
        return htt_error_set(error, HTT_MISUSE, "unknown sync mode %d", (int)options->sync);
    if (strlen(options->declaration) > HTT_DECLARATION_SIZE_MAX)
        return htt_error_set(error, HTT_TOOBIG, "declaration of %zu bytes, the limit is %u",
                             strlen(options->declaration), HTT_DECLARATION_SIZE_MAX);
    return HTT_OK;
}

/* The caller's options with defaults filled in. An older program's struct may be shorter. */
static htt_rc store_complete_options(const htt_options *given, htt_options *options,
                                     htt_error *error) {
    htt_options_init(options);
    if (given != NULL) {
        if (given->size < offsetof(htt_options, page_size) || given->size > sizeof *given)
            return htt_error_set(error, HTT_MISUSE,
                                 "htt_options.size is %zu; call htt_options_init first",
                                 given->size);
        memcpy(options, given, given->size);
    }
    options->size = sizeof *options;
    if (options->page_size == 0)
        options->page_size = HTT_PAGE_SIZE_DEFAULT;
    if (options->declaration == NULL)
        options->declaration = "";
    if (options->env == NULL)
        options->env = htt_env_system();
    return store_check_options(options, error);
}

/* ------------------------------------------------------------------- open */

static char *store_join(const htt_env *env, const char *left, const char *right) {
    const size_t size = strlen(left);
    char *const text = env->allocate(env->context, size + strlen(right) + 1);

    if (text != NULL) {
        memcpy(text, left, size);
        memcpy(text + size, right, strlen(right) + 1);
    }
    return text;
}

htt_rc htt_store_add_declaration(htt_store *store, const char *declaration, htt_error *error) {
    const htt_env *const env = store->env;
    const size_t size = strlen(declaration) + 1;
    store_text *const text = env->allocate(env->context, sizeof *text + size);

    if (text == NULL)
        return htt_error_set(error, HTT_NOMEM, "out of memory");
    memcpy(text->text, declaration, size);
    text->next = store->declarations;
    store->declarations = text;
    return HTT_OK;
}

void htt_store_drop_declaration(htt_store *store) {
    store_text *const text = store->declarations;

    store->declarations = text->next;
    store->env->release(store->env->context, text);
}

static void store_free(htt_store *store) {
    const htt_env *const env = store->env;

    while (store->declarations != NULL) {
        store_text *const next = store->declarations->next;
        env->release(env->context, store->declarations);
        store->declarations = next;
    }
    (void)pthread_mutex_destroy(&store->mutex);
    env->release(env->context, store->path);
    env->release(env->context, store);
}

/* What the open found out becomes the store's. */
static htt_rc store_adopt(htt_store *store, const htt_opening *opening, htt_error *error) {
    const htt_env *const env = store->env;
    const htt_meta *const meta = htt_keeper_meta_current(opening->keeper);
    const htt_options *const options = opening->options;

    store->file = opening->file;
    store->lock = opening->lock;
    store->keeper = opening->keeper;
    store->readonly = opening->readonly;
    store->page_size = meta->root.page_size;
    store->seed = meta->root.seed;
    memcpy(store->uuid, meta->root.uuid, sizeof store->uuid);
    memcpy(store->owner, meta->owner, sizeof store->owner);
    store->board = (htt_pinboard){.env = env, .lock = opening->lock};
    if (options->expect_uuid != NULL &&
        memcmp(options->expect_uuid, store->uuid, sizeof store->uuid) != 0)
        return htt_error_set(error, HTT_MISMATCH,
                             "'%s' is another file than the one asked for: its uuid differs",
                             store->path);
    const int code = env->random(env->context, &store->nonces, sizeof store->nonces);
    if (code != 0)
        return htt_error_errno(error, HTT_IO, code, "cannot get random bytes");
    htt_rc rc = htt_store_add_declaration(store, meta->declaration, error);
    if (rc == HTT_OK && opening->lock != NULL)
        rc = htt_pages_open(env, store->file, store->page_size,
                            (options->flags & HTT_OPEN_NO_MMAP) == 0, store->cache_bytes,
                            &store->pages, error);
    return rc;
}

static htt_rc store_new(const char *path, const htt_options *options, htt_store **store_out,
                        htt_error *error) {
    const htt_env *const env = options->env;
    htt_store *const store = env->allocate(env->context, sizeof *store);

    if (store == NULL)
        return htt_error_set(error, HTT_NOMEM, "out of memory");
    memset(store, 0, sizeof *store);
    store->env = env;
    store->process = env->process_id(env->context);
    store->cache_bytes = options->cache_bytes;
    store->write_budget = options->write_budget;
    store->busy_timeout_ms = options->busy_timeout_ms;
    store->hash = htt_hash_key;
    store->tuning = htt_tree_tuning_default;
    (void)pthread_mutex_init(&store->mutex, NULL);
    store->path = store_join(env, path, "");
    if (store->path == NULL) {
        store_free(store);
        return htt_error_set(error, HTT_NOMEM, "out of memory");
    }
    *store_out = store;
    return HTT_OK;
}

static htt_rc store_open(const char *path, const htt_options *options, bool private,
                         htt_store **store_out, htt_error *error) {
    const htt_env *const env = options->env;
    htt_opening opening = {.options = options, .env = env};
    htt_store *store = NULL;

    htt_rc rc = store_new(path, options, &store, error);
    if (rc != HTT_OK)
        return rc;
    opening.path = store->path;
    opening.lock_path = store_join(env, path, HTT_LOCK_SUFFIX);
    if (opening.lock_path == NULL)
        rc = htt_error_set(error, HTT_NOMEM, "out of memory");
    else
        rc = private ? htt_opening_run_private(&opening, error)
                     : htt_opening_run(&opening, error);
    env->release(env->context, opening.lock_path);
    opening.lock_path = NULL;
    if (rc != HTT_OK) {
        store_free(store);
        return rc;
    }
    rc = store_adopt(store, &opening, error);
    if (rc != HTT_OK) {
        htt_store_drop(store);
        return rc;
    }
    *store_out = store;
    return HTT_OK;
}

htt_rc htt_open(const char *path, const htt_options *given, htt_store **store_out,
                htt_error *error) {
    htt_options options;

    htt_error_clear(error);
    if (path == NULL || path[0] == '\0')
        return htt_error_set(error, HTT_MISUSE, "no path given");
    if (store_out == NULL)
        return htt_error_set(error, HTT_MISUSE, "no place for the store given");
    const htt_rc rc = store_complete_options(given, &options, error);
    return rc == HTT_OK ? store_open(path, &options, false, store_out, error) : rc;
}

htt_rc htt_store_open_private(const char *path, const htt_options *given, htt_store **store_out,
                              htt_error *error) {
    htt_options options;
    const htt_rc rc = store_complete_options(given, &options, error);

    return rc == HTT_OK ? store_open(path, &options, true, store_out, error) : rc;
}

/* ------------------------------------------------------------------ close */

void htt_store_drop(htt_store *store) {
    const htt_env *const env = store->env;
    const bool forked = env->process_id(env->context) != store->process;

    while (store->txns != NULL)
        htt_abort(store->txns);
    htt_cursor_free_list(&store->orphans);
    htt_pinboard_free(&store->board);
    if (store->pages != NULL)
        htt_pages_close(store->pages);
    store->keeper->methods->close(store->keeper);
    env->close(env->context, store->file); /* its guard goes before the init byte */
    htt_lockfile_close(store->lock, forked);
    store_free(store);
}

/* Commits of sync = normal that are not on the disk yet. Nobody can be told if it fails. */
static void store_settle(htt_store *store) {
    htt_root root;

    if (store->readonly || htt_txn_take_writer(store, true, NULL) != HTT_OK)
        return; /* another writer is at work and will settle */
    if (store->keeper->methods->base(store->keeper, &root, NULL) == HTT_OK &&
        atomic_load(&store->lock->area->unsynced_bytes) > 0)
        (void)store->keeper->methods->settle(store->keeper, false, NULL);
    htt_txn_give_writer(store);
}

void htt_close(htt_store *store) {
    if (store == NULL)
        return;
    while (store->txns != NULL)
        htt_abort(store->txns);
    if (htt_store_check_process(store, NULL) == HTT_OK && store->lock != NULL &&
        atomic_load(&store->lock->area->unsynced_bytes) > 0)
        store_settle(store);
    htt_store_drop(store);
}

/* ------------------------------------------------------------------ facts */

htt_rc htt_store_check_process(const htt_store *store, htt_error *error) {
    if (store->env->process_id(store->env->context) == store->process)
        return HTT_OK;
    return htt_error_set(error, HTT_MISUSE,
                         "the handle of '%s' was made before fork(); open a new one", store->path);
}

htt_rc htt_store_fail(htt_store *store, const htt_error *error) {
    if (htt_store_check_process(store, NULL) != HTT_OK) {
        store->error = *error; /* no other thread is here, but the mutex may be held for ever */
        return error->rc;
    }
    (void)pthread_mutex_lock(&store->mutex);
    store->error = *error;
    (void)pthread_mutex_unlock(&store->mutex);
    return error->rc;
}

const char *htt_errmsg(const htt_store *store) {
    if (store == NULL)
        return htt_strerror(HTT_MISUSE);
    return store->error.text[0] != '\0' ? store->error.text : htt_strerror(store->error.rc);
}

void htt_store_info(const htt_store *store, htt_info *info_out) {
    pthread_mutex_t *const mutex = (pthread_mutex_t *)&store->mutex;
    const bool alone = htt_store_check_process(store, NULL) != HTT_OK; /* see htt_store_fail */

    info_out->path = store->path;
    if (!alone)
        (void)pthread_mutex_lock(mutex);
    info_out->declaration = store->declarations->text;
    if (!alone)
        (void)pthread_mutex_unlock(mutex);
    memcpy(info_out->uuid, store->uuid, sizeof info_out->uuid);
    info_out->page_size = store->page_size;
    info_out->readonly = store->readonly;
    info_out->owner = store->owner;
}

static htt_rc store_declare(htt_store *store, const char *declaration, htt_error *error) {
    htt_root root;

    htt_rc rc = htt_store_check_process(store, error);
    if (rc != HTT_OK)
        return rc;
    (void)pthread_mutex_lock(&store->mutex);
    const bool writing = store->writing;
    (void)pthread_mutex_unlock(&store->mutex);
    rc = htt_txn_take_writer(store, writing, error);
    if (rc != HTT_OK)
        return rc;
    (void)pthread_mutex_lock(&store->mutex);
    rc = htt_store_add_declaration(store, declaration, error);
    (void)pthread_mutex_unlock(&store->mutex);
    if (rc == HTT_OK) {
        rc = store->keeper->methods->base(store->keeper, &root, error);
        if (rc == HTT_OK)
            rc = store->keeper->methods->declare(store->keeper, declaration, error);
        if (rc != HTT_OK) {
            htt_store_drop_declaration(store);
        }
    }
    htt_txn_give_writer(store);
    return rc;
}

htt_rc htt_store_declare(htt_store *store, const char *declaration) {
    htt_error error = {0};
    htt_rc rc;

    if (store == NULL)
        return HTT_MISUSE;
    if (declaration == NULL)
        declaration = "";
    if (strlen(declaration) > HTT_DECLARATION_SIZE_MAX)
        rc = htt_error_set(&error, HTT_TOOBIG, "declaration of %zu bytes, the limit is %u",
                           strlen(declaration), HTT_DECLARATION_SIZE_MAX);
    else
        rc = store_declare(store, declaration, &error);
    return rc == HTT_OK ? HTT_OK : htt_store_fail(store, &error);
}

/* ------------------------------------------------------------------ tests */

void htt_testing_set_hash(htt_store *store, htt_hash_function hash) {
    store->hash = hash;
}

void htt_testing_set_tuning(htt_store *store, htt_tree_tuning tuning) {
    store->tuning = tuning;
}

void htt_testing_set_stage_limit(htt_store *store, uint64_t bytes) {
    store->stage_limit = bytes;
}

void htt_testing_set_unsynced_max(htt_store *store, uint64_t bytes) {
    htt_keeper_meta_set_unsynced_max(store->keeper, bytes);
}

void htt_testing_set_early_sync(htt_store *store, bool early_sync) {
    store->early_sync = early_sync;
}
