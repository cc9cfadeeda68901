/* SPDX-License-Identifier: MIT */
/* Tests of tests/support/test_env_fault.c, over the simulated disk. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/test_env_crash.h"
#include "support/test_env_fault.h"

typedef struct fixture {
    crash_fs *disk;     /* below */
    fault_env *fault;   /* around it */
    const htt_env *env; /* of fault */
} fixture;

static fixture fixture_new(void) {
    fixture f = {.disk = crash_fs_new(1)};
    f.fault = fault_env_new(crash_fs_env(f.disk));
    f.env = fault_env_table(f.fault);
    return f;
}

static void fixture_free(fixture *f) {
    assert_int_equal(fault_env_held(f->fault), 0);
    assert_int_equal(crash_fs_held(f->disk), 0);
    fault_env_free(f->fault);
    crash_fs_free(f->disk);
}

/* Opens, allocates, writes, syncs, reads back; gives everything back. 0 or the first failure. */
static int fault_workload(const htt_env *env) {
    htt_file *file = NULL;
    char *buffer = NULL;
    int rc = env->open(env->context, "dir/a", HTT_FILE_CREATE, &file);
    if (rc == 0) {
        buffer = env->allocate(env->context, 100);
        rc = buffer == NULL ? ENOMEM : 0;
    }
    if (rc == 0) {
        memset(buffer, 'x', 100);
        rc = env->write(env->context, file, buffer, 100, 0);
    }
    rc = rc != 0 ? rc : env->sync(env->context, file);
    rc = rc != 0 ? rc : env->read(env->context, file, buffer, 100, 0, NULL);
    env->release(env->context, buffer);
    env->close(env->context, file);
    return rc;
}

static void test_fault__fails_every_call_once(void **state) {
    (void)state;
    fixture f = fixture_new();
    assert_int_equal(fault_workload(f.env), 0);
    const uint64_t calls = fault_env_calls(f.fault, FAULT_ALL);
    assert_int_equal(calls, 5);
    for (uint64_t n = 1; n <= calls; n++) {
        fault_env_arm(f.fault, &(fault_plan){.kinds = FAULT_ALL, .nth = n, .error = ENOSPC});
        assert_int_equal(fault_workload(f.env), n == 2 ? ENOMEM : ENOSPC);
        assert_int_equal(fault_env_failures(f.fault), 1);
        assert_int_equal(fault_env_calls(f.fault, FAULT_ALL), n);
        assert_int_equal(fault_workload(f.env), 0);
        fault_env_disarm(f.fault);
        assert_int_equal(fault_env_held(f.fault), 0);
    }
    fixture_free(&f);
}

static void test_fault__fails_from_then_on(void **state) {
    (void)state;
    fixture f = fixture_new();
    fault_env_arm(f.fault, &(fault_plan){.kinds = FAULT_SYNC, .nth = 2, .persistent = true});
    assert_int_equal(fault_workload(f.env), 0);
    assert_int_equal(fault_workload(f.env), EIO);
    assert_int_equal(fault_workload(f.env), EIO);
    assert_int_equal(fault_env_failures(f.fault), 2);
    assert_string_equal(fault_env_failed_kind(f.fault), "sync");
    fault_env_disarm(f.fault);
    assert_int_equal(fault_workload(f.env), 0);
    fixture_free(&f);
}

static void test_fault__partial_calls_do_half(void **state) {
    (void)state;
    fixture f = fixture_new();
    htt_file *file = NULL;
    char buffer[10];
    size_t got = 42;
    size_t size = 0;
    assert_int_equal(f.env->open(f.env->context, "a", HTT_FILE_CREATE, &file), 0);
    fault_env_arm(f.fault, &(fault_plan){.kinds = FAULT_READ | FAULT_WRITE,
                                         .nth = 1,
                                         .persistent = true,
                                         .partial = true,
                                         .error = EIO});
    assert_int_equal(f.env->write(f.env->context, file, "0123456789", 10, 0), EIO);
    uint8_t *bytes = crash_fs_get_file(f.disk, "a", &size);
    assert_int_equal(size, 5);
    assert_memory_equal(bytes, "01234", 5);
    free(bytes);
    assert_int_equal(f.env->read(f.env->context, file, buffer, 4, 0, &got), EIO);
    assert_int_equal(got, 2);
    assert_memory_equal(buffer, "01", 2);
    f.env->close(f.env->context, file);
    fixture_free(&f);
}

static void test_fault__can_be_meant_for_some_paths(void **state) {
    (void)state;
    fixture f = fixture_new();
    htt_file *one = NULL;
    htt_file *two = NULL;
    fault_env_arm(
        f.fault,
        &(fault_plan){
            .kinds = FAULT_ALL, .nth = 2, .persistent = true, .error = EACCES, .suffix = "-lock"});
    assert_int_equal(f.env->open(f.env->context, "a", HTT_FILE_CREATE, &one), 0);
    assert_int_equal(f.env->open(f.env->context, "a-lock", HTT_FILE_CREATE, &two), 0);
    assert_int_equal(f.env->truncate(f.env->context, one, 10), 0);
    assert_int_equal(f.env->truncate(f.env->context, two, 10), EACCES);
    assert_int_equal(f.env->unlink(f.env->context, "a-lock"), EACCES);
    assert_int_equal(f.env->unlink(f.env->context, "a"), 0);
    f.env->close(f.env->context, one);
    f.env->close(f.env->context, two);
    fixture_free(&f);
}

static void test_fault__counts_what_is_held(void **state) {
    (void)state;
    fixture f = fixture_new();
    htt_file *file = NULL;
    void *address = NULL;
    void *memory = f.env->allocate(f.env->context, 100);
    assert_int_equal(((uint8_t *)memory)[99], 0xa5); /* never zeros by chance */
    memory = f.env->reallocate(f.env->context, memory, 300);
    assert_int_equal(((uint8_t *)memory)[299], 0xa5);
    assert_int_equal(f.env->open(f.env->context, "a", HTT_FILE_CREATE, &file), 0);
    assert_int_equal(f.env->truncate(f.env->context, file, 4096), 0);
    assert_int_equal(f.env->map(f.env->context, file, 4096, true, &address), 0);
    assert_int_equal(fault_env_held_memory(f.fault), 1);
    assert_int_equal(fault_env_held_files(f.fault), 1);
    assert_int_equal(fault_env_held_maps(f.fault), 1);
    assert_int_equal(fault_env_bytes(f.fault), 300);
    memory = f.env->reallocate(f.env->context, memory, 10);
    assert_int_equal(fault_env_bytes(f.fault), 10);
    assert_int_equal(fault_env_bytes_peak(f.fault), 300);
    f.env->release(f.env->context, memory);
    f.env->unmap(f.env->context, address, 4096);
    f.env->close(f.env->context, file);
    f.env->close(f.env->context, NULL);
    f.env->unmap(f.env->context, NULL, 0);
    f.env->release(f.env->context, NULL);
    fixture_free(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fault__fails_every_call_once),
        cmocka_unit_test(test_fault__fails_from_then_on),
        cmocka_unit_test(test_fault__partial_calls_do_half),
        cmocka_unit_test(test_fault__can_be_meant_for_some_paths),
        cmocka_unit_test(test_fault__counts_what_is_held),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
