/* SPDX-License-Identifier: MIT */
/*
 * The changes of one table as of one snapshot; see feed.h.
 *
 *     seq   1 ............ oldest kept ........ root.seq ........ newest
 *           |   trimmed    |  folded, kept for   |   content of the    |
 *           |              |  those who follow   |   table             |
 *
 *     since + 1 is kept    rows since + 1 ... newest
 *     since = newest       none
 *     else                 a gap: never an answer with something missing
 *
 * The newest number is the larger one of root.seq and the newest row's. DROP and CREATE of a table
 * leave a number out, so that nobody goes on behind changes that no row tells of.
 */
#include "feed.h"

#include <assert.h>
#include <stddef.h>

#include "hosted.h"
#include "rc.h"

/* A root that is not this database's yet: its number stands in the file. */
static int feed_newest_of_file(htt_feed *feed, htt_table *table, char **message_out) {
    htt_connection *const connection = table->connection;
    htt_host_meta meta;
    const int rc = htt_connection_open(connection, &table->arguments, message_out);
    if (rc != SQLITE_OK) {
        return rc;
    }
    const htt_rc failed = htt_host_read_meta(connection->store, &meta);
    if (failed != HTT_OK) {
        return htt_rc_report(message_out, failed, HTT_SIDE_READ, htt_errmsg(connection->store));
    }
    feed->newest = meta.root.seq;
    return SQLITE_OK;
}

/* In the snapshot. */
static int feed_look(htt_feed *feed, htt_table *table, char **message_out) {
    htt_outbox_store store;
    htt_outbox_row last = {.seq = 0};
    bool found = false;
    int rc = htt_outbox_read_store(feed->outbox, &found, &store, message_out);
    if (rc == SQLITE_OK && !found) {
        rc = htt_rc_say(message_out, SQLITE_ERROR, "%s.htt_store has no row for '%s'",
                        table->schema, table->arguments.file);
    }
    if (rc != SQLITE_OK) {
        return rc;
    }
    feed->store = store.id;
    if (!store.has_root) {
        return feed_newest_of_file(feed, table, message_out);
    }
    rc = htt_outbox_read_last(feed->outbox, (uint64_t)HTT_OUTBOX_SEQ_MAX, &found, &last,
                              message_out);
    feed->newest = found && last.seq > store.root.seq ? last.seq : store.root.seq;
    return rc;
}

int htt_feed_open(htt_feed *feed, htt_table *table, const char *function, char **message_out) {
    sqlite3 *const db = table->registry->db;
    int rc = htt_snapshot_hold(&feed->snapshot, table, message_out);
    if (rc != SQLITE_OK) {
        return rc;
    }
    if (!table->arguments.changes) {
        return htt_rc_say(message_out, SQLITE_ERROR,
                          "%s: %s.%s keeps no changes: DROP it and CREATE it again with changes=on "
                          "(the file and its rows stay)",
                          function, table->schema, table->name);
    }
    if (htt_host_file_path(db, table->schema) == NULL) {
        return htt_rc_say(message_out, SQLITE_ERROR,
                          "%s: %s.%s keeps no changes: its database has no file", function,
                          table->schema, table->name);
    }
    feed->plain = table->arguments.declaration.plain;
    feed->outbox = htt_outbox_new(db, table->schema, table->arguments.file);
    rc = feed->outbox == NULL ? SQLITE_NOMEM
                              : htt_snapshot_begin(&feed->snapshot, table, message_out);
    return rc == SQLITE_OK ? feed_look(feed, table, message_out) : rc;
}

/* Is row `seq` one of those that were trimmed? Else it is there, or somebody has taken it away. */
static int feed_is_trimmed(const htt_feed *feed, uint64_t seq, bool *trimmed_out,
                           char **message_out) {
    htt_outbox_row last;
    bool found = false;
    const int rc = htt_outbox_read_last(feed->outbox, seq, &found, &last, message_out);
    *trimmed_out = !found;
    return rc;
}

static int feed_gap(uint64_t seq, char **message_out) {
    return htt_rc_say(message_out, HTT_FEED_GAP,
                      "htt_changes: change %lld is not kept any more: whoever follows the table "
                      "must start anew from the table itself",
                      (long long)seq);
}

int htt_feed_begin(htt_feed *feed, sqlite3_int64 since, char **message_out) {
    bool trimmed = false;
    if (since < 0 || (uint64_t)since > feed->newest) {
        return htt_rc_say(message_out, HTT_FEED_GAP,
                          "htt_changes: there is no change %lld yet, the newest is %lld: whoever "
                          "follows the table must start anew from the table itself",
                          since, (long long)feed->newest);
    }
    feed->at = (uint64_t)since;
    if (feed->at == feed->newest) {
        return SQLITE_OK;
    }
    const int rc = feed_is_trimmed(feed, feed->at + 1, &trimmed, message_out);
    if (rc != SQLITE_OK) {
        return rc;
    }
    return trimmed ? feed_gap(feed->at + 1, message_out)
                   : htt_outbox_begin_rows(feed->outbox, feed->at, message_out);
}

int htt_feed_next(htt_feed *feed, bool *found_out, char **message_out) {
    bool trimmed = false;
    char *ignored = NULL;
    *found_out = false;
    if (feed->at == feed->newest) { /* what this connection has added since is not of it */
        htt_outbox_end_rows(feed->outbox);
        return SQLITE_OK;
    }
    int rc = htt_outbox_next_row(feed->outbox, found_out, &feed->row, message_out);
    if (rc == SQLITE_OK && *found_out) {
        feed->at++;
        assert(feed->row.seq == feed->at);
        return SQLITE_OK;
    }
    if (rc == SQLITE_OK) {
        rc = htt_rc_say(message_out, SQLITE_CORRUPT_VTAB,
                        "htt_outbox: row %lld of store %lld is missing: somebody has deleted it",
                        (long long)feed->at + 1, feed->store);
    }
    /* This connection itself may have trimmed it meanwhile. */
    if (rc == SQLITE_CORRUPT_VTAB &&
        feed_is_trimmed(feed, feed->at + 1, &trimmed, &ignored) == SQLITE_OK && trimmed) {
        rc = feed_gap(feed->at + 1, message_out);
    }
    sqlite3_free(ignored);
    return rc;
}

void htt_feed_close(htt_feed *feed) {
    htt_outbox_free(feed->outbox);
    htt_snapshot_end(&feed->snapshot);
    *feed = (htt_feed){0};
}
