/* SPDX-License-Identifier: MIT */
/*
 * Index node: edits and the check. The bytes are drawn in node.h, finding a slot's child is there
 * too. Nothing here knows where a node lies; whoever calls has made the room.
 */
#include "page/node.h"

#include <string.h>

#include "htt.h"

enum { NODE_BLOCK = 1u << HTT_NODE_BLOCK_LOG2, NODE_BLOCK_BYTES = NODE_BLOCK / 8 };

static_assert(NODE_BLOCK_BYTES == 64, "8 words to a block, as htt_node_byte_bits can sum");
static_assert(HTT_PAGE_SIZE_MAX / HTT_NODE_CHILD_SIZE <= UINT16_MAX, "counts and ranks fit");

static uint8_t *node_starts(uint8_t *node) {
    return node + htt_node_starts_offset(htt_node_slots_log2(node));
}

static const uint8_t *node_starts_const(const uint8_t *node) {
    return node + htt_node_starts_offset(htt_node_slots_log2(node));
}

static uint8_t *node_child(uint8_t *node, uint32_t index) {
    return node + htt_node_children_offset(htt_node_slots_log2(node)) +
           (size_t)HTT_NODE_CHILD_SIZE * index;
}

static uint32_t node_word_bits(uint64_t word) {
    return (uint32_t)((htt_node_byte_bits(word) * UINT64_C(0x0101010101010101)) >> 56);
}

static bool node_bit(const uint8_t *starts, uint32_t slot) {
    return (starts[slot / 8] >> (slot % 8) & 1) != 0;
}

static void node_put_head(uint8_t *node, uint8_t salt, uint32_t slots_log2, uint32_t count) {
    node[0] = salt;
    node[1] = (uint8_t)slots_log2;
    le16_put(node + 2, (uint16_t)count);
}

static void node_put_child(uint8_t *bytes, htt_ref ref) {
    le32_put(bytes, ref.page);
    bytes[4] = ref.sub;
}

/* NODE-2, from the starts. Gives the number of set bits. */
static uint32_t node_put_ranks(uint8_t *node) {
    uint32_t slots = htt_node_slots(node);
    const uint8_t *starts = node_starts(node);
    uint8_t *ranks = node + HTT_NODE_HEADER_SIZE;
    uint32_t rank = 0;

    for (uint32_t slot = 0; slot < slots; slot += 64) {
        if (slots > NODE_BLOCK && slot % NODE_BLOCK == 0)
            le16_put(ranks + slot / NODE_BLOCK * 2, (uint16_t)rank);
        rank += node_word_bits(le64_get(starts + slot / 8));
    }
    return rank;
}

uint32_t htt_node_slots_log2_max(uint32_t page_size) {
    uint32_t slots_log2 = HTT_NODE_SLOTS_LOG2_MIN;

    assert(page_size >= HTT_PAGE_SIZE_MIN);
    assert(page_size <= HTT_PAGE_SIZE_MAX);
    while ((UINT32_C(2) << slots_log2) <= 2 * page_size)
        slots_log2++;
    return slots_log2;
}

void htt_node_init(uint8_t *node, uint8_t salt, uint32_t slots_log2) {
    assert(slots_log2 >= HTT_NODE_SLOTS_LOG2_MIN);
    assert(slots_log2 <= htt_node_slots_log2_max(HTT_PAGE_SIZE_MAX));
    memset(node, 0, htt_node_size(slots_log2, 1));
    node_put_head(node, salt, slots_log2, 1);
    node_starts(node)[0] = 1;
    (void)node_put_ranks(node);
}

void htt_node_set_child(uint8_t *node, uint32_t index, htt_ref ref) {
    assert(index < htt_node_count(node));
    assert(ref.page != 0 || ref.sub == 0);
    assert(ref.page != 1);
    node_put_child(node_child(node, index), ref);
}

/* The block that holds set bit number `index`: the last whose rank is not above it. */
static uint32_t node_block_of(const uint8_t *node, uint32_t index, uint32_t *rank_out) {
    const uint8_t *ranks = node + HTT_NODE_HEADER_SIZE;
    uint32_t low = 0;
    uint32_t high = htt_node_slots(node) / NODE_BLOCK;

    *rank_out = 0;
    if (high <= 1)
        return 0;
    while (high - low > 1) {
        uint32_t middle = (low + high) / 2;
        if (le16_get(ranks + 2 * (size_t)middle) <= index)
            low = middle;
        else
            high = middle;
    }
    *rank_out = le16_get(ranks + 2 * (size_t)low);
    return low;
}

uint32_t htt_node_start(const uint8_t *node, uint32_t index) {
    uint32_t slots = htt_node_slots(node);
    const uint8_t *starts = node_starts_const(node);
    uint32_t rank;
    uint32_t slot;

    assert(index <= htt_node_count(node));
    if (index == htt_node_count(node))
        return slots;
    slot = node_block_of(node, index, &rank) * NODE_BLOCK;
    for (; slot < slots; slot += 64) {
        uint64_t word = le64_get(starts + slot / 8);
        uint32_t bits = node_word_bits(word);
        if (index - rank < bits) {
            for (; index > rank; rank++)
                word &= word - 1;
            return slot + (uint32_t)__builtin_ctzll(word);
        }
        rank += bits;
    }
    assert(slot < slots); /* NODE-1: as many starts as children */
    return slots;
}

void htt_node_splice(uint8_t *node, uint32_t first, uint32_t old_count, const uint32_t *starts,
                     const htt_ref *refs, uint32_t new_count) {
    uint32_t count = htt_node_count(node);
    uint32_t begin = htt_node_start(node, first);
    uint32_t end = htt_node_start(node, first + old_count);
    uint8_t *bits = node_starts(node);
    uint32_t total = count - old_count + new_count;

    assert(old_count >= 1);
    assert(new_count >= 1);
    assert(starts[0] == begin);
    assert(starts[new_count - 1] < end);
    for (uint32_t slot = begin + 1; slot < end; slot++)
        bits[slot / 8] = (uint8_t)(bits[slot / 8] & ~(1u << slot % 8));
    memmove(node_child(node, first + new_count), node_child(node, first + old_count),
            (size_t)HTT_NODE_CHILD_SIZE * (count - first - old_count));
    for (uint32_t i = 0; i < new_count; i++) {
        assert(i == 0 || starts[i] > starts[i - 1]);
        bits[starts[i] / 8] = (uint8_t)(bits[starts[i] / 8] | 1u << starts[i] % 8);
        node_put_child(node_child(node, first + i), refs[i]);
    }
    le16_put(node + 2, (uint16_t)total);
    total -= node_put_ranks(node);
    assert(total == 0);
}

void htt_node_remove(uint8_t *node, uint32_t index) {
    uint32_t count = htt_node_count(node);
    uint32_t slot = htt_node_start(node, index == 0 ? 1 : index);
    uint8_t *bits = node_starts(node);

    assert(count >= 2);
    assert(index < count);
    assert(node_bit(bits, slot));
    bits[slot / 8] = (uint8_t)(bits[slot / 8] & ~(1u << slot % 8));
    memmove(node_child(node, index), node_child(node, index + 1),
            (size_t)HTT_NODE_CHILD_SIZE * (count - index - 1));
    le16_put(node + 2, (uint16_t)(count - 1));
    (void)node_put_ranks(node);
}

/* Bit b of the low half byte goes to bit 2 b. */
static uint8_t node_spread(uint32_t half) {
    uint32_t spread = (half | half << 2) & 0x33u;
    return (uint8_t)((spread | spread << 1) & 0x55u);
}

static uint8_t node_gather(uint32_t byte) {
    uint32_t gathered = byte & 0x55u;
    gathered = (gathered | gathered >> 1) & 0x33u;
    return (uint8_t)((gathered | gathered >> 2) & 0x0Fu);
}

void htt_node_double(uint8_t *node) {
    uint32_t slots_log2 = htt_node_slots_log2(node);
    uint32_t count = htt_node_count(node);
    uint32_t bytes = htt_node_slots(node) / 8;
    uint8_t *from = node_starts(node);
    uint8_t *to = node + htt_node_starts_offset(slots_log2 + 1);

    assert(slots_log2 < htt_node_slots_log2_max(HTT_PAGE_SIZE_MAX));
    memmove(node + htt_node_children_offset(slots_log2 + 1), node_child(node, 0),
            (size_t)HTT_NODE_CHILD_SIZE * count);
    /* From the end: no byte is written before it was read. */
    for (uint32_t i = bytes; i-- > 0;) {
        uint32_t byte = from[i];
        to[2 * (size_t)i + 1] = node_spread(byte >> 4);
        to[2 * (size_t)i] = node_spread(byte & 0x0Fu);
    }
    node_put_head(node, node[0], slots_log2 + 1, count);
    count -= node_put_ranks(node);
    assert(count == 0);
}

bool htt_node_can_halve(const uint8_t *node) {
    uint32_t slots = htt_node_slots(node);
    const uint8_t *starts = node_starts_const(node);
    uint64_t odd = 0;

    assert(htt_node_count(node) >= 1);
    for (uint32_t i = 0; i < slots / 8; i += 8)
        odd |= le64_get(starts + i);
    odd &= UINT64_C(0xAAAAAAAAAAAAAAAA);
    return htt_node_slots_log2(node) > HTT_NODE_SLOTS_LOG2_MIN && odd == 0;
}

void htt_node_halve(uint8_t *node) {
    uint32_t slots_log2 = htt_node_slots_log2(node);
    uint32_t count = htt_node_count(node);
    uint32_t bytes = htt_node_slots(node) / 16;
    const uint8_t *from = node_starts(node);
    uint8_t *to = node + htt_node_starts_offset(slots_log2 - 1);

    assert(htt_node_can_halve(node));
    for (uint32_t i = 0; i < bytes; i++) {
        uint32_t low = node_gather(from[2 * (size_t)i]);
        uint32_t high = node_gather(from[2 * (size_t)i + 1]);
        to[i] = (uint8_t)(low | high << 4);
    }
    memmove(node + htt_node_children_offset(slots_log2 - 1), node_child(node, 0),
            (size_t)HTT_NODE_CHILD_SIZE * count);
    node_put_head(node, node[0], slots_log2 - 1, count);
    count -= node_put_ranks(node);
    assert(count == 0);
}

/* NODE-1 and NODE-2. */
static bool node_check_starts(const uint8_t *node, uint32_t base, htt_fault *fault) {
    uint32_t slots = htt_node_slots(node);
    uint32_t at = htt_node_starts_offset(htt_node_slots_log2(node));
    uint32_t rank = 0;

    if (!node_bit(node + at, 0))
        return htt_fault_at(fault, base + at, "first slot of a node begins no child");
    for (uint32_t slot = 0; slot < slots; slot += 64) {
        uint32_t ranks = HTT_NODE_HEADER_SIZE + slot / NODE_BLOCK * 2;
        if (slots > NODE_BLOCK && slot % NODE_BLOCK == 0 && le16_get(node + ranks) != rank)
            return htt_fault_at(fault, base + ranks, "wrong rank in a node");
        rank += node_word_bits(le64_get(node + at + slot / 8));
    }
    if (rank != htt_node_count(node))
        return htt_fault_at(fault, base + 2, "number of children is not that of starts");
    return true;
}

bool htt_node_check(const uint8_t *node, uint32_t available, uint32_t page_size, uint32_t base,
                    htt_fault *fault) {
    uint32_t count;

    assert(fault != NULL);
    assert(base + available <= page_size);
    if (available < HTT_NODE_HEADER_SIZE)
        return htt_fault_at(fault, base, "node past the end of its page");
    count = htt_node_count(node);
    if (htt_node_slots_log2(node) < HTT_NODE_SLOTS_LOG2_MIN ||
        htt_node_slots_log2(node) > htt_node_slots_log2_max(page_size))
        return htt_fault_at(fault, base + 1, "bad number of slots in a node");
    if (count == 0 || count > htt_node_slots(node))
        return htt_fault_at(fault, base + 2, "bad number of children in a node");
    if (htt_node_bytes(node) > available)
        return htt_fault_at(fault, base + 2, "node past the end of its page");
    if (!node_check_starts(node, base, fault))
        return false;
    for (uint32_t i = 0; i < count; i++) {
        htt_ref ref = htt_node_child(node, i);
        uint32_t at = htt_node_children_offset(htt_node_slots_log2(node)) + HTT_NODE_CHILD_SIZE * i;
        if (ref.page == 1)
            return htt_fault_at(fault, base + at, "meta page as a child");
        if (ref.page == 0 && ref.sub != 0)
            return htt_fault_at(fault, base + at + 4, "sub-page of no page as a child");
    }
    return true;
}
