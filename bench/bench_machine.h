/* SPDX-License-Identifier: MIT */
/*
 * What a benchmark ran on: without that its figures say nothing.
 */
#ifndef BENCH_MACHINE_H
#define BENCH_MACHINE_H

#include <stdint.h>

typedef struct bench_machine {
    char cpu[128];         /* as lscpu says it */
    char kernel[128];      /* "Linux 6.1.0" */
    char date[32];         /* UTC, ISO 8601, of the start */
    char compiler[128];    /* "gcc 12.2.0" */
    char sqlite[128];      /* version that is linked, and the start of its source id */
    const char *htt;       /* version that is linked; static */
    const char *system;    /* file system of the databases; static */
    uint64_t memory_bytes; /* of the machine; 0 = unknown */
    char governor[64];     /* of the processor's clock; "none" in most virtual machines */
    long cores;            /* online processors */
    double load;           /* of the last minute, at the start: others that disturb */
} bench_machine;

/* Call it after bench_folder_make. What cannot be learnt is "unknown". */
void bench_machine_read(bench_machine *machine_out);

#endif
