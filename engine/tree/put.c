/* SPDX-License-Identifier: MIT */
/*
 * Writing a row: structural steps until its page has room, then one change that cannot fail.
 *
 *     find page -> is the key there? -> fits? ---------------------> edit path, write, count
 *         ^                              | no
 *         |                              v
 *         +---- share | split | grow | push: one structural step
 */
#include <assert.h>
#include <string.h>

#include "base/error.h"
#include "tree/internal.h"

const htt_tree_tuning htt_tree_tuning_default = {4, 16, 94};

enum {
    PUT_STEPS_MAX = 256,      /* structural steps before one row; a path's depth of them, at most */
    PUT_SLOTS_PER_CHILD = 16, /* below this a node's slots are doubled where there is room */
    PUT_SLOTS_CROWDED = 64    /* the same, where a page cannot be cut at a slot's border */
};

/* A put at work. */
typedef struct put_state {
    htt_datum key;                            /* the row's */
    htt_record record;                        /* what will be written */
    htt_overflow runs;                        /* written already, if record.overflow */
    uint8_t hash[HTT_DATA_HASH_SIZE];         /* stands for an external key */
    uint8_t reference[HTT_OVERFLOW_SIZE_MAX]; /* record.value when it overflows */
    uint64_t payload;                         /* bytes of key and value */
    unsigned flags;                           /* HTT_PUT_... */
} put_state;

void htt_tree_open(htt_tree *tree, htt_view *view, const htt_env *env, const htt_tree_root *root) {
    tree->view = view;
    tree->root = *root;
    tree->tuning = htt_tree_tuning_default;
    tree->scratch = NULL;
    tree->stage = NULL;
    tree->stage_limit = 0;
    tree->stage_always = false;
    tree->puts = 0;
    tree->env = env;
}

void htt_tree_close(htt_tree *tree) {
    htt_tree_close_stage(tree);
    if (tree->scratch != NULL) {
        tree->env->release(tree->env->context, tree->scratch->items);
        tree->env->release(tree->env->context, tree->scratch->sorted);
        tree->env->release(tree->env->context, tree->scratch->slots);
        tree->env->release(tree->env->context, tree->scratch);
        tree->scratch = NULL;
    }
}

htt_rc htt_tree_reserve(htt_tree *tree) {
    assert(tree->tuning.group <= HTT_GROUP_MAX && tree->tuning.window <= HTT_WINDOW_MAX);
    /* New pages of a step, index pages it touches, the path to it. */
    uint32_t frames = tree->tuning.group + HTT_WINDOW_MAX + 8 + HTT_DEPTH_MAX + 1;
    return htt_writer_reserve(tree->view->writer, frames, tree->view->error);
}

htt_rc htt_tree_runs_of(htt_tree *tree, const htt_record *record, htt_overflow *overflow,
                        uint64_t stamps[HTT_DATA_RUNS_MAX]) {
    htt_view *view = tree->view;
    const uint8_t *head;
    assert(view->writer != NULL);
    overflow->count = 0;
    overflow->value_size = record->value_size;
    if (!record->overflow)
        return HTT_OK;
    htt_rc rc = htt_tree_overflow(view, record, overflow);
    for (uint32_t i = 0; rc == HTT_OK && i < overflow->count; i++) {
        view->snapshot.page_count = htt_writer_page_count(view->writer);
        rc = htt_pages_get_run_head(view->pages, view->pins, &view->snapshot,
                                    overflow->runs[i].first, overflow->runs[i].pages, &head,
                                    view->error);
        if (rc == HTT_OK)
            stamps[i] = htt_page_stamp(head);
    }
    return rc;
}

void htt_tree_free_runs(htt_tree *tree, const htt_overflow *overflow, const uint64_t *stamps) {
    assert(overflow->count <= HTT_DATA_RUNS_MAX);
    for (uint32_t i = 0; i < overflow->count; i++)
        htt_writer_free(tree->view->writer, overflow->runs[i].first, overflow->runs[i].pages,
                        stamps[i]);
}

/* Before runs are written: do the flags allow the row at all? */
static htt_rc put_precheck(htt_tree *tree, const put_state *put) {
    htt_tree_row row;
    assert(put->flags <= HTT_PUT_REPLACE); /* one flag at most */
    if (put->flags == 0)
        return HTT_OK;
    htt_rc rc = htt_tree_find(tree->view, &tree->root, put->key, &row);
    if (rc == HTT_OK)
        return put->flags & HTT_PUT_INSERT ? HTT_EXISTS : HTT_OK;
    if (rc == HTT_NOTFOUND)
        return put->flags & HTT_PUT_REPLACE ? HTT_NOTFOUND : HTT_OK;
    return rc;
}

/* Forms the record; what is too large for a page goes into overflow runs now. */
static htt_rc put_form(htt_tree *tree, put_state *put, htt_hash hash, htt_datum value) {
    uint32_t page_size = tree->view->page_size;
    htt_record *record = &put->record;
    /* Of nothing, no address: it may point into the page that changes. */
    *record = (htt_record){.key = put->key.size > 0 ? put->key.data : NULL,
                           .value = value.size > 0 ? value.data : NULL,
                           .key_size = (uint32_t)put->key.size,
                           .value_size = (uint32_t)value.size,
                           .key_type = put->key.type,
                           .value_type = value.type};
    put->payload = put->key.size + (uint64_t)value.size;
    if (value.size <= page_size && put->key.size <= page_size &&
        htt_data_record_size(record) <= htt_data_record_max(page_size))
        return HTT_OK;
    htt_rc rc = put_precheck(tree, put);
    if (rc != HTT_OK)
        return rc;
    record->overflow = true;
    record->key_external = put->key.size > page_size / HTT_KEY_INLINE_DIVISOR;
    rc = htt_writer_put_run(tree->view->writer, put->key.data,
                            record->key_external ? put->key.size : 0, value.data, value.size,
                            &put->runs, tree->view->error);
    if (rc != HTT_OK)
        return rc;
    put->runs.value_size = value.size;
    if (record->key_external) {
        le64_put(put->hash, hash.low);
        le64_put(put->hash + 8, hash.high);
        record->key = put->hash;
    }
    record->value = put->reference;
    record->value_size = htt_overflow_encode(&put->runs, put->reference);
    assert(htt_data_record_size(record) <= htt_data_record_max(page_size));
    return HTT_OK;
}

static void put_unform(htt_tree *tree, const put_state *put) {
    uint64_t stamps[HTT_DATA_RUNS_MAX];
    if (!put->record.overflow)
        return;
    for (uint32_t i = 0; i < put->runs.count; i++)
        stamps[i] = htt_writer_epoch(tree->view->writer);
    htt_tree_free_runs(tree, &put->runs, stamps);
}

/* The first page of a tree, or of a range without keys. */
static htt_rc put_first(htt_tree *tree, htt_path *path, const put_state *put) {
    uint8_t *page;
    uint32_t number;
    assert(path->leaf.page == 0);
    htt_rc rc = htt_path_edit(tree, path, path->depth);
    if (rc == HTT_OK)
        rc = htt_writer_new(tree->view->writer, &number, &page, tree->view->error);
    if (rc != HTT_OK)
        return rc;
    htt_page_init(page, tree->view->page_size, HTT_PAGE_DATA);
    htt_data_insert(page, tree->view->page_size, htt_hash_fingerprint(path->hash), &put->record);
    htt_path_refer(tree, path, path->depth, (htt_ref){number, 0});
    tree->root.keys += 1;
    tree->root.bytes += put->payload;
    return HTT_OK;
}

static htt_rc put_new(htt_tree *tree, htt_path *path, const put_state *put) {
    assert(path->leaf.page != 0);
    htt_rc rc = htt_path_edit(tree, path, path->depth + 1);
    if (rc != HTT_OK)
        return rc;
    htt_data_insert(htt_path_leaf(path), tree->view->page_size, htt_hash_fingerprint(path->hash),
                    &put->record);
    tree->root.keys += 1;
    tree->root.bytes += put->payload;
    return HTT_OK;
}

static htt_rc put_over(htt_tree *tree, htt_path *path, const put_state *put,
                       const htt_tree_row *row) {
    htt_overflow old;
    uint64_t stamps[HTT_DATA_RUNS_MAX];
    uint64_t old_payload = row->record.key_size;
    assert(row->page == path->leaf.page);
    htt_rc rc = htt_tree_runs_of(tree, &row->record, &old, stamps);
    old_payload += old.value_size;
    if (rc == HTT_OK)
        rc = htt_path_edit(tree, path, path->depth + 1);
    if (rc != HTT_OK)
        return rc;
    htt_data_replace(htt_path_leaf(path), tree->view->page_size, row->index, &put->record);
    htt_tree_free_runs(tree, &old, stamps);
    tree->root.bytes += put->payload - old_payload;
    return HTT_OK;
}

/* One structural step towards room for `need` in the path's leaf. */
static htt_rc put_make_room(htt_tree *tree, htt_path *path, const htt_need *need) {
    bool done;
    assert(need->size > 0 && need->size <= htt_tree_page_capacity(tree->view));
    if (path->depth == 0)
        return htt_step_push(tree, path, need, 1);
    const uint8_t *node = path->steps[path->depth - 1].node;
    if ((htt_node_count(node) + 1) * PUT_SLOTS_PER_CHILD > htt_node_slots(node)) {
        htt_rc rc = htt_step_double(tree, path, &done);
        if (rc != HTT_OK || done)
            return rc;
    }
    htt_rc rc = htt_step_share(tree, path, need, &done);
    if (rc != HTT_OK || done)
        return rc;
    /* Large records that meet in a slot cannot be cut apart. Finer slots cost less than a node. */
    if (htt_node_count(node) * PUT_SLOTS_CROWDED > htt_node_slots(node)) {
        rc = htt_step_double(tree, path, &done);
        if (rc != HTT_OK || done)
            return rc;
    }
    return htt_step_push(tree, path, need, tree->tuning.group);
}

/* One round: writes the row (*done_out), or makes a structural step towards it. */
static htt_rc put_round(htt_tree *tree, put_state *put, htt_path *path, bool *done_out) {
    htt_view *view = tree->view;
    htt_tree_row row;
    htt_need need = {path->hash, htt_data_record_size(&put->record) + HTT_DATA_SLOT_SIZE};
    htt_rc rc = htt_path_find(view, tree->root.page, path);
    *done_out = true;
    if (rc != HTT_OK)
        return rc;
    if (path->leaf_bytes == NULL)
        return put->flags & HTT_PUT_REPLACE ? HTT_NOTFOUND : put_first(tree, path, put);
    uint32_t room = htt_data_free(path->leaf_bytes, view->page_size);
    rc = htt_tree_find_in_page(view, path->leaf_bytes, path->leaf.page, put->key, path->hash, &row);
    if (rc == HTT_NOTFOUND) {
        if (put->flags & HTT_PUT_REPLACE)
            return rc;
        if (need.size <= room)
            return put_new(tree, path, put);
    } else if (rc != HTT_OK) {
        return rc;
    } else {
        if (put->flags & HTT_PUT_INSERT)
            return HTT_EXISTS;
        uint32_t old_size = htt_data_record_size(&row.record) + HTT_DATA_SLOT_SIZE;
        if (need.size <= old_size + room)
            return put_over(tree, path, put, &row);
        need.size -= old_size;
    }
    *done_out = false;
    return put_make_room(tree, path, &need);
}

htt_rc htt_tree_put(htt_tree *tree, htt_datum key, htt_datum value, unsigned flags) {
    put_state put = {.key = key, .flags = flags};
    htt_path path;
    bool done = false;
    assert(tree->view->writer != NULL);
    path.hash = htt_path_hash(tree->view, key);
    htt_rc rc = put_form(tree, &put, path.hash, value);
    if (rc != HTT_OK)
        return rc;
    for (uint32_t steps = 0; rc == HTT_OK && !done; steps++) {
        rc = htt_tree_reserve(tree);
        if (rc == HTT_OK && steps == PUT_STEPS_MAX)
            rc = htt_error_set(tree->view->error, HTT_COLLISION,
                               "no room for the row after %d structural steps", PUT_STEPS_MAX);
        if (rc == HTT_OK)
            rc = put_round(tree, &put, &path, &done);
    }
    if (rc != HTT_OK)
        put_unform(tree, &put);
    return rc;
}
