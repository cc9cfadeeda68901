/* SPDX-License-Identifier: MIT */
/*
 * The head of every page, and the one door through which page bytes come in: htt_page_check looks
 * at the head and hands the body to the check of its type. The bytes are drawn in header.h.
 */
#include "page/header.h"

#include <assert.h>
#include <string.h>

#include "base/hash.h"
#include "page/data.h"
#include "page/free.h"
#include "page/index.h"
#include "page/node.h"
#include "page/run.h"

static_assert(HTT_PAGE_COUNT + 2 == HTT_PAGE_HEADER_SIZE, "the count is the last field");

enum { HEADER_ZERO = 21, HEADER_SUMMED = HTT_PAGE_STAMP };

static uint64_t header_checksum(const uint8_t *page, uint32_t page_size) {
    return htt_hash_bytes(page + HEADER_SUMMED, page_size - HEADER_SUMMED);
}

void htt_page_init(uint8_t *page, uint32_t page_size, uint8_t type) {
    assert(page_size >= HTT_PAGE_SIZE_MIN);
    assert(page_size <= HTT_PAGE_SIZE_MAX);
    assert(type != 0);
    memset(page, 0, page_size);
    page[HTT_PAGE_TYPE] = type;
}

void htt_page_seal(uint8_t *page, uint32_t page_size, uint32_t number, uint64_t stamp) {
    assert(page[HTT_PAGE_TYPE] != HTT_PAGE_RUN);
    assert(page[HTT_PAGE_TYPE] != 0);
    assert(page[HEADER_ZERO] == 0);
    le32_put(page + HTT_PAGE_NUMBER, number);
    le64_put(page + HTT_PAGE_STAMP, stamp);
    le64_put(page + HTT_PAGE_CHECKSUM, header_checksum(page, page_size));
}

/* The head of a run, and all of it when it is one page long. */
static bool header_check_run(const uint8_t *page, uint32_t page_size, uint32_t number,
                             uint64_t epoch_max, htt_fault *fault) {
    uint32_t pages = le32_get(page + HTT_RUN_PAGES);

    if (pages == 1)
        return htt_run_check(page, page_size, number, 1, epoch_max, fault);
    return htt_run_check_head(page, page_size, number, pages, epoch_max, fault);
}

static bool header_check_body(const uint8_t *page, uint32_t page_size, htt_fault *fault) {
    uint32_t body_size = page_size - HTT_PAGE_HEADER_SIZE;

    switch (page[HTT_PAGE_TYPE]) {
    case HTT_PAGE_DATA:
        return htt_data_check(page, page_size, false, fault);
    case HTT_PAGE_NODE:
        if (htt_page_count(page) != 0)
            return htt_fault_at(fault, HTT_PAGE_COUNT, "count in the head of a node page");
        return htt_node_check(page + HTT_PAGE_HEADER_SIZE, body_size, page_size,
                              HTT_PAGE_HEADER_SIZE, fault);
    case HTT_PAGE_INDEX:
        return htt_index_check(page, page_size, fault);
    case HTT_PAGE_FREE:
        return htt_free_check(page, page_size, fault);
    default:
        return htt_fault_at(fault, HTT_PAGE_TYPE, "unknown page type");
    }
}

bool htt_page_check(const uint8_t *page, uint32_t page_size, uint32_t number, uint64_t epoch_max,
                    htt_fault *fault) {
    assert(page_size >= HTT_PAGE_SIZE_MIN);
    assert(page_size <= HTT_PAGE_SIZE_MAX);
    assert(fault != NULL);
    if (page[HTT_PAGE_TYPE] == HTT_PAGE_RUN)
        return header_check_run(page, page_size, number, epoch_max, fault);
    if (le64_get(page + HTT_PAGE_CHECKSUM) != header_checksum(page, page_size))
        return htt_fault_at(fault, HTT_PAGE_CHECKSUM, "wrong page checksum");
    if (htt_page_number(page) != number)
        return htt_fault_at(fault, HTT_PAGE_NUMBER, "number of another page");
    if (htt_page_stamp(page) > epoch_max)
        return htt_fault_at(fault, HTT_PAGE_STAMP, "page stamp newer than the snapshot");
    if (page[HEADER_ZERO] != 0)
        return htt_fault_at(fault, HEADER_ZERO, "reserved byte of the page head not zero");
    return header_check_body(page, page_size, fault);
}
