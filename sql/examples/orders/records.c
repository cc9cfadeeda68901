/* SPDX-License-Identifier: MIT */
/*
 * Records and their tables. Orders and stock are looked up by one key in random order: htt tables.
 * Payments are an ordinary table: somebody will want them by date. What uses them does not know.
 */
#include "shop.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

/* A text column into an array of SHOP_TEXT_MAX bytes. */
static htt_rc records_text(htt_fields *fields, uint32_t index, char *out) {
    const char *text = NULL;
    size_t size = 0;
    const htt_rc rc = htt_fields_get_text(fields, index, &text, &size);
    if (rc == HTT_OK && size >= SHOP_TEXT_MAX) {
        return htt_fields_fail(fields, HTT_TOOBIG, "a text is longer than 63 bytes");
    }
    if (rc == HTT_OK) {
        memcpy(out, text, size + 1);
    }
    return rc;
}

static void records_release(const void *context, void *object) {
    (void)context;
    free(object);
}

/* ------------------------------------------------------------------ orders */

static htt_rc records_encode_order(const void *context, const void *object, htt_fields *fields) {
    const shop_order *const order = object;
    (void)context;
    htt_rc rc = htt_fields_set_text(fields, 0, order->item);
    rc = rc != HTT_OK ? rc : htt_fields_set_integer(fields, 1, order->quantity);
    rc = rc != HTT_OK ? rc : htt_fields_set_integer(fields, 2, order->amount);
    rc = rc != HTT_OK ? rc : htt_fields_set_text(fields, 3, order->address);
    return rc != HTT_OK ? rc : htt_fields_set_text(fields, 4, order->state);
}

static htt_rc records_decode_order(const void *context, htt_fields *fields, void **object_out) {
    shop_order *const order = calloc(1, sizeof *order);
    (void)context;
    if (order == NULL) {
        return HTT_NOMEM;
    }
    htt_rc rc = records_text(fields, 0, order->item);
    rc = rc != HTT_OK ? rc : htt_fields_get_integer(fields, 1, &order->quantity);
    rc = rc != HTT_OK ? rc : htt_fields_get_integer(fields, 2, &order->amount);
    rc = rc != HTT_OK ? rc : records_text(fields, 3, order->address);
    rc = rc != HTT_OK ? rc : records_text(fields, 4, order->state);
    if (rc != HTT_OK) {
        free(order);
        return rc;
    }
    *object_out = order;
    return HTT_OK;
}

const htt_repo_spec *shop_orders(void) {
    static const char *const columns[] = {"item", "quantity", "amount", "address", "state"};
    static const htt_codec codec = {records_encode_order, records_decode_order, records_release,
                                    NULL, 5};
    static htt_repo_spec spec;
    htt_repo_spec_init(&spec, "orders", &codec);
    spec.key_column = "number";
    spec.key_type = HTT_TEXT;
    spec.columns = columns;
    spec.column_count = 5;
    return &spec;
}

/* ------------------------------------------------------------------- stock */

static htt_rc records_encode_stock(const void *context, const void *object, htt_fields *fields) {
    const shop_stock *const stock = object;
    (void)context;
    htt_rc rc = htt_fields_set_integer(fields, 0, stock->total);
    rc = rc != HTT_OK ? rc : htt_fields_set_integer(fields, 1, stock->available);
    rc = rc != HTT_OK ? rc : htt_fields_set_integer(fields, 2, stock->reserved);
    return rc != HTT_OK ? rc : htt_fields_set_integer(fields, 3, stock->shipped);
}

static htt_rc records_decode_stock(const void *context, htt_fields *fields, void **object_out) {
    shop_stock *const stock = calloc(1, sizeof *stock);
    (void)context;
    if (stock == NULL) {
        return HTT_NOMEM;
    }
    htt_rc rc = htt_fields_get_integer(fields, 0, &stock->total);
    rc = rc != HTT_OK ? rc : htt_fields_get_integer(fields, 1, &stock->available);
    rc = rc != HTT_OK ? rc : htt_fields_get_integer(fields, 2, &stock->reserved);
    rc = rc != HTT_OK ? rc : htt_fields_get_integer(fields, 3, &stock->shipped);
    if (rc != HTT_OK) {
        free(stock);
        return rc;
    }
    *object_out = stock;
    return HTT_OK;
}

const htt_repo_spec *shop_stocks(void) {
    static const char *const columns[] = {"total", "available", "reserved", "shipped"};
    static const htt_codec codec = {records_encode_stock, records_decode_stock, records_release,
                                    NULL, 4};
    static htt_repo_spec spec;
    htt_repo_spec_init(&spec, "stock", &codec);
    spec.key_column = "item";
    spec.key_type = HTT_TEXT;
    spec.columns = columns;
    spec.column_count = 4;
    return &spec;
}

/* ---------------------------------------------------------------- payments */

static htt_rc records_encode_payment(const void *context, const void *object, htt_fields *fields) {
    const shop_payment *const payment = object;
    (void)context;
    const htt_rc rc = htt_fields_set_integer(fields, 0, payment->amount);
    return rc != HTT_OK ? rc : htt_fields_set_text(fields, 1, payment->state);
}

static htt_rc records_decode_payment(const void *context, htt_fields *fields, void **object_out) {
    shop_payment *const payment = calloc(1, sizeof *payment);
    (void)context;
    if (payment == NULL) {
        return HTT_NOMEM;
    }
    htt_rc rc = htt_fields_get_integer(fields, 0, &payment->amount);
    rc = rc != HTT_OK ? rc : records_text(fields, 1, payment->state);
    if (rc != HTT_OK) {
        free(payment);
        return rc;
    }
    *object_out = payment;
    return HTT_OK;
}

const htt_repo_spec *shop_payments(void) {
    static const char *const columns[] = {"amount", "state"};
    static const htt_codec codec = {records_encode_payment, records_decode_payment, records_release,
                                    NULL, 2};
    static htt_repo_spec spec;
    htt_repo_spec_init(&spec, "payments", &codec);
    spec.key_column = "number";
    spec.key_type = HTT_TEXT;
    spec.columns = columns;
    spec.column_count = 2;
    return &spec;
}

/* ------------------------------------------------------------------ tables */

/* The files stand beside the database and are named after it. */
bool shop_create(orders_shop *shop) {
    const char *const path = sqlite3_db_filename(shop->connection, "main");
    const char *const slash = path == NULL ? NULL : strrchr(path, '/');
    const char *const name = slash == NULL ? "orders" : slash + 1;
    char *message = NULL;
    char *const sql = sqlite3_mprintf(
        "BEGIN IMMEDIATE;"
        "CREATE VIRTUAL TABLE IF NOT EXISTS orders USING htt('%q-orders.htt', number TEXT PRIMARY "
        "KEY, item TEXT, quantity INTEGER, amount INTEGER, address TEXT, state TEXT);"
        "CREATE VIRTUAL TABLE IF NOT EXISTS stock USING htt('%q-stock.htt', item TEXT PRIMARY KEY, "
        "total INTEGER, available INTEGER, reserved INTEGER, shipped INTEGER);"
        "CREATE TABLE IF NOT EXISTS payments(number TEXT PRIMARY KEY NOT NULL, amount INTEGER NOT "
        "NULL, state TEXT NOT NULL CHECK(state IN ('taken', 'refunded')));"
        "COMMIT",
        name, name);
    const bool done =
        sql != NULL && sqlite3_exec(shop->connection, sql, NULL, NULL, &message) == SQLITE_OK;
    if (!done) {
        (void)fprintf(stderr, "orders: %s\n", message == NULL ? "out of memory" : message);
        if (sqlite3_get_autocommit(shop->connection) == 0) { /* it failed behind the BEGIN */
            (void)sqlite3_exec(shop->connection, "ROLLBACK", NULL, NULL, NULL);
        }
    }
    sqlite3_free(message);
    sqlite3_free(sql);
    return done;
}
