/* SPDX-License-Identifier: MIT */
/*
 * A database app.db and its file kv.htt in a folder, to be copied, moved and mixed up. The ordinary
 * table `twin` holds what the htt table `kv` must hold, so that each snapshot of the database says
 * itself which rows are right.
 */
#ifndef HTT_TESTS_EXT_WORLD_H
#define HTT_TESTS_EXT_WORLD_H

#include "fixture.h"

typedef struct world {
    char folder[256]; /* of its own */
    const char *mode; /* journal mode of the database */
    bool fold;        /* changes are folded into pages; else they stay in the outbox */
} world;

/* Runs a test in WAL and DELETE mode, with folds and without, each in a new folder. */
void world_each(void (*test)(world *w));

/* A path in the folder, until four calls later. */
const char *world_path(const world *w, const char *name);
sqlite3 *world_open(world *w, const char *name);
/* app.db and kv.htt with 100 rows; open. */
sqlite3 *world_make(world *w);
/* Changes 100 rows in both tables, and folds if the world does. */
void world_write(world *w, sqlite3 *db);
void world_close(sqlite3 *db);

/* Files; a database with what SQLite keeps beside it, an htt file without its lock file. */
void world_copy(world *w, const char *from, const char *to);
void world_move(world *w, const char *from, const char *to);
void world_remove(world *w, const char *name);

/* kv holds what twin holds, and htt_check says so. */
void world_agree(sqlite3 *db, const char *file, int line);
/* kv holds what twin holds, or reading fails with one of `messages` (NULL ends them). */
void world_agree_or(sqlite3 *db, const char *const *messages, const char *file, int line);

#define agree(db) world_agree(db, __FILE__, __LINE__)
#define agree_or(db, ...)                                                                          \
    world_agree_or(db, (const char *const[]){__VA_ARGS__, NULL}, __FILE__, __LINE__)

#endif
