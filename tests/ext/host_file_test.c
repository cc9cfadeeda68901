/* SPDX-License-Identifier: MIT */
/*
 * The host's database file: which databases can be hosts, and that the barrier makes what was
 * committed survive every power cut.
 */
#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SQLITE_CORE 1
#include "engine/htt_env.h"
#include "ext/arguments.h"
#include "ext/host_file.h"
#include "support/test_env_crash.h"
#include "support/test_vfs.h"

static void host_expect(sqlite3 *db, const char *schema, htt_host_kind expected) {
    htt_host_file file = {.db = db, .schema = schema};
    htt_host_kind kind = HTT_HOST_NONE;
    char *message = NULL;
    const int rc = htt_host_file_kind(&file, "/tmp/kv.htt", &kind, &message);
    if (rc != SQLITE_OK) {
        print_error("error %d: %s\n", rc, message);
    }
    assert_int_equal(rc, SQLITE_OK);
    assert_int_equal(kind, expected);
    assert_null(message);
    htt_host_file_clear(&file);
}

static void host_expect_refused(sqlite3 *db, const char *part) {
    htt_host_file file = {.db = db, .schema = "main"};
    htt_host_kind kind = HTT_HOST_NONE;
    char *message = NULL;
    assert_int_equal(htt_host_file_kind(&file, "/tmp/kv.htt", &kind, &message), SQLITE_ERROR);
    if (message == NULL || strstr(message, part) == NULL) {
        print_error("expected: %s\n     got: %s\n", part, message);
        fail();
    }
    sqlite3_free(message);
    htt_host_file_clear(&file);
}

static void test_host_file__kinds_are_those_of_the_journal_mode(void **state) {
    static const struct {
        const char *sql;    /* sets the mode */
        htt_host_kind kind; /* then */
    } cases[] = {
        {"PRAGMA journal_mode = delete", HTT_HOST_ROLLBACK},
        {"PRAGMA journal_mode = truncate", HTT_HOST_ROLLBACK},
        {"PRAGMA journal_mode = persist", HTT_HOST_ROLLBACK},
        {"PRAGMA journal_mode = wal", HTT_HOST_WAL},
    };
    sqlite3 *db = fixture_db(state);
    run(db, "CREATE TABLE t(x)");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        run(db, cases[i].sql);
        host_expect(db, "main", cases[i].kind);
        run(db, "BEGIN IMMEDIATE; INSERT INTO t VALUES (1)");
        host_expect(db, "main", cases[i].kind);
        run(db, "ROLLBACK");
    }
    db = fixture_reopen(state); /* the mode stands in the file; nothing was read yet */
    run(db, "BEGIN; SELECT * FROM t");
    host_expect(db, "main", HTT_HOST_WAL);
    run(db, "COMMIT");
}

static void test_host_file__a_change_of_the_mode_is_seen(void **state) {
    sqlite3 *const db = fixture_db(state);
    htt_host_file file = {.db = db, .schema = "main"};
    htt_host_kind kind;
    char *message = NULL;
    run(db, "CREATE TABLE t(x)");
    assert_int_equal(htt_host_file_kind(&file, "kv.htt", &kind, &message), SQLITE_OK);
    assert_int_equal(kind, HTT_HOST_ROLLBACK);
    sqlite3 *const other = fixture_open(state, NULL);
    run(other, "PRAGMA journal_mode = wal");
    run(db, "BEGIN; SELECT * FROM t");
    assert_int_equal(htt_host_file_kind(&file, "kv.htt", &kind, &message), SQLITE_OK);
    assert_int_equal(kind, HTT_HOST_WAL);
    run(db, "COMMIT");
    assert_int_equal(sqlite3_close(other), SQLITE_OK);
    htt_host_file_clear(&file);
    htt_host_file_clear(&file);
}

/* What is remembered of a WAL is forgotten with it. */
static void test_host_file__leaving_wal_is_seen(void **state) {
    sqlite3 *const db = fixture_db(state);
    htt_host_file file = {.db = db, .schema = "main"};
    htt_host_kind kind;
    char *message = NULL;
    run(db, "CREATE TABLE t(x)");
    for (int round = 0; round < 3; round++) {
        run(db, "PRAGMA journal_mode = wal");
        for (int i = 0; i < 2; i++) {
            run(db, "BEGIN; SELECT * FROM t");
            assert_int_equal(htt_host_file_kind(&file, "kv.htt", &kind, &message), SQLITE_OK);
            assert_int_equal(kind, HTT_HOST_WAL);
            run(db, "COMMIT");
            assert_int_equal(htt_host_file_kind(&file, "kv.htt", &kind, &message), SQLITE_OK);
            assert_int_equal(kind, HTT_HOST_WAL);
        }
        run(db, round == 1 ? "PRAGMA journal_mode = off" : "PRAGMA journal_mode = delete");
        run(db, "BEGIN IMMEDIATE; INSERT INTO t VALUES (1)");
        assert_int_equal(htt_host_file_kind(&file, "kv.htt", &kind, &message),
                         round == 1 ? SQLITE_ERROR : SQLITE_OK);
        assert_int_equal(kind, round == 1 ? HTT_HOST_WAL : HTT_HOST_ROLLBACK); /* untouched */
        run(db, "COMMIT");
        sqlite3_free(message);
        message = NULL;
    }
    htt_host_file_clear(&file);
}

static void test_host_file__a_database_without_a_file_is_no_host(void **state) {
    sqlite3 *const db = fixture_db(state);
    run(db, "CREATE TEMP TABLE t(x); ATTACH ':memory:' AS mem; ATTACH '' AS nameless");
    host_expect(db, "temp", HTT_HOST_NONE);
    host_expect(db, "mem", HTT_HOST_NONE);
    host_expect(db, "nameless", HTT_HOST_NONE);
    assert_null(htt_host_file_path(db, "mem"));
    assert_null(htt_host_file_path(db, "nowhere"));
    assert_string_equal(htt_host_file_path(db, "main"), fixture_path(state, "test.db"));
    sqlite3 *shared;
    assert_int_equal(sqlite3_open_v2("file:/kept.db?vfs=memdb", &shared,
                                     SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_URI,
                                     NULL),
                     SQLITE_OK);
    run(shared, "CREATE TABLE t(x)");
    host_expect(shared, "main", HTT_HOST_NONE);
    assert_int_equal(sqlite3_close(shared), SQLITE_OK);
}

static void test_host_file__journal_modes_that_protect_nothing_are_refused(void **state) {
    sqlite3 *const db = fixture_db(state);
    run(db, "CREATE TABLE t(x); PRAGMA journal_mode = off");
    host_expect_refused(db, "test.db has journal_mode=off");
    run(db, "PRAGMA journal_mode = memory");
    host_expect_refused(db, "test.db has journal_mode=memory");
    run(db, "PRAGMA journal_mode = delete");
    host_expect(db, "main", HTT_HOST_ROLLBACK);
}

static void test_host_file__databases_without_locks_are_refused(void **state) {
    static const char *const words[] = {"nolock=1", "immutable=1", "vfs=unix-none"};
    run(fixture_db(state), "CREATE TABLE t(x)");
    for (size_t i = 0; i < 3; i++) {
        sqlite3 *db;
        char name[700];
        snprintf(name, sizeof name, "file:%s?%s", fixture_path(state, "test.db"), words[i]);
        assert_int_equal(sqlite3_open_v2(name, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_URI, NULL),
                         SQLITE_OK);
        run(db, "SELECT * FROM t");
        host_expect_refused(db, i == 2 ? "unix-none" : words[i]);
        assert_int_equal(sqlite3_close(db), SQLITE_OK);
    }
}

static void test_host_file__network_file_systems_are_known(void **state) {
    (void)state;
    assert_true(htt_host_file_is_network(0x6969));      /* NFS */
    assert_true(htt_host_file_is_network(0xff534d42));  /* CIFS */
    assert_true(htt_host_file_is_network(0xfe534d42));  /* SMB2 */
    assert_false(htt_host_file_is_network(0xef53));     /* ext4 */
    assert_false(htt_host_file_is_network(0x9123683e)); /* btrfs */
    assert_false(htt_host_file_is_network(0x01021994)); /* tmpfs */
    assert_false(htt_host_file_is_network(0x794c7630)); /* overlay */
    assert_false(htt_host_file_is_network(0x65735546)); /* FUSE */
    assert_false(htt_host_file_is_network(0x01021997)); /* 9P */
    assert_false(htt_host_file_is_network(0));
}

static void test_host_file__asking_ends_no_read_transaction(void **state) {
    sqlite3 *const db = fixture_db(state);
    htt_host_file file = {.db = db, .schema = "main"};
    htt_host_kind kind;
    uint32_t before;
    uint32_t after;
    char *message = NULL;
    sqlite3_stmt *rows;
    run(db, "PRAGMA journal_mode = wal; CREATE TABLE t(x); INSERT INTO t VALUES (1), (2), (3)");
    sqlite3 *const other = fixture_open(state, NULL);
    assert_int_equal(sqlite3_prepare_v2(db,
                                        "SELECT (SELECT count(*) FROM t AS u WHERE u.x <> t.x) "
                                        "FROM t",
                                        -1, &rows, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_step(rows), SQLITE_ROW);
    assert_int_equal(htt_host_file_version(&file, &before), SQLITE_OK);
    for (int i = 0; i < 2; i++) {
        run(other, "INSERT INTO t VALUES (9)");
        assert_int_equal(htt_host_file_kind(&file, "kv.htt", &kind, &message), SQLITE_OK);
        assert_int_equal(kind, HTT_HOST_WAL);
        assert_int_equal(htt_host_file_version(&file, &after), SQLITE_OK);
        assert_int_equal(after, before);
        assert_int_equal(sqlite3_step(rows), SQLITE_ROW);
        assert_int_equal(sqlite3_column_int(rows, 0), 2); /* not those of the other */
    }
    assert_int_equal(sqlite3_finalize(rows), SQLITE_OK);
    run(db, "SELECT * FROM t");
    assert_int_equal(htt_host_file_version(&file, &after), SQLITE_OK);
    assert_int_not_equal(after, before);
    before = after;
    run(db, "INSERT INTO t VALUES (4)"); /* our own commit counts too */
    assert_int_equal(htt_host_file_version(&file, &after), SQLITE_OK);
    assert_int_not_equal(after, before);
    htt_host_file_clear(&file);
    assert_int_equal(sqlite3_close(other), SQLITE_OK);
}

/* ---------------------------------------------------------------- barrier */

#define HOST_DATABASE "/host.db"
#define HOST_CUTS 200u

typedef struct host_world {
    crash_fs *disk;       /* one */
    vfs_machine *machine; /* its */
    vfs_process *process; /* one */
    sqlite3 *db;          /* a connection of it */
} host_world;

static void world_open(host_world *world, crash_fs *disk) {
    world->disk = disk;
    world->machine = vfs_machine_new();
    world->process = vfs_process_new(world->machine, crash_fs_env(disk));
    assert_int_equal(vfs_process_open(world->process, HOST_DATABASE, &world->db), SQLITE_OK);
    htt_arguments_env = crash_fs_env(disk);
}

static void world_close(host_world *world) {
    htt_arguments_env = NULL;
    assert_int_equal(sqlite3_close(world->db), SQLITE_OK);
    vfs_process_free(world->process);
    vfs_machine_free(world->machine);
    crash_fs_free(world->disk);
}

static void world_setup(host_world *world, const char *mode) {
    char sql[200];
    world_open(world, crash_fs_new(7));
    snprintf(sql, sizeof sql,
             "PRAGMA page_size = 512; PRAGMA journal_mode = %s; "
             "PRAGMA synchronous = off; CREATE TABLE t(x)",
             mode);
    run(world->db, sql);
}

/* How many of the power cuts at this moment lose a commit that was made before. */
static size_t world_count_losses(crash_fs *disk, const char *rows) {
    const size_t position = crash_fs_position(disk);
    const size_t count = crash_fs_cut_count(disk, position, HOST_CUTS);
    size_t losses = 0;
    for (size_t i = 0; i < count; i++) {
        host_world after;
        world_open(&after, crash_fs_cut(disk, position, i, HOST_CUTS));
        char *const got = fixture_query(after.db, "SELECT group_concat(x) FROM t");
        losses += strcmp(got, rows) == 0 ? 0 : 1;
        sqlite3_free(got);
        world_close(&after);
    }
    htt_arguments_env = crash_fs_env(disk);
    return losses;
}

static void test_host_file__what_was_committed_before_the_barrier_survives(void **state) {
    static const char *const modes[] = {"delete", "truncate", "persist", "wal"};
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        host_world world;
        world_setup(&world, modes[i]);
        htt_host_file file = {.db = world.db, .schema = "main"};
        run(world.db, "INSERT INTO t VALUES (1); INSERT INTO t VALUES (2)");
        if (world_count_losses(world.disk, "1,2") == 0) {
            print_error("%s: this test can find nothing\n", modes[i]);
            fail();
        }
        assert_int_equal(htt_host_file_barrier(&file), 0);
        assert_int_equal(world_count_losses(world.disk, "1,2"), 0);
        for (int round = 0; round < 4; round++) { /* as in a fold: in a write transaction */
            run(world.db, "INSERT INTO t VALUES (3); BEGIN IMMEDIATE");
            run(world.db, round % 2 == 0 ? "INSERT INTO t VALUES (4)" : ""); /* opens the journal */
            assert_int_equal(htt_host_file_barrier(&file), 0);
            const size_t losses = world_count_losses(world.disk, "1,2,3");
            if (losses != 0) {
                print_error("%s: %zu cuts lose what the barrier was for\n", modes[i], losses);
                fail();
            }
            run(world.db, "ROLLBACK; DELETE FROM t WHERE x = 3");
        }
        htt_host_file_clear(&file);
        world_close(&world);
    }
}

/* Directory syncs since `from`. */
static size_t world_count_directory_syncs(crash_fs *disk, size_t from) {
    size_t count = 0;
    for (size_t i = from; i < crash_fs_position(disk); i++) {
        char text[200];
        crash_fs_describe(disk, i, text, sizeof text);
        count +=
            strncmp(text, "sync directory", 14) == 0 || strncmp(text, "sync_directory", 14) == 0;
    }
    return count;
}

static void test_host_file__the_directory_is_synced_once_for_a_wal(void **state) {
    static const char *const modes[] = {"wal", "delete"};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        host_world world;
        world_setup(&world, modes[i]);
        htt_host_file file = {.db = world.db, .schema = "main"};
        for (size_t round = 0; round < 3; round++) {
            run(world.db, "INSERT INTO t VALUES (1)");
            const size_t from = crash_fs_position(world.disk);
            assert_int_equal(htt_host_file_barrier(&file), 0);
            const size_t syncs = world_count_directory_syncs(world.disk, from);
            const bool wanted = round == 0 || i == 1;
            assert_true(wanted ? syncs >= 1 : syncs == 0);
        }
        htt_host_file_clear(&file);
        world_close(&world);
    }
}

static int host_fail_directory(void *context, const char *path) {
    (void)context;
    (void)path;
    return 28; /* anything */
}

static void test_host_file__a_barrier_that_fails_says_so(void **state) {
    sqlite3 *const db = fixture_db(state);
    htt_host_file file = {.db = db, .schema = "main"};
    htt_env env = *htt_env_system();
    run(db, "PRAGMA journal_mode = wal; CREATE TABLE t(x)");
    env.sync_directory = host_fail_directory;
    htt_arguments_env = &env;
    assert_int_equal(htt_host_file_barrier(&file), 28);
    assert_int_equal(htt_host_file_barrier(&file), 28); /* not taken for done */
    htt_arguments_env = NULL;
    assert_int_equal(htt_host_file_barrier(&file), 0);
    htt_host_file_clear(&file);
    htt_host_file nowhere = {.db = db, .schema = "nowhere"};
    assert_int_equal(htt_host_file_barrier(&nowhere), 0); /* no file: nothing to be made durable */
    htt_host_file_clear(&nowhere);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        fixture_test(test_host_file__kinds_are_those_of_the_journal_mode),
        fixture_test(test_host_file__a_change_of_the_mode_is_seen),
        fixture_test(test_host_file__leaving_wal_is_seen),
        fixture_test(test_host_file__a_database_without_a_file_is_no_host),
        fixture_test(test_host_file__journal_modes_that_protect_nothing_are_refused),
        fixture_test(test_host_file__databases_without_locks_are_refused),
        fixture_test(test_host_file__network_file_systems_are_known),
        fixture_test(test_host_file__asking_ends_no_read_transaction),
        cmocka_unit_test(test_host_file__what_was_committed_before_the_barrier_survives),
        cmocka_unit_test(test_host_file__the_directory_is_synced_once_for_a_wal),
        fixture_test(test_host_file__a_barrier_that_fails_says_so),
    };
    return cmocka_run_group_tests_name("host_file", tests, NULL, NULL);
}
