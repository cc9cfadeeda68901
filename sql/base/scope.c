/* SPDX-License-Identifier: MIT */
/*
 * Scopes: a transaction where none runs, else a savepoint.
 *
 *              enter                    commit       rollback
 *   outermost  BEGIN [IMMEDIATE]        COMMIT       ROLLBACK
 *   inside     SAVEPOINT htt_scope      RELEASE      ROLLBACK TO, RELEASE
 *   fake       remembers the length     outermost:   undoes down to
 *              of the undo log          empties it   that length
 *
 * All savepoints have one name: SQLite takes the newest of that name, which is the innermost.
 */
#include <assert.h>

#include "sql/base/db.h"
#include "sql/base/fake.h"
#include "sql/base/statements.h"

typedef enum scope_sql {
    SCOPE_BEGIN,
    SCOPE_BEGIN_IMMEDIATE,
    SCOPE_COMMIT,
    SCOPE_ROLLBACK,
    SCOPE_SAVEPOINT,
    SCOPE_RELEASE,
    SCOPE_ROLLBACK_TO,
    SCOPE_SQL_COUNT
} scope_sql;

static const char *const scope_texts[] = {
    [SCOPE_BEGIN] = "BEGIN",
    [SCOPE_BEGIN_IMMEDIATE] = "BEGIN IMMEDIATE",
    [SCOPE_COMMIT] = "COMMIT",
    [SCOPE_ROLLBACK] = "ROLLBACK",
    [SCOPE_SAVEPOINT] = "SAVEPOINT htt_scope",
    [SCOPE_RELEASE] = "RELEASE htt_scope",
    [SCOPE_ROLLBACK_TO] = "ROLLBACK TO htt_scope",
};
static_assert(sizeof scope_texts / sizeof scope_texts[0] == SCOPE_SQL_COUNT, "one text each");
static const htt_statement_table scope_table = {"transaction", scope_texts, SCOPE_SQL_COUNT, NULL};

static htt_rc scope_run(htt_db *db, scope_sql which) {
    sqlite3_stmt *statement;
    const htt_rc rc = htt_statement_get(db, &scope_table, which, &statement);
    return rc == HTT_OK ? htt_statement_run(db, &scope_table, statement) : rc;
}

/* Runs without touching the db's error. */
static bool scope_run_quietly(htt_db *db, scope_sql which) {
    sqlite3_stmt *statement;
    if (htt_statement_get(db, &scope_table, which, &statement) != HTT_OK) {
        return false;
    }
    const int code = sqlite3_step(statement);
    htt_statement_done(statement);
    return code == SQLITE_DONE;
}

bool htt_db_in_transaction(const htt_db *db) {
    return htt_db_is_fake(db) ? db->depth > 0 : !sqlite3_get_autocommit(db->connection);
}

htt_rc htt_scope_enter(htt_db *db, htt_scope *scope, htt_scope_mode mode) {
    const bool inside = htt_db_in_transaction(db);
    scope->is_savepoint = inside;
    scope->mark = 0;
    if (htt_db_is_fake(db)) {
        scope->mark = htt_fake_mark(db->fake);
    } else {
        if (db->depth > 0 && !inside) {
            return htt_db_fail(db, HTT_ABORTED, "the transaction that this would be a part of is "
                                                "over: SQLite or the application rolled it back");
        }
        /* What ends a scope is prepared before it begins, so that its end needs no memory. */
        sqlite3_stmt *statement;
        htt_rc rc = htt_statement_get(db, &scope_table, SCOPE_ROLLBACK, &statement);
        if (rc == HTT_OK && inside) {
            rc = htt_statement_get(db, &scope_table, SCOPE_ROLLBACK_TO, &statement);
        }
        if (rc == HTT_OK) {
            rc = htt_statement_get(db, &scope_table, inside ? SCOPE_RELEASE : SCOPE_COMMIT,
                                   &statement);
        }
        if (rc == HTT_OK) {
            rc = scope_run(db, inside                        ? SCOPE_SAVEPOINT
                               : mode == HTT_SCOPE_IMMEDIATE ? SCOPE_BEGIN_IMMEDIATE
                                                             : SCOPE_BEGIN);
        }
        if (rc != HTT_OK) {
            if (!inside && htt_db_in_transaction(db)) { /* interrupted behind its end */
                (void)scope_run_quietly(db, SCOPE_ROLLBACK);
            }
            return rc;
        }
    }
    scope->depth = ++db->depth;
    return HTT_OK;
}

htt_rc htt_scope_commit(htt_db *db, htt_scope *scope) {
    assert(scope->depth == db->depth);
    if (htt_db_is_fake(db)) {
        if (db->depth == 1) {
            htt_fake_commit(db->fake);
        }
    } else if (!htt_db_in_transaction(db)) {
        return htt_db_fail(db, HTT_ABORTED, "nothing is committed: SQLite or the application has "
                                            "rolled back the whole transaction");
    } else {
        const htt_rc rc = scope_run(db, scope->is_savepoint ? SCOPE_RELEASE : SCOPE_COMMIT);
        if (rc != HTT_OK) {
            return rc;
        }
    }
    db->depth--;
    scope->depth = 0;
    return HTT_OK;
}

void htt_scope_rollback(htt_db *db, htt_scope *scope) {
    assert(scope->depth == db->depth);
    db->depth--;
    scope->depth = 0;
    if (htt_db_is_fake(db)) {
        htt_fake_undo(db->fake, scope->mark);
        if (db->depth == 0) {
            htt_fake_commit(db->fake);
        }
        return;
    }
    if (!htt_db_in_transaction(db)) {
        return; /* SQLite has done it */
    }
    if (!scope->is_savepoint || !scope_run_quietly(db, SCOPE_ROLLBACK_TO) ||
        !scope_run_quietly(db, SCOPE_RELEASE)) {
        (void)scope_run_quietly(db, SCOPE_ROLLBACK); /* ends the transaction in every case */
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
