/* SPDX-License-Identifier: MIT */
/*
 * htt_result: a value or an error, for functions that return data.
 *
 *     htt_result found = find_price(db, "apple");
 *     if (!htt_result_is_ok(&found)) {
 *         return htt_result_rc(&found);          and htt_result_message(&found) says why
 *     }
 *     total += htt_result_integer(&found);
 *
 * It is for the application's own functions, and for bindings: no other function of this library
 * gives one, they return an htt_rc and put values into their outputs.
 *
 * It is returned by value and owns nothing: who owns the bytes or the object is said by the
 * function that returns it. Asking for a value of another kind than the result has gives 0, 0.0,
 * htt_null() or NULL, also of an error.
 */
#ifndef HTT_RESULT_H
#define HTT_RESULT_H

#include "htt.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum htt_result_kind {
    HTT_RESULT_NONE = 0,    /* no value: an error, or ok and that is all */
    HTT_RESULT_INTEGER = 1, /* value.integer */
    HTT_RESULT_REAL = 2,    /* value.real */
    HTT_RESULT_BYTES = 3,   /* value.bytes */
    HTT_RESULT_OBJECT = 4   /* value.object */
} htt_result_kind;

typedef struct htt_result {
    htt_rc rc;            /* HTT_OK: value is there */
    htt_result_kind kind; /* which one of value */
    const char *message;  /* of an error: borrowed as long as its maker says; never NULL */
    union {
        int64_t integer; /* a whole number */
        double real;     /* a real number */
        htt_datum bytes; /* typed bytes */
        void *object;    /* anything of the application's */
    } value;             /* by kind */
} htt_result;

HTT_API htt_result htt_result_ok(void);
HTT_API htt_result htt_result_ok_integer(int64_t integer);
HTT_API htt_result htt_result_ok_real(double real);
HTT_API htt_result htt_result_ok_bytes(htt_datum bytes);
HTT_API htt_result htt_result_ok_object(void *object);
/* message NULL: htt_strerror(rc). HTT_OK is no error: it becomes HTT_MISUSE. */
HTT_API htt_result htt_result_err(htt_rc rc, const char *message);

HTT_API bool htt_result_is_ok(const htt_result *result);
HTT_API htt_rc htt_result_rc(const htt_result *result);
/* "" of an ok result. */
HTT_API const char *htt_result_message(const htt_result *result);
HTT_API int64_t htt_result_integer(const htt_result *result);
HTT_API double htt_result_real(const htt_result *result);
HTT_API htt_datum htt_result_bytes(const htt_result *result);
HTT_API void *htt_result_object(const htt_result *result);

#ifdef __cplusplus
}
#endif

#endif
