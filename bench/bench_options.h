/* SPDX-License-Identifier: MIT */
/*
 * The options that all programs take alike.
 */
#ifndef BENCH_OPTIONS_H
#define BENCH_OPTIONS_H

#include "bench_report.h"
#include "bench_subjects.h"

/*
 * Reads options over `config` and `names` (of the subjects), which have the program's defaults.
 * What stays 0 of gets, writes and commits is filled in from the number of rows. Words that are no
 * options, and options that are unknown, end the program with the list of them.
 */
void bench_options_read(int argc, char **argv, bench_config *config, const char **names);

/*
 * All that a program does before it measures: options, subjects, temporary folder, machine; the
 * report to fill in. `config` has the program's defaults and is borrowed by the report.
 */
bench_report *bench_options_begin(int argc, char **argv, const char *program, bench_config *config,
                                  const char *names);

/* Prints the table, writes the JSON file where asked, frees the report. */
void bench_options_end(bench_report *report);

#endif
