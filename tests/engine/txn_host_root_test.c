/* SPDX-License-Identifier: MIT */
/*
 * Root records, owners and lines: which database a file belongs to, and what is said when copies,
 * backups and moves have made two of one.
 */
#include "host_support.h"

#include "base/le.h"

static htt_host_root root_of(const host_row *row) {
    htt_host_root root;
    assert_int_equal(htt_host_root_read(row->record, HTT_HOST_RECORD_SIZE, &root, NULL), HTT_OK);
    return root;
}

/* Reading and writing with this row is refused; the text says this. */
static void root_expect_refused(host_process *process, const host_row *row,
                                const host_oracle *oracle, const char *text) {
    const htt_host_root root = root_of(row);
    assert_int_equal(host_read(process->store, row, oracle, false), HTT_MISMATCH);
    assert_non_null(strstr(htt_errmsg(process->store), text));
    assert_int_equal(htt_host_check_root(process->store, &root), HTT_MISMATCH);
    assert_non_null(strstr(htt_errmsg(process->store), text));
    const host_row kept = process->db->row;
    process->db->row = *row;
    assert_int_equal(host_begin(process, oracle), HTT_MISMATCH);
    assert_non_null(strstr(htt_errmsg(process->store), text));
    process->db->row = kept;
}

static void test_host_root__a_record_says_what_it_was_made_of(void **state) {
    (void)state;
    crash_fs *disk = crash_fs_new(1);
    host_oracle *oracle = host_oracle_new();
    host_process a;
    host_db db;
    htt_host_root root;
    htt_error error;
    htt_info info;
    host_create(&a, crash_fs_env(disk), &db, HOST_WAL, oracle);
    const uint64_t first = root_of(&db.row).nonce;
    host_fold(&a, oracle, 0, 10, 1);
    root = root_of(&db.row);
    htt_store_info(a.store, &info);
    assert_memory_equal(root.uuid, info.uuid, 16);
    assert_int_equal(root.epoch, 2);
    assert_int_equal(root.parent_epoch, 1);
    assert_int_equal(root.parent_nonce, first);
    assert_int_equal(root.seq, 1);
    assert_int_equal(root.keys, 10);
    assert_true(root.bytes > 80);
    assert_true(root.page_count > 2);
    assert_memory_equal(root.record, db.row.record, sizeof root.record);
    for (size_t i = 0; i < HTT_HOST_RECORD_SIZE; i++) {
        uint8_t record[HTT_HOST_RECORD_SIZE];
        memcpy(record, root.record, sizeof record);
        record[i] ^= 16;
        assert_int_equal(htt_host_root_read(record, sizeof record, &root, &error), HTT_CORRUPT);
        assert_non_null(strstr(error.text, "damaged"));
    }
    for (size_t size = 0; size < 200; size++) {
        if (size != HTT_HOST_RECORD_SIZE)
            assert_int_equal(htt_host_root_read(root.record, size, &root, &error), HTT_CORRUPT);
    }
    assert_int_equal(htt_host_root_read(NULL, HTT_HOST_RECORD_SIZE, &root, NULL), HTT_CORRUPT);
    host_close(&a);
    free(oracle);
    txn_free_disk(disk);
}

/* The record of a file with another page size or seed must not decide where pages are written. */
static void test_host_root__a_record_of_another_file_is_refused_before_it_is_used(void **state) {
    (void)state;
    crash_fs *disk = crash_fs_new(1);
    host_oracle *oracle = host_oracle_new();
    host_process a;
    host_db db;
    htt_fault fault;
    htt_root root;
    host_create(&a, crash_fs_env(disk), &db, HOST_WAL, oracle);
    host_fold(&a, oracle, 0, 10, 1);
    for (int way = 0; way < 3; way++) {
        host_row row = db.row;
        assert_true(htt_root_decode(row.record, &root, &fault));
        if (way == 0)
            root.uuid[3] ^= 1;
        else if (way == 1)
            root.seed ^= 1;
        else
            root.page_size = 65536;
        htt_root_encode(&root, row.record);
        root_expect_refused(&a, &row, oracle, "of another file");
    }
    host_check(&a, oracle);
    host_close(&a);
    free(oracle);
    txn_free_disk(disk);
}

static void test_host_root__older_snapshots_are_known_for_a_while(void **state) {
    (void)state;
    enum { FOLDS = 80 };
    crash_fs *disk = crash_fs_new(1);
    host_oracle *oracle = host_oracle_new();
    host_row rows[FOLDS];
    htt_txn *reader = NULL;
    host_process a, b;
    host_db db;
    uint32_t known = 0;
    host_create(&a, crash_fs_env(disk), &db, HOST_WAL, oracle);
    host_open(&b, crash_fs_new_process(disk), &db);
    const htt_host_root first = root_of(&db.row);
    assert_int_equal(htt_host_begin_read(b.store, &first, &reader), HTT_OK);
    for (uint16_t i = 0; i < FOLDS; i++) { /* the reader's pin keeps all of them */
        rows[i] = db.row;
        host_fold(&a, oracle, 0, 5, (uint16_t)(i + 1));
    }
    for (uint32_t i = 0; i < FOLDS; i++) {
        const htt_rc rc = host_read(b.store, &rows[i], oracle, false);
        assert_int_equal(rc, i < FOLDS - 1 - HTT_META_ANCESTORS_MAX ? HTT_SNAPSHOT : HTT_OK);
        known += rc == HTT_OK;
    }
    assert_int_equal(known, HTT_META_ANCESTORS_MAX + 1);
    htt_abort(reader);
    host_close(&a);
    host_close(&b);
    free(oracle);
    txn_free_disk(disk);
}

/* ------------------------------------------------------------------- owners */

static void test_host_root__an_owner_is_known_by_its_path_or_its_inode(void **state) {
    (void)state;
    const htt_host_owner owner = {"app.db", 1, 2};
    const htt_host_owner moved = {"other.db", 1, 2};
    const htt_host_owner restored = {"app.db", 1, 9};
    const htt_host_owner copy = {"copy.db", 1, 9};
    const htt_host_owner elsewhere = {"other.db", 7, 2};
    const htt_host_owner unknown = {"x.db", 0, 0};
    assert_true(htt_host_is_owner(&owner, &owner));
    assert_true(htt_host_is_owner(&owner, &moved));
    assert_true(htt_host_is_owner(&owner, &restored));
    assert_false(htt_host_is_owner(&owner, &copy));
    assert_false(htt_host_is_owner(&owner, &elsewhere));
    assert_false(htt_host_is_owner(&unknown, &(htt_host_owner){"y.db", 0, 0}));
}

static void test_host_root__describe_tells_what_is_wrong(void **state) {
    (void)state;
    crash_fs *disk = crash_fs_new(1);
    htt_host_owner owner;
    char path[HTT_HOST_PATH_MAX + 3];
    crash_fs_put_file(disk, "app.db", "x", 1);
    htt_store *store = txn_open(crash_fs_env(disk));
    assert_int_equal(htt_host_describe(store, "app.db", &owner), HTT_OK);
    assert_string_equal(owner.path, "app.db");
    assert_int_not_equal(owner.inode, 0);
    assert_int_equal(htt_host_describe(store, "none.db", &owner), HTT_IO);
    assert_non_null(strstr(htt_errmsg(store), "none.db"));
    memset(path, 'a', sizeof path - 1);
    path[sizeof path - 1] = '\0';
    assert_int_equal(htt_host_describe(store, path, &owner), HTT_TOOBIG);
    assert_int_equal(htt_host_describe(store, "", &owner), HTT_MISUSE);
    assert_int_equal(htt_host_describe(NULL, "app.db", &owner), HTT_MISUSE);
    htt_close(store);
    txn_free_disk(disk);
}

static void root_copy_file(crash_fs *disk, const char *from, const char *to) {
    size_t size;
    uint8_t *bytes = crash_fs_get_file(disk, from, &size);
    assert_non_null(bytes);
    crash_fs_put_file(disk, to, bytes, size);
    free(bytes);
}

static void test_host_root__a_folder_that_is_moved_keeps_working(void **state) {
    (void)state;
    crash_fs *disk = crash_fs_new(1);
    host_oracle *oracle = host_oracle_new();
    const host_row none = {.state = 0};
    const htt_env *env = crash_fs_env(disk);
    htt_host_root root;
    htt_info info;
    host_process a;
    host_db db;
    host_db_create(&db, env, "/old/app.db", HOST_WAL, &none);
    host_open_at(&a, env, &db, "/old/kv.htt", 0);
    assert_int_equal(htt_host_claim(a.store, &a.owner, &root), HTT_OK);
    memcpy(db.row.record, root.record, sizeof root.record);
    oracle->count = 1;
    host_fold(&a, oracle, 0, 20, 1);
    host_close(&a);
    root_copy_file(disk, "/old/kv.htt", "/new/place/kv.htt"); /* with other inodes, even */
    root_copy_file(disk, "/old/app.db", "/new/place/app.db");
    root_copy_file(disk, "/old/app.db-wal", "/new/place/app.db-wal");
    snprintf(db.path, sizeof db.path, "/new/place/app.db");
    host_open_at(&a, env, &db, "/new/place/kv.htt", 0);
    htt_store_info(a.store, &info);
    assert_string_equal(info.owner, "app.db");
    host_check(&a, oracle);
    /* Nobody can know that the copied attempt is not one of another lock file's time. */
    (void)host_acknowledge(&a);
    host_fold(&a, oracle, 0, 20, 2);
    host_check(&a, oracle);
    host_close(&a);
    free(oracle);
    txn_free_disk(disk);
}

static void test_host_root__a_renamed_host_is_known_by_its_inode_and_gets_its_new_path(
    void **state) {
    (void)state;
    crash_fs *disk = crash_fs_new(1);
    host_oracle *oracle = host_oracle_new();
    host_process a;
    host_db db;
    htt_host_meta meta;
    htt_host_root root;
    host_create(&a, crash_fs_env(disk), &db, HOST_WAL, oracle);
    host_fold(&a, oracle, 0, 10, 1);
    htt_host_owner renamed = a.owner;
    snprintf(renamed.path, sizeof renamed.path, "renamed.db");
    a.owner = renamed;
    host_fold(&a, oracle, 0, 10, 2);
    assert_int_equal(htt_host_read_meta(a.store, &meta), HTT_OK);
    assert_string_equal(meta.owner.path, "renamed.db");
    /* At rest too: claim brings the path up to date, and nothing else. */
    snprintf(a.owner.path, sizeof a.owner.path, "again.db");
    const uint64_t attempt = meta.attempt;
    assert_int_equal(htt_host_claim(a.store, &a.owner, &root), HTT_OK);
    assert_int_equal(root.nonce, meta.root.nonce);
    assert_int_equal(htt_host_read_meta(a.store, &meta), HTT_OK);
    assert_string_equal(meta.owner.path, "again.db");
    assert_int_equal(meta.attempt, attempt);
    host_check(&a, oracle);
    host_fold(&a, oracle, 0, 10, 3);
    host_close(&a);
    free(oracle);
    txn_free_disk(disk);
}

static void test_host_root__e4_a_nightly_copy_cannot_write_and_locks_nobody_out(void **state) {
    (void)state;
    crash_fs *disk = crash_fs_new(1);
    host_oracle *oracle = host_oracle_new();
    host_process a, b;
    host_db db, copy;
    htt_host_root root;
    host_create(&a, crash_fs_env(disk), &db, HOST_WAL, oracle);
    host_fold(&a, oracle, 0, 20, 1);
    root_copy_file(disk, HOST_PATH, "x.db");
    root_copy_file(disk, HOST_PATH "-wal", "x.db-wal");
    copy = db;
    snprintf(copy.path, sizeof copy.path, "x.db");
    host_open(&b, crash_fs_new_process(disk), &copy);
    assert_int_equal(host_begin(&b, oracle), HTT_READONLY);
    assert_non_null(strstr(htt_errmsg(b.store), "'" HOST_PATH "'"));
    assert_non_null(strstr(htt_errmsg(b.store), "htt_adopt"));
    assert_int_equal(htt_host_claim(b.store, &b.owner, &root), HTT_READONLY);
    host_check(&b, oracle); /* it may look */
    for (uint16_t i = 2; i < 8; i++)
        host_fold(&a, oracle, 0, 20, i);
    host_check(&a, oracle);
    const htt_rc rc = host_read(b.store, &copy.row, oracle, false);
    assert_int_equal(rc, HTT_SNAPSHOT); /* older by now, its pages gone */
    host_close(&a);
    host_close(&b);
    free(oracle);
    txn_free_disk(disk);
}

/* ------------------------------------------------------ copies and restored files */

/* Two databases with one past, both allowed to write: as if one had been moved over the other. */
typedef struct fork_world {
    crash_fs *disk;      /* below */
    host_oracle *oracle; /* states of both */
    host_db one, two;    /* the databases */
    host_process a, b;   /* their processes */
} fork_world;

static void fork_begin(fork_world *world, host_mode mode, uint16_t folds) {
    memset(world, 0, sizeof *world);
    world->disk = crash_fs_new(1);
    world->oracle = host_oracle_new();
    host_create(&world->a, crash_fs_env(world->disk), &world->one, mode, world->oracle);
    for (uint16_t i = 1; i <= folds; i++)
        host_fold(&world->a, world->oracle, 0, 30, i);
    root_copy_file(world->disk, HOST_PATH, "two.db");
    if (mode != HOST_JOURNAL)
        root_copy_file(world->disk, HOST_PATH "-wal", "two.db-wal");
    world->two = world->one;
    snprintf(world->two.path, sizeof world->two.path, "two.db");
    host_open(&world->b, crash_fs_new_process(world->disk), &world->two);
    world->b.owner = world->a.owner;
}

static void fork_end(fork_world *world) {
    host_close(&world->a);
    host_close(&world->b);
    free(world->oracle);
    txn_free_disk(world->disk);
}

static void test_host_root__e1_two_copies_of_a_host_never_read_each_others_pages(void **state) {
    (void)state;
    for (host_mode mode = HOST_WAL; mode < HOST_MODES; mode++) {
        fork_world world;
        fork_begin(&world, mode, 3);
        host_fold(&world.a, world.oracle, 0, 20, 10);
        const host_row first = world.one.row;
        if (mode != HOST_JOURNAL) { /* the copy takes the other's fold for an attempt */
            assert_int_equal(host_begin(&world.b, world.oracle), HTT_BUSY);
            assert_int_not_equal(host_acknowledge(&world.b), 0);
        }
        host_fold(&world.b, world.oracle, 0, 20, 11);
        host_check(&world.b, world.oracle);
        root_expect_refused(&world.a, &first, world.oracle, "another copy");
        for (uint16_t i = 12; i < 20; i++) {
            host_fold(&world.b, world.oracle, 0, 30, i);
            root_expect_refused(&world.a, &first, world.oracle, "");
        }
        host_check(&world.b, world.oracle);
        fork_end(&world);
    }
}

static void test_host_root__e1_a_pinned_reader_of_the_other_copy_refuses_the_fold(void **state) {
    (void)state;
    fork_world world;
    htt_txn *reader = NULL;
    fork_begin(&world, HOST_JOURNAL, 3);
    host_fold(&world.a, world.oracle, 0, 30, 10);
    const htt_host_root root = root_of(&world.one.row);
    assert_int_equal(htt_host_begin_read(world.a.store, &root, &reader), HTT_OK);
    assert_int_equal(host_begin(&world.b, world.oracle), HTT_BUSY);
    assert_non_null(strstr(htt_errmsg(world.b.store), "another copy"));
    host_expect_rows(reader, world.oracle->rows[world.one.row.state]);
    host_fold(&world.a, world.oracle, 0, 5, 11); /* nothing was written by the other */
    htt_abort(reader);
    host_check(&world.a, world.oracle);
    fork_end(&world);
}

/* A reader that pins while a writer is between its look at pins and its meta page. */
typedef struct fork_late {
    host_process *reader; /* its process */
    const host_row *row;  /* that it reads */
    htt_txn *txn;         /* begun */
} fork_late;

static int fork_read_late(void *arg) {
    fork_late *late = arg;
    const htt_host_root root = root_of(late->row);
    return htt_host_begin_read(late->reader->store, &root, &late->txn) == HTT_OK ? 0 : EINVAL;
}

static void test_host_root__e1_a_reader_that_pins_after_the_look_at_pins_is_seen(void **state) {
    (void)state;
    fork_world world;
    fork_begin(&world, HOST_JOURNAL, 3);
    host_fold(&world.a, world.oracle, 0, 30, 10);
    fork_late late = {.reader = &world.a, .row = &world.one.row};
    assert_int_equal(host_begin(&world.b, world.oracle), HTT_OK);
    host_rollback(&world.b);
    fork_end(&world);
    fork_begin(&world, HOST_JOURNAL, 3);
    host_fold(&world.a, world.oracle, 0, 30, 10);
    world.b.base = world.two.row;
    world.b.root = root_of(&world.two.row);
    htt_host_write write = host_write_of(&world.b);
    write.barrier = fork_read_late;
    write.arg = &late;
    assert_int_equal(htt_host_begin_write(world.b.store, &write, &world.b.txn), HTT_BUSY);
    assert_non_null(late.txn);
    host_expect_rows(late.txn, world.oracle->rows[world.one.row.state]);
    htt_abort(late.txn);
    host_check(&world.b, world.oracle);
    fork_end(&world);
}

static void test_host_root__e1_a_reader_two_folds_behind_is_told_from_one_of_the_branch(
    void **state) {
    (void)state;
    fork_world world;
    fork_begin(&world, HOST_JOURNAL, 3);
    const host_row shared = world.one.row;
    host_fold(&world.a, world.oracle, 0, 30, 10);
    const host_row branch = world.one.row;
    for (uint16_t i = 20; i < 24; i++)
        host_fold(&world.b, world.oracle, 0, 2, i);
    const htt_rc rc = host_read(world.a.store, &shared, world.oracle, false);
    assert_true(rc == HTT_OK || rc == HTT_SNAPSHOT);
    /* Same epoch as an ancestor, which is another root. */
    assert_int_not_equal(host_read(world.a.store, &branch, world.oracle, false), HTT_OK);
    fork_end(&world);
}

static void test_host_root__e2_a_host_that_was_restored_alone_is_told_so(void **state) {
    (void)state;
    crash_fs *disk = crash_fs_new(1);
    host_oracle *oracle = host_oracle_new();
    host_row rows[10];
    host_process a;
    host_db db;
    host_create(&a, crash_fs_env(disk), &db, HOST_JOURNAL, oracle);
    for (uint16_t i = 0; i < 10; i++) {
        rows[i] = db.row;
        host_fold(&a, oracle, 0, 30, (uint16_t)(i + 1));
    }
    const htt_host_root old = root_of(&rows[5]);
    assert_int_equal(htt_host_check_root(a.store, &old), HTT_MISMATCH);
    assert_non_null(strstr(htt_errmsg(a.store), "the database is older"));
    assert_non_null(strstr(htt_errmsg(a.store), "htt_adopt"));
    const host_row now = db.row;
    db.row = rows[5];
    assert_int_equal(host_begin(&a, oracle), HTT_MISMATCH);
    assert_non_null(strstr(htt_errmsg(a.store), "the database is older"));
    db.row = now;
    host_check(&a, oracle);
    host_close(&a);
    free(oracle);
    txn_free_disk(disk);
}

static void test_host_root__e2_a_file_that_was_restored_alone_is_told_so(void **state) {
    (void)state;
    for (uint16_t folds = 1; folds < 6; folds++) {
        for (int checkpoint = 0; checkpoint < 2; checkpoint++) {
            crash_fs *disk = crash_fs_new(1);
            host_oracle *oracle = host_oracle_new();
            host_process a;
            host_db db;
            htt_host_root root;
            host_create(&a, crash_fs_env(disk), &db, HOST_JOURNAL, oracle);
            host_fold(&a, oracle, 0, 10, 1);
            host_fold(&a, oracle, 0, 10, 2);
            root = root_of(&db.row);
            if (checkpoint == 1)
                assert_int_equal(htt_host_checkpoint(a.store, &root, false, NULL), HTT_OK);
            host_close(&a);
            root_copy_file(disk, TXN_PATH, "backup.htt");
            host_open(&a, crash_fs_env(disk), &db);
            for (uint16_t i = 0; i < folds; i++)
                host_fold(&a, oracle, 0, HOST_ROWS, (uint16_t)(i + 10));
            host_close(&a);
            root_copy_file(disk, "backup.htt", TXN_PATH);
            host_open(&a, crash_fs_env(disk), &db);
            /* Without the checkpoint the file is at most two folds behind, and says so by one. */
            root_expect_refused(&a, &db.row, oracle, "is older than the database");
            host_close(&a);
            free(oracle);
            txn_free_disk(disk);
        }
    }
}

static void test_host_root__a_checkpoint_of_another_line_is_refused(void **state) {
    (void)state;
    fork_world world;
    fork_begin(&world, HOST_JOURNAL, 3);
    host_fold(&world.a, world.oracle, 0, 30, 10);
    host_fold(&world.b, world.oracle, 0, 30, 11);
    const htt_host_root mine = root_of(&world.one.row);
    const htt_host_root other = root_of(&world.two.row);
    assert_int_equal(htt_host_checkpoint(world.a.store, &mine, true, NULL), HTT_MISMATCH);
    assert_int_equal(htt_host_checkpoint(world.b.store, &other, false, NULL), HTT_OK);
    assert_int_equal(htt_host_checkpoint(world.b.store, &other, false, NULL), HTT_OK);
    assert_int_equal(htt_host_checkpoint(world.a.store, &mine, false, NULL), HTT_MISMATCH);
    assert_int_equal(htt_host_checkpoint(world.b.store, &other, true, NULL), HTT_OK);
    assert_int_equal(htt_host_checkpoint(world.b.store, &other, true, NULL), HTT_OK); /* again */
    host_check(&world.b, world.oracle);
    fork_end(&world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_host_root__a_record_says_what_it_was_made_of),
        cmocka_unit_test(
            test_host_root__a_record_of_another_file_is_refused_before_it_is_used),
        cmocka_unit_test(test_host_root__older_snapshots_are_known_for_a_while),
        cmocka_unit_test(test_host_root__an_owner_is_known_by_its_path_or_its_inode),
        cmocka_unit_test(test_host_root__describe_tells_what_is_wrong),
        cmocka_unit_test(test_host_root__a_folder_that_is_moved_keeps_working),
        cmocka_unit_test(
            test_host_root__a_renamed_host_is_known_by_its_inode_and_gets_its_new_path),
        cmocka_unit_test(test_host_root__e4_a_nightly_copy_cannot_write_and_locks_nobody_out),
        cmocka_unit_test(test_host_root__e1_two_copies_of_a_host_never_read_each_others_pages),
        cmocka_unit_test(test_host_root__e1_a_pinned_reader_of_the_other_copy_refuses_the_fold),
        cmocka_unit_test(test_host_root__e1_a_reader_that_pins_after_the_look_at_pins_is_seen),
        cmocka_unit_test(
            test_host_root__e1_a_reader_two_folds_behind_is_told_from_one_of_the_branch),
        cmocka_unit_test(test_host_root__e2_a_host_that_was_restored_alone_is_told_so),
        cmocka_unit_test(test_host_root__e2_a_file_that_was_restored_alone_is_told_so),
        cmocka_unit_test(test_host_root__a_checkpoint_of_another_line_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
