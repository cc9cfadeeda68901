/* SPDX-License-Identifier: MIT */
/* Freezes and savepoints, one rule at a time; pager_writer_test has the random model. */
#include "pager_support.h"

#include <errno.h>

#include "pager/writer_internal.h"

typedef struct fixture {
    pager_store store;  /* with pages 2 to 5 of contents 2 to 5, epoch 2 */
    htt_writer *writer; /* at epoch 3 */
    htt_error error;    /* of the last call */
} fixture;

static fixture *fixture_new(void) {
    fixture *f = calloc(1, sizeof *f);
    htt_writer *writer;

    assert_non_null(f);
    pager_store_open(&f->store, true, 0);
    writer = pager_store_begin(&f->store, 1, 0);
    assert_ok(htt_writer_reserve(writer, 4, &f->error), f->error);
    for (uint32_t i = 2; i < 6; i++) {
        uint32_t number;
        uint8_t *page;
        assert_ok(htt_writer_new(writer, &number, &page, &f->error), f->error);
        pager_fill(page, number);
    }
    pager_store_commit(&f->store, writer);
    f->writer = pager_store_begin(&f->store, 2, 0);
    return f;
}

static void fixture_free(fixture *f) {
    htt_writer_end(f->writer);
    pager_store_close(&f->store);
    free(f);
}

static uint32_t edit(fixture *f, uint32_t number, uint64_t content) {
    uint8_t *page;

    assert_ok(htt_writer_reserve(f->writer, 1, &f->error), f->error);
    assert_ok(htt_writer_edit(f->writer, &number, &page, &f->error), f->error);
    pager_fill(page, content);
    return number;
}

static uint64_t content(fixture *f, uint32_t number) {
    const uint8_t *page = htt_writer_find(f->writer, number);

    assert_non_null(page);
    return pager_content(page);
}

static void test_savepoint__a_frozen_page_is_copied_and_comes_back_at_the_thaw(void **state) {
    fixture *f = fixture_new();
    uint64_t freeze;
    uint32_t first;
    uint32_t second;

    (void)state;
    first = edit(f, 2, 20);
    assert_int_equal(first, 6);
    assert_ok(htt_writer_freeze(f->writer, &freeze, &f->error), f->error);
    second = edit(f, first, 21);
    assert_int_equal(second, 7);
    assert_int_equal(edit(f, second, 22), second); /* nobody froze that one */
    assert_int_equal(content(f, first), 20);
    assert_int_equal(content(f, second), 22);
    htt_writer_thaw(f->writer, freeze);
    assert_null(htt_writer_find(f->writer, first));
    assert_int_equal(edit(f, 3, 30), first);
    fixture_free(f);
}

static void test_savepoint__only_the_freeze_that_wants_a_page_keeps_it(void **state) {
    fixture *f = fixture_new();
    uint64_t outer;
    uint64_t inner;
    uint32_t a;
    uint32_t b;

    (void)state;
    assert_ok(htt_writer_freeze(f->writer, &outer, &f->error), f->error);
    a = edit(f, 2, 20); /* born after outer */
    for (uint32_t i = 0; i < 100; i++) {
        assert_ok(htt_writer_freeze(f->writer, &inner, &f->error), f->error);
        b = edit(f, a, 21 + i);
        assert_int_not_equal(b, a);
        htt_writer_thaw(f->writer, inner);
        a = b;
    }
    /* Two numbers were enough for a hundred copies. */
    assert_int_equal(htt_writer_page_count(f->writer), 8);
    htt_writer_thaw(f->writer, outer);
    fixture_free(f);
}

static void test_savepoint__an_older_freeze_may_end_first(void **state) {
    fixture *f = fixture_new();
    uint64_t older;
    uint64_t younger;
    uint32_t a;
    uint32_t b;
    uint32_t c;

    (void)state;
    a = edit(f, 2, 20);
    assert_ok(htt_writer_freeze(f->writer, &older, &f->error), f->error);
    b = edit(f, a, 21);
    assert_ok(htt_writer_freeze(f->writer, &younger, &f->error), f->error);
    c = edit(f, b, 22);
    htt_writer_thaw(f->writer, older);
    assert_null(htt_writer_find(f->writer, a));
    assert_int_equal(content(f, b), 21);
    htt_writer_thaw(f->writer, younger);
    assert_null(htt_writer_find(f->writer, b));
    assert_int_equal(content(f, c), 22);
    fixture_free(f);
}

static void test_savepoint__rollback_brings_back_contents_and_numbers(void **state) {
    fixture *f = fixture_new();
    uint32_t depth;
    uint32_t a;

    (void)state;
    a = edit(f, 2, 20);
    assert_ok(htt_writer_savepoint(f->writer, &depth, &f->error), f->error);
    assert_int_equal(depth, 0);
    for (uint32_t round = 0; round < 3; round++) {
        assert_int_equal(edit(f, a, 21), 7);
        assert_int_equal(edit(f, 3, 31), 8);
        htt_writer_rollback_to(f->writer, depth);
        assert_int_equal(content(f, a), 20);
        assert_null(htt_writer_find(f->writer, 7));
        assert_null(htt_writer_find(f->writer, 8));
        assert_int_equal(f->writer->freed.count, 1); /* page 2 */
        assert_int_equal(f->writer->deferred.count, 0);
        assert_int_equal(f->writer->log.count, 0);
    }
    htt_writer_release(f->writer, depth);
    assert_int_equal(edit(f, a, 23), a); /* nobody wants it any more */
    fixture_free(f);
}

static void test_savepoint__rollback_needs_no_memory(void **state) {
    fixture *f = fixture_new();
    uint32_t depth;
    uint32_t inner;
    uint64_t freeze;

    (void)state;
    assert_ok(htt_writer_savepoint(f->writer, &depth, &f->error), f->error);
    assert_ok(htt_writer_savepoint(f->writer, &inner, &f->error), f->error);
    for (uint32_t i = 0; i < 2000; i++) {
        uint32_t number;
        uint8_t *page;
        assert_ok(htt_writer_reserve(f->writer, 1, &f->error), f->error);
        assert_ok(htt_writer_new(f->writer, &number, &page, &f->error), f->error);
        pager_fill(page, number);
        if (i == 1000)
            assert_ok(htt_writer_freeze(f->writer, &freeze, &f->error), f->error);
    }
    fault_env_arm(f->store.fault,
                  &(fault_plan){.kinds = FAULT_ALL, .nth = 1, .persistent = true, .error = EIO});
    htt_writer_rollback_to(f->writer, inner);
    htt_writer_rollback_to(f->writer, inner);
    htt_writer_rollback_to(f->writer, depth);
    assert_int_equal(f->writer->pool.pages, 0); /* the cursor has them */
    htt_writer_thaw(f->writer, freeze);
    assert_int_equal(f->writer->pool.pages, 2000);
    assert_int_equal(fault_env_failures(f->store.fault), 0);
    fault_env_disarm(f->store.fault);
    fixture_free(f);
}

static void test_savepoint__a_cursor_keeps_what_is_rolled_back_until_it_thaws(void **state) {
    fixture *f = fixture_new();
    uint32_t depth;
    uint64_t freeze;
    uint32_t a;

    (void)state;
    assert_ok(htt_writer_savepoint(f->writer, &depth, &f->error), f->error);
    a = edit(f, 2, 20);
    assert_ok(htt_writer_freeze(f->writer, &freeze, &f->error), f->error);
    htt_writer_rollback_to(f->writer, depth);
    assert_int_equal(content(f, a), 20);
    assert_int_not_equal(edit(f, 3, 30), a);
    htt_writer_rollback_to(f->writer, depth);
    assert_int_equal(content(f, a), 20);
    htt_writer_thaw(f->writer, freeze);
    assert_null(htt_writer_find(f->writer, a));
    assert_int_equal(edit(f, 3, 30), a); /* used again, the savepoint is still open */
    fixture_free(f);
}

static void test_savepoint__release_gives_back_what_only_it_wanted(void **state) {
    fixture *f = fixture_new();
    uint32_t outer;
    uint32_t inner;
    uint32_t a;

    (void)state;
    assert_ok(htt_writer_savepoint(f->writer, &outer, &f->error), f->error);
    a = edit(f, 2, 20);
    for (uint32_t i = 0; i < 1000; i++) {
        assert_ok(htt_writer_savepoint(f->writer, &inner, &f->error), f->error);
        assert_int_equal(inner, 1);
        a = edit(f, a, i);
        htt_writer_release(f->writer, inner);
    }
    assert_int_equal(htt_writer_page_count(f->writer), 8);
    /* And the log of it stayed short. */
    assert_true(f->writer->log.count < 200);
    htt_writer_rollback_to(f->writer, outer);
    assert_int_equal(f->writer->pool.pages, 2);
    (void)edit(f, 2, 20);
    assert_int_equal(f->writer->log.count, 1);
    htt_writer_release(f->writer, outer);
    assert_int_equal(f->writer->log.count, 0);
    fixture_free(f);
}

static void test_savepoint__release_ends_the_ones_above_it(void **state) {
    fixture *f = fixture_new();
    uint32_t depth[3];
    uint32_t a;

    (void)state;
    a = edit(f, 2, 20);
    for (uint32_t i = 0; i < 3; i++) {
        assert_ok(htt_writer_savepoint(f->writer, &depth[i], &f->error), f->error);
        assert_int_equal(depth[i], i);
    }
    htt_writer_release(f->writer, 1);
    assert_int_equal(f->writer->freezes.count, 1);
    htt_writer_release(f->writer, 0);
    assert_int_equal(f->writer->freezes.count, 0);
    assert_int_equal(edit(f, a, 21), a);
    fixture_free(f);
}

static void test_savepoint__no_memory_is_told(void **state) {
    fixture *f = fixture_new();
    uint32_t depth;
    uint64_t freeze;

    (void)state;
    for (uint64_t nth = 1; nth <= 2; nth++) {
        fault_env_arm(f->store.fault, &(fault_plan){.kinds = FAULT_MEMORY, .nth = nth});
        assert_int_equal(htt_writer_savepoint(f->writer, &depth, &f->error), HTT_NOMEM);
        assert_int_equal(f->writer->marks.count, 0);
        assert_int_equal(f->writer->freezes.count, 0);
    }
    fault_env_arm(f->store.fault, &(fault_plan){.kinds = FAULT_MEMORY, .nth = 1});
    assert_int_equal(htt_writer_freeze(f->writer, &freeze, &f->error), HTT_NOMEM);
    fault_env_disarm(f->store.fault);
    assert_ok(htt_writer_savepoint(f->writer, &depth, &f->error), f->error);
    fixture_free(f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_savepoint__a_frozen_page_is_copied_and_comes_back_at_the_thaw),
        cmocka_unit_test(test_savepoint__only_the_freeze_that_wants_a_page_keeps_it),
        cmocka_unit_test(test_savepoint__an_older_freeze_may_end_first),
        cmocka_unit_test(test_savepoint__rollback_brings_back_contents_and_numbers),
        cmocka_unit_test(test_savepoint__rollback_needs_no_memory),
        cmocka_unit_test(test_savepoint__a_cursor_keeps_what_is_rolled_back_until_it_thaws),
        cmocka_unit_test(test_savepoint__release_gives_back_what_only_it_wanted),
        cmocka_unit_test(test_savepoint__release_ends_the_ones_above_it),
        cmocka_unit_test(test_savepoint__no_memory_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
