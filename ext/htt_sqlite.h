/* SPDX-License-Identifier: MIT */
/*
 * libhtt inside a program that links SQLite itself: link libhtt.a, and once, before the first
 * connection is opened,
 *
 *     sqlite3_auto_extension((void (*)(void))sqlite3_htt_init);
 *
 * Every connection opened later has the module `htt` and the htt_ functions. With libhtt.so the
 * same function is what `.load ./libhtt` and sqlite3_load_extension find by its name.
 */
#ifndef HTT_SQLITE_H
#define HTT_SQLITE_H

#include "htt.h"

#ifdef __cplusplus
extern "C" {
#endif

struct sqlite3;
struct sqlite3_api_routines;

/*
 * Registers everything with a connection; calling it twice is calling it once. SQLITE_OK, or an
 * SQLite error with *message_out set (free it with sqlite3_free). `api` is not looked at in
 * libhtt.a: NULL will do.
 */
HTT_API int sqlite3_htt_init(struct sqlite3 *db, char **message_out,
                             const struct sqlite3_api_routines *api);

#ifdef __cplusplus
}
#endif

#endif
