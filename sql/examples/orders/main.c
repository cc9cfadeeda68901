/* SPDX-License-Identifier: MIT */
/*
 * orders DATABASE COMMAND ...: a shop from the command line. Run it without arguments for the list
 * of commands; README.md walks through them.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <htt_sqlite.h>
#include <sqlite3.h>

#include "shop.h"

enum { MAIN_OK = 0, MAIN_FAILED = 1, MAIN_USAGE = 2 };

static const char main_usage[] =
    "orders DATABASE COMMAND ...\n"
    "  init ITEM=COUNT ...                           make the tables, and stock\n"
    "  place NUMBER ITEM QUANTITY CENTS ADDRESS      an order; the same number twice is one order\n"
    "  run                                           all orders that are due, until none is left\n"
    "  random SEED COUNT                             place so many orders, running them in "
    "between\n"
    "  status                                        orders by state, sagas that need a person\n"
    "  again NUMBER | skip NUMBER                    a failed one goes on\n"
    "  check                                         what must hold; exit 1 when it does not\n"
    "ORDERS_FLAKY=PERCENT: so many actions fail and are tried again\n";

static int main_complain(const orders_shop *shop) {
    (void)fprintf(stderr, "orders: %s\n", htt_db_errmsg(shop->db));
    return MAIN_FAILED;
}

/* A number from `least` on; false with a message when the text is none. */
static bool main_number(const char *text, int64_t least, int64_t *number_out) {
    char *end = NULL;
    errno = 0;
    const long long number = strtoll(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || number < least) {
        (void)fprintf(stderr, "orders: '%s' is not a number from %" PRId64 " on\n", text, least);
        return false;
    }
    *number_out = number;
    return true;
}

/* What goes into JSON and file names as it is. */
static bool main_name(const char *text, char out[SHOP_TEXT_MAX]) {
    const size_t size = strlen(text);
    if (size == 0 || size >= SHOP_TEXT_MAX ||
        strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 .-_") !=
            size) {
        (void)fprintf(stderr,
                      "orders: '%s' is not 1 to 63 letters, digits, spaces, '.', '-', '_'\n", text);
        return false;
    }
    memcpy(out, text, size + 1);
    return true;
}

/* --------------------------------------------------------------- commands */

static int main_init(orders_shop *shop, int count, char **items) {
    htt_repo *stocks = NULL;
    if (!shop_create(shop)) {
        return MAIN_FAILED;
    }
    if (htt_repo_open(shop->db, shop_stocks(), &stocks) != HTT_OK) {
        return main_complain(shop);
    }
    int result = MAIN_OK;
    for (int i = 0; i < count && result == MAIN_OK; i++) {
        char name[SHOP_TEXT_MAX];
        shop_stock stock = {0};
        char *const equals = strchr(items[i], '=');
        if (equals != NULL) {
            *equals = '\0';
        }
        if (equals == NULL || !main_name(items[i], name) ||
            !main_number(equals + 1, 0, &stock.total)) {
            result = MAIN_USAGE;
            break;
        }
        stock.available = stock.total;
        const htt_rc rc = htt_repo_add(stocks, htt_key_of_text(name), &stock);
        if (rc != HTT_OK && rc != HTT_EXISTS) {
            result = main_complain(shop);
        }
    }
    htt_repo_close(stocks);
    return result;
}

/* The same order again is no error; another order of that number is. */
static int main_place_order(orders_shop *shop, const char *number, const shop_order *order) {
    htt_rc rc = shop_place(shop, number, order);
    if (rc == HTT_EXISTS) {
        htt_repo *orders = NULL;
        void *there = NULL;
        rc = htt_repo_open(shop->db, shop_orders(), &orders);
        rc = rc != HTT_OK ? rc : htt_repo_get(orders, htt_key_of_text(number), &there);
        const shop_order *const old = there;
        if (rc == HTT_OK &&
            (strcmp(old->item, order->item) != 0 || strcmp(old->address, order->address) != 0 ||
             old->quantity != order->quantity || old->amount != order->amount)) {
            (void)fprintf(stderr, "orders: number %s is another order\n", number);
            rc = HTT_CONFLICT;
        } else if (rc != HTT_OK) {
            (void)main_complain(shop);
        }
        htt_repo_free(orders, there);
        htt_repo_close(orders);
        return rc == HTT_OK ? MAIN_OK : MAIN_FAILED;
    }
    return rc == HTT_OK ? MAIN_OK : main_complain(shop);
}

static int main_place(orders_shop *shop, char **arguments) {
    char number[SHOP_TEXT_MAX];
    shop_order order = {.state = "placed"};
    if (!main_name(arguments[0], number) || !main_name(arguments[1], order.item) ||
        !main_number(arguments[2], 1, &order.quantity) ||
        !main_number(arguments[3], 0, &order.amount) || !main_name(arguments[4], order.address)) {
        return MAIN_USAGE;
    }
    return main_place_order(shop, number, &order);
}

static int main_run(orders_shop *shop) {
    const htt_platform *const platform = htt_platform_system();
    htt_saga_report report = {.more = true};
    while (report.more || report.next_at != 0) {
        const htt_rc rc = htt_saga_resume(shop->sagas, 0, &report);
        if (rc == HTT_BUSY) {
            report.more = true; /* somebody else writes for long: again */
            continue;
        }
        if (rc != HTT_OK) {
            return main_complain(shop);
        }
        if (report.refused != 0 || report.unknown != 0) {
            (void)fprintf(stderr, "orders: %s\n", report.problem);
            return MAIN_FAILED;
        }
        const int64_t wait = report.next_at - htt_db_now_ms(shop->db);
        if (report.next_at != 0 && wait > 0) {
            platform->sleep_ms(platform->context, (uint64_t)wait);
        }
    }
    return MAIN_OK;
}

/* Orders of the items that there are. Some ask for too much, some for what cannot be. */
static int main_random(orders_shop *shop, int64_t seed, int64_t count) {
    uint64_t random = (uint64_t)seed * 2654435761u + 1;
    for (int64_t i = 0; i < count; i++) {
        char number[SHOP_TEXT_MAX];
        shop_order order = {.state = "placed"};
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (void)snprintf(number, sizeof number, "%" PRId64 "-%" PRId64, seed, i);
        (void)snprintf(order.item, sizeof order.item, "%s",
                       random % 23 == 0 ? "unknown" : (random % 2 == 0 ? "apple" : "pear"));
        (void)snprintf(order.address, sizeof order.address, "%s",
                       random % 5 == 0 ? "nowhere" : "High Street");
        order.quantity = 1 + (int64_t)(random / 100 % 4);
        order.amount = (int64_t)(random / 1000 % 120000);
        int result = main_place_order(shop, number, &order);
        if (result == MAIN_OK && random % 3 == 0) {
            result = htt_saga_resume(shop->sagas, random / 10 % 6, NULL) == HTT_OK
                         ? MAIN_OK
                         : main_complain(shop);
        }
        if (result != MAIN_OK) {
            return result;
        }
        (void)printf("%s\n", number); /* it is placed: whoever reads this can rely on it */
        (void)fflush(stdout);
    }
    return main_run(shop);
}

static htt_rc main_show(const htt_saga_instance *instance, void *arg) {
    (void)arg;
    (void)printf("order %s failed to take back '%s': %s\n  because of %s\n", instance->id,
                 instance->step_name, instance->last_error, instance->cause);
    return HTT_OK;
}

static int main_status(orders_shop *shop) {
    sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v2(shop->connection,
                           "SELECT state, count(*) FROM orders GROUP BY state ORDER BY state", -1,
                           &statement, NULL) != SQLITE_OK) {
        (void)fprintf(stderr, "orders: %s\n", sqlite3_errmsg(shop->connection));
        return MAIN_FAILED;
    }
    while (sqlite3_step(statement) == SQLITE_ROW) {
        (void)printf("%-10s %lld\n", (const char *)sqlite3_column_text(statement, 0),
                     (long long)sqlite3_column_int64(statement, 1));
    }
    if (sqlite3_finalize(statement) != SQLITE_OK) {
        (void)fprintf(stderr, "orders: %s\n", sqlite3_errmsg(shop->connection));
        return MAIN_FAILED;
    }
    return htt_saga_each(shop->sagas, HTT_SAGA_FAILED, main_show, NULL) == HTT_OK
               ? MAIN_OK
               : main_complain(shop);
}

static int main_requeue(orders_shop *shop, const char *number, htt_saga_how how) {
    return htt_saga_requeue(shop->sagas, number, how) == HTT_OK ? main_run(shop)
                                                                : main_complain(shop);
}

static int main_check(orders_shop *shop) {
    const int wrong = shop_check(shop);
    if (wrong == 0) {
        (void)puts("all good");
    }
    return wrong == 0 ? MAIN_OK : MAIN_FAILED;
}

static int main_command(orders_shop *shop, int count, char **words) {
    const char *const name = words[0];
    int64_t seed = 0;
    int64_t orders = 0;
    if (strcmp(name, "init") == 0) {
        return main_init(shop, count - 1, words + 1);
    }
    if (strcmp(name, "place") == 0 && count == 6) {
        return main_place(shop, words + 1);
    }
    if (strcmp(name, "run") == 0 && count == 1) {
        return main_run(shop);
    }
    if (strcmp(name, "random") == 0 && count == 3 && main_number(words[1], 1, &seed) &&
        main_number(words[2], 0, &orders)) {
        return main_random(shop, seed, orders);
    }
    if (strcmp(name, "status") == 0 && count == 1) {
        return main_status(shop);
    }
    if (strcmp(name, "check") == 0 && count == 1) {
        return main_check(shop);
    }
    if ((strcmp(name, "again") == 0 || strcmp(name, "skip") == 0) && count == 2) {
        return main_requeue(shop, words[1], name[0] == 'a' ? HTT_SAGA_AGAIN : HTT_SAGA_SKIP);
    }
    (void)fputs(main_usage, stderr);
    return MAIN_USAGE;
}

/* --------------------------------------------------------------- the shop */

static bool main_open(orders_shop *shop, const char *path) {
    const char *const flaky = getenv("ORDERS_FLAKY");
    htt_db_options options;
    htt_error error = {0};
    shop->flaky = flaky == NULL ? 0 : (unsigned)strtoul(flaky, NULL, 10);
    (void)sqlite3_auto_extension((void (*)(void))sqlite3_htt_init);
    if (sqlite3_open(path, &shop->connection) != SQLITE_OK ||
        sqlite3_busy_timeout(shop->connection, 30000) != SQLITE_OK ||
        sqlite3_exec(shop->connection, "PRAGMA journal_mode=WAL", NULL, NULL, NULL) != SQLITE_OK) {
        (void)fprintf(stderr, "orders: %s: %s\n", path, sqlite3_errmsg(shop->connection));
        return false;
    }
    htt_db_options_init(&options);
    options.error = &error; /* there is no db yet that could be asked */
    if (htt_db_open(shop->connection, &options, &shop->db) != HTT_OK) {
        (void)fprintf(stderr, "orders: %s: %s\n", path, error.text);
        return false;
    }
    if (htt_saga_open(shop->db, &shop->sagas) != HTT_OK ||
        htt_saga_define(shop->sagas, &shop_process, shop) != HTT_OK) {
        (void)main_complain(shop);
        return false;
    }
    return true;
}

static void main_close(orders_shop *shop) {
    htt_saga_close(shop->sagas);
    if (htt_db_close(shop->db) != HTT_OK) {
        (void)main_complain(shop);
    }
    (void)sqlite3_close(shop->connection);
}

int main(int count, char **words) {
    orders_shop shop = {0};
    if (count < 3) {
        (void)fputs(main_usage, stderr);
        return MAIN_USAGE;
    }
    const int result =
        main_open(&shop, words[1]) ? main_command(&shop, count - 2, words + 2) : MAIN_FAILED;
    main_close(&shop);
    return result;
}
