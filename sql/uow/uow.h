/* SPDX-License-Identifier: MIT */
/* The inside of a unit of work. */
#ifndef HTT_SQL_UOW_UOW_H
#define HTT_SQL_UOW_UOW_H

#include "sql/base/db.h"
#include "sql/htt_uow.h"
#include "sql/repo/repo.h"

typedef enum htt_uow_state { UOW_ACTIVE, UOW_COMMITTED, UOW_ROLLED_BACK } htt_uow_state;

/* A collected event; the copy stands behind it. */
typedef struct htt_uow_event_copy htt_uow_event_copy;

typedef struct htt_uow_events {
    htt_uow_event_copy *first; /* owned list, in order */
    htt_uow_event_copy *last;  /* of the list */
} htt_uow_events;

struct htt_uow {
    htt_db *db;            /* borrowed */
    htt_open_thing thing;  /* of the db's list */
    htt_uow *parent;       /* NULL: the outermost */
    htt_uow *root;         /* the outermost; NULL: that one is gone */
    unsigned level;        /* 1 = the outermost */
    htt_uow_state state;   /* see htt_uow.h */
    htt_scope scope;       /* of an active one */
    htt_uow_events events; /* to be written at the commit */
    unsigned depth;        /* of the root: level of the innermost active one */
    const char *closed;    /* of the root: why its repositories take no calls; NULL: they do */
    htt_repo *repos;       /* of the root: owned list */
};

/* Collected events, events.c. */
htt_rc htt_uow_events_add(htt_db *db, htt_uow_events *events, const struct htt_event *event);
/* Appends all to `to`. */
void htt_uow_events_move(htt_uow_events *events, htt_uow_events *to);
/* Writes all in one savepoint, and empties the list when that worked. */
htt_rc htt_uow_events_write(htt_db *db, htt_uow_events *events);
void htt_uow_events_clear(htt_uow_events *events);

#endif
