/* SPDX-License-Identifier: MIT */
/* Finding rows by key, one or many, and reading what a record says. */
#include <assert.h>
#include <string.h>

#include "base/error.h"
#include "base/value.h"
#include "page/run.h"
#include "tree/internal.h"
#include "tree/path.h"

htt_rc htt_tree_fault(htt_view *view, uint32_t page, const htt_fault *fault) {
    assert(fault->reason != NULL);
    return htt_error_page(view->error, HTT_CORRUPT, page, "%s (at byte %u)", fault->reason,
                          fault->offset);
}

/* Bytes that runs of so many pages hold at most. */
static uint64_t find_capacity(const htt_view *view, const htt_overflow *overflow) {
    uint64_t capacity = 0;
    for (uint32_t i = 0; i < overflow->count; i++)
        capacity += htt_run_capacity(view->page_size, overflow->runs[i].pages);
    return capacity;
}

/* What the runs of a record hold, its external key first: one pointer, or assembled in buffer. */
static htt_rc find_payload(htt_view *view, const htt_overflow *overflow, uint64_t size,
                           htt_tree_buffer *buffer, const uint8_t **bytes_out) {
    const uint8_t *run;
    uint64_t done = 0;
    assert(overflow->count >= 1 && overflow->count <= HTT_DATA_RUNS_MAX);
    if (size > find_capacity(view, overflow)) /* before memory is asked for */
        return htt_error_page(view->error, HTT_CORRUPT, overflow->runs[0].first,
                              "overflow runs are too short for their record");
    if (overflow->count > 1 && buffer->capacity < size) {
        uint8_t *bytes = buffer->env->reallocate(buffer->env->context, buffer->bytes, (size_t)size);
        if (bytes == NULL)
            return htt_error_set(view->error, HTT_NOMEM, "no memory for a value of %llu bytes",
                                 (unsigned long long)size);
        buffer->bytes = bytes;
        buffer->capacity = (size_t)size;
    }
    for (uint32_t i = 0; i < overflow->count; i++) {
        htt_rc rc = htt_view_run(view, overflow->runs[i].first, overflow->runs[i].pages, &run);
        if (rc != HTT_OK)
            return rc;
        uint64_t length = htt_run_length(run);
        if (length > size - done || (overflow->count == 1 && length != size))
            return htt_error_page(view->error, HTT_CORRUPT, overflow->runs[i].first,
                                  "overflow runs do not have the length of their record");
        if (overflow->count == 1) {
            *bytes_out = run + HTT_RUN_HEADER_SIZE;
            return HTT_OK;
        }
        memcpy(buffer->bytes + done, run + HTT_RUN_HEADER_SIZE, (size_t)length);
        done += length;
    }
    if (done != size)
        return htt_error_page(view->error, HTT_CORRUPT, overflow->runs[0].first,
                              "overflow runs do not have the length of their record");
    *bytes_out = buffer->bytes;
    return HTT_OK;
}

htt_rc htt_tree_overflow(htt_view *view, const htt_record *record, htt_overflow *overflow_out) {
    htt_fault fault;
    if (htt_overflow_decode(record, overflow_out, &fault))
        return HTT_OK;
    return htt_error_set(view->error, HTT_CORRUPT, "a record's overflow reference: %s",
                         fault.reason);
}

static htt_rc find_outside(htt_view *view, const htt_record *record, htt_tree_buffer *buffer,
                           uint64_t *value_size_out, const uint8_t **bytes_out) {
    htt_overflow overflow;
    htt_rc rc = htt_tree_overflow(view, record, &overflow);
    if (rc != HTT_OK)
        return rc;
    *value_size_out = overflow.value_size;
    uint64_t size = overflow.value_size + (record->key_external ? record->key_size : 0);
    return find_payload(view, &overflow, size, buffer, bytes_out);
}

htt_rc htt_tree_value(htt_view *view, const htt_record *record, htt_tree_buffer *buffer,
                      htt_datum *value_out) {
    const uint8_t *bytes = record->value;
    uint64_t size = record->value_size;
    if (record->overflow) {
        htt_rc rc = find_outside(view, record, buffer, &size, &bytes);
        if (rc != HTT_OK)
            return rc;
        if (record->key_external)
            bytes += record->key_size;
    }
    *value_out = htt_bytes(bytes, (size_t)size, (htt_type)record->value_type);
    return HTT_OK;
}

htt_rc htt_tree_key(htt_view *view, const htt_record *record, htt_tree_buffer *buffer,
                    htt_datum *key_out) {
    const uint8_t *bytes = record->key;
    uint64_t value_size;
    if (record->key_external) {
        htt_rc rc = find_outside(view, record, buffer, &value_size, &bytes);
        if (rc != HTT_OK)
            return rc;
    }
    *key_out = htt_bytes(bytes, record->key_size, (htt_type)record->key_type);
    return HTT_OK;
}

/* Compares an external key with the beginning of what the runs hold, run by run. */
static htt_rc find_compare_outside(htt_view *view, const htt_record *record, htt_datum key) {
    htt_overflow overflow;
    const uint8_t *run, *bytes = key.data;
    size_t left = key.size;
    assert(record->key_external && record->key_size == key.size);
    htt_rc rc = htt_tree_overflow(view, record, &overflow);
    for (uint32_t i = 0; rc == HTT_OK && left > 0; i++) {
        if (i == overflow.count)
            return htt_error_page(view->error, HTT_CORRUPT, overflow.runs[0].first,
                                  "overflow runs end before the record's key does");
        rc = htt_view_run(view, overflow.runs[i].first, overflow.runs[i].pages, &run);
        if (rc != HTT_OK)
            return rc;
        size_t part = htt_run_length(run) < left ? (size_t)htt_run_length(run) : left;
        if (memcmp(run + HTT_RUN_HEADER_SIZE, bytes, part) != 0)
            return HTT_NOTFOUND;
        bytes += part;
        left -= part;
    }
    return rc;
}

/* HTT_OK: the record has this key. HTT_NOTFOUND: another. */
static htt_rc find_compare(htt_view *view, const htt_record *record, htt_datum key, htt_hash hash) {
    if (record->key_size != key.size || htt_key_class(record->key_type) != htt_key_class(key.type))
        return HTT_NOTFOUND;
    if (!record->key_external)
        return key.size == 0 || memcmp(record->key, key.data, key.size) == 0 ? HTT_OK
                                                                             : HTT_NOTFOUND;
    if (le64_get(record->key) != hash.low || le64_get(record->key + 8) != hash.high)
        return HTT_NOTFOUND;
    return find_compare_outside(view, record, key);
}

htt_rc htt_tree_find_in_page(htt_view *view, const uint8_t *page, uint32_t number, htt_datum key,
                             htt_hash hash, htt_tree_row *row_out) {
    uint8_t fingerprint = htt_hash_fingerprint(hash);
    uint32_t count = htt_page_count(page);
    htt_fault fault;
    assert(number != 0);
    row_out->page = number;
    for (uint32_t i = htt_data_next_match(page, 0, fingerprint); i < count;
         i = htt_data_next_match(page, i + 1, fingerprint)) {
        if (!htt_data_record(page, view->page_size, i, &row_out->record, &fault))
            return htt_tree_fault(view, number, &fault);
        htt_rc rc = find_compare(view, &row_out->record, key, hash);
        if (rc != HTT_NOTFOUND) {
            const htt_record *record = &row_out->record;
            if (record->value_size > 32) /* what is read next may be in other cache lines */
                __builtin_prefetch(record->value + record->value_size - 1);
            row_out->index = i;
            return rc;
        }
    }
    return HTT_NOTFOUND;
}

htt_rc htt_tree_find(htt_view *view, const htt_tree_root *root, htt_datum key,
                     htt_tree_row *row_out) {
    htt_hash hash = htt_path_hash(view, key);
    htt_ref ref = {root->page, 0};
    for (uint32_t depth = 0; ref.page != 0; depth++) {
        const uint8_t *page, *node;
        htt_rc rc = htt_path_open(view, ref, &page, &node);
        if (rc != HTT_OK)
            return rc;
        if (node == NULL)
            return htt_tree_find_in_page(view, page, ref.page, key, hash, row_out);
        if (depth == HTT_DEPTH_MAX)
            return htt_error_page(view->error, HTT_CORRUPT, ref.page,
                                  "more than %u index nodes on a path", HTT_DEPTH_MAX);
        uint32_t mix = htt_hash_mix(hash, htt_node_salt(node));
        uint32_t slot = htt_hash_slot(mix, htt_node_slots(node));
        ref = htt_node_child(node, htt_node_find(node, slot));
        htt_pages_prefetch(view->pages, ref.page); /* head and starts at once */
    }
    return HTT_NOTFOUND;
}

/* Keys on their way down together, so that their cache misses overlap. */
enum { FIND_BATCH = 32 };

typedef struct find_key {
    htt_hash hash; /* of the key */
    htt_ref ref;   /* where it stands now */
    bool arrived;  /* has a result */
} find_key;

static htt_rc find_step(htt_view *view, find_key *state, htt_datum key, htt_tree_row *row_out,
                        htt_rc *result_out) {
    const uint8_t *page, *node;
    assert(!state->arrived);
    if (state->ref.page == 0) {
        state->arrived = true;
        *result_out = HTT_NOTFOUND;
        return HTT_OK;
    }
    htt_rc rc = htt_path_open(view, state->ref, &page, &node);
    if (rc != HTT_OK)
        return rc;
    if (node == NULL) {
        rc = htt_tree_find_in_page(view, page, state->ref.page, key, state->hash, row_out);
        state->arrived = true;
        *result_out = rc;
        return rc == HTT_NOTFOUND ? HTT_OK : rc;
    }
    uint32_t slot =
        htt_hash_slot(htt_hash_mix(state->hash, htt_node_salt(node)), htt_node_slots(node));
    state->ref = htt_node_child(node, htt_node_find(node, slot));
    htt_pages_prefetch(view->pages, state->ref.page);
    return HTT_OK;
}

static htt_rc find_batch(htt_view *view, const htt_tree_root *root, const htt_datum *keys,
                         size_t count, htt_tree_row *rows_out, htt_rc *results_out) {
    find_key states[FIND_BATCH];
    size_t left = count;
    assert(count <= FIND_BATCH);
    for (size_t i = 0; i < count; i++)
        states[i] = (find_key){htt_path_hash(view, keys[i]), {root->page, 0}, false};
    for (uint32_t round = 0; left > 0; round++) {
        if (round > HTT_DEPTH_MAX)
            return htt_error_set(view->error, HTT_CORRUPT, "more than %u index nodes on a path",
                                 HTT_DEPTH_MAX);
        for (size_t i = 0; i < count; i++) {
            if (states[i].arrived)
                continue;
            htt_rc rc = find_step(view, &states[i], keys[i], &rows_out[i], &results_out[i]);
            if (rc != HTT_OK)
                return rc;
            left -= states[i].arrived;
        }
    }
    return HTT_OK;
}

htt_rc htt_tree_find_many(htt_view *view, const htt_tree_root *root, const htt_datum *keys,
                          size_t count, htt_tree_row *rows_out, htt_rc *results_out) {
    for (size_t done = 0; done < count; done += FIND_BATCH) {
        size_t batch = count - done < FIND_BATCH ? count - done : FIND_BATCH;
        htt_rc rc = find_batch(view, root, keys + done, batch, rows_out + done, results_out + done);
        if (rc != HTT_OK)
            return rc;
    }
    return HTT_OK;
}
