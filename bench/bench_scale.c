/* SPDX-License-Identifier: MIT */
/*
 * Cost against the number of rows: tables of 10000 rows, of ten times as many, and so on up to the
 * number asked for. Every answer is verified.
 *
 *     bench_scale [-S subjects] [-n most rows] ...; bench_options.c has the options
 */
#include "bench_clock.h"
#include "bench_options.h"
#include "bench_work.h"

enum { SCALE_FIRST = 10000 };

static const bench_workload scale_workloads[] = {
    BENCH_LOAD, BENCH_SETTLE, BENCH_SIZE_LOADED, BENCH_GET, BENCH_GET_ALONE, BENCH_MISS, BENCH_PUT};

static void scale_measure(bench_report *report, bench_run *runs, const bench_config *config,
                          bench_workload workload) {
    const bench_work_info *info = &bench_work_infos[workload];
    const int rounds = info->repeated && workload != BENCH_LOAD ? config->rounds : 1;
    bench_row *row = bench_report_add(report, info->id, info->title, info->unit, info->more);
    row->rows = config->dataset.rows;
    for (int round = 0; round < rounds; round++) {
        for (int i = 0; i < report->subjects.count; i++) {
            if (bench_work_applies(runs[i].subject, workload)) {
                bench_report_progress(info->title, runs[i].subject->id);
                bench_report_note(row, i, bench_work_measure(&runs[i], workload, round), &runs[i]);
            }
        }
    }
}

static void scale_run(bench_report *report, const bench_config *config) {
    bench_run runs[BENCH_SUBJECTS_MAX];
    for (int i = 0; i < report->subjects.count; i++) {
        bench_run_open(&runs[i], config, report->subjects.list[i], config->dataset.rows);
    }
    for (size_t w = 0; w < sizeof scale_workloads / sizeof scale_workloads[0]; w++) {
        scale_measure(report, runs, config, scale_workloads[w]);
    }
    for (int i = 0; i < report->subjects.count; i++) {
        bench_report_progress("verify every row", runs[i].subject->id);
        bench_run_verify(&runs[i]);
        bench_run_close(&runs[i]);
    }
}

int main(int argc, char **argv) {
    bench_config config = {
        .dataset = {.rows = 1000000, .key_size = 16, .value_size = 100, .seed = 1, .text = true},
        .rounds = 3,
        .bulk_sync = HTT_SYNC_OFF,
    };
    bench_report *report = bench_options_begin(argc, argv, "bench_scale", &config,
                                               "ordinary,floor,htt_sql,lmdb,tkrzw,kyoto,htt_c");
    bench_subjects_drop_alone(&report->subjects);
    report->overhead = bench_work_overhead(&config);
    for (uint64_t rows = SCALE_FIRST; rows <= config.dataset.rows; rows *= 10) {
        bench_config step = config;
        step.dataset.rows = rows;
        step.writes = config.writes < rows ? config.writes : rows;
        bench_dataset_prepare(&step.dataset);
        scale_run(report, &step);
    }
    bench_options_end(report);
    return 0;
}
