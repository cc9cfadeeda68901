/* SPDX-License-Identifier: MIT */
/*
 * What a query reads, as a file of its own.
 */
#ifndef HTT_EXT_SOURCE_BACKUP_H
#define HTT_EXT_SOURCE_BACKUP_H

#include "source.h"

/*
 * Writes the state of a source, its overlay included, to a new file that stands alone; durable when
 * it returns. The file gets its name when it is complete: until then it is "<path>-part".
 * HTT_EXISTS: there is a file of this name. On failure nothing stays. `error` may be NULL.
 */
htt_rc htt_source_backup(const htt_source *source, const char *path, htt_error *error);

#endif
