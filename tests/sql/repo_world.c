/* SPDX-License-Identifier: MIT */
/* Dbs of each kind, with the same two tables. */
#include "repo_world.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ext/htt_sqlite.h"
#include "sql/base/memory.h"

const char *const world_names[WORLD_KINDS] = {
    "fake", "table", "unique", "without rowid", "htt", "htt in memory", "htt attached",
};

static const char *const world_tables[WORLD_KINDS] = {
    [WORLD_TABLE] = ("CREATE TABLE things(key PRIMARY KEY NOT NULL, value);"
                     "CREATE TABLE orders(id INTEGER PRIMARY KEY, customer TEXT, total REAL, "
                     "photo BLOB, version INTEGER NOT NULL DEFAULT 1)"),
    [WORLD_UNIQUE] = ("CREATE TABLE things(key NOT NULL, value); CREATE UNIQUE INDEX u ON "
                      "things(key);"
                      "CREATE TABLE orders(other, id INTEGER UNIQUE NOT NULL, customer TEXT, "
                      "total REAL, photo BLOB, version INTEGER NOT NULL DEFAULT 1)"),
    [WORLD_WITHOUT] = ("CREATE TABLE things(key PRIMARY KEY NOT NULL, value) WITHOUT ROWID;"
                       "CREATE TABLE orders(id INTEGER PRIMARY KEY, customer TEXT, total REAL, "
                       "photo BLOB, version INTEGER NOT NULL DEFAULT 1) WITHOUT ROWID"),
};

static void world_make_tables(repo_world *world) {
    char sql[1024];
    const char *const schema = world->kind == WORLD_ATTACHED_HTT ? "aux_db." : "";
    char folder[80] = ""; /* relative names start at the database's folder */
    const char *const sync = world->kind == WORLD_HTT_MEMORY ? ", sync=off" : "";
    if (world->kind == WORLD_HTT_MEMORY) {
        snprintf(folder, sizeof folder, "%s/", world->folder);
    }
    if (world_tables[world->kind] != NULL) {
        world_exec(world->connection, world_tables[world->kind]);
        return;
    }
    snprintf(sql, sizeof sql,
             "CREATE VIRTUAL TABLE %sthings USING htt('%sthings.htt'%s);"
             "CREATE VIRTUAL TABLE %sorders USING htt('%sorders.htt'%s, id INTEGER PRIMARY KEY, "
             "customer TEXT, total REAL, photo BLOB, version INTEGER)",
             schema, folder, sync, schema, folder, sync);
    world_exec(world->connection, sql);
}

sqlite3 *world_connect(const repo_world *world) {
    char path[128];
    sqlite3 *connection;
    snprintf(path, sizeof path, "%s/test.db", world->folder);
    const bool memory = world->kind == WORLD_HTT_MEMORY;
    assert_int_equal(sqlite3_open(memory ? ":memory:" : path, &connection), SQLITE_OK);
    assert_int_equal(sqlite3_htt_init(connection, NULL, NULL), SQLITE_OK);
    world_exec(connection, memory ? "PRAGMA synchronous = OFF"
                                  : "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF");
    if (world->kind == WORLD_ATTACHED_HTT) {
        char sql[256];
        snprintf(sql, sizeof sql,
                 "ATTACH '%s/aux.db' AS aux_db; PRAGMA aux_db.journal_mode = WAL;"
                 "PRAGMA aux_db.synchronous = OFF",
                 world->folder);
        world_exec(connection, sql);
    }
    return connection;
}

void repo_world_open(repo_world *world, world_kind kind) {
    memset(world, 0, sizeof *world);
    world->kind = kind;
    if (kind == WORLD_FAKE) {
        assert_int_equal(htt_db_open_fake(NULL, &world->db), HTT_OK);
        return;
    }
    snprintf(world->folder, sizeof world->folder, "%s", "./repo.XXXXXX");
    assert_non_null(mkdtemp(world->folder));
    world->connection = world_connect(world);
    world_make_tables(world);
    htt_db_options options;
    htt_db_options_init(&options);
    options.schema = kind == WORLD_ATTACHED_HTT ? "aux_db" : "main";
    assert_int_equal(htt_db_open(world->connection, &options, &world->db), HTT_OK);
}

void repo_world_close(repo_world *world) {
    char path[512];
    expect_ok(world->db, htt_db_close(world->db));
    if (world->connection == NULL) {
        return;
    }
    assert_int_equal(sqlite3_close(world->connection), SQLITE_OK);
    DIR *const folder = opendir(world->folder);
    assert_non_null(folder);
    for (const struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        snprintf(path, sizeof path, "%s/%s", world->folder, entry->d_name);
        (void)unlink(path);
    }
    closedir(folder);
    assert_int_equal(rmdir(world->folder), 0);
}

void world_exec(sqlite3 *connection, const char *sql) {
    char *message = NULL;
    if (sqlite3_exec(connection, sql, NULL, NULL, &message) != SQLITE_OK) {
        fail_msg("%s: %s", sql, message);
    }
}

void world_expect(const htt_db *db, htt_rc rc, htt_rc expected, const char *file, int line) {
    if (rc != expected) {
        fail_msg("%s:%d: %s, not %s: %s", file, line, htt_strerror(rc), htt_strerror(expected),
                 htt_db_errmsg(db));
    }
    if (rc != HTT_OK && htt_db_errcode(db) != rc) {
        fail_msg("%s:%d: the db says: %s", file, line, htt_db_errmsg(db));
    }
}

void world_expect_text(const htt_db *db, const char *part, const char *file, int line) {
    if (strstr(htt_db_errmsg(db), part) == NULL) {
        fail_msg("%s:%d: not '%s' but: %s", file, line, part, htt_db_errmsg(db));
    }
}

/* --------------------------------------------------------------- orders */

int64_t order_alive;
htt_rc order_fails;

static htt_rc order_encode(const void *context, const void *object, htt_fields *fields) {
    const test_order *const order = object;
    (void)context;
    htt_rc rc = htt_fields_set_text(fields, 0, order->customer);
    if (rc == HTT_OK) {
        rc = htt_fields_set_real(fields, 1, order->total);
    }
    if (rc == HTT_OK && order->photo_size > 0) {
        uint8_t *const copy = htt_fields_memory(fields, order->photo_size);
        if (copy == NULL) {
            return HTT_NOMEM;
        }
        memcpy(copy, order->photo, order->photo_size);
        rc = htt_fields_set_blob(fields, 2, copy, order->photo_size);
    }
    return rc;
}

static htt_rc order_decode(const void *context, htt_fields *fields, void **object_out) {
    const char *customer;
    const void *photo = NULL;
    size_t size = 0;
    (void)context;
    if (order_fails != HTT_OK) {
        return htt_fields_fail(fields, order_fails, "the codec was told to fail");
    }
    test_order *const made = htt_memory_new(sizeof *made);
    if (made == NULL) {
        return htt_fields_fail(fields, HTT_NOMEM, "no memory for an order");
    }
    htt_rc rc = htt_value_integer(htt_fields_key(fields), &made->id);
    if (rc == HTT_OK) {
        rc = htt_fields_get_text(fields, 0, &customer, NULL);
    }
    if (rc == HTT_OK) {
        rc = htt_fields_get_real(fields, 1, &made->total);
    }
    if (rc == HTT_OK && !htt_fields_is_null(fields, 2)) {
        rc = htt_fields_get_blob(fields, 2, &photo, &size);
    }
    if (rc != HTT_OK) {
        htt_memory_free(made);
        return rc;
    }
    snprintf(made->customer, sizeof made->customer, "%s", customer);
    made->photo_size = size < sizeof made->photo ? size : sizeof made->photo;
    if (made->photo_size > 0) {
        memcpy(made->photo, photo, made->photo_size);
    }
    order_alive++;
    *object_out = made;
    return HTT_OK;
}

static void order_release(const void *context, void *object) {
    (void)context;
    order_alive--;
    htt_memory_free(object);
}

const htt_codec *order_codec(void) {
    static const htt_codec codec = {order_encode, order_decode, order_release, NULL, 3};
    return &codec;
}

htt_repo_spec order_spec(bool versioned) {
    static const char *const columns[] = {"customer", "total", "photo"};
    htt_repo_spec spec;
    htt_repo_spec_init(&spec, "orders", order_codec());
    spec.key_column = "id";
    spec.key_type = HTT_INTEGER;
    spec.columns = columns;
    spec.column_count = 3;
    spec.version_column = versioned ? "version" : NULL;
    return spec;
}

htt_repo_spec thing_spec(const htt_codec *codec) {
    htt_repo_spec spec;
    htt_repo_spec_init(&spec, "things", codec);
    return spec;
}
