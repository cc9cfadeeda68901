/* SPDX-License-Identifier: MIT */
/* The contract of idempotency keys, and SHA-256; see CONTRACT in event_bed.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "event_bed.h"
#include "sql/event/sha256.h"

static htt_idempotency_request request_of(const char *key, const char *input) {
    const htt_idempotency_request request = {
        .scope = "pay", .key = key, .input = input, .input_size = strlen(input)};
    return request;
}

CONTRACT(test_idempotency__the_same_request_gives_the_stored_result) {
    const htt_idempotency_request request = request_of("k", "10 euros");
    htt_idempotency_entry entry;
    htt_idempotency_entry again;
    assert_rc(bed->db, htt_idempotency_begin(bed->db, &request, &entry), HTT_OK);
    assert_string_equal(entry.scope, "pay");
    assert_string_equal(entry.key, "k");
    assert_false(entry.is_finished);
    assert_int_equal(entry.result.type, HTT_NULL);
    assert_int_equal(entry.expires_at, bed->now + 60000);
    assert_rc(bed->db, htt_idempotency_begin(bed->db, &request, &again), HTT_BUSY);
    assert_says(bed->db, "key 'k' of 'pay' is being worked on, it has 60000 ms left");
    assert_int_equal(again.expires_at, entry.expires_at);
    htt_idempotency_clear(&again);
    bed->now += 1000;
    assert_rc(bed->db, htt_idempotency_finish(bed->db, &entry, htt_text("paid")), HTT_OK);
    for (int i = 0; i < 2; i++) {
        assert_rc(bed->db,
                  i == 0 ? htt_idempotency_begin(bed->db, &request, &again)
                         : htt_idempotency_lookup(bed->db, "pay", "k", &again),
                  i == 0 ? HTT_EXISTS : HTT_OK);
        assert_true(again.is_finished);
        assert_int_equal(again.result.type, HTT_TEXT);
        assert_int_equal(again.result.size, 4);
        assert_memory_equal(again.result.data, "paid", 4);
        assert_int_equal(again.created_at, bed->now - 1000);
        assert_int_equal(again.expires_at, bed->now + 86400000);
        htt_idempotency_clear(&again);
    }
    assert_rc(bed->db, htt_idempotency_finish(bed->db, &entry, htt_text("x")), HTT_EXPIRED);
    assert_rc(bed->db, htt_idempotency_abandon(bed->db, &entry), HTT_EXPIRED);
    assert_says(bed->db, "not being worked on by this caller any more");
    htt_idempotency_clear(&entry);
}

CONTRACT(test_idempotency__another_input_is_a_conflict) {
    htt_idempotency_request request = request_of("k", "10 euros");
    htt_idempotency_entry entry;
    assert_rc(bed->db, htt_idempotency_begin(bed->db, &request, &entry), HTT_OK);
    for (int i = 0; i < 2; i++) { /* running, then finished */
        htt_idempotency_entry other;
        request.input = "11 euros";
        assert_rc(bed->db, htt_idempotency_begin(bed->db, &request, &other), HTT_CONFLICT);
        assert_says(bed->db, "key 'k' of 'pay' was used for another input");
        assert_int_equal(other.is_finished, i);
        htt_idempotency_clear(&other);
        request.scope = "refund"; /* other keys */
        assert_rc(bed->db, htt_idempotency_begin(bed->db, &request, &other),
                  i == 0 ? HTT_OK : HTT_BUSY);
        request.scope = "pay";
        htt_idempotency_clear(&other);
        if (i == 0) {
            assert_rc(bed->db, htt_idempotency_finish(bed->db, &entry, htt_null()), HTT_OK);
        }
    }
    htt_idempotency_clear(&entry);
}

CONTRACT(test_idempotency__results_of_every_type_come_back) {
    uint8_t one[HTT_NUMBER_SIZE];
    uint8_t two[HTT_NUMBER_SIZE];
    const htt_datum results[] = {htt_integer(-9, one), htt_real(0.25, two), htt_text(""),
                                 htt_blob("a\0b", 3), htt_null()};
    for (size_t i = 0; i < sizeof results / sizeof results[0]; i++) {
        char key[8];
        (void)snprintf(key, sizeof key, "%zu", i);
        const htt_idempotency_request request = request_of(key, "");
        htt_idempotency_entry entry;
        htt_idempotency_entry again;
        assert_rc(bed->db, htt_idempotency_begin(bed->db, &request, &entry), HTT_OK);
        assert_rc(bed->db, htt_idempotency_finish(bed->db, &entry, results[i]), HTT_OK);
        assert_rc(bed->db, htt_idempotency_begin(bed->db, &request, &again), HTT_EXISTS);
        assert_int_equal(again.result.type, results[i].type);
        assert_int_equal(again.result.size, results[i].size);
        assert_memory_equal(again.result.data, results[i].size == 0 ? "" : results[i].data,
                            results[i].size);
        assert_rc(bed->db, htt_idempotency_finish(bed->db, &entry, htt_bytes("", 0, HTT_ROW)),
                  HTT_TYPE);
        htt_idempotency_clear(&entry);
        htt_idempotency_clear(&again);
    }
}

CONTRACT(test_idempotency__work_that_takes_too_long_is_begun_by_another) {
    htt_idempotency_request request = request_of("k", "x");
    htt_idempotency_entry slow;
    htt_idempotency_entry fast;
    request.running_ms = 1000;
    request.keep_ms = 5000;
    assert_rc(bed->db, htt_idempotency_begin(bed->db, &request, &slow), HTT_OK);
    bed->now += 999;
    assert_rc(bed->db, htt_idempotency_begin(bed->db, &request, &fast), HTT_BUSY);
    htt_idempotency_clear(&fast);
    bed->now += 1;
    assert_rc(bed->db, htt_idempotency_begin(bed->db, &request, &fast), HTT_OK);
    assert_rc(bed->db, htt_idempotency_finish(bed->db, &slow, htt_text("slow")), HTT_EXPIRED);
    assert_rc(bed->db, htt_idempotency_abandon(bed->db, &slow), HTT_EXPIRED);
    assert_rc(bed->db, htt_idempotency_finish(bed->db, &fast, htt_text("fast")), HTT_OK);
    htt_idempotency_clear(&slow);
    htt_idempotency_clear(&fast);
    bed->now += 4999;
    assert_rc(bed->db, htt_idempotency_lookup(bed->db, "pay", "k", &fast), HTT_OK);
    htt_idempotency_clear(&fast);
    bed->now += 1; /* and then the key is free, for another input too */
    assert_rc(bed->db, htt_idempotency_lookup(bed->db, "pay", "k", &fast), HTT_NOTFOUND);
    assert_says(bed->db, "nothing is known of key 'k' in 'pay'");
    request.input = "y";
    assert_rc(bed->db, htt_idempotency_begin(bed->db, &request, &fast), HTT_OK);
    htt_idempotency_clear(&fast);
}

CONTRACT(test_idempotency__given_back_it_can_be_begun_again) {
    const htt_idempotency_request request = request_of("k", "x");
    htt_idempotency_entry entry;
    assert_rc(bed->db, htt_idempotency_begin(bed->db, &request, &entry), HTT_OK);
    assert_rc(bed->db, htt_idempotency_abandon(bed->db, &entry), HTT_OK);
    assert_rc(bed->db, htt_idempotency_abandon(bed->db, &entry), HTT_EXPIRED);
    htt_idempotency_clear(&entry);
    assert_rc(bed->db, htt_idempotency_begin(bed->db, &request, &entry), HTT_OK);
    htt_idempotency_clear(&entry);
}

CONTRACT(test_idempotency__in_a_transaction_a_crash_leaves_nothing) {
    const htt_idempotency_request request = request_of("k", "x");
    htt_idempotency_entry entry;
    bed_begin(bed);
    assert_rc(bed->db, htt_idempotency_begin(bed->db, &request, &entry), HTT_OK);
    assert_rc(bed->db, htt_idempotency_finish(bed->db, &entry, htt_text("r")), HTT_OK);
    bed_end(bed, false);
    htt_idempotency_clear(&entry);
    assert_rc(bed->db, htt_idempotency_begin(bed->db, &request, &entry), HTT_OK);
    htt_idempotency_clear(&entry);
}

CONTRACT(test_idempotency__expired_keys_are_purged_in_pages) {
    uint32_t deleted = 0;
    for (int i = 0; i < 5; i++) {
        char key[8];
        (void)snprintf(key, sizeof key, "%d", i);
        const htt_idempotency_request request = request_of(key, "x");
        htt_idempotency_entry entry;
        assert_rc(bed->db, htt_idempotency_begin(bed->db, &request, &entry), HTT_OK);
        if (i == 4) {
            assert_rc(bed->db, htt_idempotency_finish(bed->db, &entry, htt_null()), HTT_OK);
        }
        htt_idempotency_clear(&entry);
    }
    assert_rc(bed->db, htt_idempotency_purge(bed->db, 0, &deleted), HTT_OK);
    assert_int_equal(deleted, 0);
    bed->now += 60000;
    assert_rc(bed->db, htt_idempotency_purge(bed->db, 3, &deleted), HTT_OK);
    assert_int_equal(deleted, 3);
    assert_rc(bed->db, htt_idempotency_purge(bed->db, 0, NULL), HTT_OK);
    htt_idempotency_entry entry;
    assert_rc(bed->db, htt_idempotency_lookup(bed->db, "pay", "3", &entry), HTT_NOTFOUND);
    assert_rc(bed->db, htt_idempotency_lookup(bed->db, "pay", "4", &entry), HTT_OK);
    htt_idempotency_clear(&entry);
}

CONTRACT(test_idempotency__bad_arguments_are_refused) {
    char long_text[300];
    htt_idempotency_entry entry = {0};
    memset(long_text, 'x', sizeof long_text);
    long_text[256] = '\0';
    htt_idempotency_request request = request_of("", "x");
    assert_rc(bed->db, htt_idempotency_begin(bed->db, &request, &entry), HTT_MISUSE);
    request = request_of(long_text, "x");
    assert_rc(bed->db, htt_idempotency_begin(bed->db, &request, &entry), HTT_TOOBIG);
    assert_says(bed->db, "idempotency: the key has 256 characters, 255 are allowed");
    request = request_of("k", "x");
    request.scope = NULL;
    assert_rc(bed->db, htt_idempotency_begin(bed->db, &request, &entry), HTT_MISUSE);
    request = request_of("k", "x");
    request.running_ms = -1;
    assert_rc(bed->db, htt_idempotency_begin(bed->db, &request, &entry), HTT_MISUSE);
    assert_says(bed->db, "idempotency: running_ms of key 'k' is -1: give it 0 or more");
    request = request_of("k", "x");
    request.keep_ms = -1;
    assert_rc(bed->db, htt_idempotency_begin(bed->db, &request, &entry), HTT_MISUSE);
    assert_says(bed->db, "idempotency: keep_ms of key 'k' is -1: give it 0 or more");
    assert_rc(bed->db, htt_idempotency_begin(bed->db, NULL, &entry), HTT_MISUSE);
    assert_rc(bed->db, htt_idempotency_finish(bed->db, NULL, htt_null()), HTT_MISUSE);
    assert_rc(bed->db, htt_idempotency_abandon(bed->db, NULL), HTT_MISUSE);
    request = request_of("k", "x");
    request.input = NULL;
    assert_rc(bed->db, htt_idempotency_begin(bed->db, &request, &entry), HTT_MISUSE);
    assert_null(entry.scope); /* untouched */
    assert_rc(bed->db, htt_idempotency_finish(bed->db, &entry, htt_null()), HTT_MISUSE);
    assert_rc(bed->db, htt_idempotency_abandon(bed->db, &entry), HTT_MISUSE);
    assert_rc(bed->db, htt_idempotency_lookup(bed->db, "pay", "", &entry), HTT_MISUSE);
    long_text[255] = '\0';
    request = request_of(long_text, "");
    request.input = NULL; /* no input is an input */
    assert_rc(bed->db, htt_idempotency_begin(bed->db, &request, &entry), HTT_OK);
    htt_idempotency_clear(&entry);
}

CONTRACT(test_idempotency__a_time_without_an_end_is_not_the_past) {
    htt_idempotency_request request = request_of("k", "x");
    htt_idempotency_entry entry;
    htt_idempotency_entry other;
    uint32_t deleted = 0;
    request.running_ms = INT64_MAX;
    request.keep_ms = INT64_MAX;
    assert_rc(bed->db, htt_idempotency_begin(bed->db, &request, &entry), HTT_OK);
    assert_true(entry.expires_at == INT64_MAX);
    bed->now += 1000;
    assert_rc(bed->db, htt_idempotency_begin(bed->db, &request, &other), HTT_BUSY);
    htt_idempotency_clear(&other);
    assert_rc(bed->db, htt_idempotency_finish(bed->db, &entry, htt_text("r")), HTT_OK);
    assert_rc(bed->db, htt_idempotency_purge(bed->db, 0, &deleted), HTT_OK);
    assert_int_equal(deleted, 0);
    assert_rc(bed->db, htt_idempotency_begin(bed->db, &request, &other), HTT_EXISTS);
    htt_idempotency_clear(&entry);
    htt_idempotency_clear(&other);
}

CONTRACT(test_idempotency__finished_by_what_a_lookup_gave_the_result_is_kept) {
    const htt_idempotency_request request = request_of("k", "x");
    htt_idempotency_entry entry;
    htt_idempotency_entry found;
    assert_rc(bed->db, htt_idempotency_begin(bed->db, &request, &entry), HTT_OK);
    assert_rc(bed->db, htt_idempotency_lookup(bed->db, "pay", "k", &found), HTT_OK);
    assert_rc(bed->db, htt_idempotency_finish(bed->db, &found, htt_text("r")), HTT_OK);
    htt_idempotency_clear(&entry);
    htt_idempotency_clear(&found);
    bed->now += HTT_IDEMPOTENCY_KEEP_MS - 1;
    assert_rc(bed->db, htt_idempotency_lookup(bed->db, "pay", "k", &found), HTT_OK);
    assert_true(found.is_finished);
    htt_idempotency_clear(&found);
}

static void test_idempotency__without_a_db_is_misuse(void **state) {
    (void)state;
    const htt_idempotency_request request = request_of("k", "x");
    htt_idempotency_entry entry = {0};
    assert_int_equal(htt_idempotency_begin(NULL, &request, &entry), HTT_MISUSE);
    assert_int_equal(htt_idempotency_lookup(NULL, "pay", "k", &entry), HTT_MISUSE);
    assert_int_equal(htt_idempotency_finish(NULL, &entry, htt_null()), HTT_MISUSE);
    assert_int_equal(htt_idempotency_abandon(NULL, &entry), HTT_MISUSE);
    assert_int_equal(htt_idempotency_purge(NULL, 0, NULL), HTT_MISUSE);
    assert_null(entry.scope);
}

static void digest_is(const char *data, size_t size, const char *hex) {
    uint8_t digest[HTT_SHA256_SIZE];
    char text[2 * HTT_SHA256_SIZE + 1];
    htt_sha256(data, size, digest);
    for (size_t i = 0; i < sizeof digest; i++) {
        (void)snprintf(text + 2 * i, 3, "%02x", digest[i]);
    }
    assert_string_equal(text, hex);
}

/* Expected values are those of sha256sum. */
static void test_sha256__is_what_others_compute(void **state) {
    (void)state;
    static char bytes[1000];
    digest_is("", 0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    digest_is("abc", 3, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    memset(bytes, 'a', sizeof bytes);
    digest_is(bytes, 55, "9f4390f8d30c2dd92ec9f095b65e2b9ae9b0a925a5258e241c9f1e910f734318");
    digest_is(bytes, 56, "b35439a4ac6f0948b6d6f9e3c6af0f5f590ce20f1bde7090ef7970686ec6738a");
    digest_is(bytes, 64, "ffe054fe7ae0cb6dc65c3af9b61d5209f439851db43d0ba5997337df154668eb");
    digest_is(bytes, 1000, "41edece42d63e8d9bf515a9ba6932e1c20cbc9f5a5d134645adb5db1b9737ea3");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_idempotency__without_a_db_is_misuse),
        cmocka_unit_test(test_idempotency__finished_by_what_a_lookup_gave_the_result_is_kept),
        cmocka_unit_test(test_idempotency__a_time_without_an_end_is_not_the_past),
        cmocka_unit_test(test_idempotency__the_same_request_gives_the_stored_result),
        cmocka_unit_test(test_idempotency__another_input_is_a_conflict),
        cmocka_unit_test(test_idempotency__results_of_every_type_come_back),
        cmocka_unit_test(test_idempotency__work_that_takes_too_long_is_begun_by_another),
        cmocka_unit_test(test_idempotency__given_back_it_can_be_begun_again),
        cmocka_unit_test(test_idempotency__in_a_transaction_a_crash_leaves_nothing),
        cmocka_unit_test(test_idempotency__expired_keys_are_purged_in_pages),
        cmocka_unit_test(test_idempotency__bad_arguments_are_refused),
        cmocka_unit_test(test_sha256__is_what_others_compute),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
