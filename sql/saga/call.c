/* SPDX-License-Identifier: MIT */
/* What an action sees of the saga that it is a part of. */
#include "sql/saga/internal.h"

#include <stdarg.h>
#include <stdio.h>

htt_db *htt_saga_call_db(const htt_saga_call *call) {
    return call->sagas->db;
}

htt_uow *htt_saga_call_unit(const htt_saga_call *call) {
    return call->unit;
}

const char *htt_saga_call_id(const htt_saga_call *call) {
    return call->row->id;
}

const char *htt_saga_call_data(const htt_saga_call *call) {
    return call->data != NULL ? call->data : call->row->data;
}

uint32_t htt_saga_call_attempt(const htt_saga_call *call) {
    return call->row->attempts + 1;
}

const char *htt_saga_call_cause(const htt_saga_call *call) {
    return call->row->state == HTT_SAGA_COMPENSATING ? call->row->cause : NULL;
}

htt_rc htt_saga_call_set_data(htt_saga_call *call, const char *json) {
    const htt_rc rc = htt_saga_check_json(call->sagas->db, json, call->row->id);
    return rc == HTT_OK ? htt_saga_set_text(call->sagas->db, &call->data, json) : rc;
}

/* What is too long is cut. */
static void call_reason(htt_saga_call *call, const char *format, va_list arguments) {
    (void)vsnprintf(call->reason, sizeof call->reason, format, arguments);
}

htt_rc htt_saga_refuse(htt_saga_call *call, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    call_reason(call, format, arguments);
    va_end(arguments);
    call->refused = true;
    return HTT_CONSTRAINT;
}

htt_rc htt_saga_later(htt_saga_call *call, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    call_reason(call, format, arguments);
    va_end(arguments);
    call->refused = false;
    return HTT_BUSY;
}
