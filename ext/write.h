/* SPDX-License-Identifier: MIT */
/*
 * Changes of rows, whoever keeps the root: the engine's write transaction, or a hosted file.
 */
#ifndef HTT_EXT_WRITE_H
#define HTT_EXT_WRITE_H

#include <stdbool.h>

#include "connection.h"

typedef enum htt_write_mode {
    HTT_WRITE_INSERT, /* the key must be new */
    HTT_WRITE_UPSERT  /* a row that is there is replaced */
} htt_write_mode;

/*
 * All give an SQLite code and set *message_out on failure. The write transaction is begun
 * (htt_transaction_change). Each call changes all or nothing. *exists_out true: the key is there
 * (HTT_WRITE_INSERT), and nothing has changed.
 */
int htt_write_put(htt_connection *connection, htt_datum key, htt_datum value, htt_write_mode mode,
                  bool *exists_out, char **message_out);
/* No such row is no error. */
int htt_write_del(htt_connection *connection, htt_datum key, char **message_out);
/* Deletes one key and puts another. */
int htt_write_move(htt_connection *connection, htt_datum old_key, htt_datum key, htt_datum value,
                   htt_write_mode mode, bool *exists_out, char **message_out);

/* Whether a key is there, as htt_exists. */
htt_rc htt_write_exists(const htt_connection *connection, htt_datum key);

/* What this transaction reads: as it is now. Valid until the next change. */
htt_source htt_write_source(const htt_connection *connection);
/* The message of its last error. */
int htt_write_fail(const htt_connection *connection, htt_rc rc, char **message_out);

#endif
