/* SPDX-License-Identifier: MIT */
/*
 * What a query reads, as a file of its own: the engine copies the tree, then the changes in front
 * of it are put into the copy, and only then it gets its name.
 *
 *     htt_backup -> "copy.htt-part" -> changes, one commit -> link to "copy.htt" -> folder synced
 *
 * Without changes in front of the tree the engine's copy is all there is to do.
 */
#include "source_backup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "api.h"
#include "arguments.h"

static htt_rc backup_error(htt_error *error, htt_rc rc, const char *format, ...) {
    va_list arguments;
    if (error != NULL) {
        *error = (htt_error){.rc = rc};
        va_start(arguments, format);
        (void)vsnprintf(error->text, sizeof error->text, format, arguments);
        va_end(arguments);
    }
    return rc;
}

/* The newest change of each key. */
static htt_rc backup_changes(const htt_source *source, htt_txn *target) {
    for (size_t i = 0; i < source->length; i++) {
        htt_rc rc;
        if (!htt_overlay_is_newest(source->overlay, source->length, i)) {
            continue;
        }
        const htt_change *const change = htt_overlay_at(source->overlay, i);
        if (change->op == HTT_OP_DEL) {
            rc = htt_del(target, change->key);
            rc = rc == HTT_NOTFOUND ? HTT_OK : rc;
        } else {
            rc = htt_put(target, change->key, change->value, 0);
        }
        if (rc != HTT_OK) {
            return rc;
        }
    }
    return HTT_OK;
}

static htt_rc backup_add(const htt_source *source, const char *path, htt_error *error) {
    htt_options options;
    htt_store *store;
    htt_txn *target;
    htt_options_init(&options);
    options.flags = HTT_OPEN_NO_FOLLOW;
    options.env = htt_arguments_env;
    htt_rc rc = htt_open(path, &options, &store, error);
    if (rc != HTT_OK) {
        return rc;
    }
    rc = htt_begin(store, HTT_WRITE, &target);
    if (rc == HTT_OK) {
        rc = backup_changes(source, target);
        if (rc == HTT_OK) {
            rc = htt_commit(target);
        } else {
            (void)backup_error(error, rc, "%s", htt_txn_errmsg(target));
            htt_abort(target);
            htt_close(store);
            return rc;
        }
    }
    if (rc != HTT_OK) {
        (void)backup_error(error, rc, "%s", htt_errmsg(store));
    }
    htt_close(store);
    return rc;
}

/* An errno value. */
static int backup_sync_directory(const char *path) {
    const char *const slash = strrchr(path, '/');
    char *const folder = slash == NULL ? sqlite3_mprintf("%s", ".")
                                       : sqlite3_mprintf("%.*s", (int)(slash - path + 1), path);
    if (folder == NULL) {
        return ENOMEM;
    }
    const int directory = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    sqlite3_free(folder);
    if (directory < 0) {
        return errno;
    }
    const int code = fsync(directory) == 0 ? 0 : errno;
    (void)close(directory);
    return code;
}

/* Never replaces a file, except where the file system has no links. */
static int backup_place(const char *part, const char *path) {
    if (link(part, path) == 0) {
        return 0;
    }
    if (errno != EPERM && errno != EOPNOTSUPP && errno != ENOSYS) {
        return errno;
    }
    if (access(path, F_OK) == 0) {
        return EEXIST;
    }
    return rename(part, path) == 0 ? 0 : errno;
}

static htt_rc backup_whole(const htt_source *source, const char *part, const char *path,
                           htt_error *error) {
    htt_rc rc = htt_backup(source->txn, part);
    if (rc != HTT_OK) {
        return backup_error(error, rc, "%s", htt_txn_errmsg(source->txn));
    }
    rc = backup_add(source, part, error);
    int code = rc == HTT_OK ? backup_place(part, path) : 0;
    (void)unlink(part);
    if (rc == HTT_OK && code == 0) {
        code = backup_sync_directory(path);
        if (code != 0) {
            (void)unlink(path);
        }
    }
    return rc != HTT_OK || code == 0
               ? rc
               : backup_error(error, code == EEXIST ? HTT_EXISTS : HTT_IO, "cannot make '%s': %s",
                              path, strerror(code));
}

htt_rc htt_source_backup(const htt_source *source, const char *path, htt_error *error) {
    htt_rc rc;
    if (source->length == 0) {
        rc = htt_backup(source->txn, path);
        return rc == HTT_OK ? rc : backup_error(error, rc, "%s", htt_txn_errmsg(source->txn));
    }
    if (access(path, F_OK) == 0) {
        return backup_error(error, HTT_EXISTS, "'%s' exists already", path);
    }
    char *const part = sqlite3_mprintf("%s-part", path);
    char *const lock = sqlite3_mprintf("%s-part-lock", path);
    rc = part == NULL || lock == NULL ? backup_error(error, HTT_NOMEM, "out of memory")
                                      : backup_whole(source, part, path, error);
    if (lock != NULL && rc != HTT_EXISTS) {
        (void)unlink(lock);
    }
    sqlite3_free(part);
    sqlite3_free(lock);
    return rc;
}
