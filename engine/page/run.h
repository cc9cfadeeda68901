/* SPDX-License-Identifier: MIT */
/*
 * Overflow run: contiguous pages with one head, then nothing but payload.
 *
 *   OFFSET  SIZE  FIELD
 *        0     8  checksum: XXH3-64 of bytes 8 .. 40 + length, over page borders
 *        8     8  stamp
 *       16     4  number of the first page
 *       20     1  type 'O'
 *       21     3  zero
 *       24     4  pages of the run >= 1
 *       28     4  zero
 *       32     8  length of the payload in bytes, >= 1 page's worth more than pages - 1 hold
 *       40        payload; after its end zeros to the end of the last page
 */
#ifndef HTT_PAGE_RUN_H
#define HTT_PAGE_RUN_H

#include <stddef.h>

#include "page/header.h"

enum { HTT_RUN_PAGES = 24, HTT_RUN_LENGTH = 32, HTT_RUN_HEADER_SIZE = 40 };

/* Pages that a payload needs, and bytes that a run of so many pages holds. */
uint64_t htt_run_pages_for(uint32_t page_size, uint64_t length);
uint64_t htt_run_capacity(uint32_t page_size, uint32_t pages);

/*
 * Writes the head (HTT_RUN_HEADER_SIZE bytes). The payload is in two parts, so that a key and a
 * value need not be joined first; either may be empty.
 */
void htt_run_head(uint8_t *head, uint32_t number, uint64_t stamp, uint32_t pages,
                  const uint8_t *part1, size_t size1, const uint8_t *part2, size_t size2);

/* Head only: type, number, pages, length against pages and `page_size`, stamp <= epoch_max. */
bool htt_run_check_head(const uint8_t *run, uint32_t page_size, uint32_t number, uint32_t pages,
                        uint64_t epoch_max, htt_fault *fault);
/* The whole run, contiguous at `run`: the head and the checksum. */
bool htt_run_check(const uint8_t *run, uint32_t page_size, uint32_t number, uint32_t pages,
                   uint64_t epoch_max, htt_fault *fault);
static inline uint64_t htt_run_length(const uint8_t *run) { return le64_get(run + HTT_RUN_LENGTH); }

#endif
