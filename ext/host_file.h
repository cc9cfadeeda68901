/* SPDX-License-Identifier: MIT */
/*
 * The host's database file, below SQL: where it is, how it commits, and making it durable.
 */
#ifndef HTT_EXT_HOST_FILE_H
#define HTT_EXT_HOST_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "api.h"

/*
 * The path of a schema's database file, NULL = it has none (":memory:", a temporary one, one of
 * the VFS memdb). Borrowed until the schema is detached.
 */
const char *htt_host_file_path(sqlite3 *db, const char *schema);

typedef enum htt_host_kind {
    HTT_HOST_NONE,     /* no file: the htt file keeps its own root */
    HTT_HOST_ROLLBACK, /* journal_mode delete, truncate or persist */
    HTT_HOST_WAL       /* journal_mode wal */
} htt_host_kind;

/*
 * What is kept between calls. Zero it before the first one, but for `db` and `schema`; clear it
 * before the schema is detached.
 */
typedef struct htt_host_file {
    sqlite3 *db;           /* borrowed */
    const char *schema;    /* borrowed */
    sqlite3_stmt *mode;    /* PRAGMA journal_mode; owned */
    const void *wal;       /* SQLite's handle of the WAL when the mode was wal, NULL = it was not */
    uint64_t directory_of; /* inode of the WAL at the last sync of the directory, 0 = none */
    bool sound;            /* locks and file systems were looked at and are good */
} htt_host_file;
void htt_host_file_clear(htt_host_file *file);

/*
 * How the host commits. Refused with SQLITE_ERROR and a message: journal_mode off and memory, a
 * database without locks (nolock, immutable), a network file system (of the database or of
 * `htt_path`). Locks and file systems are looked at until they were good once, the journal mode
 * every time: it is known for certain while a read transaction is open.
 */
int htt_host_file_kind(htt_host_file *file, const char *htt_path, htt_host_kind *kind_out,
                       char **message_out);

/*
 * Changes whenever somebody commits to the database; meaningful while a read transaction is open.
 * SQLITE_FCNTL_DATA_VERSION.
 */
int htt_host_file_version(htt_host_file *file, uint32_t *version_out);

/*
 * Makes all that is committed durable: journal or WAL, then the database, then the directory.
 * Whatever PRAGMA synchronous says. 0, or an errno value.
 */
int htt_host_file_barrier(htt_host_file *file);

/* f_type of statfs(2) is that of a file system that other machines use too. */
bool htt_host_file_is_network(uint32_t type);

#endif
