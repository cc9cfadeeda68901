/* SPDX-License-Identifier: MIT */
/*
 * ctest: tsan
 *
 * Threads of one process share a handle of a hosted file: some read the newest root or an older
 * one, rest and wake, while one writes.
 */
#include <pthread.h>

#include "host_support.h"

enum { THREADS = 4, ROUNDS = 150 };

typedef struct threads_world {
    pthread_mutex_t mutex; /* the host's own: guards its row, and the oracle */
    host_db db;            /* the host */
    host_oracle *oracle;   /* states */
    host_process writer;   /* all use its store */
    _Atomic bool stop;     /* readers end */
    _Atomic uint32_t reads;    /* complete ones */
    _Atomic uint32_t wrong;    /* reads that were neither right nor gone */
} threads_world;

/* The host's snapshot, and what it must hold. */
static void threads_snapshot(threads_world *world, htt_host_root *root_out, uint16_t *rows_out) {
    (void)pthread_mutex_lock(&world->mutex);
    const host_row row = world->db.row;
    memcpy(rows_out, world->oracle->rows[row.state], HOST_ROWS * sizeof *rows_out);
    (void)pthread_mutex_unlock(&world->mutex);
    if (htt_host_root_read(row.record, HTT_HOST_RECORD_SIZE, root_out, NULL) != HTT_OK)
        world->wrong++;
}

static bool threads_rows_are(htt_txn *txn, const uint16_t *rows) {
    for (uint32_t row = 0; row < HOST_ROWS; row++) {
        uint8_t key[8];
        htt_datum value;
        uint16_t number = 0;
        const htt_rc rc = htt_get(txn, htt_integer((int64_t)row, key), &value);
        if (rc != HTT_OK && rc != HTT_NOTFOUND)
            return false;
        if (rc == HTT_OK)
            memcpy(&number, value.data, sizeof number);
        if (number != rows[row])
            return false;
    }
    return true;
}

static void *threads_read(void *arg) {
    threads_world *world = arg;
    htt_txn *txn = NULL;
    uint16_t rows[HOST_ROWS];
    htt_host_root root;
    for (uint32_t i = 0; !world->stop || i < 20; i++) {
        htt_rc rc = HTT_SNAPSHOT;
        if (txn != NULL && i % 3 != 0)
            rc = htt_host_wake(txn);
        if (rc != HTT_OK) {
            threads_snapshot(world, &root, rows);
            if (txn != NULL)
                rc = htt_host_renew(txn, &root);
            else
                rc = htt_host_begin_read(world->writer.store, &root, &txn);
        }
        if (rc == HTT_SNAPSHOT)
            continue;
        if (rc != HTT_OK || !threads_rows_are(txn, rows))
            world->wrong++;
        world->reads++;
        htt_host_rest(txn);
        if (rc != HTT_OK || i % 7 == 0) {
            htt_abort(txn);
            txn = NULL;
        }
    }
    htt_abort(txn);
    return NULL;
}

static void test_host_threads__read_right_rows_while_one_writes(void **state) {
    (void)state;
    crash_fs *disk = crash_fs_new(1);
    threads_world *world = calloc(1, sizeof *world);
    pthread_t threads[THREADS];
    assert_non_null(world);
    assert_int_equal(pthread_mutex_init(&world->mutex, NULL), 0);
    world->oracle = calloc(1, sizeof *world->oracle);
    assert_non_null(world->oracle);
    host_create(&world->writer, crash_fs_env(disk), &world->db, HOST_WAL, world->oracle);
    host_fold(&world->writer, world->oracle, 0, HOST_ROWS, 1);
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, threads_read, world), 0);
    for (uint16_t i = 0; i < ROUNDS; i++) {
        host_process *writer = &world->writer;
        host_begin_ok(writer, world->oracle);
        for (uint32_t row = i % 3; row < HOST_ROWS; row += 1 + i % 4)
            assert_int_equal(host_put(writer, row, (uint16_t)(i + 2)), HTT_OK);
        (void)pthread_mutex_lock(&world->mutex);
        const htt_rc rc = host_publish(writer, world->oracle);
        if (rc == HTT_OK)
            (void)host_commit(writer, HOST_COMPLETE);
        (void)pthread_mutex_unlock(&world->mutex);
        assert_int_equal(rc, HTT_OK);
    }
    world->stop = true;
    for (size_t i = 0; i < THREADS; i++)
        (void)pthread_join(threads[i], NULL);
    print_message("%u reads\n", (unsigned)world->reads);
    assert_int_equal(world->wrong, 0);
    assert_true(world->reads > 50);
    host_check(&world->writer, world->oracle);
    host_close(&world->writer);
    (void)pthread_mutex_destroy(&world->mutex);
    free(world->oracle);
    free(world);
    txn_free_disk(disk);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_host_threads__read_right_rows_while_one_writes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
