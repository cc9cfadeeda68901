/* SPDX-License-Identifier: MIT */
/*
 * The head that every page but the two meta pages begins with. All integers little-endian.
 *
 *   OFFSET  SIZE  FIELD
 *        0     8  checksum: XXH3-64 of bytes 8 .. page size (an overflow run: of the whole run)
 *        8     8  stamp: epoch of the transaction that wrote the page
 *       16     4  number: the page's own number
 *       20     1  type, see below; 0 never occurs, so a zeroed page is damaged
 *       21     1  zero
 *       22     2  count: records (data), sub-pages (index), entries (free), else 0
 *       24        body
 *
 *   0           8           16      20  21  22     24
 *   +-----------+-----------+-------+---+---+------+--- - -
 *   | checksum  |   stamp   |number |typ| 0 |count | body
 *   +-----------+-----------+-------+---+---+------+--- - -
 */
#ifndef HTT_PAGE_HEADER_H
#define HTT_PAGE_HEADER_H

#include "base/le.h"
#include "page/fault.h"

enum {
    HTT_PAGE_CHECKSUM = 0,
    HTT_PAGE_STAMP = 8,
    HTT_PAGE_NUMBER = 16,
    HTT_PAGE_TYPE = 20,
    HTT_PAGE_COUNT = 22,
    HTT_PAGE_HEADER_SIZE = 24
};

/* Types. FROZEN: they are in files. */
enum {
    HTT_PAGE_DATA = 'D',  /* records: page/data.h */
    HTT_PAGE_NODE = 'N',  /* one index node: page/node.h, its bytes begin at 24 */
    HTT_PAGE_INDEX = 'I', /* sub-pages, each an index node: page/index.h */
    HTT_PAGE_RUN = 'O',   /* an overflow run: page/run.h */
    HTT_PAGE_FREE = 'F'   /* a part of the free list: page/free.h */
};

static inline uint64_t htt_page_stamp(const uint8_t *page) {
    return le64_get(page + HTT_PAGE_STAMP);
}
static inline uint32_t htt_page_number(const uint8_t *page) {
    return le32_get(page + HTT_PAGE_NUMBER);
}
static inline uint8_t htt_page_type(const uint8_t *page) {
    return page[HTT_PAGE_TYPE];
}
static inline uint32_t htt_page_count(const uint8_t *page) {
    return le16_get(page + HTT_PAGE_COUNT);
}

/* Zeroes a page and sets its type. Number, stamp and checksum come when it is sealed. */
void htt_page_init(uint8_t *page, uint32_t page_size, uint8_t type);

/* Sets number, stamp and, last, the checksum. Not for runs (htt_run_seal). */
void htt_page_seal(uint8_t *page, uint32_t page_size, uint32_t number, uint64_t stamp);

/*
 * What is checked on first touch: checksum, own number, stamp <= epoch_max, a known type, byte 21
 * zero, and then the shallow check of that type. For a run only its head, as far as it can be
 * checked without its other pages.
 */
bool htt_page_check(const uint8_t *page, uint32_t page_size, uint32_t number, uint64_t epoch_max,
                    htt_fault *fault);

#endif
