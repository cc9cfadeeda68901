/* SPDX-License-Identifier: MIT */
/*
 * htt_env: every call of the engine that touches the outside.
 *
 * A store calls nothing else of the operating system: no file, clock, random number, lock or
 * allocation goes round this table. Tests replace it to fail, reorder, lose and replay calls.
 *
 * Functions that return int give 0 or a positive errno value; they retry EINTR themselves.
 * `context` is passed to every function as its first argument.
 */
#ifndef HTT_ENV_H
#define HTT_ENV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "htt.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct htt_file htt_file; /* an open file; made by an env, opaque to the engine */

enum {                            /* flags of open */
    HTT_FILE_READ = 1u << 0,      /* read only (default: read and write) */
    HTT_FILE_CREATE = 1u << 1,    /* create when absent, mode 0600 less the umask */
    HTT_FILE_EXCLUSIVE = 1u << 2, /* with CREATE: EEXIST when it is there */
    HTT_FILE_NO_FOLLOW = 1u << 3  /* ELOOP when the last part of the path is a symbolic link */
};

typedef struct htt_file_info {
    uint64_t size;   /* bytes */
    uint64_t device; /* st_dev */
    uint64_t inode;  /* st_ino */
    uint64_t links;  /* st_nlink; 0 = the file was unlinked */
    bool regular;    /* a regular file */
} htt_file_info;

enum { HTT_LOCK_SHARED = 1, HTT_LOCK_EXCLUSIVE = 2 };

typedef struct htt_env {
    void *context; /* first argument of every function */

    /* Files. Opened O_CLOEXEC. A file that is not regular is EINVAL from open. */
    int (*open)(void *context, const char *path, unsigned flags, htt_file **file_out);
    void (*close)(void *context, htt_file *file);
    /* Reads exactly `size` bytes, or EIO where the file ends before (read_out tells how many). */
    int (*read)(void *context, htt_file *file, void *buffer, size_t size, uint64_t offset,
                size_t *read_out);
    /* Writes exactly `size` bytes or fails. A failed write may have written a part. */
    int (*write)(void *context, htt_file *file, const void *buffer, size_t size, uint64_t offset);
    /* Makes written data and the file's size durable (fdatasync). */
    int (*sync)(void *context, htt_file *file);
    /* Makes sure that [0, size) has space on the disk; the file's size becomes at least `size`. */
    int (*reserve)(void *context, htt_file *file, uint64_t size);
    int (*truncate)(void *context, htt_file *file, uint64_t size);
    int (*info)(void *context, htt_file *file, htt_file_info *info_out);
    /* The same for a path; ENOENT when absent. Follows symbolic links. */
    int (*path_info)(void *context, const char *path, htt_file_info *info_out);
    int (*unlink)(void *context, const char *path);
    /* Makes the directory that holds `path` durable (names created, removed). */
    int (*sync_directory)(void *context, const char *path);

    /*
     * Shared mapping of [0, size); reading past the file's end is the caller's fault. `writable`
     * is used for the lock file only.
     */
    int (*map)(void *context, htt_file *file, size_t size, bool writable, void **address_out);
    void (*unmap)(void *context, void *address, size_t size);

    /*
     * Open-file-description locks on one byte at `offset` (advisory, released by the kernel when
     * the last descriptor of this open goes). Never waits: EAGAIN when another open holds it.
     * unlock cannot fail.
     */
    int (*lock)(void *context, htt_file *file, uint64_t offset, int mode);
    void (*unlock)(void *context, htt_file *file, uint64_t offset);

    /* Clock: milliseconds that never go back. Sleep: about `microseconds`. */
    uint64_t (*now_ms)(void *context);
    void (*sleep_us)(void *context, uint64_t microseconds);
    /* Unpredictable bytes. */
    int (*random)(void *context, void *buffer, size_t size);
    /* 16 bytes that differ after every start of the operating system; zeros when unknown. */
    int (*boot_id)(void *context, uint8_t id_out[16]);
    /* This process. */
    uint64_t (*process_id)(void *context);

    /* Memory. allocate: 64-byte aligned not required; NULL when there is none. */
    void *(*allocate)(void *context, size_t size);
    void *(*reallocate)(void *context, void *memory, size_t size);
    void (*release)(void *context, void *memory);
} htt_env;

/* The operating system's. Static storage, shared by all stores. */
HTT_API const htt_env *htt_env_system(void);

#ifdef __cplusplus
}
#endif

#endif
