/* SPDX-License-Identifier: MIT */
/*
 * The shape of a tree after random inserts in one transaction: how full its pages are, how deep it
 * is, what a byte of payload costs, for other choices of the writer than its own (how many
 * neighbours share, how many pages are pushed down together, up to which fill pages share without
 * a split). Every row is read again and verified. docs/format.md has the figures.
 *
 *     bench_shape [-n rows] [-k bytes] [-v bytes] [-p page size] [-w window] [-g group]
 *                 [-f percent]
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"
#include "bench_clock.h"
#include "bench_dataset.h"
#include "bench_folder.h"
#include "txn/testing.h"

typedef struct shape_options {
    bench_dataset dataset;  /* rows */
    uint32_t page_size;     /* bytes */
    htt_tree_tuning tuning; /* choices of the writer */
} shape_options;

static void shape_require(htt_rc rc, const char *what) {
    if (rc != HTT_OK)
        bench_fail("%s: %s", what, htt_strerror(rc));
}

static void shape_parse(int argc, char **argv, shape_options *options) {
    int letter;
    while ((letter = getopt(argc, argv, "n:k:v:p:w:g:f:")) != -1) {
        const unsigned long long number = optarg == NULL ? 0 : strtoull(optarg, NULL, 10);
        switch (letter) {
        case 'n': options->dataset.rows = number; break;
        case 'k': options->dataset.key_size = (size_t)number; break;
        case 'v': options->dataset.value_size = (size_t)number; break;
        case 'p': options->page_size = (uint32_t)number; break;
        case 'w': options->tuning.window = (uint32_t)number; break;
        case 'g': options->tuning.group = (uint32_t)number; break;
        case 'f': options->tuning.share_percent = (uint32_t)number; break;
        default: bench_fail("see the first lines of bench/bench_shape.c");
        }
    }
    const htt_tree_tuning *const tuning = &options->tuning;
    if (tuning->window < 2 || tuning->window > HTT_WINDOW_MAX || tuning->group < 2 ||
        tuning->group > HTT_GROUP_MAX || tuning->share_percent < 50 ||
        tuning->share_percent > 100)
        bench_fail("window 2 to %u, group 2 to %u, fill 50 to 100", HTT_WINDOW_MAX,
                   HTT_GROUP_MAX);
}

/* Gives nanoseconds per row, the commit included. */
static double shape_load(htt_store *store, const bench_dataset *dataset) {
    uint8_t *const key = bench_allocate(1, dataset->key_size);
    uint8_t *const value = bench_allocate(1, dataset->value_size + 1);
    htt_txn *txn;
    const uint64_t start = bench_clock_now();
    shape_require(htt_begin(store, HTT_WRITE, &txn), "begin");
    for (uint64_t i = 0; i < dataset->rows; i++) {
        bench_dataset_key(dataset, i, key);
        bench_dataset_value(dataset, key, 0, value);
        shape_require(htt_put(txn, htt_blob(key, dataset->key_size),
                              htt_blob(value, dataset->value_size), HTT_PUT_INSERT),
                      "put");
    }
    shape_require(htt_commit(txn), "commit");
    free(key);
    free(value);
    return (double)(bench_clock_now() - start) / (double)dataset->rows;
}

/* Reads up to a million rows in another order; gives nanoseconds per row. */
static double shape_read(htt_txn *txn, const bench_dataset *dataset) {
    const uint64_t count = dataset->rows < 1000000 ? dataset->rows : 1000000;
    uint8_t *const key = bench_allocate(1, dataset->key_size);
    const uint64_t start = bench_clock_now();
    for (uint64_t i = 0; i < count; i++) {
        htt_datum value;
        bench_dataset_key(dataset, bench_dataset_order(dataset, i), key);
        shape_require(htt_get(txn, htt_blob(key, dataset->key_size), &value), "get");
        if (!bench_dataset_is_value(dataset, key, 0, value.data, value.size))
            bench_fail("a wrong answer");
    }
    free(key);
    return (double)(bench_clock_now() - start) / (double)count;
}

int main(int argc, char **argv) {
    shape_options options = {.dataset = {.rows = 1000000, .key_size = 16, .value_size = 100,
                                         .seed = 1, .text = false},
                             .page_size = HTT_PAGE_SIZE_DEFAULT,
                             .tuning = htt_tree_tuning_default};
    htt_options open;
    htt_store *store;
    htt_txn *txn;
    htt_stat stat;
    char path[512];
    shape_parse(argc, argv, &options);
    bench_dataset_prepare(&options.dataset);
    (void)snprintf(path, sizeof path, "%s/" BENCH_FILE_NATIVE, bench_folder_make());
    htt_options_init(&open);
    open.page_size = options.page_size;
    open.sync = HTT_SYNC_OFF;
    shape_require(htt_open(path, &open, &store, NULL), "open");
    htt_testing_set_tuning(store, options.tuning);
    const double put = shape_load(store, &options.dataset);
    shape_require(htt_begin(store, HTT_READ, &txn), "begin");
    const double get = shape_read(txn, &options.dataset);
    shape_require(htt_txn_stat(txn, &stat), "stat");
    const double pages = (double)stat.page_count - 2 - stat.free_pages - stat.free_list_pages;
    (void)printf("rows %" PRIu64 ", window %u, group %u, fill %u: data pages %.1f %% full, "
                 "%.3f bytes per byte, index %.2f %%, depth %.2f / %u, put %.0f ns, get %.0f ns\n",
                 stat.keys, options.tuning.window, options.tuning.group,
                 options.tuning.share_percent, 100 * stat.utilisation,
                 pages * stat.page_size / (double)stat.payload_bytes,
                 100.0 * stat.index_pages / pages, stat.depth_average, stat.depth_max, put, get);
    htt_abort(txn);
    htt_close(store);
    return 0;
}
