/* SPDX-License-Identifier: MIT */
/*
 * Opening, closing and verifying a subject.
 */
#include "bench_run.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "bench_clock.h"
#include "bench_files.h"
#include "bench_folder.h"

bench_mode bench_run_bulk_mode(const bench_run *run) {
    return (bench_mode){.sync = run->config.bulk_sync, .default_cache = false};
}

void bench_run_open(bench_run *run, const bench_config *config, const bench_subject *subject,
                    uint64_t room) {
    *run = (bench_run){.config = *config, .subject = subject, .room = room};
    run->folder = bench_folder_add(config->folder, subject->id);
    run->config.folder = run->folder;
    run->versions = bench_allocate((size_t)room, 1);
    memset(run->versions, BENCH_ABSENT, (size_t)room);
    run->state = bench_allocate(1, subject->state_size);
    subject->open(run->state, &run->config, bench_run_bulk_mode(run));
}

void bench_run_close(bench_run *run) {
    run->subject->close(run->state);
    if (run->subject->discard != NULL) {
        run->subject->discard(run->state);
    }
    bench_folder_remove(run->folder);
    free(run->state);
    free(run->versions);
    free(run->folder);
}

void bench_run_reopen(bench_run *run, bench_mode mode) {
    run->subject->close(run->state);
    run->subject->open(run->state, &run->config, mode);
}

uint8_t bench_run_next_version(bench_run *run, uint64_t index) {
    const unsigned last = run->versions[index];
    run->versions[index] = (uint8_t)(last == BENCH_ABSENT ? 0 : (last + 1) % 200);
    return run->versions[index];
}

void bench_run_extra(bench_run *run, const char *name, double value) {
    assert(run->extra_count < BENCH_EXTRAS_MAX);
    run->extras[run->extra_count++] = (bench_extra){name, value};
}

void bench_run_percentiles(bench_run *run, uint64_t *samples, size_t count) {
    static const struct {
        const char *name; /* of the extra */
        double percent;   /* of the samples that are not above it */
    } asked[] = {{"p50_us", 50}, {"p99_us", 99}, {"p999_us", 99.9}};
    for (size_t i = 0; i < sizeof asked / sizeof asked[0]; i++) {
        const uint64_t sample = bench_clock_percentile(samples, count, asked[i].percent);
        bench_run_extra(run, asked[i].name, (double)sample / 1000);
    }
}

void bench_run_wrong(const bench_run *run, const char *workload, uint64_t index) {
    bench_fail("WRONG ANSWER: %s, %s, row %llu", run->subject->id, workload,
               (unsigned long long)index);
}

double bench_run_load(bench_run *run) {
    const bench_subject *subject = run->subject;
    const bench_dataset *dataset = &run->config.dataset;
    uint8_t key[BENCH_KEY_MAX];
    uint8_t *value = bench_allocate(dataset->value_size + 1, 1);
    memset(run->versions, 0, (size_t)dataset->rows);
    const uint64_t start = bench_clock_now();
    subject->begin(run->state, true);
    for (uint64_t i = 0; i < dataset->rows; i++) {
        bench_dataset_key(dataset, i, key);
        bench_dataset_value(dataset, key, 0, value);
        subject->insert(run->state, key, value);
    }
    subject->commit(run->state);
    const double figure = bench_clock_per(start, dataset->rows);
    free(value);
    return figure;
}

double bench_run_scan(bench_run *run, const char *workload) {
    const bench_dataset *dataset = &run->config.dataset;
    bench_scan scan;
    const uint64_t start = bench_clock_now();
    run->subject->begin(run->state, false);
    const bool right = run->subject->scan(run->state, &scan);
    run->subject->commit(run->state);
    const double figure = bench_clock_per(start, dataset->rows);
    if (!right || scan.rows != dataset->rows || scan.sum != bench_dataset_key_sum(dataset)) {
        bench_run_wrong(run, workload, scan.rows);
    }
    return figure;
}

double bench_run_size(bench_run *run) {
    const bench_dataset *dataset = &run->config.dataset;
    const bench_subject *subject = run->subject;
    uint64_t bytes = 0;
    if (subject->used_bytes != NULL) {
        bytes = subject->used_bytes(run->state);
    } else {
        /* Closed, as some allocate ahead while they are open. */
        subject->close(run->state);
        bytes = bench_files_bytes(run->folder);
        subject->open(run->state, &run->config, bench_run_bulk_mode(run));
    }
    return (double)bytes / (double)(dataset->rows * (dataset->key_size + dataset->value_size));
}

void bench_run_verify(bench_run *run) {
    const bench_subject *subject = run->subject;
    uint8_t key[BENCH_KEY_MAX];
    uint64_t rows = 0;
    subject->begin(run->state, false);
    for (uint64_t i = 0; i < run->room; i++) {
        bench_dataset_key(&run->config.dataset, i, key);
        if (!subject->get(run->state, key, run->versions[i])) {
            bench_run_wrong(run, "after writing", i);
        }
        rows += run->versions[i] != BENCH_ABSENT;
    }
    const uint64_t count = subject->count != NULL ? subject->count(run->state) : rows;
    subject->commit(run->state);
    if (count != rows) {
        bench_fail("WRONG ANSWER: %s, count %llu, not %llu", subject->id, (unsigned long long)count,
                   (unsigned long long)rows);
    }
    if (subject->check != NULL) {
        subject->check(run->state);
    }
}
