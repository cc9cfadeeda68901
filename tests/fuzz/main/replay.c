/* SPDX-License-Identifier: MIT */
/*
 * The main of a fuzz target where there is no libFuzzer: gives the target every file that is
 * named, and every file in every folder that is named (one level), once. A folder that does not
 * exist holds no inputs.
 */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Runs one file. Returns 1, or 0 when it cannot be read. */
static int replay_file(const char *path) {
    FILE *file = fopen(path, "rb");
    struct stat info;
    uint8_t *bytes = NULL;
    int ok = 0;
    if (file == NULL || fstat(fileno(file), &info) != 0) {
        goto out;
    }
    size_t size = (size_t)info.st_size;
    /* Exactly the input's size, so that AddressSanitizer sees a read past its end. */
    bytes = malloc(size > 0 ? size : 1);
    if (bytes == NULL || fread(bytes, 1, size, file) != size) {
        goto out;
    }
    (void)LLVMFuzzerTestOneInput(bytes, size);
    ok = 1;
out:
    if (!ok) {
        fprintf(stderr, "%s: cannot read: %s\n", path, strerror(errno));
    }
    free(bytes);
    if (file != NULL) {
        (void)fclose(file);
    }
    return ok;
}

/* Runs a folder's files. Returns how many failed to be read, adds to *count. */
static int replay_folder(const char *folder, int *count) {
    DIR *directory = opendir(folder);
    int failed = 0;
    if (directory == NULL) {
        return 0;
    }
    struct dirent *entry;
    while ((entry = readdir(directory)) != NULL) {
        char path[PATH_MAX];
        struct stat info;
        int size = snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        if (size >= (int)sizeof path || stat(path, &info) != 0 || !S_ISREG(info.st_mode)) {
            continue;
        }
        failed += !replay_file(path);
        *count += 1;
    }
    (void)closedir(directory);
    return failed;
}

int main(int argc, char **argv) {
    int count = 0;
    int failed = 0;
    for (int i = 1; i < argc; i++) {
        struct stat info;
        if (stat(argv[i], &info) != 0 && errno == ENOENT) {
            continue;
        }
        if (S_ISREG(info.st_mode)) {
            failed += !replay_file(argv[i]);
            count += 1;
        } else {
            failed += replay_folder(argv[i], &count);
        }
    }
    printf("%d inputs, %d unreadable\n", count, failed);
    return failed != 0;
}
