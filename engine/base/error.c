/* SPDX-License-Identifier: MIT */
/*
 * Results as text, and the filling of htt_error. Nothing here allocates or fails.
 */
#include "base/error.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define ERROR_TEXT_SIZE sizeof(((htt_error *)0)->text)

const char *htt_version(void) {
    return HTT_VERSION;
}

const char *htt_strerror(htt_rc rc) {
    switch (rc) { /* no default: a new code breaks the build until it has a name */
    case HTT_OK: return "ok";
    case HTT_NOTFOUND: return "not found";
    case HTT_EXISTS: return "already exists";
    case HTT_TYPE: return "value of another type";
    case HTT_BUSY: return "busy: another writer is active";
    case HTT_MISUSE: return "misuse of the interface";
    case HTT_NOMEM: return "out of memory";
    case HTT_IO: return "input/output error";
    case HTT_FULL: return "no space left";
    case HTT_CANTOPEN: return "cannot open the file";
    case HTT_READONLY: return "read-only";
    case HTT_TOOBIG: return "key or value too big";
    case HTT_COLLISION: return "too many keys with one hash";
    case HTT_NOTHTT: return "not an htt file";
    case HTT_NEWER: return "htt file of a newer version";
    case HTT_CORRUPT: return "damaged file";
    case HTT_MISMATCH: return "not the file that was asked for";
    case HTT_SNAPSHOT: return "snapshot is gone";
    case HTT_POISONED: return "an earlier write failed, open the file again";
    case HTT_ABORTED: return "the transaction was aborted";
    case HTT_CONFLICT: return "another version is stored";
    case HTT_EXPIRED: return "the lease or deadline is over";
    case HTT_INVALID: return "data is not what it is declared to be";
    case HTT_CONSTRAINT: return "a constraint was not met";
    case HTT_SQL: return "SQLite reported an error";
    }
    return "unknown result";
}

void htt_error_clear(htt_error *error) {
    if (error != NULL) {
        error->rc = HTT_OK;
        error->page = 0;
        error->text[0] = '\0';
    }
}

/* One line, whatever is in a path; and no character cut in half at the end. */
static void error_tidy_text(char *text) {
    size_t length = 0;
    for (; text[length] != '\0'; length++) {
        const unsigned char byte = (unsigned char)text[length];
        if (byte < 0x20 || byte == 0x7f) {
            text[length] = ' ';
        }
    }
    if (length == ERROR_TEXT_SIZE - 1) {
        while (length > 0 && ((unsigned char)text[length - 1] & 0xc0) == 0x80) {
            length--;
        }
        if (length > 0 && ((unsigned char)text[length - 1] & 0x80) != 0) {
            length--;
        }
        text[length] = '\0';
    }
}

/* Text at `start` of error->text, which holds something before it. */
static void error_format(htt_error *error, size_t start, const char *format, va_list arguments)
    HTT_PRINTF(3, 0);
static void error_format(htt_error *error, size_t start, const char *format, va_list arguments) {
    assert(start < ERROR_TEXT_SIZE);
    const int written = vsnprintf(error->text + start, ERROR_TEXT_SIZE - start, format, arguments);
    if (written < 0) {
        error->text[start] = '\0';
    }
    error_tidy_text(error->text);
}

htt_rc htt_error_set(htt_error *error, htt_rc rc, const char *format, ...) {
    assert(rc != HTT_OK);
    if (error != NULL) {
        va_list arguments;
        error->rc = rc;
        error->page = 0;
        va_start(arguments, format);
        error_format(error, 0, format, arguments);
        va_end(arguments);
    }
    return rc;
}

htt_rc htt_error_page(htt_error *error, htt_rc rc, uint32_t page, const char *format, ...) {
    assert(rc != HTT_OK);
    if (error != NULL) {
        va_list arguments;
        error->rc = rc;
        error->page = page;
        const int start = snprintf(error->text, ERROR_TEXT_SIZE, "page %u: ", (unsigned)page);
        va_start(arguments, format);
        error_format(error, start > 0 ? (size_t)start : 0, format, arguments);
        va_end(arguments);
    }
    return rc;
}

htt_rc htt_error_from_errno(htt_rc rc_default, int number) {
    switch (number) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG: return HTT_FULL;
    case ENOMEM: return HTT_NOMEM;
    case EROFS:
    case EACCES:
    case EPERM:
    case EBADF: return rc_default;
    case EIO: return HTT_IO;
    case EEXIST: return rc_default == HTT_CANTOPEN ? HTT_EXISTS : HTT_IO;
    default: return rc_default == HTT_READONLY ? HTT_IO : rc_default;
    }
}

htt_rc htt_error_errno(htt_error *error, htt_rc rc_default, int number, const char *format, ...) {
    assert(number > 0);
    assert(rc_default == HTT_IO || rc_default == HTT_READONLY || rc_default == HTT_CANTOPEN);
    const htt_rc rc = htt_error_from_errno(rc_default, number);
    if (error != NULL) {
        va_list arguments;
        char buffer[128];
        error->rc = rc;
        error->page = 0;
        va_start(arguments, format);
        error_format(error, 0, format, arguments);
        va_end(arguments);
        const size_t length = strlen(error->text);
        (void)snprintf(error->text + length, ERROR_TEXT_SIZE - length, ": %s",
                       strerror_r(number, buffer, sizeof buffer));
        error_tidy_text(error->text);
    }
    return rc;
}
