/* SPDX-License-Identifier: MIT */
#include "txn_support.h"

enum { ROWS = 40, DEPTH = 12 };

static void test_savepoint__rollback_undoes_and_keeps_it_open(void **state) {
    (void)state;
    crash_fs *disk = crash_fs_new(1);
    htt_store *store = txn_open(crash_fs_env(disk));
    uint32_t outer, inner;
    txn_fill(store, 0, 10, 1, 100);
    htt_txn *txn = txn_begin(store, HTT_WRITE);
    txn_put(txn, 0, 2, 100);
    assert_int_equal(htt_savepoint(txn, &outer), HTT_OK);
    for (int i = 0; i < 3; i++) {
        txn_put(txn, 0, 3, 5000);
        txn_put(txn, 50, 3, 100);
        assert_int_equal(htt_savepoint(txn, &inner), HTT_OK);
        txn_del(txn, 1);
        assert_int_equal(htt_rollback_to(txn, inner), HTT_OK);
        assert_int_equal(txn_get(txn, 1), 1);
        assert_int_equal(txn_get(txn, 0), 3);
        assert_int_equal(htt_rollback_to(txn, outer), HTT_OK);
        assert_int_equal(txn_get(txn, 0), 2);
        assert_int_equal(txn_get(txn, 50), UINT64_MAX);
        assert_int_equal(htt_rollback_to(txn, inner), HTT_MISUSE); /* gone with it */
    }
    uint64_t count;
    assert_int_equal(htt_count(txn, &count), HTT_OK);
    assert_int_equal(count, 10);
    txn_commit(txn);
    assert_int_equal(txn_read(store, 0), 2);
    txn_check(store);
    htt_close(store);
    txn_free_disk(disk);
}

static void test_savepoint__release_keeps_changes_and_forgets_the_inner_ones(void **state) {
    (void)state;
    crash_fs *disk = crash_fs_new(1);
    htt_store *store = txn_open(crash_fs_env(disk));
    uint32_t ids[3], id;
    htt_txn *txn = txn_begin(store, HTT_WRITE);
    for (uint64_t i = 0; i < 3; i++) {
        assert_int_equal(htt_savepoint(txn, &ids[i]), HTT_OK);
        txn_put(txn, i, i, 100);
    }
    assert_int_equal(htt_release(txn, ids[1]), HTT_OK);
    assert_int_equal(htt_release(txn, ids[2]), HTT_MISUSE);
    assert_non_null(strstr(htt_txn_errmsg(txn), "savepoint"));
    assert_int_equal(htt_rollback_to(txn, ids[1]), HTT_MISUSE);
    assert_int_equal(txn_get(txn, 2), 2);
    assert_int_equal(htt_savepoint(txn, &id), HTT_OK);
    assert_true(id > ids[2]); /* never used twice */
    assert_int_equal(htt_rollback_to(txn, ids[0]), HTT_OK);
    assert_int_equal(txn_get(txn, 0), UINT64_MAX);
    txn_put(txn, 9, 9, 100);
    txn_commit(txn); /* with open savepoints */
    assert_int_equal(txn_read(store, 9), 9);
    txn_check(store);
    htt_close(store);
    txn_free_disk(disk);
}

static void test_savepoint__a_read_transaction_has_none(void **state) {
    (void)state;
    crash_fs *disk = crash_fs_new(1);
    htt_store *store = txn_open(crash_fs_env(disk));
    htt_txn *txn = txn_begin(store, HTT_READ);
    uint32_t id;
    assert_int_equal(htt_savepoint(txn, &id), HTT_READONLY);
    assert_int_equal(htt_rollback_to(txn, 1), HTT_READONLY);
    assert_int_equal(htt_release(txn, 1), HTT_READONLY);
    txn_commit(txn);
    assert_int_equal(htt_savepoint(NULL, &id), HTT_MISUSE);
    htt_close(store);
    txn_free_disk(disk);
}

/* What the rows must be, and at each open savepoint. */
typedef struct model {
    uint64_t rows[DEPTH + 1][ROWS]; /* UINT64_MAX = absent; the last one is the present */
    uint32_t ids[DEPTH];            /* of open savepoints */
    uint32_t depth;                 /* of them */
} model;

static uint64_t model_random(uint64_t *state) {
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *state >> 33;
}

static void model_change(model *m, htt_txn *txn, uint64_t *random, uint64_t number) {
    const uint64_t row = model_random(random) % ROWS;
    uint64_t *now = m->rows[m->depth];
    if (model_random(random) % 3 > 0) {
        txn_put(txn, row, number, 8 + model_random(random) % 3000);
        now[row] = number;
    } else if (now[row] != UINT64_MAX) {
        txn_del(txn, row);
        now[row] = UINT64_MAX;
    }
}

static void model_move(model *m, htt_txn *txn, uint64_t *random) {
    const uint64_t what = model_random(random) % 3;
    const uint32_t depth = m->depth;
    const uint32_t to = depth == 0 ? 0 : (uint32_t)(model_random(random) % depth);
    if (what == 0 && depth < DEPTH) {
        assert_int_equal(htt_savepoint(txn, &m->ids[depth]), HTT_OK);
        memcpy(m->rows[depth + 1], m->rows[depth], sizeof m->rows[0]);
        m->depth++;
    } else if (what == 1 && depth > 0) {
        assert_int_equal(htt_rollback_to(txn, m->ids[to]), HTT_OK);
        memcpy(m->rows[to + 1], m->rows[to], sizeof m->rows[0]);
        m->depth = to + 1;
    } else if (what == 2 && depth > 0) {
        assert_int_equal(htt_release(txn, m->ids[to]), HTT_OK);
        memcpy(m->rows[to], m->rows[depth], sizeof m->rows[0]);
        m->depth = to;
    }
}

static void test_savepoint__nested_ones_follow_a_model(void **state) {
    (void)state;
    uint64_t random = 4711;
    crash_fs *disk = crash_fs_new(1);
    htt_store *store = txn_open(crash_fs_env(disk));
    model *m = malloc(sizeof *m);
    m->depth = 0;
    memset(m->rows[0], 0xff, sizeof m->rows[0]);
    for (uint64_t round = 0; round < 30; round++) {
        htt_txn *txn = txn_begin(store, HTT_WRITE);
        uint64_t before[ROWS];
        memcpy(before, m->rows[0], sizeof before);
        for (uint64_t i = 0; i < 200; i++) {
            if (model_random(&random) % 4 == 0)
                model_move(m, txn, &random);
            else
                model_change(m, txn, &random, round * 1000 + i);
            if (i % 10 == 0) {
                for (uint64_t row = 0; row < ROWS; row++)
                    assert_int_equal(txn_get(txn, row), m->rows[m->depth][row]);
            }
        }
        if (round % 3 == 2) {
            htt_abort(txn);
            memcpy(m->rows[0], before, sizeof before);
        } else {
            memcpy(m->rows[0], m->rows[m->depth], sizeof before);
            txn_commit(txn);
        }
        m->depth = 0;
        txn = txn_begin(store, HTT_READ);
        for (uint64_t row = 0; row < ROWS; row++)
            assert_int_equal(txn_get(txn, row), m->rows[0][row]);
        txn_commit(txn);
        txn_check(store);
    }
    free(m);
    htt_close(store);
    txn_free_disk(disk);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_savepoint__rollback_undoes_and_keeps_it_open),
        cmocka_unit_test(test_savepoint__release_keeps_changes_and_forgets_the_inner_ones),
        cmocka_unit_test(test_savepoint__a_read_transaction_has_none),
        cmocka_unit_test(test_savepoint__nested_ones_follow_a_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
