/* SPDX-License-Identifier: MIT */
/*
 * Locks and wal-indexes of the SQLite VFS: what a machine keeps in memory. Locks belong to handles,
 * as if every connection were a process; a wal-index lives while a handle has it.
 *
 * A region of a wal-index is anonymous shared memory. Every handle has a mapping of its own, so
 * that a process that dies can be cut off from it.
 */
#include "support/test_vfs_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

void vfs_require(bool condition, const char *what) {
    if (!condition) {
        (void)fprintf(stderr, "test_vfs: %s: %s\n", what, strerror(errno));
        abort();
    }
}

/* ------------------------------------------------------------------ nodes */

vfs_node *vfs_node_get(vfs_machine *machine, uint64_t inode) {
    vfs_node *node = machine->nodes;
    while (node != NULL && node->inode != inode) {
        node = node->next;
    }
    if (node == NULL) {
        node = calloc(1, sizeof *node);
        vfs_require(node != NULL, "no memory");
        node->inode = inode;
        node->next = machine->nodes;
        machine->nodes = node;
    }
    node->opens++;
    return node;
}

static void vfs_node_free(vfs_machine *machine, vfs_node *node) {
    vfs_node **link = &machine->nodes;
    while (*link != node) {
        link = &(*link)->next;
    }
    *link = node->next;
    free(node);
}

static void vfs_node_lower(vfs_file *file, int level) {
    vfs_node *node = file->node;
    if (level < SQLITE_LOCK_PENDING && node->pending == file) {
        node->pending = NULL;
    }
    if (level < SQLITE_LOCK_RESERVED && node->reserved == file) {
        node->reserved = NULL;
    }
    if (level < SQLITE_LOCK_SHARED && file->level >= SQLITE_LOCK_SHARED) {
        node->shared--;
    }
    file->level = level < file->level ? level : file->level;
}

static void vfs_index_unlock(vfs_file *file, unsigned mask) {
    for (int i = 0; i < SQLITE_SHM_NLOCK; i++) {
        const unsigned bit = 1u << i & mask;
        if ((file->index_shared & bit) != 0) {
            file->node->locks[i].shared--;
        }
        if ((file->index_exclusive & bit) != 0) {
            file->node->locks[i].exclusive = NULL;
        }
    }
    file->index_shared &= ~mask;
    file->index_exclusive &= ~mask;
}

static void vfs_index_leave(vfs_file *file) {
    vfs_node *node = file->node;
    if (!file->index) {
        return;
    }
    vfs_index_unlock(file, ~0u);
    file->index = false;
    if (--node->index_users == 0) {
        for (int i = 0; i < node->region_count; i++) {
            (void)munmap(node->regions[i], VFS_REGION);
        }
        free(node->regions);
        node->regions = NULL;
        node->region_count = 0;
    }
}

static void vfs_file_unmap(vfs_file *file) {
    for (int i = 0; i < file->region_count; i++) {
        (void)munmap(file->regions[i], VFS_REGION);
    }
    free(file->regions);
    file->regions = NULL;
    file->region_count = 0;
}

static void vfs_node_let_go(vfs_file *file) {
    vfs_node *node = file->node;
    vfs_node_lower(file, SQLITE_LOCK_NONE);
    vfs_index_leave(file);
    file->node = NULL;
    if (--node->opens == 0) {
        vfs_node_free(file->process->machine, node);
    }
}

void vfs_node_leave(vfs_file *file) {
    if (file->node != NULL) {
        vfs_node_let_go(file);
    }
    vfs_file_unmap(file);
}

void vfs_node_abandon(vfs_file *file) {
    if (file->node == NULL) {
        return;
    }
    for (int i = 0; i < file->region_count; i++) {
        void *const at = file->regions[i];
        void *const copy = malloc(VFS_REGION);
        vfs_require(copy != NULL, "no memory");
        memcpy(copy, at, VFS_REGION);
        vfs_require(mmap(at, VFS_REGION, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == at,
                    "mmap");
        memcpy(at, copy, VFS_REGION);
        free(copy);
    }
    vfs_node_let_go(file);
}

/* -------------------------------------------------------------- file locks */

int vfs_lock(sqlite3_file *base, int level) {
    vfs_file *file = (vfs_file *)base;
    vfs_node *node = file->node;
    if (node == NULL) {
        return file->process->dead ? SQLITE_IOERR_LOCK : SQLITE_OK;
    }
    if (file->level >= level) {
        return SQLITE_OK;
    }
    if (level == SQLITE_LOCK_SHARED) {
        if (node->pending != NULL) {
            return SQLITE_BUSY;
        }
        node->shared++;
    } else if (level == SQLITE_LOCK_RESERVED) {
        if (node->reserved != NULL || node->pending != NULL) {
            return SQLITE_BUSY;
        }
        node->reserved = file;
    } else {
        if (node->pending != NULL && node->pending != file) {
            return SQLITE_BUSY;
        }
        node->pending = file;
        if (level == SQLITE_LOCK_EXCLUSIVE && node->shared > 1) {
            file->level = SQLITE_LOCK_PENDING;
            return SQLITE_BUSY;
        }
    }
    file->level = level;
    return SQLITE_OK;
}

int vfs_unlock(sqlite3_file *base, int level) {
    vfs_file *file = (vfs_file *)base;
    if (file->node != NULL) {
        vfs_node_lower(file, level);
    }
    return SQLITE_OK;
}

int vfs_check_reserved(sqlite3_file *base, int *reserved_out) {
    const vfs_file *file = (const vfs_file *)base;
    if (file->process->dead) {
        return SQLITE_IOERR_CHECKRESERVEDLOCK;
    }
    *reserved_out =
        file->node != NULL && (file->node->reserved != NULL || file->node->pending != NULL);
    return SQLITE_OK;
}

/* --------------------------------------------------------------- wal-index */

static void vfs_add_region(void ***regions, int *count, void *address) {
    void **const more = realloc(*regions, ((size_t)*count + 1) * sizeof *more);
    vfs_require(more != NULL && address != MAP_FAILED, "no memory");
    *regions = more;
    more[(*count)++] = address;
}

int vfs_shm_map(sqlite3_file *base, int region, int size, int extend, void volatile **out) {
    vfs_file *file = (vfs_file *)base;
    vfs_node *node = file->node;
    *out = NULL;
    if (node == NULL) {
        return SQLITE_IOERR_SHMMAP;
    }
    vfs_require(size == (int)VFS_REGION, "a wal-index in other pieces");
    if (!file->index) {
        file->index = true;
        node->index_users++;
    }
    if (region >= node->region_count && !extend) {
        return SQLITE_OK;
    }
    while (region >= node->region_count) {
        vfs_add_region(
            &node->regions, &node->region_count,
            mmap(NULL, VFS_REGION, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
    }
    while (region >= file->region_count) { /* a second mapping of the same memory */
        vfs_add_region(&file->regions, &file->region_count,
                       mremap(node->regions[file->region_count], 0, VFS_REGION, MREMAP_MAYMOVE));
    }
    *out = file->regions[region];
    return SQLITE_OK;
}

int vfs_shm_locking(sqlite3_file *base, int offset, int count, int flags) {
    vfs_file *file = (vfs_file *)base;
    const unsigned mask = ((1u << count) - 1) << offset;
    if (file->node == NULL) {
        return SQLITE_IOERR_SHMLOCK;
    }
    if ((flags & SQLITE_SHM_UNLOCK) != 0) {
        vfs_index_unlock(file, mask);
        return SQLITE_OK;
    }
    const bool exclusive = (flags & SQLITE_SHM_EXCLUSIVE) != 0;
    for (int i = offset; i < offset + count; i++) {
        const vfs_shm_lock *lock = &file->node->locks[i];
        const unsigned own = file->index_shared >> i & 1;
        const bool other = lock->exclusive != NULL && lock->exclusive != file;
        if (other || (exclusive && lock->shared > own)) {
            return SQLITE_BUSY;
        }
    }
    for (int i = offset; i < offset + count; i++) {
        vfs_shm_lock *lock = &file->node->locks[i];
        if (exclusive) {
            lock->exclusive = file;
            file->index_exclusive |= 1u << i;
        } else if ((file->index_shared >> i & 1) == 0) {
            lock->shared++;
            file->index_shared |= 1u << i;
        }
    }
    return SQLITE_OK;
}

void vfs_shm_barrier(sqlite3_file *base) {
    (void)base;
    __sync_synchronize();
}

int vfs_shm_unmap(sqlite3_file *base, int remove) {
    vfs_file *file = (vfs_file *)base;
    (void)remove; /* what is left behind is made anew by the next user in any case */
    if (file->node != NULL) {
        vfs_index_leave(file);
    }
    vfs_file_unmap(file);
    return SQLITE_OK;
}
