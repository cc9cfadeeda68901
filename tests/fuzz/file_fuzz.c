/* SPDX-License-Identifier: MIT */
/*
 * An arbitrary file is opened, read, checked, changed, committed, and opened again.
 *
 *   OFFSET  SIZE  FIELD
 *        0     1  FUZZ_... below
 *        1     1  which rows are changed, and how
 *        2        the file (support/test_sparse.h)
 *
 * No crash, no call without end, nothing left open. And a promise: where the deep check finds no
 * problem, everything works, and it still finds none after the changes.
 *
 * Seeds are made by tests/engine/fuzz_seeds_test.c.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/test_env_memory.h"
#include "support/test_repair.h"
#include "support/test_sparse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    FUZZ_REPAIR = 1u << 0,   /* make the checksums right first */
    FUZZ_NO_MMAP = 1u << 1,  /* read through the cache */
    FUZZ_READONLY = 1u << 2, /* change nothing */
    FUZZ_SAVE = 1u << 3,     /* savepoints and a cursor among the changes */
    FUZZ_VACUUM = 1u << 4,   /* at the end */
    FUZZ_BACKUP = 1u << 5,   /* at the begin */
    FUZZ_GROW = 1u << 6,     /* many new rows */
    FUZZ_SHRINK = 1u << 7    /* delete most rows */
};

#define FUZZ_FILE_MAX ((size_t)1 << 20)  /* bytes of a file */
#define FUZZ_PIECE_MAX ((size_t)8 << 20) /* bytes of one piece of memory */
#define FUZZ_ROWS_MAX 3000u              /* rows walked over */
#define FUZZ_KEYS_MAX 96u                /* keys kept */

typedef struct fuzz {
    memory_fs *fs;                  /* the world */
    unsigned what;                  /* FUZZ_... */
    unsigned seed;                  /* of changes */
    bool sound;                     /* the deep check found nothing */
    htt_store *store;               /* open */
    htt_datum keys[FUZZ_KEYS_MAX];  /* of rows that were walked over; owned */
    uint32_t key_count;             /* of keys */
} fuzz;

static void fuzz_broken(const char *what, htt_rc rc, const char *message) {
    fprintf(stderr, "the check found nothing, but: %s: %s: %s\n", what, htt_strerror(rc), message);
    abort();
}

/* An error. Sound files give none but those of limits. */
static void fuzz_error(const fuzz *f, const char *what, htt_rc rc, const char *message) {
    if (message == NULL || message[0] == '\0') {
        fprintf(stderr, "%s: %s without a message\n", what, htt_strerror(rc));
        abort();
    }
    if (f->sound && rc != HTT_NOMEM && rc != HTT_FULL && rc != HTT_COLLISION &&
        rc != HTT_READONLY) {
        fuzz_broken(what, rc, message);
    }
}

/* Looks at every byte: AddressSanitizer says which are not there. */
static unsigned fuzz_touch(htt_datum datum) {
    const volatile uint8_t *bytes = datum.data;
    unsigned sum = datum.type;
    for (size_t i = 0; i < datum.size; i += i < 64 ? 1 : 61) {
        sum += bytes[i];
    }
    return datum.size > 0 ? sum + bytes[datum.size - 1] : sum;
}

static int fuzz_report(void *arg, uint32_t page, const char *problem) {
    (void)page;
    if (problem == NULL || problem[0] == '\0') {
        abort();
    }
    if (getenv("HTT_FUZZ_SHOW") != NULL) {
        fprintf(stderr, "page %" PRIu32 ": %s\n", page, problem);
    }
    return ++*(uint32_t *)arg >= 200; /* enough */
}

static void fuzz_check(fuzz *f, htt_txn *txn, bool first) {
    uint64_t problems = 0;
    uint32_t reports = 0;
    htt_rc rc = htt_check(txn, HTT_CHECK_SHALLOW, fuzz_report, &reports, &problems);
    if (rc != HTT_OK) {
        fuzz_error(f, "check", rc, htt_txn_errmsg(txn));
    }
    reports = 0;
    rc = htt_check(txn, HTT_CHECK_DEEP, fuzz_report, &reports, &problems);
    if (rc != HTT_OK) {
        fuzz_error(f, "check", rc, htt_txn_errmsg(txn));
    } else if (first) {
        f->sound = problems == 0;
    } else if (f->sound && problems > 0) {
        fuzz_broken("check again", HTT_CORRUPT, "problems");
    }
}

static void fuzz_keep_key(fuzz *f, htt_datum key) {
    if (f->key_count < FUZZ_KEYS_MAX && key.size <= 70000) {
        uint8_t *copy = malloc(key.size + 1);
        if (copy == NULL) {
            abort();
        }
        if (key.size > 0) {
            memcpy(copy, key.data, key.size);
        }
        f->keys[f->key_count++] = htt_bytes(copy, key.size, (htt_type)key.type);
    }
}

static void fuzz_walk(fuzz *f, htt_txn *txn, bool keep) {
    htt_cursor *cursor = NULL;
    htt_datum key;
    htt_datum value;
    uint64_t count = 0;
    uint64_t rows = 0;
    htt_rc rc = htt_cursor_open(txn, &cursor);
    if (rc != HTT_OK) {
        fuzz_error(f, "cursor", rc, htt_txn_errmsg(txn));
        return;
    }
    while (rows < FUZZ_ROWS_MAX && (rc = htt_cursor_next(cursor, &key)) == HTT_OK) {
        (void)fuzz_touch(key);
        if (keep) {
            fuzz_keep_key(f, key);
        }
        rc = htt_cursor_value(cursor, &value);
        if (rc == HTT_OK) {
            (void)fuzz_touch(value);
        } else {
            fuzz_error(f, "walk, value", rc, htt_cursor_errmsg(cursor));
        }
        rows++;
    }
    if (rc != HTT_OK && rc != HTT_NOTFOUND) {
        fuzz_error(f, "walk", rc, htt_cursor_errmsg(cursor));
    }
    htt_cursor_close(cursor);
    rc = htt_count(txn, &count);
    if (rc != HTT_OK) {
        fuzz_error(f, "count", rc, htt_txn_errmsg(txn));
    } else if (f->sound && rows < FUZZ_ROWS_MAX && rows != count) {
        fuzz_broken("walk", HTT_OK, "another number of rows than counted");
    }
}

/* Every kept key, in every way. `there`: all of them must be found in a sound file. */
static void fuzz_get(fuzz *f, htt_txn *txn, bool there) {
    static htt_datum values[FUZZ_KEYS_MAX];
    static htt_rc results[FUZZ_KEYS_MAX];
    for (uint32_t i = 0; i < f->key_count; i++) {
        htt_datum value;
        htt_rc rc = htt_get(txn, f->keys[i], &value);
        if (rc == HTT_OK) {
            (void)fuzz_touch(value);
        } else if (rc != HTT_NOTFOUND || (there && f->sound)) {
            fuzz_error(f, "get", rc, htt_txn_errmsg(txn));
        }
        rc = htt_get_key(txn, f->keys[i], &value);
        if (rc == HTT_OK) {
            (void)fuzz_touch(value);
        } else if (rc != HTT_NOTFOUND) {
            fuzz_error(f, "get_key", rc, htt_txn_errmsg(txn));
        }
        rc = htt_exists(txn, f->keys[i]);
        if (rc != HTT_OK && rc != HTT_NOTFOUND) {
            fuzz_error(f, "exists", rc, htt_txn_errmsg(txn));
        }
    }
    const htt_rc rc = htt_get_many(txn, f->keys, f->key_count, values, results);
    if (rc != HTT_OK) {
        fuzz_error(f, "get_many", rc, htt_txn_errmsg(txn));
        return;
    }
    for (uint32_t i = 0; i < f->key_count; i++) {
        if (results[i] == HTT_OK) {
            (void)fuzz_touch(values[i]);
        }
    }
}

static htt_txn *fuzz_begin(const fuzz *f, unsigned mode) {
    htt_txn *txn = NULL;
    const htt_rc rc = htt_begin(f->store, mode, &txn);
    if (rc != HTT_OK) {
        fuzz_error(f, "begin", rc, htt_errmsg(f->store));
        return NULL;
    }
    return txn;
}

static void fuzz_read(fuzz *f, bool first) {
    htt_stat stat;
    htt_txn *txn = fuzz_begin(f, HTT_READ);
    if (txn == NULL) {
        return;
    }
    if (!first) { /* the first time reads come first: the check verifies pages for them */
        fuzz_check(f, txn, false);
    }
    fuzz_walk(f, txn, first);
    fuzz_get(f, txn, first);
    htt_rc rc = htt_txn_stat(txn, &stat);
    if (rc != HTT_OK) {
        fuzz_error(f, "stat", rc, htt_txn_errmsg(txn));
    }
    if (first) {
        fuzz_check(f, txn, true);
        fuzz_walk(f, txn, false);
        fuzz_get(f, txn, true);
    }
    if (first && (f->what & FUZZ_BACKUP) != 0) {
        rc = htt_backup(txn, "copy.htt");
        if (rc != HTT_OK) {
            fuzz_error(f, "backup", rc, htt_txn_errmsg(txn));
        }
    }
    htt_abort(txn);
}

/* A value of some size. */
static htt_datum fuzz_value(const fuzz *f, uint32_t i) {
    static uint8_t bytes[70000];
    static const size_t sizes[] = {0, 5, 100, 1500, 60, 3, 9000, 700, 40, 2000, 66000, 20};
    const size_t size = sizes[(i + f->seed) % (sizeof sizes / sizeof sizes[0])];
    memset(bytes, (int)(i + f->seed), size);
    return htt_blob(bytes, size);
}

/* One change. False: the transaction is over. */
static bool fuzz_change_row(const fuzz *f, htt_txn *txn, htt_datum key, uint32_t i) {
    const bool del = (f->what & FUZZ_SHRINK) != 0 ? i % 8 != 0 : (i + f->seed) % 3 == 0;
    const htt_rc rc = del ? htt_del(txn, key) : htt_put(txn, key, fuzz_value(f, i), 0);
    if (rc == HTT_OK || rc == HTT_NOTFOUND) {
        return true;
    }
    fuzz_error(f, del ? "del" : "put", rc, htt_txn_errmsg(txn));
    return rc != HTT_IO && rc != HTT_POISONED;
}

static bool fuzz_change_rows(fuzz *f, htt_txn *txn) {
    const uint32_t more = (f->what & FUZZ_GROW) != 0 ? 400 : 20;
    bool alive = true;
    for (uint32_t i = 0; i < f->key_count && alive; i++) {
        alive = fuzz_change_row(f, txn, f->keys[i], i);
    }
    for (uint32_t i = 0; i < more && alive; i++) {
        uint8_t key[40] = {0};
        memcpy(key, &i, sizeof i);
        key[5] = (uint8_t)f->seed;
        const size_t size = 6 + i % 34;
        alive = fuzz_change_row(f, txn, htt_bytes(key, size, i % 2 == 0 ? HTT_BLOB : HTT_TEXT),
                                3 * i + 1);
    }
    return alive;
}

/* Changes inside a savepoint, with a cursor that was opened before. */
static bool fuzz_change_saved(fuzz *f, htt_txn *txn) {
    htt_cursor *cursor = NULL;
    htt_datum key;
    uint32_t id = 0;
    htt_rc rc = htt_savepoint(txn, &id);
    if (rc != HTT_OK) {
        fuzz_error(f, "savepoint", rc, htt_txn_errmsg(txn));
        return true;
    }
    rc = htt_cursor_open(txn, &cursor);
    if (rc != HTT_OK) {
        fuzz_error(f, "cursor", rc, htt_txn_errmsg(txn));
        cursor = NULL;
    }
    bool alive = fuzz_change_rows(f, txn);
    for (uint32_t i = 0; cursor != NULL && i < FUZZ_ROWS_MAX; i++) {
        rc = htt_cursor_next(cursor, &key);
        if (rc != HTT_OK) {
            break;
        }
        (void)fuzz_touch(key);
    }
    htt_cursor_close(cursor);
    if (alive) {
        rc = f->seed % 2 == 0 ? htt_rollback_to(txn, id) : htt_release(txn, id);
        if (rc != HTT_OK) {
            fuzz_error(f, "end of a savepoint", rc, htt_txn_errmsg(txn));
            alive = false;
        }
    }
    return alive;
}

static void fuzz_write(fuzz *f) {
    htt_txn *txn = fuzz_begin(f, HTT_WRITE);
    bool alive = true;
    if (txn == NULL) {
        return;
    }
    if ((f->what & FUZZ_SAVE) != 0) {
        alive = fuzz_change_saved(f, txn);
    }
    if (alive) {
        alive = fuzz_change_rows(f, txn);
    }
    if (alive) {
        fuzz_get(f, txn, false);
        fuzz_check(f, txn, false);
        fuzz_walk(f, txn, false);
    }
    if (!alive || f->seed % 16 == 15) {
        htt_abort(txn);
        return;
    }
    const htt_rc rc = htt_commit(txn);
    if (rc != HTT_OK) {
        fuzz_error(f, "commit", rc, htt_errmsg(f->store));
    }
}

static bool fuzz_open(fuzz *f) {
    htt_options options;
    htt_error error = {0};
    htt_options_init(&options);
    options.env = memory_fs_env(f->fs);
    options.flags = ((f->what & FUZZ_NO_MMAP) != 0 ? HTT_OPEN_NO_MMAP : 0u) |
                    ((f->what & FUZZ_READONLY) != 0 ? HTT_OPEN_READONLY : 0u);
    options.cache_bytes = 100000;
    options.write_budget = 4096;
    options.busy_timeout_ms = 10;
    const htt_rc rc = htt_open("kv.htt", &options, &f->store, &error);
    if (rc != HTT_OK) {
        fuzz_error(f, "open", rc, error.text);
    }
    return rc == HTT_OK;
}

static void fuzz_run(fuzz *f) {
    uint64_t before = 0;
    uint64_t after = 0;
    if (!fuzz_open(f)) {
        return;
    }
    fuzz_read(f, true);
    fuzz_write(f);
    fuzz_read(f, false);
    if ((f->what & FUZZ_VACUUM) != 0) {
        const htt_rc rc = htt_vacuum(f->store, &before, &after);
        if (rc != HTT_OK) {
            fuzz_error(f, "vacuum", rc, htt_errmsg(f->store));
        }
        fuzz_read(f, false);
    }
    htt_close(f->store);
    if (fuzz_open(f)) {
        fuzz_read(f, false);
        f->seed++;
        fuzz_write(f);
        htt_close(f->store);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static memory_fs *fs;
    size_t file_size = 0;
    if (size < 2) {
        return 0;
    }
    if (fs == NULL) {
        fs = memory_fs_new(1);
        memory_fs_set_piece_max(fs, FUZZ_PIECE_MAX);
    }
    fuzz f = {.fs = fs, .what = data[0], .seed = data[1]};
    uint8_t *bytes = sparse_decode(data + 2, size - 2, FUZZ_FILE_MAX, &file_size);
    if ((f.what & FUZZ_REPAIR) != 0) {
        repair_file(bytes, file_size, REPAIR_ALL);
    }
    memory_fs_put_file(fs, "kv.htt", bytes, file_size);
    free(bytes);
    fuzz_run(&f);
    for (uint32_t i = 0; i < f.key_count; i++) {
        free((void *)(uintptr_t)f.keys[i].data);
    }
    if (memory_fs_held(fs) != 0) {
        fprintf(stderr, "%zu handles left\n", memory_fs_held(fs));
        abort();
    }
    memory_fs_clear(fs);
    return 0;
}
