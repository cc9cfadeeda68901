/* SPDX-License-Identifier: MIT */
/*
 * xBestIndex. Only equality on the key is indexed:
 *
 *   PLAN   CONSTRAINT           ARGV[0]        COST           ROWS       UNIQUE
 *   POINT  key = x, key IS x    x              1.5            1          yes
 *   LIST   key IN (...)         the list       1.5 for each   25 or all  no
 *   FULL   none                 -              1.2 for each   all        no
 *   COUNT  none                 -              1.2 for each   all        no
 *
 * COUNT is FULL where no column is used, as for count(*). SQLite may ask for the key all the same
 * (DELETE, RIGHT JOIN); then it goes on as FULL.
 *
 * A constraint counts only where SQLite would compare with BINARY. It is omitted (SQLite does not
 * test the rows again) where a lookup under the key's affinity finds exactly what SQLite's own
 * comparison accepts. That is so for all keys but TEXT: a number is looked up as its text, which
 * is right for a literal or parameter, wrong for a number from a column without a type, and no
 * interface tells them apart.
 */
#include "plan.h"

#include <assert.h>
#include <stdbool.h>

static const double PLAN_COST_LOOKUP = 1.5;
static const double PLAN_COST_ROW = 1.2;
static const double PLAN_COST_START = 10.0;
enum { PLAN_LIST_ROWS = 25 }; /* what SQLite assumes of an IN whose size it cannot tell */

/* The words of EXPLAIN QUERY PLAN. */
static const char *const plan_words[] = {
    [HTT_PLAN_FULL] = "all rows",
    [HTT_PLAN_POINT] = "one key",
    [HTT_PLAN_LIST] = "each key of a list",
    [HTT_PLAN_COUNT] = "all rows, unread",
};

static bool plan_omits(const htt_table *table) {
    const htt_declaration *const declaration = &table->arguments.declaration;
    return declaration->columns[declaration->key].affinity != HTT_AFFINITY_TEXT;
}

/* Index of the best constraint on the key, -1 = none; *plan_out POINT or LIST. */
static int plan_find(const htt_table *table, sqlite3_index_info *info, htt_plan *plan_out) {
    int found = -1;
    for (int i = 0; i < info->nConstraint; i++) {
        const struct sqlite3_index_constraint *const constraint = &info->aConstraint[i];
        const bool equality = constraint->op == SQLITE_INDEX_CONSTRAINT_EQ ||
                              constraint->op == SQLITE_INDEX_CONSTRAINT_IS;
        if (!constraint->usable || !equality ||
            constraint->iColumn != table->arguments.declaration.key ||
            sqlite3_stricmp(sqlite3_vtab_collation(info, i), "BINARY") != 0) {
            continue;
        }
        if (!sqlite3_vtab_in(info, i, -1)) {
            *plan_out = HTT_PLAN_POINT;
            return i;
        }
        if (found < 0) {
            *plan_out = HTT_PLAN_LIST;
            found = i;
        }
    }
    return found;
}

static bool plan_uses_values(const htt_table *table, const sqlite3_index_info *info) {
    const int key = table->arguments.declaration.key;
    sqlite3_uint64 others = info->colUsed;
    if (key < 63) { /* the last bit stands for all columns from the 64th on */
        others &= ~((sqlite3_uint64)1 << key);
    }
    return others != 0;
}

int htt_plan_choose(sqlite3_vtab *vtab, sqlite3_index_info *info) {
    htt_table *const table = (htt_table *)vtab;
    const uint64_t rows = htt_connection_estimate(table->connection);
    const double full_cost = PLAN_COST_START + PLAN_COST_ROW * (double)rows;
    htt_plan plan = info->colUsed == 0 ? HTT_PLAN_COUNT : HTT_PLAN_FULL;
    const int found = plan_find(table, info, &plan);
    if (found >= 0) {
        info->aConstraintUsage[found].argvIndex = 1;
        info->aConstraintUsage[found].omit = plan_omits(table);
    }
    switch (plan) {
    case HTT_PLAN_POINT:
        info->estimatedCost = PLAN_COST_LOOKUP;
        info->estimatedRows = 1;
        info->idxFlags |= SQLITE_INDEX_SCAN_UNIQUE;
        break;
    case HTT_PLAN_LIST: {
        const double cost = PLAN_COST_LOOKUP * PLAN_LIST_ROWS;
        assert(found >= 0);
        (void)sqlite3_vtab_in(info, found, 1);
        info->estimatedCost = cost < full_cost ? cost : full_cost * 0.9;
        info->estimatedRows = rows < PLAN_LIST_ROWS ? (sqlite3_int64)rows : PLAN_LIST_ROWS;
        break;
    }
    case HTT_PLAN_FULL:
    case HTT_PLAN_COUNT:
        info->estimatedCost = full_cost;
        info->estimatedRows = rows < INT64_MAX ? (sqlite3_int64)rows : INT64_MAX;
        break;
    }
    info->idxNum = (int)plan | (plan_uses_values(table, info) ? HTT_PLAN_VALUES : 0);
    info->idxStr = (char *)(uintptr_t)plan_words[plan]; /* not freed by SQLite */
    info->needToFreeIdxStr = 0;
    return SQLITE_OK;
}
