/* SPDX-License-Identifier: MIT */
/*
 * The twin's two worlds: opening, doing a line in both, comparing.
 *
 * What may differ, and does not count:
 *   the text of SQLITE_BUSY
 *   SQLITE_BUSY_SNAPSHOT of a first look at a htt table in an old snapshot: the transaction ends in
 *   both worlds. Once it was looked at, the snapshot stays.
 *   which rows an open SELECT shows of changes that its own connection makes meanwhile
 *   SQLITE_BUSY in one world, "no such table" in the other, with several connections: the lock is
 *   asked for before the schema is compared, so the outcome is that of the schema as last read
 *   (twin_found_test.c shows it with ordinary tables). Nothing was done in either world
 *
 * What is levelled, so that it does not come up:
 *   when a connection reads a schema that another one has changed. SQLite does not look whether a
 *   trigger names a table that came meanwhile (twin_found_test.c): so it looks before
 *   SQLITE_BUSY_SNAPSHOT of a statement that writes to one schema, and is the first to look at the
 *   table of the other one in an old snapshot: so the tables are looked at before
 */
#include "twin.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { TWIN_HTT, TWIN_PLAIN };

/* ---------------------------------------------------------------- compare */

void twin_report(const twin *t, const char *what, const char *htt, const char *plain) {
    fprintf(stderr, "%s, %s, %u connections%s%s, line %u: %s differs\n", t->kind->name,
            t->setup.mode, t->setup.pairs, t->setup.other ? ", attached" : "", t->setup.options,
            t->step, what);
    fprintf(stderr, "  htt:\n%s\n  ordinary:\n%s\n  last lines:\n", htt, plain);
    for (unsigned i = t->step > 60 ? t->step - 60 : 1; i <= t->step; i++) {
        fprintf(stderr, "    %s\n", t->trace[i % TWIN_TRACE_LINES]);
    }
    if (t->log != NULL) {
        (void)fflush(t->log);
    }
    fail();
}

static void world_compare_text(const twin *t, const char *what, char *htt, char *plain) {
    if (strcmp(htt, plain) != 0) {
        twin_report(t, what, htt, plain);
    }
    sqlite3_free(htt);
    sqlite3_free(plain);
}

static void world_compare_number(const twin *t, const char *what, sqlite3_int64 htt,
                                 sqlite3_int64 plain) {
    if (htt != plain) {
        world_compare_text(t, what, sqlite3_mprintf("%lld", htt), sqlite3_mprintf("%lld", plain));
    }
}

/* The code of fixture_query's text, 0 = it is no error. */
static int world_code(const char *outcome) {
    return strncmp(outcome, "error ", 6) == 0 ? atoi(outcome + 6) : SQLITE_OK;
}

static bool world_is_busy(int code) {
    return (code & 0xff) == SQLITE_BUSY;
}

/* ---------------------------------------------------------------- readers */

static void world_shut(twin_pair *pair) {
    for (int i = 0; i < 2; i++) {
        sqlite3_finalize(pair->reader[i]);
        pair->reader[i] = NULL;
    }
}

/* A file with so much free space takes it from transactions that do not read just now. */
static bool world_is_large(const twin *t) {
    static const char *const files[] = {"t.htt", "t2.htt"};
    for (int i = 0; i < 2; i++) {
        char path[512];
        struct stat status;
        snprintf(path, sizeof path, "%s/%s", t->folder, files[i]);
        if (stat(path, &status) == 0 && status.st_size > 1024 * 1024) {
            return true;
        }
    }
    return false;
}

/* In an old snapshot of which the htt table was not looked at yet. */
static bool world_may_lose(const twin *t, const twin_pair *pair, bool old) {
    return strcmp(t->setup.mode, "wal") == 0 && t->setup.pairs > 1 &&
           (old || sqlite3_get_autocommit(pair->db[TWIN_HTT]) == 0) &&
           (!pair->pinned || world_is_large(t));
}

/* Where htt alone has lost the snapshot both worlds end the transaction. */
static bool world_lost(twin *t, twin_pair *pair, int htt, int plain, bool old) {
    if (htt != SQLITE_BUSY_SNAPSHOT || world_is_busy(plain) || !world_may_lose(t, pair, old)) {
        return false;
    }
    t->lost++;
    world_shut(pair);
    pair->pinned = false;
    for (int i = 0; i < 2; i++) {
        if (sqlite3_get_autocommit(pair->db[i]) == 0) {
            run(pair->db[i], "ROLLBACK");
        }
    }
    return true;
}

/* A sum that does not depend on the order. */
static uint64_t world_sum_row(sqlite3_stmt *statement) {
    uint64_t sum = 0x9e3779b97f4a7c15u;
    for (int i = 0; i < sqlite3_column_count(statement); i++) {
        sum = (sum ^ (uint64_t)sqlite3_column_type(statement, i)) * 0xff51afd7ed558ccdu;
        const unsigned char *const bytes = sqlite3_column_blob(statement, i);
        for (int at = 0; at < sqlite3_column_bytes(statement, i); at++) {
            sum = (sum ^ bytes[at]) * 0x100000001b3u;
        }
    }
    return sum ^ sum >> 31;
}

static void world_read(twin *t, twin_pair *pair, const char *sql) {
    int rc[2];
    const bool old = pair->reader[0] != NULL;
    for (int i = 0; i < 2; i++) {
        rc[i] = SQLITE_OK;
        if (!old) {
            rc[i] = sqlite3_prepare_v2(pair->db[i], sql, -1, &pair->reader[i], NULL);
            pair->sum[i] = 0;
            pair->changed = false;
        }
        rc[i] = rc[i] == SQLITE_OK ? sqlite3_step(pair->reader[i]) : rc[i];
        if (rc[i] == SQLITE_ROW) {
            pair->sum[i] += world_sum_row(pair->reader[i]);
        }
    }
    if (world_lost(t, pair, rc[TWIN_HTT], rc[TWIN_PLAIN], false)) {
        return;
    }
    if (!pair->changed) {
        world_compare_number(t, "the step of the open SELECT", rc[TWIN_HTT], rc[TWIN_PLAIN]);
        if (rc[TWIN_HTT] == SQLITE_DONE) {
            world_compare_number(t, "the sum of the open SELECT",
                                 (sqlite3_int64)pair->sum[TWIN_HTT],
                                 (sqlite3_int64)pair->sum[TWIN_PLAIN]);
        }
    }
    if (rc[TWIN_HTT] != SQLITE_ROW || rc[TWIN_PLAIN] != SQLITE_ROW) {
        world_shut(pair);
    }
}

/* ------------------------------------------------------------- statements */

/* Where the texts need not be the same only the codes are compared. */
static void world_compare_outcome(twin *t, bool same_text, char *htt, char *plain) {
    const int code = world_code(htt);
    const bool busy = world_is_busy(code) && code == world_code(plain);
    if (busy || (code == world_code(plain) && !same_text)) {
        t->busy += busy;
        sqlite3_free(htt);
        sqlite3_free(plain);
        return;
    }
    world_compare_text(t, "the outcome", htt, plain);
}

static bool world_only_reads(const char *sql) {
    return strncmp(sql, "SELECT", 6) == 0 || strncmp(sql, "BEGIN", 5) == 0 ||
           strncmp(sql, "COMMIT", 6) == 0 || strncmp(sql, "PRAGMA", 6) == 0;
}

/* Whether something was committed since the last look. */
static bool world_look(twin *t, int world, int schema) {
    sqlite3_stmt *const statement = t->version[world][schema];
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    const int version = sqlite3_column_int(statement, 0);
    const bool moved = version != t->seen[world][schema];
    t->seen[world][schema] = version;
    assert_int_equal(sqlite3_reset(statement), SQLITE_OK);
    return moved;
}

/*
 * A statement that changes no row may be a commit in one world, where the module folds or trims, or
 * where an ordinary row is written as it was. In WAL that makes the snapshots of others old, so the
 * other world makes such a commit too.
 */
static void world_level(twin *t, twin_pair *pair) {
    static const char *const updates[2] = {"UPDATE main.level SET x = x + 1",
                                           "UPDATE other.level SET x = x + 1"};
    for (int s = 0; s < 2 && t->version[TWIN_HTT][s] != NULL; s++) {
        bool moved[2];
        for (int i = 0; i < 2; i++) {
            moved[i] = world_look(t, i, s);
        }
        for (int i = 0; i < 2 && moved[0] != moved[1]; i++) {
            if (!moved[i]) {
                run(pair->db[i], updates[s]);
                pair->counted = false;
                (void)world_look(t, i, s);
            }
        }
    }
}

/*
 * A statement that fails may have read the schema before, where its partner did not come so far. In
 * a transaction that holds a lock or a snapshot: now both have it.
 */
static void world_level_read(const twin *t, const twin_pair *pair) {
    const bool keeps = sqlite3_get_autocommit(pair->db[0]) == 0 || pair->reader[0] != NULL;
    for (int i = 0; i < 2 && keeps; i++) {
        sqlite3_free(fixture_query(pair->db[i], "SELECT x FROM main.level"));
        if (t->setup.other) {
            sqlite3_free(fixture_query(pair->db[i], "SELECT x FROM other.level"));
        }
    }
}

static bool world_changes(const char *sql) {
    return strncmp(sql, "INSERT", 6) == 0 || strncmp(sql, "UPDATE", 6) == 0 ||
           strncmp(sql, "DELETE", 6) == 0;
}

/* One has waited for a lock where the other, which has read the schema later, misses the table. */
static bool world_differ_in_schema(const twin *t, const char *a, const char *b) {
    static const char missing[] = "error 1: no such table: ";
    return t->setup.pairs > 1 &&
           ((world_is_busy(world_code(a)) && strncmp(b, missing, sizeof missing - 1) == 0) ||
            (world_is_busy(world_code(b)) && strncmp(a, missing, sizeof missing - 1) == 0));
}

static void world_run(twin *t, twin_pair *pair, const char *htt, const char *plain) {
    const bool old = pair->reader[0] != NULL;
    pair->changed = pair->changed || !world_only_reads(htt);
    char *const a = fixture_query(pair->db[TWIN_HTT], htt);
    char *const b = fixture_query(pair->db[TWIN_PLAIN], plain);
    t->missing =
        strstr(b, "no such table: t") != NULL || strstr(b, "no such table: main.t") != NULL;
    if (world_only_reads(htt) && world_lost(t, pair, world_code(a), world_code(b), old)) {
        sqlite3_free(a);
        sqlite3_free(b);
        return;
    }
    const int plain_code = world_code(b);
    if (plain_code != SQLITE_OK) {
        world_level_read(t, pair);
    }
    /* The outcome of a checkpoint is how many pages there are. */
    const bool checkpoint = strcmp(htt, "PRAGMA wal_checkpoint") == 0;
    const bool fold = strncmp(htt, "SELECT htt_fold", 15) == 0;
    const bool stale = world_differ_in_schema(t, a, b);
    if (stale || (fold && world_code(a) != SQLITE_OK && world_code(b) != SQLITE_OK)) {
        sqlite3_free(a); /* the function looks at the schema first, DELETE at the lock */
        sqlite3_free(b);
    } else {
        world_compare_outcome(t, !checkpoint && !fold, a, b);
    }
    /* Creating and dropping writes to htt_store, which changes() shows until the next change. */
    const bool same = strcmp(htt, plain) == 0 && !stale;
    pair->counted = same && (pair->counted || (plain_code == SQLITE_OK && world_changes(htt)));
    if (pair->counted) {
        world_compare_number(t, "changes()", sqlite3_changes64(pair->db[TWIN_HTT]),
                             sqlite3_changes64(pair->db[TWIN_PLAIN]));
    }
    for (int i = 0; i < 2 && strcmp(htt, "VACUUM") == 0; i++) {
        sqlite3_set_last_insert_rowid(pair->db[i], 0); /* it counts the tables */
    }
    world_compare_number(t, "last_insert_rowid()", sqlite3_last_insert_rowid(pair->db[TWIN_HTT]),
                         sqlite3_last_insert_rowid(pair->db[TWIN_PLAIN]));
    const int autocommit = sqlite3_get_autocommit(pair->db[TWIN_HTT]);
    world_compare_number(t, "autocommit", autocommit, sqlite3_get_autocommit(pair->db[TWIN_PLAIN]));
    pair->pinned = pair->pinned && autocommit == 0;
    world_level(t, pair);
}

/* In an explicit transaction the tables were looked at from now on. */
static void world_compare_rows(twin *t, twin_pair *pair) {
    const char *const key = t->kind->key;
    const bool old = pair->reader[0] != NULL;
    char sql[512];
    int size = snprintf(sql, sizeof sql,
                        "SELECT *, typeof(%s), hex(%s) FROM t ORDER BY typeof(%s), %s; "
                        "SELECT count(*) FROM log; SELECT count(*) FROM source",
                        key, key, key, key);
    if (t->setup.other) {
        size += snprintf(sql + size, sizeof sql - (size_t)size,
                         "; SELECT *, typeof(%s), hex(%s) FROM other.t2 ORDER BY typeof(%s), %s",
                         key, key, key, key);
    }
    assert_true((size_t)size < sizeof sql);
    char *const a = fixture_query(pair->db[TWIN_HTT], sql);
    char *const b = fixture_query(pair->db[TWIN_PLAIN], sql);
    if (world_lost(t, pair, world_code(a), world_code(b), old)) {
        sqlite3_free(a);
        sqlite3_free(b);
        return;
    }
    pair->pinned = sqlite3_get_autocommit(pair->db[TWIN_HTT]) == 0 &&
                   (pair->pinned || world_code(a) == SQLITE_OK);
    if (world_is_busy(world_code(a))) {
        world_compare_outcome(t, true, a, b);
    } else {
        world_compare_text(t, "what the tables hold", a, b);
    }
}

/* An error is one of the ordinary table, too, or the snapshot is gone. */
static void world_check(twin *t, twin_pair *pair, const char *table) {
    char htt[128];
    char plain[128];
    const bool other = strcmp(table, "t") != 0;
    const bool old = pair->reader[0] != NULL;
    snprintf(htt, sizeof htt, "SELECT problem FROM htt_check(%s)", other ? "'t2', 'other'" : "'t'");
    snprintf(plain, sizeof plain,
             "SELECT x FROM log WHERE 0; SELECT 'ok' FROM (SELECT count(*) FROM %s)", table);
    char *const a = fixture_query(pair->db[TWIN_HTT], htt);
    char *const b = fixture_query(pair->db[TWIN_PLAIN], plain);
    const bool gone = world_code(a) == SQLITE_BUSY_SNAPSHOT && world_may_lose(t, pair, old);
    if (strcmp(a, b) != 0 && !gone && (world_code(a) == SQLITE_OK || world_code(b) == SQLITE_OK)) {
        twin_report(t, "htt_check", a, b);
    }
    sqlite3_free(a);
    sqlite3_free(b);
}

/* ------------------------------------------------------------ open, close */

/* SQLITE_BUSY leaves a connection that is less able, in both worlds. */
static sqlite3 *world_connect(const twin *t, int world, char **outcome_out) {
    const char *const name = world == TWIN_HTT ? "htt" : "plain";
    char path[512];
    char sql[1024];
    snprintf(path, sizeof path, "%s/%s.db", t->folder, name);
    sqlite3 *const db = fixture_open_path(path);
    snprintf(sql, sizeof sql,
             "PRAGMA encoding = '%s'; PRAGMA synchronous = OFF; PRAGMA cache_spill = OFF;"
             "PRAGMA legacy_alter_table = ON;" /* triggers keep naming t */
             "PRAGMA wal_autocheckpoint = %u;",
             t->setup.encoding, t->setup.checkpoint);
    char *const first = fixture_query(db, sql);
    snprintf(sql, sizeof sql, "ATTACH '%s/%s2.db' AS other; PRAGMA other.synchronous = OFF",
             t->folder, name);
    char *const second = t->setup.other ? fixture_query(db, sql) : NULL;
    *outcome_out = sqlite3_mprintf("%s %s", first, second == NULL ? "" : second);
    sqlite3_free(first);
    sqlite3_free(second);
    return db;
}

/* Where another connection has the database for itself the mode stays another one, in both. */
static void world_set_mode(twin *t, twin_pair *pair) {
    char sql[64];
    snprintf(sql, sizeof sql, "PRAGMA journal_mode = %s", t->setup.mode);
    world_compare_outcome(t, true, fixture_query(pair->db[TWIN_HTT], sql),
                          fixture_query(pair->db[TWIN_PLAIN], sql));
}

static void world_connect_pair(twin *t, twin_pair *pair) {
    char *outcomes[2];
    *pair = (twin_pair){.counted = true};
    for (int i = 0; i < 2; i++) {
        pair->db[i] = world_connect(t, i, &outcomes[i]);
    }
    world_compare_text(t, "opening", outcomes[TWIN_HTT], outcomes[TWIN_PLAIN]);
    world_set_mode(t, pair);
}

static void world_close_pair(twin_pair *pair) {
    world_shut(pair);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(sqlite3_close(pair->db[i]), SQLITE_OK);
        pair->db[i] = NULL;
    }
}

static void world_fill(const twin *t, sqlite3 *db, int world) {
    const twin_kind *const kind = t->kind;
    char sql[1024];
    run(db, "CREATE TABLE log(x); CREATE TABLE pulled(x); CREATE TABLE level(x);"
            "INSERT INTO level VALUES (0);"
            "CREATE TABLE source(x, y, xn INTEGER AS (CAST(x AS INTEGER)))");
    if (t->setup.other) {
        run(db, "CREATE TABLE other.level(x); INSERT INTO other.level VALUES (0)");
    }
    for (int i = 0; i < (t->setup.other ? 2 : 1); i++) {
        const char *const table = i == 0 ? "t" : "other.t2";
        if (world == TWIN_HTT) {
            snprintf(sql, sizeof sql, "CREATE VIRTUAL TABLE %s USING htt('%s.htt'%s%s)", table,
                     i == 0 ? "t" : "t2", t->setup.options, kind->arguments);
        } else {
            snprintf(sql, sizeof sql, "CREATE TABLE %s(%s) WITHOUT ROWID", table, kind->columns);
        }
        run(db, sql);
    }
    snprintf(sql, sizeof sql,
             "CREATE TRIGGER pull AFTER INSERT ON pulled BEGIN "
             "INSERT OR REPLACE INTO log(rowid, x) VALUES (77, new.x); "
             "UPDATE t SET %s = new.x WHERE %s = new.x; "
             "DELETE FROM t WHERE %s = 3; END; DELETE FROM log",
             kind->others[0], kind->key, kind->key);
    run(db, sql);
}

/* Sees commits of now on. */
static void world_watch(twin *t) {
    for (int i = 0; i < 2 && t->setup.pairs > 1 && strcmp(t->setup.mode, "wal") == 0; i++) {
        char *outcome;
        t->watch[i] = world_connect(t, i, &outcome);
        sqlite3_free(outcome);
        for (int s = 0; s < (t->setup.other ? 2 : 1); s++) {
            const char *const sql =
                s == 0 ? "PRAGMA main.data_version" : "PRAGMA other.data_version";
            assert_int_equal(sqlite3_prepare_v2(t->watch[i], sql, -1, &t->version[i][s], NULL),
                             SQLITE_OK);
            (void)world_look(t, i, s);
        }
    }
}

twin *twin_open(const twin_setup *setup, FILE *log) {
    twin *const t = calloc(1, sizeof *t);
    assert_non_null(t);
    assert_true(setup->pairs >= 1 && setup->pairs <= TWIN_PAIRS_MAX);
    t->setup = *setup;
    t->kind = &twin_kinds[setup->kind];
    t->log = log;
    t->table = "t";
    fixture_make_folder(t->folder, sizeof t->folder);
    world_connect_pair(t, &t->pairs[0]);
    for (int i = 0; i < 2; i++) {
        world_fill(t, t->pairs[0].db[i], i);
    }
    for (unsigned i = 1; i < setup->pairs; i++) {
        world_connect_pair(t, &t->pairs[i]);
    }
    world_watch(t);
    char *const found =
        fixture_query(t->pairs[0].db[TWIN_HTT],
                      "SELECT DISTINCT 1 FROM pragma_function_list WHERE name = 'htt_fold'");
    t->has_fold = strcmp(found, "1") == 0;
    sqlite3_free(found);
    return t;
}

void twin_close(twin *t) {
    for (int i = 0; i < 2; i++) {
        sqlite3_finalize(t->version[i][0]);
        sqlite3_finalize(t->version[i][1]);
        assert_int_equal(sqlite3_close(t->watch[i]), SQLITE_OK);
    }
    for (unsigned i = 0; i < t->setup.pairs; i++) {
        world_close_pair(&t->pairs[i]);
    }
    world_connect_pair(t, &t->pairs[0]);
    world_compare_rows(t, &t->pairs[0]);
    world_check(t, &t->pairs[0], "t");
    if (t->setup.other) {
        world_check(t, &t->pairs[0], "other.t2");
    }
    expect(t->pairs[0].db[TWIN_HTT], "PRAGMA integrity_check", "ok");
    world_close_pair(&t->pairs[0]);
    fixture_remove_folder(t->folder);
    free(t);
}

/* ------------------------------------------------------------------ lines */

void twin_act(twin *t, twin_verb verb, unsigned pair, const char *htt, const char *plain) {
    twin_pair *const p = &t->pairs[pair];
    t->step++;
    snprintf(t->trace[t->step % TWIN_TRACE_LINES], TWIN_TRACE_SIZE, "%c %u %s", (char)verb, pair,
             htt);
    if (t->log != NULL) {
        fprintf(t->log, "%c %u\t%s\t%s\n", (char)verb, pair, htt, plain);
    }
    switch (verb) {
    case TWIN_RUN: world_run(t, p, htt, plain); return;
    case TWIN_READ: world_read(t, p, htt); return;
    case TWIN_SHUT: world_shut(p); return;
    case TWIN_COMPARE: world_compare_rows(t, p); return;
    case TWIN_CHECK: world_check(t, p, htt); return;
    case TWIN_REOPEN:
        world_close_pair(p);
        world_connect_pair(t, p);
        world_level(t, p); /* the last one to leave folds */
        return;
    }
}
