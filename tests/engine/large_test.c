/* SPDX-License-Identifier: MIT */
/* ctest: long no-asan
 * The largest rows, and a transaction far above its write budget, on the real file system. Takes
 * 1 GB of memory and 2 GB of disk under ${TMPDIR:-/tmp}. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "htt.h"

static char large_path[600];

static void large_name(void) {
    const char *const folder = getenv("TMPDIR");
    (void)snprintf(large_path, sizeof large_path, "%s/htt-large-%ld.htt",
                   folder != NULL ? folder : "/tmp", (long)getpid());
}

static htt_store *large_open(uint64_t budget) {
    htt_options options;
    htt_store *store;
    large_name();
    htt_options_init(&options);
    options.flags |= HTT_OPEN_NEW;
    options.sync = HTT_SYNC_OFF;
    if (budget > 0)
        options.write_budget = budget;
    assert_int_equal(htt_open(large_path, &options, &store, NULL), HTT_OK);
    return store;
}

static void large_close(htt_store *store) {
    char lock[sizeof large_path + 8];
    htt_close(store);
    (void)snprintf(lock, sizeof lock, "%s-lock", large_path);
    assert_int_equal(unlink(large_path), 0);
    assert_int_equal(unlink(lock), 0);
}

/* Kilobytes of anonymous memory of this process. */
static long large_anonymous(void) {
    char line[256];
    long kilobytes = -1;
    FILE *const file = fopen("/proc/self/status", "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, "RssAnon:", 8) == 0)
            kilobytes = strtol(line + 8, NULL, 10);
    }
    (void)fclose(file);
    assert_true(kilobytes >= 0);
    return kilobytes;
}

static void test_large__the_largest_key_and_value_go_through(void **state) {
    (void)state;
    const size_t size = HTT_VALUE_SIZE_MAX;
    htt_store *const store = large_open(0);
    uint8_t *const value = malloc(size + 1);
    uint8_t *const key = malloc(HTT_KEY_SIZE_MAX + 1);
    htt_txn *txn;
    htt_datum found;
    uint64_t problems = 1;
    assert_non_null(value);
    assert_non_null(key);
    memset(key, 'k', HTT_KEY_SIZE_MAX + 1);
    for (size_t i = 0; i <= size; i++)
        value[i] = (uint8_t)(i * 2654435761u >> 24);
    assert_int_equal(htt_begin(store, HTT_WRITE, &txn), HTT_OK);
    const long before = large_anonymous();
    assert_int_equal(htt_put(txn, htt_blob(key, HTT_KEY_SIZE_MAX), htt_blob(value, size), 0),
                     HTT_OK);
    assert_in_range(large_anonymous() - before, 0, 16 * 1024); /* not a copy of it */
    assert_int_equal(htt_put(txn, htt_blob(key, 8), htt_blob(value, size + 1), 0), HTT_TOOBIG);
    assert_int_equal(htt_put(txn, htt_blob(key, HTT_KEY_SIZE_MAX + 1), htt_blob(value, 1), 0),
                     HTT_TOOBIG);
    assert_int_equal(htt_commit(txn), HTT_OK);
    assert_int_equal(htt_begin(store, HTT_READ, &txn), HTT_OK);
    assert_int_equal(htt_get(txn, htt_blob(key, HTT_KEY_SIZE_MAX), &found), HTT_OK);
    assert_int_equal(found.size, size);
    assert_memory_equal(found.data, value, size);
    assert_int_equal(htt_check(txn, HTT_CHECK_DEEP, NULL, NULL, &problems), HTT_OK);
    assert_int_equal(problems, 0);
    htt_abort(txn);
    free(value);
    free(key);
    large_close(store);
}

static void test_large__a_transaction_stays_within_its_budget(void **state) {
    (void)state;
    enum { ROWS = 2000000, BUDGET = 32 * 1024 * 1024 };
    htt_store *const store = large_open(BUDGET);
    uint8_t key[16], value[100] = {0};
    htt_txn *txn;
    uint64_t problems = 1;
    const long before = large_anonymous();
    assert_int_equal(htt_begin(store, HTT_WRITE, &txn), HTT_OK);
    for (uint64_t i = 0; i < ROWS; i++) {
        const uint64_t spread = i * UINT64_C(0x9E3779B97F4A7C15);
        memcpy(key, &spread, 8);
        memcpy(key + 8, &i, 8);
        memcpy(value, &i, 8);
        assert_int_equal(htt_put(txn, htt_blob(key, 16), htt_blob(value, 100), 0), HTT_OK);
        if (i % 100000 == 0)
            assert_in_range(large_anonymous() - before, 0, BUDGET / 1024 * 11 / 10);
    }
    assert_int_equal(htt_commit(txn), HTT_OK);
    assert_int_equal(htt_begin(store, HTT_READ, &txn), HTT_OK);
    assert_int_equal(htt_check(txn, HTT_CHECK_DEEP, NULL, NULL, &problems), HTT_OK);
    assert_int_equal(problems, 0);
    htt_abort(txn);
    large_close(store);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_large__the_largest_key_and_value_go_through),
        cmocka_unit_test(test_large__a_transaction_stays_within_its_budget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
