/* SPDX-License-Identifier: MIT */
/*
 * The workloads. Every subject goes through the same loop with the same rows in the same order;
 * what a loop itself costs (making keys, checking values) is in all figures alike, and reported.
 */
#include "bench_work.h"

#include <stdlib.h>

#include "bench_clock.h"

const bench_work_info bench_work_infos[BENCH_WORKLOADS] = {
    [BENCH_LOAD] = {"load", "load, random order, one transaction", "ns/row", false, false},
    [BENCH_SIZE_LOADED] = {"size_loaded", "file bytes per payload byte, loaded", "B/B", false,
                           false},
    [BENCH_GET] = {"get", "get, one transaction", "ns", false, true},
    [BENCH_GET_ALONE] = {"get_alone", "get, each its own transaction", "ns", false, true},
    [BENCH_MISS] = {"miss", "get of absent keys, one transaction", "ns", false, true},
    [BENCH_GET_MANY] = {"get_many", "key IN (1000 keys), one transaction", "ns/key", false, true},
    [BENCH_SCAN] = {"scan", "scan of keys and values", "ns/row", false, true},
    [BENCH_COUNT] = {"count", "count(*)", "us", false, true},
    [BENCH_PUT] = {"put", "overwrite (REPLACE), 1000 per transaction", "ns/row", false, false},
    [BENCH_UPDATE] = {"update", "overwrite (UPDATE), 1000 per transaction", "ns/row", false, false},
    [BENCH_COMMIT_FULL] = {"commit_full", "one-row commits, FULL", "1/s", true, false},
    [BENCH_COMMIT_NORMAL] = {"commit_normal", "one-row commits, NORMAL", "1/s", true, false},
    [BENCH_COMMIT_OFF] = {"commit_off", "one-row commits, OFF", "1/s", true, false},
    [BENCH_SIZE_WRITTEN] = {"size_written", "file bytes per payload byte, after overwrites", "B/B",
                            false, false},
    [BENCH_DELETE] = {"delete", "delete, 1000 per transaction", "ns/row", false, false},
};

static bench_mode work_bulk_mode(const bench_config *config) {
    return (bench_mode){.sync = config->bulk_sync, .default_cache = false};
}

void bench_work_open(bench_run *run, const bench_config *config, const bench_subject *subject) {
    *run = (bench_run){.config = config, .subject = subject};
    run->versions = bench_allocate((size_t)config->dataset.rows, 1);
    run->samples = bench_allocate((size_t)config->commits + 1, sizeof run->samples[0]);
    run->state = subject->open(config, work_bulk_mode(config));
}

void bench_work_close(bench_run *run) {
    run->subject->close(run->state);
    free(run->versions);
    free(run->samples);
}

/* Where a workload's random choices start: the same for all subjects. */
static uint64_t work_random(const bench_run *run, bench_workload workload, int round) {
    uint64_t state = run->config->dataset.seed + (uint64_t)workload * 100 + (uint64_t)round;
    return bench_random(&state);
}

static double work_per(uint64_t start, uint64_t count) {
    return (double)(bench_clock_now() - start) / (double)count;
}

_Noreturn static void work_wrong(const bench_run *run, bench_workload workload, uint64_t index) {
    bench_fail("WRONG ANSWER: %s, %s, row %llu", run->subject->title, bench_work_infos[workload].id,
               (unsigned long long)index);
}

static double work_load(const bench_run *run) {
    const bench_subject *subject = run->subject;
    const bench_dataset *dataset = &run->config->dataset;
    uint8_t key[BENCH_KEY_MAX];
    uint8_t *value = bench_allocate(dataset->value_size + 1, 1);
    const uint64_t start = bench_clock_now();
    subject->begin(run->state, true);
    for (uint64_t i = 0; i < dataset->rows; i++) {
        bench_dataset_key(dataset, i, key);
        bench_dataset_value(dataset, key, 0, value);
        subject->insert(run->state, key, value);
    }
    subject->commit(run->state);
    const double figure = work_per(start, dataset->rows);
    free(value);
    return figure;
}

static double work_get(const bench_run *run, bench_workload workload, int round) {
    const bench_subject *subject = run->subject;
    const bench_dataset *dataset = &run->config->dataset;
    const uint8_t version = workload == BENCH_MISS ? BENCH_ABSENT : 0;
    const uint64_t first = workload == BENCH_MISS ? dataset->rows : 0;
    const bool alone = workload == BENCH_GET_ALONE;
    bool (*const get)(void *, const uint8_t *, uint8_t) = alone ? subject->get_alone : subject->get;
    uint64_t random = work_random(run, workload, round);
    uint8_t key[BENCH_KEY_MAX];
    const uint64_t start = bench_clock_now();
    if (!alone) {
        subject->begin(run->state, false);
    }
    for (uint64_t i = 0; i < run->config->gets; i++) {
        const uint64_t index = first + bench_random_below(&random, dataset->rows);
        bench_dataset_key(dataset, index, key);
        if (!get(run->state, key, version)) {
            work_wrong(run, workload, index);
        }
    }
    if (!alone) {
        subject->commit(run->state);
    }
    return work_per(start, run->config->gets);
}

/* The lists are of rows that follow each other in bench_dataset_order: different, and in none. */
static double work_get_many(const bench_run *run, int round) {
    const bench_dataset *dataset = &run->config->dataset;
    const size_t count = dataset->rows < BENCH_BATCH ? (size_t)dataset->rows : BENCH_BATCH;
    const uint64_t lists = run->config->gets / count > 0 ? run->config->gets / count : 1;
    uint64_t place = work_random(run, BENCH_GET_MANY, round) % dataset->rows;
    uint8_t *keys = bench_allocate(count, dataset->key_size);
    const uint64_t start = bench_clock_now();
    run->subject->begin(run->state, false);
    for (uint64_t list = 0; list < lists; list++) {
        for (size_t i = 0; i < count; i++) {
            const uint64_t index = bench_dataset_order(dataset, place);
            bench_dataset_key(dataset, index, keys + i * dataset->key_size);
            place = place + 1 < dataset->rows ? place + 1 : 0;
        }
        if (!run->subject->get_many(run->state, keys, count)) {
            work_wrong(run, BENCH_GET_MANY, place);
        }
    }
    run->subject->commit(run->state);
    const double figure = work_per(start, lists * count);
    free(keys);
    return figure;
}

static double work_scan(const bench_run *run) {
    const bench_dataset *dataset = &run->config->dataset;
    bench_scan scan;
    const uint64_t start = bench_clock_now();
    run->subject->begin(run->state, false);
    const bool right = run->subject->scan(run->state, &scan);
    run->subject->commit(run->state);
    const double figure = work_per(start, dataset->rows);
    if (!right || scan.rows != dataset->rows || scan.sum != bench_dataset_key_sum(dataset)) {
        work_wrong(run, BENCH_SCAN, scan.rows);
    }
    return figure;
}

static double work_count(const bench_run *run) {
    const uint64_t start = bench_clock_now();
    run->subject->begin(run->state, false);
    const uint64_t count = run->subject->count(run->state);
    run->subject->commit(run->state);
    const double figure = work_per(start, 1000); /* microseconds */
    if (count != run->config->dataset.rows) {
        work_wrong(run, BENCH_COUNT, count);
    }
    return figure;
}

/* The next version of a row: 0 to 199, so that no two in a row are equal. */
static uint8_t work_next_version(bench_run *run, uint64_t index) {
    run->versions[index] = (uint8_t)((run->versions[index] + 1) % 200);
    return run->versions[index];
}

static double work_write(bench_run *run, bench_workload workload) {
    const bench_subject *subject = run->subject;
    const bench_dataset *dataset = &run->config->dataset;
    void (*const write)(void *, const uint8_t *, const uint8_t *) =
        workload == BENCH_UPDATE ? subject->update : subject->put;
    uint64_t random = work_random(run, workload, 0);
    uint8_t key[BENCH_KEY_MAX];
    uint8_t *value = bench_allocate(dataset->value_size + 1, 1);
    const uint64_t start = bench_clock_now();
    for (uint64_t i = 0; i < run->config->writes; i++) {
        if (i % BENCH_BATCH == 0) {
            subject->begin(run->state, true);
        }
        const uint64_t index = bench_random_below(&random, dataset->rows);
        bench_dataset_key(dataset, index, key);
        bench_dataset_value(dataset, key, work_next_version(run, index), value);
        write(run->state, key, value);
        if (i % BENCH_BATCH == BENCH_BATCH - 1 || i == run->config->writes - 1) {
            subject->commit(run->state);
        }
    }
    const double figure = work_per(start, run->config->writes);
    free(value);
    return figure;
}

static double work_delete(const bench_run *run) {
    const bench_subject *subject = run->subject;
    const bench_dataset *dataset = &run->config->dataset;
    uint8_t key[BENCH_KEY_MAX];
    const uint64_t start = bench_clock_now();
    for (uint64_t i = 0; i < run->config->writes; i++) {
        if (i % BENCH_BATCH == 0) {
            subject->begin(run->state, true);
        }
        const uint64_t index = bench_dataset_order(dataset, i);
        bench_dataset_key(dataset, index, key);
        subject->delete (run->state, key);
        run->versions[index] = BENCH_ABSENT;
        if (i % BENCH_BATCH == BENCH_BATCH - 1 || i == run->config->writes - 1) {
            subject->commit(run->state);
        }
    }
    return work_per(start, run->config->writes);
}

static double work_commits(bench_run *run, bench_workload workload) {
    const bench_subject *subject = run->subject;
    const bench_dataset *dataset = &run->config->dataset;
    const htt_sync sync = workload == BENCH_COMMIT_FULL     ? HTT_SYNC_FULL
                          : workload == BENCH_COMMIT_NORMAL ? HTT_SYNC_NORMAL
                                                            : HTT_SYNC_OFF;
    const uint64_t all = run->config->commits;
    const uint64_t count = sync == HTT_SYNC_FULL ? (all + 9) / 10 : all;
    subject->reopen(run->state, (bench_mode){.sync = sync, .default_cache = true});
    uint64_t random = work_random(run, workload, 0);
    uint8_t key[BENCH_KEY_MAX];
    uint8_t *value = bench_allocate(dataset->value_size + 1, 1);
    const uint64_t start = bench_clock_now();
    for (uint64_t i = 0; i < count; i++) {
        const uint64_t index = bench_random_below(&random, dataset->rows);
        bench_dataset_key(dataset, index, key);
        bench_dataset_value(dataset, key, work_next_version(run, index), value);
        const uint64_t before = bench_clock_now();
        subject->put_alone(run->state, key, value);
        run->samples[i] = bench_clock_now() - before;
    }
    const double nanoseconds = work_per(start, count);
    run->p50 = (double)bench_clock_percentile(run->samples, (size_t)count, 50) / 1000;
    run->p99 = (double)bench_clock_percentile(run->samples, (size_t)count, 99) / 1000;
    subject->reopen(run->state, work_bulk_mode(run->config));
    free(value);
    return 1e9 / nanoseconds;
}

static double work_size(const bench_run *run) {
    const bench_dataset *dataset = &run->config->dataset;
    bench_size size;
    run->subject->size(run->state, &size);
    return (double)size.used_bytes /
           (double)(dataset->rows * (dataset->key_size + dataset->value_size));
}

double bench_work_measure(bench_run *run, bench_workload workload, int round) {
    switch (workload) {
    case BENCH_LOAD: return work_load(run);
    case BENCH_GET:
    case BENCH_GET_ALONE:
    case BENCH_MISS: return work_get(run, workload, round);
    case BENCH_GET_MANY: return work_get_many(run, round);
    case BENCH_SCAN: return work_scan(run);
    case BENCH_COUNT: return work_count(run);
    case BENCH_PUT:
    case BENCH_UPDATE: return work_write(run, workload);
    case BENCH_COMMIT_FULL:
    case BENCH_COMMIT_NORMAL:
    case BENCH_COMMIT_OFF: return work_commits(run, workload);
    case BENCH_SIZE_LOADED:
    case BENCH_SIZE_WRITTEN: return work_size(run);
    case BENCH_DELETE: return work_delete(run);
    case BENCH_WORKLOADS: break;
    }
    bench_fail("there is no workload %d", (int)workload);
}

void bench_work_verify(bench_run *run) {
    const bench_dataset *dataset = &run->config->dataset;
    uint8_t key[BENCH_KEY_MAX];
    uint64_t rows = 0;
    run->subject->begin(run->state, false);
    for (uint64_t i = 0; i < dataset->rows; i++) {
        bench_dataset_key(dataset, i, key);
        if (!run->subject->get(run->state, key, run->versions[i])) {
            bench_fail("WRONG ANSWER: %s, row %llu after writing", run->subject->title,
                       (unsigned long long)i);
        }
        rows += run->versions[i] != BENCH_ABSENT;
    }
    const uint64_t count = run->subject->count(run->state);
    run->subject->commit(run->state);
    if (count != rows) {
        bench_fail("WRONG ANSWER: %s, count %llu, not %llu", run->subject->title,
                   (unsigned long long)count, (unsigned long long)rows);
    }
    run->subject->check(run->state);
}

double bench_work_overhead(const bench_config *config) {
    const bench_dataset *dataset = &config->dataset;
    uint8_t key[BENCH_KEY_MAX];
    uint8_t *value = bench_allocate(dataset->value_size + 1, 1);
    uint64_t random = dataset->seed;
    uint64_t right = 0;
    const uint64_t start = bench_clock_now();
    for (uint64_t i = 0; i < config->gets; i++) {
        bench_dataset_key(dataset, bench_random_below(&random, dataset->rows), key);
        right += bench_dataset_is_value(dataset, key, 0, value, dataset->value_size);
    }
    const double figure = work_per(start, config->gets);
    free(value);
    return right <= config->gets ? figure : 0; /* `right` is used: the loop is not left out */
}
