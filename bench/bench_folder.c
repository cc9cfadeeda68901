/* SPDX-License-Identifier: MIT */
/*
 * The temporary folder. What is in it is the stores' business, so rm removes it: starting a program
 * is allowed in a signal handler, walking a folder is not.
 */
#include "bench_folder.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

static char folder_path[BENCH_PATH_SIZE]; /* "" = there is none */
static pid_t folder_owner;                /* the process that made it; no child removes it */

void bench_folder_remove(const char *path) {
    const pid_t child = fork();
    if (child == 0) {
        (void)execl("/bin/rm", "rm", "-rf", "--", path, (char *)NULL);
        _exit(1);
    }
    int status = 0;
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
}

static void folder_remove(void) {
    if (folder_path[0] != '\0' && getpid() == folder_owner) {
        bench_folder_remove(folder_path); /* nobody is left to be told */
        folder_path[0] = '\0';
    }
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
    memcpy(folder_path, path, sizeof path);
    folder_owner = getpid();
    if (atexit(folder_at_exit) != 0) {
        folder_remove();
        bench_fail("out of memory");
    }
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
        (void)signal(signals[i], folder_at_signal);
    }
    return folder_path;
}

char *bench_folder_add(const char *parent, const char *name) {
    const size_t size = strlen(parent) + strlen(name) + 2;
    char *path = bench_allocate(size, 1);
    (void)snprintf(path, size, "%s/%s", parent, name);
    if (mkdir(path, 0777) != 0) {
        bench_fail("cannot make the folder %s: %s", path, strerror(errno));
    }
    return path;
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
