/* SPDX-License-Identifier: MIT */
/*
 * Every allocation of ours and of SQLite, and every SQL statement, fails in turn while sagas are
 * opened, defined, started, resumed, looked at and requeued; of SQLite's allocations and
 * instructions one in FAULT_STRIDE, all with HTT_TEST_LONG=1. Each call then gives an error with a
 * message or works all the same; nothing is half done, and without faults everything ends as it
 * would have.
 */
#include "saga_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sql/base/memory.h"

/* Every so many are tried: of SQLite's, and of the few others. */
#ifdef __SANITIZE_ADDRESS__
#define FAULT_STRIDE 127u
#define FAULT_STRIDE_FEW 5u
#else
#define FAULT_STRIDE 31u
#define FAULT_STRIDE_FEW 1u
#endif

/* ---------------------------------------------------------- what can fail */

typedef enum fault_kind {
    FAULT_OURS,      /* an allocation of this layer */
    FAULT_SQLITE,    /* an allocation of SQLite */
    FAULT_STATEMENT, /* a statement is interrupted, at each of its instructions; once only, as who
                        interrupts everything interrupts ROLLBACK too */
    FAULT_DENIED,    /* an authorizer denies an access when a statement is prepared */
    FAULT_KINDS
} fault_kind;

static const char *const fault_names[FAULT_KINDS] = {"ours", "sqlite", "statement", "denied"};

static bool fault_armed;
static fault_kind fault_of;
static size_t fault_left;   /* until it fails */
static bool fault_once;     /* once, or from then on */
static bool fault_happened; /* since it was armed */
static sqlite3_mem_methods fault_methods;

static bool fault_now(fault_kind kind) {
    if (!fault_armed || kind != fault_of) {
        return false;
    }
    if (fault_left > 0) {
        fault_left--;
        return false;
    }
    if (fault_once && fault_happened) {
        return false;
    }
    fault_happened = true;
    return true;
}

static bool fault_gate(size_t size) {
    (void)size;
    return !fault_now(FAULT_OURS);
}

static void *fault_malloc(int size) {
    return fault_now(FAULT_SQLITE) ? NULL : fault_methods.xMalloc(size);
}

static void *fault_realloc(void *memory, int size) {
    return fault_now(FAULT_SQLITE) ? NULL : fault_methods.xRealloc(memory, size);
}

static int fault_progress(void *ignored) {
    (void)ignored;
    return fault_now(FAULT_STATEMENT);
}

static int fault_authorize(void *ignored, int action, const char *a, const char *b, const char *c,
                           const char *d) {
    (void)ignored;
    (void)a;
    (void)b;
    (void)c;
    (void)d;
    return (action == SQLITE_READ || action == SQLITE_INSERT || action == SQLITE_UPDATE ||
            action == SQLITE_DELETE) &&
                   fault_now(FAULT_DENIED)
               ? SQLITE_DENY
               : SQLITE_OK;
}

/* --------------------------------------------------------------- the work */

/* The calls in their order; `rc` of the first that failed, and its message. */
typedef struct fault_run {
    saga_world *world; /* borrowed */
    htt_rc rc;         /* of the first that failed */
    char why[300];     /* its message */
} fault_run;

static bool fault_ok(fault_run *run, htt_rc rc) {
    if (rc != HTT_OK && run->rc == HTT_OK) {
        run->rc = rc;
        (void)snprintf(run->why, sizeof run->why, "%s", htt_db_errmsg(run->world->db));
    }
    return rc == HTT_OK;
}

static htt_rc fault_visit(const htt_saga_instance *instance, void *arg) {
    (void)instance;
    ++*(unsigned *)arg;
    return HTT_OK;
}

static htt_rc fault_during(saga_world *world, htt_saga_call *call) {
    const char *const data = htt_saga_call_data(call);
    (void)world;
    if (htt_saga_call_id(call)[0] == '1' && (data[9] == '-' ? data[10] == 'b' : data[10] == 'c')) {
        return htt_saga_refuse(call, "no");
    }
    return HTT_OK;
}

static bool fault_sequence(fault_run *run) {
    saga_world *const world = run->world;
    htt_sagas **const sagas = &world->sagas;
    htt_saga_report report = {0};
    unsigned seen = 0;
    const htt_saga_input first = {.definition = "saga", .id = "0", .key = "k0"};
    const htt_saga_input second = {.definition = "saga", .id = "1", .key = "k1"};
    const htt_saga_input other = {.definition = "other", .id = "2", .key = "k2"};
    static htt_saga_definition definition;
    char id[HTT_SAGA_ID_MAX];
    definition = world->definition;
    definition.name = "other";
    if (!fault_ok(run, htt_saga_open(world->db, sagas)) ||
        !fault_ok(run, htt_saga_define(*sagas, &definition, world)) ||
        !fault_ok(run, htt_saga_start(*sagas, &other, id))) {
        return false;
    }
    htt_saga_close(*sagas); /* forgets the other, which resume then counts */
    *sagas = NULL;
    if (!fault_ok(run, htt_saga_open(world->db, sagas)) ||
        !fault_ok(run, htt_saga_define(*sagas, &world->definition, world)) ||
        !fault_ok(run, htt_saga_start(*sagas, &first, id)) ||
        !fault_ok(run, htt_saga_start(*sagas, &first, id)) ||
        !fault_ok(run, htt_saga_start(*sagas, &second, id)) ||
        !fault_ok(run, htt_saga_wake(*sagas, "1")) ||
        !fault_ok(run, htt_saga_advance(*sagas, "1", 0, NULL)) ||
        !fault_ok(run, htt_saga_resume(*sagas, 0, &report)) ||
        !fault_ok(run, htt_saga_requeue(*sagas, "1", HTT_SAGA_SKIP)) ||
        !fault_ok(run, htt_saga_resume(*sagas, 0, &report)) ||
        !fault_ok(run, htt_saga_each(*sagas, 0, fault_visit, &seen)) ||
        !fault_ok(run, htt_saga_get(*sagas, "1", fault_visit, &seen))) {
        return false;
    }
    return true;
}

/* No trace without its event, none twice, and the rows say the same. */
static void fault_check(saga_world *world, const char *what) {
    expect_text(world,
                "SELECT count(*) FROM (SELECT saga, what, count(*) AS n FROM trace GROUP BY 1, 2)"
                " WHERE n <> 1",
                "0");
    expect_text(world,
                "SELECT (SELECT count(*) FROM trace) - (SELECT count(*) FROM htt_event WHERE "
                "aggregate_type = 'trace')",
                "0");
    const char *const wrong = world_value(
        world->connection,
        "SELECT id || state || step FROM (SELECT *, (SELECT count(*) FROM trace WHERE saga = id AND"
        " what LIKE '+_') AS done FROM htt_saga) WHERE state IN ('running', 'completed') AND"
        " step <> done");
    if (wrong[0] != '\0') {
        fail_msg("%s: %s", what, wrong);
    }
}

/* A world in which the tables are there; the saga's handle is opened by the sequence. */
static void fault_open(saga_world *world) {
    world_init(world);
    world->definition.events = true;
    world->during = fault_during;
    world_open(world, ":memory:");
    htt_saga_close(world->sagas);
    world->sagas = NULL;
}

/* From a fault to the next that is tried: SQLite has very many. */
static size_t fault_stride(fault_kind kind) {
    if (getenv("HTT_TEST_LONG") != NULL) {
        return 1;
    }
    if (kind == FAULT_OURS || kind == FAULT_DENIED) {
        return FAULT_STRIDE_FEW;
    }
    return FAULT_STRIDE;
}

/* How many there are: until it did not come up any more. */
static size_t fault_each(fault_kind kind, bool once) {
    size_t count = 0;
    for (bool done = false; !done; count += fault_stride(kind)) {
        saga_world world;
        fault_run run = {.world = &world};
        char what[100];
        (void)snprintf(what, sizeof what, "%s fault %zu, %s", fault_names[kind], count,
                       once ? "once" : "from there on");
        fault_open(&world);
        sqlite3_progress_handler(world.connection, kind == FAULT_STATEMENT ? 1 : 0, fault_progress,
                                 NULL);
        (void)sqlite3_set_authorizer(world.connection,
                                     kind == FAULT_DENIED ? fault_authorize : NULL, NULL);
        fault_of = kind;
        fault_left = count;
        fault_once = once;
        fault_happened = false;
        fault_armed = true;
        const bool worked = fault_sequence(&run);
        fault_armed = false;
        sqlite3_progress_handler(world.connection, 0, NULL, NULL);
        (void)sqlite3_set_authorizer(world.connection, NULL, NULL);
        done = !fault_happened;
        if (!worked && !fault_happened) {
            fail_msg("%s: %s", what, run.why);
        }
        if (!worked && run.why[0] == '\0') {
            fail_msg("%s: no message", what);
        }
        if (sqlite3_get_autocommit(world.connection) == 0) {
            fail_msg("%s: a transaction is open: %s", what, run.why);
        }
        fault_check(&world, what);
        /* Then without faults, from whatever is there. */
        htt_saga_close(world.sagas);
        world.sagas = NULL;
        run.rc = HTT_OK;
        if (!fault_sequence(&run) && run.rc != HTT_EXISTS && run.rc != HTT_MISUSE &&
            run.rc != HTT_NOTFOUND) {
            fail_msg("%s, afterwards: %s", what, run.why);
        }
        world_finish(&world, NULL);
        fault_check(&world, what);
        world_close(&world);
    }
    return count;
}

static void test_faults__everything_that_can_fail_fails_in_turn(void **state) {
    size_t sum = 0;
    (void)state;
    for (int kind = 0; kind < FAULT_KINDS; kind++) {
        for (int once = kind == FAULT_STATEMENT; once < 2; once++) {
            const size_t count = fault_each((fault_kind)kind, once != 0);
            assert_true(count > 10);
            print_message("%s, %s: %zu\n", fault_names[kind], once ? "once" : "from there on",
                          count);
            sum += count;
        }
    }
    print_message("%zu places\n", sum);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_faults__everything_that_can_fail_fails_in_turn),
    };
    sqlite3_mem_methods mine;
    if (sqlite3_config(SQLITE_CONFIG_GETMALLOC, &fault_methods) != SQLITE_OK) {
        return 1;
    }
    mine = fault_methods;
    mine.xMalloc = fault_malloc;
    mine.xRealloc = fault_realloc;
    if (sqlite3_config(SQLITE_CONFIG_MALLOC, &mine) != SQLITE_OK) {
        return 1;
    }
    htt_memory_gate = fault_gate;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
