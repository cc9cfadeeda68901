/* SPDX-License-Identifier: MIT */
/*
 * The in-memory map of the model test, and the rows that it knows by number.
 *
 * A key is made from an id, a value from a token of 64 bits, so a state of the store is an array of
 * tokens by id. It is small enough to be copied for each savepoint, reader and cursor.
 */
#ifndef HTT_TESTS_MODEL_SUPPORT_H
#define HTT_TESTS_MODEL_SUPPORT_H

#include "page_support.h"

#include "base/le.h"
#include "htt.h"

/* Written with the key's other form: 1.0 for 1, -0.0 for 0. In the token, not in the value. */
#define MODEL_FORM (UINT64_C(1) << 63)

enum { MODEL_KEY_PAGES = 4, MODEL_VALUE_PAGES = 14 }; /* the largest, in pages */

typedef struct model_state {
    uint64_t *tokens; /* by id; 0 = no such row */
    uint32_t ids;     /* ids are below */
    uint64_t count;   /* rows */
} model_state;

void model_state_init(model_state *state, uint32_t ids);
void model_state_copy(model_state *to, const model_state *from); /* `to` is initialised or zero */
bool model_state_equal(const model_state *one, const model_state *other);
void model_state_free(model_state *state);
void model_state_set(model_state *state, uint32_t id, uint64_t token);

/* Sizes of values: which of them a token may have. */
typedef enum model_sizes {
    MODEL_SMALL, /* to 60 bytes */
    MODEL_MIXED, /* most below a page, some above */
    MODEL_LARGE  /* half of them in overflow runs, to 12 pages */
} model_sizes;

/* A token for a new value; never 0. */
uint64_t model_token(uint64_t *random, model_sizes sizes);

/*
 * Keys of all types and of 0 bytes to above 3 pages. `form` picks between two ways of writing a
 * number. `buffer` has room for MODEL_KEY_PAGES pages.
 */
htt_datum model_key(uint32_t page_size, uint32_t id, bool form, uint8_t *buffer);
/* Back: asserts that the key is one of these. */
uint32_t model_key_id(uint32_t page_size, htt_datum key);

/* `buffer` has room for MODEL_VALUE_PAGES pages. */
size_t model_value_size(uint32_t page_size, uint64_t token);
htt_datum model_value(uint32_t page_size, uint64_t token, uint8_t *buffer);

/* Bytes of keys and values of all rows. */
uint64_t model_state_bytes(const model_state *state, uint32_t page_size);

#endif
