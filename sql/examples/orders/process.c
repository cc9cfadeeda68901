/* SPDX-License-Identifier: MIT */
/*
 * What happens to an order. Each arrow is one transaction: the order's new state, what it means for
 * stock or payment, an event that says so, and the saga's step, all or none of it.
 *
 *              accept            reserve            pay             ship
 *     placed ----------> accepted -------> reserved ------> paid ----------> shipped
 *                           |                  |              |  cannot be
 *                           |  too little left |  declined    |  reached
 *                           v                  v              v
 *     cancelled <------- released <-------- refunded <--------+
 *               cancel            release            refund
 *
 * A step that fails has done nothing, so the way back begins at the step before it.
 */
#include "shop.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <htt_event.h>
#include <sqlite3.h>

#define PROCESS_CARD_LIMIT 100000 /* cents: more is declined */

/* The records that a step works with. All are borrowed from the step's unit. */
typedef struct process_records {
    htt_repo *orders;           /* shop_orders */
    htt_repo *stocks;           /* shop_stocks */
    htt_repo *payments;         /* shop_payments */
    char number[SHOP_TEXT_MAX]; /* of the order */
    shop_order *order;          /* of the saga */
    shop_stock *stock;          /* of its item; NULL until it is asked for */
} process_records;

/* ----------------------------------------------------------------- helpers */

/* The order's number stands in the saga's data: {"number":"17"}, made by shop_place. */
static htt_rc process_number(htt_saga_call *call, char number[SHOP_TEXT_MAX]) {
    static const char head[] = "{\"number\":\"";
    const char *const data = htt_saga_call_data(call);
    const size_t size = strlen(data);
    const size_t around = strlen(head) + strlen("\"}");
    if (size < around || size - around >= SHOP_TEXT_MAX || strncmp(data, head, strlen(head)) != 0) {
        return htt_saga_refuse(call, "the data is not {\"number\":\"...\"}");
    }
    memcpy(number, data + strlen(head), size - around);
    number[size - around] = '\0';
    return HTT_OK;
}

static htt_rc process_open(htt_saga_call *call, process_records *records) {
    htt_uow *const unit = htt_saga_call_unit(call);
    htt_rc rc = process_number(call, records->number);
    rc = rc != HTT_OK ? rc : htt_uow_repo(unit, shop_orders(), &records->orders);
    rc = rc != HTT_OK ? rc : htt_uow_repo(unit, shop_stocks(), &records->stocks);
    rc = rc != HTT_OK ? rc : htt_uow_repo(unit, shop_payments(), &records->payments);
    if (rc != HTT_OK) {
        return rc;
    }
    rc = htt_repo_get(records->orders, htt_key_of_text(records->number), (void **)&records->order);
    return rc == HTT_NOTFOUND ? htt_saga_refuse(call, "there is no order %s", records->number) : rc;
}

static htt_rc process_stock(htt_saga_call *call, process_records *records) {
    const htt_key key = htt_key_of_text(records->order->item);
    const htt_rc rc = htt_repo_get(records->stocks, key, (void **)&records->stock);
    return rc == HTT_NOTFOUND ? htt_saga_refuse(call, "there is no item '%s'", records->order->item)
                              : rc;
}

static htt_rc process_put_stock(process_records *records) {
    return htt_repo_put(records->stocks, htt_key_of_text(records->order->item), records->stock);
}

/* The order goes on to `state`, and an event of that name says so. */
static htt_rc process_move(htt_saga_call *call, process_records *records, const char *state) {
    char payload[200];
    (void)snprintf(records->order->state, sizeof records->order->state, "%s", state);
    (void)snprintf(payload, sizeof payload, "{\"quantity\":%lld,\"amount\":%lld}",
                   (long long)records->order->quantity, (long long)records->order->amount);
    const htt_event event = {.aggregate_type = "order",
                             .aggregate_id = records->number,
                             .type = state,
                             .payload = htt_text(payload)};
    const htt_rc rc =
        htt_repo_put(records->orders, htt_key_of_text(records->number), records->order);
    return rc == HTT_OK ? htt_uow_event(htt_saga_call_unit(call), &event) : rc;
}

/* The world outside is not always there; a shop that is told so is flaky. */
static htt_rc process_luck(htt_saga_call *call, const orders_shop *shop) {
    unsigned char byte = 0;
    sqlite3_randomness(1, &byte);
    return byte % 100u < shop->flaky ? htt_saga_later(call, "no answer") : HTT_OK;
}

/* ----------------------------------------------------------------- actions */

static htt_rc process_accept(htt_saga_call *call, void *context) {
    process_records records = {0};
    (void)context;
    const htt_rc rc = process_open(call, &records);
    return rc == HTT_OK ? process_move(call, &records, "accepted") : rc;
}

static htt_rc process_cancel(htt_saga_call *call, void *context) {
    process_records records = {0};
    (void)context;
    const htt_rc rc = process_open(call, &records);
    return rc == HTT_OK ? process_move(call, &records, "cancelled") : rc;
}

static htt_rc process_reserve(htt_saga_call *call, void *context) {
    process_records records = {0};
    htt_rc rc = process_open(call, &records);
    rc = rc != HTT_OK ? rc : process_luck(call, context);
    rc = rc != HTT_OK ? rc : process_stock(call, &records);
    if (rc != HTT_OK) {
        return rc;
    }
    const int64_t quantity = records.order->quantity;
    if (quantity > records.stock->available) {
        return htt_saga_refuse(call, "%lld of '%s' are available, not %lld",
                               (long long)records.stock->available, records.order->item,
                               (long long)quantity);
    }
    records.stock->available -= quantity;
    records.stock->reserved += quantity;
    rc = process_put_stock(&records);
    return rc == HTT_OK ? process_move(call, &records, "reserved") : rc;
}

static htt_rc process_release(htt_saga_call *call, void *context) {
    process_records records = {0};
    (void)context;
    htt_rc rc = process_open(call, &records);
    rc = rc != HTT_OK ? rc : process_stock(call, &records);
    if (rc != HTT_OK) {
        return rc;
    }
    records.stock->available += records.order->quantity;
    records.stock->reserved -= records.order->quantity;
    rc = process_put_stock(&records);
    return rc == HTT_OK ? process_move(call, &records, "released") : rc;
}

static htt_rc process_pay(htt_saga_call *call, void *context) {
    process_records records = {0};
    htt_rc rc = process_open(call, &records);
    rc = rc != HTT_OK ? rc : process_luck(call, context);
    if (rc != HTT_OK) {
        return rc;
    }
    if (records.order->amount > PROCESS_CARD_LIMIT) {
        return htt_saga_refuse(call, "the card was declined");
    }
    const shop_payment payment = {.amount = records.order->amount, .state = "taken"};
    rc = htt_repo_add(records.payments, htt_key_of_text(records.number), &payment);
    return rc == HTT_OK ? process_move(call, &records, "paid") : rc;
}

static htt_rc process_refund(htt_saga_call *call, void *context) {
    process_records records = {0};
    shop_payment *payment = NULL;
    htt_rc rc = process_open(call, &records);
    rc = rc != HTT_OK ? rc : process_luck(call, context);
    if (rc == HTT_OK) {
        rc = htt_repo_get(records.payments, htt_key_of_text(records.number), (void **)&payment);
    }
    if (rc == HTT_OK) {
        (void)snprintf(payment->state, sizeof payment->state, "refunded");
        rc = htt_repo_put(records.payments, htt_key_of_text(records.number), payment);
    }
    return rc == HTT_OK ? process_move(call, &records, "refunded") : rc;
}

static htt_rc process_ship(htt_saga_call *call, void *context) {
    process_records records = {0};
    htt_rc rc = process_open(call, &records);
    rc = rc != HTT_OK ? rc : process_luck(call, context);
    rc = rc != HTT_OK ? rc : process_stock(call, &records);
    if (rc != HTT_OK) {
        return rc;
    }
    if (strcmp(records.order->address, "nowhere") == 0) {
        return htt_saga_refuse(call, "'nowhere' cannot be reached");
    }
    records.stock->reserved -= records.order->quantity;
    records.stock->shipped += records.order->quantity;
    rc = process_put_stock(&records);
    return rc == HTT_OK ? process_move(call, &records, "shipped") : rc;
}

/* Patient: a flaky world is asked ten times, and money is given back however long it takes. */
#define PROCESS_RETRY                                                                              \
    { .attempts = 10, .pause_ms = 1, .pause_max_ms = 50 }
#define PROCESS_PATIENT                                                                            \
    { .attempts = 1000, .pause_ms = 1, .pause_max_ms = 1000 }

static const htt_saga_step process_steps[] = {
    {.name = "accept", .action = process_accept, .compensation = process_cancel},
    {.name = "reserve",
     .action = process_reserve,
     .compensation = process_release,
     .retry = PROCESS_RETRY},
    {.name = "pay",
     .action = process_pay,
     .compensation = process_refund,
     .retry = PROCESS_RETRY,
     .timeout_ms = 60000,
     .compensation_retry = PROCESS_PATIENT},
    {.name = "ship", .action = process_ship, .retry = PROCESS_RETRY},
};

const htt_saga_definition shop_process = {
    .name = "order",
    .version = 1,
    .steps = process_steps,
    .count = sizeof process_steps / sizeof process_steps[0],
    .timeout_ms = 600000,
};

/* ------------------------------------------------------------------- place */

typedef struct process_place {
    orders_shop *shop;       /* where */
    const char *number;      /* of the order */
    const shop_order *order; /* as it is placed */
} process_place;

static htt_rc process_place_work(htt_uow *unit, void *arg) {
    const process_place *const place = arg;
    htt_repo *orders = NULL;
    char data[2 * SHOP_TEXT_MAX];
    char payload[200];
    (void)snprintf(data, sizeof data, "{\"number\":\"%s\"}", place->number);
    (void)snprintf(payload, sizeof payload, "{\"quantity\":%lld,\"amount\":%lld}",
                   (long long)place->order->quantity, (long long)place->order->amount);
    const htt_saga_input input = {
        .definition = "order", .data = data, .key = place->number, .id = place->number};
    const htt_event event = {.aggregate_type = "order",
                             .aggregate_id = place->number,
                             .type = "placed",
                             .payload = htt_text(payload)};
    htt_rc rc = htt_uow_repo(unit, shop_orders(), &orders);
    rc = rc != HTT_OK ? rc : htt_repo_add(orders, htt_key_of_text(place->number), place->order);
    rc = rc != HTT_OK ? rc : htt_saga_start(place->shop->sagas, &input, NULL);
    return rc != HTT_OK ? rc : htt_uow_event(unit, &event);
}

htt_rc shop_place(orders_shop *shop, const char *number, const shop_order *order) {
    process_place place = {shop, number, order};
    return htt_uow_run(shop->db, process_place_work, &place, NULL);
}
