/* SPDX-License-Identifier: MIT */
/*
 * Memory of a load: the most anonymous memory (RssAnon of proc(5): heap and stacks, no pages of
 * files) that loading all rows in one transaction takes, over what there was before it began. Each
 * subject loads in a process of its own; a thread looks every few milliseconds. The rows are read
 * back and verified.
 *
 *     bench_memory [-S subjects] [-n rows] [-b write budget] ...; bench_options.c has the options
 */
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench_clock.h"
#include "bench_files.h"
#include "bench_options.h"

enum { MEMORY_PAUSE = 2000000 }; /* nanoseconds between two looks */

typedef struct memory_watch {
    atomic_bool stop; /* the load is over */
    uint64_t most;    /* bytes; the thread's until it is joined */
} memory_watch;

typedef struct memory_figures {
    uint64_t before; /* anonymous bytes */
    uint64_t most;   /* the same, while the rows were loaded */
    double load;     /* nanoseconds a row */
} memory_figures;

static void *memory_look(void *arg) {
    memory_watch *watch = arg;
    const struct timespec pause = {0, MEMORY_PAUSE};
    while (!atomic_load(&watch->stop)) {
        const uint64_t now = bench_files_anonymous_bytes();
        watch->most = now > watch->most ? now : watch->most;
        (void)nanosleep(&pause, NULL);
    }
    return NULL;
}

static void memory_load(const bench_config *config, const bench_subject *subject,
                        memory_figures *figures_out) {
    bench_run run;
    memory_watch watch = {.most = 0};
    pthread_t thread;
    bench_run_open(&run, config, subject, config->dataset.rows);
    figures_out->before = bench_files_anonymous_bytes();
    if (pthread_create(&thread, NULL, memory_look, &watch) != 0) {
        bench_fail("cannot start a thread");
    }
    figures_out->load = bench_run_load(&run);
    atomic_store(&watch.stop, true);
    if (pthread_join(thread, NULL) != 0) {
        bench_fail("cannot join a thread");
    }
    figures_out->most = watch.most;
    bench_run_verify(&run);
    bench_run_close(&run);
}

/* In a process of its own, so that nothing is left of the subject before. */
static void memory_measure(const bench_config *config, const bench_subject *subject,
                           memory_figures *figures_out) {
    int pipe_ends[2];
    int status = 0;
    if (pipe(pipe_ends) != 0) {
        bench_fail("no pipe");
    }
    const pid_t child = fork();
    if (child == 0) {
        memory_figures figures;
        memset(&figures, 0, sizeof figures);
        memory_load(config, subject, &figures);
        _exit(write(pipe_ends[1], &figures, sizeof figures) == sizeof figures ? 0 : 1);
    }
    (void)close(pipe_ends[1]);
    const bool told = read(pipe_ends[0], figures_out, sizeof *figures_out) == sizeof *figures_out;
    (void)close(pipe_ends[0]);
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0 || !told) {
        bench_fail("%s: the process that loads failed", subject->id);
    }
}

/* A row of all subjects, or of those with a budget. */
static void memory_row(bench_report *report, const bench_config *config, bench_row *row) {
    const uint64_t budget =
        config->write_budget != 0 ? config->write_budget : UINT64_C(64) * 1024 * 1024;
    for (int i = 0; i < report->subjects.count; i++) {
        const bench_subject *subject = report->subjects.list[i];
        if (config->write_budget != 0 && !subject->has_budget) {
            continue;
        }
        memory_figures figures;
        bench_run noted = {.extra_count = 0};
        bench_report_progress(row->title, subject->id);
        memory_measure(config, subject, &figures);
        const double bytes =
            figures.most > figures.before ? (double)(figures.most - figures.before) : 0;
        bench_run_extra(&noted, "load_ns", figures.load);
        if (subject->has_budget) {
            bench_run_extra(&noted, "write_budget", (double)budget);
            bench_run_extra(&noted, "of_budget", bytes / (double)budget);
        }
        bench_report_note(row, i, bytes / (1024.0 * 1024), &noted);
    }
}

int main(int argc, char **argv) {
    bench_config config = {
        .dataset = {.rows = 1000000, .key_size = 16, .value_size = 100, .seed = 1, .text = true},
        .rounds = 1,
        .bulk_sync = HTT_SYNC_OFF,
    };
    bench_report *report = bench_options_begin(argc, argv, "bench_memory", &config, "all");
    bench_subjects_drop_alone(&report->subjects);
    memory_row(report, &config,
               bench_report_add(report, "load_memory", "anonymous memory of a load, at most", "MiB",
                                false));
    bench_config half = config;
    half.write_budget =
        config.dataset.rows * (config.dataset.key_size + config.dataset.value_size) / 2;
    memory_row(report, &half,
               bench_report_add(report, "load_memory_half",
                                "the same, write budget half the payload", "MiB", false));
    bench_options_end(report);
    return 0;
}
