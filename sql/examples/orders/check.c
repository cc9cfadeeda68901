/* SPDX-License-Identifier: MIT */
/*
 * What must hold between any two transactions, whoever was killed when. It reads the tables with
 * SQL alone and knows nothing of the code that writes them. Each query gives a row for each wrong.
 */
#include "shop.h"

#include <stdio.h>

#include <sqlite3.h>

static const char *const check_queries[] = {
    /* Nothing is lost of the stock, and nothing comes from nowhere. */
    "SELECT 'item ' || item || ': ' || total || ' <> ' || available || ' + ' || reserved || ' + ' "
    "||"
    " shipped FROM stock WHERE total <> available + reserved + shipped OR available < 0"
    " OR reserved < 0 OR shipped < 0",
    /* What is reserved and shipped is what orders say. */
    "SELECT 'item ' || s.item || ': reserved ' || s.reserved || ', its orders say ' || o.n FROM"
    " stock AS s JOIN (SELECT item, sum(quantity * (state IN ('reserved', 'paid', 'refunded'))) AS"
    " n FROM orders GROUP BY item) AS o ON o.item = s.item WHERE s.reserved <> o.n",
    "SELECT 'item ' || s.item || ': shipped ' || s.shipped || ', its orders say ' || o.n FROM"
    " stock AS s JOIN (SELECT item, sum(quantity * (state = 'shipped')) AS n FROM orders GROUP BY"
    " item) AS o ON o.item = s.item WHERE s.shipped <> o.n",
    /* Who has paid is paid for, and who has not is not. */
    "SELECT 'order ' || o.number || ' is ' || o.state || ', its payment is ' ||"
    " ifnull(p.state || ' ' || p.amount, 'not there') FROM orders AS o LEFT JOIN payments AS p ON"
    " p.number = o.number WHERE CASE"
    " WHEN o.state IN ('paid', 'shipped') THEN p.state IS NOT 'taken' OR p.amount <> o.amount"
    " WHEN o.state = 'refunded' THEN p.state IS NOT 'refunded' OR p.amount <> o.amount"
    " WHEN o.state IN ('released', 'cancelled') THEN ifnull(p.state, 'refunded') <> 'refunded'"
    " ELSE p.state IS NOT NULL END",
    "SELECT 'payment ' || number || ' has no order' FROM payments WHERE number NOT IN (SELECT "
    "number"
    " FROM orders)",
    /* Each order has one saga, which is where the order is. */
    "SELECT 'order ' || o.number || ' is ' || o.state || ', its saga ' || ifnull(s.state || ' at ' "
    "||"
    " s.step, 'is not there') FROM orders AS o LEFT JOIN htt_saga AS s ON s.id = o.number WHERE"
    " ifnull(s.state || s.step, '') <> CASE o.state WHEN 'placed' THEN 'running0'"
    " WHEN 'accepted' THEN CASE s.state WHEN 'running' THEN 'running1' ELSE 'compensating0' END"
    " WHEN 'reserved' THEN CASE s.state WHEN 'running' THEN 'running2' ELSE 'compensating1' END"
    " WHEN 'paid' THEN CASE s.state WHEN 'running' THEN 'running3' ELSE 'compensating2' END"
    " WHEN 'shipped' THEN 'completed4' WHEN 'refunded' THEN 'compensating1'"
    " WHEN 'released' THEN 'compensating0' WHEN 'cancelled' THEN 'compensated-1' ELSE '?' END",
    "SELECT 'saga ' || id || ' has no order' FROM htt_saga WHERE id NOT IN (SELECT number FROM"
    " orders)",
    /* The events of an order are the way it went, each once, and the last is where it is. */
    "SELECT 'order ' || o.number || ' is ' || o.state || ', its events are ' || ifnull(e.way, "
    "'none')"
    " FROM orders AS o LEFT JOIN (SELECT aggregate_id, group_concat(type, '>') AS way FROM (SELECT"
    " aggregate_id, type FROM htt_event WHERE aggregate_type = 'order' ORDER BY seq) GROUP BY"
    " aggregate_id) AS e ON e.aggregate_id = o.number WHERE ifnull(e.way, '') NOT IN"
    " ('placed', 'placed>accepted', 'placed>accepted>reserved', 'placed>accepted>reserved>paid',"
    " 'placed>accepted>reserved>paid>shipped', 'placed>accepted>cancelled',"
    " 'placed>accepted>reserved>released', 'placed>accepted>reserved>released>cancelled',"
    " 'placed>accepted>reserved>paid>refunded', 'placed>accepted>reserved>paid>refunded>released',"
    " 'placed>accepted>reserved>paid>refunded>released>cancelled') OR e.way NOT LIKE '%' || "
    "o.state",
    "SELECT 'events: seq is not dense' WHERE (SELECT count(*) <> ifnull(max(seq), 0) FROM "
    "htt_event)",
    /* Both kinds of table are sound. */
    "SELECT 'database: ' || integrity_check FROM pragma_integrity_check WHERE integrity_check <> "
    "'ok'",
    "SELECT 'orders: ' || problem FROM htt_check('orders') WHERE problem <> 'ok'",
    "SELECT 'stock: ' || problem FROM htt_check('stock') WHERE problem <> 'ok'",
};

static int check_query(struct sqlite3 *connection, const char *sql) {
    sqlite3_stmt *statement = NULL;
    int count = 0;
    int code = sqlite3_prepare_v2(connection, sql, -1, &statement, NULL);
    while (code == SQLITE_OK && sqlite3_step(statement) == SQLITE_ROW) {
        (void)printf("wrong: %s\n", (const char *)sqlite3_column_text(statement, 0));
        count++;
    }
    if (code == SQLITE_OK) {
        code = sqlite3_finalize(statement);
    }
    if (code != SQLITE_OK) {
        (void)fprintf(stderr, "orders: %s\n", sqlite3_errmsg(connection));
        return -1;
    }
    return count;
}

int shop_check(orders_shop *shop) {
    int sum = 0;
    /* One snapshot, so that others may go on meanwhile. */
    if (sqlite3_exec(shop->connection, "BEGIN", NULL, NULL, NULL) != SQLITE_OK) {
        return -1;
    }
    for (size_t i = 0; i < sizeof check_queries / sizeof check_queries[0] && sum >= 0; i++) {
        const int count = check_query(shop->connection, check_queries[i]);
        sum = count < 0 ? -1 : sum + count;
    }
    (void)sqlite3_exec(shop->connection, "ROLLBACK", NULL, NULL, NULL);
    return sum;
}
