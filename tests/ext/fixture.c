/* SPDX-License-Identifier: MIT */
/*
 * What the tests of the module share.
 */
#include "fixture.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int sqlite3_htt_init(sqlite3 *db, char **message_out, const void *api);

typedef struct fixture {
    char folder[256]; /* of its own */
    char path[512];   /* what fixture_path gave last */
    sqlite3 *db;      /* test.db */
} fixture;

/* In memory where there is a file system for that: these tests make many files and sync them. */
void fixture_make_folder(char *folder, size_t size) {
    const char *const chosen = getenv("TMPDIR");
    const char *const usual = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    snprintf(folder, size, "%s/htt-ext.XXXXXX", chosen == NULL ? usual : chosen);
    assert_non_null(mkdtemp(folder));
}

/* Files and one level of folders. */
void fixture_remove_folder(const char *folder) {
    DIR *const entries = opendir(folder);
    const struct dirent *entry;
    char path[1024];
    if (entries == NULL) {
        return;
    }
    while ((entry = readdir(entries)) != NULL) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
            if (unlink(path) != 0) {
                (void)chmod(path, 0700);
                fixture_remove_folder(path);
            }
        }
    }
    closedir(entries);
    (void)rmdir(folder);
}

sqlite3 *fixture_open_path(const char *path) {
    sqlite3 *db = NULL;
    char *message = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_htt_init(db, &message, NULL), SQLITE_OK);
    assert_null(message);
    sqlite3_extended_result_codes(db, 1);
    return db;
}

int fixture_setup(void **state) {
    fixture *const f = calloc(1, sizeof *f);
    if (f == NULL) {
        return -1;
    }
    fixture_make_folder(f->folder, sizeof f->folder);
    *state = f;
    f->db = fixture_open_path(fixture_path(state, "test.db"));
    return 0;
}

int fixture_teardown(void **state) {
    fixture *const f = *state;
    const int rc = sqlite3_close(f->db);
    fixture_remove_folder(f->folder);
    free(f);
    return rc == SQLITE_OK ? 0 : -1;
}

sqlite3 *fixture_db(void **state) {
    return ((fixture *)*state)->db;
}

const char *fixture_folder(void **state) {
    return ((fixture *)*state)->folder;
}

const char *fixture_path(void **state, const char *name) {
    fixture *const f = *state;
    snprintf(f->path, sizeof f->path, "%s/%s", f->folder, name);
    return f->path;
}

sqlite3 *fixture_reopen(void **state) {
    fixture *const f = *state;
    assert_int_equal(sqlite3_close(f->db), SQLITE_OK);
    f->db = fixture_open_path(fixture_path(state, "test.db"));
    return f->db;
}

sqlite3 *fixture_open(void **state, const char *name) {
    const bool file = name == NULL || strcmp(name, ":memory:") != 0;
    return fixture_open_path(file ? fixture_path(state, name == NULL ? "test.db" : name) : name);
}

/* ----------------------------------------------------------- SQL as text */

/* SQLite prints -0.0 as 0.0. */
static void fixture_print_real(sqlite3_str *out, double real) {
    const bool negative_zero = real >= 0.0 && real <= 0.0 && __builtin_signbit(real) != 0;
    sqlite3_str_appendf(out, negative_zero ? "-0.0" : "%!.17g", real);
}

static void fixture_print_hex(sqlite3_str *out, const unsigned char *bytes, int size) {
    static const char digits[] = "0123456789abcdef";
    char pairs[512];
    int used = 0;
    for (int i = 0; i < size; i++) {
        pairs[used++] = digits[bytes[i] >> 4];
        pairs[used++] = digits[bytes[i] & 15];
        if (used == sizeof pairs || i == size - 1) {
            sqlite3_str_append(out, pairs, used);
            used = 0;
        }
    }
}

static void fixture_print(sqlite3_str *out, sqlite3_stmt *statement, int column) {
    const unsigned char *bytes;
    switch (sqlite3_column_type(statement, column)) {
    case SQLITE_NULL: sqlite3_str_appendall(out, "NULL"); break;
    case SQLITE_BLOB:
        bytes = sqlite3_column_blob(statement, column);
        sqlite3_str_appendall(out, "x'");
        fixture_print_hex(out, bytes, sqlite3_column_bytes(statement, column));
        sqlite3_str_appendall(out, "'");
        break;
    case SQLITE_FLOAT: fixture_print_real(out, sqlite3_column_double(statement, column)); break;
    default:
        bytes = sqlite3_column_text(statement, column);
        sqlite3_str_append(out, (const char *)bytes, sqlite3_column_bytes(statement, column));
    }
}

static int fixture_step_all(sqlite3_stmt *statement, sqlite3_str *out) {
    int rc;
    while ((rc = sqlite3_step(statement)) == SQLITE_ROW) {
        if (sqlite3_str_length(out) > 0) {
            sqlite3_str_appendall(out, "\n");
        }
        for (int i = 0; i < sqlite3_column_count(statement); i++) {
            sqlite3_str_appendall(out, i == 0 ? "" : "|");
            fixture_print(out, statement, i);
        }
    }
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

char *fixture_query(sqlite3 *db, const char *sql) {
    sqlite3_str *const out = sqlite3_str_new(NULL);
    int rc = SQLITE_OK;
    while (rc == SQLITE_OK && *sql != '\0') {
        sqlite3_stmt *statement = NULL;
        rc = sqlite3_prepare_v2(db, sql, -1, &statement, &sql);
        if (rc == SQLITE_OK && statement != NULL) {
            rc = fixture_step_all(statement, out);
        }
        if (rc != SQLITE_OK) {
            sqlite3_str_reset(out);
            sqlite3_str_appendf(out, "error %d: %s", sqlite3_extended_errcode(db),
                                sqlite3_errmsg(db));
        }
        sqlite3_finalize(statement);
    }
    char *const text = sqlite3_str_finish(out);
    return text == NULL ? sqlite3_mprintf("%s", "") : text;
}

static void fixture_fail(const char *sql, const char *expected, char *got, const char *file,
                         int line) {
    print_error("%s\n  expected: %s\n  got:      %s\n", sql, expected, got);
    sqlite3_free(got);
    _fail(file, line);
}

void fixture_run(sqlite3 *db, const char *sql, const char *file, int line) {
    char *const got = fixture_query(db, sql);
    if (strncmp(got, "error ", 6) == 0) {
        fixture_fail(sql, "no error", got, file, line);
        return;
    }
    sqlite3_free(got);
}

void fixture_expect(sqlite3 *db, const char *sql, const char *rows, const char *file, int line) {
    char *const got = fixture_query(db, sql);
    if (strcmp(got, rows) != 0) {
        fixture_fail(sql, rows, got, file, line);
        return;
    }
    sqlite3_free(got);
}

void fixture_expect_error(sqlite3 *db, const char *sql, int code, const char *message,
                          const char *file, int line) {
    char *const got = fixture_query(db, sql);
    char start[32];
    snprintf(start, sizeof start, "error %d: ", code);
    if (strncmp(got, start, strlen(start)) != 0 || strstr(got, message) == NULL) {
        char expected[512];
        snprintf(expected, sizeof expected, "%s...%s...", start, message);
        fixture_fail(sql, expected, got, file, line);
        return;
    }
    sqlite3_free(got);
}
