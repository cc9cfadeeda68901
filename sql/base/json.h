/* SPDX-License-Identifier: MIT */
/* Is a text JSON (RFC 8259)? Without SQLite, so that a fake refuses what a database does. */
#ifndef HTT_SQL_BASE_JSON_H
#define HTT_SQL_BASE_JSON_H

#include <stdbool.h>
#include <stddef.h>

#define HTT_JSON_DEPTH_MAX 512 /* arrays and objects inside of each other; SQLite takes more */

/*
 * One JSON value with white space around it, in UTF-8. What is accepted here, SQLite's json_valid
 * accepts too. *at_out (NULL: not asked): the offset of what is wrong.
 */
bool htt_json_is_valid(const char *text, size_t size, size_t *at_out);

#endif
