/* SPDX-License-Identifier: MIT */
/*
 * A model of the writer: lists of what must be alive, for the transaction, for its cursors and
 * savepoints, and for readers of committed roots. After each flush every page number must be
 * alive, named by the free list, or a page of it: exactly one of them.
 */
#include "pager_support.h"

/* --------------------------------------------------------------------- views */

static void view_copy(pager_view *to, const pager_view *from) {
    if (to->capacity < from->count) {
        to->capacity = 2 * from->count;
        to->items = realloc(to->items, to->capacity * sizeof *to->items);
        assert_non_null(to->items);
    }
    to->count = from->count;
    if (from->count > 0)
        memcpy(to->items, from->items, from->count * sizeof *to->items);
}

static void view_add(pager_view *view, const pager_item *item) {
    if (view->count == view->capacity) {
        view->capacity = 2 * view->capacity + 64;
        view->items = realloc(view->items, view->capacity * sizeof *view->items);
        assert_non_null(view->items);
    }
    view->items[view->count++] = *item;
}

static void view_free(pager_view *view) {
    free(view->items);
    memset(view, 0, sizeof *view);
}

/* Checks one item as a snapshot sees it, through the writer if there is one. */
static void model_check_item(pager_model *model, htt_writer *writer, const htt_snapshot *snapshot,
                             const pager_item *item) {
    htt_pages *pages = model->store->pages;
    htt_pins pins = {NULL, 0, 0};
    const uint8_t *bytes = NULL;
    htt_error error;

    if (!item->is_run) {
        if (writer != NULL)
            bytes = htt_writer_find(writer, item->number);
        if (bytes == NULL)
            bytes = htt_pages_peek(pages, snapshot, item->number);
        if (bytes == NULL)
            assert_ok(htt_pages_get(pages, &pins, snapshot, item->number, &bytes, &error), error);
        assert_true(pager_content(bytes) == item->content);
    } else {
        uint8_t *payload = page_alloc(item->size);
        size_t at = 0;
        pager_fill_payload(payload, item->size, item->content);
        for (uint32_t i = 0; i < item->overflow.count; i++) {
            htt_run_ref run = item->overflow.runs[i];
            assert_ok(htt_pages_get_run(pages, &pins, snapshot, run.first, run.pages, &bytes,
                                        &error),
                      error);
            assert_true(htt_run_length(bytes) <= item->size - at);
            assert_memory_equal(bytes + HTT_RUN_HEADER_SIZE, payload + at, htt_run_length(bytes));
            at += htt_run_length(bytes);
        }
        assert_int_equal(at, item->size);
        free(payload);
    }
    htt_pins_free(pages, &pins);
}

static void model_check_view(pager_model *model, htt_writer *writer, uint64_t epoch,
                             const pager_view *view) {
    uint64_t committed = model->store->root.self.epoch;
    htt_snapshot snapshot = {epoch, epoch < committed ? epoch : committed,
                             writer != NULL ? htt_writer_page_count(writer)
                                            : model->store->root.page_count};

    for (size_t i = 0; i < view->count; i++)
        model_check_item(model, writer, &snapshot, &view->items[i]);
}

void pager_model_check(pager_model *model) {
    fault_env_disarm(model->store->fault);
    if (model->writer != NULL) {
        uint64_t epoch = htt_writer_epoch(model->writer);
        model_check_view(model, model->writer, epoch, &model->now);
        for (uint32_t i = 0; i < PAGER_CURSORS; i++) {
            if (model->freezes[i] != 0)
                model_check_view(model, model->writer, epoch, &model->cursors[i]);
        }
        for (uint32_t i = 0; i < model->savepoint_count; i++)
            model_check_view(model, model->writer, epoch, &model->savepoints[i]);
    }
    model_check_view(model, NULL, model->store->root.self.epoch, &model->base);
    for (uint32_t i = 0; i < PAGER_KEPT; i++) {
        if (model->kept_pin[i] != 0)
            model_check_view(model, NULL, model->kept_epoch[i], &model->kept[i]);
    }
}

/* ------------------------------------------------------------------- changes */

static uint32_t model_below(pager_model *model, uint32_t below) {
    return page_random_below(&model->random, below);
}

/* True: it went well. A failure must have been injected. */
static bool model_went(pager_model *model, htt_rc rc, const htt_error *error) {
    if (rc == HTT_OK)
        return true;
    if (fault_env_failures(model->store->fault) == 0)
        print_error("%s: %s\n", htt_strerror(rc), error->text);
    assert_true(fault_env_failures(model->store->fault) > 0);
    assert_true(rc == HTT_NOMEM || rc == HTT_IO || rc == HTT_FULL);
    assert_int_equal(error->rc, rc);
    model->failures++;
    return false;
}

static void model_new(pager_model *model) {
    pager_item item = {.content = page_random(&model->random)};
    uint8_t *page;
    htt_error error;

    if (model->now.count >= model->items_max)
        return;
    if (!model_went(model, htt_writer_new(model->writer, &item.number, &page, &error), &error))
        return;
    pager_fill(page, item.content);
    view_add(&model->now, &item);
}

static void model_edit(pager_model *model, pager_item *item) {
    uint8_t *page;
    htt_error error;
    uint32_t number = item->number;

    if (!model_went(model, htt_writer_edit(model->writer, &number, &page, &error), &error)) {
        assert_int_equal(number, item->number);
        return;
    }
    assert_true(pager_content(page) == item->content);
    item->number = number;
    item->content = page_random(&model->random);
    pager_fill(page, item->content);
}

static bool model_stamp(pager_model *model, uint32_t number, uint32_t pages, bool is_run,
                        uint64_t *stamp_out) {
    htt_snapshot snapshot = {htt_writer_epoch(model->writer), model->store->root.self.epoch,
                             htt_writer_page_count(model->writer)};
    htt_pins pins = {NULL, 0, 0};
    const uint8_t *bytes = NULL;
    htt_error error;
    htt_rc rc;

    if (!is_run && htt_writer_find(model->writer, number) != NULL) {
        *stamp_out = 0; /* any number does */
        return true;
    }
    if (is_run)
        rc = htt_pages_get_run_head(model->store->pages, &pins, &snapshot, number, pages, &bytes,
                                    &error);
    else
        rc = htt_pages_get(model->store->pages, &pins, &snapshot, number, &bytes, &error);
    if (rc == HTT_OK)
        *stamp_out = htt_page_stamp(bytes);
    htt_pins_free(model->store->pages, &pins);
    return model_went(model, rc, &error);
}

static void model_remove(pager_model *model, size_t at) {
    pager_item item = model->now.items[at];
    uint64_t stamps[HTT_DATA_RUNS_MAX] = {0};

    if (item.is_run) {
        for (uint32_t i = 0; i < item.overflow.count; i++) {
            htt_run_ref run = item.overflow.runs[i];
            if (!model_stamp(model, run.first, run.pages, true, &stamps[i]))
                return;
        }
        for (uint32_t i = 0; i < item.overflow.count; i++)
            htt_writer_free(model->writer, item.overflow.runs[i].first,
                            item.overflow.runs[i].pages, stamps[i]);
    } else {
        if (!model_stamp(model, item.number, 1, false, &stamps[0]))
            return;
        htt_writer_free(model->writer, item.number, 1, stamps[0]);
    }
    model->now.items[at] = model->now.items[--model->now.count];
}

static void model_put_run(pager_model *model) {
    pager_item item = {.is_run = true, .content = page_random(&model->random)};
    uint8_t *payload;
    size_t cut;
    htt_error error;
    htt_rc rc;

    if (model->now.count >= model->items_max)
        return;
    item.size = 1 + model_below(model, (uint32_t)model->run_max);
    payload = page_alloc(item.size);
    pager_fill_payload(payload, item.size, item.content);
    cut = model_below(model, 2) == 0 ? 0 : model_below(model, (uint32_t)item.size + 1);
    rc = htt_writer_put_run(model->writer, payload, cut, payload + cut, item.size - cut,
                            &item.overflow, &error);
    free(payload);
    if (!model_went(model, rc, &error))
        return;
    assert_int_equal(item.overflow.value_size, item.size - cut);
    view_add(&model->now, &item);
}

static void model_change(pager_model *model) {
    uint32_t calls = 1 + model_below(model, 6);
    htt_error error;

    if (!model_went(model, htt_writer_reserve(model->writer, calls, &error), &error))
        return;
    for (uint32_t i = 0; i < calls; i++) {
        uint32_t what = model_below(model, 100);
        size_t at = model->now.count == 0 ? 0 : model_below(model, (uint32_t)model->now.count);
        if (model->now.count == 0 || what < 30)
            model_new(model);
        else if (what < 40)
            model_put_run(model);
        else if (what < 75 && !model->now.items[at].is_run)
            model_edit(model, &model->now.items[at]);
        else
            model_remove(model, at);
    }
}

/* ------------------------------------------------------- freezes, savepoints */

static void model_freeze(pager_model *model) {
    uint32_t at = model_below(model, PAGER_CURSORS);
    htt_error error;

    if (model->freezes[at] != 0) {
        htt_writer_thaw(model->writer, model->freezes[at]);
        model->freezes[at] = 0;
    } else if (model_went(model, htt_writer_freeze(model->writer, &model->freezes[at], &error),
                          &error)) {
        view_copy(&model->cursors[at], &model->now);
    }
}

static void model_savepoint(pager_model *model) {
    uint32_t count = model->savepoint_count;
    uint32_t depth = count == 0 ? 0 : model_below(model, count);
    htt_error error;

    if (count < PAGER_SAVEPOINTS && model_below(model, 3) == 0) {
        if (model_went(model, htt_writer_savepoint(model->writer, &depth, &error), &error)) {
            assert_int_equal(depth, count);
            view_copy(&model->savepoints[depth], &model->now);
            model->savepoint_count++;
        }
    } else if (count > 0 && model_below(model, 2) == 0) {
        htt_writer_rollback_to(model->writer, depth);
        view_copy(&model->now, &model->savepoints[depth]);
        model->savepoint_count = depth + 1;
    } else if (count > 0) {
        htt_writer_release(model->writer, depth);
        model->savepoint_count = depth;
    }
}

/* --------------------------------------------------------------- transactions */

static uint64_t model_reuse_limit(pager_model *model) {
    uint64_t limit = model->store->root.self.epoch;

    limit -= limit > 1 ? 1 : 0; /* somebody may still read the root itself */
    for (uint32_t i = 0; i < PAGER_KEPT; i++) {
        if (model->kept_pin[i] != 0 && model->kept_pin[i] < limit)
            limit = model->kept_pin[i];
    }
    return limit;
}

static bool model_begin(pager_model *model) {
    htt_writer_options options = {.env = model->store->env,
                                  .file = model->store->file,
                                  .pages = model->store->pages,
                                  .base = model->store->root,
                                  .reuse_limit = model_reuse_limit(model),
                                  .budget = model->budget,
                                  .low_first = model->low_first};
    htt_error error;

    model->writer = NULL;
    if (!model_went(model, htt_writer_begin(&options, &model->writer, &error), &error))
        return false;
    view_copy(&model->now, &model->base);
    model->savepoint_count = 0;
    memset(model->freezes, 0, sizeof model->freezes);
    return true;
}

static void model_end(pager_model *model) {
    htt_writer_stat stat = htt_writer_stats(model->writer);

    model->spilled += stat.spilled;
    model->reused += stat.reused;
    htt_writer_end(model->writer);
    model->writer = NULL;
    model->savepoint_count = 0;
    memset(model->freezes, 0, sizeof model->freezes);
}

static void model_check_partition(pager_model *model, const htt_root *root) {
    uint8_t *marks = calloc(1, root->page_count);

    assert_non_null(marks);
    for (size_t i = 0; i < model->now.count; i++) {
        const pager_item *item = &model->now.items[i];
        htt_overflow single = {.count = 1, .runs = {{item->number, 1}}};
        const htt_overflow *runs = item->is_run ? &item->overflow : &single;
        for (uint32_t j = 0; j < runs->count; j++) {
            for (uint32_t k = 0; k < runs->runs[j].pages; k++) {
                uint32_t number = runs->runs[j].first + k;
                assert_true(number >= 2 && number < root->page_count);
                assert_int_equal(marks[number], PAGER_NOWHERE);
                marks[number] = PAGER_LIVE;
            }
        }
    }
    pager_mark_free_list(model->store, root, marks);
    for (uint32_t i = 2; i < root->page_count; i++)
        assert_int_not_equal(marks[i], PAGER_NOWHERE);
    free(marks);
}

bool pager_model_flush(pager_model *model, htt_root *root_out) {
    htt_root root = model->store->root;
    bool cursors_open = false;
    htt_error error;

    for (uint32_t i = 0; i < PAGER_CURSORS; i++)
        cursors_open = cursors_open || model->freezes[i] != 0;
    root.self.epoch = htt_writer_epoch(model->writer);
    root.page = 0;
    for (size_t i = 0; i < model->now.count && root.page == 0; i++)
        root.page = model->now.items[i].is_run ? 0 : model->now.items[i].number;
    if (!model_went(model, htt_writer_flush(model->writer, &root, cursors_open, &error), &error))
        return false;
    fault_env_disarm(model->store->fault);
    model_check_partition(model, &root);
    *root_out = root;
    return true;
}

void pager_model_commit(pager_model *model) {
    uint64_t base_epoch = model->store->root.self.epoch;
    htt_root root;
    uint32_t at;

    if (!pager_model_flush(model, &root))
        return;
    /* A reader of the base root or a cursor may go on; both pin the base. */
    at = model_below(model, PAGER_KEPT);
    model->kept_pin[at] = 0;
    if (model_below(model, 3) > 0) {
        uint32_t cursor = model_below(model, PAGER_CURSORS);
        model->kept_pin[at] = base_epoch;
        if (model->freezes[cursor] != 0) {
            view_copy(&model->kept[at], &model->cursors[cursor]);
            model->kept_epoch[at] = root.self.epoch;
        } else {
            view_copy(&model->kept[at], &model->base);
            model->kept_epoch[at] = base_epoch;
        }
    }
    model->store->root = root;
    view_copy(&model->base, &model->now);
    model_end(model);
}

void pager_model_abort(pager_model *model) {
    model_end(model);
}

void pager_model_step(pager_model *model) {
    uint32_t what = model_below(model, 100);
    htt_root root;

    if (model->writer == NULL && !model_begin(model))
        return;
    if (model_below(model, model->steps_to_end) == 0) {
        if (what < 33)
            pager_model_abort(model);
        else
            pager_model_commit(model);
    } else if (what < 83) {
        model_change(model);
    } else if (what < 89) {
        model_freeze(model);
    } else if (what < 99) {
        model_savepoint(model);
    } else {
        (void)pager_model_flush(model, &root);
    }
}

void pager_model_init(pager_model *model, pager_store *store, uint64_t seed) {
    memset(model, 0, sizeof *model);
    model->store = store;
    model->random = seed;
    model->items_max = 300;
    model->run_max = 40000;
    model->steps_to_end = 40;
}

void pager_model_free(pager_model *model) {
    if (model->writer != NULL)
        model_end(model);
    view_free(&model->now);
    view_free(&model->base);
    for (uint32_t i = 0; i < PAGER_CURSORS; i++)
        view_free(&model->cursors[i]);
    for (uint32_t i = 0; i < PAGER_SAVEPOINTS; i++)
        view_free(&model->savepoints[i]);
    for (uint32_t i = 0; i < PAGER_KEPT; i++)
        view_free(&model->kept[i]);
}
