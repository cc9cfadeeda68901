/* SPDX-License-Identifier: MIT */
/*
 * Scripts of calls of htt.h, run beside a model of what the store must hold. The tests of faults,
 * crashes and damage share them: each runs the same work in another world and judges the end.
 *
 * A run goes on after errors as a careful program would: a failed put leaves its row as it was, a
 * broken transaction is aborted, a failed open ends the script. Whatever contradicts htt.h is put
 * into `wrong`; errors themselves are wrong only when none are expected.
 */
#ifndef TEST_ENGINE_WORKLOAD_H
#define TEST_ENGINE_WORKLOAD_H

#include "htt_env.h"
#include "support/test_rows.h"

#define WORKLOAD_PATH "kv.htt"
#define WORKLOAD_COPY "copy.htt" /* of STEP_BACKUP; removed again */

typedef enum step_kind {
    STEP_END = 0,
    STEP_OPEN,     /* creates when absent */
    STEP_CLOSE,    /* with whatever is open */
    STEP_BEGIN,    /* a write transaction */
    STEP_PUT,      /* rows [first, end), a new version */
    STEP_DEL,      /* rows [first, end), there or not */
    STEP_GET,      /* rows [first, end), in the write transaction */
    STEP_SAVE,     /* a savepoint */
    STEP_ROLLBACK, /* to the newest savepoint */
    STEP_RELEASE,  /* the newest savepoint */
    STEP_PREPARE,  /* without a commit */
    STEP_COMMIT,   /* of the write transaction */
    STEP_ABORT,    /* of it */
    STEP_CURSOR,   /* opens one in the write transaction */
    STEP_WALK,     /* over all rows it has, closes it */
    STEP_READ,     /* compares everything, in a read transaction */
    STEP_PIN,      /* begins a read transaction */
    STEP_UNPIN,    /* compares everything in it, ends it */
    STEP_CHECK,    /* deep, in a read transaction */
    STEP_STAT,     /* in a read transaction */
    STEP_BACKUP,   /* to a new file, which is read */
    STEP_VACUUM,   /* outside a transaction */
    STEP_SIMPLE,   /* row 1 with htt_put_text, row 11 with htt_put_int; read back */
    STEP_DECLARE   /* another declaration */
} step_kind;

typedef struct workload_step {
    step_kind kind; /* what */
    uint32_t first; /* row */
    uint32_t end;   /* row after the last */
} workload_step;

typedef struct workload {
    const char *name;           /* for messages */
    const workload_step *steps; /* up to STEP_END */
    rows_kind rows;             /* of all rows */
    uint32_t page_size;         /* of the file */
    htt_sync sync;              /* of the handle */
    unsigned flags;             /* HTT_OPEN_..., CREATE is added */
    uint64_t write_budget;      /* 0 = default */
    uint64_t cache_bytes;       /* 0 = default */
    void (*opened)(htt_store *store); /* called after every open; NULL = nothing */
} workload;

#define WORKLOAD_STATES_MAX 60u
#define WORKLOAD_SAVES_MAX 8u

typedef enum workload_event {
    WORKLOAD_COMMITTING, /* run->working is about to be committed */
    WORKLOAD_COMMITTED,  /* it was: the last state of the history */
    WORKLOAD_OPENING,    /* the file is about to be opened */
    WORKLOAD_OPENED,     /* it is */
    WORKLOAD_CLOSED      /* htt_close has returned */
} workload_event;

typedef struct workload_run {
    const workload *what; /* the script */
    const htt_env *env;   /* the world */
    bool faults;          /* errors are expected */
    bool commit_broken;   /* tries to commit a broken transaction; else aborts it */
    void (*note)(void *arg, const struct workload_run *run, workload_event event); /* or NULL */
    void *arg;            /* of note */

    htt_store *store;    /* open, or NULL */
    htt_txn *txn;        /* write transaction, or NULL */
    htt_txn *pin;        /* read transaction, or NULL */
    htt_cursor *cursor;  /* or NULL */
    uint16_t version;    /* last one used */
    uint32_t errors;     /* failed calls */
    htt_rc first_error;  /* of them */
    bool poisoned;       /* the handle said so */
    bool doubtful;       /* whether the last state of the history is there is unknown */
    bool older;          /* sync = normal, and a write failed: any state may be what is there */
    uint32_t count;      /* of history */
    rows_state working;  /* of txn */
    rows_state frozen;   /* of cursor */
    rows_state pinned[2];      /* pin sees one of these */
    uint32_t pinned_count;     /* of pinned */
    uint32_t depth;            /* savepoints */
    bool saved_ok[WORKLOAD_SAVES_MAX];       /* that could be made */
    uint32_t saved_ids[WORKLOAD_SAVES_MAX];  /* as given out */
    rows_state saved[WORKLOAD_SAVES_MAX];    /* what they go back to */
    rows_state history[WORKLOAD_STATES_MAX]; /* committed, in order; [0] is the empty one */
    char wrong[600];     /* the first contradiction; "" = none */
} workload_run;

void workload_begin(workload_run *run, const workload *what, const htt_env *env);
/* Runs the script. What is open at its end stays open (workload_close). */
void workload_steps(workload_run *run);
void workload_close(workload_run *run);

/* States that the file may hold now: the last one; with doubts the one before too; all, if states
 * that were never synced may be lost. *first_out: the first of them, in the history. */
uint32_t workload_allowed(workload_run *run, const rows_state **first_out);

/* The script's options, over an environment. */
void workload_options(const workload *what, const htt_env *env, htt_options *options_out);

/* What is to be done after every open of the script's file. */
void workload_opened(const workload *what, htt_store *store);

typedef struct examination {
    uint64_t matches; /* bit i: states[i] may be what the file held; 0 = none, see why */
    bool damaged;     /* that is known from an error or from the check, not from wrong data */
    char why[600];    /* what is wrong */
} examination;

/*
 * Opens the file anew, checks it deep, compares it with the states, writes and commits rows, and
 * compares again.
 */
void workload_examine(const workload *what, const htt_env *env, const rows_state *states,
                      size_t count, examination *result_out);

#endif
