/* SPDX-License-Identifier: MIT */
/*
 * Cursors. A scan walks all rows with an htt_walk, or looks up the keys of a list, of which a
 * point lookup has one.
 *
 * A value is fetched as late as possible: count(*), scans of keys alone and updates that set every
 * column never touch it. Only a lookup outside of a write transaction takes the value along with
 * the row. What is borrowed from the engine must outlive other calls on the same transaction, so:
 *
 *   borrowed  small values of a mapped read transaction, which the scan holds until it is closed
 *   copied    everything else
 *
 * What is borrowed from an overlay goes when that is cut, by a rollback between two steps or in the
 * midst of one. `mark` tells: a walk fails then, a list looks up once more.
 */
#include "cursor.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "buffer.h"
#include "hosted.h"
#include "key_list.h"
#include "plan.h"
#include "rc.h"
#include "source.h"
#include "vtab.h"

enum { SCAN_BATCH = HTT_SOURCE_MANY_MAX }; /* keys that are looked up together */

typedef struct scan_batch {
    htt_datum values[SCAN_BATCH]; /* borrowed */
    htt_rc results[SCAN_BATCH];   /* of each key */
} scan_batch;

struct htt_scan {
    sqlite3_vtab_cursor base;   /* must be first */
    htt_connection *connection; /* counted in its `cursors` */
    htt_reader *reader;         /* the read transaction it holds, NULL = none */
    htt_source source;          /* what it reads, as of the last scan_acquire */
    uint32_t mark;              /* of the source when the row or the batch was borrowed */
    htt_plan plan;              /* of the running query */
    bool wants_values;          /* other columns than the key are used */
    bool eof;                   /* behind the last row */
    htt_walk *walk;             /* FULL, COUNT: the walk over all rows; owned */
    htt_key_list list;          /* POINT and LIST: the keys */
    size_t at;                  /* POINT and LIST: the next key */
    size_t batch_start;         /* the first key of the batch */
    size_t batch_end;           /* the key behind the batch; 0 = no batch */
    scan_batch *batch;          /* LIST: what the lookups gave; owned, NULL = none yet */
    htt_datum key;              /* of the current row */
    bool key_is_asked;          /* as in the query: 1 may be stored as 1.0 */
    htt_datum value;            /* of the current row, if has_value */
    bool has_value;             /* it was fetched */
    htt_row row;                /* `value` opened as a row, if has_row */
    bool has_row;               /* it was opened */
    htt_buffer key_bytes;       /* a copy of the stored key */
    htt_buffer value_bytes;     /* a copy of the value */
};

static htt_table *scan_table(const htt_scan *scan) {
    return (htt_table *)scan->base.pVtab;
}

static int scan_fail(htt_scan *scan, htt_rc rc, const char *text) {
    return htt_rc_report(&scan->base.pVtab->zErrMsg, rc, HTT_SIDE_READ, text);
}

/* Brings `source` up to date. */
static int scan_acquire(htt_scan *scan) {
    return htt_connection_acquire(scan->connection, &scan->reader, &scan->source,
                                  &scan->base.pVtab->zErrMsg);
}

static void scan_release(htt_scan *scan) {
    htt_connection_release(scan->connection, &scan->reader);
    scan->source = (htt_source){0};
}

/* After scan_acquire: it reads in the read transaction that it holds. */
static bool scan_only_reads(const htt_scan *scan) {
    return scan->reader != NULL && scan->source.txn == scan->reader->txn;
}

/* There was a commit or a change since the source was acquired. */
static bool scan_is_behind(const htt_scan *scan) {
    const htt_connection *const connection = scan->connection;
    const htt_source *const source = &scan->source;
    if (source->overlay == NULL) {
        return scan->reader != connection->reader;
    }
    return scan->reader != connection->hosted->state || !connection->hosted->known ||
           connection->writer != NULL || source->length != htt_overlay_length(source->overlay);
}

/* What was borrowed from the source at `mark` may be gone. */
static bool scan_is_cut(const htt_scan *scan) {
    return scan->source.length > 0 && scan->mark != htt_source_mark(&scan->source);
}

static void scan_forget_row(htt_scan *scan) {
    scan->has_value = false;
    scan->has_row = false;
    scan->key_is_asked = false;
}

/* ------------------------------------------------------------ open, close */

int htt_scan_open(sqlite3_vtab *vtab, sqlite3_vtab_cursor **cursor_out) {
    htt_table *const table = (htt_table *)vtab;
    const int rc = htt_vtab_open(table);
    if (rc != SQLITE_OK) {
        return rc;
    }
    htt_connection *const connection = table->connection;
    htt_scan *scan = connection->idle_scan;
    connection->idle_scan = NULL;
    if (scan == NULL) {
        scan = sqlite3_malloc64(sizeof *scan);
        if (scan == NULL) {
            return SQLITE_NOMEM;
        }
        memset(scan, 0, sizeof *scan);
    }
    assert(scan->reader == NULL);
    assert(scan->walk == NULL);
    scan->connection = connection;
    scan->connection->cursors++;
    scan->eof = true;
    *cursor_out = &scan->base;
    return SQLITE_OK;
}

void htt_scan_free(htt_scan *scan) {
    if (scan != NULL) {
        sqlite3_free(scan->batch);
        htt_key_list_clear(&scan->list);
        htt_buffer_clear(&scan->key_bytes);
        htt_buffer_clear(&scan->value_bytes);
        sqlite3_free(scan);
    }
}

int htt_scan_close(sqlite3_vtab_cursor *cursor) {
    htt_scan *const scan = (htt_scan *)cursor;
    htt_connection *const connection = scan->connection;
    htt_walk_close(scan->walk);
    scan->walk = NULL;
    scan_release(scan);
    if (connection->idle_scan == NULL) { /* its buffers serve the next query */
        htt_key_list_trim(&scan->list);
        htt_buffer_trim(&scan->key_bytes);
        htt_buffer_trim(&scan->value_bytes);
        connection->idle_scan = scan;
    } else {
        htt_scan_free(scan);
    }
    assert(connection->cursors > 0);
    connection->cursors--;
    htt_connection_settle(connection);
    return SQLITE_OK;
}

/* ------------------------------------------------------------------- rows */

/* Keeps a value that may be gone after the next call. */
static int scan_copy_value(htt_scan *scan, htt_datum value) {
    htt_buffer_trim(&scan->value_bytes);
    const int rc = htt_buffer_reserve(&scan->value_bytes, value.size);
    if (rc != SQLITE_OK) {
        return rc;
    }
    if (value.size > 0) {
        memcpy(scan->value_bytes.bytes, value.data, value.size);
    }
    scan->value = htt_bytes(scan->value_bytes.bytes, value.size, (htt_type)value.type);
    scan->has_value = true;
    return SQLITE_OK;
}

/* A value of this size lies in one piece, and stays where it is while the transaction lives. */
static bool scan_may_borrow(const htt_scan *scan, size_t size) {
    return scan->connection->mapped && scan_only_reads(scan) &&
           size <= scan->connection->page_size / 2;
}

static int scan_take_value(htt_scan *scan, htt_datum value) {
    scan->mark = htt_source_mark(&scan->source);
    if (!scan_may_borrow(scan, value.size)) {
        return scan_copy_value(scan, value);
    }
    scan->value = value;
    scan->has_value = true;
    return SQLITE_OK;
}

/* Fetches the value of the current row. A row that is gone meanwhile reads as NULL. */
static int scan_load_value(htt_scan *scan) {
    htt_datum value;
    if (scan->plan == HTT_PLAN_FULL) {
        const htt_rc rc = htt_walk_value(scan->walk, &value);
        if (rc != HTT_OK) {
            return scan_fail(scan, rc, htt_walk_errmsg(scan->walk));
        }
        scan->value = value; /* borrowed until the next step of the walk */
        scan->has_value = true;
        return SQLITE_OK;
    }
    const int code = scan_acquire(scan);
    if (code != SQLITE_OK) {
        return code;
    }
    assert(scan->at > 0);
    const htt_rc rc = htt_source_get(&scan->source, scan->list.keys[scan->at - 1], &value);
    if (rc == HTT_NOTFOUND) {
        return scan_take_value(scan, htt_null());
    }
    return rc == HTT_OK ? scan_take_value(scan, value)
                        : scan_fail(scan, rc, htt_source_errmsg(&scan->source));
}

/* Fetches the key of the current row as it was written. */
static int scan_load_key(htt_scan *scan) {
    assert(scan->plan != HTT_PLAN_FULL);
    assert(!scan->eof);
    htt_datum key;
    const int code = scan_acquire(scan);
    if (code != SQLITE_OK) {
        return code;
    }
    const htt_rc rc = htt_source_get_key(&scan->source, scan->key, &key);
    if (rc != HTT_OK && rc != HTT_NOTFOUND) {
        return scan_fail(scan, rc, htt_source_errmsg(&scan->source));
    }
    if (rc == HTT_OK) {
        const int copied = htt_buffer_reserve(&scan->key_bytes, key.size);
        if (copied != SQLITE_OK) {
            return copied;
        }
        if (key.size > 0) {
            memcpy(scan->key_bytes.bytes, key.data, key.size);
        }
        scan->key = htt_bytes(scan->key_bytes.bytes, key.size, (htt_type)key.type);
    }
    scan->key_is_asked = false;
    return SQLITE_OK;
}

/* ------------------------------------------------------------------ steps */

static int scan_step_walk(htt_scan *scan) {
    assert(scan->walk != NULL);
    const htt_rc rc = scan->plan == HTT_PLAN_COUNT ? htt_walk_skip(scan->walk)
                                                   : htt_walk_next(scan->walk, &scan->key);
    scan->eof = rc != HTT_OK;
    return rc == HTT_OK || rc == HTT_NOTFOUND ? SQLITE_OK
                                              : scan_fail(scan, rc, htt_walk_errmsg(scan->walk));
}

/* COUNT: a column of the current row is asked for after all. */
static int scan_look(htt_scan *scan) {
    const htt_rc rc = htt_walk_arrive(scan->walk, &scan->key);
    if (rc != HTT_OK) {
        return scan_fail(scan, rc, htt_walk_errmsg(scan->walk));
    }
    scan->plan = HTT_PLAN_FULL;
    return SQLITE_OK;
}

/* Looks the next keys of a list up, all at once. */
static int scan_fill_batch(htt_scan *scan) {
    size_t count = scan->list.count - scan->at;
    if (scan->batch == NULL) {
        scan->batch = sqlite3_malloc64(sizeof *scan->batch);
        if (scan->batch == NULL) {
            return SQLITE_NOMEM;
        }
    }
    count = count < SCAN_BATCH ? count : SCAN_BATCH;
    const htt_rc rc = htt_source_get_many(&scan->source, scan->list.keys + scan->at, count,
                                          scan->batch->values, scan->batch->results);
    if (rc != HTT_OK) {
        return scan_fail(scan, rc, htt_source_errmsg(&scan->source));
    }
    scan->mark = htt_source_mark(&scan->source);
    scan->batch_start = scan->at;
    scan->batch_end = scan->at + count;
    return SQLITE_OK;
}

/* Looks keys[at] up; a value that cannot be kept is left to scan_load_value. */
static int scan_look_up(htt_scan *scan, htt_rc *found_out) {
    const htt_datum key = scan->list.keys[scan->at];
    const bool batches = scan->list.count > 1 && scan->wants_values && scan_may_borrow(scan, 0);
    if (batches) {
        const bool filled = scan->at < scan->batch_end && !scan_is_cut(scan);
        const int rc = filled ? SQLITE_OK : scan_fill_batch(scan);
        if (rc != SQLITE_OK) {
            return rc;
        }
        const size_t index = scan->at - scan->batch_start;
        assert(index < SCAN_BATCH);
        assert(scan->at < scan->batch_end);
        *found_out = scan->batch->results[index];
        if (*found_out == HTT_OK && scan_may_borrow(scan, scan->batch->values[index].size)) {
            scan->value = scan->batch->values[index];
            scan->has_value = true;
        }
        return SQLITE_OK;
    }
    scan->batch_end = 0;
    /* A statement that writes asks for the values that it needs. */
    if (scan->wants_values && scan_only_reads(scan) && !scan->connection->transaction.joined) {
        htt_datum value;
        *found_out = htt_source_get(&scan->source, key, &value);
        return *found_out == HTT_OK ? scan_take_value(scan, value) : SQLITE_OK;
    }
    *found_out = htt_source_exists(&scan->source, key);
    return SQLITE_OK;
}

/* Moves to the next key of the list that is there. */
static int scan_step_list(htt_scan *scan) {
    for (; scan->at < scan->list.count; scan->at++) {
        htt_rc found;
        int rc = scan_acquire(scan);
        rc = rc == SQLITE_OK ? scan_look_up(scan, &found) : rc;
        if (rc != SQLITE_OK) {
            scan->eof = true;
            return rc;
        }
        if (found == HTT_OK) {
            scan->key = scan->list.keys[scan->at++];
            if (scan->connection->transaction.joined && scan->connection->hosted != NULL) {
                htt_hosted_note(scan->connection->hosted, &scan->source, scan->key);
            }
            scan->key_is_asked = htt_key_list_is_loose(&scan->list, scan->key);
            scan->eof = false;
            return SQLITE_OK;
        }
        if (found != HTT_NOTFOUND && found != HTT_TOOBIG) {
            scan->eof = true;
            return scan_fail(scan, found, htt_source_errmsg(&scan->source));
        }
    }
    scan->eof = true;
    return SQLITE_OK;
}

int htt_scan_next(sqlite3_vtab_cursor *cursor) {
    htt_scan *const scan = (htt_scan *)cursor;
    assert(!scan->eof);
    scan_forget_row(scan);
    return scan->walk != NULL ? scan_step_walk(scan) : scan_step_list(scan);
}

/* ----------------------------------------------------------------- filter */

static int scan_begin_walk(htt_scan *scan) {
    const int code = scan_acquire(scan);
    if (code != SQLITE_OK) {
        return code;
    }
    uint64_t rows;
    if (htt_count(scan->source.txn, &rows) == HTT_OK) {
        scan->connection->rows = rows + scan->source.length; /* near enough for the planner */
    }
    const htt_rc rc = htt_walk_open(&scan->source, &scan->walk);
    if (rc != HTT_OK) {
        return scan_fail(scan, rc, rc == HTT_NOMEM ? "" : htt_source_errmsg(&scan->source));
    }
    scan->mark = htt_source_mark(&scan->source);
    return scan_step_walk(scan);
}

int htt_scan_filter(sqlite3_vtab_cursor *cursor, int plan, const char *words, int argc,
                    sqlite3_value **argv) {
    htt_scan *const scan = (htt_scan *)cursor;
    const htt_declaration *const declaration = &scan_table(scan)->arguments.declaration;
    const htt_affinity affinity = declaration->columns[declaration->key].affinity;
    int rc = SQLITE_OK;
    (void)words;
    htt_walk_close(scan->walk);
    scan->walk = NULL;
    scan->eof = true;
    scan->at = 0;
    scan->batch_end = 0;
    scan->plan = (htt_plan)(plan & HTT_PLAN_MASK);
    scan->wants_values = (plan & HTT_PLAN_VALUES) != 0;
    scan_forget_row(scan);
    if (scan_is_behind(scan)) {
        scan_release(scan);
    }
    switch (scan->plan) {
    case HTT_PLAN_FULL:
    case HTT_PLAN_COUNT: return scan_begin_walk(scan);
    case HTT_PLAN_POINT:
        assert(argc == 1);
        rc = htt_key_list_read_one(&scan->list, argv[0], affinity);
        break;
    case HTT_PLAN_LIST:
        assert(argc == 1);
        rc = htt_key_list_read_all(&scan->list, argv[0], affinity);
        break;
    }
    (void)argc;
    return rc == SQLITE_OK ? scan_step_list(scan) : rc;
}

int htt_scan_eof(sqlite3_vtab_cursor *cursor) {
    return ((const htt_scan *)cursor)->eof;
}

/* ---------------------------------------------------------------- columns */

/* The value of the `index`-th column that is not the key. */
static int scan_result_value(htt_scan *scan, sqlite3_context *context, uint32_t index) {
    htt_datum column = htt_null();
    htt_rc rc = HTT_OK;
    const htt_results *const results = &scan->connection->registry->results;
    if (!scan->has_value) {
        const int code = scan_load_value(scan);
        if (code != SQLITE_OK) {
            return code;
        }
    }
    if (scan->value.type != HTT_ROW) {
        column = index == 0 ? scan->value : column; /* written by the C interface */
    } else {
        if (!scan->has_row) {
            rc = htt_row_open(scan->value, &scan->row);
            scan->has_row = rc == HTT_OK;
        }
        rc = rc == HTT_OK ? htt_row_column(&scan->row, index, &column) : rc;
    }
    rc = rc == HTT_OK ? htt_affinity_result_value(context, column, results) : rc;
    if (rc == HTT_OK) {
        return SQLITE_OK;
    }
    return htt_rc_say(&scan->base.pVtab->zErrMsg, SQLITE_CORRUPT_VTAB,
                      "%s: the value of a row is not sound", scan->connection->name);
}

int htt_scan_column(sqlite3_vtab_cursor *cursor, sqlite3_context *context, int column) {
    htt_scan *const scan = (htt_scan *)cursor;
    const htt_declaration *const declaration = &scan_table(scan)->arguments.declaration;
    assert(column >= 0);
    assert(column < declaration->count);
    if (scan_is_cut(scan)) {
        if (scan->walk != NULL) {
            return scan_fail(scan, HTT_ABORTED, "");
        }
        scan->has_value = false; /* the key is a copy */
        scan->has_row = false;
        scan->batch_end = 0;
    }
    if (scan->plan == HTT_PLAN_COUNT) {
        const int rc = scan_look(scan);
        if (rc != SQLITE_OK) {
            return rc;
        }
    }
    if (column != declaration->key) {
        if (sqlite3_vtab_nochange(context)) {
            return SQLITE_OK; /* an UPDATE that leaves it alone does not need it */
        }
        return scan_result_value(scan, context,
                                 (uint32_t)(column < declaration->key ? column : column - 1));
    }
    if (scan->key_is_asked) {
        const int rc = scan_load_key(scan);
        if (rc != SQLITE_OK) {
            return rc;
        }
    }
    if (htt_affinity_result_key(context, scan->key, &scan->connection->registry->results) !=
        HTT_OK) {
        return htt_rc_say(&scan->base.pVtab->zErrMsg, SQLITE_CORRUPT_VTAB,
                          "%s: the key of a row is not sound", scan->connection->name);
    }
    return SQLITE_OK;
}

int htt_scan_rowid(sqlite3_vtab_cursor *cursor, sqlite3_int64 *rowid_out) {
    (void)cursor;
    (void)rowid_out;
    return SQLITE_INTERNAL; /* the table is WITHOUT ROWID: SQLite does not ask */
}
