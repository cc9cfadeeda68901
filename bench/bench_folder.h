/* SPDX-License-Identifier: MIT */
/*
 * The temporary folder of the databases. It is removed however the program ends, but for a crash.
 */
#ifndef BENCH_FOLDER_H
#define BENCH_FOLDER_H

/* Makes it under $TMPDIR or /tmp. Static storage. Once per process. */
const char *bench_folder_make(void);

/* The file system that it is on ("ext4", "tmpfs", ... or a number). Static storage. */
const char *bench_folder_system(void);

/* Names of the files that may be made in it. */
#define BENCH_FILE_ORDINARY "ordinary.db" /* host and table */
#define BENCH_FILE_HOST "host.db"         /* host of BENCH_FILE_SQL */
#define BENCH_FILE_SQL "sql.htt"          /* table of BENCH_FILE_HOST */
#define BENCH_FILE_NATIVE "native.htt"    /* through htt.h alone */

#endif
