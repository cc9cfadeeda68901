/* SPDX-License-Identifier: MIT */
/* See model_support.h. */
#include "model_support.h"

/* -------------------------------------------------------------------- states */

void model_state_init(model_state *state, uint32_t ids) {
    state->tokens = calloc(ids, sizeof *state->tokens);
    assert_non_null(state->tokens);
    state->ids = ids;
    state->count = 0;
}

void model_state_copy(model_state *to, const model_state *from) {
    if (to->ids != from->ids) {
        free(to->tokens);
        to->tokens = malloc(from->ids * sizeof *to->tokens);
        assert_non_null(to->tokens);
        to->ids = from->ids;
    }
    memcpy(to->tokens, from->tokens, from->ids * sizeof *to->tokens);
    to->count = from->count;
}

bool model_state_equal(const model_state *one, const model_state *other) {
    return one->count == other->count &&
           memcmp(one->tokens, other->tokens, one->ids * sizeof *one->tokens) == 0;
}

void model_state_free(model_state *state) {
    free(state->tokens);
    memset(state, 0, sizeof *state);
}

void model_state_set(model_state *state, uint32_t id, uint64_t token) {
    assert_true(id < state->ids);
    state->count += (token != 0) - (uint64_t)(state->tokens[id] != 0);
    state->tokens[id] = token;
}

/* ---------------------------------------------------------------------- keys */

static uint64_t model_mix(uint64_t x) {
    return page_random(&x);
}

enum {
    MODEL_KINDS = 8,      /* of keys; id % MODEL_KINDS is the kind */
    MODEL_EMPTY_TEXT = 5, /* the id of the key '' */
    MODEL_EMPTY_BLOB = 6, /* the id of the key x'' */
    MODEL_SHIFT = 30,     /* large numbers that a double has exactly */
    MODEL_STEP = 0x10001  /* between negative numbers */
};

static htt_datum model_key_number(int64_t number, bool form, uint8_t *buffer) {
    htt_datum key = htt_integer(number, buffer);

    if (form) {
        double real = number == 0 ? -0.0 : (double)number;
        assert_int_equal(htt_key_real(real, buffer, &key), HTT_OK);
    }
    return key;
}

static htt_datum model_key_text(uint32_t id, uint8_t *buffer) {
    char *text = (char *)buffer;
    size_t size;

    if (id == MODEL_EMPTY_TEXT)
        return htt_text("");
    size = (size_t)snprintf(text, 32, id % MODEL_KINDS == 4 ? "key-%u" : "%u:", id);
    if (id % MODEL_KINDS == MODEL_EMPTY_TEXT) {
        size_t more = model_mix(id) % 100;
        memset(text + size, 'x', more);
        size += more;
    }
    return htt_bytes(text, size, HTT_TEXT);
}

static htt_datum model_key_blob(uint32_t page_size, uint32_t id, uint8_t *buffer) {
    size_t more = model_mix(id) % 300;

    if (id == MODEL_EMPTY_BLOB)
        return htt_blob(NULL, 0);
    if (id % MODEL_KINDS == 7)
        more = id % 5 == 2 ? page_size / 8 + 1 + model_mix(id) % (3 * page_size) : more / 10;
    memset(buffer, (int)(id % 256), 4 + more);
    le32_put(buffer, id);
    return htt_blob(buffer, 4 + more);
}

htt_datum model_key(uint32_t page_size, uint32_t id, bool form, uint8_t *buffer) {
    htt_datum key;

    switch (id % MODEL_KINDS) {
    case 0: return model_key_number(id, form, buffer);
    case 1: return htt_integer(INT64_MIN + (int64_t)id * MODEL_STEP, buffer);
    case 2: assert_int_equal(htt_key_real(id + 0.5, buffer, &key), HTT_OK); return key;
    case 3: return model_key_number((int64_t)id << MODEL_SHIFT, form, buffer);
    case 4:
    case 5: return model_key_text(id, buffer);
    default: return model_key_blob(page_size, id, buffer);
    }
}

static uint32_t model_number_id(htt_datum key) {
    bool is_real;
    int64_t integer;
    double real;

    assert_int_equal(htt_key_number(key, &is_real, &integer, &real), HTT_OK);
    if (key.type == HTT_REAL)
        return (uint32_t)(real - 0.5);
    if (integer < 0)
        return (uint32_t)((integer - INT64_MIN) / MODEL_STEP);
    return (uint32_t)(integer < INT64_C(1) << MODEL_SHIFT ? integer : integer >> MODEL_SHIFT);
}

uint32_t model_key_id(uint32_t page_size, htt_datum key) {
    char text[16] = {0};
    uint32_t id;

    (void)page_size;
    switch (key.type) {
    case HTT_TEXT:
        if (key.size == 0)
            return MODEL_EMPTY_TEXT;
        memcpy(text, key.data, key.size < 15 ? key.size : 15);
        id = (uint32_t)strtoul(text[0] == 'k' ? text + 4 : text, NULL, 10);
        break;
    case HTT_BLOB:
        if (key.size == 0)
            return MODEL_EMPTY_BLOB;
        assert_true(key.size >= 4);
        id = le32_get(key.data);
        break;
    default: id = model_number_id(key); break;
    }
    return id;
}

/* -------------------------------------------------------------------- values */

/* Byte 0 of a token is the kind of size, byte 1 the type, bytes 2 to 6 the size. */
enum {
    MODEL_SIZE_TINY,   /* to 8 bytes */
    MODEL_SIZE_SMALL,  /* to 60 */
    MODEL_SIZE_MIDDLE, /* to 400 */
    MODEL_SIZE_HALF,   /* to half a page */
    MODEL_SIZE_BORDER, /* about the largest inline record */
    MODEL_SIZE_PAGES,  /* to 3 pages */
    MODEL_SIZE_MANY,   /* to 12 pages */
    MODEL_SIZE_RUN     /* about the capacity of a run */
};

uint64_t model_token(uint64_t *random, model_sizes sizes) {
    static const uint8_t kinds[3][16] = {
        {0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1},
        {0, 0, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 3, 4, 5, 7},
        {0, 1, 2, 3, 3, 4, 4, 4, 5, 5, 5, 6, 6, 6, 7, 7},
    };
    uint64_t token = page_random(random) & ~(uint64_t)0xFF & ~MODEL_FORM;

    token |= kinds[sizes][page_random_below(random, 16)];
    return token | UINT64_C(1) << 62; /* never 0 */
}

size_t model_value_size(uint32_t page_size, uint64_t token) {
    size_t random = (size_t)(token >> 16 & 0xFFFFFFFF);

    switch (token & 0xFF) {
    case MODEL_SIZE_TINY: return random % 9;
    case MODEL_SIZE_SMALL: return random % 61;
    case MODEL_SIZE_MIDDLE: return random % 401;
    case MODEL_SIZE_HALF: return random % (page_size / 2);
    case MODEL_SIZE_BORDER: return page_size / 2 - 60 + random % 60;
    case MODEL_SIZE_PAGES: return random % (3 * page_size);
    case MODEL_SIZE_MANY: return random % (12 * page_size);
    default: return page_size * (1 + random % 4) - 42 + random / 4 % 4;
    }
}

static void model_fill(uint8_t *bytes, size_t size, uint64_t token) {
    uint64_t x = token;

    for (size_t i = 0; i + 8 <= size; i += 8)
        le64_put(bytes + i, x += UINT64_C(0x9E3779B97F4A7C15));
    for (size_t i = size & ~(size_t)7; i < size; i++)
        bytes[i] = (uint8_t)(x + i);
}

static htt_datum model_value_row(uint64_t token, size_t size, uint8_t *buffer) {
    uint8_t number[HTT_NUMBER_SIZE];
    uint8_t *body = buffer + size + 64; /* the columns' bytes, behind where the row goes */
    htt_datum columns[4] = {htt_integer((int64_t)token >> (token >> 40 & 31), number), htt_null(),
                            htt_bytes(body, size / 2, HTT_TEXT), htt_blob(body, size - size / 2)};

    model_fill(body, size, token);
    htt_row_encode(columns, 4, buffer);
    return htt_bytes(buffer, htt_row_size(columns, 4), HTT_ROW);
}

htt_datum model_value(uint32_t page_size, uint64_t token, uint8_t *buffer) {
    uint64_t bare = token & ~MODEL_FORM;
    size_t size = model_value_size(page_size, bare);

    switch (bare >> 8 & 15) {
    case 0: return htt_null();
    case 1: return htt_integer((int64_t)(bare * 3) >> (bare >> 50 & 63), buffer);
    case 2: return htt_real((double)(int64_t)bare / 7, buffer);
    case 3:
        if (size < page_size / 2 - 200 || size > page_size)
            return model_value_row(bare, size, buffer);
        break;
    default: break;
    }
    model_fill(buffer, size, bare);
    return htt_bytes(buffer, size, (bare >> 8 & 1) != 0 ? HTT_TEXT : HTT_BLOB);
}

uint64_t model_state_bytes(const model_state *state, uint32_t page_size) {
    uint8_t *buffer = malloc((size_t)page_size * 2 * MODEL_VALUE_PAGES);
    uint64_t bytes = 0;

    assert_non_null(buffer);
    for (uint32_t id = 0; id < state->ids; id++) {
        uint64_t token = state->tokens[id];
        if (token == 0)
            continue;
        bytes += model_key(page_size, id, (token & MODEL_FORM) != 0, buffer).size;
        bytes += model_value(page_size, token, buffer).size;
    }
    free(buffer);
    return bytes;
}
