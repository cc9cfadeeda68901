/* SPDX-License-Identifier: MIT */
/*
 * One page of the free list. Which runs may be taken is decided above, from their epochs; the
 * bytes are drawn in free.h.
 */
#include "page/free.h"

#include <assert.h>

#include "htt.h"

static_assert(HTT_FREE_OLDEST + 8 == HTT_FREE_ENTRIES, "entries follow the oldest epoch");
static_assert((HTT_PAGE_SIZE_MAX - HTT_FREE_ENTRIES) / HTT_FREE_ENTRY_SIZE <= UINT16_MAX,
              "the count of a full page fits its field");

enum { FREE_ZERO = 28, FREE_FIRST_PAGE = 2 };

void htt_free_init(uint8_t *page, uint32_t page_size, uint32_t next, uint64_t oldest_behind) {
    assert(next == 0 || next >= FREE_FIRST_PAGE);
    htt_page_init(page, page_size, HTT_PAGE_FREE);
    le32_put(page + HTT_FREE_NEXT, next);
    le64_put(page + HTT_FREE_OLDEST, oldest_behind);
}

void htt_free_add(uint8_t *page, htt_free_run run) {
    uint32_t count = htt_page_count(page);
    uint8_t *entry = page + HTT_FREE_ENTRIES + (size_t)count * HTT_FREE_ENTRY_SIZE;

    assert(page[HTT_PAGE_TYPE] == HTT_PAGE_FREE);
    assert(count < htt_free_capacity(HTT_PAGE_SIZE_MAX));
    assert(run.pages >= 1);
    assert(run.first >= FREE_FIRST_PAGE);
    assert(run.pages <= UINT32_MAX - run.first);
    le32_put(entry, run.first);
    le32_put(entry + 4, run.pages);
    le64_put(entry + 8, run.died);
    le16_put(page + HTT_PAGE_COUNT, (uint16_t)(count + 1));
    if (run.died < htt_free_oldest(page))
        le64_put(page + HTT_FREE_OLDEST, run.died);
}

htt_free_run htt_free_entry(const uint8_t *page, uint32_t index) {
    const uint8_t *entry = page + HTT_FREE_ENTRIES + (size_t)index * HTT_FREE_ENTRY_SIZE;
    htt_free_run run;

    assert(index < htt_page_count(page));
    run.first = le32_get(entry);
    run.pages = le32_get(entry + 4);
    run.died = le64_get(entry + 8);
    return run;
}

static bool free_check_entry(const uint8_t *page, uint32_t index, htt_fault *fault) {
    htt_free_run run = htt_free_entry(page, index);
    uint32_t offset = HTT_FREE_ENTRIES + index * HTT_FREE_ENTRY_SIZE;

    if (run.first < FREE_FIRST_PAGE)
        return htt_fault_at(fault, offset, "meta page in the free list");
    if (run.pages == 0)
        return htt_fault_at(fault, offset + 4, "free run of no pages");
    if (run.pages > UINT32_MAX - run.first)
        return htt_fault_at(fault, offset + 4, "free run past the last page number");
    if (run.died > htt_page_stamp(page))
        return htt_fault_at(fault, offset + 8, "free run from a later epoch than its page");
    if (run.died < htt_free_oldest(page))
        return htt_fault_at(fault, HTT_FREE_OLDEST, "free run older than the oldest");
    return true;
}

bool htt_free_check(const uint8_t *page, uint32_t page_size, htt_fault *fault) {
    uint32_t count = htt_page_count(page);
    uint32_t next = htt_free_next(page);

    assert(page_size >= HTT_PAGE_SIZE_MIN);
    assert(fault != NULL);
    if (page[HTT_PAGE_TYPE] != HTT_PAGE_FREE)
        return htt_fault_at(fault, HTT_PAGE_TYPE, "not a free list page");
    if (count > htt_free_capacity(page_size))
        return htt_fault_at(fault, HTT_PAGE_COUNT, "too many entries for a free list page");
    if (next != 0 && (next < FREE_FIRST_PAGE || next == htt_page_number(page)))
        return htt_fault_at(fault, HTT_FREE_NEXT, "bad next page of the free list");
    if (le32_get(page + FREE_ZERO) != 0)
        return htt_fault_at(fault, FREE_ZERO, "reserved bytes of a free list page not zero");
    for (uint32_t i = 0; i < count; i++) {
        if (!free_check_entry(page, i, fault))
            return false;
    }
    return true;
}
