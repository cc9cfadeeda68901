/* SPDX-License-Identifier: MIT */
/*
 * A file system in memory, as an htt_env: fast, for tests that open many thousand files.
 *
 *     memory_fs *fs = memory_fs_new(seed);
 *     memory_fs_put_file(fs, "kv.htt", bytes, size);
 *     open, read, write, close with memory_fs_env(fs)
 *     memory_fs_clear(fs);                              and the next one
 *     memory_fs_free(fs);
 *
 * Nothing is ever lost, and nothing is recorded (test_env_crash.h does that). The bytes of a file
 * are one piece of address space: a mapping is a pointer into it, and what lies behind the file's
 * end cannot be touched, page by page, as on a disk. Time stands still but for sleep_us. One
 * thread at a time.
 */
#ifndef TEST_ENV_MEMORY_H
#define TEST_ENV_MEMORY_H

#include <stddef.h>
#include <stdint.h>

#include "htt_env.h"

#define MEMORY_FILES_MAX 8                      /* files at one time */
#define MEMORY_FILE_SIZE_MAX ((size_t)64 << 20) /* bytes; more is ENOSPC */

typedef struct memory_fs memory_fs;

/* The seed decides random numbers. Aborts the test without memory. */
memory_fs *memory_fs_new(uint64_t seed);
/* Frees all files, open or not. NULL is allowed. */
void memory_fs_free(memory_fs *fs);

/* Borrowed until memory_fs_free. */
const htt_env *memory_fs_env(memory_fs *fs);

/* Removes all files. None may be open or mapped. Clock and random numbers begin anew. */
void memory_fs_clear(memory_fs *fs);

/* Pieces of memory above this are refused (NULL). Default: none are. */
void memory_fs_set_piece_max(memory_fs *fs, size_t bytes);

/* Makes or replaces a file. */
void memory_fs_put_file(memory_fs *fs, const char *path, const void *bytes, size_t size);
/* A file's bytes, borrowed until it changes. NULL: no such file. */
const uint8_t *memory_fs_get_file(memory_fs *fs, const char *path, size_t *size_out);

/* Open files and mappings that were not given back. */
size_t memory_fs_held(const memory_fs *fs);

#endif
