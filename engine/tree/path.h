/* SPDX-License-Identifier: MIT */
/*
 * A path: the nodes from the root to the place of a key, and making them writable.
 *
 *     steps[0]          steps[1]                     leaf
 *     root node   -->   child node (maybe a     -->  { page, 0 } data page
 *     child i0          sub-page), child i1          { 0, 0 }    a range without keys
 *
 * A path borrows the view's pages; it is void after the next structural step or reserve.
 */
#ifndef HTT_TREE_PATH_H
#define HTT_TREE_PATH_H

#include "page/index.h"
#include "tree/tree.h"

typedef struct htt_step {
    uint32_t page;        /* the node's page */
    uint8_t sub;          /* its sub-page id, 0 = whole page */
    uint32_t child;       /* the child that the path goes to */
    const uint8_t *bytes; /* the page */
    const uint8_t *node;  /* the node's bytes in it */
} htt_step;

typedef struct htt_path {
    htt_hash hash;                 /* of the key */
    uint32_t depth;                /* steps in use */
    htt_step steps[HTT_DEPTH_MAX]; /* root first */
    htt_ref leaf;                  /* page 0 = there is no data page */
    const uint8_t *leaf_bytes;     /* the data page, or NULL */
} htt_path;

/* The hash of a key under the view's seed. */
htt_hash htt_path_hash(const htt_view *view, htt_datum key);
/* A number that rises with the key's slot in the root; 0 where the root is no node. */
uint32_t htt_path_order(htt_view *view, uint32_t root_page, htt_datum key);

/*
 * Looks at what `ref` names: a data page (*node_out = NULL), or a node (*node_out = its bytes).
 * HTT_CORRUPT when the page is of another type or the sub-page does not exist.
 */
htt_rc htt_path_open(htt_view *view, htt_ref ref, const uint8_t **page_out,
                     const uint8_t **node_out);

/*
 * Goes from the root to the place of path->hash, which the caller has set. A page that occurs twice
 * on the way is damage (TREE-3): copying it twice would give one page two owners.
 */
htt_rc htt_path_find(htt_view *view, uint32_t root_page, htt_path *path);

/*
 * Makes the first `levels` nodes of the path writable, top down, and the leaf too when
 * `levels` > depth. The nodes above are told the new page numbers at once, so a failure half-way
 * leaves a good tree. Pointers in the path are renewed.
 */
htt_rc htt_path_edit(htt_tree *tree, htt_path *path, uint32_t levels);

/* The writable bytes of a step of an edited path. */
static inline uint8_t *htt_path_node(const htt_path *path, uint32_t level) {
    /* The bytes are a writer's frame; the pointer is const only because readers share the type. */
    return (uint8_t *)(uintptr_t)path->steps[level].node;
}
static inline uint8_t *htt_path_leaf(const htt_path *path) {
    return (uint8_t *)(uintptr_t)path->leaf_bytes;
}

/*
 * htt_writer_edit for a page that the caller has looked at, at `seen`. HTT_CORRUPT: it became
 * another page meanwhile, because a damaged free list gave its number to a new one.
 */
htt_rc htt_tree_edit(htt_tree *tree, uint32_t *number, const uint8_t *seen, uint8_t **bytes_out);

/* Sets what the parent of level `level` (or the root) refers to. The parent is writable. */
void htt_path_refer(htt_tree *tree, htt_path *path, uint32_t level, htt_ref ref);

/* Tells a node that a page of its children has a new number; several may be sub-pages of it. */
void htt_path_renumber(uint8_t *parent, uint32_t old_page, uint32_t new_page);

/* A salt that no node of the path has, other than the first `skip` of those. */
uint8_t htt_path_salt(const htt_path *path, uint32_t skip);

#endif
