/* SPDX-License-Identifier: MIT */
/*
 * Reads in two layers. A key that the overlay knows is answered by it, deleted or not; every other
 * key by the tree. Without an overlay each function is the engine's.
 */
#include "source.h"

#include <assert.h>
#include <string.h>

#include "api.h"

/* What the overlay knows of a key, NULL = nothing. */
static const htt_change *source_find(const htt_source *source, htt_datum key) {
    assert(source->length == 0 || source->overlay != NULL);
    return source->length == 0 ? NULL : htt_overlay_find(source->overlay, source->length, key);
}

/* Entries of the overlay that count: it may have been cut. */
static size_t source_length(const htt_source *source) {
    const size_t length = source->length == 0 ? 0 : htt_overlay_length(source->overlay);
    return length < source->length ? length : source->length;
}

/* ---------------------------------------------------------------- lookups */

htt_rc htt_source_get(const htt_source *source, htt_datum key, htt_datum *value_out) {
    const htt_change *const change = source_find(source, key);
    if (change == NULL) {
        return htt_get(source->txn, key, value_out);
    }
    if (change->op == HTT_OP_DEL) {
        return HTT_NOTFOUND;
    }
    *value_out = change->value;
    return HTT_OK;
}

htt_rc htt_source_get_key(const htt_source *source, htt_datum key, htt_datum *stored_out) {
    const htt_change *const change = source_find(source, key);
    if (change == NULL) {
        return htt_get_key(source->txn, key, stored_out);
    }
    if (change->op == HTT_OP_DEL) {
        return HTT_NOTFOUND;
    }
    *stored_out = change->key;
    return HTT_OK;
}

htt_rc htt_source_exists(const htt_source *source, htt_datum key) {
    const htt_change *const change = source_find(source, key);
    if (change == NULL) {
        return htt_exists(source->txn, key);
    }
    return change->op == HTT_OP_DEL ? HTT_NOTFOUND : HTT_OK;
}

/* Keys that the overlay does not know, and where they stand in the list. */
typedef struct source_rest {
    htt_datum keys[HTT_SOURCE_MANY_MAX];   /* in the order of the list */
    htt_datum values[HTT_SOURCE_MANY_MAX]; /* what the tree has for them */
    htt_rc results[HTT_SOURCE_MANY_MAX];   /* of each */
    uint8_t places[HTT_SOURCE_MANY_MAX];   /* in the list */
    size_t count;                          /* keys */
} source_rest;
static_assert(HTT_SOURCE_MANY_MAX <= UINT8_MAX, "a place fits");

/* Asks the tree for the rest, in one call: the next would take back what it lent. */
static htt_rc source_get_rest(const htt_source *source, source_rest *rest, htt_datum *values_out,
                              htt_rc *results_out) {
    const htt_rc rc =
        htt_get_many(source->txn, rest->keys, rest->count, rest->values, rest->results);
    for (size_t i = 0; rc == HTT_OK && i < rest->count; i++) {
        const size_t place = rest->places[i];
        results_out[place] = rest->results[i];
        if (rest->results[i] == HTT_OK) {
            values_out[place] = rest->values[i];
        }
    }
    return rc;
}

htt_rc htt_source_get_many(const htt_source *source, const htt_datum *keys, size_t count,
                           htt_datum *values_out, htt_rc *results_out) {
    source_rest rest;
    assert(count <= HTT_SOURCE_MANY_MAX);
    if (source->length == 0) {
        return htt_get_many(source->txn, keys, count, values_out, results_out);
    }
    rest.count = 0;
    for (size_t i = 0; i < count; i++) {
        const htt_change *const change = source_find(source, keys[i]);
        if (change == NULL) {
            rest.keys[rest.count] = keys[i];
            rest.places[rest.count++] = (uint8_t)i;
        } else if (change->op == HTT_OP_DEL) {
            results_out[i] = HTT_NOTFOUND;
        } else {
            results_out[i] = HTT_OK;
            values_out[i] = change->value;
        }
    }
    if (rest.count == count) {
        return htt_get_many(source->txn, keys, count, values_out, results_out);
    }
    return rest.count == 0 ? HTT_OK : source_get_rest(source, &rest, values_out, results_out);
}

htt_rc htt_source_count(const htt_source *source, uint64_t *count_out) {
    const size_t length = source_length(source);
    uint64_t rows;
    htt_rc rc = htt_count(source->txn, &rows);
    for (size_t i = 0; rc == HTT_OK && i < length; i++) {
        if (!htt_overlay_is_newest(source->overlay, length, i)) {
            continue;
        }
        const htt_change *const change = htt_overlay_at(source->overlay, i);
        rc = htt_exists(source->txn, change->key);
        if (rc == HTT_OK && change->op == HTT_OP_DEL) {
            rows--;
        } else if (rc == HTT_NOTFOUND) {
            rows += change->op != HTT_OP_DEL;
            rc = HTT_OK;
        }
    }
    if (rc == HTT_OK) {
        *count_out = rows;
    }
    return rc;
}

const char *htt_source_errmsg(const htt_source *source) {
    return htt_txn_errmsg(source->txn);
}

/* ------------------------------------------------------------------- walk */

struct htt_walk {
    htt_source source;         /* what it walks over */
    uint32_t mark;             /* of the source at its begin */
    htt_rc rc;                 /* the walk's own error, HTT_OK = the cursor's */
    htt_cursor *cursor;        /* over the tree; owned */
    bool tree_done;            /* the rows of the tree have all been given */
    size_t next;               /* entry of the overlay to be looked at */
    const htt_change *current; /* the row, if it is of the overlay; NULL = the cursor's */
    uint64_t tree_rows;        /* rows of the tree at its begin */
    uint64_t skipped;          /* rows that were not looked at */
    uint64_t sure;             /* rows that are there behind them, at least */
    bool counted;              /* there are not more than those */
};

htt_rc htt_walk_open(const htt_source *source, htt_walk **walk_out) {
    htt_walk *const walk = sqlite3_malloc64(sizeof *walk);
    if (walk == NULL) {
        return HTT_NOMEM;
    }
    *walk = (htt_walk){.source = *source};
    walk->source.length = source_length(source);
    walk->mark = htt_source_mark(&walk->source);
    htt_rc rc = htt_count(source->txn, &walk->tree_rows);
    /* An entry of the overlay takes away one row at most. */
    const size_t length = walk->source.length;
    walk->sure = walk->tree_rows > length ? walk->tree_rows - length : 0;
    walk->counted = length == 0;
    rc = rc == HTT_OK ? htt_cursor_open(source->txn, &walk->cursor) : rc;
    if (rc != HTT_OK) {
        sqlite3_free(walk);
        return rc;
    }
    *walk_out = walk;
    return HTT_OK;
}

static htt_rc walk_fail(htt_walk *walk, htt_rc rc) {
    walk->rc = rc;
    return rc;
}

static htt_rc walk_next_change(htt_walk *walk, htt_datum *key_out) {
    const htt_source *const source = &walk->source;
    while (walk->next < source->length) {
        const size_t index = walk->next++;
        const htt_change *const change = htt_overlay_at(source->overlay, index);
        if (change->op != HTT_OP_DEL &&
            htt_overlay_is_newest(source->overlay, source->length, index)) {
            walk->current = change;
            *key_out = change->key;
            return HTT_OK;
        }
    }
    return walk_fail(walk, HTT_NOTFOUND);
}

htt_rc htt_walk_next(htt_walk *walk, htt_datum *key_out) {
    walk->rc = HTT_OK;
    walk->current = NULL;
    if (htt_source_mark(&walk->source) != walk->mark) {
        return walk_fail(walk, HTT_ABORTED);
    }
    while (!walk->tree_done) {
        htt_datum key;
        const htt_rc rc = htt_cursor_next(walk->cursor, &key);
        if (rc == HTT_NOTFOUND && walk->source.length > 0) {
            walk->tree_done = true;
        } else if (rc != HTT_OK) {
            return rc;
        } else if (source_find(&walk->source, key) == NULL) {
            *key_out = key;
            return HTT_OK;
        }
    }
    return walk_next_change(walk, key_out);
}

htt_rc htt_walk_value(htt_walk *walk, htt_datum *value_out) {
    walk->rc = HTT_OK;
    if (htt_source_mark(&walk->source) != walk->mark) {
        return walk_fail(walk, HTT_ABORTED);
    }
    if (walk->current != NULL) {
        *value_out = walk->current->value;
        return HTT_OK;
    }
    return walk->tree_done ? walk_fail(walk, HTT_MISUSE)
                           : htt_cursor_value(walk->cursor, value_out);
}

/* How many rows there are is asked for late: whoever wants one row need not wait for it. */
static htt_rc walk_count(htt_walk *walk) {
    uint64_t rows;
    if (htt_source_mark(&walk->source) != walk->mark) {
        return HTT_ABORTED;
    }
    const htt_rc rc = htt_source_count(&walk->source, &rows);
    if (rc == HTT_OK) {
        walk->sure = rows > walk->skipped ? rows - walk->skipped : 0;
        walk->counted = true;
    }
    return rc;
}

htt_rc htt_walk_skip(htt_walk *walk) {
    if (walk->sure == 0) {
        walk->rc = walk->counted ? HTT_OK : walk_count(walk);
        if (walk->rc != HTT_OK || walk->sure == 0) {
            return walk->rc != HTT_OK ? walk->rc : walk_fail(walk, HTT_NOTFOUND);
        }
    }
    walk->sure--;
    walk->skipped++;
    return HTT_OK;
}

htt_rc htt_walk_arrive(htt_walk *walk, htt_datum *key_out) {
    htt_rc rc = HTT_MISUSE;
    for (; walk->skipped > 0; walk->skipped--) {
        rc = htt_walk_next(walk, key_out);
        if (rc != HTT_OK) { /* HTT_NOTFOUND: the file says that it has more rows */
            return walk_fail(walk, rc == HTT_NOTFOUND ? HTT_CORRUPT : rc);
        }
    }
    return rc;
}

const char *htt_walk_errmsg(const htt_walk *walk) {
    return walk->rc == HTT_OK ? htt_cursor_errmsg(walk->cursor) : htt_strerror(walk->rc);
}

void htt_walk_close(htt_walk *walk) {
    if (walk != NULL) {
        htt_cursor_close(walk->cursor);
        sqlite3_free(walk);
    }
}
