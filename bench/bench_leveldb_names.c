/* SPDX-License-Identifier: MIT */
/*
 * The workloads of LevelDB's db_bench under their names: keys of 16 decimal digits, each write a
 * commit of its own that does not wait for the disk.
 *
 *   fillseq     as many rows as asked for, keys ascending      readseq    all rows
 *   fillrandom  as many writes, keys random, some twice        overwrite  the same over it
 *   readrandom  as many gets, keys random, some absent         readhot    of the first hundredth
 *   fill100K    values of 100000 bytes, a thousandth of the writes, keys random
 *
 * readseq follows fillseq, the others fillrandom; each fill begins with an empty table. The cache
 * of SQLite is its default, but for the reads.
 *
 *     bench_leveldb_names [-S subjects] [-n rows] ...; bench_options.c has the options
 */
#include <stdlib.h>

#include "bench_clock.h"
#include "bench_options.h"

typedef enum names_step {
    NAMES_FILLSEQ,
    NAMES_READSEQ,
    NAMES_FILLRANDOM,
    NAMES_OVERWRITE,
    NAMES_READRANDOM,
    NAMES_READHOT,
    NAMES_FILL100K,
    NAMES_STEPS /* how many */
} names_step;

static const char *const names_titles[NAMES_STEPS] = {
    [NAMES_FILLSEQ] = "fillseq",       [NAMES_READSEQ] = "readseq",
    [NAMES_FILLRANDOM] = "fillrandom", [NAMES_OVERWRITE] = "overwrite",
    [NAMES_READRANDOM] = "readrandom", [NAMES_READHOT] = "readhot",
    [NAMES_FILL100K] = "fill100K"};

enum { NAMES_LARGE = 100000, NAMES_FEWER = 1000, NAMES_HOT = 100 };

static uint64_t names_random(const bench_run *run, names_step step) {
    uint64_t state = run->config.dataset.seed + (uint64_t)step * 100;
    return bench_random(&state);
}

static double names_fill(bench_run *run, names_step step) {
    const bench_dataset *dataset = &run->config.dataset;
    uint64_t random = names_random(run, step);
    uint8_t key[BENCH_KEY_MAX];
    uint8_t *value = bench_allocate(dataset->value_size + 1, 1);
    bench_run_reopen(run, (bench_mode){.sync = run->config.bulk_sync, .default_cache = true});
    const uint64_t start = bench_clock_now();
    for (uint64_t i = 0; i < dataset->rows; i++) {
        const uint64_t index =
            step == NAMES_FILLSEQ ? i : bench_random_below(&random, dataset->rows);
        bench_dataset_key(dataset, index, key);
        bench_dataset_value(dataset, key, bench_run_next_version(run, index), value);
        run->subject->put_alone(run->state, key, value);
    }
    const double figure = bench_clock_per(start, dataset->rows);
    bench_run_reopen(run, bench_run_bulk_mode(run));
    free(value);
    return figure;
}

static double names_read(bench_run *run, names_step step) {
    const bench_dataset *dataset = &run->config.dataset;
    const uint64_t all = dataset->rows;
    const uint64_t range = step == NAMES_READHOT ? (all + NAMES_HOT - 1) / NAMES_HOT : all;
    uint64_t random = names_random(run, step);
    uint8_t key[BENCH_KEY_MAX];
    const uint64_t start = bench_clock_now();
    for (uint64_t i = 0; i < all; i++) {
        const uint64_t index = bench_random_below(&random, range);
        bench_dataset_key(dataset, index, key);
        if (!run->subject->get_alone(run->state, key, run->versions[index])) {
            bench_run_wrong(run, names_titles[step], index);
        }
    }
    return bench_clock_per(start, all);
}

static double names_measure(bench_run *run, names_step step) {
    switch (step) {
    case NAMES_READSEQ: return bench_run_scan(run, names_titles[step]);
    case NAMES_READRANDOM:
    case NAMES_READHOT: return names_read(run, step);
    default: return names_fill(run, step);
    }
}

/* The steps `first` to `last` of one subject, over a table that begins empty. */
static void names_run(bench_report *report, int subject, const bench_config *config,
                      names_step first, names_step last) {
    bench_run run;
    bench_run_open(&run, config, report->subjects.list[subject], config->dataset.rows);
    for (names_step step = first; step <= last; step++) {
        bench_report_progress(names_titles[step], run.subject->id);
        bench_report_note(&report->rows[step], subject, names_measure(&run, step), &run);
    }
    bench_run_verify(&run);
    bench_run_close(&run);
}

int main(int argc, char **argv) {
    bench_config config = {
        .dataset = {.rows = 1000000,
                    .key_size = 16,
                    .value_size = 100,
                    .seed = 1,
                    .text = true,
                    .ordered = true},
        .rounds = 1,
        .bulk_sync = HTT_SYNC_OFF,
    };
    bench_report *report = bench_options_begin(argc, argv, "bench_leveldb_names", &config, "all");
    for (int step = 0; step < NAMES_STEPS; step++) {
        (void)bench_report_add(report, names_titles[step], names_titles[step], "ns", false);
    }
    bench_config large = config;
    large.dataset.rows = (config.dataset.rows + NAMES_FEWER - 1) / NAMES_FEWER;
    large.dataset.value_size = NAMES_LARGE;
    bench_dataset_prepare(&large.dataset);
    report->rows[NAMES_FILL100K].rows = large.dataset.rows;
    for (int i = 0; i < report->subjects.count; i++) {
        names_run(report, i, &config, NAMES_FILLSEQ, NAMES_READSEQ);
        names_run(report, i, &config, NAMES_FILLRANDOM, NAMES_READHOT);
        names_run(report, i, &large, NAMES_FILL100K, NAMES_FILL100K);
    }
    bench_options_end(report);
    return 0;
}
