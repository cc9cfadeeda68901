/* SPDX-License-Identifier: MIT */
/*
 * Index page: sub-pages, each one index node (page/node.h), all children of one parent node.
 *
 *   OFFSET  SIZE  FIELD
 *        0    24  page header, type 'I', count = number of sub-pages >= 1
 *       24     1  d: length of the directory, the largest id in use
 *       25     1  zero
 *       26     2  content: offset of the first byte of the lowest node
 *       28    2d  directory: offset of the node with id 1, 2, ... d; 0 = id not in use
 *  28 + 2d        free space
 *  content        nodes, without gaps, to the end of the page
 *
 *   0        24  26        28          28+2d        content                 page size
 *   +--------+---+---------+-----------+------------+-------+- - - -+-------+
 *   | header |d|0| content | directory |    free    | node  |       | node  |
 *   +--------+---+---------+-----------+------------+-------+- - - -+-------+
 *
 * Invariants
 *   INDEX-1  The nodes named by the directory fill [content, page size) exactly, without overlap.
 *   INDEX-2  count is the number of non-zero directory entries; entry d is one of them.
 */
#ifndef HTT_PAGE_INDEX_H
#define HTT_PAGE_INDEX_H

#include "base/limits.h"
#include "page/node.h"

enum { HTT_INDEX_DIRECTORY = 28, HTT_INDEX_SUB_MAX = HTT_SUBPAGES_MAX };

void htt_index_init(uint8_t *page, uint32_t page_size);

/* The node with this id, or NULL when the id is not in use or out of range. */
uint8_t *htt_index_node(uint8_t *page, uint32_t page_size, uint8_t sub);
static inline const uint8_t *htt_index_node_const(const uint8_t *page, uint32_t page_size,
                                                  uint8_t sub) {
    uint32_t offset;
    if (sub == 0 || sub > page[HTT_PAGE_HEADER_SIZE])
        return NULL;
    offset = le16_get(page + HTT_INDEX_DIRECTORY + 2 * (sub - 1u));
    return offset == 0 || offset >= page_size ? NULL : page + offset;
}

/* Room for one more node of `size` bytes, its directory entry included. */
bool htt_index_fits(const uint8_t *page, uint32_t page_size, uint32_t size);

/* Adds a node of `size` bytes that the caller then fills; gives its id. htt_index_fits holds. */
uint8_t htt_index_add(uint8_t *page, uint32_t page_size, uint32_t size);

/* Free bytes when nothing is added to the directory: how much nodes may grow. */
uint32_t htt_index_room(const uint8_t *page, uint32_t page_size);

/* Gives node `sub` `size` bytes instead of what it has. The first min(old, new) bytes stay.
 * It fits: size <= old + htt_index_room. `old_size` is given by the caller because the node's
 * own count may already say something else. Other nodes move. */
void htt_index_resize(uint8_t *page, uint32_t page_size, uint8_t sub, uint32_t old_size,
                      uint32_t size);

void htt_index_remove(uint8_t *page, uint32_t page_size, uint8_t sub);

/* Every invariant, and every node's. */
bool htt_index_check(const uint8_t *page, uint32_t page_size, htt_fault *fault);

#endif
