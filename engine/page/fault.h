/* SPDX-License-Identifier: MIT */
/*
 * What is wrong with some bytes of a file. Page code is pure and has no handle: it fills a fault,
 * and whoever read the page adds the page number and makes the HTT_CORRUPT error of it.
 */
#ifndef HTT_PAGE_FAULT_H
#define HTT_PAGE_FAULT_H

#include <stdbool.h>
#include <stdint.h>

typedef struct htt_fault {
    const char *reason; /* static text, a noun phrase: "record offsets out of order" */
    uint32_t offset;    /* of the byte in the page where it shows */
} htt_fault;

/* Fills `fault` (never NULL) and gives false, so that checks can end in `return htt_fault_at(..)`.
 * The only place where damage is declared; grep for it to see all that is detected. */
static inline bool htt_fault_at(htt_fault *fault, uint32_t offset, const char *reason) {
    fault->reason = reason;
    fault->offset = offset;
    return false;
}

#endif
