/* SPDX-License-Identifier: MIT */
/* Reading, judging and writing the two meta pages; see metas.h. */
#include "txn/metas.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/error.h"

static_assert(HTT_META_BYTES <= HTT_PAGE_SIZE_MIN, "a meta page is zeros behind 4096");

/* Reads up to `size` bytes; a file that ends before gives fewer. */
static htt_rc metas_read_bytes(const htt_metas_source *source, uint8_t *bytes, size_t size,
                               uint64_t offset, size_t *got_out, htt_error *error) {
    size_t got = 0;
    const int code = source->env->read(source->env->context, source->file, bytes, size, offset,
                                       &got);
    if (code == 0) {
        *got_out = size;
        return HTT_OK;
    }
    if (code == EIO && got < size) { /* the end of the file, or a bad disk: the size tells */
        htt_file_info info;
        if (source->env->info(source->env->context, source->file, &info) == 0 &&
            info.size <= offset + got) {
            *got_out = got;
            return HTT_OK;
        }
    }
    return htt_error_errno(error, HTT_IO, code, "cannot read '%s'", source->path);
}

/* ---------------------------------------------------------------- judging */

static bool metas_all_zero(const uint8_t *bytes, size_t size) {
    for (size_t i = 0; i < size; i++) {
        if (bytes[i] != 0)
            return false;
    }
    return true;
}

static void metas_decode(const htt_metas_source *source, uint32_t slot, const uint8_t *bytes,
                         size_t size, htt_metas *metas) {
    htt_meta *const meta = &metas->meta[slot];
    htt_fault *const fault = &metas->fault[slot];

    metas->counts[slot] = false;
    metas->short_tail[slot] = false;
    if (size < source->page_size) {
        (void)htt_fault_at(fault, (uint32_t)size, "meta page cut off");
        metas->state[slot] = HTT_META_DAMAGED;
        if (size >= HTT_PAGE_SIZE_MIN && htt_meta_page_size(bytes) == 0)
            metas->state[slot] = HTT_META_FOREIGN;
        return;
    }
    metas->state[slot] = htt_meta_decode(bytes, size, meta, fault);
    if (metas->state[slot] != HTT_META_VALID)
        return;
    if (meta->number != slot || meta->root.page_size != source->page_size) {
        (void)htt_fault_at(fault, 16, "meta page of another place");
        metas->state[slot] = HTT_META_DAMAGED;
        return;
    }
    metas->counts[slot] = !htt_metas_weak(meta) ||
                          (!source->ignore_weak &&
                           memcmp(meta->boot_id, source->boot_id, sizeof meta->boot_id) == 0);
    metas->short_tail[slot] =
        metas_all_zero(bytes + HTT_PAGE_SIZE_MIN, source->page_size - HTT_PAGE_SIZE_MIN);
}

/* No slot counts: why. */
static htt_rc metas_explain(const htt_metas_source *source, const htt_metas *metas,
                            htt_error *error) {
    if (metas->state[0] == HTT_META_NEWER || metas->state[1] == HTT_META_NEWER) {
        const uint32_t slot = metas->state[0] == HTT_META_NEWER ? 0 : 1;
        return htt_error_set(error, HTT_NEWER, "'%s': %s", source->path,
                             metas->fault[slot].reason);
    }
    if (metas->state[0] == HTT_META_FOREIGN && metas->state[1] == HTT_META_FOREIGN)
        return htt_error_set(error, HTT_NOTHTT, "'%s' is not an htt file", source->path);
    const bool valid = metas->state[0] == HTT_META_VALID || metas->state[1] == HTT_META_VALID;
    if (valid && source->ignore_weak)
        return htt_error_set(error, HTT_CORRUPT,
                             "a sync of '%s' failed, and it has no synced meta page (sync = off), "
                             "or that is damaged: no complete state is known",
                             source->path);
    if (valid)
        return htt_error_set(error, HTT_CORRUPT,
                             "'%s' was not synced before the system stopped (sync = off), or its "
                             "synced meta page is damaged: no complete state is known",
                             source->path);
    const uint32_t slot = metas->state[0] == HTT_META_DAMAGED ? 0 : 1;
    return htt_error_page(error, HTT_CORRUPT, slot, "'%s' has no good meta page: %s",
                          source->path, metas->fault[slot].reason);
}

htt_rc htt_metas_read(const htt_metas_source *source, uint8_t *buffer, htt_metas *metas_out,
                      htt_error *error) {
    const size_t size = source->page_size;

    assert(size >= HTT_PAGE_SIZE_MIN && size <= HTT_PAGE_SIZE_MAX);
    metas_out->newest = HTT_METAS_NONE;
    for (uint32_t slot = 0; slot < 2; slot++) {
        size_t got = 0;
        const htt_rc rc = metas_read_bytes(source, buffer + slot * size, size,
                                           (uint64_t)slot * size, &got, error);
        if (rc != HTT_OK)
            return rc;
        metas_decode(source, slot, buffer + slot * size, got, metas_out);
        if (metas_out->counts[slot] &&
            (metas_out->newest == HTT_METAS_NONE ||
             metas_out->meta[slot].counter > metas_out->meta[metas_out->newest].counter))
            metas_out->newest = slot;
    }
    /* One of a newer version means that a newer library works on the file. */
    if (metas_out->newest == HTT_METAS_NONE || metas_out->state[0] == HTT_META_NEWER ||
        metas_out->state[1] == HTT_META_NEWER) {
        metas_out->newest = HTT_METAS_NONE;
        return metas_explain(source, metas_out, error);
    }
    return HTT_OK;
}

/* ---------------------------------------------------------------- probing */

static bool metas_zero_between(const uint8_t *page, size_t size, size_t from, size_t to) {
    const size_t end = to < size ? to : size;

    return from >= end || metas_all_zero(page + from, end - from);
}

/*
 * A creation that was cut short has zeros in the first page, ends in the second or with it, and
 * has there nothing but parts of a meta page without history: its head and its declaration.
 */
static bool metas_unfinished(const uint8_t *bytes, size_t size) {
    enum { HEAD_END = 208, DECLARATION = 1760 };
    size_t page_size = HTT_PAGE_SIZE_MIN;

    while (2 * page_size < size)
        page_size *= 2;
    if (size <= page_size || page_size > HTT_PAGE_SIZE_MAX || !metas_all_zero(bytes, page_size))
        return false;
    const uint8_t *const page = bytes + page_size;
    const size_t left = size - page_size;
    return (metas_zero_between(page, left, 0, 8) ||
            (left >= HTT_PAGE_SIZE_MIN && htt_meta_page_size(page) == page_size) ||
            (left >= 8 && left < HTT_PAGE_SIZE_MIN && memcmp(page, HTT_META_MAGIC, 8) == 0)) &&
           metas_zero_between(page, left, HEAD_END, DECLARATION) &&
           metas_zero_between(page, left, HTT_META_BYTES, page_size);
}

/* Page 0 does not tell the page size: looks for page 1 at every size. 0 = not found. */
static uint32_t metas_find_second(const uint8_t *bytes, size_t size, bool *newer_out) {
    for (uint32_t page_size = HTT_PAGE_SIZE_MIN; page_size <= HTT_PAGE_SIZE_MAX; page_size *= 2) {
        htt_meta meta;
        htt_fault fault;
        if (size < 2 * (size_t)page_size || htt_meta_page_size(bytes + page_size) != page_size)
            continue;
        const htt_meta_state state = htt_meta_decode(bytes + page_size, page_size, &meta, &fault);
        *newer_out = *newer_out || state == HTT_META_NEWER;
        if (state == HTT_META_VALID && meta.number == 1)
            return page_size;
    }
    return 0;
}

/* The first bytes of the file are in `bytes`; at least one. */
static htt_rc metas_judge(const htt_metas_source *source, const uint8_t *bytes, size_t size,
                          htt_metas_found *found_out, uint32_t *page_size_out,
                          htt_error *error) {
    const size_t magic_size = sizeof HTT_META_MAGIC - 1;
    const bool magic = size >= magic_size && memcmp(bytes, HTT_META_MAGIC, magic_size) == 0;
    htt_fault fault = {"the file is cut off", 0};
    htt_meta meta;
    bool newer = false;

    *found_out = HTT_METAS_THERE;
    if (magic && size >= HTT_PAGE_SIZE_MIN) {
        const htt_meta_state state = htt_meta_decode(bytes, size, &meta, &fault);
        newer = state == HTT_META_NEWER;
        if (state == HTT_META_VALID && meta.number == 0) {
            *page_size_out = meta.root.page_size;
            return HTT_OK;
        }
    }
    if (!newer) {
        *page_size_out = metas_find_second(bytes, size, &newer);
        if (*page_size_out != 0)
            return HTT_OK;
    }
    if (newer)
        return htt_error_set(error, HTT_NEWER,
                             "'%s' was written by a newer version of this library", source->path);
    if (magic)
        return htt_error_page(error, HTT_CORRUPT, 0, "'%s' has no good meta page: %s",
                              source->path, fault.reason);
    if (!metas_unfinished(bytes, size))
        return htt_error_set(error, HTT_NOTHTT, "'%s' is not an htt file", source->path);
    *found_out = HTT_METAS_UNFINISHED;
    return HTT_OK;
}

htt_rc htt_metas_probe(const htt_metas_source *source, htt_metas_found *found_out,
                       uint32_t *page_size_out, htt_error *error) {
    const htt_env *const env = source->env;
    const size_t capacity = 2 * (size_t)HTT_PAGE_SIZE_MAX + 1; /* one more: longer or not */
    htt_metas_found found = HTT_METAS_EMPTY;
    uint32_t page_size = 0;
    size_t size = 0;

    uint8_t *const bytes = env->allocate(env->context, capacity);
    if (bytes == NULL)
        return htt_error_set(error, HTT_NOMEM, "out of memory");
    htt_rc rc = metas_read_bytes(source, bytes, capacity, 0, &size, error);
    if (rc == HTT_OK && size > 0)
        rc = metas_judge(source, bytes, size, &found, &page_size, error);
    env->release(env->context, bytes);
    if (rc != HTT_OK)
        return rc;
    *found_out = found;
    *page_size_out = page_size;
    return HTT_OK;
}

/* ---------------------------------------------------------------- writing */

htt_rc htt_metas_write(const htt_metas_source *source, const htt_meta *meta, bool whole,
                       uint8_t *buffer, htt_error *error) {
    const size_t size = whole ? source->page_size : HTT_PAGE_SIZE_MIN;

    assert(meta->root.page_size == source->page_size);
    assert(meta->number < 2);
    assert(meta->counter > 0);
    htt_meta_encode(meta, buffer);
    const int code = source->env->write(source->env->context, source->file, buffer, size,
                                        (uint64_t)meta->number * source->page_size);
    if (code != 0)
        return htt_error_errno(error, HTT_IO, code, "cannot write meta page %u of '%s'",
                               (unsigned)meta->number, source->path);
    return HTT_OK;
}

htt_rc htt_metas_create(const htt_metas_source *source, const htt_meta *meta, uint8_t *buffer,
                        htt_error *error) {
    htt_meta page = *meta;

    for (uint32_t i = 0; i < 2; i++) {
        page.number = 1 - i;
        page.counter = meta->counter + page.number;
        const htt_rc rc = htt_metas_write(source, &page, true, buffer, error);
        if (rc != HTT_OK)
            return rc;
        const int code = source->env->sync(source->env->context, source->file);
        if (code != 0)
            return htt_error_errno(error, HTT_IO, code, "cannot sync '%s'", source->path);
    }
    return HTT_OK;
}
