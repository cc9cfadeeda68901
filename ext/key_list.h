/* SPDX-License-Identifier: MIT */
/*
 * The keys that a query asks for: one, or those of key IN (...).
 */
#ifndef HTT_EXT_KEY_LIST_H
#define HTT_EXT_KEY_LIST_H

#include <stdbool.h>

#include "affinity.h"
#include "buffer.h"

typedef struct htt_key_list {
    htt_datum *keys;       /* each key once; bytes in `bytes`; owned */
    size_t count;          /* keys */
    size_t capacity;       /* keys that there is room for */
    htt_buffer bytes;      /* of all keys */
    size_t used;           /* bytes in use */
    htt_affinity affinity; /* that the keys are looked up under */
    bool loose;            /* an integer may be stored as a real */
} htt_key_list;

/* Fills the list anew. NULL is no key and left out. SQLITE_OK or SQLITE_NOMEM. */
int htt_key_list_read_one(htt_key_list *list, sqlite3_value *value, htt_affinity affinity);
int htt_key_list_read_all(htt_key_list *list, sqlite3_value *values, htt_affinity affinity);
void htt_key_list_clear(htt_key_list *list);
/* Gives large memory back; the list is filled anew before it is used. */
void htt_key_list_trim(htt_key_list *list);

/* True: the key may be stored in another form than it is asked for, as 1.0 for 1. */
bool htt_key_list_is_loose(const htt_key_list *list, htt_datum key);

#endif
