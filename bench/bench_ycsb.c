/* SPDX-License-Identifier: MIT */
/*
 * The core workloads A, B, C, D and F of YCSB ("Yahoo! Cloud Serving Benchmark", B. Cooper and
 * others, SoCC 2010): rows are asked for by Zipf's law, each operation is a transaction of its own.
 * E needs ranges. The order is YCSB's, D last, as it adds rows.
 *
 *   A  half reads, half updates          B  95 % reads, 5 % updates      C  reads
 *   F  half reads, half reads that are followed by an update of the row
 *   D  95 % reads of the newest rows, 5 % inserts
 *
 * Values have 1000 bytes in one column. A is also run with 1000 operations per transaction. The
 * cache of SQLite is its default where half of the operations write, 256 MB elsewhere.
 *
 *     bench_ycsb [-S subjects] [-n rows] [-g operations] ...; bench_options.c has the options
 */
#include <stdlib.h>

#include "bench_clock.h"
#include "bench_options.h"
#include "bench_zipf.h"

typedef struct ycsb_info {
    const char *id;     /* in JSON */
    const char *title;  /* in the table */
    unsigned writes;    /* percent of the operations */
    bool reads_first;   /* a write reads its row before */
    bool latest;        /* reads are of the newest rows, writes are inserts */
    bool together;      /* BENCH_BATCH operations per transaction */
    bool default_cache; /* see bench_mode */
} ycsb_info;

static const ycsb_info ycsb_infos[] = {
    {"ycsb_a", "A: half reads, half updates", 50, false, false, false, true},
    {"ycsb_b", "B: 95 % reads, 5 % updates", 5, false, false, false, false},
    {"ycsb_c", "C: reads", 0, false, false, false, false},
    {"ycsb_f", "F: half reads, half read and update", 50, true, false, false, true},
    {"ycsb_a_together", "A, 1000 operations per transaction", 50, false, false, true, false},
    {"ycsb_d", "D: 95 % reads of new rows, 5 % inserts", 5, false, true, false, false},
};
enum { YCSB_INFOS = sizeof ycsb_infos / sizeof ycsb_infos[0] };

/* What a run goes through; made before the clock starts. */
typedef struct ycsb_plan {
    uint32_t *rows;  /* of each operation; ranks where `latest`; owned */
    uint64_t count;  /* operations */
    uint64_t random; /* decides which write */
    uint64_t next;   /* row that the next insert adds */
    uint8_t *value;  /* to write; owned */
} ycsb_plan;

static void ycsb_prepare(ycsb_plan *plan, const bench_run *run, const ycsb_info *info) {
    const bench_config *config = &run->config;
    uint64_t random = config->dataset.seed + (uint64_t)(info - ycsb_infos) * 100;
    plan->random = bench_random(&random);
    plan->count = config->gets;
    plan->next = config->dataset.rows;
    plan->value = bench_allocate(config->dataset.value_size + 1, 1);
    if (!info->latest) {
        plan->rows = bench_zipf_rows(&config->dataset, &random, plan->count);
        return;
    }
    bench_zipf zipf;
    bench_zipf_prepare(&zipf, config->dataset.rows);
    plan->rows = bench_allocate((size_t)plan->count, sizeof plan->rows[0]);
    for (uint64_t i = 0; i < plan->count; i++) {
        plan->rows[i] = (uint32_t)bench_zipf_rank(&zipf, &random);
    }
}

static void ycsb_read(bench_run *run, const ycsb_info *info, uint64_t index, const uint8_t *key) {
    const bench_subject *subject = run->subject;
    if (!(info->together ? subject->get : subject->get_alone)(run->state, key,
                                                              run->versions[index])) {
        bench_run_wrong(run, info->id, index);
    }
}

static void ycsb_operate(bench_run *run, const ycsb_info *info, ycsb_plan *plan, uint64_t at) {
    const bench_dataset *dataset = &run->config.dataset;
    const bool write = bench_random_below(&plan->random, 100) < info->writes;
    uint64_t index = plan->rows[at];
    uint8_t key[BENCH_KEY_MAX];
    if (info->latest) {
        index = write && plan->next < run->room ? plan->next++ : plan->next - 1 - index;
    }
    bench_dataset_key(dataset, index, key);
    if (!write || info->reads_first) {
        ycsb_read(run, info, index, key);
    }
    if (write) {
        bench_dataset_value(dataset, key, bench_run_next_version(run, index), plan->value);
        (info->together ? run->subject->put : run->subject->put_alone)(run->state, key,
                                                                       plan->value);
    }
}

/* Nanoseconds an operation. */
static double ycsb_measure(bench_run *run, const ycsb_info *info) {
    ycsb_plan plan;
    ycsb_prepare(&plan, run, info);
    run->extra_count = 0;
    bench_run_reopen(
        run, (bench_mode){.sync = run->config.bulk_sync, .default_cache = info->default_cache});
    const uint64_t start = bench_clock_now();
    for (uint64_t i = 0; i < plan.count; i++) {
        if (info->together && i % BENCH_BATCH == 0) {
            run->subject->begin(run->state, true);
        }
        ycsb_operate(run, info, &plan, i);
        if (info->together && (i % BENCH_BATCH == BENCH_BATCH - 1 || i == plan.count - 1)) {
            run->subject->commit(run->state);
        }
    }
    const double figure = bench_clock_per(start, plan.count);
    free(plan.rows);
    free(plan.value);
    return figure;
}

int main(int argc, char **argv) {
    bench_config config = {
        .dataset = {.rows = 200000, .key_size = 16, .value_size = 1000, .seed = 1, .text = true},
        .rounds = 1,
        .bulk_sync = HTT_SYNC_OFF,
    };
    bench_run runs[BENCH_SUBJECTS_MAX];
    bench_report *report = bench_options_begin(argc, argv, "bench_ycsb", &config, "all");
    const bench_subjects *subjects = &report->subjects;
    const uint64_t room = config.dataset.rows + config.gets / 10 + 1000; /* D adds a twentieth */
    bench_row *row =
        bench_report_add(report, "ycsb_load", "load, one transaction", "ns/row", false);
    for (int i = 0; i < subjects->count; i++) {
        bench_report_progress(row->title, subjects->list[i]->id);
        bench_run_open(&runs[i], &config, subjects->list[i], room);
        bench_report_note(row, i, bench_run_load(&runs[i]), &runs[i]);
    }
    for (int w = 0; w < YCSB_INFOS; w++) {
        const ycsb_info *info = &ycsb_infos[w];
        row = bench_report_add(report, info->id, info->title, "ns", false);
        for (int i = 0; i < subjects->count; i++) {
            if (!info->together || !subjects->list[i]->blind) {
                bench_report_progress(row->title, subjects->list[i]->id);
                bench_report_note(row, i, ycsb_measure(&runs[i], info), &runs[i]);
            }
        }
    }
    for (int i = 0; i < subjects->count; i++) {
        bench_run_verify(&runs[i]);
        bench_run_close(&runs[i]);
    }
    bench_options_end(report);
    return 0;
}
