/* SPDX-License-Identifier: MIT */
/* Finding rows, one and many, values in runs, and damage that a search meets. */
#include "tree_support.h"

#include <errno.h>

static void find_open(tree_store *store, bool mapped, tree_keys keys, uint32_t rows) {
    tree_open(store, TREE_PAGE, mapped);
    store->keys = keys;
    tree_abort(store);
    for (uint32_t id = 0; id < rows; id += 2)
        tree_must_put(store, id, id % 7 == 0 ? 5000 + id : id % 300);
    tree_commit(store);
}

/* docs/read-path.md: n index nodes are n + 1 pages, and no more memory than the page cache's. */
static void test_find__reads_one_page_for_each_node_and_the_data_page(void **state) {
    (void)state;
    for (int mapped = 0; mapped < 2; mapped++) {
        tree_store store;
        htt_tree_row row;
        find_open(&store, mapped == 1, TREE_KEYS_PLAIN, 6000);
        uint32_t deepest = 0;
        for (uint32_t id = 0; id < 6000; id += 46) {
            const uint32_t depth = tree_path(&store, id).depth;
            htt_pins_drop(store.pages, &store.pins);
            htt_pages_forget_all(store.pages);
            htt_view view = tree_reader(&store, &store.root);
            fault_env_arm(store.fault, &(fault_plan){0});
            assert_tree(&store, htt_tree_find(&view, &store.tree.root, tree_key(&store, id), &row));
            assert_int_equal(fault_env_calls(store.fault, FAULT_READ), mapped ? 0 : depth + 1);
            if (mapped) /* after the first touch nothing is allocated */
                assert_int_equal(fault_env_calls(store.fault, FAULT_MEMORY), 0);
            htt_pins_drop(store.pages, &store.pins);
            deepest = depth > deepest ? depth : deepest;
        }
        assert_true(deepest >= 1);
        tree_close(&store);
    }
}

static void test_find__many_keys_gives_what_each_key_gives(void **state) {
    enum { COUNT = 500 };
    (void)state;
    for (int mapped = 0; mapped < 2; mapped++) {
        tree_store store;
        htt_datum keys[COUNT];
        htt_tree_row rows[COUNT], row;
        htt_rc results[COUNT];
        uint8_t *bytes = malloc(COUNT * 8192);
        assert_non_null(bytes);
        find_open(&store, mapped == 1, TREE_KEYS_EXTERNAL, 3000);
        for (uint32_t i = 0; i < COUNT; i++) { /* some twice, half of them not there */
            htt_datum key = tree_key(&store, i * 37 % 450 * 6);
            memcpy(bytes + i * 8192, key.data, key.size);
            keys[i] = htt_blob(bytes + i * 8192, key.size);
        }
        for (uint32_t count = 0; count <= COUNT; count = count * 3 + 1) {
            htt_pins_drop(store.pages, &store.pins);
            assert_tree(&store, htt_tree_find_many(&store.view, &store.tree.root, keys, count, rows,
                                                   results));
            for (uint32_t i = 0; i < count; i++) {
                htt_rc rc = htt_tree_find(&store.view, &store.tree.root, keys[i], &row);
                assert_int_equal(results[i], rc);
                if (rc == HTT_OK) {
                    assert_int_equal(rows[i].page, row.page);
                    assert_int_equal(rows[i].index, row.index);
                }
            }
        }
        free(bytes);
        tree_close(&store);
    }
}

static void test_find__in_an_empty_tree_finds_nothing(void **state) {
    tree_store store;
    htt_datum key = htt_text("key");
    htt_tree_row row;
    htt_rc result = HTT_OK;

    (void)state;
    tree_open(&store, TREE_PAGE, true);
    assert_int_equal(htt_tree_find(&store.view, &store.tree.root, key, &row), HTT_NOTFOUND);
    assert_tree(&store, htt_tree_find_many(&store.view, &store.tree.root, &key, 1, &row, &result));
    assert_int_equal(result, HTT_NOTFOUND);
    tree_close(&store);
}

/* Keys are one when class and bytes are: 1 and 1.0, but not 'a' and x'61'. */
static void test_find__tells_classes_of_keys_apart(void **state) {
    tree_store store;
    uint8_t scratch[HTT_NUMBER_SIZE];
    htt_tree_row row;
    htt_datum real;

    (void)state;
    tree_open(&store, TREE_PAGE, true);
    htt_datum null = htt_null();
    assert_tree(&store, htt_tree_put(&store.tree, htt_integer(97, scratch), null, 0));
    assert_int_equal(htt_key_real(97.0, scratch, &real), HTT_OK);
    assert_tree(&store, htt_tree_find(&store.view, &store.tree.root, real, &row));
    assert_int_equal(row.record.key_type, HTT_INTEGER);
    assert_int_equal(htt_tree_find(&store.view, &store.tree.root, htt_text("a"), &row),
                     HTT_NOTFOUND);
    assert_tree(&store, htt_tree_put(&store.tree, htt_text("a"), null, HTT_PUT_INSERT));
    assert_tree(&store, htt_tree_put(&store.tree, htt_blob("a", 1), null, HTT_PUT_INSERT));
    assert_int_equal(htt_tree_put(&store.tree, real, null, HTT_PUT_INSERT), HTT_EXISTS);
    assert_tree(&store, htt_tree_put(&store.tree, real, null, HTT_PUT_REPLACE));
    assert_tree(&store, htt_tree_find(&store.view, &store.tree.root, real, &row));
    assert_int_equal(row.record.key_type, HTT_INTEGRAL); /* as it was written last */
    assert_int_equal(store.tree.root.keys, 3);
    tree_close(&store);
}

static htt_hash find_one_hash(uint64_t seed, uint8_t key_class, const void *bytes, size_t size) {
    (void)seed;
    (void)key_class;
    (void)bytes;
    (void)size;
    return (htt_hash){1, 2};
}

/* Keys outside of the page with the same hash and size differ in their runs only. */
static void test_find__compares_external_keys_in_their_runs(void **state) {
    enum { SIZE = 9000, KEYS = 12 };
    uint8_t *key = calloc(1, SIZE);

    (void)state;
    assert_non_null(key);
    for (int mapped = 0; mapped < 2; mapped++) {
        tree_store store;
        htt_tree_row row;
        tree_open(&store, TREE_PAGE, mapped == 1);
        store.hash = find_one_hash;
        tree_abort(&store);
        htt_tree_buffer buffer = {store.env, NULL, 0};
        for (uint32_t i = 0; i < KEYS; i++) {
            key[i * (SIZE / KEYS)] = 1;
            assert_tree(&store, htt_tree_put(&store.tree, htt_blob(key, SIZE),
                                             htt_blob(&i, sizeof i), HTT_PUT_INSERT));
            key[i * (SIZE / KEYS)] = 0;
        }
        for (uint32_t i = 0; i < KEYS; i++) {
            htt_datum value;
            htt_pins_drop(store.pages, &store.pins);
            key[i * (SIZE / KEYS)] = 1;
            assert_tree(&store,
                        htt_tree_find(&store.view, &store.tree.root, htt_blob(key, SIZE), &row));
            assert_tree(&store, htt_tree_value(&store.view, &row.record, &buffer, &value));
            assert_memory_equal(value.data, &i, sizeof i);
            key[i * (SIZE / KEYS)] = 0;
        }
        assert_int_equal(htt_tree_find(&store.view, &store.tree.root, htt_blob(key, SIZE), &row),
                         HTT_NOTFOUND);
        store.env->release(store.env->context, buffer.bytes);
        tree_close(&store);
    }
    free(key);
}

/* Row 0 with a value in runs; its record in the page is changed by the test. */
static uint8_t *find_open_run(tree_store *store, htt_overflow *overflow, uint32_t *number,
                              uint32_t *reference) {
    htt_tree_row row;

    tree_open(store, TREE_PAGE, false);
    tree_must_put(store, 0, 9000);
    tree_commit(store);
    assert_tree(store, htt_tree_find(&store->view, &store->tree.root, tree_key(store, 0), &row));
    assert_tree(store, htt_tree_overflow(&store->view, &row.record, overflow));
    const uint8_t *page;
    assert_tree(store, htt_view_page(&store->view, row.page, &page));
    *number = row.page;
    *reference = (uint32_t)(row.record.value - page);
    return tree_take_page(store, row.page);
}

static htt_rc find_value(tree_store *store) {
    htt_tree_buffer buffer = {store->env, NULL, 0};
    htt_tree_row row;
    htt_datum value;

    htt_pins_drop(store->pages, &store->pins);
    htt_rc rc = htt_tree_find(&store->view, &store->tree.root, tree_key(store, 0), &row);
    if (rc == HTT_OK)
        rc = htt_tree_value(&store->view, &row.record, &buffer, &value);
    store->env->release(store->env->context, buffer.bytes);
    return rc;
}

static void test_find__names_runs_that_do_not_have_their_records_length(void **state) {
    static const uint32_t sizes[] = {8999, 9001, 12000, 500000000};
    (void)state;
    for (uint32_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        tree_store store;
        htt_overflow overflow;
        uint32_t number, at;
        uint8_t *page = find_open_run(&store, &overflow, &number, &at);
        uint8_t *other = page_alloc(TREE_PAGE);
        htt_record record;
        htt_fault fault;
        uint8_t reference[HTT_OVERFLOW_SIZE_MAX];
        memcpy(other, page, TREE_PAGE);
        assert_true(htt_data_record(other, TREE_PAGE, 0, &record, &fault));
        overflow.value_size = sizes[i];
        record.value = reference;
        record.value_size = htt_overflow_encode(&overflow, reference);
        htt_data_replace(page, TREE_PAGE, 0, &record);
        free(other);
        tree_give_page(&store, number, page);
        assert_int_equal(find_value(&store), HTT_CORRUPT);
        assert_int_equal(store.error.page, overflow.runs[0].first);
        assert_non_null(strstr(store.error.text, "overflow runs"));
        /* Nothing of the size that the record claims was asked for. */
        assert_true(fault_env_bytes_peak(store.fault) < 10000000);
        tree_close(&store);
    }
}

static void test_find__names_a_damaged_run(void **state) {
    tree_store store;
    htt_overflow overflow;
    uint32_t number, at;

    (void)state;
    uint8_t *page = find_open_run(&store, &overflow, &number, &at);
    free(page);
    assert_tree(&store, find_value(&store));
    uint8_t byte = 0x55;
    assert_int_equal(store.env->write(store.env->context, store.file, &byte, 1,
                                      (uint64_t)overflow.runs[0].first * TREE_PAGE + 6000),
                     0);
    htt_pages_forget_all(store.pages);
    assert_int_equal(find_value(&store), HTT_CORRUPT);
    assert_int_equal(store.error.page, overflow.runs[0].first);
    /* The row itself can be found, replaced and deleted. */
    tree_must_put(&store, 0, 10);
    tree_check(&store);
    tree_abort(&store);
    tree_must_del(&store, 0);
    tree_check(&store);
    tree_close(&store);
}

static void test_find__names_a_damaged_page(void **state) {
    tree_store store;
    htt_tree_row row;
    htt_rc result;

    (void)state;
    find_open(&store, false, TREE_KEYS_PLAIN, 600);
    htt_path path = tree_path(&store, 4);
    uint32_t number = path.leaf.page;
    htt_pins_drop(store.pages, &store.pins);
    uint8_t byte = 0xEE;
    assert_int_equal(store.env->write(store.env->context, store.file, &byte, 1,
                                      (uint64_t)number * TREE_PAGE + 100),
                     0);
    htt_pages_forget_all(store.pages);
    htt_datum key = tree_key(&store, 4);
    assert_int_equal(htt_tree_find(&store.view, &store.tree.root, key, &row), HTT_CORRUPT);
    assert_int_equal(store.error.page, number);
    assert_int_equal(htt_tree_find_many(&store.view, &store.tree.root, &key, 1, &row, &result),
                     HTT_CORRUPT);
    assert_int_equal(tree_put(&store, 4, 10), HTT_CORRUPT);
    assert_int_equal(tree_del(&store, 4), HTT_CORRUPT);
    tree_close(&store);
}

static void test_find__fails_cleanly_when_pages_cannot_be_read(void **state) {
    tree_store store;
    htt_tree_row row;

    (void)state;
    find_open(&store, false, TREE_KEYS_EXTERNAL, 600);
    for (uint32_t id = 0; id < 600; id += 6) {
        for (uint64_t n = 1; n < 10; n++) {
            tree_abort(&store);
            fault_env_arm(
                store.fault,
                &(fault_plan){.kinds = FAULT_READ | FAULT_MEMORY, .nth = n, .error = EIO});
            htt_rc rc = htt_tree_find(&store.view, &store.tree.root, tree_key(&store, id), &row);
            fault_env_disarm(store.fault);
            if (rc == HTT_OK)
                break;
            assert_true(rc == HTT_IO || rc == HTT_NOMEM);
        }
    }
    tree_compare(&store);
    tree_close(&store);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_find__reads_one_page_for_each_node_and_the_data_page),
        cmocka_unit_test(test_find__many_keys_gives_what_each_key_gives),
        cmocka_unit_test(test_find__in_an_empty_tree_finds_nothing),
        cmocka_unit_test(test_find__tells_classes_of_keys_apart),
        cmocka_unit_test(test_find__compares_external_keys_in_their_runs),
        cmocka_unit_test(test_find__names_runs_that_do_not_have_their_records_length),
        cmocka_unit_test(test_find__names_a_damaged_run),
        cmocka_unit_test(test_find__names_a_damaged_page),
        cmocka_unit_test(test_find__fails_cleanly_when_pages_cannot_be_read),
    };
    return cmocka_run_group_tests_name("tree_find", tests, NULL, NULL);
}
