/* SPDX-License-Identifier: MIT */
/* The columns of one row, between a codec and a store. */
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "sql/base/memory.h"
#include "sql/repo/repo.h"

struct htt_fields_piece {
    htt_fields_piece *next; /* of the fields */
    max_align_t memory[];   /* the codec's */
};

htt_rc htt_backing_fail(const htt_backing *backing, const htt_datum *key, htt_rc rc,
                        const char *format, ...) {
    char shown[HTT_KEY_TEXT_SIZE];
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    if (vsnprintf(text, sizeof text, format, arguments) < 0) {
        text[0] = '\0';
    }
    va_end(arguments);
    if (key == NULL) {
        return htt_db_fail(backing->db, rc, "%s.%s: %s", backing->db->schema, backing->shape.table,
                           text);
    }
    htt_key_show(*key, shown, sizeof shown);
    return htt_db_fail(backing->db, rc, "%s.%s[%s]: %s", backing->db->schema, backing->shape.table,
                       shown, text);
}

htt_rc htt_fields_begin(htt_fields *fields, const htt_backing *backing, htt_datum key) {
    const uint32_t count = backing->shape.column_count;
    memset(fields, 0, sizeof *fields);
    fields->backing = backing;
    fields->key = key;
    fields->encoding = true;
    fields->columns = htt_memory_new(count * sizeof *fields->columns);
    fields->scratch = htt_memory_new(count * sizeof *fields->scratch);
    if (fields->columns == NULL || fields->scratch == NULL) {
        return htt_db_fail_memory(backing->db);
    }
    for (uint32_t i = 0; i < count; i++) {
        fields->columns[i] = htt_null();
    }
    return HTT_OK;
}

void htt_fields_begin_row(htt_fields *fields, const htt_backing *backing, const htt_repo_row *row) {
    memset(fields, 0, sizeof *fields);
    fields->backing = backing;
    fields->key = row->key;
    fields->columns = (htt_datum *)row->columns; /* not written when decoding */
}

void htt_fields_end(htt_fields *fields) {
    while (fields->pieces != NULL) {
        htt_fields_piece *const piece = fields->pieces;
        fields->pieces = piece->next;
        htt_memory_free(piece);
    }
    if (fields->encoding) {
        htt_memory_free(fields->columns);
        htt_memory_free(fields->scratch);
    }
}

htt_datum htt_fields_key(const htt_fields *fields) {
    return fields->key;
}

void *htt_fields_memory(htt_fields *fields, size_t size) {
    htt_fields_piece *const piece =
        size > SIZE_MAX / 2 ? NULL : htt_memory_new(sizeof *piece + size);
    if (piece == NULL) {
        (void)htt_db_fail_memory(fields->backing->db);
        return NULL;
    }
    piece->next = fields->pieces;
    fields->pieces = piece;
    return piece->memory;
}

htt_rc htt_fields_fail(htt_fields *fields, htt_rc rc, const char *text) {
    return htt_backing_fail(fields->backing, &fields->key, rc, "%s", text);
}

static htt_rc fields_check(htt_fields *fields, uint32_t index, bool set) {
    if (index >= fields->backing->shape.column_count) {
        return htt_backing_fail(fields->backing, &fields->key, HTT_MISUSE,
                                "the codec asks for column %u of %u", (unsigned)index,
                                (unsigned)fields->backing->shape.column_count);
    }
    if (set && !fields->encoding) {
        return htt_backing_fail(fields->backing, &fields->key, HTT_MISUSE,
                                "the codec sets a column while it decodes");
    }
    return HTT_OK;
}

/* ------------------------------------------------------------------ set */

htt_rc htt_fields_set(htt_fields *fields, uint32_t index, htt_datum value) {
    const htt_rc rc = fields_check(fields, index, true);
    if (rc != HTT_OK) {
        return rc;
    }
    if (value.type < HTT_INTEGER || value.type > HTT_NULL) {
        return htt_backing_fail(fields->backing, &fields->key, HTT_TYPE,
                                "column %s is set to a value %s",
                                fields->backing->shape.columns[index], htt_type_name(value.type));
    }
    if (value.type == HTT_INTEGER || value.type == HTT_REAL) {
        if (value.size > HTT_NUMBER_SIZE) {
            return htt_backing_fail(fields->backing, &fields->key, HTT_TYPE,
                                    "column %s is set to a number of %zu bytes",
                                    fields->backing->shape.columns[index], value.size);
        }
        if (value.size > 0) {
            memcpy(fields->scratch[index], value.data, value.size);
        }
        value.data = fields->scratch[index];
    }
    fields->columns[index] = value;
    return HTT_OK;
}

htt_rc htt_fields_set_integer(htt_fields *fields, uint32_t index, int64_t number) {
    uint8_t scratch[HTT_NUMBER_SIZE];
    return htt_fields_set(fields, index, htt_integer(number, scratch));
}

htt_rc htt_fields_set_real(htt_fields *fields, uint32_t index, double number) {
    uint8_t scratch[HTT_NUMBER_SIZE];
    return htt_fields_set(fields, index, htt_real(number, scratch));
}

htt_rc htt_fields_set_text(htt_fields *fields, uint32_t index, const char *text) {
    return htt_fields_set(fields, index, text == NULL ? htt_null() : htt_text(text));
}

htt_rc htt_fields_set_blob(htt_fields *fields, uint32_t index, const void *data, size_t size) {
    return htt_fields_set(fields, index, htt_blob(data, size));
}

/* ------------------------------------------------------------------ get */

htt_rc htt_fields_get(htt_fields *fields, uint32_t index, htt_datum *value_out) {
    const htt_rc rc = fields_check(fields, index, false);
    if (rc == HTT_OK) {
        *value_out = fields->columns[index];
    }
    return rc;
}

bool htt_fields_is_null(const htt_fields *fields, uint32_t index) {
    return index >= fields->backing->shape.column_count || fields->columns[index].type == HTT_NULL;
}

static htt_rc fields_wrong_type(htt_fields *fields, uint32_t index, const char *wanted) {
    return htt_backing_fail(fields->backing, &fields->key, HTT_TYPE, "column %s is %s, not %s",
                            fields->backing->shape.columns[index],
                            htt_type_name(fields->columns[index].type), wanted);
}

htt_rc htt_fields_get_integer(htt_fields *fields, uint32_t index, int64_t *number_out) {
    htt_datum value;
    const htt_rc rc = htt_fields_get(fields, index, &value);
    if (rc != HTT_OK) {
        return rc;
    }
    return htt_value_integer(value, number_out) == HTT_OK
               ? HTT_OK
               : fields_wrong_type(fields, index, "integer");
}

htt_rc htt_fields_get_real(htt_fields *fields, uint32_t index, double *number_out) {
    htt_datum value;
    int64_t integer;
    const htt_rc rc = htt_fields_get(fields, index, &value);
    if (rc != HTT_OK) {
        return rc;
    }
    if (htt_value_integer(value, &integer) == HTT_OK) {
        *number_out = (double)integer;
        return HTT_OK;
    }
    return htt_value_real(value, number_out) == HTT_OK ? HTT_OK
                                                       : fields_wrong_type(fields, index, "real");
}

static htt_rc fields_get_bytes(htt_fields *fields, uint32_t index, htt_type type,
                               const void **data_out, size_t *size_out) {
    htt_datum value;
    const htt_rc rc = htt_fields_get(fields, index, &value);
    if (rc != HTT_OK) {
        return rc;
    }
    if (value.type != type) {
        return fields_wrong_type(fields, index, htt_type_name(type));
    }
    *data_out = value.data == NULL ? "" : value.data;
    if (size_out != NULL) {
        *size_out = value.size;
    }
    return HTT_OK;
}

htt_rc htt_fields_get_text(htt_fields *fields, uint32_t index, const char **text_out,
                           size_t *size_out) {
    const void *data = NULL;
    const htt_rc rc = fields_get_bytes(fields, index, HTT_TEXT, &data, size_out);
    if (rc == HTT_OK) {
        *text_out = data;
    }
    return rc;
}

htt_rc htt_fields_get_blob(htt_fields *fields, uint32_t index, const void **data_out,
                           size_t *size_out) {
    return fields_get_bytes(fields, index, HTT_BLOB, data_out, size_out);
}
