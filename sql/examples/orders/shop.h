/* SPDX-License-Identifier: MIT */
/*
 * A shop that takes orders: what its files share.
 *
 *   records.c   the three kinds of record and where they are kept
 *   process.c   what happens to an order: the saga
 *   check.c     what must hold whatever happened
 *   main.c      the commands
 */
#ifndef ORDERS_SHOP_H
#define ORDERS_SHOP_H

#include <stdbool.h>
#include <stdint.h>

#include <htt_repo.h>
#include <htt_saga.h>
#include <htt_uow.h>

#define SHOP_TEXT_MAX 64u /* bytes of a name with its end */

/* An order, in the htt table `orders`. Its key is the order's number, a text. */
typedef struct shop_order {
    char item[SHOP_TEXT_MAX];    /* key of its stock */
    int64_t quantity;            /* of the item, above 0 */
    int64_t amount;              /* to be paid, in cents */
    char address[SHOP_TEXT_MAX]; /* "nowhere" cannot be reached */
    char state[SHOP_TEXT_MAX];   /* see process.c */
} shop_order;

/* How much there is of an item, in the htt table `stock`. total is the sum of the others. */
typedef struct shop_stock {
    int64_t total;     /* ever bought */
    int64_t available; /* can be ordered */
    int64_t reserved;  /* for orders that are not shipped */
    int64_t shipped;   /* gone */
} shop_stock;

/* What was paid for an order, in the ordinary table `payments`. The key is the order's number. */
typedef struct shop_payment {
    int64_t amount;            /* in cents */
    char state[SHOP_TEXT_MAX]; /* taken, refunded */
} shop_payment;

typedef struct orders_shop {
    struct sqlite3 *connection; /* to the database */
    htt_db *db;                 /* over it */
    htt_sagas *sagas;           /* in it */
    unsigned flaky; /* percent of actions that fail once in a while, to be tried again */
} orders_shop;

/* --------------------------------------------------------------- records.c */

extern const htt_repo_spec *shop_orders(void);
extern const htt_repo_spec *shop_stocks(void);
extern const htt_repo_spec *shop_payments(void);

/* Makes the tables. False: the message is on stderr. */
bool shop_create(orders_shop *shop);

/* --------------------------------------------------------------- process.c */

/* The saga "order"; its context is the shop. */
extern const htt_saga_definition shop_process;

/* Writes the order and starts its saga, both or neither. The same order twice is one order. */
htt_rc shop_place(orders_shop *shop, const char *number, const shop_order *order);

/* ----------------------------------------------------------------- check.c */

/* What does not hold goes to stdout. Gives how many that were, or -1 for an SQL error. */
int shop_check(orders_shop *shop);

#endif
