/* SPDX-License-Identifier: MIT */
/*
 * One commit after the other: what this connection has committed itself it does not ask the
 * database for again, and what others have committed in between it sees.
 */
#include <string.h>

#include "hosted_world.h"

/* Statements of the module that ran. */
typedef struct commits_count {
    int selects; /* SELECT */
    int inserts; /* INSERT INTO "main".htt_outbox */
} commits_count;

static int commits_trace(unsigned event, void *arg, void *statement, void *text) {
    commits_count *const count = arg;
    (void)event;
    (void)statement;
    /* SQLite puts the dashes before statements that run within another one. */
    count->selects += strstr(text, "-- SELECT") == text;
    count->inserts += strstr(text, "-- INSERT INTO \"main\".htt_outbox") == text;
    return 0;
}

static void test_hosted__own_commit_is_not_looked_up(hosted_world *world) {
    sqlite3 *const db = world->db;
    sqlite3 *const other = hosted_open(world);
    commits_count count = {0, 0};
    if (hosted_folds(world)) {
        hosted_close(other);
        return; /* each commit moves the root */
    }
    run(db, "INSERT INTO kv VALUES (2, 'two')");
    assert_int_equal(sqlite3_trace_v2(db, SQLITE_TRACE_STMT, commits_trace, &count), SQLITE_OK);
    run(db, "REPLACE INTO kv VALUES (3, 'three')");
    run(db, "UPDATE kv SET value = 'zwei' WHERE key = 2");
    run(db, "DELETE FROM kv WHERE key = 1");
    run(db, "DELETE FROM kv WHERE key = 99");
    run(db, "INSERT INTO kv VALUES (4, 'four')");
    assert_int_equal(count.inserts, 4);
    assert_int_equal(count.selects, 0);
    run(db, "BEGIN; INSERT INTO kv VALUES (5, 'five'); INSERT INTO kv VALUES (6, 'six'); COMMIT");
    assert_int_equal(count.inserts, 6);
    assert_int_equal(count.selects, 1); /* is the newest row there, before the commit */
    run(other, "DELETE FROM kv WHERE key = 6");
    run(db, "INSERT INTO kv VALUES (7, 'seven')");
    assert_true(count.selects > 1);
    assert_int_equal(sqlite3_trace_v2(db, 0, NULL, NULL), SQLITE_OK);
    hosted_close(other);
    hosted_settle(world, "2|zwei\n3|three\n4|four\n5|five\n7|seven");
}

static void test_hosted__commits_of_two_take_turns(hosted_world *world) {
    sqlite3 *dbs[2] = {world->db, hosted_open(world)};
    for (int i = 0; i < 60; i++) {
        sqlite3 *const db = dbs[(i * 7 / 3) % 2];
        char *const sql = sqlite3_mprintf("REPLACE INTO kv VALUES (2, %d); "
                                          "UPDATE kv SET value = value + 1000 WHERE key = 2; "
                                          "DELETE FROM kv WHERE key = %d; "
                                          "INSERT INTO kv VALUES (%d, 'x')",
                                          i, 9 + i, 10 + i);
        run(db, sql);
        sqlite3_free(sql);
        char *const rows = sqlite3_mprintf("1|one\n2|%d\n%d|x", 1000 + i, 10 + i);
        expect(dbs[(i + 1) % 2], hosted_all, rows);
        expect(dbs[i % 2], hosted_all, rows);
        sqlite3_free(rows);
    }
    hosted_close(dbs[1]);
    hosted_settle(world, "1|one\n2|1059\n69|x");
}

/* The row in htt_store and those of the outbox are changed by others than the module, too. */
static void test_hosted__own_commit_of_other_tables_is_looked_up(hosted_world *world) {
    sqlite3 *const db = world->db;
    run(db, "CREATE TABLE t(x); INSERT INTO kv VALUES (2, 'two'), (3, 'three')");
    if (!hosted_folds(world)) {
        run(db, "DELETE FROM htt_outbox WHERE id = (SELECT max(id) FROM htt_outbox)");
        expect(db, hosted_all, "1|one\n2|two");
        run(db, "INSERT INTO kv VALUES (3, 'three')");
    }
    run(db, "INSERT INTO t VALUES (1)");
    expect(db, hosted_all, "1|one\n2|two\n3|three");
    hosted_settle(world, "1|one\n2|two\n3|three");
}

/* gone(key): deletes the row in the midst of a statement, and gives a value. */
static void commits_gone(sqlite3_context *context, int argc, sqlite3_value **argv) {
    sqlite3 *const db = sqlite3_context_db_handle(context);
    (void)argc;
    char *const sql =
        sqlite3_mprintf("DELETE FROM kv WHERE key = %d", sqlite3_value_int(argv[0]));
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_free(sql);
    sqlite3_result_text(context, "gone", -1, SQLITE_STATIC);
}

static void test_hosted__row_that_goes_while_its_statement_runs(hosted_world *world) {
    sqlite3 *const db = world->db;
    assert_int_equal(sqlite3_create_function(db, "gone", 1, SQLITE_UTF8, NULL, commits_gone, NULL,
                                             NULL), SQLITE_OK);
    run(db, "INSERT INTO kv VALUES (2, 'two'), (3, 'three')");
    run(db, "UPDATE kv SET value = gone(2) WHERE key = 2");
    expect(db, hosted_all, "1|one\n3|three");
    run(db, "BEGIN; UPDATE kv SET value = gone(1) WHERE key = 3; "
            "UPDATE kv SET value = gone(3) WHERE key = 3; INSERT INTO kv VALUES (3, 'x'); "
            "SAVEPOINT s; DELETE FROM kv WHERE key = 3; ROLLBACK TO s; "
            "UPDATE kv SET value = 'drei' WHERE key = 3; COMMIT");
    hosted_settle(world, "3|drei");
}

int main(void) {
    static const hosted_scenario scenarios[] = {
        hosted_case(test_hosted__own_commit_is_not_looked_up),
        hosted_case(test_hosted__commits_of_two_take_turns),
        hosted_case(test_hosted__own_commit_of_other_tables_is_looked_up),
        hosted_case(test_hosted__row_that_goes_while_its_statement_runs),
    };
    return hosted_run(scenarios, sizeof scenarios / sizeof scenarios[0]);
}
