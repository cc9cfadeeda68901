/* SPDX-License-Identifier: MIT */
/*
 * The SQLite VFS of the crash tests: plain SQLite on a simulated disk locks, recovers and loses
 * what it loses on a real one. The known facts about what a commit does not promise are seen here
 * too, else a test over this VFS could not find what follows from them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fixture.h"
#include "support/test_env_crash.h"
#include "support/test_vfs.h"

#define VFS_SEED 4711u
#define VFS_DATABASE "/host.db"
#define VFS_CUTS 256u /* power cuts at a position, at most */
#define VFS_COMMITS 6

static int vfs_text(void *text, int count, char **values, char **names) {
    (void)count;
    (void)names;
    (void)snprintf(text, 64, "%s", values[0] == NULL ? "NULL" : values[0]);
    return 0;
}

/* The first column of the last row, "" without rows; "error N". Valid until the next call. */
static const char *vfs_value(sqlite3 *db, const char *sql) {
    static char text[64];
    text[0] = '\0';
    const int rc = sqlite3_exec(db, sql, vfs_text, text, NULL);
    if (rc != SQLITE_OK) {
        (void)snprintf(text, sizeof text, "error %d", rc);
    }
    return text;
}

static void vfs_setup(sqlite3 *db, const char *journal, const char *sync) {
    char sql[200];
    (void)snprintf(sql, sizeof sql,
                   "PRAGMA page_size=512; PRAGMA journal_mode=%s; PRAGMA synchronous=%s;", journal,
                   sync);
    run(db, sql);
}

/* ----------------------------------------------------------------- locking */

typedef struct vfs_pair {
    crash_fs *disk;            /* one */
    vfs_machine *machine;      /* its */
    const htt_env *envs[2];    /* of the processes */
    vfs_process *processes[2]; /* two */
    sqlite3 *dbs[2];           /* a connection of each */
} vfs_pair;

static void pair_open(vfs_pair *pair, const char *journal) {
    pair->disk = crash_fs_new(VFS_SEED);
    pair->machine = vfs_machine_new();
    for (int i = 0; i < 2; i++) {
        pair->envs[i] = i == 0 ? crash_fs_env(pair->disk) : crash_fs_new_process(pair->disk);
        pair->processes[i] = vfs_process_new(pair->machine, pair->envs[i]);
        assert_int_equal(vfs_process_open(pair->processes[i], VFS_DATABASE, &pair->dbs[i]),
                         SQLITE_OK);
        vfs_setup(pair->dbs[i], journal, "full");
    }
    run(pair->dbs[0], "CREATE TABLE t(n)");
}

static void pair_close(vfs_pair *pair) {
    for (int i = 0; i < 2; i++) {
        assert_int_equal(sqlite3_close(pair->dbs[i]), SQLITE_OK);
        vfs_process_free(pair->processes[i]);
    }
    assert_int_equal(vfs_machine_held(pair->machine), 0);
    assert_int_equal(crash_fs_held(pair->disk), 0);
    vfs_machine_free(pair->machine);
    crash_fs_free(pair->disk);
}

static void test_vfs__one_process_writes_and_the_other_reads(void **state) {
    static const char *const journals[] = {"wal", "delete", "truncate", "persist"};
    (void)state;
    for (size_t i = 0; i < sizeof journals / sizeof journals[0]; i++) {
        vfs_pair pair;
        pair_open(&pair, journals[i]);
        assert_string_equal(vfs_value(pair.dbs[1], "PRAGMA journal_mode"), journals[i]);
        run(pair.dbs[0], "INSERT INTO t VALUES (1)");
        expect(pair.dbs[1], "SELECT n FROM t", "1");
        run(pair.dbs[1], "INSERT INTO t VALUES (2)");
        expect(pair.dbs[0], "SELECT n FROM t", "1\n2");
        pair_close(&pair);
    }
}

static void test_vfs__a_second_writer_is_busy(void **state) {
    vfs_pair pair;
    (void)state;
    for (int wal = 0; wal < 2; wal++) {
        pair_open(&pair, wal ? "wal" : "delete");
        run(pair.dbs[0], "BEGIN IMMEDIATE; INSERT INTO t VALUES (1)");
        assert_string_equal(vfs_value(pair.dbs[1], "BEGIN IMMEDIATE"), "error 5");
        run(pair.dbs[0], "COMMIT");
        run(pair.dbs[1], "BEGIN IMMEDIATE; INSERT INTO t VALUES (2); COMMIT");
        expect(pair.dbs[0], "SELECT count(*) FROM t", "2");
        pair_close(&pair);
    }
}

/* In WAL mode a reader keeps its snapshot; with a journal it stops the commit. */
static void test_vfs__a_reader_keeps_its_snapshot(void **state) {
    vfs_pair pair;
    (void)state;
    pair_open(&pair, "wal");
    run(pair.dbs[1], "BEGIN");
    expect(pair.dbs[1], "SELECT count(*) FROM t", "0");
    run(pair.dbs[0], "INSERT INTO t VALUES (1)");
    expect(pair.dbs[1], "SELECT count(*) FROM t", "0");
    assert_string_equal(vfs_value(pair.dbs[1], "INSERT INTO t VALUES (2)"), "error 5");
    run(pair.dbs[1], "COMMIT");
    expect(pair.dbs[1], "SELECT count(*) FROM t", "1");
    pair_close(&pair);

    pair_open(&pair, "delete");
    run(pair.dbs[1], "BEGIN");
    expect(pair.dbs[1], "SELECT count(*) FROM t", "0");
    run(pair.dbs[0], "BEGIN; INSERT INTO t VALUES (1)");
    assert_string_equal(vfs_value(pair.dbs[0], "COMMIT"), "error 5");
    run(pair.dbs[1], "COMMIT");
    run(pair.dbs[0], "COMMIT");
    expect(pair.dbs[1], "SELECT count(*) FROM t", "1");
    pair_close(&pair);
}

static void test_vfs__a_killed_writer_leaves_no_lock(void **state) {
    vfs_pair pair;
    (void)state;
    for (int wal = 0; wal < 2; wal++) {
        pair_open(&pair, wal ? "wal" : "delete");
        run(pair.dbs[0], "INSERT INTO t VALUES (1)");
        run(pair.dbs[0], "BEGIN IMMEDIATE; INSERT INTO t VALUES (2)");
        crash_fs_kill_process(pair.disk, pair.envs[0]);
        vfs_process_kill(pair.processes[0]);
        run(pair.dbs[1], "INSERT INTO t VALUES (3)");
        assert_int_equal(sqlite3_exec(pair.dbs[0], "COMMIT", NULL, NULL, NULL) == SQLITE_OK, 0);
        expect(pair.dbs[1], "SELECT n FROM t", "1\n3");
        expect(pair.dbs[1], "PRAGMA integrity_check", "ok");
        pair_close(&pair);
    }
}

/*
 * A process dies at each operation of its commit. The other one goes on at once; afterwards there
 * is the whole transaction or nothing of it, and a commit of which only the WAL knows comes back
 * when the last process has left without another commit.
 */
static void test_vfs__a_process_dies_within_its_commit(void **state) {
    unsigned back = 0;
    (void)state;
    for (int wal = 0; wal < 2; wal++) {
        for (size_t after = 0; after < 40; after++) {
            vfs_pair pair;
            char value[64];
            pair_open(&pair, wal ? "wal" : "delete");
            run(pair.dbs[0], "INSERT INTO t VALUES (1)");
            expect(pair.dbs[1], "SELECT count(*) FROM t", "1");
            crash_fs_kill_later(pair.disk, pair.envs[0], after, vfs_process_died,
                                pair.processes[0]);
            const char *const sql = "INSERT INTO t VALUES (2), (zeroblob(1500))";
            const bool died = sqlite3_exec(pair.dbs[0], sql, NULL, NULL, NULL) != SQLITE_OK;
            (void)snprintf(value, sizeof value, "%s",
                           vfs_value(pair.dbs[1], "SELECT count(*) FROM t"));
            assert_true(strcmp(value, "3") == 0 || (died && strcmp(value, "1") == 0));
            expect(pair.dbs[1], "PRAGMA integrity_check", "ok");
            crash_fs *later = crash_fs_killed(pair.disk, crash_fs_position(pair.disk));
            vfs_machine *machine = vfs_machine_new();
            vfs_process *process = vfs_process_new(machine, crash_fs_env(later));
            sqlite3 *db = NULL;
            assert_int_equal(vfs_process_open(process, VFS_DATABASE, &db), SQLITE_OK);
            back += strcmp(vfs_value(db, "SELECT count(*) FROM t"), value) != 0;
            assert_int_equal(sqlite3_close(db), SQLITE_OK);
            vfs_process_free(process);
            vfs_machine_free(machine);
            crash_fs_free(later);
            pair_close(&pair);
        }
    }
    assert_true(back > 0);
}

/* -------------------------------------------------------------- power cuts */

typedef struct vfs_outcome {
    unsigned states;    /* examined */
    unsigned lost;      /* of them without a commit that had returned */
    unsigned lost_most; /* commits that such a state was behind, at most */
} vfs_outcome;

/* The rows of a disk; frees it. They are those of a prefix of the commits. */
static int vfs_examine(crash_fs *disk) {
    vfs_machine *machine = vfs_machine_new();
    vfs_process *process = vfs_process_new(machine, crash_fs_env(disk));
    sqlite3 *db = NULL;
    assert_int_equal(vfs_process_open(process, VFS_DATABASE, &db), SQLITE_OK);
    const char *const ok = vfs_value(db, "PRAGMA integrity_check");
    if (strcmp(ok, "ok") != 0) {
        fail_msg("integrity_check: %s; %s", ok, crash_fs_origin(disk));
    }
    const int rows = atoi(vfs_value(db, "SELECT max(n) FROM t"));
    const int whole = atoi(vfs_value(db, "SELECT count(*) = 3 * max(n) FROM t"));
    if (rows > 0 && whole != 1) {
        fail_msg("a part of a commit; %s", crash_fs_origin(disk));
    }
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    assert_int_equal(crash_fs_held(disk), 0);
    vfs_process_free(process);
    vfs_machine_free(machine);
    crash_fs_free(disk);
    return rows;
}

/* Commits rows, then cuts at every position. */
static void vfs_cut_everywhere(const char *journal, const char *sync, vfs_outcome *outcome) {
    size_t ends[VFS_COMMITS + 1];
    crash_fs *disk = crash_fs_new(VFS_SEED);
    vfs_machine *machine = vfs_machine_new();
    vfs_process *process = vfs_process_new(machine, crash_fs_env(disk));
    sqlite3 *db = NULL;
    *outcome = (vfs_outcome){0};
    vfs_seed(VFS_SEED);
    assert_int_equal(vfs_process_open(process, VFS_DATABASE, &db), SQLITE_OK);
    vfs_setup(db, journal, "extra");
    run(db, "CREATE TABLE t(n, x)");
    run(db, sync);
    ends[0] = crash_fs_position(disk);
    for (int i = 1; i <= VFS_COMMITS; i++) {
        char sql[200];
        (void)snprintf(sql, sizeof sql,
                       "BEGIN; INSERT INTO t VALUES (%d, NULL), (%d, zeroblob(700)), (%d, 1);"
                       "COMMIT%s",
                       i, i, i, i == 4 ? "; PRAGMA wal_checkpoint" : "");
        run(db, sql);
        ends[i] = crash_fs_position(disk);
    }
    for (size_t at = ends[0]; at <= ends[VFS_COMMITS]; at++) {
        const size_t cuts = crash_fs_cut_count(disk, at, VFS_CUTS);
        for (size_t i = 0; i < cuts; i++) {
            int acknowledged = 0;
            while (acknowledged < VFS_COMMITS && ends[acknowledged + 1] <= at) {
                acknowledged++;
            }
            const int rows = vfs_examine(crash_fs_cut(disk, at, i, VFS_CUTS));
            const unsigned behind = rows < acknowledged ? (unsigned)(acknowledged - rows) : 0;
            assert_true(rows <= acknowledged + 1);
            outcome->states++;
            outcome->lost += behind > 0;
            outcome->lost_most = behind > outcome->lost_most ? behind : outcome->lost_most;
        }
    }
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    vfs_process_free(process);
    vfs_machine_free(machine);
    crash_fs_free(disk);
    print_message("%s, %s: %u states, %u of them behind, at most by %u\n", journal, sync,
                  outcome->states, outcome->lost, outcome->lost_most);
}

static void test_vfs__full_commits_survive_every_cut(void **state) {
    vfs_outcome outcome;
    (void)state;
    vfs_cut_everywhere("wal", "PRAGMA synchronous=full", &outcome);
    assert_int_equal(outcome.lost, 0);
    vfs_cut_everywhere("truncate", "PRAGMA synchronous=full", &outcome);
    assert_int_equal(outcome.lost, 0);
    vfs_cut_everywhere("persist", "PRAGMA synchronous=full", &outcome);
    assert_int_equal(outcome.lost, 0);
    vfs_cut_everywhere("delete", "PRAGMA synchronous=extra", &outcome);
    assert_int_equal(outcome.lost, 0);
    assert_true(outcome.states > 500);
}

static void test_vfs__wal_with_normal_loses_the_newest_commits(void **state) {
    vfs_outcome outcome;
    (void)state;
    vfs_cut_everywhere("wal", "PRAGMA synchronous=normal", &outcome);
    assert_true(outcome.lost > 0);
    assert_true(outcome.lost_most > 1);
}

/* The journal was deleted, its directory not synced: it comes back and takes the commit with it. */
static void test_vfs__a_deleted_journal_comes_back(void **state) {
    vfs_outcome outcome;
    (void)state;
    vfs_cut_everywhere("delete", "PRAGMA synchronous=full", &outcome);
    assert_true(outcome.lost > 0);
    assert_int_equal(outcome.lost_most, 1);
}

/* ------------------------------------------------------------ order of calls */

/* What was done to which file, without offsets. */
static void vfs_log(crash_fs *disk, size_t from, char *text, size_t size) {
    text[0] = '\0';
    for (size_t i = from; i < crash_fs_position(disk); i++) {
        char one[200];
        crash_fs_describe(disk, i, one, sizeof one);
        char *const second = strchr(strchr(one, ' ') + 1, ' ');
        if (second != NULL) {
            *second = '\0';
        }
        const size_t used = strlen(text);
        const char *const last = strrchr(text, '\n');
        if (used == 0 || last == NULL || strcmp(last + 1, one) != 0) {
            (void)snprintf(text + used, size - used, "\n%s", one);
        }
    }
}

static void test_vfs__a_commit_does_what_it_does_on_unix(void **state) {
    char text[1000];
    vfs_pair pair;
    (void)state;
    pair_open(&pair, "delete");
    size_t from = crash_fs_position(pair.disk);
    run(pair.dbs[0], "INSERT INTO t VALUES (1)");
    vfs_log(pair.disk, from, text, sizeof text);
    assert_string_equal(text, "\ncreate /host.db-journal\nwrite /host.db-journal"
                              "\nsync /host.db-journal\nsync_directory /host.db-journal"
                              "\nwrite /host.db-journal\nsync /host.db-journal"
                              "\nwrite /host.db\nsync /host.db\nunlink /host.db-journal");
    pair_close(&pair);
    pair_open(&pair, "wal");
    from = crash_fs_position(pair.disk);
    run(pair.dbs[0], "INSERT INTO t VALUES (1)");
    run(pair.dbs[0], "PRAGMA synchronous=normal; INSERT INTO t VALUES (2)");
    vfs_log(pair.disk, from, text, sizeof text);
    assert_string_equal(text, "\nwrite /host.db-wal\nsync /host.db-wal\nwrite /host.db-wal");
    pair_close(&pair);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vfs__one_process_writes_and_the_other_reads),
        cmocka_unit_test(test_vfs__a_second_writer_is_busy),
        cmocka_unit_test(test_vfs__a_reader_keeps_its_snapshot),
        cmocka_unit_test(test_vfs__a_killed_writer_leaves_no_lock),
        cmocka_unit_test(test_vfs__a_process_dies_within_its_commit),
        cmocka_unit_test(test_vfs__full_commits_survive_every_cut),
        cmocka_unit_test(test_vfs__wal_with_normal_loses_the_newest_commits),
        cmocka_unit_test(test_vfs__a_deleted_journal_comes_back),
        cmocka_unit_test(test_vfs__a_commit_does_what_it_does_on_unix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
