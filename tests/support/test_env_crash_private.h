/* SPDX-License-Identifier: MIT */
/* What the two halves of the crash environment share: the disk now, and its log. */
#ifndef TEST_ENV_CRASH_PRIVATE_H
#define TEST_ENV_CRASH_PRIVATE_H

#include <pthread.h>

#include "support/test_env_crash.h"

typedef enum crash_kind {
    CRASH_CREATE = 1,
    CRASH_UNLINK = 2,
    CRASH_WRITE = 3,
    CRASH_TRUNCATE = 4,
    CRASH_RESERVE = 5,
    CRASH_SYNC = 6,
    CRASH_SYNC_DIRECTORY = 7,
    CRASH_STORE = 8 /* through a writable mapping */
} crash_kind;

struct crash_process;

typedef struct crash_op {
    crash_kind kind; /* what was done */
    size_t inode;    /* to which file; not of SYNC_DIRECTORY */
    uint64_t offset; /* WRITE, STORE: where; TRUNCATE, RESERVE: the size */
    size_t size;     /* WRITE, STORE: bytes */
    uint8_t *bytes;  /* WRITE, STORE: owned */
    char *path;      /* CREATE, UNLINK: the name; SYNC_DIRECTORY: a name in it; owned */
} crash_op;

struct htt_file {
    struct crash_process *process; /* who opened it */
    size_t inode;                  /* index */
    bool readonly;                 /* HTT_FILE_READ */
    htt_file *next;                /* of fs->files */
};

typedef struct crash_lock {
    htt_file *owner; /* the open that holds it */
    uint64_t offset; /* byte */
    int mode;        /* HTT_LOCK_... */
} crash_lock;

typedef struct crash_inode {
    uint8_t *bytes;     /* now; owned: of the heap, or a mapping of `memory` */
    size_t capacity;    /* of bytes */
    int memory;         /* memfd, once it was mapped, so that mappings are real ones; else -1 */
    uint64_t size;      /* bytes */
    uint64_t links;     /* 1, or 0 after unlink */
    size_t shared;      /* writable mappings now */
    uint8_t *shadow;    /* bytes as last logged, while shared > 0; owned */
    size_t shadow_size; /* its size */
    crash_lock *locks;  /* held; owned */
    size_t lock_count;  /* of locks */
} crash_inode;

typedef struct crash_name {
    char *path;   /* owned */
    size_t inode; /* index of the file */
} crash_name;

typedef struct crash_names {
    crash_name *items; /* owned */
    size_t count;      /* of items */
} crash_names;

typedef struct crash_map {
    void *address;                 /* NULL = free entry */
    size_t size;                   /* bytes */
    size_t inode;                  /* of which file */
    bool writable;                 /* counts in inode.shared */
    struct crash_process *process; /* whose */
} crash_map;

typedef struct crash_process {
    htt_env env;                /* context = this struct */
    struct crash_fs *fs;        /* the disk */
    uint64_t id;                /* process id */
    bool dead;                  /* killed */
    size_t left;                /* operations until it dies or fails; SIZE_MAX = it does not */
    bool fails;                 /* it fails */
    void (*died)(void *arg);    /* called then, or NULL */
    void *arg;                  /* of died */
    struct crash_process *next; /* of fs */
} crash_process;

/* A file as it would be read; while walking the log. */
typedef struct crash_image {
    uint8_t *bytes;  /* owned */
    size_t size;     /* of the file */
    size_t capacity; /* of bytes */
    bool shared;     /* was stored to through a mapping */
} crash_image;

/* The durable state at a position, kept between cuts because positions mostly go up. */
typedef struct crash_replay {
    size_t position;      /* operations looked at */
    crash_names names;    /* durable names */
    crash_image *images;  /* durable bytes, one for each inode so far; owned */
    size_t image_count;   /* of images */
    size_t *pending;      /* operations that are not durable, ascending; owned */
    size_t pending_count; /* of pending */
} crash_replay;

struct crash_fs {
    pthread_mutex_t mutex;    /* guards all below */
    uint64_t seed;            /* of crash_fs_new */
    uint64_t random;          /* state of the random numbers */
    uint64_t boot;            /* power cuts before this disk */
    uint64_t clock_us;        /* simulated */
    uint64_t capacity;        /* bytes of all files */
    uint64_t next_process_id; /* for a new process */
    crash_inode *inodes;      /* all files that ever were; owned */
    size_t inode_count;       /* of inodes */
    crash_names names;        /* now */
    crash_process *processes; /* all, newest first; owned */
    crash_process *first;     /* of crash_fs_env */
    htt_file *files;          /* all open ones; owned */
    crash_map *maps;          /* owned */
    size_t map_count;         /* of maps, free entries included */
    crash_op *ops;            /* the log; owned */
    size_t op_count;          /* of ops */
    size_t op_capacity;       /* of ops */
    crash_replay replay;      /* see there */
    char origin[512];         /* see crash_fs_origin */
};

#define CRASH_LOCKS_ALL UINT64_MAX /* for crash_drop_locks */

/* Ends the test program when the condition does not hold. */
void crash_require(bool condition, const char *what);
/* realloc that never gives NULL. */
void *crash_memory(void *memory, size_t size);
char *crash_copy_text(const char *text);
uint64_t crash_random_next(uint64_t *state);

/* Index of a name, or names->count. */
size_t crash_names_find(const crash_names *names, const char *path);
void crash_names_add(crash_names *names, const char *path, size_t inode);
void crash_names_remove(crash_names *names, const char *path);
void crash_names_free(crash_names *names);
/* True: both names are in the same directory. */
bool crash_same_directory(const char *path, const char *other);

/* The environment of a process: sets process->env. */
void crash_fill_env(crash_process *process);
/* Forgets locks of an open on one byte, or on all (CRASH_LOCKS_ALL). */
void crash_drop_locks(crash_inode *inode, const htt_file *file, uint64_t offset);
/* A writable mapping ends. What it stored must be in the log already. */
void crash_unshare(crash_inode *inode);
void crash_set_size(crash_inode *inode, uint64_t size);
/* From now on the file's bytes can be mapped. */
void crash_expose(crash_inode *inode);

/* One more operation of the log; the other fields are the caller's. Borrowed until the next. */
crash_op *crash_log(crash_fs *fs, crash_kind kind, size_t inode);
/* The same with a copy of bytes. */
void crash_log_bytes(crash_fs *fs, crash_kind kind, size_t inode, uint64_t offset,
                     const void *bytes, size_t size);
/* After a change that was logged: stores are compared with the bytes now. */
void crash_refresh_shadow(crash_inode *inode);
/* A process dies. Mutex held. */
void crash_kill(crash_process *process);
/* A new, empty file, logged. Gives its index. */
size_t crash_create(crash_fs *fs, const char *path);

/* Logs what was stored through mappings since the last operation. Mutex held. */
void crash_record_stores(crash_fs *fs);
/* Makes a file from bytes, durably; takes ownership of bytes (malloc'ed). Mutex held. */
void crash_install_file(crash_fs *fs, const char *path, uint8_t *bytes, size_t size);
void crash_replay_free(crash_replay *replay);

#endif
