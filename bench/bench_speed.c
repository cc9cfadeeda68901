/* SPDX-License-Identifier: MIT */
/*
 * All subjects on the workloads of bench_work.h: same rows, same process, one after the other in
 * every workload. Every answer is verified; a wrong one ends the program with status 1.
 *
 *     bench_speed [-S subjects] [-n rows] ...; bench_options.c has the options
 */
#include "bench_options.h"
#include "bench_work.h"

enum { SPEED_LOADED_AGAIN = 2000000 }; /* larger tables are loaded once */

/* One workload: each subject in turn, and again, so that what disturbs disturbs all. */
static void speed_measure(bench_report *report, bench_run *runs, bench_workload workload) {
    const bench_work_info *info = &bench_work_infos[workload];
    const bool load = workload == BENCH_LOAD || workload == BENCH_LOAD_HALF;
    const bool large = load && report->config->dataset.rows > SPEED_LOADED_AGAIN;
    const int rounds = info->repeated && !large ? report->config->rounds : 1;
    bench_row *row = bench_report_add(report, info->id, info->title, info->unit, info->more);
    for (int round = 0; round < rounds; round++) {
        for (int i = 0; i < report->subjects.count; i++) {
            if (bench_work_applies(runs[i].subject, workload)) {
                bench_report_progress(info->title, runs[i].subject->id);
                const double figure = bench_work_measure(&runs[i], workload, round);
                bench_report_note(row, i, figure, &runs[i]);
            }
        }
    }
}

static void speed_verify(const bench_report *report, bench_run *runs) {
    for (int i = 0; i < report->subjects.count; i++) {
        bench_report_progress("verify every row", runs[i].subject->id);
        bench_run_verify(&runs[i]);
    }
}

int main(int argc, char **argv) {
    bench_config config = {
        .dataset = {.rows = 1000000, .key_size = 16, .value_size = 100, .seed = 1, .text = true},
        .rounds = 3,
        .bulk_sync = HTT_SYNC_OFF,
    };
    bench_run runs[BENCH_SUBJECTS_MAX];
    bench_report *report = bench_options_begin(argc, argv, "bench_speed", &config, "all");
    for (int i = 0; i < report->subjects.count; i++) {
        bench_run_open(&runs[i], &config, report->subjects.list[i], config.dataset.rows);
    }
    report->overhead = bench_work_overhead(&config);
    for (int w = 0; w < BENCH_WORKLOADS; w++) {
        if (w == BENCH_DELETE) {
            speed_verify(report, runs);
        }
        speed_measure(report, runs, (bench_workload)w);
    }
    speed_verify(report, runs);
    for (int i = 0; i < report->subjects.count; i++) {
        bench_run_close(&runs[i]);
    }
    bench_options_end(report);
    return 0;
}
