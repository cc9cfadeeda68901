/* SPDX-License-Identifier: MIT */
/*
 * Overflow runs: their head and checksum. Which bytes go into which run is decided above; the
 * bytes are drawn in run.h.
 */
#include "page/run.h"

#include <assert.h>

#include "base/hash.h"
#include "htt.h"

static_assert(HTT_RUN_LENGTH + 8 == HTT_RUN_HEADER_SIZE, "the payload follows its length");

enum { RUN_ZERO_1 = 21, RUN_ZERO_2 = 28, RUN_SUMMED = HTT_PAGE_STAMP };

uint64_t htt_run_capacity(uint32_t page_size, uint32_t pages) {
    assert(pages >= 1);
    assert(page_size >= HTT_PAGE_SIZE_MIN);
    return (uint64_t)pages * page_size - HTT_RUN_HEADER_SIZE;
}

uint64_t htt_run_pages_for(uint32_t page_size, uint64_t length) {
    assert(length >= 1);
    assert(length <= UINT64_MAX - HTT_RUN_HEADER_SIZE - page_size);
    return (length + HTT_RUN_HEADER_SIZE + page_size - 1) / page_size;
}

void htt_run_head(uint8_t *head, uint32_t number, uint64_t stamp, uint32_t pages,
                  const uint8_t *part1, size_t size1, const uint8_t *part2, size_t size2) {
    assert(size1 + size2 >= 1);
    assert(pages >= 1);
    memset(head, 0, HTT_RUN_HEADER_SIZE);
    le64_put(head + HTT_PAGE_STAMP, stamp);
    le32_put(head + HTT_PAGE_NUMBER, number);
    head[HTT_PAGE_TYPE] = HTT_PAGE_RUN;
    le32_put(head + HTT_RUN_PAGES, pages);
    le64_put(head + HTT_RUN_LENGTH, (uint64_t)size1 + size2);
    const htt_hash_part parts[] = {
        {head + RUN_SUMMED, HTT_RUN_HEADER_SIZE - RUN_SUMMED}, {part1, size1}, {part2, size2}};
    le64_put(head + HTT_PAGE_CHECKSUM, htt_hash_parts(parts, 3));
}

bool htt_run_check_head(const uint8_t *run, uint32_t page_size, uint32_t number, uint32_t pages,
                        uint64_t epoch_max, htt_fault *fault) {
    uint64_t length = htt_run_length(run);

    assert(page_size >= HTT_PAGE_SIZE_MIN);
    assert(fault != NULL);
    if (run[HTT_PAGE_TYPE] != HTT_PAGE_RUN)
        return htt_fault_at(fault, HTT_PAGE_TYPE, "not an overflow run");
    if (htt_page_number(run) != number)
        return htt_fault_at(fault, HTT_PAGE_NUMBER, "number of another page");
    if (htt_page_stamp(run) > epoch_max)
        return htt_fault_at(fault, HTT_PAGE_STAMP, "page stamp newer than the snapshot");
    if ((le32_get(run + HTT_PAGE_TYPE) >> 8) != 0)
        return htt_fault_at(fault, RUN_ZERO_1, "reserved bytes of the run head not zero");
    if (le32_get(run + RUN_ZERO_2) != 0)
        return htt_fault_at(fault, RUN_ZERO_2, "reserved bytes of the run head not zero");
    if (pages == 0 || le32_get(run + HTT_RUN_PAGES) != pages)
        return htt_fault_at(fault, HTT_RUN_PAGES, "wrong number of pages in the run head");
    if (length == 0 || length > htt_run_capacity(page_size, pages) ||
        htt_run_pages_for(page_size, length) != pages)
        return htt_fault_at(fault, HTT_RUN_LENGTH, "run length does not fit its pages");
    return true;
}

bool htt_run_check(const uint8_t *run, uint32_t page_size, uint32_t number, uint32_t pages,
                   uint64_t epoch_max, htt_fault *fault) {
    size_t summed;

    if (!htt_run_check_head(run, page_size, number, pages, epoch_max, fault))
        return false;
    summed = HTT_RUN_HEADER_SIZE - RUN_SUMMED + (size_t)htt_run_length(run);
    assert(summed < (uint64_t)pages * page_size);
    if (le64_get(run + HTT_PAGE_CHECKSUM) != htt_hash_bytes(run + RUN_SUMMED, summed))
        return htt_fault_at(fault, HTT_PAGE_CHECKSUM, "wrong checksum of an overflow run");
    return true;
}
