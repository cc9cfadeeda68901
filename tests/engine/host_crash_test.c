/* SPDX-License-Identifier: MIT */
/*
 * ctest: timeout=240
 *
 * Two processes work at random on one hosted file: transactions with savepoints and several roots,
 * rollbacks, commits whose outcome is open, readers that come late, rest and wake, checkpoints,
 * vacuum, handles closed and opened, processes killed in the middle of any call. Then, at many
 * moments of that history, the power fails or all processes die: the host is recovered, its root
 * must read right, and the host must be able to go on.
 *
 * The same with two copies of the host that both believe that the file is theirs: then everything
 * may be refused, but what can be read is right.
 *
 * With HTT_TEST_LONG=1 more runs and more crashes.
 */
#include "host_support.h"

#define CRASH_SEED 20261u
#define CRASH_STEPS 140
#define CRASH_READERS 4

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define CRASH_DISKS 60u /* after crashes, of one run */
#else
#define CRASH_DISKS 130u
#endif

typedef struct crash_reader {
    host_process *process; /* NULL = none */
    host_row row;          /* its host snapshot */
    htt_txn *txn;          /* NULL = not begun */
    bool resting;          /* it is not read */
} crash_reader;

typedef struct crash_world {
    crash_fs *disk;         /* below */
    host_oracle *oracle;    /* states */
    host_mode mode;         /* of the host */
    host_db dbs[2];         /* the host; and its copy */
    bool fork;              /* the second process uses the copy */
    host_process processes[2]; /* at work */
    bool dead[2];           /* it was killed */
    crash_reader readers[CRASH_READERS]; /* of any process */
    uint64_t random;        /* state */
    uint16_t number;        /* last one put */
    bool saved;             /* a savepoint is open */
    uint32_t savepoint;     /* its id */
    host_row saved_row;     /* as it was there */
    uint16_t saved_work[HOST_ROWS]; /* the same */
    host_row given[16];             /* rows with roots of the transaction */
    uint32_t given_count;           /* of them */
    uint32_t commits, open_ends, refused, snapshots; /* statistics */
} crash_world;

static uint32_t crash_random(crash_world *world, uint32_t bound) {
    world->random = world->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(world->random >> 33) % bound;
}

static host_db *crash_db(crash_world *world, size_t at) {
    return &world->dbs[world->fork ? at : 0];
}

static void crash_note_death(void *arg) {
    *(bool *)arg = true;
}

static void crash_drop_readers(crash_world *world, const host_process *process) {
    for (size_t i = 0; i < CRASH_READERS; i++) {
        if (world->readers[i].process == process)
            world->readers[i] = (crash_reader){.process = NULL};
    }
}

static void crash_reopen(crash_world *world, size_t at) {
    host_process *process = &world->processes[at];
    const htt_env *env = world->dead[at] ? crash_fs_new_process(world->disk) : process->env;
    crash_drop_readers(world, process);
    host_close(process);
    world->dead[at] = false;
    host_open_at(process, env, crash_db(world, at), TXN_PATH,
                 crash_random(world, 3) == 0 ? HTT_OPEN_NO_MMAP : 0);
    process->owner = world->processes[0].owner;
    htt_testing_set_early_sync(process->store, crash_random(world, 4) == 0);
}

static void crash_kill(crash_world *world, size_t at) {
    if (!world->dead[at])
        crash_fs_kill_process(world->disk, world->processes[at].env);
    world->dead[at] = true;
    crash_drop_readers(world, &world->processes[at]);
    host_close(&world->processes[at]);
}

/* Nobody is left: whoever comes first recovers the host. */
static void crash_kill_all(crash_world *world) {
    crash_kill(world, 0);
    crash_kill(world, 1);
    const htt_env *env = crash_fs_new_process(world->disk);
    if (crash_random(world, 4) == 0)
        (void)env->unlink(env->context, TXN_LOCK);
    for (size_t i = 0; i < 1 + (size_t)world->fork; i++) {
        char path[64];
        snprintf(path, sizeof path, "%s", world->dbs[i].path);
        host_db_recover(&world->dbs[i], env, path, world->mode);
    }
    crash_reopen(world, 0);
    crash_reopen(world, 1);
}

/* ------------------------------------------------------------------ readers */

static void crash_end_reader(crash_reader *reader) {
    htt_abort(reader->txn);
    *reader = (crash_reader){.process = NULL};
}

/* Gone is right for who comes late, or rested. A copy may be refused for good. */
static void crash_expect_gone(crash_world *world, crash_reader *reader, htt_rc rc,
                              const char *text) {
    if (rc == HTT_SNAPSHOT)
        world->snapshots++;
    else if (rc == HTT_MISMATCH && world->fork)
        world->refused++;
    else
        fail_msg("a reader: %d, %s", (int)rc, text);
    crash_end_reader(reader);
}

static void crash_step_reader(crash_world *world) {
    crash_reader *reader = &world->readers[crash_random(world, CRASH_READERS)];
    const size_t at = crash_random(world, 2);
    htt_host_root root;
    htt_rc rc = HTT_OK;
    if (reader->process == NULL) { /* the host's snapshot, not pinned */
        if (world->dead[at])
            return;
        host_db_rollback(crash_db(world, at), world->processes[at].env);
        *reader = (crash_reader){.process = &world->processes[at], .row = crash_db(world, at)->row};
        return;
    }
    if (reader->txn == NULL) {
        assert_int_equal(htt_host_root_read(reader->row.record, HTT_HOST_RECORD_SIZE, &root, NULL),
                         HTT_OK);
        rc = htt_host_begin_read(reader->process->store, &root, &reader->txn);
        if (rc != HTT_OK) {
            reader->txn = NULL;
            crash_expect_gone(world, reader, rc, htt_errmsg(reader->process->store));
            return;
        }
    } else if (reader->resting) {
        rc = htt_host_wake(reader->txn);
        if (rc != HTT_OK) {
            crash_expect_gone(world, reader, rc, htt_txn_errmsg(reader->txn));
            return;
        }
        reader->resting = false;
    }
    host_expect_rows(reader->txn, world->oracle->rows[reader->row.state]);
    if (crash_random(world, 3) == 0) {
        crash_end_reader(reader);
    } else if (crash_random(world, 2) == 0) {
        htt_host_rest(reader->txn);
        reader->resting = true;
    }
}

/* -------------------------------------------------------------- transactions */

/* Whoever died on the way is let go. False: it did. */
static bool crash_alive(crash_world *world, size_t at) {
    if (world->dead[at]) {
        crash_kill(world, at);
        crash_reopen(world, at);
        return false;
    }
    return true;
}

static void crash_fail(crash_world *world, size_t at, const char *what, htt_rc rc,
                       const char *text) {
    if (!world->dead[at] && !world->fork)
        fail_msg("%s: %d, %s", what, (int)rc, text);
    world->refused++;
}

static bool crash_begin(crash_world *world, size_t at) {
    host_process *process = &world->processes[at];
    world->saved = false;
    world->given_count = 0;
    process->low_first = crash_random(world, 6) == 0;
    htt_rc rc = host_begin(process, world->oracle);
    if (rc == HTT_BUSY && !world->dead[at]) {
        const uint64_t attempt = host_acknowledge(process);
        if (attempt == 0 && !world->dead[at] && !world->fork)
            fail_msg("busy: %s", htt_errmsg(process->store));
        if (!world->dead[at])
            rc = host_begin(process, world->oracle);
    }
    if (rc != HTT_OK)
        crash_fail(world, at, "begin", rc, htt_errmsg(process->store));
    return rc == HTT_OK;
}

static htt_rc crash_change(crash_world *world, host_process *process) {
    const uint32_t first = crash_random(world, HOST_ROWS);
    const uint32_t count = 1 + crash_random(world, crash_random(world, 4) == 0 ? HOST_ROWS : 4);
    uint64_t moved;
    htt_rc rc = HTT_OK;
    world->number = (uint16_t)(world->number % 50000 + 1);
    if (process->low_first && crash_random(world, 2) == 0)
        return htt_host_vacuum_step(process->txn, &moved);
    for (uint32_t i = 0; rc == HTT_OK && i < count; i++)
        rc = host_put(process, (first + i) % HOST_ROWS,
                      crash_random(world, 5) == 0 ? 0 : world->number);
    return rc;
}

static htt_rc crash_publish(crash_world *world, host_process *process) {
    const htt_rc rc = host_publish(process, world->oracle);
    if (rc == HTT_OK && world->given_count < 16)
        world->given[world->given_count++] = process->row;
    return rc;
}

static htt_rc crash_savepoint(crash_world *world, host_process *process) {
    if (!world->saved) {
        world->saved_row = process->row;
        memcpy(world->saved_work, process->work, sizeof world->saved_work);
        const htt_rc rc = htt_savepoint(process->txn, &world->savepoint);
        world->saved = rc == HTT_OK;
        return rc;
    }
    if (crash_random(world, 3) == 0) {
        world->saved = false;
        return htt_release(process->txn, world->savepoint);
    }
    process->row = world->saved_row; /* as the host's own savepoint does */
    memcpy(process->work, world->saved_work, sizeof world->saved_work);
    return htt_rollback_to(process->txn, world->savepoint);
}

/* The end of a transaction that was published: committed, rolled back, or nobody knows. */
static void crash_end(crash_world *world, size_t at) {
    host_process *process = &world->processes[at];
    const uint32_t way = crash_random(world, 10);
    if (crash_random(world, 3) == 0) /* the host rolled its row back, and commits */
        process->row = world->given[crash_random(world, world->given_count)];
    if (way < 7) {
        if (host_commit(process, HOST_COMPLETE) != 0)
            crash_fail(world, at, "commit", HTT_IO, "the host");
        else
            world->commits++;
    } else if (way == 7) {
        (void)host_commit(process, HOST_STOP);
        world->open_ends++;
        if (crash_random(world, 2) == 0)
            crash_kill(world, at);
        else
            host_rollback(process);
    } else {
        host_rollback(process);
    }
    if (!world->dead[at])
        host_db_rollback(crash_db(world, at), process->env);
}

static void crash_transaction(crash_world *world, size_t at) {
    host_process *process = &world->processes[at];
    htt_rc rc = HTT_OK;
    bool published = false;
    if (!crash_begin(world, at)) {
        (void)crash_alive(world, at);
        return;
    }
    for (uint32_t left = 1 + crash_random(world, 8); rc == HTT_OK && left > 0; left--) {
        const uint32_t what = crash_random(world, 8);
        if (what < 4)
            rc = crash_change(world, process);
        else if (what == 4)
            rc = crash_savepoint(world, process);
        else if (what == 5)
            rc = crash_publish(world, process);
        else
            crash_step_reader(world);
        if (world->readers[0].process == process && world->dead[at])
            break;
    }
    if (rc == HTT_OK && crash_random(world, 8) != 0) {
        rc = crash_publish(world, process);
        published = rc == HTT_OK;
    }
    if (rc != HTT_OK)
        crash_fail(world, at, "change", rc, htt_txn_errmsg(process->txn));
    if (published)
        crash_end(world, at);
    if (process->txn != NULL)
        host_rollback(process);
    (void)crash_alive(world, at);
}

static void crash_rest(crash_world *world, size_t at) {
    host_process *process = &world->processes[at];
    host_db *db = crash_db(world, at);
    htt_host_root root;
    uint64_t bytes;
    host_db_rollback(db, process->env);
    if (world->dead[at] || host_db_barrier(db, process->env) != 0) {
        (void)crash_alive(world, at);
        return;
    }
    assert_int_equal(htt_host_root_read(db->row.record, HTT_HOST_RECORD_SIZE, &root, NULL),
                     HTT_OK);
    htt_rc rc = htt_host_checkpoint(process->store, &root, false, NULL);
    if (rc != HTT_OK)
        crash_fail(world, at, "checkpoint", rc, htt_errmsg(process->store));
    if (rc == HTT_OK && crash_random(world, 2) == 0)
        rc = htt_host_cut(process->store, &root, &bytes);
    if (rc != HTT_OK && rc != HTT_BUSY)
        crash_fail(world, at, "cut", rc, htt_errmsg(process->store));
    (void)crash_alive(world, at);
}

static void crash_step(crash_world *world) {
    const size_t at = crash_random(world, 2);
    const htt_env *env = world->processes[at].env;
    const uint32_t what = crash_random(world, 40);
    if (crash_random(world, 10) == 0)
        crash_fs_kill_later(world->disk, env, crash_random(world, 30), crash_note_death,
                            &world->dead[at]);
    if (what < 18) {
        crash_transaction(world, at);
    } else if (what < 32) {
        crash_step_reader(world);
    } else if (what < 36) {
        crash_rest(world, at);
    } else if (what == 36) {
        crash_reopen(world, at);
    } else if (what == 37) {
        crash_kill_all(world);
    } else if (what == 38) {
        env->sleep_us(env->context, 70000000);
    } else {
        for (size_t i = 0; i < 2 && !world->fork; i++) {
            if (!world->dead[i])
                host_check(&world->processes[i], world->oracle);
        }
    }
}

/* ------------------------------------------------------------------- crashes */

static void crash_look(crash_world *world, crash_fs *after, size_t at) {
    if (getenv("HTT_TEST_VERBOSE") != NULL)
        print_message("position %zu, %s\n", at, crash_fs_origin(after));
    if (!world->fork) {
        host_examine(after, world->mode, world->oracle);
    } else {
        for (size_t i = 0; i < 2; i++) {
            host_process process;
            host_db db;
            host_db_recover(&db, crash_fs_env(after), world->dbs[i].path, world->mode);
            host_open(&process, crash_fs_env(after), &db);
            const htt_rc rc = host_read(process.store, &db.row, world->oracle, true);
            assert_true(rc == HTT_OK || rc == HTT_SNAPSHOT || rc == HTT_MISMATCH);
            host_close(&process);
        }
    }
    txn_free_disk(after);
}

static void crash_begin_world(crash_world *world, host_mode mode, bool fork, uint64_t seed) {
    memset(world, 0, sizeof *world);
    world->random = seed;
    world->mode = mode;
    world->disk = crash_fs_new(seed);
    world->oracle = calloc(1, sizeof *world->oracle);
    assert_non_null(world->oracle);
    host_create(&world->processes[0], crash_fs_env(world->disk), &world->dbs[0], mode,
                world->oracle);
    world->fork = fork;
    if (fork) {
        static const char *const suffixes[] = {"", "-wal"};
        for (uint16_t i = 0; i < 3; i++)
            host_fold(&world->processes[0], world->oracle, 0, 30, (uint16_t)(i + 1));
        for (size_t i = 0; i < 2; i++) {
            char from[80], to[80];
            size_t size;
            snprintf(from, sizeof from, "%s%s", HOST_PATH, suffixes[i]);
            snprintf(to, sizeof to, "copy.db%s", suffixes[i]);
            uint8_t *bytes = crash_fs_get_file(world->disk, from, &size);
            if (bytes != NULL)
                crash_fs_put_file(world->disk, to, bytes, size);
            free(bytes);
        }
        world->dbs[1] = world->dbs[0];
        snprintf(world->dbs[1].path, sizeof world->dbs[1].path, "copy.db");
    }
    host_open(&world->processes[1], crash_fs_new_process(world->disk), crash_db(world, 1));
    world->processes[1].owner = world->processes[0].owner;
}

static void crash_run(host_mode mode, bool fork, uint64_t seed, uint32_t steps) {
    const bool all = getenv("HTT_TEST_LONG") != NULL;
    crash_world world;
    uint32_t disks = 0;
    crash_begin_world(&world, mode, fork, seed);
    const size_t first = crash_fs_position(world.disk);
    for (uint32_t i = 0; i < steps; i++)
        crash_step(&world);
    for (size_t i = 0; i < CRASH_READERS; i++) {
        if (world.readers[i].txn != NULL)
            crash_end_reader(&world.readers[i]);
    }
    host_close(&world.processes[0]);
    host_close(&world.processes[1]);
    const size_t end = crash_fs_position(world.disk);
    const uint32_t share = all ? 2 : (uint32_t)(end - first) / CRASH_DISKS + 1;
    for (size_t at = first; at <= end; at++) {
        const size_t cuts = crash_fs_cut_count(world.disk, at, 64);
        if (crash_random(&world, 2 * share) == 0) {
            crash_look(&world, crash_fs_killed(world.disk, at), at);
            disks++;
        }
        for (size_t i = 0; i < (all ? 8 : 2); i++) {
            if (crash_random(&world, 2 * share) != 0)
                continue;
            const size_t cut = crash_random(&world, (uint32_t)cuts);
            crash_look(&world, crash_fs_cut(world.disk, at, cut, 64), at);
            disks++;
        }
    }
    print_message("  seed %u: %u commits, %u open ends, %u snapshots gone, %u calls refused; %u "
                  "operations, %u disks\n", (unsigned)seed, world.commits, world.open_ends,
                  world.snapshots, world.refused, (unsigned)(end - first), disks);
    free(world.oracle);
    crash_fs_free(world.disk);
}

static void crash_runs(host_mode mode, bool fork, uint32_t steps) {
    const uint64_t runs = getenv("HTT_TEST_LONG") != NULL ? 200 : fork ? 12 : 5;
    const char *given = getenv("HTT_TEST_SEED");
    if (given != NULL) {
        crash_run(mode, fork, strtoull(given, NULL, 10), steps);
        return;
    }
    for (uint64_t i = 0; i < runs; i++) {
        print_message("seed %u\n", (unsigned)(CRASH_SEED + i)); /* before: a failure jumps out */
        crash_run(mode, fork, CRASH_SEED + i, steps);
    }
}

static void test_host_crash__in_wal_mode_every_root_is_whole(void **state) {
    (void)state;
    crash_runs(HOST_WAL, false, CRASH_STEPS);
}

static void test_host_crash__in_wal_mode_with_synced_commits_too(void **state) {
    (void)state;
    crash_runs(HOST_WAL_FULL, false, CRASH_STEPS);
}

static void test_host_crash__with_a_rollback_journal_too(void **state) {
    (void)state;
    crash_runs(HOST_JOURNAL, false, CRASH_STEPS);
}

static void test_host_crash__copies_of_a_host_are_refused_and_never_read_wrong_rows(void **state) {
    (void)state;
    for (host_mode mode = HOST_WAL; mode < HOST_MODES; mode++)
        crash_runs(mode, true, CRASH_STEPS / 4);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_host_crash__in_wal_mode_every_root_is_whole),
        cmocka_unit_test(test_host_crash__in_wal_mode_with_synced_commits_too),
        cmocka_unit_test(test_host_crash__with_a_rollback_journal_too),
        cmocka_unit_test(
            test_host_crash__copies_of_a_host_are_refused_and_never_read_wrong_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
