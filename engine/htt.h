/* SPDX-License-Identifier: MIT */
/*
 * libhtt: a key/value store in one file, a hash-table-tree.
 *
 * This is what a program needs of the engine (htt_env.h replaces the operating system, htt_host.h
 * is for a database that keeps the root). It needs no SQLite. A store maps keys to
 * values, both typed bytes (htt_datum). One writer and any number of readers, in threads and
 * processes, work on one file at the same time; a reader sees one state from begin to end.
 *
 *     htt_store *store;
 *     htt_txn *txn;
 *     htt_open("kv.htt", NULL, &store, NULL);
 *     htt_begin(store, HTT_WRITE, &txn);
 *     htt_put(txn, htt_text("hostname"), htt_text("www.example.com"), 0);
 *     htt_commit(txn);
 *     htt_close(store);
 *
 * Conventions
 *   - Every fallible function returns an htt_rc. HTT_OK is 0. Outputs come last, their names end
 *     in _out, and they are untouched on failure.
 *   - After a failure htt_errmsg(store) or htt_txn_errmsg(txn) says what is wrong with what.
 *   - "borrowed until X": the library owns the memory and keeps it unchanged until X.
 *   - Threads: a store may be used by several threads. A transaction, with its cursors, is used
 *     by one thread at a time.
 *   - fork: a handle made before fork() is refused in the child (HTT_MISUSE). Open a new one.
 */
#ifndef HTT_H
#define HTT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HTT_VERSION "0.1.0"
#define HTT_VERSION_NUMBER 1000 /* major * 1000000 + minor * 1000 + patch */

#if defined(__GNUC__)
#define HTT_API __attribute__((visibility("default")))
#define HTT_MUST_CHECK __attribute__((warn_unused_result))
#else
#define HTT_API
#define HTT_MUST_CHECK
#endif

/* ---------------------------------------------------------------- results */

typedef enum htt_rc {
    HTT_OK = 0,
    HTT_NOTFOUND = 1,    /* no such key; a cursor is at its end */
    HTT_EXISTS = 2,      /* the key is already there (HTT_PUT_INSERT) */
    HTT_TYPE = 3,        /* the value is there but of another type */
    HTT_BUSY = 4,        /* another writer holds the file, and the timeout is over */
    HTT_MISUSE = 5,      /* an argument makes no sense, or the call is not allowed now */
    HTT_NOMEM = 6,       /* out of memory */
    HTT_IO = 7,          /* the operating system reported a read, write, sync or lock error */
    HTT_FULL = 8,        /* no space left: disk, quota, file size limit, page numbers, readers */
    HTT_CANTOPEN = 9,    /* the file or its directory cannot be opened or created */
    HTT_READONLY = 10,   /* a write through a handle, file or directory that is read-only */
    HTT_TOOBIG = 11,     /* key or value above its limit */
    HTT_COLLISION = 12,  /* more keys share one 128-bit hash than a page holds; nothing changed */
    HTT_NOTHTT = 13,     /* the file is not an htt file */
    HTT_NEWER = 14,      /* an htt file of a format version or feature unknown to this library */
    HTT_CORRUPT = 15,    /* damaged bytes in the file; the message names page and reason */
    HTT_MISMATCH = 16,   /* the file is not the one asked for: declaration, page size, uuid */
    HTT_SNAPSHOT = 17,   /* pages of this snapshot were reused; begin again */
    HTT_POISONED = 18,   /* an earlier sync or meta write failed; close and open again */
    HTT_ABORTED = 19,    /* the transaction was aborted whose changes this is about */
    /* The layer over SQLite (htt_db.h and its neighbours): */
    HTT_CONFLICT = 20,   /* the stored version is not the one that was expected */
    HTT_EXPIRED = 21,    /* a lease or a deadline is over, or another holds the lease */
    HTT_INVALID = 22,    /* data is not what it is declared to be, JSON for instance */
    HTT_CONSTRAINT = 23, /* a constraint of the database was not met */
    HTT_SQL = 24         /* another error of SQLite; the message has its text and code */
} htt_rc;

/* A short English name of a result, without details. Static storage. Never NULL. */
HTT_API const char *htt_strerror(htt_rc rc);

/* "0.1.0", of the library that is linked (HTT_VERSION is of the header). */
HTT_API const char *htt_version(void);

/* What failed, with details. `page` is 0 where no page is meant. */
typedef struct htt_error {
    htt_rc rc;      /* HTT_OK: no error */
    uint32_t page;  /* page number, 0 = none */
    char text[480]; /* one line, terminated */
} htt_error;

/* ------------------------------------------------------------ typed bytes */

/*
 * Type of a key or value. Numbers are frozen: they are in files (docs/format.md).
 * Keys compare by class and bytes: INTEGER, INTEGRAL and NEGZERO are one class (number).
 */
typedef enum htt_type {
    HTT_INTEGER = 1,  /* int64, minimal two's complement, little-endian, 0 to 8 bytes */
    HTT_REAL = 2,     /* IEEE 754 double, 8 bytes little-endian */
    HTT_TEXT = 3,     /* UTF-8 as it was given, not checked */
    HTT_BLOB = 4,     /* bytes */
    HTT_NULL = 5,     /* values only; no bytes */
    HTT_ROW = 6,      /* values only; several columns, see htt_row_encode */
    HTT_INTEGRAL = 7, /* keys only: a real equal to an int64; bytes as HTT_INTEGER */
    HTT_NEGZERO = 8   /* keys only: -0.0; no bytes, as HTT_INTEGER 0 */
} htt_type;

/* A typed run of bytes. Who owns `data` is said where one is taken or given. */
typedef struct htt_datum {
    const void *data; /* may be NULL when size is 0 */
    size_t size;      /* bytes */
    uint8_t type;     /* htt_type */
} htt_datum;

#define HTT_NUMBER_SIZE 8 /* scratch bytes that a number needs */

static inline htt_datum htt_bytes(const void *data, size_t size, htt_type type) {
    htt_datum datum = {data, size, (uint8_t)type};
    return datum;
}
static inline htt_datum htt_blob(const void *data, size_t size) {
    return htt_bytes(data, size, HTT_BLOB);
}
static inline htt_datum htt_text(const char *text) {
    return htt_bytes(text, strlen(text), HTT_TEXT);
}
static inline htt_datum htt_null(void) {
    return htt_bytes(NULL, 0, HTT_NULL);
}

/*
 * Numbers as keys or values, in their canonical encoding. The bytes are put into `scratch`
 * (caller's, alive as long as the datum is used). htt_key_real gives INTEGRAL for a real equal
 * to an int64, NEGZERO for -0.0, REAL otherwise; a NaN has no key (HTT_MISUSE).
 */
HTT_API htt_datum htt_integer(int64_t number, uint8_t scratch[HTT_NUMBER_SIZE]);
HTT_API htt_datum htt_real(double number, uint8_t scratch[HTT_NUMBER_SIZE]);
HTT_API HTT_MUST_CHECK htt_rc htt_key_real(double number, uint8_t scratch[HTT_NUMBER_SIZE],
                                           htt_datum *key_out);

/* Back to numbers. HTT_TYPE: another type. HTT_CORRUPT: bytes that no encoder writes. */
HTT_API HTT_MUST_CHECK htt_rc htt_value_integer(htt_datum value, int64_t *number_out);
HTT_API HTT_MUST_CHECK htt_rc htt_value_real(htt_datum value, double *number_out);
HTT_API HTT_MUST_CHECK htt_rc htt_key_number(htt_datum key, bool *is_real_out,
                                             int64_t *integer_out, double *real_out);

/*
 * Rows: several columns as one value of type HTT_ROW. Columns are INTEGER, REAL, TEXT, BLOB or
 * NULL. A row with fewer columns than asked for reads NULL for the rest.
 *   htt_row_size    bytes that the encoded row needs
 *   htt_row_encode  writes it to `bytes` (htt_row_size bytes)
 *   htt_row_open    checks the head once and prepares reading; `row` borrows value.data
 *   htt_row_column  column `index`, borrowed from value.data; HTT_NULL past the end
 */
#define HTT_ROW_COLUMNS_MAX 32767
typedef struct htt_row {
    const uint8_t *bytes; /* the encoded row */
    size_t size;          /* its size */
    uint32_t count;       /* columns in it */
    uint32_t next;        /* column that `head` and `body` stand at */
    size_t head;          /* offset of the next column's head */
    size_t body;          /* offset of the next column's bytes */
    size_t body_start;    /* offset of column 0's bytes */
} htt_row;
HTT_API size_t htt_row_size(const htt_datum *columns, uint32_t count);
HTT_API void htt_row_encode(const htt_datum *columns, uint32_t count, uint8_t *bytes);
HTT_API HTT_MUST_CHECK htt_rc htt_row_open(htt_datum value, htt_row *row_out);
HTT_API HTT_MUST_CHECK htt_rc htt_row_column(htt_row *row, uint32_t index, htt_datum *column_out);

/* ----------------------------------------------------------------- limits */

#define HTT_KEY_SIZE_MAX (1024u * 1024u)        /* 1 MiB */
#define HTT_VALUE_SIZE_MAX ((size_t)999000000u) /* below SQLite's default row limit, 10^9 */
#define HTT_PAGE_SIZE_MIN 4096u
#define HTT_PAGE_SIZE_MAX 65536u
#define HTT_PAGE_SIZE_DEFAULT 4096u
#define HTT_DECLARATION_SIZE_MAX 2048u /* bytes of a declaration; fits every page size */

/* ------------------------------------------------------------------ store */

typedef struct htt_store htt_store;   /* an open file */
typedef struct htt_txn htt_txn;       /* a transaction */
typedef struct htt_cursor htt_cursor; /* a walk over all rows */
struct htt_env;                       /* htt_env.h: every call that touches the outside */

typedef enum htt_sync {
    HTT_SYNC_FULL = 0,   /* a commit that returned survives a power cut */
    HTT_SYNC_NORMAL = 1, /* no sync per commit; a power cut leaves an older complete state */
    /* No syncs but at open and close. A file that was open when the system stopped is refused. */
    HTT_SYNC_OFF = 2
} htt_sync;

enum {                           /* htt_options.flags */
    HTT_OPEN_CREATE = 1u << 0,   /* create the file when it is absent */
    HTT_OPEN_NEW = 1u << 1,      /* with CREATE: HTT_EXISTS when it is there (see htt_open) */
    HTT_OPEN_READONLY = 1u << 2, /* never write the file */
    HTT_OPEN_NO_MMAP = 1u << 3,  /* read through the page cache: for files that others may cut */
    HTT_OPEN_NO_FOLLOW = 1u << 4 /* refuse a symbolic link as the last part of the path */
};

typedef struct htt_options {
    size_t size;                /* sizeof(htt_options), set by htt_options_init */
    unsigned flags;             /* HTT_OPEN_...; default HTT_OPEN_CREATE */
    uint32_t page_size;         /* for a new file; power of two, 4096 to 65536; 0 = default */
    htt_sync sync;              /* default HTT_SYNC_FULL */
    uint64_t cache_bytes;       /* page cache of HTT_OPEN_NO_MMAP; default 16 MiB */
    uint64_t write_budget;      /* bytes of memory for a writer's pages; default 64 MiB */
    uint32_t busy_timeout_ms;   /* how long a second writer waits; default 5000 */
    const char *declaration;    /* for a new file: stored in it; NULL = "" */
    const uint8_t *expect_uuid; /* 16 bytes that the file's uuid must equal, or NULL */
    const struct htt_env *env;  /* NULL = the operating system; must outlive the store */
} htt_options;

/* Defaults into `options`. Call it first, then change fields. */
HTT_API void htt_options_init(htt_options *options);

/*
 * Opens or creates a file. options NULL = defaults. error NULL or filled on failure (there is
 * no store to ask then). The lock file "<path>-lock" is made beside it; without write access to
 * the directory a read-only handle works without one only while no writer is active.
 * An open that fails takes the file away that it made. What a process leaves that dies while it
 * creates one is known by its lock file: HTT_OPEN_CREATE, with or without HTT_OPEN_NEW, begins it
 * anew. HTT_OPEN_CREATE alone also makes a store of an empty file of somebody else.
 * Errors: HTT_CANTOPEN, HTT_EXISTS, HTT_NOTHTT, HTT_NEWER, HTT_CORRUPT, HTT_MISMATCH,
 * HTT_READONLY, HTT_MISUSE, HTT_NOMEM, HTT_IO, HTT_FULL.
 */
HTT_API HTT_MUST_CHECK htt_rc htt_open(const char *path, const htt_options *options,
                                       htt_store **store_out, htt_error *error);

/*
 * Closes. Open transactions of the store are aborted first and their handles become invalid.
 * Never fails; what sync=normal left unsynced is synced if that is possible. NULL is allowed.
 */
HTT_API void htt_close(htt_store *store);

/*
 * The last error of a call on this store that had no transaction, or ended it: also of htt_begin
 * and htt_commit. Borrowed until the next.
 */
HTT_API const char *htt_errmsg(const htt_store *store);

/*
 * Facts about the file, fixed while it is open. Borrowed until htt_close.
 *
 * A file with an owner is written by its database only: HTT_WRITE, the four-line interface and all
 * else that writes give HTT_READONLY. HTT_READ shows the last state that the file knows to be
 * durable in the database, which may be behind it by the rows of its outbox and more.
 */
typedef struct htt_info {
    const char *path;        /* as it was given */
    const char *declaration; /* "" = none */
    uint8_t uuid[16];        /* names the file */
    uint32_t page_size;      /* bytes */
    bool readonly;           /* this handle cannot write */
    const char *owner;       /* the database, as seen from the file's folder; "" = standalone */
} htt_info;
HTT_API void htt_store_info(const htt_store *store, htt_info *info_out);

/*
 * Replaces the declaration in its own durable commit (a column added at the end). HTT_BUSY while
 * a write transaction runs.
 */
HTT_API HTT_MUST_CHECK htt_rc htt_store_declare(htt_store *store, const char *declaration);

/* ----------------------------------------------------------- transactions */

enum { HTT_READ = 0, HTT_WRITE = 1 };

/*
 * Begins a transaction. A reader never waits. A writer waits for another writer, in this or
 * another process, up to busy_timeout_ms, then HTT_BUSY.
 *
 * A reader needs a slot in the lock file, of which there are 2046 for all processes: HTT_FULL when
 * all are taken. Readers of one store that see the same state share a slot, and a store keeps the
 * slots that it took until it is closed. So does a cursor of a write transaction.
 * Errors: HTT_BUSY, HTT_READONLY, HTT_POISONED (of writers), HTT_FULL, HTT_CORRUPT, HTT_MISMATCH,
 * HTT_NEWER, HTT_SNAPSHOT (commits follow each other too fast), HTT_IO, HTT_NOMEM, HTT_MISUSE.
 */
HTT_API HTT_MUST_CHECK htt_rc htt_begin(htt_store *store, unsigned mode, htt_txn **txn_out);

/*
 * Does all of a commit that may fail except the last step: writes and syncs the pages. May be
 * called again, and changes may follow it. Nothing becomes visible. Writers only.
 */
HTT_API HTT_MUST_CHECK htt_rc htt_prepare(htt_txn *txn);

/*
 * Commits and ends the transaction; txn is invalid afterwards, whatever is returned, so the error's
 * text is in htt_errmsg(store). (A read transaction is ended.) On failure nothing was committed,
 * except after HTT_POISONED: then it is unknown until the file is opened again.
 */
HTT_API HTT_MUST_CHECK htt_rc htt_commit(htt_txn *txn);

/* Ends the transaction without its changes. Never fails. NULL is allowed. */
HTT_API void htt_abort(htt_txn *txn);

/*
 * For programs that begin read transactions very often. htt_reset lets the state of a read
 * transaction go, as its end would, and keeps the handle; until it is renewed every call on it
 * gives HTT_MISUSE. htt_renew gives it the newest state; without a commit since, that costs no
 * system call. Errors of renew: as htt_begin; the transaction stays reset. It is still ended by
 * htt_abort.
 */
HTT_API void htt_reset(htt_txn *txn);
HTT_API HTT_MUST_CHECK htt_rc htt_renew(htt_txn *txn);

/* The last error of a call on this transaction or a cursor of it. Borrowed until the next. */
HTT_API const char *htt_txn_errmsg(const htt_txn *txn);
HTT_API const htt_error *htt_txn_error(const htt_txn *txn);

/*
 * Savepoints nest. htt_savepoint gives an id, which is not used again in the transaction.
 * rollback_to undoes all since then and leaves the savepoint open, but forgets all opened after
 * it; release forgets it and all opened after it, changes stay. A forgotten id is HTT_MISUSE.
 * What htt_get gave out ends with a rollback_to as with any change. Cursors do not notice it: one
 * that was opened since the savepoint goes on to see the rows that were undone.
 */
HTT_API HTT_MUST_CHECK htt_rc htt_savepoint(htt_txn *txn, uint32_t *id_out);
HTT_API HTT_MUST_CHECK htt_rc htt_rollback_to(htt_txn *txn, uint32_t id);
HTT_API HTT_MUST_CHECK htt_rc htt_release(htt_txn *txn, uint32_t id);

/* -------------------------------------------------------------- key/value */

enum {                         /* flags of htt_put */
    HTT_PUT_INSERT = 1u << 0,  /* the key must be new: HTT_EXISTS otherwise */
    HTT_PUT_REPLACE = 1u << 1  /* the key must be there: HTT_NOTFOUND otherwise */
};

/*
 * Looks a key up. HTT_NOTFOUND: no such key. The value is borrowed: in a read transaction with
 * mmap until it ends; in a write transaction until its next change; without mmap until the next
 * call on the transaction. A value in several overflow runs is borrowed until the next call.
 */
HTT_API HTT_MUST_CHECK htt_rc htt_get(htt_txn *txn, htt_datum key, htt_datum *value_out);

/* The same; value_out->data is a copy that the caller frees with htt_free. */
HTT_API HTT_MUST_CHECK htt_rc htt_get_copy(htt_txn *txn, htt_datum key, htt_datum *value_out);
HTT_API void htt_free(void *memory);

/*
 * The key as it was written: 1.0 where 1 is asked for (they are one key), -0.0 where 0 is. Reads
 * no value. HTT_NOTFOUND: no such key. Borrowed as a value of htt_get is.
 */
HTT_API HTT_MUST_CHECK htt_rc htt_get_key(htt_txn *txn, htt_datum key, htt_datum *stored_out);

/* HTT_OK or HTT_NOTFOUND; reads no value. */
HTT_API HTT_MUST_CHECK htt_rc htt_exists(htt_txn *txn, htt_datum key);

/*
 * Looks up `count` keys. results_out[i] is HTT_OK or HTT_NOTFOUND, values_out[i] the value of
 * keys[i], untouched where there is none. All values stay together until the next call on the
 * transaction, also those in several overflow runs and without mmap; the others longer, as
 * htt_get's. Another result than HTT_OK of the call itself: it stopped, the outputs are undefined.
 */
HTT_API HTT_MUST_CHECK htt_rc htt_get_many(htt_txn *txn, const htt_datum *keys, size_t count,
                                           htt_datum *values_out, htt_rc *results_out);

/*
 * Writes a row. Both data are copied. A row that is there is replaced with the form of its key:
 * 1.0 put over 1 comes back as 1.0. On any error the row is as it was, and the transaction
 * goes on, except after HTT_IO and HTT_POISONED: then it can only be aborted.
 * Errors: HTT_EXISTS, HTT_NOTFOUND (flags), HTT_TOOBIG, HTT_COLLISION, HTT_READONLY, HTT_NOMEM,
 * HTT_IO, HTT_FULL, HTT_CORRUPT, HTT_MISUSE.
 */
HTT_API HTT_MUST_CHECK htt_rc htt_put(htt_txn *txn, htt_datum key, htt_datum value,
                                      unsigned flags);

/* Deletes a row. HTT_NOTFOUND: there was none. Errors as htt_put. */
HTT_API HTT_MUST_CHECK htt_rc htt_del(htt_txn *txn, htt_datum key);

/* Rows in the transaction's state. */
HTT_API HTT_MUST_CHECK htt_rc htt_count(htt_txn *txn, uint64_t *count_out);

/*
 * Cursors walk all rows, in no particular order. What a cursor sees is frozen when it is opened:
 * changes by the same transaction, htt_rollback_to among them, do not show and do not disturb it.
 * A cursor may outlive its transaction: after a commit it goes on; after an abort it goes on if
 * its state had been committed, else every call gives HTT_ABORTED. Close every cursor before the
 * store.
 *   next   moves to the next row (the first, at first) and gives its key; HTT_NOTFOUND: the end
 *   value  the current row's value
 *   key and value are borrowed until the next htt_cursor_next or _close.
 */
HTT_API HTT_MUST_CHECK htt_rc htt_cursor_open(htt_txn *txn, htt_cursor **cursor_out);
HTT_API HTT_MUST_CHECK htt_rc htt_cursor_next(htt_cursor *cursor, htt_datum *key_out);
HTT_API HTT_MUST_CHECK htt_rc htt_cursor_value(htt_cursor *cursor, htt_datum *value_out);
HTT_API const char *htt_cursor_errmsg(const htt_cursor *cursor);
HTT_API void htt_cursor_close(htt_cursor *cursor);

/* ------------------------------------------- one call, one durable commit */

/*
 * The four-line interface: text keys, text or integer values, each call its own transaction.
 * get_text: *text_out is terminated, the caller frees it with htt_free; a value with an embedded
 * NUL is longer than strlen tells. HTT_NOTFOUND: no such key. HTT_TYPE: a value of another type.
 */
HTT_API HTT_MUST_CHECK htt_rc htt_put_text(htt_store *store, const char *key, const char *value);
HTT_API HTT_MUST_CHECK htt_rc htt_put_int(htt_store *store, const char *key, int64_t value);
HTT_API HTT_MUST_CHECK htt_rc htt_get_text(htt_store *store, const char *key, char **text_out);
HTT_API HTT_MUST_CHECK htt_rc htt_get_int(htt_store *store, const char *key, int64_t *value_out);

/* ------------------------------------------------------------- operations */

typedef struct htt_stat {
    uint64_t epoch;           /* of the state looked at */
    uint64_t keys;            /* rows */
    uint64_t payload_bytes;   /* bytes of all keys and values */
    uint64_t file_bytes;      /* size of the file */
    uint32_t page_size;       /* bytes */
    uint32_t page_count;      /* pages in use or free, meta pages included */
    uint32_t data_pages;      /* pages with rows */
    uint32_t index_pages;     /* pages with index nodes, whole or shared */
    uint32_t overflow_pages;  /* pages of overflow runs */
    uint32_t free_pages;      /* pages that the free list names */
    uint32_t free_list_pages; /* pages that hold the free list */
    uint32_t index_nodes;     /* index nodes, sub-pages counted one by one */
    uint32_t depth_max;       /* index nodes on the longest path */
    double depth_average;     /* index nodes on the path of a row, over all rows */
    double utilisation;       /* used bytes of data pages / their size, 0 to 1 */
    uint32_t readers;         /* pinned reader slots, all processes */
} htt_stat;

/* Walks the whole index and reads every data page's head. */
HTT_API HTT_MUST_CHECK htt_rc htt_txn_stat(htt_txn *txn, htt_stat *stat_out);

enum { HTT_CHECK_SHALLOW = 0, HTT_CHECK_DEEP = 1 };

/*
 * Checks the transaction's state and the two meta pages: shallow = structure of every page, that
 * each page is used once, counts; deep = also every row's place and every overflow run's checksum.
 * `report` is called once per problem (page 0: none in particular); a non-zero result of it stops.
 * HTT_OK: the check ran, *problems_out tells. A damaged file is a problem reported, not an error.
 */
typedef int (*htt_check_report)(void *arg, uint32_t page, const char *problem);
HTT_API HTT_MUST_CHECK htt_rc htt_check(htt_txn *txn, unsigned depth, htt_check_report report,
                                        void *arg, uint64_t *problems_out);

/*
 * Writes the transaction's state as a new file that stands alone, with a uuid of its own. The
 * target must not exist (HTT_EXISTS). Durable when it returns HTT_OK. On failure it is removed.
 */
HTT_API HTT_MUST_CHECK htt_rc htt_backup(htt_txn *txn, const char *path);

/*
 * Gives free space back to the file system: live pages move to low free pages in ordinary
 * commits, then the tail is cut if no reader needs it. Not inside a write transaction.
 */
HTT_API HTT_MUST_CHECK htt_rc htt_vacuum(htt_store *store, uint64_t *bytes_before_out,
                                         uint64_t *bytes_after_out);

#ifdef __cplusplus
}
#endif

#endif
