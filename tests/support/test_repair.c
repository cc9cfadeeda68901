/* SPDX-License-Identifier: MIT */
/* Right checksums for wrong bytes: see test_repair.h. Offsets: page/meta.h, page/header.h. */
#include "support/test_repair.h"

#include <string.h>

#include "base/hash.h"
#include "page/header.h"
#include "page/meta.h"
#include "page/run.h"

enum {
    META_CHECKSUM = 8,
    META_SUMMED = 16,
    META_NUMBER = 16,
    META_TYPE = 20,
    META_SIZE_LOG2 = 21,
    META_ROOT = 64,
    ROOT_EPOCH = 24,
    ROOT_PAGE = 80,
    ROOT_PAGE_CHECKSUM = 96,
    ROOT_SIZE_LOG2 = 104,
    ROOT_CHECKSUM = 120
};

uint32_t repair_page_size(const uint8_t *bytes, size_t size) {
    uint32_t page_size = size >= HTT_PAGE_SIZE_MIN ? htt_meta_page_size(bytes) : 0;
    for (uint32_t at = HTT_PAGE_SIZE_MIN; page_size == 0 && at <= HTT_PAGE_SIZE_MAX; at *= 2) {
        if (size >= 2 * (size_t)at && htt_meta_page_size(bytes + at) == at) {
            page_size = at;
        }
    }
    return page_size != 0 ? page_size : HTT_PAGE_SIZE_MIN;
}

/* Pages that a run claims, as far as the file has them; 1 for other pages. */
static uint32_t repair_span(const uint8_t *page, uint32_t page_size, size_t left) {
    const uint32_t pages = le32_get(page + HTT_RUN_PAGES);
    const uint64_t length = htt_run_length(page);
    if (page[HTT_PAGE_TYPE] != HTT_PAGE_RUN || pages == 0 || pages > left / page_size ||
        length > (uint64_t)pages * page_size - HTT_RUN_HEADER_SIZE) {
        return 1;
    }
    return pages;
}

static void repair_page(uint8_t *page, uint32_t page_size, uint32_t span, uint32_t number,
                        uint64_t epoch, unsigned what) {
    size_t summed = page_size - HTT_PAGE_STAMP;
    if ((what & REPAIR_NUMBERS) != 0) {
        le32_put(page + HTT_PAGE_NUMBER, number);
    }
    if ((what & REPAIR_STAMPS) != 0 && htt_page_stamp(page) > epoch) {
        le64_put(page + HTT_PAGE_STAMP, epoch);
    }
    if (page[HTT_PAGE_TYPE] == HTT_PAGE_RUN) {
        const uint64_t length = htt_run_length(page);
        const uint64_t room = (uint64_t)span * page_size - HTT_RUN_HEADER_SIZE;
        summed = HTT_RUN_HEADER_SIZE - HTT_PAGE_STAMP + (size_t)(length < room ? length : room);
    }
    le64_put(page + HTT_PAGE_CHECKSUM, htt_hash_bytes(page + HTT_PAGE_STAMP, summed));
}

static void repair_meta(uint8_t *bytes, size_t size, uint32_t page_size, uint32_t slot) {
    uint8_t *meta = bytes + (size_t)slot * page_size;
    uint8_t *root = meta + META_ROOT;
    const uint8_t log2 = (uint8_t)__builtin_ctz(page_size);
    const uint64_t at = (uint64_t)le32_get(root + ROOT_PAGE) * page_size;
    memcpy(meta, HTT_META_MAGIC, 8);
    le32_put(meta + META_NUMBER, slot);
    meta[META_TYPE] = 'M';
    meta[META_SIZE_LOG2] = log2;
    root[ROOT_SIZE_LOG2] = log2;
    if (at > 0 && at + page_size <= size) {
        le64_put(root + ROOT_PAGE_CHECKSUM, le64_get(bytes + at + HTT_PAGE_CHECKSUM));
    }
    le64_put(root + ROOT_CHECKSUM, htt_hash_bytes(root, ROOT_CHECKSUM));
    le64_put(meta + META_CHECKSUM, htt_hash_bytes(meta + META_SUMMED, page_size - META_SUMMED));
}

void repair_file(uint8_t *bytes, size_t size, unsigned what) {
    const uint32_t page_size = repair_page_size(bytes, size);
    const uint32_t count = (uint32_t)(size / page_size);
    uint64_t epoch = 0;
    for (uint32_t slot = 0; slot < 2 && slot < count; slot++) {
        const uint64_t other =
            le64_get(bytes + (size_t)slot * page_size + META_ROOT + ROOT_EPOCH);
        epoch = other > epoch ? other : epoch;
    }
    for (uint32_t i = 2; i < count && (what & REPAIR_PAGES) != 0;) {
        uint8_t *page = bytes + (size_t)i * page_size;
        const uint32_t span = repair_span(page, page_size, size - (size_t)i * page_size);
        repair_page(page, page_size, span, i, epoch, what);
        i += span;
    }
    for (uint32_t slot = 0; slot < 2 && slot < count && (what & REPAIR_METAS) != 0; slot++) {
        repair_meta(bytes, size, page_size, slot);
    }
}
