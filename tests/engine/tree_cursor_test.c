/* SPDX-License-Identifier: MIT */
/* Cursors: each row once, over a frozen root, whatever happens to the tree meanwhile. */
#include "tree_support.h"

#include <errno.h>

/* Walks to the end and compares with `rows`. */
static void cursor_walk(tree_store *store, htt_tree_cursor *cursor, htt_view *view,
                        const tree_row *rows, uint64_t count) {
    htt_tree_buffer buffer = {store->env, NULL, 0};
    htt_record record;
    htt_datum value, key;
    htt_rc rc;

    while ((rc = htt_tree_cursor_next(cursor, &record)) == HTT_OK) {
        assert_tree(store, htt_tree_key(view, &record, &buffer, &key));
        uint32_t id = le32_get(key.data);
        assert_true(rows[id].live);
        assert_tree(store, htt_tree_value(view, &record, &buffer, &value));
        assert_int_equal(value.size, rows[id].size);
        assert_memory_equal(value.data, tree_value(store, id, rows[id].version, rows[id].size).data,
                            value.size);
        count--;
    }
    assert_int_equal(rc, HTT_NOTFOUND);
    assert_int_equal(count, 0);
    store->env->release(store->env->context, buffer.bytes);
}

static void cursor_open(tree_store *store, bool mapped, uint32_t rows) {
    tree_open(store, TREE_PAGE, mapped);
    store->keys = TREE_KEYS_EXTERNAL;
    tree_abort(store);
    for (uint32_t id = 0; id < rows; id++)
        tree_must_put(store, id, id % 11 == 0 ? 6000 : id % 400);
    tree_commit(store);
}

static void test_cursor__of_an_empty_tree_is_at_its_end(void **state) {
    tree_store store;
    htt_tree_cursor *cursor;
    htt_record record;

    (void)state;
    tree_open(&store, TREE_PAGE, true);
    assert_tree(&store, htt_tree_cursor_open(&store.view, store.env, &store.tree.root, &cursor));
    assert_int_equal(htt_tree_cursor_next(cursor, &record), HTT_NOTFOUND);
    assert_int_equal(htt_tree_cursor_next(cursor, &record), HTT_NOTFOUND);
    htt_tree_cursor_close(cursor);
    htt_tree_cursor_close(NULL);
    tree_close(&store);
}

static void test_cursor__sees_its_frozen_root_while_rows_change(void **state) {
    (void)state;
    for (int variant = 0; variant < 4; variant++) {
        tree_store store;
        htt_tree_cursor *cursor;
        htt_pins pins = {0};
        htt_error error = {0};
        htt_record record;
        uint64_t freeze, count;
        cursor_open(&store, variant % 2 == 1, 800);
        store.budget = variant < 2 ? 64 << 20 : 1; /* spilling */
        tree_abort(&store);
        for (uint32_t id = 0; id < 800; id += 5)
            tree_must_put(&store, id, id % 333); /* some own pages */
        tree_row *rows = malloc(TREE_IDS * sizeof *rows);
        assert_non_null(rows);
        memcpy(rows, store.rows, TREE_IDS * sizeof *rows);
        count = store.tree.root.keys;
        htt_view view = store.view;
        view.pins = &pins;
        view.error = &error;
        assert_tree(&store, htt_tree_cursor_open(&view, store.env, &store.tree.root, &cursor));
        assert_tree(&store, htt_writer_freeze(store.writer, &freeze, &store.error));
        for (uint32_t i = 0; i < 100; i++, count--) /* half-way */
            assert_int_equal(htt_tree_cursor_next(cursor, &record), HTT_OK);
        htt_tree_cursor_close(cursor);
        assert_tree(&store,
                    htt_tree_cursor_open(&view, store.env,
                                         &(htt_tree_root){store.tree.root.page, 0, 0}, &cursor));
        count = store.tree.root.keys;
        for (uint32_t id = 0; id < 800; id++) {
            if (id % 3 == 0)
                tree_must_del(&store, id);
            else
                tree_must_put(&store, id, 500 + id);
        }
        for (uint32_t id = 2000; id < 4000; id++)
            tree_must_put(&store, id, 300);
        cursor_walk(&store, cursor, &view, rows, count);
        htt_tree_cursor_close(cursor);
        htt_pins_free(store.pages, &pins);
        htt_writer_thaw(store.writer, freeze);
        tree_check(&store);
        free(rows);
        tree_close(&store);
    }
}

static void test_cursor__gives_records_that_outlive_changes_of_their_page(void **state) {
    tree_store store;
    htt_tree_cursor *cursor;
    htt_record record;
    uint8_t key[64];

    (void)state;
    tree_open(&store, TREE_PAGE, true);
    for (uint32_t id = 0; id < 20; id++)
        tree_must_put(&store, id, 40);
    assert_tree(&store, htt_tree_cursor_open(&store.view, store.env, &store.tree.root, &cursor));
    assert_int_equal(htt_tree_cursor_next(cursor, &record), HTT_OK);
    memcpy(key, record.key, record.key_size);
    for (uint32_t id = 0; id < 20; id++)
        tree_must_del(&store, id);
    assert_memory_equal(key, record.key, record.key_size);
    htt_tree_cursor_close(cursor);
    tree_close(&store);
}

/* After a failed read the same page is tried again: no row is left out. */
static void test_cursor__goes_on_after_a_failed_read_without_a_gap(void **state) {
    tree_store store;
    htt_tree_cursor *cursor;
    htt_record record;
    uint32_t failures = 0, count = 0;

    (void)state;
    cursor_open(&store, false, 900);
    htt_view view = tree_reader(&store, &store.root);
    assert_tree(&store, htt_tree_cursor_open(&view, store.env, &store.tree.root, &cursor));
    for (;;) {
        fault_env_arm(
            store.fault,
            &(fault_plan){.kinds = FAULT_READ | FAULT_MEMORY, .nth = 1 + count % 3, .error = EIO});
        htt_rc rc = htt_tree_cursor_next(cursor, &record);
        if (rc == HTT_IO || rc == HTT_NOMEM) {
            failures++;
            fault_env_disarm(store.fault);
            rc = htt_tree_cursor_next(cursor, &record);
        }
        fault_env_disarm(store.fault);
        if (rc == HTT_NOTFOUND)
            break;
        assert_tree(&store, rc);
        count++;
    }
    assert_int_equal(count, 900);
    assert_true(failures > 10);
    htt_tree_cursor_close(cursor);
    tree_close(&store);
}

static void test_cursor__goes_on_behind_a_damaged_page(void **state) {
    tree_store store;
    htt_tree_cursor *cursor;
    htt_record record;
    uint32_t errors = 0, count = 0;
    const uint8_t *bytes;

    (void)state;
    cursor_open(&store, false, 900);
    uint32_t number = tree_path(&store, 7).leaf.page;
    assert_tree(&store, htt_view_page(&store.view, number, &bytes));
    uint32_t lost = htt_page_count(bytes);
    htt_pins_drop(store.pages, &store.pins);
    uint8_t byte = 0xEE;
    assert_int_equal(store.env->write(store.env->context, store.file, &byte, 1,
                                      (uint64_t)number * TREE_PAGE + 100),
                     0);
    htt_pages_forget_all(store.pages);
    htt_view view = tree_reader(&store, &store.root);
    assert_tree(&store, htt_tree_cursor_open(&view, store.env, &store.tree.root, &cursor));
    for (htt_rc rc = HTT_OK; rc != HTT_NOTFOUND;) {
        rc = htt_tree_cursor_next(cursor, &record);
        count += rc == HTT_OK;
        if (rc == HTT_CORRUPT) {
            assert_int_equal(store.error.page, number);
            errors++;
        }
    }
    assert_int_equal(errors, 1);
    assert_int_equal(count, 900 - lost);
    htt_tree_cursor_close(cursor);
    tree_close(&store);
}

static void test_cursor__needs_memory_to_open(void **state) {
    tree_store store;
    htt_tree_cursor *cursor = NULL;

    (void)state;
    cursor_open(&store, true, 10);
    for (uint64_t n = 1; n <= 2; n++) {
        fault_env_arm(store.fault, &(fault_plan){.kinds = FAULT_MEMORY, .nth = n});
        assert_int_equal(htt_tree_cursor_open(&store.view, store.env, &store.tree.root, &cursor),
                         HTT_NOMEM);
        fault_env_disarm(store.fault);
        assert_null(cursor);
    }
    tree_close(&store);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cursor__of_an_empty_tree_is_at_its_end),
        cmocka_unit_test(test_cursor__sees_its_frozen_root_while_rows_change),
        cmocka_unit_test(test_cursor__gives_records_that_outlive_changes_of_their_page),
        cmocka_unit_test(test_cursor__goes_on_after_a_failed_read_without_a_gap),
        cmocka_unit_test(test_cursor__goes_on_behind_a_damaged_page),
        cmocka_unit_test(test_cursor__needs_memory_to_open),
    };
    return cmocka_run_group_tests_name("tree_cursor", tests, NULL, NULL);
}
