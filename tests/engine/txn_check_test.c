/* SPDX-License-Identifier: MIT */
#include "txn_support.h"

/* The problems of a check. */
typedef struct check_notes {
    uint32_t count;    /* reports */
    uint32_t page;     /* of the last */
    char text[480];    /* of the last */
    int answer;        /* what report gives back */
} check_notes;

static int check_note(void *arg, uint32_t page, const char *problem) {
    check_notes *notes = arg;
    notes->count++;
    notes->page = page;
    (void)snprintf(notes->text, sizeof notes->text, "%s", problem);
    return notes->answer;
}

static void check_run(htt_store *store, unsigned depth, check_notes *notes, uint64_t *problems) {
    htt_txn *txn = txn_begin(store, HTT_READ);
    assert_int_equal(htt_check(txn, depth, check_note, notes, problems), HTT_OK);
    txn_commit(txn);
}

static void test_check__a_write_transaction_is_checked_as_it_would_be_committed(void **state) {
    (void)state;
    crash_fs *disk = crash_fs_new(1);
    htt_store *store = txn_open(crash_fs_env(disk));
    uint64_t problems = 9;
    uint32_t id;
    for (uint64_t i = 0; i < 5; i++)
        txn_fill(store, 0, 500, i, 100);
    htt_txn *txn = txn_begin(store, HTT_WRITE);
    for (uint64_t i = 0; i < 4; i++) {
        for (uint64_t row = 0; row < 500; row += 3)
            txn_put(txn, row, i, 100 + 3000 * (row % 2));
        if (i == 1)
            assert_int_equal(htt_savepoint(txn, &id), HTT_OK);
        if (i == 2)
            assert_int_equal(htt_rollback_to(txn, id), HTT_OK);
        if (i == 3)
            assert_int_equal(htt_prepare(txn), HTT_OK);
        assert_int_equal(htt_check(txn, HTT_CHECK_DEEP, txn_print_problem, NULL, &problems),
                         HTT_OK);
        assert_int_equal(problems, 0);
    }
    txn_commit(txn);
    txn_check(store);
    htt_close(store);
    txn_free_disk(disk);
}

static void test_check__a_damaged_meta_page_is_a_problem_though_the_other_holds(void **state) {
    (void)state;
    for (uint32_t slot = 0; slot < 2; slot++) {
        crash_fs *disk = crash_fs_new(1);
        const htt_env *env = crash_fs_env(disk);
        htt_store *store = txn_open(env);
        check_notes notes = {0};
        uint64_t problems = 0;
        htt_file *file;
        txn_fill(store, 0, 100, 1, 100);
        assert_int_equal(env->open(env->context, TXN_PATH, 0, &file), 0);
        assert_int_equal(env->write(env->context, file, "x", 1, slot * 4096 + 3000), 0);
        env->close(env->context, file);
        check_run(store, HTT_CHECK_SHALLOW, &notes, &problems);
        assert_int_equal(problems, 1);
        assert_int_equal(notes.page, slot);
        assert_non_null(strstr(notes.text, "checksum"));
        notes.answer = 1; /* stops */
        check_run(store, HTT_CHECK_SHALLOW, &notes, &problems);
        assert_int_equal(notes.count, 2);
        htt_close(store);
        txn_free_disk(disk);
    }
}

static void test_check__damage_is_reported_and_is_no_error(void **state) {
    (void)state;
    crash_fs *disk = crash_fs_new(1);
    htt_store *store = txn_open(crash_fs_env(disk));
    txn_fill(store, 0, 500, 1, 100);
    htt_close(store);
    size_t size;
    uint8_t *bytes = crash_fs_get_file(disk, TXN_PATH, &size);
    for (uint32_t page = 2; page < 8; page++) {
        check_notes notes = {0};
        uint64_t problems = 0;
        bytes[page * 4096 + 2000] ^= 4;
        crash_fs_put_file(disk, TXN_PATH, bytes, size);
        bytes[page * 4096 + 2000] ^= 4;
        store = txn_open(crash_fs_env(disk));
        check_run(store, HTT_CHECK_SHALLOW, &notes, &problems);
        assert_int_equal(problems, notes.count);
        if (problems > 0)
            assert_non_null(strstr(notes.text, "checksum"));
        htt_close(store);
    }
    free(bytes);
    txn_free_disk(disk);
}

static void test_check__misuse_is_told(void **state) {
    (void)state;
    crash_fs *disk = crash_fs_new(1);
    htt_store *store = txn_open(crash_fs_env(disk));
    htt_txn *txn = txn_begin(store, HTT_READ);
    uint64_t problems;
    assert_int_equal(htt_check(txn, 7, NULL, NULL, &problems), HTT_MISUSE);
    assert_int_equal(htt_check(txn, HTT_CHECK_DEEP, NULL, NULL, NULL), HTT_MISUSE);
    assert_int_equal(htt_check(NULL, HTT_CHECK_DEEP, NULL, NULL, &problems), HTT_MISUSE);
    assert_int_equal(htt_check(txn, HTT_CHECK_DEEP, NULL, NULL, &problems), HTT_OK);
    txn_commit(txn);
    htt_close(store);
    txn_free_disk(disk);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_check__a_write_transaction_is_checked_as_it_would_be_committed),
        cmocka_unit_test(test_check__a_damaged_meta_page_is_a_problem_though_the_other_holds),
        cmocka_unit_test(test_check__damage_is_reported_and_is_no_error),
        cmocka_unit_test(test_check__misuse_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
