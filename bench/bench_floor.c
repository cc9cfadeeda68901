/* SPDX-License-Identifier: MIT */
/*
 * A hash table in memory behind SQLite's interface of virtual tables.
 *
 * Rows have one size and lie in blocks that never move. A slot has the number of a row plus one
 * and bits of its hash; 0 is empty. Open addressing with linear probing, at most half full;
 * deleting moves later slots back, so that a search ends at the first empty one. A deleted row's
 * place is used for the next new row.
 */
#include "bench_floor.h"

#include <stdlib.h>
#include <string.h>

#include "bench.h"

enum { FLOOR_BLOCK_ROWS = 65536 };

typedef struct floor_slot {
    uint32_t row; /* number plus one; 0 = empty */
    uint32_t tag; /* low 32 bits of the hash */
} floor_slot;

struct bench_floor {
    const bench_dataset *dataset; /* sizes; borrowed */
    size_t row_size;              /* bytes: a key and a value */
    floor_slot *slots;            /* mask + 1; owned */
    uint64_t mask;                /* slots less one, at most 32 bits */
    uint8_t **blocks;             /* of FLOOR_BLOCK_ROWS rows each; owned */
    uint32_t block_count;         /* blocks */
    uint32_t rows;                /* places for rows that were given out */
    uint32_t *spare;              /* places of deleted rows; owned */
    uint32_t spare_count;         /* of them */
    uint32_t spare_room;          /* elements of `spare` */
    uint64_t count;               /* rows in the table */
};

typedef struct floor_table {
    sqlite3_vtab base;  /* SQLite's part */
    bench_floor *floor; /* borrowed */
    sqlite3 *db;        /* borrowed */
} floor_table;

typedef struct floor_cursor {
    sqlite3_vtab_cursor base; /* SQLite's part */
    const uint8_t *row;       /* the current one; NULL = at the end */
    uint64_t slot;            /* of a scan: the next slot */
    bool scan;                /* else one row by its key */
} floor_cursor;

/* ------------------------------------------------------------------- rows */

bench_floor *bench_floor_new(const bench_dataset *dataset) {
    bench_floor *floor = bench_allocate(1, sizeof *floor);
    uint64_t slots = 64;
    while (slots < dataset->rows * 2) {
        slots *= 2;
    }
    floor->dataset = dataset;
    floor->row_size = dataset->key_size + dataset->value_size;
    floor->slots = bench_allocate((size_t)slots, sizeof floor->slots[0]);
    floor->mask = slots - 1;
    return floor;
}

void bench_floor_free(bench_floor *floor) {
    for (uint32_t i = 0; i < floor->block_count; i++) {
        free(floor->blocks[i]);
    }
    free(floor->blocks);
    free(floor->spare);
    free(floor->slots);
    free(floor);
}

static uint8_t *floor_row(const bench_floor *floor, uint32_t row) {
    return floor->blocks[row / FLOOR_BLOCK_ROWS] +
           (size_t)(row % FLOOR_BLOCK_ROWS) * floor->row_size;
}

/* The slot of a key, or the empty one where it would be. */
static floor_slot *floor_find(const bench_floor *floor, const uint8_t *key) {
    const uint32_t tag = (uint32_t)bench_dataset_key_hash(floor->dataset, key);
    for (uint64_t at = tag & floor->mask;; at = (at + 1) & floor->mask) {
        floor_slot *slot = &floor->slots[at];
        if (slot->row == 0 || (slot->tag == tag && memcmp(floor_row(floor, slot->row - 1), key,
                                                          floor->dataset->key_size) == 0)) {
            return slot;
        }
    }
}

static void floor_grow(bench_floor *floor) {
    const floor_slot *old = floor->slots;
    const uint64_t old_mask = floor->mask;
    floor->mask = old_mask * 2 + 1;
    floor->slots = bench_allocate((size_t)floor->mask + 1, sizeof floor->slots[0]);
    for (uint64_t i = 0; i <= old_mask; i++) {
        if (old[i].row != 0) {
            *floor_find(floor, floor_row(floor, old[i].row - 1)) = old[i];
        }
    }
    free((void *)(uintptr_t)old);
}

/* A place for a new row. */
static uint32_t floor_take(bench_floor *floor) {
    if (floor->spare_count > 0) {
        return floor->spare[--floor->spare_count];
    }
    if (floor->rows == floor->block_count * FLOOR_BLOCK_ROWS) {
        const size_t size = (floor->block_count + 1) * sizeof floor->blocks[0];
        uint8_t **blocks = realloc(floor->blocks, size);
        if (blocks == NULL) {
            bench_fail("out of memory");
        }
        floor->blocks = blocks;
        blocks[floor->block_count++] = bench_allocate(FLOOR_BLOCK_ROWS, floor->row_size);
    }
    return floor->rows++;
}

static void floor_add(bench_floor *floor, const uint8_t *key, const void *value) {
    if (floor->count >= floor->mask / 2) {
        floor_grow(floor);
    }
    const uint32_t row = floor_take(floor);
    uint8_t *bytes = floor_row(floor, row);
    floor_slot *slot = floor_find(floor, key);
    *slot = (floor_slot){row + 1, (uint32_t)bench_dataset_key_hash(floor->dataset, key)};
    memcpy(bytes, key, floor->dataset->key_size);
    memcpy(bytes + floor->dataset->key_size, value, floor->dataset->value_size);
    floor->count++;
}

/* Empties a slot; slots behind it that would not be found any more move back. */
static void floor_remove(bench_floor *floor, floor_slot *slot) {
    if (floor->spare_count == floor->spare_room) {
        floor->spare_room = floor->spare_room * 2 + 1024;
        uint32_t *spare = realloc(floor->spare, floor->spare_room * sizeof spare[0]);
        if (spare == NULL) {
            bench_fail("out of memory");
        }
        floor->spare = spare;
    }
    floor->spare[floor->spare_count++] = slot->row - 1;
    floor->count--;
    uint64_t hole = (uint64_t)(slot - floor->slots);
    for (uint64_t at = (hole + 1) & floor->mask; floor->slots[at].row != 0;
         at = (at + 1) & floor->mask) {
        const uint64_t home = floor->slots[at].tag & floor->mask;
        if (((at - home) & floor->mask) >= ((at - hole) & floor->mask)) {
            floor->slots[hole] = floor->slots[at];
            hole = at;
        }
    }
    floor->slots[hole].row = 0;
}

/* --------------------------------------------------------- the virtual table */

static int floor_connect(sqlite3 *db, void *arg, int argc, const char *const *argv,
                         sqlite3_vtab **table_out, char **message_out) {
    (void)argc;
    (void)argv;
    (void)message_out;
    floor_table *table = bench_allocate(1, sizeof *table);
    table->floor = arg;
    table->db = db;
    *table_out = &table->base;
    (void)sqlite3_vtab_config(db, SQLITE_VTAB_CONSTRAINT_SUPPORT, 1);
    return sqlite3_declare_vtab(db, "CREATE TABLE x(key PRIMARY KEY, value) WITHOUT ROWID");
}

static int floor_disconnect(sqlite3_vtab *table) {
    free(table);
    return SQLITE_OK;
}

static int floor_best_index(sqlite3_vtab *table, sqlite3_index_info *info) {
    (void)table;
    info->estimatedCost = 1e6;
    for (int i = 0; i < info->nConstraint; i++) {
        if (info->aConstraint[i].usable && info->aConstraint[i].iColumn == 0 &&
            info->aConstraint[i].op == SQLITE_INDEX_CONSTRAINT_EQ) {
            info->aConstraintUsage[i].argvIndex = 1;
            info->aConstraintUsage[i].omit = 1;
            info->idxNum = 1;
            info->idxFlags = SQLITE_INDEX_SCAN_UNIQUE;
            info->estimatedCost = 1;
            info->estimatedRows = 1;
            break;
        }
    }
    return SQLITE_OK;
}

static int floor_open(sqlite3_vtab *table, sqlite3_vtab_cursor **cursor_out) {
    (void)table;
    floor_cursor *cursor = sqlite3_malloc(sizeof *cursor);
    if (cursor == NULL) {
        return SQLITE_NOMEM;
    }
    memset(cursor, 0, sizeof *cursor);
    *cursor_out = &cursor->base;
    return SQLITE_OK;
}

static int floor_close(sqlite3_vtab_cursor *base) {
    sqlite3_free(base);
    return SQLITE_OK;
}

static bench_floor *floor_of(sqlite3_vtab *table) {
    return ((floor_table *)table)->floor;
}

static int floor_next(sqlite3_vtab_cursor *base) {
    floor_cursor *cursor = (floor_cursor *)base;
    const bench_floor *floor = floor_of(base->pVtab);
    cursor->row = NULL;
    while (cursor->scan && cursor->row == NULL && cursor->slot <= floor->mask) {
        const floor_slot slot = floor->slots[cursor->slot++];
        if (slot.row != 0) {
            cursor->row = floor_row(floor, slot.row - 1);
        }
    }
    return SQLITE_OK;
}

/* The bytes of a key from SQL; NULL: a key that no row has. */
static const uint8_t *floor_key(const bench_floor *floor, sqlite3_value *value) {
    const int type = floor->dataset->text ? SQLITE_TEXT : SQLITE_BLOB;
    if (sqlite3_value_type(value) != type ||
        (size_t)sqlite3_value_bytes(value) != floor->dataset->key_size) {
        return NULL;
    }
    return floor->dataset->text ? sqlite3_value_text(value) : sqlite3_value_blob(value);
}

static int floor_filter(sqlite3_vtab_cursor *base, int plan, const char *text, int argc,
                        sqlite3_value **argv) {
    (void)text;
    (void)argc;
    floor_cursor *cursor = (floor_cursor *)base;
    const bench_floor *floor = floor_of(base->pVtab);
    cursor->scan = plan == 0;
    cursor->slot = 0;
    if (cursor->scan) {
        return floor_next(base);
    }
    const uint8_t *key = floor_key(floor, argv[0]);
    const floor_slot slot = key != NULL ? *floor_find(floor, key) : (floor_slot){0, 0};
    cursor->row = slot.row != 0 ? floor_row(floor, slot.row - 1) : NULL;
    return SQLITE_OK;
}

static int floor_eof(sqlite3_vtab_cursor *base) {
    return ((floor_cursor *)base)->row == NULL;
}

static int floor_column(sqlite3_vtab_cursor *base, sqlite3_context *context, int column) {
    const uint8_t *row = ((floor_cursor *)base)->row;
    const bench_dataset *dataset = floor_of(base->pVtab)->dataset;
    if (column == 1) {
        sqlite3_result_blob(context, row + dataset->key_size, (int)dataset->value_size,
                            SQLITE_STATIC);
    } else if (dataset->text) {
        sqlite3_result_text(context, (const char *)row, (int)dataset->key_size, SQLITE_STATIC);
    } else {
        sqlite3_result_blob(context, row, (int)dataset->key_size, SQLITE_STATIC);
    }
    return SQLITE_OK;
}

static int floor_rowid(sqlite3_vtab_cursor *base, sqlite3_int64 *rowid_out) {
    (void)base;
    *rowid_out = 0; /* WITHOUT ROWID: nobody asks */
    return SQLITE_OK;
}

/* DELETE: the key. INSERT: NULL, -, key, value. UPDATE: old key, -, key, value. */
static int floor_update(sqlite3_vtab *table, int argc, sqlite3_value **argv,
                        sqlite3_int64 *rowid_out) {
    (void)rowid_out;
    bench_floor *floor = floor_of(table);
    const uint8_t *key = floor_key(floor, argv[argc == 1 ? 0 : 2]);
    if (key == NULL) {
        return SQLITE_MISMATCH;
    }
    floor_slot *slot = floor_find(floor, key);
    if (argc == 1) {
        if (slot->row != 0) {
            floor_remove(floor, slot);
        }
        return SQLITE_OK;
    }
    const void *value = sqlite3_value_blob(argv[3]);
    if ((size_t)sqlite3_value_bytes(argv[3]) != floor->dataset->value_size) {
        return SQLITE_MISMATCH;
    }
    if (slot->row == 0) {
        floor_add(floor, key, value);
        return SQLITE_OK;
    }
    if (sqlite3_value_type(argv[0]) == SQLITE_NULL &&
        sqlite3_vtab_on_conflict(((floor_table *)table)->db) != SQLITE_REPLACE) {
        return SQLITE_CONSTRAINT; /* a plain INSERT of a key that is there */
    }
    memcpy(floor_row(floor, slot->row - 1) + floor->dataset->key_size, value,
           floor->dataset->value_size);
    return SQLITE_OK;
}

/* Every write is at once and for good. */
static int floor_nothing(sqlite3_vtab *table) {
    (void)table;
    return SQLITE_OK;
}

static const sqlite3_module floor_module = {
    .iVersion = 1,
    .xCreate = floor_connect,
    .xConnect = floor_connect,
    .xBestIndex = floor_best_index,
    .xDisconnect = floor_disconnect,
    .xDestroy = floor_disconnect,
    .xOpen = floor_open,
    .xClose = floor_close,
    .xFilter = floor_filter,
    .xNext = floor_next,
    .xEof = floor_eof,
    .xColumn = floor_column,
    .xRowid = floor_rowid,
    .xUpdate = floor_update,
    .xBegin = floor_nothing,
    .xSync = floor_nothing,
    .xCommit = floor_nothing,
    .xRollback = floor_nothing,
};

int bench_floor_register(bench_floor *floor, sqlite3 *db) {
    return sqlite3_create_module(db, "bench_floor", &floor_module, floor);
}
