/* SPDX-License-Identifier: MIT */
/*
 * docs/outbox.md: its statements for plain SQL are those that the library runs, and its example in
 * C compiles with what is included here and does what the page says.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "event_bed.h"
#include "sql/event/sql.h"

/* A statement of the page: the library's, with names for its arguments. */
static const struct {
    htt_event_sql which;  /* in sql.c */
    const char *names[9]; /* of ?1, ?2 ... */
} doc_statements[] = {
    {CONSUMER_ADD, {"consumer", "from_oldest"}},
    {DELIVERY_POLL, {"consumer", "now"}},
    {DELIVERY_FENCE, {"consumer"}},
    {DELIVERY_LOOK, {"consumer", "window"}},
    {DELIVERY_LEASE, {"consumer", "now", "from", "to", "most", "worker", "token", "until"}},
    {DELIVERY_ACK, {"consumer", "id", "token", "now"}},
    {DELIVERY_FAIL, {"consumer", "id", "token", "now", "error", "chance", "bury"}},
    {DELIVERY_RELEASE, {"consumer", "id", "token", "now"}},
    {DELIVERY_EXTEND, {"consumer", "id", "token", "now", "until"}},
    {DEAD_REQUEUE, {"consumer", "id"}},
    {DEAD_DISCARD, {"consumer", "id"}},
    {EVENT_PURGE, {"before", "most"}},
    {INBOX_ACCEPT, {"consumer", "message_id", "now"}},
    {INBOX_PURGE, {"before", "most"}},
    {IDEMPOTENCY_READ, {"scope", "key"}},
    {IDEMPOTENCY_BEGIN, {"scope", "key", "request", "now", "expires_at", "token"}},
    {IDEMPOTENCY_FINISH, {"scope", "key", "token", "result", "expires_at"}},
    {IDEMPOTENCY_ABANDON, {"scope", "key", "token"}},
    {IDEMPOTENCY_PURGE, {"now", "most"}},
};

/* The statement as the page has it, but for its line breaks. */
static void doc_name(size_t index, char *sql, size_t size) {
    size_t length = 0;
    for (const char *at = htt_event_statements.texts[doc_statements[index].which]; *at != '\0';) {
        if (strncmp(at, "{schema}.", 9) == 0) {
            at += 9;
        } else if (*at == '?') {
            const char *const name = doc_statements[index].names[at[1] - '1'];
            assert_non_null(name);
            length += (size_t)snprintf(sql + length, size - length, ":%s", name);
            at += 2;
        } else {
            sql[length++] = *at++;
        }
        assert_true(length + 1 < size);
    }
    sql[length] = '\0';
}

/* Runs of white space become one blank. */
static void doc_squeeze(char *text) {
    char *out = text;
    for (const char *at = text; *at != '\0'; at++) {
        const char c = *at == '\n' ? ' ' : *at;
        if (c != ' ' || out == text || out[-1] != ' ') {
            *out++ = c;
        }
    }
    *out = '\0';
}

static void test_doc__statements_are_those_of_the_library(void **state) {
    (void)state;
    const char *const root = getenv("HTT_SOURCE_DIR");
    char path[4096];
    static char page[200000];
    (void)snprintf(path, sizeof path, "%s/docs/outbox.md", root == NULL ? "." : root);
    FILE *const file = fopen(path, "r");
    assert_non_null(file);
    page[fread(page, 1, sizeof page - 1, file)] = '\0';
    assert_int_equal(fclose(file), 0);
    doc_squeeze(page);
    for (size_t i = 0; i < sizeof doc_statements / sizeof doc_statements[0]; i++) {
        char sql[8192];
        doc_name(i, sql, sizeof sql);
        doc_squeeze(sql);
        if (getenv("HTT_TEST_PRINT") != NULL) {
            printf("%s;\n", sql);
        } else if (strstr(page, sql) == NULL) {
            fail_msg("docs/outbox.md does not have: %s", sql);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_doc__statements_are_those_of_the_library),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
