/* SPDX-License-Identifier: MIT */
/*
 * Looking for damage in the rows of a store in htt_outbox, all of it and not only the first.
 */
#ifndef HTT_EXT_OUTBOX_CHECK_H
#define HTT_EXT_OUTBOX_CHECK_H

#include <stdbool.h>

#include "api.h"
#include "engine/htt_host.h"

/* Takes a problem. Anything but SQLITE_OK stops the check, which gives it. */
typedef int (*htt_outbox_note)(void *arg, const char *problem);

/*
 * Rows past the root: no number is missing, each makes sense, and the tokens are a chain that
 * begins at the root. Older rows do not count and may be gone; `dense`: they were kept for others,
 * so no number among them is missing either. `root` NULL: the store has none, so no row belongs
 * there.
 *
 *     older rows                      root.seq | rows past the root
 *     5  6  7  8                             8 | 9 -> 10 -> 11 -> 12
 *
 * That the newest rows were deleted cannot be seen. An SQLite code, *message_out on failure.
 */
int htt_outbox_check(sqlite3 *db, const char *schema, sqlite3_int64 store,
                     const htt_host_root *root, bool dense, htt_outbox_note note, void *arg,
                     char **message_out);

#endif
