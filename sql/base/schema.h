/* SPDX-License-Identifier: MIT */
/*
 * The text of the files in sql/schema that this layer makes, put here by the build
 * (cmake/schema.cmake), and what htt_db_install does with it.
 */
#ifndef HTT_SQL_BASE_SCHEMA_H
#define HTT_SQL_BASE_SCHEMA_H

#include "sql/base/db.h"

/* A file. A schema's name, with quotes and a point, goes between each two pieces. */
typedef struct htt_schema_file {
    const char *name;          /* without .sql; NULL = the end of the list */
    const char *const *pieces; /* ends with NULL */
} htt_schema_file;

/* What is made together, and has a row in htt_schema. */
typedef struct htt_schema_part {
    const char *name;             /* NULL = the end of the list */
    int version;                  /* counts from 1 */
    const htt_schema_file *files; /* in the order in which they are made; htt_schema is the first */
} htt_schema_part;

/* All of them; made by the build. */
extern const htt_schema_part htt_schema_parts[];

/* htt_db_install with a part that need not be in the list. */
htt_rc htt_schema_install(htt_db *db, const htt_schema_part *part);

#endif
