/* SPDX-License-Identifier: MIT */
/* The contract of events, consumers and the inbox; see CONTRACT in event_bed.h. */
#include <stdio.h>
#include <string.h>

#include "event_bed.h"

/* ---------------------------------------------------------------- append */

CONTRACT(test_append__an_event_comes_back_as_it_was) {
    const htt_event event = {.id = "id-1",
                             .aggregate_type = "order",
                             .aggregate_id = "ä/7",
                             .type = "placed",
                             .payload = htt_text("{\"a\": [1, \"ü\"]}"),
                             .content_type = "application/json; charset=utf-8",
                             .headers = "{\"trace\":\"x\"}",
                             .idempotency_key = "k",
                             .created_at = 5,
                             .available_at = 6};
    htt_event_receipt receipt;
    seen all = {0};
    assert_rc(bed->db, htt_event_append(bed->db, &event, &receipt), HTT_OK);
    assert_int_equal(receipt.seq, 1);
    assert_false(receipt.is_known);
    assert_rc(bed->db, htt_event_each(bed->db, 0, 0, see, &all), HTT_OK);
    assert_int_equal(all.count, 1);
    assert_int_equal(all.seqs[0], 1);
    assert_string_equal(all.text[0], "id-1");
    assert_string_equal(all.text[1], "order");
    assert_string_equal(all.text[2], "ä/7");
    assert_string_equal(all.text[3], "placed");
    assert_string_equal(all.text[4], "application/json; charset=utf-8");
    assert_string_equal(all.text[5], "{\"trace\":\"x\"}");
    assert_string_equal(all.text[6], "k");
    assert_int_equal(all.type, HTT_TEXT);
    assert_memory_equal(all.payload, event.payload.data, event.payload.size);
    assert_int_equal(all.created_at, 5);
    assert_int_equal(all.available_at, 6);
}

CONTRACT(test_append__what_is_not_given_has_defaults) {
    seen all = {0};
    const htt_event event = {.aggregate_type = "order", .aggregate_id = "", .type = "placed"};
    assert_rc(bed->db, htt_event_append(bed->db, &event, NULL), HTT_OK);
    assert_rc(bed->db, htt_event_each(bed->db, 0, 0, see, &all), HTT_OK);
    assert_int_equal(all.type, HTT_NULL);
    assert_string_equal(all.text[4], "application/json");
    assert_string_equal(all.text[5], "{}");
    assert_string_equal(all.text[6], "");
    assert_int_equal(all.created_at, bed->now);
    assert_int_equal(all.available_at, 0);
    /* The id is a UUID of version 7 with the time in it. */
    char time[14];
    (void)snprintf(time, sizeof time, "%08llx-%04llx", (unsigned long long)bed->now >> 16,
                   (unsigned long long)bed->now & 0xffff);
    assert_int_equal(strlen(all.text[0]), 36);
    assert_memory_equal(all.text[0], time, 13);
    assert_int_equal(all.text[0][14], '7');
    assert_non_null(strchr("89ab", all.text[0][19]));
}

CONTRACT(test_append__payloads_of_every_type_come_back) {
    uint8_t scratch[HTT_NUMBER_SIZE];
    const htt_datum payloads[] = {htt_integer(-7, scratch), htt_blob("a\0b", 3), htt_blob("", 0),
                                  htt_text("no json"), htt_null()};
    for (size_t i = 0; i < sizeof payloads / sizeof payloads[0]; i++) {
        seen all = {0};
        const htt_event event = {.aggregate_type = "order",
                                 .aggregate_id = "1",
                                 .type = "placed",
                                 .payload = payloads[i],
                                 .content_type = "application/octet-stream"};
        assert_rc(bed->db, htt_event_append(bed->db, &event, NULL), HTT_OK);
        assert_rc(bed->db, htt_event_each(bed->db, (int64_t)i, 0, see, &all), HTT_OK);
        assert_int_equal(all.type, payloads[i].type);
        assert_int_equal(all.payload_size, payloads[i].size);
        assert_memory_equal(all.payload, payloads[i].size == 0 ? "" : payloads[i].data,
                            payloads[i].size);
    }
    uint8_t real[HTT_NUMBER_SIZE];
    double number = 0;
    seen all = {0};
    const htt_event event = {.aggregate_type = "order",
                             .aggregate_id = "1",
                             .type = "placed",
                             .payload = htt_real(2.5, real),
                             .content_type = "application/octet-stream"};
    assert_rc(bed->db, htt_event_append(bed->db, &event, NULL), HTT_OK);
    assert_rc(bed->db, htt_event_each(bed->db, 5, 0, see, &all), HTT_OK);
    assert_int_equal(htt_value_real(htt_bytes(all.payload, all.payload_size, HTT_REAL), &number),
                     HTT_OK);
    assert_true(number == 2.5);
}

CONTRACT(test_append__events_are_there_exactly_when_the_transaction_is) {
    int64_t newest = -1;
    bed_begin(bed);
    assert_int_equal(bed_append(bed, "1"), 1);
    assert_int_equal(bed_append(bed, "1"), 2);
    bed_end(bed, false);
    assert_rc(bed->db, htt_event_newest(bed->db, &newest), HTT_OK);
    assert_int_equal(newest, 0);
    bed_begin(bed);
    assert_int_equal(bed_append(bed, "1"), 1); /* dense also after a rollback */
    bed_end(bed, true);
    assert_int_equal(bed_append(bed, "1"), 2);
    assert_rc(bed->db, htt_event_newest(bed->db, &newest), HTT_OK);
    assert_int_equal(newest, 2);
}

static void refused(event_bed *bed, const htt_event *event, htt_rc rc, const char *says) {
    int64_t newest = -1;
    htt_event_receipt receipt = {77, true};
    assert_rc(bed->db, htt_event_append(bed->db, event, &receipt), rc);
    assert_says(bed->db, says);
    assert_int_equal(htt_db_errcode(bed->db), rc);
    assert_int_equal(receipt.seq, 77); /* untouched */
    assert_rc(bed->db, htt_event_newest(bed->db, &newest), HTT_OK);
    assert_int_equal(newest, 0);
}

CONTRACT(test_append__bad_input_is_refused_with_what_is_wrong) {
    char long_text[300];
    uint8_t scratch[HTT_NUMBER_SIZE];
    memset(long_text, 'x', sizeof long_text);
    long_text[256] = '\0';
    htt_event e;
    e = bed_event(), e.aggregate_type = NULL;
    refused(bed, &e, HTT_MISUSE, "event: aggregate_type is NULL: give it a text");
    e = bed_event(), e.aggregate_type = "";
    refused(bed, &e, HTT_MISUSE, "event: aggregate_type is empty");
    e = bed_event(), e.aggregate_type = "a/b";
    refused(bed, &e, HTT_MISUSE, "event: aggregate_type 'a/b' has a slash in it");
    e = bed_event(), e.aggregate_id = NULL;
    refused(bed, &e, HTT_MISUSE, "event: aggregate_id is NULL");
    e = bed_event(), e.type = "";
    refused(bed, &e, HTT_MISUSE, "event: type is empty");
    e = bed_event(), e.id = "";
    refused(bed, &e, HTT_MISUSE, "event: id is empty");
    e = bed_event(), e.id = long_text;
    refused(bed, &e, HTT_TOOBIG, "event: id has 256 characters, 255 are allowed");
    e = bed_event(), e.idempotency_key = long_text;
    refused(bed, &e, HTT_TOOBIG, "event: idempotency_key has 256 characters");
    e = bed_event(), e.seq = 1;
    refused(bed, &e, HTT_MISUSE, "seq is given by the database");
    e = bed_event(), e.created_at = -1;
    refused(bed, &e, HTT_MISUSE, "not negative");
    e = bed_event(), e.available_at = -1;
    refused(bed, &e, HTT_MISUSE, "not negative");
    e = bed_event(), e.payload = htt_text("{\"a\":}");
    refused(bed, &e, HTT_INVALID, "event: the payload is not valid JSON at byte 5");
    e = bed_event(), e.payload = htt_bytes(NULL, 0, HTT_TEXT);
    refused(bed, &e, HTT_INVALID, "event: the payload is not valid JSON");
    e = bed_event(), e.payload = htt_blob("{}", 2);
    refused(bed, &e, HTT_INVALID, "declared to be JSON and is no text");
    e = bed_event(), e.payload = htt_integer(1, scratch);
    refused(bed, &e, HTT_INVALID, "declared to be JSON and is no text");
    e = bed_event(), e.payload = htt_bytes("", 0, HTT_ROW);
    refused(bed, &e, HTT_TYPE, "event: the payload is no integer, real, text, blob or null");
    e = bed_event(), e.payload = htt_text("x"), e.content_type = "Application/JSON";
    refused(bed, &e, HTT_INVALID, "not valid JSON");
    e = bed_event(), e.payload = htt_text("x"), e.content_type = "application/x+json; v=1";
    refused(bed, &e, HTT_INVALID, "not valid JSON");
    e = bed_event(), e.headers = "[]";
    refused(bed, &e, HTT_INVALID, "event: headers is JSON, but no object");
    e = bed_event(), e.headers = "{";
    refused(bed, &e, HTT_INVALID, "event: headers is not valid JSON at byte 1");
}

CONTRACT(test_append__what_only_looks_like_json_is_not_checked) {
    static const char *const types[] = {"application/jsonl", "text/plain", "x+jsonb", "a+xml",
                                        "application/x+json2+y"};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        htt_event event = bed_event();
        event.payload = htt_text("no json");
        event.content_type = types[i];
        assert_rc(bed->db, htt_event_append(bed->db, &event, NULL), HTT_OK);
    }
}

CONTRACT(test_append__an_id_is_there_once) {
    htt_event event = bed_event();
    event.id = "one";
    assert_rc(bed->db, htt_event_append(bed->db, &event, NULL), HTT_OK);
    assert_rc(bed->db, htt_event_append(bed->db, &event, NULL), HTT_EXISTS);
    assert_says(bed->db, "an event with this id is there already");
}

CONTRACT(test_append__an_idempotency_key_makes_one_event_of_two) {
    htt_event_receipt receipt;
    htt_event event = bed_event();
    event.idempotency_key = "k";
    assert_rc(bed->db, htt_event_append(bed->db, &event, &receipt), HTT_OK);
    assert_int_equal(bed_append(bed, "2"), 2);
    assert_rc(bed->db, htt_event_append(bed->db, &event, &receipt), HTT_OK);
    assert_true(receipt.is_known);
    assert_int_equal(receipt.seq, 1);
    assert_rc(bed->db, htt_event_append(bed->db, &event, NULL), HTT_OK);
    event.payload = htt_text("{\"other\":1}");
    assert_rc(bed->db, htt_event_append(bed->db, &event, &receipt), HTT_CONFLICT);
    assert_says(bed->db, "another event has this idempotency_key");
    event = bed_event();
    event.idempotency_key = "K"; /* another one */
    assert_rc(bed->db, htt_event_append(bed->db, &event, &receipt), HTT_OK);
    assert_false(receipt.is_known);
    assert_int_equal(receipt.seq, 3);
}

CONTRACT(test_append__each_part_of_an_event_counts_for_its_idempotency_key) {
    uint8_t scratch[HTT_NUMBER_SIZE];
    htt_event event = bed_event();
    event.idempotency_key = "k";
    event.content_type = "text/plain";
    event.payload = htt_text("abc");
    assert_rc(bed->db, htt_event_append(bed->db, &event, NULL), HTT_OK);
    (void)bed_append(bed, "1"); /* one without a key */
    for (int i = 0; i < 9; i++) {
        htt_event other = event;
        switch (i) {
        case 0: other.aggregate_type = "invoice"; break;
        case 1: other.aggregate_id = "2"; break;
        case 2: other.type = "paid"; break;
        case 3: other.content_type = "text/html"; break;
        case 4: other.headers = "{\"a\":1}"; break;
        case 5: other.payload = htt_text("abd"); break;
        case 6: other.payload = htt_text("ab"); break;
        case 7: other.payload = htt_blob("abc", 3); break;
        default: other.payload = htt_integer(1, scratch); break;
        }
        assert_rc(bed->db, htt_event_append(bed->db, &other, NULL), HTT_CONFLICT);
    }
    event.id = "another"; /* its id and times do not */
    event.created_at = 7;
    assert_rc(bed->db, htt_event_append(bed->db, &event, NULL), HTT_OK);
    event.payload = htt_null();
    event.idempotency_key = "n";
    assert_rc(bed->db, htt_event_append(bed->db, &event, NULL), HTT_OK);
    assert_rc(bed->db, htt_event_append(bed->db, &event, NULL), HTT_OK);
}

CONTRACT(test_append__declared_types_are_the_only_ones) {
    htt_event event = bed_event();
    assert_rc(bed->db, htt_event_declare(bed->db, "paid"), HTT_OK);
    assert_rc(bed->db, htt_event_declare(bed->db, "paid"), HTT_OK);
    assert_rc(bed->db, htt_event_append(bed->db, &event, NULL), HTT_NOTFOUND);
    assert_says(bed->db, "event: type 'placed' is not declared");
    assert_rc(bed->db, htt_event_declare(bed->db, "placed"), HTT_OK);
    assert_rc(bed->db, htt_event_append(bed->db, &event, NULL), HTT_OK);
    assert_rc(bed->db, htt_event_declare(bed->db, ""), HTT_MISUSE);
}

static htt_rc stop_at_two(void *arg, const htt_event *event) {
    size_t *const count = arg;
    ++*count;
    return event->seq == 2 ? HTT_TOOBIG : HTT_OK;
}

CONTRACT(test_each__goes_on_behind_a_number_and_stops_when_told) {
    seen all = {0};
    size_t count = 0;
    for (int i = 0; i < 5; i++) {
        (void)bed_append(bed, "1");
    }
    assert_rc(bed->db, htt_event_each(bed->db, 1, 2, see, &all), HTT_OK);
    assert_int_equal(all.count, 2);
    assert_int_equal(all.seqs[0], 2);
    assert_int_equal(all.seqs[1], 3);
    assert_rc(bed->db, htt_event_each(bed->db, 5, 0, see, &all), HTT_OK);
    assert_int_equal(all.count, 2);
    assert_int_equal(htt_event_each(bed->db, 0, 0, stop_at_two, &count), HTT_TOOBIG);
    assert_int_equal(count, 2);
}

/* ------------------------------------------------------------- consumers */

CONTRACT(test_consumer__begins_where_it_says) {
    htt_consumer_options options;
    (void)bed_append(bed, "1");
    (void)bed_append(bed, "2");
    assert_rc(bed->db, htt_consumer_register(bed->db, "new", NULL), HTT_OK);
    bed_register(bed, "old", HTT_ON_DEAD_BLOCK, 20);
    assert_int_equal(bed_state(bed, "new").acknowledged, 2);
    assert_int_equal(bed_state(bed, "old").acknowledged, 0);
    assert_int_equal(bed_state(bed, "old").newest, 2);
    (void)bed_append(bed, "3");
    htt_lease *lease = bed_claim(bed, "new", "w", 10);
    assert_string_equal(bed_seqs(lease), "3");
    assert_rc(bed->db, htt_delivery_ack_all(lease), HTT_OK);
    htt_lease_free(lease);
    /* Again: the position stays, whatever is asked for. */
    htt_consumer_options_init(&options);
    options.from = HTT_FROM_OLDEST;
    assert_rc(bed->db, htt_consumer_register(bed->db, "new", &options), HTT_OK);
    assert_int_equal(bed_state(bed, "new").acknowledged, 3);
}

CONTRACT(test_consumer__removed_it_is_forgotten) {
    (void)bed_append(bed, "1");
    bed_register(bed, "c", HTT_ON_DEAD_BLOCK, 20);
    htt_lease *lease = bed_claim(bed, "c", "w", 10);
    assert_rc(bed->db, htt_consumer_remove(bed->db, "c"), HTT_OK);
    assert_rc(bed->db, htt_delivery_ack(lease, 0), HTT_EXPIRED);
    htt_lease_free(lease);
    assert_rc(bed->db, htt_consumer_remove(bed->db, "c"), HTT_NOTFOUND);
    assert_says(bed->db, "consumer 'c' is not registered");
    htt_consumer_state state;
    assert_rc(bed->db, htt_consumer_read(bed->db, "c", &state), HTT_NOTFOUND);
    assert_rc(bed->db, htt_delivery_claim(bed->db, "c", "w", NULL, &lease), HTT_MISUSE);
    assert_says(bed->db, "consumer 'c' is not registered: htt_consumer_register");
    bed_register(bed, "c", HTT_ON_DEAD_BLOCK, 20);
    lease = bed_claim(bed, "c", "w", 10);
    assert_string_equal(bed_seqs(lease), "1");
    htt_lease_free(lease);
}

CONTRACT(test_consumer__bad_options_are_refused) {
    htt_consumer_options options;
    htt_consumer_options_init(&options);
    assert_rc(bed->db, htt_consumer_register(bed->db, "", &options), HTT_MISUSE);
    assert_rc(bed->db, htt_consumer_register(bed->db, NULL, &options), HTT_MISUSE);
    options.struct_size--;
    assert_rc(bed->db, htt_consumer_register(bed->db, "c", &options), HTT_MISUSE);
    assert_says(bed->db, "not made by htt_consumer_options_init");
    static const uint32_t wrong[][3] = {{0, 1, 1}, {1, 0, 1}, {1, 2, 1}, {1, 1, 86400001}};
    for (size_t i = 0; i < 4; i++) {
        htt_consumer_options_init(&options);
        options.max_attempts = wrong[i][0];
        options.backoff_first_ms = wrong[i][1];
        options.backoff_most_ms = wrong[i][2];
        assert_rc(bed->db, htt_consumer_register(bed->db, "c", &options), HTT_MISUSE);
        assert_says(bed->db, "max_attempts is 1 or more");
    }
    htt_consumer_options_init(&options);
    options.from = (htt_consumer_from)2;
    assert_rc(bed->db, htt_consumer_register(bed->db, "c", &options), HTT_MISUSE);
    htt_consumer_options_init(&options);
    options.on_dead = (htt_on_dead)2;
    assert_rc(bed->db, htt_consumer_register(bed->db, "c", &options), HTT_MISUSE);
    htt_consumer_options_init(&options);
    options.types = "[";
    assert_rc(bed->db, htt_consumer_register(bed->db, "c", &options), HTT_INVALID);
    assert_says(bed->db, "consumer 'c': types is not valid JSON at byte 1");
    options.types = "{}";
    assert_rc(bed->db, htt_consumer_register(bed->db, "c", &options), HTT_INVALID);
    assert_says(bed->db, "types is JSON, but no array");
    htt_consumer_state state;
    assert_rc(bed->db, htt_consumer_read(bed->db, "c", &state), HTT_NOTFOUND);
    assert_rc(bed->db, htt_consumer_read(bed->db, "", &state), HTT_MISUSE);
    assert_rc(bed->db, htt_consumer_remove(bed->db, ""), HTT_MISUSE);
    options.types = "[\"a\\\"b\"]"; /* a quote in it */
    assert_rc(bed->db, htt_consumer_register(bed->db, "c", &options), HTT_NOTFOUND);
    options.types = "[]"; /* nothing is wanted */
    assert_rc(bed->db, htt_consumer_register(bed->db, "c", &options), HTT_OK);
    (void)bed_append(bed, "1");
    assert_null(bed_claim(bed, "c", "w", 5));
}

CONTRACT(test_consumer__gets_the_types_that_it_wants) {
    htt_consumer_options options;
    htt_event event = bed_event();
    htt_consumer_options_init(&options);
    options.types = " [\"placed\", \"plcaed\"]";
    assert_rc(bed->db, htt_event_declare(bed->db, "placed"), HTT_OK);
    assert_rc(bed->db, htt_event_declare(bed->db, "paid"), HTT_OK);
    assert_rc(bed->db, htt_consumer_register(bed->db, "c", &options), HTT_NOTFOUND);
    assert_says(bed->db, "consumer 'c' asks for the type 'plcaed', which is not declared");
    htt_consumer_state state;
    assert_rc(bed->db, htt_consumer_read(bed->db, "c", &state), HTT_NOTFOUND); /* nothing of it */
    options.types = "[\"placed\"]";
    assert_rc(bed->db, htt_consumer_register(bed->db, "c", &options), HTT_OK);
    for (int i = 0; i < 100; i++) {
        event.type = i % 10 == 3 ? "placed" : "paid";
        assert_rc(bed->db, htt_event_append(bed->db, &event, NULL), HTT_OK);
    }
    for (int64_t seq = 4; seq <= 94; seq += 10) { /* of one aggregate: one at a time */
        htt_lease *const lease = bed_claim(bed, "c", "w", 5);
        assert_non_null(lease);
        assert_int_equal(htt_lease_at(lease, 0)->event.seq, seq);
        assert_int_equal(htt_lease_count(lease), 1);
        assert_rc(bed->db, htt_delivery_ack(lease, 0), HTT_OK);
        htt_lease_free(lease);
    }
    assert_null(bed_claim(bed, "c", "w", 5));
    assert_int_equal(bed_state(bed, "c").acknowledged, 100); /* those it does not want are passed */
}

/* ----------------------------------------------------------------- purge */

CONTRACT(test_purge__leaves_the_newest_the_unacknowledged_and_the_dead) {
    uint32_t deleted = 0;
    seen all = {0};
    bed_register(bed, "c", HTT_ON_DEAD_SKIP, 20);
    bed_register(bed, "slow", HTT_ON_DEAD_SKIP, 20);
    for (int i = 0; i < 8; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "%d", i);
        (void)bed_append(bed, name);
    }
    bed->now += 10000;
    htt_lease *lease = bed_claim(bed, "c", "w", 6);
    assert_rc(bed->db, htt_delivery_bury(lease, 1, "never"), HTT_OK);
    for (size_t i = 0; i < 6; i++) {
        assert_rc(bed->db, htt_delivery_ack(lease, i), i == 1 ? HTT_EXPIRED : HTT_OK);
    }
    htt_lease_free(lease);
    assert_rc(bed->db, htt_event_purge(bed->db, 0, 0, &deleted), HTT_OK);
    assert_int_equal(deleted, 0); /* the slow one has none of them */
    assert_rc(bed->db, htt_consumer_remove(bed->db, "slow"), HTT_OK);
    assert_rc(bed->db, htt_event_purge(bed->db, 10001, 0, &deleted), HTT_OK);
    assert_int_equal(deleted, 0); /* too young */
    assert_rc(bed->db, htt_event_purge(bed->db, -1, 0, &deleted), HTT_MISUSE);
    assert_says(bed->db, "events: retention_ms is -1: give it 0 or more");
    assert_rc(bed->db, htt_event_purge(bed->db, 1000, 2, &deleted), HTT_OK);
    assert_int_equal(deleted, 2);
    assert_rc(bed->db, htt_event_purge(bed->db, 1000, 1000, NULL), HTT_OK);
    assert_rc(bed->db, htt_event_each(bed->db, 0, 0, see, &all), HTT_OK);
    assert_int_equal(all.count, 3);
    assert_int_equal(all.seqs[0], 2); /* dead */
    assert_int_equal(all.seqs[1], 7);
    assert_rc(bed->db, htt_consumer_remove(bed->db, "c"), HTT_OK);
    assert_rc(bed->db, htt_event_purge(bed->db, 1000, 0, &deleted), HTT_OK);
    assert_int_equal(deleted, 2);
    assert_rc(bed->db, htt_event_purge(bed->db, 1000, 0, &deleted), HTT_OK);
    assert_int_equal(deleted, 0); /* the newest stays, and its number is not used again */
    assert_int_equal(bed_append(bed, "x"), 9);
    bed_register(bed, "late", HTT_ON_DEAD_BLOCK, 20);
    assert_int_equal(bed_state(bed, "late").acknowledged, 7);
    lease = bed_claim(bed, "late", "w", 5);
    assert_string_equal(bed_seqs(lease), "8 9");
    htt_lease_free(lease);
}

CONTRACT(test_purge__events_with_a_newer_time_do_not_hold_it_up) {
    uint32_t deleted = 0;
    seen all = {0};
    htt_event event = bed_event();
    for (int i = 0; i < 3; i++) {
        event.created_at = bed->now + 100000;
        assert_rc(bed->db, htt_event_append(bed->db, &event, NULL), HTT_OK);
    }
    for (int i = 0; i < 3; i++) {
        (void)bed_append(bed, "1");
    }
    bed->now += 10000;
    assert_rc(bed->db, htt_event_purge(bed->db, 1000, 1, &deleted), HTT_OK);
    assert_int_equal(deleted, 1);
    assert_rc(bed->db, htt_event_purge(bed->db, 1000, 2, &deleted), HTT_OK);
    assert_int_equal(deleted, 1); /* the newest stays */
    assert_rc(bed->db, htt_event_each(bed->db, 0, 0, see, &all), HTT_OK);
    assert_int_equal(all.count, 4);
    assert_int_equal(all.seqs[2], 3);
    assert_int_equal(all.seqs[3], 6);
}

/* ----------------------------------------------------------------- inbox */

CONTRACT(test_inbox__a_message_counts_once_for_each_consumer) {
    char long_text[300];
    uint32_t deleted = 0;
    memset(long_text, 'x', sizeof long_text);
    long_text[256] = '\0';
    assert_rc(bed->db, htt_inbox_accept(bed->db, "c", "m"), HTT_MISUSE);
    assert_says(bed->db, "inbox: accept a message in the transaction that does what it says");
    bed_begin(bed);
    assert_rc(bed->db, htt_inbox_accept(bed->db, "c", "m"), HTT_OK);
    assert_rc(bed->db, htt_inbox_accept(bed->db, "c", "m"), HTT_EXISTS);
    bed_end(bed, false);
    bed_begin(bed);
    assert_rc(bed->db, htt_inbox_accept(bed->db, "c", "m"), HTT_OK); /* the work was lost too */
    assert_rc(bed->db, htt_inbox_accept(bed->db, "d", "m"), HTT_OK);
    assert_rc(bed->db, htt_inbox_accept(bed->db, "c", "n"), HTT_OK);
    assert_rc(bed->db, htt_inbox_accept(bed->db, "", "n"), HTT_MISUSE);
    assert_rc(bed->db, htt_inbox_accept(bed->db, "c", NULL), HTT_MISUSE);
    assert_rc(bed->db, htt_inbox_accept(bed->db, "c", long_text), HTT_TOOBIG);
    bed_end(bed, true);
    bed->now += 1000;
    assert_rc(bed->db, htt_inbox_purge(bed->db, 1000, 0, &deleted), HTT_OK);
    assert_int_equal(deleted, 0);
    assert_rc(bed->db, htt_inbox_purge(bed->db, -1, 0, &deleted), HTT_MISUSE);
    assert_says(bed->db, "inbox: retention_ms is -1: give it 0 or more");
    assert_rc(bed->db, htt_inbox_purge(bed->db, 999, 2, &deleted), HTT_OK);
    assert_int_equal(deleted, 2);
    assert_rc(bed->db, htt_inbox_purge(bed->db, 999, 2, NULL), HTT_OK);
    bed_begin(bed);
    assert_rc(bed->db, htt_inbox_accept(bed->db, "c", "m"), HTT_OK);
    bed_end(bed, true);
}

/* ----------------------------------------------------------------- no db */

/* What is left when htt_db_open was refused. */
static void test_events__without_a_db_are_misuse(void **state) {
    (void)state;
    const htt_event event = bed_event();
    htt_consumer_state consumer;
    int64_t newest;
    seen all = {0};
    assert_int_equal(htt_event_append(NULL, &event, NULL), HTT_MISUSE);
    assert_int_equal(htt_event_declare(NULL, "t"), HTT_MISUSE);
    assert_int_equal(htt_event_each(NULL, 0, 0, see, &all), HTT_MISUSE);
    assert_int_equal(htt_event_newest(NULL, &newest), HTT_MISUSE);
    assert_int_equal(htt_event_purge(NULL, 0, 0, NULL), HTT_MISUSE);
    assert_int_equal(htt_consumer_register(NULL, "c", NULL), HTT_MISUSE);
    assert_int_equal(htt_consumer_remove(NULL, "c"), HTT_MISUSE);
    assert_int_equal(htt_consumer_read(NULL, "c", &consumer), HTT_MISUSE);
    assert_int_equal(htt_inbox_accept(NULL, "c", "m"), HTT_MISUSE);
    assert_int_equal(htt_inbox_purge(NULL, 0, 0, NULL), HTT_MISUSE);
    assert_int_equal(all.count, 0);
}

CONTRACT(test_append__no_event_is_misuse) {
    assert_rc(bed->db, htt_event_append(bed->db, NULL, NULL), HTT_MISUSE);
    assert_says(bed->db, "event: there is none, it is NULL");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_events__without_a_db_are_misuse),
        cmocka_unit_test(test_append__no_event_is_misuse),
        cmocka_unit_test(test_append__an_event_comes_back_as_it_was),
        cmocka_unit_test(test_append__what_is_not_given_has_defaults),
        cmocka_unit_test(test_append__payloads_of_every_type_come_back),
        cmocka_unit_test(test_append__events_are_there_exactly_when_the_transaction_is),
        cmocka_unit_test(test_append__bad_input_is_refused_with_what_is_wrong),
        cmocka_unit_test(test_append__what_only_looks_like_json_is_not_checked),
        cmocka_unit_test(test_append__an_id_is_there_once),
        cmocka_unit_test(test_append__an_idempotency_key_makes_one_event_of_two),
        cmocka_unit_test(test_append__each_part_of_an_event_counts_for_its_idempotency_key),
        cmocka_unit_test(test_append__declared_types_are_the_only_ones),
        cmocka_unit_test(test_each__goes_on_behind_a_number_and_stops_when_told),
        cmocka_unit_test(test_consumer__begins_where_it_says),
        cmocka_unit_test(test_consumer__removed_it_is_forgotten),
        cmocka_unit_test(test_consumer__bad_options_are_refused),
        cmocka_unit_test(test_consumer__gets_the_types_that_it_wants),
        cmocka_unit_test(test_purge__leaves_the_newest_the_unacknowledged_and_the_dead),
        cmocka_unit_test(test_purge__events_with_a_newer_time_do_not_hold_it_up),
        cmocka_unit_test(test_inbox__a_message_counts_once_for_each_consumer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
