/* SPDX-License-Identifier: MIT */
/*
 * The JSON file.
 *
 *   {"program", "date", "command", "machine": {...}, "versions": {...}, "dataset": {...},
 *    "settings": {...}, "subjects": {"<id>": {"title", "group", "version", "setup"}},
 *    "overhead_ns",
 *    "results": [{"workload", "title", "unit", "better": "less" or "more", "rows",
 *                 "<subject>": {"median", "figures": [...], "ratio", further figures by name}}]}
 *
 * "ratio" is how many times better than the first subject. A subject that cannot do a workload is
 * not there.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "bench_report.h"

static void json_text(FILE *file, const char *name, const char *text, const char *end) {
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

static void json_machine(const bench_machine *machine, FILE *file) {
    (void)fprintf(file, "\"machine\": {\n    ");
    json_text(file, "cpu", machine->cpu, ",\n    ");
    (void)fprintf(file, "\"cores\": %ld,\n    \"memory_bytes\": %llu,\n    ", machine->cores,
                  (unsigned long long)machine->memory_bytes);
    json_text(file, "governor", machine->governor, ",\n    ");
    json_text(file, "kernel", machine->kernel, ",\n    ");
    json_text(file, "file_system", machine->system, ",\n    ");
    (void)fprintf(file, "\"load_average\": %.2f\n  },\n  \"versions\": {\n    ", machine->load);
    json_text(file, "libhtt", machine->htt, ",\n    ");
    json_text(file, "sqlite", machine->sqlite, ",\n    ");
    json_text(file, "compiler", machine->compiler, "\n  },\n  ");
}

static void json_settings(const bench_config *config, FILE *file) {
    static const char *const syncs[] = {
        [HTT_SYNC_FULL] = "FULL", [HTT_SYNC_NORMAL] = "NORMAL", [HTT_SYNC_OFF] = "OFF"};
    const bench_dataset *dataset = &config->dataset;
    (void)fprintf(file,
                  "\"dataset\": {\n    \"rows\": %llu,\n    \"key_bytes\": %zu,\n    "
                  "\"value_bytes\": %zu,\n    ",
                  (unsigned long long)dataset->rows, dataset->key_size, dataset->value_size);
    json_text(file, "key_type", dataset->text ? "text" : "blob", ",\n    ");
    (void)fprintf(file, "\"seed\": %llu\n  },\n  \"settings\": {\n    ",
                  (unsigned long long)dataset->seed);
    (void)fprintf(file, "\"gets\": %llu,\n    \"writes\": %llu,\n    \"commits\": %llu,\n    ",
                  (unsigned long long)config->gets, (unsigned long long)config->writes,
                  (unsigned long long)config->commits);
    (void)fprintf(file, "\"rounds\": %d,\n    ", config->rounds);
    json_text(file, "synchronous", syncs[config->bulk_sync], ",\n    ");
    (void)fprintf(file, "\"cache_size_kib\": %d,\n    \"write_budget\": %llu\n  },\n",
                  BENCH_CACHE_KIB, (unsigned long long)config->write_budget);
}

static void json_subjects(const bench_subjects *subjects, FILE *file) {
    (void)fprintf(file, "  \"subjects\": {");
    for (int i = 0; i < subjects->count; i++) {
        const bench_subject *subject = subjects->list[i];
        (void)fprintf(file, "%s\n    \"%s\": {", i > 0 ? "," : "", subject->id);
        json_text(file, "title", subject->title, ", ");
        json_text(file, "group", subject->group == BENCH_SQL ? "sql" : "native", ", ");
        json_text(file, "version", subject->version(), ",\n      ");
        json_text(file, "setup", subject->setup, "}");
    }
    (void)fprintf(file, "\n  },\n");
}

static void json_result(const bench_row *row, int subject, const char *id, FILE *file) {
    const bench_result *result = &row->results[subject];
    (void)fprintf(file, ",\n     \"%s\": {\"median\": %.6g, \"figures\": [", id,
                  bench_report_median(row, subject));
    for (int i = 0; i < result->count; i++) {
        (void)fprintf(file, "%s%.6g", i > 0 ? ", " : "", result->figures[i]);
    }
    (void)fprintf(file, "]");
    if (row->results[0].count > 0) {
        (void)fprintf(file, ", \"ratio\": %.4g", bench_report_ratio(row, subject, 0));
    }
    for (int i = 0; i < result->extra_count; i++) {
        (void)fprintf(file, ", \"%s\": %.6g", result->extras[i].name, result->extras[i].value);
    }
    (void)fprintf(file, "}");
}

void bench_json_write(const bench_report *report, const char *path) {
    FILE *file = fopen(path, "we");
    if (file == NULL) {
        bench_fail("cannot write %s: %s", path, strerror(errno));
    }
    (void)fprintf(file, "{\n  ");
    json_text(file, "program", report->program, ",\n  ");
    json_text(file, "date", report->machine.date, ",\n  ");
    json_text(file, "command", report->command, ",\n  ");
    json_machine(&report->machine, file);
    json_settings(report->config, file);
    json_subjects(&report->subjects, file);
    (void)fprintf(file, "  \"overhead_ns\": %.2f,\n  \"results\": [", report->overhead);
    for (int i = 0; i < report->row_count; i++) {
        const bench_row *row = &report->rows[i];
        (void)fprintf(file, "%s\n    {", i > 0 ? "," : "");
        json_text(file, "workload", row->id, ", ");
        json_text(file, "title", row->title, ",\n     ");
        json_text(file, "unit", row->unit, ", ");
        json_text(file, "better", row->more ? "more" : "less", ", ");
        (void)fprintf(file, "\"rows\": %llu", (unsigned long long)row->rows);
        for (int s = 0; s < report->subjects.count; s++) {
            if (row->results[s].count > 0) {
                json_result(row, s, report->subjects.list[s]->id, file);
            }
        }
        (void)fprintf(file, "}");
    }
    (void)fprintf(file, "\n  ]\n}\n");
    const bool sound = ferror(file) == 0;
    if (fclose(file) != 0 || !sound) {
        bench_fail("cannot write %s: %s", path, strerror(errno));
    }
}
