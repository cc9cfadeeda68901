/* SPDX-License-Identifier: MIT */
/*
 * Prepared statements: a part has one table of texts; each is prepared when it is first asked for
 * and kept with the db.
 *
 *     typedef enum event_sql { EVENT_APPEND, EVENT_NEXT_SEQ, EVENT_SQL_COUNT } event_sql;
 *     static const char *const event_texts[] = {
 *         [EVENT_APPEND] = "INSERT INTO {schema}.htt_event(seq, id) VALUES (?1, ?2)",
 *         [EVENT_NEXT_SEQ] = "SELECT max(seq) + 1 FROM {schema}.htt_event",
 *     };
 *     static_assert(sizeof event_texts / sizeof event_texts[0] == EVENT_SQL_COUNT, "one each");
 *     static const htt_statement_table event_table = {"events", event_texts, EVENT_SQL_COUNT,
 *                                                     NULL};
 *
 *     sqlite3_stmt *statement;
 *     htt_rc rc = htt_statement_get(db, &event_table, EVENT_NEXT_SEQ, &statement);
 *     if (rc == HTT_OK) {
 *         bool row;
 *         rc = htt_statement_step(db, &event_table, statement, &row);
 *         ... sqlite3_column_int64(statement, 0) ...
 *         htt_statement_done(statement);
 *     }
 *
 * {schema} is the db's schema, quoted. A statement that was not run to its end holds a read
 * transaction: end with htt_statement_done on every path.
 */
#ifndef HTT_SQL_BASE_STATEMENTS_H
#define HTT_SQL_BASE_STATEMENTS_H

#include <stdarg.h>

#include "sql/base/db.h"

/* What a {word} in a text stands for. */
typedef struct htt_statement_word {
    const char *word; /* without the braces; NULL = the end of the list */
    const char *text; /* goes in as it is */
} htt_statement_word;

typedef struct htt_statement_table {
    const char *what;                /* begins an error's text: "events" */
    const char *const *texts;        /* by the part's enum */
    unsigned count;                  /* of texts */
    const htt_statement_word *words; /* beside {schema}; NULL = none */
} htt_statement_table;

/*
 * The statement, reset and without bindings; prepared now if it is asked for the first time.
 * `table` names its statements by its address: it stays where it is until the db is closed or
 * htt_statement_forget. Not for a fake.
 */
htt_rc htt_statement_get(htt_db *db, const htt_statement_table *table, unsigned which,
                         sqlite3_stmt **statement_out);

/* One step. *row_out false: it is at its end. On failure it was reset. */
htt_rc htt_statement_step(htt_db *db, const htt_statement_table *table, sqlite3_stmt *statement,
                          bool *row_out);

/* Runs it to its end, rows are skipped, and resets it. */
htt_rc htt_statement_run(htt_db *db, const htt_statement_table *table, sqlite3_stmt *statement);

/*
 * Binds arguments in order from 1, by a letter for each:
 *   i int64_t   r double   t const char * (NULL: null)   d htt_datum   n nothing, null
 * Texts and data are borrowed until htt_statement_done or the next htt_statement_get. A datum of
 * type HTT_INTEGER or HTT_REAL is bound as the number that it encodes.
 */
htt_rc htt_statement_bind(htt_db *db, const htt_statement_table *table, sqlite3_stmt *statement,
                          const char *letters, ...);

/* The same with its arguments as a list. */
htt_rc htt_statement_bind_list(htt_db *db, const htt_statement_table *table,
                               sqlite3_stmt *statement, const char *letters, va_list arguments);

/* Binds one datum at an index from 1, as 'd' does. */
htt_rc htt_statement_bind_at(htt_db *db, const htt_statement_table *table, sqlite3_stmt *statement,
                             unsigned index, htt_datum datum);

/* Resets it and forgets its bindings. NULL is allowed. */
void htt_statement_done(sqlite3_stmt *statement);

/* Finalizes the statements of a table, or (NULL) of all. */
void htt_statement_forget(htt_db *db, const htt_statement_table *table);

#endif
