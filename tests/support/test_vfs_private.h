/* SPDX-License-Identifier: MIT */
/* What the two halves of the SQLite VFS share: files, and a machine's locks and wal-indexes. */
#ifndef TEST_VFS_PRIVATE_H
#define TEST_VFS_PRIVATE_H

#include <stdint.h>

#include "support/test_vfs.h"

#define VFS_REGION 32768u /* bytes of a part of a wal-index; SQLite asks for no other size */

typedef struct vfs_file vfs_file;

/* A lock of a wal-index. */
typedef struct vfs_shm_lock {
    unsigned shared;           /* holders */
    const vfs_file *exclusive; /* holder, or NULL */
} vfs_shm_lock;

/* A database file while someone has it open. */
typedef struct vfs_node {
    struct vfs_node *next;    /* of the machine */
    uint64_t inode;           /* which file */
    unsigned opens;           /* handles */
    unsigned shared;          /* handles with SHARED or above */
    const vfs_file *reserved; /* who has RESERVED or above, without those that skipped it */
    const vfs_file *pending;  /* who has PENDING or EXCLUSIVE */
    unsigned index_users;     /* handles that have the wal-index */
    void **regions;           /* of the wal-index: shared mappings; owned */
    int region_count;         /* of regions */
    vfs_shm_lock locks[SQLITE_SHM_NLOCK]; /* of the wal-index */
} vfs_node;

struct vfs_machine {
    vfs_node *nodes; /* owned */
    size_t files;    /* open, of processes that live */
};

struct vfs_process {
    sqlite3_vfs vfs;      /* pAppData = this struct */
    char name[32];        /* of vfs */
    vfs_machine *machine; /* borrowed */
    const htt_env *env;   /* borrowed */
    vfs_file *files;      /* open ones */
    bool dead;            /* killed */
};

struct vfs_file {
    sqlite3_file base;        /* SQLite's; first */
    vfs_process *process;     /* whose */
    vfs_file *next;           /* of process */
    htt_file *file;           /* in the env */
    char *path;               /* owned */
    bool sync_directory;      /* with the next sync, that of its directory */
    bool persist_wal;         /* SQLITE_FCNTL_PERSIST_WAL */
    int level;                /* SQLITE_LOCK_... */
    vfs_node *node;           /* of a database file; else NULL */
    bool index;               /* counts in node->index_users */
    unsigned index_shared;    /* bits: shared locks of the wal-index */
    unsigned index_exclusive; /* bits: exclusive ones */
    void **regions;           /* its own mappings of the node's regions; owned */
    int region_count;         /* of regions */
};

/* Ends the test program when the condition does not hold. */
void vfs_require(bool condition, const char *what);

/* The node of an inode, made when there is none; one more open. */
vfs_node *vfs_node_get(vfs_machine *machine, uint64_t inode);
/* A handle lets go of everything that it has of its node. */
void vfs_node_leave(vfs_file *file);
/* A handle's process dies: the same, but its mappings stay, as private copies. */
void vfs_node_abandon(vfs_file *file);

/* The calls of sqlite3_io_methods. */
int vfs_lock(sqlite3_file *base, int level);
int vfs_unlock(sqlite3_file *base, int level);
int vfs_check_reserved(sqlite3_file *base, int *reserved_out);
int vfs_shm_map(sqlite3_file *base, int region, int size, int extend, void volatile **out);
int vfs_shm_locking(sqlite3_file *base, int offset, int count, int flags);
void vfs_shm_barrier(sqlite3_file *base);
int vfs_shm_unmap(sqlite3_file *base, int remove);

#endif
