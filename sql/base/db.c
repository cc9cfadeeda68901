/* SPDX-License-Identifier: MIT */
/* Opening and closing a db, its error, and what is open in it. */
#include "sql/base/db.h"

#include <assert.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "sql/base/fake.h"
#include "sql/base/memory.h"
#include "sql/base/statements.h"

enum { DB_SQLITE_MIN = 3040001 }; /* as the extension asks for */

static const char db_no_sqlite[] =
    "this libhtt.so has no SQLite yet: load it into a connection (sqlite3_load_extension or "
    "'.load'), or link libhtt.a";

/* ---------------------------------------------------------------- error */

/* One line, whatever is in it. */
static void db_set_text(htt_db *db, const char *text) {
    size_t i = 0;
    for (; i + 1 < sizeof db->error_text && text[i] != '\0'; i++) {
        const unsigned char byte = (unsigned char)text[i];
        db->error_text[i] = byte < 0x20 || byte == 0x7f ? ' ' : text[i];
    }
    /* No character cut in half. */
    while (text[i] != '\0' && i > 0 && ((unsigned char)text[i] & 0xc0) == 0x80) {
        i--;
    }
    db->error_text[i] = '\0';
}

static void db_fail_list(htt_db *db, htt_rc rc, const char *format, va_list arguments)
    HTT_SQL_PRINTF(3, 0);
static void db_fail_list(htt_db *db, htt_rc rc, const char *format, va_list arguments) {
    char text[2 * sizeof db->error_text];
    assert(rc != HTT_OK);
    const int written = vsnprintf(text, sizeof text, format, arguments);
    db_set_text(db, written < 0 ? htt_strerror(rc) : text);
    db->error_rc = rc;
}

htt_rc htt_db_fail(htt_db *db, htt_rc rc, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    db_fail_list(db, rc, format, arguments);
    va_end(arguments);
    return rc;
}

htt_rc htt_db_set_error(htt_db *db, htt_rc rc, const char *text) {
    return rc == HTT_OK ? HTT_OK : htt_db_fail(db, rc, "%s", text == NULL ? "" : text);
}

htt_rc htt_db_fail_memory(htt_db *db) {
    return htt_db_fail(db, HTT_NOMEM, "%s", htt_strerror(HTT_NOMEM));
}

htt_rc htt_db_fail_sqlite(htt_db *db, int code, const char *format, ...) {
    char what[sizeof db->error_text];
    va_list arguments;
    /* The connection knows more of the last error than the code that it gave. */
    const int extended = sqlite3_extended_errcode(db->connection);
    const bool same = (extended & 0xff) == (code & 0xff);
    const char *const message = same ? sqlite3_errmsg(db->connection) : sqlite3_errstr(code);
    const int known = same ? extended : code;
    va_start(arguments, format);
    if (vsnprintf(what, sizeof what, format, arguments) < 0) {
        what[0] = '\0';
    }
    va_end(arguments);
    const htt_rc rc = htt_sqlite_rc(known);
    return htt_db_fail(db, rc == HTT_OK ? HTT_SQL : rc, "%s: %s (SQLite %d)", what, message, known);
}

const char *htt_db_errmsg(const htt_db *db) {
    if (db != NULL) {
        return db->error_text;
    }
    return htt_sqlite_is_there() ? "there is no db: htt_db_open failed or was not called"
                                 : db_no_sqlite;
}

htt_rc htt_db_errcode(const htt_db *db) {
    return db == NULL ? HTT_MISUSE : db->error_rc;
}

/* -------------------------------------------------------------- options */

static size_t options_size(const void *given) {
    size_t size;
    memcpy(&size, given, sizeof size); /* its first field */
    return size;
}

bool htt_options_take(void *own, size_t size, const void *given, size_t first) {
    const size_t given_size = options_size(given);
    if (given_size < first || given_size > size) {
        return false;
    }
    memcpy(own, given, given_size);
    memcpy(own, &size, sizeof size); /* it has all fields now */
    return true;
}

htt_rc htt_db_take_options(htt_db *db, const char *name, void *own, size_t size, const void *given,
                           size_t first) {
    return htt_options_take(own, size, given, first)
               ? HTT_OK
               : htt_db_fail(db, HTT_MISUSE,
                             "%s.struct_size is %zu, this libhtt takes %zu to %zu: call %s_init "
                             "first",
                             name, options_size(given), first, size, name);
}

/* -------------------------------------------------------- open and close */

/* Of the first version of htt_db_options. */
enum { DB_OPTIONS_FIRST = offsetof(htt_db_options, error) + sizeof(htt_error *) };

void htt_db_options_init(htt_db_options *options) {
    memset(options, 0, sizeof *options);
    options->struct_size = sizeof *options;
    options->schema = "main";
}

/* An error of opening: there is no db to keep it. */
static htt_rc db_refuse(const htt_db_options *options, htt_rc rc, const char *format, ...)
    HTT_SQL_PRINTF(3, 4);
static htt_rc db_refuse(const htt_db_options *options, htt_rc rc, const char *format, ...) {
    if (options->error != NULL) {
        va_list arguments;
        va_start(arguments, format);
        options->error->rc = rc;
        options->error->page = 0;
        (void)vsnprintf(options->error->text, sizeof options->error->text, format, arguments);
        va_end(arguments);
    }
    return rc;
}

/* The caller's options over the defaults; HTT_MISUSE when they are not made by their init. */
static htt_rc db_take_options(const htt_db_options *given, htt_db_options *options) {
    htt_db_options_init(options);
    if (given == NULL) {
        return HTT_OK;
    }
    if (!htt_options_take(options, sizeof *options, given, DB_OPTIONS_FIRST)) {
        return HTT_MISUSE; /* without a text: given->error may be anything */
    }
    return options->schema == NULL
               ? db_refuse(options, HTT_MISUSE, "schema is NULL: give \"main\" or an attached one")
               : HTT_OK;
}

static char *db_quote(const char *name) {
    char *const quoted = htt_memory_new(2 * strlen(name) + 3);
    char *out = quoted;
    if (quoted == NULL) {
        return NULL;
    }
    *out++ = '"';
    for (; *name != '\0'; name++) {
        if (*name == '"') {
            *out++ = '"';
        }
        *out++ = *name;
    }
    *out = '"';
    return quoted;
}

static void db_free(htt_db *db) {
    htt_fake_free(db->fake);
    htt_memory_free(db->schema);
    htt_memory_free(db->schema_quoted);
    htt_memory_free(db);
}

/* With a connection, or (NULL) with a fake. */
static htt_rc db_make(sqlite3 *connection, const htt_db_options *options, htt_db **db_out) {
    htt_db *const db = htt_memory_new(sizeof *db);
    if (db == NULL) {
        return db_refuse(options, HTT_NOMEM, "%s", htt_strerror(HTT_NOMEM));
    }
    db->connection = connection;
    db->platform = options->platform == NULL ? *htt_platform_system() : *options->platform;
    db->schema = htt_memory_text(options->schema);
    db->schema_quoted = db_quote(options->schema);
    db->fake = connection == NULL ? htt_fake_new(db) : NULL;
    if (db->schema == NULL || db->schema_quoted == NULL ||
        (connection == NULL && db->fake == NULL)) {
        db_free(db);
        return db_refuse(options, HTT_NOMEM, "%s", htt_strerror(HTT_NOMEM));
    }
    *db_out = db;
    return HTT_OK;
}

htt_rc htt_db_open(sqlite3 *connection, const htt_db_options *options, htt_db **db_out) {
    htt_db_options taken;
    const htt_rc rc = db_take_options(options, &taken);
    if (rc != HTT_OK) {
        return rc;
    }
    if (!htt_sqlite_is_there()) {
        return db_refuse(&taken, HTT_MISUSE, "%s", db_no_sqlite);
    }
    if (sqlite3_libversion_number() < DB_SQLITE_MIN) {
        return db_refuse(&taken, HTT_MISUSE, "libhtt needs SQLite 3.40.1 or newer, this is %s",
                         sqlite3_libversion());
    }
    if (connection == NULL) {
        return db_refuse(&taken, HTT_MISUSE, "the connection is NULL");
    }
    if (sqlite3_db_readonly(connection, taken.schema) < 0) {
        return db_refuse(&taken, HTT_MISUSE, "the connection has no schema '%s': ATTACH it first",
                         taken.schema);
    }
    return db_make(connection, &taken, db_out);
}

htt_rc htt_db_open_fake(const htt_db_options *options, htt_db **db_out) {
    htt_db_options taken;
    const htt_rc rc = db_take_options(options, &taken);
    return rc == HTT_OK ? db_make(NULL, &taken, db_out) : rc;
}

/* "repository 'orders', unit of work" */
static void db_name_things(const htt_db *db, char *text, size_t size) {
    size_t length = 0;
    text[0] = '\0';
    for (const htt_open_thing *thing = db->things; thing != NULL && length < size;
         thing = thing->next) {
        const bool named = thing->name != NULL;
        const int written =
            snprintf(text + length, size - length, "%s%s%s%s%s", length == 0 ? "" : ", ",
                     thing->kind, named ? " '" : "", named ? thing->name : "", named ? "'" : "");
        length += written < 0 ? size : (size_t)written;
    }
}

htt_rc htt_db_close(htt_db *db) {
    if (db == NULL) {
        return HTT_OK;
    }
    if (db->things != NULL) {
        char names[512];
        db_name_things(db, names, sizeof names);
        return htt_db_fail(db, HTT_MISUSE, "the db cannot be closed before these: %s", names);
    }
    if (!htt_db_is_fake(db)) {
        const htt_rc rc = htt_db_settle(db);
        if (rc != HTT_OK) {
            return rc;
        }
        htt_statement_forget(db, NULL);
    }
    while (db->attached != NULL) {
        htt_attachment *const attachment = db->attached;
        db->attached = attachment->next;
        attachment->release(attachment);
    }
    db_free(db);
    return HTT_OK;
}

sqlite3 *htt_db_connection(const htt_db *db) {
    return db->connection;
}

int64_t htt_db_now_ms(const htt_db *db) {
    return db->platform.now_ms(db->platform.context);
}

/* ---------------------------------------------------------- open things */

void htt_db_open_thing(htt_db *db, htt_open_thing *thing, const char *kind, const char *name) {
    thing->kind = kind;
    thing->name = name;
    thing->next = db->things;
    db->things = thing;
}

void htt_db_close_thing(htt_db *db, htt_open_thing *thing) {
    htt_open_thing **link = &db->things;
    while (*link != NULL && *link != thing) {
        link = &(*link)->next;
    }
    assert(*link == thing);
    *link = thing->next;
}

void htt_db_attach(htt_db *db, htt_attachment *attachment) {
    attachment->next = db->attached;
    db->attached = attachment;
}
