/* SPDX-License-Identifier: MIT */
/*
 * The workloads that read. Every subject goes through the same loop with the same rows in the same
 * order; what a loop itself costs (making keys, checking values) is in all figures alike, and
 * reported.
 */
#include <stdlib.h>
#include <time.h>

#include "bench_clock.h"
#include "bench_files.h"
#include "bench_work.h"
#include "bench_zipf.h"

#define READ_COLD_GETS 20000  /* at most: each is a read of the disk */
#define READ_PAUSE 200000000  /* nanoseconds */
#define READ_OPENING_GETS 300 /* not counted, before cold gets without read-ahead */

static const char *read_name(bench_workload workload) {
    return bench_work_infos[workload].id;
}

/* Where a workload's random choices start: the same for all subjects. */
static uint64_t read_random(const bench_run *run, bench_workload workload, int round) {
    uint64_t state = run->config.dataset.seed + (uint64_t)workload * 100 + (uint64_t)round;
    return bench_random(&state);
}

double bench_read_get(bench_run *run, bench_workload workload, int round) {
    const bench_subject *subject = run->subject;
    const bench_dataset *dataset = &run->config.dataset;
    const uint8_t version = workload == BENCH_MISS ? BENCH_ABSENT : 0;
    const uint64_t first = workload == BENCH_MISS ? dataset->rows : 0;
    const bool alone = workload == BENCH_GET_ALONE;
    bool (*const get)(void *, const uint8_t *, uint8_t) = alone ? subject->get_alone : subject->get;
    uint64_t random = read_random(run, workload, round);
    uint8_t key[BENCH_KEY_MAX];
    const uint64_t start = bench_clock_now();
    if (!alone) {
        subject->begin(run->state, false);
    }
    for (uint64_t i = 0; i < run->config.gets; i++) {
        const uint64_t index = first + bench_random_below(&random, dataset->rows);
        bench_dataset_key(dataset, index, key);
        if (!get(run->state, key, version)) {
            bench_run_wrong(run, read_name(workload), index);
        }
    }
    if (!alone) {
        subject->commit(run->state);
    }
    return bench_clock_per(start, run->config.gets);
}

double bench_read_zipf(bench_run *run, int round) {
    const bench_subject *subject = run->subject;
    const bench_dataset *dataset = &run->config.dataset;
    uint64_t random = read_random(run, BENCH_ZIPF, round);
    uint32_t *rows = bench_zipf_rows(dataset, &random, run->config.gets);
    uint8_t key[BENCH_KEY_MAX];
    const uint64_t start = bench_clock_now();
    subject->begin(run->state, false);
    for (uint64_t i = 0; i < run->config.gets; i++) {
        bench_dataset_key(dataset, rows[i], key);
        if (!subject->get(run->state, key, 0)) {
            bench_run_wrong(run, read_name(BENCH_ZIPF), rows[i]);
        }
    }
    subject->commit(run->state);
    const double figure = bench_clock_per(start, run->config.gets);
    free(rows);
    return figure;
}

/* The lists are of rows that follow each other in bench_dataset_order: different, and in none. */
double bench_read_many(bench_run *run, int round) {
    const bench_dataset *dataset = &run->config.dataset;
    const size_t count = dataset->rows < BENCH_BATCH ? (size_t)dataset->rows : BENCH_BATCH;
    const uint64_t lists = run->config.gets / count > 0 ? run->config.gets / count : 1;
    uint64_t place = read_random(run, BENCH_GET_MANY, round) % dataset->rows;
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
            bench_run_wrong(run, read_name(BENCH_GET_MANY), place);
        }
    }
    run->subject->commit(run->state);
    const double figure = bench_clock_per(start, lists * count);
    free(keys);
    return figure;
}

double bench_read_scan(bench_run *run) {
    return bench_run_scan(run, read_name(BENCH_SCAN));
}

double bench_read_count(bench_run *run) {
    const uint64_t start = bench_clock_now();
    run->subject->begin(run->state, false);
    const uint64_t count = run->subject->count(run->state);
    run->subject->commit(run->state);
    const double figure = bench_clock_per(start, 1000); /* microseconds */
    if (count != run->config.dataset.rows) {
        bench_run_wrong(run, read_name(BENCH_COUNT), count);
    }
    return figure;
}

/* How many cold gets: few enough that most pages of rows are read for the first time. */
static uint64_t read_cold_gets(const bench_run *run) {
    const uint64_t few = run->config.dataset.rows / 250 + 200;
    const uint64_t gets = few < READ_COLD_GETS ? few : READ_COLD_GETS;
    return gets < run->config.gets ? gets : run->config.gets;
}

static void read_cold_warm(bench_run *run, uint64_t first, uint64_t last) {
    uint8_t key[BENCH_KEY_MAX];
    for (uint64_t i = first; i < last; i++) {
        const uint64_t index = bench_dataset_order(&run->config.dataset, i);
        bench_dataset_key(&run->config.dataset, index, key);
        if (!run->subject->get_alone(run->state, key, 0)) {
            bench_run_wrong(run, "cold", index);
        }
    }
}

/* Opens the subject anew, with nothing of its files in the page cache. */
static void read_cold_open(bench_run *run, bool read_ahead) {
    const struct timespec pause = {0, READ_PAUSE};
    run->subject->close(run->state);
    bench_files_drop(run->folder);
    run->subject->open(run->state, &run->config, bench_run_bulk_mode(run));
    if (!read_ahead) {
        /* Some map a file at its first use. What that reads ahead is dropped when it is there. */
        read_cold_warm(run, 0, 1);
        bench_files_read_randomly(run->folder);
        (void)nanosleep(&pause, NULL);
        bench_files_read_randomly(run->folder);
        /* Some have many files. */
        read_cold_warm(run, 1, READ_OPENING_GETS);
        bench_files_read_randomly(run->folder);
    }
}

/*
 * Gets after the file's pages left the page cache. The first quarter brings in what all gets share,
 * such as the pages of an index; the extras tell what the others read.
 */
double bench_read_cold(bench_run *run, bool read_ahead, int round) {
    const bench_subject *subject = run->subject;
    const bench_dataset *dataset = &run->config.dataset;
    const uint64_t gets = read_cold_gets(run);
    const uint64_t early = gets / 4;
    uint64_t random = read_random(run, BENCH_COLD, round);
    uint64_t before_late = 0;
    uint64_t start_late = 0;
    uint8_t key[BENCH_KEY_MAX];
    read_cold_open(run, read_ahead);
    const uint64_t before = bench_files_read_bytes();
    const uint64_t start = bench_clock_now();
    subject->begin(run->state, false);
    for (uint64_t i = 0; i < gets; i++) {
        const uint64_t index = bench_random_below(&random, dataset->rows);
        bench_dataset_key(dataset, index, key);
        if (i == early) {
            before_late = bench_files_read_bytes();
            start_late = bench_clock_now();
        }
        if (!subject->get(run->state, key, 0)) {
            bench_run_wrong(run, "cold", index);
        }
    }
    subject->commit(run->state);
    const double figure = bench_clock_per(start, gets) / 1000;
    const double late_us = bench_clock_per(start_late, gets - early) / 1000;
    const uint64_t after = bench_files_read_bytes();
    const double late = (double)(after - before_late) / (double)(gets - early);
    bench_run_extra(run, "gets", (double)gets);
    bench_run_extra(run, "read_bytes_per_get", (double)(after - before) / (double)gets);
    bench_run_extra(run, "late_us", late_us);
    bench_run_extra(run, "late_read_bytes_per_get", late);
    bench_run_extra(run, "late_pages_per_get", late / 4096);
    return figure;
}
