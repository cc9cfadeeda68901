/* SPDX-License-Identifier: MIT */
/* What the tests of engine/txn share. Most work on the disk in memory of test_env_crash.h. */
#ifndef HTT_TESTS_TXN_SUPPORT_H
#define HTT_TESTS_TXN_SUPPORT_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/test_env_crash.h"
#include "support/test_env_fault.h"
#include "txn/store.h"
#include "txn/testing.h"

#define TXN_PATH "kv.htt"
#define TXN_LOCK "kv.htt-lock"

/* Options with an env; the rest as htt_options_init. */
static inline htt_options txn_options(const htt_env *env) {
    htt_options options;
    htt_options_init(&options);
    options.env = env;
    return options;
}

static inline htt_store *txn_open_with(const htt_options *options) {
    htt_store *store = NULL;
    htt_error error;
    const htt_rc rc = htt_open(TXN_PATH, options, &store, &error);
    if (rc != HTT_OK)
        fail_msg("open: %s", error.text);
    return store;
}

static inline htt_store *txn_open(const htt_env *env) {
    const htt_options options = txn_options(env);
    return txn_open_with(&options);
}

/* An open that must fail so, with this in its text. */
static inline void txn_open_fails(const char *path, const htt_options *options, htt_rc rc,
                                  const char *text) {
    htt_store *store = NULL;
    htt_error error;
    assert_int_equal(htt_open(path, options, &store, &error), rc);
    assert_null(store);
    assert_int_equal(error.rc, rc);
    if (strstr(error.text, text) == NULL)
        fail_msg("'%s' is not in '%s'", text, error.text);
}

static inline htt_txn *txn_begin(htt_store *store, unsigned mode) {
    htt_txn *txn = NULL;
    const htt_rc rc = htt_begin(store, mode, &txn);
    if (rc != HTT_OK)
        fail_msg("begin: %s", htt_errmsg(store));
    return txn;
}

static inline void txn_commit(htt_txn *txn) {
    htt_store *store = txn->store;
    if (htt_commit(txn) != HTT_OK)
        fail_msg("commit: %s", htt_errmsg(store));
}

/* Row number -> value number; the value is `size` bytes of it, at least 8. */
static inline void txn_put(htt_txn *txn, uint64_t row, uint64_t number, size_t size) {
    uint8_t key[8], *value = malloc(size);
    assert_non_null(value);
    for (size_t i = 0; i < size; i++)
        value[i] = (uint8_t)(number >> (8 * (i % 8)));
    if (htt_put(txn, htt_integer((int64_t)row, key), htt_blob(value, size), 0) != HTT_OK)
        fail_msg("put: %s", htt_txn_errmsg(txn));
    free(value);
}

/* The value's number, or UINT64_MAX when there is no such row. */
static inline uint64_t txn_get(htt_txn *txn, uint64_t row) {
    uint8_t key[8];
    htt_datum value;
    const htt_rc rc = htt_get(txn, htt_integer((int64_t)row, key), &value);
    if (rc == HTT_NOTFOUND)
        return UINT64_MAX;
    if (rc != HTT_OK)
        fail_msg("get: %s", htt_txn_errmsg(txn));
    assert_true(value.size >= 8);
    for (size_t i = 8; i < value.size; i++)
        assert_int_equal(((const uint8_t *)value.data)[i], ((const uint8_t *)value.data)[i - 8]);
    uint64_t number;
    memcpy(&number, value.data, 8);
    return number;
}

static inline void txn_del(htt_txn *txn, uint64_t row) {
    uint8_t key[8];
    if (htt_del(txn, htt_integer((int64_t)row, key)) != HTT_OK)
        fail_msg("del: %s", htt_txn_errmsg(txn));
}

/* One transaction: rows [first, end) get this number. */
static inline void txn_fill(htt_store *store, uint64_t first, uint64_t end, uint64_t number,
                            size_t size) {
    htt_txn *txn = txn_begin(store, HTT_WRITE);
    for (uint64_t row = first; row < end; row++)
        txn_put(txn, row, number, size);
    txn_commit(txn);
}

/* All rows of [first, end) have this number. */
static inline void txn_expect(htt_txn *txn, uint64_t first, uint64_t end, uint64_t number) {
    for (uint64_t row = first; row < end; row++)
        assert_int_equal(txn_get(txn, row), number);
}

static inline int txn_print_problem(void *arg, uint32_t page, const char *problem) {
    (void)arg;
    print_error("page %u: %s\n", (unsigned)page, problem);
    return 0;
}

/* A deep check finds nothing. */
static inline void txn_check(htt_store *store) {
    htt_txn *txn = txn_begin(store, HTT_READ);
    uint64_t problems = 99;
    assert_int_equal(htt_check(txn, HTT_CHECK_DEEP, txn_print_problem, NULL, &problems), HTT_OK);
    assert_int_equal(problems, 0);
    txn_commit(txn);
}

/* Gives back: one number, in a read transaction of its own. */
static inline uint64_t txn_read(htt_store *store, uint64_t row) {
    htt_txn *txn = txn_begin(store, HTT_READ);
    const uint64_t number = txn_get(txn, row);
    txn_commit(txn);
    return number;
}

/* Frees a disk on which all handles were closed. */
static inline void txn_free_disk(crash_fs *disk) {
    assert_int_equal(crash_fs_held(disk), 0);
    crash_fs_free(disk);
}

#endif
