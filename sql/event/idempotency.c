/* SPDX-License-Identifier: MIT */
/*
 * Idempotency keys.
 *
 *   WHAT IS THERE              begin gives
 *   nothing, or expired        HTT_OK        a row in state running, with a new token
 *   another input              HTT_CONFLICT
 *   running                    HTT_BUSY
 *   finished                   HTT_EXISTS    the result
 *
 * finish and abandon name the token: what was begun again by another is not theirs any more.
 */
#include "sql/event/idempotency.h"

#include <inttypes.h>
#include <string.h>

#include "sql/base/memory.h"
#include "sql/event/event.h"
#include "sql/event/sql.h"

static htt_rc idempotency_check(htt_db *db, const char *scope, const char *key) {
    const htt_rc rc =
        htt_event_check_name(db, "idempotency: the scope", scope, HTT_IDEMPOTENCY_KEY_MAX);
    return rc == HTT_OK
               ? htt_event_check_name(db, "idempotency: the key", key, HTT_IDEMPOTENCY_KEY_MAX)
               : rc;
}

/* now + ms, at most the largest time: an ms that means "for ever" does not become the past. */
static int64_t idempotency_after(int64_t now, int64_t ms) {
    return now > 0 && ms > INT64_MAX - now ? INT64_MAX : now + ms;
}

/* --------------------------------------------------------------- reading */

/* What is found goes into an entry; made while the row is borrowed. */
typedef struct idempotency_find {
    htt_db *db;                       /* for errors */
    htt_idempotency_entry entry;      /* owned */
    uint8_t request[HTT_SHA256_SIZE]; /* of the row */
} idempotency_find;

void htt_idempotency_clear(htt_idempotency_entry *entry) {
    htt_memory_free(entry->scope);
    htt_memory_free(entry->key);
    htt_memory_free((void *)(uintptr_t)entry->result.data);
    memset(entry, 0, sizeof *entry);
}

static htt_rc idempotency_visit(void *arg, const htt_idempotency_row *row) {
    idempotency_find *const find = arg;
    htt_idempotency_entry *const entry = &find->entry;
    entry->is_finished = row->is_finished;
    entry->result = row->result;
    entry->created_at = row->created_at;
    entry->expires_at = row->expires_at;
    entry->token = row->token;
    entry->result.data = htt_memory_copy(row->result.data, row->result.size);
    memcpy(find->request, row->request, sizeof find->request);
    return entry->result.data == NULL ? htt_db_fail_memory(find->db) : HTT_OK;
}

static htt_rc idempotency_read(htt_db *db, const char *scope, const char *key, bool *found_out,
                               idempotency_find *find) {
    sqlite3_stmt *statement;
    htt_idempotency_row row;
    if (htt_db_is_fake(db)) {
        return htt_fake_idempotency_read(db, scope, key, found_out, idempotency_visit, find);
    }
    htt_rc rc = htt_event_begin(db, IDEMPOTENCY_READ, &statement, "tt", scope, key);
    if (rc != HTT_OK) {
        return rc;
    }
    rc = htt_event_step(db, statement, found_out);
    if (rc == HTT_OK && *found_out) {
        const void *const request = sqlite3_column_blob(statement, 0);
        if (request == NULL || sqlite3_column_bytes(statement, 0) != HTT_SHA256_SIZE) {
            rc = htt_db_fail(db, HTT_CORRUPT, "htt_idempotency: request of key '%s' is no SHA-256",
                             key);
        } else {
            memcpy(row.request, request, sizeof row.request);
            row.is_finished = sqlite3_column_int(statement, 1) != 0;
            row.result = htt_event_datum(statement, 2, row.scratch);
            row.created_at = sqlite3_column_int64(statement, 3);
            row.expires_at = sqlite3_column_int64(statement, 4);
            row.token = sqlite3_column_int64(statement, 5);
            rc = idempotency_visit(find, &row);
        }
    }
    htt_statement_done(statement);
    return rc;
}

/* The entry with all but the result's bytes. False: no memory. */
static bool idempotency_name(htt_idempotency_entry *entry, const char *scope, const char *key) {
    entry->scope = htt_memory_text(scope);
    entry->key = htt_memory_text(key);
    return entry->scope != NULL && entry->key != NULL;
}

htt_rc htt_idempotency_lookup(htt_db *db, const char *scope, const char *key,
                              htt_idempotency_entry *entry_out) {
    idempotency_find find = {.db = db};
    bool found = false;
    htt_rc rc = idempotency_check(db, scope, key);
    if (rc == HTT_OK) {
        rc = idempotency_read(db, scope, key, &found, &find);
    }
    if (rc == HTT_OK && (!found || find.entry.expires_at <= htt_db_now_ms(db))) {
        rc = htt_db_fail(db, HTT_NOTFOUND, "idempotency: nothing is known of key '%s' in '%s'", key,
                         scope);
    }
    if (rc == HTT_OK && !idempotency_name(&find.entry, scope, key)) {
        rc = htt_db_fail_memory(db);
    }
    if (rc != HTT_OK) {
        htt_idempotency_clear(&find.entry);
        return rc;
    }
    *entry_out = find.entry;
    return HTT_OK;
}

/* ----------------------------------------------------------------- begin */

static htt_rc idempotency_write(htt_db *db, const htt_idempotency_entry *entry,
                                const uint8_t request[HTT_SHA256_SIZE]) {
    htt_idempotency_row row = {.is_finished = false,
                               .result = htt_null(),
                               .created_at = entry->created_at,
                               .expires_at = entry->expires_at,
                               .token = entry->token};
    if (htt_db_is_fake(db)) {
        memcpy(row.request, request, sizeof row.request);
        return htt_fake_idempotency_write(db, entry->scope, entry->key, &row);
    }
    return htt_event_run(db, IDEMPOTENCY_BEGIN, NULL, "ttdiii", entry->scope, entry->key,
                         htt_blob(request, HTT_SHA256_SIZE), entry->created_at, entry->expires_at,
                         entry->token);
}

/* What an entry that is there means for a request. */
static htt_rc idempotency_judge(htt_db *db, const idempotency_find *find,
                                const htt_idempotency_request *request,
                                const uint8_t digest[HTT_SHA256_SIZE]) {
    if (memcmp(find->request, digest, HTT_SHA256_SIZE) != 0) {
        return htt_db_fail(db, HTT_CONFLICT,
                           "idempotency: key '%s' of '%s' was used for another input: take a new "
                           "key for a new request",
                           request->key, request->scope);
    }
    if (find->entry.is_finished) {
        return htt_db_fail(db, HTT_EXISTS, "idempotency: key '%s' of '%s' is finished",
                           request->key, request->scope);
    }
    return htt_db_fail(db, HTT_BUSY,
                       "idempotency: key '%s' of '%s' is being worked on, it has %" PRId64
                       " ms left",
                       request->key, request->scope, find->entry.expires_at - htt_db_now_ms(db));
}

/* HTT_OK with a new row, or what is there, in find->entry. */
static htt_rc idempotency_begin(htt_db *db, const htt_idempotency_request *request,
                                idempotency_find *find) {
    uint8_t digest[HTT_SHA256_SIZE];
    bool found = false;
    const int64_t now = htt_db_now_ms(db);
    htt_idempotency_entry *const entry = &find->entry;
    htt_rc rc = idempotency_read(db, request->scope, request->key, &found, find);
    if (rc == HTT_OK && !idempotency_name(entry, request->scope, request->key)) {
        rc = htt_db_fail_memory(db);
    }
    if (rc != HTT_OK) {
        return rc;
    }
    htt_sha256(request->input, request->input_size, digest);
    entry->keep_ms = request->keep_ms == 0 ? HTT_IDEMPOTENCY_KEEP_MS : request->keep_ms;
    if (found && entry->expires_at > now) {
        return idempotency_judge(db, find, request, digest);
    }
    htt_memory_free((void *)(uintptr_t)entry->result.data);
    entry->result = htt_null();
    entry->is_finished = false;
    entry->created_at = now;
    entry->expires_at = idempotency_after(now, request->running_ms == 0 ? HTT_IDEMPOTENCY_RUNNING_MS
                                                                        : request->running_ms);
    entry->token = (int64_t)(db->platform.random64(db->platform.context) >> 1);
    return idempotency_write(db, entry, digest);
}

static htt_rc idempotency_check_request(htt_db *db, const htt_idempotency_request *request) {
    if (db != NULL && request == NULL) {
        return htt_db_fail(db, HTT_MISUSE, "idempotency: the request is NULL");
    }
    const htt_rc rc = db == NULL ? HTT_MISUSE : idempotency_check(db, request->scope, request->key);
    if (rc != HTT_OK) {
        return rc;
    }
    if (request->running_ms < 0 || request->keep_ms < 0) {
        const bool running = request->running_ms < 0;
        return htt_db_fail(db, HTT_MISUSE,
                           "idempotency: %s of key '%s' is %" PRId64 ": give it 0 or more",
                           running ? "running_ms" : "keep_ms", request->key,
                           running ? request->running_ms : request->keep_ms);
    }
    return request->input != NULL || request->input_size == 0
               ? HTT_OK
               : htt_db_fail(db, HTT_MISUSE,
                             "idempotency: the input of key '%s' is NULL and has a size of %zu",
                             request->key, request->input_size);
}

htt_rc htt_idempotency_begin(htt_db *db, const htt_idempotency_request *request,
                             htt_idempotency_entry *entry_out) {
    idempotency_find find = {.db = db};
    htt_scope scope;
    memset(entry_out, 0,
           sizeof *entry_out); /* HTT_BUSY may come from SQLite, before it is filled */
    htt_rc rc = idempotency_check_request(db, request);
    if (rc == HTT_OK) {
        rc = htt_scope_enter(db, &scope, HTT_SCOPE_IMMEDIATE);
    }
    if (rc != HTT_OK) {
        return rc;
    }
    rc = htt_scope_leave(db, &scope, idempotency_begin(db, request, &find));
    if (rc == HTT_OK || rc == HTT_EXISTS || rc == HTT_CONFLICT || rc == HTT_BUSY) {
        *entry_out = find.entry;
    } else {
        htt_idempotency_clear(&find.entry);
    }
    return rc;
}

/* ------------------------------------------------------------------- end */

static htt_rc idempotency_check_entry(htt_db *db, const htt_idempotency_entry *entry) {
    if (db == NULL) {
        return HTT_MISUSE;
    }
    return entry == NULL ? htt_db_fail(db, HTT_MISUSE, "idempotency: the entry is NULL")
                         : idempotency_check(db, entry->scope, entry->key);
}

static htt_rc idempotency_lost(htt_db *db, const htt_idempotency_entry *entry) {
    return htt_db_fail(db, HTT_EXPIRED,
                       "idempotency: key '%s' of '%s' is not being worked on by this caller any "
                       "more: its time was over, or it is finished",
                       entry->key, entry->scope);
}

/* For the fake: changes the row if it is still this entry's. */
static htt_rc idempotency_end_fake(htt_db *db, const htt_idempotency_entry *entry,
                                   const htt_datum *result, int64_t expires_at) {
    idempotency_find find = {.db = db};
    bool found = false;
    htt_rc rc = idempotency_read(db, entry->scope, entry->key, &found, &find);
    if (rc == HTT_OK && (!found || find.entry.is_finished || find.entry.token != entry->token)) {
        rc = idempotency_lost(db, entry);
    }
    if (rc == HTT_OK && result == NULL) {
        rc = htt_fake_idempotency_remove(db, entry->scope, entry->key);
    } else if (rc == HTT_OK) {
        htt_idempotency_row row = {.is_finished = true,
                                   .result = *result,
                                   .created_at = find.entry.created_at,
                                   .expires_at = expires_at,
                                   .token = entry->token};
        memcpy(row.request, find.request, sizeof row.request);
        rc = htt_fake_idempotency_write(db, entry->scope, entry->key, &row);
    }
    htt_idempotency_clear(&find.entry);
    return rc;
}

htt_rc htt_idempotency_finish(htt_db *db, const htt_idempotency_entry *entry, htt_datum result) {
    int64_t changed = 0;
    htt_rc rc = idempotency_check_entry(db, entry);
    if (rc != HTT_OK) {
        return rc;
    }
    if (result.type < HTT_INTEGER || result.type > HTT_NULL) {
        return htt_db_fail(db, HTT_TYPE,
                           "idempotency: the result of key '%s' is no integer, real, "
                           "text, blob or null",
                           entry->key);
    }
    const int64_t keep_ms = entry->keep_ms == 0 ? HTT_IDEMPOTENCY_KEEP_MS : entry->keep_ms;
    const int64_t expires_at = idempotency_after(htt_db_now_ms(db), keep_ms);
    if (htt_db_is_fake(db)) {
        return idempotency_end_fake(db, entry, &result, expires_at);
    }
    rc = htt_event_run(db, IDEMPOTENCY_FINISH, &changed, "ttidi", entry->scope, entry->key,
                       entry->token, result, expires_at);
    return rc == HTT_OK && changed == 0 ? idempotency_lost(db, entry) : rc;
}

htt_rc htt_idempotency_abandon(htt_db *db, const htt_idempotency_entry *entry) {
    int64_t changed = 0;
    htt_rc rc = idempotency_check_entry(db, entry);
    if (rc != HTT_OK) {
        return rc;
    }
    if (htt_db_is_fake(db)) {
        return idempotency_end_fake(db, entry, NULL, 0);
    }
    rc = htt_event_run(db, IDEMPOTENCY_ABANDON, &changed, "tti", entry->scope, entry->key,
                       entry->token);
    return rc == HTT_OK && changed == 0 ? idempotency_lost(db, entry) : rc;
}

htt_rc htt_idempotency_purge(htt_db *db, uint32_t most, uint32_t *deleted_out) {
    uint32_t deleted_of_fake = 0;
    int64_t deleted = 0;
    if (db == NULL) {
        return HTT_MISUSE;
    }
    const uint32_t page = most == 0 ? HTT_EVENT_PAGE : most;
    const int64_t now = htt_db_now_ms(db);
    htt_rc rc;
    if (htt_db_is_fake(db)) {
        rc = htt_fake_idempotency_purge(db, now, page, &deleted_of_fake);
        deleted = deleted_of_fake;
    } else {
        rc = htt_event_run(db, IDEMPOTENCY_PURGE, &deleted, "ii", now, (int64_t)page);
    }
    if (rc == HTT_OK && deleted_out != NULL) {
        *deleted_out = (uint32_t)deleted;
    }
    return rc;
}
