/* SPDX-License-Identifier: MIT */
/* See tree_support.h. */
#include "tree_support.h"

#include "base/error.h"

enum { TREE_BUFFER = HTT_KEY_SIZE_MAX + 64, TREE_VALUE_MAX = 4 << 20 };

/* -------------------------------------------------------------------- hashes */

/* MIX2 times this is 1, modulo 2^64. */
static uint64_t tree_mix2_inverse(void) {
    uint64_t inverse = 1;
    for (int i = 0; i < 6; i++) /* Newton: the right bits double */
        inverse *= 2 - HTT_HASH_MIX2 * inverse;
    for (int i = 0; i < 6; i++)
        inverse *= 2 - HTT_HASH_MIX2 * inverse;
    return inverse;
}

htt_hash tree_hash_slot(uint64_t seed, uint8_t key_class, const void *bytes, size_t size) {
    const uint8_t *key = bytes;
    uint64_t mix = le32_get(key);
    uint64_t rest = le32_get(key + 4);

    (void)seed;
    (void)key_class;
    assert_int_equal(size, 8);
    /* Under other salts the mix depends on the low half, so that must not be the same for all. */
    uint64_t low = (rest + 1) * HTT_HASH_GOLDEN;
    uint64_t x = low * HTT_HASH_MIX1;
    x ^= x >> 32;
    return (htt_hash){low, (mix << 32 | rest) * tree_mix2_inverse() - x};
}

htt_hash tree_hash_seven(uint64_t seed, uint8_t key_class, const void *bytes, size_t size) {
    htt_hash hash = htt_hash_key(seed, key_class, bytes, size);

    return (htt_hash){hash.low % 7, 0};
}

htt_hash tree_hash_coarse(uint64_t seed, uint8_t key_class, const void *bytes, size_t size) {
    htt_hash hash = htt_hash_key(seed, key_class, bytes, size);

    return (htt_hash){hash.low & 0xFF, hash.high & UINT64_C(0xFF00000000000000)};
}

uint32_t tree_mix_zero(uint32_t id) {
    (void)id;
    return 0;
}

uint32_t tree_mix_eight(uint32_t id) {
    return id % 8 << 29;
}

uint32_t tree_mix_two(uint32_t id) {
    return id % 50 == 0 ? UINT32_C(0x80000000) : 0;
}

uint32_t tree_mix_even(uint32_t id) {
    return id * UINT32_C(2654435761);
}

/* --------------------------------------------------------------------- rows */

htt_datum tree_key(tree_store *store, uint32_t id) {
    uint32_t page_size = store->root.page_size;
    size_t size = 4 + id % 23;

    assert_true(id < TREE_IDS);
    if (store->keys == TREE_KEYS_EXTERNAL && id % 3 == 0)
        size = page_size / HTT_KEY_INLINE_DIVISOR + 1 + id * 7 % 5000;
    if (store->keys == TREE_KEYS_SLOT) {
        size = 8;
        le32_put(store->key, store->mix_of(id));
        le32_put(store->key + 4, id);
        return htt_blob(store->key, size);
    }
    memset(store->key, (int)(id % 251), size);
    le32_put(store->key, id);
    return htt_blob(store->key, size);
}

htt_datum tree_value(tree_store *store, uint32_t id, uint16_t version, uint32_t size) {
    assert_true(size <= TREE_VALUE_MAX);
    for (uint32_t i = 0; i < size; i++)
        store->value[i] = (uint8_t)(id * 31 + version * 7u + i + (i >> 8));
    return htt_blob(store->value, size);
}

htt_rc tree_put_flags(tree_store *store, uint32_t id, uint32_t size, unsigned flags) {
    tree_row *row = &store->rows[id];
    uint16_t version = (uint16_t)(row->version + 1);
    htt_datum key = tree_key(store, id);
    htt_datum value = tree_value(store, id, version, size);

    htt_pins_drop(store->pages, &store->pins);
    htt_error_clear(&store->error);
    htt_rc rc = store->stage_limit == 0 ? htt_tree_put(&store->tree, key, value, flags)
                                        : htt_tree_write(&store->tree, key, value, flags);
    if (rc == HTT_OK)
        *row = (tree_row){size, version, true};
    return rc;
}

htt_rc tree_put(tree_store *store, uint32_t id, uint32_t size) {
    return tree_put_flags(store, id, size, 0);
}

htt_rc tree_del(tree_store *store, uint32_t id) {
    htt_datum key = tree_key(store, id);

    htt_pins_drop(store->pages, &store->pins);
    htt_error_clear(&store->error);
    htt_rc rc = store->stage_limit == 0 ? htt_tree_del(&store->tree, key)
                                        : htt_tree_erase(&store->tree, key);
    if (rc == HTT_OK) {
        assert_true(store->rows[id].live);
        store->rows[id].live = false;
    }
    return rc;
}

void tree_must_put(tree_store *store, uint32_t id, uint32_t size) {
    assert_tree(store, tree_put(store, id, size));
}

void tree_must_del(tree_store *store, uint32_t id) {
    assert_tree(store, tree_del(store, id));
}

/* -------------------------------------------------------------- transactions */

void tree_begin(tree_store *store, const htt_root *base) {
    htt_writer_options options = {.env = store->env,
                                  .file = store->file,
                                  .pages = store->pages,
                                  .base = *base,
                                  .reuse_limit = base->self.epoch,
                                  .budget = store->budget};
    htt_tree_root root = {base->page, base->keys, base->bytes};

    htt_pages_forget_all(store->pages); /* so that reads can fail */
    assert_tree(store, htt_writer_begin(&options, &store->writer, &store->error));
    store->view = (htt_view){.pages = store->pages,
                             .writer = store->writer,
                             .pins = &store->pins,
                             .error = &store->error,
                             .snapshot = {base->self.epoch + 1, base->self.epoch, base->page_count},
                             .seed = base->seed,
                             .hash = store->hash,
                             .page_size = base->page_size};
    htt_tree_open(&store->tree, &store->view, store->env, &root);
    store->tree.tuning = store->tuning;
    store->tree.stage_limit = store->stage_limit;
    store->tree.stage_always = true;
}

void tree_end(tree_store *store) {
    htt_pins_drop(store->pages, &store->pins);
    htt_tree_close(&store->tree);
    htt_writer_end(store->writer);
    store->writer = NULL;
}

void tree_open(tree_store *store, uint32_t page_size, bool mapped) {
    memset(store, 0, sizeof *store);
    store->fs = memory_fs_new(TREE_SEED);
    store->fault = fault_env_new(memory_fs_env(store->fs));
    store->env = fault_env_table(store->fault);
    store->mapped = mapped;
    store->budget = 64 << 20;
    store->tuning = htt_tree_tuning_default;
    store->hash = htt_hash_key;
    store->root =
        (htt_root){.seed = TREE_SEED, .self = {1, 7}, .page_count = 2, .page_size = page_size};
    store->rows = calloc(TREE_IDS, sizeof *store->rows);
    store->base_rows = calloc(TREE_IDS, sizeof *store->base_rows);
    store->key = malloc(TREE_BUFFER);
    store->value = malloc(TREE_VALUE_MAX);
    assert_non_null(store->rows);
    assert_non_null(store->base_rows);
    assert_non_null(store->key);
    assert_non_null(store->value);
    assert_int_equal(
        store->env->open(store->env->context, "tree.htt", HTT_FILE_CREATE, &store->file), 0);
    assert_int_equal(store->env->truncate(store->env->context, store->file, 2 * page_size), 0);
    assert_tree(store, htt_pages_open(store->env, store->file, page_size, mapped, 8 * page_size,
                                      &store->pages, &store->error));
    tree_begin(store, &store->root);
}

void tree_close(tree_store *store) {
    if (store->writer != NULL)
        tree_end(store);
    htt_pins_free(store->pages, &store->pins);
    htt_pages_close(store->pages);
    store->env->close(store->env->context, store->file);
    assert_int_equal(fault_env_held(store->fault), 0);
    fault_env_free(store->fault);
    assert_int_equal(memory_fs_held(store->fs), 0);
    memory_fs_free(store->fs);
    free(store->rows);
    free(store->base_rows);
    free(store->key);
    free(store->value);
}

void tree_settle(tree_store *store) {
    htt_pins_drop(store->pages, &store->pins);
    assert_tree(store, htt_tree_settle(&store->tree));
}

htt_root tree_flush(tree_store *store) {
    htt_root root = store->root;

    tree_settle(store);
    root.self.epoch = htt_writer_epoch(store->writer);
    root.page = store->tree.root.page;
    root.keys = store->tree.root.keys;
    root.bytes = store->tree.root.bytes;
    htt_pins_drop(store->pages, &store->pins);
    assert_tree(store, htt_writer_flush(store->writer, &root, false, &store->error));
    return root;
}

void tree_commit(tree_store *store) {
    htt_root root = tree_flush(store);

    tree_end(store);
    store->root = root;
    memcpy(store->base_rows, store->rows, TREE_IDS * sizeof *store->rows);
    tree_begin(store, &store->root);
}

void tree_abort(tree_store *store) {
    tree_end(store);
    memcpy(store->rows, store->base_rows, TREE_IDS * sizeof *store->rows);
    tree_begin(store, &store->root);
}

htt_view tree_reader(tree_store *store, const htt_root *root) {
    htt_view view = store->view;

    view.writer = NULL;
    view.snapshot = (htt_snapshot){root->self.epoch, store->root.self.epoch, root->page_count};
    return view;
}

/* ------------------------------------------------------------------- reading */

static void tree_compare_row(tree_store *store, uint32_t id) {
    const tree_row *row = &store->rows[id];
    htt_tree_buffer buffer = {store->env, NULL, 0};
    htt_tree_row found;
    htt_datum value, key;

    htt_pins_drop(store->pages, &store->pins);
    htt_rc rc = htt_tree_find(&store->view, &store->tree.root, tree_key(store, id), &found);
    if (!row->live) {
        if (rc != HTT_NOTFOUND)
            print_error("row %u: %s\n", id, htt_strerror(rc));
        assert_int_equal(rc, HTT_NOTFOUND);
        return;
    }
    if (rc != HTT_OK)
        print_error("row %u: %s\n", id, htt_strerror(rc));
    assert_tree(store, rc);
    assert_tree(store, htt_tree_value(&store->view, &found.record, &buffer, &value));
    assert_int_equal(value.size, row->size);
    assert_memory_equal(value.data, tree_value(store, id, row->version, row->size).data,
                        value.size);
    assert_tree(store, htt_tree_key(&store->view, &found.record, &buffer, &key));
    assert_int_equal(key.size, tree_key(store, id).size);
    assert_memory_equal(key.data, store->key, key.size);
    store->env->release(store->env->context, buffer.bytes);
}

/* The walk gives each live row once. */
static void tree_compare_walk(tree_store *store) {
    htt_tree_buffer buffer = {store->env, NULL, 0};
    uint8_t *seen = calloc(TREE_IDS, 1);
    htt_tree_cursor *cursor;
    htt_record record;
    htt_datum key;
    htt_rc rc;
    uint32_t count = 0;

    assert_non_null(seen);
    assert_tree(store, htt_tree_cursor_open(&store->view, store->env, &store->tree.root, &cursor));
    while ((rc = htt_tree_cursor_next(cursor, &record)) == HTT_OK) {
        assert_tree(store, htt_tree_key(&store->view, &record, &buffer, &key));
        uint32_t id = le32_get((const uint8_t *)key.data + (store->keys == TREE_KEYS_SLOT ? 4 : 0));
        assert_true(id < TREE_IDS);
        assert_true(store->rows[id].live);
        assert_int_equal(seen[id], 0);
        seen[id] = 1;
        count++;
    }
    if (rc != HTT_NOTFOUND)
        print_error("%s\n", store->error.text);
    assert_int_equal(rc, HTT_NOTFOUND);
    assert_int_equal(count, store->tree.root.keys);
    htt_tree_cursor_close(cursor);
    store->env->release(store->env->context, buffer.bytes);
    free(seen);
}

void tree_compare(tree_store *store) {
    uint64_t keys = 0, bytes = 0;

    tree_settle(store);
    for (uint32_t id = 0; id < TREE_IDS; id++) {
        const tree_row *row = &store->rows[id];
        if (row->version == 0 && id % 977 != 0) /* never written: a few are asked for */
            continue;
        tree_compare_row(store, id);
        if (row->live) {
            keys++;
            bytes += tree_key(store, id).size + row->size;
        }
    }
    assert_int_equal(store->tree.root.keys, keys);
    assert_int_equal(store->tree.root.bytes, bytes);
    if (keys == 0)
        assert_int_equal(store->tree.root.page, 0); /* TREE-4 */
    tree_compare_walk(store);
    htt_pins_drop(store->pages, &store->pins);
}

static int tree_report(void *arg, uint32_t page, const char *problem) {
    tree_problems *problems = arg;
    size_t used = strlen(problems->all);

    (void)snprintf(problems->all + used, sizeof problems->all - used, "%u: %s\n", page, problem);
    return 0;
}

tree_problems tree_find_problems(tree_store *store, const htt_root *root) {
    tree_problems problems = {0};
    htt_view view = tree_reader(store, root);
    uint64_t count = 0;

    assert_tree(store,
                htt_tree_check(&view, store->env, root, true, tree_report, &problems, &count));
    problems.count = count;
    htt_pins_drop(store->pages, &store->pins);
    return problems;
}

void tree_check(tree_store *store) {
    htt_root root = tree_flush(store);
    tree_problems problems = tree_find_problems(store, &root);

    if (problems.count > 0)
        print_error("%s", problems.all);
    assert_int_equal(problems.count, 0);
    tree_compare(store);
}

typedef struct tree_looking {
    tree_shape shape;   /* so far */
    uint32_t page_size; /* bytes */
    uint32_t last;      /* index page seen last */
} tree_looking;

static htt_rc tree_look_node(void *arg, const htt_tree_place *place) {
    tree_looking *looking = arg;
    tree_shape *shape = &looking->shape;

    shape->nodes++;
    shape->slots += htt_node_slots(place->bytes);
    if (place->sub == 0)
        shape->whole++;
    else if (place->page != looking->last)
        shape->index_pages++; /* more than once when its nodes do not stand together */
    looking->last = place->sub == 0 ? 0 : place->page;
    if (place->depth + 1 > shape->depth)
        shape->depth = place->depth + 1;
    for (uint32_t i = 0; i < htt_node_count(place->bytes); i++)
        shape->empty += htt_node_child(place->bytes, i).page == 0;
    return HTT_OK;
}

static htt_rc tree_look_data(void *arg, const htt_tree_place *place) {
    tree_looking *looking = arg;

    looking->shape.data++;
    looking->shape.used += htt_data_used(place->bytes, looking->page_size);
    return HTT_OK;
}

tree_shape tree_look(tree_store *store) {
    tree_settle(store);
    tree_looking looking = {.page_size = store->root.page_size};
    htt_tree_visitor visitor = {&looking, tree_look_node, tree_look_data, NULL};

    assert_tree(store, htt_tree_walk(&store->view, &store->tree.root, &visitor));
    htt_pins_drop(store->pages, &store->pins);
    return looking.shape;
}

htt_path tree_path(tree_store *store, uint32_t id) {
    htt_path path;

    path.hash = htt_path_hash(&store->view, tree_key(store, id));
    assert_tree(store, htt_path_find(&store->view, store->tree.root.page, &path));
    return path;
}

tree_mark tree_mark_path(tree_store *store, uint32_t id) {
    htt_path path = tree_path(store, id);
    tree_mark mark = {.depth = path.depth};

    if (path.depth > 0) {
        const htt_step *step = &path.steps[path.depth - 1];
        mark.slots = htt_node_slots(step->node);
        mark.children = htt_node_count(step->node);
        mark.whole = step->sub == 0;
        mark.siblings = step->sub == 0 ? 0 : htt_page_count(step->bytes);
    }
    htt_pins_drop(store->pages, &store->pins);
    return mark;
}

static uint32_t tree_compare_field(uint32_t before, uint32_t after) {
    return before == after ? 0 : before < after ? 1 : 2;
}

uint32_t tree_step_kind(const tree_mark *before, const tree_mark *after) {
    uint32_t kind = tree_compare_field(before->depth, after->depth);

    kind = kind * 3 + tree_compare_field(before->slots, after->slots);
    kind = kind * 3 + tree_compare_field(before->children, after->children);
    kind = kind * 3 + tree_compare_field(before->whole, after->whole);
    return kind * 3 + tree_compare_field(before->siblings, after->siblings);
}

/* -------------------------------------------------------------------- damage */

uint8_t *tree_take_page(tree_store *store, uint32_t number) {
    uint32_t page_size = store->root.page_size;
    uint8_t *page = page_alloc(page_size);
    size_t got;

    assert_int_equal(store->env->read(store->env->context, store->file, page, page_size,
                                      (uint64_t)number * page_size, &got),
                     0);
    return page;
}

void tree_give_page(tree_store *store, uint32_t number, uint8_t *page) {
    uint32_t page_size = store->root.page_size;

    htt_page_seal(page, page_size, number, htt_page_stamp(page));
    assert_int_equal(store->env->write(store->env->context, store->file, page, page_size,
                                       (uint64_t)number * page_size),
                     0);
    htt_pages_forget(store->pages, number, 1);
    free(page);
}
