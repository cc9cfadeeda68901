/* SPDX-License-Identifier: MIT */
/* htt_result: makers and readers. Nothing here allocates or fails. */
#include "sql/htt_result.h"

htt_result htt_result_ok(void) {
    const htt_result result = {HTT_OK, HTT_RESULT_NONE, "", {0}};
    return result;
}

htt_result htt_result_ok_integer(int64_t integer) {
    htt_result result = htt_result_ok();
    result.kind = HTT_RESULT_INTEGER;
    result.value.integer = integer;
    return result;
}

htt_result htt_result_ok_real(double real) {
    htt_result result = htt_result_ok();
    result.kind = HTT_RESULT_REAL;
    result.value.real = real;
    return result;
}

htt_result htt_result_ok_bytes(htt_datum bytes) {
    htt_result result = htt_result_ok();
    result.kind = HTT_RESULT_BYTES;
    result.value.bytes = bytes;
    return result;
}

htt_result htt_result_ok_object(void *object) {
    htt_result result = htt_result_ok();
    result.kind = HTT_RESULT_OBJECT;
    result.value.object = object;
    return result;
}

htt_result htt_result_err(htt_rc rc, const char *message) {
    htt_result result = htt_result_ok();
    result.rc = rc == HTT_OK ? HTT_MISUSE : rc;
    result.message = message == NULL ? htt_strerror(result.rc) : message;
    return result;
}

bool htt_result_is_ok(const htt_result *result) {
    return result->rc == HTT_OK;
}

htt_rc htt_result_rc(const htt_result *result) {
    return result->rc;
}

const char *htt_result_message(const htt_result *result) {
    return result->message;
}

int64_t htt_result_integer(const htt_result *result) {
    return result->kind == HTT_RESULT_INTEGER ? result->value.integer : 0;
}

double htt_result_real(const htt_result *result) {
    return result->kind == HTT_RESULT_REAL ? result->value.real : 0.0;
}

htt_datum htt_result_bytes(const htt_result *result) {
    return result->kind == HTT_RESULT_BYTES ? result->value.bytes : htt_null();
}

void *htt_result_object(const htt_result *result) {
    return result->kind == HTT_RESULT_OBJECT ? result->value.object : NULL;
}
