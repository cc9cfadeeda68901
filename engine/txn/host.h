/* SPDX-License-Identifier: MIT */
/*
 * What the files host*.c share. Not for others.
 */
#ifndef HTT_TXN_HOST_H
#define HTT_TXN_HOST_H

#include "htt_host.h"
#include "txn/store.h"

#define HTT_HOST_PARTS_MAX 256u

typedef struct htt_host_parts {
    const char *part[HTT_HOST_PARTS_MAX]; /* borrowed from the path */
    size_t size[HTT_HOST_PARTS_MAX];      /* bytes of each */
    size_t count;                         /* of them */
} htt_host_parts;

/* The path of `host` as seen from the folder of `file`. False: it is too long. */
bool htt_host_path_relative(const char *file, const char *host,
                            char relative_out[HTT_HOST_PATH_MAX + 1]);

/* Between the record of the host and the engine's root. */
htt_rc htt_host_decode(const htt_host_root *root, htt_root *root_out, htt_error *error);
void htt_host_encode(const htt_root *root, htt_host_root *root_out);

/* Between the owner of a meta page and the one of the interface. */
void htt_host_get_owner(const htt_meta *meta, htt_host_owner *owner_out);
void htt_host_set_owner(htt_meta *meta, const htt_host_owner *owner);

/* `root` is the newest one of its host, and the file goes on from there. HTT_MISMATCH: why not. */
htt_rc htt_host_check_newest(const htt_store *store, const htt_meta *meta, const htt_root *root,
                             htt_error *error);
/* `root` is one that the file has had: HTT_SNAPSHOT where that cannot be known any more. */
htt_rc htt_host_check_line(const htt_store *store, const htt_meta *meta, const htt_root *root,
                           htt_error *error);

#endif
