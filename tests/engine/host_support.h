/* SPDX-License-Identifier: MIT */
/*
 * A host for the tests of htt_host.h: a database of one row on the disk of test_env_crash.h, with
 * its own commit, and simulated processes that use it together with an htt file.
 *
 *   HOST_WAL       a commit appends a frame to "<path>-wal", and is not synced. What is visible is
 *                  told by an index in shared memory: a frame whose writer dies before it counts
 *                  there is overwritten by the next commit, or found when all start anew
 *   HOST_WAL_FULL  the same, each commit synced
 *   HOST_JOURNAL   the old row goes to "<path>-journal", the new one into the file; the commit is
 *                  the removal of the journal, whose name may come back after a power cut
 *
 * The row holds a root record, the attempt that was acknowledged, and the number of a state: the
 * rows that the tree must have are known for each state (host_oracle).
 */
#ifndef HTT_TESTS_HOST_SUPPORT_H
#define HTT_TESTS_HOST_SUPPORT_H

#include "htt_host.h"
#include "txn_support.h"

#define HOST_PATH "host.db"
#define HOST_ROWS 48u
#define HOST_STATES_MAX 4000u

typedef enum host_mode { HOST_WAL, HOST_WAL_FULL, HOST_JOURNAL, HOST_MODES } host_mode;

typedef struct host_row {
    uint8_t record[HTT_HOST_RECORD_SIZE]; /* root */
    uint64_t acked;                       /* attempt that is dead */
    uint32_t state;                       /* of the oracle */
} host_row;

/* What the tree holds in each state: a number for each row, 0 = no row. */
typedef struct host_oracle {
    uint32_t count;                               /* states */
    uint16_t rows[HOST_STATES_MAX][HOST_ROWS];    /* numbers */
    uint64_t nonces[HOST_STATES_MAX];             /* of the root that was published with it */
} host_oracle;

/* A database: what its processes share in memory. */
typedef struct host_db {
    host_mode mode;   /* how it commits */
    char path[64];    /* of its file */
    size_t frames;    /* visible frames of the WAL */
    uint64_t chain;   /* checksum of the last one */
    host_row row;     /* as committed */
} host_db;

typedef struct host_process {
    const htt_env *env;    /* of the simulated process */
    host_db *db;           /* borrowed */
    htt_store *store;      /* NULL = not open */
    htt_host_owner owner;  /* this database, as seen from the file */
    htt_txn *txn;          /* write transaction of the store, or NULL */
    host_row base;         /* committed row that the transaction began with */
    htt_host_root root;    /* in it */
    host_row row;          /* as the transaction has it */
    uint16_t work[HOST_ROWS]; /* rows of the tree, as the transaction has them */
    uint32_t barriers;     /* made */
    int barrier_code;      /* what the barrier is to give */
    bool low_first;        /* for begin */
    uint64_t budget;       /* for begin */
} host_process;

/* -------------------------------------------------------------- the database */

/* A new database with this row, durably. */
void host_db_create(host_db *db, const htt_env *env, const char *path, host_mode mode,
                    const host_row *row);
/* What a process finds that opens it first, after a crash. */
void host_db_recover(host_db *db, const htt_env *env, const char *path, host_mode mode);

typedef enum host_stop {
    HOST_COMPLETE, /* the whole commit */
    HOST_STOP      /* all of it but the last step, which makes it visible: in doubt */
} host_stop;
/* Gives an errno value. */
int host_db_commit(host_db *db, const htt_env *env, const host_row *row, host_stop stop);
/* In a journal host: what a commit left that was stopped is rolled back by who comes next. */
void host_db_rollback(host_db *db, const htt_env *env);
int host_db_barrier(const host_db *db, const htt_env *env);

/* --------------------------------------------------------------- processes */

/* Opens the store at `path` for this database. Fails the test, if it cannot. */
void host_open_at(host_process *process, const htt_env *env, host_db *db, const char *path,
                  unsigned flags);
void host_open(host_process *process, const htt_env *env, host_db *db);
/* With whatever is open. */
void host_close(host_process *process);

/* A new file and a new database that owns it; the process has both open. */
void host_create(host_process *process, const htt_env *env, host_db *db, host_mode mode,
                 host_oracle *oracle);

/* The host's transaction begins, and pages can be written. */
htt_rc host_begin(host_process *process, const host_oracle *oracle);
/* Any but HTT_OK fails the test. */
void host_begin_ok(host_process *process, const host_oracle *oracle);
htt_host_write host_write_of(host_process *process);
/* Changes one row; number 0 deletes it. Gives the error. */
htt_rc host_put(host_process *process, uint32_t row, uint16_t number);
/* A new state of the oracle; the root goes into the transaction's row. */
htt_rc host_publish(host_process *process, host_oracle *oracle);
/* Both commits. Gives an errno value of the host's; in doubt then. */
int host_commit(host_process *process, host_stop stop);
void host_rollback(host_process *process);
/* All of it: rows [first, end) get this number. */
void host_fold(host_process *process, host_oracle *oracle, uint32_t first, uint32_t end,
               uint16_t number);
/* A small commit that calls the outstanding attempt dead, if there is one. Gives it. */
uint64_t host_acknowledge(host_process *process);

/* ---------------------------------------------------------------- judging */

/* Rows of a transaction are those of this state. */
void host_expect_rows(htt_txn *txn, const uint16_t *rows);
/* The rows of one host snapshot; HTT_OK, or why it cannot be read. */
htt_rc host_read(htt_store *store, const host_row *row, const host_oracle *oracle, bool deep);
/* The committed row reads well. */
void host_check(host_process *process, const host_oracle *oracle);
/* What a standalone reader finds is a state of this oracle; gives its number. */
uint32_t host_check_standalone(const htt_env *env, const char *path, const host_oracle *oracle);
/*
 * A disk after a crash: the database is recovered, its row reads well, so does the file alone, and
 * the host can go on (after an acknowledgement at most).
 */
void host_examine(crash_fs *after, host_mode mode, host_oracle *oracle);
/* The same at all positions from `first` on: all processes killed, and up to `limit` power cuts. */
void host_examine_all(crash_fs *disk, size_t first, size_t limit, host_mode mode,
                      host_oracle *oracle);

/* ------------------------------------------------------------- small things */

/* An empty one; the caller frees it. */
host_oracle *host_oracle_new(void);
htt_host_meta host_meta_of(const host_process *process);
/* Operations of one kind ("sync kv.htt") from a position on. */
size_t host_count_ops(crash_fs *disk, size_t from, const char *what);
/* A read transaction over the committed row. */
htt_txn *host_reader(host_process *process);

#endif
