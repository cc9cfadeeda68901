-- SPDX-License-Identifier: MIT
--
-- What the workers of a consumer do with events. A consumer has
--   a row of htt_consumer, store 0    acknowledged: it is done with every event up to this seq
--   a row of htt_subscription         what it wants and how its failures are treated
--   rows of htt_delivery              events above acknowledged that were looked at, and dead ones
--
--   htt_event   1 ............ acknowledged ................. head ............... newest
--               |     done,         |   a row in htt_delivery  |  no row: pending     |
--               |  but dead rows    |   for each               |                      |
--
-- head is the largest id in htt_delivery. States; * is due at due_at:
--
--               (no row)
--                  | looked at
--        +---------+---------+
--        v                   v   nothing before it in
--     waiting ----------> pending*  its lane is open
--                            | claim, attempts + 1         lease over: claim
--                            v                             takes it again
--         +--------------- leased* <--+   failed* <--+
--         | acknowledge      | |  fail  \__/         |
--         v                  | +---------------------+
--        done                | attempts = max_attempts
--         ^                  v
--         +---------------- dead ------> pending   (requeue)
--           discard
CREATE TABLE IF NOT EXISTS htt_subscription(
    -- htt_consumer.name, of one with store 0
    consumer TEXT PRIMARY KEY NOT NULL
        CONSTRAINT "htt_subscription.consumer must not be empty" CHECK(consumer <> ''),
    -- JSON array of the types that it wants, each in htt_event_type; NULL: all
    types TEXT
        CONSTRAINT "htt_subscription.types is not a JSON array"
        CHECK(types IS NULL OR CASE WHEN json_valid(types) THEN json_type(types) = 'array'
            ELSE 0 END),
    -- a dead event holds up the later ones of its aggregate, or they go on without it
    on_dead TEXT NOT NULL DEFAULT 'block'
        CONSTRAINT "htt_subscription.on_dead is 'block' or 'skip'"
        CHECK(on_dead IN ('block', 'skip')),
    -- claims of one event, then it is dead
    max_attempts INTEGER NOT NULL DEFAULT 20
        CONSTRAINT "htt_subscription.max_attempts must be 1 or more" CHECK(max_attempts > 0),
    -- milliseconds after the first failure; doubled with each ...
    backoff_first INTEGER NOT NULL DEFAULT 500
        CONSTRAINT "htt_subscription.backoff_first must be 1 to 86400000 ms"
        CHECK(backoff_first BETWEEN 1 AND 86400000),
    -- ... up to this
    backoff_most INTEGER NOT NULL DEFAULT 60000
        CONSTRAINT "htt_subscription.backoff_most must be backoff_first to 86400000 ms"
        CHECK(backoff_most BETWEEN backoff_first AND 86400000),
    -- token of the newest lease
    fence INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS htt_delivery(
    -- htt_consumer.name
    consumer TEXT NOT NULL,
    -- htt_event.seq, below 2^40; of the change feed of a table: htt_outbox.id, which is above
    id INTEGER NOT NULL,
    -- aggregate_type/aggregate_id: what is delivered in order
    lane TEXT NOT NULL,
    state TEXT NOT NULL
        CONSTRAINT "htt_delivery.state is pending, waiting, leased, failed, done or dead"
        CHECK(state = 'pending' OR state = 'waiting' OR state = 'leased' OR state = 'failed'
            OR state = 'done' OR state = 'dead'),
    -- how often it was claimed
    attempts INTEGER NOT NULL DEFAULT 0,
    -- pending, failed: not claimed before; leased: the lease's end; milliseconds since 1970
    due_at INTEGER
        CONSTRAINT "htt_delivery.due_at is set when pending, leased or failed, else NULL"
        CHECK((due_at IS NOT NULL) =
            (state = 'pending' OR state = 'leased' OR state = 'failed')),
    -- name of the worker; of a lease that is over, the last one's
    locked_by TEXT,
    -- the lease: of the same consumer every lease has a larger one
    token INTEGER
        CONSTRAINT "htt_delivery: a lease has locked_by and token"
        CHECK(state <> 'leased' OR coalesce(locked_by <> '' AND token > 0, 0)),
    locked_until INTEGER GENERATED ALWAYS AS (CASE state WHEN 'leased' THEN due_at END) VIRTUAL,
    last_error TEXT,
    -- of the last failure, or of the death
    failed_at INTEGER,
    PRIMARY KEY(consumer, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS htt_delivery_due ON htt_delivery(consumer, due_at)
WHERE due_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS htt_delivery_lane ON htt_delivery(consumer, lane, id)
WHERE state <> 'done';
CREATE INDEX IF NOT EXISTS htt_delivery_dead ON htt_delivery(consumer, id)
WHERE state = 'dead';
-- A settled event lets the next of its lane go, and the consumer's position move.
CREATE TRIGGER IF NOT EXISTS htt_delivery_after_update AFTER UPDATE OF state ON htt_delivery
WHEN NEW.state <> OLD.state AND NEW.state IN ('done', 'dead') BEGIN
    UPDATE htt_delivery SET state = 'pending',
        due_at = coalesce((SELECT available_at FROM htt_event WHERE seq = htt_delivery.id), 0)
    WHERE consumer = NEW.consumer AND state = 'waiting' AND id = (
        SELECT d.id FROM htt_delivery AS d INDEXED BY htt_delivery_lane
        WHERE d.consumer = NEW.consumer AND d.lane = NEW.lane AND d.state <> 'done'
            AND (d.state <> 'dead' OR NOT EXISTS (SELECT 1 FROM htt_subscription AS s
                WHERE s.consumer = NEW.consumer AND s.on_dead = 'skip'))
        ORDER BY d.id LIMIT 1);
    UPDATE htt_consumer SET acknowledged = coalesce(
        (SELECT d.id - 1 FROM htt_delivery AS d
         WHERE d.consumer = NEW.consumer AND d.id > htt_consumer.acknowledged
            AND d.id < ((NEW.id >> 40) + 1) << 40 AND d.state NOT IN ('done', 'dead')
         ORDER BY d.id LIMIT 1),
        (SELECT max(htt_consumer.acknowledged, max(d.id)) FROM htt_delivery AS d
         WHERE d.consumer = NEW.consumer AND d.id < ((NEW.id >> 40) + 1) << 40))
    WHERE name = NEW.consumer AND store = NEW.id >> 40;
    DELETE FROM htt_delivery WHERE consumer = NEW.consumer AND id = NEW.id AND state = 'done'
        AND id <= (SELECT c.acknowledged FROM htt_consumer AS c
                   WHERE c.name = NEW.consumer AND c.store = NEW.id >> 40);
END;
-- The position has passed further ones. (Statements on one row need no table of keys; this does.)
CREATE TRIGGER IF NOT EXISTS htt_consumer_after_update AFTER UPDATE OF acknowledged ON htt_consumer
WHEN EXISTS (SELECT 1 FROM htt_delivery AS d
             WHERE d.consumer = NEW.name AND d.id > OLD.acknowledged + 1
                AND d.id <= NEW.acknowledged) BEGIN
    DELETE FROM htt_delivery WHERE consumer = NEW.name AND state = 'done'
        AND id > OLD.acknowledged AND id <= NEW.acknowledged;
END;
-- Events that the consumer does not want are passed over: the last one of a run has a row.
CREATE TRIGGER IF NOT EXISTS htt_delivery_after_insert AFTER INSERT ON htt_delivery
WHEN NEW.state = 'done' AND NOT EXISTS (
    SELECT 1 FROM htt_delivery AS d JOIN htt_consumer AS c ON c.name = d.consumer
    WHERE d.consumer = NEW.consumer AND c.store = NEW.id >> 40 AND d.id > c.acknowledged
        AND d.id < NEW.id AND d.state NOT IN ('done', 'dead')) BEGIN
    UPDATE htt_consumer SET acknowledged = max(acknowledged, NEW.id)
    WHERE name = NEW.consumer AND store = NEW.id >> 40;
    DELETE FROM htt_delivery WHERE consumer = NEW.consumer AND id = NEW.id;
END;
-- Only what the consumer is done with may go: another row's event would be lost, or come again.
CREATE TRIGGER IF NOT EXISTS htt_delivery_before_delete BEFORE DELETE ON htt_delivery
WHEN OLD.state <> 'done' OR OLD.id > (SELECT c.acknowledged FROM htt_consumer AS c
                                      WHERE c.name = OLD.consumer AND c.store = OLD.id >> 40) BEGIN
    SELECT RAISE(ABORT, 'htt_delivery: a row goes by itself: set its state instead')
    FROM htt_consumer WHERE name = OLD.consumer AND store = OLD.id >> 40;
END;
-- To register again changes nothing. What an earlier consumer of the name left goes.
CREATE TRIGGER IF NOT EXISTS htt_consumer_before_insert BEFORE INSERT ON htt_consumer BEGIN
    SELECT RAISE(IGNORE) FROM htt_consumer
    WHERE name = NEW.name AND store = NEW.store AND store = 0;
    DELETE FROM htt_delivery WHERE consumer = NEW.name AND id >> 40 = NEW.store
        AND NOT EXISTS (SELECT 1 FROM htt_consumer WHERE name = NEW.name AND store = NEW.store);
    INSERT INTO htt_subscription(consumer) SELECT NEW.name
    WHERE NEW.store = 0 AND NOT EXISTS (SELECT 1 FROM htt_subscription WHERE consumer = NEW.name);
END;
CREATE TRIGGER IF NOT EXISTS htt_consumer_after_delete AFTER DELETE ON htt_consumer
WHEN OLD.store = 0 BEGIN
    DELETE FROM htt_delivery WHERE consumer = OLD.name AND id < 1099511627776;
    DELETE FROM htt_subscription WHERE consumer = OLD.name;
END;
-- No json_valid here: without memory it says 0, and the types would not be looked at.
CREATE TRIGGER IF NOT EXISTS htt_subscription_before_insert BEFORE INSERT ON htt_subscription
WHEN NEW.types IS NOT NULL BEGIN
    SELECT RAISE(ABORT, 'htt_subscription.types has a type that is not in htt_event_type')
    FROM json_each(NEW.types) WHERE value NOT IN (SELECT type FROM htt_event_type);
END;
CREATE TRIGGER IF NOT EXISTS htt_subscription_before_update
BEFORE UPDATE OF types ON htt_subscription WHEN NEW.types IS NOT NULL BEGIN
    SELECT RAISE(ABORT, 'htt_subscription.types has a type that is not in htt_event_type')
    FROM json_each(NEW.types) WHERE value NOT IN (SELECT type FROM htt_event_type);
END;
-- Who skips dead events from now on goes on with what waits behind them.
CREATE TRIGGER IF NOT EXISTS htt_subscription_after_update
AFTER UPDATE OF on_dead ON htt_subscription WHEN NEW.on_dead = 'skip' BEGIN
    UPDATE htt_delivery SET state = 'pending',
        due_at = coalesce((SELECT available_at FROM htt_event WHERE seq = htt_delivery.id), 0)
    WHERE consumer = NEW.consumer AND state = 'waiting' AND NOT EXISTS (
        SELECT 1 FROM htt_delivery AS d INDEXED BY htt_delivery_lane
        WHERE d.consumer = NEW.consumer AND d.lane = htt_delivery.lane AND d.id < htt_delivery.id
            AND d.state NOT IN ('done', 'dead') AND d.state <> 'done');
END;
-- How far the consumers are.
CREATE VIEW IF NOT EXISTS htt_lag(consumer, acknowledged, newest, behind, pending, waiting, leased,
    failed, dead) AS
SELECT c.name, c.acknowledged, n.newest, n.newest - c.acknowledged,
    (SELECT count(*) FROM htt_delivery WHERE consumer = c.name AND state = 'pending'),
    (SELECT count(*) FROM htt_delivery WHERE consumer = c.name AND state = 'waiting'),
    (SELECT count(*) FROM htt_delivery WHERE consumer = c.name AND state = 'leased'),
    (SELECT count(*) FROM htt_delivery WHERE consumer = c.name AND state = 'failed'),
    (SELECT count(*) FROM htt_delivery WHERE consumer = c.name AND state = 'dead')
FROM htt_consumer AS c, (SELECT coalesce(max(seq), 0) AS newest FROM htt_event) AS n
WHERE c.store = 0;
