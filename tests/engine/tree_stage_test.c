/* SPDX-License-Identifier: MIT */
/* Staging: what is put, deleted and asked for is right whether or not a row has a page yet. */
#include "tree_support.h"

#include "tree/stage.h"

static void stage_open_limit(tree_store *store, uint64_t limit) {
    tree_open(store, TREE_PAGE, true);
    store->stage_limit = limit;
    tree_abort(store);
}

static void stage_has(tree_store *store, uint32_t id, bool there) {
    htt_pins_drop(store->pages, &store->pins);
    assert_int_equal(htt_tree_has(&store->tree, tree_key(store, id)),
                     there ? HTT_OK : HTT_NOTFOUND);
}

static void test_stage__rows_wait_and_count_before_they_have_pages(void **state) {
    tree_store store;

    (void)state;
    stage_open_limit(&store, 1 << 20);
    for (uint32_t id = 0; id < 500; id++)
        tree_must_put(&store, id, 50);
    assert_int_equal(store.tree.root.page, 0);
    assert_int_equal(store.tree.root.keys, 500);
    assert_true(htt_tree_is_staged(&store.tree));
    for (uint32_t id = 0; id < 600; id++)
        stage_has(&store, id, id < 500);
    tree_check(&store);
    assert_false(htt_tree_is_staged(&store.tree));
    assert_true(store.tree.root.page != 0);
    tree_close(&store);
}

/* Each flag, for a key that is nowhere, staged, in a page, in both, and gone. */
static void test_stage__flags_see_both_stage_and_pages(void **state) {
    tree_store store;

    (void)state;
    stage_open_limit(&store, 1 << 20);
    for (uint32_t id = 0; id < 20; id++)
        tree_must_put(&store, id, 40);
    tree_commit(&store);                      /* 0 to 19 in pages */
    for (uint32_t id = 10; id < 30; id++)     /* 10 to 19 in both, 20 to 29 staged */
        tree_must_put(&store, id, 60 + id);
    for (uint32_t id = 0; id < 40; id++) {
        bool there = id < 30;
        assert_int_equal(tree_put_flags(&store, id, 70, HTT_PUT_INSERT),
                         there ? HTT_EXISTS : HTT_OK);
        if (!there)
            tree_must_del(&store, id);
        assert_int_equal(tree_put_flags(&store, id, 30 + id, HTT_PUT_REPLACE),
                         there ? HTT_OK : HTT_NOTFOUND);
        stage_has(&store, id, there);
    }
    for (uint32_t id = 5; id < 25; id++) {
        tree_must_del(&store, id);
        assert_int_equal(tree_del(&store, id), HTT_NOTFOUND);
        assert_int_equal(tree_put_flags(&store, id, 70, HTT_PUT_REPLACE), HTT_NOTFOUND);
        stage_has(&store, id, false);
    }
    for (uint32_t id = 8; id < 22; id++)
        assert_int_equal(tree_put_flags(&store, id, 20, HTT_PUT_INSERT), HTT_OK);
    tree_check(&store);
    tree_commit(&store);
    tree_check(&store);
    tree_close(&store);
}

static void test_stage__values_too_large_for_a_page_take_the_place_of_staged_ones(void **state) {
    tree_store store;

    (void)state;
    stage_open_limit(&store, 1 << 20);
    for (int round = 0; round < 3; round++) {
        for (uint32_t id = 0; id < 60; id++) {
            tree_must_put(&store, id, 100);
            if (id % 3 == 0)
                tree_must_put(&store, id, 9000 + id);
            if (id % 6 == 0) /* and back */
                tree_must_put(&store, id, 10 + id);
            if (id % 5 == 0)
                tree_must_del(&store, id);
        }
        if (round == 1)
            tree_commit(&store);
        tree_check(&store);
    }
    tree_close(&store);
}

/* A small limit: rows settle again and again, and the filter tells what is in pages. */
static void test_stage__settles_when_it_takes_too_much(void **state) {
    tree_store store;

    (void)state;
    stage_open_limit(&store, 100000);
    for (uint32_t id = 0; id < 12000; id++) {
        tree_must_put(&store, id * 7919 % 12000, 40 + id % 50);
        assert_true(store.tree.stage->memory < 140000);
        if (id == 6000)
            assert_non_null(store.tree.stage->filter);
    }
    for (uint32_t id = 0; id < 12100; id += 7)
        stage_has(&store, id, id < 12000);
    assert_int_equal(tree_put_flags(&store, 11, 70, HTT_PUT_INSERT), HTT_EXISTS);
    for (uint32_t id = 0; id < 12000; id += 3)
        tree_must_put(&store, id, 90);
    for (uint32_t id = 0; id < 12000; id += 5)
        tree_must_del(&store, id);
    tree_check(&store);
    tree_close(&store);
}

/* Rows that are staged after a root was kept are forgotten when it comes back. */
static void test_stage__unstage_goes_back_to_a_root(void **state) {
    tree_store store;
    uint32_t depth;

    (void)state;
    stage_open_limit(&store, 100000);
    for (uint32_t id = 0; id < 3000; id++)
        tree_must_put(&store, id, 60);
    tree_settle(&store);
    assert_tree(&store, htt_writer_savepoint(store.writer, &depth, &store.error));
    htt_tree_root root = store.tree.root;
    tree_row *rows = malloc(TREE_IDS * sizeof *rows);
    assert_non_null(rows);
    memcpy(rows, store.rows, TREE_IDS * sizeof *rows);
    for (uint32_t id = 2000; id < 9000; id++)
        tree_must_put(&store, id, 70);
    for (uint32_t id = 0; id < 9000; id += 2)
        tree_must_del(&store, id);
    htt_writer_rollback_to(store.writer, depth);
    htt_tree_unstage(&store.tree);
    store.tree.root = root;
    memcpy(store.rows, rows, TREE_IDS * sizeof *rows);
    free(rows);
    for (uint32_t id = 0; id < 3100; id++)
        assert_int_equal(tree_put_flags(&store, id, 60, HTT_PUT_INSERT),
                         id < 3000 ? HTT_EXISTS : HTT_OK);
    htt_writer_release(store.writer, depth);
    tree_check(&store);
    tree_close(&store);
}

/* Seven hashes in all: what collides goes into pages, and fails where it always failed. */
static void test_stage__keys_of_one_hash_are_refused_at_their_put(void **state) {
    tree_store store;
    uint32_t refused = 0;

    (void)state;
    tree_open(&store, TREE_PAGE, true);
    store.stage_limit = 1 << 20;
    store.hash = tree_hash_seven;
    tree_abort(&store);
    for (uint32_t id = 0; id < 700; id++) {
        htt_rc rc = tree_put(&store, id, 150);
        if (rc != HTT_OK)
            assert_int_equal(rc, HTT_COLLISION);
        refused += rc != HTT_OK;
    }
    assert_true(refused > 300);
    tree_check(&store);
    tree_commit(&store);
    tree_check(&store);
    tree_close(&store);
}

/* 1 and 1.0 are one key; the form that was written last stays. */
static void test_stage__keys_of_one_class_are_one_key(void **state) {
    tree_store store;
    htt_tree_row row;

    (void)state;
    stage_open_limit(&store, 1 << 20);
    htt_datum integer = htt_bytes("\1", 1, HTT_INTEGER);
    htt_datum integral = htt_bytes("\1", 1, HTT_INTEGRAL);
    htt_datum text = htt_bytes("\1", 1, HTT_TEXT);
    assert_tree(&store, htt_tree_write(&store.tree, integer, htt_null(), 0));
    assert_int_equal(htt_tree_write(&store.tree, integral, htt_null(), HTT_PUT_INSERT), HTT_EXISTS);
    assert_tree(&store, htt_tree_write(&store.tree, text, htt_null(), HTT_PUT_INSERT));
    assert_tree(&store, htt_tree_write(&store.tree, integral, htt_null(), 0));
    assert_int_equal(store.tree.root.keys, 2);
    tree_settle(&store);
    assert_tree(&store, htt_tree_find(&store.view, &store.tree.root, integer, &row));
    assert_int_equal(row.record.key_type, HTT_INTEGRAL);
    tree_close(&store);
}

static void test_stage__a_put_that_finds_no_memory_changes_nothing(void **state) {
    tree_store store;
    uint32_t failures = 0;

    (void)state;
    stage_open_limit(&store, 60000);
    for (uint32_t id = 0; id < 3000; id++) {
        for (uint64_t n = 1;; n++) {
            fault_env_arm(store.fault, &(fault_plan){.kinds = FAULT_MEMORY, .nth = n});
            htt_rc rc = tree_put(&store, id, 60 + id % 40);
            bool failed = fault_env_failures(store.fault) > 0;
            fault_env_disarm(store.fault);
            if (rc == HTT_OK && !failed)
                break;
            if (rc == HTT_OK) { /* it can do without: no filter */
                tree_must_del(&store, id);
                continue;
            }
            assert_int_equal(rc, HTT_NOMEM);
            failures++;
        }
        if (id % 500 == 499)
            tree_check(&store);
    }
    print_message("%u failures\n", failures);
    assert_true(failures > 20);
    tree_close(&store);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stage__rows_wait_and_count_before_they_have_pages),
        cmocka_unit_test(test_stage__flags_see_both_stage_and_pages),
        cmocka_unit_test(test_stage__values_too_large_for_a_page_take_the_place_of_staged_ones),
        cmocka_unit_test(test_stage__settles_when_it_takes_too_much),
        cmocka_unit_test(test_stage__unstage_goes_back_to_a_root),
        cmocka_unit_test(test_stage__keys_of_one_hash_are_refused_at_their_put),
        cmocka_unit_test(test_stage__keys_of_one_class_are_one_key),
        cmocka_unit_test(test_stage__a_put_that_finds_no_memory_changes_nothing),
    };
    return cmocka_run_group_tests_name("tree_stage", tests, NULL, NULL);
}
