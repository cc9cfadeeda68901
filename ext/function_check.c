/* SPDX-License-Identifier: MIT */
/*
 * htt_check(table [, schema]): what is wrong with a table's file, one row `ok` or a row for each
 * problem; the hidden columns page and reason say it in parts. Also behind PRAGMA integrity_check.
 */
#include <stddef.h>

#include "function.h"
#include "rc.h"
#include "report.h"

enum { CHECK_PROBLEM, CHECK_PAGE, CHECK_REASON };

/* Where problems go while the engine checks. */
typedef struct check_run {
    htt_report *report; /* gets a row for each */
    int rc;             /* SQLITE_OK, or why it was stopped */
} check_run;

static int check_add(htt_report *report, uint32_t page, const char *reason) {
    htt_report_row *const row = htt_report_add(report);
    if (row == NULL) {
        return SQLITE_NOMEM;
    }
    char *const problem =
        page > 0 ? sqlite3_mprintf("page %u: %s", page, reason) : sqlite3_mprintf("%s", reason);
    row->values[CHECK_PROBLEM] = (htt_report_value){.type = SQLITE_TEXT, .text = problem};
    row->values[CHECK_REASON] =
        (htt_report_value){.type = SQLITE_TEXT, .text = sqlite3_mprintf("%s", reason)};
    if (page > 0) {
        row->values[CHECK_PAGE] = (htt_report_value){.type = SQLITE_INTEGER, .integer = page};
    }
    return problem == NULL || row->values[CHECK_REASON].text == NULL ? SQLITE_NOMEM : SQLITE_OK;
}

static int check_note(void *arg, uint32_t page, const char *problem) {
    check_run *const run = arg;
    run->rc = check_add(run->report, page, problem);
    return run->rc != SQLITE_OK;
}

/* A file that is too damaged to be opened or read has that as its problem. */
static int check_damage(htt_report *report, int rc, char **message_out) {
    if ((rc & 0xff) != SQLITE_CORRUPT || *message_out == NULL) {
        return rc;
    }
    const int added = check_add(report, 0, *message_out);
    sqlite3_free(*message_out);
    *message_out = NULL;
    return added;
}

static int check_run_depth(htt_table *table, unsigned depth, htt_report *report,
                           char **message_out) {
    htt_connection *const connection = table->connection;
    htt_reader *reader = NULL;
    htt_txn *txn = NULL;
    uint64_t problems = 0;
    check_run run = {report, SQLITE_OK};
    int rc = htt_connection_open(connection, &table->arguments, message_out);
    rc = rc == SQLITE_OK ? htt_connection_acquire(connection, &reader, &txn, message_out) : rc;
    if (rc != SQLITE_OK) {
        return check_damage(report, rc, message_out);
    }
    const htt_rc failed = htt_check(txn, depth, check_note, &run, &problems);
    if (run.rc != SQLITE_OK) {
        rc = run.rc;
    } else if (failed != HTT_OK) {
        rc = htt_rc_report(message_out, failed, HTT_SIDE_READ, htt_txn_errmsg(txn));
        rc = check_damage(report, rc, message_out);
    }
    htt_connection_release(connection, &reader);
    return rc;
}

static int check_fill(htt_table *table, htt_report *report, char **message_out) {
    const int rc = check_run_depth(table, HTT_CHECK_DEEP, report, message_out);
    if (rc != SQLITE_OK || report->count > 0) {
        return rc;
    }
    htt_report_row *const row = htt_report_add(report);
    if (row == NULL) {
        return SQLITE_NOMEM;
    }
    row->values[CHECK_PROBLEM] =
        (htt_report_value){.type = SQLITE_TEXT, .text = sqlite3_mprintf("ok")};
    return row->values[CHECK_PROBLEM].text == NULL ? SQLITE_NOMEM : SQLITE_OK;
}

int htt_function_check_table(htt_table *table, bool quick, char **problems_out) {
    htt_report report = {0};
    char *message = NULL;
    int rc = check_run_depth(table, quick ? HTT_CHECK_SHALLOW : HTT_CHECK_DEEP, &report, &message);
    if (rc != SQLITE_OK && message != NULL) {
        rc = check_add(&report, 0, message); /* what could not be checked is a problem, too */
    }
    sqlite3_free(message);
    sqlite3_str *const text = sqlite3_str_new(NULL);
    for (size_t i = 0; i < report.count && rc == SQLITE_OK; i++) {
        sqlite3_str_appendf(text, "%s%s: %s", i == 0 ? "" : "\n", table->name,
                            report.rows[i].values[CHECK_PROBLEM].text);
    }
    rc = rc == SQLITE_OK ? sqlite3_str_errcode(text) : rc;
    *problems_out = sqlite3_str_finish(text);
    htt_report_clear(&report);
    return rc;
}

static const htt_report_kind check_kind = {
    .name = "htt_check",
    .declare = "CREATE TABLE x(problem TEXT, \"table\" HIDDEN, schema HIDDEN, "
               "page INTEGER HIDDEN, reason TEXT HIDDEN)",
    .visible = 1,
    .fill = check_fill,
};

int htt_function_register_check(htt_registry *registry) {
    return htt_report_register(registry, &check_kind);
}
