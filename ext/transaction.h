/* SPDX-License-Identifier: MIT */
/*
 * SQLite's transaction and savepoints over the engine's.
 */
#ifndef HTT_EXT_TRANSACTION_H
#define HTT_EXT_TRANSACTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct htt_connection;

typedef struct htt_savepoint_entry {
    int id;          /* SQLite's: position in the stack of open savepoints */
    bool placed;     /* the engine has it; false: nothing was changed since, or small */
    bool small;      /* hosted: opened before changes went into pages */
    uint32_t engine; /* the engine's id where it is placed */
    size_t length;   /* hosted: entries of the overlay then */
    uint64_t seq;    /* hosted, placed: htt_hosted.seq then */
    uint64_t token;  /* hosted, placed: htt_hosted.token then */
} htt_savepoint_entry;

typedef struct htt_transaction {
    bool joined;                  /* takes part in SQLite's running transaction */
    bool changed;                 /* something was written in it */
    bool refused;                 /* another writer has the file: only a change asks again */
    bool behind;                  /* it read a state that the other writer may have changed */
    const void *leader;           /* whose savepoint callbacks count (a sqlite3_vtab) */
    htt_savepoint_entry *entries; /* open savepoints, the oldest first; owned */
    int count;                    /* entries */
    int capacity;                 /* entries that there is room for */
    char *declare;                /* to be declared after the commit, NULL = nothing; owned */
    int declare_depth;            /* entries that were there when it was wanted */
} htt_transaction;

/* All that return int give an SQLite code and set *message_out on failure (sqlite3_free). */

/* Takes part. Joining twice is joining once: the first leader stays. */
int htt_transaction_join(struct htt_connection *connection, const void *leader, char **message_out);

/* Another leader takes over; the savepoints known so far stay. */
void htt_transaction_lead(struct htt_connection *connection, const void *leader);

/*
 * To be called before every change: begins the write transaction, places the savepoints. A change
 * that was made sets `changed`.
 */
int htt_transaction_change(struct htt_connection *connection, char **message_out);

/* Hosted: from now on changes go into pages. Savepoints that are open lead back behind that. */
void htt_transaction_enlarged(struct htt_connection *connection);

/* Wants `declaration` (copied) to be stored in the file if the transaction commits. */
int htt_transaction_declare(struct htt_connection *connection, const char *declaration);

/* SQLite's callbacks. The savepoints' do nothing unless `leader` leads. */
int htt_transaction_savepoint(struct htt_connection *connection, const void *leader, int id,
                              char **message_out);
int htt_transaction_release(struct htt_connection *connection, const void *leader, int id,
                            char **message_out);
int htt_transaction_rollback_to(struct htt_connection *connection, const void *leader, int id,
                                char **message_out);
int htt_transaction_sync(struct htt_connection *connection, char **message_out);
void htt_transaction_commit(struct htt_connection *connection);
void htt_transaction_rollback(struct htt_connection *connection);

#endif
