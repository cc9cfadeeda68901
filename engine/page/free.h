/* SPDX-License-Identifier: MIT */
/*
 * Free page list: a chain of pages, each with runs of free pages and the epoch they died in.
 * A page that died at epoch f is named by roots up to f - 1 and by none from f on.
 *
 *   OFFSET  SIZE  FIELD
 *        0    24  page header, type 'F', count = n entries
 *       24     4  next page of the chain, 0 = the last
 *       28     4  zero
 *       32     8  oldest: no `died` of this page or behind it is smaller; 2^64-1 = no entries
 *       40   16n  entries: { u32 first page, u32 pages >= 1, u64 died }; died 0: free to all
 */
#ifndef HTT_PAGE_FREE_H
#define HTT_PAGE_FREE_H

#include "page/header.h"

enum { HTT_FREE_NEXT = 24, HTT_FREE_OLDEST = 32, HTT_FREE_ENTRIES = 40, HTT_FREE_ENTRY_SIZE = 16 };

typedef struct htt_free_run {
    uint32_t first; /* page number */
    uint32_t pages; /* >= 1 */
    uint64_t died;  /* epoch; 0 = no root names them */
} htt_free_run;

static inline uint32_t htt_free_capacity(uint32_t page_size) {
    return (page_size - HTT_FREE_ENTRIES) / HTT_FREE_ENTRY_SIZE;
}
/* An empty page; nothing behind it: next 0 and oldest_behind UINT64_MAX. */
void htt_free_init(uint8_t *page, uint32_t page_size, uint32_t next, uint64_t oldest_behind);
/* Appends; the caller has made sure of room. Updates `oldest`. */
void htt_free_add(uint8_t *page, htt_free_run run);
htt_free_run htt_free_entry(const uint8_t *page, uint32_t index);
static inline uint32_t htt_free_next(const uint8_t *page) {
    return le32_get(page + HTT_FREE_NEXT);
}
static inline uint64_t htt_free_oldest(const uint8_t *page) {
    return le64_get(page + HTT_FREE_OLDEST);
}
/* Bounds: count, pages >= 1, no run that wraps or touches the meta pages, died <= own stamp. */
bool htt_free_check(const uint8_t *page, uint32_t page_size, htt_fault *fault);

#endif
