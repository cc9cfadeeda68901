/* SPDX-License-Identifier: MIT */
/*
 * A database and its htt file, to be copied, moved and mixed up.
 */
#include "world.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define WORLD_ROWS                                                                                 \
    "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 100) "

static const char *const world_sides[] = {"", "-journal", "-wal", "-shm"};

static bool world_folds; /* of the running world */

void world_each(void (*test)(world *w)) {
    static const char *const modes[] = {"wal", "delete"};
    for (int i = 0; i < 4; i++) {
        world w = {.mode = modes[i & 1], .fold = i < 2};
        fixture_make_folder(w.folder, sizeof w.folder);
        world_folds = w.fold;
        test(&w);
        fixture_remove_folder(w.folder);
    }
}

const char *world_path(const world *w, const char *name) {
    static char paths[4][600];
    static unsigned next;
    char *const path = paths[next++ & 3];
    (void)snprintf(path, sizeof paths[0], "%s/%s", w->folder, name);
    return path;
}

sqlite3 *world_open(world *w, const char *name) {
    return fixture_open_path(world_path(w, name));
}

void world_close(sqlite3 *db) {
    if (!world_folds) { /* in a transaction the last one to leave does not fold */
        run(db, "BEGIN");
    }
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

sqlite3 *world_make(world *w) {
    sqlite3 *const db = world_open(w, "app.db");
    char sql[400];
    (void)snprintf(sql, sizeof sql,
                   "PRAGMA journal_mode = %s; CREATE TABLE twin(key INTEGER PRIMARY KEY, value);"
                   "CREATE VIRTUAL TABLE kv USING htt('kv.htt'%s)",
                   w->mode, w->fold ? "" : ", changes=on");
    run(db, sql);
    world_write(w, db);
    return db;
}

void world_write(world *w, sqlite3 *db) {
    run(db, "BEGIN IMMEDIATE;" WORLD_ROWS
            "INSERT OR REPLACE INTO twin SELECT i, hex(randomblob(40)) FROM c;"
            "INSERT OR REPLACE INTO kv SELECT key, value FROM twin; COMMIT");
    if (w->fold) {
        run(db, "SELECT htt_fold('kv')");
    }
}

static void world_copy_one(const char *from, const char *to) {
    char buffer[8192];
    size_t size;
    FILE *const in = fopen(from, "rb");
    if (in == NULL) {
        (void)unlink(to);
        return;
    }
    FILE *const out = fopen(to, "wb");
    assert_non_null(out);
    while ((size = fread(buffer, 1, sizeof buffer, in)) > 0) {
        assert_int_equal(fwrite(buffer, 1, size, out), size);
    }
    assert_int_equal(fclose(out), 0);
    assert_int_equal(fclose(in), 0);
}

/* For each file that goes with `from`. */
static void world_each_side(world *w, const char *from, const char *to,
                            void (*act)(const char *, const char *)) {
    for (size_t i = 0; i < sizeof world_sides / sizeof world_sides[0]; i++) {
        char source[700];
        char target[700];
        (void)snprintf(source, sizeof source, "%s%s", world_path(w, from), world_sides[i]);
        (void)snprintf(target, sizeof target, "%s%s", world_path(w, to), world_sides[i]);
        act(source, target);
    }
}

static void world_move_one(const char *from, const char *to) {
    (void)rename(from, to);
}

static void world_remove_one(const char *from, const char *to) {
    (void)to;
    (void)unlink(from);
}

void world_copy(world *w, const char *from, const char *to) {
    world_each_side(w, from, to, world_copy_one);
}

void world_move(world *w, const char *from, const char *to) {
    world_each_side(w, from, to, world_move_one);
}

void world_remove(world *w, const char *name) {
    world_each_side(w, name, name, world_remove_one);
}

static const char *const world_compare =
    "SELECT (SELECT count(*) FROM (SELECT key, value FROM twin EXCEPT SELECT key, value FROM kv)) "
    "|| ' missing, ' || (SELECT count(*) FROM (SELECT key, value FROM kv EXCEPT SELECT key, value "
    "FROM twin)) || ' wrong'";

void world_agree(sqlite3 *db, const char *file, int line) {
    fixture_expect(db, world_compare, "0 missing, 0 wrong", file, line);
    fixture_expect(db, "SELECT problem FROM htt_check('kv')", "ok", file, line);
}

void world_agree_or(sqlite3 *db, const char *const *messages, const char *file, int line) {
    char *const got = fixture_query(db, world_compare);
    bool good = strcmp(got, "0 missing, 0 wrong") == 0;
    for (size_t i = 0; !good && messages[i] != NULL; i++) {
        good = strncmp(got, "error", 5) == 0 && strstr(got, messages[i]) != NULL;
    }
    if (!good) {
        print_error("neither the right rows nor the right error: %s\n", got);
        _fail(file, line);
    }
    sqlite3_free(got);
}
