/* SPDX-License-Identifier: MIT */
/*
 * What a benchmark ran on.
 */
#include "bench_machine.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "bench_folder.h"
#include "htt.h"

/* "model name : AMD EPYC" in /proc/cpuinfo; lscpu has it from there. */
static void machine_read_cpu(char *cpu_out, size_t size) {
    (void)snprintf(cpu_out, size, "unknown");
    FILE *file = fopen("/proc/cpuinfo", "re");
    if (file == NULL) {
        return;
    }
    char line[256];
    while (fgets(line, sizeof line, file) != NULL) {
        const char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) == 0 && colon != NULL) {
            line[strcspn(line, "\n")] = '\0';
            (void)snprintf(cpu_out, size, "%s", colon[1] == ' ' ? colon + 2 : colon + 1);
            break;
        }
    }
    (void)fclose(file);
}

/* The first line of a file, "none" where there is no such file. */
static void machine_read_line(const char *path, char *line_out, size_t size) {
    (void)snprintf(line_out, size, "none");
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return;
    }
    if (fgets(line_out, (int)size, file) != NULL) {
        line_out[strcspn(line_out, "\n")] = '\0';
    }
    (void)fclose(file);
}

void bench_machine_read(bench_machine *machine_out) {
    memset(machine_out, 0, sizeof *machine_out);
    machine_read_cpu(machine_out->cpu, sizeof machine_out->cpu);
    machine_read_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor",
                      machine_out->governor, sizeof machine_out->governor);
    struct utsname name;
    if (uname(&name) == 0) {
        (void)snprintf(machine_out->kernel, sizeof machine_out->kernel, "%.40s %.80s", name.sysname,
                       name.release);
    } else {
        (void)snprintf(machine_out->kernel, sizeof machine_out->kernel, "unknown");
    }
    const time_t now = time(NULL);
    struct tm parts;
    if (gmtime_r(&now, &parts) == NULL ||
        strftime(machine_out->date, sizeof machine_out->date, "%Y-%m-%dT%H:%M:%SZ", &parts) == 0) {
        (void)snprintf(machine_out->date, sizeof machine_out->date, "unknown");
    }
#if defined(__clang__)
    (void)snprintf(machine_out->compiler, sizeof machine_out->compiler, "clang %d.%d.%d",
                   __clang_major__, __clang_minor__, __clang_patchlevel__);
#else
    (void)snprintf(machine_out->compiler, sizeof machine_out->compiler, "gcc %d.%d.%d", __GNUC__,
                   __GNUC_MINOR__, __GNUC_PATCHLEVEL__);
#endif
    (void)snprintf(machine_out->sqlite, sizeof machine_out->sqlite, "%s (%.19s)",
                   sqlite3_libversion(), sqlite3_sourceid());
    machine_out->htt = htt_version();
    machine_out->system = bench_folder_system();
    machine_out->cores = sysconf(_SC_NPROCESSORS_ONLN);
    const long pages = sysconf(_SC_PHYS_PAGES);
    const long page_size = sysconf(_SC_PAGESIZE);
    if (pages > 0 && page_size > 0) {
        machine_out->memory_bytes = (uint64_t)pages * (uint64_t)page_size;
    }
    if (getloadavg(&machine_out->load, 1) != 1) {
        machine_out->load = -1;
    }
}
