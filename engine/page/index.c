/* SPDX-License-Identifier: MIT */
/*
 * Index page: nodes come, go and change their size; the rest move up, so that there are never
 * gaps. The bytes are drawn in index.h.
 */
#include "page/index.h"

#include <string.h>

#include "htt.h"

enum { INDEX_LAST = HTT_PAGE_HEADER_SIZE, INDEX_ZERO = 25, INDEX_CONTENT = 26 };

static_assert(INDEX_CONTENT + 2 == HTT_INDEX_DIRECTORY, "the directory follows");

/* The largest id in use. */
static uint32_t index_last(const uint8_t *page) {
    return page[INDEX_LAST];
}

/* 0 stands for 65536: a page of that size before its first node. */
static uint32_t index_content(const uint8_t *page) {
    uint32_t content = le16_get(page + INDEX_CONTENT);

    return content == 0 ? HTT_PAGE_SIZE_MAX : content;
}

static uint32_t index_directory_end(const uint8_t *page) {
    return HTT_INDEX_DIRECTORY + 2 * index_last(page);
}

static uint32_t index_entry(const uint8_t *page, uint32_t sub) {
    return le16_get(page + HTT_INDEX_DIRECTORY + 2 * (sub - 1));
}

static void index_set_entry(uint8_t *page, uint32_t sub, uint32_t offset) {
    le16_put(page + HTT_INDEX_DIRECTORY + 2 * (sub - 1), (uint16_t)offset);
}

static void index_set_count(uint8_t *page, uint32_t count) {
    le16_put(page + HTT_PAGE_COUNT, (uint16_t)count);
}

/* The smallest id not in use; index_last + 1 when there are no holes. */
static uint32_t index_free_id(const uint8_t *page) {
    uint32_t last = index_last(page);

    if (htt_page_count(page) == last)
        return last + 1;
    for (uint32_t sub = 1; sub <= last; sub++) {
        if (index_entry(page, sub) == 0)
            return sub;
    }
    return last + 1;
}

void htt_index_init(uint8_t *page, uint32_t page_size) {
    htt_page_init(page, page_size, HTT_PAGE_INDEX);
    le16_put(page + INDEX_CONTENT, (uint16_t)page_size);
    assert(index_content(page) == page_size);
}

uint8_t *htt_index_node(uint8_t *page, uint32_t page_size, uint8_t sub) {
    uint32_t offset;

    if (sub == 0 || sub > index_last(page))
        return NULL;
    offset = index_entry(page, sub);
    return offset == 0 || offset >= page_size ? NULL : page + offset;
}

uint32_t htt_index_room(const uint8_t *page, uint32_t page_size) {
    assert(index_content(page) <= page_size);
    assert(index_content(page) >= index_directory_end(page));
    (void)page_size;
    return index_content(page) - index_directory_end(page);
}

bool htt_index_fits(const uint8_t *page, uint32_t page_size, uint32_t size) {
    uint32_t sub = index_free_id(page);
    uint32_t entry = sub > index_last(page) ? 2 : 0;

    assert(size >= htt_node_size(HTT_NODE_SLOTS_LOG2_MIN, 1));
    return sub <= HTT_INDEX_SUB_MAX && size + entry <= htt_index_room(page, page_size);
}

uint8_t htt_index_add(uint8_t *page, uint32_t page_size, uint32_t size) {
    uint32_t sub = index_free_id(page);
    uint32_t content = index_content(page) - size;

    assert(page[HTT_PAGE_TYPE] == HTT_PAGE_INDEX);
    assert(htt_index_fits(page, page_size, size));
    (void)page_size;
    if (sub > index_last(page))
        page[INDEX_LAST] = (uint8_t)sub;
    index_set_entry(page, sub, content);
    index_set_count(page, htt_page_count(page) + 1);
    le16_put(page + INDEX_CONTENT, (uint16_t)content);
    memset(page + content, 0, size);
    assert(index_directory_end(page) <= content);
    return (uint8_t)sub;
}

void htt_index_resize(uint8_t *page, uint32_t page_size, uint8_t sub, uint32_t old_size,
                      uint32_t size) {
    uint32_t content = index_content(page);
    uint32_t offset = index_entry(page, sub);
    uint32_t kept = old_size < size ? old_size : size;
    uint32_t down = size - old_size; /* modulo 2^32: negative when it shrinks */

    assert(sub != 0 && sub <= index_last(page));
    assert(offset >= content);
    assert(offset + old_size <= page_size);
    assert(size <= old_size + htt_index_room(page, page_size));
    (void)page_size;
    memmove(page + (content - down), page + content, offset - content + kept);
    for (uint32_t id = 1; id <= index_last(page); id++) {
        uint32_t entry = index_entry(page, id);
        if (entry != 0 && entry <= offset)
            index_set_entry(page, id, entry - down);
    }
    le16_put(page + INDEX_CONTENT, (uint16_t)(content - down));
}

void htt_index_remove(uint8_t *page, uint32_t page_size, uint8_t sub) {
    const uint8_t *node = htt_index_node_const(page, page_size, sub);
    uint32_t last = index_last(page);

    assert(node != NULL);
    htt_index_resize(page, page_size, sub, htt_node_bytes(node), 0);
    index_set_entry(page, sub, 0);
    index_set_count(page, htt_page_count(page) - 1);
    while (last > 0 && index_entry(page, last) == 0)
        last--;
    page[INDEX_LAST] = (uint8_t)last;
    assert(htt_page_count(page) <= last);
}

/* Where a node is. */
typedef struct index_extent {
    uint32_t offset; /* of its first byte in the page */
    uint32_t end;    /* behind its last byte */
} index_extent;

/* Checks each node and collects where they are, by offset. Gives false for damage. */
static bool index_check_nodes(const uint8_t *page, uint32_t page_size, index_extent *extents,
                              uint32_t *count_out, htt_fault *fault) {
    uint32_t content = le16_get(page + INDEX_CONTENT);
    uint32_t count = 0;

    for (uint32_t sub = 1; sub <= index_last(page); sub++) {
        index_extent extent = {.offset = index_entry(page, sub)};
        uint32_t at = HTT_INDEX_DIRECTORY + 2 * (sub - 1);
        uint32_t i = count;
        if (extent.offset == 0)
            continue;
        if (extent.offset < content || extent.offset >= page_size)
            return htt_fault_at(fault, at, "sub-page outside the content of its page");
        if (!htt_node_check(page + extent.offset, page_size - extent.offset, page_size,
                            extent.offset, fault))
            return false;
        extent.end = extent.offset + htt_node_bytes(page + extent.offset);
        for (; i > 0 && extents[i - 1].offset > extent.offset; i--)
            extents[i] = extents[i - 1];
        extents[i] = extent;
        count++;
    }
    *count_out = count;
    return true;
}

bool htt_index_check(const uint8_t *page, uint32_t page_size, htt_fault *fault) {
    index_extent extents[HTT_INDEX_SUB_MAX];
    uint32_t content = le16_get(page + INDEX_CONTENT);
    uint32_t last = index_last(page);
    uint32_t count;

    assert(page_size >= HTT_PAGE_SIZE_MIN);
    assert(fault != NULL);
    if (page[HTT_PAGE_TYPE] != HTT_PAGE_INDEX)
        return htt_fault_at(fault, HTT_PAGE_TYPE, "not an index page");
    if (page[INDEX_ZERO] != 0)
        return htt_fault_at(fault, INDEX_ZERO, "reserved byte of an index page not zero");
    if (last == 0 || index_entry(page, last) == 0) /* INDEX-2 */
        return htt_fault_at(fault, INDEX_LAST, "largest id of an index page not in use");
    if (content < index_directory_end(page) || content >= page_size)
        return htt_fault_at(fault, INDEX_CONTENT, "bad content offset of an index page");
    if (!index_check_nodes(page, page_size, extents, &count, fault))
        return false;
    if (count != htt_page_count(page)) /* INDEX-2 */
        return htt_fault_at(fault, HTT_PAGE_COUNT, "wrong number of sub-pages");
    for (uint32_t i = 0; i < count; i++) { /* INDEX-1 */
        if (extents[i].offset != content)
            return htt_fault_at(fault, extents[i].offset, "sub-pages overlap or leave a gap");
        content = extents[i].end;
    }
    if (content != page_size)
        return htt_fault_at(fault, content, "sub-pages end before their page");
    return true;
}
