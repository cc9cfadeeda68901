/* SPDX-License-Identifier: MIT */
/*
 * The inside of a repository.
 *
 *     htt_repo        codec, checks, identity map     repo.c, fields.c, identity.c
 *       htt_backing   one store, kept with the db     backing.c
 *         store       rows                            store_sql.c (htt and ordinary), store_fake.c
 *
 * A backing is made when a table is first opened with its columns, and shared by all repositories
 * of the same, also those of later units: its statements stay prepared.
 */
#ifndef HTT_SQL_REPO_REPO_H
#define HTT_SQL_REPO_REPO_H

#include "sql/base/db.h"
#include "sql/htt_repo.h"

/* A spec of our own: all texts are owned. */
typedef struct htt_shape {
    char *table;           /* its name */
    char *key_column;      /* its name */
    char **columns;        /* names */
    uint32_t column_count; /* of columns */
    char *version_column;  /* NULL: none */
    htt_type key_type;     /* 0: any */
} htt_shape;

typedef struct htt_backing {
    htt_attachment attachment;       /* first; to the db, unless a repository owns it */
    htt_db *db;                      /* borrowed */
    htt_shape shape;                 /* owned */
    htt_repo_kind kind;              /* of store */
    const htt_repo_methods *methods; /* of store */
    void *store;                     /* owned */
    bool walking;                    /* each or find_prefix runs, of any repository over it */
} htt_backing;

/* Finds or makes it. */
htt_rc htt_backing_get(htt_db *db, const htt_repo_spec *spec, htt_backing **backing_out);
/* Over the application's store; the caller frees it. */
htt_rc htt_backing_of_store(htt_db *db, const htt_repo_spec *spec, const htt_repo_methods *methods,
                            void *store, htt_backing **backing_out);
void htt_backing_free(htt_backing *backing);
/*
 * A walk over the backing's table runs, through any backing of this db: two of one table differ in
 * their columns. A walk's statement, or the fake's row, would be gone under another walk or write.
 */
bool htt_backing_is_walked(const htt_backing *backing);

/* The stores. `shape` is borrowed as long as the store lives. */
extern const htt_repo_methods htt_store_fake_methods;
extern const htt_repo_methods htt_store_table_methods;
extern const htt_repo_methods htt_store_htt_methods;
htt_rc htt_store_fake_open(htt_db *db, const htt_shape *shape, void **store_out);
/* `covers`: the shape names all columns of the table. */
htt_rc htt_store_sql_open(htt_db *db, const htt_shape *shape, bool covers, void **store_out);

/* Looks at the table in the database. *covers_out as above. */
htt_rc htt_inspect(htt_db *db, const htt_shape *shape, htt_repo_kind *kind_out, bool *covers_out);

/* ----------------------------------------------------------------- keys */

/* The datum of a key; a number's bytes are in key->scratch. */
htt_datum htt_key_datum(const htt_key *key);

/* As it compares: class and bytes. Two keys are one when both are the same. */
typedef struct htt_canonical {
    uint8_t klass;                    /* of what kind */
    htt_datum bytes;                  /* of the key, or in scratch */
    uint8_t scratch[HTT_NUMBER_SIZE]; /* of an integral real */
} htt_canonical;

/* `canonical` must not move afterwards. The key has been checked. */
void htt_canonical_of(htt_datum key, htt_canonical *canonical);

enum { HTT_KEY_TEXT_SIZE = 96 };
/* 17, 1.5, 'text', x'00ff', for messages; cut with "..." where it is long. */
void htt_key_show(htt_datum key, char *text, size_t size);

/* "integer", "text" ... */
const char *htt_type_name(unsigned type);

/* --------------------------------------------------------------- fields */

typedef struct htt_fields_piece htt_fields_piece; /* memory that a codec asked for */

struct htt_fields {
    const htt_backing *backing;           /* for names and errors */
    htt_datum key;                        /* of the row */
    htt_datum *columns;                   /* when decoding: the store's; else owned */
    uint8_t (*scratch)[HTT_NUMBER_SIZE]; /* of numbers that were set; owned */
    htt_fields_piece *pieces;             /* owned list */
    bool encoding;                        /* columns may be set */
};

/* Ready for encode. HTT_NOMEM with a text. End it with htt_fields_end in every case. */
htt_rc htt_fields_begin(htt_fields *fields, const htt_backing *backing, htt_datum key);
/* Ready for decode of a row. */
void htt_fields_begin_row(htt_fields *fields, const htt_backing *backing, const htt_repo_row *row);
void htt_fields_end(htt_fields *fields);

/* Fails with "<schema>.<table>[<key>]: ..." */
htt_rc htt_backing_fail(const htt_backing *backing, const htt_datum *key, htt_rc rc,
                        const char *format, ...) HTT_SQL_PRINTF(4, 5);

/* ------------------------------------------------------------- identity */

/*
 * Which objects a unit of work has got, by key. `depth` is that of the unit, 1 = the outermost.
 *
 *                      loaded by get        inner unit commits     inner unit rolls back
 *   entry              depth d              becomes d - 1          those loaded or written by it
 *                                                                  are forgotten
 *   forgotten object   becomes d - 1          lives until the unit ends in whose depth it was
 *                                             loaded, and no other of that depth or below is left
 */
typedef struct htt_identity htt_identity;

typedef struct htt_identity_entry {
    struct htt_identity_entry *next; /* in its bucket, or of the forgotten ones */
    void *object;                    /* owned, made by the codec */
    int64_t version;                 /* stored; -1: not known */
    unsigned loaded;                 /* depth in which it was got */
    unsigned written;                /* depth in which it was written last, 0 = not */
    uint64_t hash;                   /* of class and key */
    uint8_t klass;                   /* of the key */
    size_t size;                     /* of the key */
    uint8_t key[];                   /* its bytes */
} htt_identity_entry;

/* NULL: no memory. */
htt_identity *htt_identity_new(const htt_codec *codec);
/* Frees all objects. NULL is allowed. */
void htt_identity_free(htt_identity *identity);
htt_identity_entry *htt_identity_find(htt_identity *identity, htt_datum key);
/* Takes the object. NULL: no memory, and it does not. The key is not in it. */
htt_identity_entry *htt_identity_add(htt_identity *identity, htt_datum key, void *object,
                                     int64_t version, unsigned depth);
/* The entry goes, the object stays until its unit ends. */
void htt_identity_forget(htt_identity *identity, htt_identity_entry *entry);
void htt_identity_forget_all(htt_identity *identity);
void htt_identity_commit(htt_identity *identity, unsigned depth);
void htt_identity_rollback(htt_identity *identity, unsigned depth);
/* Frees what was forgotten in that depth and below. */
void htt_identity_end(htt_identity *identity, unsigned depth);

/* ----------------------------------------------------------- repository */

struct htt_repo {
    htt_db *db;               /* borrowed */
    htt_repo *next;           /* of the unit's list */
    htt_open_thing thing;     /* of the db's list, unless it is a unit's */
    htt_backing *backing;     /* the db's; owned when own */
    const htt_codec *codec;   /* borrowed */
    bool own;                 /* over the application's store */
    htt_identity *identity;   /* owned; NULL: not of a unit */
    const unsigned *depth;    /* of the unit; NULL: not of a unit */
    const char *const *state; /* of the unit: why it takes no calls, or NULL; NULL: not of a unit */
};

/* A unit's: `depth` and `state` are borrowed from it. */
htt_rc htt_repo_open_in_unit(htt_db *db, const htt_repo_spec *spec, const unsigned *depth,
                             const char *const *state, htt_repo **repo_out);
/* The repository is of this spec. */
bool htt_repo_is_of(const htt_repo *repo, const htt_repo_spec *spec);
void htt_repo_free_in_unit(htt_repo *repo);

#endif
