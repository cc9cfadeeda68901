/* SPDX-License-Identifier: MIT */
/*
 * The temporary folder. All names in it are known beforehand, so that it can be removed from a
 * signal handler too: unlink and rmdir are allowed there, walking a directory is not.
 */
#include "bench_folder.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "bench.h"

static const char *const folder_names[] = {
    BENCH_FILE_ORDINARY,      BENCH_FILE_ORDINARY "-wal", BENCH_FILE_ORDINARY "-shm",
    BENCH_FILE_HOST,          BENCH_FILE_HOST "-wal",     BENCH_FILE_HOST "-shm",
    BENCH_FILE_SQL,           BENCH_FILE_SQL "-lock",     BENCH_FILE_NATIVE,
    BENCH_FILE_NATIVE "-lock"};
enum { FOLDER_NAMES = sizeof folder_names / sizeof folder_names[0] };

static char folder_path[BENCH_PATH_SIZE];                     /* "" = there is none */
static char folder_files[FOLDER_NAMES][BENCH_PATH_SIZE + 64]; /* full paths of folder_names */

static void folder_remove(void) {
    if (folder_path[0] == '\0') {
        return;
    }
    for (int i = 0; i < FOLDER_NAMES; i++) {
        (void)unlink(folder_files[i]); /* most are absent at any time */
    }
    (void)rmdir(folder_path); /* nobody is left to be told */
    folder_path[0] = '\0';
}

static void folder_at_exit(void) {
    folder_remove();
}

static void folder_at_signal(int number) {
    folder_remove();
    (void)signal(number, SIG_DFL);
    (void)raise(number);
}

const char *bench_folder_make(void) {
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
    const char *parent = getenv("TMPDIR");
    if (parent == NULL || parent[0] == '\0') {
        parent = "/tmp";
    }
    char path[BENCH_PATH_SIZE];
    const int size = snprintf(path, sizeof path, "%s/htt-bench.XXXXXX", parent);
    if (size < 0 || (size_t)size + 64 > sizeof path) {
        bench_fail("TMPDIR is too long");
    }
    if (mkdtemp(path) == NULL) {
        bench_fail("cannot make a folder in %s: %s", parent, strerror(errno));
    }
    for (int i = 0; i < FOLDER_NAMES; i++) {
        (void)snprintf(folder_files[i], sizeof folder_files[i], "%s/%s", path, folder_names[i]);
    }
    memcpy(folder_path, path, sizeof path);
    if (atexit(folder_at_exit) != 0) {
        folder_remove();
        bench_fail("out of memory");
    }
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
        (void)signal(signals[i], folder_at_signal);
    }
    return folder_path;
}

const char *bench_folder_system(void) {
    static const struct {
        unsigned long magic; /* statfs(2) */
        const char *name;    /* as mount(8) says it */
    } systems[] = {{0xEF53, "ext4"},      {0x58465342, "xfs"},     {0x9123683E, "btrfs"},
                   {0x01021994, "tmpfs"}, {0x794C7630, "overlay"}, {0x2FC12FC1, "zfs"},
                   {0x6969, "nfs"},       {0x65735546, "fuse"},    {0xF2F52010, "f2fs"}};
    static char number[32];
    struct statfs status;
    if (statfs(folder_path, &status) != 0) {
        return "unknown";
    }
    const unsigned long magic = (unsigned long)status.f_type & 0xFFFFFFFFul;
    for (size_t i = 0; i < sizeof systems / sizeof systems[0]; i++) {
        if (systems[i].magic == magic) {
            return systems[i].name;
        }
    }
    (void)snprintf(number, sizeof number, "0x%lx", magic);
    return number;
}

void bench_path(const bench_config *config, const char *name, char path[BENCH_PATH_SIZE]) {
    const int size = snprintf(path, BENCH_PATH_SIZE, "%s/%s", config->folder, name);
    if (size < 0 || size >= BENCH_PATH_SIZE) {
        bench_fail("the path of %s is too long", name);
    }
}
