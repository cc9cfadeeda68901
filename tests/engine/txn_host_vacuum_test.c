/* SPDX-License-Identifier: MIT */
/* ctest: timeout=240
 *
 * Vacuum of hosted files: steps that the host commits, and the cut. */
#include "host_support.h"

enum { VACUUM_MORE = 100 /* rows that come and go have these numbers and more */ };

typedef struct vacuum_world {
    crash_fs *disk;      /* below */
    host_oracle *oracle; /* states */
    host_db db;          /* the host */
    host_process a;      /* at work */
    host_mode mode;      /* of the host */
} vacuum_world;

static htt_host_root vacuum_root(const vacuum_world *world) {
    htt_host_root root;
    assert_int_equal(htt_host_root_read(world->db.row.record, HTT_HOST_RECORD_SIZE, &root, NULL),
                     HTT_OK);
    return root;
}

static uint64_t vacuum_file_size(vacuum_world *world) {
    size_t size;
    free(crash_fs_get_file(world->disk, TXN_PATH, &size));
    return size;
}

static void vacuum_commit(vacuum_world *world) {
    if (host_publish(&world->a, world->oracle) != HTT_OK)
        fail_msg("publish: %s", htt_txn_errmsg(world->a.txn));
    assert_int_equal(host_commit(&world->a, HOST_COMPLETE), 0);
}

/* A file that is mostly free: many rows were there for a while. */
static void vacuum_begin(vacuum_world *world, host_mode mode, uint32_t rows) {
    memset(world, 0, sizeof *world);
    world->mode = mode;
    world->disk = crash_fs_new(1);
    world->oracle = calloc(1, sizeof *world->oracle);
    assert_non_null(world->oracle);
    host_create(&world->a, crash_fs_env(world->disk), &world->db, mode, world->oracle);
    for (uint32_t round = 0; round < 2; round++) {
        host_begin_ok(&world->a, world->oracle);
        for (uint32_t row = VACUUM_MORE; row < VACUUM_MORE + rows; row++) {
            if (round == 0)
                txn_put(world->a.txn, row, row, row % 50 == 0 ? 9000 : 300);
            else
                txn_del(world->a.txn, row);
            if (row % (rows / HOST_ROWS) == 0 && row - VACUUM_MORE < rows)
                assert_int_equal(host_put(&world->a, row % HOST_ROWS, (uint16_t)(5 + round)),
                                 HTT_OK);
        }
        vacuum_commit(world);
    }
    host_fold(&world->a, world->oracle, 0, 5, 9);
    host_check(&world->a, world->oracle);
}

static void vacuum_end(vacuum_world *world) {
    host_close(&world->a);
    free(world->oracle);
    txn_free_disk(world->disk);
}

static void vacuum_checkpoint(vacuum_world *world) {
    const htt_host_root root = vacuum_root(world);
    assert_int_equal(host_db_barrier(&world->db, world->a.env), 0);
    if (htt_host_checkpoint(world->a.store, &root, false, NULL) != HTT_OK)
        fail_msg("checkpoint: %s", htt_errmsg(world->a.store));
}

/* One step. False: nothing was left to do, and nothing was committed. */
static bool vacuum_step(vacuum_world *world) {
    htt_host_root root;
    uint64_t moved = 99;
    world->a.low_first = true;
    host_begin_ok(&world->a, world->oracle);
    world->a.low_first = false;
    if (htt_host_vacuum_step(world->a.txn, &moved) != HTT_OK)
        fail_msg("step: %s", htt_txn_errmsg(world->a.txn));
    assert_int_equal(htt_host_flush(world->a.txn, world->oracle->count, &root), HTT_OK);
    if (moved == 0 && root.page_count >= world->a.root.page_count) {
        host_rollback(&world->a);
        return false;
    }
    vacuum_commit(world);
    vacuum_checkpoint(world);
    host_check(&world->a, world->oracle);
    return true;
}

static uint32_t vacuum_steps(vacuum_world *world) {
    uint32_t steps = 0;
    vacuum_checkpoint(world);
    while (vacuum_step(world)) {
        steps++;
        assert_true(steps < 64);
    }
    return steps;
}

static htt_rc vacuum_cut(vacuum_world *world, uint64_t *bytes_out) {
    const htt_host_root root = vacuum_root(world);
    return htt_host_cut(world->a.store, &root, bytes_out);
}

static void test_host_vacuum__gives_free_space_back(void **state) {
    (void)state;
    for (host_mode mode = HOST_WAL; mode < HOST_MODES; mode++) {
        vacuum_world world;
        uint64_t bytes = 0;
        vacuum_begin(&world, mode, 3000);
        const uint64_t before = vacuum_file_size(&world);
        const uint32_t steps = vacuum_steps(&world);
        if (vacuum_cut(&world, &bytes) != HTT_OK)
            fail_msg("cut: %s", htt_errmsg(world.a.store));
        const uint64_t after = vacuum_file_size(&world);
        assert_int_equal(after, (uint64_t)vacuum_root(&world).page_count * 4096);
        assert_int_equal(before - after, bytes);
        assert_true(after < before / 10);
        print_message("%u steps, %u KiB from %u\n", steps, (unsigned)(after >> 10),
                      (unsigned)(before >> 10));
        host_check(&world.a, world.oracle);
        assert_int_equal(vacuum_cut(&world, &bytes), HTT_OK); /* nothing to do */
        assert_int_equal(bytes, 0);
        for (uint16_t i = 20; i < 25; i++)
            host_fold(&world.a, world.oracle, 0, HOST_ROWS, i);
        host_check(&world.a, world.oracle);
        vacuum_end(&world);
    }
}

static void test_host_vacuum__a_crash_at_any_moment_loses_nothing(void **state) {
    (void)state;
    for (host_mode mode = HOST_WAL; mode < HOST_MODES; mode++) {
        vacuum_world world;
        uint64_t bytes = 0;
        vacuum_begin(&world, mode, 300);
        const size_t first = crash_fs_position(world.disk);
        (void)vacuum_steps(&world);
        assert_int_equal(vacuum_cut(&world, &bytes), HTT_OK);
        assert_true(bytes > 0);
        host_fold(&world.a, world.oracle, 0, 20, 30);
        host_examine_all(world.disk, first, 5, mode, world.oracle);
        vacuum_end(&world);
    }
}

static void test_host_vacuum__nothing_that_a_reader_needs_is_cut(void **state) {
    (void)state;
    vacuum_world world;
    host_process b;
    htt_txn *txn = NULL;
    uint64_t bytes = 77;
    vacuum_begin(&world, HOST_JOURNAL, 1000);
    host_open(&b, crash_fs_new_process(world.disk), &world.db);
    const htt_host_root old = vacuum_root(&world);
    const uint32_t seen = world.db.row.state;
    assert_int_equal(htt_host_begin_read(b.store, &old, &txn), HTT_OK);
    (void)vacuum_steps(&world);
    assert_int_equal(vacuum_cut(&world, &bytes), HTT_BUSY);
    assert_int_equal(bytes, 77); /* untouched */
    assert_non_null(strstr(htt_errmsg(world.a.store), "older state"));
    host_expect_rows(txn, world.oracle->rows[seen]);
    htt_abort(txn);
    /* The same root, in a host snapshot that is as old, is gone now. */
    assert_int_equal(vacuum_steps(&world) > 0, 1);
    assert_int_equal(vacuum_cut(&world, &bytes), HTT_OK);
    assert_true(bytes > 0);
    assert_int_equal(htt_host_begin_read(b.store, &old, &txn), HTT_SNAPSHOT);
    host_check(&b, world.oracle);
    host_close(&b);
    vacuum_end(&world);
}

static void test_host_vacuum__a_resting_reader_loses_its_pin_to_the_cut(void **state) {
    (void)state;
    vacuum_world world;
    host_process b;
    htt_txn *old = NULL, *newest = NULL;
    uint64_t bytes = 0;
    vacuum_begin(&world, HOST_JOURNAL, 1000);
    host_open(&b, crash_fs_new_process(world.disk), &world.db);
    htt_host_root root = vacuum_root(&world);
    assert_int_equal(htt_host_begin_read(b.store, &root, &old), HTT_OK);
    htt_host_rest(old);
    (void)vacuum_steps(&world);
    root = vacuum_root(&world);
    assert_int_equal(htt_host_begin_read(b.store, &root, &newest), HTT_OK);
    htt_host_rest(newest);
    assert_int_equal(vacuum_cut(&world, &bytes), HTT_OK);
    assert_int_equal(htt_host_wake(old), HTT_SNAPSHOT);
    assert_int_equal(htt_host_wake(newest), HTT_OK);
    host_expect_rows(newest, world.oracle->rows[world.db.row.state]);
    htt_abort(old);
    htt_abort(newest);
    host_close(&b);
    vacuum_end(&world);
}

static void test_host_vacuum__nothing_is_cut_while_an_attempt_may_be_committed(void **state) {
    (void)state;
    vacuum_world world;
    uint64_t bytes = 0;
    vacuum_begin(&world, HOST_WAL, 1000);
    (void)vacuum_steps(&world);
    host_begin_ok(&world.a, world.oracle);
    for (uint32_t row = 0; row < HOST_ROWS; row++)
        assert_int_equal(host_put(&world.a, row, 50), HTT_OK);
    assert_int_equal(vacuum_cut(&world, &bytes), HTT_BUSY); /* our own transaction */
    assert_int_equal(host_publish(&world.a, world.oracle), HTT_OK);
    assert_int_equal(host_commit(&world.a, HOST_STOP), 0);
    host_rollback(&world.a);
    assert_int_equal(vacuum_cut(&world, &bytes), HTT_BUSY);
    assert_non_null(strstr(htt_errmsg(world.a.store), "outcome"));
    /* It comes back: all processes are gone, and the WAL is recovered. */
    crash_fs *after = crash_fs_killed(world.disk, crash_fs_position(world.disk));
    host_db db;
    host_db_recover(&db, crash_fs_env(after), HOST_PATH, HOST_WAL);
    assert_int_equal(db.row.state, world.oracle->count - 1);
    host_examine(after, HOST_WAL, world.oracle);
    txn_free_disk(after);
    /* Or not. */
    assert_int_not_equal(host_acknowledge(&world.a), 0);
    host_fold(&world.a, world.oracle, 0, 3, 51);
    vacuum_checkpoint(&world);
    (void)vacuum_steps(&world);
    assert_int_equal(vacuum_cut(&world, &bytes), HTT_OK);
    host_check(&world.a, world.oracle);
    vacuum_end(&world);
}

static void test_host_vacuum__only_the_newest_root_that_rests_can_be_cut_behind(void **state) {
    (void)state;
    vacuum_world world;
    uint64_t bytes = 0;
    vacuum_begin(&world, HOST_JOURNAL, 300);
    const htt_host_root older = vacuum_root(&world);
    (void)vacuum_steps(&world);
    host_fold(&world.a, world.oracle, 0, 3, 51);
    assert_int_equal(vacuum_cut(&world, &bytes), HTT_BUSY); /* the file is one root behind */
    assert_int_equal(htt_host_cut(world.a.store, &older, &bytes), HTT_MISMATCH);
    vacuum_checkpoint(&world);
    assert_int_equal(vacuum_cut(&world, &bytes), HTT_OK);
    htt_host_root root = vacuum_root(&world);
    assert_int_equal(htt_host_cut(NULL, &root, &bytes), HTT_MISUSE);
    assert_int_equal(htt_host_cut(world.a.store, NULL, &bytes), HTT_MISUSE);
    assert_int_equal(htt_host_cut(world.a.store, &root, NULL), HTT_MISUSE);
    root.record[1] ^= 1;
    assert_int_equal(htt_host_cut(world.a.store, &root, &bytes), HTT_CORRUPT);
    host_begin_ok(&world.a, world.oracle); /* without low_first */
    assert_int_equal(htt_host_vacuum_step(world.a.txn, &bytes), HTT_MISUSE);
    host_rollback(&world.a);
    htt_txn *txn = txn_begin(world.a.store, HTT_READ);
    assert_int_equal(htt_host_vacuum_step(txn, &bytes), HTT_READONLY);
    htt_abort(txn);
    assert_int_equal(htt_host_vacuum_step(NULL, &bytes), HTT_MISUSE);
    host_check(&world.a, world.oracle);
    vacuum_end(&world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_host_vacuum__gives_free_space_back),
        cmocka_unit_test(test_host_vacuum__a_crash_at_any_moment_loses_nothing),
        cmocka_unit_test(test_host_vacuum__nothing_that_a_reader_needs_is_cut),
        cmocka_unit_test(test_host_vacuum__a_resting_reader_loses_its_pin_to_the_cut),
        cmocka_unit_test(test_host_vacuum__nothing_is_cut_while_an_attempt_may_be_committed),
        cmocka_unit_test(test_host_vacuum__only_the_newest_root_that_rests_can_be_cut_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
