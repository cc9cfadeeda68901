/* SPDX-License-Identifier: MIT */
/*
 * Makes the checksums of a damaged file right again, so that damage gets past them: to see what
 * the code behind them does with bytes that no writer wrote.
 */
#ifndef TEST_REPAIR_H
#define TEST_REPAIR_H

#include <stddef.h>
#include <stdint.h>

enum {
    REPAIR_PAGES = 1u << 0,   /* checksums of pages and runs */
    REPAIR_NUMBERS = 1u << 1, /* their numbers */
    REPAIR_STAMPS = 1u << 2,  /* stamps above the newest root's epoch */
    REPAIR_METAS = 1u << 3    /* checksums of meta pages and root records, magic, numbers */
};
#define REPAIR_ALL 15u

/* The page size that the file claims, or 4096. */
uint32_t repair_page_size(const uint8_t *bytes, size_t size);

/* Repairs a whole file in place. A part of a page at its end stays as it is. */
void repair_file(uint8_t *bytes, size_t size, unsigned what);

#endif
