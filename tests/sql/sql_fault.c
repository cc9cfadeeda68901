/* SPDX-License-Identifier: MIT */
/* Faults of what sql/ stands on. */
#include "sql_fault.h"

#include "sql/base/memory.h"

const char *const fault_names[FAULT_KINDS] = {"ours", "sqlite", "step", "prepare"};

static struct {
    fault_kind kind;   /* what fails */
    bool armed;        /* faults happen */
    bool persistent;   /* from then on, or once */
    uint64_t left;     /* calls before the one that fails */
    uint64_t happened; /* faults since it was armed */
} fault;

static sqlite3_mem_methods fault_memory;

static bool fault_now(fault_kind kind) {
    if (!fault.armed || fault.kind != kind) {
        return false;
    }
    if (fault.left > 0) {
        fault.left--;
        return false;
    }
    if (fault.happened > 0 && !fault.persistent) {
        return false;
    }
    fault.happened++;
    return true;
}

static bool fault_gate(size_t size) {
    (void)size;
    return !fault_now(FAULT_OURS);
}
static void *fault_malloc(int size) {
    return fault_now(FAULT_SQLITE) ? NULL : fault_memory.xMalloc(size);
}
static void *fault_realloc(void *memory, int size) {
    return fault_now(FAULT_SQLITE) ? NULL : fault_memory.xRealloc(memory, size);
}
static int fault_progress(void *context) {
    (void)context;
    return fault_now(FAULT_STEP);
}
static int fault_authorize(void *context, int action, const char *a, const char *b, const char *c,
                           const char *d) {
    (void)context;
    (void)a;
    (void)b;
    (void)c;
    (void)d;
    const bool asked = action == SQLITE_READ || action == SQLITE_INSERT ||
                       action == SQLITE_UPDATE || action == SQLITE_DELETE;
    return asked && fault_now(FAULT_PREPARE) ? SQLITE_DENY : SQLITE_OK;
}

bool fault_init(void) {
    if (sqlite3_config(SQLITE_CONFIG_GETMALLOC, &fault_memory) != SQLITE_OK) {
        return false;
    }
    sqlite3_mem_methods methods = fault_memory;
    methods.xMalloc = fault_malloc;
    methods.xRealloc = fault_realloc;
    htt_memory_gate = fault_gate;
    /* No small memory of each connection's own: every allocation is one that can fail. */
    return sqlite3_config(SQLITE_CONFIG_MALLOC, &methods) == SQLITE_OK &&
           sqlite3_config(SQLITE_CONFIG_LOOKASIDE, 0, 0) == SQLITE_OK;
}

void fault_watch(sqlite3 *connection) {
    sqlite3_progress_handler(connection, 1, fault_progress, NULL);
    (void)sqlite3_set_authorizer(connection, fault_authorize, NULL);
}

void fault_arm(fault_kind kind, uint64_t at, bool persistent) {
    fault.kind = kind;
    fault.persistent = persistent;
    fault.left = at;
    fault.happened = 0;
    fault.armed = true;
}

uint64_t fault_disarm(void) {
    fault.armed = false;
    return fault.happened;
}
