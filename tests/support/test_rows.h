/* SPDX-License-Identifier: MIT */
/*
 * Rows that are known by a number, and states made of them: what a store must hold.
 *
 * Row `id` at `version` has one key and one value, made from the two numbers alone: all types of
 * keys and values, sizes by the kind. A state says which version each row has, so it is small, can
 * be copied and kept, and a store can be compared with many of them in one walk.
 *
 * The returned data are borrowed until the next call of the same function. One thread.
 */
#ifndef TEST_ROWS_H
#define TEST_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "htt.h"

#define ROWS_MAX 768u /* rows of a state */

typedef enum rows_kind {
    ROWS_SMALL = 0, /* keys to 40 bytes, values to 100 */
    ROWS_MIXED = 1, /* also keys outside the page, and a row of eight in overflow runs */
    ROWS_LARGE = 2, /* every second value in overflow runs, to 16 pages */
    ROWS_WIDE = 3   /* two or three rows to a page: many pages */
} rows_kind;

typedef struct rows_state {
    rows_kind kind;              /* of all rows */
    uint32_t page_size;          /* sizes grow with it */
    uint16_t versions[ROWS_MAX]; /* by id; 0 = no such row */
} rows_state;

htt_datum rows_key(rows_kind kind, uint32_t page_size, uint32_t id);
/* id % 20 == 1: a text without NUL, terminated; id % 20 == 11 (and 2, 12): rows_number. */
htt_datum rows_value(rows_kind kind, uint32_t page_size, uint32_t id, uint16_t version);
int64_t rows_number(uint32_t id, uint16_t version);

void rows_state_init(rows_state *state, rows_kind kind, uint32_t page_size);
uint32_t rows_state_count(const rows_state *state);
bool rows_state_equal(const rows_state *one, const rows_state *other);

/* Changes the store, and on HTT_OK the state. */
htt_rc rows_put(htt_txn *txn, rows_state *state, uint32_t id, uint16_t version);
htt_rc rows_del(htt_txn *txn, rows_state *state, uint32_t id);

/* ------------------------------------------------------------- comparing */

enum {
    ROWS_TOLERANT = 1u << 0, /* an error is no answer: goes on where it can */
    ROWS_ANY_STATE = 1u << 1 /* every answer may be of another of the states, or "no such row";
                                a row that comes twice counts as an error */
};

#define ROWS_STATES_MAX 64u

typedef struct rows_result {
    htt_rc rc;        /* the first error of a call; HTT_OK: none */
    uint32_t errors;  /* calls that gave one (ROWS_TOLERANT) */
    uint64_t matches; /* bit i: the store may hold states[i]; 0 = wrong data */
    char text[400];   /* the first error, or what is wrong; "" = neither */
} rows_result;

/*
 * Reads everything in every way (walk, get, exists, get_key, get_many, count) and compares with
 * `count` <= ROWS_STATES_MAX states of one kind. Without ROWS_TOLERANT the first error ends it, and
 * matches says only what was true so far. An error without a message is wrong data.
 */
rows_result rows_compare(htt_txn *txn, const rows_state *states, size_t count, unsigned flags);
/* The walk alone, with a cursor that was opened before. */
rows_result rows_compare_cursor(htt_cursor *cursor, const rows_state *states, size_t count,
                                unsigned flags);

#endif
