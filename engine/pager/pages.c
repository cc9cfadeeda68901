/* SPDX-License-Identifier: MIT */
/*
 * Pages of a file, for readers: numbers are checked here, bytes are verified here, and the mode
 * (map.c, cache.c) brings the bytes.
 */
#include "pager/pages.h"

#include <assert.h>

#include "base/error.h"
#include "base/limits.h"
#include "page/run.h"
#include "pager/pages_internal.h"

enum { PAGES_FIRST = 2 }; /* behind the meta pages */

htt_rc htt_pages_open(const htt_env *env, htt_file *file, uint32_t page_size, bool mapped,
                      uint64_t cache_bytes, htt_pages **pages_out, htt_error *error) {
    htt_pages *pages;

    assert(page_size >= HTT_PAGE_SIZE_MIN);
    assert(page_size <= HTT_PAGE_SIZE_MAX);
    assert((page_size & (page_size - 1)) == 0);
    pages = env->allocate(env->context, sizeof *pages);
    if (pages == NULL)
        return htt_error_set(error, HTT_NOMEM, "no memory for the pages of a store");
    memset(pages, 0, sizeof *pages);
    if (pthread_mutex_init(&pages->mutex, NULL) != 0) {
        env->release(env->context, pages);
        return htt_error_set(error, HTT_NOMEM, "no memory for a mutex");
    }
    pages->env = env;
    pages->file = file;
    pages->page_size = page_size;
    pages->page_shift = (uint32_t)__builtin_ctz(page_size);
    pages->mapped = mapped;
    pages->cache.budget = cache_bytes;
    *pages_out = pages;
    return HTT_OK;
}

void htt_pages_close(htt_pages *pages) {
    const htt_env *env;

    if (pages == NULL)
        return;
    env = pages->env;
    htt_map_close(pages);
    htt_cache_close(pages);
    (void)pthread_mutex_destroy(&pages->mutex);
    env->release(env->context, pages);
}

/* ------------------------------------------------------------ verification */

static htt_rc pages_fault(uint32_t number, const htt_fault *fault, htt_error *error) {
    assert(fault->reason != NULL);
    return htt_error_page(error, HTT_CORRUPT, number, "%s, at byte %u", fault->reason,
                          (unsigned)fault->offset);
}

static htt_rc pages_reused(uint32_t number, uint64_t stamp, const htt_snapshot *snapshot,
                           htt_error *error) {
    assert(stamp > snapshot->epoch); /* PAGES-2 */
    return htt_error_page(error, HTT_SNAPSHOT, number,
                          "it was written again at epoch %llu, the snapshot is of epoch %llu",
                          (unsigned long long)stamp, (unsigned long long)snapshot->epoch);
}

htt_rc htt_pages_verify(const htt_pages *pages, const htt_snapshot *snapshot, uint32_t number,
                        const uint8_t *page, htt_error *error) {
    htt_fault fault = {NULL, 0};

    assert(number >= PAGES_FIRST);
    /* The stamp last: a page that is sound but too new is no damage. */
    if (!htt_page_check(page, pages->page_size, number, UINT64_MAX, &fault))
        return pages_fault(number, &fault, error);
    if (htt_page_stamp(page) > snapshot->epoch)
        return pages_reused(number, htt_page_stamp(page), snapshot, error);
    return HTT_OK;
}

htt_rc htt_pages_verify_run(const htt_pages *pages, const htt_snapshot *snapshot, uint32_t first,
                            uint32_t count, const uint8_t *run, bool whole, htt_error *error) {
    htt_fault fault = {NULL, 0};
    htt_fault other = {NULL, 0};
    bool sound;

    assert(first >= PAGES_FIRST);
    assert(count >= 1);
    sound = htt_run_check_head(run, pages->page_size, first, count, UINT64_MAX, &fault);
    if (sound && htt_page_stamp(run) <= snapshot->epoch) {
        if (!whole || htt_run_check(run, pages->page_size, first, count, UINT64_MAX, &fault))
            return HTT_OK;
        return pages_fault(first, &fault, error);
    }
    /* Another run or page may begin here now. */
    if (htt_page_stamp(run) > snapshot->epoch &&
        (sound || htt_page_check(run, pages->page_size, first, UINT64_MAX, &other)))
        return pages_reused(first, htt_page_stamp(run), snapshot, error);
    return pages_fault(first, &fault, error);
}

/* -------------------------------------------------------------------- range */

htt_rc htt_pages_find_end(htt_pages *pages, uint32_t number, htt_error *error) {
    htt_file_info info;
    uint64_t file_pages;
    int failure;

    failure = pages->env->info(pages->env->context, pages->file, &info);
    if (failure != 0)
        return htt_error_errno(error, HTT_IO, failure, "cannot ask for the file's size");
    file_pages = info.size >> pages->page_shift;
    atomic_store_explicit(&pages->file_pages, file_pages, memory_order_release);
    if (number >= file_pages)
        return htt_error_page(error, HTT_CORRUPT, number, "the file ends before it, at byte %llu",
                              (unsigned long long)info.size);
    return HTT_OK;
}

htt_rc htt_pages_refresh(htt_pages *pages, const htt_snapshot *snapshot, htt_error *error) {
    assert(snapshot->page_count >= PAGES_FIRST);
    return htt_pages_find_end(pages, snapshot->page_count - 1, error);
}

static htt_rc pages_check_range(const htt_snapshot *snapshot, uint32_t first, uint32_t count,
                                htt_error *error) {
    if (first < PAGES_FIRST || first >= snapshot->page_count)
        return htt_error_page(error, HTT_CORRUPT, first, "no page number of this store (2 to %u)",
                              (unsigned)snapshot->page_count - 1);
    if (count == 0 || count > snapshot->page_count - first)
        return htt_error_page(error, HTT_CORRUPT, first,
                              "a run of %u pages does not end in this store (%u pages)",
                              (unsigned)count, (unsigned)snapshot->page_count);
    return HTT_OK;
}

/* ------------------------------------------------------------------ reading */

/* The bytes of pages in range, in mapped mode. */
static htt_rc pages_find_mapped(htt_pages *pages, uint32_t first, uint32_t count,
                                const uint8_t **bytes_out, htt_error *error) {
    htt_rc rc;

    assert(pages->mapped);
    assert(count >= 1);
    if (first + (count - 1) >= atomic_load_explicit(&pages->file_pages, memory_order_acquire)) {
        rc = htt_pages_find_end(pages, first + (count - 1), error);
        if (rc != HTT_OK)
            return rc;
    }
    return htt_map_find(pages, first, count, bytes_out, error);
}

htt_rc htt_pages_get(htt_pages *pages, htt_pins *pins, const htt_snapshot *snapshot,
                     uint32_t number, const uint8_t **page_out, htt_error *error) {
    const uint8_t *page;
    uint64_t stamp;
    htt_rc rc;

    rc = pages_check_range(snapshot, number, 1, error);
    if (rc != HTT_OK)
        return rc;
    if (!pages->mapped)
        return htt_cache_get(pages, pins, snapshot, number, page_out, error);
    rc = pages_find_mapped(pages, number, 1, &page, error);
    if (rc != HTT_OK)
        return rc;
    /* Read once, before the check: if the page changes now, another stamp is in it next time. */
    stamp = htt_page_stamp(page);
    if (stamp > snapshot->epoch || !htt_map_is_verified(pages, number, stamp)) {
        rc = htt_pages_verify(pages, snapshot, number, page, error);
        if (rc != HTT_OK)
            return rc;
        /* Of a run only the head was looked at; that is not to be remembered. */
        if (stamp <= snapshot->committed && htt_page_type(page) != HTT_PAGE_RUN)
            htt_map_set_verified(pages, number, stamp);
    }
    *page_out = page;
    return HTT_OK;
}

htt_rc htt_pages_get_run(htt_pages *pages, htt_pins *pins, const htt_snapshot *snapshot,
                         uint32_t first, uint32_t count, const uint8_t **run_out,
                         htt_error *error) {
    const uint8_t *run;
    uint64_t stamp;
    bool known;
    htt_rc rc;

    rc = pages_check_range(snapshot, first, count, error);
    if (rc != HTT_OK)
        return rc;
    if (!pages->mapped)
        return htt_cache_get_run(pages, pins, snapshot, first, count, true, run_out, error);
    rc = pages_find_mapped(pages, first, count, &run, error);
    if (rc != HTT_OK)
        return rc;
    stamp = htt_page_stamp(run);
    /* The head is checked each time: it may be remembered as a page of another kind. */
    known = htt_map_is_verified(pages, first, stamp) && htt_page_type(run) == HTT_PAGE_RUN;
    rc = htt_pages_verify_run(pages, snapshot, first, count, run, !known, error);
    if (rc != HTT_OK)
        return rc;
    if (!known && stamp <= snapshot->committed)
        htt_map_set_verified(pages, first, stamp);
    *run_out = run;
    return HTT_OK;
}

htt_rc htt_pages_get_run_head(htt_pages *pages, htt_pins *pins, const htt_snapshot *snapshot,
                              uint32_t first, uint32_t count, const uint8_t **head_out,
                              htt_error *error) {
    const uint8_t *head;
    htt_rc rc;

    rc = pages_check_range(snapshot, first, count, error);
    if (rc != HTT_OK)
        return rc;
    if (!pages->mapped)
        return htt_cache_get_run(pages, pins, snapshot, first, count, false, head_out, error);
    rc = pages_find_mapped(pages, first, 1, &head, error);
    if (rc != HTT_OK)
        return rc;
    rc = htt_pages_verify_run(pages, snapshot, first, count, head, false, error);
    if (rc != HTT_OK)
        return rc;
    *head_out = head;
    return HTT_OK;
}

/* --------------------------------------------------------- pins and forgetting */

void htt_pins_drop(htt_pages *pages, htt_pins *pins) {
    if (pins->count > 0)
        htt_cache_drop(pages, pins);
    assert(pins->count == 0);
}

void htt_pins_free(htt_pages *pages, htt_pins *pins) {
    htt_pins_drop(pages, pins);
    if (pins->items != NULL)
        pages->env->release(pages->env->context, pins->items);
    pins->items = NULL;
    pins->capacity = 0;
}

/* Mapped mode has nothing to forget: another stamp is in the page now. */
void htt_pages_forget(htt_pages *pages, uint32_t first, uint32_t count) {
    if (!pages->mapped)
        htt_cache_forget(pages, first, count);
}

void htt_pages_forget_all(htt_pages *pages) {
    atomic_store_explicit(&pages->file_pages, 0, memory_order_release);
    if (!pages->mapped)
        htt_cache_forget_all(pages);
}
