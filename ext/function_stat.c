/* SPDX-License-Identifier: MIT */
/*
 * htt_stat(table [, schema]): figures about a table's file, as rows (name, value). The names are
 * documented in the README and stay.
 */
#include <stddef.h>

#include "function.h"
#include "rc.h"
#include "report.h"
#include "snapshot.h"

enum { STAT_NAME, STAT_VALUE };

static int stat_add(htt_report *report, const char *name, htt_report_value value) {
    htt_report_row *const row = htt_report_add(report);
    if (row == NULL) {
        sqlite3_free(value.text);
        return SQLITE_NOMEM;
    }
    row->values[STAT_NAME].type = SQLITE_TEXT;
    row->values[STAT_NAME].text = sqlite3_mprintf("%s", name);
    row->values[STAT_VALUE] = value;
    return row->values[STAT_NAME].text == NULL ? SQLITE_NOMEM : SQLITE_OK;
}

static int stat_add_figures(htt_report *report, const htt_stat *stat) {
    const struct {
        const char *name; /* in SQL */
        uint64_t figure;  /* what it is */
    } figures[] = {
        {"keys", stat->keys},
        {"payload_bytes", stat->payload_bytes},
        {"file_bytes", stat->file_bytes},
        {"page_size", stat->page_size},
        {"page_count", stat->page_count},
        {"data_pages", stat->data_pages},
        {"index_pages", stat->index_pages},
        {"overflow_pages", stat->overflow_pages},
        {"free_pages", stat->free_pages},
        {"free_list_pages", stat->free_list_pages},
        {"index_nodes", stat->index_nodes},
        {"depth_max", stat->depth_max},
        {"epoch", stat->epoch},
        {"readers", stat->readers},
    };
    const struct {
        const char *name; /* in SQL */
        double figure;    /* what it is */
    } ratios[] = {
        {"depth_average", stat->depth_average},
        {"utilisation", stat->utilisation},
    };
    int rc = SQLITE_OK;
    for (size_t i = 0; i < sizeof figures / sizeof figures[0] && rc == SQLITE_OK; i++) {
        rc = stat_add(report, figures[i].name,
                      (htt_report_value){.type = SQLITE_INTEGER,
                                         .integer = (sqlite3_int64)figures[i].figure});
    }
    for (size_t i = 0; i < sizeof ratios / sizeof ratios[0] && rc == SQLITE_OK; i++) {
        rc = stat_add(report, ratios[i].name,
                      (htt_report_value){.type = SQLITE_FLOAT, .real = ratios[i].figure});
    }
    return rc;
}

/* What is in front of the file's pages. */
static int stat_add_outbox(htt_report *report, uint64_t rows, uint64_t bytes) {
    const int rc = stat_add(
        report, "outbox_rows",
        (htt_report_value){.type = SQLITE_INTEGER, .integer = (sqlite3_int64)rows});
    return rc != SQLITE_OK ? rc
                           : stat_add(report, "outbox_bytes",
                                      (htt_report_value){.type = SQLITE_INTEGER,
                                                         .integer = (sqlite3_int64)bytes});
}

/* Takes ownership of the text. */
static int stat_add_text(htt_report *report, const char *name, char *text) {
    if (text == NULL) {
        return SQLITE_NOMEM;
    }
    return stat_add(report, name, (htt_report_value){.type = SQLITE_TEXT, .text = text});
}

static int stat_add_facts(htt_report *report, const htt_info *info) {
    sqlite3_str *const uuid = sqlite3_str_new(NULL);
    for (size_t i = 0; i < sizeof info->uuid; i++) {
        sqlite3_str_appendf(uuid, "%02x", info->uuid[i]);
    }
    int rc = stat_add_text(report, "uuid", sqlite3_str_finish(uuid));
    if (rc == SQLITE_OK) {
        rc = stat_add_text(report, "path", sqlite3_mprintf("%s", info->path));
    }
    if (rc == SQLITE_OK) {
        rc = stat_add_text(report, "declaration",
                           sqlite3_mprintf("%s", htt_declaration_words(info->declaration)));
    }
    return rc;
}

static int stat_fill(htt_table *table, htt_report *report, char **message_out) {
    htt_connection *const connection = table->connection;
    htt_reader *reader = NULL;
    htt_source source = {0};
    htt_snapshot snapshot = {0};
    htt_stat stat;
    htt_info info;
    int rc = htt_snapshot_hold(&snapshot, table, message_out);
    rc = rc == SQLITE_OK ? htt_connection_open(connection, &table->arguments, message_out) : rc;
    rc = rc == SQLITE_OK ? htt_snapshot_begin(&snapshot, table, message_out) : rc;
    rc = rc == SQLITE_OK ? htt_connection_acquire(connection, &reader, &source, message_out) : rc;
    if (rc != SQLITE_OK) {
        htt_snapshot_end(&snapshot);
        return rc;
    }
    uint64_t outbox_bytes = 0;
    htt_rc failed = htt_txn_stat(source.txn, &stat);
    failed = failed == HTT_OK ? htt_source_count(&source, &stat.keys) : failed;
    if (source.overlay != NULL) {
        outbox_bytes = htt_overlay_bytes(source.overlay);
    }
    if (failed != HTT_OK) {
        rc = htt_rc_report(message_out, failed, HTT_SIDE_READ, htt_txn_errmsg(source.txn));
    }
    htt_connection_release(connection, &reader);
    htt_snapshot_end(&snapshot);
    htt_store_info(connection->store, &info);
    rc = rc == SQLITE_OK ? stat_add_figures(report, &stat) : rc;
    rc = rc == SQLITE_OK ? stat_add_outbox(report, source.length, outbox_bytes) : rc;
    return rc == SQLITE_OK ? stat_add_facts(report, &info) : rc;
}

static const htt_report_kind stat_kind = {
    .name = "htt_stat",
    .declare = "CREATE TABLE x(name TEXT, value, \"table\" HIDDEN, schema HIDDEN)",
    .visible = 2,
    .fill = stat_fill,
};

int htt_function_register_stat(htt_registry *registry) {
    return htt_report_register(registry, &stat_kind);
}
