-- SPDX-License-Identifier: MIT
--
-- Events of the application, in the order of their commits: inserted in the transaction that
-- changes the data, there exactly when the data is. They never change. The newest row stays, so
-- that no number is used twice. Texts but the payload have no U+0000: C would end them there.
-- docs/outbox.md says who reads them and how long they stay.
CREATE TABLE IF NOT EXISTS htt_event_type(
    -- An application that declares its types has only those: an event of another type is refused,
    -- and so is a consumer that asks for one. No row: every type goes.
    type TEXT PRIMARY KEY NOT NULL
        CONSTRAINT "htt_event_type.type must not be empty" CHECK(type <> '')
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS htt_event(
    -- from 1, dense in the order of commits; left to SQLite, which gives the newest plus one
    seq INTEGER PRIMARY KEY
        CONSTRAINT "htt_event.seq counts from 1" CHECK(seq > 0 AND seq < 1099511627776),
    -- for the outside: a UUID of version 7 (time, then random bits)
    id TEXT NOT NULL UNIQUE DEFAULT (printf('%08x-%04x-7%03x-%04x-%012x',
        CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER) >> 16,
        CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER) & 65535,
        random() & 4095, 32768 | (random() & 16383), random() & 281474976710655))
        CONSTRAINT "htt_event.id must have 1 to 255 characters"
        CHECK(length(id) BETWEEN 1 AND 255)
        CONSTRAINT "htt_event.id must have no U+0000"
        CHECK(instr(id, char(0)) = 0),
    -- what the event is about: events of one aggregate are delivered in order. 'order', ...
    aggregate_type TEXT NOT NULL
        CONSTRAINT "htt_event.aggregate_type must not be empty, nor have a slash"
        CHECK(aggregate_type <> '' AND instr(aggregate_type, '/') = 0)
        CONSTRAINT "htt_event.aggregate_type must have no U+0000"
        CHECK(instr(aggregate_type, char(0)) = 0),
    -- ... and which one
    aggregate_id TEXT NOT NULL
        CONSTRAINT "htt_event.aggregate_id must have no U+0000"
        CHECK(instr(aggregate_id, char(0)) = 0),
    -- what happened: 'placed'
    type TEXT NOT NULL
        CONSTRAINT "htt_event.type must not be empty" CHECK(type <> '')
        CONSTRAINT "htt_event.type must have no U+0000"
        CHECK(instr(type, char(0)) = 0),
    -- of any type; NULL: nothing more to say
    payload ANY
        CONSTRAINT "htt_event.payload is not valid JSON, which content_type says it is"
        CHECK(payload IS NULL OR CASE
            WHEN content_type = 'application/json' OR lower(content_type) GLOB 'application/json'
                OR lower(content_type) GLOB 'application/json[; ]*'
                OR lower(content_type) GLOB '*+json' OR lower(content_type) GLOB '*+json[; ]*'
            THEN typeof(payload) = 'text' AND json_valid(payload) ELSE 1 END),
    -- of the payload; application/json and what ends in +json is checked
    content_type TEXT NOT NULL DEFAULT 'application/json'
        CONSTRAINT "htt_event.content_type must have no U+0000"
        CHECK(instr(content_type, char(0)) = 0),
    -- a JSON object
    headers TEXT NOT NULL DEFAULT '{}'
        CONSTRAINT "htt_event.headers is not a JSON object"
        CHECK(headers = '{}' OR CASE WHEN json_valid(headers)
            THEN json_type(headers) = 'object' ELSE 0 END)
        CONSTRAINT "htt_event.headers must have no U+0000"
        CHECK(instr(headers, char(0)) = 0),
    -- an event with a key that is there already is not inserted again; see the trigger
    idempotency_key TEXT
        CONSTRAINT "htt_event.idempotency_key must have 1 to 255 characters"
        CHECK(length(idempotency_key) BETWEEN 1 AND 255)
        CONSTRAINT "htt_event.idempotency_key must have no U+0000"
        CHECK(instr(idempotency_key, char(0)) = 0),
    -- milliseconds since 1970
    created_at INTEGER NOT NULL
        DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)),
    -- not delivered before this time, milliseconds since 1970; 0 = at once, whatever the clock says
    available_at INTEGER NOT NULL DEFAULT 0
        CONSTRAINT "htt_event.available_at must not be negative" CHECK(available_at >= 0)
) STRICT;
CREATE UNIQUE INDEX IF NOT EXISTS htt_event_idempotency_key ON htt_event(idempotency_key)
WHERE idempotency_key IS NOT NULL;
-- Also what INSERT OR REPLACE would do to an older event. A known idempotency key with the same
-- event is no error and inserts nothing.
CREATE TRIGGER IF NOT EXISTS htt_event_before_insert BEFORE INSERT ON htt_event BEGIN
    SELECT RAISE(IGNORE) FROM htt_event AS e
    WHERE e.idempotency_key = NEW.idempotency_key AND e.aggregate_type = NEW.aggregate_type
        AND e.aggregate_id = NEW.aggregate_id AND e.type = NEW.type AND e.payload IS NEW.payload
        AND e.content_type = NEW.content_type AND e.headers = NEW.headers;
    SELECT RAISE(ABORT, 'htt_event: another event has this idempotency_key')
    FROM htt_event AS e WHERE e.idempotency_key = NEW.idempotency_key;
    SELECT RAISE(ABORT, 'htt_event: an event with this id is there already')
    FROM htt_event AS e WHERE e.id = NEW.id;
    SELECT RAISE(ABORT, 'htt_event: leave seq to SQLite, it is the newest plus one')
    WHERE NEW.seq > 0 AND NEW.seq <> (SELECT coalesce(max(seq), 0) + 1 FROM htt_event);
    SELECT RAISE(ABORT, 'htt_event: unknown type, it is not in htt_event_type')
    WHERE NOT EXISTS (SELECT 1 FROM htt_event_type WHERE type = NEW.type)
        AND EXISTS (SELECT 1 FROM htt_event_type);
END;
CREATE TRIGGER IF NOT EXISTS htt_event_before_update BEFORE UPDATE ON htt_event BEGIN
    SELECT RAISE(ABORT, 'htt_event: events do not change, append another one');
END;
CREATE TRIGGER IF NOT EXISTS htt_event_before_delete BEFORE DELETE ON htt_event
WHEN OLD.seq = (SELECT max(seq) FROM htt_event) BEGIN
    SELECT RAISE(ABORT, 'htt_event: the newest event stays, or its seq would be used again');
END;
-- The same with the column names of Debezium's event router.
CREATE VIEW IF NOT EXISTS htt_event_debezium(id, aggregatetype, aggregateid, type, payload,
    contenttype, headers, timestamp, seq) AS
SELECT id, aggregate_type, aggregate_id, type, payload, content_type, headers, created_at, seq
FROM htt_event;
