/* SPDX-License-Identifier: MIT */
/*
 * Where sagas are kept: the tables htt_saga and htt_saga_definition, or a fake's (fake.h). Nobody
 * else reads or writes them. What a row means is not known here; that its columns have the types
 * and ranges of a saga_row is.
 */
#ifndef HTT_SAGA_STORE_H
#define HTT_SAGA_STORE_H

#include "sql/base/db.h"
#include "sql/saga/rules.h"

/* Frees the texts and zeroes the row. */
void htt_saga_row_clear(saga_row *row);

/* 0: no such name. */
htt_saga_state htt_saga_state_parse(const char *name);

/* ------------------------------------------------------------ definitions */

typedef enum saga_steps {
    SAGA_STEPS_ABSENT = 1, /* the database does not know the definition */
    SAGA_STEPS_SAME = 2,   /* with the same steps */
    SAGA_STEPS_OTHER = 3   /* with others */
} saga_steps;

/* `steps` is a JSON array without white space. */
htt_rc htt_saga_store_steps(htt_db *db, const htt_saga_definition *definition, const char *steps,
                            saga_steps *found_out);
htt_rc htt_saga_store_put_steps(htt_db *db, const htt_saga_definition *definition,
                                const char *steps);
/* Instances that are neither completed nor compensated. */
htt_rc htt_saga_store_count_open(htt_db *db, const htt_saga_definition *definition,
                                 int64_t *count_out);

/* -------------------------------------------------------------- instances */

/* HTT_EXISTS: the id is in use. */
htt_rc htt_saga_store_insert(htt_db *db, const saga_row *row);
/* Fills a zeroed row. HTT_NOTFOUND; HTT_CORRUPT: a column is no value that we write. */
htt_rc htt_saga_store_load(htt_db *db, const char *id, saga_row *row_out);
/* Writes all that may change, with version + 1. HTT_CONFLICT: the row has another version. */
htt_rc htt_saga_store_update(htt_db *db, const saga_row *row);
/* Due now, and version + 1. *count_out 0: there is none, or it ended. */
htt_rc htt_saga_store_wake(htt_db *db, const char *id, int64_t now, int64_t *count_out);
/* Deletes completed and compensated ones that were changed at `before` or earlier. */
htt_rc htt_saga_store_purge(htt_db *db, int64_t before, int64_t limit, int64_t *count_out);

/* ----------------------------------------------------------------- search */

/* Where a search stands; zeroed = at its begin. */
typedef struct saga_place {
    int64_t at;               /* next_at or updated_at of the row found */
    char id[HTT_SAGA_ID_MAX]; /* its id; "" = none yet */
    int64_t passed;           /* rows behind it whose id is none, to be passed over */
} saga_place;

/*
 * The next instance that is due, by next_at and id. HTT_NOTFOUND, without a message: no more.
 * HTT_CORRUPT with `passed` counted up: a row whose id is none that we write; the search may go on.
 */
htt_rc htt_saga_store_due(htt_db *db, const htt_saga_definition *definition, int64_t now,
                          saga_place *place);
/* The next instance in a state, by updated_at and id. HTT_NOTFOUND: no more. */
htt_rc htt_saga_store_each(htt_db *db, htt_saga_state state, saga_place *place);
/* When the first unfinished instance of the definition is due; 0 = there is none. */
htt_rc htt_saga_store_next(htt_db *db, const htt_saga_definition *definition, int64_t *next_at_out);

/* Unfinished instances of one definition and version. Zeroed = at the begin of the search. */
typedef struct saga_group {
    char *definition; /* owned */
    int64_t version;  /* of the definition */
} saga_group;

/* The next group. HTT_NOTFOUND: no more; definition is NULL then, as after every failure. */
htt_rc htt_saga_store_group(htt_db *db, saga_group *group);
htt_rc htt_saga_store_count_group(htt_db *db, const saga_group *group, int64_t *count_out);

#endif
