/* SPDX-License-Identifier: MIT */
/*
 * The model test: random calls of htt.h, each compared with an in-memory map.
 *
 * ctest: timeout=300
 *
 * One writer (with nested savepoints, rollbacks, prepares, aborts and commits), readers and cursors
 * that keep older states, two handles on one file, reopens, vacuums, copies. After each round the
 * whole file is compared and checked, and its utilisation printed. All random numbers come from
 * HTT_TEST_SEED, which is printed; HTT_TEST_STEPS sets the calls of each test, HTT_TEST_LONG makes
 * them many.
 */
#include <unistd.h>

#include "htt_env.h"
#include "model_support.h"
#include "txn/testing.h"

enum {
    MODEL_READERS = 4,           /* read transactions at one time */
    MODEL_CURSORS = 4,           /* cursors at one time, of any transaction */
    MODEL_SAVEPOINTS = 6,        /* nested */
    MODEL_BORROWED = 4,          /* values that a reader keeps */
    MODEL_MANY = 40,             /* keys of one get_many */
    MODEL_STORES = 2,            /* handles on the file */
    MODEL_ROUND_STEPS = 6000,    /* calls of a round */
    MODEL_STEPS_SHORT = 90000,   /* calls of a test */
    MODEL_STEPS_CHECKED = 16000, /* the same with a sanitizer */
    MODEL_STEPS_LONG = 3000000
};

typedef struct model_config {
    uint32_t page_size;    /* bytes */
    unsigned flags;        /* HTT_OPEN_NO_MMAP or 0 */
    uint64_t cache_bytes;  /* of the page cache */
    uint64_t write_budget; /* bytes */
    uint32_t ids;          /* rows at most */
    model_sizes sizes;     /* of values */
    uint64_t stage_limit;  /* bytes of rows that wait for pages; 0 = by the budget */
} model_config;

typedef struct model_reader {
    htt_txn *txn;                       /* NULL = none */
    model_state state;                  /* what it sees */
    htt_datum borrowed[MODEL_BORROWED]; /* values that must stay as they are */
    uint64_t tokens[MODEL_BORROWED];    /* what they are; 0 = none */
} model_reader;

typedef struct model_cursor {
    htt_cursor *cursor; /* NULL = none */
    model_state state;  /* what it sees */
    uint8_t *seen;      /* by id */
    uint64_t left;      /* rows to come */
    bool of_writer;     /* its transaction is the open write transaction */
    bool changed;       /* that differed from its base when the cursor was opened */
    bool may_abort;     /* the transaction was aborted: HTT_ABORTED is right when `changed` */
} model_cursor;

typedef struct model_world {
    const model_config *config;            /* constant */
    uint64_t random;                       /* state of the generator */
    char path[64];                         /* of the file */
    htt_store *stores[MODEL_STORES];       /* open handles */
    model_state committed;                 /* of the file */
    htt_txn *writer;                       /* NULL = none */
    uint32_t writer_store;                 /* whose */
    model_state state;                     /* of the writer */
    uint32_t savepoints[MODEL_SAVEPOINTS]; /* their ids */
    model_state saved[MODEL_SAVEPOINTS];   /* what they go back to */
    uint32_t savepoint_count;              /* open */
    model_reader readers[MODEL_READERS];   /* open and not */
    model_cursor cursors[MODEL_CURSORS];   /* open and not */
    uint32_t put_percent;                  /* puts among puts and deletes */
    uint64_t steps;                        /* done */
    uint32_t free_pages;                   /* at the last check of the file */
    uint8_t *key;                          /* scratch */
    uint8_t *value;                        /* scratch */
    uint8_t *keys[MODEL_MANY];             /* scratch */
} model_world;

#define assert_txn(txn, call)                                                                      \
    do {                                                                                           \
        htt_rc rc_of_call_ = (call);                                                               \
        if (rc_of_call_ != HTT_OK)                                                                 \
            print_error("%s: %s\n", htt_strerror(rc_of_call_), htt_txn_errmsg(txn));               \
        assert_int_equal(rc_of_call_, HTT_OK);                                                     \
    } while (0)

#define assert_store(store, call)                                                                  \
    do {                                                                                           \
        htt_rc rc_of_call_ = (call);                                                               \
        if (rc_of_call_ != HTT_OK)                                                                 \
            print_error("%s: %s\n", htt_strerror(rc_of_call_), htt_errmsg(store));                 \
        assert_int_equal(rc_of_call_, HTT_OK);                                                     \
    } while (0)

static uint32_t model_below(model_world *world, uint32_t below) {
    return page_random_below(&world->random, below);
}

static bool model_chance(model_world *world, uint32_t in) {
    return model_below(world, in) == 0;
}

static uint32_t model_id(model_world *world) {
    return model_below(world, world->config->ids);
}

/* The key as any of its two forms; which one must not matter. */
static htt_datum model_any_key(model_world *world, uint32_t id) {
    return model_key(world->config->page_size, id, model_chance(world, 2), world->key);
}

/* ------------------------------------------------------------------ comparing */

static void model_assert_value(model_world *world, htt_datum value, uint64_t token) {
    htt_datum wanted = model_value(world->config->page_size, token, world->value);

    assert_int_equal(value.type, wanted.type);
    assert_int_equal(value.size, wanted.size);
    if (value.size > 0)
        assert_memory_equal(value.data, wanted.data, value.size);
}

/* The key as it was written. */
static void model_assert_key(model_world *world, htt_datum key, uint32_t id, uint64_t token) {
    bool form = (token & MODEL_FORM) != 0;
    htt_datum wanted = model_key(world->config->page_size, id, form, world->key);

    assert_int_equal(key.type, wanted.type);
    assert_int_equal(key.size, wanted.size);
    if (key.size > 0)
        assert_memory_equal(key.data, wanted.data, key.size);
}

static void model_get(model_world *world, htt_txn *txn, const model_state *state) {
    uint32_t id = model_id(world);
    uint64_t token = state->tokens[id];
    htt_datum value, key = model_any_key(world, id);

    if (model_chance(world, 4)) {
        assert_int_equal(htt_exists(txn, key), token == 0 ? HTT_NOTFOUND : HTT_OK);
        return;
    }
    htt_rc rc = htt_get(txn, key, &value);
    if (token == 0) {
        assert_int_equal(rc, HTT_NOTFOUND);
        return;
    }
    assert_txn(txn, rc);
    model_assert_value(world, value, token);
    if (model_chance(world, 4)) {
        assert_txn(txn, htt_get_key(txn, model_any_key(world, id), &key));
        model_assert_key(world, key, id, token);
    }
}

static void model_get_many(model_world *world, htt_txn *txn, const model_state *state) {
    uint32_t ids[MODEL_MANY];
    htt_datum keys[MODEL_MANY] = {{0}}, values[MODEL_MANY];
    htt_rc results[MODEL_MANY];
    uint32_t count = model_below(world, MODEL_MANY + 1);

    for (uint32_t i = 0; i < count; i++) {
        ids[i] = model_id(world);
        keys[i] =
            model_key(world->config->page_size, ids[i], model_chance(world, 2), world->keys[i]);
    }
    assert_txn(txn, htt_get_many(txn, keys, count, values, results));
    for (uint32_t i = 0; i < count; i++) {
        uint64_t token = state->tokens[ids[i]];
        assert_int_equal(results[i], token == 0 ? HTT_NOTFOUND : HTT_OK);
        if (token != 0)
            model_assert_value(world, values[i], token);
    }
}

/* Every row, by a cursor; count and bytes. */
static void model_compare(model_world *world, htt_txn *txn, const model_state *state) {
    uint8_t *seen = calloc(state->ids, 1);
    htt_cursor *cursor;
    htt_datum key, value;
    uint64_t count = 0, told;
    htt_rc rc;

    assert_non_null(seen);
    assert_txn(txn, htt_cursor_open(txn, &cursor));
    while ((rc = htt_cursor_next(cursor, &key)) == HTT_OK) {
        uint32_t id = model_key_id(world->config->page_size, key);
        assert_true(id < state->ids);
        assert_int_equal(seen[id]++, 0);
        assert_int_not_equal(state->tokens[id], 0);
        model_assert_key(world, key, id, state->tokens[id]);
        assert_txn(txn, htt_cursor_value(cursor, &value));
        model_assert_value(world, value, state->tokens[id]);
        count++;
    }
    assert_int_equal(rc, HTT_NOTFOUND);
    htt_cursor_close(cursor);
    assert_int_equal(count, state->count);
    assert_txn(txn, htt_count(txn, &told));
    assert_int_equal(told, state->count);
    free(seen);
}

static int model_report(void *arg, uint32_t page, const char *problem) {
    (void)arg;
    print_error("page %u: %s\n", page, problem);
    return 0;
}

static void model_check(htt_txn *txn) {
    uint64_t problems = 0;

    assert_txn(txn, htt_check(txn, HTT_CHECK_DEEP, model_report, NULL, &problems));
    assert_int_equal(problems, 0);
}

/* -------------------------------------------------------------------- cursors */

static void model_cursor_close(model_cursor *cursor) {
    htt_cursor_close(cursor->cursor);
    free(cursor->seen);
    model_state_free(&cursor->state);
    memset(cursor, 0, sizeof *cursor);
}

static void model_cursor_open(model_world *world, model_cursor *cursor, htt_txn *txn,
                              const model_state *state) {
    assert_txn(txn, htt_cursor_open(txn, &cursor->cursor));
    model_state_copy(&cursor->state, state);
    cursor->seen = calloc(state->ids, 1);
    assert_non_null(cursor->seen);
    cursor->left = state->count;
    cursor->of_writer = txn == world->writer;
    cursor->changed = cursor->of_writer && !model_state_equal(state, &world->committed);
}

/* A few rows. True: the cursor is done. */
static bool model_cursor_step(model_world *world, model_cursor *cursor) {
    htt_datum key, value;

    for (uint32_t i = model_below(world, 60); i > 0; i--) {
        htt_rc rc = htt_cursor_next(cursor->cursor, &key);
        if (rc == HTT_ABORTED) {
            assert_true(cursor->may_abort);
            return true;
        }
        assert_false(cursor->may_abort && cursor->changed);
        if (cursor->left == 0) {
            assert_int_equal(rc, HTT_NOTFOUND);
            return true;
        }
        if (rc != HTT_OK)
            print_error("%s: %s\n", htt_strerror(rc), htt_cursor_errmsg(cursor->cursor));
        assert_int_equal(rc, HTT_OK);
        uint32_t id = model_key_id(world->config->page_size, key);
        assert_true(id < cursor->state.ids);
        assert_int_equal(cursor->seen[id]++, 0);
        assert_int_not_equal(cursor->state.tokens[id], 0);
        model_assert_key(world, key, id, cursor->state.tokens[id]);
        if (model_chance(world, 2)) {
            assert_int_equal(htt_cursor_value(cursor->cursor, &value), HTT_OK);
            model_assert_value(world, value, cursor->state.tokens[id]);
        }
        cursor->left--;
    }
    return false;
}

static void model_use_cursor(model_world *world) {
    model_cursor *cursor = &world->cursors[model_below(world, MODEL_CURSORS)];
    model_reader *reader = &world->readers[model_below(world, MODEL_READERS)];

    if (cursor->cursor != NULL) {
        if (model_chance(world, 40) || model_cursor_step(world, cursor))
            model_cursor_close(cursor);
    } else if (world->writer != NULL && model_chance(world, 2)) {
        model_cursor_open(world, cursor, world->writer, &world->state);
    } else if (reader->txn != NULL) {
        model_cursor_open(world, cursor, reader->txn, &reader->state);
    }
}

/* -------------------------------------------------------------------- readers */

static void model_reader_check_borrowed(model_world *world, model_reader *reader) {
    for (uint32_t i = 0; i < MODEL_BORROWED; i++) {
        if (reader->tokens[i] != 0)
            model_assert_value(world, reader->borrowed[i], reader->tokens[i]);
    }
}

/* With mmap a value in its page stays good until the transaction ends. */
static void model_reader_borrow(model_world *world, model_reader *reader) {
    uint32_t slot = model_below(world, MODEL_BORROWED), id = model_id(world);
    uint64_t token = reader->state.tokens[id];

    if ((world->config->flags & HTT_OPEN_NO_MMAP) != 0 || token == 0 ||
        model_value_size(world->config->page_size, token) > 400)
        return;
    assert_txn(reader->txn,
               htt_get(reader->txn, model_any_key(world, id), &reader->borrowed[slot]));
    reader->tokens[slot] = token;
}

static void model_reader_end(model_world *world, model_reader *reader) {
    model_reader_check_borrowed(world, reader);
    if (model_chance(world, 2))
        htt_abort(reader->txn);
    else
        assert_int_equal(htt_commit(reader->txn), HTT_OK);
    model_state_free(&reader->state);
    memset(reader, 0, sizeof *reader);
}

static void model_use_reader(model_world *world) {
    model_reader *reader = &world->readers[model_below(world, MODEL_READERS)];

    if (reader->txn == NULL) {
        htt_store *store = world->stores[model_below(world, MODEL_STORES)];
        assert_store(store, htt_begin(store, HTT_READ, &reader->txn));
        model_state_copy(&reader->state, &world->committed);
        return;
    }
    switch (model_below(world, 12)) {
    case 0: model_reader_end(world, reader); break;
    case 1: model_reader_borrow(world, reader); break;
    case 2: model_reader_check_borrowed(world, reader); break;
    case 3:
        if (model_chance(world, 20))
            model_compare(world, reader->txn, &reader->state);
        break;
    case 4:
    case 5: model_get_many(world, reader->txn, &reader->state); break;
    default: model_get(world, reader->txn, &reader->state); break;
    }
}

/* --------------------------------------------------------------------- writer */

static void model_writer_begin(model_world *world) {
    world->writer_store = model_below(world, MODEL_STORES);
    htt_store *store = world->stores[world->writer_store];

    assert_store(store, htt_begin(store, HTT_WRITE, &world->writer));
    model_state_copy(&world->state, &world->committed);
}

static void model_writer_end(model_world *world, bool commit) {
    if (commit) {
        htt_store *store = world->stores[world->writer_store];
        assert_store(store, htt_commit(world->writer));
        model_state_copy(&world->committed, &world->state);
    } else {
        htt_abort(world->writer);
    }
    for (uint32_t i = 0; i < MODEL_CURSORS; i++) {
        model_cursor *cursor = &world->cursors[i];
        if (cursor->cursor != NULL && cursor->of_writer) {
            cursor->of_writer = false;
            cursor->may_abort = !commit;
        }
    }
    world->writer = NULL;
    world->savepoint_count = 0;
}

static void model_put(model_world *world) {
    uint32_t id = model_id(world);
    uint64_t old = world->state.tokens[id];
    uint64_t token = model_token(&world->random, world->config->sizes);
    bool form = model_chance(world, 2);
    unsigned flags = model_chance(world, 4) ? model_below(world, 3) : 0;
    htt_datum value, key;

    uint32_t from = model_id(world);
    if (world->state.tokens[from] != 0 && model_chance(world, 8)) { /* a borrowed value */
        token = world->state.tokens[from] & ~MODEL_FORM;
        assert_txn(world->writer, htt_get(world->writer, model_any_key(world, from), &value));
    } else {
        value = model_value(world->config->page_size, token, world->value);
    }
    key = model_key(world->config->page_size, id, form, world->key);
    htt_rc rc = htt_put(world->writer, key, value, flags);
    if (old != 0 && flags == HTT_PUT_INSERT) {
        assert_int_equal(rc, HTT_EXISTS);
    } else if (old == 0 && flags == HTT_PUT_REPLACE) {
        assert_int_equal(rc, HTT_NOTFOUND);
    } else {
        assert_txn(world->writer, rc);
        model_state_set(&world->state, id, token | (form ? MODEL_FORM : 0));
    }
}

static void model_del(model_world *world) {
    uint32_t id = model_id(world);
    htt_rc rc = htt_del(world->writer, model_any_key(world, id));

    if (world->state.tokens[id] == 0) {
        assert_int_equal(rc, HTT_NOTFOUND);
        return;
    }
    assert_txn(world->writer, rc);
    model_state_set(&world->state, id, 0);
}

static void model_use_savepoint(model_world *world) {
    uint32_t count = world->savepoint_count;

    if (count < MODEL_SAVEPOINTS && (count == 0 || model_chance(world, 2))) {
        assert_txn(world->writer, htt_savepoint(world->writer, &world->savepoints[count]));
        model_state_copy(&world->saved[count], &world->state);
        world->savepoint_count++;
        return;
    }
    uint32_t at = model_below(world, count);
    if (model_chance(world, 2)) {
        assert_txn(world->writer, htt_rollback_to(world->writer, world->savepoints[at]));
        model_state_copy(&world->state, &world->saved[at]);
        world->savepoint_count = at + 1;
    } else {
        assert_txn(world->writer, htt_release(world->writer, world->savepoints[at]));
        world->savepoint_count = at;
    }
}

static void model_use_writer(model_world *world) {
    if (world->writer == NULL) {
        model_writer_begin(world);
        return;
    }
    uint32_t what = model_below(world, 1000);
    if (what < 5)
        model_writer_end(world, model_chance(world, 4) == 0);
    else if (what < 10)
        assert_txn(world->writer, htt_prepare(world->writer));
    else if (what < 40)
        model_use_savepoint(world);
    else if (what < 60)
        model_get_many(world, world->writer, &world->state);
    else if (what < 200)
        model_get(world, world->writer, &world->state);
    else if (what < 202)
        model_compare(world, world->writer, &world->state);
    else if (what < 203)
        model_check(world->writer);
    else if (model_below(world, 100) < world->put_percent)
        model_put(world);
    else
        model_del(world);
}

/* --------------------------------------------------------------- whole files */

static uint64_t model_env_state; /* of the numbers that stores get: the layout is replayed too */

static int model_env_random(void *context, void *buffer, size_t size) {
    (void)context;
    page_random_fill(&model_env_state, buffer, size);
    return 0;
}

static void model_open(model_world *world) {
    static htt_env env;
    const model_config *config = world->config;
    htt_options options;
    htt_error error;

    env = *htt_env_system();
    env.random = model_env_random;
    htt_options_init(&options);
    options.env = &env;
    options.page_size = config->page_size;
    options.flags |= config->flags;
    options.cache_bytes = config->cache_bytes;
    options.write_budget = config->write_budget;
    options.sync = HTT_SYNC_OFF;
    for (uint32_t i = 0; i < MODEL_STORES; i++) {
        htt_rc rc = htt_open(world->path, &options, &world->stores[i], &error);
        if (rc != HTT_OK)
            print_error("%s: %s\n", htt_strerror(rc), error.text);
        assert_int_equal(rc, HTT_OK);
        htt_testing_set_stage_limit(world->stores[i], config->stage_limit);
    }
}

/* Ends all that is open. The write transaction too: committed or not. */
static void model_close(model_world *world) {
    for (uint32_t i = 0; i < MODEL_READERS; i++) {
        if (world->readers[i].txn != NULL)
            model_reader_end(world, &world->readers[i]);
    }
    if (world->writer != NULL)
        model_writer_end(world, model_chance(world, 2));
    for (uint32_t i = 0; i < MODEL_CURSORS; i++) {
        if (world->cursors[i].cursor != NULL)
            model_cursor_close(&world->cursors[i]);
    }
    for (uint32_t i = 0; i < MODEL_STORES; i++) {
        htt_close(world->stores[i]);
        world->stores[i] = NULL;
    }
}

static void model_unlink(const char *path) {
    char lock[80];

    (void)snprintf(lock, sizeof lock, "%s-lock", path);
    (void)unlink(path); /* it may not be there */
    (void)unlink(lock);
}

/* A copy made while others read and write holds the same rows. */
static void model_backup(model_world *world) {
    char path[80], own[sizeof world->path];
    htt_store *copy;
    htt_txn *txn;
    htt_error error;

    (void)snprintf(path, sizeof path, "%s-copy", world->path);
    memcpy(own, world->path, sizeof own);
    model_unlink(path);
    assert_store(world->stores[0], htt_begin(world->stores[0], HTT_READ, &txn));
    assert_txn(txn, htt_backup(txn, path));
    htt_abort(txn);
    assert_int_equal(htt_open(path, NULL, &copy, &error), HTT_OK);
    assert_store(copy, htt_begin(copy, HTT_READ, &txn));
    model_compare(world, txn, &world->committed);
    model_check(txn);
    htt_abort(txn);
    htt_close(copy);
    model_unlink(path);
}

/* Compares and checks the committed state; prints how full the pages are. */
static void model_check_file(model_world *world, const char *when) {
    htt_store *store = world->stores[model_below(world, MODEL_STORES)];
    htt_txn *txn;
    htt_stat stat;

    assert_store(store, htt_begin(store, HTT_READ, &txn));
    model_compare(world, txn, &world->committed);
    model_check(txn);
    assert_txn(txn, htt_txn_stat(txn, &stat));
    assert_int_equal(stat.keys, world->committed.count);
    assert_int_equal(stat.payload_bytes,
                     model_state_bytes(&world->committed, world->config->page_size));
    assert_int_equal(stat.page_count, 2 + stat.data_pages + stat.index_pages + stat.overflow_pages +
                                          stat.free_pages + stat.free_list_pages);
    print_message("%8llu steps, %s: %llu rows, %llu bytes, %u pages, %u free, depth %u, %.1f %% "
                  "full\n",
                  (unsigned long long)world->steps, when, (unsigned long long)stat.keys,
                  (unsigned long long)stat.payload_bytes, stat.page_count, stat.free_pages,
                  stat.depth_max, 100 * stat.utilisation);
    world->free_pages = stat.free_pages;
    htt_abort(txn);
}

/* With all transactions of this round ended. */
static void model_vacuum(model_world *world) {
    uint64_t before, after;

    assert_store(world->stores[0], htt_vacuum(world->stores[0], &before, &after));
    assert_true(after <= before);
    model_check_file(world, "vacuum");
    /* Nothing is pinned: what is left is what no value fits into. */
    assert_true(world->free_pages <= after / world->config->page_size / 8 + 40);
}

static void model_round(model_world *world, uint64_t steps) {
    static const uint32_t percents[] = {85, 70, 50, 50, 30, 10};

    world->put_percent = percents[model_below(world, 6)];
    for (uint64_t i = 0; i < steps; i++, world->steps++) {
        uint32_t what = model_below(world, 100);
        if (what < 75)
            model_use_writer(world);
        else if (what < 90)
            model_use_reader(world);
        else
            model_use_cursor(world);
    }
    model_check_file(world, "round");
    if (model_chance(world, 3))
        model_backup(world);
    if (model_chance(world, 2)) {
        model_close(world);
        model_open(world);
        model_check_file(world, "reopen");
        if (model_chance(world, 2))
            model_vacuum(world);
    }
}

static uint64_t model_steps(void) {
    const char *steps = getenv("HTT_TEST_STEPS");
    const char *is_long = getenv("HTT_TEST_LONG");

    if (steps != NULL)
        return strtoull(steps, NULL, 0);
    if (is_long != NULL && is_long[0] == '1')
        return MODEL_STEPS_LONG;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    return MODEL_STEPS_CHECKED;
#else
    return MODEL_STEPS_SHORT;
#endif
}

static void test_model(void **state) {
    const model_config *config = *state;
    uint64_t steps = model_steps();
    size_t page = config->page_size;
    model_world *world = calloc(1, sizeof *world);

    assert_non_null(world);
    world->config = config;
    world->random = page_seed() + page + config->ids;
    model_env_state = world->random + 1;
    world->key = malloc(page * MODEL_KEY_PAGES);
    world->value = malloc(2 * page * MODEL_VALUE_PAGES);
    for (uint32_t i = 0; i < MODEL_MANY; i++)
        world->keys[i] = malloc(page * MODEL_KEY_PAGES);
    model_state_init(&world->committed, config->ids);
    (void)snprintf(world->path, sizeof world->path, "model-%ld-%u.htt", (long)getpid(),
                   config->ids);
    model_unlink(world->path);
    model_open(world);
    while (world->steps < steps)
        model_round(world, steps - world->steps < MODEL_ROUND_STEPS ? steps - world->steps
                                                                    : MODEL_ROUND_STEPS);
    model_close(world);
    model_unlink(world->path);
    model_state_free(&world->committed);
    model_state_free(&world->state);
    for (uint32_t i = 0; i < MODEL_SAVEPOINTS; i++)
        model_state_free(&world->saved[i]);
    for (uint32_t i = 0; i < MODEL_MANY; i++)
        free(world->keys[i]);
    free(world->key);
    free(world->value);
    free(world);
}

int main(void) {
    static model_config configs[] = {
        {4096, 0, 0, 64 << 20, 20001, MODEL_SMALL, 0},
        {4096, 0, 0, 1, 3002, MODEL_MIXED, 0},
        {4096, HTT_OPEN_NO_MMAP, 65536, 1, 3003, MODEL_MIXED, 0},
        {4096, 0, 0, 1, 604, MODEL_LARGE, 0},
        {4096, HTT_OPEN_NO_MMAP, 65536, 64 << 20, 605, MODEL_LARGE, 0},
        {65536, 0, 0, 64 << 20, 20006, MODEL_SMALL, 0},
        {65536, HTT_OPEN_NO_MMAP, 1 << 20, 1, 3007, MODEL_SMALL, 0},
        {65536, 0, 0, 1, 508, MODEL_MIXED, 0},
        {65536, HTT_OPEN_NO_MMAP, 1 << 20, 64 << 20, 109, MODEL_LARGE, 0},
        {4096, 0, 0, 1, 20010, MODEL_SMALL, 60000},
        {4096, HTT_OPEN_NO_MMAP, 65536, 1, 3011, MODEL_MIXED, 90000},
    };
    const struct CMUnitTest tests[] = {
        {"test_model__small_rows", test_model, NULL, NULL, &configs[0]},
        {"test_model__mixed_rows_spilling", test_model, NULL, NULL, &configs[1]},
        {"test_model__mixed_rows_spilling_without_mmap", test_model, NULL, NULL, &configs[2]},
        {"test_model__large_rows_spilling", test_model, NULL, NULL, &configs[3]},
        {"test_model__large_rows_without_mmap", test_model, NULL, NULL, &configs[4]},
        {"test_model__small_rows_in_large_pages", test_model, NULL, NULL, &configs[5]},
        {"test_model__small_rows_in_large_pages_without_mmap", test_model, NULL, NULL, &configs[6]},
        {"test_model__mixed_rows_in_large_pages_spilling", test_model, NULL, NULL, &configs[7]},
        {"test_model__large_rows_in_large_pages", test_model, NULL, NULL, &configs[8]},
        {"test_model__small_rows_staged", test_model, NULL, NULL, &configs[9]},
        {"test_model__mixed_rows_staged_without_mmap", test_model, NULL, NULL, &configs[10]},
    };
    return cmocka_run_group_tests_name("model", tests, NULL, NULL);
}
