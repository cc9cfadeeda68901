/* SPDX-License-Identifier: MIT */
/*
 * The temporary folder of the databases, with one in it for each subject. It is removed however the
 * program ends, but for a crash.
 */
#ifndef BENCH_FOLDER_H
#define BENCH_FOLDER_H

/* Makes it under $TMPDIR or /tmp. Static storage. Once per process. */
const char *bench_folder_make(void);

/* The file system that it is on ("ext4", "tmpfs", ... or a number). Static storage. */
const char *bench_folder_system(void);

/* Makes the folder <parent>/<name>. Caller frees with free. */
char *bench_folder_add(const char *parent, const char *name);

/* Removes a folder and all in it. */
void bench_folder_remove(const char *path);

/* Names of files in it. */
#define BENCH_FILE_ORDINARY "ordinary.db" /* host and table */
#define BENCH_FILE_HOST "host.db"         /* host of BENCH_FILE_SQL */
#define BENCH_FILE_SQL "sql.htt"          /* table of BENCH_FILE_HOST */
#define BENCH_FILE_NATIVE "native.htt"    /* through htt.h alone */

#endif
