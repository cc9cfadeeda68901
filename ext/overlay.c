/* SPDX-License-Identifier: MIT */
/*
 * The overlay's log, its index and the memory of its bytes. All three grow at one end and are cut
 * at that end alone, so a cut puts them back as they were, without memory.
 *
 *     log     segments of 64, 128, 256 ... entries, which never move
 *     index   open addressing, linear probing; a slot has the newest entry of a key
 *     bytes   two stacks of chunks, for small and for large entries: key, value, key, value ...
 *
 * A new key takes the first empty slot on its way. Keys go in the opposite order of their coming,
 * so when a key goes, all that came behind it is gone already, and its slot just becomes empty.
 * A larger index is filled by the log's order and is what it would be had it been large at first.
 */
#include "overlay.h"

#include <assert.h>
#include <limits.h>
#include <string.h>

#include "api.h"
#include "engine/htt_host.h"

enum {
    OVERLAY_FIRST = 64,           /* entries of the first segment */
    OVERLAY_FIRST_BITS = 6,       /* its logarithm */
    OVERLAY_SEGMENTS = 26,        /* the last one ends behind OVERLAY_MAX */
    OVERLAY_SLOTS_MIN = 128,      /* of an index, a power of two */
    OVERLAY_KEPT = 4096,          /* slots that an empty overlay keeps */
    OVERLAY_CHUNK_MIN = 8 * 1024, /* bytes of the first chunk of small entries */
    OVERLAY_CHUNK_MAX = 256 * 1024,
    OVERLAY_SMALL = 8 * 1024 /* bytes of key and value; beyond, an entry is large */
};
#define OVERLAY_MAX ((size_t)UINT32_MAX / 2) /* entries */

static_assert(OVERLAY_FIRST == 1 << OVERLAY_FIRST_BITS, "the first segment's logarithm");
static_assert(((uint64_t)OVERLAY_FIRST << OVERLAY_SEGMENTS) - OVERLAY_FIRST >= OVERLAY_MAX,
              "there are segments for all entries");

/* A place of the index. */
typedef struct overlay_slot {
    uint32_t entry; /* newest entry of the key + 1; 0 = empty */
    uint32_t tag;   /* high half of the key's hash */
} overlay_slot;

typedef struct overlay_chunk {
    struct overlay_chunk *below; /* NULL = the lowest */
    size_t size;                 /* bytes that there is room for */
    size_t used;                 /* bytes in use */
    uint8_t bytes[];             /* of keys and values */
} overlay_chunk;

struct htt_overlay {
    size_t length;                          /* entries */
    size_t capacity;                        /* entries that the segments have room for */
    uint64_t bytes;                         /* of keys and values */
    overlay_slot *slots;                    /* owned, NULL = none */
    size_t slot_count;                      /* a power of two, 0 = none */
    overlay_chunk *small;                   /* top of the stack; owned, NULL = none */
    overlay_chunk *large;                   /* the same */
    uint32_t born;                          /* of the next entry; never 0 */
    unsigned segment_count;                 /* allocated */
    htt_change *segments[OVERLAY_SEGMENTS]; /* owned */
};

/* -------------------------------------------------------------------- log */

/* Segment k has the entries from 64 * 2^k - 64 on. */
static htt_change *overlay_entry(const htt_overlay *overlay, size_t index) {
    const uint64_t place = (uint64_t)index + OVERLAY_FIRST;
    const unsigned bit = 63 - (unsigned)__builtin_clzll(place);
    assert(index < overlay->capacity);
    return &overlay->segments[bit - OVERLAY_FIRST_BITS][place - (UINT64_C(1) << bit)];
}

static int overlay_reserve_log(htt_overlay *overlay, size_t length) {
    while (overlay->capacity < length) {
        const size_t count = (size_t)OVERLAY_FIRST << overlay->segment_count;
        assert(overlay->segment_count < OVERLAY_SEGMENTS);
        htt_change *const segment = sqlite3_malloc64(count * sizeof *segment);
        if (segment == NULL) {
            return SQLITE_NOMEM;
        }
        overlay->segments[overlay->segment_count++] = segment;
        overlay->capacity += count;
    }
    return SQLITE_OK;
}

/* ------------------------------------------------------------------ index */

/* The slot whose newest entry is `entry` + 1 = `from`; 0: the first empty one on the way. */
static overlay_slot *overlay_seek(const htt_overlay *overlay, uint64_t hash, uint32_t from) {
    const size_t mask = overlay->slot_count - 1;
    size_t at = (size_t)hash & mask;
    while (overlay->slots[at].entry != from) {
        assert(overlay->slots[at].entry != 0);
        at = (at + 1) & mask;
    }
    return &overlay->slots[at];
}

/* The slot of a key, NULL = the overlay does not know it. */
static overlay_slot *overlay_seek_key(const htt_overlay *overlay, uint64_t hash, htt_datum key) {
    const size_t mask = overlay->slot_count - 1;
    const uint32_t tag = (uint32_t)(hash >> 32);
    if (overlay->length == 0) {
        return NULL;
    }
    for (size_t at = (size_t)hash & mask;; at = (at + 1) & mask) {
        overlay_slot *const slot = &overlay->slots[at];
        if (slot->entry == 0) {
            return NULL;
        }
        if (slot->tag == tag) {
            const htt_change *const change = overlay_entry(overlay, slot->entry - 1);
            if (change->hash == hash && htt_host_same_key(change->key, key)) {
                return slot;
            }
        }
    }
}

/* At least half of the slots stay empty. */
static int overlay_reserve_index(htt_overlay *overlay, size_t length) {
    size_t count = overlay->slot_count == 0 ? OVERLAY_SLOTS_MIN : overlay->slot_count;
    while (count / 2 < length) {
        count *= 2;
    }
    if (count == overlay->slot_count) {
        return SQLITE_OK;
    }
    overlay_slot *const slots = sqlite3_malloc64(count * sizeof *slots);
    if (slots == NULL) {
        return SQLITE_NOMEM;
    }
    memset(slots, 0, count * sizeof *slots);
    sqlite3_free(overlay->slots);
    overlay->slots = slots;
    overlay->slot_count = count;
    for (size_t i = 0; i < overlay->length; i++) {
        const htt_change *const change = overlay_entry(overlay, i);
        *overlay_seek(overlay, change->hash, change->previous) =
            (overlay_slot){(uint32_t)i + 1, (uint32_t)(change->hash >> 32)};
    }
    return SQLITE_OK;
}

/* ------------------------------------------------------------------ bytes */

static size_t overlay_room(const overlay_chunk *top) {
    return top == NULL ? 0 : top->size - top->used;
}

static int overlay_push(overlay_chunk **top, size_t size) {
    overlay_chunk *const chunk = sqlite3_malloc64(sizeof *chunk + size);
    if (chunk == NULL) {
        return SQLITE_NOMEM;
    }
    chunk->below = *top;
    chunk->size = size;
    chunk->used = 0;
    *top = chunk;
    return SQLITE_OK;
}

static void overlay_pop(overlay_chunk **top) {
    overlay_chunk *const chunk = *top;
    *top = chunk->below;
    sqlite3_free(chunk);
}

static int overlay_reserve_small(htt_overlay *overlay, size_t bytes) {
    const overlay_chunk *const top = overlay->small;
    if (overlay_room(top) >= bytes) {
        return SQLITE_OK;
    }
    size_t size = top == NULL ? OVERLAY_CHUNK_MIN : top->size * 2;
    size = size < OVERLAY_CHUNK_MAX ? size : OVERLAY_CHUNK_MAX;
    return overlay_push(&overlay->small, size > bytes ? size : bytes);
}

/* A chunk for these alone. One that was reserved and not used is not kept. */
static int overlay_reserve_large(htt_overlay *overlay, size_t bytes) {
    overlay_chunk *const unused =
        overlay->large != NULL && overlay->large->used == 0 ? overlay->large : NULL;
    if (unused != NULL && unused->size != bytes) {
        overlay_pop(&overlay->large);
    }
    if (bytes <= OVERLAY_SMALL || overlay_room(overlay->large) >= bytes) {
        return SQLITE_OK;
    }
    return overlay_push(&overlay->large, bytes);
}

static overlay_chunk **overlay_stack(htt_overlay *overlay, size_t size) {
    return size <= OVERLAY_SMALL ? &overlay->small : &overlay->large;
}

/* Gives back the bytes of the newest entry. */
static void overlay_release(htt_overlay *overlay, size_t size) {
    overlay_chunk **const stack = overlay_stack(overlay, size);
    if (size == 0) {
        return;
    }
    while ((*stack)->used == 0) {
        overlay_pop(stack);
    }
    assert((*stack)->used >= size);
    (*stack)->used -= size;
}

/* Frees empty chunks, but for the lowest small one. */
static void overlay_settle(htt_overlay *overlay) {
    while (overlay->large != NULL && overlay->large->used == 0) {
        overlay_pop(&overlay->large);
    }
    while (overlay->small != NULL && overlay->small->used == 0 && overlay->small->below != NULL) {
        overlay_pop(&overlay->small);
    }
    if (overlay->small != NULL && overlay->small->size > OVERLAY_CHUNK_MAX &&
        overlay->small->used == 0) {
        overlay_pop(&overlay->small);
    }
}

/* ------------------------------------------------------------------ whole */

htt_overlay *htt_overlay_new(void) {
    htt_overlay *const overlay = sqlite3_malloc64(sizeof *overlay);
    if (overlay != NULL) {
        memset(overlay, 0, sizeof *overlay);
        overlay->born = 1;
    }
    return overlay;
}

static void overlay_free_segments(htt_overlay *overlay, unsigned keep) {
    while (overlay->segment_count > keep) {
        overlay->segment_count--;
        overlay->capacity -= (size_t)OVERLAY_FIRST << overlay->segment_count;
        sqlite3_free(overlay->segments[overlay->segment_count]);
        overlay->segments[overlay->segment_count] = NULL;
    }
}

void htt_overlay_free(htt_overlay *overlay) {
    if (overlay == NULL) {
        return;
    }
    while (overlay->small != NULL) {
        overlay_pop(&overlay->small);
    }
    while (overlay->large != NULL) {
        overlay_pop(&overlay->large);
    }
    overlay_free_segments(overlay, 0);
    sqlite3_free(overlay->slots);
    sqlite3_free(overlay);
}

size_t htt_overlay_length(const htt_overlay *overlay) {
    return overlay->length;
}

uint64_t htt_overlay_bytes(const htt_overlay *overlay) {
    return overlay->bytes;
}

/* ---------------------------------------------------------------- changes */

int htt_overlay_reserve(htt_overlay *overlay, size_t count, size_t bytes) {
    if (count > OVERLAY_MAX - overlay->length || bytes > SIZE_MAX / 2) {
        return SQLITE_NOMEM;
    }
    /* The bytes may be those of small entries, of large ones, or of both. */
    const size_t most = count * OVERLAY_SMALL;
    int rc = overlay_reserve_small(overlay, bytes < most ? bytes : most);
    rc = rc == SQLITE_OK ? overlay_reserve_large(overlay, bytes) : rc;
    rc = rc == SQLITE_OK ? overlay_reserve_log(overlay, overlay->length + count) : rc;
    return rc == SQLITE_OK ? overlay_reserve_index(overlay, overlay->length + count) : rc;
}

static htt_datum overlay_copy(overlay_chunk *chunk, htt_datum datum) {
    if (datum.size == 0) {
        return htt_bytes(NULL, 0, (htt_type)datum.type);
    }
    uint8_t *const bytes = chunk->bytes + chunk->used;
    memcpy(bytes, datum.data, datum.size);
    chunk->used += datum.size;
    return htt_bytes(bytes, datum.size, (htt_type)datum.type);
}

void htt_overlay_add(htt_overlay *overlay, htt_op op, htt_datum key, htt_datum value,
                     uint64_t token) {
    const size_t size = key.size + value.size;
    overlay_chunk *const chunk = *overlay_stack(overlay, size);
    const uint64_t hash = htt_host_hash(key);
    assert(overlay->length < overlay->capacity);       /* OVERLAY-3 */
    assert(overlay->length < overlay->slot_count / 2); /* OVERLAY-3 */
    assert(size == 0 || overlay_room(chunk) >= size);  /* OVERLAY-3 */
    assert(op != HTT_OP_DEL || value.type == HTT_NULL);
    overlay_slot *slot = overlay_seek_key(overlay, hash, key);
    if (slot == NULL) {
        slot = overlay_seek(overlay, hash, 0);
    }
    htt_change *const change = overlay_entry(overlay, overlay->length);
    *change = (htt_change){.key = overlay_copy(chunk, key),
                           .value = overlay_copy(chunk, value),
                           .token = token,
                           .hash = hash,
                           .previous = slot->entry,
                           .born = overlay->born,
                           .op = (uint8_t)op};
    assert(change->previous <= overlay->length); /* OVERLAY-2 */
    overlay->length++;
    overlay->bytes += size;
    if (change->previous != 0) {
        overlay_entry(overlay, change->previous - 1)->next = (uint32_t)overlay->length;
    }
    *slot = (overlay_slot){(uint32_t)overlay->length, (uint32_t)(hash >> 32)};
}

/* Memory of an overlay that was large is given back. */
static void overlay_shrink(htt_overlay *overlay) {
    assert(overlay->length == 0);
    if (overlay->slot_count > OVERLAY_KEPT) {
        sqlite3_free(overlay->slots);
        overlay->slots = NULL;
        overlay->slot_count = 0;
        overlay_free_segments(overlay, 1);
    }
}

void htt_overlay_cut(htt_overlay *overlay, size_t length) {
    assert(length <= overlay->length);
    if (length < overlay->length) {
        overlay->born = overlay->born == UINT32_MAX ? 1 : overlay->born + 1;
    }
    while (overlay->length > length) {
        const htt_change *const change = overlay_entry(overlay, overlay->length - 1);
        overlay_slot *const slot = overlay_seek(overlay, change->hash, (uint32_t)overlay->length);
        assert(change->next == 0);
        slot->entry = change->previous; /* of the same key: the tag stays */
        if (change->previous != 0) {
            overlay_entry(overlay, change->previous - 1)->next = 0;
        }
        const size_t size = change->key.size + change->value.size;
        overlay_release(overlay, size);
        assert(overlay->bytes >= size);
        overlay->bytes -= size;
        overlay->length--;
    }
    overlay_settle(overlay);
    if (length == 0) {
        assert(overlay->bytes == 0);
        overlay_shrink(overlay);
    }
}

uint32_t htt_overlay_mark(const htt_overlay *overlay, size_t length) {
    if (length > overlay->length) {
        return 0;
    }
    return length == 0 ? UINT32_MAX : overlay_entry(overlay, length - 1)->born;
}

/* ---------------------------------------------------------------- reading */

const htt_change *htt_overlay_at(const htt_overlay *overlay, size_t index) {
    assert(index < overlay->length);
    return overlay_entry(overlay, index);
}

const htt_change *htt_overlay_find(const htt_overlay *overlay, size_t length, htt_datum key) {
    if (overlay->length == 0 || length == 0) {
        return NULL;
    }
    const overlay_slot *const slot = overlay_seek_key(overlay, htt_host_hash(key), key);
    uint32_t entry = slot == NULL ? 0 : slot->entry;
    while (entry > length) {
        entry = overlay_entry(overlay, entry - 1)->previous; /* OVERLAY-2: smaller */
    }
    return entry == 0 ? NULL : overlay_entry(overlay, entry - 1);
}

bool htt_overlay_is_newest(const htt_overlay *overlay, size_t length, size_t index) {
    assert(index < length);
    assert(index < overlay->length);
    const uint32_t next = overlay_entry(overlay, index)->next;
    return next == 0 || next > length;
}
