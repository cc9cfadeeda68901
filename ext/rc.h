/* SPDX-License-Identifier: MIT */
/*
 * The one place where an engine's result becomes an SQLite code, and where messages are set.
 */
#ifndef HTT_EXT_RC_H
#define HTT_EXT_RC_H

#include "api.h"
#include "engine/htt.h"

/*
 * What was going on. SQLite rolls the user's whole transaction back on SQLITE_IOERR: right when a
 * write is in doubt, wrong when a read failed.
 */
typedef enum htt_side { HTT_SIDE_READ, HTT_SIDE_WRITE } htt_side;

int htt_rc_sqlite(htt_rc rc, htt_side side);

/*
 * Sets *message_out (what was there is freed) to `text`, or to the result's name where text is
 * empty. Gives the SQLite code.
 */
int htt_rc_report(char **message_out, htt_rc rc, htt_side side, const char *text);

/* Sets *message_out to a text of ours. Gives `code`, or SQLITE_NOMEM. */
int htt_rc_say(char **message_out, int code, const char *format, ...);

#endif
