/* SPDX-License-Identifier: MIT */
/*
 * ctest: release
 *
 * What a lookup costs, without a clock: pages touched, pieces of memory asked for. A change that
 * adds one of either to a get fails here. With arguments this is the program whose instructions
 * tests/ext/cost_instructions_test.py counts:
 *
 *     test_ext_cost make FOLDER               the table
 *     test_ext_cost native|select|alone|miss FOLDER N      N lookups in it
 */
#define SQLITE_CORE 1 /* SQLite is called directly, as in libhtt.a */

#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/htt.h"
#include "engine/htt_env.h"

extern const htt_env *htt_arguments_env; /* ext/arguments.h */
int sqlite3_htt_init(sqlite3 *db, char **message_out, const void *api);

enum {
    COST_ROWS = 100000,
    COST_GETS = 20000, /* of each kind */
    COST_KEY = 16,     /* bytes */
    COST_VALUE = 100   /* bytes */
};

/* ------------------------------------------------------- what is counted */

static uint64_t cost_reads;              /* of a file: pages, where none is kept */
static uint64_t cost_pieces;             /* of memory that the engine asked for */
static uint64_t cost_sqlite_pieces;      /* of memory that SQLite and the module asked for */
static uint64_t cost_random;             /* state of the file's "random" numbers */
static sqlite3_mem_methods cost_methods; /* SQLite's own allocator */

static int cost_read(void *context, htt_file *file, void *buffer, size_t size, uint64_t offset,
                     size_t *read_out) {
    cost_reads++;
    return htt_env_system()->read(context, file, buffer, size, offset, read_out);
}

static void *cost_allocate(void *context, size_t size) {
    cost_pieces++;
    return htt_env_system()->allocate(context, size);
}

static void *cost_reallocate(void *context, void *memory, size_t size) {
    cost_pieces++;
    return htt_env_system()->reallocate(context, memory, size);
}

/* The same seed, and so the same tree, each time. */
static int cost_fill_random(void *context, void *buffer, size_t size) {
    (void)context;
    for (size_t i = 0; i < size; i++) {
        cost_random = cost_random * UINT64_C(6364136223846793005) + 1442695040888963407u;
        ((uint8_t *)buffer)[i] = (uint8_t)(cost_random >> 56);
    }
    return 0;
}

static void *cost_sqlite_malloc(int size) {
    cost_sqlite_pieces++;
    return cost_methods.xMalloc(size);
}

static void *cost_sqlite_realloc(void *memory, int size) {
    cost_sqlite_pieces++;
    return cost_methods.xRealloc(memory, size);
}

/* Before SQLite is used. */
static void cost_count_from_here(void) {
    static htt_env env;
    env = *htt_env_system();
    env.read = cost_read;
    env.allocate = cost_allocate;
    env.reallocate = cost_reallocate;
    env.random = cost_fill_random;
    htt_arguments_env = &env;
    assert_int_equal(sqlite3_config(SQLITE_CONFIG_GETMALLOC, &cost_methods), SQLITE_OK);
    sqlite3_mem_methods counting = cost_methods;
    counting.xMalloc = cost_sqlite_malloc;
    counting.xRealloc = cost_sqlite_realloc;
    assert_int_equal(sqlite3_config(SQLITE_CONFIG_MALLOC, &counting), SQLITE_OK);
}

/* ------------------------------------------------------------------ rows */

static void cost_key(uint64_t index, char key[COST_KEY + 1]) {
    index = (index ^ index >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    index = (index ^ index >> 27) * UINT64_C(0x94D049BB133111EB);
    (void)snprintf(key, COST_KEY + 1, "%016llX", (unsigned long long)(index ^ index >> 31));
}

static uint64_t cost_round = COST_ROWS; /* so many different rows, then the same again */

static uint64_t cost_pick(uint64_t i) {
    return i % cost_round * 7919 % COST_ROWS;
}

static sqlite3_stmt *cost_prepare(sqlite3 *db, const char *sql) {
    sqlite3_stmt *statement = NULL;
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
    return statement;
}

static sqlite3 *cost_open(const char *folder) {
    char path[512];
    (void)snprintf(path, sizeof path, "%s/cost.db", folder);
    return fixture_open_path(path);
}

static void cost_make(const char *folder) {
    char key[COST_KEY + 1];
    uint8_t value[COST_VALUE] = {0};
    sqlite3 *const db = cost_open(folder);
    run(db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF;"
            "CREATE VIRTUAL TABLE kv USING htt('kv.htt', sync=off);"
            "CREATE TABLE ordinary(key PRIMARY KEY, value) WITHOUT ROWID; BEGIN");
    sqlite3_stmt *const insert = cost_prepare(db, "INSERT INTO kv VALUES (?1, ?2)");
    for (uint64_t i = 0; i < COST_ROWS; i++) {
        cost_key(i, key);
        memcpy(value, key, COST_KEY);
        sqlite3_bind_text(insert, 1, key, COST_KEY, SQLITE_STATIC);
        sqlite3_bind_blob(insert, 2, value, COST_VALUE, SQLITE_STATIC);
        assert_int_equal(sqlite3_step(insert), SQLITE_DONE);
        assert_int_equal(sqlite3_reset(insert), SQLITE_OK);
    }
    assert_int_equal(sqlite3_finalize(insert), SQLITE_OK);
    run(db, "COMMIT; BEGIN; INSERT INTO ordinary SELECT * FROM kv; COMMIT");
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

/* ---------------------------------------------------------------- lookups */

/* `first` COST_ROWS: keys that are not there. */
static void cost_get_native(htt_txn *txn, uint64_t first, uint64_t count) {
    for (uint64_t i = 0; i < count; i++) {
        char key[COST_KEY + 1];
        htt_datum value;
        cost_key(first + cost_pick(i), key);
        const htt_rc rc = htt_get(txn, htt_bytes(key, COST_KEY, HTT_TEXT), &value);
        assert_int_equal(rc, first == 0 ? HTT_OK : HTT_NOTFOUND);
        assert_true(rc != HTT_OK ||
                    (value.size == COST_VALUE && memcmp(value.data, key, COST_KEY) == 0));
    }
}

static void cost_get_sql(sqlite3_stmt *select, uint64_t first, uint64_t count) {
    for (uint64_t i = 0; i < count; i++) {
        char key[COST_KEY + 1];
        cost_key(first + cost_pick(i), key);
        sqlite3_bind_text(select, 1, key, COST_KEY, SQLITE_STATIC);
        const int rc = sqlite3_step(select);
        assert_int_equal(rc, first == 0 ? SQLITE_ROW : SQLITE_DONE);
        if (rc == SQLITE_ROW) {
            const void *const value = sqlite3_column_blob(select, 0);
            assert_int_equal(sqlite3_column_bytes(select, 0), COST_VALUE);
            assert_memory_equal(value, key, COST_KEY);
        }
        assert_int_equal(sqlite3_reset(select), SQLITE_OK);
    }
}

static htt_store *cost_open_store(const char *folder, unsigned flags) {
    char path[512];
    htt_options options;
    htt_store *store = NULL;
    (void)snprintf(path, sizeof path, "%s/kv.htt", folder);
    htt_options_init(&options);
    options.flags = HTT_OPEN_READONLY | flags;
    options.cache_bytes = 0; /* with HTT_OPEN_NO_MMAP a page is read each time it is touched */
    options.env = htt_arguments_env;
    assert_int_equal(htt_open(path, &options, &store, NULL), HTT_OK);
    return store;
}

/* ------------------------------------------------------------------ tests */

static char cost_folder[64];

static int cost_setup(void **state) {
    (void)state;
    fixture_make_folder(cost_folder, sizeof cost_folder);
    cost_make(cost_folder);
    return 0;
}

static int cost_teardown(void **state) {
    (void)state;
    fixture_remove_folder(cost_folder);
    return 0;
}

/* Pages of each lookup, as the shape of the tree demands it: an absent key may end above. */
static void check_pages(const char *what, uint64_t reads, double least, double most) {
    const double pages = (double)reads / COST_GETS;
    printf("%s: %.3f pages, %.3f to %.3f expected\n", what, pages, least, most);
    assert_true(pages >= least);
    assert_true(pages <= most);
}

static void test_cost__a_lookup_touches_its_index_nodes_and_one_page(void **state) {
    (void)state;
    htt_stat stat;
    htt_txn *txn = NULL;
    htt_store *const store = cost_open_store(cost_folder, HTT_OPEN_NO_MMAP);
    assert_int_equal(htt_begin(store, HTT_READ, &txn), HTT_OK);
    assert_int_equal(htt_txn_stat(txn, &stat), HTT_OK);
    printf("%.3f index nodes above a row\n", stat.depth_average);
    assert_true(stat.depth_average < 2.5);
    cost_reads = 0;
    cost_get_native(txn, 0, COST_GETS);
    check_pages("get", cost_reads, stat.depth_average + 0.95, stat.depth_average + 1.05);
    cost_reads = 0;
    cost_get_native(txn, COST_ROWS, COST_GETS);
    check_pages("get of an absent key", cost_reads, 1, stat.depth_average + 1.05);
    htt_abort(txn);
    htt_close(store);
}

static void test_cost__a_select_touches_the_pages_of_a_native_get(void **state) {
    (void)state;
    htt_txn *txn = NULL;
    htt_store *const store = cost_open_store(cost_folder, HTT_OPEN_NO_MMAP);
    assert_int_equal(htt_begin(store, HTT_READ, &txn), HTT_OK);
    cost_reads = 0;
    cost_get_native(txn, 0, COST_GETS);
    cost_get_native(txn, COST_ROWS, COST_GETS);
    const uint64_t native = cost_reads;
    htt_abort(txn);
    htt_close(store);

    sqlite3 *const db = cost_open(cost_folder);
    run(db, "DROP TABLE kv; CREATE VIRTUAL TABLE kv USING htt('kv.htt', mmap=off, cache_bytes=1)");
    sqlite3_stmt *const select = cost_prepare(db, "SELECT value FROM kv WHERE key = ?1");
    for (int alone = 0; alone < 2; alone++) {
        run(db, alone == 1 ? "SELECT 1" : "BEGIN");
        cost_get_sql(select, 0, 10);
        cost_reads = 0;
        cost_get_sql(select, 0, COST_GETS);
        cost_get_sql(select, COST_ROWS, COST_GETS);
        assert_int_equal(cost_reads, native);
        run(db, alone == 1 ? "SELECT 1" : "COMMIT");
    }
    assert_int_equal(sqlite3_finalize(select), SQLITE_OK);
    run(db, "DROP TABLE kv; CREATE VIRTUAL TABLE kv USING htt('kv.htt', sync=off)");
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void test_cost__a_native_get_asks_for_no_memory(void **state) {
    (void)state;
    htt_txn *txn = NULL;
    htt_store *const store = cost_open_store(cost_folder, 0);
    assert_int_equal(htt_begin(store, HTT_READ, &txn), HTT_OK);
    cost_get_native(txn, 0, COST_ROWS); /* every page is verified, and that remembered */
    cost_pieces = 0;
    cost_sqlite_pieces = 0;
    cost_get_native(txn, 0, COST_GETS);
    cost_get_native(txn, COST_ROWS, COST_GETS);
    for (int i = 0; i < 1000; i++) { /* each its own transaction */
        htt_reset(txn);
        assert_int_equal(htt_renew(txn), HTT_OK);
        cost_get_native(txn, 0, 1);
    }
    assert_int_equal(cost_pieces, 0);
    assert_int_equal(cost_sqlite_pieces, 0);
    htt_abort(txn);
    htt_close(store);
}

/* Pieces of memory that SQLite asks for in COST_GETS lookups. */
static uint64_t cost_sqlite(sqlite3 *db, const char *sql, uint64_t first) {
    sqlite3_stmt *const select = cost_prepare(db, sql);
    cost_get_sql(select, first, COST_ROWS / 10);
    cost_sqlite_pieces = 0;
    cost_get_sql(select, first, COST_GETS);
    const uint64_t pieces = cost_sqlite_pieces;
    assert_int_equal(sqlite3_finalize(select), SQLITE_OK);
    return pieces;
}

/* One is SQLite's cursor, where it has no lookaside memory for it. */
static void test_cost__a_select_asks_for_memory_once_at_most(void **state) {
    (void)state;
    sqlite3 *const db = cost_open(cost_folder);
    for (int alone = 0; alone < 2; alone++) {
        run(db, alone == 1 ? "SELECT 1" : "BEGIN");
        for (uint64_t first = 0; first <= COST_ROWS; first += COST_ROWS) {
            const uint64_t ordinary =
                cost_sqlite(db, "SELECT value FROM ordinary WHERE key = ?1", first);
            const uint64_t ours = cost_sqlite(db, "SELECT value FROM kv WHERE key = ?1", first);
            printf("%llu pieces of memory in %d lookups, %llu by an ordinary table\n",
                   (unsigned long long)ours, COST_GETS, (unsigned long long)ordinary);
            assert_in_range(ours, 0, COST_GETS);
            assert_in_range(ours, 0, ordinary);
        }
        cost_pieces = 0;
        (void)cost_sqlite(db, "SELECT value FROM kv WHERE key = ?1", 0);
        assert_int_equal(cost_pieces, 0); /* of the engine */
        run(db, alone == 1 ? "SELECT 1" : "COMMIT");
    }
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void test_cost__a_count_reads_no_page(void **state) {
    (void)state;
    sqlite3 *const db = cost_open(cost_folder);
    run(db, "DROP TABLE kv; CREATE VIRTUAL TABLE kv USING htt('kv.htt', mmap=off, cache_bytes=1)");
    expect(db, "SELECT count(*) FROM kv", "100000");
    cost_reads = 0;
    expect(db, "SELECT count(*) FROM kv", "100000");
    assert_int_equal(cost_reads, 0);
    run(db, "DROP TABLE kv; CREATE VIRTUAL TABLE kv USING htt('kv.htt', sync=off)");
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

/* ------------------------------------------------------------ as a program */

/* The first round verifies pages; those behind it are what counts. */
static int cost_run(const char *what, const char *folder, uint64_t count) {
    cost_round = 1000;
    if (strcmp(what, "make") == 0) {
        cost_make(folder);
        return 0;
    }
    if (strcmp(what, "native") == 0) {
        htt_txn *txn = NULL;
        htt_store *const store = cost_open_store(folder, 0);
        assert_int_equal(htt_begin(store, HTT_READ, &txn), HTT_OK);
        cost_get_native(txn, 0, count);
        htt_abort(txn);
        htt_close(store);
        return 0;
    }
    sqlite3 *const db = cost_open(folder);
    const bool alone = strcmp(what, "alone") == 0;
    sqlite3_stmt *const select = cost_prepare(db, "SELECT value FROM kv WHERE key = ?1");
    run(db, alone ? "SELECT 1" : "BEGIN");
    cost_get_sql(select, strcmp(what, "miss") == 0 ? COST_ROWS : 0, count);
    run(db, alone ? "SELECT 1" : "COMMIT");
    assert_int_equal(sqlite3_finalize(select), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    return 0;
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cost__a_lookup_touches_its_index_nodes_and_one_page),
        cmocka_unit_test(test_cost__a_select_touches_the_pages_of_a_native_get),
        cmocka_unit_test(test_cost__a_native_get_asks_for_no_memory),
        cmocka_unit_test(test_cost__a_select_asks_for_memory_once_at_most),
        cmocka_unit_test(test_cost__a_count_reads_no_page),
    };
    cost_count_from_here();
    if (argc > 2) {
        return cost_run(argv[1], argv[2], argc > 3 ? strtoull(argv[3], NULL, 10) : 0);
    }
    return cmocka_run_group_tests(tests, cost_setup, cost_teardown);
}
