/* SPDX-License-Identifier: MIT */
/*
 * Files: where they are looked for, which are taken, and what is said of those that are not.
 */
#include "fixture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/htt.h"
#include "test_env_fault.h"

extern const struct htt_env *htt_arguments_env; /* ext/arguments.h */

enum { FILES_NOBODY = 65534 }; /* a user without rights */

static void write_file(const char *path, const char *bytes, size_t size) {
    FILE *const file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static bool file_exists(const char *path) {
    struct stat found;
    return lstat(path, &found) == 0;
}

/* Changes the byte at `offset`. */
static void damage_file(const char *path, long offset) {
    FILE *const file = fopen(path, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, offset, SEEK_SET), 0);
    const int byte = fgetc(file);
    assert_int_equal(fseek(file, offset, SEEK_SET), 0);
    assert_int_not_equal(fputc(byte ^ 0x5a, file), EOF);
    assert_int_equal(fclose(file), 0);
}

static void test_files__relative_names_begin_at_the_database(void **state) {
    sqlite3 *const db = fixture_db(state);
    run(db, "CREATE VIRTUAL TABLE kv USING htt('kv.htt')");
    assert_true(file_exists(fixture_path(state, "kv.htt")));
    assert_int_equal(mkdir(fixture_path(state, "sub"), 0700), 0);
    run(db, "CREATE VIRTUAL TABLE sub USING htt('sub/kv.htt')");
    assert_true(file_exists(fixture_path(state, "sub/kv.htt")));
    char *const sql = sqlite3_mprintf("ATTACH '%q' AS aux; CREATE VIRTUAL TABLE aux.kv USING "
                                      "htt('beside-aux.htt')",
                                      fixture_path(state, "sub/aux.db"));
    run(db, sql);
    assert_true(file_exists(fixture_path(state, "sub/beside-aux.htt")));
    run(db, "DETACH aux");
    sqlite3_free(sql);
}

static void test_files__absolute_names_are_taken_as_they_are(void **state) {
    sqlite3 *const db = fixture_db(state);
    char *const sql = sqlite3_mprintf("CREATE VIRTUAL TABLE kv USING htt('%q')",
                                      fixture_path(state, "absolute.htt"));
    run(db, sql);
    assert_true(file_exists(fixture_path(state, "absolute.htt")));
    sqlite3_free(sql);
}

static void test_files__memory_database_uses_the_working_directory(void **state) {
    char before[4096];
    assert_non_null(getcwd(before, sizeof before));
    assert_int_equal(chdir(fixture_folder(state)), 0);
    sqlite3 *const db = fixture_open(state, ":memory:");
    run(db, "CREATE VIRTUAL TABLE kv USING htt('here.htt'); INSERT INTO kv VALUES (1, 2)");
    assert_int_equal(chdir(before), 0);
    assert_true(file_exists(fixture_path(state, "here.htt")));
    expect(db, "SELECT value FROM kv WHERE key = 1", "2");
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void test_files__names_that_make_no_sense_are_refused(void **state) {
    sqlite3 *const db = fixture_db(state);
    expect_error(db, "CREATE VIRTUAL TABLE kv USING htt('file:kv.htt')", SQLITE_ERROR,
                 "a path expected, not a URI");
    expect_error(db, "CREATE VIRTUAL TABLE kv USING htt('sub/')", SQLITE_ERROR, "not a directory");
    expect_error(db, "CREATE VIRTUAL TABLE kv USING htt('kv.htt-lock')", SQLITE_ERROR,
                 "names ending in -lock");
    expect_error(db, "CREATE VIRTUAL TABLE kv USING htt('test.db')", SQLITE_ERROR,
                 "is a file of the SQLite database itself");
    expect_error(db, "CREATE VIRTUAL TABLE kv USING htt('./test.db-journal')", SQLITE_ERROR,
                 "is a file of the SQLite database itself");
    expect_error(db, "CREATE VIRTUAL TABLE kv USING htt('nowhere/kv.htt')", SQLITE_CANTOPEN,
                 "nowhere/kv.htt");
    expect_error(db, "CREATE VIRTUAL TABLE kv USING htt('/')", SQLITE_ERROR, "not a directory");
    char *const sql = sqlite3_mprintf("CREATE VIRTUAL TABLE kv USING htt('%05000d')", 1);
    expect_error(db, sql, SQLITE_ERROR, "longer than");
    sqlite3_free(sql);
}

static void test_files__only_regular_files_and_no_links(void **state) {
    sqlite3 *const db = fixture_db(state);
    char target[512];
    run(db, "CREATE VIRTUAL TABLE kv USING htt('kv.htt'); DROP TABLE kv");
    snprintf(target, sizeof target, "%s", fixture_path(state, "kv.htt"));
    assert_int_equal(symlink(target, fixture_path(state, "link.htt")), 0);
    expect_error(db, "CREATE VIRTUAL TABLE kv USING htt('link.htt')", SQLITE_CANTOPEN, "link.htt");
    assert_int_equal(symlink("nowhere", fixture_path(state, "dangling.htt")), 0);
    expect_error(db, "CREATE VIRTUAL TABLE kv USING htt('dangling.htt')", SQLITE_CANTOPEN, "");
    assert_false(file_exists(fixture_path(state, "nowhere")));
    assert_int_equal(mkfifo(fixture_path(state, "fifo.htt"), 0600), 0);
    expect_error(db, "CREATE VIRTUAL TABLE kv USING htt('fifo.htt')", SQLITE_CANTOPEN, "fifo.htt");
    expect_error(db, "CREATE VIRTUAL TABLE kv USING htt('/dev/null')", SQLITE_CANTOPEN, "null");
    assert_int_equal(mkdir(fixture_path(state, "folder.htt"), 0700), 0);
    expect_error(db, "CREATE VIRTUAL TABLE kv USING htt('folder.htt')", SQLITE_CANTOPEN, "folder");
}

static void test_files__not_htt_newer_and_damaged_are_told_apart(void **state) {
    sqlite3 *const db = fixture_db(state);
    char text[9000];
    memset(text, 'x', sizeof text);
    write_file(fixture_path(state, "text.htt"), text, sizeof text);
    expect_error(db, "CREATE VIRTUAL TABLE kv USING htt('text.htt')", SQLITE_NOTADB, "text.htt");
    write_file(fixture_path(state, "short.htt"), "hello", 5);
    expect_error(db, "CREATE VIRTUAL TABLE kv USING htt('short.htt')", SQLITE_NOTADB, "short.htt");
    expect(db, "SELECT count(*) FROM sqlite_schema WHERE name IN ('kv', 'htt_store')", "0");
    write_file(fixture_path(state, "empty.htt"), "", 0); /* as SQLite's own: a new one */
    run(db, "CREATE VIRTUAL TABLE kv USING htt('empty.htt'); INSERT INTO kv VALUES (1, 2)");
}

/* Neither the failed CREATE's own file, nor a file of the user, is taken for the other. */
static void test_files__create_that_failed_is_not_in_the_way_of_the_next(void **state) {
    sqlite3 *const db = fixture_db(state);
    fault_env *const fault = fault_env_new(htt_env_system());
    htt_arguments_env = fault_env_table(fault);
    static const unsigned kinds[] = {FAULT_OPEN, FAULT_LOCK, FAULT_RESERVE, FAULT_MAP, FAULT_WRITE};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        const fault_plan plan = {
            .kinds = kinds[i], .nth = 1, .persistent = true, .error = ENOSPC, .suffix = "-lock"};
        fault_env_arm(fault, &plan);
        if (kinds[i] == FAULT_WRITE) { /* that of the file itself, which cannot be removed then */
            fault_env_arm(fault, &(fault_plan){.kinds = FAULT_WRITE | FAULT_UNLINK,
                                               .nth = 1,
                                               .persistent = true,
                                               .error = ENOSPC});
        }
        expect_error(db, "CREATE VIRTUAL TABLE kv USING htt('kv.htt')", SQLITE_ERROR,
                     "No space left");
        assert_true(fault_env_failures(fault) > 0);
        fault_env_disarm(fault);
        assert_int_equal(file_exists(fixture_path(state, "kv.htt")), kinds[i] == FAULT_WRITE);
        run(db, "CREATE VIRTUAL TABLE kv USING htt('kv.htt'); INSERT INTO kv VALUES (1, 2);"
                "DROP TABLE kv");
        assert_int_equal(unlink(fixture_path(state, "kv.htt")), 0);
        write_file(fixture_path(state, "kv.htt"), "", 0);
        run(db, "CREATE VIRTUAL TABLE kv USING htt('kv.htt'); INSERT INTO kv VALUES (1, 2);"
                "DROP TABLE kv");
        assert_int_equal(unlink(fixture_path(state, "kv.htt")), 0);
    }
    htt_arguments_env = NULL;
    fault_env_free(fault);
}

/* What a power cut within CREATE can leave: page 0 of zeros, a part of page 1, no mark. */
static void test_files__create_begins_an_unfinished_file_anew(void **state) {
    static const char unfinished[5000];
    sqlite3 *db = fixture_db(state);
    write_file(fixture_path(state, "kv.htt"), unfinished, sizeof unfinished);
    run(db, "CREATE VIRTUAL TABLE kv USING htt('kv.htt'); INSERT INTO kv VALUES (1, 2)");
    expect(db, "SELECT * FROM kv", "1|2");
    expect(db, "SELECT problem FROM htt_check('kv')", "ok");
    write_file(fixture_path(state, "page.htt"), unfinished, 4096);
    expect_error(db, "CREATE VIRTUAL TABLE page USING htt('page.htt')", SQLITE_NOTADB, "page.htt");
}

static void test_files__damaged_header_is_corruption(void **state) {
    sqlite3 *db = fixture_db(state);
    run(db, "CREATE VIRTUAL TABLE kv USING htt('kv.htt'); INSERT INTO kv VALUES (1, 2)");
    assert_int_equal(unlink(fixture_path(state, "kv.htt-lock")), 0);
    sqlite3 *const other = fixture_open(state, "other.db"); /* keeps the fixture's db unused */
    assert_int_equal(sqlite3_close(other), SQLITE_OK);
    db = fixture_reopen(state);
    assert_int_equal(sqlite3_close(fixture_open(state, NULL)), SQLITE_OK);
    damage_file(fixture_path(state, "kv.htt"), 200);
    damage_file(fixture_path(state, "kv.htt"), 4096 + 200);
    expect_error(db, "SELECT * FROM kv", SQLITE_CORRUPT_VTAB, "kv.htt");
    expect(db, "SELECT count(*) FROM htt_check('kv') WHERE problem <> 'ok'", "1");
    run(db, "DROP TABLE kv"); /* a table whose file is no use can be dropped */
}

static void test_files__existing_file_is_taken_if_its_columns_fit(void **state) {
    sqlite3 *const db = fixture_db(state);
    run(db, "CREATE VIRTUAL TABLE t USING htt('t.htt', id INTEGER PRIMARY KEY, name TEXT);"
            "INSERT INTO t VALUES (1, 'one'); DROP TABLE t");
    expect_error(db, "CREATE VIRTUAL TABLE t USING htt('t.htt')", SQLITE_ERROR,
                 "t.htt has the columns (id INTEGER PRIMARY KEY, name TEXT), the table declares "
                 "(key PRIMARY KEY, value)");
    static const char *const others[] = {
        "id INTEGER PRIMARY KEY",
        "id INT PRIMARY KEY, name TEXT",
        "id INTEGER PRIMARY KEY, name TEXT NOT NULL",
        "id INTEGER PRIMARY KEY, name TEXT COLLATE NOCASE",
        "id INTEGER, name TEXT PRIMARY KEY",
        "name TEXT, id INTEGER PRIMARY KEY",
        "id INTEGER PRIMARY KEY, name TEXT, more NOT NULL",
    };
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        char *const sql =
            sqlite3_mprintf("CREATE VIRTUAL TABLE t USING htt('t.htt', %s)", others[i]);
        expect_error(db, sql, SQLITE_ERROR, "has the columns");
        sqlite3_free(sql);
    }
    run(db,
        "CREATE VIRTUAL TABLE t USING htt('t.htt', ID integer, \"name\"  text,PRIMARY KEY(id))");
    expect(db, "SELECT * FROM t", "1|one");
}

static void test_files__further_columns_are_null_in_old_rows(void **state) {
    sqlite3 *db = fixture_db(state);
    run(db, "CREATE VIRTUAL TABLE t USING htt('t.htt'); INSERT INTO t VALUES (1, 'one');"
            "DROP TABLE t");
    run(db, "CREATE VIRTUAL TABLE t USING htt('t.htt', key PRIMARY KEY, value, more TEXT)");
    expect(db, "SELECT * FROM t", "1|one|NULL");
    run(db, "INSERT INTO t VALUES (2, 'two', 2)");
    run(db, "UPDATE t SET more = 'more' WHERE key = 1");
    db = fixture_reopen(state);
    expect(db, "SELECT * FROM t ORDER BY key", "1|one|more\n2|two|2");
    expect(db, "SELECT value FROM htt_stat('t') WHERE name = 'declaration'",
           "key PRIMARY KEY, value, more TEXT");
    run(db, "DROP TABLE t");
    expect_error(db, "CREATE VIRTUAL TABLE t USING htt('t.htt')", SQLITE_ERROR, "more TEXT");
}

static void test_files__further_columns_of_a_create_rolled_back_are_forgotten(void **state) {
    sqlite3 *const db = fixture_db(state);
    run(db, "CREATE VIRTUAL TABLE t USING htt('t.htt'); INSERT INTO t VALUES (1, 'one');"
            "DROP TABLE t");
    run(db, "BEGIN; CREATE VIRTUAL TABLE t USING htt('t.htt', key, value, more TEXT); ROLLBACK");
    run(db, "BEGIN; SAVEPOINT a; CREATE VIRTUAL TABLE t USING htt('t.htt', key, value, more TEXT);"
            "ROLLBACK TO a; COMMIT");
    run(db, "CREATE VIRTUAL TABLE t USING htt('t.htt')");
    expect(db, "SELECT * FROM t", "1|one");
}

static void test_files__page_size_of_an_existing_file_stays(void **state) {
    sqlite3 *const db = fixture_db(state);
    run(db, "CREATE VIRTUAL TABLE t USING htt('t.htt', page_size=65536);"
            "INSERT INTO t VALUES (1, 'one'); DROP TABLE t");
    expect_error(db, "CREATE VIRTUAL TABLE t USING htt('t.htt', page_size=4096)", SQLITE_ERROR,
                 "t.htt has page_size=65536, the table asks for 4096");
    run(db, "CREATE VIRTUAL TABLE t USING htt('t.htt')");
    expect(db, "SELECT * FROM t", "1|one");
}

static void test_files__one_file_belongs_to_one_table(void **state) {
    sqlite3 *db = fixture_db(state);
    run(db, "CREATE VIRTUAL TABLE first USING htt('kv.htt')");
    const char *const message = "already belongs to table main.first";
    expect_error(db, "CREATE VIRTUAL TABLE t USING htt('kv.htt')", SQLITE_ERROR, message);
    expect_error(db, "CREATE VIRTUAL TABLE t USING htt('./kv.htt')", SQLITE_ERROR, message);
    assert_int_equal(mkdir(fixture_path(state, "sub"), 0700), 0);
    db = fixture_reopen(state); /* the first table is not connected yet */
    expect_error(db, "CREATE VIRTUAL TABLE t USING htt('sub/../kv.htt')", SQLITE_ERROR, message);
    char *const sql = sqlite3_mprintf("ATTACH '%q' AS aux; CREATE VIRTUAL TABLE aux.t USING "
                                      "htt('kv.htt')",
                                      fixture_path(state, "aux.db"));
    expect_error(db, sql, SQLITE_ERROR, message);
    sqlite3_free(sql);
    run(db, "DETACH aux");
    run(db, "ALTER TABLE first RENAME TO second");
    expect_error(db, "CREATE VIRTUAL TABLE t USING htt('kv.htt')", SQLITE_ERROR,
                 "already belongs to table main.second");
    run(db, "DROP TABLE second; CREATE VIRTUAL TABLE t USING htt('./kv.htt')");
}

static void test_files__connecting_never_creates(void **state) {
    sqlite3 *db = fixture_db(state);
    run(db, "CREATE VIRTUAL TABLE kv USING htt('kv.htt'); INSERT INTO kv VALUES (1, 2)");
    assert_int_equal(sqlite3_close(fixture_open(state, NULL)), SQLITE_OK);
    db = fixture_reopen(state);
    assert_int_equal(rename(fixture_path(state, "kv.htt"), "/dev/null/x"), -1);
    char away[512];
    snprintf(away, sizeof away, "%s", fixture_path(state, "away.htt"));
    assert_int_equal(rename(fixture_path(state, "kv.htt"), away), 0);
    expect_error(db, "SELECT * FROM kv", SQLITE_CANTOPEN, "kv.htt");
    expect_error(db, "INSERT INTO kv VALUES (3, 4)", SQLITE_CANTOPEN, "kv.htt");
    assert_false(file_exists(fixture_path(state, "kv.htt")));
    assert_int_equal(rename(away, fixture_path(state, "kv.htt")), 0);
    expect(db, "SELECT * FROM kv", "1|2"); /* it is looked for again */
}

static void test_files__another_file_of_the_same_name_is_not_the_tables(void **state) {
    sqlite3 *db = fixture_db(state);
    run(db, "CREATE VIRTUAL TABLE a USING htt('a.htt'); CREATE VIRTUAL TABLE b USING htt('b.htt')");
    db = fixture_reopen(state);
    char away[512];
    snprintf(away, sizeof away, "%s", fixture_path(state, "a.htt"));
    assert_int_equal(unlink(fixture_path(state, "a.htt-lock")), 0);
    assert_int_equal(rename(fixture_path(state, "b.htt"), away), 0);
    expect_error(db, "SELECT * FROM a", SQLITE_ERROR, "a.htt");
    run(db, "DELETE FROM htt_store WHERE name = 'a.htt'");
    expect_error(db, "SELECT * FROM a", SQLITE_ERROR, "main.htt_store has no row for 'a.htt'");
    run(db, "DROP TABLE a; DROP TABLE b");
}

static void test_files__schema_that_names_a_file_does_not_get_it(void **state) {
    sqlite3 *const db = fixture_db(state);
    sqlite3 *hostile = fixture_open(state, "hostile.db");
    run(db, "CREATE VIRTUAL TABLE kv USING htt('kv.htt'); INSERT INTO kv VALUES (1, 'secret')");
    run(hostile, "PRAGMA writable_schema = ON; INSERT INTO sqlite_schema VALUES ('table', 'kv', "
                 "'kv', 0, 'CREATE VIRTUAL TABLE kv USING htt(''kv.htt'')')");
    assert_int_equal(sqlite3_close(hostile), SQLITE_OK);
    hostile = fixture_open(state, "hostile.db");
    expect_error(hostile, "SELECT * FROM kv", SQLITE_ERROR, "htt_store has no row for 'kv.htt'");
    run(hostile, "CREATE TABLE htt_store(id INTEGER PRIMARY KEY, name, uuid, root, acked, state); "
                 "INSERT INTO htt_store VALUES (1, 'kv.htt', zeroblob(16), NULL, 0, 'live')");
    expect_error(hostile, "SELECT * FROM kv", SQLITE_ERROR, "kv.htt");
    assert_int_equal(sqlite3_close(hostile), SQLITE_OK);
}

static void test_files__temp_is_refused(void **state) {
    sqlite3 *const db = fixture_db(state);
    expect_error(db, "CREATE VIRTUAL TABLE temp.kv USING htt('kv.htt')", SQLITE_ERROR,
                 "an htt table cannot be in temp");
    assert_false(file_exists(fixture_path(state, "kv.htt")));
}

static void test_files__drop_leaves_the_file(void **state) {
    sqlite3 *const db = fixture_db(state);
    run(db, "CREATE VIRTUAL TABLE kv USING htt('kv.htt'); INSERT INTO kv VALUES (1, 2);"
            "DROP TABLE kv");
    assert_true(file_exists(fixture_path(state, "kv.htt")));
    expect(db, "SELECT name, state FROM htt_store", "kv.htt|dropped");
    run(db, "CREATE VIRTUAL TABLE again USING htt('kv.htt')");
    expect(db, "SELECT * FROM again", "1|2");
    expect(db, "SELECT name, state FROM htt_store", "kv.htt|live");
}

static void test_files__drop_leaves_the_file_of_a_memory_database(void **state) {
    sqlite3 *const db = fixture_open(state, ":memory:");
    char *const sql = sqlite3_mprintf("CREATE VIRTUAL TABLE kv USING htt('%q');"
                                      "INSERT INTO kv VALUES (1, 2); DROP TABLE kv",
                                      fixture_path(state, "kv.htt"));
    run(db, sql);
    sqlite3_free(sql);
    assert_true(file_exists(fixture_path(state, "kv.htt")));
    expect(db, "SELECT count(*) FROM htt_store", "0");
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

/* Root may write everything: these tests are somebody else meanwhile. */
static void files_give_to_nobody(void **state) {
    static const char *const names[] = {"", "test.db", "kv.htt", "kv.htt-lock"};
    for (size_t i = 0; geteuid() == 0 && i < sizeof names / sizeof names[0]; i++) {
        (void)!chown(fixture_path(state, names[i]), FILES_NOBODY, FILES_NOBODY);
    }
    if (geteuid() == 0) {
        assert_int_equal(seteuid(FILES_NOBODY), 0);
    }
}

static void files_be_oneself(void) {
    if (getuid() == 0) {
        assert_int_equal(seteuid(0), 0);
    }
}

static void test_files__readonly_file_is_read(void **state) {
    sqlite3 *db = fixture_db(state);
    run(db, "CREATE VIRTUAL TABLE kv USING htt('kv.htt'); INSERT INTO kv VALUES (1, 2)");
    fixture_reopen(state);
    assert_int_equal(chmod(fixture_path(state, "kv.htt"), 0400), 0);
    files_give_to_nobody(state);
    db = fixture_open(state, NULL);
    expect(db, "SELECT * FROM kv", "1|2");
    expect_error(db, "INSERT INTO kv VALUES (3, 4)", SQLITE_READONLY, "read-only");
    run(db, "BEGIN; CREATE TABLE t(x)");
    expect_error(db, "UPDATE kv SET value = 3", SQLITE_READONLY, "read-only");
    expect(db, "SELECT * FROM kv WHERE key = 1", "1|2");
    run(db, "COMMIT");
    expect(db, "SELECT count(*) FROM t", "0");
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    files_be_oneself();
}

static void test_files__readonly_directory_is_read(void **state) {
    sqlite3 *db = fixture_db(state);
    run(db, "CREATE VIRTUAL TABLE kv USING htt('kv.htt'); INSERT INTO kv VALUES (1, 2)");
    fixture_reopen(state);
    assert_int_equal(unlink(fixture_path(state, "kv.htt-lock")), 0);
    files_give_to_nobody(state);
    assert_int_equal(chmod(fixture_folder(state), 0500), 0);
    db = fixture_open(state, NULL);
    expect(db, "SELECT * FROM kv", "1|2");
    expect_error(db, "INSERT INTO kv VALUES (3, 4)", SQLITE_READONLY, "");
    expect_error(db, "CREATE VIRTUAL TABLE new USING htt('new.htt')", SQLITE_READONLY_DIRECTORY,
                 "");
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    assert_int_equal(chmod(fixture_folder(state), 0700), 0);
    files_be_oneself();
}

static void test_files__unreadable_file_and_directory(void **state) {
    sqlite3 *db = fixture_db(state);
    run(db, "CREATE VIRTUAL TABLE kv USING htt('kv.htt'); INSERT INTO kv VALUES (1, 2)");
    fixture_reopen(state);
    files_give_to_nobody(state);
    assert_int_equal(chmod(fixture_path(state, "kv.htt"), 0), 0);
    assert_int_equal(mkdir(fixture_path(state, "closed"), 0), 0);
    db = fixture_open(state, NULL);
    expect_error(db, "SELECT * FROM kv", SQLITE_CANTOPEN, "kv.htt");
    expect_error(db, "CREATE VIRTUAL TABLE t USING htt('closed/t.htt')", SQLITE_CANTOPEN,
                 "closed/t.htt");
    assert_int_equal(chmod(fixture_path(state, "kv.htt"), 0600), 0);
    expect(db, "SELECT * FROM kv", "1|2");
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    files_be_oneself();
}

static void test_files__readonly_database_reads(void **state) {
    sqlite3 *const db = fixture_db(state);
    run(db, "CREATE VIRTUAL TABLE kv USING htt('kv.htt'); INSERT INTO kv VALUES (1, 2)");
    sqlite3 *other = NULL;
    char *message = NULL;
    int sqlite3_htt_init(sqlite3 *, char **, const void *);
    assert_int_equal(
        sqlite3_open_v2(fixture_path(state, "test.db"), &other, SQLITE_OPEN_READONLY, NULL),
        SQLITE_OK);
    assert_int_equal(sqlite3_htt_init(other, &message, NULL), SQLITE_OK);
    expect(other, "SELECT * FROM kv", "1|2");
    assert_int_equal(sqlite3_exec(other, "INSERT INTO kv VALUES (3, 4)", NULL, NULL, NULL),
                     SQLITE_READONLY);
    assert_int_equal(sqlite3_close(other), SQLITE_OK);
}

/* CREATE of a table c0 INTEGER PRIMARY KEY, c1, c2, ... with a last column of this declaration. */
static char *files_wide(int columns, const char *last) {
    sqlite3_str *const sql = sqlite3_str_new(NULL);
    sqlite3_str_appendall(sql, "CREATE VIRTUAL TABLE wide USING htt('wide.htt', c0 INTEGER PRIMARY "
                               "KEY");
    for (int i = 1; i < columns; i++) {
        sqlite3_str_appendf(sql, ", c%d%s", i, i == columns - 1 ? last : " TEXT");
    }
    sqlite3_str_appendall(sql, ")");
    return sqlite3_str_finish(sql);
}

/* More columns than their declaration has room for in the file: a hash of it stands there. */
static void test_files__as_many_columns_as_sqlite_allows(void **state) {
    enum { MOST = 1993 }; /* as many arguments as SQLite 3.40 takes */
    sqlite3 *const db = fixture_db(state);
    for (int columns = MOST - 1; columns <= MOST; columns++) {
        char *const sql = files_wide(columns, columns == MOST ? "" : " TEXT");
        run(db, sql);
        sqlite3_free(sql);
        run(db, "INSERT OR REPLACE INTO wide(c0, c1, c1990) VALUES (1, 'first', 'last')");
        expect(db, "SELECT c0, c1, c2, c1990 FROM wide", "1|first|NULL|last");
        run(db, "DROP TABLE wide");
    }
}

static void test_files__other_columns_than_those_of_a_wide_file(void **state) {
    static const struct {
        int columns;      /* of the second CREATE */
        const char *last; /* declaration of its last one */
    } others[] = {{601, " NOT NULL"}, {600, " INT"}, {599, " TEXT"}};
    sqlite3 *const db = fixture_db(state);
    char *sql = files_wide(600, " TEXT");
    run(db, sql);
    sqlite3_free(sql);
    run(db, "INSERT INTO wide(c0, c599) VALUES (1, 'last'); DROP TABLE wide");
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        sql = files_wide(others[i].columns, others[i].last);
        expect_error(db, sql, SQLITE_ERROR, "has the columns (#600 ");
        sqlite3_free(sql);
    }
    sql = files_wide(600, " text");
    run(db, sql);
    sqlite3_free(sql);
    expect(db, "SELECT c0, c599 FROM wide", "1|last");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        fixture_test(test_files__as_many_columns_as_sqlite_allows),
        fixture_test(test_files__other_columns_than_those_of_a_wide_file),
        fixture_test(test_files__relative_names_begin_at_the_database),
        fixture_test(test_files__absolute_names_are_taken_as_they_are),
        fixture_test(test_files__memory_database_uses_the_working_directory),
        fixture_test(test_files__names_that_make_no_sense_are_refused),
        fixture_test(test_files__only_regular_files_and_no_links),
        fixture_test(test_files__not_htt_newer_and_damaged_are_told_apart),
        fixture_test(test_files__create_that_failed_is_not_in_the_way_of_the_next),
        fixture_test(test_files__create_begins_an_unfinished_file_anew),
        fixture_test(test_files__damaged_header_is_corruption),
        fixture_test(test_files__existing_file_is_taken_if_its_columns_fit),
        fixture_test(test_files__further_columns_are_null_in_old_rows),
        fixture_test(test_files__further_columns_of_a_create_rolled_back_are_forgotten),
        fixture_test(test_files__page_size_of_an_existing_file_stays),
        fixture_test(test_files__one_file_belongs_to_one_table),
        fixture_test(test_files__connecting_never_creates),
        fixture_test(test_files__another_file_of_the_same_name_is_not_the_tables),
        fixture_test(test_files__schema_that_names_a_file_does_not_get_it),
        fixture_test(test_files__temp_is_refused),
        fixture_test(test_files__drop_leaves_the_file),
        fixture_test(test_files__drop_leaves_the_file_of_a_memory_database),
        fixture_test(test_files__readonly_file_is_read),
        fixture_test(test_files__readonly_directory_is_read),
        fixture_test(test_files__unreadable_file_and_directory),
        fixture_test(test_files__readonly_database_reads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
