/* SPDX-License-Identifier: MIT */
/*
 * Units of work: what is done together is committed together, or not at all.
 *
 *     static htt_rc move(htt_uow *unit, void *arg) {
 *         htt_repo *accounts;
 *         void *from;
 *         htt_rc rc = htt_uow_repo(unit, &account_spec, &accounts);
 *         if (rc == HTT_OK) {
 *             rc = htt_repo_get(accounts, htt_key_of_text("a"), &from);
 *         }
 *         ...
 *         return rc;                        HTT_OK commits, everything else rolls back
 *     }
 *     rc = htt_uow_run(db, move, &order, NULL);         tries again while the database is busy
 *
 * or by hand:
 *
 *     htt_uow *unit;                             begin
 *     htt_uow_begin(db, HTT_UOW_IMMEDIATE, &unit);  |        commit, failed
 *     ...                                           v       +--------+
 *     rc = htt_uow_commit(unit);               +--------+ --+        |
 *     htt_uow_end(unit);                       | active | <----------+
 *                                              +--------+
 *                                       commit |        | rollback, end
 *                                              v        v
 *                                    +-----------+   +-------------+
 *                                    | committed |   | rolled back |
 *                                    +-----------+   +-------------+
 *                                              | end    | end
 *                                              v        v
 *                                           (the handle is gone)
 *
 *   - end rolls back what was not committed. Every unit is ended, in every path, once.
 *   - A unit that begins while another is active is inside of it: a savepoint. It is committed or
 *     rolled back before the outer one; what it committed is durable when the outermost commits.
 *   - Begun in a transaction of the application, the outermost unit is a savepoint of that one.
 *   - Repositories of a unit: the same key gives the same object, until its row is written with
 *     another object, removed, or written or first got in an inner unit that is rolled back.
 *     Objects are borrowed until the unit ends in which they were got; those of an inner unit that
 *     was committed, until the outer one ends.
 */
#ifndef HTT_UOW_H
#define HTT_UOW_H

#include "htt_repo.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct htt_uow htt_uow;
struct htt_event; /* htt_event.h */

typedef enum htt_uow_mode {
    HTT_UOW_IMMEDIATE = 0, /* writes: waits for its turn at the begin (SQLite's busy timeout) */
    HTT_UOW_DEFERRED = 1   /* reads: its first write may be HTT_BUSY or HTT_SNAPSHOT */
} htt_uow_mode;

/* Begins a unit; inside of the active one, when there is one: then mode does not matter. */
HTT_API HTT_MUST_CHECK htt_rc htt_uow_begin(htt_db *db, htt_uow_mode mode, htt_uow **uow_out);

/*
 * Commits: writes the collected events, then ends the transaction (or the savepoint; its events
 * then go to the outer unit). On failure the unit is still active: HTT_BUSY can be committed
 * again, after all others end it. HTT_ABORTED: SQLite had rolled back the whole transaction.
 * HTT_MISUSE: an inner unit is active, or this one is not.
 */
HTT_API HTT_MUST_CHECK htt_rc htt_uow_commit(htt_uow *uow);

/* Undoes all since the begin. HTT_MISUSE: an inner unit is active, or this one is not. */
HTT_API HTT_MUST_CHECK htt_rc htt_uow_rollback(htt_uow *uow);

/*
 * Ends the unit and frees it, its objects and, of the outermost, its repositories. What was not
 * committed is rolled back, with the inner units that are still active; those are to be ended
 * nonetheless. Never fails. NULL is allowed.
 */
HTT_API void htt_uow_end(htt_uow *uow);

HTT_API htt_db *htt_uow_db(const htt_uow *uow);
/* 1 = the outermost. */
HTT_API unsigned htt_uow_depth(const htt_uow *uow);

/*
 * The repository of a spec: one for each spec in a unit and those inside of it, borrowed until the
 * outermost ends. Errors: as htt_repo_open.
 */
HTT_API HTT_MUST_CHECK htt_rc htt_uow_repo(htt_uow *uow, const htt_repo_spec *spec,
                                           htt_repo **repo_out);

/*
 * Collects an event (copied), which is written when the outermost unit commits, in its transaction
 * and in the order of these calls. What an inner unit collected goes when that is rolled back.
 * Errors in the event are found at the commit, which then fails.
 */
HTT_API HTT_MUST_CHECK htt_rc htt_uow_event(htt_uow *uow, const struct htt_event *event);

/* ------------------------------------------------------------------ run */

/*
 * Does the work. It may be called again, after everything was rolled back: it must not keep state
 * of an earlier call. HTT_OK commits, unless the work has committed or rolled back the unit itself.
 * It must not end it.
 */
typedef htt_rc htt_uow_work(htt_uow *uow, void *arg);

typedef struct htt_uow_options {
    size_t struct_size; /* sizeof(htt_uow_options), set by htt_uow_options_init */
    htt_uow_mode mode;  /* default HTT_UOW_IMMEDIATE */
    unsigned attempts;  /* at most, from 1; default 10 */
    uint32_t first_ms;  /* pause after the first attempt, doubled with each; default 5 */
    uint32_t most_ms;   /* and at most; default 1000 */
} htt_uow_options;

HTT_API void htt_uow_options_init(htt_uow_options *options);

/*
 * Begins a unit, does the work, commits, ends. HTT_BUSY and HTT_SNAPSHOT, from begin, work or
 * commit, are tried again after a pause: between half and all of its length, by the platform's
 * chance. An attempt waits for another writer only as long as the connection's busy timeout says
 * (sqlite3_busy_timeout; SQLite's default is not at all). Inside of another unit or transaction
 * there is one attempt: it is the outermost that must be tried again. Gives what the work gave, or
 * begin or commit; htt_db_errmsg has the text.
 */
HTT_API HTT_MUST_CHECK htt_rc htt_uow_run(htt_db *db, htt_uow_work *work, void *arg,
                                          const htt_uow_options *options);

#ifdef __cplusplus
}
#endif

#endif
