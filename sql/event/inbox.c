/* SPDX-License-Identifier: MIT */
/* The inbox: a message counts once for a consumer, although it comes twice. */
#include "sql/event/event.h"
#include "sql/event/sql.h"

htt_rc htt_inbox_accept(htt_db *db, const char *consumer, const char *message_id) {
    int64_t inserted = 0;
    htt_rc rc = htt_event_check_name(db, "inbox: the consumer's name", consumer, SIZE_MAX);
    if (rc == HTT_OK) {
        rc = htt_event_check_name(db, "inbox: the message's id", message_id, HTT_EVENT_ID_MAX);
    }
    if (rc != HTT_OK) {
        return rc;
    }
    if (!htt_db_in_transaction(db)) {
        return htt_db_fail(db, HTT_MISUSE,
                           "inbox: accept a message in the transaction that does what it says: "
                           "else it counts as processed when that is lost");
    }
    if (htt_db_is_fake(db)) {
        return htt_fake_inbox_accept(db, consumer, message_id);
    }
    rc = htt_event_run(db, INBOX_ACCEPT, &inserted, "tti", consumer, message_id, htt_db_now_ms(db));
    return rc == HTT_OK && inserted == 0 ? HTT_EXISTS : rc;
}

htt_rc htt_inbox_purge(htt_db *db, int64_t retention_ms, uint32_t most, uint32_t *deleted_out) {
    uint32_t deleted_of_fake = 0;
    int64_t deleted = 0;
    htt_rc rc = htt_event_check_age(db, "inbox", retention_ms);
    if (rc != HTT_OK) {
        return rc;
    }
    const int64_t before = htt_db_now_ms(db) - retention_ms;
    const uint32_t page = most == 0 ? HTT_EVENT_PAGE : most;
    if (htt_db_is_fake(db)) {
        rc = htt_fake_inbox_purge(db, before, page, &deleted_of_fake);
        deleted = deleted_of_fake;
    } else {
        rc = htt_event_run(db, INBOX_PURGE, &deleted, "ii", before, (int64_t)page);
    }
    if (rc == HTT_OK && deleted_out != NULL) {
        *deleted_out = (uint32_t)deleted;
    }
    return rc;
}
