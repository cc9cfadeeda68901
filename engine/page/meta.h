/* SPDX-License-Identifier: MIT */
/*
 * Meta page: the head of the file, twice, in pages 0 and 1. Each says everything that is needed
 * to open the file; the newest valid one holds.
 *
 *   OFFSET  SIZE  FIELD
 *        0     8  magic: 89 48 54 54 0D 0A 1A 0A ("\x89HTT\r\n\x1a\n")
 *        8     8  checksum: XXH3-64 of bytes 16 .. page size
 *       16     4  number: 0 or 1
 *       20     1  type 'M'
 *       21     1  log2 of the page size, 12 .. 16
 *       22     2  format version, 1
 *       24     4  features that a reader must understand (none defined: 0)
 *       28     4  features that may be ignored
 *       32     8  counter: grows with every meta page written
 *       40    16  boot id: zeros = steady. Else weak: valid only under this start of the system
 *       56     8  zero
 *       64   128  root record
 *      192     8  attempt nonce (hosted keeper; else 0)
 *      200     2  number of ancestors, 0..64
 *      202     2  length of the owner, 0 = standalone
 *      204     2  length of the declaration
 *      206     2  zero
 *      208  1024  ancestors: { u64 epoch, u64 nonce }, newest first; unused ones zero
 *     1232    16  host token (hosted keeper; else zeros)
 *     1248   512  owner: path of the host database, relative to the file
 *     1760  2048  declaration, UTF-8
 *     3808        zeros
 *
 * Root record: a state of the store.
 *        0    16  uuid of the file
 *       16     8  seed of the hash
 *       24     8  epoch, 1 for a new file
 *       32     8  nonce of the transaction
 *       40    16  parent: { u64 epoch, u64 nonce }
 *       56     8  seq of the last outbox row folded in (hosted keeper; else 0)
 *       64     8  keys: rows
 *       72     8  bytes: payload of all rows
 *       80     4  root page: a data page or a node; 0 = no row
 *       84     4  page count: pages [0, page count) belong to the store
 *       88     4  first page of the free list, 0 = none
 *       92     4  free pages: all that the free list names
 *       96     8  checksum of the root page, 0 when there is none
 *      104     1  log2 of the page size
 *      105    15  zero
 *      120     8  checksum: XXH3-64 of bytes 0 .. 120 of the record
 */
#ifndef HTT_PAGE_META_H
#define HTT_PAGE_META_H

#include "htt.h"
#include "page/header.h"

#define HTT_META_MAGIC "\x89HTT\r\n\x1a\n"
enum {
    HTT_META_FORMAT_VERSION = 1,
    HTT_META_ANCESTORS_MAX = 64,
    HTT_META_OWNER_MAX = 512,
    HTT_META_ROOT_SIZE = 128,
    HTT_META_BYTES = 3808 /* used bytes; static_assert <= HTT_PAGE_SIZE_MIN */
};

/*
 * Largest epoch, counter, number of rows and payload that a meta page may have: nothing that counts
 * up by ones gets there, and nothing that a damaged one says wraps around.
 */
#define HTT_META_COUNT_MAX (UINT64_MAX / 4)

typedef struct htt_lineage {
    uint64_t epoch; /* of a root */
    uint64_t nonce; /* of the transaction that made it */
} htt_lineage;

typedef struct htt_root {
    uint8_t uuid[16];       /* the file's name */
    uint64_t seed;          /* of the hash */
    htt_lineage self;       /* epoch, nonce */
    htt_lineage parent;     /* the committed root that this one was made from */
    uint64_t seq;           /* last outbox row folded in */
    uint64_t keys;          /* rows */
    uint64_t bytes;         /* payload */
    uint32_t page;          /* root page, 0 = empty */
    uint32_t page_count;    /* pages of the store, >= 2 */
    uint32_t free_head;     /* first free list page, 0 = none */
    uint32_t free_pages;    /* pages named by the free list */
    uint64_t page_checksum; /* of the root page */
    uint32_t page_size;     /* bytes */
} htt_root;

typedef struct htt_meta {
    uint32_t number;                             /* 0 or 1 */
    uint64_t counter;                            /* the larger is the newer */
    uint8_t boot_id[16];                         /* zeros = steady */
    htt_root root;                               /* the state */
    uint64_t attempt;                            /* hosted keeper */
    uint32_t ancestor_count;                     /* entries of ancestors */
    htt_lineage ancestors[HTT_META_ANCESTORS_MAX]; /* newest first */
    uint8_t host_token[16];                      /* hosted keeper */
    char owner[HTT_META_OWNER_MAX + 1];          /* terminated; "" = standalone */
    char declaration[HTT_DECLARATION_SIZE_MAX + 1]; /* terminated */
} htt_meta;

typedef enum htt_meta_state {
    HTT_META_VALID,    /* decoded */
    HTT_META_FOREIGN,  /* no magic: not an htt file */
    HTT_META_NEWER,    /* magic, but a format version or must-understand feature unknown here */
    HTT_META_DAMAGED   /* magic, but checksum or a field is wrong */
} htt_meta_state;

void htt_root_encode(const htt_root *root, uint8_t bytes[HTT_META_ROOT_SIZE]);
bool htt_root_decode(const uint8_t bytes[HTT_META_ROOT_SIZE], htt_root *root_out, htt_fault *fault);

/* Writes a whole page of root.page_size bytes. */
void htt_meta_encode(const htt_meta *meta, uint8_t *page);

/*
 * Reads the page size that a meta page claims, from its first 4096 bytes; 0 when the magic is
 * missing or the size makes no sense. Lets the caller read the rest.
 */
uint32_t htt_meta_page_size(const uint8_t *bytes);

/* `page` holds `size` bytes, at least 4096; DAMAGED also when size is below the page size. */
htt_meta_state htt_meta_decode(const uint8_t *page, size_t size, htt_meta *meta_out,
                               htt_fault *fault);

#endif
