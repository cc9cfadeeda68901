/* SPDX-License-Identifier: MIT */
/* Pins of one store handle; see pinboard.h. */
#include "txn/pinboard.h"

#include <string.h>

#include "base/error.h"

/* Live pins looked at before a slot of its own is used: the newest ones are first. */
#define PINBOARD_LOOK 4

static htt_pin *pinboard_find(const htt_pinboard *board, uint64_t epoch) {
    htt_pin *pin = board->live;

    for (int i = 0; i < PINBOARD_LOOK && pin != NULL; pin = pin->next) {
        if (pin->own)
            continue; /* its fields belong to another thread */
        if (pin->epoch == epoch && !pin->lost)
            return pin;
        i++;
    }
    return NULL;
}

/*
 * When no slot is left: a pin on an older state keeps this one too, because what a newer root
 * names died later. NULL: there is none.
 */
static htt_pin *pinboard_find_older(const htt_pinboard *board, uint64_t epoch) {
    for (htt_pin *pin = board->live; pin != NULL; pin = pin->next) {
        if (!pin->own && pin->epoch <= epoch && !pin->lost)
            return pin;
    }
    return NULL;
}

/* A pin that is not in use, with a slot if the board has a lock file. */
static htt_rc pinboard_get_spare(htt_pinboard *board, htt_pin **pin_out, htt_error *error) {
    const htt_env *const env = board->env;

    if (board->spare != NULL) {
        *pin_out = board->spare;
        board->spare = board->spare->next;
        return HTT_OK;
    }
    htt_pin *const pin = env->allocate(env->context, sizeof *pin);
    if (pin == NULL)
        return htt_error_set(error, HTT_NOMEM, "out of memory");
    memset(pin, 0, sizeof *pin);
    if (board->lock != NULL) {
        const htt_rc rc = htt_lockfile_take_slot(board->lock, &pin->slot, error);
        if (rc != HTT_OK) {
            env->release(env->context, pin);
            return rc;
        }
    }
    *pin_out = pin;
    return HTT_OK;
}

/* All users rest. False: the pin was taken away, and pages may be gone. */
static bool pinboard_wake_slot(htt_pinboard *board, htt_pin *pin) {
    assert(pin->resting == pin->users);
    if (pin->lost)
        return false;
    pin->lost = board->lock != NULL && !htt_lockfile_wake(board->lock, pin->slot) &&
                !htt_lockfile_pin(board->lock, pin->slot, pin->epoch);
    return !pin->lost;
}

htt_rc htt_pinboard_take(htt_pinboard *board, uint64_t epoch, htt_pin **pin_out,
                         htt_error *error) {
    htt_pin *pin = pinboard_find(board, epoch);

    assert(epoch > 0);
    assert(epoch != HTT_NO_PIN);
    if (pin == NULL) {
        const htt_rc rc = pinboard_get_spare(board, &pin, error);
        if (rc == HTT_FULL)
            pin = pinboard_find_older(board, epoch);
        if (rc != HTT_OK && pin == NULL)
            return rc;
    }
    if (pin->users > 0 && pin->resting == pin->users && !pinboard_wake_slot(board, pin))
        return HTT_SNAPSHOT;
    if (pin->users == 0) {
        if (board->lock != NULL && !htt_lockfile_pin(board->lock, pin->slot, epoch)) {
            pin->next = board->spare;
            board->spare = pin;
            return HTT_SNAPSHOT;
        }
        pin->epoch = epoch;
        pin->next = board->live;
        board->live = pin;
    }
    assert(pin->epoch <= epoch);
    pin->users++;
    *pin_out = pin;
    return HTT_OK;
}

htt_rc htt_pinboard_take_own(htt_pinboard *board, uint64_t epoch, htt_pin **pin_out,
                             htt_error *error) {
    htt_pin *pin;

    assert(board->lock != NULL);
    const htt_rc rc = pinboard_get_spare(board, &pin, error);
    if (rc != HTT_OK)
        return rc;
    if (!htt_pinboard_unpark(board, pin, epoch)) {
        pin->next = board->spare;
        board->spare = pin;
        return HTT_SNAPSHOT;
    }
    pin->users = 1;
    pin->own = true;
    pin->next = board->live;
    board->live = pin;
    *pin_out = pin;
    return HTT_OK;
}

void htt_pinboard_park(htt_pinboard *board, htt_pin *pin) {
    assert(pin->own);
    assert(pin->users == 1);
    htt_lockfile_unpin(board->lock, pin->slot);
    pin->resting = 0;
}

bool htt_pinboard_unpark(htt_pinboard *board, htt_pin *pin, uint64_t epoch) {
    assert(epoch > 0);
    assert(epoch != HTT_NO_PIN);
    if (!htt_lockfile_pin(board->lock, pin->slot, epoch))
        return false;
    pin->epoch = epoch;
    pin->lost = false;
    return true;
}

static void pinboard_rest_slot(htt_pinboard *board, const htt_pin *pin) {
    if (board->lock != NULL && !pin->lost)
        htt_lockfile_rest(board->lock, pin->slot, board->env->now_ms(board->env->context));
}

void htt_pinboard_rest(htt_pinboard *board, htt_pin *pin) {
    assert(pin->resting < pin->users);
    if (++pin->resting == pin->users)
        pinboard_rest_slot(board, pin);
}

bool htt_pinboard_wake(htt_pinboard *board, htt_pin *pin) {
    assert(pin->resting > 0);
    if (pin->resting == pin->users)
        (void)pinboard_wake_slot(board, pin);
    pin->resting--;
    return !pin->lost;
}

void htt_pinboard_give(htt_pinboard *board, htt_pin *pin) {
    htt_pin **link = &board->live;

    assert(pin->users > pin->resting);
    if (--pin->users > 0) {
        if (pin->resting == pin->users)
            pinboard_rest_slot(board, pin);
        return;
    }
    while (*link != pin) {
        assert(*link != NULL);
        link = &(*link)->next;
    }
    *link = pin->next;
    if (pin->pages != NULL) {
        htt_pages_close(pin->pages);
        pin->pages = NULL;
    }
    if (board->lock != NULL)
        htt_lockfile_unpin(board->lock, pin->slot);
    pin->lost = false;
    pin->own = false;
    pin->next = board->spare;
    board->spare = pin;
}

static void pinboard_free_list(const htt_env *env, htt_pin *pin) {
    while (pin != NULL) {
        htt_pin *const next = pin->next;
        if (pin->pages != NULL)
            htt_pages_close(pin->pages);
        env->release(env->context, pin);
        pin = next;
    }
}

void htt_pinboard_free(htt_pinboard *board) {
    pinboard_free_list(board->env, board->live);
    pinboard_free_list(board->env, board->spare);
    board->live = NULL;
    board->spare = NULL;
}
