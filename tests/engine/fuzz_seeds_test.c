/* SPDX-License-Identifier: MIT */
/*
 * Small stores of every kind, from which the fuzzers of tests/fuzz start. The test sees to it that
 * each is what it says; with HTT_MAKE_CORPUS=<folder> the inputs are written to <folder>/file and
 * <folder>/row, which must exist. Values are mostly zeros, so that inputs are short.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/hash.h"
#include "page/index.h"
#include "page/meta.h"
#include "support/test_env_memory.h"
#include "support/test_sparse.h"

#define SEEDS_PATH "kv.htt"
#define SEEDS_VALUE_MAX 100000u
#define SEEDS_CROWD_BITS 9 /* leading bits of the root's slot that crowding keys share */

typedef struct seed_store {
    memory_fs *fs;     /* the disk */
    htt_store *store;  /* open */
    htt_txn *txn;      /* write transaction */
    uint64_t hash;     /* seed of the file's hash */
} seed_store;

typedef struct seed_kind {
    const char *name;              /* of the input */
    void (*fill)(seed_store *s);   /* in a write transaction; leaves one */
    uint32_t page_size;            /* of the file */
    htt_sync sync;                 /* normal: is not closed, so the newest state is weak */
    uint8_t options[2];            /* first bytes of the inputs, see file_fuzz.c */
    uint8_t page_type;             /* that must be in the file; 0 = none in particular */
} seed_kind;

/* ---------------------------------------------------------------- filling */

static void put(seed_store *s, htt_datum key, size_t size, uint8_t mark) {
    static uint8_t zeros[SEEDS_VALUE_MAX];
    zeros[0] = mark;
    assert_int_equal(htt_put(s->txn, key, htt_blob(zeros, size), 0), HTT_OK);
}

static htt_datum number(uint32_t i) {
    static uint8_t scratch[HTT_NUMBER_SIZE];
    return htt_integer(i, scratch);
}

static void commit(seed_store *s) {
    assert_int_equal(htt_commit(s->txn), HTT_OK);
    assert_int_equal(htt_begin(s->store, HTT_WRITE, &s->txn), HTT_OK);
}

static void fill_nothing(seed_store *s) {
    (void)s;
}

static void fill_one_row(seed_store *s) {
    put(s, htt_text("hostname"), 3, 'w');
}

static void fill_types(seed_store *s) {
    uint8_t scratch[2][HTT_NUMBER_SIZE];
    uint8_t row[64];
    htt_datum key;
    const htt_datum columns[] = {htt_integer(-7, scratch[0]), htt_text("seven"), htt_null(),
                                 htt_real(0.5, scratch[1])};
    htt_row_encode(columns, 4, row);
    const htt_datum value = htt_bytes(row, htt_row_size(columns, 4), HTT_ROW);
    assert_int_equal(htt_put(s->txn, htt_text("row"), value, 0), HTT_OK);
    assert_int_equal(htt_put(s->txn, htt_blob("", 0), htt_null(), 0), HTT_OK);
    assert_int_equal(htt_put(s->txn, htt_text(""), htt_text(""), 0), HTT_OK);
    assert_int_equal(htt_put(s->txn, htt_integer(INT64_MIN, scratch[0]),
                             htt_integer(INT64_MAX, scratch[1]), 0), HTT_OK);
    assert_int_equal(htt_key_real(-0.0, scratch[0], &key), HTT_OK);
    assert_int_equal(htt_put(s->txn, key, htt_real(-0.0, scratch[1]), 0), HTT_OK);
    assert_int_equal(htt_key_real(4.0, scratch[0], &key), HTT_OK);
    assert_int_equal(htt_put(s->txn, key, htt_text("integral"), 0), HTT_OK);
    assert_int_equal(htt_key_real(0.1, scratch[0], &key), HTT_OK);
    assert_int_equal(htt_put(s->txn, key, htt_blob("real", 4), 0), HTT_OK);
}

static void fill_one_page(seed_store *s) {
    for (uint32_t i = 0; i < 20; i++) {
        put(s, number(i), i, (uint8_t)i);
    }
}

static void fill_pages(seed_store *s) {
    for (uint32_t i = 0; i < 60; i++) {
        put(s, number(i), 200, (uint8_t)i);
    }
}

/* Keys that fall into few slots of the root node, so that nodes come to be below it. */
static void fill_crowd(seed_store *s, uint32_t count, size_t size) {
    for (uint32_t i = 0, found = 0; found < count; i++) {
        const htt_hash hash = htt_hash_key(s->hash, HTT_BLOB, &i, sizeof i);
        if (htt_hash_mix(hash, 0) >> (32 - SEEDS_CROWD_BITS) == 0) {
            put(s, htt_blob(&i, sizeof i), size, (uint8_t)found);
            found++;
        }
    }
}

static void fill_crowded(seed_store *s) {
    fill_crowd(s, 240, 300);
}

static void fill_crowded_deleted(seed_store *s) {
    fill_crowd(s, 240, 300);
    commit(s);
    for (uint32_t i = 0, found = 0; found < 200; i++) {
        const htt_rc rc = htt_del(s->txn, htt_blob(&i, sizeof i));
        assert_true(rc == HTT_OK || rc == HTT_NOTFOUND);
        found += rc == HTT_OK;
    }
}

static void fill_runs(seed_store *s) {
    put(s, htt_text("short"), 10, 's');
    put(s, htt_text("one page"), 3000, '1');
    put(s, htt_text("three"), 12000, '3');
    put(s, htt_text("many"), 50000, 'm');
}

static void fill_long_keys(seed_store *s) {
    static const uint8_t key[20000];
    put(s, htt_blob(key, 600), 5, 'a');
    put(s, htt_blob(key, 5000), 5000, 'b');
    put(s, htt_blob(key, 20000), 0, 0);
}

static void fill_free(seed_store *s) {
    for (uint32_t round = 0; round < 6; round++) {
        for (uint32_t i = 0; i < 24; i++) {
            put(s, number(i * 5 + round), 900, (uint8_t)round);
        }
        commit(s);
        for (uint32_t i = 0; i < 16; i++) {
            assert_int_equal(htt_del(s->txn, number(i * 5 + round)), HTT_OK);
        }
        commit(s);
    }
}

/* Holes of a page or two, and then values that need many pages. */
static void fill_fragments(seed_store *s) {
    for (uint32_t i = 0; i < 16; i++) {
        put(s, number(i), 3000 + 4096 * (i % 2), (uint8_t)i);
    }
    commit(s);
    for (uint32_t i = 0; i < 16; i += 2) {
        assert_int_equal(htt_del(s->txn, number(i)), HTT_OK);
    }
    commit(s);
    commit(s);
    put(s, number(100), 22000, 'x');
    put(s, number(101), 9000, 'y');
}

static void fill_vacuumed(seed_store *s) {
    uint64_t before = 0;
    uint64_t after = 0;
    fill_free(s);
    assert_int_equal(htt_commit(s->txn), HTT_OK);
    assert_int_equal(htt_vacuum(s->store, &before, &after), HTT_OK);
    assert_int_equal(htt_begin(s->store, HTT_WRITE, &s->txn), HTT_OK);
}

static void fill_half_done(seed_store *s) {
    fill_one_page(s);
    commit(s);
    put(s, number(3), 50, 'n');
}

static const seed_kind kinds[] = {
    {"empty", fill_nothing, 4096, HTT_SYNC_FULL, {0, 0x41}, 0},
    {"one_row", fill_one_row, 4096, HTT_SYNC_FULL, {0x01, 0x42}, 'D'},
    {"types", fill_types, 4096, HTT_SYNC_FULL, {0x01, 0x2B}, 'D'},
    {"one_page", fill_one_page, 4096, HTT_SYNC_FULL, {0x01, 0x91}, 'D'},
    {"pages", fill_pages, 4096, HTT_SYNC_FULL, {0x01, 0x5B}, 'N'},
    {"crowded", fill_crowded, 4096, HTT_SYNC_FULL, {0x09, 0x4B}, 'I'},
    {"crowded_deleted", fill_crowded_deleted, 4096, HTT_SYNC_FULL, {0x01, 0x93}, 'I'},
    {"runs", fill_runs, 4096, HTT_SYNC_FULL, {0x01, 0x33}, 'O'},
    {"long_keys", fill_long_keys, 4096, HTT_SYNC_FULL, {0x21, 0x8B}, 'O'},
    {"free", fill_free, 4096, HTT_SYNC_FULL, {0x11, 0x43}, 'F'},
    {"fragments", fill_fragments, 4096, HTT_SYNC_FULL, {0x01, 0xB3}, 'O'},
    {"vacuumed", fill_vacuumed, 4096, HTT_SYNC_FULL, {0x01, 0x83}, 'D'},
    {"weak", fill_half_done, 4096, HTT_SYNC_NORMAL, {0x00, 0x05}, 'D'},
    {"no_sync", fill_half_done, 4096, HTT_SYNC_OFF, {0x01, 0x42}, 'D'},
    {"pages_8192", fill_pages, 8192, HTT_SYNC_FULL, {0x01, 0x53}, 'N'},
    {"runs_65536", fill_runs, 65536, HTT_SYNC_FULL, {0x01, 0x4B}, 'D'},
};

/* ----------------------------------------------------------------- making */

static void write_input(const char *folder, const char *name, const uint8_t *head,
                        size_t head_size, const uint8_t *bytes, size_t size) {
    char path[500];
    const char *root = getenv("HTT_MAKE_CORPUS");
    if (root == NULL) {
        return;
    }
    (void)snprintf(path, sizeof path, "%s/%s/%s", root, folder, name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(head, 1, head_size, file), head_size);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static void check_file(const seed_kind *kind, const uint8_t *bytes, size_t size) {
    bool found = kind->page_type == 0;
    size_t input_size = 0;
    size_t again_size = 0;
    for (size_t at = 2 * kind->page_size; at < size; at += kind->page_size) {
        found = found || bytes[at + HTT_PAGE_TYPE] == kind->page_type;
    }
    assert_true(found);
    uint8_t *input = sparse_encode(bytes, size, &input_size);
    uint8_t *again = sparse_decode(input, input_size, size + 1, &again_size);
    assert_int_equal(again_size, size);
    assert_memory_equal(again, bytes, size);
    for (uint8_t i = 0; i < 2; i++) {
        char name[100];
        const uint8_t head[2] = {kind->options[i], i};
        (void)snprintf(name, sizeof name, "%s_%02x", kind->name, kind->options[i]);
        write_input("file", name, head, 2, input, input_size);
    }
    print_message("%s: %zu bytes, %zu as an input\n", kind->name, size, input_size);
    free(input);
    free(again);
}

static void make(const seed_kind *kind) {
    seed_store s = {.fs = memory_fs_new(7)};
    htt_options options;
    htt_meta meta;
    htt_fault fault;
    uint64_t problems = 0;
    size_t size = 0;
    htt_options_init(&options);
    options.env = memory_fs_env(s.fs);
    options.page_size = kind->page_size;
    options.sync = kind->sync;
    options.declaration = "key, value";
    assert_int_equal(htt_open(SEEDS_PATH, &options, &s.store, NULL), HTT_OK);
    const uint8_t *bytes = memory_fs_get_file(s.fs, SEEDS_PATH, &size);
    assert_int_equal(htt_meta_decode(bytes, size, &meta, &fault), HTT_META_VALID);
    s.hash = meta.root.seed;
    assert_int_equal(htt_begin(s.store, HTT_WRITE, &s.txn), HTT_OK);
    kind->fill(&s);
    assert_int_equal(htt_commit(s.txn), HTT_OK);
    assert_int_equal(htt_begin(s.store, HTT_READ, &s.txn), HTT_OK);
    assert_int_equal(htt_check(s.txn, HTT_CHECK_DEEP, NULL, NULL, &problems), HTT_OK);
    assert_int_equal(problems, 0);
    htt_stat stat;
    assert_int_equal(htt_txn_stat(s.txn, &stat), HTT_OK);
    htt_abort(s.txn);
    if (kind->sync == HTT_SYNC_FULL) {
        htt_close(s.store);
    }
    bytes = memory_fs_get_file(s.fs, SEEDS_PATH, &size);
    const size_t used = (size_t)stat.page_count * kind->page_size;
    check_file(kind, bytes, used < size ? used : size);
    if (kind->sync != HTT_SYNC_FULL) {
        htt_close(s.store);
    }
    memory_fs_free(s.fs);
}

static void test_fuzz_seeds__every_kind_of_file(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        make(&kinds[i]);
    }
}

static void test_fuzz_seeds__rows_and_numbers(void **state) {
    uint8_t scratch[HTT_NUMBER_SIZE];
    uint8_t bytes[400];
    htt_datum columns[40];
    (void)state;
    for (uint32_t i = 0; i < 40; i++) {
        columns[i] = i % 3 == 0 ? htt_null() : i % 3 == 1 ? htt_blob("abcdefgh", i % 8)
                                                          : htt_text("x");
    }
    for (uint32_t count = 0; count <= 40; count += 8) {
        char name[40];
        const uint8_t type = HTT_ROW;
        (void)snprintf(name, sizeof name, "row_%02u", (unsigned)count);
        assert_true(htt_row_size(columns, count) <= sizeof bytes);
        htt_row_encode(columns, count, bytes);
        write_input("row", name, &type, 1, bytes, htt_row_size(columns, count));
    }
    for (uint32_t i = 0; i < 4; i++) {
        static const int64_t numbers[] = {0, -1, 300, INT64_MIN};
        char name[40];
        (void)snprintf(name, sizeof name, "number_%u", (unsigned)i);
        const htt_datum datum = i % 2 == 0 ? htt_integer(numbers[i], scratch)
                                           : htt_real((double)numbers[i] / 3, scratch);
        write_input("row", name, &datum.type, 1, datum.data, datum.size);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fuzz_seeds__every_kind_of_file),
        cmocka_unit_test(test_fuzz_seeds__rows_and_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
