/* SPDX-License-Identifier: MIT */
/*
 * Tests of ext/overlay.c against a plain array of what was added, with SQLite's allocator under
 * our hand: it can refuse, and counts what is out. HTT_TEST_SEED repeats a random run.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "ext/overlay.h"

/* -------------------------------------------------------------- allocator */

static sqlite3_mem_methods real;
static bool refuse;         /* every allocation fails */
static long countdown;      /* allocations until one fails, 0 = none */
static unsigned long calls; /* allocations asked for */
static long out;            /* allocations not freed */

static bool memory_refuses(void) {
    calls++;
    return refuse || (countdown > 0 && --countdown == 0);
}

static void *memory_malloc(int size) {
    void *const memory = memory_refuses() ? NULL : real.xMalloc(size);
    out += memory != NULL;
    return memory;
}

static void *memory_realloc(void *memory, int size) {
    return memory_refuses() ? NULL : real.xRealloc(memory, size);
}

static void memory_free(void *memory) {
    out--;
    real.xFree(memory);
}

static int memory_setup(void **state) {
    (void)state;
    assert_int_equal(sqlite3_config(SQLITE_CONFIG_GETMALLOC, &real), SQLITE_OK);
    sqlite3_mem_methods mine = real;
    mine.xMalloc = memory_malloc;
    mine.xRealloc = memory_realloc;
    mine.xFree = memory_free;
    assert_int_equal(sqlite3_config(SQLITE_CONFIG_MALLOC, &mine), SQLITE_OK);
    return sqlite3_initialize();
}

/* ----------------------------------------------------------------- random */

static uint64_t random_state;

static uint64_t random_next(void) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static size_t random_below(size_t limit) {
    return (size_t)(random_next() % limit);
}

static void random_seed(const char *name) {
    const char *const asked = getenv("HTT_TEST_SEED");
    const uint64_t seed = asked != NULL ? strtoull(asked, NULL, 10) : (uint64_t)time(NULL);
    printf("%s: HTT_TEST_SEED=%llu\n", name, (unsigned long long)seed);
    random_state = seed * UINT64_C(0x9E3779B97F4A7C15) + 1;
}

/* ------------------------------------------------------------------ model */

enum { MODEL_MAX = 6000, MODEL_LARGE = 100000 };

typedef struct model_entry {
    uint32_t id;          /* of the key */
    uint32_t size;        /* of the value */
    uint64_t token;       /* as given */
    htt_op op;            /* as given */
    const htt_change *at; /* where it was when it was added */
    const void *key;      /* the key's bytes */
    const void *value;    /* the value's bytes */
} model_entry;

typedef struct model {
    htt_overlay *overlay;           /* that is tested */
    size_t length;                  /* entries */
    uint64_t bytes;                 /* of all */
    uint64_t tokens;                /* given so far */
    model_entry entries[MODEL_MAX]; /* the log */
} model;

static model the_model;

static model *model_new(void) {
    memset(&the_model, 0, sizeof the_model);
    the_model.overlay = htt_overlay_new();
    assert_non_null(the_model.overlay);
    return &the_model;
}

static void model_free(model *m, long out_before) {
    htt_overlay_free(m->overlay);
    assert_int_equal(out, out_before);
}

/* Key `id`: empty, a number, a text, a blob, a long one. `form`: as 7 or as 7.0. */
static htt_datum model_key(uint32_t id, bool form) {
    static uint8_t bytes[2][20000];
    static unsigned turn;
    uint8_t *const scratch = bytes[turn++ % 2];
    htt_datum key;
    switch (id % 5) {
    case 0:
        if (form) {
            assert_int_equal(htt_key_real((double)id, scratch, &key), HTT_OK);
            return key;
        }
        return htt_integer((int64_t)id, scratch);
    case 1:
        return htt_bytes(scratch, (size_t)snprintf((char *)scratch, 64, "key %u", id), HTT_TEXT);
    case 2:
        return htt_bytes(scratch, (size_t)snprintf((char *)scratch, 64, "key %u", id - 1),
                         HTT_BLOB);
    case 3:
        memset(scratch, (int)id, 20000);
        memcpy(scratch, &id, sizeof id);
        return htt_blob(scratch, id % 50 == 3 ? 9000 : 50 + id % 100);
    default:
        if (id == 4) {
            return htt_text("");
        }
        assert_int_equal(htt_key_real(id + 0.5, scratch, &key), HTT_OK);
        return key;
    }
}

/* Bytes of a value, made from its token. */
static void model_fill(uint8_t *bytes, const model_entry *entry) {
    for (size_t i = 0; i < entry->size; i++) {
        bytes[i] = (uint8_t)(entry->token * 31 + i * 7);
    }
}

static uint8_t *value_bytes(void) {
    static uint8_t bytes[MODEL_LARGE];
    return bytes;
}

static void model_add_sized(model *m, uint32_t id, htt_op op, size_t size) {
    model_entry *const entry = &m->entries[m->length];
    assert_true(m->length < MODEL_MAX);
    *entry = (model_entry){.id = id, .size = (uint32_t)size, .token = ++m->tokens, .op = op};
    model_fill(value_bytes(), entry);
    const htt_datum value = op == HTT_OP_DEL ? htt_null() : htt_blob(value_bytes(), size);
    htt_overlay_add(m->overlay, op, model_key(id, entry->token % 2 == 0), value, entry->token);
    entry->at = htt_overlay_at(m->overlay, m->length);
    entry->key = entry->at->key.data;
    entry->value = entry->at->value.data;
    m->length++;
    m->bytes += model_key(id, false).size + size;
}

static void model_add(model *m, uint32_t id, htt_op op, size_t size) {
    const size_t bytes = model_key(id, false).size + size;
    assert_int_equal(htt_overlay_reserve(m->overlay, 1, bytes), SQLITE_OK);
    const unsigned long before = calls;
    model_add_sized(m, id, op, size);
    assert_int_equal(calls, before); /* OVERLAY-3 */
}

static void model_cut(model *m, size_t length) {
    const unsigned long before = calls;
    htt_overlay_cut(m->overlay, length);
    assert_int_equal(calls, before); /* a cut needs no memory */
    while (m->length > length) {
        m->length--;
        m->bytes -= model_key(m->entries[m->length].id, false).size + m->entries[m->length].size;
    }
}

/* Index of the newest entry of a key, -1 = none. */
static int model_find(const model *m, size_t length, uint32_t id) {
    for (size_t i = length < m->length ? length : m->length; i > 0; i--) {
        if (m->entries[i - 1].id == id) {
            return (int)i - 1;
        }
    }
    return -1;
}

/* The entry is whole, and where it was. */
static void model_check_entry(const model *m, size_t index) {
    const model_entry *const entry = &m->entries[index];
    const htt_change *const change = htt_overlay_at(m->overlay, index);
    const htt_datum key = model_key(entry->id, entry->token % 2 == 0);
    assert_ptr_equal(change, entry->at); /* OVERLAY-1, OVERLAY-4 */
    assert_ptr_equal(change->key.data, entry->key);
    assert_ptr_equal(change->value.data, entry->value);
    assert_int_equal(change->op, entry->op);
    assert_true(change->token == entry->token);
    assert_int_equal(change->key.type, key.type);
    assert_int_equal(change->key.size, key.size);
    if (key.size > 0) {
        assert_memory_equal(change->key.data, key.data, key.size);
    }
    assert_int_equal(change->value.type, entry->op == HTT_OP_DEL ? HTT_NULL : HTT_BLOB);
    assert_int_equal(change->value.size, entry->size);
    if (entry->size > 0) {
        model_fill(value_bytes(), entry);
        assert_memory_equal(change->value.data, value_bytes(), entry->size);
    }
    assert_int_equal((int)change->previous - 1, model_find(m, index, entry->id)); /* OVERLAY-2 */
}

static void model_check_find(const model *m, size_t length, uint32_t id) {
    const htt_change *const found = htt_overlay_find(m->overlay, length, model_key(id, false));
    const int expected = model_find(m, length, id);
    if (expected < 0) {
        assert_null(found);
    } else {
        assert_ptr_equal(found, m->entries[expected].at);
    }
}

static void model_check_all(const model *m, uint32_t ids) {
    assert_int_equal(htt_overlay_length(m->overlay), m->length);
    assert_true(htt_overlay_bytes(m->overlay) == m->bytes);
    const size_t length = random_below(m->length + 2);
    for (uint32_t id = 0; id < ids; id++) {
        model_check_find(m, m->length, id);
        model_check_find(m, length, id);
    }
    for (size_t i = 0; i < m->length; i++) {
        model_check_entry(m, i);
        assert_int_equal(htt_overlay_is_newest(m->overlay, m->length, i),
                         model_find(m, m->length, m->entries[i].id) == (int)i);
        if (i < length && length <= m->length) {
            assert_int_equal(htt_overlay_is_newest(m->overlay, length, i),
                             model_find(m, length, m->entries[i].id) == (int)i);
        }
    }
}

/* ------------------------------------------------------------------ tests */

static size_t random_size(void) {
    const size_t kind = random_below(100);
    return kind < 10   ? 0
           : kind < 90 ? random_below(200)
           : kind < 97 ? random_below(9000)
                       : 8000 + random_below(400) + (kind == 99 ? random_below(90000) : 0);
}

/* Steps of add, cut and look up among so many keys. */
static void run_random(uint32_t ids, size_t most, size_t steps) {
    const long out_before = out;
    model *const m = model_new();
    for (size_t step = 0; step < steps; step++) {
        const size_t kind = random_below(1000);
        if (kind < 3 || m->length == most) {
            model_cut(m, kind == 0 ? 0 : random_below(m->length + 1));
        } else if (kind < 20) {
            model_cut(m, m->length - random_below(m->length < 9 ? m->length + 1 : 9));
        } else if (kind < 600) {
            const bool del = random_below(4) == 0;
            model_add(m, (uint32_t)random_below(ids), del ? HTT_OP_DEL : HTT_OP_PUT,
                      del ? 0 : random_size());
        } else {
            model_check_find(m, random_below(m->length + 3), (uint32_t)random_below(ids + 2));
        }
        if (random_below(400) == 0) {
            model_check_all(m, ids);
        }
    }
    model_check_all(m, ids);
    model_cut(m, 0);
    model_check_all(m, ids);
    model_free(m, out_before);
}

static void test_overlay__random_changes_and_cuts_agree_with_a_plain_log(void **state) {
    (void)state;
    random_seed("random changes and cuts");
    run_random(3, 60, 4000);
    run_random(40, 300, 8000);
    run_random(700, 2000, 8000);
}

static void test_overlay__thousands_of_keys_come_and_go_in_order(void **state) {
    (void)state;
    random_seed("thousands of keys");
    const long out_before = out;
    model *const m = model_new();
    for (int round = 0; round < 3; round++) {
        while (m->length < MODEL_MAX - 1) { /* the index grows at many lengths */
            model_add(m, (uint32_t)m->length, HTT_OP_PUT, random_below(60));
        }
        for (uint32_t id = 0; id < MODEL_MAX + 5; id++) {
            const htt_change *const found =
                htt_overlay_find(m->overlay, m->length, model_key(id, true));
            assert_ptr_equal(found, id < m->length ? m->entries[id].at : NULL);
        }
        model_cut(m, random_below(100));
        model_check_all(m, 300);
    }
    model_cut(m, 0);
    model_free(m, out_before);
}

static void test_overlay__a_refused_reserve_changes_nothing_and_add_never_asks(void **state) {
    (void)state;
    random_seed("refused reserve");
    const long out_before = out;
    model *const m = model_new();
    unsigned refused = 0;
    for (int step = 0; step < 1500; step++) {
        const uint32_t id = (uint32_t)random_below(500);
        const size_t size = random_size();
        const size_t bytes = model_key(id, false).size + size;
        for (long allowed = 1;; allowed++) {
            countdown = allowed;
            const int rc = htt_overlay_reserve(m->overlay, 1, bytes);
            countdown = 0;
            if (rc == SQLITE_OK) {
                break;
            }
            assert_int_equal(rc, SQLITE_NOMEM);
            assert_int_equal(htt_overlay_length(m->overlay), m->length);
            model_check_find(m, m->length, id);
            refused++;
        }
        refuse = true;
        model_add_sized(m, id, HTT_OP_PUT, size);
        refuse = false;
        if (step % 200 == 199) {
            model_check_all(m, 500);
        }
    }
    assert_true(refused > 30);
    refuse = true;
    model_cut(m, 700);
    refuse = false;
    model_check_all(m, 500);
    model_free(m, out_before);
}

static void test_overlay__one_reserve_serves_several_entries_however_they_share_it(void **state) {
    (void)state;
    static const size_t sizes[][3] = {{0, 0, 0},         {10, 20, 30},      {8000, 8000, 8000},
                                      {90000, 10, 8180}, {10, 9000, 10},    {8180, 90000, 8180},
                                      {90000, 90000, 0}, {8185, 8187, 8190}};
    const long out_before = out;
    model *const m = model_new();
    for (int round = 0; round < 40; round++) {
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
            size_t bytes = 0;
            for (uint32_t k = 0; k < 3; k++) {
                bytes += model_key(5 + k, false).size + sizes[i][k];
            }
            assert_int_equal(htt_overlay_reserve(m->overlay, 3, bytes), SQLITE_OK);
            refuse = true;
            for (uint32_t k = 0; k < 3; k++) {
                model_add_sized(m, 5 + k, HTT_OP_PUT, sizes[i][k]);
            }
            refuse = false;
        }
    }
    model_check_all(m, 10);
    model_cut(m, 0);
    model_check_all(m, 10);
    model_free(m, out_before);
}

static void test_overlay__impossible_sizes_are_out_of_memory(void **state) {
    (void)state;
    const long out_before = out;
    model *const m = model_new();
    assert_int_equal(htt_overlay_reserve(m->overlay, SIZE_MAX, 1), SQLITE_NOMEM);
    assert_int_equal(htt_overlay_reserve(m->overlay, 1, SIZE_MAX), SQLITE_NOMEM);
    assert_int_equal(htt_overlay_reserve(m->overlay, UINT32_MAX, 1), SQLITE_NOMEM);
    model_add(m, 1, HTT_OP_PUT, 5);
    model_check_all(m, 3);
    model_free(m, out_before);
}

static void test_overlay__an_emptied_overlay_gives_its_memory_back(void **state) {
    (void)state;
    const long out_before = out;
    model *const m = model_new();
    model_add(m, 1, HTT_OP_PUT, 10);
    const sqlite3_int64 small = sqlite3_memory_used();
    while (m->length < MODEL_MAX) {
        model_add(m, (uint32_t)m->length, HTT_OP_PUT, m->length % 100 == 0 ? 90000 : 500);
    }
    assert_true(sqlite3_memory_used() > small + 8000000);
    model_cut(m, 0);
    assert_true(sqlite3_memory_used() < small + 10000);
    /* What was reserved for a large row and never used, too. */
    assert_int_equal(htt_overlay_reserve(m->overlay, 1, 50000000), SQLITE_OK);
    htt_overlay_cut(m->overlay, 0);
    assert_true(sqlite3_memory_used() < small + 20000);
    assert_int_equal(htt_overlay_reserve(m->overlay, 1, 50000000), SQLITE_OK);
    assert_int_equal(htt_overlay_reserve(m->overlay, 1, 5), SQLITE_OK);
    assert_true(sqlite3_memory_used() < small + 20000);
    model_free(m, out_before);
}

static void test_overlay__large_rows_do_not_waste_the_room_of_small_ones(void **state) {
    (void)state;
    const long out_before = out;
    model *const m = model_new();
    while (m->length < 1000) {
        model_add(m, (uint32_t)m->length, HTT_OP_PUT, m->length % 2 == 0 ? 20000 : 20);
    }
    assert_true(sqlite3_memory_used() < (sqlite3_int64)m->bytes + 2000000);
    model_free(m, out_before);
}

static void test_overlay__a_mark_tells_that_the_log_was_cut_below_it(void **state) {
    (void)state;
    const long out_before = out;
    model *const m = model_new();
    assert_int_equal(htt_overlay_mark(m->overlay, 0), UINT32_MAX);
    for (uint32_t id = 0; id < 10; id++) {
        model_add(m, id, HTT_OP_PUT, 10);
    }
    const uint32_t mark = htt_overlay_mark(m->overlay, 5);
    const uint32_t mark_of_all = htt_overlay_mark(m->overlay, 10);
    assert_int_equal(htt_overlay_mark(m->overlay, 11), 0);
    assert_int_not_equal(mark, 0);
    /* What comes and goes behind it makes no difference. */
    model_cut(m, 7);
    model_cut(m, 5);
    model_add(m, 9, HTT_OP_PUT, 10);
    assert_int_equal(htt_overlay_mark(m->overlay, 5), mark);
    assert_int_not_equal(htt_overlay_mark(m->overlay, 10), mark_of_all);
    /* The same rows again are others. */
    model_cut(m, 4);
    assert_int_equal(htt_overlay_mark(m->overlay, 5), 0);
    for (uint32_t id = 4; id < 10; id++) {
        model_add(m, id, HTT_OP_PUT, 10);
    }
    assert_int_not_equal(htt_overlay_mark(m->overlay, 5), 0);
    assert_int_not_equal(htt_overlay_mark(m->overlay, 5), mark);
    assert_int_not_equal(htt_overlay_mark(m->overlay, 10), mark_of_all);
    assert_int_equal(htt_overlay_mark(m->overlay, 0), UINT32_MAX);
    model_free(m, out_before);
}

static void test_overlay__without_memory_there_is_none(void **state) {
    (void)state;
    refuse = true;
    assert_null(htt_overlay_new());
    refuse = false;
    htt_overlay_free(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_overlay__random_changes_and_cuts_agree_with_a_plain_log),
        cmocka_unit_test(test_overlay__thousands_of_keys_come_and_go_in_order),
        cmocka_unit_test(test_overlay__a_refused_reserve_changes_nothing_and_add_never_asks),
        cmocka_unit_test(test_overlay__one_reserve_serves_several_entries_however_they_share_it),
        cmocka_unit_test(test_overlay__impossible_sizes_are_out_of_memory),
        cmocka_unit_test(test_overlay__an_emptied_overlay_gives_its_memory_back),
        cmocka_unit_test(test_overlay__large_rows_do_not_waste_the_room_of_small_ones),
        cmocka_unit_test(test_overlay__a_mark_tells_that_the_log_was_cut_below_it),
        cmocka_unit_test(test_overlay__without_memory_there_is_none),
    };
    return cmocka_run_group_tests(tests, memory_setup, NULL);
}
