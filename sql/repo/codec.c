/* SPDX-License-Identifier: MIT */
/* The ready codecs: one column, one value. */
#include <stdio.h>
#include <string.h>

#include "sql/base/json.h"
#include "sql/base/memory.h"
#include "sql/repo/repo.h"

static void codec_release(const void *context, void *object) {
    (void)context;
    htt_memory_free(object);
}

/* Hands a made object out, or says that there was no memory for it. */
static htt_rc codec_give(const htt_fields *fields, void *object, void **object_out) {
    if (object == NULL) {
        return htt_db_fail_memory(fields->backing->db);
    }
    *object_out = object;
    return HTT_OK;
}

/* ----------------------------------------------------------- text, JSON */

static htt_rc codec_encode_text(const void *context, const void *object, htt_fields *fields) {
    (void)context;
    return htt_fields_set_text(fields, 0, object);
}

static htt_rc codec_decode_text(const void *context, htt_fields *fields, void **object_out) {
    const char *text;
    size_t size;
    (void)context;
    const htt_rc rc = htt_fields_get_text(fields, 0, &text, &size);
    if (rc != HTT_OK) {
        return rc;
    }
    if (memchr(text, '\0', size) != NULL) {
        return htt_fields_fail(fields, HTT_INVALID,
                               "the text has a zero byte in it, which a C string cannot have");
    }
    return codec_give(fields, htt_memory_copy(text, size), object_out);
}

static htt_rc codec_check_json(htt_fields *fields, const char *text, size_t size) {
    char message[64];
    size_t at;
    if (htt_json_is_valid(text, size, &at)) {
        return HTT_OK;
    }
    (void)snprintf(message, sizeof message, "not JSON, at byte %zu of %zu", at, size);
    return htt_fields_fail(fields, HTT_INVALID, message);
}

static htt_rc codec_encode_json(const void *context, const void *object, htt_fields *fields) {
    const char *const text = object;
    const htt_rc rc = codec_check_json(fields, text, strlen(text));
    return rc == HTT_OK ? codec_encode_text(context, object, fields) : rc;
}

static htt_rc codec_decode_json(const void *context, htt_fields *fields, void **object_out) {
    const char *text;
    size_t size;
    htt_rc rc = htt_fields_get_text(fields, 0, &text, &size);
    if (rc == HTT_OK) {
        rc = codec_check_json(fields, text, size);
    }
    return rc == HTT_OK ? codec_decode_text(context, fields, object_out) : rc;
}

/* -------------------------------------------------------------- numbers */

static htt_rc codec_encode_integer(const void *context, const void *object, htt_fields *fields) {
    (void)context;
    return htt_fields_set_integer(fields, 0, *(const int64_t *)object);
}

static htt_rc codec_decode_integer(const void *context, htt_fields *fields, void **object_out) {
    int64_t number;
    (void)context;
    const htt_rc rc = htt_fields_get_integer(fields, 0, &number);
    return rc == HTT_OK ? codec_give(fields, htt_memory_copy(&number, sizeof number), object_out)
                        : rc;
}

static htt_rc codec_encode_real(const void *context, const void *object, htt_fields *fields) {
    (void)context;
    return htt_fields_set_real(fields, 0, *(const double *)object);
}

static htt_rc codec_decode_real(const void *context, htt_fields *fields, void **object_out) {
    double number;
    (void)context;
    const htt_rc rc = htt_fields_get_real(fields, 0, &number);
    return rc == HTT_OK ? codec_give(fields, htt_memory_copy(&number, sizeof number), object_out)
                        : rc;
}

/* ----------------------------------------------------------------- blob */

static htt_rc codec_encode_blob(const void *context, const void *object, htt_fields *fields) {
    const htt_datum *const blob = object;
    (void)context;
    return htt_fields_set_blob(fields, 0, blob->data, blob->size);
}

static htt_rc codec_decode_blob(const void *context, htt_fields *fields, void **object_out) {
    const void *data;
    size_t size;
    (void)context;
    const htt_rc rc = htt_fields_get_blob(fields, 0, &data, &size);
    if (rc != HTT_OK) {
        return rc;
    }
    htt_datum *const blob = htt_memory_new(sizeof *blob + size);
    if (blob != NULL) {
        *blob = htt_blob(blob + 1, size);
        memcpy(blob + 1, data, size);
    }
    return codec_give(fields, blob, object_out);
}

/* -------------------------------------------------------------- handles */

const htt_codec *htt_codec_text(void) {
    static const htt_codec codec = {codec_encode_text, codec_decode_text, codec_release, NULL, 1};
    return &codec;
}

const htt_codec *htt_codec_json(void) {
    static const htt_codec codec = {codec_encode_json, codec_decode_json, codec_release, NULL, 1};
    return &codec;
}

const htt_codec *htt_codec_integer(void) {
    static const htt_codec codec = {codec_encode_integer, codec_decode_integer, codec_release, NULL,
                                    1};
    return &codec;
}

const htt_codec *htt_codec_real(void) {
    static const htt_codec codec = {codec_encode_real, codec_decode_real, codec_release, NULL, 1};
    return &codec;
}

const htt_codec *htt_codec_blob(void) {
    static const htt_codec codec = {codec_encode_blob, codec_decode_blob, codec_release, NULL, 1};
    return &codec;
}
