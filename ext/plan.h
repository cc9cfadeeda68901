/* SPDX-License-Identifier: MIT */
/*
 * How a query reads the table: what xBestIndex tells xFilter.
 */
#ifndef HTT_EXT_PLAN_H
#define HTT_EXT_PLAN_H

#include "vtab.h"

typedef enum htt_plan {
    HTT_PLAN_FULL = 1,  /* every row, in no order */
    HTT_PLAN_POINT = 2, /* the row of one key */
    HTT_PLAN_LIST = 3,  /* the rows of a list of keys */
    HTT_PLAN_COUNT = 4  /* every row, but nothing of it */
} htt_plan;

enum {
    HTT_PLAN_MASK = 0x0f,  /* of idxNum: the htt_plan */
    HTT_PLAN_VALUES = 0x10 /* other columns than the key are used */
};

/* xBestIndex. */
int htt_plan_choose(sqlite3_vtab *vtab, sqlite3_index_info *info);

#endif
