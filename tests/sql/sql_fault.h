/* SPDX-License-Identifier: MIT */
/*
 * Faults of what sql/ stands on: the n-th call of a kind fails, once or from then on.
 *
 *     main: fault_init();                                   before anything of SQLite
 *     fault_watch(connection);                              its statements can fail, too
 *     for (uint64_t at = 0;; at++) {
 *         fault_arm(FAULT_SQLITE, at, false);
 *         work();
 *         if (fault_disarm() == 0) break;                   it was not reached: all were seen
 *     }
 */
#ifndef HTT_TESTS_SQL_SQL_FAULT_H
#define HTT_TESTS_SQL_SQL_FAULT_H

#include <stdbool.h>
#include <stdint.h>

#include <sqlite3.h>

typedef enum fault_kind {
    FAULT_OURS,    /* an allocation of this layer */
    FAULT_SQLITE,  /* an allocation of SQLite */
    FAULT_STEP,    /* an instruction of a watched connection's statement */
    FAULT_PREPARE, /* an access that one asks for when it is prepared */
    FAULT_KINDS
} fault_kind;

extern const char *const fault_names[FAULT_KINDS];

/* False: SQLite does not take another allocator. */
bool fault_init(void);
/* Takes the connection's progress handler and authorizer. */
void fault_watch(sqlite3 *connection);
/* The call number `at` from now, from 0, fails; with `persistent` all behind it, too. */
void fault_arm(fault_kind kind, uint64_t at, bool persistent);
/* No more faults. Gives how many there were since fault_arm. */
uint64_t fault_disarm(void);

#endif
