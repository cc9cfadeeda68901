/* SPDX-License-Identifier: MIT */
/*
 * Index node: a power of two of slots over children, each child a contiguous range of slots.
 * The node has one bit per slot, set where a child's range begins, and the children packed
 * behind: the child of a slot is the number of set bits up to and with it, less one.
 *
 *   OFFSET      SIZE  FIELD
 *        0         1  salt, unique on the path from the root
 *        1         1  k: the node has S = 2^k slots, 6 <= k <= log2(2 * page size)
 *        2         2  n: children, 1 <= n <= S
 *        4  2 * S/512 ranks: set bits before each 512-slot block (absent when S <= 512)
 *                S/8  starts: bit s % 8 of byte s / 8 is slot s
 *                 5n  children: { u32 page, u8 sub }; (0, 0) = no key in that range
 *
 *   +----+---+----+-- - - --+-- - - - --+---------+-- - --+-----------+
 *   |salt| k | n  | ranks   | starts    | child 0 |       | child n-1 |
 *   +----+---+----+-- - - --+-- - - - --+---------+-- - --+-----------+
 *                  S > 512    one bit     page number u32, sub-page id u8
 *
 * sub = 0: the page is whole, a data page or a node of its own. sub = 1..255: a sub-page of an
 * index page (page/index.h).
 *
 * Example, S = 64, three children whose ranges begin at slots 0, 20 and 41:
 *   starts = 01 00 10 00 00 02 00 00; slot 30: two bits at or before it, so child 1.
 *
 * Invariants
 *   NODE-1  Slot 0 begins child 0; the number of set bits is n.
 *   NODE-2  ranks[b] is the number of set bits before slot 512 b.
 *   NODE-3  A child with page 0 has sub 0; no child's page is 1 (a meta page).
 *
 * Pure functions over the node's bytes; `node` is htt_node_bytes(node) long and has room for
 * what a function adds.
 */
#ifndef HTT_PAGE_NODE_H
#define HTT_PAGE_NODE_H

#include <assert.h>

#include "page/header.h"

enum {
    HTT_NODE_HEADER_SIZE = 4,
    HTT_NODE_CHILD_SIZE = 5,
    HTT_NODE_SLOTS_LOG2_MIN = 6,
    HTT_NODE_BLOCK_LOG2 = 9 /* 512 slots to a rank */
};

/* A child: where a range's keys are. */
typedef struct htt_ref {
    uint32_t page; /* 0 = no key */
    uint8_t sub;   /* 0 = the whole page */
} htt_ref;

static inline uint32_t htt_node_size(uint32_t slots_log2, uint32_t count) {
    uint32_t slots = 1u << slots_log2;
    uint32_t ranks = slots > 512 ? slots / 512 * 2 : 0;
    return HTT_NODE_HEADER_SIZE + ranks + slots / 8 + HTT_NODE_CHILD_SIZE * count;
}
static inline uint8_t htt_node_salt(const uint8_t *node) { return node[0]; }
static inline uint32_t htt_node_slots_log2(const uint8_t *node) { return node[1]; }
static inline uint32_t htt_node_slots(const uint8_t *node) { return 1u << node[1]; }
static inline uint32_t htt_node_count(const uint8_t *node) { return le16_get(node + 2); }
static inline uint32_t htt_node_bytes(const uint8_t *node) {
    return htt_node_size(htt_node_slots_log2(node), htt_node_count(node));
}

/* Largest slots_log2 in a page of this size: 2^k = 2 * page size. */
uint32_t htt_node_slots_log2_max(uint32_t page_size);

/* A node with one child, no key, over all slots. */
void htt_node_init(uint8_t *node, uint8_t salt, uint32_t slots_log2);

/* Where the starts and the children begin in the node. */
static inline uint32_t htt_node_starts_offset(uint32_t slots_log2) {
    uint32_t ranks = slots_log2 > HTT_NODE_BLOCK_LOG2 ? (1u << slots_log2) / 512 * 2 : 0;
    return HTT_NODE_HEADER_SIZE + ranks;
}
static inline uint32_t htt_node_children_offset(uint32_t slots_log2) {
    return htt_node_starts_offset(slots_log2) + (1u << slots_log2) / 8;
}

/* Set bits of each byte of `word`, 0 to 8. Sums of 8 such words still fit their bytes. */
static inline uint64_t htt_node_byte_bits(uint64_t word) {
    word -= (word >> 1) & UINT64_C(0x5555555555555555);
    word = (word & UINT64_C(0x3333333333333333)) + ((word >> 2) & UINT64_C(0x3333333333333333));
    return (word + (word >> 4)) & UINT64_C(0x0F0F0F0F0F0F0F0F);
}

/* The child whose range holds `slot` < slots. Touches the head, one rank, and at most 64 bytes of
 * starts: the words before the slot's in its block, and the slot's own up to its bit. */
static inline uint32_t htt_node_find(const uint8_t *node, uint32_t slot) {
    uint32_t slots_log2 = htt_node_slots_log2(node);
    uint32_t block = slot >> HTT_NODE_BLOCK_LOG2;
    const uint8_t *word = node + htt_node_starts_offset(slots_log2) + 64 * (size_t)block;
    const uint8_t *last = word + ((slot & 511) >> 6) * 8;
    uint64_t bits = 0;
    uint32_t rank = 0;

    assert(slot < htt_node_slots(node));
    if (slots_log2 > HTT_NODE_BLOCK_LOG2)
        rank = le16_get(node + HTT_NODE_HEADER_SIZE + 2 * (size_t)block);
    for (; word < last; word += 8)
        bits += htt_node_byte_bits(le64_get(word));
    bits += htt_node_byte_bits(le64_get(last) & (UINT64_MAX >> (63 - (slot & 63))));
    bits = (bits & UINT64_C(0x00FF00FF00FF00FF)) + ((bits >> 8) & UINT64_C(0x00FF00FF00FF00FF));
    rank += (uint32_t)((bits * UINT64_C(0x0001000100010001)) >> 48);
    assert(rank >= 1);
    return rank - 1;
}

static inline htt_ref htt_node_child(const uint8_t *node, uint32_t index) {
    const uint8_t *child = node + htt_node_children_offset(htt_node_slots_log2(node)) +
                           HTT_NODE_CHILD_SIZE * (size_t)index;
    htt_ref ref;

    assert(index < htt_node_count(node));
    ref.page = le32_get(child);
    ref.sub = child[4];
    return ref;
}
void htt_node_set_child(uint8_t *node, uint32_t index, htt_ref ref);

/* First slot of child `index`; for index = n the number of slots. */
uint32_t htt_node_start(const uint8_t *node, uint32_t index);

/*
 * Replaces children [first, first + old_count) by new_count >= 1 others. starts[0] must be the
 * start of child `first` now; starts ascend strictly and end before child first + old_count.
 */
void htt_node_splice(uint8_t *node, uint32_t first, uint32_t old_count, const uint32_t *starts,
                     const htt_ref *refs, uint32_t new_count);

/* Takes child `index` out of a node of two or more; its range goes to the child before it, or,
 * for child 0, to the next. */
void htt_node_remove(uint8_t *node, uint32_t index);

/* Doubles the slots: child starts at s now start at 2 s. The bytes grow. */
void htt_node_double(uint8_t *node);

/* True when no child starts at an odd slot and k > 6; halve then undoes a doubling. */
bool htt_node_can_halve(const uint8_t *node);
void htt_node_halve(uint8_t *node);

/* All invariants, and that the node ends within `available` bytes. Offsets in `fault` count from
 * `base`, the node's offset in its page. */
bool htt_node_check(const uint8_t *node, uint32_t available, uint32_t page_size, uint32_t base,
                    htt_fault *fault);

#endif
