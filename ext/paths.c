/* SPDX-License-Identifier: MIT */
/*
 * Which file a table means. CREATE may name any path, as ATTACH may; names that would get in the
 * way of SQLite's or our own side files are refused. That the file is a regular one, no symbolic
 * link, and has the right uuid, is seen to where it is opened.
 */
#include "paths.h"

#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "rc.h"

enum { PATHS_SIZE_MAX = 4096 }; /* Linux's PATH_MAX */

static bool paths_ends_in(const char *text, const char *end) {
    const size_t text_size = strlen(text);
    const size_t end_size = strlen(end);
    return text_size >= end_size && strcmp(text + text_size - end_size, end) == 0;
}

static int paths_check_name(const char *name, char **message_out) {
    if (sqlite3_strnicmp(name, "file:", 5) == 0) {
        return htt_rc_say(message_out, SQLITE_ERROR, "%s: a path expected, not a URI", name);
    }
    if (paths_ends_in(name, "/")) {
        return htt_rc_say(message_out, SQLITE_ERROR, "%s: a file expected, not a directory", name);
    }
    if (paths_ends_in(name, "-lock")) {
        return htt_rc_say(message_out, SQLITE_ERROR,
                          "%s: names ending in -lock are for the lock files of htt files", name);
    }
    return SQLITE_OK;
}

/* The database itself and the files that SQLite makes beside it. */
static int paths_check_database(const char *database, const char *path, char **message_out) {
    static const char *const ends[] = {"", "-journal", "-wal", "-shm"};
    const size_t size = strlen(database);
    if (size == 0 || strncmp(path, database, size) != 0) {
        return SQLITE_OK;
    }
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        if (strcmp(path + size, ends[i]) == 0) {
            return htt_rc_say(message_out, SQLITE_ERROR,
                              "%s is a file of the SQLite database itself", path);
        }
    }
    return SQLITE_OK;
}

/* The directory that relative names begin at, with its slash. NULL: out of memory, or no cwd. */
static char *paths_directory(const char *database) {
    const char *const slash = strrchr(database, '/');
    if (slash != NULL) {
        return sqlite3_mprintf("%.*s", (int)(slash - database + 1), database);
    }
    char buffer[PATHS_SIZE_MAX];
    if (getcwd(buffer, sizeof buffer) == NULL) {
        return sqlite3_mprintf("./");
    }
    return sqlite3_mprintf("%s/", strcmp(buffer, "/") == 0 ? "" : buffer);
}

int htt_paths_resolve(sqlite3 *db, const char *schema, const char *name, char **path_out,
                      char **message_out) {
    const char *const found = sqlite3_db_filename(db, schema);
    const char *const database = found == NULL ? "" : found;
    int rc = paths_check_name(name, message_out);
    if (rc != SQLITE_OK) {
        return rc;
    }
    while (strncmp(name, "./", 2) == 0) {
        name += 2;
    }
    char *const directory = name[0] == '/' ? sqlite3_mprintf("%s", "") : paths_directory(database);
    char *const path = directory == NULL ? NULL : sqlite3_mprintf("%s%s", directory, name);
    sqlite3_free(directory);
    if (path == NULL) {
        return SQLITE_NOMEM;
    }
    rc = paths_check_database(database, path, message_out);
    if (rc == SQLITE_OK && strlen(path) >= PATHS_SIZE_MAX) {
        rc = htt_rc_say(message_out, SQLITE_ERROR, "the file's path is longer than %d bytes",
                        PATHS_SIZE_MAX - 1);
    }
    if (rc != SQLITE_OK) {
        sqlite3_free(path);
        return rc;
    }
    *path_out = path;
    return SQLITE_OK;
}
