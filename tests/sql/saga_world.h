/* SPDX-License-Identifier: MIT */
/*
 * What the tests of sagas share: a database, a clock that stands still unless it is told to move,
 * and a saga of up to WORLD_STEPS steps "a", "b", ... whose actions and compensations do as they
 * are told.
 *
 * What ran and was committed stands in the table `trace(saga, what)`: "+a" for the action of a,
 * "-a" for its compensation; and as an event of the same type. An action that fails writes both
 * before it fails, so anything that is not undone is found.
 */
#ifndef HTT_TESTS_SQL_SAGA_WORLD_H
#define HTT_TESTS_SQL_SAGA_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "sql/htt_event.h"
#include "sql/htt_saga.h"

#define WORLD_STEPS 4u

/* What an action or compensation does. */
typedef enum world_act {
    WORLD_DOES = 0,    /* succeeds */
    WORLD_REFUSES = 1, /* htt_saga_refuse */
    WORLD_FAILS = 2,   /* an error, each time */
    WORLD_ONCE = 3,    /* htt_saga_later the first time, then succeeds */
    WORLD_SQL = 4,     /* a statement that fails, without a reason of its own */
    WORLD_ROLLBACK = 5 /* a statement that rolls back the whole transaction */
} world_act;

typedef struct saga_world {
    sqlite3 *connection;                  /* with the table trace */
    htt_db *db;                           /* in it */
    htt_sagas *sagas;                     /* in it */
    int64_t now;                          /* the clock, ms */
    uint64_t random;                      /* state of the random numbers */
    uint64_t slept;                       /* ms that were slept away */
    world_act actions[WORLD_STEPS];       /* what is told */
    world_act compensations[WORLD_STEPS]; /* the same */
    htt_rc (*during)(struct saga_world *world, htt_saga_call *call); /* in each; NULL = nothing */
    htt_uow *left;                    /* by an action that does not end what it begins */
    unsigned calls;                   /* of actions and compensations */
    htt_saga_step steps[WORLD_STEPS]; /* of the definition; may be changed before it is announced */
    htt_saga_definition definition;   /* "saga" version 1 with all steps */
} saga_world;

/* A path, or ":memory:". Nothing is announced yet. world_open makes the tables. */
void world_init(saga_world *world);
void world_open(saga_world *world, const char *path);
/* The same in a connection that is open; closed with the world. */
void world_open_in(saga_world *world, sqlite3 *connection);
/* The same in a fake: no connection, no table trace. */
void world_open_fake(saga_world *world);
void world_close(saga_world *world);

/* Announces world->definition. */
void world_define(saga_world *world);
/* Starts one with {} and this key (NULL = none). */
void world_start(saga_world *world, const char *key, char id[HTT_SAGA_ID_MAX]);
/* Resumes and moves the clock to what is due next, until everything ended. */
void world_finish(saga_world *world, htt_saga_report *report_out);

/* The trace of a saga by its events, and how it stands: "+a+b-a", "compensated -1 - {}". */
const char *world_trace_of(saga_world *world, const char *id);
const char *world_status_of(saga_world *world, const char *id);

/* A statement; one value as text, "NULL", "" where there is no row. Until the next call. */
void world_run(sqlite3 *connection, const char *sql);
const char *world_value(sqlite3 *connection, const char *sql);

#define expect_text(world, sql, text)                                                              \
    assert_string_equal(world_value((world)->connection, sql), text)
#define expect_error(world, part) expect_part(htt_db_errmsg((world)->db), part)
#define expect_part(text, part)                                                                    \
    do {                                                                                           \
        if (strstr(text, part) == NULL) {                                                          \
            fail_msg("'%s' is not in '%s'", part, text);                                           \
        }                                                                                          \
    } while (0)

#endif
