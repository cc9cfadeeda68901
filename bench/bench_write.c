/* SPDX-License-Identifier: MIT */
/*
 * The workloads that write: the same rows in the same order for every subject. What a row should be
 * afterwards stands in run->versions, and every row is read and compared after them.
 */
#include <stdlib.h>

#include "bench_clock.h"
#include "bench_folder.h"
#include "bench_work.h"

#define WRITE_COMMITS_LONGEST UINT64_C(5000000000) /* nanoseconds for small commits of a kind */

/* Where a workload's random choices start: the same for all subjects. */
static uint64_t write_random(const bench_run *run, bench_workload workload, int round) {
    uint64_t state = run->config.dataset.seed + (uint64_t)workload * 100 + (uint64_t)round;
    return bench_random(&state);
}

/* Loads once more, with a configuration, into files of its own that are removed again. */
static double write_load_elsewhere(bench_run *run, const bench_config *config) {
    bench_run other;
    bench_run_open(&other, config, run->subject, config->dataset.rows);
    const double figure = bench_run_load(&other);
    if (!run->subject->in_memory) {
        bench_run_extra(run, "bytes_per_byte", bench_run_size(&other));
    }
    bench_run_scan(&other, "load");
    bench_run_close(&other);
    return figure;
}

double bench_write_load_again(bench_run *run) {
    return write_load_elsewhere(run, &run->config);
}

double bench_write_load_half(bench_run *run) {
    bench_config config = run->config;
    config.write_budget =
        config.dataset.rows * (config.dataset.key_size + config.dataset.value_size) / 2;
    bench_run_extra(run, "write_budget", (double)config.write_budget);
    return write_load_elsewhere(run, &config);
}

double bench_write_settle(bench_run *run) {
    const uint64_t start = bench_clock_now();
    run->subject->settle(run->state);
    return bench_clock_per(start, 1) / 1e9;
}

double bench_write_put(bench_run *run, bench_workload workload, int round) {
    const bench_subject *subject = run->subject;
    const bench_dataset *dataset = &run->config.dataset;
    void (*const write)(void *, const uint8_t *, const uint8_t *) =
        workload == BENCH_UPDATE ? subject->update : subject->put;
    uint64_t random = write_random(run, workload, round);
    uint8_t key[BENCH_KEY_MAX];
    uint8_t *value = bench_allocate(dataset->value_size + 1, 1);
    const uint64_t start = bench_clock_now();
    for (uint64_t i = 0; i < run->config.writes; i++) {
        if (i % BENCH_BATCH == 0) {
            subject->begin(run->state, true);
        }
        const uint64_t index = bench_random_below(&random, dataset->rows);
        bench_dataset_key(dataset, index, key);
        bench_dataset_value(dataset, key, bench_run_next_version(run, index), value);
        write(run->state, key, value);
        if (i % BENCH_BATCH == BENCH_BATCH - 1 || i == run->config.writes - 1) {
            subject->commit(run->state);
        }
    }
    const double figure = bench_clock_per(start, run->config.writes);
    free(value);
    return figure;
}

double bench_write_delete(bench_run *run) {
    const bench_subject *subject = run->subject;
    const bench_dataset *dataset = &run->config.dataset;
    uint8_t key[BENCH_KEY_MAX];
    const uint64_t start = bench_clock_now();
    for (uint64_t i = 0; i < run->config.writes; i++) {
        if (i % BENCH_BATCH == 0) {
            subject->begin(run->state, true);
        }
        const uint64_t index = bench_dataset_order(dataset, i);
        bench_dataset_key(dataset, index, key);
        subject->delete (run->state, key);
        run->versions[index] = BENCH_ABSENT;
        if (i % BENCH_BATCH == BENCH_BATCH - 1 || i == run->config.writes - 1) {
            subject->commit(run->state);
        }
    }
    return bench_clock_per(start, run->config.writes);
}

/* One commit of `rows` rows, chosen by `random`. */
static void write_one_commit(bench_run *run, uint64_t *random, uint8_t *value, int rows) {
    const bench_subject *subject = run->subject;
    const bench_dataset *dataset = &run->config.dataset;
    uint8_t key[BENCH_KEY_MAX];
    if (rows > 1) {
        subject->begin(run->state, true);
    }
    for (int i = 0; i < rows; i++) {
        const uint64_t index = bench_random_below(random, dataset->rows);
        bench_dataset_key(dataset, index, key);
        bench_dataset_value(dataset, key, bench_run_next_version(run, index), value);
        (rows > 1 ? subject->put : subject->put_alone)(run->state, key, value);
    }
    if (rows > 1) {
        subject->commit(run->state);
    }
}

double bench_write_commits(bench_run *run, bench_workload workload, int round) {
    static const struct {
        bench_workload workload; /* where a group of three begins: FULL, NORMAL, OFF */
        int rows;                /* of a commit */
        bool default_cache;      /* see bench_mode */
    } groups[] = {{BENCH_COMMIT_FULL, 1, true},
                  {BENCH_FEW_FULL, BENCH_FEW, true},
                  {BENCH_BIG_FULL, 1, false}};
    size_t group = sizeof groups / sizeof groups[0] - 1;
    while (workload < groups[group].workload) {
        group--;
    }
    static const htt_sync syncs[] = {HTT_SYNC_FULL, HTT_SYNC_NORMAL, HTT_SYNC_OFF};
    const htt_sync sync = syncs[workload - groups[group].workload];
    const int rows = groups[group].rows;
    /* Ten rows fill the outbox sooner; a large cache is beside the point. */
    const bool fewer = rows > 1 || !groups[group].default_cache;
    const uint64_t most = fewer ? run->config.commits / 5 + 1 : run->config.commits;
    uint64_t *samples = bench_allocate((size_t)most, sizeof samples[0]);
    uint8_t *value = bench_allocate(run->config.dataset.value_size + 1, 1);
    uint64_t random = write_random(run, workload, round);
    bench_run_reopen(run, (bench_mode){.sync = sync, .default_cache = groups[group].default_cache});
    const uint64_t start = bench_clock_now();
    uint64_t before = start;
    uint64_t count = 0;
    while (count < most && before - start < WRITE_COMMITS_LONGEST) {
        write_one_commit(run, &random, value, rows);
        const uint64_t now = bench_clock_now();
        samples[count++] = now - before;
        before = now;
    }
    const double nanoseconds = bench_clock_per(start, count);
    bench_run_percentiles(run, samples, (size_t)count);
    bench_run_extra(run, "commits", (double)count);
    bench_run_reopen(run, bench_run_bulk_mode(run));
    free(samples);
    free(value);
    return 1e9 / nanoseconds;
}
