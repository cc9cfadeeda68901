/* SPDX-License-Identifier: MIT */
/* Tests of os/env_system.c: each call of the environment against a real directory. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "htt_env.h"

#define NAMES 8

static char directory[64];     /* made for each test */
static char names[NAMES][100]; /* paths in it */
static const htt_env *env;     /* the one under test */

static const char *path_of(unsigned number) {
    assert_true(number < NAMES);
    (void)snprintf(names[number], sizeof names[number], "%s/file%u", directory, number);
    return names[number];
}

static int setup(void **state) {
    (void)state;
    env = htt_env_system();
    (void)snprintf(directory, sizeof directory, "env_system.XXXXXX");
    return mkdtemp(directory) == NULL ? -1 : 0;
}

static int teardown(void **state) {
    (void)state;
    for (unsigned i = 0; i < NAMES; i++) {
        (void)unlink(path_of(i));
    }
    return rmdir(directory);
}

static htt_file *open_file(unsigned number, unsigned flags) {
    htt_file *file = NULL;
    assert_int_equal(env->open(env->context, path_of(number), flags, &file), 0);
    assert_non_null(file);
    return file;
}

static int open_result(const char *path, unsigned flags) {
    htt_file *file = NULL;
    const int rc = env->open(env->context, path, flags, &file);
    if (rc == 0) {
        env->close(env->context, file);
    } else {
        assert_null(file);
    }
    return rc;
}

static void test_open__creates_only_when_asked(void **state) {
    (void)state;
    struct stat status;
    assert_int_equal(open_result(path_of(0), 0), ENOENT);
    assert_int_equal(open_result(path_of(0), HTT_FILE_CREATE), 0);
    assert_int_equal(stat(path_of(0), &status), 0);
    assert_int_equal(status.st_mode & 077, 0);
    assert_int_equal(open_result(path_of(0), HTT_FILE_CREATE | HTT_FILE_EXCLUSIVE), EEXIST);
    assert_int_equal(open_result(path_of(1), HTT_FILE_CREATE | HTT_FILE_EXCLUSIVE), 0);
    assert_int_equal(open_result("no such directory/x", HTT_FILE_CREATE), ENOENT);
    assert_int_equal(open_result("", HTT_FILE_CREATE), ENOENT);
}

static void test_open__refuses_what_is_not_a_regular_file(void **state) {
    (void)state;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    assert_int_equal(mkfifo(path_of(0), 0600), 0);
    assert_int_equal(open_result(path_of(0), 0), EINVAL); /* and does not wait for a peer */
    assert_int_equal(open_result(path_of(0), HTT_FILE_READ), EINVAL);
    assert_int_equal(open_result(directory, 0), EINVAL);
    assert_int_equal(open_result(directory, HTT_FILE_READ), EINVAL);
    assert_int_equal(open_result("/dev/null", 0), EINVAL);
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", path_of(1));
    const int descriptor = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(descriptor, (const struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(open_result(path_of(1), 0), EINVAL);
    (void)close(descriptor);
}

static void test_open__follows_links_unless_told_not_to(void **state) {
    (void)state;
    assert_int_equal(open_result(path_of(0), HTT_FILE_CREATE), 0);
    assert_int_equal(symlink("file0", path_of(1)), 0);
    assert_int_equal(open_result(path_of(1), 0), 0);
    assert_int_equal(open_result(path_of(1), HTT_FILE_NO_FOLLOW), ELOOP);
    assert_int_equal(open_result(path_of(0), HTT_FILE_NO_FOLLOW), 0);
}

static void test_open__gives_no_standard_stream_and_nothing_to_exec(void **state) {
    (void)state;
    const pid_t child = fork();
    if (child == 0) {
        htt_file *file = NULL;
        (void)close(0);
        if (env->open(env->context, path_of(0), HTT_FILE_CREATE, &file) != 0) {
            _exit(1);
        }
        if (fcntl(0, F_GETFD) != -1) {
            _exit(2); /* the file took the place of standard input */
        }
        for (int descriptor = 3; descriptor < 64; descriptor++) {
            char link[64];
            char target[256];
            (void)snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
            const ssize_t length = readlink(link, target, sizeof target - 1);
            if (length > 5 && memcmp(target + length - 5, "file0", 5) == 0 &&
                fcntl(descriptor, F_GETFD) != FD_CLOEXEC) {
                _exit(3);
            }
        }
        env->close(env->context, file);
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_close__takes_null(void **state) {
    (void)state;
    env->close(env->context, NULL);
    env->unmap(env->context, NULL, 0);
    env->release(env->context, NULL);
}

static void test_read__gives_all_bytes_or_tells_how_many(void **state) {
    (void)state;
    htt_file *file = open_file(0, HTT_FILE_CREATE);
    char buffer[32] = {0};
    size_t got = 42;
    assert_int_equal(env->write(env->context, file, "hello world", 11, 5), 0);
    assert_int_equal(env->read(env->context, file, buffer, 16, 0, &got), 0);
    assert_int_equal(got, 16);
    assert_memory_equal(buffer, "\0\0\0\0\0hello world", 16);
    assert_int_equal(env->read(env->context, file, buffer, 16, 10, &got), EIO);
    assert_int_equal(got, 6);
    assert_memory_equal(buffer, " world", 6);
    assert_int_equal(env->read(env->context, file, buffer, 1, 16, &got), EIO);
    assert_int_equal(got, 0);
    assert_int_equal(env->read(env->context, file, buffer, 1, UINT64_MAX, &got), EIO);
    assert_int_equal(env->read(env->context, file, buffer, 0, 0, &got), 0);
    assert_int_equal(env->read(env->context, file, buffer, 4, 5, NULL), 0);
    assert_int_equal(env->write(env->context, file, "x", 1, UINT64_MAX), EFBIG);
    env->close(env->context, file);
}

static void test_write__is_refused_by_a_read_only_handle(void **state) {
    (void)state;
    env->close(env->context, open_file(0, HTT_FILE_CREATE));
    htt_file *file = open_file(0, HTT_FILE_READ);
    assert_int_equal(env->write(env->context, file, "x", 1, 0), EBADF);
    assert_int_equal(env->lock(env->context, file, 0, HTT_LOCK_EXCLUSIVE), EBADF);
    assert_int_equal(env->lock(env->context, file, 0, HTT_LOCK_SHARED), 0);
    env->close(env->context, file);
}

static void test_write__beyond_the_size_limit_is_an_error(void **state) {
    (void)state;
    const pid_t child = fork();
    if (child == 0) {
        const struct rlimit limit = {65536, 65536};
        htt_file *file = open_file(0, HTT_FILE_CREATE);
        static char bytes[100000];
        (void)signal(SIGXFSZ, SIG_IGN);
        if (setrlimit(RLIMIT_FSIZE, &limit) != 0) {
            _exit(1);
        }
        if (env->write(env->context, file, bytes, sizeof bytes, 0) != EFBIG ||
            env->reserve(env->context, file, 1 << 20) != EFBIG ||
            env->truncate(env->context, file, 1 << 20) != EFBIG) {
            _exit(2);
        }
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_sizes__reserve_grows_and_truncate_cuts(void **state) {
    (void)state;
    htt_file *file = open_file(0, HTT_FILE_CREATE);
    htt_file_info info;
    struct stat status;
    assert_int_equal(env->reserve(env->context, file, 0), 0);
    assert_int_equal(env->reserve(env->context, file, 1 << 20), 0);
    assert_int_equal(env->info(env->context, file, &info), 0);
    assert_int_equal(info.size, 1 << 20);
    assert_int_equal(stat(path_of(0), &status), 0);
    assert_true(status.st_blocks * 512 >= 1 << 20); /* really there */
    assert_int_equal(env->write(env->context, file, "abc", 3, 0), 0);
    assert_int_equal(env->reserve(env->context, file, 4096), 0); /* never shrinks or clears */
    assert_int_equal(env->info(env->context, file, &info), 0);
    assert_int_equal(info.size, 1 << 20);
    assert_int_equal(env->truncate(env->context, file, 2), 0);
    assert_int_equal(env->truncate(env->context, file, 4), 0);
    char buffer[4];
    assert_int_equal(env->read(env->context, file, buffer, 4, 0, NULL), 0);
    assert_memory_equal(buffer, "ab\0\0", 4);
    assert_int_equal(env->reserve(env->context, file, UINT64_MAX), EFBIG);
    assert_int_equal(env->truncate(env->context, file, UINT64_MAX), EFBIG);
    assert_int_equal(env->sync(env->context, file), 0);
    env->close(env->context, file);
}

static void test_info__tells_files_apart_and_unlinked_ones(void **state) {
    (void)state;
    htt_file *file = open_file(0, HTT_FILE_CREATE);
    htt_file *other = open_file(1, HTT_FILE_CREATE);
    htt_file_info a;
    htt_file_info b;
    assert_int_equal(env->info(env->context, file, &a), 0);
    assert_int_equal(env->info(env->context, other, &b), 0);
    assert_true(a.regular);
    assert_int_equal(a.links, 1);
    assert_true(a.device == b.device && a.inode != b.inode);
    assert_int_equal(env->path_info(env->context, path_of(0), &b), 0);
    assert_true(a.device == b.device && a.inode == b.inode);
    assert_int_equal(env->path_info(env->context, directory, &b), 0);
    assert_false(b.regular);
    assert_int_equal(env->unlink(env->context, path_of(0)), 0);
    assert_int_equal(env->unlink(env->context, path_of(0)), ENOENT);
    assert_int_equal(env->path_info(env->context, path_of(0), &b), ENOENT);
    assert_int_equal(env->info(env->context, file, &a), 0);
    assert_int_equal(a.links, 0);
    env->close(env->context, file);
    env->close(env->context, other);
}

static void test_sync_directory__finds_the_directory_of_any_path(void **state) {
    (void)state;
    assert_int_equal(env->sync_directory(env->context, path_of(0)), 0);
    assert_int_equal(env->sync_directory(env->context, "name"), 0);
    assert_int_equal(env->sync_directory(env->context, "/name"), 0);
    assert_int_equal(env->sync_directory(env->context, "no such directory/x"), ENOENT);
    env->close(env->context, open_file(0, HTT_FILE_CREATE));
    char below[160];
    (void)snprintf(below, sizeof below, "%s/x", path_of(0));
    assert_int_equal(env->sync_directory(env->context, below), ENOTDIR);
}

static void test_map__shows_writes_and_stores(void **state) {
    (void)state;
    htt_file *file = open_file(0, HTT_FILE_CREATE);
    void *reader = NULL;
    void *writer = NULL;
    char buffer[8];
    assert_int_equal(env->truncate(env->context, file, 8192), 0);
    assert_int_equal(env->map(env->context, file, 8192, false, &reader), 0);
    assert_int_equal(env->map(env->context, file, 4096, true, &writer), 0);
    assert_int_equal(env->write(env->context, file, "written", 7, 10), 0);
    assert_memory_equal((char *)reader + 10, "written", 7);
    memcpy((char *)writer + 100, "stored", 6);
    assert_memory_equal((char *)reader + 100, "stored", 6);
    assert_int_equal(env->read(env->context, file, buffer, 6, 100, NULL), 0);
    assert_memory_equal(buffer, "stored", 6);
    env->unmap(env->context, reader, 8192);
    env->unmap(env->context, writer, 4096);
    assert_int_equal(env->map(env->context, file, 0, false, &reader), EINVAL);
    env->close(env->context, file);
}

static void test_lock__belongs_to_the_open_and_not_to_the_process(void **state) {
    (void)state;
    htt_file *one = open_file(0, HTT_FILE_CREATE);
    htt_file *two = open_file(0, 0);
    assert_int_equal(env->lock(env->context, one, 7, HTT_LOCK_EXCLUSIVE), 0);
    assert_int_equal(env->lock(env->context, one, 7, HTT_LOCK_EXCLUSIVE), 0);
    assert_int_equal(env->lock(env->context, two, 7, HTT_LOCK_EXCLUSIVE), EAGAIN);
    assert_int_equal(env->lock(env->context, two, 7, HTT_LOCK_SHARED), EAGAIN);
    assert_int_equal(env->lock(env->context, two, 6, HTT_LOCK_EXCLUSIVE), 0);
    assert_int_equal(env->lock(env->context, two, 8, HTT_LOCK_EXCLUSIVE), 0);
    env->close(env->context, open_file(0, 0)); /* POSIX locks would be gone now */
    assert_int_equal(env->lock(env->context, two, 7, HTT_LOCK_SHARED), EAGAIN);
    assert_int_equal(env->lock(env->context, one, 7, HTT_LOCK_SHARED), 0);
    assert_int_equal(env->lock(env->context, two, 7, HTT_LOCK_SHARED), 0);
    assert_int_equal(env->lock(env->context, two, 7, HTT_LOCK_EXCLUSIVE), EAGAIN);
    env->unlock(env->context, one, 7);
    assert_int_equal(env->lock(env->context, two, 7, HTT_LOCK_EXCLUSIVE), 0);
    env->close(env->context, two);
    assert_int_equal(env->lock(env->context, one, 7, HTT_LOCK_EXCLUSIVE), 0);
    assert_int_equal(env->lock(env->context, one, UINT64_MAX, HTT_LOCK_SHARED), EINVAL);
    env->close(env->context, one);
}

static void test_lock__is_released_when_its_process_is_killed(void **state) {
    (void)state;
    htt_file *file = open_file(0, HTT_FILE_CREATE);
    int ready[2];
    char byte;
    assert_int_equal(pipe(ready), 0);
    const pid_t child = fork();
    if (child == 0) {
        htt_file *own = NULL;
        if (env->open(env->context, path_of(0), 0, &own) != 0 ||
            env->lock(env->context, own, 1, HTT_LOCK_EXCLUSIVE) != 0 ||
            write(ready[1], "x", 1) != 1) {
            _exit(1);
        }
        for (;;) {
            (void)pause();
        }
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    assert_int_equal(env->lock(env->context, file, 1, HTT_LOCK_SHARED), EAGAIN);
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_int_equal(env->lock(env->context, file, 1, HTT_LOCK_EXCLUSIVE), 0);
    (void)close(ready[0]);
    (void)close(ready[1]);
    env->close(env->context, file);
}

static void test_clock__goes_on_while_it_sleeps(void **state) {
    (void)state;
    const uint64_t before = env->now_ms(env->context);
    env->sleep_us(env->context, 20000);
    const uint64_t after = env->now_ms(env->context);
    assert_true(after >= before + 19);
    env->sleep_us(env->context, 0);
}

static void test_random__differs_and_boot_id_does_not(void **state) {
    (void)state;
    static const uint8_t zeros[32];
    uint8_t one[32] = {0};
    uint8_t two[32] = {0};
    assert_int_equal(env->random(env->context, one, sizeof one), 0);
    assert_int_equal(env->random(env->context, two, sizeof two), 0);
    assert_memory_not_equal(one, two, sizeof one);
    assert_memory_not_equal(one, zeros, sizeof one);
    assert_int_equal(env->boot_id(env->context, one), 0);
    assert_int_equal(env->boot_id(env->context, two), 0);
    assert_memory_equal(one, two, 16);
    if (access("/proc/sys/kernel/random/boot_id", R_OK) == 0) {
        assert_memory_not_equal(one, zeros, 16);
    }
    assert_int_equal(env->process_id(env->context), getpid());
}

static void test_process__id_is_right_in_a_child_too(void **state) {
    (void)state;
    assert_int_equal(env->process_id(env->context), getpid());
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        _exit(env->process_id(env->context) == (uint64_t)getpid() ? 0 : 1);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(env->process_id(env->context), getpid());
}

static void test_memory__grows_and_has_no_empty_piece(void **state) {
    (void)state;
    char *memory = env->allocate(env->context, 0);
    assert_non_null(memory);
    memory = env->reallocate(env->context, memory, 10);
    assert_non_null(memory);
    memcpy(memory, "123456789", 10);
    memory = env->reallocate(env->context, memory, 100000);
    assert_non_null(memory);
    assert_string_equal(memory, "123456789");
    memory = env->reallocate(env->context, memory, 0);
    assert_non_null(memory);
    env->release(env->context, memory);
    memory = env->reallocate(env->context, NULL, 5);
    assert_non_null(memory);
    env->release(env->context, memory);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_open__creates_only_when_asked),
        TEST(test_open__refuses_what_is_not_a_regular_file),
        TEST(test_open__follows_links_unless_told_not_to),
        TEST(test_open__gives_no_standard_stream_and_nothing_to_exec),
        TEST(test_close__takes_null),
        TEST(test_read__gives_all_bytes_or_tells_how_many),
        TEST(test_write__is_refused_by_a_read_only_handle),
        TEST(test_write__beyond_the_size_limit_is_an_error),
        TEST(test_sizes__reserve_grows_and_truncate_cuts),
        TEST(test_info__tells_files_apart_and_unlinked_ones),
        TEST(test_sync_directory__finds_the_directory_of_any_path),
        TEST(test_map__shows_writes_and_stores),
        TEST(test_lock__belongs_to_the_open_and_not_to_the_process),
        TEST(test_lock__is_released_when_its_process_is_killed),
        TEST(test_clock__goes_on_while_it_sleeps),
        TEST(test_random__differs_and_boot_id_does_not),
        TEST(test_process__id_is_right_in_a_child_too),
        TEST(test_memory__grows_and_has_no_empty_piece),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
