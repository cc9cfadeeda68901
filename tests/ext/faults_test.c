/* SPDX-License-Identifier: MIT */
/*
 * Faults below the engine, seen from SQL: the n-th call that touches the outside fails, for every
 * n, once and from then on. Each statement works or says why not; an ordinary table that is
 * written in the same transactions tells afterwards what the htt table must hold.
 *
 * Files whose root the database keeps have no window: a COMMIT that worked is there, whatever
 * failed. Those of a ':memory:' host have one: the meta page is written after SQLite's commit. If
 * that fails, the next statement says so, and the htt table may be one transaction behind.
 *
 * ctest: timeout=240
 */
#include "fixture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "test_env_fault.h"

extern const struct htt_env *htt_arguments_env; /* ext/arguments.h */

/* Transactions; a statement that names kv is run on p, too. */
static const char *const faults_work[][8] = {
    {"INSERT INTO kv VALUES (1, 'one'), (2, zeroblob(20000)), ('three', 3.0)"},
    {"BEGIN", "INSERT INTO kv VALUES (4, 'four')", "SAVEPOINT a",
     "UPDATE kv SET value = 'changed' WHERE key < 4", "ROLLBACK TO a",
     "DELETE FROM kv WHERE key = 1", "COMMIT"},
    {"UPDATE OR REPLACE kv SET key = 4 WHERE key = 2"},
    {"BEGIN", "INSERT INTO kv SELECT key || ' copy', zeroblob(5000) FROM kv", "SAVEPOINT b",
     "DELETE FROM kv WHERE key = 'three'", "RELEASE b", "COMMIT"},
    {"INSERT OR REPLACE INTO kv VALUES ('three', 'again'), (5, zeroblob(100000))"},
    {"DELETE FROM kv WHERE key = 5"},
};
enum { FAULTS_TRANSACTIONS = sizeof faults_work / sizeof faults_work[0] };

/* How a sweep makes its table. */
typedef struct faults_kind {
    const char *options; /* of the table, each with a comma before it */
    bool hosted;         /* false: the database is in memory, the file keeps its own root */
} faults_kind;

typedef struct faults_run {
    sqlite3 *db;     /* with kv and p */
    bool poisoned;   /* a statement said that a commit may be lost */
    unsigned failed; /* statements that failed */
} faults_run;

static int faults_exec(faults_run *faults, const char *sql) {
    char *message = NULL;
    const int rc = sqlite3_exec(faults->db, sql, NULL, NULL, &message);
    if (rc != SQLITE_OK) {
        faults->failed++;
        assert_non_null(message);
        assert_true(strlen(message) > 3);
        if (strstr(message, "may not have reached") != NULL) {
            faults->poisoned = true;
        }
    }
    sqlite3_free(message);
    return rc;
}

/* On kv, and where that works on p. */
static int faults_exec_both(faults_run *faults, const char *sql) {
    char on_p[256];
    const char *const kv = strstr(sql, " kv");
    const int rc = faults_exec(faults, sql);
    if (rc != SQLITE_OK || kv == NULL) {
        return rc;
    }
    size_t length = 0;
    for (const char *at = sql; *at != '\0'; at++) {
        if (strncmp(at, " kv", 3) == 0) {
            memcpy(on_p + length, " p", 2);
            length += 2;
            at += 2;
        } else {
            on_p[length++] = *at;
        }
    }
    on_p[length] = '\0';
    assert_int_equal(faults_exec(faults, on_p), SQLITE_OK);
    return SQLITE_OK;
}

/* One transaction; rolled back where a part fails. */
static void faults_transaction(faults_run *faults, const char *const *statements) {
    const bool alone = strcmp(statements[0], "BEGIN") != 0;
    int rc = alone ? faults_exec(faults, "BEGIN") : SQLITE_OK;
    for (int i = 0; i < 8 && statements[i] != NULL && rc == SQLITE_OK; i++) {
        rc = faults_exec_both(faults, statements[i]);
    }
    if (alone && rc == SQLITE_OK) {
        rc = faults_exec(faults, "COMMIT");
    }
    if (rc != SQLITE_OK && !sqlite3_get_autocommit(faults->db)) {
        assert_int_equal(faults_exec(faults, "ROLLBACK"), SQLITE_OK);
    }
}

static void faults_read(faults_run *faults) {
    (void)faults_exec(faults, "SELECT count(*), sum(length(value)) FROM kv");
    (void)faults_exec(faults, "SELECT * FROM kv WHERE key IN (1, 2, 'three', 4)");
    (void)faults_exec(faults, "SELECT value FROM kv WHERE key = 4");
}

/* Everything, in a folder that has nothing yet. True: the table could be made. */
static bool faults_workload(faults_run *faults, const char *folder, const faults_kind *kind) {
    char sql[512];
    char path[300];
    snprintf(path, sizeof path, "%s/test.db", folder);
    faults->db = fixture_open_path(kind->hosted ? path : ":memory:");
    run(faults->db,
        "PRAGMA synchronous = OFF; CREATE TABLE p(key PRIMARY KEY, value) WITHOUT ROWID");
    snprintf(sql, sizeof sql, "CREATE VIRTUAL TABLE kv USING htt('%s/kv.htt', busy_timeout=100%s)",
             folder, kind->options);
    if (faults_exec(faults, sql) != SQLITE_OK) {
        return false;
    }
    for (int i = 0; i < FAULTS_TRANSACTIONS; i++) {
        faults_transaction(faults, faults_work[i]);
        faults_read(faults);
    }
    return true;
}

static char *faults_rows(sqlite3 *db, const char *table) {
    char sql[128];
    snprintf(sql, sizeof sql, "SELECT key, length(value), typeof(value) FROM %s ORDER BY key",
             table);
    return fixture_query(db, sql);
}

/* After the fault: the file is sound and holds what p held. */
static void faults_check(const faults_run *faults, const char *folder, const faults_kind *kind,
                         const char *p, const char *what) {
    char text[512];
    snprintf(text, sizeof text, "%s/test.db", folder);
    sqlite3 *const db = fixture_open_path(kind->hosted ? text : ":memory:");
    if (!kind->hosted) {
        snprintf(text, sizeof text, "CREATE VIRTUAL TABLE kv USING htt('%s/kv.htt')", folder);
        run(db, text);
    }
    char *const kv = faults_rows(db, "kv");
    char *const check = fixture_query(db, "SELECT * FROM htt_check('kv')");
    if ((strcmp(kv, p) != 0 && !faults->poisoned) || (kind->hosted && faults->poisoned) ||
        strncmp(kv, "error", 5) == 0 || strcmp(check, "ok") != 0) {
        fprintf(stderr, "%s\n  kv: %s\n  p: %s\n  check: %s\n", what, kv, p, check);
        fail();
    }
    sqlite3_free(kv);
    sqlite3_free(check);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

/* Without its lock file a new file is not known to be nobody else's: it stays, empty. */
static void faults_remove_empty(const char *folder) {
    char path[512];
    struct stat found;
    snprintf(path, sizeof path, "%s/kv.htt", folder);
    if (stat(path, &found) == 0 && found.st_size == 0) {
        assert_int_equal(unlink(path), 0);
    }
}

/* What is left of a table that could not be made is not in the way of another try. */
static void faults_try_again(const char *folder, const char *what) {
    char text[512];
    snprintf(text, sizeof text, "%s/test.db", folder);
    faults_run again = {.db = fixture_open_path(text)};
    faults_remove_empty(folder);
    snprintf(text, sizeof text, "CREATE VIRTUAL TABLE kv USING htt('%s/kv.htt')", folder);
    if (faults_exec(&again, text) != SQLITE_OK) {
        fprintf(stderr, "%s: %s\n", what, sqlite3_errmsg(again.db));
        fail();
    }
    assert_int_equal(sqlite3_close(again.db), SQLITE_OK);
}

/* One round with one plan. False: the plan was never reached. */
static bool faults_round(fault_env *fault, const fault_plan *plan, const faults_kind *kind) {
    char folder[256];
    char what[256];
    faults_run faults = {0};
    fixture_make_folder(folder, sizeof folder);
    fault_env_arm(fault, plan);
    const bool made = faults_workload(&faults, folder, kind);
    const bool reached = fault_env_failures(fault) > 0;
    snprintf(what, sizeof what, "call %llu (%s), error %d, persistent %d, hosted %d, options '%s'",
             (unsigned long long)plan->nth, fault_env_failed_kind(fault), plan->error,
             plan->persistent, kind->hosted, kind->options);
    fault_env_disarm(fault);
    (void)faults_exec(&faults, "SELECT count(*) FROM kv"); /* says so if the last commit failed */
    char *const p = faults_rows(faults.db, "p");
    assert_int_equal(sqlite3_close(faults.db), SQLITE_OK);
    assert_int_equal(fault_env_held(fault), 0);
    if (made) {
        faults_check(&faults, folder, kind, p, what);
    } else {
        faults_try_again(folder, what);
    }
    sqlite3_free(p);
    fixture_remove_folder(folder);
    return reached;
}

static void faults_sweep(const char *options, bool hosted) {
    static const fault_plan plans[] = {
        {.kinds = FAULT_IO, .error = EIO},
        {.kinds = FAULT_IO, .error = EIO, .persistent = true},
        {.kinds = FAULT_WRITE | FAULT_SYNC | FAULT_RESERVE, .error = EIO},
        {.kinds = FAULT_SPACE, .error = ENOSPC, .persistent = true, .partial = true},
        {.kinds = FAULT_MEMORY, .error = ENOMEM},
        {.kinds = FAULT_MEMORY, .error = ENOMEM, .persistent = true},
    };
    const faults_kind kind = {.options = options, .hosted = hosted};
    fault_env *const fault = fault_env_new(htt_env_system());
    htt_arguments_env = fault_env_table(fault);
    for (size_t i = 0; i < sizeof plans / sizeof plans[0]; i++) {
        fault_plan plan = plans[i];
        plan.nth = 1;
        while (faults_round(fault, &plan, &kind)) {
            plan.nth++;
        }
        print_message("plan %zu%s%s: %llu rounds\n", i, hosted ? "" : " in memory", options,
                      (unsigned long long)plan.nth);
    }
    htt_arguments_env = NULL;
    fault_env_free(fault);
}

static void test_faults__each_call_fails_with_mmap(void **state) {
    (void)state;
    faults_sweep("", true);
}

static void test_faults__each_call_fails_without_mmap(void **state) {
    (void)state;
    faults_sweep(", mmap=off", true);
}

static void test_faults__each_call_fails_where_every_commit_folds(void **state) {
    (void)state;
    faults_sweep(", fold_rows=1", true);
}

static void test_faults__each_call_fails_where_the_file_keeps_its_root(void **state) {
    (void)state;
    faults_sweep("", false);
    faults_sweep(", mmap=off", false);
}

/* The meta page of a commit fails: SQLite has committed by then. */
static void test_faults__commit_that_fails_last_is_told_by_the_next_statement(void **state) {
    (void)state;
    char folder[256];
    char create[512];
    fault_env *const fault = fault_env_new(htt_env_system());
    fixture_make_folder(folder, sizeof folder);
    snprintf(create, sizeof create, "CREATE VIRTUAL TABLE kv USING htt('%s/kv.htt')", folder);
    htt_arguments_env = fault_env_table(fault);
    sqlite3 *db = fixture_open_path(":memory:");
    run(db, create);
    run(db, "CREATE TABLE t(x); INSERT INTO kv VALUES (1, 'one')");
    /* How many syncs does a commit have? The last is the meta page's. */
    fault_env_arm(fault, &(fault_plan){.kinds = FAULT_SYNC});
    run(db, "INSERT INTO kv VALUES (2, 'two')");
    const uint64_t syncs = fault_env_calls(fault, FAULT_SYNC);
    assert_true(syncs >= 2);
    fault_env_arm(fault, &(fault_plan){.kinds = FAULT_SYNC, .nth = syncs, .error = EIO});
    run(db, "BEGIN; INSERT INTO kv VALUES (3, 'three'); INSERT INTO t VALUES (1); COMMIT");
    fault_env_disarm(fault);
    const char *const message = "the last commit may not have reached";
    expect_error(db, "SELECT * FROM kv", SQLITE_ERROR, message);
    expect_error(db, "INSERT INTO kv VALUES (4, 'four')", SQLITE_ERROR, message);
    expect_error(db, "SELECT htt_vacuum('kv')", SQLITE_ERROR, message);
    expect(db, "SELECT count(*) FROM t", "1");
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    db = fixture_open_path(":memory:");
    run(db, create);
    run(db, "INSERT OR REPLACE INTO kv VALUES (3, 'three')");
    expect(db, "SELECT key FROM kv ORDER BY key", "1\n2\n3");
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    htt_arguments_env = NULL;
    fault_env_free(fault);
    fixture_remove_folder(folder);
}

/* Each sync of a fold fails: the rows stay in the outbox, and the COMMIT works. */
static void test_faults__fold_that_fails_costs_nothing(void **state) {
    (void)state;
    char folder[256];
    char path[512];
    fault_env *const fault = fault_env_new(htt_env_system());
    fixture_make_folder(folder, sizeof folder);
    snprintf(path, sizeof path, "%s/test.db", folder);
    htt_arguments_env = fault_env_table(fault);
    sqlite3 *db = fixture_open_path(path);
    run(db, "CREATE VIRTUAL TABLE kv USING htt('kv.htt', fold_rows=1); CREATE TABLE t(x);"
            "INSERT INTO kv VALUES (1, 'one')");
    fault_env_arm(fault,
                  &(fault_plan){.kinds = FAULT_SYNC, .nth = 1, .error = EIO, .persistent = true});
    run(db, "BEGIN; INSERT INTO kv VALUES (2, 'two'); INSERT INTO t VALUES (1); COMMIT");
    assert_true(fault_env_failures(fault) > 0);
    expect(db, "SELECT value FROM htt_stat('kv') WHERE name = 'outbox_rows'", "1");
    fault_env_disarm(fault);
    run(db, "BEGIN; INSERT INTO kv VALUES (3, 'three'); INSERT INTO t VALUES (2); COMMIT");
    expect(db, "SELECT key FROM kv ORDER BY key", "1\n2\n3");
    /* Until it is opened again the pages of that file are not believed. */
    expect(db, "SELECT value FROM htt_stat('kv') WHERE name = 'outbox_rows'", "2");
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    db = fixture_open_path(path);
    run(db, "INSERT INTO kv VALUES (4, 'four')");
    expect(db, "SELECT value FROM htt_stat('kv') WHERE name = 'outbox_rows'", "0");
    expect(db, "SELECT key FROM kv ORDER BY key", "1\n2\n3\n4");
    expect(db, "SELECT count(*) FROM t", "2");
    expect(db, "SELECT * FROM htt_check('kv')", "ok");
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    htt_arguments_env = NULL;
    fault_env_free(fault);
    fixture_remove_folder(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_faults__each_call_fails_with_mmap),
        cmocka_unit_test(test_faults__each_call_fails_without_mmap),
        cmocka_unit_test(test_faults__each_call_fails_where_every_commit_folds),
        cmocka_unit_test(test_faults__each_call_fails_where_the_file_keeps_its_root),
        cmocka_unit_test(test_faults__fold_that_fails_costs_nothing),
        cmocka_unit_test(test_faults__commit_that_fails_last_is_told_by_the_next_statement),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
