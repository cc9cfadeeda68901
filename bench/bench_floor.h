/* SPDX-License-Identifier: MIT */
/*
 * The floor: a virtual table over a hash table in memory, with no file, no transactions and no
 * checks. What it costs is what SQLite itself costs, so no virtual table can be faster.
 */
#ifndef BENCH_FLOOR_H
#define BENCH_FLOOR_H

#include <sqlite3.h>

#include "bench_dataset.h"

typedef struct bench_floor bench_floor; /* the rows; they outlive connections */

bench_floor *bench_floor_new(const bench_dataset *dataset);
void bench_floor_free(bench_floor *floor);

/*
 * The module "bench_floor" for a connection: CREATE VIRTUAL TABLE t USING bench_floor has these
 * rows, with the columns key and value. An SQLite result code.
 */
int bench_floor_register(bench_floor *floor, sqlite3 *db);

#endif
