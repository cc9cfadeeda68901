/* SPDX-License-Identifier: MIT */
/*
 * The files of a subject as the operating system sees them: their size, their pages in its cache,
 * what is read of them from the disk.
 */
#ifndef BENCH_FILES_H
#define BENCH_FILES_H

#include <stdint.h>

/* Bytes that the files of a folder occupy: of each the length or, if fewer, the allocated bytes. */
uint64_t bench_files_bytes(const char *folder);

/* Writes the files of a folder to the disk and drops them from the page cache. None may be open. */
void bench_files_drop(const char *folder);

/*
 * Tells the kernel for every open file and every mapping of a file in the folder, in this process,
 * that it is read in random order, so that it reads nothing ahead; and drops from the page cache
 * what was read ahead until now and is not mapped.
 */
void bench_files_read_randomly(const char *folder);

/* Bytes that this process caused to be read from disks until now. */
uint64_t bench_files_read_bytes(void);

/* Anonymous memory of this process in RAM now, bytes. */
uint64_t bench_files_anonymous_bytes(void);

#endif
