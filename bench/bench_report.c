/* SPDX-License-Identifier: MIT */
/*
 * The results: a table and a JSON file.
 *
 *   {"program", "date", "command", "machine": {...}, "versions": {...}, "dataset": {...},
 *    "settings": {...}, "overhead_ns",
 *    "results": [{"workload", "title", "unit", "better": "less" or "more",
 *                 "<subject>": {"median", "figures": [...], "ratio", "p50_us", "p99_us"}}]}
 *
 * "ratio" is how many times better than the ordinary table, "p50_us" is of one-row commits only.
 */
#include "bench_report.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "bench_clock.h"
#include "bench_work.h"

static const char *const report_syncs[] = {
    [HTT_SYNC_FULL] = "FULL", [HTT_SYNC_NORMAL] = "NORMAL", [HTT_SYNC_OFF] = "OFF"};

static double report_median(const bench_report *report, bench_workload workload, int subject) {
    const bench_result *result = &report->results[workload][subject];
    return bench_clock_median(result->figures, result->count);
}

double bench_report_ratio(const bench_report *report, bench_workload workload, int subject) {
    const double first = report_median(report, workload, 0);
    const double other = report_median(report, workload, subject);
    return bench_work_infos[workload].more ? other / first : first / other;
}

/* Three figures that count: 0.123, 1.23, 12.3, 123, 1234. */
static const char *report_figure(double figure, char text[32]) {
    const int decimals = figure >= 100 ? 0 : figure >= 10 ? 1 : figure >= 1 ? 2 : 3;
    (void)snprintf(text, 32, "%.*f", decimals, figure);
    return text;
}

/* ------------------------------------------------------------------ table */

static void report_print_head(const bench_report *report) {
    const bench_machine *machine = report->machine;
    const bench_dataset *dataset = &report->config->dataset;
    printf("libhtt %s, SQLite %s, %s\n", machine->htt, machine->sqlite, machine->compiler);
    printf("%s, %ld cores, %.1f GiB, %s, databases on %s, load %.2f, %s\n", machine->cpu,
           machine->cores, (double)machine->memory_bytes / (1024.0 * 1024 * 1024), machine->kernel,
           machine->system, machine->load, machine->date);
    printf("%llu rows, %s keys of %zu bytes, values of %zu bytes, seed %llu\n",
           (unsigned long long)dataset->rows, dataset->text ? "TEXT" : "BLOB", dataset->key_size,
           dataset->value_size, (unsigned long long)dataset->seed);
    printf("cache_size 256 MB, synchronous %s; one-row commits: cache_size of SQLite, each level\n",
           report_syncs[report->config->bulk_sync]);
    printf("every get includes %.0f ns of this program: making the key, checking the value\n",
           report->overhead);
    printf("\n| workload | unit |");
    for (int i = 0; i < report->subject_count; i++) {
        printf(" %s |%s", report->subjects[i]->title, i > 0 ? " times better |" : "");
    }
    printf("\n|---|---|---:|");
    for (int i = 1; i < report->subject_count; i++) {
        printf("---:|---:|");
    }
    printf("\n");
}

void bench_report_print(const bench_report *report) {
    report_print_head(report);
    for (int w = 0; w < BENCH_WORKLOADS; w++) {
        const bench_workload workload = (bench_workload)w;
        printf("| %s | %s |", bench_work_infos[w].title, bench_work_infos[w].unit);
        for (int i = 0; i < report->subject_count; i++) {
            char text[32];
            printf(" %s |", report_figure(report_median(report, workload, i), text));
            if (i > 0) {
                printf(" %s |", report_figure(bench_report_ratio(report, workload, i), text));
            }
        }
        printf("\n");
    }
}

/* ------------------------------------------------------------------- JSON */

static void report_write_text(FILE *file, const char *name, const char *text, const char *end) {
    (void)fprintf(file, "\"%s\": \"", name);
    for (const char *at = text; *at != '\0'; at++) {
        const unsigned char byte = (unsigned char)*at;
        if (byte == '"' || byte == '\\') {
            (void)fprintf(file, "\\%c", byte);
        } else if (byte < 0x20) {
            (void)fprintf(file, "\\u%04x", byte);
        } else {
            (void)fputc(byte, file);
        }
    }
    (void)fprintf(file, "\"%s", end);
}

static void report_write_head(const bench_report *report, FILE *file) {
    const bench_machine *machine = report->machine;
    const bench_config *config = report->config;
    const bench_dataset *dataset = &config->dataset;
    (void)fprintf(file, "{\n  \"program\": \"bench_speed\",\n  ");
    report_write_text(file, "date", machine->date, ",\n  ");
    report_write_text(file, "command", report->command, ",\n  \"machine\": {\n    ");
    report_write_text(file, "cpu", machine->cpu, ",\n    ");
    (void)fprintf(file, "\"cores\": %ld,\n    \"memory_bytes\": %llu,\n    ", machine->cores,
                  (unsigned long long)machine->memory_bytes);
    report_write_text(file, "kernel", machine->kernel, ",\n    ");
    report_write_text(file, "file_system", machine->system, ",\n    ");
    (void)fprintf(file, "\"load_average\": %.2f\n  },\n  \"versions\": {\n    ", machine->load);
    report_write_text(file, "libhtt", machine->htt, ",\n    ");
    report_write_text(file, "sqlite", machine->sqlite, ",\n    ");
    report_write_text(file, "compiler", machine->compiler, "\n  },\n  \"dataset\": {\n    ");
    (void)fprintf(file, "\"rows\": %llu,\n    \"key_bytes\": %zu,\n    \"value_bytes\": %zu,\n    ",
                  (unsigned long long)dataset->rows, dataset->key_size, dataset->value_size);
    report_write_text(file, "key_type", dataset->text ? "text" : "blob", ",\n    ");
    (void)fprintf(file, "\"seed\": %llu\n  },\n  \"settings\": {\n    ",
                  (unsigned long long)dataset->seed);
    (void)fprintf(file, "\"gets\": %llu,\n    \"writes\": %llu,\n    \"commits\": %llu,\n    ",
                  (unsigned long long)config->gets, (unsigned long long)config->writes,
                  (unsigned long long)config->commits);
    (void)fprintf(file, "\"rounds\": %d,\n    ", config->rounds);
    report_write_text(file, "synchronous", report_syncs[config->bulk_sync], ",\n    ");
    report_write_text(file, "journal_mode", "WAL", ",\n    ");
    (void)fprintf(file, "\"cache_size_kib\": %d,\n    ", BENCH_CACHE_KIB);
    report_write_text(file, "cache_size_of_commits", "SQLite's default", ",\n    ");
    (void)fprintf(file, "\"write_budget\": %llu\n  },\n  \"overhead_ns\": %.2f,\n",
                  (unsigned long long)config->write_budget, report->overhead);
}

static void report_write_result(const bench_report *report, bench_workload workload, int subject,
                                FILE *file) {
    const bench_result *result = &report->results[workload][subject];
    (void)fprintf(file, ",\n     \"%s\": {\"median\": %.6g, \"figures\": [",
                  report->subjects[subject]->id, report_median(report, workload, subject));
    for (int i = 0; i < result->count; i++) {
        (void)fprintf(file, "%s%.6g", i > 0 ? ", " : "", result->figures[i]);
    }
    (void)fprintf(file, "], \"ratio\": %.4g", bench_report_ratio(report, workload, subject));
    if (result->p50 > 0) {
        (void)fprintf(file, ", \"p50_us\": %.6g, \"p99_us\": %.6g", result->p50, result->p99);
    }
    (void)fprintf(file, "}");
}

void bench_report_write(const bench_report *report, const char *path) {
    FILE *file = fopen(path, "we");
    if (file == NULL) {
        bench_fail("cannot write %s: %s", path, strerror(errno));
    }
    report_write_head(report, file);
    (void)fprintf(file, "  \"results\": [");
    for (int w = 0; w < BENCH_WORKLOADS; w++) {
        const bench_work_info *info = &bench_work_infos[w];
        (void)fprintf(file, "%s\n    {", w > 0 ? "," : "");
        report_write_text(file, "workload", info->id, ", ");
        report_write_text(file, "title", info->title, ",\n     ");
        report_write_text(file, "unit", info->unit, ", ");
        report_write_text(file, "better", info->more ? "more" : "less", "");
        for (int i = 0; i < report->subject_count; i++) {
            report_write_result(report, (bench_workload)w, i, file);
        }
        (void)fprintf(file, "}");
    }
    (void)fprintf(file, "\n  ]\n}\n");
    const bool sound = ferror(file) == 0;
    if (fclose(file) != 0 || !sound) {
        bench_fail("cannot write %s: %s", path, strerror(errno));
    }
}
