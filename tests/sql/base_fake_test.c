/* SPDX-License-Identifier: MIT */
/* Tests of sql/base/fake.c: order, undo, and memory that runs out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "sql/base/fake.h"
#include "sql/base/memory.h"
#include "test_seed.h"

static htt_fake_bytes bytes(const char *text) {
    return (htt_fake_bytes){text, strlen(text)};
}

static htt_fake_bytes number_bytes(int64_t number, uint8_t scratch[8]) {
    htt_fake_number(number, scratch);
    return (htt_fake_bytes){scratch, 8};
}

static void test_fake__rows_are_ordered_by_key(void **state) {
    static const int64_t numbers[] = {5, -1, INT64_MAX, 0, INT64_MIN, 1};
    static const int64_t sorted[] = {INT64_MIN, -1, 0, 1, 5, INT64_MAX};
    (void)state;
    htt_db *db;
    htt_fake_table *table;
    htt_fake_table *same;
    uint8_t scratch[8];
    size_t i = 0;
    assert_int_equal(htt_db_open_fake(NULL, &db), HTT_OK);
    assert_int_equal(htt_fake_table_get(db->fake, "t", &table), HTT_OK);
    assert_int_equal(htt_fake_table_get(db->fake, "t", &same), HTT_OK);
    assert_ptr_equal(table, same);
    assert_null(htt_fake_last(table));
    for (i = 0; i < 6; i++) {
        assert_int_equal(htt_fake_put(table, number_bytes(numbers[i], scratch), bytes("v")),
                         HTT_OK);
    }
    i = 0;
    for (const htt_fake_row *row = htt_fake_first(table, bytes("")); row != NULL;
         row = htt_fake_next(table, row)) {
        assert_int_equal(htt_fake_number_back(row->key.data), sorted[i++]);
    }
    assert_int_equal(i, 6);
    assert_int_equal(htt_fake_number_back(htt_fake_last(table)->key.data), INT64_MAX);
    const htt_fake_row *const zero = htt_fake_first(table, number_bytes(0, scratch));
    assert_int_equal(htt_fake_number_back(zero->key.data), 0);
    assert_int_equal(htt_fake_remove(table, number_bytes(9, scratch)), HTT_NOTFOUND);
    assert_int_equal(htt_fake_remove(table, number_bytes(1, scratch)), HTT_OK);
    assert_null(htt_fake_find(table, number_bytes(1, scratch)));
    assert_int_equal(htt_fake_count(table), 5);
    assert_int_equal(htt_db_close(db), HTT_OK);
}

/* A model: 32 keys, values 1 to 255, 0 = absent; a stack of states for the scopes. */
enum { MODEL_KEYS = 32, MODEL_DEPTH = 6 };

static void check_model(const htt_fake_table *table, const uint8_t *model) {
    size_t count = 0;
    for (uint8_t key = 0; key < MODEL_KEYS; key++) {
        const htt_fake_row *const row = htt_fake_find(table, (htt_fake_bytes){&key, 1});
        count += model[key] != 0;
        if (model[key] == 0) {
            assert_null(row);
        } else {
            assert_non_null(row);
            assert_int_equal(*(const uint8_t *)row->value.data, model[key]);
        }
    }
    assert_int_equal(htt_fake_count(table), count);
}

static bool (*gate_real)(size_t size);
static int gate_chance; /* one of so many fails; 0: none */
static uint64_t gate_seed;
static bool gate(size_t size) {
    (void)size;
    return gate_chance == 0 || test_random_below(&gate_seed, (uint64_t)gate_chance) != 0;
}

static void test_fake__random_changes_and_scopes_match_a_model(void **state) {
    (void)state;
    uint8_t model[MODEL_DEPTH + 1][MODEL_KEYS] = {{0}};
    htt_scope scopes[MODEL_DEPTH];
    size_t depth = 0;
    uint64_t seed = test_seed();
    htt_db *db;
    htt_fake_table *table;
    gate_real = htt_memory_gate;
    gate_seed = seed ^ 1;
    htt_memory_gate = gate;
    assert_int_equal(htt_db_open_fake(NULL, &db), HTT_OK);
    assert_int_equal(htt_fake_table_get(db->fake, "t", &table), HTT_OK);
    for (int step = 0; step < 20000; step++) {
        const uint64_t what = test_random_below(&seed, 100);
        const uint8_t key = (uint8_t)test_random_below(&seed, MODEL_KEYS);
        uint8_t value = (uint8_t)(1 + test_random_below(&seed, 255));
        const htt_fake_bytes key_bytes = {&key, 1};
        gate_chance = 7;
        if (what < 50) {
            const htt_rc rc = htt_fake_put(table, key_bytes, (htt_fake_bytes){&value, 1});
            if (rc == HTT_OK) {
                model[depth][key] = value;
            } else {
                assert_int_equal(rc, HTT_NOMEM);
            }
        } else if (what < 80) {
            const htt_rc rc = htt_fake_remove(table, key_bytes);
            if (rc == HTT_NOTFOUND) {
                assert_int_equal(model[depth][key], 0);
            } else if (rc == HTT_OK) {
                model[depth][key] = 0;
            } else {
                assert_int_equal(rc, HTT_NOMEM);
            }
        } else if (what < 90 && depth < MODEL_DEPTH) {
            assert_int_equal(htt_scope_enter(db, &scopes[depth], HTT_SCOPE_DEFERRED), HTT_OK);
            memcpy(model[depth + 1], model[depth], MODEL_KEYS);
            depth++;
        } else if (depth > 0) {
            depth--;
            if (what < 95) {
                assert_int_equal(htt_scope_leave(db, &scopes[depth], HTT_OK), HTT_OK);
                memcpy(model[depth], model[depth + 1], MODEL_KEYS);
            } else {
                htt_scope_rollback(db, &scopes[depth]);
            }
        }
        check_model(table, model[depth]);
    }
    while (depth > 0) {
        htt_scope_rollback(db, &scopes[--depth]);
        check_model(table, model[depth]);
    }
    htt_memory_gate = gate_real;
    assert_int_equal(htt_db_close(db), HTT_OK);
}

static bool gate_refuses(size_t size) {
    (void)size;
    return false;
}

static void test_memory__sizes_at_the_borders(void **state) {
    (void)state;
    void *const empty = htt_memory_new(0);
    assert_non_null(empty);
    void *const resized = htt_memory_resize(empty, 0);
    assert_non_null(resized);
    htt_memory_gate = gate_refuses;
    assert_null(htt_memory_new(1));
    assert_null(htt_memory_resize(resized, 10));
    assert_null(htt_memory_text("x"));
    htt_memory_gate = NULL;
    htt_memory_free(resized);
    htt_memory_free(NULL);
    assert_null(htt_memory_copy("x", SIZE_MAX));
    char *const copy = htt_memory_copy(NULL, 0);
    assert_string_equal(copy, "");
    htt_memory_free(copy);
}

/* A walk goes on behind the key of a row that was removed while it stood there. */
static void test_fake__a_walk_survives_the_removal_of_its_row(void **state) {
    (void)state;
    htt_db *db;
    htt_fake_table *table;
    htt_scope scope;
    assert_int_equal(htt_db_open_fake(NULL, &db), HTT_OK);
    assert_int_equal(htt_fake_table_get(db->fake, "t", &table), HTT_OK);
    assert_int_equal(htt_scope_enter(db, &scope, HTT_SCOPE_DEFERRED), HTT_OK);
    assert_int_equal(htt_fake_put(table, bytes(""), bytes("")), HTT_OK);
    assert_int_equal(htt_fake_put(table, bytes("a"), bytes("")), HTT_OK);
    assert_int_equal(htt_fake_put(table, bytes("b"), bytes("")), HTT_OK);
    const htt_fake_row *const first = htt_fake_first(table, bytes(""));
    const htt_fake_row *const second = htt_fake_next(table, first);
    assert_int_equal(htt_fake_remove(table, bytes("a")), HTT_OK);
    const htt_fake_row *const third = htt_fake_next(table, second);
    assert_memory_equal(third->key.data, "b", 1);
    assert_null(htt_fake_next(table, third));
    htt_scope_rollback(db, &scope);
    assert_int_equal(htt_fake_count(table), 0);
    assert_int_equal(htt_db_close(db), HTT_OK);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fake__rows_are_ordered_by_key),
        cmocka_unit_test(test_memory__sizes_at_the_borders),
        cmocka_unit_test(test_fake__a_walk_survives_the_removal_of_its_row),
        cmocka_unit_test(test_fake__random_changes_and_scopes_match_a_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
