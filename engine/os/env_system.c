/* SPDX-License-Identifier: MIT */
/*
 * The environment of a Linux process: htt_env over system calls. The contract of each function
 * is in htt_env.h; here is only how.
 *
 * Every call that a signal can interrupt is repeated. Locks belong to the open file description
 * (F_OFD_SETLK), not to the process: two opens in one process exclude each other, and closing some
 * other descriptor of the same file does not drop them, as it does with POSIX locks.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#include "htt_env.h"

struct htt_file {
    int descriptor; /* 3 or above */
};

static_assert(sizeof(off_t) == 8, "files above 2 GiB need a 64-bit off_t");

#define ENV_OFFSET_MAX ((uint64_t)INT64_MAX) /* of off_t */
#define ENV_CHUNK_MAX ((size_t)1 << 30)      /* of one read or write call */
#define ENV_ZERO_SIZE ((size_t)64 * 1024)    /* of one write when space must be filled */
#define ENV_MODE 0600                        /* of files made here */

/* ------------------------------------------------------------------ files */

static void env_info_from_stat(const struct stat *status, htt_file_info *info_out) {
    info_out->size = status->st_size > 0 ? (uint64_t)status->st_size : 0;
    info_out->device = (uint64_t)status->st_dev;
    info_out->inode = (uint64_t)status->st_ino;
    info_out->links = (uint64_t)status->st_nlink;
    info_out->regular = S_ISREG(status->st_mode);
}

/* The descriptor, or a negative errno value. */
static int env_open_descriptor(const char *path, unsigned flags) {
    /* O_NONBLOCK: a FIFO must not block before it is refused; regular files ignore it. */
    int mode = O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
    mode |= (flags & HTT_FILE_READ) != 0 ? O_RDONLY : O_RDWR;
    mode |= (flags & HTT_FILE_CREATE) != 0 ? O_CREAT : 0;
    mode |= (flags & HTT_FILE_EXCLUSIVE) != 0 ? O_EXCL : 0;
    mode |= (flags & HTT_FILE_NO_FOLLOW) != 0 ? O_NOFOLLOW : 0;
    int descriptor;
    do {
        descriptor = open(path, mode, ENV_MODE);
    } while (descriptor < 0 && errno == EINTR);
    if (descriptor < 0) {
        return errno == EISDIR || errno == ENXIO ? -EINVAL : -errno; /* directory, socket */
    }
    if (descriptor <= STDERR_FILENO) {
        /* A program that closed its standard streams must not print into the file. */
        const int moved = fcntl(descriptor, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
        const int failure = errno;
        (void)close(descriptor);
        return moved < 0 ? -failure : moved;
    }
    return descriptor;
}

static int env_open(void *context, const char *path, unsigned flags, htt_file **file_out) {
    (void)context;
    struct stat status;
    assert((flags & HTT_FILE_EXCLUSIVE) == 0 || (flags & HTT_FILE_CREATE) != 0);
    htt_file *file = malloc(sizeof *file);
    if (file == NULL) {
        return ENOMEM;
    }
    const int descriptor = env_open_descriptor(path, flags);
    if (descriptor < 0) {
        free(file);
        return -descriptor;
    }
    int rc = 0;
    if (fstat(descriptor, &status) != 0) {
        rc = errno;
    } else if (!S_ISREG(status.st_mode)) {
        rc = EINVAL;
    }
    if (rc != 0) {
        (void)close(descriptor);
        free(file);
        return rc;
    }
    file->descriptor = descriptor;
    *file_out = file;
    return 0;
}

static void env_close(void *context, htt_file *file) {
    (void)context;
    if (file != NULL) {
        (void)close(file->descriptor); /* nothing is lost: what must survive was synced */
        free(file);
    }
}

static int env_read(void *context, htt_file *file, void *buffer, size_t size, uint64_t offset,
                    size_t *read_out) {
    (void)context;
    uint8_t *bytes = buffer;
    size_t done = 0;
    int rc = 0;
    if (offset > ENV_OFFSET_MAX || size > ENV_OFFSET_MAX - offset) {
        rc = EIO; /* no file reaches there */
    }
    while (rc == 0 && done < size) {
        const size_t chunk = size - done < ENV_CHUNK_MAX ? size - done : ENV_CHUNK_MAX;
        const ssize_t got = pread(file->descriptor, bytes + done, chunk, (off_t)(offset + done));
        if (got > 0) {
            done += (size_t)got;
        } else if (got == 0) {
            rc = EIO; /* the file ends here */
        } else if (errno != EINTR) {
            rc = errno;
        }
    }
    if (read_out != NULL) {
        *read_out = done;
    }
    return rc;
}

static int env_write(void *context, htt_file *file, const void *buffer, size_t size,
                     uint64_t offset) {
    (void)context;
    const uint8_t *bytes = buffer;
    size_t done = 0;
    if (offset > ENV_OFFSET_MAX || size > ENV_OFFSET_MAX - offset) {
        return EFBIG;
    }
    while (done < size) {
        const size_t chunk = size - done < ENV_CHUNK_MAX ? size - done : ENV_CHUNK_MAX;
        const ssize_t put = pwrite(file->descriptor, bytes + done, chunk, (off_t)(offset + done));
        if (put > 0) {
            done += (size_t)put;
        } else if (put == 0) {
            return EIO; /* would loop for ever */
        } else if (errno != EINTR) {
            return errno;
        }
    }
    return 0;
}

static int env_sync(void *context, htt_file *file) {
    (void)context;
    while (fdatasync(file->descriptor) != 0) {
        if (errno != EINTR) {
            return errno;
        }
    }
    return 0;
}

/* For file systems without fallocate: real zeros from the file's end on. */
static int env_reserve_by_writing(htt_file *file, uint64_t size) {
    static const uint8_t zeros[ENV_ZERO_SIZE];
    struct stat status;
    if (fstat(file->descriptor, &status) != 0) {
        return errno;
    }
    uint64_t end = (uint64_t)status.st_size;
    while (end < size) {
        const size_t chunk = size - end < sizeof zeros ? (size_t)(size - end) : sizeof zeros;
        const int rc = env_write(NULL, file, zeros, chunk, end);
        if (rc != 0) {
            return rc;
        }
        end += chunk;
    }
    return 0;
}

static int env_reserve(void *context, htt_file *file, uint64_t size) {
    (void)context;
    if (size == 0) {
        return 0;
    }
    if (size > ENV_OFFSET_MAX) {
        return EFBIG;
    }
    while (fallocate(file->descriptor, 0, 0, (off_t)size) != 0) {
        if (errno == EOPNOTSUPP || errno == ENOSYS) {
            return env_reserve_by_writing(file, size);
        }
        if (errno != EINTR) {
            return errno;
        }
    }
    return 0;
}

static int env_truncate(void *context, htt_file *file, uint64_t size) {
    (void)context;
    if (size > ENV_OFFSET_MAX) {
        return EFBIG;
    }
    while (ftruncate(file->descriptor, (off_t)size) != 0) {
        if (errno != EINTR) {
            return errno;
        }
    }
    return 0;
}

static int env_info(void *context, htt_file *file, htt_file_info *info_out) {
    (void)context;
    struct stat status;
    if (fstat(file->descriptor, &status) != 0) {
        return errno;
    }
    env_info_from_stat(&status, info_out);
    return 0;
}

/* ------------------------------------------------------------------ paths */

static int env_path_info(void *context, const char *path, htt_file_info *info_out) {
    (void)context;
    struct stat status;
    if (stat(path, &status) != 0) {
        return errno;
    }
    env_info_from_stat(&status, info_out);
    return 0;
}

static int env_unlink(void *context, const char *path) {
    (void)context;
    return unlink(path) != 0 ? errno : 0;
}

/* Opens the directory that holds `path`: the descriptor, or a negative errno value. */
static int env_open_directory(const char *path) {
    const char *const slash = strrchr(path, '/');
    const size_t length = slash == NULL ? 0 : (size_t)(slash - path) + 1; /* keeps "/" itself */
    char *const directory = malloc(length + 2);
    if (directory == NULL) {
        return -ENOMEM;
    }
    memcpy(directory, path, length);
    directory[length] = '.'; /* "a/b/x" -> "a/b/.", "/x" -> "/.", "x" -> "." */
    directory[length + 1] = '\0';
    int descriptor;
    do {
        descriptor = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    } while (descriptor < 0 && errno == EINTR);
    const int failure = errno;
    free(directory);
    return descriptor < 0 ? -failure : descriptor;
}

static int env_sync_directory(void *context, const char *path) {
    (void)context;
    const int descriptor = env_open_directory(path);
    if (descriptor < 0) {
        return -descriptor;
    }
    int rc = 0;
    while (fsync(descriptor) != 0) {
        if (errno != EINTR) {
            rc = errno == EINVAL ? 0 : errno; /* EINVAL: this file system has no such sync */
            break;
        }
    }
    (void)close(descriptor);
    return rc;
}

/* ------------------------------------------------------ mappings and locks */

static int env_map(void *context, htt_file *file, size_t size, bool writable, void **address_out) {
    (void)context;
    const int protection = writable ? PROT_READ | PROT_WRITE : PROT_READ;
    void *const address = mmap(NULL, size, protection, MAP_SHARED, file->descriptor, 0);
    if (address == MAP_FAILED) {
        return errno;
    }
    *address_out = address;
    return 0;
}

static void env_unmap(void *context, void *address, size_t size) {
    (void)context;
    if (address != NULL) {
        (void)munmap(address, size);
    }
}

static int env_lock_byte(htt_file *file, uint64_t offset, int type) {
    struct flock range;
    if (offset > ENV_OFFSET_MAX) {
        return EINVAL;
    }
    memset(&range, 0, sizeof range); /* l_pid must be 0 */
    range.l_type = (short)type;
    range.l_whence = SEEK_SET;
    range.l_start = (off_t)offset;
    range.l_len = 1;
    while (fcntl(file->descriptor, F_OFD_SETLK, &range) != 0) {
        if (errno == EACCES) {
            return EAGAIN; /* what other systems say instead */
        }
        if (errno != EINTR) {
            return errno;
        }
    }
    return 0;
}

static int env_lock(void *context, htt_file *file, uint64_t offset, int mode) {
    (void)context;
    assert(mode == HTT_LOCK_SHARED || mode == HTT_LOCK_EXCLUSIVE);
    return env_lock_byte(file, offset, mode == HTT_LOCK_SHARED ? F_RDLCK : F_WRLCK);
}

static void env_unlock(void *context, htt_file *file, uint64_t offset) {
    (void)context;
    (void)env_lock_byte(file, offset, F_UNLCK);
}

/* ------------------------------------------- clock, randomness, the process */

static uint64_t env_now_ms(void *context) {
    (void)context;
    struct timespec now = {0, 0};
    /* Some milliseconds late, and a fifth of the price: statements ask it. */
    (void)clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void env_sleep_us(void *context, uint64_t microseconds) {
    (void)context;
    struct timespec left = {.tv_sec = (time_t)(microseconds / 1000000),
                            .tv_nsec = (long)(microseconds % 1000000) * 1000};
    while (nanosleep(&left, &left) != 0 && errno == EINTR) {
    }
}

static int env_random(void *context, void *buffer, size_t size) {
    (void)context;
    uint8_t *bytes = buffer;
    size_t done = 0;
    while (done < size) {
        const ssize_t got = getrandom(bytes + done, size - done, 0);
        if (got > 0) {
            done += (size_t)got;
        } else if (got == 0 || errno != EINTR) {
            return got == 0 ? EIO : errno;
        }
    }
    return 0;
}

/* The value of a hexadecimal digit, or -1. */
static int env_hex_digit(char digit) {
    if (digit >= '0' && digit <= '9') {
        return digit - '0';
    }
    if (digit >= 'a' && digit <= 'f') {
        return digit - 'a' + 10;
    }
    return -1;
}

static int env_boot_id(void *context, uint8_t id_out[16]) {
    (void)context;
    char text[64];
    uint8_t id[16] = {0};
    size_t digits = 0;
    memset(id_out, 0, 16);
    int descriptor;
    do {
        descriptor = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    } while (descriptor < 0 && errno == EINTR);
    if (descriptor < 0) {
        return 0; /* no /proc here: unknown */
    }
    ssize_t length;
    do {
        length = read(descriptor, text, sizeof text);
    } while (length < 0 && errno == EINTR);
    (void)close(descriptor);
    for (ssize_t i = 0; i < length && digits < 32; i++) {
        const int digit = env_hex_digit(text[i]);
        if (digit >= 0) { /* all else is a dash or the line's end */
            id[digits / 2] = (uint8_t)(id[digits / 2] << 4 | digit);
            digits++;
        }
    }
    if (digits == 32) {
        memcpy(id_out, id, sizeof id);
    }
    return 0;
}

/*
 * getpid is a system call, and every begin of a transaction asks. A page that the kernel clears in
 * children tells without one; where there is no such page (before Linux 4.14) getpid is called.
 */
static _Atomic(_Atomic uint64_t *) env_process_cell;

static _Atomic uint64_t *env_make_process_cell(void) {
    const size_t size = (size_t)sysconf(_SC_PAGESIZE);
    _Atomic uint64_t *expected = NULL;
    void *const page =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED)
        return NULL;
    if (madvise(page, size, MADV_WIPEONFORK) != 0) {
        (void)munmap(page, size);
        return NULL;
    }
    if (atomic_compare_exchange_strong(&env_process_cell, &expected, page))
        return page; /* stays until the process ends */
    (void)munmap(page, size);
    return expected;
}

static uint64_t env_process_id(void *context) {
    (void)context;
    _Atomic uint64_t *cell = atomic_load_explicit(&env_process_cell, memory_order_acquire);
    if (cell == NULL)
        cell = env_make_process_cell();
    if (cell == NULL)
        return (uint64_t)getpid();
    uint64_t process = atomic_load_explicit(cell, memory_order_relaxed);
    if (process == 0) {
        process = (uint64_t)getpid();
        atomic_store_explicit(cell, process, memory_order_relaxed);
    }
    return process;
}

/* ----------------------------------------------------------------- memory */

static void *env_allocate(void *context, size_t size) {
    (void)context;
    return malloc(size > 0 ? size : 1); /* NULL is for failure only */
}

static void *env_reallocate(void *context, void *memory, size_t size) {
    (void)context;
    return realloc(memory, size > 0 ? size : 1);
}

static void env_release(void *context, void *memory) {
    (void)context;
    free(memory);
}

const htt_env *htt_env_system(void) {
    static const htt_env env = {
        .context = NULL,
        .open = env_open,
        .close = env_close,
        .read = env_read,
        .write = env_write,
        .sync = env_sync,
        .reserve = env_reserve,
        .truncate = env_truncate,
        .info = env_info,
        .path_info = env_path_info,
        .unlink = env_unlink,
        .sync_directory = env_sync_directory,
        .map = env_map,
        .unmap = env_unmap,
        .lock = env_lock,
        .unlock = env_unlock,
        .now_ms = env_now_ms,
        .sleep_us = env_sleep_us,
        .random = env_random,
        .boot_id = env_boot_id,
        .process_id = env_process_id,
        .allocate = env_allocate,
        .reallocate = env_reallocate,
        .release = env_release,
    };
    return &env;
}
