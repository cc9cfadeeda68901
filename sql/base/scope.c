/* SPDX-License-Identifier: MIT */
/*
 * Scopes: a transaction where none runs, else a savepoint.
 *
 *              enter                    commit           rollback
 *   outermost  BEGIN [IMMEDIATE]        COMMIT           ROLLBACK
 *   inside     SAVEPOINT htt_scope_<n>  RELEASE          ROLLBACK TO, RELEASE
 *   fake       remembers the length     outermost:       undoes down to
 *              of the undo log          empties it       that length
 *
 * n is the depth: a ROLLBACK TO whose savepoint is gone fails, and does not take the one around it.
 *
 * SQLite can report that a statement was interrupted (sqlite3_interrupt, a progress handler) after
 * all of it was done. After a COMMIT the pager's data version tells which it was, after a RELEASE
 * the savepoint's absence.
 */
#include <assert.h>

#include "sql/base/db.h"
#include "sql/base/fake.h"
#include "sql/base/statements.h"

enum { SCOPE_NEST_MAX = 32 }; /* savepoints inside of each other */

typedef enum scope_sql {
    SCOPE_BEGIN,
    SCOPE_BEGIN_IMMEDIATE,
    SCOPE_COMMIT,
    SCOPE_ROLLBACK,
    SCOPE_SAVEPOINT, /* of depth 1, and so on */
    SCOPE_RELEASE = SCOPE_SAVEPOINT + SCOPE_NEST_MAX,
    SCOPE_ROLLBACK_TO = SCOPE_RELEASE + SCOPE_NEST_MAX,
    SCOPE_SQL_COUNT = SCOPE_ROLLBACK_TO + SCOPE_NEST_MAX
} scope_sql;

/* clang-format off */
#define SCOPE_8(verb, tens)                                                                        \
    (verb " htt_scope_" tens "1"), (verb " htt_scope_" tens "2"), (verb " htt_scope_" tens "3"),   \
    (verb " htt_scope_" tens "4"), (verb " htt_scope_" tens "5"), (verb " htt_scope_" tens "6"),   \
    (verb " htt_scope_" tens "7"), (verb " htt_scope_" tens "8")
#define SCOPE_ALL(verb)                                                                            \
    SCOPE_8(verb, "a"), SCOPE_8(verb, "b"), SCOPE_8(verb, "c"), SCOPE_8(verb, "d")

static const char *const scope_texts[] = {
    "BEGIN", "BEGIN IMMEDIATE", "COMMIT", "ROLLBACK",
    SCOPE_ALL("SAVEPOINT"),
    SCOPE_ALL("RELEASE"),
    SCOPE_ALL("ROLLBACK TO"),
};
/* clang-format on */
static_assert(sizeof scope_texts / sizeof scope_texts[0] == SCOPE_SQL_COUNT, "one text each");
static const htt_statement_table scope_table = {"transaction", scope_texts, SCOPE_SQL_COUNT, NULL};

static htt_rc scope_run(htt_db *db, unsigned which) {
    sqlite3_stmt *statement;
    const htt_rc rc = htt_statement_get(db, &scope_table, which, &statement);
    return rc == HTT_OK ? htt_statement_run(db, &scope_table, statement) : rc;
}

bool htt_db_in_transaction(const htt_db *db) {
    return htt_db_is_fake(db) ? db->depth > 0 : !sqlite3_get_autocommit(db->connection);
}

/* Runs without touching the db's error; the statement was prepared when the scope was entered. */
static bool scope_run_quietly(htt_db *db, unsigned which) {
    sqlite3_stmt *statement;
    const bool due = db->rollback_due;
    int code = SQLITE_NOMEM;
    db->rollback_due = false; /* this is what may be run */
    if (htt_statement_get(db, &scope_table, which, &statement) == HTT_OK) {
        code = sqlite3_step(statement);
        htt_statement_done(statement);
    }
    db->rollback_due = due;
    return code == SQLITE_DONE;
}

/* Ends the transaction, in every case, now or later. */
static void scope_roll_back_all(htt_db *db) {
    if (!scope_run_quietly(db, SCOPE_ROLLBACK) && htt_db_in_transaction(db)) {
        (void)scope_run_quietly(db, SCOPE_ROLLBACK); /* sqlite3_interrupt interrupts once */
    }
    db->rollback_due = htt_db_in_transaction(db);
    db->rollback_changes = sqlite3_total_changes64(db->connection);
}

htt_rc htt_db_settle(htt_db *db) {
    if (db->rollback_due && htt_db_in_transaction(db) && db->depth == 0 &&
        db->rollback_changes == sqlite3_total_changes64(db->connection)) {
        scope_roll_back_all(db);
    }
    if (!db->rollback_due || !htt_db_in_transaction(db)) {
        db->rollback_due = false;
        return HTT_OK;
    }
    return htt_db_fail(db, HTT_ABORTED,
                       "a transaction could not be rolled back, for want of memory or because it "
                       "is interrupted again and again: end what is begun, and run ROLLBACK on "
                       "the connection");
}

/* Prepares what begins and what ends the scope, so that its end needs no memory. */
static htt_rc scope_prepare(htt_db *db, unsigned nested, bool inside) {
    const unsigned wanted[] = {inside ? SCOPE_ROLLBACK_TO + nested : SCOPE_COMMIT,
                               inside ? SCOPE_RELEASE + nested : SCOPE_COMMIT, SCOPE_ROLLBACK};
    sqlite3_stmt *statement;
    htt_rc rc = HTT_OK;
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0] && rc == HTT_OK; i++) {
        rc = htt_statement_get(db, &scope_table, wanted[i], &statement);
    }
    return rc;
}

static htt_rc scope_enter_sqlite(htt_db *db, htt_scope *scope, htt_scope_mode mode) {
    if (db->depth > 0 && !scope->is_savepoint) {
        return htt_db_fail(db, HTT_ABORTED, "the transaction that this would be a part of is "
                                            "over: SQLite or the application rolled it back");
    }
    if (db->depth == SCOPE_NEST_MAX) {
        return htt_db_fail(db, HTT_MISUSE, "more than %d units of work inside of each other",
                           SCOPE_NEST_MAX);
    }
    htt_rc rc = scope_prepare(db, db->depth, scope->is_savepoint);
    if (rc == HTT_OK) {
        rc = scope_run(db, scope->is_savepoint           ? SCOPE_SAVEPOINT + db->depth
                           : mode == HTT_SCOPE_IMMEDIATE ? SCOPE_BEGIN_IMMEDIATE
                                                         : SCOPE_BEGIN);
    }
    if (rc != HTT_OK && !scope->is_savepoint && htt_db_in_transaction(db)) {
        scope_roll_back_all(db); /* interrupted when it had begun */
    }
    return rc;
}

htt_rc htt_scope_enter(htt_db *db, htt_scope *scope, htt_scope_mode mode) {
    if (db->rollback_due) {
        const htt_rc rc = htt_db_settle(db);
        if (rc != HTT_OK) {
            return rc;
        }
    }
    scope->is_savepoint = htt_db_in_transaction(db);
    scope->mark = 0;
    if (htt_db_is_fake(db)) {
        scope->mark = htt_fake_mark(db->fake);
    } else {
        const htt_rc rc = scope_enter_sqlite(db, scope, mode);
        if (rc != HTT_OK) {
            return rc;
        }
    }
    scope->depth = ++db->depth;
    return HTT_OK;
}

/* Changes with each commit to the schema's file, and not with a rollback. */
static unsigned scope_data_version(const htt_db *db) {
    unsigned version = 0;
    (void)sqlite3_file_control(db->connection, db->schema, SQLITE_FCNTL_DATA_VERSION, &version);
    return version;
}

static htt_rc scope_commit_sqlite(htt_db *db, const htt_scope *scope) {
    const unsigned nested = scope->depth - 1;
    if (db->rollback_due) {
        return htt_db_settle(db); /* scopes are entered: says why not */
    }
    if (!htt_db_in_transaction(db)) {
        return htt_db_fail(db, HTT_ABORTED, "nothing is committed: SQLite or the application has "
                                            "rolled back the whole transaction");
    }
    if (scope->is_savepoint) {
        const htt_rc rc = scope_run(db, SCOPE_RELEASE + nested);
        /* Interrupted before it was done, it is done now; after it, there is no such savepoint. */
        return rc == HTT_ABORTED && htt_db_in_transaction(db) &&
                       (scope_run_quietly(db, SCOPE_RELEASE + nested) ||
                        sqlite3_errcode(db->connection) == SQLITE_ERROR)
                   ? HTT_OK
                   : rc;
    }
    const unsigned before = scope_data_version(db);
    const htt_rc rc = scope_run(db, SCOPE_COMMIT);
    return rc != HTT_OK && !htt_db_in_transaction(db) && scope_data_version(db) != before ? HTT_OK
                                                                                         : rc;
}

htt_rc htt_scope_commit(htt_db *db, htt_scope *scope) {
    htt_rc rc = HTT_OK;
    assert(scope->depth == db->depth);
    if (!htt_db_is_fake(db)) {
        rc = scope_commit_sqlite(db, scope);
    } else if (db->depth == 1) {
        htt_fake_commit(db->fake);
    }
    if (rc == HTT_OK) {
        db->depth--;
        scope->depth = 0;
    }
    return rc;
}

void htt_scope_rollback(htt_db *db, htt_scope *scope) {
    assert(scope->depth == db->depth);
    const unsigned nested = --db->depth;
    scope->depth = 0;
    if (htt_db_is_fake(db)) {
        htt_fake_undo(db->fake, scope->mark);
        if (nested == 0) {
            htt_fake_commit(db->fake);
        }
        return;
    }
    if (!htt_db_in_transaction(db)) {
        db->rollback_due = false;
        return; /* SQLite has done it */
    }
    if (!scope->is_savepoint || !scope_run_quietly(db, SCOPE_ROLLBACK_TO + nested) ||
        !scope_run_quietly(db, SCOPE_RELEASE + nested)) {
        scope_roll_back_all(db);
    }
}

htt_rc htt_scope_leave(htt_db *db, htt_scope *scope, htt_rc rc) {
    if (rc == HTT_OK) {
        rc = htt_scope_commit(db, scope);
    }
    if (rc != HTT_OK) {
        htt_scope_rollback(db, scope);
    }
    return rc;
}
