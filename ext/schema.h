/* SPDX-License-Identifier: MIT */
/*
 * The text of the files in sql/schema, put here by the build (cmake/schema.cmake).
 */
#ifndef HTT_EXT_SCHEMA_H
#define HTT_EXT_SCHEMA_H

#include <stddef.h>

/* A table or view. A schema's name goes between each two parts of its statements. */
typedef struct htt_schema_object {
    const char *name;         /* of the object; NULL = the end of the list */
    const char *const *parts; /* ends with NULL */
} htt_schema_object;

/* In the order in which they are made. */
extern const htt_schema_object htt_schema_objects[];

#endif
