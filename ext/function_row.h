/* SPDX-License-Identifier: MIT */
/*
 * A row of several columns as JSON, see function_row.c.
 */
#ifndef HTT_EXT_FUNCTION_ROW_H
#define HTT_EXT_FUNCTION_ROW_H

#include "api.h"
#include "engine/htt.h"

/* Makes the text the result. HTT_CORRUPT: bytes that are no row; then there is no result yet. */
htt_rc htt_function_row_result(sqlite3_context *context, htt_datum row);

#endif
