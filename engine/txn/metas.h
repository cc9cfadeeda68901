/* SPDX-License-Identifier: MIT */
/*
 * The two meta pages of a file, read and judged together. The newest one that counts holds:
 *
 *   steady          counts
 *   weak            counts while the system runs that wrote it (boot id); its pages may not be on
 *                   the disk
 *   anything else   does not count; the file is open to use as long as the other one does
 */
#ifndef HTT_TXN_METAS_H
#define HTT_TXN_METAS_H

#include "htt_env.h"
#include "page/meta.h"

#define HTT_METAS_NONE 2u /* neither slot */

/* Where meta pages are, and how weak ones are judged. */
typedef struct htt_metas_source {
    const htt_env *env;  /* outside */
    htt_file *file;      /* the store's */
    const char *path;    /* for messages */
    uint32_t page_size;  /* bytes */
    uint8_t boot_id[16]; /* of the running system; zeros = unknown: no weak page counts */
    bool ignore_weak;    /* no weak page counts: a sync failed after they were written */
} htt_metas_source;

typedef struct htt_metas {
    htt_meta meta[2];        /* decoded where state is VALID */
    htt_meta_state state[2]; /* what the bytes are */
    bool counts[2];          /* valid, and steady or weak of this system's run */
    bool short_tail[2];      /* valid, and zeros behind its first 4096 bytes */
    htt_fault fault[2];      /* where state is not VALID */
    uint32_t newest;         /* slot that holds; HTT_METAS_NONE with an error only */
} htt_metas;

static inline bool htt_metas_weak(const htt_meta *meta) {
    static const uint8_t zeros[16];
    return memcmp(meta->boot_id, zeros, sizeof zeros) != 0;
}

/*
 * Reads both. `buffer`: 2 * page_size bytes. HTT_NOTHTT, HTT_NEWER, HTT_CORRUPT when none counts
 * (metas_out is filled all the same), HTT_IO. While a meta page is being written it may look
 * damaged: read again.
 */
htt_rc htt_metas_read(const htt_metas_source *source, uint8_t *buffer, htt_metas *metas_out,
                      htt_error *error);

typedef enum htt_metas_found {
    HTT_METAS_THERE,      /* page_size_out is known */
    HTT_METAS_EMPTY,      /* the file has no bytes */
    HTT_METAS_UNFINISHED  /* its creation was cut short; nothing is in it */
} htt_metas_found;

/* Finds the page size of a file (source->page_size is not used). */
htt_rc htt_metas_probe(const htt_metas_source *source, htt_metas_found *found_out,
                       uint32_t *page_size_out, htt_error *error);

/*
 * Writes a meta page. Only its first 4096 bytes when `whole` is false, for a slot that holds a
 * valid one with a short tail: the rest is zeros already, and so little is never half written
 * when a process dies. `buffer`: page_size bytes.
 */
htt_rc htt_metas_write(const htt_metas_source *source, const htt_meta *meta, bool whole,
                       uint8_t *buffer, htt_error *error);

/*
 * Writes both meta pages of a new file, durably. Page 1 first: until it is on the disk, page 0 is
 * zeros, which tells HTT_METAS_UNFINISHED from a foreign file. `buffer`: page_size bytes.
 */
htt_rc htt_metas_create(const htt_metas_source *source, const htt_meta *meta, uint8_t *buffer,
                        htt_error *error);

#endif
