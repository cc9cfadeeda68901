/* SPDX-License-Identifier: MIT */
/*
 * Consumers: a row of htt_consumer with store 0 has the position, its row of htt_subscription the
 * rules. Triggers of htt_delivery.sql make the second with the first, and clear up after it.
 */
#include <inttypes.h>
#include <string.h>

#include "sql/base/json.h"
#include "sql/event/event.h"
#include "sql/event/sql.h"

enum { CONSUMER_BACKOFF_LIMIT = 86400000 };

void htt_consumer_options_init(htt_consumer_options *options) {
    memset(options, 0, sizeof *options);
    options->struct_size = sizeof *options;
    options->max_attempts = 20;
    options->backoff_first_ms = 500;
    options->backoff_most_ms = 60000;
}

static htt_rc consumer_check_types(htt_db *db, const char *name, const char *types) {
    size_t at = 0;
    if (types == NULL) {
        return HTT_OK;
    }
    if (!htt_json_is_valid(types, strlen(types), &at)) {
        return htt_db_fail(db, HTT_INVALID, "consumer '%s': types is not valid JSON at byte %zu",
                           name, at);
    }
    return types[strspn(types, " \t\r\n")] == '['
               ? HTT_OK
               : htt_db_fail(db, HTT_INVALID, "consumer '%s': types is JSON, but no array", name);
}

htt_rc htt_consumer_check(htt_db *db, const char *name, const htt_consumer_options *options) {
    const htt_rc rc = htt_event_check_name(db, "consumer: the name", name, SIZE_MAX);
    if (rc != HTT_OK) {
        return rc;
    }
    if (options->struct_size != sizeof *options ||
        (options->from != HTT_FROM_NEWEST && options->from != HTT_FROM_OLDEST) ||
        (options->on_dead != HTT_ON_DEAD_BLOCK && options->on_dead != HTT_ON_DEAD_SKIP)) {
        return htt_db_fail(db, HTT_MISUSE,
                           "consumer '%s': these options are not made by htt_consumer_options_init",
                           name);
    }
    if (options->max_attempts == 0 || options->backoff_first_ms == 0 ||
        options->backoff_most_ms < options->backoff_first_ms ||
        options->backoff_most_ms > CONSUMER_BACKOFF_LIMIT) {
        return htt_db_fail(db, HTT_MISUSE,
                           "consumer '%s': max_attempts is 1 or more, and "
                           "1 <= backoff_first_ms <= backoff_most_ms <= %d",
                           name, CONSUMER_BACKOFF_LIMIT);
    }
    return consumer_check_types(db, name, options->types);
}

/* The trigger says that a type is unknown; this says which one. */
static htt_rc consumer_unknown(htt_db *db, const char *name, const char *types, htt_rc rc) {
    sqlite3_stmt *statement;
    bool row = false;
    /* It was checked before: SQLite's json_valid has no memory for it. */
    if (rc == HTT_CONSTRAINT && strstr(htt_db_errmsg(db), "is not a JSON array") != NULL) {
        return htt_db_fail_memory(db);
    }
    if (rc != HTT_CONSTRAINT || strstr(htt_db_errmsg(db), "not in htt_event_type") == NULL) {
        return rc;
    }
    rc = htt_event_begin(db, CONSUMER_UNKNOWN, &statement, "t", types);
    if (rc != HTT_OK) {
        return rc;
    }
    rc = htt_event_step(db, statement, &row);
    if (rc == HTT_OK) {
        const char *const type = row ? htt_event_text(statement, 0) : NULL;
        rc = htt_db_fail(db, HTT_NOTFOUND,
                         "consumer '%s' asks for the type '%s', which is not declared: "
                         "htt_event_declare, or correct it",
                         name, type == NULL ? "" : type);
    }
    htt_statement_done(statement);
    return rc;
}

static htt_rc consumer_add(htt_db *db, const char *name, const htt_consumer_options *options) {
    htt_rc rc = htt_event_run(db, CONSUMER_ADD, NULL, "ti", name,
                              (int64_t)(options->from == HTT_FROM_OLDEST));
    if (rc == HTT_OK) { /* the rules may have been deleted by hand */
        rc = htt_event_run(db, CONSUMER_ADD_RULES, NULL, "t", name);
    }
    if (rc == HTT_OK) {
        rc = htt_event_run(db, CONSUMER_RULES, NULL, "tttiii", name, options->types,
                           options->on_dead == HTT_ON_DEAD_SKIP ? "skip" : "block",
                           (int64_t)options->max_attempts, (int64_t)options->backoff_first_ms,
                           (int64_t)options->backoff_most_ms);
        rc = consumer_unknown(db, name, options->types, rc);
    }
    return rc;
}

htt_rc htt_consumer_register(htt_db *db, const char *name, const htt_consumer_options *options) {
    htt_consumer_options defaults;
    htt_scope scope;
    if (options == NULL) {
        htt_consumer_options_init(&defaults);
        options = &defaults;
    }
    htt_rc rc = htt_consumer_check(db, name, options);
    if (rc == HTT_OK) {
        rc = htt_scope_enter(db, &scope, HTT_SCOPE_IMMEDIATE);
    }
    if (rc != HTT_OK) {
        return rc;
    }
    rc = htt_db_is_fake(db) ? htt_fake_consumer_register(db, name, options)
                            : consumer_add(db, name, options);
    return htt_scope_leave(db, &scope, rc);
}

static htt_rc consumer_missing(htt_db *db, const char *name) {
    return htt_db_fail(db, HTT_NOTFOUND, "consumer '%s' is not registered: htt_consumer_register",
                       name);
}

htt_rc htt_consumer_remove(htt_db *db, const char *name) {
    int64_t removed = 0;
    htt_rc rc = htt_event_check_name(db, "consumer: the name", name, SIZE_MAX);
    if (rc != HTT_OK) {
        return rc;
    }
    if (htt_db_is_fake(db)) {
        rc = htt_fake_consumer_remove(db, name);
        return rc == HTT_NOTFOUND ? consumer_missing(db, name) : rc;
    }
    rc = htt_event_run(db, CONSUMER_REMOVE, &removed, "t", name);
    return rc == HTT_OK && removed == 0 ? consumer_missing(db, name) : rc;
}

static htt_rc consumer_state(htt_db *db, const char *name, htt_consumer_state *state_out) {
    sqlite3_stmt *statement;
    bool row = false;
    htt_rc rc = htt_event_begin(db, CONSUMER_STATE, &statement, "t", name);
    if (rc != HTT_OK) {
        return rc;
    }
    rc = htt_event_step(db, statement, &row);
    if (rc == HTT_OK && row) {
        *state_out = (htt_consumer_state){
            .acknowledged = sqlite3_column_int64(statement, 0),
            .newest = sqlite3_column_int64(statement, 1),
            .pending = sqlite3_column_int64(statement, 2),
            .waiting = sqlite3_column_int64(statement, 3),
            .leased = sqlite3_column_int64(statement, 4),
            .failed = sqlite3_column_int64(statement, 5),
            .dead = sqlite3_column_int64(statement, 6),
        };
    }
    htt_statement_done(statement);
    return rc == HTT_OK && !row ? HTT_NOTFOUND : rc;
}

htt_rc htt_consumer_read(htt_db *db, const char *name, htt_consumer_state *state_out) {
    htt_rc rc = htt_event_check_name(db, "consumer: the name", name, SIZE_MAX);
    if (rc != HTT_OK) {
        return rc;
    }
    rc = htt_db_is_fake(db) ? htt_fake_consumer_read(db, name, state_out)
                            : consumer_state(db, name, state_out);
    return rc == HTT_NOTFOUND ? consumer_missing(db, name) : rc;
}
