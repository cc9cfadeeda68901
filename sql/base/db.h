/* SPDX-License-Identifier: MIT */
/*
 * The inside of an htt_db: what the parts of this layer share.
 *
 *   errors      htt_db_fail, htt_db_fail_sqlite: fill the db's error, give the result back
 *   scopes      a transaction, or a savepoint where one runs already; the fake has them too
 *   open things repositories, units and others that must be closed before the db
 *
 * A scope is how a part does several statements as one:
 *
 *     htt_scope scope;
 *     htt_rc rc = htt_scope_enter(db, &scope, HTT_SCOPE_IMMEDIATE);
 *     if (rc != HTT_OK) {
 *         return rc;
 *     }
 *     rc = event_insert(db, ...);
 *     return htt_scope_leave(db, &scope, rc);      commits when rc is HTT_OK, else rolls back
 *
 * Scopes nest strictly: the inner one is left first. A db's own scopes may stand inside a
 * transaction that the application began on the connection: then the outermost is a savepoint, and
 * nothing is durable before the application commits.
 */
#ifndef HTT_SQL_BASE_DB_H
#define HTT_SQL_BASE_DB_H

#include "sql/base/sqlite.h"
#include "sql/htt_db.h"

#define HTT_SQL_PRINTF(format_at, first_at) __attribute__((format(printf, format_at, first_at)))

typedef struct htt_statements htt_statements; /* statements.h */
typedef struct htt_fake htt_fake;             /* fake.h */

/* Something that must be closed before the db; embedded in it. */
typedef struct htt_open_thing {
    struct htt_open_thing *next; /* of the db's list */
    const char *kind;            /* "repository", "unit of work" */
    const char *name;            /* or NULL; borrowed from the thing */
} htt_open_thing;

/* What a part keeps with the db; embedded in the part's own. Released when the db is closed. */
typedef struct htt_attachment {
    struct htt_attachment *next;                  /* of the db's list */
    void (*release)(struct htt_attachment *self); /* frees it */
} htt_attachment;

struct htt_db {
    sqlite3 *connection;        /* borrowed; NULL = a fake */
    htt_fake *fake;             /* owned; NULL = a connection */
    char *schema;               /* owned; as it was given */
    char *schema_quoted;        /* owned; as it stands in SQL, with its quotes */
    htt_platform platform;      /* time and chance */
    htt_statements *statements; /* owned list, one for each table of statements in use */
    htt_open_thing *things;     /* borrowed list */
    htt_attachment *attached;   /* owned list */
    struct htt_uow *unit;       /* borrowed: the innermost active unit of work; NULL: none */
    unsigned depth;             /* scopes entered and not left */
    bool rollback_due;          /* a ROLLBACK could not be done: see htt_db_settle */
    int64_t rollback_changes;   /* sqlite3_total_changes64 at that time */
    htt_rc error_rc;            /* HTT_OK: nothing failed yet */
    char error_text[1024];      /* one line */
};

static inline bool htt_db_is_fake(const htt_db *db) {
    return db->connection == NULL;
}

/* --------------------------------------------------------------- errors */

/* Fills the db's error. Gives rc. The text may be made of the text that is there. */
htt_rc htt_db_fail(htt_db *db, htt_rc rc, const char *format, ...) HTT_SQL_PRINTF(3, 4);
/* HTT_NOMEM, with a text. */
htt_rc htt_db_fail_memory(htt_db *db);
/*
 * After a call of SQLite gave `code`: the text is "<what>: <SQLite's message> (SQLite <code>)",
 * the result htt_sqlite_rc's. Call it before anything else is done on the connection.
 */
htt_rc htt_db_fail_sqlite(htt_db *db, int code, const char *format, ...) HTT_SQL_PRINTF(3, 4);

/* -------------------------------------------------------------- options */

/*
 * The caller's struct of options over the defaults that are in `own`. Both begin with a size_t
 * struct_size. `first` is the size of the first version of the struct: a program that was built
 * with older headers gives a shorter one, and keeps the defaults of what it does not know. One
 * shorter than the first, or longer than ours, was not made by our init: false, nothing is taken.
 *
 * A program's init comes from the library. So the init functions that are there may write no more
 * than the first version has: who adds a field adds an init that is told the size.
 */
bool htt_options_take(void *own, size_t size, const void *given, size_t first);
/* The same; HTT_MISUSE with a text that begins with `name`, the struct's. */
htt_rc htt_db_take_options(htt_db *db, const char *name, void *own, size_t size, const void *given,
                           size_t first);

/* --------------------------------------------------------------- scopes */

typedef enum htt_scope_mode {
    HTT_SCOPE_DEFERRED = 0, /* BEGIN: the first write may find the database busy */
    HTT_SCOPE_IMMEDIATE = 1 /* BEGIN IMMEDIATE: waits for its turn to write now */
} htt_scope_mode;

typedef struct htt_scope {
    unsigned depth;    /* of the db while it is entered, from 1 */
    bool is_savepoint; /* inside of a transaction */
    size_t mark;       /* of a fake's undo log */
} htt_scope;

/* A transaction runs, whoever began it. */
bool htt_db_in_transaction(const htt_db *db);

htt_rc htt_scope_enter(htt_db *db, htt_scope *scope, htt_scope_mode mode);
/*
 * Ends the scope with its changes. On failure it is still entered: commit again, or roll back.
 * HTT_ABORTED: SQLite has rolled back the whole transaction meanwhile.
 */
htt_rc htt_scope_commit(htt_db *db, htt_scope *scope);
/*
 * Ends the scope without its changes; the db's error stays. Never fails: where SQLite cannot roll
 * back to a savepoint, it rolls back the whole transaction; where it cannot do that, rollback_due.
 */
void htt_scope_rollback(htt_db *db, htt_scope *scope);
/* Commit when rc is HTT_OK, else rollback. The scope is left in every case. Gives what failed. */
htt_rc htt_scope_leave(htt_db *db, htt_scope *scope, htt_rc rc);

/*
 * Where rollback_due: ROLLBACK needs memory when tables were made in the transaction, and who
 * interrupts every statement interrupts it, too. Until it is made up for, nothing is done and
 * nothing is committed: HTT_ABORTED. It is tried here, unless scopes are entered (leaving the
 * outermost tries it) or the application has changed rows since: then the transaction may be
 * another one.
 */
htt_rc htt_db_settle(htt_db *db);

/* ---------------------------------------------------------- open things */

void htt_db_open_thing(htt_db *db, htt_open_thing *thing, const char *kind, const char *name);
void htt_db_close_thing(htt_db *db, htt_open_thing *thing);

/* The db releases it when it is closed, after its statements. */
void htt_db_attach(htt_db *db, htt_attachment *attachment);

#endif
