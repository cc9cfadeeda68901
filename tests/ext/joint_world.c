/* SPDX-License-Identifier: MIT */
/* Databases with an htt file on simulated disks: processes, statements, what tables hold. */
#include "joint_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int sqlite3_htt_init(sqlite3 *db, char **message_out, const void *api);
extern const struct htt_env *htt_arguments_env; /* ext/arguments.h */

#define JOINT_VALUE_MAX 9000u
#define JOINT_BUSY_US 200                             /* between two attempts */
#define JOINT_BUSY_COUNT 100000                       /* attempts */
#define JOINT_FOLDS ", fold_rows=25, fold_bytes=8000" /* small, so that commits fold now and then */

static const char *const joint_names[JOINT_TABLES] = {"twin", "kv"};

uint64_t joint_random(uint64_t *state) {
    uint64_t x = *state += UINT64_C(0x9E3779B97F4A7C15);
    x = (x ^ (x >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94D049BB133111EB);
    return x ^ (x >> 31);
}

/* ------------------------------------------------------------ opening, closing */

/* Notes the first failure. Always false. */
static bool joint_fails(joint_world *world, int number, const char *what, int rc) {
    sqlite3 *const db = world->processes[number].db;
    if (world->why[0] == '\0') {
        (void)snprintf(world->why, sizeof world->why, "process %d: %s: %d: %s", number, what,
                       db == NULL ? rc : sqlite3_extended_errcode(db),
                       db == NULL ? sqlite3_errstr(rc) : sqlite3_errmsg(db));
    }
    return false;
}

/* What the module opens from now on, it opens in this process. */
static void joint_enter(const joint_world *world, int number) {
    htt_arguments_env = world->processes[number].env;
}

void joint_begin(joint_world *world, crash_fs *disk, const char *journal, const char *sync) {
    *world = (joint_world){.disk = disk, .journal = journal, .sync = sync};
    world->machine = vfs_machine_new();
}

/* With a connection that was opened: the module, and its settings. */
static bool joint_prepare_connection(joint_world *world, int number, int rc) {
    sqlite3 *const db = world->processes[number].db;
    char sql[200];
    if (rc == SQLITE_OK) {
        rc = sqlite3_htt_init(db, NULL, NULL);
    }
    if (rc != SQLITE_OK) {
        return joint_fails(world, number, "open", rc);
    }
    (void)snprintf(sql, sizeof sql,
                   "PRAGMA page_size=512; PRAGMA temp_store=memory; PRAGMA synchronous=%s;"
                   "PRAGMA journal_mode=%s",
                   world->sync, world->journal);
    return joint_exec(world, number, sql);
}

/* Short waits: SQLite's own grow, and a waiter among busy writers would starve. */
static int joint_wait(void *arg, int count) {
    (void)arg;
    (void)usleep(JOINT_BUSY_US);
    return count < JOINT_BUSY_COUNT;
}

bool joint_open_file(joint_world *world, int number, const char *path) {
    sqlite3 **const db = &world->processes[number].db;
    joint_enter(world, number);
    const int rc = sqlite3_open(path, db);
    if (rc == SQLITE_OK) {
        (void)sqlite3_busy_handler(*db, joint_wait, NULL);
    }
    return joint_prepare_connection(world, number, rc);
}

bool joint_open(joint_world *world, int number) {
    joint_process *process = &world->processes[number];
    if (process->env == NULL) {
        process->env = world->used ? crash_fs_new_process(world->disk) : crash_fs_env(world->disk);
        world->used = true;
        process->vfs = vfs_process_new(world->machine, process->env);
    }
    joint_enter(world, number);
    return joint_prepare_connection(world, number,
                                    vfs_process_open(process->vfs, JOINT_HOST, &process->db));
}

/* Its prepared statements are gone. */
static void joint_forget(joint_process *process) {
    for (int i = 0; i < JOINT_TABLES * JOINT_STATEMENTS; i++) {
        sqlite3_stmt **const slot =
            &process->statements[i / JOINT_STATEMENTS][i % JOINT_STATEMENTS];
        (void)sqlite3_finalize(*slot);
        *slot = NULL;
    }
}

void joint_close(joint_world *world, int number) {
    joint_process *process = &world->processes[number];
    if (process->db == NULL) {
        return;
    }
    joint_enter(world, number);
    joint_forget(process);
    const int rc = sqlite3_close(process->db);
    if (rc != SQLITE_OK) {
        (void)joint_fails(world, number, "close", rc);
        (void)sqlite3_close_v2(process->db);
    }
    process->db = NULL;
    htt_arguments_env = NULL;
}

void joint_end(joint_world *world) {
    for (int i = 0; i < JOINT_PROCESSES; i++) {
        joint_close(world, i);
        vfs_process_free(world->processes[i].vfs);
    }
    vfs_machine_free(world->machine);
}

void joint_kill_later(joint_world *world, int number, size_t after) {
    const joint_process *process = &world->processes[number];
    crash_fs_kill_later(world->disk, process->env, after, vfs_process_died, process->vfs);
}

void joint_fail_later(joint_world *world, int number, size_t after) {
    crash_fs_fail_later(world->disk, world->processes[number].env, after);
}

void joint_spare(joint_world *world, int number) {
    crash_fs_spare(world->disk, world->processes[number].env);
}

void joint_bury(joint_world *world, int number) {
    joint_process *process = &world->processes[number];
    joint_close(world, number);
    vfs_process_free(process->vfs);
    *process = (joint_process){0};
    world->why[0] = '\0'; /* nothing that it was told matters */
}

/* ------------------------------------------------------------------- SQL */

static int joint_keep_text(void *text, int count, char **values, char **names) {
    (void)count;
    (void)names;
    (void)snprintf(text, 300, "%s", values[0] == NULL ? "NULL" : values[0]);
    return 0;
}

bool joint_text(joint_world *world, int number, const char *sql, char *text, size_t size) {
    char found[300] = "";
    joint_enter(world, number);
    const int rc = sqlite3_exec(world->processes[number].db, sql, joint_keep_text, found, NULL);
    if (rc != SQLITE_OK) {
        return joint_fails(world, number, sql, rc);
    }
    (void)snprintf(text, size, "%s", found);
    return true;
}

bool joint_exec(joint_world *world, int number, const char *sql) {
    char text[4];
    return joint_text(world, number, sql, text, sizeof text);
}

/* What the module takes as options of folding, "" where it knows none. */
static const char *joint_options(void) {
    static const char *options;
    sqlite3 *db = NULL;
    if (options == NULL && sqlite3_open(":memory:", &db) == SQLITE_OK &&
        sqlite3_htt_init(db, NULL, NULL) == SQLITE_OK) {
        const char *const sql =
            "CREATE VIRTUAL TABLE probe USING htt('/no/file'" JOINT_FOLDS ", no_such_option=1)";
        (void)sqlite3_exec(db, sql, NULL, NULL, NULL);
        options = strstr(sqlite3_errmsg(db), "\"no_such_option\"") != NULL ? JOINT_FOLDS : "";
    }
    (void)sqlite3_close(db);
    return options == NULL ? "" : options;
}

bool joint_drop(joint_world *world, int number) {
    joint_forget(&world->processes[number]);
    return joint_exec(world, number, "DROP TABLE kv; DROP TABLE twin");
}

bool joint_renew(joint_world *world, int number) {
    char sql[200];
    joint_forget(&world->processes[number]);
    (void)snprintf(sql, sizeof sql,
                   "DROP TABLE kv; CREATE VIRTUAL TABLE kv USING htt('kv.htt'%s)", joint_options());
    return joint_exec(world, number, sql);
}

bool joint_create(joint_world *world, int number, bool clear) {
    char sql[400];
    (void)snprintf(sql, sizeof sql,
                   "BEGIN IMMEDIATE;"
                   "CREATE TABLE twin(key PRIMARY KEY NOT NULL, value) WITHOUT ROWID;"
                   "CREATE VIRTUAL TABLE kv USING htt('kv.htt'%s);%s"
                   "INSERT INTO twin VALUES ('" JOINT_STAMP_KEY "', 0);"
                   "INSERT INTO kv VALUES ('" JOINT_STAMP_KEY "', 0);"
                   "COMMIT",
                   joint_options(), clear ? "DELETE FROM kv;" : "");
    return joint_exec(world, number, sql);
}

bool joint_checkpoint(joint_world *world, int number, bool truncate, bool *complete_out) {
    const int mode = truncate ? SQLITE_CHECKPOINT_TRUNCATE : SQLITE_CHECKPOINT_PASSIVE;
    int frames = 0;
    int done = 0;
    joint_enter(world, number);
    const int rc =
        sqlite3_wal_checkpoint_v2(world->processes[number].db, NULL, mode, &frames, &done);
    if (rc != SQLITE_OK && rc != SQLITE_BUSY) {
        return joint_fails(world, number, "checkpoint", rc);
    }
    *complete_out = rc == SQLITE_OK && frames == done;
    return true;
}

bool joint_has_function(joint_world *world, int number, const char *name) {
    char sql[200];
    char text[4] = "";
    (void)snprintf(sql, sizeof sql, "SELECT 1 FROM pragma_function_list WHERE name = '%s'", name);
    return joint_text(world, number, sql, text, sizeof text) && text[0] == '1';
}

/* A statement on a table. NULL: it cannot be prepared. */
static sqlite3_stmt *joint_prepare(joint_world *world, int number, joint_table table,
                                   joint_statement which) {
    static const char *const texts[JOINT_STATEMENTS] = {
        [JOINT_PUT] = "INSERT OR REPLACE INTO %s VALUES (?1, ?2)",
        [JOINT_DELETE] = "DELETE FROM %s WHERE key = ?1",
        [JOINT_FAIL] = "INSERT INTO %s SELECT ?1, 1 UNION ALL SELECT '" JOINT_STAMP_KEY "', 2",
        [JOINT_READ] = "SELECT key, value FROM %s",
    };
    joint_process *process = &world->processes[number];
    sqlite3_stmt **const slot = &process->statements[table][which];
    joint_enter(world, number);
    if (*slot == NULL) {
        char sql[200];
        (void)snprintf(sql, sizeof sql, texts[which], joint_names[table]);
        const int rc = sqlite3_prepare_v2(process->db, sql, -1, slot, NULL);
        if (rc != SQLITE_OK) {
            (void)joint_fails(world, number, sql, rc);
        }
    }
    return *slot;
}

static uint64_t joint_mix(uint64_t hash, const void *bytes, size_t size) {
    const unsigned char *at = bytes;
    hash ^= size * UINT64_C(0x9E3779B97F4A7C15);
    for (; size > 0; at += size < 8 ? size : 8, size -= size < 8 ? size : 8) {
        uint64_t word = 0;
        memcpy(&word, at, size < 8 ? size : 8);
        hash = (hash ^ word) * UINT64_C(0xD6E8FEB86659FD93);
        hash ^= hash >> 32;
    }
    return hash;
}

static uint64_t joint_row_hash(sqlite3_stmt *statement) {
    uint64_t hash = 1;
    for (int i = 0; i < 2; i++) {
        const int type = sqlite3_column_type(statement, i);
        const void *bytes = sqlite3_column_blob(statement, i);
        hash = joint_mix(hash, &type, sizeof type);
        hash = joint_mix(hash, bytes, (size_t)sqlite3_column_bytes(statement, i));
    }
    return hash ^ hash >> 29;
}

/* Whether a table is there; the answer of a connection that found it is kept. */
static bool joint_is_absent(joint_world *world, int number, joint_table table) {
    joint_process *process = &world->processes[number];
    char sql[200];
    char text[4] = "";
    if (process->statements[table][JOINT_READ] != NULL) {
        return false;
    }
    (void)snprintf(sql, sizeof sql, "SELECT 1 FROM sqlite_schema WHERE name = '%s'",
                   joint_names[table]);
    return joint_text(world, number, sql, text, sizeof text) && text[0] != '1';
}

bool joint_sum(joint_world *world, int number, joint_table table, uint64_t *sum_out) {
    if (joint_is_absent(world, number, table)) {
        *sum_out = JOINT_ABSENT;
        return true;
    }
    sqlite3_stmt *const statement = joint_prepare(world, number, table, JOINT_READ);
    uint64_t sum = JOINT_EMPTY;
    int rc = SQLITE_ERROR;
    while (statement != NULL && (rc = sqlite3_step(statement)) == SQLITE_ROW) {
        sum += joint_row_hash(statement);
    }
    if (rc != SQLITE_DONE) {
        (void)joint_fails(world, number, joint_names[table], rc);
    }
    (void)sqlite3_reset(statement);
    *sum_out = sum;
    return rc == SQLITE_DONE;
}

/* ------------------------------------------------------------------- rows */

static void joint_bind_key(sqlite3_stmt *statement, uint32_t key) {
    char text[32];
    const int size = snprintf(text, sizeof text, "key-%u", (unsigned)key);
    switch (key % 4) {
    case 0: sqlite3_bind_int(statement, 1, (int)key); break;
    case 1: sqlite3_bind_double(statement, 1, key + 0.5); break;
    case 2: sqlite3_bind_blob(statement, 1, text, size, SQLITE_TRANSIENT); break;
    default: sqlite3_bind_text(statement, 1, text, size, SQLITE_TRANSIENT); break;
    }
}

/* Runs a statement that may fail with `expected`. */
static bool joint_step(joint_world *world, int number, sqlite3_stmt *statement, int expected) {
    if (statement == NULL) {
        return false;
    }
    const int rc = sqlite3_step(statement);
    const bool right = rc == expected;
    if (!right) {
        (void)joint_fails(world, number, sqlite3_sql(statement), rc);
    }
    (void)sqlite3_reset(statement);
    return right;
}

static size_t joint_value_size(joint_size size, uint64_t *random) {
    const uint64_t dice = joint_random(random) % 100;
    const size_t any = (size_t)(joint_random(random) >> 16);
    if (size == JOINT_WIDE || (size == JOINT_MIXED && dice < 2)) {
        return 3000 + any % (JOINT_VALUE_MAX - 3000);
    }
    if (size == JOINT_MIXED && dice < 10) {
        return 300 + any % 1700;
    }
    return dice < 80 ? any % 40 : any % 300;
}

bool joint_put(joint_world *world, int number, uint32_t key, joint_size size, uint64_t *random) {
    static unsigned char bytes[JOINT_VALUE_MAX];
    const size_t length = joint_value_size(size, random);
    const int kind = (int)(joint_random(random) % 10);
    for (size_t i = 0; i < length; i++) {
        bytes[i] = (unsigned char)('a' + joint_random(random) % 26);
    }
    for (joint_table table = JOINT_TWIN; table < JOINT_TABLES; table++) {
        sqlite3_stmt *const statement = joint_prepare(world, number, table, JOINT_PUT);
        if (statement == NULL) {
            return false;
        }
        joint_bind_key(statement, key);
        switch (kind) {
        case 0: sqlite3_bind_null(statement, 2); break;
        case 1: sqlite3_bind_int64(statement, 2, (sqlite3_int64)length - 20); break;
        case 2:
        case 3: sqlite3_bind_blob(statement, 2, bytes, (int)length, SQLITE_STATIC); break;
        default: sqlite3_bind_text(statement, 2, (char *)bytes, (int)length, SQLITE_STATIC);
        }
        if (!joint_step(world, number, statement, SQLITE_DONE)) {
            return false;
        }
    }
    return true;
}

bool joint_delete(joint_world *world, int number, uint32_t key) {
    for (joint_table table = JOINT_TWIN; table < JOINT_TABLES; table++) {
        sqlite3_stmt *const statement = joint_prepare(world, number, table, JOINT_DELETE);
        if (statement == NULL) {
            return false;
        }
        joint_bind_key(statement, key);
        if (!joint_step(world, number, statement, SQLITE_DONE)) {
            return false;
        }
    }
    return true;
}

bool joint_stamp(joint_world *world, int number, uint32_t stamp) {
    for (joint_table table = JOINT_TWIN; table < JOINT_TABLES; table++) {
        sqlite3_stmt *const statement = joint_prepare(world, number, table, JOINT_PUT);
        if (statement == NULL) {
            return false;
        }
        sqlite3_bind_text(statement, 1, JOINT_STAMP_KEY, -1, SQLITE_STATIC);
        sqlite3_bind_int64(statement, 2, stamp);
        if (!joint_step(world, number, statement, SQLITE_DONE)) {
            return false;
        }
    }
    return true;
}

bool joint_fail(joint_world *world, int number, uint32_t key) {
    for (joint_table table = JOINT_TWIN; table < JOINT_TABLES; table++) {
        sqlite3_stmt *const statement = joint_prepare(world, number, table, JOINT_FAIL);
        if (statement == NULL) {
            return false;
        }
        joint_bind_key(statement, key);
        if (!joint_step(world, number, statement, SQLITE_CONSTRAINT)) {
            return false;
        }
    }
    return true;
}
