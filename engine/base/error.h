/* SPDX-License-Identifier: MIT */
/*
 * Filling an htt_error.
 *
 * Each function writes result, page and one line of text, and gives the result back, so that a
 * failure is one statement:
 *
 *     return htt_error_page(error, HTT_CORRUPT, page, "record %u ends past the page", i);
 *
 * `error` may be NULL: only the result is given then. The lowest layer that knows the details
 * fills it; layers above pass the result up and leave the text alone.
 */
#ifndef HTT_BASE_ERROR_H
#define HTT_BASE_ERROR_H

#include <stdint.h>

#include "htt.h"

#if defined(__GNUC__)
#define HTT_PRINTF(format_at, first_at) __attribute__((format(printf, format_at, first_at)))
#else
#define HTT_PRINTF(format_at, first_at)
#endif

/* No error. */
void htt_error_clear(htt_error *error);

/* Text without a page. Gives rc. */
htt_rc htt_error_set(htt_error *error, htt_rc rc, const char *format, ...) HTT_PRINTF(3, 4);

/* Text about a page; "page N: " is put before it. Gives rc. */
htt_rc htt_error_page(htt_error *error, htt_rc rc, uint32_t page, const char *format, ...)
    HTT_PRINTF(4, 5);

/*
 * A failed call of the environment. The system's text for errno is put behind the given one.
 * Gives htt_error_from_errno(rc_default, number).
 */
htt_rc htt_error_errno(htt_error *error, htt_rc rc_default, int number, const char *format, ...)
    HTT_PRINTF(4, 5);

/*
 * The result for an errno value. What failed is told by rc_default:
 *
 *   rc_default     ENOSPC EDQUOT EFBIG  ENOMEM     EROFS EACCES EPERM EBADF  others
 *   HTT_IO         HTT_FULL             HTT_NOMEM  HTT_IO                    HTT_IO
 *   HTT_READONLY   HTT_FULL             HTT_NOMEM  HTT_READONLY              HTT_IO
 *   HTT_CANTOPEN   HTT_FULL             HTT_NOMEM  HTT_CANTOPEN              see below
 *
 * HTT_READONLY is for writes that the system may forbid; HTT_CANTOPEN is for opening and creating:
 * EIO is HTT_IO, EEXIST is HTT_EXISTS, all others HTT_CANTOPEN.
 */
htt_rc htt_error_from_errno(htt_rc rc_default, int number);

#endif
