/* SPDX-License-Identifier: MIT */
/*
 * libhtt against an ordinary WITHOUT ROWID table: same rows, same process, one after the other in
 * every workload. Every answer is verified; a wrong one ends the program with status 1.
 *
 *     bench_speed [-n rows] [-k bytes] [-v bytes] [-t text|blob] [-s seed] [-g gets] [-w writes]
 *                 [-c commits] [-r rounds] [-y full|normal|off] [-b bytes] [-o file.json]
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"
#include "bench_clock.h"
#include "bench_folder.h"
#include "bench_machine.h"
#include "bench_report.h"
#include "bench_work.h"

#define SPEED_USAGE                                                                                \
    "bench_speed [options]\n"                                                                      \
    "  -n rows      in the table (1000000)\n"                                                      \
    "  -k bytes     of a key (16)\n"                                                               \
    "  -v bytes     of a value (100)\n"                                                            \
    "  -t text|blob type of the keys (text)\n"                                                     \
    "  -s seed      of keys, values and choices (1)\n"                                             \
    "  -g gets      per read workload (as rows, at most 1000000)\n"                                \
    "  -w writes    per write workload (as rows, at most 200000)\n"                                \
    "  -c commits   of one row; a tenth of them with FULL (a twentieth of rows, at most 20000)\n"  \
    "  -r rounds    of each read workload; the median counts (3)\n"                                \
    "  -y full|normal|off  synchronous of all but the one-row commits (off)\n"                     \
    "  -b bytes     write budget of htt (its default)\n"                                           \
    "  -o file      also write the results there as JSON\n"

enum { SPEED_SUBJECTS = 3 };
static const bench_subject *const speed_subjects[SPEED_SUBJECTS] = {
    &bench_sql_ordinary, &bench_sql_htt, &bench_native_htt};

static uint64_t speed_number(const char *text, uint64_t min, uint64_t max) {
    char *end = NULL;
    errno = 0;
    const unsigned long long number = strtoull(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || text[0] == '-' || number < min ||
        number > max) {
        bench_fail("%s: a number from %llu to %llu expected", text, (unsigned long long)min,
                   (unsigned long long)max);
    }
    return number;
}

/* The place of a word among those allowed. */
static int speed_word(const char *text, const char *const *words, int count) {
    for (int i = 0; i < count; i++) {
        if (strcmp(text, words[i]) == 0) {
            return i;
        }
    }
    bench_fail("%s is unknown here\n%s", text, SPEED_USAGE);
}

static uint64_t speed_least(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

/* Takes one option; `value` is its argument. */
static void speed_option(int option, const char *value, bench_config *config) {
    static const char *const types[] = {"blob", "text"};
    static const char *const syncs[] = {
        [HTT_SYNC_FULL] = "full", [HTT_SYNC_NORMAL] = "normal", [HTT_SYNC_OFF] = "off"};
    const uint64_t many = UINT64_C(1) << 40;
    bench_dataset *dataset = &config->dataset;
    switch (option) {
    case 'n': dataset->rows = speed_number(value, 1, BENCH_ROWS_MAX); break;
    case 'k': dataset->key_size = speed_number(value, BENCH_KEY_MIN, BENCH_KEY_MAX); break;
    case 'v': dataset->value_size = speed_number(value, 0, 100000000); break;
    case 't': dataset->text = speed_word(value, types, 2) == 1; break;
    case 's': dataset->seed = speed_number(value, 0, UINT64_MAX); break;
    case 'g': config->gets = speed_number(value, 1, many); break;
    case 'w': config->writes = speed_number(value, 1, many); break;
    case 'c': config->commits = speed_number(value, 1, many); break;
    case 'r': config->rounds = (int)speed_number(value, 1, BENCH_ROUNDS_MAX); break;
    case 'y': config->bulk_sync = (htt_sync)speed_word(value, syncs, 3); break;
    case 'b': config->write_budget = speed_number(value, 1, UINT64_MAX); break;
    case 'o': config->output = value; break;
    default: bench_fail("an unknown option\n%s", SPEED_USAGE);
    }
}

static void speed_options(int argc, char **argv, bench_config *config_out) {
    *config_out = (bench_config){
        .dataset = {.rows = 1000000, .key_size = 16, .value_size = 100, .seed = 1, .text = true},
        .rounds = 3,
        .bulk_sync = HTT_SYNC_OFF,
    };
    opterr = 0;
    for (;;) {
        const int option = getopt(argc, argv, "n:k:v:t:s:g:w:c:r:y:b:o:");
        if (option == -1) {
            break;
        }
        speed_option(option, optarg, config_out);
    }
    if (optind != argc) {
        bench_fail("%s: only options are expected\n%s", argv[optind], SPEED_USAGE);
    }
    const uint64_t rows = config_out->dataset.rows;
    if (config_out->gets == 0) {
        config_out->gets = speed_least(rows, 1000000);
    }
    if (config_out->writes == 0) {
        config_out->writes = speed_least(rows, 200000);
    }
    if (config_out->commits == 0) {
        config_out->commits = speed_least((rows + 19) / 20, 20000);
    }
    config_out->writes = speed_least(config_out->writes, rows); /* each row is deleted once */
    bench_dataset_prepare(&config_out->dataset);
}

static void speed_progress(int step, const char *what, const char *who) {
    static int is_terminal = -1;
    if (is_terminal < 0) {
        is_terminal = isatty(STDERR_FILENO);
    }
    if (is_terminal == 1) {
        (void)fprintf(stderr, "\r\033[K");
        if (what != NULL) {
            (void)fprintf(stderr, "%d/%d %s: %s", step, BENCH_WORKLOADS, what, who);
        }
        (void)fflush(stderr);
    }
}

/* One workload: each subject in turn, and again, so that what disturbs disturbs all. */
static void speed_measure(bench_report *report, bench_run *runs, bench_workload workload) {
    const bench_work_info *info = &bench_work_infos[workload];
    const int rounds = info->repeated ? report->config->rounds : 1;
    for (int round = 0; round < rounds; round++) {
        for (int i = 0; i < SPEED_SUBJECTS; i++) {
            speed_progress((int)workload + 1, info->title, runs[i].subject->title);
            bench_result *result = &report->results[workload][i];
            runs[i].p50 = 0;
            runs[i].p99 = 0;
            result->figures[result->count++] = bench_work_measure(&runs[i], workload, round);
            result->p50 = runs[i].p50;
            result->p99 = runs[i].p99;
        }
    }
}

static void speed_verify(bench_run *runs, bench_workload before) {
    for (int i = 0; i < SPEED_SUBJECTS; i++) {
        speed_progress((int)before, "verify every row", runs[i].subject->title);
        bench_work_verify(&runs[i]);
    }
}

static void speed_run(bench_report *report) {
    bench_run runs[SPEED_SUBJECTS];
    for (int i = 0; i < SPEED_SUBJECTS; i++) {
        bench_work_open(&runs[i], report->config, speed_subjects[i]);
    }
    report->overhead = bench_work_overhead(report->config);
    for (int w = 0; w < BENCH_WORKLOADS; w++) {
        if (w == BENCH_DELETE) {
            speed_verify(runs, BENCH_DELETE);
        }
        speed_measure(report, runs, (bench_workload)w);
    }
    speed_verify(runs, BENCH_WORKLOADS);
    speed_progress(0, NULL, NULL);
    for (int i = 0; i < SPEED_SUBJECTS; i++) {
        bench_work_close(&runs[i]);
    }
}

/* The words of the command line with a space between. Caller frees. */
static char *speed_command(int argc, char **argv) {
    size_t size = sizeof "bench_speed";
    for (int i = 1; i < argc; i++) {
        size += strlen(argv[i]) + 1;
    }
    char *text = bench_allocate(size, 1);
    size_t used = (size_t)snprintf(text, size, "bench_speed");
    for (int i = 1; i < argc; i++) {
        used += (size_t)snprintf(text + used, size - used, " %s", argv[i]);
    }
    return text;
}

int main(int argc, char **argv) {
    bench_config config;
    speed_options(argc, argv, &config);
    config.folder = bench_folder_make();
    bench_machine machine;
    bench_machine_read(&machine);
    char *command = speed_command(argc, argv);
    bench_report *report = bench_allocate(1, sizeof *report);
    *report = (bench_report){.config = &config,
                             .machine = &machine,
                             .subjects = speed_subjects,
                             .subject_count = SPEED_SUBJECTS,
                             .command = command};
    speed_run(report);
    bench_report_print(report);
    if (config.output != NULL) {
        bench_report_write(report, config.output);
    }
    free(report);
    free(command);
    return 0;
}
