/* SPDX-License-Identifier: MIT */
/* Writing rows: every size at its borders, flags, all or nothing, and collisions. */
#include "tree_support.h"

#include <errno.h>

/* Bytes of a value whose record, with the key of `id`, takes `record` bytes. */
static uint32_t put_value_for(tree_store *store, uint32_t id, uint32_t record) {
    uint32_t key = (uint32_t)tree_key(store, id).size;

    return record - 1 - (key < 128 ? 1 : 2) - key;
}

static bool put_overflows(tree_store *store, uint32_t id) {
    htt_tree_row row;

    assert_tree(store, htt_tree_find(&store->view, &store->tree.root, tree_key(store, id), &row));
    return row.record.overflow;
}

static uint32_t put_runs(tree_store *store, uint32_t id, htt_overflow *overflow) {
    htt_tree_row row;

    assert_tree(store, htt_tree_find(&store->view, &store->tree.root, tree_key(store, id), &row));
    assert_true(row.record.overflow);
    assert_tree(store, htt_tree_overflow(&store->view, &row.record, overflow));
    return overflow->count;
}

static void test_put__makes_the_first_page_of_an_empty_tree(void **state) {
    tree_store store;

    (void)state;
    tree_open(&store, TREE_PAGE, true);
    tree_check(&store);
    tree_must_put(&store, 1, 10);
    assert_int_equal(tree_look(&store).data, 1);
    assert_int_equal(tree_look(&store).nodes, 0);
    tree_check(&store);
    tree_close(&store);
}

static void test_put__keeps_the_largest_record_inline_and_no_larger_one(void **state) {
    (void)state;
    for (uint32_t page_size = TREE_PAGE; page_size <= TREE_BIG; page_size *= 16) {
        tree_store store;
        uint32_t max = htt_data_record_max(page_size);
        tree_open(&store, page_size, true);
        for (uint32_t id = 0; id < 60; id += 3) {
            tree_must_put(&store, id, put_value_for(&store, id, max - 1));
            tree_must_put(&store, id + 1, put_value_for(&store, id + 1, max));
            tree_must_put(&store, id + 2, put_value_for(&store, id + 2, max + 1));
            assert_false(put_overflows(&store, id));
            assert_false(put_overflows(&store, id + 1));
            assert_true(put_overflows(&store, id + 2));
            tree_check(&store);
        }
        tree_commit(&store);
        tree_check(&store);
        tree_close(&store);
    }
}

static void test_put__takes_a_value_over_any_other_size(void **state) {
    static const uint32_t sizes[] = {0,    1,     500,   2000,  2006,  2007,  2008, 2009, 2030,
                                     2500, 4055,  4056,  4057,  8151,  8152,  8153, 0,    4056,
                                     1,    12248, 12249, 20000, 40000, 40001, 3};
    enum { COUNT = sizeof sizes / sizeof *sizes };

    (void)state;
    for (int mapped = 0; mapped < 2; mapped++) {
        tree_store store;
        tree_open(&store, TREE_PAGE, mapped == 1);
        for (uint32_t i = 0; i < COUNT; i++) {
            for (uint32_t j = 0; j < COUNT; j++) {
                tree_must_put(&store, 7, sizes[i]);
                tree_must_put(&store, 7, sizes[j]);
                tree_must_put(&store, 8, sizes[(i + j) % COUNT]);
                if (j % 8 == 0)
                    tree_commit(&store);
            }
            tree_check(&store);
        }
        tree_close(&store);
    }
}

/* 4056 bytes are in a run of one page, 4096 more in each further one. */
static void test_put__uses_as_few_pages_of_a_run_as_hold_the_value(void **state) {
    tree_store store;

    (void)state;
    for (uint32_t page_size = TREE_PAGE; page_size <= TREE_BIG; page_size *= 16) {
        tree_open(&store, page_size, true);
        for (uint32_t pages = 1; pages < 6; pages++) {
            uint32_t capacity = (uint32_t)htt_run_capacity(page_size, pages);
            for (uint32_t more = 0; more < 3; more++) {
                htt_overflow overflow;
                uint32_t size = capacity - 1 + more;
                tree_must_put(&store, pages * 3 + more, size);
                assert_int_equal(put_runs(&store, pages * 3 + more, &overflow), 1);
                assert_int_equal(overflow.value_size, size);
                assert_int_equal(overflow.runs[0].pages, pages + (more == 2));
            }
        }
        tree_check(&store);
        tree_close(&store);
    }
}

/* Runs of two free pages between pages in use: a value of several of them fits without growth. */
static void test_put__spreads_a_value_over_several_runs(void **state) {
    for (int mapped = 0; mapped < 2; mapped++) {
        tree_store store;
        htt_overflow overflow;
        (void)state;
        tree_open(&store, TREE_PAGE, mapped == 1);
        for (uint32_t id = 0; id < 60; id++)
            tree_must_put(&store, id, (uint32_t)htt_run_capacity(TREE_PAGE, 2));
        tree_commit(&store);
        for (uint32_t id = 0; id < 60; id += 2)
            tree_must_del(&store, id);
        tree_commit(&store);
        tree_check(&store);
        for (uint32_t runs = 2; runs <= HTT_RUNS_MAX; runs++) {
            uint32_t size = runs * (uint32_t)htt_run_capacity(TREE_PAGE, 2);
            for (uint32_t less = 0; less < 3; less++) {
                tree_must_put(&store, 100, size - less * 4095);
                if (less == 0)
                    assert_int_equal(put_runs(&store, 100, &overflow), runs);
                tree_check(&store);
                tree_abort(&store);
            }
        }
        /* Nine would be needed: the value goes to the end of the file. */
        tree_must_put(&store, 100, 9 * (uint32_t)htt_run_capacity(TREE_PAGE, 2));
        assert_int_equal(put_runs(&store, 100, &overflow), 1);
        tree_commit(&store);
        tree_check(&store);
        tree_close(&store);
    }
}

static void test_put__keeps_large_keys_outside_of_the_page(void **state) {
    for (int mapped = 0; mapped < 2; mapped++) {
        tree_store store;
        (void)state;
        tree_open(&store, TREE_PAGE, mapped == 1);
        store.keys = TREE_KEYS_EXTERNAL;
        for (uint32_t id = 0; id < 300; id++)
            tree_must_put(&store, id, id % 4 == 0 ? 3000 + id : id % 50);
        tree_check(&store);
        tree_commit(&store);
        for (uint32_t id = 0; id < 300; id += 2)
            tree_must_put(&store, id, id % 8 == 0 ? 1 : 9000);
        tree_check(&store);
        for (uint32_t id = 0; id < 300; id += 3)
            tree_must_del(&store, id);
        tree_commit(&store);
        tree_check(&store);
        tree_close(&store);
    }
}

static void test_put__takes_keys_of_no_byte_and_of_the_largest_size(void **state) {
    uint8_t *large = malloc(HTT_KEY_SIZE_MAX);
    htt_tree_buffer buffer;
    htt_tree_row row;
    htt_datum key;

    (void)state;
    assert_non_null(large);
    for (uint32_t page_size = TREE_PAGE; page_size <= TREE_BIG; page_size *= 16) {
        tree_store store;
        tree_open(&store, page_size, true);
        buffer = (htt_tree_buffer){store.env, NULL, 0};
        memset(large, 'k', HTT_KEY_SIZE_MAX);
        assert_tree(&store, htt_tree_put(&store.tree, htt_blob(NULL, 0), htt_blob(NULL, 0), 0));
        assert_tree(&store, htt_tree_put(&store.tree, htt_blob(large, HTT_KEY_SIZE_MAX),
                                         htt_text("value"), 0));
        large[HTT_KEY_SIZE_MAX - 1] = 'l';
        assert_tree(&store, htt_tree_put(&store.tree, htt_blob(large, HTT_KEY_SIZE_MAX),
                                         htt_text("other"), 0));
        assert_int_equal(store.tree.root.keys, 3);
        assert_tree(&store, htt_tree_find(&store.view, &store.tree.root,
                                          htt_blob(large, HTT_KEY_SIZE_MAX), &row));
        assert_tree(&store, htt_tree_value(&store.view, &row.record, &buffer, &key));
        assert_memory_equal(key.data, "other", 5);
        assert_tree(&store, htt_tree_key(&store.view, &row.record, &buffer, &key));
        assert_int_equal(key.size, HTT_KEY_SIZE_MAX);
        assert_memory_equal(key.data, large, HTT_KEY_SIZE_MAX);
        htt_root root = tree_flush(&store);
        assert_int_equal(tree_find_problems(&store, &root).count, 0);
        assert_tree(&store, htt_tree_del(&store.tree, htt_blob(large, HTT_KEY_SIZE_MAX)));
        large[HTT_KEY_SIZE_MAX - 1] = 'k';
        assert_tree(&store, htt_tree_del(&store.tree, htt_blob(large, HTT_KEY_SIZE_MAX)));
        assert_tree(&store, htt_tree_del(&store.tree, htt_blob(NULL, 0)));
        assert_int_equal(store.tree.root.page, 0);
        store.env->release(store.env->context, buffer.bytes);
        tree_check(&store);
        tree_close(&store);
    }
    free(large);
}

static void test_put__obeys_its_flags_and_leaves_no_run_behind(void **state) {
    tree_store store;

    (void)state;
    tree_open(&store, TREE_PAGE, true);
    for (uint32_t size = 10; size < 20000; size += 9000) {
        assert_int_equal(tree_put_flags(&store, 1, size, HTT_PUT_REPLACE), HTT_NOTFOUND);
        assert_tree(&store, tree_put_flags(&store, 1, size, HTT_PUT_INSERT));
        assert_int_equal(tree_put_flags(&store, 1, size + 9000, HTT_PUT_INSERT), HTT_EXISTS);
        assert_int_equal(tree_put_flags(&store, 2, size, HTT_PUT_REPLACE), HTT_NOTFOUND);
        tree_check(&store);
        assert_tree(&store, tree_put_flags(&store, 1, size + 1, HTT_PUT_REPLACE));
        tree_check(&store);
        tree_must_del(&store, 1);
        tree_check(&store);
    }
    tree_close(&store);
}

/* ---------------------------------------------------------------- collisions */

static void test_put__gives_a_collision_when_one_hash_fills_a_page_and_loses_nothing(void **state) {
    tree_store store;
    uint32_t collisions = 0;

    (void)state;
    tree_open(&store, TREE_PAGE, true);
    store.hash = tree_hash_seven;
    tree_abort(&store);
    for (uint32_t id = 0; id < 3000; id++) {
        htt_rc rc = tree_put(&store, id, id % 90);
        if (rc == HTT_COLLISION)
            collisions++;
        else
            assert_tree(&store, rc);
        if (id % 250 == 0)
            tree_check(&store);
    }
    tree_check(&store);
    assert_true(collisions > 2000);
    assert_true(store.tree.root.keys > 7 * 20);
    /* A row that is there can still be made smaller, and what was given up is room again. */
    for (uint32_t id = 0; id < 3000; id++) {
        if (store.rows[id].live)
            tree_must_put(&store, id, 0);
    }
    tree_check(&store);
    uint64_t before = store.tree.root.keys;
    for (uint32_t id = 0; id < 3000; id++)
        (void)tree_put(&store, id, 0); /* a collision is allowed */
    assert_true(store.tree.root.keys > before);
    tree_commit(&store);
    tree_check(&store);
    for (uint32_t id = 0; id < 3000; id++) {
        if (store.rows[id].live)
            tree_must_del(&store, id);
    }
    tree_check(&store);
    tree_close(&store);
}

static void test_put__parts_keys_that_collide_under_one_salt(void **state) {
    (void)state;
    for (uint32_t page_size = TREE_PAGE; page_size <= TREE_BIG; page_size *= 16) {
        tree_store store;
        tree_open(&store, page_size, true);
        store.hash = tree_hash_slot;
        store.keys = TREE_KEYS_SLOT;
        store.mix_of = tree_mix_zero;
        tree_abort(&store);
        for (uint32_t id = 0; id < 6000; id++) {
            tree_must_put(&store, id, id % 300);
            if (id % 1000 == 0)
                tree_check(&store);
        }
        tree_check(&store);
        for (uint32_t id = 0; id < 6000; id++)
            tree_must_del(&store, id);
        tree_check(&store);
        tree_close(&store);
    }
}

static void test_put__lives_with_hashes_that_are_nearly_alike(void **state) {
    tree_store store;

    (void)state;
    tree_open(&store, TREE_PAGE, true);
    store.hash = tree_hash_coarse;
    tree_abort(&store);
    for (uint32_t id = 0; id < 20000; id++)
        tree_must_put(&store, id, id % 40);
    tree_check(&store);
    for (uint32_t id = 0; id < 20000; id += 2)
        tree_must_del(&store, id);
    tree_check(&store);
    tree_close(&store);
}

/* ------------------------------------------------------------------ failures */

/* Puts row `id`, with the n-th call of `kinds` failing, for every n, from the committed state. */
static uint32_t put_fail_each(tree_store *store, unsigned kinds, int error, uint32_t id,
                              uint32_t size) {
    uint32_t failures = 0;

    for (uint64_t n = 1;; n++) {
        tree_abort(store);
        fault_env_arm(store->fault, &(fault_plan){.kinds = kinds, .nth = n, .error = error});
        htt_rc rc = tree_put(store, id, size);
        fault_env_disarm(store->fault);
        if (rc == HTT_OK && fault_env_failures(store->fault) == 0)
            break;
        if (rc != HTT_OK) {
            assert_true(rc == (error == ENOSPC         ? HTT_FULL
                               : kinds == FAULT_MEMORY ? HTT_NOMEM
                                                       : HTT_IO));
            assert_true(store->error.text[0] != 0);
            failures++;
            tree_check(store); /* as it was */
            tree_must_put(store, id, size);
            if (n % 4 == 1)
                tree_check(store);
        } else {
            tree_check(store);
        }
    }
    tree_abort(store);
    return failures;
}

/* Small groups, large rows, one slot of the root: every kind of step comes soon. */
static void put_open_crowded(tree_store *store, bool mapped) {
    tree_open(store, TREE_PAGE, mapped);
    store->tuning = (htt_tree_tuning){3, 4, 94};
    store->hash = tree_hash_slot;
    store->keys = TREE_KEYS_SLOT;
    store->mix_of = tree_mix_two;
    tree_abort(store);
}

static uint32_t put_size(uint32_t id) {
    return id < 100 ? 300 + id * 37 % 1600 : 1000 + id * 37 % 900;
}

/* At the first two steps of each kind, each allocation, read and write fails once. */
static void put_fail_steps(unsigned kinds, int error, uint32_t rows) {
    tree_store store;
    uint8_t times[TREE_STEPS] = {0};
    uint32_t failures = 0, steps = 0, depth = 0;

    put_open_crowded(&store, false);
    for (uint32_t id = 0; id < rows; id++) {
        tree_mark before = tree_mark_path(&store, id);
        tree_must_put(&store, id, put_size(id));
        tree_mark after = tree_mark_path(&store, id);
        uint32_t kind = tree_step_kind(&before, &after);
        depth = after.depth > depth ? after.depth : depth;
        if (kind != 0 && times[kind] < 2) {
            times[kind]++;
            steps++;
            failures += put_fail_each(&store, kinds, error, id, put_size(id));
            if (times[kind] == 1) /* in runs, too */
                failures += put_fail_each(&store, kinds, error, id, 9000);
            tree_must_put(&store, id, put_size(id));
        }
        tree_commit(&store);
    }
    print_message("%u failures at %u steps, depth %u\n", failures, steps, depth);
    assert_true(failures > 5);
    assert_true(steps > 5);
    tree_check(&store);
    tree_close(&store);
}

static void test_put__is_all_or_nothing_at_every_failing_allocation(void **state) {
    (void)state;
    put_fail_steps(FAULT_MEMORY, 0, 1900);
}

static void test_put__is_all_or_nothing_at_every_failing_read(void **state) {
    (void)state;
    put_fail_steps(FAULT_READ, EIO, 1900);
}

static void test_put__is_all_or_nothing_when_the_disk_is_full(void **state) {
    (void)state;
    put_fail_steps(FAULT_SPACE, ENOSPC, 300);
}

/* The store has k page numbers left, for every k that is too few. */
static void test_put__is_all_or_nothing_when_page_numbers_run_out(void **state) {
    tree_store store;
    uint32_t failures = 0;

    (void)state;
    put_open_crowded(&store, false);
    for (uint32_t id = 0; id < 160; id++) {
        uint32_t size = put_size(id);
        htt_root base = store.root;
        base.free_head = 0;
        base.free_pages = 0;
        for (uint32_t left = 0;; left++) {
            base.page_count = HTT_PAGE_NUMBER_MAX - left;
            tree_end(&store);
            tree_begin(&store, &base);
            htt_rc rc = tree_put(&store, id, size);
            if (rc != HTT_OK) {
                assert_int_equal(rc, HTT_FULL);
                failures++;
            }
            tree_compare(&store);
            store.rows[id] = store.base_rows[id];
            if (rc == HTT_OK)
                break;
        }
        tree_abort(&store);
        tree_must_put(&store, id, size);
        tree_commit(&store);
    }
    print_message("%u failures\n", failures);
    tree_close(&store);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_put__makes_the_first_page_of_an_empty_tree),
        cmocka_unit_test(test_put__keeps_the_largest_record_inline_and_no_larger_one),
        cmocka_unit_test(test_put__takes_a_value_over_any_other_size),
        cmocka_unit_test(test_put__uses_as_few_pages_of_a_run_as_hold_the_value),
        cmocka_unit_test(test_put__spreads_a_value_over_several_runs),
        cmocka_unit_test(test_put__keeps_large_keys_outside_of_the_page),
        cmocka_unit_test(test_put__takes_keys_of_no_byte_and_of_the_largest_size),
        cmocka_unit_test(test_put__obeys_its_flags_and_leaves_no_run_behind),
        cmocka_unit_test(test_put__gives_a_collision_when_one_hash_fills_a_page_and_loses_nothing),
        cmocka_unit_test(test_put__parts_keys_that_collide_under_one_salt),
        cmocka_unit_test(test_put__lives_with_hashes_that_are_nearly_alike),
        cmocka_unit_test(test_put__is_all_or_nothing_at_every_failing_allocation),
        cmocka_unit_test(test_put__is_all_or_nothing_at_every_failing_read),
        cmocka_unit_test(test_put__is_all_or_nothing_when_the_disk_is_full),
        cmocka_unit_test(test_put__is_all_or_nothing_when_page_numbers_run_out),
    };
    return cmocka_run_group_tests_name("tree_put", tests, NULL, NULL);
}
