/* SPDX-License-Identifier: MIT */
/*
 * CREATE VIRTUAL TABLE: making the file, or taking one that is there.
 */
#ifndef HTT_EXT_CREATE_H
#define HTT_EXT_CREATE_H

#include "vtab.h"

/*
 * Opens or makes the file of a table that is being created, writes its row of htt_store and joins
 * the transaction. An SQLite code, *message_out on failure.
 */
int htt_create_file(htt_table *table, char **message_out);

#endif
