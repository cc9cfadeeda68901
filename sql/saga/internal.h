/* SPDX-License-Identifier: MIT */
/* What the files of this folder share. */
#ifndef HTT_SAGA_INTERNAL_H
#define HTT_SAGA_INTERNAL_H

#include "sql/base/db.h"
#include "sql/htt_saga.h"
#include "sql/saga/rules.h"
#include "sql/saga/store.h"

/* A definition that was announced. Both pointers are borrowed. */
typedef struct saga_known {
    const htt_saga_definition *definition; /* of the application */
    void *context;                         /* of its actions */
} saga_known;

struct htt_sagas {
    htt_open_thing thing; /* of the db */
    htt_db *db;           /* borrowed */
    saga_known *known;    /* in the order of their announcement */
    size_t count;         /* of known */
    size_t capacity;      /* of known */
    htt_uow *unit;        /* of the step that runs now; NULL = none */
    size_t turn;          /* which of known htt_saga_resume begins with */
};

struct htt_saga_call {
    htt_sagas *sagas;    /* borrowed */
    htt_uow *unit;       /* of the step, ended by whoever runs it */
    const saga_row *row; /* as it was read */
    char *data;          /* what htt_saga_call_set_data gave, owned; NULL = nothing */
    bool refused;        /* for good */
    char reason[400];    /* of htt_saga_refuse and htt_saga_later; "" = none */
};

/* The db's clock. 0 in a row means "no time", so it begins with 1. */
static inline int64_t saga_now(const htt_sagas *sagas) {
    const int64_t now = htt_db_now_ms(sagas->db);
    return now > 0 ? now : 1;
}

/* Version 0 is the highest. NULL: not announced. */
const saga_known *htt_saga_known_find(const htt_sagas *sagas, const char *name, int64_t version);

/* HTT_OK, or HTT_INVALID with a message that names the saga (NULL: a new one). */
htt_rc htt_saga_check_json(htt_db *db, const char *json, const char *id);

/* Replaces a text of a row by a copy. HTT_NOMEM leaves it. */
htt_rc htt_saga_set_text(htt_db *db, char **field, const char *text);

/* The definition of a row that is open or failed, when the row fits it. */
htt_rc htt_saga_row_known(htt_sagas *sagas, const saga_row *row, const saga_known **known_out);

/*
 * Writes a row that the rules changed, with the name of its step, and its event when the
 * definition asks for them and the state is another than `before`. Version and updated_at are
 * counted on in the row too.
 */
htt_rc htt_saga_row_write(htt_sagas *sagas, const htt_saga_definition *definition, saga_row *row,
                          htt_saga_state before, int64_t now);

/* Appends "saga.started", or "saga." and the name of the row's state; as htt_saga.h says. */
htt_rc htt_saga_event(htt_sagas *sagas, const saga_row *row, bool started);

void htt_saga_row_status(const saga_row *row, bool ran, htt_saga_status *status_out);

/* HTT_MISUSE unless both are there. */
htt_rc htt_saga_check_id(htt_sagas *sagas, const char *id);

#endif
