/* SPDX-License-Identifier: MIT */
/*
 * Repositories: the application's objects by key, over an htt table, over an ordinary table, or in
 * memory (htt_db_open_fake). The three behave alike: they pass one test-suite.
 *
 *     static const char *const columns[] = {"customer", "total"};
 *     htt_repo_spec spec;
 *     htt_repo_spec_init(&spec, "orders", &order_codec);
 *     spec.key_column = "id";
 *     spec.key_type = HTT_INTEGER;
 *     spec.columns = columns;
 *     spec.column_count = 2;
 *
 *     htt_repo *orders;
 *     void *order;
 *     htt_repo_open(db, &spec, &orders);              or htt_uow_repo(unit, &spec, &orders)
 *     htt_repo_put(orders, htt_key_of_integer(17), &my_order);
 *     if (htt_repo_get(orders, htt_key_of_integer(17), &order) == HTT_OK) {
 *         ...
 *         htt_repo_free(orders, order);
 *     }
 *     htt_repo_close(orders);
 *
 * Objects and who owns them
 *   - An object that is given (put, add) stays the caller's, and is read during the call only.
 *   - An object that is got was made by the codec. Of a repository that htt_repo_open made it is
 *     the caller's: give it back with htt_repo_free. Of a unit of work's it is the unit's, borrowed
 *     until the unit ends, and the same key gives the same object: htt_repo_free does nothing then.
 *
 * Errors, beside those that a function names: HTT_TYPE (a key or column of another type than
 * declared), HTT_INVALID (what a codec refuses), HTT_CONSTRAINT, HTT_MISUSE, and those of SQLite.
 * htt_db_errmsg(db) names table, column and key.
 */
#ifndef HTT_REPO_H
#define HTT_REPO_H

#include "htt_db.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct htt_repo htt_repo;

/* ----------------------------------------------------------------- keys */

/* A key that brings its bytes along. Texts and blobs are borrowed during a call. */
typedef struct htt_key {
    htt_datum datum;                  /* number: `data` is not used, `scratch` is */
    uint8_t scratch[HTT_NUMBER_SIZE]; /* of a number */
} htt_key;

HTT_API htt_key htt_key_of_integer(int64_t number);
HTT_API htt_key htt_key_of_real(double number);
HTT_API htt_key htt_key_of_text(const char *text);
HTT_API htt_key htt_key_of_blob(const void *data, size_t size);
/* INTEGER, REAL, TEXT or BLOB. */
HTT_API htt_key htt_key_of(htt_datum datum);

/* --------------------------------------------------------------- fields */

/*
 * The columns of one row while a codec writes or reads them. Index 0 is spec.columns[0]. Setters
 * are for encode: text and bytes are borrowed from the object until the call of the repository
 * returns; a column that is not set is NULL. Getters are for decode: what they give is borrowed
 * until decode returns, texts are terminated. HTT_TYPE: the column holds another type, the message
 * names it; HTT_MISUSE: no such column.
 */
typedef struct htt_fields htt_fields;

HTT_API HTT_MUST_CHECK htt_rc htt_fields_set_integer(htt_fields *fields, uint32_t index,
                                                     int64_t number);
HTT_API HTT_MUST_CHECK htt_rc htt_fields_set_real(htt_fields *fields, uint32_t index,
                                                  double number);
/* NULL is NULL. */
HTT_API HTT_MUST_CHECK htt_rc htt_fields_set_text(htt_fields *fields, uint32_t index,
                                                  const char *text);
HTT_API HTT_MUST_CHECK htt_rc htt_fields_set_blob(htt_fields *fields, uint32_t index,
                                                  const void *data, size_t size);
HTT_API HTT_MUST_CHECK htt_rc htt_fields_set(htt_fields *fields, uint32_t index, htt_datum value);

/* An integral real is no integer; an integer is taken as a real. */
HTT_API HTT_MUST_CHECK htt_rc htt_fields_get_integer(htt_fields *fields, uint32_t index,
                                                     int64_t *number_out);
HTT_API HTT_MUST_CHECK htt_rc htt_fields_get_real(htt_fields *fields, uint32_t index,
                                                  double *number_out);
HTT_API HTT_MUST_CHECK htt_rc htt_fields_get_text(htt_fields *fields, uint32_t index,
                                                  const char **text_out, size_t *size_out);
HTT_API HTT_MUST_CHECK htt_rc htt_fields_get_blob(htt_fields *fields, uint32_t index,
                                                  const void **data_out, size_t *size_out);
/* As it is stored. */
HTT_API HTT_MUST_CHECK htt_rc htt_fields_get(htt_fields *fields, uint32_t index,
                                             htt_datum *value_out);
/* Also true of an index that is none. */
HTT_API bool htt_fields_is_null(const htt_fields *fields, uint32_t index);
/* The row's key. Numbers are borrowed until decode or encode returns, as the others are. */
HTT_API htt_datum htt_fields_key(const htt_fields *fields);

/* Memory that is given back when the call of the repository ends. NULL: none. */
HTT_API void *htt_fields_memory(htt_fields *fields, size_t size);
/* A codec's own error: `text` is put behind the name of table and key. Gives rc. */
HTT_API htt_rc htt_fields_fail(htt_fields *fields, htt_rc rc, const char *text);

/* --------------------------------------------------------------- codecs */

/* Between an object of the application and the columns of its row. */
typedef struct htt_codec {
    /* Sets the columns from the object. */
    htt_rc (*encode)(const void *context, const void *object, htt_fields *fields);
    /* Makes an object from the columns. */
    htt_rc (*decode)(const void *context, htt_fields *fields, void **object_out);
    /* Frees what decode made. NULL: decode makes nothing that is to be freed. */
    void (*release)(const void *context, void *object);
    const void *context;   /* first argument of each; borrowed */
    uint32_t column_count; /* columns that it sets and gets */
} htt_codec;

/* Ready ones, of one column. Static storage. */
HTT_API const htt_codec *htt_codec_text(void);    /* char *: terminated UTF-8 */
HTT_API const htt_codec *htt_codec_json(void);    /* char *: JSON, else HTT_INVALID */
HTT_API const htt_codec *htt_codec_integer(void); /* int64_t * */
HTT_API const htt_codec *htt_codec_real(void);    /* double * */
HTT_API const htt_codec *htt_codec_blob(void);    /* htt_datum *: data and size; type is HTT_BLOB */

/* ----------------------------------------------------------------- spec */

typedef struct htt_repo_spec {
    size_t struct_size;         /* sizeof(htt_repo_spec), set by htt_repo_spec_init */
    const char *table;          /* name of the table, in the db's schema */
    const char *key_column;     /* default "key"; PRIMARY KEY or UNIQUE, collation BINARY */
    htt_type key_type;          /* INTEGER, REAL, TEXT, BLOB; 0 (default) = any of them */
    const char *const *columns; /* in the codec's order; default {"value"} */
    uint32_t column_count;      /* of columns; default 1 */
    const char *version_column; /* an INTEGER that counts a row's writes from 1; default NULL */
    const htt_codec *codec;     /* borrowed while the repository is open */
} htt_repo_spec;

HTT_API void htt_repo_spec_init(htt_repo_spec *spec, const char *table, const htt_codec *codec);

typedef enum htt_repo_kind {
    HTT_REPO_FAKE = 0,  /* in memory */
    HTT_REPO_TABLE = 1, /* an ordinary table */
    HTT_REPO_HTT = 2,   /* a virtual table USING htt(...) */
    HTT_REPO_OWN = 3    /* a store of the application's: htt_repo_open_store */
} htt_repo_kind;

/* What not every store can. */
enum {
    HTT_REPO_CAN_PREFIX = 1u << 0 /* htt_repo_find_prefix; a hash has no order: no htt table */
};

/* ----------------------------------------------------------- repository */

/*
 * Opens the repository of a table. Of a db with a connection the table must be there:
 *   HTT_NOTFOUND  there is no such table
 *   HTT_MISMATCH  a column is missing, the key is not unique or does not compare as BINARY, or it
 *                 is a view or another module's virtual table
 *   HTT_TYPE      the key column would change keys of key_type
 * In a fake the table is made when it is first named, and lives as long as the db.
 */
HTT_API HTT_MUST_CHECK htt_rc htt_repo_open(htt_db *db, const htt_repo_spec *spec,
                                            htt_repo **repo_out);
/* Closes what htt_repo_open made. NULL is allowed. A unit's repositories are closed by the unit. */
HTT_API void htt_repo_close(htt_repo *repo);

HTT_API htt_db *htt_repo_db(const htt_repo *repo);
HTT_API htt_repo_kind htt_repo_kind_of(const htt_repo *repo);
/* All of HTT_REPO_CAN_... that are asked for. */
HTT_API bool htt_repo_can(const htt_repo *repo, unsigned capabilities);

/* HTT_NOTFOUND: there is none. *version_out (NULL: not asked for): 0 without a version column. */
HTT_API HTT_MUST_CHECK htt_rc htt_repo_get(htt_repo *repo, htt_key key, void **object_out);
HTT_API HTT_MUST_CHECK htt_rc htt_repo_get_version(htt_repo *repo, htt_key key, void **object_out,
                                                   int64_t *version_out);
/* Gives back an object that htt_repo_get gave. NULL is allowed. */
HTT_API void htt_repo_free(htt_repo *repo, void *object);

/* Writes the object, whether the key is there or not. */
HTT_API HTT_MUST_CHECK htt_rc htt_repo_put(htt_repo *repo, htt_key key, const void *object);
/* The key must be new: HTT_EXISTS. */
HTT_API HTT_MUST_CHECK htt_rc htt_repo_add(htt_repo *repo, htt_key key, const void *object);
/*
 * Writes the object where the stored version is `expected`; 0: the key must be new. HTT_CONFLICT:
 * it is not, the message says what is there. HTT_MISUSE: the spec has no version column.
 * *version_out (NULL: not asked for): the version that is stored now.
 */
HTT_API HTT_MUST_CHECK htt_rc htt_repo_put_version(htt_repo *repo, htt_key key, const void *object,
                                                   int64_t expected, int64_t *version_out);
/* HTT_NOTFOUND: there was none. */
HTT_API HTT_MUST_CHECK htt_rc htt_repo_remove(htt_repo *repo, htt_key key);
/* HTT_CONFLICT: another version is stored, or none. */
HTT_API HTT_MUST_CHECK htt_rc htt_repo_remove_version(htt_repo *repo, htt_key key,
                                                      int64_t expected);

HTT_API HTT_MUST_CHECK htt_rc htt_repo_contains(htt_repo *repo, htt_key key, bool *there_out);
HTT_API HTT_MUST_CHECK htt_rc htt_repo_count(htt_repo *repo, int64_t *count_out);

/*
 * Visits rows, in no particular order. The object is borrowed during the visit. Another result than
 * HTT_OK ends the walk and is what the call gives. While a walk runs its table may be read, not
 * walked again or written, by any repository of this db: HTT_MISUSE.
 */
typedef htt_rc htt_repo_visit(void *arg, htt_datum key, void *object, int64_t version);
HTT_API HTT_MUST_CHECK htt_rc htt_repo_each(htt_repo *repo, htt_repo_visit *visit, void *arg);
/* Those whose key, a text or a blob, begins with these bytes. HTT_MISUSE: the store cannot. */
HTT_API HTT_MUST_CHECK htt_rc htt_repo_find_prefix(htt_repo *repo, htt_key prefix,
                                                   htt_repo_visit *visit, void *arg);

/*
 * In a unit of work: forgets which objects were got, so that the next get reads the row again. For
 * rows that were changed by other means than this repository. The objects live on until the unit
 * ends.
 */
HTT_API void htt_repo_forget(htt_repo *repo);

/* ---------------------------------------------------------------- stores */

/*
 * The interface that the three stores implement, and an application's own may. A store keeps rows:
 * a key, columns and a version. What it gives is borrowed until its next call; texts are followed
 * by a zero byte. Errors: its own result, with htt_db_set_error on the db.
 */
typedef struct htt_repo_row {
    htt_datum key;            /* as it was written */
    const htt_datum *columns; /* spec.column_count of them */
    int64_t version;          /* 0 without a version column */
} htt_repo_row;

typedef enum htt_repo_write {
    HTT_REPO_WRITE_PUT = 0,   /* whether it is there or not; the version counts on, from 1 */
    HTT_REPO_WRITE_ADD = 1,   /* HTT_EXISTS when it is there; version 1 */
    HTT_REPO_WRITE_EXPECT = 2 /* HTT_CONFLICT unless row.version is stored; then one more */
} htt_repo_write;

/* Gives HTT_OK to go on; anything else ends the walk, which gives it too. */
typedef htt_rc htt_repo_scan(void *arg, const htt_repo_row *row);

typedef struct htt_repo_methods {
    unsigned capabilities; /* HTT_REPO_CAN_... */
    /* HTT_NOTFOUND: there is none. */
    htt_rc (*find)(void *store, htt_datum key, htt_repo_row *row_out);
    htt_rc (*contains)(void *store, htt_datum key, bool *there_out);
    /* row.version: what is expected. */
    htt_rc (*write)(void *store, const htt_repo_row *row, htt_repo_write how);
    /* expected NULL: any version, HTT_NOTFOUND when there is none. Else HTT_CONFLICT. */
    htt_rc (*remove)(void *store, htt_datum key, const int64_t *expected);
    htt_rc (*count)(void *store, int64_t *count_out);
    /* prefix NULL: all. A store without HTT_REPO_CAN_PREFIX is asked for all only. */
    htt_rc (*scan)(void *store, const htt_datum *prefix, htt_repo_scan *scan, void *arg);
    /* The rows of find and of the last scan are not needed any more. NULL: nothing to do. */
    void (*done)(void *store);
    /* NULL: nothing to do. */
    void (*close)(void *store);
} htt_repo_methods;

/* A repository over the application's own store, which it closes. */
HTT_API HTT_MUST_CHECK htt_rc htt_repo_open_store(htt_db *db, const htt_repo_spec *spec,
                                                  const htt_repo_methods *methods, void *store,
                                                  htt_repo **repo_out);

#ifdef __cplusplus
}
#endif

#endif
