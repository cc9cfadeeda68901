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

static void check_do(htt_store *store, unsigned depth, check_notes *notes, uint64_t *problems) {
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
        check_do(store, HTT_CHECK_SHALLOW, &notes, &problems);
        assert_int_equal(problems, 1);
        assert_int_equal(notes.page, slot);
        assert_non_null(strstr(notes.text, "checksum"));
        notes.answer = 1; /* stops */
        check_do(store, HTT_CHECK_SHALLOW, &notes, &problems);
        assert_int_equal(notes.count, 2);
        htt_close(store);
        txn_free_disk(disk);
    }
}

/* Opens the file with one meta page changed, runs a check, gives the number of problems. */
static uint64_t check_changed_meta(crash_fs *disk, uint32_t slot, htt_meta meta,
                                   check_notes *notes) {
    static uint8_t page[HTT_PAGE_SIZE_MAX];
    const uint32_t page_size = meta.root.page_size;
    uint64_t problems = 99;
    size_t size;
    uint8_t *bytes = crash_fs_get_file(disk, TXN_PATH, &size);
    uint8_t *changed = malloc(size);
    memcpy(changed, bytes, size);
    meta.number = slot;
    htt_meta_encode(&meta, page);
    memcpy(changed + slot * page_size, page, page_size);
    crash_fs_put_file(disk, TXN_PATH, changed, size);
    /* Only reading: a writer would write a new meta page over the older one. */
    htt_options options = txn_options(crash_fs_env(disk));
    options.flags = HTT_OPEN_READONLY;
    htt_store *store = txn_open_with(&options);
    *notes = (check_notes){.answer = notes->answer};
    check_do(store, HTT_CHECK_SHALLOW, notes, &problems);
    assert_int_equal(problems, notes->count);
    htt_close(store);
    crash_fs_put_file(disk, TXN_PATH, bytes, size);
    free(changed);
    free(bytes);
    return problems;
}

static void test_check__meta_pages_that_contradict_each_other_are_problems(void **state) {
    (void)state;
    crash_fs *disk = crash_fs_new(1);
    htt_store *store = txn_open(crash_fs_env(disk));
    check_notes notes = {0};
    htt_meta metas[2];
    htt_fault fault;
    size_t size;
    for (uint64_t i = 0; i < 5; i++)
        txn_fill(store, 0, 3, i, 100);
    htt_close(store);
    uint8_t *bytes = crash_fs_get_file(disk, TXN_PATH, &size);
    for (uint32_t i = 0; i < 2; i++)
        assert_int_equal(htt_meta_decode(bytes + i * 4096, 4096, &metas[i], &fault),
                         HTT_META_VALID);
    free(bytes);
    const uint32_t older = metas[0].counter < metas[1].counter ? 0 : 1;
    const htt_meta old = metas[older];
    assert_true(old.ancestor_count > 1);
    assert_int_equal(check_changed_meta(disk, older, old, &notes), 0);

    htt_meta meta = old;
    meta.counter = metas[1 - older].counter;
    meta.root = metas[1 - older].root;
    memcpy(meta.ancestors, metas[1 - older].ancestors, sizeof meta.ancestors);
    meta.ancestor_count = metas[1 - older].ancestor_count;
    assert_int_equal(check_changed_meta(disk, older, meta, &notes), 1);
    assert_non_null(strstr(notes.text, "same counter"));

    meta = old;
    meta.root.uuid[15] ^= 1;
    assert_int_equal(check_changed_meta(disk, older, meta, &notes), 1);
    assert_non_null(strstr(notes.text, "different uuids"));
    meta = old;
    meta.root.seed ^= 1;
    assert_int_equal(check_changed_meta(disk, older, meta, &notes), 1);
    assert_non_null(strstr(notes.text, "seeds"));
    txn_free_disk(disk);
}

static void test_check__a_meta_page_whose_ancestors_make_no_sense_is_a_problem(void **state) {
    (void)state;
    crash_fs *disk = crash_fs_new(1);
    htt_store *store = txn_open(crash_fs_env(disk));
    check_notes notes = {0};
    size_t size;
    for (uint64_t i = 0; i < 5; i++)
        txn_fill(store, 0, 3, i, 100);
    htt_close(store);
    uint8_t *bytes = crash_fs_get_file(disk, TXN_PATH, &size);
    for (uint32_t slot = 0; slot < 2; slot++) {
        htt_meta good;
        htt_fault fault;
        assert_int_equal(htt_meta_decode(bytes + slot * 4096, 4096, &good, &fault),
                         HTT_META_VALID);
        for (int i = 0; i < 4; i++) {
            htt_meta meta = good;
            if (i == 0)
                meta.ancestors[0].nonce ^= 1;
            if (i == 1)
                meta.root.parent.epoch--;
            if (i == 2)
                meta.ancestors[2].epoch = meta.ancestors[1].epoch;
            if (i == 3) { /* none are known: nothing is wrong */
                memset(meta.ancestors, 0, sizeof meta.ancestors);
                meta.ancestor_count = 0;
            }
            assert_int_equal(check_changed_meta(disk, slot, meta, &notes), i < 3 ? 1 : 0);
            if (i < 3) {
                assert_int_equal(notes.page, slot);
                assert_non_null(strstr(notes.text, i < 2 ? "first ancestor" : "not in order"));
            }
        }
        /* Two at once, and a caller who has seen enough. */
        good.ancestors[0].nonce ^= 1;
        good.ancestors[2].epoch = good.ancestors[1].epoch;
        assert_int_equal(check_changed_meta(disk, slot, good, &notes), 2);
        notes.answer = 1;
        assert_int_equal(check_changed_meta(disk, slot, good, &notes), 1);
        notes.answer = 0;
    }
    free(bytes);
    txn_free_disk(disk);
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
        check_do(store, HTT_CHECK_SHALLOW, &notes, &problems);
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
        cmocka_unit_test(test_check__meta_pages_that_contradict_each_other_are_problems),
        cmocka_unit_test(test_check__a_meta_page_whose_ancestors_make_no_sense_is_a_problem),
        cmocka_unit_test(test_check__damage_is_reported_and_is_no_error),
        cmocka_unit_test(test_check__misuse_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
