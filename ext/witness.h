/* SPDX-License-Identifier: MIT */
/*
 * The witness: an eponymous virtual table without rows that takes part in a transaction in place
 * of tables which SQLite stops telling about it.
 *
 * A virtual table that is dropped gets no more callbacks, though the transaction may be rolled
 * back to a savepoint and the table be there again. One that is created inside a transaction is
 * not told when the savepoint before it is rolled back. The witness is created and dropped by
 * nobody, so it hears everything from the moment it joins.
 */
#ifndef HTT_EXT_WITNESS_H
#define HTT_EXT_WITNESS_H

#include "connection.h"

/* Registers the module. Takes a reference to the registry. */
int htt_witness_register(htt_registry *registry);

/*
 * Makes the witness the leader of a joined connection. Outside of BEGIN and SAVEPOINT nothing is
 * to be done. It takes SQLite's write lock on main. An SQLite code, *message_out on failure.
 */
int htt_witness_lead(htt_connection *connection, char **message_out);

/* The same for a connection that need not take part yet, and for a single statement too: the
 * witness is told of its commit. */
int htt_witness_join(htt_connection *connection, char **message_out);

#endif
