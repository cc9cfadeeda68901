/* SPDX-License-Identifier: MIT */
/*
 * Root records and owners of hosted files: in and out of the interface, and whether a root belongs
 * to the line of a file. Roots are equal when epoch and nonce are.
 *
 *     ... a2 <- a1 <- m <- r           m, ancestors a1, a2, ..: the newest meta page
 *                          attempt     r: the host's root; its transaction wrote {m, attempt = r}
 *
 * The host's newest root is m, or the one root made from m by the attempt that the meta page names:
 * no fold of one host leaves anything else behind. A reader's older snapshot is an ancestor of m.
 */
#include <string.h>

#include "base/le.h"
#include "txn/host.h"

void htt_host_encode(const htt_root *root, htt_host_root *root_out) {
    htt_root_encode(root, root_out->record);
    memcpy(root_out->uuid, root->uuid, sizeof root_out->uuid);
    root_out->epoch = root->self.epoch;
    root_out->nonce = root->self.nonce;
    root_out->parent_epoch = root->parent.epoch;
    root_out->parent_nonce = root->parent.nonce;
    root_out->seq = root->seq;
    root_out->keys = root->keys;
    root_out->bytes = root->bytes;
    root_out->page_count = root->page_count;
}

htt_rc htt_host_decode(const htt_host_root *root, htt_root *root_out, htt_error *error) {
    htt_fault fault;

    if (htt_root_decode(root->record, root_out, &fault))
        return HTT_OK;
    return htt_error_set(error, HTT_CORRUPT, "the root record is damaged: %s (at byte %u)",
                         fault.reason, fault.offset);
}

htt_rc htt_host_root_read(const void *record, size_t size, htt_host_root *root_out,
                          htt_error *error) {
    htt_root root;
    htt_fault fault;

    htt_error_clear(error);
    if (record == NULL || size != HTT_META_ROOT_SIZE)
        return htt_error_set(error, HTT_CORRUPT, "a root record has %zu bytes, not %u", size,
                             (unsigned)HTT_META_ROOT_SIZE);
    if (!htt_root_decode(record, &root, &fault))
        return htt_error_set(error, HTT_CORRUPT, "the root record is damaged: %s (at byte %u)",
                             fault.reason, fault.offset);
    htt_host_encode(&root, root_out);
    return HTT_OK;
}

/* ------------------------------------------------------------------- owners */

void htt_host_get_owner(const htt_meta *meta, htt_host_owner *owner_out) {
    memset(owner_out, 0, sizeof *owner_out);
    memcpy(owner_out->path, meta->owner, strlen(meta->owner));
    owner_out->device = le64_get(meta->host_token);
    owner_out->inode = le64_get(meta->host_token + 8);
}

void htt_host_set_owner(htt_meta *meta, const htt_host_owner *owner) {
    memset(meta->owner, 0, sizeof meta->owner);
    memcpy(meta->owner, owner->path, strlen(owner->path));
    le64_put(meta->host_token, owner->device);
    le64_put(meta->host_token + 8, owner->inode);
}

bool htt_host_is_owner(const htt_host_owner *owner, const htt_host_owner *described) {
    return strcmp(owner->path, described->path) == 0 ||
           (owner->inode != 0 && owner->inode == described->inode &&
            owner->device == described->device);
}

htt_rc htt_host_describe(htt_store *store, const char *host_path, htt_host_owner *owner_out) {
    htt_error error;
    htt_file_info info;

    htt_error_clear(&error);
    if (store == NULL || host_path == NULL || host_path[0] == '\0' || owner_out == NULL)
        return HTT_MISUSE;
    memset(owner_out, 0, sizeof *owner_out);
    if (!htt_host_path_relative(store->path, host_path, owner_out->path)) {
        (void)htt_error_set(&error, HTT_TOOBIG,
                            "the path from '%s' to '%s' is longer than %u bytes", store->path,
                            host_path, HTT_HOST_PATH_MAX);
        return htt_store_fail(store, &error);
    }
    const int code = store->env->path_info(store->env->context, host_path, &info);
    if (code != 0) {
        (void)htt_error_errno(&error, HTT_IO, code, "cannot inspect '%s'", host_path);
        return htt_store_fail(store, &error);
    }
    owner_out->device = info.device;
    owner_out->inode = info.inode;
    return HTT_OK;
}

/* -------------------------------------------------------------------- lines */

static bool host_same(const htt_lineage *a, const htt_lineage *b) {
    return a->epoch == b->epoch && a->nonce == b->nonce;
}

/* The ancestor of the meta page's root that has this epoch, NULL = none. */
static const htt_lineage *host_ancestor(const htt_meta *meta, uint64_t epoch) {
    for (uint32_t i = 0; i < meta->ancestor_count; i++) {
        if (meta->ancestors[i].epoch == epoch)
            return &meta->ancestors[i];
    }
    return NULL;
}

static bool host_is_newest(const htt_meta *meta, const htt_root *root) {
    const htt_lineage *const m = &meta->root.self;

    return host_same(m, &root->self) ||
           (host_same(m, &root->parent) && meta->attempt == root->self.nonce);
}

static htt_rc host_check_uuid(const htt_store *store, const htt_root *root, htt_error *error) {
    if (memcmp(store->uuid, root->uuid, sizeof store->uuid) == 0 && store->seed == root->seed &&
        store->page_size == root->page_size)
        return HTT_OK;
    return htt_error_set(error, HTT_MISMATCH, "the root record is of another file than '%s'",
                         store->path);
}

htt_rc htt_host_check_newest(const htt_store *store, const htt_meta *meta, const htt_root *root,
                             htt_error *error) {
    const uint64_t in_file = meta->root.self.epoch;
    const uint64_t in_host = root->self.epoch;

    const htt_rc rc = host_check_uuid(store, root, error);
    if (rc != HTT_OK || host_is_newest(meta, root))
        return rc;
    /* As the file names it: a copy that is asking has another name. */
    const char *const host = meta->owner[0] == '\0' ? "no database" : meta->owner;
    const htt_lineage *const ancestor = host_ancestor(meta, in_host);
    if (in_host < in_file && (ancestor == NULL || ancestor->nonce == root->self.nonce))
        return htt_error_set(error, HTT_MISMATCH,
                             "the database is older than its file '%s' (epoch %llu, the file, of "
                             "'%s', is at %llu): was it restored alone? Restore both, or go on "
                             "from the file with htt_adopt", store->path,
                             (unsigned long long)in_host, host, (unsigned long long)in_file);
    /* Nobody has gone on from the file's root, so the one that led to the host's is not there. */
    const bool restored = host_same(&meta->root.self, &root->parent) && meta->attempt == 0;
    if (in_host > in_file + 1 || restored)
        return htt_error_set(error, HTT_MISMATCH,
                             "'%s' (of '%s') is older than the database (epoch %llu, the database "
                             "is at %llu): was it restored alone? Restore both, or go on from the "
                             "file with htt_adopt", store->path, host,
                             (unsigned long long)in_file, (unsigned long long)in_host);
    return htt_error_set(error, HTT_MISMATCH,
                         "'%s' was continued by another copy of this database ('%s'): restore both "
                         "from one backup, take the file over as it is with htt_adopt, or begin "
                         "with an htt_backup of the other's", store->path, host);
}

htt_rc htt_host_check_line(const htt_store *store, const htt_meta *meta, const htt_root *root,
                           htt_error *error) {
    const htt_rc rc = host_check_uuid(store, root, error);

    if (rc != HTT_OK || host_is_newest(meta, root))
        return rc;
    const htt_lineage *const ancestor = host_ancestor(meta, root->self.epoch);
    if (ancestor != NULL && ancestor->nonce == root->self.nonce)
        return HTT_OK;
    if (ancestor == NULL && root->self.epoch < meta->root.self.epoch)
        return htt_error_set(error, HTT_SNAPSHOT,
                             "this snapshot is older than what '%s' still knows: begin a new "
                             "transaction; if that does not help, the database was restored "
                             "without the file", store->path);
    return htt_host_check_newest(store, meta, root, error);
}
