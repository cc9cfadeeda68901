/* SPDX-License-Identifier: MIT */
#include "txn_support.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* A directory of the real file system; tests that need processes or links work there. */
static char directory[64];

static int create_enter_directory(void **state) {
    (void)state;
    (void)snprintf(directory, sizeof directory, "create_test.XXXXXX");
    return mkdtemp(directory) == NULL || chdir(directory) != 0;
}

static int create_leave_directory(void **state) {
    (void)state;
    return chdir("..") != 0 || rmdir(directory) != 0;
}

static void create_remove(void) {
    (void)unlink(TXN_PATH);
    (void)unlink(TXN_LOCK);
}

static void test_create__a_new_file_is_durable_when_open_returns(void **state) {
    (void)state;
    for (uint32_t page_size = 4096; page_size <= 65536; page_size *= 2) {
        crash_fs *disk = crash_fs_new(1);
        htt_options options = txn_options(crash_fs_env(disk));
        options.page_size = page_size;
        options.declaration = "id INTEGER PRIMARY KEY";
        htt_store *store = txn_open_with(&options);
        crash_fs *after = crash_fs_cut(disk, crash_fs_position(disk), 0, 10);
        options = txn_options(crash_fs_env(after));
        options.flags = 0;
        htt_store *again = txn_open_with(&options);
        htt_info info;
        htt_store_info(again, &info);
        assert_int_equal(info.page_size, page_size);
        assert_string_equal(info.declaration, "id INTEGER PRIMARY KEY");
        assert_string_equal(info.path, TXN_PATH);
        assert_memory_equal(info.uuid, store->uuid, 16);
        assert_false(info.readonly);
        htt_close(again);
        htt_close(store);
        txn_free_disk(after);
        txn_free_disk(disk);
    }
}

static void test_create__a_crash_at_any_moment_leaves_a_file_that_opens_with_create(void **state) {
    (void)state;
    for (uint32_t page_size = 4096; page_size <= 65536; page_size *= 16) {
        crash_fs *disk = crash_fs_new(1);
        htt_options options = txn_options(crash_fs_env(disk));
        options.page_size = page_size;
        options.declaration = "a declaration that is in a sector of its own";
        htt_store *store = txn_open_with(&options);
        htt_close(store);
        for (size_t at = 0; at <= crash_fs_position(disk); at++) {
            for (size_t i = 0; i < crash_fs_cut_count(disk, at, 100); i++) {
                crash_fs *after = crash_fs_cut(disk, at, i, 100);
                options.env = crash_fs_env(after);
                store = txn_open_with(&options);
                txn_fill(store, 0, 3, 1, 100);
                txn_check(store);
                htt_close(store);
                txn_free_disk(after);
            }
        }
        txn_free_disk(disk);
    }
}

static void test_create__what_is_not_a_store_is_refused_and_left_alone(void **state) {
    (void)state;
    static const char text[] = "SQLite format 3 and so on";
    crash_fs *disk = crash_fs_new(1);
    htt_options options = txn_options(crash_fs_env(disk));
    crash_fs_put_file(disk, TXN_PATH, text, sizeof text);
    txn_open_fails(TXN_PATH, &options, HTT_NOTHTT, "not an htt file");
    size_t size;
    uint8_t *bytes = crash_fs_get_file(disk, TXN_PATH, &size);
    assert_int_equal(size, sizeof text);
    assert_memory_equal(bytes, text, size);
    free(bytes);
    txn_free_disk(disk);
}

static void test_create__an_empty_file_becomes_a_store_with_create_only(void **state) {
    (void)state;
    crash_fs *disk = crash_fs_new(1);
    htt_options options = txn_options(crash_fs_env(disk));
    crash_fs_put_file(disk, TXN_PATH, "", 0);
    options.flags = 0;
    txn_open_fails(TXN_PATH, &options, HTT_NOTHTT, "is empty");
    options.flags = HTT_OPEN_READONLY | HTT_OPEN_CREATE;
    txn_open_fails(TXN_PATH, &options, HTT_NOTHTT, "is empty");
    options.flags = HTT_OPEN_CREATE | HTT_OPEN_NEW;
    txn_open_fails(TXN_PATH, &options, HTT_EXISTS, "there already");
    options.flags = HTT_OPEN_CREATE;
    htt_close(txn_open_with(&options));
    txn_free_disk(disk);
}

static void test_create__an_unfinished_file_needs_create(void **state) {
    (void)state;
    static const uint8_t zeros[8192];
    crash_fs *disk = crash_fs_new(1);
    htt_options options = txn_options(crash_fs_env(disk));
    crash_fs_put_file(disk, TXN_PATH, zeros, sizeof zeros);
    options.flags = 0;
    txn_open_fails(TXN_PATH, &options, HTT_CORRUPT, "cut short");
    options.flags = HTT_OPEN_CREATE;
    htt_close(txn_open_with(&options));
    txn_free_disk(disk);
}

static void test_create__a_missing_file_is_not_made_without_create(void **state) {
    (void)state;
    crash_fs *disk = crash_fs_new(1);
    htt_options options = txn_options(crash_fs_env(disk));
    options.flags = 0;
    txn_open_fails(TXN_PATH, &options, HTT_CANTOPEN, TXN_PATH);
    options.flags = HTT_OPEN_READONLY;
    txn_open_fails(TXN_PATH, &options, HTT_CANTOPEN, TXN_PATH);
    options.flags = HTT_OPEN_CREATE;
    txn_open_fails("a directory/", &options, HTT_CANTOPEN, "regular file");
    assert_int_equal(crash_fs_position(disk), 0);
    txn_free_disk(disk);
}

static void test_create__new_takes_no_file_that_is_there(void **state) {
    (void)state;
    crash_fs *disk = crash_fs_new(1);
    htt_options options = txn_options(crash_fs_env(disk));
    options.flags = HTT_OPEN_CREATE | HTT_OPEN_NEW;
    htt_close(txn_open_with(&options));
    txn_open_fails(TXN_PATH, &options, HTT_EXISTS, TXN_PATH);
    txn_free_disk(disk);
}

static void test_create__a_cut_file_is_damaged(void **state) {
    (void)state;
    crash_fs *disk = crash_fs_new(1);
    htt_store *store = txn_open(crash_fs_env(disk));
    txn_fill(store, 0, 100, 1, 500);
    htt_close(store);
    size_t size;
    uint8_t *bytes = crash_fs_get_file(disk, TXN_PATH, &size);
    const htt_options options = txn_options(crash_fs_env(disk));
    crash_fs_put_file(disk, TXN_PATH, bytes, 4000);
    txn_open_fails(TXN_PATH, &options, HTT_CORRUPT, "no good meta page");
    crash_fs_put_file(disk, TXN_PATH, bytes, 5);
    txn_open_fails(TXN_PATH, &options, HTT_NOTHTT, "not an htt file");
    for (size_t left = 8192; left < 40000; left += 3000) { /* opens, reads nothing wrong */
        crash_fs_put_file(disk, TXN_PATH, bytes, left);
        store = txn_open(crash_fs_env(disk));
        htt_txn *txn;
        assert_int_equal(htt_begin(store, HTT_READ, &txn), HTT_CORRUPT);
        assert_int_equal(htt_begin(store, HTT_WRITE, &txn), HTT_CORRUPT);
        htt_close(store);
    }
    free(bytes);
    txn_free_disk(disk);
}

static void test_create__another_uuid_than_the_expected_is_a_mismatch(void **state) {
    (void)state;
    crash_fs *disk = crash_fs_new(1);
    htt_options options = txn_options(crash_fs_env(disk));
    uint8_t uuid[16];
    htt_store *store = txn_open_with(&options);
    memcpy(uuid, store->uuid, 16);
    options.expect_uuid = uuid;
    htt_close(txn_open_with(&options));
    uuid[3] ^= 1;
    txn_open_fails(TXN_PATH, &options, HTT_MISMATCH, "uuid");
    htt_close(store);
    txn_free_disk(disk);
}

static void test_create__a_file_that_was_exchanged_under_users_is_refused(void **state) {
    (void)state;
    crash_fs *disk = crash_fs_new(1);
    const htt_env *env = crash_fs_env(disk);
    const htt_options options = txn_options(env);
    htt_store *store = txn_open(env);
    txn_fill(store, 0, 5, 1, 100);
    assert_int_equal(env->unlink(env->context, TXN_PATH), 0);
    txn_open_fails(TXN_PATH, &options, HTT_MISMATCH, "replaced");
    assert_int_equal(txn_read(store, 3), 1); /* the old file goes on for who has it */
    htt_close(store);
    htt_file_info info; /* the failed open took its own empty file away */
    assert_int_equal(env->path_info(env->context, TXN_PATH, &info), ENOENT);
    store = txn_open(env);
    assert_int_equal(txn_read(store, 3), UINT64_MAX);
    htt_close(store);
    txn_free_disk(disk);
}

static void test_create__a_lock_file_that_was_removed_under_users_is_noticed(void **state) {
    (void)state;
    crash_fs *disk = crash_fs_new(1);
    const htt_env *env = crash_fs_env(disk);
    const htt_options options = txn_options(env);
    htt_store *store = txn_open(env);
    assert_int_equal(env->unlink(env->context, TXN_LOCK), 0);
    txn_open_fails(TXN_PATH, &options, HTT_MISMATCH, "lock file was removed");
    htt_close(store);
    htt_close(txn_open(env));
    txn_free_disk(disk);
}

static void test_create__a_second_name_of_a_file_in_use_is_refused(void **state) {
    (void)state;
    htt_store *store = txn_open(htt_env_system());
    htt_options options = txn_options(NULL);
    assert_int_equal(symlink(TXN_PATH, "other.htt"), 0);
    txn_open_fails("other.htt", &options, HTT_MISMATCH, "another name");
    options.flags |= HTT_OPEN_NO_FOLLOW;
    txn_open_fails("other.htt", &options, HTT_CANTOPEN, "symbolic link");
    htt_close(store);
    (void)unlink("other.htt");
    (void)unlink("other.htt-lock");
    create_remove();
}

static void test_create__only_regular_files_are_opened(void **state) {
    (void)state;
    htt_options options = txn_options(NULL);
    assert_int_equal(mkfifo("pipe", 0600), 0);
    txn_open_fails("pipe", &options, HTT_CANTOPEN, "regular file");
    txn_open_fails(".", &options, HTT_CANTOPEN, "regular file");
    txn_open_fails("no such directory/kv.htt", &options, HTT_CANTOPEN, "No such file");
    (void)unlink("pipe");
}

/* Opens (and makes) the file and writes a row of its own, in a process of its own. */
static pid_t create_child(uint64_t number) {
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child > 0)
        return child;
    htt_options options = txn_options(NULL);
    htt_store *store = NULL;
    htt_txn *txn = NULL;
    uint8_t key[8];
    options.busy_timeout_ms = 60000;
    bool good = htt_open(TXN_PATH, &options, &store, NULL) == HTT_OK;
    for (uint64_t i = 0; good && i < 5; i++) {
        good = htt_begin(store, HTT_WRITE, &txn) == HTT_OK &&
               htt_put(txn, htt_integer((int64_t)(number * 5 + i), key), htt_blob("12345678", 8),
                       HTT_PUT_INSERT) == HTT_OK &&
               htt_commit(txn) == HTT_OK;
    }
    if (number % 2 == 0) /* the others just die */
        htt_close(store);
    _exit(good ? 0 : 1);
}

static void test_create__processes_that_create_at_once_share_one_file(void **state) {
    (void)state;
    enum { CHILDREN = 8, ROUNDS = 10 };
    for (int round = 0; round < ROUNDS; round++) {
        pid_t children[CHILDREN];
        int status = -1;
        uint64_t count = 0;
        for (uint64_t i = 0; i < CHILDREN; i++)
            children[i] = create_child(i);
        for (int i = 0; i < CHILDREN; i++) {
            assert_int_equal(waitpid(children[i], &status, 0), children[i]);
            assert_int_equal(status, 0);
        }
        htt_store *store = txn_open(NULL);
        htt_txn *txn = txn_begin(store, HTT_READ);
        assert_int_equal(htt_count(txn, &count), HTT_OK);
        assert_int_equal(count, CHILDREN * 5);
        txn_commit(txn);
        txn_check(store);
        htt_close(store);
        create_remove();
    }
}

/* A disk where the lock file, or also the file itself, cannot be opened for writing. */
static htt_store *create_open_pinless(fault_env *fault, const char *suffix) {
    const fault_plan plan = {
        .kinds = FAULT_OPEN, .nth = 1, .error = EROFS, .suffix = suffix, .persistent = true};
    fault_env_arm(fault, &plan);
    return txn_open(fault_env_table(fault));
}

static void test_create__without_the_lock_file_writing_says_read_only(void **state) {
    (void)state;
    crash_fs *disk = crash_fs_new(1);
    fault_env *fault = fault_env_new(crash_fs_env(disk));
    htt_store *writer = txn_open(crash_fs_new_process(disk));
    htt_txn *txn;
    txn_fill(writer, 0, 50, 1, 200);
    htt_store *reader = create_open_pinless(fault, "-lock");
    htt_info info;
    htt_store_info(reader, &info);
    assert_true(info.readonly);
    assert_int_equal(txn_read(reader, 40), 1);
    assert_int_equal(htt_begin(reader, HTT_WRITE, &txn), HTT_READONLY);
    assert_non_null(strstr(htt_errmsg(reader), "lock file"));
    uint64_t before, after;
    assert_int_equal(htt_vacuum(reader, &before, &after), HTT_READONLY);
    assert_int_equal(htt_store_declare(reader, "x"), HTT_READONLY);
    /* Its snapshot is complete or gone, never mixed. */
    txn = txn_begin(reader, HTT_READ);
    assert_int_equal(txn_get(txn, 0), 1);
    for (uint64_t i = 2; i < 30; i++) {
        uint8_t key[8];
        htt_datum value;
        txn_fill(writer, 0, 50, i, 200);
        const htt_rc rc = htt_get(txn, htt_integer((int64_t)i, key), &value);
        if (rc == HTT_OK)
            assert_int_equal(*(const uint8_t *)value.data, 1);
        else
            assert_int_equal(rc, HTT_SNAPSHOT);
        assert_int_equal(txn_read(reader, i), i);
    }
    htt_abort(txn);
    txn_check(reader);
    htt_close(reader);
    htt_close(writer);
    fault_env_free(fault);
    txn_free_disk(disk);
}

static void test_create__a_read_only_file_is_read_and_pinned(void **state) {
    (void)state;
    htt_store *writer = txn_open(NULL);
    txn_fill(writer, 0, 50, 1, 200);
    htt_options options = txn_options(NULL);
    options.flags = HTT_OPEN_READONLY;
    htt_store *reader = txn_open_with(&options);
    htt_txn *txn = txn_begin(reader, HTT_READ), *other;
    for (uint64_t i = 2; i < 30; i++)
        txn_fill(writer, 0, 50, i, 200);
    txn_expect(txn, 0, 50, 1);
    txn_commit(txn);
    assert_int_equal(htt_begin(reader, HTT_WRITE, &other), HTT_READONLY);
    htt_close(writer);
    htt_close(reader);
    reader = txn_open_with(&options); /* as the first user */
    assert_int_equal(txn_read(reader, 7), 29);
    writer = txn_open(NULL);
    txn_fill(writer, 0, 50, 30, 200);
    assert_int_equal(txn_read(reader, 7), 30);
    txn_check(reader);
    htt_close(writer);
    htt_close(reader);
    create_remove();
}

/* As a program that wants a file of its own, or else the one that is there. */
static htt_rc create_new_or_there(const htt_env *env, htt_store **store_out, htt_error *error) {
    htt_options options = txn_options(env);
    options.flags = HTT_OPEN_CREATE | HTT_OPEN_NEW | HTT_OPEN_NO_FOLLOW;
    const htt_rc rc = htt_open(TXN_PATH, &options, store_out, error);
    options.flags = HTT_OPEN_NO_FOLLOW;
    return rc == HTT_EXISTS ? htt_open(TXN_PATH, &options, store_out, error) : rc;
}

/* Fails the n-th call, for every n; once more without the failure it must go well. */
static uint64_t create_sweep(const fault_plan *kind) {
    uint64_t taken_away = 0;
    bool reached = true;
    for (uint64_t n = 1; reached; n++) {
        crash_fs *disk = crash_fs_new(1);
        const htt_env *env = crash_fs_env(disk);
        fault_env *fault = fault_env_new(env);
        fault_plan plan = *kind;
        htt_store *store = NULL;
        htt_file_info info;
        htt_error error;
        plan.nth = n;
        fault_env_arm(fault, &plan);
        const htt_rc rc = create_new_or_there(fault_env_table(fault), &store, &error);
        reached = fault_env_failures(fault) > 0;
        const char *what = fault_env_failed_kind(fault);
        fault_env_disarm(fault);
        assert_int_equal(fault_env_held_files(fault), rc == HTT_OK ? 2 : 0);
        htt_close(rc == HTT_OK ? store : NULL);
        taken_away += env->path_info(env->context, TXN_PATH, &info) == ENOENT ? 1 : 0;
        const htt_rc again = create_new_or_there(env, &store, &error);
        if (again != HTT_OK)
            fail_msg("after call %u (%s): %s", (unsigned)n, what, error.text);
        txn_fill(store, 0, 3, 1, 100);
        txn_check(store);
        htt_close(store);
        fault_env_free(fault);
        txn_free_disk(disk);
    }
    return taken_away;
}

static void test_create__a_creation_that_fails_is_not_in_the_way_of_the_next(void **state) {
    (void)state;
    assert_true(create_sweep(&(fault_plan){.kinds = FAULT_ALL, .error = EIO}) > 0);
    assert_true(create_sweep(&(fault_plan){
                    .kinds = FAULT_SPACE, .error = ENOSPC, .persistent = true, .partial = true}) >
                0);
    assert_true(create_sweep(&(fault_plan){
                    .kinds = FAULT_MEMORY, .error = ENOMEM, .persistent = true}) > 0);
    /* Nothing can be taken away any more: what is left is known again. */
    (void)create_sweep(&(fault_plan){.kinds = FAULT_ALL, .error = EIO, .persistent = true});
}

static void test_create__an_empty_file_that_was_there_before_is_not_new(void **state) {
    (void)state;
    static const uint8_t zeros[8192];
    htt_error error;
    for (size_t size = 0; size <= sizeof zeros; size += sizeof zeros) {
        crash_fs *disk = crash_fs_new(1);
        const htt_env *env = crash_fs_env(disk);
        htt_store *store = NULL;
        crash_fs_put_file(disk, TXN_PATH, zeros, size);
        for (int i = 0; i < 3; i++) { /* also when its lock file is there */
            const htt_rc rc = create_new_or_there(env, &store, &error);
            assert_int_equal(rc, size == 0 ? HTT_NOTHTT : HTT_CORRUPT);
            assert_non_null(strstr(error.text, size == 0 ? "is empty" : "cut short"));
        }
        /* A store was here, and its file was taken away; the user puts an empty one. */
        assert_int_equal(env->unlink(env->context, TXN_PATH), 0);
        assert_int_equal(create_new_or_there(env, &store, &error), HTT_OK);
        htt_close(store);
        assert_int_equal(env->unlink(env->context, TXN_PATH), 0);
        crash_fs_put_file(disk, TXN_PATH, zeros, size);
        assert_int_not_equal(create_new_or_there(env, &store, &error), HTT_OK);
        txn_free_disk(disk);
    }
}

/* A process is killed while it makes the file: the mark in the lock file tells whose it is. */
static void test_create__a_process_that_dies_while_creating_is_not_in_the_way(void **state) {
    (void)state;
    for (uint64_t n = 1; n < 12; n++) {
        const pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            fault_env *fault = fault_env_new(htt_env_system());
            htt_store *store = NULL;
            const fault_plan plan = {.kinds = FAULT_ALL & ~(unsigned)FAULT_MEMORY,
                                     .nth = n,
                                     .persistent = true,
                                     .error = EIO};
            fault_env_arm(fault, &plan);
            (void)create_new_or_there(fault_env_table(fault), &store, NULL);
            _exit(0); /* all calls fail from the n-th on: as if it were dead */
        }
        int status = -1;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
        htt_store *store = NULL;
        htt_error error;
        if (create_new_or_there(NULL, &store, &error) != HTT_OK)
            fail_msg("dead at call %u: %s", (unsigned)n, error.text);
        txn_check(store);
        htt_close(store);
        create_remove();
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_create__a_new_file_is_durable_when_open_returns),
        cmocka_unit_test(
            test_create__a_crash_at_any_moment_leaves_a_file_that_opens_with_create),
        cmocka_unit_test(test_create__what_is_not_a_store_is_refused_and_left_alone),
        cmocka_unit_test(test_create__an_empty_file_becomes_a_store_with_create_only),
        cmocka_unit_test(test_create__an_unfinished_file_needs_create),
        cmocka_unit_test(test_create__a_missing_file_is_not_made_without_create),
        cmocka_unit_test(test_create__new_takes_no_file_that_is_there),
        cmocka_unit_test(test_create__a_cut_file_is_damaged),
        cmocka_unit_test(test_create__another_uuid_than_the_expected_is_a_mismatch),
        cmocka_unit_test(test_create__a_file_that_was_exchanged_under_users_is_refused),
        cmocka_unit_test(test_create__a_lock_file_that_was_removed_under_users_is_noticed),
        cmocka_unit_test(test_create__a_second_name_of_a_file_in_use_is_refused),
        cmocka_unit_test(test_create__only_regular_files_are_opened),
        cmocka_unit_test(test_create__processes_that_create_at_once_share_one_file),
        cmocka_unit_test(
            test_create__without_the_lock_file_writing_says_read_only),
        cmocka_unit_test(test_create__a_read_only_file_is_read_and_pinned),
        cmocka_unit_test(test_create__a_creation_that_fails_is_not_in_the_way_of_the_next),
        cmocka_unit_test(test_create__an_empty_file_that_was_there_before_is_not_new),
        cmocka_unit_test(test_create__a_process_that_dies_while_creating_is_not_in_the_way),
    };
    return cmocka_run_group_tests(tests, create_enter_directory, create_leave_directory);
}
