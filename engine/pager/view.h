/* SPDX-License-Identifier: MIT */
/*
 * A view: what the tree reads its pages through. In a read transaction a snapshot of the file; in
 * a write transaction the writer's frames first, then the file.
 */
#ifndef HTT_PAGER_VIEW_H
#define HTT_PAGER_VIEW_H

#include "base/hash.h"
#include "pager/pages.h"
#include "pager/writer.h"

typedef struct htt_view {
    htt_pages *pages;       /* of the store */
    htt_writer *writer;     /* NULL in a read transaction */
    htt_pins *pins;         /* of the call or cursor */
    htt_error *error;       /* of the transaction or cursor */
    htt_snapshot snapshot;  /* what may be seen; with a writer page_count is its present one */
    uint64_t seed;          /* of the hash */
    htt_hash_function hash; /* htt_hash_key, or a test's */
    uint32_t page_size;     /* bytes */
} htt_view;

static inline htt_rc htt_view_page(htt_view *view, uint32_t number, const uint8_t **page_out) {
    const uint8_t *page;
    if (view->writer != NULL) {
        page = htt_writer_find(view->writer, number);
        view->snapshot.page_count = htt_writer_page_count(view->writer);
    } else {
        page = htt_pages_peek(view->pages, &view->snapshot, number);
    }
    if (page != NULL) {
        *page_out = page;
        return HTT_OK;
    }
    return htt_pages_get(view->pages, view->pins, &view->snapshot, number, page_out, view->error);
}

static inline htt_rc htt_view_run(htt_view *view, uint32_t first, uint32_t count,
                                  const uint8_t **run_out) {
    if (view->writer != NULL)
        view->snapshot.page_count = htt_writer_page_count(view->writer);
    return htt_pages_get_run(view->pages, view->pins, &view->snapshot, first, count, run_out,
                             view->error);
}

#endif
