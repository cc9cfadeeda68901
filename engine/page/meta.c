/* SPDX-License-Identifier: MIT */
/*
 * Meta pages and root records: bytes to structs and back. Which of the two meta pages holds is
 * decided above. The bytes are drawn in meta.h. Reserved bytes are written as zeros and not looked
 * at: a later version may use them under a feature bit that this one may ignore.
 */
#include "page/meta.h"

#include <assert.h>

#include "base/hash.h"

enum { /* offsets in a meta page */
    META_CHECKSUM = 8,
    META_SUMMED = 16,
    META_NUMBER = 16,
    META_TYPE = 20,
    META_SIZE_LOG2 = 21,
    META_VERSION = 22,
    META_MUST_UNDERSTAND = 24,
    META_COUNTER = 32,
    META_BOOT_ID = 40,
    META_ROOT = 64,
    META_ATTEMPT = 192,
    META_ANCESTOR_COUNT = 200,
    META_OWNER_SIZE = 202,
    META_DECLARATION_SIZE = 204,
    META_ANCESTORS = 208,
    META_HOST_TOKEN = 1232,
    META_OWNER = 1248,
    META_DECLARATION = 1760
};

enum { /* offsets in a root record */
    ROOT_UUID = 0,
    ROOT_SEED = 16,
    ROOT_SELF = 24,
    ROOT_PARENT = 40,
    ROOT_SEQ = 56,
    ROOT_KEYS = 64,
    ROOT_BYTES = 72,
    ROOT_PAGE = 80,
    ROOT_PAGE_COUNT = 84,
    ROOT_FREE_HEAD = 88,
    ROOT_FREE_PAGES = 92,
    ROOT_PAGE_CHECKSUM = 96,
    ROOT_SIZE_LOG2 = 104,
    ROOT_CHECKSUM = 120
};

enum { META_MAGIC_SIZE = 8, META_LINEAGE_SIZE = 16, META_PAGES = 2, META_PAGE_TYPE = 'M' };
enum { META_SIZE_LOG2_MIN = 12, META_SIZE_LOG2_MAX = 16 };

static_assert(1u << META_SIZE_LOG2_MIN == HTT_PAGE_SIZE_MIN, "smallest page");
static_assert(1u << META_SIZE_LOG2_MAX == HTT_PAGE_SIZE_MAX, "largest page");
static_assert(sizeof HTT_META_MAGIC == META_MAGIC_SIZE + 1, "magic and its terminator");
static_assert(META_ROOT + HTT_META_ROOT_SIZE == META_ATTEMPT, "the root record fills its place");
static_assert(META_ANCESTORS + HTT_META_ANCESTORS_MAX * META_LINEAGE_SIZE == META_HOST_TOKEN,
              "the ancestors fill their place");
static_assert(META_OWNER + HTT_META_OWNER_MAX == META_DECLARATION, "the owner fills its place");
static_assert(META_DECLARATION + HTT_DECLARATION_SIZE_MAX == HTT_META_BYTES, "all bytes named");
static_assert(HTT_META_BYTES <= HTT_PAGE_SIZE_MIN, "a meta page fits every page size");
static_assert(ROOT_CHECKSUM + 8 == HTT_META_ROOT_SIZE, "the checksum ends the record");

static uint8_t meta_size_log2(uint32_t page_size) {
    uint32_t log2 = (uint32_t)__builtin_ctz(page_size);

    assert(page_size >= HTT_PAGE_SIZE_MIN);
    assert(page_size <= HTT_PAGE_SIZE_MAX);
    assert(page_size == 1u << log2);
    return (uint8_t)log2;
}

static void meta_put_lineage(uint8_t *bytes, htt_lineage lineage) {
    le64_put(bytes, lineage.epoch);
    le64_put(bytes + 8, lineage.nonce);
}

static htt_lineage meta_get_lineage(const uint8_t *bytes) {
    htt_lineage lineage = {.epoch = le64_get(bytes), .nonce = le64_get(bytes + 8)};
    return lineage;
}

/* ------------------------------------------------------------- root record */

void htt_root_encode(const htt_root *root, uint8_t bytes[HTT_META_ROOT_SIZE]) {
    assert(root->self.epoch >= 1);
    assert(root->page_count >= META_PAGES);
    assert((root->page == 0) == (root->keys == 0));
    memset(bytes, 0, HTT_META_ROOT_SIZE);
    memcpy(bytes + ROOT_UUID, root->uuid, sizeof root->uuid);
    le64_put(bytes + ROOT_SEED, root->seed);
    meta_put_lineage(bytes + ROOT_SELF, root->self);
    meta_put_lineage(bytes + ROOT_PARENT, root->parent);
    le64_put(bytes + ROOT_SEQ, root->seq);
    le64_put(bytes + ROOT_KEYS, root->keys);
    le64_put(bytes + ROOT_BYTES, root->bytes);
    le32_put(bytes + ROOT_PAGE, root->page);
    le32_put(bytes + ROOT_PAGE_COUNT, root->page_count);
    le32_put(bytes + ROOT_FREE_HEAD, root->free_head);
    le32_put(bytes + ROOT_FREE_PAGES, root->free_pages);
    le64_put(bytes + ROOT_PAGE_CHECKSUM, root->page_checksum);
    bytes[ROOT_SIZE_LOG2] = meta_size_log2(root->page_size);
    le64_put(bytes + ROOT_CHECKSUM, htt_hash_bytes(bytes, ROOT_CHECKSUM));
}

static bool root_page_allowed(const htt_root *root, uint32_t page) {
    return page == 0 || (page >= META_PAGES && page < root->page_count);
}

static bool root_check(const htt_root *root, htt_fault *fault) {
    if (root->self.epoch == 0)
        return htt_fault_at(fault, ROOT_SELF, "epoch of a root is zero");
    if (root->self.epoch > HTT_META_COUNT_MAX)
        return htt_fault_at(fault, ROOT_SELF, "epoch of a root is too large");
    if (root->parent.epoch >= root->self.epoch)
        return htt_fault_at(fault, ROOT_PARENT, "parent of a root is not older");
    if (root->keys > HTT_META_COUNT_MAX)
        return htt_fault_at(fault, ROOT_KEYS, "number of rows is too large");
    if (root->bytes > HTT_META_COUNT_MAX)
        return htt_fault_at(fault, ROOT_BYTES, "payload of all rows is too large");
    if (root->page_count < META_PAGES)
        return htt_fault_at(fault, ROOT_PAGE_COUNT, "page count of a root below two");
    if (!root_page_allowed(root, root->page))
        return htt_fault_at(fault, ROOT_PAGE, "root page out of range");
    if (!root_page_allowed(root, root->free_head))
        return htt_fault_at(fault, ROOT_FREE_HEAD, "free list page out of range");
    if (root->free_pages > root->page_count - META_PAGES)
        return htt_fault_at(fault, ROOT_FREE_PAGES, "more free pages than pages");
    if ((root->page == 0) != (root->keys == 0))
        return htt_fault_at(fault, ROOT_KEYS, "rows without a root page, or the reverse");
    if (root->page == 0 && root->bytes != 0)
        return htt_fault_at(fault, ROOT_BYTES, "payload without a root page");
    if (root->page == 0 && root->page_checksum != 0)
        return htt_fault_at(fault, ROOT_PAGE_CHECKSUM, "checksum without a root page");
    return true;
}

bool htt_root_decode(const uint8_t bytes[HTT_META_ROOT_SIZE], htt_root *root_out,
                     htt_fault *fault) {
    htt_root root;

    assert(root_out != NULL);
    assert(fault != NULL);
    if (le64_get(bytes + ROOT_CHECKSUM) != htt_hash_bytes(bytes, ROOT_CHECKSUM))
        return htt_fault_at(fault, ROOT_CHECKSUM, "wrong checksum of a root record");
    if (bytes[ROOT_SIZE_LOG2] < META_SIZE_LOG2_MIN || bytes[ROOT_SIZE_LOG2] > META_SIZE_LOG2_MAX)
        return htt_fault_at(fault, ROOT_SIZE_LOG2, "bad page size in a root record");
    memcpy(root.uuid, bytes + ROOT_UUID, sizeof root.uuid);
    root.seed = le64_get(bytes + ROOT_SEED);
    root.self = meta_get_lineage(bytes + ROOT_SELF);
    root.parent = meta_get_lineage(bytes + ROOT_PARENT);
    root.seq = le64_get(bytes + ROOT_SEQ);
    root.keys = le64_get(bytes + ROOT_KEYS);
    root.bytes = le64_get(bytes + ROOT_BYTES);
    root.page = le32_get(bytes + ROOT_PAGE);
    root.page_count = le32_get(bytes + ROOT_PAGE_COUNT);
    root.free_head = le32_get(bytes + ROOT_FREE_HEAD);
    root.free_pages = le32_get(bytes + ROOT_FREE_PAGES);
    root.page_checksum = le64_get(bytes + ROOT_PAGE_CHECKSUM);
    root.page_size = 1u << bytes[ROOT_SIZE_LOG2];
    if (!root_check(&root, fault))
        return false;
    *root_out = root;
    return true;
}

/* --------------------------------------------------------------- meta page */

void htt_meta_encode(const htt_meta *meta, uint8_t *page) {
    uint32_t page_size = meta->root.page_size;
    size_t owner_size = strlen(meta->owner);
    size_t declaration_size = strlen(meta->declaration);

    assert(meta->number < META_PAGES);
    assert(meta->ancestor_count <= HTT_META_ANCESTORS_MAX);
    assert(owner_size <= HTT_META_OWNER_MAX);
    assert(declaration_size <= HTT_DECLARATION_SIZE_MAX);
    memset(page, 0, page_size);
    memcpy(page, HTT_META_MAGIC, META_MAGIC_SIZE);
    le32_put(page + META_NUMBER, meta->number);
    page[META_TYPE] = META_PAGE_TYPE;
    page[META_SIZE_LOG2] = meta_size_log2(page_size);
    le16_put(page + META_VERSION, HTT_META_FORMAT_VERSION);
    le64_put(page + META_COUNTER, meta->counter);
    memcpy(page + META_BOOT_ID, meta->boot_id, sizeof meta->boot_id);
    htt_root_encode(&meta->root, page + META_ROOT);
    le64_put(page + META_ATTEMPT, meta->attempt);
    le16_put(page + META_ANCESTOR_COUNT, (uint16_t)meta->ancestor_count);
    le16_put(page + META_OWNER_SIZE, (uint16_t)owner_size);
    le16_put(page + META_DECLARATION_SIZE, (uint16_t)declaration_size);
    for (uint32_t i = 0; i < meta->ancestor_count; i++)
        meta_put_lineage(page + META_ANCESTORS + i * META_LINEAGE_SIZE, meta->ancestors[i]);
    memcpy(page + META_HOST_TOKEN, meta->host_token, sizeof meta->host_token);
    memcpy(page + META_OWNER, meta->owner, owner_size);
    memcpy(page + META_DECLARATION, meta->declaration, declaration_size);
    le64_put(page + META_CHECKSUM, htt_hash_bytes(page + META_SUMMED, page_size - META_SUMMED));
}

uint32_t htt_meta_page_size(const uint8_t *bytes) {
    uint32_t log2 = bytes[META_SIZE_LOG2];

    if (memcmp(bytes, HTT_META_MAGIC, META_MAGIC_SIZE) != 0)
        return 0;
    if (log2 < META_SIZE_LOG2_MIN || log2 > META_SIZE_LOG2_MAX)
        return 0;
    return 1u << log2;
}

/* A text of `size` bytes without terminator in the file; with one in memory. */
static bool meta_get_text(const uint8_t *page, uint32_t offset, uint32_t size, char *text,
                          htt_fault *fault) {
    if (size > 0 && memchr(page + offset, 0, size) != NULL)
        return htt_fault_at(fault, offset, "zero byte in a text of the meta page");
    memcpy(text, page + offset, size);
    text[size] = '\0';
    return true;
}

/* The fields behind the root record. */
static bool meta_decode_rest(const uint8_t *page, htt_meta *meta, htt_fault *fault) {
    uint32_t owner_size = le16_get(page + META_OWNER_SIZE);
    uint32_t declaration_size = le16_get(page + META_DECLARATION_SIZE);

    meta->attempt = le64_get(page + META_ATTEMPT);
    meta->ancestor_count = le16_get(page + META_ANCESTOR_COUNT);
    if (meta->ancestor_count > HTT_META_ANCESTORS_MAX)
        return htt_fault_at(fault, META_ANCESTOR_COUNT, "too many ancestors");
    if (owner_size > HTT_META_OWNER_MAX)
        return htt_fault_at(fault, META_OWNER_SIZE, "owner too long");
    if (declaration_size > HTT_DECLARATION_SIZE_MAX)
        return htt_fault_at(fault, META_DECLARATION_SIZE, "declaration too long");
    for (uint32_t i = 0; i < meta->ancestor_count; i++)
        meta->ancestors[i] = meta_get_lineage(page + META_ANCESTORS + i * META_LINEAGE_SIZE);
    memcpy(meta->host_token, page + META_HOST_TOKEN, sizeof meta->host_token);
    return meta_get_text(page, META_OWNER, owner_size, meta->owner, fault) &&
           meta_get_text(page, META_DECLARATION, declaration_size, meta->declaration, fault);
}

/* Everything behind the format version; the checksum was right. */
static bool meta_decode_fields(const uint8_t *page, uint32_t page_size, htt_meta *meta,
                               htt_fault *fault) {
    meta->number = le32_get(page + META_NUMBER);
    if (meta->number >= META_PAGES)
        return htt_fault_at(fault, META_NUMBER, "number of a meta page above one");
    if (page[META_TYPE] != META_PAGE_TYPE)
        return htt_fault_at(fault, META_TYPE, "not a meta page");
    meta->counter = le64_get(page + META_COUNTER);
    if (meta->counter > HTT_META_COUNT_MAX)
        return htt_fault_at(fault, META_COUNTER, "counter of a meta page is too large");
    memcpy(meta->boot_id, page + META_BOOT_ID, sizeof meta->boot_id);
    if (!htt_root_decode(page + META_ROOT, &meta->root, fault))
        return htt_fault_at(fault, META_ROOT + fault->offset, fault->reason);
    if (meta->root.page_size != page_size)
        return htt_fault_at(fault, META_SIZE_LOG2, "page size is not that of the root record");
    return meta_decode_rest(page, meta, fault);
}

htt_meta_state htt_meta_decode(const uint8_t *page, size_t size, htt_meta *meta_out,
                               htt_fault *fault) {
    uint32_t page_size = htt_meta_page_size(page);
    htt_meta meta = {0};

    assert(size >= HTT_PAGE_SIZE_MIN);
    assert(meta_out != NULL);
    if (memcmp(page, HTT_META_MAGIC, META_MAGIC_SIZE) != 0) {
        (void)htt_fault_at(fault, 0, "no magic of an htt file");
        return HTT_META_FOREIGN;
    }
    if (page_size == 0) {
        (void)htt_fault_at(fault, META_SIZE_LOG2, "bad page size in a meta page");
        return HTT_META_DAMAGED;
    }
    if (size < page_size) {
        (void)htt_fault_at(fault, META_SIZE_LOG2, "meta page cut off");
        return HTT_META_DAMAGED;
    }
    if (le64_get(page + META_CHECKSUM) != htt_hash_bytes(page + META_SUMMED,
                                                         page_size - META_SUMMED)) {
        (void)htt_fault_at(fault, META_CHECKSUM, "wrong checksum of a meta page");
        return HTT_META_DAMAGED;
    }
    if (le16_get(page + META_VERSION) > HTT_META_FORMAT_VERSION) {
        (void)htt_fault_at(fault, META_VERSION, "format version newer than this library");
        return HTT_META_NEWER;
    }
    if (le16_get(page + META_VERSION) != HTT_META_FORMAT_VERSION) {
        (void)htt_fault_at(fault, META_VERSION, "format version zero");
        return HTT_META_DAMAGED;
    }
    if (le32_get(page + META_MUST_UNDERSTAND) != 0) {
        (void)htt_fault_at(fault, META_MUST_UNDERSTAND, "feature unknown to this library");
        return HTT_META_NEWER;
    }
    if (!meta_decode_fields(page, page_size, &meta, fault))
        return HTT_META_DAMAGED;
    *meta_out = meta;
    return HTT_META_VALID;
}
