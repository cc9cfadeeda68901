/* SPDX-License-Identifier: MIT */
/* Whole units, tried again while the database is busy. */
#include <stddef.h>
#include <string.h>

#include "sql/uow/uow.h"

/* Of the first version of htt_uow_options. */
enum { RUN_OPTIONS_FIRST = offsetof(htt_uow_options, most_ms) + sizeof(uint32_t) };

void htt_uow_options_init(htt_uow_options *options) {
    memset(options, 0, sizeof *options);
    options->struct_size = sizeof *options;
    options->mode = HTT_UOW_IMMEDIATE;
    options->attempts = 10;
    options->first_ms = 5;
    options->most_ms = 1000;
}

static htt_rc run_take_options(htt_db *db, const htt_uow_options *given, htt_uow_options *options) {
    htt_uow_options_init(options);
    if (given == NULL) {
        return HTT_OK;
    }
    const htt_rc rc = htt_db_take_options(db, "htt_uow_options", options, sizeof *options, given,
                                          RUN_OPTIONS_FIRST);
    if (rc == HTT_OK && (options->attempts == 0 || options->first_ms > options->most_ms)) {
        return htt_db_fail(db, HTT_MISUSE,
                           "htt_uow_options: attempts is %u, from 1; first_ms is %u, at most "
                           "most_ms, which is %u",
                           options->attempts, options->first_ms, options->most_ms);
    }
    return rc;
}

/* Once. HTT_OK: it is committed, or the work ended the unit itself. */
static htt_rc run_once(htt_db *db, htt_uow_work *work, void *arg, htt_uow_mode mode) {
    htt_uow *uow;
    htt_rc rc = htt_uow_begin(db, mode, &uow);
    if (rc != HTT_OK) {
        return rc;
    }
    db->error_rc = HTT_OK;
    db->error_text[0] = '\0';
    rc = work(uow, arg);
    if (rc == HTT_OK && uow->state == UOW_ACTIVE) {
        rc = htt_uow_commit(uow);
    } else if (rc != HTT_OK && db->error_rc != rc) {
        (void)htt_db_fail(db, rc, "the unit's work gave: %s", htt_strerror(rc));
    }
    htt_uow_end(uow); /* leaves the error as it is */
    return rc;
}

/* Between half and all of first * 2^(attempt - 1), at most `most`. */
static void run_pause(const htt_db *db, const htt_uow_options *options, unsigned attempt) {
    const htt_platform *const platform = &db->platform;
    uint64_t span = options->first_ms;
    for (unsigned i = 1; i < attempt && span < options->most_ms; i++) {
        span *= 2;
    }
    span = span < options->most_ms ? span : options->most_ms;
    const uint64_t half = span / 2;
    platform->sleep_ms(platform->context,
                       span - half + platform->random64(platform->context) % (half + 1));
}

htt_rc htt_uow_run(htt_db *db, htt_uow_work *work, void *arg, const htt_uow_options *given) {
    htt_uow_options options;
    if (db == NULL || work == NULL) {
        return db == NULL ? HTT_MISUSE : htt_db_fail(db, HTT_MISUSE, "the unit's work is NULL");
    }
    htt_rc rc = run_take_options(db, given, &options);
    if (rc != HTT_OK) {
        return rc;
    }
    const bool inside = htt_db_in_transaction(db);
    for (unsigned attempt = 1;; attempt++) {
        rc = run_once(db, work, arg, options.mode);
        if ((rc != HTT_BUSY && rc != HTT_SNAPSHOT) || inside) {
            return rc;
        }
        if (attempt == options.attempts) {
            return htt_db_fail(db, rc, "given up after %u attempts: %s", attempt,
                               htt_db_errmsg(db));
        }
        run_pause(db, &options, attempt);
    }
}
