/* SPDX-License-Identifier: MIT */
/* The contract of deliveries: claims, leases, failures, the dead; see CONTRACT in event_bed.h. */
#include <stdio.h>
#include <string.h>

#include "event_bed.h"

/* ----------------------------------------------------------------- claim */

CONTRACT(test_claim__gives_events_in_order_and_each_to_one) {
    bed_register(bed, "c", HTT_ON_DEAD_BLOCK, 20);
    for (int i = 0; i < 10; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "%d", i);
        (void)bed_append(bed, name);
    }
    htt_lease *const one = bed_claim(bed, "c", "w", 4);
    assert_string_equal(bed_seqs(one), "1 2 3 4");
    assert_int_equal(htt_lease_at(one, 0)->attempts, 1);
    assert_string_equal(htt_lease_at(one, 3)->event.aggregate_id, "3");
    assert_memory_equal(htt_lease_at(one, 3)->event.payload.data, "{}", 2);
    assert_int_equal(htt_lease_until(one), bed->now + 30000);
    htt_lease *const two = bed_claim(bed, "c", "w", 4); /* the same name */
    assert_string_equal(bed_seqs(two), "5 6 7 8");
    assert_true(htt_lease_token(two) > htt_lease_token(one));
    htt_lease *const three = bed_claim(bed, "c", "v", 4);
    assert_string_equal(bed_seqs(three), "9 10");
    assert_null(bed_claim(bed, "c", "v", 4));
    assert_int_equal(bed_state(bed, "c").leased, 10);
    assert_rc(bed->db, htt_delivery_ack_all(two), HTT_OK);
    assert_int_equal(bed_state(bed, "c").acknowledged, 0);
    assert_rc(bed->db, htt_delivery_ack_all(one), HTT_OK);
    assert_int_equal(bed_state(bed, "c").acknowledged, 8);
    assert_rc(bed->db, htt_delivery_ack(three, 1), HTT_OK);
    assert_int_equal(bed_state(bed, "c").acknowledged, 8);
    assert_rc(bed->db, htt_delivery_ack(three, 0), HTT_OK);
    assert_int_equal(bed_state(bed, "c").acknowledged, 10);
    htt_lease_free(one);
    htt_lease_free(two);
    htt_lease_free(three);
    htt_lease_free(NULL);
}

CONTRACT(test_claim__every_consumer_gets_every_event) {
    bed_register(bed, "c", HTT_ON_DEAD_BLOCK, 20);
    bed_register(bed, "cc", HTT_ON_DEAD_BLOCK, 20);
    (void)bed_append(bed, "1");
    for (int i = 0; i < 2; i++) {
        htt_lease *const lease = bed_claim(bed, i == 0 ? "c" : "cc", "w", 4);
        assert_string_equal(bed_seqs(lease), "1");
        assert_rc(bed->db, htt_delivery_ack_all(lease), HTT_OK);
        htt_lease_free(lease);
    }
}

CONTRACT(test_claim__an_aggregate_is_delivered_one_after_the_other) {
    bed_register(bed, "c", HTT_ON_DEAD_BLOCK, 20);
    static const char *const names[] = {"a", "a", "b", "a", "b"};
    for (size_t i = 0; i < 5; i++) {
        (void)bed_append(bed, names[i]);
    }
    htt_lease *const one = bed_claim(bed, "c", "w", 10);
    assert_string_equal(bed_seqs(one), "1 3");
    assert_null(bed_claim(bed, "c", "w", 10));
    assert_int_equal(bed_state(bed, "c").waiting, 3);
    assert_rc(bed->db, htt_delivery_ack(one, 1), HTT_OK);
    htt_lease *const two = bed_claim(bed, "c", "w", 10);
    assert_string_equal(bed_seqs(two), "5");
    assert_rc(bed->db, htt_delivery_fail(one, 0, "no"), HTT_OK); /* 1 fails: 2 still waits */
    assert_null(bed_claim(bed, "c", "w", 10));
    bed->now += 60000;
    assert_int_equal(bed_append(bed, "a"), 6);
    htt_lease *const three = bed_claim(bed, "c", "w", 10);
    assert_string_equal(bed_seqs(three), "1 5"); /* 5: its lease was over */
    assert_int_equal(htt_lease_at(three, 0)->attempts, 2);
    assert_rc(bed->db, htt_delivery_ack_all(three), HTT_OK);
    htt_lease *const four = bed_claim(bed, "c", "w", 10);
    assert_string_equal(bed_seqs(four), "2");
    htt_lease_free(one);
    htt_lease_free(two);
    htt_lease_free(three);
    htt_lease_free(four);
}

CONTRACT(test_claim__an_event_has_its_time) {
    htt_event event = bed_event();
    bed_register(bed, "c", HTT_ON_DEAD_BLOCK, 20);
    event.available_at = bed->now + 1000;
    assert_rc(bed->db, htt_event_append(bed->db, &event, NULL), HTT_OK);
    (void)bed_append(bed, "1"); /* of the same aggregate: behind it */
    (void)bed_append(bed, "2");
    htt_lease *lease = bed_claim(bed, "c", "w", 10);
    assert_string_equal(bed_seqs(lease), "3");
    htt_lease_free(lease);
    bed->now += 999;
    assert_null(bed_claim(bed, "c", "w", 10));
    bed->now += 1;
    lease = bed_claim(bed, "c", "w", 10);
    assert_string_equal(bed_seqs(lease), "1");
    htt_lease_free(lease);
}

CONTRACT(test_claim__bad_arguments_are_refused) {
    htt_claim_options options;
    htt_lease *lease = NULL;
    bed_register(bed, "c", HTT_ON_DEAD_BLOCK, 20);
    assert_rc(bed->db, htt_delivery_claim(bed->db, "", "w", NULL, &lease), HTT_MISUSE);
    assert_rc(bed->db, htt_delivery_claim(bed->db, "c", "", NULL, &lease), HTT_MISUSE);
    assert_says(bed->db, "claim: the worker's name is empty");
    htt_claim_options_init(&options);
    options.struct_size = 0;
    assert_rc(bed->db, htt_delivery_claim(bed->db, "c", "w", &options, &lease), HTT_MISUSE);
    static const uint32_t wrong[][2] = {{0, 1}, {10001, 1}, {1, 0}, {1, 86400001}};
    for (size_t i = 0; i < 4; i++) {
        htt_claim_options_init(&options);
        options.most = wrong[i][0];
        options.lease_ms = wrong[i][1];
        assert_rc(bed->db, htt_delivery_claim(bed->db, "c", "w", &options, &lease), HTT_MISUSE);
        assert_says(bed->db, "claim: most is 1 to 10000 events");
    }
    assert_null(lease);
    assert_rc(bed->db, htt_delivery_claim(bed->db, "c", "w", NULL, &lease), HTT_NOTFOUND);
}

/* What is left when htt_db_open or a claim was refused. */
static void test_delivery__without_a_db_or_a_lease_is_misuse(void **state) {
    (void)state;
    htt_lease *lease = NULL;
    assert_int_equal(htt_delivery_claim(NULL, "c", "w", NULL, &lease), HTT_MISUSE);
    assert_null(lease);
    assert_int_equal(htt_delivery_ack(NULL, 0), HTT_MISUSE);
    assert_int_equal(htt_delivery_fail(NULL, 0, "x"), HTT_MISUSE);
    assert_int_equal(htt_delivery_bury(NULL, 0, "x"), HTT_MISUSE);
    assert_int_equal(htt_delivery_release(NULL, 0), HTT_MISUSE);
    assert_int_equal(htt_delivery_ack_all(NULL), HTT_MISUSE);
    assert_int_equal(htt_delivery_extend(NULL, 1), HTT_MISUSE);
    assert_int_equal(htt_lease_count(NULL), 0);
    assert_int_equal(htt_dead_each(NULL, "c", 0, 0, NULL, NULL), HTT_MISUSE);
    assert_int_equal(htt_dead_requeue(NULL, "c", 0), HTT_MISUSE);
    assert_int_equal(htt_dead_discard(NULL, "c", 1), HTT_MISUSE);
}

CONTRACT(test_claim__an_open_lease_keeps_the_db_open) {
    bed_register(bed, "c", HTT_ON_DEAD_BLOCK, 20);
    (void)bed_append(bed, "1");
    htt_lease *const lease = bed_claim(bed, "c", "w", 10);
    assert_rc(bed->db, htt_db_close(bed->db), HTT_MISUSE);
    assert_says(bed->db, "lease of consumer 'c'");
    htt_lease_free(lease);
}

/* ---------------------------------------------------------------- leases */

CONTRACT(test_lease__one_that_is_over_is_refused_and_says_so) {
    bed_register(bed, "c", HTT_ON_DEAD_BLOCK, 20);
    (void)bed_append(bed, "1");
    htt_lease *const one = bed_claim(bed, "c", "w", 10);
    bed->now += 29999;
    assert_null(bed_claim(bed, "c", "w", 10));
    bed->now += 1;
    assert_rc(bed->db, htt_delivery_ack(one, 0), HTT_EXPIRED); /* over, though nobody has it */
    assert_says(bed->db, "event 1: lease 1 was over 0 ms ago: extend it in time");
    assert_rc(bed->db, htt_delivery_fail(one, 0, "x"), HTT_EXPIRED);
    assert_rc(bed->db, htt_delivery_bury(one, 0, "x"), HTT_EXPIRED);
    assert_rc(bed->db, htt_delivery_release(one, 0), HTT_EXPIRED);
    assert_rc(bed->db, htt_delivery_extend(one, 1000), HTT_EXPIRED);
    htt_lease *const two = bed_claim(bed, "c", "w", 10); /* the same name, another lease */
    assert_string_equal(bed_seqs(two), "1");
    assert_int_equal(htt_lease_at(two, 0)->attempts, 2);
    assert_rc(bed->db, htt_delivery_ack(one, 0), HTT_EXPIRED);
    assert_says(bed->db, "lease 1 on it is over, and worker 'w' has it now with lease");
    assert_rc(bed->db, htt_delivery_ack_all(one), HTT_EXPIRED);
    assert_rc(bed->db, htt_delivery_extend(one, 1000), HTT_EXPIRED);
    assert_rc(bed->db, htt_delivery_ack(two, 0), HTT_OK);
    assert_rc(bed->db, htt_delivery_ack(one, 0), HTT_EXPIRED);
    assert_says(bed->db, "event 1: consumer 'c' has acknowledged it already");
    assert_rc(bed->db, htt_delivery_ack(two, 0), HTT_EXPIRED);
    assert_rc(bed->db, htt_delivery_extend(two, 1000), HTT_EXPIRED);
    assert_says(bed->db, "all of its events are settled");
    assert_rc(bed->db, htt_delivery_ack(two, 1), HTT_MISUSE);
    assert_says(bed->db, "the lease has 1 events, there is no index 1");
    htt_lease_free(one);
    htt_lease_free(two);
}

/* Claims three events of three aggregates. */
static htt_lease *claim_three(event_bed *bed) {
    bed_register(bed, "c", HTT_ON_DEAD_BLOCK, 20);
    (void)bed_append(bed, "1");
    (void)bed_append(bed, "2");
    (void)bed_append(bed, "3");
    return bed_claim(bed, "c", "w", 3);
}

CONTRACT(test_lease__ack_all_is_all_or_nothing) {
    htt_lease *const lease = claim_three(bed);
    bed->now += 20000;
    assert_rc(bed->db, htt_delivery_release(lease, 2), HTT_OK);
    htt_lease *const other = bed_claim(bed, "c", "w", 3);
    assert_string_equal(bed_seqs(other), "3");
    bed->now += 10000;
    htt_lease *const late = bed_claim(bed, "c", "w", 1);
    assert_string_equal(bed_seqs(late), "1");
    assert_rc(bed->db, htt_delivery_ack_all(lease), HTT_EXPIRED);
    assert_says(bed->db, "event 1: lease 1 on it is over, and worker 'w' has it now");
    assert_int_equal(bed_state(bed, "c").leased, 3);
    assert_int_equal(bed_state(bed, "c").acknowledged, 0);
    htt_lease_free(lease);
    htt_lease_free(other);
    htt_lease_free(late);
}

CONTRACT(test_lease__ack_all_acknowledges_the_rest) {
    htt_lease *const lease = claim_three(bed);
    assert_rc(bed->db, htt_delivery_fail(lease, 1, "no"), HTT_OK);
    assert_rc(bed->db, htt_delivery_ack(lease, 0), HTT_OK);
    assert_rc(bed->db, htt_delivery_ack_all(lease), HTT_OK);
    assert_int_equal(bed_state(bed, "c").leased, 0);
    assert_int_equal(bed_state(bed, "c").failed, 1);
    assert_int_equal(bed_state(bed, "c").acknowledged, 1);
    assert_rc(bed->db, htt_delivery_ack_all(lease), HTT_OK); /* nothing to do */
    assert_int_equal(bed_state(bed, "c").failed, 1);
    htt_lease_free(lease);
}

CONTRACT(test_lease__not_settled_by_it_but_acknowledged_by_another_it_cannot_be_extended) {
    htt_lease *const lease = claim_three(bed);
    bed->now += 20000;
    assert_rc(bed->db, htt_delivery_extend(lease, 30000), HTT_OK);
    bed->now += 30000;
    htt_lease *const other = bed_claim(bed, "c", "w", 1);
    assert_string_equal(bed_seqs(other), "1");
    assert_rc(bed->db, htt_delivery_ack(other, 0), HTT_OK); /* has no row any more */
    bed->now -= 10000;                                      /* the others are leased again */
    assert_rc(bed->db, htt_delivery_extend(lease, 30000), HTT_EXPIRED);
    assert_rc(bed->db, htt_delivery_ack_all(lease), HTT_EXPIRED);
    assert_says(bed->db, "event 1: consumer 'c' has acknowledged it already");
    assert_int_equal(bed_state(bed, "c").leased, 2);
    htt_lease_free(lease);
    htt_lease_free(other);
}

CONTRACT(test_lease__settled_in_a_transaction_that_rolls_back_it_is_extended) {
    htt_lease *const lease = claim_three(bed);
    bed_begin(bed);
    assert_rc(bed->db, htt_delivery_ack_all(lease), HTT_OK);
    bed_end(bed, false);
    bed->now += 20000;
    assert_rc(bed->db, htt_delivery_extend(lease, 30000), HTT_OK);
    bed->now += 29999;
    assert_rc(bed->db, htt_delivery_ack(lease, 2), HTT_OK);
    bed->now += 1; /* over, and not settled */
    assert_rc(bed->db, htt_delivery_extend(lease, 30000), HTT_EXPIRED);
    htt_lease_free(lease);
}

CONTRACT(test_lease__extended_it_lasts_longer) {
    bed_register(bed, "c", HTT_ON_DEAD_BLOCK, 20);
    (void)bed_append(bed, "1");
    (void)bed_append(bed, "2");
    (void)bed_append(bed, "3");
    htt_lease *const lease = bed_claim(bed, "c", "w", 10);
    assert_rc(bed->db, htt_delivery_extend(lease, 0), HTT_MISUSE);
    assert_rc(bed->db, htt_delivery_extend(lease, 86400001), HTT_MISUSE);
    assert_rc(bed->db, htt_delivery_ack(lease, 0), HTT_OK);
    assert_rc(bed->db, htt_delivery_fail(lease, 1, "x"), HTT_OK);
    bed->now += 20000;
    assert_rc(bed->db, htt_delivery_extend(lease, 30000), HTT_OK); /* of what is left */
    assert_int_equal(htt_lease_until(lease), bed->now + 30000);
    bed->now += 29999;
    assert_rc(bed->db, htt_delivery_ack(lease, 2), HTT_OK);
    htt_lease_free(lease);
}

CONTRACT(test_lease__a_clock_that_goes_back_takes_no_lease_early) {
    bed_register(bed, "c", HTT_ON_DEAD_BLOCK, 20);
    (void)bed_append(bed, "1");
    (void)bed_append(bed, "2");
    const int64_t start = bed->now;
    htt_lease *const one = bed_claim(bed, "c", "w", 1);
    bed->now = start - 3600000;
    htt_lease *const two = bed_claim(bed, "c", "w", 10); /* what is new is not held up */
    assert_string_equal(bed_seqs(two), "2");
    for (int i = 0; i < 10; i++) { /* an hour passes again */
        bed->now += 360000;
        htt_lease *const other = bed_claim(bed, "c", "v", 1);
        if (other != NULL) {
            assert_string_equal(bed_seqs(other), "2"); /* of the lease taken after the jump */
            htt_lease_free(other);
        }
    }
    assert_rc(bed->db, htt_delivery_ack(one, 0), HTT_OK); /* still ours: nothing was lost */
    bed->now = start + 3600000;
    htt_lease *const three = bed_claim(bed, "c", "v", 10);
    assert_string_equal(bed_seqs(three), "2");
    assert_rc(bed->db, htt_delivery_ack_all(three), HTT_OK);
    assert_int_equal(bed_state(bed, "c").acknowledged, 2);
    htt_lease_free(one);
    htt_lease_free(two);
    htt_lease_free(three);
}

CONTRACT(test_lease__acknowledged_in_a_transaction_that_rolls_back_it_goes_on) {
    bed_register(bed, "c", HTT_ON_DEAD_BLOCK, 20);
    (void)bed_append(bed, "1");
    htt_lease *const lease = bed_claim(bed, "c", "w", 1);
    bed_begin(bed);
    assert_rc(bed->db, htt_delivery_ack(lease, 0), HTT_OK);
    assert_int_equal(bed_state(bed, "c").acknowledged, 1);
    bed_end(bed, false);
    assert_int_equal(bed_state(bed, "c").acknowledged, 0);
    assert_rc(bed->db, htt_delivery_ack(lease, 0), HTT_OK);
    assert_int_equal(bed_state(bed, "c").acknowledged, 1);
    htt_lease_free(lease);
}

CONTRACT(test_lease__given_back_the_attempt_does_not_count) {
    bed_register(bed, "c", HTT_ON_DEAD_BLOCK, 1);
    (void)bed_append(bed, "1");
    for (int i = 0; i < 3; i++) {
        htt_lease *const lease = bed_claim(bed, "c", "w", 1);
        assert_string_equal(bed_seqs(lease), "1");
        assert_int_equal(htt_lease_at(lease, 0)->attempts, 1);
        assert_rc(bed->db, htt_delivery_release(lease, 0), HTT_OK);
        assert_rc(bed->db, htt_delivery_ack(lease, 0), HTT_EXPIRED);
        assert_says(bed->db, "it is pending now");
        htt_lease_free(lease);
    }
}

/* -------------------------------------------------------------- failures */

CONTRACT(test_fail__pauses_double_with_chance_up_to_the_most) {
    bed_register(bed, "c", HTT_ON_DEAD_BLOCK, 40);
    (void)bed_append(bed, "1");
    int64_t least = 250;
    int64_t most = 500;
    for (int i = 1; i < 40; i++) {
        htt_lease *const lease = bed_claim(bed, "c", "w", 1);
        assert_string_equal(bed_seqs(lease), "1");
        assert_int_equal(htt_lease_at(lease, 0)->attempts, i);
        assert_rc(bed->db, htt_delivery_fail(lease, 0, "no"), HTT_OK);
        htt_lease_free(lease);
        bed->now += least - 1; /* never before half of it */
        assert_null(bed_claim(bed, "c", "w", 1));
        bed->now += most - least + 1; /* always at its end */
        least = least * 2 < 30000 ? least * 2 : 30000;
        most = most * 2 < 60000 ? most * 2 : 60000;
    }
}

static htt_rc see_dead(void *arg, const htt_dead *dead) {
    seen *const all = arg;
    (void)snprintf(all->text[0], sizeof all->text[0], "%s", dead->last_error);
    (void)snprintf(all->text[1], sizeof all->text[1], "%s", dead->worker);
    (void)snprintf(all->text[2], sizeof all->text[2], "%s", dead->event.aggregate_id);
    all->created_at = dead->died_at;
    all->type = (int)dead->attempts;
    all->seqs[all->count++] = dead->event.seq;
    return HTT_OK;
}

CONTRACT(test_lease__given_back_and_taken_by_another_the_rest_is_extended) {
    bed_register(bed, "c", HTT_ON_DEAD_BLOCK, 20);
    bed_register(bed, "d", HTT_ON_DEAD_BLOCK, 20);
    for (int i = 0; i < 3; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "%d", i);
        (void)bed_append(bed, name);
    }
    htt_lease *const lease = bed_claim(bed, "c", "w", 3);
    htt_lease *const other = bed_claim(bed, "d", "w", 3);
    assert_rc(bed->db, htt_delivery_release(lease, 1), HTT_OK);
    htt_lease *const second = bed_claim(bed, "c", "w", 3);
    assert_string_equal(bed_seqs(second), "2");
    assert_rc(bed->db, htt_delivery_extend(lease, 40000), HTT_OK);
    assert_int_equal(htt_lease_until(lease), bed->now + 40000);
    assert_rc(bed->db, htt_delivery_ack_all(second), HTT_OK);
    assert_rc(bed->db, htt_consumer_remove(bed->db, "c"), HTT_OK);
    assert_rc(bed->db, htt_delivery_extend(lease, 1000), HTT_EXPIRED); /* nothing is left of it */
    assert_int_equal(bed_state(bed, "d").leased, 3);                   /* all of the other one */
    htt_lease_free(lease);
    htt_lease_free(other);
    htt_lease_free(second);
}

CONTRACT(test_dead__are_listed_in_pages) {
    bed_register(bed, "c", HTT_ON_DEAD_SKIP, 1);
    for (int i = 0; i < 5; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "%d", i);
        (void)bed_append(bed, name);
    }
    htt_lease *const lease = bed_claim(bed, "c", "w", 5);
    for (size_t i = 0; i < 5; i++) {
        assert_rc(bed->db, htt_delivery_fail(lease, i, NULL), HTT_OK); /* the only attempt */
    }
    htt_lease_free(lease);
    seen all = {0};
    assert_rc(bed->db, htt_dead_each(bed->db, "c", 1, 2, see_dead, &all), HTT_OK);
    assert_int_equal(all.count, 2);
    assert_int_equal(all.seqs[0], 2);
    assert_int_equal(all.seqs[1], 3);
    assert_string_equal(all.text[0], "");
    assert_int_equal(bed_state(bed, "c").acknowledged, 5);
    assert_rc(bed->db, htt_dead_requeue(bed->db, "c", 3), HTT_OK);
    assert_int_equal(bed_state(bed, "c").dead, 4);
    assert_int_equal(bed_state(bed, "c").pending, 1);
}

CONTRACT(test_dead__after_the_last_attempt) {
    bed_register(bed, "c", HTT_ON_DEAD_BLOCK, 2);
    (void)bed_append(bed, "1");
    (void)bed_append(bed, "1");
    for (int i = 0; i < 2; i++) {
        htt_lease *const lease = bed_claim(bed, "c", "w7", 5);
        assert_string_equal(bed_seqs(lease), "1");
        assert_rc(bed->db, htt_delivery_fail(lease, 0, i == 0 ? NULL : "it is \"broken\""), HTT_OK);
        htt_lease_free(lease);
        bed->now += 1000;
    }
    seen all = {0};
    assert_rc(bed->db, htt_dead_each(bed->db, "c", 0, 0, see_dead, &all), HTT_OK);
    assert_int_equal(all.count, 1);
    assert_int_equal(all.seqs[0], 1);
    assert_int_equal(all.type, 2);
    assert_int_equal(all.created_at, bed->now - 1000);
    assert_string_equal(all.text[0], "it is \"broken\"");
    assert_string_equal(all.text[1], "w7");
    assert_string_equal(all.text[2], "1");
    assert_null(bed_claim(bed, "c", "w", 5)); /* the next one of the aggregate is held up */
    assert_int_equal(bed_state(bed, "c").dead, 1);
    assert_int_equal(bed_state(bed, "c").waiting, 1);
    assert_int_equal(bed_state(bed, "c").acknowledged, 1);
    assert_int_equal(bed_append(bed, "1"), 3); /* and so is one that comes later */
    assert_null(bed_claim(bed, "c", "w", 5));
    assert_rc(bed->db, htt_dead_requeue(bed->db, "c", 2), HTT_NOTFOUND);
    assert_says(bed->db, "event 2 is not a dead one of consumer 'c'");
    assert_rc(bed->db, htt_dead_requeue(bed->db, "c", -1), HTT_MISUSE);
    assert_rc(bed->db, htt_dead_requeue(bed->db, "c", 1), HTT_OK);
    htt_lease *lease = bed_claim(bed, "c", "w", 5);
    assert_string_equal(bed_seqs(lease), "1");
    assert_int_equal(htt_lease_at(lease, 0)->attempts, 1);
    assert_rc(bed->db, htt_delivery_ack(lease, 0), HTT_OK);
    htt_lease_free(lease);
    for (int64_t seq = 2; seq <= 3; seq++) {
        lease = bed_claim(bed, "c", "w", 5);
        assert_int_equal(htt_lease_at(lease, 0)->event.seq, seq);
        assert_rc(bed->db, htt_delivery_ack_all(lease), HTT_OK);
        htt_lease_free(lease);
    }
    assert_int_equal(bed_state(bed, "c").acknowledged, 3);
    assert_rc(bed->db, htt_dead_requeue(bed->db, "c", 0), HTT_NOTFOUND);
    assert_says(bed->db, "consumer 'c' has no dead events");
}

CONTRACT(test_dead__skipped_where_the_policy_says_so) {
    bed_register(bed, "c", HTT_ON_DEAD_SKIP, 20);
    for (int i = 0; i < 3; i++) {
        (void)bed_append(bed, "1");
    }
    htt_lease *one = bed_claim(bed, "c", "w", 5);
    assert_rc(bed->db, htt_delivery_bury(one, 0, "never"), HTT_OK);
    htt_lease *const two = bed_claim(bed, "c", "w", 5);
    assert_string_equal(bed_seqs(two), "2");
    assert_int_equal(bed_state(bed, "c").acknowledged, 1);
    /* Tried again while a later one is leased: both may be with workers, 3 waits for both. */
    assert_rc(bed->db, htt_dead_requeue(bed->db, "c", 0), HTT_OK);
    htt_lease *const three = bed_claim(bed, "c", "w", 5);
    assert_string_equal(bed_seqs(three), "1");
    assert_rc(bed->db, htt_delivery_ack(two, 0), HTT_OK);
    assert_null(bed_claim(bed, "c", "w", 5));
    assert_rc(bed->db, htt_delivery_ack(three, 0), HTT_OK);
    htt_lease *const four = bed_claim(bed, "c", "w", 5);
    assert_string_equal(bed_seqs(four), "3");
    assert_rc(bed->db, htt_delivery_ack(four, 0), HTT_OK);
    assert_int_equal(bed_state(bed, "c").acknowledged, 3);
    htt_lease_free(one);
    htt_lease_free(two);
    htt_lease_free(three);
    htt_lease_free(four);
}

CONTRACT(test_dead__requeued_its_successor_is_not_tried_before_it) {
    bed_register(bed, "c", HTT_ON_DEAD_SKIP, 20);
    (void)bed_append(bed, "1");
    (void)bed_append(bed, "1");
    htt_lease *lease = bed_claim(bed, "c", "w", 5);
    assert_rc(bed->db, htt_delivery_bury(lease, 0, "never"), HTT_OK);
    htt_lease_free(lease);
    lease = bed_claim(bed, "c", "w", 5);
    assert_string_equal(bed_seqs(lease), "2");
    assert_rc(bed->db, htt_delivery_fail(lease, 0, "later"), HTT_OK);
    htt_lease_free(lease);
    assert_rc(bed->db, htt_dead_requeue(bed->db, "c", 1), HTT_OK);
    bed->now += 100000;
    lease = bed_claim(bed, "c", "w", 5);
    assert_string_equal(bed_seqs(lease), "1"); /* 2 is due, but 1 is open again */
    assert_rc(bed->db, htt_delivery_ack(lease, 0), HTT_OK);
    htt_lease_free(lease);
    lease = bed_claim(bed, "c", "w", 5);
    assert_string_equal(bed_seqs(lease), "2");
    htt_lease_free(lease);
}

CONTRACT(test_dead__policy_changed_to_skip_lets_what_waits_go) {
    bed_register(bed, "c", HTT_ON_DEAD_BLOCK, 20);
    (void)bed_append(bed, "1");
    (void)bed_append(bed, "1");
    (void)bed_append(bed, "1");
    htt_lease *lease = bed_claim(bed, "c", "w", 5);
    assert_rc(bed->db, htt_delivery_bury(lease, 0, "never"), HTT_OK);
    htt_lease_free(lease);
    assert_null(bed_claim(bed, "c", "w", 5));
    bed_register(bed, "c", HTT_ON_DEAD_SKIP, 20);
    lease = bed_claim(bed, "c", "w", 5);
    assert_string_equal(bed_seqs(lease), "2");
    htt_lease_free(lease);
}

CONTRACT(test_dead__discarded_what_waits_behind_it_goes_on) {
    bed_register(bed, "c", HTT_ON_DEAD_BLOCK, 20);
    (void)bed_append(bed, "1");
    (void)bed_append(bed, "1");
    htt_lease *lease = bed_claim(bed, "c", "w", 5);
    assert_rc(bed->db, htt_delivery_bury(lease, 0, NULL), HTT_OK);
    htt_lease_free(lease);
    assert_rc(bed->db, htt_dead_discard(bed->db, "c", 2), HTT_NOTFOUND);
    assert_rc(bed->db, htt_dead_discard(bed->db, "c", 0), HTT_MISUSE);
    assert_rc(bed->db, htt_dead_discard(bed->db, "", 1), HTT_MISUSE);
    assert_rc(bed->db, htt_dead_discard(bed->db, "c", 1), HTT_OK);
    lease = bed_claim(bed, "c", "w", 5);
    assert_string_equal(bed_seqs(lease), "2");
    htt_lease_free(lease);
}

CONTRACT(test_dead__a_worker_that_dies_of_an_event_each_time_kills_it) {
    bed_register(bed, "c", HTT_ON_DEAD_BLOCK, 3);
    (void)bed_append(bed, "1");
    (void)bed_append(bed, "2");
    for (int i = 0; i < 3; i++) {
        htt_lease *const lease = bed_claim(bed, "c", "w", 1);
        assert_string_equal(bed_seqs(lease), "1");
        htt_lease_free(lease); /* and never heard of again */
        bed->now += 30000;
    }
    htt_lease *lease = bed_claim(bed, "c", "v", 1);
    assert_string_equal(bed_seqs(lease), "2");
    htt_lease_free(lease);
    seen all = {0};
    assert_rc(bed->db, htt_dead_each(bed->db, "c", 0, 0, see_dead, &all), HTT_OK);
    assert_int_equal(all.count, 1);
    assert_int_equal(all.type, 3);
    assert_string_equal(all.text[1], "w");
    assert_non_null(strstr(all.text[0], "did not say what became of it"));
    assert_rc(bed->db, htt_dead_each(bed->db, "c", 1, 0, see_dead, &all), HTT_OK);
    assert_int_equal(all.count, 1);
    assert_rc(bed->db, htt_dead_each(bed->db, "", 1, 0, see_dead, &all), HTT_MISUSE);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_delivery__without_a_db_or_a_lease_is_misuse),
        cmocka_unit_test(test_claim__gives_events_in_order_and_each_to_one),
        cmocka_unit_test(test_claim__every_consumer_gets_every_event),
        cmocka_unit_test(test_claim__an_aggregate_is_delivered_one_after_the_other),
        cmocka_unit_test(test_claim__an_event_has_its_time),
        cmocka_unit_test(test_claim__bad_arguments_are_refused),
        cmocka_unit_test(test_claim__an_open_lease_keeps_the_db_open),
        cmocka_unit_test(test_lease__one_that_is_over_is_refused_and_says_so),
        cmocka_unit_test(test_lease__ack_all_is_all_or_nothing),
        cmocka_unit_test(test_lease__ack_all_acknowledges_the_rest),
        cmocka_unit_test(
            test_lease__not_settled_by_it_but_acknowledged_by_another_it_cannot_be_extended),
        cmocka_unit_test(test_lease__settled_in_a_transaction_that_rolls_back_it_is_extended),
        cmocka_unit_test(test_lease__extended_it_lasts_longer),
        cmocka_unit_test(test_lease__a_clock_that_goes_back_takes_no_lease_early),
        cmocka_unit_test(test_lease__acknowledged_in_a_transaction_that_rolls_back_it_goes_on),
        cmocka_unit_test(test_lease__given_back_the_attempt_does_not_count),
        cmocka_unit_test(test_fail__pauses_double_with_chance_up_to_the_most),
        cmocka_unit_test(test_lease__given_back_and_taken_by_another_the_rest_is_extended),
        cmocka_unit_test(test_dead__are_listed_in_pages),
        cmocka_unit_test(test_dead__after_the_last_attempt),
        cmocka_unit_test(test_dead__skipped_where_the_policy_says_so),
        cmocka_unit_test(test_dead__requeued_its_successor_is_not_tried_before_it),
        cmocka_unit_test(test_dead__policy_changed_to_skip_lets_what_waits_go),
        cmocka_unit_test(test_dead__discarded_what_waits_behind_it_goes_on),
        cmocka_unit_test(test_dead__a_worker_that_dies_of_an_event_each_time_kills_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
