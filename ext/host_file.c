/* SPDX-License-Identifier: MIT */
/*
 * The host's database file: its journal mode, whether it can be a host, and the barrier.
 *
 *   BARRIER                   MAKES DURABLE
 *   1. journal or WAL         the newest commits of a WAL; that a journal was truncated or zeroed
 *   2. database               what commits and checkpoints have written there
 *   3. directory              that a journal was deleted, that a WAL was made
 *
 * Step 3 is left out for a WAL that is the one of the last time: nobody can delete or replace it
 * while this connection has the database open in WAL mode. A journal is always looked at anew: its
 * inode number may be that of a file which was deleted and made again.
 */
#include "host_file.h"

#include <errno.h>
#include <string.h>
#include <sys/vfs.h>

#include "arguments.h"
#include "engine/htt_env.h"
#include "rc.h"

static const htt_env *host_env(void) {
    return htt_arguments_env == NULL ? htt_env_system() : htt_arguments_env;
}

/* The name of the schema's VFS has this in it ("shim/unix-none"). */
static bool host_has_vfs(sqlite3 *db, const char *schema, const char *part) {
    char *name = NULL;
    (void)sqlite3_file_control(db, schema, SQLITE_FCNTL_VFSNAME, &name);
    const bool has = name != NULL && strstr(name, part) != NULL;
    sqlite3_free(name);
    return has;
}

const char *htt_host_file_path(sqlite3 *db, const char *schema) {
    const char *const path = sqlite3_db_filename(db, schema);
    return path == NULL || path[0] == '\0' || host_has_vfs(db, schema, "memdb") ? NULL : path;
}

void htt_host_file_clear(htt_host_file *file) {
    sqlite3_finalize(file->mode);
    *file = (htt_host_file){.db = NULL};
}

/* ----------------------------------------------------------- file systems */

bool htt_host_file_is_network(uint32_t type) {
    static const uint32_t types[] = {
        0x00006969, /* NFS */
        0x0000517b, /* SMB */
        0xfe534d42, /* SMB2 */
        0xff534d42, /* CIFS */
        0x5346414f, /* AFS */
        0x6b414653, /* AFS of the kernel */
        0x73757245, /* Coda */
        0x0000564c, /* NCP */
        0x00c36400, /* Ceph */
        0x0bd00bd0, /* Lustre */
        0x47504653, /* GPFS */
        0x19830326, /* BeeGFS */
    };
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (types[i] == type) {
            return true;
        }
    }
    return false; /* FUSE and 9P among them: more often another view of a local disk */
}

/* A path that is not there is judged by its directory. What cannot be told is not a network's. */
static bool host_is_on_network(const char *path) {
    char directory[4096];
    struct statfs info;
    if (statfs(path, &info) == 0) {
        return htt_host_file_is_network((uint32_t)info.f_type);
    }
    const char *const slash = strrchr(path, '/');
    const size_t size = slash == NULL ? 0 : (size_t)(slash - path) + 1;
    if (size >= sizeof directory) {
        return false;
    }
    memcpy(directory, size == 0 ? "." : path, size == 0 ? 1 : size);
    directory[size == 0 ? 1 : size] = '\0';
    return statfs(directory, &info) == 0 && htt_host_file_is_network((uint32_t)info.f_type);
}

/* ------------------------------------------------------------------- kind */

static int host_check_sound(htt_host_file *file, const char *path, const char *htt_path,
                            char **message_out) {
    const char *const why = sqlite3_uri_boolean(path, "nolock", 0) != 0         ? "nolock=1"
                            : sqlite3_uri_boolean(path, "immutable", 0) != 0    ? "immutable=1"
                            : host_has_vfs(file->db, file->schema, "unix-none") ? "VFS unix-none"
                                                                                : NULL;
    if (why != NULL) {
        return htt_rc_say(message_out, SQLITE_ERROR,
                          "%s was opened without locks (%s): htt tables need them", path, why);
    }
    const char *const paths[] = {path, htt_path};
    for (size_t i = 0; i < 2; i++) {
        if (host_is_on_network(paths[i])) {
            return htt_rc_say(message_out, SQLITE_ERROR,
                              "%s is on a network file system: htt tables need a local one",
                              paths[i]);
        }
    }
    file->sound = true;
    return SQLITE_OK;
}

static int host_fail(const htt_host_file *file, int rc, char **message_out) {
    const int extended = sqlite3_extended_errcode(file->db);
    return htt_rc_say(message_out, (extended & 0xff) == (rc & 0xff) ? extended : rc,
                      "PRAGMA %s.journal_mode: %s", file->schema, sqlite3_errmsg(file->db));
}

/* The word of PRAGMA journal_mode, copied. */
static int host_read_mode(htt_host_file *file, char word[16], char **message_out) {
    int rc = SQLITE_OK;
    if (file->mode == NULL) {
        char *const sql = sqlite3_mprintf("PRAGMA \"%w\".journal_mode", file->schema);
        if (sql == NULL) {
            return SQLITE_NOMEM;
        }
        rc = sqlite3_prepare_v3(file->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &file->mode, NULL);
        sqlite3_free(sql);
        if (rc != SQLITE_OK) {
            return host_fail(file, rc, message_out);
        }
    }
    rc = sqlite3_step(file->mode);
    if (rc == SQLITE_ROW) {
        const char *const text = (const char *)sqlite3_column_text(file->mode, 0);
        sqlite3_snprintf(16, word, "%s", text == NULL ? "" : text);
        rc = text == NULL ? SQLITE_NOMEM : SQLITE_OK;
    } else {
        rc = host_fail(file, rc == SQLITE_DONE ? SQLITE_ERROR : rc, message_out);
    }
    (void)sqlite3_reset(file->mode);
    return rc;
}

/* What SQLite has for a journal: the WAL's handle in WAL mode, else one that stays the same. */
static const void *host_journal_handle(const htt_host_file *file) {
    sqlite3_file *handle = NULL;
    (void)sqlite3_file_control(file->db, file->schema, SQLITE_FCNTL_JOURNAL_POINTER, &handle);
    return handle;
}

/*
 * The PRAGMA costs as much as all the rest of a small statement: SQLite compiles it every time. In
 * WAL mode the handle tells: one that was the WAL's cannot become the journal's, which is as old as
 * the open database.
 */
static bool host_is_wal_still(const htt_host_file *file) {
    return file->sound && file->wal != NULL && file->wal == host_journal_handle(file);
}

int htt_host_file_kind(htt_host_file *file, const char *htt_path, htt_host_kind *kind_out,
                       char **message_out) {
    char word[16];
    if (host_is_wal_still(file)) {
        *kind_out = HTT_HOST_WAL;
        return SQLITE_OK;
    }
    const char *const path = htt_host_file_path(file->db, file->schema);
    if (path == NULL) {
        *kind_out = HTT_HOST_NONE;
        return SQLITE_OK;
    }
    int rc = file->sound ? SQLITE_OK : host_check_sound(file, path, htt_path, message_out);
    rc = rc == SQLITE_OK ? host_read_mode(file, word, message_out) : rc;
    if (rc != SQLITE_OK) {
        return rc;
    }
    const bool wal = strcmp(word, "wal") == 0;
    /* Outside of a read transaction the WAL may not be open yet: then the handle tells nothing. */
    file->wal = wal && sqlite3_txn_state(file->db, file->schema) != SQLITE_TXN_NONE
                    ? host_journal_handle(file)
                    : NULL;
    if (wal) {
        *kind_out = HTT_HOST_WAL;
    } else if (strcmp(word, "delete") == 0 || strcmp(word, "truncate") == 0 ||
               strcmp(word, "persist") == 0) {
        *kind_out = HTT_HOST_ROLLBACK;
    } else {
        rc = htt_rc_say(message_out, SQLITE_ERROR,
                        "%s has journal_mode=%s: its commits can be cut in half, and htt tables "
                        "are a part of them; use wal, delete, truncate or persist",
                        path, word);
    }
    return rc;
}

int htt_host_file_version(htt_host_file *file, uint32_t *version_out) {
    unsigned version = 0;
    /* No name is the main database, and nothing to look for. */
    const char *const schema = strcmp(file->schema, "main") == 0 ? NULL : file->schema;
    const int rc = sqlite3_file_control(file->db, schema, SQLITE_FCNTL_DATA_VERSION, &version);
    if (rc == SQLITE_OK) {
        *version_out = version;
    }
    return rc;
}

/* ---------------------------------------------------------------- barrier */

static int host_sync_handle(htt_host_file *file, int which, bool *open_out) {
    sqlite3_file *handle = NULL;
    int rc = sqlite3_file_control(file->db, file->schema, which, &handle);
    *open_out = rc == SQLITE_OK && handle != NULL && handle->pMethods != NULL;
    if (*open_out) {
        rc = handle->pMethods->xSync(handle, SQLITE_SYNC_FULL);
    }
    return rc == SQLITE_OK ? 0 : (rc & 0xff) == SQLITE_FULL ? ENOSPC : EIO;
}

/* A file that is not there needs no sync. Only for files without locks: closing drops them. */
static int host_sync_path(const char *path) {
    const htt_env *const env = host_env();
    htt_file *file;
    int code = env->open(env->context, path, HTT_FILE_READ, &file);
    if (code != 0) {
        return code == ENOENT ? 0 : code;
    }
    code = env->sync(env->context, file);
    env->close(env->context, file);
    return code;
}

/*
 * SQLite closes a journal with the transaction and opens it with the first page that the next one
 * writes. In between a journal that was truncated or zeroed, but not synced, is as dangerous.
 */
static int host_sync_journal(htt_host_file *file, const char *path) {
    bool open;
    int code = host_sync_handle(file, SQLITE_FCNTL_JOURNAL_POINTER, &open);
    if (code != 0 || open) {
        return code;
    }
    code = host_sync_path(sqlite3_filename_journal(path));
    return code == 0 ? host_sync_path(sqlite3_filename_wal(path)) : code;
}

/* The inode of the WAL; 0: none, or this is no WAL database. */
static uint64_t host_wal_inode(htt_host_file *file, const char *path) {
    const htt_env *const env = host_env();
    const char *const wal = sqlite3_filename_wal(path);
    htt_file_info info;
    char word[16];
    char *message = NULL;
    const int rc = host_read_mode(file, word, &message);
    sqlite3_free(message);
    return rc == SQLITE_OK && strcmp(word, "wal") == 0 && wal != NULL &&
                   env->path_info(env->context, wal, &info) == 0
               ? info.inode
               : 0;
}

int htt_host_file_barrier(htt_host_file *file) {
    const htt_env *const env = host_env();
    const char *const path = htt_host_file_path(file->db, file->schema);
    if (path == NULL) {
        return 0;
    }
    bool open;
    int code = host_sync_journal(file, path);
    code = code == 0 ? host_sync_handle(file, SQLITE_FCNTL_FILE_POINTER, &open) : code;
    if (code != 0) {
        return code;
    }
    const uint64_t inode = host_wal_inode(file, path);
    if (inode != 0 && inode == file->directory_of) {
        return 0;
    }
    code = env->sync_directory(env->context, path);
    file->directory_of = code == 0 ? inode : 0;
    return code;
}
