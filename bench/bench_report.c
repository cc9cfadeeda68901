/* SPDX-License-Identifier: MIT */
/*
 * The rows of a report, and the table: one for the subjects that go through SQLite, one for those
 * that are called from C. Behind the figures stands how many times better htt is than the first
 * column, and in the table of C than the best column that is not htt.
 */
#include "bench_report.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bench_clock.h"

static const char *const report_syncs[] = {
    [HTT_SYNC_FULL] = "FULL", [HTT_SYNC_NORMAL] = "NORMAL", [HTT_SYNC_OFF] = "OFF"};

bench_row *bench_report_add(bench_report *report, const char *id, const char *title,
                            const char *unit, bool more) {
    assert(report->row_count < BENCH_ROWS_OF_REPORT);
    bench_row *row = &report->rows[report->row_count++];
    *row = (bench_row){
        .id = id, .title = title, .unit = unit, .more = more, .rows = report->config->dataset.rows};
    return row;
}

void bench_report_note(bench_row *row, int subject, double figure, const bench_run *run) {
    bench_result *result = &row->results[subject];
    assert(result->count < BENCH_ROUNDS_MAX);
    result->figures[result->count++] = figure;
    memcpy(result->extras, run->extras, sizeof result->extras);
    result->extra_count = run->extra_count;
}

double bench_report_median(const bench_row *row, int subject) {
    return bench_clock_median(row->results[subject].figures, row->results[subject].count);
}

double bench_report_ratio(const bench_row *row, int subject, int other) {
    if (row->results[subject].count == 0 || row->results[other].count == 0) {
        return 0;
    }
    const double ours = bench_report_median(row, subject);
    const double theirs = bench_report_median(row, other);
    return row->more ? ours / theirs : theirs / ours;
}

void bench_report_progress(const char *what, const char *who) {
    static int is_terminal = -1;
    if (is_terminal < 0) {
        is_terminal = isatty(STDERR_FILENO);
    }
    const char *before = is_terminal == 1 ? "\r\033[K" : "";
    const char *after = is_terminal == 1 ? "" : "\n";
    if (what != NULL) {
        (void)fprintf(stderr, "%s%s: %s%s", before, what, who, after);
    } else {
        (void)fprintf(stderr, "%s", before);
    }
    (void)fflush(stderr);
}

/* Three figures that count: 0.123, 1.23, 12.3, 123, 1234. */
static const char *report_figure(double figure, char text[32]) {
    const int decimals = figure >= 100 ? 0 : figure >= 10 ? 1 : figure >= 1 ? 2 : 3;
    (void)snprintf(text, 32, "%.*f", decimals, figure);
    return text;
}

static void report_print_head(const bench_report *report) {
    const bench_machine *machine = &report->machine;
    const bench_dataset *dataset = &report->config->dataset;
    printf("`%s`\n\n", report->command);
    printf("libhtt %s, SQLite %s, %s;\n", machine->htt, machine->sqlite, machine->compiler);
    printf("%s, %ld cores, governor %s, %.1f GiB, %s, files on %s, load %.2f, %s.\n", machine->cpu,
           machine->cores, machine->governor,
           (double)machine->memory_bytes / (1024.0 * 1024 * 1024), machine->kernel, machine->system,
           machine->load, machine->date);
    printf("%llu rows, %s keys of %zu bytes, values of %zu bytes, seed %llu, synchronous %s but "
           "for small commits.\n",
           (unsigned long long)dataset->rows, dataset->text ? "TEXT" : "BLOB", dataset->key_size,
           dataset->value_size, (unsigned long long)dataset->seed,
           report_syncs[report->config->bulk_sync]);
    if (report->overhead > 0) {
        printf("Every get includes %.0f ns of this program: making the key, checking the value.\n",
               report->overhead);
    }
}

/* The best figure of a group that is not htt's; -1 = there is none. */
static int report_best(const bench_report *report, const bench_row *row, bench_group group) {
    int best = -1;
    for (int i = 0; i < report->subjects.count; i++) {
        const bench_subject *subject = report->subjects.list[i];
        if (subject->group == group && !subject->has_budget && row->results[i].count > 0 &&
            (best < 0 || bench_report_ratio(row, i, best) > 1)) {
            best = i;
        }
    }
    return best;
}

static void report_print_ratio(const bench_row *row, int subject, int other, const char *name) {
    char text[32];
    const double ratio = other >= 0 ? bench_report_ratio(row, subject, other) : 0;
    if (ratio > 0) {
        printf(" %s%s%s |", report_figure(ratio, text), name[0] != '\0' ? " " : "", name);
    } else {
        printf(" |");
    }
}

static bool report_is_empty(const bench_report *report, const bench_row *row, bench_group group) {
    for (int i = 0; i < report->subjects.count; i++) {
        if (report->subjects.list[i]->group == group && row->results[i].count > 0) {
            return false;
        }
    }
    return true;
}

static void report_print_row(const bench_report *report, const bench_row *row, bench_group group,
                             int first, int ours) {
    char text[32];
    if (row->rows == report->config->dataset.rows && report->rows[0].rows == row->rows) {
        printf("| %s | %s |", row->title, row->unit);
    } else {
        printf("| %llu rows: %s | %s |", (unsigned long long)row->rows, row->title, row->unit);
    }
    for (int i = 0; i < report->subjects.count; i++) {
        if (report->subjects.list[i]->group == group) {
            printf(" %s |", row->results[i].count > 0
                                ? report_figure(bench_report_median(row, i), text)
                                : "");
        }
    }
    if (ours >= 0 && ours != first) {
        report_print_ratio(row, ours, first, "");
        if (group == BENCH_NATIVE) {
            const int best = report_best(report, row, group);
            report_print_ratio(row, ours, best,
                               best >= 0 ? report->subjects.list[best]->title : "");
        }
    }
    printf("\n");
}

/* The figures beside those of a row: percentiles, bytes read, ... */
static void report_print_extras(const bench_report *report, const bench_row *row,
                                bench_group group) {
    const bench_result *named = NULL; /* all that have some have the same */
    for (int i = 0; i < report->subjects.count && named == NULL; i++) {
        if (report->subjects.list[i]->group == group && row->results[i].extra_count > 0) {
            named = &row->results[i];
        }
    }
    for (int e = 0; named != NULL && e < named->extra_count; e++) {
        printf("| ... %s | |", named->extras[e].name);
        for (int i = 0; i < report->subjects.count; i++) {
            char text[32];
            if (report->subjects.list[i]->group == group) {
                const bool there = e < row->results[i].extra_count;
                printf(" %s |", there ? report_figure(row->results[i].extras[e].value, text) : "");
            }
        }
        printf("\n");
    }
}

static void report_print_table(const bench_report *report, bench_group group) {
    int first = -1;
    int ours = -1;
    int columns = 2;
    for (int i = 0; i < report->subjects.count; i++) {
        if (report->subjects.list[i]->group == group) {
            first = first < 0 ? i : first;
            ours = report->subjects.list[i]->has_budget ? i : ours;
        }
    }
    if (first < 0) {
        return;
    }
    printf("\n| %s | unit |", group == BENCH_SQL ? "through SQL" : "called from C");
    for (int i = 0; i < report->subjects.count; i++) {
        if (report->subjects.list[i]->group == group) {
            printf(" %s |", report->subjects.list[i]->title);
            columns++;
        }
    }
    if (ours >= 0 && ours != first) {
        printf(" htt against %s: times better |", report->subjects.list[first]->title);
        columns++;
        if (group == BENCH_NATIVE) {
            printf(" htt against the best: times better |");
            columns++;
        }
    }
    printf("\n|---|---|");
    for (int i = 2; i < columns; i++) {
        printf("---:|");
    }
    printf("\n");
    for (int i = 0; i < report->row_count; i++) {
        if (!report_is_empty(report, &report->rows[i], group)) {
            report_print_row(report, &report->rows[i], group, first, ours);
            report_print_extras(report, &report->rows[i], group);
        }
    }
}

void bench_report_print(const bench_report *report) {
    report_print_head(report);
    report_print_table(report, BENCH_SQL);
    report_print_table(report, BENCH_NATIVE);
}
