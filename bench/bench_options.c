/* SPDX-License-Identifier: MIT */
/*
 * Options, and the beginning and end of every program.
 */
#include "bench_options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench_folder.h"

#define OPTIONS_USAGE                                                                              \
    "options:\n"                                                                                   \
    "  -n rows      in the table\n"                                                                \
    "  -k bytes     of a key (16)\n"                                                               \
    "  -v bytes     of a value (100)\n"                                                            \
    "  -t text|blob type of the keys (text)\n"                                                     \
    "  -s seed      of keys, values and choices (1)\n"                                             \
    "  -S names     of subjects, with commas: sql, native, peers, all, or ids (all)\n"             \
    "  -g gets      per read workload (as rows, at most 500000)\n"                                 \
    "  -w writes    per write workload (as rows, at most 200000)\n"                                \
    "  -c commits   small ones of a kind, at most (a fifth of rows, at most 70000)\n"              \
    "  -r rounds    of each read workload; the median counts (3)\n"                                \
    "  -y full|normal|off  synchronous of all but the small commits (off)\n"                       \
    "  -b bytes     write budget of htt (its default)\n"                                           \
    "  -o file      also write the results there as JSON\n"

static uint64_t options_number(const char *text, uint64_t min, uint64_t max) {
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
static int options_word(const char *text, const char *const *words, int count) {
    for (int i = 0; i < count; i++) {
        if (strcmp(text, words[i]) == 0) {
            return i;
        }
    }
    bench_fail("%s is unknown here\n%s", text, OPTIONS_USAGE);
}

static uint64_t options_least(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

/* Takes one option; `value` is its argument. */
static void options_take(int option, const char *value, bench_config *config, const char **names) {
    static const char *const types[] = {"blob", "text"};
    static const char *const syncs[] = {
        [HTT_SYNC_FULL] = "full", [HTT_SYNC_NORMAL] = "normal", [HTT_SYNC_OFF] = "off"};
    const uint64_t many = UINT64_C(1) << 40;
    bench_dataset *dataset = &config->dataset;
    switch (option) {
    case 'n': dataset->rows = options_number(value, 1, BENCH_ROWS_MAX); break;
    case 'k': dataset->key_size = options_number(value, BENCH_KEY_MIN, BENCH_KEY_MAX); break;
    case 'v': dataset->value_size = options_number(value, 0, 100000000); break;
    case 't': dataset->text = options_word(value, types, 2) == 1; break;
    case 's': dataset->seed = options_number(value, 0, UINT64_MAX); break;
    case 'S': *names = value; break;
    case 'g': config->gets = options_number(value, 1, many); break;
    case 'w': config->writes = options_number(value, 1, many); break;
    case 'c': config->commits = options_number(value, 1, many); break;
    case 'r': config->rounds = (int)options_number(value, 1, BENCH_ROUNDS_MAX); break;
    case 'y': config->bulk_sync = (htt_sync)options_word(value, syncs, 3); break;
    case 'b': config->write_budget = options_number(value, 1, UINT64_MAX); break;
    case 'o': config->output = value; break;
    default: bench_fail("an unknown option\n%s", OPTIONS_USAGE);
    }
}

void bench_options_read(int argc, char **argv, bench_config *config, const char **names) {
    opterr = 0;
    for (;;) {
        const int option = getopt(argc, argv, "n:k:v:t:s:S:g:w:c:r:y:b:o:");
        if (option == -1) {
            break;
        }
        options_take(option, optarg, config, names);
    }
    if (optind != argc) {
        bench_fail("%s: only options are expected\n%s", argv[optind], OPTIONS_USAGE);
    }
    const uint64_t rows = config->dataset.rows;
    if (config->gets == 0) {
        config->gets = options_least(rows, 500000);
    }
    if (config->writes == 0) {
        config->writes = options_least(rows, 200000);
    }
    if (config->commits == 0) {
        config->commits = options_least((rows + 4) / 5, 70000);
    }
    config->writes = options_least(config->writes, rows); /* each row is deleted once */
    bench_dataset_prepare(&config->dataset);
}

/* The words of the command line but "-o file", with a space between. Caller frees. */
static char *options_command(int argc, char **argv, const char *program) {
    size_t size = strlen(program) + 1;
    for (int i = 1; i < argc; i++) {
        size += strlen(argv[i]) + 1;
    }
    char *text = bench_allocate(size, 1);
    size_t used = (size_t)snprintf(text, size, "%s", program);
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "-o") == 0) {
            i++;
        } else {
            used += (size_t)snprintf(text + used, size - used, " %s", argv[i]);
        }
    }
    return text;
}

bench_report *bench_options_begin(int argc, char **argv, const char *program, bench_config *config,
                                  const char *names) {
    bench_options_read(argc, argv, config, &names);
    bench_report *report = bench_allocate(1, sizeof *report);
    report->program = program;
    report->config = config;
    report->command = options_command(argc, argv, program);
    bench_subjects_choose(names, &report->subjects);
    config->folder = bench_folder_make();
    bench_machine_read(&report->machine);
    return report;
}

void bench_options_end(bench_report *report) {
    bench_report_progress(NULL, NULL);
    bench_report_print(report);
    if (report->config->output != NULL) {
        bench_json_write(report, report->config->output);
    }
    free(report->command);
    free(report);
}
