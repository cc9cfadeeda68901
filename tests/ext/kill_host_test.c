/* SPDX-License-Identifier: MIT */
/*
 * ctest: timeout=120
 *
 * Processes on real files: three writers, each of whose transactions changes an ordinary table and
 * an htt table, and a reader that compares the two in one snapshot. One of them after the other is
 * killed and replaced: at a random moment, or by itself at a named point, before or after an
 * operation on one of the files. After each kill the others are not stuck, the two tables agree,
 * and all commits that had returned are there.
 *
 * The points are reached by our own pwrite, fdatasync and so on, which this program puts before
 * those of the C library, for libhtt and for SQLite.
 *
 * HTT_TEST_KEEPER=standalone: the tables are not compared, as a kill in the window of that keeper
 * sets them apart. HTT_TEST_SEED=N repeats what can be repeated. With HTT_TEST_LONG=1 there are
 * thousands of kills.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "fixture.h"
#include "joint_disk.h"

#define KILL_CHILDREN 4u /* the last one reads */
#define KILL_KEYS 200u   /* different ones */
#define KILL_CHECKS 8u   /* one kill of so many is followed by a check of both files */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define KILL_SHORT 10u /* kills in each mode */
#else
#define KILL_SHORT 60u
#endif
#define KILL_LONG 4000u
#define KILL_PAUSE_US 300u
#define KILL_WAIT_US 25000u /* longest life of a process, about */

/* ------------------------------------------------------------------- points */

typedef enum kill_operation { KILL_WRITE, KILL_SYNC, KILL_RESIZE, KILL_UNLINK } kill_operation;

/* Where a process kills itself. */
typedef struct kill_point {
    const char *name;         /* for messages */
    const char *file;         /* how the file's path ends */
    kill_operation operation; /* on it */
} kill_point;

static const kill_point kill_points[] = {
    {"a page is written to the htt file", "/kv.htt", KILL_WRITE},
    {"the htt file is synced", "/kv.htt", KILL_SYNC},
    {"the htt file grows or shrinks", "/kv.htt", KILL_RESIZE},
    {"the database is written", "/host.db", KILL_WRITE},
    {"the database is synced", "/host.db", KILL_SYNC},
    {"the journal is written", "/host.db-journal", KILL_WRITE},
    {"the journal is synced", "/host.db-journal", KILL_SYNC},
    {"the journal is cut", "/host.db-journal", KILL_RESIZE},
    {"the journal is deleted", "/host.db-journal", KILL_UNLINK},
    {"the WAL is written", "/host.db-wal", KILL_WRITE},
    {"the WAL is synced", "/host.db-wal", KILL_SYNC},
};
#define KILL_POINTS (sizeof kill_points / sizeof *kill_points)
#define KILL_POINT_NTH 12u /* the first to this one of the operations */

/* What the processes share. */
typedef struct kill_board {
    _Atomic uint64_t acked;               /* stamp of the newest commit that returned */
    _Atomic uint64_t commits;             /* that returned */
    _Atomic uint64_t folds;               /* that returned */
    _Atomic uint64_t reads;               /* snapshots compared */
    _Atomic uint32_t wrong;               /* something is, see why */
    _Atomic uint64_t points[KILL_POINTS]; /* processes that died at each */
    char why[500];                        /* of the first */
} kill_board;

static const kill_point *point_armed; /* NULL = none; of this process */
static unsigned point_left;           /* operations until then */
static bool point_after;              /* when it is done, else before */
static kill_board *point_board;       /* where its death is noted */

static bool point_ends(const char *path, const char *end) {
    const size_t size = strlen(path);
    return size >= strlen(end) && strcmp(path + size - strlen(end), end) == 0;
}

/* Before and after an operation on a path, or on a descriptor. */
static void point_pass(kill_operation operation, int descriptor, const char *path, bool after) {
    char link[64];
    char text[600];
    if (point_armed == NULL || point_armed->operation != operation || after != point_after) {
        return;
    }
    if (path == NULL) {
        (void)snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
        const ssize_t size = readlink(link, text, sizeof text - 1);
        text[size < 0 ? 0 : size] = '\0';
        path = text;
    }
    if (point_ends(path, point_armed->file) && point_left-- == 0) {
        atomic_fetch_add(&point_board->points[point_armed - kill_points], 1);
        (void)kill(getpid(), SIGKILL);
    }
}

/* An operation of the C library, with the point before it and the one after it. */
static long point_call(kill_operation operation, int descriptor, const char *path,
                       const long call[5]) {
    point_pass(operation, descriptor, path, false);
    const long result = syscall(call[0], call[1], call[2], call[3], call[4]);
    const int code = errno;
    point_pass(operation, descriptor, path, true);
    errno = code;
    return result;
}

/* SQLite's library must find them in this program. */
#pragma GCC visibility push(default)
ssize_t pwrite(int descriptor, const void *bytes, size_t size, off_t offset) {
    const long call[5] = {SYS_pwrite64, descriptor, (long)bytes, (long)size, offset};
    return point_call(KILL_WRITE, descriptor, NULL, call);
}
ssize_t pwrite64(int descriptor, const void *bytes, size_t size, off64_t offset) {
    return pwrite(descriptor, bytes, size, offset);
}
int fdatasync(int descriptor) {
    const long call[5] = {SYS_fdatasync, descriptor};
    return (int)point_call(KILL_SYNC, descriptor, NULL, call);
}
int ftruncate(int descriptor, off_t size) {
    const long call[5] = {SYS_ftruncate, descriptor, size};
    return (int)point_call(KILL_RESIZE, descriptor, NULL, call);
}
int ftruncate64(int descriptor, off64_t size) {
    return ftruncate(descriptor, size);
}
int fallocate(int descriptor, int mode, off_t offset, off_t size) {
    const long call[5] = {SYS_fallocate, descriptor, mode, offset, size};
    return (int)point_call(KILL_RESIZE, descriptor, NULL, call);
}
int unlink(const char *path) {
    const long call[5] = {SYS_unlinkat, AT_FDCWD, (long)path, 0};
    return (int)point_call(KILL_UNLINK, -1, path, call);
}

#pragma GCC visibility pop

/* Half of the processes kill themselves at a point: which one, the random numbers say. */
static void point_arm(kill_board *board, uint64_t *random) {
    point_armed = NULL;
    if (joint_random(random) % 2 == 0) {
        const size_t number = joint_random(random) % KILL_POINTS;
        point_board = board;
        point_left = (unsigned)(joint_random(random) % KILL_POINT_NTH);
        point_after = joint_random(random) % 2 == 0;
        point_armed = &kill_points[number];
    }
}

typedef struct kill_test {
    const joint_mode *mode;        /* of the database */
    char path[600];                /* of the database */
    kill_board *board;             /* shared memory */
    uint64_t random;               /* of the parent */
    pid_t children[KILL_CHILDREN]; /* 0 = not there */
} kill_test;

static uint64_t kill_count;
static uint64_t kill_commits;
static uint64_t kill_reads;
static uint64_t kill_at_point[KILL_POINTS];

static void board_fail(kill_board *board, const char *what, const char *why) {
    if (atomic_fetch_add(&board->wrong, 1) == 0) {
        (void)snprintf(board->why, sizeof board->why, "%s: %s", what, why);
    }
}

/* ---------------------------------------------------------------- children */

/* One transaction in both tables. False: an error. */
static bool child_write(joint_world *world, kill_board *board, uint64_t *random) {
    char text[32] = "";
    bool done = joint_exec(world, 0, "BEGIN IMMEDIATE") &&
                joint_text(world, 0, "SELECT value FROM twin WHERE key = '" JOINT_STAMP_KEY "'",
                           text, sizeof text);
    const uint32_t stamp = (uint32_t)strtoul(text, NULL, 10) + 1;
    const uint64_t rows = joint_random(random) % 20 == 0 ? 150 : 1 + joint_random(random) % 6;
    for (uint64_t i = 0; i < rows && done; i++) {
        const uint32_t key = (uint32_t)(joint_random(random) % KILL_KEYS);
        done = joint_random(random) % 4 == 0 ? joint_delete(world, 0, key)
                                             : joint_put(world, 0, key, JOINT_MIXED, random);
    }
    if (!done || !joint_stamp(world, 0, stamp) || !joint_exec(world, 0, "COMMIT")) {
        return false;
    }
    uint64_t acked = atomic_load(&board->acked);
    while (acked < stamp && !atomic_compare_exchange_weak(&board->acked, &acked, stamp)) {
    }
    atomic_fetch_add(&board->commits, 1);
    return true;
}

/* Both tables in one snapshot. */
static bool child_read(joint_world *world, kill_board *board) {
    uint64_t sums[JOINT_TABLES];
    if (!joint_exec(world, 0, "BEGIN") || !joint_sum(world, 0, JOINT_TWIN, &sums[JOINT_TWIN]) ||
        !joint_sum(world, 0, JOINT_KV, &sums[JOINT_KV]) || !joint_exec(world, 0, "COMMIT")) {
        return false;
    }
    if (sums[JOINT_TWIN] != sums[JOINT_KV] && joint_disk_hosted()) {
        board_fail(board, "reader", "the tables differ in one snapshot");
    }
    atomic_fetch_add(&board->reads, 1);
    return true;
}

/* A snapshot whose pages are gone, or a writer that others were faster than: again. */
static bool child_may_retry(joint_world *world) {
    const int code = sqlite3_errcode(world->processes[0].db) & 0xff;
    if (code != SQLITE_BUSY) {
        return false;
    }
    world->why[0] = '\0';
    return sqlite3_get_autocommit(world->processes[0].db) != 0 || joint_exec(world, 0, "ROLLBACK");
}

static _Noreturn void child_run(const kill_test *test, unsigned number, uint64_t random) {
    joint_world world = {.journal = test->mode->journal, .sync = test->mode->sync};
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* where the test fails */
    bool done = joint_open_file(&world, 0, test->path);
    const bool folds = done && joint_has_function(&world, 0, "htt_fold");
    point_arm(test->board, &random);
    for (unsigned i = 1; done; i++) {
        if (number == KILL_CHILDREN - 1) {
            done = child_read(&world, test->board);
        } else {
            done = child_write(&world, test->board, &random);
            if (done && folds && joint_random(&random) % 16 == 0) {
                done = joint_exec(&world, 0, "SELECT htt_fold('kv')");
                atomic_fetch_add(&test->board->folds, done);
            }
        }
        done = done || child_may_retry(&world);
        (void)usleep((useconds_t)(joint_random(&random) % KILL_PAUSE_US)); /* let others in */
        if (i % 64 == 0 && done) {
            joint_close(&world, 0);
            done = world.why[0] == '\0' && joint_open_file(&world, 0, test->path);
        }
    }
    board_fail(test->board, number == KILL_CHILDREN - 1 ? "reader" : "writer", world.why);
    _exit(1);
}

/* ------------------------------------------------------------------ parent */

static void kill_start(kill_test *test, unsigned number) {
    const uint64_t random = joint_random(&test->random);
    test->children[number] = fork();
    assert_true(test->children[number] >= 0);
    if (test->children[number] == 0) {
        child_run(test, number, random);
    }
}

static void kill_stop(kill_test *test, unsigned number) {
    int status = 0;
    if (test->children[number] > 0) {
        assert_int_equal(kill(test->children[number], SIGKILL), 0);
        assert_int_equal(waitpid(test->children[number], &status, 0), test->children[number]);
        test->children[number] = 0;
    }
}

/* One that died at its point, or any. */
static unsigned kill_choose(kill_test *test) {
    const unsigned number = (unsigned)(joint_random(&test->random) % KILL_CHILDREN);
    for (unsigned i = 0; i < KILL_CHILDREN; i++) {
        siginfo_t info = {0};
        const int flags = WEXITED | WNOHANG | WNOWAIT;
        assert_int_equal(waitid(P_PID, (id_t)test->children[i], &info, flags), 0);
        if (info.si_pid != 0) {
            return i;
        }
    }
    return number;
}

static void kill_expect(joint_world *world, const char *sql) {
    char text[200] = "";
    if (!joint_text(world, 0, sql, text, sizeof text)) {
        fail_msg("%s", world->why);
    }
    if (strcmp(text, "ok") != 0) {
        fail_msg("%s: %s", sql, text);
    }
}

/* The parent looks, while the others go on. It has no connection when it forks. */
static void kill_look(const kill_test *test, bool check) {
    joint_world world = {.journal = test->mode->journal, .sync = test->mode->sync};
    const uint64_t acked = atomic_load(&test->board->acked);
    char text[32] = "";
    uint64_t sums[JOINT_TABLES];
    const bool done =
        joint_open_file(&world, 0, test->path) && joint_exec(&world, 0, "BEGIN IMMEDIATE") &&
        joint_text(&world, 0, "SELECT value FROM twin WHERE key = '" JOINT_STAMP_KEY "'", text,
                   sizeof text) &&
        joint_sum(&world, 0, JOINT_TWIN, &sums[JOINT_TWIN]) &&
        joint_sum(&world, 0, JOINT_KV, &sums[JOINT_KV]);
    if (!done) {
        fail_msg("%s: after a kill: %s", test->mode->name, world.why);
    }
    if (strtoull(text, NULL, 10) < acked) {
        fail_msg("%s: commit %" PRIu64 " is gone, the newest is %s", test->mode->name, acked, text);
    }
    if (sums[JOINT_TWIN] != sums[JOINT_KV] && joint_disk_hosted()) {
        fail_msg("%s: after a kill the tables differ", test->mode->name);
    }
    if (check) {
        kill_expect(&world, "PRAGMA integrity_check");
        kill_expect(&world, "SELECT problem FROM htt_check('kv')");
    }
    assert_true(joint_exec(&world, 0, "COMMIT"));
    joint_close(&world, 0);
    assert_string_equal(world.why, "");
}

static void kill_check_board(const kill_test *test) {
    if (atomic_load(&test->board->wrong) != 0) {
        fail_msg("%s: %s", test->mode->name, test->board->why);
    }
}

static void kill_mode(const joint_mode *mode, const char *folder, uint64_t seed, size_t kills) {
    kill_test test = {.mode = mode, .random = seed};
    joint_world world = {.journal = mode->journal, .sync = mode->sync};
    (void)snprintf(test.path, sizeof test.path, "%s/host.db", folder);
    test.board =
        mmap(NULL, sizeof *test.board, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(test.board != MAP_FAILED);
    assert_true(joint_open_file(&world, 0, test.path) && joint_create(&world, 0, false));
    joint_close(&world, 0);
    for (unsigned i = 0; i < KILL_CHILDREN; i++) {
        kill_start(&test, i);
    }
    for (size_t i = 0; i < kills; i++) {
        (void)usleep((useconds_t)(joint_random(&test.random) % KILL_WAIT_US));
        const unsigned number = kill_choose(&test);
        kill_stop(&test, number);
        kill_look(&test, i % KILL_CHECKS == 0);
        kill_check_board(&test);
        kill_start(&test, number);
        kill_count++;
    }
    for (unsigned i = 0; i < KILL_CHILDREN; i++) {
        kill_stop(&test, i);
    }
    kill_look(&test, true);
    kill_check_board(&test);
    assert_true(atomic_load(&test.board->commits) > 0);
    assert_true(atomic_load(&test.board->reads) > 0);
    print_message("%s: %zu kills, %" PRIu64 " commits, %" PRIu64 " folds, %" PRIu64
                  " snapshots compared\n",
                  mode->name, kills, atomic_load(&test.board->commits),
                  atomic_load(&test.board->folds), atomic_load(&test.board->reads));
    for (size_t i = 0; i < KILL_POINTS; i++) {
        kill_at_point[i] += atomic_load(&test.board->points[i]);
    }
    kill_commits += atomic_load(&test.board->commits);
    kill_reads += atomic_load(&test.board->reads);
    assert_int_equal(munmap(test.board, sizeof *test.board), 0);
}

static void test_kill__processes_on_one_database(void **state) {
    const uint64_t seed = joint_number("HTT_TEST_SEED", (size_t)time(NULL));
    const size_t kills = getenv("HTT_TEST_LONG") != NULL ? KILL_LONG : KILL_SHORT;
    uint64_t points = 0;
    (void)state;
    print_message("seed %" PRIu64 "\n", seed);
    for (size_t i = 0; i < JOINT_MODES; i++) {
        char folder[256];
        fixture_make_folder(folder, sizeof folder);
        kill_mode(&joint_modes[i], folder, seed + i, kills);
        fixture_remove_folder(folder);
    }
    for (size_t i = 0; i < KILL_POINTS; i++) {
        points += kill_at_point[i];
    }
    assert_true(points > 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kill__processes_on_one_database),
    };
    joint_disk_init();
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    printf("%" PRIu64 " kills, %" PRIu64 " commits, %" PRIu64 " snapshots compared, judged as %s\n",
           kill_count, kill_commits, kill_reads, joint_disk_hosted() ? "hosted" : "standalone");
    for (size_t i = 0; i < KILL_POINTS; i++) {
        printf("%" PRIu64 " died when %s\n", kill_at_point[i], kill_points[i].name);
    }
    return failed;
}
