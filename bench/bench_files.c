/* SPDX-License-Identifier: MIT */
/*
 * Files, page cache and memory, by what /proc tells of this process (proc(5)).
 */
#include "bench_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench.h"

static uint64_t files_sum; /* of bench_files_bytes; nftw takes no argument for its callback */

static int files_add(const char *path, const struct stat *status, int kind, struct FTW *walk) {
    (void)path;
    (void)walk;
    if (kind == FTW_F) {
        const uint64_t allocated = (uint64_t)status->st_blocks * 512;
        const uint64_t length = (uint64_t)status->st_size;
        files_sum += allocated < length ? allocated : length;
    }
    return 0;
}

uint64_t bench_files_bytes(const char *folder) {
    files_sum = 0;
    if (nftw(folder, files_add, 16, FTW_PHYS) != 0) {
        bench_fail("cannot walk %s: %s", folder, strerror(errno));
    }
    return files_sum;
}

static int files_drop(const char *path, const struct stat *status, int kind, struct FTW *walk) {
    (void)status;
    (void)walk;
    if (kind == FTW_F) {
        const int file = open(path, O_RDONLY | O_CLOEXEC);
        /* Dirty pages stay where they are, so write them first. */
        if (file < 0 || fsync(file) != 0 || posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED) != 0) {
            bench_fail("cannot drop %s from the page cache: %s", path, strerror(errno));
        }
        (void)close(file);
    }
    return 0;
}

void bench_files_drop(const char *folder) {
    if (nftw(folder, files_drop, 16, FTW_PHYS) != 0) {
        bench_fail("cannot walk %s: %s", folder, strerror(errno));
    }
}

/*
 * Calls `advise` for every descriptor of a file whose path starts with `start`; how many there are.
 * NULL: only counts.
 */
static int files_for_descriptors(const char *start, void (*advise)(int file)) {
    int found = 0;
    DIR *list = opendir("/proc/self/fd");
    if (list == NULL) {
        bench_fail("cannot read /proc/self/fd: %s", strerror(errno));
    }
    for (const struct dirent *entry = readdir(list); entry != NULL; entry = readdir(list)) {
        char link[sizeof "/proc/self/fd/" + NAME_MAX];
        char path[BENCH_PATH_SIZE];
        (void)snprintf(link, sizeof link, "/proc/self/fd/%s", entry->d_name);
        const ssize_t size = readlink(link, path, sizeof path - 1);
        if (size > 0) {
            path[size] = '\0';
            if (strncmp(path, start, strlen(start)) == 0) {
                found++;
                if (advise != NULL) {
                    advise((int)strtol(entry->d_name, NULL, 10));
                }
            }
        }
    }
    (void)closedir(list);
    return found;
}

static void files_advise(int file) {
    (void)posix_fadvise(file, 0, 0, POSIX_FADV_RANDOM);
    (void)posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
}

/* "55d0c0000000-55d0c0001000 r--s 00000000 fe:00 1234    /path" */
static void files_advise_mapping(const char *folder, const char *line) {
    char *end = NULL;
    const uintptr_t first = strtoul(line, &end, 16);
    const uintptr_t last = *end == '-' ? strtoul(end + 1, NULL, 16) : 0;
    const char *path = strchr(line, '/');
    if (path == NULL || last <= first || strncmp(path, folder, strlen(folder)) != 0) {
        return;
    }
    void *start = NULL;
    memcpy(&start, &first, sizeof start);
    (void)madvise(start, last - first, MADV_RANDOM);
    /* Closing a descriptor ends the process's locks on its file, so only where there is none. */
    if (files_for_descriptors(path, NULL) == 0) {
        const int file = open(path, O_RDONLY | O_CLOEXEC);
        if (file >= 0) {
            files_advise(file);
            (void)close(file);
        }
    }
}

void bench_files_read_randomly(const char *folder) {
    char line[BENCH_PATH_SIZE + 128];
    FILE *maps = fopen("/proc/self/maps", "re");
    if (maps == NULL) {
        bench_fail("cannot read /proc/self/maps: %s", strerror(errno));
    }
    while (fgets(line, sizeof line, maps) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        files_advise_mapping(folder, line);
    }
    (void)fclose(maps);
    (void)files_for_descriptors(folder, files_advise);
}

/* The number behind `name` in a file of lines "name: number". */
static uint64_t files_number(const char *path, const char *name) {
    char line[256];
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        bench_fail("cannot read %s: %s", path, strerror(errno));
    }
    while (fgets(line, sizeof line, file) != NULL) {
        const size_t size = strlen(name);
        if (strncmp(line, name, size) == 0 && line[size] == ':') {
            (void)fclose(file);
            return strtoull(line + size + 1, NULL, 10);
        }
    }
    bench_fail("%s has no line %s", path, name);
}

uint64_t bench_files_read_bytes(void) {
    return files_number("/proc/self/io", "read_bytes");
}

uint64_t bench_files_anonymous_bytes(void) {
    return files_number("/proc/self/status", "RssAnon") * 1024;
}
