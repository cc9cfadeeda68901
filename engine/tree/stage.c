/* SPDX-License-Identifier: MIT */
/* Putting and deleting rows of a transaction, staged or in pages. See stage.h. */
#include "tree/stage.h"

#include <assert.h>
#include <string.h>

#include "base/error.h"
#include "base/value.h"

enum {
    STAGE_SLOTS_MIN = 64,
    STAGE_SLAB_MIN = 8 * 1024,      /* bytes of the first slab; each is twice the one before */
    STAGE_SLAB_MAX = 512 * 1024,    /* at most so many */
    STAGE_SORT_BYTES = 8,           /* for each entry while it settles */
    STAGE_FILTER_DIVISOR = 8,       /* of the limit that the filter takes */
    STAGE_PUTS_MIN = 256,           /* puts into a tree with rows before any is staged */
    STAGE_PAGES_PER_PUT = 4,        /* and so many pages of the tree to each put */
    STAGE_ROW_BYTES = 64,           /* what a row costs here beside its own bytes, about */
    STAGE_COUNT_MAX = 1 << 29,      /* entries: twice as many fit a number */
    STAGE_ROWS_PER_PAGE = 2         /* staged rows to a page below which staging is not worth it */
};

/* ------------------------------------------------------------------- memory */

static htt_rc stage_no_memory(htt_tree *tree) {
    return htt_error_set(tree->view->error, HTT_NOMEM, "no memory for rows of the transaction");
}

static void stage_count_memory(htt_tree *tree) {
    htt_writer_set_outside(tree->view->writer, tree->stage->memory);
}

static bool stage_fit_slots(htt_stage *stage) {
    uint32_t old_count = stage->slots == NULL ? 0 : stage->slot_mask + 1;
    uint32_t count = old_count == 0 ? STAGE_SLOTS_MIN : 2 * old_count;
    if (stage->count < old_count / 4 * 3)
        return true;
    if (count > UINT32_MAX / 2)
        return false;
    uint64_t *slots = stage->env->allocate(stage->env->context, count * sizeof *slots);
    if (slots == NULL)
        return false;
    memset(slots, 0, count * sizeof *slots);
    for (uint32_t i = 0; i < old_count; i++) {
        uint64_t slot = stage->slots[i];
        if (slot == 0)
            continue;
        uint32_t at = (uint32_t)htt_stage_entry(stage, (uint32_t)slot - 1)->hash.low & (count - 1);
        while (slots[at] != 0)
            at = (at + 1) & (count - 1);
        slots[at] = slot;
    }
    stage->env->release(stage->env->context, stage->slots);
    stage->memory += (uint64_t)(count - old_count) * sizeof *slots;
    stage->slots = slots;
    stage->slot_mask = count - 1;
    return true;
}

static bool stage_fit_entry(htt_stage *stage) {
    const htt_env *env = stage->env;
    if (stage->count < stage->chunk_count * HTT_STAGE_CHUNK)
        return true;
    if (stage->chunk_count == stage->chunk_capacity) {
        uint32_t capacity = stage->chunk_capacity == 0 ? 16 : 2 * stage->chunk_capacity;
        htt_staged **chunks = env->reallocate(env->context, stage->chunks,
                                              capacity * sizeof *chunks);
        if (chunks == NULL)
            return false;
        stage->memory += (capacity - stage->chunk_capacity) * sizeof *chunks;
        stage->chunks = chunks;
        stage->chunk_capacity = capacity;
    }
    htt_staged *chunk = env->allocate(env->context, HTT_STAGE_CHUNK * sizeof *chunk);
    if (chunk == NULL)
        return false;
    stage->memory += HTT_STAGE_CHUNK * sizeof *chunk;
    stage->chunks[stage->chunk_count++] = chunk;
    return true;
}

/* Sees to it that the slab at hand has `size` bytes left. */
static bool stage_fit_bytes(htt_stage *stage, size_t size) {
    const htt_env *env = stage->env;
    while (stage->slab == NULL || stage->slab->size - stage->slab_used < size) {
        htt_stage_slab *next = stage->slab == NULL ? stage->slabs : stage->slab->next;
        if (next == NULL) {
            size_t wanted = stage->slab == NULL ? STAGE_SLAB_MIN : 2 * stage->slab->size;
            wanted = wanted > STAGE_SLAB_MAX ? STAGE_SLAB_MAX : wanted;
            wanted = wanted < size ? size : wanted;
            next = env->allocate(env->context, sizeof *next + wanted);
            if (next == NULL)
                return false;
            next->next = NULL;
            next->size = wanted;
            stage->memory += sizeof *next + wanted;
            *(stage->slab == NULL ? &stage->slabs : &stage->slab->next) = next;
        }
        stage->slab = next;
        stage->slab_used = 0;
    }
    return true;
}

static htt_rc stage_open(htt_tree *tree) {
    htt_stage *stage = tree->env->allocate(tree->env->context, sizeof *stage);
    if (stage == NULL)
        return stage_no_memory(tree);
    *stage = (htt_stage){.env = tree->env, .limit = tree->stage_limit, .memory = sizeof *stage};
    tree->stage = stage;
    return HTT_OK;
}

void htt_tree_close_stage(htt_tree *tree) {
    const htt_env *env = tree->env;
    htt_stage *stage = tree->stage;
    if (stage == NULL)
        return;
    while (stage->slabs != NULL) {
        htt_stage_slab *next = stage->slabs->next;
        env->release(env->context, stage->slabs);
        stage->slabs = next;
    }
    for (uint32_t i = 0; i < stage->chunk_count; i++)
        env->release(env->context, stage->chunks[i]);
    env->release(env->context, stage->chunks);
    env->release(env->context, stage->slots);
    env->release(env->context, stage->filter);
    env->release(env->context, stage);
    tree->stage = NULL;
}

void htt_stage_clear(htt_stage *stage) {
    uint64_t slots = stage->slots == NULL ? 0 : (uint64_t)stage->slot_mask + 1;
    if (stage->count >= slots / 8) {
        if (slots > 0)
            memset(stage->slots, 0, slots * sizeof *stage->slots);
    } else { /* a few in a large table: each is found where it was put, or behind */
        for (uint32_t i = 0; i < stage->count; i++) {
            uint32_t at = (uint32_t)htt_stage_entry(stage, i)->hash.low & stage->slot_mask;
            while ((uint32_t)stage->slots[at] != i + 1)
                at = (at + 1) & stage->slot_mask;
            stage->slots[at] = 0;
        }
    }
    stage->count = 0;
    stage->live = 0;
    stage->slab = NULL;
    stage->slab_used = 0;
}

void htt_stage_start_filter(htt_stage *stage) {
    uint64_t words = 8;
    if (stage->filter != NULL)
        return;
    while (16 * words <= stage->limit / STAGE_FILTER_DIVISOR)
        words *= 2;
    stage->filter = stage->env->allocate(stage->env->context, words * sizeof *stage->filter);
    if (stage->filter == NULL)
        return;
    memset(stage->filter, 0, words * sizeof *stage->filter);
    stage->filter_mask = words - 1;
    stage->memory += words * sizeof *stage->filter;
}

void htt_stage_drop_filter(htt_stage *stage) {
    if (stage->filter == NULL)
        return;
    stage->env->release(stage->env->context, stage->filter);
    stage->filter = NULL;
    stage->memory -= (stage->filter_mask + 1) * sizeof *stage->filter;
}

static bool stage_filter_has(const htt_stage *stage, htt_hash hash) {
    uint64_t bits = UINT64_C(1) << (hash.low & 63) | UINT64_C(1) << (hash.low >> 6 & 63) |
                    UINT64_C(1) << (hash.low >> 12 & 63) | UINT64_C(1) << (hash.low >> 18 & 63);
    return (stage->filter[hash.high & stage->filter_mask] & bits) == bits;
}

/* ------------------------------------------------------------------ entries */

void htt_stage_record(const htt_staged *entry, htt_record *record_out) {
    htt_fault fault;
    bool decoded = htt_data_decode(entry->bytes, entry->size, record_out, &fault);
    assert(decoded); /* we encoded it */
    (void)decoded;
}

static uint64_t stage_payload(const htt_staged *entry) {
    htt_record record;
    htt_stage_record(entry, &record);
    return record.key_size + (uint64_t)record.value_size;
}

static bool stage_has_key(const htt_staged *entry, htt_datum key) {
    htt_record record;
    htt_stage_record(entry, &record);
    return record.key_size == key.size &&
           htt_key_class(record.key_type) == htt_key_class(key.type) &&
           (key.size == 0 || memcmp(record.key, key.data, key.size) == 0);
}

/* The entry of a key, gone or not, or NULL. *alike_out: there is another key of the same hash. */
static htt_staged *stage_find(const htt_stage *stage, htt_datum key, htt_hash hash,
                              bool *alike_out) {
    *alike_out = false;
    if (stage->count == 0)
        return NULL;
    uint32_t tag = (uint32_t)(hash.high >> 32);
    for (uint32_t at = (uint32_t)hash.low & stage->slot_mask; stage->slots[at] != 0;
         at = (at + 1) & stage->slot_mask) {
        if (stage->slots[at] >> 32 != tag)
            continue;
        htt_staged *entry = htt_stage_entry(stage, (uint32_t)stage->slots[at] - 1);
        if (entry->hash.low != hash.low || entry->hash.high != hash.high)
            continue;
        if (stage_has_key(entry, key))
            return entry;
        *alike_out = true;
    }
    return NULL;
}

/* Gives an entry another record. Room was made. */
static void stage_store(htt_stage *stage, htt_staged *entry, const htt_record *record) {
    uint32_t size = htt_data_record_size(record);
    if (entry->bytes == NULL || size > entry->size) {
        assert(stage->slab->size - stage->slab_used >= size);
        entry->bytes = stage->slab->bytes + stage->slab_used;
        stage->slab_used += size;
    }
    entry->size = size;
    htt_data_encode(record, entry->bytes);
}

static void stage_add(htt_stage *stage, htt_hash hash, const htt_record *record, bool over) {
    uint32_t at = (uint32_t)hash.low & stage->slot_mask;
    htt_staged *entry = htt_stage_entry(stage, stage->count);
    *entry = (htt_staged){.hash = hash, .over = over};
    stage_store(stage, entry, record);
    while (stage->slots[at] != 0)
        at = (at + 1) & stage->slot_mask;
    stage->count++;
    stage->live++;
    stage->slots[at] = hash.high >> 32 << 32 | stage->count;
}

/* -------------------------------------------------------------- looking below */

/* What pages say about a key. */
typedef struct stage_below {
    bool found;       /* the tree has it */
    bool unfit;       /* it, or another key of its hash, must be dealt with in the tree */
    uint64_t payload; /* of the row found */
} stage_below;

static bool stage_is_alike(const htt_view *view, const htt_record *record, htt_hash hash) {
    htt_hash other;
    if (record->key_external)
        other = (htt_hash){le64_get(record->key), le64_get(record->key + 8)};
    else
        other = view->hash(view->seed, htt_key_class(record->key_type), record->key,
                           record->key_size);
    return other.low == hash.low && other.high == hash.high;
}

static htt_rc stage_look_below(htt_tree *tree, htt_datum key, htt_hash hash,
                               stage_below *below) {
    htt_view *view = tree->view;
    htt_tree_row row;
    htt_path path;
    htt_record record;
    htt_fault fault;
    *below = (stage_below){false, false, 0};
    if (tree->root.page == 0 ||
        (tree->stage->filter != NULL && !stage_filter_has(tree->stage, hash)))
        return HTT_OK;
    path.hash = hash;
    htt_rc rc = htt_path_find(view, tree->root.page, &path);
    if (rc != HTT_OK || path.leaf_bytes == NULL)
        return rc;
    rc = htt_tree_find_in_page(view, path.leaf_bytes, path.leaf.page, key, hash, &row);
    if (rc == HTT_OK) {
        below->found = true;
        below->unfit = row.record.overflow;
        below->payload = row.record.key_size + (uint64_t)row.record.value_size;
        return HTT_OK;
    }
    if (rc != HTT_NOTFOUND)
        return rc;
    uint8_t fingerprint = htt_hash_fingerprint(hash);
    uint32_t count = htt_page_count(path.leaf_bytes);
    for (uint32_t i = htt_data_next_match(path.leaf_bytes, 0, fingerprint); i < count;
         i = htt_data_next_match(path.leaf_bytes, i + 1, fingerprint)) {
        if (!htt_data_record(path.leaf_bytes, view->page_size, i, &record, &fault))
            return htt_tree_fault(view, path.leaf.page, &fault);
        below->unfit = below->unfit || stage_is_alike(view, &record, hash);
    }
    return HTT_OK;
}

/* ------------------------------------------------------------------- writing */

/* Is it worth it to stage what is put from now on? */
static bool stage_is_wanted(htt_tree *tree) {
    uint64_t pages = tree->root.bytes / tree->view->page_size;
    if (tree->stage_limit == 0)
        return false;
    if (tree->stage_always || (tree->root.page == 0 && tree->root.keys == 0))
        return true;
    if (tree->puts < STAGE_PUTS_MIN || tree->puts * STAGE_PAGES_PER_PUT < pages)
        return false;
    /* Frames are not given back: what they have taken is not there for rows. */
    if (htt_writer_memory(tree->view->writer) > tree->stage_limit / 4)
        return false;
    uint64_t row = (tree->root.keys == 0 ? 0 : tree->root.bytes / tree->root.keys) +
                   STAGE_ROW_BYTES;
    return tree->stage_limit / row >= pages * STAGE_ROWS_PER_PAGE;
}

/* Into pages at once. `entry`: what is staged of the key, or NULL. */
static htt_rc stage_put_page(htt_tree *tree, htt_datum key, htt_datum value, unsigned flags,
                             htt_hash hash, htt_staged *entry) {
    htt_tree_root before = tree->root;
    if (entry == NULL) {
        htt_rc rc = htt_tree_put(tree, key, value, flags);
        if (rc == HTT_OK)
            htt_stage_note(tree->stage, hash);
        return rc;
    }
    assert(!entry->gone);
    htt_rc rc = htt_tree_put(tree, key, value, 0);
    if (rc != HTT_OK)
        return rc;
    htt_stage_note(tree->stage, hash);
    tree->root.keys = before.keys;
    tree->root.bytes = before.bytes - stage_payload(entry) + key.size + value.size;
    entry->gone = true;
    tree->stage->live--;
    return HTT_OK;
}

/* One more row of `size` bytes needs memory, and that is not to be had within the limit. */
static bool stage_is_full(const htt_stage *stage, uint32_t size) {
    uint64_t slots = stage->slots == NULL ? 0 : (uint64_t)stage->slot_mask + 1;
    bool rehash = stage->count >= slots / 4 * 3;
    bool more = rehash || stage->count == stage->chunk_count * HTT_STAGE_CHUNK ||
                stage->slab == NULL || stage->slab->size - stage->slab_used < size;
    uint64_t filter = stage->filter == NULL ? 0 : (stage->filter_mask + 1) * sizeof(uint64_t);
    uint64_t memory = stage->memory - filter + (uint64_t)stage->count * STAGE_SORT_BYTES +
                      (rehash ? 2 * slots * sizeof(uint64_t) : 0);
    if (stage->slab != NULL && stage->slab->next != NULL)
        more = rehash || stage->count == stage->chunk_count * HTT_STAGE_CHUNK;
    return stage->count > 0 &&
           ((more && memory >= stage->limit - stage->limit / STAGE_FILTER_DIVISOR) ||
            stage->count >= STAGE_COUNT_MAX);
}

/* Room for one more row; rows settle when they take too much. */
static htt_rc stage_make_room(htt_tree *tree, uint32_t size) {
    htt_stage *stage = tree->stage;
    if (stage_is_full(stage, size)) {
        if (tree->root.page == 0)
            htt_stage_start_filter(stage);
        htt_rc rc = htt_tree_settle(tree);
        if (rc != HTT_OK)
            return rc;
    }
    bool fits = stage_fit_slots(stage) && stage_fit_entry(stage) && stage_fit_bytes(stage, size);
    stage_count_memory(tree);
    return fits ? HTT_OK : stage_no_memory(tree);
}

static htt_rc stage_put(htt_tree *tree, htt_datum key, const htt_record *record, htt_datum value,
                        unsigned flags, htt_hash hash) {
    htt_stage *stage = tree->stage;
    uint32_t page_size = tree->view->page_size;
    stage_below below;
    bool alike;
    bool fits = value.size <= page_size && key.size <= page_size / HTT_KEY_INLINE_DIVISOR &&
                htt_data_record_size(record) <= htt_data_record_max(page_size);
    if (fits) {
        htt_rc rc = stage_make_room(tree, htt_data_record_size(record));
        if (rc != HTT_OK)
            return rc;
    }
    htt_staged *entry = stage_find(stage, key, hash, &alike);
    htt_staged *staged = entry == NULL || entry->gone ? NULL : entry;
    if (alike) { /* STAGE-3 */
        htt_rc rc = htt_tree_settle(tree);
        return rc == HTT_OK ? stage_put_page(tree, key, value, flags, hash, NULL) : rc;
    }
    if (staged != NULL && flags & HTT_PUT_INSERT)
        return HTT_EXISTS;
    if (!fits)
        return stage_put_page(tree, key, value, flags, hash, staged);
    if (staged != NULL) {
        tree->root.bytes += key.size + value.size - stage_payload(staged);
        stage_store(stage, staged, record);
        return HTT_OK;
    }
    htt_rc rc = stage_look_below(tree, key, hash, &below);
    if (rc != HTT_OK)
        return rc;
    if (below.found && flags & HTT_PUT_INSERT)
        return HTT_EXISTS;
    if (!below.found && flags & HTT_PUT_REPLACE)
        return HTT_NOTFOUND;
    if (below.unfit)
        return stage_put_page(tree, key, value, flags, hash, NULL);
    if (entry != NULL) {
        stage_store(stage, entry, record);
        entry->gone = false;
        entry->over = below.found;
        stage->live++;
    } else {
        stage_add(stage, hash, record, below.found);
    }
    tree->root.keys += !below.found;
    tree->root.bytes += key.size + value.size - below.payload;
    return HTT_OK;
}

htt_rc htt_tree_write(htt_tree *tree, htt_datum key, htt_datum value, unsigned flags) {
    tree->puts++;
    if (tree->stage == NULL) {
        if (!stage_is_wanted(tree))
            return htt_tree_put(tree, key, value, flags);
        htt_rc rc = stage_open(tree);
        if (rc != HTT_OK)
            return rc;
    }
    htt_record record = {.key = key.data,
                         .value = value.data,
                         .key_size = (uint32_t)key.size,
                         .value_size = (uint32_t)value.size,
                         .key_type = key.type,
                         .value_type = value.type};
    return stage_put(tree, key, &record, value, flags, htt_path_hash(tree->view, key));
}

htt_rc htt_tree_erase(htt_tree *tree, htt_datum key) {
    bool alike;
    if (!htt_tree_is_staged(tree))
        return htt_tree_del(tree, key);
    htt_staged *entry = stage_find(tree->stage, key, htt_path_hash(tree->view, key), &alike);
    if (entry == NULL || entry->gone)
        return htt_tree_del(tree, key);
    htt_tree_root before = tree->root;
    if (entry->over) {
        htt_rc rc = htt_tree_del(tree, key);
        if (rc != HTT_OK)
            return rc;
    }
    tree->root.keys = before.keys - 1;
    tree->root.bytes = before.bytes - stage_payload(entry);
    entry->over = false;
    entry->gone = true;
    tree->stage->live--;
    return HTT_OK;
}

/* ------------------------------------------------------------------ reading */

bool htt_tree_is_staged(const htt_tree *tree) {
    return tree->stage != NULL && tree->stage->live > 0;
}

htt_rc htt_tree_has(htt_tree *tree, htt_datum key) {
    htt_tree_row row;
    bool alike;
    if (!htt_tree_is_staged(tree))
        return htt_tree_find(tree->view, &tree->root, key, &row);
    htt_hash hash = htt_path_hash(tree->view, key);
    const htt_staged *entry = stage_find(tree->stage, key, hash, &alike);
    if (entry != NULL && !entry->gone)
        return HTT_OK;
    if (tree->root.page == 0 ||
        (tree->stage->filter != NULL && !stage_filter_has(tree->stage, hash)))
        return HTT_NOTFOUND;
    return htt_tree_find(tree->view, &tree->root, key, &row);
}

void htt_tree_unstage(htt_tree *tree) {
    if (tree->stage == NULL)
        return;
    htt_stage_clear(tree->stage);
    /* The tree becomes an older one: it may have had rows before the filter was begun. */
    htt_stage_drop_filter(tree->stage);
    stage_count_memory(tree);
}
