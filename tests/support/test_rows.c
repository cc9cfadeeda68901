/* SPDX-License-Identifier: MIT */
/*
 * Known rows: see test_rows.h.
 *
 *   id % 5   key                                        bytes from which the id is read back
 *     0      integer id * 7919                          the number
 *     1      text "key-<id>"                            the digits
 *     2      blob                                       the first 4
 *     3      real id + 0.5                              the number
 *     4      blob, large when the kind has large keys   the first 4
 */
#include "support/test_rows.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/le.h"

#define ROWS_KEY_MAX (3 * HTT_PAGE_SIZE_MAX)
#define ROWS_VALUE_MAX (18 * HTT_PAGE_SIZE_MAX)
#define ROWS_FACTOR INT64_C(7919)

static uint64_t rows_mix(uint64_t x) {
    x = (x ^ (x >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94D049BB133111EB);
    return x ^ (x >> 31);
}

static void rows_fill(uint8_t *bytes, size_t size, uint64_t seed) {
    size_t i = 0;
    for (; i + 8 <= size; i += 8) {
        le64_put(bytes + i, rows_mix(seed += UINT64_C(0x9E3779B97F4A7C15)));
    }
    for (; i < size; i++) {
        bytes[i] = (uint8_t)(seed >> (8 * (i % 8)));
    }
}

htt_datum rows_key(rows_kind kind, uint32_t page_size, uint32_t id) {
    static uint8_t bytes[ROWS_KEY_MAX];
    size_t size = 8 + id % 32;
    htt_datum key;
    if (id % 5 == 0) {
        return htt_integer(id * ROWS_FACTOR, bytes);
    }
    if (id % 5 == 1) {
        (void)snprintf((char *)bytes, 32, "key-%u", (unsigned)id);
        return htt_text((const char *)bytes);
    }
    if (id % 5 == 3) {
        const htt_rc rc = htt_key_real(id + 0.5, bytes, &key);
        return rc == HTT_OK ? key : htt_null();
    }
    if (id % 5 == 4 && (kind == ROWS_MIXED || kind == ROWS_LARGE)) {
        size = (size_t)page_size / 10 * (1 + id % 7) / (kind == ROWS_MIXED ? 2 : 1) +
               (id % 35 == 4 ? 2 * (size_t)page_size : 0);
    }
    rows_fill(bytes, size, rows_mix(id));
    le32_put(bytes, id);
    return htt_blob(bytes, size);
}

int64_t rows_number(uint32_t id, uint16_t version) {
    return (int64_t)rows_mix(((uint64_t)id << 16) + version) >> (version % 60);
}

static bool rows_is_number(uint32_t id) {
    return id % 10 == 2 || id % 20 == 11;
}

static size_t rows_value_size(rows_kind kind, uint32_t page_size, uint32_t id, uint16_t version) {
    const uint64_t chance = rows_mix(((uint64_t)version << 32) + id);
    if ((kind == ROWS_MIXED && id % 8 == 7) || (kind == ROWS_LARGE && id % 2 == 1)) {
        return page_size / 2 + (size_t)(chance % ((kind == ROWS_LARGE ? 16 : 4) * page_size));
    }
    if (kind == ROWS_WIDE) {
        return page_size / 3 + (size_t)(chance % (page_size / 7));
    }
    if (kind != ROWS_SMALL && id % 8 == 3) {
        return (size_t)(chance % (page_size / 2));
    }
    return (size_t)(chance % 101) * (page_size / HTT_PAGE_SIZE_MIN);
}

static htt_datum rows_encode_row(uint32_t id, uint16_t version, const uint8_t *bytes, size_t size) {
    static uint8_t row[ROWS_VALUE_MAX + 64];
    uint8_t number[HTT_NUMBER_SIZE];
    const htt_datum columns[4] = {htt_integer(rows_number(id, version), number),
                                  htt_bytes(bytes, size, HTT_BLOB), htt_null(),
                                  htt_bytes("end", 3, HTT_TEXT)};
    htt_row_encode(columns, 4, row);
    return htt_bytes(row, htt_row_size(columns, 4), HTT_ROW);
}

htt_datum rows_value(rows_kind kind, uint32_t page_size, uint32_t id, uint16_t version) {
    static uint8_t bytes[ROWS_VALUE_MAX];
    const size_t size = rows_value_size(kind, page_size, id, version);
    const uint64_t seed = rows_mix(rows_mix(id) + version);
    if (rows_is_number(id) && kind != ROWS_WIDE) {
        return htt_integer(rows_number(id, version), bytes);
    }
    if (id % 10 == 4 && kind != ROWS_WIDE) {
        return version % 3 == 0 ? htt_null() : htt_real((double)seed / 3.0, bytes);
    }
    rows_fill(bytes, size, seed);
    if (id % 10 == 1) {
        for (size_t i = 0; i < size; i++) {
            bytes[i] = (uint8_t)('a' + bytes[i] % 26);
        }
        bytes[size] = 0;
        return htt_bytes(bytes, size, HTT_TEXT);
    }
    return id % 10 == 6 ? rows_encode_row(id, version, bytes, size) : htt_blob(bytes, size);
}

/* ------------------------------------------------------------------ states */

void rows_state_init(rows_state *state, rows_kind kind, uint32_t page_size) {
    *state = (rows_state){.kind = kind, .page_size = page_size};
}

uint32_t rows_state_count(const rows_state *state) {
    uint32_t count = 0;
    for (uint32_t id = 0; id < ROWS_MAX; id++) {
        count += state->versions[id] != 0;
    }
    return count;
}

bool rows_state_equal(const rows_state *one, const rows_state *other) {
    return memcmp(one->versions, other->versions, sizeof one->versions) == 0;
}

htt_rc rows_put(htt_txn *txn, rows_state *state, uint32_t id, uint16_t version) {
    const htt_rc rc = htt_put(txn, rows_key(state->kind, state->page_size, id),
                              rows_value(state->kind, state->page_size, id, version), 0);
    if (rc == HTT_OK) {
        state->versions[id] = version;
    }
    return rc;
}

htt_rc rows_del(htt_txn *txn, rows_state *state, uint32_t id) {
    const htt_rc rc = htt_del(txn, rows_key(state->kind, state->page_size, id));
    if (rc == HTT_OK) {
        state->versions[id] = 0;
    }
    return rc;
}

/* --------------------------------------------------------------- comparing */

typedef struct rows_compared {
    const rows_state *states; /* candidates */
    size_t count;             /* of states */
    unsigned flags;           /* ROWS_... */
    uint32_t end;             /* rows from here on are in no state */
    rows_result result;       /* so far */
} rows_compared;

static rows_compared rows_compared_init(const rows_state *states, size_t count, unsigned flags) {
    rows_compared c = {states, count, flags, 0, {.matches = UINT64_MAX >> (64 - count)}};
    for (size_t i = 0; i < count; i++) {
        uint32_t end = ROWS_MAX;
        while (end > c.end && states[i].versions[end - 1] == 0) {
            end--;
        }
        c.end = end;
    }
    c.end = c.end + 8 < ROWS_MAX ? c.end + 8 : ROWS_MAX; /* some that are not there */
    return c;
}

static bool rows_same(htt_datum one, htt_datum other) {
    return one.type == other.type && one.size == other.size &&
           (one.size == 0 || memcmp(one.data, other.data, one.size) == 0);
}

static void rows_wrong(rows_compared *c, const char *what, uint32_t id) {
    c->result.matches = 0;
    (void)snprintf(c->result.text, sizeof c->result.text, "wrong data: %s, row %u", what,
                   (unsigned)id);
}

/* Notes an error. True: go on. */
static bool rows_failed(rows_compared *c, htt_rc rc, const char *message, const char *what) {
    if (message == NULL || message[0] == '\0' || rc < 0 || rc > HTT_ABORTED) {
        rows_wrong(c, what, 0);
        (void)snprintf(c->result.text, sizeof c->result.text, "%s: result %d without a message",
                       what, (int)rc);
        return false;
    }
    if (c->result.rc == HTT_OK) {
        c->result.rc = rc;
        (void)snprintf(c->result.text, sizeof c->result.text, "%s: %s: %s", what, htt_strerror(rc),
                       message);
    }
    c->result.errors++;
    return (c->flags & ROWS_TOLERANT) != 0;
}

/* The states that agree with an answer. value NULL: there is no such row. key only: `any`. */
static void rows_narrow(rows_compared *c, uint32_t id, const htt_datum *value, bool any,
                        const char *what) {
    uint64_t agree = 0;
    uint16_t known = 0;
    for (size_t i = 0; i < c->count; i++) {
        const rows_state *state = &c->states[i];
        const uint16_t version = state->versions[id];
        bool same = false;
        if (value == NULL || version == 0) {
            same = (value == NULL && !any) == (version == 0);
        } else if (any || version == known) {
            same = true;
        } else {
            same = rows_same(*value, rows_value(state->kind, state->page_size, id, version));
            known = same ? version : known;
        }
        agree |= same ? UINT64_C(1) << i : 0;
    }
    if ((c->flags & ROWS_ANY_STATE) != 0 ? agree == 0 && value != NULL
                                         : (c->result.matches & agree) == 0) {
        rows_wrong(c, what, id);
    } else if ((c->flags & ROWS_ANY_STATE) == 0) {
        c->result.matches &= agree;
    }
}

/* Which row has this key; ROWS_MAX: none. */
static uint32_t rows_find_id(const rows_state *state, htt_datum key) {
    uint32_t id = ROWS_MAX;
    int64_t integer = 0;
    double real = 0;
    bool is_real = false;
    if (key.type == HTT_TEXT && key.size > 4 && key.size < 16) {
        char text[16] = "";
        memcpy(text, key.data, key.size);
        id = (uint32_t)strtoul(text + 4, NULL, 10);
    } else if (key.type == HTT_BLOB && key.size >= 4) {
        id = le32_get(key.data);
    } else if (key.type == HTT_INTEGER || key.type == HTT_REAL) {
        if (htt_key_number(key, &is_real, &integer, &real) != HTT_OK) {
            return ROWS_MAX;
        }
        id = !is_real                       ? (uint32_t)(integer / ROWS_FACTOR)
             : real >= 0 && real < ROWS_MAX ? (uint32_t)real
                                            : ROWS_MAX;
    }
    return id < ROWS_MAX && rows_same(key, rows_key(state->kind, state->page_size, id)) ? id
                                                                                     : ROWS_MAX;
}

static void rows_walk(rows_compared *c, htt_cursor *cursor) {
    uint8_t seen[ROWS_MAX] = {0};
    uint32_t steps = 0;
    htt_rc rc = HTT_OK;
    while (c->result.matches != 0) {
        htt_datum key;
        htt_datum value;
        rc = htt_cursor_next(cursor, &key);
        if (rc != HTT_OK) {
            break;
        }
        const uint32_t id = rows_find_id(&c->states[0], key);
        if (id == ROWS_MAX || seen[id]++ != 0 || steps++ >= ROWS_MAX) {
            const char *what = id == ROWS_MAX ? "walk: unknown key" : "walk: a row twice";
            if ((c->flags & ROWS_ANY_STATE) != 0) {
                (void)rows_failed(c, HTT_CORRUPT, "old pages among new ones", what);
            } else {
                rows_wrong(c, what, id);
            }
            return;
        }
        rc = htt_cursor_value(cursor, &value);
        if (rc == HTT_OK) {
            rows_narrow(c, id, &value, false, "walk");
        } else if (!rows_failed(c, rc, htt_cursor_errmsg(cursor), "walk, value")) {
            return;
        }
    }
    if (rc != HTT_NOTFOUND) {
        if (rc != HTT_OK) {
            (void)rows_failed(c, rc, htt_cursor_errmsg(cursor), "walk");
        }
        return;
    }
    for (uint32_t id = 0; id < c->end && c->result.matches != 0; id++) {
        if (seen[id] == 0) {
            rows_narrow(c, id, NULL, false, "walk: row missing");
        }
    }
}

rows_result rows_compare_cursor(htt_cursor *cursor, const rows_state *states, size_t count,
                                unsigned flags) {
    rows_compared c = rows_compared_init(states, count, flags);
    rows_walk(&c, cursor);
    return c.result;
}

/* One row by its key. False: stop. */
static bool rows_get(rows_compared *c, htt_txn *txn, uint32_t id) {
    const rows_state *state = &c->states[0];
    const htt_datum key = rows_key(state->kind, state->page_size, id);
    htt_datum value;
    htt_rc rc = htt_get(txn, key, &value);
    if (rc == HTT_OK || rc == HTT_NOTFOUND) {
        rows_narrow(c, id, rc == HTT_OK ? &value : NULL, false, "get");
    } else if (!rows_failed(c, rc, htt_txn_errmsg(txn), "get")) {
        return false;
    }
    rc = id % 2 == 0 ? htt_exists(txn, key) : htt_get_key(txn, key, &value);
    if (rc == HTT_OK || rc == HTT_NOTFOUND) {
        if (id % 2 == 1 && rc == HTT_OK && !rows_same(key, value)) {
            rows_wrong(c, "get_key gives another key", id);
        }
        rows_narrow(c, id, NULL, rc == HTT_OK, "exists");
    } else if (!rows_failed(c, rc, htt_txn_errmsg(txn), "exists")) {
        return false;
    }
    return c->result.matches != 0;
}

#define ROWS_BATCH 24u
static bool rows_get_many(rows_compared *c, htt_txn *txn, uint32_t first) {
    const rows_state *state = &c->states[0];
    htt_datum keys[ROWS_BATCH];
    htt_datum values[ROWS_BATCH];
    htt_rc results[ROWS_BATCH];
    void *copies[ROWS_BATCH];
    uint32_t count = 0;
    bool go_on = true;
    for (; count < ROWS_BATCH && first + count < c->end; count++) {
        const htt_datum key = rows_key(state->kind, state->page_size, first + count);
        copies[count] = malloc(key.size + 1);
        if (copies[count] == NULL) {
            abort();
        }
        if (key.size > 0) {
            memcpy(copies[count], key.data, key.size);
        }
        keys[count] = htt_bytes(copies[count], key.size, (htt_type)key.type);
    }
    const htt_rc rc = htt_get_many(txn, keys, count, values, results);
    if (rc != HTT_OK) {
        go_on = rows_failed(c, rc, htt_txn_errmsg(txn), "get_many");
    }
    for (uint32_t i = 0; i < count; i++) {
        if (rc == HTT_OK && c->result.matches != 0) {
            rows_narrow(c, first + i, results[i] == HTT_OK ? &values[i] : NULL, false, "get_many");
        }
        free(copies[i]);
    }
    return go_on && c->result.matches != 0;
}

static bool rows_count(rows_compared *c, htt_txn *txn) {
    uint64_t keys = 0;
    uint64_t agree = 0;
    const htt_rc rc = htt_count(txn, &keys);
    if (rc != HTT_OK) {
        return rows_failed(c, rc, htt_txn_errmsg(txn), "count");
    }
    for (size_t i = 0; i < c->count; i++) {
        agree |= keys == rows_state_count(&c->states[i]) ? UINT64_C(1) << i : 0;
    }
    if ((c->flags & ROWS_ANY_STATE) == 0) {
        c->result.matches &= agree;
        if (c->result.matches == 0) {
            rows_wrong(c, "count", (uint32_t)keys);
        }
    }
    return c->result.matches != 0;
}

rows_result rows_compare(htt_txn *txn, const rows_state *states, size_t count, unsigned flags) {
    rows_compared c = rows_compared_init(states, count, flags);
    htt_cursor *cursor = NULL;
    bool go_on = rows_count(&c, txn);
    if (go_on) {
        const htt_rc rc = htt_cursor_open(txn, &cursor);
        if (rc != HTT_OK) {
            go_on = rows_failed(&c, rc, htt_txn_errmsg(txn), "cursor");
        } else {
            rows_walk(&c, cursor);
            htt_cursor_close(cursor);
            go_on = c.result.matches != 0 && (c.result.rc == HTT_OK || (flags & ROWS_TOLERANT));
        }
    }
    for (uint32_t id = 0; id < c.end && go_on; id++) {
        go_on = rows_get(&c, txn, id);
    }
    for (uint32_t id = 0; id < c.end && go_on; id += ROWS_BATCH) {
        go_on = rows_get_many(&c, txn, id);
    }
    return c.result;
}
