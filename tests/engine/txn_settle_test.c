/* SPDX-License-Identifier: MIT */
/* Rows of a large transaction that settle, and what is left when all of them go again. */
#include "txn_support.h"

#define SETTLE_BASE 1300u /* rows whose tree has nodes beside data pages under its root */
#define SETTLE_ROWS 40000u
#define SETTLE_VALUE 1980u /* two rows to a page */
#define SETTLE_SMALL_ROWS 60000u
#define SETTLE_SMALL_VALUE 100u

static void settle_put(htt_txn *txn, unsigned from, unsigned end, size_t size) {
    static const uint8_t bytes[SETTLE_VALUE];
    char key[32];
    for (unsigned i = from; i < end; i++) {
        (void)snprintf(key, sizeof key, "k%u", i);
        assert_int_equal(htt_put(txn, htt_text(key), htt_blob(bytes, size), 0), HTT_OK);
    }
}

static void settle_del(htt_txn *txn, unsigned end) {
    char key[32];
    for (unsigned i = 0; i < end; i++) {
        (void)snprintf(key, sizeof key, "k%u", i);
        assert_int_equal(htt_del(txn, htt_text(key)), HTT_OK);
    }
}

static htt_store *settle_open(const htt_env *env, uint64_t budget) {
    htt_options options = txn_options(env);
    options.sync = HTT_SYNC_OFF;
    options.write_budget = budget;
    return txn_open_with(&options);
}

/* Parts of a run of children got no row: their nodes stayed, and no commit emptied the table. */
static void test_settle__a_table_that_grew_at_once_can_be_emptied(void **state) {
    (void)state;
    crash_fs *disk = crash_fs_new(1);
    htt_store *store = settle_open(crash_fs_env(disk), 1); /* rows go into pages at once */
    htt_txn *txn = txn_begin(store, HTT_WRITE);
    settle_put(txn, 0, SETTLE_BASE, SETTLE_VALUE);
    txn_commit(txn);
    htt_close(store);
    store = settle_open(crash_fs_env(disk), (uint64_t)512 << 20);
    txn = txn_begin(store, HTT_WRITE);
    settle_put(txn, SETTLE_BASE, SETTLE_ROWS, SETTLE_VALUE);
    txn_commit(txn);
    txn = txn_begin(store, HTT_WRITE);
    settle_del(txn, SETTLE_ROWS);
    txn_commit(txn);
    htt_close(store);
    txn_free_disk(disk);
}

/* A call without memory parts a node, and the rows that were to fill the parts are deleted. */
static void test_settle__a_call_without_memory_leaves_no_nodes_without_rows(void **state) {
    (void)state;
    unsigned refused = 0;
    for (uint64_t nth = 2; nth < 60; nth += 7) {
        crash_fs *disk = crash_fs_new(nth);
        fault_env *fault = fault_env_new(crash_fs_env(disk));
        htt_store *store = settle_open(fault_env_table(fault), (uint64_t)64 << 20);
        htt_txn *txn = txn_begin(store, HTT_WRITE);
        htt_datum value;
        settle_put(txn, 0, SETTLE_SMALL_ROWS, SETTLE_SMALL_VALUE);
        fault_env_arm(fault, &(fault_plan){.kinds = FAULT_MEMORY, .nth = nth, .persistent = true});
        const htt_rc rc = htt_get(txn, htt_text("k5"), &value);
        fault_env_disarm(fault);
        assert_true(rc == HTT_OK || rc == HTT_NOMEM);
        settle_del(txn, SETTLE_SMALL_ROWS);
        const htt_rc end = htt_commit(txn);
        assert_true(end == HTT_OK || (end == HTT_NOMEM && rc == HTT_NOMEM));
        refused += end == HTT_NOMEM;
        htt_close(store);
        fault_env_free(fault);
        txn_free_disk(disk);
    }
    assert_true(refused > 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_settle__a_table_that_grew_at_once_can_be_emptied),
        cmocka_unit_test(test_settle__a_call_without_memory_leaves_no_nodes_without_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
