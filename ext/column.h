/* SPDX-License-Identifier: MIT */
/*
 * The grammar of one column declaration.
 */
#ifndef HTT_EXT_COLUMN_H
#define HTT_EXT_COLUMN_H

#include "declaration.h"

/* Why a table constraint or column constraint is not possible here; NULL: `word` is none such. */
const char *htt_column_refusal(const char *word);

/*
 * Reads `name [type] [constraint...]` into a zeroed column. An SQLite code; *message_out on
 * failure. What was filled must be freed with htt_column_clear in any case.
 */
int htt_column_parse(const char *argument, htt_column *column, char **message_out);
void htt_column_clear(htt_column *column);

#endif
